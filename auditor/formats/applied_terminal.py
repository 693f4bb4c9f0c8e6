"""What became of a plan, for a terminal: how many steps are done, which are not and why, which verdicts turned."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from auditor.formats.terminal import print_line, told
from auditor.remediation.doing import Result
from auditor.remediation.journal import Outcome
from auditor.remediation.promised import Turned

MOST_RESULTS = 30
MOST_JOBS = 10
MOST_VERDICTS = 10
_ORDER: tuple[Outcome, ...] = ("applied", "unchanged", "failed", "open", "skipped")
STYLES = {"applied": "green", "unchanged": "dim", "failed": "bold red", "open": "bold yellow", "skipped": "yellow"}


def print_results(results: Sequence[Result], console: Console) -> None:
    """Print what became of the steps."""
    for line in _lines(results):
        print_line(console, line)


def print_turned(turned: Turned, console: Console) -> None:
    """Print which verdicts turned."""
    parts = [f"{len(turned.turned):,} turned"]
    parts += [f"{len(turned.unknown):,} not known yet"] if turned.unknown else []
    parts += [f"{len(turned.unread):,} of what could not be read"] if turned.unread else []
    parts += [f"{len(turned.expected):,} still failing, as the plan said"] if turned.expected else []
    parts += [f"{len(turned.missing):,} still failing, which the plan said would not"] if turned.missing else []
    print_line(console, told(f"Verdicts: {', '.join(parts)}."))
    lost = [("still fails", answer) for answer in turned.missing] + [("not read", answer) for answer in turned.unread]
    for words, answer in lost[:MOST_VERDICTS]:
        print_line(console, told("  ", (words, "bold red"), f"  {answer.rule} on {answer.resource}"))
    if len(lost) > MOST_VERDICTS:
        print_line(console, told(f"  and {len(lost) - MOST_VERDICTS:,} more"))


def line_of(result: Result) -> str:
    """Return what became of a step on one line."""
    job = f" (job {result.job})" if result.job else ""
    why = ": ".join(part for part in (result.code, result.message) if part)
    return f"{result.outcome:<9}  {result.step.title}{job}{f' - {why}' if why else ''}"


def sentence_of(results: Sequence[Result]) -> str:
    """Return what became of the steps in a sentence."""
    counts = Counter(result.outcome for result in results)
    done = counts["applied"] + counts["unchanged"]
    parts = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in _ORDER if counts[outcome])
    earlier = sum(result.earlier for result in results)
    before = f" ({earlier:,} of them in an earlier run, and not looked at again)" if earlier else ""
    return f"{done:,} of {len(results):,} steps are done: {parts}{before}."


def _lines(results: Sequence[Result]) -> Iterator[Text]:
    if not results:
        yield told("The plan has no step that a program can do.")
        return
    yield told(sentence_of(results))
    left = [result for result in results if not result.done]
    left.sort(key=lambda result: _ORDER.index(result.outcome))
    for result in left[:MOST_RESULTS]:
        yield told("  ", (f"{result.outcome:<9}", STYLES[result.outcome]), f"  {result.step.title}")
        why = ": ".join(part for part in (result.code, result.message) if part)
        yield told(f"             {why}")
    if len(left) > MOST_RESULTS:
        yield told(f"  and {len(left) - MOST_RESULTS:,} more: the journal has each of them")
    jobs = [result for result in results if result.job and result.step.kind == "TriggerBackup" and result.done]
    for result in jobs[:MOST_JOBS]:
        yield told(f"  backup job {result.job}  {result.step.title}")
    if len(jobs) > MOST_JOBS:
        yield told(f"  and {len(jobs) - MOST_JOBS:,} more backup jobs: the journal names them")
