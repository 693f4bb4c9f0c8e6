"""The report in Markdown: what it says is found again by a parser, is inert, and fits."""

import io
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from building import estate
from effort import examples
from forging import TEXT, gated_reports
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from auditor.assessment.model import ExemptionInfo, GapInfo, Report
from auditor.atomic_file import append, check_appendable
from auditor.cli import summary as cli_summary
from auditor.errors import UsageError
from auditor.formats import as_markdown
from auditor.formats.markdown import inert, prose
from auditor.text import visible

# GitHub's dialect; what it makes links of by itself is looked for in what stands outside of code.
PARSER = MarkdownIt("gfm-like", {"linkify": False})
INERT = {
    "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "text", "code_inline",
    "strong_open", "strong_close", "softbreak", "bullet_list_open", "bullet_list_close", "list_item_open",
    "list_item_close", "table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close",
    "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close",
}  # fmt: skip


@pytest.fixture(scope="module")
def base() -> Report:
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    return built.audit().report


def page_of(report: Report) -> str:
    file = io.BytesIO()
    as_markdown.write(report, file)
    return file.getvalue().decode()


def tokens_of(page: str) -> list[Any]:
    return [part for token in PARSER.parse(page) for part in (token, *(token.children or ()))]


def tables_of(page: str) -> dict[str, list[list[str]]]:
    """Return the cells of each table under its heading, as a reader sees them."""
    tables: dict[str, list[list[str]]] = {}
    heading = ""
    tokens = PARSER.parse(page)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[number + 1].content
        elif token.type == "tbody_open":
            tables[heading] = []
        elif token.type == "tr_open" and heading in tables:
            tables[heading].append([])
        elif token.type == "td_open":
            shown = "".join(part.content for part in tokens[number + 1].children or ())
            tables[heading][-1].append(shown)
    return tables


def assert_inert(page: str) -> None:
    """Nothing in a page is a link, an image or HTML, and nothing outside of code is what a site could make one of."""
    tokens = tokens_of(page)
    assert {token.type for token in tokens} <= INERT
    outside = " ".join(token.content for token in tokens if token.type == "text")
    assert not re.search(r"[@#<>\[\]`]|://|www\.|\w\.\w|\bGH-", outside)
    assert not set(page) & set("\x00\x1b\u202e\u200b\ufeff\u2028\r")


def cell(text: str) -> str:
    """Say what a cell with a text looks like."""
    shown = visible(text).replace("|", "\\u{007C}")
    most = as_markdown.MOST_CHARACTERS
    shown = f"{shown[:most]}..." if len(shown) > most else shown
    return shown if shown.strip() else ""


def test_the_page_says_verdict_gate_coverage_and_worst_findings(base: Report) -> None:
    page = page_of(base)
    assert f"**Not compliant**: {base.summary.sentence}\n" in page
    assert "\n- Exit code 1: `violations of severity high or higher:" in page
    assert "\n- Looked at 2 VMs: 2 judged\n" in page
    tables = tables_of(page)
    findings = tables[f"Worst findings: {len(base.findings)} of {len(base.findings)}"]
    assert findings[0][:2] == ["fail", "critical"]
    assert tables["What was not read"]
    assert len(tables["By rule"]) == len(base.rules)


def test_a_baseline_comes_first_and_only_what_is_new_is_listed_there() -> None:
    flags: Any = {"select": ["vm-protected"]}
    built = estate().vm("old").whole()
    first = built.audit(**flags).report
    page = page_of(built.vm("new").audit(**flags, baseline=first).report)
    assert "\n- 1 new, 1 unchanged, 0 fixed\n- Resources: 1 appeared, 0 gone\n" in page
    assert page.index("## What changed since") < page.index("## Verdicts")
    assert [row[3] for row in tables_of(page)["New: 1 of 1"]] == ["new (rg)"]


def test_exemptions_to_decide_about_are_listed_what_is_over_first(base: Report) -> None:
    entry = ExemptionInfo(
        id="EX-1", rule="vm-protected", scope_kind="id", scope="/x", category="waiver", reason="r", owner="Ada",
        approver="Bob", ticket="T", created=None, expires="2026-07-01", status="expiring", matched=1, exempted=1,
    )  # fmt: skip
    entries = [entry] + [
        msgspec.structs.replace(entry, id=f"EX-{status}", status=status) for status in ("active", "expired", "not-yet")
    ]
    page = page_of(msgspec.structs.replace(base, exemptions=entries))
    rows = tables_of(page)["Exemptions to decide about"]
    assert [row[:5] for row in rows] == [
        ["expired", "EX-expired", "vm-protected", "Ada", "2026-07-01"],
        ["expiring", "EX-1", "vm-protected", "Ada", "2026-07-01"],
    ]


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_any_report_is_inert_and_found_again(base: Report, data: st.DataObject) -> None:
    report = data.draw(gated_reports(base))
    page = page_of(report)
    assert_inert(page)
    tables = tables_of(page)
    names = {resource.id: f"{resource.name} ({resource.resource_group or 'no group'})" for resource in report.resources}
    findings = [
        [
            finding.outcome + (", exempt" if finding.exempt else ""),
            finding.severity,
            cell(finding.rule),
            cell(names[finding.resource]),
            cell(finding.message),
        ]
        for finding in report.findings
    ]
    assert tables.get(f"Worst findings: {len(findings)} of {len(findings)}", []) == findings
    gaps = list(dict.fromkeys((gap.table, gap.cause, gap.hint) for gap in report.gaps))
    assert tables.get("What was not read", []) == [[cell(text) for text in gap] for gap in gaps]
    assert {row[0]: row[2:4] for row in tables["By rule"]} == {
        rule.id: [str(rule.counts.fail), str(rule.counts.unknown)] for rule in report.rules
    }


@given(text=st.one_of(TEXT, st.text("`|\\ a", max_size=12)))
@example(text="`")
@example(text=" a ")
@example(text="\\")
@example(text="a|b")
def test_any_text_is_a_cell_of_its_own(text: str) -> None:
    (rows,) = tables_of(f"| a | b |\n|---|---|\n| {inert(text)} | {inert(text)} |\n").values()
    shown = visible(text).replace("|", "\\u{007C}")
    assert rows == [[shown if shown.strip() else ""] * 2]


@given(text=TEXT)
@example(text="38 of 335 verdicts fail (11 critical, 15 high; 1 exempt) and 2 are unknown, on 1 VM.")
@example(text="see www.example.com.")
@example(text="@everyone")
@example(text="1. x")
@example(text="![x](y)")
def test_a_sentence_is_left_alone_only_when_it_is_harmless(text: str) -> None:
    line = f"**Compliant**: {prose(text, 300)}"
    assert_inert(line)
    assert "".join(token.content for token in PARSER.parse(line)[1].children or ()).strip() == (
        f"Compliant: {visible(text).replace('|', chr(92) + 'u{007C}')}".strip() if text.strip() else "Compliant:"
    )


def test_a_page_is_shortened_until_it_fits_and_says_so(base: Report) -> None:
    gaps = [GapInfo(table="x", scope="", kind="refused", cause=f"{n}" + "\u00e9" * 400, hint="") for n in range(60)]
    report = msgspec.structs.replace(base, gaps=gaps)
    whole = as_markdown.page(report)
    assert b"Shortened" not in whole
    for most in (len(whole) - 1, 12_000):
        page = as_markdown.page(report, most)
        assert len(page) <= most
        assert b"Shortened to " in page
    least = as_markdown.page(report, 2_000)
    assert len(least) <= 2_000
    assert b"There was no room for more" in least
    assert b"- Not read: 60 gaps" in least


def test_the_shortest_page_fits_whatever_a_report_says(base: Report) -> None:
    evil = "\U0001f600" * 5_000
    summary = msgspec.structs.replace(
        base.summary, sentence=evil, gate=msgspec.structs.replace(base.summary.gate, reasons=[evil])
    )
    options = msgspec.structs.replace(base.options, organisation=evil)
    report = msgspec.structs.replace(base, summary=summary, options=options, as_of=evil, run_id=evil)
    assert len(as_markdown.page(report, 0)) <= as_markdown.LEAST_BYTES


def test_a_summary_is_added_to_what_is_there(base: Report, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    assert cli_summary.add_summary(base, path) == [str(path)]
    first = path.read_bytes()
    assert first == as_markdown.page(base)
    path.write_bytes(b"# Before")
    cli_summary.add_summary(base, path)
    assert path.read_bytes() == b"# Before\n\n" + first


def test_a_summary_has_at_most_a_mebibyte_whatever_was_there(base: Report, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    gaps = [GapInfo(table="x", scope="", kind="refused", cause=f"{n}" + "\u00e9" * 400, hint="") for n in range(60)]
    report = msgspec.structs.replace(base, gaps=gaps)
    path.write_bytes(b"x" * (1_048_576 - as_markdown.LEAST_BYTES - 2))
    cli_summary.check_summary(path)
    cli_summary.add_summary(report, path)
    assert path.stat().st_size <= 1_048_576
    assert b"Shortened to " in path.read_bytes()
    held = path.read_bytes()
    with pytest.raises(UsageError, match="it holds 1,04"):
        cli_summary.check_summary(path)
    assert path.read_bytes() == held


def test_what_cannot_be_added_to_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder"):
        check_appendable(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        check_appendable(tmp_path / "not" / "there.md")
    assert check_appendable(tmp_path / "new.md") == 0
    assert not (tmp_path / "new.md").exists()


def test_what_was_there_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.md"
    path.write_bytes(b"before\n")

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("auditor.atomic_file.os.fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        append(path, b"after\n")
    assert path.read_bytes() == b"before\n"
