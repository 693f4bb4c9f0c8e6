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
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any, TypeAlias

import msgspec

from auditor.assessment.evidence import show
from auditor.assessment.model import Evidence, Finding, FindingExemption, Report, Resource, RuleInfo
from auditor.text import fold, visible

Column: TypeAlias = dict[str, Any]

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
    kinds: dict[str, list[Resource]] = {}
    for resource in report.resources:
        kinds.setdefault(resource.kind, []).append(resource)
    kept = {kind: range(len(found)) if whole else _with_findings(report, kind) for kind, found in kinds.items()}
    yield b'{"kinds":{'
    for number, (kind, found) in enumerate(kinds.items()):
        columns = _resources([found[position] for position in kept[kind]])
        yield (b"," if number else b"") + _encoded(kind) + b":" + _encoded(columns)
    yield b'},"subscriptions":' + _encoded(_subscriptions(report)) + b',"exemptions":' + _encoded(_exemptions(report))
    yield b',"rules":['
    findings: dict[str, list[Finding]] = {}
    for finding in islice(report.findings, MOST_EVIDENCE):
        findings.setdefault(finding.rule, []).append(finding)
    places: dict[str, dict[str, int]] = {}
    for number, rule in enumerate(report.rules):
        positions = kept.get(rule.resource, range(0))
        if rule.resource not in places:
            found = kinds.get(rule.resource, [])
            places[rule.resource] = {found[position].id: place for place, position in enumerate(positions)}
        letters = report.outcomes[rule.id]
        if not whole:
            letters = "".join(letters[position] for position in positions)
        place = places[rule.resource]
        shown = sorted(findings.pop(rule.id, []), key=lambda finding: place[finding.resource])
        yield (b"," if number else b"") + _encoded(_rule(rule, letters, shown, place))
    yield b"]}"


def _with_findings(report: Report, kind: str) -> list[int]:
    columns = [report.outcomes[rule.id] for rule in report.rules if rule.resource == kind]
    return [number for number, letters in enumerate(zip(*columns, strict=True)) if "f" in letters or "u" in letters]


def _subscriptions(report: Report) -> dict[str, str]:
    """Return the names of subscriptions, by each way in which resources spell their ids."""
    names = {fold(entry.id): entry.name for entry in report.coverage.subscriptions if entry.name}
    spelled = dict.fromkeys(resource.subscription for resource in report.resources if resource.subscription)
    return {visible(text): visible(names[fold(text)]) for text in spelled if fold(text) in names}


def _exemptions(report: Report) -> dict[str, str]:
    """Return what the exemptions say that exempt a verdict."""
    used = {finding.exemption.id: finding.exemption for finding in report.findings if finding.exemption is not None}
    return {visible(name): visible(exemption_words(said)) for name, said in used.items()}


def exemption_words(said: FindingExemption) -> str:
    """Write who answers for a verdict, until when and why."""
    ticket = f", {said.ticket}" if said.ticket else ""
    return f"{said.reason.rstrip('.')}. {said.owner} answers for it{ticket}, until {said.expires} ({said.category})."


def _resources(resources: Sequence[Resource]) -> Column:
    segments = [list(cells) for cells in zip_longest(*(resource.id.split("/") for resource in resources))]

    def stored(values: list[str | None]) -> Column:
        return {"same": segments.index(values)} if values in segments else _column(values)

    return {
        "count": len(resources),
        "id": [_column(cells) for cells in segments],
        "name": stored([resource.name for resource in resources]),
        "group": stored([resource.resource_group for resource in resources]),
        "subscription": stored([resource.subscription for resource in resources]),
        "location": stored([resource.location for resource in resources]),
        "source": stored([resource.source for resource in resources]),
    }


def _rule(rule: RuleInfo, letters: str, findings: Sequence[Finding], place: dict[str, int]) -> Column:
    stored: Column = {"id": rule.id, "severity": rule.severity, "kind": rule.resource, "letters": letters}
    if findings:
        stored["findings"] = _findings(findings)
        if len(findings) < letters.count("f") + letters.count("u"):
            stored["at"] = [place[finding.resource] for finding in findings]
    return stored


def _findings(findings: Sequence[Finding]) -> Column:
    # The findings of a rule have looked at the same fields, since their rule has.
    fields = list(dict.fromkeys(entry.field for finding in findings for entry in finding.evidence))
    rows = [{entry.field: entry for entry in finding.evidence} for finding in findings]
    values = [[_value(row.get(name)) for row in rows] for name in fields]
    own = list(zip(*values, strict=True)) if values else [()] * len(findings)
    said = [finding.exemption for finding in findings]
    return {
        "message": _patterns([finding.message for finding in findings], own),
        "expected": _column([finding.expected for finding in findings]),
        "observed": _patterns([finding.observed for finding in findings], own),
        "exemption": _column([entry.id if entry is not None else None for entry in said]),
        "baseline": _column([finding.baseline for finding in findings]),
        "fields": [visible(name) for name in fields],
        "evidence": [
            {
                "value": _column(cells),
                "expected": _column([row[name].expected if name in row else None for row in rows]),
                "source": _column([row[name].source if name in row else None for row in rows]),
                "reason": _column([row[name].reason if name in row else None for row in rows]),
            }
            for name, cells in zip(fields, values, strict=True)
        ],
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


def _patterns(texts: Sequence[str], own: Sequence[Sequence[str | None]]) -> Column:
    """Return a column of texts; where most of them differ, the values of their own rows are taken out of them."""
    if len(set(texts)) * 2 <= len(texts):
        return _column(texts)
    patterns = []
    for text, values in zip(texts, own, strict=True):
        pattern = visible(text)
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
