"""What somebody may read in a subscription: Azure leaves out what one may not see, and does not say that it did."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec

from auditor.azure.calls import Caller, Failure, Pace
from auditor.azure.lists import read_list
from auditor.inventory.tables import (
    BACKUP_JOBS,
    BACKUP_POLICIES,
    PROTECTED_ITEMS,
    RESOURCE_GROUPS,
    SCALE_SETS,
    STORAGE_CONFIGS,
    VAULT_CONFIGS,
    VAULTS,
    VIRTUAL_MACHINES,
)

VERSION = "2022-04-01"
_VAULT = "Microsoft.RecoveryServices/Vaults"
# What has to be allowed for a whole subscription, so that what is not seen in it is not there.
NEEDED = {
    VIRTUAL_MACHINES.name: "Microsoft.Compute/virtualMachines/read",
    SCALE_SETS.name: "Microsoft.Compute/virtualMachineScaleSets/read",
    VAULTS.name: f"{_VAULT}/read",
    BACKUP_POLICIES.name: f"{_VAULT}/backupPolicies/read",
    PROTECTED_ITEMS.name: f"{_VAULT}/backupFabrics/protectionContainers/protectedItems/read",
    BACKUP_JOBS.name: f"{_VAULT}/backupJobs/read",
    RESOURCE_GROUPS.name: "Microsoft.Resources/subscriptions/resourceGroups/read",
}
DETAILS = {
    "instance_views": "Microsoft.Compute/virtualMachines/instanceView/read",
    STORAGE_CONFIGS.name: f"{_VAULT}/backupstorageconfig/read",
    VAULT_CONFIGS.name: f"{_VAULT}/backupconfig/read",
    "vault_items": f"{_VAULT}/backupProtectedItems/read",
}


class Grant(msgspec.Struct, frozen=True):
    """What one role assignment allows; ``notActions`` take away from its own ``actions`` only."""

    actions: list[Any] = msgspec.field(default_factory=list)
    not_actions: list[Any] | None = msgspec.field(name="notActions", default=None)


def read_grants(caller: Caller, subscription: str, pace: Pace) -> list[Grant] | Failure:
    """Read what the caller may do in a whole subscription.

    Somebody who has a role on a part of it only is refused here, or gets an empty list.
    https://learn.microsoft.com/azure/role-based-access-control/role-assignments-list-rest
    """
    path = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/permissions"
    return read_list(caller, path, VERSION, pace, Grant)


def missing_of(grants: Sequence[Grant], actions: Iterable[str]) -> list[str]:
    """Return the actions that no grant allows."""
    return [action for action in actions if not any(_allows(grant, action) for grant in grants)]


def _allows(grant: Grant, action: str) -> bool:
    return _any(grant.actions, action) and not _any(grant.not_actions or [], action)


def _any(patterns: Sequence[Any], action: str) -> bool:
    return any(isinstance(pattern, str) and _pattern(pattern).fullmatch(action) for pattern in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Compile Azure's pattern, in which ``*`` stands for anything, slashes too, and letter case does not count."""
    parts = (".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", text))
    return re.compile("".join(parts), re.IGNORECASE)
