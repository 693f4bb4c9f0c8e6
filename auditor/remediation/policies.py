"""Backup policies: made of a template, or of an old one so that nothing in it gets shorter.

Shapes: https://learn.microsoft.com/rest/api/backup/protection-policies/create-or-update
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from auditor.declared.config import PolicyTemplate
from auditor.estate.retention import read_retention
from auditor.estate.schedule import read_schedule, runs_in_window
from auditor.text import fold

Json = dict[str, Any]
_DAYS = {"days": 1, "weeks": 7, "months": 30, "years": 365}  # as the rules count them
_MONTHS = {"months": 1, "years": 12}
_MONTH = 30.4375  # days on average; so many months are up to 2 days shorter and 3 longer
_EVERY = ("daily", "weekly", "monthly", "yearly")
_UNITS = {"daily": ("Days", 1), "weekly": ("Weeks", 7), "monthly": ("Months", 30), "yearly": ("Years", 365)}
_TYPES = {"simpleschedulepolicy": "V1", "simpleschedulepolicyv2": "V2"}
# Days that snapshots are kept where a policy does not say it, and the fewest and most that Azure takes, by type.
# https://learn.microsoft.com/azure/backup/backup-instant-restore-capability
_INSTANT_DEFAULT = {"V1": 2, "V2": 7}
_INSTANT = {"V1": (1, 5), "V2": (1, 30)}
_INSTANT_WEEKLY = {"V1": (5, 5), "V2": (5, 20)}
# The more snapshots a day, the fewer days: https://learn.microsoft.com/azure/backup/backup-azure-vms-enhanced-policy
_INSTANT_HOURLY = {4: 17, 6: 22}
_MOST_RUNS = 5  # a day
_DATE = "2020-01-01"  # Azure reads the time of day only


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What the inventory says of a policy; ``None`` is what it does not say."""

    id: str
    name: str
    type: str | None
    schedule: Json | None
    retention: Json | None
    instant_restore_days: float | None
    time_zone: str | None
    snapshot_consistency: str | None
    tiering: Json | None
    instant_restore_groups: Json | None
    more_known: bool
    items: int | None = None  # that Azure counts on it


def of_template(template: PolicyTemplate) -> Json:
    """Return the properties of the policy that a template describes."""
    start = f"{_DATE}T{template.time}:00Z"
    if template.type == "V1":
        schedule: Json = {
            "schedulePolicyType": "SimpleSchedulePolicy",
            "scheduleRunFrequency": "Daily",
            "scheduleRunTimes": [start],
        }
    elif template.interval_hours:
        schedule = {
            "schedulePolicyType": "SimpleSchedulePolicyV2",
            "scheduleRunFrequency": "Hourly",
            "hourlySchedule": {
                "interval": template.interval_hours,
                "scheduleWindowStartTime": start,
                "scheduleWindowDuration": template.window_hours,
            },
        }
    else:
        schedule = {
            "schedulePolicyType": "SimpleSchedulePolicyV2",
            "scheduleRunFrequency": "Daily",
            "dailySchedule": {"scheduleRunTimes": [start]},
        }
    return {
        "backupManagementType": "AzureIaasVM",
        "policyType": template.type,
        "schedulePolicy": schedule,
        "retentionPolicy": _retention(
            schedule,
            {
                "daily": template.daily_days,
                "weekly": template.weekly_weeks * 7,
                "monthly": template.monthly_months * 30,
                "yearly": template.yearly_years * 365,
            },
        ),
        "instantRpRetentionRangeInDays": template.instant_restore_days,
        "timeZone": template.time_zone,
    }


def fault_of_template(template: PolicyTemplate) -> str:
    """Say what is wrong with a template: Azure takes no such policy, or it runs too often; else nothing."""
    if template.name != template.name.strip():
        return "name: no white space around it"
    if template.type == "V1" and template.interval_hours:
        return "interval_hours: a standard policy runs once a day; set type to V2"
    if template.interval_hours and template.window_hours < template.interval_hours:
        return f"window_hours: {template.window_hours} is shorter than interval_hours, {template.interval_hours}"
    if template.interval_hours:
        runs = runs_in_window(template.interval_hours, template.window_hours)
        if runs.high > _MOST_RUNS:
            count = str(runs.low) if runs.low == runs.high else f"{runs.low} or {runs.high}"
            every = f"every {template.interval_hours} hours for {template.window_hours} hours"
            return f"window_hours: {every} is {count} backups a day, and more than {_MOST_RUNS} are too many"
    _, most = _instant_range(of_template(template)["schedulePolicy"])
    most = min(most, template.daily_days)
    if template.instant_restore_days > most:
        return f"instant_restore_days: such a policy keeps snapshots for {most} days at most"
    if "/" in template.time_zone:
        return f"time_zone: {template.time_zone} is no Windows name, such as W. Europe Standard Time"
    return ""


def strengthened(old: PolicyFacts, template: PolicyTemplate, failing: Sequence[str]) -> Json | str:
    """Return the properties of a policy that replaces ``old``, or why there can be none.

    What the rules accept stays as it is; what fails is taken from the template; no recovery point is kept for less.

    Args:
        old: the policy.
        template: what takes the place of what fails.
        failing: the rules that the policy fails.
    """
    if old.schedule is None or old.retention is None or not old.more_known:
        return "not everything of the old policy is in the inventory, so that something could be lost"
    kind = _type_of(old.schedule)
    if kind is None:
        return "its schedule is not understood"
    held = _durations(old.retention, old.schedule)
    if held is None:
        return "its retention is not understood"
    new = of_template(template)
    if "policy-runs-per-day" not in failing:
        new["schedulePolicy"] = old.schedule
        new["policyType"] = kind
        new["timeZone"] = old.time_zone or "UTC"
    elif kind == "V2" and template.type == "V1":
        return "an enhanced policy cannot become a standard one: set remediation.policy.type to V2 in auditor.yaml"
    schedule = new["schedulePolicy"]
    if not _times(schedule) or (_is_weekly(schedule) and not _weekly_days(schedule)):
        return "its schedule names no time"
    new["retentionPolicy"] = _strengthened_retention(old, schedule, held, template, failing)
    wanted = template.instant_restore_days if "policy-instant-restore-retention" in failing else 0
    new["instantRpRetentionRangeInDays"] = _instant_days(old, new, wanted)
    same = (schedule, held, _old_instant_days(old))
    if same == (old.schedule, _durations(new["retentionPolicy"], schedule), new["instantRpRetentionRangeInDays"]):
        return "remediation.policy in auditor.yaml asks for no more than the policy has already"
    for name, value in (
        ("snapshotConsistencyType", old.snapshot_consistency),
        ("tieringPolicy", old.tiering),
        ("instantRPDetails", old.instant_restore_groups),
    ):
        if value is not None:
            new[name] = value
    return new


def weakenings(old: PolicyFacts, new: Mapping[str, Any]) -> list[str]:
    """Say what gets less from one policy to another: runs on a day, kept points, kept snapshots."""
    said = [] if old.schedule == new["schedulePolicy"] else _weaker_schedule(old.schedule, new["schedulePolicy"])
    held = _durations(old.retention or {}, old.schedule or {})
    kept = _durations(new["retentionPolicy"], new["schedulePolicy"])
    if held is None or kept is None:
        said.append("retention cannot be compared")
    else:
        said += [
            f"{every} recovery points are kept for {_told(kept.get(every))} instead of {_told(duration)}"
            for every, duration in held.items()
            if not _is_as_long(kept.get(every), duration)
        ]
    snapshots = new.get("instantRpRetentionRangeInDays") or 0
    before = _old_instant_days(old)
    if snapshots < before:
        said.append(f"snapshots are kept for {snapshots} days instead of {before:.0f}")
    return said


def _weaker_schedule(old: Json | None, new: Mapping[str, Any]) -> list[str]:
    """Say what gets less from one schedule to another."""
    said = []
    before, after = (read_schedule(json.dumps(schedule)) for schedule in (old, new))
    for which, then, now in (
        ("the busiest day", before.busiest, after.busiest),
        ("the quietest day", before.quietest, after.quietest),
    ):
        if then is None or now is None:
            said.append(f"how many backups run on {which} cannot be compared")
        elif now.low < then.high:
            said.append(f"backups on {which}: {now.low} instead of {then.high}")
    if before.gap is not None and after.gap is not None and after.gap.high > before.gap.low:
        said.append(f"the longest time between two backups: {after.gap.high:g} hours instead of {before.gap.low:g}")
    return said


def serves(old: PolicyFacts, wanted: Mapping[str, Any]) -> bool:
    """Whether a policy that is there does all that a wanted one would: as many backups, kept for no less."""
    if old.schedule is None or old.retention is None or not old.more_known:
        return False
    asked = PolicyFacts(
        id="",
        name="",
        type=None,
        schedule=wanted["schedulePolicy"],
        retention=wanted["retentionPolicy"],
        instant_restore_days=wanted["instantRpRetentionRangeInDays"],
        time_zone=None,
        snapshot_consistency=None,
        tiering=None,
        instant_restore_groups=None,
        more_known=True,
    )
    held = {
        "schedulePolicy": old.schedule,
        "retentionPolicy": old.retention,
        "instantRpRetentionRangeInDays": _old_instant_days(old),
    }
    alike = _type_of(old.schedule) == _type_of(wanted["schedulePolicy"])
    return alike and not weakenings(asked, held) and not _weaker_schedule(old.schedule, wanted["schedulePolicy"])


def becomes_enhanced(old: PolicyFacts, new: Mapping[str, Any]) -> bool:
    """Whether a standard policy would be followed by an enhanced one: what it protects cannot go back.

    https://learn.microsoft.com/azure/backup/backup-azure-vm-migrate-enhanced-policy
    """
    return _type_of(old.schedule or {}) == "V1" and _type_of(new["schedulePolicy"]) == "V2"


def runs_of(properties: Mapping[str, Any]) -> str:
    """Return the schedule of a policy in words."""
    return read_schedule(json.dumps(properties["schedulePolicy"])).words


def kept_days(retention: Mapping[str, Any]) -> dict[str, int] | None:
    """Return for how many days each kind of recovery point is kept; ``None`` when that is not understood."""
    durations = _durations(retention, {})
    return None if durations is None else {every: _nominal(duration) for every, duration in durations.items()}


def _durations(retention: Mapping[str, Any], schedule: Mapping[str, Any]) -> dict[str, Json] | None:
    """Return for how long each kind of recovery point is kept; ``None`` when that is not understood."""
    if read_retention(json.dumps(retention)).reason:
        return None
    if fold(retention["retentionPolicyType"]) == "simpleretentionpolicy":
        return {"weekly" if _is_weekly(schedule) else "daily": retention["retentionDuration"]}
    return {
        every: part["retentionDuration"]
        for every in _EVERY
        if isinstance(part := retention.get(f"{every}Schedule"), dict)
    }


def _nominal(duration: Mapping[str, Any]) -> int:
    """Return a duration in days, as the rules count them."""
    return int(duration["count"]) * _DAYS[fold(duration["durationType"])]


def _span(duration: Mapping[str, Any]) -> tuple[int, int]:
    """Return the fewest and the most days that a duration can be: months differ."""
    months = int(duration["count"]) * _MONTHS.get(fold(duration["durationType"]), 0)
    if months:
        return max(0, math.floor(months * _MONTH) - 2), math.ceil(months * _MONTH) + 3
    return _nominal(duration), _nominal(duration)


def _is_as_long(new: Mapping[str, Any] | None, old: Mapping[str, Any]) -> bool:
    """Whether a duration is at least as long as an older one, whatever month it is."""
    if new is None:
        return _nominal(old) == 0
    both = [_MONTHS.get(fold(duration["durationType"]), 0) * int(duration["count"]) for duration in (new, old)]
    return both[0] >= both[1] if all(both) else _span(new)[0] >= _span(old)[1]


def _told(duration: Mapping[str, Any] | None) -> str:
    return "0 days" if duration is None else f"{duration['count']} {fold(duration['durationType'])}"


def _type_of(schedule: Mapping[str, Any]) -> str | None:
    """Return the type of the policies that have such a schedule: it is left out on many, and the schedule tells."""
    return _TYPES.get(fold(str(schedule.get("schedulePolicyType"))))


def _frequency(schedule: Mapping[str, Any]) -> str:
    return fold(str(schedule.get("scheduleRunFrequency")))


def _is_weekly(schedule: Mapping[str, Any]) -> bool:
    return _frequency(schedule) == "weekly"


def _times(schedule: Mapping[str, Any]) -> list[str]:
    """Return the times at which recovery points are taken, to which retention has to be aligned."""
    part: object = schedule
    if _type_of(schedule) == "V2":
        part = schedule.get(f"{_frequency(schedule)}Schedule")
    if not isinstance(part, dict):
        return []
    if part is not schedule and _frequency(schedule) == "hourly":
        start = part.get("scheduleWindowStartTime")
        return [start] if isinstance(start, str) else []
    return list(part.get("scheduleRunTimes") or [])


def _weekly_days(schedule: Mapping[str, Any]) -> list[str]:
    if not _is_weekly(schedule):
        return []
    part = schedule.get("weeklySchedule") if _type_of(schedule) == "V2" else schedule
    return list(part.get("scheduleRunDays") or []) if isinstance(part, dict) else []


def _instant_range(schedule: Mapping[str, Any]) -> tuple[int, int]:
    """Return the fewest and the most days that snapshots can be kept under a schedule."""
    kind = _type_of(schedule) or "V1"
    if _is_weekly(schedule):
        return _INSTANT_WEEKLY[kind]
    low, high = _INSTANT[kind]
    hourly = schedule.get("hourlySchedule")
    if _frequency(schedule) == "hourly" and isinstance(hourly, dict):
        high = next((most for interval, most in _INSTANT_HOURLY.items() if hourly.get("interval") == interval), high)
    return low, high


def _old_instant_days(old: PolicyFacts) -> int:
    if old.instant_restore_days is not None:
        return int(old.instant_restore_days)
    return _INSTANT_DEFAULT[_type_of(old.schedule or {}) or "V1"]


def _instant_days(old: PolicyFacts, new: Mapping[str, Any], wanted: int) -> int:
    """Return the days that snapshots are kept: no fewer than they were, as far as Azure takes it."""
    held, schedule = _old_instant_days(old), new["schedulePolicy"]
    low, high = _instant_range(schedule)
    # Snapshots are kept no longer than the points in the vault.
    kept = kept_days(new["retentionPolicy"]) or {}
    high = max(low, min(high, kept.get("weekly" if _is_weekly(schedule) else "daily", high)))
    if schedule == old.schedule:
        high = max(high, held)  # what Azure took is not lowered
    return min(max(held, wanted, low), high)


def _retention(schedule: Mapping[str, Any], days: Mapping[str, int]) -> Json:
    """Return a retention that keeps each kind of recovery point for so many days; 0 keeps none of that kind."""
    times, weekdays = _times(schedule), _weekly_days(schedule) or ["Sunday"]
    made: Json = {"retentionPolicyType": "LongTermRetentionPolicy"}
    weekly = {"daysOfTheWeek": weekdays[:1], "weeksOfTheMonth": ["First"]}
    marks: dict[str, Json] = {
        "daily": {},
        "weekly": {"daysOfTheWeek": weekdays},
        "monthly": {"retentionScheduleFormatType": "Weekly", "retentionScheduleWeekly": weekly},
        "yearly": {
            "retentionScheduleFormatType": "Weekly",
            "monthsOfYear": ["January"],
            "retentionScheduleWeekly": weekly,
        },
    }
    for every in _EVERY:
        if days[every] and not (every == "daily" and _is_weekly(schedule)):
            unit, size = _UNITS[every]
            duration = {"count": -(-days[every] // size), "durationType": unit}
            made[f"{every}Schedule"] = {**marks[every], "retentionTimes": times, "retentionDuration": duration}
    return made


def _strengthened_retention(
    old: PolicyFacts,
    schedule: Mapping[str, Any],
    held: Mapping[str, Json],
    template: PolicyTemplate,
    failing: Sequence[str],
) -> Json:
    """Return a retention with the longer of both durations; which points the old one marks stays as it was."""
    days = {every: _nominal(held[every]) if every in held else 0 for every in _EVERY}
    base = "weekly" if _is_weekly(schedule) else "daily"  # a policy that runs weekly keeps no daily points
    days[base] = days[base] or days["daily"] or template.daily_days
    if "policy-daily-retention" in failing:
        days[base] = max(days[base], template.daily_days)
    if "policy-long-term-retention" in failing:
        days["monthly"] = max(days["monthly"], template.monthly_months * 30)
        days["yearly"] = max(days["yearly"], template.yearly_years * 365)
    made = _retention(schedule, days)
    for every in _EVERY:
        name = f"{every}Schedule"
        if name not in made or every not in held:
            continue
        part = (old.retention or {}).get(name)
        marks: Json = {"daysOfTheWeek": _weekly_days(old.schedule or {})} if every == "weekly" else {}
        if isinstance(part, dict):  # else one duration for all points that the old policy takes
            marks = {key: value for key, value in part.items() if value is not None}
        duration = _longer(held[every], days[every], made[name]["retentionDuration"])
        made[name] = {**marks, "retentionTimes": _times(schedule), "retentionDuration": duration}
    return made


def _longer(old: Json, days: int, new: Json) -> Json:
    """Return the old duration where it is as long as what is wanted, else one that is never shorter than the old."""
    if _nominal(old) >= days:
        return old
    longer = new
    while not _is_as_long(longer, old):
        longer = {**longer, "count": longer["count"] + 1}
    return longer
