"""The four rules of the heart on the traps of real estates.

Where many small cases differ only in one resource, they live side by side in one estate that is audited once.
"""

from functools import cache
from typing import Any

import pytest
from building import (
    NOW,
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    Audited,
    EstateBuilder,
    Json,
    estate,
    group_id,
    hourly,
    item_id,
    policy_id,
    vault_id,
    vm_id,
)

PROTECTED, AGENT, REDUNDANCY, RUNS = (
    "vm-protected",
    "vm-agent-installed",
    "vault-redundancy-matches-intent",
    "policy-runs-per-day",
)
AN_HOUR_AGO, TWO_DAYS_AGO = "2026-06-15T11:00:00Z", "2026-06-13T12:00:00Z"


def evidence(found: Audited, rule: str, name: str, field: str) -> object:
    """Return the value of a field that a failing or unknown verdict rests on."""
    (value,) = [entry.value for entry in found.finding(rule, name).evidence if entry.field == field]
    return value


# The VM is protected.


def test_a_protected_vm_passes() -> None:
    assert estate().vm("web").item("web").whole().outcome(PROTECTED, "web") == "pass"


def test_a_vm_without_any_item_fails_and_says_so() -> None:
    found = estate().vm("web").whole().audit()
    assert found.outcome(PROTECTED, "web") == "fail"
    assert "Not backed up" in found.finding(PROTECTED, "web").message


def test_a_vm_of_the_same_name_in_another_group_vouches_for_nobody() -> None:
    found = estate().vm("web").vm("web", id=vm_id("web", "other")).item("web").whole().audit()
    assert found.outcome(PROTECTED, vm_id("web")) == "pass"
    assert found.outcome(PROTECTED, vm_id("web", "other")) == "fail"


def test_a_vm_of_the_same_name_in_another_letter_case_vouches_for_nobody_either() -> None:
    found = estate().vm("web").vm("WEB", id=vm_id("WEB", "other")).item("web").whole().audit()
    assert found.outcome(PROTECTED, "web") == "pass"
    assert found.outcome(PROTECTED, "WEB") == "fail"


def test_an_id_in_another_letter_case_is_the_same_vm() -> None:
    upper = vm_id("web").upper().replace("/SUBSCRIPTIONS/", "/Subscriptions/")
    assert estate().vm("web").item("web", sourceResourceId=upper).whole().outcome(PROTECTED, "web") == "pass"


def test_a_vm_read_in_two_letter_cases_is_judged_once() -> None:
    found = estate().vm("web").vm("web", id=vm_id("web").lower()).item("web").whole().audit()
    (judged,) = [resource for resource in found.report.resources if resource.kind == "vm"]
    assert judged.id in (vm_id("web"), vm_id("web").lower())
    assert found.report.outcomes[PROTECTED] == "p"


SOFT, NOW_STATE = "isScheduledForDeferredDelete", "currentProtectionState"
ITEM_STATES: dict[str, tuple[Json, str, str | None]] = {
    "protected": ({}, "pass", None),
    "protected-in-other-letters": ({"protectionState": "PROTECTED"}, "pass", None),
    "stopped": ({"protectionState": "ProtectionStopped"}, "fail", "stopped"),
    "stopped-but-healthy": (
        {"protectionState": "ProtectionStopped", "protectionStatus": "Healthy", "healthStatus": "Passed"},
        "fail",
        "stopped",
    ),
    "suspended": ({"protectionState": "BackupsSuspended"}, "fail", "suspended"),
    "paused": ({"protectionState": "ProtectionPaused"}, "fail", "paused"),
    "error": ({"protectionState": "ProtectionError"}, "fail", "error"),
    "pending-for-long": ({"protectionState": "IRPending"}, "fail", "initial-backup-pending"),
    "soft-deleted-flag-beats-protected": ({SOFT: True}, "fail", "soft-deleted"),
    "soft-deleted-flag-beats-both-words": ({SOFT: True, NOW_STATE: "ProtectionConfigured"}, "fail", "soft-deleted"),
    "soft-deleted-flag-beats-no-word": ({SOFT: True, "protectionState": None}, "fail", "soft-deleted"),
    "soft-deleted-as-recorded": (
        {
            SOFT: True,
            "protectionState": "ProtectionStopped",
            "policyId": "",
            "protectionStatus": "Healthy",
            "healthStatus": "Passed",
        },
        "fail",
        "soft-deleted",
    ),
    "soft-deleted-word-beats-protected": ({NOW_STATE: "SoftDeleted"}, "fail", "soft-deleted"),
    "soft-deleted-word-beats-stopped": (
        {"protectionState": "ProtectionStopped", NOW_STATE: "SoftDeleted"},
        "fail",
        "soft-deleted",
    ),
    "soft-deleted-word-beats-an-undocumented-one": (
        {"protectionState": "Hibernated", NOW_STATE: "SoftDeleted"},
        "fail",
        "soft-deleted",
    ),
    "not-soft-deleted": ({SOFT: False}, "pass", None),
    "soft-deleted-or-not-is-unreadable": ({SOFT: "yes"}, "unknown", None),
    "both-vocabularies-agree": ({NOW_STATE: "ProtectionConfigured"}, "pass", None),
    "only-the-vocabulary-of-the-graph": (
        {"protectionState": None, NOW_STATE: "ProtectionConfigured"},
        "pass",
        None,
    ),
    "the-graph-says-configuring": (
        {"protectionState": None, NOW_STATE: "ConfiguringProtection"},
        "fail",
        "configuring",
    ),
    "the-graph-says-configuring-failed": (
        {"protectionState": None, NOW_STATE: "ConfiguringProtectionFailed"},
        "fail",
        "error",
    ),
    "both-vocabularies-say-stopped": (
        {"protectionState": "ProtectionStopped", NOW_STATE: "ProtectionStopped"},
        "fail",
        "stopped",
    ),
    "protected-against-stopped": ({NOW_STATE: "ProtectionStopped"}, "unknown", None),
    "stopped-against-configured": (
        {"protectionState": "ProtectionStopped", NOW_STATE: "ProtectionConfigured"},
        "unknown",
        None,
    ),
    "pending-against-configured": (
        {"protectionState": "IRPending", NOW_STATE: "ProtectionConfigured"},
        "unknown",
        None,
    ),
    "undocumented-word": ({"protectionState": "Hibernated"}, "unknown", None),
    "undocumented-word-of-the-graph": ({NOW_STATE: "Hibernated"}, "unknown", None),
    "state-is-a-number": ({"protectionState": 3}, "unknown", None),
    "invalid": ({"protectionState": "Invalid"}, "unknown", None),
    "invalid-leaves-the-other-word": (
        {"protectionState": "Invalid", NOW_STATE: "ProtectionConfigured"},
        "pass",
        None,
    ),
    "empty": ({"protectionState": ""}, "unknown", None),
    "no-state-at-all": ({"protectionState": None}, "unknown", None),
    "no-management-type-but-item-type": ({"backupManagementType": None}, "pass", None),
    "no-management-type-but-the-base-item-type": (
        {"backupManagementType": None, "protectedItemType": "AzureIaaSVMProtectedItem"},
        "pass",
        None,
    ),
    "neither-management-nor-item-type": ({"backupManagementType": None, "protectedItemType": None}, "unknown", None),
    "management-type-in-other-letters": ({"backupManagementType": "azureiaasvm"}, "pass", None),
    "invalid-management-type-leaves-the-item-type": ({"backupManagementType": "Invalid"}, "pass", None),
    "undocumented-management-type-alone": (
        {"backupManagementType": "AzureVM", "protectedItemType": None},
        "unknown",
        None,
    ),
    "management-type-is-a-number-and-no-item-type": (
        {"backupManagementType": 1, "protectedItemType": None},
        "unknown",
        None,
    ),
    "sql-in-the-vm": (
        {
            "backupManagementType": "AzureWorkload",
            "protectedItemType": "AzureVmWorkloadSQLDatabase",
            "workloadType": "SQLDataBase",
        },
        "fail",
        "none",
    ),
    "sql-without-management-type": (
        {"backupManagementType": None, "protectedItemType": "AzureVmWorkloadSQLDatabase"},
        "fail",
        "none",
    ),
    "agent-of-recovery-services-in-the-vm": (
        {"backupManagementType": "MAB", "protectedItemType": "MabFileFolderProtectedItem"},
        "fail",
        "none",
    ),
    "last-backup-never": ({"lastRecoveryPoint": "2001-01-01T00:00:00Z"}, "pass", None),
    "vm-id-in-the-field-of-vms": ({"sourceResourceId": None, "virtualMachineId": vm_id("ID")}, "pass", None),
    "vm-id-in-the-field-of-the-graph": (
        {"sourceResourceId": None, "dataSourceInfo": {"resourceID": vm_id("ID")}},
        "pass",
        None,
    ),
    "empty-id-leaves-the-next-field": ({"sourceResourceId": "", "dataSourceId": vm_id("ID")}, "pass", None),
}


@cache
def item_states() -> Audited:
    built = estate()
    for name, (properties, _, _) in ITEM_STATES.items():
        own = {key: _with_id(value, vm_id(name)) for key, value in properties.items()}
        built.vm(name).item(name, **own)
    return built.whole().audit()


def _with_id(value: object, vm: str) -> Any:
    if isinstance(value, dict):
        return {key: _with_id(entry, vm) for key, entry in value.items()}
    return vm if value == vm_id("ID") else value


@pytest.mark.parametrize("name", ITEM_STATES)
def test_the_state_of_the_item_decides(name: str) -> None:
    _, outcome, state = ITEM_STATES[name]
    assert item_states().outcome(PROTECTED, name) == outcome
    if outcome == "fail":
        assert evidence(item_states(), PROTECTED, name, "item.state") == state


def test_nothing_of_the_many_states_counts_as_unread() -> None:
    assert item_states().report.gaps == []


def test_a_disagreement_shows_both_words() -> None:
    message = item_states().finding(PROTECTED, "protected-against-stopped").message
    assert "protectionState says Protected and currentProtectionState says ProtectionStopped" in message


def test_an_undocumented_word_is_quoted() -> None:
    assert (
        '"Hibernated", which Azure does not document' in item_states().finding(PROTECTED, "undocumented-word").message
    )


VAULT_2 = vault_id("vault2")
TWINS: dict[str, tuple[Json, Json, str, str | None]] = {
    "stopped-and-protected": ({"protectionState": "ProtectionStopped"}, {}, "pass", None),
    "stopped-with-newer-points-and-protected": (
        {"protectionState": "ProtectionStopped", "lastRecoveryPoint": "2026-06-15T02:00:00Z"},
        {"lastRecoveryPoint": "2026-06-01T02:00:00Z"},
        "pass",
        None,
    ),
    "soft-deleted-and-protected": ({SOFT: True}, {}, "pass", None),
    "unknown-and-protected": ({"protectionState": "Hibernated"}, {}, "pass", None),
    "unknown-and-stopped": (
        {"protectionState": "Hibernated"},
        {"protectionState": "ProtectionStopped"},
        "unknown",
        None,
    ),
    "unknown-and-soft-deleted": ({"protectionState": "Hibernated"}, {SOFT: True}, "unknown", None),
    "unknown-kind-and-stopped": (
        {"backupManagementType": None, "protectedItemType": None},
        {"protectionState": "ProtectionStopped"},
        "unknown",
        None,
    ),
    "soft-deleted-and-stopped": ({SOFT: True}, {"protectionState": "ProtectionStopped"}, "fail", "stopped"),
    "stopped-and-sql": (
        {"protectionState": "ProtectionStopped"},
        {"backupManagementType": "AzureWorkload"},
        "fail",
        "stopped",
    ),
    "both-soft-deleted": ({SOFT: True}, {SOFT: True}, "fail", "soft-deleted"),
    "error-with-newer-points-and-stopped": (
        {"protectionState": "ProtectionError", "lastRecoveryPoint": "2026-06-15T03:00:00Z"},
        {"protectionState": "ProtectionStopped"},
        "fail",
        "error",
    ),
    "stopped-with-newer-points-and-error": (
        {"protectionState": "ProtectionStopped", "lastRecoveryPoint": "2026-06-15T03:00:00Z"},
        {"protectionState": "ProtectionError"},
        "fail",
        "stopped",
    ),
}


@cache
def twins(*, swapped: bool) -> Audited:
    built = estate()
    for name, (first, second, _, _) in TWINS.items():
        items = (second, first) if swapped else (first, second)
        built.vm(name).item(name, **items[0])
        built.item(name, **{"id": item_id(name, vault=VAULT_2), "policyId": policy_id(vault=VAULT_2), **items[1]})
    return built.whole().audit()


@pytest.mark.parametrize("swapped", [False, True], ids=["as-written", "vaults-swapped"])
@pytest.mark.parametrize("name", TWINS)
def test_of_two_items_in_two_vaults_the_live_one_counts(name: str, *, swapped: bool) -> None:
    _, _, outcome, state = TWINS[name]
    found = twins(swapped=swapped)
    assert found.outcome(PROTECTED, name) == outcome
    if outcome == "fail":
        assert evidence(found, PROTECTED, name, "item.state") == state


def test_the_message_counts_the_items_of_the_vm() -> None:
    assert "2 backup items exist for this VM" in twins(swapped=False).finding(PROTECTED, "both-soft-deleted").message


def test_an_item_of_another_workload_is_not_counted_as_a_twin() -> None:
    assert "backup items exist" not in twins(swapped=False).finding(PROTECTED, "stopped-and-sql").message


def test_an_item_whose_vm_is_gone_protects_nobody_and_is_told() -> None:
    found = estate().vm("web").item("web").item("gone").whole().audit()
    assert found.report.outcomes[PROTECTED] == "p"
    assert "1 backup item of a VM that is not in the inventory." in found.report.coverage.notices


def test_a_moved_vm_fails_with_a_hint_at_its_old_id() -> None:
    found = estate().vm("web", id=vm_id("web", "new-group")).item("web").whole().audit()
    message = found.finding(PROTECTED, "web").message
    assert found.outcome(PROTECTED, "web") == "fail"
    assert vm_id("web") in message
    assert "was the VM moved or renamed?" in message


def test_a_moved_vm_gets_its_hint_in_whatever_letter_case_the_names_are() -> None:
    found = estate().vm("Web", id=vm_id("Web", "new-group")).item("web", friendlyName="WEB").whole().audit()
    assert vm_id("web") in found.finding(PROTECTED, "Web").message


def test_no_hint_at_the_item_of_a_vm_that_is_still_there() -> None:
    found = estate().vm("web").vm("web", id=vm_id("web", "other")).item("web").whole().audit()
    assert "moved or renamed" not in found.finding(PROTECTED, vm_id("web", "other")).message


def test_no_hint_at_items_of_other_workloads() -> None:
    built = estate().vm("web", id=vm_id("web", "new-group")).item("web", backupManagementType="AzureWorkload")
    assert "moved or renamed" not in built.whole().audit().finding(PROTECTED, "web").message


# Waiting for the first backup, and new VMs.

Jobs = tuple[Json, ...]
PENDING: dict[str, tuple[Jobs, str]] = {
    "configured-an-hour-ago": (({"started": AN_HOUR_AGO},), "not-applicable"),
    "configured-in-other-letters": (
        ({"started": AN_HOUR_AGO, "operation": "CONFIGUREBACKUP", "containerName": "IAASVMCONTAINERV2;RG;NAME"},),
        "not-applicable",
    ),
    "configured-by-vm-id": (
        ({"started": AN_HOUR_AGO, "containerName": None, "dataSourceId": "VM-ID"},),
        "not-applicable",
    ),
    "configured-two-days-ago": (({"started": TWO_DAYS_AGO},), "fail"),
    "configured-again-an-hour-ago": (({"started": TWO_DAYS_AGO}, {"started": AN_HOUR_AGO}), "not-applicable"),
    "no-job": ((), "fail"),
    "only-a-backup-job": (({"operation": "Backup", "started": AN_HOUR_AGO},), "fail"),
    "configuring-failed": (({"started": AN_HOUR_AGO, "status": "Failed"},), "fail"),
    "configuring-cancelled": (({"started": AN_HOUR_AGO, "status": "Cancelled"},), "fail"),
    "configuring-goes-on": (({"started": AN_HOUR_AGO, "status": "InProgress"},), "not-applicable"),
    "job-without-a-time": (({"started": None},), "unknown"),
    "job-with-an-unreadable-time": (({"started": "yesterday"},), "unknown"),
    "an-old-job-and-one-without-a-time": (({"started": TWO_DAYS_AGO}, {"started": None}), "unknown"),
    "job-in-another-vault": (({"started": AN_HOUR_AGO, "id": f"{VAULT_2}/backupJobs/other"},), "fail"),
    "job-of-another-vm": (({"started": AN_HOUR_AGO, "containerName": "iaasvmcontainerv2;rg;someone-else"},), "fail"),
}


def _pending() -> EstateBuilder:
    built = estate()
    for name, (jobs, _) in PENDING.items():
        built.vm(name).item(name, "IRPending", lastRecoveryPoint=None)
        for job in jobs:
            own = dict(job)
            own_id = own.pop("id", None)
            for key, value in own.items():
                if isinstance(value, str):
                    own[key] = value.replace("NAME", name.upper()).replace("VM-ID", vm_id(name))
            built.job(name, **own)
            if own_id is not None:
                built.resources[-1]["id"] = own_id
    return built


@cache
def pending() -> Audited:
    return _pending().whole().audit()


@pytest.mark.parametrize("name", PENDING)
def test_waiting_for_the_first_backup_is_excused_for_a_day(name: str) -> None:
    assert pending().outcome(PROTECTED, name) == PENDING[name][1]


def test_waiting_for_the_first_backup_is_unknown_where_jobs_were_not_exported() -> None:
    built = estate().vm("web").item("web", "IRPending").whole()
    built.resources = [entry for entry in built.resources if not entry["type"].endswith("backupJobs")]
    found = built.audit()
    assert found.outcome(PROTECTED, "web") == "unknown"
    assert "no backup jobs in the export" in found.finding(PROTECTED, "web").message


def test_waiting_for_the_first_backup_is_unknown_where_nobody_knows_the_time() -> None:
    found = estate().vm("web").item("web", "IRPending").job("web", started=TWO_DAYS_AGO).whole().audit(as_of=None)
    assert found.outcome(PROTECTED, "web") == "unknown"
    assert "does not say when it was taken" in found.finding(PROTECTED, "web").message
    assert any("--as-of" in notice for notice in found.report.coverage.notices)


def test_an_item_that_is_still_being_configured_is_excused_for_a_day_too() -> None:
    built = estate().vm("web").item("web", None, **{NOW_STATE: "ConfiguringProtection"}).job("web", started=AN_HOUR_AGO)
    assert built.whole().outcome(PROTECTED, "web") == "not-applicable"


def test_a_stopped_item_is_not_excused_by_a_recent_job() -> None:
    built = estate().vm("web").item("web", "ProtectionStopped").job("web", started=AN_HOUR_AGO)
    assert built.whole().outcome(PROTECTED, "web") == "fail"


CREATED: dict[str, tuple[object, str]] = {
    "an-hour-ago": (AN_HOUR_AGO, "not-applicable"),
    "an-hour-ago-with-seven-digits": ("2026-06-15T11:00:00.1234567+00:00", "not-applicable"),
    "an-hour-ago-in-another-zone": ("2026-06-15T20:00:00+09:00", "not-applicable"),
    "two-days-ago": (TWO_DAYS_AGO, "fail"),
    "exactly-a-day-ago": ("2026-06-14T12:00:00Z", "fail"),
    "never-said": (None, "fail"),
    "year-one": ("0001-01-01T00:00:00", "fail"),
    "unreadable": ("recently", "unknown"),
    "without-a-zone": ("2026-06-15T11:00:00", "unknown"),
}


@cache
def created() -> Audited:
    built = estate()
    for name, (when, _) in CREATED.items():
        built.vm(name, timeCreated=when)
    return built.vm("backed-up", timeCreated=AN_HOUR_AGO).item("backed-up").whole().audit()


@pytest.mark.parametrize("name", CREATED)
def test_a_new_vm_has_a_day_of_grace(name: str) -> None:
    assert created().outcome(PROTECTED, name) == CREATED[name][1]


def test_a_new_vm_that_is_protected_already_passes() -> None:
    assert created().outcome(PROTECTED, "backed-up") == "pass"


def test_the_grace_is_a_parameter() -> None:
    found = estate().vm("web", timeCreated=TWO_DAYS_AGO).whole().audit(parameters=["vm-protected.grace_hours=72"])
    assert found.outcome(PROTECTED, "web") == "not-applicable"


def test_a_new_vm_has_no_grace_where_nobody_knows_the_time() -> None:
    assert estate().vm("web", timeCreated=AN_HOUR_AGO).whole().outcome(PROTECTED, "web", as_of=None) == "unknown"


def test_a_protected_vm_passes_though_nobody_knows_the_time() -> None:
    assert estate().vm("web").item("web").whole().outcome(PROTECTED, "web", as_of=None) == "pass"


# The agent is installed.


def agent(version: object = "2.7.41491.1008", status: object = "Ready", code: object = "succeeded") -> Json:
    entry = {"code": f"ProvisioningState/{code}", "displayStatus": status, "message": "said by the agent"}
    return {"vmAgentVersion": version, "statuses": [entry]}


def view(power: str | None = "running", **own: object) -> Json:
    codes = ["ProvisioningState/succeeded", *([f"PowerState/{power}"] if power else [])]
    return {"instanceView": {"statuses": [{"code": code} for code in codes], **own}}


READY = agent()
NOT_READY = agent("Unknown", "Not Ready", "Unavailable")
UNDECLARED: Json = {"osProfile": {"linuxConfiguration": {}}}
DENIED: Json = {"osProfile": {"linuxConfiguration": {"provisionVMAgent": False}}}
ATTACHED: Json = {
    "osProfile": None,
    "storageProfile": {"osDisk": {"osType": "Linux", "createOption": "Attach"}},
}
# name -> properties, outcome, state of the agent
AGENTS: dict[str, tuple[Json, str, str | None]] = {
    "ready": (view(vmAgent=READY), "pass", "ready"),
    "ready-though-created-without": ({**view(vmAgent=READY), **DENIED}, "pass", "ready"),
    "ready-in-other-letters": (view(vmAgent=agent(status="READY", code="SUCCEEDED")), "pass", "ready"),
    "ready-by-its-status-alone": (
        view(vmAgent={"vmAgentVersion": "2.7", "statuses": [{"displayStatus": "Ready"}]}),
        "pass",
        "ready",
    ),
    "ready-on-an-attached-disk": ({**view(vmAgent=READY), **ATTACHED}, "pass", "ready"),
    "last-known-of-a-stopped-vm": (view("stopped", vmAgent=READY), "pass", "ready"),
    "not-ready": (view(vmAgent=NOT_READY), "fail", "not-ready"),
    "not-ready-on-an-attached-disk": ({**view(vmAgent=NOT_READY), **ATTACHED}, "fail", "not-ready"),
    "not-ready-with-a-version": (view(vmAgent=agent(status="Not Ready", code="Unavailable")), "fail", "not-ready"),
    "ready-but-version-unknown": (view(vmAgent=agent(version="Unknown")), "fail", "not-ready"),
    "ready-but-code-unavailable": (view(vmAgent=agent(code="Unavailable")), "fail", "not-ready"),
    "reported-without-a-version": (view(vmAgent=agent(version=None)), "unknown", None),
    "reported-without-a-status": (view(vmAgent={"vmAgentVersion": "2.7", "statuses": []}), "unknown", None),
    "reported-as-text": (view(vmAgent="Ready"), "unknown", None),
    "running-without-agent": (view(), "fail", "not-ready"),
    "running-without-agent-though-declared-absent": ({**view(), **DENIED}, "fail", "not-ready"),
    "running-with-a-null-agent": (view(vmAgent=None), "fail", "not-ready"),
    "not-ready-and-power-unreadable": ({"instanceView": {"statuses": "on", "vmAgent": NOT_READY}}, "unknown", None),
    "ready-and-power-unreadable": ({"instanceView": {"statuses": "on", "vmAgent": READY}}, "pass", "ready"),
    "power-not-given": (view(None), "unknown", None),
    "deallocated-declared": (view("deallocated"), "pass", "declared"),
    "deallocated-absent": ({**view("deallocated"), **DENIED}, "fail", "absent"),
    "deallocated-undeclared": ({**view("deallocated"), **UNDECLARED}, "unknown", None),
    "deallocated-unavailable-declared": (view("deallocated", vmAgent=NOT_READY), "pass", "declared"),
    "deallocated-unavailable-undeclared": ({**view("deallocated", vmAgent=NOT_READY), **UNDECLARED}, "unknown", None),
    "deallocating-unavailable": (view("deallocating", vmAgent=NOT_READY), "pass", "declared"),
    "creating-declared": ({**view(), "provisioningState": "Creating"}, "pass", "declared"),
    "creating-not-ready": ({**view(vmAgent=NOT_READY), "provisioningState": "Creating"}, "pass", "declared"),
    "creating-undeclared": ({**view(), **UNDECLARED, "provisioningState": "Creating"}, "unknown", None),
    "updating-without-agent": ({**view(), "provisioningState": "Updating"}, "pass", "declared"),
    "view-not-read-declared": ({}, "pass", "declared"),
    "view-not-read-declared-on-windows": (
        {"osProfile": {"windowsConfiguration": {"provisionVMAgent": True}}},
        "pass",
        "declared",
    ),
    "view-not-read-absent": (DENIED, "fail", "absent"),
    "view-not-read-undeclared": (UNDECLARED, "unknown", None),
    "view-not-read-attached": (ATTACHED, "unknown", None),
    "view-of-the-graph-has-no-agent": (
        {"extended": {"instanceView": {"powerState": {"code": "PowerState/running"}}}},
        "pass",
        "declared",
    ),
    "attached-and-running-without-agent": ({**view(), **ATTACHED}, "fail", "not-ready"),
    "declared-as-text": ({"osProfile": {"linuxConfiguration": {"provisionVMAgent": "true"}}}, "unknown", None),
}


def _agents() -> EstateBuilder:
    built = estate()
    for name, (properties, _, _) in AGENTS.items():
        built.vm(name, **properties)
    return built.whole()


@cache
def agents() -> Audited:
    return _agents().audit()


@cache
def agents_refused() -> Audited:
    """Return the same where no state is accepted, so that each state is told."""
    return _agents().audit(parameters=["vm-agent-installed.accept=[]"])


@pytest.mark.parametrize("name", AGENTS)
def test_what_is_reported_about_the_agent_beats_what_was_declared(name: str) -> None:
    assert agents().outcome(AGENT, name) == AGENTS[name][1]


@pytest.mark.parametrize("name", AGENTS)
def test_the_state_of_the_agent_is_told(name: str) -> None:
    _, _, state = AGENTS[name]
    assert evidence(agents_refused(), AGENT, name, "vm.agent") == state
    assert agents_refused().outcome(AGENT, name) == ("fail" if state else "unknown")


def test_the_summary_counts_the_vms_whose_agent_is_only_declared() -> None:
    declared = sum(state == "declared" for _, _, state in AGENTS.values())
    assert agents().report.coverage.declared_agents == declared


def test_a_report_may_be_demanded() -> None:
    found = estate().vm("web").whole().audit(parameters=["vm-agent-installed.accept=[ready]"])
    assert found.outcome(AGENT, "web") == "fail"
    assert "declared at creation, not reported" in found.finding(AGENT, "web").message


def test_the_message_about_the_agent_says_where_the_vm_came_from() -> None:
    assert "gallery image" in agents().finding(AGENT, "not-ready").message
    assert "attached or migrated disk" in agents().finding(AGENT, "not-ready-on-an-attached-disk").message
    assert "said by the agent" in agents().finding(AGENT, "not-ready").message
    assert "runs and reports no agent" in agents().finding(AGENT, "running-without-agent").message


def az_vm(name: str, **own: object) -> Json:
    """Return a VM as ``az`` shows it: ``properties`` flattened."""
    return {"id": vm_id(name), "name": name, "type": "Microsoft.Compute/virtualMachines", **own}


def test_the_view_of_az_is_merged_with_the_list_of_az() -> None:
    listed = az_vm(
        "web",
        instanceView=None,
        provisioningState="Succeeded",
        osProfile={"linuxConfiguration": {"provisionVMAgent": True}},
        storageProfile={"osDisk": {"createOption": "FromImage"}, "imageReference": {"publisher": "Canonical"}},
    )
    viewed = az_vm("web", provisioningState="Succeeded", **view(vmAgent=NOT_READY))
    for rows in ([listed, viewed], [viewed, listed]):
        found = EstateBuilder(rows).whole().audit()
        assert found.outcome(AGENT, "web") == "fail"
        assert evidence(found, AGENT, "web", "vm.agent") == "not-ready"
        assert "gallery image" in found.finding(AGENT, "web").message


@cache
def agentless() -> Audited:
    built = estate()
    for name, state in (("protected", "Protected"), ("pending", "IRPending"), ("stopped", "ProtectionStopped")):
        built.vm(name, **view()).item(name, state, policyId=policy_id("crash"))
    built.vm("other-policy", **view()).item("other-policy")
    built.vm("policy-not-there", **view()).item("policy-not-there", policyId=policy_id("elsewhere"))
    built.vm("no-item", **view())
    return built.policy().policy("crash", snapshotConsistencyType="OnlyCrashConsistent").whole().audit()


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("protected", "not-applicable"),
        ("pending", "not-applicable"),
        ("stopped", "fail"),
        ("other-policy", "fail"),
        ("policy-not-there", "fail"),
        ("no-item", "fail"),
    ],
)
def test_only_a_vm_known_to_be_backed_up_without_an_agent_needs_none(name: str, outcome: str) -> None:
    assert agentless().outcome(AGENT, name) == outcome


def test_not_knowing_items_and_policies_does_not_make_the_agent_unknown() -> None:
    assert estate().vm("web", **view(vmAgent=READY)).outcome(AGENT, "web") == "pass"
    assert estate().vm("web", **view()).outcome(AGENT, "web") == "fail"


def test_what_powershell_spells_in_its_own_way_inside_a_resource_is_not_taken_for_absent() -> None:
    machine: Json = {
        "Id": vm_id("web"),
        "Name": "web",
        "Type": "Microsoft.Compute/virtualMachines",
        "ProvisioningState": "Succeeded",
        "PowerState": "VM running",
        "InstanceView": {
            "VMAgent": {"VmAgentVersion": "2.7", "Statuses": [{"DisplayStatus": "Ready"}]},
            "Statuses": [{"Code": "PowerState/running"}],
        },
    }
    item: Json = {
        "Id": item_id("web"),
        "Name": "VM;iaasvmcontainerv2;rg;web",
        "SourceResourceId": vm_id("web"),
        "ProtectionState": "Protected",
        "BackupManagementType": "AzureVM",
    }
    built = estate().whole()
    built.resources += [machine, item]
    found = built.audit().report
    judged = [resource.id for resource in found.resources if resource.kind == "vm"]
    for rule in (AGENT, PROTECTED):
        verdicts = dict(zip(judged, found.outcomes[rule], strict=True))
        assert verdicts.get(vm_id("web")) != "f"


# Redundancy matches intent.


def config(model: object, kind: object, **own: object) -> Json:
    return {"storageModelType": model, "storageType": kind, **own}


def settings(word: object) -> Json:
    return {"redundancySettings": {"standardTierStorageRedundancy": word}}


GEO, LOCAL, ZONE, RA_GZRS = "GeoRedundant", "LocallyRedundant", "ZoneRedundant", "ReadAccessGeoZoneRedundant"
# name -> the vault's properties, its storage config, outcome where Azure is the primary endpoint, redundancy
VAULTS: dict[str, tuple[Json, Json | None, str, str | None]] = {
    "its-own-setting": (settings(GEO), None, "pass", GEO),
    "its-own-setting-in-other-letters": (settings("georedundant"), None, "pass", GEO),
    "its-own-local-setting": (settings(LOCAL), None, "fail", LOCAL),
    "its-own-zone-setting": (settings(ZONE), None, "fail", ZONE),
    "its-own-setting-goes-before-the-config": (settings(LOCAL), config(GEO, GEO), "fail", LOCAL),
    "config": ({}, config(GEO, GEO), "pass", GEO),
    "config-in-other-letters": ({}, config("GEOREDUNDANT", "georedundant"), "pass", GEO),
    "local-config": ({}, config(LOCAL, LOCAL), "fail", LOCAL),
    "config-of-read-access": ({}, config(RA_GZRS, RA_GZRS), "pass", RA_GZRS),
    "config-with-the-model-alone": ({}, config(GEO, None), "pass", GEO),
    "config-with-the-type-alone": ({}, config(None, GEO), "pass", GEO),
    "config-with-an-invalid-model": ({}, config("Invalid", GEO), "pass", GEO),
    "config-that-differs": ({}, config(GEO, LOCAL), "unknown", None),
    "config-that-differs-though-both-are-geo": ({}, config(GEO, RA_GZRS), "unknown", None),
    "config-that-is-invalid": ({}, config("Invalid", "Invalid"), "unknown", None),
    "config-with-an-undocumented-word": ({}, config("Triple", GEO), "unknown", None),
    "config-with-a-number": ({}, config(GEO, 7), "unknown", None),
    "invalid": (settings("Invalid"), None, "unknown", None),
    "invalid-leaves-the-config": (settings("Invalid"), config(GEO, GEO), "pass", GEO),
    "empty-leaves-the-config": (settings(""), config(LOCAL, LOCAL), "fail", LOCAL),
    "undocumented-word": (settings("Triple"), None, "unknown", None),
    "undocumented-word-hides-the-config": (settings("Triple"), config(GEO, GEO), "unknown", None),
    "null-settings": ({"redundancySettings": None}, None, "unknown", None),
    "settings-of-the-wrong-type": ({"redundancySettings": [GEO]}, None, "unknown", None),
    "nothing-said": ({}, None, "unknown", None),
}


@cache
def vaults() -> Audited:
    built = estate()
    for name, (properties, storage, _, _) in VAULTS.items():
        built.vault(name, None, properties=properties)
        if storage is not None:
            built.add(storage_config(vault_id(name), storage))
    return built.whole().audit()


def storage_config(vault: str, properties: Json, name: str = "vaultstorageconfig") -> Json:
    return {
        "id": f"{vault}/backupstorageconfig/{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults/backupstorageconfig",
        "properties": properties,
    }


@pytest.mark.parametrize("name", VAULTS)
def test_redundancy_is_the_vaults_own_setting_or_its_storage_config(name: str) -> None:
    _, _, outcome, redundancy = VAULTS[name]
    assert vaults().outcome(REDUNDANCY, name) == outcome
    if outcome != "pass":
        assert evidence(vaults(), REDUNDANCY, name, "vault.redundancy") == redundancy


def test_a_storage_config_that_differs_shows_both_values() -> None:
    message = vaults().finding(REDUNDANCY, "config-that-differs").message
    assert f"storageModelType says {GEO} and storageType says {LOCAL}" in message


def test_a_missing_redundancy_says_where_it_was_looked_for() -> None:
    assert "backupstorageconfig" in vaults().finding(REDUNDANCY, "nothing-said").message


def test_the_evidence_names_the_file_of_the_storage_config() -> None:
    (entry,) = [
        entry for entry in vaults().finding(REDUNDANCY, "local-config").evidence if entry.field == "vault.redundancy"
    ]
    assert entry.source == "storage config in export/estate.json"


def test_a_locked_redundancy_is_said_to_be_locked() -> None:
    built = (
        estate().vault("v", None).add(storage_config(vault_id("v"), config(LOCAL, LOCAL, storageTypeState="Locked")))
    )
    message = built.whole().audit().finding(REDUNDANCY, "v").message
    assert "locked" in message
    assert "Weaker than declared" in message


def test_a_config_of_another_name_is_not_the_storage_config() -> None:
    built = estate().vault("v", None).add(storage_config(vault_id("v"), config(GEO, GEO), "another"))
    assert built.whole().outcome(REDUNDANCY, "v") == "unknown"


def test_a_region_without_a_pair_is_told() -> None:
    found = estate().vault("v", LOCAL, location="Poland Central").whole().audit()
    assert "region has no pair" in found.finding(REDUNDANCY, "v").message


INTENTS = {
    "azure": {GEO: "pass", RA_GZRS: "pass", LOCAL: "fail", ZONE: "fail"},
    "other": {GEO: "fail", RA_GZRS: "fail", LOCAL: "pass", ZONE: "fail"},
    "zone": {GEO: "fail", RA_GZRS: "pass", LOCAL: "fail", ZONE: "pass"},
}


@cache
def every_redundancy(intent: str | None) -> Audited:
    built = estate()
    for word in (GEO, LOCAL, ZONE):
        built.vault(word, word)
    built.vault(RA_GZRS, None).add(storage_config(vault_id(RA_GZRS), config(RA_GZRS, RA_GZRS)))
    return built.whole().audit(primary_endpoint=intent)


@pytest.mark.parametrize("redundancy", [GEO, LOCAL, ZONE, RA_GZRS])
@pytest.mark.parametrize("intent", INTENTS)
def test_the_primary_endpoint_decides_which_redundancy_serves(intent: str, redundancy: str) -> None:
    assert every_redundancy(intent).outcome(REDUNDANCY, redundancy) == INTENTS[intent][redundancy]


def test_too_much_redundancy_is_called_a_cost_finding_and_too_little_is_not() -> None:
    assert "cost finding" in every_redundancy("other").finding(REDUNDANCY, GEO).message
    assert "Weaker than declared" in every_redundancy("azure").finding(REDUNDANCY, LOCAL).message
    assert "Weaker than declared" in every_redundancy("zone").finding(REDUNDANCY, LOCAL).message


@pytest.mark.parametrize("redundancy", [GEO, LOCAL, ZONE, RA_GZRS])
def test_without_a_declared_intent_nothing_is_known(redundancy: str) -> None:
    assert every_redundancy(None).outcome(REDUNDANCY, redundancy) == "unknown"


def test_a_missing_intent_is_told_once_for_the_estate() -> None:
    (notice,) = [text for text in every_redundancy(None).report.coverage.notices if "--primary-endpoint" in text]
    assert notice.startswith("4 vaults")


TAG = "backup-primary-endpoint"
# name -> tags, outcome of a locally redundant vault whose default intent is azure
TAGS: dict[str, tuple[object, str]] = {
    "tag-other": ({TAG: "other"}, "pass"),
    "tag-azure": ({TAG: "azure"}, "fail"),
    "tag-in-other-letters": ({"Backup-Primary-ENDPOINT": "Other"}, "pass"),
    "tag-with-spaces-around": ({TAG: " other "}, "pass"),
    "tag-zone": ({TAG: "zone"}, "fail"),
    "unrecognised": ({TAG: "onprem"}, "unknown"),
    "empty-value": ({TAG: ""}, "unknown"),
    "value-is-a-number": ({TAG: 5}, "unknown"),
    "null-value": ({TAG: None}, "fail"),
    "another-tag": ({"backup-primary": "other"}, "fail"),
    "no-tags": (None, "fail"),
    "tags-are-a-list": (["backup-primary-endpoint"], "unknown"),
}


def _tagged() -> EstateBuilder:
    built = estate()
    for name, (tags, _) in TAGS.items():
        built.vault(name, LOCAL, tags=tags)
    return built.whole()


@cache
def tagged() -> Audited:
    return _tagged().audit()


@cache
def tagged_without_trust() -> Audited:
    return _tagged().audit(config="intents: {trust_tags: false}")


@pytest.mark.parametrize("name", TAGS)
def test_the_tag_declares_the_intent_before_the_default_does(name: str) -> None:
    assert tagged().outcome(REDUNDANCY, name) == TAGS[name][1]


@pytest.mark.parametrize("name", TAGS)
def test_tags_that_are_not_trusted_declare_nothing(name: str) -> None:
    assert tagged_without_trust().outcome(REDUNDANCY, name) == "fail"


def test_an_unrecognised_tag_is_quoted_and_does_not_fall_through() -> None:
    message = tagged().finding(REDUNDANCY, "unrecognised").message
    assert '"onprem", which is none of azure, other, zone' in message


MAP = f"""
intents:
  default: zone
  scopes:
    {vault_id("map-vault", "map-group").upper()}: other
    {group_id("map-group")}: azure
    /subscriptions/{OTHER_SUBSCRIPTION}: other
"""
MAPPED: dict[str, tuple[str, str | None, str]] = {
    # name -> id, tag, redundancy that passes
    "of-the-vault-against-its-tag": (vault_id("map-vault", "map-group"), "azure", LOCAL),
    "of-the-group": (vault_id("in-group", "map-group"), None, GEO),
    "of-the-group-in-other-letters": (vault_id("in-group-2", "MAP-Group"), None, GEO),
    "of-the-group-against-its-tag": (vault_id("in-group-3", "map-group"), "other", GEO),
    "of-the-group-against-an-unrecognised-tag": (vault_id("in-group-4", "map-group"), "onprem", GEO),
    "of-a-group-whose-name-only-begins-so": (vault_id("in-group", "map-group-2"), None, ZONE),
    "of-the-subscription": (vault_id("in-sub", "rg", OTHER_SUBSCRIPTION), None, LOCAL),
    "of-the-tag": (vault_id("by-tag"), "other", LOCAL),
    "of-the-default": (vault_id("by-default"), None, ZONE),
}


@pytest.mark.parametrize("redundancy", [GEO, LOCAL, ZONE])
@pytest.mark.parametrize("name", MAPPED)
def test_the_most_specific_scope_declares_the_intent_before_the_tag_does(name: str, redundancy: str) -> None:
    expected = "pass" if redundancy == MAPPED[name][2] else "fail"
    assert mapped(redundancy).outcome(REDUNDANCY, MAPPED[name][0]) == expected


@cache
def mapped(redundancy: str) -> Audited:
    built = estate()
    for vault, tag, _ in MAPPED.values():
        built.vault(vault, redundancy, id=vault, tags={TAG: tag} if tag else None)
    return built.whole().audit(config=MAP, primary_endpoint=None)


def test_where_map_and_tag_disagree_the_finding_shows_both() -> None:
    finding = mapped(LOCAL).finding(REDUNDANCY, MAPPED["of-the-group-against-its-tag"][0])
    assert f'tag {TAG} says "other"' in finding.message
    (intent,) = [entry for entry in finding.evidence if entry.field == "vault.intent"]
    assert intent.value == "azure"
    assert "auditor.yaml:6" in intent.source


def test_a_vault_read_with_and_without_its_tag_has_it() -> None:
    built = estate().vault("v", LOCAL).vault("v", LOCAL, tags={TAG: "other"}).whole()
    assert built.outcome(REDUNDANCY, "v") == "pass"


def test_the_flag_goes_before_the_default_of_the_configuration() -> None:
    built = estate().vault("v", LOCAL).whole()
    assert built.outcome(REDUNDANCY, "v", config="intents: {default: azure}", primary_endpoint="other") == "pass"


MANAGEMENT_GROUPS = """
intents:
  default: azure
  scopes:
    /providers/Microsoft.Management/managementGroups/Near: other
    /providers/Microsoft.Management/managementGroups/Far: zone
    {own}: azure
"""
THIRD = "33333333-3333-3333-3333-333333333333"
FOURTH = "44444444-4444-4444-4444-444444444444"


@cache
def under_management_groups() -> Audited:
    built = estate()
    chains: dict[str, object] = {
        SUBSCRIPTION: [{"name": "near", "displayName": "N"}, {"name": "FAR", "displayName": "F"}],
        OTHER_SUBSCRIPTION: [{"name": "between"}, {"name": "far"}],
        THIRD: [],
    }
    for subscription, chain in chains.items():
        built.add(
            {
                "id": f"/subscriptions/{subscription}",
                "name": "sub",
                "type": "microsoft.resources/subscriptions",
                "properties": {"managementGroupAncestorsChain": chain},
            },
        )
        built.vault(subscription, LOCAL, id=vault_id("v", subscription=subscription))
    built.add({"id": f"/subscriptions/{FOURTH}", "name": "no chain", "type": "Microsoft.Resources/subscriptions"})
    built.vault("no-chain", LOCAL, id=vault_id("v", subscription=FOURTH))
    built.vault("no-chain-but-tag", LOCAL, id=vault_id("tagged", subscription=FOURTH), tags={TAG: "other"})
    built.vault("no-subscription", LOCAL, id=vault_id("v", subscription="55555555-5555-5555-5555-555555555555"))
    built.vault("own-scope", GEO, id=vault_id("own", subscription=FOURTH))
    text = MANAGEMENT_GROUPS.format(own=vault_id("own", subscription=FOURTH))
    return built.whole().audit(config=text, primary_endpoint=None)


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        (SUBSCRIPTION, "pass"),
        (OTHER_SUBSCRIPTION, "fail"),
        (THIRD, "fail"),
        ("no-chain", "unknown"),
        ("no-chain-but-tag", "unknown"),
        ("no-subscription", "unknown"),
        ("own-scope", "pass"),
    ],
    ids=["near", "far", "none-above", "no-chain", "no-chain-but-tag", "no-subscription", "own-scope"],
)
def test_a_management_group_declares_for_what_is_known_to_be_below_it(name: str, outcome: str) -> None:
    assert under_management_groups().outcome(REDUNDANCY, name) == outcome


def test_the_far_management_group_declares_zone() -> None:
    found = under_management_groups()
    assert evidence(found, REDUNDANCY, OTHER_SUBSCRIPTION, "vault.intent") == "zone"
    assert evidence(found, REDUNDANCY, THIRD, "vault.intent") == "azure"


def test_unread_management_groups_are_named_as_the_reason() -> None:
    assert "management groups" in under_management_groups().finding(REDUNDANCY, "no-chain").message


@cache
def workloads() -> EstateBuilder:
    built = estate().vault("sql", LOCAL).vault("mixed", LOCAL).vault("empty", LOCAL).vault("replication", LOCAL)
    built.vault("unsaid", LOCAL).vm("web")
    other = {"backupManagementType": "AzureWorkload", "protectedItemType": "AzureVmWorkloadSQLDatabase"}
    for vault, name, own in (
        ("sql", "db", other),
        ("mixed", "db", other),
        ("mixed", "web", {}),
        ("unsaid", "who", {"backupManagementType": None, "protectedItemType": None}),
    ):
        built.item(name, **{"id": item_id(name, vault=vault_id(vault)), **own})
    return built.add(
        {
            "id": f"{vault_id('replication')}/replicationFabrics/f/replicationProtectionContainers/c"
            "/replicationProtectedItems/i",
            "type": "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers"
            "/replicationProtectedItems",
            "properties": {"friendlyName": "web", "protectionState": "Protected"},
        },
    )


@pytest.mark.parametrize(
    ("vault", "outcome"),
    [
        ("sql", "not-applicable"),
        ("replication", "not-applicable"),
        ("mixed", "fail"),
        ("empty", "fail"),
        ("unsaid", "fail"),
    ],
)
def test_only_a_vault_known_to_hold_other_workloads_alone_is_not_judged(vault: str, outcome: str) -> None:
    assert workloads_read().outcome(REDUNDANCY, vault) == outcome


@cache
def workloads_read() -> Audited:
    return EstateBuilder(list(workloads().resources)).whole().audit()


def test_a_vault_is_judged_where_items_of_its_subscription_were_not_read() -> None:
    built = EstateBuilder(list(workloads().resources)).whole()
    built.add({"type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems"})
    assert built.outcome(REDUNDANCY, "sql") == "fail"


def test_replication_is_no_backup() -> None:
    assert workloads_read().outcome(PROTECTED, "web") == "pass"
    alone = EstateBuilder([entry for entry in workloads().resources if not entry["id"].endswith(";web")])
    assert alone.whole().outcome(PROTECTED, "web") == "fail"


# The policy runs one to five times a day.


def daily(*times: str) -> Json:
    stamps = [f"2026-01-01T{time}:00Z" for time in times]
    return {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunFrequency": "Daily",
        "scheduleRunTimes": stamps,
        "scheduleWeeklyFrequency": 0,
    }


def weekly(*days: str, times: tuple[str, ...] = ("22:00",), every: object = 0) -> Json:
    return {
        **daily(*times),
        "scheduleRunFrequency": "Weekly",
        "scheduleRunDays": list(days),
        "scheduleWeeklyFrequency": every,
    }


def enhanced(frequency: str, **parts: object) -> Json:
    return {"schedulePolicyType": "SimpleSchedulePolicyV2", "scheduleRunFrequency": frequency, **parts}


WEEK = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
TIMES = ["2026-01-01T22:00:00Z"]
SCHEDULES: dict[str, tuple[object, str]] = {
    "once-a-day": (daily("22:00"), "pass"),
    "five-times-a-day": (daily("01:00", "05:00", "09:00", "13:00", "17:00"), "pass"),
    "six-times-a-day": (daily("01:00", "05:00", "09:00", "13:00", "17:00", "21:00"), "fail"),
    "six-times-of-which-two-are-one": (daily("01:00", "01:00", "09:00", "13:00", "17:00", "21:00"), "pass"),
    "at-no-time": (daily(), "fail"),
    "weekly": (weekly("Sunday"), "fail"),
    "weekly-on-six-days": (weekly(*WEEK[1:]), "fail"),
    "weekly-on-every-day": (weekly(*WEEK), "pass"),
    "weekly-on-every-day-in-other-letters": (weekly(*[day.upper() for day in WEEK]), "pass"),
    "weekly-on-every-day-of-every-week": (weekly(*WEEK, every=1), "pass"),
    "weekly-on-every-day-of-every-other-week": (weekly(*WEEK, every=2), "fail"),
    "weekly-on-no-day": (weekly(), "fail"),
    "weekly-on-a-day-that-is-none": (weekly("Payday"), "unknown"),
    "enhanced-once-a-day": (enhanced("Daily", dailySchedule={"scheduleRunTimes": TIMES}), "pass"),
    "enhanced-weekly": (
        enhanced("Weekly", weeklySchedule={"scheduleRunDays": ["Sunday"], "scheduleRunTimes": TIMES}),
        "fail",
    ),
    "enhanced-weekly-on-every-day": (
        enhanced("Weekly", weeklySchedule={"scheduleRunDays": list(WEEK), "scheduleRunTimes": TIMES}),
        "pass",
    ),
    "every-4-hours-for-4": (hourly(4, 4), "pass"),
    "every-4-hours-for-8": (hourly(4, 8), "pass"),
    "every-4-hours-for-12": (hourly(4, 12), "pass"),
    "every-4-hours-for-16": (hourly(4, 16), "pass"),
    "every-4-hours-for-20": (hourly(4, 20), "unknown"),
    "every-4-hours-for-23": (hourly(4, 23), "fail"),
    "every-4-hours-for-24": (hourly(4, 24), "fail"),
    "every-6-hours-for-24": (hourly(6, 24), "pass"),
    "every-8-hours-for-24": (hourly(8, 24), "pass"),
    "every-12-hours-for-12": (hourly(12, 12), "pass"),
    "every-12-hours-for-24": (hourly(12, 24), "pass"),
    "every-24-hours": (hourly(24, 24), "pass"),
    "every-5-hours": (hourly(5, 24), "unknown"),
    "window-as-a-duration": (hourly(4, "PT12H"), "unknown"),
    "frequency-in-other-letters": ({**daily("22:00"), "scheduleRunFrequency": "DAILY"}, "pass"),
    "log-schedule": ({"schedulePolicyType": "LogSchedulePolicy", "scheduleFrequencyInMins": 15}, "unknown"),
    "long-term-schedule": ({"schedulePolicyType": "LongTermSchedulePolicy"}, "unknown"),
    "no-type": ({"scheduleRunFrequency": "Daily", "scheduleRunTimes": TIMES}, "unknown"),
    "no-times": ({**daily(), "scheduleRunTimes": None}, "unknown"),
    "empty-object": ({}, "unknown"),
    "text": ("daily", "unknown"),
    "null": (None, "unknown"),
}


@cache
def schedules() -> Audited:
    built = estate()
    for name, (schedule, _) in SCHEDULES.items():
        built.policy(name, protectedItemsCount=1)
        built.resources[-1]["properties"]["schedulePolicy"] = schedule
    return built.whole().audit()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_policy_in_use_runs_one_to_five_times_a_day(name: str) -> None:
    assert schedules().outcome(RUNS, name) == SCHEDULES[name][1]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("every-4-hours-for-24", "This is what Azure proposes for an Enhanced policy"),
        ("every-4-hours-for-20", "5 or 6 a day"),
        ("every-4-hours-for-20", "does not document whether a run that falls exactly on the end"),
        ("weekly", "no backup on the other days of the week"),
        ("at-no-time", "never runs"),
        ("log-schedule", "LogSchedulePolicy"),
        ("every-5-hours", "an interval of 5 hours"),
        ("no-times", "scheduleRunTimes is missing"),
        ("null", "the answer holds no schedulePolicy"),
    ],
)
def test_the_message_about_a_schedule_explains_it(name: str, words: str) -> None:
    assert words in schedules().finding(RUNS, name).message


def test_the_bounds_are_parameters() -> None:
    found = estate().policy("p", hourly(4, 20), protectedItemsCount=1).policy("q", protectedItemsCount=1).whole()
    narrow = found.audit(parameters=["policy-runs-per-day.minimum=2", "policy-runs-per-day.maximum=6"])
    assert narrow.outcome(RUNS, "p") == "pass"
    assert narrow.outcome(RUNS, "q") == "fail"


# name -> properties of the policy, properties of an item on it or None, outcome of a policy that runs too often
USES: dict[str, tuple[Json, Json | None, str]] = {
    "a-protected-item": ({}, {}, "fail"),
    "a-protected-item-though-the-count-is-0": ({"protectedItemsCount": 0}, {}, "fail"),
    "a-pending-item": ({}, {"protectionState": "IRPending"}, "fail"),
    "an-item-of-unknown-state": ({}, {"protectionState": "Hibernated"}, "fail"),
    "an-item-by-an-id-in-other-letters": ({}, {"policyId": "UPPER"}, "fail"),
    "only-a-stopped-item": ({}, {"protectionState": "ProtectionStopped"}, "not-applicable"),
    "only-a-soft-deleted-item": ({}, {SOFT: True}, "not-applicable"),
    "only-an-item-of-another-workload": ({}, {"backupManagementType": "AzureWorkload"}, "not-applicable"),
    "nothing": ({}, None, "not-applicable"),
    "a-count": ({"protectedItemsCount": 3}, None, "fail"),
    "a-count-of-0": ({"protectedItemsCount": 0}, None, "not-applicable"),
    "a-count-that-is-text": ({"protectedItemsCount": "many"}, None, "unknown"),
    "a-count-that-is-text-and-an-item": ({"protectedItemsCount": "many"}, {}, "fail"),
}


@cache
def _uses() -> EstateBuilder:
    built = estate()
    for name, (policy, item, _) in USES.items():
        built.policy(name, hourly(4, 24), **policy)
        if item is not None:
            own = policy_id(name).upper() if item.get("policyId") == "UPPER" else policy_id(name)
            built.vm(name).item(name, **{**item, "policyId": own})
    return built.whole()


@cache
def uses() -> Audited:
    return _uses().audit()


@cache
def all_uses() -> Audited:
    return _uses().audit(parameters=["policy-runs-per-day.include_unused=true"])


@pytest.mark.parametrize("name", USES)
def test_a_policy_counts_as_used_by_what_it_protects(name: str) -> None:
    assert uses().outcome(RUNS, name) == USES[name][2]


@pytest.mark.parametrize("name", USES)
def test_unused_policies_can_be_judged_too(name: str) -> None:
    assert all_uses().outcome(RUNS, name) == "fail"


@pytest.mark.parametrize(
    ("count", "outcome"),
    [(None, "unknown"), (0, "not-applicable"), (2, "fail")],
    ids=["no-count", "count-0", "count-2"],
)
def test_whether_a_policy_is_used_is_unknown_where_items_were_not_exported(count: int | None, outcome: str) -> None:
    built = estate().policy("p", hourly(4, 24), protectedItemsCount=count)
    assert built.outcome(RUNS, "p") == outcome


def test_policies_of_other_workloads_are_not_judged() -> None:
    others: dict[str, Json] = {
        "HourlyLogBackup": {"backupManagementType": "AzureWorkload", "workLoadType": "SQLDataBase"},
        "share": {"backupManagementType": "AzureStorage", "schedulePolicy": daily("22:00")},
    }
    built = estate().policy("p", protectedItemsCount=1)
    for name, properties in others.items():
        built.policy(name, **properties)
    found = built.whole().audit()
    assert [resource.name for resource in found.report.resources if resource.kind == "policy"] == ["p"]
    assert found.report.outcomes[RUNS] == "p"


@pytest.mark.parametrize("kind", [None, "", "Invalid", "AzureVM", 5])
def test_a_policy_that_does_not_say_its_kind_is_unknown(kind: object) -> None:
    found = estate().policy("p", backupManagementType=kind, protectedItemsCount=1).whole().audit()
    assert found.outcome(RUNS, "p") == "unknown"
    assert "holds no schedulePolicy" not in found.finding(RUNS, "p").message


def test_an_audit_says_at_which_time_it_judged() -> None:
    assert estate().vm("web").whole().audit().report.as_of == NOW
