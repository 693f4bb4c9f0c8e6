"""The summary on a terminal: it fits a screen, and says what was not seen as plainly as what was."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from auditor.assessment.model import (
    Baseline,
    ControlState,
    ExemptionInfo,
    ExemptionStatus,
    Finding,
    FrameworkInfo,
    Report,
    Resource,
    Survey,
    Trend,
)
from auditor.estate.fields import KIND_NAMES
from auditor.formats.control_words import attestation_words, tally_words
from auditor.formats.trend_words import different
from auditor.text import printable

MOST_FINDINGS = 8
MOST_LINES = 3
MOST_RULES = 8
_STYLES = {"fail": "bold red", "unknown": "bold yellow", "pass": "green", "not-applicable": "dim"}
EXEMPTION_STATUSES: dict[ExemptionStatus, str] = {
    "expired": "bold red",
    "time-unknown": "bold yellow",
    "expiring": "yellow",
    "unused": "yellow",
    "no-longer-needed": "yellow",
    "not-yet": "cyan",
    "active": "green",
}
_CONTROL_STATES: dict[ControlState, str] = {
    "holds": "green",
    "fails": "bold red",
    "cannot-conclude": "bold yellow",
    "not-judged": "dim",
    "attested": "cyan",
    "no-evidence": "dim",
}
VERDICTS = {"Compliant": "bold green", "Not compliant": "bold red", "Cannot conclude": "bold yellow"}


def print_summary(report: Report, console: Console, outputs: Sequence[str]) -> None:
    """Print the summary; on a terminal rows are cut to its width and sentences wrapped, piped both are left whole."""
    for line in _summary(report, outputs):
        print_line(console, line)


def print_survey(survey: Survey, console: Console, outputs: Sequence[str]) -> None:
    """Print a line for each snapshot, and what all of them come to."""
    for judged in survey.snapshots:
        verdict, when = judged.summary.verdict, judged.as_of or "of unknown time"
        said = f"  {when}  {judged.snapshot}: {judged.summary.sentence}"
        print_line(console, cut(told((f"{verdict:<15}", VERDICTS[verdict]), said)))
    counts, gate = survey.counts, survey.gate
    total = f"{counts.passed:,} pass, {counts.fail:,} fail, {counts.unknown:,} unknown"
    print_line(console, told(f"{len(survey.snapshots):,} snapshots: {total}, {counts.not_applicable:,} not applicable"))
    hidden = len(gate.reasons) - MOST_LINES
    more = f"; and {hidden:,} more" if hidden > 0 else ""
    print_line(console, told((f"Exit code {gate.exit_code}: ", "bold"), "; ".join(gate.reasons[:MOST_LINES]) + more))
    for output in outputs:
        print_line(console, told(f"Wrote {output}"))


def told(*parts: str | tuple[str, str]) -> Text:
    """Return a line of texts, or texts with a style: all that is shown goes through here.

    Nothing in it can move the cursor, deceive a reader or command a pipeline. Rich by itself drops some control
    characters silently and passes others on.
    """
    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((printable(text), style) for text, style in styled))


def cut(line: Text) -> Text:
    """Mark a line as a row: what does not fit the terminal is cut off, where a sentence would be wrapped."""
    line.no_wrap = True
    return line


def print_line(console: Console, line: Text) -> None:
    """Print one line: a row cut to the terminal's width, a sentence wrapped to it; both whole when piped."""
    if not console.is_terminal:
        console.print(line, soft_wrap=True)
    elif line.no_wrap:
        line.truncate(console.width, overflow="ellipsis")
        console.print(line, no_wrap=True)
    else:
        console.print(line)


def print_exemptions(exemptions: Sequence[ExemptionInfo], console: Console, *, matched: bool) -> None:
    """Print a line for each exemption, what needs a decision first; ``matched`` with what it matched."""
    width = max((len(printable(entry.id)) for entry in exemptions), default=2)
    for entry in sorted(exemptions, key=lambda entry: list(EXEMPTION_STATUSES).index(entry.status)):
        counts = f"{entry.exempted:,} of {entry.matched:,}  " if matched else ""
        said = f"{entry.owner}: {entry.reason}"
        line = f"{entry.rule}  {counts}until {entry.expires}  {entry.scope_kind} {entry.scope}  {said}"
        word = (f"{entry.status:<16}  ", EXEMPTION_STATUSES[entry.status])
        print_line(console, cut(told(word, (f"{printable(entry.id):<{width}}", "bold"), f"  {line}")))
    print_line(console, told(_exemptions_counted(exemptions)))


def _exemptions_counted(exemptions: Sequence[ExemptionInfo]) -> str:
    counts = Counter(entry.status for entry in exemptions)
    words = [f"{counts[status]:,} {status.replace('-', ' ')}" for status in EXEMPTION_STATUSES if counts[status]]
    return f"{len(exemptions):,} exemption{'' if len(exemptions) == 1 else 's'}" + (
        f" ({', '.join(words)})" if words else ""
    )


def _summary(report: Report, outputs: Sequence[str]) -> Iterator[Text]:
    summary = report.summary
    yield told((summary.verdict, VERDICTS[summary.verdict]), f": {summary.sentence}")
    yield told()
    if report.options.framework:
        for framework in report.frameworks:
            yield from _controls(framework)
    yield from _coverage(report)
    yield told()
    yield from _rules(report)
    yield from _worst(report)
    yield from _unread(report)
    reasons = summary.gate.reasons
    hidden = len(reasons) - MOST_LINES
    more = f"; and {hidden:,} more reason{'' if hidden == 1 else 's'}" if hidden > 0 else ""
    yield told((f"Exit code {summary.gate.exit_code}: ", "bold"), "; ".join(reasons[:MOST_LINES]) + more)
    for output in outputs:
        yield told(f"Wrote {output}")


def _controls(framework: FrameworkInfo) -> Iterator[Text]:
    yield told((framework.title or framework.id, "bold"), f": {tally_words(framework)}")
    width = max((len(printable(control.id)) for control in framework.controls), default=0)
    for control in framework.controls:
        counted = [
            f"{count:,} {word}"
            for word in ("fail", "unknown", "pass")
            if (count := getattr(control.counts, "passed" if word == "pass" else word))
        ]
        yield cut(
            told(
                f"{printable(control.id):<{width}}  ",
                (f"{control.state:<15}", _CONTROL_STATES[control.state]),
                f"  {control.title}{': ' if counted else ''}{', '.join(counted)}",
            )
        )
        for entry in control.attestations:
            yield cut(told(f"{'':<{width}}  ", (attestation_words(entry), EXEMPTION_STATUSES[entry.status])))
    yield told()


def _coverage(report: Report) -> Iterator[Text]:
    parts = []
    for kind in report.coverage.kinds:
        words = KIND_NAMES[kind.kind][kind.found != 1]
        out = f", {kind.out_of_scope:,} out of scope" if kind.out_of_scope else ""
        parts.append(f"{kind.found:,} {words} ({kind.judged:,} judged{out})")
    yield told(f"Looked at  {' · '.join(parts) or 'nothing'}")
    files, rows = len(report.inventory.sources), sum(source.rows for source in report.inventory.sources)
    read = f"{files:,} file{'' if files == 1 else 's'}, {rows:,} row{'' if rows == 1 else 's'}"
    if report.inventory.principal:
        read = f"{rows:,} row{'' if rows == 1 else 's'} read from Azure ({report.inventory.cloud})"
    yield told(f"Inventory  {read}, {'as of ' + report.as_of if report.as_of else 'of unknown time'}")
    if report.coverage.declared_agents:
        vms = report.coverage.declared_agents
        rest = "VM rests" if vms == 1 else "VMs rest"
        yield told(f"Agents     {vms:,} {rest} on what was declared at creation, not on a report")
    if report.exemptions:
        counts = report.summary.counts
        covered = counts.exempt + counts.exempt_unknown
        verdicts = f"{covered:,} verdict{' is' if covered == 1 else 's are'} exempt"
        yield told(f"Exempt     {verdicts}, by {_exemptions_counted(report.exemptions)}")
    if report.baseline is not None:
        yield from _baseline(report.baseline)
    if report.trend is not None:
        yield from _trend(report.trend)


def _baseline(baseline: Baseline) -> Iterator[Text]:
    counts = f"{baseline.new:,} new, {baseline.unchanged:,} unchanged, {baseline.fixed:,} fixed"
    yield told(f"Baseline   {counts} since {baseline.as_of or 'an unknown time'}")
    changed = [entry.rule for entry in baseline.rules_changed]
    if changed:
        names = ", ".join(changed[:MOST_LINES]) + (", ..." if len(changed) > MOST_LINES else "")
        yield told(f"           judged otherwise than then: {names}")
    for line in baseline.not_comparable[:MOST_LINES]:
        yield told(f"           {line}")


def _trend(trend: Trend) -> Iterator[Text]:
    *before, now = trend.runs
    if not before:
        yield told("History    no earlier run")
        return
    last = before[-1]
    runs = len(before) + trend.left_out
    words = f"{now.counts.fail:,} fail and {now.counts.unknown:,} unknown"
    were = f"{last.counts.fail:,} and {last.counts.unknown:,} at {last.as_of}"
    yield told(f"History    {words}, {were}; {runs:,} earlier run{'' if runs == 1 else 's'}")
    for line in different(now)[:MOST_LINES]:
        yield told(f"           not comparable: {line}")


def _rules(report: Report) -> Iterator[Text]:
    # What needs attention first, then what is most severe: as many as leave room for the findings.
    ranked = sorted(report.rules, key=lambda rule: not (rule.counts.fail or rule.counts.unknown))
    shown, others = ranked[:MOST_RULES], ranked[MOST_RULES:]
    width = max((len(rule.id) for rule in shown), default=4)
    heads = f"{'Rule':<{width}}  {'Severity':<8}  {'Fail':>7}  {'Unknown':>7}  {'Pass':>7}  {'N/A':>7}"
    yield cut(told((heads, "dim")))
    for rule in shown:
        counts = rule.counts
        row = told(
            f"{rule.id:<{width}}  {rule.severity:<8}  ",
            (f"{counts.fail:>7,}", _STYLES["fail"] if counts.fail else "dim"),
            "  ",
            (f"{counts.unknown:>7,}", _STYLES["unknown"] if counts.unknown else "dim"),
            "  ",
            (f"{counts.passed:>7,}", "" if counts.passed else "dim"),
            "  ",
            (f"{counts.not_applicable:>7,}", "dim"),
        )
        yield cut(row)
    if others:
        wanting = sum(bool(rule.counts.fail or rule.counts.unknown) for rule in others)
        more = f"and {len(others):,} more rules, {wanting:,} of them with a fail or unknown"
        yield cut(told((more, "dim")))
    yield told()


def _worst(report: Report) -> Iterator[Text]:
    if not report.summary.counts.fail and not report.summary.counts.unknown:
        return
    worst = report.findings[:MOST_FINDINGS]
    wanted = {finding.resource for finding in worst}
    resources = {resource.id: resource for resource in report.resources if resource.id in wanted}
    for finding in worst:
        yield cut(finding_line(finding, resources[finding.resource]))
    more = report.summary.counts.fail + report.summary.counts.unknown - len(worst)
    if more > 0:
        yield told((f"and {more:,} more: write a report with -o report.html", "dim"))
    yield told()


def finding_line(finding: Finding, resource: Resource) -> Text:
    """Write a finding on one line."""
    return told(
        (f"{finding.outcome:<7}", _STYLES[finding.outcome]),
        f" {finding.severity:<8}  ",
        (resource.name, "bold"),
        ("  exempt" if finding.exempt else "", "cyan"),
        ("  new" if finding.baseline == "new" else "", "magenta"),
        f"  {finding.rule}: {finding.message}",
    )


def _unread(report: Report) -> Iterator[Text]:
    causes = list(dict.fromkeys(gap.cause for gap in report.gaps))
    for cause in causes[:MOST_LINES]:
        yield told(("Not read: ", "yellow"), cause)
    if len(causes) > MOST_LINES:
        hidden = len(causes) - MOST_LINES
        yield told((f"          and {hidden:,} more gap{'' if hidden == 1 else 's'}", "dim"))
    notices = [*report.coverage.assumptions, *report.coverage.notices]
    for notice in notices[:MOST_LINES]:
        yield told(("Note: ", "cyan"), notice)
    if len(notices) > MOST_LINES:
        hidden = len(notices) - MOST_LINES
        yield told((f"      and {hidden:,} more note{'' if hidden == 1 else 's'}", "dim"))
    if causes or notices:
        yield told()
