"""Azure, read -> inventory: subscriptions, tables, what Resource Graph lacks, and what could not be read."""

import contextlib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from auditor.arm_id import parse_arm_id
from auditor.azure.calls import GRAPH_VERSION, Caller, Failure, Unusable
from auditor.azure.checkpoint import Checkpoint
from auditor.azure.details import (
    BACKUP_VERSION,
    COMPUTE_VERSION,
    ITEM,
    SOURCE,
    DetailReader,
    Found,
    Wanted,
    rows_of_detail,
    subscription_of,
    table_of_detail,
)
from auditor.azure.graph import GraphReader, Part, Read, kept_read, parts_short_of
from auditor.azure.pace import GraphQuota
from auditor.azure.permissions import DETAILS
from auditor.azure.scope import JUDGED_ONLY, Asked, Reach, find_reach
from auditor.azure.workers import each
from auditor.inventory.decode import Row, make_row
from auditor.inventory.model import EVERY_TABLE, Gap, GapKind, Inventory, Origin, Problem, Source
from auditor.inventory.projection import GRAPH_TABLES, projection_of
from auditor.inventory.spool import Spool
from auditor.inventory.tables import (
    PROTECTED_ITEMS,
    STORAGE_CONFIGS,
    SUBSCRIPTIONS,
    VAULT_CONFIGS,
    VAULTS,
    VIRTUAL_MACHINES,
    Table,
)
from auditor.text import fold

GRAPH_SOURCE = "Resource Graph"
_WORKERS = 10  # as many connections as the transport keeps open
_SKEW = 5.0  # seconds; less may be the way of an answer, whose time is told in whole seconds
_ROLE = "Ask for the role Reader on the subscription (docs/permissions.md has the least)."


class Progress(Protocol):
    """Is told how reading goes on."""

    def table(self, name: str, rows: int, total: int) -> None:
        """So many rows of a table were read, of so many that there are."""

    def details(self, kind: str, done: int, total: int) -> None:
        """So many details of a kind were asked for, of so many."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What reading cost: requests sent, and seconds that Resource Graph's quota made it wait."""

    requests: int
    waited: float


class LiveReader:
    """Reads one inventory."""

    def __init__(self, caller: Caller, asked: Asked, spool: Spool, kept: Checkpoint | None, progress: Progress) -> None:
        """Begin with nothing read.

        Args:
            caller: who asks.
            asked: what for.
            spool: takes the rows.
            kept: what was read before, and where to keep what is read now.
            progress: is told how it goes.
        """
        self._caller = caller
        self._asked = asked
        self._spool = spool
        self._kept = kept
        self._progress = progress
        self._quota = GraphQuota(caller.timing)
        self._graph = GraphReader(caller, self._quota)
        self._gaps: set[Gap] = set()
        self._hashes: defaultdict[str, list[str]] = defaultdict(list)
        self._read: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._wanted = _Wanted(asked.instance_views)

    def read(self, started: int, now: Callable[[], int]) -> Inventory:
        """Read everything.

        Args:
            started: when reading began, in microseconds since 1970 UTC; perhaps in an earlier run.
            now: the time.

        Raises:
            AzureError: Azure was not reached, or refused the identity.
            StoppedError: somebody asked to stop.
            OSError: what is read cannot be written.
        """
        reach = find_reach(self._caller, self._quota, self._asked)
        skew = self._caller.skew or 0.0
        # Ages go by the time of the inventory; where this machine's clock is wrong, Azure's is not.
        offset = round(skew * 1_000_000) if abs(skew) > _SKEW else 0
        self._gaps |= set(reach.gaps)
        self._wanted.judged = reach.judged
        if self._kept is not None:
            self._kept.looks_into(reach.key, started)
            started = self._kept.question.started
        self._read_tables(reach)
        self._compare_subscriptions(reach)
        views, listed = self._read_details()
        self._spool.revise(VIRTUAL_MACHINES.name, lambda cells: _without_power(cells, views))
        self._spool.revise(PROTECTED_ITEMS.name, lambda cells: _superseded(cells, listed))
        self._spool.close()
        identity = self._caller.session.identity
        return Inventory(
            spool=self._spool.paths,
            longest=self._spool.longest,
            rows={table: count for table, count in self._spool.rows.items() if count},
            gaps=tuple(sorted(self._gaps)),
            problems=tuple(sorted(set(self._spool.problems))),
            sources=tuple(
                Source(f"{name}", hashlib.sha256("".join(sorted(parts)).encode()).hexdigest(), self._read[name])
                for name, parts in sorted(self._hashes.items())
            ),
            ignored={},
            passed_over=(),
            collected_at=started + offset,
            collected_until=max(started, now()) + offset,
            notices=(*reach.notices, *_clock_notice(skew)),
            ascii=self._spool.ascii,
            looked_into=reach.read - reach.judged,
            origin=Origin(
                tenant=identity.tenant,
                cloud=self._caller.session.cloud.name,
                principal=identity.name,
                scope=self._asked.scope,
                judged=reach.asked,
                read=reach.read,
                queries=asked_queries(),
            ),
        )

    @property
    def spent(self) -> Spent:
        """What it cost so far."""
        return Spent(self._caller.sent, self._quota.waited)

    def _read_tables(self, reach: Reach) -> None:
        tables = [
            Part(table, scope, 0, 1)
            for table in GRAPH_TABLES
            for scope in reach.scopes(judged_only=table.name in JUDGED_ONLY)
        ]
        larger: list[Part] = []
        counted: dict[Part, int] = {}
        rows: Counter[Part] = Counter()
        cut = set()

        def take(read: Read) -> None:
            whole = read.part._replace(part=0, parts=1)
            rows[whole] += read.rows
            if read.failure is not None:
                cut.add(whole)
            self._take(read, reach)

        limited = False
        for read in self._each(tables, self._begin):
            limited = limited or read.limited
            self._totals[read.part.table.name] += read.total
            larger += read.others
            if read.more:
                counted[read.part] = read.total
            if read.first is not None or not read.more:
                take(read.first or read)
        if limited and not reach.batched:
            # More subscriptions than a query without a list of them looks into: what it gave is a part of it all.
            self._start_over(reach.in_batches())
            return
        for read in self._each(larger, self._part):
            take(read)
        for whole, total in counted.items():
            if rows[whole] < total and whole not in cut:
                failure = parts_short_of(total, self._graph.count(whole.table, whole.scope), rows[whole])
                if failure is not None:
                    self._gap(whole, failure, reach)

    def _start_over(self, reach: Reach) -> None:
        self._totals.clear()
        self._read.clear()
        self._hashes.clear()
        for table in GRAPH_TABLES:
            self._spool.revise(table.name, lambda _: None)
        self._read_tables(reach)

    def _each(self, parts: Sequence[Part], work: Callable[[Part], Read]) -> Iterator[Read]:
        with closing(each(work, parts, min(_WORKERS, max(len(parts), 1)), self._caller.timing)) as results:
            for read in results:
                for one in (read, read.first):
                    if self._kept is not None and one is not None:
                        self._kept.keep(one)
                yield read

    def _begin(self, part: Part) -> Read:
        known = self._kept.parts_of(part.table, part.scope) if self._kept is not None else None
        if known is not None:
            return Read(part, total=known[0], more=known[1])
        return self._held(part) or self._graph.begin(part.table, part.scope)

    def _part(self, part: Part) -> Read:
        return self._held(part) or self._graph.read(part)

    def _held(self, part: Part) -> Read | None:
        """Return a part that an earlier run read, as it would be read now; what is damaged is read again."""
        pages = self._kept.pages(part) if self._kept is not None else None
        if not pages:
            return None
        with contextlib.suppress(msgspec.DecodeError, Unusable):
            return kept_read(part, pages)
        return None

    def _take(self, read: Read, reach: Reach) -> None:
        """Take in the rows of a part, as far as they are of subscriptions that were to be read."""
        table = read.part.table
        projection = projection_of(table)
        wanted = reach.judged if table.name in JUDGED_ONLY else reach.read
        unusable = 0
        for page in read.pages:
            rows = []
            for entry in page.rows:
                arm_id = parse_arm_id(entry.id) if isinstance(entry.id, str) else None
                if arm_id is None:
                    unusable += 1
                    continue
                if arm_id.subscription is not None and fold(arm_id.subscription) not in wanted:
                    continue
                row = make_row(arm_id, entry.name, entry.tags, projection.values(entry), table, GRAPH_SOURCE)
                rows.append(row)
                self._wanted.see(table, row.cells)
            self._read[GRAPH_SOURCE] += self._spool.add(table.name, rows)
            self._hashes[GRAPH_SOURCE].append(hashlib.sha256(page.body).hexdigest())
        if unusable:
            cause = f"{unusable} rows of {_words(table.name)} have no usable id"
            self._gaps.add(
                Gap(table.name, "", "unreadable", cause, "Report it: Resource Graph gives an id to every row.")
            )
        if read.failure is not None:
            self._gap(read.part, read.failure, reach)
        self._progress.table(table.name, self._spool.rows[table.name], self._totals[table.name])

    def _gap(self, part: Part, failure: Failure, reach: Reach) -> None:
        """Note that a table was not read whole, in each subscription that the query looked into."""
        table = part.table.name
        kind: GapKind = "refused" if failure.refused else "cut-short"
        cause = f"{_words(table)} were not read to their end: {failure}"
        within = [fold(subscription) for subscription in part.scope.subscriptions]
        if set(within) >= reach.read:
            within = []
        self._gaps |= {Gap(table, subscription, kind, cause, _hint(failure)) for subscription in within or [""]}

    def _compare_subscriptions(self, reach: Reach) -> None:
        """Compare what Resource Graph shows with the list of subscriptions: it leaves out, and does not say so."""
        failed = any(gap.table == SUBSCRIPTIONS.name for gap in self._gaps)
        for subscription in sorted(reach.enabled - self._wanted.subscriptions) if not failed else ():
            cause = f"subscription {subscription} is listed, and Resource Graph does not show it"
            hint = "It takes a while to show new subscriptions and roles; then run it again."
            self._gaps.add(Gap(EVERY_TABLE, subscription, "refused", cause, hint))

    def _read_details(self) -> tuple[set[str], "_Listed"]:
        """Read what Resource Graph lacks.

        Returns:
            The folded ids of the VMs whose instance view was read, and what vaults say of their items themselves.
        """
        reader = DetailReader(self._caller, self._asked.per_second)
        views: set[str] = set()
        listed = _Listed()
        self._read_each(self._wanted.details(), reader, views, listed)
        # What Resource Graph shows and the vault does not list is gone, or the list left it out: the item itself tells.
        self._read_each(self._wanted.unlisted(listed), reader, views, listed)
        return views, listed

    def _read_each(self, wanted: Sequence[Wanted], reader: DetailReader, views: set[str], listed: "_Listed") -> None:
        totals = Counter(one.kind for one in wanted)
        done: Counter[str] = Counter()
        failures: defaultdict[tuple[str, str, str], list[tuple[str, Failure]]] = defaultdict(list)
        for found in self._found(wanted, reader):
            kind, key = found.wanted.kind, fold(found.wanted.id)
            done[kind] += 1
            if kind != ITEM:
                self._progress.details(kind, done[kind], totals[kind])
            rows = found.failure or rows_of_detail(found.wanted, found.content)
            if kind == ITEM and isinstance(rows, Failure) and rows.status == 404:
                listed.gone.add(key)
                continue
            if isinstance(rows, Failure):
                failures[kind, subscription_of(key), rows.code].append((found.wanted.id, rows))
                continue
            self._read[SOURCE] += self._spool.add(table_of_detail(kind).name, rows)
            self._hashes[SOURCE].append(hashlib.sha256(msgspec.json.encode(found.content)).hexdigest())
            if kind == "instance_views":
                views.add(key)
            elif kind in ("vault_items", ITEM):
                listed.take(key if kind == "vault_items" else "", rows)
        for (kind, subscription, _), failed in sorted(failures.items()):
            self._detail_gap(
                "vault_items" if kind == ITEM else kind, subscription, sorted(failed, key=lambda pair: fold(pair[0]))
            )

    def _found(self, wanted: Sequence[Wanted], reader: DetailReader) -> Iterator[Found]:
        left = set(wanted)
        if self._kept is not None:
            for found in self._kept.details():
                if found.wanted in left:
                    left.remove(found.wanted)
                    yield found
        with closing(reader.read(one for one in wanted if one in left)) as results:
            for found in results:
                if self._kept is not None and found.failure is None:
                    self._kept.keep_detail(found)
                yield found

    def _detail_gap(self, kind: str, subscription: str, failed: Sequence[tuple[str, Failure]]) -> None:
        example, failure = failed[0]
        some = f", such as {example}" if len(failed) > 1 else f" of {example}"
        count = f"{len(failed):,} " if len(failed) > 1 else ""
        cause = f"{count}{_words(kind)}{some} could not be read: {failure}"
        hint = f"{DETAILS[kind]} is missing. {_ROLE}" if failure.refused else _hint(failure)
        self._gaps.add(Gap(kind, subscription, "refused" if failure.refused else "unreadable", cause, hint))
        for arm_id, why in failed:
            table, column = _REASONS[kind]
            several = kind == "vault_items" and "/protecteditems/" not in fold(arm_id)
            for key in self._wanted.items_of(arm_id) if several else [fold(arm_id)]:
                self._spool.problems.append(Problem(table, key, column, f"{_words(kind)} could not be read: {why}"))


# The fact that is not known when a detail could not be read.
_REASONS = {
    "instance_views": (VIRTUAL_MACHINES.name, "instance_view_read"),
    STORAGE_CONFIGS.name: (VAULTS.name, "declared_redundancy"),
    VAULT_CONFIGS.name: (VAULTS.name, "declared_soft_delete"),
    "vault_items": (PROTECTED_ITEMS.name, "extended_read"),
}


class _Wanted:
    """Remembers, while rows go by, which details are needed: nothing is kept of a row but ids."""

    def __init__(self, instance_views: bool) -> None:  # noqa: FBT001 -- a flag of the command line
        self.judged: frozenset[str] = frozenset()
        self.subscriptions: set[str] = set()
        self._instance_views = instance_views
        self._running: list[str] = []
        self._vaults: dict[str, tuple[str, list[str]]] = {}
        self._items: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)

    def see(self, table: Table, cells: Mapping[str, Any]) -> None:
        """Look at a row."""
        arm_id: str = cells["id"]
        if table is SUBSCRIPTIONS:
            self.subscriptions.add(subscription_of(arm_id))
        elif table is VIRTUAL_MACHINES:
            if self._instance_views and cells.get("power_state") in ("running", None):
                self._running.append(arm_id)
        elif table is VAULTS and subscription_of(arm_id) in self.judged:
            lacks = [] if "declared_redundancy" in cells else [STORAGE_CONFIGS.name]
            lacks += (
                [] if {"declared_soft_delete", "declared_soft_delete_days"} <= cells.keys() else [VAULT_CONFIGS.name]
            )
            self._vaults[fold(arm_id)] = (arm_id, lacks)
        elif table is PROTECTED_ITEMS and _is_of_vm(cells):
            self._items[fold(_vault_of(cells))].append((arm_id, fold(cells.get("vm_id", ""))))

    def details(self) -> list[Wanted]:
        """Return what to ask for, in an order that does not depend on that of the answers."""
        wanted = [Wanted(kind, arm_id) for arm_id, lacks in self._vaults.values() for kind in lacks]
        # Also of vaults of which Resource Graph shows no item: the first one may be too new for it.
        wanted += [Wanted("vault_items", arm_id) for arm_id, _ in self._vaults.values()]
        wanted += [Wanted("instance_views", arm_id) for arm_id in self._running]
        return sorted(dict.fromkeys(wanted), key=lambda one: (one.kind, fold(one.id)))

    def unlisted(self, listed: "_Listed") -> list[Wanted]:
        """Return the items that Resource Graph shows in vaults whose own list does not have them."""
        wanted = [
            Wanted(ITEM, arm_id)
            for vault in listed.vaults
            for arm_id, vm_id in self._items.get(vault, ())
            if not listed.has(vault, fold(arm_id), vm_id)
        ]
        return sorted(dict.fromkeys(wanted), key=lambda one: fold(one.id))

    def items_of(self, vault_id: str) -> list[str]:
        """Return the folded ids of the items of VMs that Resource Graph knows in a vault."""
        return [fold(item) for item, _ in self._items.get(fold(vault_id), [])]


class _Listed:
    """What vaults say of their items: in which they are, which VMs they protect, and which are gone."""

    def __init__(self) -> None:
        self.vaults: dict[str, set[str]] = {}
        self.items: set[str] = set()
        self.gone: set[str] = set()

    def take(self, vault: str, rows: Sequence[Row]) -> None:
        """Take in the list of a vault, or one item."""
        self.items |= {row.key for row in rows}
        if vault:
            self.vaults[vault] = {fold(row.cells["vm_id"]) for row in rows if "vm_id" in row.cells}

    def has(self, vault: str, item: str, vm_id: str) -> bool:
        """Tell whether an item was listed, be it under another id: then it is the item of the same VM."""
        return item in self.items or (vm_id != "" and vm_id in self.vaults.get(vault, ()))


def _is_of_vm(cells: Mapping[str, Any]) -> bool:
    return bool(cells.get("management_type", "AzureIaasVM") == "AzureIaasVM")


def _vault_of(cells: Mapping[str, Any]) -> str:
    return str(cells["id"][: cells.get("vault_length", 0)])


def _without_power(cells: Mapping[str, Any], views: set[str]) -> Mapping[str, Any]:
    """Leave the power state to the instance view where there is one: it is newer, and of the same time as the agent."""
    if cells["source"] == GRAPH_SOURCE and "power_state" in cells and fold(cells["id"]) in views:
        return {name: value for name, value in cells.items() if name != "power_state"}
    return cells


def _superseded(cells: Mapping[str, Any], listed: _Listed) -> Mapping[str, Any] | None:
    """Take away what Resource Graph says of items that their own vault has listed, later and with all that there is.

    That the VM was deleted only Resource Graph knows.
    """
    if cells["source"] != GRAPH_SOURCE or not _is_of_vm(cells):
        return cells
    key, vault = fold(cells["id"]), fold(_vault_of(cells))
    if key in listed.gone:
        return None
    if not listed.has(vault, key, fold(cells.get("vm_id", ""))):
        return cells
    if not cells.get("datasource_deleted") or key not in listed.items:
        return None
    kept = ("id", "key", "source", "resource_group_name", "vault_length", "tags_read", "datasource_deleted")
    return {name: cells[name] for name in kept if name in cells}


def _clock_notice(skew: float) -> list[str]:
    if abs(skew) <= _SKEW:
        return []
    where = "behind" if skew > 0 else "ahead of"
    return [f"The clock of the machine that read this is {abs(skew):.0f} seconds {where} Azure's; times are Azure's."]


def _hint(failure: Failure) -> str:
    if failure.refused:
        return _ROLE
    if failure.code == "MissingSubscriptionRegistration":
        return "A provider is not registered in the subscription (az provider register); auditor doctor says which."
    if failure.status == 404:
        return "Perhaps it was deleted since Resource Graph saw it: run it again."
    return "Run it again; if it stays, report it with what Azure says."


def _words(name: str) -> str:
    return name.replace("_", " ")


def asked_queries() -> tuple[str, ...]:
    """Return what is asked, for the record: queries, and the versions of the interfaces."""
    kql: Iterable[str] = (" ".join(projection_of(table).kql().split("\n")) for table in GRAPH_TABLES)
    return (
        f"Microsoft.ResourceGraph/resources {GRAPH_VERSION}",
        *kql,
        f"Microsoft.Compute/virtualMachines/instanceView {COMPUTE_VERSION}",
        f"Microsoft.RecoveryServices/vaults/backupstorageconfig, backupconfig, backupProtectedItems {BACKUP_VERSION}",
    )
