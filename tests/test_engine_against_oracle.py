"""The engine's SQL against a second evaluator: every condition must be as true, false or unknown in both."""

import functools
import itertools
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import pytest
from effort import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle import Resource, Row, World, outcome, truth

from auditor.assessment.engine import judge
from auditor.assessment.model import OUTCOMES
from auditor.assessment.sql import Context, compile_condition
from auditor.errors import AuditorError, Place
from auditor.estate.database import connect
from auditor.estate.fields import FIELDS, FROM, SEES, SUBJECTS, TABLE_OF, Field, Subject, TagName
from auditor.ruleset.model import (
    Age,
    AllOf,
    AnyOf,
    BoundRule,
    Compare,
    Condition,
    Constant,
    Exclusion,
    FieldRef,
    Left,
    Not,
    Right,
    Rule,
    TagRef,
    Word,
    leaves,
)
from auditor.text import fold
from auditor.timestamps import NEVER, show_time

# Text that breaks naive comparisons: signs of patterns and quotes, pairs of letter case, characters whose case is odd.
HOSTILE = (
    "",
    "a",
    "A",
    "ab",
    "aB",
    "ba",
    "aXb",
    "a%b",
    "A_B",
    "a!b",
    "a!%b",
    "a\\b",
    "a'b",
    'a"b',
    "a*b",
    "%",
    "_",
    "!",
    "!!",
    "\\",
    "'",
    '"',
    "*",
    "**",
    "i",
    "I",
    "\u0131",
    "İ",
    "i\u0307",
    "ß",
    "ẞ",
    "ss",
    "SS",
    "straße",
    "STRASSE",
    "\u03c3",
    "Σ",
    "ς",
    "\u212a",  # the sign of kelvin, whose lower case is k
    "k",
    "é",
    "É",
    "e\u0301",
    "😀",
    "a😀b",
    "👩\u200d👧",
    " ",
    " a",
    "a ",
    "a\nb",
    "a\tb",
    "a\x00b",
    "\u2028",
    "null",
    "true",
    "1",
    "1.0",
    "; DROP TABLE vm",
    "?",
    "$1",
    "/",
    "a/",
)
# Each with a name that differs from its neighbour's in letter case, one of them quite ordinary.
TAG_NAMES = ("owner", "straße", "a'b\"c", "%_?", "😀")
NOW = 1_781_524_800_000_000
HOUR = 3_600_000_000
TIMES = (
    NEVER,
    NOW,
    NOW - HOUR,
    NOW - HOUR - 1,
    NOW - HOUR + 1,
    NOW - 24 * HOUR,
    NOW - 24 * HOUR - 1,
    NOW + HOUR,
    0,
    -1,
)
NUMBERS = (-1, 0, 0.5, 1, 2, 3, 5, 1e300)
AMOUNTS = (0, 0.25, 1, 24, 48, 1e9)
POOLS = (1, 2, 3)
ROWS = 48
# A tree that disagrees is named together with the leaf that does, so there is nothing to shrink.
PHASES = (Phase.explicit, Phase.generate)


# Facts


def make_row(subject: Subject, number: int, chance: random.Random) -> Row:
    """Return a subject with what belongs to it; about a third of what could be known is not."""
    resources: dict[str, Resource | None] = {}
    for relation in SEES[subject]:
        there = relation == subject or chance.random() < 0.7
        resources[relation] = _resource(relation, number, chance) if there else None
    here = None if resources.get("item") is None and chance.random() < 0.5 else resources.get("item") is not None
    if resources.get("item") is None:
        # Policy and vault are those of the item.
        resources.update({relation: None for relation in ("policy", "vault") if subject == "vm"})
    return Row(subject, _joined(subject, resources), item_here=here, vm_here=chance.choice((None, False)))


def _resource(relation: str, number: int, chance: random.Random) -> Resource:
    facts: dict[str, Any] = {}
    bad = set()
    for entry in _columns(relation):
        if entry.name == "item.agentless":
            facts[entry.column] = chance.random() < 0.5
        elif chance.random() < 0.65:
            facts[entry.column] = _fact(entry, chance)
        elif chance.random() < 0.3:
            bad.add(entry.column)
    if relation == "item" and chance.random() < 0.7:
        facts["vault_id"] = chance.choice(IDS)  # known to the joins, and no field
    tags = {fold(name): chance.choice((*HOSTILE, None)) for name in TAG_NAMES if chance.random() < 0.5}
    group, name = chance.choice("AaBb"), chance.choice(HOSTILE)
    text = f"/subscriptions/S/resourceGroups/{group}/providers/{relation}/{number}/{name}x"
    opened = frozenset(
        entry.column
        for entry in _columns(relation)
        if entry.open and facts.get(entry.column, NEVER) != NEVER and chance.random() < 0.5
    )
    return Resource(text, facts, frozenset(bad), tags if chance.random() < 0.8 else None, opened)


def _fact(entry: Field, chance: random.Random) -> Any:
    if entry.words:
        return chance.choice(entry.words)
    match entry.type:
        case "number":
            return float(chance.choice(NUMBERS))
        case "boolean":
            return chance.random() < 0.5
        case "time":
            return chance.choice(TIMES)
        case "bounded":
            low, high = sorted(chance.choices((0, 1, 2, 3, 5), k=2))
            return chance.choice([(low, high), (low, low), (low, None), (None, high)])
        case "id":
            return chance.choice(IDS)
    text = chance.choice(HOSTILE)
    return fold(text) if entry.column == "subscription_id" else text


def _joined(subject: Subject, resources: dict[str, Resource | None]) -> dict[str, Resource | None]:
    """Let the facts that refer to other resources name those that are there."""
    for holder, relation in (("vm", "scale_set"), ("item", "policy"), ("item", "vault"), ("item", "vm")):
        column = f"{relation}_id"
        one, other = resources.get(holder), resources.get(relation)
        if one is None or (subject == "vm" and relation == "vm") or other is None:
            continue
        facts = {**one.facts, column: other.id}
        resources[holder] = replace(one, facts=facts, bad=one.bad - {column})
    return resources


IDS = (
    "/subscriptions/s/resourceGroups/prod",
    "/subscriptions/S/resourcegroups/PROD/providers/x/y",
    "/subscriptions/s/resourceGroups/prod-2/providers/x/y",
    "/subscriptions/s/resourceGroups/a%b",
)


def _columns(relation: str) -> list[Field]:
    """Return the fields of a relation that are facts of their own."""
    return [
        entry
        for entry in FIELDS.values()
        if entry.relation == relation and entry.type != "relation" and entry.column != "id"
    ]


# Tables of facts, as the estate's views would give them

_TYPES = {"number": "DOUBLE", "bounded": "DOUBLE", "boolean": "BOOLEAN", "time": "BIGINT"}


def load(rows: Sequence[Row]) -> duckdb.DuckDBPyConnection:
    """Make the relations of some rows of one subject."""
    connection = connect()
    connection.execute("CREATE MACRO is_bad(columns, name) AS coalesce(list_contains(columns, name), FALSE)")
    subject = rows[0].subject
    for relation in SEES[subject]:
        of_vm = relation == "item" and subject == "vm"
        cells = [_cells(relation, row) for row in rows if row.relations[relation] is not None or of_vm]
        types = _cell_types(relation)
        connection.execute(
            f"CREATE TABLE {'vm_item' if of_vm else relation} AS"
            " SELECT entry.* FROM (SELECT unnest(from_json(?, ?)) AS entry)",
            [json.dumps(cells), json.dumps([types])],
        )
    connection.execute(f"CREATE VIEW {subject}_rows AS SELECT n FROM {subject}")
    return connection


def _cell_types(relation: str) -> dict[str, str]:
    types = dict.fromkeys(("key", "id", "source"), "VARCHAR") | {"bad": "VARCHAR[]", "tags_read": "BOOLEAN"}
    types |= {"n": "INTEGER", "vault_id": "VARCHAR"}
    for entry in _columns(relation):
        for name in [f"{entry.column}_min", f"{entry.column}_max"] if entry.type == "bounded" else [entry.column]:
            types[name] = _TYPES.get(entry.type, "VARCHAR")
        if entry.type in ("text", "id") and entry.column != "subscription_id":  # which is folded where it is read
            types[f"{entry.column}_key"] = "VARCHAR"
        if entry.open:
            types[entry.open] = "BOOLEAN"
    for name in TAG_NAMES:
        column = TagName(relation, fold(name)).column
        types |= {column: "VARCHAR", f"{column}_key": "VARCHAR", f"{column}_here": "BOOLEAN"}
    links = {
        "vm": ("group_n", "subscription_n", "scale_set_id_n"),
        "item": ("of_vm", "vm_n", "policy_n", "vault_n"),
        "policy": ("vault_n",),
    }
    types |= dict.fromkeys(links.get(relation, ()), "INTEGER")
    return types | ({"here": "BOOLEAN", "vm_here": "BOOLEAN"} if relation == "item" else {})


def _cells(relation: str, row: Row) -> dict[str, Any]:
    resource = row.relations[relation]
    cells: dict[str, Any] = {}
    if resource is not None:
        cells = {
            "n": number_of(fold(resource.id)),
            "key": fold(resource.id),
            "id": resource.id,
            "bad": sorted(resource.bad) or None,
        }
        cells["tags_read"] = resource.tags is not None
        for entry in _columns(relation):
            value = resource.facts.get(entry.column)
            if entry.type == "bounded":
                cells[f"{entry.column}_min"], cells[f"{entry.column}_max"] = value or (None, None)
                continue
            cells[entry.column] = value
            if entry.open:
                cells[entry.open] = entry.column in resource.open
            if entry.type in ("text", "id"):
                cells[f"{entry.column}_key"] = fold(value) if value is not None else None
        for name, text in (resource.tags or {}).items():
            column = TagName(relation, name).column
            cells |= {column: text, f"{column}_key": fold(text) if text is not None else None, f"{column}_here": True}
        cells |= _links(relation, row)
        vault = row.relations.get("vault")
        cells["vault_id"] = vault.id if vault is not None else resource.facts.get("vault_id")
    if relation == "item":
        cells["here"] = row.item_here
        cells["vm_here"] = True if row.relations["vm"] is not None else row.vm_here
        if row.subject == "vm":
            vm = row.relations["vm"]
            assert vm is not None
            cells["of_vm"] = number_of(fold(vm.id))
            if row.item_here is False:
                cells["state"] = "none"
            cells.setdefault("agentless", False)
    return cells


NUMBERED: dict[str, int] = {}


def number_of(key: str) -> int:
    """Return a number for a folded id, the same each time."""
    return NUMBERED.setdefault(key, len(NUMBERED))


def _links(relation: str, row: Row) -> dict[str, Any]:
    """Return the numbers by which the joins go."""
    others = {
        "vm": {"group_n": "resource_group", "subscription_n": "subscription", "scale_set_id_n": "scale_set"},
        "item": {"vm_n": "vm", "policy_n": "policy", "vault_n": "vault"},
        "policy": {"vault_n": "vault"},
    }
    links = {}
    for column, other in others.get(relation, {}).items():
        resource = row.relations.get(other)
        links[column] = number_of(fold(resource.id)) if resource is not None else None
    return links


@functools.cache
def estate(subject: Subject, pool: int) -> tuple[list[Row], duckdb.DuckDBPyConnection]:
    chance = random.Random(f"{subject} {pool}")  # noqa: S311 -- rows, not secrets
    rows = [make_row(subject, number, chance) for number in range(ROWS)]
    return rows, load(rows)


# Conditions


def texts() -> st.SearchStrategy[str]:
    return st.sampled_from(HOSTILE) | st.text("aAbiI\u0131İß\u017f%_!*\\'\"😀", max_size=4)


def patterns() -> st.SearchStrategy[str]:
    return st.builds(lambda *pieces: "*".join(pieces), texts(), texts()) | texts()


def constants(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Constant]:
    """Return literals, and now and then a parameter that is not set."""
    return st.builds(Constant, values) | st.just(Constant(None, "unset"))


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Constant]:
    return constants(st.lists(values, max_size=4))


ORDER: tuple[Word, ...] = ("greater", "greaterOrEquals", "less", "lessOrEquals")
PARTS: tuple[Word, ...] = ("contains", "startsWith", "endsWith")


def words_on(left: Left, values: st.SearchStrategy[str]) -> st.SearchStrategy[Compare]:
    """Return comparisons of text."""
    return st.one_of(
        st.builds(Compare, st.just(left), st.sampled_from(("equals", *PARTS)), constants(values)),
        st.builds(Compare, st.just(left), st.just("like"), constants(patterns() | values)),
        st.builds(Compare, st.just(left), st.just("in"), lists(values)),
    )


def numbers_on(left: Left) -> st.SearchStrategy[Compare]:
    values = st.sampled_from(NUMBERS)
    return st.one_of(
        st.builds(Compare, st.just(left), st.sampled_from(("equals", *ORDER)), constants(values)),
        st.builds(Compare, st.just(left), st.just("in"), lists(values)),
    )


def booleans_on(left: Left) -> st.SearchStrategy[Compare]:
    return st.builds(Compare, st.just(left), st.just("equals"), constants(st.booleans()))


def exists_on(left: Left) -> st.SearchStrategy[Compare]:
    return st.builds(Compare, st.just(left), st.just("exists"), st.builds(Constant, st.booleans()))


def fields_on(entry: Field, others: Sequence[Field]) -> st.SearchStrategy[Compare]:
    """Return comparisons with another field of the same type."""
    text = ("text", "id")
    fitting = [
        FieldRef(other.name)
        for other in others
        if (other.type == entry.type or {other.type, entry.type} <= {*text})
        and bool(other.words) == bool(entry.words)
        and other.type not in ("bounded", "relation")
    ]
    words: tuple[Word, ...] = ("equals",)
    if entry.type in text and not entry.words:
        words = ("equals", *PARTS)
    elif entry.type == "time":
        words = ORDER
    elif entry.type == "number":
        words = ("equals", *ORDER)
    return st.builds(Compare, st.just(FieldRef(entry.name)), st.sampled_from(words), st.sampled_from(fitting))


def on_field(entry: Field, others: Sequence[Field]) -> st.SearchStrategy[Compare]:
    left = FieldRef(entry.name)
    choices: list[st.SearchStrategy[Compare]] = []
    if entry.absent == "none" or entry.type == "relation":
        choices.append(exists_on(left))
    if entry.type not in ("bounded", "relation"):
        choices.append(fields_on(entry, others))
    if entry.words:
        spelled = st.sampled_from([*entry.words, *(word.upper() for word in entry.words)])
        choices.append(st.builds(Compare, st.just(left), st.just("equals"), constants(spelled)))
        choices.append(st.builds(Compare, st.just(left), st.just("in"), lists(spelled)))
        return st.one_of(choices)
    match entry.type:
        case "text":
            choices.append(words_on(left, texts()))
        case "id":
            near = st.sampled_from([spelled for text in IDS for spelled in (text, text.upper(), text + "/", text[:30])])
            choices.append(words_on(left, near | texts()))
        case "number":
            choices.append(numbers_on(left))
        case "boolean":
            choices.append(booleans_on(left))
        case "bounded":
            limits = constants(st.sampled_from(NUMBERS))
            choices.append(st.builds(Compare, st.just(left), st.sampled_from(ORDER), limits))
        case "time":
            ages = st.builds(Age, constants(st.sampled_from(AMOUNTS)), st.sampled_from((1, 24)))
            moments = st.sampled_from([show_time(time) for time in TIMES if time != NEVER]).map(Constant)
            choices.append(st.builds(Compare, st.just(left), st.sampled_from(ORDER), ages | moments))
    return st.one_of(choices)


def on_tag(relations: Sequence[str]) -> st.SearchStrategy[Compare]:
    tags = st.builds(TagRef, st.sampled_from(relations), st.sampled_from([fold(name) for name in TAG_NAMES]))
    return tags.flatmap(lambda tag: words_on(tag, texts()) | exists_on(tag))


def on_value() -> st.SearchStrategy[Compare]:
    """Return comparisons of a parameter, which may not be set."""
    return st.one_of(
        constants(texts()).flatmap(lambda left: words_on(left, texts())),
        constants(st.sampled_from(NUMBERS)).flatmap(numbers_on),
        constants(st.booleans()).flatmap(booleans_on),
        constants(texts()).flatmap(exists_on),
    )


@functools.cache
def conditions(subject: Subject) -> st.SearchStrategy[Condition]:
    seen = [entry for entry in FIELDS.values() if entry.relation in SEES[subject] and not entry.note]
    # Each kind of field as often as another, however many fields there are of it.
    kinds: dict[tuple[object, ...], list[Field]] = {}
    for entry in seen:
        special = entry.name if entry.type == "relation" or entry.open or entry.column.endswith("id") else ""
        kinds.setdefault((entry.type, bool(entry.words), entry.absent == "none", special), []).append(entry)
    some = st.sampled_from(list(kinds.values())).flatmap(st.sampled_from)
    compared: st.SearchStrategy[Condition] = st.one_of(
        some.flatmap(lambda entry: on_field(entry, seen)),
        some.flatmap(lambda entry: on_field(entry, seen)),
        on_tag(SEES[subject]),
        on_value(),
    )
    return st.recursive(
        compared,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(lambda parts: AllOf(tuple(parts)), st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda parts: AnyOf(tuple(parts)), st.lists(inner, min_size=1, max_size=3)),
        ),
        max_leaves=6,
    )


def worlds() -> st.SearchStrategy[World]:
    tables = st.sets(st.sampled_from(sorted(TABLE_OF.values())))
    return st.builds(World, st.sampled_from((None, NOW)), st.builds(frozenset, tables))


# Holding the one against the other


def truths(
    connection: duckdb.DuckDBPyConnection,
    subject: Subject,
    wanted: Sequence[Condition],
    world: World,
) -> dict[str, tuple[bool | None, ...]]:
    """Let the engine evaluate conditions; return what each row's key gives."""
    parts = [compile_condition(condition, Context(subject, world.now, world.whole)) for condition in wanted]
    columns = ", ".join(part.text for part in parts)
    found = connection.execute(
        f"SELECT {subject}.key, {columns} FROM {FROM[subject]}",
        [value for part in parts for value in part.values],
    ).fetchall()
    return {key: tuple(cells) for key, *cells in found}


def key_of(row: Row) -> str:
    resource = row.relations[row.subject]
    assert resource is not None
    return fold(resource.id)


def assert_agree(
    rows: Sequence[Row], found: Mapping[str, tuple[bool | None, ...]], wanted: Sequence[Condition], world: World
) -> None:
    assert len(found) == len(rows)
    for row in rows:
        for condition, given_truth in zip(wanted, found[key_of(row)], strict=True):
            assert given_truth is truth(condition, row, world), f"{condition} on {row} in {world}"


def check(rows: Sequence[Row], wanted: Sequence[Condition], world: World) -> None:
    """Hold the engine against the oracle on rows made for it."""
    connection = load(rows)
    assert_agree(rows, truths(connection, rows[0].subject, wanted, world), wanted, world)
    connection.close()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_condition_is_as_true_in_sql_as_it_is_for_the_oracle(subject: Subject) -> None:
    @settings(max_examples=examples(40), phases=PHASES)
    @given(st.lists(conditions(subject), min_size=6, max_size=12), st.sampled_from(POOLS), worlds())
    def holds(wanted: list[Condition], pool: int, world: World) -> None:
        rows, connection = estate(subject, pool)
        parts = [*(leaf for condition in wanted for leaf in leaves(condition)), *wanted]
        assert_agree(rows, truths(connection, subject, parts, world), parts, world)

    holds()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_outcome_is_the_oracles(subject: Subject) -> None:
    @settings(max_examples=examples(25), phases=PHASES)
    @given(
        st.lists(st.tuples(st.none() | conditions(subject), conditions(subject)), min_size=3, max_size=6),
        st.lists(conditions(subject), max_size=2),
        st.sampled_from(POOLS),
        worlds(),
    )
    def holds(
        pairs: list[tuple[Condition | None, Condition]],
        excluding: list[Condition],
        pool: int,
        world: World,
    ) -> None:
        rows, connection = estate(subject, pool)
        rules = [rule(f"r-{number}", subject, applies, require) for number, (applies, require) in enumerate(pairs)]
        exclusions = [Exclusion("why", subject, condition, Place("c", 1, 1)) for condition in excluding]
        (matrix,) = judge(connection, rules, exclusions, world.now, world.whole)
        assert matrix.rows == len(rows)
        letters = f"SELECT v.* REPLACE (s.key AS n) FROM {matrix.table} v JOIN {subject} s ON s.n = v.n"
        found = connection.execute(letters).fetchall()
        verdicts = {key: (number, cells) for key, number, *cells in found}
        for row in rows:
            number, cells = verdicts[key_of(row)]
            out = next((n for n, condition in enumerate(excluding) if truth(condition, row, world)), None)
            assert number == out
            expected = [
                "not-applicable" if out is not None else outcome(applies, require, row, world)
                for applies, require in pairs
            ]
            assert [OUTCOMES[letter] for letter in cells] == expected, f"{pairs} on {row} in {world}"

    holds()


def rule(name: str, subject: Subject, applies: Condition | None, require: Condition) -> BoundRule:
    written = Rule(
        id=name,
        title="t",
        resource=subject,
        severity="low",
        profiles={"baseline": {}},
        rationale="r",
        references=(),
        controls={},
        parameters={},
        applies=applies,
        require=require,
        message="m",
        fix="",
        remedy="manual",
        overrides=False,
        place=Place("r.yaml", 1, 1),
        sha256="0" * 64,
    )
    return BoundRule(written, "low", {}, applies, require)


def vm(number: int = 0, **facts: Any) -> Row:
    """Return a VM with nothing beside it."""
    return Row("vm", {**dict.fromkeys(SEES["vm"]), "vm": Resource(f"/subscriptions/s/{number}", facts)}, item_here=None)


def test_hostile_text_is_compared_as_what_it_is() -> None:
    rows = [
        Row(
            "vm",
            {**vm().relations, "vm": Resource(f"/subscriptions/s/{n}", {"name": text}, tags={"owner": text})},
            None,
        )
        for n, text in enumerate(HOSTILE)
    ]
    words: tuple[Word, ...] = ("equals", *PARTS, "like")
    wanted: list[Condition] = [
        Compare(left, word, Constant(text))
        for left in (FieldRef("vm.name"), TagRef("vm", "owner"))
        for word in words
        for text in HOSTILE
    ]
    wanted += [Compare(FieldRef("vm.name"), "in", Constant([text, "something else"])) for text in HOSTILE]
    wanted += [Compare(Constant("a%_!b"), word, Constant(text)) for word in words for text in HOSTILE]
    check(rows, wanted, World(None, frozenset()))


def test_hostile_text_of_one_field_is_looked_for_in_another_as_what_it_is() -> None:
    rows = [vm(n, name=one, size=other) for n, (one, other) in enumerate(itertools.product(HOSTILE, repeat=2))]
    words: tuple[Word, ...] = ("equals", *PARTS)
    wanted = [Compare(FieldRef("vm.name"), word, FieldRef("vm.size")) for word in words]
    check(rows, wanted, World(None, frozenset()))


# What the two must agree on, spelled out


def answer(condition: Condition, row: Row, now: int | None = NOW, whole: Iterable[str] = ()) -> bool | None:
    """Return what the engine says of one row; the oracle says the same."""
    world = World(now, frozenset(whole))
    check([row], [condition], world)
    return truth(condition, row, world)


NOBODY: Mapping[str, Resource | None] = dict.fromkeys(SEES["item"])


def compare(name: str, word: Word, value: Any) -> Compare:
    return Compare(FieldRef(name), word, Constant(value))


def test_null_is_neither_equal_nor_different() -> None:
    same = compare("vm.name", "equals", "web")
    assert answer(same, vm()) is None
    assert answer(Not(same), vm()) is None
    assert answer(AnyOf((same, compare("vm.os_type", "equals", "linux"))), vm(os_type="Linux")) is True
    assert answer(AllOf((same, compare("vm.os_type", "equals", "linux"))), vm(os_type="Windows")) is False


def test_text_is_compared_without_letter_case_and_never_in_part() -> None:
    assert answer(compare("vm.name", "equals", "WEB"), vm(name="web")) is True
    assert answer(compare("vm.name", "in", ["db", "WEB"]), vm(name="web")) is True
    assert answer(compare("vm.name", "equals", "we"), vm(name="web")) is False
    assert answer(compare("vm.name", "equals", "strasse"), vm(name="straße")) is False
    assert answer(compare("vm.name", "equals", "\u0131"), vm(name="I")) is False


def test_only_the_star_of_like_stands_for_other_text() -> None:
    for pattern, name, expected in (
        ("web-*", "WEB-01", True),
        ("*-01", "web-01", True),
        ("w*b*1", "web-01", True),
        ("w*b", "web-01", False),
        ("*", "", True),
        ("a*a", "a", False),
        ("web_01", "web-01", False),
        ("web%", "web-01", False),
        ("web!*", "web!01", True),
        ("web", "webs", False),
    ):
        assert answer(compare("vm.name", "like", pattern), vm(name=name)) is expected, pattern
    assert answer(compare("vm.name", "contains", "*"), vm(name="web")) is False


def test_an_id_is_compared_without_a_slash_at_its_end() -> None:
    row = vm(scale_set_id="/subscriptions/s/resourceGroups/prod")
    assert answer(compare("vm.scale_set_id", "equals", "/subscriptions/S/resourcegroups/PROD/"), row) is True
    assert answer(compare("vm.scale_set_id", "in", ["/subscriptions/s/resourceGroups/prod/"]), row) is True


@pytest.mark.parametrize("word", ["startsWith", "contains", "like"])
def test_a_slash_at_the_end_of_a_part_of_an_id_ends_a_name(word: Word) -> None:
    text = "/subscriptions/s/resourceGroups/prod/" + ("*" if word == "like" else "")
    inside = vm(scale_set_id="/subscriptions/s/resourceGroups/prod/providers/x/y/z")
    beside = vm(scale_set_id="/subscriptions/s/resourceGroups/prod-2/providers/x/y/z")
    assert answer(compare("vm.scale_set_id", word, text), inside) is True
    assert answer(compare("vm.scale_set_id", word, text), beside) is False


def test_no_value_is_in_an_empty_list_and_one_that_is_not_known_may_be_in_none() -> None:
    assert answer(compare("vm.name", "in", []), vm(name="web")) is False
    assert answer(compare("vm.name", "in", []), vm()) is None
    assert answer(Not(compare("vm.name", "in", [])), vm(name="web")) is True


@pytest.mark.parametrize("word", ["equals", "in", "like", "contains", "startsWith", "endsWith"])
@pytest.mark.parametrize("value", ["text", None])
def test_a_parameter_that_is_not_set_leaves_a_comparison_open(word: Word, value: str | None) -> None:
    right = [value] if word == "in" and value is not None else value
    assert answer(Compare(Constant(None, "unset"), word, Constant(right)), vm()) is None
    assert answer(compare("vm.name", word, None), vm(name="web")) is None


def test_what_is_known_not_to_be_there_equals_nothing_on_either_side() -> None:
    absent, known = vm(), vm(scale_set_id="/subscriptions/s/x")
    same = compare("vm.scale_set_id", "equals", "/subscriptions/s/x")
    assert answer(same, absent) is False
    assert answer(Not(same), absent) is True
    assert answer(same, known) is True
    assert answer(compare("vm.scale_set_id", "exists", value=True), absent) is False
    group = Resource("/subscriptions/s/resourceGroups/g", {})
    row = Row("vm", {**known.relations, "resource_group": group}, item_here=None)
    managed, vm_id = FieldRef("resource_group.managed_by"), FieldRef("vm.id")
    assert answer(Compare(managed, "equals", vm_id), row) is False
    assert answer(Compare(vm_id, "equals", managed), row) is False


def test_a_value_that_could_not_be_used_is_not_known_to_be_absent() -> None:
    row = Row("vm", {**vm().relations, "vm": Resource("/x", {}, frozenset({"scale_set_id"}))}, item_here=None)
    assert answer(compare("vm.scale_set_id", "equals", "/subscriptions/s/x"), row) is None
    assert answer(compare("vm.scale_set_id", "exists", value=True), row) is None


def test_a_tag_is_there_or_not_there_or_not_read() -> None:
    def tagged(tags: Mapping[str, str | None] | None) -> Row:
        return Row("vm", {**vm().relations, "vm": Resource("/x", tags=tags)}, item_here=None)

    owner = TagRef("vm", "owner")
    is_me, there = Compare(owner, "equals", Constant("me")), Compare(owner, "exists", Constant(value=True))
    assert [answer(is_me, tagged(tags)) for tags in ({"owner": "Me"}, {}, {"owner": None}, None)] == [
        True,
        False,
        None,
        None,
    ]
    assert [answer(there, tagged(tags)) for tags in ({"owner": ""}, {}, {"owner": None}, None)] == [
        True,
        False,
        True,
        None,
    ]


def test_a_number_within_bounds_is_compared_at_both_ends() -> None:
    def runs(word: Word, limit: float, bounds: tuple[float | None, float | None] | None) -> bool | None:
        policy = Resource("/subscriptions/s/p", {"runs_on_busiest_day": bounds})
        row = Row("policy", {"policy": policy, "vault": None})
        return answer(compare("policy.runs_on_busiest_day", word, limit), row)

    def all_of(word: Word, limit: float, *bounds: tuple[float | None, float | None] | None) -> list[bool | None]:
        return [runs(word, limit, pair) for pair in bounds]

    assert all_of("lessOrEquals", 5, (4, 5), (None, 5)) == [True, True]
    assert all_of("lessOrEquals", 5, (5, 6), (5, None), None) == [None, None, None]
    assert all_of("lessOrEquals", 5, (6, 7), (6, None)) == [False, False]
    assert all_of("greater", 4, (5, 6), (5, None)) == [True, True]
    assert all_of("greater", 4, (4, 5), (None, 5)) == [None, None]
    assert all_of("greater", 4, (3, 4), (None, 4)) == [False, False]
    assert all_of("less", 5, (4, 4), (4, 5), (5, 5)) == [True, None, False]
    assert all_of("greaterOrEquals", 5, (5, 5), (4, 5), (4, 4)) == [True, None, False]


def test_an_age_is_counted_back_from_now() -> None:
    def older(created: int, hours: float, now: int | None = NOW) -> bool | None:
        leaf = Compare(FieldRef("vm.created"), "less", Age(Constant(hours), 1))
        return answer(leaf, vm(created=created), now)

    assert older(NOW - HOUR, 1) is False
    assert older(NOW - HOUR - 1, 1) is True
    assert older(NOW - HOUR // 2 - 1, 0.5) is True
    assert older(NOW, 1) is False
    assert older(NOW - HOUR, 1, now=None) is None


@pytest.mark.parametrize("now", [NOW, None])
@pytest.mark.parametrize("days", [1, 1e9, None])
def test_what_never_happened_is_older_than_any_age_whatever_the_time_is(now: int | None, days: float | None) -> None:
    age = Age(Constant(days), 24)
    for word, expected in (("less", True), ("lessOrEquals", True), ("greater", False), ("greaterOrEquals", False)):
        assert answer(Compare(FieldRef("vm.created"), word, age), vm(created=NEVER), now) is expected  # type: ignore[arg-type]  # four words


def test_a_time_that_may_be_later_than_is_known_is_surely_later_than_what_lies_before() -> None:
    def configured(word: Word, right: Right) -> bool | None:
        facts = {"configured": NOW, "last_backup": NOW - HOUR, "last_recovery_point": NOW + HOUR}
        item = Resource("/subscriptions/s/i", facts, open=frozenset({"configured"}))
        return answer(Compare(FieldRef("item.configured"), word, right), Row("item", {**NOBODY, "item": item}))

    two_hours_ago = Age(Constant(2), 1)
    in_an_hour = Constant(show_time(NOW + HOUR))
    assert [configured("greater", right) for right in (two_hours_ago, in_an_hour)] == [True, None]
    assert [configured("less", right) for right in (two_hours_ago, in_an_hour)] == [False, None]
    assert [configured("greater", FieldRef(f"item.{name}")) for name in ("last_backup", "last_recovery_point")] == [
        True,
        None,
    ]


def test_what_is_compared_with_a_time_that_may_be_later_is_surely_earlier_or_open() -> None:
    item = Resource(
        "/subscriptions/s/i",
        {"configured": NOW, "last_backup": NOW - HOUR, "last_recovery_point": NOW + HOUR},
        open=frozenset({"configured"}),
    )
    row = Row("item", {**NOBODY, "item": item})
    for word, expected in (("less", [True, None]), ("greater", [False, None])):
        found = [
            answer(Compare(FieldRef(f"item.{name}"), word, FieldRef("item.configured")), row)  # type: ignore[arg-type]  # two words
            for name in ("last_backup", "last_recovery_point")
        ]
        assert found == expected


def test_a_vm_in_no_scale_set_has_none_even_where_scale_sets_were_not_read() -> None:
    exists = compare("scale_set", "exists", value=True)
    assert answer(exists, vm()) is False
    assert answer(exists, vm(scale_set_id="/subscriptions/s/x")) is None
    unusable = Row("vm", {**vm().relations, "vm": Resource("/x", {}, frozenset({"scale_set_id"}))}, item_here=None)
    assert answer(exists, unusable, whole=["scale_sets"]) is None


def test_a_vm_without_item_has_no_policy_and_one_that_may_have_an_item_may_have_one() -> None:
    exists = compare("policy", "exists", value=True)
    relations = vm().relations
    assert answer(exists, Row("vm", relations, item_here=False)) is False
    assert answer(exists, Row("vm", relations, item_here=None), whole=TABLE_OF.values()) is None
    item = Resource("/subscriptions/s/i", {"policy_id": "/subscriptions/s/p", "agentless": False})
    dangling = Row("vm", {**relations, "item": item}, item_here=True)
    assert answer(exists, dangling) is None
    assert answer(exists, dangling, whole=["backup_policies"]) is False


def test_rows_that_a_join_multiplies_are_never_judged() -> None:
    connection = load([vm(1, name="web"), vm(2, name="db")])
    connection.execute("INSERT INTO vm_item SELECT * FROM vm_item LIMIT 1")
    with pytest.raises(AuditorError, match="multiplied or lost vm rows"):
        judge(connection, [rule("r", "vm", None, compare("vm.name", "equals", "x"))], [], None, frozenset())
    connection.execute("DELETE FROM vm_item WHERE of_vm = (SELECT min(n) FROM vm)")
    with pytest.raises(AuditorError, match="multiplied or lost vm rows"):
        judge(connection, [rule("r", "vm", None, compare("vm.name", "equals", "x"))], [], None, frozenset())


def test_rows_that_a_view_multiplies_are_never_judged() -> None:
    connection = load([vm(1, name="web"), vm(2, name="db")])
    connection.execute("CREATE TABLE read AS SELECT n FROM vm; CREATE OR REPLACE VIEW vm_rows AS SELECT * FROM read")
    connection.execute("INSERT INTO vm SELECT * FROM vm LIMIT 1")
    with pytest.raises(AuditorError, match="multiplied or lost vm rows"):
        judge(connection, [rule("r", "vm", None, compare("vm.name", "equals", "x"))], [], None, frozenset())


def test_the_first_exclusion_that_a_resource_meets_keeps_it_out_and_an_open_one_does_not() -> None:
    rows = [vm(1, name="web"), vm(2, name="db"), vm(3)]
    exclusions = [
        Exclusion("first", "vm", compare("vm.name", "equals", "web"), Place("c", 1, 1)),
        Exclusion("second", "vm", compare("vm.name", "in", ["web", "db"]), Place("c", 2, 1)),
        Exclusion("of vaults", "vault", compare("vault.name", "like", "*"), Place("c", 3, 1)),
    ]
    rules = [rule("r", "vm", None, compare("vm.name", "like", "*"))]
    (matrix,) = judge(load(rows), rules, exclusions, None, frozenset())
    assert [exclusion.reason for exclusion in matrix.exclusions] == ["first", "second"]
    connection = load(rows)
    judge(connection, rules, exclusions, None, frozenset())
    found = [tuple(row[1:]) for row in connection.execute("SELECT * FROM verdicts_vm ORDER BY n").fetchall()]
    assert found == [(0, "n"), (1, "n"), (None, "u")]
