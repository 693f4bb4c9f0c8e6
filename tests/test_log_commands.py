"""Nothing that is printed is a command to the pipeline in whose log it ends up.

GitHub Actions takes them from lines that begin with ``::`` and, of the older kind, from ``##[`` anywhere in a line;
Azure Pipelines from ``##vso[`` anywhere.
"""

import io
import json
from functools import cache
from pathlib import Path

import msgspec
import pytest
from building import estate
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from test_command import run

from auditor.assessment.model import Report
from auditor.formats import as_json
from auditor.formats.terminal import print_summary
from auditor.text import printable, visible

COMMANDS = (
    "::set-output name=x::y",
    " ::stop-commands::x",
    "::add-mask::web",
    "##[set-env name=PATH;]x",
    "##vso[task.setvariable variable=x]y",
    "##vso[task.complete result=Succeeded;]",
    "##[error]x",
    "###[group]x",
    ":::error::x",
)


def assert_no_command(text: str) -> None:
    for line in text.splitlines():
        assert not line.strip().startswith("::"), line
        assert "##" not in line, line


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed_can_still_be_read(command: str) -> None:
    shown = printable(f"a {command}")
    assert_no_command(printable(command))
    assert shown.replace("\\u{003A}", ":").replace("\\u{0023}", "#") == f"a {command}"


@given(st.text(alphabet=":#[]\n\x1b a\u2028"))
def test_no_text_is_a_command(text: str) -> None:
    assert_no_command(printable(text))
    assert printable(text) == visible(text) or "::" in text or "##" in text


@pytest.mark.parametrize("environment", [{"GITHUB_ACTIONS": "true", "CI": "true"}, {"FORCE_COLOR": "1"}])
def test_no_name_in_an_estate_commands_a_pipeline(tmp_path: Path, environment: dict[str, str]) -> None:
    built = estate()
    for command in COMMANDS:
        built.vault(command).vm(command, tags={command: command}).policy(command).item(command)
    (tmp_path / "estate.json").write_text(json.dumps({"value": built.whole().resources}))
    flags = ["--inventory", "estate.json", "--as-of", "2026-06-15T12:00:00Z"]
    result = run("audit", *flags, "-o", "r.json", folder=tmp_path, **environment)
    assert result.returncode in (1, 3)
    assert_no_command(result.stdout + result.stderr)
    assert any(printable(command) in result.stdout for command in COMMANDS)
    for arguments in (["audit", *flags, "-o", "-"], ["explain", COMMANDS[3], *flags], ["diff", "r.json", "r.json"]):
        result = run(*arguments, folder=tmp_path, **environment)
        assert_no_command(result.stdout + result.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "--inventory", "##vso[x]"],
        ["audit", "--inventory", "x", "-o", "##[x]"],
        ["render", "a\n::x", "-o", "x.csv"],
        ["rules", "check", "rules"],
        ["##vso[x]"],
    ],
)
def test_no_name_of_a_file_or_a_flag_commands_a_pipeline(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.yaml").write_text(json.dumps({"id": "own", "title": "##[x]", "##vso[x]\n::x": 1}))
    result = run(*arguments, folder=tmp_path)
    assert result.returncode == 2
    assert_no_command(result.stdout + result.stderr)


@cache
def unprotected() -> Report:
    return estate().vm("web").audit(select=["vm-protected"]).report


@settings(max_examples=examples(30))
@given(command=st.sampled_from(COMMANDS), width=st.integers(10, 90))
def test_wrapping_begins_no_line_with_a_command(command: str, width: int) -> None:
    base = unprotected()
    gate = msgspec.structs.replace(base.summary.gate, reasons=[f"{'x ' * 30}{command}"])
    summary = msgspec.structs.replace(base.summary, gate=gate, sentence=f"{'y ' * 37}{command}")
    report = msgspec.structs.replace(base, summary=summary)
    file = io.StringIO()
    print_summary(report, Console(file=file, force_terminal=True, color_system=None, width=width), [])
    assert_no_command(file.getvalue())


def test_json_holds_the_same_text_and_no_command() -> None:
    base = estate().vm("web", tags={"##vso[x]": "::x"}).vm("##[a]\\##").audit().report
    file = io.BytesIO()
    as_json.write(base, file)
    assert b"##" not in file.getvalue()
    assert msgspec.json.decode(file.getvalue(), type=Report) == base
