"""What is said of the controls of frameworks: no more than the verdicts do, and what needs other evidence is named."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from building import SUBSCRIPTION, EstateBuilder, estate
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from test_exemptions import entry

from auditor.assessment.frameworks import frameworks, natural
from auditor.assessment.model import ControlInfo, FrameworkInfo, Report
from auditor.gate import Counts
from auditor.ruleset.frameworks import Control, Framework, load_frameworks
from auditor.ruleset.load import FRAMEWORKS, bundled_files, load_rules
from auditor.ruleset.model import BoundRule, Rule

RULES = load_rules(bundled_files())
CATALOGUE = load_frameworks()
NAMED = {(name, control) for rule in RULES for name, ids in rule.controls.items() for control in ids}
LISTED = {(framework.id, control.id): control for framework in CATALOGUE for control in framework.controls}


# The catalogue


def test_the_catalogue_knows_every_framework_that_a_rule_may_name() -> None:
    assert [framework.id for framework in CATALOGUE] == sorted(FRAMEWORKS)
    assert all(framework.title and framework.reference.startswith("https://") for framework in CATALOGUE)


def test_the_catalogue_knows_every_control_that_a_bundled_rule_names() -> None:
    assert NAMED - LISTED.keys() == set()


def test_controls_stand_once_in_their_order_with_a_title() -> None:
    assert sum(len(framework.controls) for framework in CATALOGUE) == len(LISTED)
    for framework in CATALOGUE:
        if framework.id != "azure-policy":
            ids = [control.id for control in framework.controls]
            assert ids == sorted(ids, key=natural)
    assert all(control.title for control in LISTED.values())


def test_a_control_without_a_rule_says_what_evidence_it_needs() -> None:
    without = LISTED.keys() - NAMED
    assert all(LISTED[key].note.startswith("Needs ") for key in without)
    assert all(LISTED[key].note.endswith(".") for key in LISTED if LISTED[key].note)


@pytest.mark.parametrize(
    ("framework", "control"),
    [
        ("nist-800-53", "CP-4"),
        ("nist-800-53", "CP-9(1)"),
        ("nist-800-53", "CP-9(2)"),
        ("iso-27001", "A.5.29"),
        ("iso-27001", "A.5.30"),
        ("mcsb", "BR-4"),
        ("soc2", "A1.3"),
        ("dora", "12(7)"),
        ("cis", "11.5"),
    ],
)
def test_tests_of_restores_are_in_the_catalogue_and_no_rule_claims_them(framework: str, control: str) -> None:
    assert (framework, control) in LISTED.keys() - NAMED


# States


def rule(name: str, controls: Mapping[str, tuple[str, ...]], profiles: tuple[str, ...] = ("baseline",)) -> Rule:
    return replace(RULES[0], id=name, controls=controls, profiles={profile: {} for profile in profiles})


def bound(made: Rule) -> BoundRule:
    return BoundRule(made, made.severity, {}, None, made.require)


def said(
    run: Mapping[str, Counts],
    others: tuple[str, ...] = (),
    *,
    unread: frozenset[str] = frozenset(),
    note: str = "",
) -> ControlInfo:
    """Return what is said of one control, all of whose rules these are."""
    known = [rule(name, {"mcsb": ("BR-1",)}) for name in (*run, *others)]
    judged = [(bound(made), run[made.id]) for made in known if made.id in run]
    catalogue = [Framework(id="mcsb", title="M", reference="", controls=(Control(id="BR-1", title="T", note=note),))]
    ((control,),) = (entry.controls for entry in frameworks(catalogue, judged, known, "baseline", unread))
    return control


COUNTS = st.builds(
    Counts,
    passed=st.integers(0, 2),
    fail=st.integers(0, 2),
    unknown=st.integers(0, 2),
    not_applicable=st.integers(0, 2),
)
NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    run=st.dictionaries(NAMES, COUNTS), others=st.lists(st.sampled_from(["x", "y"]), unique=True), unread=st.sets(NAMES)
)
def test_a_control_says_no_more_than_its_verdicts(run: dict[str, Counts], others: list[str], unread: set[str]) -> None:
    found = said(run, tuple(others), unread=frozenset(unread))
    verdicts = [
        word
        for counts in run.values()
        for word in ["p"] * counts.passed + ["f"] * counts.fail + ["u"] * counts.unknown + ["n"] * counts.not_applicable
    ]
    if "f" in verdicts:
        assert found.state == "fails"
    elif "u" in verdicts or unread & run.keys():
        assert found.state == "cannot-conclude"
    elif "p" in verdicts:
        assert found.state == "holds"
    elif run or others:
        assert found.state == "not-judged"
    else:
        assert found.state == "no-evidence"
    assert found.rules == sorted(run)
    assert found.counts.total == len(verdicts)
    assert all(name in found.note for name in others)


def test_an_exempt_failure_fails_and_is_counted_as_exempt() -> None:
    found = said({"a": Counts(passed=3), "b": Counts(fail=1, exempt=1, unknown=2, exempt_unknown=1)})
    assert found.state == "fails"
    assert found.counts == Counts(passed=3, fail=1, exempt=1, unknown=2, exempt_unknown=1)


def test_a_note_names_what_was_not_read_and_not_run_before_what_rules_cannot_show() -> None:
    found = said({"a": Counts(passed=1)}, ("x",), unread=frozenset({"a"}), note="Needs more.")
    assert found.note == "Not all was read of what is judged by: a. Not run: x. Needs more."
    assert said({"a": Counts(passed=1)}, note="Needs more.").note == "Needs more."
    assert said({}).note == ""


def test_a_rule_of_another_profile_is_named_with_it() -> None:
    known = [rule("a", {"mcsb": ("BR-1",)}, ("hardened",)), rule("b", {"mcsb": ("BR-1",)}, ("baseline", "hardened"))]
    (found,) = frameworks([], [], known, "baseline", ())
    assert found.controls[0].note == "Not run: a (profile hardened), b."


def test_what_only_rules_name_comes_after_the_known_in_its_own_order() -> None:
    controls = {"zzz": ("1",), "aaa": ("2",), "mcsb": ("BR-10", "BR-9", "BR-1", "AA-1")}
    catalogue = [Framework(id="mcsb", title="M", reference="https://x", controls=(Control(id="BR-1", title="T"),))]
    found = frameworks(catalogue, [(bound(rule("own", controls)), Counts(passed=1))], (), "baseline", ())
    assert [(entry.id, entry.title, entry.reference) for entry in found] == [
        ("mcsb", "M", "https://x"),
        ("aaa", "", ""),
        ("zzz", "", ""),
    ]
    assert [(control.id, control.title) for control in found[0].controls] == [
        ("BR-1", "T"),
        ("AA-1", ""),
        ("BR-9", ""),
        ("BR-10", ""),
    ]


def test_letter_case_does_not_tell_controls_apart_and_a_rule_counts_once() -> None:
    (found,) = frameworks(
        CATALOGUE[:0], [(bound(rule("own", {"mcsb": ("br-1", "BR-1")})), Counts(passed=1))], (), "baseline", ()
    )
    assert [(control.id, control.rules, control.counts.passed) for control in found.controls] == [("br-1", ["own"], 1)]
    found = next(
        entry
        for entry in frameworks(
            CATALOGUE, [(bound(rule("own", {"mcsb": ("br-1",)})), Counts(passed=1))], (), "baseline", ()
        )
        if entry.id == "mcsb"
    )
    assert found.controls[0].id == "BR-1"
    assert found.controls[0].rules == ["own"]


CONTROLS = st.dictionaries(
    st.sampled_from(["mcsb", "own", "cis"]),
    st.lists(st.sampled_from(["BR-1", "br-1", "BR-4", "x", "X", "11.2", "CP-9(1)"]), min_size=1).map(tuple),
)


@given(st.dictionaries(NAMES, st.tuples(CONTROLS, st.booleans()), min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_rules_makes_no_difference(made: dict[str, Any], random: Any) -> None:
    rules = [(rule(name, controls), run) for name, (controls, run) in made.items()]

    def of(entries: list[tuple[Rule, bool]]) -> list[FrameworkInfo]:
        judged = [(bound(one), Counts(passed=1)) for one, run in entries if run]
        return frameworks(CATALOGUE, judged, [one for one, _ in entries], "baseline", ())

    turned = random.sample(rules, len(rules))
    assert of(rules) == of(turned)
    for framework in of(rules):
        ids = [control.id.lower() for control in framework.controls]
        assert len(ids) == len(set(ids))


def test_thousands_of_rules_make_no_long_notes() -> None:
    known = [rule(f"own-{number}", {"mcsb": ("BR-1", f"own-{number}")}) for number in range(5_000)]
    found = next(entry for entry in frameworks(CATALOGUE, [], known, "baseline", ()) if entry.id == "mcsb")
    assert len(found.controls) == 5_000 + sum(framework == "mcsb" for framework, _ in LISTED)
    assert "and 4,995 more." in found.controls[0].note
    assert max(len(control.note) for control in found.controls) < 300


@pytest.mark.parametrize(
    "ids",
    [
        ["CP-2", "CP-9", "CP-9(1)", "CP-9(2)", "CP-10", "CP-10(4)"],
        ["11(6)", "12(1)(a)", "12(1)(b)", "12(2)", "12(10)"],
        ["A.5.9", "A.5.10", "A.8.1"],
        ["", "1", "9" * 5_000, "1" + "0" * 5_000, "x"],
    ],
)
def test_ids_are_in_the_order_of_their_numbers(ids: list[str]) -> None:
    backwards = ids[::-1]
    assert sorted(backwards, key=natural) == ids


@given(st.lists(st.text(max_size=4), unique=True))
def test_every_id_has_one_place(ids: list[str]) -> None:
    backwards = ids[::-1]
    assert sorted(ids, key=natural) == sorted(backwards, key=natural)


# In a report


def controls(report: Report) -> dict[tuple[str, str], ControlInfo]:
    return {(entry.id, control.id): control for entry in report.frameworks for control in entry.controls}


def sound(*vms: str) -> EstateBuilder:
    built = estate().vm("web").item("web").vault().policy()
    for name in vms:
        built.vm(name)
    return built.whole()


def test_a_report_says_what_holds_fails_and_cannot_be_told() -> None:
    found = controls(sound().audit(select=["vm-protected"]).report)
    assert LISTED.keys() <= found.keys()
    assert found["mcsb", "BR-1"].state == "holds"
    assert found["mcsb", "BR-1"].rules == ["vm-protected"]
    assert "Not run: policy-approved, policy-daily-retention" in found["mcsb", "BR-1"].note
    assert found["mcsb", "BR-2"].state == "not-judged"
    assert found["mcsb", "NS-2"].note.startswith("Not run: vault-network-access (profile hardened). ")
    assert found["mcsb", "BR-4"].state == "no-evidence"
    assert found["mcsb", "BR-4"].rules == []
    failing = controls(sound("db").audit(select=["vm-protected"]).report)
    assert failing["mcsb", "BR-1"].state == "fails"


def test_an_exemption_does_not_make_a_control_hold() -> None:
    found = controls(sound("db").audit(select=["vm-protected"], exemptions=json.dumps([entry()])).report)
    assert found["dora", "12(2)"].state == "fails"
    assert (found["dora", "12(2)"].counts.fail, found["dora", "12(2)"].counts.exempt) == (1, 1)


def test_a_control_does_not_hold_where_not_everything_was_read() -> None:
    link = f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines?$s=x"
    cut_short = {"value": [sound().resources[0]], "nextLink": link}
    report = sound().audit_with(cut_short, select=["vm-protected", "policy-runs-per-day"]).report
    assert report.summary.counts.unknown == report.summary.counts.fail == 0
    found = controls(report)
    assert found["dora", "12(2)"].state == "cannot-conclude"
    assert found["dora", "12(2)"].note.startswith("Not all was read of what is judged by: vm-protected. ")
    assert found["cis", "11.2"].state == "cannot-conclude"


def test_own_rules_bear_on_controls_too() -> None:
    text = (
        "id: vm-own\ntitle: T\nseverity: low\nresource: vm\nrationale: R\nmessage: m\n"
        'require: {field: vm.name, equals: web}\ncontrols: {cis: ["11.5", "99"]}\n'
    )
    Path("vm-own.yaml").write_text(text, encoding="utf-8")
    own = Path("vm-own.yaml").resolve()
    run = controls(sound().audit(rules=[own]).report)
    assert run["cis", "11.5"].state == "holds"
    assert (run["cis", "99"].title, run["cis", "99"].rules) == ("", ["vm-own"])
    without = controls(sound().audit(rules=[own], ignore=["vm-own"]).report)
    assert without["cis", "11.5"].state == "not-judged"
    assert without["cis", "99"].note == "Not run: vm-own."


@settings(max_examples=examples(5))
@given(st.sampled_from(["baseline", "hardened"]), st.lists(st.sampled_from(RULES), max_size=4))
def test_counts_are_those_of_the_rules(profile: str, selected: list[Rule]) -> None:
    report = sound("db").audit(profile=profile, select=[entry.id for entry in selected]).report
    of_rule = {info.id: info for info in report.rules}
    for (framework, control), found in controls(report).items():
        naming = [info for info in report.rules if control in info.controls.get(framework, [])]
        assert found.rules == sorted(info.id for info in naming)
        assert found.counts.total == sum(of_rule[name].counts.total for name in found.rules)
        assert (found.state == "no-evidence") == ((framework, control) not in NAMED)
