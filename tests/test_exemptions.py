"""Exemptions: what is wrong with their file, what they cover, when they count, and that no outcome ever changes."""

import json
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from building import (
    NOW,
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    Audited,
    EstateBuilder,
    estate,
    group_id,
    microseconds,
    vault_id,
    vm_id,
)
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from auditor.assessment.model import ExemptionInfo, Report
from auditor.cli.question import Flags, settle
from auditor.declared.exemptions import Exemptions, load_exemptions
from auditor.errors import InputErrors, UsageError
from auditor.reference import SCHEMAS
from auditor.ruleset.load import bundled_files, load_rules, own_files

RULES = {rule.id: rule.resource for rule in load_rules(bundled_files())}
LETTERS = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
SOON, LATER, PAST = "2026-07-01T00:00:00Z", "2026-12-31T00:00:00Z", "2026-06-01T00:00:00Z"


def entry(name: str = "EX-1", rule: str = "vm-protected", **other: Any) -> dict[str, Any]:
    """Return an exemption of the VM ``db`` that counts at ``NOW``; what is ``None`` is left out."""
    whole = {
        "id": name,
        "rule": rule,
        "scope": {"id": vm_id("db")},
        "category": "waiver",
        "reason": "Rebuilt from code",
        "owner": "ada@example.com",
        "expires": LATER,
        **other,
    }
    return {key: value for key, value in whole.items() if value is not None}


def loaded(text: object, now: str | None = NOW, **other: Any) -> Exemptions:
    path = Path("exemptions.yaml")
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return load_exemptions(path, RULES, microseconds(now) if now else None, **other)


def faults_of(text: object, now: str | None = NOW, **other: Any) -> list[tuple[str, str]]:
    with pytest.raises(InputErrors) as caught:
        loaded(text, now, **other)
    return [(str(fault), fault.hint) for fault in caught.value.faults]


def exposed() -> EstateBuilder:
    """Return an estate in which only ``db`` is not backed up."""
    return estate().vm("web").item("web").vm("db", tags={"Role": "Scratch"}).whole()


# Rules that small estates give an answer to.
FEW = ["vm-protected", "vm-agent-installed", "policy-runs-per-day", "vault-redundancy-matches-intent"]


def audit(*entries: dict[str, Any], builder: EstateBuilder | None = None, **flags: Any) -> Audited:
    return (builder or exposed()).audit(exemptions=json.dumps(entries), **flags)


def info(audited: Audited, name: str = "EX-1") -> ExemptionInfo:
    (found,) = [found for found in audited.report.exemptions if found.id == name]
    return found


# The file


def test_every_key_is_read() -> None:
    (found,) = loaded(
        "- id: EX-1\n  rule: vm-protected\n"
        f"  scope: {{resource_group: {group_id('RG').upper()}/}}\n"
        "  category: mitigated\n  reason: Backed up by  another product\n  owner: ada\n  approver: grace\n"
        "  ticket: CHG-7\n  created: 2026-01-01T00:00:00+01:00\n  expires: 2026-12-31T00:00:00.5Z\n",
    ).entries
    assert (found.id, found.rule, found.subject, found.category) == ("EX-1", "vm-protected", "vm", "mitigated")
    assert (found.scope_kind, found.key) == ("resource_group", group_id("rg").lower())
    assert found.scope == group_id("RG").upper()
    assert (found.reason, found.owner, found.approver) == ("Backed up by another product", "ada", "grace")
    assert (found.ticket, found.created) == ("CHG-7", microseconds("2025-12-31T23:00:00Z"))
    assert found.expires == microseconds("2026-12-31T00:00:00.500000Z")
    assert str(found.place) == "exemptions.yaml:1:3"


@pytest.mark.parametrize("text", ["", "# none yet\n", "[]\n"])
def test_a_file_without_exemptions_exempts_nothing(text: str) -> None:
    assert loaded(text).entries == ()


@pytest.mark.parametrize(
    ("change", "fault", "hint"),
    [
        ({"id": None}, "1:2: id is missing", ""),
        ({"category": None}, "1:2: category is missing", ""),
        ({"owner": None}, "1:2: owner is missing", ""),
        ({"reason": None}, "1:2: reason is missing", ""),
        ({"expires": None}, "1:2: expires is missing", ""),
        ({"scope": None}, "1:2: scope is missing", ""),
        ({"rule": None}, "1:2: rule is missing", ""),
        ({"reason": " "}, "reason is text that is not empty", ""),
        ({"owner": ""}, "owner is text that is not empty", ""),
        ({"ticket": 12}, "ticket is text that is not empty", 'Put it in quotes: "12".'),
        ({"reson": "x"}, "unknown key reson", "Did you mean reason?"),
        ({"rule": "vm-protectd"}, "there is no rule vm-protectd", "Did you mean vm-protected?"),
        ({"category": "waver"}, "category is never waver", "Did you mean waiver?"),
        ({"expires": "2026-12-31"}, "expires has no time zone: 2026-12-31", "Write 2026-12-31T00:00:00Z."),
        ({"expires": "2026-12-31T00:00:00"}, "expires has no time zone: 2026-12-31T00:00:00", None),
        ({"expires": "next year"}, "expires is not a time: next year", None),
        ({"expires": "2026-02-30T00:00:00Z"}, "expires is not a time: 2026-02-30T00:00:00Z", None),
        ({"created": "2026-01-01"}, "created has no time zone: 2026-01-01", None),
        ({"created": LATER}, "expires is not later than created", "Check both times."),
        ({"created": "2027-01-01T00:00:00Z"}, "expires is not later than created", None),
        (
            {"created": "2025-01-01T00:00:00Z", "expires": "2026-01-01T00:00:01Z"},
            "expires is 366 days after created, and the longest term is 365",
            "Let it expire by 2026-01-01T00:00:00Z, or set exemptions: {longest_days: N} in auditor.yaml.",
        ),
        (
            {"expires": "2027-06-15T12:00:01Z"},
            "expires is 366 days after the time of the audit (created is not given), and the longest term is 365",
            "Let it expire by 2027-06-15T12:00:00Z, or set exemptions: {longest_days: N} in auditor.yaml.",
        ),
        ({"scope": {}}, "a scope goes by one thing, and this one by nothing", None),
        ({"scope": "all"}, "a scope is a mapping, such as {id: ID}", None),
        ({"scope": {"vm": "x"}}, "unknown key vm", None),
        ({"scope": {"subscripton": "x"}}, "unknown key subscripton", "Did you mean subscription?"),
        (
            {"scope": {"id": vm_id("db"), "subscription": f"/subscriptions/{SUBSCRIPTION}"}},
            "a scope goes by one thing, and this one by id and subscription",
            None,
        ),
        ({"scope": {"id": "db"}}, "db is not the id of a resource", None),
        ({"scope": {"id": group_id()}}, f"{group_id()} is not the id of a resource", None),
        ({"scope": {"id": f"{group_id()}/providers/Microsoft.Compute/virtualMachines"}}, None, None),
        ({"scope": {"id": 5}}, "5 is not the id of a resource", None),
        ({"scope": {"resource_group": "rg"}}, "rg is not the id of a resource group", None),
        ({"scope": {"resource_group": vm_id("db")}}, f"{vm_id('db')} is not the id of a resource group", None),
        ({"scope": {"subscription": SUBSCRIPTION}}, None, "Write /subscriptions/ID."),
        ({"scope": {"subscription": group_id()}}, f"{group_id()} is not the id of a subscription", None),
        ({"scope": {"tag": "role"}}, "a tag is written {name: NAME, value: VALUE}", None),
        ({"scope": {"tag": {"name": "role"}}}, "a tag is written {name: NAME, value: VALUE}", None),
        ({"scope": {"tag": {"name": "role", "value": 5}}}, "name and value of a tag are text", None),
    ],
)
def test_what_is_wrong_is_told_with_its_place(change: dict[str, Any], fault: str | None, hint: str | None) -> None:
    ((found, found_hint),) = faults_of([entry(**change)])
    assert found.startswith("exemptions.yaml:1:")
    assert fault is None or found.endswith(fault)
    assert hint is None or found_hint == hint


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = "- id: a\n  rule: vm-protectd\n  owner: ''\n- id: A\n- 5\n"
    assert [found.partition(":")[2] for found, _ in faults_of(text)] == [
        "1:3: category is missing",
        "1:3: expires is missing",
        "1:3: reason is missing",
        "1:3: scope is missing",
        "2:3: there is no rule vm-protectd",
        "3:3: owner is text that is not empty",
        "4:3: category is missing",
        "4:3: expires is missing",
        "4:3: owner is missing",
        "4:3: reason is missing",
        "4:3: rule is missing",
        "4:3: scope is missing",
        "4:3: the id A stands twice (first in line 1)",
        "5:3: an exemption is a mapping that begins with id",
    ]


def test_an_id_that_stands_twice_is_found_on_one_line_too() -> None:
    ((fault, _),) = faults_of([entry("a"), entry("a")])
    assert fault.endswith("stands twice (first in line 1)")


def test_a_file_that_is_no_list_is_refused() -> None:
    assert faults_of("exemptions: []\n") == [
        ("exemptions.yaml:1:1: exemptions are a list", "Begin each with - id: NAME.")
    ]


def test_the_longest_term_can_be_set_and_its_very_end_is_allowed() -> None:
    assert loaded([entry(expires="2027-06-15T12:00:00Z")])
    assert loaded([entry(created="2026-01-01T00:00:00Z", expires="2027-01-01T00:00:00Z")])
    assert loaded([entry(expires="2026-07-15T12:00:00Z")], longest_days=30)
    ((fault, _),) = faults_of([entry(expires="2026-07-15T12:00:01Z")], longest_days=30)
    assert fault.endswith("31 days after the time of the audit (created is not given), and the longest term is 30")


def test_without_a_time_the_term_is_checked_once_the_inventory_tells_it() -> None:
    exemptions = loaded([entry(expires="2030-01-01T00:00:00Z")], now=None)
    exemptions.check_terms(None)
    exemptions.check_terms(microseconds("2029-06-01T00:00:00Z"))
    with pytest.raises(InputErrors, match=r"exemptions\.yaml:1:2: expires is \d+ days after the time of the audit"):
        exemptions.check_terms(microseconds(NOW))


def test_the_schema_accepts_what_the_reader_accepts_and_refuses_a_misspelt_key() -> None:
    validator = Draft202012Validator(SCHEMAS["exemptions"]())
    scopes: list[dict[str, Any]] = [
        {"id": vm_id("db")},
        {"resource_group": group_id()},
        {"subscription": f"/subscriptions/{SUBSCRIPTION}"},
        {"tag": {"name": "role", "value": ""}},
    ]
    good = [entry(f"e{number}", scope=scope, created=PAST) for number, scope in enumerate(scopes)]
    assert len(loaded(good).entries) == 4
    assert list(validator.iter_errors(good)) == []
    changes: list[dict[str, Any]] = [{"reson": "x"}, {"owner": None}, {"expires": "2026-12-31"}, {"scope": {}}]
    for change in (*changes, {"category": "risk"}):
        assert not validator.is_valid([entry(**change)])


# Where the file is named


def test_a_flag_goes_before_the_configuration_and_that_before_none() -> None:
    Path("deep").mkdir()
    for name in ("deep/ours.yaml", "flag.yaml"):
        Path(name).write_text(json.dumps([entry(Path(name).stem)]), encoding="utf-8")
    config = Path("deep/auditor.yaml")

    def ids(text: str, flag: str | None = None) -> list[str]:
        config.write_text(text, encoding="utf-8")
        flags = Flags(config=config, exemptions=Path(flag) if flag else None, as_of=NOW)
        return [found.id for found in settle(flags).exemptions.entries]

    assert ids("") == []
    assert ids("exemptions: ours.yaml\n") == ["ours"]
    assert ids("exemptions: {file: ours.yaml, longest_days: 400}\n") == ["ours"]
    assert ids("exemptions: ours.yaml\n", "flag.yaml") == ["flag"]
    with pytest.raises(InputErrors, match="longest term is 30"):
        ids("exemptions: {longest_days: 30}\n", "flag.yaml")
    with pytest.raises(UsageError, match=r"cannot read deep/none\.yaml"):
        ids("exemptions: none.yaml\n")
    with pytest.raises(InputErrors, match="unknown key days"):
        ids("exemptions: {days: 30}\n")


# What counts, and when


def test_an_exempt_failure_keeps_its_outcome_and_does_not_fail_the_gate() -> None:
    without, found = audit(select=FEW), audit(entry(ticket="CHG-7"), select=FEW)
    assert (without.report.summary.gate.exit_code, found.report.summary.gate.exit_code) == (1, 0)
    assert found.report.outcomes == without.report.outcomes
    finding = found.finding("vm-protected", "db")
    assert (finding.outcome, finding.exempt) == ("fail", True)
    assert finding.exemption is not None
    assert (finding.exemption.id, finding.exemption.category, finding.exemption.owner) == (
        "EX-1",
        "waiver",
        "ada@example.com",
    )
    assert (finding.exemption.reason, finding.exemption.ticket, finding.exemption.expires) == (
        "Rebuilt from code",
        "CHG-7",
        LATER,
    )
    summary = found.report.summary
    assert (summary.verdict, summary.counts.fail, summary.counts.exempt) == ("Not compliant", 1, 1)
    assert "1 of 5 verdicts fail (1 critical; 1 exempt)" in summary.sentence
    assert (info(found).status, info(found).matched, info(found).exempted) == ("active", 1, 1)


def test_an_exemption_is_of_one_rule() -> None:
    found = audit(entry(rule="vm-agent-installed"), builder=exposed().vm("old", osProfile=None))
    assert not found.finding("vm-protected", "db").exempt
    assert found.report.summary.gate.exit_code == 1


def test_an_exempt_unknown_does_not_fail_a_strict_run_and_is_still_unknown() -> None:
    unclear = estate().vm("web").item("web").vm("db").item("db", state="NobodyKnows").whole()
    assert unclear.audit(strict=True, select=FEW).report.summary.gate.exit_code == 3
    found = audit(entry(), builder=unclear, strict=True, select=FEW).report
    assert found.summary.gate.exit_code == 0
    assert (found.summary.verdict, found.summary.counts.unknown) == ("Cannot conclude", 1)
    assert (found.summary.counts.exempt, found.summary.counts.exempt_unknown) == (0, 1)
    assert "1 is unknown (1 exempt)" in found.summary.sentence
    assert found.findings[0].exempt


def test_exempt_unknowns_do_not_make_a_rule_conclude() -> None:
    unclear = estate().vm("db").item("db", state="NobodyKnows").whole()
    found = audit(entry(), builder=unclear, select=["vm-protected"]).report.summary.gate
    assert found.exit_code == 3
    assert "came to no conclusion" in found.reasons[0]


@pytest.mark.parametrize(
    ("times", "status", "counts"),
    [
        ({"expires": LATER}, "active", True),
        ({"expires": SOON}, "expiring", True),
        ({"expires": "2026-07-15T12:00:00Z"}, "expiring", True),
        ({"expires": "2026-07-15T12:00:01Z"}, "active", True),
        ({"expires": "2026-06-15T12:00:01Z"}, "expiring", True),
        ({"expires": NOW}, "expired", False),
        ({"expires": "2026-06-15T14:00:00+02:00"}, "expired", False),
        ({"expires": PAST}, "expired", False),
        ({"created": NOW}, "active", True),
        ({"created": "2026-06-15T12:00:01Z"}, "not-yet", False),
    ],
)
def test_it_counts_from_created_until_just_before_it_expires(
    times: dict[str, str], status: str, *, counts: bool
) -> None:
    found = audit(entry(**times))
    assert info(found).status == status
    assert found.finding("vm-protected", "db").exempt is counts
    assert (info(found).matched, info(found).exempted) == (1, int(counts))
    said = [notice for notice in found.report.coverage.notices if "EX-1" in notice]
    assert bool(said) is (not counts)


def test_without_a_time_no_exemption_counts_and_that_is_said_once() -> None:
    found = audit(entry(), entry("EX-2", scope={"resource_group": group_id()}), as_of=None)
    assert [entry.status for entry in found.report.exemptions] == ["time-unknown", "time-unknown"]
    assert not any(finding.exempt for finding in found.report.findings)
    said = [notice for notice in found.report.coverage.notices if "none counts" in notice]
    assert len(said) == 1


# What is covered


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({"id": vm_id("db").upper() + "/"}, {"db"}),
        ({"resource_group": group_id().upper()}, {"db", "app", "caps"}),
        ({"subscription": f"/SUBSCRIPTIONS/{SUBSCRIPTION}"}, {"db", "app", "caps", "elsewhere"}),
        ({"subscription": f"/subscriptions/{LETTERS}"}, {"lettered"}),
        ({"resource_group": group_id("g", LETTERS.upper())}, {"lettered"}),
        ({"subscription": f"/subscriptions/{OTHER_SUBSCRIPTION}"}, {"foreign"}),
        ({"tag": {"name": "ROLE", "value": "scratch"}}, {"db", "foreign"}),
        ({"tag": {"name": "role", "value": "scrat"}}, set()),
        ({"id": vault_id()}, set()),
        ({"id": vm_id("db", "other")}, set()),
        ({"resource_group": group_id("r")}, set()),
    ],
)
def test_a_scope_covers_what_is_in_it_in_any_letter_case(scope: dict[str, Any], covered: set[str]) -> None:
    builder = (
        exposed()
        .vm("app")
        .vm("caps", id=vm_id("caps", "RG"))
        .vm("lettered", id=vm_id("lettered", "G", LETTERS.upper()))
        .vm("elsewhere", id=vm_id("elsewhere", "elsewhere"))
        .vm("foreign", id=vm_id("foreign", subscription=OTHER_SUBSCRIPTION), tags={"role": "scratch"})
    )
    found = audit(entry(scope=scope), builder=builder, config="vaults_in: same-subscription\n")
    exempt = {finding.resource.rpartition("/")[2] for finding in found.report.findings if finding.exempt}
    assert exempt == covered
    if not covered:
        assert info(found).status == "unused"
        assert any(
            "EX-1 from vm-protected is unused: its scope matches nothing" in notice
            for notice in found.report.coverage.notices
        )


@pytest.mark.parametrize("rule", ["vault-redundancy-matches-intent", "policy-runs-per-day"])
def test_a_rule_of_another_kind_is_exempted_by_its_own_resources(rule: str) -> None:
    builder = estate().vault("v", "LocallyRedundant").vault().policy(schedule={"scheduleRunFrequency": "Weekly"})
    builder = builder.vm("web").item("web").whole()
    found = audit(entry(rule=rule, scope={"resource_group": group_id()}), builder=builder)
    of_rule = [finding for finding in found.report.findings if finding.rule == rule]
    assert of_rule
    assert all(finding.exempt for finding in of_rule)
    assert not any(finding.exempt for finding in found.report.findings if finding.rule != rule)


def scopes() -> list[dict[str, Any]]:
    """Return a scope of each kind that covers ``db``, the most specific first."""
    return [
        {"id": vm_id("db")},
        {"resource_group": group_id()},
        {"tag": {"name": "role", "value": "scratch"}},
        {"subscription": f"/subscriptions/{SUBSCRIPTION}"},
    ]


@pytest.mark.parametrize("skipped", range(4))
def test_the_most_specific_live_exemption_wins_wherever_it_stands_in_the_file(skipped: int) -> None:
    entries = [
        entry(f"z{3 - number}", scope=scope, expires=PAST if number < skipped else LATER)
        for number, scope in enumerate(scopes())
    ]
    for order in permutations(entries):
        finding = audit(*order, select=["vm-protected"]).finding("vm-protected", "db")
        assert finding.exemption is not None
        assert finding.exemption.id == f"z{3 - skipped}"
        if skipped:
            break  # all orders once are enough


def test_of_two_equally_specific_the_one_that_lasts_longer_wins_and_then_the_smaller_id() -> None:
    def winner(*entries: dict[str, Any]) -> str:
        exemption = audit(*entries, select=["vm-protected"]).finding("vm-protected", "db").exemption
        assert exemption is not None
        return exemption.id

    assert winner(entry("a", expires=SOON), entry("b")) == "b"
    assert winner(entry("b"), entry("a", expires=SOON)) == "b"
    assert winner(entry("b"), entry("a")) == "a"


def test_only_the_winner_counts_an_exempted_verdict_and_all_count_what_they_match() -> None:
    found = audit(entry("wide", scope={"resource_group": group_id()}), entry("narrow"))
    assert [(e.id, e.matched, e.exempted, e.status) for e in found.report.exemptions] == [
        ("narrow", 1, 1, "active"),
        ("wide", 2, 0, "active"),
    ]


# How each stands


def test_an_exemption_of_what_passes_is_no_longer_needed() -> None:
    found = audit(entry(scope={"id": vm_id("web")}))
    assert (info(found).status, info(found).matched, info(found).exempted) == ("no-longer-needed", 1, 0)
    assert any("EX-1 from vm-protected is no longer needed" in notice for notice in found.report.coverage.notices)


def test_an_exemption_of_a_rule_that_was_not_run_is_unused() -> None:
    found = audit(entry(), select=["vm-agent-installed"])
    assert (info(found).status, info(found).matched) == ("unused", 0)
    assert any("unused: the rule was not run" in notice for notice in found.report.coverage.notices)


def test_an_exemption_of_everything_is_allowed_and_said_first() -> None:
    wide = entry(scope={"subscription": f"/subscriptions/{SUBSCRIPTION}"})
    found = audit(entry("EX-0", expires=PAST), wide, select=FEW)
    assert found.report.summary.gate.exit_code == 0
    assert found.report.coverage.notices[0] == "Exemption EX-1 exempts all 2 VMs from vm-protected."
    narrow = audit(wide, builder=exposed().vm("far", id=vm_id("far", subscription=OTHER_SUBSCRIPTION)))
    assert not any("exempts all" in notice for notice in narrow.report.coverage.notices)


def test_exempt_findings_come_last() -> None:
    findings = audit(entry(), builder=exposed().vm("app", osProfile=None)).report.findings
    assert [finding.exempt for finding in findings] == sorted(finding.exempt for finding in findings)
    assert findings[-1].exempt


# vm.exempt_from


def excluded_by_tag() -> EstateBuilder:
    return estate().vm("web").item("web").vm("db", tags={"Backup-Exclude": "yes", "role": "x"}).whole()


def outcome(*entries: dict[str, Any], builder: EstateBuilder | None = None, **flags: Any) -> str:
    found = audit(*entries, builder=builder or excluded_by_tag(), **flags)
    return found.outcome("vm-exclusion-is-exempted", "db")


def test_a_vm_kept_out_by_a_tag_needs_a_live_exemption_from_vm_protected() -> None:
    assert outcome() == "fail"
    assert excluded_by_tag().outcome("vm-exclusion-is-exempted", "db") == "fail"
    assert outcome(entry()) == "pass"
    assert outcome(entry(), select=["vm-exclusion-is-exempted"]) == "pass"
    assert outcome(entry(expires=PAST)) == "fail"
    assert outcome(entry(rule="vm-agent-installed")) == "fail"
    assert outcome(entry(scope={"id": vm_id("web")})) == "fail"
    assert outcome(entry(), as_of=None) == "unknown"
    assert outcome(entry(scope={"id": vm_id("web")}), as_of=None) == "fail"
    assert audit(builder=excluded_by_tag()).outcome("vm-exclusion-is-exempted", "web") == "not-applicable"
    for scope in scopes()[1::2]:
        assert outcome(entry(scope=scope)) == "pass"
    assert outcome(entry(scope={"tag": {"name": "role", "value": "X"}})) == "pass"


def test_its_evidence_names_the_exemption_or_says_that_there_is_none() -> None:
    def evidence(*entries: dict[str, Any], **flags: Any) -> dict[str, tuple[object, str, str]]:
        found = audit(*entries, builder=excluded_by_tag(), **flags).finding("vm-exclusion-is-exempted", "db")
        return {seen.field: (seen.value, seen.source, seen.reason) for seen in found.evidence}

    name = "vm.exempt_from.vm-protected"
    assert evidence(entry(expires=PAST))[name] == (False, "no live exemption covers it", "")
    value, _, reason = evidence(entry(), as_of=None)[name]
    assert value is None
    assert reason.startswith("the inventory does not say when it was taken")


def test_where_tags_were_not_read_an_exemption_by_tag_leaves_it_unknown(tmp_path: Path) -> None:
    rule = tmp_path / "own-exempt.yaml"
    rule.write_text(
        "id: own-exempt\ntitle: T\nseverity: low\nresource: vm\nrationale: R\nmessage: m\n"
        "require: {field: vm.exempt_from.vm-protected, equals: true}\n",
        encoding="utf-8",
    )
    builder = estate().vm("web").item("web").vm("db", tags="none").whole()
    by_tag = entry(scope={"tag": {"name": "role", "value": "x"}})

    def of(*entries: dict[str, Any]) -> list[str]:
        found = audit(*entries, builder=builder, rules=[rule])
        return [found.outcome("own-exempt", name) for name in ("web", "db")]

    assert of(by_tag) == ["fail", "unknown"]
    assert of({**by_tag, "expires": PAST}) == ["fail", "fail"]
    assert of(by_tag, entry("EX-2")) == ["fail", "pass"]
    finding = audit(by_tag, builder=builder, rules=[rule]).finding("own-exempt", "db")
    assert "its tags could not be read" in finding.message


@pytest.mark.parametrize(
    ("name", "fault", "hint"),
    [
        ("vm-protectd", "there is no rule vm-protectd to be exempt from", "Did you mean vm-protected?"),
        ("", "there is no rule  to be exempt from", None),
        ("policy-runs-per-day", "policy-runs-per-day judges each policy, so no VM is exempt from it", None),
    ],
)
def test_the_rule_that_exempt_from_names_is_checked(name: str, fault: str, hint: str | None) -> None:
    Path("own.yaml").write_text(
        "id: own\ntitle: T\nseverity: low\nresource: vm\nrationale: R\nmessage: m\n"
        f"require: {{field: vm.exempt_from.{name}, equals: true}}\n",
        encoding="utf-8",
    )
    with pytest.raises(InputErrors) as caught:
        load_rules([*bundled_files(), *own_files([Path("own.yaml")])])
    (found,) = caught.value.faults
    assert str(found) == f"own.yaml:7:11: {fault}"
    assert hint is None or found.hint == hint


def test_only_vm_rules_see_it_it_is_true_or_false_and_no_exclusion_may_ask_it() -> None:
    def fault(resource: str, condition: str) -> str:
        Path("own.yaml").write_text(
            f"id: own\ntitle: T\nseverity: low\nresource: {resource}\nrationale: R\nmessage: m\nrequire: {condition}\n",
            encoding="utf-8",
        )
        with pytest.raises(InputErrors) as caught:
            load_rules([*bundled_files(), *own_files([Path("own.yaml")])])
        return caught.value.message

    assert "does not see vm" in fault("vault", "{field: vm.exempt_from.vm-protected, equals: true}")
    assert "is not true or false" in fault("vm", "{field: vm.exempt_from.vm-protected, equals: 'yes'}")
    config = "scope: {exclude: [{reason: R, field: vm.exempt_from.vm-protected, equals: true}]}\n"
    with pytest.raises(InputErrors, match="an exclusion cannot ask for exemptions"):
        exposed().audit(config=config)


def test_a_tag_of_a_bundled_rule_that_nobody_uses_is_no_notice_unless_somebody_wrote_it() -> None:
    def notices(**flags: Any) -> str:
        return " ".join(exposed().audit(**flags).report.coverage.notices)

    assert "backup-exclude" not in notices()
    assert "no-backup" in notices(parameters=["vm-exclusion-is-exempted.tag=no-backup"])


# Laws


SCOPES = st.sampled_from([*scopes(), {"id": vm_id("web")}, {"id": vault_id()}])
TIMES = st.sampled_from([PAST, NOW, SOON, LATER])
ENTRIES = st.lists(
    st.builds(
        lambda rule, scope, expires, created: (rule, scope, expires, created),
        st.sampled_from(sorted(RULES)),
        SCOPES,
        TIMES,
        st.sampled_from([None, "2026-05-01T00:00:00Z", "2026-05-31T00:00:00Z"]),
    ),
    max_size=6,
)


@cache
def unexempted() -> Report:
    return exempting().audit(ignore=["vm-exclusion-is-exempted"]).report


def exempting() -> EstateBuilder:
    return excluded_by_tag().vm("app", osProfile=None).vault("local", "LocallyRedundant")


@settings(max_examples=examples(8))
@given(ENTRIES, st.randoms(use_true_random=False))
def test_an_exemption_never_changes_an_outcome_and_the_order_of_the_file_does_not_matter(
    drawn: list[tuple[str, dict[str, Any], str, str | None]], random: Any
) -> None:
    builder = exempting()
    entries = [
        entry(f"e{number}", rule, scope=scope, expires=expires, created=created)
        for number, (rule, scope, expires, created) in enumerate(drawn)
    ]
    plain = unexempted()
    found = audit(*entries, builder=builder, ignore=["vm-exclusion-is-exempted"]).report
    assert found.outcomes == plain.outcomes
    assert {f.fingerprint: f.outcome for f in found.findings} == {f.fingerprint: f.outcome for f in plain.findings}
    counts = found.summary.counts
    exempt = [finding for finding in found.findings if finding.exempt]
    assert counts.exempt + counts.exempt_unknown == len(exempt) == sum(info.exempted for info in found.exemptions)
    assert all(info.matched >= info.exempted for info in found.exemptions)
    shuffled = random.sample(entries, len(entries))
    again = audit(*shuffled, builder=builder, ignore=["vm-exclusion-is-exempted"]).report
    assert (again.findings, again.exemptions, again.summary) == (found.findings, found.exemptions, found.summary)
