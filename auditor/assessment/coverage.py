"""What was looked at and what was not: tables, gaps, exclusions, assumptions, notices."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal

from auditor.assessment.engine import Matrix
from auditor.assessment.evidence import NO_TIME
from auditor.assessment.model import Coverage, Excluded, KindCoverage, SubscriptionCoverage, TableCoverage
from auditor.assessment.question import Question
from auditor.declared.intents import TAG
from auditor.estate.database import Estate
from auditor.estate.fields import KIND_NAMES, SUBJECTS, TABLE_OF
from auditor.gate import Counts
from auditor.inventory.model import EVERY_TABLE, Gap, Inventory
from auditor.inventory.tables import OPTIONAL_TABLES, TABLES
from auditor.ruleset.conditions import known_tables
from auditor.ruleset.model import Age, BoundRule, TagRef, fields_of, leaves
from auditor.timestamps import NEVER, show_time

_MINUTE, _DAY = 60_000_000, 86_400_000_000  # microseconds
_JUDGED = tuple(TABLE_OF[subject] for subject in SUBJECTS)
_TOLD_BY = ("subscriptions", *_JUDGED)  # the first one that has rows of a subscription says how its id is spelled


def coverage_of(
    inventory: Inventory,
    estate: Estate,
    matrices: Sequence[Matrix],
    question: Question,
    notices: Sequence[str],
    asked: frozenset[str] | None = None,
) -> Coverage:
    """Say how much was read, judged and left out, and what is worth knowing about it beside the given notices."""
    tables = []
    for table in TABLES:
        ((rows,),) = estate.query(f"SELECT count(*) FROM {table.name}")
        gaps = [gap for gap in estate.gaps if gap.table in (table.name, EVERY_TABLE)]
        state: Literal["complete", "partial", "missing", "assumed"] = "partial" if gaps else "complete"
        if any(gap.kind == "not-exported" for gap in gaps) or (table.name in OPTIONAL_TABLES and not rows):
            state = "missing"
        elif table.name in inventory.assumed:
            state = "assumed"
        tables.append(TableCoverage(table=table.name, rows=rows, state=state))
    kinds = [_kind_coverage(estate, matrix) for matrix in matrices]
    left_out = [matrix for matrix, kind in zip(matrices, kinds, strict=True) if kind.out_of_scope]
    excluded = [entry for matrix in left_out for entry in _excluded(estate, matrix)]
    (declared,) = estate.query("SELECT count(*) FROM vm WHERE agent = 'declared'")
    rests = any(rule.id == "vm-agent-installed" for rule in question.rules)
    return Coverage(
        tables=tables,
        kinds=kinds,
        excluded=excluded,
        declared_agents=declared[0] if rests else 0,
        assumptions=_assumptions(inventory, estate),
        notices=[*notices, *_notices(inventory, estate, question)],
        ignored_types=dict(inventory.ignored),
        subscriptions=_subscriptions(estate, asked),
    )


def _subscriptions(estate: Estate, asked: frozenset[str] | None) -> list[SubscriptionCoverage]:
    """Tell for each subscription how far it was read: those that are listed, that hold something, that lack something.

    A gap of no certain subscription changes none of them: the gap itself says that it could reach all.
    """
    spelled: dict[str, str] = {}
    rows: dict[tuple[str, str], int] = {}
    for table in _TOLD_BY:
        found = estate.query(
            f"SELECT subscription_id, count(*), min(n) FROM {table} WHERE subscription_id IS NOT NULL"
            " GROUP BY subscription_id",
        )
        rows |= {(key, table): count for key, count, _ in found}
        # Only one id of each subscription is read, for its spelling, and only where no other table spells it.
        first = [number for key, _, number in found if key not in spelled]
        if first:
            ids = (
                f"SELECT subscription_id, split_part(id, '/', 3) FROM {table} WHERE n IN ({', '.join(map(str, first))})"
            )
            spelled |= dict(estate.query(ids))
    names = dict(estate.query("SELECT subscription_id, display_name FROM subscriptions"))
    lacking: dict[str, set[str]] = {}
    for gap in estate.gaps:
        if gap.scope:
            lacking.setdefault(gap.scope, set()).add(gap.table)
    return [
        SubscriptionCoverage(
            id=spelled.get(key, key),
            name=names.get(key) or "",
            state=_how_far(lacking.get(key, set()), {table for table in _TOLD_BY if (key, table) in rows}),
            vms=rows.get((key, TABLE_OF["vm"]), 0),
        )
        for key in sorted(spelled.keys() | lacking.keys())
        if asked is None or key in asked or (EVERY_TABLE in lacking.get(key, ()) and key not in spelled)
    ]


def _how_far(lacking: set[str], held: set[str]) -> Literal["read", "partial", "unread"]:
    if not lacking:
        return "read"
    # A list of subscriptions may name it: that is nothing of what it holds, where all that is judged may be missing.
    everything = EVERY_TABLE in lacking or lacking.issuperset(_JUDGED)
    return "unread" if not held or (everything and held == {"subscriptions"}) else "partial"


def _kind_coverage(estate: Estate, matrix: Matrix) -> KindCoverage:
    ((out,),) = estate.query(f"SELECT count(excluded) FROM {matrix.table}")
    return KindCoverage(kind=matrix.subject, found=matrix.rows, judged=matrix.rows - out, out_of_scope=out)


def _excluded(estate: Estate, matrix: Matrix) -> list[Excluded]:
    rows = estate.query(
        "SELECT x.excluded, x.found, s.id FROM (SELECT excluded, n, count(*) OVER (PARTITION BY excluded) AS found,"
        " row_number() OVER (PARTITION BY excluded ORDER BY n) AS place"
        f" FROM {matrix.table} WHERE excluded IS NOT NULL) x"
        f" JOIN {TABLE_OF[matrix.subject]} s ON s.n = x.n WHERE x.place <= 3 ORDER BY x.excluded, x.n",
    )
    groups = [(out, [row[2] for row in group]) for out, group in groupby(rows, key=itemgetter(0, 1))]
    return [
        Excluded(
            reason=matrix.exclusions[number].reason,
            declared_in=f"{Path(matrix.exclusions[number].place.file).name}:{matrix.exclusions[number].place.line}",
            count=count,
            examples=examples,
        )
        for (number, count), examples in groups
    ]


def _assumptions(inventory: Inventory, estate: Estate) -> list[str]:
    said = []
    if inventory.assumed:
        said.append(f"Declared to be whole: {', '.join(sorted(inventory.assumed))}.")
    gaps = [gap for gap in estate.gaps if gap.table in ("protected_items", EVERY_TABLE)]
    if gaps and not estate.reach_all and all(gap.scope for gap in gaps):
        said.append("A VM's backup item is looked for in the VM's own subscription (vaults_in: same-subscription).")
    elif gaps and estate.reach_all:
        said.append("A VM's backup item may be in any subscription, so what was not read could concern every VM.")
    return said


def _notices(inventory: Inventory, estate: Estate, question: Question) -> list[str]:
    notices = [
        *inventory.notices,
        *_undeclared(estate, question),
        *_unused_tags(estate, question),
        *_dangling(estate),
        *_forgotten(estate),
        *_of_another_time(estate, question),
    ]
    if estate.problems:
        (table, _, column), reason = min(estate.problems.items())
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


def _undeclared(estate: Estate, question: Question) -> list[str]:
    """Say once what would otherwise be said for every resource: nobody declared an intent, nobody knows the time."""
    notices = []
    ((vaults,),) = estate.query("SELECT count(*) FROM vault WHERE intent_reason LIKE 'nobody declared%'")
    if vaults and any(rule.id == "vault-redundancy-matches-intent" for rule in question.rules):
        notices.append(
            f"{_many(vaults, 'vault')} without a declared intent: say whether Azure is the primary backup storage "
            f"endpoint with --primary-endpoint, with intents in auditor.yaml, or with the tag {TAG}.",
        )
    ages = any(isinstance(leaf.right, Age) for rule in question.rules for leaf in rule.leaves())
    if estate.now is None and ages:
        said = NO_TIME[0].upper() + NO_TIME[1:]
        notices.append(f"{said}: give the time of the export with --as-of 2026-01-31T06:00:00Z.")
    return notices


def _of_another_time(estate: Estate, question: Question) -> list[str]:
    """Say where what was read is of another time than the one given: verdicts about ages would be wrong."""
    if question.as_of is None:
        return []
    ((newest,),) = estate.query(
        "SELECT max(time) FROM (SELECT max(last_backup) AS time FROM protected_items"
        " UNION ALL SELECT max(last_recovery_point) FROM protected_items"
        " UNION ALL SELECT max(started) FROM backup_jobs UNION ALL SELECT max(created) FROM virtual_machines)"
    )
    if newest is None or newest <= NEVER:
        return []
    told = f"It is judged at {show_time(question.as_of)}, and the newest thing in it is of {show_time(newest)}"
    if newest > question.as_of + _MINUTE:
        return [f"{told}: is --as-of too early?"]
    if newest < question.as_of - _DAY:
        return [f"{told}: is --as-of too late, or is nothing backed up any more?"]
    return []


def _unused_tags(estate: Estate, question: Question) -> list[str]:
    """Name tags that rules, or exclusions of the configuration, look at and no resource has: misspelt, perhaps.

    Nobody wrote the tags of bundled rules, unless by a parameter.
    """
    written = [rule for rule in question.rules if rule.rule.own or rule.changed]
    looked_at = [leaf for rule in written for leaf in rule.leaves()]
    for exclusion in question.exclusions:
        if not exclusion.bundled:
            looked_at += leaves(exclusion.condition)
    tags = {str(leaf.left): leaf.left for leaf in looked_at if isinstance(leaf.left, TagRef)}
    unused = [name for name, tag in sorted(tags.items()) if not _tag_seen(estate, tag)]
    return [f"No resource has the tag that a rule looks at: {name}." for name in unused]


def _forgotten(estate: Estate) -> list[str]:
    """Name what looks as if an export had been forgotten."""
    notices = []
    ((members,),) = estate.query(
        "SELECT count(*) FROM virtual_machines WHERE scale_set_id_n < 0",
    )
    if members:
        notices.append(
            f"{_many(members, 'VM')} in scale sets that are not in the inventory (az vmss list): judged like others.",
        )
    rows = estate.query(
        "SELECT v.subscription_id, v.vms, u.vaults"
        " FROM (SELECT subscription_id, count(*) AS vms FROM virtual_machines GROUP BY subscription_id) v"
        " JOIN (SELECT subscription_id, count(*) AS vaults FROM vaults GROUP BY subscription_id) u"
        " ON u.subscription_id = v.subscription_id"
        " LEFT JOIN (SELECT DISTINCT subscription_id FROM protected_items) i ON i.subscription_id = v.subscription_id"
        " WHERE i.subscription_id IS NULL AND EXISTS (SELECT 1 FROM protected_items) ORDER BY v.subscription_id",
    )
    notices += [
        f"Subscription {subscription} has {_many(vms, 'VM')} and {_many(vaults, 'vault')}, and no backup item of it is "
        "in the export: was it exported?"
        for subscription, vms, vaults in rows
    ]
    return notices


def _tag_seen(estate: Estate, tag: TagRef) -> bool:
    ((seen,),) = estate.query(f"SELECT count(*) FROM {tag.relation}_tags WHERE {tag.tag.column}_here")
    return bool(seen)


def _dangling(estate: Estate) -> list[str]:
    ((vms, policies, vaults),) = estate.query(
        "SELECT count(*) FILTER (vm_n < 0), count(*) FILTER (policy_n < 0), count(*) FILTER (vault_n < 0) FROM item",
    )
    return [
        f"{_many(count, 'backup item')} of a {what} that is not in the inventory."
        for count, what in ((vms, "VM"), (policies, "policy"), (vaults, "vault"))
        if count
    ]


def idle_notices(judged: Sequence[tuple[BoundRule, Counts]]) -> list[str]:
    """Name rules of people's own, or with parameters of theirs, that judged nothing: a value is misspelt, perhaps."""
    return [
        f"{rule.id} judged none of {counts.total:,} {KIND_NAMES[rule.subject][counts.total != 1]}: nothing is what it "
        "applies to, or all of it is out of scope."
        for rule, counts in judged
        if (rule.rule.own or rule.changed) and counts.total and counts.not_applicable == counts.total
    ]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def causes_that_matter(
    estate: Estate, judged: Sequence[tuple[BoundRule, Counts]], asked: frozenset[str] | None = None
) -> list[str]:
    """Return the causes of the gaps that keep these rules from being answered, for the subscriptions asked about.

    A gap counts when it is in what the rules judge, or when something was damaged or refused. That a kind of facts was
    not exported at all counts only where a verdict is unknown for want of it.
    """
    tables = _looked_at(judged)
    return [gap.cause for gap in _within_reach(estate, asked) if _matters(gap, *tables)]


def rules_with_gaps(
    estate: Estate, judged: Sequence[tuple[BoundRule, Counts]], asked: frozenset[str] | None = None
) -> frozenset[str]:
    """Return the ids of the rules that a gap keeps from being answered; see ``causes_that_matter``."""
    # One gap of a kind will do: there may be one for each subscription, and thousands of rules.
    gaps = {(gap.table, gap.kind): gap for gap in _within_reach(estate, asked)}.values()
    found = set()
    for rule, counts in judged if gaps else ():
        tables = _looked_at([(rule, counts)])
        if any(_matters(gap, *tables) for gap in gaps):
            found.add(rule.id)
    return frozenset(found)


def _within_reach(estate: Estate, asked: frozenset[str] | None) -> list[Gap]:
    """Return the gaps that reach what was asked about: items in another subscription may belong to its VMs."""
    items = ("protected_items", EVERY_TABLE)
    return [
        gap
        for gap in estate.gaps
        if asked is None or not gap.scope or gap.scope in asked or (estate.reach_all and gap.table in items)
    ]


def _looked_at(judged: Sequence[tuple[BoundRule, Counts]]) -> tuple[set[str], set[str], set[str]]:
    """Return the tables that rules judge, those they look at, and those that they wanted and did not have."""
    subjects = {TABLE_OF[rule.subject] for rule, _ in judged}
    needed: set[str] = set()
    wanting: set[str] = set()
    for rule, counts in judged:
        tables = {TABLE_OF[rule.subject], *known_tables([*fields_of(rule.applies), *fields_of(rule.require)])}
        needed |= tables
        if counts.unknown:
            wanting |= tables
    return subjects, needed, wanting


def _matters(gap: Gap, subjects: set[str], needed: set[str], wanting: set[str]) -> bool:
    if gap.kind == "not-exported":
        return gap.table in subjects or gap.table in wanting
    return gap.table == EVERY_TABLE or gap.table in needed
