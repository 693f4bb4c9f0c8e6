"""JUnit XML: red exactly where the gate is, every verdict a case, and well-formed whatever resources are called."""

import io
from collections import Counter
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from building import OTHER_SUBSCRIPTION, estate, group_id, plain, vm_id
from effort import examples
from forging import gated_reports
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.assessment.model import Report
from auditor.formats import as_junit
from auditor.text import visible

EXEMPTIONS = f"""
- id: EX-1
  rule: vm-protected
  scope: {{resource_group: {group_id()}}}
  category: waiver
  reason: It goes away
  owner: Ada
  approver: Bob
  ticket: T-1
  created: 2026-06-01T00:00:00Z
  expires: 2026-07-01T00:00:00Z
"""


def suites_of(report: Report) -> dict[str, Any]:
    """Return the suites by name, after looking whether they count what they hold."""
    file = io.BytesIO()
    as_junit.write(report, file)
    root = ET.fromstring(file.getvalue())  # noqa: S314 -- our own
    for suite in root:
        held = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(held)
        for mark, counted in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.attrib[counted]) == len(suite.findall(f"testcase/{mark}"))
        assert all(len(case) <= 1 and case.attrib["classname"] == suite.attrib["name"] for case in held)
    return {suite.attrib["name"].removeprefix("azure-vm-backup."): suite for suite in root}


def cases_of(report: Report, rule: str) -> dict[str, Any]:
    """Return by name what a rule's cases hold: a mark, or ``None`` where the case passed."""
    cases = suites_of(report)[rule].findall("testcase")
    assert len({case.attrib["name"] for case in cases}) == len(cases)
    return {case.attrib["name"]: case[0] if len(case) else None for case in cases}


def red(report: Report) -> Counter[str]:
    """Count what a CI system shows red."""
    suites = suites_of(report).values()
    return Counter(mark.tag for suite in suites for mark in suite.iterfind("testcase/*") if mark.tag != "skipped")


def built(**flags: Any) -> Report:
    """Audit a VM that is protected, one that is not, and one whose agent is not known."""
    estate_ = estate().vault().policy().vm("web").item("web").vm("db").vm("x", osProfile=None).item("x").whole()
    return estate_.audit(select=["vm-protected,vm-agent-installed"], **flags).report


def test_a_violation_is_a_failure_with_its_evidence() -> None:
    cases = cases_of(built(), "vm-protected")
    assert cases["web (rg)"] is None
    found = cases["db (rg)"]
    assert (found.tag, found.attrib["type"]) == ("failure", "critical")
    assert found.attrib["message"] == "Not backed up: there is no backup item for this VM."
    assert f"  resource: {vm_id('db')}\n  expected: item.state in protected" in found.text
    assert "\n  item.state: " in found.text
    assert suites_of(built())["vm-protected"].find("properties/property[@name='what to do']").attrib["value"]


def test_an_unknown_verdict_is_skipped_unless_the_gate_counts_it() -> None:
    found = cases_of(built(), "vm-agent-installed")["x (rg)"]
    assert found.tag == "skipped"
    assert found.attrib["message"].startswith("unknown, not known: the gate counts it with --strict only")
    assert cases_of(built(strict=True), "vm-agent-installed")["x (rg)"].tag == "error"


def test_an_exempt_violation_is_skipped_and_says_who_why_and_until() -> None:
    found = cases_of(built(exemptions=EXEMPTIONS), "vm-protected")["db (rg)"]
    assert (found.tag, found.attrib["type"]) == ("skipped", "exempt")
    for said in ("It goes away", "Ada", "T-1", "2026-07-01"):
        assert said in found.attrib["message"]


@pytest.mark.parametrize(
    ("fail_on", "said"),
    [("never", "fail, the gate is off (--fail-on never)"), ("critical", "fail, of severity high: the gate fails from")],
)
def test_a_violation_that_the_gate_does_not_count_is_skipped_and_says_so(fail_on: str, said: str) -> None:
    report = estate().vault("v", "LocallyRedundant").whole().audit(
        select=["vault-redundancy-matches-intent"], fail_on=fail_on
    ).report  # fmt: skip
    assert report.summary.gate.exit_code == 0
    found = cases_of(report, "vault-redundancy-matches-intent")["v (rg)"]
    assert found.tag == "skipped"
    assert found.attrib["message"].startswith(said)


def test_what_the_baseline_knows_is_skipped_where_only_new_violations_count() -> None:
    flags = {"select": ["vm-protected"], "fail_on": "new:high"}
    old = estate().vm("db").vault().policy().item("web").whole()
    first = old.audit(**flags).report
    report = old.vm("new").audit(**flags, baseline=first).report
    cases = cases_of(report, "vm-protected")
    assert (cases["db (rg)"].tag, cases["new (rg)"].tag) == ("skipped", "failure")
    assert "the baseline" in cases["db (rg)"].attrib["message"]
    assert report.summary.gate.exit_code == 1


def test_a_gap_for_which_the_gate_cannot_conclude_is_an_error() -> None:
    report = estate().vm("web").item("web").audit(select=["vm-protected,vault-soft-delete"]).report
    assert report.summary.gate.exit_code == 3
    cases = cases_of(report, "inventory")
    assert {mark.tag for mark in cases.values()} == {"error", "skipped"}
    errors = [mark.attrib["message"] for mark in cases.values() if mark.tag == "error"]
    assert all(any(reason in message for message in errors) for reason in report.summary.gate.reasons)


def test_a_rule_without_a_conclusion_is_red() -> None:
    report = estate().vm("x", osProfile=None).whole().audit(select=["vm-agent-installed"], complete=["backup_jobs"])
    assert report.report.summary.gate.exit_code == 3
    assert cases_of(report.report, "vm-agent-installed")["x (rg)"].tag == "error"
    messages = [mark.attrib["message"] for mark in cases_of(report.report, "inventory").values() if mark is not None]
    assert any("came to no conclusion" in message for message in messages)


def test_an_empty_estate_is_red_and_a_whole_one_has_a_case_that_says_so() -> None:
    assert red(estate().audit().report)["error"] > 0
    whole = estate().vault().policy().vm("web").item("web").whole().audit(select=["vm-protected"]).report
    assert cases_of(whole, "inventory") == {"nothing that was asked for is known to be missing": None}
    assert not red(whole)


def test_vms_of_the_same_name_and_group_are_told_apart_by_id() -> None:
    other = vm_id("web", subscription=OTHER_SUBSCRIPTION)
    report = estate().vm("web").vm("web", id=other).whole().audit(select=["vm-protected"]).report
    assert {vm_id("web"), other} <= cases_of(report, "vm-protected").keys()


def test_a_large_estate_has_a_case_for_each_rule_and_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_junit, "MOST_CASES", 3)
    other = vm_id("web", subscription=OTHER_SUBSCRIPTION)
    built_ = estate().vault().policy().vm("web").item("web").vm("a").vm("b").vm("web", id=other).whole()
    report = built_.audit(select=["vm-protected"]).report
    cases = cases_of(report, "vm-protected")
    assert len(cases) == 2
    (found,) = (mark for name, mark in cases.items() if vm_id("x").split("/")[2] in name)
    assert found.tag == "failure"
    assert found.attrib["message"].startswith("2 fail, such as: Not backed up")
    assert vm_id("a") in found.text
    assert vm_id("b") in found.text
    (said,) = suites_of(report)["inventory"].findall("properties/property[@name='cases']")
    assert said.attrib["value"] == "one for each rule and subscription, because 4 verdicts are too many"


def test_a_subscription_with_an_exempt_or_unknown_verdict_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_junit, "MOST_CASES", 1)
    report = built(exemptions=EXEMPTIONS)
    assert report.summary.counts.passed
    for rule, said in (("vm-protected", "1 fail, exempt: It goes away"), ("vm-agent-installed", "unknown, not known")):
        (found,) = cases_of(report, rule).values()
        assert found.tag == "skipped"
        assert said in f"1 {found.attrib['message']}"


def test_a_file_stays_within_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    report = built()
    counts = report.summary.counts
    monkeypatch.setattr(as_junit, "MOST_OBJECTS", 7 * counts.total - 3 * counts.passed)
    assert len(cases_of(report, "vm-protected")) == 3
    monkeypatch.setattr(as_junit, "MOST_OBJECTS", as_junit.MOST_OBJECTS - 1)
    assert len(cases_of(report, "vm-protected")) == 1


def test_the_evidence_is_that_of_the_worst_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_junit, "MOST_EVIDENCE", 1)
    texts = [mark.text for suite in suites_of(built()).values() for mark in suite.iterfind("testcase/*") if mark.text]
    assert len(texts) == 2
    assert ["expected: " in text for text in texts].count(True) == 1


@settings(max_examples=examples(30), deadline=None)
@given(data=st.data(), most=st.sampled_from([0, 50_000]))
def test_any_report_is_red_exactly_where_its_gate_is(base: Report, data: st.DataObject, most: int) -> None:
    report = data.draw(gated_reports(base))
    limit = as_junit.MOST_CASES
    as_junit.MOST_CASES = most
    try:
        suites = suites_of(report)
        shown = red(report)
        assert bool(shown) == (report.summary.gate.exit_code in (1, 3))
        assert bool(shown["failure"]) == (report.summary.gate.exit_code == 1)
        for suite in suites.values():
            names = [case.attrib["name"] for case in suite.iterfind("testcase")]
            assert len(set(names)) == len(names)
        if most:
            assert [told(mark) for rule in report.rules for mark in cases_of(report, rule.id).values()] == [
                letter for rule in report.rules for letter in report.outcomes[rule.id]
            ]
            for finding in report.findings:
                text = "".join(suites[finding.rule].itertext())
                assert visible(finding.message) in text
                assert visible(finding.resource) in text
    finally:
        as_junit.MOST_CASES = limit


def told(mark: Any) -> str:
    """Return the letter of the verdict that a case tells."""
    if mark is None:
        return "p"
    return "n" if mark.attrib["type"] == "not-applicable" else mark.text[0]


@pytest.fixture(scope="module")
def base() -> Report:
    return estate().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db").audit().report


def test_the_same_report_gives_the_same_bytes(base: Report) -> None:
    again = msgspec.convert(plain(base), Report)
    files = [io.BytesIO(), io.BytesIO()]
    for file, report in zip(files, (base, again), strict=True):
        as_junit.write(report, file)
    assert files[0].getvalue() == files[1].getvalue()
