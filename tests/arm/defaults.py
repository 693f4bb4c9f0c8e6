"""What a new vault has from the beginning."""

from datetime import datetime

from arm.clock import whole_stamp
from arm.ids import Json


def default_policies(vault: str, now: datetime) -> list[Json]:
    """Return the two policies that every vault is created with: one of databases in VMs, one of VMs."""
    time = whole_stamp(now.replace(hour=16, minute=0, second=0))
    daily = {
        "retentionPolicyType": "LongTermRetentionPolicy",
        "dailySchedule": {
            "retentionTimes": [time],
            "retentionDuration": {"count": 30, "durationType": "Days"},
        },
    }
    schedule = {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunFrequency": "Daily",
        "scheduleRunTimes": [time],
        "scheduleWeeklyFrequency": 0,
    }
    log = {
        "policyType": "Log",
        "schedulePolicy": {"schedulePolicyType": "LogSchedulePolicy", "scheduleFrequencyInMins": 60},
        "retentionPolicy": {
            "retentionPolicyType": "SimpleRetentionPolicy",
            "retentionDuration": {"count": 30, "durationType": "Days"},
        },
    }
    full = {"policyType": "Full", "schedulePolicy": schedule, "retentionPolicy": daily}
    return [
        policy(
            vault,
            "HourlyLogBackup",
            {
                "backupManagementType": "AzureWorkload",
                "workLoadType": "SQLDataBase",
                "settings": {"timeZone": "UTC", "issqlcompression": False, "isCompression": False},
                "subProtectionPolicy": [full, log],
                "protectedItemsCount": 0,
            },
        ),
        policy(
            vault,
            "DefaultPolicy",
            {
                "backupManagementType": "AzureIaasVM",
                "instantRPDetails": {},
                "schedulePolicy": schedule,
                "retentionPolicy": daily,
                "instantRpRetentionRangeInDays": 2,
                "timeZone": "UTC",
                "protectedItemsCount": 0,
            },
        ),
    ]


def policy(vault: str, name: str, properties: Json) -> Json:
    return {
        "id": f"{vault}/backupPolicies/{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults/backupPolicies",
        "properties": properties,
    }
