"""Backup policies that remediation makes: of a template, or of an old policy so that nothing in it gets shorter."""

import calendar
import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from building import hourly
from hypothesis import assume, given
from hypothesis import strategies as st

from auditor.declared.config import PolicyTemplate
from auditor.remediation.policies import (
    PolicyFacts,
    fault_of_template,
    kept_days,
    of_template,
    runs_of,
    strengthened,
    weakenings,
)

Json = dict[str, Any]
RUNS, DAILY, SNAPSHOTS, LONG_TERM = (
    "policy-runs-per-day",
    "policy-daily-retention",
    "policy-instant-restore-retention",
    "policy-long-term-retention",
)
RULES = (RUNS, DAILY, SNAPSHOTS, LONG_TERM)
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
EVERY = ("daily", "weekly", "monthly", "yearly")
NIGHT = "2026-01-01T22:00:00Z"
STANDARD: Json = {
    "schedulePolicyType": "SimpleSchedulePolicy",
    "scheduleRunFrequency": "Daily",
    "scheduleRunTimes": [NIGHT],
    "scheduleWeeklyFrequency": 0,
}
WEEKLY: Json = {**STANDARD, "scheduleRunFrequency": "Weekly", "scheduleRunDays": ["Monday", "Thursday"]}
ENHANCED_WEEKLY: Json = {
    "schedulePolicyType": "SimpleSchedulePolicyV2",
    "scheduleRunFrequency": "Weekly",
    "weeklySchedule": {"scheduleRunDays": ["Monday", "Thursday"], "scheduleRunTimes": [NIGHT]},
    "dailySchedule": None,
}


def keeps(count: int, unit: str = "Days", **marks: Any) -> Json:
    return {"retentionTimes": [NIGHT], "retentionDuration": {"count": count, "durationType": unit}, **marks}


def retention(**schedules: Json) -> Json:
    return {"retentionPolicyType": "LongTermRetentionPolicy", **{f"{e}Schedule": s for e, s in schedules.items()}}


def facts(schedule: Json | None = STANDARD, kept: Json | None = None, **changed: Any) -> PolicyFacts:
    """Return a policy as the inventory has it: a daily one that keeps points for 30 days, but for what is said."""
    values: Json = {
        "id": "/subscriptions/s/p",
        "name": "p",
        "type": None,
        "schedule": schedule,
        "retention": kept if kept is not None else retention(daily=keeps(30)),
        "instant_restore_days": 2.0,
        "time_zone": "UTC",
        "snapshot_consistency": None,
        "tiering": None,
        "instant_restore_groups": {},
        "more_known": True,
    }
    return PolicyFacts(**{**values, **changed})


def better(old: PolicyFacts, *failing: str, **template: Any) -> Json:
    new = strengthened(old, PolicyTemplate(**template), failing)
    assert isinstance(new, dict), new
    return new


def refusal(old: PolicyFacts, *failing: str, **template: Any) -> str:
    why = strengthened(old, PolicyTemplate(**template), failing)
    assert isinstance(why, str)
    return why


# Of a template


def test_a_template_as_it_comes_is_a_daily_standard_policy_of_30_days() -> None:
    assert of_template(PolicyTemplate()) == {
        "backupManagementType": "AzureIaasVM",
        "policyType": "V1",
        "schedulePolicy": {
            "schedulePolicyType": "SimpleSchedulePolicy",
            "scheduleRunFrequency": "Daily",
            "scheduleRunTimes": ["2020-01-01T22:00:00Z"],
        },
        "retentionPolicy": {
            "retentionPolicyType": "LongTermRetentionPolicy",
            "dailySchedule": {
                "retentionTimes": ["2020-01-01T22:00:00Z"],
                "retentionDuration": {"count": 30, "durationType": "Days"},
            },
        },
        "instantRpRetentionRangeInDays": 2,
        "timeZone": "UTC",
    }


def test_a_template_of_all_kinds_of_points_marks_them_by_day_of_the_week() -> None:
    template = PolicyTemplate(weekly_weeks=12, monthly_months=60, yearly_years=10, time="01:30")
    made = of_template(template)["retentionPolicy"]
    at = {"retentionTimes": ["2020-01-01T01:30:00Z"]}
    first = {"daysOfTheWeek": ["Sunday"], "weeksOfTheMonth": ["First"]}
    weekly = {"retentionScheduleFormatType": "Weekly", "retentionScheduleWeekly": first}
    assert made["weeklySchedule"] == {**at, "daysOfTheWeek": ["Sunday"], "retentionDuration": span(12, "Weeks")}
    assert made["monthlySchedule"] == {**at, **weekly, "retentionDuration": span(60, "Months")}
    assert made["yearlySchedule"] == {
        **at,
        **weekly,
        "monthsOfYear": ["January"],
        "retentionDuration": span(10, "Years"),
    }


def span(count: int, unit: str) -> Json:
    return {"count": count, "durationType": unit}


def test_an_enhanced_template_runs_daily_or_every_few_hours() -> None:
    daily = of_template(PolicyTemplate(type="V2", instant_restore_days=7))
    assert (daily["policyType"], runs_of(daily)) == ("V2", "daily at 22:00")
    often = of_template(PolicyTemplate(type="V2", interval_hours=6, window_hours=18, time="04:00"))
    assert runs_of(often) == "every 6 hours for 18 hours"
    assert often["schedulePolicy"]["hourlySchedule"]["scheduleWindowStartTime"] == "2020-01-01T04:00:00Z"
    assert often["retentionPolicy"]["dailySchedule"]["retentionTimes"] == ["2020-01-01T04:00:00Z"]


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ({}, ""),
        # Azure's own tools take one time of a daily enhanced policy, too.
        ({"interval_hours": 6}, "interval_hours: "),
        ({"instant_restore_days": 5}, ""),
        ({"instant_restore_days": 6}, "instant_restore_days: such a policy keeps snapshots for 5 days at most"),
        ({"type": "V2", "instant_restore_days": 30}, ""),
        ({"type": "V2", "instant_restore_days": 30, "daily_days": 14}, "instant_restore_days: such a policy keeps "),
        ({"type": "V2", "interval_hours": 6, "window_hours": 24, "instant_restore_days": 22}, ""),
        ({"type": "V2", "interval_hours": 6, "window_hours": 24, "instant_restore_days": 23}, "instant_restore_days: "),
        ({"type": "V2", "interval_hours": 4, "window_hours": 12, "instant_restore_days": 18}, "instant_restore_days: "),
        ({"type": "V2", "interval_hours": 12, "window_hours": 24, "instant_restore_days": 30}, ""),
        ({"type": "V2", "interval_hours": 12, "window_hours": 11}, "window_hours: 11 is shorter than "),
        ({"type": "V2", "interval_hours": 12, "window_hours": 12}, ""),
        # 3 or 4 a day, as nobody says what happens at the end of the window: both are right.
        ({"type": "V2", "interval_hours": 4, "window_hours": 12}, ""),
        ({"type": "V2", "interval_hours": 4, "window_hours": 16}, ""),
        ({"type": "V2", "interval_hours": 4, "window_hours": 19}, ""),
        ({"type": "V2", "interval_hours": 4, "window_hours": 20}, "window_hours: every 4 hours for 20 hours is 5 or 6"),
        ({"type": "V2", "interval_hours": 4, "window_hours": 21}, "window_hours: every 4 hours for 21 hours is 6 back"),
        ({"type": "V2", "interval_hours": 4, "window_hours": 24}, "window_hours: every 4 hours for 24 hours is 6 back"),
        ({"time_zone": "Europe/Berlin"}, "time_zone: Europe/Berlin is no Windows name"),
        ({"time_zone": "W. Europe Standard Time"}, ""),
    ],
)
def test_a_template_that_cannot_be_is_found_out(template: Json, fault: str) -> None:
    said = fault_of_template(PolicyTemplate(**template))
    assert said.startswith(fault)
    assert bool(said) == bool(fault)


# What is kept


@pytest.mark.parametrize(
    ("policy", "days"),
    [
        (retention(daily=keeps(30)), {"daily": 30}),
        (retention(weekly=keeps(12, "Weeks"), yearly=keeps(2, "years")), {"weekly": 84, "yearly": 730}),
        (retention(daily=keeps(3, "WEEKS"), monthly=keeps(6, "Months")), {"daily": 21, "monthly": 180}),
        ({"retentionPolicyType": "SimpleRetentionPolicy", "retentionDuration": span(40, "Days")}, {"daily": 40}),
        ({**retention(daily=keeps(30)), "retentionDuration": None, "weeklySchedule": None}, {"daily": 30}),
        ({"retentionPolicyType": "longTERMretentionPolicy", "dailySchedule": keeps(9)}, {"daily": 9}),
        (retention(monthly=keeps(6, "Months")), None),
        (retention(daily=keeps(3, "Fortnights")), None),
        (retention(daily={"retentionTimes": []}), None),
        ({}, None),
    ],
)
def test_what_is_kept_is_counted_in_days_or_not_known(policy: Json, days: dict[str, int] | None) -> None:
    assert kept_days(policy) == days


# Of an old policy


def test_what_the_rules_accept_stays_as_it_is() -> None:
    marks = {"daysOfTheWeek": ["Wednesday", "Friday"]}
    kept = retention(daily=keeps(20), weekly=keeps(8, "Weeks", **marks))
    old = facts(kept=kept, instant_restore_days=3.0, time_zone="Tokyo Standard Time")
    wishes: Json = {"weekly_weeks": 52, "monthly_months": 12, "yearly_years": 7, "instant_restore_days": 5}
    new = better(old, DAILY, **wishes, time_zone="UTC", time="03:00")
    assert new["schedulePolicy"] == STANDARD
    assert new["timeZone"] == "Tokyo Standard Time"
    assert new["instantRpRetentionRangeInDays"] == 3
    assert new["retentionPolicy"] == {**kept, "dailySchedule": keeps(30)}


def test_a_policy_without_a_time_zone_is_not_moved_to_another() -> None:
    assert better(facts(time_zone=None), SNAPSHOTS, time_zone="Tokyo Standard Time", instant_restore_days=3)[
        "timeZone"
    ] == ("UTC")


def test_what_is_longer_than_the_template_stays() -> None:
    kept = retention(daily=keeps(90), monthly=keeps(3, "Months", **MONTHLY_BY_DATE))
    new = better(facts(kept=kept), LONG_TERM, monthly_months=12, daily_days=7)
    assert new["retentionPolicy"] == retention(daily=keeps(90), monthly=keeps(12, "Months", **MONTHLY_BY_DATE))


MONTHLY_BY_DATE: Json = {
    "retentionScheduleFormatType": "Daily",
    "retentionScheduleDaily": {"daysOfTheMonth": [{"date": 1, "isLast": False}]},
}


def test_months_are_not_swapped_for_weeks_that_are_shorter() -> None:
    kept = retention(daily=keeps(50, "Months"))
    new = better(facts(kept=kept), DAILY, daily_days=1505)  # 50 months can be 1,523 days
    assert kept_days(new["retentionPolicy"]) == {"daily": 1525}
    assert weakenings(facts(kept=kept), new) == []
    assert weakenings(facts(kept=kept), {**new, "retentionPolicy": retention(daily=keeps(1505))}) == [
        "daily recovery points are kept for 1505 days instead of 50 months"
    ]


def test_one_duration_for_all_points_becomes_one_of_the_points_that_there_are() -> None:
    simple = {"retentionPolicyType": "SimpleRetentionPolicy", "retentionDuration": span(40, "Days")}
    new = better(facts(kept=simple), DAILY, daily_days=60)
    assert new["retentionPolicy"] == retention(daily=keeps(60))
    old = facts(WEEKLY, simple, instant_restore_days=5.0)
    new = better(old, DAILY, daily_days=60)
    assert new["retentionPolicy"] == retention(weekly=keeps(9, "Weeks", daysOfTheWeek=["Monday", "Thursday"]))
    assert weakenings(old, new) == []


@pytest.mark.parametrize("schedule", [WEEKLY, ENHANCED_WEEKLY])
def test_a_policy_that_stays_weekly_keeps_weekly_points_for_as_long_as_daily_ones_are_wanted(schedule: Json) -> None:
    old = facts(schedule, retention(weekly=keeps(2, "Weeks", daysOfTheWeek=["Monday"])), instant_restore_days=5.0)
    new = better(old, DAILY, daily_days=30)
    assert new["retentionPolicy"] == retention(weekly=keeps(5, "Weeks", daysOfTheWeek=["Monday"]))


def test_a_policy_that_runs_weekly_has_weekly_points_only() -> None:
    old = facts(WEEKLY, retention(daily=keeps(20)), instant_restore_days=5.0)
    new = better(old, LONG_TERM, monthly_months=1)
    assert kept_days(new["retentionPolicy"]) == {"weekly": 21, "monthly": 30}
    assert new["retentionPolicy"]["weeklySchedule"]["daysOfTheWeek"] == ["Monday", "Thursday"]
    assert new["retentionPolicy"]["monthlySchedule"]["retentionScheduleWeekly"]["daysOfTheWeek"] == ["Monday"]
    assert weakenings(old, new) == ["daily recovery points are kept for 0 days instead of 20 days"]


def test_a_weekly_policy_becomes_daily_and_loses_nothing() -> None:
    marks = {"daysOfTheWeek": ["Monday", "Thursday"]}
    old = facts(WEEKLY, retention(weekly=keeps(12, "Weeks", **marks)), instant_restore_days=5.0)
    new = better(old, RUNS, time="03:00")
    at = {"retentionTimes": ["2020-01-01T03:00:00Z"]}
    assert new["retentionPolicy"] == retention(daily={**keeps(30), **at}, weekly={**keeps(12, "Weeks", **marks), **at})
    assert (new["instantRpRetentionRangeInDays"], runs_of(new)) == (5, "daily at 03:00")
    assert weakenings(old, new) == []


@pytest.mark.parametrize(
    ("schedule", "held", "wanted", "days"),
    [
        (WEEKLY, 5.0, 2, 5),  # Azure takes nothing else
        (WEEKLY, 2.0, 1, 5),
        (WEEKLY, None, 4, 5),
        (STANDARD, 2.0, 9, 5),
        (STANDARD, None, 1, 2),
        (ENHANCED_WEEKLY, 7.0, 28, 20),
        (ENHANCED_WEEKLY, 7.0, 1, 7),
        (hourly(4, 12), 3.0, 30, 17),
        (hourly(6, 12), 3.0, 30, 22),
        (hourly(8, 16), 3.0, 30, 30),
        (hourly(4, 12), 18.0, 30, 18),  # where Azure took more, it stays
        (hourly(4, 12), None, 2, 7),
    ],
)
def test_snapshots_are_kept_as_long_as_azure_takes_it(
    schedule: Json, held: float | None, wanted: int, days: int
) -> None:
    every = "weekly" if "ekly" in schedule["scheduleRunFrequency"] else "daily"
    old = facts(schedule, retention(**{every: keeps(28)}), instant_restore_days=held)
    template = {"type": "V2", "instant_restore_days": wanted, "daily_days": 30}
    assert better(old, SNAPSHOTS, DAILY, **template)["instantRpRetentionRangeInDays"] == days


def test_snapshots_are_kept_no_longer_than_the_points() -> None:
    old = facts(hourly(8, 16), retention(daily=keeps(10)), instant_restore_days=7.0)
    assert better(old, SNAPSHOTS, type="V2", instant_restore_days=30)["instantRpRetentionRangeInDays"] == 10


@pytest.mark.parametrize("word", [None, "V1", "v1", "V2", "v2", "Invalid"])
def test_the_schedule_tells_the_type_of_a_policy(word: str | None) -> None:
    assert better(facts(type=word), SNAPSHOTS, instant_restore_days=3)["policyType"] == "V1"
    enhanced = facts(hourly(8, 16), type=word, instant_restore_days=7.0)
    assert better(enhanced, SNAPSHOTS, type="V2", instant_restore_days=9)["policyType"] == "V2"


def test_what_else_a_policy_says_stays() -> None:
    tiering = {"ArchivedRP": {"tieringMode": "TierAfter", "duration": 3, "durationType": "Months"}}
    groups = {"azureBackupRGNamePrefix": "a", "azureBackupRGNameSuffix": "b"}
    old = facts(tiering=tiering, instant_restore_groups=groups, snapshot_consistency="OnlyCrashConsistent")
    new = better(old, RUNS, DAILY, daily_days=40)
    assert (new["tieringPolicy"], new["instantRPDetails"]) == (tiering, groups)
    assert new["snapshotConsistencyType"] == "OnlyCrashConsistent"


def test_what_is_not_known_whole_is_not_replaced() -> None:
    for old in (facts(None), facts(more_known=False), without_retention(facts())):
        assert "not everything of the old policy is in the inventory" in refusal(old, DAILY)
    assert refusal(facts({**STANDARD, "schedulePolicyType": "LogSchedulePolicy"}), DAILY) == (
        "its schedule is not understood"
    )
    assert refusal(facts({}), DAILY) == "its schedule is not understood"
    assert refusal(facts(kept=retention(daily=keeps(3, "Moons"))), DAILY) == "its retention is not understood"


def without_retention(old: PolicyFacts) -> PolicyFacts:
    return PolicyFacts(**{**{name: getattr(old, name) for name in PolicyFacts.__slots__}, "retention": None})


@pytest.mark.parametrize(
    "schedule",
    [
        {**STANDARD, "scheduleRunTimes": []},
        {**STANDARD, "scheduleRunTimes": None},
        {**STANDARD, "scheduleRunFrequency": None, "scheduleRunTimes": None},
        {**WEEKLY, "scheduleRunDays": []},
        {**ENHANCED_WEEKLY, "weeklySchedule": None},
        {**hourly(4, 12), "hourlySchedule": {"interval": 4, "scheduleWindowDuration": 12}},
        {**hourly(4, 12), "hourlySchedule": None},
        {**hourly(4, 12), "scheduleRunFrequency": None},
    ],
)
def test_a_schedule_that_names_no_time_is_not_carried_over(schedule: Json) -> None:
    assert refusal(facts(schedule), SNAPSHOTS, instant_restore_days=3) == "its schedule names no time"


def test_an_enhanced_policy_does_not_become_a_standard_one() -> None:
    for word in (None, "V2", "v2"):
        old = facts(hourly(4, 24), type=word)
        assert "set remediation.policy.type to V2" in refusal(old, RUNS)
        assert better(old, RUNS, type="V2", interval_hours=6, window_hours=24)["policyType"] == "V2"


def test_a_template_that_asks_for_no_more_changes_nothing() -> None:
    assert "asks for no more" in refusal(facts(), DAILY, daily_days=30)
    assert "asks for no more" in refusal(facts(instant_restore_days=4.0), SNAPSHOTS, instant_restore_days=3)
    assert "asks for no more" in refusal(facts(), LONG_TERM)


# What gets less


def test_less_is_said_of_runs_points_and_snapshots() -> None:
    kept = retention(daily=keeps(30), weekly=keeps(4, "Weeks"))
    old = facts(hourly(4, 24), kept, instant_restore_days=7.0)
    new = {**of_template(PolicyTemplate(type="V2", interval_hours=8, window_hours=24)), "x": 1}
    assert weakenings(old, new) == [
        "backups on the busiest day: 3 instead of 6",
        "backups on the quietest day: 3 instead of 6",
        "the longest time between two backups: 8 hours instead of 4",
        "weekly recovery points are kept for 0 days instead of 4 weeks",
        "snapshots are kept for 2 days instead of 7",
    ]


def test_a_schedule_that_stays_is_no_less_than_itself() -> None:
    for schedule in (hourly(4, 16), {**STANDARD, "schedulePolicyType": "Strange"}):
        old = facts(schedule, instant_restore_days=2.0)
        new = {**of_template(PolicyTemplate()), "schedulePolicy": schedule}
        assert weakenings(old, new) == []


def test_a_year_is_no_less_than_twelve_months() -> None:
    old = facts(kept=retention(daily=keeps(30), monthly=keeps(12, "Months")))
    new = of_template(PolicyTemplate())
    for count, unit, less in ((1, "Years", 0), (11, "Months", 1), (53, "Weeks", 0), (52, "Weeks", 1)):
        kept = retention(daily=keeps(30), monthly=keeps(count, unit))
        assert len(weakenings(old, {**new, "retentionPolicy": kept})) == less, unit


def test_what_cannot_be_compared_is_said() -> None:
    new = of_template(PolicyTemplate())
    assert weakenings(facts({"schedulePolicyType": "Strange"}), new) == [
        "how many backups run on the busiest day cannot be compared",
        "how many backups run on the quietest day cannot be compared",
    ]
    assert weakenings(facts(kept={}), new) == ["retention cannot be compared"]
    assert weakenings(without_retention(facts()), new) == ["retention cannot be compared"]
    assert weakenings(facts(instant_restore_days=None), {**new, "instantRpRetentionRangeInDays": None}) == [
        "snapshots are kept for 0 days instead of 2"
    ]


# Random policies, against what the calendar says

clocks = st.integers(0, 47).map(lambda half: f"2026-01-0{1 + half % 9}T{half // 2:02}:{half % 2 * 30:02}:00Z")
week = st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True)


def cased(draw: st.DrawFn, word: str) -> str:
    return draw(st.sampled_from([word, word, word.lower(), word.upper()]))


@st.composite
def schedules(draw: st.DrawFn) -> Json:
    clock = [draw(clocks)]
    frequency = draw(st.sampled_from(["Daily", "Weekly", "Hourly"]))
    kind = "SimpleSchedulePolicyV2" if frequency == "Hourly" or draw(st.booleans()) else "SimpleSchedulePolicy"
    made: Json = {"schedulePolicyType": cased(draw, kind), "scheduleRunFrequency": cased(draw, frequency)}
    if kind == "SimpleSchedulePolicy":
        made |= {"scheduleRunTimes": clock, "scheduleWeeklyFrequency": draw(st.sampled_from([0, None]))}
        return {**made, "scheduleRunDays": draw(week)} if frequency == "Weekly" else made
    parts: Json = {"hourlySchedule": None, "dailySchedule": None, "weeklySchedule": None}
    if frequency == "Hourly":
        interval = draw(st.sampled_from([4, 6, 8, 12]))
        window = draw(st.integers(interval, 24))
        parts["hourlySchedule"] = {
            "interval": interval,
            "scheduleWindowStartTime": clock[0],
            "scheduleWindowDuration": window,
        }
    elif frequency == "Daily":
        parts["dailySchedule"] = {"scheduleRunTimes": clock}
    else:
        parts["weeklySchedule"] = {"scheduleRunDays": draw(week), "scheduleRunTimes": clock}
    nulls = draw(st.booleans())
    return made | {name: part for name, part in parts.items() if part is not None or nulls}


def frequency_of(schedule: Json) -> str:
    return str(schedule["scheduleRunFrequency"]).lower()


def times_of(schedule: Json) -> list[str]:
    if schedule["schedulePolicyType"].lower() == "simpleschedulepolicy":
        return list(schedule["scheduleRunTimes"])
    part = schedule[f"{frequency_of(schedule)}Schedule"]
    return [part["scheduleWindowStartTime"]] if "interval" in part else list(part["scheduleRunTimes"])


@st.composite
def kept(draw: st.DrawFn, schedule: Json, longest_snapshots: int = 0) -> Json:
    """Make a retention as Azure takes it with a schedule: no daily points and no dates with a weekly one."""
    is_weekly = frequency_of(schedule) == "weekly"
    if draw(st.integers(0, 9)) == 0:
        return {
            "retentionPolicyType": "SimpleRetentionPolicy",
            "retentionDuration": span(draw(st.integers(30, 99)), "Days"),
        }
    made: Json = {"retentionPolicyType": cased(draw, "LongTermRetentionPolicy")}
    unit = {"daily": "Days", "weekly": "Weeks", "monthly": "Months", "yearly": "Years"}
    most = {"Days": 4000, "Weeks": 600, "Months": 200, "Years": 90}
    for every in EVERY:
        must = every == ("weekly" if is_weekly else "daily")
        if (every == "daily" and is_weekly) or not (must or draw(st.booleans())):
            if draw(st.booleans()):
                made[f"{every}Schedule"] = None
            continue
        word = draw(st.sampled_from([unit[every]] * 4 + list(most)))
        least = {"Days": max(7, longest_snapshots), "Weeks": 5}.get(word, 1)
        part: Json = {"retentionDuration": span(draw(st.integers(least, most[word])), cased(draw, word))}
        if draw(st.booleans()):
            part["retentionTimes"] = times_of(schedule)
        if every == "weekly":
            part["daysOfTheWeek"] = draw(week)
        if every in ("monthly", "yearly"):
            by_date = not is_weekly and draw(st.booleans())
            by_day = {"daysOfTheWeek": draw(week), "weeksOfTheMonth": ["First", "Last"]}
            dates = {"daysOfTheMonth": [{"date": 15, "isLast": False}]}
            part["retentionScheduleFormatType"] = "Daily" if by_date else "Weekly"
            part["retentionScheduleDaily"] = dates if by_date else None
            part["retentionScheduleWeekly"] = None if by_date else by_day
        if every == "yearly":
            part["monthsOfYear"] = ["March"]
        made[f"{every}Schedule"] = part
    return made


def snapshots_allowed(schedule: Json) -> tuple[int, int]:
    enhanced = schedule["schedulePolicyType"].lower().endswith("v2")
    if frequency_of(schedule) == "weekly":
        return (5, 20) if enhanced else (5, 5)
    interval = (schedule.get("hourlySchedule") or {"interval": 24})["interval"]
    return (1, {4: 17, 6: 22}.get(interval, 30)) if enhanced else (1, 5)


@st.composite
def policies(draw: st.DrawFn) -> PolicyFacts:
    """Make a policy that Azure may hold."""
    schedule = draw(schedules())
    low, high = snapshots_allowed(schedule)
    days = (
        draw(st.one_of(st.none(), st.integers(low, high).map(float)))
        if low == 1
        else float(draw(st.integers(low, high)))
    )
    enhanced = schedule["schedulePolicyType"].lower().endswith("v2")
    return facts(
        schedule,
        draw(kept(schedule, int(days or 7))),
        type=draw(st.sampled_from(["V2", "v2"] if enhanced else ["V1", None])),
        instant_restore_days=days,
        time_zone=draw(st.sampled_from([None, "UTC", "India Standard Time"])),
        snapshot_consistency=draw(st.sampled_from([None, "OnlyCrashConsistent"])),
        tiering=draw(st.sampled_from([None, {"ArchivedRP": {"tieringMode": "DoNotTier"}}])),
        instant_restore_groups=draw(st.sampled_from([None, {}, {"azureBackupRGNamePrefix": "x"}])),
    )


@st.composite
def templates(draw: st.DrawFn) -> PolicyTemplate:
    """Make a template that has no fault; it is drawn from all that the configuration takes."""
    made = msgspec.convert(
        {
            "type": draw(st.sampled_from(["V1", "V2"])),
            "time": draw(clocks)[11:16],
            "interval_hours": draw(st.sampled_from([None, 4, 6, 8, 12])),
            "window_hours": draw(st.integers(4, 24)),
            "time_zone": draw(st.sampled_from(["UTC", "Tokyo Standard Time"])),
            "daily_days": draw(st.one_of(st.integers(7, 99), st.integers(7, 9999))),
            "weekly_weeks": draw(st.integers(0, 60)),
            "monthly_months": draw(st.one_of(st.just(0), st.integers(0, 300))),
            "yearly_years": draw(st.integers(0, 99)),
            "instant_restore_days": draw(st.one_of(st.integers(1, 5), st.integers(1, 30))),
        },
        PolicyTemplate,
    )
    assume(not fault_of_template(made))
    return made


STARTS = [date(year, month, day) for year in (2023, 2024, 2025) for month in range(1, 13) for day in (1, 28)]


def end(start: date, duration: Json) -> date:
    """Return the day on which something expires that was kept from a day on."""
    count, unit = duration["count"], duration["durationType"].lower()
    if unit in ("days", "weeks"):
        return start + timedelta(days=count * (7 if unit == "weeks" else 1))
    months = start.year * 12 + start.month - 1 + count * (12 if unit == "years" else 1)
    year, month = months // 12, months % 12 + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


def durations(policy: Json, schedule: Json) -> dict[str, Json]:
    if "retentionDuration" in policy:
        return {"weekly" if frequency_of(schedule) == "weekly" else "daily": policy["retentionDuration"]}
    return {every: part["retentionDuration"] for every in EVERY if (part := policy.get(f"{every}Schedule"))}


def shorter(old: Json, new: Json | None) -> bool:
    return new is None or any(end(start, new) < end(start, old) for start in STARTS)


def starts_in_a_week(schedule: Json, *, at_the_end: bool) -> Iterator[float]:
    """Yield the hours of a week at which backups start, with or without one at the end of a window."""
    clock = {int(time[11:13]) + int(time[14:16]) / 60 for time in times_of(schedule)}
    part = schedule.get("weeklySchedule") or schedule
    for day, name in enumerate(DAYS):
        if frequency_of(schedule) == "weekly" and name not in part["scheduleRunDays"]:
            continue
        for hour in clock:
            yield day * 24 + hour
            if frequency_of(schedule) == "hourly":
                interval, window = (schedule["hourlySchedule"][key] for key in ("interval", "scheduleWindowDuration"))
                later = range(interval, 24, interval)
                yield from (day * 24 + hour + k for k in later if k < window or (k == window and at_the_end))


def runs(schedule: Json, *, at_the_end: bool) -> tuple[int, int, float]:
    """Return the runs of the quietest and the busiest day, and the longest time without one."""
    starts = sorted(starts_in_a_week(schedule, at_the_end=at_the_end))
    shift = min(int(time[11:13]) + int(time[14:16]) / 60 for time in times_of(schedule))
    days = [sum(1 for start in starts if (start - shift) // 24 == day) for day in range(7)]
    gaps = [after - before for before, after in zip(starts, [*starts[1:], starts[0] + 168], strict=True)]
    return min(days), max(days), max(gaps)


def is_less(old: Json, new: Json) -> set[str]:
    """Tell what of a schedule may be less than it was, for what nobody knows about ends of windows."""
    if old == new:
        return set()
    before = [runs(old, at_the_end=end) for end in (False, True)]
    after = [runs(new, at_the_end=end) for end in (False, True)]
    return {
        what
        for what, found in (
            ("quietest", min(a[0] for a in after) < max(b[0] for b in before)),
            ("busiest", min(a[1] for a in after) < max(b[1] for b in before)),
            ("longest time", max(a[2] for a in after) > min(b[2] for b in before)),
        )
        if found
    }


failures = st.lists(st.sampled_from(RULES), min_size=1, unique=True)


@given(policies(), templates(), failures)
def test_a_stronger_policy_keeps_no_point_for_less_and_azure_takes_it(
    old: PolicyFacts, template: PolicyTemplate, failing: Sequence[str]
) -> None:
    new = strengthened(old, template, failing)
    assert old.schedule is not None
    assert old.retention is not None
    if isinstance(new, str):
        changes = RUNS in failing and new.startswith("an enhanced policy")
        assert changes or (RUNS not in failing and "asks for no more" in new)
        return
    schedule, policy = new["schedulePolicy"], new["retentionPolicy"]
    before, after = durations(old.retention, old.schedule), durations(policy, schedule)
    assert [every for every, held in before.items() if shorter(held, after.get(every))] == []
    if RUNS not in failing:
        assert schedule == old.schedule
        assert new["timeZone"] == (old.time_zone or "UTC")
    else:
        assert schedule == of_template(template)["schedulePolicy"]
    assert_azure_takes(new)
    marks_before = {every: marks(old.retention.get(f"{every}Schedule")) for every in EVERY}
    for every in EVERY:
        if marks_before[every] and f"{every}Schedule" in policy:
            assert marks(policy[f"{every}Schedule"]) == marks_before[every]
    if LONG_TERM not in failing:
        assert set(after) <= {*before, "daily", "weekly"}
    rests = {"daily": DAILY, "weekly": DAILY, "monthly": LONG_TERM, "yearly": LONG_TERM}
    assert all(after[every] == held for every, held in before.items() if rests[every] not in failing)
    base = "weekly" if frequency_of(schedule) == "weekly" else "daily"
    if DAILY in failing:
        assert (kept_days(policy) or {})[base] >= template.daily_days
    held = old.instant_restore_days
    if held is not None and schedule == old.schedule:
        assert new["instantRpRetentionRangeInDays"] >= held
    assert_weakenings_are_complete(old, new)


def marks(part: Json | None) -> Json:
    names = ("retentionTimes", "retentionDuration")
    return {name: value for name, value in (part or {}).items() if name not in names and value is not None}


def assert_azure_takes(new: Json) -> None:
    schedule, policy = new["schedulePolicy"], new["retentionPolicy"]
    assert new["policyType"] == ("V2" if schedule["schedulePolicyType"].lower().endswith("v2") else "V1")
    assert len(times_of(schedule)) == 1
    assert policy["retentionPolicyType"] == "LongTermRetentionPolicy"
    parts = [policy[f"{every}Schedule"] for every in EVERY if f"{every}Schedule" in policy]
    assert all(part["retentionTimes"] == times_of(schedule) for part in parts)
    assert all(value is not None for part in parts for value in part.values())
    if frequency_of(schedule) == "weekly":
        assert "dailySchedule" not in policy
        assert "weeklySchedule" in policy
    else:
        assert (kept_days(policy) or {})["daily"] >= 7
    for every in ("monthly", "yearly"):
        part = policy.get(f"{every}Schedule", {"retentionScheduleFormatType": "Weekly", "retentionScheduleWeekly": {}})
        form = part["retentionScheduleFormatType"]
        assert [name for name in ("Daily", "Weekly") if f"retentionSchedule{name}" in part] == [form]
        assert form == "Weekly" or frequency_of(schedule) != "weekly"
    low, high = snapshots_allowed(schedule)
    assert low <= new["instantRpRetentionRangeInDays"] <= high
    assert msgspec.json.decode(json.dumps(new)) == new


def assert_weakenings_are_complete(old: PolicyFacts, new: Json) -> None:
    assert old.schedule is not None
    assert old.retention is not None
    said = weakenings(old, new)
    less = is_less(old.schedule, new["schedulePolicy"])
    for what in ("quietest", "busiest", "longest time"):
        assert any(what in entry for entry in said) == (what in less), (what, said)
    before = durations(old.retention, old.schedule)
    after = durations(new["retentionPolicy"], new["schedulePolicy"])
    for every, held in before.items():
        told = any(entry.startswith(every) for entry in said)
        is_shorter = shorter(held, after.get(every))
        assert told or not is_shorter
        if every in after and group(held) == group(after[every]):
            assert told == is_shorter
    held_days = old.instant_restore_days
    if held_days is None:
        held_days = 7 if new["policyType"] == "V2" and "v2" in str(old.type).lower() else 2
    assert any(entry.startswith("snapshots") for entry in said) == (new["instantRpRetentionRangeInDays"] < held_days)


def group(duration: Json) -> bool:
    return duration["durationType"].lower() in ("days", "weeks")


@given(policies(), policies())
def test_what_gets_less_from_any_policy_to_any_other_is_said(old: PolicyFacts, other: PolicyFacts) -> None:
    kind = "V2" if "v2" in str(other.type).lower() else "V1"
    days = int(other.instant_restore_days or 3)
    assert other.schedule is not None
    assert other.retention is not None
    new: Json = {"policyType": kind, "schedulePolicy": other.schedule, "retentionPolicy": other.retention}
    new["instantRpRetentionRangeInDays"] = days
    old_kind = "V2" if "v2" in str(old.type).lower() else "V1"
    if old.instant_restore_days is None and old_kind != kind:
        old = facts(old.schedule, old.retention, type=old.type, instant_restore_days=4.0)
    assert_weakenings_are_complete(old, new)


@given(templates())
def test_azure_takes_every_template_that_has_no_fault(template: PolicyTemplate) -> None:
    made = of_template(template)
    assert_azure_takes(made)
    low, high, _ = runs(made["schedulePolicy"], at_the_end=True)
    fewest, _, _ = runs(made["schedulePolicy"], at_the_end=False)
    assert 1 <= fewest <= low == high <= 5
    assert made["instantRpRetentionRangeInDays"] <= template.daily_days
