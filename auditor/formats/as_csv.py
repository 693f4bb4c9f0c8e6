"""A line for every verdict, for spreadsheets."""

import csv
import io
from collections import defaultdict
from typing import BinaryIO

from auditor.assessment.engine import OUTCOMES
from auditor.assessment.model import Report
from auditor.text import visible

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
    kinds = defaultdict(list)
    for resource in report.resources:
        kinds[resource.kind].append(resource)
    found = {(finding.rule, finding.resource): finding for finding in report.findings}
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for rule in report.rules:
        for resource, letter in zip(kinds[rule.resource], report.outcomes[rule.id], strict=True):
            finding = found.get((rule.id, resource.id))
            cells = (
                rule.id,
                resource.id,
                OUTCOMES[letter],
                rule.severity,
                "true" if finding is not None and finding.exempt else "false",
                finding.message if finding is not None else "",
                resource.kind,
                resource.name,
                resource.subscription or "",
                resource.resource_group or "",
                resource.location or "",
                finding.expected if finding is not None else "",
                finding.observed if finding is not None else "",
                finding.fingerprint if finding is not None else "",
                resource.source,
            )
            rows.writerow([harmless(cell) for cell in cells])
    text.flush()
    text.detach()


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    shown = visible(cell)
    return (
        f"'{shown}"
        if shown.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
        else shown
    )
