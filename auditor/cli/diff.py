"""``auditor diff``: what is different between two reports."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from auditor.cli.audit import check_outputs
from auditor.errors import ExitCode


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="The earlier report.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="The later report.")],
    output: Annotated[
        list[str],
        typer.Option("-o", "--output", help="[FORMAT:]FILE to write (.json, .md); - is JSON on stdout."),
    ] = [],
) -> None:
    """Show what is new, fixed, unknown, gone and unchanged between two reports. Exit code 0 whatever it is."""
    from auditor.assessment.baseline import compare
    from auditor.atomic_file import atomic_file
    from auditor.formats import diff_writer_for
    from auditor.formats.from_json import read_report

    writers = [diff_writer_for(name) for name in output]
    check_outputs([path for _, path in writers], [str(old), str(new)])
    found = compare(read_report(old), read_report(new))
    for writer, path in writers:
        if path != "-":
            with atomic_file(Path(path)) as file:
                writer.write(found, file)
    from rich.console import Console

    from auditor.formats.diff_terminal import print_diff

    console = Console(stderr=any(path == "-" for _, path in writers), highlight=False, markup=False, emoji=False)
    print_diff(found, console, [path for _, path in writers if path != "-"])
    for writer, path in writers:
        if path == "-":
            sys.stdout.flush()
            writer.write(found, sys.stdout.buffer)
    raise typer.Exit(ExitCode.OK)
