"""The one function that strings inventory, declarations and rules together into an assessment."""

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from auditor import __version__
from auditor.assessment.baseline import new_violations, with_baseline
from auditor.assessment.coverage import causes_that_matter, coverage_of, idle_notices, rules_with_gaps
from auditor.assessment.engine import Matrix, column, judge
from auditor.assessment.evidence import condition_words, evidence_of_rows, find_evidence, whole_tables
from auditor.assessment.exempting import exempt_verdicts, exemption_notices
from auditor.assessment.frameworks import attestation_notices, attestations_at, frameworks
from auditor.assessment.json_pieces import json_pieces
from auditor.assessment.model import (
    SCHEMA_VERSION,
    Coverage,
    Finding,
    GapInfo,
    InventoryInfo,
    Options,
    Report,
    Resource,
    RuleInfo,
    SourceFile,
    Summary,
    Tool,
    VerdictWord,
)
from auditor.assessment.on_disk import OnDisk
from auditor.assessment.question import Question
from auditor.assessment.run_id import run_id
from auditor.assessment.trend import with_trend
from auditor.declared.exemptions import Exemption
from auditor.estate.database import Database, Estate, open_estate
from auditor.estate.fields import FIELDS, KIND_NAMES
from auditor.gate import Counts, Gate, decide
from auditor.inventory.facts import Change
from auditor.inventory.model import Inventory
from auditor.ruleset.frameworks import load_frameworks
from auditor.ruleset.model import SEVERITIES, BoundRule, exemptions_asked_for, tags_of
from auditor.timestamps import show_time

if TYPE_CHECKING:
    from auditor.declared.config import Severity

_ZERO = "0" * 64
_WORST_FIRST = {"fail": 0, "unknown": 1}


@dataclass(frozen=True, slots=True)
class Assessment:
    """What an audit found: the report, and the database for more questions."""

    report: Report
    estate: Estate
    folder: Path
    matrices: Sequence[Matrix] = field(default=())
    exemptions: Sequence[Exemption] = field(default=())


def assess(
    inventory: Inventory,
    folder: Path,
    question: Question,
    *,
    brief: bool = False,
    change: Change | None = None,
    database: Database | None = None,
) -> Assessment:
    """Judge an inventory.

    Args:
        inventory: the facts.
        folder: where the inventory's files are.
        question: the rules and what was declared.
        brief: the report only sums up, without resources, outcomes and findings: of a million VMs it takes no time and
            no memory. It is not signed.
        change: judge the inventory as it would be after this.
        database: an empty one to judge it in; DuckDB's in this process when ``None``.
    """
    config = question.config
    conditions = [
        *(rule.applies for rule in question.rules),
        *(rule.require for rule in question.rules),
        *(exclusion.condition for exclusion in question.exclusions),
    ]
    estate = open_estate(
        inventory,
        folder,
        question.intents,
        [tag for condition in conditions for tag in tags_of(condition)],
        rpo=config.rpo,
        vaults_anywhere=config.vaults_in == "any",
        as_of=question.as_of,
        complete=question.complete,
        exemptions=question.exemptions,
        exempt_from=[rule_id for condition in conditions for rule_id in exemptions_asked_for(condition)],
        subscriptions=question.subscriptions,
        change=change,
        database=database,
        engine=config.engine,
    )
    asked = asked_about(inventory, question)
    matrices = judge(estate.connection, question.rules, question.exclusions, estate.now, whole_tables(estate), asked)
    exemptions = exempt_verdicts(estate, matrices, question.exemptions)
    entries = question.exemptions.entries
    rank = {severity: number for number, severity in enumerate(SEVERITIES)}
    shown = [] if brief else matrices
    findings = find_findings(estate, matrices, entries) if not brief else []
    counts = {rule_id: counted for matrix in matrices for rule_id, counted in _counts(estate, matrix).items()}
    judged = sorted(((rule, counts[rule.id]) for rule in question.rules), key=lambda pair: rank[pair[0].severity])
    missing = causes_that_matter(estate, judged, asked)
    gate = decide(judged, missing, config.fail_on, strict=config.strict)
    controls = frameworks(
        load_frameworks(),
        judged,
        question.known,
        config.profile,
        rules_with_gaps(estate, judged, asked),
        attestations_at(question.attestations.entries, estate.now),
    )
    if question.framework is not None:
        controls = [framework for framework in controls if framework.id == question.framework]
    notices = [*idle_notices(judged), *exemption_notices(exemptions, matrices), *attestation_notices(controls)]
    coverage = coverage_of(inventory, estate, matrices, question, notices, asked)
    options = _options(question)
    resources = (resource for matrix in shown for resource in _resources(estate, matrix))
    report = Report(
        schema_version=SCHEMA_VERSION,
        content_sha256=_ZERO,
        tool=Tool(name="azure-backup-auditor", version=__version__),
        as_of=show_time(estate.now) if estate.now is not None else None,
        inventory=_inventory_info(inventory),
        options=options,
        summary=_summary(judged, coverage, gate, whole=not missing),
        coverage=coverage,
        gaps=[GapInfo(table=g.table, scope=g.scope, kind=g.kind, cause=g.cause, hint=g.hint) for g in estate.gaps],
        exemptions=exemptions,
        rules=[_rule_info(rule, counted, question.framework) for rule, counted in judged],
        resources=OnDisk.of(Resource, resources) if not brief else [],
        outcomes=dict(sorted(pair for matrix in shown for pair in _outcomes(estate, matrix))),
        findings=findings,
        frameworks=controls,
        run_id=run_id(inventory, question, options, estate.now),
    )
    if brief:
        return Assessment(report, estate, folder, matrices, entries)
    if question.baseline is not None:
        report = with_baseline(report, question.baseline)
        gate = decide(judged, missing, config.fail_on, strict=config.strict, new=new_violations(report))
        report = msgspec.structs.replace(report, summary=msgspec.structs.replace(report.summary, gate=gate))
    if question.history is not None:
        report = with_trend(report, question.history)
    return Assessment(sign(report), estate, folder, matrices, entries)


def find_findings(estate: Estate, matrices: Sequence[Matrix], exemptions: Sequence[Exemption]) -> OnDisk[Finding]:
    """Return the fails and unknowns, worst first."""
    findings, order, place = OnDisk(Finding), array("q"), _places(matrices)
    for matrix in matrices:
        for n, finding in evidence_of_rows(estate, matrix, None, exemptions):
            findings.add(finding)
            order.append((place(finding) << 32) + n)  # one number: of millions it takes little memory
    findings.arrange(order)
    return findings


def first_findings(
    estate: Estate, matrices: Sequence[Matrix], exemptions: Sequence[Exemption], most: int
) -> list[Finding]:
    """Return of each rule no more than so many of the fails and unknowns, worst first."""
    found = [finding for matrix in matrices for finding in find_evidence(estate, matrix, None, exemptions, most)]
    return sorted(found, key=_places(matrices))


def _places(matrices: Sequence[Matrix]) -> Callable[[Finding], int]:
    """Return what tells the place of a finding before all that are less bad, or of a later rule."""
    severities = {severity: number for number, severity in enumerate(SEVERITIES)}
    rules = {rule_id: number for number, rule_id in enumerate(sorted(rule.id for m in matrices for rule in m.rules))}

    def place(one: Finding) -> int:
        # What somebody answers for comes last: there is nothing to do about it now.
        severity = one.exempt * len(severities) + severities[one.severity]
        return (severity * len(_WORST_FIRST) + _WORST_FIRST[one.outcome]) * len(rules) + rules[one.rule]

    return place


def asked_about(inventory: Inventory, question: Question) -> frozenset[str] | None:
    """Return the folded ids of the subscriptions that are judged; ``None`` for all."""
    if question.subscriptions:
        return frozenset(question.subscriptions)
    return inventory.origin.judged if inventory.origin is not None else None


def sign(report: Report) -> Report:
    """Return the report with the hash of its content."""
    return msgspec.structs.replace(report, content_sha256=content_sha256(report))


def content_sha256(report: Report) -> str:
    """Return the SHA-256 of the sorted compact JSON of a report without its ``content_sha256``."""
    digest = hashlib.sha256()
    for piece in json_pieces(report, indent=False, without="content_sha256"):
        digest.update(piece)
    return digest.hexdigest()


def _counts(estate: Estate, matrix: Matrix) -> dict[str, Counts]:
    """Count each rule's letters in one pass; summing zeros and ones takes a quarter of what filtered counts take."""
    columns = ", ".join(
        f"coalesce(sum(CASE WHEN {column(rule.id)} = '{letter}' THEN 1 ELSE 0 END), 0)"
        for rule in matrix.rules
        for letter in "pfun"
    )
    (row,) = estate.query(f"SELECT {columns} FROM {matrix.table}")
    groups = [row[index : index + 4] for index in range(0, len(row), 4)]
    rows = estate.query("SELECT rule, letter, count(*) FROM exempted GROUP BY rule, letter")
    exempt = {(rule_id, letter): count for rule_id, letter, count in rows}
    return {
        rule.id: Counts(
            passed=p,
            fail=f,
            unknown=u,
            not_applicable=n,
            exempt=exempt.get((rule.id, "f"), 0),
            exempt_unknown=exempt.get((rule.id, "u"), 0),
        )
        for rule, (p, f, u, n) in zip(matrix.rules, groups, strict=True)
    }


def _outcomes(estate: Estate, matrix: Matrix) -> list[tuple[str, str]]:
    columns = ", ".join(f"coalesce(string_agg({column(rule.id)}, '' ORDER BY n), '')" for rule in matrix.rules)
    (row,) = estate.query(f"SELECT {columns} FROM {matrix.table}")
    return [(rule.id, letters) for rule, letters in zip(matrix.rules, row, strict=True)]


def _resources(estate: Estate, matrix: Matrix) -> Iterator[Resource]:
    subject = matrix.subject
    location = "location" if f"{subject}.location" in FIELDS else "CAST(NULL AS VARCHAR)"
    rows = estate.stream(
        f"SELECT id, name, subscription_id, resource_group_name, {location}, source FROM {subject}_rows"
        f"{f' WHERE n IN (SELECT n FROM {matrix.table})' if matrix.narrowed else ''} ORDER BY n",
    )
    for key, name, subscription, group, place, source in rows:
        yield Resource(
            id=key,
            kind=subject,
            name=name,
            subscription=subscription,
            resource_group=group,
            location=place,
            source=source,
        )


def _inventory_info(inventory: Inventory) -> InventoryInfo:
    origin, until = inventory.origin, inventory.collected_until
    digest = hashlib.sha256("\n".join(sorted(source.sha256 for source in inventory.sources)).encode())
    return InventoryInfo(
        sha256=digest.hexdigest(),
        collected_at=show_time(inventory.collected_at) if inventory.collected_at is not None else None,
        sources=[SourceFile(name=source.name, sha256=source.sha256, rows=source.rows) for source in inventory.sources],
        collected_until=show_time(until) if until is not None else None,
        tenant=origin.tenant if origin is not None else "",
        cloud=origin.cloud if origin is not None else "",
        principal=origin.principal if origin is not None else "",
        scope=list(origin.scope) if origin is not None else [],
    )


def _options(question: Question) -> Options:
    config = question.config
    return Options(
        profile=config.profile,
        primary_endpoint=question.primary_endpoint or config.intents.default,
        vaults_in=config.vaults_in,
        select=config.select,
        ignore=config.ignore,
        complete=sorted(question.complete),
        fail_on=config.fail_on,
        strict=config.strict,
        config_sha256=question.config_sha256,
        exemptions_sha256=question.exemptions.sha256,
        organisation=config.organisation or "",
        subscriptions=sorted(question.subscriptions),
        framework=question.framework or "",
        attestations_sha256=question.attestations.sha256,
    )


def _rule_info(bound: BoundRule, counts: Counts, framework: str | None) -> RuleInfo:
    rule = bound.rule
    shown = rule.controls if framework is None else {framework: rule.controls.get(framework, ())}
    return RuleInfo(
        id=rule.id,
        title=rule.title,
        severity=bound.severity,
        resource=rule.resource,
        sha256=rule.sha256,
        file=Path(rule.place.file).name,
        parameters=dict(bound.values),
        controls={name: list(ids) for name, ids in shown.items() if ids},
        rationale=rule.rationale,
        references=list(rule.references),
        fix=rule.fix,
        remedy=rule.remedy,
        counts=counts,
        line=rule.place.line,
        applies=condition_words(bound.applies) if bound.applies is not None else "",
        requires=condition_words(bound.require),
    )


def _kinds(coverage: Coverage) -> str:
    words = [f"{kind.found:,} {KIND_NAMES[kind.kind][kind.found != 1]}" for kind in coverage.kinds if kind.found]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "no resources"


def _exempt(count: int) -> str:
    return f"; {count:,} exempt" if count else ""


def _summary(
    judged: Sequence[tuple[BoundRule, Counts]],
    coverage: Coverage,
    gate: Gate,
    *,
    whole: bool,
) -> Summary:
    total = Counts(
        passed=sum(counts.passed for _, counts in judged),
        fail=sum(counts.fail for _, counts in judged),
        unknown=sum(counts.unknown for _, counts in judged),
        not_applicable=sum(counts.not_applicable for _, counts in judged),
        exempt=sum(counts.exempt for _, counts in judged),
        exempt_unknown=sum(counts.exempt_unknown for _, counts in judged),
    )
    severities: dict[Severity, int] = {
        severity: sum(counts.fail for rule, counts in judged if rule.severity == severity) for severity in SEVERITIES
    }
    decided = total.passed + total.fail + total.unknown
    verdict: VerdictWord = "Compliant"
    if total.fail:
        verdict = "Not compliant"
    elif total.unknown or not decided or not whole:
        verdict = "Cannot conclude"
    failing = ", ".join(f"{count:,} {severity}" for severity, count in severities.items() if count)
    if not decided:
        sentence = "nothing was found to judge."
    else:
        fails = "verdict fails" if decided == 1 else "verdicts fail"
        parts = [f"{total.fail:,} of {decided:,} {fails}" + (f" ({failing}{_exempt(total.exempt)})" if failing else "")]
        if total.unknown:
            some = f" ({_exempt(total.exempt_unknown)[2:]})" if total.exempt_unknown else ""
            parts.append(f"{total.unknown:,} {'is' if total.unknown == 1 else 'are'} unknown{some}")
        sentence = f"{' and '.join(parts)}, on {_kinds(coverage)}."
    return Summary(verdict=verdict, sentence=sentence, counts=total, failing_by_severity=severities, gate=gate)
