"""What a verdict rests on: each field its rule looked at, where the value came from, or why it is not known."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from auditor.assessment.engine import OUTCOMES, Matrix, column
from auditor.assessment.model import Cell, Evidence, Finding, FindingExemption
from auditor.assessment.sql import Context, Sql, compile_condition, tag_sql, threshold, value_sql
from auditor.declared.exemptions import Exemption
from auditor.estate.database import Estate
from auditor.estate.fields import FIELDS, SEES, TABLE_OF, TOLD, Field
from auditor.ruleset.model import (
    Age,
    AllOf,
    AnyOf,
    BoundRule,
    Compare,
    Condition,
    Constant,
    FieldRef,
    Left,
    Not,
    Right,
    TagRef,
    leaves,
)
from auditor.ruleset.words import SYMBOLS, TIME_SYMBOLS
from auditor.timestamps import show_time

NO_TIME = "the inventory does not say when it was taken, so ages are unknown"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def fingerprint(rule_id: str, key: str) -> str:
    """Return the stable name of a verdict: 32 hex digits of rule and folded resource id."""
    return hashlib.sha256(f"{rule_id}\n{key}".encode()).hexdigest()[:32]


def find_evidence(
    estate: Estate,
    matrix: Matrix,
    keys: Sequence[str] | None = None,
    exemptions: Sequence[Exemption] = (),
) -> Iterator[Finding]:
    """Yield the verdicts of one kind of resource with their evidence, by rule and then by resource.

    Args:
        estate: the database that ``judge`` has run on.
        matrix: the verdicts.
        keys: the resources to show, all their verdicts; when ``None``, every fail and unknown.
        exemptions: what the numbers of the table ``exempted`` mean; there is no such table when there are none.
    """
    subject, connection = matrix.subject, estate.connection
    context = Context(subject, estate.now, whole_tables(estate))
    if keys is None:
        wanted = " OR ".join(f"{column(rule.id)} IN ('f', 'u')" for rule in matrix.rules)
        chosen, values = f"SELECT n FROM {matrix.table} WHERE {wanted}", []
    else:
        chosen, values = f"SELECT n FROM {subject} WHERE key IN (SELECT unnest(?))", [list(keys)]
    # The rows that are shown are joined once and kept whole; each rule then looks only at these.
    relations = ", ".join(SEES[subject])
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE shown AS SELECT {relations} FROM {TOLD[subject]}"
        f" WHERE {subject}.n IN ({chosen})",
        values,
    )
    for rule in matrix.rules if keys is not None else _with_findings(estate, matrix):
        view = _View(rule, context)
        sql = view.select()
        letters = "" if keys is not None else f"WHERE v.{column(rule.id)} IN ('f', 'u')"
        number, exempted, of_rule = "NULL", "", []
        if exemptions:
            number, of_rule = "x.number", [rule.id]
            exempted = f" LEFT JOIN exempted x ON x.rule = ? AND x.n = {subject}.n"
        rows = connection.execute(
            f"SELECT v.{column(rule.id)}, v.excluded, {number}, {subject}.id, {subject}.key, {sql.text} FROM shown"
            f" JOIN {matrix.table} v ON v.n = {subject}.n{exempted} {letters} ORDER BY {subject}.n",
            [*sql.values, *of_rule],
        ).fetchall()
        for letter, excluded, winner, resource, key, *cells in rows:
            reason = matrix.exclusions[excluded].reason if excluded is not None else ""
            found = view.finding(estate, letter, resource, key, cells, reason)
            if winner is not None:
                said = _exemption(exemptions[winner])
                found = msgspec.structs.replace(found, exempt=True, exemption=said)
            yield found


def _with_findings(estate: Estate, matrix: Matrix) -> list[BoundRule]:
    """Return the rules that have something to show; each query costs what a thousand resources do."""
    columns = ", ".join(f"bool_or({column(rule.id)} IN ('f', 'u'))" for rule in matrix.rules)
    (found,) = estate.query(f"SELECT {columns} FROM {matrix.table}")
    return [rule for rule, any_found in zip(matrix.rules, found, strict=True) if any_found]


def whole_tables(estate: Estate) -> frozenset[str]:
    """Return the tables of which nothing is known to be missing."""
    return frozenset(table for table in TABLE_OF.values() if estate.read_whole(table))


@dataclass(frozen=True, slots=True)
class _Looked:
    """One thing a rule looked at, and the positions of what was selected of it."""

    name: str
    left: Left
    value: int
    high: int
    source: int
    reason: int
    key: int


class _View:
    """What has to be selected to show the verdicts of a rule, and how to read it back."""

    def __init__(self, rule: BoundRule, context: Context) -> None:
        self.rule = rule
        self.context = context
        self.columns: list[str] = []
        self.looked: dict[str, _Looked] = {}
        self.leaves = list(rule.leaves())
        for leaf in self.leaves:
            self._look(leaf.left)
            if isinstance(leaf.right, FieldRef):
                self._look(leaf.right)
        self.said = {name: self._column(_shown_sql(FIELDS[name])) for name in self._placeholders()}
        self.tests = [compile_condition(leaf, context) for leaf in self.leaves]

    def select(self) -> Sql:
        """Return the list of what is selected: values, sources, reasons, then whether each leaf held."""
        text = ", ".join([*self.columns, *(test.text for test in self.tests)])
        return Sql(text, tuple(value for test in self.tests for value in test.values))

    def finding(
        self,
        estate: Estate,
        letter: str,
        resource: str,
        key: str,
        cells: Sequence[Any],
        excluded: str,
    ) -> Finding:
        """Read one selected row back."""
        held = list(cells[len(self.columns) :])
        evidence = [self._evidence(estate, looked, cells, held) for looked in self.looked.values()]
        outcome = OUTCOMES[letter]
        verdicts = dict(zip((id(leaf) for leaf in self.leaves), held, strict=True))
        message = self._message(cells)
        if excluded:
            message = f"Out of scope: {excluded}"
        elif letter == "u":
            message = f"Cannot tell: {'; '.join(self._unknown(evidence, verdicts))}."
        elif letter == "n":
            message = f"Does not apply: {self._observed(self.rule.applies, evidence, verdicts)}"
        return Finding(
            fingerprint=fingerprint(self.rule.id, key),
            rule=self.rule.id,
            resource=resource,
            outcome=outcome,  # type: ignore[arg-type]  # one of the four words
            severity=self.rule.severity,
            exempt=False,
            message=message,
            expected=condition_words(self._near(self.rule.require, verdicts)),
            observed=self._observed(self._near(self.rule.require, verdicts), evidence, verdicts),
            evidence=evidence,
        )

    def _column(self, sql: str) -> int:
        if sql not in self.columns:
            self.columns.append(sql)
        return self.columns.index(sql)

    def _look(self, left: Left) -> None:
        if isinstance(left, TagRef) and str(left) not in self.looked:
            relation = left.relation
            column = self._column(tag_sql(left))
            source = self._column(f"{relation}.source")
            self.looked[str(left)] = _Looked(
                str(left), left, column, column, source, -1, self._column(f"{relation}.key")
            )
        if not isinstance(left, FieldRef) or left.name in self.looked:
            return
        field = left.field
        relation = field.relation if field.type != "relation" else field.name
        if field.type == "relation":
            exists = compile_condition(Compare(left, "exists", Constant(value=True)), self.context)
            low = high = self._column(exists.text)
        elif field.type == "bounded":
            low, high = (self._column(f'{relation}."{field.column}_{end}"') for end in ("min", "max"))
        elif field.open:
            low = self._column(value_sql(field))
            high = self._column(f'CASE WHEN NOT {relation}."{field.open}" THEN {value_sql(field)} END')
        else:
            low = high = self._column(value_sql(field))
        source = self._column(f'{relation}."{field.source or "source"}"')
        elsewhere = field.reason.partition(".")[0] in TABLE_OF
        why = field.reason if elsewhere else f'{relation}."{field.reason}"'
        reason = self._column(why) if field.reason else -1
        self.looked[left.name] = _Looked(left.name, left, low, high, source, reason, self._column(f"{relation}.key"))

    def _placeholders(self) -> list[str]:
        return [name for name in _PLACEHOLDER.findall(self.rule.rule.message) if name in FIELDS]

    def _evidence(self, estate: Estate, looked: _Looked, cells: Sequence[Any], held: Sequence[bool | None]) -> Evidence:
        value = _cell(looked, cells)
        source = cells[looked.source] if value is not None else None
        reason = ""
        if (value is None and not self._known_absent(looked, held)) or _between(looked, cells):
            reason = self._reason(estate, looked, cells)
        expected = [_right_words(leaf) for leaf in self.leaves if _name(leaf.left) == looked.name]
        return Evidence(
            field=looked.name,
            value=value,
            source=source or "",
            reason=reason,
            expected=" / ".join(dict.fromkeys(expected)),
        )

    def _known_absent(self, looked: _Looked, held: Sequence[bool | None]) -> bool:
        """A value that is not there on purpose (no such tag): every leaf about it is decided."""
        about = [truth for leaf, truth in zip(self.leaves, held, strict=True) if _name(leaf.left) == looked.name]
        return bool(about) and None not in about

    def _reason(self, estate: Estate, looked: _Looked, cells: Sequence[Any]) -> str:
        key = cells[looked.key]
        if isinstance(looked.left, TagRef):
            table = TABLE_OF[looked.left.relation]
            for column in (f"tag {looked.left.tag.name}", "tags"):
                if key is not None and (table, key, column) in estate.problems:
                    return estate.problems[table, key, column]
            return (
                "its tags could not be read"
                if key is not None
                else f"there is no {looked.left.relation} to read it from"
            )
        assert isinstance(looked.left, FieldRef)
        field = looked.left.field
        relation = field.name if field.type == "relation" else field.relation
        table = TABLE_OF[relation]
        if key is not None:
            found = [estate.problems[table, key, fact] for fact in field.facts if (table, key, fact) in estate.problems]
            if found:
                return "; ".join(found)
        said = cells[looked.reason] if looked.reason >= 0 else None
        if said:
            return str(said)
        if key is None and relation != self.context.subject:
            missing = next((gap.cause for gap in estate.gaps if gap.table in (table, "*")), "")
            return missing or f"the {relation.replace('_', ' ')} it belongs to is not in the inventory"
        return field.if_null

    def _unknown(self, evidence: Sequence[Evidence], verdicts: dict[int, bool | None]) -> list[str]:
        """Say why each leaf that is not decided is not, each reason once."""
        known = {entry.field: entry for entry in evidence}
        reasons: list[str] = []
        for leaf in self.leaves:
            if verdicts[id(leaf)] is not None:
                continue
            sides = [leaf.left, *([leaf.right] if isinstance(leaf.right, FieldRef) else [])]
            entries = [known[name] for name in map(_name, sides) if name in known]
            for entry in entries:
                if entry.reason:
                    known_as = "not known" if entry.value is None else show(entry.value)
                    reasons.append(f"{entry.field} is {known_as}: {entry.reason.rstrip('.')}")
                elif isinstance(leaf.right, Age) and threshold(leaf.right, self.context.now) is None:
                    reasons.append(NO_TIME)
            if not entries or (isinstance(leaf.right, Constant) and leaf.right.value is None):
                reasons.append(f"the parameter {_parameter(leaf) or 'value'} is not set")
        return list(dict.fromkeys(reasons)) or ["the facts do not decide it"]

    def _message(self, cells: Sequence[Any]) -> str:
        def put(match: re.Match[str]) -> str:
            name = match[1]
            if name in self.rule.values:
                return show(self.rule.values[name])
            field = FIELDS[name]
            value = cells[self.said[name]]
            return "" if value is None and field.note else show_field(field, value)

        return " ".join(_PLACEHOLDER.sub(put, self.rule.rule.message).split())

    def _observed(
        self,
        condition: Condition | None,
        evidence: Sequence[Evidence],
        verdicts: dict[int, bool | None],
    ) -> str:
        del verdicts
        names = [_name(leaf.left) for leaf in leaves(condition)]
        values = {entry.field: entry for entry in evidence}
        seen = [values[name] for name in dict.fromkeys(names) if name in values]
        return ", ".join(f"{entry.field} {_is(entry)}" for entry in seen)

    def _near(self, condition: Condition, verdicts: dict[int, bool | None]) -> Condition:
        """Leave out alternatives that were not meant: keep those of which the most holds, from the left."""
        if not isinstance(condition, AnyOf):
            return condition
        held = [[verdicts[id(leaf)] is True for leaf in leaves(part)] for part in condition.parts]
        ranks = [(sum(truths), truths) for truths in held]  # the first part of an alternative says what it is about
        kept = tuple(part for part, rank in zip(condition.parts, ranks, strict=True) if rank == max(ranks))
        return kept[0] if len(kept) == 1 else AnyOf(kept)


def _exemption(exemption: Exemption) -> FindingExemption:
    return FindingExemption(
        id=exemption.id,
        category=exemption.category,
        reason=exemption.reason,
        owner=exemption.owner,
        ticket=exemption.ticket,
        expires=show_time(exemption.expires),
    )


def _shown_sql(field: Field) -> str:
    if field.type == "bounded":
        low, high = (f'{field.relation}."{field.column}_{end}"' for end in ("min", "max"))
        return f"[{low}, {high}]"
    if field.type == "relation":
        return f"({field.name}.n IS NOT NULL)"
    return value_sql(field)


def _cell(looked: _Looked, cells: Sequence[Any]) -> Cell:
    low, high = cells[looked.value], cells[looked.high]
    if isinstance(looked.left, FieldRef):
        kind = looked.left.field.type
        if kind == "bounded":
            return None if low is None else _rounded(low) if low == high else show_bounds(low, high)
        if kind == "time" and low is not None:
            return show_time(low)
    return _rounded(low)  # type: ignore[no-any-return]  # what DuckDB gives for the declared types


def _rounded(value: Any) -> Any:  # noqa: ANN401 -- what DuckDB gives for the declared types
    """Return a number as it is shown; ages are known to the microsecond, which nobody wants to read."""
    if not isinstance(value, float) or value.is_integer():
        return int(value) if isinstance(value, float) else value
    return round(value, 3)


def _between(looked: _Looked, cells: Sequence[Any]) -> bool:
    return looked.value != looked.high and cells[looked.value] != cells[looked.high]


def show_field(field: Field, value: object) -> str:
    """Write a field's value as messages do."""
    if field.type == "time" and isinstance(value, int):
        return show_time(value)
    return show_bounds(*value) if field.type == "bounded" and isinstance(value, list) else show(value)


def show_bounds(low: float | None, high: float | None) -> str:
    """Write a number known within bounds: ``5``, ``5 to 6``, ``2 to more``, ``(not known)``."""
    return show(low) if low is None or low == high else f"{show(low)} to {show(high) if high is not None else 'more'}"


def show(value: object) -> str:
    """Write a value as messages do: ``true``, ``5``, ``a, b``, ``(not known)``."""
    match value:
        case None:
            return "(not known)"
        case bool():
            return str(value).lower()
        case float():
            return str(_rounded(value))
        case list():
            return ", ".join(show(item) for item in value)
        case _:
            return str(value)


def condition_words(condition: Condition) -> str:
    """Write a bound condition on one line, as ``vm.agent in ready, declared``."""
    match condition:
        case Compare(left):
            return f"{_name(left)} {_right_words(condition)}"
        case Not(Compare(left) as leaf):
            return f"{_name(left)} not {_right_words(leaf)}"
        case Not(part):
            return f"not ({condition_words(part)})"
        case AllOf(parts):
            return " and ".join(_grouped(part, AnyOf) for part in parts)
        case AnyOf(parts):
            return " or ".join(_grouped(part, AllOf) for part in parts)


def _grouped(part: Condition, other: type) -> str:
    words = condition_words(part)
    return f"({words})" if isinstance(part, other) else words


def _right_words(leaf: Compare) -> str:
    if leaf.word == "exists" and isinstance(leaf.right, Constant):
        return "exists" if leaf.right.value else "does not exist"
    parameter = _parameter(leaf)
    symbol = TIME_SYMBOLS[leaf.word] if isinstance(leaf.right, Age) else SYMBOLS[leaf.word]
    return f"{symbol} {_right(leaf.right)}" + (f" (parameter {parameter})" if parameter else "")


def _right(right: Right) -> str:
    match right:
        case Constant(value):
            return show(value) if value not in (None, []) else "(not set)"
        case FieldRef(name):
            return name
        case Age(Constant(amount), unit):
            return f"{show(amount)} {'hours' if unit == 1 else 'days'} ago"
        case _:
            return "?"


def _parameter(leaf: Compare) -> str:
    match leaf.right:
        case Constant(_, parameter) | Age(Constant(_, parameter)):
            return parameter
        case _:
            return ""


def _name(left: Left | Right) -> str:
    match left:
        case FieldRef(name):
            return name
        case TagRef():
            return str(left)
        case Constant(value, parameter):
            return parameter or show(value)
        case _:
            return ""


def _is(entry: Evidence) -> str:
    if entry.value is None:
        return "is not known" if entry.reason else "is not there"
    if isinstance(entry.value, bool):
        return f"is {show(entry.value)}"
    return f"= {show(entry.value)}"
