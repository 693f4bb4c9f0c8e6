"""The verdicts that a plan is about: those that fail or are unknown, and that nobody answers for."""

from collections.abc import Iterator

from auditor.assessment.assess import Assessment
from auditor.assessment.engine import column


def open_verdicts(assessment: Assessment) -> Iterator[tuple[str, str, str, str]]:
    """Yield rule, id, folded id and letter (f or u), in the order of the inventory for each rule."""
    for matrix in assessment.matrices:
        columns = ", ".join(column(rule.id) for rule in matrix.rules)
        if not columns:
            continue
        rows = assessment.estate.query(
            "SELECT u.rule, s.id, s.key, u.letter FROM (SELECT n, name[length('rule ') + 1:] AS rule, letter"
            f" FROM (UNPIVOT {matrix.table} ON {columns} INTO NAME name VALUE letter) WHERE letter IN ('f', 'u')) u"
            f" JOIN {matrix.subject} s ON s.n = u.n LEFT JOIN exempted e ON e.n = u.n AND e.rule = u.rule"
            " WHERE e.n IS NULL ORDER BY s.n"
        )
        yield from rows
