"""Parts of a report that wait in a file: a list in all but where it is."""

import gc
import tracemalloc
import warnings

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.assessment import on_disk
from auditor.assessment.model import Evidence, Resource
from auditor.assessment.on_disk import OnDisk

TEXTS = st.text(max_size=5)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), TEXTS)
PARTS = st.lists(st.builds(Evidence, field=TEXTS, value=VALUES, source=TEXTS, reason=TEXTS, expected=TEXTS))


def number(part: Evidence) -> str:
    return msgspec.json.encode(part).decode()


@pytest.mark.parametrize("in_memory", [0, 4_000_000])
@given(parts=PARTS, places=st.lists(st.integers(-40, 40), min_size=3, max_size=3))
def test_it_is_the_list_of_what_was_put_in(in_memory: int, parts: list[Evidence], places: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_disk, "_IN_MEMORY", in_memory)
        kept = OnDisk.of(Evidence, parts)
    start, end, step = places
    assert (len(kept), bool(kept)) == (len(parts), bool(parts))
    assert list(map(number, kept)) == list(map(number, parts))  # 1, 1.0 and true are three values
    assert kept[start : end : step or 1] == parts[start : end : step or 1]
    assert kept == parts
    assert parts == kept
    assert kept != [*parts, Evidence(field="", value=None, source="", reason="", expected="")]
    if parts:
        assert kept[start % len(parts)] == parts[start % len(parts)]
        assert kept[-1] == parts[-1]


@given(st.lists(st.integers(0, 9)))
def test_what_is_arranged_is_in_the_order_of_its_keys(keys: list[int]) -> None:
    parts = [Evidence(field=str(place), value=key, source="", reason="", expected="") for place, key in enumerate(keys)]
    kept = OnDisk.of(Evidence, parts)
    kept.arrange(keys)
    assert list(kept) == sorted(parts, key=lambda part: keys[int(part.field)])
    assert kept[:2] == list(kept)[:2]


def test_it_can_be_passed_several_times_at_once() -> None:
    kept = OnDisk.of(Evidence, (Evidence(field=str(n), value=n, source="", reason="", expected="") for n in range(9)))
    assert [(one.value, other.value) for one, other in zip(kept, reversed(kept), strict=True)] == [
        (n, 8 - n) for n in range(9)
    ]


def test_a_hundred_thousand_take_two_megabytes_and_leave_no_open_file() -> None:
    def resource(n: int) -> Resource:
        text = f"/subscriptions/1/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm-{n}"
        return Resource(id=text, kind="vm", name=f"vm-{n}", subscription="1", resource_group="rg", location="x")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracemalloc.start()
        kept = OnDisk.of(Resource, map(resource, range(100_000)))
        assert sum(1 for _ in kept) == 100_000
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 2_000_000
        file = kept._file
        assert not file.closed
        del kept
        gc.collect()
        assert file.closed
