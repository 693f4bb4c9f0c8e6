"""Resource Graph's dialect of KQL, made into what duckdb-kql translates; what Azure refuses is refused here too."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from arm.graph_rows import COLUMNS, TABLES

# The column that holds the hash of an id.
HASH = "hash_of_id_"
# The operators that Resource Graph documents.
_OPERATORS = {
    "count",
    "distinct",
    "extend",
    "join",
    "limit",
    "mv-expand",
    "order",
    "parse",
    "project",
    "project-away",
    "sort",
    "summarize",
    "take",
    "top",
    "union",
    "where",
}
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<text>@?"(?:[^"\\\n]|\\.)*"|@?'(?:[^'\\\n]|\\.)*')
      | (?P<word>[A-Za-z_$][A-Za-z0-9_]*(?:-[A-Za-z]+)?)
      | (?P<number>\d[\w.]*)
      | (?P<sign>=~|!~|==|!=|<=|>=|\.\.|[^\w\s])""",
    re.VERBOSE,
)
_MOST_JOINS, _MOST_EXPANSIONS = 3, 2
_ADVICE = (
    "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the error before "
    "retrying."
)


class BadQuery(Exception):
    """A query that Resource Graph refuses; ``details`` are those of its answer."""

    def __init__(self, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.details: list[dict[str, object]] = [
            {"code": "InvalidQuery", "message": _ADVICE},
            {"code": code, "message": message, **more},
        ]


@dataclass(frozen=True)
class Token:
    """A piece of a query; ``kind`` is space, text, word, number or sign."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Query:
    """A query ready for duckdb-kql; ``pages`` says that its rows can be had page by page where they have an id."""

    kql: str
    pages: bool


def tokens_of(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise parser_failure(text, at, text[at])
        yield Token(match.lastgroup, match[0], at)
        at = match.end()


def parser_failure(text: str, at: int, token: str) -> BadQuery:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1)
    return BadQuery(
        "ParserFailure", "ParserFailure", line=line, characterPositionInLine=column, token=token, expectedToken="Ϗ"
    )


def prepare(text: str) -> Query:
    """Check a query against Resource Graph's subset and write what duckdb-kql does not know in other words.

    Raises:
        BadQuery: an operator, table or column that Resource Graph does not have, or more joins than it allows.
    """
    tokens = [token for token in tokens_of(text) if token.kind != "space"]
    if not tokens:
        raise parser_failure(text, 0, "<EOF>")
    if tokens[0].text.lower() in _OPERATORS - {"union", "count"}:
        text = f"resources | {text}"
        tokens = [token for token in tokens_of(text) if token.kind != "space"]
    operators = _check_operators(text, tokens)
    _check_names(tokens)
    return Query(_rewritten(text, tokens), not operators & {"limit", "take", "top", "summarize", "count", "distinct"})


def _check_operators(text: str, tokens: list[Token]) -> set[str]:
    used = []
    for before, token in pairwise(tokens):
        if before.text == "|":
            if token.text not in _OPERATORS:
                raise parser_failure(text, token.at, token.text)
            used.append(token.text)
    if tokens[0].kind == "word" and tokens[0].text in ("let", "search", "print", "datatable", "range", "find"):
        raise parser_failure(text, tokens[0].at, tokens[0].text)
    if used.count("join") > _MOST_JOINS:
        raise BadQuery("JoinLimitExceeded", f"A query can have at most {_MOST_JOINS} joins.")
    if used.count("mv-expand") > _MOST_EXPANSIONS:
        raise BadQuery("MvExpandLimitExceeded", f"A query can have at most {_MOST_EXPANSIONS} mv-expand operators.")
    return set(used)


def _check_names(tokens: list[Token]) -> None:
    """Refuse what DuckDB forgives: names in another case than Resource Graph's, and tables that are not there."""
    columns = {name.lower(): name for name in COLUMNS}
    words = [token.text for token in tokens]
    own = {word for word, after in pairwise(words) if after == "="}
    for number, token in enumerate(tokens):
        before, after = words[number - 1] if number else "", words[number + 1] if number + 1 < len(words) else ""
        if token.kind != "word" or before in (".", "$left", "$right"):
            continue
        name = columns.get(token.text.lower())
        if name not in (None, token.text) and token.text not in own and after not in ("(", "="):
            raise BadQuery("SemanticError", f"Failed to resolve column or scalar expression named '{token.text}'")
        starts = not number or (before == "(" and words[number - 2] in _BEFORE_TABLES)
        if starts and after in ("|", "") and token.text.lower() not in TABLES:
            raise BadQuery("DisallowedLogicalTableName", f"Table {token.text} is invalid, unsupported or disallowed.")


_BEFORE_TABLES = {"join", "union", "leftouter", "inner", "innerunique", "fullouter"}


def _rewritten(text: str, tokens: list[Token]) -> str:
    """Put tables into small letters, ``kind`` into brackets, and hashes into what can be executed."""
    pieces: list[str] = []
    done, number = 0, 0
    while number < len(tokens):
        token = tokens[number]
        before = tokens[number - 1].text if number else ""
        after = tokens[number + 1].text if number + 1 < len(tokens) else ""
        end, instead = number, None
        if token.kind == "word" and token.text.lower() in TABLES and after in ("|", ")", ",", ""):
            instead = token.text.lower()
        elif token.text == "kind" and before not in (".", "join", "union") and after != "=":
            instead = "['kind']"
        elif token.text == "hash" and after == "(":
            end, instead = _hash(text, tokens, number)
        if instead is not None:
            pieces += [text[done : token.at], instead]
            done = tokens[end].at + len(tokens[end].text)
        number = end + 1
    return "".join(pieces) + text[done:]


def _hash(text: str, tokens: list[Token], number: int) -> tuple[int, str]:
    """Write ``hash(tolower(id))`` and ``hash(tolower(id), n)`` with a column that holds hashes of ids.

    They are stable and spread evenly, though not Kusto's xxHash; no answer shows the column.
    """
    depth, comma = 0, None
    for end in range(number + 1, len(tokens)):
        sign = tokens[end].text if tokens[end].kind == "sign" else ""
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 1:
            comma = tokens[end].at
        if depth == 0:
            break
    else:
        raise parser_failure(text, len(text), "<EOF>")
    inner = "".join(text[tokens[number + 1].at + 1 : comma if comma is not None else tokens[end].at].split())
    if inner not in ("id", "tolower(id)"):
        raise BadQuery("UnsupportedByStandIn", "The stand-in has hashes of ids only.")
    return end, f"({HASH} % ({text[comma + 1 : tokens[end].at]}))" if comma is not None else HASH
