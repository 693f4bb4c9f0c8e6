"""``auditor init``: what it writes is sound, and what was there stays."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from test_command import EXAMPLE, REPOSITORY, assert_one_error, run

from auditor.atomic_file import atomic_file
from auditor.cli import init as command
from auditor.cli import rules
from auditor.cli.question import Flags, settle
from auditor.errors import UsageError
from auditor.yaml_source import read_yaml

BIN = Path(sys.executable).parent
COMMON = {
    "auditor.yaml",
    "exemptions.yaml",
    "rules/vm-has-owner.yaml",
    "rules/cases/vm-has-owner.yaml",
    *(f"schemas/{name}.schema.json" for name in ("rule", "cases", "config", "exemptions")),
}
PLATFORMS = {
    "github": "vendor.github-workflows",
    "azure-devops": "vendor.azure-pipelines",
    "gitlab": "vendor.gitlab-ci",
}
RECIPES = {"github": "github-workflow.yml", "azure-devops": "azure-pipelines.yml", "gitlab": "gitlab-ci.yml"}


def files_in(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def accepted(schema: list[str], path: Path) -> bool:
    check = [str(BIN / "check-jsonschema"), "--regex-variant", "nonunicode", *schema, str(path)]
    return subprocess.run(check, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    result = run("init", folder=folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert {line.removeprefix("Wrote ") for line in result.stdout.splitlines() if line.startswith("Wrote ")} == set(
        files_in(folder)
    )
    return folder


def test_it_writes_settings_a_rule_with_cases_exemptions_schemas_and_a_workflow(begun: Path) -> None:
    assert set(files_in(begun)) == COMMON | {".github/workflows/backup-audit.yml"}


def test_what_it_writes_passes_the_checks_and_the_cases_decide_every_branch(begun: Path) -> None:
    checked, tested = (run("rules", name, "rules", folder=begun) for name in ("check", "test"))
    assert (checked.returncode, checked.stdout) == (0, "1 rule without errors\n")
    assert (tested.returncode, tested.stdout) == (0, "6 cases passed, 0 failed\n")
    listed = run("exemptions", "--config", "auditor.yaml", folder=begun)
    assert (listed.returncode, listed.stdout) == (0, "0 exemptions\n")


def test_an_audit_of_the_example_works_with_it(begun: Path, tmp_path: Path) -> None:
    flags = [*EXAMPLE[:2], *EXAMPLE[4:], "-o", str(tmp_path / "r.json")]
    assert run("audit", *flags, folder=begun).returncode == 1
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    (own,) = [rule for rule in report["rules"] if rule["id"] == "vm-has-owner"]
    assert own["counts"]["fail"] > 0
    assert own["counts"]["not_applicable"] > 0
    assert report["options"]["config_sha256"]


def test_commented_out_settings_and_exemptions_are_right_as_well(begun: Path, tmp_path: Path) -> None:
    for name in ("auditor.yaml", "exemptions.yaml"):
        lines = (begun / name).read_text(encoding="utf-8").splitlines()
        said = re.compile(r"^( *)# ((- )?[a-z_]+:|  +(- )?[a-z_/]+[^ ]*:)")
        text = "\n".join(said.sub(r"\1\2", line) for line in lines).replace("exclude: []", "exclude:")
        (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copytree(begun / "rules", tmp_path / "rules")
    settings = settle(Flags(config=tmp_path / "auditor.yaml", as_of="2026-06-15T12:00:00Z"))
    assert settings.config.organisation == "Kestrelvik Freight"
    assert settings.config.intents.default == "azure"
    assert len(settings.config.intents.scopes) == 1
    assert settings.exclusions[-1].reason == "Build agents are made anew every night"
    assert [entry.id for entry in settings.exemptions.entries] == ["EX-1"]


@pytest.mark.parametrize("name", sorted(name for name in COMMON if name.endswith(".yaml")))
def test_editors_find_the_schema_beside_the_file_and_it_says_what_is_misspelt(name: str, begun: Path) -> None:
    path = begun / name
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    schema = (path.parent / named[1]).resolve()
    assert schema.is_relative_to(begun.resolve())
    assert accepted(["--schemafile", str(schema)], path)
    validator = Draft202012Validator(json.loads(schema.read_bytes()))
    value: Any = read_yaml(path).value
    assert validator.is_valid(value)
    assert not validator.is_valid({**value, "misspelt": 1} if isinstance(value, dict) else [{"misspelt": 1}])


def test_the_schemas_are_those_that_rules_schema_writes(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = run("rules", "schema", "-o", "deep/schemas", folder=tmp_path)
    assert (written.returncode, written.stdout) == (0, "")
    assert files_in(tmp_path / "deep" / "schemas") == files_in(begun / "schemas")
    for name in ("rule", "cases", "config", "exemptions"):
        published = json.loads((REPOSITORY / "docs" / "schemas" / f"{name}.schema.json").read_bytes())
        assert json.loads((begun / "schemas" / f"{name}.schema.json").read_bytes()) == published
    rules.schema("report", tmp_path / "one")
    assert list(files_in(tmp_path / "one")) == ["report.schema.json"]
    rules.schema(None, None)
    assert capsys.readouterr().out == (REPOSITORY / "docs" / "schemas" / "rule.schema.json").read_text("utf-8")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_file_for_a_platform_is_what_it_takes_and_pins_what_the_recipe_pins(platform: str, tmp_path: Path) -> None:
    command.init(tmp_path, platform)
    (name,) = set(files_in(tmp_path)) - COMMON
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert accepted(["--builtin-schema", PLATFORMS[platform]], tmp_path / name)
    recipe = (REPOSITORY / "ci" / RECIPES[platform]).read_text(encoding="utf-8")
    pins = re.compile(r"\S+@[0-9a-f]{40}|python:\S+-slim|vmImage: \S+")
    assert set(pins.findall(text))
    assert set(pins.findall(text)) <= set(pins.findall(recipe))
    assert "${{" not in "".join(re.findall(r"run: \|\n((?: {10}.*\n)+)", text))
    for words in ("rules check rules", "rules test rules", "exemptions --config auditor.yaml"):
        assert f"auditor {words}\n" in text


def test_the_workflow_has_only_the_rights_that_are_needed(begun: Path) -> None:
    workflow = yaml.safe_load((begun / ".github" / "workflows" / "backup-audit.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == {
        "rules": {"contents": "read"},
        "audit": {"contents": "read", "id-token": "write"},
    }
    assert workflow["jobs"]["audit"]["if"] == "github.event_name != 'pull_request'"
    action = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
    (audit,) = [step for step in workflow["jobs"]["audit"]["steps"] if step.get("name") == "Audit"]
    assert set(audit["with"]) <= set(action["inputs"])


def test_a_folder_is_made_and_no_file_for_a_pipeline_where_none_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.init(Path("deep/ours"), "none")
    assert set(files_in(tmp_path / "deep" / "ours")) == COMMON
    said = capsys.readouterr().out
    assert "Wrote deep/ours/auditor.yaml\n" in said
    assert "fill in" not in said
    command.init(Path(), "github")
    assert capsys.readouterr().out.count("Before .github/workflows/backup-audit.yml runs, fill in ") == 1


@pytest.mark.parametrize("name", sorted({*COMMON, ".github/workflows/backup-audit.yml"}))
def test_a_file_that_is_there_stays_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"mine")
    with pytest.raises(UsageError) as refused:
        command.init(Path(), "github")
    assert refused.value.message == f"there is already {name}"
    assert refused.value.hint.startswith("Nothing was written.")
    assert ("--ci none" in refused.value.hint) == name.startswith(".github")
    assert files_in(tmp_path) == {name: b"mine"}


def test_every_file_that_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    for name in ("auditor.yaml", "schemas/config.schema.json"):
        (tmp_path / name).write_text("", encoding="utf-8")
    result = run("init", folder=tmp_path)
    assert_one_error(result, 2, "there is already auditor.yaml, schemas/config.schema.json", "Nothing was written.")


def test_a_link_that_leads_nowhere_is_in_the_way_too(tmp_path: Path) -> None:
    (tmp_path / "auditor.yaml").symlink_to("elsewhere.yaml")
    with pytest.raises(UsageError, match=r"there is already auditor\.yaml"):
        command.init(Path(), "github")
    assert [path.name for path in tmp_path.iterdir()] == ["auditor.yaml"]


@pytest.mark.parametrize(
    ("folder", "ci", "message", "hint"),
    [
        (".", "githb", "--ci is never githb", "Did you mean github?"),
        ("file", "github", "cannot write file/auditor.yaml", "Nothing was written."),
    ],
)
def test_what_cannot_be_done_is_said(folder: str, ci: str, message: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        command.init(Path(folder), ci)
    assert (message in refused.value.message, refused.value.hint) == (True, hint)
    assert list(files_in(tmp_path)) == ["file"]


def test_nothing_is_left_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> object:
        if path.name == "cases.schema.json":
            raise UsageError("cannot write it: no space", "Make some.")
        return atomic_file(path)

    monkeypatch.setattr(command, "atomic_file", full)
    with pytest.raises(UsageError, match="no space"):
        command.init(tmp_path, "github")
    assert files_in(tmp_path) == {}
