"""Times: microseconds since 1970 UTC inside, RFC 3339 outside."""

import re
from datetime import UTC, datetime, timedelta

# Azure writes 0001-01-01 and 2001-01-01 for what never happened; both are this, older than any age.
NEVER = -62_135_596_800_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 2000-01-01 and 9000-01-01: what is judged at has to leave room for ages.
_EARLIEST, _LATEST = 946_684_800_000_000, 221_845_392_000_000_000
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)",
    re.IGNORECASE | re.ASCII,
)


def parse_time(text: str) -> int | None:
    """Return an RFC 3339 time with its zone as microseconds since 1970 UTC, or ``None`` when it is none.

    Azure gives up to seven digits of a second; what is finer than a microsecond is cut off.
    """
    match = _RFC3339.fullmatch(text.strip())
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        since = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}") - _EPOCH
    except ValueError:
        return None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + (int(fraction[:6].ljust(6, "0")) if fraction else 0)


def parse_recent(text: str) -> int | None:
    """Return a time that something may be judged at, or ``None`` when the text is none: such times are of this age."""
    when = parse_time(text)
    return when if when is not None and _EARLIEST <= when <= _LATEST else None


def is_never(text: str) -> bool:
    """Tell whether Azure wrote one of its words for "this never happened" (the first comes without a zone, too)."""
    return text.startswith(("0001-01-01", "2001-01-01T00:00:00"))


def show_time(microseconds: int) -> str:
    """Write a time as RFC 3339 in UTC, or ``never``."""
    if microseconds <= NEVER:
        return "never"
    try:
        when = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return "out of range"
    return when.isoformat().replace("+00:00", "Z")
