"""Who is judged: machines that others make anew are not, and what is no backup of a VM never counts for one."""

from functools import cache

import pytest
from building import Audited, Json, estate, group_id, vault_id, vm_id

PROTECTED = "vm-protected"
PROVIDERS = f"{group_id('platform')}/providers"
SETS = f"{group_id()}/providers/Microsoft.Compute/virtualMachineScaleSets"
OWNERS = {
    "aks": f"{PROVIDERS}/Microsoft.ContainerService/managedClusters/track",
    "databricks": f"{PROVIDERS}/Microsoft.Databricks/workspaces/lake",
    "openshift": f"{PROVIDERS}/Microsoft.RedHatOpenShift/openShiftClusters/aro",
    "other": f"{PROVIDERS}/Microsoft.Solutions/applications/app",
}
EPHEMERAL: Json = {
    "imageReference": {},
    "osDisk": {"createOption": "FromImage", "diffDiskSettings": {"option": "Local"}},
}
MACHINES: dict[str, tuple[Json, str]] = {
    "ordinary": ({}, "fail"),
    "deallocated": ({"instanceView": {"statuses": [{"code": "PowerState/deallocated"}]}}, "fail"),
    "member-of-a-set-with-a-profile": ({"virtualMachineScaleSet": {"id": f"{SETS}/made"}}, "not-applicable"),
    "pet-attached-to-a-set": ({"virtualMachineScaleSet": {"id": f"{SETS}/ATTACHED"}}, "fail"),
    "member-of-a-set-that-was-not-read": ({"virtualMachineScaleSet": {"id": f"{SETS}/unread"}}, "fail"),
    "aks-by-tag": ({"tags": {"AKS-managed-PoolName": "pool"}}, "not-applicable"),
    "aks-by-group": ({"id": vm_id("aks-by-group", "AKS")}, "not-applicable"),
    "databricks-by-group": ({"id": vm_id("databricks-by-group", "databricks")}, "not-applicable"),
    "openshift-by-group": ({"id": vm_id("openshift-by-group", "openshift")}, "not-applicable"),
    "in-a-group-managed-by-another": ({"id": vm_id("in-a-group-managed-by-another", "other")}, "fail"),
    "ephemeral": ({"storageProfile": EPHEMERAL}, "not-applicable"),
    "pooled-desktop": (
        {"tags": {"CM-Resource-Parent": f"{PROVIDERS}/Microsoft.DesktopVirtualization/hostpools/pool"}},
        "not-applicable",
    ),
    "tagged-with-another-parent": ({"tags": {"cm-resource-parent": f"{PROVIDERS}/Microsoft.Web/sites/x"}}, "fail"),
}


@cache
def machines(config: str = "") -> Audited:
    built = estate().vault().item("elsewhere")
    sets: dict[str, Json] = {"made": {"virtualMachineProfile": {}}, "attached": {}}
    for name, properties in sets.items():
        kind = "Microsoft.Compute/virtualMachineScaleSets"
        built.add({"id": f"{SETS}/{name}", "name": name, "type": kind, "properties": properties})
    for name, owner in OWNERS.items():
        kind = "Microsoft.Resources/subscriptions/resourceGroups"
        built.add({"id": group_id(name), "name": name, "type": kind, "managedBy": owner})
    for name, (properties, _) in MACHINES.items():
        built.vm(name, **properties)
    return built.whole().audit(config=config)


@pytest.mark.parametrize("name", MACHINES)
def test_machines_that_others_make_anew_are_not_judged(name: str) -> None:
    assert machines().outcome(PROTECTED, name) == MACHINES[name][1]
    assert machines("scope: {bundled: false}\n").outcome(PROTECTED, name) == "fail"


OTHER_BACKUPS: dict[str, Json] = {
    "sql": {"backupManagementType": "AzureWorkload", "protectedItemType": "AzureVmWorkloadSQLDatabase"},
    "hana": {"backupManagementType": "AzureWorkload", "protectedItemType": "AzureVmWorkloadSAPHanaDatabase"},
    "share": {"backupManagementType": "AzureStorage", "protectedItemType": "AzureFileShareProtectedItem"},
    "agent": {"backupManagementType": "MAB", "protectedItemType": "MabFileFolderProtectedItem"},
    "server": {"backupManagementType": "AzureBackupServer", "protectedItemType": "DPMProtectedItem"},
}


@cache
def other_backups() -> Audited:
    built = estate().vault()
    for name, properties in OTHER_BACKUPS.items():
        built.vm(name).item(name, **properties)
    recovery = f"{vault_id()}/replicationFabrics/f/replicationProtectionContainers/c/replicationProtectedItems/site"
    kind = (
        "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/replicationProtectedItems"
    )
    built.vm("site-recovery").item("site-recovery", id=recovery, backupManagementType=None, protectedItemType=None)
    built.resources[-1]["type"] = kind
    backup_vault = f"{group_id()}/providers/Microsoft.DataProtection/backupVaults/v/backupInstances/disk"
    built.vm("disk-backup").item("disk-backup", id=backup_vault)
    built.resources[-1]["type"] = "Microsoft.DataProtection/backupVaults/backupInstances"
    return built.whole().audit()


@pytest.mark.parametrize("name", [*OTHER_BACKUPS, "site-recovery", "disk-backup"])
def test_what_is_no_backup_of_the_vm_never_counts_for_it(name: str) -> None:
    assert other_backups().outcome(PROTECTED, name) == "fail"
    for rule in ("backup-on-schedule", "last-backup-succeeded", "item-healthy", "vm-single-item"):
        assert other_backups().outcome(rule, name) == "not-applicable"


def test_classic_vms_are_passed_over_and_counted() -> None:
    kind = "Microsoft.ClassicCompute/virtualMachines"
    classic = {"id": f"{group_id()}/providers/{kind}/old", "name": "old", "type": kind}
    found = estate().vm("web").add(classic).whole().audit()
    assert found.report.coverage.ignored_types == {kind.lower(): 1}
    assert [entry.name for entry in found.report.resources if entry.kind == "vm"] == ["web"]


def test_an_empty_estate_is_not_compliant() -> None:
    summary = estate().audit().report.summary
    assert (summary.verdict, summary.gate.exit_code) == ("Cannot conclude", 3)


@pytest.mark.parametrize("configured", ["2026-06-15T11:00:00Z", "2026-06-13T12:00:00Z"])
def test_a_first_backup_that_failed_is_told_however_new_the_protection_is(configured: str) -> None:
    built = estate().vm("web").item("web", "IRPending", lastBackupStatus="Failed", lastRecoveryPoint=None)
    found = built.job("web", started=configured).vault().policy().whole().audit()
    assert found.outcome("last-backup-succeeded", "web") == "fail"
    assert found.outcome("backup-on-schedule", "web") == "not-applicable"
    assert found.outcome(PROTECTED, "web") == ("fail" if configured < "2026-06-14" else "not-applicable")
