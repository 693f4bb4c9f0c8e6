"""report.json -> the report again, checked: whole, unedited, of a version we know."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Raw

from auditor.assessment.model import OUTCOMES, SCHEMA_VERSION, Finding, Report, Resource
from auditor.assessment.on_disk import OnDisk
from auditor.errors import UsageError
from auditor.text import fold

MAX_BYTES = 2_000_000_000
_AGAIN = "Make it again with auditor audit -o report.json."
_Json: TypeAlias = dict[str, Raw] | list[Raw] | str | float | bool | None
# Read entry by entry: the plain values of all of them at once would take more memory than all the rest.
_LONG = frozenset({"resources", "findings"})
_PLAIN, _SORTED = msgspec.json.Decoder(), msgspec.json.Encoder(order="sorted")
_RESOURCE, _FINDING = msgspec.json.Decoder(Resource), msgspec.json.Decoder(Finding)


def read_report(path: Path) -> Report:
    """Read a report that ``auditor audit -o report.json`` has written.

    Raises:
        UsageError: it cannot be read, is cut off or no report, is of another version, or was edited.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES // 1_000_000:,} MB", "Is it a report?")
        report = _verified(path, path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "Check the path.") from error
    except msgspec.ValidationError as error:
        raise UsageError(f"{path} is no report of auditor: {error}", _AGAIN) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON, or cut off: {str(error) or 'nested too deeply'}", _AGAIN) from error
    wrong = _inconsistent(report)
    if wrong:
        raise UsageError(f"{path} is no report of auditor: {wrong}", _AGAIN)
    return report


def _verified(path: Path, data: bytes) -> Report:
    parts = msgspec.json.decode(data, type=_Json)
    if not isinstance(parts, dict) or "schema_version" not in parts:
        raise UsageError(f"{path} is no report of auditor", _AGAIN)
    version = _PLAIN.decode(parts["schema_version"])
    if version != SCHEMA_VERSION:
        hint = f"This auditor reads version {SCHEMA_VERSION}: make the report again with it."
        raise UsageError(f"{path} is a report of schema version {version}", hint)
    if "content_sha256" not in parts or _PLAIN.decode(parts["content_sha256"]) != _sha256(parts):
        raise UsageError(f"{path} was edited or damaged: its content is not what content_sha256 says", _AGAIN)
    report = msgspec.json.decode(
        msgspec.json.encode({name: [] if name in _LONG else part for name, part in parts.items()}), type=Report
    )
    resources = OnDisk.of(Resource, map(_RESOURCE.decode, _entries(parts["resources"])))
    findings = OnDisk.of(Finding, map(_FINDING.decode, _entries(parts["findings"])))
    return msgspec.structs.replace(report, resources=resources, findings=findings)


def _sha256(parts: Mapping[str, Raw]) -> str:
    """Hash what the text says: what is made of it holds the defaults of whatever its author did not know yet."""
    digest, before = hashlib.sha256(), b"{"
    for name in sorted(parts.keys() - {"content_sha256"}):
        digest.update(before + msgspec.json.encode(name) + b":")
        before = b","
        if name not in _LONG:
            digest.update(_SORTED.encode(_PLAIN.decode(parts[name])))
            continue
        mark = b"["
        for entry in _entries(parts[name]):
            digest.update(mark + _SORTED.encode(_PLAIN.decode(entry)))
            mark = b","
        digest.update(b"[]" if mark == b"[" else b"]")
    digest.update(b"}")
    return digest.hexdigest()


def _entries(part: Raw) -> list[Raw]:
    return msgspec.json.decode(part, type=list[Raw])


def _inconsistent(report: Report) -> str:
    """Say where the parts of a report disagree, which whoever reads on relies on; empty when they do not."""
    if report.trend is not None and report.trend.runs[-1].run_id != report.run_id:
        return "its trend does not end with it"
    kinds = Counter(resource.kind for resource in report.resources)
    if set(report.outcomes) != {rule.id for rule in report.rules} or len(report.outcomes) != len(report.rules):
        return "its rules and outcomes differ"
    for rule in report.rules:
        letters = report.outcomes[rule.id]
        if len(letters) != kinds[rule.resource] or set(letters) - OUTCOMES.keys():
            return f"the outcomes of {rule.id} are not one letter for each {rule.resource}"
    if len({(resource.kind, fold(resource.id)) for resource in report.resources}) != len(report.resources):
        return "a resource stands twice"
    places: dict[tuple[str, str], int] = {}
    met: Counter[str] = Counter()
    for resource in report.resources:
        places[resource.kind, resource.id] = met[resource.kind]
        met[resource.kind] += 1
    kind_of: dict[str, str] = {rule.id: rule.resource for rule in report.rules}
    told = set()
    for finding in report.findings:
        place = places.get((kind_of.get(finding.rule, ""), finding.resource))
        if place is None:
            return f"a finding is about what it does not hold: {finding.rule} of {finding.resource}"
        if OUTCOMES[report.outcomes[finding.rule][place]] != finding.outcome:
            return f"a finding is not what its verdict is: {finding.rule} of {finding.resource}"
        told.add((finding.rule, place))
    uneasy = sum(letters.count("f") + letters.count("u") for letters in report.outcomes.values())
    if not len(told) == len(report.findings) == uneasy:
        return "not every fail and unknown has one finding"
    return ""
