"""Plans applied while something goes wrong: nothing is done twice, nothing is said to be done that is not."""

from collections import Counter
from functools import cache
from typing import Any

import pytest
import wanting
from applying import Standing, stood
from arm import Fault
from building import OTHER_SUBSCRIPTION, item_id, policy_id, vault_id, vm_id
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.remediation.apply import Applied, Bounds
from auditor.remediation.doing import Limits, Result

Json = dict[str, Any]
CALLS = [
    r"~^GET .*/vaults/[^/]+$",
    r"~^PUT .*/vaults/[^/]+$",
    r"~^PATCH .*/vaults/[^/]+$",
    r"~^GET .*/operationStatus/",
    r"~^GET .*/backupPolicies/[^/]+$",
    r"~^PUT .*/backupPolicies/[^/]+$",
    r"~^GET .*/protectedItems/[^/]+$",
    r"~^PUT .*/protectedItems/[^/]+$",
    r"~^GET .*/operationsStatus/",
    r"~^GET .*/virtualMachines/[^/]+$",
    r"~^GET .*/backupstorageconfig/",
    r"~^GET .*/backupJobs$",
    r"~^POST .*/backupStatus$",
    r"~^POST .*/backup$",
]
PASSING = ["429", "500", "504", "reset", "hang", "cut", "not-json"]
TRIGGER = CALLS[-1]


@cache
def undisturbed() -> tuple[Json, set[tuple[str, str, str]]]:
    with stood(wanting.unprotected) as standing:
        standing.apply()
        sent = standing.accepted()
        return standing.state(), set(sent)


def by_title(applied: Applied) -> dict[str, Result]:
    return {result.step.title: result for result in applied.results}


def failed(applied: Applied) -> list[Result]:
    return [result for result in applied.results if result.outcome == "failed"]


def assert_sound(standing: Standing, applied: Applied) -> None:
    """Nothing is deleted, no vault is written over, no VM protected twice, no backup taken twice; done is done."""
    arm = standing.arm
    assert arm.deletions == []
    for seen in arm.mutations:
        if seen.method == "PUT" and seen.path.count("/") == 8:
            assert seen.status != 200, "a PUT reached a vault that exists"
    jobs = [entry["properties"] for key, entry in arm.estate.resources.items() if "/backupjobs/" in key]
    begun = Counter((job["operation"], job["containerName"].lower()) for job in jobs)
    lost = Counter((job["operation"], job["containerName"].lower()) for job in jobs if job["status"] == "Failed")
    for (operation, container), count in begun.items():
        assert count <= 1 or (operation != "Backup" and count - lost[operation, container] <= 1), container
    for result in applied.results:
        target = arm.estate.get(result.step.target)
        if result.done and result.step.kind != "TriggerBackup":
            assert target is not None, result
        if result.outcome == "skipped" and result.step.kind == "CreateVault":
            assert target is None, result


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", PASSING)
def test_what_goes_wrong_once_changes_nothing_in_the_end(call: str, kind: Any) -> None:
    for done in (False, True) if kind in ("reset", "hang", "500", "504") else (False,):
        with stood(wanting.unprotected) as standing:
            fault = standing.arm.fault(Fault(call, kind, done=done))
            applied = standing.apply()
            assert fault.met, "the fault was never met"
            assert_sound(standing, applied)
            if call == TRIGGER and kind not in ("429", "cut", "not-json") and not done:
                (one,) = failed(applied)  # nobody knows, so it is left to the next run
                assert "not sent again before the next run" in one.message
                assert sum(seen.path.endswith("/backup") for seen in standing.arm.mutations) == 3  # one for each item
                applied = standing.apply()
            assert {result.outcome for result in applied.results} == {"applied"}, (done, failed(applied))
            assert set(standing.accepted()) == undisturbed()[1]
            assert standing.state() == undisturbed()[0]


faults = st.lists(
    st.builds(
        Fault,
        st.sampled_from(CALLS),
        st.sampled_from([*PASSING, "429-no-retry-after", "502", "503", "403", "404", "operation-failed"]),
        after=st.integers(0, 4),
        times=st.sampled_from([1, 2, 7, None]),
        done=st.booleans(),
    ),
    max_size=4,
)


@settings(max_examples=examples(15), deadline=None)
@given(faults=faults, parallel=st.sampled_from([1, 4]), within=st.floats(0, 9000))
def test_whatever_goes_wrong_nothing_is_done_twice_and_a_quiet_run_ends_it(
    faults: list[Fault], parallel: int, within: float
) -> None:
    with stood(wanting.unprotected) as standing:
        for fault in faults:
            if fault.done and fault.kind in ("403", "404", "429", "429-no-retry-after", "operation-failed"):
                fault.done = False  # these are said by who did not do it
            standing.arm.fault(fault)
        applied = standing.apply(bounds=Bounds(parallel=parallel), limits=Limits(busy=600, settle=30))
        assert_sound(standing, applied)
        standing.arm._faults.clear()
        standing.arm.clock.advance(within)
        again = standing.apply()
        assert_sound(standing, again)
        broken = any(fault.kind == "operation-failed" and fault.met for fault in faults)
        assert broken or not failed(again)
        if not failed(again):
            assert standing.state() == undisturbed()[0]


def unwell(fault: Fault, **more: Any) -> tuple[dict[str, Result], Standing]:
    with stood(wanting.unprotected, **more) as standing:
        standing.arm.fault(fault)
        applied = standing.apply()
        assert_sound(standing, applied)
        return by_title(applied), standing


PROTECT = "Protect new in vault by daily"
LONELY = "Protect lonely in rsv-northeurope-azure by auditor-daily"


def test_a_403_on_one_of_three_fails_that_one_and_what_needs_it() -> None:
    match = r"~^PUT .*vaults/rsv-northeurope-azure/.*/protectedItems/"
    found, _ = unwell(Fault(match, "403", times=None))
    assert found[LONELY].outcome == "failed"
    assert found[LONELY].code == "AuthorizationFailed"
    assert found["Back up lonely now"].outcome == "skipped"
    assert found["Back up lonely now"].message == f"it needs what was not done: {LONELY}"
    assert found[PROTECT].outcome == found["Back up new now"].outcome == "applied"


def test_an_operation_that_fails_tells_azures_own_code() -> None:
    code = ("UserErrorGuestAgentStatusUnavailable", "The agent of the VM does not answer.")
    found, _ = unwell(Fault("~^PUT .*;new/protectedItems/", "operation-failed", failure=code))
    assert (found[PROTECT].outcome, found[PROTECT].code, found[PROTECT].message) == ("failed", *code)


def test_an_operation_that_never_ends_is_left_open_and_gone_on_with() -> None:
    with stood(wanting.unprotected, operation_seconds=100_000) as standing:
        first = by_title(standing.apply(limits=Limits(busy=600)))
        assert (first[PROTECT].outcome, first[PROTECT].code) == ("open", "StillRunning")
        assert first["Back up new now"].outcome == "skipped"
        sent = len(standing.arm.mutations)
        standing.arm.clock.advance(100_000)
        assert by_title(standing.apply())[PROTECT].outcome == "applied"
        again = [seen for seen in standing.arm.mutations[sent:] if seen.path.endswith(";new") and seen.method == "PUT"]
        assert again == []


# What changed since the plan was made


def changed(*more: Json) -> dict[str, Result]:
    with stood(wanting.unprotected, more=more) as standing:
        applied = standing.apply()
        assert_sound(standing, applied)
        return by_title(applied)


def put(arm_id: str, kind: str, **properties: Any) -> Json:
    return {"id": arm_id, "name": arm_id.rpartition("/")[2], "type": kind, "properties": properties}


ITEM = "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems"


def item(vault: str | None = None, **properties: Any) -> Json:
    held = {
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "backupManagementType": "AzureIaasVM",
        "sourceResourceId": vm_id("new"),
        "friendlyName": "new",
        "containerName": "iaasvmcontainerv2;rg;new",
        "protectionState": "Protected",
        "policyId": policy_id(),
        **properties,
    }
    return put(item_id("new", vault=vault), ITEM, **held)


def test_a_vm_that_was_protected_meanwhile_as_planned_is_found_done() -> None:
    assert changed(item())[PROTECT].outcome == "unchanged"


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"policyId": policy_id("other")}, "it is another: /properties/policyId is"),
        ({"protectionState": "ProtectionStopped"}, "its state is ProtectionStopped"),
        ({"isScheduledForDeferredDelete": True}, "the item was deleted, and is kept for a while"),
    ],
)
def test_nothing_is_enabled_over_an_item(properties: Json, words: str) -> None:
    found = changed(item(**properties))[PROTECT]
    assert (found.outcome, found.code) == ("failed", "ChangedSincePlan")
    assert words in found.message


def test_a_vm_that_is_protected_elsewhere_meanwhile_is_left_alone() -> None:
    other = vault_id("theirs", "theirs", OTHER_SUBSCRIPTION)
    vault = {**put(other, "Microsoft.RecoveryServices/vaults"), "location": "westeurope"}
    found = changed(vault, item(other))[PROTECT]
    assert (found.outcome, found.code) == ("failed", "ChangedSincePlan")
    assert "protected elsewhere by now" in found.message


def test_a_vm_that_is_gone_is_not_protected() -> None:
    with stood(wanting.unprotected) as standing:
        standing.arm.estate.remove(vm_id("new"))
        found = by_title(standing.apply())[PROTECT]
    assert (found.outcome, found.code, found.message) == ("failed", "ChangedSincePlan", "new is not there any more")


def test_a_vault_whose_redundancy_was_locked_meanwhile_keeps_it() -> None:
    with stood(wanting.unprotected) as standing:
        config = f"{vault_id('wrong')}/backupstorageconfig/vaultstorageconfig"
        held = {"storageModelType": "LocallyRedundant", "storageTypeState": "Locked", "crossRegionRestoreFlag": False}
        kind = "Microsoft.RecoveryServices/vaults/backupstorageconfig"
        standing.arm.estate.put(put(config, kind, **held))
        applied = standing.apply()
        found = by_title(applied)
    title = "Make wrong GeoRedundant instead of LocallyRedundant"
    assert (found[title].outcome, found[title].code) == ("failed", "ChangedSincePlan")
    assert "storageTypeState is Locked" in found[title].message
    assert found["Protect stray in wrong by auditor-daily"].outcome == "skipped"


def test_a_policy_that_was_changed_meanwhile_is_not_edited() -> None:
    with stood(wanting.in_place) as standing:
        held = standing.arm.estate.get(policy_id()) or {}
        standing.arm.estate.put({**held, "properties": {**held["properties"], "timeZone": "Tokyo Standard Time"}})
        (found,) = failed(standing.apply())
    assert (found.step.kind, found.code) == ("DefinePolicy", "ChangedSincePlan")
    assert "/properties/timeZone is Tokyo Standard Time, not UTC" in found.message


def test_what_a_policy_has_beside_the_plan_stays() -> None:
    with stood(wanting.in_place) as standing:
        held = standing.arm.estate.get(policy_id()) or {}
        more = {"snapshotConsistencyType": "OnlyCrashConsistent"}
        standing.arm.estate.put({**held, "properties": {**held["properties"], **more}})
        assert not failed(standing.apply())
        (sent,) = [seen for seen in standing.arm.mutations if "/backupPolicies/" in seen.path]
        assert sent.body["properties"]["snapshotConsistencyType"] == "OnlyCrashConsistent"
        assert "protectedItemsCount" not in sent.body["properties"]


def test_a_vault_of_the_name_that_is_another_is_not_written_over() -> None:
    vault = put(vault_id("rsv-northeurope-azure", "backup"), "Microsoft.RecoveryServices/vaults")
    found = changed({**vault, "location": "northeurope", "properties": wanting.BARE})
    title = next(title for title in found if title.startswith("Create vault rsv-northeurope-azure"))
    assert (found[title].outcome, found[title].code) == ("failed", "ChangedSincePlan")
    assert found[LONELY].outcome == "skipped"


def test_another_operation_at_the_item_is_waited_for() -> None:
    with stood(wanting.policies) as standing:
        busy = Fault("~^PUT .*;often/protectedItems/", "409-busy", times=3)
        standing.arm.fault(busy)
        applied = standing.apply()
        assert not failed(applied)
        assert busy.met > 3


# Backups


def test_a_backup_that_began_since_the_plan_is_the_one_wanted() -> None:
    job = {
        "id": f"{vault_id()}/backupJobs/theirs",
        "name": "theirs",
        "type": "Microsoft.RecoveryServices/vaults/backupJobs",
        "properties": {
            "jobType": "AzureIaaSVMJob",
            "operation": "Backup",
            "backupManagementType": "AzureIaasVM",
            "status": "InProgress",
            "containerName": "iaasvmcontainerv2;rg;new",
            "startTime": "2026-06-15T12:30:00.0000000Z",
        },
    }
    found = changed(item(protectionState="IRPending"), job)["Back up new now"]
    assert (found.outcome, found.job) == ("unchanged", "theirs")


def test_the_job_of_a_backup_is_named_or_waited_for() -> None:
    with stood(wanting.unprotected, backup_seconds=7000) as standing:
        found = by_title(standing.apply())["Back up new now"]
        job = standing.arm.estate.get(f"{vault_id()}/backupJobs/{found.job}") or {}
        assert job["properties"]["status"] == "InProgress"
    with stood(wanting.unprotected, backup_seconds=7000) as standing:
        found = by_title(standing.apply(wait_backup=True))["Back up new now"]
        job = standing.arm.estate.get(f"{vault_id()}/backupJobs/{found.job}") or {}
        assert job["properties"]["status"] == "Completed"
        assert found.outcome == "applied"


def test_a_backup_that_fails_is_told_and_not_taken_again() -> None:
    failure = ("UserErrorVmNotRunning", "The VM is not running.")
    with stood(wanting.unprotected, backup_seconds=700) as standing:
        standing.arm.fault(Fault("~^POST .*;new/protectedItems/.*/backup$", "operation-failed", failure=failure))
        found = by_title(standing.apply(wait_backup=True))["Back up new now"]
        assert (found.outcome, found.code, found.message) == ("failed", *failure)
        again = by_title(standing.apply(wait_backup=True))["Back up new now"]
        assert (again.outcome, again.code) == ("failed", failure[0])
        assert sum(seen.path.endswith(";new/backup") for seen in standing.arm.mutations) == 1


# How far a run goes


def test_no_more_steps_are_begun_than_asked_for_and_the_next_run_goes_on() -> None:
    with stood(wanting.unprotected) as standing:
        outcomes = [result.outcome for result in standing.apply(bounds=Bounds(1, steps=3)).results]
        assert outcomes.count("applied") == 3
        assert outcomes.count("skipped") == len(outcomes) - 3
        assert {result.outcome for result in standing.apply().results} == {"applied"}


def test_after_so_many_failures_nothing_else_is_begun() -> None:
    with stood(wanting.unprotected) as standing:
        standing.arm.fault(Fault("~^(PUT|PATCH) ", "403", times=None))
        applied = standing.apply(bounds=Bounds(1, failures=2))
        assert len(failed(applied)) == 2
        assert len(standing.arm.mutations) == 2
        assert any("--stop-after-failures" in result.message for result in applied.results)


def test_one_thing_at_a_time_goes_on_at_a_vault_and_at_an_item() -> None:
    with stood(wanting.policies) as standing:
        assert not failed(standing.apply(bounds=Bounds(parallel=10)))
        assert all(seen.status < 300 for seen in standing.arm.mutations)


def test_no_more_policies_are_written_in_a_day_than_azure_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.remediation.doing.MOST_POLICY_WRITES", 2)
    with stood(wanting.policies) as standing:
        applied = standing.apply()
        assert applied.failed
        found = [result for result in applied.results if result.step.kind == "DefinePolicy"]
        assert [result.outcome for result in found] == ["applied", "applied", "skipped"]
        assert found[2].code == "PolicyWrites"
        standing.arm.clock.advance(86_400)
        assert {result.outcome for result in standing.apply().results} == {"applied"}


# Addresses


@pytest.mark.parametrize("relative", [False, True])
def test_operations_are_followed_by_their_own_addresses(*, relative: bool) -> None:
    with stood(wanting.unprotected, relative_operations=relative, retry_after=17) as standing:
        assert not failed(standing.apply())
        asked = [seen.path for seen in standing.arm.requests if "/operationStatus/" in seen.path]
        assert asked


def test_nobody_else_is_sent_the_token() -> None:
    with stood(wanting.unprotected) as standing:
        standing.arm._world.url = "https://example.org"
        found = by_title(standing.apply(limits=Limits(busy=600)))
        assert found[PROTECT].outcome == "open"
        assert found[PROTECT].code == "AnotherHost"
