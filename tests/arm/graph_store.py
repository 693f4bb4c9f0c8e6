"""Resource Graph's tables in DuckDB: what shows when, and answers of queries over what a caller may read."""

import json
import re
import tempfile
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import duckdb
import duckdb_kql

from arm.access import Principal
from arm.estate import Change, Estate
from arm.graph_rows import BAGS, COLUMNS, TABLES, TEXTS, container_rows, row_of, table_of
from arm.ids import GROUP, SUBSCRIPTION, Json, kind_of
from arm.kql import HASH, BadQuery, parser_failure, prepare

_KEPT_ANSWERS = 48
_SCHEMA = {table: [*COLUMNS, HASH] for table in TABLES}
_POSITION = re.compile(r" at (\d+):(\d+)")
_TYPES = {"BOOLEAN": "boolean", "DOUBLE": "number", "FLOAT": "number", "JSON": "object"}


@dataclass(frozen=True)
class Rows:
    """A whole answer: names and types of columns, each row as JSON text, and whether it can be had in pages."""

    columns: tuple[tuple[str, str], ...]
    rows: list[str]
    pages: bool


class GraphStore:
    """The rows of an estate, which follow its changes once they are visible."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._lock = Lock()
        self._answers: OrderedDict[tuple[object, ...], Rows] = OrderedDict()
        self._pending: list[Change] = []
        self._generation = 0
        self._containers = (-1, -1)
        self._places: list[tuple[str, str, str]] | None = None
        self._shown_to: tuple[object, ...] = ()
        self._db = duckdb.connect(config={"threads": "2"})
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute("CREATE TABLE readable (s VARCHAR, g VARCHAR, t VARCHAR)")
        self._db.execute("CREATE TABLE single (key VARCHAR)")
        typed = ", ".join([f'"{name}" VARCHAR' for name in ("key", *TEXTS)] + [f'"{name}" JSON' for name in BAGS])
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        for table in TABLES:
            self._db.execute(f"CREATE TABLE all_{table} ({typed}, {HASH} BIGINT)")
            self._db.execute(
                f"CREATE VIEW {table} AS SELECT {names}, {HASH} FROM all_{table} WHERE "
                "(subscriptionId, resourceGroup, type) IN (SELECT (s, g, t) FROM readable) "
                "OR key IN (SELECT key FROM single)"
            )
        with estate.lock:
            self._insert(row_of(estate, entry) for entry in estate.resources.values())
            self._insert_containers()
            self._pending += estate.changes
            estate.changes.clear()
        self._pending.clear()

    def close(self) -> None:
        self._db.close()

    def answer(self, principal: Principal, subscriptions: frozenset[str] | None, text: str, now: float) -> Rows:
        """Execute a query on what a caller may read in some subscriptions, or with ``None`` in the whole tenant.

        Raises:
            BadQuery: the query is none that Resource Graph would execute.
        """
        with self._lock:
            self._follow(now)
            key = (self._generation, principal.client_id, subscriptions, text)
            known = self._answers.get(key)
            if known is None:
                known = self._executed(principal, subscriptions, text)
                self._answers[key] = known
                if len(self._answers) > _KEPT_ANSWERS:
                    self._answers.popitem(last=False)
            return known

    def _executed(self, principal: Principal, subscriptions: frozenset[str] | None, text: str) -> Rows:
        query = prepare(text)
        self._show(principal, subscriptions)
        try:
            sql = str(duckdb_kql.to_sql(query.kql, schema=_SCHEMA))
            described = self._db.execute(f"DESCRIBE {sql}").fetchall()
            columns = [(str(name), str(kind)) for name, kind, *_ in described if not str(name).startswith(HASH)]
            cells = ", ".join(f"{_literal(name)}, {_cell(name, kind)}" for name, kind in columns)
            found = self._db.execute(f"SELECT CAST(json_object({cells}) AS VARCHAR) FROM ({sql}) AS rows_").fetchall()
        except duckdb_kql.KqlSyntaxError as error:
            position = _POSITION.search(str(error))
            raise parser_failure(text, int(position[2]) if position else len(text), "<EOF>") from error
        except duckdb_kql.KqlError as error:
            raise BadQuery("UnsupportedByStandIn", f"The stand-in cannot execute this: {error}") from error
        except duckdb.Error as error:
            raise BadQuery("SemanticError", str(error).partition("\n")[0]) from error
        return Rows(
            tuple(
                (name, _TYPES.get(kind, "integer" if "INT" in kind and kind != "INTERVAL" else "string"))
                for name, kind in columns
            ),
            [str(row) for (row,) in found],
            query.pages and any(name == "id" for name, _ in columns),
        )

    def _show(self, principal: Principal, subscriptions: frozenset[str] | None) -> None:
        """Let the views hold what a caller may read in the subscriptions asked for."""
        shown = (self._generation, principal.client_id, subscriptions)
        if shown == self._shown_to:
            return
        if self._places is None:
            parts = " UNION ".join(f"SELECT subscriptionId, resourceGroup, type FROM all_{table}" for table in TABLES)
            self._places = [(str(s), str(g), str(t)) for s, g, t in self._db.execute(parts).fetchall()]
        readable = [
            (subscription, group, kind)
            for subscription, group, kind in self._places
            if (subscriptions is None or subscription in subscriptions)
            and principal.may(f"{kind}/read", _path(subscription, group))
        ]
        self._db.execute("DELETE FROM readable; DELETE FROM single")
        lists = [list(column) for column in zip(*readable, strict=True)] or [[], [], []]
        self._db.execute(
            "INSERT INTO readable SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[])", lists
        )
        single = [key for asked in self._asked(subscriptions) for key in self._single(principal, asked)]
        self._db.execute("INSERT INTO single SELECT unnest(?::VARCHAR[])", [single])
        self._shown_to = shown

    def _asked(self, subscriptions: frozenset[str] | None) -> Iterable[str]:
        return self._estate.subscriptions if subscriptions is None else subscriptions

    def _single(self, principal: Principal, subscription: str) -> Iterable[str]:
        """Return what a caller may read because of a role at the resource itself."""
        for entry in principal.assignments(subscription):
            if entry.scope.count("/") <= 4:
                continue
            for table in TABLES:
                found = self._db.execute(
                    f"SELECT key, type FROM all_{table} WHERE key = ? OR starts_with(key, ? || '/')",
                    [entry.scope, entry.scope],
                )
                yield from (str(key) for key, kind in found.fetchall() if entry.allows(f"{kind}/read"))

    def _follow(self, now: float) -> None:
        """Take over the changes of the estate that show by now."""
        with self._estate.lock:
            self._pending += self._estate.changes
            self._estate.changes.clear()
            due = sorted((change for change in self._pending if change.visible <= now), key=lambda it: it.visible)
            if not due:
                return
            self._pending = [change for change in self._pending if change.visible > now]
            last = {change.key: change for change in due}
            for table in TABLES[:2]:
                self._db.execute(f"DELETE FROM all_{table} WHERE key IN (SELECT unnest(?::VARCHAR[]))", [list(last)])
            kept = [change.resource for change in last.values() if change.resource is not None]
            self._insert(row_of(self._estate, entry) for entry in kept if kind_of(entry) not in (SUBSCRIPTION, GROUP))
            if len(kept) != len([entry for entry in kept if kind_of(entry) not in (SUBSCRIPTION, GROUP)]):
                self._containers = (-1, -1)
            self._insert_containers()
        self._generation += 1
        self._places = None
        self._answers.clear()

    def _insert_containers(self) -> None:
        known = (len(self._estate.subscriptions), len(self._estate.resource_groups))
        if known != self._containers:
            self._db.execute("DELETE FROM all_resourcecontainers")
            self._insert(container_rows(self._estate))
            self._containers = known

    def _insert(self, rows: Iterable[Json]) -> None:
        """Load rows through files, which is the fast way into DuckDB."""
        with tempfile.TemporaryDirectory() as folder:
            files = {table: Path(folder) / f"{table}.json" for table in TABLES}
            opened = {table: path.open("w", encoding="utf-8") for table, path in files.items()}
            counts = dict.fromkeys(TABLES, 0)
            try:
                for row in rows:
                    table = table_of(str(row["type"]))
                    if table is not None:
                        opened[table].write(json.dumps(row) + "\n")
                        counts[table] += 1
            finally:
                for file in opened.values():
                    file.close()
            types = dict.fromkeys(("key", *TEXTS), "VARCHAR") | dict.fromkeys(BAGS, "JSON")
            for table, path in files.items():
                if counts[table]:
                    self._db.execute(
                        f"INSERT INTO all_{table} SELECT *, (md5_number_lower(key) >> 1)::BIGINT "
                        f"FROM read_json({_literal(str(path))}, format = 'newline_delimited', columns = {types}, "
                        "maximum_object_size = 67108864)"
                    )


def _path(subscription: str, group: str) -> str:
    if not subscription:
        return "/providers/microsoft.management/managementgroups"
    return f"/subscriptions/{subscription}" + (f"/resourcegroups/{group}" if group else "")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _cell(name: str, kind: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if kind.startswith("TIMESTAMP"):
        return f"strftime({quoted}, '%Y-%m-%dT%H:%M:%S.%f') || '0Z'"
    return f"CAST({quoted} AS VARCHAR)" if kind == "INTERVAL" else quoted
