"""``auditor plan``: failing verdicts -> the steps that would turn them, for people to review."""

import gc
import tempfile
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli import options
from auditor.cli.audit import facts_of, question_of
from auditor.cli.live import LiveFlags, check_inventory
from auditor.cli.question import Flags, settle
from auditor.errors import ExitCode, UsageError
from auditor.yaml_source import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.declared.config import Azure
    from auditor.inventory.model import Inventory
    from auditor.remediation.make import Check
    from auditor.remediation.model import Plan

SUFFIXES = (".json", ".md", ".html")


def plan(
    output: Annotated[
        list[str],
        typer.Option("-o", "--output", help="Where to write the plan: .json to keep it, .md or .html to read it."),
    ] = [],
    inventory: options.Inventory = [],
    config: options.ConfigFile = None,
    rules: options.Rules = [],
    profile: options.Profile = None,
    select: Annotated[
        list[str],
        typer.Option("--select", help="Plan only for what these rules find, separated by commas; all of them judge."),
    ] = [],
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
    only: Annotated[
        list[str],
        typer.Option("--only", help="Plan only for this resource, or what lies below this id. May be repeated."),
    ] = [],
    allow_one_way: Annotated[
        list[str],
        typer.Option(
            "--allow-one-way",
            help="Allow what can never be taken back: always-on-soft-delete, locked-immutability, "
            "cross-region-restore or enhanced-policy.",
        ),
    ] = [],
    *,
    no_instance_views: options.NoInstanceViews = False,
    trigger_backup: Annotated[
        bool, typer.Option("--trigger-backup", help="Also take a backup now where one is due, failed, or is the first.")
    ] = False,
    preflight: Annotated[
        bool | None,
        typer.Option(
            "--preflight/--no-preflight",
            help="Ask Azure whether the steps can be done; done when Azure is read, not done with --inventory.",
        ),
    ] = None,
    edit_policies: Annotated[
        bool,
        typer.Option("--edit-policies", help="Change policies that are in use, instead of moving items to new ones."),
    ] = False,
    allow_reduce: Annotated[
        bool,
        typer.Option("--allow-reduce", help="Allow fewer backups a day or a weaker redundancy where a rule asks."),
    ] = False,
) -> None:
    """Plan what would turn failing verdicts. Nothing is changed: the plan is for people to review.

    Exit codes: 0 the plan was made, 2 something given is wrong, 4 Azure not reached or identity refused, 70 internal
    error, 130 interrupted.
    """
    from auditor.atomic_file import atomic_file, check_writable

    for path in output:
        if path != "-" and not path.endswith(SUFFIXES):
            raise UsageError(f"-o {path} is no format of a plan", "Write .json, .md or .html.")
        if path != "-":
            check_writable(Path(path))
    flags = Flags(
        # Which vault and policy are right is judged by all rules, also where only some are to be answered.
        config,
        rules,
        profile,
        [],
        ignore,
        param,
        primary_endpoint,
        as_of,
        complete,
        exemptions=exemptions,
    )
    settings = settle(flags)
    answered = selected(select, [rule.id for rule in settings.rules])
    live = LiveFlags(subscription, management_group, tenant, cloud, login, no_instance_views)
    # With --preflight Azure is asked, too, about an inventory that was read before.
    check_inventory(inventory, replace(live, tenant=None, cloud=None, login=None) if preflight else live)
    check_scopes(only)
    from auditor.assessment.assess import assess
    from auditor.remediation.make import Asked, make_plan
    from auditor.remediation.model import ONE_WAY, JudgedBy, PlanOptions

    for word in allow_one_way:
        if word not in ONE_WAY:
            raise UsageError(f"--allow-one-way is never {word}", did_you_mean(word, ONE_WAY))

    asked_for = PlanOptions(
        only=sorted({scope.rstrip("/") for scope in only}),
        rules=answered,
        trigger_backup=trigger_backup,
        edit_policies=edit_policies,
        allow_reduce=allow_reduce,
        allow_one_way=sorted(set(allow_one_way)),
    )
    gc.set_threshold(100_000)  # steps hold no cycles, and looking for some takes a tenth of the time; answers do
    with tempfile.TemporaryDirectory(prefix="auditor-") as name:
        folder = Path(name)
        facts = facts_of(inventory, settings, live, folder)
        question = question_of(settings, primary_endpoint, live, inventory)
        with _checking(live, settings.config.azure, facts, wanted=preflight, live_read=not inventory) as check:
            made = make_plan(
                Asked(
                    facts,
                    question,
                    asked_for,
                    lambda room, change: assess(facts, room, question, brief=True, change=change),
                    check,
                    JudgedBy(
                        config=str(config or ""),
                        rules=[str(path) for path in rules],
                        profile=profile or "",
                        ignore=list(ignore),
                        parameters=list(param),
                        primary_endpoint=primary_endpoint or "",
                        exemptions=str(exemptions or ""),
                    ),
                ),
                folder,
            )
    from auditor.formats.plan_as import write_plan

    for path in output:
        if path != "-":
            with atomic_file(Path(path)) as file:
                write_plan(made, next(suffix for suffix in SUFFIXES if path.endswith(suffix)), file)
    _show(made, output)
    raise typer.Exit(ExitCode.OK)


@contextmanager
def _checking(
    live: LiveFlags, azure: "Azure", facts: "Inventory", *, wanted: bool | None, live_read: bool
) -> "Iterator[Check | None]":
    """Yield what asks Azure about steps, or nothing where it is not to be asked."""
    if not (live_read if wanted is None else wanted):
        yield None
        return
    from auditor.azure.preflight import Preflight
    from auditor.azure.questions import QUESTIONS
    from auditor.cli.live import caller_of, settle_azure, sign_in
    from auditor.estate.database import sizes_of

    with closing(sign_in(settle_azure(live, azure), QUESTIONS)) as session:
        yield Preflight(caller_of(session), sizes_of(facts)).check


def selected(select: list[str], known: list[str]) -> list[str]:
    """Return the rules to answer, sorted.

    Raises:
        UsageError: one of them is not among those that are judged.
    """
    names = sorted({name.strip() for value in select for name in value.split(",") if name.strip()})
    for name in names:
        if name not in known:
            raise UsageError(f"there is no rule {name} in this profile", did_you_mean(name, known))
    return names


def check_scopes(only: list[str]) -> None:
    """Complain about scopes that name nothing.

    Raises:
        UsageError: one of them is no id of Azure's.
    """
    from auditor.arm_id import parse_arm_id

    for scope in only:
        if parse_arm_id(f"{scope.rstrip('/')}/") is None or not scope.lower().startswith("/subscriptions/"):
            hint = "Give the id of a subscription, resource group, VM, vault or policy."
            raise UsageError(f"--only {scope} is no id", hint)


def _show(made: "Plan", output: list[str]) -> None:
    import sys

    from rich.console import Console

    from auditor.formats.plan_as import write_plan
    from auditor.formats.plan_terminal import print_plan

    on_stdout = "-" in output
    console = Console(stderr=on_stdout, highlight=False, markup=False, emoji=False)
    print_plan(made, console, [path for path in output if path != "-"])
    if on_stdout:
        sys.stdout.flush()
        write_plan(made, ".json", sys.stdout.buffer)
