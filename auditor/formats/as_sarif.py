"""SARIF 2.1.0, for code scanning: a result for each finding, at the rule that found it.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html, within the limits of
https://docs.github.com/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

import re
import uuid
from collections.abc import Mapping
from heapq import nsmallest
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import quote

import msgspec

from auditor.assessment.model import Finding, FindingExemption, GapInfo, Report, Resource, RuleInfo
from auditor.declared.config import Severity
from auditor.ruleset.model import SEVERITIES
from auditor.text import visible

Json: TypeAlias = dict[str, Any]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
# GitHub keeps 5,000 results, shows 10 tags of a rule, and refuses longer names and descriptions.
MOST_RESULTS = 5_000
MOST_GAPS = 500
MOST_TAGS = 10
LONGEST_NAME = 255
LONGEST_DESCRIPTION = 1_024
LEVELS: Mapping[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# GitHub calls more than 9 critical, 7 and more high, 4 and more medium.
_SCORES: Mapping[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
_ROOT = "%SRCROOT%"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~&@-])")
_LINK = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+")


def write(report: Report, file: BinaryIO) -> None:
    """Write the worst findings, at most ``MOST_RESULTS``: exempt ones as suppressed, unknown ones for review.

    Verdicts of the baseline that are no findings any more are not in it: code scanning takes every result for a
    problem, an absent one too.
    """
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(report) | {"results": []}]}
    head, tail = msgspec.json.encode(document).rsplit(b"[]", 1)
    file.write(head + b"[")
    worst = _worst(report)
    shown = {finding.resource for finding in worst}
    resources = {resource.id: resource for resource in report.resources if resource.id in shown}
    rules = {rule.id: (index, rule) for index, rule in enumerate(report.rules)}
    for number, finding in enumerate(worst):
        result = _result(finding, *rules[finding.rule], resources[finding.resource])
        file.write((b",\n" if number else b"\n") + msgspec.json.encode(result))
    file.write(b"\n]" + tail + b"\n")


def rule_uri(rule: RuleInfo) -> str:
    """Return where a rule stands in the repository that holds it; a report does not say more than its file's name."""
    return f"rules/{quote(visible(rule.file), safe='')}"


def _worst(report: Report) -> list[Finding]:
    rank = {severity: number for number, severity in enumerate(SEVERITIES)}
    return nsmallest(
        MOST_RESULTS,
        report.findings,
        key=lambda found: (found.exempt, rank[found.severity], found.outcome == "unknown"),
    )


def _run(report: Report) -> Json:
    organisation = visible(report.options.organisation).replace("/", "-") or "estate"
    baseline = report.baseline
    return {
        "tool": {"driver": _driver(report)},
        "automationDetails": {
            # What stands before the last slash tells one series of uploads from another.
            "id": f"azure-vm-backup/{organisation}/{visible(report.run_id) or report.content_sha256}",
            "guid": _guid(report.content_sha256),
        },
        **({"baselineGuid": _guid(baseline.content_sha256)} if baseline is not None else {}),
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository that holds the rules."}}},
        "invocations": [_invocation(report)],
        "properties": {
            "asOf": report.as_of and visible(report.as_of),
            "verdict": report.summary.verdict,
            "counts": report.summary.counts,
            "contentSha256": report.content_sha256,
            **({"fixedSinceBaseline": baseline.fixed} if baseline is not None else {}),
        },
    }


def _guid(sha256: str) -> str:
    """Return the id of a run by the hash of its report, so that a baseline is told by that of its own."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{sha256}"))


def _driver(report: Report) -> Json:
    version = visible(report.tool.version)
    return {
        "name": visible(report.tool.name),
        "fullName": f"{visible(report.tool.name)} {version}",
        "semanticVersion": version,
        # There is no page of our own: this one is about what is audited.
        "informationUri": "https://learn.microsoft.com/azure/backup/backup-azure-vms-introduction",
        "rules": [_rule(rule) for rule in report.rules],
    }


def _rule(rule: RuleInfo) -> Json:
    controls = [f"{framework}/{control}" for framework, ids in rule.controls.items() for control in ids]
    controls.sort(key=lambda tag: (len(tag), tag))  # a long one, such as an id of Azure Policy, is the first to go
    links = [uri for uri in rule.references if _LINK.fullmatch(uri)]
    return {
        "id": visible(rule.id),
        "name": _cut("".join(word[:1].upper() + word[1:] for word in visible(rule.id).split("-")), LONGEST_NAME),
        "shortDescription": {"text": _cut(visible(rule.title), LONGEST_DESCRIPTION)},
        "fullDescription": {"text": _cut(_lines(rule.rationale), LONGEST_DESCRIPTION)},
        "help": _help(rule),
        **({"helpUri": links[0]} if links else {}),
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {
            "tags": list(dict.fromkeys(map(visible, ("security", "backup", rule.resource, *controls))))[:MOST_TAGS],
            "security-severity": _SCORES[rule.severity],
            "severity": rule.severity,
            "sha256": rule.sha256,
        },
    }


def _help(rule: RuleInfo) -> Json:
    parts = [(title, _lines(text)) for title, text in (("Why", rule.rationale), ("Fix", rule.fix)) if text.strip()]
    references = list(map(visible, rule.references))
    links = [f"- <{uri}>" if _LINK.fullmatch(uri) else f"- {_inert(uri)}" for uri in references]
    text = [f"{title}:\n{said}" for title, said in parts]
    markdown = [f"**{title}**\n\n{_inert(said)}" for title, said in parts]
    if references:
        text.append("\n".join(["References:", *(f"- {uri}" for uri in references)]))
        markdown.append("\n".join(["**References**", "", *links]))
    return {
        "text": "\n\n".join(text) or visible(rule.title),
        "markdown": "\n\n".join(markdown) or _inert(visible(rule.title)),
    }


def _inert(text: str) -> str:
    """Return text as Markdown that is nothing but this text."""
    return "\n".join(_MARKDOWN.sub(r"\\\1", line.strip()) for line in text.split("\n"))


def _lines(text: str) -> str:
    return "\n".join(map(visible, text.strip().split("\n")))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _result(finding: Finding, index: int, rule: RuleInfo, resource: Resource) -> Json:
    unknown = finding.outcome == "unknown"
    line = max(rule.line, 1)
    return {
        "ruleId": visible(rule.id),
        "ruleIndex": index,
        # A result that is not a fail has no level.
        "kind": "review" if unknown else "fail",
        "level": "none" if unknown else LEVELS[finding.severity],
        "message": {"text": _message(finding, resource)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": rule_uri(rule), "uriBaseId": _ROOT},
                    "region": {
                        "startLine": line,
                        "startColumn": 1,
                        "endLine": line,
                        "endColumn": len(f"id: {visible(rule.id)}") + 1,
                    },
                },
                "logicalLocations": [
                    {
                        "name": visible(resource.name),
                        "fullyQualifiedName": visible(resource.id),
                        "kind": "resource",
                    },
                ],
            },
        ],
        # Ours, or all resources that fail one rule would be one alert: they share file and line.
        "partialFingerprints": {"primaryLocationLineHash": f"{finding.fingerprint}:1"},
        "fingerprints": {"auditor/v1": finding.fingerprint},
        **({"suppressions": [_suppression(finding.exemption)]} if finding.exempt else {}),
        **({"baselineState": finding.baseline} if finding.baseline is not None else {}),
        "properties": {
            "outcome": finding.outcome,
            "severity": finding.severity,
            "exempt": finding.exempt,
            "expected": visible(finding.expected),
            "observed": visible(finding.observed),
            "resourceKind": resource.kind,
            "subscription": visible(resource.subscription or ""),
            "resourceGroup": visible(resource.resource_group or ""),
            "location": visible(resource.location or ""),
        },
    }


def _message(finding: Finding, resource: Resource) -> str:
    word = "unknown: " if finding.outcome == "unknown" else ""
    text = f"{resource.name}: {word}{finding.message}"
    # What looks like [text](address) would become a link.
    return visible(text).replace("](", "]\\u{0028}")


def _suppression(exemption: FindingExemption | None) -> Json:
    said = []
    if exemption is not None:
        said = [f"{exemption.category} {exemption.id}", exemption.reason, f"owner {exemption.owner}"]
        said += [f"ticket {exemption.ticket}"] if exemption.ticket else []
        said += [f"until {exemption.expires}"]
    return {"kind": "external", "status": "accepted", "justification": visible("; ".join(said) or "exempt")}


def _invocation(report: Report) -> Json:
    gate = report.summary.gate
    concluded = gate.exit_code != 3 and report.summary.verdict != "Cannot conclude"
    notifications = [_gap(gap) for gap in report.gaps[:MOST_GAPS]]
    if not concluded:
        reasons = "; ".join(gate.reasons)
        notifications.insert(0, _notification("cannot-conclude", "error", f"{report.summary.sentence} {reasons}"))
    if len(report.gaps) > MOST_GAPS:
        text = f"{MOST_GAPS:,} of {len(report.gaps):,} gaps are listed here. All are in report.json."
        notifications.append(_notification("left-out", "warning", text))
    if len(report.findings) > MOST_RESULTS:
        left = len(report.findings) - MOST_RESULTS
        text = f"The worst {MOST_RESULTS:,} findings are here, {left:,} others are left out. All are in report.json."
        notifications.append(_notification("left-out", "warning", text))
    return {
        "executionSuccessful": concluded,
        "exitCode": gate.exit_code,
        "exitCodeDescription": visible("; ".join(gate.reasons)),
        "toolExecutionNotifications": notifications,
    }


def _gap(gap: GapInfo) -> Json:
    scope = f" ({gap.scope})" if gap.scope else ""
    return _notification("gap", "warning", f"Not read: {gap.cause}{scope}. {gap.hint}".strip())


def _notification(name: str, level: str, text: str) -> Json:
    return {"descriptor": {"id": name}, "level": level, "message": {"text": visible(text)}}
