"""The report in short as Markdown, for the summary of a pipeline's step, a pull request or a ticket.

Every name in it is inert. It is shortened until it fits, and says so.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from auditor.assessment.model import Baseline, ExemptionStatus, Finding, FrameworkInfo, Report
from auditor.estate.fields import KIND_NAMES
from auditor.formats.control_words import attestation_words, tally_words
from auditor.formats.diff_words import TITLES
from auditor.formats.markdown import inert, prose
from auditor.gate import Counts

MOST_BYTES = 999_999
LEAST_BYTES = 16_000  # the shortest page always fits into these
MOST_CHARACTERS = 300
MOST_REASONS = 1_000
# Rows of a table: as many as there is room for.
_ROWS = (50, 20, 5, 0)
_DECIDE: tuple[ExemptionStatus, ...] = ("expired", "time-unknown", "expiring", "unused", "no-longer-needed")


def write(report: Report, file: BinaryIO) -> None:
    """Write the page."""
    file.write(page(report))


def page(report: Report, most_bytes: int = MOST_BYTES) -> bytes:
    """Return the page with as many rows as fit into so many bytes: ``LEAST_BYTES`` at least."""
    shown = b""
    for rows in _ROWS:
        shown = "".join(f"{line}\n" for line in _lines(report, rows)).encode()
        if len(shown) <= most_bytes:
            break
    return shown


def _lines(report: Report, most: int) -> Iterator[str]:
    """Yield the lines of a page whose tables have at most so many rows, those of rules four times as many."""
    summary = report.summary
    chosen = report.frameworks if report.options.framework else []
    of = "".join(f" for {_shown(framework.title or framework.id)}" for framework in chosen)
    yield f"# Azure VM backup{of}"
    yield ""
    yield f"**{summary.verdict}**: {prose(summary.sentence, MOST_CHARACTERS)}"
    yield ""
    reasons = "; ".join(summary.gate.reasons)
    yield f"- Exit code {summary.gate.exit_code}: {inert(reasons, MOST_REASONS)}"
    if report.options.organisation:
        yield f"- Estate: {_shown(report.options.organisation)}"
    yield f"- As of {_shown(report.as_of or 'an unknown time')}"
    yield f"- Run {_shown(report.run_id)}"
    if not most:
        yield f"- Not read: {len(report.gaps):,} gap{'' if len(report.gaps) == 1 else 's'}"
        yield ""
        yield "There was no room for more: the other reports have it."
        return
    for framework in chosen:
        yield from _controls(framework, most)
        yield from ("", "## What was looked at", "")
    for kind in report.coverage.kinds:
        out = f", {kind.out_of_scope:,} out of scope" if kind.out_of_scope else ""
        yield f"- Looked at {kind.found:,} {KIND_NAMES[kind.kind][kind.found != 1]}: {kind.judged:,} judged{out}"
    new = list(islice((finding for finding in report.findings if finding.baseline == "new"), most))
    names = _names(report, [*report.findings[:most], *new])
    if report.baseline is not None:
        yield from _changes(report.baseline, most)
        if new:
            yield from ("", f"### New: {len(new):,} of {report.baseline.new:,}", "")
            yield from _findings(new, names)
    yield from _verdicts(summary.counts)
    yield from _not_read(report, most)
    yield from _rules(report, 4 * most)
    if report.findings:
        yield from ("", f"## Worst findings: {min(most, len(report.findings)):,} of {len(report.findings):,}", "")
        yield from _findings(report.findings[:most], names)
    yield from _exemptions(report, most)
    if most < _ROWS[0]:
        yield ""
        yield f"Shortened to {most} rows a table, for want of room: the other reports have them all."


def _controls(framework: FrameworkInfo, most: int) -> Iterator[str]:
    yield from ("", f"## Controls of {_shown(framework.title or framework.id)}", "")
    yield f"{prose(tally_words(framework), MOST_CHARACTERS)}. The rules show a part of each control, never all of it."
    yield ""
    yield "| control | state | fail | unknown | pass | rules | what else |"
    yield "|---|---|---:|---:|---:|---|---|"
    rows = []
    for control in framework.controls:
        counts = control.counts
        cells = f"{counts.fail:,} | {counts.unknown:,} | {counts.passed:,}"
        named = _shown(f"{control.id} {control.title}".strip())
        said = " ".join(part for part in (control.note, *map(attestation_words, control.attestations)) if part)
        rules = _shown(", ".join(control.rules))
        rows.append(
            f"| {named} | {control.state.replace('-', ' ')} | {cells} | {rules} | {inert(said, MOST_REASONS)} |"
        )
    yield from _capped(rows, 4 * most)
    if framework.reference:
        yield from ("", f"Published at {_shown(framework.reference)}")


def _names(report: Report, findings: Sequence[Finding]) -> dict[str, str]:
    """Name the resources of findings by their name and group."""
    wanted = {finding.resource for finding in findings}
    found = (resource for resource in report.resources if resource.id in wanted)
    return {resource.id: f"{resource.name} ({resource.resource_group or 'no group'})" for resource in found}


def _changes(baseline: Baseline, most: int) -> Iterator[str]:
    yield from ("", f"## What changed since {_shown(baseline.as_of or 'an unknown time')}", "")
    yield f"- {baseline.new:,} new, {baseline.unchanged:,} unchanged, {baseline.fixed:,} fixed"
    changes = Counter(change.change for change in baseline.changes)
    others = [
        f"{changes[kind]:,} {title.lower()}" for kind, title in TITLES.items() if changes[kind] and kind != "fixed"
    ]
    if others:
        yield f"- {', '.join(others)}"
    yield f"- Resources: {baseline.appeared:,} appeared, {baseline.gone:,} gone"
    yield from _capped(
        [f"- Judged otherwise than then: {_shown(entry.rule)}" for entry in baseline.rules_changed], most
    )
    yield from _capped([f"- Not comparable: {_shown(line)}" for line in baseline.not_comparable], most)


def _verdicts(counts: Counts) -> Iterator[str]:
    yield from ("", "## Verdicts", "")
    yield "| fail | of these exempt | unknown | of these exempt | pass | not applicable |"
    yield "|---:|---:|---:|---:|---:|---:|"
    cells = (counts.fail, counts.exempt, counts.unknown, counts.exempt_unknown, counts.passed, counts.not_applicable)
    yield f"| {' | '.join(f'{cell:,}' for cell in cells)} |"


def _not_read(report: Report, most: int) -> Iterator[str]:
    yield from ("", "## What was not read", "")
    if not report.gaps:
        yield "Nothing that was asked for is known to be missing."
        return
    gaps = list(dict.fromkeys((gap.table, gap.cause, gap.hint) for gap in report.gaps))
    yield "| table | cause | what to do |"
    yield "|---|---|---|"
    yield from _capped([f"| {_shown(table)} | {_shown(cause)} | {_shown(hint)} |" for table, cause, hint in gaps], most)


def _rules(report: Report, most: int) -> Iterator[str]:
    yield from ("", "## By rule", "")
    yield "| rule | severity | fail | unknown | exempt | pass | not applicable |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    ranked = sorted(report.rules, key=lambda rule: not (rule.counts.fail or rule.counts.unknown))
    rows = []
    for rule in ranked:
        counts = rule.counts
        exempt = counts.exempt + counts.exempt_unknown
        cells = (counts.fail, counts.unknown, exempt, counts.passed, counts.not_applicable)
        rows.append(f"| {_shown(rule.id)} | {rule.severity} | {' | '.join(f'{cell:,}' for cell in cells)} |")
    yield from _capped(rows, most)


def _findings(findings: Sequence[Finding], names: dict[str, str]) -> Iterator[str]:
    yield "| verdict | severity | rule | resource | message |"
    yield "|---|---|---|---|---|"
    for finding in findings:
        verdict = finding.outcome + (", exempt" if finding.exempt else "")
        cells = map(_shown, (finding.rule, names[finding.resource], finding.message))
        yield f"| {verdict} | {finding.severity} | {' | '.join(cells)} |"


def _exemptions(report: Report, most: int) -> Iterator[str]:
    entries = [entry for status in _DECIDE for entry in report.exemptions if entry.status == status]
    if not entries:
        return
    yield from ("", "## Exemptions to decide about", "")
    yield "| status | exemption | rule | owner | until | verdicts |"
    yield "|---|---|---|---|---|---:|"
    rows = []
    for entry in entries:
        cells = map(_shown, (entry.id, entry.rule, entry.owner, entry.expires))
        rows.append(f"| {entry.status.replace('-', ' ')} | {' | '.join(cells)} | {entry.exempted:,} |")
    yield from _capped(rows, most)


def _capped(rows: Sequence[str], most: int) -> Iterator[str]:
    yield from rows[:most]
    if len(rows) > most:
        yield from ("", f"and {len(rows) - most:,} more")


def _shown(text: str) -> str:
    return inert(text, MOST_CHARACTERS)
