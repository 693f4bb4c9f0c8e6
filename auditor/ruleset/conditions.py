"""Conditions in YAML -> checked conditions; every fault is noted with its place, none ends the reading."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from auditor.errors import Fault
from auditor.estate.fields import EXEMPT_FROM, FIELDS, SEES, TABLE_OF, Field, Subject, field_named
from auditor.ruleset.model import (
    Age,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Constant,
    FieldRef,
    Left,
    Not,
    Parameter,
    ParameterRef,
    Right,
    TagRef,
    Word,
)
from auditor.ruleset.words import NEGATIONS, TAKES, WHOLE_WORDS
from auditor.text import fold
from auditor.timestamps import parse_time
from auditor.yaml_source import Document, Steps, did_you_mean

T = TypeVar("T")
_WORDS = (*TAKES, *NEGATIONS)
_AGES = {"hoursAgo": 1, "daysAgo": 24}
_PARAMETER_KINDS = {"string": "text", "list<string>": "text", "number": "number", "boolean": "boolean"}


class ConditionReader:
    """Reads the conditions of one rule (or of one exclusion).

    Attributes:
        faults: what is wrong with them.
        used: names of the parameters they mention.
        exempt_from: each rule whose exemptions they ask for, with its place; which rules there are is not known here.
    """

    def __init__(
        self,
        document: Document,
        subject: Subject,
        parameters: Mapping[str, Parameter],
        faulty: Collection[str] = (),
    ) -> None:
        """Remember what may be named: the fields the subject sees, and the rule's parameters.

        Of parameters whose declaration is ``faulty`` nothing more is said.
        """
        self.document = document
        self.subject = subject
        self.parameters = parameters
        self.faulty = faulty
        self.faults: list[Fault] = []
        self.used: set[str] = set()
        self.exempt_from: list[tuple[str, Steps]] = []

    def read(self, value: object, steps: Steps) -> Condition:
        """Read a condition; where it is faulty, what comes back is only good for reading on."""
        nothing: Condition = AllOf(())
        if not isinstance(value, dict):
            return self._wrong(steps, "a condition is a mapping, such as {field: vm.agent, equals: ready}", nothing)
        groups = [key for key in ("allOf", "anyOf", "not") if key in value]
        if groups:
            for extra in (key for key in value if key != groups[0]):
                self._wrong((*steps, extra), f"{extra} stands beside {groups[0]}", None, "Nest it inside.")
            inside = value[groups[0]]
            below = (*steps, groups[0])
            if groups[0] == "not":
                return Not(self.read(inside, below))
            if not isinstance(inside, list) or not inside:
                return self._wrong(below, f"{groups[0]} needs a list of conditions that is not empty", nothing)
            parts = tuple(self.read(part, (*below, index)) for index, part in enumerate(inside))
            return AllOf(parts) if groups[0] == "allOf" else AnyOf(parts)
        return self._leaf(value, steps)

    def _leaf(self, value: dict[str, Any], steps: Steps) -> Condition:
        nothing: Condition = AllOf(())
        self.used |= set(_mentioned(value)) & self.parameters.keys()
        unknown = [key for key in value if key not in ("field", "value") and key not in _WORDS]
        for key in unknown:
            hint = did_you_mean(key, ("field", "value", "allOf", "anyOf", "not", *_WORDS))
            self._wrong((*steps, key), f"unknown condition word {key}", None, hint)
        lefts = [key for key in ("field", "value") if key in value]
        words = [key for key in value if key in _WORDS]
        if len(lefts) != 1:
            if not unknown:
                self._wrong(steps, "a condition needs either field or value", None)
            return nothing
        if len(words) != 1:
            if not unknown:
                hint = f"One of {', '.join(_WORDS)}."
                self._wrong(steps, f"a condition needs one word, and has {len(words)}", nothing, hint)
            self._left(lefts[0], "exists", value[lefts[0]], (*steps, lefts[0]))  # which anything can be asked
            return nothing
        word = next(known for known in TAKES if known == NEGATIONS.get(words[0], words[0]))
        left = self._left(lefts[0], word, value[lefts[0]], (*steps, lefts[0]))
        if left is None:
            return nothing
        right = self._right(left, word, value[words[0]], (*steps, words[0]))
        if right is None:
            return nothing
        leaf = Compare(left, word, right)
        return Not(leaf) if words[0] in NEGATIONS else leaf

    def _left(self, kind: str, word: Word, value: object, steps: Steps) -> Left | None:
        if kind == "value":
            if isinstance(value, dict):
                reference = self._parameter(value, steps)
                listed = reference is not None and self.parameters[reference.name].type == "list<string>"
                if reference is not None and listed and word != "exists":
                    message = f"the parameter {reference.name} is a list, of which only exists can be asked"
                    return self._wrong(steps, message, None, "Put it on the right of in.")
                return reference
            if value is None or isinstance(value, list):
                return self._wrong(steps, "value takes a literal or {parameter: NAME}", None)
            return Constant(value)  # type: ignore[arg-type]  # YAML scalars only
        if isinstance(value, dict):
            return self._tag(value, steps)
        if not isinstance(value, str):
            return self._wrong(steps, "field takes the name of a field, or {tag: NAME}", None)
        return self._field(value, steps)

    def _field(self, name: str, steps: Steps) -> FieldRef | None:
        relations = SEES[self.subject]
        relation = name.partition(".")[0]
        field = field_named(name)
        if field is None:
            seen = [known for known in FIELDS if known.partition(".")[0] in relations]
            return self._wrong(steps, f"unknown field {name}", None, did_you_mean(name, seen))
        if relation not in relations:
            hint = f"It sees {', '.join(relations)}."
            return self._wrong(steps, f"a {self.subject} rule does not see {relation}", None, hint)
        if field.note:
            return self._wrong(steps, f"{name} is text for messages and cannot be compared", None)
        if name.startswith(EXEMPT_FROM):
            self.exempt_from.append((name.removeprefix(EXEMPT_FROM), steps))
        return FieldRef(name)

    def _tag(self, value: dict[str, Any], steps: Steps) -> TagRef | None:
        unknown = [key for key in value if key not in ("tag", "of")]
        if unknown or "tag" not in value:
            return self._wrong(steps, "a tag is written {tag: NAME} or {tag: NAME, of: RELATION}", None)
        relation = value.get("of", self.subject)
        if relation not in SEES[self.subject]:
            hint = f"It sees {', '.join(SEES[self.subject])}."
            return self._wrong((*steps, "of"), f"a {self.subject} rule does not see {relation}", None, hint)
        name = value["tag"]
        if isinstance(name, dict):
            reference = self._parameter(name, (*steps, "tag"))
            if reference is not None and self.parameters[reference.name].type != "string":
                return self._wrong((*steps, "tag"), f"the parameter {reference.name} is not a string", None)
            return TagRef(relation, reference) if reference is not None else None
        if not isinstance(name, str) or not name:
            return self._wrong((*steps, "tag"), "the name of a tag is text", None, "Put it in quotes.")
        return TagRef(relation, fold(name))

    def _parameter(self, value: dict[str, Any], steps: Steps) -> ParameterRef | None:
        name = value.get("parameter")
        if len(value) != 1 or not isinstance(name, str):
            return self._wrong(steps, "a parameter is written {parameter: NAME}", None)
        if name in self.faulty:
            return None
        if name not in self.parameters:
            hint = did_you_mean(name, list(self.parameters)) or "Declare it under parameters."
            return self._wrong((*steps, "parameter"), f"unknown parameter {name}", None, hint)
        return ParameterRef(name)

    def _right(self, left: Left, word: Word, value: object, steps: Steps) -> Right | None:
        kind = self._kind(left)
        if word == "exists":
            return self._exists(left, value, steps)
        if kind == "relation":
            return self._wrong(steps, f"whether there is one: {word} cannot ask that", None, "Use exists: true.")
        if kind not in TAKES[word]:
            fitting = [other for other, kinds in TAKES.items() if kind in kinds]
            return self._wrong(steps, f"{word} cannot compare {_a(kind)}", None, f"Use {', '.join(fitting)}.")
        field = left.field if isinstance(left, FieldRef) else None
        if field is not None and field.words and word not in WHOLE_WORDS:
            return self._wrong(steps, f"{word} compares parts of words; {field.name} has a closed list of them", None)
        if isinstance(value, dict):
            return self._reference(kind, word, value, steps, field)
        if word == "in":
            return self._list(kind, value, steps, field)
        return self._literal(kind, value, steps, field)

    def _reference(
        self,
        kind: str,
        word: Word,
        value: dict[str, Any],
        steps: Steps,
        field: Field | None,
    ) -> Right | None:
        if "parameter" in value:
            reference = self._parameter(value, steps)
            if reference is None:
                return None
            parameter = self.parameters[reference.name]
            wanted = "list<string>" if word == "in" else {"text": "string", "id": "string"}.get(kind, kind)
            wanted = "number" if wanted == "bounded" else wanted
            if word == "in" and kind not in ("text", "id"):
                return self._wrong(steps, f"a parameter is never a list of {kind}s", None, "Write the list out.")
            if parameter.type != wanted:
                message = f"the parameter {parameter.name} is {_a(parameter.type)}, where {_a(wanted)} is needed"
                return self._wrong(steps, message, None)
            if field is not None and field.words:
                self.faults += check_words(
                    self.document, ("parameters", parameter.name, "default"), parameter.default, field
                )
            return reference
        if "field" in value and len(value) == 1:
            other = self._field(str(value["field"]), (*steps, "field"))
            if other is None:
                return None
            if field is None or word in ("in", "like") or {kind, other.field.type} & {"bounded", "relation"}:
                return self._wrong(steps, f"{word} cannot compare with a field here", None)
            if not _comparable(field, other.field):
                return self._wrong(steps, f"{field.name} and {other.name} are not of one type", None)
            return other
        ages = [key for key in value if key in _AGES]
        if len(value) == 1 and ages and kind == "time":
            amount = value[ages[0]]
            if isinstance(amount, dict):
                reference = self._parameter(amount, (*steps, ages[0]))
                if reference is not None and self.parameters[reference.name].type != "number":
                    return self._wrong((*steps, ages[0]), f"the parameter {reference.name} is not a number", None)
                if reference is None:
                    return None
                default = self.parameters[reference.name].default
                if isinstance(default, int | float) and default < 0:
                    place = ("parameters", reference.name, "default")
                    return self._wrong(place, "an age is never negative", None)
                return Age(reference, _AGES[ages[0]])
            if isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0:
                return self._wrong((*steps, ages[0]), f"{ages[0]} takes a number that is not negative", None)
            return Age(Constant(amount), _AGES[ages[0]])
        hint = "Use a literal, {parameter: NAME}, {field: NAME}, or for times {hoursAgo: N} or {daysAgo: N}."
        return self._wrong(steps, f"{word} cannot compare with that", None, hint)

    def _exists(self, left: Left, value: object, steps: Steps) -> Right | None:
        if not isinstance(value, bool):
            return self._wrong(steps, "exists takes true or false", None)
        if isinstance(left, FieldRef):
            field = left.field
            if field.type != "relation" and field.absent != "none":
                message = f"exists cannot ask for {field.name}: where it is missing it is unknown, not absent"
                return self._wrong(steps, message, None, "Compare its value; a missing one gives an unknown verdict.")
        return Constant(value)

    def _list(self, kind: str, value: object, steps: Steps, field: Field | None) -> Right | None:
        if not isinstance(value, list):
            return self._wrong(steps, "in takes a list, or a list parameter", None)
        items = [self._literal(kind, item, (*steps, index), field) for index, item in enumerate(value)]
        if None in items:
            return None
        return Constant([item.value for item in items if item is not None])  # type: ignore[misc]  # checked above

    def _literal(self, kind: str, value: object, steps: Steps, field: Field | None) -> Constant | None:
        fits = {
            "text": isinstance(value, str),
            "id": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool),
            "bounded": isinstance(value, int | float) and not isinstance(value, bool),
            "time": isinstance(value, str) and parse_time(value) is not None,
        }
        if not fits[kind]:
            hint = {
                "time": "Write 2026-01-31T00:00:00Z, or {hoursAgo: N}.",
                "text": 'Put it in quotes, as "10".',
            }.get(kind, "")
            return self._wrong(steps, f"{_shown(value)} is not {_a(kind)}", None, hint)
        if field is not None and field.words:
            faults = check_words(self.document, steps, value, field)
            self.faults += faults
            if faults:
                return None
        return Constant(value)  # type: ignore[arg-type]  # checked above

    def _kind(self, left: Left) -> str:
        match left:
            case FieldRef():
                return left.field.type
            case TagRef():
                return "text"
            case ParameterRef(name):
                return _PARAMETER_KINDS[self.parameters[name].type]
            case Constant(value):
                return "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"

    def _wrong(self, steps: Steps, message: str, instead: T, hint: str = "") -> T:
        self.faults.append(self.document.fault(steps, message, hint))
        return instead


def _mentioned(value: object) -> Iterator[str]:
    """Yield the parameters that a comparison mentions, whatever else is wrong with it."""
    if isinstance(value, dict):
        for key, inside in value.items():
            if key == "parameter" and isinstance(inside, str):
                yield inside
            yield from _mentioned(inside)


def check_words(document: Document, steps: Steps, value: object, field: Field) -> list[Fault]:
    """Tell which words of a literal or parameter are not in the closed vocabulary of a field."""
    words = value if isinstance(value, list) else [] if value is None else [value]
    known = {fold(word) for word in field.words}
    return [
        document.fault(steps, f"{field.name} is never {_shown(word)}", did_you_mean(str(word), field.words))
        for word in words
        if fold(str(word)) not in known
    ]


def known_tables(fields: Sequence[Field]) -> set[str]:
    """Return the tables that hold the facts of some fields."""
    return {TABLE_OF[field.relation] for field in fields} | {table for field in fields for table in field.tables}


def _comparable(one: Field, other: Field) -> bool:
    text = {"text", "id"}
    if bool(one.words) != bool(other.words):
        return False
    return one.type == other.type or {one.type, other.type} <= text


def _a(kind: str) -> str:
    names = {
        "text": "text",
        "id": "a resource id",
        "time": "a time",
        "boolean": "true or false",
        "bounded": "a number",
        "string": "a string",
        "list<string>": "a list of strings",
    }
    return names.get(kind, f"a {kind}")


def _shown(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
