"""Tables -> Resource Graph queries with narrow rows, and what their rows hold.

A row has ``id``, ``name``, ``type``, ``tags``, a column for each declared fact that Resource Graph has, and
``auditor_query``: the version of the query, so that rows of a query that somebody ran by hand are read by the columns
that it asked for, and never taken for whole resources in which everything else is absent.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import msgspec

from auditor.inventory.shapes import Part, shape_of
from auditor.inventory.tables import STORAGE_CONFIGS, TABLES, VAULT_CONFIGS, Table

MARK = "auditor_query"
# https://learn.microsoft.com/azure/governance/resource-graph/concepts/query-language: a column that a table does not
# have makes the whole query invalid, a property that a resource does not have is null.
_ROOT = ("id", "name", "type", "location", "managedBy", "sku", "tags", "properties")
_NOT_IN_GRAPH = "properties.instanceView"
_PROJECTED = ("id", "name", "type", "tags")
GRAPH_TABLES = tuple(table for table in TABLES if table not in (STORAGE_CONFIGS, VAULT_CONFIGS))

Rows: TypeAlias = list[Any]


class _Asked(NamedTuple):
    """A column of the answer: where its value belongs in the table's shape, and the KQL that gives it."""

    name: str
    place: int
    kql: str
    presence: bool


class Projection:
    """What is asked of Resource Graph for one table.

    Attributes:
        table: the table.
        version: changes with the columns of the query; each row carries it.
        page: decodes an array of rows; raises ``msgspec.DecodeError`` for what is none.
    """

    def __init__(self, table: Table) -> None:
        """Work out the query of a table."""
        self.table = table
        self._asked = tuple(_asked(table))
        columns = [*_PROJECTED, *(f"{entry.name} = {entry.kql}" for entry in self._asked)]
        self.version = hashlib.sha256("\n".join(columns).encode()).hexdigest()[:8]
        self._project = ", ".join(
            name if name == kql else f"{name} = {kql}"
            for name, kql in [
                *((name, name) for name in _PROJECTED),
                (MARK, f"'{self.version}'"),
                *((entry.name, entry.kql) for entry in self._asked if entry.name not in _PROJECTED),
            ]
        )
        names = dict.fromkeys((*_PROJECTED, MARK, *(entry.name for entry in self._asked)))
        row = msgspec.defstruct("Row", [(name, Any, None) for name in names], frozen=True, gc=False)
        self.page = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]  # made at run time

    def kql(self, part: int = 0, parts: int = 1) -> str:
        """Write the query, of everything or of one of several parts that share nothing.

        Resource Graph pages by counting rows, so a row is lost when another one before it is deleted between two
        pages. Parts that fit on a page each lose none:
        https://learn.microsoft.com/azure/governance/resource-graph/concepts/paging-results
        """
        types = ", ".join(f"'{arm_type}'" for arm_type in self.table.arm_types)
        some = f"\n| where hash(tolower(id)) % {parts} == {part}" if parts > 1 else ""
        return (
            f"{self.table.graph_family}\n| where type in~ ({types}){some}\n| project {self._project}\n| order by id asc"
        )

    def fault_of(self, row: Mapping[str, Any]) -> str:
        """Return why a row with the mark is none of this query, or nothing; what is null is written as null."""
        if row.get(MARK) != self.version:
            return "comes from a query of another version of this program"
        lacking = [name for name in (*_PROJECTED, *(entry.name for entry in self._asked)) if name not in row]
        return f"has no {lacking[0]}, which its query asks for" if lacking else ""

    def values(self, row: Any) -> Sequence[Any]:  # noqa: ANN401 -- its struct is made at run time
        """Return what stands at each path of the table's shape, as ``Shape.values`` does for a whole resource."""
        return self._values(row, getattr)

    def values_of(self, row: Mapping[str, Any]) -> Sequence[Any]:
        """Return the same for a row that was decoded without its shape."""
        return self._values(row, dict.get)

    def _values(self, row: Any, get: Any) -> Sequence[Any]:  # noqa: ANN401 -- one of the two above
        found = list(shape_of(self.table).absent)
        for entry in self._asked:
            value = get(row, entry.name)
            if not entry.presence:
                found[entry.place] = value
            elif value is True or value == 1:  # Kusto has no booleans of its own inside: both spellings occur
                found[entry.place] = _HERE
            elif value is not None and value != 0:  # whatever else it says, it is not that nothing is there
                found[entry.place] = value
        return found


_HERE = Part()


@cache
def projection_of(table: Table) -> Projection:
    """Return what is asked for a table; it is worked out once."""
    return Projection(table)


def queries() -> dict[str, str]:
    """Return the query of each table that Resource Graph has, for those who want to run them by hand."""
    return {table.name: projection_of(table).kql() for table in GRAPH_TABLES}


def _asked(table: Table) -> list[_Asked]:
    shape = shape_of(table)
    asked: list[_Asked] = []
    for column in table.columns:
        for path in column.paths:
            place = shape.paths.index(path)
            if path.partition(".")[0] not in _ROOT or path.startswith(_NOT_IN_GRAPH):
                continue
            if any(entry.place == place for entry in asked):
                continue
            name = path if path in _ROOT else column.name
            if name in _ROOT and name != path:
                name = f"{table.relation}_{name}"
            again = sum(entry.name.startswith(name) for entry in asked) if path != column.paths[0] else 0
            if again:
                name += f"_{again + 1}"
            presence = column.pick == "presence"
            asked.append(_Asked(name, place, f"isnotnull({path})" if presence else path, presence))
    return asked
