"""Spark against the oracle and DuckDB; without pyspark or Java there is nothing to test. ``make test-spark``."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from oracle import Row, World, truth
from test_engine_against_oracle import (
    HOSTILE,
    NOW,
    PARTS,
    _cell_types,
    _cells,
    conditions,
    estate,
    key_of,
    vm,
)

from auditor.assessment.assess import Assessment, assess, first_findings
from auditor.assessment.question import Question, question_of
from auditor.assessment.sql import Context, compile_condition
from auditor.cli.question import Flags, settle
from auditor.errors import UsageError
from auditor.estate.fields import FROM, SEES, SUBJECTS, TABLE_OF, Subject
from auditor.formats.as_parquet import verdict_rows
from auditor.inventory.snapshot import open_snapshot
from auditor.ruleset.model import Compare, Condition, FieldRef

if shutil.which("java") is None:
    pytest.skip("Spark needs Java, which is not installed", allow_module_level=True)
pytest.importorskip("pyspark", reason="the extra [spark] is not installed")
pytest.importorskip("sqlglot", reason="the extra [spark] is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")
EXAMPLES = Path(__file__).parent.parent / "examples"
MANY = 60  # conditions in one query


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Start Spark on two threads; rows are few, so that compiling queries, and Java itself, would take all the time."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 -- an extra

    from auditor.spark.session import open_spark  # noqa: PLC0415 -- it imports one

    few = {
        "spark.sql.shuffle.partitions": 1,
        "spark.ui.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[2]")
    for name, value in few.items():
        builder = builder.config(name, value)
    started = builder.getOrCreate()
    session = open_spark(None)
    assert session is started, "the settings above count only in the session that they began"
    yield session
    session.stop()


def check(spark: Any, rows: list[Row], wanted: list[Condition], world: World) -> None:
    """Hold Spark against the oracle, all conditions in one query."""
    from auditor.spark.database import SparkDatabase  # noqa: PLC0415 -- it imports an extra

    subject = rows[0].subject
    database = SparkDatabase(spark, "", f"oracle_{subject}")
    database.execute("CREATE MACRO is_bad(columns, name) AS coalesce(list_contains(columns, name), FALSE)")
    for relation in SEES[subject]:
        of_vm = relation == "item" and subject == "vm"
        cells = [_cells(relation, row) for row in rows if row.relations[relation] is not None or of_vm]
        database.add_rows("vm_item" if of_vm else relation, _cell_types(relation), cells)
    parts = [compile_condition(condition, Context(subject, world.now, world.whole)) for condition in wanted]
    columns = ", ".join(f"{part.text} AS c{number}" for number, part in enumerate(parts))
    values = [value for part in parts for value in part.values]
    found = database.execute(f"SELECT {subject}.key, {columns} FROM {FROM[subject]}", values).fetchall()
    database.close()
    truths = {key: cells for key, *cells in found}
    assert len(found) == len(truths) == len(rows)
    for row in rows:
        for condition, given_truth in zip(wanted, truths[key_of(row)], strict=True):
            assert given_truth is truth(condition, row, world), f"{condition} on {row} in {world}"


def drawn(subject: Subject) -> list[Condition]:
    """Return many random conditions."""
    found: list[Condition] = []

    @settings(max_examples=MANY, phases=(Phase.generate,), database=None, deadline=None)
    @given(conditions(subject))
    def draw(condition: Condition) -> None:
        found.append(condition)

    draw()
    return found


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_condition_is_as_true_in_spark_as_it_is_for_the_oracle(spark: Any, subject: Subject) -> None:
    rows, _ = estate(subject, 1)
    now = NOW if subject in ("vm", "policy") else None
    check(spark, rows, drawn(subject), World(now, frozenset(sorted(TABLE_OF.values())[::2])))


def test_hostile_text_is_looked_for_as_what_it_is_in_spark(spark: Any) -> None:
    from auditor.ruleset.model import Constant  # noqa: PLC0415 -- beside its only use

    rows = [vm(n, name=one, size=HOSTILE[-n]) for n, one in enumerate(HOSTILE)]
    words = ("equals", *PARTS)
    wanted: list[Condition] = [Compare(FieldRef("vm.name"), word, FieldRef("vm.size")) for word in words]
    for text in ("a%b", "A_B", "a!b", "a\\b", "a'b", 'a"b', "😀", "\u0131", "I", "", "!", "?", "a\x00b", " a"):
        wanted += [Compare(FieldRef("vm.name"), word, Constant(text)) for word in (*words, "like")]
    check(spark, rows, wanted, World(None, frozenset()))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from typer.testing import CliRunner  # noqa: PLC0415 -- beside its only use

    from auditor.cli.app import app  # noqa: PLC0415 -- beside its only use

    made = tmp_path_factory.mktemp("many snapshots") / "day-1"
    given_time = ["--as-of", "2026-11-02T06:00:00Z"]
    result = CliRunner().invoke(app, ["collect", "--inventory", str(EXAMPLES / "estate"), "-o", str(made), *given_time])
    assert result.exit_code == 0, result.output
    return made


def example_question() -> Question:
    return question_of(settle(Flags(config=EXAMPLES / "auditor.yaml", exemptions=EXAMPLES / "exemptions.yaml")))


def rows_of_frame(frame: Any) -> list[dict[str, Any]]:
    return sorted((row.asDict() for row in frame.collect()), key=lambda row: row["resource_id"])


def rows_here(assessment: Assessment, url: str) -> list[dict[str, Any]]:
    cursor = assessment.estate.connection.execute(
        " UNION ALL BY NAME ".join(f"({select})" for select in verdict_rows(assessment))
    )
    names = [described[0] for described in cursor.description]
    rows = ({"snapshot": url, **dict(zip(names, row, strict=True))} for row in cursor.fetchall())
    return sorted(rows, key=lambda row: row["resource_id"])


def test_days_of_the_example_estate_are_judged_by_tasks_and_by_sql_of_spark_as_each_is_by_itself(
    spark: Any, snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditor.spark import survey as made_by  # noqa: PLC0415 -- it imports an extra
    from auditor.spark.snapshots import find_snapshots  # noqa: PLC0415 -- it imports an extra

    later = tmp_path / "many" / "tenant b" / "day-2"
    for day in ("tenant a/day-1", "tenant c/day-1"):
        shutil.copytree(snapshot, tmp_path / "many" / day)
    shutil.copytree(snapshot, later)
    manifest = json.loads((later / "manifest.json").read_text())
    manifest["collected_at"] = manifest["collected_until"] = "2026-11-03T06:00:00Z"
    (later / "manifest.json").write_text(json.dumps(manifest))
    question, target = example_question(), str(tmp_path / "verdicts.parquet")
    found = find_snapshots(spark, [str(tmp_path / "many" / "tenant*")])
    monkeypatch.setattr(made_by, "is_small", lambda one: "tenant c" not in one.url)
    reports, survey = made_by.judge_snapshots(spark, found, question, tmp_path, target)
    written = rows_of_frame(spark.read.parquet(target))
    for one, report, judged in zip(found, reports, survey.snapshots, strict=True):
        folder = tmp_path / "many" / "/".join(one.url.split("/")[-2:])
        here = assess(open_snapshot(folder), tmp_path, question, brief=True)
        assert report == here.report
        assert judged.findings == first_findings(here.estate, here.matrices, here.exemptions, most=1_000)
        assert [row for row in written if row["snapshot"] == one.url] == rows_here(here, one.url)
        assert len(judged.findings) > 30
        assert any(row["exempt"] for row in written if row["snapshot"] == one.url)
    days = [judged.as_of for judged in survey.snapshots]
    assert days == ["2026-11-02T06:00:00Z", "2026-11-03T06:00:00Z", "2026-11-02T06:00:00Z"]
    assert survey.counts.fail == sum(report.summary.counts.fail for report in reports) > 0
    assert survey.gate.exit_code == 1
    with pytest.raises(UsageError, match="is there already"):
        made_by.judge_snapshots(spark, found, question, tmp_path, target)


def test_a_snapshot_that_was_changed_ends_the_run_by_name(spark: Any, snapshot: Path, tmp_path: Path) -> None:
    from auditor.spark.snapshots import find_snapshots  # noqa: PLC0415 -- it imports an extra
    from auditor.spark.survey import judge_snapshots  # noqa: PLC0415 -- it imports an extra

    copy = tmp_path / "copy"
    shutil.copytree(snapshot, copy)
    (copy / "tags.parquet").write_bytes((copy / "tags.parquet").read_bytes() + b" ")
    found = find_snapshots(spark, [str(copy)])
    with pytest.raises(UsageError, match=r"copy is no usable snapshot: tags\.parquet is not the file"):
        judge_snapshots(spark, found, example_question(), tmp_path)


def test_the_command_writes_as_it_says_and_ends_with_the_code_of_an_audit(snapshot: Path, tmp_path: Path) -> None:
    survey, verdicts = tmp_path / "survey.json", tmp_path / "verdicts.parquet"
    given_files = ["--inventory", str(snapshot), "--config", str(EXAMPLES / "auditor.yaml")]
    here = run_auditor("audit", *given_files, "-o", str(tmp_path / "here.parquet"))
    there = run_auditor("audit", "--engine", "spark", *given_files, "-o", str(survey), "-o", str(verdicts))
    assert (there.returncode, here.returncode) == (1, 1), there.stderr
    assert there.stderr == ""
    said, _, wrote = there.stdout.partition("Wrote ")
    assert said == here.stdout.partition("Wrote ")[0] != ""
    assert wrote.split() == [str(verdicts), "Wrote", str(survey)]
    assert json.loads(survey.read_bytes())["gate"]["exit_code"] == 1
    assert (verdicts / "_SUCCESS").exists()


def run_auditor(*words: str) -> subprocess.CompletedProcess[str]:
    few = "--master local[2] --conf spark.ui.enabled=false pyspark-shell"
    environment = os.environ | {"PYSPARK_SUBMIT_ARGS": few}
    command = [sys.executable, "-m", "auditor", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_file_of_a_snapshot_that_was_changed_is_not_judged(spark: Any, snapshot: Path, tmp_path: Path) -> None:
    from auditor.spark.snapshots import find_snapshots, open_found  # noqa: PLC0415 -- it imports an extra

    copy = tmp_path / "copy"
    shutil.copytree(snapshot, copy)
    (copy / "tags.parquet").write_bytes((copy / "tags.parquet").read_bytes() + b" ")
    (found,) = find_snapshots(spark, [str(copy)])
    with pytest.raises(UsageError, match=r"tags\.parquet is not the file that was written"):
        open_found(spark, found)
    (copy / "manifest.json").unlink()
    with pytest.raises(UsageError, match="not written to its end"):
        find_snapshots(spark, [str(copy)])
    with pytest.raises(UsageError, match="cannot read"):
        find_snapshots(spark, [str(tmp_path / "nowhere")])
