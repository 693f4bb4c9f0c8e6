"""What the documentation claims is true: outputs are real, links lead somewhere, examples are accepted."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from auditor.cli.question import Flags, settle
from auditor.formats.from_json import read_report
from auditor.ruleset.load import load_rules, own_files

REPOSITORY = Path(__file__).resolve().parent.parent
AUDITOR = str(Path(sys.executable).parent / "auditor")
PAGES = sorted(
    path for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("*/*.md")]
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_readme_shows_what_its_command_prints() -> None:
    (block,) = blocks(REPOSITORY / "README.md", "console")
    command, *shown = block.splitlines()
    words = shlex.split(command.removeprefix("$ "))
    result = subprocess.run([AUDITOR, *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    printed = result.stdout.splitlines()
    positions = [printed.index(line) for line in shown if line]
    assert positions == sorted(positions)


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) < 200


def test_every_command_of_auditor_in_the_pages_has_known_flags() -> None:
    known = set()
    for command in (
        ["audit"],
        ["collect"],
        ["render"],
        ["explain"],
        ["diff"],
        ["exemptions"],
        ["rules", "list"],
        ["rules", "check"],
        ["rules", "test"],
        ["rules", "show"],
        ["rules", "docs"],
    ):
        text = subprocess.run([AUDITOR, *command, "--help"], capture_output=True, text=True, check=True).stdout
        known |= set(re.findall(r"--?[a-z][a-z-]*", text))
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if re.match(r"(\$ )?auditor (audit|collect|render|explain|diff|exemptions|rules) ", line):
                flags = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", line.partition("#")[0]))
                assert flags <= known, f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_example_configuration_is_accepted(tmp_path: Path) -> None:
    (block,) = blocks(REPOSITORY / "docs" / "configuration.md", "yaml")
    (tmp_path / "our-rules").mkdir()
    (rule, _) = blocks(REPOSITORY / "docs" / "writing-rules.md", "yaml")
    (tmp_path / "our-rules" / "vm-has-owner.yaml").write_text(rule)
    (tmp_path / "auditor.yaml").write_text(block)
    (tmp_path / "exemptions.yaml").write_text("")
    settings = settle(Flags(config=tmp_path / "auditor.yaml"))
    assert "vm-has-owner" in [rule.id for rule in settings.rules]
    assert settings.exclusions[-1].reason == "Build agents are made anew every night"


def test_the_example_exemptions_are_accepted(tmp_path: Path) -> None:
    (block,) = blocks(REPOSITORY / "docs" / "exemptions.md", "yaml")
    (tmp_path / "exemptions.yaml").write_text(block)
    settings = settle(Flags(exemptions=tmp_path / "exemptions.yaml", as_of="2026-01-31T06:00:00Z"))
    assert [entry.id for entry in settings.exemptions.entries] == ["EX-12", "EX-13"]


def test_the_exemptions_of_the_example_stand_as_its_page_says(tmp_path: Path) -> None:
    command = "auditor audit --inventory examples/estate --config examples/auditor.yaml --as-of 2026-11-02T06:00:00Z"
    asked = [*shlex.split(command)[1:], "--exemptions", "examples/exemptions.yaml", "-o", str(tmp_path / "r.json")]
    subprocess.run([AUDITOR, *asked], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    report = read_report(tmp_path / "r.json")
    standing = {entry.id: (entry.status, entry.matched, entry.exempted) for entry in report.exemptions}
    assert standing == {
        "EX-2026-002": ("expired", 1, 0),
        "EX-2026-011": ("active", 1, 1),
        "EX-2026-014": ("expiring", 2, 2),
    }


def test_the_example_rule_passes_its_example_cases(tmp_path: Path) -> None:
    rule, cases = blocks(REPOSITORY / "docs" / "writing-rules.md", "yaml")
    (tmp_path / "cases").mkdir()
    (tmp_path / "vm-has-owner.yaml").write_text(rule)
    (tmp_path / "cases" / "vm-has-owner.yaml").write_text(cases)
    assert len(load_rules(own_files([tmp_path]))) == 1
    result = subprocess.run([AUDITOR, "rules", "test", str(tmp_path)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "3 cases passed, 0 failed\n")


def test_the_rule_in_the_readme_is_the_bundled_one() -> None:
    block = blocks(REPOSITORY / "README.md", "yaml")[0]
    shown = yaml.safe_load(block)
    bundled = yaml.safe_load((REPOSITORY / "rules" / "vm-protected.yaml").read_text(encoding="utf-8"))
    assert shown == {name: bundled[name] for name in shown}


def test_every_bundled_rule_is_in_the_readme() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for rule in (REPOSITORY / "rules").glob("*.yaml"):
        assert f"(docs/rules/{rule.stem}.md)" in text
