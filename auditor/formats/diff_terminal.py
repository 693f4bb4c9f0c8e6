"""The difference between two reports on a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from auditor.assessment.model import Diff
from auditor.formats.diff_words import headline, kinds, moved, rules_changed, sections
from auditor.formats.terminal import cut, print_line
from auditor.text import visible

MOST_CHANGES = 10
MOST_LINES = 5


def print_diff(diff: Diff, console: Console, outputs: Sequence[str]) -> None:
    """Print the difference; of each section the first lines, and how many more there are."""
    for line in _lines(diff):
        print_line(console, line)
    for output in outputs:
        print_line(console, Text(f"Wrote {visible(output)}"))


def _lines(diff: Diff) -> Iterator[Text]:
    yield Text.assemble(("Changes: ", "bold"), headline(diff))
    for report, which in ((diff.old, "From"), (diff.new, "To")):
        when = visible(report.as_of or "of unknown time")
        yield Text(f"{which:<5} {report.verdict}, {when}, {report.content_sha256[:12]}")
    yield from _few("Not comparable: ", "yellow", diff.not_comparable)
    yield from _few("Rule changed: ", "cyan", list(rules_changed(diff)))
    yield Text()
    counted = [rule for rule in diff.rules if any(count for name, count in rule.counts.items() if name != "unchanged")]
    for rule in counted:
        parts = [f"{count:,} {name.replace('-', ' ')}" for name, count in rule.counts.items() if count]
        yield cut(Text(visible(f"{rule.rule}: {', '.join(parts)}")))
    if counted:
        yield Text()
    for title, changes in sections(diff):
        yield Text(f"{title}: {len(changes):,}", style="bold")
        for change in changes[:MOST_CHANGES]:
            name = change.resource.rpartition("/")[2]
            line = f"  {change.severity:<8}  {name}  {change.rule}: {moved(change)}. {change.message}"
            yield cut(Text(visible(line)))
        if len(changes) > MOST_CHANGES:
            yield Text(f"  and {len(changes) - MOST_CHANGES:,} more: write all with -o diff.md", style="dim")
        yield Text()
    for title, resources in (("Appeared", diff.appeared), ("Gone", diff.gone)):
        if resources:
            yield Text.assemble((f"{title}: ", "bold"), kinds(resources))
            yield from (cut(Text(f"  {visible(resource.id)}")) for resource in resources[:MOST_LINES])
            if len(resources) > MOST_LINES:
                yield Text(f"  and {len(resources) - MOST_LINES:,} more", style="dim")
            yield Text()


def _few(label: str, style: str, lines: Sequence[str]) -> Iterator[Text]:
    for line in lines[:MOST_LINES]:
        yield Text.assemble((label, style), visible(line))
    if len(lines) > MOST_LINES:
        yield Text(f"  and {len(lines) - MOST_LINES:,} more", style="dim")
