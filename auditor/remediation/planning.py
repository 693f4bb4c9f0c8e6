"""Failing verdicts -> steps, each with its guards; whatever no step should do by itself becomes a recipe for people."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from auditor.declared.config import Remediation
from auditor.declared.intents import IntentMap
from auditor.estate.regions import UNPAIRED_REGIONS
from auditor.remediation import requests
from auditor.remediation.model import ENHANCED, IMMUTABILITY_LAST, ORDER, Answer, PlanOptions, Step, step_id
from auditor.remediation.placement import MOST_POLICIES, Place, Placement, redundancy_of
from auditor.remediation.policies import PolicyFacts, becomes_enhanced, runs_of, serves, strengthened, weakenings
from auditor.remediation.recipes import LOCKED_REDUNDANCY, RESUME, recipe_of
from auditor.remediation.situation import Item, Situation, Vault, Vm, within
from auditor.text import fold

Json = dict[str, Any]
_BACKUPS = ("backup-on-schedule", "backup-within-rpo", "last-backup-succeeded")
_POLICIES = (
    "policy-runs-per-day",
    "policy-daily-retention",
    "policy-instant-restore-retention",
    "policy-long-term-retention",
)
_WELL = ("protected", "initial-backup-pending")  # states in which an item does what it is told
_BACKUP_ROLE = "Backup Contributor on the vault or its resource group"
_FEE = "a protected-instance fee and storage for each VM"
_MULTIPLIER = {"LocallyRedundant": "1", "ZoneRedundant": "1.25", "GeoRedundant": "2"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the rules a plan goes by: their parameters in force, and how each says to fix what it found."""

    parameters: Mapping[str, Mapping[str, Any]]
    fixes: Mapping[str, str]

    def value(self, rule: str, name: str, default: Any) -> Any:  # noqa: ANN401 -- a parameter is of any type
        """Return a parameter of a rule that was judged, else a default."""
        return self.parameters.get(rule, {}).get(name, default)


@dataclass(slots=True)
class Planner:
    """Makes the steps of one plan."""

    situation: Situation
    settings: Remediation
    options: PlanOptions
    rules: Rules
    intents: IntentMap
    _steps: dict[str, Step] = field(default_factory=dict)
    _manual: dict[tuple[str, str, tuple[str, ...]], list[Answer]] = field(default_factory=dict)
    _places: set[str] = field(default_factory=set)

    def steps(self) -> list[Step]:
        """Return all steps, in the order in which they are to be done."""
        self._redundancy()  # first: a vault that is put right may take VMs
        self._protect()
        self._replace_policies()
        self._vault_settings()
        self._backups()
        self._by_hand()
        manual = [self._manual_step(*key, answers) for key, answers in sorted(self._manual.items())]
        return ordered([*self._steps.values(), *manual])

    # What is not protected

    def _protect(self) -> None:
        placement = Placement(self.situation, self.settings, self.intents, self._accepted())
        for vm in self.situation.vms:
            answer = Answer(rule="vm-protected", resource=vm.id)
            if vm.items or vm.item_id is not None or vm.state != "none":
                self._resume(vm, answer)
                continue
            place = placement.of(vm)
            if isinstance(place, str):
                self._leave("vm-protected", place, ["See docs/remediation.md for what a plan needs to know."], answer)
                continue
            self._enable(vm, place, answer)

    def _accepted(self) -> dict[str, list[str]]:
        """Return the redundancies that serve each intent, as the rule has it."""
        rule = "vault-redundancy-matches-intent"
        return {
            "azure": self.rules.value(rule, "accept_geo", ["GeoRedundant", "ReadAccessGeoZoneRedundant"]),
            "other": self.rules.value(rule, "accept_local", ["LocallyRedundant"]),
            "zone": self.rules.value(rule, "accept_zone", ["ZoneRedundant", "ReadAccessGeoZoneRedundant"]),
        }

    def _resume(self, vm: Vm, answer: Answer) -> None:
        if vm.state in ("initial-backup-pending", "protected"):
            item = self.situation.item_of_vm.get(fold(vm.id))
            if self.options.trigger_backup and item is not None:
                self._trigger(item, [answer])
                return
            why = "protection is configured and its first backup is overdue"
            self._leave("vm-protected", why, recipe_of("backup-on-schedule", ""), answer)
            return
        why = f"there is a backup item already ({vm.state or 'its state is not known'}): it is never enabled over"
        self._leave("vm-protected", why, list(RESUME), answer)

    def _enable(self, vm: Vm, place: Place, answer: Answer) -> None:
        self._vault(place)
        self._policy(place)
        item = requests.item_id_of(place.vault.id, vm.arm)
        request = requests.put_item(item, vm.id, place.policy_id)
        notes = ["A VM of the same name was protected before: its old item stays as it is."] if vm.moved else []
        step = Step(
            id=step_id("EnableProtection", item, request),
            kind="EnableProtection",
            target=item,
            title=f"Protect {vm.arm.name} in {_name(place.vault.id)} by {_name(place.policy_id)}",
            answers=[answer],
            request=request,
            preconditions=[
                requests.absent(item, requests.BACKUP_VERSION),
                requests.there(vm.id, requests.COMPUTE_VERSION),
            ],
            before=None,
            after={"sourceResourceId": vm.id, "policyId": place.policy_id, "protectionState": "IRPending"},
            permission=f"{_BACKUP_ROLE}, and Microsoft.Compute/virtualMachines/write on the VM",
            reversibility="stop protection and keep the data: az backup protection disable",
            cost=_FEE,
            notes=notes,
        )
        self._add(step)
        if self.options.trigger_backup:
            self._trigger(Item(item, vm.id, "initial-backup-pending", place.policy_id), [answer])

    def _vault(self, place: Place) -> None:
        """Plan the vault of a place, where it is to be created."""
        vault = place.vault
        if not vault.planned or vault.key in self._places:
            return
        template = self.settings.vault
        body = requests.vault_body(str(vault.location), str(vault.redundancy), template, dict(template.tags))
        request = requests.create_vault(vault.id, body)
        step = Step(
            id=step_id("CreateVault", vault.id, request),
            kind="CreateVault",
            target=vault.id,
            title=f"Create vault {_name(vault.id)} in {vault.location}, {vault.redundancy}",
            answers=[],
            request=request,
            preconditions=[requests.absent(vault.id, requests.VAULT_VERSION)],
            after=body,
            permission="Backup Contributor on the resource group",
            reversibility="delete it while it is empty",
            cost=f"none while empty; storage then costs {_MULTIPLIER[str(vault.redundancy)]} x local redundancy",
            notes=[f"It is for {place.why}. Azure locks the redundancy once the vault holds an item."],
        )
        self._places.add(vault.key)
        self._add(step)

    def _policy(self, place: Place) -> None:
        """Plan the policy of a place, where it is to be defined."""
        if place.policy is not None and fold(place.policy_id) not in self._places:
            self._places.add(fold(place.policy_id))
            self._add(self._define(place.policy_id, place.policy, []))

    def _define(self, policy_id: str, properties: Json, answers: list[Answer]) -> Step:
        request = requests.put_policy(policy_id, properties)
        return Step(
            id=step_id("DefinePolicy", policy_id, request),
            kind="DefinePolicy",
            target=policy_id,
            title=f"Define policy {_name(policy_id)} in {policy_id.split('/')[8]}: {runs_of(properties)}",
            answers=answers,
            request=request,
            preconditions=[requests.absent(policy_id, requests.BACKUP_VERSION)],
            after=properties,
            permission=_BACKUP_ROLE,
            reversibility="delete it while no item is on it",
            cost=f"none by itself; snapshots are kept for {properties['instantRpRetentionRangeInDays']} days",
        )

    # Policies that fail

    def _replace_policies(self) -> None:
        failing = {rule: {fold(arm_id) for arm_id in self.situation.verdicts.of(rule)} for rule in _POLICIES}
        wanted = set().union(*failing.values())
        for key in (key for key in self.situation.policies if key in wanted):
            old = self.situation.policies[key]
            answers = [Answer(rule=rule, resource=old.id) for rule in _POLICIES if key in failing[rule]]
            new = strengthened(old, self.settings.policy, [answer.rule for answer in answers])
            if isinstance(new, str):
                self._leave_all(answers, new)
                continue
            if becomes_enhanced(old, new) and ENHANCED not in self.options.allow_one_way:
                why = f"an enhanced policy can never be taken back: only with --allow-one-way {ENHANCED}"
                self._leave_all(answers, why)
                continue
            less = weakenings(old, new)
            if less and not self.options.allow_reduce:
                self._leave_all(answers, f"only with --allow-reduce: {'; '.join(less)}")
                continue
            self._replace(key, new, less, answers)

    def _replace(self, key: str, new: Json, less: Sequence[str], answers: list[Answer]) -> None:
        """Edit a policy where that was asked for, or define another and let its items go over one by one."""
        old = self.situation.policies[key]
        items = self.situation.items_of.get(key, ())
        risks = [f"weaker: {entry}" for entry in less]
        if becomes_enhanced(old, new):
            risks.append("it can never be taken back: what an enhanced policy protects stays on enhanced ones")
        vault = self.situation.vaults.get(vault_key(old.id))
        outside = [item for item in items if not self._in_scope(item)]
        unsure = [item for item in items if item.vm_id is None or item.state is None]
        if less and vault is not None and vault.guarded:
            self._leave_all(answers, f"a Resource Guard has to agree, for it gets weaker: {'; '.join(less)}")
            return
        if unsure or len(items) < (old.items or 0):
            missing = max(len(unsure), (old.items or 0) - len(items))
            self._leave_all(answers, f"of {missing} items on it is not known what they are")
            return
        if outside:
            why = f"{len(outside)} items on it are out of what --only names, such as {_name(outside[0].id)}"
            self._leave_all(answers, why)
            return
        if self.options.edit_policies:
            self._add(self._edited(key, new, answers, risks, [item.id for item in items]))
            return
        unwell = [item for item in items if item.state not in _WELL]
        if unwell or not items:
            why = f"{len(unwell)} items on it are not well ({unwell[0].state})" if unwell else "no item is on it"
            self._leave_all(answers, f"{why}: they do not go over to another policy by themselves")
            return
        name = f"{old.name[:60]}-{step_id('DefinePolicy', old.id, None, new)[-6:]}"
        policy_id = f"{old.id.rpartition('/')[0]}/{name}"
        there = self.situation.policies.get(fold(policy_id))
        if there is not None and not serves(there, new):
            self._leave_all(answers, f"a policy {name} is there already, and is another one")
            return
        if there is None and len(self.situation.policies_of.get(vault_key(old.id), ())) >= MOST_POLICIES:
            self._leave_all(answers, f"its vault has {MOST_POLICIES} policies, and Azure takes no more")
            return
        if there is None:  # else a plan that was half done left it
            self._add(self._define(policy_id, new, []))
        for item in items:
            self._add(self._assign(item, old, policy_id, answers, risks, never=becomes_enhanced(old, new)))

    def _in_scope(self, item: Item) -> bool:
        only = [fold(scope) for scope in self.options.only]
        return within(fold(item.vm_id or ""), only) or within(fold(item.id), only)

    def _edited(self, key: str, new: Json, answers: list[Answer], risks: list[str], items: list[str]) -> Step:
        old = self.situation.policies[key]
        request = requests.put_policy(old.id, new)
        before = {
            "schedulePolicy": old.schedule,
            "retentionPolicy": old.retention,
            "timeZone": old.time_zone,
            "instantRpRetentionRangeInDays": old.instant_restore_days,
            "tieringPolicy": old.tiering,
            "instantRPDetails": old.instant_restore_groups,
            **({"protectedItemsCount": old.items} if old.items is not None else {}),
        }
        return Step(
            id=step_id("DefinePolicy", old.id, request),
            kind="DefinePolicy",
            target=old.id,
            title=f"Edit policy {old.name}, which {len(items)} items are on: {runs_of(new)}",
            answers=answers,
            request=request,
            preconditions=[requests.still(old.id, requests.BACKUP_VERSION, **before)],
            before=before,
            after=new,
            permission=_BACKUP_ROLE,
            reversibility=(
                _NEVER
                if becomes_enhanced(old, new)
                else "write the old schedule and retention back; points that expired meanwhile are gone"
            ),
            cost="storage of what is kept longer",
            risks=[*risks, "it changes the retention of recovery points that exist"],
            affects=items,
        )

    def _assign(
        self, item: Item, old: PolicyFacts, new: str, answers: list[Answer], risks: list[str], *, never: bool
    ) -> Step:
        assert item.vm_id is not None
        request = requests.put_item(item.id, item.vm_id, new)
        return Step(
            id=step_id("AssignPolicy", item.id, request),
            kind="AssignPolicy",
            target=item.id,
            title=f"Let {_name(new)} back up {_name(item.vm_id)} instead of {old.name}",
            answers=answers,
            request=request,
            preconditions=[requests.still(item.id, requests.BACKUP_VERSION, policyId=old.id)],
            before={"policyId": old.id},
            after={"policyId": new},
            permission=_BACKUP_ROLE,
            reversibility=_NEVER if never else "assign the old policy again; points that expired meanwhile are gone",
            cost="storage of what is kept longer, and of more backups",
            risks=risks,
        )

    # Vaults that fail

    def _redundancy(self) -> None:
        for arm_id in self.situation.verdicts.of("vault-redundancy-matches-intent"):
            vault = self.situation.vaults[fold(arm_id)]
            answer = Answer(rule="vault-redundancy-matches-intent", resource=arm_id)
            wanted = redundancy_of(vault.intent, self._accepted())
            if wanted is None or (wanted == "GeoRedundant" and vault.location in UNPAIRED_REGIONS):
                why = "nobody declared what it is for" if wanted is None else "its region has no pair"
                self._leave(answer.rule, why, list(LOCKED_REDUNDANCY[2:]), answer)
            elif vault.vms or vault.other_items or vault.redundancy_state == "Locked":
                self._leave(answer.rule, "it holds items, so its redundancy is locked", list(LOCKED_REDUNDANCY), answer)
            elif not vault.items_known:
                why = "whether it holds items, which would lock its redundancy, is not known"
                self._leave(answer.rule, why, list(LOCKED_REDUNDANCY), answer)
            elif vault.told.get("crossRegionRestore") == "Enabled" and wanted not in _GEO:
                why = "cross-region restore is on, which Azure does not take back, and it needs geo-redundancy"
                self._leave(answer.rule, why, list(LOCKED_REDUNDANCY[2:]), answer)
            elif _weaker(wanted, vault.redundancy) and not self.options.allow_reduce:
                why = f"only with --allow-reduce: {wanted} instead of {vault.redundancy}"
                self._leave(answer.rule, why, ["Ask whether the stronger redundancy is wanted; it costs more."], answer)
            else:
                self._set_redundancy(vault, wanted, answer)

    def _set_redundancy(self, vault: Vault, wanted: str, answer: Answer) -> None:
        settings = {"standardTierStorageRedundancy": wanted}
        config = f"{vault.id}/backupstorageconfig/vaultstorageconfig"
        request = requests.change_vault(vault.id, {"redundancySettings": settings})
        weaker = _weaker(wanted, vault.redundancy)
        self._add(
            Step(
                id=step_id("SetRedundancy", vault.id, request),
                kind="SetRedundancy",
                target=vault.id,
                title=f"Make {_name(vault.id)} {wanted} instead of {vault.redundancy}",
                answers=[answer],
                request=request,
                preconditions=[requests.still(config, requests.BACKUP_VERSION, storageTypeState="Unlocked")],
                before={"redundancy": vault.redundancy},
                after={"redundancy": wanted},
                permission="Backup Contributor on the vault",
                reversibility="the same way, as long as the vault holds no item",
                cost=f"storage costs {_MULTIPLIER[wanted]} x local redundancy",
                risks=[f"weaker: {wanted} instead of {vault.redundancy}"] if weaker else [],
            )
        )
        vault.redundancy = wanted

    def _vault_settings(self) -> None:
        failing: defaultdict[str, set[str]] = defaultdict(set)
        for rule in _SETTINGS:
            for arm_id in self.situation.verdicts.of(rule):
                failing[fold(arm_id)].add(rule)
        for key in (key for key in self.situation.vaults if key in failing):
            vault, here = self.situation.vaults[key], failing[key]
            properties: Json = {}
            before: Json = {}
            answers = []
            for rule, setting in (
                ("vault-soft-delete", self._soft_delete),
                ("vault-failure-alerts", self._alerts),
                ("vault-cross-region-restore", self._cross_region),
            ):
                answer = Answer(rule=rule, resource=vault.id)
                if rule in here and setting(vault, answer, properties, before):
                    answers.append(answer)
            if answers:
                self._change(vault, properties, before, answers)
            if "vault-immutability" in here:
                self._immutable(vault, Answer(rule="vault-immutability", resource=vault.id))

    def _soft_delete(self, vault: Vault, answer: Answer, properties: Json, before: Json) -> bool:
        always = bool(self.rules.value(answer.rule, "require_always_on", default=False))
        if always and not self._allowed("always-on-soft-delete", "soft delete that is always on", answer):
            return False
        days = max(int(vault.soft_delete_days or 0), int(self.rules.value(answer.rule, "days", 14)), 14)
        if days > _LONGEST_SOFT_DELETE:
            why = f"Azure keeps what was deleted for {_LONGEST_SOFT_DELETE} days at most, not for {days}"
            self._leave(answer.rule, why, recipe_of(answer.rule, self.rules.fixes.get(answer.rule, "")), answer)
            return False
        state = "AlwaysON" if always or vault.soft_delete == "AlwaysOn" else "Enabled"  # as Azure's schema spells it
        settings = {"softDeleteState": state, "softDeleteRetentionPeriodInDays": days}
        properties["securitySettings"] = {"softDeleteSettings": settings}
        before |= _told(vault, "softDeleteState", "softDeleteRetentionPeriodInDays")
        return True

    def _alerts(self, vault: Vault, _answer: Answer, properties: Json, before: Json) -> bool:
        alerts = {"azureMonitorAlertSettings": {"alertsForAllJobFailures": "Enabled"}}
        properties["monitoringSettings"] = alerts
        before |= _told(vault, "alertsForAllJobFailures")
        return True

    def _cross_region(self, vault: Vault, answer: Answer, properties: Json, before: Json) -> bool:
        if not self._allowed("cross-region-restore", "cross-region restore", answer):
            return False
        properties["redundancySettings"] = {
            "standardTierStorageRedundancy": vault.redundancy,
            "crossRegionRestore": "Enabled",
        }
        before |= {**_told(vault, "crossRegionRestore"), _REDUNDANCY_POINTER: vault.redundancy}
        return True

    def _change(self, vault: Vault, properties: Json, before: Json, answers: list[Answer]) -> None:
        words = [_SETTINGS[answer.rule] for answer in answers]
        self._guard(vault, properties, before, answers, f"Guard {_name(vault.id)}: {', '.join(words)}")

    def _guard(self, vault: Vault, properties: Json, before: Json, answers: list[Answer], title: str) -> None:
        request = requests.change_vault(vault.id, properties)
        rules = {answer.rule for answer in answers}
        never = _never(properties)
        known = {pointer: value for pointer, value in before.items() if not vault.planned}
        self._add(
            Step(
                id=step_id("SetVaultProtection", vault.id, request),
                kind="SetVaultProtection",
                target=vault.id,
                title=title,
                answers=answers,
                request=request,
                preconditions=[requests.has(vault.id, requests.VAULT_VERSION, known)] if known else [],
                before=before,
                after=properties,
                permission="Backup Contributor on the vault",
                reversibility=never or "set it back by hand; where Azure enforces soft delete it stays on",
                cost="; ".join(cost for rule, cost in _SETTING_COSTS.items() if rule in rules),
                risks=[
                    *(["it can never be taken back"] if never else []),
                    *(_IMMUTABLE_RISK if "vault-immutability" in rules else []),
                ],
            )
        )

    def _immutable(self, vault: Vault, answer: Answer) -> None:
        """Make a vault immutable, reversibly; that comes last, once all else is done in it."""
        locked = bool(self.rules.value(answer.rule, "require_locked", default=False))
        if locked and not self._allowed("locked-immutability", "immutability that is locked", answer):
            return
        word = "Locked" if locked else "Unlocked"
        state = {"securitySettings": {"immutabilitySettings": {"state": word}}}
        how = "for ever: it cannot be switched off again" if locked else "Unlocked: it can be switched off again"
        title = f"Make {_name(vault.id)} immutable ({how})"
        self._guard(vault, state, _told(vault, "immutability"), [answer], title)

    def _allowed(self, word: str, what: str, answer: Answer) -> bool:
        """Whether something that cannot be taken back may be planned; where it may not, people are told how."""
        if word in self.options.allow_one_way:
            return True
        recipe = [f"Try it reversibly first, where it can be. Then plan it with --allow-one-way {word}."]
        self._leave(answer.rule, f"{what} can never be taken back", recipe, answer)
        return False

    # Backups that are late or failed

    def _backups(self) -> None:
        late: defaultdict[str, list[Answer]] = defaultdict(list)
        for rule in _BACKUPS:
            for arm_id in self.situation.verdicts.of(rule):
                late[fold(arm_id)].append(Answer(rule=rule, resource=arm_id))
        for key, answers in late.items():
            item = self.situation.item_of_vm.get(key)
            if (
                self.options.trigger_backup
                and item is not None
                and item.state in ("protected", "initial-backup-pending")
            ):
                self._trigger(item, answers)
            else:
                for answer in answers:
                    why = "a backup is due or failed" if item is not None else "it has no live item"
                    self._leave(answer.rule, why, recipe_of(answer.rule, ""), answer)

    def _trigger(self, item: Item, answers: list[Answer]) -> None:
        request = requests.trigger(item.id)
        assert item.vm_id is not None
        state = item.protection_state or ("IRPending" if item.state == "initial-backup-pending" else "Protected")
        self._add(
            Step(
                id=step_id("TriggerBackup", item.id, request),
                kind="TriggerBackup",
                target=item.id,
                title=f"Back up {_name(item.vm_id)} now",
                answers=answers,
                request=request,
                preconditions=[requests.still(item.id, requests.BACKUP_VERSION, protectionState=state)],
                before={"protectionState": state},
                after={"job": "Backup"},
                permission="Backup Operator or Backup Contributor on the vault",
                reversibility="none needed; the recovery point is kept for 30 days",
                cost="storage of one more recovery point",
                notes=["It is sent once: where no answer comes, the job is looked for and not started again."],
            )
        )

    # Everything else

    def _by_hand(self) -> None:
        done = {
            "vm-protected",
            "vault-redundancy-matches-intent",
            *_SETTINGS,
            *_POLICIES,
            *_BACKUPS,
            "vault-immutability",
        }
        for rule, resources in self.situation.verdicts.failing.items():
            if rule not in done:
                for arm_id in resources:
                    answer = Answer(rule=rule, resource=arm_id)
                    self._leave(rule, "by hand", recipe_of(rule, self.rules.fixes.get(rule, "")), answer)

    def _leave_all(self, answers: Sequence[Answer], why: str) -> None:
        for answer in answers:
            self._leave(answer.rule, why, recipe_of(answer.rule, self.rules.fixes.get(answer.rule, "")), answer)

    def _leave(self, rule: str, why: str, recipe: Sequence[str], answer: Answer) -> None:
        self._manual.setdefault((rule, why, tuple(recipe)), []).append(answer)

    def _manual_step(self, rule: str, why: str, recipe: Sequence[str], answers: list[Answer]) -> Step:
        names = sorted(fold(answer.resource) for answer in answers)
        several = f"{len(answers):,} resources" if len(answers) > 1 else _name(answers[0].resource)
        return Step(
            id=step_id("Manual", rule, None, [why, names]),
            kind="Manual",
            target=answers[0].resource,
            title=f"{rule} on {several}: {why}",
            answers=answers,
            recipe=list(recipe),
        )

    def _add(self, step: Step) -> None:
        held = self._steps.get(step.id)
        if held is not None:  # two rules ask for the same
            more = [answer for answer in step.answers if answer not in held.answers]
            step = msgspec.structs.replace(held, answers=[*held.answers, *more])
        self._steps[step.id] = step


_SETTINGS = {
    "vault-soft-delete": "soft delete",
    "vault-failure-alerts": "alerts for failed jobs",
    "vault-cross-region-restore": "cross-region restore",
    "vault-immutability": "immutability",
}
_SETTING_COSTS = {
    "vault-soft-delete": "deleted backups are stored for the days of soft delete; the first 14 are free",
    "vault-failure-alerts": "alerts are free; who is notified may cost",
    "vault-cross-region-restore": "storage costs what read access to the second region adds",
    "vault-immutability": "nothing by itself; what cannot be deleted is paid for until it expires",
}
_NEVER = "never: Azure does not take it back"
_IMMUTABLE_RISK = ("while it is on, recovery points cannot be deleted before they expire",)
# Where a vault's own answer says each of its settings.
_POINTERS = {
    "softDeleteState": "/properties/securitySettings/softDeleteSettings/softDeleteState",
    "softDeleteRetentionPeriodInDays": (
        "/properties/securitySettings/softDeleteSettings/softDeleteRetentionPeriodInDays"
    ),
    "immutability": "/properties/securitySettings/immutabilitySettings/state",
    "alertsForAllJobFailures": "/properties/monitoringSettings/azureMonitorAlertSettings/alertsForAllJobFailures",
    "crossRegionRestore": "/properties/redundancySettings/crossRegionRestore",
}
_GEO = ("GeoRedundant", "ReadAccessGeoZoneRedundant")
_REDUNDANCY_POINTER = "/properties/redundancySettings/standardTierStorageRedundancy"
_LONGEST_SOFT_DELETE = 180  # days: https://learn.microsoft.com/azure/backup/secure-by-default
_STRENGTH = {"LocallyRedundant": 0, "ZoneRedundant": 1, "GeoRedundant": 2, "ReadAccessGeoZoneRedundant": 3}


def by_hand(step: Step, why: str) -> Step:
    """Return what is left to people of a step that cannot be done."""
    what = step.title[:1].lower() + step.title[1:]
    return Step(
        id=step_id("Manual", step.target, None, [step.id, why]),
        kind="Manual",
        target=step.target,
        title=f"{step.title}: {why}",
        answers=step.answers,
        recipe=[f"Clear what is in the way ({why}), then plan again, or {what} by hand."],
    )


def ordered(steps: Iterable[Step]) -> list[Step]:
    """Return steps in the order in which they are to be done."""
    return sorted(steps, key=lambda step: (_place(step), fold(step.target), step.id))


def linked(steps: Iterable[Step]) -> list[Step]:
    """Return steps in order, each with those it depends on: what it is done in, or with, has to be there first."""
    listed = ordered(steps)
    made = {fold(step.target): step.id for step in listed if step.kind in ("CreateVault", "DefinePolicy")}
    registered = {fold(step.target): step.id for step in listed if step.kind == "RegisterProvider"}
    right = {fold(step.target): step.id for step in listed if step.kind == "SetRedundancy"}
    enabled = {fold(step.target): step.id for step in listed if step.kind == "EnableProtection"}
    in_vault: defaultdict[str, list[str]] = defaultdict(list)
    found = []
    for step in listed:
        vault, target = vault_key(step.target), fold(step.target)
        subscription = "/".join(target.split("/")[:3])
        needs = {
            registered.get(subscription) if target != subscription else None,
            made.get(vault),
            made.get(_policy_key(step)),
            right.get(vault),
        }
        if step.kind == "TriggerBackup":
            needs.add(enabled.get(target))
        if _is_immutability(step):
            needs |= set(in_vault[vault])
        needs -= {None, step.id}
        in_vault[vault].append(step.id)
        found.append(msgspec.structs.replace(step, depends_on=sorted(str(entry) for entry in needs)))
    return found


def _policy_key(step: Step) -> str:
    body = step.request.body if step.request is not None else None
    policy = (body or {}).get("properties", {}).get("policyId")
    return fold(policy) if isinstance(policy, str) else ""


def _place(step: Step) -> int:
    return IMMUTABILITY_LAST if _is_immutability(step) else ORDER[step.kind]


def _is_immutability(step: Step) -> bool:
    return step.kind == "SetVaultProtection" and "immutabilitySettings" in str(step.after)


def vault_key(arm_id: str) -> str:
    """Return the folded id of the vault that something is in, or is."""
    return "/".join(fold(arm_id).split("/")[:9])


def _told(vault: Vault, *names: str) -> Json:
    """Return what a vault's own answer says of settings, by JSON pointer; null where it says nothing."""
    values = {name: vault.told.get(name) for name in names}
    return {_POINTERS[name]: int(value) if isinstance(value, float) else value for name, value in values.items()}


def _never(properties: Mapping[str, Any]) -> str:
    """Say so where settings can never be taken back."""
    text = str(properties)
    one_way = "'AlwaysON'" in text or "'Locked'" in text or "'crossRegionRestore': 'Enabled'" in text
    return _NEVER if one_way else ""


def _weaker(wanted: str, held: str | None) -> bool:
    return held is None or _STRENGTH.get(wanted, 0) < _STRENGTH.get(held, 0)


def _name(arm_id: str) -> str:
    return arm_id.rpartition("/")[2]
