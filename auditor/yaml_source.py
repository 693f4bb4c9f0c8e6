"""YAML written by people, read with the place of every key and value.

A strict reading of YAML: ``true``, ``false`` and ``null`` are the only words with a meaning of their own (``no`` is
text, and so is a date), a key stands once, and there are no aliases, tags or second documents. What a file means never
depends on a rule that its author does not know.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeAlias

import yaml

from auditor.errors import Fault, InputErrors, Place, UsageError

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
Steps: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 4_000_000
MAX_DEPTH = 40
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file: its plain value, and where each part of it stands.

    ``places`` is keyed by the steps from the root: ``("parameters", "minimum")`` is the key ``minimum``; list items are
    counted from 0. The place of a mapping's entry is that of its key.
    """

    file: str
    value: Value
    places: dict[Steps, Place] = field(default_factory=dict)

    def place(self, steps: Steps) -> Place:
        """Return the place of a part, or that of the nearest part around it."""
        while steps not in self.places and steps:
            steps = steps[:-1]
        return self.places.get(steps, Place(self.file, 1, 1))

    def fault(self, steps: Steps, message: str, hint: str = "") -> Fault:
        """Say what is wrong with a part."""
        return Fault(self.place(steps), message, hint)


def did_you_mean(word: str, known: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    """Return a hint naming the known word nearest to ``word``, or the whole list when it is short."""
    words = sorted(known)
    near = get_close_matches(word.lower(), [entry.lower() for entry in words], n=1, cutoff=0.6)
    if near:
        return f"Did you mean {next(entry for entry in words if entry.lower() == near[0])}?"
    return f"Known: {', '.join(words)}." if words and len(words) <= 15 else ""


def read_yaml(path: Path | Traversable, shown: str = "") -> Document:
    """Read a YAML file.

    Args:
        path: the file.
        shown: the name to call it in messages; the path itself when empty.

    Raises:
        UsageError: the file cannot be read.
        InputErrors: it is not YAML, or uses what is not allowed here.
    """
    shown = shown or str(path)
    return parse_yaml(read_bytes(path, shown), shown)


def read_bytes(path: Path | Traversable, shown: str) -> bytes:
    """Read a file that was named.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror}", "Check the path.") from error


def parse_yaml(data: bytes, shown: str) -> Document:
    """Read YAML from memory; see ``read_yaml``."""
    if len(data) > MAX_BYTES:
        raise InputErrors([Fault(Place(shown, 1, 1), f"larger than {MAX_BYTES // 1_000_000} MB", "Split the file.")])
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        hint = "Save it as UTF-8 (Windows PowerShell: Set-Content -Encoding utf8)."
        raise InputErrors([Fault(Place(shown, 1, 1), "is UTF-16, not UTF-8", hint)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputErrors([Fault(Place(shown, line, 1), "is not UTF-8 text", "Save it as UTF-8.")]) from error
    try:
        return _Reader(shown).read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(shown, mark.line + 1, mark.column + 1) if mark else Place(shown, 1, 1)
        problem = error.problem or "not YAML"
        hint = "Check the indentation and the quotes."
        lines = text.splitlines()
        if place.line <= len(lines) and "\t" in lines[place.line - 1][: place.column]:
            hint = "Indent with spaces: YAML does not allow tabs there."
        raise InputErrors([Fault(place, f"not YAML: {problem}", hint)]) from error
    except yaml.YAMLError as error:
        first = str(error).splitlines()[0] if str(error) else "unreadable"
        raise InputErrors([Fault(Place(shown, 1, 1), f"not YAML: {first}", "Save it as plain UTF-8 text.")]) from error


class _Reader:
    """Builds a Document from the parser's events, so that nothing is expanded or constructed unseen."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.places: dict[Steps, Place] = {}

    def read(self, text: str) -> Document:
        events = iter(yaml.parse(text, Loader=_LOADER))
        value: Value = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self.refuse(event, "a second document", "Keep one document in a file.")
                value = self.node(next(events), events, ())
        return Document(self.shown, value, self.places)

    def node(self, event: yaml.Event, events: Iterator[yaml.Event], steps: Steps) -> Value:
        self.places.setdefault(steps, self.place(event))
        self.plain(event)
        if len(steps) > MAX_DEPTH:
            raise self.refuse(event, f"nesting deeper than {MAX_DEPTH}", "Flatten it.")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Value] = []
            while not isinstance(child := next(events), yaml.SequenceEndEvent):
                items.append(self.node(child, events, (*steps, len(items))))
            return items
        entries: dict[str, Value] = {}
        while not isinstance(child := next(events), yaml.MappingEndEvent):
            self.plain(child)
            if not isinstance(child, yaml.ScalarEvent):
                raise self.refuse(child, "a key that is not text", "Use a word as key.")
            key = child.value
            if key in entries:
                first = self.places[(*steps, key)]
                message = f"the key {key} stands twice (first in line {first.line})"
                raise InputErrors([Fault(self.place(child), message, "Keep one of them.")])
            self.places[(*steps, key)] = self.place(child)
            entries[key] = self.node(next(events), events, (*steps, key))
        return entries

    def plain(self, event: yaml.Event) -> None:
        """Refuse what would make a node mean something else than it says."""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self.refuse(event, "an anchor or alias", "Write the value out where it is needed.")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self.refuse(event, f"the tag {tag}", "Write the plain value.")

    def place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self.shown, mark.line + 1, mark.column + 1) if mark else Place(self.shown, 1, 1)

    def refuse(self, event: yaml.Event, what: str, hint: str) -> InputErrors:
        return InputErrors([Fault(self.place(event), f"{what} is not allowed here", hint)])


def _scalar(event: yaml.ScalarEvent) -> Value:
    text: str = event.value
    if event.style or not event.implicit[0]:
        return text
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) and math.isfinite(float(text)) else text
