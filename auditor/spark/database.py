"""A database for one estate in Spark: it takes DuckDB's SQL and answers as DuckDB does.

Tables and views are DataFrames, known to Spark under names of their own, so that several estates can be judged in one
session. Tables and subjects are computed once and kept where Spark keeps them, other views each time they are asked
for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
from pyspark.sql import DataFrame, SparkSession
from sqlglot import exp

from auditor.estate.fields import SUBJECTS
from auditor.spark.dialect import Macro, Statement, macro_of, parse, spark_sql

_TYPES = {
    "VARCHAR": "STRING",
    "INTEGER": "INT",
    "BIGINT": "BIGINT",
    "DOUBLE": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "VARCHAR[]": "ARRAY<STRING>",
}


class Answer:
    """The rows of a query, fetched when they are asked for; ``None`` of what is no query."""

    def __init__(self, frame: DataFrame | None) -> None:
        """Ask for nothing yet."""
        self.frame = frame
        self.rows: Iterator[tuple[Any, ...]] | None = None

    @property
    def description(self) -> list[tuple[str]]:
        """The columns."""
        return [(name,) for name in self.frame.columns] if self.frame is not None else []

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row, ``None`` after the last."""
        return next(self._begun(at_once=True), None)

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        """Return the next rows, none after the last; no more than a part of them is here at a time."""
        return list(islice(self._begun(at_once=False), size))

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows that are left."""
        return list(self._begun(at_once=True))

    def _begun(self, *, at_once: bool) -> Iterator[tuple[Any, ...]]:
        if self.rows is None:
            found = () if self.frame is None else self.frame.collect() if at_once else self.frame.toLocalIterator()
            self.rows = map(tuple, found)
        return self.rows


class SparkDatabase:
    """The tables and views of one estate."""

    def __init__(self, spark: SparkSession, folder: str, name: str) -> None:
        """Begin empty.

        Args:
            spark: where to compute.
            folder: the URL of the snapshot: files are looked for in it, by their names.
            name: begins the names that Spark knows tables by.
        """
        self.spark = spark
        self.folder = folder
        self.name = name
        self.macros: dict[str, Macro] = {}
        self.tables: dict[str, str] = {}

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Answer:
        """Run a statement, or several without values; the answer is that of the last."""
        answer = Answer(None)
        for statement in parse(sql, values):
            tree = statement.tree
            if not isinstance(tree, exp.Create):
                answer = Answer(self._frame(statement))
            elif tree.kind in ("MACRO", "FUNCTION"):
                name, macro = macro_of(tree)
                self.macros[name] = macro
            else:
                made = self._frame(Statement(_unordered(tree.expression), statement.values))
                often = tree.kind == "TABLE" or tree.this.name in SUBJECTS
                self.register(tree.this.name, self.keep(made) if often else made)
        return answer

    def frame(self, sql: str, values: Sequence[Any] = ()) -> DataFrame:
        """Return what a query gives, without computing it."""
        (statement,) = parse(sql, values)
        return self._frame(statement)

    def add_rows(self, name: str, types: Mapping[str, str], rows: Iterable[Mapping[str, Any]], /) -> None:
        """Make a table of rows that Python has: out of one text, which Spark needs no Python of its own for."""
        cells = ", ".join(f"`{column}` {_TYPES[kind]}" for column, kind in types.items())
        rows_of = f"inline(from_json(:rows, 'array<struct<{cells}>>', map('mode', 'FAILFAST')))"
        text = msgspec.json.encode([{column: row.get(column) for column in types} for row in rows]).decode()
        self.register(name, self.spark.sql(f"SELECT {rows_of}", args={"rows": text}))

    def seal(self) -> None:
        """Do nothing: statements reach tables that were named before, and files only through the views of facts."""

    def close(self) -> None:
        """Let go of all of it; what was kept goes when nothing names it any more."""
        for known in self.tables.values():
            self.spark.catalog.dropTempView(known)

    def keep(self, frame: DataFrame) -> DataFrame:
        """Compute at once what is asked for often, and forget how: plans of plans would cost more than the rows."""
        return frame.localCheckpoint()

    def register(self, name: str, frame: DataFrame) -> None:
        """Let statements know it by a name."""
        self.tables[name] = f"{self.name}_{name}"
        frame.createOrReplaceTempView(self.tables[name])

    def _frame(self, statement: Statement) -> DataFrame:
        tree = statement.tree
        if not isinstance(tree, exp.Query):
            raise TypeError(f"{type(tree).__name__} is no query")
        self._open_files(tree)
        return self.spark.sql(spark_sql(tree, self.macros, self.tables), args=dict(statement.values))

    def _open_files(self, tree: exp.Query) -> None:
        """Put the snapshot's own files in where Parquet is read."""
        for file in list(tree.find_all(exp.ReadParquet)):
            name = file.expressions[0].name.rpartition("/")[2]
            table = f"file_{name.removesuffix('.parquet')}"
            if table not in self.tables:
                self.register(table, self.spark.read.parquet(f"{self.folder}/{name}"))
            reads = file.find_ancestor(exp.Table)
            assert reads is not None
            reads.set("this", exp.to_identifier(table))


def _unordered(tree: exp.Query) -> exp.Query:
    """Leave out the order of a table's rows: there is none where several machines hold them."""
    tree.set("order", None)
    return tree
