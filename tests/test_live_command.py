"""The installed command reading a stand-in for Azure: what it says, and what it exits with."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from arm import Arm, Estate, Fault, Quota
from building import SUBSCRIPTION, estate
from reading import Json, with_views

from auditor.timestamps import parse_time

AUDITOR = str(Path(sys.executable).parent / "auditor")
GRAPH = "POST /providers/Microsoft.ResourceGraph"
THERE = ["audit", "--primary-endpoint", "azure"]


def resources() -> list[Json]:
    built = estate().vault().policy().vm("web").item("web").vm("naked").job("web")
    return with_views(built.whole().resources)


def protected() -> list[Json]:
    return with_views(estate().vault().policy().vm("web").item("web").job("web").whole().resources)


def environment_of(arm: Arm, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONUTF8": "1", **arm.environment, **more}


def run(arm: Arm, folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [AUDITOR, *arguments],
        cwd=folder,
        env=environment_of(arm, **more),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


@pytest.fixture
def arm() -> Iterator[Arm]:
    with Arm(Estate(resources()), quota=Quota(1_000, 5.0)) as standing:
        yield standing


def assert_one_error(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-2:-1]
    assert lines[-1].startswith("  hint: ")
    for word in words:
        assert word in result.stderr


def test_an_audit_without_an_inventory_reads_azure(arm: Arm, tmp_path: Path) -> None:
    result = run(arm, tmp_path, *THERE, "-o", "r.json", "--as-of", "2026-06-15T12:00:00Z")
    assert result.returncode == 1, result.stderr
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["inventory"]["tenant"] == arm.estate.tenant
    assert report["inventory"]["principal"].startswith("application ")
    assert report["inventory"]["collected_at"] <= report["inventory"]["collected_until"]
    assert report["gaps"] == []
    said = result.stderr.splitlines()
    assert said[0].startswith("Reading public at 127.0.0.1 as application ")
    assert re.fullmatch(r"Read .*2 virtual machines.* in \d+ s and \d+ requests", said[1])
    assert "rows read from Azure (public at 127.0.0.1)" in result.stdout
    assert "\x1b" not in result.stdout + result.stderr
    assert "naked  vm-protected: Not backed up" in result.stdout


def test_no_secret_and_no_token_is_ever_shown(arm: Arm, tmp_path: Path) -> None:
    shown = ""
    arm.fault(Fault("~GET .*/instanceView", "403", times=None))
    for arguments in ([*THERE, "-o", "r.json", "-o", "r.html"], ["doctor"], ["collect", "-o", "s"]):
        result = run(arm, tmp_path, *arguments, AUDITOR_DEBUG="1")
        shown += result.stdout + result.stderr
    for path in tmp_path.rglob("*"):
        shown += path.read_bytes().decode("latin-1") if path.is_file() else ""
    assert arm.environment["AZURE_CLIENT_SECRET"] not in shown
    assert not re.search(r"eyJ[\w-]{20,}\.", shown)
    assert "Bearer" not in shown


def test_a_snapshot_is_judged_as_azure_was(arm: Arm, tmp_path: Path) -> None:
    live = run(arm, tmp_path, *THERE, "-o", "live.json", "--as-of", "2026-06-15T12:00:00Z")
    assert run(arm, tmp_path, "collect", "-o", "taken").returncode == 0
    assert not (tmp_path / "taken.partial").exists()
    before = len(arm.requests)
    later = run(arm, tmp_path, *THERE, "--inventory", "taken", "-o", "later.json", "--as-of", "2026-06-15T12:00:00Z")
    assert len(arm.requests) == before
    assert (live.returncode, later.returncode) == (1, 1)
    one, other = (json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("live.json", "later.json"))
    assert one["outcomes"] == other["outcomes"]
    assert {key: one["inventory"][key] for key in ("tenant", "cloud", "principal", "scope")} == {
        key: other["inventory"][key] for key in ("tenant", "cloud", "principal", "scope")
    }
    manifest = json.loads((tmp_path / "taken" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["tenant"] == arm.estate.tenant
    assert manifest["judged"] == [SUBSCRIPTION]
    assert any("order by id asc" in query for query in manifest["queries"])


def test_explain_reads_the_subscription_that_an_id_names(arm: Arm, tmp_path: Path) -> None:
    name = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/web"
    result = run(arm, tmp_path, "explain", name, "--primary-endpoint", "azure")
    assert result.returncode == 0, result.stderr
    assert "vm-protected" in result.stdout
    assert {tuple(seen.body["subscriptions"]) for seen in arm.requests if "ResourceGraph" in seen.path} == {
        (SUBSCRIPTION,)
    }


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ({"AZURE_CLIENT_SECRET": "of-yesterday"}, ["AADSTS7000215", "make a new one"]),
        ({"AZURE_TENANT_ID": "77777777-7777-7777-7777-777777777777"}, ["does not know the tenant", "--tenant"]),
    ],
)
def test_an_identity_that_is_refused_exits_with_4(
    arm: Arm, tmp_path: Path, secret: dict[str, str], words: list[str]
) -> None:
    result = run(arm, tmp_path, "audit", "--login", "service-principal", **secret)
    assert_one_error(result, 4, *words)
    assert secret.get("AZURE_CLIENT_SECRET", "?") not in result.stderr


def test_no_credential_at_all_exits_with_4(arm: Arm, tmp_path: Path) -> None:
    began = time.monotonic()
    nothing = {"AZURE_CLIENT_ID": "", "AZURE_TENANT_ID": "", "AZURE_CLIENT_SECRET": "", "PATH": "/nowhere"}
    result = run(arm, tmp_path, "audit", **nothing, HOME=str(tmp_path))
    assert_one_error(result, 4, "cannot sign in", "az login")
    assert time.monotonic() - began < 30


def test_a_token_that_azure_no_longer_accepts_exits_with_4_after_one_more_try(arm: Arm, tmp_path: Path) -> None:
    arm.fault(Fault("GET /subscriptions", "401", times=None))
    result = run(arm, tmp_path, "audit")
    assert_one_error(result, 4, "does not accept the identity", "Sign in again")
    assert [seen.status for seen in arm.requests if seen.path == "/subscriptions"] == [401, 401]


def test_one_token_that_ended_is_asked_for_anew(arm: Arm, tmp_path: Path) -> None:
    arm.fault(Fault(GRAPH, "401", times=1))
    assert run(arm, tmp_path, *THERE, "--as-of", "2026-06-15T12:00:00Z").returncode == 1


def test_a_network_that_is_not_there_exits_with_4_within_half_a_minute(arm: Arm, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound and not listening: refuses
        closed.bind(("127.0.0.1", 0))
        nowhere = f"https://127.0.0.1:{closed.getsockname()[1]}"
        began = time.monotonic()
        assert_one_error(run(arm, tmp_path, "audit", AUDITOR_ARM_ENDPOINT=nowhere), 4, "cannot reach", "HTTPS_PROXY")
        assert_one_error(run(arm, tmp_path, "doctor", AZURE_AUTHORITY_HOST=nowhere), 4, "cannot", "hint")
        assert time.monotonic() - began < 30


def test_a_certificate_that_is_not_trusted_exits_with_4(arm: Arm, tmp_path: Path) -> None:
    result = run(arm, tmp_path, "audit", "--login", "service-principal", REQUESTS_CA_BUNDLE="")
    assert_one_error(result, 4, "ERTIFICATE")


def test_an_endpoint_without_tls_is_refused(arm: Arm, tmp_path: Path) -> None:
    assert_one_error(run(arm, tmp_path, "audit", AUDITOR_ARM_ENDPOINT="http://127.0.0.1:1"), 2, "TLS")


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that passes connections through, and remembers where to."""
    seen: list[str] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def serve(client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4_096)
            target = head.split()[1].decode()
            seen.append(target)
            host, _, port = target.partition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join(5)

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", seen
    finally:
        listening.close()


def test_a_proxy_is_gone_through(arm: Arm, tmp_path: Path) -> None:
    with proxy() as (address, seen):
        result = run(arm, tmp_path, *THERE, HTTPS_PROXY=address, NO_PROXY="", no_proxy="")
    assert result.returncode == 1, result.stderr
    assert set(seen) == {arm.url.removeprefix("https://")}


def test_a_proxy_that_is_not_there_is_named_in_the_hint(arm: Arm, tmp_path: Path) -> None:
    result = run(arm, tmp_path, "audit", HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY="", no_proxy="")
    assert result.returncode == 4
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("access", "code"), [("none", 3), ({SUBSCRIPTION: "none"}, 3)])
def test_no_visible_subscription_exits_with_3(tmp_path: Path, access: Any, code: int) -> None:
    with Arm(Estate(resources()), quota=Quota(1_000, 5.0), access=access) as arm:
        result = run(arm, tmp_path, *THERE)
        asked = run(arm, tmp_path, *THERE, "--subscription", SUBSCRIPTION)
        seen = run(arm, tmp_path, "doctor")
    assert (result.returncode, asked.returncode, seen.returncode) == (code, 3, 3)
    assert "no subscription is visible" in result.stdout
    assert f"subscription {SUBSCRIPTION} was asked for" in asked.stdout
    assert "no subscription is visible" in seen.stdout


def test_one_of_several_subscriptions_that_is_refused_exits_with_3_unless_there_are_violations(tmp_path: Path) -> None:
    other = "22222222-2222-2222-2222-222222222222"
    with Arm(Estate(protected()), quota=Quota(1_000, 5.0)) as arm:
        flags = ["--subscription", SUBSCRIPTION, "--subscription", other, "--as-of", "2026-06-15T12:00:00Z"]
        alone = run(arm, tmp_path, *THERE, *flags[:2], *flags[4:])
        both = run(arm, tmp_path, *THERE, *flags)
        collected = run(arm, tmp_path, "collect", "-o", "s", *flags[:4])
        snapshot = run(arm, tmp_path, *THERE, "--inventory", "s", "--as-of", "2026-06-15T12:00:00Z")
        for resource in resources():
            arm.estate.put(resource)
        failing = run(arm, tmp_path, *THERE, *flags)
    assert (alone.returncode, both.returncode, failing.returncode) == (0, 3, 1), both.stdout
    assert (collected.returncode, snapshot.returncode) == (3, 3)
    assert f"Not read: subscription {other}" in collected.stderr


def test_a_full_disk_ends_with_one_line(arm: Arm, tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        " resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700)); from auditor.cli.app import main;"
        " sys.argv = ['auditor', 'collect', '-o', 'taken']; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment_of(arm),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert_one_error(result, 2, "File too large", "disk")
    assert not (tmp_path / "taken").exists()
    assert run(arm, tmp_path, "collect", "-o", "taken").returncode == 0


def started(arm: Arm, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [AUDITOR, *arguments],
        cwd=folder,
        env=environment_of(arm),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(arm: Arm, text: str) -> None:
    until = time.monotonic() + 30
    while not any(text in f"{seen.method} {seen.path} {seen.body}" for seen in arm.requests):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_an_interrupt_stops_soon_although_azure_does_not_answer(arm: Arm, tmp_path: Path) -> None:
    arm.fault(Fault(GRAPH, "hang", times=None, body="backupjobs"))
    process = started(arm, tmp_path, "collect", "-o", "taken")
    wait_for(arm, "backupjobs")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 5
    assert "error: interrupted" in said
    assert "taken.partial: the same command goes on" in said
    assert "Traceback" not in said
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_what_was_read_before_a_kill_is_not_read_again(arm: Arm, tmp_path: Path, kill: signal.Signals) -> None:
    views = arm.fault(Fault("~GET .*/naked/instanceView", "hang", times=1))
    process = started(arm, tmp_path, "collect", "-o", "taken")
    wait_for(arm, "/naked/instanceView")
    time.sleep(0.3)
    process.send_signal(kill)
    process.communicate(timeout=30)
    before = len(arm.requests)
    again = run(arm, tmp_path, "collect", "-o", "taken")
    assert again.returncode == 0, again.stderr
    assert views.times == 1
    assert "Going on with what was read into taken.partial" in again.stderr
    asked = [f"{seen.method} {seen.path}" for seen in arm.requests[before:]]
    assert [path for path in asked if path.startswith(GRAPH)] == []
    assert [path for path in asked if "/naked/instanceView" in path] != []
    assert not (tmp_path / "taken.partial").exists()
    fresh = run(arm, tmp_path, "collect", "-o", "fresh")
    assert fresh.returncode == 0
    one, other = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("taken", "fresh"))
    assert {name: held["rows"] for name, held in one["tables"].items()} == {
        name: held["rows"] for name, held in other["tables"].items()
    }
    assert one["tables"]["virtual_machines"]["sha256"] == other["tables"]["virtual_machines"]["sha256"]


def test_another_question_does_not_go_on_with_the_pages_of_the_first(arm: Arm, tmp_path: Path) -> None:
    refusing = arm.fault(Fault("~GET .*/instanceView", "401", times=None))
    assert run(arm, tmp_path, "collect", "-o", "taken").returncode == 4
    refusing.times = 0
    assert (tmp_path / "taken.partial").is_dir()
    other = run(arm, tmp_path, "collect", "-o", "taken", "--subscription", SUBSCRIPTION)
    assert_one_error(other, 2, "another question")
    (tmp_path / "mine.partial").mkdir()
    (tmp_path / "mine.partial" / "diary.txt").write_text("dear diary")
    assert_one_error(run(arm, tmp_path, "collect", "-o", "mine"), 2, "in the way")
    assert (tmp_path / "mine.partial" / "diary.txt").read_text() == "dear diary"
    assert run(arm, tmp_path, "collect", "-o", "taken").returncode == 0


def test_doctor_says_who_and_where_and_what_is_missing(arm: Arm, tmp_path: Path) -> None:
    result = run(arm, tmp_path, "doctor")
    assert result.returncode == 0, result.stdout
    said = dict(re.findall(r"^(\S.{12}) (.*)$", result.stdout, re.MULTILINE))
    said = {label.strip(): text for label, text in said.items()}
    assert said["Cloud"] == f"public at 127.0.0.1 ({arm.url})"
    assert arm.estate.tenant in said["Signed in"]
    assert said["Clock"] == "within 1 s of Azure's"
    assert said["Subscriptions"] == "1 would be judged"
    assert said["Would read"].startswith("2 virtual machines, 1 vault, 1 backup policy, 1 protected item, 1 backup job")
    assert "Microsoft.RecoveryServices/Vaults/write" in result.stdout
    assert {seen.method for seen in arm.requests if "oauth2" not in seen.path and "ResourceGraph" not in seen.path} == {
        "GET"
    }


def test_doctor_names_the_role_to_ask_for(tmp_path: Path) -> None:
    custom = {"actions": ["*/read"], "notActions": ["Microsoft.Compute/virtualMachines/instanceView/read"]}
    with Arm(Estate(resources()), quota=Quota(1_000, 5.0), access={SUBSCRIPTION: custom}) as arm:
        result = run(arm, tmp_path, "doctor")
    assert result.returncode == 3
    assert f"an audit needs {custom['notActions'][0]}. Ask for the role Reader" in result.stdout


def test_doctor_tells_a_clock_that_is_off_and_providers_that_are_not_registered(tmp_path: Path) -> None:
    built = Estate(resources(), unregistered={SUBSCRIPTION: ["Microsoft.RecoveryServices"]})
    with Arm(built, quota=Quota(1_000, 5.0)) as arm:
        arm.clock.advance(600)
        result = run(arm, tmp_path, "doctor")
        audited = run(arm, tmp_path, *THERE, "-o", "r.json")
    assert re.search(r"this machine is behind by (599|60\d) s", result.stdout)
    assert "Microsoft.RecoveryServices is not registered" in result.stdout
    assert "seconds behind Azure's; times are Azure's" in audited.stdout
    as_of = parse_time(json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["as_of"])
    assert as_of is not None
    assert 590 < as_of / 1_000_000 - time.time() < 610


def test_progress_on_a_terminal_is_drawn_and_taken_away(arm: Arm, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [AUDITOR, "collect", "-o", "taken"], cwd=tmp_path, env=environment_of(arm, TERM="xterm"), stderr=follower
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            data = os.read(leader, 65_536)
        except OSError:
            break
        if not data:
            break
        shown += data
    assert process.wait(30) == 0
    assert b"virtual machines" in shown
    assert b"\x1b[" in shown
    assert b"Reading public at 127.0.0.1" in shown
