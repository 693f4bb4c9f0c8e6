"""A plan for a terminal: what happens, in which order, to whom; what is left to people; what would then be."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from auditor.formats.terminal import print_line, told
from auditor.remediation.model import Plan, Step

MOST_STEPS = 20
MOST_MANUAL = 10
_WORDS = {
    "RegisterProvider": "register",
    "CreateVault": "create",
    "SetRedundancy": "change",
    "SetVaultProtection": "change",
    "DefinePolicy": "define",
    "AssignPolicy": "assign",
    "EnableProtection": "protect",
    "TriggerBackup": "back up",
    "Manual": "by hand",
}


def print_plan(plan: Plan, console: Console, written: Sequence[str]) -> None:
    """Print a plan in short."""
    for line in _lines(plan):
        print_line(console, line)
    for path in written:
        print_line(console, told(f"Wrote {path}"))


def summary_of(plan: Plan) -> str:
    """Return the plan in a sentence."""
    counts = Counter(step.kind for step in plan.steps)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if kind != "Manual")
    by_hand = sum(len(step.answers) for step in plan.steps if step.kind == "Manual")
    answered = plan.created_from.failing
    if not plan.steps:
        return f"Nothing to do: {answered:,} verdicts fail."
    steps = f"{len(plan.automatic):,} steps ({kinds})" if plan.automatic else "No step that a program can do"
    after = plan.projected.after_first_backup
    return (
        f"{steps} for {answered:,} failing verdicts: {after.turned:,} would turn, {by_hand:,} are left to people, "
        f"{after.failing:,} would fail still."
    )


def _lines(plan: Plan) -> Iterator[Text]:
    yield told(summary_of(plan))
    yield told("")
    for number, step in enumerate(plan.automatic[:MOST_STEPS], 1):
        yield told(f"{number:>4}  {_WORDS[step.kind]:<8}  {step.title}")
        yield from (told(f"                ! {risk}") for risk in step.risks)
        yield from (told(f"                {note}") for note in step.notes)
    if len(plan.automatic) > MOST_STEPS:
        yield told(f"      and {len(plan.automatic) - MOST_STEPS:,} more steps: write them with -o plan.md")
    yield from _manual([step for step in plan.steps if step.kind == "Manual"])
    yield from _after(plan)
    yield from (told(f"Note: {notice}") for notice in plan.notices)


def _manual(steps: Sequence[Step]) -> Iterator[Text]:
    if steps:
        yield told("")
    for step in steps[:MOST_MANUAL]:
        yield told(f"      by hand   {step.title}")
    if len(steps) > MOST_MANUAL:
        yield told(f"      and {len(steps) - MOST_MANUAL:,} more things to do by hand: their recipes are in plan.md")


def _after(plan: Plan) -> Iterator[Text]:
    yield told("")
    for words, projection in (
        ("Once it is applied", plan.projected.after_apply),
        ("After the first backups", plan.projected.after_first_backup),
    ):
        yield told(f"{words}: {projection.failing:,} verdicts fail, {projection.unknown:,} are unknown")
    for answer in plan.projected.after_first_backup.still_failing[:MOST_STEPS]:
        yield told(f"The plan would not make {answer.rule} pass on {answer.resource}")
    for answer in plan.projected.after_first_backup.newly_failing[:MOST_STEPS]:
        yield told(f"It would make {answer.rule} fail on {answer.resource}")
