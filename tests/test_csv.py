"""The CSV as others read it: all verdicts, each text found again, and no cell that is a formula."""

import csv
import io

import pytest
from building import estate
from effort import examples
from forging import TEXT, gated_reports
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from auditor.assessment.model import Report
from auditor.formats import as_csv
from auditor.text import visible

WORDS = {"p": "pass", "f": "fail", "u": "unknown", "n": "not-applicable"}
# What spreadsheets take for the start of a formula, as https://owasp.org/www-community/attacks/CSV_Injection has it.
TRIGGERS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
FORMULAS = st.builds(
    lambda space, start, rest: space + start + rest, st.sampled_from(["", " ", "\t", "'", '"']),
    st.sampled_from(TRIGGERS), TEXT,
)  # fmt: skip


@pytest.fixture(scope="module")
def base() -> Report:
    return estate().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db").audit().report


def rows_of(content: bytes) -> list[dict[str, str]]:
    """Read a CSV as Python does, strictly."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))


def original(cell: str) -> str:
    """Take away the apostrophe before what would be a formula, as docs/formats.md says."""
    rest = cell[1:]
    return rest if cell.startswith("'") and rest.lstrip().startswith(TRIGGERS) else cell


@settings(max_examples=examples(30), deadline=None)
@given(data=st.data())
def test_any_report_is_read_back_whole_and_without_a_formula(base: Report, data: st.DataObject) -> None:
    report = data.draw(gated_reports(base))
    file = io.BytesIO()
    as_csv.write(report, file)
    rows = rows_of(file.getvalue())
    found = {(finding.rule, finding.resource): finding for finding in report.findings}
    told = []
    for rule in report.rules:
        judged = [resource for resource in report.resources if resource.kind == rule.resource]
        for resource, letter in zip(judged, report.outcomes[rule.id], strict=True):
            finding = found.get((rule.id, resource.id))
            told.append(
                {
                    "rule": rule.id,
                    "outcome": WORDS[letter],
                    "severity": rule.severity,
                    "exempt": "true" if finding and finding.exempt else "false",
                    "resource_id": resource.id,
                    "name": resource.name,
                    "resource_group": resource.resource_group or "",
                    "message": finding.message if finding else "",
                    "observed": finding.observed if finding else "",
                }
            )
    assert [{name: original(row[name]) for name in told[0]} for row in rows] == [
        {name: original(visible(text)) for name, text in row.items()} for row in told
    ]
    assert_no_formula([cell for row in rows for cell in row.values()])


@given(text=FORMULAS)
@example(text="=HYPERLINK(1)")
@example(text="\t=1")
@example(text="\r=1")
@example(text="'=1")
@example(text=' "=1')
def test_no_text_is_a_formula_and_it_is_found_again(text: str) -> None:
    line = as_csv._cells(text, "end")
    ((cell, end),) = csv.reader(io.StringIO(f"{line}\r\n", newline=""), strict=True)
    assert end == "end"
    assert_no_formula([cell])
    assert original(cell) == original(visible(text))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1", "a=1", "", "\u00a0=1"])
def test_only_what_would_be_a_formula_has_an_apostrophe(text: str) -> None:
    assert as_csv.harmless(text) == (f"'{text}" if text.lstrip().startswith(TRIGGERS) else text)


def test_a_tab_and_a_line_end_are_written_out() -> None:
    assert as_csv.harmless("\t=1") == "\\u{0009}=1"
    assert as_csv.harmless("a\r\nb") == "a\\u{000D}\\u{000A}b"


def test_the_file_is_for_excel(base: Report) -> None:
    file = io.BytesIO()
    as_csv.write(base, file)
    content = file.getvalue()
    assert content.startswith(b"\xef\xbb\xbfrule,resource_id,outcome,severity,exempt,message,")
    assert content.count(b"\r\n") == content.count(b"\n") == 1 + sum(map(len, base.outcomes.values()))


def assert_no_formula(cells: list[str]) -> None:
    """Look at cells as OWASP does, and as a library that tells formulas from texts."""
    sheet = Workbook(write_only=False).create_sheet()
    for number, text in enumerate(cells, 1):
        assert not text.lstrip().startswith(TRIGGERS)
        assert sheet.cell(number, 1, text[:32_000]).data_type == "s"
    assert sheet.cell(len(cells) + 1, 1, "=1+1").data_type == "f"
