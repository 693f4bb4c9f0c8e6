"""Which subscriptions are read, which of them are judged, and whether they can be seen whole."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from auditor.azure.calls import Caller, Failure
from auditor.azure.graph import GraphReader, QueryScope
from auditor.azure.lists import read_list
from auditor.azure.pace import GraphQuota, Rate
from auditor.azure.permissions import NEEDED, Grant, missing_of, read_grants
from auditor.azure.workers import each
from auditor.inventory.model import EVERY_TABLE, Gap
from auditor.inventory.tables import SCALE_SETS, SUBSCRIPTIONS, VIRTUAL_MACHINES
from auditor.text import fold

VERSION = "2022-12-01"
GROUPS_VERSION = "2020-05-01"
_ENDED = ("disabled", "deleted")  # states of subscriptions that Resource Graph need not show
# Read where they are judged; everything else may belong to them wherever it is.
JUDGED_ONLY = (VIRTUAL_MACHINES.name, SCALE_SETS.name)
BATCH = 300  # subscriptions that one query names
_WORKERS = 10
_PER_SECOND = 20.0  # reads that no quota of Resource Manager minds, for each subscription and for the tenant
_ROLE = "Ask for the role Reader on the whole subscription (docs/permissions.md has the least)."


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for.

    Attributes:
        subscriptions: ids of what is judged; with no management groups either, all of the tenant.
        management_groups: the same by group.
        instance_views: read them for running VMs.
        per_second: how many details of a subscription are read in a second.
    """

    subscriptions: tuple[str, ...] = ()
    management_groups: tuple[str, ...] = ()
    instance_views: bool = True
    per_second: float = _PER_SECOND

    @property
    def scope(self) -> tuple[str, ...]:
        """The same as ids of Azure, sorted; empty for the whole tenant."""
        groups = (f"/providers/Microsoft.Management/managementGroups/{name}" for name in self.management_groups)
        return tuple(sorted({*(f"/subscriptions/{fold(name)}" for name in self.subscriptions), *groups}))


class Subscription(msgspec.Struct, frozen=True):
    """A subscription as Resource Manager lists it; ``tenant`` is that of its owner, whoever manages it."""

    id: str = msgspec.field(name="subscriptionId")
    name: Any = msgspec.field(name="displayName", default="")
    tenant_id: Any = msgspec.field(name="tenantId", default="")
    state: Any = ""

    @property
    def tenant(self) -> str:
        """The folded id of the tenant, empty where the list does not say it."""
        return fold(self.tenant_id) if isinstance(self.tenant_id, str) else ""


@dataclass(frozen=True, slots=True)
class Reach:
    """Where is read, and what is judged.

    Attributes:
        asked: folded ids of the subscriptions that somebody wants judged.
        judged: those of them that can be seen.
        read: those that are looked into, the judged ones among them: what belongs to a VM may lie in another.
        enabled: those of them that are in use.
        whole: the whole tenant is read.
        gaps: what was asked for and cannot be seen, or not whole.
        notices: what is worth knowing.
        batched: queries name their subscriptions, however many there are.
    """

    asked: frozenset[str] = frozenset()
    judged: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()
    enabled: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    notices: tuple[str, ...] = ()
    batched: bool = False

    @property
    def key(self) -> str:
        """A hash of what can be seen, and of what cannot."""
        seen = [sorted(self.asked), sorted(self.judged), sorted(self.read), sorted(self.gaps), self.groups]
        return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()

    def scopes(self, *, judged_only: bool) -> list[QueryScope]:
        """Return the scopes of the queries that together look at everything once."""
        within = sorted(self.judged if judged_only else self.read)
        if len(within) <= BATCH or self.batched or (judged_only and not self.groups and self.judged != self.read):
            return [QueryScope(tuple(within[at : at + BATCH])) for at in range(0, len(within), BATCH)]
        return [QueryScope((), self.groups if judged_only else ())]

    def in_batches(self) -> "Reach":
        """Return the same with queries that name their subscriptions."""
        return replace(self, batched=True)


def list_subscriptions(caller: Caller, rate: Rate) -> list[Subscription] | Failure:
    """List the subscriptions that the caller sees anything of."""
    return read_list(caller, "/subscriptions", VERSION, rate, Subscription)


def find_reach(caller: Caller, quota: GraphQuota, asked: Asked) -> Reach:
    """Find out where to read.

    By default that is the tenant of the identity: subscriptions of others that it may manage (Azure Lighthouse) are
    left out unless they are asked for.

    Raises:
        AzureError: Azure was not reached.
        StoppedError: somebody asked to stop.
    """
    rate = Rate(_PER_SECOND, caller.timing)
    listed = list_subscriptions(caller, rate)
    principal = caller.session.identity.name
    if isinstance(listed, Failure):
        cause = f"the list of subscriptions could not be read: {listed}"
        gap = Gap(EVERY_TABLE, "", "refused", cause, f"{principal} needs the role Reader on the subscriptions.")
        return Reach(asked=frozenset(map(fold, asked.subscriptions)), gaps=(gap,))
    visible = {fold(one.id): one for one in listed}
    wanted = [fold(name) for name in asked.subscriptions]
    gaps: list[Gap] = []
    for group in asked.management_groups:
        within, failure = _within(caller, quota, group, rate)
        wanted += within
        if failure is not None:
            cause = f"which subscriptions are in management group {group} could not be read: {failure}"
            gaps.append(Gap(EVERY_TABLE, "", "refused", cause, "Check its id, and ask for Reader on it."))
    gaps += [_unseen(name, caller) for name in dict.fromkeys(wanted) if name not in visible]
    home = caller.session.identity.tenant
    tenants = {home, "", *(visible[name].tenant for name in wanted if name in visible)}
    read = {key for key, one in visible.items() if not home or one.tenant in tenants}
    judged = {name for name in wanted if name in visible} if asked.scope else read
    notices = []
    if len(read) < len(visible):
        notices.append(
            f"Subscriptions of other tenants can be seen and were not asked for: {len(visible) - len(read):,} of them "
            "(--subscription or --tenant reads them)."
        )
    if not visible:
        hint = f"{principal} needs the role Reader on them; is it the right tenant?"
        gaps.append(Gap(EVERY_TABLE, "", "refused", f"no subscription is visible to {principal}", hint))
    gaps += _unseen_parts(caller, visible, frozenset(read | judged), frozenset(judged))
    return Reach(
        asked=frozenset(wanted) if asked.scope else frozenset(judged),
        judged=frozenset(judged),
        read=frozenset(read | judged),
        enabled=frozenset(key for key in read | judged if str(visible[key].state).lower() not in _ENDED),
        groups=asked.management_groups if not asked.subscriptions else (),
        gaps=tuple(gaps),
        notices=tuple(notices),
    )


def _unseen(subscription: str, caller: Caller) -> Gap:
    cause = f"subscription {subscription} was asked for and is not visible to {caller.session.identity.name}"
    hint = "Check its id and the tenant, and ask for the role Reader on it."
    return Gap(EVERY_TABLE, subscription, "refused", cause, hint)


class _Descendant(msgspec.Struct, frozen=True):
    name: str
    type: str = ""


def _within(caller: Caller, quota: GraphQuota, group: str, rate: Rate) -> tuple[list[str], Failure | None]:
    """Return the subscriptions below a management group, and why they may not be all.

    Resource Manager names those too that the caller cannot see into; Resource Graph leaves them out.
    """
    path = f"/providers/Microsoft.Management/managementGroups/{group}/descendants"
    listed = read_list(caller, path, GROUPS_VERSION, rate, _Descendant)
    if not isinstance(listed, Failure):
        return [fold(entry.name) for entry in listed if fold(entry.type).endswith("/subscriptions")], None
    rows = GraphReader(caller, quota).whole(SUBSCRIPTIONS, QueryScope((), (group,)))
    if isinstance(rows, Failure):
        return [], rows
    return [fold(str(row.id)).rpartition("/")[2] for row in rows], listed


def _unseen_parts(
    caller: Caller, listed: Mapping[str, Subscription], read: frozenset[str], judged: frozenset[str]
) -> Iterable[Gap]:
    """Find the subscriptions that are seen in part only.

    Resource Graph leaves out what one may not see. To somebody who may see one resource group of a subscription, the
    VMs in it look as if they had no backup when the vault is in another.
    """
    rate = Rate(_PER_SECOND, caller.timing)

    def look(key: str) -> tuple[str, list[Grant] | Failure]:
        return key, read_grants(caller, listed[key].id, rate)

    for key, grants in sorted(each(look, sorted(read), _WORKERS, caller.timing), key=lambda pair: pair[0]):
        if isinstance(grants, Failure) or not grants:
            why = str(grants) if isinstance(grants, Failure) else "no role is assigned on the whole of it"
            cause = f"whether subscription {key} can be seen whole is not known: {why}"
            yield Gap(EVERY_TABLE, key, "refused", cause, _ROLE)
            continue
        for table, action in NEEDED.items():
            looked_at = key in judged or table not in JUDGED_ONLY
            if looked_at and missing_of(grants, [action]):
                cause = f"{table.replace('_', ' ')} of subscription {key} may be hidden: {action} is missing"
                yield Gap(table, key, "refused", cause, _ROLE)
