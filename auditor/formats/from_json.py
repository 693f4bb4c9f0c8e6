"""report.json -> the report again, checked: whole, unedited, of a version we know."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from auditor.assessment.engine import OUTCOMES
from auditor.assessment.model import SCHEMA_VERSION, Report
from auditor.errors import UsageError
from auditor.text import fold

MAX_BYTES = 2_000_000_000
_AGAIN = "Make it again with auditor audit -o report.json."


def read_report(path: Path) -> Report:
    """Read a report that ``auditor audit -o report.json`` has written.

    Raises:
        UsageError: it cannot be read, is cut off or no report, is of another version, or was edited.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES // 1_000_000:,} MB", "Is it a report?")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "Check the path.") from error
    try:
        plain = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON, or cut off: {str(error) or 'nested too deeply'}", _AGAIN) from error
    if not isinstance(plain, dict) or "schema_version" not in plain:
        raise UsageError(f"{path} is no report of auditor", _AGAIN)
    version = plain["schema_version"]
    if version != SCHEMA_VERSION:
        hint = f"This auditor reads version {SCHEMA_VERSION}: make the report again with it."
        raise UsageError(f"{path} is a report of schema version {version}", hint)
    if plain.get("content_sha256") != _sha256(plain):
        raise UsageError(f"{path} was edited or damaged: its content is not what content_sha256 says", _AGAIN)
    try:
        report = msgspec.convert(plain, Report)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path} is no report of auditor: {error}", _AGAIN) from error
    wrong = _inconsistent(report)
    if wrong:
        raise UsageError(f"{path} is no report of auditor: {wrong}", _AGAIN)
    return report


def _sha256(plain: dict[str, Any]) -> str:
    content = {key: value for key, value in plain.items() if key != "content_sha256"}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _inconsistent(report: Report) -> str:
    """Say where the parts of a report disagree, which whoever reads on relies on; empty when they do not."""
    kinds = Counter(resource.kind for resource in report.resources)
    if set(report.outcomes) != {rule.id for rule in report.rules} or len(report.outcomes) != len(report.rules):
        return "its rules and outcomes differ"
    for rule in report.rules:
        letters = report.outcomes[rule.id]
        if len(letters) != kinds[rule.resource] or set(letters) - OUTCOMES.keys():
            return f"the outcomes of {rule.id} are not one letter for each {rule.resource}"
    known = {(resource.kind, fold(resource.id)) for resource in report.resources}
    if len(known) != len(report.resources):
        return "a resource stands twice"
    kind_of = {rule.id: rule.resource for rule in report.rules}
    for finding in report.findings:
        if (kind_of.get(finding.rule), fold(finding.resource)) not in known:
            return f"a finding is about what it does not hold: {finding.rule} of {finding.resource}"
    return ""
