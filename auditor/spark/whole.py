"""Snapshots that one machine judges in seconds, a task each: by the engine of every audit, on the executors.

Spark's own SQL pays for its hundred statements whatever their size; a task pays what ``auditor audit`` does. Executors
need this package, of the driver's version, in the Python that Spark starts there.
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark import RDD, StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from auditor import __version__
from auditor.assessment.assess import assess, first_findings
from auditor.assessment.model import Finding, Report
from auditor.assessment.question import Question
from auditor.errors import AuditorError, Fault, InputErrors, UsageError
from auditor.estate.fields import SUBJECTS
from auditor.formats.as_parquet import verdict_rows
from auditor.inventory.snapshot import MANIFEST, open_snapshot, read_manifest
from auditor.ruleset.model import BoundRule
from auditor.spark.snapshots import Found

# Of all tables together: some 200,000 VMs with items, jobs and tags. A task has it as files, in DuckDB and as rows.
MOST_ROWS = 1_000_000
_FACTS = ("kind", "resource_id", "subscription_id", "exempt")
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a task found: a brief report, its findings, and rows for the matrix."""

    report: Report
    findings: list[Finding]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Refused:
    """The error of a task, in parts that can be sent."""

    message: str
    hint: str
    faults: tuple[Fault, ...]
    usage: bool

    def error(self) -> AuditorError:
        """Return it as what it was."""
        if self.faults:
            return InputErrors(list(self.faults))
        return (UsageError if self.usage else AuditorError)(self.message, self.hint)


@dataclass(frozen=True, slots=True)
class Asked:
    """What each task is sent."""

    urls: tuple[str, ...]
    question: Question
    most: int
    with_rows: bool
    version: str = __version__


def is_small(found: Found) -> bool:
    """Tell whether one task can judge it.

    Raises:
        UsageError: its manifest is damaged.
    """
    return sum(held.rows for held in read_manifest(found.data, found.url).tables.values()) <= MOST_ROWS


class Tasks:
    """The small ones among the snapshots, judged when they are asked for, each once."""

    def __init__(
        self, spark: SparkSession, snapshots: Sequence[Found], question: Question, most: int, *, with_rows: bool
    ) -> None:
        """Begin nothing yet; ``snapshots`` are one at least, and ``most`` the findings of a rule."""
        self.spark = spark
        self.rules = question.rules
        asked = Asked(tuple(found.url for found in snapshots), question, most, with_rows)
        numbers = {url: number for number, url in enumerate(asked.urls)}
        names = [
            f"{found.url}/{name}"
            for found in snapshots
            for name in (
                MANIFEST,
                *(held.file for held in read_manifest(found.data, found.url).tables.values()),
            )
        ]
        files: RDD[tuple[int, tuple[str, bytes]]] = (
            spark.read.format("binaryFile")
            .load(names)
            .select("path", "content")
            .rdd.map(lambda file: (numbers[file[0].rpartition("/")[0]], (file[0].rpartition("/")[2], bytes(file[1]))))
        )
        # A partition for each of them, so that no task waits for another's.
        alone = files.groupByKey(len(asked.urls), lambda number: number)
        self.done = alone.map(lambda pair: judge_files(asked, *pair)).persist(StorageLevel.MEMORY_AND_DISK)

    def reports(self) -> dict[int, tuple[Report, list[Finding]]]:
        """Judge them, and return what was found in each, by its place among them.

        Raises:
            UsageError: one of them cannot be used; the first of these.
        """
        said = self.done.map(lambda pair: (pair[0], _without_rows(pair[1]))).collect()
        found = {}
        for number, judged in sorted(said, key=lambda pair: pair[0]):
            if isinstance(judged, Refused):
                raise judged.error()
            found[number] = judged
        return found

    def matrix(self) -> DataFrame:
        """Return the rows of the matrix."""
        text = StringType()
        columns = [StructField(name, text if name != "exempt" else ArrayType(text)) for name in _FACTS]
        columns += [StructField(name, text) for name in rule_columns(self.rules)]
        schema = StructType([StructField("snapshot", text, nullable=False), *columns])
        rows = self.done.flatMap(lambda pair: pair[1].rows if isinstance(pair[1], Judged) else [])
        return self.spark.createDataFrame(rows, schema, verifySchema=False)

    def close(self) -> None:
        """Let go of what was found."""
        self.done.unpersist()


def rule_columns(rules: Sequence[BoundRule]) -> list[str]:
    """Return the rules in the order of their columns."""
    return [rule.id for subject in SUBJECTS for rule in rules if rule.subject == subject]


def judge_files(asked: Asked, number: int, files: Iterable[tuple[str, bytes]]) -> tuple[int, Judged | Refused]:
    """Judge one snapshot out of its files, on an executor; an error is what was found, too."""
    with tempfile.TemporaryDirectory(prefix="auditor-") as name:
        url = asked.urls[number]
        folder = Path(name) / "snapshot"
        folder.mkdir()
        try:
            if asked.version != __version__:
                hint = "Install the driver's version there."
                raise UsageError(f"an executor has version {__version__} of this package, not {asked.version}", hint)
            for file, content in files:
                (folder / file).write_bytes(content)
            return number, _judge(asked, url, folder, Path(name))
        except AuditorError as error:
            faults = tuple(error.faults) if isinstance(error, InputErrors) else ()
            usage = isinstance(error, UsageError)
            return number, Refused(error.message.replace(str(folder), url), error.hint, faults, usage=usage)


def _judge(asked: Asked, url: str, folder: Path, work: Path) -> Judged:
    inventory, question = open_snapshot(folder), asked.question
    if question.as_of is None:
        question.exemptions.check_terms(inventory.collected_at)
    assessment = assess(inventory, work, question, brief=True)
    findings = first_findings(assessment.estate, assessment.matrices, assessment.exemptions, asked.most)
    rows: list[Row] = []
    names = [*_FACTS, *rule_columns(question.rules)]
    for select in verdict_rows(assessment) if asked.with_rows else ():
        cursor = assessment.estate.connection.execute(select)
        places = {described[0]: place for place, described in enumerate(cursor.description)}
        # A rule that judges another kind has no column here.
        order = [places.get(name) for name in names]
        rows += [(url, *(None if at is None else row[at] for at in order)) for row in cursor.fetchall()]
    assessment.estate.connection.close()
    return Judged(assessment.report, findings, rows)


def _without_rows(judged: Judged | Refused) -> tuple[Report, list[Finding]] | Refused:
    return judged if isinstance(judged, Refused) else (judged.report, judged.findings)
