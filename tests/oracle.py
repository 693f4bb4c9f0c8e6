"""A second reading of conditions, in plain Python and with none of the engine's code: what the engine is held against.

Facts are given as they are in an estate; what comes back is ``True``, ``False`` or, when the facts do not decide it,
``None``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

from auditor.estate.fields import FIELDS, TABLE_OF, Field, Subject
from auditor.ruleset.model import Age, AllOf, AnyOf, Compare, Condition, Constant, FieldRef, Not, TagRef
from auditor.text import fold
from auditor.timestamps import NEVER, parse_time

Truth: TypeAlias = bool | None
Bounds: TypeAlias = tuple[Any, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """What is known of one resource.

    ``facts`` holds values by column: text as Azure spelled it, times in microseconds, bounds as a pair. ``bad`` names
    the columns whose value is there and could not be used. A tag whose value could not be read is ``None``; ``tags``
    is ``None`` when none of them were read. ``open`` names times that may be later than is known.
    """

    id: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    bad: frozenset[str] = frozenset()
    tags: Mapping[str, str | None] | None = field(default_factory=dict)
    open: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """A subject with what belongs to it.

    ``item_here`` says whether a VM has an item, ``vm_here`` whether an item whose VM was not found still has one;
    ``None`` when nobody knows.
    """

    subject: Subject
    relations: Mapping[str, Resource | None]
    item_here: Truth = True
    vm_here: Truth = None


@dataclass(frozen=True, slots=True)
class World:
    """What all rows have in common: the time, and the tables that were read whole."""

    now: int | None
    whole: frozenset[str]


class _Absent:
    """A value that is known not to be there."""


_ABSENT = _Absent()
_MICROSECONDS_AN_HOUR = 60 * 60 * 1_000_000
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "greater": lambda one, other: bool(one > other),
    "greaterOrEquals": lambda one, other: bool(one >= other),
    "less": lambda one, other: bool(one < other),
    "lessOrEquals": lambda one, other: bool(one <= other),
}


def truth(condition: Condition, row: Row, world: World) -> Truth:
    """Evaluate a bound condition."""
    match condition:
        case AllOf(parts):
            truths = [truth(part, row, world) for part in parts]
            return False if False in truths else None if None in truths else True
        case AnyOf(parts):
            truths = [truth(part, row, world) for part in parts]
            return True if True in truths else None if None in truths else False
        case Not(part):
            inner = truth(part, row, world)
            return None if inner is None else not inner
        case Compare(left, "exists", Constant(asked)):
            there = _exists(left, row, world)
            return None if there is None else there is asked
        case Compare(FieldRef(name), word, right) if FIELDS[name].type == "bounded":
            assert isinstance(right, Constant)
            limit = right.value
            return _ordered(_bounds(FIELDS[name], row), word, (limit, limit)) if limit is not None else None
        case Compare(FieldRef(name), word, right) if FIELDS[name].type == "time":
            return _timed(_period(FIELDS[name], row), word, right, row, world)
        case Compare():
            return _leaf(condition, row)


def outcome(applies: Condition | None, require: Condition, row: Row, world: World) -> str:
    """Return the outcome of a rule."""
    concerned = True if applies is None else truth(applies, row, world)
    if concerned is False:
        return "not-applicable"
    met = truth(require, row, world)
    if concerned is None or met is None:
        return "unknown"
    return "pass" if met else "fail"


def _leaf(leaf: Compare, row: Row) -> Truth:
    left = _left(leaf, row)
    right, unset = _right(leaf, row)
    if left is _ABSENT or right is _ABSENT:
        return False
    if left is None or unset:
        return None
    if leaf.word == "in":
        return any(_same(left, entry) for entry in right)
    if right is None:
        return None
    if leaf.word == "equals":
        return _same(left, right)
    if leaf.word in _ORDER:
        return _ORDER[leaf.word](left, right)
    return _part(leaf, str(left), str(right))


def _left(leaf: Compare, row: Row) -> Any:
    match leaf.left:
        case FieldRef(name):
            return _comparable(_value(FIELDS[name], row), FIELDS[name])
        case TagRef() as tag:
            return _comparable(_tag(tag, row), None)
        case Constant(value):
            return _comparable(value, None)
        case _:
            raise AssertionError


def _right(leaf: Compare, row: Row) -> tuple[Any, bool]:
    """Return what is compared with, and whether it is a parameter that is not set."""
    match leaf.right:
        case FieldRef(name):
            return _comparable(_value(FIELDS[name], row), FIELDS[name]), False
        case Constant(None):
            return None, True
        case Constant(list() as entries):
            return [_literal(leaf, entry) for entry in entries], False
        case Constant(value):
            return _literal(leaf, value), False
        case _:
            raise AssertionError


def _literal(leaf: Compare, value: object) -> Any:
    kind = FIELDS[leaf.left.name].type if isinstance(leaf.left, FieldRef) else ""
    if kind == "id" and isinstance(value, str) and leaf.word in ("equals", "in"):
        return fold(value.rstrip("/"))
    return fold(value) if isinstance(value, str) else value


def _comparable(value: object, declared: Field | None) -> object:
    """Return a value as it is compared: text without case, an id without the slash at its end."""
    if isinstance(value, str):
        return fold(value.rstrip("/") if declared is not None and declared.column == "id" else value)
    return value


def _same(left: object, right: object) -> bool:
    assert isinstance(left, str) == isinstance(right, str), "text is only compared with text"
    return left == right


def _part(leaf: Compare, left: str, right: str) -> bool:
    match leaf.word:
        case "contains":
            return right in left
        case "startsWith":
            return left.startswith(right)
        case "endsWith":
            return left.endswith(right)
        case "like":
            return _like(left, right.split("*"))
    raise AssertionError


def _like(text: str, pieces: list[str]) -> bool:
    """Tell whether the pieces stand in the text in their order, the first at its start and the last at its end."""
    first, *others = pieces
    if not others:
        return text == first
    *middle, last = others
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    inner, position = text[: len(text) - len(last)], len(first)
    for piece in middle:
        found = inner.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return True


def _value(declared: Field, row: Row) -> Any:
    resource = row.relations.get(declared.relation)
    if declared.relation == "item" and declared.column == "agentless" and row.subject == "vm" and resource is None:
        return False  # an item that is not known to be agentless is not: the field says what is known
    if declared.name == "item.state" and row.subject == "vm" and row.item_here is False:
        return "none"
    if resource is None:
        return None
    if declared.column == "id":
        return resource.id
    value = resource.facts.get(declared.column)
    if value is None and declared.absent == "none" and declared.column not in resource.bad:
        return _ABSENT
    return value


def _tag(tag: TagRef, row: Row) -> Any:
    resource = row.relations.get(tag.relation)
    if resource is None or resource.tags is None:
        return None
    assert isinstance(tag.name, str)
    return resource.tags.get(tag.name, _ABSENT)


def _bounds(declared: Field, row: Row) -> Bounds:
    """Return a number within bounds; an end that is not known is as far off as can be."""
    low, high = _value(declared, row) or (None, None)
    return (float("-inf") if low is None else low, float("inf") if high is None else high)


def _period(declared: Field, row: Row) -> Bounds | None:
    """Return the times between which a time may be."""
    value = _value(declared, row)
    if value is None:
        return None
    resource = row.relations[declared.relation]
    assert resource is not None
    return (value, float("inf") if declared.column in resource.open else value)


def _ordered(left: Bounds, word: str, right: Bounds) -> Truth:
    """Compare every end with every end: what is so for all of them is so."""
    held = {_ORDER[word](one, other) for one in left for other in right}
    return held.pop() if len(held) == 1 else None


def _timed(left: Bounds | None, word: str, right: object, row: Row, world: World) -> Truth:
    if left is None:
        return None
    match right:
        case FieldRef(name):
            other = _period(FIELDS[name], row)
            return None if other is None else _ordered(left, word, other)
        case Constant(value):
            moment = parse_time(str(value))
            return None if moment is None else _ordered(left, word, (moment, moment))
        case Age(Constant(amount), unit):
            if left == (NEVER, NEVER):
                return word in ("less", "lessOrEquals")
            if world.now is None or amount is None:
                return None
            assert isinstance(amount, int | float)
            moment = world.now - int(Fraction(amount) * unit * _MICROSECONDS_AN_HOUR)
            return _ordered(left, word, (moment, moment))
    raise AssertionError


def _exists(left: object, row: Row, world: World) -> Truth:
    match left:
        case TagRef() as tag:
            value = _tag(tag, row)
            resource = row.relations.get(tag.relation)
            if value is None:
                # There, but not readable; or nothing is known of the tags.
                return True if resource is not None and resource.tags is not None else None
            return value is not _ABSENT
        case Constant(value):
            return value is not None
        case FieldRef(name) if FIELDS[name].type == "relation":
            return _related(name, row, world)
        case FieldRef(name):
            value = _value(FIELDS[name], row)
            return None if value is None else value is not _ABSENT
    raise AssertionError


def _related(relation: str, row: Row, world: World) -> Truth:
    """Tell whether a subject has such a relation: what refers to nothing has none, wherever one might look."""
    if relation == row.subject or row.relations.get(relation) is not None:
        return True
    if relation == "item":
        return row.item_here
    if relation == "vm":
        return row.vm_here
    if row.subject == "vm" and relation in ("policy", "vault"):
        if row.item_here is not True:
            return row.item_here
        return _referred("item", f"{relation}_id", relation, row, world)
    if row.subject == "item":
        return _referred("item", f"{relation}_id", relation, row, world)
    if relation == "scale_set":
        return _referred("vm", "scale_set_id", relation, row, world)
    return False if TABLE_OF[relation] in world.whole else None


def _referred(holder: str, column: str, relation: str, row: Row, world: World) -> Truth:
    """Look at the reference: one that is not there leads nowhere, one that could not be read might lead anywhere."""
    resource = row.relations[holder]
    assert resource is not None
    if column in resource.bad:
        return None
    if resource.facts.get(column) is None and column in ("policy_id", "scale_set_id"):
        return False
    if resource.facts.get(column) is None:
        return None
    return False if TABLE_OF[relation] in world.whole else None
