"""Azure read live, on a stand-in that the real libraries talk to."""

import dataclasses
import json
import re
import tempfile
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from arm import Arm, Estate, Fault, Limits, Quota
from building import (
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    EstateBuilder,
    estate,
    group_id,
    item_id,
    microseconds,
    vault_id,
    vm_id,
)
from reading import Json, Reading, Seen, facts_of, read, standing, whole_resources, with_views

from auditor.azure import calls as calls_module
from auditor.azure import details as details_module
from auditor.azure import permissions
from auditor.azure import scope as scope_module
from auditor.azure.graph import GraphReader, Part, QueryScope, kept_read
from auditor.azure.scope import Asked
from auditor.inventory.exports import read_exports
from auditor.inventory.facts import load_facts, quiet_connection
from auditor.inventory.model import Gap, Inventory
from auditor.inventory.read import read_inventory
from auditor.inventory.snapshot import write_snapshot
from auditor.inventory.tables import DETAILS, VIRTUAL_MACHINES

REPOSITORY = Path(__file__).resolve().parent.parent
GRAPH = "POST /providers/Microsoft.ResourceGraph"
THIRD = "33333333-3333-3333-3333-333333333333"


def small() -> list[Json]:
    built = estate().vault().policy().vm("web").item("web").vm("naked", tags={"owner": "Ann"}).job("web")
    group = {"id": group_id(), "type": "Microsoft.Resources/subscriptions/resourceGroups", "location": "westeurope"}
    return with_views(built.add(group).whole().resources)


def many(count: int) -> list[Json]:
    built = estate().vault().policy()
    for number in range(count):
        built.vm(f"vm{number}")
        if number % 2:
            built.item(f"vm{number}")
    return with_views(built.whole().resources)


def exported(resources: list[Json], folder: Path) -> Inventory:
    (folder / "export").mkdir()
    (folder / "work").mkdir()
    (folder / "export" / "all.json").write_text(json.dumps({"value": resources}), encoding="utf-8")
    return read_exports([folder / "export"], folder / "work")


def gaps(inventory: Inventory) -> list[Gap]:
    return list(inventory.gaps)


def test_what_is_read_live_is_what_an_export_of_the_same_holds(tmp_path: Path) -> None:
    resources = small()
    with standing(resources) as arm:
        reading = read(arm, tmp_path)
    assert gaps(reading.inventory) == []
    assert reading.facts() == facts_of(exported(resources, tmp_path))


def test_the_example_estate_gets_live_the_outcomes_that_its_exports_get(tmp_path: Path) -> None:
    folder = REPOSITORY / "examples" / "estate"
    resources: list[Json] = []
    for path in sorted(folder.iterdir()):
        text = path.read_text(encoding="utf-8")
        for value in (
            [json.loads(line) for line in text.splitlines()] if path.suffix == ".ndjson" else [json.loads(text)]
        ):
            page = value if isinstance(value, dict) else {"value": value}
            resources += page.get("value") or page.get("data") or [page]
    whole = whole_resources(resources)
    # Azure has an instance view of every VM; the example lacks those of three, which the stand-in would make up.
    whole = [entry for entry in whole if "virtualmachines" not in entry["type"].lower() or _viewed(entry)]
    tenant = next(entry["tenantId"] for entry in whole if entry.get("tenantId"))
    flags: dict[str, Any] = {"as_of": "2026-11-02T06:00:00Z", "config": REPOSITORY / "examples" / "auditor.yaml"}
    with Arm(Estate(whole, tenant=tenant), quota=Quota(1_000, 5.0)) as arm:
        live = read(arm, tmp_path).audit(**flags).report
    export = _audit_export(exported(whole, tmp_path), tmp_path, flags)
    assert [entry.id for entry in live.resources] == [entry.id for entry in export.resources]
    # The vaults themselves say which disks are left out; in these exports Resource Graph does not always.
    known_by_vaults = {"item-covers-all-disks"}
    assert {rule: live.outcomes[rule] for rule in live.outcomes.keys() - known_by_vaults} == {
        rule: export.outcomes[rule] for rule in export.outcomes.keys() - known_by_vaults
    }
    changed = set(zip(export.outcomes["item-covers-all-disks"], live.outcomes["item-covers-all-disks"], strict=True))
    assert changed <= {("p", "p"), ("f", "f"), ("n", "n"), ("u", "u"), ("u", "p")}


def _viewed(entry: Json) -> bool:
    power = entry["properties"].get("extended", {}).get("instanceView", {}).get("powerState", {}).get("code")
    return "instanceView" in entry["properties"] or power not in (None, "PowerState/running")


def _audit_export(inventory: Inventory, folder: Path, flags: dict[str, Any]) -> Any:
    return Reading(inventory, folder, Seen(), None).audit(**flags).report  # type: ignore[arg-type]  # nobody called


def test_an_audit_sends_nothing_but_gets_and_queries(tmp_path: Path) -> None:
    resources = small()
    del resources[0]["properties"]["redundancySettings"]
    with standing(resources) as arm:
        read(arm, tmp_path)
        asked = {
            (seen.method, re.sub(r"/[0-9a-f-]{36}|/rg|/(web|naked|vault)\b", "", seen.path)) for seen in arm.requests
        }
    writes = {(method, path) for method, path in asked if method != "GET"}
    assert {path for _, path in writes} <= {"/providers/Microsoft.ResourceGraph/resources", "/oauth2/v2.0/token"}
    assert ("GET", "/subscriptions") in asked
    assert any("instanceView" in path for _, path in asked)
    assert any("backupstorageconfig" in path for _, path in asked)


def test_a_provider_that_is_not_registered_is_not_registered_by_reading(tmp_path: Path) -> None:
    resources = small()
    del resources[0]["properties"]["redundancySettings"]
    built = Estate(resources, unregistered={SUBSCRIPTION: ["Microsoft.RecoveryServices"]})
    with Arm(built, quota=Quota(1_000, 5.0)) as arm:
        inventory = read(arm, tmp_path).inventory
        assert [seen for seen in arm.requests if seen.path.endswith("/register")] == []
    found = {(gap.table, gap.kind) for gap in gaps(inventory)}
    assert found == {("storage_configs", "unreadable"), ("vault_items", "unreadable")}
    assert all("MissingSubscriptionRegistration" in gap.cause and "registered" in gap.hint for gap in gaps(inventory))


def test_a_table_of_many_pages_is_read_in_parts_that_share_nothing(tmp_path: Path) -> None:
    with standing(many(2_300)) as arm:
        reading = read(arm, tmp_path, Asked(instance_views=False))
        queries = [str(seen.body["query"]) for seen in arm.requests if seen.path.endswith("ResourceGraph/resources")]
        tokens = [seen for seen in arm.requests if isinstance(seen.body, dict) and "$skipToken" in str(seen.body)]
    assert reading.inventory.rows["virtual_machines"] == 2_300
    assert reading.inventory.rows["protected_items"] == 1_150
    parts = [query for query in queries if "hash(tolower(id)) % 3 == " in query]
    assert sorted(re.findall(r"% 3 == (\d)", " ".join(parts))) == ["0", "1", "2"]
    assert tokens == []
    assert reading.seen.tables["virtual_machines"] == (2_300, 2_300)
    assert gaps(reading.inventory) == []


def test_where_parts_are_refused_a_table_is_read_page_by_page(tmp_path: Path) -> None:
    with standing(many(1_200)) as arm:
        refused = Fault(GRAPH, "payload-too-large", times=None, body="hash(")
        arm.fault(refused)
        reading = read(arm, tmp_path, Asked(instance_views=False))
    assert reading.inventory.rows["virtual_machines"] == 1_200
    assert gaps(reading.inventory) == []


def test_a_page_that_is_too_large_is_asked_for_in_halves(tmp_path: Path) -> None:
    with standing(many(900), limits=Limits(payload=150_000)) as arm:
        reading = read(arm, tmp_path, Asked(instance_views=False))
        tops = {seen.body["options"]["$top"] for seen in arm.requests if seen.path.endswith("ResourceGraph/resources")}
    assert reading.inventory.rows["virtual_machines"] == 900
    assert {1_000, 500, 250} <= tops
    assert gaps(reading.inventory) == []


@pytest.mark.parametrize(
    "kind", ["429", "429-no-retry-after", "500", "503", "504", "reset", "cut", "not-json", "short"]
)
def test_what_passes_is_not_noticed(kind: Any, tmp_path: Path) -> None:
    resources = small()
    with standing(resources) as arm:
        arm.fault(Fault(GRAPH, kind, after=1, times=2 if kind != "short" else 1))
        arm.fault(Fault("~GET .*/instanceView", kind if kind != "short" else "500", times=2))
        reading = read(arm, tmp_path)
    assert gaps(reading.inventory) == []
    assert reading.facts() == facts_of(exported(resources, tmp_path))


@pytest.mark.parametrize("kind", ["500", "reset", "cut", "not-json", "truncated", "short", "403"])
def test_a_table_that_cannot_be_read_whole_is_a_gap_and_never_a_silent_half(kind: Any, tmp_path: Path) -> None:
    with standing(small()) as arm:
        arm.fault(Fault(GRAPH, kind, times=None, body="protecteditems"))
        reading = read(arm, tmp_path)
    (gap,) = gaps(reading.inventory)
    assert (gap.table, gap.scope) == ("protected_items", "")
    assert gap.kind == ("refused" if kind == "403" else "cut-short")
    audited = reading.audit()
    assert audited.outcome("vm-protected", "naked") == "unknown"
    assert audited.report.summary.gate.exit_code == 3


def test_one_part_that_fails_is_a_gap_and_the_others_count(tmp_path: Path) -> None:
    with standing(many(2_000)) as arm:
        arm.fault(Fault(GRAPH, "500", times=None, body="protecteditems') | where hash(tolower(id)) % 2 == 1"))
        arm.fault(Fault(GRAPH, "500", times=None, body="% 3 == 2"))
        reading = read(arm, tmp_path, Asked(instance_views=False))
    (gap,) = gaps(reading.inventory)
    assert gap.table == "virtual_machines"
    assert 1_000 < reading.inventory.rows["virtual_machines"] < 1_700


def test_a_hash_that_loses_rows_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = GraphReader._read

    def lossy(self: GraphReader, part: Any) -> Any:
        read_ = plain(self, part)
        if part.parts > 1 and part.part == 1:
            read_.pages.clear()
            read_.total = 0
        return read_

    monkeypatch.setattr(GraphReader, "_read", lossy)
    with standing(many(1_500)) as arm:
        reading = read(arm, tmp_path, Asked(instance_views=False))
    assert {gap.table for gap in gaps(reading.inventory)} == {"virtual_machines"}
    assert "the parts have" in gaps(reading.inventory)[0].cause


def three() -> list[Json]:
    """Three subscriptions, each with a VM that is backed up in its own."""
    built = EstateBuilder()
    for subscription in (SUBSCRIPTION, OTHER_SUBSCRIPTION, THIRD):
        vault = vault_id("vault", "backup", subscription)
        built.vm("web", id=vm_id("web", "rg", subscription))
        built.vault("vault", id=vault).policy("daily", id=f"{vault}/backupPolicies/daily")
        built.item(
            "web",
            id=item_id("web", vault=vault),
            sourceResourceId=vm_id("web", "rg", subscription),
            policyId=f"{vault}/backupPolicies/daily",
        )
        built.add({"id": group_id("rg", subscription), "type": "Microsoft.Resources/subscriptions/resourceGroups"})
    return with_views(built.resources)


def of(inventory: Inventory, subscription: str) -> set[str]:
    return {gap.table for gap in inventory.gaps if gap.scope == subscription}


def test_a_subscription_that_was_asked_for_and_is_not_visible_is_a_gap(tmp_path: Path) -> None:
    with standing(three(), access={THIRD: "none"}) as arm:
        reading = read(arm, tmp_path, Asked((SUBSCRIPTION, THIRD), per_second=1_000))
    assert of(reading.inventory, THIRD) == {"*"}
    assert of(reading.inventory, SUBSCRIPTION) == set()
    report = reading.audit().report
    assert {resource.subscription for resource in report.resources} == {SUBSCRIPTION}
    assert report.summary.gate.exit_code == 3
    assert THIRD in report.summary.gate.reasons[0]


def test_only_what_was_asked_for_is_judged_and_items_are_looked_for_everywhere(tmp_path: Path) -> None:
    resources = three()
    for resource in resources:  # the VM of the second subscription has its item in the third
        if resource["type"].endswith("protectedItems") and OTHER_SUBSCRIPTION in resource["id"]:
            resource["properties"]["sourceResourceId"] = vm_id("gone", "rg", OTHER_SUBSCRIPTION)
        elif resource["type"].endswith("protectedItems") and THIRD in resource["id"]:
            resource["properties"]["sourceResourceId"] = vm_id("web", "rg", OTHER_SUBSCRIPTION)
    with standing(resources) as arm:
        reading = read(arm, tmp_path, Asked((OTHER_SUBSCRIPTION,), per_second=1_000))
    audited = reading.audit()
    assert audited.outcome("vm-protected", vm_id("web", "rg", OTHER_SUBSCRIPTION)) == "pass"
    assert {resource.subscription for resource in audited.report.resources} == {OTHER_SUBSCRIPTION}
    assert reading.seen.tables["virtual_machines"] == (1, 1)
    assert [entry.id for entry in audited.report.coverage.subscriptions] == [OTHER_SUBSCRIPTION]


def test_somebody_who_sees_one_resource_group_only_is_not_told_that_nothing_is_backed_up(tmp_path: Path) -> None:
    with standing(three(), access={group_id("rg", SUBSCRIPTION): "reader"}) as arm:
        reading = read(arm, tmp_path)
    assert of(reading.inventory, SUBSCRIPTION) == {"*"}
    audited = reading.audit()
    assert audited.outcome("vm-protected", vm_id("web")) == "unknown"
    assert audited.outcome("vm-protected", vm_id("web", "rg", THIRD)) == "pass"


def test_a_role_that_hides_one_kind_of_facts_is_a_gap_in_that_kind(tmp_path: Path) -> None:
    hidden = "Microsoft.RecoveryServices/Vaults/backupJobs/read"
    with standing(three(), access={THIRD: {"actions": ["*/read"], "notActions": [hidden.upper()]}}) as arm:
        reading = read(arm, tmp_path)
    assert of(reading.inventory, THIRD) == {"backup_jobs"}
    assert hidden in next(gap.cause for gap in gaps(reading.inventory))


def test_subscriptions_of_other_tenants_are_left_out_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = scope_module.list_subscriptions

    def delegated(*arguments: Any) -> Any:
        found = listed(*arguments)
        assert isinstance(found, list)
        tenant = "88888888-8888-8888-8888-888888888888"
        return [msgspec.structs.replace(one, tenant_id=tenant) if one.id == THIRD else one for one in found]

    monkeypatch.setattr(scope_module, "list_subscriptions", delegated)
    with standing(three()) as arm:
        own = read(arm, tmp_path)
        asked = read(arm, tmp_path, Asked((THIRD,), per_second=1_000))
    assert own.inventory.origin is not None
    assert own.inventory.origin.judged == {SUBSCRIPTION, OTHER_SUBSCRIPTION}
    assert own.seen.tables["virtual_machines"] == (2, 2)
    assert gaps(own.inventory) == gaps(asked.inventory) == []
    assert own.inventory.notices[0].startswith("Subscriptions of other tenants")
    assert {resource.subscription for resource in asked.audit().report.resources} == {THIRD}


def test_a_management_group_is_asked_for_by_its_id(tmp_path: Path) -> None:
    built = Estate(three(), groups={"prod": [SUBSCRIPTION, THIRD], "all": ["prod", OTHER_SUBSCRIPTION]})
    with Arm(built, quota=Quota(1_000, 5.0)) as arm:
        reading = read(arm, tmp_path, Asked(management_groups=("prod",), per_second=1_000))
        missing = read(arm, tmp_path, Asked(management_groups=("no-such",), per_second=1_000))
    assert reading.inventory.origin is not None
    assert reading.inventory.origin.judged == {SUBSCRIPTION, THIRD}
    assert reading.inventory.origin.scope == ("/providers/Microsoft.Management/managementGroups/prod",)
    assert gaps(reading.inventory) == []
    assert {gap.table for gap in gaps(missing.inventory)} == {"*"}
    assert missing.audit().report.summary.gate.exit_code == 3


def test_more_subscriptions_than_a_tenant_wide_query_looks_into_are_read_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.azure.scope.BATCH", 2)
    with standing(three(), limits=Limits(subscriptions=2)) as arm:
        reading = read(arm, tmp_path)
        scopes = [
            len(seen.body.get("subscriptions") or ())
            for seen in arm.requests
            if seen.path.endswith("ResourceGraph/resources")
        ]
    assert {0, 1, 2} == set(scopes)
    assert gaps(reading.inventory) == []
    assert reading.seen.tables["virtual_machines"] == (3, 3)


def test_a_whole_tenant_of_many_subscriptions_takes_one_query_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.azure.scope.BATCH", 2)
    with standing(three()) as arm:
        reading = read(arm, tmp_path)
        queries = [seen.body for seen in arm.requests if seen.path.endswith("ResourceGraph/resources")]
    assert len(queries) == 8
    assert all(body["options"]["allowPartialScopes"] and "subscriptions" not in body for body in queries)
    assert reading.seen.tables["virtual_machines"] == (3, 3)


def test_no_subscription_at_all_concludes_nothing(tmp_path: Path) -> None:
    with standing(three(), access="none") as arm:
        reading = read(arm, tmp_path)
    assert [gap.table for gap in gaps(reading.inventory)] == ["*"]
    report = reading.audit().report
    assert report.summary.gate.exit_code == 3
    assert "no subscription is visible" in report.summary.gate.reasons[0]


def test_instance_views_are_read_of_running_vms_and_say_what_counts(tmp_path: Path) -> None:
    resources = with_views(estate().vault().policy().vm("on").item("on").whole().resources)
    resources += with_views(estate().vm("off").resources, "deallocated")
    with standing(resources) as arm:
        reading = read(arm, tmp_path)
        viewed = [seen.path for seen in arm.requests if seen.path.endswith("/instanceView")]
        without = read(arm, tmp_path, Asked(instance_views=False))
    assert sorted(path.rpartition("/virtualMachines/")[2] for path in viewed) == ["on/instanceView"]
    audited = reading.audit()
    assert audited.outcome("vm-agent-installed", "on") == "pass"
    assert audited.outcome("vm-agent-installed", "off") == "pass"
    assert audited.report.coverage.declared_agents == 1
    assert without.audit().report.coverage.declared_agents == 2


def test_the_instance_view_knows_the_power_state_better_than_resource_graph(tmp_path: Path) -> None:
    resources = with_views(estate().vault().policy().vm("web").item("web").whole().resources)
    with standing(resources) as arm:
        for resource in resources:  # stopped since Resource Graph looked
            if resource.get("name") == "web" and "instanceView" in resource["properties"]:
                resource["properties"]["instanceView"]["statuses"][1]["code"] = "PowerState/stopped"
                resource["properties"]["extended"] = {"instanceView": {"powerState": {"code": "PowerState/running"}}}
                arm.estate.put(resource)
        reading = read(arm, tmp_path)
    assert reading.inventory.problems == ()
    assert reading.audit().outcome("vm-agent-installed", "web") == "pass"


def test_a_refused_detail_leaves_what_rests_on_it_unknown_and_names_the_permission(tmp_path: Path) -> None:
    resources = small()
    del resources[0]["properties"]["redundancySettings"]
    for resource in resources:
        if resource["type"] == "Microsoft.Compute/virtualMachines":
            resource["properties"].pop("osProfile")
    denied = ["Microsoft.Compute/virtualMachines/instanceView/read"]
    denied += ["Microsoft.RecoveryServices/Vaults/backupstorageconfig/read"]
    with standing(resources, access={SUBSCRIPTION: {"actions": ["*/read"], "notActions": denied}}) as arm:
        reading = read(arm, tmp_path)
    found = {gap.table: gap for gap in gaps(reading.inventory)}
    assert found.keys() == {"instance_views", "storage_configs"}
    assert all(gap.kind == "refused" and gap.scope == SUBSCRIPTION for gap in found.values())
    assert denied[0] in found["instance_views"].hint
    assert denied[1] in found["storage_configs"].hint
    audited = reading.audit()
    assert audited.outcome("vm-agent-installed", "web") == "unknown"
    assert (
        "instance views could not be read: AuthorizationFailed" in audited.finding("vm-agent-installed", "web").message
    )
    assert audited.outcome("vault-redundancy-matches-intent", "vault") == "unknown"
    reasons = audited.report.summary.gate
    assert (reasons.exit_code, audited.outcome("vm-protected", "naked")) == (1, "fail")


def test_a_gap_in_a_detail_keeps_the_gate_from_concluding_only_where_a_rule_looks_at_it(tmp_path: Path) -> None:
    resources = with_views(estate().vault().policy().vm("web").item("web").job("web").whole().resources)
    with standing(resources) as arm:
        arm.fault(Fault("~GET .*/web/instanceView", "404", times=None))
        reading = read(arm, tmp_path)
    assert [gap.table for gap in gaps(reading.inventory)] == ["instance_views"]
    assert reading.audit(select=["vm-protected"], fail_on="high").report.summary.gate.exit_code in (0, 1)
    gate = reading.audit(select=["vm-agent-installed"], fail_on="high").report.summary.gate
    assert gate.exit_code == 3
    assert "instance views" in gate.reasons[0]


def test_a_vault_without_redundancy_or_soft_delete_is_asked_for_its_settings(tmp_path: Path) -> None:
    resources = small()
    vault = resources[0]
    vault["properties"] = {"provisioningState": "Succeeded"}
    resources += [
        {
            "id": f"{vault['id']}/backupstorageconfig/vaultstorageconfig",
            "type": "Microsoft.RecoveryServices/vaults/backupstorageconfig",
            "name": "vaultstorageconfig",
            "properties": {
                "storageModelType": "GeoRedundant",
                "storageType": "GeoRedundant",
                "storageTypeState": "Locked",
            },
        },
        {
            "id": f"{vault['id']}/backupconfig/vaultconfig",
            "type": "Microsoft.RecoveryServices/vaults/backupconfig",
            "name": "vaultconfig",
            "properties": {"softDeleteFeatureState": "Enabled", "softDeleteRetentionPeriodInDays": 14},
        },
    ]
    with standing(resources) as arm:
        reading = read(arm, tmp_path)
    audited = reading.audit()
    assert audited.outcome("vault-redundancy-matches-intent", "vault") == "pass"
    assert audited.outcome("vault-soft-delete", "vault") == "pass"


def test_what_a_vault_lists_itself_is_newer_than_what_resource_graph_shows(tmp_path: Path) -> None:
    resources = small()
    with standing(resources) as arm:
        (item,) = [entry for entry in resources if entry["type"].endswith("protectedItems")]
        graph_row = read(arm, tmp_path).audit().outcome("vm-protected", "web")
        stopped = {**item, "properties": {**item["properties"], "protectionState": "ProtectionStopped"}}
        arm.estate.put(stopped, visible=arm.clock.time() + 3_600)  # Resource Graph shows it in an hour
        reading = read(arm, tmp_path)
    assert graph_row == "pass"
    assert reading.audit().outcome("vm-protected", "web") == "fail"
    assert reading.inventory.problems == ()


def test_a_recovery_point_taken_while_azure_was_read_is_no_hour_old(tmp_path: Path) -> None:
    resources = small()
    for resource in resources:
        if resource["type"].endswith("protectedItems"):
            resource["properties"]["lastRecoveryPoint"] = "2026-06-15T12:00:30Z"
    with standing(resources) as arm:
        reading = read(arm, tmp_path)
    assert reading.audit(as_of=None).outcome("backup-on-schedule", "web") == "pass"
    assert reading.audit(as_of="2026-06-15T12:00:00Z").outcome("backup-on-schedule", "web") == "unknown"


def test_hostile_names_are_asked_for_as_they_are(tmp_path: Path) -> None:
    name = "wéb (1) %41 ..&x=y#z"
    resources = with_views(estate().vault().policy().vm(name).whole().resources)
    with standing(resources) as arm:
        reading = read(arm, tmp_path)
        viewed = [seen for seen in arm.requests if seen.path.endswith("/instanceView")]
    assert gaps(reading.inventory) == []
    assert [seen.status for seen in viewed] == [200]
    assert viewed[0].path.endswith(f"/virtualMachines/{name}/instanceView")


def test_details_have_a_reader_for_each_and_a_permission() -> None:
    assert set(details_module._KINDS) - {"item"} == set(permissions.DETAILS) == set(DETAILS)


# What a hostile tester found: each was a verdict without anything under it


def without(resources: list[Json], kind: str) -> list[Json]:
    return [entry for entry in resources if not entry["type"].lower().endswith(kind)]


@pytest.mark.parametrize("entry", [{"id": None}, {"id": 5}, {"id": "garbage"}, {"id": "subscriptions/x"}, {}])
def test_a_vault_that_lists_an_item_without_a_usable_id_is_a_gap(
    entry: Json, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = details_module._items

    def spoiled(*arguments: Any) -> Any:
        found = listed(*arguments)
        assert isinstance(found, list)
        return [{"type": item["type"], "properties": item["properties"], **entry} for item in found]

    monkeypatch.setitem(
        details_module._KINDS,
        "vault_items",
        dataclasses.replace(details_module._KINDS["vault_items"], read=spoiled),
    )
    with standing(small()) as arm:
        reading = read(arm, tmp_path)
    assert {gap.table for gap in gaps(reading.inventory)} == {"vault_items"}
    assert reading.audit().outcome("vm-protected", "web") == "pass"


def test_an_item_that_its_vault_does_not_list_is_asked_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = dataclasses.replace(details_module._KINDS["vault_items"], read=lambda *_: [])
    monkeypatch.setitem(details_module._KINDS, "vault_items", nothing)
    with standing(small()) as arm:
        reading = read(arm, tmp_path)
        assert [seen.status for seen in arm.requests if "/protectedItems/" in seen.path] == [200]
        assert reading.audit().outcome("vm-protected", "web") == "pass"
        arm.fault(Fault("~GET .*/protectedItems/", "404", times=None))
        gone = read(arm, tmp_path)
        assert gone.audit().outcome("vm-protected", "web") == "fail"
        assert gaps(gone.inventory) == []
        arm.fault(Fault("~GET .*/protectedItems/", "403", times=None))
    assert reading.facts() == reading.facts()


def test_an_item_that_says_no_kind_of_backup_is_not_dropped(tmp_path: Path) -> None:
    resources = small()
    (item,) = [entry for entry in resources if entry["type"].endswith("protectedItems")]
    del item["properties"]["backupManagementType"]
    with standing(resources) as arm:
        reading = read(arm, tmp_path)
    assert reading.audit().outcome("vm-protected", "web") == "pass"


def test_a_first_item_that_resource_graph_does_not_show_yet_counts(tmp_path: Path) -> None:
    resources = small()
    (item,) = [entry for entry in resources if entry["type"].endswith("protectedItems")]
    with standing(without(resources, "protecteditems")) as arm:
        arm.estate.put(item, visible=arm.clock.time() + 3_600)
        reading = read(arm, tmp_path)
    assert reading.audit().outcome("vm-protected", "web") == "pass"


def test_members_of_a_management_group_that_cannot_be_seen_are_gaps(tmp_path: Path) -> None:
    built = Estate(three(), groups={"prod": [SUBSCRIPTION, THIRD]})
    with Arm(built, quota=Quota(1_000, 5.0), access={THIRD: "none"}) as arm:
        reading = read(arm, tmp_path, Asked(management_groups=("prod",), per_second=1_000))
    assert of(reading.inventory, THIRD) == {"*"}
    assert reading.audit().report.summary.gate.exit_code == 3


def test_members_of_a_management_group_that_may_not_be_listed_may_be_missing(tmp_path: Path) -> None:
    built = Estate(three(), groups={"prod": [SUBSCRIPTION, THIRD]})
    with Arm(built, quota=Quota(1_000, 5.0), limits=Limits(subscriptions=1)) as arm:
        arm.fault(Fault("GET /providers/Microsoft.Management", "403", times=None))
        reading = read(arm, tmp_path, Asked(management_groups=("prod",), per_second=1_000))
    assert {(gap.table, gap.scope) for gap in gaps(reading.inventory)} == {("*", "")}
    assert reading.audit().report.summary.gate.exit_code == 3


@pytest.mark.parametrize("state", ["PastDue", "Warned"])
def test_a_subscription_in_use_that_resource_graph_does_not_show_is_a_gap(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = scope_module.list_subscriptions
    more = scope_module.Subscription(id=THIRD, name=None, tenant_id=None, state=state)

    def with_one_more(*given: Any) -> Any:
        found = listed(*given)
        assert isinstance(found, list)
        return [*found, more]

    monkeypatch.setattr(scope_module, "list_subscriptions", with_one_more)
    with standing(small()) as arm:
        reading = read(arm, tmp_path)
    assert "*" in of(reading.inventory, THIRD)


def test_a_row_that_goes_away_between_two_pages_makes_the_part_be_read_again(tmp_path: Path) -> None:
    resources = many(900)
    with standing(resources, limits=Limits(payload=250_000)) as arm:
        deleted = threading.Timer(0.0, lambda: None)
        plain = GraphReader._page

        def page(self: GraphReader, got: Any, token: Any, top: int = 1_000) -> Any:
            if token is not None and got.part.table.name == "virtual_machines" and not deleted.finished.is_set():
                deleted.finished.set()
                arm.estate.remove(vm_id("vm0"))
            return plain(self, got, token, top)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(GraphReader, "_page", page)
            reading = read(arm, tmp_path, Asked(instance_views=False))
    assert deleted.finished.is_set()
    assert len(reading.facts()["virtual_machines"]) == 899
    assert gaps(reading.inventory) == []


def test_half_a_surrogate_pair_in_a_tag_loses_no_page() -> None:
    row = f'{{"id":"{vm_id("x")}","name":"x","type":"t","tags":{{"a":"\\ud800"}}}}'
    body = f'{{"totalRecords":1,"resultTruncated":"false","data":[{row}]}}'
    part = Part(VIRTUAL_MACHINES, QueryScope(), 0, 1)
    (page,) = kept_read(part, [body.encode()]).pages
    assert page.rows[0].tags == {"a": "\ufffd"}


def snapshot_of(arm: Arm, folder: Path, name: str, asked: Asked, at: str = "2026-06-15T12:00:00Z") -> Path:
    reading = read(arm, folder, asked)
    inventory = dataclasses.replace(reading.inventory, collected_at=microseconds(at), collected_until=microseconds(at))
    with quiet_connection() as connection:
        problems = load_facts(connection, inventory)
        write_snapshot(connection, inventory, problems, folder / name, "test")
    return folder / name


def judged(folder: Path, *paths: Path, **flags: Any) -> Any:
    work = Path(tempfile.mkdtemp(dir=folder))
    return Reading(read_inventory(paths, work), work, Seen(), None).audit(**flags)  # type: ignore[arg-type]  # unused


def test_a_snapshot_of_one_subscription_says_nothing_about_the_vms_of_another(tmp_path: Path) -> None:
    with standing(three()) as arm:
        taken = snapshot_of(arm, tmp_path, "a", Asked((SUBSCRIPTION,), per_second=1_000))
    report = judged(tmp_path, taken, subscriptions=[OTHER_SUBSCRIPTION]).report
    assert report.summary.gate.exit_code == 3
    assert "were not read: it was only looked into" in report.summary.gate.reasons[0]
    assert judged(tmp_path, taken).report.summary.gate.exit_code != 3


def test_a_snapshot_beside_exports_knows_what_it_only_looked_into(tmp_path: Path) -> None:
    (tmp_path / "more.json").write_text(json.dumps({"value": estate().vm("late").resources}), encoding="utf-8")
    with standing(three()) as arm:
        taken = snapshot_of(arm, tmp_path, "a", Asked((SUBSCRIPTION,), per_second=1_000))
    report = judged(tmp_path, taken, tmp_path / "more.json").report
    assert {gap.scope for gap in report.gaps if gap.table == "virtual_machines"} == {OTHER_SUBSCRIPTION, THIRD}


def test_an_older_snapshot_that_only_looked_in_overrules_no_newer_one(tmp_path: Path) -> None:
    with standing(three()) as arm:
        older = snapshot_of(arm, tmp_path, "a", Asked((SUBSCRIPTION,), per_second=1_000), "2026-06-15T11:00:00Z")
        (item,) = [key for key in arm.estate.resources if "protecteditems" in key and OTHER_SUBSCRIPTION in key]
        arm.estate.remove(item)
        newer = snapshot_of(arm, tmp_path, "b", Asked((OTHER_SUBSCRIPTION,), per_second=1_000))
    for paths in ((older, newer), (newer, older)):
        audited = judged(tmp_path, *paths)
        assert audited.outcome("vm-protected", vm_id("web", "rg", OTHER_SUBSCRIPTION)) == "fail"
        assert audited.outcome("vm-protected", vm_id("web")) == "pass"


def test_what_azure_echoes_of_a_token_is_not_shown() -> None:
    body = b'{"error": {"code": "Forbidden", "message": "got Bearer eyJhbGciOi.eyJzdWIiOiIx.c2ln and eyJhbGciOi.x.y"}}'
    failure = calls_module._failure(403, body, {})
    assert "eyJ" not in str(failure)
    assert "(a token)" in failure.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "X", "details": 5}}',
        b'{"error": {"code": 5, "message": {"a": 1}, "details": [5, {"code": 6}]}}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"",
        b"<html>",
        b'{"error": null}',
    ],
)
def test_no_error_body_is_too_odd(body: bytes) -> None:
    assert calls_module._failure(400, body, {}).status == 400
