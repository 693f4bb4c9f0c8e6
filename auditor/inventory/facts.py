"""Spooled rows and snapshots -> the tables of facts: one row for each resource, numbered, with links by number.

A table of facts ``facts_TABLE`` has the declared columns as they were read, and beside them

- ``n``: the place of the row among all of its table in the order of folded ids. Joins go by it: ids are long
- ``id``, ``key`` (folded), ``name``, ``subscription_id``, ``resource_group_name``, read off the id where need be
- ``COLUMN_key``: the folded twin of a text or id
- ``COLUMN_n``: the number of the resource that an id names, negative where it is not in the inventory; ``group_n`` and
  ``subscription_n``, null where it is not
- ``container_n``: items of the same vault and container, and jobs of that container, have the same one
- ``tags_read``, ``source`` (where it was read), ``bad`` (columns whose value could not be used)

The view ``TABLE`` gives absent values their declared meaning. ``facts_tags`` holds (kind, n, name, name_key, value,
value_key); a tag whose value could not be used has none.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb

from auditor.inventory.model import Inventory, Problem, Snapshot
from auditor.inventory.tables import TABLES, VAULT_ID, Column, Table
from auditor.timestamps import NEVER

SQL_TYPES = {
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
_TAGS = "STRUCT(n VARCHAR, nk VARCHAR, v VARCHAR, vk VARCHAR)[]"
TAG_COLUMNS = {
    "kind": "VARCHAR",
    "n": "INTEGER",
    "name": "VARCHAR",
    "name_key": "VARCHAR",
    "value": "VARCHAR",
    "value_key": "VARCHAR",
}
# The container that an item lies in, and that a job is about.
_CONTAINERS = {
    "protected_items": "coalesce(container_name_key, CASE WHEN name_key LIKE 'vm;%' THEN substring(name_key, 4) END)",
    "backup_jobs": "container_name_key",
}
_USUAL = 1_000_000  # bytes; what a row may take is set aside for every thread
_GROUP = "'/subscriptions/' || subscription_id || '/resourcegroups/' || resource_group_name_key"
_MEANINGS = {"false": "FALSE", "true": "TRUE", "never": str(NEVER)}
_SUBSCRIPTION = "'/subscriptions/' || subscription_id"


def columns_of(table: Table) -> tuple[Column, ...]:
    """Return the declared columns of a table, ``VAULT_ID`` among them where its rows live in a vault."""
    return (*table.columns, VAULT_ID) if table.in_vault else table.columns


def stored_columns(table: Table) -> dict[str, str]:
    """Return the columns that are read or merged, and their SQL types: all but numbers and links."""
    types = dict(_IDENTITY)
    for column in columns_of(table):
        types[column.name] = SQL_TYPES[column.type]
        if column.folded:
            types[column.name + "_key"] = "VARCHAR"
    return types


def links_of(table: Table) -> dict[str, tuple[str, str]]:
    """Return the links of a table: the column of the number -> (table that it leads to, SQL of the folded id)."""
    links = {"container_n": ("", "")} if table.name in _CONTAINERS else {}
    links |= {"subscription_n": ("subscriptions", _SUBSCRIPTION)} if table.name != "subscriptions" else {}
    if table.name not in ("subscriptions", "resource_groups"):
        links["group_n"] = ("resource_groups", _GROUP)
    for column in columns_of(table):
        if column.refers_to:
            links[f"{column.name}_n"] = (column.refers_to, f"{column.name}_key")
    return links


class Cursor(Protocol):
    """The answer to a query; ``description`` has a sequence for each column, its name first."""

    @property
    def description(self) -> Any:  # noqa: ANN401 -- what the databases declare
        """The columns."""

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, ``None`` after the last."""

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """Return the next rows, none after the last."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left."""


class Connection(Protocol):
    """A database that takes DuckDB's SQL, and answers as DuckDB does."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement, or several without values."""


@dataclass(frozen=True, slots=True)
class Change:
    """What would be different of an inventory.

    Attributes:
        added: for each table an NDJSON file of rows, as in ``Inventory.spool``, of resources that are not there yet.
        longest: in bytes; no row of theirs is longer.
        updates: by table (values by column, folded ids): these values instead of what was read.
    """

    added: Mapping[str, Path]
    longest: int
    updates: Mapping[str, Sequence[tuple[Mapping[str, Any], Sequence[str]]]]


def load_facts(connection: Connection, inventory: Inventory, change: Change | None = None) -> list[Problem]:
    """Make the tables of facts in an empty database, as they are or as they would be after a change.

    Returns:
        Where what was read twice disagrees; such a fact is not known.
    """
    problems: list[Problem] = []
    whole = inventory.snapshots[0] if len(inventory.snapshots) == 1 and not inventory.spool and change is None else None
    if whole is not None:  # numbered and linked already
        for table in TABLES:
            _view_of(connection, f"facts_{table.name}", _snapshot_sql(table, whole, with_links=True))
        _view_of(connection, "facts_tags", f"SELECT * FROM read_parquet({quoted(whole.folder / 'tags.parquet')})")
    else:
        for table in TABLES:
            problems += _merge(connection, table, inventory, change)
            _number(connection, f"facts_{table.name}")
        link_facts(connection)
        _gather_tags(connection)
    for table in TABLES:
        _view_of(connection, table.name, _with_absence(table))
    return problems


def _merge(connection: Connection, table: Table, inventory: Inventory, change: Change | None) -> list[Problem]:
    """Make the table of facts of all that was read; where rows are of one resource, one row of them."""
    name = f"facts_{table.name}"
    types = stored_columns(table)
    spool = inventory.spool.get(table.name)
    parts = [_spool_sql(spool, inventory.longest, types, twins=not inventory.ascii)] if spool is not None else []
    parts += [_snapshot_sql(table, snapshot, with_links=False) for snapshot in inventory.snapshots]
    if change is not None and table.name in change.added:
        parts.append(_spool_sql(change.added[table.name], change.longest, types, twins=True))
    if not parts:
        described = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
        connection.execute(f"CREATE TABLE {name} ({described}, tags {_TAGS})")
        return []
    connection.execute(f"CREATE TABLE {name} AS {' UNION ALL '.join(parts)}")
    connection.execute(f"CREATE TABLE twice AS SELECT key FROM {name} GROUP BY key HAVING count(*) > 1")
    problems = []
    if connection.execute("SELECT key FROM twice LIMIT 1").fetchone() is not None:
        problems = _disagreements(connection, table, name)
        merged = ", ".join(f"{_merged(column, types)} AS {column}" for column in types if column != "key")
        once = ", ".join(column for column in types if column != "key")
        connection.execute(
            f"CREATE TABLE merged AS SELECT {once}, key, tags FROM {name} WHERE key NOT IN (SELECT key FROM twice)"
            f" UNION ALL SELECT {merged}, key, flatten(list(tags)) AS tags FROM {name}"
            " WHERE key IN (SELECT key FROM twice) GROUP BY key;"
            f" DROP TABLE {name}; ALTER TABLE merged RENAME TO {name}",
        )
    connection.execute("DROP TABLE twice")
    for values, keys in change.updates.get(table.name, ()) if change is not None else ():
        _update(connection, name, values, keys)
    return problems


def _update(connection: Connection, name: str, values: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Give rows other values; what could not be used of the old ones no longer matters."""
    cells = ", ".join(f'"{column}" = ?' for column in values)
    named = f"[{', '.join(map(quoted, values))}]"
    # As one text: DuckDB looks at each value of a Python list for what it could be, which takes 0.1 ms apiece.
    connection.execute(
        "CREATE TABLE touched AS SELECT unnest(CAST(CAST(? AS JSON) AS VARCHAR[])) AS key", [json.dumps(list(keys))]
    )
    connection.execute(f"UPDATE {name} SET {cells} WHERE key IN (FROM touched)", list(values.values()))
    # Rows of which a list changes are written anew, whole: only those are that need it.
    connection.execute(
        f"UPDATE {name} SET bad = list_filter(bad, lambda c: NOT list_contains({named}, c))"
        f" WHERE list_has_any(bad, {named}) AND key IN (FROM touched); DROP TABLE touched"
    )


def _number(connection: Connection, name: str) -> None:
    connection.execute(
        f"ALTER TABLE {name} ADD COLUMN n INTEGER; UPDATE {name} SET n = place.n FROM"
        f" (SELECT rowid AS r, row_number() OVER (ORDER BY key) - 1 AS n FROM {name}) place"
        f" WHERE place.r = {name}.rowid",
    )


def link_facts(connection: Connection) -> None:
    """Number what the ids of all tables name, and the containers of items and jobs."""
    named: dict[str, list[tuple[str, str]]] = {}
    for table in TABLES:
        name = f"facts_{table.name}"
        for column, (other, key) in links_of(table).items():
            connection.execute(f"ALTER TABLE {name} ADD COLUMN {column} INTEGER")
            if not other:
                continue
            connection.execute(
                f"UPDATE {name} SET {column} = other.n FROM (SELECT key AS other_key, n FROM facts_{other}) other"
                f" WHERE other_key = {key}",
            )
            if column == _link(key):
                named.setdefault(other, []).append((name, key))
    for keys in named.values():  # what is not in the inventory has the same number wherever it is named
        strays = " UNION ".join(f"SELECT {key} AS key FROM {name} WHERE {_link(key)} IS NULL" for name, key in keys)
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE strays AS SELECT key AS stray,"
            f" CAST(-row_number() OVER (ORDER BY key) AS INTEGER) AS n FROM ({strays}) WHERE key IS NOT NULL"
        )
        for name, key in keys:
            connection.execute(f"UPDATE {name} SET {_link(key)} = strays.n FROM strays WHERE stray = {key}")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE containers AS SELECT vault_id_n AS vault_n, container, min(n) AS n"
        f" FROM (SELECT *, {_CONTAINERS['protected_items']} AS container FROM facts_protected_items)"
        " WHERE vault_id_n IS NOT NULL AND container IS NOT NULL GROUP BY ALL"
    )
    for holder, container in _CONTAINERS.items():
        connection.execute(
            f"UPDATE facts_{holder} SET container_n = containers.n FROM containers"
            f" WHERE vault_n = vault_id_n AND container = {container}"
        )
    connection.execute("DROP TABLE strays; DROP TABLE containers")


def _link(key: str) -> str:
    return key.removesuffix("key") + "n"


def _gather_tags(connection: Connection) -> None:
    described = ", ".join(f"{column} {kind}" for column, kind in TAG_COLUMNS.items())
    connection.execute(f"CREATE TABLE facts_tags ({described})")
    for table in TABLES:
        connection.execute(
            f"INSERT INTO facts_tags SELECT DISTINCT '{table.name}', n, t.n, coalesce(t.nk, lower(t.n)), t.v,"
            f" coalesce(t.vk, lower(t.v))"
            f" FROM (SELECT n, unnest(tags) AS t FROM facts_{table.name} WHERE tags IS NOT NULL)"
        )
        connection.execute(f"ALTER TABLE facts_{table.name} DROP COLUMN tags")


def _spool_sql(spool: Path, longest: int, types: Mapping[str, str], *, twins: bool) -> str:
    given = {column: kind for column, kind in types.items() if twins or not _is_twin(column, types)}
    columns = {**given, "vault_length": "INTEGER", "tags": _TAGS}
    described = ", ".join(f"'{column}': '{kind}'" for column, kind in columns.items())
    # Only what is not ASCII was folded before; for ASCII, lower case is the same everywhere.
    key = "coalesce(key, lower(id))" if twins else "lower(id)"
    own = {
        "name": "coalesce(name, split_part(id, '/', -1)) AS name",
        "name_key": f"coalesce({'name_key, ' if twins else ''}lower(name), split_part({key}, '/', -1)) AS name_key",
        "subscription_id": f"coalesce(subscription_id, CASE WHEN {key} LIKE '/subscriptions/%'"
        f" THEN split_part({key}, '/', 3) END) AS subscription_id",
        "key": f"{key} AS key",
        "vault_id": "left(id, vault_length) AS vault_id",
        "vault_id_key": f"left({key}, vault_length) AS vault_id_key",
    }
    cells = [
        own.get(column) or (f"{_twin(column, twins=twins)} AS {column}" if _is_twin(column, types) else f'"{column}"')
        for column in types
    ]
    return (
        f"SELECT {', '.join(cells)}, tags FROM read_json({quoted(spool)}, format = 'newline_delimited',"
        f" columns = {{{described}}}, maximum_object_size = {max(longest, _USUAL)})"
    )


def _snapshot_sql(table: Table, snapshot: Snapshot, *, with_links: bool) -> str:
    """Select a table of a snapshot; what an older version did not read is null and ``bad``: not known."""
    held = snapshot.columns.get(table.name)
    if held is None:  # made before there was such a table
        types = {**stored_columns(table), **dict.fromkeys(("n", *links_of(table)) if with_links else (), "INTEGER")}
        empty = [f'CAST(NULL AS {kind}) AS "{column}"' for column, kind in types.items()]
        empty += [] if with_links else [f"CAST(NULL AS {_TAGS}) AS tags"]
        return f"SELECT {', '.join(empty)} WHERE FALSE"
    cells = []
    missing = [column.name for column in columns_of(table) if column.name not in held]
    for column, kind in stored_columns(table).items():
        if column == "bad" and missing:
            cells.append(f"list_concat(coalesce(bad, []), [{', '.join(quoted(name) for name in missing)}]) AS bad")
        elif column == "source" and not with_links:
            cells.append(f"{quoted(snapshot.name)} || ': ' || source AS source")
        else:
            cells.append(f'"{column}"' if column in held else f'CAST(NULL AS {kind}) AS "{column}"')
    if with_links:
        cells += ["n", *(link if link in held else f"CAST(NULL AS INTEGER) AS {link}" for link in links_of(table))]
    else:
        cells.append("tags")
    file = quoted(snapshot.folder / f"{table.name}.parquet")
    if with_links:
        return f"SELECT {', '.join(cells)} FROM read_parquet({file})"
    names = ", ".join(quoted(subscription) for subscription in sorted(snapshot.elsewhere))
    here = f" WHERE coalesce(subscription_id NOT IN ({names}), TRUE)" if names else ""
    tags = (
        "SELECT n, list({'n': name, 'nk': name_key, 'v': value, 'vk': value_key} ORDER BY name_key, value_key) AS tags"
        f" FROM read_parquet({quoted(snapshot.folder / 'tags.parquet')}) WHERE kind = '{table.name}' GROUP BY n"
    )
    return f"SELECT {', '.join(cells)} FROM read_parquet({file}) LEFT JOIN ({tags}) USING (n){here}"


def _disagreements(connection: Connection, table: Table, name: str) -> list[Problem]:
    problems = []
    types = stored_columns(table)
    for column in columns_of(table):
        rows = connection.execute(
            f"SELECT key, list(DISTINCT CAST({column.name} AS VARCHAR) ORDER BY CAST({column.name} AS VARCHAR)),"
            f" string_agg(DISTINCT source, ', ' ORDER BY source) FROM {name} WHERE key IN (SELECT key FROM twice)"
            f" AND {column.name} IS NOT NULL GROUP BY key HAVING count(DISTINCT {_same(column.name, types)}) > 1"
            " ORDER BY key",
        ).fetchall()
        for key, values, sources in rows:
            said = " and ".join(_short(value) for value in values[:3])
            problems.append(Problem(table.name, key, column.name, f"read twice and different: {said} ({sources})"))
    return problems


def _merged(name: str, types: Mapping[str, str]) -> str:
    """Return the SQL that makes one cell of several; where they disagree it is not known."""
    match name:
        case "id" | "name" | "subscription_id" | "resource_group_name" | "vault_id":
            return f"max({name})"  # of several spellings the one with the fewest capitals
        case "name_key" | "resource_group_name_key" | "vault_id_key":
            return f"arg_max({name}, {_spelled(name)})"
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
            same = _same(_spelled(name) if _is_twin(name, types) else name, types)
            return f"CASE WHEN count(DISTINCT {same}) = 1 THEN min({name}) END"


def _with_absence(table: Table) -> str:
    """Select the facts of a table with their declared meaning where they are absent."""
    cells: dict[str, str] = {}
    for column in table.columns:
        if column.absent not in _MEANINGS:
            continue
        name, meaning = column.name, _MEANINGS[column.absent]
        given = f" AND {column.given}" if column.given else ""
        cells[name] = (
            f"CASE WHEN {name} IS NULL AND NOT coalesce(list_contains(bad, '{name}'), FALSE){given} THEN {meaning}"
            f" ELSE {name} END AS {name}"
        )
    facts = ", ".join([f"* EXCLUDE ({', '.join(cells)})", *cells.values()]) if cells else "*"
    shown = "'/subscriptions/' || subscription_id || '/resourceGroups/' || resource_group_name"
    return f"SELECT {facts}, {shown} AS resource_group_id, {_GROUP} AS resource_group_id_key FROM facts_{table.name}"


def _twin(column: str, *, twins: bool) -> str:
    return f"coalesce({column}, lower({_spelled(column)}))" if twins else f"lower({_spelled(column)})"


def _is_twin(name: str, types: Mapping[str, str]) -> bool:
    return name == "key" or (name.endswith("_key") and _spelled(name) in types)


def _spelled(twin: str) -> str:
    return "id" if twin == "key" else twin.removesuffix("_key")


def _same(column: str, types: Mapping[str, str]) -> str:
    return f"{column}_key" if f"{column}_key" in types else column


def _short(value: str) -> str:
    return value if len(value) <= 80 else value[:77] + "..."


def _view_of(connection: Connection, name: str, select: str) -> None:
    connection.execute(f"CREATE VIEW {name} AS {select}")


def quiet_connection(**config: Any) -> duckdb.DuckDBPyConnection:  # noqa: ANN401 -- DuckDB's own settings
    """Open an empty database in memory that prints nothing; by itself DuckDB draws progress on standard output."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, **config})
    connection.execute("SET enable_progress_bar = false")
    return connection


def quoted(text: str | Path) -> str:
    """Write a literal."""
    return "'" + str(text).replace("'", "''") + "'"
