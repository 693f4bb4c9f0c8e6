"""What runs said, one after the other: a run in short, and the trend of several.

Nothing is judged again: a rule that was changed since leaves what earlier runs said as it was, and a mark where it
changed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from auditor.assessment.baseline import options_changed, rules_changed
from auditor.assessment.model import (
    Cell,
    KindCoverage,
    Options,
    Report,
    Sha256,
    Summary,
    TableCoverage,
    Trend,
    TrendRun,
)
from auditor.declared.config import Severity
from auditor.gate import Counts
from auditor.text import fold
from auditor.timestamps import parse_time

MOST_RUNS = 50  # of a trend
_NAMED = 5


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of a run that is kept; unknown fields are errors."""


class RunRule(_Record, frozen=True):
    """A rule as it was applied in a run, and what came of it."""

    id: str
    sha256: Sha256
    severity: Severity
    parameters: dict[str, Cell]
    counts: Counts


class RunInventory(_Record, frozen=True):
    """What was judged in a run; ``subscriptions`` are the folded ids of those that were read, if only in part."""

    sha256: Sha256
    collected_at: str | None
    tenant: str
    cloud: str
    principal: str
    scope: list[str]
    subscriptions: list[str]


class Run(_Record, frozen=True):
    """A run as the history keeps it: what was in force, and what was said. Equal inputs give equal runs."""

    run_id: Sha256
    tool_version: str
    as_of: Annotated[str | None, msgspec.Meta(description="the time it judged at; null where nobody knew it")]
    inventory: RunInventory
    options: Options
    summary: Summary
    kinds: list[KindCoverage]
    tables: list[TableCoverage]
    gaps: int
    rules: list[RunRule]


@dataclass(frozen=True, slots=True)
class History:
    """The runs that were kept, and what of them could not be read."""

    runs: Sequence[Run]
    notices: Sequence[str] = ()


def run_of(report: Report) -> Run:
    """Return what is kept of a run."""
    inventory = report.inventory
    read = [entry.id for entry in report.coverage.subscriptions if entry.state != "unread"]
    return Run(
        run_id=report.run_id,
        tool_version=report.tool.version,
        as_of=report.as_of,
        inventory=RunInventory(
            sha256=inventory.sha256,
            collected_at=inventory.collected_at,
            tenant=inventory.tenant,
            cloud=inventory.cloud,
            principal=inventory.principal,
            scope=inventory.scope,
            subscriptions=sorted(map(fold, read)),
        ),
        options=report.options,
        summary=report.summary,
        kinds=report.coverage.kinds,
        tables=report.coverage.tables,
        gaps=len(report.gaps),
        rules=[
            RunRule(
                id=rule.id,
                sha256=rule.sha256,
                severity=rule.severity,
                parameters=rule.parameters,
                counts=rule.counts,
            )
            for rule in report.rules
        ],
    )


def in_order(runs: Iterable[Run]) -> list[Run]:
    """Return runs by the time they judged at, those of no known time first; each once."""
    once = {run.run_id: run for run in runs}
    return sorted(once.values(), key=lambda run: (_when(run.as_of), run.run_id))


def with_trend(report: Report, history: History) -> Report:
    """Return a report with what earlier runs said beside it; its signature is as it was.

    Earlier is what judged at an earlier time, or at the same: the trend up to May is the same whenever it is made.
    Where nobody knows the time of the report, nobody knows what was before it.
    """
    this, now = run_of(report), _when(report.as_of)
    before = [run for run in history.runs if run.run_id != this.run_id and 0 < _when(run.as_of) <= now]
    runs = trend_of([*in_order(before), this])
    shown = runs[-MOST_RUNS:]
    trend = Trend(runs=shown, left_out=len(runs) - len(shown), notices=list(history.notices))
    return msgspec.structs.replace(report, trend=trend)


def trend_of(runs: Sequence[Run]) -> list[TrendRun]:
    """Return what runs said, each marked with what is otherwise than in the one before it."""
    befores: list[Run | None] = [None, *runs[:-1]] if runs else []
    return [
        TrendRun(
            run_id=run.run_id,
            as_of=run.as_of,
            tool_version=run.tool_version,
            verdict=run.summary.verdict,
            exit_code=run.summary.gate.exit_code,
            counts=run.summary.counts,
            rules={rule.id: rule.counts for rule in run.rules},
            rules_changed=rules_changed(before.rules, run.rules) if before is not None else [],
            not_comparable=list(_not_comparable(before, run)) if before is not None else [],
        )
        for before, run in zip(befores, runs, strict=True)
    ]


def _when(as_of: str | None) -> int:
    """Return a time as microseconds since 1970 UTC, 0 where it is not known."""
    return parse_time(as_of or "") or 0


def _not_comparable(before: Run, run: Run) -> Iterator[str]:
    were, are = {rule.id for rule in before.rules}, {rule.id for rule in run.rules}
    if are - were:
        yield f"Run now and not before: {_names(are - were)}."
    if were - are:
        yield f"Run before and not now: {_names(were - are)}."
    yield from options_changed(before.options, run.options)
    if before.tool_version != run.tool_version:
        yield f"Version {before.tool_version} judged then, {run.tool_version} now."
    if (before.inventory.tenant, before.inventory.cloud) != (run.inventory.tenant, run.inventory.cloud):
        yield f"Another tenant: {before.inventory.tenant or 'not known'}, now {run.inventory.tenant or 'not known'}."
    for said, was, now in (
        ("Asked about", before.inventory.scope, run.inventory.scope),
        ("Judged", before.options.subscriptions, run.options.subscriptions),
    ):
        if set(was) != set(now):  # none is all of them
            yield f"{said}: {_names(set(was)) or 'all'} then, {_names(set(now)) or 'all'} now."
    had, has = set(before.inventory.subscriptions), set(run.inventory.subscriptions)
    if has - had:
        yield f"Subscriptions that came: {_names(has - had)}."
    if had - has:
        yield f"Subscriptions that went: {_names(had - has)}."
    states = {table.table: table.state for table in before.tables}
    for table in run.tables:
        was_read = states.get(table.table, "missing")
        if table.state != was_read:
            yield f"{table.table.replace('_', ' ').capitalize()}: {was_read} then, {table.state} now."


def _names(names: set[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _NAMED:,} more" if len(shown) > _NAMED else ""
    return f"{', '.join(shown[:_NAMED])}{more}"
