"""What the sections of a diff are called, for people."""

from collections.abc import Iterator, Sequence

from auditor.assessment.model import Change, ChangeKind, Diff, Resource
from auditor.estate.fields import KIND_NAMES

TITLES: dict[ChangeKind, str] = {
    "new": "New",
    "became-unknown": "Became unknown",
    "fixed": "Fixed",
    "passes-by-changed-rule": "Pass by a rule that changed",
    "no-longer-unknown": "No longer unknown",
    "no-longer-applicable": "No longer applicable",
    "exempt-now": "Exempt now",
}


def sections(diff: Diff) -> Iterator[tuple[str, list[Change]]]:
    """Yield the title and the changes of each section that has any."""
    for kind, title in TITLES.items():
        changes = [change for change in diff.changes if change.change == kind]
        if changes:
            yield title, changes


def headline(diff: Diff) -> str:
    """Say the numbers on one line."""
    counts = [f"{diff.counts[kind]:,} {title.lower()}" for kind, title in TITLES.items() if diff.counts[kind]]
    counts = [*counts, f"{diff.counts['unchanged']:,} unchanged"]
    if diff.appeared:
        counts.append(f"appeared: {kinds(diff.appeared)}")
    if diff.gone:
        counts.append(f"gone: {kinds(diff.gone)}")
    return ", ".join(counts)


def kinds(resources: Sequence[Resource]) -> str:
    """Write how many resources there are of each kind, as ``2 VMs, 1 vault``."""
    counts = {kind: sum(resource.kind == kind for resource in resources) for kind in KIND_NAMES}
    return ", ".join(f"{count:,} {KIND_NAMES[kind][count != 1]}" for kind, count in counts.items() if count)


def moved(change: Change) -> str:
    """Say what a verdict was and is, as ``pass -> fail``."""
    return f"{change.before or 'not there'} -> {change.after}{' (exempt)' if change.exempt else ''}"


def rules_changed(diff: Diff) -> Iterator[str]:
    """Yield a line for each rule that judges otherwise."""
    for entry in diff.rules_changed:
        yield f"{entry.rule}: {'; '.join(f'{name} {what}' for name, what in entry.changed.items())}"
