"""Steps -> the inventory as they would leave it, and what the rules say of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from auditor.arm_id import parse_arm_id
from auditor.assessment.assess import Assessment
from auditor.inventory.decode import Row, make_row
from auditor.inventory.facts import Change
from auditor.inventory.shapes import shape_of
from auditor.inventory.spool import Spool
from auditor.inventory.tables import TABLE_OF_TYPE, Table
from auditor.remediation.model import Answer, Projection, Step
from auditor.remediation.verdicts import open_verdicts
from auditor.text import fold
from auditor.timestamps import show_time

Json = dict[str, Any]
Verdict = tuple[str, str]
Cells = tuple[tuple[str, Any], ...]
Updates = Sequence[tuple[Mapping[str, Any], Sequence[str]]]
_PAGE = 100  # resources that become rows at once
SOURCE = "plan"
_VAULT = "Microsoft.RecoveryServices/vaults"
_ITEM = f"{_VAULT}/backupFabrics/protectionContainers/protectedItems"


@dataclass(frozen=True, slots=True)
class Changes:
    """What steps change of an inventory.

    Attributes:
        applied: once they are done.
        backed_up: once, after that, each new item had its first backup, and each backup that is triggered succeeded.
    """

    applied: Change
    backed_up: Change


def changes_of(steps: Iterable[Step], folder: Path, now: int) -> Changes:
    """Return what the steps would change.

    Args:
        steps: those that a program does.
        folder: for the rows of what is added; it must be empty, and outlive the changes.
        now: microseconds since 1970 UTC.
    """
    with Spool(folder) as spool:
        changer = _Changer(now, spool)
        for step in steps:
            changer.take(step)
        changer.finish()
    applied = _grouped(changer.updates)
    backed_up = {**applied, "protected_items": [*applied.get("protected_items", ()), (_had_backup(now), changer.items)]}
    return Changes(
        Change(spool.paths, spool.longest, applied),
        Change(spool.paths, spool.longest, backed_up if changer.items else applied),
    )


def _rows(table: Table, resources: Sequence[Json]) -> Iterator[Row]:
    """Return the rows of resources, by way of the JSON that Azure would give of them."""
    shape = shape_of(table)
    for resource in shape.page(msgspec.json.encode(resources)):
        arm_id = parse_arm_id(resource.id)
        assert arm_id is not None, "it was made of one"
        yield make_row(arm_id, resource.name, resource.tags, shape.values(resource), table, SOURCE)


def _grouped(updates: Mapping[str, Mapping[Cells, list[str]]]) -> dict[str, Updates]:
    return {table: [(dict(values), keys) for values, keys in by_values.items()] for table, by_values in updates.items()}


def _had_backup(now: int) -> dict[str, Any]:
    """Return what an item says once a backup succeeded."""
    return {
        "protection_state": "Protected",
        "last_recovery_point": now,
        "last_backup": now,
        "last_backup_status": "Completed",
        "last_backup_status_key": "completed",
    }


class _Changer:
    """Gathers new resources, and new values of those that are there."""

    def __init__(self, now: int, spool: Spool) -> None:
        self.at = show_time(now)
        self._spool = spool
        self._pages: defaultdict[str, list[Json]] = defaultdict(list)
        self.added: dict[str, Json] = {}  # vaults and policies, which later steps may change
        self.updates: defaultdict[str, dict[Cells, list[str]]] = defaultdict(dict)
        self.items: list[str] = []  # folded ids of those that get a backup

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
                self.items.append(fold(step.target))
            case "SetRedundancy":
                redundancy = (step.after or {})["redundancy"]
                self._update("vaults", step.target, declared_redundancy=redundancy)
                config = f"{step.target}/backupstorageconfig/vaultstorageconfig"
                self._update("storage_configs", config, model_type=redundancy, storage_type=redundancy)
            case "SetVaultProtection":
                self._guard(step.target, step.after or {})
            case "RegisterProvider" | "Manual":
                pass

    def finish(self) -> None:
        """Write what is added and not written yet."""
        for resource in self.added.values():
            self._add(resource)
        for kind in self._pages:
            self._write(kind)

    def _add(self, resource: Json) -> None:
        kind = fold(resource["type"])
        self._pages[kind].append(resource)
        if len(self._pages[kind]) == _PAGE:
            self._write(kind)

    def _write(self, kind: str) -> None:
        table = TABLE_OF_TYPE[kind]
        self._spool.add(table.name, _rows(table, self._pages[kind]))
        self._pages[kind].clear()

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
        self._add({"id": step.target, "type": _ITEM, "properties": properties})
        self.items.append(fold(step.target))
        # An item that waits for its first backup is judged by when it was configured, which a job tells.
        vault = "/".join(step.target.split("/")[:9])
        job = f"{vault}/backupJobs/{step.id}"
        properties = {
            "backupManagementType": "AzureIaasVM",
            "operation": "ConfigureBackup",
            "status": "Completed",
            "startTime": self.at,
            "endTime": self.at,
            "containerName": container,
        }
        self._add({"id": job, "type": f"{_VAULT}/backupJobs", "properties": properties})

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
    for rule, _, key, letter in open_verdicts(assessment):
        if letter == "f":
            found.add((rule, key))
        else:
            unknown += 1
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
