"""``--summary FILE``: the Markdown that is added to the summary of a pipeline's step."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.errors import UsageError

if TYPE_CHECKING:
    from auditor.assessment.model import Report

# GitHub shows none of a step's summary when it is larger than this.
MOST_BYTES = 1_048_576

Summary = Annotated[
    Path | None,
    typer.Option("--summary", help="Add a summary in Markdown to this file, such as $GITHUB_STEP_SUMMARY."),
]


def check_summary(path: Path | None) -> None:
    """Complain before the work about a file that nothing can be added to."""
    from auditor.atomic_file import check_appendable

    if path is not None:
        _room(path, check_appendable(path))


def add_summary(report: "Report", path: Path | None) -> list[str]:
    """Add the summary of a report, as long as there is room for; return the names of the files that were written."""
    from auditor.atomic_file import append, check_appendable
    from auditor.formats import as_markdown

    if path is None:
        return []
    held = check_appendable(path)
    page = as_markdown.page(report, min(as_markdown.MOST_BYTES, _room(path, held)))
    append(path, b"\n" + page if held else page)
    return [str(path)]


def _room(path: Path, held: int) -> int:
    """Return how many bytes of a page there is room for."""
    from auditor.formats import as_markdown

    room = MOST_BYTES - held - len("\n\n")
    if room < as_markdown.LEAST_BYTES:
        hint = "A summary has at most 1 MiB: give a file of its own."
        raise UsageError(f"cannot add a summary to {path}: it holds {held:,} bytes already", hint)
    return room
