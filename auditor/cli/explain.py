"""``auditor explain``: everything known and judged about one resource."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from auditor.arm_id import parse_arm_id
from auditor.cli import options
from auditor.cli.audit import assessed
from auditor.cli.live import LiveFlags
from auditor.cli.question import Flags, settle
from auditor.errors import ExitCode, UsageError
from auditor.text import fold, without_surrogates

if TYPE_CHECKING:
    from auditor.assessment.assess import Assessment
    from auditor.assessment.model import Finding

MOST_CANDIDATES = 10
Say: TypeAlias = Callable[..., None]


def explain(
    resource: Annotated[str, typer.Argument(help="Id or name of a VM, vault, policy or backup item.")],
    inventory: options.Inventory = [],
    config: options.ConfigFile = None,
    rules: options.Rules = [],
    profile: options.Profile = None,
    select: options.Select = [],
    ignore: options.Ignore = [],
    param: options.Parameters = [],
    primary_endpoint: options.PrimaryEndpoint = None,
    as_of: options.AsOf = None,
    complete: options.Complete = [],
    exemptions: options.ExemptionsFile = None,
    subscription: options.Subscriptions = [],
    management_group: options.ManagementGroups = [],
    tenant: options.Tenant = None,
    cloud: options.CloudOption = None,
    login: options.LoginOption = None,
    *,
    no_instance_views: options.NoInstanceViews = False,
) -> None:
    """Show everything known and judged about one VM, vault, policy or backup item, with evidence.

    Without --inventory Azure is read: of the subscription that the id names, or else of the tenant.
    """
    flags = Flags(
        config, rules, profile, select, ignore, param, primary_endpoint, as_of, complete, exemptions=exemptions
    )
    settings = settle(flags)
    named = parse_arm_id(resource)
    if not inventory and not subscription and not management_group and named is not None and named.subscription:
        subscription = [named.subscription]
    live = LiveFlags(subscription, management_group, tenant, cloud, login, no_instance_views)
    with assessed(inventory, settings, primary_endpoint, live) as assessment:
        from rich.console import Console

        from auditor.assessment.evidence import find_evidence
        from auditor.formats.terminal import print_line, told

        subject, key = _find(assessment, resource)
        console = Console(highlight=False, markup=False, emoji=False)

        def say(*parts: str | tuple[str, str]) -> None:
            print_line(console, told(*parts))

        _print_facts(say, assessment, subject, key)
        if subject == "vm":
            _print_items(say, assessment, key)
        matrix = next((matrix for matrix in assessment.matrices if matrix.subject == subject), None)
        found = []
        if matrix is not None:
            found = list(find_evidence(assessment.estate, matrix, [key], assessment.exemptions))
        for finding in found:
            _print_verdict(say, finding)
        if not found:
            say("No selected rule judges it.")
    raise typer.Exit(ExitCode.OK)


def _find(assessment: "Assessment", resource: str) -> tuple[str, str]:
    """Return the kind and key of the resource meant, by id or else by name."""
    key = fold(without_surrogates(resource).strip().rstrip("/"))
    union = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, key, id, name_key FROM {kind}" for kind in ("vm", "vault", "policy", "item")
    )
    rows = assessment.estate.query(f"SELECT kind, key, id FROM ({union}) WHERE key = ? ORDER BY key", [key])
    rows = rows or assessment.estate.query(
        f"SELECT kind, key, id FROM ({union}) WHERE name_key = ? ORDER BY kind, key",
        [key],
    )
    if not rows:
        raise UsageError(f"{resource} is not in the inventory", "Give the resource's id, or its exact name.")
    if len(rows) > 1:
        ids = ", ".join(row[2] for row in rows[:MOST_CANDIDATES])
        raise UsageError(f"{len(rows)} resources are called {resource}", f"Give the id of one: {ids}")
    kind, found, _ = rows[0]
    return kind, found


def _print_facts(say: Say, assessment: "Assessment", subject: str, key: str) -> None:
    from auditor.assessment.evidence import show_bounds, show_field
    from auditor.estate.fields import FIELDS, SEES, SUBJECTS, TOLD

    kind = next(name for name in SUBJECTS if name == subject)
    for relation in SEES[kind]:
        cursor = assessment.estate.connection.execute(
            f"SELECT {relation}.* FROM {TOLD[kind]} WHERE {kind}.key = ?",
            [key],
        )
        names = [column[0] for column in cursor.description or ()]
        cells = dict(zip(names, cursor.fetchone() or (), strict=False))
        if cells.get("n") is None and relation != "item":
            continue
        say((relation.replace("_", " "), "bold"))
        for field in FIELDS.values():
            if field.relation != relation or field.type == "relation":
                continue
            if field.type == "bounded":
                text = show_bounds(cells.get(f"{field.column}_min"), cells.get(f"{field.column}_max"))
            else:
                value = cells.get(field.column)
                if (field.note and not value) or (value is None and field.absent == "none"):
                    continue
                text = show_field(field, value)
            say(f"  {field.column:<28} {text}")
        say()


def _print_items(say: Say, assessment: "Assessment", key: str) -> None:
    """Name every backup item of a VM, the one that counts first."""
    rows = assessment.estate.query(
        "SELECT i.id, i.state, i.last_recovery_point FROM item i LEFT JOIN live l ON l.item_n = i.n"
        " WHERE i.vm_id_key = ? ORDER BY l.item_n IS NULL, i.n",
        [key],
    )
    if len(rows) > 1:
        say((f"{len(rows)} backup items, the first of which counts", "bold"))
        for item, state, _ in rows:
            say(f"  {state or '(state not known)':<28} {item}")
        say()


def _print_verdict(say: Say, finding: "Finding") -> None:
    from auditor.assessment.evidence import show

    say((f"{finding.outcome}  {finding.rule} ({finding.severity})", "bold"))
    say(f"  {finding.message}")
    if finding.exemption is not None:
        said = finding.exemption
        by = f"{said.owner}, {said.category}{f', {said.ticket}' if said.ticket else ''}, until {said.expires}"
        say(f"  exempt    {said.id}: {said.reason} ({by})")
    say(f"  expected  {finding.expected}")
    for entry in finding.evidence:
        value = (
            ("not known: " + entry.reason if entry.reason else "not there")
            if entry.value is None
            else show(entry.value)
        )
        source = f"  [{entry.source}]" if entry.source else ""
        say(f"  {entry.field} = {value}{source}")
    say()
