"""The inventory: tables of facts on disk, and what is known to be missing from them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

GapKind: TypeAlias = Literal["not-exported", "cut-short", "unreadable", "refused"]

EVERY_TABLE = "*"


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Something that was asked for and could not be read.

    Attributes:
        table: the table that lacks rows, or ``*`` when it could be any.
        scope: the folded id of the subscription the missing rows belong to; empty when it could be any.
        kind: why.
        cause: the same in words, naming the file.
        hint: what to do about it.
    """

    table: str
    scope: str
    kind: GapKind
    cause: str
    hint: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A value that is there and cannot be used: the fact is unknown, for this reason."""

    table: str
    key: str
    column: str
    reason: str


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A file that was read: its name as shown, the SHA-256 of its bytes in hex, and how many rows it gave."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot that was opened.

    Attributes:
        folder: where it is.
        name: what to call it.
        columns: those that each of its tables holds.
        elsewhere: subscriptions whose rows another snapshot holds, that knows better.
        sha256: of the bytes of its manifest, which holds the hashes of its tables.
    """

    folder: Path
    name: str
    columns: Mapping[str, frozenset[str]]
    sha256: str
    elsewhere: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a live inventory came from.

    Attributes:
        tenant: id of the tenant, empty when it is not known.
        cloud: name of the cloud.
        principal: who read it.
        scope: what was asked for, as ids; empty for all that could be read.
        judged: the folded ids of the subscriptions in that scope. Others were read too, for what lies in them may
            belong to these.
        read: those that were looked into, these among them; only of those that are judged VMs were read.
        queries: what Resource Graph was asked, and the versions of other interfaces.
    """

    tenant: str
    cloud: str
    principal: str
    scope: tuple[str, ...]
    judged: frozenset[str]
    read: frozenset[str]
    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """Facts as Azure gave them, not yet joined or judged.

    Attributes:
        spool: for each table an NDJSON file of its rows, see ``decode.Row``; tables without rows have none.
        longest: in bytes; no row of the spool is longer.
        rows: how many rows each table has, duplicates counted.
        gaps: what is missing.
        problems: values that could not be used.
        sources: the files read, by name.
        ignored: ARM types that hold nothing for an audit of VM backup, and how many rows of each were passed over.
        passed_over: JSON files that hold no answer of Azure's.
        other_files: how many files in the folders are not JSON by their names.
        collected_at: when reading the facts began, in microseconds since 1970 UTC; ``None`` for exports.
        collected_until: when it ended; what happened meanwhile may have been read, and is no later than now.
        snapshots: what was opened, its gaps, problems and sources being among those above.
        assumed: tables that somebody declared to be whole.
        notices: what is worth knowing about the inventory as a whole.
        ascii: nothing in the spool goes beyond ASCII, so that no row has a folded twin.
        origin: where it came from, when it was read from Azure.
        looked_into: folded ids of subscriptions whose VMs were not read, because they were not to be judged.
    """

    spool: Mapping[str, Path]
    longest: int
    rows: Mapping[str, int]
    gaps: tuple[Gap, ...]
    problems: tuple[Problem, ...]
    sources: tuple[Source, ...]
    ignored: Mapping[str, int]
    passed_over: tuple[str, ...]
    other_files: int = 0
    collected_at: int | None = None
    collected_until: int | None = None
    snapshots: tuple[Snapshot, ...] = ()
    assumed: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    ascii: bool = False
    origin: Origin | None = None
    looked_into: frozenset[str] = frozenset()

    def with_complete(self, tables: frozenset[str]) -> "Inventory":
        """Return the inventory of which somebody says that these tables are whole, also where they hold no row."""
        gaps = tuple(gap for gap in self.gaps if gap.kind != "not-exported" or gap.table not in tables)
        return replace(self, gaps=gaps, assumed=self.assumed | tables)
