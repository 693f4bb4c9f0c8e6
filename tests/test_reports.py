"""The reports: report.json keeps its published shape, and the others say the same."""

import csv
import io
import json
import re
from functools import cache

import msgspec
import pytest
from building import audit_files, estate, vm_id
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from auditor.assessment import evidence
from auditor.assessment.assess import content_sha256
from auditor.assessment.model import OUTCOMES, Report
from auditor.errors import UsageError
from auditor.formats import as_csv, as_html, as_json, writer_for
from auditor.formats.as_csv import harmless
from auditor.reference import report_schema


@cache
def mixed_estate() -> Report:
    """Audit an estate with a pass, a fail, an unknown and a gap."""
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    return built.audit().report


def written(module: object, report: Report) -> bytes:
    file = io.BytesIO()
    module.write(report, file)  # type: ignore[attr-defined]
    return file.getvalue()


def test_report_json_follows_its_published_schema() -> None:
    value = json.loads(written(as_json, mixed_estate()))
    schema = report_schema()
    Draft202012Validator.check_schema(schema)
    assert list(Draft202012Validator(schema).iter_errors(value)) == []
    value["findings"][0]["outcome"] = "maybe"
    value["unheard_of"] = 1
    assert len(list(Draft202012Validator(schema).iter_errors(value))) == 2


def test_report_json_reads_back_as_the_same_report() -> None:
    report = mixed_estate()
    assert msgspec.json.decode(written(as_json, report), type=Report) == report


def test_the_content_hash_tells_an_edited_report() -> None:
    report = mixed_estate()
    assert content_sha256(report) == report.content_sha256
    edited = msgspec.structs.replace(report, as_of="2027-01-01T00:00:00Z")
    assert content_sha256(edited) != report.content_sha256


def test_every_resource_of_a_rules_kind_has_exactly_one_letter() -> None:
    report = mixed_estate()
    for rule in report.rules:
        judged = [resource for resource in report.resources if resource.kind == rule.resource]
        letters = report.outcomes[rule.id]
        assert len(letters) == len(judged)
        counts = rule.counts
        assert [letters.count(letter) for letter in "pfun"] == [
            counts.passed,
            counts.fail,
            counts.unknown,
            counts.not_applicable,
        ]


def test_findings_are_every_fail_and_unknown_worst_first() -> None:
    report = mixed_estate()
    bad = sum(rule.counts.fail + rule.counts.unknown for rule in report.rules)
    assert len(report.findings) == bad > 1
    order = {"critical": 0, "high": 1, "medium": 2, "low": 3}
    ranks = [(order[finding.severity], finding.outcome != "fail") for finding in report.findings]
    assert ranks == sorted(ranks)
    assert len({finding.fingerprint for finding in report.findings}) == bad


def test_findings_of_a_rule_are_in_the_order_of_the_resources() -> None:
    report = estate().vm("c").vm("a").vm("b").whole().audit(select=["vm-protected"]).report
    assert [finding.resource for finding in report.findings] == [resource.id for resource in report.resources]
    assert [resource.name for resource in report.resources] == ["a", "b", "c"]


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_evidence_is_the_same_however_many_resources_are_told_of_at_a_time(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("web", "db", "app", "old", "new")
    built = estate().vault("local", "LocallyRedundant")
    for number, name in enumerate(names):
        built.vm(name)
        if number % 2:
            built.item(name, "ProtectionStopped").item(f"{name}-2", sourceResourceId=vm_id(name))
    monkeypatch.setattr(evidence, "_AT_ONCE", 100)
    whole = built.audit().report
    monkeypatch.setattr(evidence, "_AT_ONCE", at_once)
    assert built.audit().report == whole
    assert len({finding.resource for finding in whole.findings}) > len(names)


def test_evidence_says_the_value_the_source_what_was_expected_or_why_it_is_not_known() -> None:
    found = estate().vault("v", None).whole().audit().finding("vault-redundancy-matches-intent", "v")
    evidence = {entry.field: entry for entry in found.evidence}
    assert evidence["vault.intent"].value == "azure"
    assert evidence["vault.intent"].source == "--primary-endpoint"
    assert evidence["vault.redundancy"].value is None
    assert "backupstorageconfig" in evidence["vault.redundancy"].reason
    assert "GeoRedundant, ReadAccessGeoZoneRedundant (parameter accept_geo)" in evidence["vault.redundancy"].expected


def test_expected_names_the_alternative_that_was_meant() -> None:
    found = estate().vault("v", "LocallyRedundant").whole().audit().finding("vault-redundancy-matches-intent", "v")
    assert found.expected.startswith("vault.intent = azure and vault.redundancy in GeoRedundant")
    assert found.observed == "vault.intent = azure, vault.redundancy = LocallyRedundant"


@given(st.text(max_size=40))
def test_no_text_becomes_a_formula_or_breaks_a_row(text: str) -> None:
    cell = harmless(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    file = io.StringIO(newline="")
    csv.writer(file).writerow([cell, "end"])
    file.seek(0)
    assert list(csv.reader(file)) == [[cell, "end"]]


def cell_by_cell(report: Report) -> bytes:
    """Write the table as plainly as it can be: every cell of every line made harmless, and quoted by ``csv``."""
    found = {(finding.rule, finding.resource): finding for finding in report.findings}
    file = io.StringIO(newline="")
    rows = csv.writer(file)
    rows.writerow(as_csv.COLUMNS)
    for rule in report.rules:
        judged = [resource for resource in report.resources if resource.kind == rule.resource]
        for of, letter in zip(judged, report.outcomes[rule.id], strict=True):
            finding = found.get((rule.id, of.id))
            said = ["true" if finding.exempt else "false", finding.message] if finding else ["false", ""]
            because = [finding.expected, finding.observed, finding.fingerprint] if finding else ["", "", ""]
            place = [of.subscription or "", of.resource_group or "", of.location or ""]
            verdict = [rule.id, of.id, OUTCOMES[letter], rule.severity]
            row = [*verdict, *said, of.kind, of.name, *place, *because, of.source]
            rows.writerow([harmless(cell) for cell in row])
    return file.getvalue().encode("utf-8-sig")


@given(st.lists(st.text(st.sampled_from("a,\"\n\r\t =-;'|\u202eé")), min_size=9, max_size=9), st.booleans())
def test_the_table_is_what_it_is_cell_by_cell(texts: list[str], exempt: bool) -> None:  # noqa: FBT001
    mixed = mixed_estate()
    name, group, place, source, message, expected, observed, path, rule = texts
    resources = [
        msgspec.structs.replace(
            of, id=of.id + path, name=name, resource_group=group or None, location=place or None, source=source
        )
        for of in mixed.resources
    ]
    findings = [
        msgspec.structs.replace(
            found,
            rule=found.rule + rule,
            resource=found.resource + path,
            message=message,
            expected=expected,
            observed=observed,
            exempt=exempt,
        )
        for found in mixed.findings
    ]
    rules = [msgspec.structs.replace(of, id=of.id + rule) for of in mixed.rules]
    outcomes = {key + rule: letters for key, letters in mixed.outcomes.items()}
    report = msgspec.structs.replace(mixed, resources=resources, findings=findings, rules=rules, outcomes=outcomes)
    assert written(as_csv, report) == cell_by_cell(report)


@settings(max_examples=examples(10))
@given(st.text(alphabet=st.characters(), min_size=1, max_size=30))
def test_any_name_is_inert_in_every_report(name: str) -> None:
    resource = estate().vm("x").resources[0] | {"name": name, "tags": {name: name}}
    files: dict[str, str | bytes] = {
        "e.json": json.dumps({"value": [resource]}),
        "name.txt": name.encode("utf-8", "replace"),
    }
    report = audit_files(files, complete=["protected_items"]).report
    page = written(as_html, report).decode()
    assert len(re.findall(r"<article ", page)) == len(report.findings) + len(report.rules)
    for line in (page, written(as_csv, report).decode("utf-8-sig")):
        assert not set(line) & set("\x1b\u202e\u200b\u0000\ud800\ufffe")
    json.loads(written(as_json, report))


@pytest.mark.parametrize(
    ("output", "module", "path"),
    [
        ("r.json", "as_json", "r.json"),
        ("a.b.csv", "as_csv", "a.b.csv"),
        ("R.HTML", "as_html", "R.HTML"),
        ("html:r.txt", "as_html", "r.txt"),
        ("r.junit.xml", "as_junit", "r.junit.xml"),
        ("junit:r.xml", "as_junit", "r.xml"),
        ("junit.xml:r", "as_junit", "r"),
        ("r.md", "as_markdown", "r.md"),
        ("r.ocsf.ndjson", "as_ocsf", "r.ocsf.ndjson"),
        ("ocsf:r.json", "as_ocsf", "r.json"),
        ("-", "as_json", "-"),
    ],
)
def test_the_suffix_or_the_prefix_tells_the_format(output: str, module: str, path: str) -> None:
    writer, found = writer_for(output)
    assert (getattr(writer, "__name__", ""), found) == (f"auditor.formats.{module}", path)


def test_an_unknown_suffix_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"report\.pdf") as error:
        writer_for("report.pdf")
    assert "json, csv, html" in error.value.hint
