"""The JSON Schema of conditions: which fields there are, and for each of them the words and values that fit it.

An editor shows and completes them, and marks what ``auditor rules check`` would refuse: a misspelt field, a word that
cannot compare such a field, a value that the field never has. What JSON Schema cannot say is left to ``rules check``:
which parameters a rule has, which fields its resource sees, and whether two fields can be compared.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from auditor.estate.fields import EXEMPT_FROM, FIELDS, SEES, SUBJECTS, Field
from auditor.ruleset.words import MEANINGS, NEGATIONS, TAKES, WHOLE_WORDS

Schema: TypeAlias = dict[str, Any]

WORDS: tuple[str, ...] = (*TAKES, *NEGATIONS)
TEXT: Schema = {"type": "string", "minLength": 1}
TIME: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$",
    "description": "A time with a zone, as 2026-01-31T06:00:00Z",
}
_TYPES: dict[str, Schema] = {
    "text": {"type": "string"},
    "id": {"type": "string"},
    "number": {"type": "number"},
    "bounded": {"type": "number"},
    "boolean": {"type": "boolean"},
    "time": TIME,
}
_CALLED = {"relation": "exists or not", "bounded": "number within bounds", "id": "resource id"}


def condition(beside: Schema | None = None) -> Schema:
    """Return the schema of a condition, ``beside`` whose keys others are needed; it refers to ``definitions``."""
    more = beside or {}
    group: Schema = {"type": "array", "minItems": 1, "items": _ref("condition")}
    two, one = 2 + len(more), 1 + len(more)
    return {
        "description": "A condition in the words of Azure Policy",
        "type": "object",
        "required": list(more),
        "additionalProperties": False,
        "properties": {
            **more,
            "allOf": {**group, "description": "True when every one of them is"},
            "anyOf": {**group, "description": "True when one of them is"},
            "not": {**_ref("condition"), "description": "True when that is false; what is not known stays unknown"},
            "field": {"anyOf": [_ref("field"), _exempt_from(), _ref("tag")]},
            "value": {
                "anyOf": [_ref("parameter"), {"type": ["string", "number", "boolean"]}],
                "description": "A parameter on the left; with exists: true, whether it is set",
            },
            **{word: {"description": MEANINGS[word]} for word in WORDS},
        },
        "if": {"anyOf": [{"required": ["field"]}, {"required": ["value"]}]},
        "then": {"minProperties": two, "maxProperties": two, "$ref": "#/$defs/fitting"},
        "else": {"maxProperties": one, "oneOf": [{"required": [word]} for word in ("allOf", "anyOf", "not")]},
    }


def definitions() -> Schema:
    """Return the ``$defs`` that conditions refer to, the condition itself among them."""
    fields = _fields()
    return {
        "condition": condition(),
        "fitting": {"allOf": [*_by_field(), *_by_side()]},
        "field": named([entry.name for entry in fields], [told(entry) for entry in fields]),
        "other_field": _only("field", {"anyOf": [_ref("field"), _exempt_from()]}),
        "age": {"anyOf": [_only(unit, _age()) for unit in ("hoursAgo", "daysAgo")]},
        "parameter": _only(
            "parameter",
            {"type": "string", "pattern": "^[a-z][a-z0-9_]*$", "description": "A name that stands under parameters"},
        ),
        "tag": {
            "type": "object",
            "description": "A tag of what is judged, or of what belongs to it",
            "required": ["tag"],
            "additionalProperties": False,
            "properties": {
                "tag": {"anyOf": [TEXT, _ref("parameter")], "description": "Its name; letter case does not count"},
                "of": {
                    "enum": sorted({*SEES["vm"], *SUBJECTS}),
                    "description": "Whose tag; of what is judged if not said",
                },
            },
        },
    }


def named(names: Sequence[str], descriptions: Sequence[str]) -> Schema:
    """Return the schema of one of some names; editors show what each of them means."""
    return {"enum": list(names), "enumDescriptions": list(descriptions)}


def told(entry: Field) -> str:
    """Say of which type a field is, and what it says."""
    words = f". One of {', '.join(entry.words)}" if entry.words else ""
    absent = ". May be absent" if entry.absent == "none" else ""
    return f"{_CALLED.get(entry.type, entry.type)}: {entry.doc}{words}{absent}"


def literal(entry: Field) -> Schema:
    """Return the schema of a value that a field may have."""
    return _any_case(entry.words) if entry.words else _TYPES[entry.type]


def _fields() -> list[Field]:
    return [entry for entry in FIELDS.values() if not entry.note]


def _by_field() -> list[Schema]:
    """Say which words and values fit each kind of field."""
    alike: dict[tuple[object, ...], list[Field]] = {}
    for entry in _fields():
        alike.setdefault((entry.type, entry.words, entry.absent == "none"), []).append(entry)
    return [_where({"enum": [entry.name for entry in entries]}, _fitting(entries[0])) for entries in alike.values()]


def _by_side() -> list[Schema]:
    """Say what fits a tag, the question for exemptions, and a parameter on the left."""
    text: Schema = {word: _texts(word) for word, kinds in TAKES.items() if "text" in kinds}
    exempt = _any_of(_TYPES["boolean"], _ref("parameter"), _ref("other_field"))
    return [
        _where({"type": "object"}, {**text, "exists": _TYPES["boolean"]}),
        _where({"type": "string", "pattern": f"^{EXEMPT_FROM.replace('.', '[.]')}"}, {"equals": exempt}),
        {
            "if": {"required": ["value"]},
            "then": {"properties": {"field": False, "exists": _TYPES["boolean"], "in": _texts("in")}},
        },
    ]


def _texts(word: str) -> Schema:
    one = _TYPES["text"]
    return _any_of({"type": "array", "items": one} if word == "in" else one, _ref("parameter"))


def _where(left: Schema, fitting: Schema) -> Schema:
    """Let no other words stand beside a field than those that fit it."""
    negated = {word: fitting[positive] for word, positive in NEGATIONS.items() if positive in fitting}
    words = {word: {**fitting, **negated}.get(word, False) for word in WORDS}
    return {"if": {"required": ["field"], "properties": {"field": left}}, "then": {"properties": words}}


def _fitting(entry: Field) -> Schema:
    """Return the words that can compare a field, each with what may stand on its right."""
    if entry.type == "relation":
        return {"exists": _TYPES["boolean"]}
    words = [word for word, kinds in TAKES.items() if entry.type in kinds and word != "exists"]
    found: Schema = {word: _right(entry, word) for word in words if not entry.words or word in WHOLE_WORDS}
    return {**found, **({"exists": _TYPES["boolean"]} if entry.absent == "none" else {})}


def _right(entry: Field, word: str) -> Schema:
    one = literal(entry)
    if word == "in":
        parameter = [_ref("parameter")] if entry.type in ("text", "id") else []
        return _any_of({"type": "array", "items": one}, *parameter)
    if entry.type == "time":
        return _any_of(one, _ref("age"), _ref("other_field"))
    others = [] if word == "like" or entry.type == "bounded" else [_ref("other_field")]
    return _any_of(one, _ref("parameter"), *others)


def _age() -> Schema:
    before = "Counted back from the time that the audit judges at"
    return {"anyOf": [{"type": "number", "minimum": 0}, _ref("parameter")], "description": before}


def _exempt_from() -> Schema:
    return {
        "type": "string",
        "pattern": f"^{EXEMPT_FROM.replace('.', '[.]')}[a-z]",
        "description": "Whether a live exemption from that rule covers the VM",
    }


def _any_case(words: Sequence[str]) -> Schema:
    """Return the schema of one of some words in any letter case; editors propose them as they are written here."""
    letters = (
        "".join(f"[{char.upper()}{char.lower()}]" if char.isalpha() else char for char in word) for word in words
    )
    return {"anyOf": [{"enum": list(words)}, {"type": "string", "pattern": f"^({'|'.join(letters)})$"}]}


def _only(key: str, value: Schema) -> Schema:
    return {"type": "object", "required": [key], "additionalProperties": False, "properties": {key: value}}


def _any_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
