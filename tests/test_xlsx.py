"""The workbook: every cell is what the report says, a text or a number, and nothing in it is a formula or a link."""

import importlib
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import openpyxl
import pytest
from building import estate
from effort import examples
from forging import reports
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.utils import get_column_letter
from test_command import EXAMPLE, assert_one_error, run
from test_hostile_text import FORBIDDEN, HOSTILE, forged

from auditor.assessment.evidence import show
from auditor.assessment.model import Report
from auditor.estate.fields import KIND_NAMES
from auditor.formats import as_xlsx, writer_for
from auditor.formats.as_xlsx import MOST_CHARACTERS, cell
from auditor.formats.control_words import attestation_words
from auditor.formats.explore_data import exemption_words
from auditor.gate import Counts
from auditor.text import visible

Rows = list[tuple[Any, ...]]
SHEETS = ["Summary", "Findings", "Rules", "Controls", "Coverage", "Exemptions"]


@pytest.fixture(scope="module")
def mixed() -> Report:
    """Audit an estate with a pass, a fail, an unknown, a gap, exemptions, exclusions and a baseline."""
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    built.vm("node", tags={"pool": "x"})
    scope = "{subscription: /subscriptions/11111111-1111-1111-1111-111111111111}"
    rest = "owner: o@example.com, category: waiver, reason: Built again"
    exemptions = (
        f"- {{id: EX-1, rule: vm-protected, scope: {scope}, expires: 2026-09-01T00:00:00Z, {rest}}}\n"
        f"- {{id: EX-2, rule: vm-agent-installed, scope: {scope}, expires: 2026-06-01T00:00:00Z, {rest}}}\n"
    )
    config = "scope:\n  exclude:\n    - {reason: A node, field: vm.name, equals: node}\n"
    earlier = built.audit(exemptions=exemptions, config=config).report
    return built.audit(exemptions=exemptions, config=config, baseline=earlier).report


def bytes_of(report: Report) -> bytes:
    file = io.BytesIO()
    as_xlsx.write(report, file)
    return file.getvalue()


def sheets_of(data: bytes) -> dict[str, Rows]:
    """Read all cells, and make sure that each is a text or a number."""
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    found: dict[str, Rows] = {}
    for sheet in book.worksheets:
        rows = list(sheet.iter_rows())
        assert {part.data_type for row in rows for part in row} <= {"s", "n", "inlineStr"}
        found[sheet.title] = [tuple(part.value for part in row) for row in rows]
    book.close()
    return found


def said(value: object) -> str | int | None:
    """Return what a cell must hold."""
    return value if isinstance(value, int) else cell(str(value or "")) or None


def counted(counts: Counts) -> tuple[int, ...]:
    return (
        counts.fail, counts.unknown, counts.passed, counts.not_applicable, counts.exempt, counts.exempt_unknown
    )  # fmt: skip


def expected_findings(report: Report) -> Rows:
    kinds = {rule.id: rule.resource for rule in report.rules}
    resources = {(resource.kind, resource.id): resource for resource in report.resources}
    found: list[dict[str, str | None]] = []
    for finding in report.findings:
        resource = resources[kinds[finding.rule], finding.resource]
        found.append(
            {
                "Outcome": finding.outcome,
                "Severity": finding.severity,
                "Exempt": "yes" if finding.exempt else "no",
                "Baseline": finding.baseline,
                "Rule": finding.rule,
                "Resource": resource.name,
                "Message": finding.message,
                "Expected": finding.expected,
                "Observed": finding.observed,
                "Exemption": exemption_words(finding.exemption) if finding.exemption else "",
                "Kind": KIND_NAMES[resource.kind][0],
                "Subscription": resource.subscription,
                "Resource group": resource.resource_group,
                "Location": resource.location,
                "Resource id": resource.id,
                "Source": resource.source,
                "Fingerprint": finding.fingerprint,
            }
        )
    return table(found) or [tuple(column.title for column in as_xlsx._FINDINGS)]


def table(rows: list[dict[str, str | None]]) -> Rows:
    return [tuple(rows[0]), *(tuple(map(said, row.values())) for row in rows)] if rows else []


def expected_rules(report: Report) -> Rows:
    return [
        tuple(map(said, (
            rule.id, rule.title, rule.severity, KIND_NAMES[rule.resource][0], *counted(rule.counts),
            ", ".join(f"{name} = {show(value)}" for name, value in sorted(rule.parameters.items())).replace(
                "(not known)", "not set"
            ),
            "; ".join(f"{name} {', '.join(ids)}" for name, ids in sorted(rule.controls.items())),
            " ".join(rule.rationale.split()), " ".join(rule.fix.split()), rule.file, rule.sha256,
        )))
        for rule in report.rules
    ]  # fmt: skip


def expected_controls(report: Report) -> Rows:
    return [
        tuple(map(said, (
            framework.title, control.id, control.title, control.state, *counted(control.counts),
            ", ".join(control.rules), control.note, " ".join(map(attestation_words, control.attestations)),
        )))
        for framework in report.frameworks
        for control in framework.controls
    ]  # fmt: skip


def expected_exemptions(report: Report) -> Rows:
    return sorted(
        tuple(map(said, (
            entry.status, entry.id, entry.rule, entry.scope_kind, entry.scope, entry.category, entry.reason,
            entry.owner, entry.approver, entry.ticket, entry.created, entry.expires, entry.matched, entry.exempted,
        )))
        for entry in report.exemptions
    )  # fmt: skip


def expected_coverage(report: Report) -> Rows:
    coverage = report.coverage
    rows: list[tuple[str | int | None, ...]] = [
        ("Gap", gap.table, gap.kind, None, " ".join(part for part in (gap.scope, gap.cause, gap.hint) if part))
        for gap in report.gaps
    ]
    rows += [("Table", entry.table, entry.state, entry.rows, None) for entry in coverage.tables]
    rows += [
        ("Resources", KIND_NAMES[entry.kind][1], state, count, None)
        for entry in coverage.kinds
        for state, count in (("found", entry.found), ("judged", entry.judged), ("out of scope", entry.out_of_scope))
    ]
    rows += [("Subscription", entry.id, entry.state, entry.vms, entry.name) for entry in coverage.subscriptions]
    rows += [
        ("Out of scope", entry.reason, None, entry.count, f"{entry.declared_in}: {', '.join(entry.examples)}")
        for entry in coverage.excluded
    ]
    rows += [("Declared agents", "VMs whose agent was declared, not reported", None, coverage.declared_agents, None)]
    rows += [("Assumption", None, None, None, text) for text in coverage.assumptions]
    rows += [("Notice", None, None, None, text) for text in coverage.notices]
    rows += [("Ignored type", name, None, count, None) for name, count in sorted(coverage.ignored_types.items())]
    return [tuple(map(said, row)) for row in rows]


def assert_whole(report: Report, sheets: dict[str, Rows]) -> None:
    """Compare all cells with the report."""
    assert list(sheets) == SHEETS
    assert sheets["Findings"] == expected_findings(report)
    assert sheets["Rules"][1:] == expected_rules(report)
    assert sheets["Controls"][1:] == expected_controls(report)
    assert sheets["Coverage"][1:] == expected_coverage(report)
    assert sorted(sheets["Exemptions"][1:]) == expected_exemptions(report)
    summary: dict[str, Any] = dict(sheets["Summary"])
    assert summary["Verdict"] == report.summary.verdict
    assert summary["In words"] == said(report.summary.sentence)
    assert summary["Exit code"] == report.summary.gate.exit_code
    assert [value for what, value in sheets["Summary"] if what == "Reason of the exit code"] == [
        said(reason) for reason in report.summary.gate.reasons
    ]
    words = ("fail", "unknown", "pass", "not applicable", "exempt fail", "exempt unknown")
    assert tuple(summary[f"Verdicts: {word}"] for word in words) == counted(report.summary.counts)
    assert summary["Gaps: what could not be read"] == len(report.gaps)
    assert summary["Findings in this workbook"] == len(report.findings)
    assert summary["Findings left out of it"] == 0
    assert summary["SHA-256 of the report's content"] == report.content_sha256
    assert [value for what, value in sheets["Summary"] if what.startswith("File that was read")] == [
        said(f"{source.name}: {source.sha256}") for source in report.inventory.sources
    ]


def assert_inert(data: bytes) -> None:
    """Look into the XML itself: no formula, no link, no script, nothing from elsewhere, no hostile character."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert not [name for name in archive.namelist() if re.search("vba|externalLink|embed|media|Macro", name)]
        for name in archive.namelist():
            text = archive.read(name).decode()
            tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}  # noqa: S314 -- our own
            assert not tags & {"f", "hyperlink", "hyperlinks", "externalReference", "drawing", "oleObject", "r", "rPr"}
            assert 'TargetMode="External"' not in text
            assert not set(text) & (FORBIDDEN - set("\r\n"))


def test_every_cell_is_what_the_report_says(mixed: Report) -> None:
    data = bytes_of(mixed)
    assert_whole(mixed, sheets_of(data))
    assert_inert(data)
    assert mixed.coverage.excluded
    assert {finding.exempt for finding in mixed.findings} == {True, False}
    assert {finding.baseline for finding in mixed.findings} == {"unchanged"}
    summary: dict[str, Any] = dict(sheets_of(data)["Summary"])
    assert (summary["Unchanged since the baseline"], summary["Organisation"]) == (len(mixed.findings), None)


@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_any_report_is_a_workbook_that_says_what_it_says(mixed: Report, data: st.DataObject) -> None:
    report = data.draw(reports(mixed))
    written = bytes_of(report)
    assert_whole(report, sheets_of(written))
    assert_inert(written)


@settings(max_examples=examples(8), deadline=None)
@given(evil=st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=5)), max_size=3).map("".join))
def test_no_text_anywhere_becomes_anything_but_a_text(mixed: Report, evil: str) -> None:
    findings = [msgspec.structs.replace(finding, baseline=None) for finding in mixed.findings]
    report = forged(msgspec.structs.replace(mixed, findings=findings, baseline=None), evil)
    written = bytes_of(report)
    assert_whole(report, sheets_of(written))
    assert_inert(written)


TRAPS = [
    "=1+1", '=HYPERLINK("https://evil.example")', "@SUM(A1)", "+1", "-1", "{=1}", "https://evil.example",
    "mailto:a@b.example", "file:///etc/passwd", "internal:Rules!A1", "1e5", "007", "TRUE", "2026-01-01", "#REF!",
    "<r><t>x</t></r>", "<r></r>", "<r><f>1+1</f></r>", "_x0041_", "_x001B_", "_x005F_x0041_", " x ", "  ", "\t",
    "]]>", "&amp;", "\u0000", "'",
]  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_a_text_stays_the_text_it_is(mixed: Report, trap: str) -> None:
    finding = msgspec.structs.replace(mixed.findings[0], message=trap)
    report = msgspec.structs.replace(mixed, findings=[finding], baseline=None)
    written = bytes_of(report)
    assert_inert(written)
    (row,) = sheets_of(written)["Findings"][1:]
    shown = visible(trap)
    if shown.startswith("<r>"):
        shown = f"\\u{{003C}}{shown[1:]}"
    assert row[6] == re.sub("_(?=x[0-9A-F]{4}_)", r"\\u{005F}", shown)


@pytest.mark.parametrize("unit", ["a", "é", "\U0001f600", "&"])
def test_what_a_cell_cannot_hold_is_cut_and_says_so(mixed: Report, unit: str) -> None:
    units = len(unit.encode("utf-16-le")) // 2
    whole = unit * (MOST_CHARACTERS // units)
    assert cell(whole) == whole
    shown = cell(whole + unit)
    assert shown.endswith(f"{unit} ... (cut off)")
    assert MOST_CHARACTERS - 1 <= len(shown.encode("utf-16-le")) // 2 <= MOST_CHARACTERS
    finding = msgspec.structs.replace(mixed.findings[0], message=whole + unit, expected=whole)
    (row,) = sheets_of(bytes_of(msgspec.structs.replace(mixed, findings=[finding])))["Findings"][1:]
    assert row[6:8] == (shown, whole)


def test_findings_beyond_the_last_row_are_left_out_and_the_summary_says_so(
    mixed: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    worst = msgspec.structs.replace(mixed, findings=[mixed.findings[place % 4] for place in range(60)])
    monkeypatch.setattr(as_xlsx, "MOST_ROWS", 51)
    sheets = sheets_of(bytes_of(worst))
    assert sheets["Findings"] == expected_findings(worst)[:51]
    summary: dict[str, Any] = dict(sheets["Summary"])
    assert (summary["Findings in this workbook"], summary["Findings left out of it"]) == (50, 10)
    assert "report.json" in summary["Where the others are"]


def test_heads_stay_in_sight_and_can_be_filtered(mixed: Report) -> None:
    book = openpyxl.load_workbook(io.BytesIO(bytes_of(mixed)))
    for sheet in book.worksheets:
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref == sheet.dimensions
        assert all(part.font.bold for part in sheet[1])
        for place, part in enumerate(sheet[1], start=1):
            assert sheet.column_dimensions[get_column_letter(place)].width >= len(str(part.value))
    assert book["Rules"]["E2"].number_format == "#,##0"


def test_the_same_report_gives_the_same_bytes_wherever_and_whenever(
    mixed: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bytes_of(mixed)
    for zone in ("Asia/Tokyo", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert bytes_of(mixed) == first
    monkeypatch.undo()
    time.tzset()
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


@pytest.mark.parametrize(
    ("as_of", "created"),
    [
        ("2026-06-15T12:00:00Z", datetime(2026, 6, 15, 12)),  # noqa: DTZ001
        (None, datetime(1980, 1, 1)),  # noqa: DTZ001
        ("0001-01-01T00:00:00Z", datetime(1980, 1, 1)),  # noqa: DTZ001
        ("yesterday", datetime(1980, 1, 1)),  # noqa: DTZ001
    ],
)
def test_the_date_of_the_workbook_is_that_of_the_report(mixed: Report, as_of: str | None, created: datetime) -> None:
    report = msgspec.structs.replace(mixed, as_of=as_of)
    properties = openpyxl.load_workbook(io.BytesIO(bytes_of(report))).properties
    assert (properties.created, properties.modified) == (created, created)
    assert properties.title == "Azure VM backup: Not compliant"


def test_an_empty_estate_is_a_workbook_too() -> None:
    report = estate().audit().report
    sheets = sheets_of(bytes_of(report))
    assert sheets["Summary"][1] == ("Verdict", "Cannot conclude")
    assert len(sheets["Findings"]) == 1


def test_without_the_extra_it_is_one_line_before_the_work(tmp_path: Path) -> None:
    run("audit", *EXAMPLE, "-o", "r.json", folder=tmp_path)
    before = sorted(tmp_path.iterdir())
    for arguments in (["render", "r.json"], ["audit", *EXAMPLE]):
        words = [*arguments, "-o", "all.csv", "-o", "book.xlsx"]
        code = (
            "import sys; sys.modules['xlsxwriter'] = None; from auditor.cli.app import main; "
            f"sys.argv = {json.dumps(['auditor', *words])}; sys.exit(main())"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert_one_error(result, 2, "XlsxWriter is not installed", "pip install 'azure-backup-auditor[xlsx]'")
        assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["xlsx:book", "book.XLSX"])
def test_the_suffix_or_the_prefix_asks_for_it(name: str) -> None:
    writer, path = writer_for(name)
    assert (writer, path) == (importlib.import_module("auditor.formats.as_xlsx"), name.removeprefix("xlsx:"))
