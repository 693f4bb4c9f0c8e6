"""The calls that steps make: paths and bodies, as Azure documents them.

Bodies: https://learn.microsoft.com/azure/templates/microsoft.recoveryservices/vaults and its subtypes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.arm_id import ArmId, parse_arm_id
from auditor.declared.config import VaultTemplate
from auditor.remediation.model import Precondition, Request, Step
from auditor.text import fold

VAULT_VERSION = "2025-02-01"
BACKUP_VERSION = "2025-02-01"
PROVIDERS_VERSION = "2021-04-01"
COMPUTE_VERSION = "2024-07-01"
PROVIDER = "Microsoft.RecoveryServices"
_VERSIONS = (VAULT_VERSION, BACKUP_VERSION, PROVIDERS_VERSION)
_VAULTS = "microsoft.recoveryservices/vaults"
_ITEMS = f"{_VAULTS}/backupfabrics/protectioncontainers/protecteditems"
Json = dict[str, Any]


def register(subscription: str) -> Request:
    """Register the provider of vaults in a subscription."""
    path = f"/subscriptions/{subscription}/providers/{PROVIDER}"
    return Request(method="POST", path=f"{path}/register", api_version=PROVIDERS_VERSION)


def vault_body(location: str, redundancy: str, template: VaultTemplate, tags: Json) -> Json:
    """Return the body that creates a vault; the redundancy is stated, for Azure's default differs by region."""
    return {
        "location": location,
        "sku": {"name": "RS0", "tier": "Standard"},
        "tags": tags,
        "properties": {
            "publicNetworkAccess": template.public_network_access,
            "redundancySettings": {"standardTierStorageRedundancy": redundancy, "crossRegionRestore": "Disabled"},
            "securitySettings": {
                "softDeleteSettings": {
                    "softDeleteState": "Enabled",
                    "softDeleteRetentionPeriodInDays": template.soft_delete_days,
                }
            },
            "monitoringSettings": {"azureMonitorAlertSettings": {"alertsForAllJobFailures": "Enabled"}},
        },
    }


def create_vault(vault_id: str, body: Json) -> Request:
    """Create a vault that is not there."""
    return Request(method="PUT", path=vault_id, api_version=VAULT_VERSION, body=body)


def change_vault(vault_id: str, properties: Json) -> Request:
    """Change settings of a vault that is there: a PUT could reset others to their defaults."""
    return Request(method="PATCH", path=vault_id, api_version=VAULT_VERSION, body={"properties": properties})


def put_policy(policy_id: str, properties: Json) -> Request:
    """Define a policy, or write one whole."""
    return Request(method="PUT", path=policy_id, api_version=BACKUP_VERSION, body={"properties": properties})


def put_item(item_id: str, vm_id: str, policy_id: str) -> Request:
    """Protect a VM by a policy, or let another policy protect it."""
    properties = {
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "sourceResourceId": vm_id,
        "policyId": policy_id,
    }
    return Request(method="PUT", path=item_id, api_version=BACKUP_VERSION, body={"properties": properties})


def trigger(item_id: str) -> Request:
    """Take a backup now; Azure keeps it for 30 days where nothing else is said."""
    return Request(
        method="POST",
        path=f"{item_id}/backup",
        api_version=BACKUP_VERSION,
        body={"properties": {"objectType": "IaasVMBackupRequest"}},
    )


def item_id_of(vault_id: str, vm: ArmId) -> str:
    """Return the id of the item that protects a VM in a vault: Azure derives it from the VM's group and name."""
    name = f"iaasvmcontainerv2;{vm.resource_group};{vm.name}"
    return f"{vault_id}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{name}/protectedItems/VM;{name}"


_METHODS = {
    "RegisterProvider": "POST",
    "CreateVault": "PUT",
    "SetRedundancy": "PATCH",
    "SetVaultProtection": "PATCH",
    "DefinePolicy": "PUT",
    "AssignPolicy": "PUT",
    "EnableProtection": "PUT",
    "TriggerBackup": "POST",
}
_TYPES = {
    "RegisterProvider": None,
    "CreateVault": _VAULTS,
    "SetRedundancy": _VAULTS,
    "SetVaultProtection": _VAULTS,
    "DefinePolicy": f"{_VAULTS}/backuppolicies",
    "AssignPolicy": _ITEMS,
    "EnableProtection": _ITEMS,
    "TriggerBackup": _ITEMS,
}


def fault_of_steps(steps: Sequence[Step]) -> str:
    """Say what is wrong with steps that no plan has: a request of another kind, or an order that leads nowhere."""
    before: set[str] = set()
    for step in steps:
        if step.kind == "Manual":
            continue
        request = step.request
        ending = {"TriggerBackup": "/backup", "RegisterProvider": f"/providers/{PROVIDER}/register"}.get(step.kind, "")
        arm = parse_arm_id(step.target)
        kind = fold(arm.type) if arm is not None and arm.type is not None else None
        right = request is not None and arm is not None and kind == _TYPES[step.kind]
        if not right or request is None or request.method != _METHODS[step.kind]:
            return f"the step {step.id} is none that a plan has"
        if request.path != f"{step.target}{ending}" or request.api_version not in _VERSIONS:
            return f"the step {step.id} sends something else than it says"
        if not set(step.depends_on) <= before:
            return f"the step {step.id} comes before one that it needs, or needs one that is not there"
        if step.id in before:
            return f"the step {step.id} is there twice"
        before.add(step.id)
    return ""


def absent(path: str, version: str) -> Precondition:
    """Nothing is there yet."""
    return Precondition(path=path, api_version=version, equals=None)


def there(path: str, version: str) -> Precondition:
    """It is still there, whatever it is like."""
    return Precondition(path=path, api_version=version, equals={})


def has(path: str, version: str, values: Mapping[str, Any]) -> Precondition:
    """What the pointers point at still has these values."""
    return Precondition(path=path, api_version=version, equals=dict(values))


def still(path: str, version: str, **values: object) -> Precondition:
    """The properties of these names still have these values."""
    return Precondition(
        path=path, api_version=version, equals={f"/properties/{name}": value for name, value in values.items()}
    )
