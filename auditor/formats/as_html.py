"""One self-contained HTML page: no network, every value escaped, no script or style but those it has the hashes of."""

import hashlib
from collections import Counter
from heapq import nsmallest
from typing import BinaryIO, cast, get_args
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from auditor.arm_id import portal_link
from auditor.assessment.evidence import show
from auditor.assessment.model import ExemptionStatus, Finding, Report
from auditor.bundled import bundled
from auditor.estate.fields import KIND_NAMES, TABLE_OF
from auditor.formats.explore_data import embedded, exemption_words, explore_data
from auditor.formats.page import FOLDER, environment, policy_hash
from auditor.formats.tallies import by_resource, by_subscription
from auditor.formats.trend_views import by_rule, chart
from auditor.formats.trend_words import different
from auditor.gate import Counts
from auditor.ruleset.model import SEVERITIES
from auditor.text import fold, visible
from auditor.timestamps import parse_time

MOST_FINDINGS = 500
MOST_SUBSCRIPTIONS = 50
MOST_HEAT_RULES = 30
MOST_LINES = 200
MOST_WORST = 6


def write(report: Report, file: BinaryIO) -> None:
    """Write the page; what is capped says so, and where the rest is."""
    folder = bundled(FOLDER)
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    style = style.replace("CONTENT", report.content_sha256)  # so that every printed page says which report it is of
    embeds_all, with_evidence = embedded(report)
    listed = report.findings[:MOST_FINDINGS]
    worst = _worst(report)
    wanted = {*worst, *(finding.resource for finding in listed)}
    resources = {resource.id: resource for resource in report.resources if resource.id in wanted}
    subscriptions = by_subscription(report)
    uneasy = [rule for rule in report.rules if rule.counts.fail or rule.counts.unknown]
    stream = (
        _environment()
        .get_template("report.html.j2")
        .stream(
            report=report,
            style=Markup(style),  # noqa: S704 -- our own file, as is the script
            style_hash=policy_hash(style),
            script=Markup(script),  # noqa: S704
            script_hash=policy_hash(script),
            data=map(Markup, explore_data(report)),
            embeds_all=embeds_all,
            with_evidence=with_evidence,
            findings=listed,
            resources=resources,
            resource_tallies=by_resource(report),
            worst=[(resources[key], found) for key, found in worst.items()],
            changes=_changes(report),
            cut_short=_cut_short(report),
            subscriptions=subscriptions,
            names={fold(tally.id): tally.name for tally in subscriptions if tally.name},
            heat_rules=uneasy[:MOST_HEAT_RULES],
            heat_left_out=len(uneasy) - len(uneasy[:MOST_HEAT_RULES]),
            rules={rule.id: rule for rule in report.rules},
            rules_sha256=hashlib.sha256("\n".join(sorted(rule.sha256 for rule in report.rules)).encode()).hexdigest(),
            exemptions=sorted(report.exemptions, key=lambda entry: get_args(ExemptionStatus).index(entry.status)),
            most_subscriptions=MOST_SUBSCRIPTIONS,
            most_lines=MOST_LINES,
            age=_age(report),
        )
    )
    stream.enable_buffering(200)
    stream.dump(cast("str", file), encoding="utf-8")  # jinja2 takes any binary file and types it as a name


def _environment() -> jinja2.Environment:
    made = environment()
    made.filters |= {
        "share": _share,
        "cell": show,
        "portal": portal_link,
        "query": lambda text: quote(visible(text), safe=""),
        "exemption": exemption_words,
        "heat": _heat,
        "states": lambda controls: Counter(control.state for control in controls),
        "kind": lambda kind, count=1: KIND_NAMES[kind][count != 1],
        "folded": fold,
        "bar": _bar,
        "chart": chart,
        "by_rule": by_rule,
        "different": different,
    }
    return made


def _worst(report: Report) -> dict[str, list[Finding]]:
    """Return the resources to look at first, with their failing verdicts that are not exempt, the worst first."""
    rank = {severity: number for number, severity in enumerate(SEVERITIES)}
    failing: dict[str, list[tuple[int, int]]] = {}
    for number, finding in enumerate(report.findings):
        if finding.outcome == "fail" and not finding.exempt:
            failing.setdefault(finding.resource, []).append((rank[finding.severity], number))

    def badness(found: tuple[str, list[tuple[int, int]]]) -> list[int]:
        return [*sorted(severity for severity, _ in found[1]), len(rank)]

    worst = nsmallest(MOST_WORST, failing.items(), key=badness)
    return {key: [report.findings[number] for _, number in found] for key, found in worst}


def _changes(report: Report) -> Counter[str]:
    """Count what is otherwise than in the baseline: by kind of change, and what stayed in rules without any."""
    counted: Counter[str] = Counter()
    if report.baseline is None:
        return counted
    for entry in report.baseline.rules:
        counted.update(entry.counts)
    counted["other"] = sum(
        counted[name] for name in ("passes-by-changed-rule", "no-longer-unknown", "no-longer-applicable")
    )
    counted["elsewhere"] = report.baseline.unchanged - counted["unchanged"]
    return counted


def _cut_short(report: Report) -> set[str]:
    """Return the kinds of resources of which there may be more than were found."""
    states = {table.table: table.state for table in report.coverage.tables}
    return {kind for kind, table in TABLE_OF.items() if states.get(table) in ("partial", "missing")}


def _age(report: Report) -> str:
    """Say how old the inventory was at the time it was judged at; empty when that is the same time, or not known."""
    if report.as_of is None or report.inventory.collected_at is None:
        return ""
    hours = ((parse_time(report.as_of) or 0) - (parse_time(report.inventory.collected_at) or 0)) / 3_600_000_000
    if not hours:
        return ""
    many = f"{abs(hours) / 24:.1f} days" if abs(hours) >= 48 else f"{abs(hours):.1f} hours"
    return f"{many} {'before' if hours > 0 else 'after'} that"


def _share(part: int, whole: int) -> str:
    """Write a share in percent; never 0 % where there is something, never 100 % where something is missing."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    if part and percent < 0.1:
        return "< 0.1 %"
    if part != whole and percent > 99.9:
        return "> 99.9 %"
    return f"{percent:.1f} %".replace(".0 %", " %")


def _heat(counts: Counts) -> int:
    """Return how hot a cell is, 0 to 4, by the share of failing verdicts among those that are decided."""
    decided = counts.passed + counts.fail + counts.unknown
    return 0 if not counts.fail else min(4, 1 + (4 * counts.fail - 1) // decided) if decided else 0


def _bar(counts: Counts) -> list[tuple[str, float, float]]:
    """Return the pieces of a bar 100 wide, failing first: class, start and width; what is there is at least 1 wide."""
    amounts = {"fail": counts.fail, "unknown": counts.unknown, "pass": counts.passed}
    shown = {name: amount for name, amount in amounts.items() if amount}
    total = sum(shown.values())
    widths = {name: max(1.0, 100 * amount / total) for name, amount in shown.items()}
    scale = 100 / sum(widths.values()) if widths else 0
    pieces, start = [], 0.0
    for name, width in widths.items():
        pieces.append((name, round(start, 2), round(width * scale, 2)))
        start += width * scale
    return pieces
