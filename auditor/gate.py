"""Verdicts, counted -> the exit code of a pipeline, with its reasons."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from auditor.declared.config import Threshold
from auditor.errors import ExitCode
from auditor.ruleset.model import SEVERITIES, BoundRule


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Verdicts by outcome; exempt ones are counted under their outcome and once more beside it."""

    passed: Annotated[int, msgspec.Meta(description="outcome pass")] = msgspec.field(name="pass", default=0)
    fail: int = 0
    unknown: int = 0
    not_applicable: int = 0
    exempt: Annotated[int, msgspec.Meta(description="failing verdicts that are exempt")] = 0
    exempt_unknown: Annotated[int, msgspec.Meta(description="unknown verdicts that are exempt")] = 0

    @property
    def total(self) -> int:
        """All verdicts."""
        return self.passed + self.fail + self.unknown + self.not_applicable


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the process said with its exit code, and why."""

    exit_code: int
    reasons: list[str]


def counted_by(threshold: Threshold) -> tuple[tuple[str, ...], bool]:
    """Return the severities whose violations count, worst first, none for ``never``; and whether only new ones do."""
    for number, word in enumerate(SEVERITIES, 1):
        if threshold in (word, f"new:{word}"):
            return SEVERITIES[:number], threshold != word
    return (), False


def decide(
    rules: Sequence[tuple[BoundRule, Counts]],
    missing: Sequence[str],
    threshold: Threshold,
    *,
    strict: bool,
    new: Mapping[str, int] | None = None,
) -> Gate:
    """Decide what the process exits with.

    Args:
        rules: each rule with its verdicts.
        missing: causes of the gaps that matter to these rules.
        threshold: the lowest severity whose violations count; after ``new:`` only those that the baseline does not
            know; ``never`` lets everything through.
        strict: any unknown verdict that is not exempt keeps the gate from concluding.
        new: violations by rule that the baseline does not know; without a baseline all of them are new.
    """
    if threshold == "never":
        return Gate(exit_code=ExitCode.OK, reasons=["the gate is off (--fail-on never)"])
    counted, only_new = counted_by(threshold)
    severity = counted[-1]
    violations = {rule.id: counts.fail - counts.exempt for rule, counts in rules}
    if only_new and new is not None:
        violations = {rule_id: new.get(rule_id, 0) for rule_id in violations}
    failing = [
        f"{violations[rule.id]} of {rule.id}" for rule, _ in rules if rule.severity in counted and violations[rule.id]
    ]
    if failing:
        reason = f"{'new ' if only_new else ''}violations of severity {severity} or higher: {', '.join(failing)}"
        return Gate(exit_code=ExitCode.VIOLATIONS, reasons=[reason])
    reasons = list(missing)
    if not any(counts.passed or counts.fail or counts.unknown for _, counts in rules):
        reasons.append("nothing was found to judge")
    reasons += [
        f"{rule.id} came to no conclusion: {counts.unknown} unknown, not one pass or fail"
        for rule, counts in rules
        if counts.unknown and not counts.passed and not counts.fail
    ]
    unknown = sum(counts.unknown - counts.exempt_unknown for _, counts in rules)
    if strict and unknown:
        reasons.append(f"{unknown} unknown verdict{'' if unknown == 1 else 's'} (--strict)")
    if reasons:
        return Gate(exit_code=ExitCode.CANNOT_CONCLUDE, reasons=reasons)
    reason = f"no {'new ' if only_new else ''}violation of severity {severity} or higher"
    return Gate(exit_code=ExitCode.OK, reasons=[reason])
