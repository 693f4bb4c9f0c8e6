"""``auditor audit --engine spark``: snapshots at any URL, judged by Spark."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from auditor.cli.live import LiveFlags, check_inventory
from auditor.errors import UsageError
from auditor.ruleset.settings import Settings

if TYPE_CHECKING:
    from auditor.assessment.model import Report, Survey

ENGINES = ("duckdb", "spark")


def check_engine(engine: str) -> bool:
    """Tell whether Spark is asked for.

    Raises:
        UsageError: there is no such engine.
    """
    if engine not in ENGINES:
        raise UsageError(f"--engine is never {engine}", f"Use {' or '.join(ENGINES)}.")
    return engine == "spark"


def audit_by_spark(
    inventory: list[str],
    settings: Settings,
    primary_endpoint: str | None,
    live: LiveFlags,
    outputs: Sequence[str],
    unusable: Sequence[str],
) -> NoReturn:
    """Judge snapshots and exit as ``audit`` does; ``unusable`` are the flags given that only a whole report serves."""
    for flag in unusable:
        raise UsageError(f"{flag} needs a whole report, which Spark does not make", "Leave it out.")
    if not inventory:
        raise UsageError("--engine spark reads snapshots", "Name them: --inventory URL; auditor collect takes one.")
    check_inventory(inventory, live)
    verdicts, surveys = _sorted_out(outputs)
    try:
        from auditor.spark.session import open_spark
        from auditor.spark.snapshots import find_snapshots
        from auditor.spark.survey import judge_snapshots
    except ImportError as error:
        hint = "Install it: pip install azure-backup-auditor[spark]"
        raise UsageError(f"Spark is not installed ({error.name} is missing)", hint) from error
    from auditor.cli.audit import question_of

    question = question_of(settings, primary_endpoint, live, inventory)
    _quiet()
    # Tasks need this package: on this machine it is where this Python finds it.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory(prefix="auditor-") as name:
        folder = Path(name)
        spark = open_spark(None if os.environ.get("AUDITOR_DEBUG") else folder / "spark.log")
        try:
            reports, survey = judge_snapshots(spark, find_snapshots(spark, inventory), question, folder, verdicts)
        finally:
            spark.stop()
    _tell(reports, survey, surveys, [*([verdicts] if verdicts is not None else []), *surveys])
    raise typer.Exit(survey.gate.exit_code)


def _quiet() -> None:
    """Spark's client logs what it raises as well, and warns of a Java that was interrupted."""
    for name in (None, "py4j"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    logging.getLogger("py4j").propagate = False
    warnings.filterwarnings("ignore", module="pyspark")


def _sorted_out(outputs: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return where verdicts go, and where surveys go; both are looked at before the work."""
    from auditor.cli.audit import check_outputs
    from auditor.formats import writer_for, writes_matrix

    writers = [writer_for(name) for name in outputs]
    verdicts = [path for writer, path in writers if writes_matrix(writer)]
    surveys = [path for writer, path in writers if not writes_matrix(writer)]
    for name, (writer, _) in zip(outputs, writers, strict=True):
        if not writes_matrix(writer) and getattr(writer, "__name__", "") != "auditor.formats.as_json":
            raise UsageError(f"-o {name}: Spark writes .parquet and .json", "Leave the other formats out.")
    if len(verdicts) > 1:
        raise UsageError("-o names two files of verdicts", "Name one.")
    check_outputs(surveys, [])
    return (verdicts[0] if verdicts else None), surveys


def _tell(reports: "Sequence[Report]", survey: "Survey", surveys: Sequence[str], written: Sequence[str]) -> None:
    from rich.console import Console

    from auditor.atomic_file import atomic_file
    from auditor.formats import as_json
    from auditor.formats.terminal import print_summary, print_survey

    for path in surveys:
        if path != "-":
            with atomic_file(Path(path)) as file:
                as_json.write(survey, file)
    on_stdout = "-" in surveys
    console = Console(stderr=on_stdout, highlight=False, markup=False, emoji=False)
    names = [path for path in written if path != "-"]
    if len(reports) == 1:
        print_summary(reports[0], console, names)
    else:
        print_survey(survey, console, names)
    if on_stdout:
        sys.stdout.flush()
        as_json.write(survey, sys.stdout.buffer)
