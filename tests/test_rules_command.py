"""``auditor rules``: everything wrong at once, branches that no case decides, and what a rule compiles to."""

from pathlib import Path

import pytest
from test_command import assert_one_error, run

from auditor.cli import rules
from auditor.errors import InputErrors, UsageError
from auditor.timestamps import parse_time

HEAD = "id: {id}\ntitle: T\nseverity: low\nresource: vm\nrationale: R\nmessage: m\n"


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def checked(*paths: str) -> list[str]:
    with pytest.raises(InputErrors) as caught:
        rules.check_rules([Path(path) for path in paths])
    return [str(fault) for fault in caught.value.faults]


# Check


def test_all_faults_of_all_rules_and_of_their_cases_come_at_once() -> None:
    write("ours/one.yaml", HEAD.format(id="one") + "require: {anyOf: [{field: vm.nme, equals: a}, {field: vm.name}]}\n")
    write("ours/cases/one.yaml", "cases:\n- {name: n, outcome: ok, vm: {nam: a}}\n- {name: n, parameters: {p: 1}}\n")
    write("ours/two.yaml", HEAD.format(id="two") + "require: {field: vm.name, equals: a}\n")
    write("ours/cases/two.yaml", "cases:\n- {name: n, outcome: pass, parameters: {p: 1}, item: {stat: a}}\n")
    write("ours/three.yaml", "a: [\n")
    write("more/four.yml", HEAD.format(id="for") + "require: {field: vm.name, equals: 5}\n")
    write("more/cases/four.yml", "cases: []\n")
    assert checked("ours", "more") == [
        "more/cases/four.yml:1:1: a file of cases has a list called cases",
        "more/four.yml:1:1: the id for is not the name of the file",
        "more/four.yml:7:27: 5 is not text",
        "ours/cases/one.yaml:2:13: outcome is never ok",
        "ours/cases/one.yaml:2:31: unknown field vm.nam",
        "ours/cases/one.yaml:3:3: outcome is never None",
        "ours/cases/two.yaml:2:41: two has no parameter p",
        "ours/cases/two.yaml:2:55: unknown field item.stat",
        "ours/one.yaml:7:20: unknown field vm.nme",
        "ours/one.yaml:7:47: a condition needs one word, and has 0",
        "ours/three.yaml:2:1: not YAML: did not find expected node content",
    ]


def test_the_command_prints_every_fault_with_its_hint_and_exits_with_2(tmp_path: Path) -> None:
    write("ours/r.yaml", HEAD.format(id="r") + "require: {field: vm.agnt, equals: ready}\n")
    write("ours/cases/r.yaml", "cases: [{name: n, outcome: passes}]\n")
    result = run("rules", "check", "ours", folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "error: ours/cases/r.yaml:1:19: outcome is never passes\n  hint: Did you mean pass?\n"
        "error: ours/r.yaml:7:11: unknown field vm.agnt\n  hint: Did you mean vm.agent?\n"
    )


def test_cases_that_no_rule_stands_beside_are_told() -> None:
    write("ours/vm-named.yaml", HEAD.format(id="vm-named") + "require: {field: vm.name, equals: a}\n")
    write("ours/cases/vm-name.yaml", "cases: [{name: n, outcome: pass, vm: {name: a}}]\n")
    told = ["ours/cases/vm-name.yaml:1:1: there is no rule vm-name beside the folder cases"]
    assert checked("ours") == checked("ours/vm-named.yaml") == told
    with pytest.raises(InputErrors) as caught:
        rules.test_rules([Path("ours")])
    assert ([str(fault) for fault in caught.value.faults], caught.value.hint) == (told, "Did you mean vm-named?")


# Test


BRANCHED = """\
require:
  anyOf:
    - {field: vm.name, equals: a}
    - {field: vm.location, equals: "b::c"}
"""
CASES = """\
cases:
- {name: a, outcome: pass, vm: {name: a, location: x}}
- {name: b, outcome: fail, vm: {name: b, location: x}}
- {name: c, outcome: unknown, vm: {name: b}}
"""


def test_branches_that_no_case_decides_are_named_and_fail_nothing(tmp_path: Path) -> None:
    write("ours/r.yaml", HEAD.format(id="r") + BRANCHED)
    write("ours/cases/r.yaml", CASES)
    result = run("rules", "test", "ours", folder=tmp_path)
    assert (result.returncode, result.stdout) == (
        0,
        "r: no case makes require.anyOf[1] true (ours/r.yaml:10:7)\n3 cases passed, 0 failed\n",
    )


# Show


def shown(capsys: pytest.CaptureFixture[str], *arguments: object, **said: object) -> str:
    rules.show_rule(*arguments, **said)  # type: ignore[arg-type]  # as it was given
    return capsys.readouterr().out


def test_a_rule_is_shown_with_the_values_of_a_profile(capsys: pytest.CaptureFixture[str]) -> None:
    plain = shown(capsys, "vm-agent-installed")
    assert '  accept (list<string>) = ["ready", "declared"]' in plain
    assert '    in the profile hardened: ["ready"]' in plain
    assert '  values: ["ready", "declared"' in plain
    hardened = shown(capsys, "vm-agent-installed", profile="hardened")
    assert '  accept (list<string>) = ["ready"]' in hardened
    assert '    ["ready", "declared"] by default' in hardened
    assert '"declared"' not in hardened.partition("as SQL")[2]


def test_a_rule_is_shown_with_other_parameters_and_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    plain = shown(capsys, "vm-protected")
    assert plain.rstrip().endswith("--as-of TIME says it.")
    text = shown(capsys, "vm-protected", param=["vm-protected.grace_hours=48"], as_of="2026-01-03T00:00:00Z")
    assert "vm.created later than 48 hours ago (parameter grace_hours)" in text
    assert '(vm."created" > CAST(? AS BIGINT))' in text
    now = parse_time("2026-01-03T00:00:00Z") or 0
    assert f'  values: ["protected", {now - 48 * 3_600_000_000}, {now}, ' in text
    assert "--as-of" not in text
    assert "--as-of" not in shown(capsys, "policy-runs-per-day")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"profile": "hardend"}, "--profile is never hardend"),
        ({"param": ["vm-protected.grace=1"]}, "--param: vm-protected has no parameter grace"),
        ({"as_of": "yesterday"}, "--as-of yesterday is not a time with a zone"),
    ],
)
def test_what_cannot_be_shown_is_said(said: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        rules.show_rule("vm-protected", **said)  # type: ignore[arg-type]  # as it was given
    assert caught.value.message == message


def test_hostile_text_of_a_rule_reaches_no_terminal_as_it_is(tmp_path: Path) -> None:
    hostile = r"\e[31m\u202e::error::x ##vso[a]\nb \u00fc"
    text = f'id: r\ntitle: "{hostile}"\nseverity: low\nresource: vm\nrationale: "{hostile}"\nmessage: "{hostile}"\n'
    text += f'fix: "{hostile}"\nparameters:\n  p: {{type: string, default: "{hostile}", description: "{hostile}"}}\n'
    text += f'applies: {{field: {{tag: "{hostile}\'; DROP"}}, equals: "{hostile}"}}\n'
    write("ours/r.yaml", f"{text}require: {{field: vm.name, equals: {{parameter: p}}}}\n")
    result = run("rules", "show", "r", "--rules", "ours", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    for sign in ("\x1b", "\u202e", "::error", "##vso"):
        assert sign not in result.stdout
    assert "ü" in result.stdout
    sql = [line for line in result.stdout.splitlines() if " as SQL: " in line]
    assert len(sql) == 2
    assert "DROP" not in "".join(sql)
    assert not [line for line in result.stdout.splitlines() if line.startswith("b ")]
    listed = run("rules", "list", "--rules", "ours", folder=tmp_path)
    assert "\x1b" not in listed.stdout


def test_a_rule_that_there_is_not_is_said(tmp_path: Path) -> None:
    assert_one_error(run("rules", "show", "vm-protectd", folder=tmp_path), 2, "Did you mean vm-protected?")
