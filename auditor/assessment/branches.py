"""The branches of a rule's conditions, and which of them its cases never decide one way or the other.

A branch that no case makes false (or true) could be misspelt, or left out, and every case would still come out as it
should.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditor.errors import Place
from auditor.ruleset.model import AllOf, AnyOf, BoundRule, Condition, Not, Rule
from auditor.yaml_source import Steps


@dataclass(frozen=True, slots=True)
class Unseen:
    """A branch, and the truth that no case gives it; ``path`` is as in ``require.anyOf[1]``."""

    path: str
    truth: bool
    place: Place


def branches(rule: BoundRule) -> dict[Steps, Condition]:
    """Return all parts of a rule's conditions by where they are written, in the order of the file.

    Both conditions themselves are among them. What a ``not`` is about stands for the ``not``: it is true where that is
    false.
    """
    found: dict[Steps, Condition] = {}
    if rule.applies is not None:
        found.update(_parts(rule.applies, ("applies",), rule.rule.places))
    found.update(_parts(rule.require, ("require",), rule.rule.places))
    return found


def unseen(rule: Rule, seen: Sequence[Mapping[Steps, bool | None]]) -> list[Unseen]:
    """Return the branches that no case decides in one of the two ways.

    Unknown is neither. What a rule requires is looked at only where the rule applies: elsewhere it decides nothing.

    Args:
        rule: the rule.
        seen: the truths of all branches (see ``branches``), for each case.
    """
    shown: dict[Steps, set[bool | None]] = {}
    for truths in seen:
        applies = truths.get(("applies",), True)
        for steps, truth in truths.items():
            shown.setdefault(steps, set()).update({truth} if applies or steps[0] == "applies" else ())
    return [
        Unseen(path_of(steps), truth, rule.places.get(steps, rule.place))
        for steps, truths in shown.items()
        if len(steps) > 1  # of a condition as a whole the outcomes tell
        for truth in (True, False)
        if truth not in truths
    ]


def path_of(steps: Steps) -> str:
    """Write where a branch stands, as ``require.anyOf[1]``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _parts(condition: Condition, steps: Steps, places: Mapping[Steps, Place]) -> Iterator[tuple[Steps, Condition]]:
    if isinstance(condition, Not) and (*steps, "not") in places:  # not the Not that a word such as notIn is made of
        if len(steps) == 1:
            yield steps, condition
        yield from _parts(condition.part, (*steps, "not"), places)
        return
    yield steps, condition
    if isinstance(condition, AllOf | AnyOf):
        word = "allOf" if isinstance(condition, AllOf) else "anyOf"
        for number, part in enumerate(condition.parts):
            yield from _parts(part, (*steps, word, number), places)
