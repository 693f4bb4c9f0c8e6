"""One resource as JSON -> one row of typed facts; a value of the wrong type makes that fact unknown, no more."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import msgspec

from auditor.arm_id import ArmId, parse_arm_id
from auditor.inventory.model import Problem
from auditor.inventory.tables import Column, Table
from auditor.text import fold, visible, without_surrogates
from auditor.timestamps import NEVER, is_never, parse_time

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


T = TypeVar("T")


class JsonError(ValueError):
    """Bytes that are not JSON; the message says what and where (``line:column``)."""


@dataclass(slots=True)
class Row:
    """What one resource becomes: the cells of its table, its tags, and the values that could not be used."""

    key: str
    cells: dict[str, Any]
    tags: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class _Unusable(ValueError):
    """A value that is there and means nothing to us; the message is the reason."""


_decode = msgspec.json.Decoder().decode


def parse_json(data: bytes) -> Json:
    """Parse JSON, also when strings hold half a surrogate pair (they become U+FFFD).

    Raises:
        JsonError: the bytes are not JSON.
    """
    try:
        parsed: Json = _decode(data)
        return parsed
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # msgspec calls a lone surrogate "truncated"; only the standard library tells what is really wrong, and where.
        try:
            return _clean(json.loads(data, parse_constant=_refuse_constant))
        except json.JSONDecodeError as error:
            message = f"{error.lineno}:{error.colno}: {error.msg}"
            raise JsonError(message) from error
        except JsonError:
            raise
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            message = f"{line}:1: not UTF-8 text"
            raise JsonError(message) from error
        except RecursionError as error:
            message = "1:1: nested too deeply"
            raise JsonError(message) from error
        except ValueError as error:  # Python refuses to read integers of thousands of digits
            message = "1:1: a number too long to be read"
            raise JsonError(message) from error


def _refuse_constant(word: str) -> None:
    message = f"1:1: {word} is not JSON"
    raise JsonError(message)


def _clean(value: Json) -> Json:
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(name): _clean(item) for name, item in value.items()}
    return value


def decode_row(resource: Mapping[str, Json], arm_id: ArmId, table: Table, source: str) -> Row:
    """Read the facts that ``table`` declares off one ARM object, ``properties`` nested or flattened as ``az`` does.

    Args:
        resource: the object.
        arm_id: its id.
        table: what it is.
        source: the name of the file it came from.
    """
    key = arm_id.key
    cells: dict[str, Any] = {"id": arm_id.text, "key": key, "source": source}
    row = Row(key, cells)
    name = resource.get("name")
    _put_text(cells, "name", name if isinstance(name, str) and name else arm_id.name)
    if arm_id.subscription is not None:
        cells["subscription_id"] = fold(arm_id.subscription)
    if arm_id.resource_group is not None:
        _put_text(cells, "resource_group_name", arm_id.resource_group)
    if table.in_vault and (vault_id := arm_id.cut("vaults")) is not None:
        _put_text(cells, "vault_id", vault_id)
    bad: list[str] = []
    flattened = "properties" not in resource
    for column in table.columns:
        try:
            value = _cell(resource, column, flattened=flattened)
        except _Unusable as error:
            bad.append(column.name)
            row.problems.append(Problem(table.name, key, column.name, str(error)))
            continue
        if value is None:
            continue
        if isinstance(value, str) and column.type in ("text", "id"):
            _put_text(cells, column.name, value)
        else:
            cells[column.name] = value
    tags = resource.get("tags")
    if tags is None:
        # ARM leaves out ``tags`` when there are none: a row that was read has had its tags read.
        cells["tags_read"] = True
    elif isinstance(tags, dict):
        cells["tags_read"] = True
        for tag, text in tags.items():
            if isinstance(text, str):
                row.tags.append((tag, text))
            elif text is not None:
                row.problems.append(Problem(table.name, key, f"tag {tag}", f"the tag is {_kind(text)}, not text"))
                row.tags.append((tag, ""))
    else:
        cells["tags_read"] = False
        bad.append("tags")
        row.problems.append(Problem(table.name, key, "tags", f"tags is {_kind(tags)}, not an object"))
    if bad:
        cells["bad"] = bad
    return row


def _put_text(cells: dict[str, Any], name: str, value: str) -> None:
    cells[name] = value
    folded = fold(value)
    if folded != value:  # the folded twin is written only where it differs
        cells[name + "_key"] = folded


def _cell(resource: Mapping[str, Json], column: Column, *, flattened: bool) -> object:
    for path in column.paths:
        value = _walk(resource, path.removeprefix("properties.") if flattened else path)
        if value is None:
            continue
        if column.pick is not None:
            value = _PICKS[column.pick](value)
        usable = _usable(value, column, path)
        if usable is not None:
            return usable
    return None


def _walk(resource: Mapping[str, Json], path: str) -> Json:
    value: Any = resource
    for step in path.split("."):
        if value is None:
            return None
        if not isinstance(value, dict):
            message = f"{path}: {_kind(value)} stands where an object with {step} should"
            raise _Unusable(message)
        value = value.get(step)
    return value  # type: ignore[no-any-return]  # JSON all the way


def _usable(value: object, column: Column, path: str) -> object:
    if value is None:
        return None
    match column.type:
        case "text":
            return _text(_typed(value, str, "text", path), column, path)
        case "id":
            text = _typed(value, str, "text", path).strip()
            if not text:
                return None
            parsed = parse_arm_id(text)
            if parsed is None:
                message = f"{path}: {_shown(text)} is not a resource id"
                raise _Unusable(message)
            return parsed.text
        case "boolean":
            return _typed(value, bool, "true or false", path)
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                message = f"{path} is {_kind(value)}, not a number"
                raise _Unusable(message)
            if not math.isfinite(value):
                message = f"{path} is beyond all numbers"
                raise _Unusable(message)
            return value
        case "time":
            return _time(_typed(value, str, "text", path), path)
        case "json":
            return _canonical(value, path)


def _canonical(value: object, path: str) -> str:
    try:
        return msgspec.json.encode(value, order="deterministic").decode()
    except RecursionError as error:
        message = f"{path} is nested too deeply"
        raise _Unusable(message) from error


def _typed(value: object, wanted: type[T], words: str, path: str) -> T:
    if not isinstance(value, wanted):
        message = f"{path} is {_kind(value)}, not {words}"
        raise _Unusable(message)
    return value


def _text(text: str, column: Column, path: str) -> str | None:
    if not text.strip():
        return None
    if not column.words:
        return text
    folded = fold(text.strip())
    if folded == "invalid":
        return None
    for word in column.words:
        if fold(word) == folded:
            return word
    message = f"{path} is {_shown(text)}, which Azure does not document"
    raise _Unusable(message)


def _time(text: str, path: str) -> int | None:
    if not text.strip():
        return None
    if is_never(text):
        return NEVER
    when = parse_time(text)
    if when is None:
        message = f"{path} is {_shown(text)}, not a time with a zone"
        raise _Unusable(message)
    return when


def _kind(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f"the text {_shown(value)}"
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "null"


def _shown(text: str) -> str:
    text = visible(text)
    return f'"{text if len(text) <= 60 else text[:57] + "..."}"'


def _presence(value: Json) -> bool:
    if not isinstance(value, dict):
        message = f"{_kind(value)} stands where an object should"
        raise _Unusable(message)
    return True


def _statuses(value: Json) -> list[dict[str, Json]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        message = "statuses is not a list of objects"
        raise _Unusable(message)
    return [entry for entry in value if isinstance(entry, dict)]


def _agent(value: Json, part: str) -> Json:
    """Take a part of the agent's own status: the one about provisioning, else the first."""
    statuses = _statuses(value)
    about = [entry for entry in statuses if str(entry.get("code", "")).lower().startswith("provisioningstate/")]
    chosen = (about or statuses)[:1]
    return chosen[0].get(part) if chosen else None


def _power_state(value: Json) -> Json:
    """Read ``PowerState/running`` (a code), a list of statuses, or ``VM running`` (as ``az vm list -d`` says it)."""
    if isinstance(value, list):
        codes = [entry.get("code") for entry in _statuses(value)]
        value = next((c for c in codes if isinstance(c, str) and c.lower().startswith("powerstate/")), None)
    if not isinstance(value, str):
        return value
    folded = fold(value.strip())
    if folded and not folded.startswith(("powerstate/", "vm ")):
        message = f"{_shown(value)} is no power state"
        raise _Unusable(message)
    word = folded.removeprefix("powerstate/").removeprefix("vm ")
    return None if word in ("", "unknown") else word


def _luns(value: Json) -> Json:
    """Read the logical unit numbers of a list of data disks, in order."""
    disks = value if isinstance(value, list) else [value]
    luns = [disk.get("lun") if isinstance(disk, dict) else None for disk in disks]
    if not all(isinstance(lun, int) and not isinstance(lun, bool) for lun in luns):
        message = "dataDisks is not a list of disks with a lun"
        raise _Unusable(message)
    return sorted(luns)  # type: ignore[type-var]  # integers all


def _location(value: Json) -> Json:
    return fold(value).replace(" ", "") if isinstance(value, str) else value


_PICKS = {
    "presence": _presence,
    "location": _location,
    "agent-status": lambda value: _agent(value, "displayStatus"),
    "agent-code": lambda value: _agent(value, "code"),
    "agent-message": lambda value: _agent(value, "message"),
    "power-state": _power_state,
    "luns": _luns,
}
