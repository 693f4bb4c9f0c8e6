"""Verdicts, counted -> the exit code of a pipeline, with its reasons."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from auditor.declared.config import Threshold
from auditor.errors import ExitCode
from auditor.ruleset.model import SEVERITIES, BoundRule


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Verdicts by outcome; exempt ones are counted under their outcome and again under ``exempt``."""

    passed: Annotated[int, msgspec.Meta(description="outcome pass")] = msgspec.field(name="pass", default=0)
    fail: int = 0
    unknown: int = 0
    not_applicable: int = 0
    exempt: int = 0

    @property
    def total(self) -> int:
        """All verdicts."""
        return self.passed + self.fail + self.unknown + self.not_applicable


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the process said with its exit code, and why."""

    exit_code: int
    reasons: list[str]


def decide(
    rules: Sequence[tuple[BoundRule, Counts]],
    missing: Sequence[str],
    threshold: Threshold,
    *,
    strict: bool,
) -> Gate:
    """Decide what the process exits with.

    Args:
        rules: each rule with its verdicts.
        missing: causes of the gaps that matter to these rules.
        threshold: the lowest severity whose violations count; ``never`` lets everything through.
        strict: any unknown verdict keeps the gate from concluding.
    """
    if threshold == "never":
        return Gate(exit_code=ExitCode.OK, reasons=["the gate is off (--fail-on never)"])
    counted = SEVERITIES[: SEVERITIES.index(threshold) + 1]
    violations: Mapping[str, int] = {
        rule.id: counts.fail - counts.exempt for rule, counts in rules if rule.severity in counted
    }
    failing = [f"{count} of {rule_id}" for rule_id, count in violations.items() if count > 0]
    if failing:
        reason = f"violations of severity {threshold} or higher: {', '.join(failing)}"
        return Gate(exit_code=ExitCode.VIOLATIONS, reasons=[reason])
    reasons = list(missing)
    if not any(counts.passed or counts.fail or counts.unknown for _, counts in rules):
        reasons.append("nothing was found to judge")
    reasons += [
        f"{rule.id} came to no conclusion: {counts.unknown} unknown, not one pass or fail"
        for rule, counts in rules
        if counts.unknown and not counts.passed and not counts.fail
    ]
    unknown = sum(counts.unknown for _, counts in rules)
    if strict and unknown:
        reasons.append(f"{unknown} unknown verdict{'' if unknown == 1 else 's'} (--strict)")
    if reasons:
        return Gate(exit_code=ExitCode.CANNOT_CONCLUDE, reasons=reasons)
    return Gate(exit_code=ExitCode.OK, reasons=[f"no violation of severity {threshold} or higher"])
