"""Steps -> the inventory as they would leave it, and what the rules say of it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from auditor.arm_id import parse_arm_id
from auditor.assessment.assess import Assessment
from auditor.assessment.engine import column
from auditor.inventory.decode import decode_row
from auditor.inventory.facts import Change
from auditor.inventory.spool import Spool
from auditor.inventory.tables import TABLE_OF_TYPE
from auditor.remediation.model import Answer, Projection, Step
from auditor.text import fold
from auditor.timestamps import show_time

Json = dict[str, Any]
Verdict = tuple[str, str]
SOURCE = "plan"
_VAULT = "Microsoft.RecoveryServices/vaults"
_ITEM = f"{_VAULT}/backupFabrics/protectionContainers/protectedItems"


def change_of(steps: Iterable[Step], folder: Path, now: int, *, backed_up: bool) -> Change:
    """Return what the steps would change.

    Args:
        steps: those that a program does.
        folder: for the rows of what is added; it must be empty, and outlive the change.
        now: microseconds since 1970 UTC.
        backed_up: each new item had its first backup, and each backup that is triggered succeeded.
    """
    changer = _Changer(now, backed_up)
    for step in steps:
        changer.take(step)
    with Spool(folder) as spool:
        for resource in changer.added.values():
            arm_id = parse_arm_id(resource["id"])
            if arm_id is not None:
                table = TABLE_OF_TYPE[fold(resource["type"])]
                spool.add(table.name, [decode_row(resource, arm_id, table, SOURCE)])
    updates = {
        table: [(dict(values), keys) for values, keys in by_values.items()]
        for table, by_values in changer.updates.items()
    }
    return Change(spool.paths, spool.longest, updates)


class _Changer:
    """Gathers new resources, and new values of those that are there."""

    def __init__(self, now: int, backed_up: bool) -> None:  # noqa: FBT001 -- two words for one thing
        self.now = now
        self.backed_up = backed_up
        self.added: dict[str, Json] = {}
        self.updates: defaultdict[str, dict[tuple[tuple[str, Any], ...], list[str]]] = defaultdict(dict)

    def take(self, step: Step) -> None:
        match step.kind:
            case "CreateVault":
                assert step.request is not None
                body = msgspec.json.decode(msgspec.json.encode(step.request.body), type=dict[str, Any])
                # What Azure gives a vault of which nothing else was said.
                security = body["properties"].setdefault("securitySettings", {})
                security.setdefault("immutabilitySettings", {"state": "Disabled"})
                self.added[fold(step.target)] = {"id": step.target, "type": _VAULT, **body}
            case "DefinePolicy":
                self._policy(step)
            case "AssignPolicy":
                policy = str((step.after or {})["policyId"])
                self._update("protected_items", step.target, policy_id=policy, policy_id_key=fold(policy))
                # All items of a policy go over, or none.
                self._update("backup_policies", str((step.before or {})["policyId"]), protected_items_count=0)
            case "EnableProtection":
                self._protect(step)
            case "TriggerBackup":
                self._back_up(step)
            case "SetRedundancy":
                redundancy = (step.after or {})["redundancy"]
                self._update("vaults", step.target, declared_redundancy=redundancy)
                config = f"{step.target}/backupstorageconfig/vaultstorageconfig"
                self._update("storage_configs", config, model_type=redundancy, storage_type=redundancy)
            case "SetVaultProtection":
                self._guard(step.target, step.after or {})
            case "RegisterProvider" | "Manual":
                pass

    def _policy(self, step: Step) -> None:
        properties = step.after or {}
        if step.before is None:
            self.added[fold(step.target)] = {
                "id": step.target,
                "type": f"{_VAULT}/backupPolicies",
                "properties": properties,
            }
            return
        texts = {name: _text(properties[path]) for name, path in _POLICY_TEXTS.items()}
        self._update(
            "backup_policies", step.target, **texts, instant_restore_days=properties["instantRpRetentionRangeInDays"]
        )

    def _protect(self, step: Step) -> None:
        after = step.after or {}
        container = step.target.split("/")[-1].removeprefix("VM;")
        properties: Json = {
            "protectedItemType": "Microsoft.Compute/virtualMachines",
            "backupManagementType": "AzureIaasVM",
            "workloadType": "VM",
            "friendlyName": after["sourceResourceId"].rpartition("/")[2],
            "containerName": container,
            "sourceResourceId": after["sourceResourceId"],
            "policyId": after["policyId"],
            "protectionState": "IRPending",
            "isScheduledForDeferredDelete": False,
            "healthStatus": "Passed",
        }
        if self.backed_up:
            at = show_time(self.now)
            properties |= {"protectionState": "Protected", "lastRecoveryPoint": at, "lastBackupTime": at}
            properties["lastBackupStatus"] = "Completed"
        self.added[fold(step.target)] = {"id": step.target, "type": _ITEM, "properties": properties}
        vault = "/".join(step.target.split("/")[:9])
        job = f"{vault}/backupJobs/{step.id}"
        self.added[fold(job)] = {
            "id": job,
            "type": f"{_VAULT}/backupJobs",
            "properties": {
                "backupManagementType": "AzureIaasVM",
                "operation": "ConfigureBackup",
                "status": "Completed",
                "startTime": show_time(self.now),
                "endTime": show_time(self.now),
                "containerName": container,
            },
        }

    def _back_up(self, step: Step) -> None:
        if self.backed_up and fold(step.target) not in self.added:
            self._update(
                "protected_items",
                step.target,
                protection_state="Protected",
                last_recovery_point=self.now,
                last_backup=self.now,
                last_backup_status="Completed",
                last_backup_status_key="completed",
            )

    def _guard(self, vault: str, after: Mapping[str, Any]) -> None:
        security = after.get("securitySettings", {})
        soft_delete = security.get("softDeleteSettings")
        if soft_delete is not None:
            state, days = soft_delete["softDeleteState"], soft_delete["softDeleteRetentionPeriodInDays"]
            state = "AlwaysOn" if state == "AlwaysON" else state  # as an inventory spells it
            self._update("vaults", vault, declared_soft_delete=state, declared_soft_delete_days=days)
            self._update("vault_configs", f"{vault}/backupconfig/vaultconfig", soft_delete=state, soft_delete_days=days)
        if "immutabilitySettings" in security:
            self._update("vaults", vault, immutability=security["immutabilitySettings"]["state"])
        if "redundancySettings" in after:
            self._update("vaults", vault, cross_region_restore=after["redundancySettings"]["crossRegionRestore"])
        if "monitoringSettings" in after:
            alerts = after["monitoringSettings"]["azureMonitorAlertSettings"]["alertsForAllJobFailures"]
            self._update("vaults", vault, failure_alerts=alerts)

    def _update(self, table: str, arm_id: str, **values: Any) -> None:  # noqa: ANN401 -- facts of any type
        added = self.added.get(fold(arm_id))
        if added is not None and table == "vaults":  # a vault that is planned gets its settings at once
            _lay(added["properties"], values)
            return
        self.updates[table].setdefault(tuple(values.items()), []).append(fold(arm_id))


_POLICY_TEXTS = {"schedule_policy": "schedulePolicy", "retention_policy": "retentionPolicy"}


def _lay(properties: Json, values: Mapping[str, Any]) -> None:
    security = properties.setdefault("securitySettings", {})
    soft_delete = security.setdefault("softDeleteSettings", {})
    for name, value in values.items():
        match name:
            case "immutability":
                security["immutabilitySettings"] = {"state": value}
            case "declared_soft_delete":
                soft_delete["softDeleteState"] = value
            case "declared_soft_delete_days":
                soft_delete["softDeleteRetentionPeriodInDays"] = value
            case "cross_region_restore":
                properties["redundancySettings"] = {**properties["redundancySettings"], "crossRegionRestore": value}
            case "failure_alerts":
                properties["monitoringSettings"] = {"azureMonitorAlertSettings": {"alertsForAllJobFailures": value}}


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


@dataclass(frozen=True, slots=True)
class Failing:
    """The verdicts that fail and nobody answers for, and how many are unknown."""

    verdicts: frozenset[Verdict]
    unknown: int


def failing_of(assessment: Assessment) -> Failing:
    """Return what fails, as (rule, folded id)."""
    found: set[Verdict] = set()
    unknown = 0
    for matrix in assessment.matrices:
        for rule in matrix.rules:
            letter = f"v.{column(rule.id)}"
            rows = assessment.estate.query(
                f"SELECT s.key, {letter} FROM {matrix.table} v JOIN {matrix.subject} s ON s.n = v.n"
                f" LEFT JOIN exempted e ON e.n = v.n AND e.rule = ? WHERE {letter} IN ('f', 'u') AND e.n IS NULL",
                [rule.id],
            )
            found |= {(rule.id, key) for key, outcome in rows if outcome == "f"}
            unknown += sum(outcome == "u" for _, outcome in rows)
    return Failing(frozenset(found), unknown)


def projection_of(steps: Sequence[Step], before: Failing, after: Failing) -> Projection:
    """Compare what fails before and after."""
    answered = {(answer.rule, fold(answer.resource)): answer for step in steps for answer in step.answers}
    still = [answer for verdict, answer in answered.items() if verdict in after.verdicts]
    return Projection(
        failing=len(after.verdicts),
        unknown=after.unknown,
        turned=sum(verdict not in after.verdicts for verdict in answered if verdict in before.verdicts),
        still_failing=sorted(still, key=_order),
        newly_failing=sorted(
            (Answer(rule=rule, resource=key) for rule, key in after.verdicts - before.verdicts), key=_order
        ),
    )


def _order(answer: Answer) -> tuple[str, str]:
    return answer.rule, fold(answer.resource)
