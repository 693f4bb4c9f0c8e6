"""Which vault and which policy a VM gets: one that is there and right, else one that is planned, else a new one."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditor.declared.config import Remediation, VaultTemplate
from auditor.declared.intents import IntentMap, VaultFacts
from auditor.estate.regions import UNPAIRED_REGIONS
from auditor.remediation.policies import of_template, serves
from auditor.remediation.situation import Situation, Vault, Vm
from auditor.text import fold

_REDUNDANCY = {"azure": "GeoRedundant", "other": "LocallyRedundant", "zone": "ZoneRedundant"}
_LONGEST_NAME = 50  # of a vault
MOST_POLICIES = 200  # in a vault


def redundancy_of(intent: str | None, accepted: Mapping[str, Sequence[str]]) -> str | None:
    """Return the redundancy that is right for an intent: the usual one where the rule accepts it, else its first."""
    usual, right = _REDUNDANCY.get(intent or ""), accepted.get(intent or "", ())
    return usual if usual in right else next((name for name in right if name in _REDUNDANCY.values()), None)


def fault_of_vault(template: VaultTemplate) -> str:
    """Say what is wrong with a template: Azure takes no vault of such a name; else nothing."""
    plain = template.name.replace("{location}", "l").replace("{intent}", "i")
    if not re.fullmatch("[A-Za-z][A-Za-z0-9-]+", plain):
        return "name: letters, digits and hyphens, at least 2, and nothing but {location} and {intent} in braces"
    return ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a VM is to be protected.

    Attributes:
        vault: there already, or planned.
        policy_id: of the policy.
        policy: its properties where it is to be defined; ``None`` where it is there.
        why: what the vault is for, in words.
    """

    vault: Vault
    policy_id: str
    policy: dict[str, Any] | None
    why: str


class Placement:
    """Places VMs one after the other, and counts what each vault and policy then holds."""

    def __init__(
        self,
        situation: Situation,
        settings: Remediation,
        intents: IntentMap,
        accepted: Mapping[str, Sequence[str]],
    ) -> None:
        """Begin with what is there; ``accepted`` are the redundancies that serve each intent."""
        self._accepted = accepted
        self._situation = situation
        self._settings = settings
        self._intents = intents
        self._by_place: defaultdict[tuple[str, str | None], list[Vault]] = defaultdict(list)
        for vault in situation.vaults.values():
            self._by_place[vault.subscription, vault.location].append(vault)
        self._wanted = of_template(settings.policy)
        self._unused: dict[str, list[str]] = {}  # by vault, as it was before anything is placed

    def of(self, vm: Vm) -> Place | str:
        """Return the place of a VM, or why there is none."""
        if vm.location is None or vm.arm.subscription is None:
            return "its region is not known"
        key = (fold(vm.arm.subscription), vm.location)
        for vault in self._by_place[key]:
            if self._is_right(vault):
                policy = self._policy_in(vault)
                if policy is not None:
                    vault.vms += 1
                    policy_id, properties = policy
                    self._situation.vms_on[fold(policy_id)] = self._situation.vms_on.get(fold(policy_id), 0) + 1
                    return Place(vault, policy_id, properties, f"intent {vault.intent}")
        made = self._new(vm)
        if isinstance(made, str):
            return made
        self._by_place[key].append(made)
        return self.of(vm)

    def _is_right(self, vault: Vault) -> bool:
        """Whether a vault may take one more VM: the redundancy is what its intent asks for, and there is room."""
        known = vault.planned or vault.items_known
        right = vault.redundancy in self._accepted.get(vault.intent or "", ())
        return known and right and vault.vms < self._settings.vms_per_vault

    def _policy_in(self, vault: Vault) -> tuple[str, dict[str, Any] | None] | None:
        """Return a policy of a vault that passes the rules: one that is there before one that is defined."""
        there = self._situation.policies_of.get(vault.key, ())
        unused = self._serving(vault.key)
        for key in (*(key for key in there if key not in unused), *unused):
            used = self._situation.vms_on.get(key, 0)
            fails = key in self._situation.failing_policies or key in self._situation.doubtful_policies
            # Whether a policy that nothing uses is right was not judged: taken is one that does what the template asks.
            right = key in unused or (used and not fails)
            if right and used < self._settings.vms_per_policy:
                return self._situation.policies[key].id, None
        for number in range(1, 100):
            suffix = "" if number == 1 else f"-{number}"
            policy_id = f"{vault.id}/backupPolicies/{self._settings.policy.name}{suffix}"
            key = fold(policy_id)
            if key in self._situation.policies or self._situation.vms_on.get(key, 0) >= self._settings.vms_per_policy:
                continue
            if len(there) + number > MOST_POLICIES:
                return None
            return policy_id, self._wanted
        return None

    def _serving(self, vault: str) -> Sequence[str]:
        """Return the policies of a vault that nothing uses and that do what the template asks."""
        if vault not in self._unused:
            policies = self._situation.policies
            self._unused[vault] = [
                key
                for key in self._situation.policies_of.get(vault, ())
                if not self._situation.vms_on.get(key) and serves(policies[key], self._wanted)
            ]
        return self._unused[vault]

    def _new(self, vm: Vm) -> Vault | str:
        """Plan a vault for a VM, or say what is missing for it."""
        template = self._settings.vault
        if template.resource_group is None:
            return "no vault is right for it, and remediation.vault.resource_group does not say where to create one"
        subscription = str(vm.arm.subscription)
        group = f"/subscriptions/{subscription}/resourceGroups/{template.resource_group}"
        if fold(group) not in self._situation.groups:
            return (
                f"no vault is right for it, and the resource group {template.resource_group} for a new one is not there"
            )
        intent = self._intent(f"{group}/providers/Microsoft.RecoveryServices/vaults/new", subscription)
        redundancy = redundancy_of(intent, self._accepted)
        if redundancy is None:
            return "no vault is right for it, and nobody declared what a new one is for (--primary-endpoint, intents)"
        if redundancy == "GeoRedundant" and vm.location in UNPAIRED_REGIONS:
            return "no vault is right for it, and its region has no pair for a geo-redundant one: declare zone"
        name = template.name.replace("{location}", str(vm.location)).replace("{intent}", str(intent))
        name = self._free(group, name[:_LONGEST_NAME])
        return Vault(
            id=f"{group}/providers/Microsoft.RecoveryServices/vaults/{name}",
            location=vm.location,
            subscription=fold(subscription),
            intent=intent,
            redundancy=redundancy,
            redundancy_state="Unlocked",
            soft_delete="Enabled",
            soft_delete_days=float(template.soft_delete_days),
            told={},
            guarded=False,
            vms=0,
            other_items=0,
            items_known=True,
            planned=True,
        )

    def _free(self, group: str, name: str) -> str:
        """Return a name that no vault of a resource group has: the number that is added takes the place of its end."""
        number, found = 1, name
        while self._taken(group, found):
            number += 1
            found = f"{name[: _LONGEST_NAME - 1 - len(str(number))]}-{number}"
        return found

    def _taken(self, group: str, name: str) -> bool:
        key = fold(f"{group}/providers/Microsoft.RecoveryServices/vaults/{name}")
        planned = any(vault.key == key for vaults in self._by_place.values() for vault in vaults)
        return planned or key in self._situation.vaults

    def _intent(self, vault_id: str, subscription: str) -> str | None:
        """Return what a vault of that id would be declared to be for; it would have the tags of the template."""
        tag = {fold(name): value for name, value in self._settings.vault.tags.items()}.get("backup-primary-endpoint")
        chain = self._situation.management_groups.get(fold(subscription))
        value = fold(tag.strip()) if tag is not None else None
        return self._intents.of(VaultFacts(fold(vault_id), value, tag_known=True, management_groups=chain)).intent
