"""``--annotations PLATFORM``: the worst findings as lines from which a pipeline makes errors and warnings."""

from typing import TYPE_CHECKING, Annotated

import typer

from auditor.errors import UsageError

if TYPE_CHECKING:
    from auditor.assessment.model import Report

Annotations = Annotated[
    str | None,
    typer.Option("--annotations", help="Print the worst findings as annotations too: github or azure-devops."),
]


def check_annotations(platform: str | None) -> None:
    """Complain before the work about a platform that is not known."""
    from auditor.formats.annotations import PLATFORMS

    if platform is not None and platform not in PLATFORMS:
        raise UsageError(f"no annotations for {platform}", f"Known: {', '.join(PLATFORMS)}.")


def print_annotations(report: "Report", platform: str | None, *, err: bool) -> None:
    """Print them, on standard error where standard output is taken."""
    from auditor.formats.annotations import PLATFORMS

    if platform is not None:
        for line in PLATFORMS[platform](report):
            typer.echo(line, err=err)
