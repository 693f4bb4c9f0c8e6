"""Flags and configuration -> the question to assess: flag before config before default."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from auditor.declared.config import (
    NO_DOCUMENT,
    Azure,
    Config,
    Engine,
    ParameterValue,
    TableName,
    Threshold,
    load_config,
)
from auditor.declared.intents import WORDS
from auditor.errors import UsageError
from auditor.ruleset.load import FRAMEWORKS, PROFILES
from auditor.ruleset.settings import Said, Settings, rules_beside, settings_of
from auditor.timestamps import parse_recent
from auditor.yaml_source import Document, did_you_mean, parse_yaml

T = TypeVar("T", bound=str)
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
        profile=read_profile(flags.profile) or config.profile,
        select=_split(flags.select) or config.select,
        ignore=_split(flags.ignore) or config.ignore,
        fail_on=_one_of("--fail-on", flags.fail_on, THRESHOLDS) or config.fail_on,
        strict=flags.strict or config.strict,
    )
    rules = rules_beside(config, document, flags.rules)
    said = Said(
        config,
        document,
        digest,
        parameters=read_parameters(flags.parameters, [rule.id for rule in rules]),
        parameters_from="--param",
        primary_endpoint=flags.primary_endpoint,
        as_of=read_as_of(flags.as_of),
        complete=read_tables(flags.complete),
        exemptions=flags.exemptions,
        attestations=flags.attestations,
        framework=_one_of("--framework", flags.framework, FRAMEWORKS),
    )
    return settings_of(said, rules)


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


def engine_settings(flags: Flags) -> Engine:
    """Return what the configuration says about the database; nothing else of it is looked at.

    Raises:
        UsageError: something in it is wrong.
    """
    return _config(flags)[0].engine


def read_profile(name: str | None) -> str | None:
    """Read ``--profile``.

    Raises:
        UsageError: there is no such profile.
    """
    return _one_of("--profile", name, PROFILES)


def read_parameters(flags: Sequence[str], known: Sequence[str]) -> Mapping[str, dict[str, ParameterValue]]:
    """Read ``--param`` as values by rule and name; whether they fit is told when they are put in.

    Raises:
        UsageError: one is not ``RULE.NAME=VALUE``, or of none of the known rules.
    """
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
    when = parse_recent(text)
    if when is None:
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
