"""Ordinary answers, decoded by the shapes of their tables: quick, and refusing whatever is out of the ordinary."""

import contextlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from auditor.arm_id import ArmId, is_subscription_id, parse_arm_id
from auditor.inventory.projection import MARK
from auditor.inventory.shapes import Envelope, shape_of
from auditor.inventory.tables import TABLE_OF_TYPE, Table
from auditor.text import fold


class Typed(NamedTuple):
    """A resource decoded by the shape of its table; where the table is ``None`` it holds nothing for an audit."""

    table: Table | None
    resource: Any
    arm_id: ArmId


class Answer(NamedTuple):
    """What a JSON value holds.

    Attributes:
        resources: never empty.
        held: the key that held them, when the value is a page; empty otherwise.
        about: everything else that the page says, such as ``nextLink``.
    """

    resources: Sequence[Typed]
    held: str = ""
    about: dict[str, Any] = {}  # noqa: RUF012 -- never written to


_MARK = f'"{MARK}"'.encode()
_PEEK = 65_536  # bytes: several resources
_NO_ID = ArmId("", None, None, None, "")
_TYPE = re.compile(rb'"type"\s*:\s*"(microsoft\.[^"]+)"', re.IGNORECASE)
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_each = msgspec.json.Decoder(list[msgspec.Raw]).decode
_envelope = msgspec.json.Decoder(Envelope).decode
_plain = msgspec.json.Decoder().decode


def quick_answer(text: bytes) -> Answer | None:
    """Decode a resource, an array of resources or a page of them; ``None`` for whatever is not clearly one of these."""
    if _MARK in text:
        return None  # rows of a query, not resources
    try:
        if text.lstrip()[:1] == b"[":
            found = _resources(text)
            return Answer(found) if found else None
        parts = _parts(text)
        if "id" in parts:
            found = _resources(b"[%b]" % text)
            return Answer(found) if found else None
        held = [key for key in ("value", "data") if bytes(parts.get(key, b""))[:1] == b"["]
        if len(held) != 1:
            return None
        found = _resources(parts.pop(held[0]))
        return Answer(found, held[0], {key: _plain(part) for key, part in parts.items()}) if found else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _resources(array: msgspec.Raw | bytes) -> list[Typed] | None:
    """Decode an array: all by the shape of the first one, or each by its own."""
    table = _first_table(memoryview(array)[:_PEEK])
    if table is not None:
        with contextlib.suppress(msgspec.ValidationError):
            found = _all_of(shape_of(table).page(array), table)
            if found is not None:
                return found
    mixed: list[Typed] = []
    for raw in _each(array):
        envelope = _envelope(raw)
        if not isinstance(envelope.type, str) or not isinstance(envelope.id, str) or "/" not in envelope.type:
            return None
        table = TABLE_OF_TYPE.get(fold(envelope.type))
        one = _all_of([shape_of(table).one(raw)], table) if table is not None else [Typed(None, envelope, _NO_ID)]
        if one is None:
            return None
        mixed += one
    return mixed


def _first_table(text: memoryview) -> Table | None:
    """Guess what the resources of an array are; a wrong guess costs time, no more."""
    for match in _TYPE.finditer(text):
        table = TABLE_OF_TYPE.get(fold(bytes(match[1]).decode("utf-8", "replace")))
        if table is not None:
            return table
    return None


def _all_of(resources: list[Any], table: Table) -> list[Typed] | None:
    """Take the resources for those of a table; ``None`` when one of them is of another, or has no usable id."""
    found = []
    known = ""
    for resource in resources:
        if resource.type != known:
            known = resource.type
            if not isinstance(known, str) or fold(known) not in table.arm_types:
                return None
        arm_id = parse_arm_id(resource.id) if isinstance(resource.id, str) else None
        if arm_id is None or is_subscription_id(resource.id):
            return None
        found.append(Typed(table, resource, arm_id))
    return found
