"""A bound condition -> a SQL expression that is TRUE, FALSE or NULL, and its values.

Values are always bound, never pasted. SQL's logic is Kleene's three-valued logic, so AND, OR and NOT need no help; a
leaf is NULL exactly when the facts do not decide it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auditor.estate.fields import TABLE_OF, Field, Subject
from auditor.ruleset.model import Age, AllOf, AnyOf, Compare, Condition, Constant, FieldRef, Not, Right, TagRef, Word
from auditor.text import fold
from auditor.timestamps import NEVER, parse_time

_HOUR = 3_600_000_000  # microseconds
_ORDER: dict[Word, str] = {"greater": ">", "greaterOrEquals": ">=", "less": "<", "lessOrEquals": "<="}


@dataclass(frozen=True, slots=True)
class Sql:
    """An expression and the values of its question marks, in order."""

    text: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a condition is compiled for.

    Attributes:
        subject: whose rule it is.
        now: microseconds since 1970 UTC, or ``None`` when nobody knows.
        whole: tables of which nothing is known to be missing.
    """

    subject: Subject
    now: int | None
    whole: frozenset[str]


def compile_condition(condition: Condition, context: Context) -> Sql:
    """Compile a condition whose parameters are put in."""
    match condition:
        case AllOf(parts):
            return _join([compile_condition(part, context) for part in parts], " AND ", "TRUE")
        case AnyOf(parts):
            return _join([compile_condition(part, context) for part in parts], " OR ", "FALSE")
        case Not(part):
            inner = compile_condition(part, context)
            return Sql(f"(NOT {inner.text})", inner.values)
        case Compare():
            return _leaf(condition, context)


def value_sql(field: Field) -> str:
    """Return the SQL of a field's value as it is shown."""
    return f'{field.relation}."{field.column}"'


def tag_sql(tag: TagRef) -> str:
    """Return the SQL of a tag's value as it is shown."""
    return f"{tag.relation}.{tag.tag.column}"


def threshold(right: Age, now: int | None) -> int | None:
    """Return the time an age reaches back to; it is never as old as ``NEVER``."""
    assert isinstance(right.amount, Constant)
    amount = right.amount.value
    if now is None or not isinstance(amount, int | float):
        return None
    return int(min(now, max(NEVER + 1, now - amount * right.unit * _HOUR)))


def _join(parts: Sequence[Sql], word: str, empty: str) -> Sql:
    if not parts:
        return Sql(empty)
    return Sql(f"({word.join(part.text for part in parts)})", tuple(value for part in parts for value in part.values))


def _leaf(leaf: Compare, context: Context) -> Sql:
    left = leaf.left
    if leaf.word == "exists":
        asked = isinstance(leaf.right, Constant) and leaf.right.value is True
        here = _exists(left, context)
        return here if asked else Sql(f"(NOT {here.text})", here.values)
    if isinstance(left, FieldRef):
        field = left.field
        if field.type == "bounded":
            return _bounded(field, leaf.word, leaf.right)
        if field.type == "time":
            compared = _time(value_sql(field), leaf, context)
            later = leaf.word in ("greater", "greaterOrEquals")
            if field.open:
                compared = _open_ended(compared, field, sure_when=later)
            if isinstance(leaf.right, FieldRef) and leaf.right.field.open:
                compared = _open_ended(compared, leaf.right.field, sure_when=not later)
            return compared
        compared = _known_absent(_compare(_key(field), field.type, leaf, field), _absent(field))
        return _known_absent(compared, _absent(leaf.right.field)) if isinstance(leaf.right, FieldRef) else compared
    if isinstance(left, TagRef):
        absent = f"{left.relation}.tags_read AND NOT coalesce({left.relation}.{left.tag.column}_here, FALSE)"
        return _known_absent(_compare(Sql(f"{tag_sql(left)}_key"), "text", leaf, None), absent)
    assert isinstance(left, Constant)
    value = left.value
    if value is None:  # a parameter that is not set
        return Sql("CAST(NULL AS BOOLEAN)")
    if isinstance(value, str):
        return _compare(Sql("CAST(? AS VARCHAR)", (fold(value),)), "text", leaf, None)
    if isinstance(value, bool):
        return _compare(Sql("CAST(? AS BOOLEAN)", (value,)), "boolean", leaf, None)
    return _compare(Sql("CAST(? AS DOUBLE)", (value,)), "number", leaf, None)


def _key(field: Field) -> Sql:
    """Return what a field is compared by: text without case, words of a closed vocabulary as they are."""
    if field.type in ("text", "id") and not field.words and field.column not in ("subscription_id", "id"):
        return Sql(f'{field.relation}."{field.column}_key"')
    if field.column == "id":
        return Sql(f"{field.relation}.key")
    return Sql(value_sql(field))


def _absent(field: Field) -> str:
    """Return the SQL that tells that a column's absence is a fact, or empty where it never is."""
    if field.absent != "none":
        return ""
    relation, column = field.relation, field.column
    return f"{relation}.n IS NOT NULL AND {relation}.\"{column}\" IS NULL AND NOT is_bad({relation}.bad, '{column}')"


def _known_absent(leaf: Sql, absent: str) -> Sql:
    """What is known not to be there equals nothing: false, not unknown."""
    return Sql(f"coalesce({leaf.text}, CASE WHEN {absent} THEN FALSE END)", leaf.values) if absent else leaf


def _exists(left: object, context: Context) -> Sql:
    if isinstance(left, TagRef):
        here = f"{left.relation}.{left.tag.column}_here"
        return Sql(f"CASE WHEN {here} THEN TRUE WHEN {left.relation}.tags_read THEN FALSE END")
    if not isinstance(left, FieldRef):
        assert isinstance(left, Constant)
        return Sql("FALSE" if left.value in (None, []) else "TRUE")
    field = left.field
    if field.type != "relation":
        return Sql(f"CASE WHEN {value_sql(field)} IS NOT NULL THEN TRUE WHEN {_absent(field)} THEN FALSE END")
    return Sql(_relation_exists(field.name, context))


def _relation_exists(relation: str, context: Context) -> str:
    if relation == context.subject:
        return "TRUE"
    if relation == "item":
        return "item.here"
    if relation == "vm":
        return "item.vm_here"
    if relation == "scale_set":
        none = "vm.scale_set_id IS NULL AND NOT is_bad(vm.bad, 'scale_set_id')"
        gone = " WHEN vm.scale_set_id IS NOT NULL THEN FALSE" if TABLE_OF[relation] in context.whole else ""
        return f"CASE WHEN scale_set.n IS NOT NULL THEN TRUE WHEN {none} THEN FALSE{gone} END"
    missing = [f"WHEN {relation}.n IS NOT NULL THEN TRUE"]
    if context.subject == "vm" and relation in ("policy", "vault"):
        missing.append("WHEN NOT item.here THEN FALSE")
    if context.subject in ("vm", "item") and relation == "policy":
        missing.append("WHEN item.here AND item.policy_id IS NULL AND NOT is_bad(item.bad, 'policy_id') THEN FALSE")
    if TABLE_OF[relation] in context.whole:
        via = {"policy": "item.policy_id", "vault": "item.vault_id"}.get(relation)
        condition = f"{via} IS NOT NULL" if via and context.subject in ("vm", "item") else "TRUE"
        missing.append(f"WHEN {condition} THEN FALSE")
    return f"CASE {' '.join(missing)} END"


def _compare(left: Sql, kind: str, leaf: Compare, field: Field | None) -> Sql:
    word, right = leaf.word, leaf.right
    if isinstance(right, FieldRef):
        other = _key(right.field)
        sign = "=" if word == "equals" else _ORDER.get(word)
        if sign is not None:
            return Sql(f"({left.text} {sign} {other.text})", left.values + other.values)
        return _pattern_of_field(left, word, other)
    assert isinstance(right, Constant)
    value = right.value
    if word == "in":
        items = [_comparable(item, kind, field) for item in value] if isinstance(value, list) else []
        if value is None:
            return Sql(f"({left.text} = NULL)", left.values)
        if not items:
            return Sql(f"CASE WHEN {left.text} IS NOT NULL THEN FALSE END", left.values)
        marks = ", ".join("?" for _ in items)
        return Sql(f"({left.text} IN ({marks}))", (*left.values, *items))
    if word in ("like", "contains", "startsWith", "endsWith"):
        pattern = like_pattern(word, fold(value)) if isinstance(value, str) else None
        return Sql(f"({left.text} LIKE CAST(? AS VARCHAR) ESCAPE '!')", (*left.values, pattern))
    compared = _comparable(value, kind, field)
    sign = "=" if word == "equals" else _ORDER[word]
    cast = {"number": "DOUBLE", "boolean": "BOOLEAN"}.get(kind, "VARCHAR")
    return Sql(f"({left.text} {sign} CAST(? AS {cast}))", (*left.values, compared))


def _pattern_of_field(left: Sql, word: Word, other: Sql) -> Sql:
    """Look for the text of one field in another: by position, since it may hold the signs of patterns."""
    lookups = {
        "contains": f"(strpos({left.text}, {other.text}) > 0)",
        "startsWith": f"(left({left.text}, length({other.text})) = {other.text})",
        "endsWith": f"(right({left.text}, length({other.text})) = {other.text})",
    }
    return Sql(lookups[word], left.values + other.values)


def like_pattern(word: Word, text: str) -> str:
    """Return the SQL pattern for a folded text; in ``like`` a ``*`` stands for any text, as in Azure Policy."""
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    match word:
        case "like":
            return escaped.replace("*", "%")
        case "contains":
            return f"%{escaped}%"
        case "startsWith":
            return f"{escaped}%"
        case _:
            return f"%{escaped}"


def _comparable(value: object, kind: str, field: Field | None) -> object:
    if not isinstance(value, str):
        return value
    if field is not None and field.words:
        return next((word for word in field.words if fold(word) == fold(value)), value)
    folded = fold(value)
    return folded.rstrip("/") if kind == "id" else folded


def _bounded(field: Field, word: Word, right: Right) -> Sql:
    """Compare a number known within bounds: sure when both ends agree."""
    assert isinstance(right, Constant)
    low, high = (f'{field.relation}."{field.column}_{end}"' for end in ("min", "max"))
    sign = _ORDER[word]
    sure, possible = (low, high) if word in ("greater", "greaterOrEquals") else (high, low)
    limit = f"{sign} CAST(? AS DOUBLE)"
    text = f"CASE WHEN {sure} {limit} THEN TRUE WHEN NOT ({possible} {limit}) THEN FALSE END"
    return Sql(text, (right.value, right.value))


def _open_ended(leaf: Sql, field: Field, *, sure_when: bool) -> Sql:
    """Compare with a time that may be later than is known: one of the two answers is sure, the other may change."""
    sure = "WHEN leaf THEN TRUE" if sure_when else "WHEN NOT leaf THEN FALSE"
    closed = f'NOT coalesce({field.relation}."{field.open}", FALSE)'
    return Sql(f"CASE {sure} WHEN {closed} THEN leaf END".replace("leaf", leaf.text), leaf.values * 2)


def _time(left: str, leaf: Compare, context: Context) -> Sql:
    sign = _ORDER[leaf.word]
    match leaf.right:
        case FieldRef() as other:
            return Sql(f"({left} {sign} {value_sql(other.field)})")
        case Age() as age:
            when = threshold(age, context.now)
            if when is None:
                # What never happened is older than any age, whatever the time is now.
                older = "TRUE" if leaf.word in ("less", "lessOrEquals") else "FALSE"
                return Sql(f"CASE WHEN {left} <= {NEVER} THEN {older} END")
            return Sql(f"({left} {sign} CAST(? AS BIGINT))", (when,))
        case Constant(value):
            return Sql(f"({left} {sign} CAST(? AS BIGINT))", (parse_time(value) if isinstance(value, str) else None,))
    raise AssertionError
