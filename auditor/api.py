"""The auditor as a library: read an inventory, load rules, evaluate.

The examples judge the estate in ``examples/`` and are run by the tests.

>>> from auditor import evaluate, load_inventory, load_rules
>>> inventory = load_inventory("examples/estate")
>>> rules = [rule for rule in load_rules() if rule.severity == "critical"]
>>> found = evaluate(inventory, rules, as_of="2026-11-02T06:00:00Z", config="examples/auditor.yaml")
>>> [verdict.resource.rpartition("/")[2] for verdict in found.verdicts if verdict.outcome == "fail"][:3]
['tms-batch-01', 'dub-dispatch-01', 'dub-gate-01']
>>> found.summary.verdict
'Not compliant'

Whatever is wrong with what is given raises ``auditor.errors.UsageError``, a message on one line and a hint; of files
that people write, ``InputErrors`` with all of their faults. Nothing here looks at the clock, the environment or the
current folder's auditor.yaml, and nothing talks to Azure: ``auditor collect`` keeps Azure as a snapshot.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import TypeAlias, get_args

import msgspec

from auditor.assessment.assess import Assessment, assess
from auditor.assessment.evidence import find_evidence
from auditor.assessment.model import Finding, GapInfo, Summary
from auditor.assessment.question import question_of
from auditor.declared.config import NO_DOCUMENT, Config, Intent, ParameterValue, TableName, load_config
from auditor.declared.intents import WORDS
from auditor.errors import UsageError
from auditor.inventory.model import Inventory
from auditor.inventory.read import read_inventory
from auditor.ruleset.load import PROFILES, bundled_files, own_files
from auditor.ruleset.load import load_rules as load_rule_files
from auditor.ruleset.model import Rule
from auditor.ruleset.settings import Said, rules_beside, settings_of
from auditor.timestamps import parse_recent, show_time
from auditor.yaml_source import did_you_mean

AnyPath: TypeAlias = str | PathLike[str]
Verdict: TypeAlias = Finding


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class LoadedInventory:
    """An inventory, ready to be evaluated as often as one likes; its working files go when it does.

    Attributes:
        collected_at: when it was read from Azure, as RFC 3339 in UTC; ``None`` where nobody knows, as of exports.
        sources: the names of the files that were read, as evidence gives them.
    """

    collected_at: str | None
    sources: Sequence[str]
    facts: Inventory = field(repr=False)
    folder: Path = field(repr=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of an evaluation.

    Attributes:
        verdicts: one for each rule and each resource of its kind, by kind of resource, then rule, then resource. A
            verdict has ``rule``, ``resource`` (the id as Azure spells it), ``outcome`` (``pass``, ``fail``, ``unknown``
            or ``not-applicable``), ``severity``, ``message``, ``expected``, ``observed``, ``exempt`` with
            ``exemption``, ``evidence`` (each with ``field``, ``value``, ``source``, ``reason``, ``expected``), and
            ``fingerprint``.
        gaps: what could not be read, and what to do about it. Verdicts that it could matter to are ``unknown``.
        summary: counts, the verdict on the whole, and what the gate of ``auditor audit`` would say.
        as_of: the time that was judged at, as RFC 3339 in UTC; ``None`` when nobody knows it, and ages are unknown.
        notices: what is worth knowing about the inventory and the settings as a whole.
    """

    verdicts: Sequence[Verdict]
    gaps: Sequence[GapInfo]
    summary: Summary
    as_of: str | None
    notices: Sequence[str]


def load_inventory(*paths: AnyPath, complete: Iterable[str] = ()) -> LoadedInventory:
    """Read snapshots and exported JSON, files and folders in any mix, as one inventory.

    Args:
        paths: as with ``auditor audit --inventory``.
        complete: tables that are whole, also where the export holds no row of them; otherwise such a table is a gap.

    Raises:
        UsageError: a path does not exist, what it names cannot be used, or there is no such table.

    >>> inventory = load_inventory("examples/estate")
    >>> inventory.sources[0], inventory.collected_at
    ('estate/backup-items.json', None)
    """
    tables = get_args(TableName)
    for name in complete:
        if name not in tables:
            raise UsageError(f"there is no table {name}", did_you_mean(name, tables))
    folder = Path(tempfile.mkdtemp(prefix="auditor-"))
    try:
        facts = read_inventory([Path(path) for path in paths], folder, frozenset(complete))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    collected_at = show_time(facts.collected_at) if facts.collected_at is not None else None
    names = tuple(source.name for source in facts.sources)
    inventory = LoadedInventory(collected_at, names, facts, folder)
    weakref.finalize(inventory, shutil.rmtree, folder, ignore_errors=True)
    return inventory


def load_rules(*paths: AnyPath, bundled: bool = True) -> list[Rule]:
    """Load rules, all profiles of them, in the order of their ids.

    Args:
        paths: files and folders with rules of your own.
        bundled: load those that come with the auditor, too.

    Raises:
        UsageError: a path does not exist, or holds no rule.
        InputErrors: all that is wrong with the rules, with file, line and column.

    >>> rules = {rule.id: rule for rule in load_rules()}
    >>> rules["policy-runs-per-day"].parameters["maximum"].default
    5
    """
    own = own_files(Path(path) for path in paths)
    rules = load_rule_files([*bundled_files(), *own])  # a rule may name bundled ones
    return [rule for rule in rules if bundled or rule.own]


def evaluate(  # noqa: PLR0913 -- all that can be said beside the inventory
    inventory: LoadedInventory,
    rules: Iterable[Rule] | None = None,
    *,
    as_of: str | datetime | None = None,
    config: AnyPath | None = None,
    profile: str | None = None,
    parameters: Mapping[str, Mapping[str, ParameterValue]] | None = None,
    primary_endpoint: Intent | None = None,
    exemptions: AnyPath | None = None,
) -> Evaluation:
    """Judge an inventory by rules.

    Every verdict is an object with its evidence, passes too. For estates of many ten thousand VMs ``auditor audit -o
    verdicts.parquet`` takes less time and far less memory.

    Args:
        inventory: what is judged.
        rules: exactly these are evaluated. Where none are given, those that ``auditor audit`` would run: of the bundled
            ones and those that ``config`` names, what its profile, ``select`` and ``ignore`` leave.
        as_of: the time to judge at, with a zone; the inventory's own when it is not given. Exports have none: without
            one all that depends on an age is unknown.
        config: an auditor.yaml; without it the defaults hold.
        profile: ``baseline`` or ``hardened``; before that of ``config``.
        parameters: values for parameters of rules, as ``{"policy-runs-per-day": {"maximum": 6}}``; before those of
            ``config``.
        primary_endpoint: the intent of vaults where nothing else says it.
        exemptions: an exemptions.yaml; before that of ``config``.

    Raises:
        UsageError: something of that is wrong: a time without a zone, no such rule, no such parameter, no such file.
        InputErrors: all that is wrong with one of the files, with line and column.

    >>> inventory = load_inventory("examples/estate")
    >>> rules = [rule for rule in load_rules() if rule.id == "policy-runs-per-day"]
    >>> def failing(**said):
    ...     found = evaluate(inventory, rules, as_of="2026-11-02T06:00:00Z", **said)
    ...     return [verdict.message.partition(" (")[0] for verdict in found.verdicts if verdict.outcome == "fail"]
    >>> for message in failing():
    ...     print(message)
    backups a day: 6 on the quietest, 6 on the busiest
    backups a day: 0 on the quietest, 1 on the busiest
    >>> len(failing(parameters={"policy-runs-per-day": {"maximum": 6}}))
    1
    """
    said = _said(as_of, config, profile, parameters or {}, primary_endpoint, exemptions)
    known = rules_beside(said.config, said.document)
    chosen = _each_once(rules) if rules is not None else None
    by_id = {rule.id: rule for rule in (*known, *(chosen or ()))}
    known = [by_id[rule_id] for rule_id in sorted(by_id)]
    for rule_id in said.parameters:
        if rule_id not in by_id:
            raise UsageError(f"parameters: there is no rule {rule_id}", did_you_mean(rule_id, list(by_id)))
    settings = settings_of(said, known, chosen)
    facts = inventory.facts.with_complete(settings.complete)
    if settings.as_of is None:
        settings.exemptions.check_terms(facts.collected_at)
    settings = replace(settings, complete=facts.assumed)
    with tempfile.TemporaryDirectory(dir=inventory.folder) as name:
        assessment = assess(facts, Path(name), question_of(settings, primary_endpoint), brief=True)
        try:
            verdicts = list(_verdicts(assessment))
        finally:
            assessment.estate.connection.close()
    report = assessment.report
    return Evaluation(verdicts, report.gaps, report.summary, report.as_of, report.coverage.notices)


def _each_once(rules: Iterable[Rule]) -> list[Rule]:
    """Return the rules in the order of their ids."""
    chosen = sorted(rules, key=lambda rule: rule.id)
    twice = [rule.id for before, rule in pairwise(chosen) if before.id == rule.id]
    if twice:
        raise UsageError(f"the rule {twice[0]} is given twice", "Give each rule once.")
    if not chosen:
        raise UsageError("no rule is given", "Leave rules out to have them chosen.")
    return chosen


def _said(
    as_of: str | datetime | None,
    config: AnyPath | None,
    profile: str | None,
    parameters: Mapping[str, Mapping[str, ParameterValue]],
    primary_endpoint: Intent | None,
    exemptions: AnyPath | None,
) -> Said:
    read, document, digest = load_config(Path(config)) if config is not None else (Config(), NO_DOCUMENT, None)
    found = next((name for name in PROFILES if name == profile), None)
    if profile is not None and found is None:
        raise UsageError(f"profile is never {profile}", did_you_mean(profile, PROFILES))
    if primary_endpoint is not None and primary_endpoint not in WORDS:
        raise UsageError(f"primary_endpoint is never {primary_endpoint}", did_you_mean(primary_endpoint, WORDS))
    return Said(
        msgspec.structs.replace(read, profile=found or read.profile),
        document,
        digest,
        parameters,
        parameters_from="parameters",
        primary_endpoint=primary_endpoint,
        as_of=_time(as_of),
        exemptions=Path(exemptions) if exemptions is not None else None,
    )


def _time(as_of: str | datetime | None) -> int | None:
    """Read a time as microseconds since 1970 UTC."""
    if as_of is None:
        return None
    text = as_of.isoformat() if isinstance(as_of, datetime) else as_of
    when = parse_recent(text)
    if when is None:
        raise UsageError(f"as_of {text} is not a time with a zone", "Write it as 2026-01-31T06:00:00Z.")
    return when


def _verdicts(assessment: Assessment) -> Iterator[Verdict]:
    estate = assessment.estate
    for matrix in assessment.matrices:
        keys = [key for (key,) in estate.query(f"SELECT key FROM {matrix.subject} ORDER BY n")]
        yield from find_evidence(estate, matrix, keys, assessment.exemptions)
