"""The rules about vaults, policies and items on the traps of real estates."""

import json
from functools import cache
from typing import Any

import pytest
from building import (
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    Audited,
    EstateBuilder,
    Json,
    estate,
    hourly,
    item_id,
    policy_id,
    vault_id,
    vm_id,
)

from auditor.estate.retention import Retention, read_retention
from auditor.estate.schedule import Gap, read_schedule

SOFT, IMMUTABLE, ALERTS, MUA, CRR, CSR, NETWORK, KEY, LEVEL = (
    "vault-soft-delete",
    "vault-immutability",
    "vault-failure-alerts",
    "vault-multi-user-authorization",
    "vault-cross-region-restore",
    "vault-cross-subscription-restore",
    "vault-network-access",
    "vault-customer-managed-key",
    "vault-security-level",
)
DAYS, LONG, APPROVED, INSTANT, ORPHAN = (
    "policy-daily-retention",
    "policy-long-term-retention",
    "policy-approved",
    "policy-instant-restore-retention",
    "item-not-orphaned",
)


def soft(state: object, days: object = 14) -> Json:
    return {
        "securitySettings": {"softDeleteSettings": {"softDeleteState": state, "softDeleteRetentionPeriodInDays": days}}
    }


def security(**settings: object) -> Json:
    return {"securitySettings": settings}


def geo(restore: str | None, redundancy: str = "GeoRedundant") -> Json:
    return {"redundancySettings": {"standardTierStorageRedundancy": redundancy, "crossRegionRestore": restore}}


def restore(state: object) -> Json:
    return {"restoreSettings": {"crossSubscriptionRestoreSettings": {"crossSubscriptionRestoreState": state}}}


def alerts(state: object) -> Json:
    return {"monitoringSettings": {"azureMonitorAlertSettings": {"alertsForAllJobFailures": state}}}


def key(uri: object) -> Json:
    return {"encryption": {"keyVaultProperties": {"keyUri": uri}}}


VAULTS: dict[str, tuple[Json, str, str]] = {  # properties, rule, outcome
    "soft-enabled": (soft("Enabled"), SOFT, "pass"),
    "soft-always-on": (soft("AlwaysON"), SOFT, "pass"),
    "soft-always-on-in-other-letters": (soft("AlwaysOn", 180), SOFT, "pass"),
    "soft-disabled": (soft("Disabled"), SOFT, "fail"),
    "soft-too-short": (soft("Enabled", 13), SOFT, "fail"),
    "soft-without-days": (soft("Enabled", None), SOFT, "unknown"),
    "soft-invalid": (soft("Invalid"), SOFT, "unknown"),
    "soft-undocumented": (soft("Sometimes"), SOFT, "unknown"),
    "soft-not-said": ({"securitySettings": None}, SOFT, "unknown"),
    "immutable-locked": (security(immutabilitySettings={"state": "Locked"}), IMMUTABLE, "pass"),
    "immutable-unlocked": (security(immutabilitySettings={"state": "Unlocked"}), IMMUTABLE, "pass"),
    "immutable-disabled": (security(immutabilitySettings={"state": "Disabled"}), IMMUTABLE, "fail"),
    "immutable-not-said": ({"securitySettings": {}}, IMMUTABLE, "unknown"),
    "alerts-enabled": (alerts("enabled"), ALERTS, "pass"),
    "alerts-disabled": (alerts("Disabled"), ALERTS, "fail"),
    "monitoring-settings-are-null": ({"monitoringSettings": None}, ALERTS, "unknown"),
    "alert-settings-are-null": ({"monitoringSettings": {"azureMonitorAlertSettings": None}}, ALERTS, "unknown"),
    "two-people": (security(multiUserAuthorization="Enabled"), MUA, "pass"),
    "one-person": (security(multiUserAuthorization="Disabled"), MUA, "fail"),
    "people-not-said": (security(), MUA, "unknown"),
    "geo-with-restore": (geo("Enabled"), CRR, "pass"),
    "geo-without-restore": (geo("Disabled"), CRR, "fail"),
    "geo-restore-not-said": (geo(None), CRR, "unknown"),
    "local-without-restore": (geo("Disabled", "LocallyRedundant"), CRR, "not-applicable"),
    "redundancy-settings-are-null": ({"redundancySettings": None}, CRR, "unknown"),
    "elsewhere-disabled": (restore("Disabled"), CSR, "pass"),
    "elsewhere-never": (restore("PermanentlyDisabled"), CSR, "pass"),
    "elsewhere-enabled": (restore("Enabled"), CSR, "fail"),
    "elsewhere-not-said": ({"restoreSettings": {}}, CSR, "unknown"),
    "private": ({"publicNetworkAccess": "Disabled"}, NETWORK, "pass"),
    "private-endpoint": (
        {"publicNetworkAccess": "Enabled", "privateEndpointStateForBackup": "Enabled"},
        NETWORK,
        "pass",
    ),
    "public": ({"publicNetworkAccess": "Enabled", "privateEndpointStateForBackup": "None"}, NETWORK, "fail"),
    "public-and-endpoint-not-said": ({"publicNetworkAccess": "Enabled"}, NETWORK, "unknown"),
    "own-key": (key("https://kv.example/keys/k/1"), KEY, "pass"),
    "no-own-key": ({"encryption": None}, KEY, "fail"),
    "key-is-a-number": (key(5), KEY, "unknown"),
    "good": ({"bcdrSecurityLevel": "Good"}, LEVEL, "pass"),
    "fair": ({"bcdrSecurityLevel": "Fair"}, LEVEL, "fail"),
    "level-not-said": ({}, LEVEL, "unknown"),
}
HARDENED: dict[str, Any] = {"profile": "hardened", "parameters": ["vault-customer-managed-key.required=true"]}


def used(built: EstateBuilder, vault: str, **properties: Any) -> EstateBuilder:
    """Put a backup item of a VM into a vault."""
    name = f"vm-{vault}"
    return built.vm(name).item(name, id=item_id(name, vault=vault_id(vault)), **properties)


@cache
def vaults() -> Audited:
    built = estate()
    for name, (properties, _, _) in VAULTS.items():
        used(built.vault(name, properties=properties), name)
    return built.whole().audit(**HARDENED)


@pytest.mark.parametrize("name", VAULTS)
def test_a_vault_is_guarded_as_its_own_answer_says(name: str) -> None:
    _, rule, outcome = VAULTS[name]
    assert vaults().outcome(rule, name) == outcome


def test_stricter_parameters_refuse_what_an_administrator_can_take_back() -> None:
    built = used(
        estate().vault(
            "v",
            properties={
                **soft("Enabled"),
                "securitySettings": {
                    **soft("Enabled")["securitySettings"],
                    "immutabilitySettings": {"state": "Unlocked"},
                },
            },
        ),
        "v",
    ).whole()
    strict = ["vault-soft-delete.require_always_on=true", "vault-immutability.require_locked=true"]
    loose, found = built.audit(), built.audit(parameters=strict)
    assert [loose.outcome(rule, "v") for rule in (SOFT, IMMUTABLE)] == ["pass", "pass"]
    assert [found.outcome(rule, "v") for rule in (SOFT, IMMUTABLE)] == ["fail", "fail"]
    assert "reversible by an administrator" in found.finding(IMMUTABLE, "v").message


def test_a_key_is_wanted_only_where_it_is_required() -> None:
    built = used(estate().vault("v"), "v").whole()
    assert built.outcome(KEY, "v", profile="hardened") == "not-applicable"


def test_alerts_do_not_prove_that_somebody_is_notified() -> None:
    assert "a notification route was not checked" in vaults().finding(ALERTS, "alerts-disabled").message


# The older surface for soft delete


def config(vault: str, state: object, days: object = 14) -> Json:
    return {
        "id": f"{vault_id(vault)}/backupconfig/vaultconfig",
        "name": "vaultconfig",
        "type": "Microsoft.RecoveryServices/vaults/backupconfig",
        "properties": {"softDeleteFeatureState": state, "softDeleteRetentionPeriodInDays": days},
    }


CONFIGS: dict[str, tuple[Json, Json, str]] = {
    "only-the-config": ({"securitySettings": None}, {"state": "Enabled"}, "pass"),
    "only-the-config-disabled": ({"securitySettings": None}, {"state": "Disabled"}, "fail"),
    "both-agree": (soft("AlwaysON"), {"state": "AlwaysOn"}, "pass"),
    "different-states": (soft("Enabled"), {"state": "Disabled"}, "unknown"),
    "different-days": (soft("Enabled", 30), {"state": "Enabled", "days": 14}, "unknown"),
    "days-of-the-config": (soft("Enabled", None), {"state": "Enabled", "days": 14}, "pass"),
    "unreadable-config": ({"securitySettings": None}, {"state": "Perhaps"}, "unknown"),
    "unreadable-config-beside-an-answer": (soft("Enabled"), {"state": "Perhaps"}, "pass"),
}


@cache
def configs() -> Audited:
    built = estate()
    for name, (properties, said, _) in CONFIGS.items():
        used(built.vault(name, properties=properties).add(config(name, **said)), name)
    return built.whole().audit()


@pytest.mark.parametrize("name", CONFIGS)
def test_the_older_vault_config_fills_in_and_never_overrules(name: str) -> None:
    assert configs().outcome(SOFT, name) == CONFIGS[name][2]


def test_a_vault_config_that_differs_shows_both() -> None:
    assert (
        "the vault says Enabled and its vault config says Disabled"
        in configs().finding(SOFT, "different-states").message
    )


# Vaults without backups of VMs


def test_only_a_vault_that_is_known_to_hold_no_vm_backup_needs_no_guard() -> None:
    built = estate().vault("empty").vault("sql").vault("both").vault("stopped").vault("doubtful").vault("far")
    for name in ("sql", "both"):
        used(built, name, backupManagementType="AzureWorkload")
    built.vm("x").item("x", id=item_id("x", vault=vault_id("both")))
    used(built, "stopped", protectionState="ProtectionStopped")
    used(built, "doubtful", backupManagementType=None, protectedItemType=None)
    for vault in built.resources:
        if vault["type"].endswith("/vaults"):
            vault["properties"] |= soft("Disabled")
    far = vault_id("far", subscription=OTHER_SUBSCRIPTION)
    built.resources = [entry | {"id": far} if entry["name"] == "far" else entry for entry in built.resources]
    wanted = {"empty": "not-applicable", "sql": "not-applicable", "both": "fail", "stopped": "fail", "doubtful": "fail"}
    found = built.whole().audit()
    assert {name: found.outcome(SOFT, name) for name in wanted} == wanted
    gap = {"value": [], "nextLink": f"https://management.azure.com/subscriptions/{OTHER_SUBSCRIPTION}/providers/x"}
    assert found.outcome(SOFT, "far") == "not-applicable"
    assert built.audit_with(gap).outcome(SOFT, "far") == "fail"


# Policies


def kept(**schedules: tuple[object, object]) -> Json:
    durations = {
        f"{every}Schedule": {"retentionDuration": {"count": count, "durationType": unit}}
        for every, (count, unit) in schedules.items()
    }
    return {"retentionPolicyType": "LongTermRetentionPolicy", **durations}


RETENTIONS: dict[str, tuple[object, Retention]] = {
    "days": (kept(daily=(30, "Days")), Retention(30, 0, 0)),
    "weeks-of-daily-points": (kept(daily=(4, "weeks")), Retention(28, 0, 0)),
    "months-of-daily-points": (kept(daily=(2, "Months")), Retention(60, 0, 0)),
    "all": (
        kept(daily=(180, "Days"), weekly=(104, "Weeks"), monthly=(60, "Months"), yearly=(10, "Years")),
        Retention(180, 60, 10),
    ),
    "monthly-in-years": (kept(daily=(7, "Days"), monthly=(2, "Years")), Retention(7, 24, 0)),
    "yearly-in-months": (kept(daily=(7, "Days"), yearly=(30, "Months")), Retention(7, 0, 2)),
    "simple": (
        {"retentionPolicyType": "SimpleRetentionPolicy", "retentionDuration": {"count": 5, "durationType": "Weeks"}},
        Retention(35, 0, 0),
    ),
    "weekly": (
        kept(weekly=(12, "Weeks")),
        Retention(84, 0, 0, "It keeps weekly points only, which counts as 84 days (7 to a week)."),
    ),
}
UNKNOWN_RETENTIONS: list[object] = [
    None,
    [],
    {},
    {"retentionPolicyType": "EternalRetentionPolicy"},
    {"retentionPolicyType": 5},
    kept(),
    kept(monthly=(12, "Months")),
    kept(daily=("30", "Days")),
    kept(daily=(True, "Days")),
    kept(daily=(-1, "Days")),
    kept(daily=(30, "Fortnights")),
    kept(daily=(30, None)),
    kept(daily=(30, "Days"), monthly=(12, "Moons")),
    {"retentionPolicyType": "LongTermRetentionPolicy", "dailySchedule": 5},
    {"retentionPolicyType": "LongTermRetentionPolicy", "dailySchedule": {"retentionDuration": None}},
    {"retentionPolicyType": "SimpleRetentionPolicy"},
]


@pytest.mark.parametrize("name", RETENTIONS)
def test_a_retention_is_counted_in_days_months_and_years(name: str) -> None:
    written, wanted = RETENTIONS[name]
    assert read_retention(json.dumps(written)) == wanted


@pytest.mark.parametrize("written", UNKNOWN_RETENTIONS, ids=str)
def test_a_retention_that_is_not_understood_is_not_known_and_says_why(written: object) -> None:
    found = read_retention(json.dumps(written))
    assert (found.days, found.months, found.years) == (None, None, None)
    assert found.reason


def test_a_retention_that_is_nested_beyond_all_measure_is_not_known() -> None:
    assert read_retention("[" * 100_000).reason == "the retention is nested too deeply"


POLICIES: dict[str, tuple[Json, str, str]] = {
    "thirty-days": ({}, DAYS, "pass"),
    "seven-days": ({"retentionPolicy": kept(daily=(7, "Days"))}, DAYS, "fail"),
    "five-weeks-weekly": ({"retentionPolicy": kept(weekly=(5, "Weeks"))}, DAYS, "pass"),
    "four-weeks-weekly": ({"retentionPolicy": kept(weekly=(4, "Weeks"))}, DAYS, "fail"),
    "no-retention": ({"retentionPolicy": None}, DAYS, "unknown"),
    "odd-retention": ({"retentionPolicy": kept(daily=(30, "Moons"))}, DAYS, "unknown"),
    "a-year": (
        {"retentionPolicy": kept(daily=(30, "Days"), monthly=(12, "Months"), yearly=(3, "Years"))},
        LONG,
        "pass",
    ),
    "no-months": ({"retentionPolicy": kept(daily=(30, "Days"), yearly=(3, "Years"))}, LONG, "fail"),
    "few-years": (
        {"retentionPolicy": kept(daily=(30, "Days"), monthly=(12, "Months"), yearly=(2, "Years"))},
        LONG,
        "fail",
    ),
    "long-not-known": ({"retentionPolicy": {}}, LONG, "unknown"),
    "Gold": ({}, APPROVED, "pass"),
    "by-id": ({}, APPROVED, "pass"),
    "bronze": ({}, APPROVED, "fail"),
    "two-days-of-snapshots": ({"instantRpRetentionRangeInDays": 2}, INSTANT, "pass"),
    "one-day-of-snapshots": ({"instantRpRetentionRangeInDays": 1}, INSTANT, "fail"),
    "too-many-snapshots": ({"instantRpRetentionRangeInDays": 31}, INSTANT, "fail"),
    "snapshots-not-said": ({}, INSTANT, "unknown"),
}
ASKED = [
    "policy-long-term-retention.months=12",
    "policy-long-term-retention.years=3",
    f"policy-approved.approved=[gold, '{policy_id('by-id').upper().replace('/SUBSC', '/subsc', 1)}']",
]


@cache
def policies() -> Audited:
    built = estate().vault()
    for name, (properties, _, _) in POLICIES.items():
        built.policy(name, **properties).vm(name).item(name, policyId=policy_id(name))
    built.policy("unused", retentionPolicy=kept(daily=(7, "Days")), protectedItemsCount=0)
    built.policy("HourlyLogBackup", backupManagementType="AzureWorkload", retentionPolicy=None)
    return built.whole().audit(profile="hardened", parameters=ASKED)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_keeps_what_is_asked_for(name: str) -> None:
    _, rule, outcome = POLICIES[name]
    assert policies().outcome(rule, name) == outcome


@pytest.mark.parametrize("rule", [DAYS, LONG, APPROVED, INSTANT])
def test_a_policy_that_protects_no_vm_is_not_judged_and_one_of_databases_is_no_policy(rule: str) -> None:
    assert policies().outcome(rule, "unused") == "not-applicable"
    assert not any(entry.name == "HourlyLogBackup" for entry in policies().report.resources if entry.kind == "policy")


@pytest.mark.parametrize("rule", [LONG, APPROVED])
def test_what_nobody_asked_for_is_not_judged(rule: str) -> None:
    built = estate().policy("p").vm("web").item("web", policyId=policy_id("p")).vault().whole()
    assert built.outcome(rule, "p") == "not-applicable"


def test_weeks_that_count_as_days_are_named() -> None:
    assert "weekly points only, which counts as 28 days" in policies().finding(DAYS, "four-weeks-weekly").message


# The longest gap that a schedule plans

DAILY: Json = {"schedulePolicyType": "SimpleSchedulePolicy", "scheduleRunFrequency": "Daily"}
WEEKLY: Json = {"schedulePolicyType": "SimpleSchedulePolicy", "scheduleRunFrequency": "Weekly"}


def at(*times: str) -> list[str]:
    return [f"2026-01-01T{time}:00Z" for time in times]


GAPS: list[tuple[Json, Gap | None]] = [
    (DAILY | {"scheduleRunTimes": at("22:00")}, Gap(24, 24)),
    (DAILY | {"scheduleRunTimes": at("06:00", "18:30")}, Gap(12.5, 12.5)),
    (DAILY | {"scheduleRunTimes": at("01:00", "02:00")}, Gap(23, 23)),
    (DAILY | {"scheduleRunTimes": []}, None),
    (WEEKLY | {"scheduleRunDays": ["Sunday"], "scheduleRunTimes": at("02:00")}, Gap(168, 168)),
    (WEEKLY | {"scheduleRunDays": ["Monday", "Friday"], "scheduleRunTimes": at("02:00")}, Gap(96, 96)),
    (WEEKLY | {"scheduleRunDays": ["Sunday", "Saturday"], "scheduleRunTimes": at("02:00")}, Gap(144, 144)),
    (
        WEEKLY
        | {"scheduleRunDays": ["Monday", "Friday"], "scheduleRunTimes": at("02:00"), "scheduleWeeklyFrequency": 2},
        Gap(240, 240),
    ),
    (WEEKLY | {"scheduleRunDays": [], "scheduleRunTimes": at("02:00")}, None),
]


@pytest.mark.parametrize(("schedule", "gap"), GAPS, ids=str)
def test_the_longest_gap_goes_round_the_week(schedule: Json, gap: Gap | None) -> None:
    assert read_schedule(json.dumps(schedule)).gap == gap


@pytest.mark.parametrize(
    ("interval", "window", "gap"),
    [
        (4, 24, Gap(4, 4)),
        (4, 12, Gap(12, 16)),
        (4, 10, Gap(16, 16)),
        (4, 20, Gap(4, 8)),
        (12, 4, Gap(24, 24)),
        (12, 24, Gap(12, 12)),
        (24, 24, Gap(24, 24)),
    ],
)
def test_the_longest_gap_of_an_hourly_schedule_is_the_one_over_night(interval: int, window: int, gap: Gap) -> None:
    assert read_schedule(json.dumps(hourly(interval, window))).gap == gap


# Items whose VM is gone

FAR, CLASSIC = (
    vm_id("far", subscription=OTHER_SUBSCRIPTION),
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/",
)
ORPHANS: dict[str, tuple[Json, str]] = {
    "there": ({}, "pass"),
    "stopped-and-there": ({"protectionState": "ProtectionStopped"}, "pass"),
    "gone": ({}, "fail"),
    "gone-and-soft-deleted": ({"isScheduledForDeferredDelete": True}, "not-applicable"),
    "gone-and-of-unknown-state": ({"protectionState": "Hibernated"}, "unknown"),
    "of-a-subscription-without-vms": ({"sourceResourceId": FAR}, "unknown"),
    "of-such-a-subscription-and-known-to-be-deleted": ({"sourceResourceId": FAR, "isDatasourceDeleted": True}, "fail"),
    "known-not-to-be-deleted": ({"sourceResourceId": FAR, "isDatasourceDeleted": False}, "unknown"),
    "of-a-classic-vm": ({"sourceResourceId": f"{CLASSIC}Microsoft.ClassicCompute/virtualMachines/old"}, "unknown"),
    "of-nobody": ({"sourceResourceId": None}, "unknown"),
}


def orphans() -> EstateBuilder:
    built = estate().vault().vm("there").vm("stopped-and-there")
    for name, (properties, _) in ORPHANS.items():
        built.item(name, **properties)
    return built.whole()


@cache
def whole_orphans() -> Audited:
    return orphans().audit()


@pytest.mark.parametrize("name", ORPHANS)
def test_only_a_vm_that_is_known_to_be_gone_leaves_an_orphan(name: str) -> None:
    assert whole_orphans().outcome(ORPHAN, item_id(name)) == ORPHANS[name][1]


def test_an_orphan_is_to_be_confirmed_and_what_is_not_known_says_why() -> None:
    message = whole_orphans().finding(ORPHAN, item_id("gone")).message
    assert message.startswith("retained data of a deleted VM: confirm intent. VM: " + vm_id("gone"))
    reasons = {
        "of-a-subscription-without-vms": f"no VM of the subscription {OTHER_SUBSCRIPTION} is in the inventory",
        "of-a-classic-vm": "which is no VM of Resource Manager",
        "of-nobody": "the item does not say which VM it protects",
    }
    for name, reason in reasons.items():
        assert reason in whole_orphans().finding(ORPHAN, item_id(name)).message


def test_vms_that_were_not_all_read_leave_no_orphans() -> None:
    gap = {"value": [{"id": vm_id("there"), "type": "Microsoft.Compute/virtualMachines"}], "nextLink": "https://x/next"}
    found = orphans().audit_with(gap)
    assert found.outcome(ORPHAN, item_id("gone")) == "unknown"
    assert found.outcome(ORPHAN, item_id("there")) == "pass"
    assert found.outcome(ORPHAN, item_id("of-such-a-subscription-and-known-to-be-deleted")) == "fail"


def test_items_of_other_workloads_are_no_items_of_vms() -> None:
    found = estate().vault().vm("x").item("sql", backupManagementType="AzureWorkload").whole().audit()
    assert not [entry for entry in found.report.resources if entry.kind == "item"]
