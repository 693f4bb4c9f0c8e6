"""Answers to the printed queries, run by hand: read like whole resources, or not at all and never in part."""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from arm import Estate, Principal
from arm.graph_rows import container_rows, row_of
from arm.graph_store import GraphStore
from building import (
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    Audited,
    EstateBuilder,
    Json,
    audit_files,
    estate,
    group_id,
    hourly,
    plain,
    policy_id,
    vm_id,
)
from kql_subset import Query, projected
from test_command import run
from test_decode import IDS
from test_kql import full, in_graph

from auditor.inventory.exports import read_exports
from auditor.inventory.model import Gap, Problem
from auditor.inventory.projection import GRAPH_TABLES, MARK, projection_of, queries
from auditor.inventory.tables import PROTECTED_ITEMS, TABLE_OF_TYPE, VIRTUAL_MACHINES, Table

IMAGE = {"publisher": "Canonical", "offer": "ubuntu"}
SETTINGS = {
    "securitySettings": {"softDeleteSettings": {"softDeleteState": "Disabled", "softDeleteRetentionPeriodInDays": 7}},
    "publicNetworkAccess": "Disabled",
    "encryption": {"keyVaultProperties": {"keyUri": "https://a.vault.azure.net/keys/k"}},
    "bcdrSecurityLevel": "Fair",
}


def mixed() -> EstateBuilder:
    """Return what Resource Graph could have of an estate with every outcome."""
    built = estate().vault(tags={"backup-primary-endpoint": "azure"}).vault("local", "LocallyRedundant")
    built.vault("dark", None).vault("open", properties=SETTINGS, sku={"name": "RS0"}, tags={})
    built.policy(instantRpRetentionRangeInDays=5, timeZone="UTC", protectedItemsCount=2).policy("odd", {"a": 1})
    built.policy("often", hourly(4, 24), policyType="V2", snapshotConsistencyType="OnlyCrashConsistent")
    built.policy("sql", backupManagementType="AzureWorkload")
    for name, state in (
        ("web", "Protected"),
        ("new", "IRPending"),
        ("gone", "Protected"),
        ("off", "ProtectionStopped"),
    ):
        built.item(name, state)
    built.item("soft", "ProtectionStopped", isScheduledForDeferredDelete=True, policyId="")
    built.item("far", sourceResourceId=None, dataSourceInfo={"resourceID": vm_id("far")}, policyId=policy_id("often"))
    disks = {"extendedProperties": {"diskExclusionProperties": {"isInclusionList": True, "diskLunList": [0]}}}
    built.item("part", None, currentProtectionState="ProtectionConfigured", isDatasourceDeleted=False, **disks)
    built.item("other", backupManagementType="AzureWorkload", extendedProperties={})
    data = {"imageReference": IMAGE, "osDisk": {"createOption": "FromImage"}, "dataDisks": [{"lun": 1}, {"lun": 0}]}
    running = {"extended": {"instanceView": {"powerState": {"code": "PowerState/running"}}}}
    built.vm("web", **running, timeCreated="2026-06-01T00:00:00Z").vm("new", tags={"Env": "Prod", "Team": ""})
    built.vm("part", storageProfile=data).vm("far", location="North Europe").vm("off", storageProfile=None)
    built.vm("scratch", storageProfile={"osDisk": {"diffDiskSettings": {"option": "Local"}}}, osProfile={})
    built.vm("own", storageProfile={"osDisk": {"osType": "Windows", "createOption": "Attach"}}, osProfile=None)
    built.vm("shut", osProfile={"allowExtensionOperations": False, "windowsConfiguration": {"provisionVMAgent": False}})
    scale_set = f"{group_id()}/providers/Microsoft.Compute/virtualMachineScaleSets/set"
    built.vm("member", virtualMachineScaleSet={"id": scale_set}).vm("soft")
    built.vm("node", id=vm_id("node", "managed", OTHER_SUBSCRIPTION))
    built.add({"id": scale_set, "type": "Microsoft.Compute/virtualMachineScaleSets", "properties": {}})
    built.job("web", "Backup").job("new", "Backup", status="Failed", endTime="2026-06-15T11:00:00Z")
    groups = [("rg", SUBSCRIPTION, None), ("managed", OTHER_SUBSCRIPTION, "/subscriptions/a/resourceGroups/b")]
    for group, subscription, manager in groups:
        kind = "Microsoft.Resources/subscriptions/resourceGroups"
        built.add(
            {
                "id": group_id(group, subscription),
                "name": group,
                "type": kind,
                "managedBy": manager,
                "location": "West US",
            }
        )
        above = {"managementGroupAncestorsChain": [{"name": "corp", "displayName": "Corp"}]}
        own = {
            "id": f"/subscriptions/{subscription}",
            "name": f"Of {group}",
            "type": "Microsoft.Resources/subscriptions",
        }
        built.add({**own, "properties": above})
    for table in GRAPH_TABLES:
        if table.graph_family != "resourcecontainers":
            properties = {name: value for name, value in full(table)["properties"].items() if name != "instanceView"}
            built.add({**full(table), "id": f"{IDS[table.name]}-full", "properties": properties})
    # Resource Graph spells types in small letters, and an item that it has says less of disks than others do.
    built.resources = [{**resource, "type": str(resource["type"]).lower()} for resource in built.resources]
    return built


def row_for(resource: Json) -> Json:
    """Return the row of a resource in the answer to the query of its table."""
    return projected(projection_of(table_of(resource)).kql(), resource)


def table_of(resource: Json) -> Table:
    return TABLE_OF_TYPE[str(resource["type"]).lower()]


def rows_for(resources: Iterable[Json]) -> list[Json]:
    return [row_for(resource) for resource in resources]


def pages(rows: Iterable[Json]) -> list[list[Json]]:
    """Return rows by the query that they answer: those of one have the same columns."""
    return [[*page] for _, page in groupby(sorted(rows, key=lambda row: str(row[MARK])), lambda row: row[MARK])]


def table_form(rows: list[Json]) -> Json:
    columns = [{"name": name, "type": "object" if name == "tags" else "string"} for name in rows[0]]
    return {"columns": columns, "rows": [list(row.values()) for row in rows]}


def told(audited: Audited) -> Json:
    """Return all that a report says, but which bytes it was made of."""
    said = plain(audited.report)
    return {name: part for name, part in said.items() if name not in ("content_sha256", "inventory", "run_id")}


def written(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def audit(content: Any, **flags: Any) -> Audited:
    return audit_files({"estate.json": written(content)}, **flags)


class Read(NamedTuple):
    """What came of files: facts by table, gaps, problems, and what was passed over."""

    facts: dict[str, list[Json]]
    gaps: list[Gap]
    problems: tuple[Problem, ...]
    ignored: Mapping[str, int]


def read(content: Any, **more: Any) -> Read:
    """Read a file, and others beside it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in {"estate": content, **more}.items():
            (folder / "in").mkdir(exist_ok=True)
            (folder / "in" / f"{file}.json").write_bytes(written(text))
        inventory = read_exports([folder / "in"], folder)
        facts = {
            table: sorted(
                map(json.loads, path.read_text(encoding="utf-8").splitlines()), key=lambda row: str(row["id"])
            )
            for table, path in inventory.spool.items()
        }
        gaps = [gap for gap in inventory.gaps if gap.kind != "not-exported"]
        return Read(facts, gaps, inventory.problems, inventory.ignored)


@pytest.fixture(scope="module", name="expected")
def expected_fixture() -> Read:
    return read(mixed().resources)


FORMS: dict[str, Callable[[list[Json]], Any]] = {
    "az-graph-query": lambda rows: [
        {"count": len(page), "data": page, "skip_token": None, "total_records": len(page)} for page in pages(rows)
    ],
    "az-graph-query-data": lambda rows: rows,
    "rest": lambda rows: [
        {"totalRecords": len(page), "count": len(page), "data": page, "facets": [], "resultTruncated": "false"}
        for page in pages(rows)
    ],
    "rest-table": lambda rows: [
        {"totalRecords": len(page), "count": len(page), "data": table_form(page), "facets": []} for page in pages(rows)
    ],
    "bare-table": lambda rows: [table_form(page) for page in pages(rows)],
    "powershell": lambda rows: [
        {"SkipToken": None, "Data": [row | {"ResourceId": row["id"]} for row in page], "ResultTruncated": 0}
        for page in pages(rows)
    ],
    "lines": lambda rows: "\n".join(json.dumps(row) for row in rows),
    "lines-of-pages": lambda rows: "\n".join(json.dumps({"data": page, "count": len(page)}) for page in pages(rows)),
    "one-page-of-all": lambda rows: {"data": rows, "count": len(rows)},
    "utf-16": lambda rows: json.dumps({"data": rows}, indent=2).encode("utf-16"),
    "truths-as-numbers": lambda rows: [
        {name: int(value) if name in looked_for(row) else value for name, value in row.items()} for row in rows
    ],
    "as-az-adds-groups": lambda rows: [row | {"resourceGroup": "rg", "more": {"a": 1}} for row in rows],
}


def looked_for(row: Json) -> set[str]:
    columns = Query(projection_of(table_of(row)).kql()).columns
    return {name for name, meaning in columns if meaning.startswith("isnotnull")}


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_queries_and_whole_resources_are_the_same_facts(form: str, expected: Read) -> None:
    assert read(FORMS[form](rows_for(mixed().resources))) == expected


def test_rows_of_queries_and_whole_resources_come_to_the_same_report() -> None:
    expected = told(audit(mixed().resources))
    for form in ("az-graph-query", "rest-table"):
        assert told(audit(FORMS[form](rows_for(mixed().resources)))) == expected
    # It would say little of an estate that every rule passes.
    assert {letter for letters in expected["outcomes"].values() for letter in letters} == set("pfun")
    answered = [rule for rule, letters in expected["outcomes"].items() if {"p", "f"} & {*letters}]
    assert len(answered) > len(expected["outcomes"]) / 2


def test_the_estate_that_is_compared_says_everything_that_resource_graph_has(expected: Read) -> None:
    assert expected.facts.keys() == {table.name for table in GRAPH_TABLES}
    assert expected.gaps == []
    said = {(name, cell) for name, rows in expected.facts.items() for row in rows for cell in row}
    unsaid = [
        f"{table.name}.{column.name}"
        for table in GRAPH_TABLES
        for column in table.columns
        if (table.name, column.name) not in said and {*column.paths} & {*in_graph(table)}
    ]
    assert unsaid == []


def test_the_queries_that_are_printed_are_answered_with_what_is_read(tmp_path: Path) -> None:
    printed = run("collect", "--print-queries", folder=tmp_path).stdout
    asked = [part.partition("\n")[2] for part in printed.strip().split("\n\n")]
    assert asked == list(queries().values())
    there = Estate(mixed().resources)
    with closing(GraphStore(there)) as store:
        answers = [[json.loads(row) for row in store.answer(Principal(), None, query, 0.0).rows] for query in asked]
    # What Resource Graph would have answered whole.
    shown = [*(row_of(there, resource) for resource in there.resources.values()), *container_rows(there)]
    whole = [row for row in shown if str(row["type"]) in TABLE_OF_TYPE]
    assert sum(map(len, answers)) == len(whole)
    assert read([{"data": rows, "count": len(rows)} for rows in answers]) == read({"data": whole, "count": len(whole)})


# Rows that are none of ours.


OTHER_MARKS: list[Any] = ["", None, 5, True, [], projection_of(PROTECTED_ITEMS).version.upper()]
OTHER_MARKS.append(projection_of(VIRTUAL_MACHINES).version)


def marked(rows: Iterable[Json], table: Table, mark: object) -> list[Json]:
    return [row | {MARK: mark} if table_of(row) is table else row for row in rows]


@pytest.mark.parametrize("mark", OTHER_MARKS, ids=repr)
def test_rows_of_another_version_are_a_gap_that_says_so_and_no_facts(mark: object, expected: Read) -> None:
    found = read(marked(rows_for(mixed().resources), PROTECTED_ITEMS, mark))
    (gap,) = found.gaps
    assert (gap.table, gap.scope, gap.kind) == ("protected_items", "", "unreadable")
    assert "in/estate.json: a row" in gap.cause
    assert "comes from a query of another version of this program" in gap.cause
    assert "--print-queries" in gap.hint
    assert found.facts == {name: rows for name, rows in expected.facts.items() if name != "protected_items"}


def test_no_vm_is_without_backup_where_the_items_are_of_another_version() -> None:
    rows = marked(rows_for(mixed().resources), PROTECTED_ITEMS, "00000000")
    audited = audit(rows, select=["vm-protected"])
    assert {*audited.report.outcomes["vm-protected"]} <= set("un")
    assert audited.outcome("vm-protected", "own") == "unknown"
    kinds = {(gap.table, gap.kind) for gap in audited.report.gaps}
    assert kinds == {("protected_items", "unreadable"), ("protected_items", "not-exported")}


def test_a_row_of_another_version_leaves_the_others_as_they_are(expected: Read) -> None:
    rows = rows_for(mixed().resources)
    (web,) = [row for row in rows if row["id"] == vm_id("web")]
    found = read([row | {MARK: "00000000"} if row is web else row for row in rows])
    assert [(gap.table, gap.kind) for gap in found.gaps] == [("virtual_machines", "unreadable")]
    kept = [row for row in expected.facts["virtual_machines"] if row["id"] != web["id"]]
    assert found.facts == expected.facts | {"virtual_machines": kept}


@pytest.mark.parametrize("table", GRAPH_TABLES, ids=lambda table: table.name)
def test_a_row_without_one_of_the_columns_is_a_gap_that_names_it(table: Table, expected: Read) -> None:
    rows = rows_for(mixed().resources)
    for column in {name for name, _ in Query(projection_of(table).kql()).columns} - {"id", "type", MARK}:
        trimmed = [
            {name: value for name, value in row.items() if table_of(row) is not table or name != column} for row in rows
        ]
        found = read(trimmed)
        (gap,) = found.gaps
        assert gap.table == table.name
        assert f"has no {column}, which its query asks for" in gap.cause
        assert found.facts == {name: facts for name, facts in expected.facts.items() if name != table.name}


def test_a_truth_that_is_neither_yes_nor_no_makes_its_fact_unknown() -> None:
    (row,) = rows_for(estate().vm("web").resources)
    found = read([row | {"from_image": "true", "ephemeral_os_disk": "false"}])
    assert found.facts["virtual_machines"][0]["bad"] == ["from_image", "ephemeral_os_disk"]
    assert {problem.column for problem in found.problems} == {"from_image", "ephemeral_os_disk"}


# Mixed.


def test_whole_resources_and_rows_stand_side_by_side_in_one_answer(expected: Read) -> None:
    for first in (0, 1):
        both = [
            row_for(resource) if number % 2 == first else resource for number, resource in enumerate(mixed().resources)
        ]
        assert read({"value": both}) == expected
        assert read("\n".join(map(json.dumps, both))) == expected


def test_whole_resources_and_rows_stand_side_by_side_in_several_files(expected: Read) -> None:
    resources = mixed().resources
    rows = [row for row in rows_for(resources) if table_of(row).graph_family == "resources"]
    others = [resource for resource in resources if table_of(resource).graph_family != "resources"]
    found = read({"data": rows, "count": len(rows)}, more={"value": others})
    for facts in found.facts.values():
        for fact in facts:
            fact["source"] = "in/estate.json"
    assert found == expected


def test_a_row_and_the_same_resource_whole_are_one_resource() -> None:
    resources = mixed().resources
    assert told(audit([*rows_for(resources), *resources]))["outcomes"] == told(audit(resources))["outcomes"]


def test_an_instance_view_adds_the_agent_to_a_row() -> None:
    statuses = [{"code": "ProvisioningState/succeeded", "displayStatus": "Ready", "message": "m"}]
    view = {"instanceView": {"vmAgent": {"vmAgentVersion": "2.9.1.1", "statuses": statuses}}}
    built = estate().vm("web", osProfile=None).vault().policy().item("web").whole()
    rows, one = rows_for(built.resources), estate().vm("web", **view).resources[0]
    assert audit(rows).outcome("vm-agent-installed", "web") != "pass"
    files = {"rows.json": json.dumps(rows), "view.json": json.dumps({**one, "properties": view})}
    assert audit_files(files).outcome("vm-agent-installed", "web") == "pass"


def test_a_tag_with_the_name_of_the_mark_is_a_tag() -> None:
    resources = estate().vm("web", tags={MARK: "00000000"}).resources
    found = read({"value": resources})
    assert found == read(rows_for(resources))
    assert found.gaps == []
    assert found.facts["virtual_machines"][0]["tags"] == [{"n": MARK, "v": "00000000"}]


@pytest.mark.parametrize("said", [{"skip_token": "abc"}, {"resultTruncated": "true"}, {"totalRecords": 1000}], ids=repr)
def test_rows_that_are_not_all_are_a_gap_as_whole_resources_are(said: Json) -> None:
    resources = estate().vm("web").vm("db").resources
    found = read({"data": rows_for(resources), **said})
    assert found == read({"data": resources, **said})
    assert ("virtual_machines", "cut-short") in {(gap.table, gap.kind) for gap in found.gaps}
