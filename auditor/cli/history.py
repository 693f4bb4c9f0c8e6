"""``auditor history``: what earlier runs said, and the jobs that they saw."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli.audit import check_outputs, tell_unread
from auditor.errors import ExitCode, UsageError
from auditor.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


def history(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What auditor audit --history DIR keeps.")],
    resource: Annotated[
        str | None, typer.Argument(help="With --jobs: only those of this VM or vault, by its name or id.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", help="A file to write as JSON (.json); - is JSON on stdout.")
    ] = None,
    *,
    jobs: Annotated[
        bool, typer.Option("--jobs", help="List the kept jobs instead: backups, restores and all others of VMs.")
    ] = False,
) -> None:
    """Show the runs that a history keeps, as they were, or the jobs that they saw.

    Exit codes: 0 all of it was read, 2 something of it is damaged or of a newer version (the rest is shown), or
    something given is wrong.
    """
    if resource is not None and not jobs:
        raise UsageError(f"what is asked of {resource} is not said", "Add --jobs for the jobs of a VM or vault.")
    if output is not None:
        if output != "-" and not output.endswith(".json"):
            raise UsageError(f"cannot tell the format of {output}", "A history is written as .json.")
        check_outputs([output], [])
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if jobs:
        from auditor.formats.history_terminal import print_jobs
        from auditor.history.jobs import read_jobs

        found = read_jobs(folder, resource or "")
        notices = found.notices
        if resource is not None and not found.jobs and not notices:
            hint = "Give the name or id of a VM or vault; without one all kept jobs are listed."
            raise UsageError(f"no job of {resource} is kept in {folder}", hint)
        if not _write(output, found.jobs):
            print_jobs(found.jobs, console)
    else:
        from auditor.assessment.trend import trend_of
        from auditor.formats.history_terminal import print_runs
        from auditor.history.runs import read_history

        past = read_history(folder)
        notices = past.notices
        if not _write(output, past.runs):
            print_runs(trend_of(past.runs), console)
    tell_unread(notices)
    raise typer.Exit(ExitCode.USAGE if notices else ExitCode.OK)


def _write(output: str | None, entries: "Sequence[object]") -> bool:
    """Write entries as JSON where that was asked for; return whether it was."""
    import msgspec

    from auditor.atomic_file import atomic_file

    if output is None:
        return False
    text = msgspec.json.format(msgspec.json.encode(entries, order="sorted"), indent=1) + b"\n"
    if output == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
        return True
    with atomic_file(Path(output)) as file:
        file.write(text)
    typer.echo(printable(f"Wrote {output}"))
    return True
