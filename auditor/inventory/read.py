"""Exports and snapshots, any mix of them -> one inventory."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from auditor.inventory.exports import read_exports
from auditor.inventory.model import Gap, Inventory, Origin, Source
from auditor.inventory.snapshot import is_snapshot, open_snapshot, subscriptions_in
from auditor.timestamps import show_time


def read_inventory(paths: Iterable[Path], folder: Path, complete: frozenset[str] = frozenset()) -> Inventory:
    """Read files, folders and snapshots as one inventory.

    Args:
        paths: exported files, folders of them, and snapshots.
        folder: an empty folder for the inventory's own files; it must outlive the inventory.
        complete: names of tables that the caller declares to be whole.

    Raises:
        UsageError: a path does not exist, or what it names cannot be used.
    """
    snapshots: list[Path] = []
    exports: list[Path] = []
    for path in paths:
        (snapshots if path.is_dir() and is_snapshot(path) else exports).append(path)
    found = list(dict.fromkeys(path.resolve() for path in snapshots))
    parts = [_plainly_named(open_snapshot(path), folder / f"snapshot-{number}") for number, path in enumerate(found)]
    if not parts:
        return read_exports(exports, folder, complete)
    if len(parts) > 1 or exports:
        parts = [_named(part, name) for part, name in zip(parts, _names(parts), strict=True)]
    if exports:
        parts.append(read_exports(exports, folder, complete))
    return _together(parts, complete)


def _plainly_named(part: Inventory, link: Path) -> Inventory:
    """Give a folder another name where its own has signs that the database would take for several files."""
    (snapshot,) = part.snapshots
    if not set("*?[") & set(str(snapshot.folder)):
        return part
    link.symlink_to(snapshot.folder, target_is_directory=True)
    return replace(part, snapshots=(replace(snapshot, folder=link),))


def _names(parts: Sequence[Inventory]) -> list[str]:
    """Return names for the snapshots that tell them apart: as much of their paths as it takes."""
    folders = [part.snapshots[0].folder.resolve() for part in parts]
    length = 1
    while len({folder.parts[-length:] for folder in folders}) < len(folders):
        length += 1
    return ["/".join(folder.parts[-length:]) for folder in folders]


def _named(part: Inventory, name: str) -> Inventory:
    (snapshot,) = part.snapshots
    return replace(
        part,
        snapshots=(replace(snapshot, name=name),),
        sources=tuple(Source(f"{name}: {source.name}", source.sha256, source.rows) for source in part.sources),
        notices=tuple(f"{name}: {notice}" for notice in part.notices),
    )


def _narrowed(gap: Gap, part: Inventory, parts: Sequence[Inventory], assumed: frozenset[str]) -> list[Gap]:
    """Return what is left of a gap beside the other inventories.

    What one of them lacks altogether another may hold. A snapshot that lacks it is still missing it for the
    subscriptions whose VMs it holds, unless another snapshot has rows of them; exports are a supplement to the others.
    """
    if gap.kind != "not-exported":
        return [gap]
    if gap.table in assumed:
        return []
    if not any(other.rows.get(gap.table) for other in parts):
        return [gap]
    held = {sub for other in parts for snapshot in other.snapshots for sub in subscriptions_in(snapshot, gap.table)}
    own = {sub for snapshot in part.snapshots for sub in subscriptions_in(snapshot, "virtual_machines")}
    return [replace(gap, scope=sub) for sub in sorted(own - held)]


def _together(parts: Sequence[Inventory], complete: frozenset[str]) -> Inventory:
    """Take several inventories for one estate."""
    parts = _each_once(parts)
    rows = {table: sum(part.rows.get(table, 0) for part in parts) for part in parts for table in part.rows}
    assumed = complete.union(*(part.assumed for part in parts))
    gaps = {narrowed for part in parts for gap in part.gaps for narrowed in _narrowed(gap, part, parts, assumed)}
    times = [part.collected_at for part in parts]
    known = sorted(time for time in times if time is not None)
    notices = sorted(notice for part in parts for notice in part.notices)
    if known and len(known) == len(times) and known[0] != known[-1]:
        notices.append(
            f"The inventories were taken between {show_time(known[0])} and {show_time(known[-1])}: ages are counted "
            "back from the last of these times."
        )
    if known and len(known) < len(times):
        notices.append("Some of the inventories do not say when they were taken, so none of the ages is known.")
    untils = [until for part in parts if (until := part.collected_until) is not None]
    return Inventory(
        spool={table: path for part in parts for table, path in part.spool.items()},
        longest=max(part.longest for part in parts),
        rows=rows,
        gaps=tuple(sorted(gaps)),
        problems=tuple(sorted({problem for part in parts for problem in part.problems})),
        sources=tuple(sorted(source for part in parts for source in part.sources)),
        ignored={kind: sum(part.ignored.get(kind, 0) for part in parts) for part in parts for kind in part.ignored},
        passed_over=tuple(sorted(name for part in parts for name in part.passed_over)),
        other_files=sum(part.other_files for part in parts),
        collected_at=known[-1] if len(known) == len(times) else None,
        collected_until=max([*untils, known[-1]]) if untils and len(known) == len(times) else None,
        snapshots=tuple(snapshot for part in parts for snapshot in part.snapshots),
        assumed=assumed,
        notices=tuple(notices),
        ascii=all(part.ascii for part in parts if part.spool),
        origin=_origin([part.origin for part in parts]),
        looked_into=frozenset[str]().union(*(part.looked_into for part in parts)) - _judged(parts),
    )


def _judged(parts: Sequence[Inventory]) -> frozenset[str]:
    return frozenset[str]().union(*(part.origin.judged for part in parts if part.origin is not None))


def _each_once(parts: Sequence[Inventory]) -> list[Inventory]:
    """Let rows of a subscription that some snapshots only looked into come from the one that knows it best.

    That is one that judged it, else the newest: an item that was deleted since must not come back out of an older one.
    """
    judged = _judged(parts)
    dated = sorted((part.collected_at or 0, number) for number, part in enumerate(parts) if part.origin is not None)
    newest = {sub: number for _, number in dated for sub in parts[number].looked_into}
    return [
        replace(
            part,
            snapshots=tuple(
                replace(
                    snapshot,
                    elsewhere=frozenset(sub for sub in part.looked_into if sub in judged or newest[sub] != number),
                )
                for snapshot in part.snapshots
            ),
        )
        for number, part in enumerate(parts)
    ]


def _origin(origins: Sequence[Origin | None]) -> Origin | None:
    """Take several origins for one: what any of them was asked to judge is judged, beside exports everything."""
    known = [origin for origin in origins if origin is not None]
    if not known or len(known) < len(origins):
        return None
    return Origin(
        tenant=", ".join(sorted({origin.tenant for origin in known})),
        cloud=", ".join(sorted({origin.cloud for origin in known})),
        principal=", ".join(sorted({origin.principal for origin in known})),
        # All of a tenant, in one of them, is more than any list.
        scope=tuple(sorted({name for origin in known for name in origin.scope})) if all(o.scope for o in known) else (),
        judged=frozenset[str]().union(*(origin.judged for origin in known)),
        read=frozenset[str]().union(*(origin.read for origin in known)),
        queries=tuple(dict.fromkeys(query for origin in known for query in origin.queries)),
    )
