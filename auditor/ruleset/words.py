"""The words of conditions, those of Azure Policy: what each of them may compare, and with what.

https://learn.microsoft.com/azure/governance/policy/concepts/definition-structure-policy-rule#conditions
"""

from typing import TypeAlias

from auditor.estate.fields import FieldType
from auditor.ruleset.model import Word

Kind: TypeAlias = FieldType  # a tag and a string parameter are text

_TEXT: tuple[Kind, ...] = ("text", "id")

TAKES: dict[Word, tuple[Kind, ...]] = {
    "equals": (*_TEXT, "number", "boolean"),
    "in": (*_TEXT, "number"),
    "exists": ("relation",),  # and tags, and columns whose absence means "none"
    "greater": ("number", "bounded", "time"),
    "greaterOrEquals": ("number", "bounded", "time"),
    "less": ("number", "bounded", "time"),
    "lessOrEquals": ("number", "bounded", "time"),
    "like": _TEXT,
    "contains": _TEXT,
    "startsWith": _TEXT,
    "endsWith": _TEXT,
}
NEGATIONS: dict[str, Word] = {"notEquals": "equals", "notIn": "in", "notLike": "like"}
# Vocabularies are compared whole, not in part: half a word of a closed list is a slip of the pen.
WHOLE_WORDS: tuple[Word, ...] = ("equals", "in", "exists")
SYMBOLS: dict[Word, str] = {
    "equals": "=",
    "in": "in",
    "exists": "exists",
    "greater": ">",
    "greaterOrEquals": ">=",
    "less": "<",
    "lessOrEquals": "<=",
    "like": "like",
    "contains": "contains",
    "startsWith": "starts with",
    "endsWith": "ends with",
}
TIME_SYMBOLS: dict[Word, str] = {
    "greater": "later than",
    "greaterOrEquals": "not earlier than",
    "less": "earlier than",
    "lessOrEquals": "not later than",
}
# What each of them asks, as editors show it.
MEANINGS: dict[str, str] = {
    "equals": "It is the same; letter case does not count",
    "notEquals": "It is known to be another",
    "in": "It is one of a list, or of a list<string> parameter; letter case does not count",
    "notIn": "It is known to be none of a list",
    "exists": "It is there (true), or is known not to be (false): for tags, relations, and what may be absent",
    "greater": "It is greater, or later",
    "greaterOrEquals": "It is not less, or not earlier",
    "less": "It is less, or earlier",
    "lessOrEquals": "It is not greater, or not later",
    "like": "It is like a pattern, in which * stands for any text",
    "notLike": "It is known not to be like a pattern, in which * stands for any text",
    "contains": "The text is a part of it",
    "startsWith": "It begins with the text",
    "endsWith": "It ends with the text",
}
