"""A plan as people read it: steps numbered and grouped, what to look at first, who needs which right where.

A plan may hold 100,000 steps that differ in nothing but the VM: these are one group, told once.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from auditor.arm_id import parse_arm_id
from auditor.remediation.model import Answer, Plan, PlanOptions, Precondition, Request, Step
from auditor.text import fold

MOST_LINES = 200
_WHAT = {
    "RegisterProvider": "register the provider of vaults",
    "CreateVault": "create a vault",
    "SetRedundancy": "set the redundancy of a vault that holds nothing",
    "SetVaultProtection": "guard a vault",
    "DefinePolicy": "define or edit a backup policy",
    "AssignPolicy": "move a protected VM to another policy",
    "EnableProtection": "protect a VM",
    "TriggerBackup": "take a backup now",
}
# A name in braces stands for the id that is another one in each step of a group.
_ITEM, _VM, _VAULT = "{item}", "{VM}", "{vault}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a plan is told in full; what is left out is counted, and said to be left out.

    Attributes:
        steps: steps told one by one, in order; as many of those that carry a risk besides.
        groups: groups of steps told in full, likewise.
        listed: lines of a list: answered verdicts, affected items, resources, scopes.
        characters: of a text.
    """

    steps: int = 500
    groups: int = 150
    listed: int = 100
    characters: int = 2_000


@dataclass(frozen=True, slots=True)
class Who:
    """Whom a step is about, and the part of its title that names them."""

    name: str
    id: str
    noun: str
    before: str = ""
    after: str = ""
    known: bool = False


@dataclass(slots=True)
class Group:
    """Steps that differ in nothing but whom they are about.

    Attributes:
        numbers: of the steps, from 1, in order.
        steps: the steps.
        who: whom the first of them is about.
        one_way: Azure never takes it back.
        weaker: something protects less afterwards.
    """

    numbers: list[int]
    steps: list[Step]
    who: Who
    one_way: bool
    weaker: bool

    @property
    def first(self) -> Step:
        """The step that stands for all of them."""
        return self.steps[0]

    @property
    def heading(self) -> str:
        """What happens, to how many."""
        if len(self.steps) == 1:
            return self.first.title
        many = f"{len(self.steps):,} {self.who.noun}s"
        lead = "Create " if self.who.before == "Create vault " else self.who.before
        return f"{lead}{many}{self.who.after}"

    @property
    def risky(self) -> bool:
        """Whether somebody has to look twice."""
        return self.one_way or self.weaker or bool(self.first.risks)

    @property
    def request(self) -> Request | None:
        """The call, with names in braces for what differs."""
        asked = self.first.request
        if asked is None or len(self.steps) == 1:
            return asked
        return Request(
            method=asked.method,
            path=masked(asked.path, self.first),
            api_version=asked.api_version,
            body=masked(asked.body, self.first),
        )

    @property
    def preconditions(self) -> list[Precondition]:
        """What is looked at again before, likewise."""
        if len(self.steps) == 1:
            return self.first.preconditions
        return [
            Precondition(path=masked(one.path, self.first), api_version=one.api_version, equals=one.equals)
            for one in self.first.preconditions
        ]

    @property
    def after(self) -> dict[str, Any] | None:
        """What is there afterwards, likewise."""
        whole: dict[str, Any] | None = (
            self.first.after if len(self.steps) == 1 else masked(self.first.after, self.first)
        )
        return whole

    @property
    def answers(self) -> list[Answer]:
        """The verdicts that it answers, likewise."""
        if len(self.steps) == 1:
            return self.first.answers
        return [Answer(rule=one.rule, resource=masked(one.resource, self.first)) for one in self.first.answers]


@dataclass(frozen=True, slots=True)
class Right:
    """A right that some steps need in a resource group: on what, and for how many of them."""

    scope: str
    right: str
    on: Sequence[str]
    steps: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What some steps change in what Azure charges; an empty text is one that is not known."""

    cost: str
    steps: int
    kinds: Sequence[str]


@dataclass(slots=True)
class Reading:
    """A plan, read once."""

    plan: Plan
    steps: Sequence[Step]
    manual: Sequence[Step]
    groups: Sequence[Group]
    kinds: Mapping[str, int]
    rights: Sequence[Right]
    costs: Sequence[Cost]
    _number: Mapping[str, int]
    _needed_by: Mapping[str, list[int]] = field(default_factory=dict)

    def after(self, step: Step) -> list[int]:
        """Return the numbers of the steps that have to be done before one."""
        return sorted({self._number[entry] for entry in step.depends_on if entry in self._number})

    def missing(self, group: Group) -> list[str]:
        """Return the steps that one of a group is to come after, and that are not in the plan."""
        wanted = dict.fromkeys(entry for step in group.steps for entry in step.depends_on)
        return [entry for entry in wanted if entry not in self._number]

    def all_after(self, group: Group) -> list[int] | None:
        """Return the numbers that all steps of a group come after, or ``None`` where they differ."""
        first = self.after(group.first)
        return first if all(self.after(step) == first for step in group.steps[1:]) else None

    def needed_by(self, group: Group) -> list[int]:
        """Return the numbers of the steps that come after one of a group."""
        return sorted({number for step in group.steps for number in self._needed_by.get(step.id, ())})

    @property
    def left(self) -> int:
        """How many failing verdicts are left to people."""
        return sum(len(step.answers) for step in self.manual)

    @property
    def risky(self) -> Sequence[Group]:
        """The groups to look at twice: what can never be taken back first, then what gets weaker."""
        found = [group for group in self.groups if group.risky]
        return sorted(found, key=lambda group: (not group.one_way, not group.weaker, group.numbers[0]))

    def in_full(self, limits: Limits) -> dict[int, int]:
        """Return which groups are told in full, by place, and of how many of its steps each names whom."""
        chosen: dict[int, int] = {}
        for only_risky in (False, True):
            left, groups = limits.steps, limits.groups
            for place, group in enumerate(self.groups):
                if (only_risky and not group.risky) or left <= 0 or groups <= 0:
                    continue
                taken = min(len(group.steps), left)
                chosen[place] = max(taken, chosen.get(place, 0))
                left, groups = left - taken, groups - 1
        return dict(sorted(chosen.items()))


def read_plan(plan: Plan) -> Reading:
    """Number the steps of a plan, group them, and add up what they need."""
    steps = plan.automatic
    number: dict[str, int] = {}
    needed: defaultdict[str, list[int]] = defaultdict(list)
    for place, step in enumerate(steps, 1):
        number.setdefault(step.id, place)
        for entry in step.depends_on:
            needed[entry].append(place)
    return Reading(
        plan=plan,
        steps=steps,
        manual=[step for step in plan.steps if step.kind == "Manual"],
        groups=_groups(steps),
        kinds=Counter(step.kind for step in steps),
        rights=_rights(steps),
        costs=_costs(steps),
        _number=number,
        _needed_by=needed,
    )


def what(kind: str) -> str:
    """Return in words what steps of a kind do."""
    return _WHAT.get(kind, kind)


def ranges(numbers: Sequence[int], most: int = 20) -> str:
    """Write ascending numbers as ``1, 3-5``: so many pieces at most, and how many numbers are left out."""
    pieces: list[list[int]] = []
    for value in numbers:
        if pieces and value == pieces[-1][-1] + 1:
            pieces[-1][1:] = [value]
        else:
            pieces.append([value])
    shown = ", ".join("-".join(f"{value:,}" for value in piece) for piece in pieces[:most])
    left = sum(piece[-1] - piece[0] + 1 for piece in pieces[most:])
    return f"{shown} and {left:,} more" if left else shown


def name_of(arm_id: str) -> str:
    """Return the last part of an id."""
    return arm_id.rpartition("/")[2]


def vault_of(arm_id: str) -> str:
    """Return the id of the vault that something is in, or is."""
    return "/".join(arm_id.split("/")[:9])


def group_of(arm_id: str) -> str:
    """Return the id of the resource group, else of the subscription, that something is in."""
    parsed = parse_arm_id(arm_id)
    if parsed is None or parsed.subscription is None:
        return arm_id
    group = f"/resourceGroups/{parsed.resource_group}" if parsed.resource_group is not None else ""
    return f"/subscriptions/{parsed.subscription}{group}"


def asked_for(options: PlanOptions) -> list[str]:
    """Return the options that a plan was made with, as they are typed."""
    flags = (
        ("--trigger-backup", options.trigger_backup),
        ("--edit-policies", options.edit_policies),
        ("--allow-reduce", options.allow_reduce),
    )
    said = [flag for flag, given in flags if given]
    said += [f"--allow-one-way {word}" for word in options.allow_one_way]
    said += [f"--only {scope}" for scope in options.only]
    return said + [f"--select {rule}" for rule in options.rules]


def held_back(options: PlanOptions) -> list[str]:
    """Say what is not in the plan because nobody allowed it."""
    kinds = (
        ("what can never be taken back", options.allow_one_way),
        ("what weakens anything", options.allow_reduce),
        ("edits of policies that are in use", options.edit_policies),
        ("backups at once", options.trigger_backup),
    )
    return [kind for kind, allowed in kinds if not allowed]


def json_lines(value: object, limits: Limits) -> list[str]:
    """Return JSON on lines of which none is too long; what is left out is said in the last one."""
    lines = json.dumps(value, ensure_ascii=False, indent=1, default=str).split("\n")
    shown = [shortened(line, limits.characters) for line in lines[:MOST_LINES]]
    left = len(lines) - MOST_LINES
    return [*shown, f"... and {left:,} more lines: plan.json has them"] if left > 0 else shown


def changes_of(group: Group, limits: Limits) -> list[tuple[str, str | None, str | None]]:
    """Return what is another value afterwards, as (name, before, after); ``None`` is what a plan does not say.

    A value before that has only the last name of one after is the same one: the inventory has no paths.
    """
    before, after = _flat(group.first.before or {}), _flat(group.after or {})
    lasts = Counter(path.rpartition(".")[2] for path in after)
    by_last = {last: path for path in after if lasts[last := path.rpartition(".")[2]] == 1}
    old = {path if path in after else by_last.get(path, path): value for path, value in before.items()}
    rows: list[tuple[str, str | None, str | None]] = [(path, old.get(path), value) for path, value in after.items()]
    rows += [(path, value, None) for path, value in old.items() if path not in after]
    return [
        (shortened(path, limits.characters), _cut(then, limits), _cut(now, limits))
        for path, then, now in rows
        if then != now
    ]


def checks_of(group: Group, limits: Limits) -> list[tuple[str, list[tuple[str, str]] | None]]:
    """Return what is looked at again before: a path and the values that it must have, ``None`` where nothing may be."""
    found: list[tuple[str, list[tuple[str, str]] | None]] = []
    for one in group.preconditions[: limits.listed]:
        if one.equals is None:
            found.append((one.path, None))
            continue
        values = [(name, json.dumps(value, ensure_ascii=False, default=str)) for name, value in one.equals.items()]
        found.append((one.path, [(name, shortened(value, limits.characters)) for name, value in values]))
    return found


def says_all(step: Step) -> bool:
    """Whether the request says all that is there afterwards, so that it need not be told twice."""
    body = step.request.body if step.request is not None else None
    return step.before is None and body is not None and step.after in (body, body.get("properties"))


def shortened(text: str, most: int) -> str:
    """Return a text, of which at most so many characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def masked(value: Any, step: Step) -> Any:  # noqa: ANN401 -- JSON
    """Return JSON or text with names in braces for the ids that are others in each step of a group."""
    if isinstance(value, str):
        for arm_id, name in differing(step):
            value = value.replace(arm_id, name)
        return value
    if isinstance(value, dict):
        return {name: masked(part, step) for name, part in value.items()}
    return [masked(part, step) for part in value] if isinstance(value, list) else value


def differing(step: Step) -> list[tuple[str, str]]:
    """Return the ids that are others in each step of a group, and what stands for them when the group is told."""
    found = [(vault_of(step.target), _VAULT)]
    if step.kind in ("EnableProtection", "AssignPolicy", "TriggerBackup"):
        found = [(step.target, _ITEM), (_vm_of(step), _VM)]
    # What is no id could be part of any word.
    return [(arm_id, name) for arm_id, name in found if fold(arm_id).startswith("/subscriptions/")]


def who_of(step: Step) -> Who:
    """Return whom a step is about, and where its title names them."""
    target = step.target
    match step.kind:
        case "EnableProtection":
            vm = _vm_of(step)
            return _titled(step, Who(name_of(vm), vm, "VM", "Protect "))
        case "AssignPolicy":
            vm = _vm_of(step)
            lead = f"Let {name_of(_property(step, 'policyId'))} back up "
            return _titled(step, Who(name_of(vm), vm, "VM", lead))
        case "TriggerBackup":
            return _titled(step, Who(target.rpartition(";")[2], _vm_of(step), "VM", "Back up "))
        case "CreateVault":
            return _titled(step, Who(name_of(target), target, "vault", "Create vault "))
        case "DefinePolicy":
            vault = vault_of(target)
            return _titled(step, Who(name_of(vault), vault, "vault", f"Define policy {name_of(target)} in "))
        case "SetRedundancy" | "SetVaultProtection":
            lead = "Guard " if step.title.startswith("Guard ") else "Make "
            return _titled(step, Who(name_of(target), target, "vault", lead))
    return Who(name_of(target), target, "resource")


def _titled(step: Step, who: Who) -> Who:
    """Return the same with what the title says after the name, where the title begins as it should."""
    start, end = len(who.before), len(who.before) + len(who.name)
    if not who.name or step.title[:start] != who.before or fold(step.title[start:end]) != fold(who.name):
        return who
    return Who(who.name, who.id, who.noun, who.before, step.title[end:], known=True)


def _groups(steps: Iterable[Step]) -> list[Group]:
    """Group steps of one kind that follow one another, and say the same of different resources."""
    groups: list[Group] = []
    kind, held = "", dict[bytes, Group]()
    for number, step in enumerate(steps, 1):
        if step.kind != kind:
            kind, held = step.kind, {}
        who = who_of(step)
        key = _likeness(step, who, number)
        group = held.get(key)
        if group is None:
            group = held[key] = Group([], [], who, _one_way(step), any(map(_says_weaker, step.risks)))
            groups.append(group)
        group.numbers.append(number)
        group.steps.append(step)
    return groups


def _likeness(step: Step, who: Who, number: int) -> bytes:
    """Return what is the same of two steps that are told together."""
    differs = repr((step.request, step.preconditions, step.after, step.answers))
    if not who.known or step.affects or any(word in differs for word in (_ITEM, _VM, _VAULT)):
        return str(number).encode()
    same = (who.before, who.after, step.before, step.permission, step.reversibility, step.cost, step.risks, step.notes)
    said = f"{same!r}{masked(differs, step)}"
    return blake2b(said.encode(errors="backslashreplace"), digest_size=16).digest()


def _says_weaker(risk: str) -> bool:
    return risk.startswith("weaker")


def _one_way(step: Step) -> bool:
    """Whether Azure never takes it back: the step says so, or what it sends does."""
    body = step.request.body if step.request is not None else None
    return step.reversibility.startswith("never") or _sends_one_way(body or {})


def _sends_one_way(value: object) -> bool:
    if isinstance(value, dict):
        words = {name: fold(part) for name, part in value.items() if isinstance(part, str)}
        here = (
            words.get("softDeleteState") == "alwayson"
            or words.get("state") == "locked"
            or words.get("crossRegionRestore") == "enabled"
        )
        return here or any(map(_sends_one_way, value.values()))
    return isinstance(value, list) and any(map(_sends_one_way, value))


def _vm_of(step: Step) -> str:
    """Return the id of the VM that a step is about: what it sends says it, else all that it answers; else empty."""
    answered = {answer.resource for answer in step.answers}
    return _property(step, "sourceResourceId") or (answered.pop() if len(answered) == 1 else "")


def _property(step: Step, name: str) -> str:
    """Return a text among the properties that a step sends; empty where it sends none of that name."""
    body = step.request.body if step.request is not None else None
    properties = (body or {}).get("properties")
    value = properties.get(name) if isinstance(properties, dict) else None
    return value if isinstance(value, str) else ""


def _rights(steps: Iterable[Step]) -> list[Right]:
    counts: Counter[tuple[str, str]] = Counter()
    spelled: dict[str, str] = {}
    on: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for step in steps:
        for part in step.permission.split(", and ") if step.permission else ():
            vm = _vm_of(step) if part.endswith("on the VM") else ""
            whom = vm or ("/".join(step.target.split("/")[:5]) if step.kind == "CreateVault" else vault_of(step.target))
            scope = group_of(vm or step.target)
            key = (fold(scope), part)
            spelled.setdefault(key[0], scope)
            on[key].setdefault(fold(whom), name_of(whom))
            counts[key] += 1
    return [
        Right(spelled[scope], part, list(on[scope, part].values()), count)
        for (scope, part), count in sorted(counts.items())
    ]


def _costs(steps: Iterable[Step]) -> list[Cost]:
    counts: Counter[str] = Counter()
    kinds: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for step in steps:
        counts[step.cost] += 1
        kinds[step.cost].setdefault(step.kind)
    return [Cost(cost, count, list(kinds[cost])) for cost, count in sorted(counts.items(), key=lambda e: not e[0])]


def _flat(value: Mapping[str, Any], lead: str = "") -> dict[str, str]:
    """Return the values within JSON by the names that lead there."""
    found: dict[str, str] = {}
    for name, part in value.items():
        if isinstance(part, dict) and part:
            found |= _flat(part, f"{lead}{name}.")
        else:
            whole = isinstance(part, float) and part.is_integer()
            found[f"{lead}{name}"] = json.dumps(int(part) if whole else part, ensure_ascii=False, default=str)
    return found


def _cut(text: str | None, limits: Limits) -> str | None:
    return None if text is None else shortened(text, limits.characters)
