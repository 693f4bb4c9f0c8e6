"""exemptions.yaml: which verdicts somebody answers for, why, and until when.

An exemption never changes an outcome. It counts from ``created`` (if given) until ``expires``, at the time the
inventory was taken: what was exempt in May is exempt in a report about May, whenever that report is made.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from auditor.arm_id import parse_arm_id
from auditor.errors import Fault, InputErrors, Place
from auditor.text import fold
from auditor.timestamps import parse_time, show_time
from auditor.yaml_source import Document, Steps, did_you_mean, parse_yaml, read_bytes

ScopeKind: TypeAlias = Literal["id", "resource_group", "tag", "subscription"]
Category: TypeAlias = Literal["waiver", "mitigated"]
Term: TypeAlias = Literal["active", "expiring", "expired", "not-yet", "time-unknown"]

# The most specific first: of several exemptions that cover a verdict, the first one counts.
SCOPE_KINDS: tuple[ScopeKind, ...] = get_args(ScopeKind)
CATEGORIES: tuple[Category, ...] = get_args(Category)
LONGEST_DAYS = 365
EXPIRING_DAYS = 30
_DAY = 86_400_000_000  # microseconds
_KEYS = {
    "id": True,
    "rule": True,
    "scope": True,
    "category": True,
    "reason": True,
    "owner": True,
    "approver": False,
    "ticket": False,
    "created": False,
    "expires": True,
}
_IDS = {
    "id": (
        re.compile(r"/subscriptions/[^/]+(/resourcegroups/[^/]+)?/providers/[^/]+(/[^/]+/[^/]+)+"),
        "the id of a resource",
        "/subscriptions/ID/resourceGroups/NAME/providers/Microsoft.Compute/virtualMachines/NAME",
    ),
    "resource_group": (
        re.compile(r"/subscriptions/[^/]+/resourcegroups/[^/]+"),
        "the id of a resource group",
        "/subscriptions/ID/resourceGroups/NAME",
    ),
    "subscription": (re.compile(r"/subscriptions/[^/]+"), "the id of a subscription", "/subscriptions/ID"),
}
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WITHOUT_ZONE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Exemption:
    """One exemption.

    Attributes:
        subject: the kind of resource that its rule judges.
        scope_kind: what the scope goes by.
        scope: the scope as it is shown: an ARM id, or ``NAME=VALUE`` of a tag.
        key: what resources are compared with, folded: an ARM id, or the name of a tag.
        value: the folded value of the tag; empty for the other kinds.
        created: microseconds since 1970 UTC; ``None`` when it counts from ever.
        expires: microseconds since 1970 UTC; at this very time it no longer counts.
        place: where it stands.
    """

    id: str
    rule: str
    subject: str
    scope_kind: ScopeKind
    scope: str
    key: str
    value: str
    category: Category
    reason: str
    owner: str
    approver: str
    ticket: str
    created: int | None
    expires: int
    place: Place

    def term(self, now: int | None) -> Term:
        """Tell where it stands at a time."""
        if now is None:
            return "time-unknown"
        if now >= self.expires:
            return "expired"
        if self.created is not None and now < self.created:
            return "not-yet"
        return "expiring" if self.expires - now <= EXPIRING_DAYS * _DAY else "active"

    def live(self, now: int | None) -> bool | None:
        """Tell whether it counts at a time; ``None`` when nobody knows the time."""
        return None if now is None else self.term(now) in ("active", "expiring")


@dataclass(frozen=True, slots=True)
class Exemptions:
    """All exemptions of a run.

    Attributes:
        entries: the most specific first, then the one that expires last, then by id; never as the file has them.
        file: the name of the file without its folder; empty without one.
        sha256: of the file's bytes, ``None`` without a file.
        longest_days: the longest term.
    """

    entries: Sequence[Exemption] = ()
    file: str = ""
    sha256: str | None = None
    longest_days: float = LONGEST_DAYS

    def check_terms(self, now: int | None) -> None:
        """Check those that do not say when they were made, once the time of the inventory is known.

        Raises:
            InputErrors: some reach too far beyond it.
        """
        found = [(entry, _too_long(entry.created, entry.expires, now, self.longest_days)) for entry in self.entries]
        faults = [Fault(entry.place, *wrong) for entry, wrong in found if wrong is not None]
        if faults:
            raise InputErrors(faults)


NO_EXEMPTIONS = Exemptions()


def load_exemptions(
    path: Path,
    rules: Mapping[str, str],
    now: int | None = None,
    longest_days: float = LONGEST_DAYS,
) -> Exemptions:
    """Read exemptions.yaml.

    Args:
        path: the file.
        rules: every rule that there is, run or not, with the kind of resource it judges.
        now: the time to judge at, where it is known already.
        longest_days: the longest term.

    Raises:
        UsageError: the file cannot be read.
        InputErrors: all that is wrong with it.
    """
    data = read_bytes(path, str(path))
    reader = _Reader(parse_yaml(data, str(path)), rules, now, longest_days)
    entries = reader.read()
    if reader.faults:
        raise InputErrors(reader.faults)
    entries.sort(key=lambda entry: (SCOPE_KINDS.index(entry.scope_kind), -entry.expires, entry.id))
    return Exemptions(tuple(entries), path.name, hashlib.sha256(data).hexdigest(), longest_days)


class _Reader:
    """Reads one file; every fault is noted, none ends the reading."""

    def __init__(self, document: Document, rules: Mapping[str, str], now: int | None, longest_days: float) -> None:
        self.document = document
        self.rules = rules
        self.now = now
        self.longest_days = longest_days
        self.faults: list[Fault] = []
        self.seen: dict[str, Steps] = {}

    def read(self) -> list[Exemption]:
        value = self.document.value
        if value is None:
            return []
        if not isinstance(value, list):
            self._fault((), "exemptions are a list", "Begin each with - id: NAME.")
            return []
        found = [self._exemption(entry, (index,)) for index, entry in enumerate(value)]
        return [entry for entry in found if entry is not None]

    def _exemption(self, entry: object, steps: Steps) -> Exemption | None:
        if not isinstance(entry, dict):
            self._fault(steps, "an exemption is a mapping that begins with id")
            return None
        before = len(self.faults)
        for key in entry:
            if key not in _KEYS:
                self._fault((*steps, key), f"unknown key {key}", did_you_mean(key, list(_KEYS)))
        for key, needed in _KEYS.items():
            if needed and key not in entry:
                self._fault(steps, f"{key} is missing")
        texts = {key: self._text(entry, key, steps) for key in _KEYS if key != "scope"}
        self._check_id(texts["id"], steps)
        if texts["rule"] and texts["rule"] not in self.rules:
            hint = did_you_mean(texts["rule"], list(self.rules)) or "See auditor rules list."
            self._fault((*steps, "rule"), f"there is no rule {texts['rule']}", hint)
        category = next((word for word in CATEGORIES if word == texts["category"]), None)
        if texts["category"] and category is None:
            hint = did_you_mean(texts["category"], CATEGORIES)
            self._fault((*steps, "category"), f"category is never {texts['category']}", hint)
        created = self._time(texts["created"], (*steps, "created"))
        expires = self._time(texts["expires"], (*steps, "expires"))
        if expires is not None and (created is not None or not texts["created"]):
            wrong = _too_long(created, expires, self.now, self.longest_days)
            if created is not None and expires <= created:
                wrong = ("expires is not later than created", "Check both times.")
            if wrong is not None:
                self._fault((*steps, "expires"), *wrong)
        scope = self._scope(entry["scope"], (*steps, "scope")) if "scope" in entry else None
        if len(self.faults) > before or scope is None or category is None or expires is None:
            return None
        kind, shown, key, value = scope
        return Exemption(
            id=texts["id"],
            rule=texts["rule"],
            subject=self.rules[texts["rule"]],
            scope_kind=kind,
            scope=shown,
            key=key,
            value=value,
            category=category,
            reason=texts["reason"],
            owner=texts["owner"],
            approver=texts["approver"],
            ticket=texts["ticket"],
            created=created,
            expires=expires,
            place=self.document.place(steps),
        )

    def _check_id(self, text: str, steps: Steps) -> None:
        if not text:
            return
        first = self.seen.setdefault(fold(text), steps)
        if first != steps:
            line = self.document.place((*first, "id")).line
            self._fault((*steps, "id"), f"the id {text} stands twice (first in line {line})", "Give it another id.")

    def _text(self, entry: Mapping[str, Any], key: str, steps: Steps) -> str:
        if key not in entry or (entry[key] is None and not _KEYS[key]):
            return ""
        text = entry[key]
        if not isinstance(text, str) or not text.strip():
            hint = f'Put it in quotes: "{text}".' if isinstance(text, int | float) else ""
            self._fault((*steps, key), f"{key} is text that is not empty", hint)
            return ""
        return " ".join(text.split())

    def _time(self, text: str, steps: Steps) -> int | None:
        if not text:
            return None
        when = parse_time(text)
        if when is None:
            what = "has no time zone" if _WITHOUT_ZONE.fullmatch(text) else "is not a time"
            day = text if _DATE.fullmatch(text) else "2026-12-31"
            self._fault(steps, f"{steps[-1]} {what}: {text}", f"Write {day}T00:00:00Z.")
        return when

    def _scope(self, value: object, steps: Steps) -> tuple[ScopeKind, str, str, str] | None:
        """Read a scope: what it goes by, how it is shown, what resources are compared with."""
        hint = f"One of {', '.join(SCOPE_KINDS)}."
        if not isinstance(value, dict):
            self._fault(steps, "a scope is a mapping, such as {id: ID}", hint)
            return None
        unknown = [key for key in value if key not in SCOPE_KINDS]
        for key in unknown:
            self._fault((*steps, key), f"unknown key {key}", did_you_mean(key, SCOPE_KINDS))
        kinds = [kind for kind in SCOPE_KINDS if kind in value]
        if len(kinds) != 1:
            if kinds or not unknown:
                self._fault(
                    steps, f"a scope goes by one thing, and this one by {' and '.join(kinds) or 'nothing'}", hint
                )
            return None
        kind, given = kinds[0], value[kinds[0]]
        if kind == "tag":
            return self._tag(given, (*steps, kind))
        pattern, what, example = _IDS[kind]
        parsed = parse_arm_id(given) if isinstance(given, str) else None
        if parsed is None or not pattern.fullmatch(parsed.key):
            self._fault((*steps, kind), f"{given} is not {what}", f"Write {example}.")
            return None
        return kind, parsed.text, parsed.key, ""

    def _tag(self, given: object, steps: Steps) -> tuple[ScopeKind, str, str, str] | None:
        if not isinstance(given, dict) or set(given) != {"name", "value"}:
            self._fault(steps, "a tag is written {name: NAME, value: VALUE}")
            return None
        name, value = given["name"], given["value"]
        if not isinstance(name, str) or not name.strip() or not isinstance(value, str):
            self._fault(steps, "name and value of a tag are text", 'Put them in quotes, as "10".')
            return None
        return "tag", f"{name}={value}", fold(name), fold(value)

    def _fault(self, steps: Steps, message: str, hint: str = "") -> None:
        self.faults.append(self.document.fault(steps, message, hint))


def _too_long(created: int | None, expires: int, now: int | None, longest_days: float) -> tuple[str, str] | None:
    """Say, as message and hint, that a term is longer than allowed; ``None`` when it is not, or nobody knows."""
    start = created if created is not None else now
    if start is None or expires - start <= longest_days * _DAY:
        return None
    since = "created" if created is not None else "the time of the audit (created is not given)"
    message = f"expires is {-((start - expires) // _DAY)} days after {since}, and the longest term is {longest_days:g}"
    latest = show_time(start + int(longest_days * _DAY))
    return message, f"Let it expire by {latest}, or set exemptions: {{longest_days: N}} in auditor.yaml."
