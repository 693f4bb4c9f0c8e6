"""How fast Azure may be asked: Resource Graph's quota by its headers, everything else at a rate."""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Headers = Mapping[str, str]

_RESERVE = 1  # left of a window until it is known when windows end
_MARGIN = 0.05  # seconds that an answer may have been on its way
_ROUNDING = 1.0  # seconds by which an end that is told in whole seconds may be off
_LONGEST = 300.0  # seconds; nobody waits longer for a quota
_LOW_SECONDS = 2.0  # what is left of another quota, in seconds of our own rate, below which we hold back


class StoppedError(Exception):
    """Somebody asked to stop; nothing more is asked."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The clock, and how to wait by it.

    Attributes:
        now: seconds that never go backwards.
        wait: wait some seconds; true when somebody asked to stop meanwhile.
    """

    now: Callable[[], float]
    wait: Callable[[float], bool]


class Ticket(NamedTuple):
    """Leave to ask once: the window it belongs to, when it was given, and as which of the window."""

    window: int
    given: float
    place: int = 1


class GraphQuota:
    """Keeps to Resource Graph's quota, which is so many queries in each window of a few seconds.

    Every answer tells what is left and, in whole seconds, when the window ends. Neither how these seconds are rounded
    nor whether they count from when the query came or from when the answer left is documented. So at first one query of
    each window is kept back, and is asked alone when the window should be over, counted from when the query was sent.
    When what is left has grown, windows end as expected and from then on nothing is kept back; else they are expected
    later: counted from when the answer came, and then one second more.

    https://learn.microsoft.com/azure/governance/resource-graph/concepts/guidance-for-throttled-requests

    Attributes:
        waited: seconds in which somebody wanted to ask and nobody could.
    """

    def __init__(self, timing: Timing) -> None:
        """Begin with one query: nothing is known yet."""
        self._timing = timing
        self._changed = threading.Lock()
        self._left = 1 + _RESERVE
        self._limit = 1
        self._highest = 0
        self._sent = 0
        self._early: float | None = None
        self._late: float | None = None
        self._patience = 0
        self._window = 0
        self._trusted = False
        self._probing = False
        self._held_since: float | None = None
        self.waited = 0.0

    def enter(self) -> Ticket:
        """Wait for leave to ask.

        Raises:
            StoppedError: somebody asked to stop.
        """
        while True:
            with self._changed:
                now = self._timing.now()
                ticket = self._leave_at(now)
                if ticket is not None:
                    if self._held_since is not None:
                        self.waited += now - self._held_since
                        self._held_since = None
                    return ticket
                self._held_since = self._held_since if self._held_since is not None else now
                until = self._over() if not self._probing else None
            pause = max(until - now, 0.001) if until is not None else 0.05
            if self._timing.wait(min(pause, 1.0)):
                raise StoppedError

    def _over(self) -> float | None:
        """Return when the window should be over; ``None`` before any answer told."""
        if self._early is None or self._late is None:
            return None
        return (self._early, self._late, self._late + _ROUNDING)[self._patience] + _MARGIN

    def _leave_at(self, now: float) -> Ticket | None:
        if self._probing:
            return None
        over = self._over()
        if over is not None and now >= over:
            self._window += 1
            self._sent = 0
            self._early = self._late = None
            if self._highest:
                self._limit, self._highest = self._highest, 0
            self._left = self._limit
            self._probing = not self._trusted
            return self._ticket(now)
        if self._left > (0 if self._trusted else _RESERVE):
            return self._ticket(now)
        return None

    def _ticket(self, now: float) -> Ticket:
        self._left -= 1
        self._sent += 1
        return Ticket(self._window, now, self._sent)

    def leave(self, ticket: Ticket, headers: Headers, *, throttled: bool) -> None:
        """Take in what an answer told; without headers it only makes room for the next one."""
        left, ends = _number(headers.get("x-ms-user-quota-remaining")), _seconds(headers)
        with self._changed:
            if ticket.window != self._window:
                return
            now = self._timing.now()
            probed, self._probing = self._probing, False
            if throttled:
                # Others ask with the same identity, or the window lasts longer than it seemed.
                self._left, self._trusted = 0, False
                self._patience = min(self._patience + 1, 2)
                self._early = self._late = now + (ends if ends is not None else 5.0)
                return
            if left is None or ends is None:
                self._left += 1
                self._trusted = self._trusted or probed
                return
            self._early = min(self._early or math.inf, ticket.given + ends)
            self._late = min(self._late or math.inf, now + ends)
            # What is left may count queries that were sent after this one: the last one sent knows the limit.
            self._highest = max(self._highest, left + ticket.place)
            self._limit = max(self._limit, self._highest)
            if probed and left == 0:
                self._patience = min(self._patience + 1, 2)
                self._left = 0
            elif probed or self._sent == 1:
                self._trusted = probed
                self._left = left
            else:
                self._left = min(self._left, left)

    def lost(self, ticket: Ticket) -> None:
        """Note that no answer came; whether it was counted is not known."""
        self.leave(ticket, {}, throttled=False)

    @property
    def known(self) -> tuple[int, int] | None:
        """How many queries are left, of how many in a window; ``None`` where Azure did not say."""
        return (self._left, self._limit) if self._early is not None else None


class Rate:
    """Lets through so many requests a second; fewer when Azure says that little is left.

    Azure counts what somebody reads for each subscription, so there should be one for each.
    """

    def __init__(self, per_second: float, timing: Timing) -> None:
        """Begin at full rate."""
        self._timing = timing
        self._gap = 1.0 / per_second
        self._low = per_second * _LOW_SECONDS
        self._lock = threading.Lock()
        self._next = timing.now()

    def enter(self) -> Ticket:
        """Wait for the next turn.

        Raises:
            StoppedError: somebody asked to stop.
        """
        with self._lock:
            now = self._timing.now()
            turn = max(self._next, now)
            self._next = turn + self._gap
        if turn > now and self._timing.wait(turn - now):
            raise StoppedError
        return Ticket(0, turn)

    def leave(self, ticket: Ticket, headers: Headers, *, throttled: bool) -> None:  # noqa: ARG002 -- as GraphQuota
        """Hold everybody back when Azure has throttled one, or says that it soon will."""
        left = _least_left(headers)
        hold = retry_after(headers) or 5.0 if throttled else 1.0 if left is not None and left < self._low else 0.0
        if hold:
            with self._lock:
                self._next = max(self._next, self._timing.now() + min(hold, _LONGEST))

    def lost(self, ticket: Ticket) -> None:
        """Note that no answer came."""


def retry_after(headers: Headers) -> float | None:
    """Return how many seconds Azure asks to wait before the next try; ``None`` when it does not say."""
    for name, unit in (("Retry-After", 1.0), ("retry-after-ms", 1000.0), ("x-ms-retry-after-ms", 1000.0)):
        text = headers.get(name, "")
        if len(text) < 20 and text.isascii() and text.replace(".", "", 1).isdigit():
            return min(float(text) / unit, _LONGEST)
    return None


def _seconds(headers: Headers) -> float | None:
    """Read ``x-ms-user-quota-resets-after``, ``hh:mm:ss``; ``Retry-After`` where it is missing."""
    parts = headers.get("x-ms-user-quota-resets-after", "").split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return retry_after(headers)
    told = hours * 3600 + minutes * 60 + seconds
    return max(told, 1.0) if told <= _LONGEST else None  # 00:00:00 does occur: less than a second is left


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and len(text) < 10 and text.isascii() and text.isdigit() else None


def reads_left(headers: Headers) -> int | None:
    """Return how many reads of Resource Manager are left, by its own word."""
    names = ("x-ms-ratelimit-remaining-subscription-reads", "x-ms-ratelimit-remaining-tenant-reads")
    return next((number for name in names if (number := _number(headers.get(name))) is not None), None)


def _least_left(headers: Headers) -> int | None:
    """Return the smallest of what is left: of reads or writes of the subscription, and of a provider's own quotas.

    ``x-ms-ratelimit-remaining-resource: Microsoft.Compute/LowCostGet3Min;11999,...``
    """
    own = headers.get("x-ms-ratelimit-remaining-resource", "").split(",")
    names = ("x-ms-ratelimit-remaining-subscription-reads", "x-ms-ratelimit-remaining-subscription-writes")
    told = [*(headers.get(name) for name in names), *(part.rpartition(";")[2] for part in own)]
    found = [_number(text.strip()) for text in told if text is not None]
    return min((number for number in found if number is not None), default=None)
