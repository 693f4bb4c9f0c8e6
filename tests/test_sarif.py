"""SARIF: what code scanning may ask of it, and that it says what the report says."""

import hashlib
import io
import json
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest
from building import Json, estate, vm_id
from effort import examples
from forging import gated_reports
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_command import EXAMPLE, REPOSITORY, run

from auditor.assessment.model import Report
from auditor.bundled import bundled
from auditor.formats import as_sarif
from auditor.formats.as_sarif import LEVELS
from auditor.text import fold, visible


def written(report: Report) -> bytes:
    file = io.BytesIO()
    as_sarif.write(report, file)
    return file.getvalue()


def run_of(report: Report) -> Json:
    document = json.loads(written(report))
    assert (document["version"], len(document["runs"])) == ("2.1.0", 1)
    found: Json = document["runs"][0]
    return found


@pytest.fixture(scope="module")
def mixed() -> Report:
    """Audit an estate with a pass, a fail, an unknown and a gap."""
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    return built.audit().report


def test_each_finding_is_a_result_at_its_rule_about_its_resource(mixed: Report) -> None:
    results = run_of(mixed)["results"]
    assert len(results) == len(mixed.findings)
    for result, finding in zip(results, mixed.findings, strict=True):
        (location,) = result["locations"]
        (logical,) = location["logicalLocations"]
        assert (logical["fullyQualifiedName"], logical["kind"]) == (finding.resource, "resource")
        physical = location["physicalLocation"]
        assert physical["artifactLocation"]["uri"] == f"rules/{finding.rule}.yaml"
        region = physical["region"]
        source = (bundled("rules") / f"{finding.rule}.yaml").read_text(encoding="utf-8").splitlines()
        line = source[region["startLine"] - 1]
        assert region["startLine"] == region["endLine"]
        assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == f"id: {finding.rule}"
        digest = hashlib.sha256(f"{finding.rule}\n{fold(finding.resource)}".encode()).hexdigest()[:32]
        assert result["partialFingerprints"] == {"primaryLocationLineHash": f"{digest}:1"}
        assert result["fingerprints"] == {"auditor/v1": digest}
        assert finding.message in result["message"]["text"]


def test_results_of_one_rule_are_told_apart_by_their_resource() -> None:
    built = estate().vault().policy()
    for number in range(20):
        built.vm(f"vm-{number}")
    results = run_of(built.whole().audit(select=["vm-protected"]).report)["results"]
    assert len(results) == 20
    assert len({json.dumps(result["locations"][0]["physicalLocation"]) for result in results}) == 1
    assert len({result["partialFingerprints"]["primaryLocationLineHash"] for result in results}) == 20


def test_the_spelling_of_an_id_changes_no_fingerprint() -> None:
    one = estate().vm("web").whole().audit(select=["vm-protected"]).report
    other = estate().vm("web", id=vm_id("WEB")).whole().audit(select=["vm-protected"]).report
    prints = [[result["partialFingerprints"] for result in run_of(report)["results"]] for report in (one, other)]
    assert prints[0] == prints[1] != []


def test_an_unknown_verdict_is_for_review_and_has_no_level(mixed: Report) -> None:
    rules = {rule.id: rule for rule in mixed.rules}
    outcomes = set()
    for result in run_of(mixed)["results"]:
        outcome = result["properties"]["outcome"]
        outcomes.add(outcome)
        level = LEVELS[rules[result["ruleId"]].severity]
        assert (result["kind"], result["level"]) == (("review", "none") if outcome == "unknown" else ("fail", level))
    assert outcomes == {"fail", "unknown"}


def test_gaps_and_reasons_are_notifications_and_no_successful_run_hides_them(mixed: Report) -> None:
    (invocation,) = run_of(mixed)["invocations"]
    said = [entry["message"]["text"] for entry in invocation["toolExecutionNotifications"]]
    for gap in mixed.gaps:
        assert any(gap.cause in text for text in said)
    assert invocation["exitCode"] == mixed.summary.gate.exit_code == 1
    assert invocation["executionSuccessful"] is True
    (invocation,) = run_of(estate().audit().report)["invocations"]
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (3, False)
    assert invocation["toolExecutionNotifications"][0]["level"] == "error"
    assert "nothing was found to judge" in invocation["exitCodeDescription"]


def test_with_the_gate_off_an_estate_without_evidence_is_still_no_success() -> None:
    report = estate().audit(fail_on="never").report
    (invocation,) = run_of(report)["invocations"]
    assert (invocation["exitCode"], invocation["executionSuccessful"]) == (0, False)


def test_exempt_findings_are_suppressed_come_last_and_say_who_answers(tmp_path: Path) -> None:
    exemptions = ["--exemptions", str(REPOSITORY / "examples" / "exemptions.yaml")]
    run("audit", *EXAMPLE, *exemptions, "-o", "r.sarif", "-o", "r.json", folder=tmp_path)
    results = json.loads((tmp_path / "r.sarif").read_bytes())["runs"][0]["results"]
    report = msgspec.json.decode((tmp_path / "r.json").read_bytes(), type=Report)
    exempt = [finding for finding in report.findings if finding.exempt]
    assert len(exempt) == 3
    assert ["suppressions" in result for result in results] == [False] * (len(results) - 3) + [True] * 3
    for result, finding in zip(results[-3:], exempt, strict=True):
        (suppression,) = result["suppressions"]
        assert (suppression["kind"], suppression["status"]) == ("external", "accepted")
        assert finding.exemption is not None
        for word in (finding.exemption.owner, finding.exemption.ticket, finding.exemption.expires):
            assert word in suppression["justification"]


def test_a_baseline_marks_every_result_and_adds_none() -> None:
    before = estate().vault().vm("web").vm("db").whole().audit().report
    after = estate().vault().vm("web").vm("new").whole().audit(baseline=before).report
    assert after.baseline is not None
    found = run_of(after)
    states = [result["baselineState"] for result in found["results"]]
    assert (states.count("new"), states.count("unchanged")) == (after.baseline.new, after.baseline.unchanged)
    assert {"new", "unchanged"} == set(states)
    assert found["baselineGuid"] == run_of(before)["automationDetails"]["guid"] != found["automationDetails"]["guid"]
    assert "baselineGuid" not in run_of(before)


def test_the_category_is_the_organisation_and_the_run_comes_after_the_last_slash(mixed: Report) -> None:
    def category(organisation: str) -> str:
        options = msgspec.structs.replace(mixed.options, organisation=organisation)
        found: str = run_of(msgspec.structs.replace(mixed, options=options))["automationDetails"]["id"]
        assert found.endswith(f"/{mixed.run_id}")
        return found.rsplit("/", 1)[0]

    assert category("") == "azure-vm-backup/estate"
    assert category("A/B") == "azure-vm-backup/A-B"


def test_rules_stay_within_the_limits_of_code_scanning(mixed: Report) -> None:
    long = msgspec.structs.replace(
        mixed.rules[0],
        id="x" * 300,
        title="t" * 2_000,
        rationale="r" * 2_000,
        controls={"f": [str(number) for number in range(40)]},
    )
    report = msgspec.structs.replace(mixed, rules=[long, *mixed.rules], findings=[])
    for rule in run_of(report)["tool"]["driver"]["rules"]:
        assert len(rule["name"]) <= 255
        assert len(rule["shortDescription"]["text"]) <= 1_024
        assert len(rule["fullDescription"]["text"]) <= 1_024
        assert 0 < len(rule["properties"]["tags"]) <= 10
        assert rule["help"]["text"]
        assert rule["help"]["markdown"]
        assert 0 < float(rule["properties"]["security-severity"]) <= 10


def test_severities_are_those_that_code_scanning_shows(mixed: Report) -> None:
    names = {"critical": (9.1, 10.1), "high": (7, 9), "medium": (4, 7), "low": (0.1, 4)}
    for rule, shown in zip(mixed.rules, run_of(mixed)["tool"]["driver"]["rules"], strict=True):
        least, below = names[rule.severity]
        assert least <= float(shown["properties"]["security-severity"]) < below
        assert shown["defaultConfiguration"]["level"] == LEVELS[rule.severity]
        controls = {f"{framework}/{control}" for framework, ids in rule.controls.items() for control in ids}
        assert controls & set(shown["properties"]["tags"]) or not controls


def test_the_worst_results_are_kept_and_what_is_left_out_is_said(
    mixed: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_sarif, "MOST_RESULTS", 3)
    first = msgspec.structs.replace(mixed.findings[0], exempt=True)
    shuffled = msgspec.structs.replace(mixed, findings=[*mixed.findings[:0:-1], first])
    found = run_of(shuffled)
    kept = [(result["ruleId"], result["properties"]["severity"]) for result in found["results"]]
    assert [severity for _, severity in kept] == [finding.severity for finding in mixed.findings[1:4]]
    assert not any("suppressions" in result for result in found["results"])
    last = found["invocations"][0]["toolExecutionNotifications"][-1]
    assert last["descriptor"]["id"] == "left-out"
    left = len(mixed.findings) - 3
    assert (
        last["message"]["text"] == f"The worst 3 findings are here, {left} others are left out. All are in report.json."
    )


def test_many_gaps_are_counted(mixed: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(mixed.gaps) > 1
    monkeypatch.setattr(as_sarif, "MOST_GAPS", 1)
    (invocation,) = run_of(mixed)["invocations"]
    assert [entry["descriptor"]["id"] for entry in invocation["toolExecutionNotifications"]] == ["gap", "left-out"]


@settings(max_examples=examples(50))
@given(data=st.data())
def test_any_report_is_found_again_in_its_results_and_inert(mixed: Report, data: st.DataObject) -> None:
    report = data.draw(gated_reports(mixed))
    text = written(report)
    assert text == written(report)
    assert not set(text.decode()) & set("\x00\x1b\u202e\u200b\ufeff\u2028")
    found = run_of(report)
    said = {(result["ruleId"], _resource(result)): result for result in found["results"]}
    names = {resource.id: resource.name for resource in report.resources}
    assert len(found["results"]) == len(report.findings)
    for finding in report.findings:
        result = said[finding.rule, visible(finding.resource)]
        message = result["message"]["text"]
        assert "](" not in message
        word = "unknown: " if finding.outcome == "unknown" else ""
        whole = visible(f"{names[finding.resource]}: {word}{finding.message}")
        assert message.replace("]\\u{0028}", "](") == whole
        assert ("suppressions" in result) is finding.exempt
        assert result["kind"] == ("review" if finding.outcome == "unknown" else "fail")
        assert result["properties"]["observed"] == visible(finding.observed)
    order = [
        (result["properties"]["exempt"], list(LEVELS).index(result["properties"]["severity"]))
        for result in found["results"]
    ]
    assert order == sorted(order)
    gaps = [gap for gap in report.gaps if gap]
    (invocation,) = found["invocations"]
    ids = [entry["descriptor"]["id"] for entry in invocation["toolExecutionNotifications"]]
    assert ids.count("gap") == len(gaps)
    assert invocation["exitCode"] == report.summary.gate.exit_code


def test_a_name_that_looks_like_a_link_is_none(mixed: Report) -> None:
    finding = msgspec.structs.replace(mixed.findings[0], message="[click](https://evil.example)")
    (result,) = run_of(msgspec.structs.replace(mixed, findings=[finding]))["results"]
    assert result["message"]["text"].endswith("[click]\\u{0028}https://evil.example)")


def _resource(result: Json) -> str:
    found: str = result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]
    return found


@given(text=st.text(alphabet=st.one_of(st.characters(), st.sampled_from("[](){}<>\\`*_#&!|~@\n-+:")), max_size=30))
@example(text="**b** _e_")
@example(text="<img src=x> <script>")
@example(text="[a](https://evil.example) ![i](x)")
@example(text="\n# h\n> q\n```\n~~~")
@example(text="`c` <https://evil.example>")
def test_a_rules_text_is_nothing_but_text_in_its_help(mixed: Report, text: str) -> None:
    rule = msgspec.structs.replace(mixed.rules[0], rationale=f"x {text}", references=[text], file=text or "f")
    shown = run_of(msgspec.structs.replace(mixed, rules=[rule], findings=[]))["tool"]["driver"]["rules"][0]
    html = MarkdownIt("commonmark").render(shown["help"]["markdown"])
    assert not any(
        f"<{tag}" in html for tag in ("img", "script", "h1", "h2", "code", "pre", "em", "table", "blockquote")
    )
    assert "<a " not in html
    assert html.count("<strong>") == 3
    assert unquote(as_sarif.rule_uri(rule)) == f"rules/{visible(rule.file)}"
    assert set(as_sarif.rule_uri(rule)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/%-._~")


def test_references_are_links(mixed: Report) -> None:
    shown = run_of(mixed)["tool"]["driver"]["rules"][0]
    html = MarkdownIt("commonmark").render(shown["help"]["markdown"])
    for reference in mixed.rules[0].references:
        assert f'<a href="{reference}">' in html
    assert shown["helpUri"] == mixed.rules[0].references[0]
