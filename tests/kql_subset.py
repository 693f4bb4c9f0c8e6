"""Resource Graph's own subset of KQL, as far as it is documented; Kusto itself, and its parser, allow much more.

https://learn.microsoft.com/azure/governance/resource-graph/concepts/query-language and .../paging-results
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from arm.graph_rows import BAGS, TABLES
from arm.kql import tokens_of

from auditor.inventory.projection import MARK

Words: TypeAlias = list[str]
Stages: TypeAlias = list[Words]

_OPERATORS = {"count", "distinct", "extend", "join", "limit", "mv-expand", "order", "parse", "project", "project-away"}
_OPERATORS |= {"sort", "summarize", "take", "top", "union", "where"}
_JOINS = {"innerunique", "inner", "leftouter", "fullouter"}
_MOST_JOINS, _MOST_EXPANSIONS, _MOST_EXPANDED, _MOST_LEGS = 3, 2, 400, 3


class Query:
    """A query in pieces.

    Attributes:
        stages: what stands between its own pipes, each beginning with its operator, the first with its table.
        every: the same of the queries inside of it, too; ``sources`` are the tables that they all begin with.
        columns: what its last ``project`` gives: name and expression.
    """

    def __init__(self, text: str) -> None:
        words = [token.text for token in tokens_of(text) if token.kind != "space"]
        queries = list(_queries(words))
        self.stages = queries[0]
        self.every = [stage for query in queries for stage in query[1:]]
        self.sources = ["".join(query[0]) for query in queries]
        projects = [stage for stage in self.stages if stage[0] == "project"]
        self.columns = [_column(words) for words in _split(projects[-1][1:], ",")] if projects else []

    def used(self, *operators: str) -> Stages:
        return [stage for stage in self.every if stage[0] in operators]

    def id_is_kept(self) -> bool:
        """Tell whether ``id`` is still there at the end, and still what it was."""
        kept = True
        for operator, *words in self.stages[1:]:
            match operator:
                case "project":
                    kept = kept and ("id", "id") in map(_column, _split(words, ","))
                case "project-away":
                    kept = kept and "id" not in words
                case "extend":
                    kept = kept and all(_column(part)[0] != "id" for part in _split(words, ","))
                case "count" | "distinct" | "summarize":
                    kept = False
        return kept


def _queries(words: Words) -> Iterator[Stages]:
    """Yield a query, and those that it joins or unites."""
    stages = [stage or [""] for stage in _split(words, "|")]
    yield stages
    for stage in stages:
        if stage[0] in ("join", "union"):
            for leg in _legs(stage):
                yield from _queries(leg[1:-1] if leg[:1] == ["("] else leg)


def _legs(stage: Words) -> Stages:
    rest = stage[1:]
    while rest[1:2] == ["="] or rest[1:2] == ["."]:  # options, some of them with two names
        rest = rest[3:] if rest[1] == "=" else rest[2:]
    return _split(rest, ",") if stage[0] == "union" else _split(rest, "on")[:1]


def _split(words: Words, sign: str) -> Stages:
    """Split at a sign that stands in no parenthesis."""
    parts: Stages = [[]]
    depth = 0
    for word in words:
        depth += (word in ("(", "[")) - (word in (")", "]"))
        if word == sign and not depth:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def _column(words: Words) -> tuple[str, str]:
    if words[1:2] == ["="]:
        return words[0], "".join(words[2:])
    return "_".join(word for word in words if word != "."), "".join(words)


def _option(stage: Words, name: str, default: str) -> str:
    at = stage.index(name) if name in stage else len(stage)
    return stage[at + 2] if stage[at + 1 : at + 2] == ["="] else default


def _is_bag(expression: str) -> bool:
    return re.fullmatch(rf"({'|'.join(BAGS)})([.\[].*)?", expression) is not None


def _expanded(stage: Words) -> int:
    return int(stage[stage.index("limit") + 1]) if "limit" in stage else 0


RULES: dict[str, Callable[[Query], bool]] = {
    "no operator but Resource Graph's": lambda query: all(stage[0] in _OPERATORS for stage in query.every),
    "no statement but one query": lambda query: not any(";" in stage for stage in [*query.stages, *query.every]),
    "tables by their names, in small letters": lambda query: set(query.sources) <= set(TABLES),
    "at most 3 joins": lambda query: len(query.used("join")) <= _MOST_JOINS,
    "no join of another kind": lambda query: (
        {_option(stage, "kind", "innerunique") for stage in query.used("join")} <= _JOINS
    ),
    "no strategy for a join": lambda query: not any("hint" in stage for stage in query.used("join")),
    "at most 2 mv-expand": lambda query: len(query.used("mv-expand")) <= _MOST_EXPANSIONS,
    "at most 400 rows of each": lambda query: all(
        _expanded(stage) <= _MOST_EXPANDED for stage in query.used("mv-expand")
    ),
    "at most 3 legs of unions": lambda query: sum(len(_legs(stage)) for stage in query.used("union")) < _MOST_LEGS,
    "no union of tables that may not be there": lambda query: (
        not any("isfuzzy" in stage for stage in query.used("union"))
    ),
    # What follows is about pages: without it there is no token for the next one, or the pages do not fit together.
    "the id is projected": Query.id_is_kept,
    "ordered by id, at the end": lambda query: query.stages[-1][:3] in (["order", "by", "id"], ["sort", "by", "id"]),
    "no limit": lambda query: not query.used("limit", "take", "top"),
    "a column that is no bag": lambda query: (
        not query.columns or any(not _is_bag(expression) for _, expression in query.columns)
    ),
    # What makes the rows known for what they are, whoever ran the query.
    "the mark": lambda query: any(
        name == MARK and re.fullmatch("'[0-9a-f]{8}'", expression) for name, expression in query.columns
    ),
}


def broken_rules(text: str) -> list[str]:
    """Return the rules that a query breaks."""
    query = Query(text)
    return [rule for rule, holds in RULES.items() if not holds(query)]


def projected(text: str, resource: Mapping[str, Any]) -> dict[str, Any]:
    """Do by hand what the ``project`` of one of our queries does, for a resource that it is about."""
    row: dict[str, Any] = {}
    for name, expression in Query(text).columns:
        looked_for = re.fullmatch(r"isnotnull\((.*)\)", expression)
        if expression.startswith("'"):
            row[name] = expression.strip("'")
        elif looked_for is not None:
            row[name] = _at(resource, looked_for[1]) is not None
        else:
            row[name] = _at(resource, expression)
    return row


def _at(resource: Mapping[str, Any], path: str) -> Any:
    value: Any = resource
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
