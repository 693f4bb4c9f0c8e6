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
AttestationsFile = Annotated[
    Path | None, typer.Option("--attestations", help="What people attest about controls: attestations.yaml.")
]
Framework = Annotated[
    str | None,
    typer.Option(
        "--framework",
        help="Run only the rules that bear on this framework, and report its controls first: nist-800-53, iso-27001, "
        "mcsb, cis, dora, soc2, azure-policy.",
    ),
]
Complete = Annotated[
    list[str],
    typer.Option("--complete", help="This table of the export is whole, even if empty (TABLE,TABLE)."),
]
Subscriptions = Annotated[
    list[str],
    typer.Option("--subscription", help="Judge what is in this subscription (its id). May be repeated."),
]
ManagementGroups = Annotated[
    list[str],
    typer.Option("--management-group", help="Judge what is below this management group (its id). May be repeated."),
]
Tenant = Annotated[
    str | None,
    typer.Option("--tenant", help="Sign in to this tenant (id or domain); the identity's own by default."),
]
CloudOption = Annotated[str | None, typer.Option("--cloud", help="public (default), us-government or china.")]
LoginOption = Annotated[
    str | None,
    typer.Option(
        "--login",
        help="How to sign in: default (whatever azure-identity finds), workload-identity, service-principal, "
        "managed-identity or cli (az login).",
    ),
]
NoInstanceViews = Annotated[
    bool,
    typer.Option("--no-instance-views", help="Do not read what the agents of running VMs report: one call for each."),
]
