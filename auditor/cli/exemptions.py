"""``auditor exemptions``: how each exemption stands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli import options
from auditor.cli.question import Flags, settle
from auditor.errors import ExitCode, UsageError
from auditor.text import printable

if TYPE_CHECKING:
    from auditor.assessment.model import ExemptionInfo


def exemptions(
    report: Annotated[
        Path | None, typer.Option("--report", help="A report.json that says what each exemption matched.")
    ] = None,
    file: options.ExemptionsFile = None,
    config: options.ConfigFile = None,
    rules: options.Rules = [],
    as_of: options.AsOf = None,
) -> None:
    """List exemptions: active, expiring, expired, unused, no longer needed.

    With --report as the report has them; else out of the file, at --as-of, without looking at any resource.
    """
    if report is not None and (file is not None or config is not None or rules or as_of is not None):
        raise UsageError("--report says it all", "Leave the other flags out.")
    found = _of_report(report) if report is not None else _of_file(Flags(config, rules, as_of=as_of, exemptions=file))
    from rich.console import Console

    from auditor.formats.terminal import print_exemptions

    print_exemptions(found, Console(highlight=False, markup=False, emoji=False), matched=report is not None)
    raise typer.Exit(ExitCode.OK)


def _of_report(path: Path) -> "list[ExemptionInfo]":
    from auditor.formats.from_json import read_report

    return read_report(path).exemptions


def _of_file(flags: Flags) -> "list[ExemptionInfo]":
    from auditor.assessment.exempting import exemption_info

    settings = settle(flags)
    if not settings.exemptions.file:
        raise UsageError("no exemptions", "Name a file with --exemptions FILE or in auditor.yaml, or give --report.")
    infos = [exemption_info(entry, entry.term(settings.as_of), 0, 0) for entry in settings.exemptions.entries]
    if settings.as_of is None and infos:
        hint = "give the time to judge at with --as-of 2026-01-31T06:00:00Z"
        typer.echo(printable(f"Note: whether they count is not known: {hint}."), err=True)
    return sorted(infos, key=lambda info: info.id)
