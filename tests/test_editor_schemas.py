"""The schemas that editors complete and check by say what the loaders say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from auditor.assessment.cases import load_cases
from auditor.errors import InputErrors
from auditor.estate.fields import EXEMPT_FROM, FIELDS, SEES, Field
from auditor.reference import SCHEMAS, cases_schema, config_schema, rule_schema
from auditor.ruleset.conditions import ConditionReader
from auditor.ruleset.load import bundled_files, load_rules
from auditor.ruleset.model import Parameter
from auditor.ruleset.words import MEANINGS, NEGATIONS, TAKES
from auditor.yaml_source import Document

WORDS = (*TAKES, *NEGATIONS)
NAMED = [entry for entry in FIELDS.values() if not entry.note]
KINDS = list({(entry.type, bool(entry.words), entry.absent): entry for entry in NAMED}.values())
RULES = load_rules(bundled_files())
RULE = rule_schema()
CONDITION = Draft202012Validator({**RULE["$defs"]["condition"], "$defs": RULE["$defs"]})
CASES = Draft202012Validator(cases_schema())
TIME = "2026-01-31T06:00:00Z"
PARAMETERS = {
    "text": Parameter("text", "string", None, "d"),
    "number": Parameter("number", "number", None, "d"),
    "truth": Parameter("truth", "boolean", None, "d"),
    "list": Parameter("list", "list<string>", None, "d"),
}


def loader_takes(condition: object) -> bool:
    reader = ConditionReader(Document("r.yaml", None), "vm", PARAMETERS)
    reader.read(condition, ("require",))
    return not reader.faults


def with_parameters(condition: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the condition with each parameter that there could be: the schema cannot know their types."""
    text = json.dumps(condition)
    return [json.loads(text.replace("«p»", name)) for name in PARAMETERS] if "«p»" in text else [condition]


def rights(entry: Field | None) -> Iterator[object]:
    """Yield what could stand on the right: much of it fits, much does not."""
    word = entry.words[0] if entry is not None and entry.words else "a"
    yield from ("b", word.upper(), 5, True, None, TIME, TIME[:-1], [], ["b"], [word], [5], [None])
    parameter = {"parameter": "«p»"}
    yield from (parameter, {**parameter, "of": 1}, {"hoursAgo": 5}, {"daysAgo": parameter}, {"hoursAgo": -1})
    yield {"field": entry.name if entry is not None else "vm.name"}


def disagreements(left: dict[str, Any], entry: Field | None) -> list[dict[str, Any]]:
    found = []
    for word in WORDS:
        for right in rights(entry):
            filled = with_parameters({**left, word: right})
            if CONDITION.is_valid(filled[0]) != any(map(loader_takes, filled)):
                found.append(filled[0])
    return found


@pytest.mark.parametrize("entry", KINDS, ids=lambda entry: entry.name)
def test_a_field_takes_the_words_and_values_that_the_loader_takes(entry: Field) -> None:
    assert disagreements({"field": entry.name}, entry) == []


@pytest.mark.parametrize("left", [{"field": {"tag": "a"}}, {"field": {"tag": {"parameter": "text"}, "of": "item"}}])
def test_a_tag_takes_the_words_and_values_that_the_loader_takes(left: dict[str, Any]) -> None:
    assert disagreements(left, None) == []


def test_the_question_for_exemptions_takes_the_words_and_values_that_the_loader_takes() -> None:
    found = disagreements({"field": f"{EXEMPT_FROM}vm-protected"}, FIELDS["vm.from_image"])
    assert found == []


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"field": "vm.name"},
        {"equals": "a"},
        {"field": "vm.name", "value": "a", "equals": "a"},
        {"field": "vm.name", "equals": "a", "like": "b"},
        {"field": "vm.name", "equals": "a", "not": {"field": "vm.name", "equals": "a"}},
        {"allOf": [], "anyOf": []},
        {"anyOf": []},
        {"allOf": {"field": "vm.name", "equals": "a"}},
        {"anyOf": [{"field": "vm.name", "equals": "a"}]},
        {"not": {"allOf": [{"field": "vm.name", "equals": "a"}]}},
        {"not": {"allOf": [{"field": "vm.nme", "equals": "a"}]}},
        {"field": "vm.name", "equal": "a"},
        {"allOf": [{"field": "vm.name", "equals": "a"}], "equals": "a"},
        {"field": "vm.agent_note", "equals": "a"},
        {"field": {"tag": "a", "off": "vm"}, "equals": "a"},
        {"field": {"tag": "a", "of": "vmm"}, "equals": "a"},
        {"field": {"of": "vm"}, "equals": "a"},
        {"value": {"parameter": "text"}, "equals": "a"},
        {"value": {"parameter": "list"}, "exists": True},
        {"value": "a", "in": {"parameter": "list"}},
        {"value": ["a"], "in": {"parameter": "list"}},
        {"value": {"parameter": "text"}, "exists": "yes"},
        "text",
        None,
    ],
    ids=str,
)
def test_conditions_are_put_together_as_the_loader_takes_them(condition: object) -> None:
    assert CONDITION.is_valid(condition) == loader_takes(condition)


def test_every_field_and_every_word_is_proposed_and_explained() -> None:
    proposed = RULE["$defs"]["field"]
    explained = dict(zip(proposed["enum"], proposed["enumDescriptions"], strict=True))
    assert list(explained) == [entry.name for entry in NAMED]
    for entry in NAMED:
        assert entry.doc in explained[entry.name]
        assert all(word in explained[entry.name] for word in entry.words)
    assert set(MEANINGS) == set(WORDS)
    words = RULE["$defs"]["condition"]["properties"]
    assert {word: words[word]["description"] for word in WORDS} == MEANINGS


@pytest.mark.parametrize("entry", [entry for entry in NAMED if entry.words], ids=lambda entry: entry.name)
def test_a_word_of_a_closed_list_is_taken_in_any_letter_case_and_a_misspelt_one_is_not(entry: Field) -> None:
    for word in entry.words:
        assert CONDITION.is_valid({"field": entry.name, "equals": word})
        assert CONDITION.is_valid({"field": entry.name, "notIn": [word.upper(), word.lower()]})
        assert not CONDITION.is_valid({"field": entry.name, "in": [f"{word}x"]})


@pytest.mark.parametrize("entry", [entry for entry in KINDS if entry.column], ids=lambda entry: entry.name)
def test_a_case_takes_the_values_that_the_loader_takes(entry: Field) -> None:
    (rule,) = [rule for rule in RULES if rule.id == "vm-protected"]
    word = entry.words[0].upper() if entry.words else "a"
    values: tuple[object, ...] = (
        "b",
        word,
        5,
        True,
        None,
        TIME,
        "never",
        "none",
        [1, 2],
        [1, None],
        [None, 1],
        [1],
        ["a", "b"],
        {},
    )
    for value in values:
        case = {"cases": [{"name": "n", "outcome": "pass", entry.relation: {entry.column: value}}]}
        Path("cases.yaml").write_text(json.dumps(case), encoding="utf-8")
        try:
            taken = bool(load_cases(Path("cases.yaml"), "cases.yaml", rule))
        except InputErrors:
            taken = False
        assert CASES.is_valid(case) == taken, value


def test_a_case_can_say_every_field() -> None:
    relations = cases_schema()["properties"]["cases"]["items"]["properties"]
    for entry in NAMED:
        if entry.column:
            assert entry.doc in relations[entry.relation]["else"]["properties"][entry.column]["description"]


def test_settings_propose_the_bundled_rules_with_their_parameters_and_take_others() -> None:
    schema = config_schema()
    validator = Draft202012Validator(schema)
    keys = schema["properties"]
    assert set(keys["severities"]["properties"]) == {rule.id for rule in RULES}
    for rule in RULES:
        assert rule.id in keys["select"]["items"]["anyOf"][0]["enum"]
        for name, parameter in rule.parameters.items():
            assert parameter.description in keys["parameters"]["properties"][rule.id]["properties"][name]["description"]
            if parameter.default is not None:
                assert validator.is_valid({"parameters": {rule.id: {name: parameter.default}}})
            assert not validator.is_valid({"parameters": {rule.id: {name: {}}}})
            assert not validator.is_valid({"parameters": {rule.id: {f"{name}s": parameter.default}}})
    own = {"parameters": {"our-rule": {"limit": 5}}, "severities": {"our-rule": "low"}, "select": ["our-rule"]}
    assert validator.is_valid(own)
    assert not validator.is_valid({"severities": {"our-rule": "lo"}})
    assert not validator.is_valid({"severities": {"vm-protected": "lo"}})


@pytest.mark.parametrize(
    ("kind", "default", "fits"),
    [
        ("string", "a", True),
        ("string", 5, False),
        ("number", 5.5, True),
        ("number", "5", False),
        ("boolean", False, True),
        ("boolean", "no", False),
        ("list<string>", ["a"], True),
        ("list<string>", "a", False),
        ("list<string>", [5], False),
        *((kind, None, True) for kind in ("string", "number", "boolean", "list<string>")),
    ],
)
def test_the_default_of_a_parameter_is_of_its_type(kind: str, default: object, *, fits: bool) -> None:
    rule = {
        "id": "r",
        "title": "t",
        "severity": "low",
        "resource": "vm",
        "rationale": "w",
        "message": "{p}",
        "parameters": {"p": {"type": kind, "default": default, "description": "d"}},
        "require": {"field": "vm.name", "equals": "a"},
    }
    assert Draft202012Validator(RULE).is_valid(rule) == fits


def test_everything_that_people_write_is_explained() -> None:
    for name in ("rule", "cases", "config", "exemptions"):
        schema = SCHEMAS[name]()
        shapes = [schema, *([schema["items"]] if "items" in schema else [])]
        for keys in (shape.get("properties", {}) for shape in shapes):
            assert [key for key, about in keys.items() if not about.get("description") and key != "cases"] == []


def test_relations_that_cases_can_name_are_those_that_rules_see() -> None:
    properties = cases_schema()["properties"]["cases"]["items"]["properties"]
    assert set(SEES["vm"]) <= set(properties)
