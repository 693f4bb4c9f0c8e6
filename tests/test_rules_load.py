"""What is checked when rules are loaded, and how parameters are put into them.

A « stands in front of the key, or the item of a list, that the fault must point at.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from auditor.declared.config import ParameterValue
from auditor.errors import Fault, InputErrors, UsageError
from auditor.ruleset.load import RuleFile, bind, bundled_files, load_rules, own_files, read_exclusions
from auditor.ruleset.model import (
    Age,
    AllOf,
    AnyOf,
    BoundRule,
    Compare,
    Constant,
    FieldRef,
    Not,
    ParameterRef,
    Rule,
    TagRef,
    fields_of,
    leaves,
    tags_of,
)
from auditor.yaml_source import parse_yaml

HEAD = """\
id: r
title: Title
severity: low
resource: vm
rationale: Why
"""
PARAMETERS = """\
message: m
parameters:
  words: {type: list<string>, default: [a], description: d}
  word: {type: string, default: a, description: d}
  number: {type: number, default: 1, description: d}
  flag: {type: boolean, default: true, description: d}
applies:
  anyOf:
    - {value: {parameter: word}, in: {parameter: words}}
    - {value: {parameter: number}, equals: 1}
    - {value: {parameter: flag}, equals: true}
"""


def write(text: str, name: str = "r.yaml") -> RuleFile:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")
    return RuleFile(Path(name), name, own=True)


def rule_of(body: str, resource: str = "vm", head: str = HEAD) -> Rule:
    """Load one rule: the head, then ``body``, which may be but a condition."""
    message = "" if "message:" in body else "message: m\n"
    text = head.replace("resource: vm", f"resource: {resource}") + message + body
    (rule,) = load_rules([write(text)])
    return rule


def faults_of(body: str, resource: str = "vm", head: str = HEAD) -> list[Fault]:
    """Load a rule that is wrong; the place of the first fault is where « stands in it."""
    marked = "" if "message:" in head + body else "message: m\n"
    marked = head.replace("resource: vm", f"resource: {resource}") + marked + body
    with pytest.raises(InputErrors) as caught:
        load_rules([write(marked.replace("«", ""))])
    faults = caught.value.faults
    if "«" in marked:
        before = marked[: marked.index("«")]
        wanted = f"r.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        assert str(faults[0].place) == wanted, faults
    return faults


def fault_of(body: str, resource: str = "vm", head: str = HEAD) -> Fault:
    (fault,) = faults_of(body, resource, head)
    return fault


# Conditions


@pytest.mark.parametrize(
    ("condition", "message", "hint"),
    [
        # Fields
        ("{«field: vm.agnt, equals: ready}", "unknown field vm.agnt", "Did you mean vm.agent?"),
        ("{«field: agent, equals: ready}", "unknown field agent", "Did you mean vm.agent?"),
        ("{«field: vm.zzzzzz, equals: a}", "unknown field vm.zzzzzz", ""),
        ("{«field: vm.schedule_policy, equals: a}", "unknown field vm.schedule_policy", ""),
        (
            "{«field: vm.agent_note, equals: a}",
            "vm.agent_note is text for messages and cannot be compared",
            "",
        ),
        ("{«field: 5, equals: a}", "field takes the name of a field, or {tag: NAME}", ""),
        ("{«field: null, equals: a}", "field takes the name of a field, or {tag: NAME}", ""),
        # Tags
        ("{«field: {tags: a}, equals: a}", "a tag is written {tag: NAME} or {tag: NAME, of: RELATION}", ""),
        ("{«field: {tag: a, off: b}, equals: a}", "a tag is written {tag: NAME} or {tag: NAME, of: RELATION}", ""),
        ("{field: {«tag: 5}, equals: a}", "the name of a tag is text", "Put it in quotes."),
        ("{field: {«tag: ''}, equals: a}", "the name of a tag is text", "Put it in quotes."),
        ("{field: {tag: a}, «equals: 5}", "5 is not text", 'Put it in quotes, as "10".'),
        (
            "{field: {tag: a}, «greater: 5}",
            "greater cannot compare text",
            "Use equals, in, like, contains, startsWith, endsWith.",
        ),
        ("{field: {tag: a}, «equals: {field: vm.name}}", "equals cannot compare with a field here", ""),
        # Literals
        ("{field: vm.name, «equals: 5}", "5 is not text", 'Put it in quotes, as "10".'),
        ("{field: vm.name, «equals: true}", "true is not text", 'Put it in quotes, as "10".'),
        ("{field: vm.name, «equals: null}", "null is not text", 'Put it in quotes, as "10".'),
        ("{field: vm.name, «equals: [a]}", "['a'] is not text", 'Put it in quotes, as "10".'),
        ("{field: vm.id, «equals: 5}", "5 is not a resource id", ""),
        ("{field: vm.from_image, «equals: yes}", '"yes" is not true or false', ""),
        ("{field: vm.from_image, «equals: 1}", "1 is not true or false", ""),
        ("{field: policy.protected_items_count, «equals: '5'}", '"5" is not a number', ""),
        ("{field: policy.protected_items_count, «equals: true}", "true is not a number", ""),
        ("{field: policy.runs_on_busiest_day, «less: many}", '"many" is not a number', ""),
        ("{field: policy.runs_on_busiest_day, «less: true}", "true is not a number", ""),
        (
            "{field: vm.created, «less: yesterday}",
            '"yesterday" is not a time',
            "Write 2026-01-31T00:00:00Z, or {hoursAgo: N}.",
        ),
        (
            "{field: vm.created, «less: 2026-01-31}",
            '"2026-01-31" is not a time',
            "Write 2026-01-31T00:00:00Z, or {hoursAgo: N}.",
        ),
        ("{field: vm.created, «less: 24}", "24 is not a time", "Write 2026-01-31T00:00:00Z, or {hoursAgo: N}."),
        ("{value: 5, «equals: a}", '"a" is not a number', ""),
        ("{value: a, «equals: 5}", "5 is not text", 'Put it in quotes, as "10".'),
        ("{value: true, «equals: a}", '"a" is not true or false', ""),
        # Lists
        ("{field: vm.name, in: [a, «5]}", "5 is not text", 'Put it in quotes, as "10".'),
        ("{field: vm.name, in: [a, «null, b]}", "null is not text", 'Put it in quotes, as "10".'),
        ("{field: policy.protected_items_count, in: [1, «true]}", "true is not a number", ""),
        ("{field: vm.name, «in: a}", "in takes a list, or a list parameter", ""),
        ("{field: vm.name, «in: null}", "in takes a list, or a list parameter", ""),
        ("{field: vm.name, «in: {hoursAgo: 1}}", "in cannot compare with that", None),
        # Words against types
        (
            "{field: policy.runs_on_busiest_day, «in: [1, 2]}",
            "in cannot compare a number",
            "Use greater, greaterOrEquals, less, lessOrEquals.",
        ),
        (
            "{field: policy.runs_on_busiest_day, «equals: 1}",
            "equals cannot compare a number",
            "Use greater, greaterOrEquals, less, lessOrEquals.",
        ),
        (
            "{field: policy.runs_on_busiest_day, «notEquals: 1}",
            "equals cannot compare a number",
            "Use greater, greaterOrEquals, less, lessOrEquals.",
        ),
        ("{field: vm.from_image, «in: [true]}", "in cannot compare true or false", "Use equals."),
        (
            "{field: vm.created, «equals: 2026-01-31T00:00:00Z}",
            "equals cannot compare a time",
            "Use greater, greaterOrEquals, less, lessOrEquals.",
        ),
        (
            "{field: vm.name, «greater: a}",
            "greater cannot compare text",
            "Use equals, in, like, contains, startsWith, endsWith.",
        ),
        (
            "{field: policy.protected_items_count, «like: 1}",
            "like cannot compare a number",
            "Use equals, in, greater, greaterOrEquals, less, lessOrEquals.",
        ),
        # Existence
        (
            "{field: vm.agent, «exists: true}",
            "exists cannot ask for vm.agent: where it is missing it is unknown, not absent",
            "Compare its value; a missing one gives an unknown verdict.",
        ),
        (
            "{field: vm.created, «exists: false}",
            "exists cannot ask for vm.created: where it is missing it is unknown, not absent",
            None,
        ),
        ("{field: {tag: a}, «exists: yes}", "exists takes true or false", ""),
        ("{field: item, «exists: null}", "exists takes true or false", ""),
        ("{field: item, «equals: true}", "whether there is one: equals cannot ask that", "Use exists: true."),
        # Closed vocabularies
        ("{field: item.state, «equals: protectd}", 'item.state is never "protectd"', "Did you mean protected?"),
        ("{field: item.state, «notEquals: protectd}", 'item.state is never "protectd"', "Did you mean protected?"),
        ("{field: item.state, in: [stopped, «protectd]}", 'item.state is never "protectd"', "Did you mean protected?"),
        ("{field: vm.agent, «equals: yes}", 'vm.agent is never "yes"', None),
        ("{field: vault.redundancy, «equals: GRS}", 'vault.redundancy is never "GRS"', None),
        (
            "{field: item.state, «contains: protect}",
            "contains compares parts of words; item.state has a closed list of them",
            "",
        ),
        (
            "{field: item.state, «like: 'prot*'}",
            "like compares parts of words; item.state has a closed list of them",
            "",
        ),
        # Another field
        ("{field: vm.name, equals: {«field: vm.nme}}", "unknown field vm.nme", "Did you mean vm.name?"),
        (
            "{field: vm.name, equals: {«field: vm.agent_note}}",
            "vm.agent_note is text for messages and cannot be compared",
            "",
        ),
        ("{field: vm.name, «equals: {field: vm.created}}", "vm.name and vm.created are not of one type", ""),
        ("{field: vm.name, «equals: {field: vm.agent}}", "vm.name and vm.agent are not of one type", ""),
        ("{field: vm.from_image, «equals: {field: vm.name}}", "vm.from_image and vm.name are not of one type", ""),
        ("{field: vm.name, «in: {field: vm.size}}", "in cannot compare with a field here", ""),
        ("{field: vm.name, «like: {field: vm.size}}", "like cannot compare with a field here", ""),
        ("{field: vm.name, «equals: {field: item}}", "equals cannot compare with a field here", ""),
        (
            "{field: policy.runs_on_busiest_day, «less: {field: policy.protected_items_count}}",
            "less cannot compare with a field here",
            "",
        ),
        (
            "{field: policy.protected_items_count, «less: {field: policy.runs_on_busiest_day}}",
            "less cannot compare with a field here",
            "",
        ),
        ("{value: a, «equals: {field: vm.name}}", "equals cannot compare with a field here", ""),
        # Ages
        ("{field: vm.name, «equals: {hoursAgo: 1}}", "equals cannot compare with that", None),
        ("{field: policy.protected_items_count, «less: {daysAgo: 1}}", "less cannot compare with that", None),
        ("{field: policy.runs_on_busiest_day, «less: {hoursAgo: 1}}", "less cannot compare with that", None),
        ("{field: vm.created, less: {«hoursAgo: -1}}", "hoursAgo takes a number that is not negative", ""),
        ("{field: vm.created, less: {«daysAgo: a}}", "daysAgo takes a number that is not negative", ""),
        ("{field: vm.created, less: {«hoursAgo: true}}", "hoursAgo takes a number that is not negative", ""),
        ("{field: vm.created, less: {«hoursAgo: null}}", "hoursAgo takes a number that is not negative", ""),
        ("{field: vm.created, «less: {hoursAgo: 1, daysAgo: 1}}", "less cannot compare with that", None),
        ("{field: vm.created, «less: {weeksAgo: 1}}", "less cannot compare with that", None),
        ("{field: vm.created, «less: {}}", "less cannot compare with that", None),
        # Shapes
        ("vm.agent", "a condition is a mapping, such as {field: vm.agent, equals: ready}", ""),
        (
            "[{field: vm.agent, equals: ready}]",
            "a condition is a mapping, such as {field: vm.agent, equals: ready}",
            "",
        ),
        ("null", "a condition is a mapping, such as {field: vm.agent, equals: ready}", ""),
        ("{}", "a condition needs either field or value", ""),
        ("{equals: a}", "a condition needs either field or value", ""),
        ("{field: vm.name, value: a, equals: a}", "a condition needs either field or value", ""),
        ("{field: vm.name}", "a condition needs one word, and has 0", None),
        ("{field: vm.name, equals: a, like: a}", "a condition needs one word, and has 2", None),
        ("{field: vm.name, «equal: a}", "unknown condition word equal", "Did you mean equals?"),
        ("{field: vm.name, «greaterThan: a}", "unknown condition word greaterThan", "Did you mean greater?"),
        ("{«fields: vm.name, equals: a}", "unknown condition word fields", "Did you mean field?"),
        ("{«allOff: []}", "unknown condition word allOff", "Did you mean allOf?"),
        ("{«allOf: []}", "allOf needs a list of conditions that is not empty", ""),
        ("{«anyOf: []}", "anyOf needs a list of conditions that is not empty", ""),
        ("{«anyOf: {field: vm.name, equals: a}}", "anyOf needs a list of conditions that is not empty", ""),
        ("{«anyOf: null}", "anyOf needs a list of conditions that is not empty", ""),
        ("{anyOf: [«a]}", "a condition is a mapping, such as {field: vm.agent, equals: ready}", ""),
        ("{«not: []}", "a condition is a mapping, such as {field: vm.agent, equals: ready}", ""),
        ("{allOf: [{field: vm.name, equals: a}], «anyOf: []}", "anyOf stands beside allOf", "Nest it inside."),
        ("{not: {field: vm.name, equals: a}, «field: vm.name}", "field stands beside not", "Nest it inside."),
        # Values
        ("{«value: null, equals: a}", "value takes a literal or {parameter: NAME}", ""),
        ("{«value: [a], equals: a}", "value takes a literal or {parameter: NAME}", ""),
        ("{«value: {tag: a}, equals: a}", "a parameter is written {parameter: NAME}", ""),
    ],
)
def test_a_faulty_condition_is_refused_where_it_is_faulty(condition: str, message: str, hint: str | None) -> None:
    fault = fault_of(f"«require: {condition}\n" if "«" not in condition else f"require: {condition}\n")
    assert fault.message == message
    assert hint is None or fault.hint == hint


@pytest.mark.parametrize(
    ("condition", "message", "hint"),
    [
        ("{field: vm.name, equals: {«parameter: wrd}}", "unknown parameter wrd", "Did you mean word?"),
        ("{value: {«parameter: wrd}, equals: a}", "unknown parameter wrd", "Did you mean word?"),
        ("{field: {tag: {«parameter: wrd}}, equals: a}", "unknown parameter wrd", "Did you mean word?"),
        (
            "{field: vm.created, less: {hoursAgo: {«parameter: numbr}}}",
            "unknown parameter numbr",
            "Did you mean number?",
        ),
        ("{field: vm.name, «equals: {parameter: word, default: a}}", "a parameter is written {parameter: NAME}", ""),
        ("{field: vm.name, «equals: {parameter: 5}}", "a parameter is written {parameter: NAME}", ""),
        (
            "{field: vm.name, «equals: {parameter: number}}",
            "the parameter number is a number, where a string is needed",
            "",
        ),
        (
            "{field: vm.name, «in: {parameter: word}}",
            "the parameter word is a string, where a list of strings is needed",
            "",
        ),
        (
            "{field: vm.name, «equals: {parameter: words}}",
            "the parameter words is a list of strings, where a string is needed",
            "",
        ),
        (
            "{field: vm.from_image, «equals: {parameter: word}}",
            "the parameter word is a string, where true or false is needed",
            "",
        ),
        (
            "{field: policy.runs_on_busiest_day, «less: {parameter: flag}}",
            "the parameter flag is true or false, where a number is needed",
            "",
        ),
        (
            "{field: vm.created, «less: {parameter: word}}",
            "the parameter word is a string, where a time is needed",
            "",
        ),
        ("{value: {parameter: number}, «equals: a}", '"a" is not a number', ""),
        (
            "{value: {parameter: flag}, «equals: {parameter: word}}",
            "the parameter word is a string, where true or false is needed",
            "",
        ),
        ("{field: vm.created, less: {«hoursAgo: {parameter: word}}}", "the parameter word is not a number", ""),
        ("{field: {«tag: {parameter: words}}, equals: a}", "the parameter words is not a string", ""),
    ],
)
def test_a_parameter_is_refused_where_it_does_not_fit(condition: str, message: str, hint: str) -> None:
    fault = fault_of(f"{PARAMETERS}require: {condition}\n")
    assert (fault.message, fault.hint) == (message, hint)


def test_a_default_that_is_none_of_a_fields_words_is_a_fault_of_the_default() -> None:
    declared = PARAMETERS.replace("word: {type: string, default", "word: {type: string, «default")
    fault = fault_of(f"{declared}require: {{field: item.state, equals: {{parameter: word}}}}\n")
    assert fault.message == 'item.state is never "a"'
    declared = PARAMETERS.replace("words: {type: list<string>, default", "words: {type: list<string>, «default")
    fault = fault_of(f"{declared}require: {{field: item.state, notIn: {{parameter: words}}}}\n")
    assert fault.message == 'item.state is never "a"'


def test_a_list_has_no_place_on_the_left() -> None:
    faults = faults_of(f"{PARAMETERS}require: {{«value: {{parameter: words}}, equals: a}}\n")
    assert len(faults) == 1


def test_no_parameter_is_a_list_of_numbers() -> None:
    condition = "{field: policy.protected_items_count, «in: {parameter: words}}"
    assert len(faults_of(f"{PARAMETERS}require: {condition}\n")) == 1


def test_an_age_is_never_negative_however_it_is_given() -> None:
    body = """\
parameters:
  hours: {type: number, «default: -1, description: d}
require: {field: vm.created, less: {hoursAgo: {parameter: hours}}}
"""
    faults_of(body)
    rule = rule_of(body.replace("«default: -1", "default: 1"))
    with pytest.raises(UsageError):
        bind(rule, {"hours": -1}, None, "here")
    assert bind(rule, {"hours": 0}, None, "here").values == {"hours": 0}


@pytest.mark.parametrize(
    ("resource", "field", "sees"),
    [
        ("vault", "policy.name", "vault"),
        ("vault", "vm.name", "vault"),
        ("policy", "item.state", "policy, vault"),
        ("item", "resource_group.name", "item, vm, policy, vault"),
    ],
)
def test_a_field_that_the_subject_does_not_see_is_refused(resource: str, field: str, sees: str) -> None:
    relation = field.partition(".")[0]
    for body in (f"{{«field: {field}, equals: none}}", f"{{field: {{tag: a, «of: {relation}}}, equals: a}}"):
        fault = fault_of(f"require: {body}\n", resource)
        assert fault.message == f"a {resource} rule does not see {relation}"
        assert fault.hint == f"It sees {sees}."


def test_a_word_with_not_is_the_opposite_of_the_word_without() -> None:
    for negated, plain, value in (("notEquals", "equals", "a"), ("notIn", "in", "[a]"), ("notLike", "like", "a")):
        positive = rule_of(f"require: {{field: vm.name, {plain}: {value}}}\n").require
        assert isinstance(positive, Compare)
        assert rule_of(f"require: {{field: vm.name, {negated}: {value}}}\n").require == Not(positive)


def test_conditions_are_read_as_they_are_nested() -> None:
    body = """\
require:
  anyOf:
    - not: {field: vm.name, equals: a}
    - allOf:
        - {field: {tag: Owner}, exists: true}
        - {field: {tag: OWNER, of: resource_group}, equals: Me}
        - {field: vm.created, less: {daysAgo: 2}}
        - {field: vm.created, less: {field: item.last_backup}}
    - {value: 5, greater: 4}
"""
    rule = rule_of(body)
    name, created = FieldRef("vm.name"), FieldRef("vm.created")
    assert rule.require == AnyOf(
        (
            Not(Compare(name, "equals", Constant("a"))),
            AllOf(
                (
                    Compare(TagRef("vm", "owner"), "exists", Constant(value=True)),
                    Compare(TagRef("resource_group", "owner"), "equals", Constant("Me")),
                    Compare(created, "less", Age(Constant(2), 24)),
                    Compare(created, "less", FieldRef("item.last_backup")),
                ),
            ),
            Compare(Constant(5), "greater", Constant(4)),
        ),
    )
    assert [entry.name for entry in fields_of(rule.require)] == [
        "vm.name",
        "vm.created",
        "vm.created",
        "item.last_backup",
    ]
    assert [(tag.relation, tag.name) for tag in tags_of(rule.require)] == [("vm", "owner"), ("resource_group", "owner")]
    assert len(list(leaves(rule.require))) == 6
    assert list(leaves(None)) == []


def test_the_right_side_may_be_anything_that_fits() -> None:
    for condition in (
        "{field: vm.name, equals: {parameter: word}}",
        "{field: vm.id, equals: {parameter: word}}",
        "{field: vm.name, in: {parameter: words}}",
        "{field: vm.name, in: []}",
        "{field: policy.protected_items_count, in: [1, 2.5]}",
        "{field: policy.runs_on_busiest_day, lessOrEquals: {parameter: number}}",
        "{field: policy.protected_items_count, equals: {parameter: number}}",
        "{field: vm.from_image, notEquals: {parameter: flag}}",
        "{field: vm.created, greater: {hoursAgo: {parameter: number}}}",
        "{field: vm.created, greater: {daysAgo: 0.5}}",
        "{field: vm.created, greater: 2026-01-31T00:00:00+01:00}",
        "{field: {tag: {parameter: word}}, startsWith: a}",
        "{field: vm.name, contains: {field: vm.size}}",
        "{field: vm.id, equals: {field: item.vm_id}}",
        "{field: vm.id, startsWith: {field: resource_group.name}}",
        "{field: item.protection_state, equals: {field: item.current_protection_state}}",
        "{field: policy.snapshot_consistency, exists: true}",
        "{field: scale_set, exists: false}",
        "{field: vm, exists: true}",
        "{value: {parameter: word}, exists: true}",
        "{field: item.state, in: [PROTECTED, Stopped]}",
        "{field: vault.redundancy, equals: georedundant}",
    ):
        assert rule_of(f"{PARAMETERS}require: {condition}\n").require is not None


# The rest of a rule


@pytest.mark.parametrize(
    ("line", "faulty", "message", "hint"),
    [
        ("severity: low", "«severity: hi", "severity is never hi", "Did you mean high?"),
        ("severity: low", "«severity: 5", "severity is never 5", "Known: critical, high, low, medium."),
        ("severity: low", "«severity: [low]", "severity is never ['low']", None),
        ("resource: vm", "«resource: vms", "resource is never vms", "Did you mean vm?"),
        (
            "resource: vm",
            "«resource: subscription",
            "resource is never subscription",
            "Known: item, policy, vault, vm.",
        ),
        ("id: r", "«id: R", "R is not an id", "Write lower-case words with hyphens, as vm-protected."),
        ("id: r", "«id: other", "the id other is not the name of the file", "Call the file other.yaml."),
        ("id: r", "«id: 5", "id is text that is not empty", ""),
        ("title: Title", "«title: ''", "title is text that is not empty", ""),
        ("title: Title", "«title: [a]", "title is text that is not empty", ""),
        ("title: Title", "title: Title\n«titel: a", "unknown key titel", "Did you mean title?"),
        ("title: Title", "title: Title\n«fix: ' '", "fix is text that is not empty", ""),
        ("title: Title", "title: Title\n«remedy: 5", "remedy is text that is not empty", ""),
        ("title: Title", "title: Title\n«overrides: yes", "overrides is true or false", ""),
        ("title: Title", "title: Title\n«profiles: baseline", "profiles is a list of baseline and hardened", ""),
        ("title: Title", "title: Title\n«profiles: []", "profiles is a list of baseline and hardened", ""),
        ("title: Title", "title: Title\n«profiles: [basic]", "profiles is a list of baseline and hardened", ""),
        ("title: Title", "title: Title\n«profiles: [[baseline]]", "profiles is a list of baseline and hardened", ""),
        ("title: Title", "title: Title\n«profiles: [{a: b}]", "profiles is a list of baseline and hardened", ""),
        ("title: Title", "title: Title\n«references: https://a", "references is a list of https links", ""),
        ("title: Title", "title: Title\n«references: [http://a]", "references is a list of https links", ""),
        ("title: Title", "title: Title\n«references: [5]", "references is a list of https links", ""),
        (
            "title: Title",
            "title: Title\n«controls: [CP-9]",
            "controls is a mapping of framework to a list of controls",
            "",
        ),
        (
            "title: Title",
            "title: Title\ncontrols: {«nist-800: [CP-9]}",
            "unknown framework nist-800",
            "Did you mean nist-800-53?",
        ),
        ("title: Title", "title: Title\ncontrols: {«mcsb: BR-1}", "a framework has a list of controls, as text", ""),
        ("title: Title", "title: Title\ncontrols: {«mcsb: []}", "a framework has a list of controls, as text", ""),
        ("title: Title", "title: Title\ncontrols: {«cis: [11.2]}", "a framework has a list of controls, as text", ""),
        ("title: Title", "title: Title\n«parameters: [a]", "parameters is a mapping of names", ""),
    ],
)
def test_a_faulty_part_of_a_rule_is_refused_where_it_is_faulty(
    line: str,
    faulty: str,
    message: str,
    hint: str | None,
) -> None:
    fault = faults_of("require: {field: vm.name, equals: a}\n", head=HEAD.replace(line, faulty))[0]
    assert fault.message == message
    assert hint is None or fault.hint == hint


@pytest.mark.parametrize("key", ["id", "title", "severity", "resource", "rationale"])
def test_a_part_that_every_rule_has_is_missed(key: str) -> None:
    head = "".join(line for line in HEAD.splitlines(keepends=True) if not line.startswith(key))
    faults = faults_of("require: {field: vm.name, equals: a}\n", head=head)
    assert [str(fault) for fault in faults] == [f"r.yaml:1:1: {key} is missing"]


def test_require_and_message_are_missed_too() -> None:
    assert fault_of("applies: {field: vm.name, equals: a}\n").message == "require is missing"
    with pytest.raises(InputErrors, match="message is missing"):
        load_rules([write(HEAD + "require: {field: vm.name, equals: a}\n")])


@pytest.mark.parametrize("text", ["", "- a\n", "text\n"])
def test_a_file_without_a_mapping_is_no_rule(text: str) -> None:
    with pytest.raises(InputErrors, match=r"^r.yaml:1:1: a rule is a mapping that begins with id"):
        load_rules([write(text)])


@pytest.mark.parametrize(
    ("declared", "message", "hint"),
    [
        ("«p: 5", "a parameter has a type, a default and a description", ""),
        ("«p: {type: string, default: a}", "a parameter has a type, a default and a description", ""),
        ("«p: {type: string, description: d}", "a parameter has a type, a default and a description", ""),
        ("«p: {default: a, description: d}", "a parameter has a type, a default and a description", ""),
        (
            "p: {«type: text, default: a, description: d}",
            "unknown type text",
            "One of string, number, boolean, list<string>.",
        ),
        ("p: {«type: [string], default: a, description: d}", "unknown type ['string']", None),
        (
            "«p: {type: string, default: a, description: 5}",
            "a parameter has a name like grace_hours and a description in words",
            "",
        ),
        (
            "«graceHours: {type: string, default: a, description: d}",
            "a parameter has a name like grace_hours and a description in words",
            "",
        ),
        ("p: {type: string, default: a, description: d, «enum: a}", "enum is a list of words", ""),
        ("p: {type: string, default: a, description: d, «enum: [5]}", "enum is a list of words", ""),
        ("p: {type: string, «default: 5, description: d}", "p is of type string, and 5 is not", ""),
        ("p: {type: number, «default: true, description: d}", "p is of type number, and True is not", ""),
        ("p: {type: number, «default: '5', description: d}", "p is of type number, and '5' is not", ""),
        ("p: {type: boolean, «default: 1, description: d}", "p is of type boolean, and 1 is not", ""),
        ("p: {type: boolean, «default: no, description: d}", "p is of type boolean, and 'no' is not", ""),
        ("p: {type: list<string>, «default: a, description: d}", "p is of type list<string>, and 'a' is not", ""),
        (
            "p: {type: list<string>, «default: [a, 5], description: d}",
            "p is of type list<string>, and ['a', 5] is not",
            "",
        ),
        ("p: {type: string, «default: c, description: d, enum: [a, b]}", "p is one of a, b, not c", ""),
        ("p: {type: list<string>, «default: [a, c], description: d, enum: [a, b]}", "p is one of a, b, not c", ""),
    ],
)
def test_a_faulty_parameter_is_refused_where_it_is_faulty(declared: str, message: str, hint: str | None) -> None:
    fault = fault_of(f"parameters:\n  {declared}\nrequire: {{field: vm.name, equals: a}}\n")
    assert fault.message == message
    assert hint is None or fault.hint == hint


def test_an_unknown_part_of_a_parameter_is_refused() -> None:
    fault = faults_of(
        "parameters:\n  p: {type: string, default: a, description: d, «enums: [a]}\n"
        "require: {field: vm.name, equals: {parameter: p}}\n",
    )[0]
    assert (fault.message, fault.hint) == ("unknown key enums", "Did you mean enum?")


def test_a_parameter_that_nothing_uses_is_refused() -> None:
    body = """\
message: m
parameters:
  «p: {type: string, default: a, description: d}
require: {field: vm.name, equals: a}
"""
    fault = fault_of(body)
    assert (fault.message, fault.hint) == ("the parameter p is not used", "Use it or remove it.")
    used = body.replace("«", "").replace("message: m", "message: of {p}")
    assert rule_of(used).parameters["p"].default == "a"


@pytest.mark.parametrize(
    ("message", "fault", "hint"),
    [
        ("{vm.nme}", "{vm.nme}", "Did you mean vm.name?"),
        ("{wrd}", "{wrd}", None),
        ("{}", "{}", None),
        ("{vm}{vault.nam}", "{vault.nam}", "Did you mean vault.name?"),
        ("{vm.name!r}", "{vm.name!r}", None),
        ("{vm.name.__class__}", "{vm.name.__class__}", None),
    ],
)
def test_a_message_names_what_there_is(message: str, fault: str, hint: str | None) -> None:
    found = fault_of(f'«message: "{message}"\nrequire: {{field: vm.name, equals: a}}\n')
    assert found.message == f"the message names an unknown field or parameter {fault}"
    assert hint is None or found.hint == hint


def test_a_message_names_only_what_the_subject_sees() -> None:
    fault = fault_of('«message: "{vm.name}"\nrequire: {field: vault.name, equals: a}\n', "vault")
    assert fault.message == "the message names an unknown field or parameter {vm.name}"


def test_every_fault_of_every_file_is_told_at_once() -> None:
    first = write(
        HEAD.replace("id: r", "id: one").replace("low", "lo") + "message: '{a}'\nrequire: {anyOf: []}\n", "one.yaml"
    )
    second = write("a: 1\na: 2\n", "two.yaml")
    third = write(
        HEAD + "message: m\nother: 1\nrequire: {allOf: [{field: vm.a, equals: b}, {field: vm.name}]}\n", "three.yaml"
    )
    with pytest.raises(InputErrors) as caught:
        load_rules([first, second, third])
    assert [str(fault) for fault in caught.value.faults] == [
        "one.yaml:3:1: severity is never lo",
        "one.yaml:6:1: the message names an unknown field or parameter {a}",
        "one.yaml:7:11: anyOf needs a list of conditions that is not empty",
        "three.yaml:1:1: the id r is not the name of the file",
        "three.yaml:7:1: unknown key other",
        "three.yaml:8:20: unknown field vm.a",
        "three.yaml:8:45: a condition needs one word, and has 0",
        "two.yaml:2:1: the key a stands twice (first in line 1)",
    ]
    assert caught.value.message == "one.yaml:3:1: severity is never lo"


def test_one_fault_does_not_hide_another_in_the_same_file_and_makes_up_none() -> None:
    text = """\
id: r
title: Title
severity: low
resource: vmm
rationale: Why
references: [nowhere]
controls: {isoo: [a]}
parameters:
  a: {type: strng, default: 1, description: d}
  b: {type: number, default: x, description: d}
  c: {type: string, default: x, description: d}
  d: {type: string, default: x, description: d}
require:
  anyOf:
    - {field: vm.agnt, equals: {parameter: a}}
    - {field: vm.created, less: {hoursAgo: {parameter: b}}}
    - {field: vm.nme, equal: {parameter: c}}
    - {allOf: [{field: vm.agent, equals: redy}], equals: a}
    - {field: item.stat, equals: a, like: b}
message: "{a} {e}"
"""
    with pytest.raises(InputErrors) as caught:
        load_rules([write(text)])
    assert [str(fault).removeprefix("r.yaml:") for fault in caught.value.faults] == [
        "4:1: resource is never vmm",
        "6:1: references is a list of https links",
        "7:12: unknown framework isoo",
        "9:7: unknown type strng",
        "10:21: b is of type number, and 'x' is not",
        "12:3: the parameter d is not used",
        "15:8: unknown field vm.agnt",
        "17:8: unknown field vm.nme",
        "17:23: unknown condition word equal",
        '18:34: vm.agent is never "redy"',
        "18:50: equals stands beside allOf",
        "19:7: a condition needs one word, and has 2",
        "19:8: unknown field item.stat",
        "20:1: the message names an unknown field or parameter {e}",
    ]


def test_a_rule_keeps_what_its_file_says() -> None:
    rule = rule_of(
        """\
profiles: [hardened]
references: [https://learn.microsoft.com]
controls: {mcsb: [BR-1], cis: ["11.2"]}
fix: |
  one
  two
overrides: true
message: >
  two
  lines
require: {field: vm.name, equals: a}
""",
    )
    assert (rule.id, rule.title, rule.resource, rule.severity) == ("r", "Title", "vm", "low")
    assert list(rule.profiles) == ["hardened"]
    assert rule.controls == {"mcsb": ("BR-1",), "cis": ("11.2",)}
    assert (rule.message, rule.fix, rule.remedy) == ("two lines", "one\ntwo", "manual")
    assert (rule.overrides, rule.own, str(rule.place)) == (True, True, "r.yaml:1:1")


def test_profiles_are_all_of_them_when_a_rule_names_none() -> None:
    assert rule_of("require: {field: vm.name, equals: a}\n").profiles == {"baseline": {}, "hardened": {}}


def test_the_hash_of_a_rule_is_that_of_its_content_and_not_of_its_layout() -> None:
    plain = rule_of("require: {field: vm.name, equals: a}\n").sha256
    assert rule_of("# why\nrequire:\n  equals: 'a'\n  field: vm.name\n").sha256 == plain
    assert rule_of("require: {field: vm.name, equals: b}\n").sha256 != plain


# Several files


def test_an_id_is_given_once_unless_the_later_rule_says_that_it_overrides() -> None:
    body = "message: m\nrequire: {field: vm.name, equals: a}\n"
    one, two = write(HEAD + body, "one/r.yaml"), write(HEAD.replace("Title", "New") + body, "two/r.yaml")
    with pytest.raises(InputErrors) as caught:
        load_rules([one, two])
    (fault,) = caught.value.faults
    assert str(fault) == "two/r.yaml:1:1: there is already a rule r (one/r.yaml:1:1)"
    assert "overrides: true" in fault.hint
    (rule,) = load_rules([one, write(HEAD.replace("Title", "New") + "overrides: true\n" + body, "two/r.yaml")])
    assert (rule.title, str(rule.place)) == ("New", "two/r.yaml:1:1")


def test_the_same_rule_read_twice_is_one_rule() -> None:
    text = HEAD + "message: m\nrequire: {field: vm.name, equals: a}\n"
    (rule,) = load_rules([write(text, "one/r.yaml"), write(f"# a copy\n{text}", "two/r.yaml")])
    assert rule.id == "r"


def test_a_bundled_rule_can_be_overridden_by_ones_own() -> None:
    text = HEAD.replace("id: r", "id: vm-protected") + "message: m\nrequire: {field: vm.name, equals: a}\n"
    with pytest.raises(InputErrors, match=r"there is already a rule vm-protected \(rules/vm-protected.yaml:1:1\)"):
        load_rules([*bundled_files(), write(text, "vm-protected.yaml")])
    rules = load_rules([*bundled_files(), write(text + "overrides: true\n", "vm-protected.yaml")])
    assert [rule.own for rule in rules if rule.id == "vm-protected"] == [True]


def test_rules_come_in_the_order_of_their_ids() -> None:
    body = "message: m\nrequire: {field: vm.name, equals: a}\n"
    files = [write(HEAD.replace("id: r", f"id: {name}") + body, f"{name}.yaml") for name in ("b", "c", "a")]
    assert [rule.id for rule in load_rules(files)] == ["a", "b", "c"]


def test_own_rules_are_found_in_files_and_folders_but_not_their_cases() -> None:
    for name in (
        "mine/b.yaml",
        "mine/deep/a.yml",
        "mine/cases/b.yaml",
        "mine/deep/cases/a.yml",
        "mine/c.txt",
        "one.yaml",
    ):
        write("", name)
    found = own_files([Path("mine"), Path("one.yaml")])
    assert [file.shown for file in found] == ["mine/b.yaml", "mine/deep/a.yml", "one.yaml"]
    assert all(file.own for file in found)


def test_a_folder_called_cases_above_ones_rules_hides_none_of_them() -> None:
    write("", "cases/mine/a.yaml")
    assert [file.shown for file in own_files([Path("cases/mine")])] == ["cases/mine/a.yaml"]


def test_a_path_without_rules_is_refused() -> None:
    Path("empty").mkdir()
    with pytest.raises(UsageError, match="no rule files in empty"):
        own_files([Path("empty")])
    with pytest.raises(UsageError, match="there is no file or folder none"):
        own_files([Path("none")])


# Parameters put in

LIMITS = """\
message: "{limit}"
parameters:
  limit: {type: number, default: 5, description: The limit}
  states: {type: list<string>, default: [protected], description: States}
  tag: {type: string, default: Owner, description: Tag, enum: [Owner, Team]}
  hours: {type: number, default: 24, description: Hours}
  on: {type: boolean, default: null, description: On}
applies: {value: {parameter: on}, equals: true}
require:
  allOf:
    - {field: policy.runs_on_busiest_day, less: {parameter: limit}}
    - {field: item.state, in: {parameter: states}}
    - not: {anyOf: [{field: {tag: {parameter: tag}}, exists: true}]}
    - {field: vm.created, less: {hoursAgo: {parameter: hours}}}
"""


def bound(values: Mapping[str, ParameterValue]) -> BoundRule:
    return bind(rule_of(LIMITS), values, None, "auditor.yaml:3:1")


def test_parameters_are_put_in_with_their_defaults() -> None:
    found = bound({})
    assert found.values == {"limit": 5, "states": ["protected"], "tag": "Owner", "hours": 24, "on": None}
    assert found.applies == Compare(Constant(None, "on"), "equals", Constant(value=True))
    assert found.require == AllOf(
        (
            Compare(FieldRef("policy.runs_on_busiest_day"), "less", Constant(5, "limit")),
            Compare(FieldRef("item.state"), "in", Constant(["protected"], "states")),
            Not(AnyOf((Compare(TagRef("vm", "owner"), "exists", Constant(value=True)),))),
            Compare(FieldRef("vm.created"), "less", Age(Constant(24, "hours"), 1)),
        ),
    )
    assert not any(isinstance(side, ParameterRef) for leaf in leaves(found.require) for side in (leaf.left, leaf.right))


def test_values_go_before_defaults() -> None:
    found = bound({"limit": 6.5, "tag": "Team", "on": False})
    assert found.values == {"limit": 6.5, "states": ["protected"], "tag": "Team", "hours": 24, "on": False}
    assert next(leaves(found.require)).right == Constant(6.5, "limit")
    assert [tag.name for tag in tags_of(found.require)] == ["team"]


def test_the_severity_is_the_rules_own_unless_another_is_given() -> None:
    rule = rule_of(LIMITS)
    assert bind(rule, {}, None, "here").severity == "low"
    assert bind(rule, {}, "critical", "here").severity == "critical"


@pytest.mark.parametrize(
    ("name", "value", "message", "hint"),
    [
        ("limt", 5, "r has no parameter limt", "Did you mean limit?"),
        ("limit", "5", "r: limit is of type number, and '5' is not", "The limit"),
        ("limit", True, "r: limit is of type number, and True is not", "The limit"),
        ("limit", None, "r: limit is of type number, and None is not", "The limit"),
        ("on", 1, "r: on is of type boolean, and 1 is not", "On"),
        ("states", "protected", "r: states is of type list<string>, and 'protected' is not", "States"),
        ("states", ["protectd"], 'r.states: item.state is never "protectd"', "Did you mean protected?"),
        ("tag", "Other", "r: tag is one of Owner, Team, not Other", "Tag"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_where_it_comes_from(
    name: str,
    value: ParameterValue,
    message: str,
    hint: str,
) -> None:
    with pytest.raises(UsageError) as caught:
        bound({name: value})
    assert caught.value.message == f"auditor.yaml:3:1: {message}"
    assert caught.value.hint == hint


def test_a_rule_without_parameters_says_so() -> None:
    with pytest.raises(UsageError) as caught:
        bind(rule_of("require: {field: vm.name, equals: a}\n"), {"a": 1}, None, "--param")
    assert (caught.value.message, caught.value.hint) == ("--param: r has no parameter a", "r has no parameters.")


def test_words_of_a_closed_list_are_taken_in_any_letter_case() -> None:
    assert bound({"states": ["PROTECTED", "Stopped"]}).values["states"] == ["PROTECTED", "Stopped"]


# Exclusions


def exclusions_of(text: str) -> Sequence[Fault]:
    with pytest.raises(InputErrors) as caught:
        read_exclusions(parse_yaml(text.encode(), "c.yaml"), ("scope", "exclude"))
    return caught.value.faults


def test_an_exclusion_is_a_condition_with_a_reason() -> None:
    text = """\
scope:
  exclude:
    - reason: Build agents
      field: vm.name
      like: bld-*
    - {reason: Old, field: vault.name, equals: old}
    - {reason: A tag of the item, field: {tag: a, of: item}, exists: true}
    - {reason: A group, not: {field: resource_group.name, equals: a}}
    - {reason: Unused, anyOf: [{field: policy.in_use, equals: false}]}
"""
    found = read_exclusions(parse_yaml(text.encode(), "c.yaml"), ("scope", "exclude"))
    assert [exclusion.subject for exclusion in found] == ["vm", "vault", "item", "vm", "policy"]
    assert [exclusion.reason for exclusion in found][:2] == ["Build agents", "Old"]
    assert [str(exclusion.place) for exclusion in found][:2] == ["c.yaml:3:7", "c.yaml:6:7"]
    assert found[0].condition == Compare(FieldRef("vm.name"), "like", Constant("bld-*"))


@pytest.mark.parametrize("text", ["", "scope: {}\n", "scope: {exclude: []}\n", "scope:\n  exclude:\n"])
def test_no_exclusions_are_none(text: str) -> None:
    assert read_exclusions(parse_yaml(text.encode(), "c.yaml"), ("scope", "exclude")) == []


@pytest.mark.parametrize("reason", ["", "reason: , ", "reason: '', ", "reason: ' ', ", "reason: 5, "])
def test_an_exclusion_without_a_reason_is_refused(reason: str) -> None:
    (fault,) = exclusions_of(f"scope:\n  exclude:\n    - {{{reason}field: vm.name, equals: a}}\n")
    assert str(fault) == "c.yaml:3:7: an exclusion needs a reason"
    assert "The report tells it" in fault.hint


def test_all_faults_of_exclusions_are_told_at_once() -> None:
    faults = exclusions_of(
        "scope:\n  exclude:\n    - {reason: a, field: vm.nme, equals: a}\n    - {field: vm.name}\n    - text\n",
    )
    assert [str(fault) for fault in faults] == [
        "c.yaml:3:19: unknown field vm.nme",
        "c.yaml:4:7: a condition needs one word, and has 0",
        "c.yaml:4:7: an exclusion needs a reason",
        "c.yaml:5:7: a condition is a mapping, such as {field: vm.agent, equals: ready}",
        "c.yaml:5:7: an exclusion needs a reason",
    ]


def test_an_exclusion_has_no_parameters() -> None:
    (fault,) = exclusions_of("scope:\n  exclude:\n    - {reason: a, field: vm.name, equals: {parameter: p}}\n")
    assert fault.message == "unknown parameter p"


BY_PROFILE = """\
profiles:
  baseline: {}
  hardened: {«accept: %s}
parameters: {accept: {type: list<string>, default: [ready, declared], description: d}}
require: {field: vm.agent, in: {parameter: accept}}
"""


def test_a_parameter_may_have_another_default_in_a_profile() -> None:
    rule = rule_of(BY_PROFILE.replace("«", "") % "[ready]")
    assert rule.profiles == {"baseline": {}, "hardened": {"accept": ["ready"]}}
    assert bind(rule, {}, None, "here").values == {"accept": ["ready", "declared"]}


@pytest.mark.parametrize(
    ("default", "message"),
    [("[redy]", 'vm.agent is never "redy"'), ("ready", "accept is of type list<string>, and 'ready' is not")],
)
def test_a_default_of_a_profile_is_checked_like_any_other(default: str, message: str) -> None:
    with pytest.raises(InputErrors) as refused:
        rule_of(BY_PROFILE.replace("«", "") % default)
    assert [fault.message for fault in refused.value.faults] == [message]


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ("{baseline: {other: 1}}", "unknown parameter other"),
        ("{baseline: null}", "a profile is a mapping of parameters to their defaults in it"),
        ("{strict: {}}", "profiles is a list of baseline and hardened"),
    ],
)
def test_a_mapping_of_profiles_names_profiles_and_parameters(profiles: str, message: str) -> None:
    with pytest.raises(InputErrors) as refused:
        rule_of(f"profiles: {profiles}\nrequire: {{field: vm.name, equals: a}}\n")
    assert [fault.message for fault in refused.value.faults] == [message]
