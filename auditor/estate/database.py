"""Inventory and declarations -> a DuckDB database whose views are the subjects of rules."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
import msgspec

from auditor.declared.config import Engine, Rpo
from auditor.declared.exemptions import NO_EXEMPTIONS, Exemptions
from auditor.declared.intents import TAG, IntentMap, VaultFacts
from auditor.estate.disks import read_disks
from auditor.estate.exempt import exempt_from_sql, load_exemptions, tags_of_scopes
from auditor.estate.fields import TagName
from auditor.estate.regions import UNPAIRED_REGIONS
from auditor.estate.retention import read_retention
from auditor.estate.schedule import Runs, read_schedule
from auditor.inventory.facts import Change, Connection, Cursor, load_facts, quiet_connection
from auditor.inventory.model import EVERY_TABLE, Gap, Inventory, Problem
from auditor.inventory.tables import TABLES, Table
from auditor.text import fold, visible

_ROWS = 2_000  # fetched at once
_ENGINE = Engine()


class Database(Connection, Protocol):
    """What holds an estate: DuckDB, or another database that takes its SQL."""

    def add_rows(self, name: str, types: Mapping[str, str], rows: Iterable[Mapping[str, Any]], /) -> None:
        """Make a table of rows that Python has; ``types`` are DuckDB's, by column."""

    def seal(self) -> None:
        """Reach for nothing any more but what the estate is made of; rules are other people's."""

    def close(self) -> None:
        """Let go of all of it."""


@dataclass(frozen=True, slots=True)
class Estate:
    """The database of one audit.

    Attributes:
        connection: holds the views ``vm``, ``vm_item``, ``item``, ``policy``, ``vault``, ``resource_group`` and
            ``subscription``.
        now: what counts as now, in microseconds since 1970 UTC; ``None`` when nobody knows.
        gaps: what is missing, those found while joining included.
        reach_all: items are looked for in every subscription, so a gap in one reaches all VMs (not without gaps).
        problems: reasons by (table, key, column).
        declared_complete: tables that the caller declared to be whole.
    """

    connection: Database
    now: int | None
    gaps: tuple[Gap, ...]
    reach_all: bool
    problems: Mapping[tuple[str, str, str], str]
    declared_complete: frozenset[str]

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all of its rows."""
        return self.connection.execute(sql, values).fetchall()

    def stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Run a query and yield its rows as they come; until the last of them no other query may run."""
        cursor = self.connection.execute(sql, values)
        while rows := cursor.fetchmany(_ROWS):
            yield from rows

    def read_whole(self, table: str) -> bool:
        """Tell whether nothing of a table is known to be missing."""
        return not any(gap.table in (table, EVERY_TABLE) for gap in self.gaps)


def connect(folder: Path | None = None, engine: Engine = _ENGINE, *, bounded: bool = True) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory.

    Args:
        folder: where an audit's files are; what is beyond the engine's memory goes there, or where the engine says.
        engine: what the database may take of the machine.
        bounded: hold it to its memory.
    """
    config: dict[str, Any] = {"threads": engine.threads, "preserve_insertion_order": True}
    if folder is not None:
        spill = Path(engine.spill) / folder.name if engine.spill is not None else folder / "spill"
        config |= {"temp_directory": str(spill)}
        config |= {"memory_limit": engine.memory} if bounded else {}
    return quiet_connection(**config)


def open_estate(  # noqa: PLR0913 -- what was read, what was said, what is wanted
    inventory: Inventory,
    folder: Path,
    intents: IntentMap,
    tags: Iterable[TagName],
    *,
    rpo: Rpo | None = None,
    vaults_anywhere: bool = False,
    as_of: int | None = None,
    complete: frozenset[str] = frozenset(),
    exemptions: Exemptions = NO_EXEMPTIONS,
    exempt_from: Sequence[str] = (),
    subscriptions: frozenset[str] = frozenset(),
    change: Change | None = None,
    database: Database | None = None,
    engine: Engine = _ENGINE,
) -> Estate:
    """Load an inventory, merge what was read twice, and make the subjects.

    Args:
        inventory: the facts.
        folder: where the inventory's files are; a few small ones are added.
        intents: what the vaults are declared to be for.
        tags: the tags that rules look at; others are not loaded.
        rpo: recovery point objectives by tag.
        vaults_anywhere: a VM's vault may be in any subscription.
        as_of: the time to judge at; the inventory's own when ``None``.
        complete: tables that the caller declared to be whole.
        exemptions: what was exempted.
        exempt_from: the rules whose exemptions rules ask for, as ``vm.exempt_from.RULE``.
        subscriptions: folded ids of those that somebody asked about; one that nothing is in is a gap.
        change: what would be different.
        database: an empty one to load it into; DuckDB's in this process when ``None``.
        engine: what the database may take of the machine.
    """
    now = as_of if as_of is not None else inventory.collected_at
    # What happened while the inventory was read may be in it: it is no later than now.
    until = now if as_of is not None else inventory.collected_until or now
    # What an UPDATE keeps of old rows cannot wait on disk.
    connection = database or LocalDatabase(
        connect(folder, engine, bounded=change is None),
        [folder, *(snapshot.folder for snapshot in inventory.snapshots)],
    )
    loader = _Loader(connection)
    problems = [*inventory.problems, *load_facts(connection, inventory, change)]
    wanted = {*tags, TagName("vault", TAG), *tags_of_scopes(exemptions)}
    problems += loader.tags(wanted | ({TagName("vm", fold(rpo.tag))} if rpo is not None else set()))
    unpaired = ({"location": region} for region in UNPAIRED_REGIONS)
    connection.add_rows("unpaired_regions", {"location": "VARCHAR"}, unpaired)
    loader.schedules()
    loader.retentions()
    loader.disks()
    loader.intents(intents)
    loader.objectives(rpo)
    load_exemptions(connection, exemptions, now, exempt_from)
    connection.execute(f"CREATE MACRO now_us() AS CAST({'NULL' if now is None else now} AS BIGINT)")
    connection.execute(f"CREATE MACRO until_us() AS CAST({'NULL' if until is None else until} AS BIGINT)")
    folder_of_sql = Path(__file__).parent
    connection.execute((folder_of_sql / "items.sql").read_text(encoding="utf-8"))
    found = {*_unattributed(connection), *_unheld(connection, inventory.gaps, subscriptions)}
    if inventory.origin is None and "protected_items" not in complete:  # vaults that are read live list their items
        found |= set(_uncounted(connection))
    judged = subscriptions or (inventory.origin.judged if inventory.origin is not None else None)
    looked_into = inventory.looked_into if judged is None else inventory.looked_into & judged
    gaps = sorted({*inventory.gaps, *found, *_without_vms(connection, looked_into)})
    reach_all = vaults_anywhere or (
        # Where all items were read it makes no difference, and a million ids need not be looked at.
        any(gap.table in ("protected_items", EVERY_TABLE) for gap in gaps) and _crosses_subscriptions(connection)
    )
    types = dict.fromkeys(("relation", "subscription", "cause"), "VARCHAR")
    connection.add_rows("unread", types, _unread(gaps, reach_all=reach_all))
    connection.execute(
        (folder_of_sql / "subjects.sql")
        .read_text(encoding="utf-8")
        .replace("-- {vm.exempt_from}", exempt_from_sql(exempt_from))
    )
    connection.seal()
    return Estate(
        connection,
        now,
        tuple(gaps),
        reach_all,
        {(problem.table, problem.key, problem.column): problem.reason for problem in problems},
        complete,
    )


class LocalDatabase:
    """DuckDB in this process; the first of the folders takes files of its own, the others are read."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folders: Sequence[Path]) -> None:
        """Keep both."""
        self.connection = connection
        self.folders = folders
        self.encoder = msgspec.json.Encoder()

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        """Run a statement, or several without values."""
        return self.connection.execute(sql, values)

    def add_rows(self, name: str, types: Mapping[str, str], rows: Iterable[Mapping[str, Any]], /) -> None:
        """Make a table of rows that Python has, by way of NDJSON."""
        lines = [self.encoder.encode(row) + b"\n" for row in rows]
        columns = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
        self.connection.execute(f"CREATE TABLE {name} ({columns})")
        if not lines:
            return
        path = self.folders[0] / f"{name}.rows.ndjson"
        path.write_bytes(b"".join(lines))
        described = "{" + ", ".join(f"'{column}': '{kind}'" for column, kind in types.items()) + "}"
        self.connection.execute(
            f"INSERT INTO {name} SELECT * FROM read_json(?, format = 'newline_delimited', columns = {described},"
            f" maximum_object_size = {max(1_000_000, *map(len, lines))})",
            [str(path)],
        )

    def seal(self) -> None:
        """Allow the folders only, and no network."""
        self.connection.execute("SET allowed_directories = ?", [[str(folder) for folder in self.folders]])
        self.connection.execute("SET enable_external_access = false")

    def close(self) -> None:
        """Let go of all of it."""
        self.connection.close()


class _Loader:
    """Makes the tables that Python has a part in."""

    def __init__(self, connection: Database) -> None:
        self.connection = connection

    def tags(self, wanted: set[TagName]) -> list[Problem]:
        """Make one narrow table of the wanted tags for each relation; tell where a tag was read twice and differs."""
        problems = []
        for table in TABLES:
            names = sorted({tag for tag in wanted if tag.relation == table.relation}, key=lambda tag: tag.name)
            if not table.relation:
                continue
            self._relation_tags(table, names)
            if not names:
                continue
            differing = self.connection.execute(
                f"SELECT f.key, t.name_key FROM facts_tags t JOIN facts_{table.name} f ON f.n = t.n WHERE t.kind = ?"
                " AND list_contains(?, t.name_key) GROUP BY ALL HAVING count(DISTINCT t.value_key) > 1 ORDER BY ALL",
                [table.name, [tag.name for tag in names]],
            ).fetchall()
            problems += [
                Problem(table.name, key, f"tag {name}", "the tag was read twice and different")
                for key, name in differing
            ]
        return problems

    def _relation_tags(self, table: Table, names: Sequence[TagName]) -> None:
        columns = ["n"]
        values: list[Any] = []
        for tag in names:
            # One value, and readable: else the tag is there and its value is not known.
            sure = (
                "count(DISTINCT value_key) FILTER (name_key = ?) = 1"
                " AND bool_and(value_key IS NOT NULL) FILTER (name_key = ?)"
            )
            columns += [
                f"CASE WHEN {sure} THEN min(value) FILTER (name_key = ?) END AS {tag.column}",
                f"CASE WHEN {sure} THEN min(value_key) FILTER (name_key = ?) END AS {tag.column}_key",
                f"count(*) FILTER (name_key = ?) > 0 AS {tag.column}_here",
            ]
            values += [tag.name] * 7
        self.connection.execute(
            f"CREATE TABLE {table.relation}_tags AS SELECT {', '.join(columns)} FROM facts_tags"
            " WHERE kind = ? AND list_contains(?, name_key) GROUP BY n",
            [*values, table.name, [tag.name for tag in names]],
        )

    def schedules(self) -> None:
        """Work out each distinct schedule once."""
        types = {
            "schedule_policy": "VARCHAR",
            "quietest_low": "INTEGER",
            "quietest_high": "INTEGER",
            "busiest_low": "INTEGER",
            "busiest_high": "INTEGER",
            "gap_low": "DOUBLE",
            "gap_high": "DOUBLE",
            "words": "VARCHAR",
            "note": "VARCHAR",
            "reason": "VARCHAR",
        }
        distinct = self.connection.execute(
            "SELECT DISTINCT schedule_policy FROM backup_policies WHERE schedule_policy IS NOT NULL ORDER BY 1",
        ).fetchall()
        self.connection.add_rows("schedules", types, (_schedule_row(text) for (text,) in distinct))

    def retentions(self) -> None:
        """Work out each distinct retention once."""
        types = dict.fromkeys(("retention_policy", "note", "reason"), "VARCHAR")
        types |= dict.fromkeys(("days", "months", "years"), "DOUBLE")
        distinct = self.connection.execute(
            "SELECT DISTINCT retention_policy FROM backup_policies WHERE retention_policy IS NOT NULL ORDER BY 1",
        ).fetchall()
        read = ((text, read_retention(text)) for (text,) in distinct)
        rows = ({"retention_policy": text, **asdict(retention)} for text, retention in read)
        self.connection.add_rows("retentions", types, rows)

    def disks(self) -> None:
        """Work out once which disks each distinct list leaves out of each distinct set of disks."""
        types = dict.fromkeys(("disk_exclusion", "data_disk_luns", "note", "reason"), "VARCHAR") | {
            "excluded": "BOOLEAN"
        }
        distinct = self.connection.execute(
            "SELECT DISTINCT i.disk_exclusion, v.data_disk_luns FROM protected_items i"
            " LEFT JOIN virtual_machines v ON v.n = i.vm_id_n WHERE i.disk_exclusion IS NOT NULL ORDER BY ALL",
        ).fetchall()
        read = ((exclusion, luns, read_disks(exclusion, luns)) for exclusion, luns in distinct)
        rows = ({"disk_exclusion": text, "data_disk_luns": luns, **asdict(disks)} for text, luns, disks in read)
        self.connection.add_rows("disk_exclusions", types, rows)

    def objectives(self, rpo: Rpo | None) -> None:
        """Read the recovery point objectives that VMs name in a tag; a value nobody declared is not known."""
        if rpo is None:
            types = {"n": "INTEGER", "hours": "DOUBLE", "source": "VARCHAR", "reason": "VARCHAR"}
            self.connection.add_rows("objectives", types, ())
            return
        tag = TagName("vm", fold(rpo.tag))
        hours = {fold(value.strip()): amount for value, amount in rpo.hours.items()}
        named = self.connection.execute(
            f"SELECT DISTINCT {tag.column}_key FROM vm_tags WHERE {tag.column}_key IS NOT NULL ORDER BY 1",
        ).fetchall()
        rows = (
            {
                "value": value,
                "hours": hours.get(value.strip()),
                "reason": f'its tag {rpo.tag} says "{visible(value)}", for which rpo.hours has no hours',
            }
            for (value,) in named
        )
        types = {"value": "VARCHAR", "hours": "DOUBLE", "reason": "VARCHAR"}
        self.connection.add_rows("objective_words", types, rows)
        self.connection.execute(
            "CREATE TABLE objectives AS SELECT v.n, w.hours, CAST(? AS VARCHAR) AS source,"
            " CASE WHEN w.hours IS NULL THEN coalesce(w.reason, ?) END AS reason"
            " FROM virtual_machines v LEFT JOIN vm_tags t ON t.n = v.n"
            f" LEFT JOIN objective_words w ON w.value = t.{tag.column}_key"
            f" WHERE t.{tag.column}_here OR NOT v.tags_read",
            [f"tag {rpo.tag}", f"its tag {rpo.tag} could not be read"],
        )

    def intents(self, intents: IntentMap) -> None:
        """Find out what each vault is for."""
        types = {"n": "INTEGER", "intent": "VARCHAR", "source": "VARCHAR", "note": "VARCHAR", "reason": "VARCHAR"}
        tag = TagName("vault", TAG)
        found = self.connection.execute(
            f"SELECT v.n, v.key, t.{tag.column}_key, coalesce(t.{tag.column}_here, FALSE), v.tags_read,"
            " s.management_groups FROM vaults v LEFT JOIN vault_tags t ON t.n = v.n"
            " LEFT JOIN subscriptions s ON s.n = v.subscription_n ORDER BY v.n",
        ).fetchall()
        rows = []
        for number, key, value, here, tags_read, chain in found:
            known = value is not None or (bool(tags_read) and not here)
            facts = VaultFacts(key, value.strip() if value is not None else None, known, _management_groups(chain))
            intent = intents.of(facts)
            rows.append(
                {
                    "n": number,
                    "intent": intent.intent,
                    "source": intent.source,
                    "note": intent.note,
                    "reason": intent.reason,
                },
            )
        self.connection.add_rows("intents", types, rows)


def _schedule_row(text: str) -> dict[str, Any]:
    schedule = read_schedule(text)
    quietest, busiest = schedule.quietest, schedule.busiest
    return {
        "schedule_policy": text,
        "quietest_low": _bound(quietest, "low"),
        "quietest_high": _bound(quietest, "high"),
        "busiest_low": _bound(busiest, "low"),
        "busiest_high": _bound(busiest, "high"),
        "gap_low": schedule.gap.low if schedule.gap is not None else None,
        "gap_high": schedule.gap.high if schedule.gap is not None else None,
        "words": schedule.words,
        "note": schedule.note,
        "reason": schedule.reason or None,
    }


def _bound(runs: Runs | None, end: str) -> int | None:
    return None if runs is None else int(getattr(runs, end))


def _management_groups(chain: str | None) -> list[str] | None:
    """Read the chain of management groups, nearest first; ``None`` when it was not read."""
    entries = json.loads(chain) if chain is not None else None
    if not isinstance(entries, list):
        return None
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    return [fold(name) for name in names if isinstance(name, str)] if all(names) else None


def _unattributed(connection: Connection) -> list[Gap]:
    """Items that may protect a VM and do not say which: they leave a hole for any VM of their subscription."""
    rows = connection.execute(
        "SELECT coalesce(subscription_id, ''), count(*), min(id) FROM items WHERE vm_id IS NULL"
        " AND coalesce(kind, 'vm') = 'vm' AND coalesce(state, '') NOT IN ('stopped', 'soft-deleted')"
        " AND NOT coalesce(soft_deleted, FALSE) GROUP BY 1 ORDER BY 1",
    ).fetchall()
    return [
        Gap(
            "protected_items",
            subscription,
            "unreadable",
            f"{count} backup item{'s do' if count > 1 else ' does'} not say which VM is protected, such as {example}",
            "Export the items with their properties.sourceResourceId.",
        )
        for subscription, count, example in rows
    ]


def _uncounted(connection: Connection) -> list[Gap]:
    """Vaults whose policies count more VMs than there are items of the vault: their items were not exported.

    Counted by vault, since an item may have gone over to another policy between two exports.
    """
    rows = connection.execute(
        "SELECT p.subscription_id, p.vault_id, p.counted, coalesce(i.held, 0) FROM"
        " (SELECT subscription_id, vault_id_key, min(vault_id) AS vault_id,"
        "  CAST(sum(protected_items_count) AS BIGINT) AS counted FROM backup_policies"
        "  WHERE management_type = 'AzureIaasVM' AND vault_id_key IS NOT NULL GROUP BY subscription_id, vault_id_key) p"
        " LEFT JOIN (SELECT vault_id_key, count(*) AS held FROM protected_items GROUP BY vault_id_key) i"
        " ON i.vault_id_key = p.vault_id_key WHERE p.counted > coalesce(i.held, 0) ORDER BY p.vault_id_key",
    ).fetchall()
    return [
        Gap(
            "protected_items",
            subscription,
            "unreadable",
            f"the policies of {vault} protect {counted} item{'s' if counted > 1 else ''}, and "
            f"{held or 'none'} of that vault {'are' if held > 1 else 'is'} in the inventory",
            "Export the items of every vault: az backup item list (docs/exports.md).",
        )
        for subscription, vault, counted, held in rows
    ]


def _unheld(connection: Connection, gaps: Sequence[Gap], asked: frozenset[str]) -> list[Gap]:
    """Subscriptions that were asked about, and of which the inventory holds nothing and says nothing."""
    held = {gap.scope for gap in gaps if gap.table == EVERY_TABLE}
    for table in TABLES if asked else ():
        found = connection.execute(f"SELECT DISTINCT subscription_id FROM {table.name}").fetchall()
        held |= {subscription for (subscription,) in found}
    return [
        Gap(
            EVERY_TABLE,
            subscription,
            "unreadable",
            f"subscription {subscription} was asked for, and nothing of it is in the inventory",
            "Check its id, and read or export it too.",
        )
        for subscription in sorted(asked - held)
    ]


def _without_vms(connection: Connection, looked_into: frozenset[str]) -> list[Gap]:
    """Subscriptions that are to be judged, and of which only what may belong to others' VMs was read."""
    rows = connection.execute("SELECT DISTINCT subscription_id FROM virtual_machines").fetchall() if looked_into else []
    return [
        Gap(
            table,
            subscription,
            "unreadable",
            f"the VMs of subscription {subscription} were not read: it was only looked into",
            "Read it too: auditor collect --subscription.",
        )
        for subscription in sorted(looked_into - {held for (held,) in rows})
        for table in ("virtual_machines", "scale_sets")
    ]


def _crosses_subscriptions(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM items WHERE kind = 'vm' AND vm_id_key IS NOT NULL"
        # Most begin with it, and are not taken apart.
        " AND NOT starts_with(vm_id_key, '/subscriptions/' || subscription_id || '/')"
        " AND split_part(CAST(vm_id_key AS VARCHAR), '/', 3) <> subscription_id",
    ).fetchone()
    return row is not None and row[0] > 0


def _unread(gaps: Sequence[Gap], *, reach_all: bool) -> list[dict[str, str]]:
    """Spread gaps over (table, subscription): one row each, ``*`` for everywhere, ``''`` for rows that name none."""
    causes: dict[tuple[str, str], list[str]] = {}
    for gap in gaps:
        tables = [table.name for table in TABLES] if gap.table == EVERY_TABLE else [gap.table]
        for table in tables:
            for scope in [gap.scope, ""] if gap.scope else ["*"]:
                causes.setdefault((table, scope), []).append(gap.cause)
        if "protected_items" in tables:
            for scope in [gap.scope, ""] if gap.scope and not reach_all else ["*"]:
                causes.setdefault(("vm_items", scope), []).append(gap.cause)
    return [
        {
            "relation": table,
            "subscription": scope,
            "cause": list_of_causes[0]
            if len(list_of_causes) == 1
            else f"{list_of_causes[0]} (and {len(list_of_causes) - 1} more)",
        }
        for (table, scope), list_of_causes in sorted(causes.items())
    ]


def sizes_of(inventory: Inventory) -> dict[str, tuple[str | None, str | None]]:
    """Return region and size of each VM of an inventory, by folded id."""
    with connect() as connection:
        load_facts(connection, inventory)
        rows = connection.execute("SELECT key, location, size FROM virtual_machines").fetchall()
    return {key: (location, size) for key, location, size in rows}
