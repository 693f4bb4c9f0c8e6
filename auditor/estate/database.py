"""Inventory and declarations -> a DuckDB database whose views are the subjects of rules."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from auditor.declared.config import Rpo
from auditor.declared.intents import TAG, IntentMap, VaultFacts
from auditor.estate.disks import read_disks
from auditor.estate.fields import TABLE_OF, TagName
from auditor.estate.regions import UNPAIRED_REGIONS
from auditor.estate.retention import read_retention
from auditor.estate.schedule import Runs, read_schedule
from auditor.inventory.model import EVERY_TABLE, Gap, Inventory, Problem
from auditor.inventory.tables import TABLES, Absence, Column, Table
from auditor.text import fold, visible

_SQL_TYPES = {
    "text": "VARCHAR",
    "id": "VARCHAR",
    "json": "VARCHAR",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "time": "BIGINT",
}
_IDENTITY = {
    "id": "VARCHAR",
    "key": "VARCHAR",
    "name": "VARCHAR",
    "name_key": "VARCHAR",
    "subscription_id": "VARCHAR",
    "resource_group_name": "VARCHAR",
    "resource_group_name_key": "VARCHAR",
    "tags_read": "BOOLEAN",
    "source": "VARCHAR",
    "bad": "VARCHAR[]",
}
_GROUP = "'/subscriptions/' || subscription_id || '/resource{}/' || {}"
_RESOURCE_GROUP_ID = (
    _GROUP.format("Groups", "resource_group_name") + " AS resource_group_id",
    _GROUP.format("groups", "coalesce(resource_group_name_key, resource_group_name)") + " AS resource_group_id_key",
)
_NEVER = "-62135596800000000"
_MEANINGS: Mapping[Absence, str] = {"false": "FALSE", "true": "TRUE", "never": _NEVER}
_RELATION_OF = {table: relation for relation, table in TABLE_OF.items()}


@dataclass(frozen=True, slots=True)
class Estate:
    """The database of one audit.

    Attributes:
        connection: holds the views ``vm``, ``vm_item``, ``item``, ``policy``, ``vault``, ``resource_group`` and
            ``subscription``.
        now: what counts as now, in microseconds since 1970 UTC; ``None`` when nobody knows.
        gaps: what is missing, those found while joining included.
        reach_all: items are looked for in every subscription, so a gap in one reaches all VMs.
        problems: reasons by (table, key, column).
        declared_complete: tables that the caller declared to be whole.
    """

    connection: duckdb.DuckDBPyConnection
    now: int | None
    gaps: tuple[Gap, ...]
    reach_all: bool
    problems: Mapping[tuple[str, str, str], str]
    declared_complete: frozenset[str]

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all of its rows."""
        return self.connection.execute(sql, values).fetchall()

    def read_whole(self, table: str) -> bool:
        """Tell whether nothing of a table is known to be missing."""
        return not any(gap.table in (table, EVERY_TABLE) for gap in self.gaps)


def connect() -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory."""
    return duckdb.connect(
        config={"threads": 2, "preserve_insertion_order": True, "autoinstall_known_extensions": False}
    )


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
    """
    connection = connect()
    loader = _Loader(connection, folder)
    problems = list(inventory.problems)
    for table in TABLES:
        problems += loader.table(table, inventory.spool.get(table.name))
    wanted = {*tags, TagName("vault", TAG), *([TagName("vm", fold(rpo.tag))] if rpo is not None else [])}
    problems += loader.tags(inventory.tags, wanted)
    loader.rows("unpaired_regions", {"location": "VARCHAR"}, ({"location": region} for region in UNPAIRED_REGIONS))
    loader.schedules()
    loader.retentions()
    loader.disks()
    loader.intents(intents)
    loader.objectives(rpo)
    now = as_of if as_of is not None else inventory.collected_at
    connection.execute(f"CREATE MACRO now_us() AS CAST({'NULL' if now is None else now} AS BIGINT)")
    connection.execute("CREATE TABLE unread (relation VARCHAR, subscription VARCHAR, cause VARCHAR)")
    connection.execute((Path(__file__).parent / "subjects.sql").read_text(encoding="utf-8"))
    gaps = sorted({*inventory.gaps, *_unattributed(connection)})
    reach_all = vaults_anywhere or _crosses_subscriptions(connection)
    types = dict.fromkeys(("relation", "subscription", "cause"), "VARCHAR")
    loader.rows("unread_rows", types, _unread(gaps, reach_all=reach_all))
    connection.execute("INSERT INTO unread SELECT * FROM unread_rows")
    # The view that joins the most is asked the most: it is worked out once, and takes the view's name.
    connection.execute(
        "CREATE TABLE worked_out AS SELECT * FROM item ORDER BY key; DROP VIEW item;"
        " ALTER TABLE worked_out RENAME TO item",
    )
    # Nothing after this needs a file or the network; rules are other people's.
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return Estate(
        connection,
        now,
        tuple(gaps),
        reach_all,
        {(problem.table, problem.key, problem.column): problem.reason for problem in problems},
        complete,
    )


class _Loader:
    """Turns NDJSON into tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self.connection = connection
        self.folder = folder
        self.encoder = msgspec.json.Encoder()

    def rows(self, name: str, types: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Make a table of rows that Python has."""
        path = self.folder / f"{name}.rows.ndjson"
        with path.open("wb") as file:
            file.writelines(self.encoder.encode(row) + b"\n" for row in rows)
        self.read(name, types, path)

    def read(self, name: str, types: Mapping[str, str], path: Path | None) -> None:
        """Make a table of an NDJSON file, or an empty one."""
        if path is None or not path.stat().st_size:
            columns = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
            self.connection.execute(f"CREATE TABLE {name} ({columns})")
            return
        described = "{" + ", ".join(f"'{column}': '{kind}'" for column, kind in types.items()) + "}"
        self.connection.execute(
            f"CREATE TABLE {name} AS SELECT * FROM read_json(?, format = 'newline_delimited', columns = {described},"
            " maximum_object_size = 268435456)",
            [str(path)],
        )

    def table(self, table: Table, spool: Path | None) -> list[Problem]:
        """Make a table of facts with one row for each resource; tell where what was read twice disagrees."""
        types = dict(_IDENTITY)
        columns = [*table.columns]
        if table.in_vault:
            columns.append(Column("vault_id", "id", (), "Its vault, read off the id"))
        for column in columns:
            types[column.name] = _SQL_TYPES[column.type]
            if column.type in ("text", "id"):
                types[column.name + "_key"] = "VARCHAR"
        raw = f"raw_{table.name}"
        self.read(raw, types, spool)
        names = [name for name in types if name != "key"]
        rows = f"SELECT key, {', '.join(names)} FROM {raw}"
        problems = []
        twice = self.connection.execute(f"SELECT key FROM {raw} GROUP BY key HAVING count(*) > 1").fetchall()
        if twice:
            self.connection.execute("CREATE TABLE twice AS SELECT unnest(?) AS key", [[key for (key,) in twice]])
            problems = self._disagreements(table, columns, raw)
            merged = ", ".join(_merged(name, types) for name in names)
            rows += (
                f" WHERE key NOT IN (SELECT key FROM twice) UNION ALL SELECT key, {merged} FROM {raw}"
                " WHERE key IN (SELECT key FROM twice) GROUP BY key"
            )
        final = ", ".join(["key", *(_final(name, types, table) for name in names), *_RESOURCE_GROUP_ID])
        self.connection.execute(f"CREATE TABLE {table.name} AS SELECT {final} FROM ({rows}) ORDER BY key")
        self.connection.execute(f"DROP TABLE {raw}; DROP TABLE IF EXISTS twice")
        return problems

    def _disagreements(self, table: Table, columns: Sequence[Column], raw: str) -> list[Problem]:
        problems = []
        for column in columns:
            same = f"coalesce({column.name}_key, {column.name})" if column.type in ("text", "id") else column.name
            rows = self.connection.execute(
                f"SELECT key, list(DISTINCT CAST({column.name} AS VARCHAR) ORDER BY CAST({column.name} AS VARCHAR)),"
                f" string_agg(DISTINCT source, ', ' ORDER BY source) FROM {raw} WHERE key IN (SELECT key FROM twice)"
                f" AND {column.name} IS NOT NULL GROUP BY key HAVING count(DISTINCT {same}) > 1 ORDER BY key",
            ).fetchall()
            for key, values, sources in rows:
                said = " and ".join(_short(value) for value in values[:3])
                problems.append(Problem(table.name, key, column.name, f"read twice and different: {said} ({sources})"))
        return problems

    def tags(self, spool: Path | None, wanted: set[TagName]) -> list[Problem]:
        """Make one narrow table of the wanted tags for each relation."""
        types = dict.fromkeys(("table", "key", "name", "name_key", "value", "value_key"), "VARCHAR")
        self.read("raw_tags", types, spool)
        problems = [
            Problem(table, key, f"tag {name}", "the tag was read twice and different")
            for table, key, name in self.connection.execute(
                'SELECT "table", key, name_key FROM raw_tags GROUP BY ALL'
                " HAVING count(DISTINCT value_key) > 1 ORDER BY ALL",
            ).fetchall()
        ]
        for table in TABLES:
            relation = table.relation
            if not relation:
                continue
            names = sorted({tag for tag in wanted if tag.relation == relation}, key=lambda tag: tag.name)
            self._relation_tags(relation, table.name, names)
        self.connection.execute("DROP TABLE raw_tags")
        return problems

    def _relation_tags(self, relation: str, table: str, names: Sequence[TagName]) -> None:
        columns = ["key"]
        values: list[str] = []
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
            f'CREATE TABLE {relation}_tags AS SELECT {", ".join(columns)} FROM raw_tags WHERE "table" = ? GROUP BY key',
            [*values, table],
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
        self.rows("schedules", types, (_schedule_row(text) for (text,) in distinct))

    def retentions(self) -> None:
        """Work out each distinct retention once."""
        types = dict.fromkeys(("retention_policy", "note", "reason"), "VARCHAR")
        types |= dict.fromkeys(("days", "months", "years"), "DOUBLE")
        distinct = self.connection.execute(
            "SELECT DISTINCT retention_policy FROM backup_policies WHERE retention_policy IS NOT NULL ORDER BY 1",
        ).fetchall()
        read = ((text, read_retention(text)) for (text,) in distinct)
        self.rows("retentions", types, ({"retention_policy": text, **asdict(retention)} for text, retention in read))

    def disks(self) -> None:
        """Work out once which disks each distinct list leaves out of each distinct set of disks."""
        types = dict.fromkeys(("disk_exclusion", "data_disk_luns", "note", "reason"), "VARCHAR") | {
            "excluded": "BOOLEAN"
        }
        distinct = self.connection.execute(
            "SELECT DISTINCT i.disk_exclusion, v.data_disk_luns FROM protected_items i"
            " LEFT JOIN virtual_machines v ON v.key = i.vm_id_key WHERE i.disk_exclusion IS NOT NULL ORDER BY ALL",
        ).fetchall()
        read = ((exclusion, luns, read_disks(exclusion, luns)) for exclusion, luns in distinct)
        rows = ({"disk_exclusion": text, "data_disk_luns": luns, **asdict(disks)} for text, luns, disks in read)
        self.rows("disk_exclusions", types, rows)

    def objectives(self, rpo: Rpo | None) -> None:
        """Read the recovery point objectives that VMs name in a tag; a value nobody declared is not known."""
        types = {"key": "VARCHAR", "hours": "DOUBLE", "source": "VARCHAR", "reason": "VARCHAR"}
        rows = []
        if rpo is not None:
            tag = TagName("vm", fold(rpo.tag))
            hours = {fold(value.strip()): amount for value, amount in rpo.hours.items()}
            found = self.connection.execute(
                f"SELECT v.key, t.{tag.column}_key FROM virtual_machines v LEFT JOIN vm_tags t ON t.key = v.key"
                f" WHERE t.{tag.column}_here OR NOT v.tags_read ORDER BY v.key",
            ).fetchall()
            for key, value in found:
                known = hours.get(value.strip()) if value is not None else None
                reason = f"its tag {rpo.tag} could not be read"
                if value is not None:
                    reason = f'its tag {rpo.tag} says "{visible(value)}", for which rpo.hours has no hours'
                source = f"tag {rpo.tag}"
                rows.append({"key": key, "hours": known, "source": source, "reason": None if known else reason})
        self.rows("objectives", types, rows)
        # Such a value is there and cannot be used: it is not absent.
        self.connection.execute(
            "UPDATE virtual_machines SET bad = list_append(coalesce(bad, []), 'rpo_hours')"
            " WHERE key IN (SELECT key FROM objectives WHERE hours IS NULL)",
        )

    def intents(self, intents: IntentMap) -> None:
        """Find out what each vault is for."""
        types = {"key": "VARCHAR", "intent": "VARCHAR", "source": "VARCHAR", "note": "VARCHAR", "reason": "VARCHAR"}
        tag = TagName("vault", TAG)
        found = self.connection.execute(
            f"SELECT v.key, t.{tag.column}_key, coalesce(t.{tag.column}_here, FALSE), v.tags_read, s.management_groups"
            " FROM vaults v LEFT JOIN vault_tags t ON t.key = v.key"
            " LEFT JOIN subscriptions s ON s.key = '/subscriptions/' || v.subscription_id ORDER BY v.key",
        ).fetchall()
        rows = []
        for key, value, here, tags_read, chain in found:
            known = value is not None or (bool(tags_read) and not here)
            facts = VaultFacts(key, value.strip() if value is not None else None, known, _management_groups(chain))
            intent = intents.of(facts)
            rows.append(
                {
                    "key": key,
                    "intent": intent.intent,
                    "source": intent.source,
                    "note": intent.note,
                    "reason": intent.reason,
                },
            )
        self.rows("intents", types, rows)


def _merged(name: str, types: Mapping[str, str]) -> str:
    """Return the SQL that makes one cell of several; where they disagree it is not known."""
    match name:
        case "id" | "name" | "subscription_id" | "resource_group_name" | "vault_id":
            return f"max({name})"  # of several spellings the one with the fewest capitals
        case "name_key" | "resource_group_name_key" | "vault_id_key":
            spelled = name.removesuffix("_key")
            return f"arg_max(coalesce({name}, {spelled}), {spelled})"
        case "tags_read":
            return "bool_and(tags_read)"
        case "source":
            return "string_agg(DISTINCT source, ', ' ORDER BY source)"
        case "bad":
            differing = [
                f"CASE WHEN count(DISTINCT {_same(column, types)}) > 1 THEN '{column}' END"
                for column in types
                if column not in _IDENTITY and not column.endswith("_key")
            ]
            return f"list_concat(flatten(list(bad)), [{', '.join(differing)}])"
        case _:
            column = name.removesuffix("_key")
            same = _same(column, types)
            if name.endswith("_key") and column in types:
                return f"CASE WHEN count(DISTINCT {same}) = 1 THEN min({same}) END"
            return f"CASE WHEN count(DISTINCT {same}) = 1 THEN min({name}) END"


def _same(column: str, types: Mapping[str, str]) -> str:
    return f"coalesce({column}_key, {column})" if f"{column}_key" in types else column


def _final(name: str, types: Mapping[str, str], table: Table) -> str:
    """Return the SQL of a finished cell: its folded twin filled in, its absence given the declared meaning."""
    column = name.removesuffix("_key")
    if name.endswith("_key") and column in types:
        return f"coalesce({name}, {column}) AS {name}"
    declared = next((entry for entry in table.columns if entry.name == name), None)
    meaning = _MEANINGS.get(declared.absent) if declared is not None else None
    if declared is None or meaning is None:
        return name
    given = f" AND {declared.given}" if declared.given else ""
    return (
        f"CASE WHEN {name} IS NULL AND NOT coalesce(list_contains(bad, '{name}'), FALSE){given} THEN {meaning}"
        f" ELSE {name} END AS {name}"
    )


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


def _unattributed(connection: duckdb.DuckDBPyConnection) -> list[Gap]:
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


def _crosses_subscriptions(connection: duckdb.DuckDBPyConnection) -> bool:
    row = connection.execute(
        "SELECT count(*) FROM items WHERE kind = 'vm' AND vm_id_key IS NOT NULL"
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


def _short(value: str) -> str:
    return value if len(value) <= 80 else value[:77] + "..."
