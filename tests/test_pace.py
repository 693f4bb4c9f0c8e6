"""How fast Azure is asked, against a made-up service and a clock that only moves when somebody waits."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor.azure.pace import GraphQuota, Rate, StoppedError, Ticket, Timing, retry_after


@dataclass
class Clock:
    """Time that passes by waiting."""

    now: float = 1000.0
    stopped: bool = False

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.stopped

    @property
    def timing(self) -> Timing:
        return Timing(lambda: self.now, self.wait)


@dataclass
class Service:
    """Resource Graph's quota: so many queries in a window that begins with the first query after the last one."""

    queries: int = 15
    seconds: float = 5.0
    rounding: Callable[[float], int] = math.ceil
    uplink: float = 0.01
    on_leaving: bool = False  # headers tell of the time when the answer leaves, not of that when the query came
    ends: float = -1.0
    used: int = 0
    refused: int = 0

    def ask(self, now: float) -> bool:
        """Take a query; tell whether it is refused."""
        arrived = now + self.uplink
        if arrived >= self.ends:
            self.ends, self.used = arrived + self.seconds, 0
        throttled = self.used >= self.queries
        self.refused += throttled
        self.used += not throttled
        return throttled

    def headers(self, at: float) -> dict[str, str]:
        left = self.rounding(max(self.ends - at, 0.0))
        return {
            "x-ms-user-quota-remaining": str(self.queries - self.used),
            "x-ms-user-quota-resets-after": f"00:00:{left:02}",
        }


@dataclass
class Run:
    """Workers that ask one query after the other; everything in the order of time, without threads."""

    service: Service
    latency: float
    clock: Clock = field(default_factory=Clock)

    def ask(self, queries: int, workers: int) -> float:
        """Ask so many queries; return how many seconds that took."""
        began, quota, service = self.clock.now, GraphQuota(self.clock.timing), self.service
        flying: list[tuple[float, int, Ticket, dict[str, str], bool]] = []
        sent = done = 0
        while done < queries:
            ticket = quota._leave_at(self.clock.now) if sent < queries and len(flying) < workers else None
            if ticket is not None:
                throttled = service.ask(self.clock.now)
                sent += 1
                headers = service.headers(self.clock.now + service.uplink)
                heapq.heappush(flying, (self.clock.now + self.latency, sent, ticket, headers, throttled))
                continue
            if flying and (len(flying) >= workers or sent >= queries or flying[0][0] <= self.clock.now + 0.01):
                arrives, _, ticket, headers, throttled = heapq.heappop(flying)
                self.clock.now = max(self.clock.now, arrives)
                if service.on_leaving:
                    headers = service.headers(arrives - service.uplink)
                quota.leave(ticket, headers, throttled=throttled)
                done += not throttled
                sent -= throttled
                continue
            self.clock.now += 0.01
        return self.clock.now - began


ON_LEAVING = pytest.mark.parametrize("on_leaving", [False, True], ids=["on-arrival", "on-leaving"])


@ON_LEAVING
def test_a_thousand_queries_take_what_the_quota_allows_and_none_is_refused(*, on_leaving: bool) -> None:
    service = Service(on_leaving=on_leaving)
    took = Run(service, latency=1.0).ask(1_000, 10)
    ideal = (1_000 / 15 - 1) * 5
    assert service.refused == 0
    assert took <= 1.1 * ideal


@pytest.mark.parametrize("latency", [0.02, 0.3, 1.0, 1.5])
@pytest.mark.parametrize("uplink", [0.0, 0.01])
@ON_LEAVING
def test_no_query_is_refused_whatever_the_network(latency: float, uplink: float, *, on_leaving: bool) -> None:
    service = Service(uplink=uplink, on_leaving=on_leaving)
    took = Run(service, latency).ask(300, 10)
    assert service.refused == 0
    assert took <= 1.12 * max((300 / 15 - 1) * 5 + latency, 300 * latency / 10) + 5


@ON_LEAVING
def test_seconds_that_are_rounded_down_cost_some_time_and_few_refusals(*, on_leaving: bool) -> None:
    service = Service(rounding=math.floor, on_leaving=on_leaving)
    took = Run(service, latency=0.5).ask(300, 10)
    assert service.refused <= 10
    assert took <= 1.35 * (300 / 15 - 1) * 5


@given(
    queries=st.integers(2, 30),
    seconds=st.sampled_from([3.0, 5.0, 10.0]),
    latency=st.floats(0.02, 2.0),
    on_leaving=st.booleans(),
)
@example(queries=2, seconds=5.0, latency=2.0, on_leaving=False)
def test_any_quota_is_kept_and_used(queries: int, seconds: float, latency: float, *, on_leaving: bool) -> None:
    service = Service(queries, seconds, on_leaving=on_leaving)
    took = Run(service, latency).ask(60, 10)
    windows = math.ceil(60 / queries)
    assert service.refused <= (10 if latency < 1.5 else 20)
    assert took <= 2.0 * (windows * (seconds + 0.1) + latency * (60 / min(10, queries) + windows)) + 10


def test_a_quota_that_shrinks_is_learnt_by_one_refusal_and_not_run_into_again() -> None:
    service, run = Service(), Run(Service(), latency=0.2)
    run.service = service
    run.ask(45, 10)
    service.queries = 5
    refused = service.refused
    Run(service, 0.2, run.clock).ask(60, 10)
    assert service.refused - refused <= 10


def test_without_headers_one_query_follows_another() -> None:
    clock = Clock()
    quota = GraphQuota(clock.timing)
    for _ in range(50):
        quota.leave(quota.enter(), {}, throttled=False)
    assert clock.now == 1000.0


def test_an_answer_that_never_came_makes_room_for_the_next_query() -> None:
    clock = Clock()
    quota = GraphQuota(clock.timing)
    for _ in range(5):
        quota.lost(quota.enter())
    assert clock.now == 1000.0


def test_somebody_who_waits_is_stopped() -> None:
    clock = Clock(stopped=True)
    quota = GraphQuota(clock.timing)
    ticket = quota.enter()
    headers = {"x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": "00:00:05"}
    quota.leave(ticket, headers, throttled=False)
    with pytest.raises(StoppedError):
        quota.enter()


def test_a_rate_is_kept_and_held_back_by_what_azure_says() -> None:
    clock = Clock()
    rate = Rate(10, clock.timing)
    for _ in range(101):
        ticket = rate.enter()
    assert clock.now == pytest.approx(1010.0)
    rate.leave(ticket, {"x-ms-ratelimit-remaining-subscription-reads": "11999"}, throttled=False)
    rate.enter()
    assert clock.now == pytest.approx(1010.1)
    rate.leave(ticket, {"Retry-After": "7"}, throttled=True)
    rate.enter()
    assert clock.now == pytest.approx(1017.1)
    few = {"x-ms-ratelimit-remaining-resource": "Microsoft.Compute/LowCostGet3Min;19,Microsoft.Compute/X;31997"}
    rate.leave(ticket, few, throttled=False)
    rate.enter()
    assert clock.now == pytest.approx(1018.1)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "2"}, 2.0),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "9999999"}, 300.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1.2.3"}, None),
        ({"Retry-After": "."}, None),
        ({"Retry-After": "²"}, None),
        ({}, None),
    ],
)
def test_how_long_azure_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
