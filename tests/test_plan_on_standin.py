"""Plans, done step by step on a stand-in for Azure: it takes all of them, and what they promise comes true."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import wanting
from arm import Arm, Asker, Reply
from building import (
    item_id,
    policy_id,
    vault_id,
    vm_id,
)
from planned import NOW, failing, plan_and_failing
from reading import read, standing, with_views
from wanting import BARE, Wanting

from auditor.remediation.model import Plan, Step
from auditor.remediation.projected import Failing
from auditor.text import fold

Json = dict[str, Any]
SECONDS = 30


@dataclass
class Done:
    """A plan that was done, and what failed before and after it."""

    plan: Plan
    before: Failing
    after: Failing
    replies: dict[str, Reply] = field(default_factory=dict)
    again: list[Step] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)
    there: dict[str, Json] = field(default_factory=dict)

    def kinds(self) -> list[str]:
        return [step.kind for step in self.plan.automatic]

    def turned(self, rule: str, arm_id: str) -> bool:
        """Whether a verdict failed before, and does not any more."""
        verdict = (rule, fold(arm_id))
        return verdict in self.before.verdicts and verdict not in self.after.verdicts


def run(wanted: Wanting) -> Done:
    """Read a stand-in, plan, do the steps one after the other by the simplest of loops, and read again."""
    asked, options = wanted.settings(), wanted.options
    with (
        tempfile.TemporaryDirectory() as name,
        standing(with_views(wanted.built.resources), access="owner", operation_seconds=SECONDS) as arm,
        Asker(arm) as asker,
    ):
        arm.clock.set(datetime.fromisoformat(NOW))
        arm.clock.speed(0)
        inventory = read(arm, Path(name)).inventory
        plan, before = plan_and_failing(inventory, asked, **options)
        done = Done(plan, before, before)
        for step in plan.automatic:
            do(step, arm, asker, done)
        for step in plan.automatic:
            done.there[fold(step.target)] = asker.get(step.target).body
        last = read(arm, Path(name)).inventory
        done.after = failing(last, asked)
        done.again = plan_and_failing(last, asked, **options)[0].automatic
        assert arm.deletions == []
    return done


def do(step: Step, arm: Arm, asker: Asker, done: Done) -> None:
    """Look at what a step rests on, send it, and wait for what it started."""
    assert step.request is not None
    for entry in step.preconditions:
        found = asker.ask("GET", entry.path, version=entry.api_version)
        if entry.equals is None:
            done.unmet += [entry.path] if found.status != 404 else []
            continue
        for pointer, value in entry.equals.items():
            held: Any = found.body
            for part in pointer.strip("/").split("/"):
                held = held.get(part) if isinstance(held, dict) else None
            if not alike(held, value):
                done.unmet.append(f"{entry.path}{pointer} is {held}")
    request = step.request
    reply = asker.ask(request.method, request.path, request.body, version=request.api_version)
    done.replies[step.id] = reply
    operation = reply.headers.get("azure-asyncoperation")
    arm.clock.advance(2 * SECONDS)
    arm.settle()
    if operation is not None:
        done.statuses[step.id] = str(asker.get(operation).body["status"])


def alike(one: Any, other: Any) -> bool:
    """Whether two values are the same; ids are in whatever case Azure likes today."""
    return fold(one) == fold(other) if isinstance(one, str) and isinstance(other, str) else bool(one == other)


@cache
def unprotected() -> Done:
    return run(wanting.unprotected())


@cache
def in_place() -> Done:
    return run(wanting.in_place())


@cache
def policies() -> Done:
    return run(wanting.policies())


EVERY = [unprotected, in_place, policies]


@pytest.mark.parametrize("make", EVERY)
def test_every_step_is_taken_and_comes_to_its_end(make: Any) -> None:
    done: Done = make()
    assert {step.title: done.replies[step.id].body for step in done.plan.automatic if not well(done, step)} == {}
    assert done.replies
    assert done.unmet == []


def well(done: Done, step: Step) -> bool:
    return done.replies[step.id].status in (200, 201, 202) and done.statuses.get(step.id, "Succeeded") == "Succeeded"


@pytest.mark.parametrize("make", EVERY)
def test_what_the_plan_promises_comes_true(make: Any) -> None:
    done: Done = make()
    promised = done.plan.projected.after_first_backup
    if "EnableProtection" in done.kinds():  # the backups that it triggers are their first
        assert "TriggerBackup" in done.kinds()
    answers = {(answer.rule, fold(answer.resource)) for step in done.plan.automatic for answer in step.answers}
    still = {(answer.rule, fold(answer.resource)) for answer in promised.still_failing}
    assert answers & done.after.verdicts == still
    new = {(answer.rule, fold(answer.resource)) for answer in promised.newly_failing}
    assert done.after.verdicts - done.before.verdicts == new
    assert len(done.after.verdicts) == promised.failing
    assert still | new == set()


def test_a_vm_without_a_vault_in_its_region_gets_one() -> None:
    done = unprotected()
    assert done.turned("vm-protected", vm_id("lonely"))
    vault = vault_id("rsv-northeurope-azure", "backup")
    made = done.there[fold(vault)]["properties"]
    assert made["redundancySettings"] == {
        "standardTierStorageRedundancy": "GeoRedundant",
        "crossRegionRestore": "Disabled",
    }
    assert made["securitySettings"]["softDeleteSettings"]["softDeleteState"] == "Enabled"
    item = done.there[fold(item_id("lonely", vault=vault))]["properties"]
    assert (item["protectionState"], item["policyName"]) == ("Protected", "auditor-daily")


def test_a_vm_goes_into_the_vault_and_under_the_policy_that_are_right() -> None:
    done = unprotected()
    assert done.turned("vm-protected", vm_id("new"))
    assert fold(done.there[fold(item_id("new"))]["properties"]["policyId"]) == fold(policy_id())


@pytest.mark.parametrize("scenario", [unprotected, in_place, policies])
def test_once_a_plan_is_done_another_has_nothing_to_do(scenario: Callable[[], Done]) -> None:
    assert scenario().again == []


def test_an_empty_vault_is_put_right_before_it_takes_a_vm() -> None:
    done = unprotected()
    assert done.turned("vault-redundancy-matches-intent", vault_id("wrong"))
    assert done.turned("vm-protected", vm_id("stray"))
    settings = done.there[fold(vault_id("wrong"))]["properties"]["redundancySettings"]
    assert settings["standardTierStorageRedundancy"] == "GeoRedundant"


def test_an_unguarded_vault_is_guarded_and_nothing_else_of_it_changes() -> None:
    done = in_place()
    for rule in ("vault-soft-delete", "vault-failure-alerts", "vault-immutability"):
        assert done.turned(rule, vault_id())
    properties = done.there[fold(vault_id())]["properties"]
    assert properties["securitySettings"] == {
        "softDeleteSettings": {"softDeleteState": "Enabled", "softDeleteRetentionPeriodInDays": 14},
        "immutabilitySettings": {"state": "Unlocked"},
    }
    assert properties["redundancySettings"] == BARE["redundancySettings"]
    assert "immutabilitySettings" in str(done.plan.automatic[-1].after)


@pytest.mark.parametrize(
    ("rule", "policy"),
    [
        ("policy-runs-per-day", "six"),
        ("policy-runs-per-day", "weekly"),
        ("policy-daily-retention", "brief"),
    ],
)
def test_a_policy_that_fails_loses_its_items_to_one_that_passes(rule: str, policy: str) -> None:
    assert policies().turned(rule, policy_id(policy)), [step.title for step in policies().plan.steps]


def test_items_go_over_to_policies_that_keep_as_much() -> None:
    done = policies()
    made = {step.target: step.after or {} for step in done.plan.automatic if step.kind == "DefinePolicy"}
    by_vm = {step.target: (step.after or {})["policyId"] for step in done.plan.automatic if step.kind == "AssignPolicy"}
    assert set(by_vm) == {item_id(name) for name in ("often", "seldom", "short")}, [s.title for s in done.plan.steps]
    for arm_id, policy in by_vm.items():
        assert done.there[fold(arm_id)]["properties"]["policyId"] == policy
    often, seldom, short = (made[by_vm[item_id(name)]] for name in ("often", "seldom", "short"))
    assert often["retentionPolicy"]["dailySchedule"]["retentionDuration"] == {"count": 60, "durationType": "Days"}
    weekly = seldom["retentionPolicy"]["weeklySchedule"]
    assert (weekly["retentionDuration"], weekly["daysOfTheWeek"]) == (
        {"count": 12, "durationType": "Weeks"},
        ["Sunday"],
    )
    assert short["schedulePolicy"]["scheduleRunTimes"] == ["2026-01-01T22:00:00Z"]
    assert short["retentionPolicy"]["dailySchedule"]["retentionDuration"] == {"count": 30, "durationType": "Days"}


def test_a_policy_is_edited_in_place_where_that_was_asked_for() -> None:
    done = in_place()
    assert done.kinds() == ["SetVaultProtection", "DefinePolicy", "SetVaultProtection"]
    assert done.turned("policy-daily-retention", policy_id())
    properties = done.there[fold(policy_id())]["properties"]
    assert properties["retentionPolicy"]["dailySchedule"]["retentionDuration"]["count"] == 30
    assert properties["protectedItemsCount"] == 1
