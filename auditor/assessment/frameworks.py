"""Verdicts by rule x what frameworks ask x what people attest -> what can be said of each control.

A rule shows a part of a control, never all of it, so nothing here says more than the verdicts do: a control holds only
where all that bears on it was read, passes, and something passes. An attestation stands beside what the rules say; only
where no rule can say anything it is what is said.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from auditor.assessment.model import AttestationInfo, ControlInfo, ControlState, FrameworkInfo
from auditor.declared.attestations import Attestation, shown_time
from auditor.gate import Counts
from auditor.ruleset.frameworks import Control, Framework
from auditor.ruleset.model import BoundRule, Rule
from auditor.text import fold

Attested: TypeAlias = Mapping[tuple[str, str], Sequence[AttestationInfo]]

NOTHING_ATTESTED: Attested = {}
_NAMED = 5  # rules that a note names; there may be thousands


@dataclass(slots=True)
class _Found:
    """What bears on a control, collected: rules that were run, and rules that were not."""

    id: str
    run: list[str] = field(default_factory=list)
    others: list[Rule] = field(default_factory=list)


def frameworks(
    catalogue: Sequence[Framework],
    judged: Sequence[tuple[BoundRule, Counts]],
    known: Sequence[Rule],
    profile: str,
    unread: Collection[str],
    attested: Attested = NOTHING_ATTESTED,
) -> list[FrameworkInfo]:
    """Say of each control of each framework what the rules that bear on it say together.

    Args:
        catalogue: the frameworks that are known, and what is to be said of their controls.
        judged: the rules that were run, and how many verdicts of each kind they gave.
        known: all rules that could have been run, those that were among them.
        profile: the one that was run.
        unread: ids of rules of which it is known that not all they judge was read.
        attested: what people state about controls, by framework and folded control.

    Returns:
        The known frameworks by id, then those that only rules name; in each the known controls, then those that only
        rules name, in the order of their numbers. Letter case does not tell controls apart.
    """
    counts = {rule.id: counted for rule, counted in judged}
    run = [rule.rule for rule, _ in judged]
    found: dict[str, dict[str, _Found]] = {}
    # In one order whatever was asked, so that a control nobody knows is always spelled the same.
    for rule in sorted([*run, *(rule for rule in known if rule.id not in counts)], key=lambda rule: rule.id):
        for framework_id, ids in rule.controls.items():
            controls = found.setdefault(framework_id, {})
            for control_id in {fold(control_id): control_id for control_id in reversed(ids)}.values():
                entry = controls.setdefault(fold(control_id), _Found(control_id))
                if rule.id in counts:
                    entry.run.append(rule.id)
                else:
                    entry.others.append(rule)
    listed = {framework.id: framework for framework in catalogue}
    strange = [Framework(id=name, title="", reference="", controls=()) for name in sorted(found.keys() - listed.keys())]

    def info(framework_id: str, control: Control, entry: _Found) -> ControlInfo:
        said = attested.get((framework_id, fold(control.id)), ())
        return _info(control, entry, counts, profile, unread, said)

    infos = []
    for framework in [*(listed[name] for name in sorted(listed)), *strange]:
        rest = dict(found.get(framework.id, {}))
        known_controls = [
            info(framework.id, control, rest.pop(fold(control.id), _Found(control.id)))
            for control in sorted(framework.controls, key=lambda control: natural(control.id))
        ]
        others = [
            info(framework.id, Control(id=entry.id, title=""), entry)
            for entry in sorted(rest.values(), key=lambda entry: natural(entry.id))
        ]
        infos.append(
            FrameworkInfo(
                id=framework.id,
                title=framework.title,
                reference=framework.reference,
                controls=[*known_controls, *others],
            )
        )
    return infos


def attestations_at(entries: Iterable[Attestation], now: int | None) -> Attested:
    """Return how attestations stand at a time, by framework and folded control."""
    found: dict[tuple[str, str], list[AttestationInfo]] = {}
    for entry in entries:
        info = AttestationInfo(
            statement=entry.statement,
            by=entry.by,
            date=shown_time(entry.date),
            expires=shown_time(entry.expires),
            evidence=entry.evidence,
            status=entry.status(now),
        )
        found.setdefault((entry.framework, fold(entry.control)), []).append(info)
    return found


def counts_now(attestation: AttestationInfo) -> bool:
    """Tell whether an attestation counts at the time of the report."""
    return attestation.status in ("active", "expiring")


def attestation_notices(infos: Iterable[FrameworkInfo]) -> list[str]:
    """Say of which controls every attestation has ceased to count, or does not count yet."""
    words = {
        "expired": "has expired",
        "not-yet": "is of a later time",
        "time-unknown": "cannot be dated: no known time",
    }
    return [
        f"What is attested of {info.id} {control.id} {words[control.attestations[0].status]}, so it does not count."
        for info in infos
        for control in info.controls
        if control.attestations and not any(map(counts_now, control.attestations))
    ]


def _info(
    control: Control,
    found: _Found,
    counts: Mapping[str, Counts],
    profile: str,
    unread: Collection[str],
    attested: Sequence[AttestationInfo],
) -> ControlInfo:
    total = _sum(counts[rule] for rule in found.run)
    holes = [rule for rule in found.run if rule in unread]
    notes = [_names("Not all was read of what is judged by", holes)] if holes else []
    if found.others:
        notes.append(_names("Not run", [_named(rule, profile) for rule in found.others]))
    return ControlInfo(
        id=control.id,
        title=control.title,
        state=_state(found, total, whole=not holes, attested=any(map(counts_now, attested))),
        rules=found.run,
        counts=total,
        note=" ".join([*notes, control.note] if control.note else notes),
        attestations=list(attested),
    )


def _state(found: _Found, total: Counts, *, whole: bool, attested: bool) -> ControlState:
    # An exemption changes no outcome: what fails under one fails, and the counts show that somebody answers for it.
    if total.fail:
        return "fails"
    if total.unknown or (found.run and not whole):
        return "cannot-conclude"
    if total.passed:
        return "holds"
    if found.run or found.others:  # a rule could tell, and nobody may talk it away
        return "not-judged"
    return "attested" if attested else "no-evidence"


def _sum(counts: Iterable[Counts]) -> Counts:
    totals = dict.fromkeys(Counts.__struct_fields__, 0)
    for counted in counts:
        for name in totals:
            totals[name] += getattr(counted, name)
    return Counts(**totals)


def _named(rule: Rule, profile: str) -> str:
    """Name a rule, and the profile that it takes where this one does not have it."""
    return rule.id if profile in rule.profiles else f"{rule.id} (profile {' or '.join(rule.profiles)})"


def _names(said: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"{said}: {', '.join(names[:_NAMED])}{more}."


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return what sorts ids by their numbers: CP-2 before CP-10, CP-9 before CP-9(1)."""
    # Numbers by length and then as text: somebody may write one of ten thousand digits.
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    key = [(0, len(part.lstrip("0")), part.lstrip("0")) if part[0] in "0123456789" else (1, 0, part) for part in parts]
    return [*key, (-1, 0, text)]
