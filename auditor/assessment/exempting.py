"""Verdicts x exemptions -> which verdicts are exempt, and how each exemption stands.

An exemption covers failing and unknown verdicts of its rule and leaves the outcome as it is. What passes needs none.
"""

from collections.abc import Sequence

from auditor.assessment.engine import Matrix, column
from auditor.assessment.model import ExemptionInfo, ExemptionStatus
from auditor.declared.exemptions import Exemption, Exemptions, Term
from auditor.estate.database import Estate
from auditor.estate.fields import KIND_NAMES
from auditor.timestamps import show_time


def exempt_verdicts(estate: Estate, matrices: Sequence[Matrix], exemptions: Exemptions) -> list[ExemptionInfo]:
    """Make the table ``exempted`` (rule, n, letter, number of the exemption that counts), and say how each stands.

    Returns:
        Every exemption, by id.
    """
    parts, values = [], []
    wanted = {entry.rule for entry in exemptions.entries}
    matched: dict[int, tuple[int, int]] = {}
    judged = {rule.id: matrix for matrix in matrices for rule in matrix.rules}
    for rule_id in sorted(wanted & judged.keys()):
        matrix, letter = judged[rule_id], f"v.{column(rule_id)}"
        covered = (
            f"FROM covered_{matrix.subject} c JOIN exemptions e ON e.number = c.number"
            f" JOIN {matrix.table} v ON v.n = c.n WHERE e.rule = ?"
        )
        rows = estate.query(
            f"SELECT c.number, count(*), count(*) FILTER ({letter} IN ('f', 'u')) {covered} GROUP BY c.number",
            [rule_id],
        )
        matched |= {number: (resources, open_ones) for number, resources, open_ones in rows}
        parts.append(
            f"SELECT CAST(? AS VARCHAR) AS rule, c.n, any_value(CAST({letter} AS VARCHAR)) AS letter,"
            f" min(c.number) AS number {covered} AND e.live AND {letter} IN ('f', 'u') GROUP BY c.n"
        )
        values += [rule_id, rule_id]
    none = "SELECT '' AS rule, 0 AS n, '' AS letter, 0 AS number WHERE FALSE"
    estate.connection.execute(f"CREATE OR REPLACE TABLE exempted AS {' UNION ALL '.join(parts) or none}", values)
    counted = dict(estate.query("SELECT number, count(*) FROM exempted GROUP BY number"))
    infos = []
    for number, entry in enumerate(exemptions.entries):
        resources, open_ones = matched.get(number, (0, 0))
        status = _status(entry.term(estate.now), resources, open_ones)
        infos.append(exemption_info(entry, status, resources, counted.get(number, 0)))
    return sorted(infos, key=lambda info: info.id)


def exemption_info(entry: Exemption, status: ExemptionStatus, matched: int, exempted: int) -> ExemptionInfo:
    """Return an exemption as reports have it."""
    return ExemptionInfo(
        id=entry.id,
        rule=entry.rule,
        scope_kind=entry.scope_kind,
        scope=entry.scope,
        category=entry.category,
        reason=entry.reason,
        owner=entry.owner,
        approver=entry.approver,
        ticket=entry.ticket,
        created=show_time(entry.created) if entry.created is not None else None,
        expires=show_time(entry.expires),
        status=status,
        matched=matched,
        exempted=exempted,
    )


def exemption_notices(infos: Sequence[ExemptionInfo], matrices: Sequence[Matrix]) -> list[str]:
    """Say what is worth knowing about exemptions, what exempts too much first."""
    judged = {rule.id: matrix for matrix in matrices for rule in matrix.rules}
    unknown = sum(info.status == "time-unknown" for info in infos)
    said = []
    for info in infos:
        matrix = judged.get(info.rule)
        everything = matrix is not None and info.matched == matrix.rows > 0 and info.scope_kind != "id"
        if matrix is not None and everything and info.status not in ("expired", "not-yet"):
            names = KIND_NAMES[matrix.subject][matrix.rows != 1]
            said.append(f"Exemption {info.id} exempts all {matrix.rows:,} {names} from {info.rule}.")
    if unknown:
        said.append(
            "The inventory does not say when it was taken, so nobody knows which exemptions are live, and none counts: "
            "give the time of the export with --as-of 2026-01-31T06:00:00Z.",
        )
    for info in infos:
        if info.status == "expired":
            said.append(f"Exemption {info.id} from {info.rule} expired on {info.expires} and no longer counts.")
        elif info.status == "not-yet":
            said.append(f"Exemption {info.id} from {info.rule} counts only from {info.created} on.")
        elif info.status == "unused":
            why = (
                "the rule was not run" if info.rule not in judged else "its scope matches nothing that the rule judges"
            )
            said.append(f"Exemption {info.id} from {info.rule} is unused: {why}.")
        elif info.status == "no-longer-needed":
            said.append(f"Exemption {info.id} from {info.rule} is no longer needed: nothing in its scope fails.")
    return said


def _status(term: Term, matched: int, open_ones: int) -> ExemptionStatus:
    """Where it no longer or not yet counts goes before whether it is of use."""
    if term not in ("active", "expiring"):
        return term
    if not matched:
        return "unused"
    return term if open_ones else "no-longer-needed"
