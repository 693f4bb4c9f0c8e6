"""The assessment: what an audit found, in the shape in which reports, gate and plan use it.

These types are also the declared shape of report.json: its JSON Schema is made of them.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec

from auditor.declared.attestations import AttestationStatus
from auditor.declared.config import Severity, Threshold
from auditor.declared.exemptions import Category, ScopeKind
from auditor.gate import Counts, Gate

Outcome: TypeAlias = Literal["pass", "fail", "unknown", "not-applicable"]
# The letters of ``Report.outcomes``.
OUTCOMES: dict[str, Outcome] = {"p": "pass", "f": "fail", "u": "unknown", "n": "not-applicable"}
VerdictWord: TypeAlias = Literal["Compliant", "Not compliant", "Cannot conclude"]
ChangeKind: TypeAlias = Literal[
    "new",
    "became-unknown",
    "fixed",
    "passes-by-changed-rule",
    "no-longer-unknown",
    "no-longer-applicable",
    "exempt-now",
]
Sha256: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Cell: TypeAlias = bool | float | int | str | list[str] | None
SCHEMA_VERSION: Literal["1.0"] = "1.0"
ControlState: TypeAlias = Literal["holds", "fails", "cannot-conclude", "not-judged", "no-evidence", "attested"]
# What needs a decision comes first.
ExemptionStatus: TypeAlias = Literal[
    "expired", "time-unknown", "expiring", "unused", "no-longer-needed", "not-yet", "active"
]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """A part of the report; unknown fields are errors.

    No part can hold itself, so the search for such cycles (``gc``), which would look at millions of them, need not.
    """


class Tool(_Part, frozen=True):
    """What made the report."""

    name: str
    version: str


class SourceFile(_Part, frozen=True):
    """A file that was read."""

    name: str
    sha256: Sha256
    rows: int


class InventoryInfo(_Part, frozen=True):
    """What was judged."""

    sha256: Sha256
    collected_at: Annotated[str | None, msgspec.Meta(description="when reading it from Azure began")]
    sources: list[SourceFile]
    collected_until: Annotated[str | None, msgspec.Meta(description="when reading it from Azure ended")] = None
    tenant: Annotated[str, msgspec.Meta(description="id of the tenant; empty for exports")] = ""
    cloud: Annotated[str, msgspec.Meta(description="public, us-government or china; empty for exports")] = ""
    principal: Annotated[str, msgspec.Meta(description="who read it; empty for exports")] = ""
    scope: Annotated[
        list[str],
        msgspec.Meta(description="ids of what was asked for; empty for all that could be read, and for exports"),
    ] = []


class Options(_Part, frozen=True):
    """How it was judged: everything beside the inventory that verdicts and exit code depend on."""

    profile: str
    primary_endpoint: str | None
    vaults_in: str
    select: list[str]
    ignore: list[str]
    complete: list[str]
    fail_on: Threshold
    strict: bool
    config_sha256: Sha256 | None
    exemptions_sha256: Sha256 | None
    organisation: str = ""
    subscriptions: Annotated[
        list[str],
        msgspec.Meta(description="ids of the subscriptions that were judged; empty for all of the inventory"),
    ] = []
    framework: Annotated[
        str,
        msgspec.Meta(description="the framework whose rules were run, and no others; empty where nobody chose one"),
    ] = ""
    attestations_sha256: Sha256 | None = None


class Summary(_Part, frozen=True):
    """The report in a few words and numbers."""

    verdict: VerdictWord
    sentence: str
    counts: Counts
    failing_by_severity: dict[Severity, int]
    gate: Gate


class TableCoverage(_Part, frozen=True):
    """How much of one kind of facts was read."""

    table: str
    rows: int
    state: Literal["complete", "partial", "missing", "assumed"]


class KindCoverage(_Part, frozen=True):
    """How many resources of one kind were found, judged and left out."""

    kind: Literal["vm", "item", "policy", "vault"]
    found: int
    judged: int
    out_of_scope: int


class SubscriptionCoverage(_Part, frozen=True):
    """A subscription, and how far it was read.

    ``partial`` where something is known to be missing from it, ``unread`` where that is all that is known of it.
    """

    id: str
    name: Annotated[str, msgspec.Meta(description="its display name; empty where it was not read")]
    state: Literal["read", "partial", "unread"]
    vms: int


class Excluded(_Part, frozen=True):
    """Resources that one exclusion kept out."""

    reason: str
    declared_in: str
    count: int
    examples: list[str]


class Coverage(_Part, frozen=True):
    """What was looked at, and what was not."""

    tables: list[TableCoverage]
    kinds: list[KindCoverage]
    excluded: list[Excluded]
    declared_agents: Annotated[
        int,
        msgspec.Meta(description="VMs whose agent verdict rests on what was declared at creation, not on a report"),
    ]
    assumptions: list[str]
    notices: list[str]
    ignored_types: dict[str, int]
    subscriptions: list[SubscriptionCoverage] = []


class GapInfo(_Part, frozen=True):
    """Something that could not be read."""

    table: str
    scope: str
    kind: Literal["not-exported", "cut-short", "unreadable", "refused"]
    cause: str
    hint: str


class RuleInfo(_Part, frozen=True):
    """A rule as it was applied, and what came of it."""

    id: str
    title: str
    severity: Severity
    resource: Literal["vm", "item", "policy", "vault"]
    sha256: Sha256
    file: str
    parameters: dict[str, Cell]
    controls: dict[str, list[str]]
    rationale: str
    references: list[str]
    fix: str
    remedy: str
    counts: Counts
    line: Annotated[int, msgspec.Meta(description="where it begins in its file; 0 where nobody said it")] = 0
    applies: Annotated[str, msgspec.Meta(description="the condition under which it judges; empty where always")] = ""
    requires: Annotated[str, msgspec.Meta(description="the condition that has to hold")] = ""


class AttestationInfo(_Part, frozen=True):
    """What somebody states about a control; it counts while it is ``active`` or ``expiring``."""

    statement: str
    by: str
    date: str
    expires: str
    evidence: Annotated[str, msgspec.Meta(description="a link, or where else the record is")]
    status: AttestationStatus


class ControlInfo(_Part, frozen=True):
    """A control of a framework, and what the rules that bear on it say together.

    ``holds``: all their verdicts pass; ``fails``: one fails, exempt or not; ``cannot-conclude``: none fails, and one is
    unknown or not all that they judge was read; ``not-judged``: not one of them could be applied, or none was run;
    ``no-evidence``: no rule can tell; ``attested``: no rule can tell, and somebody states it, which proves nothing by
    itself. ``rules`` are those that were run, ``counts`` adds up their verdicts.
    """

    id: str
    title: str
    state: ControlState
    rules: list[str]
    counts: Counts
    note: Annotated[str, msgspec.Meta(description="what the rules do not show, or what evidence is needed instead")] = (
        ""
    )
    attestations: list[AttestationInfo] = []


class FrameworkInfo(_Part, frozen=True):
    """A framework of controls, as far as it is about backup."""

    id: str
    title: str
    reference: Annotated[str, msgspec.Meta(description="where it is published; empty where nobody said it")]
    controls: list[ControlInfo]


class Resource(_Part, frozen=True):
    """A resource that was judged."""

    id: str
    kind: Literal["vm", "item", "policy", "vault"]
    name: str
    subscription: str | None
    resource_group: str | None
    location: str | None
    source: Annotated[str, msgspec.Meta(description="where it was read; several, where it was read more than once")] = (
        ""
    )


class Evidence(_Part, frozen=True):
    """One thing a rule looked at."""

    field: str
    value: Cell
    source: Annotated[str, msgspec.Meta(description="where the value came from; empty when there is none")]
    reason: Annotated[str, msgspec.Meta(description="why the value is not known; empty when it is")]
    expected: Annotated[str, msgspec.Meta(description="what it was compared with, and the parameter that said so")]


class FindingExemption(_Part, frozen=True):
    """The exemption under which a verdict does not count."""

    id: str
    category: Category
    reason: str
    owner: str
    ticket: str
    expires: str


class ExemptionInfo(_Part, frozen=True):
    """An exemption, and how it stands at the time of the inventory.

    ``matched`` counts the resources in its scope that its rule judges; ``exempted`` the failing and unknown verdicts
    that it exempts, those that a more specific exemption covers not among them.
    """

    id: str
    rule: str
    scope_kind: ScopeKind
    scope: Annotated[str, msgspec.Meta(description="an ARM id, or NAME=VALUE of a tag")]
    category: Category
    reason: str
    owner: str
    approver: str
    ticket: str
    created: str | None
    expires: str
    status: ExemptionStatus
    matched: int
    exempted: int


class Finding(_Part, frozen=True):
    """A verdict that is not a pass: fail or unknown."""

    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    rule: str
    resource: str
    outcome: Outcome
    severity: Severity
    exempt: bool
    message: str
    expected: str
    observed: str
    evidence: list[Evidence]
    exemption: FindingExemption | None = None
    baseline: Literal["new", "unchanged"] | None = None


class RuleChange(_Part, frozen=True):
    """A rule that judges otherwise than in an earlier report.

    ``changed`` says what was and what is, by what changed: ``rule``, ``severity``, ``parameter NAME``.
    """

    rule: str
    changed: dict[str, str]


class Change(_Part, frozen=True):
    """A verdict that is another one now; ``before`` is null where the resource or the rule was not there."""

    change: ChangeKind
    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    rule: str
    resource: str
    severity: Severity
    before: Outcome | None
    after: Outcome
    exempt: bool
    message: Annotated[str, msgspec.Meta(description="what the finding says, or said")]


class RuleDiff(_Part, frozen=True):
    """How the verdicts of one rule changed."""

    rule: str
    counts: dict[str, int]


class Baseline(_Part, frozen=True):
    """The earlier report that findings were compared with, and what came of it.

    ``new`` and ``unchanged`` count findings, failing and unknown ones, exempt ones too; ``fixed`` counts verdicts that
    failed and pass now by the same rule. ``changes`` lists the verdicts that are no finding any more, ``rules`` counts
    every change, ``appeared`` and ``gone`` the resources that are in one of the two reports only.
    """

    content_sha256: Sha256
    as_of: str | None
    tool_version: str
    new: int
    unchanged: int
    fixed: int
    rules_changed: list[RuleChange]
    not_comparable: Annotated[list[str], msgspec.Meta(description="why a difference may not lie in the estate")]
    changes: list[Change] = []
    rules: list[RuleDiff] = []
    appeared: int = 0
    gone: int = 0


class TrendRun(_Part, frozen=True):
    """What one run said when it was made, and why its numbers may not compare with those of the run before it."""

    run_id: Sha256
    as_of: str | None
    tool_version: str
    verdict: VerdictWord
    exit_code: int
    counts: Counts
    rules: Annotated[dict[str, Counts], msgspec.Meta(description="by id, each rule that was run")]
    rules_changed: list[RuleChange]
    not_comparable: Annotated[list[str], msgspec.Meta(description="why a difference may not lie in the estate")]


class Trend(_Part, frozen=True):
    """What earlier runs of the history said, never judged again; the oldest is first, the last is this report."""

    runs: Annotated[list[TrendRun], msgspec.Meta(min_length=1)]
    left_out: Annotated[int, msgspec.Meta(description="still older runs that the history has")] = 0
    notices: Annotated[list[str], msgspec.Meta(description="what of the history could not be read")] = []


class Report(_Part, frozen=True):
    """report.json: the verdicts of one audit, their evidence, and what they rest on.

    ``outcomes`` holds one letter (p, f, u, n) for each resource of the rule's kind, in the order of ``resources``.
    ``content_sha256`` is the SHA-256 of the sorted compact JSON of everything else.
    """

    schema_version: Literal["1.0"]
    content_sha256: Sha256
    tool: Tool
    as_of: str | None
    inventory: InventoryInfo
    options: Options
    summary: Summary
    coverage: Coverage
    gaps: list[GapInfo]
    exemptions: list[ExemptionInfo]
    rules: list[RuleInfo]
    resources: Sequence[Resource]
    outcomes: dict[str, str]
    findings: Sequence[Finding]
    baseline: Baseline | None = None
    frameworks: list[FrameworkInfo] = []
    run_id: Annotated[
        str, msgspec.Meta(description="SHA-256 of all that was judged and asked: equal ones, equal verdicts")
    ] = ""
    trend: Trend | None = None


class SnapshotJudged(_Part, frozen=True):
    """A snapshot among many, and what was found in it; the parts are those of report.json."""

    snapshot: Annotated[str, msgspec.Meta(description="its URL, as in the column snapshot of the verdicts")]
    as_of: str | None
    inventory: InventoryInfo
    summary: Summary
    coverage: Coverage
    gaps: list[GapInfo]
    exemptions: list[ExemptionInfo]
    rules: list[RuleInfo]
    frameworks: list[FrameworkInfo]
    findings: Annotated[
        list[Finding], msgspec.Meta(description="no more of each rule than most_findings; its counts have them all")
    ]
    run_id: str


class Survey(_Part, frozen=True):
    """survey.json: many snapshots, each judged by itself at its own time."""

    schema_version: Literal["1.0"]
    tool: Tool
    options: Options
    counts: Annotated[Counts, msgspec.Meta(description="verdicts in all of them")]
    gate: Annotated[Gate, msgspec.Meta(description="1 where it is that of any snapshot, else 3 where any, else 0")]
    most_findings: Annotated[int, msgspec.Meta(description="how many findings of a rule a snapshot has at most")]
    snapshots: list[SnapshotJudged]


class ReportId(_Part, frozen=True):
    """A report that was compared."""

    content_sha256: Sha256
    as_of: str | None
    tool_version: str
    verdict: VerdictWord


class Diff(_Part, frozen=True):
    """diff.json: what is different between two reports."""

    schema_version: Literal["1.0"]
    old: ReportId
    new: ReportId
    counts: dict[str, int]
    rules: list[RuleDiff]
    changes: list[Change]
    appeared: list[Resource]
    gone: list[Resource]
    rules_changed: list[RuleChange]
    not_comparable: Annotated[list[str], msgspec.Meta(description="why a difference may not lie in the estate")]
