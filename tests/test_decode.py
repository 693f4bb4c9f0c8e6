"""One resource as JSON becomes one row of facts; a value that cannot be used makes that fact unknown, and no other."""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from building import (
    SUBSCRIPTION,
    Json,
    audit_files,
    estate,
    group_id,
    item_id,
    microseconds,
    policy_id,
    vault_id,
    vm_id,
)
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.arm_id import parse_arm_id
from auditor.inventory.decode import JsonError, Row, decode_row, parse_json
from auditor.inventory.exports import read_exports
from auditor.inventory.tables import TABLES, Column, Table
from auditor.timestamps import NEVER

IDS = {
    "virtual_machines": vm_id("web"),
    "vaults": vault_id(),
    "storage_configs": f"{vault_id()}/backupstorageconfig/vaultstorageconfig",
    "vault_configs": f"{vault_id()}/backupconfig/vaultconfig",
    "backup_policies": policy_id(),
    "protected_items": item_id("web"),
    "backup_jobs": f"{vault_id()}/backupJobs/1",
    "resource_groups": group_id(),
    "scale_sets": f"{group_id()}/providers/Microsoft.Compute/virtualMachineScaleSets/set",
    "subscriptions": f"/subscriptions/{SUBSCRIPTION}",
}
TABLE = {table.name: table for table in TABLES}
TIME = "2026-05-04T03:02:01Z"


def decode(table: str, resource: Json) -> Row:
    arm_id = parse_arm_id(IDS[table])
    assert arm_id is not None
    return decode_row(resource, arm_id, TABLE[table], "a.json")


def put(resource: Json, path: str, value: object) -> None:
    """Put a value at a path, making the objects on the way."""
    *steps, last = path.split(".")
    for step in steps:
        resource = resource.setdefault(step, {})
    resource[last] = value


def good(column: Column) -> object:
    """Return a value that a column can use, as it stands at its first path."""
    match column.pick:
        case "presence":
            return None  # an object: it is there once the columns inside it are
        case "agent-status" | "agent-code" | "agent-message":
            return [{"code": "ProvisioningState/succeeded", "displayStatus": "Ready", "message": "well"}]
        case "power-state":
            return [{"code": "PowerState/running"}]
        case "location":
            return "West Europe"
        case "luns":
            return [{"lun": 1, "name": "logs"}, {"lun": 0}]
    values = {
        "text": column.words[1] if len(column.words) > 1 else "text",
        "id": vm_id("other"),
        "boolean": True,
        "number": 3,
        "time": TIME,
        "json": {"a": [1, None, "b"]},
    }
    return values[column.type]


def whole(table: Table) -> Json:
    """Return a resource that says everything a table wants to know."""
    resource: Json = {"id": IDS[table.name], "name": "name", "type": table.arm_types[0]}
    for column in table.columns:
        if column.paths[0] in ("type", "name"):
            continue
        value = good(column)
        if value is not None:
            put(resource, column.paths[0], value)
    for column in table.columns:
        if column.pick == "presence":
            *steps, last = column.paths[0].split(".")
            part: Json = resource
            for step in steps:
                part = part.setdefault(step, {})
            part.setdefault(last, {})
    return resource


def cells(row: Row) -> Json:
    return {name: value for name, value in row.cells.items() if name != "bad"}


def without(found: Json, columns: set[str]) -> Json:
    gone = columns | {f"{column}_key" for column in columns}
    return {name: value for name, value in found.items() if name not in gone}


def resting_on(table: Table, path: str) -> set[str]:
    """Return the columns whose first path is this one or lies below it."""
    return {column.name for column in table.columns if f"{column.paths[0]}.".startswith(f"{path}.")}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_resource_that_says_everything_fills_every_column(table: Table) -> None:
    row = decode(table.name, whole(table))
    assert row.problems == []
    assert "bad" not in row.cells
    assert {column.name for column in table.columns} <= set(row.cells)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_resource_that_says_nothing_leaves_every_fact_out_and_complains_of_none(table: Table) -> None:
    empty: tuple[Json, ...] = ({}, {"properties": {}}, {"properties": None})
    for resource in empty:
        row = decode(table.name, resource)
        assert row.problems == []
        assert not {column.name for column in table.columns} & set(row.cells)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_nested_and_flattened_properties_give_the_same_facts(table: Table) -> None:
    nested = whole(table)
    flattened = {name: value for name, value in nested.items() if name != "properties"} | nested.get("properties", {})
    if table.name == "subscriptions":
        flattened["name"] = nested["name"]
    assert decode(table.name, flattened).cells == decode(table.name, nested).cells


WRONG: dict[str, list[object]] = {
    "text": [5, 1.5, True, ["text"], {"value": "text"}],
    "id": [5, True, [vm_id("x")], {"id": vm_id("x")}, "not an id", "/subscriptions//x", "https://x/y"],
    "boolean": ["true", "yes", 1, 0, [], {}],
    "number": ["3", True, [], {}, ""],
    "time": [5, True, [TIME], {}, "yesterday", "2026-05-04", "2026-05-04T03:02:01", "2026-13-01T00:00:00Z"],
}
WRONG_PICKS: dict[str, list[object]] = {
    "presence": ["text", 5, True, [], [{}]],
    "agent-status": ["Ready", 5, {}, [5], [None], [[{}]]],
    "power-state": [5, True, {}, [5], [None]],
    "location": [5, True, [], {}],
    "luns": [5, "text", {}, [5], [{}], [{"lun": "0"}], [{"lun": True}]],
}
CASES = [
    pytest.param(table, column, wrong, id=f"{table.name}-{column.name}-{json.dumps(wrong)[:24]}")
    for table in TABLES
    for column in table.columns
    if column.name not in ("arm_type", "display_name")
    for wrong in WRONG_PICKS.get((column.pick or "").replace("code", "status").replace("message", "status"))
    or WRONG.get(column.type, [])
]


@pytest.mark.parametrize(("table", "column", "wrong"), CASES)
def test_a_value_of_the_wrong_type_makes_its_facts_unknown_and_no_other(
    table: Table,
    column: Column,
    wrong: object,
) -> None:
    resource = whole(table)
    put(resource, column.paths[0], wrong)
    row = decode(table.name, resource)
    lost = resting_on(table, column.paths[0])
    assert column.name in lost
    assert set(row.cells["bad"]) == lost
    assert without(cells(row), lost) == without(cells(decode(table.name, whole(table))), lost)
    assert not lost & set(row.cells)
    assert {(problem.table, problem.key, problem.column) for problem in row.problems} == {
        (table.name, row.key, name) for name in lost
    }
    assert all(problem.reason for problem in row.problems)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("wrong", ["text", 5, True, ["list"]])
def test_properties_that_are_no_object_make_all_facts_in_them_unknown(table: Table, wrong: object) -> None:
    row = decode(table.name, {**whole(table), "properties": wrong})
    inside = {column.name for column in table.columns if column.paths[0].startswith("properties.")}
    # What can stand elsewhere as well is not looked for there once its first place is spoilt.
    assert set(row.cells.get("bad", [])) == inside | {
        column.name for column in table.columns if any(path.startswith("properties.") for path in column.paths)
    }


@pytest.mark.parametrize(
    ("table", "path", "value", "column", "reason"),
    [
        (
            "virtual_machines",
            "properties.timeCreated",
            "soon",
            "created",
            'properties.timeCreated is "soon", not a time with a zone',
        ),
        (
            "virtual_machines",
            "properties.timeCreated",
            5,
            "created",
            "properties.timeCreated is the number 5, not text",
        ),
        (
            "virtual_machines",
            "properties.storageProfile",
            [],
            "os_type",
            "properties.storageProfile.osDisk.osType: a list stands where an object with osDisk should",
        ),
        (
            "virtual_machines",
            "properties.osProfile.linuxConfiguration.provisionVMAgent",
            "yes",
            "provision_vm_agent",
            'properties.osProfile.linuxConfiguration.provisionVMAgent is the text "yes", not true or false',
        ),
        (
            "virtual_machines",
            "properties.instanceView.vmAgent.statuses",
            {},
            "agent_status",
            "statuses is not a list of objects",
        ),
        (
            "protected_items",
            "properties.protectionState",
            "Hibernated",
            "protection_state",
            'properties.protectionState is "Hibernated", which Azure does not document',
        ),
        (
            "protected_items",
            "properties.sourceResourceId",
            "web",
            "vm_id",
            'properties.sourceResourceId: "web" is not a resource id',
        ),
        (
            "protected_items",
            "properties.isScheduledForDeferredDelete",
            1,
            "soft_deleted",
            "is the number 1, not true or false",
        ),
        (
            "backup_policies",
            "properties.protectedItemsCount",
            "3",
            "protected_items_count",
            'is the text "3", not a number',
        ),
        ("backup_policies", "properties.protectedItemsCount", True, "protected_items_count", "is true, not a number"),
        ("vaults", "properties.redundancySettings", [5], "declared_redundancy", "a list stands where an object"),
    ],
)
def test_the_reason_names_the_place_the_value_and_what_was_wanted(
    table: str, path: str, value: object, column: str, reason: str
) -> None:
    resource: Json = {"properties": {}}
    put(resource, path, value)
    reasons = [problem.reason for problem in decode(table, resource).problems if problem.column == column]
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_a_reason_shows_hostile_text_safely_and_briefly() -> None:
    row = decode("protected_items", {"properties": {"protectionState": "\u202e\x1b[31m" + "x" * 500}})
    (problem,) = row.problems
    assert "\\u{202E}\\u{001B}[31m" in problem.reason
    assert "\x1b" not in problem.reason
    assert len(problem.reason) < 150


# Words, ids, numbers.


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_documented_word_is_read_in_any_letter_case_and_spelled_as_documented(table: Table) -> None:
    for column in table.columns:
        for word in column.words:
            for spelled in (word, word.lower(), word.upper(), f" {word} "):
                resource: Json = {"properties": {}}
                put(resource, column.paths[0], spelled)
                row = decode(table.name, resource)
                assert row.cells.get(column.name) == (None if word == "Invalid" else word)
                assert row.problems == []


@pytest.mark.parametrize("empty", ["", " ", None])
def test_an_empty_text_is_an_absent_one(empty: object) -> None:
    properties = {"protectionState": empty, "sourceResourceId": empty, "friendlyName": empty, "lastBackupTime": empty}
    row = decode("protected_items", {"properties": properties})
    assert row.problems == []
    assert not {"protection_state", "vm_id", "friendly_name", "last_backup"} & set(row.cells)


def test_of_several_places_the_first_that_says_something_counts() -> None:
    properties = {"sourceResourceId": "", "virtualMachineId": None, "dataSourceInfo": {"resourceID": vm_id("a")}}
    row = decode("protected_items", {"properties": {**properties, "dataSourceId": vm_id("b")}})
    assert row.cells["vm_id"] == vm_id("a")


def test_windows_and_linux_both_declare_the_agent() -> None:
    for system in ("windows", "linux"):
        properties = {"osProfile": {f"{system}Configuration": {"provisionVMAgent": False}}}
        assert decode("virtual_machines", {"properties": properties}).cells["provision_vm_agent"] is False


def test_text_gets_a_folded_twin_only_where_folding_is_more_than_ascii() -> None:
    row = decode("protected_items", {"name": "VM;x", "properties": {"friendlyName": "Web", "containerName": "WÄB"}})
    assert "friendly_name_key" not in row.cells
    assert row.cells["container_name_key"] == "wäb"
    assert "name_key" not in row.cells


@pytest.mark.parametrize("number", [0, 1, 2.5, -3, 10**12])
def test_numbers_are_taken_as_they_are(number: float) -> None:
    row = decode("backup_policies", {"properties": {"protectedItemsCount": number}})
    assert row.cells["protected_items_count"] == number


@pytest.mark.parametrize("number", [math.inf, -math.inf])
def test_a_number_beyond_all_numbers_cannot_be_used(number: float) -> None:
    row = decode("backup_policies", {"properties": {"protectedItemsCount": number}})
    assert row.cells["bad"] == ["protected_items_count"]


def test_a_schedule_is_kept_as_canonical_text() -> None:
    one = decode("backup_policies", {"properties": {"schedulePolicy": {"b": 1, "a": [2]}}})
    other = decode("backup_policies", {"properties": {"schedulePolicy": {"a": [2], "b": 1}}})
    assert one.cells["schedule_policy"] == other.cells["schedule_policy"] == '{"a":[2],"b":1}'


# Times.


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-05-04T03:02:01Z", "2026-05-04T03:02:01Z"),
        ("2026-05-04T03:02:01z", "2026-05-04T03:02:01Z"),
        ("2026-05-04 03:02:01Z", "2026-05-04T03:02:01Z"),
        ("2026-05-04T03:02:01+00:00", "2026-05-04T03:02:01Z"),
        ("2026-05-04T05:02:01+02:00", "2026-05-04T03:02:01Z"),
        ("2026-05-03T22:02:01-05:00", "2026-05-04T03:02:01Z"),
        (" 2026-05-04T03:02:01Z ", "2026-05-04T03:02:01Z"),
        ("2026-05-04T03:02:01.5Z", "2026-05-04T03:02:01.500000Z"),
        ("2026-05-04T03:02:01.1234567Z", "2026-05-04T03:02:01.123456Z"),
        ("2026-05-04T03:02:01.1234567+00:00", "2026-05-04T03:02:01.123456Z"),
        ("2026-05-04T03:02:01.123456789Z", "2026-05-04T03:02:01.123456Z"),
    ],
)
def test_times_are_read_with_their_zone_and_up_to_nine_digits(text: str, same: str) -> None:
    row = decode("protected_items", {"properties": {"lastRecoveryPoint": text}})
    assert row.cells["last_recovery_point"] == microseconds(same)


def test_a_time_is_in_microseconds_since_1970() -> None:
    row = decode("protected_items", {"properties": {"lastRecoveryPoint": "1970-01-01T00:00:01.000002Z"}})
    assert row.cells["last_recovery_point"] == 1_000_002


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-04T03:02:01",
        "2026-05-04",
        "2026-05-04T03:02Z",
        "2026-02-30T00:00:00Z",
        "2026-05-04T24:00:00Z",
        "2026-05-04T03:02:60Z",
        "2026-05-04T03:02:01+25:00",
        "2026-05-04T03:02:01+0200",
        "04/05/2026 03:02:01",
        "1777863721",
        "/Date(1777863721000)/",
        "\u0662\u0660\u0662\u0666-05-04T03:02:01Z",
    ],
)
def test_a_time_without_a_zone_or_that_is_none_cannot_be_used(text: str) -> None:
    row = decode("protected_items", {"properties": {"lastRecoveryPoint": text}})
    assert row.cells["bad"] == ["last_recovery_point"]
    assert "not a time with a zone" in row.problems[0].reason


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00.0000000+00:00",
        "2001-01-01T00:00:00Z",
        "2001-01-01T00:00:00",
        "2001-01-01T00:00:00+00:00",
        "2001-01-01T00:00:00.0000000Z",
    ],
)
def test_azures_words_for_never_are_never(text: str) -> None:
    row = decode("protected_items", {"properties": {"lastBackupTime": text, "lastRecoveryPoint": text}})
    assert (row.cells["last_backup"], row.cells["last_recovery_point"]) == (NEVER, NEVER)
    assert row.problems == []


@pytest.mark.parametrize("text", ["2001-01-02T00:00:00Z", "2001-01-01T07:30:00Z", "2002-01-01T00:00:00Z"])
def test_an_old_time_is_not_never(text: str) -> None:
    row = decode("protected_items", {"properties": {"lastBackupTime": text}})
    assert row.cells["last_backup"] == microseconds(text) > NEVER


@given(st.datetimes(timezones=st.timezones()) | st.datetimes())
def test_whatever_python_writes_as_a_time_is_read_back_or_refused(when: Any) -> None:
    row = decode("backup_jobs", {"properties": {"startTime": when.isoformat()}})
    if "started" in row.cells:
        assert isinstance(row.cells["started"], int)
    else:
        assert row.cells["bad"] == ["started"]


# What is picked out of a value.


@pytest.mark.parametrize("text", ["westeurope", "West Europe", "WESTEUROPE", "west europe"])
def test_locations_are_normalised(text: str) -> None:
    for table in ("virtual_machines", "vaults", "resource_groups"):
        assert decode(table, {"location": text}).cells["location"] == "westeurope"


@pytest.mark.parametrize(
    ("resource", "state"),
    [
        ({"properties": {"instanceView": {"statuses": [{"code": "PowerState/running"}]}}}, "running"),
        ({"properties": {"instanceView": {"statuses": [{"code": "powerstate/Deallocated"}]}}}, "deallocated"),
        ({"properties": {"instanceView": {"statuses": [{"code": "ProvisioningState/succeeded"}]}}}, None),
        (
            {"properties": {"instanceView": {"statuses": [{"code": None}, {}, {"code": "PowerState/stopped"}]}}},
            "stopped",
        ),
        ({"properties": {"instanceView": {"statuses": []}}}, None),
        ({"properties": {"instanceView": {"statuses": [{"code": "PowerState/unknown"}]}}}, None),
        (
            {"properties": {"extended": {"instanceView": {"powerState": {"code": "PowerState/deallocated"}}}}},
            "deallocated",
        ),
        ({"powerState": "VM running"}, "running"),
        ({"powerState": "VM deallocated"}, "deallocated"),
        ({"powerState": ""}, None),
        (
            {
                "properties": {
                    "instanceView": {"statuses": []},
                    "extended": {"instanceView": {"powerState": {"code": "PowerState/stopped"}}},
                },
            },
            "stopped",
        ),
    ],
)
def test_the_power_state_is_read_wherever_azures_tools_put_it(resource: Json, state: str | None) -> None:
    row = decode("virtual_machines", resource)
    assert row.cells.get("power_state") == state
    assert row.problems == []


def test_the_status_of_the_agent_is_the_one_about_provisioning() -> None:
    statuses = [
        {"code": "Other/thing", "displayStatus": "Odd"},
        {"code": "provisioningState/Succeeded", "displayStatus": "Ready", "message": "well"},
    ]
    row = decode("virtual_machines", {"properties": {"instanceView": {"vmAgent": {"statuses": statuses}}}})
    assert (row.cells["agent_status"], row.cells["agent_message"]) == ("Ready", "well")
    first = decode("virtual_machines", {"properties": {"instanceView": {"vmAgent": {"statuses": statuses[:1]}}}})
    assert first.cells["agent_status"] == "Odd"


def test_an_empty_object_is_there_and_null_is_not() -> None:
    there = decode("virtual_machines", {"properties": {"instanceView": {"vmAgent": {}}}})
    assert (there.cells["instance_view_read"], there.cells["agent_reported"]) == (True, True)
    absent = decode("virtual_machines", {"properties": {"instanceView": {"vmAgent": None}}})
    assert absent.cells["instance_view_read"] is True
    assert "agent_reported" not in absent.cells


# Names and tags.


@pytest.mark.parametrize("name", [None, "", 5, ["web"]])
def test_a_name_that_cannot_be_used_is_read_off_the_id(name: object) -> None:
    row = decode("virtual_machines", {"name": name})
    assert "name" not in row.cells
    assert row.problems == []


def test_the_subscription_and_group_are_read_off_the_id() -> None:
    row = decode("virtual_machines", {})
    assert (row.arm_id.subscription, row.cells["resource_group_name"]) == (SUBSCRIPTION, "rg")


@pytest.mark.parametrize("tags", [None, {}])
def test_no_tags_are_tags_that_were_read(tags: object) -> None:
    row = decode("vaults", {"tags": tags})
    assert row.cells["tags_read"] is True
    assert "tags" not in row.cells


@pytest.mark.parametrize("tags", ["text", 5, True, [{"a": "b"}]])
def test_tags_that_are_no_object_were_not_read(tags: object) -> None:
    row = decode("vaults", {"tags": tags})
    assert row.cells["tags_read"] is False
    assert row.cells["bad"] == ["tags"]
    assert "not an object" in row.problems[0].reason


@pytest.mark.parametrize("value", [5, True, ["a"], {"a": "b"}])
def test_a_tag_that_is_no_text_is_there_and_its_value_is_not_known(value: object) -> None:
    row = decode("vaults", {"tags": {"odd": value, "env": "prod", "gone": None}})
    assert row.cells["tags"] == [{"n": "odd"}, {"n": "env", "v": "prod"}]
    assert [(problem.column, problem.key) for problem in row.problems] == [("tag odd", row.key)]
    assert row.cells["tags_read"] is True


# JSON.


@pytest.mark.parametrize("text", ["nan", "NaN", "[Infinity]", "[-Infinity]", "{'a': 1}", "[1,]", "", "01", '"\\x"'])
def test_what_is_not_json_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(JsonError, match=r"^\d+:\d+: "):
        parse_json(text.encode())


@pytest.mark.parametrize("digits", [20, 400, 5000, 100_000])
def test_a_long_number_is_read_or_refused_and_nothing_else(digits: int) -> None:
    for text in (b"9" * digits, b"[-" + b"9" * digits + b"]", b"0." + b"9" * digits, b"1e" + b"9" * digits):
        try:
            parse_json(text)
        except JsonError as error:
            assert str(error)[0].isdigit()  # noqa: PT017 -- either way is right


@pytest.mark.parametrize("depth", [100, 900, 200_000])
def test_a_schedule_however_deep_is_read_as_unknown_or_its_file_is_refused(depth: int) -> None:
    text = json.dumps(estate().policy("p", {"nested": "HERE"}, protectedItemsCount=1).whole().resources)
    found = audit_files({"a.json": text.replace('"HERE"', "[" * depth + "]" * depth)})
    refused = [gap for gap in found.report.gaps if gap.kind == "unreadable"]
    assert refused or found.outcome("policy-runs-per-day", "p") == "unknown"


# Laws.

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, Json]:
    """Draw a resource of a known table in which some of what it says was replaced by anything."""
    table = draw(st.sampled_from(TABLES))
    resource = whole(table)
    steps = sorted(
        {".".join(column.paths[0].split(".")[:end]) for column in table.columns for end in range(1, 6)}
        | {path for column in table.columns for path in column.paths}
        | {"name", "tags", "tags.backup-primary-endpoint"},
    )
    for path in draw(st.lists(st.sampled_from(steps), max_size=4, unique=True)):
        value = draw(json_values)
        part: Any = resource
        *way, last = path.split(".")
        for step in way:
            part = part.setdefault(step, {}) if isinstance(part, dict) else None
        if isinstance(part, dict) and path != "type":
            part[last] = value
    resource["id"] = IDS[table.name]
    return table.name, resource


@given(spoilt())
def test_whatever_a_resource_says_it_becomes_one_row(drawn: tuple[str, Json]) -> None:
    table, resource = drawn
    row = decode(table, json.loads(json.dumps(resource)))
    known = {column.name for column in TABLE[table].columns}
    assert row.key == IDS[table].lower()
    assert set(row.cells.get("bad", [])) <= known | {"tags"}
    assert not set(row.cells.get("bad", [])) & set(row.cells)
    assert {problem.column for problem in row.problems if not problem.column.startswith("tag ")} == set(
        row.cells.get("bad", []),
    )


@st.composite
def anything(draw: st.DrawFn) -> Json:
    """Draw any JSON object, often one that looks like a resource."""
    entry: Json = draw(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
    types = [arm_type for table in TABLES for arm_type in table.arm_types]
    ids = [*IDS.values(), "/subscriptions/x", "/providers/a/b", "//", vm_id("\x00"), f"{vm_id('a')}/"]
    if draw(st.booleans()):
        entry["id"] = draw(st.sampled_from(ids) | json_values)
    if draw(st.booleans()):
        entry["type"] = draw(st.sampled_from([*types, "Microsoft.Compute/disks"]) | json_values)
    if draw(st.booleans()):
        entry["properties"] = draw(json_values)
    if draw(st.booleans()):
        entry["tags"] = draw(json_values)
    return entry


@given(anything())
@settings(max_examples=examples(200))
def test_any_object_is_one_row_or_is_ignored_and_counted_or_is_a_gap(entry: Json) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "work").mkdir()
        (folder / "a.json").write_text(json.dumps({"value": [entry]}), encoding="utf-8")
        inventory = read_exports([folder / "a.json"], folder / "work")
    gaps = [gap for gap in inventory.gaps if gap.kind == "unreadable"]
    assert sum(inventory.rows.values()) + sum(inventory.ignored.values()) + len(gaps) == 1


@given(json_values)
def test_any_json_in_a_folder_is_read_or_passed_over(value: object) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "export").mkdir()
        (folder / "export" / "a.json").write_text(json.dumps(value), encoding="utf-8")
        (folder / "export" / "b.ndjson").write_text(json.dumps(value), encoding="utf-8")
        inventory = read_exports([folder / "export"], folder)
    assert len(inventory.sources) + len(inventory.passed_over) == 2


@given(st.lists(spoilt(), min_size=1, max_size=40))
@settings(max_examples=examples(8))
def test_an_estate_of_spoilt_resources_is_judged_without_an_error(drawn: list[tuple[str, Json]]) -> None:
    resources = [{**resource, "id": f"{resource['id']}-{number}"} for number, (_, resource) in enumerate(drawn)]
    found = audit_files({"a.json": json.dumps({"value": resources})})
    kinds = [resource.kind for resource in found.report.resources]
    for rule in found.report.rules:
        assert len(found.report.outcomes[rule.id]) == kinds.count(rule.resource)
    tables = [table for table, _ in drawn]
    assert kinds.count("vm") == tables.count("virtual_machines")
    assert kinds.count("vault") == tables.count("vaults")
