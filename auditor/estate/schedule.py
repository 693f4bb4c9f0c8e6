"""How often a backup policy runs: Azure's schedule JSON -> runs a day and the longest gap between two, within bounds.

Shapes: https://learn.microsoft.com/rest/api/backup/protection-policies/create-or-update (``SimpleSchedulePolicy`` is
the standard policy, ``SimpleSchedulePolicyV2`` the enhanced one).
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from auditor.text import fold, visible
from auditor.timestamps import parse_time

DAY = 24  # hours
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
# https://learn.microsoft.com/azure/backup/backup-azure-vms-enhanced-policy; 24 is documented for reading only.
_HOURLY_INTERVALS = (4, 6, 8, 12, 24)


@dataclass(frozen=True, slots=True)
class Runs:
    """How often backups start on one day: at least ``low``, at most ``high``; equal when it is known exactly."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time between two planned starts, in hours: at least ``low``, at most ``high``."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a schedule comes to.

    Attributes:
        quietest: runs on the day of the week with the fewest; ``None`` when it is not known.
        busiest: runs on the day with the most.
        words: the schedule as a person would say it.
        note: what is worth knowing about it; may be empty.
        reason: why the runs are not known; empty when they are.
        gap: the longest time between two runs; ``None`` when it is not known or the policy never runs.
    """

    quietest: Runs | None
    busiest: Runs | None
    words: str
    note: str = ""
    reason: str = ""
    gap: Gap | None = None


class _NotKnown(Exception):
    """The schedule cannot be understood; the message is the reason."""


def read_schedule(text: str) -> Schedule:
    """Work out a schedule from the JSON text of a policy's ``schedulePolicy``.

    What Azure does not document, or leaves out, makes the runs unknown: never 0, never 1.
    """
    try:
        schedule = json.loads(text)
        if not isinstance(schedule, dict):
            raise _NotKnown("the schedule is not an object")
        kind = _word(schedule, "schedulePolicyType")
        if kind == "simpleschedulepolicy":
            return _standard(schedule)
        if kind == "simpleschedulepolicyv2":
            return _enhanced(schedule)
        raise _NotKnown(f"the schedule type {_shown(schedule.get('schedulePolicyType'))} is not one of VM backup")
    except _NotKnown as reason:
        return Schedule(None, None, "an unknown schedule", reason=str(reason))
    except RecursionError:
        return Schedule(None, None, "an unknown schedule", reason="the schedule is nested too deeply")


def _standard(schedule: dict[str, Any]) -> Schedule:
    match _word(schedule, "scheduleRunFrequency"):
        case "daily":
            return _daily(_clock_times(schedule, "scheduleRunTimes"))
        case "weekly":
            return _weekly(
                _days(schedule),
                _clock_times(schedule, "scheduleRunTimes"),
                schedule.get("scheduleWeeklyFrequency"),
            )
        case _:
            raise _NotKnown(f"a standard policy that runs {_shown(schedule.get('scheduleRunFrequency'))}")


def _enhanced(schedule: dict[str, Any]) -> Schedule:
    match _word(schedule, "scheduleRunFrequency"):
        case "hourly":
            return _hourly(_part(schedule, "hourlySchedule"))
        case "daily":
            return _daily(_clock_times(_part(schedule, "dailySchedule"), "scheduleRunTimes"))
        case "weekly":
            weekly = _part(schedule, "weeklySchedule")
            return _weekly(
                _days(weekly), _clock_times(weekly, "scheduleRunTimes"), schedule.get("scheduleWeeklyFrequency")
            )
        case _:
            raise _NotKnown(f"an enhanced policy that runs {_shown(schedule.get('scheduleRunFrequency'))}")


def _daily(times: list[str]) -> Schedule:
    runs = Runs(len(times), len(times))
    if not times:
        return Schedule(runs, runs, "daily at no time", "The policy names no time, so it never runs.")
    return Schedule(runs, runs, f"daily at {_and(times)}", gap=_longest_gap([0], times, DAY))


def _weekly(days: list[str], times: list[str], every: object) -> Schedule:
    if every is not None and (isinstance(every, bool) or not isinstance(every, int)):
        raise _NotKnown(f"scheduleWeeklyFrequency is {_shown(every)}")
    if every is not None and every < 0:
        raise _NotKnown(f"scheduleWeeklyFrequency is {_shown(every)}")
    weeks = max(1, every or 1)
    busiest = Runs(len(times), len(times)) if days else Runs(0, 0)
    quietest = busiest if len(days) == len(_WEEKDAYS) and weeks == 1 else Runs(0, 0)
    week = "weekly" if weeks == 1 else f"every {weeks} weeks"
    if not days or not times:
        return Schedule(
            Runs(0, 0), Runs(0, 0), f"{week} on no day", "The policy names no day or time, so it never runs."
        )
    note = "" if quietest.low else "A weekly policy takes no backup on the other days of the week."
    words = f"{week} on {_and([day.capitalize() for day in days])} at {_and(times)}"
    # Runs of every n-th week are followed by n - 1 weeks without any.
    gap = _longest_gap([_WEEKDAYS.index(day) for day in days], times, weeks * len(_WEEKDAYS) * DAY)
    return Schedule(quietest, busiest, words, note, gap=gap)


def _longest_gap(days: list[int], times: list[str], period: int) -> Gap:
    """Return the longest time between runs at clock times on days of a plan that repeats after ``period`` hours."""
    starts = sorted(day * DAY + int(time[:2]) + int(time[3:]) / 60 for day in days for time in times)
    following = [*starts[1:], starts[0] + period]
    longest = max(after - before for before, after in zip(starts, following, strict=True))
    return Gap(longest, longest)


def _hourly(hourly: dict[str, Any]) -> Schedule:
    interval, window = _hours(hourly, "interval"), _hours(hourly, "scheduleWindowDuration")
    if interval not in _HOURLY_INTERVALS:
        raise _NotKnown(f"an interval of {interval} hours, which Azure does not document")
    if not 0 < window <= DAY:
        raise _NotKnown(f"a window of {window} hours, which Azure does not document")
    runs = runs_in_window(interval, window)
    words = f"every {interval} hours for {window} hours"
    note = ""
    if (interval, window) == (4, DAY):
        note = "This is what Azure proposes for an Enhanced policy: every 4 hours, around the clock, 6 backups a day."
    elif runs.low != runs.high:
        note = (
            f"Azure does not document whether a run that falls exactly on the end of the window ({window} h) starts, "
            f"so it is {runs.low} or {runs.high} a day."
        )
    # The longest gap is the one over night: from the last run of a day to the first of the next.
    gap = Gap(DAY - (runs.high - 1) * interval, DAY - (runs.low - 1) * interval)
    return Schedule(runs, runs, words, note, gap=gap)


def runs_in_window(interval: int, window: int) -> Runs:
    """Count the runs of an hourly schedule on one day; both in hours, ``0 < window <= 24``.

    The first run starts with the window. A run that falls exactly on the window's end is not documented to start or
    not, which leaves two counts; more than fit into a day there cannot be.
    """
    most = DAY // interval
    high = min(window // interval + 1, most)
    low = min(math.ceil(window / interval), most)
    return Runs(low, high)


def _word(schedule: dict[str, Any], name: str) -> str:
    value = schedule.get(name)
    if not isinstance(value, str) or not value:
        raise _NotKnown(f"{name} is missing")
    return fold(value)


def _part(schedule: dict[str, Any], name: str) -> dict[str, Any]:
    part = schedule.get(name)
    if not isinstance(part, dict):
        raise _NotKnown(f"{name} is missing")
    return part


def _hours(schedule: dict[str, Any], name: str) -> int:
    value = schedule.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _NotKnown(
            f"{name} is {_shown(value)}, not a number of hours" if name in schedule else f"{name} is missing"
        )
    return value


def _clock_times(schedule: dict[str, Any], name: str) -> list[str]:
    """Return the distinct times of day as ``HH:MM``; Azure gives whole dates of which only the time matters."""
    times = schedule.get(name)
    if not isinstance(times, list):
        raise _NotKnown(f"{name} is missing")
    clock = set()
    for time in times:
        if not isinstance(time, str) or parse_time(time) is None:
            raise _NotKnown(f"{name} holds {_shown(time)}, which is not a time")
        clock.add(time.strip()[11:16])
    return sorted(clock)


def _days(schedule: dict[str, Any]) -> list[str]:
    days = schedule.get("scheduleRunDays")
    if not isinstance(days, list):
        raise _NotKnown("scheduleRunDays is missing")
    folded = {fold(day) if isinstance(day, str) else "" for day in days}
    if not folded <= set(_WEEKDAYS):
        raise _NotKnown("scheduleRunDays holds what is not a day of the week")
    return [day for day in _WEEKDAYS if day in folded]


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _shown(value: object) -> str:
    return "nothing" if value is None else f'"{visible(str(value))[:60]}"'
