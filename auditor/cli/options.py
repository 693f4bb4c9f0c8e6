"""Flags that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

Inventory = Annotated[
    list[str],
    typer.Option("--inventory", help="A snapshot, or exported JSON: a file or a folder. May be repeated."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration; ./auditor.yaml when there is one."),
]
Rules = Annotated[
    list[Path], typer.Option("--rules", help="Your own rules: a file or folder. Adds to the bundled ones.")
]
Profile = Annotated[str | None, typer.Option("--profile", help="baseline or hardened.")]
Select = Annotated[list[str], typer.Option("--select", help="Run only these rules (ID,ID).")]
Ignore = Annotated[list[str], typer.Option("--ignore", help="Do not run these rules (ID,ID).")]
Parameters = Annotated[list[str], typer.Option("--param", help="RULE.NAME=VALUE, the value as YAML.")]
PrimaryEndpoint = Annotated[
    str | None,
    typer.Option("--primary-endpoint", help="Intent of vaults where nothing else says it: azure, other or zone."),
]
AsOf = Annotated[str | None, typer.Option("--as-of", help="The time to judge at, as 2026-01-31T06:00:00Z.")]
ExemptionsFile = Annotated[
    Path | None, typer.Option("--exemptions", help="Which verdicts somebody answers for: exemptions.yaml.")
]
Complete = Annotated[
    list[str],
    typer.Option("--complete", help="This table of the export is whole, even if empty (TABLE,TABLE)."),
]
