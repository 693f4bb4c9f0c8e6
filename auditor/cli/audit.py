"""``auditor audit``: evaluate an inventory and report."""

import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditor.cli import options
from auditor.cli.annotations import Annotations, check_annotations, print_annotations
from auditor.cli.live import LiveFlags, check_inventory, read_azure
from auditor.cli.question import DEFAULT_CONFIG, Flags, settle
from auditor.cli.spark import audit_by_spark, check_engine
from auditor.cli.summary import Summary, add_summary, check_summary
from auditor.errors import UsageError
from auditor.ruleset.settings import Settings
from auditor.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.assessment.assess import Assessment
    from auditor.assessment.model import Report
    from auditor.assessment.question import Question
    from auditor.assessment.trend import History
    from auditor.inventory.model import Inventory

_MOST_NOTICES = 10


def audit(
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
    framework: options.Framework = None,
    attestations: options.AttestationsFile = None,
    output: Annotated[
        list[str],
        typer.Option(
            "-o",
            "--output",
            help="[FORMAT:]FILE to write (.json, .csv, .html, .junit.xml, .md, .ocsf.ndjson, .oscal.json, .parquet, "
            ".sarif, .xlsx); - is JSON on stdout.",
        ),
    ] = [],
    summary: Summary = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="An earlier report.json: findings are marked new or unchanged."),
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on",
            help="Exit with 1 from this severity on: critical, high (default), medium, low, never. new:high counts "
            "only what the baseline does not know.",
        ),
    ] = None,
    annotations: Annotations = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", help="A folder that keeps what each run said; reports tell the trend."),
    ] = None,
    subscription: options.Subscriptions = [],
    management_group: options.ManagementGroups = [],
    tenant: options.Tenant = None,
    cloud: options.CloudOption = None,
    login: options.LoginOption = None,
    *,
    no_instance_views: options.NoInstanceViews = False,
    engine: Annotated[
        str,
        typer.Option(
            "--engine", help="duckdb (default): this machine; spark: snapshots at any URL that Spark reads, many too."
        ),
    ] = "duckdb",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 on any unknown verdict.")] = False,
) -> None:
    """Evaluate an inventory, or Azure as it is now, and report.

    Without --inventory Azure is read: all that the signed-in identity can see of its own tenant.

    Exit codes: 0 no violation and the answer can be relied on, 1 violations, 2 something given is wrong, 3 cannot
    conclude, 4 Azure not reached or identity refused, 70 internal error, 130 interrupted.
    """
    flags = Flags(
        config,
        rules,
        profile,
        select,
        ignore,
        param,
        primary_endpoint,
        as_of,
        complete,
        fail_on,
        strict,
        exemptions,
        attestations,
        framework,
    )
    check_annotations(annotations)
    by_spark = check_engine(engine)
    settings = settle(flags)
    outputs = output or settings.config.outputs
    live = LiveFlags(subscription, management_group, tenant, cloud, login, no_instance_views)
    if by_spark:
        whole = {"--baseline": baseline, "--summary": summary, "--annotations": annotations, "--history": history}
        unusable = [flag for flag, value in whole.items() if value is not None]
        audit_by_spark(inventory, settings, primary_endpoint, live, outputs, unusable)
    from auditor.formats import writer_for, writes_matrix

    writers = [writer_for(name) for name in outputs]
    read = [
        config or DEFAULT_CONFIG,
        *rules,
        *(path for path in (exemptions, attestations, baseline) if path is not None),
    ]
    check_outputs([path for _, path in writers], [*inventory, *map(str, read)], summary)
    earlier = _baseline(baseline, settings)
    past = _history(history, inventory)
    from auditor.atomic_file import atomic_file

    # Without a report that holds them all, nobody waits for the evidence of a million verdicts.
    brief = (
        earlier is None
        and summary is None
        and annotations is None
        and bool(writers)
        and all(writes_matrix(writer) for writer, _ in writers)
    )
    with assessed(inventory, settings, primary_endpoint, live, earlier, past, brief=brief) as assessment:
        report = assessment.report
        if earlier is not None:
            from auditor.assessment.baseline import same_estate

            if not same_estate(earlier, report):
                hint = "It has no subscription in common with the inventory: give a report of the same estate."
                raise UsageError(f"the baseline {baseline} is of another estate", hint)
        for writer, path in writers:
            if writes_matrix(writer):
                with atomic_file(Path(path)) as file:
                    writer.write_verdicts(assessment, file)
        jobs_unread = _keep_jobs(history, assessment)
    reports = [(writer, path) for writer, path in writers if not writes_matrix(writer)]
    for writer, path in reports:
        if path != "-":
            with atomic_file(Path(path)) as file:
                writer.write(report, file)
    added = [*add_summary(report, summary), *_keep_run(history, report)]
    from rich.console import Console

    from auditor.formats.terminal import print_summary

    on_stdout = any(path == "-" for _, path in writers)
    console = Console(stderr=on_stdout, highlight=False, markup=False, emoji=False)
    print_summary(report, console, [*(path for _, path in writers if path != "-"), *added])
    print_annotations(report, annotations, err=on_stdout)
    tell_unread([*(past.notices if past is not None else ()), *jobs_unread])
    for writer, path in reports:
        if path == "-":
            sys.stdout.flush()
            writer.write(report, sys.stdout.buffer)
    raise typer.Exit(report.summary.gate.exit_code)


def _baseline(path: Path | None, settings: Settings) -> "Report | None":
    if path is None:
        fail_on = settings.config.fail_on
        if fail_on.startswith("new:"):
            hint = "Give an earlier report with --baseline REPORT.json."
            raise UsageError(f"--fail-on {fail_on} needs a baseline to tell what is new", hint)
        return None
    from auditor.formats.from_json import read_report

    return read_report(path)


def _history(folder: Path | None, inventory: list[str]) -> "History | None":
    """Read what earlier runs said, and make sure that this one can be kept, before the work."""
    if folder is None:
        return None
    for name in inventory:
        if folder.resolve().is_relative_to(Path(name).resolve()):
            hint = "What is kept would be read as an export the next time. Choose a folder outside of it."
            raise UsageError(f"--history {folder} lies in the inventory {name}", hint)
    from auditor.history.runs import open_history, read_history

    open_history(folder)
    return read_history(folder)


def _keep_jobs(folder: Path | None, assessment: "Assessment") -> list[str]:
    """Keep the jobs of the inventory while its database is open; return what of the history could not be read."""
    if folder is None:
        return []
    from auditor.history.jobs import keep_jobs

    _, unread = keep_jobs(folder, assessment.folder, assessment.estate, assessment.report.run_id)
    return unread


def _keep_run(folder: Path | None, report: "Report") -> list[str]:
    """Keep the run; return the file that was written, if it was not there."""
    if folder is None:
        return []
    from auditor.assessment.trend import run_of
    from auditor.history.runs import keep_run

    written = keep_run(folder, run_of(report))
    return [str(written)] if written is not None else []


def tell_unread(notices: "Sequence[str]") -> None:
    """Say on standard error what of a history could not be read: never silently, and without ending the run."""
    for notice in notices[:_MOST_NOTICES]:
        typer.echo(printable(f"Note: history: {notice}"), err=True)
    if len(notices) > _MOST_NOTICES:
        typer.echo(f"Note: history: and {len(notices) - _MOST_NOTICES:,} more.", err=True)


def check_outputs(paths: list[str], inputs: list[str], summary: Path | None = None) -> None:
    """Complain before the work about what could not be written after it, or would overwrite what is read."""
    from auditor.atomic_file import check_writable

    read = {Path(name).resolve() for name in inputs if name}
    seen = set()
    for path in paths:
        real = "-" if path == "-" else Path(path).resolve()
        if real in seen:
            raise UsageError(f"-o {path} is given twice", "Write each report to a file of its own.")
        seen.add(real)
        if real in read:
            raise UsageError(f"-o {path} would overwrite what is read", "Choose another file.")
        if path != "-":
            check_writable(Path(path))
    if summary is not None and summary.resolve() in seen | read:
        raise UsageError(f"--summary {summary} is written or read otherwise, too", "Choose another file.")
    check_summary(summary)


@contextmanager
def assessed(
    inventory: list[str],
    settings: Settings,
    primary_endpoint: str | None,
    live: LiveFlags,
    baseline: "Report | None" = None,
    history: "History | None" = None,
    *,
    brief: bool = False,
) -> "Iterator[Assessment]":
    """Yield the assessment of exports, or of Azure; its database and files live as long as the block."""
    check_inventory(inventory, live)
    from auditor.assessment.assess import assess

    with tempfile.TemporaryDirectory(prefix="auditor-") as name:
        folder = Path(name)
        facts = facts_of(inventory, settings, live, folder)
        question = replace(question_of(settings, primary_endpoint, live, inventory, baseline), history=history)
        assessment = assess(facts, folder, question, brief=brief)
        try:
            yield assessment
        finally:
            assessment.estate.connection.close()


def facts_of(inventory: list[str], settings: Settings, live: LiveFlags, folder: Path) -> "Inventory":
    """Read an inventory, or Azure, into a folder that must outlive what comes of it."""
    from auditor.inventory.read import read_inventory

    if inventory:
        facts = read_inventory([Path(name) for name in inventory], folder, settings.complete)
    else:
        facts = read_azure(live, settings.config.azure, folder)
    if settings.as_of is None:
        settings.exemptions.check_terms(facts.collected_at)
    return facts


def question_of(
    settings: Settings,
    primary_endpoint: str | None,
    live: LiveFlags,
    inventory: list[str],
    baseline: "Report | None" = None,
) -> "Question":
    """Return what is asked of an inventory."""
    from auditor.assessment.question import question_of as asked_with

    # What was read live knows by itself which of the subscriptions asked for it could see.
    subscriptions = live.folded_subscriptions() if inventory else frozenset[str]()
    return asked_with(settings, primary_endpoint, baseline, subscriptions)
