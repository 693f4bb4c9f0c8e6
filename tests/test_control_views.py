"""A report for one framework begins with its controls in every format, and says what is attested and what expired."""

import io
import json
from functools import cache
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from building import estate
from rich.console import Console
from test_attestations import GOOD, yaml_of

from auditor.assessment.model import Report
from auditor.cli.question import Flags, settle
from auditor.formats import as_html, as_json, as_markdown, as_ocsf, as_oscal, as_sarif
from auditor.formats.from_json import read_report
from auditor.formats.terminal import print_summary

TITLE = "NIST SP 800-53 Rev. 5"
OTHERS = ("ISO/IEC 27001", "iso-27001", "mcsb", "dora", "soc2", "BR-4", "A.8.13")
EXPIRED = {**GOOD, "control": "CP-4", "by": "Old Hand", "date": "2025-01-01", "expires": "2026-01-01"}
BESIDE = {**GOOD, "control": "CP-9", "by": "Else Where"}


@cache
def report_of_one() -> Report:
    built = estate().vm("web").item("web").vm("bare").vault().policy().whole()
    return built.audit(framework="nist-800-53", attestations=yaml_of(GOOD, EXPIRED, BESIDE)).report


def text_of(writer: ModuleType, report: Report) -> str:
    file = io.BytesIO()
    writer.write(report, file)
    return file.getvalue().decode()


def on_terminal(report: Report) -> str:
    file = io.StringIO()
    print_summary(report, Console(file=file, highlight=False, markup=False, emoji=False), [])
    return file.getvalue()


def test_the_page_leads_with_the_controls_and_names_the_framework() -> None:
    page = text_of(as_html, report_of_one())
    assert f"<title>Not compliant: {TITLE}, Azure VM backup audit</title>" in page
    assert f'<h1><span class="name">{TITLE}</span>, Azure VM backup audit</h1>' in page
    places = [page.index(f'id="{name}"') for name in ("first-screen", "by-framework", "by-rule", "findings")]
    assert places == sorted(places)
    held = sum(control.state == "holds" for control in report_of_one().frameworks[0].controls)
    assert f"<p>Controls: {held} of 25 hold" in page[: places[1]]
    assert "1 attested only" in page[: places[1]]
    assert page.count('id="by-framework"') == 1


def test_the_terminal_and_the_page_in_markdown_lead_with_them_too() -> None:
    said = on_terminal(report_of_one())
    assert said.index(f"{TITLE}: ") < said.index("CP-9(1)") < said.index("Looked at") < said.index("Rule ")
    page = text_of(as_markdown, report_of_one())
    assert page.startswith(f"# Azure VM backup for `{TITLE}`\n")
    assert page.index("## Controls of") < page.index("## What was looked at") < page.index("## Verdicts")
    assert "| `CP-9(1) Testing for Reliability and Integrity` | attested | 0 | 0 | 0 |" in page
    assert "| `CP-4 Contingency Plan Testing` | no evidence | 0 | 0 | 0 |" in page


@pytest.mark.parametrize("writer", [as_html, as_markdown, as_json, as_oscal, as_sarif, as_ocsf])
def test_other_frameworks_are_not_shown(writer: ModuleType) -> None:
    text = text_of(writer, report_of_one())
    assert [name for name in OTHERS if name in text.replace("mcsb-backup-recovery", "")] == []
    assert "CP-9" in text


def test_what_is_attested_is_told_with_who_and_until_when_and_whether_it_counts() -> None:
    for text in (on_terminal(report_of_one()), text_of(as_markdown, report_of_one())):
        assert "Attested (active) by Iris Ward, backup team, 2026-05-01 until 2026-11-01: Ten VMs were" in text
        assert "Attested (expired, does not count) by Old Hand, 2025-01-01 until 2026-01-01" in text
        assert "Attested (active) by Else Where" in text
    page = text_of(as_html, report_of_one())
    assert '<b class="status-active">Attested</b> (active) by Iris Ward' in page
    assert '<b class="status-expired">Attested, does not count</b> (expired) by Old Hand' in page


def test_without_a_framework_the_page_has_them_all_and_the_attestations() -> None:
    built = estate().vm("web").item("web").vault().policy().whole()
    page = text_of(as_html, built.audit(attestations=yaml_of(GOOD)).report)
    assert "<title>Compliant: Azure VM backup audit</title>" in page
    assert page.index('id="by-subscription"') < page.index('id="by-framework"')
    assert TITLE in page
    assert "ISO/IEC 27001" in page
    assert "Attested</b> (active) by Iris Ward" in page


def test_in_oscal_an_attestation_is_an_observation_and_satisfies_nothing() -> None:
    (result,) = json.loads(text_of(as_oscal, report_of_one()))["assessment-results"]["results"]
    observed = {entry["uuid"]: entry for entry in result["observations"]}
    findings = {
        next(prop["value"] for prop in finding["props"] if prop["name"] == "control"): finding
        for finding in result["findings"]
    }
    status = findings["CP-9(1)"]["target"]["status"]
    assert (status["state"], status["reason"]) == ("not-satisfied", "other")
    (related,) = findings["CP-9(1)"]["related-observations"]
    said = observed[related["observation-uuid"]]
    assert said["methods"] == ["UNKNOWN"]
    assert (said["collected"], said["expires"]) == ("2026-05-01T00:00:00Z", "2026-11-01T00:00:00Z")
    assert "Iris Ward" in said["description"]


def test_the_report_is_read_again_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text_of(as_json, report_of_one()), encoding="utf-8")
    assert read_report(tmp_path / "r.json") == report_of_one()


def test_hostile_texts_of_an_attestation_are_inert() -> None:
    hostile = {**GOOD, "by": "'<img src=x onerror=alert(1)>'", "evidence": "javascript:alert(1)|x"}
    framework = report_of_one().frameworks[0]
    entry = msgspec.structs.replace(
        report_of_one().frameworks[0].controls[0].attestations[0]
        if framework.controls[0].attestations
        else next(control.attestations[0] for control in framework.controls if control.attestations),
        by=hostile["by"],
        evidence=hostile["evidence"],
        statement="\x1b[31m::error::x\u202e",
    )
    controls = [msgspec.structs.replace(control, attestations=[entry]) for control in framework.controls]
    changed = msgspec.structs.replace(framework, controls=controls)
    report = msgspec.structs.replace(report_of_one(), frameworks=[changed])
    page = text_of(as_html, report)
    assert "<img src=x" not in page
    assert 'href="javascript:' not in page
    for text in (page, on_terminal(report), text_of(as_markdown, report)):
        assert "\x1b[31m" not in text
        assert "\u202e" not in text
    assert "::error::" not in on_terminal(report)
    rows = [line for line in text_of(as_markdown, report).splitlines() if line.startswith("| `CP-4 ")]
    assert [row.count("|") for row in rows] == [8]


def test_the_example_attestations_are_accepted(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "attestations.md").read_text(encoding="utf-8")
    (tmp_path / "a.yaml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    found = settle(Flags(attestations=tmp_path / "a.yaml")).attestations.entries
    assert {entry.control for entry in found} == {"CP-9(1)", "A.8.13"}
