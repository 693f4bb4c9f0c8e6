"""OData filters of the Backup API: ``a eq 'b' and c eq 'd'``, with names of its own for some fields."""

import re
from datetime import UTC, datetime

from arm.ids import Json
from arm.web import provider_error

_TERM = re.compile(r"\s*(\w+)\s+eq\s+'([^']*)'\s*", re.IGNORECASE)


def terms_of(text: str) -> dict[str, str]:
    """Take a filter apart.

    Raises:
        Refused: it is not of the form that the API takes.
    """
    terms: dict[str, str] = {}
    for part in re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE) if text.strip() else []:
        match = _TERM.fullmatch(part)
        if match is None:
            raise provider_error(400, "BMSUserErrorInvalidInput", f"Input provided for the filter is invalid: {part}")
        terms[match[1].lower()] = match[2]
    return terms


def item_matches(item: Json, terms: dict[str, str]) -> bool:
    properties = item.get("properties") or {}
    for name, wanted in terms.items():
        if name == "itemtype":
            kind = str(properties.get("workloadType") or properties.get("protectedItemType") or "")
            kind = "VM" if kind.lower().endswith("/virtualmachines") else kind
        elif name == "policyname":
            kind = str(properties.get("policyId") or "").rpartition("/")[2]
        else:
            kind = str(_field(properties, name))
        if kind.lower() != wanted.lower():
            return False
    return True


def job_matches(job: Json, terms: dict[str, str]) -> bool:
    properties = job.get("properties") or {}
    for name, wanted in terms.items():
        if name == "starttime":
            if _moment(str(properties.get("startTime", ""))) < _moment(wanted):
                return False
        elif name == "endtime":
            if _moment(str(properties.get("startTime", ""))) > _moment(wanted):
                return False
        elif name == "jobid":
            if str(job.get("name", "")).lower() != wanted.lower():
                return False
        elif str(_field(properties, name)).lower() != wanted.lower():
            return False
    return True


def _field(properties: Json, name: str) -> object:
    return next((value for key, value in properties.items() if key.lower() == name), "")


def _moment(text: str) -> datetime:
    """Read ``2016-01-01 00:00:00 AM``, which is how the filter writes times, or a time of an answer."""
    plain = re.sub(r"\.\d+", "", text.strip().removesuffix("Z"))
    afternoon, morning = plain.upper().endswith("PM"), plain.upper().endswith("AM")
    plain = re.sub(r"\s*[AaPp][Mm]$", "", plain)
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    if afternoon and moment.hour < 12:
        moment = moment.replace(hour=moment.hour + 12)
    if morning and moment.hour == 12:
        moment = moment.replace(hour=0)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
