"""The difference between two reports as Markdown, for a pull request or a ticket; every name in it is inert."""

from collections.abc import Iterator
from typing import BinaryIO

from auditor.assessment.model import Diff
from auditor.formats.diff_words import headline, moved, rules_changed, sections
from auditor.formats.markdown import inert

MOST_LINES = 200


def write(diff: Diff, file: BinaryIO) -> None:
    """Write the page; of each section at most ``MOST_LINES`` lines, and it says so."""
    file.write("".join(f"{line}\n" for line in _lines(diff)).encode())


def _lines(diff: Diff) -> Iterator[str]:
    yield "# What changed"
    yield ""
    for report, which in ((diff.old, "From"), (diff.new, "To")):
        yield f"- {which} {inert(report.as_of or 'an unknown time')}: {report.verdict}"
    yield f"- {headline(diff)}"
    if diff.not_comparable:
        yield from _list("What cannot be compared", diff.not_comparable)
    if diff.rules_changed:
        yield from _list("Rules that changed", list(rules_changed(diff)))
    for title, changes in sections(diff):
        yield from ("", f"## {title}: {len(changes):,}", "")
        yield "| rule | severity | resource | verdict | message |"
        yield "|---|---|---|---|---|"
        for change in changes[:MOST_LINES]:
            rule, resource, message = map(inert, (change.rule, change.resource, change.message))
            yield f"| {rule} | {change.severity} | {resource} | {moved(change)} | {message} |"
        yield from _more(len(changes))
    for title, resources in (("Appeared", diff.appeared), ("Gone", diff.gone)):
        if resources:
            yield from _list(f"{title}: {len(resources):,}", [resource.id for resource in resources])


def _list(title: str, lines: list[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    yield from (f"- {inert(line)}" for line in lines[:MOST_LINES])
    yield from _more(len(lines))


def _more(count: int) -> Iterator[str]:
    if count > MOST_LINES:
        yield from ("", f"and {count - MOST_LINES:,} more")
