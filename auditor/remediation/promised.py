"""What a plan promised of the verdicts that its done steps answer, and what the rules say of them then."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from auditor.arm_id import parse_arm_id
from auditor.remediation.doing import Result
from auditor.remediation.model import Answer, Plan
from auditor.text import fold

Verdict: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Turned:
    """What became of the verdicts that were promised to turn.

    Attributes:
        turned: those that do not fail any more.
        unknown: those that are not known yet: a new item awaits its first backup, or not all was read.
        unread: those whose resource is not in what was read.
        missing: those that fail still, although the plan said that they would not.
        expected: those that fail still, as the plan said they would.
    """

    turned: Sequence[Answer]
    unknown: Sequence[Answer]
    unread: Sequence[Answer]
    missing: Sequence[Answer]
    expected: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class Promised:
    """The verdicts of which every step that answers them is done.

    Attributes:
        answers: in the order of the plan.
        expected: those of them that the plan itself says will fail still.
        subscriptions: ids of those that have to be read to judge them.
    """

    answers: Sequence[Answer]
    expected: Collection[Verdict]
    subscriptions: Collection[str]

    @property
    def verdicts(self) -> list[Verdict]:
        """Rule and folded id of each."""
        return [_verdict(answer) for answer in self.answers]

    def held_against(self, letters: Mapping[Verdict, str]) -> Turned:
        """Hold them against the letters that they have now; a resource that was not read has none."""
        found: dict[str, list[Answer]] = {name: [] for name in Turned.__dataclass_fields__}
        for answer in self.answers:
            verdict = _verdict(answer)
            letter = letters.get(verdict)
            if letter is None:
                found["unread"].append(answer)
            elif letter == "u":
                found["unknown"].append(answer)
            elif letter == "f":
                found["expected" if verdict in self.expected else "missing"].append(answer)
            else:
                found["turned"].append(answer)
        return Turned(**found)


def promised_of(plan: Plan, results: Iterable[Result]) -> Promised:
    """Return what is promised, once the steps are as far as they are."""
    wanted: dict[Verdict, Answer] = {}
    lost: set[Verdict] = set()
    subscriptions: set[str] = set()
    for result in results:
        for answer in result.step.answers:
            wanted.setdefault(_verdict(answer), answer)
            if result.done:
                subscriptions |= _subscriptions(answer.resource, result.step.target)
            else:
                lost.add(_verdict(answer))
    return Promised(
        [answer for verdict, answer in wanted.items() if verdict not in lost],
        {_verdict(answer) for answer in plan.projected.after_apply.still_failing},
        subscriptions,
    )


def _verdict(answer: Answer) -> Verdict:
    return answer.rule, fold(answer.resource)


def _subscriptions(*ids: str) -> set[str]:
    found = (parse_arm_id(arm_id) for arm_id in ids)
    return {fold(arm.subscription) for arm in found if arm is not None and arm.subscription is not None}
