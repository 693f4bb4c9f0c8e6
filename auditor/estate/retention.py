"""How long a backup policy keeps recovery points: Azure's retention JSON -> days, months and years.

Shapes: https://learn.microsoft.com/rest/api/backup/protection-policies/create-or-update (``LongTermRetentionPolicy``
has a schedule for each kind of point it keeps, ``SimpleRetentionPolicy`` one duration for all of them).
"""

import json
from dataclasses import dataclass
from typing import Any

from auditor.text import fold, visible

_DAYS = {"days": 1, "weeks": 7, "months": 30, "years": 365}
_MONTH, _YEAR = 30, 365


@dataclass(frozen=True, slots=True)
class Retention:
    """What a retention policy comes to; ``None`` is what is not known.

    Attributes:
        days: how long daily points are kept; those of a weekly policy where there are none.
        months: how long monthly points are kept; 0 when the policy keeps none.
        years: how long yearly points are kept; 0 when the policy keeps none.
        note: what is worth knowing about it; may be empty.
        reason: why something is not known; empty when all is.
    """

    days: int | None
    months: int | None
    years: int | None
    note: str = ""
    reason: str = ""


class _NotKnown(Exception):
    """The retention cannot be understood; the message is the reason."""


def read_retention(text: str) -> Retention:
    """Work out a retention from the JSON text of a policy's ``retentionPolicy``.

    What Azure does not document, or leaves out, is not known: never 0.
    """
    try:
        policy = json.loads(text)
        if not isinstance(policy, dict):
            raise _NotKnown("the retention is not an object")
        kind = policy.get("retentionPolicyType")
        match fold(kind) if isinstance(kind, str) else None:
            case "longtermretentionpolicy":
                return _long_term(policy)
            case "simpleretentionpolicy":
                return Retention(_duration(policy, "the policy"), 0, 0)
            case _:
                raise _NotKnown(f"the retention type {_shown(kind)} is not one of VM backup")
    except _NotKnown as reason:
        return Retention(None, None, None, reason=str(reason))
    except RecursionError:
        return Retention(None, None, None, reason="the retention is nested too deeply")


def _long_term(policy: dict[str, Any]) -> Retention:
    daily, weekly, monthly, yearly = (
        _kept(policy, f"{every}Schedule") for every in ("daily", "weekly", "monthly", "yearly")
    )
    if daily is None and weekly is None:
        raise _NotKnown("the policy keeps neither daily nor weekly points")
    note = ""
    if daily is None and weekly is not None:
        note = f"It keeps weekly points only, which counts as {weekly} days (7 to a week)."
    return Retention(weekly if daily is None else daily, (monthly or 0) // _MONTH, (yearly or 0) // _YEAR, note)


def _kept(policy: dict[str, Any], name: str) -> int | None:
    """Return the days that one of the schedules keeps its points, or ``None`` where there is no such schedule."""
    schedule = policy.get(name)
    if schedule is None:
        return None
    if not isinstance(schedule, dict):
        raise _NotKnown(f"{name} is not an object")
    return _duration(schedule, name)


def _duration(holder: dict[str, Any], name: str) -> int:
    duration = holder.get("retentionDuration")
    if not isinstance(duration, dict):
        raise _NotKnown(f"{name} does not say how long (retentionDuration)")
    count, unit = duration.get("count"), duration.get("durationType")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise _NotKnown(f"{name} keeps points for a count of {_shown(count)}")
    days = _DAYS.get(fold(unit)) if isinstance(unit, str) else None
    if days is None:
        raise _NotKnown(f"{name} keeps points for {count} of {_shown(unit)}")
    return count * days


def _shown(value: object) -> str:
    return "nothing" if value is None else f'"{visible(str(value))[:60]}"'
