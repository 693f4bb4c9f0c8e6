"""An earlier report x a later one -> what is new, fixed and unchanged, and what cannot be compared.

Verdicts are compared by rule and folded resource id, which is what a fingerprint is made of. A verdict is unchanged
only where the outcome is the same and no exemption stopped counting; fixed only where the same resource passes now, by
the same rule with the same parameters.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from operator import itemgetter
from sys import intern
from typing import Protocol

import msgspec

from auditor.assessment.evidence import show
from auditor.assessment.model import (
    OUTCOMES,
    SCHEMA_VERSION,
    Baseline,
    Cell,
    Change,
    ChangeKind,
    Diff,
    Finding,
    Options,
    Outcome,
    Report,
    ReportId,
    Resource,
    RuleChange,
    RuleDiff,
)
from auditor.assessment.on_disk import OnDisk
from auditor.estate.fields import KIND_NAMES, TABLE_OF
from auditor.text import fold

# What a report says about itself and both reports should agree on; else the difference may not lie in the estate.
_OPTIONS = {
    "profile": "Another profile",
    "framework": "Another framework",
    "primary_endpoint": "Another primary endpoint",
    "vaults_in": "VMs' vaults are looked for elsewhere",
    "complete": "Other tables declared to be whole",
    "config_sha256": "Another configuration file",
    "exemptions_sha256": "Another file of exemptions",
}
_READ = {"complete": 0, "assumed": 1, "partial": 2, "missing": 3}
CHANGES: tuple[ChangeKind, ...] = (
    "new",
    "became-unknown",
    "fixed",
    "passes-by-changed-rule",
    "no-longer-unknown",
    "no-longer-applicable",
    "exempt-now",
)
_NEW = {"new", "became-unknown"}
_NO_FINDING_NOW = {"fixed", "passes-by-changed-rule", "no-longer-unknown", "no-longer-applicable"}


def same_estate(old: Report, new: Report) -> bool:
    """Tell whether two reports have a subscription in common, or one of them has none at all."""
    subscriptions = [{fold(r.subscription) for r in report.resources if r.subscription} for report in (old, new)]
    return not all(subscriptions) or not subscriptions[0].isdisjoint(subscriptions[1])


def with_baseline(report: Report, old: Report) -> Report:
    """Return a report whose findings are marked new or unchanged; signature and gate are as they were."""
    diff = compare(old, report)
    fresh = {(change.rule, change.resource) for change in diff.changes if change.change in _NEW}
    new = 0
    findings = OnDisk(Finding)
    for finding in report.findings:
        is_new = (finding.rule, finding.resource) in fresh
        findings.add(msgspec.structs.replace(finding, baseline="new" if is_new else "unchanged"))
        new += is_new
    baseline = Baseline(
        content_sha256=old.content_sha256,
        as_of=old.as_of,
        tool_version=old.tool.version,
        new=new,
        unchanged=len(findings) - new,
        fixed=diff.counts["fixed"],
        rules_changed=diff.rules_changed,
        not_comparable=diff.not_comparable,
        changes=[change for change in diff.changes if change.change in _NO_FINDING_NOW],
        rules=[rule for rule in diff.rules if any(rule.counts[change] for change in CHANGES)],
        appeared=len(diff.appeared),
        gone=len(diff.gone),
    )
    return msgspec.structs.replace(report, findings=findings, baseline=baseline)


def new_violations(report: Report) -> Mapping[str, int]:
    """Count by rule the failing verdicts that are new and not exempt."""
    return Counter(
        finding.rule
        for finding in report.findings
        if finding.outcome == "fail" and finding.baseline == "new" and not finding.exempt
    )


def compare(old: Report, new: Report) -> Diff:
    """Compare two reports; every change is by rule, then by resource."""
    before, after = _Verdicts(old), _Verdicts(new)
    changed = rules_changed(old.rules, new.rules)
    judged_otherwise = {change.rule for change in changed if set(change.changed) != {"severity"}}
    changes = sorted(
        chain(_in_new(before, after), _in_old(before, after, judged_otherwise)),
        key=lambda change: (CHANGES.index(change.change), change.rule, fold(change.resource)),
    )
    counted = Counter(change.change for change in changes)
    by_rule: dict[str, Counter[str]] = {}
    for change in changes:
        by_rule.setdefault(change.rule, Counter())[change.change] += 1
    unchanged = Counter(finding.rule for finding in new.findings if not _is_new(finding, before))
    return Diff(
        schema_version=SCHEMA_VERSION,
        old=_id(old),
        new=_id(new),
        counts={name: counted[name] for name in CHANGES} | {"unchanged": unchanged.total()},
        rules=[
            RuleDiff(rule=rule, counts={name: by_rule.get(rule, Counter())[name] for name in CHANGES}
                     | {"unchanged": unchanged[rule]})
            for rule in sorted({rule.id for rule in (*old.rules, *new.rules)})
        ],
        changes=changes,
        appeared=_only_in(after, before),
        gone=_only_in(before, after),
        rules_changed=changed,
        not_comparable=list(_not_comparable(old, new, before, after)),
    )  # fmt: skip


def _only_in(one: "_Verdicts", other: "_Verdicts") -> list[Resource]:
    """Return the resources of one report that the other lacks, of the kinds that both judged."""
    kinds = set(one.kinds.values()) & set(other.kinds.values())
    missing = one.positions.keys() - other.positions.keys()
    found = ((_key(resource), resource) for resource in one.report.resources if resource.kind in kinds)
    return [resource for _, resource in sorted((entry for entry in found if entry[0] in missing), key=itemgetter(0))]


class _Verdicts:
    """A report, to look verdicts up in: cheap to make, for reports may hold millions of verdicts.

    Attributes:
        report: all of it.
        kinds: what each rule judges.
        positions: of resources among those of their kind, by kind and folded id.
        exempt: what does not count, by rule and folded id.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        self.kinds: dict[str, str] = {rule.id: rule.resource for rule in report.rules}
        self.exempt = {(finding.rule, fold(finding.resource)) for finding in report.findings if finding.exempt}
        self.positions: dict[tuple[str, str], int] = {}
        seen: Counter[str] = Counter()
        for resource in report.resources:
            self.positions[_key(resource)] = seen[resource.kind]
            seen[resource.kind] += 1

    def outcome(self, rule: str, key: str) -> Outcome | None:
        """Return an outcome, or ``None`` where the rule was not run or the resource was not there."""
        position = self.positions.get((self.kinds.get(rule, ""), key))
        return OUTCOMES[self.report.outcomes[rule][position]] if position is not None else None


def _key(resource: Resource) -> tuple[str, str]:
    return intern(resource.kind), fold(resource.id)


def _is_new(finding: Finding, before: _Verdicts) -> bool:
    """Tell whether a finding is not known from the earlier report, or no longer exempt as it was there."""
    key = fold(finding.resource)
    if before.outcome(finding.rule, key) != finding.outcome:
        return True
    return (finding.rule, key) in before.exempt and not finding.exempt


def _in_new(before: _Verdicts, after: _Verdicts) -> Iterator[Change]:
    """Yield what came to fail, to be unknown, or to be exempt."""
    for finding in after.report.findings:
        key = fold(finding.resource)
        was = before.outcome(finding.rule, key)
        if _is_new(finding, before):
            kind: ChangeKind = "new" if finding.outcome == "fail" or was == "unknown" else "became-unknown"
            yield _change(kind, finding, was, finding.outcome, exempt=finding.exempt)
        elif finding.exempt and (finding.rule, key) not in before.exempt:
            yield _change("exempt-now", finding, was, finding.outcome, exempt=True)


def _in_old(before: _Verdicts, after: _Verdicts, judged_otherwise: set[str]) -> Iterator[Change]:
    """Yield what no longer fails or is unknown; what is gone or not judged any more is not among it."""
    for finding in before.report.findings:
        now = after.outcome(finding.rule, fold(finding.resource))
        if now == "not-applicable":
            yield _change("no-longer-applicable", finding, finding.outcome, now)
        elif now == "pass" and finding.outcome == "unknown":
            yield _change("no-longer-unknown", finding, finding.outcome, now)
        elif now == "pass":
            kind: ChangeKind = "passes-by-changed-rule" if finding.rule in judged_otherwise else "fixed"
            yield _change(kind, finding, finding.outcome, now)


def _change(kind: ChangeKind, finding: Finding, was: Outcome | None, now: Outcome, *, exempt: bool = False) -> Change:
    return Change(
        change=kind,
        fingerprint=finding.fingerprint,
        rule=finding.rule,
        resource=finding.resource,
        severity=finding.severity,
        before=was,
        after=now,
        exempt=exempt,
        message=finding.message,
    )


def _id(report: Report) -> ReportId:
    return ReportId(
        content_sha256=report.content_sha256,
        as_of=report.as_of,
        tool_version=report.tool.version,
        verdict=report.summary.verdict,
    )


class Judging(Protocol):
    """A rule as it judged."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def sha256(self) -> str:
        """Of its content."""

    @property
    def severity(self) -> str:
        """The one in force."""

    @property
    def parameters(self) -> dict[str, Cell]:
        """Those in force."""


def rules_changed(old: Iterable[Judging], new: Iterable[Judging]) -> list[RuleChange]:
    """Name the rules of both runs that judge otherwise now, and how."""
    were = {rule.id: rule for rule in old}
    changes = []
    for rule in sorted(new, key=lambda rule: rule.id):
        was = were.get(rule.id)
        if was is None:
            continue
        changed = {}
        if was.sha256 != rule.sha256:
            changed["rule"] = f"{was.sha256[:12]} -> {rule.sha256[:12]}"
        for name in sorted({*was.parameters, *rule.parameters}):
            values = [parameters.get(name) for parameters in (was.parameters, rule.parameters)]
            if values[0] != values[1]:
                changed[f"parameter {name}"] = " -> ".join(map(show, values))
        if was.severity != rule.severity:
            changed["severity"] = f"{was.severity} -> {rule.severity}"
        if changed:
            changes.append(RuleChange(rule=rule.id, changed=changed))
    return changes


def _not_comparable(old: Report, new: Report, before: _Verdicts, after: _Verdicts) -> Iterator[str]:
    """Say why a difference may not lie in the estate."""
    if not same_estate(old, new):
        yield "The reports have no subscription in common: they are of different estates."
    if old.as_of is None or new.as_of is None:
        yield "One of the reports does not say at which time it judged, so nobody knows which one is later."
    elif old.as_of > new.as_of:
        yield f"The old report is of a later time ({old.as_of}) than the new one ({new.as_of})."
    for rules, others, which in ((before.kinds, after.kinds, "old"), (after.kinds, before.kinds, "new")):
        yield from (f"{rule} was run in the {which} report only." for rule in sorted(rules.keys() - others.keys()))
    yield from options_changed(old.options, new.options)
    yield from _read_less(old, new)
    read_whole = {table.table for table in new.coverage.tables if _READ[table.state] <= _READ["assumed"]}
    gone = Counter(kind for kind, _ in before.positions.keys() - after.positions.keys())
    for kind, count in sorted(gone.items()):
        names = next(names for subject, names in KIND_NAMES.items() if subject == kind)
        if TABLE_OF[kind] not in read_whole:
            yield f"{count:,} {names[count != 1]} may only not have been read: not all of them were."


def options_changed(old: Options, new: Options) -> Iterator[str]:
    """Say which options both runs should agree on and do not."""
    for name, said in _OPTIONS.items():
        was, now = (getattr(options, name) for options in (old, new))
        if was != now:
            yield f"{said}: {_words(was)}, now {_words(now)}."


def _read_less(old: Report, new: Report) -> Iterator[str]:
    """Say what was read less well than before: what is unknown there now was not necessarily changed."""
    states = {table.table: table.state for table in old.coverage.tables}
    for table in new.coverage.tables:
        was = states.get(table.table, "missing")
        if _READ[table.state] > _READ[was]:
            yield f"{table.table.replace('_', ' ').capitalize()} were read less well: {was} then, {table.state} now."
    known = {gap.cause for gap in old.gaps}
    yield from dict.fromkeys(f"Not read now: {gap.cause}." for gap in new.gaps if gap.cause not in known)


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "nothing"
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value or "none")
