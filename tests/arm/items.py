"""Protected items of VMs as the service writes them."""

from arm.clock import stamp
from arm.ids import Json, where
from arm.web import Refused, provider_error

_NEVER = "2001-01-01T00:00:00Z"


def item_not_found() -> Refused:
    return provider_error(
        400,
        "BMSUserErrorDataSourceObjectNotFound",
        "Item not found. Selected item might have been deleted. Please check if item is registered to the vault.",
    )


def container_of(path: str) -> str:
    """``.../VM;iaasvmcontainerv2;rg;vm`` -> ``iaasvmcontainerv2;rg;vm``."""
    return path.rstrip("/").rpartition("/")[2].partition(";")[2]


def fresh(machine: Json) -> Json:
    """Return the properties of an item that has no recovery point yet."""
    place = where(str(machine["id"]))
    return {
        "kpisHealths": {},
        "friendlyName": place.name,
        "virtualMachineId": machine["id"],
        "protectionStatus": "Healthy",
        "healthStatus": "Passed",
        "lastBackupStatus": "",
        "lastBackupTime": _NEVER,
        "protectedItemDataId": "2261158857314949046",
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "backupManagementType": "AzureIaasVM",
        "workloadType": "VM",
        "containerName": f"iaasvmcontainerv2;{place.group.lower()};{place.name}",
        "sourceResourceId": machine["id"],
        "isArchiveEnabled": False,
    }


def backed_up(properties: Json, started: float, failure: tuple[str, str] | None) -> Json:
    """Return the properties of an item after a backup; even one that failed leaves it ``Protected``."""
    title, message = failure or ("Success", "")
    advice = ["Retry."] if failure else []
    detail = {"code": 400136 if failure else 0, "title": title, "message": message, "recommendations": advice}
    passed = {
        "code": 400239,
        "title": "IaasVmHealthGreenDefault",
        "message": "Backup pre-check status of this virtual machine is OK.",
        "recommendations": [],
    }
    status = "TransientDegraded" if failure else "Healthy"
    changed = {
        **properties,
        "kpisHealths": {
            "BackupOperationStatusKPI": {"resourceHealthStatus": status, "resourceHealthDetails": [detail]},
        },
        "protectionStatus": "Unhealthy" if failure else "Healthy",
        "protectionState": "Protected",
        "healthStatus": "ActionRequired" if failure else "Passed",
        "healthDetails": [detail if failure else passed],
        "lastBackupStatus": "Failed" if failure else "Completed",
        "lastBackupTime": stamp(started),
    }
    return changed if failure else {**changed, "lastRecoveryPoint": stamp(started + 3.0)}
