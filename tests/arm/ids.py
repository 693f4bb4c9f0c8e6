"""Resource ids and types, and what Azure makes of their spelling."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

Json = dict[str, Any]

SUBSCRIPTION = "microsoft.resources/subscriptions"
GROUP = "microsoft.resources/subscriptions/resourcegroups"
MANAGEMENT_GROUP = "microsoft.management/managementgroups"
VM = "microsoft.compute/virtualmachines"
VAULT = "microsoft.recoveryservices/vaults"
POLICY = f"{VAULT}/backuppolicies"
JOB = f"{VAULT}/backupjobs"
ITEM = f"{VAULT}/backupfabrics/protectioncontainers/protecteditems"
CONTAINER = f"{VAULT}/backupfabrics/protectioncontainers"
STORAGE_CONFIG = f"{VAULT}/backupstorageconfig"
VAULT_CONFIG = f"{VAULT}/backupconfig"

# What Resource Manager calls them where Resource Graph has small letters.
CANONICAL = {
    entry.lower(): entry
    for entry in (
        "Microsoft.Resources/subscriptions",
        "Microsoft.Resources/resourceGroups",
        "Microsoft.Management/managementGroups",
        "Microsoft.Compute/virtualMachines",
        "Microsoft.RecoveryServices/vaults",
        "Microsoft.RecoveryServices/vaults/backupPolicies",
        "Microsoft.RecoveryServices/vaults/backupJobs",
        "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems",
        "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers",
        "Microsoft.RecoveryServices/vaults/backupstorageconfig",
        "Microsoft.RecoveryServices/vaults/backupconfig",
    )
}
CANONICAL[GROUP] = CANONICAL.pop("microsoft.resources/resourcegroups")
_VAULT_PREFIX = re.compile(r"(.*?/providers/microsoft\.recoveryservices/vaults/[^/]+)/", re.DOTALL)


def key_of(identifier: str) -> str:
    """Return an id as it is compared."""
    return identifier.strip().rstrip("/").lower()


@dataclass(frozen=True)
class Where:
    """Where a resource is, in the spelling of its id; what the id does not name is empty."""

    subscription: str
    group: str
    name: str


def where(identifier: str) -> Where:
    parts = identifier.strip("/").split("/")
    subscription = group = ""
    if parts[0].lower() == "subscriptions" and len(parts) > 1:
        subscription = parts[1].lower()
        if len(parts) > 3 and parts[2].lower() == "resourcegroups" and parts[3].lower() != "providers":
            group = parts[3]
    return Where(subscription, group, unquote(parts[-1]))


def vault_key_of(key: str) -> str:
    """Return the key of the vault that something with this key is in, empty where it is in none."""
    match = _VAULT_PREFIX.match(key)
    return match[1] if match else ""


def scopes_of(path: str) -> list[str]:
    """Return a path and everything above it that rights can be given at, as keys, the widest first."""
    parts = key_of(path).strip("/").split("/")
    ends = [end for end in (2, 4) if len(parts) >= end]
    ends += range(8, len(parts) + 1, 2)
    if len(parts) not in ends:
        ends.append(len(parts))
    return ["/" + "/".join(parts[:end]) for end in ends]


def kind_of(resource: Json) -> str:
    """Return a type as it is compared; of the two names that resource groups have, the longer."""
    kind = str(resource.get("type", "")).lower()
    return GROUP if kind == "microsoft.resources/resourcegroups" else kind


def plain_location(location: object) -> str:
    """``West Europe`` -> ``westeurope``: Resource Graph has one spelling."""
    return str(location or "").replace(" ", "").lower()


def merged(old: object, new: object) -> object:
    """Return ``old`` with what a PATCH changes: members go one by one, everything else as a whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: merged(old.get(name), value) for name, value in new.items()}}
    return new
