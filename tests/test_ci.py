"""The recipes for pipelines: well formed, no more rights than needed, and each script does what docs/ci.md says."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from building import Json, item_id, policy_id, vault_id, vm_id
from test_command import REPOSITORY, run

BIN = Path(sys.executable).parent
CI = REPOSITORY / "ci"
BASH = shutil.which("bash") or "bash"
RECIPES = {
    "vendor.github-actions": REPOSITORY / "action.yml",
    "vendor.github-workflows": CI / "github-workflow.yml",
    "vendor.azure-pipelines": CI / "azure-pipelines.yml",
    "vendor.gitlab-ci": CI / "gitlab-ci.yml",
}
BREAK = {
    "vendor.github-actions": ("using: composite", "using: wishes"),
    "vendor.github-workflows": ("runs-on:", "runs-of:"),
    "vendor.azure-pipelines": ("  - bash: |", "  - bush: |"),
    "vendor.gitlab-ci": ("when: always", "when: sometimes"),
}
EXAMPLE = {
    "INVENTORY": str(REPOSITORY / "examples" / "estate"),
    "CONFIG": str(REPOSITORY / "examples" / "auditor.yaml"),
    "EXEMPTIONS": str(REPOSITORY / "examples" / "exemptions.yaml"),
    "AS_OF": "2026-11-02T06:00:00Z",
}
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed, as it is where the action runs")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def all_steps(document: Json) -> Iterator[Json]:
    for part in (document.get("runs", {}), *document.get("jobs", {}).values(), document):
        yield from part.get("steps", [])


def script(path: Path, name: str) -> str:
    """Return the script of a step."""
    (step,) = [step for step in all_steps(read(path)) if name in (step.get("name"), step.get("displayName"))]
    text: str = step.get("run") or step.get("bash") or step["inputs"]["inlineScript"]
    return text


def bash(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as the runners do."""
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    path = f"{folder / 'stubs'}:{os.environ['PATH']}"
    return subprocess.run(
        [BASH, "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        cwd=folder,
        env={**kept, "PATH": path, "PYTHONUTF8": "1", "GITHUB_ACTIONS": "true", "CI": "true", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def stub(folder: Path, name: str, body: str) -> None:
    """Put a program into the way that writes its arguments, one a line, into NAME.log."""
    (folder / "stubs").mkdir(exist_ok=True)
    path = folder / "stubs" / name
    path.write_text(f'#!/bin/bash\nprintf "%s\\n" "$*" >> "{folder}/{name}.log"\n{body}\n', encoding="utf-8")
    path.chmod(0o755)


# What they are


@pytest.mark.parametrize("schema", list(RECIPES))
def test_recipes_are_what_their_platform_takes(schema: str, tmp_path: Path) -> None:
    def accepted(path: Path) -> bool:
        check = [str(BIN / "check-jsonschema"), "--regex-variant", "nonunicode", "--builtin-schema", schema, str(path)]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    assert accepted(RECIPES[schema])
    broken = tmp_path / "broken.yml"
    text = RECIPES[schema].read_text(encoding="utf-8")
    assert BREAK[schema][0] in text
    broken.write_text(text.replace(*BREAK[schema], 1), encoding="utf-8")
    assert not accepted(broken)


@pytest.mark.parametrize("path", RECIPES.values(), ids=lambda path: path.name)
def test_no_value_is_pasted_into_a_script(path: Path) -> None:
    scripts = [step.get("run") or step.get("bash") or "" for step in all_steps(read(path))]
    assert any(scripts) or path.name == "gitlab-ci.yml"
    for text in scripts:
        assert "${{" not in text
        assert not re.search(r"\$\([A-Za-z.]+\)", text)  # how Azure Pipelines pastes


def test_actions_are_pinned_by_commit() -> None:
    used = [step["uses"] for step in all_steps(read(CI / "github-workflow.yml")) if "uses" in step]
    assert len(used) == 7
    for name in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", name)
    assert not [step for step in all_steps(read(REPOSITORY / "action.yml")) if "uses" in step]
    image = read(CI / "gitlab-ci.yml")["backup-audit"]["image"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim", image)


def test_rights_are_those_that_are_needed() -> None:
    workflow = read(CI / "github-workflow.yml")
    assert workflow["permissions"] == {}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == {
        "audit": {"actions": "read", "contents": "read", "id-token": "write", "security-events": "write"},
        "comment": {"pull-requests": "write"},
    }
    (checkout,) = [step for step in all_steps(workflow) if "actions/checkout" in step.get("uses", "")]
    assert checkout["with"]["persist-credentials"] is False


def test_reports_are_published_when_the_gate_fails() -> None:
    steps = {step.get("uses", "").partition("@")[0]: step for step in all_steps(read(CI / "github-workflow.yml"))}
    for name in ("github/codeql-action/upload-sarif", "actions/upload-artifact"):
        assert "!cancelled()" in steps[name]["if"]
        assert "hashFiles(" in steps[name]["if"]
    for step in all_steps(read(CI / "azure-pipelines.yml")):
        if step.get("task", "").startswith("Publish"):
            assert step["condition"] == "succeededOrFailed()"
    assert read(CI / "gitlab-ci.yml")["backup-audit"]["artifacts"]["when"] == "always"


# What they do


def audit_step(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the step of the action in which the auditor is installed already."""
    inputs = {name: step_input for name, step_input in EXAMPLE.items() if name not in environment}
    step = next(step for step in all_steps(read(REPOSITORY / "action.yml")) if step["name"] == "Audit")
    given = dict.fromkeys(step["env"], "") | {"STRICT": "false", "OUTPUT": "out"} | inputs | environment
    installed = folder / "temp" / "auditor"
    installed.mkdir(parents=True, exist_ok=True)
    if not (installed / "bin").exists():
        (installed / "bin").symlink_to(BIN)
    files = {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    return bash(step["run"], folder, RUNNER_TEMP=str(folder / "temp"), **files, **given)


@needs_jq
def test_the_action_writes_all_reports_and_fails_with_the_gate(tmp_path: Path) -> None:
    result = audit_step(tmp_path)
    assert result.returncode == 1, result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "alerts.sarif",
        "all.csv",
        "report.html",
        "report.json",
        "report.sarif",
    ]
    assert (tmp_path / "output").read_text() == "exit-code=1\n"
    assert (tmp_path / "summary.md").stat().st_size > 500
    assert "\n::error file=rules/vm-protected.yaml,line=1," in result.stdout
    assert "\x1b" not in result.stdout
    alerts, whole = (
        json.loads((tmp_path / "out" / name).read_bytes())["runs"][0] for name in ("alerts.sarif", "report.sarif")
    )
    assert len(alerts.pop("results")) == len(whole["results"]) - 3
    assert [result for result in whole.pop("results") if "suppressions" in result] != []
    assert alerts == whole


@needs_jq
def test_the_action_compares_with_the_last_report_and_fails_on_what_is_new(tmp_path: Path) -> None:
    first = audit_step(tmp_path, FAIL_ON="new:high", BASELINE="baseline/report.json")
    assert first.returncode == 1, first.stderr  # there is none yet, so everything is new
    assert not (tmp_path / "out" / "diff.md").exists()
    (tmp_path / "baseline").mkdir()
    (tmp_path / "out" / "report.json").rename(tmp_path / "baseline" / "report.json")
    second = audit_step(tmp_path, FAIL_ON="new:high", BASELINE="baseline/report.json")
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "out" / "diff.md").read_text().startswith("# What changed")
    assert (tmp_path / "output").read_text() == "exit-code=1\nexit-code=0\n"


def test_the_action_fails_without_reports_where_something_given_is_wrong(tmp_path: Path) -> None:
    result = audit_step(tmp_path, INVENTORY="none\n\n$(touch pwned); x", FAIL_ON="`touch pwned`")
    assert result.returncode == 2
    assert "error: " in result.stderr
    assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "output").read_text() == "exit-code=2\n"
    assert not (tmp_path / "pwned").exists()


def test_the_action_tells_what_allows_no_conclusion(tmp_path: Path) -> None:
    (tmp_path / "estate.json").write_text("[]")
    result = audit_step(tmp_path, INVENTORY="estate.json", CONFIG="", EXEMPTIONS="", STRICT="true")
    assert result.returncode == 3, result.stderr
    assert "::error title=Cannot conclude::" in result.stdout


def test_the_action_installs_what_is_pinned(tmp_path: Path) -> None:
    python = '[ "$2" != venv ] || { mkdir -p "$3/bin"; ln -s "$0" "$3/bin/python"; }'
    stub(tmp_path, "python3", python)
    install = script(REPOSITORY / "action.yml", "Install")
    result = bash(install, tmp_path, ACTION=str(REPOSITORY), RUNNER_TEMP=str(tmp_path))
    assert result.returncode == 0, result.stderr
    said = (tmp_path / "python3.log").read_text()
    assert f"--require-hashes -r {REPOSITORY}/constraints.txt\n" in said
    assert f"--no-deps --no-build-isolation {REPOSITORY}\n" in said


def test_the_baseline_is_the_newest_report_that_there_is(tmp_path: Path) -> None:
    stub(
        tmp_path,
        "gh",
        'case "$*" in "run list"*) printf "3\\n2\\n1\\n";; "run download 2 "*) exit 0;; *) exit 1;; esac',
    )
    fetch = script(CI / "github-workflow.yml", "Fetch the last report")
    result = bash(fetch, tmp_path, BRANCH="main", WORKFLOW="Azure VM backup")
    assert (result.returncode, result.stdout) == (0, "")
    calls = (tmp_path / "gh.log").read_text().splitlines()
    assert calls[0].startswith("run list --workflow Azure VM backup --branch main --status completed")
    assert [call.split()[2] for call in calls[1:]] == ["3", "2"]
    stub(tmp_path, "gh", 'case "$*" in "run list"*) ;; *) exit 1;; esac')
    result = bash(fetch, tmp_path, BRANCH="main", WORKFLOW="x")
    assert (result.returncode, result.stdout) == (0, "There is no earlier report: all findings are new.\n")


def test_a_pull_request_gets_what_changed_as_its_one_comment(tmp_path: Path) -> None:
    stub(tmp_path, "gh", 'case "$*" in *--edit-last*) exit 1;; esac')
    comment = script(CI / "github-workflow.yml", "Comment with what changed")
    assert bash(comment, tmp_path, NUMBER="7").returncode == 0
    assert not (tmp_path / "gh.log").exists()
    (tmp_path / "auditor-report").mkdir()
    diff = tmp_path / "auditor-report" / "diff.md"
    diff.write_text("# What changed\n")
    assert bash(comment, tmp_path, NUMBER="7").returncode == 0
    assert (tmp_path / "comment.md").read_text() == diff.read_text()
    assert (tmp_path / "gh.log").read_text().splitlines() == [
        "pr comment 7 --edit-last --body-file comment.md",
        "pr comment 7 --body-file comment.md",
    ]
    diff.write_text("| a line of a table |\n" * 5_000)
    assert bash(comment, tmp_path, NUMBER="7").returncode == 0
    cut = (tmp_path / "comment.md").read_text().splitlines()
    assert len("\n".join(cut)) < 65_000
    assert set(cut[:-2]) == {"| a line of a table |"}
    assert cut[-1] == "The rest is in the artifact auditor-report."


def installed(folder: Path) -> None:
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(BIN)
    shutil.copytree(REPOSITORY / "examples" / "estate", folder / "exports")
    (folder / "auditor.yaml").write_bytes((REPOSITORY / "examples" / "auditor.yaml").read_bytes())


def test_azure_pipelines_gets_reports_and_annotations_from_a_step_that_fails(tmp_path: Path) -> None:
    installed(tmp_path)
    (tmp_path / "as-of.txt").write_text(EXAMPLE["AS_OF"] + "\n")
    result = bash(script(CI / "azure-pipelines.yml", "Audit"), tmp_path)
    assert result.returncode == 1, result.stderr
    assert "##vso[task.logissue type=error;sourcepath=rules/vm-protected.yaml;" in result.stdout
    found = {path.name for path in (tmp_path / "auditor-report").iterdir()}
    assert found == {"report.json", "report.html", "report.junit.xml", "report.sarif"}


def test_gitlab_gets_test_results_from_a_job_that_fails(tmp_path: Path) -> None:
    installed(tmp_path)
    (tmp_path / "exports" / "as-of.txt").write_text(EXAMPLE["AS_OF"] + "\n")
    job = read(CI / "gitlab-ci.yml")["backup-audit"]
    result = bash("\n".join(job["script"]), tmp_path)
    assert result.returncode == 1, result.stderr
    assert (tmp_path / job["artifacts"]["reports"]["junit"]).read_bytes().startswith(b"<?xml")
    assert (tmp_path / "auditor-report" / "report.html").is_file()


HOOKS = {hook["id"]: hook for hook in read(REPOSITORY / ".pre-commit-hooks.yaml")}


@pytest.mark.parametrize(("hook", "code"), [("auditor-rules-check", 2), ("auditor-rules-test", 1)])
def test_hooks_pass_good_rules_and_stop_bad_ones(tmp_path: Path, hook: str, code: int) -> None:
    rules = tmp_path / "rules"
    (rules / "cases").mkdir(parents=True)
    for name in ("vault-soft-delete.yaml", "cases/vault-soft-delete.yaml"):
        shutil.copy(REPOSITORY / "rules" / name, rules / name)
        assert re.search(HOOKS[hook]["files"], f"rules/{name}")
    words = [*HOOKS[hook]["entry"].split(), *HOOKS[hook]["args"]]
    assert (words[0], HOOKS[hook]["pass_filenames"]) == ("auditor", False)
    assert run(*words[1:], folder=tmp_path).returncode == 0
    if code == 2:
        (rules / "broken.yaml").write_text("id: broken\n")
    else:
        cases = rules / "cases" / "vault-soft-delete.yaml"
        text = cases.read_text()
        cases.write_text(text.replace(": pass", ": fail", 1))
        assert cases.read_text() != text
    assert run(*words[1:], folder=tmp_path).returncode == code


AZ = r"""
case "$*" in
  *virtualmachines\'*skip-token*) cat "$ANSWERS/vms-2.json";;
  *virtualmachines\'*) cat "$ANSWERS/vms-1.json";;
  *recoveryservices/vaults*) cat "$ANSWERS/vaults.json";;
  "graph query"*) echo '{"count": 0, "data": [], "skip_token": null, "total_records": 0}';;
  "vm get-instance-view"*) echo '[]';;
  "backup policy list"*) cat "$ANSWERS/policies.json";;
  "backup item list"*) cat "$ANSWERS/items.json";;
  *) echo refused >&2; exit 1;;
esac
"""


@needs_jq
def test_the_export_holds_every_page_and_goes_on_where_something_is_refused(tmp_path: Path) -> None:
    vms = [{"id": vm_id(name), "name": name, "type": "microsoft.compute/virtualmachines"} for name in ("web", "db")]
    vault = {"id": vault_id(), "name": "vault", "type": "microsoft.recoveryservices/vaults"}
    vault |= {"subscriptionId": vault_id().split("/")[2], "resourceGroup": "a b"}
    item = {"protectedItemType": "Microsoft.Compute/virtualMachines", "sourceResourceId": vm_id("web")}
    item |= {"protectionState": "Protected", "policyId": policy_id(), "backupManagementType": "AzureIaasVM"}
    kind = "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems"
    answers: dict[str, Any] = {
        "vms-1": {"count": 1, "data": vms[:1], "skip_token": "next", "total_records": 2},
        "vms-2": {"count": 1, "data": vms[1:], "skip_token": None, "total_records": 2},
        "vaults": {"count": 1, "data": [vault], "skip_token": None, "total_records": 1},
        "policies": [{"id": policy_id(), "name": "daily", "type": "Microsoft.RecoveryServices/vaults/backupPolicies"}],
        "items": [{"id": item_id("web"), "name": "x", "type": kind, "properties": item}],
    }
    for name, answer in answers.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(answer))
    stub(tmp_path, "az", AZ)
    result = bash(f"bash {CI / 'export.sh'} exports", tmp_path, ANSWERS=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert "not exported: jobs-1" in result.stderr
    assert not (tmp_path / "exports" / "jobs-1.json").exists()
    calls = (tmp_path / "az.log").read_text()
    assert "--resource-group a b --vault-name vault" in calls
    flags = ["--inventory", "exports", "--as-of", "2026-06-15T12:00:00Z", "--select", "vm-protected"]
    run("audit", *flags, "-o", "r.json", folder=tmp_path)
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert report["outcomes"] == {"vm-protected": "fp"}
    assert not [gap for gap in report["gaps"] if gap["table"] in ("virtual_machines", "vaults", "protected_items")]


def test_the_documentation_names_what_is_there() -> None:
    text = (REPOSITORY / "docs" / "ci.md").read_text(encoding="utf-8")
    for path in re.findall(r"\]\(([^)#]+)\)", text):
        assert (REPOSITORY / "docs" / path).exists(), path
    for hook in re.findall(r"- id: (\S+)", text):
        assert hook in HOOKS
