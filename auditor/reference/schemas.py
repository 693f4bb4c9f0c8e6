"""JSON Schemas of the files that people write and read: for editors, and for whoever reads report.json."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from auditor.assessment.model import Diff, Report
from auditor.assessment.trend import Run
from auditor.declared.attestations import KEYS
from auditor.declared.config import Config
from auditor.declared.exemptions import CATEGORIES
from auditor.estate.fields import EXEMPT_FROM, FIELDS, SEES, SUBJECTS
from auditor.remediation.model import Plan
from auditor.ruleset.load import FRAMEWORKS, PARAMETER_TYPES, PROFILES
from auditor.ruleset.model import SEVERITIES
from auditor.ruleset.words import NEGATIONS, TAKES

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string", "minLength": 1}


def rule_schema() -> dict[str, Any]:
    """Return the JSON Schema of a rule file: what an editor can complete and check."""
    parameter = {
        "type": "object",
        "required": ["parameter"],
        "additionalProperties": False,
        "properties": {"parameter": _TEXT},
    }
    field_names = [entry.name for entry in FIELDS.values() if not entry.note]
    exempt_from = {
        "type": "string",
        "pattern": rf"^{re.escape(EXEMPT_FROM)}[a-z]",
        "description": "Whether a live exemption from that rule covers the VM",
    }
    age = {"anyOf": [{"type": "number", "minimum": 0}, parameter]}
    right = {
        "anyOf": [
            {"type": ["string", "number", "boolean"]},
            {"type": "array", "items": {"type": ["string", "number"]}},
            parameter,
            {
                "type": "object",
                "required": ["field"],
                "additionalProperties": False,
                "properties": {"field": {"enum": field_names}},
            },
            *(
                {"type": "object", "required": [unit], "additionalProperties": False, "properties": {unit: age}}
                for unit in ("hoursAgo", "daysAgo")
            ),
        ],
    }
    tag = {
        "type": "object",
        "required": ["tag"],
        "additionalProperties": False,
        "properties": {"tag": {"anyOf": [_TEXT, parameter]}, "of": {"enum": sorted({*SEES["vm"], *SUBJECTS})}},
    }
    words = {word: {"type": "boolean"} if word == "exists" else right for word in (*TAKES, *NEGATIONS)}
    group = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/condition"}}
    condition = {
        "description": "A condition in the words of Azure Policy.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "allOf": group,
            "anyOf": group,
            "not": {"$ref": "#/$defs/condition"},
            "field": {"anyOf": [{"enum": field_names}, exempt_from, tag]},
            "value": {"anyOf": [{"type": ["string", "number", "boolean"]}, parameter]},
            **words,
        },
    }
    declared = {
        "type": "object",
        "required": ["type", "default", "description"],
        "additionalProperties": False,
        "properties": {
            "type": {"enum": list(PARAMETER_TYPES)},
            "default": {"type": ["string", "number", "boolean", "array", "null"]},
            "description": _TEXT,
            "enum": {"type": "array", "items": {"type": "string"}},
        },
    }
    return {
        "$schema": _DIALECT,
        "$id": "rule.schema.json",
        "title": "A rule of auditor",
        "type": "object",
        "required": ["id", "title", "severity", "resource", "rationale", "require", "message"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "description": "The name of the file"},
            "title": _TEXT,
            "severity": {"enum": list(SEVERITIES)},
            "resource": {"enum": list(SUBJECTS), "description": "What is judged; the first word of its fields"},
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
            "rationale": {**_TEXT, "description": "Why it matters, in a user's words"},
            "references": {"type": "array", "items": {"type": "string", "pattern": "^https://"}},
            "controls": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    name: {"type": "array", "minItems": 1, "items": {"type": "string"}} for name in FRAMEWORKS
                },
            },
            "parameters": {"type": "object", "additionalProperties": declared},
            "applies": {"$ref": "#/$defs/condition", "description": "Where it is false, the verdict is not-applicable"},
            "require": {"$ref": "#/$defs/condition", "description": "What must be true"},
            "message": {**_TEXT, "description": "What was seen, with {field} and {parameter} put in"},
            "fix": {**_TEXT, "description": "How to mend it"},
            "remedy": _TEXT,
            "overrides": {"type": "boolean", "description": "It replaces a rule of the same id"},
        },
        "$defs": {"condition": condition},
    }


def cases_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file of cases."""
    relations: dict[str, dict[str, list[dict[str, Any]]]] = {
        relation: {
            "anyOf": [{"const": "none"}, {"type": "object", "additionalProperties": False, "properties": columns}]
        }
        for relation, columns in _columns().items()
    }
    (_, of_vm) = relations["vm"]["anyOf"]
    of_vm["patternProperties"] = {"^exempt_from\\.": {"type": ["boolean", "null"]}}
    case = {
        "type": "object",
        "required": ["name", "outcome"],
        "additionalProperties": False,
        "properties": {
            "name": _TEXT,
            "outcome": {"enum": ["pass", "fail", "unknown", "not-applicable"]},
            "message": {"type": "string", "description": "Text that the message must contain"},
            "now": {"type": ["string", "null"]},
            "parameters": {"type": "object"},
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
        "properties": {"now": {"type": "string"}, "cases": {"type": "array", "minItems": 1, "items": case}},
    }


def _columns() -> dict[str, dict[str, Any]]:
    columns: dict[str, dict[str, Any]] = {relation: {"tags": {"type": ["object", "null"]}} for relation in SEES["vm"]}
    for entry in FIELDS.values():
        if entry.column:
            known: dict[str, Any] = {"description": entry.doc}
            if entry.words:
                known["enum"] = [*entry.words, None]
            columns[entry.relation][entry.column] = known
    return columns


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of auditor.yaml."""
    schema = _of_type(Config, "config.schema.json", "auditor.yaml: the settings of one organisation")
    condition = {**rule_schema()["$defs"]["condition"], "required": ["reason"]}
    condition["properties"] = {"reason": {**_TEXT, "description": "Why it is not judged"}, **condition["properties"]}
    schema["$defs"]["exclusion"] = condition
    schema["$defs"]["condition"] = rule_schema()["$defs"]["condition"]
    schema["$defs"]["Scope"]["properties"]["exclude"]["items"] = {"$ref": "#/$defs/exclusion"}
    return schema


def exemptions_schema() -> dict[str, Any]:
    """Return the JSON Schema of exemptions.yaml."""
    time = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$"}
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
        "properties": {"name": _TEXT, "value": {"type": "string"}},
        "description": "A tag of the resource itself",
    }
    entry = {
        "type": "object",
        "required": ["id", "rule", "scope", "category", "reason", "owner", "expires"],
        "additionalProperties": False,
        "properties": {
            "id": {**_TEXT, "description": "A name of your own, once in the file"},
            "rule": {**_TEXT, "description": "The id of the rule"},
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
            "reason": {**_TEXT, "description": "Why; the report tells it"},
            "owner": {**_TEXT, "description": "Who answers for it"},
            "approver": {"type": ["string", "null"]},
            "ticket": {"type": ["string", "null"]},
            "created": {**time, "type": ["string", "null"], "description": "Counts from then on"},
            "expires": {**time, "description": "From this time on it no longer counts"},
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
        "control": {**_TEXT, "description": "Its id, as docs/controls.md or a rule of your own has it"},
        "statement": {**_TEXT, "description": "What is stated; the report tells it"},
        "by": {**_TEXT, "description": "Who states it"},
        "date": {**time, "description": "When it was stated; before that it does not count"},
        "expires": {**time, "description": "From this time on it no longer counts"},
        "evidence": {**_TEXT, "description": "A link to the record, or where else it is"},
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
    "plan": plan_schema,
    "run": run_schema,
}
