"""How text is compared, and how it is shown."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from auditor.text import fold, visible, without_surrogates

ANY_TEXT = st.text(st.characters())  # lone surrogates too
EVERY_CHARACTER = [chr(number) for number in range(0x110000)]
# Characters that take no room or change what stands around them (Unicode: Default_Ignorable_Code_Point, Bidi_Control).
UNSEEN = [
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\ufeff", "\uffa0"),
    *map(chr, (*range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070))),
    *map(chr, (*range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9), *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B))),
    *map(chr, range(0xE0000, 0xE1000)),
]
# Numbers that are no characters: a validator of HTML calls each of them an error.
NO_CHARACTERS = [chr(number) for number in range(0x110000) if number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF]


def test_folding_is_one_character_for_one_and_done_once() -> None:
    for character in EVERY_CHARACTER:
        folded = fold(character)
        assert len(folded) == 1, hex(ord(character))
        assert fold(folded) == folded, hex(ord(character))


@given(ANY_TEXT)
@example("İSTANBUL")
@example("ΣΑΣ")
def test_folding_text_is_folding_its_characters(text: str) -> None:
    assert fold(text) == "".join(map(fold, text))
    assert fold(fold(text)) == fold(text)
    assert len(fold(text)) == len(text)


@given(st.text(st.characters(max_codepoint=0x7F)), ANY_TEXT)
def test_folding_is_the_same_beside_other_text(ascii_text: str, text: str) -> None:
    assert fold(ascii_text + text) == fold(ascii_text) + fold(text)
    assert fold(ascii_text) == ascii_text.lower() == fold(ascii_text.upper())


def test_names_that_differ_in_more_than_letter_case_stay_different() -> None:
    assert fold("ÄÖÜ-Web") == fold("äöü-wEB")
    assert fold("straße") != fold("strasse")
    assert fold("\u0131") != fold("i")  # dotless
    assert fold("İ") != fold("i")
    assert fold("\u03c3") == fold("Σ") != fold("ς")
    assert fold("e\u0301") != fold("é")


@given(ANY_TEXT)
@example("a\u202eb")
@example("\ud800")
@example("a\r\nb")
@example("".join(UNSEEN))
def test_nothing_that_is_shown_controls_hides_or_turns_text(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {*shown} & {*UNSEEN}
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown


def test_plain_text_is_shown_as_it_is_beside_any_other() -> None:
    for character in EVERY_CHARACTER:
        assert visible(f"é{character}") == f"é{visible(character)}"


def test_a_character_that_is_not_seen_is_written_as_its_number() -> None:
    for character in (*UNSEEN, *NO_CHARACTERS):
        assert visible(f"a{character}b") == f"a\\u{{{ord(character):04X}}}b"


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters=UNSEEN)))
def test_what_can_be_seen_is_shown_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_showing_what_is_shown_changes_nothing() -> None:
    text = "".join(EVERY_CHARACTER)
    assert visible(visible(text)) == visible(text)


@given(ANY_TEXT)
@example("\ud83d\ude00")
@example("a\udc00b\ud800")
def test_text_without_surrogates_fits_into_utf_8(text: str) -> None:
    clean = without_surrogates(text)
    assert clean.encode().decode() == clean
    whole = "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
    assert clean == whole
