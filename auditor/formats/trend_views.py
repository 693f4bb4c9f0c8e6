"""The trend as it is drawn: bars of all verdicts by run, and a small chart for each rule."""

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.assessment.model import Trend, TrendRun
from auditor.gate import Counts

_HIGH, _SMALL = 100, 8  # heights of the charts


@dataclass(frozen=True, slots=True)
class Bar:
    """A run's bar: the heights of its two pieces, and whether what is left of it does not compare."""

    run: TrendRun
    fail: float
    unknown: float
    broken: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """The bars of all runs; ``highest`` is what the highest one counts."""

    bars: Sequence[Bar]
    highest: int


@dataclass(frozen=True, slots=True)
class Point:
    """A run's bar in the chart of a rule."""

    fail: float
    unknown: float


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule through the runs; counts are ``None`` where a run was without it.

    Attributes:
        first: of the oldest run shown, ``before`` of the last but one, ``now`` of this report.
        changes: when it began to judge otherwise, and how.
    """

    rule: str
    points: Sequence[Point]
    first: Counts | None
    before: Counts | None
    now: Counts | None
    changes: Sequence[tuple[str, str]]


def chart(trend: Trend) -> Chart:
    """Lay out the bars of all runs."""
    highest = max(run.counts.fail + run.counts.unknown for run in trend.runs)
    bars = []
    for run in trend.runs:
        fail, unknown = _heights(run.counts, highest, _HIGH)
        bars.append(Bar(run, fail, unknown, bool(run.not_comparable or run.rules_changed)))
    return Chart(bars, highest)


def by_rule(trend: Trend) -> list[RuleLine]:
    """Lay out the rules that something failed or was unknown in, most failing now first."""
    ids = dict.fromkeys(rule for run in reversed(trend.runs) for rule in run.rules)
    lines = [_line(trend, rule) for rule in ids if any(_uneasy(run.rules.get(rule)) for run in trend.runs)]
    return sorted(lines, key=lambda line: (-_fails(line.now), -_uneasy(line.now), line.rule))


def _line(trend: Trend, rule: str) -> RuleLine:
    counted = [run.rules.get(rule) for run in trend.runs]
    highest = max(map(_uneasy, counted))
    return RuleLine(
        rule=rule,
        points=[Point(*_heights(counts or Counts(), highest, _SMALL)) for counts in counted],
        first=counted[0],
        before=counted[-2] if len(counted) > 1 else None,
        now=counted[-1],
        changes=[
            (run.as_of or "", "; ".join(f"{name} {what}" for name, what in sorted(entry.changed.items())))
            for run in trend.runs
            for entry in run.rules_changed
            if entry.rule == rule
        ],
    )


def _heights(counts: Counts, highest: int, room: int) -> tuple[float, float]:
    if not highest:
        return 0, 0
    return round(room * counts.fail / highest, 2), round(room * counts.unknown / highest, 2)


def _fails(counts: Counts | None) -> int:
    return counts.fail if counts is not None else 0


def _uneasy(counts: Counts | None) -> int:
    return counts.fail + counts.unknown if counts is not None else 0
