"""An Excel workbook of the report: texts are texts and numbers are numbers, nothing in it is a formula or a link."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, TypeAlias, get_args

import msgspec

from auditor.assessment.evidence import show
from auditor.assessment.model import ExemptionStatus, Report
from auditor.errors import UsageError
from auditor.estate.fields import KIND_NAMES
from auditor.formats.control_words import attestation_words
from auditor.formats.explore_data import exemption_words
from auditor.gate import Counts
from auditor.ruleset.model import SEVERITIES
from auditor.text import visible
from auditor.timestamps import parse_time

# This module is imported when somebody asks for a workbook, which is before the work.
try:
    import xlsxwriter  # type: ignore[import-untyped]
except ModuleNotFoundError as error:
    raise UsageError(
        "no workbook can be written: XlsxWriter is not installed",
        "Install it with the extra: pip install 'azure-backup-auditor[xlsx]'",
    ) from error

MOST_ROWS = 1_048_576  # Excel's own limits, for a sheet and for a cell in UTF-16
MOST_CHARACTERS = 32_767
MOST_PROPERTY = 255
MOST_LINES = 12  # that a row is high
LINE = 15  # points
PAGE = 260  # characters that can be read on a sheet of paper, side by side
CUT = " ... (cut off)"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- dates in Excel have no zone
_YEAR_10000 = 253_402_300_800_000_000
# What no time is known of is dated as early as the entries of a ZIP archive can be.
_NO_TIME = datetime(1980, 1, 1)  # noqa: DTZ001

_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")

Value: TypeAlias = str | int | None

_TINTS = {
    "fail": "fail",
    "fails": "fail",
    "expired": "fail",
    "Not compliant": "fail",
    "unknown": "unknown",
    "cannot-conclude": "unknown",
    "time-unknown": "unknown",
    "partial": "unknown",
    "missing": "unknown",
    "unread": "unknown",
    "Cannot conclude": "unknown",
    "holds": "pass",
    "active": "pass",
    "Compliant": "pass",
}


class Column(NamedTuple):
    """A column: its title, its width in characters, whether long texts are wrapped, and states tinted."""

    title: str
    width: int
    wrap: bool = False
    state: bool = False


def write(report: Report, file: BinaryIO) -> None:
    """Write the workbook; findings that a sheet cannot hold are left out, and the summary says how many."""
    when = parse_time(report.as_of or "") or 0
    with xlsxwriter.Workbook(file, {"constant_memory": True}) as workbook:
        workbook.set_properties(
            {
                "title": cell(f"Azure VM backup: {report.summary.verdict}"),
                "author": cell(f"{report.tool.name} {report.tool.version}")[:MOST_PROPERTY],
                "company": cell(report.options.organisation)[:MOST_PROPERTY],
                "created": _EPOCH + timedelta(microseconds=when) if 0 < when < _YEAR_10000 else _NO_TIME,
            }
        )
        book = _Book(workbook)
        book.sheet("Summary", _SUMMARY, _summary(report))
        book.sheet("Findings", _FINDINGS, _findings(report))
        book.sheet("Rules", _RULES, _rules(report))
        book.sheet("Controls", _CONTROLS, _controls(report))
        book.sheet("Coverage", _COVERAGE, _coverage(report))
        book.sheet("Exemptions", _EXEMPTIONS, _exemptions(report))


def cell(text: str) -> str:
    """Return text as a cell can hold it; where it is too long, it says that it was cut off."""
    shown = visible(text)
    # XlsxWriter takes such a text for markup of its own and writes it as it is.
    if shown.startswith("<r>") and shown.endswith("</r>"):
        shown = f"\\u{{003C}}{shown[1:]}"
    # Excel takes _x0041_ for an A. Escaping it is possible, but not every reader undoes that in such a cell.
    shown = _ESCAPE.sub(r"\\u{005F}", shown)
    if len(shown) > MOST_CHARACTERS // 2 and len(encoded := shown.encode("utf-16-le")) > 2 * MOST_CHARACTERS:
        room = 2 * (MOST_CHARACTERS - len(CUT))
        return encoded[:room].decode("utf-16-le", "ignore") + CUT  # half a character at the end goes as well
    return shown


class _Book:
    """A workbook and its few formats."""

    def __init__(self, workbook: Any) -> None:  # noqa: ANN401 -- XlsxWriter declares no types
        self._workbook = workbook
        top = {"align": "left", "valign": "top", "indent": 1}
        self._head = workbook.add_format(
            {**top, "bold": True, "bg_color": "#E8ECF1", "font_color": "#1F2A37", "bottom": 1}
        )
        self._text = workbook.add_format(top)
        self._wrapped = workbook.add_format({**top, "text_wrap": True})
        self._number = workbook.add_format({**top, "num_format": "#,##0", "align": "right"})
        self._number_among_texts = workbook.add_format({**top, "num_format": "#,##0"})
        self._tints = {
            "fail": workbook.add_format({**top, "font_color": "#9B1C1C", "bg_color": "#FDECEC"}),
            "unknown": workbook.add_format({**top, "font_color": "#7A4B00", "bg_color": "#FFF4DB"}),
            "pass": workbook.add_format({**top, "font_color": "#14532D", "bg_color": "#E7F5EC"}),
        }

    def sheet(self, name: str, columns: Sequence[Column], rows: Iterable[Sequence[Value]]) -> None:
        """Write a sheet, row after row: XlsxWriter keeps only one in memory."""
        sheet = self._workbook.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1 + sum(column.width for column in columns) // PAGE, 0)
        sheet.repeat_rows(0)
        for place, column in enumerate(columns):
            sheet.set_column(place, place, column.width)
            sheet.write_string(0, place, column.title, self._head)
        texts = [self._wrapped if column.wrap else self._text for column in columns]
        numbers = [self._number_among_texts if column.wrap else self._number for column in columns]
        wrapped = [(place, column.width) for place, column in enumerate(columns) if column.wrap]
        last = 0
        for last, row in enumerate(islice(rows, MOST_ROWS - 1), start=1):
            # Not every program makes rows as high as their texts by itself.
            lines = max((_lines(row[place], width) for place, width in wrapped), default=1)
            if lines > 1:
                sheet.set_row(last, LINE * min(lines, MOST_LINES))
            for place, value in enumerate(row):
                if isinstance(value, int):
                    sheet.write_number(last, place, value, numbers[place])
                elif value:
                    tint = _TINTS.get(value) if columns[place].state else None
                    sheet.write_string(last, place, cell(value), self._tints[tint] if tint else texts[place])
        sheet.autofilter(0, 0, last, len(columns) - 1)


def _lines(value: Value, width: int) -> int:
    return -(-len(value) // (width - 2)) if isinstance(value, str) else 1  # the indent takes room, too


_COUNTS = (
    Column("Fail", 9),
    Column("Unknown", 9),
    Column("Pass", 9),
    Column("Not applicable", 14),
    Column("Exempt fail", 11),
    Column("Exempt unknown", 15),
)


def _counted(counts: Counts) -> tuple[int, ...]:
    return (
        counts.fail,
        counts.unknown,
        counts.passed,
        counts.not_applicable,
        counts.exempt,
        counts.exempt_unknown,
    )


_SUMMARY = (Column("What", 34), Column("Value", 120, wrap=True, state=True))


def _summary(report: Report) -> Iterator[tuple[str, Value]]:
    summary = report.summary
    room = MOST_ROWS - 1
    yield "Verdict", summary.verdict
    yield "In words", summary.sentence
    yield "Organisation", report.options.organisation
    yield "Judged as of (UTC)", report.as_of or "not known"
    yield "Exit code", summary.gate.exit_code
    for reason in summary.gate.reasons:
        yield "Reason of the exit code", reason
    for column, count in zip(_COUNTS, _counted(summary.counts), strict=True):
        yield f"Verdicts: {column.title.lower()}", count
    for severity in SEVERITIES:
        yield f"Failing, {severity}", summary.failing_by_severity.get(severity, 0)
    yield "Gaps: what could not be read", len(report.gaps)
    yield "Findings in this workbook", min(len(report.findings), room)
    yield "Findings left out of it", max(len(report.findings) - room, 0)
    if len(report.findings) > room:
        yield "Where the others are", "A sheet holds no more rows; report.json and the CSV have all of them."
    if report.baseline is not None:
        baseline = report.baseline
        yield "Baseline as of (UTC)", baseline.as_of or "not known"
        yield "New since the baseline", baseline.new
        yield "Unchanged since the baseline", baseline.unchanged
        yield "Fixed since the baseline", baseline.fixed
    yield "Made by", f"{report.tool.name} {report.tool.version}"
    for name, value in msgspec.to_builtins(report.options).items():
        if name != "organisation" and value not in (None, []):
            yield f"Option {name}", show(value)
    yield "Inventory collected at (UTC)", report.inventory.collected_at or "not known"
    yield "SHA-256 of the inventory", report.inventory.sha256
    for source in report.inventory.sources:
        yield "File that was read, and its SHA-256", f"{source.name}: {source.sha256}"
    yield "SHA-256 of the report's content", report.content_sha256
    yield "SHA-256 of all that went in", report.run_id


_FINDINGS = (
    Column("Outcome", 10, state=True),
    Column("Severity", 10),
    Column("Exempt", 8),
    Column("Baseline", 10),
    Column("Rule", 30),
    Column("Resource", 28),
    Column("Message", 80, wrap=True),
    Column("Expected", 50, wrap=True),
    Column("Observed", 50, wrap=True),
    Column("Exemption", 50, wrap=True),
    Column("Kind", 14),
    Column("Subscription", 38),
    Column("Resource group", 24),
    Column("Location", 14),
    Column("Resource id", 60),
    Column("Source", 30),
    Column("Fingerprint", 34),
)


def _findings(report: Report) -> Iterator[Sequence[Value]]:
    kinds = {rule.id: rule.resource for rule in report.rules}
    resources = {(resource.kind, resource.id): resource for resource in report.resources}
    for finding in report.findings:
        resource = resources[kinds[finding.rule], finding.resource]
        yield (
            finding.outcome,
            finding.severity,
            "yes" if finding.exempt else "no",
            finding.baseline,
            finding.rule,
            resource.name,
            finding.message,
            finding.expected,
            finding.observed,
            exemption_words(finding.exemption) if finding.exemption is not None else None,
            KIND_NAMES[resource.kind][0],
            resource.subscription,
            resource.resource_group,
            resource.location,
            resource.id,
            resource.source,
            finding.fingerprint,
        )


_RULES = (
    Column("Rule", 32),
    Column("Title", 50, wrap=True),
    Column("Severity", 10),
    Column("Judges", 14),
    *_COUNTS,
    Column("Parameters", 40, wrap=True),
    Column("Controls", 40, wrap=True),
    Column("Why", 80, wrap=True),
    Column("What to do", 80, wrap=True),
    Column("File", 34),
    Column("SHA-256", 66),
)


def _rules(report: Report) -> Iterator[Sequence[Value]]:
    for rule in report.rules:
        yield (
            rule.id,
            rule.title,
            rule.severity,
            KIND_NAMES[rule.resource][0],
            *_counted(rule.counts),
            ", ".join(
                f"{name} = {'not set' if value is None else show(value)}"
                for name, value in sorted(rule.parameters.items())
            ),
            "; ".join(f"{name} {', '.join(ids)}" for name, ids in sorted(rule.controls.items())),
            _one_line(rule.rationale),
            _one_line(rule.fix),
            rule.file,
            rule.sha256,
        )


_CONTROLS = (
    Column("Framework", 34),
    Column("Control", 20),
    Column("Title", 50, wrap=True),
    Column("State", 16, state=True),
    *_COUNTS,
    Column("Rules that were run", 50, wrap=True),
    Column("Note", 80, wrap=True),
    Column("Attested", 80, wrap=True),
)


def _controls(report: Report) -> Iterator[Sequence[Value]]:
    for framework in report.frameworks:
        for control in framework.controls:
            yield (
                framework.title or framework.id,
                control.id,
                control.title,
                control.state,
                *_counted(control.counts),
                ", ".join(control.rules),
                control.note,
                " ".join(map(attestation_words, control.attestations)),
            )


_COVERAGE = (
    Column("What", 16),
    Column("Name", 44, wrap=True),
    Column("State", 16, state=True),
    Column("Count", 10),
    Column("Details", 100, wrap=True),
)


def _coverage(report: Report) -> Iterator[Sequence[Value]]:
    coverage = report.coverage
    for gap in report.gaps:
        yield "Gap", gap.table, gap.kind, None, " ".join(part for part in (gap.scope, gap.cause, gap.hint) if part)
    for table in coverage.tables:
        yield "Table", table.table, table.state, table.rows, None
    for kind in coverage.kinds:
        many = KIND_NAMES[kind.kind][1]
        yield "Resources", many, "found", kind.found, None
        yield "Resources", many, "judged", kind.judged, None
        yield "Resources", many, "out of scope", kind.out_of_scope, None
    for subscription in coverage.subscriptions:
        yield "Subscription", subscription.id, subscription.state, subscription.vms, subscription.name
    for entry in coverage.excluded:
        examples = f"{entry.declared_in}: {', '.join(entry.examples)}"
        yield "Out of scope", entry.reason, None, entry.count, examples
    yield "Declared agents", "VMs whose agent was declared, not reported", None, coverage.declared_agents, None
    for assumption in coverage.assumptions:
        yield "Assumption", None, None, None, assumption
    for notice in coverage.notices:
        yield "Notice", None, None, None, notice
    for name, count in sorted(coverage.ignored_types.items()):
        yield "Ignored type", name, None, count, None


_EXEMPTIONS = (
    Column("Status", 16, state=True),
    Column("Exemption", 20),
    Column("Rule", 32),
    Column("Scope is", 16),
    Column("Scope", 60),
    Column("Category", 12),
    Column("Reason", 60, wrap=True),
    Column("Owner", 30),
    Column("Approver", 30),
    Column("Ticket", 14),
    Column("Created", 22),
    Column("Expires", 22),
    Column("Matched", 10),
    Column("Exempted", 10),
)


def _exemptions(report: Report) -> Iterator[Sequence[Value]]:
    order = get_args(ExemptionStatus)
    for entry in sorted(report.exemptions, key=lambda entry: order.index(entry.status)):
        yield (
            entry.status,
            entry.id,
            entry.rule,
            entry.scope_kind,
            entry.scope,
            entry.category,
            entry.reason,
            entry.owner,
            entry.approver,
            entry.ticket,
            entry.created,
            entry.expires,
            entry.matched,
            entry.exempted,
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())
