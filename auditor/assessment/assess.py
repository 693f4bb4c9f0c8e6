"""The one function that strings inventory, declarations and rules together into an assessment."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from auditor import __version__
from auditor.assessment.engine import Matrix, judge
from auditor.assessment.evidence import NO_TIME, find_evidence, whole_tables
from auditor.assessment.model import (
    SCHEMA_VERSION,
    Counts,
    Coverage,
    Excluded,
    GapInfo,
    Gate,
    InventoryInfo,
    KindCoverage,
    Options,
    Report,
    Resource,
    RuleInfo,
    SourceFile,
    Summary,
    TableCoverage,
    Tool,
    VerdictWord,
)
from auditor.declared.config import Config, Severity
from auditor.declared.intents import TAG, IntentMap
from auditor.estate.database import Estate, open_estate
from auditor.estate.fields import FIELDS, KIND_NAMES, TABLE_OF, Subject
from auditor.gate import decide
from auditor.inventory.model import EVERY_TABLE, Gap, Inventory
from auditor.inventory.tables import OPTIONAL_TABLES, TABLES
from auditor.ruleset.conditions import known_tables
from auditor.ruleset.model import SEVERITIES, Age, BoundRule, Exclusion, TagRef, fields_of, leaves, tags_of
from auditor.timestamps import show_time

_ZERO = "0" * 64
_WORST_FIRST = {"fail": 0, "unknown": 1}


@dataclass(frozen=True, slots=True)
class Question:
    """Everything an audit needs beside the inventory.

    Attributes:
        rules: the selected rules, parameters put in.
        exclusions: what is not judged.
        intents: what the vaults are for.
        config: the settings in force, flags included.
        config_sha256: of the configuration file, if there is one.
        primary_endpoint: the flag of that name.
        as_of: microseconds since 1970 UTC, or ``None``.
        complete: tables declared to be whole.
    """

    rules: Sequence[BoundRule]
    exclusions: Sequence[Exclusion]
    intents: IntentMap
    config: Config
    config_sha256: str | None = None
    primary_endpoint: str | None = None
    as_of: int | None = None
    complete: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assessment:
    """What an audit found: the report, and the database for more questions."""

    report: Report
    estate: Estate
    matrices: Sequence[Matrix] = field(default=())


def assess(inventory: Inventory, folder: Path, question: Question) -> Assessment:
    """Judge an inventory.

    Args:
        inventory: the facts.
        folder: where the inventory's files are.
        question: the rules and what was declared.
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
        vaults_anywhere=config.vaults_in == "any",
        as_of=question.as_of,
        complete=question.complete,
    )
    matrices = judge(estate.connection, question.rules, question.exclusions, estate.now, whole_tables(estate))
    findings = [finding for matrix in matrices for finding in find_evidence(estate, matrix)]
    rank = {severity: number for number, severity in enumerate(SEVERITIES)}
    findings.sort(key=lambda found: (rank[found.severity], _WORST_FIRST[found.outcome], found.rule))
    counts = {rule_id: counted for matrix in matrices for rule_id, counted in _counts(estate, matrix).items()}
    judged = [(rule, counts[rule.id]) for rule in question.rules]
    missing = _missing(estate, judged)
    gate = decide(judged, missing, config.fail_on, strict=config.strict)
    coverage = _coverage(inventory, estate, matrices, question)
    report = Report(
        schema_version=SCHEMA_VERSION,
        content_sha256=_ZERO,
        tool=Tool(name="azure-backup-auditor", version=__version__),
        as_of=show_time(estate.now) if estate.now is not None else None,
        inventory=_inventory_info(inventory),
        options=_options(question),
        summary=_summary(judged, coverage, gate, whole=not missing),
        coverage=coverage,
        gaps=[GapInfo(table=g.table, scope=g.scope, kind=g.kind, cause=g.cause, hint=g.hint) for g in estate.gaps],
        rules=[_rule_info(rule, counted) for rule, counted in judged],
        resources=[resource for matrix in matrices for resource in _resources(estate, matrix)],
        outcomes=dict(sorted(pair for matrix in matrices for pair in _outcomes(estate, matrix))),
        findings=findings,
    )
    return Assessment(sign(report), estate, matrices)


def sign(report: Report) -> Report:
    """Return the report with the hash of its content."""
    return msgspec.structs.replace(report, content_sha256=content_sha256(report))


def content_sha256(report: Report) -> str:
    """Return the SHA-256 of the sorted compact JSON of a report without its ``content_sha256``."""
    value = msgspec.to_builtins(report)
    del value["content_sha256"]
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


def _counts(estate: Estate, matrix: Matrix) -> dict[str, Counts]:
    """Count each rule's letters in one pass."""
    columns = ", ".join(
        f"count(*) FILTER (\"{rule.id}\" = '{letter}')" for rule in matrix.rules for letter in ("p", "f", "u", "n")
    )
    (row,) = estate.query(f"SELECT {columns} FROM {matrix.table}")  # noqa: S608 -- checked ids
    groups = [row[index : index + 4] for index in range(0, len(row), 4)]
    return {
        rule.id: Counts(passed=p, fail=f, unknown=u, not_applicable=n)
        for rule, (p, f, u, n) in zip(matrix.rules, groups, strict=True)
    }


def _outcomes(estate: Estate, matrix: Matrix) -> list[tuple[str, str]]:
    columns = ", ".join(f"coalesce(string_agg(\"{rule.id}\", '' ORDER BY key), '')" for rule in matrix.rules)
    (row,) = estate.query(f"SELECT {columns} FROM {matrix.table}")  # noqa: S608 -- checked ids
    return [(rule.id, letters) for rule, letters in zip(matrix.rules, row, strict=True)]


def _resources(estate: Estate, matrix: Matrix) -> list[Resource]:
    subject = matrix.subject
    location = "location" if f"{subject}.location" in FIELDS else "CAST(NULL AS VARCHAR)"
    rows = estate.query(
        f"SELECT id, name, subscription_id, resource_group_name, {location} FROM {subject} ORDER BY key",  # noqa: S608
    )
    return [
        Resource(id=row[0], kind=subject, name=row[1], subscription=row[2], resource_group=row[3], location=row[4])
        for row in rows
    ]


def _missing(estate: Estate, judged: Sequence[tuple[BoundRule, Counts]]) -> list[str]:
    """Return the causes of the gaps that keep these rules from being answered.

    A gap counts when it is in what the rules judge, or when something was damaged or refused. That a kind of facts was
    not exported at all counts only where a verdict is unknown for want of it.
    """
    subjects = {TABLE_OF[rule.subject] for rule, _ in judged}
    needed: set[str] = set()
    wanting: set[str] = set()
    for rule, counts in judged:
        tables = {TABLE_OF[rule.subject], *known_tables([*fields_of(rule.applies), *fields_of(rule.require)])}
        needed |= tables
        if counts.unknown:
            wanting |= tables
    return [gap.cause for gap in estate.gaps if _matters(gap, subjects, needed, wanting)]


def _matters(gap: Gap, subjects: set[str], needed: set[str], wanting: set[str]) -> bool:
    if gap.kind == "not-exported":
        return gap.table in subjects or gap.table in wanting
    return gap.table == EVERY_TABLE or gap.table in needed


def _inventory_info(inventory: Inventory) -> InventoryInfo:
    digest = hashlib.sha256("\n".join(sorted(source.sha256 for source in inventory.sources)).encode())
    return InventoryInfo(
        sha256=digest.hexdigest(),
        collected_at=show_time(inventory.collected_at) if inventory.collected_at is not None else None,
        sources=[SourceFile(name=source.name, sha256=source.sha256, rows=source.rows) for source in inventory.sources],
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
    )


def _rule_info(bound: BoundRule, counts: Counts) -> RuleInfo:
    rule = bound.rule
    return RuleInfo(
        id=rule.id,
        title=rule.title,
        severity=bound.severity,
        resource=rule.resource,
        sha256=rule.sha256,
        file=Path(rule.place.file).name,
        parameters=dict(bound.values),
        controls={name: list(ids) for name, ids in rule.controls.items()},
        rationale=rule.rationale,
        references=list(rule.references),
        fix=rule.fix,
        remedy=rule.remedy,
        counts=counts,
    )


def _coverage(inventory: Inventory, estate: Estate, matrices: Sequence[Matrix], question: Question) -> Coverage:
    tables = []
    for table in TABLES:
        (row,) = estate.query(f"SELECT count(*) FROM {table.name}")  # noqa: S608 -- declared names
        gaps = [gap for gap in estate.gaps if gap.table in (table.name, EVERY_TABLE)]
        state = "partial" if gaps else "complete"
        if any(gap.kind == "not-exported" for gap in gaps) or (table.name in OPTIONAL_TABLES and not row[0]):
            state = "missing"
        elif table.name in question.complete:
            state = "assumed"
        tables.append(TableCoverage(table=table.name, rows=row[0], state=state))  # type: ignore[arg-type] -- one of four
    excluded = [entry for matrix in matrices for entry in _excluded(estate, matrix)]
    (declared,) = estate.query("SELECT count(*) FROM vm WHERE agent = 'declared'")
    rests = any(rule.id == "vm-agent-installed" for rule in question.rules)
    return Coverage(
        tables=tables,
        kinds=[_kind_coverage(estate, matrix) for matrix in matrices],
        excluded=excluded,
        declared_agents=declared[0] if rests else 0,
        assumptions=_assumptions(estate, question),
        notices=_notices(inventory, estate, question),
        ignored_types=dict(inventory.ignored),
    )


def _kind_coverage(estate: Estate, matrix: Matrix) -> KindCoverage:
    ((out,),) = estate.query(f"SELECT count(excluded) FROM {matrix.table}")  # noqa: S608
    return KindCoverage(kind=matrix.subject, found=matrix.rows, judged=matrix.rows - out, out_of_scope=out)


def _excluded(estate: Estate, matrix: Matrix) -> list[Excluded]:
    rows = estate.query(
        f"SELECT v.excluded, count(*), (list(s.id ORDER BY s.key))[1:3] FROM {matrix.table} v"  # noqa: S608
        f" JOIN {matrix.subject} s ON s.key = v.key WHERE v.excluded IS NOT NULL GROUP BY v.excluded ORDER BY v.excluded",
    )
    return [
        Excluded(
            reason=matrix.exclusions[number].reason,
            declared_in=f"{Path(matrix.exclusions[number].place.file).name}:{matrix.exclusions[number].place.line}",
            count=count,
            examples=examples,
        )
        for number, count, examples in rows
    ]


def _assumptions(estate: Estate, question: Question) -> list[str]:
    said = []
    if question.complete:
        said.append(f"Declared to be whole: {', '.join(sorted(question.complete))}.")
    gaps = [gap for gap in estate.gaps if gap.table in ("protected_items", EVERY_TABLE)]
    if gaps and not estate.reach_all and all(gap.scope for gap in gaps):
        said.append("A VM's backup item is looked for in the VM's own subscription (vaults_in: same-subscription).")
    elif gaps and estate.reach_all:
        said.append("A VM's backup item may be in any subscription, so what was not read could concern every VM.")
    return said


def _notices(inventory: Inventory, estate: Estate, question: Question) -> list[str]:
    notices = []
    ids = {rule.id for rule in question.rules}
    if "vault-redundancy-matches-intent" in ids:
        ((undeclared,),) = estate.query("SELECT count(*) FROM vault WHERE intent_reason LIKE 'nobody declared%'")
        if undeclared:
            notices.append(
                f"{_many(undeclared, 'vault')} without a declared intent: say whether Azure is the primary backup storage "
                f"endpoint with --primary-endpoint, intents in auditor.yaml, or the tag {TAG}.",
            )
    ages = any(isinstance(leaf.right, Age) for rule in question.rules for leaf in (*leaves(rule.applies), *leaves(rule.require)))
    if estate.now is None and ages:
        notices.append(f"{NO_TIME[0].upper()}{NO_TIME[1:]}: give the time of the export with --as-of 2026-01-31T06:00:00Z.")
    unused = sorted(
        {
            f"{leaf.left}"
            for condition in [
                *(rule.applies for rule in question.rules),
                *(rule.require for rule in question.rules),
                *(exclusion.condition for exclusion in question.exclusions if exclusion.place.file.endswith("auditor.yaml")),
            ]
            for leaf in leaves(condition)
            if isinstance(leaf.left, TagRef) and not _tag_seen(estate, leaf.left)
        },
    )
    notices += [f"No resource has the tag that a rule looks at: {name}." for name in unused]
    notices += _dangling(estate)
    ((members,),) = estate.query(
        "SELECT count(*) FROM virtual_machines v LEFT JOIN scale_sets s ON s.key = v.scale_set_id_key"
        " WHERE v.scale_set_id IS NOT NULL AND s.key IS NULL",
    )
    if members:
        notices.append(
            f"{_many(members, 'VM')} in scale sets that are not in the inventory: judged like any other VM (az vmss list).",
        )
    for subscription, vms, vaults in estate.query(
        "SELECT v.subscription_id, count(*), (SELECT count(*) FROM vaults u WHERE u.subscription_id = v.subscription_id) AS vaults"
        " FROM virtual_machines v WHERE v.subscription_id NOT IN (SELECT subscription_id FROM protected_items WHERE subscription_id"
        " IS NOT NULL) AND (SELECT count(*) FROM protected_items) > 0 GROUP BY v.subscription_id HAVING vaults > 0 ORDER BY 1",
    ):
        notices.append(
            f"Subscription {subscription} has {_many(vms, 'VM')} and {_many(vaults, 'vault')}, and no backup item of it is in "
            "the export: was it exported?",
        )
    if estate.problems:
        (table, _, column), reason = next(iter(sorted(estate.problems.items())))
        notices.append(
            f"{_many(len(estate.problems), 'value')} could not be used, and what rests on them is not known, such as "
            f"{column} in {table}: {reason}.",
        )
    if inventory.passed_over:
        names = ", ".join(inventory.passed_over[:3])
        notices.append(f"{_many(len(inventory.passed_over), 'JSON file')} without any answer of Azure's: {names}.")
    if inventory.other_files:
        notices.append(f"{_many(inventory.other_files, 'file')} of another kind passed over.")
    return notices


def _tag_seen(estate: Estate, tag: TagRef) -> bool:
    ((seen,),) = estate.query(f"SELECT count(*) FROM {tag.relation}_tags WHERE {tag.tag.column}_here")  # noqa: S608
    return bool(seen)


def _dangling(estate: Estate) -> list[str]:
    ((vms, policies, vaults),) = estate.query(
        "SELECT count(*) FILTER (v.key IS NULL AND i.vm_id IS NOT NULL),"
        " count(*) FILTER (p.key IS NULL AND i.policy_id IS NOT NULL), count(*) FILTER (u.key IS NULL)"
        " FROM item i LEFT JOIN virtual_machines v ON v.key = i.vm_key LEFT JOIN backup_policies p ON p.key = i.policy_key"
        " LEFT JOIN vaults u ON u.key = i.vault_key",
    )
    return [
        f"{_many(count, 'backup item')} of a {what} that is not in the inventory."
        for count, what in ((vms, "VM"), (policies, "policy"), (vaults, "vault"))
        if count
    ]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _kinds(coverage: Coverage) -> str:
    words = [
        f"{kind.found:,} {KIND_NAMES[_subject(kind.kind)][kind.found != 1]}" for kind in coverage.kinds if kind.found
    ]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else "no resources"


def _subject(kind: str) -> Subject:
    return next(subject for subject in KIND_NAMES if subject == kind)


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
        parts = [f"{total.fail:,} of {decided:,} verdicts fail" + (f" ({failing})" if failing else "")]
        if total.unknown:
            parts.append(f"{total.unknown:,} {'is' if total.unknown == 1 else 'are'} unknown")
        sentence = f"{' and '.join(parts)}, on {_kinds(coverage)}."
    return Summary(verdict=verdict, sentence=sentence, counts=total, failing_by_severity=severities, gate=gate)
