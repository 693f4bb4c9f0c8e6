"""Who calls, and what they may do: roles at scopes, as Azure's RBAC weighs them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from arm.ids import Json, scopes_of

# Roles by the names that tests use. Azure's built-in roles list more; these are what backup needs of them.
ROLES: dict[str, Mapping[str, Sequence[str]]] = {
    "reader": {"actions": ["*/read"]},
    "owner": {"actions": ["*"]},
    "contributor": {
        "actions": ["*"],
        "notActions": [
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ],
    },
    "backup-contributor": {
        "actions": [
            "Microsoft.Authorization/*/read",
            "Microsoft.RecoveryServices/locations/*",
            "Microsoft.RecoveryServices/Vaults/backupFabrics/*",
            "Microsoft.RecoveryServices/Vaults/backupJobs/*",
            "Microsoft.RecoveryServices/Vaults/backupOperations/*",
            "Microsoft.RecoveryServices/Vaults/backupPolicies/*",
            "Microsoft.RecoveryServices/Vaults/backupProtectableItems/*",
            "Microsoft.RecoveryServices/Vaults/backupProtectedItems/*",
            "Microsoft.RecoveryServices/Vaults/backupProtectionContainers/*",
            "Microsoft.RecoveryServices/Vaults/backupstorageconfig/*",
            "Microsoft.RecoveryServices/Vaults/backupconfig/*",
            "Microsoft.RecoveryServices/Vaults/read",
            "Microsoft.RecoveryServices/Vaults/write",
            "Microsoft.RecoveryServices/Vaults/operationStatus/read",
            "Microsoft.RecoveryServices/Vaults/operationResults/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ],
    },
    "vm-contributor": {
        "actions": [
            "Microsoft.Authorization/*/read",
            "Microsoft.Compute/virtualMachines/*",
            "Microsoft.RecoveryServices/locations/*",
            "Microsoft.RecoveryServices/Vaults/backupFabrics/protectionContainers/protectedItems/*/read",
            "Microsoft.RecoveryServices/Vaults/backupPolicies/read",
            "Microsoft.RecoveryServices/Vaults/read",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ],
    },
    "none": {"actions": []},
}

Role = str | Mapping[str, Sequence[str]]
Access = Mapping[str, Role | Sequence[Role]]


@cache
def _pattern(action: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, action.split("*"))), re.IGNORECASE)


@dataclass(frozen=True)
class Assignment:
    """A role at a scope, and at everything below it."""

    scope: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]

    def allows(self, action: str) -> bool:
        return any(_pattern(entry).fullmatch(action) for entry in self.actions) and not any(
            _pattern(entry).fullmatch(action) for entry in self.not_actions
        )

    def as_permission(self) -> Json:
        return {
            "actions": list(self.actions),
            "notActions": list(self.not_actions),
            "dataActions": [],
            "notDataActions": [],
        }


@dataclass
class Principal:
    """An application that signs in with a secret, and what it may do.

    ``access`` maps a subscription's id, or the path of a resource group or resource, to a role, a custom role
    ``{"actions": [...], "notActions": [...]}`` or several of these. A subscription that it mentions has only what is
    mentioned; every other one has what ``*`` says, which is ``reader`` unless given. A single name is for all.
    """

    client_id: str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
    client_secret: str = "the-secret-of-the-stand-in"  # noqa: S105 - of a server that only tests talk to
    object_id: str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
    access: str | Access = "reader"
    _assignments: dict[str, list[Assignment]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given: Access = {"*": self.access} if isinstance(self.access, str) else self.access
        self._assignments = {}
        for name, roles in given.items():
            scope = "*" if name == "*" else (name if name.startswith("/") else f"/subscriptions/{name}").lower()
            subscription = "*" if scope == "*" else scope.split("/")[2]
            several = [roles] if isinstance(roles, str | Mapping) else roles
            for role in several:
                lists = ROLES[role] if isinstance(role, str) else role
                made = Assignment(scope, tuple(lists.get("actions", ())), tuple(lists.get("notActions", ())))
                self._assignments.setdefault(subscription, []).append(made)
        if "*" not in self._assignments:
            self._assignments["*"] = [Assignment("*", tuple(ROLES["reader"]["actions"]), ())]

    def assignments(self, subscription: str) -> list[Assignment]:
        """Return what is assigned anywhere in a subscription."""
        found = self._assignments.get(subscription.lower(), self._assignments["*"])
        return [entry for entry in found if entry.actions]

    def at(self, path: str) -> list[Assignment]:
        """Return what counts at a path: what is assigned there or above."""
        above = scopes_of(path)
        if not above[0].startswith("/subscriptions/"):
            return [entry for entry in self._assignments["*"] if entry.actions]
        return [
            entry for entry in self.assignments(above[0].split("/")[2]) if entry.scope == "*" or entry.scope in above
        ]

    def may(self, action: str, path: str) -> bool:
        return any(entry.allows(action) for entry in self.at(path))
