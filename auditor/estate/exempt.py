"""Exemptions -> tables and views: which resource each of them covers, found by joins and never one by one.

- ``exemptions``: one row each, ``number`` in the order in which they win; ``live`` is null when nobody knows the time.
- ``covered_SUBJECT``: ``n`` of a resource and ``number`` of an exemption whose scope holds it, live or not.
- ``vm_exemptions``: what the view ``vm`` needs for ``vm.exempt_from.RULE``, a row for each VM that is or may be
  exempt: of a million VMs few are, and those few are joined cheaply.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from auditor.declared.exemptions import Exemption, Exemptions
from auditor.estate.fields import SUBJECTS, TABLE_OF, Subject, TagName, exempt_from

if TYPE_CHECKING:
    from auditor.estate.database import Database

_COLUMNS = {
    "number": "INTEGER",
    "id": "VARCHAR",
    "rule": "VARCHAR",
    "subject": "VARCHAR",
    "kind": "VARCHAR",
    "target": "VARCHAR",
    "value": "VARCHAR",
    "live": "BOOLEAN",
}
_NO_TIME = "the inventory does not say when it was taken, so nobody knows whether its exemption counts"
_NO_TAGS = "its tags could not be read, and an exemption goes by a tag"


def tags_of_scopes(exemptions: Exemptions) -> list[TagName]:
    """Return the tags that scopes go by, each on the kind of resource that its rule judges."""
    return [_tag(entry) for entry in exemptions.entries if entry.scope_kind == "tag"]


def load_exemptions(
    connection: "Database",
    exemptions: Exemptions,
    now: int | None,
    wanted: Iterable[str],
) -> None:
    """Make the tables and views; the tables of facts and of tags are there already.

    Args:
        connection: the database.
        exemptions: what was declared.
        now: microseconds since 1970 UTC, or ``None``.
        wanted: the rules that ``vm.exempt_from`` is asked for.
    """
    rows = [
        (
            number,
            entry.id,
            entry.rule,
            entry.subject,
            entry.scope_kind,
            _tag(entry).column if entry.scope_kind == "tag" else entry.key,
            entry.value,
            entry.live(now),
        )
        for number, entry in enumerate(exemptions.entries)
    ]
    connection.add_rows("exemptions", _COLUMNS, (dict(zip(_COLUMNS, row, strict=True)) for row in rows))
    tags = sorted({tag.column for tag in tags_of_scopes(exemptions)})
    for subject in SUBJECTS:
        of_subject = {_tag(entry).column for entry in exemptions.entries if entry.subject == subject}
        connection.execute(
            f"CREATE VIEW covered_{subject} AS {_covered(subject, [t for t in tags if t in of_subject])}"
        )
    _answers(connection, exemptions, sorted(set(wanted)))


def _tag(entry: Exemption) -> TagName:
    return TagName(entry.subject, entry.key)


def _covered(subject: Subject, tags: Iterable[str]) -> str:
    """Return the pairs of resource and exemption: a hash join for each way a scope can go by."""
    subscription = "'/subscriptions/' || r.subscription_id"
    targets = {
        "id": "r.key",
        "resource_group": f"{subscription} || '/resourcegroups/' || r.resource_group_name_key",
        "subscription": subscription,
    }
    parts = [
        f"SELECT r.n, e.number FROM {TABLE_OF[subject]} r JOIN exemptions e"
        f" ON e.subject = '{subject}' AND e.kind = '{kind}' AND e.target = {target}"
        for kind, target in targets.items()
    ]
    parts += [
        f"SELECT r.n, e.number FROM {subject}_tags r JOIN exemptions e"
        f" ON e.subject = '{subject}' AND e.kind = 'tag' AND e.target = '{tag}' AND e.value = r.{tag}_key"
        for tag in tags
    ]
    return " UNION ALL ".join(parts)


def exempt_from_sql(wanted: Iterable[str]) -> str:
    """Return the columns ``exempt_from.RULE`` of the view ``vm``, to stand in its list of columns."""
    columns = []
    for place, rule in enumerate(sorted(set(wanted))):
        field = exempt_from(rule)
        columns.append(
            f"CASE WHEN x.source{place} IS NOT NULL THEN TRUE WHEN x.reason{place} IS NULL THEN FALSE END"
            f' AS "{field.column}", coalesce(x.source{place}, \'no live exemption covers it\') AS "{field.source}",'
            f' x.reason{place} AS "{field.reason}",'
        )
    return "".join(columns)


def _answers(connection: "Database", exemptions: Exemptions, wanted: list[str]) -> None:
    """Find the VMs that are exempt from the wanted rules, and those that may or may not be."""
    columns, joins, values = ["v.n"], [], []
    for place, rule in enumerate(wanted):
        of_rule = [entry for entry in exemptions.entries if (entry.rule, entry.scope_kind) == (rule, "tag")]
        tags = sorted({_tag(entry).column for entry in of_rule})
        unread = " OR ".join(f"({_value_unread(tag)} AND {_may_count(tag)})" for tag in tags) or "FALSE"
        values += [f" in {exemptions.file}", *([rule] * len(tags))]
        columns.append(
            f"'exemption ' || c{place}.id || ? AS source{place},"
            f" CASE WHEN c{place}.undated THEN '{_NO_TIME}' WHEN {unread} THEN '{_NO_TAGS}' END AS reason{place}"
        )
        joins.append(
            "LEFT JOIN (SELECT c.n, arg_min(e.id, e.number) FILTER (e.live) AS id, bool_or(e.live IS NULL) AS undated"
            " FROM covered_vm c JOIN exemptions e ON e.number = c.number WHERE e.rule = ? GROUP BY c.n)"
            f" c{place} ON c{place}.n = v.n"
        )
    said = " OR ".join(f"source{place} IS NOT NULL OR reason{place} IS NOT NULL" for place in range(len(wanted)))
    connection.execute(
        f"CREATE TABLE vm_exemptions AS SELECT * FROM (SELECT {', '.join(columns)}"
        f" FROM virtual_machines v LEFT JOIN vm_tags t ON t.n = v.n {' '.join(joins)}) WHERE {said or 'FALSE'}",
        [*values, *wanted],
    )


def _may_count(tag: str) -> str:
    return (
        f"(SELECT bool_or(coalesce(live, TRUE)) FROM exemptions WHERE rule = ? AND kind = 'tag' AND target = '{tag}')"
    )


def _value_unread(tag: str) -> str:
    return f"t.{tag}_key IS NULL AND NOT (coalesce(v.tags_read, FALSE) AND NOT coalesce(t.{tag}_here, FALSE))"
