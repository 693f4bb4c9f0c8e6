"""Writes a synthetic estate as raw exports: ``python bench/synthetic.py FOLDER VMS``.

Proportions as in real tenants: 85 % of the VMs have a backup item, a policy for every 50 VMs, a vault for every 200;
ids are long and come in several spellings. Equal numbers give equal bytes.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
VMS_A_POLICY = 50
VMS_A_VAULT = 200
VMS_A_SUBSCRIPTION = 2_000
STATES = ("Protected",) * 17 + ("ProtectionStopped", "IRPending", "ProtectionError")


def subscription(number: int) -> str:
    """Return the id of a subscription."""
    return f"{number:08x}-5b6e-4a0c-9d37-1f2e3d4c5b6a"


def group(number: int) -> str:
    """Return the id of the resource group of a VM."""
    sub = subscription(number // VMS_A_SUBSCRIPTION)
    return f"/subscriptions/{sub}/resourceGroups/rg-workload-production-westeurope-{number // 20:05d}"


def vm_id(number: int) -> str:
    """Return the id of a VM."""
    return f"{group(number)}/providers/Microsoft.Compute/virtualMachines/vm-app-production-{number:07d}"


def vault_id(number: int) -> str:
    """Return the id of the vault of a VM."""
    sub = subscription(number // VMS_A_SUBSCRIPTION)
    return (
        f"/subscriptions/{sub}/resourceGroups/rg-backup-production-westeurope/providers"
        f"/Microsoft.RecoveryServices/vaults/rsv-production-{number // VMS_A_VAULT:05d}"
    )


def vm(number: int) -> Json:
    """Return a VM as ARM gives it, about 5 KB with its extensions."""
    windows = number % 3 == 0
    return {
        "id": vm_id(number),
        "name": f"vm-app-production-{number:07d}",
        "type": "Microsoft.Compute/virtualMachines",
        "location": "westeurope",
        "tags": {"environment": "production", "owner": f"team-{number % 40}", "costCenter": str(number % 97)},
        "properties": {
            "timeCreated": "2024-03-01T10:00:00.1234567+00:00",
            "vmId": f"{number:032x}",
            "provisioningState": "Succeeded",
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": {
                "imageReference": {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server"},
                "osDisk": {
                    "osType": "Windows" if windows else "Linux",
                    "createOption": "FromImage",
                    "managedDisk": {"id": f"{group(number)}/providers/Microsoft.Compute/disks/os-{number}"},
                },
                "dataDisks": [
                    {"lun": lun, "managedDisk": {"id": f"{group(number)}/disks/{number}-{lun}"}}
                    for lun in range(number % 4)
                ],
            },
            "osProfile": {
                "computerName": f"vm{number}",
                "adminUsername": "operator",
                "allowExtensionOperations": True,
                ("windowsConfiguration" if windows else "linuxConfiguration"): {"provisionVMAgent": True},
            },
            "networkProfile": {"networkInterfaces": [{"id": f"{group(number)}/nic-{number}"}]},
            "instanceView": {
                "vmAgent": {
                    "vmAgentVersion": "2.14.0.1",
                    "statuses": [
                        {
                            "code": "ProvisioningState/succeeded" if number % 25 else "ProvisioningState/Unavailable",
                            "level": "Info",
                            "displayStatus": "Ready" if number % 25 else "Not Ready",
                            "message": "Guest Agent is running",
                        },
                    ],
                    "extensionHandlers": [
                        {"type": f"Microsoft.Example.Extension{index}", "status": {"code": "ok", "message": "x" * 540}}
                        for index in range(5)
                    ],
                },
                "statuses": [
                    {"code": "ProvisioningState/succeeded", "level": "Info"},
                    {"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"},
                ],
            },
        },
    }


def item(number: int) -> Json:
    """Return the backup item of a VM."""
    container = f"iaasvmcontainerv2;rg-workload-production-westeurope-{number // 20:05d};vm-app-production-{number:07d}"
    vault = vault_id(number).replace("/subscriptions/", "/Subscriptions/")
    state = STATES[number % len(STATES)]
    containers = f"{vault}/backupFabrics/Azure/protectionContainers"
    return {
        "id": f"{containers}/IaasVMContainer;{container}/protectedItems/VM;{container}",
        "name": f"VM;{container}",
        "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems",
        "properties": {
            "protectedItemType": "Microsoft.Compute/virtualMachines",
            "backupManagementType": "AzureIaasVM",
            "workloadType": "VM",
            "friendlyName": f"vm-app-production-{number:07d}",
            "containerName": container,
            "sourceResourceId": vm_id(number),
            "virtualMachineId": vm_id(number),
            "policyId": "" if state == "ProtectionStopped" else policy_id(number),
            "protectionState": state,
            "healthStatus": "Passed",
            "lastBackupStatus": "Completed",
            "lastBackupTime": "2026-11-01T23:05:11.1234567Z",
            "lastRecoveryPoint": "2026-11-01T23:05:31.1234567Z",
        },
    }


def policy_id(number: int) -> str:
    """Return the id of the policy of a VM."""
    return f"{vault_id(number)}/backupPolicies/policy-{number // VMS_A_POLICY:05d}"


def policy(number: int) -> Json:
    """Return the policy of a VM; every fifth is Azure's default for enhanced policies."""
    window = 24 if number // VMS_A_POLICY % 5 == 0 else 12
    return {
        "id": policy_id(number),
        "name": f"policy-{number // VMS_A_POLICY:05d}",
        "type": "Microsoft.RecoveryServices/vaults/backupPolicies",
        "properties": {
            "backupManagementType": "AzureIaasVM",
            "policyType": "V2",
            "timeZone": "UTC",
            "schedulePolicy": {
                "schedulePolicyType": "SimpleSchedulePolicyV2",
                "scheduleRunFrequency": "Hourly",
                "hourlySchedule": {
                    "interval": 4,
                    "scheduleWindowStartTime": "2026-01-01T08:00:00Z",
                    "scheduleWindowDuration": window,
                },
            },
        },
    }


def vault(number: int) -> Json:
    """Return the vault of a VM; every seventh is only locally redundant."""
    redundancy = "LocallyRedundant" if number // VMS_A_VAULT % 7 == 0 else "GeoRedundant"
    return {
        "id": vault_id(number),
        "name": f"rsv-production-{number // VMS_A_VAULT:05d}",
        "type": "Microsoft.RecoveryServices/vaults",
        "location": "westeurope",
        "properties": {"redundancySettings": {"standardTierStorageRedundancy": redundancy}},
    }


def write(folder: Path, vms: int, *, protected: bool = True) -> None:
    """Write the exports, a page of 1,000 resources to a file; no VM has an item where they are not protected."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Iterator[Json]] = {
        "vms": (vm(number) for number in range(vms)),
        "items": (item(number) for number in range(vms if protected else 0) if number % 20 < 17),
        "policies": (policy(number) for number in range(0, vms, VMS_A_POLICY)),
        "vaults": (vault(number) for number in range(0, vms, VMS_A_VAULT)),
    }
    for kind, resources in kinds.items():
        page: list[Json] = []
        count = 0
        for resource in resources:
            page.append(resource)
            if len(page) == 1_000:
                _page(folder / f"{kind}-{count:05d}.json", page)
                page, count = [], count + 1
        if page:
            _page(folder / f"{kind}-{count:05d}.json", page)


def _page(path: Path, resources: list[Json]) -> None:
    path.write_text(json.dumps({"value": resources}), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
