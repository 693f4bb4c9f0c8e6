"""What is said of the trend, in the words that every format uses."""

from auditor.assessment.model import TrendRun


def different(run: TrendRun) -> list[str]:
    """Say what is otherwise than in the run before, so that the numbers do not compare."""
    changed = [
        f"{entry.rule} judges otherwise: {'; '.join(f'{name} {what}' for name, what in sorted(entry.changed.items()))}."
        for entry in run.rules_changed
    ]
    return [*run.not_comparable, *changed]
