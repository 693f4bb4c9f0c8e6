"""How many runs a schedule comes to, and when nobody can tell."""

import json
from typing import Any

import pytest
from building import DAILY, hourly
from hypothesis import given
from hypothesis import strategies as st

from auditor.estate.schedule import Runs, Schedule, read_schedule, runs_in_window

INTERVALS = (4, 6, 8, 12, 24)
WEEK = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
TIMES = ["2026-01-01T22:00:00Z"]
intervals = st.sampled_from(INTERVALS)
windows = st.integers(1, 24)


def read(schedule: object) -> Schedule:
    return read_schedule(json.dumps(schedule))


def standard(frequency: object = "Daily", times: object = TIMES, **own: Any) -> dict[str, Any]:
    kind = "SimpleSchedulePolicy"
    return {"schedulePolicyType": kind, "scheduleRunFrequency": frequency, "scheduleRunTimes": times, **own}


def enhanced(frequency: object, **parts: Any) -> dict[str, Any]:
    return {"schedulePolicyType": "SimpleSchedulePolicyV2", "scheduleRunFrequency": frequency, **parts}


# Azure's hourly schedules: interval, window, runs when the run on the window's end counts. Where the window is whole
# intervals and shorter than a day, that run is not documented, and there may be one fewer.
TABLE = [
    (4, 4, 2),
    (4, 8, 3),
    (4, 12, 4),
    (4, 16, 5),
    (4, 20, 6),
    (4, 23, 6),
    (4, 24, 6),
    (6, 6, 2),
    (6, 12, 3),
    (6, 18, 4),
    (6, 24, 4),
    (8, 8, 2),
    (8, 16, 3),
    (8, 24, 3),
    (12, 12, 2),
    (12, 24, 2),
    (24, 24, 1),
]


@pytest.mark.parametrize(("interval", "window", "most"), TABLE)
def test_runs_in_a_window_are_those_of_the_table(interval: int, window: int, most: int) -> None:
    ambiguous = window % interval == 0 and window < 24
    assert runs_in_window(interval, window) == Runs(most - 1 if ambiguous else most, most)


@pytest.mark.parametrize(
    ("interval", "window", "runs"),
    [
        (4, 1, Runs(1, 1)),
        (4, 5, Runs(2, 2)),
        (4, 21, Runs(6, 6)),
        (6, 23, Runs(4, 4)),
        (12, 13, Runs(2, 2)),
        (24, 1, Runs(1, 1)),
    ],
)
def test_a_window_that_is_not_whole_intervals_is_sure(interval: int, window: int, runs: Runs) -> None:
    assert runs_in_window(interval, window) == runs


@given(intervals, windows)
def test_there_is_at_least_one_run_and_no_more_than_fit_into_a_day(interval: int, window: int) -> None:
    runs = runs_in_window(interval, window)
    assert 1 <= runs.low <= runs.high <= 24 // interval
    assert runs.high - runs.low <= 1


@given(intervals, windows, windows)
def test_a_longer_window_never_has_fewer_runs(interval: int, one: int, other: int) -> None:
    short, long = (runs_in_window(interval, window) for window in sorted((one, other)))
    assert short.low <= long.low
    assert short.high <= long.high


@given(intervals, intervals, windows)
def test_a_longer_interval_never_has_more_runs(one: int, other: int, window: int) -> None:
    often, seldom = (runs_in_window(interval, window) for interval in sorted((one, other)))
    assert seldom.low <= often.low
    assert seldom.high <= often.high


@given(intervals)
def test_around_the_clock_is_sure(interval: int) -> None:
    assert runs_in_window(interval, 24) == Runs(24 // interval, 24 // interval)


@given(intervals, windows)
def test_runs_are_unsure_exactly_where_one_falls_on_the_end_of_a_part_of_the_day(interval: int, window: int) -> None:
    runs = runs_in_window(interval, window)
    assert (runs.low < runs.high) == (window % interval == 0 and window < 24)


@given(intervals, windows)
def test_the_count_is_that_of_counting_the_runs_one_by_one(interval: int, window: int) -> None:
    starts = range(0, 24, interval)
    runs = runs_in_window(interval, window)
    assert runs.low == sum(start < window for start in starts)
    assert runs.high == sum(start <= window for start in starts)


@given(intervals, windows)
def test_every_hourly_schedule_is_the_same_on_each_day_and_told_in_words(interval: int, window: int) -> None:
    schedule = read(hourly(interval, window))
    assert schedule.quietest == schedule.busiest == runs_in_window(interval, window)
    assert schedule.words == f"every {interval} hours for {window} hours"
    assert schedule.reason == ""


def test_azures_own_proposal_is_named() -> None:
    assert "what Azure proposes" in read(hourly(4, 24)).note
    assert read(hourly(6, 24)).note == ""


def test_the_note_on_an_unsure_count_gives_both_numbers() -> None:
    assert "it is 5 or 6 a day" in read(hourly(4, 20)).note
    assert "(20 h)" in read(hourly(4, 20)).note


@pytest.mark.parametrize(
    ("times", "count"),
    [
        ([], 0),
        (TIMES, 1),
        (TIMES * 2, 1),
        (["2026-01-01T22:00:00Z", "2019-03-20T22:00:00+00:00"], 1),
        (["2026-01-01T22:00:00Z", "2026-01-01T10:30:00Z"], 2),
        (["2026-01-01T22:00:00Z", "2026-01-02T10:30:00.0000000Z", "2026-01-03T04:00:00+00:00"], 3),
    ],
)
@pytest.mark.parametrize("version", ["standard", "enhanced"])
def test_a_daily_schedule_runs_once_for_each_distinct_time_of_day(version: str, times: list[str], count: int) -> None:
    enhanced_daily = enhanced("Daily", dailySchedule={"scheduleRunTimes": times})
    schedule = read(standard(times=times) if version == "standard" else enhanced_daily)
    assert schedule.quietest == schedule.busiest == Runs(count, count)


def test_a_daily_schedule_is_told_in_words() -> None:
    assert read(DAILY).words == "daily at 22:00"
    two = ["2026-01-01T22:00:00Z", "2026-01-01T10:30:00Z"]
    assert read(standard(times=two)).words == "daily at 10:30 and 22:00"


def weekly(version: str, days: object, times: object, every: object = None) -> dict[str, Any]:
    if version == "standard":
        return standard("Weekly", times, scheduleRunDays=days, scheduleWeeklyFrequency=every)
    part = {"scheduleRunDays": days, "scheduleRunTimes": times}
    return enhanced("Weekly", weeklySchedule=part, scheduleWeeklyFrequency=every)


days_of_the_week = st.lists(st.sampled_from(WEEK), max_size=10)
clock_times = st.lists(st.integers(0, 47), max_size=6).map(
    lambda halves: [f"2026-01-01T{half // 2:02}:{half % 2 * 30:02}:00Z" for half in halves],
)


@given(
    st.sampled_from(["standard", "enhanced"]),
    days_of_the_week,
    clock_times,
    st.sampled_from([None, 0, 1, 2, 4]),
)
def test_a_weekly_schedule_runs_on_its_days_and_not_on_others(
    version: str,
    days: list[str],
    times: list[str],
    every: int | None,
) -> None:
    schedule = read(weekly(version, days, times, every))
    a_day = len(set(times)) if days else 0
    always = len(set(days)) == 7 and every in (None, 0, 1)
    assert schedule.busiest == Runs(a_day, a_day)
    assert schedule.quietest == (Runs(a_day, a_day) if always else Runs(0, 0))


def test_a_weekly_schedule_is_told_in_words() -> None:
    schedule = read(weekly("standard", ["monday", "SUNDAY"], TIMES))
    assert schedule.words == "weekly on Sunday and Monday at 22:00"
    assert schedule.note == "A weekly policy takes no backup on the other days of the week."
    assert read(weekly("standard", WEEK, TIMES, 2)).words.startswith("every 2 weeks on Sunday, Monday")
    assert read(weekly("standard", WEEK, TIMES)).note == ""


@pytest.mark.parametrize("schedule", [standard(times=[]), weekly("standard", [], TIMES), weekly("enhanced", WEEK, [])])
def test_a_schedule_without_days_or_times_never_runs_and_says_so(schedule: object) -> None:
    found = read(schedule)
    assert found.quietest == found.busiest == Runs(0, 0)
    assert "never runs" in found.note


UNKNOWN: dict[str, tuple[object, str]] = {
    "null": (None, "not an object"),
    "list": ([DAILY], "not an object"),
    "text": ("Daily", "not an object"),
    "number": (5, "not an object"),
    "no-type": ({"scheduleRunFrequency": "Daily", "scheduleRunTimes": TIMES}, "schedulePolicyType is missing"),
    "empty-type": ({**DAILY, "schedulePolicyType": ""}, "schedulePolicyType is missing"),
    "type-is-a-number": ({**DAILY, "schedulePolicyType": 1}, "schedulePolicyType is missing"),
    "log": ({"schedulePolicyType": "LogSchedulePolicy", "scheduleFrequencyInMins": 60}, '"LogSchedulePolicy"'),
    "long-term": ({"schedulePolicyType": "LongTermSchedulePolicy"}, '"LongTermSchedulePolicy"'),
    "new-type": ({**DAILY, "schedulePolicyType": "SimpleSchedulePolicyV3"}, '"SimpleSchedulePolicyV3"'),
    "no-frequency": (standard(None), "scheduleRunFrequency is missing"),
    "invalid-frequency": (standard("Invalid"), '"Invalid"'),
    "standard-hourly": (standard("Hourly"), '"Hourly"'),
    "enhanced-monthly": (enhanced("Monthly"), '"Monthly"'),
    "no-times": (standard(times=None), "scheduleRunTimes is missing"),
    "times-is-text": (standard(times=TIMES[0]), "scheduleRunTimes is missing"),
    "a-time-is-null": (standard(times=[None]), "scheduleRunTimes holds nothing"),
    "a-time-is-a-number": (standard(times=[22]), 'scheduleRunTimes holds "22"'),
    "a-time-is-a-clock-time": (standard(times=["22:00"]), 'scheduleRunTimes holds "22:00"'),
    "one-time-of-two-is-none": (standard(times=[*TIMES, "noon"]), 'scheduleRunTimes holds "noon"'),
    "no-days": (weekly("standard", None, TIMES), "scheduleRunDays is missing"),
    "a-day-is-none": (weekly("standard", ["Funday"], TIMES), "not a day of the week"),
    "a-day-is-a-number": (weekly("enhanced", [0], TIMES), "not a day of the week"),
    "weeks-as-text": (weekly("standard", WEEK, TIMES, "2"), 'scheduleWeeklyFrequency is "2"'),
    "weeks-as-true": (weekly("standard", WEEK, TIMES, every=True), 'scheduleWeeklyFrequency is "True"'),
    "no-daily-part": (enhanced("Daily", scheduleRunTimes=TIMES), "dailySchedule is missing"),
    "no-weekly-part": (enhanced("Weekly", scheduleRunDays=WEEK), "weeklySchedule is missing"),
    "no-hourly-part": (enhanced("Hourly"), "hourlySchedule is missing"),
    "hourly-part-is-a-list": (enhanced("Hourly", hourlySchedule=[]), "hourlySchedule is missing"),
    "no-interval": (enhanced("Hourly", hourlySchedule={"scheduleWindowDuration": 12}), "interval is missing"),
    "no-window": (enhanced("Hourly", hourlySchedule={"interval": 4}), "scheduleWindowDuration is missing"),
    "window-as-a-duration": (hourly(4, "PT12H"), 'scheduleWindowDuration is "PT12H"'),
    "window-as-text": (hourly(4, "12"), "not a number of hours"),
    "window-with-a-fraction": (hourly(4, 12.5), "not a number of hours"),
    "window-null": (hourly(4, None), "scheduleWindowDuration is nothing"),
    "interval-as-true": (hourly(interval=True, window=12), 'interval is "True"'),
    "interval-of-0": (hourly(0, 24), "an interval of 0 hours"),
    "interval-of-minus-4": (hourly(-4, 24), "an interval of -4 hours"),
    "interval-of-5": (hourly(5, 24), "an interval of 5 hours"),
    "interval-of-1": (hourly(1, 24), "an interval of 1 hours"),
    "window-of-0": (hourly(4, 0), "a window of 0 hours"),
    "window-of-minus-1": (hourly(4, -1), "a window of -1 hours"),
    "window-of-25": (hourly(4, 25), "a window of 25 hours"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_azure_does_not_document_is_not_known_and_says_why(name: str) -> None:
    schedule, words = UNKNOWN[name]
    found = read(schedule)
    assert found.quietest is None
    assert found.busiest is None
    assert words in found.reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_KEYS = (
    "scheduleRunFrequency",
    "scheduleRunTimes",
    "scheduleRunDays",
    "scheduleWeeklyFrequency",
    "hourlySchedule",
    "dailySchedule",
    "weeklySchedule",
    "interval",
    "scheduleWindowDuration",
)
_likely = st.sampled_from(["Daily", "Weekly", "Hourly", 4, 12, 24, TIMES, WEEK]) | json_values
_parts = st.dictionaries(st.sampled_from(_KEYS), _likely, max_size=5)
_schedules = st.fixed_dictionaries(
    {"schedulePolicyType": st.sampled_from(["SimpleSchedulePolicy", "SimpleSchedulePolicyV2"]) | json_values},
    optional=dict.fromkeys(_KEYS, _likely | _parts),
)


@given(_schedules | json_values)
def test_whatever_stands_there_the_runs_are_known_or_there_is_a_reason(schedule: object) -> None:
    found = read(schedule)
    assert (found.quietest is None) == (found.busiest is None) == bool(found.reason)
    if found.quietest is not None and found.busiest is not None:
        assert 0 <= found.quietest.low <= found.quietest.high
        assert found.quietest.low <= found.busiest.low
        assert found.quietest.high <= found.busiest.high
    assert found.words


def test_a_schedule_that_is_nested_beyond_all_measure_is_not_known() -> None:
    depth = 100_000
    found = read_schedule("[" * depth + "]" * depth)
    assert found.busiest is None
    assert found.reason
