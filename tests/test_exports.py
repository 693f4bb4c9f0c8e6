"""Every form in which Azure's tools write their answers, answers that are not whole, and files that are none."""

import codecs
import gc
import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import (
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    EstateBuilder,
    Json,
    estate,
    group_id,
    item_id,
    policy_id,
    vault_id,
    vm_id,
)

from auditor.errors import UsageError
from auditor.inventory import exports
from auditor.inventory.exports import read_exports
from auditor.inventory.model import EVERY_TABLE, Gap, Inventory

TABLES = {
    "virtual_machines",
    "vaults",
    "backup_policies",
    "protected_items",
    "backup_jobs",
    "resource_groups",
    "subscriptions",
}
VM = estate().vm("web").resources[0]
VAULT = estate().vault("v").resources[0]
ITEM = estate().item("web").resources[0]

Read = Callable[..., Inventory]


@pytest.fixture(name="read")
def read_fixture(tmp_path: Path) -> Read:
    """Return a function that writes files into a folder and reads the folder, or the files named by ``paths``."""

    def read(
        files: dict[str, Any], *, paths: list[str] | None = None, complete: frozenset[str] = frozenset()
    ) -> Inventory:
        export, work = tmp_path / "export", tmp_path / "work"
        for folder in (export, work):
            folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (export / name).parent.mkdir(parents=True, exist_ok=True)
            (export / name).write_bytes(_bytes(content))
        return read_exports([export / path for path in paths] if paths else [export], work, complete)

    return read


def _bytes(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def rows(inventory: Inventory, table: str) -> list[Json]:
    path = inventory.spool.get(table)
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path else []
    # What is plainly read off the id is not written beside it.
    return [
        {
            "name": row["id"].rpartition("/")[2],
            "subscription_id": row["id"].split("/")[2],
            "vault_id": row["id"][: row.get("vault_length", 0)],
            **row,
        }
        for row in found
    ]


def gaps(inventory: Inventory, *kinds: str) -> list[Gap]:
    """Return the gaps but for tables that were not exported, or those of some kinds."""
    return [gap for gap in inventory.gaps if (gap.kind in kinds if kinds else gap.kind != "not-exported")]


def reach(inventory: Inventory) -> set[tuple[str, str]]:
    return {(gap.table, gap.scope) for gap in gaps(inventory)}


# Forms.

GRAPH_ROW = {
    "id": vm_id("web").lower(),
    "name": "web",
    "type": "microsoft.compute/virtualmachines",
    "location": "westeurope",
    "properties": VM["properties"],
}
COLUMNS = [{"name": "id", "type": "string"}, {"name": "name", "type": "string"}, {"name": "type", "type": "string"}]
CELLS = [GRAPH_ROW["id"], "web", GRAPH_ROW["type"]]
POWERSHELL = {  # Get-AzResource -ExpandProperties | ConvertTo-Json
    "ResourceId": VM["id"],
    "Id": VM["id"],
    "Name": "web",
    "ResourceGroupName": "rg",
    "ResourceType": VM["type"],
    "Location": "westeurope",
    "Tags": None,
    "Properties": VM["properties"],
}
FLATTENED = {key: value for key, value in VM.items() if key != "properties"} | VM["properties"]
FORMS: dict[str, tuple[str, object]] = {
    "graph-objects": ("a.json", {"totalRecords": 1, "count": 1, "resultTruncated": "false", "data": [GRAPH_ROW]}),
    "graph-columns-and-rows": ("a.json", {"columns": COLUMNS, "rows": [CELLS]}),
    "graph-nested-columns-and-rows": (
        "a.json",
        {"totalRecords": 1, "count": 1, "data": {"columns": COLUMNS, "rows": [CELLS]}, "facets": []},
    ),
    "az-graph-query": (
        "a.json",
        {"count": 1, "data": [GRAPH_ROW], "skip_token": None, "total_records": 1},
    ),
    "powershell-keys": (
        "a.json",
        {"SkipToken": None, "Data": [GRAPH_ROW], "Count": 1, "TotalRecords": 1, "ResultTruncated": "False"},
    ),
    "arm-list": ("a.json", {"value": [VM]}),
    "arm-list-with-an-empty-link": ("a.json", {"value": [VM], "nextLink": None}),
    "array": ("a.json", [VM]),
    "single-resource": ("a.json", VM),
    "array-of-pages": ("a.json", [{"value": [VM]}, {"value": [VAULT]}]),
    "array-of-graph-pages": ("a.json", [{"data": [GRAPH_ROW], "count": 1}, {"data": [VAULT], "count": 1}]),
    "array-of-pages-and-resources": ("a.json", [{"value": [VAULT]}, VM]),
    "lines": ("a.ndjson", f"{json.dumps(VM)}\n{json.dumps(VAULT)}\n"),
    "lines-without-a-last-end": ("a.ndjson", f"{json.dumps(VAULT)}\n\n{json.dumps(VM)}"),
    "lines-of-windows": ("a.jsonl", f"{json.dumps(VAULT)}\r\n{json.dumps(VM)}\r\n"),
    "lines-of-pages": ("a.ndjson", f"{json.dumps({'value': [VM]})}\n{json.dumps({'value': [VAULT]})}\n"),
    "lines-of-arrays": ("a.ndjson", f"{json.dumps([VM])}\n{json.dumps([VAULT])}\n"),
    "lines-called-json": ("a.json", f"{json.dumps(VM)}\n{json.dumps(VAULT)}\n"),
    "pages-in-lines-called-json": ("a.json", f"{json.dumps({'value': [VM]})}\n{json.dumps({'value': [VAULT]})}\n"),
    "az-vm-list": ("a.json", [FLATTENED]),
    "az-vm-get-instance-view": ("a.json", FLATTENED),
    "get-az-resource": ("a.json", [POWERSHELL]),
    "get-az-resource-of-one": ("a.json", POWERSHELL),
    "suffix-in-capitals": ("A.JSON", [VM]),
    "type-in-other-letters": ("a.json", [{**VM, "type": "MICROSOFT.COMPUTE/VIRTUALMACHINES"}]),
    "type-read-off-the-id": ("a.json", [{key: value for key, value in VM.items() if key != "type"}]),
    "byte-order-mark": ("a.json", codecs.BOM_UTF8 + _bytes([VM])),
    "byte-order-mark-before-lines": ("a.ndjson", codecs.BOM_UTF8 + _bytes(VM)),
    "utf-16-little": ("a.json", codecs.BOM_UTF16_LE + json.dumps([VM]).encode("utf-16-le")),
    "utf-16-big": ("a.json", codecs.BOM_UTF16_BE + json.dumps([VM]).encode("utf-16-be")),
    "space-around": ("a.json", b"\n\t " + _bytes([VM]) + b"\n \n"),
}


@pytest.mark.parametrize("paths", [None, "named"], ids=["in-a-folder", "named"])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_vm_and_no_gap(form: str, paths: str | None, read: Read) -> None:
    name, content = FORMS[form]
    inventory = read({name: content}, paths=[name] if paths else None)
    (row,) = rows(inventory, "virtual_machines")
    assert row["id"].lower() == vm_id("web").lower()
    assert row["name"] == "web"
    assert gaps(inventory) == []
    assert inventory.problems == ()


@pytest.mark.parametrize("form", [form for form in FORMS if "columns" not in form and "graph-pages" not in form])
def test_each_form_that_holds_properties_gives_the_facts(form: str, read: Read) -> None:
    name, content = FORMS[form]
    (row,) = rows(read({name: content}), "virtual_machines")
    assert row["provision_vm_agent"] is True
    assert row["from_image"] is True


def test_columns_and_rows_give_properties_as_well(read: Read) -> None:
    answer = {"columns": [*COLUMNS, {"name": "properties", "type": "object"}], "rows": [[*CELLS, VM["properties"]]]}
    (row,) = rows(read({"a.json": answer}), "virtual_machines")
    assert row["provision_vm_agent"] is True


@pytest.mark.parametrize("nested", [False, True], ids=["nested", "flattened"])
def test_items_policies_and_vaults_are_read_nested_and_flattened(nested: bool, read: Read) -> None:  # noqa: FBT001
    resources = [ITEM, VAULT, estate().policy("p").resources[0]]
    if not nested:
        resources = [
            {key: value for key, value in entry.items() if key != "properties"} | entry["properties"]
            for entry in resources
        ]
    inventory = read({"a.json": resources})
    assert rows(inventory, "protected_items")[0]["vm_id"] == vm_id("web")
    assert rows(inventory, "protected_items")[0]["vault_id"] == vault_id()
    assert rows(inventory, "vaults")[0]["declared_redundancy"] == "GeoRedundant"
    assert rows(inventory, "backup_policies")[0]["management_type"] == "AzureIaasVM"


def test_az_account_list_gives_subscriptions(read: Read) -> None:
    account = {
        "cloudName": "AzureCloud",
        "id": SUBSCRIPTION.upper(),
        "name": "Production",
        "tenantId": "99999999-9999-9999-9999-999999999999",
        "state": "Enabled",
        "isDefault": True,
    }
    (row,) = rows(read({"a.json": [account]}), "subscriptions")
    assert row["id"] == f"/subscriptions/{SUBSCRIPTION}"
    assert row["display_name"] == "Production"
    assert row["subscription_id"] == SUBSCRIPTION


def test_a_list_of_subscriptions_of_arm_gives_subscriptions(read: Read) -> None:
    entry = {"id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION, "displayName": "Production"}
    (row,) = rows(read({"a.json": {"value": [entry]}}), "subscriptions")
    assert row["display_name"] == "Production"


@pytest.mark.parametrize(
    "kind", ["Microsoft.Resources/resourceGroups", "microsoft.resources/subscriptions/resourcegroups", None]
)
def test_groups_are_read_as_az_and_the_graph_write_them(kind: str | None, read: Read) -> None:
    entry = {"id": group_id("RG"), "name": "RG", "location": "West Europe", "managedBy": vault_id(), "type": kind}
    (row,) = rows(read({"a.json": [entry]}), "resource_groups")
    assert (row["resource_group_name"], row["managed_by"], row["location"]) == ("RG", vault_id(), "westeurope")


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_half_a_surrogate_pair_in_a_name_is_no_reason_to_refuse_a_file(form: str, read: Read) -> None:
    text = json.dumps({**VM, "name": "web\ud83d"})
    assert "\\ud83d" in text
    inventory = read({f"a.{form}": text})
    (row,) = rows(inventory, "virtual_machines")
    assert row["name"] == "web\ufffd"
    assert gaps(inventory) == []


def test_a_mix_of_files_in_folders_below_is_one_inventory(read: Read) -> None:
    inventory = read({"vms/a.json": [VM], "vaults/deep/b.json": {"value": [VAULT]}, "c.ndjson": json.dumps(ITEM)})
    assert dict(inventory.rows) == {"virtual_machines": 1, "vaults": 1, "protected_items": 1}
    assert [source.name for source in inventory.sources] == [
        "export/c.ndjson",
        "export/vaults/deep/b.json",
        "export/vms/a.json",
    ]
    assert [source.rows for source in inventory.sources] == [1, 1, 1]


@pytest.mark.parametrize("name", ["a.json", "a.ndjson"])
def test_a_source_has_the_digest_of_the_bytes_of_its_file(name: str, read: Read) -> None:
    content = codecs.BOM_UTF8 + _bytes(VM) + b"\r\n"
    (source,) = read({name: content}).sources
    assert source.sha256 == hashlib.sha256(content).hexdigest()


def test_a_row_knows_its_file(read: Read) -> None:
    assert rows(read({"deep/a.json": [VM]}), "virtual_machines")[0]["source"] == "export/deep/a.json"
    assert rows(read({"deep/a.json": [VM]}, paths=["deep/a.json"]), "virtual_machines")[0]["source"] == "a.json"


# Answers that are not whole.

GRAPH_RESOURCES = {"virtual_machines", "vaults", "scale_sets"}
GRAPH_BACKUP = {"backup_policies", "protected_items", "backup_jobs"}
LINK = f"https://management.azure.com/subscriptions/{SUBSCRIPTION.upper()}/providers/x?api-version=1&$skiptoken=2"
CUT: dict[str, tuple[object, set[str], str, str]] = {
    # name -> answer, tables that may lack rows, subscription they may lack them in, words of the cause
    "next-link": ({"value": [VM], "nextLink": LINK}, {"virtual_machines"}, SUBSCRIPTION, "nextLink"),
    "next-link-of-items": ({"value": [ITEM], "nextLink": LINK}, {"protected_items"}, SUBSCRIPTION, "nextLink"),
    "next-link-of-a-tenant": (
        {"value": [VM], "nextLink": "https://management.azure.com/providers/x?$skiptoken=2"},
        {"virtual_machines"},
        "",
        "nextLink",
    ),
    "next-link-that-is-no-text": ({"value": [VM], "nextLink": {"href": LINK}}, {"virtual_machines"}, "", "nextLink"),
    "next-link-in-other-letters": ({"Value": [VM], "NextLink": LINK}, {"virtual_machines"}, SUBSCRIPTION, "nextLink"),
    "next-link-after-two-kinds": (
        {"value": [VM, VAULT], "nextLink": LINK},
        {"virtual_machines", "vaults"},
        SUBSCRIPTION,
        "nextLink",
    ),
    "next-link-after-nothing": ({"value": [], "nextLink": LINK}, {EVERY_TABLE}, SUBSCRIPTION, "nextLink"),
    "skip-token": ({"data": [VM], "$skipToken": "abc"}, GRAPH_RESOURCES, "", "$skipToken"),
    "skip-token-of-az": ({"data": [VM], "skip_token": "abc"}, GRAPH_RESOURCES, "", "$skipToken"),
    "skip-token-of-powershell": ({"Data": [VM], "SkipToken": "abc"}, GRAPH_RESOURCES, "", "$skipToken"),
    "skip-token-of-items": ({"data": [ITEM], "$skipToken": "abc"}, GRAPH_BACKUP, "", "$skipToken"),
    "skip-token-of-groups": (
        {"data": [{"id": group_id(), "type": "microsoft.resources/subscriptions/resourcegroups"}], "$skipToken": "a"},
        {"resource_groups", "subscriptions"},
        "",
        "$skipToken",
    ),
    "truncated": ({"data": [VM], "resultTruncated": "true"}, GRAPH_RESOURCES, "", "resultTruncated"),
    "truncated-in-other-letters": ({"data": [VM], "resultTruncated": "True"}, GRAPH_RESOURCES, "", "resultTruncated"),
    "truncated-as-a-boolean": ({"data": [VM], "resultTruncated": True}, GRAPH_RESOURCES, "", "resultTruncated"),
    "truncated-rows": (
        {"data": {"columns": COLUMNS, "rows": [CELLS]}, "resultTruncated": "true"},
        GRAPH_RESOURCES,
        "",
        "resultTruncated",
    ),
    "fewer-than-total": ({"data": [VM], "count": 1, "totalRecords": 1001}, GRAPH_RESOURCES, "", "1 of 1001 records"),
    "fewer-than-total-of-az": ({"data": [VM], "count": 1, "total_records": 2}, GRAPH_RESOURCES, "", "1 of 2 records"),
    "fewer-rows-than-total": (
        {"totalRecords": 2, "data": {"columns": COLUMNS, "rows": [CELLS]}},
        GRAPH_RESOURCES,
        "",
        "1 of 2 records",
    ),
    "nothing-of-some": ({"data": [], "count": 0, "totalRecords": 5}, {EVERY_TABLE}, "", "0 of 5 records"),
    "page-in-an-array": (
        [{"value": [VAULT]}, {"value": [VM], "nextLink": LINK}],
        {"virtual_machines"},
        SUBSCRIPTION,
        "nextLink",
    ),
}


@pytest.mark.parametrize("name", CUT)
def test_an_answer_that_is_not_whole_leaves_a_gap_of_what_it_could_lack(name: str, read: Read) -> None:
    answer, tables, scope, words = CUT[name]
    inventory = read({"a.json": answer})
    assert reach(inventory) == {(table, scope) for table in tables}
    for gap in gaps(inventory):
        assert gap.kind == "cut-short"
        assert gap.cause.startswith("export/a.json is cut short: ")
        assert words in gap.cause
        assert gap.hint


@pytest.mark.parametrize("name", CUT)
def test_an_answer_that_is_not_whole_is_no_error_when_its_file_is_named(name: str, read: Read) -> None:
    assert gaps(read({"a.json": CUT[name][0]}, paths=["a.json"]), "cut-short")


def test_a_line_that_is_not_whole_leaves_a_gap_too(read: Read) -> None:
    content = f"{json.dumps({'value': [VAULT]})}\n{json.dumps({'value': [VM], 'nextLink': LINK})}\n"
    assert reach(read({"a.ndjson": content})) == {("virtual_machines", SUBSCRIPTION)}


@pytest.mark.parametrize(
    "answer",
    [
        {"value": [VM], "nextLink": ""},
        {"data": [VM], "$skipToken": ""},
        {"data": [VM], "$skipToken": None, "resultTruncated": "false", "count": 1, "totalRecords": 1},
        {"data": [VM], "resultTruncated": False},
        {"data": [VM], "totalRecords": None},
    ],
)
def test_an_answer_that_says_it_is_whole_leaves_none(answer: Json, read: Read) -> None:
    assert gaps(read({"a.json": answer})) == []


# Refusals.


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization"}},
        {"error": {"code": "AuthorizationFailed", "message": "no", "details": [], "innererror": None}},
        [{"error": {"code": "AuthorizationFailed", "message": "no"}}],
        [{"value": [VM]}, {"error": {"code": "AuthorizationFailed", "message": "no"}}],
        [VM, {"error": {"code": "AuthorizationFailed", "message": "no"}}],
    ],
    ids=["alone", "with-details", "in-an-array", "among-pages", "among-resources"],
)
@pytest.mark.parametrize("named", [False, True], ids=["in-a-folder", "named"])
def test_a_refusal_instead_of_an_answer_is_a_gap_of_everything(answer: object, named: bool, read: Read) -> None:  # noqa: FBT001
    inventory = read({"a.json": answer, "b.json": [VM]}, paths=["a.json", "b.json"] if named else None)
    assert (EVERY_TABLE, "") in reach(inventory)
    assert len(rows(inventory, "virtual_machines")) >= 1


def test_a_refusal_says_what_azure_said(read: Read) -> None:
    (gap,) = gaps(read({"a.json": {"error": {"code": "Authorization\x1bFailed"}}}))
    assert gap.kind == "refused"
    assert "Authorization\\u{001B}Failed" in gap.cause
    assert "Reader" in gap.hint


def test_a_refusal_among_lines_is_a_gap(read: Read) -> None:
    content = f"{json.dumps(VM)}\n{json.dumps({'error': {'code': 'ResourceNotFound'}})}\n"
    (gap,) = gaps(read({"a.ndjson": content}))
    assert (gap.table, gap.kind) == (EVERY_TABLE, "refused")


# Rows that cannot be used.


def test_a_row_without_id_and_type_is_a_gap_of_everything(read: Read) -> None:
    inventory = read({"a.json": {"value": [VM, {"name": "nobody", "properties": {}}]}})
    assert [(gap.table, gap.kind) for gap in gaps(inventory)] == [(EVERY_TABLE, "unreadable")]
    assert len(rows(inventory, "virtual_machines")) == 1


@pytest.mark.parametrize("entry", [None, 5, "text", [VM], True])
def test_a_row_that_is_no_object_is_a_gap_of_everything(entry: object, read: Read) -> None:
    inventory = read({"a.json": {"value": [VM, entry]}})
    assert [(gap.table, gap.kind) for gap in gaps(inventory)] == [(EVERY_TABLE, "unreadable")]


@pytest.mark.parametrize("bad", [None, "", "web", 5, "/subscriptions//x", ["a"], {"id": 1}])
def test_a_row_whose_id_cannot_be_used_is_a_gap_of_its_table(bad: object, read: Read) -> None:
    inventory = read({"a.json": {"value": [VM, {**VM, "id": bad}]}})
    assert [(gap.table, gap.kind) for gap in gaps(inventory)] == [("virtual_machines", "unreadable")]
    assert len(rows(inventory, "virtual_machines")) == 1


def test_other_types_are_ignored_and_counted(read: Read) -> None:
    disk = {"id": f"{group_id()}/providers/Microsoft.Compute/disks/d", "type": "Microsoft.Compute/disks"}
    disks = [
        disk,
        {**disk, "type": "microsoft.compute/DISKS"},
        {key: value for key, value in disk.items() if key != "type"},
    ]
    inventory = read({"a.json": [VM, *disks, {"type": "Microsoft.DataProtection/backupVaults"}]})
    assert dict(inventory.ignored) == {"microsoft.compute/disks": 3, "microsoft.dataprotection/backupvaults": 1}
    assert gaps(inventory) == []
    assert inventory.sources[0].rows == 5


def test_a_scale_set_member_is_no_vm_of_its_own_type(read: Read) -> None:
    member = f"{group_id()}/providers/Microsoft.Compute/virtualMachineScaleSets/set/virtualMachines/0"
    inventory = read({"a.json": [{"id": member, "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"}]})
    assert rows(inventory, "virtual_machines") == []
    assert list(inventory.ignored) == ["microsoft.compute/virtualmachinescalesets/virtualmachines"]


# Tables that were not exported.


def test_a_table_without_any_row_is_a_gap_with_a_question_and_a_hint(read: Read) -> None:
    inventory = read({"a.json": [VM]})
    not_exported = {gap.table: gap for gap in gaps(inventory, "not-exported")}
    assert set(not_exported) == TABLES - {"virtual_machines"}
    assert not_exported["protected_items"].cause == "no protected items in the export: were they exported?"
    assert "az backup item list" in not_exported["protected_items"].hint
    assert "--complete protected_items" in not_exported["protected_items"].hint
    assert {gap.scope for gap in not_exported.values()} == {""}


def test_a_table_declared_complete_is_no_gap(read: Read) -> None:
    inventory = read({"a.json": [VM]}, complete=frozenset({"protected_items", "backup_jobs"}))
    assert {gap.table for gap in inventory.gaps} == TABLES - {"virtual_machines", "protected_items", "backup_jobs"}


def test_everything_exported_leaves_no_gap(read: Read) -> None:
    assert read({"a.json": estate().vm("web").whole().resources}).gaps == ()


@pytest.mark.parametrize("answer", [[], {"value": []}, {"data": []}, {"columns": COLUMNS, "rows": []}])
def test_an_empty_answer_does_not_count_as_rows(answer: object, read: Read) -> None:
    inventory = read({"a.json": answer})
    assert {gap.table for gap in gaps(inventory, "not-exported")} == TABLES
    assert len(inventory.sources) == 1


def test_completeness_does_not_lift_what_could_be_any_table(read: Read) -> None:
    inventory = read({"a.json": "{", "b.json": [VM]}, complete=frozenset({"protected_items"}))
    assert [(gap.table, gap.kind) for gap in gaps(inventory)] == [(EVERY_TABLE, "unreadable")]


# Folders and files.


def test_an_empty_folder_is_an_export_of_nothing(read: Read) -> None:
    inventory = read({})
    assert {gap.table for gap in inventory.gaps} == TABLES
    assert inventory.sources == ()
    assert inventory.other_files == 0


def test_other_files_in_a_folder_are_counted_and_hidden_ones_are_not(read: Read) -> None:
    inventory = read({"a.json": [VM], "notes.txt": "hello", "sub/report.pdf": b"%PDF", ".DS_Store": b"\x00"})
    assert inventory.other_files == 2
    assert gaps(inventory) == []


@pytest.mark.parametrize(
    "content", ["{}", '{"name": "package", "version": "1.0"}', '"text"', "5", "null", "[1, 2]", '[{"a": 1}]']
)
def test_json_that_is_no_answer_is_passed_over_in_a_folder(content: str, read: Read) -> None:
    inventory = read({"package.json": content, "a.json": [VM]})
    assert inventory.passed_over == ("export/package.json",)
    assert gaps(inventory) == []


@pytest.mark.parametrize("content", ["{}", '{"name": "package"}', '"text"', "null", "[1]"])
def test_json_that_is_no_answer_is_an_error_when_it_is_named(content: str, read: Read) -> None:
    with pytest.raises(UsageError, match=r"package\.json holds no answer of Azure's"):
        read({"package.json": content}, paths=["package.json"])


DAMAGED: dict[str, tuple[str, bytes, str]] = {
    # name -> file, bytes, place and reason
    "cut-off": ("a.json", b'{"value": [\n  {"id": "x"', r"a\.json:2:\d+: "),
    "two-values": ("a.json", b"[]\n[]", r"a\.json:2:1: "),
    "not-json": ("a.json", b"id,name\n", r"a\.json:1:1: "),
    "comma-at-the-end": ("a.json", b'[{"id": "x"},\n]', r"a\.json:\d+:\d+: "),
    "nan": ("a.json", b'[\n{"id": NaN}]', r"a\.json:\d+:\d+: .*NaN is not JSON"),
    "latin-1": ("a.json", b'[\n{"id": "caf\xe9"}]', r"a\.json:2:\d+: .*not UTF-8"),
    "second-line": ("a.ndjson", _bytes(VM) + b'\n{"id": \n', r"a\.ndjson:2:\d+: "),
    "line-after-empty-lines": ("a.ndjson", b"\n\n" + _bytes(VM) + b"\n\n{\n", r"a\.ndjson:5:\d+: "),
    "deeper-than-can-be-read": ("a.json", b"[" * 100_000 + b"]" * 100_000, r"a\.json:1:1: .*nested too deeply"),
    "number-longer-than-can-be-read": ("a.json", b'[{"id": ' + b"9" * 5000 + b"}]", r"a\.json:\d+:\d+: "),
    "empty": ("a.json", b"", r"a\.json: the file is empty"),
    "only-space": ("a.json", b" \n\n", r"a\.json: the file is empty"),
    "half-of-utf-16": ("a.json", codecs.BOM_UTF16_LE + b"[", r"a\.json: not UTF-16"),
    "utf-16-lines": ("a.ndjson", codecs.BOM_UTF16_LE + json.dumps(VM).encode("utf-16-le"), r"a\.ndjson: .*UTF-16"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_an_error_with_its_place_when_it_is_named(name: str, read: Read) -> None:
    file, content, message = DAMAGED[name]
    with pytest.raises(UsageError, match=f"^{message}") as raised:
        read({file: content}, paths=[file])
    assert raised.value.hint
    assert raised.value.exit_code == 2
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_in_a_folder_is_a_gap_of_everything(name: str, read: Read) -> None:
    file, content, _ = DAMAGED[name]
    inventory = read({file: content, "b.json": [VM]})
    (gap,) = gaps(inventory)
    assert (gap.table, gap.scope, gap.kind) == (EVERY_TABLE, "", "unreadable")
    assert gap.cause.startswith(f"export/{file}:")
    assert vm_id("web") in {row["id"] for row in rows(inventory, "virtual_machines")}


def test_a_file_that_was_read_up_to_its_damage_is_named_among_the_sources(read: Read) -> None:
    inventory = read({"a.ndjson": _bytes(VM) + b"\n{\n"})
    sources = {source.name for source in inventory.sources}
    assert {row["source"] for row in rows(inventory, "virtual_machines")} <= sources


def test_a_read_that_ends_with_an_error_leaves_no_file_open(read: Read) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(UsageError):
            read({"a.json": [VM], "b.json": "{"}, paths=["a.json", "b.json"])
        gc.collect()
    assert [str(warning.message) for warning in told] == []


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file or folder .*missing\.json") as raised:
        read_exports([tmp_path / "missing.json"], tmp_path)
    assert "--inventory" in raised.value.hint


@pytest.mark.parametrize(
    "paths",
    [["a.json", "a.json"], ["a.json", "sub/../a.json"], [".", "a.json"], ["a.json", "."], [".", "."]],
    ids=["twice", "by-two-paths", "folder-and-file", "file-and-folder", "folder-twice"],
)
def test_a_file_that_is_given_twice_is_read_once(paths: list[str], read: Read) -> None:
    inventory = read({"a.json": [VM], "sub/b.json": [VAULT]}, paths=paths)
    assert inventory.rows["virtual_machines"] == 1
    assert len({source.name for source in inventory.sources}) == len(inventory.sources)


def test_a_link_to_a_file_in_the_same_folder_is_read_once(read: Read, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "b.json").symlink_to("a.json")
    assert read({"a.json": [VM]}).rows["virtual_machines"] == 1


def test_a_named_file_is_read_whatever_it_is_called(read: Read) -> None:
    assert read({"answer.txt": [VM]}, paths=["answer.txt"]).rows["virtual_machines"] == 1
    assert read({".answer.json": [VM]}, paths=[".answer.json"]).rows.get("virtual_machines") == 1


def test_two_files_of_the_same_content_are_two_sources(read: Read) -> None:
    inventory = read({"a.json": [VM], "b.json": [VM]})
    assert [source.name for source in inventory.sources] == ["export/a.json", "export/b.json"]
    assert inventory.rows["virtual_machines"] == 2


def test_an_array_larger_than_memory_is_worth_is_refused_with_a_hint(
    read: Read,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exports, "LARGEST_ARRAY", 100)
    with pytest.raises(UsageError, match="in one JSON value") as raised:
        read({"a.json": [VM]}, paths=["a.json"])
    assert "NDJSON" in raised.value.hint
    inventory = read({"a.json": [VM], "b.ndjson": json.dumps(VM)})
    assert [gap.cause.startswith("export/a.json: ") for gap in gaps(inventory)] == [True]
    assert inventory.rows["virtual_machines"] == 1


def test_the_limit_is_a_gigabyte() -> None:
    assert exports.LARGEST_ARRAY == 1_000_000_000


def test_hostile_characters_in_a_file_name_are_made_visible(read: Read) -> None:
    with pytest.raises(UsageError) as raised:
        read({"a\u202e\n.json": "{"}, paths=["a\u202e\n.json"])
    assert raised.value.message.startswith("a\\u{202E}\\u{000A}.json:1:2: ")


# What becomes of a row.


def test_ids_are_kept_as_azure_spelled_them_and_compared_folded(read: Read) -> None:
    spelled = item_id("Web", "RG", vault_id("Vault", "RG")).replace("/subscriptions/", "/Subscriptions/")
    (row,) = rows(read({"a.json": [{**ITEM, "id": spelled}]}), "protected_items")
    assert row["id"] == spelled
    assert row["vault_length"] == len(vault_id("Vault", "RG"))


def test_an_id_without_its_fabric_still_names_its_vault(read: Read) -> None:
    malformed = f"{vault_id('v')}/protectionContainers/IaasVMContainer;c/protectedItems/VM;c"
    (row,) = rows(read({"a.json": [{**ITEM, "id": malformed}]}), "protected_items")
    assert malformed[: row["vault_length"]] == vault_id("v")


def test_an_id_without_its_group_is_still_an_id(read: Read) -> None:
    malformed = f"/Subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/providers/Microsoft.RecoveryServices/vaults/v"
    (row,) = rows(read({"a.json": [{**VAULT, "id": malformed}]}), "vaults")
    assert row["subscription_id"] == OTHER_SUBSCRIPTION


def test_tags_are_written_with_folded_twins_where_folding_is_more_than_ascii(read: Read) -> None:
    inventory = read({"a.json": [{**VM, "tags": {"Env": "Prod", "Empty": "", "None": None, "Größe": "L"}}]})
    (row,) = rows(inventory, "virtual_machines")
    assert row["tags"] == [{"n": "Env", "v": "Prod"}, {"n": "Empty", "v": ""}, {"n": "Größe", "nk": "größe", "v": "L"}]


def test_the_order_of_paths_does_not_change_the_inventory(read: Read, tmp_path: Path) -> None:
    built = EstateBuilder().vm("web").vault("v").policy("p").item("web")
    files = {f"{number}.json": [resource] for number, resource in enumerate(built.resources)}
    first = read(files, paths=sorted(files))
    seen = [sorted(map(str, rows(first, table))) for table in sorted(first.spool)]
    for spool in (tmp_path / "work").iterdir():
        spool.unlink()
    second = read(files, paths=sorted(files, reverse=True))
    assert [sorted(map(str, rows(second, table))) for table in sorted(second.spool)] == seen
    assert (second.gaps, second.problems, second.sources) == (first.gaps, first.problems, first.sources)


def test_a_policy_read_off_its_id_alone_keeps_its_vault(read: Read) -> None:
    (row,) = rows(read({"a.json": [{"id": policy_id("p"), "properties": {}}]}), "backup_policies")
    assert (row["name"], row["vault_id"]) == ("p", vault_id())
