"""What was said and the rules there are -> what is asked: the chosen rules with parameters, exclusions, exemptions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auditor.bundled import bundled
from auditor.declared.attestations import NO_ATTESTATIONS, Attestations, load_attestations
from auditor.declared.config import NO_DOCUMENT, Config, ExemptionsFile, ParameterValue
from auditor.declared.exemptions import NO_EXEMPTIONS, Exemptions, load_exemptions
from auditor.declared.intents import IntentMap
from auditor.errors import InputErrors, UsageError
from auditor.ruleset.frameworks import control_ids, load_frameworks
from auditor.ruleset.load import bind, bundled_files, load_rules, own_files, read_exclusions
from auditor.ruleset.model import BoundRule, Exclusion, Rule
from auditor.yaml_source import Document, did_you_mean, read_yaml


@dataclass(frozen=True, slots=True)
class Said:
    """A configuration, and what goes before it.

    Attributes:
        config: the configuration; where something else was said for one of its keys, that is in its place.
        document: where each part of it stands; files that it names are seen from there.
        config_sha256: of the file's bytes, ``None`` without a file.
        parameters: by rule.
        parameters_from: who said these parameters, for messages.
        primary_endpoint: the intent of vaults where nothing else says it.
        as_of: the time to judge at, in microseconds since 1970 UTC; ``None`` for the inventory's own.
        complete: tables declared to be whole.
        exemptions: the file with exemptions.
        attestations: the file with attestations.
        framework: the one whose rules are run, or ``None`` for all.
    """

    config: Config = field(default_factory=Config)
    document: Document = NO_DOCUMENT
    config_sha256: str | None = None
    parameters: Mapping[str, Mapping[str, ParameterValue]] = field(default_factory=dict)
    parameters_from: str = ""
    primary_endpoint: str | None = None
    as_of: int | None = None
    complete: frozenset[str] = frozenset()
    exemptions: Path | None = None
    attestations: Path | None = None
    framework: str | None = None

    @property
    def base(self) -> Path:
        """The folder from which files that the configuration names are seen."""
        return Path(self.document.file).parent


@dataclass(frozen=True, slots=True)
class Settings:
    """What all that was said comes to.

    Attributes:
        config: the configuration, with what goes before it.
        config_sha256: of the file's bytes, ``None`` without a file.
        rules: the chosen rules, parameters put in.
        exclusions: the bundled ones, then those of the configuration.
        intents: what the vaults are for.
        as_of: microseconds since 1970 UTC, or ``None``.
        complete: tables declared to be whole.
        exemptions: which verdicts somebody answers for.
        known: all rules, the chosen ones among them.
        attestations: what people state about controls.
        framework: the one whose rules are run, or ``None`` for all.
    """

    config: Config
    config_sha256: str | None
    rules: tuple[BoundRule, ...]
    exclusions: tuple[Exclusion, ...]
    intents: IntentMap
    as_of: int | None
    complete: frozenset[str] = field(default=frozenset())
    exemptions: Exemptions = NO_EXEMPTIONS
    known: tuple[Rule, ...] = ()
    attestations: Attestations = NO_ATTESTATIONS
    framework: str | None = None


def rules_beside(config: Config, document: Document, paths: Iterable[Path] = ()) -> list[Rule]:
    """Load all rules: the bundled ones, those that a configuration names, and those of some files and folders.

    Raises:
        UsageError: one of them is not there.
        InputErrors: all that is wrong with them, at once.
    """
    base = Path(document.file).parent
    return load_rules([*bundled_files(), *own_files([*(base / name for name in config.rules), *paths])])


def settings_of(said: Said, known: Sequence[Rule], chosen: Sequence[Rule] | None = None) -> Settings:
    """Settle what is asked.

    Args:
        said: what was said.
        known: all rules.
        chosen: those to run; when ``None``, what the configuration selects of all.

    Raises:
        UsageError: something that was said is wrong.
    """
    config, document = said.config, said.document
    exclusions = _bundled_exclusions() if config.scope.bundled else []
    exclusions += read_exclusions(document, ("scope", "exclude"))
    return Settings(
        config=config,
        config_sha256=said.config_sha256,
        rules=_bind_all(said, known, chosen),
        exclusions=tuple(exclusions),
        intents=IntentMap(config.intents, document, said.primary_endpoint),
        as_of=said.as_of,
        complete=said.complete | frozenset(config.exports.complete),
        exemptions=_exemptions(said, known),
        known=tuple(known),
        attestations=_attestations(said, known),
        framework=said.framework,
    )


def _bundled_exclusions() -> list[Exclusion]:
    path = bundled("rules") / "scope" / "exclude.yaml"
    return read_exclusions(read_yaml(path, "rules/scope/exclude.yaml"), ("exclude",), bundled=True)


def _bind_all(said: Said, known: Sequence[Rule], chosen: Sequence[Rule] | None) -> tuple[BoundRule, ...]:
    config, document = said.config, said.document
    names = [rule.id for rule in known]
    faults = []
    for section in ("parameters", "severities"):
        for rule_id in getattr(config, section):
            if rule_id not in names:
                message = f"there is no rule {rule_id}"
                faults.append(document.fault((section, rule_id), message, did_you_mean(rule_id, names)))
    if faults:
        raise InputErrors(faults)
    bound = []
    for rule in _selected(known, config, names, said.framework) if chosen is None else chosen:
        values = {**rule.profiles.get(config.profile, {}), **config.parameters.get(rule.id, {})}
        where = str(document.place(("parameters", rule.id)))
        checked = bind(rule, values, config.severities.get(rule.id), where)
        over = said.parameters.get(rule.id, {})
        severity = config.severities.get(rule.id)
        bound.append(bind(rule, {**values, **over}, severity, said.parameters_from) if over else checked)
    return tuple(bound)


def _selected(rules: Sequence[Rule], config: Config, known: Sequence[str], framework: str | None) -> list[Rule]:
    for name in (*config.select, *config.ignore):
        if name not in known:
            raise UsageError(f"there is no rule {name}", did_you_mean(name, list(known)))
    if config.select:
        chosen = [rule for rule in rules if rule.id in config.select]
    else:
        chosen = [rule for rule in rules if config.profile in rule.profiles]
    chosen = [rule for rule in chosen if rule.id not in config.ignore]
    if framework is not None:
        chosen = [rule for rule in chosen if rule.controls.get(framework)]
        if not chosen:
            hint = "docs/controls.md has the rules of each framework; --profile hardened runs more of them."
            raise UsageError(f"none of the selected rules bears on {framework}", hint)
    if not chosen:
        raise UsageError("no rule is left to run", "Select one, or ignore fewer: auditor rules list")
    return chosen


def _exemptions(said: Said, known: Sequence[Rule]) -> Exemptions:
    configured = said.config.exemptions
    declared = ExemptionsFile(file=configured) if isinstance(configured, str) else configured
    path = said.exemptions or (said.base / declared.file if declared.file is not None else None)
    if path is None:
        return NO_EXEMPTIONS
    return load_exemptions(path, {rule.id: rule.resource for rule in known}, said.as_of, declared.longest_days)


def _attestations(said: Said, known: Sequence[Rule]) -> Attestations:
    configured = said.config.attestations
    path = said.attestations or (said.base / configured if configured is not None else None)
    if path is None:
        return NO_ATTESTATIONS
    return load_attestations(path, control_ids(load_frameworks(), known))
