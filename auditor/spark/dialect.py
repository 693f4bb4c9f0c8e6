"""DuckDB's SQL -> Spark's, so that subjects and rules are written once.

sqlglot turns the statements over; what it does not know stands here: macros, which are put in where they are called,
the vocabularies of ENUMs, which are text in Spark, and values, which are bound by name because a function may get its
arguments in another order (``strpos`` becomes ``locate``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

_WORDS = exp.DataType.Type.ENUM
_LONG_NUMBERS = (exp.DataType.Type.INT128, exp.DataType.Type.UINT128)
_LARGEST = 2**63 - 1  # a whole number beyond it is one only in DuckDB; what it is compared with is DOUBLE in both


@dataclass(frozen=True, slots=True)
class Macro:
    """What a call of a macro stands for."""

    parameters: tuple[str, ...]
    body: exp.Expression


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of DuckDB's, understood, and the values that it names."""

    tree: exp.Expression
    values: Mapping[str, Any]


def parse(sql: str, values: Sequence[Any] = ()) -> list[Statement]:
    """Parse a statement with values for its question marks, or several without any; a list is one value, of texts."""
    named, bound = _name_values(sql, values)
    return [Statement(tree, bound) for tree in sqlglot.parse(named, read="duckdb") if isinstance(tree, exp.Expression)]


def macro_of(tree: exp.Create) -> tuple[str, Macro]:
    """Return the name of a macro that is created, and what it stands for."""
    called = tree.this
    assert isinstance(called, exp.UserDefinedFunction)
    return called.this.name.lower(), Macro(tuple(part.name.lower() for part in called.expressions), tree.expression)


def spark_sql(tree: exp.Expression, macros: Mapping[str, Macro], tables: Mapping[str, str]) -> str:
    """Write a query for Spark.

    Args:
        tree: the query.
        macros: by name.
        tables: what Spark knows each of the tables as.
    """
    tree = _expanded(tree.copy(), macros)
    for table in list(tree.find_all(exp.Table)):
        if isinstance(table.this, exp.Identifier) and table.name in tables:
            if not table.alias:
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name)))
            table.set("this", exp.to_identifier(tables[table.name]))
    for kind in tree.find_all(exp.DataType):
        if kind.this == _WORDS:
            kind.replace(exp.DataType.build("text"))
        elif kind.this in _LONG_NUMBERS:
            kind.replace(exp.DataType.build("decimal(38, 0)"))
    return str(tree.sql(dialect="spark", unsupported_level=sqlglot.ErrorLevel.RAISE))


def _name_values(sql: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Replace question marks by names, in the order in which they are written."""
    marks = [token for token in sqlglot.tokenize(sql, read="duckdb") if token.token_type == TokenType.PLACEHOLDER]
    assert len(marks) == len(values), f"{len(marks)} question marks and {len(values)} values"
    bound: dict[str, Any] = {}
    pieces, end = [], 0
    for mark, value in zip(marks, values, strict=True):
        pieces += [sql[end : mark.start], _names(value, bound)]
        end = mark.end + 1
    return "".join([*pieces, sql[end:]]), bound


def _names(value: object, bound: dict[str, Any]) -> str:
    if isinstance(value, list):
        return f"CAST([{', '.join(_names(item, bound) for item in value)}] AS VARCHAR[])"
    name = f"v{len(bound)}"
    beyond = isinstance(value, int) and abs(value) > _LARGEST
    bound[name] = float(value) if beyond and isinstance(value, int) else value
    return f"${name}"


def _expanded(tree: exp.Expression, macros: Mapping[str, Macro]) -> exp.Expression:
    """Put macros in where they are called, those that macros call among them."""

    def expand(node: exp.Expression) -> exp.Expression:
        macro = macros.get(node.name.lower()) if isinstance(node, exp.Anonymous) else None
        if macro is None:
            return node
        given = dict(zip(macro.parameters, node.expressions, strict=True))
        body = exp.paren(macro.body.copy())
        for column in list(body.find_all(exp.Column)):
            if not column.table and column.name.lower() in given:
                column.replace(exp.paren(given[column.name.lower()].copy()))
        return _expanded(body, macros)

    return tree.transform(expand)
