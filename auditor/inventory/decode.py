"""One resource as JSON -> one row of typed facts; a value of the wrong type makes that fact unknown, no more."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from auditor.arm_id import ArmId, parse_arm_id
from auditor.inventory.model import Problem
from auditor.inventory.shapes import Part, shape_of
from auditor.inventory.tables import Column, Table
from auditor.text import fold, visible, without_surrogates
from auditor.timestamps import NEVER, is_never, parse_time

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


T = TypeVar("T")


class JsonError(ValueError):
    """Bytes that are not JSON; the message says what and where (``line:column``)."""


class Row(NamedTuple):
    """What one resource becomes.

    Attributes:
        arm_id: its id.
        cells: by column; name and subscription only where they are not plainly read off the id, a folded twin only
            where folding is more than ASCII. ``vault_length`` tells how much of the id is its vault's. ``tags`` is a
            list of ``{n, nk, v, vk}``: name and value with their twins, ``v`` left out where it cannot be used.
        problems: the values that could not be used.
    """

    arm_id: ArmId
    cells: dict[str, Any]
    problems: list[Problem]

    @property
    def key(self) -> str:
        """The folded id."""
        return self.arm_id.key


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
    shape = shape_of(table)
    flattened = "properties" not in resource
    values = [_walk(resource, path.removeprefix("properties.") if flattened else path) for path in shape.paths]
    return make_row(arm_id, resource.get("name"), resource.get("tags"), values, table, source)


def make_row(arm_id: ArmId, called: object, tags: object, values: Sequence[Any], table: Table, source: str) -> Row:
    """Make the row of one resource.

    Args:
        arm_id: its id.
        called: what stands under ``name``.
        tags: what stands under ``tags``.
        values: what stands at each path of the table's shape.
        table: what it is.
        source: the name of the file it came from.
    """
    row = Row(arm_id, _identity(arm_id, called, table, source), [])
    bad = _read_columns(row, values, table)
    if tags is None:
        # ARM leaves out ``tags`` when there are none: a row that was read has had its tags read.
        row.cells["tags_read"] = True
    elif isinstance(tags, dict):
        row.cells["tags_read"] = True
        if tags:
            row.cells["tags"] = [_tag(row, table, tag, value) for tag, value in tags.items() if value is not None]
    else:
        row.cells["tags_read"] = False
        bad.append("tags")
        row.problems.append(Problem(table.name, arm_id.key, "tags", f"tags is {_kind(tags)}, not an object"))
    if bad:
        row.cells["bad"] = bad
    return row


def _identity(arm_id: ArmId, called: object, table: Table, source: str) -> dict[str, Any]:
    """Return the cells that every resource has."""
    text = arm_id.text
    cells: dict[str, Any] = {"id": text, "source": source}
    if not text.isascii():
        cells["key"] = fold(text)
    if isinstance(called, str) and called and called != arm_id.name:
        _put_text(cells, "name", called)
    if arm_id.subscription is not None and not arm_id.subscription.isascii():
        cells["subscription_id"] = fold(arm_id.subscription)
    if arm_id.resource_group is not None:
        _put_text(cells, "resource_group_name", arm_id.resource_group)
    if table.in_vault and (vault_id := arm_id.vault) is not None:
        cells["vault_length"] = len(vault_id)
    return cells


def _read_columns(row: Row, values: Sequence[Any], table: Table) -> list[str]:
    """Put the declared facts into a row; return the columns whose value could not be used."""
    cells, plan, absent = row.cells, _plan(table), shape_of(table).absent
    # A million resources have twenty million values: what is ordinary is told apart here, each type in its own loop and
    # without a call. Whatever else stands there is looked at with care.
    odd = []
    for step in plan.texts:
        value = values[step.place]
        if type(value) is str and value and not value.isspace():
            cells[step.name] = value
            if not value.isascii():
                cells[step.twin] = fold(value)
        elif value is not None or step.more:
            odd.append(step)
    for step in plan.words:
        value = values[step.place]
        if type(value) is str and value in step.words:
            cells[step.name] = value
        elif value is not None or step.more:
            odd.append(step)
    for step in plan.presences:
        value = values[step.place]
        if value is not absent[step.place]:
            if isinstance(value, Part):
                cells[step.name] = True
            else:
                odd.append(step)
    for step in plan.others:
        value = values[step.place]
        if value is None:
            if step.more:
                odd.append(step)
        elif step.pick is not None and (picked := step.pick(value)) is not None:
            cells[step.name] = picked
        elif step.kind == "boolean" and type(value) is bool:
            cells[step.name] = value
        elif step.kind == "id" and type(value) is str and (parsed := parse_arm_id(value)) is not None:
            _put_text(cells, step.name, parsed.text)
        elif (
            step.kind == "time"
            and type(value) is str
            and value[:4] not in ("0001", "2001")
            and (when := parse_time(value)) is not None
        ):
            cells[step.name] = when
        else:
            odd.append(step)
    bad = []
    for step in odd:
        try:
            usable = _usable_of(values, step, table)
        except _Unusable as error:
            bad.append(step.name)
            row.problems.append(Problem(table.name, row.key, step.name, str(error)))
            continue
        if step.twin and isinstance(usable, str):
            _put_text(cells, step.name, usable)
        elif usable is not None:
            cells[step.name] = usable
    return bad


@dataclass(frozen=True, slots=True)
class _Step:
    """How one column is read.

    Attributes:
        name: the column; ``twin`` is its folded twin, or empty.
        kind: its type, empty where its value is picked out of what stands there.
        place: the first place its value may stand at in the shape; ``more`` tells whether there are others.
        words: the words it takes.
        pick: what picks ASCII text out of an ordinary value, ``None`` of any other.
        places: all places.
    """

    name: str
    twin: str
    kind: str
    place: int
    more: bool
    words: frozenset[str]
    pick: Callable[[Any], str | None] | None
    places: tuple[int, ...]
    column: Column


class _Plan(NamedTuple):
    """The columns of a table by what is ordinary for them."""

    texts: tuple[_Step, ...]
    words: tuple[_Step, ...]
    presences: tuple[_Step, ...]
    others: tuple[_Step, ...]


@cache
def _plan(table: Table) -> _Plan:
    paths = shape_of(table).paths
    kinds: dict[str, list[_Step]] = {"text": [], "word": [], "presence": [], "": []}
    for column in table.columns:
        places = tuple(paths.index(path) for path in column.paths)
        twin = f"{column.name}_key" if column.folded else ""
        words = frozenset(column.words) - {"Invalid"}
        pick = _QUICK_PICKS.get(column.pick or "")
        type_ = column.type if column.pick is None else ""
        step = _Step(column.name, twin, type_, places[0], len(places) > 1, words, pick, places, column)
        kind = "word" if column.words else "text" if column.type == "text" else ""
        if column.pick is not None:
            kind = "presence" if column.pick == "presence" and len(places) == 1 else ""
        kinds[kind].append(step)
    return _Plan(*map(tuple, kinds.values()))


def _usable_of(values: Sequence[Any], step: _Step, table: Table) -> object:
    """Return the first value that says something, as it is stored; ``None`` when none does."""
    column, shape = step.column, shape_of(table)
    for place in step.places:
        value = values[place]
        if value is None or value is shape.absent[place]:
            continue
        if isinstance(value, _Broken):
            raise _Unusable(value.why)
        if column.pick is not None:
            value = _PICKS[column.pick](value)
            if type(value) is str and value and not value.isspace():
                return value
        usable = _usable(value, column, shape.paths[place])
        if usable is not None:
            return usable
    return None


def _tag(row: Row, table: Table, name: str, value: object) -> dict[str, str]:
    """Return a tag as it is spooled; a value that is no text makes it a tag whose value is not known."""
    tag = {"n": name}
    if not name.isascii():
        tag["nk"] = fold(name)
    if isinstance(value, str):
        tag["v"] = value
        if not value.isascii():
            tag["vk"] = fold(value)
    else:
        row.problems.append(Problem(table.name, row.key, f"tag {fold(name)}", f"the tag is {_kind(value)}, not text"))
    return tag


def _put_text(cells: dict[str, Any], name: str, value: str) -> None:
    cells[name] = value
    if not value.isascii():  # what is ASCII is folded where it is loaded
        cells[name + "_key"] = fold(value)


@dataclass(frozen=True, slots=True)
class _Broken:
    """Stands for a value that cannot be reached: something else is in the place of an object."""

    why: str


def _walk(resource: Mapping[str, Json], path: str) -> object:
    value: Any = resource
    for step in path.split("."):
        if value is None:
            return None
        if not isinstance(value, dict):
            return _Broken(f"{path}: {_kind(value)} stands where an object with {step} should")
        value = value.get(step)
    return value


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


def _presence(value: object) -> bool:
    if not isinstance(value, dict | Part):
        message = f"{_kind(value)} stands where an object should"
        raise _Unusable(message)
    return True


def _statuses(value: Json) -> list[dict[str, Json]]:
    entries = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    if not isinstance(value, list) or len(entries) < len(value):
        message = "statuses is not a list of objects"
        raise _Unusable(message)
    return entries


def _agent(value: Json, part: str) -> Json:
    """Take a part of the agent's own status: the one about provisioning, else the first."""
    if type(value) is list and len(value) == 1 and type(value[0]) is dict:
        return value[0].get(part)
    statuses = _statuses(value)
    about = [entry for entry in statuses if str(entry.get("code", "")).lower().startswith("provisioningstate/")]
    chosen = (about or statuses)[:1]
    return chosen[0].get(part) if chosen else None


def _power_state(value: Json) -> Json:
    """Read ``PowerState/running`` (a code), a list of statuses, or ``VM running`` (as ``az vm list -d`` says it)."""
    if isinstance(value, list):
        codes = [entry.get("code") for entry in _statuses(value)]
        value = next((c for c in codes if isinstance(c, str) and c[:11].lower() == "powerstate/"), None)
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


def _quick_location(value: object) -> str | None:
    text = value.replace(" ", "").lower() if isinstance(value, str) and value.isascii() else ""
    return text if text and not text.isspace() else None


def _quick_status(value: object, part: str) -> str | None:
    if type(value) is list and len(value) == 1 and type(value[0]) is dict:
        text = value[0].get(part)
        return text if type(text) is str and text.isascii() and text and not text.isspace() else None
    return None


def _quick_power(value: object) -> str | None:
    if type(value) is list:
        for entry in value:
            code = entry.get("code") if type(entry) is dict else None
            if type(code) is not str:
                return None
            if code.startswith("PowerState/"):
                word = code[11:].strip().lower()
                return word if word.isascii() and word not in ("", "unknown") else None
    return None


# The ordinary values of the picks above; whatever gives None here is looked at with care.
_QUICK_PICKS: dict[str, Callable[[Any], str | None]] = {
    "location": _quick_location,
    "agent-status": lambda value: _quick_status(value, "displayStatus"),
    "agent-code": lambda value: _quick_status(value, "code"),
    "agent-message": lambda value: _quick_status(value, "message"),
    "power-state": _quick_power,
}
_PICKS = {
    "presence": _presence,
    "location": _location,
    "agent-status": lambda value: _agent(value, "displayStatus"),
    "agent-code": lambda value: _agent(value, "code"),
    "agent-message": lambda value: _agent(value, "message"),
    "power-state": _power_state,
    "luns": _luns,
}
