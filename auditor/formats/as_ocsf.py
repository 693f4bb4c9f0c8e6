"""OCSF 1.5.0 Compliance Findings as NDJSON, for data lakes and SIEMs.

https://schema.ocsf.io/1.5.0/classes/compliance_finding

An event for every verdict but those that are not applicable, for which OCSF has no word, and one for each gap.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, TypeAlias

import msgspec

from auditor.assessment.evidence import fingerprint, show
from auditor.assessment.model import OUTCOMES, Cell, Finding, Report, Resource, RuleInfo
from auditor.errors import UsageError
from auditor.text import fold, visible
from auditor.timestamps import parse_time

Json: TypeAlias = dict[str, Any]

_CLASS = 2003
_COMPLIANCE = {"pass": (1, "Pass"), "fail": (3, "Fail"), "unknown": (0, "Unknown")}
_SEVERITIES = {"critical": (5, "Critical"), "high": (4, "High"), "medium": (3, "Medium"), "low": (2, "Low")}
_INFORMATIONAL = (1, "Informational")
_UNKNOWN = (0, "Unknown")
_NEW, _SUPPRESSED, _RESOLVED = (1, "New"), (3, "Suppressed"), (4, "Resolved")
_CREATE, _UPDATE = (1, "Create"), (2, "Update")
_VAULTS = "Microsoft.RecoveryServices/vaults"
_TYPES = {
    "vm": "Microsoft.Compute/virtualMachines",
    "item": f"{_VAULTS}/backupFabrics/protectionContainers/protectedItems",
    "policy": f"{_VAULTS}/backupPolicies",
    "vault": _VAULTS,
}


def write(report: Report, file: BinaryIO) -> None:
    """Write the events, one a line: gaps, then verdicts rule by rule.

    Raises:
        UsageError: the report is of no known time, and an event has to have one.
    """
    time = parse_time(report.as_of or "")
    if time is None:
        hint = "Say when it was exported: --as-of 2026-01-31T06:00:00Z"
        raise UsageError("OCSF events need a time, and that of the inventory is not known", hint)
    encoder = msgspec.json.Encoder()
    file.writelines(encoder.encode(event) + b"\n" for event in _events(report, time // 1000))


def _events(report: Report, time: int) -> Iterator[Json]:
    metadata = {
        "version": "1.5.0",
        "profiles": ["cloud"],
        "correlation_uid": visible(report.run_id),
        "product": {
            "name": visible(report.tool.name),
            "vendor_name": visible(report.tool.name),
            "version": visible(report.tool.version),
        },
    }
    always = {"category_uid": 2, "category_name": "Findings", "class_uid": _CLASS, "class_name": "Compliance Finding"}
    always |= {"metadata": metadata, "time": time}
    for gap in _gaps(report):
        yield always | gap
    about: dict[str, list[tuple[Resource, Json]]] = {}
    names = {fold(entry.id): visible(entry.name) for entry in report.coverage.subscriptions if entry.name}
    for resource in report.resources:
        about.setdefault(resource.kind, []).append((resource, _about(resource, names)))
    found = {(finding.rule, finding.resource): number for number, finding in enumerate(report.findings)}
    for rule in report.rules:
        said = _Rule(rule)
        for (resource, told), letter in zip(about.get(rule.resource, []), report.outcomes[rule.id], strict=True):
            if letter != "n":
                finding = report.findings[found[rule.id, resource.id]] if letter in "fu" else None
                yield always | told | said.event(resource, OUTCOMES[letter], finding)


def _gaps(report: Report) -> Iterator[Json]:
    """Yield an event of unknown compliance for whatever no verdict can tell of."""
    lacking = [(gap.table, gap.scope, gap.cause, gap.hint) for gap in report.gaps]
    counts = report.summary.counts
    if not counts.passed and not counts.fail and not counts.unknown:
        lacking.append(("inventory", "", "nothing was found to judge", ""))
    for table, scope, cause, hint in dict.fromkeys(lacking):
        title = f"Not read: {visible(table)}"
        info = {"uid": fingerprint("inventory", f"{table}\n{fold(scope)}\n{cause}"), "title": title}
        compliance = {"control": "inventory", "status_id": 0, "status": "Unknown", "status_details": [visible(cause)]}
        yield {
            **_ids("activity_id", "activity_name", _CREATE),
            **_type(_CREATE),
            **_ids("severity_id", "severity", _UNKNOWN),
            **_ids("status_id", "status", _NEW),
            "message": visible(cause),
            "finding_info": info,
            "compliance": compliance,
            "cloud": {"provider": "Azure"},
            **({"remediation": {"desc": visible(hint)}} if hint else {}),
            "unmapped": {"scope": visible(scope)},
        }


class _Rule:
    """Makes the events of a rule; what is the same in all of them is made once."""

    def __init__(self, rule: RuleInfo) -> None:
        self.id = rule.id
        self.title = visible(rule.title)
        self.severity = _SEVERITIES[rule.severity]
        self.info = {
            "title": self.title,
            "desc": _line(rule.rationale),
            "types": ["backup"],
            "analytic": {"uid": visible(rule.id), "name": self.title, "type_id": 1, "type": "Rule"},
        }
        # Sorted: a report that is read again has its mappings in another order.
        controls = sorted(rule.controls.items())
        self.compliance = {
            "control": visible(rule.id),
            "desc": self.title,
            "standards": [visible(standard) for standard, _ in controls],
            "requirements": [
                f"{visible(standard)} {visible(control)}" for standard, listed in controls for control in listed
            ],
            "control_parameters": [
                {"name": visible(name), "value": visible(show(value))}
                for name, value in sorted(rule.parameters.items())
            ],
        }
        references = [visible(link) for link in rule.references]
        self.remediation = {"desc": _line(rule.fix), "references": references}

    def event(self, resource: Resource, outcome: str, finding: Finding | None) -> Json:
        """Return what the event of one verdict says of it."""
        status_id, status = _COMPLIANCE[outcome]
        uid = fingerprint(self.id, fold(resource.id))
        event: Json = {
            "finding_info": {"uid": uid, **self.info, "data_sources": [visible(resource.source)]},
            "compliance": {**self.compliance, "status_id": status_id, "status": status},
        }
        if finding is None:
            event |= _ids("activity_id", "activity_name", _CREATE) | _type(_CREATE)
            event |= _ids("severity_id", "severity", _INFORMATIONAL) | _ids("status_id", "status", _RESOLVED)
            event["message"] = self.title
            return event
        activity = _UPDATE if finding.baseline == "unchanged" else _CREATE
        event |= _ids("activity_id", "activity_name", activity) | _type(activity)
        event |= _ids("severity_id", "severity", self.severity)
        event |= _ids("status_id", "status", _SUPPRESSED if finding.exempt else _NEW)
        event["message"] = visible(finding.message)
        event["compliance"]["status_details"] = [visible(finding.message)]
        event["remediation"] = self.remediation
        event["unmapped"] = _unmapped(finding)
        return event


def _about(resource: Resource, names: dict[str, str]) -> Json:
    """Say of a resource what all events about it say."""
    place: Json = {"provider": "Azure"}
    told: Json = {
        "uid": visible(resource.id),
        "name": visible(resource.name),
        "type": _TYPES[resource.kind],
    }
    if resource.resource_group is not None:
        told["group"] = {"name": visible(resource.resource_group)}
    if resource.location is not None:
        place["region"] = told["region"] = visible(resource.location)
    if resource.subscription is not None:
        place["account"] = {"uid": visible(resource.subscription), "type_id": 13, "type": "Azure Subscription"}
        name = names.get(fold(resource.subscription))
        if name is not None:
            place["account"]["name"] = name
    return {"cloud": place, "resources": [told]}


def _unmapped(finding: Finding) -> Json:
    """Return what OCSF has no place for."""
    unmapped: Json = {
        "expected": visible(finding.expected),
        "observed": visible(finding.observed),
        "evidence": [
            {
                "field": visible(entry.field),
                "value": _cell(entry.value),
                "source": visible(entry.source),
                "reason": visible(entry.reason),
                "expected": visible(entry.expected),
            }
            for entry in finding.evidence
        ],
    }
    if finding.baseline is not None:
        unmapped["baseline"] = finding.baseline
    if finding.exemption is not None:
        said = msgspec.structs.asdict(finding.exemption)
        unmapped["exemption"] = {name: visible(text) for name, text in said.items()}
    return unmapped


def _cell(value: Cell) -> Cell:
    if isinstance(value, str):
        return visible(value)
    return [visible(text) for text in value] if isinstance(value, list) else value


def _ids(number: str, caption: str, pair: tuple[int, str]) -> Json:
    return {number: pair[0], caption: pair[1]}


def _type(activity: tuple[int, str]) -> Json:
    return {"type_uid": _CLASS * 100 + activity[0], "type_name": f"Compliance Finding: {activity[1]}"}


def _line(text: str) -> str:
    """Return a text of several lines on one."""
    return visible(" ".join(text.split()))
