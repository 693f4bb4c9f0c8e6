"""The queries for Resource Graph: inside its subset of KQL, whole in what they ask, and read like whole resources.

tests/validators/kql.py has Microsoft's parser judge them, too.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest
from arm import Estate, Principal
from arm.graph_rows import COLUMNS, container_rows, row_of
from arm.graph_rows import TABLES as GRAPH_FAMILIES
from arm.graph_store import GraphStore
from building import OTHER_SUBSCRIPTION, SUBSCRIPTION, Json, estate, vault_id, vm_id
from hypothesis import given
from hypothesis import strategies as st
from kql_subset import RULES, Query, broken_rules, projected
from test_decode import IDS, good, json_values, put, whole

from auditor.arm_id import parse_arm_id
from auditor.inventory.decode import Row, make_row
from auditor.inventory.projection import GRAPH_TABLES, MARK, projection_of, queries
from auditor.inventory.shapes import Part, shape_of
from auditor.inventory.tables import TABLES, VIRTUAL_MACHINES, Table

NOT_IN_GRAPH = {"powerState", "displayName"}  # as az writes them, beside the properties
Spoil = Callable[[str], str]

each_table = pytest.mark.parametrize("table", GRAPH_TABLES, ids=lambda table: table.name)
each_query = pytest.mark.parametrize(
    "query",
    [projection_of(table).kql(*part) for table in GRAPH_TABLES for part in ((), (3, 8))],
    ids=[f"{table.name}-{part}" for table in GRAPH_TABLES for part in ("whole", "part")],
)


def in_graph(table: Table) -> list[str]:
    """Return the paths of a table that Resource Graph has."""
    paths = shape_of(table).paths
    return [path for path in paths if path not in NOT_IN_GRAPH and not path.startswith("properties.instanceView")]


# The subset.


@each_query
def test_a_query_is_inside_resource_graphs_subset(query: str) -> None:
    assert broken_rules(query) == []


def replaced(old: str, new: str) -> Spoil:
    def spoil(query: str) -> str:
        assert old in query, old
        return query.replace(old, new, 1)

    return spoil


def after_the_filter(stage: str) -> Spoil:
    return replaced("\n| project ", f"\n| {stage}\n| project ")


OURS = projection_of(VIRTUAL_MACHINES).kql(3, 8)
BROKEN: list[tuple[str, Spoil]] = [
    *(
        ("no operator but Resource Graph's", after_the_filter(stage))
        for stage in (
            "search 'web'",
            "evaluate bag_unpack(tags)",
            "mv-apply x = tags on (take 1)",
            "project-keep id",
            "project-rename a = id",
            "project-reorder id",
            "lookup (resources) on id",
            "sample 10",
            "serialize",
            "as x",
        )
    ),
    ("no operator but Resource Graph's", after_the_filter("join (resources | sample 5) on id")),
    ("no statement but one query", replaced("\n| project ", ";\n| project ")),
    ("tables by their names, in small letters", replaced("resources\n", "Resources\n")),
    ("tables by their names, in small letters", replaced("resources\n", "vaultresources\n")),
    ("tables by their names, in small letters", replaced("resources\n", "")),
    ("tables by their names, in small letters", after_the_filter("join kind=inner (Resources | project id) on id")),
    ("tables by their names, in small letters", after_the_filter("union resources, (ResourceContainers)")),
    ("at most 3 joins", after_the_filter(" | ".join(["join (resources) on id"] * 4))),
    ("at most 3 joins", after_the_filter(f"join ({OURS} {'| join (resources) on id' * 3}) on id")),
    ("no join of another kind", after_the_filter("join kind=leftanti (resources) on id")),
    ("no join of another kind", after_the_filter("join kind=rightouter resources on id")),
    ("no strategy for a join", after_the_filter("join hint.strategy=broadcast kind=inner resources on id")),
    ("at most 2 mv-expand", after_the_filter(" | ".join(["mv-expand tags"] * 3))),
    ("at most 400 rows of each", after_the_filter("mv-expand tags limit 401")),
    ("at most 3 legs of unions", after_the_filter("union resources, resources, resources")),
    ("at most 3 legs of unions", after_the_filter(" | ".join(["union kind=outer (resources | project id)"] * 3))),
    ("no union of tables that may not be there", after_the_filter("union isfuzzy=true resources")),
    ("the id is projected", replaced("project id,", "project")),
    ("the id is projected", replaced("project id,", "project id = tolower(id),")),
    ("the id is projected", replaced("project id,", "project ID = id,")),
    ("the id is projected", after_the_filter("extend id = name")),
    ("the id is projected", after_the_filter("summarize count() by id")),
    ("the id is projected", after_the_filter("distinct id")),
    ("the id is projected", replaced("\n| order", "\n| project-away id\n| order")),
    ("ordered by id, at the end", replaced("\n| order by id asc", "")),
    ("ordered by id, at the end", replaced("order by id", "order by name")),
    ("ordered by id, at the end", replaced("order by id", "order by type asc, id")),
    ("ordered by id, at the end", replaced("\n| order by id asc", "\n| order by id asc\n| where name != ''")),
    ("no limit", after_the_filter("take 5")),
    ("no limit", after_the_filter("limit 5")),
    ("no limit", after_the_filter("top 5 by name")),
    ("the mark", replaced(f"{MARK} = ", "query = ")),
    ("the mark", replaced(f"{MARK} = '{projection_of(VIRTUAL_MACHINES).version}'", f"{MARK} = type")),
]
ALL_BAGS = f"resources\n| project tags, {MARK} = properties.x, sku.name\n| order by id asc"
BROKEN_TOGETHER: list[tuple[set[str], str]] = [
    ({"a column that is no bag", "the id is projected", "the mark"}, ALL_BAGS),
    ({"no statement but one query", "tables by their names, in small letters"}, f"let x = 1; {OURS}"),
]


@pytest.mark.parametrize(("rule", "spoil"), BROKEN, ids=[f"{at}-{rule}" for at, (rule, _) in enumerate(BROKEN)])
def test_a_query_outside_the_subset_is_found_by_its_rule_and_no_other(rule: str, spoil: Spoil) -> None:
    assert broken_rules(spoil(OURS)) == [rule]


@pytest.mark.parametrize(("rules", "query"), BROKEN_TOGETHER)
def test_a_query_that_breaks_several_rules_is_found_by_each(rules: set[str], query: str) -> None:
    assert {*broken_rules(query)} == rules


def test_each_rule_is_shown_a_query_that_breaks_it() -> None:
    assert {rule for rule, _ in BROKEN}.union(*(rules for rules, _ in BROKEN_TOGETHER)) == RULES.keys()


@pytest.mark.parametrize(
    "stage",
    [
        "extend a = tolower(id) | sort by name asc | project-away a",
        "join kind=leftouter (recoveryservicesresources | where name in ('a', 'b') | project id) on id",
        " | ".join(["join kind=fullouter resources on $left.id == $right.id"] * 3),
        "union (resourcecontainers | project id), resources",
        "mv-expand bagexpansion=array x = tags limit 400 | mv-expand properties",
        "parse name with a '-' b",
    ],
)
def test_what_the_subset_allows_breaks_no_rule(stage: str) -> None:
    assert broken_rules(after_the_filter(stage)(OURS)) == []


# What is asked.


@each_query
def test_columns_are_called_differently_and_never_like_another_one_of_resource_graphs(query: str) -> None:
    columns = Query(query).columns
    names = [name.lower() for name, _ in columns]
    assert len(set(names)) == len(names)
    own = {name.lower() for name in COLUMNS}
    assert [(name, meaning) for name, meaning in columns if name.lower() in own and name != meaning] == []


def test_there_is_a_query_for_every_table_that_resource_graph_has() -> None:
    assert queries().keys() == {table.name for table in TABLES if table.graph_family in GRAPH_FAMILIES}
    assert all(
        query == projection_of(table).kql() for table, query in zip(GRAPH_TABLES, queries().values(), strict=True)
    )


@each_table
def test_every_fact_that_resource_graph_has_is_asked_for_once(table: Table) -> None:
    query = Query(projection_of(table).kql())
    looked_for = {path for column in table.columns if column.pick == "presence" for path in column.paths}
    expected = {f"isnotnull({path})" if path in looked_for else path for path in in_graph(table)}
    asked = [meaning for _, meaning in query.columns]
    assert len(set(asked)) == len(asked)
    assert {*asked} == {*expected, "id", "name", "type", "tags", f"'{projection_of(table).version}'"}
    assert query.stages[1] == [
        *("where", "type", "in", "~", "("),
        *[word for arm_type in table.arm_types for word in (f"'{arm_type}'", ",")][:-1],
        ")",
    ]


def test_each_query_has_its_own_mark() -> None:
    assert len({projection_of(table).version for table in GRAPH_TABLES}) == len(GRAPH_TABLES)


# What comes back.


def leaf(table: Table, path: str) -> st.SearchStrategy[Any]:
    if path in ("name", "location", "managedBy"):
        return st.none() | st.text(max_size=5) | st.just("West Europe")
    columns = [column for column in table.columns if path in column.paths]
    if columns[0].pick == "presence":
        return st.sampled_from([None, {}, {"option": "Local"}])
    if path.endswith("powerState.code"):
        return st.sampled_from([None, "PowerState/running", "PowerState/", "odd", 5])
    return st.just(good(columns[0])) | json_values


def resources(table: Table) -> st.SearchStrategy[Json]:
    """Draw resources as Resource Graph may have them: any value at the end of a path, objects or null on the way."""

    def below(prefix: str) -> st.SearchStrategy[Any]:
        steps = dict.fromkeys(path[len(prefix) :].split(".")[0] for path in paths if path.startswith(prefix))
        drawn = {
            step: below(f"{prefix}{step}.")
            if any(path.startswith(f"{prefix}{step}.") for path in paths)
            else leaf(table, prefix + step)
            for step in steps
        }
        return st.fixed_dictionaries({}, optional=drawn) | (st.none() if prefix else st.nothing())

    paths = [path for path in in_graph(table) if path != "type"]
    tags = st.none() | st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3) | st.just(5), max_size=2)
    always = st.fixed_dictionaries(
        {"id": st.just(IDS[table.name]), "name": st.text(max_size=3), "type": st.sampled_from(table.arm_types)},
        optional={"tags": tags},
    )
    return st.builds(lambda named, more: named | more, always, below(""))


def made(table: Table, resource: Any, tags: Any, values: Iterable[Any]) -> tuple[Json, list[Any]]:
    """Return what becomes of a resource, whose name comes from ``resource``."""
    arm_id = parse_arm_id(IDS[table.name])
    assert arm_id is not None
    row: Row = make_row(arm_id, resource, tags, list(values), table, "a.json")
    return row.cells, row.problems


@each_table
def test_a_row_of_the_query_is_read_like_the_whole_resource(table: Table) -> None:
    shape, projection = shape_of(table), projection_of(table)

    @given(resources(table), st.booleans())
    def holds(resource: Json, numbers: bool) -> None:  # noqa: FBT001 -- drawn
        whole_one = shape.one(json.dumps(resource))
        expected = made(table, whole_one.name, whole_one.tags, shape.values(whole_one))
        row = projected(projection.kql(), resource)
        if numbers:  # for truths, as Kusto has them inside
            row |= {name: int(row[name]) for name in presences(table)}
        text = json.dumps([row])
        page: Any = projection.page(text)[0]
        assert made(table, page.name, page.tags, projection.values(page)) == expected
        (plain,) = msgspec.json.decode(text)
        assert projection.fault_of(plain) == ""
        assert made(table, plain.get("name"), plain.get("tags"), projection.values_of(plain)) == expected

    holds()


def presences(table: Table) -> dict[str, str]:
    """Return the columns that tell whether something is there, and where that is."""
    columns = Query(projection_of(table).kql()).columns
    return {name: meaning[10:-1] for name, meaning in columns if meaning.startswith("isnotnull(")}


@pytest.mark.parametrize("value", [True, 1, 1.0, None, False, 0, "true", "True", 2, []])
@pytest.mark.parametrize("table", [table for table in GRAPH_TABLES if presences(table)], ids=lambda table: table.name)
def test_what_is_there_is_true_or_1_and_what_is_neither_yes_nor_no_is_not_known(table: Table, value: object) -> None:
    shape, projection = shape_of(table), projection_of(table)
    row = projected(projection.kql(), {"id": IDS[table.name]}) | dict.fromkeys(presences(table), value)
    page: Any = projection.page(json.dumps([row]))[0]
    for values in (projection.values(page), projection.values_of(row)):
        for path in presences(table).values():
            place = shape.paths.index(path)
            assert isinstance(values[place], Part) == (value in (True, None, False))
            assert (values[place] is shape.absent[place]) == (value in (None, False))
        cells, problems = made(table, None, None, values)
        assert {cells.get(name) for name in presences(table)} == ({True} if value == 1 else {None})
        bad = set(presences(table)) if value not in (True, None, False) else set()
        assert {problem.column for problem in problems} == bad == set(cells.get("bad", []))


# duckdb-kql executes them.


def full(table: Table) -> Json:
    """Return a resource that has something in each place of Resource Graph's that a fact is read from."""
    resource = whole(table)
    for column in table.columns:
        for path in {*column.paths[1:]} & {*in_graph(table)}:
            put(resource, path, good(column))
    return resource


@pytest.fixture(scope="module", name="rows")
def rows_fixture() -> Iterator[tuple[GraphStore, list[Json]]]:
    """Return a few resources of each table and some of none, as Resource Graph has them."""
    built = (
        estate()
        .vault()
        .policy("weekly")
        .vm("db", osProfile=None, tags={"Env": "Prod"})
        .item("db", "IRPending")
        .job("db")
    )
    built.vm("far", id=vm_id("far", "RG2", OTHER_SUBSCRIPTION), storageProfile={"osDisk": {"diffDiskSettings": {}}})
    built.vault("bare", None, sku={"name": "RS0"}, tags={})
    built.add({"id": f"{IDS['scale_sets']}2", "type": "Microsoft.Compute/virtualMachineScaleSets", "properties": {}})
    for table in GRAPH_TABLES:
        built.add(full(table))
    built.add({"id": f"{vm_id('db')}/extensions/a", "type": "Microsoft.Compute/virtualMachines/extensions"})
    built.add({"id": f"{vault_id()}/replicationAlertSettings/a", "type": "Microsoft.RecoveryServices/vaults/alerts"})
    made_of = Estate(built.resources, names={SUBSCRIPTION: "Main"}, groups={"top": [SUBSCRIPTION]})
    shown = [*(row_of(made_of, resource) for resource in made_of.resources.values()), *container_rows(made_of)]
    with closing(GraphStore(made_of)) as store:
        yield store, shown


def answered(store: GraphStore, query: str) -> list[Json]:
    return [json.loads(row) for row in store.answer(Principal(), None, query, 0.0).rows]


@each_table
def test_executed_a_query_gives_what_the_rows_hold(table: Table, rows: tuple[GraphStore, list[Json]]) -> None:
    store, shown = rows
    query = projection_of(table).kql()
    expected = [projected(query, row) for row in shown if row["type"] in table.arm_types]
    found = answered(store, query)
    assert found == sorted(expected, key=lambda row: str(row["id"]))
    assert len(found) > 1 or table.name == "subscriptions"
    assert {type(row[name]) for row in found for name in presences(table)} <= {bool}
    (said,) = [row for row in found if row["id"] == IDS[table.name]]
    assert [name for name, value in said.items() if value is None] in ([], ["tags"])


@each_table
def test_parts_of_a_query_share_nothing_and_leave_nothing_out(
    table: Table, rows: tuple[GraphStore, list[Json]]
) -> None:
    store, _ = rows
    parts = [row for part in range(8) for row in answered(store, projection_of(table).kql(part, 8))]
    assert sorted(parts, key=lambda row: str(row["id"])) == answered(store, projection_of(table).kql())
