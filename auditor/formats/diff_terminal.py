"""The difference between two reports on a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from auditor.assessment.model import Diff
from auditor.formats.diff_words import headline, kinds, moved, rules_changed, sections
from auditor.formats.terminal import cut, print_line, told

MOST_CHANGES = 10
MOST_LINES = 5


def print_diff(diff: Diff, console: Console, outputs: Sequence[str]) -> None:
    """Print the difference; of each section the first lines, and how many more there are."""
    for line in _lines(diff):
        print_line(console, line)
    for output in outputs:
        print_line(console, told(f"Wrote {output}"))


def _lines(diff: Diff) -> Iterator[Text]:
    yield told(("Changes: ", "bold"), headline(diff))
    for report, which in ((diff.old, "From"), (diff.new, "To")):
        when = report.as_of or "of unknown time"
        yield told(f"{which:<5} {report.verdict}, {when}, {report.content_sha256[:12]}")
    yield from _few("Not comparable: ", "yellow", diff.not_comparable)
    yield from _few("Rule changed: ", "cyan", list(rules_changed(diff)))
    yield told()
    counted = [rule for rule in diff.rules if any(count for name, count in rule.counts.items() if name != "unchanged")]
    for rule in counted:
        parts = [f"{count:,} {name.replace('-', ' ')}" for name, count in rule.counts.items() if count]
        yield cut(told(f"{rule.rule}: {', '.join(parts)}"))
    if counted:
        yield told()
    for title, changes in sections(diff):
        yield told((f"{title}: {len(changes):,}", "bold"))
        for change in changes[:MOST_CHANGES]:
            name = change.resource.rpartition("/")[2]
            line = f"  {change.severity:<8}  {name}  {change.rule}: {moved(change)}. {change.message}"
            yield cut(told(line))
        if len(changes) > MOST_CHANGES:
            yield told((f"  and {len(changes) - MOST_CHANGES:,} more: write all with -o diff.md", "dim"))
        yield told()
    for title, resources in (("Appeared", diff.appeared), ("Gone", diff.gone)):
        if resources:
            yield told((f"{title}: ", "bold"), kinds(resources))
            yield from (cut(told(f"  {resource.id}")) for resource in resources[:MOST_LINES])
            if len(resources) > MOST_LINES:
                yield told((f"  and {len(resources) - MOST_LINES:,} more", "dim"))
            yield told()


def _few(label: str, style: str, lines: Sequence[str]) -> Iterator[Text]:
    for line in lines[:MOST_LINES]:
        yield told((label, style), line)
    if len(lines) > MOST_LINES:
        yield told((f"  and {len(lines) - MOST_LINES:,} more", "dim"))
