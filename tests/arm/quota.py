"""Resource Graph's quota of queries, and the smaller limits of Resource Manager and Compute."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Quota:
    """So many queries a window, for each caller; a window begins with the first query after the former one ended.

    ``rounding`` is how what is left of a window becomes whole seconds in ``x-ms-user-quota-resets-after``;
    ``retry_after`` adds Retry-After to refusals, which Azure is not known to do always. ``now`` is the time in seconds:
    the real one, unless a test sets it.
    """

    queries: int = 15
    seconds: float = 5.0
    rounding: Literal["ceil", "floor"] = "ceil"
    retry_after: bool = False
    now: Callable[[], float] = time.monotonic
    _windows: dict[str, tuple[float, int]] = field(default_factory=dict, repr=False)

    def take(self, caller: str) -> bool:
        """Count a query that arrives now; false when it is beyond the quota."""
        now = self.now()
        begun, used = self._windows.get(caller, (now, 0))
        if now >= begun + self.seconds:
            begun, used = now, 0
        allowed = used < self.queries
        self._windows[caller] = (begun, used + allowed)
        return allowed

    def headers(self, caller: str) -> dict[str, str]:
        """Return what an answer that leaves now says about the quota."""
        now = self.now()
        begun, used = self._windows.get(caller, (now, 0))
        left = max(begun + self.seconds - now, 0.0)
        whole = math.ceil(left) if self.rounding == "ceil" else math.floor(left)
        remaining = str(max(self.queries - used, 0))
        return {
            "x-ms-user-quota-remaining": remaining,
            "x-ms-user-quota-resets-after": f"{whole // 3600:02}:{whole % 3600 // 60:02}:{whole % 60:02}",
            "x-ms-ratelimit-remaining-tenant-resource-requests": remaining,
        }

    def wait(self, caller: str) -> int:
        """Return the whole seconds after which a query is allowed again."""
        begun, _ = self._windows.get(caller, (0.0, 0))
        return max(math.ceil(begun + self.seconds - self.now()), 1)


@dataclass
class Budget:
    """A count that goes down by one with each request, as headers of Resource Manager show it; it never refuses."""

    start: int
    _used: dict[str, int] = field(default_factory=dict, repr=False)

    def take(self, key: str) -> str:
        self._used[key] = self._used.get(key, 0) + 1
        return str(max(self.start - self._used[key], 0))


@dataclass
class PerSecond:
    """So many requests in any second, for each key; ``None`` is no limit."""

    limit: int | None = None
    _times: dict[str, list[float]] = field(default_factory=dict, repr=False)

    def take(self, key: str) -> tuple[bool, int]:
        """Count a request that arrives now; return whether it is allowed, and how many are left."""
        now = time.monotonic()
        recent = [at for at in self._times.get(key, ()) if at > now - 1.0]
        allowed = self.limit is None or len(recent) < self.limit
        self._times[key] = [*recent, now] if allowed else recent
        return allowed, (self.limit or 240) - len(self._times[key])
