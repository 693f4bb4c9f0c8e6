"""Annotations: read back as the platforms read them, they say the worst of the report, and nothing else."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from building import estate
from effort import examples
from forging import gated_reports
from hypothesis import given, settings
from hypothesis import strategies as st
from test_command import EXAMPLE, REPOSITORY, assert_one_error, run
from test_log_commands import COMMANDS

from auditor.assessment.model import Report
from auditor.formats.annotations import MOST, PLATFORMS, azure_devops, github
from auditor.formats.from_json import read_report
from auditor.text import printable


@dataclass(frozen=True)
class Command:
    """A command as a platform's agent understands it."""

    name: str
    properties: dict[str, str]
    text: str


def read_github(line: str) -> Command:
    """Read a line as actions/runner does: what stands between two colons, and what comes after the next two."""
    assert line.lstrip().startswith("::")
    head, text = line.lstrip()[2:].split("::", 1)
    name, _, rest = head.partition(" ")
    properties = dict(part.split("=", 1) for part in rest.split(",") if part)
    for mark, char in (("%3A", ":"), ("%2C", ",")):
        properties = {key: value.replace(mark, char) for key, value in properties.items()}
    properties = {key: _decoded(value) for key, value in properties.items()}
    return Command(name, properties, _decoded(text))


def _decoded(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def read_azure_devops(line: str) -> Command:
    """Read a line as the agent of Azure Pipelines does: from the first ``##vso[`` to the next ``]``, and the rest."""
    head, text = line[line.index("##vso[") + 6 :].split("]", 1)
    name, _, rest = head.partition(" ")
    properties = dict(part.split("=", 1) for part in rest.split(";") if part)
    for mark, char in (("%3B", ";"), ("%5D", "]"), ("%0D", "\r"), ("%0A", "\n"), ("%AZP25", "%")):
        properties = {key: value.replace(mark, char) for key, value in properties.items()}
    return Command(name, properties, text.replace("%0D", "\r").replace("%0A", "\n").replace("%AZP25", "%"))


READERS: dict[str, Callable[[str], Command]] = {"github": read_github, "azure-devops": read_azure_devops}
LEVELS = {"github": {"error", "warning", "notice"}, "azure-devops": {"error", "warning"}}


def levels(report: Report, platform: str) -> list[str]:
    commands = [READERS[platform](line) for line in PLATFORMS[platform](report)]
    return [command.properties.get("type", command.name) for command in commands if command.name != "task.complete"]


@pytest.fixture(scope="module")
def mixed() -> Report:
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    return built.audit().report


def only(report: Report, count: int, **changes: object) -> Report:
    """Return a report with so many findings like its first one, and no gaps."""
    findings = [msgspec.structs.replace(report.findings[0], **changes) for _ in range(count)]
    return msgspec.structs.replace(report, findings=findings, gaps=[])


@pytest.mark.parametrize("platform", list(PLATFORMS))
def test_the_worst_findings_are_said_of_the_line_of_their_rule(mixed: Report, platform: str) -> None:
    lines = [READERS[platform](line) for line in PLATFORMS[platform](mixed)]
    first = next(command for command in lines if command.properties.get("file") or command.properties.get("sourcepath"))
    finding = mixed.findings[0]
    place = {"file": "file", "line": "line"} if platform == "github" else {"file": "sourcepath", "line": "linenumber"}
    assert first.properties[place["file"]] == f"rules/{finding.rule}.yaml"
    assert first.properties[place["line"]] == "1"
    assert finding.message in first.text
    assert next(entry.name for entry in mixed.resources if entry.id == finding.resource) in first.text


@pytest.mark.parametrize(
    ("outcome", "severity", "level"),
    [
        ("fail", "critical", "error"),
        ("fail", "high", "error"),
        ("fail", "medium", "warning"),
        ("fail", "low", "notice"),
        ("unknown", "critical", "warning"),
        ("unknown", "low", "notice"),
    ],
)
def test_the_level_follows_severity_and_an_unknown_is_never_left_out(
    mixed: Report, outcome: str, severity: str, level: str
) -> None:
    report = only(mixed, 1, outcome=outcome, severity=severity)
    assert levels(report, "github") == [level]
    assert levels(report, "azure-devops") == ["warning" if level == "notice" else level]


@pytest.mark.parametrize("platform", list(PLATFORMS))
def test_exempt_findings_are_not_shown(mixed: Report, platform: str) -> None:
    assert levels(only(mixed, 3, exempt=True), platform) == []


@pytest.mark.parametrize("platform", list(PLATFORMS))
@pytest.mark.parametrize(("count", "left"), [(MOST - 1, 0), (MOST, 0), (MOST + 1, 2), (1_234, 1_225)])
def test_no_more_are_printed_than_are_shown_and_the_last_says_how_many_more(
    mixed: Report, platform: str, count: int, left: int
) -> None:
    lines = [line for line in PLATFORMS[platform](only(mixed, count)) if "task.complete" not in line]
    assert len(lines) == min(count, MOST)
    said = re.findall(r"([\d,]+) more of this level", lines[-1])
    assert said == ([f"{left:,}"] if left else [])


def test_what_is_new_comes_before_what_was_there(mixed: Report) -> None:
    old = [msgspec.structs.replace(mixed.findings[0], baseline="unchanged") for _ in range(50)]
    new = msgspec.structs.replace(mixed.findings[0], severity="high", baseline="new")
    lines = list(github(msgspec.structs.replace(mixed, findings=[*old, new], gaps=[])))
    assert "(new, high)" in lines[0]
    assert sum("new, " in line for line in lines) == 1


@pytest.mark.parametrize("platform", list(PLATFORMS))
def test_what_allows_no_conclusion_is_said(platform: str) -> None:
    report = estate().audit().report
    assert report.summary.gate.exit_code == 3
    first, second = (READERS[platform](line) for line in PLATFORMS[platform](report))
    assert (first.properties.get("type", first.name), "nothing was found" in first.text) == ("error", True)
    assert (second.properties.get("type", second.name), report.gaps[0].cause in second.text) == ("warning", True)
    off = estate().audit(fail_on="never").report
    assert levels(off, platform) == ["warning", "warning"]


def test_a_step_that_passes_does_not_look_clean_when_it_is_not(mixed: Report) -> None:
    complete = "##vso[task.complete result=SucceededWithIssues;]"
    assert complete not in list(azure_devops(mixed))  # it fails by its exit code
    passing = msgspec.structs.replace(
        mixed, summary=msgspec.structs.replace(mixed.summary, gate=estate().audit(fail_on="never").report.summary.gate)
    )
    assert list(azure_devops(passing))[-1] == complete
    clean = estate().vault().policy().vm("web").item("web").whole().audit(select=["vm-protected"]).report
    assert (clean.summary.gate.exit_code, list(azure_devops(clean)), list(github(clean))) == (0, [], [])


@settings(max_examples=examples(40))
@given(data=st.data(), platform=st.sampled_from(list(PLATFORMS)))
def test_any_text_is_read_back_and_gives_no_other_command(mixed: Report, data: st.DataObject, platform: str) -> None:
    report = data.draw(gated_reports(mixed))
    command = data.draw(st.sampled_from(COMMANDS))
    findings = [msgspec.structs.replace(found, message=f"{command}{found.message}%0A;],:") for found in report.findings]
    rules = [msgspec.structs.replace(rule, file=f"a,b;c]d%25:{command}.yaml") for rule in report.rules]
    report = msgspec.structs.replace(report, findings=findings, rules=rules)
    said = []
    for line in PLATFORMS[platform](report):
        assert "\n" not in line
        assert not set(line) & set("\r\x1b\u2028\x85")
        read = READERS[platform](line)
        assert read.name in {*LEVELS["github"], "task.logissue", "task.complete"}
        assert read.properties.keys() <= {"file", "line", "title", "type", "sourcepath", "linenumber", "result"}
        rest = line.split("::", 2)[2] if platform == "github" else line.split("]", 1)[1]
        assert "::" not in rest
        assert "##" not in rest
        if "file" in read.properties or "sourcepath" in read.properties:
            path = read.properties.get("file") or read.properties["sourcepath"]
            assert path == printable(f"rules/{rules[0].file}")
            said.append(read.text)
    shown = [finding for finding in findings if not finding.exempt]
    assert len(said) >= min(len(shown), MOST - 3)
    for text in said:
        assert any(printable(finding.message) in text for finding in shown)


def test_the_command_prints_them_after_the_summary(tmp_path: Path) -> None:
    exemptions = ["--exemptions", str(REPOSITORY / "examples" / "exemptions.yaml")]
    result = run("audit", *EXAMPLE, *exemptions, "-o", "r.json", "--annotations", "github", folder=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    expected = list(github(read_report(tmp_path / "r.json")))
    assert lines[-len(expected) :] == expected
    assert not any(line.startswith("::") for line in lines[: -len(expected)])
    again = run("render", "r.json", "--annotations", "github", folder=tmp_path)
    assert (again.returncode, again.stdout.splitlines()) == (0, expected)
    piped = run("render", "r.json", "-o", "-", "--annotations", "azure-devops", folder=tmp_path)
    assert piped.stderr.splitlines() == list(azure_devops(read_report(tmp_path / "r.json")))
    assert json.loads(piped.stdout)["schema_version"] == "1.0"
    brief = run("audit", *EXAMPLE, "-o", "v.parquet", "--annotations", "github", folder=tmp_path)
    assert "::error " in brief.stdout


def test_a_platform_that_is_not_known_is_an_error(tmp_path: Path) -> None:
    assert_one_error(
        run("audit", "--inventory", "x", "--annotations", "gitlab", folder=tmp_path), 2, "gitlab", "github"
    )
    assert_one_error(run("render", "x", "--annotations", "GitHub", folder=tmp_path), 2, "GitHub")
