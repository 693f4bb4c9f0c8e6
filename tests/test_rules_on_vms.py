"""The rules about backups of VMs on the traps of real estates: recovery points, jobs, disks, twins, objectives.

Cases that differ only in one resource live side by side in one estate that is audited once.
"""

from functools import cache
from typing import Any

import pytest
from building import NOW, OTHER_SUBSCRIPTION, Audited, EstateBuilder, Json, estate, hourly, item_id, vault_id, vm_id

SCHEDULE, RPO, LAST, RATIO, DISKS, EXTENSIONS, SINGLE, HEALTHY = (
    "backup-on-schedule",
    "backup-within-rpo",
    "last-backup-succeeded",
    "job-success-ratio",
    "item-covers-all-disks",
    "vm-allows-extensions",
    "vm-single-item",
    "item-healthy",
)
NEVER = "2001-01-01T00:00:00Z"
VAULT_2 = vault_id("vault2")


def whole_table(table: str) -> Json:
    """Return an answer whose next page was not fetched."""
    return {"value": [], "nextLink": f"https://management.azure.com/{table}"}


# The newest recovery point against the policy: daily at 22:00, so at 12:00 a point of 01:00 is 11 hours old.

POINTS: dict[str, tuple[Json, str]] = {
    "last-night": ({}, "pass"),
    "a-day-and-the-slack-ago": ({"lastRecoveryPoint": "2026-06-14T06:00:00Z"}, "pass"),
    "a-second-too-old": ({"lastRecoveryPoint": "2026-06-14T05:59:59Z"}, "fail"),
    "never-by-the-year-2001": ({"lastRecoveryPoint": NEVER}, "fail"),
    "never-by-the-year-1": ({"lastRecoveryPoint": "0001-01-01T00:00:00"}, "fail"),
    "never-by-leaving-it-out": ({"lastRecoveryPoint": None}, "fail"),
    "protected-with-a-failed-backup-and-no-point": (
        {"lastRecoveryPoint": None, "lastBackupStatus": "Failed", "healthStatus": "Passed"},
        "fail",
    ),
    "never-and-no-policy-known": (
        {"lastRecoveryPoint": NEVER, "policyId": f"{vault_id()}/backupPolicies/gone"},
        "fail",
    ),
    "now": ({"lastRecoveryPoint": NOW}, "pass"),
    "in-the-future": ({"lastRecoveryPoint": "2026-06-15T12:00:01Z"}, "unknown"),
    "unreadable": ({"lastRecoveryPoint": "yesterday"}, "unknown"),
    "policy-not-in-the-inventory": ({"policyId": f"{vault_id()}/backupPolicies/gone"}, "unknown"),
    "no-policy": ({"policyId": ""}, "unknown"),
    "schedule-not-understood": ({"policyId": f"{vault_id()}/backupPolicies/odd"}, "unknown"),
    "policy-that-never-runs": ({"policyId": f"{vault_id()}/backupPolicies/idle"}, "unknown"),
    "weekly-policy-six-days-ago": (
        {"policyId": f"{vault_id()}/backupPolicies/weekly", "lastRecoveryPoint": "2026-06-09T12:00:00Z"},
        "pass",
    ),
    "weekly-policy-eight-days-ago": (
        {"policyId": f"{vault_id()}/backupPolicies/weekly", "lastRecoveryPoint": "2026-06-07T11:00:00Z"},
        "fail",
    ),
    "every-4-hours-for-12-hours-as-the-end-is-read": (
        # 12 or 16 hours over night: 20 hours are 8 or 4 too many.
        {"policyId": f"{vault_id()}/backupPolicies/window", "lastRecoveryPoint": "2026-06-14T16:00:00Z"},
        "unknown",
    ),
    "every-4-hours-for-12-hours-either-way": (
        {"policyId": f"{vault_id()}/backupPolicies/window", "lastRecoveryPoint": "2026-06-14T18:00:00Z"},
        "pass",
    ),
    "azures-enhanced-default-11-hours-ago": ({"policyId": f"{vault_id()}/backupPolicies/enhanced"}, "fail"),
    "suspended-for-a-week": (
        {"protectionState": "BackupsSuspended", "lastRecoveryPoint": "2026-06-08T12:00:00Z"},
        "fail",
    ),
    "stopped": ({"protectionState": "ProtectionStopped", "lastRecoveryPoint": NEVER}, "not-applicable"),
    "soft-deleted": ({"isScheduledForDeferredDelete": True}, "not-applicable"),
    "pending": ({"protectionState": "IRPending", "lastRecoveryPoint": None}, "not-applicable"),
    "state-unknown": ({"protectionState": "Hibernated"}, "unknown"),
    "sql-in-the-vm": ({"backupManagementType": "AzureWorkload"}, "not-applicable"),
}


def with_policies(built: EstateBuilder) -> EstateBuilder:
    weekly = {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunFrequency": "Weekly",
        "scheduleRunDays": ["Sunday"],
        "scheduleRunTimes": ["2026-01-01T22:00:00Z"],
    }
    idle = {"schedulePolicyType": "SimpleSchedulePolicy", "scheduleRunFrequency": "Daily", "scheduleRunTimes": []}
    built.policy("daily").policy("weekly", weekly).policy("odd", {"schedulePolicyType": "Lunar"}).policy("idle", idle)
    return built.policy("window", hourly(4, 12)).policy("enhanced", hourly(4, 24))


@cache
def points(**flags: Any) -> Audited:
    built = with_policies(estate().vault())
    for name, (properties, _) in POINTS.items():
        built.vm(name).item(name, **properties)
    return built.whole().audit(**flags)


@pytest.mark.parametrize("name", POINTS)
def test_the_newest_recovery_point_is_as_recent_as_the_policy_plans(name: str) -> None:
    assert points().outcome(SCHEDULE, name) == POINTS[name][1]


@pytest.mark.parametrize("name", POINTS)
def test_without_a_time_no_recovery_point_is_recent_and_none_is_late(name: str) -> None:
    wanted = POINTS[name][1]
    never = POINTS[name][0].get("lastRecoveryPoint", NOW) in (None, NEVER, "0001-01-01T00:00:00")
    if wanted in ("pass", "fail") and not never:
        wanted = "unknown"
    assert points(as_of=None).outcome(SCHEDULE, name) == wanted


def test_lateness_is_told_in_hours_and_what_is_not_proved_as_well() -> None:
    message = points().finding(SCHEDULE, "a-second-too-old").message
    assert message.startswith(
        "Its newest recovery point is 30 hours old; the policy leaves 24 hours at most between two."
    )
    assert "may be snapshot tier; vault copy not proved" in message
    assert "It was never backed up." in points().finding(SCHEDULE, "never-by-leaving-it-out").message


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("in-the-future", "is --as-of too early?"),
        ("policy-not-in-the-inventory", "its policy is not in the inventory"),
        ("no-policy", "it has no policy"),
        ("schedule-not-understood", '"Lunar" is not one of VM backup'),
        ("policy-that-never-runs", "it never runs"),
        ("every-4-hours-for-12-hours-as-the-end-is-read", "Azure does not document whether a run"),
    ],
)
def test_lateness_that_is_not_known_says_why(name: str, reason: str) -> None:
    assert reason in points().finding(SCHEDULE, name).message


def test_policies_that_were_not_exported_make_lateness_unknown() -> None:
    built = estate().vm("web").item("web").vault().whole()
    built.resources = [entry for entry in built.resources if not entry["type"].endswith("backupPolicies")]
    assert built.outcome(SCHEDULE, "web") == "unknown"


# Recovery point objectives

GOLD = "rpo: {tag: Tier, hours: {Gold: 4, silver: 24}}\n"
BY_PARAMETER = GOLD + "parameters: {backup-within-rpo: {rpo_hours: 12}}\n"
TIERS: dict[str, tuple[Json, Json, str, str]] = {  # tags, item, outcome by tag alone, with 12 hours by parameter
    "gold": ({"tier": "GOLD"}, {}, "fail", "fail"),
    "silver": ({"TIER": " Silver"}, {}, "pass", "pass"),
    "silver-beats-the-parameter": ({"Tier": "silver"}, {"lastRecoveryPoint": "2026-06-14T14:00:00Z"}, "pass", "pass"),
    "bronze-is-no-tier": ({"Tier": "bronze"}, {}, "unknown", "unknown"),
    "bronze-that-was-never-backed-up": ({"Tier": "bronze"}, {"lastRecoveryPoint": None}, "unknown", "fail"),
    "untagged": ({}, {}, "not-applicable", "pass"),
    "untagged-and-old": ({}, {"lastRecoveryPoint": "2026-06-14T14:00:00Z"}, "not-applicable", "fail"),
    "never": ({"Tier": "silver"}, {"lastRecoveryPoint": NEVER}, "fail", "fail"),
    "future": ({"Tier": "silver"}, {"lastRecoveryPoint": "2026-06-16T00:00:00Z"}, "unknown", "unknown"),
}


@cache
def tiers(config: str) -> Audited:
    built = estate().vault().vm("no-item", tags={"Tier": "Gold"}).vm("tags-unread", tags="none").item("tags-unread")
    for name, (tags, properties, _, _) in TIERS.items():
        built.vm(name, tags=tags).item(name, **properties)
    return built.whole().audit(config=config)


@pytest.mark.parametrize("name", TIERS)
def test_the_objective_is_that_of_the_tag_else_of_the_parameter(name: str) -> None:
    assert tiers("").outcome(RPO, name) == "not-applicable"
    assert tiers(GOLD).outcome(RPO, name) == TIERS[name][2]
    assert tiers(BY_PARAMETER).outcome(RPO, name) == TIERS[name][3]


def test_an_objective_without_a_backup_item_is_missed() -> None:
    assert tiers(GOLD).outcome(RPO, "no-item") == "fail"


def test_tags_that_could_not_be_read_leave_the_objective_open() -> None:
    assert tiers(BY_PARAMETER).outcome(RPO, "tags-unread") == "unknown"


def test_a_value_without_hours_is_quoted_and_does_not_fall_through() -> None:
    assert 'its tag Tier says "bronze"' in tiers(BY_PARAMETER).finding(RPO, "bronze-is-no-tier").message


def test_the_evidence_of_an_objective_names_the_tag() -> None:
    (found,) = [entry for entry in tiers(GOLD).finding(RPO, "gold").evidence if entry.field == "vm.rpo_hours"]
    assert (found.value, found.source) == (4, "tag Tier")


# How the last backup ended

STATUSES: dict[str, tuple[Json, list[Json], str]] = {  # item, its backup jobs, outcome
    "completed": ({}, [], "pass"),
    "in-other-letters": ({"lastBackupStatus": "completedwithwarnings"}, [], "pass"),
    "failed": ({"lastBackupStatus": "Failed"}, [], "fail"),
    "failed-beats-a-newer-job": ({"lastBackupStatus": "Failed"}, [{"status": "Completed"}], "fail"),
    "cancelled": ({"lastBackupStatus": "Cancelled"}, [], "fail"),
    "running-after-a-success": (
        {"lastBackupStatus": "InProgress"},
        [{"status": "InProgress"}, {"status": "Completed", "startTime": "2026-06-14T22:00:00Z"}],
        "pass",
    ),
    "running-after-a-failure": (
        {"lastBackupStatus": "InProgress"},
        [
            {"status": "InProgress"},
            {"status": "Failed", "startTime": "2026-06-14T22:00:00Z"},
            {"status": "Completed", "startTime": "2026-06-13T22:00:00Z"},
        ],
        "fail",
    ),
    "empty-after-a-success": ({"lastBackupStatus": ""}, [{"status": "Completed"}], "pass"),
    "empty-and-no-job": ({"lastBackupStatus": ""}, [], "unknown"),
    "empty-and-a-restore": ({"lastBackupStatus": ""}, [{"operation": "Restore", "status": "Completed"}], "unknown"),
    "empty-and-a-newer-job-of-unknown-end": (
        {"lastBackupStatus": ""},
        [{"status": None}, {"status": "Completed", "startTime": "2026-06-14T22:00:00Z"}],
        "unknown",
    ),
    "empty-and-an-older-job-of-unknown-end": (
        {"lastBackupStatus": ""},
        [{"status": "Completed"}, {"status": None, "startTime": "2026-06-14T22:00:00Z"}],
        "pass",
    ),
    "undocumented": ({"lastBackupStatus": "Sulking"}, [{"status": "Completed"}], "unknown"),
    "a-number": ({"lastBackupStatus": 5}, [{"status": "Completed"}], "unknown"),
}


@cache
def statuses() -> EstateBuilder:
    built = estate().vault()
    for name, (properties, jobs, _) in STATUSES.items():
        built.vm(name).item(name, containerName=f"iaasvmcontainerv2;rg;{name}", **properties)
        for job in jobs:
            built.job(name, **{"operation": "Backup", "started": job.get("startTime", NOW), **job})
    return built.whole()


@pytest.mark.parametrize("name", STATUSES)
def test_the_last_finished_backup_decides(name: str) -> None:
    assert whole_statuses().outcome(LAST, name) == STATUSES[name][2]


@cache
def whole_statuses() -> Audited:
    return statuses().audit()


def test_jobs_that_were_not_read_never_say_how_a_backup_ended() -> None:
    built = EstateBuilder([entry for entry in statuses().resources if not entry["type"].endswith("backupJobs")])
    found = built.audit()
    for name, (properties, _, outcome) in STATUSES.items():
        open_end = properties.get("lastBackupStatus") in ("", "InProgress")
        assert found.outcome(LAST, name) == ("unknown" if open_end else outcome), name


def test_warnings_may_be_refused() -> None:
    built = estate().vm("web").item("web", lastBackupStatus="CompletedWithWarnings").whole()
    assert built.outcome(LAST, "web") == "pass"
    assert built.outcome(LAST, "web", parameters=["last-backup-succeeded.allow_warnings=false"]) == "fail"


# How many jobs succeed

DAYS = [f"2026-06-{day:02}T22:00:00Z" for day in range(1, 15)]
WORDS: dict[str, tuple[list[str], str]] = {
    "13-warnings-and-1-failure": (["CompletedWithWarnings"] * 13 + ["Failed"], "pass"),
    "9-of-10": (["Completed"] * 9 + ["Failed"], "pass"),
    "8-of-10": (["Completed"] * 8 + ["Failed"] * 2, "fail"),
    "cancelled-and-running-are-left-out": (["Completed", "Cancelled", "Cancelled", "InProgress", "Cancelling"], "pass"),
    "only-cancelled": (["Cancelled"], "not-applicable"),
    "none": ([], "not-applicable"),
    "one-of-unknown-end": (["Completed"] * 9 + ["Melted"], "unknown"),
}


@cache
def ratios() -> EstateBuilder:
    built = estate().vault()
    for name, (words, _) in WORDS.items():
        built.vm(name).item(name)
        for day, word in zip(DAYS, words, strict=False):
            built.job(name, "Backup", day, status=word)
    built.vm("old-failures").item("old-failures").job("old-failures", "Backup", NOW)
    for _ in range(3):
        built.job("old-failures", "Backup", "2026-06-01T11:59:59Z", status="Failed")
    built.vm("other-jobs").item("other-jobs").job("other-jobs", "Backup", NOW)
    built.job("other-jobs", "Restore", NOW, status="Failed")
    built.job("other-jobs", "Backup", NOW, status="Failed", backupManagementType="AzureWorkload")
    built.job("other-jobs", "Backup", "2026-06-16T00:00:00Z", status="Failed")
    return built.whole()


@cache
def whole_ratios() -> Audited:
    return ratios().audit()


@pytest.mark.parametrize("name", [*WORDS, "old-failures", "other-jobs"])
def test_most_jobs_of_14_days_complete(name: str) -> None:
    assert whole_ratios().outcome(RATIO, name) == WORDS.get(name, ([], "pass"))[1]


def test_the_share_of_jobs_is_told() -> None:
    assert whole_ratios().finding(RATIO, "8-of-10").message == (
        "8 of 10 backup jobs of the last 14 days succeeded. That is 0.8, where 0.9 is needed."
    )


def test_jobs_that_were_not_all_read_leave_the_share_open() -> None:
    found = EstateBuilder([*ratios().resources]).audit_with(whole_table("backupJobs"))
    for name in WORDS:
        assert found.outcome(RATIO, name) == "unknown", name


def test_a_job_belongs_to_the_vm_it_names_and_not_to_its_container() -> None:
    built = estate().vm("a").item("a").vm("b").item("b").whole()
    built.job("b", "Backup", NOW, status="Failed", dataSourceId=vm_id("a").upper().replace("/SUBSC", "/subsc", 1))
    assert built.outcome(RATIO, "a") == "fail"
    assert built.outcome(RATIO, "b") == "not-applicable"


def test_a_job_of_another_vault_is_not_that_of_the_item() -> None:
    built = estate().vm("a").item("a").job("a", "Backup", NOW, status="Failed", dataSourceId=vm_id("a"))
    built.resources[-1]["id"] = f"{VAULT_2}/backupJobs/1"
    assert built.whole().outcome(RATIO, "a") == "not-applicable"


def test_two_items_never_share_a_job() -> None:
    same = "iaasvmcontainerv2;rg;same"
    built = estate().vm("a").item("a", containerName=same).vm("b").item("b", containerName=same)
    built.job("same", "Backup", NOW)
    found = built.whole().audit()
    assert found.outcome(RATIO, "a") == found.outcome(RATIO, "b") == "unknown"
    assert "its jobs could be those of another item too" in found.finding(RATIO, "a").message


def test_a_container_in_two_vaults_is_two_containers() -> None:
    built = estate().vm("a").item("a").vm("b").item("b", id=item_id("a", vault=VAULT_2), sourceResourceId=vm_id("b"))
    built.job("a", "Backup", NOW)
    found = built.whole().audit()
    assert found.outcome(RATIO, "a") == "pass"
    assert found.outcome(RATIO, "b") == "not-applicable"


# Disks that are left out

GRAPH: Json = {"currentProtectionState": "ProtectionConfigured"}


def lists(luns: object, inclusion: object) -> Json:
    return {"extendedProperties": {"diskExclusionProperties": {"diskLunList": luns, "isInclusionList": inclusion}}}


EXCLUSIONS: dict[str, tuple[Json, Any, str, str]] = {  # item, LUNs of the VM (None: not known), outcome, words
    "nothing-said-by-the-backup-service": ({}, (0, 1), "pass", ""),
    "nothing-said-by-the-graph": (GRAPH, (0, 1), "unknown", "Resource Graph is not known to say it"),
    "empty-extended-properties": ({"extendedProperties": {}}, (0, 1), "pass", ""),
    "empty-extended-properties-in-the-graph": ({**GRAPH, "extendedProperties": {}}, (0, 1), "pass", ""),
    "as-recorded-with-other-properties": ({"extendedProperties": {"linuxVmApplicationName": ""}}, (0,), "pass", ""),
    "one-excluded": (lists([1], inclusion=False), (0, 1, 2), "fail", "Excluded: LUN 1."),
    "one-excluded-in-the-graph": ({**GRAPH, **lists([1], inclusion=False)}, (1,), "fail", "Excluded: LUN 1."),
    "two-excluded": (lists([2, 0], inclusion=False), (0, 1, 2), "fail", "Excluded: LUNs 0, 2."),
    "excluded-disk-that-the-vm-does-not-have": (lists([7], inclusion=False), (0, 1), "pass", ""),
    "excluded-and-the-disks-are-not-known": (lists([7], inclusion=False), None, "fail", "Excluded: LUN 7."),
    "empty-exclusion-list": (lists([], inclusion=False), (0, 1), "pass", ""),
    "all-included": (lists([0, 1], inclusion=True), (0, 1), "pass", ""),
    "a-disk-attached-later": (lists([0, 1], inclusion=True), (0, 1, 2), "fail", "Not backed up: LUN 2; only LUN 0, 1"),
    "empty-inclusion-list": (
        lists([], inclusion=True),
        (0, 1),
        "fail",
        "Not backed up: LUNs 0, 1; only the OS disk is.",
    ),
    "empty-inclusion-list-of-a-vm-without-data-disks": (lists([], inclusion=True), (), "pass", ""),
    "included-and-the-disks-are-not-known": (lists([0], inclusion=True), None, "unknown", "is not known"),
    "list-of-either-kind": (lists([0], inclusion=None), (0,), "unknown", "could mean either"),
    "list-of-text": (lists(["0"], inclusion=False), (0,), "unknown", "not a list of LUNs"),
    "extended-properties-are-text": ({"extendedProperties": "none"}, (0,), "unknown", ""),
}


@cache
def exclusions() -> Audited:
    built = estate().vault()
    for name, (properties, luns, _, _) in EXCLUSIONS.items():
        disks = {} if luns is None else {"dataDisks": [{"lun": lun} for lun in luns]}
        built.vm(name, storageProfile={"imageReference": {}, "osDisk": {"createOption": "FromImage"}, **disks})
        built.item(name, **properties)
    built.vm("graph").item("graph")
    built.resources[-1]["type"] = built.resources[-1]["type"].lower()
    return built.whole().audit()


@pytest.mark.parametrize("name", EXCLUSIONS)
def test_a_disk_that_is_left_out_is_found(name: str) -> None:
    _, _, outcome, words = EXCLUSIONS[name]
    assert exclusions().outcome(DISKS, name) == outcome
    if words:
        assert words in exclusions().finding(DISKS, name).message


def test_a_type_in_small_letters_is_that_of_the_graph() -> None:
    assert exclusions().outcome(DISKS, "graph") == "unknown"


# Extensions, twins, health

ALLOWS: dict[str, tuple[Json, str]] = {
    "allowed": ({"osProfile": {"allowExtensionOperations": True}}, "pass"),
    "forbidden": ({"osProfile": {"allowExtensionOperations": False}}, "fail"),
    "not-said": ({}, "pass"),
    "attached-disk-without-a-profile": ({"osProfile": None}, "pass"),
    "not-described": ({"osProfile": None, "storageProfile": None}, "unknown"),
    "text": ({"osProfile": {"allowExtensionOperations": "no"}}, "unknown"),
    "agentless": ({"osProfile": {"allowExtensionOperations": False}}, "not-applicable"),
}


@cache
def extensions() -> Audited:
    built = estate().vault().policy("crash", snapshotConsistencyType="OnlyCrashConsistent")
    for name, (properties, _) in ALLOWS.items():
        built.vm(name, **properties)
    built.item("agentless", policyId=f"{vault_id()}/backupPolicies/crash")
    return built.whole().audit()


@pytest.mark.parametrize("name", ALLOWS)
def test_extensions_are_allowed_unless_somebody_said_otherwise(name: str) -> None:
    assert extensions().outcome(EXTENSIONS, name) == ALLOWS[name][1]


TWINS: dict[str, tuple[list[Json], str]] = {
    "none": ([], "not-applicable"),
    "one": ([{}], "pass"),
    "one-stopped": ([{"protectionState": "ProtectionStopped"}], "pass"),
    "two-in-two-vaults": ([{}, {"protectionState": "ProtectionStopped"}], "fail"),
    "soft-deleted-and-made-again": ([{}, {"isScheduledForDeferredDelete": True}], "pass"),
    "two-soft-deleted": ([{"isScheduledForDeferredDelete": True}] * 2, "pass"),
    "the-other-is-sql": ([{}, {"backupManagementType": "AzureWorkload"}], "pass"),
    "the-other-is-of-unknown-state": ([{}, {"protectionState": "Hibernated"}], "unknown"),
    "the-other-is-of-unknown-kind": ([{}, {"backupManagementType": None, "protectedItemType": None}], "unknown"),
    "three": ([{}, {"protectionState": "ProtectionStopped"}, {"protectionState": "Hibernated"}], "fail"),
}


@cache
def twins() -> EstateBuilder:
    built = estate().vault()
    for name, (copies, _) in TWINS.items():
        built.vm(name)
        for number, properties in enumerate(copies):
            built.item(name, id=item_id(name, vault=vault_id(f"vault{number}")), **properties)
    return built.whole()


@cache
def whole_twins() -> Audited:
    return twins().audit()


@pytest.mark.parametrize("name", TWINS)
def test_a_vm_has_one_live_item(name: str) -> None:
    assert whole_twins().outcome(SINGLE, name) == TWINS[name][1]


def test_the_items_of_a_vm_are_told_with_vault_and_state() -> None:
    message = whole_twins().finding(SINGLE, "two-in-two-vaults").message
    assert message == "2 backup items are not soft-deleted. Its backup items: vault0 (protected), vault1 (stopped)."


def test_a_twin_may_be_in_what_was_not_read() -> None:
    found = EstateBuilder([*twins().resources]).audit_with(whole_table("backupProtectedItems"))
    assert found.outcome(SINGLE, "one") == "unknown"
    assert found.outcome(SINGLE, "two-in-two-vaults") == "fail"


HEALTH = {
    "Passed": "pass",
    "PASSED": "pass",
    "ActionSuggested": "pass",
    "ActionRequired": "fail",
    "Invalid": "unknown",
    "Splendid": "unknown",
    "": "unknown",
}


@cache
def health() -> Audited:
    built = estate().vault()
    for number, word in enumerate(HEALTH):
        built.vm(f"vm{number}").item(f"vm{number}", healthStatus=word)
    built.vm("stopped").item("stopped", "ProtectionStopped").vm("none")
    return built.whole().audit()


@pytest.mark.parametrize("word", HEALTH)
def test_azures_own_health_is_judged_and_proves_nothing(word: str) -> None:
    name = f"vm{list(HEALTH).index(word)}"
    assert health().outcome(HEALTHY, name) == HEALTH[word]


def test_a_stopped_item_that_is_healthy_is_healthy_and_not_protected() -> None:
    assert health().outcome(HEALTHY, "stopped") == "pass"
    assert health().outcome("vm-protected", "stopped") == "fail"
    assert health().outcome(HEALTHY, "none") == "not-applicable"


# Where the vault is

HARDENED = {"profile": "hardened"}


def test_the_vault_is_in_the_region_of_the_vm_however_that_is_spelled() -> None:
    built = estate().vm("web", location="West Europe").item("web").vm("far", location="northeurope").item("far")
    found = built.vault().whole().audit(**HARDENED)
    assert found.outcome("vault-in-vm-region", "web") == "pass"
    assert found.outcome("vault-in-vm-region", "far") == "fail"


def test_a_vault_in_the_group_of_the_vm_is_not_apart_from_it() -> None:
    far = vm_id("far", "RG", OTHER_SUBSCRIPTION)
    built = estate().vm("web", id=vm_id("web", "RG")).item("web", sourceResourceId=vm_id("web"))
    built.vm("apart", id=vm_id("apart", "apps")).item("apart", sourceResourceId=vm_id("apart", "apps"))
    built.vm("far", id=far).item("far", sourceResourceId=far)
    found = built.vault().whole().audit(**HARDENED)
    assert [found.outcome("vault-apart-from-vm", name) for name in ("web", "apart", "far")] == ["fail", "pass", "pass"]


def test_a_vault_that_was_not_read_is_nowhere() -> None:
    built = estate().vm("web").item("web").whole()
    found = built.audit(**HARDENED)
    assert found.outcome("vault-in-vm-region", "web") == "unknown"
    assert found.outcome("vault-apart-from-vm", "web") == "unknown"


# All rules about items


@pytest.mark.parametrize("rule", [SCHEDULE, LAST, RATIO, DISKS, SINGLE, HEALTHY])
def test_a_vm_without_an_item_is_not_judged_by_rules_about_items_and_unread_items_are_not_none(rule: str) -> None:
    built = estate().vm("web").whole()
    assert built.outcome(rule, "web") == "not-applicable"
    built.resources = [entry for entry in built.resources if not entry["type"].endswith("protectedItems")]
    assert built.outcome(rule, "web") == "unknown"


def test_hardened_wants_the_agent_to_be_reported_unless_the_configuration_says_otherwise() -> None:
    built = estate().vm("web").item("web").whole()
    assert built.outcome("vm-agent-installed", "web") == "pass"
    assert built.outcome("vm-agent-installed", "web", **HARDENED) == "fail"
    config = "profile: hardened\nparameters: {vm-agent-installed: {accept: [declared]}}\n"
    assert built.outcome("vm-agent-installed", "web", config=config) == "pass"
