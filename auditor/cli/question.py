"""Flags and configuration -> the question to assess: flag before config before default."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from auditor.bundled import bundled
from auditor.declared.attestations import NO_ATTESTATIONS, Attestations, load_attestations
from auditor.declared.config import (
    NO_DOCUMENT,
    Azure,
    Config,
    ExemptionsFile,
    ParameterValue,
    TableName,
    Threshold,
    load_config,
)
from auditor.declared.exemptions import NO_EXEMPTIONS, Exemptions, load_exemptions
from auditor.declared.intents import WORDS, IntentMap
from auditor.errors import InputErrors, UsageError
from auditor.ruleset.frameworks import control_ids, load_frameworks
from auditor.ruleset.load import FRAMEWORKS, PROFILES, bind, bundled_files, load_rules, own_files, read_exclusions
from auditor.ruleset.model import BoundRule, Exclusion, Rule
from auditor.timestamps import parse_time
from auditor.yaml_source import Document, did_you_mean, parse_yaml, read_yaml

T = TypeVar("T", bound=str)
EARLIEST, LATEST = parse_time("2000-01-01T00:00:00Z") or 0, parse_time("9000-01-01T00:00:00Z") or 0
DEFAULT_CONFIG = Path("auditor.yaml")
THRESHOLDS: tuple[Threshold, ...] = get_args(Threshold)
TABLES: tuple[TableName, ...] = get_args(TableName)


@dataclass(frozen=True, slots=True)
class Flags:
    """What the command line says; empty where it says nothing."""

    config: Path | None = None
    rules: Sequence[Path] = ()
    profile: str | None = None
    select: Sequence[str] = ()
    ignore: Sequence[str] = ()
    parameters: Sequence[str] = ()
    primary_endpoint: str | None = None
    as_of: str | None = None
    complete: Sequence[str] = ()
    fail_on: str | None = None
    strict: bool = False
    exemptions: Path | None = None
    attestations: Path | None = None
    framework: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What flags and configuration come to.

    Attributes:
        config: the configuration with the flags laid over it.
        config_sha256: of the file's bytes, ``None`` without a file.
        rules: the selected rules, parameters put in.
        exclusions: the bundled ones, then those of the configuration.
        intents: what the vaults are for.
        as_of: microseconds since 1970 UTC, or ``None``.
        complete: tables declared to be whole.
        exemptions: which verdicts somebody answers for.
        known: all rules, the selected ones among them.
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


def settle(flags: Flags) -> Settings:
    """Read the configuration, lay the flags over it, load and select the rules.

    Raises:
        UsageError: something in them is wrong.
    """
    config, document, digest = _config(flags)
    if flags.primary_endpoint is not None and flags.primary_endpoint not in WORDS:
        raise UsageError(
            f"--primary-endpoint is never {flags.primary_endpoint}", did_you_mean(flags.primary_endpoint, WORDS)
        )
    config = msgspec.structs.replace(
        config,
        profile=_one_of("--profile", flags.profile, PROFILES) or config.profile,
        select=_split(flags.select) or config.select,
        ignore=_split(flags.ignore) or config.ignore,
        fail_on=_one_of("--fail-on", flags.fail_on, THRESHOLDS) or config.fail_on,
        strict=flags.strict or config.strict,
    )
    base = Path(document.file).parent
    framework = _one_of("--framework", flags.framework, FRAMEWORKS)
    rules = load_rules([*bundled_files(), *own_files([*(base / name for name in config.rules), *flags.rules])])
    exclusions = _bundled_exclusions() if config.scope.bundled else []
    exclusions += read_exclusions(document, ("scope", "exclude"))
    as_of = read_as_of(flags.as_of)
    return Settings(
        config=config,
        config_sha256=digest,
        rules=_bind_all(rules, config, document, flags.parameters, framework),
        exclusions=tuple(exclusions),
        intents=IntentMap(config.intents, document, flags.primary_endpoint),
        as_of=as_of,
        complete=read_tables(flags.complete) | frozenset(config.exports.complete),
        exemptions=_exemptions(flags.exemptions, config.exemptions, base, rules, as_of),
        known=tuple(rules),
        framework=framework,
        attestations=_attestations(flags.attestations, config.attestations, base, rules),
    )


def _config(flags: Flags) -> tuple[Config, Document, str | None]:
    path = flags.config
    if path is None:
        if not os.path.lexists(DEFAULT_CONFIG):  # a folder or a dangling link of that name is told, not passed over
            return Config(), NO_DOCUMENT, None
        path = DEFAULT_CONFIG
    return load_config(path)


def azure_settings(flags: Flags) -> Azure:
    """Return what the configuration says about reading Azure; nothing else of it is looked at.

    Raises:
        UsageError: something in it is wrong.
    """
    return _config(flags)[0].azure


def _exemptions(
    flag: Path | None,
    configured: ExemptionsFile | str,
    base: Path,
    rules: Sequence[Rule],
    as_of: int | None,
) -> Exemptions:
    declared = ExemptionsFile(file=configured) if isinstance(configured, str) else configured
    path = flag or (base / declared.file if declared.file is not None else None)
    if path is None:
        return NO_EXEMPTIONS
    return load_exemptions(path, {rule.id: rule.resource for rule in rules}, as_of, declared.longest_days)


def _attestations(flag: Path | None, configured: str | None, base: Path, rules: Sequence[Rule]) -> Attestations:
    path = flag or (base / configured if configured is not None else None)
    if path is None:
        return NO_ATTESTATIONS
    return load_attestations(path, control_ids(load_frameworks(), rules))


def _bundled_exclusions() -> list[Exclusion]:
    path = bundled("rules") / "scope" / "exclude.yaml"
    return read_exclusions(read_yaml(path, "rules/scope/exclude.yaml"), ("exclude",), bundled=True)


def _bind_all(
    rules: Sequence[Rule], config: Config, document: Document, flags: Sequence[str], framework: str | None
) -> tuple[BoundRule, ...]:
    known = [rule.id for rule in rules]
    faults = []
    for section in ("parameters", "severities"):
        for rule_id in getattr(config, section):
            if rule_id not in known:
                message = f"there is no rule {rule_id}"
                faults.append(document.fault((section, rule_id), message, did_you_mean(rule_id, known)))
    if faults:
        raise InputErrors(faults)
    given = _parameters(flags, known)
    bound = []
    for rule in _selected(rules, config, known, framework):
        values = {**rule.profiles.get(config.profile, {}), **config.parameters.get(rule.id, {})}
        where = str(document.place(("parameters", rule.id)))
        checked = bind(rule, values, config.severities.get(rule.id), where)
        over = given.get(rule.id, {})
        bound.append(bind(rule, {**values, **over}, config.severities.get(rule.id), "--param") if over else checked)
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


def _parameters(flags: Sequence[str], known: Sequence[str]) -> Mapping[str, dict[str, ParameterValue]]:
    given: dict[str, dict[str, ParameterValue]] = {}
    for flag in flags:
        path, equals, text = flag.partition("=")
        rule_id, dot, name = path.partition(".")
        if not equals or not dot or not name:
            raise UsageError(f"--param {flag} is not RULE.NAME=VALUE", "For example vm-protected.grace_hours=48.")
        if rule_id not in known:
            raise UsageError(f"--param {flag}: there is no rule {rule_id}", did_you_mean(rule_id, list(known)))
        value = parse_yaml(text.encode("utf-8", "replace"), f"--param {path}").value
        if isinstance(value, dict):
            raise UsageError(f"--param {flag}: a parameter is no mapping", "Give a literal or a list.")
        given.setdefault(rule_id, {})[name] = value  # type: ignore[assignment]  # checked against its type when bound
    return given


def read_tables(names: Sequence[str]) -> frozenset[str]:
    """Read the names of tables off ``--complete``.

    Raises:
        UsageError: there is no such table.
    """
    return frozenset(_one_of("--complete", name, TABLES) or "" for name in _split(names))


def read_as_of(text: str | None) -> int | None:
    """Read ``--as-of`` as microseconds since 1970 UTC.

    Raises:
        UsageError: it is no time, or none of this age.
    """
    if text is None:
        return None
    when = parse_time(text)
    if when is None or not EARLIEST <= when <= LATEST:
        raise UsageError(f"--as-of {text} is not a time with a zone", "Write it as 2026-01-31T06:00:00Z.")
    return when


def _split(values: Sequence[str]) -> list[str]:
    if values and not any(name.strip(" ,") for name in values):
        raise UsageError("an empty name was given", "Leave the flag out, or name something: is a variable not set?")
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def _one_of(flag: str, value: str | None, words: tuple[T, ...]) -> T | None:
    if value is None:
        return None
    for word in words:
        if word == value:
            return word
    raise UsageError(f"{flag} is never {value}", did_you_mean(value, words))
