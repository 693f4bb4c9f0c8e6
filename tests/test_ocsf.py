"""OCSF Compliance Findings: valid by the published schema, one for each verdict, and none cleaner than it is."""

import io
import json
from typing import Any

import pytest
from building import Json, estate, vault_id
from effort import examples
from forging import gated_reports
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema  # type: ignore[import-untyped]

from auditor.assessment.model import Report
from auditor.errors import UsageError
from auditor.formats import as_ocsf
from auditor.text import visible
from auditor.timestamps import parse_time

EXEMPTION = """
- id: EX-1
  rule: vault-redundancy-matches-intent
  scope: {id: %s}
  category: waiver
  reason: It goes away
  owner: Ada
  approver: Bob
  ticket: T-1
  created: 2026-06-01T00:00:00Z
  expires: 2026-07-01T00:00:00Z
"""


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    made = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.5.0"))
    schema = made.get_class_schema(class_name="compliance_finding", profiles=["cloud"])
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def base() -> Report:
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    return built.audit().report


def events_of(report: Report) -> list[Json]:
    file = io.BytesIO()
    as_ocsf.write(report, file)
    return [json.loads(line) for line in file.getvalue().decode().splitlines()]


def verdicts(events: list[Json]) -> list[Json]:
    return [event for event in events if event["compliance"]["control"] != "inventory"]


def test_events_are_valid(validator: Draft202012Validator, base: Report) -> None:
    events = events_of(base)
    assert [error.message for event in events for error in validator.iter_errors(event)] == []
    assert {event["compliance"]["status"] for event in events} == {"Pass", "Fail", "Unknown"}


@pytest.mark.parametrize(
    "breakage",
    [
        {"finding_info": {"title": "no uid"}},
        {"severity_id": 42},
        {"unheard_of": 1},
        {"cloud": {"region": "no provider"}},
        {"type_uid": 200_304},
        {"time": "2026-06-15T12:00:00Z"},
        {"compliance": {"status_id": 7}},
        {"remediation": {"references": []}},
    ],
)
def test_the_validator_refuses_what_is_broken(validator: Draft202012Validator, base: Report, breakage: Json) -> None:
    assert list(validator.iter_errors(events_of(base)[-1] | breakage))


def test_every_fingerprint_is_that_of_the_finding(base: Report) -> None:
    told = {event["finding_info"]["uid"] for event in verdicts(events_of(base)) if "unmapped" in event}
    assert told == {finding.fingerprint for finding in base.findings}


def test_an_event_has_the_time_of_the_inventory(base: Report) -> None:
    assert {event["time"] for event in events_of(base)} == {(parse_time("2026-06-15T12:00:00Z") or 0) // 1000}


def test_without_a_time_there_are_no_events() -> None:
    report = estate().vm("web").audit(as_of=None).report
    file = io.BytesIO()
    with pytest.raises(UsageError, match="need a time") as error:
        as_ocsf.write(report, file)
    assert "--as-of" in error.value.hint
    assert file.getvalue() == b""


def test_an_exempt_failure_is_suppressed_and_stays_a_failure() -> None:
    built = estate().vault("v", "LocallyRedundant").whole()
    flags = {"select": ["vault-redundancy-matches-intent"], "exemptions": EXEMPTION % vault_id("v")}
    (event,) = verdicts(events_of(built.audit(**flags).report))
    assert (event["status"], event["compliance"]["status"]) == ("Suppressed", "Fail")
    assert event["unmapped"]["exemption"]["owner"] == "Ada"


def test_what_the_baseline_knows_is_an_update() -> None:
    built = estate().vm("old").whole()
    first = built.audit(select=["vm-protected"]).report
    events = verdicts(events_of(built.vm("new").audit(select=["vm-protected"], baseline=first).report))
    activities = {event["resources"][0]["name"]: event["activity_name"] for event in events}
    assert activities == {"old": "Update", "new": "Create"}


def test_a_gap_and_an_empty_estate_are_events_of_unknown_compliance(validator: Draft202012Validator) -> None:
    events = events_of(estate().audit().report)
    assert not verdicts(events)
    assert {event["compliance"]["status"] for event in events} == {"Unknown"}
    assert "nothing was found to judge" in {event["message"] for event in events}
    assert any("not exported" in event["message"] or "in the export" in event["message"] for event in events)
    assert [error.message for event in events for error in validator.iter_errors(event)] == []


@settings(max_examples=examples(40), deadline=None)
@given(data=st.data())
def test_any_report_is_told_whole_in_valid_events(
    validator: Draft202012Validator, base: Report, data: st.DataObject
) -> None:
    report = data.draw(gated_reports(base))
    events = events_of(report)
    assert [error.message for event in events for error in validator.iter_errors(event)] == []
    assert list(map(told, verdicts(events))) == list(expected(report))
    hidden = set("\x00\x1b\u202e\u200b\ufeff\u2028")
    assert not hidden & set(json.dumps(events, ensure_ascii=False))
    assert {event["message"] for event in events} >= {visible(gap.cause) for gap in report.gaps}


def told(event: Json) -> Any:
    return (
        event["compliance"]["control"],
        event["resources"][0]["uid"],
        event["resources"][0].get("group", {}).get("name"),
        event["compliance"]["status"].lower(),
        event["status"] == "Suppressed",
        event.get("unmapped", {}).get("observed", ""),
        [entry["field"] for entry in event.get("unmapped", {}).get("evidence", [])],
        event["message"] if "unmapped" in event else "",
        event["severity"].lower(),
    )


def expected(report: Report) -> Any:
    found = {(finding.rule, finding.resource): finding for finding in report.findings}
    for rule in report.rules:
        judged = [resource for resource in report.resources if resource.kind == rule.resource]
        for resource, letter in zip(judged, report.outcomes[rule.id], strict=True):
            finding = found.get((rule.id, resource.id))
            if letter != "n":
                yield (
                    rule.id,
                    visible(resource.id),
                    resource.resource_group and visible(resource.resource_group),
                    {"p": "pass", "f": "fail", "u": "unknown"}[letter],
                    finding is not None and finding.exempt,
                    visible(finding.observed) if finding else "",
                    [entry.field for entry in finding.evidence] if finding else [],
                    visible(finding.message) if finding else "",
                    rule.severity if finding else "informational",
                )
