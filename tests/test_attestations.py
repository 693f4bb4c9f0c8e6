"""What people attest about controls: read strictly, shown with its dates, and never better than what rules say."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from building import NOW, audit_files, estate
from hypothesis import given
from hypothesis import strategies as st

from auditor.assessment.frameworks import frameworks
from auditor.assessment.model import AttestationInfo, ControlInfo, Report
from auditor.cli.question import Flags, settle
from auditor.declared.attestations import load_attestations
from auditor.errors import InputErrors, UsageError
from auditor.gate import Counts
from auditor.ruleset.frameworks import Control, Framework, control_ids, load_frameworks
from auditor.ruleset.load import bundled_files, load_rules
from auditor.timestamps import parse_time

KNOWN = control_ids(load_frameworks(), load_rules(bundled_files()))
BOUND = settle(Flags(select=["vm-protected"])).rules[0]
GOOD = {
    "framework": "nist-800-53",
    "control": "CP-9(1)",
    "statement": "Ten VMs were read back and compared",
    "by": "Iris Ward, backup team",
    "date": "2026-05-01",
    "expires": "2026-11-01",
    "evidence": "https://wiki.example.com/restore-tests/2026-05",
}


def yaml_of(*entries: dict[str, Any]) -> str:
    lines = []
    for entry in entries:
        mark = "- "
        for key, value in entry.items():
            lines.append(f"{mark}{key}: {value}")
            mark = "  "
    return "\n".join(lines) + "\n"


def faults(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "attestations.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputErrors) as caught:
        load_attestations(tmp_path / "attestations.yaml", KNOWN)
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]


def without(key: str, **changed: Any) -> dict[str, Any]:
    return {**{name: value for name, value in GOOD.items() if name != key}, **changed}


def report_with(*entries: dict[str, Any], **flags: Any) -> Report:
    built = estate().vm("web").item("web").vault().policy().whole()
    return built.audit(attestations=yaml_of(*entries), **flags).report


def control_of(report: Report, framework: str, control: str) -> ControlInfo:
    return next(
        info for entry in report.frameworks if entry.id == framework for info in entry.controls if info.id == control
    )


# The file


def test_what_is_right_is_read_the_newest_first(tmp_path: Path) -> None:
    older = {**GOOD, "date": "2026-04-01T10:00:00+02:00", "control": "cp-9(1)"}
    (tmp_path / "a.yaml").write_text(yaml_of(older, GOOD), encoding="utf-8")
    first, second = load_attestations(tmp_path / "a.yaml", KNOWN).entries
    assert (first.date, first.expires) == (parse_time("2026-05-01T00:00:00Z"), parse_time("2026-11-01T00:00:00Z"))
    assert second.date == parse_time("2026-04-01T08:00:00Z")
    assert first.control == second.control == "CP-9(1)"
    assert (first.by, first.evidence) == (GOOD["by"], GOOD["evidence"])


def test_an_empty_file_attests_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("", encoding="utf-8")
    assert load_attestations(tmp_path / "a.yaml", KNOWN).entries == ()


@pytest.mark.parametrize("key", GOOD)
def test_every_part_is_needed_and_is_text(tmp_path: Path, key: str) -> None:
    assert faults(tmp_path, yaml_of(without(key))) == [f"attestations.yaml:1:3: {key} is missing"]
    assert faults(tmp_path, yaml_of({**without(key), key: "[]"}))[0].endswith(f": {key} is text that is not empty")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (without("", framework="nist"), "1:3: there is no framework nist"),
        (without("", control="CP-99"), "2:3: nist-800-53 has no control CP-99 that is known here"),
        (without("", control="BR-4"), "2:3: nist-800-53 has no control BR-4 that is known here"),
        (without("", date="2026-05-01T10:00:00"), "5:3: date has no time zone: 2026-05-01T10:00:00"),
        (without("", date="May 2026"), "5:3: date is not a date or time: May 2026"),
        (without("", date="2026-02-30"), "5:3: date is not a date or time: 2026-02-30"),
        (without("", expires="2026-05-01"), "6:3: expires is not later than date"),
        (without("", expiry="2026-05-01"), "8:3: unknown key expiry"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, entry: dict[str, Any], said: str) -> None:
    assert faults(tmp_path, yaml_of(entry)) == [f"attestations.yaml:{said}"]


def test_what_was_meant_is_guessed(tmp_path: Path) -> None:
    wrong = yaml_of(without("", framework="nist-800-35"), without("", control="CP-9(11)"))
    (tmp_path / "a.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(InputErrors) as caught:
        load_attestations(tmp_path / "a.yaml", KNOWN)
    assert [fault.hint for fault in caught.value.faults] == ["Did you mean nist-800-53?", "Did you mean CP-9(1)?"]


def test_the_same_twice_is_an_error(tmp_path: Path) -> None:
    said = "attestations.yaml:8:3: the same is attested twice (first in line 1)"
    assert faults(tmp_path, yaml_of(GOOD, GOOD)) == [said]
    assert faults(tmp_path, "framework: mcsb\n")[0] == "attestations.yaml:1:1: attestations are a list"
    assert faults(tmp_path, "- mcsb\n")[0].endswith("an attestation is a mapping that begins with framework")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        settle(Flags(attestations=tmp_path / "none.yaml"))


def test_a_control_that_only_a_rule_of_ones_own_names_may_be_attested(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "id: own\ntitle: T\nseverity: low\nresource: vm\nrationale: R\ncontrols: {dora: [9(4)(c)]}\n"
        "require: {field: vm.agent, equals: ready}\nmessage: m\n",
        encoding="utf-8",
    )
    (tmp_path / "a.yaml").write_text(yaml_of({**GOOD, "framework": "dora", "control": "9(4)(C)"}), encoding="utf-8")
    found = settle(Flags(rules=[tmp_path / "own.yaml"], attestations=tmp_path / "a.yaml"))
    assert [entry.control for entry in found.attestations.entries] == ["9(4)(c)"]


# What comes of it


def test_a_control_that_no_rule_can_tell_is_attested_and_does_not_hold() -> None:
    report = report_with(GOOD)
    control = control_of(report, "nist-800-53", "CP-9(1)")
    assert control.state == "attested"
    assert control.counts == Counts()
    assert control.attestations == [
        AttestationInfo(
            statement="Ten VMs were read back and compared",
            by="Iris Ward, backup team",
            date="2026-05-01",
            expires="2026-11-01",
            evidence="https://wiki.example.com/restore-tests/2026-05",
            status="active",
        )
    ]
    assert control_of(report, "nist-800-53", "CP-9(2)").state == "no-evidence"


@pytest.mark.parametrize(
    ("date", "expires", "status", "state"),
    [
        ("2026-05-01", "2026-06-15T12:00:00Z", "expired", "no-evidence"),
        ("2026-05-01", "2026-06-15T12:00:01Z", "expiring", "attested"),
        ("2026-06-15T12:00:00Z", "2027-01-01", "active", "attested"),
        ("2026-06-15T12:00:01Z", "2027-01-01", "not-yet", "no-evidence"),
        ("2026-06-16", "2027-01-01", "not-yet", "no-evidence"),
    ],
)
def test_it_counts_at_the_time_of_the_inventory_only(date: str, expires: str, status: str, state: str) -> None:
    assert NOW == "2026-06-15T12:00:00Z"
    report = report_with({**GOOD, "date": date, "expires": expires})
    control = control_of(report, "nist-800-53", "CP-9(1)")
    assert ([entry.status for entry in control.attestations], control.state) == ([status], state)
    noticed = [line for line in report.coverage.notices if "CP-9(1)" in line]
    assert bool(noticed) == (state == "no-evidence")


def test_one_that_counts_is_enough_and_an_expired_one_is_shown_beside_it() -> None:
    expired = {**GOOD, "date": "2025-05-01", "expires": "2026-05-01"}
    control = control_of(report_with(expired, GOOD), "nist-800-53", "CP-9(1)")
    assert control.state == "attested"
    assert [entry.status for entry in control.attestations] == ["active", "expired"]


def test_nothing_counts_where_nobody_knows_the_time() -> None:
    report = report_with(GOOD, as_of=None)
    control = control_of(report, "nist-800-53", "CP-9(1)")
    assert (control.state, control.attestations[0].status) == ("no-evidence", "time-unknown")


def test_attestations_change_no_verdict_and_no_exit_code() -> None:
    built = estate().vm("web").vault().policy().whole()
    plain = built.audit().report
    attested = built.audit(attestations=yaml_of({**GOOD, "control": "CP-9"}, GOOD)).report
    assert attested.outcomes == plain.outcomes
    assert attested.summary == plain.summary
    assert control_of(plain, "nist-800-53", "CP-9").state == "fails"
    found = control_of(attested, "nist-800-53", "CP-9")
    assert (found.state, len(found.attestations)) == ("fails", 1)


def test_a_rule_that_was_not_run_is_not_talked_away() -> None:
    report = report_with({**GOOD, "control": "CP-9(3)"})
    assert control_of(report, "nist-800-53", "CP-9(3)").state == "not-judged"


STATES = st.builds(
    Counts,
    passed=st.integers(0, 1),
    fail=st.integers(0, 1),
    unknown=st.integers(0, 1),
    not_applicable=st.integers(0, 1),
)


@given(counts=STATES, whole=st.booleans(), status=st.sampled_from(["active", "expiring", "expired", "not-yet"]))
def test_no_state_that_a_rule_gives_becomes_another_one(counts: Counts, whole: bool, status: Any) -> None:  # noqa: FBT001
    rule = BOUND.rule
    name, (control, *_) = next(iter(rule.controls.items()))
    catalogue = [Framework(id=name, title="F", reference="", controls=(Control(id=control, title="T"),))]
    unread = frozenset() if whole else frozenset({rule.id})
    said = {
        (name, control.lower()): [
            AttestationInfo(statement="s", by="b", date="d", expires="e", evidence="r", status=status)
        ]
    }
    asked = (catalogue, [(BOUND, counts)], [rule], "hardened", unread)
    plain, attested = frameworks(*asked)[0].controls[0], frameworks(*asked, said)[0].controls[0]
    assert attested.state == plain.state
    assert attested.attestations == said[name, control.lower()]


def test_the_run_is_another_one_with_other_attestations() -> None:
    one, two = report_with(GOOD), report_with({**GOOD, "by": "somebody else"})
    assert len({one.run_id, two.run_id, audited_whole().run_id}) == 3
    assert one.options.attestations_sha256 not in (None, two.options.attestations_sha256)


def test_the_configuration_may_name_the_file(tmp_path: Path) -> None:
    files = {"estate.json": '{"value": []}'}
    with pytest.raises(UsageError, match=r"cannot read .*statements\.yaml"):
        audit_files(files, config="attestations: statements.yaml\n")
    (tmp_path / "auditor.yaml").write_text("attestations: said/a.yaml\n", encoding="utf-8")
    (tmp_path / "said").mkdir()
    (tmp_path / "said" / "a.yaml").write_text(yaml_of(GOOD), encoding="utf-8")
    found = settle(Flags(config=tmp_path / "auditor.yaml"))
    assert len(found.attestations.entries) == 1


# One framework only


@cache
def audited_whole() -> Report:
    return estate().vm("web").item("web").vault().policy().whole().audit().report


@pytest.mark.parametrize("framework", ["nist-800-53", "iso-27001", "mcsb", "cis", "dora", "soc2", "azure-policy"])
def test_a_framework_selects_the_rules_that_bear_on_it_and_hides_the_others(framework: str) -> None:
    built = estate().vm("web").item("web").vault().policy().whole()
    everything, report = audited_whole(), built.audit(framework=framework).report
    wanted = {rule.id for rule in everything.rules if framework in rule.controls}
    assert {rule.id for rule in report.rules} == wanted
    assert [entry.id for entry in report.frameworks] == [framework]
    assert {name for rule in report.rules for name in rule.controls} == {framework}
    assert report.options.framework == framework
    assert {rule: report.outcomes[rule] for rule in wanted} == {rule: everything.outcomes[rule] for rule in wanted}
    states = {control.id: control.state for control in report.frameworks[0].controls}
    of_all = next(entry for entry in everything.frameworks if entry.id == framework)
    assert states == {control.id: control.state for control in of_all.controls}


def test_a_framework_that_there_is_not_and_one_without_a_rule_are_errors() -> None:
    with pytest.raises(UsageError, match="--framework is never nist") as caught:
        settle(Flags(framework="nist"))
    assert caught.value.hint
    with pytest.raises(UsageError, match="none of the selected rules bears on soc2"):
        settle(Flags(framework="soc2", select=["vault-immutability"]))
