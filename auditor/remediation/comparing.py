"""What Azure says now, held against what a plan says: is it still as it was, is it already as it will be."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from auditor.text import fold, visible
from auditor.timestamps import parse_time

Json = dict[str, Any]
_SHOWN = 120  # characters of a value


def difference(content: Json, equals: Mapping[str, Any]) -> str:
    """Return in words the first value that is another one; empty where all are the same.

    Args:
        content: what a GET answered.
        equals: values by JSON pointer. Texts are compared without case, numbers by value; what is null may be missing.
    """
    for pointer, wanted in equals.items():
        held = _at(content, pointer)
        if not same(held, wanted):
            return f"{pointer} is {_shown(held)}, not {_shown(wanted)}"
    return ""


def lacking(content: Any, wanted: Any, at: str = "") -> str:  # noqa: ANN401 -- JSON of any kind
    """Return in words the first thing wanted that is not there; what is there besides does not count."""
    if isinstance(wanted, dict):
        held = content if isinstance(content, dict) else {}
        for name, value in wanted.items():
            said = lacking(held.get(name), value, f"{at}/{name}")
            if said:
                return said
        return ""
    if isinstance(wanted, list) and isinstance(content, list) and len(wanted) == len(content):
        pairs = zip(_in_order(content), _in_order(wanted), strict=True)
        return next((said for held, value in pairs if (said := lacking(held, value, at))), "")
    if wanted == [] and content is None:
        return ""
    return "" if same(content, wanted) else f"{at} is {_shown(content)}, not {_shown(wanted)}"


def besides(content: Any, wanted: Json) -> list[str]:  # noqa: ANN401 -- JSON of any kind
    """Return the names under which something is there that nobody wants; what is empty, false or zero is nothing."""
    held = content if isinstance(content, dict) else {}
    return sorted(name for name, value in held.items() if value and not wanted.get(name))


def same(held: Any, wanted: Any) -> bool:  # noqa: ANN401 -- JSON of any kind
    """Tell whether two values mean the same to Azure."""
    if isinstance(held, str) and isinstance(wanted, str):
        return fold(held) == fold(wanted) or (parse_time(held) is not None and parse_time(held) == parse_time(wanted))
    if isinstance(held, bool) or isinstance(wanted, bool):
        return held is wanted
    if isinstance(held, dict) and isinstance(wanted, dict):
        return all(same(held.get(name), wanted.get(name)) for name in held.keys() | wanted.keys())
    if isinstance(held, list) and isinstance(wanted, list):
        pairs = zip(_in_order(held), _in_order(wanted), strict=False)
        return len(held) == len(wanted) and all(same(one, other) for one, other in pairs)
    return bool(held == wanted)


def _in_order(values: Sequence[Any]) -> list[Any]:
    """Return a list as it is compared: days of the week are a set, whatever order Azure gives them in."""
    if all(isinstance(value, str) for value in values):
        return sorted(values, key=fold)
    return list(values)


def _at(content: Json, pointer: str) -> Any:  # noqa: ANN401 -- JSON of any kind
    held: Any = content
    for part in pointer.strip("/").split("/") if pointer.strip("/") else ():
        held = held.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(held, dict) else None
    return held


def _shown(value: Any) -> str:  # noqa: ANN401 -- JSON of any kind
    if value is None:
        return "not there"
    text = visible(value if isinstance(value, str) else msgspec.json.encode(value).decode("utf-8", "replace"))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
