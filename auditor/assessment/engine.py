"""Rules x subjects -> a letter for each: p(ass), f(ail), u(nknown), n(ot applicable)."""

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.assessment.sql import Context, Sql, compile_condition
from auditor.errors import AuditorError
from auditor.estate.fields import SUBJECTS, Subject, from_sql
from auditor.inventory.facts import Connection
from auditor.ruleset.model import BoundRule, Exclusion


def column(rule_id: str) -> str:
    """Return the column of a rule in the table of verdicts, quoted; no id can be the name of another column."""
    return f'"rule {rule_id}"'


LETTER = "ENUM('p', 'f', 'u', 'n')"


@dataclass(frozen=True, slots=True)
class Matrix:
    """The verdicts of one kind of subject: a table ``verdicts_KIND``.

    Columns: ``n``, ``excluded`` (the number of the exclusion that keeps the resource out, or null), and a letter for
    each rule (see ``column``). Rows are in the order of ``n``, which is that of the folded ids. ``narrowed`` tells that
    some resources have no row: they lie in subscriptions that nobody asked about.
    """

    subject: Subject
    rules: tuple[BoundRule, ...]
    exclusions: tuple[Exclusion, ...]
    rows: int
    narrowed: bool = False

    @property
    def table(self) -> str:
        """The name of the table."""
        return f"verdicts_{self.subject}"


def judge(
    connection: Connection,
    rules: Sequence[BoundRule],
    exclusions: Sequence[Exclusion],
    now: int | None,
    whole: frozenset[str],
    subscriptions: frozenset[str] | None = None,
) -> list[Matrix]:
    """Evaluate all rules, each kind of subject in one pass.

    Args:
        connection: holds the subjects.
        rules: what is asked.
        exclusions: what is out of scope.
        now: microseconds since 1970 UTC, or ``None``.
        whole: tables of which nothing is known to be missing.
        subscriptions: folded ids; resources elsewhere are looked at and not judged. All are judged when ``None``.

    Raises:
        AuditorError: a join multiplied or lost subjects, which would make verdicts wrong.
    """
    matrices = []
    if subscriptions is not None:
        ids = "SELECT unnest(CAST(? AS VARCHAR[])) AS id"
        connection.execute(f"CREATE OR REPLACE TABLE asked_about AS {ids}", [sorted(subscriptions)])
    for subject in SUBJECTS:
        of_subject = tuple(rule for rule in rules if rule.subject == subject)
        if not of_subject:
            continue
        context = Context(subject, now, whole)
        out = tuple(exclusion for exclusion in exclusions if exclusion.subject == subject)
        asked = f"{subject}.subscription_id IN (SELECT id FROM asked_about)" if subscriptions is not None else "TRUE"
        sql = matrix_sql(of_subject, out, context, asked)
        connection.execute(f"CREATE OR REPLACE TABLE verdicts_{subject} AS {sql.text}", sql.values)
        # As many rows as resources, and the same: sums tell without sorting a million numbers.
        judged, wanted = (
            connection.execute(f"SELECT count(*), sum(n), sum(CAST(n AS HUGEINT) * n) FROM {table}").fetchone() or (0,)
            for table in (f"verdicts_{subject}", f"{subject}_rows AS {subject} WHERE {asked}")
        )
        if judged != wanted:
            message = f"joining multiplied or lost {subject} rows: {judged[0]} of {wanted[0]}"
            raise AuditorError(message, "Please report this as a bug.")
        matrices.append(Matrix(subject, of_subject, out, judged[0], narrowed=subscriptions is not None))
    return matrices


def matrix_sql(
    rules: Sequence[BoundRule], exclusions: Sequence[Exclusion], context: Context, asked: str = "TRUE"
) -> Sql:
    """Return the query that gives a row for each subject that meets ``asked``, and a letter for each rule.

    Each condition stands once, inside; outside there are only truth tests, in which NULL is neither.
    """
    inner = [f"{context.subject}.n AS n"]
    values: list[object] = []
    tests = [compile_condition(exclusion.condition, context) for exclusion in exclusions]
    cases = " ".join(f"WHEN {test.text} THEN {number}" for number, test in enumerate(tests))
    inner.append(f"CASE {cases} END AS excluded" if tests else "CAST(NULL AS INTEGER) AS excluded")
    values += [value for test in tests for value in test.values]
    outer = ["n", "excluded"]
    for number, rule in enumerate(rules):
        applies = compile_condition(rule.applies, context) if rule.applies is not None else Sql("TRUE")
        require = compile_condition(rule.require, context)
        inner += [f"{applies.text} AS a{number}", f"{require.text} AS r{number}"]
        values += [*applies.values, *require.values]
        outer.append(outcome_sql(f"a{number}", f"r{number}") + f" AS {column(rule.id)}")
    wanted = ", ".join(inner)
    subjects = f"{from_sql(context.subject, wanted)} WHERE {asked}"
    text = f"SELECT {', '.join(outer)} FROM (SELECT {wanted} FROM {subjects}) ORDER BY n"
    return Sql(text, tuple(values))


def outcome_sql(applies: str, require: str) -> str:
    """Return the SQL of a verdict's letter from two truth values; each letter is cast once and not in every row."""
    p, f, u, n = (f"CAST('{letter}' AS {LETTER})" for letter in "pfun")
    return (
        f"CASE WHEN excluded IS NOT NULL OR NOT {applies} THEN {n} WHEN {applies} AND {require} THEN {p}"
        f" WHEN {applies} AND NOT {require} THEN {f} ELSE {u} END"
    )
