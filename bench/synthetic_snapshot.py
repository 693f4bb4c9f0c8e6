"""Writes a synthetic estate as a snapshot: ``python bench/synthetic_snapshot.py FOLDER VMS``.

The proportions are those of ``synthetic.py``; it is made by the database, so that a million VMs take a minute. Equal
numbers give equal facts.
"""

import sys
import tempfile
from pathlib import Path

import duckdb

from auditor.inventory.facts import TAG_COLUMNS, link_facts, stored_columns
from auditor.inventory.model import Inventory
from auditor.inventory.snapshot import write_snapshot
from auditor.inventory.tables import TABLES, Table
from auditor.timestamps import parse_time

NOW = parse_time("2026-11-02T06:00:00Z") or 0
HOUR = 3_600_000_000
VMS_A_POLICY, VMS_A_VAULT, VMS_A_SUBSCRIPTION, VMS_A_GROUP = 50, 200, 2_000, 20
_SUB = "printf('%08x-5b6e-4a0c-9d37-1f2e3d4c5b6a', i // 2000)"
_GROUP_NAME = "'RG-Workload-Production-WestEurope-' || printf('%05d', i // 20)"
_VM_NAME = "'vm-app-production-' || printf('%07d', i)"
_GROUP = f"'/subscriptions/' || {_SUB} || '/resourceGroups/' || {_GROUP_NAME}"
_VM = f"{_GROUP} || '/providers/Microsoft.Compute/virtualMachines/' || {_VM_NAME}"
_VAULT = (
    f"'/Subscriptions/' || {_SUB} || '/resourceGroups/rg-backup-production-westeurope'"
    " || '/providers/Microsoft.RecoveryServices/vaults/rsv-production-' || printf('%05d', i // 200)"
)
_POLICY = f"{_VAULT} || '/backupPolicies/policy-' || printf('%05d', i // 50)"
_CONTAINER = f"'iaasvmcontainerv2;' || lower({_GROUP_NAME}) || ';' || {_VM_NAME}"
_ITEM = (
    f"{_VAULT} || '/backupFabrics/Azure/protectionContainers/IaasVMContainer;' || {_CONTAINER}"
    f" || '/protectedItems/VM;' || {_CONTAINER}"
)
_STATE = (
    "CASE i % 20 WHEN 3 THEN 'ProtectionStopped' WHEN 7 THEN 'IRPending' WHEN 11 THEN 'ProtectionError'"
    " ELSE 'Protected' END"
)
_SCHEDULE = (
    """'{"hourlySchedule":{"interval":4,"scheduleWindowDuration":' || CASE WHEN (i // 50) % 5 = 0 THEN 24 ELSE 12 END"""
    """ || ',"scheduleWindowStartTime":"2026-01-01T08:00:00Z"},"schedulePolicyType":"SimpleSchedulePolicyV2","""
    """"scheduleRunFrequency":"Hourly"}'"""
)
_RETENTION = (
    """'{"retentionPolicyType":"LongTermRetentionPolicy","dailySchedule":{"retentionTimes":["2026-01-01T08:00:00Z"],"""
    """"retentionDuration":{"count":' || CASE WHEN (i // 50) % 4 = 0 THEN 7 ELSE 30 END"""
    """ || ',"durationType":"Days"}}}'"""
)
CELLS: dict[str, dict[str, str]] = {
    "virtual_machines": {
        "id": _VM,
        "name": _VM_NAME,
        "location": "'westeurope'",
        "created": str(NOW - 5000 * HOUR),
        "size": "'Standard_D4s_v5'",
        "storage_read": "TRUE",
        "os_type": "CASE WHEN i % 3 = 0 THEN 'Windows' ELSE 'Linux' END",
        "os_disk_origin": "CASE WHEN i % 40 = 0 THEN 'Attach' ELSE 'FromImage' END",
        "from_image": "CASE WHEN i % 40 <> 0 THEN TRUE END",
        "provisioning_state": "'Succeeded'",
        "power_state": "CASE WHEN i % 9 = 0 THEN 'deallocated' ELSE 'running' END",
        "provision_vm_agent": "TRUE",
        "allow_extensions": "TRUE",
        "data_disk_luns": "'[0]'",
        "instance_view_read": "TRUE",
        "agent_reported": "TRUE",
        "agent_version": "CASE WHEN i % 25 = 0 THEN 'Unknown' ELSE '2.14.0.1' END",
        "agent_status": "CASE WHEN i % 25 = 0 THEN 'Not Ready' ELSE 'Ready' END",
        "agent_code": "'ProvisioningState/' || CASE WHEN i % 25 = 0 THEN 'Unavailable' ELSE 'succeeded' END",
    },
    "vaults": {
        "id": _VAULT,
        "name": "'rsv-production-' || printf('%05d', i // 200)",
        "location": "'westeurope'",
        "declared_redundancy": "CASE WHEN (i // 200) % 7 = 0 THEN 'LocallyRedundant' ELSE 'GeoRedundant' END",
        "declared_soft_delete": "'Enabled'",
        "declared_soft_delete_days": "14",
    },
    "backup_policies": {
        "id": _POLICY,
        "name": "'policy-' || printf('%05d', i // 50)",
        "vault_id": _VAULT,
        "management_type": "'AzureIaasVM'",
        "type": "'V2'",
        "schedule_policy": _SCHEDULE,
        "retention_policy": _RETENTION,
        "time_zone": "'UTC'",
    },
    "protected_items": {
        "id": _ITEM,
        "name": f"'VM;' || {_CONTAINER}",
        "vault_id": _VAULT,
        "arm_type": "'Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems'",
        "management_type": "'AzureIaasVM'",
        "item_type": "'Microsoft.Compute/virtualMachines'",
        "friendly_name": _VM_NAME,
        "container_name": _CONTAINER,
        "vm_id": _VM,
        "policy_id": f"CASE WHEN i % 20 <> 3 THEN {_POLICY} END",
        "protection_state": _STATE,
        "health": "'Passed'",
        "last_backup_status": "CASE WHEN i % 50 = 0 THEN 'Failed' ELSE 'Completed' END",
        "last_backup": f"{NOW - 6 * HOUR}",
        # Spread over the microseconds, so that findings differ as those of a real estate do.
        "last_recovery_point": f"{NOW} - (1 + i % 30) * {HOUR} + i * 2654435761 % {HOUR}",
    },
    "backup_jobs": {
        "id": f"{_VAULT} || '/backupJobs/' || printf('%036d', i)",
        "vault_id": _VAULT,
        "operation": "'Backup'",
        "status": "CASE WHEN i % 30 = 0 THEN 'Failed' ELSE 'Completed' END",
        "started": f"{NOW - 10 * HOUR}",
        "ended": f"{NOW - 9 * HOUR}",
        "container_name": _CONTAINER,
    },
    "resource_groups": {"id": _GROUP, "location": "'westeurope'"},
    "subscriptions": {"id": f"'/subscriptions/' || {_SUB}", "display_name": "'production'"},
}
# Which of the numbers of the VMs make a row, by table, and which row that is: ids are in the order of the numbers.
EVERY = {
    "virtual_machines": ("TRUE", "i"),
    "vaults": (f"i % {VMS_A_VAULT} = 0", f"i // {VMS_A_VAULT}"),
    "backup_policies": (f"i % {VMS_A_POLICY} = 0", f"i // {VMS_A_POLICY}"),
    "protected_items": ("i % 20 < 17", "i // 20 * 17 + i % 20"),
    "backup_jobs": ("i % 20 < 17", "i // 20 * 17 + i % 20"),
    "resource_groups": (f"i % {VMS_A_GROUP} = 0", f"i // {VMS_A_GROUP}"),
    "subscriptions": (f"i % {VMS_A_SUBSCRIPTION} = 0", f"i // {VMS_A_SUBSCRIPTION}"),
}


def fill(connection: duckdb.DuckDBPyConnection, table: Table, vms: int) -> None:
    """Make the facts of one table."""
    types, cells = stored_columns(table), CELLS.get(table.name, {})
    identity = {
        "subscription_id": _SUB,
        "resource_group_name": "split_part(id, '/', 5)",
        "tags_read": "TRUE",
        "source": "'synthetic'",
        "name": "regexp_extract(id, '[^/]*$')",
    }
    own = {**identity, **cells}
    inner = ", ".join(f"{own.get(name, 'NULL')} AS {name}" for name in types if not name.endswith("key"))
    twins = {name: "id" if name == "key" else name.removesuffix("_key") for name in types}
    outer = ", ".join(
        f"CAST({f'lower({twins[name]})' if name.endswith('key') else name} AS {kind}) AS {name}"
        for name, kind in types.items()
    )
    wanted, number = EVERY.get(table.name, ("FALSE", "i"))
    connection.execute(
        f"CREATE TABLE facts_{table.name} AS SELECT {outer}, CAST(n AS INTEGER) AS n"
        f" FROM (SELECT {inner}, {number} AS n FROM range({vms}) r(i) WHERE {wanted})",
    )


def write(folder: Path, vms: int) -> None:
    """Write the snapshot; what does not fit into 3 GB of memory waits on disk, beside it."""
    with (
        tempfile.TemporaryDirectory(dir=folder.parent) as spill,
        duckdb.connect(str(Path(spill) / "facts.db"), config={"memory_limit": "3GB"}) as connection,
    ):
        for table in TABLES:
            fill(connection, table, vms)
        link_facts(connection)
        described = ", ".join(f"{column} {kind}" for column, kind in TAG_COLUMNS.items())
        connection.execute(f"CREATE TABLE facts_tags ({described})")
        connection.execute(
            "INSERT INTO facts_tags SELECT 'virtual_machines', n, 'environment', 'environment', 'Production',"
            " 'production' FROM facts_virtual_machines UNION ALL SELECT 'virtual_machines', n, 'Owner', 'owner',"
            " 'team-' || n % 40, 'team-' || n % 40 FROM facts_virtual_machines",
        )
        inventory = Inventory({}, 0, {}, (), (), (), {}, (), collected_at=NOW)
        write_snapshot(connection, inventory, [], folder, "synthetic")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
