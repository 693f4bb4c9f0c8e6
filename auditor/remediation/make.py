"""The one function that strings these together: an assessment of an inventory -> a plan of it."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from auditor import __version__
from auditor.assessment.assess import Assessment
from auditor.assessment.model import GapInfo
from auditor.assessment.question import Question
from auditor.assessment.run_id import question_id
from auditor.declared.config import Remediation
from auditor.errors import AuditorError, UsageError
from auditor.inventory.facts import Change
from auditor.inventory.model import Inventory
from auditor.remediation.model import (
    SCHEMA_VERSION,
    Answer,
    Checked,
    CreatedFrom,
    JudgedBy,
    Plan,
    PlanOptions,
    Projected,
    Step,
    signed,
)
from auditor.remediation.placement import fault_of_vault
from auditor.remediation.planning import Planner, Rules, by_hand, linked, ordered, vault_key
from auditor.remediation.policies import fault_of_template
from auditor.remediation.projected import Failing, changes_of, failing_of, projection_of
from auditor.remediation.situation import look, within
from auditor.text import fold
from auditor.timestamps import show_time

_ROUNDS = 4
_NO_TIME = "Give the time of the export with --as-of 2026-01-31T06:00:00Z."
_CAUSES = 20  # of gaps, told one by one

Check = Callable[[Sequence[Step]], Checked]
Judge = Callable[[Path, Change | None], Assessment]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan is made of.

    Attributes:
        inventory: what was read.
        question: the rules and what was declared.
        options: what is to be planned.
        judge: judges the inventory as it is, or as it would be after a change, in a folder of its own.
        check: asks Azure about steps; ``None`` where it is not asked.
        judged_by: the flags that the question comes from.
    """

    inventory: Inventory
    question: Question
    options: PlanOptions
    judge: Judge
    check: Check | None = None
    judged_by: JudgedBy = field(default_factory=JudgedBy)


def make_plan(asked: Asked, folder: Path) -> Plan:
    """Plan until what the plan would leave needs no further step that a program can do.

    Raises:
        UsageError: nobody knows the time that the inventory was taken at, or Azure would take no such policy as the
            template describes.
    """
    _check_templates(asked.question.config.remediation)
    first = asked.judge(_room(folder), None)
    try:
        now = first.estate.now
        if now is None:
            raise UsageError("the inventory does not say when it was taken, and a plan has to know", _NO_TIME)
        before, report = failing_of(first), first.report
        steps = _steps_of(first, asked, asked.options.rules, asked.options.only)
    finally:
        first.estate.connection.close()
    manual = [step for step in steps if step.kind == "Manual"]
    automatic = [step for step in steps if step.kind != "Manual"]
    automatic, vetoed, notices = _checked(automatic, asked.check)
    manual += vetoed
    notices += _idle(before, asked.options.only)
    forbidden = {fold(step.target) for step in vetoed}
    after = applied = before
    for _ in range(_ROUNDS):
        if not automatic:
            break  # nothing changes
        changes = changes_of(automatic, _room(folder), now)
        second = asked.judge(_room(folder), changes.backed_up)
        try:
            after = failing_of(second)
            more = _more(second, asked, automatic, before, forbidden)
        finally:
            second.estate.connection.close()
        if not more:
            break
        more, vetoed, said = _checked(more, asked.check)
        manual += vetoed
        notices += [notice for notice in said if notice not in notices]
        forbidden |= {fold(step.target) for step in vetoed}
        there = {step.id for step in automatic}
        more = [step for step in more if step.id not in there]
        if not more:
            break
        automatic = ordered([*automatic, *more])
    else:
        raise AuditorError("the plan does not settle: what it leaves needs ever more", "Please report it.")
    automatic = linked(automatic)
    if automatic:
        done = asked.judge(_room(folder), changes.applied)
        try:
            applied = failing_of(done)
        finally:
            done.estate.connection.close()
    origin = asked.inventory.origin
    return signed(
        Plan(
            schema_version=SCHEMA_VERSION,
            digest="",
            tenant=origin.tenant if origin is not None else "",
            cloud=origin.cloud if origin is not None else "",
            created_from=CreatedFrom(
                tool=f"azure-backup-auditor {__version__}",
                run_id=report.run_id,
                as_of=show_time(now),
                inventory_sha256=report.inventory.sha256,
                failing=len(before.verdicts),
                unknown=before.unknown,
                judged_by=msgspec.structs.replace(asked.judged_by, sha256=question_id(asked.question)),
            ),
            options=asked.options,
            steps=[*automatic, *manual],
            projected=Projected(
                after_apply=projection_of(automatic, before, applied),
                after_first_backup=projection_of(automatic, before, after),
            ),
            notices=[*_notices(before, report.gaps, asked), *notices],
        )
    )


def _check_templates(settings: Remediation) -> None:
    hint = "See docs/configuration.md for what goes together."
    if fault := fault_of_template(settings.policy):
        raise UsageError(f"auditor.yaml: remediation.policy.{fault}", hint)
    if fault := fault_of_vault(settings.vault):
        raise UsageError(f"auditor.yaml: remediation.vault.{fault}", hint)


def _steps_of(assessment: Assessment, asked: Asked, only_rules: Sequence[str], only: Sequence[str]) -> list[Step]:
    question, options = asked.question, asked.options
    rules = Rules(
        parameters={rule.id: rule.values for rule in question.rules},
        fixes={rule.id: rule.rule.fix for rule in question.rules},
    )
    situation = look(assessment, only_rules, [fold(scope) for scope in only])
    return Planner(situation, question.config.remediation, options, rules, question.intents).steps()


def _checked(steps: list[Step], check: Check | None) -> tuple[list[Step], list[Step], list[str]]:
    """Return the steps that Azure has nothing against, recipes in the place of the others, and what was not checked."""
    if check is None:
        unchecked = "locks, names, other protection of the VMs, sizes, registration and assignments of Azure Policy"
        return (
            steps,
            [],
            [f"Azure was not asked whether the steps can be done ({unchecked}): plan live, or --preflight."],
        )
    listed = linked(steps)
    found = check(listed)
    vetoes = dict(found.vetoes)
    for step in listed:  # in order: what rests on a step that cannot be done cannot be done either
        lost = [need for need in step.depends_on if need in vetoes]
        if lost and step.id not in vetoes:
            vetoes[step.id] = f"what it needs cannot be done: {vetoes[lost[0]]}"
    moves = [(step.id, (step.before or {}).get("policyId")) for step in listed if step.kind == "AssignPolicy"]
    stuck = {policy: vetoes[move] for move, policy in reversed(moves) if move in vetoes}
    for move, policy in moves:  # all items of a policy go over, or none
        if policy in stuck:
            vetoes.setdefault(move, f"another item of its policy cannot go over: {stuck[policy]}")
    kept = [
        msgspec.structs.replace(step, notes=[*step.notes, *found.notes.get(step.id, ())])
        for step in steps
        if step.id not in vetoes
    ]
    if vetoes:
        kept = _needed(kept)
    vetoed = [by_hand(step, vetoes[step.id]) for step in steps if step.id in vetoes]
    more = [step for step in found.more if kept]
    return [*more, *kept], vetoed, [f"Not checked with Azure: {entry}" for entry in found.unchecked]


def _more(
    assessment: Assessment, asked: Asked, steps: Sequence[Step], before: Failing, forbidden: set[str]
) -> list[Step]:
    """Return the steps that what is planned so far makes necessary: a new vault has to pass the rules, too."""
    known = {step.id for step in steps}
    created = {fold(step.target) for step in steps if step.kind == "CreateVault"}
    made = created | {fold(step.target) for step in steps if step.kind == "DefinePolicy"}
    only = [fold(scope) for scope in asked.options.only]
    found = []
    for needed in _steps_of(assessment, asked, (), ()):
        step = needed
        if step.kind == "Manual" or step.id in known or fold(step.target) in forbidden:
            continue
        if all((answer.rule, fold(answer.resource)) in before.verdicts for answer in step.answers):
            continue  # it failed before, and nobody asked for it
        rules = {answer.rule for answer in step.answers}
        asked_for = within(fold(step.target), only) and rules <= set(asked.options.rules or rules)
        if not asked_for and not made & {fold(step.target), vault_key(step.target)}:
            continue  # it was there, and nobody asked for it: the projection says that it would fail
        answers = [answer for answer in step.answers if (answer.rule, fold(answer.resource)) in before.verdicts]
        because = sorted({answer.rule for answer in step.answers})
        if fold(step.target) in created:  # what was there before is what the plan itself creates
            step = msgspec.structs.replace(needed, preconditions=[], before=None)
        found.append(_noted(step, answers, f"So that what is planned passes {', '.join(because)}."))
    return found


def _needed(steps: list[Step]) -> list[Step]:
    """Return steps without the vaults and policies that nothing is left for."""
    while True:
        needs = {need for step in linked(steps) for need in step.depends_on}
        kept = [
            step
            for step in steps
            if step.id in needs
            or step.answers
            or step.before is not None
            or step.kind not in ("CreateVault", "DefinePolicy")
        ]
        if len(kept) == len(steps):
            return kept
        steps = kept


def _idle(before: Failing, only: Sequence[str]) -> list[str]:
    """Say which scopes nothing that fails lies in: one of them may be misspelt."""
    return [
        f"--only {scope}: nothing in it fails, or there is no such resource."
        for scope in only
        if not any(within(key, [fold(scope)]) for _, key in before.verdicts)
    ]


def _noted(step: Step, answers: list[Answer], note: str) -> Step:
    return msgspec.structs.replace(step, answers=answers, notes=[*step.notes, note])


def _notices(before: Failing, gaps: Sequence[GapInfo], asked: Asked) -> list[str]:
    causes = list(dict.fromkeys(gap.cause for gap in gaps))
    said = [f"Not read: {cause}" for cause in causes[:_CAUSES]]
    if len(causes) > _CAUSES:
        said.append(f"Not read: {len(causes) - _CAUSES:,} more gaps, which auditor audit tells.")
    if before.unknown:
        said.append(f"{before.unknown:,} verdicts are unknown: what is not known is not planned for.")
    if asked.inventory.origin is None:
        said.append("The plan was made from exports, which do not name the tenant: apply has to be told it (--tenant).")
    return said


def _room(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))
