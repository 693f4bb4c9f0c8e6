"""The installed command as people use it: a subprocess, its output, its exit code."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from building import estate

from auditor.cli.app import beyond_the_machine

REPOSITORY = Path(__file__).resolve().parent.parent
AUDITOR = str(Path(sys.executable).parent / "auditor")
EXAMPLE = [
    "--inventory",
    str(REPOSITORY / "examples" / "estate"),
    "--config",
    str(REPOSITORY / "examples" / "auditor.yaml"),
    "--as-of",
    "2026-11-02T06:00:00Z",
]


def run(*arguments: str, folder: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [AUDITOR, *arguments],
        cwd=folder,
        env={**kept, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


def export(folder: Path, name: str = "estate.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"value": estate().vm("web").item("web").vault().policy().whole().resources}))
    return path


def assert_one_error(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[:1]
    assert len(lines) == 2
    assert lines[1].startswith("  hint: ")
    for word in words:
        assert word in result.stderr


def test_pages_of_rules_are_written_for_ones_own_too(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    text = "id: own\ntitle: T\nseverity: low\nresource: vm\nrationale: R\nrequire: {field: vm.agent, equals: ready}\n"
    (tmp_path / "own" / "own.yaml").write_text(text + "message: m\n", encoding="utf-8")
    assert run("rules", "docs", "own", "-o", "pages", folder=tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["own.md"]
    assert run("rules", "docs", "own", folder=tmp_path).stdout.startswith("# own\n\nT.\n")
    assert run("rules", "docs", "-o", "all", folder=tmp_path).returncode == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "all").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (REPOSITORY / "docs" / "rules").iterdir()}
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert_one_error(run("rules", "docs", "-o", "file", folder=tmp_path), 2, "cannot write file")


def test_the_example_estate_gets_the_outcomes_that_were_reasoned_out_by_hand(tmp_path: Path) -> None:
    result = run("audit", *EXAMPLE, "-o", str(tmp_path / "r.json"), folder=tmp_path)
    assert result.returncode == 1
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    words = {"p": "pass", "f": "fail", "u": "unknown", "n": "not-applicable"}
    found = {
        rule["id"]: {
            resource["id"].lower(): words[letter]
            for resource, letter in zip(
                [entry for entry in report["resources"] if entry["kind"] == rule["resource"]],
                report["outcomes"][rule["id"]],
                strict=True,
            )
        }
        for rule in report["rules"]
    }
    assert found == json.loads((REPOSITORY / "examples" / "expected.json").read_text(encoding="utf-8"))


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    outputs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        export(folder)
        run(
            "audit",
            "--inventory",
            "estate.json",
            "-o",
            "r.json",
            "-o",
            "r.csv",
            "-o",
            "r.html",
            folder=folder,
            TZ="Asia/Tokyo",
        )
        outputs.append([(folder / f"r.{suffix}").read_bytes() for suffix in ("json", "csv", "html")])
    assert outputs[0] == outputs[1]


def test_a_clean_estate_exits_with_0_and_says_compliant(tmp_path: Path) -> None:
    export(tmp_path)
    flags = ["--inventory", "estate.json", "--primary-endpoint", "azure", "--as-of", "2026-06-15T12:00:00Z"]
    result = run("audit", *flags, folder=tmp_path)
    assert result.returncode == 0, result.stdout
    assert result.stdout.startswith("Compliant: 0 of 15 verdicts fail")


def test_the_summary_fits_a_screen_and_shows_no_colour_when_piped() -> None:
    result = run("audit", *EXAMPLE)
    assert len(result.stdout.splitlines()) <= 30
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_json_on_stdout_is_json_alone(tmp_path: Path) -> None:
    result = run("audit", *EXAMPLE, "-o", "-", folder=tmp_path)
    assert json.loads(result.stdout)["schema_version"] == "1.0"
    assert "Not compliant" in result.stderr


def test_every_verdict_has_one_line_in_the_csv(tmp_path: Path) -> None:
    run("audit", *EXAMPLE, "-o", "r.csv", "-o", "r.json", folder=tmp_path)
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:6] == ["rule", "resource_id", "outcome", "severity", "exempt", "message"]
    assert len(rows) == sum(len(letters) for letters in report["outcomes"].values())
    assert len({(row["rule"], row["resource_id"]) for row in rows}) == len(rows)
    assert {row["outcome"] for row in rows} == {"pass", "fail", "unknown", "not-applicable"}


def test_fail_on_never_exits_with_0() -> None:
    assert run("audit", *EXAMPLE, "--fail-on", "never").returncode == 0


def test_only_violations_of_the_threshold_or_above_count() -> None:
    only = ["--select", "policy-runs-per-day"]
    assert run("audit", *EXAMPLE, *only, "--fail-on", "critical").returncode == 0
    assert run("audit", *EXAMPLE, *only, "--fail-on", "high").returncode == 1


def test_strict_turns_unknown_into_3() -> None:
    only = ["--select", "policy-runs-per-day", "--fail-on", "critical"]
    assert run("audit", *EXAMPLE, *only, "--strict").returncode == 3


def test_a_parameter_changes_the_verdict() -> None:
    only = ["--select", "policy-runs-per-day", "--strict"]
    result = run(
        "audit", *EXAMPLE, *only, "--param", "policy-runs-per-day.maximum=6", "--param", "policy-runs-per-day.minimum=0"
    )
    assert result.returncode == 0, result.stdout


def test_an_empty_estate_concludes_nothing(tmp_path: Path) -> None:
    (tmp_path / "nothing.json").write_text('{"value": []}')
    result = run("audit", "--inventory", "nothing.json", folder=tmp_path)
    assert result.returncode == 3
    assert result.stdout.startswith("Cannot conclude: nothing was found to judge.")


def test_an_empty_folder_concludes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("audit", "--inventory", "empty", folder=tmp_path).returncode == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["audit", "--inventory", ""], ["--inventory"]),
        (["audit", "--inventory", "estate.json", "--tenant", "x"], ["--tenant", "--inventory"]),
        (["audit", "--inventory", "estate.json", "--no-instance-views"], ["--no-instance-views"]),
        (["audit", "--subscription", "production"], ["--subscription production"]),
        (["audit", "--cloud", "publc"], ["Did you mean public?"]),
        (["audit", "--login", "az"], ["--login"]),
        (["audit", "--tenant", "a/b"], ["--tenant a/b"]),
        (["collect", "-o", "s", "--as-of", "2026-01-31T06:00:00Z"], ["--as-of"]),
        (["collect"], ["-o DIR"]),
        (["audit", "--inventory", "missing.json"], ["missing.json"]),
        (["audit", "--inventory", "cut.json"], ["cut.json:1:", "cut off"]),
        (["audit", "--inventory", "other.json"], ["other.json holds no answer of Azure's"]),
        (["audit", "--inventory", "estate.json", "-o", "no/such/folder/r.json"], ["no/such/folder"]),
        (["audit", "--inventory", "estate.json", "-o", "r.docx"], ["r.docx", "json"]),
        (["audit", "--inventory", "estate.json", "--fail-on", "hihg"], ["Did you mean high?"]),
        (["audit", "--inventory", "estate.json", "--select", "vm-protectd"], ["Did you mean vm-protected?"]),
        (["audit", "--inventory", "estate.json", "--as-of", "yesterday"], ["--as-of yesterday"]),
        (["audit", "--inventory", "estate.json", "--primary-endpoint", "aws"], ["azure, other, zone"]),
        (["audit", "--inventory", "estate.json", "--param", "vm-protected.grace=1"], ["Did you mean grace_hours?"]),
        (["audit", "--inventory", "estate.json", "--param", "vm-protected.grace_hours=x"], ["type number"]),
        (["audit", "--inventory", "estate.json", "--complete", "vms"], ["--complete"]),
        (
            ["audit", "--inventory", "estate.json", "--config", "bad.yaml"],
            ["bad.yaml:2:3: unknown key defaut", "default"],
        ),
        (["audit", "--inventory", "estate.json", "--config", "tabs.yaml"], ["tabs.yaml:2:1", "spaces"]),
        (["audit", "--inventory", "estate.json", "--no-such-flag"], ["No such option"]),
        (["explain", "nobody", "--inventory", "estate.json"], ["nobody is not in the inventory"]),
        (["rules", "show", "vm-protectd"], ["Did you mean vm-protected?"]),
        (["rules", "schema", "rules"], ["Did you mean rule?"]),
        (["rules", "check", "missing"], ["missing"]),
    ],
)
def test_what_is_wrong_gets_one_line_a_hint_and_exit_code_2(
    arguments: list[str], words: list[str], tmp_path: Path
) -> None:
    export(tmp_path)
    (tmp_path / "cut.json").write_text('{"value": [{"id": "/subscriptions/')
    (tmp_path / "other.json").write_text('{"name": "package"}')
    (tmp_path / "bad.yaml").write_text("intents:\n  defaut: azure\n")
    (tmp_path / "tabs.yaml").write_text("intents:\n\tdefault: azure\n")
    assert_one_error(run(*arguments, folder=tmp_path), 2, *words)


def test_an_output_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    result = run("audit", "--inventory", "not-even-there", "-o", "no/folder/r.json", folder=tmp_path)
    assert_one_error(result, 2, "no/folder")


def test_a_damaged_file_in_a_folder_is_a_gap_and_the_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    export(folder)
    (folder / "broken.json").write_text('[{"id": ')
    (folder / "notes.txt").write_text("not JSON")
    result = run("audit", "--inventory", "export", "--primary-endpoint", "azure", folder=tmp_path)
    assert result.returncode == 3, result.stdout
    assert result.stdout.startswith("Cannot conclude")
    assert "export/broken.json:1:9" in result.stdout


def test_errors_in_rules_come_all_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(
            f"id: {name}\nresource: vm\nrequire: {{field: vm.agnt, equals: ready}}\n"
        )
    result = run("rules", "check", ".", folder=tmp_path)
    assert result.returncode == 2
    assert "one.yaml:3:" in result.stderr
    assert "two.yaml:3:" in result.stderr
    assert "Did you mean vm.agent?" in result.stderr
    assert "Traceback" not in result.stderr


def test_ones_own_rule_runs_beside_the_bundled_ones(tmp_path: Path) -> None:
    export(tmp_path)
    (tmp_path / "vm-owner.yaml").write_text(
        "id: vm-owner\ntitle: A VM has an owner\nseverity: low\nresource: vm\nrationale: Somebody must answer.\n"
        "require: {field: {tag: owner}, exists: true}\nmessage: no owner\n",
    )
    result = run(
        "audit", "--inventory", "estate.json", "--rules", "vm-owner.yaml", "--select", "vm-owner", folder=tmp_path
    )
    assert re.search(r"vm-owner +low +1", result.stdout)


def test_explain_shows_facts_verdicts_and_where_they_come_from() -> None:
    result = run("explain", "wms-db-01", *EXAMPLE)
    assert result.returncode == 0
    assert "pass  vm-protected (critical)" in result.stdout
    assert "item.state = protected  [estate/protected-items.json]" in result.stdout
    assert "vm.agent = ready  [instance view in" in result.stdout


def test_explain_takes_an_id_in_any_letter_case_and_names_all_items_of_a_vm(tmp_path: Path) -> None:
    export(tmp_path)
    vm = estate().vm("web").resources[0]["id"].upper()
    result = run("explain", vm, "--inventory", "estate.json", folder=tmp_path)
    assert result.returncode == 0
    assert "Protected by policy daily in vault vault." in result.stdout


def test_hostile_names_reach_no_terminal_and_no_page_as_they_are(tmp_path: Path) -> None:
    name = "x\x1b[31m\u202e<script>alert(1)</script>=1+1"
    resources = (
        estate()
        .vm(name, id="/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/x")
        .resources
    )
    (tmp_path / "e.json").write_text(json.dumps({"value": resources}))
    result = run(
        "audit",
        "--inventory",
        "e.json",
        "--complete",
        "protected_items",
        "-o",
        "r.html",
        "-o",
        "r.csv",
        folder=tmp_path,
    )
    page, table = (tmp_path / "r.html").read_text(encoding="utf-8"), (tmp_path / "r.csv").read_text(encoding="utf-8")
    for text in (result.stdout, page, table):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\u{001B}" in text
    assert "<script>alert" not in page
    assert "style=" not in page


def test_ctrl_c_leaves_no_half_written_file_and_exits_with_130(tmp_path: Path) -> None:
    pipe = tmp_path / "slow.ndjson"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [AUDITOR, "audit", "--inventory", str(pipe), "-o", "r.json"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with pipe.open("w") as writer:  # opens once the command reads
        writer.write("{}\n")
        writer.flush()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slow.ndjson"]


def test_a_report_that_was_there_stays_when_the_disk_is_full(tmp_path: Path) -> None:
    export(tmp_path)
    report = tmp_path / "r.json"
    report.write_text("old")
    script = (
        "import resource, sys; from auditor.cli.app import main; from auditor.formats import as_json;\n"
        "def write(report, file):\n    file.write(b'half'); raise OSError(28, 'No space left on device')\n"
        "as_json.write = write; sys.argv = ['auditor', 'audit', '--inventory', 'estate.json', '-o', 'r.json']; main()"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert_one_error(result, 2, "No space left on device")
    assert report.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["estate.json", "r.json"]


def test_help_and_rules_list_load_nothing_heavy() -> None:
    for arguments in (["--help"], ["rules", "list"]):
        script = (
            f"import sys; sys.argv = ['auditor', *{arguments!r}]\n"
            "from auditor.cli.app import app\napp(standalone_mode=False)\n"
            "heavy = sorted({name.partition('.')[0] for name in sys.modules} & {'azure', 'duckdb', 'jinja2'})\n"
            "assert not heavy, heavy"
        )
        result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


def test_an_internal_error_is_one_line_and_70() -> None:
    script = (
        "import sys, auditor.cli.rules as rules\n"
        "def broken(*_):\n    raise ZeroDivisionError('boom')\n"
        "rules.load_rules = broken\n"
        "from auditor.cli.app import main; sys.argv = ['auditor', 'rules', 'list']; main()"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert_one_error(result, 70, "ZeroDivisionError: boom")


def test_the_bundled_rules_pass_their_cases() -> None:
    result = run("rules", "test")
    assert result.returncode == 0
    assert result.stdout.endswith(" passed, 0 failed\n")
    assert run("rules", "check").returncode == 0


def test_a_summary_is_added_to_and_named(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# Before\n")
    result = run("audit", *EXAMPLE, "--summary", str(path), "-o", str(tmp_path / "r.json"))
    assert result.returncode == 1
    assert result.stdout.splitlines()[-2:] == [f"Wrote {tmp_path / 'r.json'}", f"Wrote {path}"]
    added = path.read_text()
    assert added.startswith("# Before\n\n# Azure VM backup\n\n**Not compliant**: ")
    result = run("render", str(tmp_path / "r.json"), "--summary", str(path), "-o", str(tmp_path / "r.md"))
    assert (result.returncode, result.stdout) == (0, f"Wrote {tmp_path / 'r.md'}\nWrote {path}\n")
    assert path.read_text() == added + "\n" + (tmp_path / "r.md").read_text()


def test_a_summary_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    output = tmp_path / "r.json"
    for summary, words in (
        (tmp_path, ("it is a folder",)),
        (tmp_path / "none" / "s.md", ("there is no folder",)),
        (output, ("otherwise, too",)),
    ):
        assert_one_error(run("audit", *EXAMPLE, "-o", str(output), "--summary", str(summary)), 2, *words)
    full = tmp_path / "full.md"
    full.write_bytes(b"x" * 1_048_576)
    assert_one_error(run("audit", *EXAMPLE, "-o", str(output), "--summary", str(full)), 2, "1,048,576 bytes already")
    assert [entry.name for entry in tmp_path.iterdir()] == ["full.md"]


def test_events_of_an_export_without_a_time_are_refused_with_a_hint(tmp_path: Path) -> None:
    result = run("audit", "--inventory", str(export(tmp_path)), "-o", str(tmp_path / "r.ocsf.ndjson"), folder=tmp_path)
    assert_one_error(result, 2, "need a time", "--as-of")
    assert not (tmp_path / "r.ocsf.ndjson").exists()


def test_a_database_that_may_not_take_enough_memory_is_one_line_and_2(tmp_path: Path) -> None:
    (tmp_path / "auditor.yaml").write_text("engine: {memory: 20MB, spill: .}\n")
    result = run("audit", "--inventory", str(REPOSITORY / "examples" / "estate"), folder=tmp_path)
    assert_one_error(result, 2, "the database may not take enough memory", "Raise engine.memory in auditor.yaml.")
    assert [path.name for path in tmp_path.iterdir()] == ["auditor.yaml"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            duckdb.OutOfMemoryException("Out of Memory Error: failed to offload 1\nset by 'max_temp_directory_size'"),
            "the disk that the database spills to is full",
        ),
        (
            duckdb.IOException("IO Error: Could not write: No space left on device"),
            "the disk that the database spills to is full",
        ),
        (duckdb.IOException("IO Error: Cannot open file"), "cannot go on: IO Error: Cannot open file"),
    ],
)
def test_what_the_database_has_too_little_of_is_said(error: Exception, said: str) -> None:
    told = beyond_the_machine(error)
    assert told is not None
    assert told[0] == said
    assert beyond_the_machine(ValueError("Out of Memory Error")) is None
