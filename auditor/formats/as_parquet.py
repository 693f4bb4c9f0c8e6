"""The verdict matrix as Parquet: a row for each resource, a column for each rule, null where it judges another kind.

Columns: ``kind``, ``resource_id``, ``subscription_id``, ``exempt`` (the rules whose verdict somebody answers for), and
for each rule, under its id, ``pass``, ``fail``, ``unknown`` or ``not-applicable``. Rows are by kind, in the order of
the inventory: sorting a million ids would cost more than all the rules.
"""

import shutil
from typing import BinaryIO

from auditor.assessment.assess import Assessment
from auditor.assessment.engine import LETTER, Matrix, column
from auditor.assessment.model import OUTCOMES
from auditor.estate.fields import SUBJECTS, TABLE_OF
from auditor.inventory.facts import quoted

_KINDS = f"ENUM({', '.join(quoted(subject) for subject in SUBJECTS)})"
_CHUNK = 100_000  # rows in a group
# Half of the writer's work would be a better compression that saves 1 %, filters that find one of four words, and
# dictionaries of ids, which never repeat.
_WRITING = "COMPRESSION zstd, COMPRESSION_LEVEL 1, WRITE_BLOOM_FILTER false, DICTIONARY_SIZE_LIMIT 1000"


def write_verdicts(assessment: Assessment, file: BinaryIO) -> None:
    """Write the whole matrix, straight out of the database."""
    path = assessment.folder / "verdicts.parquet"
    parts = " UNION ALL BY NAME ".join(f"({select})" for select in verdict_rows(assessment))
    assessment.estate.connection.execute("SET threads = 1")  # so that rows keep their order, and files their bytes
    assessment.estate.connection.execute(
        f"COPY ({parts}) TO {quoted(str(path))} (FORMAT parquet, ROW_GROUP_SIZE {_CHUNK}, {_WRITING})",
    )
    with path.open("rb") as made:
        shutil.copyfileobj(made, file)
    path.unlink()


def verdict_rows(assessment: Assessment) -> list[str]:
    """Return a query for each kind of resource: its rows of the matrix."""
    return [_part(matrix, exemptions=bool(assessment.exemptions)) for matrix in assessment.matrices]


def _part(matrix: Matrix, *, exemptions: bool) -> str:
    kind = f"ENUM({', '.join(quoted(word) for word in OUTCOMES.values())})"
    words = "".join(
        f" WHEN CAST('{letter}' AS {LETTER}) THEN CAST('{word}' AS {kind})" for letter, word in OUTCOMES.items()
    )
    rules = ", ".join(f'CASE v.{column(rule.id)}{words} END AS "{rule.id}"' for rule in matrix.rules)
    subject = matrix.subject
    exempt, joined = "CAST(NULL AS VARCHAR[])", ""
    if exemptions:
        named = ", ".join(quoted(rule.id) for rule in matrix.rules)
        of_kind = f"SELECT n, list_sort(list(rule)) AS rules FROM exempted WHERE rule IN ({named}) GROUP BY n"
        exempt, joined = "x.rules", f" LEFT JOIN ({of_kind}) x ON x.n = v.n"
    return (
        f"SELECT CAST('{subject}' AS {_KINDS}) AS kind, s.id AS resource_id, s.subscription_id, {exempt} AS exempt,"
        f" {rules} FROM {matrix.table} v JOIN {TABLE_OF[subject]} s ON s.n = v.n{joined}"
    )
