"""Snapshots: an inventory as a folder of Parquet files and a manifest, written at once, verified when it is read.

``manifest.json`` is written last and names every file with its SHA-256, so a folder without it is no snapshot. A table
holds the facts as they were read (what their absence means is decided when they are judged, so a rule that is mended
judges old snapshots anew), and the numbers and links of ``facts``.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import duckdb
import msgspec

from auditor.errors import UsageError
from auditor.inventory.facts import TAG_COLUMNS, columns_of, quiet_connection, quoted
from auditor.inventory.model import EVERY_TABLE, Gap, GapKind, Inventory, Origin, Problem, Snapshot, Source
from auditor.inventory.tables import OPTIONAL_TABLES, TABLES
from auditor.text import visible, without_surrogates
from auditor.timestamps import parse_time, show_time

FORMAT = 1
MANIFEST = "manifest.json"
_AGAIN = "Take it again (auditor collect)."
TABLE_NAMES = frozenset(table.name for table in TABLES)
PROBLEM_COLUMNS = ("table", "key", "column", "reason")
_CHUNK = 100_000  # rows in a group: what a writer holds in memory
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class TableFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of the snapshot."""

    file: str
    rows: int
    sha256: Sha256
    columns: list[str]


class TableCoverage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much of a table was read in a scope (a subscription's id, or empty for everywhere)."""

    table: str
    scope: str
    state: Literal["complete", "partial", "assumed"]
    cause: str = ""
    kind: GapKind | None = None
    hint: str = ""


class SourceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the snapshot was made of."""

    name: str
    sha256: Sha256
    rows: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a snapshot holds, and how it came to be; ``format`` changes when older tools would read it wrongly."""

    format: int
    tool: str
    tenant: str | None
    cloud: str | None
    principal: str | None
    scope: list[str]
    collected_at: str | None
    collected_until: str | None = None
    judged: list[str] | None = None
    read: list[str] = []
    notices: list[str] = []
    tables: dict[str, TableFile]
    coverage: list[TableCoverage]
    queries: list[str]
    sources: list[SourceFile]
    ignored: dict[str, int]


def write_snapshot(
    connection: duckdb.DuckDBPyConnection, inventory: Inventory, problems: Iterable[Problem], target: Path, tool: str
) -> Manifest:
    """Write the facts of an inventory as a snapshot.

    Args:
        connection: where ``load_facts`` made the tables.
        inventory: what they were made of.
        problems: values that could not be used, those found while merging included.
        target: the folder to make; it must not exist yet, or be empty.
        tool: the name and version of what writes.

    Raises:
        UsageError: the folder is there already, or cannot be written.
    """
    check_target(target)
    origin = inventory.origin
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}", "Choose another folder.") from error
    try:
        tables = {
            table.name: _copy(connection, made, table.name, f"SELECT * FROM facts_{table.name} ORDER BY n")
            for table in TABLES
        }
        tables["tags"] = _copy(
            connection, made, "tags", f"SELECT {', '.join(TAG_COLUMNS)} FROM facts_tags ORDER BY ALL"
        )
        tables["problems"] = _copy_problems(connection, made, problems)
        manifest = Manifest(
            format=FORMAT,
            tool=tool,
            tenant=origin.tenant if origin is not None else None,
            cloud=origin.cloud if origin is not None else None,
            principal=origin.principal if origin is not None else None,
            scope=list(origin.scope) if origin is not None else [],
            judged=sorted(origin.judged) if origin is not None else None,
            read=sorted(origin.read) if origin is not None else [],
            notices=list(inventory.notices) if origin is not None else [],
            collected_at=_shown(inventory.collected_at),
            collected_until=_shown(inventory.collected_until),
            tables=tables,
            coverage=_coverage(inventory),
            queries=list(origin.queries) if origin is not None else [],
            sources=[SourceFile(name=s.name, sha256=s.sha256, rows=s.rows) for s in inventory.sources],
            ignored=dict(inventory.ignored),
        )
        _write_synced(made / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        umask = os.umask(0)
        os.umask(umask)
        made.chmod(0o777 & ~umask)
        made.replace(target)
    except (OSError, duckdb.IOException) as error:
        what = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UsageError(f"cannot write {target}: {what}", "Nothing was written.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return manifest


def check_target(target: Path) -> None:
    """Complain before the work about a folder that could not be made after it.

    Raises:
        UsageError: it is there already.
    """
    if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there already", "Name a new folder; nothing is ever overwritten.")


def _copy(connection: duckdb.DuckDBPyConnection, folder: Path, name: str, select: str) -> TableFile:
    path = folder / f"{name}.parquet"
    (rows,) = connection.execute(
        f"COPY ({select}) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_CHUNK})",
    ).fetchone() or (0,)
    columns = [row[0] for row in connection.execute(f"DESCRIBE {select}").fetchall()]
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return TableFile(file=path.name, rows=rows, sha256=digest, columns=columns)


def _copy_problems(connection: duckdb.DuckDBPyConnection, folder: Path, problems: Iterable[Problem]) -> TableFile:
    rows = sorted(set(problems))
    described = ", ".join(f'"{column}" VARCHAR' for column in PROBLEM_COLUMNS)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE facts_problems ({described})")
    if rows:
        lists = [[getattr(row, column) for row in rows] for column in PROBLEM_COLUMNS]
        connection.execute("INSERT INTO facts_problems SELECT unnest(?), unnest(?), unnest(?), unnest(?)", lists)
    return _copy(connection, folder, "problems", "SELECT * FROM facts_problems ORDER BY ALL")


def _coverage(inventory: Inventory) -> list[TableCoverage]:
    partial = {gap.table for gap in inventory.gaps}
    whole = [table.name for table in TABLES if not partial & {table.name, EVERY_TABLE}]
    return [
        *(
            TableCoverage(table=g.table, scope=g.scope, state="partial", cause=g.cause, kind=g.kind, hint=g.hint)
            for g in inventory.gaps
        ),
        *(
            TableCoverage(table=name, scope="", state="assumed" if name in inventory.assumed else "complete")
            for name in whole
        ),
    ]


def is_snapshot(folder: Path) -> bool:
    """Tell whether a folder is a snapshot, or what is left of one; exports may lie beside other Parquet."""
    return any((folder / f"{name}.parquet").exists() for name in TABLE_NAMES)


def open_snapshot(folder: Path) -> Inventory:
    """Open a snapshot: read its manifest, and verify every file against it.

    Raises:
        UsageError: it is half-written, damaged, or of a format that this version does not know.
    """
    data = _manifest_bytes(folder)
    manifest = read_manifest(data, folder)
    for held in manifest.tables.values():
        _verify(folder, held)
    return inventory_of(manifest, data, folder, _problems(folder, manifest.tables["problems"].rows))


def inventory_of(manifest: Manifest, data: bytes, folder: Path, problems: tuple[Problem, ...]) -> Inventory:
    """Return what a snapshot holds, whose files were verified.

    Args:
        manifest: what it says of itself.
        data: the bytes of that.
        folder: where it is.
        problems: the rows of its table ``problems``, sorted.
    """
    later = [table.name for table in TABLES if table.name not in manifest.tables]
    columns = {name: frozenset(held.columns) for name, held in manifest.tables.items()}
    collected_at = parse_time(manifest.collected_at) if manifest.collected_at is not None else None
    if manifest.collected_at is not None and collected_at is None:
        raise broken(folder, "its collected_at is not a time")
    until = parse_time(manifest.collected_until) if manifest.collected_until is not None else None
    unread = sorted(
        f"{table.name}.{column.name}"
        for table in TABLES
        for column in columns_of(table)
        if table.name in columns and column.name not in columns[table.name]
    )
    return Inventory(
        spool={},
        longest=0,
        rows={name: held.rows for name, held in manifest.tables.items() if name in TABLE_NAMES},
        gaps=tuple(
            Gap(entry.table, entry.scope, entry.kind, entry.cause, entry.hint)
            for entry in manifest.coverage
            if entry.kind is not None
        )
        + tuple(
            Gap(
                name, "", "not-exported", f"the snapshot was made by {manifest.tool}, which did not read {name}", _AGAIN
            )
            for name in later
            if name not in OPTIONAL_TABLES
        ),
        problems=problems,
        sources=tuple(Source(source.name, source.sha256, source.rows) for source in manifest.sources),
        ignored=manifest.ignored,
        passed_over=(),
        collected_at=collected_at,
        collected_until=until,
        snapshots=(
            Snapshot(folder, without_surrogates(folder.resolve().name), columns, hashlib.sha256(data).hexdigest()),
        ),
        assumed=frozenset(entry.table for entry in manifest.coverage if entry.state == "assumed"),
        notices=(
            *manifest.notices,
            *([f"The snapshot was made by {manifest.tool}, which did not read {', '.join(unread)}."] if unread else []),
        ),
        origin=_origin(manifest),
        looked_into=frozenset(manifest.read) - frozenset(manifest.judged or ()),
    )


def _origin(manifest: Manifest) -> Origin | None:
    if manifest.judged is None:
        return None
    return Origin(
        tenant=manifest.tenant or "",
        cloud=manifest.cloud or "",
        principal=manifest.principal or "",
        scope=tuple(manifest.scope),
        judged=frozenset(manifest.judged),
        read=frozenset(manifest.read),
        queries=tuple(manifest.queries),
    )


def _shown(time: int | None) -> str | None:
    return show_time(time) if time is not None else None


def subscriptions_in(snapshot: Snapshot, table: str) -> set[str]:
    """Return the subscriptions of which a table of a snapshot has rows."""
    if table not in snapshot.columns:
        return set()
    path = quoted(snapshot.folder / f"{table}.parquet")
    with quiet_connection() as connection:
        found = connection.execute(f"SELECT DISTINCT subscription_id FROM read_parquet({path})").fetchall()
    return {subscription for (subscription,) in found if subscription}


def _manifest_bytes(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        raise broken(folder, f"it has no {MANIFEST}: it was not written to its end") from error
    except OSError as error:
        raise UsageError(f"cannot read {folder / MANIFEST}: {error.strerror}", "Check the permissions.") from error


def read_manifest(data: bytes, folder: Path | str) -> Manifest:
    """Read a manifest that a snapshot in a folder, or at a URL, has.

    Raises:
        UsageError: it is damaged, or of a format that this version does not know.
    """
    try:
        # The format first: what else stands there is for those who know it.
        number = msgspec.json.decode(data, type=_Format).format
        if number > FORMAT:
            message = f"{folder} is a snapshot of format {number}; this version reads up to {FORMAT}"
            raise UsageError(message, "Read it with the version that wrote it, or a newer one.")
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise broken(folder, f"{MANIFEST}: {str(error)[:200]}") from error
    for name, held in manifest.tables.items():
        if held.file != f"{name}.parquet":
            raise broken(folder, f"its manifest names a file {held.file} for {name}")
    missing = [name for name in ("virtual_machines", "tags", "problems") if name not in manifest.tables]
    if missing:
        raise broken(folder, f"its manifest names no table {missing[0]}")
    return manifest


class _Format(msgspec.Struct, frozen=True):
    format: Annotated[int, msgspec.Meta(ge=1)]


def _verify(folder: Path, held: TableFile) -> None:
    try:
        with (folder / held.file).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise broken(folder, f"{held.file}: {error.strerror}") from error
    check_hash(folder, held, digest)


def check_hash(folder: Path | str, held: TableFile, digest: str) -> None:
    """Complain about a file that is another one than the manifest says.

    Raises:
        UsageError: its SHA-256 differs.
    """
    if digest != held.sha256:
        raise broken(folder, f"{held.file} is not the file that was written (its SHA-256 differs)")


def _problems(folder: Path, rows: int) -> tuple[Problem, ...]:
    if not rows:
        return ()
    with quiet_connection() as connection:
        columns = ", ".join(f'"{column}"' for column in PROBLEM_COLUMNS)
        found = connection.execute(f"SELECT {columns} FROM read_parquet({quoted(folder / 'problems.parquet')})")
        return tuple(sorted(Problem(*row) for row in found.fetchall()))


def broken(folder: Path | str, why: str) -> UsageError:
    """Return the error of a snapshot that cannot be used."""
    return UsageError(f"{visible(str(folder))} is no usable snapshot: {visible(why)}", _AGAIN)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
