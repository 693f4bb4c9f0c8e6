"""Cases: facts of one subject in, outcome out. They are how a rule is tested, and how it is explained by example.

A relation that a case leaves out is not known; ``none`` says that there is none. A field that is left out is not known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import duckdb

from auditor.assessment.branches import branches
from auditor.assessment.engine import Matrix, matrix_sql
from auditor.assessment.evidence import find_evidence, whole_tables
from auditor.assessment.model import Outcome
from auditor.assessment.sql import Context, compile_condition
from auditor.errors import Fault, InputErrors
from auditor.estate.database import Estate, LocalDatabase, connect
from auditor.estate.fields import FIELDS, SEES, TABLE_OF, Field, Relation, TagName, exempt_from, from_sql
from auditor.inventory.model import Gap
from auditor.ruleset.conditions import check_words
from auditor.ruleset.load import bind, misfit
from auditor.ruleset.model import BoundRule, Rule, exemptions_asked_for, tags_of
from auditor.text import fold
from auditor.timestamps import NEVER, parse_time
from auditor.yaml_source import Document, Steps, did_you_mean, read_yaml

_KEYS = ("name", "outcome", "message", "now", "parameters")
_TYPES = {"number": "DOUBLE", "bounded": "DOUBLE", "boolean": "BOOLEAN", "time": "BIGINT"}
# Columns that join the relations of a case, each of which has at most one row: number 0.
_LINKS = {
    "vm": ("group_n", "subscription_n", "scale_set_id_n"),
    "item": ("of_vm", "vm_n", "policy_n", "vault_n"),
    "policy": ("vault_n",),
}
# Facts that say that there is such a relation.
_NAMES: dict[str, str] = {"scale_set": "vm.scale_set_id", "policy": "item.policy_id"}
_ROW = "row"


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        name: what it shows.
        outcome: what the rule must say.
        message: text that its message must contain; may be empty.
        now: microseconds since 1970 UTC, or ``None``.
        parameters: what differs from the rule's defaults.
        relations: fields by relation; ``None`` for a relation that does not exist.
        place: where it stands, as ``file:line:column``.
    """

    name: str
    outcome: Outcome
    message: str
    now: int | None
    parameters: Mapping[str, Any]
    relations: Mapping[str, Mapping[str, Any] | None]
    place: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case.

    Attributes:
        case: the case.
        failure: what is not as it should be; empty when nothing is.
        truths: what each branch of the rule's conditions was, see ``branches``.
    """

    case: Case
    failure: str
    truths: Mapping[Steps, bool | None]


def load_cases(path: Path | Traversable, shown: str, rule: Rule, *, whole: bool = True) -> list[Case]:
    """Read the cases of a rule.

    Args:
        path: the file.
        shown: the name to call it in messages.
        rule: the rule.
        whole: the rule is without faults; else nobody knows which parameters it has.

    Raises:
        InputErrors: all that is wrong with them.
    """
    document = read_yaml(path, shown)
    reader = _CaseReader(document, rule, whole=whole)
    cases = reader.read()
    if reader.faults:
        raise InputErrors(reader.faults)
    return cases


def missing_outcomes(rule: Rule, cases: Sequence[Case]) -> list[str]:
    """Return the outcomes that the cases of a rule should show and do not."""
    needed = ["pass", "fail", "unknown", *(["not-applicable"] if rule.applies is not None else [])]
    shown = {case.outcome for case in cases}
    return [outcome for outcome in needed if outcome not in shown]


def run_case(rule: Rule, case: Case) -> CaseResult:
    """Evaluate a rule on the facts of a case."""
    bound = bind(rule, case.parameters, None, case.place)
    with connect() as connection:
        estate = _tables(connection, bound, case)
        context = Context(rule.resource, case.now, whole_tables(estate))
        sql = matrix_sql([bound], [], context)
        connection.execute(f"CREATE TABLE verdicts_{rule.resource} AS {sql.text}", sql.values)
        matrix = Matrix(rule.resource, (bound,), (), 1)
        (found,) = find_evidence(estate, matrix, [_key_of(case, rule.resource)])
        truths = _truths(estate, bound, context)
    if found.outcome != case.outcome:
        return CaseResult(case, f"is {found.outcome}, not {case.outcome}: {found.message}", truths)
    if case.message and case.message not in found.message:
        return CaseResult(case, f'says "{found.message}", without "{case.message}"', truths)
    return CaseResult(case, "", truths)


def _truths(estate: Estate, rule: BoundRule, context: Context) -> dict[Steps, bool | None]:
    """Evaluate each branch of a rule's conditions by itself."""
    parts = branches(rule)
    compiled = [compile_condition(part, context) for part in parts.values()]
    text = ", ".join(sql.text for sql in compiled)
    values = [value for sql in compiled for value in sql.values]
    (row,) = estate.query(f"SELECT {text} FROM {from_sql(rule.subject, text)}", values)
    return dict(zip(parts, row, strict=True))


class _CaseReader:
    """Reads one file of cases."""

    def __init__(self, document: Document, rule: Rule, *, whole: bool) -> None:
        self.document = document
        self.rule = rule
        self.whole = whole
        self.asked = {field.name: field for field in _exempt_from(rule)}
        self.faults: list[Fault] = []

    def read(self) -> list[Case]:
        value = self.document.value
        entries = value.get("cases") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(entries, list) or not entries:
            self._fault((), "a file of cases has a list called cases")
            return []
        for key in value:
            if key not in ("cases", "now"):
                self._fault((key,), f"unknown key {key}", did_you_mean(key, ("cases", "now")))
        now = self._time(value.get("now"), ("now",))
        cases = [self._case(entry, ("cases", index), now) for index, entry in enumerate(entries)]
        return [case for case in cases if case is not None]

    def _case(self, entry: object, steps: Steps, now: int | None) -> Case | None:
        if not isinstance(entry, dict):
            self._fault(steps, "a case is a mapping with name, outcome and facts")
            return None
        sees = SEES[self.rule.resource]
        for key in entry:
            if key not in _KEYS and key not in sees:
                self._fault((*steps, key), f"unknown key {key}", did_you_mean(key, (*_KEYS, *sees)))
        outcome = entry.get("outcome")
        known: list[Outcome] = ["pass", "fail", "unknown", "not-applicable"]
        if outcome not in known:
            self._fault((*steps, "outcome"), f"outcome is never {outcome}", did_you_mean(str(outcome), list(known)))
        name, message = entry.get("name"), entry.get("message", "")
        if not isinstance(name, str) or not name or not isinstance(message, str):
            self._fault(steps, "a case has a name, and its message is text")
        parameters = entry.get("parameters", {})
        if not isinstance(parameters, dict):
            self._fault((*steps, "parameters"), "parameters is a mapping")
            parameters = {}
        for parameter, value in parameters.items() if self.whole else ():
            if wrong := misfit(self.rule, parameter, value):
                self.faults.append(self.document.fault((*steps, "parameters", parameter), *wrong))
        return Case(
            name=str(name),
            outcome=next((word for word in known if word == outcome), "unknown"),
            message=str(message),
            now=self._time(entry["now"], (*steps, "now")) if "now" in entry else now,
            parameters=parameters,
            relations={
                relation: self._relation(entry[relation], relation, (*steps, relation))
                for relation in sees
                if relation in entry
            },
            place=str(self.document.place(steps)),
        )

    def _relation(self, value: object, relation: Relation, steps: Steps) -> dict[str, Any] | None:
        if value == "none" and relation != self.rule.resource:
            return None
        if not isinstance(value, dict):
            self._fault(steps, f"{relation} is a mapping of its fields, or none where there is none")
            return {}
        row: dict[str, Any] = {}
        for name, given in value.items():
            here = (*steps, name)
            field = FIELDS.get(f"{relation}.{name}") or self.asked.get(f"{relation}.{name}")
            if name == "tags":
                row["tags"] = self._tags(given, here)
            elif field is None:
                fields = [known.column for known in FIELDS.values() if known.relation == relation and known.column]
                self._fault(here, f"unknown field {relation}.{name}", did_you_mean(name, [*fields, "tags"]))
            else:
                row[name] = self._value(field, given, here)
        return row

    def _tags(self, value: object, steps: Steps) -> dict[str, str] | None:
        if value is None:
            return None
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            self._fault(steps, "tags is a mapping of names to text, or null when they were not read")
            return {}
        return {fold(name): text for name, text in value.items() if isinstance(text, str)}

    def _value(self, field: Field, value: object, steps: Steps) -> object:
        if value is None or (value == "none" and field.absent == "none"):
            return value
        fits = {
            "text": isinstance(value, str),
            "id": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool),
            "time": isinstance(value, str) and (value == "never" or parse_time(value) is not None),
            "bounded": _bounds(value) is not None,
        }.get(field.type, False)
        if not fits:
            self._fault(steps, f"{value!r} does not fit {field.name}, which is {field.type}")
            return None
        if field.words:
            self.faults += check_words(self.document, steps, value, field)
        if field.type == "time":
            return NEVER if value == "never" else parse_time(str(value))
        return _bounds(value) if field.type == "bounded" else value

    def _time(self, value: object, steps: Steps) -> int | None:
        if value is None:
            return None
        when = parse_time(value) if isinstance(value, str) else None
        if when is None:
            self._fault(steps, f"{value!r} is not a time", "Write 2026-01-31T00:00:00Z.")
        return when

    def _fault(self, steps: Steps, message: str, hint: str = "") -> None:
        self.faults.append(self.document.fault(steps, message, hint))


def _exempt_from(rule: Rule) -> list[Field]:
    """Return the fields ``vm.exempt_from.RULE`` that a rule asks for."""
    asked = [*exemptions_asked_for(rule.applies), *exemptions_asked_for(rule.require)]
    return [exempt_from(name) for name in dict.fromkeys(asked)]


def _bounds(value: object) -> tuple[float, float | None] | None:
    """Read a number, ``[LOW, HIGH]``, or ``[LOW, null]`` where there may be any number more."""
    match value if isinstance(value, list) else [value, value]:
        case [int() | float() as low, int() | float() | None as high]:
            return None if bool in (type(low), type(high)) else (low, high)
        case _:
            return None


def _tables(connection: duckdb.DuckDBPyConnection, rule: BoundRule, case: Case) -> Estate:
    """Make the relations of a case, each with one row or none."""
    connection.execute("CREATE MACRO is_bad(columns, name) AS coalesce(list_contains(columns, name), FALSE)")
    tags = {tag for condition in (rule.applies, rule.require) for tag in tags_of(condition)}
    subject = rule.subject
    for relation in SEES[subject]:
        given = case.relations.get(relation, {} if relation == subject else None)
        exists, stated = given is not None, relation in case.relations
        row = _row(case, relation, given or {}, [tag for tag in tags if tag.relation == relation])
        if relation == "vm":
            for field in _exempt_from(rule.rule):
                row |= _columns(field, (given or {}).get(field.column))
        if relation == "item":
            row["here"] = ("BOOLEAN", exists if stated else None)
            row["vm_here"] = ("BOOLEAN", case.relations["vm"] is not None if "vm" in case.relations else None)
            row["vm_reason"] = ("VARCHAR", None)
        name: str = relation
        if relation == "item" and subject == "vm":
            name = "vm_item"  # has a row for every VM, also for one without an item
            row["agentless"] = ("BOOLEAN", bool(row["agentless"][1]))
            if not exists:
                row["n"] = ("INTEGER", None)
                row["tags_read"] = ("BOOLEAN", None)
                row["state"] = ("VARCHAR", "none" if stated else None)
            exists = True
        columns = ", ".join(f'CAST(? AS {kind}) AS "{column}"' for column, (kind, _) in row.items())
        where = "" if exists else " WHERE FALSE"
        connection.execute(f"CREATE TABLE {name} AS SELECT {columns}{where}", [value for _, value in row.values()])
        if relation == "item":
            connection.execute(f"CREATE VIEW {name}_told AS SELECT * FROM {name}")
    unread = [relation for relation in SEES[subject] if relation not in case.relations and relation != subject]
    gaps = tuple(
        Gap(TABLE_OF[name], "", "not-exported", f"the case does not say whether there is a {name}", "")
        for name in unread
    )
    database = LocalDatabase(connection, ())
    return Estate(database, case.now, gaps, reach_all=False, problems={}, declared_complete=frozenset())


def _key_of(case: Case, relation: str) -> str:
    """Return the key of a relation's row: its folded id, where the case gives one."""
    given = case.relations.get(relation) or {}
    named = given.get("id")
    return fold(named) if isinstance(named, str) else _ROW


def _row(
    case: Case,
    relation: str,
    given: Mapping[str, Any],
    tags: Sequence[TagName],
) -> dict[str, tuple[str, Any]]:
    """Return the columns of a relation's row: SQL type and value."""
    key = _key_of(case, relation)
    row: dict[str, tuple[str, Any]] = {
        "n": ("INTEGER", 0),
        "key": ("VARCHAR", key),
        "id": ("VARCHAR", given.get("id", key)),
    }
    bad = []
    for field in FIELDS.values():
        if field.relation != relation or field.type == "relation" or field.column == "id":
            continue
        value = given.get(field.column)
        if field.absent == "none" or field.name in _NAMES.values():
            value, known = _absent_or_not(case, field, given)
            bad += [] if known else [field.column]
        row |= _columns(field, value)
    row |= {name: row.get(name, ("VARCHAR", None)) for name in ("source", "name", "name_key")}
    row |= dict.fromkeys(_LINKS.get(relation, ()), ("INTEGER", 0))
    row["vault_id"] = ("VARCHAR", _key_of(case, "vault"))  # whatever is in a vault names it by its own id
    row["bad"] = ("VARCHAR[]", bad)
    read = given.get("tags", {})
    row["tags_read"] = ("BOOLEAN", read is not None)
    for tag in tags:
        text = (read or {}).get(tag.name)
        row[tag.column] = ("VARCHAR", text)
        row[f"{tag.column}_key"] = ("VARCHAR", fold(text) if text is not None else None)
        row[f"{tag.column}_here"] = ("BOOLEAN", text is not None)
    return row


def _absent_or_not(case: Case, field: Field, given: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return the value of a fact that may be absent, and whether it is known: left out it is not, ``none`` it is."""
    if field.column in given:
        value = given[field.column]
        return (None, True) if value == "none" else (value, value is not None)
    target = next((relation for relation, name in _NAMES.items() if name == field.name), "")
    if target in case.relations:
        return (_key_of(case, target), True) if case.relations[target] is not None else (None, True)
    return None, False


def _columns(field: Field, value: Any) -> dict[str, tuple[str, Any]]:  # noqa: ANN401 -- of the field's type
    columns: dict[str, tuple[str, Any]] = {extra: ("VARCHAR", None) for extra in (field.reason, field.source) if extra}
    if field.open:
        columns[field.open] = ("BOOLEAN", False)
    if field.type == "bounded":
        low, high = value or (None, None)
        kind = "DOUBLE" if float in (type(low), type(high)) else "BIGINT"
        return columns | {f"{field.column}_min": (kind, low), f"{field.column}_max": (kind, high)}
    if isinstance(value, str) and (field.words or field.column == "subscription_id"):
        value = next((word for word in field.words if fold(word) == fold(value)), fold(value))
    columns[field.column] = (_TYPES.get(field.type, "VARCHAR"), value)
    if field.type in ("text", "id"):
        columns[f"{field.column}_key"] = ("VARCHAR", fold(value).rstrip("/") if value is not None else None)
    return columns
