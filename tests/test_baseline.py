"""Reading a report again, and telling from it what is new: nothing may count as known that was not accepted then."""

import hashlib
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from building import NOW, OTHER_SUBSCRIPTION, EstateBuilder, estate, vm_id
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from test_exemptions import LATER, PAST, entry

from auditor.assessment.assess import content_sha256, sign
from auditor.assessment.baseline import compare, new_violations, same_estate, with_baseline
from auditor.assessment.model import SCHEMA_VERSION, Report
from auditor.cli.question import Flags, settle
from auditor.errors import UsageError
from auditor.formats import as_json
from auditor.formats.from_json import read_report

STATES = ["Protected", "ProtectionStopped", "NobodyKnows", "none", "absent"]


def named(*vms: str, **states: str) -> EstateBuilder:
    """Return an estate with these VMs: protected ones, and others in a state (``none``: no item, ``absent``: no VM)."""
    builder = estate().vm("always").item("always")
    for name, state in [*((vm, "Protected") for vm in vms), *states.items()]:
        if state != "absent":
            builder.vm(name)
        if state not in ("absent", "none"):
            builder.item(name, state=state)
    return builder.whole()


@cache
def _known(states: tuple[tuple[str, str], ...]) -> Report:
    return named(**dict(states)).audit(select=["vm-protected"]).report


def known(**states: str) -> Report:
    """Return the report on an estate with VMs in these states; each is made once."""
    return _known(tuple(sorted(states.items())))


def report_of(builder: EstateBuilder, **flags: Any) -> Report:
    return builder.audit(**{"select": ["vm-protected"], **flags}).report


def written(report: Report, name: str = "report.json") -> Path:
    file = io.BytesIO()
    as_json.write(report, file)
    Path(name).write_bytes(file.getvalue())
    return Path(name)


def marks(old: Report, new: Report) -> dict[str, str | None]:
    """Return new or unchanged by the name of the resource."""
    return {finding.resource.rpartition("/")[2]: finding.baseline for finding in with_baseline(new, old).findings}


# Reading


def test_a_report_reads_back_as_it_was_written() -> None:
    report = report_of(
        named("web", db="none"), parameters=["vm-protected.grace_hours=0.1"], exemptions=json.dumps([entry()])
    )
    again = read_report(written(report))
    assert again == report
    assert written(again, "again.json").read_bytes() == Path("report.json").read_bytes()
    assert content_sha256(again) == report.content_sha256


@pytest.mark.parametrize("config", ["", "parameters: {vm-protected: {grace_hours: 48}}\n"])
def test_numbers_read_back_to_the_same_bytes(config: str) -> None:
    report = estate().vm("db").whole().audit(config=config).report
    assert written(read_report(written(report)), "again.json").read_bytes() == Path("report.json").read_bytes()


def refused(data: bytes | str) -> str:
    Path("bad.json").write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(UsageError) as caught:
        read_report(Path("bad.json"))
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


def resigned(change: Any) -> str:
    """Return a report with a change, signed again, as somebody who knows how could do."""
    value = json.loads(written(known(db="none", web="Protected")).read_bytes())
    change(value)
    content = {key: part for key, part in value.items() if key != "content_sha256"}
    value["content_sha256"] = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    return json.dumps(value)


def test_what_is_no_whole_unedited_report_of_this_version_is_refused() -> None:
    whole = written(known(db="none", web="Protected")).read_bytes()
    assert "is not JSON, or cut off" in refused(whole[:-20])
    assert "is not JSON, or cut off" in refused(b"")
    assert "is not JSON, or cut off" in refused(b"[" * 100_000)
    assert "is no report of auditor" in refused("[]")
    assert "is no report of auditor" in refused("{}")
    assert "was edited or damaged" in refused(whole.replace(b'"fail": 1', b'"fail": 0', 1))
    assert "was edited or damaged" in refused(whole.replace(b'"content_sha256": "', b'"content_sha256": "0', 1))
    assert "is a report of schema version 2.0" in refused(
        whole.replace(b'"schema_version": "1.0"', b'"schema_version": "2.0"')
    )
    with pytest.raises(UsageError, match=r"cannot read none\.json"):
        read_report(Path("none.json"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda value: value.pop("rules"), "missing required field"),
        (lambda value: value["outcomes"].update({"vm-protected": "pf"}), "not one letter for each vm"),
        (lambda value: value["outcomes"].update({"vm-protected": "pfx"}), "not one letter for each vm"),
        (lambda value: value["outcomes"].update({"other": ""}), "rules and outcomes differ"),
        (lambda value: value["resources"].append(value["resources"][0]), None),
        (lambda value: value["findings"][0].update({"resource": "/x"}), "a finding is about what it does not hold"),
        (lambda value: value["findings"][0].update({"rule": "x"}), "a finding is about what it does not hold"),
    ],
)
def test_a_report_whose_parts_disagree_is_refused_even_when_it_is_signed(change: Any, fault: str | None) -> None:
    said = refused(resigned(change))
    assert fault is None or fault in said


def test_a_signed_report_that_agrees_is_read() -> None:
    Path("good.json").write_text(resigned(lambda value: value["tool"].update({"version": "0.0.1"})))
    assert read_report(Path("good.json")).tool.version == "0.0.1"


def test_a_report_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.formats.from_json.MAX_BYTES", 100)
    path = written(known(web="Protected"))
    with pytest.raises(UsageError, match="is larger than"):
        read_report(path)


# New and unchanged


@pytest.mark.parametrize("then", STATES)
@pytest.mark.parametrize("now", STATES)
def test_a_finding_is_unchanged_only_when_the_same_resource_had_the_same_outcome(then: str, now: str) -> None:
    outcomes = {
        "Protected": "pass",
        "ProtectionStopped": "fail",
        "NobodyKnows": "unknown",
        "none": "fail",
        "absent": "",
    }
    old, new = known(db=then), known(db=now)
    marked = with_baseline(new, old)
    if outcomes[now] in ("pass", ""):
        assert "db" not in marks(old, new)
    else:
        assert marks(old, new)["db"] == ("unchanged" if outcomes[then] == outcomes[now] else "new")
    assert marked.baseline is not None
    assert marked.baseline.fixed == int((outcomes[then], outcomes[now]) == ("fail", "pass"))
    assert marked.outcomes == new.outcomes


def test_ids_are_compared_without_letter_case() -> None:
    old = report_of(estate().vm("db").whole())
    new = report_of(estate().vm("db", id=vm_id("DB").replace("resourceGroups", "RESOURCEGROUPS")).whole())
    assert set(marks(old, new).values()) == {"unchanged"}


def test_a_failure_whose_exemption_ended_is_new() -> None:
    exempt = report_of(named(db="none"), exemptions=json.dumps([entry(expires=LATER)]))
    ended = report_of(named(db="none"), exemptions=json.dumps([entry(expires=PAST)]))
    plain = known(db="none")
    assert marks(exempt, ended) == {"db": "new"}
    assert marks(exempt, plain) == {"db": "new"}
    assert marks(exempt, exempt) == {"db": "unchanged"}
    assert marks(plain, exempt) == {"db": "unchanged"}
    assert new_violations(with_baseline(ended, exempt)) == {"vm-protected": 1}
    assert new_violations(with_baseline(exempt, known(db="Protected"))) == {}


def test_a_failure_of_a_rule_that_was_not_run_is_new() -> None:
    old = report_of(named(db="none"), select=["vm-agent-installed"])
    assert marks(old, known(db="none")) == {"db": "new"}
    marked = with_baseline(known(db="none"), old).baseline
    assert marked is not None
    assert "vm-protected was run in the new report only." in marked.not_comparable


def test_a_rule_that_judges_otherwise_is_named_and_its_verdicts_are_compared_all_the_same() -> None:
    def changed(**flags: Any) -> dict[str, str]:
        new = report_of(named(db="none"), **flags)
        assert marks(known(db="none"), new) == {"db": "unchanged"}
        baseline = with_baseline(new, known(db="none")).baseline
        assert baseline is not None
        return {key: what for entry in baseline.rules_changed for key, what in entry.changed.items()}

    assert changed() == {}
    assert changed(parameters=["vm-protected.grace_hours=24.0"]) == {}
    assert changed(parameters=["vm-protected.grace_hours=48"]) == {"parameter grace_hours": "24 -> 48"}
    assert changed(config="severities: {vm-protected: low}\n") == {"severity": "critical -> low"}
    Path("vm-protected.yaml").write_text(
        "id: vm-protected\ntitle: T\nseverity: critical\nresource: vm\nrationale: R\nmessage: m\noverrides: true\n"
        "require: {field: item.state, equals: protected}\n",
        encoding="utf-8",
    )
    assert "rule" in changed(rules=[Path("vm-protected.yaml").resolve()])


def test_what_passes_by_a_loosened_rule_is_not_called_fixed() -> None:
    old = report_of(named(db="ProtectionStopped"))
    new = report_of(named(db="ProtectionStopped"), parameters=["vm-protected.accept=[protected, stopped]"])
    diff = compare(old, new)
    assert (diff.counts["fixed"], diff.counts["passes-by-changed-rule"]) == (0, 1)
    assert (
        compare(report_of(named(db="none"), config="severities: {vm-protected: low}\n"), known(db="Protected")).counts[
            "fixed"
        ]
        == 1
    )


def test_reports_without_a_common_subscription_are_of_different_estates() -> None:
    one = report_of(estate().vm("a"))
    other = report_of(estate().vm("a", id=vm_id("a", subscription=OTHER_SUBSCRIPTION)))
    both = report_of(estate().vm("a").vm("b", id=vm_id("b", subscription=OTHER_SUBSCRIPTION)))
    nothing = report_of(EstateBuilder())
    assert not same_estate(one, other)
    assert same_estate(one, both)
    assert same_estate(one, nothing)
    assert same_estate(nothing, nothing)


# The gate


def gate(old: Report | None, builder: EstateBuilder, **flags: Any) -> tuple[int, list[str]]:
    found = builder.audit(select=["vm-protected"], baseline=old, **flags).report.summary.gate
    return found.exit_code, found.reasons


def test_only_new_violations_fail_the_gate_when_it_asks_for_new_ones() -> None:
    failing, more = named(db="none"), named(db="none", app="none")
    old = report_of(failing)
    assert gate(old, failing, fail_on="new:high") == (0, ["no new violation of severity high or higher"])
    assert gate(old, more, fail_on="new:high") == (1, ["new violations of severity high or higher: 1 of vm-protected"])
    assert gate(old, failing, fail_on="high")[0] == 1
    assert gate(old, more, fail_on="never")[0] == 0
    assert gate(old, more, config="fail_on: new:high\n")[0] == 1
    assert gate(old, more, fail_on="new:critical", config="severities: {vm-protected: low}\n")[0] == 0
    assert gate(None, failing, fail_on="new:high")[0] == 1


def test_what_was_not_known_to_fail_is_new_for_the_gate() -> None:
    failing = named(db="none")
    for then in ("absent", "Protected", "NobodyKnows"):
        assert gate(known(db=then), failing, fail_on="new:high")[0] == 1, then
    exempt = report_of(failing, exemptions=json.dumps([entry()]))
    assert gate(exempt, failing, fail_on="new:high")[0] == 1
    assert gate(known(db="Protected"), failing, fail_on="new:high", exemptions=json.dumps([entry()]))[0] == 0


def test_a_baseline_does_not_make_an_answer_reliable() -> None:
    builder = estate().vm("web").vault().policy()
    assert gate(report_of(builder), builder, fail_on="new:high")[0] == 3
    unclear = named(db="NobodyKnows")
    assert gate(report_of(unclear), unclear, fail_on="new:high", strict=True)[0] == 3


def test_the_report_says_what_it_was_compared_with_and_is_signed() -> None:
    old = report_of(named(db="none", gone="none", mended="none"))
    found = named("mended", db="none", app="none").audit(select=["vm-protected"], baseline=old).report
    assert found.baseline is not None
    assert (found.baseline.content_sha256, found.baseline.as_of) == (old.content_sha256, NOW)
    assert (found.baseline.new, found.baseline.unchanged, found.baseline.fixed) == (1, 1, 1)
    assert content_sha256(found) == found.content_sha256
    assert read_report(written(found)) == found


def test_the_report_lists_what_is_no_finding_any_more_and_counts_the_rest() -> None:
    old = report_of(named(db="none", gone="none", mended="none", clear="NobodyKnows", bld="none", lost="Protected"))
    new = named("mended", "clear", db="none", app="none", bld="none", lost="none").audit(
        select=["vm-protected"], baseline=old, config="scope: {exclude: [{reason: R, field: vm.name, equals: bld}]}\n"
    )
    baseline = new.report.baseline
    assert baseline is not None
    assert [(change.change, change.resource.rpartition("/")[2]) for change in baseline.changes] == [
        ("fixed", "mended"),
        ("no-longer-unknown", "clear"),
        ("no-longer-applicable", "bld"),
    ]
    (rule,) = baseline.rules
    assert {name: count for name, count in rule.counts.items() if count} == {
        "new": 2,
        "fixed": 1,
        "no-longer-unknown": 1,
        "no-longer-applicable": 1,
        "unchanged": 1,
    }
    assert (baseline.appeared, baseline.gone) == (1, 1)


def test_a_rule_of_which_no_verdict_changed_is_not_among_those_that_did() -> None:
    both = ["vm-protected", "vm-agent-installed"]
    old = named(db="none").audit(select=both).report
    found = named("db").audit(select=both, baseline=old).report.baseline
    assert found is not None
    assert [entry.rule for entry in found.rules] == ["vm-protected"]


def test_what_passes_by_a_changed_rule_is_listed_under_that_name() -> None:
    new = report_of(named(db="ProtectionStopped"), parameters=["vm-protected.accept=[protected, stopped]"])
    marked = with_baseline(new, report_of(named(db="ProtectionStopped"))).baseline
    assert marked is not None
    assert [change.change for change in marked.changes] == ["passes-by-changed-rule"]


@pytest.mark.parametrize("word", ["new:critical", "new:high", "new:medium", "new:low"])
def test_the_configuration_takes_new_thresholds(word: str) -> None:
    Path("auditor.yaml").write_text(f"fail_on: {word}\n")
    assert settle(Flags()).config.fail_on == word
    assert settle(Flags(fail_on="never")).config.fail_on == "never"


# Laws


ESTATES = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(STATES), max_size=3)


@settings(max_examples=examples(8))
@given(ESTATES, ESTATES)
def test_new_and_unchanged_are_all_findings_and_the_sections_add_up(then: dict[str, str], now: dict[str, str]) -> None:
    old, new = known(**then), known(**now)
    marked = with_baseline(new, old)
    assert marked.baseline is not None
    assert marked.baseline.new + marked.baseline.unchanged == len(new.findings)
    assert all(finding.baseline in ("new", "unchanged") for finding in marked.findings)
    diff = compare(old, new)
    assert diff.counts["new"] + diff.counts["became-unknown"] == marked.baseline.new
    assert diff.counts["unchanged"] == marked.baseline.unchanged
    assert sum(diff.counts[name] for name in diff.counts if name != "unchanged") == len(diff.changes)
    for name, count in diff.counts.items():
        assert sum(rule.counts[name] for rule in diff.rules) == count
    found = {(finding.rule, finding.resource) for finding in new.findings}
    assert marked.baseline.changes == [change for change in diff.changes if (change.rule, change.resource) not in found]
    assert [rule for rule in diff.rules if rule.counts["unchanged"] != sum(rule.counts.values())] == (
        marked.baseline.rules
    )
    assert (marked.baseline.appeared, marked.baseline.gone) == (len(diff.appeared), len(diff.gone))
    gone = {resource.id for resource in diff.gone}
    assert not gone & {change.resource for change in diff.changes}


@settings(max_examples=examples(8))
@given(ESTATES)
def test_a_report_compared_with_itself_has_nothing_new(states: dict[str, str]) -> None:
    report = known(**states)
    diff = compare(report, report)
    assert (diff.changes, diff.appeared, diff.gone, diff.rules_changed) == ([], [], [], [])
    assert diff.not_comparable == []
    assert set(marks(report, report).values()) <= {"unchanged"}
    assert new_violations(with_baseline(report, report)) == {}


def test_the_schema_version_is_the_one_that_is_written() -> None:
    assert known(web="Protected").schema_version == SCHEMA_VERSION
    assert sign(known(web="Protected")).content_sha256 == known(web="Protected").content_sha256
