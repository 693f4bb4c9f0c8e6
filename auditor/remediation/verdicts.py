"""The verdicts that a plan is about: those that fail or are unknown and nobody answers for, and what became of some."""

from collections import defaultdict
from collections.abc import Collection, Iterator

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


def letters_of(assessment: Assessment, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the letters of verdicts by rule and folded id; of a resource that was not read there is none."""
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for rule, key in wanted:
        keys[rule].append(key)
    found = {}
    for matrix in assessment.matrices:
        for rule in (entry.id for entry in matrix.rules if entry.id in keys):
            rows = assessment.estate.query(
                f"SELECT s.key, CAST(v.{column(rule)} AS VARCHAR) FROM {matrix.table} v"
                f" JOIN {matrix.subject} s ON s.n = v.n WHERE s.key IN (SELECT unnest(CAST(? AS VARCHAR[])))",
                [keys[rule]],
            )
            found.update({(rule, key): letter for key, letter in rows})
    return found
