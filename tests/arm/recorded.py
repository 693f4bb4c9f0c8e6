"""Answers that Azure really gave, and Microsoft's examples, where there are any: they are no part of the project."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("AUDITOR_CONFORMANCE") or Path(__file__).resolve().parents[3] / "shared" / "conformance")
MISSING = (
    "no recorded answers here: name their folder with AUDITOR_CONFORMANCE, or put them into shared/conformance beside "
    "the repository"
)


def names(folder: str, pattern: str = "*.json") -> list[str]:
    """Return the files of a folder, nothing where the folder is absent."""
    return sorted(path.name for path in (FOLDER / folder).glob(pattern))


def load(folder: str, name: str) -> Any:
    return json.loads((FOLDER / folder / name).read_text(encoding="utf-8"))


def missing(expected: object, got: object, path: str = "") -> Iterator[str]:
    """Tell what of one JSON value's shape the other has not: members, and kinds of values; of lists the first entry."""
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            yield f"{path} is no object"
            return
        for name, value in expected.items():
            if name not in got:
                yield from [f"{path}.{name}"] if value is not None else ()
            else:
                yield from missing(value, got[name], f"{path}.{name}")
    elif isinstance(expected, list):
        if not isinstance(got, list):
            yield f"{path} is no list"
        elif expected and got:
            yield from missing(expected[0], _like(expected[0], got), f"{path}[]")
    elif expected is not None and got is not None and _kind(expected) != _kind(got):
        yield f"{path} is {_kind(got)} and not {_kind(expected)}"


def _like(entry: object, others: list[object]) -> object:
    """Return the entry of another list that has the same name, or else its first."""
    if isinstance(entry, dict) and "name" in entry:
        for other in others:
            if isinstance(other, dict) and other.get("name") == entry["name"]:
                return other
    return others[0]


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__
