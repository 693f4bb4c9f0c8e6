"""auditor.yaml: every key, what is wrong with it and where, and what goes before what."""

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import estate
from jsonschema import Draft202012Validator

from auditor.bundled import bundled
from auditor.cli.question import Flags, settle
from auditor.declared.config import Config, load_config
from auditor.errors import InputErrors, UsageError
from auditor.estate.database import connect
from auditor.reference import SCHEMAS, cases_schema, config_schema, rule_schema
from auditor.ruleset.load import bundled_files, load_rules
from auditor.ruleset.settings import Settings
from auditor.timestamps import parse_time
from auditor.yaml_source import read_yaml

ROOT = Path(__file__).parent.parent
SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"
ALL = load_rules(bundled_files())
RULES = [rule.id for rule in ALL if "baseline" in rule.profiles]


def config_of(text: str) -> Config:
    Path("auditor.yaml").write_text(text, encoding="utf-8")
    return load_config(Path("auditor.yaml"))[0]


def settled(text: str = "", **flags: Any) -> Settings:
    Path("auditor.yaml").write_text(text, encoding="utf-8")
    return settle(Flags(**flags))


def faults_of(call: Callable[[], object]) -> list[tuple[str, str]]:
    with pytest.raises(InputErrors) as caught:
        call()
    return [(str(fault), fault.hint) for fault in caught.value.faults]


def complaint_of(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        call()
    return caught.value.message, caught.value.hint


# The file


def test_every_key_is_read() -> None:
    config = config_of(f"""\
intents:
  default: other
  trust_tags: false
  scopes: {{{SUBSCRIPTION}: zone}}
vaults_in: any
profile: hardened
select: [a, b]
ignore: [c]
rules: [ours]
parameters: {{vm-protected: {{grace_hours: 48, accept: [protected], other: null, on: true, word: a}}}}
severities: {{vm-agent-installed: medium}}
scope:
  bundled: false
  exclude: [{{reason: r, field: vm.name, equals: a}}]
exports: {{complete: [backup_jobs, vaults]}}
engine: {{memory: 2GB, spill: ., threads: 8}}
outputs: [report.html]
fail_on: low
strict: true
""")
    assert (config.intents.default, config.intents.trust_tags) == ("other", False)
    assert config.intents.scopes == {SUBSCRIPTION: "zone"}
    assert (config.vaults_in, config.profile, config.fail_on, config.strict) == ("any", "hardened", "low", True)
    assert (config.select, config.ignore, config.rules, config.outputs) == (
        ["a", "b"],
        ["c"],
        ["ours"],
        ["report.html"],
    )
    values = {"grace_hours": 48, "accept": ["protected"], "other": None, "on": True, "word": "a"}
    assert config.parameters == {"vm-protected": values}
    assert config.severities == {"vm-agent-installed": "medium"}
    assert (config.scope.bundled, len(config.scope.exclude)) == (False, 1)
    assert config.exports.complete == ["backup_jobs", "vaults"]
    assert (config.engine.memory, config.engine.spill, config.engine.threads) == ("2GB", ".", 8)


def test_the_database_spills_to_a_folder_that_is_seen_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "ours" / "scratch").mkdir(parents=True)
    (tmp_path / "ours" / "auditor.yaml").write_text("engine: {spill: scratch}\n")
    engine = load_config(tmp_path / "ours" / "auditor.yaml")[0].engine
    assert engine.spill == str(tmp_path / "ours" / "scratch")
    with connect(tmp_path / "auditor-1", engine) as connection:
        settings = "SELECT current_setting('temp_directory'), current_setting('memory_limit')"
        assert connection.execute(settings).fetchone() == (f"{engine.spill}/auditor-1", "858.3 MiB")


def test_a_folder_to_spill_to_that_is_not_there_is_told_with_its_place() -> None:
    Path("file").write_text("")
    for name in ("gone", "file"):
        assert faults_of(lambda name=name: config_of(f"engine:\n  spill: {name}\n")) == [  # type: ignore[misc]
            (f"auditor.yaml:2:3: {name} is no folder", "Make it, or leave engine.spill out.")
        ]


def test_memory_and_processors_of_the_database_are_checked_with_their_place() -> None:
    for text in ("memory: lots", "memory: 0MB", "memory: 1.5GB", "memory: 900", "threads: 0", "threads: two"):
        ((fault, hint),) = faults_of(lambda text=text: config_of(f"engine:\n  {text}\n"))  # type: ignore[misc]
        assert fault.startswith("auditor.yaml:2:3: expected "), fault
        assert hint == SEE


@pytest.mark.parametrize("name", ["K", "Kestrelvik Freight", "x" * 200, "<b>\u202e|\n=1+1\x1b[0m", " ß "])
def test_the_name_of_the_organisation_is_taken_as_it_is(name: str) -> None:
    text = f"organisation: {json.dumps(name)}\n"
    assert config_of(text).organisation == name
    assert estate().vm("web").audit(config=text).report.options.organisation == name


def test_the_name_of_the_organisation_is_empty_where_nobody_says_it() -> None:
    assert estate().vm("web").audit().report.options.organisation == ""


@pytest.mark.parametrize("text", ["", "# nothing said\n", "{}\n", "intents: {default: null}\n"])
def test_what_is_not_said_has_its_default(text: str) -> None:
    assert config_of(text) == Config()
    assert (Config().profile, Config().fail_on, Config().vaults_in) == ("baseline", "high", "same-subscription")
    assert (Config().intents.trust_tags, Config().scope.bundled, Config().strict) == (True, True, False)


SEE = "See docs/configuration.md."


@pytest.mark.parametrize(
    ("text", "fault", "hint"),
    [
        ("strict: true\nselekt: []\n", "2:1: unknown key selekt", "Did you mean select?"),
        ("failon: high\n", "1:1: unknown key failon", "Did you mean fail_on?"),
        ("intents: {defalt: azure}\n", "1:11: unknown key defalt", "Did you mean default?"),
        ("intents:\n  scope: {}\n", "2:3: unknown key scope", "Did you mean scopes?"),
        ("scope:\n  exclud: []\n", "2:3: unknown key exclud", "Did you mean exclude?"),
        ("exports: {tables: []}\n", "1:11: unknown key tables", "Known: complete."),
        ("organisation: ''\n", "1:1: expected str of length >= 1", SEE),
        (f"organisation: {'x' * 201}\n", "1:1: expected str of length <= 200", SEE),
        ("strict: true\norganisation: '  '\n", "2:1: expected str matching regex '\\\\S'", SEE),
        ("organisation: 5\n", "1:1: expected str | null, got int", SEE),
        ("organisation: [a]\n", "1:1: expected str | null, got array", SEE),
        ("organization: K\n", "1:1: unknown key organization", "Did you mean organisation?"),
        ("fail_on: hi\n", "1:1: 'hi' is not one of the allowed values", "Did you mean high?"),
        ("fail_on: none\n", "1:1: 'none' is not one of the allowed values", None),
        ("fail_on: 5\n", "1:1: expected str, got int", SEE),
        ("fail_on:\n", "1:1: expected str, got null", SEE),
        ("profile: basline\n", "1:1: 'basline' is not one of the allowed values", "Did you mean baseline?"),
        ("vaults_in: all\n", "1:1: 'all' is not one of the allowed values", "Known: any, same-subscription."),
        ("strict: yes\n", "1:1: expected bool, got str", SEE),
        ("strict: 1\n", "1:1: expected bool, got int", SEE),
        ("select: vm-protected\n", "1:1: expected array, got str", SEE),
        ("ignore: {a: b}\n", "1:1: expected array, got object", SEE),
        ("select:\n  - a\n  - 5\n", "3:5: expected str, got int", SEE),
        ("rules: [a, [b]]\n", "1:12: expected str, got array", SEE),
        ("outputs: [null]\n", "1:11: expected str, got null", SEE),
        ("intents: azure\n", "1:1: expected object, got str", SEE),
        ("intents: {default: azur}\n", "1:11: 'azur' is not one of the allowed values", "Did you mean azure?"),
        ("intents: {trust_tags: no}\n", "1:11: expected bool, got str", SEE),
        ("intents:\n  scopes: [a]\n", "2:3: expected object, got array", SEE),
        (
            "intents:\n  scopes:\n    /subscriptions/a: zone\n    /subscriptions/b: zon\n",
            "4:5: 'zon' is not one of the allowed values",
            "Did you mean zone?",
        ),
        ("severities:\n  a: high\n  b: hi\n", "3:3: 'hi' is not one of the allowed values", "Did you mean high?"),
        ("severities: {a: 5}\n", "1:14: expected str, got int", SEE),
        ("parameters: {a: 5}\n", "1:14: expected object, got int", SEE),
        (
            "parameters: {a: {x: 1}, b: {x: 1, y: {z: 1}}}\n",
            "1:35: expected bool | float | str | array | null, got object",
            SEE,
        ),
        ("parameters: {a: {x: [b, 5]}}\n", "1:25: expected str, got int", SEE),
        ("scope: []\n", "1:1: expected object, got array", SEE),
        ("scope:\n", "1:1: expected object, got null", SEE),
        ("scope: {bundled: off}\n", "1:9: expected bool, got str", SEE),
        ("scope: {exclude: {a: b}}\n", "1:9: expected array, got object", SEE),
        ("scope: {exclude: [a]}\n", "1:19: expected object, got str", SEE),
        ("exports: {complete: vaults}\n", "1:11: expected array, got str", SEE),
        (
            "exports: {complete: [vaults, vault]}\n",
            "1:30: 'vault' is not one of the allowed values",
            "Did you mean vaults?",
        ),
        ("- a\n", "1:1: expected object, got array", SEE),
        ("text\n", "1:1: expected object, got str", SEE),
        ("fail_on: high\nfail_on: low\n", "2:1: the key fail_on stands twice (first in line 1)", "Keep one of them."),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, fault: str, hint: str | None) -> None:
    ((found, found_hint),) = faults_of(lambda: config_of(text))
    assert found == f"auditor.yaml:{fault}"
    assert hint is None or found_hint == hint


# Scopes of intents


def test_a_scope_is_the_id_of_what_can_hold_vaults() -> None:
    vault = f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v"
    settings = settled(f"""\
intents:
  scopes:
    {SUBSCRIPTION.upper()}/: azure
    {SUBSCRIPTION}/resourcegroups/RG: other
    {vault}: zone
    /providers/Microsoft.Management/managementGroups/Root: azure
""")
    group = f"{SUBSCRIPTION}/resourcegroups/rg"
    root = "/providers/microsoft.management/managementgroups/root"
    assert set(settings.intents.scopes) == {SUBSCRIPTION, group, vault.lower(), root}
    assert {intent for intent, _ in settings.intents.scopes.values()} == {"azure", "other", "zone"}
    assert settings.intents.by_management_group


@pytest.mark.parametrize(
    "scope",
    [
        "production",
        "11111111-1111-1111-1111-111111111111",
        "/subscriptions/",
        "subscriptions/11111111-1111-1111-1111-111111111111",
        f"{SUBSCRIPTION}//resourceGroups/rg",
        "/providers/Microsoft.Compute/virtualMachines",
        # What no vault is below never says anything: a misspelt segment, a resource that is no vault.
        f"{SUBSCRIPTION}/resourceGroup/rg",
        f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm",
        f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vault/v",
        f"{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v/backupPolicies/p",
    ],
)
def test_a_scope_that_no_vault_is_in_is_refused(scope: str) -> None:
    ((fault, hint),) = faults_of(lambda: settled(f"intents:\n  scopes:\n    {scope}: azure\n"))
    assert fault == f"auditor.yaml:3:5: {scope} is not a scope"
    assert hint == "Write the id of a vault, resource group, subscription or management group."


def test_scopes_that_differ_in_letter_case_only_stand_twice() -> None:
    text = f"""\
intents:
  scopes:
    {SUBSCRIPTION}/resourceGroups/rg: azure
    {SUBSCRIPTION}/resourcegroups/RG/: other
    x: zone
"""
    first, second = faults_of(lambda: settled(text))
    twice = f"auditor.yaml:4:5: {SUBSCRIPTION}/resourcegroups/RG/ stands twice (ids ignore letter case)"
    assert first == (twice, "Keep one.")
    assert second[0] == "auditor.yaml:5:5: x is not a scope"


# Flags before configuration before defaults


def test_defaults_hold_where_nothing_is_said() -> None:
    settings = settle(Flags())
    assert [rule.id for rule in settings.rules] == RULES
    assert (settings.config, settings.config_sha256, settings.as_of) == (Config(), None, None)
    assert (settings.complete, settings.intents.default) == (frozenset(), None)
    assert len(settings.exclusions) >= 5


def test_the_configuration_in_the_current_folder_is_found_and_its_bytes_are_known() -> None:
    settings = settled("fail_on: low\n")
    assert settings.config.fail_on == "low"
    assert settings.config_sha256 == hashlib.sha256(b"fail_on: low\n").hexdigest()


def test_a_configuration_that_is_named_must_be_there() -> None:
    message, hint = complaint_of(lambda: settle(Flags(config=Path("none.yaml"))))
    assert (message, hint) == ("cannot read none.yaml: No such file or directory", "Check the path.")
    Path("other.yaml").write_text("fail_on: critical\n")
    assert settled("fail_on: low\n", config=Path("other.yaml")).config.fail_on == "critical"


@pytest.mark.parametrize(
    ("key", "configured", "flag", "given", "default"),
    [
        ("fail_on", "low", "fail_on", "critical", "high"),
        ("profile", "hardened", "profile", "baseline", "baseline"),
        ("select", ["vm-protected"], "select", ["vm-agent-installed"], []),
        ("ignore", ["vm-protected"], "ignore", ["vm-agent-installed"], []),
        ("strict", False, "strict", True, False),
    ],
)
def test_a_flag_goes_before_the_configuration_and_that_before_the_default(
    key: str,
    configured: object,
    flag: str,
    given: object,
    default: object,
) -> None:
    text = f"{key}: {json.dumps(configured)}\n"
    assert getattr(settled().config, key) == default
    assert getattr(settled(text).config, key) == configured
    assert getattr(settled(text, **{flag: given}).config, key) == given


def test_strict_in_the_configuration_needs_no_flag() -> None:
    assert settled("strict: true\n").config.strict


def test_the_primary_endpoint_of_the_command_line_goes_before_that_of_the_configuration() -> None:
    text = "intents: {default: other}\n"
    assert (settled(text).intents.default, settled(text).intents.default_source) == (
        "other",
        "intents.default in auditor.yaml",
    )
    flagged = settled(text, primary_endpoint="zone").intents
    assert (flagged.default, flagged.default_source) == ("zone", "--primary-endpoint")


def test_a_parameter_of_the_command_line_goes_before_that_of_the_configuration() -> None:
    text = "parameters: {vm-protected: {grace_hours: 48, accept: [protected, suspended]}}\n"

    def values(*parameters: str) -> dict[str, object]:
        return dict(
            next(rule for rule in settled(text, parameters=parameters).rules if rule.id == "vm-protected").values
        )

    assert values() == {"grace_hours": 48, "accept": ["protected", "suspended"]}
    assert values("vm-protected.grace_hours=72") == {"grace_hours": 72, "accept": ["protected", "suspended"]}
    assert values("vm-protected.accept=[protected]", "vm-agent-installed.accept=[ready]")["accept"] == ["protected"]
    assert values("vm-protected.grace_hours=1", "vm-protected.grace_hours=2")["grace_hours"] == 2


def test_a_severity_of_the_configuration_goes_before_the_rules_own() -> None:
    severities = {rule.id: rule.severity for rule in settled("severities: {vm-protected: low}\n").rules}
    own = {rule.id: rule.severity for rule in ALL if rule.id in RULES}
    assert severities == own | {"vm-protected": "low"}


def test_rules_are_selected_and_ignored() -> None:
    def ids(**flags: Any) -> list[str]:
        return [rule.id for rule in settled("", **flags).rules]

    assert ids(select=["vm-protected,vm-agent-installed"]) == ["vm-agent-installed", "vm-protected"]
    assert ids(select=["vm-protected", " vm-agent-installed ,"]) == ["vm-agent-installed", "vm-protected"]
    assert ids(ignore=["vm-protected"]) == [rule for rule in RULES if rule != "vm-protected"]
    assert ids(profile="hardened") == [rule.id for rule in ALL]
    assert ids(select=["vm-protected,vm-agent-installed"], ignore=["vm-protected"]) == ["vm-agent-installed"]


def own_rule(name: str, extra: str = "") -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(f"""\
id: {Path(name).stem}
title: T
severity: low
resource: vm
rationale: R
message: m
require: {{field: vm.name, equals: a}}
{extra}""")


def test_ones_own_rules_are_added_those_of_the_configuration_seen_from_its_folder() -> None:
    own_rule("deep/ours/one.yaml")
    own_rule("theirs/two.yaml", "profiles: [hardened]\n")
    Path("deep/auditor.yaml").write_text("rules: [ours]\n")
    settings = settle(Flags(config=Path("deep/auditor.yaml"), rules=[Path("theirs")], profile="hardened"))
    assert {rule.id for rule in settings.rules} == {*(rule.id for rule in ALL), "one", "two"}
    settings = settle(Flags(config=Path("deep/auditor.yaml"), rules=[Path("theirs")]))
    assert {rule.id for rule in settings.rules} == {*RULES, "one"}
    selected = settle(Flags(rules=[Path("theirs")], select=["two"]))
    assert [rule.id for rule in selected.rules] == ["two"]


def test_tables_declared_whole_come_from_both() -> None:
    settings = settled("exports: {complete: [vaults]}\n", complete=["backup_jobs,protected_items"])
    assert settings.complete == {"vaults", "backup_jobs", "protected_items"}


def test_the_time_is_that_of_the_flag() -> None:
    assert settled(as_of="2026-01-31T06:00:00+01:00").as_of == parse_time("2026-01-31T05:00:00Z")


def test_exclusions_are_the_bundled_ones_and_then_ones_own() -> None:
    own = "scope: {exclude: [{reason: Mine, field: vm.name, like: 'bld-*'}]}\n"
    both = settled(own).exclusions
    assert [exclusion.reason for exclusion in both][-1] == "Mine"
    assert len(both) == len(settled().exclusions) + 1
    alone = settled("scope:\n  bundled: false\n  exclude: [{reason: Mine, field: vm.name, equals: a}]\n").exclusions
    assert [exclusion.reason for exclusion in alone] == ["Mine"]
    assert settled("scope: {bundled: false}\n").exclusions == ()


# What names something that is not there


def test_unknown_rules_with_parameters_or_severities_are_told_at_once_with_their_places() -> None:
    text = "parameters:\n  vm-protectd: {grace_hours: 1}\nseverities:\n  zzz: low\n  vm-agent: low\n"
    assert faults_of(lambda: settled(text)) == [
        ("auditor.yaml:2:3: there is no rule vm-protectd", "Did you mean vm-protected?"),
        ("auditor.yaml:4:3: there is no rule zzz", ""),
        ("auditor.yaml:5:3: there is no rule vm-agent", "Did you mean vm-agent-installed?"),
    ]


@pytest.mark.parametrize("key", ["select", "ignore"])
def test_an_unknown_rule_to_select_or_ignore_is_refused(key: str) -> None:
    wanted = ("there is no rule vm-protectd", "Did you mean vm-protected?")
    flags: dict[str, Any] = {key: ["vm-protectd"]}
    assert complaint_of(lambda: settled(**flags)) == wanted
    message, hint = complaint_of(lambda: settled(f"{key}: [vm-protectd]\n"))
    assert message.endswith(wanted[0])
    assert hint == wanted[1]


def test_ignoring_every_rule_is_refused() -> None:
    message, _ = complaint_of(lambda: settled(ignore=RULES))
    assert message == "no rule is left to run"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{vm-protected: {grace: 1}}", "vm-protected has no parameter grace", None),
        (
            "{vm-protected: {grace_hours: many}}",
            "vm-protected: grace_hours is of type number, and 'many' is not",
            None,
        ),
        (
            "{vm-protected: {accept: [protectd]}}",
            'vm-protected.accept: item.state is never "protectd"',
            "Did you mean protected?",
        ),
    ],
)
def test_a_value_in_the_configuration_that_does_not_fit_is_refused(text: str, message: str, hint: str | None) -> None:
    found, found_hint = complaint_of(lambda: settled(f"fail_on: low\nparameters: {text}\n"))
    assert found == f"auditor.yaml:2:14: {message}"
    assert hint is None or found_hint == hint


@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        ({"profile": "basic"}, "--profile is never basic", "Did you mean baseline?"),
        ({"fail_on": "hi"}, "--fail-on is never hi", "Did you mean high?"),
        ({"fail_on": ""}, "--fail-on is never ", None),
        ({"primary_endpoint": "azur"}, "--primary-endpoint is never azur", "Did you mean azure?"),
        ({"complete": ["vault"]}, "--complete is never vault", "Did you mean vaults?"),
        ({"as_of": "2026-01-31"}, "--as-of 2026-01-31 is not a time with a zone", "Write it as 2026-01-31T06:00:00Z."),
        ({"as_of": "2026-01-31T06:00:00"}, "--as-of 2026-01-31T06:00:00 is not a time with a zone", None),
        ({"parameters": ["vm-protected"]}, "--param vm-protected is not RULE.NAME=VALUE", None),
        ({"parameters": ["vm-protected.=1"]}, "--param vm-protected.=1 is not RULE.NAME=VALUE", None),
        ({"parameters": ["grace_hours=1"]}, "--param grace_hours=1 is not RULE.NAME=VALUE", None),
        (
            {"parameters": ["vm-protectd.a=1"]},
            "--param vm-protectd.a=1: there is no rule vm-protectd",
            "Did you mean vm-protected?",
        ),
        ({"parameters": ["vm-protected.a=1"]}, "--param: vm-protected has no parameter a", None),
        (
            {"parameters": ["vm-protected.grace_hours={a: 1}"]},
            "--param vm-protected.grace_hours={a: 1}: a parameter is no mapping",
            None,
        ),
        (
            {"parameters": ["vm-protected.grace_hours="]},
            "--param: vm-protected: grace_hours is of type number, and None is not",
            None,
        ),
    ],
)
def test_a_flag_that_says_what_cannot_be_is_refused(flags: dict[str, Any], message: str, hint: str | None) -> None:
    found, found_hint = complaint_of(lambda: settled(**flags))
    assert found == message
    assert hint is None or found_hint == hint


def test_a_parameter_of_the_command_line_that_is_not_yaml_is_refused_under_its_name() -> None:
    ((fault, _),) = faults_of(lambda: settled(parameters=["vm-protected.accept=[a"]))
    assert fault.startswith("--param vm-protected.accept:")


def test_an_exclusion_of_the_configuration_that_is_wrong_is_told_with_its_place() -> None:
    text = "scope:\n  exclude:\n    - {field: vm.nme, equals: a}\n"
    assert [fault for fault, _ in faults_of(lambda: settled(text))] == [
        "auditor.yaml:3:7: an exclusion needs a reason",
        "auditor.yaml:3:8: unknown field vm.nme",
    ]


def test_an_excluded_resource_is_not_judged_and_one_that_may_be_meant_is() -> None:
    text = "scope: {exclude: [{reason: Agents, field: {tag: role}, equals: agent}]}\n"
    found = (
        estate()
        .vm("out", tags={"Role": "AGENT"})
        .vm("in", tags={"role": "web"})
        .vm("unread", tags="none")
        .whole()
        .audit(config=text)
    )
    assert [found.outcome("vm-protected", name) for name in ("out", "in", "unread")] == [
        "not-applicable",
        "fail",
        "fail",
    ]
    (excluded,) = found.report.coverage.excluded
    assert (excluded.reason, excluded.declared_in, excluded.count) == ("Agents", "auditor.yaml:1", 1)


# JSON Schemas of the same files


def test_the_published_schemas_are_schemas() -> None:
    for make in SCHEMAS.values():
        Draft202012Validator.check_schema(make())


def test_the_schema_of_the_configuration_accepts_the_example_and_refuses_a_misspelt_key() -> None:
    validator = Draft202012Validator(config_schema())
    example: Any = read_yaml(ROOT / "examples" / "auditor.yaml").value
    assert list(validator.iter_errors(example)) == []
    assert not validator.is_valid({**example, "failon": "high"})
    assert not validator.is_valid({**example, "fail_on": "hi"})
    assert not validator.is_valid({**example, "intents": {"defalt": "azure"}})
    assert not validator.is_valid({"scope": {"exclude": [{"field": "vm.name", "equals": "a"}]}})
    assert not validator.is_valid({"scope": {"exclude": [{"reason": "r", "field": "vm.nme", "equals": "a"}]}})


@pytest.mark.parametrize("file", bundled_files(), ids=lambda file: file.shown)
def test_the_schema_of_rules_accepts_a_bundled_rule_and_refuses_a_misspelt_key(file: Any) -> None:
    validator = Draft202012Validator(rule_schema())
    rule: Any = read_yaml(file.path).value
    assert list(validator.iter_errors(rule)) == []
    assert not validator.is_valid({**rule, "titel": "T"})
    assert not validator.is_valid({**rule, "severity": "hi"})
    assert not validator.is_valid({**rule, "require": {"field": "vm.agnt", "equals": "ready"}})
    assert not validator.is_valid({**rule, "require": {"field": "vm.agent", "equal": "ready"}})
    assert not validator.is_valid({**rule, "require": {"anyOf": []}})
    assert not validator.is_valid({key: value for key, value in rule.items() if key != "require"})


@pytest.mark.parametrize("file", bundled_files(), ids=lambda file: file.shown)
def test_the_schema_of_cases_accepts_those_of_a_bundled_rule_and_refuses_a_misspelt_key(file: Any) -> None:
    validator = Draft202012Validator(cases_schema())
    cases: Any = read_yaml(bundled("rules") / "cases" / Path(file.shown).name).value
    assert list(validator.iter_errors(cases)) == []
    assert not validator.is_valid({"cases": [{"name": "n", "outcome": "passes"}]})
    assert not validator.is_valid({"cases": [{"name": "n", "outcome": "pass", "vm": {"nam": "a"}}]})
    assert not validator.is_valid({"cases": []})


def test_objectives_by_tag_are_positive_and_each_value_stands_once() -> None:
    rpo = settled("rpo: {tag: tier, hours: {gold: 4, silver: 24.5}}\n").config.rpo
    assert rpo is not None
    assert (rpo.tag, rpo.hours) == ("tier", {"gold": 4, "silver": 24.5})
    for text, place in (
        ("rpo: {tag: tier, hours: {gold: 4, silver: 0}}\n", "auditor.yaml:1:35"),
        ("rpo: {tag: tier, hours: {gold: 4, GOLD: 8}}\n", "auditor.yaml:1:35"),
        ("rpo: {tag: tier, hours: {}}\n", "auditor.yaml:1:18"),
        ("rpo: {tag: tier}\n", "auditor.yaml:1:1"),
    ):
        ((fault, _),) = faults_of(functools.partial(settled, text))
        assert fault.startswith(f"{place}: "), fault
