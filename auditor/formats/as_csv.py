"""A line for every verdict, for spreadsheets."""

from collections import defaultdict
from typing import BinaryIO

from auditor.assessment.model import OUTCOMES, Report
from auditor.text import visible

QUOTE = '"'
COLUMNS = (
    "rule",
    "resource_id",
    "outcome",
    "severity",
    "exempt",
    "message",
    "kind",
    "name",
    "subscription",
    "resource_group",
    "location",
    "expected",
    "observed",
    "fingerprint",
    "source",
)


def write(report: Report, file: BinaryIO) -> None:
    """Write all verdicts, rule by rule, in the order of the resources; the text is UTF-8 with a mark for Excel."""
    # What is the same under every rule is written once for each resource, and once for each rule.
    resources = defaultdict(list)
    for resource in report.resources:
        place = (resource.subscription or "", resource.resource_group or "", resource.location or "")
        about = _cells(resource.kind, resource.name, *place)
        resources[resource.kind].append((resource.id, _cells(resource.id), about, _cells(resource.source)))
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for number, finding in enumerate(report.findings):
        found[finding.rule][finding.resource] = number
    file.write(f"\ufeff{','.join(COLUMNS)}\r\n".encode())
    for rule in report.rules:
        name, findings = _cells(rule.id), found[rule.id]
        verdicts = {letter: _cells(outcome, rule.severity) for letter, outcome in OUTCOMES.items()}
        rows = zip(resources[rule.resource], report.outcomes[rule.id], strict=True)
        for (resource_id, shown_id, about, source), letter in rows:
            said, because = "false,", ",,"
            if resource_id in findings:
                finding = report.findings[findings[resource_id]]
                said = _cells("true" if finding.exempt else "false", finding.message)
                because = _cells(finding.expected, finding.observed, finding.fingerprint)
            file.write(f"{name},{shown_id},{verdicts[letter]},{said},{about},{because},{source}\r\n".encode())


def _cells(*texts: str) -> str:
    """Return cells as ``csv`` writes them: what holds a comma or a quote is quoted."""
    shown = map(harmless, texts)
    return ",".join(f'"{cell.replace(QUOTE, QUOTE * 2)}"' if QUOTE in cell or "," in cell else cell for cell in shown)


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    shown = visible(cell)
    return (
        f"'{shown}"
        if shown.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
        else shown
    )
