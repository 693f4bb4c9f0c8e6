"""What a plan has to know of an estate: VMs to protect, vaults and policies to choose from, and what fails where."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditor.arm_id import ArmId, parse_arm_id
from auditor.assessment.assess import Assessment
from auditor.assessment.engine import column
from auditor.estate.database import Estate
from auditor.remediation.policies import PolicyFacts
from auditor.remediation.verdicts import open_verdicts
from auditor.text import fold

# The rules that say whether a policy is right for a VM.
POLICY_RULES = (
    "policy-runs-per-day",
    "policy-daily-retention",
    "policy-instant-restore-retention",
    "policy-long-term-retention",
    "policy-approved",
)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The failing verdicts that nobody answers for: by rule, the ids of the resources."""

    failing: Mapping[str, Sequence[str]]
    unknown: int

    def of(self, rule: str) -> Sequence[str]:
        """Return the ids of the resources that fail a rule."""
        return self.failing.get(rule, ())


@dataclass(frozen=True, slots=True)
class Vm:
    """A VM without protection, as far as choosing a vault for it needs."""

    id: str
    arm: ArmId
    location: str | None
    state: str | None
    item_id: str | None
    items: int
    moved: bool


@dataclass(slots=True)
class Vault:
    """A vault to choose from; ``vms`` grows with what is planned. ``told`` is what its own answer says of settings."""

    id: str
    location: str | None
    subscription: str
    intent: str | None
    redundancy: str | None
    redundancy_state: str | None
    soft_delete: str | None
    soft_delete_days: float | None
    told: Mapping[str, Any]
    guarded: bool
    vms: int
    other_items: int
    items_known: bool
    planned: bool = False

    @property
    def key(self) -> str:
        """The folded id."""
        return fold(self.id)


@dataclass(frozen=True, slots=True)
class Item:
    """A backup item; of a VM where it says so."""

    id: str
    vm_id: str | None
    state: str | None
    policy: str
    protection_state: str | None = None


@dataclass(slots=True)
class Situation:
    """Everything at once; ids in the order of the inventory."""

    verdicts: Verdicts
    vms: Sequence[Vm]
    vaults: dict[str, Vault]
    policies: dict[str, PolicyFacts]
    policies_of: Mapping[str, Sequence[str]]
    failing_policies: Mapping[str, Sequence[str]]
    doubtful_policies: frozenset[str]
    items_of: Mapping[str, Sequence[Item]]
    item_of_vm: Mapping[str, Item]
    groups: frozenset[str]
    management_groups: Mapping[str, Sequence[str] | None]
    vms_on: dict[str, int] = field(default_factory=dict)


def look(assessment: Assessment, rules: Sequence[str], only: Sequence[str]) -> Situation:
    """Gather what a plan needs.

    Args:
        assessment: what was judged.
        rules: the rules to answer; all of those judged when empty.
        only: folded ids; answers concern these resources, and what lies below them. All when empty.
    """
    estate = assessment.estate
    verdicts = _verdicts(assessment, rules, only)
    policies, policies_of = _policies(estate)
    failing, doubtful = _policy_verdicts(assessment)
    items_of, item_of_vm = _items(estate)
    groups = {key for (key,) in estate.query("SELECT key FROM resource_groups")}
    chains = estate.query("SELECT subscription_id, management_groups FROM subscriptions")
    situation = Situation(
        verdicts=verdicts,
        vms=list(_vms(estate, verdicts.of("vm-protected"))),
        vaults=_vaults(estate),
        policies=policies,
        policies_of=policies_of,
        failing_policies=failing,
        doubtful_policies=doubtful,
        items_of=items_of,
        item_of_vm=item_of_vm,
        groups=frozenset(groups),
        management_groups={subscription: _names(chain) for subscription, chain in chains},
    )
    situation.vms_on = {policy: len(items) for policy, items in items_of.items()}
    return situation


def within(key: str, only: Sequence[str]) -> bool:
    """Tell whether an id is one of these, or below one of them."""
    return not only or any(key == scope or key.startswith(f"{scope}/") for scope in only)


def _verdicts(assessment: Assessment, rules: Sequence[str], only: Sequence[str]) -> Verdicts:
    known = [rule.id for matrix in assessment.matrices for rule in matrix.rules if not rules or rule.id in rules]
    failing: dict[str, list[str]] = {rule: [] for rule in known}
    unknown = 0
    for rule, arm_id, key, letter in open_verdicts(assessment):
        if rule in failing and within(key, only):
            if letter == "f":
                failing[rule].append(arm_id)
            else:
                unknown += 1
    return Verdicts({rule: found for rule, found in failing.items() if found}, unknown)


def _vms(estate: Estate, wanted: Sequence[str]) -> Iterator[Vm]:
    """Yield the VMs that are not protected, with the item that counts and how many there are."""
    if not wanted:
        return
    rows = estate.query(
        "SELECT vm.id, vm.location, item.state, item.id, coalesce(c.items, 0), vm.moved_note IS NOT NULL"
        " FROM vm JOIN vm_item AS item ON item.of_vm = vm.n"
        " LEFT JOIN (SELECT vm_n, count(*) AS items FROM item_states WHERE maybe_vm GROUP BY vm_n) c ON c.vm_n = vm.n"
        " WHERE vm.key IN (SELECT unnest(CAST(CAST(? AS JSON) AS VARCHAR[]))) ORDER BY vm.n",
        [json.dumps([fold(arm_id) for arm_id in wanted])],
    )
    for arm_id, location, state, item_id, items, moved in rows:
        parsed = parse_arm_id(arm_id)
        if parsed is not None:
            yield Vm(arm_id, parsed, location, state, item_id, items, moved)


def _vaults(estate: Estate) -> dict[str, Vault]:
    rows = estate.query(
        "SELECT v.key, v.id, v.location, v.subscription_id, v.intent, v.redundancy, v.redundancy_state, v.soft_delete,"
        " v.soft_delete_days, {'softDeleteState': v.declared_soft_delete, 'softDeleteRetentionPeriodInDays':"
        " v.declared_soft_delete_days, 'immutability': v.immutability, 'alertsForAllJobFailures': v.failure_alerts,"
        " 'crossRegionRestore': v.cross_region_restore}, coalesce(v.multi_user_authorization = 'Enabled', FALSE),"
        " coalesce(c.vms, 0), coalesce(c.others, 0), v.items_known"
        " FROM (SELECT *, holds_no_vm_backup OR EXISTS (SELECT 1 FROM item_states i WHERE i.vault_n = vault.n)"
        " AS items_known FROM vault) v"
        " LEFT JOIN (SELECT vault_n, count(*) FILTER (maybe_vm) AS vms, count(*) FILTER (NOT maybe_vm) AS others"
        " FROM item_states GROUP BY vault_n) c ON c.vault_n = v.n ORDER BY v.n"
    )
    return {key: Vault(*values) for key, *values in rows}


# What a policy that is written anew takes over from the old one.
_WHOLE = (
    "type",
    "instant_restore_days",
    "time_zone",
    "snapshot_consistency",
    "tiering_policy",
    "instant_restore_groups",
)


def _policies(estate: Estate) -> tuple[dict[str, PolicyFacts], dict[str, list[str]]]:
    bad = " OR ".join(f"is_bad(p.bad, '{name}')" for name in _WHOLE)
    rows = estate.query(
        "SELECT p.key, p.id, p.name, p.type, p.schedule_policy, p.retention_policy, p.instant_restore_days,"
        " p.time_zone, p.snapshot_consistency, p.tiering_policy, p.instant_restore_groups,"
        f" NOT ({bad}), f.protected_items_count, u.key"
        " FROM policy p LEFT JOIN vaults u ON u.n = p.vault_n"
        " LEFT JOIN backup_policies f ON f.key = p.key WHERE p.management_type = 'AzureIaasVM' ORDER BY p.n"
    )
    found: dict[str, PolicyFacts] = {}
    by_vault: defaultdict[str, list[str]] = defaultdict(list)
    for (
        key,
        arm_id,
        name,
        kind,
        schedule,
        retention,
        days,
        zone,
        consistency,
        tiering,
        groups,
        known,
        count,
        vault,
    ) in rows:
        found[key] = PolicyFacts(
            arm_id,
            name,
            kind,
            _object(schedule),
            _object(retention),
            days,
            zone,
            consistency,
            _object(tiering),
            _object(groups),
            known,
            count,
        )
        if vault is not None:
            by_vault[vault].append(key)
    return found, by_vault


def _policy_verdicts(assessment: Assessment) -> tuple[dict[str, list[str]], frozenset[str]]:
    """Return by policy the rules that it fails, and the policies of which something is not known."""
    failing: defaultdict[str, list[str]] = defaultdict(list)
    doubtful = set()
    for matrix in assessment.matrices:
        if matrix.subject != "policy":
            continue
        for rule in matrix.rules:
            letter = f"v.{column(rule.id)}"
            rows = assessment.estate.query(
                f"SELECT s.key, {letter} FROM {matrix.table} v JOIN policy s ON s.n = v.n"
                f" WHERE {letter} IN ('f', 'u') ORDER BY s.n"
            )
            for key, outcome in rows:
                if outcome == "f":
                    failing[key].append(rule.id)
                else:
                    doubtful.add(key)
    return failing, frozenset(doubtful)


def _items(estate: Estate) -> tuple[dict[str, list[Item]], dict[str, Item]]:
    """Return all items by policy, whatever they are and are in, and the live ones by VM."""
    rows = estate.query(
        "SELECT i.id, i.vm_id, i.state, p.key, i.vm_id_key, i.protection_state,"
        " l.item_n IS NOT NULL AND i.kind = 'vm' AND i.state IS NOT NULL AND i.vm_id IS NOT NULL FROM items i"
        " LEFT JOIN backup_policies p ON p.n = i.policy_id_n LEFT JOIN live l ON l.item_n = i.n ORDER BY i.n"
    )
    by_policy: defaultdict[str, list[Item]] = defaultdict(list)
    by_vm: dict[str, Item] = {}
    for arm_id, vm_id, state, policy, vm_key, said, counts in rows:
        item = Item(arm_id, vm_id, state, policy or "", said)
        if counts:
            by_vm[vm_key] = item
        if policy is not None:
            by_policy[policy].append(item)
    return by_policy, by_vm


def _object(text: str | None) -> dict[str, Any] | None:
    value = json.loads(text) if text is not None else None
    return value if isinstance(value, dict) else None


def _names(chain: str | None) -> Sequence[str] | None:
    entries = json.loads(chain) if chain is not None else None
    if not isinstance(entries, list):
        return None
    names = [entry.get("name") for entry in entries if isinstance(entry, dict)]
    return [fold(name) for name in names if isinstance(name, str)]
