"""Times: RFC 3339 outside, microseconds inside."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor.timestamps import NEVER, is_never, parse_time, show_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-31T06:00:00Z", "2026-01-31T06:00:00Z"),
        ("2026-01-31t06:00:00z", "2026-01-31T06:00:00Z"),
        ("2026-01-31 06:00:00Z", "2026-01-31T06:00:00Z"),
        ("  2026-01-31T06:00:00Z\n", "2026-01-31T06:00:00Z"),
        ("2026-01-31T06:00:00+00:00", "2026-01-31T06:00:00Z"),
        ("2026-01-31T06:00:00-00:00", "2026-01-31T06:00:00Z"),
        ("2026-01-31T06:00:00+05:30", "2026-01-31T00:30:00Z"),
        ("2026-01-31T06:00:00-08:00", "2026-01-31T14:00:00Z"),
        ("2026-01-31T06:00:00.5Z", "2026-01-31T06:00:00.500000Z"),
        ("2026-01-31T06:00:00.1234567Z", "2026-01-31T06:00:00.123456Z"),
        ("2026-01-31T06:00:00.999999999Z", "2026-01-31T06:00:00.999999Z"),
        ("1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.900000Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "never"),
    ],
)
def test_a_time_with_its_zone_is_read(text: str, same: str) -> None:
    when = parse_time(text)
    assert when is not None
    assert show_time(when) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T06:00:00",
        "2026-01-31T06:00Z",
        "2026-01-31T06:00:00.Z",
        "2026-01-31T06:00:00.1234567890Z",
        "2026-01-31T06:00:00+0100",
        "2026-01-31T06:00:00+01",
        "2026-01-31T06:00:00+24:00",
        "2026-01-31T24:00:00Z",
        "2026-01-31T06:60:00Z",
        "2026-01-31T06:00:60Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "12026-01-31T06:00:00Z",
        "2026-W05-6T06:00:00Z",
        "20260131T060000Z",
        "31/01/2026 06:00:00Z",
        "2026-01-31T06:00:00Z and more",
        "\u0662\u0660\u0662\u0666-01-31T06:00:00Z",
        "2026-01-31T06:00:00.\u0661Z",
    ],
)
def test_what_is_no_time_with_a_zone_is_none(text: str) -> None:
    assert parse_time(text) is None


@given(st.integers(NEVER + 1, LAST))
@example(0)
@example(-1)
@example(NEVER + 1)
@example(LAST)
def test_a_time_that_is_shown_is_read_back(microseconds: int) -> None:
    assert parse_time(show_time(microseconds)) == microseconds


@given(st.datetimes(timezones=ZONES, min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)))  # noqa: DTZ001 -- bounds are naive
def test_a_time_means_the_same_in_every_zone(when: datetime) -> None:
    assert parse_time(when.isoformat()) == (when - EPOCH) // timedelta(microseconds=1)


@given(st.text() | st.from_regex(r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z"))
def test_no_text_raises(text: str) -> None:
    when = parse_time(text)
    assert when is None or isinstance(when, int)


@given(st.integers())
@example(LAST + 1)
@example(10**30)
@example(-(10**30))
def test_every_number_can_be_shown(microseconds: int) -> None:
    shown = show_time(microseconds)
    assert (shown == "never") == (microseconds <= NEVER)
    assert (shown == "out of range") == (microseconds > LAST)


def test_times_are_in_the_order_of_their_numbers_and_never_is_before_all() -> None:
    texts = ["0001-01-01T00:00:00.000001Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2026-01-31T06:00:00Z"]
    numbers = [NEVER, *(number for text in texts if (number := parse_time(text)) is not None)]
    assert numbers == sorted(numbers)
    assert len(numbers) == 5


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("0001-01-01T00:00:00", True),
        ("0001-01-01T00:00:00Z", True),
        ("0001-01-01", True),
        ("2001-01-01T00:00:00Z", True),
        ("2001-01-01T00:00:00.0000000Z", True),
        ("2001-01-01T00:00:01Z", False),
        ("2001-01-02T00:00:00Z", False),
        ("2026-01-31T06:00:00Z", False),
        ("", False),
    ],
)
def test_azures_words_for_what_never_happened_are_known(text: str, *, never: bool) -> None:
    assert is_never(text) is never
