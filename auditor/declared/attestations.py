"""attestations.yaml: what somebody states about a control that no rule can tell, on what record, and until when.

An attestation proves nothing by itself and changes no verdict. It counts from ``date`` until ``expires``, at the time
the inventory was taken, as exemptions do.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from auditor.errors import Fault, InputErrors, Place
from auditor.text import fold
from auditor.timestamps import parse_time, show_time
from auditor.yaml_source import Document, Steps, did_you_mean, parse_yaml, read_bytes

AttestationStatus: TypeAlias = Literal["active", "expiring", "expired", "not-yet", "time-unknown"]

EXPIRING_DAYS = 30
_DAY = 86_400_000_000  # microseconds
KEYS = ("framework", "control", "statement", "by", "date", "expires", "evidence")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attestation:
    """What one person states about one control.

    Attributes:
        framework: its id.
        control: its id, spelled as the catalogue or the rules do.
        evidence: a link, or where else the record is.
        date: when it was stated, in microseconds since 1970 UTC; before that it does not count.
        expires: microseconds since 1970 UTC; at this very time it no longer counts.
    """

    framework: str
    control: str
    statement: str
    by: str
    evidence: str
    date: int
    expires: int
    place: Place

    def status(self, now: int | None) -> AttestationStatus:
        """Tell where it stands at a time."""
        if now is None:
            return "time-unknown"
        if now >= self.expires:
            return "expired"
        if now < self.date:
            return "not-yet"
        return "expiring" if self.expires - now <= EXPIRING_DAYS * _DAY else "active"


@dataclass(frozen=True, slots=True)
class Attestations:
    """All attestations of a run.

    Attributes:
        entries: the newest first, then the one that expires last; never as the file has them.
        sha256: of the file's bytes, ``None`` without a file.
    """

    entries: Sequence[Attestation] = ()
    sha256: str | None = None


NO_ATTESTATIONS = Attestations()


def load_attestations(path: Path, controls: Mapping[str, Collection[str]]) -> Attestations:
    """Read attestations.yaml.

    Args:
        path: the file.
        controls: the ids of the controls that are known, by framework.

    Raises:
        UsageError: the file cannot be read.
        InputErrors: all that is wrong with it.
    """
    data = read_bytes(path, str(path))
    reader = _Reader(parse_yaml(data, str(path)), controls)
    entries = reader.read()
    if reader.faults:
        raise InputErrors(reader.faults)
    entries.sort(key=lambda entry: (-entry.date, -entry.expires, entry.by, entry.statement, entry.evidence))
    return Attestations(tuple(entries), hashlib.sha256(data).hexdigest())


class _Reader:
    """Reads one file; every fault is noted, none ends the reading."""

    def __init__(self, document: Document, controls: Mapping[str, Collection[str]]) -> None:
        self.document = document
        self.spelled = {name: {fold(control): control for control in ids} for name, ids in controls.items()}
        self.faults: list[Fault] = []
        self.seen: dict[tuple[str, ...], Steps] = {}

    def read(self) -> list[Attestation]:
        value = self.document.value
        if value is None:
            return []
        if not isinstance(value, list):
            self._fault((), "attestations are a list", "Begin each with - framework: ID.")
            return []
        found = [self._attestation(entry, (index,)) for index, entry in enumerate(value)]
        return [entry for entry in found if entry is not None]

    def _attestation(self, entry: object, steps: Steps) -> Attestation | None:
        if not isinstance(entry, dict):
            self._fault(steps, "an attestation is a mapping that begins with framework")
            return None
        before = len(self.faults)
        for key in entry:
            if key not in KEYS:
                self._fault((*steps, key), f"unknown key {key}", did_you_mean(key, list(KEYS)))
        for key in KEYS:
            if key not in entry:
                self._fault(steps, f"{key} is missing")
        texts = {key: self._text(entry, key, steps) for key in KEYS}
        control = self._control(texts["framework"], texts["control"], steps)
        date = self._time(texts["date"], (*steps, "date"))
        expires = self._time(texts["expires"], (*steps, "expires"))
        if date is not None and expires is not None and expires <= date:
            self._fault((*steps, "expires"), "expires is not later than date", "Check both times.")
        if len(self.faults) > before or control is None or date is None or expires is None:
            return None
        self._check_once((texts["framework"], control, texts["statement"], texts["by"], str(date)), steps)
        return Attestation(
            framework=texts["framework"],
            control=control,
            statement=texts["statement"],
            by=texts["by"],
            evidence=texts["evidence"],
            date=date,
            expires=expires,
            place=self.document.place(steps),
        )

    def _control(self, framework: str, control: str, steps: Steps) -> str | None:
        if not framework:
            return None
        if framework not in self.spelled:
            hint = did_you_mean(framework, list(self.spelled))
            self._fault((*steps, "framework"), f"there is no framework {framework}", hint)
            return None
        found = self.spelled[framework].get(fold(control))
        if control and found is None:
            names = list(self.spelled[framework].values())
            hint = did_you_mean(control, names) or f"docs/controls.md has those of {framework}."
            self._fault((*steps, "control"), f"{framework} has no control {control} that is known here", hint)
        return found

    def _check_once(self, said: tuple[str, ...], steps: Steps) -> None:
        first = self.seen.setdefault(said, steps)
        if first != steps:
            line = self.document.place(first).line
            self._fault(steps, f"the same is attested twice (first in line {line})", "Keep one of the two.")

    def _text(self, entry: Mapping[str, Any], key: str, steps: Steps) -> str:
        if key not in entry:
            return ""
        text = entry[key]
        if not isinstance(text, str) or not text.strip():
            hint = f'Put it in quotes: "{text}".' if isinstance(text, int | float) else ""
            self._fault((*steps, key), f"{key} is text that is not empty", hint)
            return ""
        return " ".join(text.split())

    def _time(self, text: str, steps: Steps) -> int | None:
        """Read a time; a date alone is its beginning in UTC, so that nothing counts for longer than was meant."""
        if not text:
            return None
        when = parse_time(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
        if when is None:
            what = "has no time zone" if _WITHOUT_ZONE.fullmatch(text) else "is not a date or time"
            self._fault(steps, f"{steps[-1]} {what}: {text}", "Write 2026-12-31 or 2026-12-31T00:00:00Z.")
        return when

    def _fault(self, steps: Steps, message: str, hint: str = "") -> None:
        self.faults.append(self.document.fault(steps, message, hint))


def shown_time(when: int) -> str:
    """Write a time as a date where it is the beginning of a day."""
    return show_time(when).removesuffix("T00:00:00Z")
