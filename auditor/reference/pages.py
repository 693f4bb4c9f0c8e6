"""Generated pages: the fields that rules may name, a page for each bundled rule, and the controls they bear on."""

import json
from collections.abc import Mapping, Sequence

from auditor.assessment.cases import Case, load_cases
from auditor.assessment.evidence import condition_words, show, show_bounds
from auditor.assessment.frameworks import natural
from auditor.bundled import bundled
from auditor.estate.fields import EXEMPT_FROM, FIELDS, KIND_NAMES, SEES, SUBJECTS, field_named
from auditor.reference.schemas import SCHEMAS, schema_text
from auditor.ruleset.frameworks import load_frameworks
from auditor.ruleset.load import bind, bundled_files, load_rules
from auditor.ruleset.model import Parameter, Rule, fields_of
from auditor.timestamps import show_time


def fields_page() -> str:
    """Return docs/fields.md."""
    lines = [
        "# Fields",
        "",
        "What a rule can name, by the resource it belongs to. Generated from the declarations in the code.",
        "",
        "A value that is not known makes a comparison unknown, and an unknown comparison never passes and never fails.",
        "*Where it is absent* says what it means when Azure answered and the value was not in the answer: it is not",
        "known where nothing is said. Text is compared without regard to letter case.",
        "",
    ]
    for subject in SUBJECTS:
        seen = ", ".join(f"`{relation}`" for relation in SEES[subject])
        lines.append(f"- a rule with `resource: {subject}` judges {KIND_NAMES[subject][1]} and sees {seen}")
    for relation in SEES["vm"]:
        lines += ["", f"## {relation}", "", "| field | type | what it says | where it is absent |", "|---|---|---|---|"]
        for entry in FIELDS.values():
            belongs = entry.name == relation or (entry.relation == relation and bool(entry.column))
            if not belongs or entry.note:
                continue
            kind = {"relation": "`exists`", "bounded": "number within bounds", "id": "resource id"}.get(
                entry.type, entry.type
            )
            words = f" One of {', '.join(f'`{word}`' for word in entry.words)}." if entry.words else ""
            absent = "" if entry.absent == "unknown" else entry.absent
            lines.append(f"| `{entry.name}` | {kind} | {entry.doc}.{words} | {absent} |")
        if relation == "vm":
            asks = "A live exemption from that rule covers the VM: see [exemptions](exemptions.md)."
            lines.append(f"| `{EXEMPT_FROM}RULE-ID` | boolean | {asks} |  |")
        notes = [entry for entry in FIELDS.values() if entry.relation == relation and entry.note]
        if notes:
            lines += [
                "",
                "For messages only: " + "; ".join(f"`{{{entry.name}}}` ({entry.doc.lower()})" for entry in notes) + ".",
            ]
    return "\n".join(lines) + "\n"


def rule_page(rule: Rule, cases: list[Case]) -> str:
    """Return the page of a rule: what it means, why, on which evidence, how to fix, by example."""
    bound = bind(rule, {}, None, rule.id)
    looked_at = {entry.name: entry for entry in (*fields_of(rule.applies), *fields_of(rule.require))}
    lines = [
        f"# {rule.id}",
        "",
        f"{rule.title}.",
        "",
        f"**{rule.severity}**, judges each {KIND_NAMES[rule.resource][0]}, ",
    ]
    lines[-1] += f"in the profiles {' and '.join(rule.profiles)}."
    lines += ["", "## Why", "", rule.rationale, "", "## What is checked", ""]
    if bound.applies is not None:
        lines.append(f"- applies where `{condition_words(bound.applies)}`; elsewhere it is not applicable")
    lines += [f"- requires `{condition_words(bound.require)}`"]
    lines += ["- is unknown where a fact that decides it was not read, and says which", "", "## Evidence", ""]
    lines += [f"- `{name}`: {entry.doc}." for name, entry in looked_at.items()]
    if rule.parameters:
        lines += ["", "## Parameters", "", "| name | type | default | what it is |", "|---|---|---|---|"]
        lines += [
            f"| `{p.name}` | {p.type} | {_default(rule, p)} | {p.description} |" for p in rule.parameters.values()
        ]
        lines += ["", f"Set one with `--param {rule.id}.NAME=VALUE`, or under `parameters` in auditor.yaml."]
    lines += ["", "## How to fix it", "", rule.fix, "", "## By example", ""]
    for outcome in ("pass", "fail", "unknown", "not-applicable"):
        for case in [case for case in cases if case.outcome == outcome]:
            lines.append(f"- **{outcome}**: {case.name[:1].lower()}{case.name[1:]}{_facts(case)}")
    lines += ["", "## Controls and references", ""]
    lines += [f"- {name}: {', '.join(ids)}" for name, ids in rule.controls.items()]
    lines += [f"- <{link}>" for link in rule.references]
    return "\n".join(lines) + "\n"


_ABOUT_CONTROLS = """\
Which rules bear on which controls, and which controls no rule can give evidence for. A rule shows a part of a
control, never all of it: what else is needed stands beside it. report.json says of each control (`frameworks`)
how it stands:

| state | what it means |
|---|---|
| `holds` | every verdict of the rules that bear on it passes, and all that they judge was read |
| `fails` | a verdict fails, exempt or not |
| `cannot-conclude` | none fails, and one is unknown, or not all was read |
| `not-judged` | none of its rules was run, or none could be applied; rules that were not run are named |
| `attested` | no rule can tell, and somebody states it ([attestations](attestations.md)): nothing is proven |
| `no-evidence` | no rule can tell, and nobody attests it |

Your own rules count as well, by the controls that they name.

## A report for one framework

```
auditor audit --inventory exports/ --as-of 2026-01-31T06:00:00Z --framework dora -o dora.html -o dora.json
```

`--framework ID`, with one of the ids below, runs only the rules that bear on it, of those that profile,
`--select` and `--ignore` leave. HTML, Markdown and the terminal name it in their title and begin with its
controls; other frameworks are not shown in any format. Verdict and exit code are those of the rules that were
run: *Compliant* says that all of them pass, not that the framework is met.
"""


def controls_page(rules: Sequence[Rule]) -> str:
    """Return docs/controls.md: by framework the controls, the rules that bear on each, and what else is needed."""
    lines = [
        "# Controls",
        "",
        *_ABOUT_CONTROLS.splitlines(),
    ]
    for framework in load_frameworks():
        naming = {
            control.id: [rule.id for rule in rules if control.id in rule.controls.get(framework.id, ())]
            for control in framework.controls
        }
        controls = sorted(framework.controls, key=lambda control: natural(control.id))
        lines += ["", f"## {framework.title}", "", f"`{framework.id}`, <{framework.reference}>", ""]
        lines += ["| control | rules | what they do not show |", "|---|---|---|"]
        for control in controls:
            if naming[control.id]:
                links = ", ".join(f"[{name}](rules/{name}.md)" for name in naming[control.id])
                lines.append(f"| {control.id} {control.title} | {links} | {control.note} |")
        others = [control for control in controls if not naming[control.id]]
        if others:
            lines += ["", "| without evidence of ours | what is needed instead |", "|---|---|"]
            lines += [f"| {control.id} {control.title} | {control.note} |" for control in others]
    return "\n".join(lines) + "\n"


def _default(rule: Rule, parameter: Parameter) -> str:
    """Write the default of a parameter, and those of profiles in which it differs."""
    values = {profile: values[parameter.name] for profile, values in rule.profiles.items() if parameter.name in values}
    others = "".join(f"; {profile}: `{json.dumps(value)}`" for profile, value in values.items())
    return f"`{json.dumps(parameter.default)}`{others}"


def _facts(case: Case) -> str:
    said = [f"{name}={show(value)}" for name, value in case.parameters.items()]
    for relation, row in case.relations.items():
        said += [f"no {relation}"] if row is None else _cells(relation, row)
    return f" (`{', '.join(said)}`)" if said else ""


def _cells(relation: str, row: Mapping[str, object]) -> list[str]:
    cells = []
    for name, value in row.items():
        text = show(value)
        if isinstance(value, tuple):
            text = show_bounds(*value)
        elif isinstance(value, int) and _type(f"{relation}.{name}") == "time":
            text = show_time(value)
        cells.append(f"{relation}.{name}={text}")
    return cells


def _type(name: str) -> str:
    field = field_named(name)
    return field.type if field is not None else ""


def pages() -> dict[str, str]:
    """Return every generated file: its path below docs, and its text."""
    schemas = {f"schemas/{name}.schema.json": schema_text(name) for name in SCHEMAS}
    rules = {}
    loaded = load_rules(bundled_files())
    for rule in loaded:
        name = f"{rule.id}.yaml"
        cases = load_cases(bundled("rules") / "cases" / name, f"rules/cases/{name}", rule)
        rules[f"rules/{rule.id}.md"] = rule_page(rule, cases)
    return {"fields.md": fields_page(), "controls.md": controls_page(loaded), **schemas, **rules}
