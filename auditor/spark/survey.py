"""Snapshots -> a survey: each judged by itself, at its own time, by the rules and the SQL of ``assess``."""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import lit

from auditor import __version__
from auditor.assessment.assess import Assessment, assess, first_findings
from auditor.assessment.model import SCHEMA_VERSION, Finding, Report, SnapshotJudged, Survey, Tool
from auditor.assessment.question import Question
from auditor.errors import ExitCode, UsageError
from auditor.formats.as_parquet import verdict_rows
from auditor.gate import Counts, Gate
from auditor.spark.database import SparkDatabase
from auditor.spark.session import told_plainly
from auditor.spark.snapshots import Found, open_found, url_of
from auditor.spark.whole import Tasks, is_small

MOST_FINDINGS = 1_000  # of a rule in a snapshot
_WORST_FIRST = (ExitCode.VIOLATIONS, ExitCode.CANNOT_CONCLUDE, ExitCode.OK)
_HINT_TASKS = "Executors need this package in the Python that PYSPARK_PYTHON names; Spark says more in its own log."
_HINT = "Spark says more in its own log; more memory or more machines may be what it lacks."


def judge_snapshots(
    spark: SparkSession,
    snapshots: Sequence[Found],
    question: Question,
    folder: Path,
    target: str | None = None,
    most: int = MOST_FINDINGS,
) -> tuple[list[Report], Survey]:
    """Judge every snapshot, and write the verdicts of all at once.

    Args:
        spark: where to compute.
        snapshots: one at least.
        question: the rules and what was declared.
        folder: for files of this machine.
        target: the URL of a folder that is not there yet, to write the matrix of all verdicts to, or none.
        most: findings of each rule in the survey.

    Returns:
        A brief report of each snapshot, and the survey.

    Raises:
        UsageError: a snapshot cannot be used, or Spark gave up.
    """
    if target is not None:
        check_target(spark, target)
    small = [found for found in snapshots if is_small(found)]
    tasks = Tasks(spark, small, question, most, with_rows=target is not None) if small else None
    told: dict[str, tuple[Report, list[Finding]]] = {}
    matrices: list[DataFrame] = []
    if tasks is not None:
        with told_plainly("Spark could not judge the snapshots", _HINT_TASKS):
            told |= {small[number].url: said for number, said in tasks.reports().items()}
        matrices.append(tasks.matrix())
    for number, found in enumerate(snapshots):
        if found.url not in told:
            said, matrix = judge_by_sql(spark, found, question, folder, most, f"auditor_{number}")
            told[found.url] = said
            matrices.append(matrix)
    reports = [told[found.url][0] for found in snapshots]
    judged = [_judged(found.url, *told[found.url]) for found in snapshots]
    if target is not None:
        with told_plainly(f"cannot write {target}", "Name a new folder that Spark may write."):
            reduce(_together, matrices).write.parquet(url_of(target), compression="zstd")
    if tasks is not None:
        tasks.close()
    return reports, Survey(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="azure-backup-auditor", version=__version__),
        options=reports[0].options,
        counts=_total([report.summary.counts for report in reports]),
        gate=_gate(judged),
        most_findings=most,
        snapshots=judged,
    )


def judge_by_sql(
    spark: SparkSession, found: Found, question: Question, folder: Path, most: int, name: str
) -> tuple[tuple[Report, list[Finding]], DataFrame]:
    """Judge a snapshot by statements of Spark's; their tables begin with ``name``.

    Returns:
        A brief report, its findings, and the rows of the matrix.
    """
    inventory = open_found(spark, found)
    if question.as_of is None:
        question.exemptions.check_terms(inventory.collected_at)
    database = SparkDatabase(spark, found.url, name)
    with told_plainly(f"Spark could not judge {found.url}", _HINT):
        assessment = assess(inventory, folder, question, brief=True, database=database)
        findings = first_findings(assessment.estate, assessment.matrices, assessment.exemptions, most)
        matrix = _matrix(database, assessment, found.url)
        database.close()
    return (assessment.report, findings), matrix


def _judged(url: str, report: Report, findings: list[Finding]) -> SnapshotJudged:
    return SnapshotJudged(
        snapshot=url,
        as_of=report.as_of,
        inventory=report.inventory,
        summary=report.summary,
        coverage=report.coverage,
        gaps=report.gaps,
        exemptions=report.exemptions,
        rules=report.rules,
        frameworks=report.frameworks,
        findings=findings,
        run_id=report.run_id,
    )


def check_target(spark: SparkSession, target: str) -> None:
    """Complain before the work about a folder that is there already.

    Raises:
        UsageError: it is.
    """
    try:
        with told_plainly("", ""):
            spark.read.format("binaryFile").load(url_of(target))
    except UsageError:
        return  # that it cannot be read is what it should be: it is to be made
    raise UsageError(f"{target} is there already", "Name a new folder; nothing is ever overwritten.")


def _matrix(database: SparkDatabase, assessment: Assessment, url: str) -> DataFrame:
    """Return the verdicts of a snapshot, kept by themselves: its tables can be let go of."""
    rows = reduce(_together, map(database.frame, verdict_rows(assessment)))
    return rows.select(lit(url).alias("snapshot"), "*").localCheckpoint()


def _together(one: DataFrame, other: DataFrame) -> DataFrame:
    return one.unionByName(other, allowMissingColumns=True)


def _total(counts: Sequence[Counts]) -> Counts:
    return Counts(
        passed=sum(count.passed for count in counts),
        fail=sum(count.fail for count in counts),
        unknown=sum(count.unknown for count in counts),
        not_applicable=sum(count.not_applicable for count in counts),
        exempt=sum(count.exempt for count in counts),
        exempt_unknown=sum(count.exempt_unknown for count in counts),
    )


def _gate(judged: Sequence[SnapshotJudged]) -> Gate:
    """A violation in any snapshot is one; else what one of them could not tell, nobody can."""
    codes = {snapshot.summary.gate.exit_code for snapshot in judged}
    worst = next(code for code in _WORST_FIRST if code in codes)
    if len(judged) == 1:
        return judged[0].summary.gate
    reasons = [
        f"{snapshot.snapshot}: {reason}"
        for snapshot in judged
        for reason in snapshot.summary.gate.reasons
        if snapshot.summary.gate.exit_code == worst
    ]
    return Gate(exit_code=worst, reasons=reasons)
