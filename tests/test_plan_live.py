"""The installed command planning with a stand-in for Azure: what it asks before it plans, and what comes of answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from arm import Arm, Estate, Principal, Quota
from building import OTHER_SUBSCRIPTION, SUBSCRIPTION, EstateBuilder, estate, group_id, item_id, vault_id, vm_id
from reading import with_views
from test_live_command import assert_one_error, run

from auditor.azure.questions import QUESTIONS
from auditor.remediation.model import Plan, Step, decode_plan

Json = dict[str, Any]
PLAN = ["plan", "--primary-endpoint", "azure", "--select", "vm-protected", "-o", "p.json"]
CONFIG = "remediation: {vault: {resource_group: backup}}\n"
MAY = {"*": ["reader", "backup-contributor"]}
ASSIGNMENT = "/providers/Microsoft.Authorization/policyAssignments"
ENABLES = "/providers/Microsoft.Authorization/policyDefinitions/98d0b9f8-fd90-49c9-88e2-d3baf3b0dd86"


def built() -> EstateBuilder:
    """Return an estate in which a VM is protected as it should be, and another one is not."""
    made = estate().vault().policy().vm("web").item("web").vm("naked")
    made.add({"id": group_id("backup"), "type": "Microsoft.Resources/subscriptions/resourceGroups", "name": "backup"})
    made.job("web")
    return made.whole()


def planned(made: EstateBuilder, folder: Path, *more: str, **settings: Any) -> tuple[Plan, Arm]:
    """Plan by the command; the stand-in is for looking at what it was asked."""
    (folder / "auditor.yaml").write_text(CONFIG, encoding="utf-8")
    unregistered = settings.pop("unregistered", None)
    settings.setdefault("access", MAY)
    whole = Estate(with_views(made.resources), unregistered=unregistered)
    with Arm(whole, quota=Quota(1_000, 5.0), **settings) as arm:
        result = run(arm, folder, *PLAN, *more)
    assert result.returncode == 0, result.stderr
    return decode_plan((folder / "p.json").read_bytes(), "p.json"), arm


def kinds(plan: Plan) -> list[str]:
    return [step.kind for step in plan.automatic]


def left(plan: Plan, resource: str) -> str:
    """Return why something is left to people."""
    (step,) = [
        step
        for step in plan.steps
        if step.kind == "Manual" and resource in [answer.resource for answer in step.answers]
    ]
    return step.title


def enabling(plan: Plan) -> Step:
    (step,) = [step for step in plan.automatic if step.kind == "EnableProtection"]
    return step


def test_a_plan_asks_and_changes_nothing(tmp_path: Path) -> None:
    plan, arm = planned(built(), tmp_path)
    assert kinds(plan) == ["EnableProtection"]
    assert plan.tenant == arm.estate.tenant
    assert plan.notices == []
    asked = set()
    for seen in arm.requests:
        if seen.method == "POST" and not re.search("ResourceGraph|oauth2", seen.path):
            assert QUESTIONS.fullmatch(seen.path)
            asked.add(seen.path.rpartition("/")[2])
        assert seen.method in ("GET", "POST")
        assert seen.status == 200
    assert asked == {"backupStatus", "backupPreValidateProtection"}
    assert [seen for seen in arm.requests if seen.path.endswith("/locks")]
    assert [seen for seen in arm.requests if seen.path.endswith("/policyAssignments")]


def test_without_preflight_nothing_is_asked_and_the_plan_says_so(tmp_path: Path) -> None:
    plan, arm = planned(built(), tmp_path, "--no-preflight")
    assert kinds(plan) == ["EnableProtection"]
    assert any("Azure was not asked" in notice for notice in plan.notices)
    assert not [seen for seen in arm.requests if re.search("locks|locations|policyAssignments", seen.path)]


def test_what_a_reader_may_not_ask_is_said(tmp_path: Path) -> None:
    plan, _ = planned(built(), tmp_path, access="reader")
    assert kinds(plan) == ["EnableProtection"]
    said = "\n".join(plan.notices)
    assert "Not checked with Azure: whether VMs are protected elsewhere (backupStatus): AuthorizationFailed" in said
    assert "Not checked with Azure: whether vaults take the VMs" in said


def test_a_vm_that_is_protected_where_nobody_may_look_is_left_alone(tmp_path: Path) -> None:
    """The wrong verdict that reading cannot avoid: its item is in a subscription that cannot be seen."""
    made = built()
    far = vault_id("far", "rg", OTHER_SUBSCRIPTION)
    made.vault("far", id=far)
    made.item("naked", id=item_id("naked", vault=far), policyId="")
    plan, _ = planned(made, tmp_path, access={SUBSCRIPTION: MAY["*"], OTHER_SUBSCRIPTION: "none"})
    assert kinds(plan) == []
    assert "Azure says that it is Protected in" in left(plan, vm_id("naked"))
    assert far.lower() in left(plan, vm_id("naked")).lower()
    assert plan.projected.after_first_backup.turned == 0


@pytest.mark.parametrize(
    ("scope", "level", "kept"),
    [
        (group_id("rg"), "ReadOnly", False),
        (f"/subscriptions/{SUBSCRIPTION}", "ReadOnly", False),
        (f"/subscriptions/{SUBSCRIPTION}", "CanNotDelete", True),
        (vault_id(), "CanNotDelete", True),
        (group_id("elsewhere"), "ReadOnly", True),
    ],
)
def test_a_lock_forbids_steps_below_it(tmp_path: Path, scope: str, level: str, *, kept: bool) -> None:
    made = built()
    lock = f"{scope}/providers/Microsoft.Authorization/locks/freeze"
    made.add({"id": lock, "name": "freeze", "type": "Microsoft.Authorization/locks", "properties": {"level": level}})
    plan, _ = planned(made, tmp_path)
    if kept:
        noted = any("freeze" in note for note in enabling(plan).notes)
        assert noted == (level == "CanNotDelete" and "resourceGroups" not in scope), (
            "snapshots lie in groups of their own"
        )
    else:
        assert kinds(plan) == []
        assert "the lock freeze on" in left(plan, vm_id("naked"))


def test_a_size_that_azure_does_not_back_up_is_left_to_people(tmp_path: Path) -> None:
    made = built().vm("old", hardwareProfile={"vmSize": "Basic_A1"})
    made.vm("usual", hardwareProfile={"vmSize": "Standard_D2s_v5"})
    plan, arm = planned(made, tmp_path)
    assert kinds(plan) == ["EnableProtection"] * 2
    assert "Azure does not back up VMs of size Basic_A1" in left(plan, vm_id("old"))
    assert len([seen for seen in arm.requests if seen.path.endswith("/backupValidateFeatures")]) == 2


def test_azure_policy_that_enables_backup_is_named(tmp_path: Path) -> None:
    made = built()
    scope = f"/subscriptions/{SUBSCRIPTION}"
    made.add(
        {
            "id": f"{scope}{ASSIGNMENT}/own",
            "name": "own",
            "type": "Microsoft.Authorization/policyAssignments",
            "properties": {"policyDefinitionId": ENABLES, "scope": scope},
        }
    )
    plan, _ = planned(made, tmp_path)
    assert enabling(plan).notes == ["Azure Policy enables backup here, too (assignment own): who is first?"]


@pytest.fixture
def alone() -> EstateBuilder:
    """Return an estate without vaults."""
    made = EstateBuilder().vm("naked")
    made.add({"id": f"/subscriptions/{SUBSCRIPTION}", "name": "sub", "type": "Microsoft.Resources/subscriptions"})
    for name in ("rg", "backup"):
        made.add({"id": group_id(name), "type": "Microsoft.Resources/subscriptions/resourceGroups", "name": name})
    return made


def test_a_provider_that_is_not_registered_is_registered_first(alone: EstateBuilder, tmp_path: Path) -> None:
    plan, arm = planned(alone, tmp_path, unregistered={SUBSCRIPTION: ["Microsoft.RecoveryServices"]})
    assert kinds(plan)[:4] == ["RegisterProvider", "CreateVault", "DefinePolicy", "EnableProtection"]
    assert kinds(plan)[4:] == ["SetVaultProtection"], "the new vault passes the rules, too"
    first, vault = plan.automatic[:2]
    assert first.target == f"/subscriptions/{SUBSCRIPTION}"
    assert first.request is not None
    assert first.request.path.endswith("/providers/Microsoft.RecoveryServices/register")
    assert all(first.id in step.depends_on for step in plan.automatic[1:])
    assert vault.kind == "CreateVault"
    assert not [seen for seen in arm.requests if seen.path.endswith("/register")]


def test_a_name_that_is_taken_takes_all_that_rests_on_it(alone: EstateBuilder, tmp_path: Path) -> None:
    """A vault that the caller may not see has the name: nothing of it is in the inventory."""
    name = vault_id("rsv-westeurope-azure", "backup")
    alone.vault("rsv-westeurope-azure", id=name)
    seen = {SUBSCRIPTION: {"actions": ["*"], "notActions": ["Microsoft.RecoveryServices/vaults/read"]}}
    plan, _ = planned(alone, tmp_path, access=seen)
    assert kinds(plan) == []
    assert any("the name rsv-westeurope-azure is taken" in step.title for step in plan.steps)
    assert "what it needs cannot be done" in left(plan, vm_id("naked"))


def test_a_plan_of_what_could_not_be_read_says_so(tmp_path: Path) -> None:
    nobody = Principal("nobody", access={"*": "none"})
    with Arm(Estate(built().resources), principals=(nobody,)) as arm:
        result = run(arm, tmp_path, *PLAN, **arm.environment_of(nobody))
        assert result.returncode == 0, result.stderr
        assert "Not read: " in result.stdout
        plan = decode_plan((tmp_path / "p.json").read_bytes(), "p.json")
        assert plan.steps == []
        assert plan.notices[0].startswith("Not read: ")
        (tmp_path / "p.json").unlink()
        refused = run(arm, tmp_path, *PLAN, **{**arm.environment, "AZURE_CLIENT_SECRET": "x"})
        assert_one_error(refused, 4)
    assert not (tmp_path / "p.json").exists()


def test_a_snapshot_can_be_planned_for_with_azures_answers(tmp_path: Path) -> None:
    (tmp_path / "auditor.yaml").write_text(CONFIG, encoding="utf-8")
    with Arm(Estate(with_views(built().resources)), quota=Quota(1_000, 5.0), access=MAY) as arm:
        assert run(arm, tmp_path, "collect", "-o", "taken").returncode == 0
        before = len(arm.requests)
        assert run(arm, tmp_path, *PLAN, "--inventory", "taken").returncode == 0
        assert len(arm.requests) == before, "without being asked to, a plan of a snapshot asks nobody"
        assert run(arm, tmp_path, *PLAN[:-1], "q.json", "--inventory", "taken", "--preflight").returncode == 0
        assert len(arm.requests) > before
    steps = [json.loads((tmp_path / name).read_bytes())["steps"] for name in ("p.json", "q.json")]
    assert steps[0] == steps[1]
