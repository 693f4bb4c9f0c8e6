"""``auditor collect``: write an inventory as a snapshot."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from auditor import __version__
from auditor.cli import options
from auditor.cli.question import read_as_of, read_tables
from auditor.errors import ExitCode, UsageError
from auditor.text import printable


def collect(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to make; it must not exist yet.")],
    inventory: options.Inventory = [],
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="When the exports were taken, as 2026-01-31T06:00:00Z.")
    ] = None,
    complete: options.Complete = [],
) -> None:
    """Write an inventory as a snapshot: Parquet files and a manifest with their hashes, quick to audit again.

    Exit codes: 0 written, 2 something given is wrong, 70 internal error, 130 interrupted.
    """
    if not all(inventory) or not inventory:
        raise UsageError("no inventory", "Give exported JSON with --inventory PATH (a file or a folder).")
    when = read_as_of(as_of)
    from auditor.estate.database import connect
    from auditor.inventory.facts import load_facts
    from auditor.inventory.read import read_inventory
    from auditor.inventory.snapshot import check_target, write_snapshot

    check_target(output)
    with tempfile.TemporaryDirectory(prefix="auditor-") as name:
        folder = Path(name)
        facts = read_inventory([Path(path) for path in inventory], folder, read_tables(complete))
        if when is not None:
            facts = replace(facts, collected_at=when)
        with connect(folder) as connection:
            problems = [*facts.problems, *load_facts(connection, facts)]
            manifest = write_snapshot(connection, facts, problems, output, f"azure-backup-auditor {__version__}")
    rows = sum(manifest.tables[table].rows for table in facts.rows)
    typer.echo(
        printable(f"Wrote {output}: {rows:,} resources, as of {manifest.collected_at or 'an unknown time'}"), err=True
    )
    for gap in facts.gaps:
        typer.echo(printable(f"Not read: {gap.cause}"), err=True)
    raise typer.Exit(ExitCode.OK)
