"""A plan as Markdown, for a pull request or a ticket: all that somebody has to know who lets it be applied.

Every name in it is inert. It is shortened until it fits, and says so.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from auditor.formats.markdown import inert, prose
from auditor.formats.plan_reading import (
    Group,
    Limits,
    Reading,
    asked_for,
    changes_of,
    checks_of,
    differing,
    held_back,
    json_lines,
    ranges,
    read_plan,
    says_all,
    what,
)
from auditor.formats.plan_terminal import summary_of
from auditor.remediation.model import Answer, Plan
from auditor.text import visible

MOST_BYTES = 999_999
_LIMITS = (
    Limits(),
    Limits(steps=100, groups=50, listed=50, characters=600),
    Limits(steps=20, groups=20, listed=20, characters=300),
    Limits(steps=0, groups=0, listed=5, characters=200),
)
_TICKS = re.compile("`+")


def as_markdown(plan: Plan, most_bytes: int = MOST_BYTES) -> bytes:
    """Return the page, with as many steps in full as fit into so many bytes."""
    reading, shown = read_plan(plan), b""
    for limits in _LIMITS:
        shown = "".join(f"{line}\n" for line in _Page(reading, limits).lines()).encode()
        if len(shown) <= most_bytes:
            break
    return shown


class _Page:
    """The lines of one page."""

    def __init__(self, reading: Reading, limits: Limits) -> None:
        self.reading = reading
        self.plan = reading.plan
        self.limits = limits

    def lines(self) -> Iterator[str]:
        yield from self._first_screen()
        yield from self._risks()
        yield from self._steps()
        yield from self._by_hand()
        yield from self._rights()
        yield from self._costs()
        if self.plan.notices:
            yield from ("", "## To know", "")
            yield from self._list(self._shown(notice) for notice in self.plan.notices)

    # The first screen

    def _first_screen(self) -> Iterator[str]:
        plan, made, projected = self.plan, self.plan.created_from, self.plan.projected
        yield from ("# Plan for Azure VM backup", "")
        yield f"**To review**: {prose(summary_of(plan), self.limits.characters)}"
        yield from ("", "| | now | once it is applied | after the first backups |", "|---|---:|---:|---:|")
        applied, backed_up = projected.after_apply, projected.after_first_backup
        yield f"| verdicts that fail | {made.failing:,} | {applied.failing:,} | {backed_up.failing:,} |"
        yield f"| verdicts that are unknown | {made.unknown:,} | {applied.unknown:,} | {backed_up.unknown:,} |"
        yield f"| answered verdicts that turn | | {applied.turned:,} | {backed_up.turned:,} |"
        yield from self._not_passing()
        yield from ("", "## What happens", "")
        if not self.reading.steps:
            yield "Nothing that a program can do."
        else:
            yield from ("| steps | kind | what |", "|---:|---|---|")
            for kind, count in self.reading.kinds.items():
                yield f"| {count:,} | {self._shown(kind)} | {prose(what(kind), self.limits.characters)} |"
        yield ""
        yield f"Left to people: {self.reading.left:,} verdicts, in {len(self.reading.manual):,} things to do."
        yield from ("", "## What it rests on", "")
        yield f"- Tenant: {self._shown(plan.tenant) or 'not named: the plan was made from exports'}"
        yield f"- Cloud: {self._shown(plan.cloud) or 'not named'}"
        yield f"- As of {self._shown(made.as_of)}, by {self._shown(made.tool)}"
        yield f"- Options: {', '.join(map(self._shown, asked_for(plan.options)[: self.limits.listed])) or 'none'}"
        if held_back(plan.options):
            yield f"- Left out, for nobody allowed it: {', '.join(held_back(plan.options))}"
        yield f"- Digest of the plan: {self._shown(plan.digest)}"
        yield f"- Run {self._shown(made.run_id)} of inventory {self._shown(made.inventory_sha256)}"

    def _not_passing(self) -> Iterator[str]:
        """Say what steps answer and would still not turn, and what they would break."""
        applied, backed_up = self.plan.projected.after_apply, self.plan.projected.after_first_backup
        until_then = _only(applied.newly_failing, backed_up.newly_failing)
        for words, answers in (
            ("WOULD STILL FAIL, though a step answers it", backed_up.still_failing),
            ("WOULD FAIL because of the plan", backed_up.newly_failing),
            ("Would fail because of the plan until the first backups", until_then),
        ):
            if answers:
                yield from ("", f"## {words}: {len(answers):,}", "")
                yield from self._list(map(self._answer, answers))
        if not backed_up.still_failing and not backed_up.newly_failing and self.reading.steps:
            waiting = len(applied.still_failing)
            yield ""
            yield "After the first backups every verdict that a step answers would pass, and none would fail anew."
            if waiting:
                yield f"Until then {waiting:,} of them fail still."

    def _risks(self) -> Iterator[str]:
        risky = self.reading.risky
        yield from ("", "## Look twice", "")
        if not risky:
            yield "No step carries a risk that is known, weakens anything, or could never be taken back."
            return
        lines = []
        for group in risky:
            marks = _marks(group)
            risks = "; ".join(map(self._shown, group.first.risks[: self.limits.listed]))
            lines.append(f"{marks}{_numbered(group)}: {self._shown(group.heading)}{f': {risks}' if risks else ''}")
        yield from self._list(lines)

    # The steps

    def _steps(self) -> Iterator[str]:
        if not self.reading.steps:
            return
        yield from ("", "## Steps", "")
        yield "In this order. Steps that differ only in whom they are about stand together:"
        yield "a name in braces is what differs."
        chosen = self.reading.in_full(self.limits)
        for place, rows in chosen.items():
            yield from self._group(self.reading.groups[place], rows)
        left = len(self.reading.steps) - sum(chosen.values())
        if left:
            groups = [group for place, group in enumerate(self.reading.groups) if place not in chosen]
            yield from ("", f"### Not told here: {left:,} of {len(self.reading.steps):,} steps", "")
            yield "There was no room for them; plan.json has all, and they are applied as well."
            if groups:
                yield ""
                yield from self._list(f"{_numbered(group)}: {self._shown(group.heading)}" for group in groups)

    def _group(self, group: Group, rows: int) -> Iterator[str]:
        step = group.first
        yield from ("", f"### {_numbered(group)}: {self._shown(group.heading)}", "")
        for risk in step.risks[: self.limits.listed]:
            yield f"- **RISK**: {self._shown(risk)}"
        if group.one_way:
            yield "- **ONE WAY**: it can never be taken back"
        yield f"- Kind: {self._shown(step.kind)}; answers {self._answers(group)}"
        yield from self._order(group)
        if group.request is not None:
            call = f"{group.request.method} {group.request.path}?api-version={group.request.api_version}"
            yield f"- Request: {self._shown(call)}"
        yield f"- Checked again before: {self._checked(group)}"
        yield f"- Permission: {self._shown(step.permission) or 'not named'}"
        yield f"- Undone: {self._shown(step.reversibility) or 'the plan does not say how'}"
        yield f"- Cost: {self._shown(step.cost) or 'not known'}"
        for note in step.notes[: self.limits.listed]:
            yield f"- Note: {self._shown(note)}"
        if step.affects:
            yield f"- Changes {len(step.affects):,} items with it:"
            yield from self._list(map(self._shown, step.affects), "  ")
        yield from self._changes(group)
        yield from self._body(group)
        if len(group.steps) > 1:
            yield from self._rows(group, rows)

    def _answers(self, group: Group) -> str:
        if not group.answers:
            needed = "; other steps need it" if self.reading.needed_by(group) else ""
            return f"no verdict by itself{needed}"
        shown = [self._answer(answer) for answer in group.answers[: self.limits.listed]]
        left = len(group.answers) - len(shown)
        return ", ".join(shown) + (f" and {left:,} more" if left else "")

    def _order(self, group: Group) -> Iterator[str]:
        after = self.reading.all_after(group)
        if after:
            yield f"- After {ranges(after)}"
        for entry in self.reading.missing(group)[: self.limits.listed]:
            yield f"- **After a step that is not in the plan**: {self._shown(entry)}"
        needed = self.reading.needed_by(group)
        if needed:
            yield f"- Before {ranges(needed)}"

    def _checked(self, group: Group) -> str:
        said = []
        for path, values in checks_of(group, self.limits):
            if values is None:
                said.append(f"nothing is at {self._shown(path)}")
            else:
                several = ", ".join(f"{self._shown(name)} = {self._shown(value)}" for name, value in values)
                said.append(f"{self._shown(path)} has {several}")
        return "; ".join(said) or "nothing that the plan names"

    def _changes(self, group: Group) -> Iterator[str]:
        rows = [] if says_all(group.first) else changes_of(group, self.limits)
        if rows:
            yield from ("", "| what | before | after |", "|---|---|---|")
            for row in rows[: self.limits.listed]:
                name, before, after = (self._shown(part) if part is not None else "" for part in row)
                unsaid = "nothing" if group.first.before is None else "not said"
                yield f"| {name} | {before or unsaid} | {after or 'not said'} |"
            yield from self._left(len(rows))

    def _body(self, group: Group) -> Iterator[str]:
        request = group.request
        if request is None or request.body is None:
            return
        lines = [visible(line) for line in json_lines(request.body, self.limits)]
        fence = "`" * max(3, 1 + max((len(run) for line in lines for run in _TICKS.findall(line)), default=0))
        yield from ("", f"{fence}json", *lines, fence)

    def _rows(self, group: Group, rows: int) -> Iterator[str]:
        names = [name for _, name in differing(group.first)]
        common = self.reading.all_after(group) is not None
        heads = ["step", *names, *([] if common else ["after"])]
        yield from ("", f"| {' | '.join(map(self._shown, heads))} |", f"|---:|{'---|' * (len(heads) - 1)}")
        for number, step in zip(group.numbers[:rows], group.steps[:rows], strict=True):
            cells = [f"{number:,}", *(self._shown(arm_id) for arm_id, _ in differing(step))]
            if not common:
                cells.append(ranges(self.reading.after(step)))
            yield f"| {' | '.join(cells)} |"
        if rows < len(group.steps):
            yield from ("", f"and {len(group.steps) - rows:,} more such steps: plan.json has them")

    # The rest

    def _by_hand(self) -> Iterator[str]:
        manual = self.reading.manual
        yield from ("", f"## By hand: {self.reading.left:,} verdicts", "")
        if not manual:
            yield "Nothing is left to people."
        for step in manual[: self.limits.listed]:
            yield from ("", f"### {self._shown(step.title)}", "")
            yield from self._list((self._shown(line) for line in step.recipe), number=True)
            yield from ("", f"For {len(step.answers):,}:", "")
            yield from self._list(map(self._answer, step.answers))
        yield from self._left(len(manual))

    def _rights(self) -> Iterator[str]:
        rights = self.reading.rights
        yield from ("", "## Permissions", "")
        if not rights:
            yield "None is named."
            return
        yield from ("| in | right | on | steps |", "|---|---|---|---:|")
        for right in rights[: self.limits.listed]:
            on = ", ".join(map(self._shown, right.on[:5])) + (
                f" and {len(right.on) - 5:,} more" if len(right.on) > 5 else ""
            )
            yield f"| {self._shown(right.scope)} | {self._shown(right.right)} | {on} | {right.steps:,} |"
        yield from self._left(len(rights))

    def _costs(self) -> Iterator[str]:
        if not self.reading.costs:
            return
        yield from ("", "## Costs", "", "As far as they are known; prices are not.", "")
        yield from ("| effect | kinds | steps |", "|---|---|---:|")
        for cost in self.reading.costs[: self.limits.listed]:
            kinds = ", ".join(map(self._shown, cost.kinds))
            yield f"| {self._shown(cost.cost) or 'not known'} | {kinds} | {cost.steps:,} |"
        yield from self._left(len(self.reading.costs))

    # Pieces

    def _shown(self, text: str) -> str:
        return inert(text, self.limits.characters)

    def _answer(self, answer: Answer) -> str:
        return f"{self._shown(answer.rule)} on {self._shown(answer.resource)}"

    def _list(self, lines: Iterable[str], indent: str = "", *, number: bool = False) -> Iterator[str]:
        """Yield a list of as many lines as there may be, and how many are left out."""
        most, count = self.limits.listed, 0
        for count, line in enumerate(lines, 1):
            if count <= most:
                yield f"{indent}{f'{count}.' if number else '-'} {line}"
        if count > most:
            yield f"{indent}{f'{most + 1}.' if number else '-'} and {count - most:,} more: plan.json has them"

    def _left(self, count: int) -> Iterator[str]:
        if count > self.limits.listed:
            yield from ("", f"and {count - self.limits.listed:,} more: plan.json has them")


def _numbered(group: Group) -> str:
    """Return the numbers of a group's steps."""
    return f"Step{'s' if len(group.steps) > 1 else ''} {ranges(group.numbers)}"


def _marks(group: Group) -> str:
    """Say in capitals what a reviewer must not miss."""
    said = [word for word, holds in (("ONE WAY", group.one_way), ("WEAKER", group.weaker)) if holds]
    return f"**{', '.join(said)}** " if said else ""


def _only(those: Sequence[Answer], without: Sequence[Answer]) -> list[Answer]:
    known = {(answer.rule, answer.resource) for answer in without}
    return [answer for answer in those if (answer.rule, answer.resource) not in known]
