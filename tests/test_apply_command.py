"""The installed command applying plans to a stand-in for Azure: what it refuses, what it says, what it exits with."""

import fcntl
import json
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from arm import Arm, Estate, Fault, Principal, Quota
from building import EstateBuilder, group_id, item_id, vm_id
from reading import with_views
from test_live_command import AUDITOR, assert_one_error, environment_of, run
from test_plan_live import CONFIG, built

from auditor.remediation.journal import Outcome
from auditor.remediation.model import Plan, decode_plan, encode_plan, signed

PLAN = ["plan", "--primary-endpoint", "azure", "--select", "vm-protected", "--trigger-backup", "-o", "p.json"]
APPLY = ["apply", "p.json", "--yes"]
PAGE = Path(__file__).resolve().parent.parent / "docs" / "applying.md"
JOB = re.compile(r"\(job [0-9a-f-]{36}\)")
OTHER_TENANT = "88888888-8888-8888-8888-888888888888"


def wanting() -> EstateBuilder:
    """Return an estate with VMs to protect: one in the vault that is there, some in regions that have none."""
    made = built()
    for name in ("north", "south"):
        made.vm(name, location="northeurope")
    made.add({"id": group_id("rg"), "type": "Microsoft.Resources/subscriptions/resourceGroups", "name": "rg"})
    return made.whole()


def standing(made: EstateBuilder, **options: Any) -> Arm:
    options.setdefault("access", "owner")
    return Arm(Estate(with_views(made.resources)), quota=Quota(1_000, 5.0), **options)


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Arm]:
    with standing(wanting()) as there:
        planned(tmp_path)
        yield there


@cache
def plan_of_wanting() -> bytes:
    """Plan once for what every test begins with: it takes longer than all else."""
    with tempfile.TemporaryDirectory() as name, standing(wanting()) as there:
        made(there, Path(name))
        return (Path(name) / "p.json").read_bytes()


def planned(folder: Path) -> Plan:
    (folder / "auditor.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "p.json").write_bytes(plan_of_wanting())
    return read(folder)


def made(arm: Arm, folder: Path, *more: str) -> Plan:
    """Plan for a stand-in."""
    (folder / "auditor.yaml").write_text(CONFIG, encoding="utf-8")
    result = run(arm, folder, *PLAN, *more)
    assert result.returncode == 0, result.stderr
    return read(folder)


def read(folder: Path) -> Plan:
    return decode_plan((folder / "p.json").read_bytes(), "p.json")


def rewritten(folder: Path, plan: Plan) -> None:
    (folder / "p.json").write_bytes(b"".join(encode_plan(signed(plan))))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "p.json.journal").read_bytes().splitlines()]


def assert_once(arm: Arm) -> None:
    """No VM is protected twice, no backup taken twice, no vault written over, and nothing deleted."""
    assert arm.deletions == []
    taken = Counter((seen.method, seen.path.lower()) for seen in arm.mutations if 0 < seen.status < 300)
    for (method, path), count in taken.items():
        assert count == 1 or method == "PATCH" or "/backuppolicies/" in path, path


def test_a_plan_is_shown_applied_and_its_verdicts_turn(arm: Arm, tmp_path: Path) -> None:
    plan = read(tmp_path)
    result = run(arm, tmp_path, *APPLY, "--wait-backup")
    assert result.returncode == 0, result.stderr
    steps = len(plan.automatic)
    assert f"{steps} of {steps} steps are done: {steps} applied." in result.stdout
    assert "Protect naked in vault by daily" in result.stderr
    assert "Verdicts: 3 turned." in result.stdout
    assert len(arm.mutations) == steps
    assert_once(arm)
    again = run(arm, tmp_path, *APPLY)
    assert again.returncode == 0, again.stderr
    assert len(arm.mutations) == steps
    assert made(arm, tmp_path).automatic == []


def test_without_backups_new_items_are_said_to_await_them(arm: Arm, tmp_path: Path) -> None:
    (tmp_path / "p.json").unlink()
    PLAN_ONLY = [argument for argument in PLAN if argument != "--trigger-backup"]  # noqa: N806
    assert run(arm, tmp_path, *PLAN_ONLY).returncode == 0
    result = run(arm, tmp_path, *APPLY)
    assert result.returncode == 0, result.stdout
    assert "fail" not in result.stdout


def test_nothing_is_applied_that_nobody_agreed_to(arm: Arm, tmp_path: Path) -> None:
    result = run(arm, tmp_path, "apply", "p.json")
    assert_one_error(result, 2, "nobody can be asked", "--yes")
    assert arm.mutations == []
    assert not (tmp_path / "p.json.journal").exists()


@pytest.mark.parametrize("how", ["edited", "cut", "other", "empty", "none", "folder", "version"])
def test_a_plan_that_is_not_as_it_was_made_is_refused(arm: Arm, tmp_path: Path, how: str) -> None:
    path = tmp_path / "p.json"
    text = path.read_text(encoding="utf-8")
    if how == "edited":
        path.write_text(text.replace("GeoRedundant", "LocallyRedundant"), encoding="utf-8")
    elif how == "version":
        path.write_text(text.replace('"schema_version": "1.0"', '"schema_version": "9.0"'), encoding="utf-8")
    elif how == "cut":
        path.write_text(text[: len(text) // 2], encoding="utf-8")
    elif how == "other":
        path.write_text('{"schema_version": "1.0"}', encoding="utf-8")
    elif how == "empty":
        path.write_text("", encoding="utf-8")
    else:
        path.unlink()
        if how == "folder":
            path.mkdir()
    result = run(arm, tmp_path, *APPLY)
    assert_one_error(result, 2, "p.json")
    assert arm.mutations == []


def test_a_plan_for_another_tenant_is_refused(arm: Arm, tmp_path: Path) -> None:
    plan = read(tmp_path)
    fields = {name: getattr(plan, name) for name in plan.__struct_fields__}
    rewritten(tmp_path, Plan(**{**fields, "tenant": OTHER_TENANT}))
    result = run(arm, tmp_path, *APPLY)
    assert result.returncode in (2, 4), result.stderr
    assert OTHER_TENANT in result.stderr or "tenant" in result.stderr
    rewritten(tmp_path, Plan(**{**fields, "tenant": ""}))
    assert_one_error(run(arm, tmp_path, *APPLY), 2, "does not say which tenant", "--tenant")
    assert_one_error(run(arm, tmp_path, *APPLY, "--tenant", OTHER_TENANT), 4)
    assert arm.mutations == []
    assert run(arm, tmp_path, *APPLY, "--tenant", arm.estate.tenant).returncode == 0


@pytest.mark.parametrize(
    ("as_of", "words"), [("2026-01-01T00:00:00Z", "days ago"), ("2999-01-01T00:00:00Z", "which is to come")]
)
def test_a_plan_of_another_time_is_refused(arm: Arm, tmp_path: Path, as_of: str, words: str) -> None:
    plan = read(tmp_path)
    fields = {name: getattr(plan, name) for name in plan.__struct_fields__}
    origin = plan.created_from
    kept = {name: getattr(origin, name) for name in origin.__struct_fields__}
    rewritten(tmp_path, Plan(**{**fields, "created_from": type(origin)(**{**kept, "as_of": as_of})}))
    assert_one_error(run(arm, tmp_path, *APPLY), 2, as_of, words)
    assert arm.mutations == []
    assert_one_error(run(arm, tmp_path, *APPLY, "--max-age", "soon"), 2, "--max-age soon is no time")


def test_a_second_run_at_the_same_time_is_refused(arm: Arm, tmp_path: Path) -> None:
    with (tmp_path / "p.json").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert_one_error(run(arm, tmp_path, *APPLY, "--journal", "another"), 2, "another run of p.json is under way")
    with (tmp_path / "p.json.journal").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = run(arm, tmp_path, *APPLY)
    assert_one_error(result, 2, "another run of this plan is under way")
    assert arm.mutations == []


def test_status_tells_how_far_it_is_and_sends_nothing(arm: Arm, tmp_path: Path) -> None:
    assert_one_error(run(arm, tmp_path, "apply", "p.json", "--status"), 2, "there is no journal")
    steps = len(read(tmp_path).automatic)
    assert run(arm, tmp_path, *APPLY, "--max-steps", "2").returncode == 0
    asked = len(arm.requests)
    result = run(arm, tmp_path, "apply", "p.json", "--status")
    assert result.returncode == 0, result.stderr
    assert f"2 of {steps} steps are done: 2 applied, {steps - 2} skipped." in result.stdout
    assert len(arm.requests) == asked


def test_a_step_that_fails_is_told_with_azures_code_and_ends_with_5(arm: Arm, tmp_path: Path) -> None:
    arm.fault(Fault("~^PUT .*;north/protectedItems/", "403", times=None))
    result = run(arm, tmp_path, *APPLY, "--verdicts-within", "0m")
    assert result.returncode == 5, result.stderr
    assert "AuthorizationFailed" in result.stdout
    assert "Protect north in rsv-northeurope-azure by auditor-daily" in result.stdout
    assert run(arm, tmp_path, "apply", "p.json", "--status").returncode == 5
    arm._faults.clear()
    assert run(arm, tmp_path, *APPLY).returncode == 0
    assert_once(arm)


def test_who_may_not_write_changes_nothing(tmp_path: Path) -> None:
    reader = Principal(client_id="77777777-7777-7777-7777-777777777777", access="reader")
    with standing(wanting(), principals=(reader,)) as arm:
        planned(tmp_path)
        result = run(arm, tmp_path, *APPLY, **arm.environment_of(reader))
        assert result.returncode == 5, result.stderr
        assert "AuthorizationFailed" in result.stdout
        assert arm.mutations
        assert all(seen.status == 403 for seen in arm.mutations)


def test_a_promised_verdict_that_does_not_come_ends_with_5(tmp_path: Path) -> None:
    with standing(wanting(), lag=100_000) as arm:
        planned(tmp_path)
        result = run(arm, tmp_path, *APPLY, "--verdicts-within", "0m")
        assert result.returncode == 5, result.stderr
        # What is in the vault that was there before is read from itself.
        assert "1 turned, 2 still failing, which the plan said would not" in result.stdout
        assert f"still fails  vm-protected on {vm_id('north')}" in result.stdout


def test_where_other_rules_hold_verdicts_are_not_told(arm: Arm, tmp_path: Path) -> None:
    (tmp_path / "auditor.yaml").write_text(f"{CONFIG}organisation: Another\n", encoding="utf-8")
    result = run(arm, tmp_path, *APPLY)
    assert result.returncode == 0, result.stderr
    assert "Verdicts are not looked at" in result.stderr
    assert "Verdicts:" not in result.stdout


# The journal


@pytest.mark.parametrize("cut", [1, 30, 119])
def test_a_journal_that_was_cut_off_in_a_line_is_gone_on_with(arm: Arm, tmp_path: Path, cut: int) -> None:
    assert run(arm, tmp_path, *APPLY, "--max-steps", "3").returncode == 0
    path = tmp_path / "p.json.journal"
    path.write_bytes(path.read_bytes()[:-cut])
    assert run(arm, tmp_path, *APPLY).returncode == 0
    assert_once(arm)
    assert all(lines(tmp_path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"event": "begun"\n', ":1:1: no line of a journal"),
        (b"hello", ":1:1: no line of a journal"),
        (b'{"event":"finished","at":"2026-01-01T00:00:00Z"}\n', "lacks its beginning"),
        (b'{"event":"begun","at":"2026-01-01T00:00:00Z","plan":"abc","format":1}\n', "the journal of another plan"),
        (b'{"event":"begun","at":"2026-01-01T00:00:00Z","plan":"abc","format":9}\n', "the journal of another version"),
        (b'{"event":"begun","at":"yesterday"}\n', ":1:1: no line of a journal"),
        (b"\xff\xfe\n", ":1:1: no line of a journal"),
    ],
)
def test_what_is_no_journal_of_the_plan_is_left_as_it_is(arm: Arm, tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "p.json.journal"
    path.write_bytes(content)
    assert_one_error(run(arm, tmp_path, *APPLY), 2, words)
    assert path.read_bytes() == content
    assert arm.mutations == []


def test_without_room_for_the_journal_nothing_is_sent(arm: Arm, tmp_path: Path) -> None:
    full = subprocess.run(
        [AUDITOR, *APPLY],
        cwd=tmp_path,
        env=environment_of(arm),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700)),
    )
    assert_one_error(full, 5, "cannot write the journal p.json.journal", "it goes on from what is noted")
    assert "of 9 steps are done" in full.stdout
    noted = [line["event"] for line in lines(tmp_path)]
    assert noted.count("call") >= len(arm.mutations)
    assert run(arm, tmp_path, *APPLY).returncode == 0
    assert_once(arm)


def test_a_plan_can_be_read_only_and_its_journal_elsewhere(arm: Arm, tmp_path: Path) -> None:
    result = run(arm, tmp_path, *APPLY, "--journal", "nowhere/journal")
    assert_one_error(result, 2, "cannot write the journal nowhere/journal", "--journal")
    (tmp_path / "elsewhere").mkdir()
    assert run(arm, tmp_path, *APPLY, "--journal", "elsewhere/journal").returncode == 0


# Stopped


def started(arm: Arm, folder: Path, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [AUDITOR, *APPLY, *more],
        cwd=folder,
        env=environment_of(arm),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(folder: Path, count: int, process: "subprocess.Popen[str]") -> None:
    """Wait until a journal has so many lines."""
    path = folder / "p.json.journal"
    end = time.monotonic() + 40
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end
        if process.poll() is not None:
            return
        time.sleep(0.002)


@pytest.mark.parametrize("count", [2, 20])
def test_a_run_that_is_killed_is_gone_on_with(tmp_path: Path, count: int) -> None:
    with standing(wanting(), latency=0.02, operation_seconds=10, retry_after=1) as arm:
        arm.clock.speed(20)
        steps = len(planned(tmp_path).automatic)
        process = started(arm, tmp_path, "--max-parallel", "4")
        until(tmp_path, count, process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        result = run(arm, tmp_path, *APPLY)
        assert result.returncode == 0, result.stderr + result.stdout
        assert f"{steps} of {steps} steps are done" in result.stdout
        assert_once(arm)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_finishes_calls_and_says_what_is_open(tmp_path: Path, number: signal.Signals) -> None:
    with standing(wanting(), operation_seconds=300) as arm:
        steps = len(planned(tmp_path).automatic)
        process = started(arm, tmp_path)
        until(tmp_path, 5, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "Stopping: calls in flight are finished" in err
        assert err.splitlines()[-2:] == [
            "error: stopped",
            "  hint: What is open goes on in Azure. Run the same again to go on from here.",
        ]
        assert "Traceback" not in err
        assert f"of {steps} steps are done" in out
        assert "open" in out
        arm.clock.advance(400)
        arm.operation_seconds = 0
        assert run(arm, tmp_path, *APPLY).returncode == 0
        assert_once(arm)


def test_a_plan_without_steps_is_done(tmp_path: Path) -> None:
    with standing(built().item("naked")) as arm:
        assert made(arm, tmp_path).automatic == []
        result = run(arm, tmp_path, *APPLY)
        assert result.returncode == 0, result.stderr
        assert "The plan has no step that a program can do." in result.stdout


def test_the_item_that_was_planned_is_there(arm: Arm, tmp_path: Path) -> None:
    assert run(arm, tmp_path, *APPLY).returncode == 0
    item = arm.estate.get(item_id("naked"))
    assert item is not None
    assert item["properties"]["policyName"] == "daily"


# docs/applying.md


def test_the_page_shows_what_its_command_prints(arm: Arm, tmp_path: Path) -> None:
    (block,) = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    result = run(arm, tmp_path, *APPLY, "--max-parallel", "1")
    printed = [JOB.sub("(job", line) for line in (result.stderr + result.stdout).splitlines()]
    shown = [JOB.sub("(job", line) for line in block.splitlines()[1:] if line != "..."]
    shown = [line for line in shown if not line.startswith("Applying ")]  # it names who applies, and where
    positions = [printed.index(line) for line in shown]
    assert positions == sorted(positions)
    assert len(positions) > 6


def test_the_page_names_every_option_and_outcome() -> None:
    text = PAGE.read_text(encoding="utf-8")
    said = subprocess.run([AUDITOR, "apply", "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"--[a-z][a-z-]*", said)) - {"--help", "--config", "--cloud", "--login"}
    named = set(re.findall(r"`(--[a-z][a-z-]*)", text))
    assert named == known | {"--delete-backup-data"}
    assert all(f"| `{outcome}` |" in text for outcome in get_args(Outcome))
    for code in ("ChangedSincePlan", "NotAsPlanned", "StillUnderWay", "NoJob"):
        assert f"`{code}`" in text
