"""The case runner, and the cases of the bundled rules."""

from pathlib import Path

import pytest

from auditor.assessment.branches import unseen
from auditor.assessment.cases import Case, load_cases, missing_outcomes, run_case
from auditor.bundled import bundled
from auditor.errors import InputErrors
from auditor.ruleset.load import RuleFile, bundled_files, load_rules
from auditor.ruleset.model import Rule
from auditor.timestamps import parse_time

BUNDLED = {rule.id: rule for rule in load_rules(bundled_files())}


def rule_of(body: str, resource: str = "vm", message: str = "m") -> Rule:
    head = f"id: r\ntitle: T\nseverity: low\nresource: {resource}\nrationale: Why\nmessage: '{message}'\n"
    Path("r.yaml").write_text(head + body, encoding="utf-8")
    (rule,) = load_rules([RuleFile(Path("r.yaml"), "r.yaml", own=True)])
    return rule


def cases_of(rule: Rule, text: str) -> list[Case]:
    Path("cases.yaml").write_text(text, encoding="utf-8")
    return load_cases(Path("cases.yaml"), "cases.yaml", rule)


def failure_of(rule: Rule, case: str) -> str:
    """Run one case, given without its name; return what is wrong with it."""
    (found,) = cases_of(rule, f"cases:\n- {{name: n, {case}}}\n")
    return run_case(rule, found).failure


def check(rule: Rule, *cases: str) -> None:
    """Run cases that are as they should be."""
    assert [(case, failure_of(rule, case)) for case in cases] == [(case, "") for case in cases]


def faults_of(rule: Rule, text: str) -> list[str]:
    with pytest.raises(InputErrors) as caught:
        cases_of(rule, text)
    return [str(fault) for fault in caught.value.faults]


def by_name() -> Rule:
    return rule_of(
        "applies: {field: vm.os_type, equals: linux}\nrequire: {field: vm.name, like: 'web-*'}\n",
        message="is called {vm.name}",
    )


def test_a_case_is_what_its_rule_says_of_its_facts() -> None:
    check(
        by_name(),
        "outcome: pass, vm: {name: WEB-1, os_type: Linux}",
        "outcome: fail, vm: {name: db, os_type: Linux}",
        "outcome: unknown, vm: {os_type: Linux}",
        "outcome: unknown, vm: {name: null, os_type: Linux}",
        "outcome: unknown, vm: {name: web-1}",
        "outcome: unknown",
        "outcome: not-applicable, vm: {name: web-1, os_type: Windows}",
    )


def test_a_case_that_is_not_as_it_should_be_says_what_it_is() -> None:
    rule = by_name()
    linux = "vm: {name: db, os_type: Linux}"
    assert failure_of(rule, f"outcome: pass, {linux}") == "is fail, not pass: is called db"
    assert failure_of(rule, f"outcome: fail, message: is called db, {linux}") == ""
    assert failure_of(rule, f"outcome: fail, message: called db, {linux}") == ""
    assert failure_of(rule, f"outcome: fail, message: web, {linux}") == 'says "is called db", without "web"'
    assert failure_of(rule, "outcome: pass, message: is called web-1, vm: {name: web-1, os_type: linux}") == ""
    found = failure_of(rule, "outcome: fail, vm: {os_type: linux}")
    assert found.startswith("is unknown, not fail: Cannot tell: vm.name is not known")


def test_a_relation_that_is_left_out_is_not_known_and_none_is_known() -> None:
    state = rule_of("require: {field: item.state, equals: none}\n")
    check(
        state,
        "outcome: pass, item: none",
        "outcome: fail, item: {state: protected}",
        "outcome: unknown, item: {}",
        "outcome: unknown, item: {state: null}",
        "outcome: unknown",
    )
    exists = rule_of("require: {field: item, exists: true}\n")
    check(exists, "outcome: fail, item: none", "outcome: pass, item: {}", "outcome: unknown")


@pytest.mark.parametrize("resource", ["vm", "item"])
@pytest.mark.parametrize("relation", ["policy", "vault"])
def test_policy_and_vault_of_an_item_are_there_or_not_or_not_known(resource: str, relation: str) -> None:
    rule = rule_of(f"require: {{field: {relation}, exists: true}}\n", resource)
    check(
        rule,
        f"outcome: pass, item: {{}}, {relation}: {{}}",
        f"outcome: fail, item: {{}}, {relation}: none",
        "outcome: unknown, item: {}",
    )


@pytest.mark.parametrize("relation", ["resource_group", "subscription", "scale_set"])
def test_what_a_vm_belongs_to_is_there_or_not_or_not_known(relation: str) -> None:
    rule = rule_of(f"require: {{field: {relation}, exists: true}}\n")
    check(rule, f"outcome: pass, {relation}: {{}}", f"outcome: fail, {relation}: none", "outcome: unknown")
    named = rule_of(f"require: {{field: {relation}.name, equals: a}}\n")
    check(named, f"outcome: pass, {relation}: {{name: A}}", f"outcome: unknown, {relation}: none", "outcome: unknown")


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        ("vm", "vm.scale_set_id"),
        ("vm", "resource_group.managed_by"),
        ("vm", "policy.snapshot_consistency"),
        ("policy", "policy.snapshot_consistency"),
    ],
)
def test_a_value_whose_absence_is_a_fact_is_not_known_where_it_is_left_out_and_absent_where_it_is_none(
    resource: str,
    field: str,
) -> None:
    rule = rule_of(f"require: {{field: {field}, exists: true}}\n", resource)
    relation, _, column = field.partition(".")
    check(
        rule,
        f"outcome: pass, {relation}: {{{column}: a}}",
        f"outcome: unknown, {relation}: {{}}",
        f"outcome: fail, {relation}: {{{column}: none}}",
    )


@pytest.mark.parametrize("resource", ["vm", "item", "policy", "vault"])
def test_the_id_of_a_resource_is_a_fact_like_any_other(resource: str) -> None:
    rule = rule_of(f"require: {{field: {resource}.id, startsWith: /subscriptions/s/}}\n", resource)
    check(
        rule,
        f"outcome: pass, {resource}: {{id: /subscriptions/S/resourceGroups/g}}",
        f"outcome: fail, {resource}: {{id: /subscriptions/t/resourceGroups/g}}",
    )


def test_ids_of_subscriptions_are_compared_without_letter_case() -> None:
    rule = rule_of("require: {field: vm.subscription_id, equals: 0A1B}\n")
    check(rule, "outcome: pass, vm: {subscription_id: 0a1B}", "outcome: fail, vm: {subscription_id: 0a1c}")


def test_facts_of_every_type_are_taken() -> None:
    for field, passing, failing in (
        ("policy.protected_items_count, greater: 2", "3", "2"),
        ("policy.protected_items_count, greater: 2", "2.5", "-1"),
        ("policy.in_use, equals: true", "true", "false"),
        ("vm.created, less: 2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"),
        ("vm.created, less: 1970-01-01T00:00:00Z", "never", "1970-01-01T01:00:00+01:00"),
        ("vm.agent, equals: Ready", "READY", "not-ready"),
        ("item.policy_id, equals: /subscriptions/s/", "/Subscriptions/s", "/subscriptions/t"),
        ('vm.name, equals: "a\'b"', '"A\'B"', "ab"),
        ("vm.agent_version, equals: '1.0'", "'1.0'", "'1.00'"),
    ):
        relation, column = field.partition(",")[0].split(".")
        rule = rule_of(f"require: {{field: {field}}}\n")
        beside = "" if relation in ("vm", "item") else "item: {}, "
        check(
            rule,
            f"outcome: pass, {beside}{relation}: {{{column}: {passing}}}",
            f"outcome: fail, {beside}{relation}: {{{column}: {failing}}}",
        )


def test_bounds_are_a_pair_and_one_number_is_both() -> None:
    rule = rule_of(
        "require: {field: policy.runs_on_busiest_day, lessOrEquals: 5}\n", "policy", "{policy.runs_on_busiest_day}"
    )
    check(
        rule,
        "outcome: pass, message: '5', policy: {runs_on_busiest_day: 5}",
        "outcome: pass, message: 4 to 5, policy: {runs_on_busiest_day: [4, 5]}",
        "outcome: unknown, policy: {runs_on_busiest_day: [5, 6]}",
        "outcome: fail, message: 6 to 7, policy: {runs_on_busiest_day: [6, 7]}",
        "outcome: unknown, policy: {runs_on_busiest_day: null}",
        "outcome: pass, policy: {runs_on_busiest_day: [0.5, 1.5]}",
    )


def test_tags_are_there_or_not_or_not_read() -> None:
    rule = rule_of("require: {field: {tag: Owner}, equals: me}\n")
    check(
        rule,
        "outcome: pass, vm: {tags: {OWNER: Me}}",
        "outcome: fail, vm: {tags: {owner: you}}",
        "outcome: fail, vm: {tags: {other: me}}",
        "outcome: fail, vm: {}",
        "outcome: unknown, vm: {tags: null}",
    )
    exists = rule_of('require: {field: {tag: "a\'b\\"c", of: resource_group}, exists: true}\n')
    check(
        exists,
        "outcome: pass, resource_group: {tags: {\"a'b\\\"c\": ''}}",
        "outcome: fail, resource_group: {}",
        "outcome: unknown, resource_group: {tags: null}",
        "outcome: unknown",
    )


@pytest.mark.parametrize("item", ["", ", item: none"])
def test_the_tags_of_an_item_that_is_not_there_are_not_known(item: str) -> None:
    rule = rule_of("require: {field: {tag: a, of: item}, exists: true}\n")
    check(rule, f"outcome: unknown{item}")


def test_a_tag_whose_name_is_not_set_is_not_the_tag_called_none() -> None:
    body = "parameters:\n  tag: {type: string, default: null, description: d}\n"
    rule = rule_of(body + "require: {field: {tag: {parameter: tag}}, equals: a}\n")
    check(
        rule,
        "outcome: unknown, vm: {tags: {none: a}}",
        "outcome: unknown, vm: {}",
        "outcome: pass, parameters: {tag: Team}, vm: {tags: {team: a}}",
        "outcome: fail, parameters: {tag: None}, vm: {tags: {none: b}}",
    )


def test_parameters_of_a_case_go_before_defaults() -> None:
    body = "parameters:\n  names: {type: list<string>, default: [a], description: d}\n"
    rule = rule_of(body + "require: {field: vm.name, in: {parameter: names}}\n", message="one of {names}")
    check(
        rule,
        "outcome: pass, vm: {name: a}",
        "outcome: fail, message: 'one of b, c', parameters: {names: [b, c]}, vm: {name: a}",
        "outcome: fail, parameters: {names: []}, vm: {name: a}",
    )
    text = "cases:\n- {name: n, outcome: pass, parameters: {names: a, name: [a]}}\n"
    assert faults_of(rule, text) == [
        "cases.yaml:2:41: r: names is of type list<string>, and 'a' is not",
        "cases.yaml:2:51: r has no parameter name",
    ]


def test_now_is_that_of_the_case_else_that_of_the_file_else_not_known() -> None:
    rule = rule_of("require: {field: vm.created, less: {daysAgo: 1}}\n")
    text = """\
now: 2026-01-02T00:00:00Z
cases:
- {name: older, outcome: pass, vm: {created: 2025-12-31T00:00:00Z}}
- {name: newer, outcome: fail, vm: {created: 2026-01-01T00:00:00Z}}
- {name: later, outcome: pass, now: 2026-01-02T00:00:01Z, vm: {created: 2026-01-01T00:00:00Z}}
- {name: when, outcome: unknown, now: null, vm: {created: 2025-12-31T00:00:00Z}}
- {name: never, outcome: pass, now: null, vm: {created: never}}
"""
    cases = cases_of(rule, text)
    assert [run_case(rule, case).failure for case in cases] == [""] * 5
    assert [case.now for case in cases][:3] == [
        parse_time("2026-01-02T00:00:00Z"),
        parse_time("2026-01-02T00:00:00Z"),
        parse_time("2026-01-02T00:00:01Z"),
    ]
    check(rule, "outcome: unknown, message: does not say when it was taken, vm: {created: 2025-12-31T00:00:00Z}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a file of cases has a list called cases"),
        ("- a\n", "a file of cases has a list called cases"),
        ("cases: []\n", "a file of cases has a list called cases"),
        ("cases: {name: a}\n", "a file of cases has a list called cases"),
    ],
)
def test_a_file_without_cases_is_refused(text: str, message: str) -> None:
    assert faults_of(by_name(), text) == [f"cases.yaml:1:1: {message}"]


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("text", "3: a case is a mapping with name, outcome and facts"),
        ("{outcome: pass}", "3: a case has a name, and its message is text"),
        ("{name: '', outcome: pass}", "3: a case has a name, and its message is text"),
        ("{name: n, outcome: pass, message: 5}", "3: a case has a name, and its message is text"),
        ("{name: n, outcome: passes}", "13: outcome is never passes"),
        ("{name: n}", "3: outcome is never None"),
        ("{name: n, outcome: [pass]}", "13: outcome is never ['pass']"),
        ("{name: n, outcome: pass, when: a}", "28: unknown key when"),
        ("{name: n, outcome: pass, now: today}", "28: 'today' is not a time"),
        ("{name: n, outcome: pass, now: 5}", "28: 5 is not a time"),
        ("{name: n, outcome: pass, parameters: [a]}", "28: parameters is a mapping"),
        ("{name: n, outcome: pass, vm: none}", "28: vm is a mapping of its fields, or none where there is none"),
        ("{name: n, outcome: pass, vm: null}", "28: vm is a mapping of its fields, or none where there is none"),
        ("{name: n, outcome: pass, item: null}", "28: item is a mapping of its fields, or none where there is none"),
        ("{name: n, outcome: pass, vm: {nam: a}}", "33: unknown field vm.nam"),
        ("{name: n, outcome: pass, vm: {name: 5}}", "33: 5 does not fit vm.name, which is text"),
        ("{name: n, outcome: pass, vm: {id: 5}}", "33: 5 does not fit vm.id, which is id"),
        ("{name: n, outcome: pass, vm: {from_image: 1}}", "33: 1 does not fit vm.from_image, which is boolean"),
        ("{name: n, outcome: pass, vm: {created: soon}}", "33: 'soon' does not fit vm.created, which is time"),
        ("{name: n, outcome: pass, vm: {agent: redy}}", '33: vm.agent is never "redy"'),
        (
            "{name: n, outcome: pass, vm: {tags: [a]}}",
            "33: tags is a mapping of names to text, or null when they were not read",
        ),
        (
            "{name: n, outcome: pass, vm: {tags: {a: 5}}}",
            "33: tags is a mapping of names to text, or null when they were not read",
        ),
        (
            "{name: n, outcome: pass, policy: {protected_items_count: true}}",
            "37: True does not fit policy.protected_items_count, which is number",
        ),
        *(
            (
                f"{{name: n, outcome: pass, policy: {{runs_on_busiest_day: {value}}}}}",
                f"37: {shown} does not fit policy.runs_on_busiest_day, which is bounded",
            )
            for value, shown in (
                ("[1]", "[1]"),
                ("[1, 2, 3]", "[1, 2, 3]"),
                ("[1, a]", "[1, 'a']"),
                ("[true, 2]", "[True, 2]"),
                ("'5'", "'5'"),
            )
        ),
    ],
)
def test_a_faulty_case_is_refused_where_it_is_faulty(case: str, fault: str) -> None:
    assert faults_of(by_name(), f"cases:\n- {case}\n") == [f"cases.yaml:2:{fault}"]


def test_a_case_knows_only_what_its_subject_sees() -> None:
    rule = rule_of("require: {field: vault.name, equals: a}\n", "vault")
    faults = faults_of(rule, "cases:\n- {name: n, outcome: pass, vm: {name: a}}\n")
    assert faults == ["cases.yaml:2:28: unknown key vm"]


def test_every_fault_of_a_file_of_cases_is_told_at_once() -> None:
    text = "now: soon\nwhat: 1\ncases:\n- {name: n, outcome: ok, vm: {nam: a, from_image: 1}}\n- text\n"
    assert faults_of(by_name(), text) == [
        "cases.yaml:1:1: 'soon' is not a time",
        "cases.yaml:2:1: unknown key what",
        "cases.yaml:4:13: outcome is never ok",
        "cases.yaml:4:31: unknown field vm.nam",
        "cases.yaml:4:39: 1 does not fit vm.from_image, which is boolean",
        "cases.yaml:5:3: a case is a mapping with name, outcome and facts",
    ]


def test_outcomes_that_no_case_shows_are_missed() -> None:
    rule = by_name()
    text = "cases:\n- {name: a, outcome: pass}\n- {name: b, outcome: unknown}\n"
    assert missing_outcomes(rule, cases_of(rule, text)) == ["fail", "not-applicable"]
    always = rule_of("require: {field: vm.name, equals: a}\n")
    assert missing_outcomes(always, cases_of(always, text)) == ["fail"]


# Branches that no case decides

BRANCHED = """\
parameters: {judged: {type: boolean, default: true, description: d}}
applies:
  allOf:
    - {field: vm.os_type, notEquals: windows}
    - {value: {parameter: judged}, equals: true}
require:
  anyOf:
    - field: vm.name
      in: [a, b]
    - not:
        allOf:
          - {field: vm.name, notIn: [c]}
          - {field: vm.location, equals: westeurope}
"""


def undecided(rule: Rule, *cases: str) -> list[str]:
    found = cases_of(rule, "cases:\n" + "".join(f"- {{name: n, {case}}}\n" for case in cases))
    branches = unseen(rule, [run_case(rule, case).truths for case in found])
    return [f"{branch.path} {branch.truth} {branch.place.line}:{branch.place.column}" for branch in branches]


def test_every_part_of_a_condition_is_missed_until_cases_make_it_true_and_false() -> None:
    rule = rule_of(BRANCHED)
    passing = "outcome: pass, vm: {os_type: Linux, name: a, location: westeurope}"
    assert undecided(rule, passing) == [
        "applies.allOf[0] False 10:7",
        "applies.allOf[1] False 11:7",
        "require.anyOf[0] False 14:7",
        "require.anyOf[1].not False 16:7",
        "require.anyOf[1].not.allOf[0] False 18:13",
        "require.anyOf[1].not.allOf[1] False 19:13",
    ]
    failing = "outcome: fail, vm: {os_type: Linux, name: d, location: westeurope}"
    elsewhere = "outcome: pass, vm: {os_type: Linux, name: c, location: northeurope}"
    assert undecided(rule, passing, failing, elsewhere) == [
        "applies.allOf[0] False 10:7",
        "applies.allOf[1] False 11:7",
    ]
    windows = "outcome: not-applicable, vm: {os_type: Windows}"
    nobody = "outcome: not-applicable, parameters: {judged: false}, vm: {os_type: Linux}"
    assert undecided(rule, passing, failing, elsewhere, windows, nobody) == []


def test_what_is_required_is_not_shown_by_a_case_to_which_the_rule_does_not_apply() -> None:
    rule = rule_of(
        "applies: {field: vm.os_type, equals: linux}\n"
        "require:\n  allOf:\n  - {field: vm.name, equals: a}\n  - {field: vm.location, equals: b}\n"
    )
    passing = "outcome: pass, vm: {os_type: Linux, name: a, location: b}"
    failing = "outcome: fail, vm: {os_type: Linux, name: c, location: b}"
    missed = ["require.allOf[1] False 11:5"]
    assert undecided(rule, passing, failing) == missed
    assert undecided(rule, passing, failing, "outcome: not-applicable, vm: {os_type: Windows, location: c}") == missed
    assert undecided(rule, passing, failing, "outcome: unknown, vm: {location: c}") == missed
    assert undecided(rule, passing, failing, "outcome: fail, vm: {os_type: linux, location: c}") == []


def test_a_branch_that_is_only_ever_unknown_is_neither_true_nor_false() -> None:
    rule = rule_of("require: {anyOf: [{field: vm.name, equals: a}, {field: vm.location, equals: b}]}\n")
    cases = ("outcome: pass, vm: {name: a}", "outcome: unknown, vm: {name: b}")
    assert undecided(rule, *cases) == ["require.anyOf[1] True 7:48", "require.anyOf[1] False 7:48"]


def test_conditions_as_a_whole_are_left_to_the_outcomes() -> None:
    assert undecided(rule_of("require: {field: vm.name, equals: a}\n"), "outcome: unknown") == []


# The bundled rules


@pytest.mark.parametrize("rule_id", BUNDLED)
def test_a_bundled_rule_passes_its_own_cases(rule_id: str) -> None:
    rule = BUNDLED[rule_id]
    cases = load_cases(bundled("rules") / "cases" / f"{rule_id}.yaml", f"{rule_id}.yaml", rule)
    results = [run_case(rule, case) for case in cases]
    assert [(result.case.name, result.failure) for result in results if result.failure] == []
    assert len({case.name for case in cases}) == len(cases)
    # A branch that nothing decides could say anything.
    assert unseen(rule, [result.truths for result in results]) == []


@pytest.mark.parametrize("rule_id", BUNDLED)
def test_the_cases_of_a_bundled_rule_show_every_outcome(rule_id: str) -> None:
    rule = BUNDLED[rule_id]
    cases = load_cases(bundled("rules") / "cases" / f"{rule_id}.yaml", f"{rule_id}.yaml", rule)
    assert missing_outcomes(rule, cases) == []


def test_every_file_of_cases_belongs_to_a_rule() -> None:
    assert {Path(entry.name).stem for entry in (bundled("rules") / "cases").iterdir()} == set(BUNDLED)


@pytest.mark.parametrize("rule_id", BUNDLED)
def test_a_bundled_rule_says_why_it_matters_and_where_that_is_written(rule_id: str) -> None:
    rule = BUNDLED[rule_id]
    assert rule.references
    assert rule.controls
    assert rule.fix
    assert not rule.own
