"""Verdicts counted the ways people ask for: by subscription and rule, and by resource."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from auditor.assessment.model import Report, RuleInfo
from auditor.gate import Counts
from auditor.text import fold


@dataclass(frozen=True, slots=True)
class SubscriptionTally:
    """The verdicts of one subscription.

    Attributes:
        id: as Azure spells it; empty for resources of no known subscription.
        name: what it is called; empty where that was not read.
        rules: by rule the verdicts of it, exempt ones not told apart; rules that judge nothing of it are not there.
    """

    id: str
    name: str
    rules: Mapping[str, Counts]

    @property
    def failing(self) -> int:
        """Failing verdicts."""
        return sum(counts.fail for counts in self.rules.values())

    @property
    def unknown(self) -> int:
        """Unknown verdicts."""
        return sum(counts.unknown for counts in self.rules.values())


@dataclass(frozen=True, slots=True)
class ResourceTally:
    """How many resources of a kind have a failing verdict, how many others an unknown one, how many only passes."""

    failing: int
    unknown: int
    passing: int


def by_resource(report: Report) -> dict[str, ResourceTally]:
    """Count the judged resources of each kind by their worst verdict."""
    tallies = {}
    for kind in dict.fromkeys(rule.resource for rule in report.rules):
        columns = [report.outcomes[rule.id] for rule in report.rules if rule.resource == kind]
        worst = Counter(next((letter for letter in "fup" if letter in row), "n") for row in zip(*columns, strict=True))
        tallies[str(kind)] = ResourceTally(worst["f"], worst["u"], worst["p"])
    return tallies


def by_subscription(report: Report) -> list[SubscriptionTally]:
    """Count verdicts by subscription and rule, the subscriptions that are worst first.

    Worse is what has more failing verdicts of the highest severity, then of the next, then more unknown ones.
    """
    names = {fold(entry.id): entry.name for entry in report.coverage.subscriptions}
    spelled: dict[str, str] = {}
    folded: dict[str, str] = {}  # so that a million resources share a few texts
    subscriptions: dict[str, list[str]] = {}
    for resource in report.resources:
        text = resource.subscription or ""
        key = folded.setdefault(text, fold(text))
        spelled.setdefault(key, text)
        subscriptions.setdefault(resource.kind, []).append(key)
    tallies: dict[str, dict[str, Counts]] = {key: {} for key in spelled}
    for rule in report.rules:
        # Counter counts pairs without a loop of ours: there may be millions.
        counted = Counter(zip(subscriptions.get(rule.resource, []), report.outcomes[rule.id], strict=True))
        for key in {key for key, _ in counted}:
            passed, fail, unknown, not_applicable = (counted[key, letter] for letter in "pfun")
            tallies[key][rule.id] = Counts(passed=passed, fail=fail, unknown=unknown, not_applicable=not_applicable)
    found = [SubscriptionTally(spelled[key], names.get(key, ""), rules) for key, rules in tallies.items()]
    return sorted(found, key=lambda tally: (_badness(tally, report.rules), tally.id))


def _badness(tally: SubscriptionTally, rules: list[RuleInfo]) -> tuple[int, ...]:
    """Return what sorts worse subscriptions first; rules come by severity."""
    by_severity: Counter[str] = Counter()
    for rule in rules:
        counts = tally.rules.get(rule.id)
        by_severity[rule.severity] += counts.fail if counts is not None else 0
    severities = dict.fromkeys(rule.severity for rule in rules)
    return (*(-by_severity[severity] for severity in severities), -tally.unknown)
