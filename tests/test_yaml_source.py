"""The strict reading of YAML: what a file means is what it looks like, and every fault has its place."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor.errors import AuditorError, Fault, InputErrors, UsageError
from auditor.yaml_source import MAX_BYTES, MAX_DEPTH, Value, did_you_mean, parse_yaml, read_yaml


def value_of(text: str) -> Value:
    return parse_yaml(text.encode(), "a.yaml").value


def fault_of(data: str | bytes) -> Fault:
    """Return the one fault of a file."""
    with pytest.raises(InputErrors) as caught:
        parse_yaml(data.encode() if isinstance(data, str) else data, "a.yaml")
    (fault,) = caught.value.faults
    return fault


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "Yes", "no", "NO", "on", "off", "y", "n"),
        *("2026-01-31", "2026-01-31T06:00:00Z", "12:30:45", "190:20:30"),
        *("010", "007", "00", "0o17", "0x1F", "0b101", "1_000"),
        *(".inf", "-.INF", ".nan", "NaN", "1.2.3", "1,5", ".", "e5", "=", "<<", "tRUE", "nULL"),
    ],
)
def test_a_word_without_a_meaning_of_its_own_is_text(text: str) -> None:
    assert value_of(f"key: {text}") == {"key": text}
    assert value_of(f"- {text}") == [text]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("5", 5),
        ("-12", -12),
        ("+3", 3),
        ("0.5", 0.5),
        ("-.5", -0.5),
        ("1e3", 1000.0),
        ("123456789012345678", 123456789012345678),
    ],
)
def test_numbers_and_the_three_words_have_their_meaning(text: str, value: Value) -> None:
    found = value_of(f"key: {text}")
    assert found == {"key": value}
    assert isinstance(found, dict)
    assert type(found["key"]) is type(value)


@pytest.mark.parametrize("text", ["true", "null", "5", "~", ""])
def test_what_stands_in_quotes_or_in_a_block_is_text(text: str) -> None:
    assert value_of(f"key: '{text}'") == {"key": text}
    assert value_of(f'key: "{text}"') == {"key": text}
    assert value_of(f"key: |-\n  {text}") == {"key": text}


def test_a_number_too_large_to_count_with_is_text() -> None:
    assert value_of("key: 1e400") == {"key": "1e400"}
    assert value_of("key: -1e400") == {"key": "-1e400"}


def test_keys_are_text_whatever_they_look_like() -> None:
    assert value_of("1: a\ntrue: b\nnull: c\n2026-01-31: d") == {"1": "a", "true": "b", "null": "c", "2026-01-31": "d"}


def test_every_key_and_item_has_its_place() -> None:
    document = parse_yaml(b"id: r\nrequire:\n  allOf:\n    - {field: vm.name, equals: a}\n    - not: x\n", "r.yaml")
    places = {steps: (place.line, place.column) for steps, place in document.places.items()}
    assert places == {
        (): (1, 1),
        ("id",): (1, 1),
        ("require",): (2, 1),
        ("require", "allOf"): (3, 3),
        ("require", "allOf", 0): (4, 7),
        ("require", "allOf", 0, "field"): (4, 8),
        ("require", "allOf", 0, "equals"): (4, 24),
        ("require", "allOf", 1): (5, 7),
        ("require", "allOf", 1, "not"): (5, 7),
    }
    assert str(document.place(("require", "allOf", 0, "equals"))) == "r.yaml:4:24"


def test_the_place_of_what_is_not_there_is_that_of_what_is_around_it() -> None:
    document = parse_yaml(b"\n\nid: r\nmore: {a: 1}\n", "r.yaml")
    assert str(document.place(("more", "b", "c"))) == "r.yaml:4:1"
    assert str(document.place(("other",))) == "r.yaml:3:1"
    assert str(parse_yaml(b"", "r.yaml").place(("other",))) == "r.yaml:1:1"


def test_columns_count_characters_and_lines_count_any_line_break() -> None:
    document = parse_yaml("é: {ü😀: 1, b: 2}\r\nc: 3\r\n".encode(), "r.yaml")
    assert str(document.place(("é", "b"))) == "r.yaml:1:12"
    assert str(document.place(("c",))) == "r.yaml:2:1"


def test_a_tab_is_refused_with_the_advice_to_use_spaces() -> None:
    fault = fault_of("a:\n\tb: 1\n")
    assert (fault.place.line, fault.place.column) == (2, 1)
    assert "not YAML" in fault.message
    assert fault.hint == "Indent with spaces: YAML does not allow tabs there."


def test_a_key_stands_once() -> None:
    fault = fault_of("a: 1\nb:\n  c: 2\n  d: 3\n  c: 4\n")
    assert str(fault) == "a.yaml:5:3: the key c stands twice (first in line 3)"
    assert fault.hint == "Keep one of them."
    assert value_of("a: {c: 1}\nb: {c: 2}\nC: 3") == {"a": {"c": 1}, "b": {"c": 2}, "C": 3}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: &x 1\n", "a.yaml:1:4"),
        ("a: &x [1]\n", "a.yaml:1:4"),
        ("a: &x {b: 1}\n", "a.yaml:1:4"),
        ("a: [*x]\n", "a.yaml:1:5"),
        ("&x a: 1\n", "a.yaml:1:1"),
        ("b: 1\n*x : 1\n", "a.yaml:2:1"),
        ("b: 1\n<<: *x\n", "a.yaml:2:5"),
    ],
)
def test_an_anchor_or_alias_is_refused_wherever_it_stands(text: str, place: str) -> None:
    fault = fault_of(text)
    assert str(fault.place) == place
    assert "is not allowed here" in fault.message


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}]\n" for old, new in pairwise("abcdefg"))
    assert str(fault_of(bomb)) == "a.yaml:1:4: an anchor or alias is not allowed here"


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [echo]\n",
        "a: !!python/name:os.system x\n",
        "a: !!str 5\n",
        "a: !own 5\n",
        "a: ! 5\n",
        "a: !!binary aGk=\n",
        "a: !!set {b}\n",
        "!!python/object/new:os.system a: 1\n",
    ],
)
def test_a_tag_is_refused_wherever_it_stands(text: str) -> None:
    fault = fault_of(text)
    assert "tag" in fault.message
    assert "is not allowed here" in fault.message
    assert fault.hint == "Write the plain value."


def test_a_second_document_is_refused_and_an_end_mark_is_not() -> None:
    assert str(fault_of("a: 1\n---\nb: 2\n")) == "a.yaml:2:1: a second document is not allowed here"
    assert value_of("---\na: 1\n...\n") == {"a": 1}


def test_a_key_that_is_not_text_is_refused() -> None:
    assert "a key that is not text" in fault_of("? [a, b]\n: 1\n").message
    assert "a key that is not text" in fault_of("? {a: b}\n: 1\n").message


@pytest.mark.parametrize(("start", "end"), [("[", "]"), ("{a: ", "}")])
def test_nesting_ends_at_a_depth(start: str, end: str) -> None:
    value_of(start * MAX_DEPTH + "1" + end * MAX_DEPTH)
    assert fault_of(start * (MAX_DEPTH + 1) + "1" + end * (MAX_DEPTH + 1)).message == (
        f"nesting deeper than {MAX_DEPTH} is not allowed here"
    )
    assert "nesting deeper" in fault_of(start * 100_000).message


def test_a_file_that_is_too_large_is_refused() -> None:
    assert fault_of(b"#" * (MAX_BYTES + 1)).message == "larger than 4 MB"
    assert value_of("#" * MAX_BYTES) is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf_16_is_named_as_what_it_is(encoding: str) -> None:
    data = "a: 1\n".encode(encoding)
    fault = fault_of(data if encoding == "utf-16" else "\ufeffa: 1\n".encode(encoding))
    assert fault.message == "is UTF-16, not UTF-8"
    assert "Set-Content -Encoding utf8" in fault.hint


def test_utf_16_without_a_byte_order_mark_is_refused_too() -> None:
    assert "not YAML" in fault_of("a: 1\n".encode("utf-16-le")).message


def test_what_is_not_utf_8_is_refused_with_its_line() -> None:
    fault = fault_of(b"a: 1\nb: 2\nc: caf\xe9\n")
    assert (fault.place.line, fault.message, fault.hint) == (3, "is not UTF-8 text", "Save it as UTF-8.")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    document = parse_yaml(b"\xef\xbb\xbfid: r\n", "r.yaml")
    assert document.value == {"id": "r"}
    assert str(document.place(("id",))) == "r.yaml:1:1"


@pytest.mark.parametrize(
    "text", ["a: \x07b", "a: \x00", "a: [1", "a: 'b", "a: b: c", "a: {b: 1", "- a\nb", "%", "@a", "`a"]
)
def test_what_is_not_yaml_is_refused(text: str) -> None:
    assert fault_of(text).message.startswith("not YAML: ")


def test_an_empty_file_is_null() -> None:
    assert value_of("") is None
    assert value_of("# only a remark\n") is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.yaml: No such file") as caught:
        read_yaml(tmp_path / "none.yaml")
    assert caught.value.hint == "Check the path."
    with pytest.raises(UsageError, match="cannot read rules: Is a directory"):
        read_yaml(tmp_path, "rules")


def test_a_file_is_called_by_the_name_it_is_shown_under(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(InputErrors, match=r"^rules/a.yaml:2:1: the key a stands twice"):
        read_yaml(path, "rules/a.yaml")
    with pytest.raises(InputErrors) as caught:
        read_yaml(path)
    assert caught.value.faults[0].place.file == str(path)


def test_the_nearest_known_word_is_proposed_and_a_short_list_shown_where_none_is_near() -> None:
    words = ["protected", "stopped", "none"]
    assert did_you_mean("protectd", words) == "Did you mean protected?"
    assert did_you_mean("PROTECTED", words) == "Did you mean protected?"
    assert did_you_mean("xyz", words) == "Known: none, protected, stopped."
    assert did_you_mean("xyz", [f"word-{number}" for number in range(16)]) == ""
    assert did_you_mean("xyz", []) == ""


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
@example(b'"\\ud800"')
@example(b'"\\U00110000"')
@example(b"\xff\xfe\x00\x00")
@example(b"%YAML 9.9\n---\na")
@example(b"%TAG ! a\n%TAG ! b\n---\na")
@example(b"? ")
@example(b"- " * 100)
@example(b"\x80")
def test_no_bytes_raise_anything_but_an_error_of_ours(data: bytes) -> None:
    try:
        parse_yaml(data, "a.yaml")
    except AuditorError as error:
        assert isinstance(error, InputErrors)  # noqa: PT017 -- it need not raise


@given(st.text("ab:- \n\t[]{},'\"&*!|>%@?#~.0e\\\ufeff\u2028é😀", max_size=60))
def test_no_text_of_yamls_own_signs_raises_anything_but_an_error_of_ours(text: str) -> None:
    try:
        document = parse_yaml(text.encode(), "a.yaml")
    except InputErrors as error:
        (fault,) = error.faults
        assert fault.place.line >= 1
        assert fault.place.column >= 1
        assert "\n" not in str(fault)
    else:
        assert all(place.line >= 1 and place.column >= 1 for place in document.places.values())
