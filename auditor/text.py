"""How text from Azure is compared (``fold``) and how it is shown (``visible``)."""

import re

# Control, bidirectional, zero-width and non-characters, and lone surrogates: each breaks a terminal, a table or a
# parser somewhere, or makes one name look like another.
_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    f"{''.join(chr(plane << 16 | low) for plane in range(1, 17) for low in (0xFFFE, 0xFFFF))}]",
)
# GitHub Actions takes commands from lines that begin with "::" and from "##[" anywhere, Azure Pipelines from "##vso[".
_COMMANDS = re.compile("(?<=#)#|(?<=:):")
_SURROGATES = re.compile("[\ud800-\udfff]")


def fold(text: str) -> str:
    """Return ``text`` as names are compared in Azure: without regard to letter case.

    Folding is one character for one character, so that two names of different length never become equal ("straße" and
    "strasse" are two resource groups). A character whose lower case is longer than itself (U+0130) stays as it is.
    """
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def visible(text: str) -> str:
    r"""Return ``text`` on one line, with each character that could deceive a reader written as ``\u{XXXX}``."""
    if text.isascii() and text.isprintable():  # as nearly all is, and it takes a tenth of the time to see
        return text
    return _HOSTILE.sub(_escaped, text)


def printable(text: str) -> str:
    """Return ``text`` as it may be printed: visible, and no command to the pipeline whose log it ends up in."""
    return _COMMANDS.sub(_escaped, visible(text))


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{{{ord(match[0]):04X}}}"


def without_surrogates(text: str) -> str:
    """Return ``text`` as UTF-8 can hold it: lone surrogates become U+FFFD."""
    return _SURROGATES.sub("\ufffd", text)
