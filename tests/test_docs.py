"""What the documentation claims is true: outputs are real, links lead somewhere, examples are accepted."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from arm import Arm, Estate, Quota
from azure.core.rest import HttpRequest
from building import SUBSCRIPTION, estate
from reading import Json, session_of, standing, with_views
from test_live_command import environment_of

from auditor.azure import calls, details, doctor, permissions, preflight, questions, scope
from auditor.azure.clouds import CLOUDS
from auditor.cli.question import Flags, settle
from auditor.declared.config import Azure, Login, PolicyTemplate, Remediation, VaultTemplate
from auditor.errors import AuditorError, ExitCode
from auditor.formats.from_json import read_report
from auditor.inventory.projection import queries
from auditor.remediation import requests
from auditor.ruleset.load import load_rules, own_files

REPOSITORY = Path(__file__).resolve().parent.parent
AUDITOR = str(Path(sys.executable).parent / "auditor")
PAGES = sorted(
    path for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("*/*.md")]
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_readme_shows_what_its_command_prints() -> None:
    audited, planned = blocks(REPOSITORY / "README.md", "console")
    for block, code in ((audited, 1), (planned, 0)):
        command, *shown = block.splitlines()
        words = shlex.split(command.removeprefix("$ "))
        result = subprocess.run([AUDITOR, *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert result.returncode == code
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
        ["history"],
        ["doctor"],
        ["plan"],
        ["apply"],
        ["rules", "list"],
        ["rules", "check"],
        ["rules", "test"],
        ["rules", "show"],
        ["rules", "docs"],
        ["rules", "schema"],
        ["init"],
    ):
        text = subprocess.run([AUDITOR, *command, "--help"], capture_output=True, text=True, check=True).stdout
        known |= set(re.findall(r"--?[a-z][a-z-]*", text))
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if re.match(
                r"(\$ )?auditor (audit|collect|render|explain|diff|exemptions|history|doctor|plan|apply|init|rules)\b",
                line,
            ):
                flags = set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", line.partition("#")[0]))
                assert flags <= known, f"{page.name}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_example_configuration_is_accepted(tmp_path: Path) -> None:
    (block,) = blocks(REPOSITORY / "docs" / "configuration.md", "yaml")
    (tmp_path / "our-rules").mkdir()
    (tmp_path / "scratch").mkdir()
    (rule, _) = blocks(REPOSITORY / "docs" / "writing-rules.md", "yaml")
    (tmp_path / "our-rules" / "vm-has-owner.yaml").write_text(rule)
    (tmp_path / "auditor.yaml").write_text(block)
    (tmp_path / "exemptions.yaml").write_text("")
    (tmp_path / "attestations.yaml").write_text("")
    settings = settle(Flags(config=tmp_path / "auditor.yaml"))
    assert "vm-has-owner" in [rule.id for rule in settings.rules]
    assert settings.exclusions[-1].reason == "Build agents are made anew every night"
    assert set(yaml.safe_load(block)["azure"]) == set(Azure.__struct_fields__)


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


# Reading Azure


def text_of(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text(encoding="utf-8")


def table(name: str, heading: str) -> list[list[str]]:
    """Return the rows of the table whose first column has this heading, without the marks of code."""
    lines = text_of(name).split(f"| {heading} |", 1)[1].splitlines()[2:]
    rows = lines[: next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]


def custom_role() -> Json:
    (block,) = blocks(REPOSITORY / "docs" / "permissions.md", "json")
    role: Json = json.loads(block)
    return role


def vague_vault() -> list[Json]:
    """An estate for which everything has to be asked: its vault says neither redundancy nor soft delete."""
    resources = with_views(estate().vault().policy().vm("web").item("web").job("web").whole().resources)
    for resource in resources:
        if resource["type"].lower() == "microsoft.recoveryservices/vaults":
            resource["properties"] = {"provisioningState": "Succeeded"}
    return resources


def live(arm: Arm, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [AUDITOR, *arguments],
        cwd=folder,
        env={**kept, "PYTHONUTF8": "1", **arm.environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def shape(path: str) -> str:
    """Return a path as the table of calls writes it."""
    for found, written in (
        (r"^/subscriptions/.*/virtualMachines/[^/]+", "{vm}"),
        (r"^/subscriptions/.*/vaults/[^/]+", "{vault}"),
        (r"^/subscriptions/[0-9a-f-]{36}", "{subscription}"),
        (r"/Microsoft\.(Compute|RecoveryServices)$", "/{namespace}"),
    ):
        path = re.sub(found, written, path)
    return path


def test_the_calls_that_are_sent_are_those_that_the_table_names(tmp_path: Path) -> None:
    with standing(vague_vault()) as arm:
        assert live(arm, tmp_path, "collect", "-o", "taken").returncode == 0
        assert live(arm, tmp_path, "doctor").returncode == 0
        sent = {
            (f"{seen.method} {shape(seen.path)}", seen.query["api-version"])
            for seen in arm.requests
            if not seen.path.startswith(f"/{arm.estate.tenant}/")  # signing in
        }
    assert {(call, version) for call, version, *_ in table("azure.md", "call")} == sent


def test_the_versions_in_the_table_are_those_of_the_code() -> None:
    versions = {call.rpartition("/")[2]: version for call, version, *_ in table("azure.md", "call")}
    assert versions == {
        "subscriptions": scope.VERSION,
        "permissions": permissions.VERSION,
        "resources": calls.GRAPH_VERSION,
        "instanceView": details.COMPUTE_VERSION,
        "vaultstorageconfig": details.BACKUP_VERSION,
        "vaultconfig": details.BACKUP_VERSION,
        "backupProtectedItems": details.BACKUP_VERSION,
        "{namespace}": doctor.PROVIDERS_VERSION,
    }


def test_what_a_plan_asks_is_what_the_pages_name() -> None:
    asked = {call.rpartition("/")[2]: (call, version) for call, version, *_ in table("azure.md", "question")}
    assert {name: version for name, (_, version) in asked.items()} == {
        "Microsoft.RecoveryServices": requests.PROVIDERS_VERSION,
        "locks": preflight.LOCKS_VERSION,
        "policyAssignments": preflight.ASSIGNMENTS_VERSION,
        "backupStatus": requests.BACKUP_VERSION,
        "backupPreValidateProtection": requests.BACKUP_VERSION,
        "backupValidateFeatures": requests.BACKUP_VERSION,
        "checkNameAvailability": requests.BACKUP_VERSION,
    }
    location = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/locations/westeurope"
    posts = {name for name, (call, _) in asked.items() if call.startswith("POST {location}/")}
    assert all(questions.QUESTIONS.fullmatch(f"{location}/{name}") for name in posts)
    needs = {action: may for _, action, may in table("permissions.md", "question")}
    assert {action.split("/")[-2] for action, may in needs.items() if may == "no"} == posts
    assert all(action.endswith("/read") for action, may in needs.items() if may == "yes")
    assert len(needs) == len(asked)


def test_every_key_of_remediation_is_in_the_page_of_settings() -> None:
    named = {key.strip() for keys, *_ in table("configuration.md", "key") for key in keys.split(",")}
    nested = {"vault": VaultTemplate, "policy": PolicyTemplate}
    assert named == {
        *(f"{part}.{key}" for part, shape in nested.items() for key in shape.__struct_fields__),
        *(key for key in Remediation.__struct_fields__ if key not in nested),
    }


def test_the_custom_role_has_every_action_that_is_needed_and_no_other() -> None:
    asked = {"Microsoft.Authorization/permissions/read", "Microsoft.ResourceGraph/resources/read"}
    asked |= {"Microsoft.Resources/subscriptions/read", "Microsoft.Resources/subscriptions/providers/read"}
    asked |= {*permissions.NEEDED.values(), *permissions.DETAILS.values()}
    actions = custom_role()["Actions"]
    assert sorted(actions) == sorted(asked)
    assert all(action.endswith("/read") for action in actions)


def test_the_custom_role_is_enough(tmp_path: Path) -> None:
    access = {SUBSCRIPTION: {"actions": custom_role()["Actions"]}}
    with standing(vague_vault(), access=access) as arm:
        collected = live(arm, tmp_path, "collect", "-o", "taken")
        seen = live(arm, tmp_path, "doctor")
    assert (collected.returncode, seen.returncode) == (0, 0), collected.stderr + seen.stdout
    assert "Not read" not in collected.stderr


def test_the_roles_that_doctor_names_are_in_the_page_of_permissions(tmp_path: Path) -> None:
    told = {action: role for action, role, *_ in table("permissions.md", "action")}
    assert {action: role.partition(",")[0] for action, role in told.items()} == {
        action: role.partition(" (")[0] for action, role in doctor.REMEDIATION.items()
    }
    with standing(vague_vault(), access={SUBSCRIPTION: {"actions": ["Microsoft.Authorization/*"]}}) as arm:
        said = live(arm, tmp_path, "doctor").stdout
    named = {name.strip() for name in re.findall(r"the role ([A-Z][A-Za-z ]+?) (?=on |\()", said)}
    assert named == {"Reader", *(role.partition(" (")[0] for role in doctor.REMEDIATION.values())}
    assert all(name in text_of("permissions.md") for name in named)


def test_the_ways_to_sign_in_and_the_clouds_are_those_that_there_are() -> None:
    assert [name for name, *_ in table("permissions.md", "`--login`")] == list(get_args(Login))
    assert [row[:4] for row in table("azure.md", "`--cloud`")] == [
        [cloud.name, cloud.authority.removeprefix("https://"), cloud.endpoint.removeprefix("https://"), cloud.scope]
        for cloud in CLOUDS.values()
    ]


def test_reading_cannot_write_whoever_asks_for_it() -> None:
    with standing(vague_vault()) as arm, session_of(arm) as session:
        before = len(arm.requests)
        vault = (
            f"{arm.url}/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.RecoveryServices/vaults/v"
        )
        register = f"{arm.url}/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/register"
        elsewhere = f"{arm.url.replace('127.0.0.1', 'localhost')}/subscriptions"
        for method, url in (
            *((method, vault) for method in ("PUT", "PATCH", "DELETE", "POST", "HEAD")),
            ("POST", register),
            ("POST", f"{arm.url}/providers/Microsoft.ResourceGraph/resourcesHistory"),
            ("GET", elsewhere),
        ):
            with pytest.raises(AuditorError, match="only reads"):
                session.client.send_request(HttpRequest(method, url))
        assert len(arm.requests) == before


AZ = f"""#!{sys.executable}
import json, pathlib, sys
query = sys.argv[sys.argv.index("-q") + 1]
with pathlib.Path("asked.ndjson").open("a") as file:
    file.write(json.dumps(query) + "\\n")
print(json.dumps({{"count": 0, "data": [], "skip_token": None, "total_records": 0}}))
"""


def test_the_queries_can_be_run_by_hand_as_the_page_says(tmp_path: Path) -> None:
    (block,) = [block for block in blocks(REPOSITORY / "docs" / "azure.md", "") if "--print-queries" in block]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "az").write_text(AZ, encoding="utf-8")
    (tmp_path / "bin" / "az").chmod(0o755)
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(AUDITOR).parent), os.environ["PATH"]])
    result = subprocess.run(
        [shutil.which("bash") or "bash", "-c", block],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    asked = [json.loads(line) for line in (tmp_path / "asked.ndjson").read_text(encoding="utf-8").splitlines()]
    assert [query.partition("\n")[2].strip() for query in asked] == list(queries().values())
    assert (result.returncode, result.stderr) == (3, "")
    assert (tmp_path / "report.html").exists()


def test_the_live_recipe_pins_what_the_tested_one_pins() -> None:
    (block,) = [block for block in blocks(REPOSITORY / "docs" / "ci.md", "yaml") if "--login cli" in block]
    job = yaml.safe_load(block)["jobs"]["audit"]
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    (login,) = [step for step in job["steps"] if "uses" in step]
    recipe = yaml.safe_load((REPOSITORY / "ci" / "github-workflow.yml").read_text(encoding="utf-8"))
    assert login in recipe["jobs"]["audit"]["steps"]


def test_every_exit_code_is_in_its_page_and_in_the_readme() -> None:
    codes = [value for name, value in vars(ExitCode).items() if name.isupper()]
    assert [int(code) for code, *_ in table("exit-codes.md", "code")] == sorted(codes)
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert all(f"**{code}** " in readme for code in codes)


# docs/five-minutes.md and docs/faq.md


def test_every_command_of_the_first_five_minutes_does_what_it_says(tmp_path: Path) -> None:
    text = text_of("five-minutes.md")
    auditor, pipeline, operator = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "exports").symlink_to(REPOSITORY / "examples" / "estate")
    for block in (auditor, pipeline):
        follow(block, tmp_path, None)
    resources = with_views(estate().vault().policy().vm("web").item("web").job("web").vm("new").whole().resources)
    with Arm(Estate(resources), quota=Quota(1_000, 5.0), access="owner") as arm:
        (tmp_path / "operator").mkdir()
        follow(operator, tmp_path / "operator", environment_of(arm))
        assert arm.mutations


def follow(block: str, folder: Path, environment: dict[str, str] | None) -> None:
    for line in block.splitlines():
        command, _, said = line.partition("#")
        code = re.search(r"exit code (\d+)", said)
        words = shlex.split(command)
        assert words[0] == "auditor"
        result = subprocess.run(
            [AUDITOR, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == (int(code[1]) if code is not None else 0), f"{line}\n{result.stderr}"


def test_what_the_questions_say_of_the_default_schedule_is_so(tmp_path: Path) -> None:
    asked = ["--inventory", "examples/estate", "--config", "examples/auditor.yaml", "--as-of", "2026-11-02T06:00:00Z"]
    found = []
    for more in ([], ["--param", "policy-runs-per-day.maximum=6"]):
        path = tmp_path / "report.json"
        command = [AUDITOR, "audit", *asked, *more, "--select", "policy-runs-per-day", "-o", str(path)]
        assert subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False).returncode in (1, 3)
        findings = read_report(path).findings
        found.append(
            [finding.message for finding in findings if "6 on the busiest (every 4 hours for 24" in finding.message]
        )
    assert [len(messages) for messages in found] == [1, 0]
