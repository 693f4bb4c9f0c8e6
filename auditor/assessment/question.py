"""The question of an audit: the rules, and what was declared."""

from collections.abc import Sequence
from dataclasses import dataclass

from auditor.assessment.model import Report
from auditor.assessment.trend import History
from auditor.declared.attestations import NO_ATTESTATIONS, Attestations
from auditor.declared.config import Config
from auditor.declared.exemptions import NO_EXEMPTIONS, Exemptions
from auditor.declared.intents import IntentMap
from auditor.ruleset.model import BoundRule, Exclusion, Rule
from auditor.ruleset.settings import Settings


@dataclass(frozen=True, slots=True)
class Question:
    """Everything an audit needs beside the inventory.

    Attributes:
        rules: the selected rules, parameters put in.
        exclusions: what is not judged.
        intents: what the vaults are for.
        config: the settings in force, flags included.
        config_sha256: of the configuration file, if there is one.
        primary_endpoint: the flag of that name.
        as_of: microseconds since 1970 UTC, or ``None``.
        complete: tables declared to be whole.
        exemptions: which verdicts somebody answers for.
        attestations: what people state about controls.
        framework: the one whose controls are reported; its rules are those that are run.
        history: what earlier runs said; it changes nothing but the trend.
        baseline: an earlier report to compare findings with.
        subscriptions: folded ids of those that are judged; empty for all that the inventory is about.
        known: all rules that there are, to tell which of them would have borne on a control.
    """

    rules: Sequence[BoundRule]
    exclusions: Sequence[Exclusion]
    intents: IntentMap
    config: Config
    config_sha256: str | None = None
    primary_endpoint: str | None = None
    as_of: int | None = None
    complete: frozenset[str] = frozenset()
    exemptions: Exemptions = NO_EXEMPTIONS
    baseline: Report | None = None
    known: Sequence[Rule] = ()
    subscriptions: frozenset[str] = frozenset()
    attestations: Attestations = NO_ATTESTATIONS
    framework: str | None = None
    history: History | None = None


def question_of(
    settings: Settings,
    primary_endpoint: str | None = None,
    baseline: Report | None = None,
    subscriptions: frozenset[str] = frozenset(),
) -> Question:
    """Return what is asked of an inventory, beside the settings as ``Question`` has it."""
    return Question(
        rules=settings.rules,
        exclusions=settings.exclusions,
        intents=settings.intents,
        config=settings.config,
        config_sha256=settings.config_sha256,
        primary_endpoint=primary_endpoint,
        as_of=settings.as_of,
        complete=settings.complete,
        exemptions=settings.exemptions,
        attestations=settings.attestations,
        framework=settings.framework,
        baseline=baseline,
        known=settings.known,
        subscriptions=subscriptions,
    )
