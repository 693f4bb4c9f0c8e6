"""A plan as one self-contained HTML page to read, print and sign: no network, no script, every value escaped."""

import re

from markupsafe import Markup

from auditor.bundled import bundled
from auditor.formats.page import FOLDER, environment, policy_hash
from auditor.formats.plan_reading import (
    Limits,
    asked_for,
    changes_of,
    checks_of,
    differing,
    group_of,
    held_back,
    json_lines,
    name_of,
    ranges,
    read_plan,
    says_all,
    shortened,
    what,
)
from auditor.formats.plan_terminal import summary_of
from auditor.remediation.model import Plan

MOST_HEADINGS = 16
_DIGEST = re.compile("[0-9a-f]{64}")


def as_html(plan: Plan) -> bytes:
    """Return the page; what is capped says so."""
    folder, limits = bundled(FOLDER), Limits()
    style = "".join((folder / name).read_text(encoding="utf-8") for name in ("report.css", "plan.css"))
    # So that every printed page says which plan it is of.
    style = style.replace("CONTENT", plan.digest if _DIGEST.fullmatch(plan.digest) else "without a digest")
    reading = read_plan(plan)
    chosen = reading.in_full(limits)
    made = environment()
    made.filters |= {
        "ranges": ranges,
        "json_lines": lambda value: json_lines(value, limits),
        "short": lambda text: shortened(text, limits.characters),
        "named": name_of,
        "group_of": group_of,
        "what": what,
    }
    page = made.get_template("plan.html.j2").render(
        plan=plan,
        reading=reading,
        style=Markup(style),  # noqa: S704 -- our own files, and a digest
        style_hash=policy_hash(style),
        sentence=summary_of(plan),
        options=asked_for(plan.options),
        held_back=held_back(plan.options),
        told=[(reading.groups[place], rows) for place, rows in chosen.items()],
        untold=[group for place, group in enumerate(reading.groups) if place not in chosen],
        left_out=len(reading.steps) - sum(chosen.values()),
        checks=lambda group: checks_of(group, limits),
        changes=lambda group: [] if says_all(group.first) else changes_of(group, limits),
        differing=differing,
        most=limits.listed,
        most_headings=MOST_HEADINGS,
        limits=limits,
    )
    return f"{page}\n".encode()
