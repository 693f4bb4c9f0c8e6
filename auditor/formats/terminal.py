"""The summary on a terminal: it fits a screen, and says what was not seen as plainly as what was."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from auditor.assessment.model import Finding, Report, Resource
from auditor.estate.fields import KIND_NAMES
from auditor.text import visible

MOST_FINDINGS = 8
MOST_LINES = 3
MOST_RULES = 8
_STYLES = {"fail": "bold red", "unknown": "bold yellow", "pass": "green", "not-applicable": "dim"}
_VERDICTS = {"Compliant": "bold green", "Not compliant": "bold red", "Cannot conclude": "bold yellow"}


def print_summary(report: Report, console: Console, outputs: Sequence[str]) -> None:
    """Print the summary; lines are cut to the width of a terminal, and left whole when piped."""
    for line in _summary(report, outputs):
        print_line(console, line)


def print_line(console: Console, line: Text) -> None:
    """Print one line: cut to the terminal's width, whole when piped."""
    if console.is_terminal:
        line.truncate(console.width, overflow="ellipsis")
        console.print(line, no_wrap=True)
    else:
        console.print(line, soft_wrap=True)


def _summary(report: Report, outputs: Sequence[str]) -> Iterator[Text]:
    summary = report.summary
    yield Text.assemble((summary.verdict, _VERDICTS[summary.verdict]), f": {visible(summary.sentence)}")
    yield Text()
    yield from _coverage(report)
    yield Text()
    yield from _rules(report)
    yield from _worst(report)
    yield from _unread(report)
    reasons = [visible(reason) for reason in summary.gate.reasons]
    more = f"; and {len(reasons) - MOST_LINES:,} more reasons" if len(reasons) > MOST_LINES else ""
    yield Text.assemble((f"Exit code {summary.gate.exit_code}: ", "bold"), "; ".join(reasons[:MOST_LINES]) + more)
    for output in outputs:
        yield Text(f"Wrote {visible(output)}")


def _coverage(report: Report) -> Iterator[Text]:
    parts = []
    for kind in report.coverage.kinds:
        words = KIND_NAMES[kind.kind][kind.found != 1]
        out = f", {kind.out_of_scope:,} out of scope" if kind.out_of_scope else ""
        parts.append(f"{kind.found:,} {words} ({kind.judged:,} judged{out})")
    yield Text(f"Looked at  {' · '.join(parts) or 'nothing'}")
    files, rows = len(report.inventory.sources), sum(source.rows for source in report.inventory.sources)
    read = f"{files:,} file{'' if files == 1 else 's'}, {rows:,} row{'' if rows == 1 else 's'}"
    yield Text(f"Inventory  {read}, {'as of ' + report.as_of if report.as_of else 'of unknown time'}")
    if report.coverage.declared_agents:
        yield Text(
            f"Agents     {report.coverage.declared_agents:,} VMs rest on what was declared at creation, not on a report"
        )


def _rules(report: Report) -> Iterator[Text]:
    # What needs attention first, then what is most severe: as many as leave room for the findings.
    ranked = sorted(report.rules, key=lambda rule: not (rule.counts.fail or rule.counts.unknown))
    shown, others = ranked[:MOST_RULES], ranked[MOST_RULES:]
    width = max((len(rule.id) for rule in shown), default=4)
    yield Text(f"{'Rule':<{width}}  {'Severity':<8}  {'Fail':>7}  {'Unknown':>7}  {'Pass':>7}  {'N/A':>7}", style="dim")
    for rule in shown:
        counts = rule.counts
        yield Text.assemble(
            f"{rule.id:<{width}}  {rule.severity:<8}  ",
            (f"{counts.fail:>7,}", _STYLES["fail"] if counts.fail else "dim"),
            "  ",
            (f"{counts.unknown:>7,}", _STYLES["unknown"] if counts.unknown else "dim"),
            "  ",
            (f"{counts.passed:>7,}", "" if counts.passed else "dim"),
            "  ",
            (f"{counts.not_applicable:>7,}", "dim"),
        )
    if others:
        wanting = sum(bool(rule.counts.fail or rule.counts.unknown) for rule in others)
        yield Text(f"and {len(others):,} more rules, {wanting:,} of them with a fail or unknown", style="dim")
    yield Text()


def _worst(report: Report) -> Iterator[Text]:
    if not report.findings:
        return
    resources = {resource.id: resource for resource in report.resources}
    for finding in report.findings[:MOST_FINDINGS]:
        yield finding_line(finding, resources[finding.resource])
    more = len(report.findings) - MOST_FINDINGS
    if more > 0:
        yield Text(f"and {more:,} more: write a report with -o report.html", style="dim")
    yield Text()


def finding_line(finding: Finding, resource: Resource) -> Text:
    """Write a finding on one line."""
    return Text.assemble(
        (f"{finding.outcome:<7}", _STYLES[finding.outcome]),
        f" {finding.severity:<8}  ",
        (visible(resource.name), "bold"),
        f"  {finding.rule}: {visible(finding.message)}",
    )


def _unread(report: Report) -> Iterator[Text]:
    causes = list(dict.fromkeys(gap.cause for gap in report.gaps))
    for cause in causes[:MOST_LINES]:
        yield Text.assemble(("Not read: ", "yellow"), visible(cause))
    if len(causes) > MOST_LINES:
        yield Text(f"          and {len(causes) - MOST_LINES:,} more gaps", style="dim")
    notices = [*report.coverage.assumptions, *report.coverage.notices]
    for notice in notices[:MOST_LINES]:
        yield Text.assemble(("Note: ", "cyan"), visible(notice))
    if len(notices) > MOST_LINES:
        yield Text(f"      and {len(notices) - MOST_LINES:,} more notes", style="dim")
    if causes or notices:
        yield Text()
