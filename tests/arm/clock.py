"""The server's clock: tests shift it to skew it, and advance or speed it up so that operations take no time."""

import time
from datetime import UTC, datetime, timedelta
from threading import Lock


class Clock:
    """A clock that starts at the real time and can be made to differ from it.

    Everything that the server says about time comes from here, except the windows of quotas: those are real seconds,
    because a client really waits for them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._speed = 1.0
        self._since = time.monotonic()
        self._base = time.time()

    def time(self) -> float:
        """Return the server's time in seconds since 1970."""
        with self._lock:
            return self._time()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock: whatever falls due in between, operations for example, is done with the next request."""
        with self._lock:
            self._base += seconds

    shift = advance

    def speed(self, factor: float) -> None:
        """Let the clock run ``factor`` times as fast as real time from now on; 0 stops it."""
        with self._lock:
            self._base, self._since, self._speed = self._time(), time.monotonic(), factor

    def set(self, when: datetime) -> None:
        """Set the clock to a time, from which it runs on."""
        with self._lock:
            self._base, self._since = when.timestamp(), time.monotonic()

    def _time(self) -> float:
        return self._base + (time.monotonic() - self._since) * self._speed


def stamp(when: float | datetime) -> str:
    """Write a time as Azure's answers do, with seven digits after the point."""
    moment = when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def whole_stamp(when: float | datetime) -> str:
    moment = when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def iso_duration(seconds: float) -> str:
    """Write a duration as jobs do: ``PT1M52.0248409S``."""
    whole = timedelta(seconds=max(seconds, 0.0))
    hours, rest = divmod(whole.total_seconds(), 3600)
    minutes, left = divmod(rest, 60)
    text = "PT" + (f"{int(hours)}H" if hours else "") + (f"{int(minutes)}M" if minutes else "")
    return text + f"{left:.7f}".rstrip("0").rstrip(".") + "S"
