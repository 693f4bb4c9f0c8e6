"""JUnit XML, which every CI system shows: red exactly where the gate exits with 1 or 3.

A testcase is a verdict; in a large estate, all verdicts of a rule in one subscription. What the gate counts is a
failure (it fails) or an error (it is not known); every other finding is skipped and says why.
"""

import html
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO, Literal, TypeAlias

from auditor.assessment.evidence import show
from auditor.assessment.model import Finding, Report, Resource, RuleInfo
from auditor.errors import ExitCode
from auditor.formats.gated import GateView
from auditor.formats.tallies import by_subscription
from auditor.text import fold, visible

MOST_CASES = 50_000
# GitLab takes files of 30 MB and of 250,000 objects (https://docs.gitlab.com/ci/testing/unit_test_reports): a case is
# about four of these, and three more where it is not simply passed.
MOST_OBJECTS = 250_000
MOST_EVIDENCE = 10_000
MOST_OF_A_CASE = 20
MOST_TEXT = 1_000
NAME = "azure-vm-backup"

Mark: TypeAlias = Literal["", "failure", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class _Case:
    """A testcase; one without a mark has passed."""

    name: str
    mark: Mark = ""
    type: str = ""
    message: str = ""
    findings: Sequence[Finding] = field(default=())  # the first of them
    count: int = 0


def write(report: Report, file: BinaryIO) -> None:
    """Write a suite for the inventory and one for each rule."""
    verdicts, passed = sum(map(len, report.outcomes.values())), report.summary.counts.passed
    one_each = verdicts <= MOST_CASES and 7 * verdicts - 3 * passed <= MOST_OBJECTS
    gate, options = report.summary.gate, report.options
    properties = {
        "verdict": f"{report.summary.verdict}: {report.summary.sentence}",
        "gate": f"exit code {gate.exit_code}: {'; '.join(gate.reasons)}",
        "fail_on": options.fail_on + (", strict" if options.strict else ""),
        "as_of": report.as_of or "not known",
        "run_id": report.run_id,
        "cases": "one for each rule and resource"
        if one_each
        else f"one for each rule and subscription, because {verdicts:,} verdicts are too many",
    }
    file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="{NAME}" time="0">\n'.encode())
    file.writelines(_suite("inventory", list(_of_inventory(report)), {}, properties))
    told = {finding.fingerprint for finding in islice(report.findings, MOST_EVIDENCE)}
    for rule, cases in _of_subscriptions(report) if not one_each else _of_resources(report):
        bodies = {case.name: _body(case, told) for case in cases if case.findings}
        about = {"title": rule.title, "severity": rule.severity, "what to do": " ".join(rule.fix.split())}
        file.writelines(_suite(rule.id, cases, bodies, about))
    file.write(b"</testsuites>\n")


def _of_inventory(report: Report) -> Iterator[_Case]:
    """Yield a case for each gap, and for every other reason for which the gate could not conclude."""
    gate = report.summary.gate
    reasons = gate.reasons if gate.exit_code == ExitCode.CANNOT_CONCLUDE else []
    names = _unique([f"{gap.table} of {gap.scope or 'the whole estate'}" for gap in report.gaps])
    for gap, name in zip(report.gaps, names, strict=True):
        yield _Case(
            name, "error" if gap.cause in reasons else "skipped", gap.kind, f"not read: {gap.cause}. {gap.hint}"
        )
    causes = {gap.cause for gap in report.gaps}
    others = [reason for reason in reasons if reason not in causes]
    for name, reason in zip(_unique(others), others, strict=True):
        yield _Case(name, "error", "cannot-conclude", reason)
    if not report.gaps and not reasons:
        yield _Case("nothing that was asked for is known to be missing")


def _of_resources(report: Report) -> Iterator[tuple[RuleInfo, list[_Case]]]:
    """Yield for each rule a case for each resource."""
    kinds = _by_kind(report)
    names = {kind: _resource_names(resources) for kind, resources in kinds.items()}
    found = {(finding.rule, finding.resource): finding for finding in report.findings}
    gate = GateView(report)
    for rule in report.rules:
        cases = []
        judged = zip(kinds[rule.resource], names.get(rule.resource, []), report.outcomes[rule.id], strict=True)
        for resource, name, letter in judged:
            findings = [found[rule.id, resource.id]] if letter in "fu" else []
            cases.append(_case(gate, name, findings, passed=letter == "p"))
        yield rule, cases


def _of_subscriptions(report: Report) -> Iterator[tuple[RuleInfo, list[_Case]]]:
    """Yield for each rule a case for each subscription of which it judges something."""
    subscriptions = {(resource.kind, resource.id): fold(resource.subscription or "") for resource in report.resources}
    kind_of = {rule.id: rule.resource for rule in report.rules}
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, finding in enumerate(report.findings):
        found[finding.rule, subscriptions[kind_of[finding.rule], finding.resource]].append(number)
    tallies = sorted(by_subscription(report), key=lambda tally: tally.id)
    names = _unique([f"{tally.name} {tally.id}".strip() or "no subscription" for tally in tallies])
    gate = GateView(report)
    for rule in report.rules:
        cases = []
        for tally, name in zip(tallies, names, strict=True):
            counts = tally.rules.get(rule.id)
            if counts is not None:
                findings = [report.findings[number] for number in found[rule.id, fold(tally.id)]]
                cases.append(_case(gate, name, findings, passed=counts.passed > 0))
        yield rule, cases


def _case(gate: GateView, name: str, findings: Sequence[Finding], *, passed: bool) -> _Case:
    """Make a case of the verdicts of one rule: its findings, and whether there is a pass besides."""
    reasons = [gate.lets_pass(finding) for finding in findings]
    counted = [finding for finding, why in zip(findings, reasons, strict=True) if not why]
    first, count = findings[:MOST_OF_A_CASE], len(findings)
    failing = [finding for finding in counted if finding.outcome == "fail"]
    if failing:
        return _Case(name, "failure", failing[0].severity, _said(failing, "fail"), first, count)
    if counted:
        return _Case(name, "error", "unknown", _said(counted, "are not known"), first, count)
    if findings:
        whys = Counter(f"{finding.outcome}, {why}" for finding, why in zip(findings, reasons, strict=True))
        several = [f"{count:,} {why}" for why, count in whys.most_common()]
        message = f"{next(iter(whys))} {findings[0].message}" if len(findings) == 1 else "; ".join(several)
        kind = "exempt" if all(finding.exempt for finding in findings) else findings[0].outcome
        return _Case(name, "skipped", kind, message, first, count)
    return _Case(name) if passed else _Case(name, "skipped", "not-applicable", "not applicable")


def _said(findings: Sequence[Finding], verb: str) -> str:
    first = findings[0].message
    return first if len(findings) == 1 else f"{len(findings):,} {verb}, such as: {first}"


def _body(case: _Case, told: set[str]) -> Iterator[str]:
    """Yield the lines below a case: what was expected and seen; the evidence of those among the worst findings."""
    for finding in case.findings:
        yield f"{finding.outcome}{', exempt' if finding.exempt else ''}: {finding.message}"
        yield f"  resource: {finding.resource}"
        if finding.fingerprint in told:
            yield f"  expected: {finding.expected}"
            for entry in finding.evidence:
                value = show(entry.value) if entry.value is not None else f"not known: {entry.reason}"
                yield f"  {entry.field}: {value}{f' ({entry.source})' if entry.source else ''}"
        yield f"  fingerprint: {finding.fingerprint}"
    if case.count > len(case.findings):
        yield f"and {case.count - len(case.findings):,} more"


def _suite(
    name: str, cases: Sequence[_Case], bodies: dict[str, Iterator[str]], properties: dict[str, str]
) -> Iterator[bytes]:
    marks = Counter(case.mark for case in cases)
    counts = f'failures="{marks["failure"]}" errors="{marks["error"]}" skipped="{marks["skipped"]}"'
    label = _quoted(_cut(f"{NAME}.{name}"))
    yield f'<testsuite name={label} tests="{len(cases)}" {counts} time="0">\n<properties>\n'.encode()
    for key, value in properties.items():
        yield f"<property name={_quoted(key)} value={_quoted(_cut(value))}/>\n".encode()
    yield b"</properties>\n"
    for case in cases:
        start = f'<testcase classname={label} name={_quoted(case.name)} time="0"'
        if not case.mark:
            yield f"{start}/>\n".encode()
            continue
        body = "\n".join(html.escape(_cut(line)) for line in bodies.get(case.name, ()))
        said = f"<{case.mark} type={_quoted(case.type)} message={_quoted(_cut(case.message))}"
        yield f"{start}>{said}{f'>{body}</{case.mark}>' if body else '/>'}</testcase>\n".encode()
    yield b"</testsuite>\n"


def _by_kind(report: Report) -> dict[str, list[Resource]]:
    kinds: dict[str, list[Resource]] = defaultdict(list)
    for resource in report.resources:
        kinds[resource.kind].append(resource)
    return kinds


def _resource_names(resources: Sequence[Resource]) -> list[str]:
    """Name resources by name and group, or by id those that share these: CI systems drop cases of the same name."""
    names = [f"{resource.name} ({resource.resource_group or 'no group'})" for resource in resources]
    seen = Counter(map(visible, names))
    return _unique(
        [name if seen[visible(name)] == 1 else resource.id for name, resource in zip(names, resources, strict=True)]
    )


def _unique(names: Sequence[str]) -> list[str]:
    """Return names that stay different when they are written, numbered where they would not."""
    taken: dict[str, None] = {}
    numbers: Counter[str] = Counter()
    for name in names:
        written = _cut(name)
        numbers[written] += 1
        new = written
        while new in taken:
            new = f"{written} #{numbers[written]}"
            numbers[written] += 1
        taken[new] = None
    return list(taken)


def _cut(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= MOST_TEXT else f"{shown[:MOST_TEXT]}..."


def _quoted(text: str) -> str:
    return f'"{html.escape(text)}"'
