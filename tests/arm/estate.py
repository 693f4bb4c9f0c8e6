"""What is there in Azure: resources by id, subscriptions, groups, and which change shows when in Resource Graph."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import RLock

from arm.ids import GROUP, SUBSCRIPTION, Json, key_of, kind_of, vault_key_of, where

TENANT = "99999999-9999-9999-9999-999999999999"


@dataclass(frozen=True)
class Change:
    """A resource as it is after a change, ``None`` when it is gone; Resource Graph shows it from ``visible`` on."""

    visible: float
    key: str
    resource: Json | None


class Estate:
    """The resources of one or more tenants.

    Args:
        resources: ARM objects as exports have them, in any case; of two with one id the later counts. Subscriptions and
            resource groups that only occur in ids are there too.
        tenant: the tenant of every subscription that does not name its own in ``tenantId``.
        names: what subscriptions and management groups are called, by their ids.
        groups: the members of management groups by name: ids of subscriptions, names of groups.
        unregistered: providers that a subscription is not registered to use: ``{subscription: ["Microsoft.Compute"]}``.
    """

    def __init__(
        self,
        resources: Iterable[Mapping[str, object]] = (),
        *,
        tenant: str = TENANT,
        names: Mapping[str, str] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        unregistered: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self.tenant = tenant.lower()
        self.names = {name.lower(): title for name, title in (names or {}).items()}
        self.groups = {name: [member.lower() for member in members] for name, members in (groups or {}).items()}
        self.unregistered = {
            (subscription.lower(), provider.lower())
            for subscription, providers in (unregistered or {}).items()
            for provider in providers
        }
        self.lock = RLock()
        self.resources: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self.resource_groups: dict[str, Json] = {}
        self.version = 0
        self.changes: list[Change] = []
        self._inside: dict[tuple[str, str], dict[str, None]] = {}
        self._of_kind: dict[tuple[str, str], dict[str, None]] = {}
        for resource in resources:
            self.put(resource)
        for name in self.names:
            if len(name) == 36 and name.count("-") == 4 and name not in self._management_group_keys():
                self._know_subscription(name)
        self.changes.clear()

    def put(self, resource: Mapping[str, object], *, visible: float = 0.0) -> None:
        """Add or replace a resource; Resource Graph shows it from the server's time ``visible`` on."""
        entry = dict(resource)
        key = key_of(str(entry["id"]))
        kind = kind_of(entry)
        place = where(key)
        with self.lock:
            if place.subscription:
                self._know_subscription(place.subscription)
            if place.group:
                self._know_group(str(entry["id"]), entry.get("location"))
            if kind == SUBSCRIPTION:
                self.subscriptions[place.subscription] = entry
            elif kind == GROUP:
                self.resource_groups[key] = entry
            else:
                self.resources[key] = entry
                self._inside.setdefault((vault_key_of(key), kind), {})[key] = None
                self._of_kind.setdefault((place.subscription, kind), {})[key] = None
            self.version += 1
            self.changes.append(Change(visible, key, entry))

    def remove(self, identifier: str, *, visible: float = 0.0) -> None:
        key = key_of(identifier)
        with self.lock:
            gone = self.resources.pop(key, None)
            if gone is None:
                return
            self._inside[vault_key_of(key), kind_of(gone)].pop(key, None)
            self._of_kind[where(key).subscription, kind_of(gone)].pop(key, None)
            self.version += 1
            self.changes.append(Change(visible, key, None))

    def get(self, identifier: str) -> Json | None:
        return self.resources.get(key_of(identifier))

    def inside(self, vault: str, kind: str) -> list[Json]:
        """Return what is in a vault of one type, in the order in which it came."""
        return [self.resources[key] for key in self._inside.get((key_of(vault), kind), ())]

    def of_kind(self, kind: str, subscription: str, group: str = "") -> list[Json]:
        keys = self._of_kind.get((subscription.lower(), kind), ())
        return [self.resources[key] for key in keys if not group or where(key).group.lower() == group.lower()]

    def everywhere(self, kind: str) -> Iterator[Json]:
        """Return the resources of one type in all subscriptions."""
        for subscription in self.subscriptions:
            yield from self.of_kind(kind, subscription)

    def has_group(self, subscription: str, group: str) -> bool:
        return f"/subscriptions/{subscription}/resourcegroups/{group}".lower() in self.resource_groups

    def tenant_of(self, subscription: str) -> str:
        return str(self.subscriptions.get(subscription.lower(), {}).get("tenantId") or self.tenant).lower()

    def tenants(self) -> list[str]:
        """Return the tenants, the estate's own first."""
        return list(dict.fromkeys([self.tenant, *map(self.tenant_of, self.subscriptions)]))

    def title_of(self, subscription: str) -> str:
        entry = self.subscriptions.get(subscription, {})
        return str(self.names.get(subscription) or entry.get("displayName") or entry.get("name") or subscription)

    def chain_of(self, member: str) -> list[Json]:
        """Return the management groups above a subscription or a group, the nearest first, the tenant's root last."""
        chain: list[Json] = []
        above: str | None = member.lower()
        while above is not None and len(chain) < 10:
            above = next((name for name, members in self.groups.items() if above in members), None)
            if above is not None:
                chain.append({"displayName": self.names.get(above.lower(), above), "name": above})
                above = above.lower()
        root = self.tenant_of(member)
        return [*chain, {"displayName": self.names.get(root, "Tenant Root Group"), "name": root}]

    def below(self, group: str) -> list[str] | None:
        """Return the subscriptions below a management group, or ``None`` when there is no such group."""
        if group.lower() == self.tenant:
            return [entry for entry in self.subscriptions if self.tenant_of(entry) == self.tenant]
        members = next((found for name, found in self.groups.items() if name.lower() == group.lower()), None)
        if members is None:
            return None
        found: dict[str, None] = {}
        for member in members:
            found.update(dict.fromkeys([member] if member in self.subscriptions else self.below(member) or ()))
        return list(found)

    def _management_group_keys(self) -> set[str]:
        return {self.tenant, *(name.lower() for name in self.groups)}

    def _know_subscription(self, subscription: str) -> None:
        self.subscriptions.setdefault(
            subscription, {"id": f"/subscriptions/{subscription}", "type": "Microsoft.Resources/subscriptions"}
        )

    def _know_group(self, identifier: str, location: object) -> None:
        parts = identifier.strip("/").split("/")
        place = f"/subscriptions/{parts[1]}/resourceGroups/{parts[3]}"
        self.resource_groups.setdefault(
            place.lower(),
            {
                "id": place,
                "name": parts[3],
                "type": "Microsoft.Resources/resourceGroups",
                "location": location or "westeurope",
                "properties": {"provisioningState": "Succeeded"},
            },
        )
