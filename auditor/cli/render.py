"""``auditor render``: other formats of a report, later and offline."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from auditor.cli.annotations import Annotations, check_annotations, print_annotations
from auditor.cli.audit import check_outputs
from auditor.cli.summary import Summary, add_summary
from auditor.errors import ExitCode, UsageError
from auditor.text import printable


def render(
    report: Annotated[Path, typer.Argument(metavar="REPORT.json", help="What auditor audit -o REPORT.json wrote.")],
    output: Annotated[
        list[str],
        typer.Option(
            "-o",
            "--output",
            help="[FORMAT:]FILE to write (.json, .csv, .html, .junit.xml, .md, .ocsf.ndjson, .oscal.json, .sarif, "
            ".xlsx); - is JSON on stdout.",
        ),
    ] = [],
    summary: Summary = None,
    annotations: Annotations = None,
) -> None:
    """Write other formats of a report: the bytes that audit would have written. Exit code 0 whatever the verdict."""
    from auditor.atomic_file import atomic_file
    from auditor.formats import writer_for, writes_matrix
    from auditor.formats.from_json import read_report

    check_annotations(annotations)
    if not output and summary is None and annotations is None:
        raise UsageError("nothing to write", "Name what to make of the report: -o report.html")
    writers = []
    for name in output:
        writer, path = writer_for(name)
        if writes_matrix(writer):
            hint = "It is made while resources are judged: auditor audit -o verdicts.parquet"
            raise UsageError(f"{name} cannot be made of a report", hint)
        writers.append((writer, path))
    check_outputs([path for _, path in writers], [str(report)], summary)
    found = read_report(report)
    on_stdout = any(path == "-" for _, path in writers)
    for writer, path in sorted(writers, key=lambda named: named[1] == "-"):
        if path == "-":
            sys.stdout.flush()
            writer.write(found, sys.stdout.buffer)
            continue
        with atomic_file(Path(path)) as file:
            writer.write(found, file)
        typer.echo(printable(f"Wrote {path}"), err=on_stdout)
    for path in add_summary(found, summary):
        typer.echo(printable(f"Wrote {path}"), err=on_stdout)
    print_annotations(found, annotations, err=on_stdout)
    raise typer.Exit(ExitCode.OK)
