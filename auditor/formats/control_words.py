"""What is said of controls, in the words that every format uses."""

from collections import Counter
from collections.abc import Mapping

from auditor.assessment.model import AttestationInfo, ControlState, FrameworkInfo

# In the order in which they are told; the first is told of how many.
STATES: Mapping[ControlState, str] = {
    "holds": "hold",
    "fails": "fail",
    "cannot-conclude": "cannot conclude",
    "not-judged": "not judged",
    "attested": "attested only",
    "no-evidence": "without automated evidence",
}


def tally_words(framework: FrameworkInfo) -> str:
    """Count the controls of a framework by their state: ``4 of 9 hold, 2 fail, 3 without automated evidence``."""
    counted = Counter(control.state for control in framework.controls)
    others = [f"{counted[state]:,} {word}" for state, word in STATES.items() if state != "holds" and counted[state]]
    return ", ".join([f"{counted['holds']:,} of {len(framework.controls):,} hold", *others])


def attestation_words(entry: AttestationInfo) -> str:
    """Say who attests what until when, and whether it counts."""
    counts = "" if entry.status in ("active", "expiring") else ", does not count"
    said = f"{entry.by}, {entry.date} until {entry.expires}: {entry.statement.removesuffix('.')} ({entry.evidence})"
    return f"Attested ({entry.status}{counts}) by {said}."
