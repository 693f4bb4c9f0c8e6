"""The worst findings as annotations: lines of a log from which a pipeline makes errors and warnings of its own.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal, TypeAlias

from auditor.assessment.model import Finding, Report
from auditor.errors import ExitCode
from auditor.text import printable

Level: TypeAlias = Literal["error", "warning", "notice"]

# Both platforms show ten of a level for a step, and drop the others without a word.
MOST = 10
_FAIL: Mapping[str, Level] = {"critical": "error", "high": "error", "medium": "warning", "low": "notice"}
_UNKNOWN: Mapping[str, Level] = {"critical": "warning", "high": "warning", "medium": "notice", "low": "notice"}
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is said, and of which line of which file; the report as a whole has none."""

    level: Level
    title: str
    message: str
    file: str = ""
    line: int = 0


def github(report: Report) -> Iterator[str]:
    """Yield workflow commands, the worst first: at most ``MOST`` of a level, exempt findings none of them."""
    for said in _capped(report, lambda level: level):
        place = f"file={_property(said.file)},line={said.line}," if said.file else ""
        yield f"::{said.level} {place}title={_property(said.title)}::{_data(said.message)}"


def azure_devops(report: Report) -> Iterator[str]:
    """Yield logging commands likewise, of the two levels that there are."""
    found = False
    for said in _capped(report, lambda level: "warning" if level == "notice" else level):
        found = True
        place = f"sourcepath={_value(said.file)};linenumber={said.line};" if said.file else ""
        yield f"##vso[task.logissue type={said.level};{place}]{_percent(f'{said.title}: {said.message}')}"
    # A step that fails is failed by its exit code; one that passes is not to look clean when it is not.
    if found and report.summary.gate.exit_code == ExitCode.OK:
        yield "##vso[task.complete result=SucceededWithIssues;]"


PLATFORMS: Mapping[str, Callable[[Report], Iterator[str]]] = {"github": github, "azure-devops": azure_devops}


def _capped(report: Report, level_of: Callable[[Level], Level]) -> Iterator[Annotation]:
    """Yield as many of each level as are shown; the last one says how many more there are."""
    whole, (found, counted) = list(_whole(report)), _worst(report)
    counts = Counter(level_of(said.level) for said in whole)
    for level, count in counted.items():
        counts[level_of(level)] += count
    shown: Counter[Level] = Counter()
    for said in chain(whole, _annotations(report, found)):
        level = level_of(said.level)
        shown[level] += 1
        if shown[level] < MOST or counts[level] == MOST:
            yield replace(said, level=level)
        elif shown[level] == MOST:
            left = counts[level] - MOST + 1
            yield Annotation(level, "And more", f"{left:,} more of this level are in the report, not shown here.")


def _whole(report: Report) -> Iterator[Annotation]:
    """Say what is wrong with the answer as a whole."""
    gate = report.summary.gate
    if gate.exit_code == ExitCode.CANNOT_CONCLUDE:
        yield Annotation("error", "Cannot conclude", "; ".join(gate.reasons))
    elif report.summary.verdict == "Cannot conclude":
        yield Annotation("warning", "Cannot conclude", report.summary.sentence)
    causes = list(dict.fromkeys(gap.cause for gap in report.gaps))
    if causes:
        more = f"; and {len(causes) - 3:,} more" if len(causes) > 3 else ""
        yield Annotation("warning", "Not read", "; ".join(causes[:3]) + more)


def _level(finding: Finding) -> Level:
    return (_UNKNOWN if finding.outcome == "unknown" else _FAIL)[finding.severity]


def _worst(report: Report) -> tuple[list[Finding], Counter[Level]]:
    """Return the worst findings, no more of a level than are shown, and how many there are of each level."""
    order, counts = list(_FAIL), Counter[Level]()
    worst: dict[Level, list[tuple[tuple[bool, int, bool], int]]] = {}
    for number, finding in enumerate(report.findings):
        if finding.exempt:
            continue
        level = _level(finding)
        counts[level] += 1
        # What the baseline knows already comes last.
        place = (finding.baseline == "unchanged", order.index(finding.severity), finding.outcome == "unknown")
        kept = worst.setdefault(level, [])
        kept.append((place, number))
        if len(kept) == 100 * MOST:  # there may be a million
            kept[:] = sorted(kept)[:MOST]
    shown = sorted(entry for kept in worst.values() for entry in sorted(kept)[:MOST])
    return [report.findings[number] for _, number in shown], counts


def _annotations(report: Report, findings: Sequence[Finding]) -> Iterator[Annotation]:
    rules = {rule.id: rule for rule in report.rules}
    shown = {finding.resource for finding in findings}
    names = {resource.id: resource.name for resource in report.resources if resource.id in shown}
    for finding in findings:
        rule = rules[finding.rule]
        new = "new, " if finding.baseline == "new" else ""
        yield Annotation(
            _level(finding),
            f"{finding.rule}: {finding.outcome}",
            f"{names[finding.resource]} ({new}{finding.severity}): {finding.message}",
            f"rules/{rule.file}",
            max(rule.line, 1),
        )


def _data(text: str) -> str:
    """Return text as the end of a workflow command; what is printable has no line breaks that had to be escaped."""
    return _short(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _percent(text: str) -> str:
    return _short(text).replace("%", "%AZP25")


def _value(text: str) -> str:
    return _percent(text).replace(";", "%3B").replace("]", "%5D")


def _short(text: str) -> str:
    """Return text on one line and without commands, and not more of it than anybody reads in a list."""
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
