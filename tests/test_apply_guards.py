"""What keeps applying a plan from harm: whom the token goes to, what is never sent, what is never taken for done."""

from typing import Any

import msgspec
import pytest
import wanting
from applying import Standing, planned, stood
from arm import Fault
from building import item_id, policy_id, vault_id
from test_apply_faults import PROTECT, assert_sound, by_title, failed, put

from auditor.azure.actuator import ArmActuator
from auditor.azure.session import origin_of
from auditor.remediation.actuator import Operation, Refusal, Stopped
from auditor.remediation.apply import Bounds
from auditor.remediation.comparing import besides, lacking, same
from auditor.remediation.journal import Journal
from auditor.remediation.model import Answer, Plan, Request, Step
from auditor.remediation.promised import promised_of
from auditor.remediation.requests import fault_of_steps

Json = dict[str, Any]
HOST = ("https", "management.azure.com", 443)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil:1234\\@management.azure.com/x",
        "https://evil\\.management.azure.com/x",
        "https://user@management.azure.com/x",
        "https://management.azure.com@evil/x",
        "https://management.azure.com\t.evil/x",
        "https://management.azure.com%00.evil/x",
        "https:///management.azure.com/x",
        "https://[bad/x",
        "//management.azure.com/x",
        "",
    ],
)
def test_an_address_that_could_be_read_otherwise_is_nobodys(url: str) -> None:
    assert origin_of(url) == ("", "", -1)


def test_the_same_host_is_known_however_it_is_written() -> None:
    for url in (
        "https://management.azure.com",
        "HTTPS://Management.Azure.com/x",
        "https://management.azure.com:443?a=b",
    ):
        assert origin_of(url) == HOST
    assert origin_of("http://management.azure.com/x") != HOST
    assert origin_of("https://management.azure.com:444/x") != HOST


def test_an_operation_at_an_odd_address_is_not_asked_about() -> None:
    with stood(wanting.unprotected) as standing:
        asked = len(standing.arm.requests)
        found = standing.actuator().follow(Operation(f"https://evil\\@{standing.arm.url.removeprefix('https://')}/x"))
        assert isinstance(found, Refusal)
        assert found.code == "AnotherHost"
        assert len(standing.arm.requests) == asked


# What is never sent


@pytest.mark.parametrize(
    "changed",
    [
        {"protectionState": "ProtectionStopped"},
        {"protectionState": "BackupsSuspended"},
        {"isScheduledForDeferredDelete": True},
    ],
)
def test_an_item_that_was_stopped_meanwhile_is_not_resumed(changed: Json) -> None:
    with stood(wanting.policies) as standing:
        held = standing.arm.estate.get(item_id("often")) or {}
        standing.arm.estate.put({**held, "properties": {**held["properties"], **changed}})
        (found,) = failed(standing.apply())
        assert (found.step.kind, found.code) == ("AssignPolicy", "ChangedSincePlan")
        assert not any(seen.path.endswith(";often") and seen.method == "PUT" for seen in standing.arm.mutations)


def test_a_404_of_a_proxy_is_not_taken_for_absence() -> None:
    vault = put(vault_id("rsv-northeurope-azure", "backup"), "Microsoft.RecoveryServices/vaults")
    there = {**vault, "location": "northeurope", "properties": wanting.BARE}
    with stood(wanting.unprotected, more=[there]) as standing:
        standing.arm.fault(Fault("~^GET .*/vaults/rsv-northeurope-azure$", "404-of-a-proxy", times=None))
        applied = standing.apply()
        title = next(title for title in by_title(applied) if title.startswith("Create vault rsv-northeurope-azure"))
        assert by_title(applied)[title].outcome == "failed"
        assert not any(seen.method == "PUT" and seen.path.count("/") == 8 for seen in standing.arm.mutations)


@pytest.mark.parametrize("kind", ["500", "503", "404"])
def test_where_it_cannot_be_asked_whether_a_vm_is_protected_it_is_not_protected(kind: Any) -> None:
    with stood(wanting.unprotected) as standing:
        standing.arm.fault(Fault("~/backupStatus$", kind, times=None))
        assert by_title(standing.apply())[PROTECT].outcome == "failed"
    with stood(wanting.unprotected) as standing:  # whoever may not ask relies on Azure, which refuses it, too
        standing.arm.fault(Fault("~/backupStatus$", "403", times=None))
        assert by_title(standing.apply())[PROTECT].outcome == "applied"


def test_nothing_is_begun_once_somebody_asked_to_stop() -> None:
    with stood(wanting.unprotected) as standing:
        look = ArmActuator.look

        def stopping(actuator: ArmActuator, path: str, version: str) -> Any:
            found = look(actuator, path, version)
            standing.stop.set()
            return found

        actuator = standing.actuator()
        actuator.look = stopping.__get__(actuator)  # type: ignore[method-assign]
        applied = standing.apply(actuator=actuator)
        assert applied.interrupted
        assert standing.arm.mutations == []
        assert {result.outcome for result in applied.results} == {"skipped"}


# Backups, once


def triggers(standing: Standing) -> int:
    return sum(seen.path.endswith(";new/backup") and 0 < seen.status < 300 for seen in standing.arm.mutations)


@pytest.mark.parametrize("kind", ["500", "504", "reset", "hang"])
def test_a_backup_whose_answer_was_lost_is_not_taken_again_however_late_its_job_shows(kind: Any) -> None:
    with stood(wanting.unprotected, backup_seconds=5000) as standing:
        standing.arm.fault(Fault("~;new/protectedItems/.*/backup$", kind, done=True))
        hidden = standing.arm.fault(Fault("~GET .*/vaults/vault/backupJobs$", "500", after=1, times=3))
        first = by_title(standing.apply())["Back up new now"]
        assert hidden.met
        second = by_title(standing.apply())["Back up new now"]
        assert "applied" in (first.outcome, second.outcome)
        assert triggers(standing) == 1


def test_a_backup_that_azure_took_is_never_sent_again_by_the_same_plan() -> None:
    with stood(wanting.unprotected) as standing:
        standing.arm.fault(Fault("~;new/protectedItems/.*/backup$", "operation-failed"))
        standing.apply(wait_backup=True)
        for key in [key for key in standing.arm.estate.resources if "/backupjobs/" in key]:
            standing.arm.estate.remove(key)  # as after some months
        found = by_title(standing.apply(wait_backup=True))["Back up new now"]
        assert found.outcome == "failed"
        assert "only a new plan sends it again" in found.message
        assert triggers(standing) == 1


def test_a_plan_of_a_clock_that_is_ahead_still_finds_its_own_backup() -> None:
    with stood(wanting.unprotected, backup_seconds=5000) as standing:
        standing.arm.clock.advance(-3600 - 250)  # the plan's clock was 250 seconds ahead of Azure's
        assert by_title(standing.apply())["Back up new now"].outcome == "applied"
        standing.journal.unlink()
        assert by_title(standing.apply())["Back up new now"].outcome == "unchanged"
        assert triggers(standing) == 1


# What counts


def test_writes_that_azure_refused_do_not_count_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.remediation.doing.MOST_POLICY_WRITES", 3)
    with stood(wanting.policies) as standing:
        standing.arm.fault(Fault("~^PUT .*/backupPolicies/", "409-busy", times=6))
        assert not failed(standing.apply())


def test_a_refused_step_that_somebody_else_did_is_unchanged() -> None:
    with stood(wanting.unprotected) as standing:
        standing.arm.fault(Fault("~^PUT .*;new/protectedItems/", "403"))
        assert by_title(standing.apply())[PROTECT].outcome == "failed"
        step = next(step for step in standing.plan.automatic if step.title == PROTECT)
        assert step.request is not None
        properties = {**(step.request.body or {})["properties"], "protectionState": "Protected"}
        kind = "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems"
        standing.arm.estate.put(put(step.target, kind, **properties))
        assert by_title(standing.apply())[PROTECT].outcome == "unchanged"


def test_a_policy_that_does_more_than_was_reviewed_is_not_taken_for_it() -> None:
    with stood(wanting.policies) as standing:
        step = next(step for step in standing.plan.automatic if step.kind == "DefinePolicy")
        assert step.request is not None
        properties = msgspec.json.decode(msgspec.json.encode((step.request.body or {})["properties"]))
        properties["retentionPolicy"]["yearlySchedule"] = {"retentionDuration": {"count": 9, "durationType": "Years"}}
        standing.arm.estate.put(put(step.target, "Microsoft.RecoveryServices/vaults/backupPolicies", **properties))
        (found, *_) = failed(standing.apply())
        assert (found.step.id, found.code) == (step.id, "ChangedSincePlan")


@pytest.mark.parametrize(
    "fails", [Fault("~x", "403"), Fault("~x", "429", times=None), Fault("~x", "409-busy", times=9)]
)
def test_every_run_ends_and_is_sound(fails: Fault) -> None:
    fails.match = "~^(PUT|PATCH|POST) .*RecoveryServices"
    with stood(wanting.unprotected) as standing:
        standing.arm.fault(fails)
        assert_sound(standing, standing.apply(bounds=Bounds(parallel=3)))


def test_what_was_not_read_has_not_turned() -> None:
    with stood(wanting.unprotected) as standing:
        applied = standing.apply()
        promised = promised_of(standing.plan, applied.results)
    assert len(promised.answers) > 2
    assert len(promised.held_against({}).unread) == len(promised.answers)
    passed = promised.held_against(dict.fromkeys(promised.verdicts, "p"))
    assert (len(passed.turned), passed.unread) == (len(promised.answers), [])
    first: Answer = promised.answers[0]
    assert promised.held_against({promised.verdicts[0]: "f"}).missing == [first]


# Plans that nobody made


def step(**changed: Any) -> Step:
    target = f"{vault_id()}/backupPolicies/new"
    request = Request(method="PUT", path=target, api_version="2025-02-01", body={})
    return Step(**{"id": "one", "kind": "DefinePolicy", "target": target, "title": "", "request": request, **changed})


@pytest.mark.parametrize(
    "steps",
    [
        [step(request=None)],
        [step(request=Request(method="DELETE", path=step().target, api_version="2025-02-01"))],  # type: ignore[arg-type]
        [step(request=Request(method="PUT", path=vault_id(), api_version="2025-02-01"))],
        [step(request=Request(method="PUT", path=step().target, api_version="2016-01-01"))],
        [step(target=vault_id())],
        [step(kind="TriggerBackup")],
        [step(depends_on=["nobody"])],
        [step(depends_on=["one"])],
        [step(depends_on=["two"]), step(id="two")],
        [step(), step()],
    ],
)
def test_steps_that_no_plan_has_are_told(steps: list[Step]) -> None:
    assert fault_of_steps(steps)


@pytest.mark.parametrize("make", [wanting.unprotected, wanting.in_place, wanting.policies])
def test_the_steps_of_a_plan_are_those_that_a_plan_has(make: Any) -> None:
    plan: Plan = planned(make)
    assert fault_of_steps(plan.steps) == ""
    assert fault_of_steps(list(reversed(plan.automatic)))


# Comparing


def test_what_azure_gives_back_in_other_words_is_the_same() -> None:
    wanted = {"days": ["Sunday", "Monday"], "at": ["2026-01-01T02:00:00Z"], "count": 3, "none": [], "zone": "UTC"}
    held = {
        "days": ["monday", "sunday"],
        "at": ["2026-01-01T02:00:00.0000000Z"],
        "count": 3.0,
        "zone": "utc",
        "more": 1,
    }
    assert lacking(held, wanted) == ""
    assert lacking({**held, "count": 4}, wanted) == "/count is 4, not 3"
    assert lacking({**held, "days": ["monday"]}, wanted).startswith("/days is")
    assert not same(1, True)  # noqa: FBT003 -- it is about the value
    assert not same({"a": 1, "b": 2}, {"a": 1})
    assert same({"a": 1, "b": None}, {"a": 1})
    assert besides({"a": 1, "b": 0, "c": {"d": 1}}, {"a": 1}) == ["c"]


def test_zeros_and_empty_lines_that_a_power_cut_left_are_no_lines(tmp_path: Any) -> None:
    path = tmp_path / "journal"
    Journal(path, "plan", "tool", lambda: 0.0).close()
    whole = path.read_bytes()
    for rubbish in (b"\0" * 500, b"\n\n", b'{"event":"ca', b'{"event":"ca\0\0\0'):
        path.write_bytes(whole + rubbish)
        journal = Journal(path, "plan", "tool", lambda: 0.0)
        assert journal.resumed
        journal.close()
        assert path.read_bytes() == whole * 2
        path.write_bytes(whole)


def test_a_pause_says_when_somebody_asked_to_stop() -> None:
    with stood(wanting.unprotected) as standing:
        standing.stop.set()
        with pytest.raises(Stopped):
            standing.actuator().pause(0.0)


def test_the_policy_that_a_step_writes_is_the_one_it_names() -> None:
    assert fault_of_steps([step(target=policy_id())])
