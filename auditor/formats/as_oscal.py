"""OSCAL Assessment Results 1.2.1, for the tools of auditors: a finding for each control, an observation for a resource.

https://pages.nist.gov/OSCAL-Reference/models/v1.2.1/assessment-results/json-reference/
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import quote
from uuid import UUID, uuid5

import msgspec

from auditor.assessment.evidence import show
from auditor.assessment.model import (
    OUTCOMES,
    AttestationInfo,
    ControlInfo,
    ControlState,
    Evidence,
    Finding,
    FindingExemption,
    FrameworkInfo,
    Report,
    Resource,
    RuleInfo,
)
from auditor.errors import UsageError
from auditor.estate.fields import KIND_NAMES
from auditor.formats.control_words import attestation_words
from auditor.gate import Counts
from auditor.text import visible
from auditor.timestamps import parse_time, show_time

OSCAL_VERSION = "1.2.1"
MOST_OBSERVATIONS = 10_000
MOST_EVIDENCE = 10_000  # findings
MOST_RELATED = 500
MOST_LINES = 200
NAMESPACE = UUID("6a5d3c0e-5d0b-5f7c-9a43-0b6f0d1f5a52")
NS = f"urn:uuid:{NAMESPACE}"
# OSCAL knows two states. What nobody could conclude or judge is not satisfied, for another reason than a failure.
STATUS: Mapping[ControlState, tuple[str, str, str]] = {
    "holds": ("satisfied", "pass", "All that the rules tell about it was read and passes."),
    "fails": ("not-satisfied", "fail", "A verdict fails; where it is exempt, it fails all the same."),
    "cannot-conclude": ("not-satisfied", "other", "Cannot conclude: none fails, but something is not known."),
    "not-judged": ("not-satisfied", "other", "Not judged: no rule that bears on it was run, or none applied."),
    "no-evidence": ("not-satisfied", "other", "Not judged: no rule can give evidence of it, other evidence is needed."),
    # Whether to accept what somebody states is for whoever reads it, and not for us.
    "attested": (
        "not-satisfied",
        "other",
        "Attested, not proven: no rule can give evidence of it, somebody states it.",
    ),
}

Json: TypeAlias = dict[str, Any]

_MARKUP = re.compile(r"[\\`*_{}\[\]<>&~^|]")
_EDGES = re.compile(r"^\s+|\s+$")
_NO_TOKEN = re.compile(r"[^A-Za-z0-9._-]")
_LINK = re.compile(r"https://[A-Za-z0-9.-]+(?:[/?#][A-Za-z0-9._~:/?#@!$&()*+,;=%-]*)?")


class _Streamed(dict[str, Any]):
    """An object some of whose members are iterators: each becomes an array, or nothing where it yields nothing."""


@dataclass(frozen=True, slots=True)
class _Observed:
    """A resource that is told of: its verdicts by rule, the findings among them, of how many of those the evidence."""

    uuid: str
    subject: str
    resource: Resource
    letters: Mapping[str, str]
    findings: Sequence[Finding]
    proved: int


def write(report: Report, file: BinaryIO) -> None:
    """Write the results; where the estate is large, the resources that are worst, and how many were left out.

    Raises:
        UsageError: the report is of no known time, and results have to have one.
    """
    when = _time(report.as_of)
    if when is None:
        hint = "Say when it was exported: --as-of 2026-01-31T06:00:00Z"
        raise UsageError("OSCAL results need a time, and that of the inventory is not known", hint)
    file.writelines(_pieces(_Streamed({"assessment-results": _results(report, when)})))
    file.write(b"\n")


def prose(text: str) -> str:
    """Return text for a field that is Markdown, in which it is nothing but text."""
    return _MARKUP.sub(r"\\\g<0>", visible(text))


def string(text: str) -> str:
    r"""Return text for a field that is a string; white space around it, which OSCAL forbids, shows as ``\u{0020}``."""
    return _EDGES.sub(lambda edge: "".join(f"\\u{{{ord(char):04X}}}" for char in edge[0]), visible(text))


def token(text: str) -> str:
    """Return text as an OSCAL token: letters, digits, dots, dashes and underscores, a letter or underscore first."""
    plain = _NO_TOKEN.sub("_", text)
    return plain if re.match("[A-Za-z_]", plain) else f"_{plain}"


def control_tokens(frameworks: Sequence[FrameworkInfo]) -> list[list[str]]:
    """Return the id of each control of each framework: that of NIST's own catalogue, else made of both their names."""
    taken: set[str] = set()

    def unique(framework: FrameworkInfo, control: ControlInfo) -> str:
        # CP-9(1) is cp-9.1 there, as every enhancement.
        dotted = control.id.lower().replace("(", ".").replace(")", "")
        name = token(dotted if framework.id == "nist-800-53" else f"{framework.id}_{dotted}")
        numbered = (f"{name}_{number}" for number in count(2))
        found = next(one for one in chain([name], numbered) if one not in taken)
        taken.add(found)
        return found

    return [[unique(framework, control) for control in framework.controls] for framework in frameworks]


def _pieces(value: object) -> Iterator[bytes]:
    if isinstance(value, _Streamed):
        between = b"{"
        for name, part in value.items():
            pieces = _pieces(part)
            first = next(pieces, None)
            if first is not None:
                yield between + msgspec.json.encode(name) + b": " + first
                yield from pieces
                between = b",\n"
        yield b"}"
    elif isinstance(value, Iterator):
        between = b"[\n"
        for entry in value:
            yield between
            yield from _pieces(entry)
            between = b",\n"
        if between == b",\n":
            yield b"]"
    else:
        yield msgspec.json.encode(value)


def _uuid(report: Report, *key: object) -> str:
    return str(uuid5(NAMESPACE, json.dumps([report.content_sha256, *key])))


def _time(text: str | None) -> str | None:
    """Return a time as OSCAL takes it, or ``None``; its years are those from 1900 on."""
    when = parse_time(text or "")
    shown = "" if when is None else show_time(when)
    return shown if "1900" <= shown[:4] <= "2999" else None


def _observed(report: Report) -> tuple[list[_Observed], int]:
    """Choose the resources to tell of, those with the worst findings first; return how many are left out, too."""
    kinds = {rule.id: rule.resource for rule in report.rules}
    rules: dict[str, list[str]] = defaultdict(list)
    for rule in report.rules:
        rules[rule.resource].append(rule.id)
    verdicts = {kind: zip(*(report.outcomes[rule] for rule in ids), strict=True) for kind, ids in rules.items()}
    worst: dict[tuple[str, str], list[int]] = {}
    for number, finding in enumerate(report.findings):
        key = (kinds[finding.rule], finding.resource)
        if key in worst or len(worst) < MOST_OBSERVATIONS:
            worst.setdefault(key, []).append(number)
    room = MOST_OBSERVATIONS - len(worst)
    judged, observed = 0, []
    for resource in report.resources:
        letters = next(verdicts[resource.kind], ()) if resource.kind in verdicts else ()
        if not set(letters) - {"n"}:
            continue
        judged += 1
        key = (resource.kind, resource.id)
        if key not in worst:
            room -= 1
            if room < 0:
                continue
        observed.append(
            _Observed(
                uuid=_uuid(report, "observation", *key),
                subject=_uuid(report, "resource", *key),
                resource=resource,
                letters=dict(zip(rules[resource.kind], letters, strict=True)),
                findings=[report.findings[number] for number in worst.get(key, ())],
                proved=sum(number < MOST_EVIDENCE for number in worst.get(key, ())),
            )
        )
    return observed, judged - len(observed)


def _results(report: Report, when: str) -> _Streamed:
    observed, left_out = _observed(report)
    tool = {"actors": [{"type": "tool", "actor-uuid": _uuid(report, "tool")}]}
    exempt = _exempt(report)
    result = _Streamed(
        {
            "uuid": _uuid(report, "result"),
            "title": "Azure VM backup",
            "description": f"{report.summary.verdict}: {prose(report.summary.sentence)}",
            "start": when,
            "props": _props(
                ("verdict", report.summary.verdict),
                ("exit-code", str(report.summary.gate.exit_code)),
                *_counts(report.summary.counts),
                ("gaps", str(len(report.gaps))),
                ("observations-left-out", str(left_out)),
            ),
            "links": [_link(report, "report"), _link(report, "inventory")],
            "local-definitions": _Streamed(
                {
                    "inventory-items": map(_inventory_item, observed),
                    "assessment-assets": _assets(report),
                }
            ),
            "reviewed-controls": _reviewed(report),
            "observations": (
                {"collected": when, **entry, "origins": [tool]}
                for entries in (_observations(report, observed), _gaps(report), _attestations(report))
                for entry in entries
            ),
            "risks": (
                {**_risk(report, rule, exemption, findings, observed), "origins": [tool]}
                for (rule, exemption), findings in exempt.items()
            ),
            "findings": ({**entry, "origins": [tool]} for entry in _findings(report, observed, exempt)),
            "remarks": "\n\n".join(_remarks(report, len(observed), left_out)),
        }
    )
    return _Streamed(
        {
            "uuid": _uuid(report, "assessment-results"),
            "metadata": _metadata(report, when),
            "import-ap": {
                "href": f"#{_uuid(report, 'plan')}",
                "remarks": "There is no assessment plan: the rules and options in this document say what was done.",
            },
            "results": iter([result]),
            "back-matter": _Streamed({"resources": _resources(report)}),
        }
    )


def _props(*pairs: tuple[str, str]) -> list[Json]:
    """Return properties of our own; OSCAL allows no empty ones."""
    return [{"name": name, "ns": NS, "value": string(value)} for name, value in pairs if value]


def _counts(counts: Counts) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), str(count)) for name, count in msgspec.to_builtins(counts).items()]


def _link(report: Report, *key: object) -> Json:
    return {"href": f"#{_uuid(report, *key)}", "rel": "reference"}


def _metadata(report: Report, when: str) -> Json:
    tool, organisation = _uuid(report, "party", "tool"), _uuid(report, "party", "organisation")
    name = f"{report.tool.name} {report.tool.version}"
    parties = [{"uuid": tool, "type": "organization", "name": string(name), "remarks": "The software that judged."}]
    roles = [{"id": "prepared-by", "title": "Who made this document"}]
    responsible = [{"role-id": "prepared-by", "party-uuids": [tool]}]
    if report.options.organisation:
        parties.append({"uuid": organisation, "type": "organization", "name": string(report.options.organisation)})
        roles.append({"id": "prepared-for", "title": "Whose estate it is about"})
        responsible.append({"role-id": "prepared-for", "party-uuids": [organisation]})
    of = f" of {prose(report.options.organisation)}" if report.options.organisation else ""
    return {
        "title": f"Azure VM backup{of}: {report.summary.verdict}",
        "last-modified": when,
        # The same findings are the same version, another finding is another one.
        "version": report.content_sha256,
        "oscal-version": OSCAL_VERSION,
        "props": _props(("run-id", report.run_id), ("content-sha256", report.content_sha256)),
        "roles": roles,
        "parties": parties,
        "responsible-parties": responsible,
    }


def _assets(report: Report) -> Json:
    tool = _uuid(report, "tool")
    name = prose(f"{report.tool.name} {report.tool.version}")
    component = {
        "uuid": tool,
        "type": "software",
        "title": name,
        "description": "Judges inventories of Azure VM backup by rules.",
        "props": _props(("version", report.tool.version)),
        "status": {"state": "operational"},
    }
    platform = {
        "uuid": _uuid(report, "platform"),
        "title": name,
        "uses-components": [{"component-uuid": tool}],
    }
    return {"components": [component], "assessment-platforms": [platform]}


def _reviewed(report: Report) -> Json:
    selections: list[Json] = [
        {
            "description": f"Framework {prose(framework.title or framework.id)}".rstrip(),
            "props": _props(
                ("framework", framework.id),
                ("reference", framework.reference),
                ("controls", str(len(framework.controls))),
            ),
            "include-controls": [{"control-id": name} for name in names],
        }
        for framework, names in zip(report.frameworks, control_tokens(report.frameworks), strict=True)
        if names
    ]
    # OSCAL wants one control at least, or all.
    nothing = {"description": "The report names no control.", "include-controls": [{"control-id": "none"}]}
    return {
        "description": "What the rules tell of each control is a part of it, never all of it.",
        "control-selections": selections or [nothing],
    }


def _inventory_item(observed: _Observed) -> Json:
    resource = observed.resource
    asset = [{"name": "asset-id", "value": string(resource.id)}] if resource.id else []
    return {
        "uuid": observed.subject,
        "description": _called(resource),
        "props": [
            *asset,
            *_props(
                ("kind", resource.kind),
                ("name", resource.name),
                ("subscription", resource.subscription or ""),
                ("resource-group", resource.resource_group or ""),
                ("location", resource.location or ""),
                ("source", resource.source),
            ),
        ],
    }


def _called(resource: Resource) -> str:
    return f"{KIND_NAMES[resource.kind][0]} {prose(resource.name)}".rstrip()


def _observations(report: Report, observed: Iterable[_Observed]) -> Iterator[Json]:
    for entry in observed:
        found = {finding.rule: finding for finding in entry.findings}
        letters = "".join(entry.letters.values())
        counted = (f"{letters.count(letter)} {OUTCOMES[letter]}" for letter in "fupn" if letter in letters)
        called = _called(entry.resource)
        told: Json = {
            "uuid": entry.uuid,
            "title": called,
            "description": f"{called}: {', '.join(counted)}.",
            "props": [_verdict(rule, letter, found.get(rule)) for rule, letter in entry.letters.items()],
            "methods": ["TEST"],
            "types": ["control-objective"],
            "subjects": [{"subject-uuid": entry.subject, "type": "inventory-item", "title": called}],
        }
        if entry.proved:
            told["relevant-evidence"] = [_evidence(report, finding) for finding in entry.findings[: entry.proved]]
        yield told


def _verdict(rule: str, letter: str, finding: Finding | None) -> Json:
    verdict: Json = {"name": token(rule), "ns": NS, "value": OUTCOMES[letter], "class": "verdict"}
    if finding is not None and finding.exempt:
        name = prose(finding.exemption.id) if finding.exemption is not None else ""
        verdict["remarks"] = f"Exempt {name}".rstrip()
    return verdict


def _evidence(report: Report, finding: Finding) -> Json:
    return {
        "description": f"{finding.rule}: {finding.outcome}{', exempt' if finding.exempt else ''}. "
        f"{prose(finding.message)}".rstrip(),
        "props": [
            *_props(
                ("rule", finding.rule),
                ("outcome", finding.outcome),
                ("severity", finding.severity),
                ("exempt", "true" if finding.exempt else ""),
                ("exemption", finding.exemption.id if finding.exemption is not None else ""),
                ("baseline", finding.baseline or ""),
                ("fingerprint", finding.fingerprint),
                ("expected", finding.expected),
                ("observed", finding.observed),
            ),
            *map(_field, finding.evidence),
        ],
        "links": [_link(report, "rule", finding.rule)],
    }


def _field(evidence: Evidence) -> Json:
    said = (("field", evidence.field), ("expected", evidence.expected), ("source", evidence.source))
    parts = [f"{word} {prose(text)}" for word, text in (*said, ("not known:", evidence.reason)) if text]
    value: Json = {
        "name": token(evidence.field),
        "ns": NS,
        "value": string(show(evidence.value)) or "(empty)",
        "class": "evidence",
    }
    return {**value, "remarks": "; ".join(parts)} if parts else value


def _gaps(report: Report) -> Iterator[Json]:
    """Tell what could not be read: nobody may take silence about it for a pass."""
    for number, gap in enumerate(report.gaps[:MOST_LINES]):
        yield {
            "uuid": _uuid(report, "gap", number),
            "title": f"Not read: {prose(gap.table)}",
            "description": f"Not read: {prose(gap.cause)} {prose(gap.hint)}".rstrip(),
            "props": _props(("gap", gap.kind), ("table", gap.table), ("scope", gap.scope)),
            "methods": ["EXAMINE"],
            "types": ["discovery"],
        }


def _attestations(report: Report) -> Iterator[Json]:
    """Tell what people state: it was neither examined nor tested here."""
    for framework in report.frameworks:
        for control in framework.controls:
            for entry in control.attestations:
                expires = _time(_whole(entry.expires))
                yield {
                    "uuid": _attestation_uuid(report, framework, control, entry),
                    "title": f"Attestation about {prose(control.id)}",
                    "description": prose(attestation_words(entry)),
                    "props": _props(
                        ("framework", framework.id),
                        ("control", control.id),
                        ("attested-by", entry.by),
                        ("status", entry.status),
                        ("evidence", entry.evidence),
                    ),
                    "methods": ["UNKNOWN"],
                    "types": ["control-objective"],
                    "collected": _time(_whole(entry.date)) or "1970-01-01T00:00:00Z",
                    **({"expires": expires} if expires else {}),
                }


def _attestation_uuid(report: Report, framework: FrameworkInfo, control: ControlInfo, entry: AttestationInfo) -> str:
    return _uuid(report, "attestation", framework.id, control.id, msgspec.structs.astuple(entry))


def _whole(text: str) -> str:
    """Write a date as the time at which it begins."""
    return text if "T" in text else f"{text}T00:00:00Z"


_Exempt: TypeAlias = dict[tuple[str, FindingExemption], list[Finding]]


def _exempt(report: Report) -> _Exempt:
    found: _Exempt = defaultdict(list)
    for finding in report.findings:
        if finding.exempt and finding.exemption is not None:
            found[finding.rule, finding.exemption].append(finding)
    return found


def _risk_uuid(report: Report, rule: str, exemption: FindingExemption) -> str:
    return _uuid(report, "risk", rule, msgspec.structs.astuple(exemption))


def _risk(
    report: Report, rule: str, exemption: FindingExemption, findings: Sequence[Finding], observed: Sequence[_Observed]
) -> Json:
    ids = {finding.resource for finding in findings}
    kind = next(entry.resource for entry in report.rules if entry.id == rule)
    uuids = [entry.uuid for entry in observed if entry.resource.kind == kind and entry.resource.id in ids]
    approvers = [entry.approver for entry in report.exemptions if entry.id == exemption.id and entry.rule == rule]
    risk = {
        "uuid": _risk_uuid(report, rule, exemption),
        "title": f"Exemption {prose(exemption.id)} from {prose(rule)}",
        "description": f"Reason: {prose(exemption.reason)}",
        "statement": f"Failing and unknown verdicts by {prose(rule)} that are exempt until {prose(exemption.expires)}: "
        f"{len(findings):,}. Who answers for them: {prose(exemption.owner)}.",
        "props": _props(
            ("exemption", exemption.id),
            ("rule", rule),
            ("category", exemption.category),
            ("owner", exemption.owner),
            ("approver", next(iter(approvers), "")),
            ("ticket", exemption.ticket),
            ("expires", exemption.expires),
            ("verdicts", str(len(findings))),
        ),
        "status": "deviation-approved",
    }
    deadline = _time(exemption.expires)
    return risk | ({"deadline": deadline} if deadline else {}) | _related(uuids)


def _related(uuids: Sequence[str]) -> Json:
    related: list[Json] = [{"observation-uuid": uuid} for uuid in uuids[:MOST_RELATED]]
    if len(uuids) > MOST_RELATED:
        related[0]["remarks"] = f"The first {MOST_RELATED:,} of {len(uuids):,} observations, the worst before others."
    return {"related-observations": related} if related else {}


def _findings(report: Report, observed: Sequence[_Observed], exempt: _Exempt) -> Iterator[Json]:
    by_verdict: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in observed:
        for rule, letter in entry.letters.items():
            by_verdict[rule, letter].append(entry.uuid)
    run = {rule.id for rule in report.rules}
    for framework, names in zip(report.frameworks, control_tokens(report.frameworks), strict=True):
        for control, name in zip(framework.controls, names, strict=True):
            rules = [rule for rule in control.rules if rule in run]
            worst_first = (uuid for letter in "fup" for rule in rules for uuid in by_verdict.get((rule, letter), ()))
            risks = [{"risk-uuid": _risk_uuid(report, rule, exemption)} for rule, exemption in exempt if rule in rules]
            finding = _finding(report, framework, control, name)
            if rules:
                finding["links"] = [_link(report, "rule", rule) for rule in rules]
            attested = [_attestation_uuid(report, framework, control, entry) for entry in control.attestations]
            finding |= _related([*attested, *dict.fromkeys(worst_first)])
            if risks:
                finding["related-risks"] = risks
            if control.note:
                finding["remarks"] = f"Note: {prose(control.note)}"
            yield finding


def _finding(report: Report, framework: FrameworkInfo, control: ControlInfo, name: str) -> Json:
    state, reason, said = STATUS[control.state]
    title = f"Control {prose(f'{control.id} {control.title}')}".rstrip()
    counts = control.counts
    by = f", by {prose(', '.join(control.rules))}" if control.rules else ""
    return {
        "uuid": _uuid(report, "finding", framework.id, name),
        "title": title,
        "description": f"{said} Verdicts: {counts.fail:,} fail ({counts.exempt:,} of them exempt), "
        f"{counts.unknown:,} unknown ({counts.exempt_unknown:,} of them exempt), {counts.passed:,} pass{by}.",
        "props": _props(
            ("framework", framework.id), ("control", control.id), ("state", control.state), *_counts(control.counts)
        ),
        "target": {
            "type": "objective-id",
            # The whole objective of a control is called so in NIST's catalogue, and here in every framework.
            "target-id": f"{name}_obj",
            "title": title,
            "status": {"state": state, "reason": reason, "remarks": said},
        },
    }


def _remarks(report: Report, observed: int, left_out: int) -> Iterator[str]:
    if left_out:
        yield (
            f"Left out: {left_out:,} of the {left_out + observed:,} resources that were judged have no observation "
            "here, those with the worst findings have one first; report.json has the verdicts of all."
        )
    without = len(report.findings) - MOST_EVIDENCE
    if without > 0:
        yield (
            f"Left out: the evidence of {without:,} of the {len(report.findings):,} findings, all but the worst; "
            "report.json has it."
        )
    if len(report.gaps) > MOST_LINES:
        left = len(report.gaps) - MOST_LINES
        yield f"Left out: {left:,} of the {len(report.gaps):,} gaps have no observation here; report.json has all."
    yield _lines(f"Gate, exit code {report.summary.gate.exit_code}", report.summary.gate.reasons)
    excluded = [
        f"{entry.count:,} out of scope: {entry.reason} ({entry.declared_in})" for entry in report.coverage.excluded
    ]
    for title, lines in (
        ("Not judged", excluded),
        ("Assumed", report.coverage.assumptions),
        ("Noticed", report.coverage.notices),
    ):
        if lines:
            yield _lines(title, lines)


def _lines(title: str, lines: Sequence[str]) -> str:
    more = [f"and {len(lines) - MOST_LINES:,} more"] if len(lines) > MOST_LINES else []
    told = [prose(line.removesuffix(".")) for line in lines[:MOST_LINES]]
    return f"{title}: {'; '.join([*told, *more])}."


def _resources(report: Report) -> Iterator[Json]:
    options = {name: value for name, value in msgspec.to_builtins(report.options).items() if name != "organisation"}
    yield {
        "uuid": _uuid(report, "plan"),
        "title": "How the estate was judged",
        "description": "Each resource of a rule's kind is judged by the rule: pass, fail, unknown or not-applicable.",
        "props": _props(
            ("rules", str(len(report.rules))),
            *((name.replace("_", "-"), show(value) if value is not None else "") for name, value in options.items()),
        ),
    }
    for rule in report.rules:
        yield _rule(report, rule)
    yield {
        "uuid": _uuid(report, "report"),
        "title": "The report that this document was made of (report.json)",
        "props": _props(
            ("content-sha256", report.content_sha256),
            ("run-id", report.run_id),
            ("schema-version", report.schema_version),
        ),
    }
    inventory: Json = {
        "uuid": _uuid(report, "inventory"),
        "title": "The inventory that was judged",
        "props": _props(
            ("inventory-sha256", report.inventory.sha256), ("collected-at", report.inventory.collected_at or "")
        ),
    }
    files = [
        {"href": _path(source.name), "hashes": [{"algorithm": "SHA-256", "value": source.sha256}]}
        for source in report.inventory.sources
    ]
    yield inventory | ({"rlinks": files} if files else {})


def _rule(report: Report, rule: RuleInfo) -> Json:
    links = [{"href": link} for link in rule.references if _LINK.fullmatch(link)]
    parameters = [
        {"name": token(name), "ns": NS, "value": string(show(value)) or "(empty)", "class": "parameter"}
        for name, value in sorted(rule.parameters.items())
        if value is not None
    ]
    told = {
        "uuid": _uuid(report, "rule", rule.id),
        "title": f"Rule {prose(rule.id)}: {prose(rule.title)}",
        "description": f"Why: {prose(' '.join(rule.rationale.split()))}",
        "props": [
            *_props(
                ("rule", rule.id),
                ("sha256", rule.sha256),
                ("severity", rule.severity),
                ("judges", rule.resource),
                ("file", rule.file),
                *_counts(rule.counts),
            ),
            *parameters,
        ],
    }
    return told | ({"rlinks": links} if links else {})


def _path(name: str) -> str:
    """Return a file's name as a relative reference, which no colon or slash in it makes a link to elsewhere."""
    return quote(visible(name).lstrip("/")) or "."
