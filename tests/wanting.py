"""Estates that want something of remediation, what is declared about them, and what a plan for them may do."""

from dataclasses import dataclass, field
from typing import Any

from building import SUBSCRIPTION, EstateBuilder, estate, group_id, hourly, policy_id
from planned import settings_of

from auditor.ruleset.settings import Settings

Json = dict[str, Any]
TEMPLATES = "remediation: {vault: {resource_group: backup}}\n"
ENHANCED = """
remediation:
  vault: {resource_group: backup}
  policy: {type: V2, interval_hours: 6, window_hours: 24, time: "02:00", instant_restore_days: 7}
"""
WEEKLY: Json = {
    "schedulePolicyType": "SimpleSchedulePolicy",
    "scheduleRunFrequency": "Weekly",
    "scheduleRunDays": ["Sunday"],
    "scheduleRunTimes": ["2026-01-01T02:00:00Z"],
}
BARE: Json = {
    "provisioningState": "Succeeded",
    "redundancySettings": {"standardTierStorageRedundancy": "GeoRedundant", "crossRegionRestore": "Disabled"},
    "securitySettings": {
        "softDeleteSettings": {"softDeleteState": "Disabled", "softDeleteRetentionPeriodInDays": 14},
        "immutabilitySettings": {"state": "Disabled"},
    },
    "monitoringSettings": {"azureMonitorAlertSettings": {"alertsForAllJobFailures": "Disabled"}},
}


def kept(every: str, count: int, unit: str, time: str, **marks: Any) -> Json:
    part = {"retentionTimes": [time], "retentionDuration": {"count": count, "durationType": unit}, **marks}
    return {"retentionPolicyType": "LongTermRetentionPolicy", f"{every}Schedule": part}


def grouped(built: EstateBuilder) -> EstateBuilder:
    """Add the groups and the subscription that Azure would have, too."""
    for group in ("rg", "backup"):
        built.add(
            {
                "id": group_id(group),
                "type": "Microsoft.Resources/subscriptions/resourceGroups",
                "name": group,
                "location": "westeurope",
            }
        )
    return built.add({"id": f"/subscriptions/{SUBSCRIPTION}", "type": "Microsoft.Resources/subscriptions"})


@dataclass(frozen=True)
class Wanting:
    """An estate, the text of its auditor.yaml, and the options of ``auditor plan``."""

    built: EstateBuilder
    config: str = TEMPLATES
    options: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> Settings:
        return settings_of(self.config, ignore=["vault-security-level"])


def unprotected() -> Wanting:
    """VMs without backup: with no vault in their region, with a right one, and with one of the wrong redundancy."""
    built = estate().vault().policy().vm("web").item("web").vm("new")
    built.vm("lonely", location="northeurope")
    built.vault("wrong", "LocallyRedundant", location="uksouth").vm("stray", location="uksouth")
    return Wanting(grouped(built), options={"trigger_backup": True})


def in_place() -> Wanting:
    """A vault without soft delete, alerts and immutability, and a policy in use that keeps too little, to be edited."""
    days = kept("daily", 10, "Days", "2026-01-01T22:00:00Z")
    built = estate().vault(properties=BARE).vm("web").item("web")
    built.policy(instantRpRetentionRangeInDays=2, retentionPolicy=days, timeZone="UTC")
    return Wanting(grouped(built), options={"edit_policies": True})


def policies() -> Wanting:
    """VMs on a policy that runs too often, on one that runs too seldom, and on one that keeps too little."""
    built = estate().vault().vm("often").vm("seldom").vm("short")
    built.policy(
        "six",
        hourly(4, 24),
        policyType="V2",
        instantRpRetentionRangeInDays=7,
        retentionPolicy=kept("daily", 60, "Days", "2026-01-01T08:00:00Z"),
    )
    weeks = kept("weekly", 12, "Weeks", "2026-01-01T02:00:00Z", daysOfTheWeek=["Sunday"])
    built.policy("weekly", WEEKLY, instantRpRetentionRangeInDays=5, retentionPolicy=weeks)
    days = kept("daily", 10, "Days", "2026-01-01T22:00:00Z")
    built.policy("brief", instantRpRetentionRangeInDays=1, retentionPolicy=days, timeZone="UTC")
    for name, policy in (("often", "six"), ("seldom", "weekly"), ("short", "brief")):
        built.item(name, policyId=policy_id(policy))
    return Wanting(grouped(built), ENHANCED, {"allow_reduce": True, "allow_one_way": ["enhanced-policy"]})
