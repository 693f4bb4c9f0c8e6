"""The runs and the jobs of a history on a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from auditor.assessment.model import TrendRun
from auditor.formats.terminal import VERDICTS, cut, print_line, told
from auditor.formats.trend_words import different
from auditor.history.jobs import KeptJob
from auditor.text import printable

_SHORT = 12  # of a run id: enough to find it by
MOST_LINES = 5  # of what is different


def print_runs(runs: Sequence[TrendRun], console: Console) -> None:
    """Print a line for each run, the newest last, and what is otherwise than in the one before it."""
    for line in _runs(runs):
        print_line(console, line)


def print_jobs(jobs: Sequence[KeptJob], console: Console) -> None:
    """Print a line for each job, the newest last."""
    for line in _jobs(jobs):
        print_line(console, line)


def _runs(runs: Sequence[TrendRun]) -> Iterator[Text]:
    width = max((len(run.as_of or "") for run in runs), default=0)
    width = max(width, len("(unknown time)"))
    if runs:
        heads = f"{'As of':<{width}}  {'Verdict':<15}  {'Exit':>4}  {'Fail':>7}  {'Unknown':>7}  {'Pass':>9}"
        yield cut(told((f"{heads}  {'Exempt':>7}  {'Run':<{_SHORT}}  Version", "dim")))
    for run in runs:
        counts = run.counts
        exempt = counts.exempt + counts.exempt_unknown
        numbers = f"{run.exit_code:>4}  {counts.fail:>7,}  {counts.unknown:>7,}  {counts.passed:>9,}  {exempt:>7,}"
        when = f"{run.as_of or '(unknown time)':<{width}}  "
        verdict = (f"{run.verdict:<15}", VERDICTS[run.verdict])
        yield cut(told(when, verdict, f"  {numbers}  {run.run_id[:_SHORT]}  {run.tool_version}"))
        lines = different(run)
        for line in lines[:MOST_LINES]:
            yield told(("  not comparable with the run before: ", "yellow"), line)
        if len(lines) > MOST_LINES:
            yield told((f"  and {len(lines) - MOST_LINES:,} more differences", "dim"))
    yield told(f"{len(runs):,} run{'' if len(runs) == 1 else 's'}")


def _jobs(jobs: Sequence[KeptJob]) -> Iterator[Text]:
    named = [printable(job.vm.rpartition("/")[2]) for job in jobs]
    names = max(map(len, named), default=0)
    operations = max((len(printable(job.operation)) for job in jobs), default=0)
    for job, name in zip(jobs, named, strict=True):
        row = f"{job.started or '(unknown time)':<27}  {printable(job.operation):<{operations}}  {job.status:<21}"
        seen = f"first seen {job.first_seen or 'at an unknown time'} by run {job.first_run[:_SHORT]}"
        vault = job.vault.rpartition("/")[2]
        yield cut(told(f"{row}  ", (f"{name:<{names}}", "bold"), f"  {vault}  {seen}"))
    yield told(f"{len(jobs):,} job{'' if len(jobs) == 1 else 's'}")
