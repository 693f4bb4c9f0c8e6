"""What stands between somebody and a good reading: identity, permissions, providers, quota, clock."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from auditor.azure.calls import Caller, Failure
from auditor.azure.graph import GraphReader
from auditor.azure.pace import GraphQuota, Rate
from auditor.azure.permissions import DETAILS, NEEDED, missing_of, read_grants
from auditor.azure.scope import JUDGED_ONLY, Asked, Reach, Subscription, find_reach, list_subscriptions
from auditor.azure.workers import each
from auditor.inventory.projection import GRAPH_TABLES

PROVIDERS_VERSION = "2021-04-01"
_PROVIDERS = ("Microsoft.RecoveryServices", "Microsoft.Compute")
_WORKERS = 10
_PER_SECOND = 20.0
_VAULT = "Microsoft.RecoveryServices/Vaults"
_ITEM = f"{_VAULT}/backupFabrics/protectionContainers/protectedItems"
# What remediation does, and the built-in role with the fewest other rights that allows it.
REMEDIATION = {
    f"{_VAULT}/write": "Backup Contributor",
    f"{_VAULT}/backupPolicies/write": "Backup Contributor",
    f"{_ITEM}/write": "Backup Contributor",
    f"{_ITEM}/backup/action": "Backup Contributor",
    "Microsoft.RecoveryServices/locations/backupStatus/action": "Backup Contributor",
    "Microsoft.RecoveryServices/locations/backupPreValidateProtection/action": "Backup Contributor",
    "Microsoft.RecoveryServices/locations/backupValidateFeatures/action": "Backup Contributor",
    # The role of that name also reads keys of storage accounts: one of your own with this and read is less.
    "Microsoft.Compute/virtualMachines/write": "Virtual Machine Contributor (or less: docs/permissions.md)",
}


@dataclass(frozen=True, slots=True)
class SubscriptionHealth:
    """What somebody may do in a subscription, and what is registered there.

    Attributes:
        id: folded.
        name: its display name.
        judged: whether the next audit would judge it.
        unseen: why it cannot be seen whole; empty when it can.
        missing: actions that an audit needs and that are not allowed.
        lacking: roles that remediation would need -> the actions that are missing.
        unregistered: providers that are not registered.
    """

    id: str
    name: str
    judged: bool
    unseen: str
    missing: tuple[str, ...] = ()
    lacking: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unregistered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found out.

    Attributes:
        reach: where the next audit would read.
        subscriptions: each of those that it would read.
        rows: how many rows each table has there; ``None`` where that could not be read.
        skew: seconds by which Azure's clock is ahead of this one.
        quota: queries of Resource Graph that are left, and of how many.
        reads_left: reads of Resource Manager that are left, by its own word.
        seconds: how long reading would take, at the least.
    """

    reach: Reach
    subscriptions: tuple[SubscriptionHealth, ...]
    rows: Mapping[str, int | None]
    skew: float | None
    quota: tuple[int, int] | None
    reads_left: int | None
    seconds: float

    @property
    def complaints(self) -> tuple[str, ...]:
        """What keeps an audit from reading all that it was asked for."""
        return tuple(gap.cause for gap in self.reach.gaps)


class _Provider(msgspec.Struct, frozen=True):
    namespace: str
    state: str = msgspec.field(name="registrationState", default="")


def diagnose(caller: Caller, asked: Asked) -> Diagnosis:
    """Look at everything that the next audit would, and at what remediation would need.

    Raises:
        AzureError: Azure was not reached, or refused the identity.
        StoppedError: somebody asked to stop.
    """
    quota = GraphQuota(caller.timing)
    reach = find_reach(caller, quota, asked)
    rate = Rate(_PER_SECOND, caller.timing)
    listed = list_subscriptions(caller, rate)
    known = {one.id.lower(): one for one in listed} if not isinstance(listed, Failure) else {}
    order = sorted(reach.read)
    health = {
        entry.id: entry
        for entry in each(lambda key: _health(caller, known[key], reach, rate, asked), order, _WORKERS, caller.timing)
    }
    reader = GraphReader(caller, quota)
    rows: dict[str, int | None] = {}
    for table in GRAPH_TABLES if reach.read else ():
        scopes = reach.scopes(judged_only=table.name in JUDGED_ONLY)
        counted = [reader.count(table, scope) for scope in scopes]
        known_counts = [count for count in counted if count is not None]
        rows[table.name] = sum(known_counts) if len(known_counts) == len(counted) else None
    return Diagnosis(
        reach=reach,
        subscriptions=tuple(health[key] for key in order),
        rows=rows,
        skew=caller.skew,
        quota=quota.known,
        reads_left=caller.reads_left,
        seconds=_seconds(rows, asked, len(reach.judged)),
    )


def _health(caller: Caller, subscription: Subscription, reach: Reach, rate: Rate, asked: Asked) -> SubscriptionHealth:
    key, name = subscription.id.lower(), str(subscription.name or "")
    grants = read_grants(caller, subscription.id, rate)
    unregistered = tuple(
        provider
        for provider in _PROVIDERS
        if _state(caller, subscription.id, provider, rate) in ("notregistered", "unregistered")
    )
    if isinstance(grants, Failure) or not grants:
        why = str(grants) if isinstance(grants, Failure) else "no role is assigned on the whole of it"
        return SubscriptionHealth(key, name, key in reach.judged, why, unregistered=unregistered)
    lacking: dict[str, list[str]] = {}
    for action in missing_of(grants, REMEDIATION):
        lacking.setdefault(REMEDIATION[action], []).append(action)
    judged = key in reach.judged
    tables = [action for table, action in NEEDED.items() if judged or table not in JUDGED_ONLY]
    details = [
        action for kind, action in DETAILS.items() if judged and (asked.instance_views or kind != "instance_views")
    ]
    missing = tuple(missing_of(grants, [*tables, *details]))
    return SubscriptionHealth(key, name, judged, "", missing, lacking, unregistered=unregistered)


def _state(caller: Caller, subscription: str, provider: str, rate: Rate) -> str:
    """Return whether a provider is registered, in small letters; empty when that cannot be read."""
    path = f"/subscriptions/{subscription}/providers/{provider}"
    got = caller.get(path, PROVIDERS_VERSION, rate, msgspec.json.Decoder(_Provider).decode)
    return "" if isinstance(got, Failure) else str(got.content.state).lower()


def _seconds(rows: Mapping[str, int | None], asked: Asked, subscriptions: int) -> float:
    """Estimate how long reading takes at the least: 15 queries in five seconds, then a rate for each subscription."""
    queries = sum(math.ceil((count or 0) / 900) or 1 for count in rows.values())
    details = (rows.get("virtual_machines") or 0) if asked.instance_views else 0
    return queries / 3.0 + details / (asked.per_second * max(subscriptions, 1))
