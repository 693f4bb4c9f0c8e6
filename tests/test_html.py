"""The page an auditor signs: what it says, that it is inert, and that all verdicts in it are those of the report."""

import base64
import hashlib
import html
import io
import json
import re
import runpy
import zlib
from pathlib import Path
from unittest import mock

import msgspec
import pytest
from building import Json, estate, plain
from effort import examples
from forging import reports
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from auditor.arm_id import portal_link
from auditor.assessment.baseline import with_baseline
from auditor.assessment.evidence import show
from auditor.assessment.model import Finding, Report
from auditor.bundled import bundled
from auditor.formats import as_html, explore_data, tallies
from auditor.gate import Counts
from auditor.ruleset.model import SEVERITIES
from auditor.text import fold, visible

WORDS = {"p": "pass", "f": "fail", "u": "unknown", "n": "not-applicable"}


def page_of(report: Report) -> str:
    file = io.BytesIO()
    as_html.write(report, file)
    return file.getvalue().decode()


def first_screen(page: str) -> str:
    return page[page.index('id="first-screen"') : page.index('id="by-rule"')]


def data_of(page: str) -> Json:
    """Return the embedded data of a page."""
    (packed,) = re.findall(
        r'<script type="application/octet-stream" id="explore-data">([A-Za-z0-9+/=]*)</script>', page
    )
    inflate = zlib.decompressobj(-15)
    value: Json = json.loads(inflate.decompress(base64.b64decode(packed)) + inflate.flush())
    return value


def cell(column: Json, row: int) -> str | None:
    """Read a column as the page's script does."""
    found: str | None = column["v"][row] if "v" in column else column["d"][column["i"][row] if "i" in column else 0]
    return found


def verdicts(data: Json) -> list[Json]:
    """Read all embedded verdicts, each with what is said of it."""
    found = []
    for rule in data["rules"]:
        kind = data["kinds"].get(rule["kind"], {"count": 0})
        places = rule.get("at", [place for place, letter in enumerate(rule["letters"]) if letter in "fu"])
        rows = {place: row for row, place in enumerate(places)}
        assert len(rule["letters"]) == kind["count"]
        for place, letter in enumerate(rule["letters"]):
            parts = [cell(column, place) for column in kind["id"]]
            verdict: Json = {
                "rule": rule["id"],
                "id": "/".join(part for part in parts if part is not None),
                "outcome": WORDS[letter],
            }
            for name in ("name", "group", "subscription", "location", "source"):
                column = kind[name]
                verdict[name] = cell(kind["id"][column["same"]] if "same" in column else column, place)
            if place in rows and "findings" in rule:
                verdict["finding"] = finding_of(rule["findings"], rows[place])
            found.append(verdict)
    return found


def finding_of(columns: Json, row: int) -> Json:
    values = [cell(entry["value"], row) for entry in columns["evidence"]]

    def text(name: str) -> str:
        raw = cell(columns[name], row) or ""
        return re.sub("[\x01-\x0a]", lambda mark: values[ord(mark[0]) - 1] or "", raw)

    evidence = [
        {"field": field, **{name: cell(entry[name], row) for name in ("value", "expected", "source", "reason")}}
        for field, entry in zip(columns["fields"], columns["evidence"], strict=True)
    ]
    return {
        "message": text("message"),
        "expected": text("expected"),
        "observed": text("observed"),
        "exemption": cell(columns["exemption"], row),
        "baseline": cell(columns["baseline"], row),
        "evidence": [entry for entry in evidence if entry["expected"] is not None],
    }


def expected_verdicts(report: Report) -> list[Json]:
    """Say what a page must hold, straight from the report."""
    findings = {(finding.rule, finding.resource): finding for finding in report.findings}
    found = []
    for rule in report.rules:
        resources = [resource for resource in report.resources if resource.kind == rule.resource]
        for resource, letter in zip(resources, report.outcomes[rule.id], strict=True):
            verdict: Json = {
                "rule": rule.id,
                "id": visible(resource.id),
                "outcome": WORDS[letter],
                "name": visible(resource.name),
                "group": resource.resource_group and visible(resource.resource_group),
                "subscription": resource.subscription and visible(resource.subscription),
                "location": resource.location and visible(resource.location),
                "source": visible(resource.source),
            }
            finding = findings.get((rule.id, resource.id))
            if finding is not None:
                verdict["finding"] = said_of(finding)
            found.append(verdict)
    return found


def said_of(finding: Finding) -> Json:
    return {
        "message": visible(finding.message),
        "expected": visible(finding.expected),
        "observed": visible(finding.observed),
        "exemption": visible(finding.exemption.id) if finding.exemption else None,
        "baseline": finding.baseline,
        "evidence": [
            {
                "field": visible(entry.field),
                "value": None if entry.value is None else visible(show(entry.value)),
                "expected": visible(entry.expected),
                "source": visible(entry.source),
                "reason": visible(entry.reason),
            }
            for entry in finding.evidence
        ],
    }


@pytest.fixture(scope="module")
def mixed() -> Report:
    """Audit an estate with a pass, a fail, an unknown and a gap."""
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    return built.audit().report


def test_the_first_screen_has_verdict_tiles_coverage_and_provenance(mixed: Report) -> None:
    page = page_of(mixed)
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", first_screen(page))).split())
    counts = mixed.summary.counts
    decided = counts.passed + counts.fail + counts.unknown
    assert f"Not compliant {mixed.summary.sentence[0].upper()}{mixed.summary.sentence[1:]}" in text
    assert f"Fail {counts.fail} " in text
    assert f"of {decided} judged" in text
    assert "VMs 2 found, 2 judged: 1 failing" in text
    assert "gaps : " in text
    assert mixed.tool.version in text
    for whole in (mixed.content_sha256, mixed.inventory.sha256[:16]):
        assert whole in text


def test_the_page_loads_nothing_and_allows_only_what_it_has_the_hashes_of(mixed: Report) -> None:
    page = page_of(mixed)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(part.split(" ", 1) for part in html.unescape(policy).split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for tag, name in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert "CONTENT" not in text
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    markup = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\s(on\w+|style|src|srcset|action)\s*=", markup)
    links = re.findall(r'href="([^"]*)"', markup)
    assert {link.split("/")[2] for link in links if not link.startswith("#")} <= {
        "learn.microsoft.com",
        "portal.azure.com",
    }
    anchors = set(re.findall(r'id="([^"]*)"', markup))
    assert {link[1:] for link in links if link.startswith("#")} <= anchors


def test_script_and_style_stay_small_and_cannot_end_their_element() -> None:
    folder = bundled("reports/templates")
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("report.css", "report.js")]
    assert sum(len(text.encode()) for text in texts) <= 40_000
    for text in texts:
        assert "</" not in text
        assert "<!--" not in text
    for wrong in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
        'setAttribute("on',
    ):
        assert wrong not in texts[1]


def test_every_template_escapes() -> None:
    names = [entry.name for entry in bundled("reports/templates").iterdir() if entry.name.endswith(".j2")]
    assert len(names) >= 6
    environment = as_html._environment()
    assert environment.autoescape is True
    for name in names:
        source = (bundled("reports/templates") / name).read_text(encoding="utf-8")
        assert not re.search(r"=\{\{", source), f"{name} has an attribute without quotes"
        assert "safe" not in re.findall(r"\|\s*(\w+)", source), f"{name} prints something unescaped"
    assert environment.from_string("{{ x }}").render(x="<b>\u202e\x1b") == "&lt;b&gt;\\u{202E}\\u{001B}"
    assert environment.from_string("{{ x }}").render(x=Markup("<b>")) == "<b>"


def test_all_verdicts_are_embedded_as_the_report_has_them(mixed: Report) -> None:
    assert verdicts(data_of(page_of(mixed))) == expected_verdicts(mixed)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_any_report_is_embedded_whole_and_inert(mixed: Report, data: st.DataObject) -> None:
    report = data.draw(reports(mixed))
    page = page_of(report)
    assert verdicts(data_of(page)) == expected_verdicts(report)
    assert not set(page) & set("\x00\x1b\u202e\u200b\ufeff\u2028")
    assert len(re.findall(r"<article ", page)) == len(report.findings) + len(report.rules)
    assert page.count("<script") == 2
    assert tallied(report) == {entry.id: dict(entry.rules) for entry in tallies.by_subscription(report)}


def tallied(report: Report) -> dict[str, dict[str, Counts]]:
    """Count the slow way."""
    found: dict[str, dict[str, list[str]]] = {}
    spelled: dict[str, str] = {}
    for rule in report.rules:
        judged = [resource for resource in report.resources if resource.kind == rule.resource]
        for resource, letter in zip(judged, report.outcomes[rule.id], strict=True):
            key = fold(resource.subscription or "")
            found.setdefault(key, {}).setdefault(rule.id, []).append(letter)
    for resource in report.resources:
        spelled.setdefault(fold(resource.subscription or ""), resource.subscription or "")
    return {
        name: {
            rule: Counts(
                passed=letters.count("p"),
                fail=letters.count("f"),
                unknown=letters.count("u"),
                not_applicable=letters.count("n"),
            )
            for rule, letters in found.get(key, {}).items()
        }
        for key, name in spelled.items()
    }


def test_beyond_the_limit_passes_are_counted_only_and_the_page_says_so(
    mixed: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explore_data, "MOST_VERDICTS", 3)
    monkeypatch.setattr(explore_data, "MOST_EVIDENCE", 2)
    page = page_of(mixed)
    whole = expected_verdicts(mixed)
    uneasy = {finding.resource for finding in mixed.findings}
    worst = {(finding.rule, finding.resource) for finding in mixed.findings[:2]}
    for verdict in whole:
        if (verdict["rule"], verdict["id"]) not in worst:
            verdict.pop("finding", None)
    assert verdicts(data_of(page)) == [verdict for verdict in whole if verdict["id"] in uneasy]
    assert "The verdicts of every resource that has a finding; the others are in report.json" in page
    assert "with the evidence of the worst 2 findings" in page


@settings(max_examples=examples(25))
@given(data=st.data(), most=st.integers(0, 3))
def test_whichever_findings_have_their_evidence_it_is_their_own(mixed: Report, data: st.DataObject, most: int) -> None:
    report = data.draw(reports(mixed))
    worst = {(finding.rule, visible(finding.resource)) for finding in report.findings[:most]}
    wanted = expected_verdicts(report)
    for verdict in wanted:
        if (verdict["rule"], verdict["id"]) not in worst:
            verdict.pop("finding", None)
    with mock.patch.object(explore_data, "MOST_EVIDENCE", most):
        assert verdicts(data_of(page_of(report))) == wanted


def test_findings_are_capped_and_the_page_says_so(mixed: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_html, "MOST_FINDINGS", 3)
    page = page_of(mixed)
    assert page.count('<article class="finding">') == 3
    assert f"<b>3 of {len(mixed.findings)}</b>" in page


def test_the_page_of_the_example_is_the_golden_one() -> None:
    """Where this fails on purpose: look at the page, then ``make golden``."""
    folder = Path(__file__).resolve().parent / "golden"
    made: dict[str, str] = runpy.run_path(str(folder / "make_golden.py"))["golden"]()
    assert made == {name: (folder / name).read_text(encoding="utf-8") for name in made}


def test_what_is_worst_is_named_first_and_what_is_exempt_is_not(mixed: Report) -> None:
    failing = [finding for finding in mixed.findings if finding.outcome == "fail"]
    worst = as_html._worst(mixed)
    assert next(iter(worst.values()))[0] == failing[0]
    assert sum(map(len, worst.values())) == len(failing)
    assert all(finding.resource == key for key, findings in worst.items() for finding in findings)
    ranks = [[SEVERITIES.index(finding.severity) for finding in findings] for findings in worst.values()]
    assert ranks == sorted(ranks, key=lambda rank: [*rank, len(SEVERITIES)])
    exempt = [msgspec.structs.replace(finding, exempt=True) for finding in mixed.findings]
    assert as_html._worst(msgspec.structs.replace(mixed, findings=exempt)) == {}


def test_kinds_of_which_there_may_be_more_are_said_to_be_at_least(mixed: Report) -> None:
    tables = [msgspec.structs.replace(table, state="complete") for table in mixed.coverage.tables]
    whole = msgspec.structs.replace(mixed, coverage=msgspec.structs.replace(mixed.coverage, tables=tables))
    assert "at least" not in first_screen(page_of(whole))
    tables = [msgspec.structs.replace(t, state="partial" if t.table == "vaults" else "complete") for t in tables]
    partly = msgspec.structs.replace(mixed, coverage=msgspec.structs.replace(mixed.coverage, tables=tables))
    first = first_screen(page_of(partly))
    assert "<dt>Vaults</dt><dd>at least 2 found" in first
    assert first.count("at least") == 1


def test_changes_add_up_to_what_the_baseline_counted(mixed: Report) -> None:
    clean = {rule: letters.translate({102: "p", 117: "p"}) for rule, letters in mixed.outcomes.items()}
    report = with_baseline(mixed, msgspec.structs.replace(mixed, findings=[], outcomes=clean))
    assert as_html._changes(mixed) == {}
    assert report.baseline is not None
    counted = as_html._changes(report)
    assert counted["new"] + counted["became-unknown"] == report.baseline.new
    assert counted["elsewhere"] + counted["unchanged"] == report.baseline.unchanged


def test_an_empty_estate_has_a_page() -> None:
    report = estate().audit().report
    page = page_of(report)
    assert "Cannot conclude" in page
    assert "Nothing was found to judge" in page
    assert verdicts(data_of(page)) == []


def test_an_estate_without_findings_says_so() -> None:
    built = estate().vault().policy().vm("web").item("web").whole()
    report = built.audit(select=["vm-protected"]).report
    page = page_of(report)
    assert report.summary.verdict == "Compliant"
    assert "None: no verdict fails or is unknown." in page


def test_resources_are_counted_by_their_worst_verdict(mixed: Report) -> None:
    rows: dict[str, dict[str, list[str]]] = {}
    for verdict, rule in zip(
        expected_verdicts(mixed), [r for r in mixed.rules for _ in mixed.outcomes[r.id]], strict=True
    ):
        rows.setdefault(rule.resource, {}).setdefault(verdict["id"], []).append(verdict["outcome"])
    for kind, resources in rows.items():
        found = tallies.by_resource(mixed)[kind]
        assert found.failing == sum("fail" in words for words in resources.values())
        assert found.unknown == sum("unknown" in words and "fail" not in words for words in resources.values())
        assert found.passing == sum(
            set(words) <= {"pass", "not-applicable"} and "pass" in words for words in resources.values()
        )


_GUID = "11111111-1111-1111-1111-111111111111"


@pytest.mark.parametrize(
    ("resource", "link"),
    [
        ("Microsoft.Compute/virtualMachines/web-01", "Microsoft.Compute/virtualMachines/web-01"),
        ("microsoft.compute/VIRTUALMACHINES/web_01.x", "microsoft.compute/VIRTUALMACHINES/web_01.x"),
        ("Microsoft.RecoveryServices/vaults/v1", "Microsoft.RecoveryServices/vaults/v1"),
        ("Microsoft.RecoveryServices/vaults/v1/backupPolicies/any <thing>", "Microsoft.RecoveryServices/vaults/v1"),
        ("Microsoft.Compute/virtualMachines/web/extensions/x", None),
        ("Microsoft.Compute/virtualMachines/we b", None),
        ("Microsoft.Compute/virtualMachines/web#x", None),
        ("Microsoft.Compute/virtualMachines/web\n", None),
        ("Microsoft.Compute/virtualMachines/wéb", None),
        ("Microsoft.Compute/virtualMachines/..", None),
        ("Microsoft.Compute/virtualMachines/", None),
        ("Microsoft.Network/publicIPAddresses/x", None),
    ],
)
def test_only_ids_of_vms_and_vaults_become_links(resource: str, link: str | None) -> None:
    base = f"/subscriptions/{_GUID}/resourceGroups/rg-(1)_x.y/providers/"
    assert portal_link(base + resource) == (f"https://portal.azure.com/#resource{base}{link}" if link else None)


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "", f"/subscriptions/{_GUID}", f"x/subscriptions/{_GUID}/resourceGroups/rg/providers/"],
)
def test_no_other_text_becomes_a_link(text: str) -> None:
    assert portal_link(text) is None
    assert (
        portal_link(f"/subscriptions/{_GUID}/resourceGroups/../providers/Microsoft.Compute/virtualMachines/x") is None
    )


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 0, "0 %"),
        (0, 9, "0 %"),
        (1, 10_000, "< 0.1 %"),
        (9_999, 10_000, "> 99.9 %"),
        (1, 3, "33.3 %"),
        (3, 3, "100 %"),
    ],
)
def test_shares_never_round_something_away(part: int, whole: int, said: str) -> None:
    assert as_html._share(part, whole) == said


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_bars_fill_their_width_and_show_whatever_is_there(fail: int, unknown: int, passed: int) -> None:
    pieces = as_html._bar(Counts(passed=passed, fail=fail, unknown=unknown))
    assert [name for name, _, _ in pieces] == [
        name for name, amount in (("fail", fail), ("unknown", unknown), ("pass", passed)) if amount
    ]
    assert all(width > 0.9 for _, _, width in pieces)
    assert not pieces or abs(pieces[-1][1] + pieces[-1][2] - 100) < 0.1


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_heat_is_zero_only_where_nothing_fails(fail: int, unknown: int, passed: int) -> None:
    heat = as_html._heat(Counts(passed=passed, fail=fail, unknown=unknown))
    assert (heat == 0) == (fail == 0)
    assert heat <= 4
    if fail and not unknown and not passed:
        assert heat == 4


def test_the_same_report_gives_the_same_bytes(mixed: Report) -> None:
    again = msgspec.convert(plain(mixed), Report)
    assert page_of(again) == page_of(mixed)
