"""OSCAL: every reference leads somewhere, no text is markup or breaks a datatype, nothing looks better than it is."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from building import Json, estate
from effort import examples
from forging import TEXT, gated_reports
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_hostile_text import FORBIDDEN, HOSTILE, forged

from auditor.assessment.evidence import show
from auditor.assessment.model import OUTCOMES, ControlInfo, Evidence, FrameworkInfo, Report
from auditor.errors import UsageError
from auditor.formats import as_oscal
from auditor.formats.as_oscal import control_tokens, prose, string, token
from auditor.gate import Counts
from auditor.text import visible

UUID = re.compile("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[45][0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}")
TOKEN = re.compile("[A-Za-z_][A-Za-z0-9._-]*")
STRING = re.compile(r"\S(.*\S)?")
TIME = re.compile(r"(19|2\d)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
STRINGS = {"value", "name", "version", "algorithm", "type"}
LINES = {"title", "description", "remarks", "statement"}
TOKENS = {"control-id", "target-id", "class", "rel", "reason", "role-id", "id", "state", "status"}
TIMES = {"start", "last-modified", "collected", "deadline"}
MADE_BY_US = re.compile(r"[A-Za-z]")


@pytest.fixture(scope="module")
def mixed() -> Report:
    """Audit an estate with a pass, a fail, an unknown, a gap and an exempt fail."""
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    exemptions = (
        "- {id: EX-1, rule: vm-protected, scope: {subscription: /subscriptions/11111111-1111-1111-1111-111111111111},"
        " category: waiver, reason: Built again every night, owner: o@example.com, approver: ciso@example.com,"
        " ticket: T-1, expires: 2026-09-01T00:00:00Z}\n"
    )
    return built.audit(exemptions=exemptions).report


def document_of(report: Report) -> Json:
    file = io.BytesIO()
    as_oscal.write(report, file)
    value: Json = json.loads(file.getvalue())["assessment-results"]
    return value


def walk(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield path, name and value of all that is in it."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in parts:
        yield path, str(name), part
        if isinstance(part, dict | list):
            yield from walk(part, f"{path}/{name}" if isinstance(value, dict) else path)


def faults(document: Json) -> list[str]:
    """Say what is wrong with a document: datatypes, empty parts, uuids that are not one thing each, dead references."""
    found = []
    defined: Counter[str] = Counter()
    wanted = []
    for path, name, part in walk(document):
        where = f"{path}/{name}: {part!r:.80}"
        if part in ([], {}, "", None):
            found.append(f"empty {where}")
        if name == "uuid":
            defined[part] += 1
        elif name.endswith("-uuid"):
            wanted.append((path, name, part))
        elif name == "party-uuids":
            wanted += [(path, name, uuid) for uuid in part]
        elif name == "href" and not part.startswith("https://"):
            if part.startswith("#"):
                wanted.append((path, name, part[1:]))
            elif not re.fullmatch(r"(?!/)[A-Za-z0-9._~%/-]+", part):
                found.append(f"reference {where}")
        if not isinstance(part, str):
            continue
        if "\n" in part.replace("\n\n", "") or (name != "remarks" and "\n" in part):
            found.append(f"line {where}")
        if name in STRINGS and not STRING.fullmatch(part):
            found.append(f"string {where}")
        if (name in TOKENS or (name == "name" and path.endswith("props"))) and not TOKEN.fullmatch(part):
            found.append(f"token {where}")
        if name in TIMES and not TIME.fullmatch(part):
            found.append(f"time {where}")
        if name in LINES and not MADE_BY_US.match(part):
            found.append(f"text that does not begin with a word {where}")
    found += [f"uuid {uuid}" for uuid in [*defined, *(uuid for _, _, uuid in wanted)] if not UUID.fullmatch(uuid)]
    found += [f"uuid {uuid} twice" for uuid, count in defined.items() if count > 1]
    found += [f"{path}/{name} leads nowhere: {uuid}" for path, name, uuid in wanted if uuid not in defined]
    return [*found, *misled(document)]


def misled(document: Json) -> Iterator[str]:
    """Say which references lead to a thing of another kind."""
    (result,) = document["results"]
    definitions = result["local-definitions"]
    kinds = {
        "observation-uuid": {entry["uuid"] for entry in result.get("observations", [])},
        "risk-uuid": {entry["uuid"] for entry in result.get("risks", [])},
        "subject-uuid": {entry["uuid"] for entry in definitions.get("inventory-items", [])},
        "actor-uuid": {entry["uuid"] for entry in definitions["assessment-assets"]["components"]},
        "component-uuid": {entry["uuid"] for entry in definitions["assessment-assets"]["components"]},
        "href": {f"#{entry['uuid']}" for entry in document["back-matter"]["resources"]},
    }
    for path, name, part in walk(document):
        if name in kinds and part not in kinds[name] and (name != "href" or part.startswith("#")):
            yield f"{path}/{name} leads to something else: {part}"
    reviewed = {
        f"{entry['control-id']}_obj"
        for selection in result["reviewed-controls"]["control-selections"]
        for entry in selection["include-controls"]
    }
    found = [entry["target"]["target-id"] for entry in result.get("findings", [])]
    if found and (set(found) != reviewed or len(found) != len(reviewed)):
        yield "the controls that were reviewed are not those with a finding"


def props(part: Json, kind: str | None = None) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in part.get("props", []) if entry.get("class") == kind}


def test_every_reference_leads_to_what_it_names(mixed: Report) -> None:
    document = document_of(mixed)
    assert faults(document) == []
    assert document["metadata"]["oscal-version"] == "1.2.1"
    assert document["metadata"]["last-modified"] == document["results"][0]["start"] == mixed.as_of
    assert document["import-ap"]["href"].startswith("#")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("results", 0, "findings", 0, "uuid"), "x"),
        (("results", 0, "observations", 0, "uuid"), "11111111-1111-4111-8111-111111111111"),
        (("results", 0, "observations", 0, "subjects", 0, "subject-uuid"), "11111111-1111-4111-8111-111111111111"),
        (("import-ap", "href"), "#11111111-1111-4111-8111-111111111111"),
        (("results", 0, "findings", 0, "title"), ""),
        (("results", 0, "observations", 0, "props", 0, "name"), "1 2"),
        (("results", 0, "observations", 0, "props", 0, "value"), " x"),
        (("results", 0, "start"), "yesterday"),
    ],
)
def test_the_test_of_references_finds_what_is_broken(mixed: Report, path: tuple[Any, ...], value: str) -> None:
    document = document_of(mixed)
    part: Any = document
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert faults(document)


def test_there_is_a_finding_for_every_control_and_none_looks_better_than_it_is(mixed: Report) -> None:
    expected = {
        (framework.id, control.id): control.state for framework in mixed.frameworks for control in framework.controls
    }
    assert {"holds", "fails", "no-evidence", "cannot-conclude"} <= set(expected.values())
    found = {}
    for finding in document_of(mixed)["results"][0]["findings"]:
        said = props(finding)
        found[said["framework"], said["control"]] = said["state"]
        status = finding["target"]["status"]
        assert (status["state"] == "satisfied") == (said["state"] == "holds")
        reason = {"holds": "pass", "fails": "fail"}.get(said["state"], "other")
        assert status["reason"] == reason
    assert found == expected


def test_controls_of_nist_are_called_as_in_its_catalogue() -> None:
    ids = ["CP-9", "CP-9(1)", "CP-10(4)"]
    controls = [ControlInfo(id=name, title="t", state="holds", rules=[], counts=Counts()) for name in ids]
    nist = FrameworkInfo(id="nist-800-53", title="NIST", reference="", controls=controls)
    assert control_tokens([nist, nist]) == [["cp-9", "cp-9.1", "cp-10.4"], ["cp-9_2", "cp-9.1_2", "cp-10.4_2"]]
    other = [msgspec.structs.replace(controls[0], id=name) for name in ("12(1)(a)", "12.1.a", "12(1)a", "é", "ü")]
    (named,) = control_tokens([FrameworkInfo(id="dora", title="", reference="", controls=other)])
    assert named == ["dora_12.1.a", "dora_12.1.a_2", "dora_12.1a", "dora__", "dora___2"]


def test_what_is_exempt_is_a_deviation_and_fails_all_the_same(mixed: Report) -> None:
    (result,) = document_of(mixed)["results"]
    (risk,) = result["risks"]
    assert risk["status"] == "deviation-approved"
    assert risk["deadline"] == "2026-09-01T00:00:00Z"
    said = props(risk)
    assert (said["owner"], said["approver"], said["ticket"]) == ("o@example.com", "ciso@example.com", "T-1")
    exempt = {finding.resource for finding in mixed.findings if finding.exempt}
    related = {entry["observation-uuid"] for entry in risk["related-observations"]}
    subjects = {entry["uuid"]: entry for entry in result["local-definitions"]["inventory-items"]}
    observed = {entry["uuid"]: subjects[entry["subjects"][0]["subject-uuid"]] for entry in observations(result)}
    assert {props(observed[uuid])["name"] for uuid in related} == {name.rpartition("/")[2] for name in exempt}
    bearing = [entry for entry in result["findings"] if "related-risks" in entry]
    assert bearing
    assert {entry["target"]["status"]["reason"] for entry in bearing} == {"fail"}
    verdicts = [entry for part in observations(result) for entry in part["props"] if "remarks" in entry]
    assert [(entry["name"], entry["value"], entry["remarks"]) for entry in verdicts] == [
        ("vm-protected", "fail", "Exempt EX-1")
    ]


def test_two_kinds_of_resource_with_one_id_are_two_things(mixed: Report) -> None:
    same = [msgspec.structs.replace(resource, id="/x") for resource in mixed.resources[:1]]
    same.append(msgspec.structs.replace(same[0], kind="vault"))
    rules = [next(rule for rule in mixed.rules if rule.resource == kind) for kind in ("vm", "vault")]
    outcomes = {rule.id: "p" for rule in rules}
    report = msgspec.structs.replace(mixed, resources=same, rules=rules, outcomes=outcomes, findings=[])
    document = document_of(report)
    assert faults(document) == []
    assert len(document["results"][0]["local-definitions"]["inventory-items"]) == 2


@pytest.mark.parametrize(
    ("name", "href"),
    [
        ("estate/vms.json", "estate/vms.json"),
        ("//evil.example/x", "evil.example/x"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("a b?#.json", "a%20b%3F%23.json"),
        ("\u202e\ud800", "%5Cu%7B202E%7D%5Cu%7BD800%7D"),
        ("/", "."),
        ("", "."),
    ],
)
def test_a_file_is_no_link_to_elsewhere(mixed: Report, name: str, href: str) -> None:
    source = msgspec.structs.replace(mixed.inventory.sources[0], name=name)
    report = msgspec.structs.replace(mixed, inventory=msgspec.structs.replace(mixed.inventory, sources=[source]))
    document = document_of(report)
    assert faults(document) == []
    assert [entry["href"] for entry in document["back-matter"]["resources"][-1]["rlinks"]] == [href]


def test_only_links_of_the_web_are_links(mixed: Report) -> None:
    links = ["https://learn.microsoft.com/a?b=c#d", "javascript:alert(1)", "https://a\n", "//x", "https://x/<b>", ""]
    rule = msgspec.structs.replace(mixed.rules[0], references=links)
    document = document_of(msgspec.structs.replace(mixed, rules=[rule, *mixed.rules[1:]]))
    assert [entry["href"] for entry in document["back-matter"]["resources"][1]["rlinks"]] == links[:1]


def test_gaps_are_observed(mixed: Report) -> None:
    (result,) = document_of(mixed)["results"]
    gaps = [entry for entry in result["observations"] if entry["methods"] == ["EXAMINE"]]
    assert len(gaps) == len(mixed.gaps) > 0
    assert [entry["description"] for entry in gaps] == [
        f"Not read: {prose(gap.cause)} {prose(gap.hint)}".rstrip() for gap in mixed.gaps
    ]
    assert props(result)["gaps"] == str(len(mixed.gaps))


@pytest.mark.parametrize("text", [None, "yesterday", "0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z"])
def test_without_a_time_there_are_no_results_rather_than_some_of_a_made_up_one(mixed: Report, text: str | None) -> None:
    file = io.BytesIO()
    with pytest.raises(UsageError, match="need a time") as error:
        as_oscal.write(msgspec.structs.replace(mixed, as_of=text), file)
    assert "--as-of" in error.value.hint
    assert not file.getvalue()


def test_an_empty_estate_and_one_without_frameworks_are_documents_too(mixed: Report) -> None:
    empty = document_of(estate().audit().report)
    assert faults(empty) == []
    assert {entry["target"]["status"]["state"] for entry in empty["results"][0]["findings"]} == {"not-satisfied"}
    bare = document_of(msgspec.structs.replace(mixed, frameworks=[], rules=[], outcomes={}, findings=[], gaps=[]))
    assert faults(bare) == []
    assert not {"findings", "observations", "risks"} & bare["results"][0].keys()
    (selection,) = bare["results"][0]["reviewed-controls"]["control-selections"]
    assert selection["include-controls"] == [{"control-id": "none"}]


def test_beyond_the_limit_the_worst_are_told_and_the_document_says_so(
    mixed: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = observations(document_of(mixed)["results"][0])
    monkeypatch.setattr(as_oscal, "MOST_OBSERVATIONS", 2)
    monkeypatch.setattr(as_oscal, "MOST_RELATED", 1)
    monkeypatch.setattr(as_oscal, "MOST_LINES", 1)
    monkeypatch.setattr(as_oscal, "MOST_EVIDENCE", 1)
    document = document_of(mixed)
    assert faults(document) == []
    (result,) = document["results"]
    told = observations(result)
    kinds = {rule.id: rule.resource for rule in mixed.rules}
    worst = list(dict.fromkeys((kinds[finding.rule], finding.resource) for finding in mixed.findings))[:2]
    items = {entry["uuid"]: props(entry) for entry in result["local-definitions"]["inventory-items"]}
    assert {items[entry["subjects"][0]["subject-uuid"]]["name"] for entry in told} == {
        name.rpartition("/")[2] for _, name in worst
    }
    assert props(result)["observations-left-out"] == str(len(whole) - 2)
    left_out = [line for line in result["remarks"].split("\n\n") if line.startswith("Left out: ")]
    assert left_out[0].startswith(f"Left out: {len(whole) - 2} of the {len(whole)} resources that were judged")
    findings = len(mixed.findings)
    assert left_out[1].startswith(f"Left out: the evidence of {findings - 1} of the {findings} findings")
    ((evidence,),) = [entry["relevant-evidence"] for entry in told if "relevant-evidence" in entry]
    assert props(evidence)["fingerprint"] == mixed.findings[0].fingerprint
    assert left_out[2].startswith(f"Left out: {len(mixed.gaps) - 1} of the {len(mixed.gaps)} gaps")
    related = [entry["related-observations"] for entry in result["findings"] if "related-observations" in entry]
    assert {len(entries) for entries in related} == {1}
    assert {entries[0].get("remarks") for entries in related} == {
        None, "The first 1 of 2 observations, the worst before others."
    }  # fmt: skip


def test_related_observations_are_worst_first(mixed: Report) -> None:
    (result,) = document_of(mixed)["results"]
    ranks = {
        entry["uuid"]: min(["fail", "unknown", "pass", "not-applicable"].index(value) for value in verdicts.values())
        for entry in observations(result)
        if (verdicts := {name: value for name, value in props(entry, "verdict").items() if name == "vm-protected"})
    }
    control = next(entry for entry in result["findings"] if entry["target"]["target-id"].startswith("azure-policy_013"))
    order = [ranks[entry["observation-uuid"]] for entry in control["related-observations"]]
    assert len(order) > 1
    assert all(first <= second for first, second in pairwise(order))


def observations(result: Json) -> list[Json]:
    """Return the observations of resources."""
    return [entry for entry in result.get("observations", []) if entry["methods"] == ["TEST"]]


@st.composite
def controlled_reports(draw: st.DrawFn, base: Report) -> Report:
    """Make a report of hostile texts with frameworks, exempt findings and gaps."""
    report = draw(gated_reports(base))
    rules = [rule.id for rule in report.rules]
    frameworks = [
        FrameworkInfo(
            id=name,
            title=draw(TEXT),
            reference=draw(TEXT),
            controls=[
                ControlInfo(
                    id=control,
                    title=draw(TEXT),
                    state=draw(st.sampled_from([*as_oscal.STATUS])),
                    rules=draw(st.lists(st.one_of(st.sampled_from(rules), TEXT), max_size=3)) if rules else [],
                    counts=Counts(),
                    note=draw(TEXT),
                )
                for control in draw(st.lists(TEXT, max_size=4, unique=True))
            ],
        )
        for name in draw(st.lists(st.one_of(TEXT, st.just("nist-800-53")), max_size=3, unique=True))
    ]
    return msgspec.structs.replace(
        report,
        as_of=draw(st.sampled_from(["2026-01-01T00:00:00Z", "1999-12-31T23:59:59.1234567+13:00"])),
        frameworks=frameworks,
        options=msgspec.structs.replace(report.options, organisation=draw(TEXT)),
        exemptions=[],
    )


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # it would hide what was found
@settings(max_examples=examples(30), deadline=None)
@given(data=st.data())
def test_any_report_is_a_sound_document_that_says_what_it_says(mixed: Report, data: st.DataObject) -> None:
    report = data.draw(controlled_reports(mixed))
    file = io.BytesIO()
    as_oscal.write(report, file)
    assert not set(file.getvalue().decode()) & FORBIDDEN
    document = json.loads(file.getvalue())["assessment-results"]
    assert [fault for fault in faults(document) if "token" not in fault or "control-id" not in fault] == []
    (result,) = document["results"]
    exempt = {(finding.rule, finding.exemption) for finding in report.findings if finding.exempt and finding.exemption}
    assert len(result.get("risks", [])) == len(exempt)
    items = {entry["uuid"]: entry for entry in result["local-definitions"].get("inventory-items", [])}
    verdicts, said = {}, {}
    for entry in observations(result):
        item = items[entry["subjects"][0]["subject-uuid"]]
        key = (props(item)["kind"], props(item).get("asset-id", ""))
        assert item["description"] == entry["title"]
        verdicts[key] = props(entry, "verdict")
        for evidence in entry.get("relevant-evidence", []):
            words = props(evidence)
            said[*key, words["rule"]] = (words, evidence["description"], fields(evidence))
    kinds = {rule.id: rule.resource for rule in report.rules}
    expected = {}
    for kind in {*kinds.values()}:
        rules = [rule.id for rule in report.rules if rule.resource == kind]
        resources = [resource for resource in report.resources if resource.kind == kind]
        for place, resource in enumerate(resources):
            letters = {rule: OUTCOMES[report.outcomes[rule][place]] for rule in rules}
            if set(letters.values()) - {"not-applicable"}:
                expected[kind, string(resource.id)] = letters
    assert verdicts == expected
    assert said == {
        (kinds[finding.rule], string(finding.resource), finding.rule): (
            {
                name: string(value)
                for name, value in {
                    "rule": finding.rule,
                    "outcome": finding.outcome,
                    "severity": finding.severity,
                    "exempt": "true" if finding.exempt else "",
                    "exemption": finding.exemption.id if finding.exemption else "",
                    "baseline": finding.baseline or "",
                    "fingerprint": finding.fingerprint,
                    "expected": finding.expected,
                    "observed": finding.observed,
                }.items()
                if value
            },
            f"{finding.rule}: {finding.outcome}{', exempt' if finding.exempt else ''}. "
            f"{prose(finding.message)}".rstrip(),
            [
                (token(entry.field), string(show(entry.value)) or "(empty)", remarks(entry))
                for entry in finding.evidence
            ],
        )
        for finding in report.findings
    }


def remarks(entry: Evidence) -> str:
    said = {"field": entry.field, "expected": entry.expected, "source": entry.source, "not known:": entry.reason}
    return "; ".join(f"{word} {prose(text)}" for word, text in said.items() if text)


def fields(evidence: Json) -> list[tuple[str, str, str]]:
    return [
        (entry["name"], entry["value"], entry["remarks"])
        for entry in evidence["props"]
        if entry.get("class") == "evidence"
    ]


@settings(max_examples=examples(500))
@given(
    text=st.one_of(
        st.sampled_from(HOSTILE), st.text(max_size=40), st.text(alphabet="[](){}<>*_`~^|\\!&#: ab", max_size=20)
    )
)
def test_no_text_is_markup(text: str) -> None:
    (inline,) = MarkdownIt("gfm-like", {"linkify": False}).parse(f"Word {prose(text)}")[1:2]
    shown = "".join(part.content for part in inline.children or [])
    assert {part.type for part in inline.children or []} <= {"text", "text_special"}
    assert shown == f"Word {visible(text)}".rstrip()


@given(text=st.text(max_size=20))
def test_strings_and_tokens_are_what_oscal_takes(text: str) -> None:
    assert not text or STRING.fullmatch(string(text))
    assert TOKEN.fullmatch(token(text))


@settings(max_examples=examples(25))
@given(evil=st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=5)), max_size=3).map("".join))
def test_no_text_anywhere_breaks_the_document(mixed: Report, evil: str) -> None:
    report = msgspec.structs.replace(forged(mixed, evil), as_of=mixed.as_of)
    document = document_of(report)
    assert faults(document) == []
    assert not set(json.dumps(document, ensure_ascii=False)) & FORBIDDEN


def test_the_same_report_gives_the_same_bytes_and_another_one_other_uuids(mixed: Report) -> None:
    assert json.dumps(document_of(mixed)) == json.dumps(document_of(mixed))
    other = document_of(msgspec.structs.replace(mixed, content_sha256="0" * 64))
    first = {part for _, name, part in walk(document_of(mixed)) if name == "uuid"}
    assert not first & {part for _, name, part in walk(other) if name == "uuid"}
