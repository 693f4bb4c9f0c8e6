"""``auditor collect``: write an inventory, read from Azure or from exports, as a snapshot."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor import __version__
from auditor.cli import options
from auditor.cli.live import LiveFlags, beside, check_inventory, forget, read_azure
from auditor.cli.question import Flags, azure_settings, engine_settings, read_as_of, read_tables
from auditor.errors import AuditorError, ExitCode, UsageError
from auditor.text import printable

if TYPE_CHECKING:
    from auditor.declared.config import Engine
    from auditor.inventory.model import Inventory


def collect(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder to make; it must not exist yet.")
    ] = None,
    inventory: options.Inventory = [],
    config: options.ConfigFile = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="When the exports were taken, as 2026-01-31T06:00:00Z.")
    ] = None,
    complete: options.Complete = [],
    subscription: options.Subscriptions = [],
    management_group: options.ManagementGroups = [],
    tenant: options.Tenant = None,
    cloud: options.CloudOption = None,
    login: options.LoginOption = None,
    *,
    no_instance_views: options.NoInstanceViews = False,
    print_queries: Annotated[
        bool,
        typer.Option("--print-queries", help="Only show what Resource Graph would be asked, to run it by hand."),
    ] = False,
) -> None:
    """Write an inventory as a snapshot: Parquet files and a manifest with their hashes, quick to audit again.

    Without --inventory Azure is read. What was read is kept beside the folder, so that the same command goes on after
    an interruption.

    Exit codes: 0 written, 2 something given is wrong, 3 written, and not all of what was asked for could be read from
    Azure, 4 Azure not reached or identity refused, 70 internal error, 130 interrupted.
    """
    if print_queries:
        _print_queries()
        raise typer.Exit(ExitCode.OK)
    if output is None:
        raise UsageError("no folder for the snapshot", "Name one with -o DIR.")
    live = LiveFlags(subscription, management_group, tenant, cloud, login, no_instance_views)
    check_inventory(inventory, live)
    if inventory and subscription:
        raise UsageError("--subscription is for reading Azure here", "A snapshot of exports holds all of them.")
    when, tables = read_as_of(as_of), read_tables(complete)
    if not inventory and (when is not None or tables):
        flag = "--as-of" if when is not None else "--complete"
        raise UsageError(f"{flag} is for exports", "What is read from Azure knows its time and what is missing.")
    from auditor.inventory.snapshot import check_target

    check_target(output)
    engine = engine_settings(Flags(config=config))
    with tempfile.TemporaryDirectory(prefix="auditor-") as name:
        folder = Path(name)
        if inventory:
            from auditor.inventory.read import read_inventory

            facts = read_inventory([Path(path) for path in inventory], folder, tables)
            facts = replace(facts, collected_at=when) if when is not None else facts
        else:
            facts = _read(live, config, folder, output)
        _write(facts, folder, output, engine)
    if not inventory:
        forget(output)
    raise typer.Exit(ExitCode.CANNOT_CONCLUDE if facts.gaps and not inventory else ExitCode.OK)


def _read(live: LiveFlags, config: Path | None, folder: Path, output: Path) -> "Inventory":
    settings = azure_settings(Flags(config=config))
    try:
        return read_azure(live, settings, folder, output)
    except (KeyboardInterrupt, AuditorError, OSError):
        if beside(output).is_dir():
            typer.echo(printable(f"What was read is kept in {beside(output)}: the same command goes on."), err=True)
        raise


def _write(facts: "Inventory", folder: Path, output: Path, engine: "Engine") -> None:
    from auditor.estate.database import connect
    from auditor.inventory.facts import load_facts
    from auditor.inventory.snapshot import write_snapshot

    with connect(folder, engine) as connection:
        problems = [*facts.problems, *load_facts(connection, facts)]
        manifest = write_snapshot(connection, facts, problems, output, f"azure-backup-auditor {__version__}")
    rows = sum(manifest.tables[table].rows for table in facts.rows)
    typer.echo(
        printable(f"Wrote {output}: {rows:,} resources, as of {manifest.collected_at or 'an unknown time'}"), err=True
    )
    for gap in facts.gaps:
        typer.echo(printable(f"Not read: {gap.cause}"), err=True)


def _print_queries() -> None:
    from auditor.inventory.projection import queries

    for table, query in queries().items():
        typer.echo(f"// {table.replace('_', ' ')}\n{query}\n")
