"""JSON Schemas of the files that people write and read: for editors, and for whoever reads report.json."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from auditor.assessment.model import OUTCOMES, Diff, Report, Survey
from auditor.assessment.trend import Run
from auditor.declared.attestations import KEYS
from auditor.declared.config import Config
from auditor.declared.exemptions import CATEGORIES
from auditor.estate.fields import FIELDS, SEES, SUBJECTS, Field
from auditor.reference.condition_schema import TEXT, TIME, condition, definitions, literal, named, told
from auditor.remediation.model import Plan
from auditor.ruleset.load import FRAMEWORKS, PARAMETER_TYPES, PROFILES, bundled_files, load_rules
from auditor.ruleset.model import SEVERITIES, ParameterType, Rule

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def rule_schema() -> dict[str, Any]:
    """Return the JSON Schema of a rule file: what an editor can complete and check."""
    return {
        "$schema": _DIALECT,
        "$id": "rule.schema.json",
        "title": "A rule of auditor",
        "type": "object",
        "required": ["id", "title", "severity", "resource", "rationale", "require", "message"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "description": "The name of the file"},
            "title": {**TEXT, "description": "What it checks, in one line"},
            "severity": {"enum": list(SEVERITIES), "description": "What a violation weighs; the gate goes by it"},
            "resource": {"enum": list(SUBJECTS), "description": "What is judged, and which fields can be named"},
            "profiles": {
                "description": "Where it runs; as a mapping, with the defaults of parameters that differ there",
                "anyOf": [
                    {"type": "array", "minItems": 1, "items": {"enum": list(PROFILES)}},
                    {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": False,
                        "properties": {name: {"type": "object"} for name in PROFILES},
                    },
                ],
            },
            "rationale": {**TEXT, "description": "Why it matters, in a user's words"},
            "references": {
                "type": "array",
                "items": {"type": "string", "pattern": "^https://"},
                "description": "Where it is written",
            },
            "controls": {
                "type": "object",
                "description": "The controls it bears on, by framework",
                "additionalProperties": False,
                "properties": {
                    name: {"type": "array", "minItems": 1, "items": {"type": "string"}} for name in FRAMEWORKS
                },
            },
            "parameters": {
                "type": "object",
                "description": "What users of the rule can set, by name",
                "propertyNames": {"pattern": "^[a-z][a-z0-9_]*$"},
                "additionalProperties": _parameter(),
            },
            "applies": {"$ref": "#/$defs/condition", "description": "Where it is false, the verdict is not-applicable"},
            "require": {"$ref": "#/$defs/condition", "description": "What must be true"},
            "message": {**TEXT, "description": "What was seen, with {field} and {parameter} put in"},
            "fix": {**TEXT, "description": "How to mend it"},
            "remedy": {**TEXT, "description": "The step of a plan that mends it; manual when it is not said"},
            "overrides": {"type": "boolean", "description": "It replaces a rule of the same id"},
        },
        "$defs": definitions(),
    }


_VALUES: dict[ParameterType, dict[str, Any]] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "list<string>": {"type": "array", "items": {"type": "string"}},
}


def _parameter() -> dict[str, Any]:
    """Return the schema of the declaration of a parameter."""
    return {
        "type": "object",
        "required": ["type", "default", "description"],
        "additionalProperties": False,
        "properties": {
            "type": {"enum": list(PARAMETER_TYPES), "description": "What its values are"},
            "default": {"description": "Its value where nobody sets it; null: it is off until somebody does"},
            "description": {**TEXT, "description": "What it does"},
            "enum": {"type": "array", "items": {"type": "string"}, "description": "All values it can have"},
        },
        "allOf": [
            {
                "if": {"properties": {"type": {"const": kind}}},
                "then": {"properties": {"default": {"anyOf": [values, {"type": "null"}]}}},
            }
            for kind, values in _VALUES.items()
        ],
    }


def cases_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of cases."""
    relations: dict[str, dict[str, Any]] = {
        relation: {
            "if": {
                "type": "string"
            },  # rather than anyOf: editors say what is wrong with a field, and not that it is none
            "then": {"const": "none"},
            "else": {"type": "object", "additionalProperties": False, "properties": columns},
            "description": "Its facts; what is left out is not known. none: there is none",
        }
        for relation, columns in _columns().items()
    }
    relations["vm"]["else"]["patternProperties"] = {"^exempt_from\\.": {"type": ["boolean", "null"]}}
    case = {
        "type": "object",
        "required": ["name", "outcome"],
        "additionalProperties": False,
        "properties": {
            "name": {**TEXT, "description": "What it shows"},
            "outcome": {"enum": list(OUTCOMES.values()), "description": "What the rule must say"},
            "message": {"type": "string", "description": "Text that the message must contain"},
            "now": {"anyOf": [TIME, {"type": "null"}], "description": "What counts as now; null: nobody knows"},
            "parameters": {"type": "object", "description": "What differs from the defaults of the rule's parameters"},
            **relations,
        },
    }
    return {
        "$schema": _DIALECT,
        "$id": "cases.schema.json",
        "title": "Cases of a rule of auditor",
        "type": "object",
        "required": ["cases"],
        "additionalProperties": False,
        "properties": {
            "now": {**TIME, "description": "What counts as now in cases that do not say it"},
            "cases": {"type": "array", "minItems": 1, "items": case},
        },
    }


def _columns() -> dict[str, dict[str, Any]]:
    tags = {
        "type": ["object", "null"],
        "additionalProperties": {"type": "string"},
        "description": "Its tags; null: they were not read",
    }
    columns: dict[str, dict[str, Any]] = {relation: {"tags": tags} for relation in SEES["vm"]}
    for entry in FIELDS.values():
        if entry.column:
            columns[entry.relation][entry.column] = {"description": told(entry), "anyOf": _cell(entry)}
    return columns


def _cell(entry: Field) -> list[dict[str, Any]]:
    """Return what a case can say of a field: a value, null where it is not known, none where it is absent."""
    number = {"type": "number"}
    more: dict[str, list[dict[str, Any]]] = {
        "time": [{"const": "never"}],
        "bounded": [
            {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [number, {"type": ["number", "null"]}]}
        ],
    }
    absent = [{"const": "none"}] if entry.absent == "none" else []
    return [literal(entry), *more.get(entry.type, []), *absent, {"type": "null"}]


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of auditor.yaml; bundled rules and their parameters are proposed, others may be named."""
    schema = _of_type(Config, "config.schema.json", "auditor.yaml: the settings of one organisation")
    reason = {"reason": {**TEXT, "description": "Why it is not judged; the report tells it"}}
    schema["$defs"] |= {**definitions(), "exclusion": condition(reason)}
    schema["$defs"]["Scope"]["properties"]["exclude"]["items"] = {"$ref": "#/$defs/exclusion"}
    rules = load_rules(bundled_files())
    schema["properties"]["parameters"]["properties"] = {rule.id: _set(rule) for rule in rules if rule.parameters}
    severities = schema["properties"]["severities"]
    severities["properties"] = {
        rule.id: {**severities["additionalProperties"], "description": f"{rule.title} ({rule.severity})"}
        for rule in rules
    }
    for choice in ("select", "ignore"):
        schema["properties"][choice]["items"] = _rule_id(rules)
    return schema


def _set(rule: Rule) -> dict[str, Any]:
    """Return the schema of what sets the parameters of a rule."""
    return {
        "type": "object",
        "description": rule.title,
        "additionalProperties": False,
        "properties": {
            parameter.name: {
                **_VALUES[parameter.type],
                **({"enum": list(parameter.enum)} if parameter.enum and parameter.type == "string" else {}),
                "description": f"{parameter.description}; {json.dumps(parameter.default)} if not said",
            }
            for parameter in rule.parameters.values()
        },
    }


def _rule_id(rules: Sequence[Rule]) -> dict[str, Any]:
    """Return the schema of the id of a rule: a bundled one, or whatever else can be one."""
    bundled = named([rule.id for rule in rules], [rule.title for rule in rules])
    return {"anyOf": [bundled, {"type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$"}]}


def exemptions_schema() -> dict[str, Any]:
    """Return the JSON Schema of exemptions.yaml."""
    ids = {
        "id": "The id of a resource",
        "resource_group": "The id of a resource group: /subscriptions/ID/resourceGroups/NAME",
        "subscription": "The id of a subscription: /subscriptions/ID",
    }
    scopes: dict[str, Any] = {
        kind: {"type": "string", "pattern": "^/[Ss]ubscriptions/", "description": what} for kind, what in ids.items()
    }
    scopes["tag"] = {
        "type": "object",
        "required": ["name", "value"],
        "additionalProperties": False,
        "properties": {"name": TEXT, "value": {"type": "string"}},
        "description": "A tag of the resource itself",
    }
    entry = {
        "type": "object",
        "required": ["id", "rule", "scope", "category", "reason", "owner", "expires"],
        "additionalProperties": False,
        "properties": {
            "id": {**TEXT, "description": "A name of your own, once in the file"},
            "rule": {**_rule_id(load_rules(bundled_files())), "description": "The id of the rule"},
            "scope": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": False,
                "properties": scopes,
                "description": "What is exempt; of several exemptions the most specific one counts",
            },
            "category": {
                "enum": list(CATEGORIES),
                "description": "waiver: the risk is taken; mitigated: it is met in another way",
            },
            "reason": {**TEXT, "description": "Why; the report tells it"},
            "owner": {**TEXT, "description": "Who answers for it"},
            "approver": {"type": ["string", "null"], "description": "Who agreed to it"},
            "ticket": {"type": ["string", "null"], "description": "Where it is written down"},
            "created": {**TIME, "type": ["string", "null"], "description": "Counts from then on"},
            "expires": {**TIME, "description": "From this time on it no longer counts"},
        },
    }
    return {
        "$schema": _DIALECT,
        "$id": "exemptions.schema.json",
        "title": "exemptions.yaml: which verdicts somebody answers for",
        "type": ["array", "null"],
        "items": entry,
    }


def attestations_schema() -> dict[str, Any]:
    """Return the JSON Schema of attestations.yaml."""
    time = {
        "type": "string",
        "pattern": r"^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d))?$",
    }
    properties = {
        "framework": {"enum": list(FRAMEWORKS)},
        "control": {**TEXT, "description": "Its id, as docs/controls.md or a rule of your own has it"},
        "statement": {**TEXT, "description": "What is stated; the report tells it"},
        "by": {**TEXT, "description": "Who states it"},
        "date": {**time, "description": "When it was stated; before that it does not count"},
        "expires": {**time, "description": "From this time on it no longer counts"},
        "evidence": {**TEXT, "description": "A link to the record, or where else it is"},
    }
    return {
        "$schema": _DIALECT,
        "$id": "attestations.schema.json",
        "title": "attestations.yaml: what people state about controls that no rule can tell",
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "required": list(KEYS),
            "additionalProperties": False,
            "properties": properties,
        },
    }


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of report.json."""
    return _of_type(Report, "report.schema.json", "report.json: the verdicts of one audit")


def diff_schema() -> dict[str, Any]:
    """Return the JSON Schema of what ``auditor diff -o diff.json`` writes."""
    return _of_type(Diff, "diff.schema.json", "diff.json: what is different between two reports")


def survey_schema() -> dict[str, Any]:
    """Return the JSON Schema of what ``auditor audit --engine spark -o survey.json`` writes."""
    return _of_type(Survey, "survey.schema.json", "survey.json: what is in many snapshots, each judged by itself")


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of what ``auditor plan -o plan.json`` writes."""
    return _of_type(Plan, "plan.schema.json", "plan.json: the steps that would turn failing verdicts")


def run_schema() -> dict[str, Any]:
    """Return the JSON Schema of a run as ``auditor history -o runs.json`` lists them."""
    return _of_type(Run, "run.schema.json", "A run that a history keeps: what was in force, and what was said")


def _of_type(shape: type, name: str, title: str) -> dict[str, Any]:
    (reference,), definitions = msgspec.json.schema_components([shape], ref_template="#/$defs/{name}")
    root = definitions.pop(reference["$ref"].rpartition("/")[2])
    return {"$schema": _DIALECT, "$id": name, **root, "title": title, "$defs": dict(sorted(definitions.items()))}


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "rule": rule_schema,
    "cases": cases_schema,
    "config": config_schema,
    "exemptions": exemptions_schema,
    "attestations": attestations_schema,
    "report": report_schema,
    "diff": diff_schema,
    "survey": survey_schema,
    "plan": plan_schema,
    "run": run_schema,
}
# Those of the files that people write.
EDITED = ("rule", "cases", "config", "exemptions")


def schema_text(name: str, *, indent: int | None = 2) -> str:
    """Return the text of a schema; on one line where nobody reads it."""
    separators = (",", ":") if indent is None else None
    return json.dumps(SCHEMAS[name](), indent=indent, separators=separators, ensure_ascii=False) + "\n"
