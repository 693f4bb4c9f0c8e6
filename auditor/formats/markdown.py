"""Text that Markdown takes for nothing but text, on GitHub and elsewhere: no link, no mention, no image, no HTML."""

import re

from auditor.text import visible

_TICKS = re.compile("`+")
# Within a line, nothing in words, numbers and brackets means anything to Markdown, or becomes a link by itself.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ,;()]*\.?")


def inert(text: str, most: int | None = None) -> str:
    """Return text, of which at most so many characters, as a code span: nothing in it ends it or a table's cell."""
    shown = visible(text).replace("|", "\\u{007C}")
    if most is not None and len(shown) > most:
        shown = f"{shown[:most]}..."
    if not shown.strip():
        return ""
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(shown)), default=0))
    # One space at both ends is taken away again; without it, a backtick at an end would belong to the fence.
    space = " " if len(fence) > 1 or (shown[0] == shown[-1] == " ") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def prose(text: str, most: int) -> str:
    """Return a sentence, to stand within a line, as it is when it is one of plain words and numbers, and else inert."""
    return text if len(text) <= most and _PLAIN.fullmatch(text) else inert(text, most)
