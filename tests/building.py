"""Builds small estates in Azure's own JSON, and audits them, so that a test reads as a sentence.

``estate().vault("v1").policy("daily").vm("web").item("web").outcome("vm-protected", "web")``
"""

import copy
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from auditor.assessment.assess import Assessment, assess
from auditor.assessment.model import OUTCOMES, Finding, Report
from auditor.assessment.question import Question
from auditor.cli.question import Flags, settle
from auditor.inventory.exports import read_exports
from auditor.timestamps import parse_time

Json = dict[str, Any]

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
OTHER_SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"
NOW = "2026-06-15T12:00:00Z"
DAILY = {
    "schedulePolicyType": "SimpleSchedulePolicy",
    "scheduleRunFrequency": "Daily",
    "scheduleRunTimes": ["2026-01-01T22:00:00Z"],
}


RETENTION = {
    "retentionPolicyType": "LongTermRetentionPolicy",
    "dailySchedule": {"retentionDuration": {"count": 30, "durationType": "Days"}},
}
# What a vault's properties hold when its backups are well guarded.
GUARDED: Json = {
    "securitySettings": {
        "softDeleteSettings": {"softDeleteState": "AlwaysON", "softDeleteRetentionPeriodInDays": 14},
        "immutabilitySettings": {"state": "Unlocked"},
    },
    "monitoringSettings": {"azureMonitorAlertSettings": {"alertsForAllJobFailures": "Enabled"}},
}


def hourly(interval: object, window: object) -> Json:
    """Return the schedule of an enhanced policy that runs every ``interval`` hours for ``window`` hours."""
    return {
        "schedulePolicyType": "SimpleSchedulePolicyV2",
        "scheduleRunFrequency": "Hourly",
        "hourlySchedule": {
            "interval": interval,
            "scheduleWindowStartTime": "2026-01-01T08:00:00Z",
            "scheduleWindowDuration": window,
        },
    }


def group_id(group: str = "rg", subscription: str = SUBSCRIPTION) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


def vm_id(name: str, group: str = "rg", subscription: str = SUBSCRIPTION) -> str:
    return f"{group_id(group, subscription)}/providers/Microsoft.Compute/virtualMachines/{name}"


def vault_id(name: str = "vault", group: str = "rg", subscription: str = SUBSCRIPTION) -> str:
    return f"{group_id(group, subscription)}/providers/Microsoft.RecoveryServices/vaults/{name}"


def policy_id(name: str = "daily", vault: str | None = None) -> str:
    return f"{vault or vault_id()}/backupPolicies/{name}"


def item_id(name: str, group: str = "rg", vault: str | None = None) -> str:
    container = f"iaasvmcontainerv2;{group.lower()};{name}"
    return (
        f"{vault or vault_id()}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{container}"
        f"/protectedItems/VM;{container}"
    )


@dataclass
class EstateBuilder:
    """Resources in the order in which they were added."""

    resources: list[Json] = field(default_factory=list)

    def add(self, resource: Mapping[str, Any]) -> "EstateBuilder":
        self.resources.append(dict(resource))
        return self

    def vm(self, name: str, **properties: Any) -> "EstateBuilder":
        """Add a running VM from a gallery image; ``id``, ``tags`` and ``location`` are its own, the rest properties."""
        own: Json = {key: properties.pop(key) for key in ("id", "tags", "location") if key in properties}
        return self.add(
            {
                "id": vm_id(name),
                "name": name,
                "type": "Microsoft.Compute/virtualMachines",
                "location": "westeurope",
                "properties": {
                    "provisioningState": "Succeeded",
                    "storageProfile": {
                        "imageReference": {"publisher": "Canonical", "offer": "ubuntu", "sku": "24_04"},
                        "osDisk": {"osType": "Linux", "createOption": "FromImage"},
                    },
                    "osProfile": {"linuxConfiguration": {"provisionVMAgent": True}},
                    **properties,
                },
                **own,
            },
        )

    def vault(self, name: str = "vault", redundancy: str | None = "GeoRedundant", **own: Any) -> "EstateBuilder":
        """Add a well guarded vault; what is given stands beside its properties, or in their place."""
        settings = {"redundancySettings": {"standardTierStorageRedundancy": redundancy}} if redundancy else {}
        return self.add(
            {
                "id": vault_id(name),
                "name": name,
                "type": "Microsoft.RecoveryServices/vaults",
                "location": "westeurope",
                "properties": {"provisioningState": "Succeeded", **settings, **copy.deepcopy(GUARDED)},
                **own,
            },
        )

    def policy(self, name: str = "daily", schedule: Json | None = None, **properties: Any) -> "EstateBuilder":
        own = {key: properties.pop(key) for key in ("id",) if key in properties}
        return self.add(
            {
                "id": policy_id(name),
                "name": name,
                "type": "Microsoft.RecoveryServices/vaults/backupPolicies",
                "properties": {
                    "backupManagementType": "AzureIaasVM",
                    "schedulePolicy": schedule if schedule is not None else DAILY,
                    "retentionPolicy": RETENTION,
                    **properties,
                },
                **own,
            },
        )

    def item(self, vm: str, state: str | None = "Protected", **properties: Any) -> "EstateBuilder":
        """Add the backup item of a VM by its name in the default group; ``id`` is the item's own."""
        own = {key: properties.pop(key) for key in ("id",) if key in properties}
        return self.add(
            {
                "id": item_id(vm),
                "name": f"VM;iaasvmcontainerv2;rg;{vm}",
                "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems",
                "properties": {
                    "protectedItemType": "Microsoft.Compute/virtualMachines",
                    "backupManagementType": "AzureIaasVM",
                    "friendlyName": vm,
                    "sourceResourceId": vm_id(vm),
                    "policyId": policy_id(),
                    "protectionState": state,
                    "lastRecoveryPoint": "2026-06-15T01:00:00Z",
                    "lastBackupStatus": "Completed",
                    "healthStatus": "Passed",
                    **properties,
                },
                **own,
            },
        )

    def job(
        self, vm: str, operation: str = "ConfigureBackup", started: str = NOW, **properties: Any
    ) -> "EstateBuilder":
        return self.add(
            {
                "id": f"{vault_id()}/backupJobs/{len(self.resources)}",
                "name": str(len(self.resources)),
                "type": "Microsoft.RecoveryServices/vaults/backupJobs",
                "properties": {
                    "operation": operation,
                    "status": "Completed",
                    "startTime": started,
                    "containerName": f"iaasvmcontainerv2;rg;{vm}",
                    **properties,
                },
            },
        )

    def whole(self) -> "EstateBuilder":
        """Add one harmless row to each table that has none, so that nothing counts as not exported."""
        spare = EstateBuilder().vm("spare").vault("spare").policy("spare").item("spare").job("spare")
        spare.add(
            {"id": group_id("spare"), "name": "spare", "type": "Microsoft.Resources/subscriptions/resourceGroups"}
        )
        spare.add({"id": f"/subscriptions/{SUBSCRIPTION}", "name": "sub", "type": "Microsoft.Resources/subscriptions"})
        there = {str(resource["type"]).lower() for resource in self.resources}
        self.resources += [entry for entry in spare.resources if str(entry["type"]).lower() not in there]
        return self

    def audit(self, **flags: Any) -> "Audited":
        """Audit the estate as one file ``{"value": [...]}`` at ``NOW``, with Azure as primary endpoint."""
        return audit_files({"estate.json": json.dumps({"value": self.resources})}, **flags)

    def audit_with(self, answer: Json, **flags: Any) -> "Audited":
        """Audit the estate together with another answer, such as one that was cut short."""
        files = {"estate.json": json.dumps({"value": self.resources}), "more.json": json.dumps(answer)}
        return audit_files(files, **flags)

    def outcome(self, rule: str, name: str, **flags: Any) -> str:
        return self.audit(**flags).outcome(rule, name)


def estate() -> EstateBuilder:
    return EstateBuilder()


@dataclass
class Audited:
    """What an audit found."""

    report: Report

    def outcome(self, rule: str, name: str) -> str:
        """Return the outcome of a rule for the resource of that name or id."""
        kind = next(entry.resource for entry in self.report.rules if entry.id == rule)
        judged = [resource for resource in self.report.resources if resource.kind == kind]
        found = [
            OUTCOMES[letter]
            for resource, letter in zip(judged, self.report.outcomes[rule], strict=True)
            if name in (resource.name, resource.id)
        ]
        assert len(found) == 1, f"{len(found)} resources are called {name}"
        return found[0]

    def finding(self, rule: str, name: str) -> Finding:
        resources = {resource.id: resource for resource in self.report.resources}
        (found,) = [
            finding
            for finding in self.report.findings
            if finding.rule == rule and name in (resources[finding.resource].name, finding.resource)
        ]
        return found


def audit_files(files: Mapping[str, str | bytes], *, paths: list[str] | None = None, **flags: Any) -> Audited:
    """Write files into a folder and audit it; ``paths`` names single files of it instead.

    ``config`` is the text of auditor.yaml, ``exemptions`` that of exemptions.yaml, ``attestations`` that of
    attestations.yaml, ``baseline`` an earlier report; the other flags are those of ``Flags``.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export, work = folder / "export", folder / "work"
        export.mkdir()
        work.mkdir()
        for file, content in files.items():
            path = export / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
        config = flags.pop("config", "")
        (folder / "auditor.yaml").write_text(config, encoding="utf-8")
        if "exemptions" in flags:
            (folder / "exemptions.yaml").write_text(flags["exemptions"], encoding="utf-8")
            flags["exemptions"] = folder / "exemptions.yaml"
        if "attestations" in flags:
            (folder / "attestations.yaml").write_text(flags["attestations"], encoding="utf-8")
            flags["attestations"] = folder / "attestations.yaml"
        baseline = flags.pop("baseline", None)
        settings = settle(
            Flags(
                config=folder / "auditor.yaml",
                primary_endpoint=flags.pop("primary_endpoint", "azure"),
                as_of=flags.pop("as_of", NOW),
                **flags,
            ),
        )
        inventory = read_exports([export / path for path in paths] if paths else [export], work, settings.complete)
        assessment = _assess(inventory, work, settings, baseline)
        assessment.estate.connection.close()
        return Audited(assessment.report)


def _assess(
    inventory: Any, work: Path, settings: Any, baseline: Report | None, subscriptions: frozenset[str] = frozenset()
) -> Assessment:
    return assess(
        inventory,
        work,
        Question(
            rules=settings.rules,
            exclusions=settings.exclusions,
            intents=settings.intents,
            config=settings.config,
            config_sha256=settings.config_sha256,
            primary_endpoint=settings.intents.default,
            as_of=settings.as_of,
            complete=settings.complete,
            exemptions=settings.exemptions,
            attestations=settings.attestations,
            framework=settings.framework,
            baseline=baseline,
            known=settings.known,
            subscriptions=subscriptions,
        ),
    )


def plain(report: Report) -> Json:
    """Return a report as JSON has it."""
    value: Json = msgspec.to_builtins(report, enc_hook=list)
    return value


def microseconds(text: str) -> int:
    when = parse_time(text)
    assert when is not None
    return when
