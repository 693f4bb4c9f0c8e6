"""report.json is written and read in pieces: the bytes and the checks are those of the whole at once."""

import hashlib
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from building import estate
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect as kinds
from test_baseline import refused, resigned
from test_exemptions import entry

from auditor.assessment import json_pieces
from auditor.assessment.assess import content_sha256
from auditor.assessment.model import Diff, Report
from auditor.errors import UsageError
from auditor.formats import as_json
from auditor.formats.from_json import read_report


def values_of(kind: kinds.Type) -> st.SearchStrategy[Any]:
    """Return anything that a declared type can hold."""
    match kind:
        case kinds.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: values_of(field.type) for field in fields})
        case kinds.StrType(pattern=pattern):
            return st.from_regex(pattern, fullmatch=True) if pattern else st.text(max_size=5)
        case kinds.IntType():
            return st.integers(-(2**63), 2**63 - 1)
        case kinds.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case kinds.BoolType():
            return st.booleans()
        case kinds.NoneType():
            return st.none()
        case kinds.LiteralType(values=values):
            return st.sampled_from(values)
        case kinds.UnionType(types=types):
            return st.one_of([values_of(part) for part in types])
        case kinds.ListType(item_type=item):
            return st.lists(values_of(item), max_size=4)
        case kinds.DictType(key_type=key, value_type=value):
            return st.dictionaries(values_of(key), values_of(value), max_size=3)
        case kinds.Metadata(type=inner):
            return values_of(inner)
        case _:
            raise AssertionError(kind)


ANY_REPORT = values_of(kinds.type_info(Report))


@settings(
    deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(ANY_REPORT | values_of(kinds.type_info(Diff)), st.sampled_from([1, 2, 1000]))
def test_the_pieces_are_the_whole(value: Report | Diff, entries: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "_ENTRIES", entries)
        file = io.BytesIO()
        as_json.write(value, file)
        compact = msgspec.json.encode(value, order="sorted")
        assert b"".join(json_pieces.json_pieces(value, indent=False)) == compact
        assert file.getvalue() == msgspec.json.format(compact, indent=1) + b"\n"
        if isinstance(value, Report):
            plain = msgspec.to_builtins(value)
            del plain["content_sha256"]
            whole = hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()
            assert content_sha256(value) == whole


@cache
def small() -> tuple[Report, bytes]:
    """Return a report of every outcome, with an exemption, and its bytes."""
    builder = estate().vm("always").item("always").vm("db").vm("odd").item("odd", state="NobodyKnows").whole()
    report = builder.audit(select=["vm-protected"], exemptions=json.dumps([entry()])).report
    file = io.BytesIO()
    as_json.write(report, file)
    return report, file.getvalue()


def is_read(data: bytes) -> bool:
    """Tell whether a text is read rather than refused; it must then be the same report, to the byte."""
    Path("changed.json").write_bytes(data)
    try:
        report = read_report(Path("changed.json"))
    except UsageError:
        return False
    assert report == small()[0]
    assert b"".join(json_pieces.json_pieces(report, indent=True)) + b"\n" == small()[1]  # 1 and true are equal
    return True


ONE_PLACE = settings(
    deadline=None, max_examples=examples(400), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ONE_PLACE
@given(st.data())
def test_a_changed_byte_changes_nothing_or_is_found(data: st.DataObject) -> None:
    whole = small()[1]
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.binary(max_size=1) | st.sampled_from([b'"', b",", b"}", b"0", b"1", b".", b"e", b"\\", b" "]))
    until = place + data.draw(st.integers(0, 1))
    is_read(whole[:place] + byte + whole[until:])


@ONE_PLACE
@given(st.data())
def test_a_report_that_is_cut_off_anywhere_is_found(data: st.DataObject) -> None:
    whole = small()[1].rstrip()
    assert not is_read(whole[: data.draw(st.integers(0, len(whole) - 1))])


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (b'"exempt": true', b'"exempt": 1', False),
        (b'"fail": 1', b'"fail": 1.0', False),
        (b'"fail": 1', b'"fail": true', False),
        (b'"fail": 1', b'"fail": 1e0', False),
        (b'"fail": 1', b'"fail": 99999999999999999999999999', False),
        (b'"fail": 1', b'"fail": 1e999', False),
        (b'"fail": 1', b'"fail": 0, "fail": 1', True),
        (b'"fail": 1', b'"fail": 1, "fail": 0', False),
        (b'"outcome": "fail"', b'"outcome": "pass", "outcome": "fail"', True),
        (b'"outcome": "fail"', b'"outcome": "fail", "outcome": "pass"', False),
        (b'"outcome": "fail"', b'"outcome": "f\\u0061il"', True),
        (b'"outcome": "fail"', b'"outcome": "fail\\u200b"', False),
        (b'"findings": [', b'"findings": [], "findings": [', True),
        (b'"outcomes": {', b'"findings": [], "outcomes": {', False),
        (b'"findings": [', b'"findings": {', False),
        (b'"tool": {', b'"unheard_of": 1, "tool": {', False),
        (b'"run_id": "', b'"run_id": "x', False),
        (b'"frameworks": [', b'"frameworks": [], "frame": [', False),
        (b'"baseline": null', b'"baseline": [[[[' + b"[" * 5000, False),
    ],
)
def test_another_spelling_is_the_same_report_or_is_found(old: bytes, new: bytes, same: bool) -> None:  # noqa: FBT001
    whole = small()[1]
    assert old in whole
    assert is_read(whole.replace(old, new, 1)) == same


@pytest.mark.parametrize("layout", [{"indent": 4}, {"separators": (",", ":"), "ensure_ascii": True}, {}])
def test_layout_and_the_order_of_keys_say_nothing(layout: dict[str, Any]) -> None:
    value = json.loads(small()[1])
    assert is_read(json.dumps(dict(reversed(value.items())), **layout).encode())


def test_a_report_of_a_version_that_knew_fewer_fields_is_read() -> None:
    def older(value: dict[str, Any]) -> None:
        del value["frameworks"], value["run_id"], value["coverage"]["subscriptions"]
        for resource in value["resources"]:
            del resource["source"]

    Path("older.json").write_text(resigned(older))
    report = read_report(Path("older.json"))
    assert (report.frameworks, report.run_id, report.resources[0].source) == ([], "", "")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda value: value.pop("findings"), "missing required field `findings`"),
        (lambda value: value.update(findings={}), "Expected `array`, got `object`"),
        (lambda value: value.update(resources=None), "Expected `array`, got `null`"),
        (lambda value: value["findings"][0].update(outcome="maybe"), "Invalid enum value 'maybe'"),
        (lambda value: value["findings"][0].update(more=1), "unknown field `more`"),
        (lambda value: value["resources"][0].pop("id"), "missing required field `id`"),
        (
            lambda value: value["findings"][0].update(resource=value["findings"][0]["resource"].upper()),
            "a finding is about what it does not hold",
        ),
    ],
)
def test_what_is_signed_and_no_report_is_refused(change: Callable[[Any], object], fault: str) -> None:
    said = refused(resigned(change))
    assert "is no report of auditor: " in said
    assert fault in said
