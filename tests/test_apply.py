"""Plans applied to a stand-in: what is done, what is found done, and what comes of every kill in between."""

import itertools
from collections import Counter
from collections.abc import Callable

import pytest
import wanting
from applying import Kill, Killed, Standing, planned, stood
from wanting import Wanting

ESTATES = [wanting.unprotected, wanting.in_place, wanting.policies]


@pytest.mark.parametrize("make", ESTATES)
def test_a_plan_is_applied_once_and_found_done_ever_after(make: Callable[[], Wanting]) -> None:
    plan = planned(make)
    with stood(make) as standing:
        first = standing.apply()
        assert set(standing.outcomes(first).values()) == {"applied"}
        sent = standing.accepted()
        assert len(sent) == len(plan.automatic)
        again = standing.apply()
        assert set(standing.outcomes(again).values()) == {"applied"}
        standing.journal.unlink()
        anew = standing.apply()
        assert set(standing.outcomes(anew).values()) == {"unchanged"}
        assert standing.accepted() == sent
        assert standing.arm.deletions == []


HOWS = ("before", "torn", "after")
ASLEEP = (0.0, 40.0, 7200.0)  # seconds until somebody runs it again: operations go on, are just done, are long done


@pytest.mark.parametrize("make", ESTATES)
def test_whenever_it_is_killed_the_next_run_goes_on_and_repeats_nothing(make: Callable[[], Wanting]) -> None:
    plan = planned(make)
    with stood(make) as standing:
        undisturbed = standing.apply()
        lines = standing.journal.read_bytes().count(b"\n")
        sent, state = standing.accepted(), standing.state()
        outcomes = standing.outcomes(undisturbed)
    assert lines == 2 + 3 * len(plan.automatic)
    for number, (at, how) in enumerate(itertools.product(range(1, lines + 1), HOWS)):
        asleep = ASLEEP[(number + number // 3) % 3]
        with stood(make) as standing:
            with pytest.raises(Killed):
                standing.apply(kill=Kill(at, how))
            standing.arm.clock.advance(asleep)
            applied = standing.apply()
            what = f"killed at line {at}, {how}, and {asleep} s later"
            assert standing.outcomes(applied) == outcomes, what
            assert once(standing) == Counter(sent), what
            assert standing.state() == state, what
            assert standing.arm.deletions == [], what


def once(standing: Standing) -> Counter[tuple[str, str, str]]:
    """Count what Azure took; settings and policies may be written twice where nobody knows: twice is the same."""
    counts = Counter(standing.accepted())
    for method, path, body in counts:
        if method == "PATCH" or "/backuppolicies/" in path:
            assert counts[method, path, body] <= 2
            counts[method, path, body] = 1
    return counts
