"""All verdicts of a report for the browser: columns of text and numbers as JSON, deflated, in base64.

The JSON: ``kinds`` has for each kind of resource its ``count`` and the columns ``id`` (a list: one for each segment
between slashes), ``name``, ``group``, ``subscription``, ``location`` and ``source``; ``subscriptions`` and
``exemptions`` tell what their ids mean; ``rules`` has for each rule ``id``, ``severity``, ``kind``, ``letters`` (one of
p, f, u, n for each resource of the kind) and ``findings``, whose columns have a row for each f and u among the letters,
in their order, or for each position in ``at`` where not all have one.

A column is ``{"d": distinct values, "i": which of them}``, without ``i`` where they are all the same, ``{"v": values}``
where most of them differ, ``{"same": segment}`` where they stand in the id. A text of findings may be a pattern: the
characters of code 1 to 10 stand for values of the row's own evidence.
"""

import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import msgspec

from auditor.assessment.evidence import show
from auditor.assessment.model import Evidence, Finding, FindingExemption, Report, Resource, RuleInfo
from auditor.estate.fields import Subject
from auditor.text import fold, visible

Column: TypeAlias = dict[str, Any]
TextT = TypeVar("TextT", str, str | None)

MOST_VERDICTS = 2_000_000
MOST_EVIDENCE = 200_000
_PIECE = 3 * 65_536  # bytes of deflated data that are written at a time; base64 takes three at a time
_SHORTEST = 4  # shorter values stand in too many places of a text by chance
_MARKS = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"  # no text has these once it is visible


def embedded(report: Report) -> tuple[bool, int]:
    """Return whether all verdicts are embedded, and of how many findings the evidence is.

    Where not all are, they are those of resources that have a finding. Evidence is that of the worst findings.
    """
    verdicts = sum(map(len, report.outcomes.values()))
    return verdicts <= MOST_VERDICTS, min(len(report.findings), MOST_EVIDENCE)


def explore_data(report: Report) -> Iterator[str]:
    """Yield the data in pieces of base64."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    held = bytearray()
    for text in _json(report):
        held += deflate.compress(text)
        whole = len(held) - len(held) % _PIECE
        if whole:
            yield b64encode(held[:whole]).decode()
            del held[:whole]
    held += deflate.flush()
    yield b64encode(held).decode()


def _json(report: Report) -> Iterator[bytes]:
    whole, _ = embedded(report)
    kept = {rule.resource: _with_findings(report, rule.resource) for rule in report.rules} if not whole else {}
    columns, places = _Resources.of(report, kept if not whole else None)
    yield b'{"kinds":{'
    for number, (kind, found) in enumerate(columns.items()):
        yield (b"," if number else b"") + _encoded(kind) + b":" + _encoded(found.columns())
    yield (
        b'},"subscriptions":'
        + _encoded(_subscriptions(report, columns.values()))
        + b',"exemptions":'
        + _encoded(_exemptions(report))
    )
    yield b',"rules":['
    kinds: dict[str, str] = {rule.id: rule.resource for rule in report.rules}
    findings: dict[str, list[tuple[int, int]]] = {}  # the place of its resource, and its own
    for number, finding in enumerate(islice(report.findings, MOST_EVIDENCE)):
        findings.setdefault(finding.rule, []).append((places[kinds[finding.rule]][finding.resource], number))
    for number, rule in enumerate(report.rules):
        letters = report.outcomes[rule.id]
        if not whole:
            letters = "".join(letters[position] for position in kept[rule.resource])
        shown = sorted(findings.pop(rule.id, []))
        yield (b"," if number else b"") + _encoded(_rule(report, rule, letters, shown))
    yield b"]}"


def _with_findings(report: Report, kind: str) -> dict[int, None]:
    """Return which of the resources of a kind have a finding, in their order."""
    columns = [report.outcomes[rule.id] for rule in report.rules if rule.resource == kind]
    rows = enumerate(zip(*columns, strict=True))
    return {number: None for number, letters in rows if "f" in letters or "u" in letters}


def _subscriptions(report: Report, resources: Iterable["_Resources"]) -> dict[str, str]:
    """Return the names of subscriptions, by each way in which resources spell their ids."""
    names = {fold(entry.id): entry.name for entry in report.coverage.subscriptions if entry.name}
    spelled = dict.fromkeys(text for of_kind in resources for text in of_kind.subscriptions())
    return {visible(text): visible(names[fold(text)]) for text in spelled if fold(text) in names}


def _exemptions(report: Report) -> dict[str, str]:
    """Return what the exemptions say that exempt a verdict."""
    if not report.summary.counts.exempt and not report.summary.counts.exempt_unknown:
        return {}
    used = {finding.exemption.id: finding.exemption for finding in report.findings if finding.exemption is not None}
    return {visible(name): visible(exemption_words(said)) for name, said in used.items()}


def exemption_words(said: FindingExemption) -> str:
    """Write who answers for a verdict, until when and why."""
    ticket = f", {said.ticket}" if said.ticket else ""
    return f"{said.reason.rstrip('.')}. {said.owner} answers for it{ticket}, until {said.expires} ({said.category})."


class _Resources:
    """The columns of the resources of one kind."""

    _FIELDS = ("name", "group", "subscription", "location", "source")

    def __init__(self) -> None:
        self.count = 0
        self.segments: list[list[str | None]] = []
        self.fields: list[list[str | None]] = [[] for _ in self._FIELDS]
        self._known: dict[str | None, str | None] = {}  # equal texts are to be one: each resource is read anew

    @classmethod
    def of(
        cls, report: Report, kept: Mapping[Subject, Mapping[int, None]] | None
    ) -> "tuple[dict[str, _Resources], dict[str, dict[str, int]]]":
        """Return them by kind, all or those to keep, and the places of their ids."""
        made: dict[str, _Resources] = {}
        places: dict[str, dict[str, int]] = {}
        met: Counter[str] = Counter()
        for resource in report.resources:
            own = made.get(resource.kind) or made.setdefault(resource.kind, cls())
            if kept is None or met[resource.kind] in kept.get(resource.kind, {}):
                places.setdefault(resource.kind, {})[resource.id] = own.count
                own.add(resource)
            met[resource.kind] += 1
        return made, places

    def add(self, resource: Resource) -> None:
        cells: list[str | None] = [*resource.id.split("/")]
        if len(cells) > len(self.segments):
            self.segments += [[None] * self.count for _ in cells[len(self.segments) :]]
        else:
            cells += [None] * (len(self.segments) - len(cells))
        known = self._known.setdefault
        for column, cell in zip(self.segments, cells, strict=True):
            column.append(known(cell, cell))
        texts = resource.name, resource.resource_group, resource.subscription, resource.location, resource.source
        for column, cell in zip(self.fields, texts, strict=True):
            column.append(known(cell, cell))
        self.count += 1

    def columns(self) -> Column:
        """Return them as they are embedded; a column that is a segment of the ids is not there twice."""
        stored = [
            {"same": self.segments.index(values)} if values in self.segments else _column(values)
            for values in self.fields
        ]
        return {
            "count": self.count,
            "id": [_column(cells) for cells in self.segments],
            **dict(zip(self._FIELDS, stored, strict=True)),
        }

    def subscriptions(self) -> Iterable[str]:
        """Return the ids of their subscriptions, by each way in which they are spelled."""
        return dict.fromkeys(text for text in self.fields[self._FIELDS.index("subscription")] if text)


def _rule(report: Report, rule: RuleInfo, letters: str, shown: Sequence[tuple[int, int]]) -> Column:
    stored: Column = {"id": rule.id, "severity": rule.severity, "kind": rule.resource, "letters": letters}
    if shown:
        stored["findings"] = _findings(report.findings[number] for _, number in shown)
        if len(shown) < letters.count("f") + letters.count("u"):
            stored["at"] = [place for place, _ in shown]
    return stored


def _findings(findings: Iterable[Finding]) -> Column:
    texts: dict[str | None, str | None] = {}
    known = texts.setdefault  # equal texts are to be one: each finding is read anew
    said: dict[str, list[str | None]] = {
        name: [] for name in ("message", "expected", "observed", "exemption", "baseline")
    }
    evidence: dict[str, dict[str, list[str | None]]] = {}
    for count, finding in enumerate(findings):
        exemption = finding.exemption.id if finding.exemption is not None else None
        cells = finding.message, finding.expected, finding.observed, exemption, finding.baseline
        for column, cell in zip(said.values(), cells, strict=True):
            column.append(known(cell, cell))
        looked = {entry.field: entry for entry in finding.evidence}
        for name in looked:
            if name not in evidence:  # all look at the same, since their rule does
                evidence[name] = {told: [None] * count for told in ("value", "expected", "source", "reason")}
        for name, columns in evidence.items():
            entry = looked.get(name)
            seen = (_value(entry), entry.expected, entry.source, entry.reason) if entry is not None else [None] * 4
            for column, cell in zip(columns.values(), seen, strict=True):
                column.append(known(cell, cell))
    own = list(zip(*(columns["value"] for columns in evidence.values()), strict=True)) or [()] * len(said["message"])
    return {
        **{
            name: _patterns(texts, own) if name in ("message", "observed") else _column(texts)
            for name, texts in said.items()
        },
        "fields": [visible(name) for name in evidence],
        "evidence": [{told: _column(cells) for told, cells in columns.items()} for columns in evidence.values()],
    }


def _value(entry: Evidence | None) -> str | None:
    """Write a value as the findings do; ``None`` where there is none."""
    return None if entry is None or entry.value is None else show(entry.value)


def _column(values: Sequence[str | None]) -> Column:
    distinct = {value: number for number, value in enumerate(dict.fromkeys(values))}
    if len(distinct) > 1 and len(distinct) * 2 > len(values):
        return {"v": [value and visible(value) for value in values]}
    column: Column = {"d": [value and visible(value) for value in distinct]}
    if len(distinct) > 1:
        column["i"] = [distinct[value] for value in values]
    return column


def _patterns(texts: Sequence[str | None], own: Sequence[Sequence[str | None]]) -> Column:
    """Return a column of texts; where most of them differ, the values of their own rows are taken out of them."""
    if len(set(texts)) * 2 <= len(texts):
        return _column(texts)
    patterns = []
    for text, values in zip(texts, own, strict=True):
        pattern = visible(text or "")
        for mark, value in zip(_MARKS, values, strict=False):
            if value is not None and len(value) >= _SHORTEST:
                pattern = pattern.replace(visible(value), mark)
        patterns.append(pattern)
    numbers = {pattern: number for number, pattern in enumerate(dict.fromkeys(patterns))}
    if len(numbers) * 2 > len(texts):
        return {"v": patterns}
    return {"d": list(numbers), "i": [numbers[pattern] for pattern in patterns]}


def _encoded(value: object) -> bytes:
    return msgspec.json.encode(value)
