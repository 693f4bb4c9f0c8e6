"""What a verdict rests on: each field its rule looked at, where the value came from, or why it is not known."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from sys import intern
from typing import Any

from auditor.assessment.engine import Matrix, column
from auditor.assessment.model import OUTCOMES, Cell, Evidence, Finding, FindingExemption
from auditor.assessment.sql import Context, Sql, compile_condition, tag_sql, threshold, value_sql
from auditor.declared.exemptions import Exemption
from auditor.estate.database import Estate
from auditor.estate.fields import FIELDS, TABLE_OF, Field, told_sql
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
_AT_ONCE = 200_000  # resources: what is told of them goes through joins that cannot wait on disk
_KEPT = 4_096  # of what was worked out, so that texts that never come again are let go


def fingerprint(rule_id: str, key: str) -> str:
    """Return the stable name of a verdict: 32 hex digits of rule and folded resource id."""
    return hashlib.sha256(f"{rule_id}\n{key}".encode()).hexdigest()[:32]


def find_evidence(
    estate: Estate,
    matrix: Matrix,
    keys: Sequence[str] | None = None,
    exemptions: Sequence[Exemption] = (),
    most: int | None = None,
) -> Iterator[Finding]:
    """Yield the verdicts of one kind of resource with their evidence, by rule and then by resource.

    Args:
        estate: the database that ``judge`` has run on.
        matrix: the verdicts.
        keys: the resources to show, all their verdicts; when ``None``, every fail and unknown.
        exemptions: what the numbers of the table ``exempted`` mean.
        most: of each rule show no more than these, fails first, in the order of the resources.
    """
    found: dict[str, list[tuple[int, Finding]]] = {rule.id: [] for rule in matrix.rules}
    for n, finding in evidence_of_rows(estate, matrix, keys, exemptions, most):
        found[finding.rule].append((n, finding))
    for findings in found.values():
        findings.sort(key=itemgetter(0))
        if most is not None:  # rows are here for any of their rules
            findings[:] = sorted(sorted(findings, key=lambda entry: entry[1].outcome)[:most], key=itemgetter(0))
        yield from (finding for _, finding in findings)


def evidence_of_rows(
    estate: Estate,
    matrix: Matrix,
    keys: Sequence[str] | None = None,
    exemptions: Sequence[Exemption] = (),
    most: int | None = None,
) -> Iterator[tuple[int, Finding]]:
    """Yield what ``find_evidence`` does as the database comes upon it, each with the number of its resource.

    In no order, and with ``most`` more than wanted: so nobody, the database included, has to hold all of it at once.
    Until the last of them no other query may run.
    """
    subject, context = matrix.subject, Context(matrix.subject, estate.now, whole_tables(estate))
    # One pass for all rules, row by row: a join for each rule, or all rows at once, would cost more than the report.
    columns: dict[Sql, int] = {}
    shown = matrix.rules if keys is not None else _with_findings(estate, matrix)
    views = [_View(rule, context, estate, columns) for rule in shown]
    if not views:
        return
    text = ", ".join(sql.text for sql in columns)
    wanted, values = " OR ".join(f"v.{column(view.rule.id)} IN ('f', 'u')" for view in views), []
    if keys is not None:
        wanted, values = f"{subject}.key IN (SELECT unnest(?))", [list(keys)]
    elif most is not None:
        wanted = f"{subject}.n IN ({' UNION ALL '.join(_first(matrix, view.rule, most) for view in views)})"
    winners = {}
    if exemptions:
        said = [_exemption(exemption) for exemption in exemptions]
        exempted = estate.query("SELECT rule, n, number FROM exempted")
        winners = {(rule, n): said[number] for rule, n, number in exempted}
    sql = (
        f"SELECT {subject}.n, {subject}.id, {subject}.key, v.excluded, {text} FROM {told_sql(subject, text)}"
        f" JOIN {matrix.table} v ON v.n = {subject}.n WHERE ({wanted})"
    )
    bound = [*(value for sql in columns for value in sql.values), *values]
    few = keys is not None or most is not None
    rows = estate.stream(sql, bound) if few else _in_parts(estate, matrix, sql, bound)
    for n, resource, key, excluded, *cells in rows:
        reason = matrix.exclusions[excluded].reason if excluded is not None else ""
        for view in views:
            if keys is not None or cells[view.letter] in ("f", "u"):
                yield n, view.finding(resource, key, cells, reason, winners.get((view.rule.id, n)))


def _in_parts(estate: Estate, matrix: Matrix, sql: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Run a query for so many resources at a time, and yield its rows."""
    bounds = "CREATE OR REPLACE MACRO first_n() AS {}; CREATE OR REPLACE MACRO last_n() AS {}"
    ((last,),) = estate.query(f"SELECT coalesce(max(n), 0) FROM {matrix.table}")
    for start in range(0, last + 1, _AT_ONCE):
        end = start + _AT_ONCE - 1
        estate.connection.execute(bounds.format(start, end))
        yield from estate.stream(f"{sql} AND {matrix.subject}.n BETWEEN {start} AND {end}", values)
    estate.connection.execute(bounds.format(0, 2**31 - 1))


def _first(matrix: Matrix, rule: BoundRule, most: int) -> str:
    letter = column(rule.id)
    # One more SELECT around it: Spark takes parentheses alone for a subquery that has one value.
    ordered = f"SELECT n FROM {matrix.table} WHERE {letter} IN ('f', 'u') ORDER BY {letter}, n LIMIT {most}"
    return f"SELECT n FROM ({ordered}) AS first_ones"


def _with_findings(estate: Estate, matrix: Matrix) -> list[BoundRule]:
    """Return the rules that have something to show; each query costs what a thousand resources do."""
    columns = ", ".join(f"bool_or({column(rule.id)} IN ('f', 'u'))" for rule in matrix.rules)
    (found,) = estate.query(f"SELECT {columns} FROM {matrix.table}")
    return [rule for rule, any_found in zip(matrix.rules, found, strict=True) if any_found]


def whole_tables(estate: Estate) -> frozenset[str]:
    """Return the tables of which nothing is known to be missing."""
    return frozenset(table for table in TABLE_OF.values() if estate.read_whole(table))


@dataclass(frozen=True, slots=True, eq=False)
class _Looked:
    """One thing a rule looked at, the positions of what was selected of it, and what it was compared with."""

    name: str
    left: Left
    table: str
    value: int
    high: int
    source: int
    reason: int
    key: int
    expected: str


class _View:
    """What has to be selected to show the verdicts of a rule, and how to read it back.

    Many findings look alike: what is worked out of equal cells is worked out once, and kept once.
    """

    def __init__(self, rule: BoundRule, context: Context, estate: Estate, columns: dict[Sql, int]) -> None:
        self.rule = rule
        self.context = context
        self.estate = estate
        self.columns = columns
        self.troubled = {(table, key) for table, key, _ in estate.problems}
        self.letter = self._column(f"v.{column(rule.id)}")
        self.leaves = list(rule.leaves())
        self.looked: dict[str, _Looked] = {}
        for leaf in self.leaves:
            self._look(leaf.left)
            if isinstance(leaf.right, FieldRef):
                self._look(leaf.right)
        self.message = _PLACEHOLDER.split(rule.rule.message)
        self.said = {name: self._column(_shown_sql(FIELDS[name])) for name in self.message[1::2] if name in FIELDS}
        self.tests = [self._select(compile_condition(leaf, context)) for leaf in self.leaves]
        self.evidence = lru_cache(_KEPT)(self._evidence)
        self.meant = lru_cache(_KEPT)(self._meant)

    def finding(
        self, resource: str, key: str, cells: Sequence[Any], excluded: str, exemption: FindingExemption | None
    ) -> Finding:
        """Read one selected row back."""
        letter, held = cells[self.letter], tuple(cells[test] for test in self.tests)
        evidence = [self._read(looked, cells, held) for looked in self.looked.values()]
        expected, names = self.meant(held)
        if excluded:
            message = f"Out of scope: {excluded}"
        elif letter == "u":
            reasons = "; ".join(self._unknown(evidence, held))
            message = f"Cannot tell: {reasons}{'' if reasons.endswith('?') else '.'}"
        elif letter == "n":
            applies = map(_name, (leaf.left for leaf in leaves(self.rule.applies)))
            message = f"Does not apply: {_observed(applies, evidence)}"
        else:
            message = self._message(cells)
        return Finding(
            fingerprint=fingerprint(self.rule.id, key),
            rule=self.rule.id,
            resource=resource,
            outcome=OUTCOMES[letter],
            severity=self.rule.severity,
            exempt=exemption is not None,
            message=intern(message),
            expected=expected,
            observed=intern(_observed(names, evidence)),
            evidence=evidence,
            exemption=exemption,
        )

    def _select(self, sql: Sql) -> int:
        return self.columns.setdefault(sql, len(self.columns))

    def _column(self, sql: str) -> int:
        return self._select(Sql(sql))

    def _look(self, left: Left) -> None:
        name = _name(left)
        if not isinstance(left, FieldRef | TagRef) or name in self.looked:
            return
        reason = -1
        if isinstance(left, TagRef):
            relation = left.relation
            low = high = self._column(tag_sql(left))
            source = self._column(f"{relation}.source")
        else:
            field = left.field
            relation = field.relation if field.type != "relation" else field.name
            low, high = self._ends(left)
            source = self._column(f'{relation}."{field.source or "source"}"')
            if field.reason:
                elsewhere = field.reason.partition(".")[0] in TABLE_OF
                reason = self._column(field.reason if elsewhere else f'{relation}."{field.reason}"')
        key = self._column(f"{relation}.key")
        expected = dict.fromkeys(_right_words(leaf) for leaf in self.leaves if _name(leaf.left) == name)
        self.looked[name] = _Looked(
            name, left, TABLE_OF[relation], low, high, source, reason, key, " / ".join(expected)
        )

    def _ends(self, left: FieldRef) -> tuple[int, int]:
        """Select a value: two columns where it is known within bounds, or may be later than is known."""
        field = left.field
        if field.type == "relation":
            exists = self._select(compile_condition(Compare(left, "exists", Constant(value=True)), self.context))
            return exists, exists
        if field.type == "bounded":
            low, high = (self._column(f'{field.relation}."{field.column}_{end}"') for end in ("min", "max"))
            return low, high
        low = self._column(value_sql(field))
        if not field.open:
            return low, low
        return low, self._column(f'CASE WHEN NOT {field.relation}."{field.open}" THEN {value_sql(field)} END')

    def _read(self, looked: _Looked, cells: Sequence[Any], held: Sequence[bool | None]) -> Evidence:
        low, high, source = cells[looked.value], cells[looked.high], cells[looked.source]
        if low is not None and low == high:
            whose = None if cells[looked.key] is None else ""
            return self.evidence(looked, low, high, source, None, whose, absent=False)
        said = cells[looked.reason] if looked.reason >= 0 else None
        # Whose row it is matters only where something was wrong with it.
        key = cells[looked.key]
        whose = key if key is None or (looked.table, key) in self.troubled else ""
        return self.evidence(looked, low, high, source, said, whose, absent=self._known_absent(looked, held))

    def _evidence(  # noqa: PLR0913 -- all that it depends on: it is kept by them
        self,
        looked: _Looked,
        low: object,
        high: object,
        source: str | None,
        said: str | None,
        key: str | None,
        *,
        absent: bool,
    ) -> Evidence:
        value = _cell(looked, low, high)
        unsure = (value is None and not absent) or low != high
        return Evidence(
            field=looked.name,
            value=value,
            source=intern(source or self._nowhere(looked, key)) if value is not None else "",
            reason=self._reason(looked, said, key) if unsure else "",
            expected=looked.expected,
        )

    def _nowhere(self, looked: _Looked, key: str | None) -> str:
        """Say what a value rests on that is known because there is nothing: no item of a VM, for instance."""
        relation = _relation(looked.left)
        if key is not None or relation == self.context.subject:
            return ""
        return f"no {relation.replace('_', ' ')} of it in what was read"

    def _known_absent(self, looked: _Looked, held: Sequence[bool | None]) -> bool:
        """A value that is not there on purpose (no such tag): every leaf about it is decided."""
        about = [truth for leaf, truth in zip(self.leaves, held, strict=True) if _name(leaf.left) == looked.name]
        return bool(about) and None not in about

    def _reason(self, looked: _Looked, said: str | None, key: str | None) -> str:
        problems = self.estate.problems
        if isinstance(looked.left, TagRef):
            for column in (f"tag {looked.left.tag.name}", "tags"):
                if key is not None and (looked.table, key, column) in problems:
                    return problems[looked.table, key, column]
            return (
                "its tags could not be read"
                if key is not None
                else f"there is no {looked.left.relation} to read it from"
            )
        assert isinstance(looked.left, FieldRef)
        field, relation = looked.left.field, _relation(looked.left)
        if key is not None:
            facts = [(looked.table, key, fact) for fact in field.facts]
            found = [problems[fact] for fact in facts if fact in problems]
            if found:
                return "; ".join(found)
        if said:
            return str(said)
        if key is None and relation != self.context.subject:
            missing = next((gap.cause for gap in self.estate.gaps if gap.table in (looked.table, "*")), "")
            return missing or f"the {relation.replace('_', ' ')} it belongs to is not in the inventory"
        return field.if_null

    def _unknown(self, evidence: Sequence[Evidence], held: Sequence[bool | None]) -> list[str]:
        """Say why each leaf that is not decided is not, each reason once."""
        known = {entry.field: entry for entry in evidence}
        reasons: list[str] = []
        for leaf, truth in zip(self.leaves, held, strict=True):
            if truth is not None:
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
        parts = [self._put(part, cells) if number % 2 else part for number, part in enumerate(self.message)]
        return " ".join("".join(parts).split())

    def _put(self, name: str, cells: Sequence[Any]) -> str:
        if name in self.rule.values:
            return show(self.rule.values[name])
        field = FIELDS[name]
        value = cells[self.said[name]]
        return "" if value is None and field.note else show_field(field, value)

    def _meant(self, held: Sequence[bool | None]) -> tuple[str, list[str]]:
        """Say what was required, of alternatives those that were meant, and name the fields of it."""
        verdicts = dict(zip((id(leaf) for leaf in self.leaves), held, strict=True))
        meant = self._near(self.rule.require, verdicts)
        return condition_words(meant), [_name(leaf.left) for leaf in leaves(meant)]

    def _near(self, condition: Condition, verdicts: dict[int, bool | None]) -> Condition:
        """Leave out alternatives that were not meant: keep those of which the most holds, from the left."""
        if not isinstance(condition, AnyOf):
            return condition
        held = [[verdicts[id(leaf)] is True for leaf in leaves(part)] for part in condition.parts]
        ranks = [(sum(truths), truths) for truths in held]  # the first part of an alternative says what it is about
        kept = tuple(part for part, rank in zip(condition.parts, ranks, strict=True) if rank == max(ranks))
        return kept[0] if len(kept) == 1 else AnyOf(kept)


def _observed(names: Iterable[str], evidence: Sequence[Evidence]) -> str:
    values = {entry.field: entry for entry in evidence}
    seen = [values[name] for name in dict.fromkeys(names) if name in values]
    return ", ".join(f"{entry.field} {_is(entry)}" for entry in seen)


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


def _cell(looked: _Looked, low: Any, high: Any) -> Cell:  # noqa: ANN401 -- what DuckDB gives for the declared types
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


def _relation(left: Left) -> str:
    """Return the relation that something is looked up in."""
    match left:
        case FieldRef():
            return left.field.name if left.field.type == "relation" else left.field.relation
        case TagRef():
            return left.relation
        case _:
            return ""


def _is(entry: Evidence) -> str:
    if entry.value is None:
        return "is not known" if entry.reason else "is not there"
    if isinstance(entry.value, bool):
        return f"is {show(entry.value)}"
    return f"= {show(entry.value)}"
