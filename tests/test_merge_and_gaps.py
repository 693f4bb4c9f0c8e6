"""What was read twice, what was not read, and how far either may change a verdict."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from building import (
    NOW,
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    Audited,
    EstateBuilder,
    Json,
    audit_files,
    estate,
    group_id,
    hourly,
    item_id,
    policy_id,
    vault_id,
    vm_id,
)
from effort import examples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from auditor.assessment import evidence
from auditor.assessment.assess import find_findings
from auditor.assessment.engine import column, judge
from auditor.assessment.evidence import find_evidence, whole_tables
from auditor.assessment.model import OUTCOMES
from auditor.cli.question import Flags, settle
from auditor.declared.config import NO_DOCUMENT, Intents
from auditor.declared.intents import IntentMap
from auditor.estate.database import Estate, open_estate
from auditor.inventory.exports import read_exports
from auditor.ruleset.load import bundled_files, load_rules
from auditor.ruleset.model import BoundRule, exemptions_asked_for, tags_of
from auditor.ruleset.settings import Settings

PROTECTED, AGENT, REDUNDANCY, RUNS = (
    "vm-protected",
    "vm-agent-installed",
    "vault-redundancy-matches-intent",
    "policy-runs-per-day",
)
A, B = SUBSCRIPTION, OTHER_SUBSCRIPTION
AN_HOUR_AGO, TWO_DAYS_AGO = "2026-06-15T11:00:00Z", "2026-06-13T12:00:00Z"
TYPES = {
    "virtual_machines": "Microsoft.Compute/virtualMachines",
    "vaults": "Microsoft.RecoveryServices/vaults",
    "storage_configs": "Microsoft.RecoveryServices/vaults/backupstorageconfig",
    "vault_configs": "Microsoft.RecoveryServices/vaults/backupconfig",
    "backup_policies": "Microsoft.RecoveryServices/vaults/backupPolicies",
    "protected_items": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems",
    "backup_jobs": "Microsoft.RecoveryServices/vaults/backupJobs",
    "resource_groups": "Microsoft.Resources/subscriptions/resourceGroups",
    "subscriptions": "Microsoft.Resources/subscriptions",
}


@contextmanager
def opened(
    *files: object,
    intents: IntentMap | None = None,
    as_of: int | None = None,
    rules: Sequence[BoundRule] = (),
) -> Iterator[Estate]:
    """Open the estate of some files, to look at what was made of them."""
    with tempfile.TemporaryDirectory() as name:
        export, work = Path(name) / "export", Path(name) / "work"
        export.mkdir()
        work.mkdir()
        for number, content in enumerate(files):
            (export / f"{number}.json").write_text(json.dumps(content), encoding="utf-8")
        declared = intents or IntentMap(Intents(), NO_DOCUMENT, None)
        conditions = [condition for rule in rules for condition in (rule.applies, rule.require)]
        found = open_estate(
            read_exports([export], work),
            work,
            declared,
            [tag for condition in conditions for tag in tags_of(condition)],
            as_of=as_of,
            exempt_from=[name for condition in conditions for name in exemptions_asked_for(condition)],
        )
        try:
            yield found
        finally:
            found.connection.close()


def audit(*files: object, **flags: Any) -> Audited:
    return audit_files({f"{number}.json": json.dumps(content) for number, content in enumerate(files)}, **flags)


# One id, read twice.


def test_the_same_row_twice_is_one_row() -> None:
    built = estate().vm("web").item("web").vault().policy().whole()
    once, twice = audit(built.resources), audit(built.resources, built.resources)
    assert twice.report.outcomes == once.report.outcomes
    assert [entry.id for entry in twice.report.resources] == [entry.id for entry in once.report.resources]
    assert {entry.source for entry in twice.report.resources} == {"export/0.json, export/1.json"}
    assert twice.report.gaps == []
    assert not any("could not be used" in notice for notice in twice.report.coverage.notices)


def test_a_row_read_twice_names_both_files() -> None:
    built = estate().vm("web").whole()
    finding = audit(built.resources, built.resources).finding(PROTECTED, "web")
    (created,) = [entry for entry in finding.evidence if entry.field == "vm.created"]
    assert created.source == "export/0.json, export/1.json"


def test_rows_that_complete_each_other_are_one_row_with_all_facts() -> None:
    policy = estate().policy("p", protectedItemsCount=1, schedulePolicy=None).resources
    schedule = estate().policy("p", hourly(4, 24)).resources
    whole = estate().vm("web").whole().resources
    for files in ((policy, schedule, whole), (schedule, policy, whole)):
        found = audit(*files)
        assert found.outcome(RUNS, "p") == "fail"


def test_rows_that_say_different_things_make_that_fact_unknown_and_show_both() -> None:
    geo, local = estate().vault("v").resources, estate().vault("v", "LocallyRedundant").resources
    found = audit(geo, local, estate().vm("web").whole().resources)
    assert found.outcome(REDUNDANCY, "v") == "unknown"
    message = found.finding(REDUNDANCY, "v").message
    assert "read twice and different: GeoRedundant and LocallyRedundant" in message
    assert "(export/0.json, export/1.json)" in message


def test_a_difference_in_one_fact_leaves_the_others() -> None:
    one = estate().vm("web", timeCreated=TWO_DAYS_AGO).resources
    other = estate().vm("web", timeCreated=AN_HOUR_AGO).resources
    found = audit(one, other, estate().vault("v").whole().resources)
    assert found.outcome(PROTECTED, "web") == "unknown"
    assert found.outcome(AGENT, "web") == "pass"


@pytest.mark.parametrize("swapped", [False, True])
def test_an_item_that_was_protected_in_one_export_and_stopped_in_another_is_unknown(*, swapped: bool) -> None:
    files = [estate().vm("web").item("web", state).resources for state in ("Protected", "ProtectionStopped")]
    found = audit(*(reversed(files) if swapped else files), estate().vault("v").whole().resources)
    assert found.outcome(PROTECTED, "web") == "unknown"
    assert "Protected and ProtectionStopped" in found.finding(PROTECTED, "web").message


def test_an_item_read_twice_is_not_two_items() -> None:
    built = estate().vm("web").item("web", "ProtectionStopped").whole()
    lower = {**built.resources[1], "id": built.resources[1]["id"].lower()}
    message = audit(built.resources, [lower]).finding(PROTECTED, "web").message
    assert "backup items exist" not in message


def test_an_item_of_which_two_exports_name_different_vms_could_be_of_any_vm() -> None:
    one = estate().vm("a").vm("b").item("a").resources
    other = estate().item("a", sourceResourceId=vm_id("b")).resources
    found = audit(one, other, estate().vault("v").whole().resources)
    assert [found.outcome(PROTECTED, name) for name in "ab"] == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"protectionState": "Protected"}, {"protectionState": "PROTECTED"}),
        ({"sourceResourceId": vm_id("web")}, {"sourceResourceId": vm_id("web").upper()}),
        ({"lastRecoveryPoint": "2026-06-15T01:00:00Z"}, {"lastRecoveryPoint": "2026-06-15T03:00:00+02:00"}),
        ({"friendlyName": "web"}, {"friendlyName": "Web"}),
    ],
)
def test_what_differs_in_spelling_alone_does_not_differ(one: Json, other: Json) -> None:
    files = [estate().vm("web").item("web", **own).resources for own in (one, other)]
    found = audit(*files, estate().vault("v").whole().resources)
    assert found.outcome(PROTECTED, "web") == "pass"
    assert not any("could not be used" in notice for notice in found.report.coverage.notices)


def test_of_three_readings_one_that_differs_is_enough() -> None:
    words = ("GeoRedundant", "GeoRedundant", "ZoneRedundant")
    found = audit(*(estate().vault("v", word).resources for word in words), estate().vm("web").whole().resources)
    assert found.outcome(REDUNDANCY, "v") == "unknown"


def test_schedules_that_differ_in_the_order_of_their_keys_alone_do_not_differ() -> None:
    schedule = hourly(4, 24)
    turned = dict(reversed(schedule.items()))
    files = [estate().policy("p", own, protectedItemsCount=1).resources for own in (schedule, turned)]
    assert audit(*files, estate().vm("web").whole().resources).outcome(RUNS, "p") == "fail"


TAG = "backup-primary-endpoint"


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        ({TAG: "other"}, {TAG: "Other"}, "pass"),
        ({TAG: "other"}, {TAG.upper(): "other"}, "pass"),
        ({TAG: "other"}, None, "pass"),
        ({TAG: "other"}, {"env": "prod"}, "pass"),
        ({TAG: "other"}, {TAG: "azure"}, "unknown"),
        ({TAG: "other"}, {TAG: 5}, "unknown"),
        ({"env": "prod"}, ["env"], "unknown"),
    ],
)
def test_tags_that_were_read_twice_are_merged_or_unknown(one: object, other: object, outcome: str) -> None:
    files = [estate().vault("v", "LocallyRedundant", tags=tags).resources for tags in (one, other)]
    for ordered in (files, files[::-1]):
        found = audit(*ordered, estate().vm("web").whole().resources)
        assert found.outcome(REDUNDANCY, "v") == outcome


def test_the_order_of_two_readings_does_not_decide_a_name() -> None:
    base = {"id": f"/subscriptions/{A}", "type": TYPES["subscriptions"]}
    one, other = {**base, "name": "Production"}, {**base, "name": "00-legacy", "displayName": "Production"}
    names = []
    for resources in ((one, other), (other, one)):
        with opened(resources) as found:
            names += found.query("SELECT name, name_key FROM subscription")
    assert names[0] == names[1]
    assert all(key == name.lower() for name, key in names)


def test_an_id_in_two_letter_cases_keeps_the_parts_of_one_spelling() -> None:
    one, other = estate().vm("Web", id=vm_id("Web", "RG")).resources[0], estate().vm("web").resources[0]
    for resources in ((one, other), (other, one)):
        with opened(resources) as found:
            ((spelled, group, group_key),) = found.query(
                "SELECT id, resource_group_name, resource_group_name_key FROM vm",
            )
        assert f"/resourceGroups/{group}/" in spelled
        assert group_key == "rg"


# What was not read, and how far that reaches.


def link(subscription: str | None) -> str:
    where = f"/subscriptions/{subscription}" if subscription else ""
    return f"https://management.azure.com{where}/providers/Microsoft.RecoveryServices/x?$skiptoken=2"


def cut(table: str, subscription: str | None, *rows: Json) -> Json:
    """Return an answer with these rows, or a harmless one, that says there are more in a subscription or anywhere."""
    harmless: Json = {"id": f"{vault_id('harmless', subscription=subscription or A)}/x", "type": TYPES[table]}
    if table == "protected_items":
        harmless["properties"] = {
            "backupManagementType": "AzureIaasVM",
            "sourceResourceId": vm_id("harmless", subscription=subscription or A),
            "protectionState": "ProtectionStopped",
        }
    return {"value": list(rows) or [harmless], "nextLink": link(subscription)}


STATES: dict[str, Json | None] = {
    "protected": {},
    "stopped": {"protectionState": "ProtectionStopped"},
    "pending": {"protectionState": "IRPending"},
    "soft-deleted": {"isScheduledForDeferredDelete": True},
    "undocumented": {"protectionState": "Hibernated"},
    "none": None,
}
READ_WHOLE = {
    "protected": "pass",
    "stopped": "fail",
    "pending": "fail",
    "soft-deleted": "fail",
    "undocumented": "unknown",
    "none": "fail",
}
NOT_READ = {state: "pass" if state == "protected" else "unknown" for state in STATES}


def both_subscriptions() -> EstateBuilder:
    """Return an estate that has a VM of each kind in two subscriptions, each backed up in its own."""
    built = estate()
    for letter, subscription in (("a", A), ("b", B)):
        vault = vault_id(f"vault-{letter}", subscription=subscription)
        built.vault(f"vault-{letter}", id=vault)
        built.policy("unused", hourly(4, 24), id=policy_id("unused", vault))
        for state, item in STATES.items():
            name = f"{letter}-{state}"
            source = vm_id(name, subscription=subscription)
            built.vm(name, id=source)
            if item is not None:
                built.item(name, id=item_id(name, vault=vault), sourceResourceId=source, policyId=None, **item)
    return built.whole()


def outcomes(found: Audited, letter: str) -> dict[str, str]:
    return {state: found.outcome(PROTECTED, f"{letter}-{state}") for state in STATES}


def test_without_a_gap_both_subscriptions_are_judged() -> None:
    found = audit(both_subscriptions().resources)
    assert found.report.gaps == []
    assert outcomes(found, "a") == outcomes(found, "b") == READ_WHOLE


def test_every_rule_judges_every_resource_of_its_kind_once() -> None:
    report = audit(both_subscriptions().resources, both_subscriptions().resources).report
    assert len({resource.id.lower() for resource in report.resources}) == len(report.resources)
    for rule in report.rules:
        assert len(report.outcomes[rule.id]) == sum(entry.kind == rule.resource for entry in report.resources)


@cache
def a_gap_in(subscription: str | None, config: str = "") -> Audited:
    return audit(both_subscriptions().resources, cut("protected_items", subscription), config=config)


def test_a_gap_reaches_the_vms_of_its_subscription_that_have_no_live_item() -> None:
    assert outcomes(a_gap_in(A), "a") == NOT_READ
    assert outcomes(a_gap_in(A), "b") == READ_WHOLE


def test_a_gap_is_named_as_the_reason() -> None:
    assert "is cut short: it has a nextLink" in a_gap_in(A).finding(PROTECTED, "a-none").message
    stopped = a_gap_in(A).finding(PROTECTED, "a-stopped").message
    assert "what was read has an item, but none that protects" in stopped


def test_the_assumption_behind_the_reach_is_stated() -> None:
    assert any("vaults_in: same-subscription" in text for text in a_gap_in(A).report.coverage.assumptions)
    assert any("any subscription" in text for text in a_gap_in(A, "vaults_in: any").report.coverage.assumptions)


def test_a_gap_without_a_subscription_reaches_all() -> None:
    assert outcomes(a_gap_in(None), "a") == outcomes(a_gap_in(None), "b") == NOT_READ


def test_a_gap_reaches_all_where_vaults_may_be_anywhere() -> None:
    found = a_gap_in(A, "vaults_in: any")
    assert outcomes(found, "a") == outcomes(found, "b") == NOT_READ


def across(**properties: Any) -> Json:
    """Return an item in a vault of A of a VM in B."""
    own: Json = {
        "id": item_id("across", vault=vault_id("vault-a", subscription=A)),
        "sourceResourceId": vm_id("across", subscription=B),
    }
    return estate().item("across", **{**own, **properties}).resources[0]


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"sourceResourceId": vm_id("across", subscription=B).upper()},
        {"backupManagementType": None},
        {"protectionState": None, "currentProtectionState": "ProtectionConfigured"},
    ],
    ids=["as-it-is", "in-other-letters", "without-management-type", "as-the-graph-says-it"],
)
def test_a_gap_reaches_all_once_an_item_protects_a_vm_of_another_subscription(properties: Json) -> None:
    found = audit(both_subscriptions().resources, [across(**properties)], cut("protected_items", A))
    assert outcomes(found, "b") == NOT_READ
    assert any("any subscription" in text for text in found.report.coverage.assumptions)


@pytest.mark.parametrize(
    "properties",
    [
        {"backupManagementType": "AzureWorkload"},
        {"backupManagementType": None, "protectedItemType": "AzureVmWorkloadSQLDatabase"},
    ],
    ids=["workload", "workload-by-item-type"],
)
def test_an_item_of_another_workload_in_another_subscription_widens_nothing(properties: Json) -> None:
    found = audit(both_subscriptions().resources, [across(**properties)], cut("protected_items", A))
    assert outcomes(found, "a") == NOT_READ
    assert outcomes(found, "b") == READ_WHOLE


def test_a_vm_backed_up_in_another_subscription_passes_in_spite_of_a_gap() -> None:
    built = both_subscriptions().vm("across", id=vm_id("across", subscription=B))
    found = audit(built.resources, [across()], cut("protected_items", B))
    assert found.outcome(PROTECTED, "across") == "pass"


def test_a_gap_that_reaches_all_vms_still_leaves_policies_and_vaults_of_other_subscriptions_alone() -> None:
    # The items of a vault live in the vault's own subscription, wherever the VMs are.
    built = both_subscriptions().vault("sql", "LocallyRedundant")
    built.item("db", id=item_id("db", vault=vault_id("sql")), backupManagementType="AzureWorkload")
    found = audit(built.resources, [across()], cut("protected_items", B))
    assert found.outcome(RUNS, policy_id("unused", vault_id("vault-b", subscription=B))) == "unknown"
    assert found.outcome(RUNS, policy_id("unused", vault_id("vault-a", subscription=A))) == "not-applicable"
    assert found.outcome(REDUNDANCY, "sql") == "not-applicable"


def test_a_gap_in_items_makes_it_unknown_whether_policies_of_its_subscription_are_used() -> None:
    found = a_gap_in(A)
    assert found.outcome(RUNS, policy_id("unused", vault_id("vault-a", subscription=A))) == "unknown"
    assert found.outcome(RUNS, policy_id("unused", vault_id("vault-b", subscription=B))) == "not-applicable"


def test_a_gap_does_not_reach_the_agent_or_the_redundancy() -> None:
    found = a_gap_in(None)
    assert found.outcome(AGENT, "a-none") == "pass"
    assert found.outcome(REDUNDANCY, "vault-a") == "pass"


def test_a_gap_of_any_table_reaches_what_rests_on_items() -> None:
    found = audit(both_subscriptions().resources, {"error": {"code": "AuthorizationFailed"}})
    assert outcomes(found, "a") == outcomes(found, "b") == NOT_READ
    assert "AuthorizationFailed" in found.finding(PROTECTED, "a-none").message


def test_items_that_were_not_exported_make_every_vm_unknown_unless_declared_complete() -> None:
    built = both_subscriptions()
    built.resources = [entry for entry in built.resources if entry["type"] != TYPES["protected_items"]]
    assert set(outcomes(built.audit(), "a").values()) == {"unknown"}
    assert set(outcomes(built.audit(complete=["protected_items"]), "a").values()) == {"fail"}
    by_config = built.audit(config="exports: {complete: [protected_items]}")
    assert set(outcomes(by_config, "b").values()) == {"fail"}
    assert any("Declared to be whole: protected_items." in text for text in by_config.report.coverage.assumptions)


def test_items_gap_of_a_subscription_without_vms_reaches_nobody() -> None:
    found = audit(both_subscriptions().resources, cut("protected_items", "77777777-7777-7777-7777-777777777777"))
    assert outcomes(found, "a") == outcomes(found, "b") == READ_WHOLE


def unattributed(subscription: str = A, **properties: Any) -> Json:
    own: Json = {"id": item_id("who", vault=vault_id("v", subscription=subscription)), "sourceResourceId": None}
    return estate().item("who", **{**own, **properties}).resources[0]


# Items that do not say whose they are: those that could protect a VM, and those that could not.
OF_ANY_VM: dict[str, Json] = {
    "protected": {},
    "empty-id": {"sourceResourceId": ""},
    "name-for-id": {"sourceResourceId": "web"},
    "number-for-id": {"sourceResourceId": 5},
    "pending": {"protectionState": "IRPending"},
    "undocumented": {"protectionState": "Hibernated"},
    "no-state": {"protectionState": None},
    "no-management-type": {"backupManagementType": None},
    "no-kind-at-all": {"backupManagementType": None, "protectedItemType": None},
    "configured": {"protectionState": None, "currentProtectionState": "ProtectionConfigured"},
    "stopped-or-configured": {
        "protectionState": "ProtectionStopped",
        "currentProtectionState": "ProtectionConfigured",
    },
    "undocumented-or-stopped": {"protectionState": "Hibernated", "currentProtectionState": "ProtectionStopped"},
    "soft-deleted-or-not": {"isScheduledForDeferredDelete": "no"},
}
OF_NO_VM: dict[str, Json] = {
    "stopped": {"protectionState": "ProtectionStopped"},
    "stopped-in-both": {"protectionState": "ProtectionStopped", "currentProtectionState": "ProtectionStopped"},
    "stopped-in-the-graph": {"protectionState": None, "currentProtectionState": "ProtectionStopped"},
    "soft-deleted": {"isScheduledForDeferredDelete": True},
    "soft-deleted-in-the-graph": {"currentProtectionState": "SoftDeleted"},
    "sql": {"backupManagementType": "AzureWorkload"},
    "share": {"backupManagementType": "AzureStorage", "protectedItemType": "AzureFileShareProtectedItem"},
    "share-without-management-type": {
        "backupManagementType": None,
        "protectedItemType": "AzureFileShareProtectedItem",
    },
    "id-in-another-field": {"virtualMachineId": vm_id("gone")},
}


def home(name: str) -> str:
    """Return a subscription of its own for each of these items."""
    return f"00000000-0000-0000-0000-{[*OF_ANY_VM, *OF_NO_VM].index(name):012}"


@cache
def items_without_a_vm() -> Audited:
    built = estate()
    for name, properties in {**OF_ANY_VM, **OF_NO_VM}.items():
        vault = vault_id("v", subscription=home(name))
        for state in ("Protected", "ProtectionStopped"):
            source = vm_id(f"{name}-{state}", subscription=home(name))
            built.vm(f"{name}-{state}", id=source)
            built.item(state, state, id=item_id(state, vault=vault), sourceResourceId=source)
        built.vm(f"{name}-none", id=vm_id(f"{name}-none", subscription=home(name)))
        own = {"virtualMachineId": vm_id("gone", subscription=home(name))} if "virtualMachineId" in properties else {}
        built.add(unattributed(home(name), **{**properties, **own}))
    return built.whole().audit()


@pytest.mark.parametrize("name", OF_ANY_VM)
def test_an_item_that_does_not_say_whose_it_is_could_be_of_any_vm_of_its_subscription(name: str) -> None:
    found = items_without_a_vm()
    assert found.outcome(PROTECTED, f"{name}-Protected") == "pass"
    assert found.outcome(PROTECTED, f"{name}-ProtectionStopped") == "unknown"
    assert found.outcome(PROTECTED, f"{name}-none") == "unknown"
    (gap,) = [gap for gap in found.report.gaps if gap.scope == home(name)]
    assert (gap.table, gap.kind) == ("protected_items", "unreadable")
    assert "does not say which VM" in gap.cause


@pytest.mark.parametrize("name", OF_NO_VM)
def test_an_item_that_protects_nobody_need_not_say_whose_it_is(name: str) -> None:
    found = items_without_a_vm()
    assert found.outcome(PROTECTED, f"{name}-ProtectionStopped") == "fail"
    assert found.outcome(PROTECTED, f"{name}-none") == "fail"
    assert [gap for gap in found.report.gaps if gap.scope in (home(name), "")] == []


def test_items_without_a_vm_are_counted_in_one_gap_for_each_subscription() -> None:
    items = [unattributed(), unattributed(id=item_id("who-2", vault=vault_id("v", subscription=A)))]
    (gap,) = audit(both_subscriptions().resources, items).report.gaps
    assert gap.cause.startswith("2 backup items do not say which VM is protected, such as ")


# Jobs, configs and subscriptions that were not read.


def pending(**jobs: tuple[str, ...]) -> EstateBuilder:
    built = estate()
    for letter, subscription in (("a", A), ("b", B)):
        vault, source = vault_id("v", subscription=subscription), vm_id(letter, subscription=subscription)
        built.vm(letter, id=source)
        built.item(letter, "IRPending", id=item_id(letter, vault=vault), sourceResourceId=source)
        for number, started in enumerate(jobs.get(letter, ())):
            built.job(letter, started=started)
            built.resources[-1]["id"] = f"{vault}/backupJobs/{number}"
    return built.whole()


def test_a_gap_in_jobs_reaches_the_items_of_its_subscription() -> None:
    found = audit(pending().resources, cut("backup_jobs", A))
    assert found.outcome(PROTECTED, "a") == "unknown"
    assert found.outcome(PROTECTED, "b") == "fail"


def test_a_recent_job_never_lets_a_gap_in_jobs_fail_the_vm() -> None:
    found = audit(pending(a=(AN_HOUR_AGO,)).resources, cut("backup_jobs", A))
    assert found.outcome(PROTECTED, "a") in ("not-applicable", "unknown")


def test_an_old_job_does_not_prove_that_no_newer_one_is_in_what_was_not_read() -> None:
    found = audit(pending(a=(TWO_DAYS_AGO,)).resources, cut("backup_jobs", A))
    assert found.outcome(PROTECTED, "a") == "unknown"


def test_a_gap_in_vms_leaves_those_that_were_read_as_they_are() -> None:
    found = audit(both_subscriptions().resources, cut("virtual_machines", None, estate().vm("c").resources[0]))
    assert outcomes(found, "a") == READ_WHOLE
    assert [gap.table for gap in found.report.gaps] == ["virtual_machines"]


# Laws. An audit takes too long for finding the smallest estate that breaks one.

LAW = settings(phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False)

ITEM_STATES: tuple[Json, ...] = (
    {},
    {},
    {"protectionState": "ProtectionStopped"},
    {"protectionState": "IRPending", "lastRecoveryPoint": None},
    {"protectionState": "ProtectionError"},
    {"isScheduledForDeferredDelete": True},
    {"protectionState": "Hibernated"},
    {"protectionState": None},
    {"currentProtectionState": "ProtectionStopped"},
    {"backupManagementType": None},
    {"backupManagementType": None, "protectedItemType": None},
    {"backupManagementType": "AzureWorkload"},
    {"sourceResourceId": None},
)
VIEWS: tuple[Json, ...] = (
    {},
    {"osProfile": None},
    {"instanceView": {"statuses": [{"code": "PowerState/running"}]}},
    {"instanceView": {"vmAgent": {"vmAgentVersion": "2", "statuses": [{"displayStatus": "Ready"}]}}},
    {"instanceView": {"vmAgent": {"vmAgentVersion": "Unknown"}}},
)
CREATED = (None, None, TWO_DAYS_AGO, AN_HOUR_AGO, "recently")
CONFIG = """
intents:
  default: azure
  scopes:
    /providers/Microsoft.Management/managementGroups/near: other
"""


@st.composite
def estates(draw: st.DrawFn) -> list[Json]:
    """Draw an estate of two subscriptions: VMs, items here and there, jobs, policies, vaults and their configs."""
    built = estate()
    subscriptions = (A, B)
    vaults = {subscription: vault_id("v", subscription=subscription) for subscription in subscriptions}
    for subscription, vault in vaults.items():
        redundancy = draw(st.sampled_from([None, "GeoRedundant", "LocallyRedundant", "Triple"]))
        built.vault(f"v-{subscription[0]}", redundancy, id=vault)
        if draw(st.booleans()):
            word = draw(st.sampled_from(["GeoRedundant", "LocallyRedundant"]))
            built.add(
                {
                    "id": f"{vault}/backupstorageconfig/vaultstorageconfig",
                    "name": "vaultstorageconfig",
                    "type": TYPES["storage_configs"],
                    "properties": {"storageModelType": word, "storageType": "GeoRedundant"},
                },
            )
        for number in range(3):
            schedule = hourly(4, draw(st.sampled_from([12, 20, 24])))
            own: Json = draw(st.sampled_from([{}, {}, {"protectedItemsCount": 0}, {"protectedItemsCount": 2}]))
            crash = {"snapshotConsistencyType": "OnlyCrashConsistent"} if number == 2 else {}
            built.policy(f"p{number}", schedule, id=policy_id(f"p{number}", vault), **own, **crash)
        chain = draw(st.sampled_from([None, [], [{"name": "near"}], [{"name": "far"}]]))
        built.add(
            {
                "id": f"/subscriptions/{subscription}",
                "name": "s",
                "type": TYPES["subscriptions"],
                "properties": {"managementGroupAncestorsChain": chain},
            },
        )
        for number in range(draw(st.integers(1, 6))):
            name = f"{subscription[0]}-{number}"
            source = vm_id(name, subscription=subscription)
            view = draw(st.sampled_from(VIEWS))
            built.vm(name, id=source, timeCreated=draw(st.sampled_from(CREATED)), **view)
            policy = draw(st.integers(0, 2))  # Azure protects a VM in one vault only, so protected twins do not differ
            for copy in range(draw(st.sampled_from([0, 1, 1, 2]))):
                home = draw(st.sampled_from([subscription] * 5 + [A if subscription == B else B]))
                own = {
                    "id": item_id(f"{name}-{copy}", vault=vaults[home]),
                    "sourceResourceId": source,
                    "policyId": policy_id(f"p{policy}", vaults[home]),
                    "containerName": f"iaasvmcontainerv2;rg;{name}",
                    **draw(st.sampled_from(ITEM_STATES)),
                }
                built.item(name, **own)
                for job in range(draw(st.sampled_from([0, 0, 1, 2]))):
                    built.job(name, started=draw(st.sampled_from([AN_HOUR_AGO, TWO_DAYS_AGO])))
                    built.resources[-1]["id"] = f"{vaults[home]}/backupJobs/{name}-{copy}-{job}"
    return built.whole().resources


@cache
def question(config: str) -> Settings:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "auditor.yaml"
        path.write_text(config, encoding="utf-8")
        return settle(Flags(config=path, as_of=NOW))


def verdicts(*files: object, config: str = CONFIG) -> dict[tuple[str, str], str]:
    """Return each outcome by rule and resource without making a report of them."""
    asked = question(config)
    found: dict[tuple[str, str], str] = {}
    with opened(*files, intents=asked.intents, as_of=asked.as_of, rules=asked.rules) as made:
        for matrix in judge(made.connection, asked.rules, (), made.now, whole_tables(made)):
            for rule in matrix.rules:
                rows = made.query(f"SELECT key, {column(rule.id)} FROM {matrix.table} JOIN {matrix.subject} USING (n)")
                found |= {(rule.id, key): OUTCOMES[letter] for key, letter in rows}
    return found


def test_who_asks_after_all_findings_is_told_of_any_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_AT_ONCE", 1)
    asked = question(CONFIG)
    built = estate().vm("web").item("web", "ProtectionStopped").vm("db").item("db", "ProtectionStopped").whole()
    with opened(built.resources, intents=asked.intents, as_of=asked.as_of, rules=asked.rules) as made:
        matrix, *_ = judge(made.connection, asked.rules, (), made.now, whole_tables(made))
        every = list(find_findings(made, [matrix], ()))
        keys = [key for (key,) in made.query("SELECT key FROM vm")]
        again = [found for found in find_evidence(made, matrix, keys) if found.outcome in ("fail", "unknown")]
        assert sorted(every, key=lambda one: one.fingerprint) == sorted(again, key=lambda one: one.fingerprint)
        assert {finding.resource for finding in every} == {vm_id("web"), vm_id("db")}


def changes(before: Mapping[Any, str], after: Mapping[Any, str]) -> set[tuple[str, str, str]]:
    """Return how outcomes changed: rule, before, after."""
    return {(key[0], before[key], after[key]) for key in before.keys() & after.keys() if before[key] != after[key]}


# These judge what is not known to need no judging: a VM backed up without its agent, a vault without backups of VMs.
JUDGED_UNLESS_KNOWN = {
    (rule.id, "not-applicable", outcome)
    for rule in load_rules(bundled_files())
    for outcome in ("pass", "fail")
    if rule.id in (AGENT, "vm-allows-extensions") or rule.resource == "vault"
}


@given(estates(), st.data())
@settings(LAW, max_examples=examples(6))
def test_a_gap_only_ever_makes_verdicts_unknown(resources: list[Json], data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(sorted(TYPES)))
    rows = [entry for entry in resources if entry["type"] == TYPES[table]]
    subscription = data.draw(st.sampled_from([A, B, None]))
    gap = {"value": rows[:1], "nextLink": link(subscription)}
    before, after = verdicts(resources), verdicts(resources, gap)
    assert before.keys() == after.keys()
    for rule, was, became in changes(before, after):
        assert became == "unknown" or (rule, was, became) in JUDGED_UNLESS_KNOWN


@given(estates(), st.data())
@settings(LAW, max_examples=examples(8))
def test_what_is_left_of_a_cut_answer_never_proves_what_the_whole_denies(
    resources: list[Json], data: st.DataObject
) -> None:
    table = data.draw(
        st.sampled_from(["protected_items", "backup_jobs", "backup_policies", "storage_configs", "subscriptions"]),
    )
    if table == "backup_policies":
        # Their counts may tell that items are missing, which nobody knows any more once they are cut off.
        resources = [without_count(entry) for entry in resources]
    rows = [entry for entry in resources if entry["type"] == TYPES[table]]
    gone = data.draw(st.sets(st.integers(0, max(0, len(rows) - 1)), min_size=1))
    left = [entry for number, entry in enumerate(rows) if number not in gone]
    others = [entry for entry in resources if entry["type"] != TYPES[table]]
    part = verdicts(others, {"value": left, "nextLink": link(None)})
    for rule, was, became in changes(verdicts(resources), part):
        assert became in ("unknown", "not-applicable") or (rule, was, became) in JUDGED_UNLESS_KNOWN


def without_count(resource: Json) -> Json:
    """Return a resource that does not say how many items it protects."""
    properties = resource.get("properties", {})
    return resource | {"properties": {key: properties[key] for key in properties if key != "protectedItemsCount"}}


def changed_copy(draw: st.DrawFn, resource: Json) -> Json:
    """Return another reading of a resource: less of it, or something different, or in other letters."""
    properties = dict(resource.get("properties", {}))
    for key in sorted(properties):
        match draw(st.sampled_from(["keep", "keep", "drop", "change"])):
            case "drop":
                del properties[key]
            case "change":
                properties[key] = draw(st.sampled_from(["Protected", 5, None, AN_HOUR_AGO, True]))
    name = draw(st.sampled_from([resource.get("name"), str(resource.get("name")).upper(), "another"]))
    spelled = draw(
        st.sampled_from([resource["id"], resource["id"].upper().replace("/SUBSCRIPTIONS/", "/subscriptions/")])
    )
    return {**resource, "id": spelled, "name": name, "properties": properties}


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[list[Json], list[Json]]:
    resources = draw(estates())
    copied = draw(st.lists(st.sampled_from(range(len(resources))), max_size=12))
    resources = resources + [changed_copy(draw, resources[number]) for number in copied]
    return resources, draw(st.permutations(resources))


@given(shuffled())
@settings(LAW, max_examples=examples(4))
def test_the_order_of_rows_changes_nothing_at_all(drawn: tuple[list[Json], list[Json]]) -> None:
    one, other = (audit(resources).report for resources in drawn)
    assert one.resources == other.resources
    assert one.outcomes == other.outcomes
    assert one.findings == other.findings
    assert one.gaps == other.gaps
    assert one.coverage == other.coverage
    assert one.summary == other.summary


@given(shuffled(), st.integers(1, 5))
@settings(LAW, max_examples=examples(4))
def test_how_rows_lie_in_files_changes_no_outcome(drawn: tuple[list[Json], list[Json]], files: int) -> None:
    one, other = drawn
    spread = [other[number::files] for number in range(files)]
    assert verdicts(one) == verdicts(*spread)


def test_the_same_question_twice_gives_the_same_report() -> None:
    resources = both_subscriptions().resources
    one, other = (audit(resources, cut("protected_items", A)).report for _ in range(2))
    assert one == other
    assert one.content_sha256 == other.content_sha256


def test_the_same_question_from_another_folder_gives_the_same_report() -> None:
    scopes = (
        f"intents: {{scopes: {{{group_id()}: other}}}}"  # each audit keeps its configuration in a folder of its own
    )
    resources = both_subscriptions().resources
    one, other = (audit(resources, config=scopes).report for _ in range(2))
    assert one == other


# Hostile text.

HOSTILE = (
    "'; DROP TABLE vm; --",
    '"quoted"',
    "back\\slash",
    "100%_!",
    "new\nline",
    "\x00",
    "\x1b[31mred",
    "\u202eright-to-left",
    "\ud800",
    "\U0001f984",
    "{vm.name} {missing}",
    "<script>alert(1)</script>",
    "$1 \\1 %s {0}",
    "İstanbul straße ΣΑΣ",
    "x" * 10_000,
)


@cache
def hostile() -> Audited:
    built = estate()
    for number, text in enumerate(HOSTILE):
        source = vm_id(f"{text.replace('/', '|')}-{number}")
        tags = {text: text, f"{TAG}{text}": text}
        built.vm(text, id=source, tags=tags)
        if number % 2:
            built.item(text, id=item_id(f"{number}"), sourceResourceId=source)
            built.policy(text, {"schedulePolicyType": text}, id=policy_id(f"p{number}"), protectedItemsCount=1)
        built.vault(text, "LocallyRedundant", id=vault_id(f"v{number}"), tags={TAG: text, text: text})
    return built.whole().audit()


def test_hostile_text_in_names_and_tags_breaks_nothing() -> None:
    found = hostile().report
    assert len(found.outcomes[PROTECTED]) == len(HOSTILE)
    assert sorted(found.outcomes[PROTECTED]) == sorted("fp"[number % 2] for number in range(len(HOSTILE)))
    assert set(found.outcomes[REDUNDANCY]) == {"u"}
    assert found.outcomes[RUNS].count("u") >= len(HOSTILE) // 2


def test_hostile_text_in_messages_is_made_visible() -> None:
    for finding in hostile().report.findings:
        assert not set(finding.message) & {"\x00", "\x1b", "\u202e", "\n"}


def test_names_are_kept_as_they_are() -> None:
    names = {resource.name for resource in hostile().report.resources if resource.kind == "vm"}
    readable = {text.encode("utf-8", "replace").decode() for text in HOSTILE if text != "\ud800"}
    assert readable <= names


def test_names_that_fold_to_something_longer_stay_apart() -> None:
    built = estate().vm("straße").vm("strasse").item("straße").whole()
    found = built.audit()
    assert (found.outcome(PROTECTED, "straße"), found.outcome(PROTECTED, "strasse")) == ("pass", "fail")


def test_names_with_wildcards_match_nobody_else() -> None:
    found = estate().vm("a_c").vm("abc").item("a_c").vm("%").whole().audit()
    assert [found.outcome(PROTECTED, name) for name in ("a_c", "abc", "%")] == ["pass", "fail", "fail"]


def test_a_group_of_a_similar_name_is_another_group() -> None:
    scopes = f"intents: {{scopes: {{'{group_id('rg_1')}': azure}}, default: other}}"
    built = estate().vault("in", id=vault_id("in", "rg_1")).vault("out", id=vault_id("out", "rgx1")).whole()
    found = built.audit(config=scopes, primary_endpoint=None, as_of=NOW)
    assert (found.outcome(REDUNDANCY, "in"), found.outcome(REDUNDANCY, "out")) == ("pass", "fail")
