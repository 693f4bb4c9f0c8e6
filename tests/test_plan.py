"""The plan: what it does and what it leaves to people, by small estates; and what holds of every plan."""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from building import (
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    EstateBuilder,
    estate,
    group_id,
    hourly,
    policy_id,
    vault_id,
    vm_id,
)
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from planned import plan_of_resources

from auditor.declared.config import PolicyTemplate
from auditor.errors import UsageError
from auditor.remediation.model import ORDER, Checked, Plan, Step, decode_plan, digest_of, encode_plan
from auditor.remediation.policies import of_template

TEMPLATES = "remediation: {vault: {resource_group: backup}}\n"
WEEKLY = {
    "schedulePolicyType": "SimpleSchedulePolicy",
    "scheduleRunFrequency": "Weekly",
    "scheduleRunDays": ["Sunday"],
    "scheduleRunTimes": ["2026-01-01T02:00:00Z"],
}
ENHANCED = (
    "remediation: {policy: {type: V2, interval_hours: 6, window_hours: 24, time: '00:00', instant_restore_days: 7}}"
)


def plan_of(built: EstateBuilder, *, config: str = TEMPLATES, **options: Any) -> Plan:
    """Plan for an estate; ``select`` limits what is answered, as it does on the command line."""
    options["rules"] = sorted(options.pop("select", ()))
    options.setdefault("ignore", ("vault-security-level",))
    return plan_of_resources(built.resources, config, **options)


def backed_up() -> EstateBuilder:
    """Return an estate in which a VM is protected as it should be, and a group for new vaults."""
    built = estate().vault().policy().vm("web").item("web")
    for group in ("rg", "backup"):
        built.add({"id": group_id(group), "type": "Microsoft.Resources/subscriptions/resourceGroups", "name": group})
    chain = {"managementGroupAncestorsChain": [{"name": "root"}]}
    built.add(
        {"id": f"/subscriptions/{SUBSCRIPTION}", "type": "Microsoft.Resources/subscriptions", "properties": chain}
    )
    return built


def kinds(plan: Plan) -> list[str]:
    return [step.kind for step in plan.automatic]


def only(plan: Plan, kind: str) -> Step:
    (step,) = [step for step in plan.steps if step.kind == kind]
    return step


def by_hand(plan: Plan, rule: str) -> str:
    """Return why something is left to people."""
    (step,) = [step for step in plan.steps if step.kind == "Manual" and step.answers[0].rule == rule]
    return step.title


def test_what_is_as_it_should_be_needs_nothing() -> None:
    plan = plan_of(backed_up())
    assert plan.steps == []
    assert plan.projected.after_first_backup.failing == 0


def test_a_vm_without_backup_goes_into_the_vault_and_policy_that_are_right() -> None:
    plan = plan_of(backed_up().vm("naked"))
    step = only(plan, "EnableProtection")
    assert kinds(plan) == ["EnableProtection"]
    assert step.request is not None
    assert step.request.body == {
        "properties": {
            "protectedItemType": "Microsoft.Compute/virtualMachines",
            "sourceResourceId": vm_id("naked"),
            "policyId": policy_id(),
        }
    }
    assert step.request.path == (
        f"{vault_id()}/backupFabrics/Azure/protectionContainers/IaasVMContainer;iaasvmcontainerv2;rg;naked"
        "/protectedItems/VM;iaasvmcontainerv2;rg;naked"
    )
    nothing_there, machine = step.preconditions
    assert (machine.path, machine.equals) == (vm_id("naked"), {})
    assert (nothing_there.path, nothing_there.equals) == (step.request.path, None)
    assert plan.projected.after_apply.failing == 0
    assert plan.projected.after_first_backup.turned == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"location": "northeurope"}, "another region"),
        ({"properties": {"redundancySettings": {"standardTierStorageRedundancy": "LocallyRedundant"}}}, "redundancy"),
        ({"properties": {}}, "redundancy not known"),
        ({"id": vault_id("vault", "rg", OTHER_SUBSCRIPTION)}, "another subscription"),
    ],
)
def test_a_vault_that_is_not_right_is_passed_over_for_a_new_one(change: dict[str, Any], why: str) -> None:
    built = backed_up().vm("naked")
    built.resources[0] = {**built.resources[0], **change}
    plan = plan_of(built, select=["vm-protected"])
    vault = only(plan, "CreateVault")
    assert vault.target == vault_id("rsv-westeurope-azure", "backup"), why
    assert vault.request is not None
    body = vault.request.body or {}
    assert body["properties"]["redundancySettings"]["standardTierStorageRedundancy"] == "GeoRedundant"
    assert vault.preconditions[0].equals is None
    policy, item = only(plan, "DefinePolicy"), only(plan, "EnableProtection")
    assert policy.depends_on == [vault.id]
    assert sorted(item.depends_on) == sorted([vault.id, policy.id])
    assert plan.projected.after_first_backup.still_failing == []
    assert plan.projected.after_first_backup.newly_failing == []


def daily(**properties: Any) -> dict[str, Any]:
    """Return the properties of a policy as the template has them, but for what is given."""
    return {**of_template(PolicyTemplate()), **properties}


@pytest.mark.parametrize(
    ("properties", "taken"),
    [
        (daily(), True),
        (daily(instantRpRetentionRangeInDays=5, timeZone="W. Europe Standard Time"), True),
        (daily(instantRpRetentionRangeInDays=1), False),
        (daily(schedulePolicy=WEEKLY), False),
        (daily(schedulePolicy=hourly(4, 24), policyType="V2"), False),
        (daily(retentionPolicy=of_template(PolicyTemplate(daily_days=29))["retentionPolicy"]), False),
        (daily(retentionPolicy=of_template(PolicyTemplate(yearly_years=1))["retentionPolicy"]), True),
    ],
)
def test_a_policy_that_nothing_uses_is_taken_where_it_does_what_the_template_asks(
    properties: dict[str, Any], *, taken: bool
) -> None:
    """A plan that was half done leaves one; so does Azure in each new vault."""
    built = backed_up().vault("north", location="northeurope").vm("naked", location="northeurope")
    unused = policy_id("auditor-daily", vault_id("north"))
    built.policy("auditor-daily", id=unused, **properties)
    plan = plan_of(built, select=["vm-protected"])
    assert kinds(plan) == (["EnableProtection"] if taken else ["DefinePolicy", "EnableProtection"])
    assert (only(plan, "EnableProtection").after or {})["policyId"] == (unused if taken else f"{unused}-2")
    assert plan.projected.after_first_backup.still_failing == []
    assert plan.projected.after_first_backup.newly_failing == []


def test_what_the_rule_accepts_decides_which_vault_is_right() -> None:
    built = backed_up().vm("naked")
    built.resources[0]["properties"]["redundancySettings"]["standardTierStorageRedundancy"] = "ZoneRedundant"
    accepted = TEMPLATES + "parameters: {vault-redundancy-matches-intent: {accept_geo: [ZoneRedundant]}}\n"
    assert kinds(plan_of(built, config=accepted)) == ["EnableProtection"]
    step = only(plan_of(built.vm("far", location="northeurope"), config=accepted), "CreateVault")
    assert (step.after or {})["properties"]["redundancySettings"]["standardTierStorageRedundancy"] == "ZoneRedundant"


@pytest.mark.parametrize(
    ("primary", "redundancy"), [("azure", "GeoRedundant"), ("other", "LocallyRedundant"), ("zone", "ZoneRedundant")]
)
def test_a_new_vault_has_the_redundancy_that_its_intent_asks_for(primary: str, redundancy: str) -> None:
    built = EstateBuilder(
        [entry for entry in backed_up().vm("naked").resources if "vaults" not in entry["type"].lower()]
    )
    plan = plan_of(built.policy().item("web"), primary_endpoint=primary, select=["vm-protected"])
    body = (only(plan, "CreateVault").request or pytest.fail("no request")).body or {}
    assert body["properties"]["redundancySettings"]["standardTierStorageRedundancy"] == redundancy
    assert only(plan, "CreateVault").target.endswith(f"rsv-westeurope-{primary}")


def test_a_new_vault_gets_what_the_rules_want_of_it_and_immutability_comes_last() -> None:
    built = backed_up().vm("naked")
    built.resources[0]["location"] = "northeurope"
    plan = plan_of(built)
    assert kinds(plan) == ["CreateVault", "DefinePolicy", "EnableProtection", "SetVaultProtection"]
    last = plan.automatic[-1]
    assert last.after == {"securitySettings": {"immutabilitySettings": {"state": "Unlocked"}}}
    assert set(last.depends_on) == {step.id for step in plan.automatic[:-1]}
    assert last.answers == []
    assert plan.projected.after_first_backup.newly_failing == []


@pytest.mark.parametrize(
    ("config", "primary", "why"),
    [
        ("", "azure", "resource_group does not say where"),
        (
            "remediation: {vault: {resource_group: nowhere}}",
            "azure",
            "the resource group nowhere for a new one is not there",
        ),
        (TEMPLATES, None, "nobody declared"),
    ],
)
def test_a_vault_that_nobody_said_how_to_make_is_left_to_people(config: str, primary: str | None, why: str) -> None:
    built = backed_up().vm("naked")
    built.resources[0]["location"] = "northeurope"
    plan = plan_of(built, config=config, primary_endpoint=primary, select=["vm-protected"])
    assert kinds(plan) == []
    assert why in by_hand(plan, "vm-protected")


def test_a_region_without_a_pair_gets_no_geo_redundant_vault() -> None:
    plan = plan_of(backed_up().vm("naked", location="polandcentral"), select=["vm-protected"])
    assert "has no pair" in by_hand(plan, "vm-protected")


def test_a_vault_that_is_full_is_left_for_the_next() -> None:
    config = "remediation: {vms_per_vault: 2, vault: {resource_group: backup}}"
    plan = plan_of(backed_up().vm("one").vm("two").vm("three"), config=config, select=["vm-protected"])
    vaults = [step.target.split("/")[8] for step in plan.automatic if step.kind == "EnableProtection"]
    assert sorted(vaults) == ["rsv-westeurope-azure", "rsv-westeurope-azure", "vault"]
    assert kinds(plan).count("CreateVault") == 1


@pytest.mark.parametrize(
    "state",
    [
        {"state": "ProtectionStopped", "policyId": ""},
        {"state": "ProtectionStopped", "isScheduledForDeferredDelete": True, "policyId": ""},
        {"state": "BackupsSuspended"},
        {"state": "ProtectionPaused"},
        {"state": "ProtectionError"},
    ],
)
def test_protection_is_never_enabled_over_an_item_that_is_there(state: dict[str, Any]) -> None:
    built = backed_up().vm("old").item("old", **state)
    plan = plan_of(built, trigger_backup=True, allow_reduce=True, edit_policies=True)
    assert "EnableProtection" not in kinds(plan)
    assert "never enabled over" in by_hand(plan, "vm-protected")
    recipe = next(step.recipe for step in plan.steps if step.answers[:1] and step.answers[0].rule == "vm-protected")
    assert any("would expire" in line for line in recipe)


def test_a_policy_that_runs_too_seldom_is_replaced_and_its_items_go_over() -> None:
    built = backed_up().policy("weekly", WEEKLY).vm("rare").item("rare", policyId=policy_id("weekly"))
    plan = plan_of(built, select=["policy-runs-per-day"])
    define, assign = only(plan, "DefinePolicy"), only(plan, "AssignPolicy")
    assert define.target.startswith(f"{vault_id()}/backupPolicies/weekly-")
    assert assign.depends_on == [define.id]
    assert assign.before == {"policyId": policy_id("weekly")}
    assert assign.preconditions[0].equals == {"/properties/policyId": policy_id("weekly")}
    assert define.request is not None
    assert define.request.method == "PUT"
    assert define.request.path != policy_id("weekly")
    assert plan.projected.after_apply.failing == 0


def test_nothing_gets_less_unless_that_is_allowed() -> None:
    built = backed_up().policy("often", hourly(4, 24), policyType="V2", instantRpRetentionRangeInDays=7)
    built.vm("busy").item("busy", policyId=policy_id("often"))
    refused = plan_of(built, config=ENHANCED, select=["policy-runs-per-day"])
    assert kinds(refused) == []
    assert "--allow-reduce: backups on the busiest day: 4 instead of 6" in by_hand(refused, "policy-runs-per-day")
    allowed = plan_of(built, config=ENHANCED, select=["policy-runs-per-day"], allow_reduce=True)
    assert kinds(allowed) == ["DefinePolicy", "AssignPolicy"]
    assert any("4 instead of 6" in risk for risk in only(allowed, "AssignPolicy").risks)
    assert allowed.projected.after_apply.failing == 0


@pytest.mark.parametrize("edit", [False, True])
def test_an_enhanced_policy_follows_a_standard_one_only_where_that_is_allowed(*, edit: bool) -> None:
    built = backed_up().policy("weekly", WEEKLY).vm("rare").item("rare", policyId=policy_id("weekly"))
    asked: dict[str, Any] = {
        "config": ENHANCED,
        "select": ["policy-runs-per-day"],
        "edit_policies": edit,
        "allow_reduce": True,
    }
    refused = plan_of(built, **asked)
    assert kinds(refused) == []
    assert "only with --allow-one-way enhanced-policy" in by_hand(refused, "policy-runs-per-day")
    allowed = plan_of(built, **asked, allow_one_way=["enhanced-policy"])
    assert kinds(allowed) == (["DefinePolicy"] if edit else ["DefinePolicy", "AssignPolicy"])
    assert allowed.automatic[-1].reversibility.startswith("never")
    assert any("never be taken back" in risk for risk in allowed.automatic[-1].risks)


SHORT = {
    "retentionPolicyType": "LongTermRetentionPolicy",
    "dailySchedule": {
        "retentionTimes": ["2026-01-01T22:00:00Z"],
        "retentionDuration": {"count": 10, "durationType": "Days"},
    },
}


def short(**properties: Any) -> EstateBuilder:
    """Return an estate with a policy that keeps points for ten days, and a VM on it."""
    built = backed_up().policy("short", retentionPolicy=SHORT, **properties)
    return built.vm("brief").item("brief", policyId=policy_id("short"))


@pytest.mark.parametrize("edit", [False, True])
def test_a_policy_is_touched_only_when_all_of_its_items_are_known(*, edit: bool) -> None:
    asked: dict[str, Any] = {"select": ["policy-daily-retention"], "edit_policies": edit}
    assert kinds(plan_of(short(protectedItemsCount=1), **asked)) == (
        ["DefinePolicy"] if edit else ["DefinePolicy", "AssignPolicy"]
    )
    more = short(protectedItemsCount=5)
    stray = short().item("stray", sourceResourceId=None, policyId=policy_id("short"))
    odd = short().vm("odd").item("odd", "SomethingNew", policyId=policy_id("short"))
    for built in (more, stray, odd):
        plan = plan_of(built, **asked)
        assert kinds(plan) == []
        assert "is not known what they are" in by_hand(plan, "policy-daily-retention")


def test_every_item_on_an_edited_policy_is_listed() -> None:
    built = short().vm("kept").item("kept", "ProtectionStopped", policyId=policy_id("short"))
    plan = plan_of(built, select=["policy-daily-retention"], edit_policies=True)
    assert len(only(plan, "DefinePolicy").affects) == 2
    moved = plan_of(built, select=["policy-daily-retention"])
    assert kinds(moved) == []
    assert "not well (stopped)" in by_hand(moved, "policy-daily-retention")


def test_only_what_is_answered_changes_in_a_policy() -> None:
    """The other rule that the policy fails was not asked about: its schedule stays."""
    built = backed_up().policy("busy", hourly(4, 24), policyType="V2", retentionPolicy=SHORT)
    built.resources[-1]["properties"]["instantRpRetentionRangeInDays"] = 7
    built.vm("often").item("often", policyId=policy_id("busy"))
    plan = plan_of(built, select=["policy-daily-retention"])
    assert kinds(plan) == ["DefinePolicy", "AssignPolicy"]
    assert (only(plan, "DefinePolicy").after or {})["schedulePolicy"] == hourly(4, 24)


def test_what_a_resource_guard_guards_is_left_to_people() -> None:
    built = backed_up().policy("busy", hourly(4, 24), policyType="V2", instantRpRetentionRangeInDays=7)
    built.vm("often").item("often", policyId=policy_id("busy"))
    asked: dict[str, Any] = {"config": ENHANCED, "select": ["policy-runs-per-day"], "allow_reduce": True}
    assert kinds(plan_of(built, **asked)) == ["DefinePolicy", "AssignPolicy"]
    properties = built.resources[0]["properties"]  # of which parts are shared with other vaults
    security = {**properties["securitySettings"], "multiUserAuthorization": "Enabled"}
    built.resources[0]["properties"] = {**properties, "securitySettings": security}
    guarded = plan_of(built, **asked)
    assert kinds(guarded) == []
    assert "a Resource Guard has to agree" in by_hand(guarded, "policy-runs-per-day")


def test_a_vault_that_nobody_asked_about_stays_as_it_is() -> None:
    """It takes the VM and then counts; that its settings fail is projected, not planned."""
    built = backed_up().vault("bare", location="northeurope").vm("naked", location="northeurope")
    built.resources[-2]["properties"]["monitoringSettings"] = {
        "azureMonitorAlertSettings": {"alertsForAllJobFailures": "Disabled"}
    }
    whole = plan_of(built)
    assert "SetVaultProtection" in kinds(whole)
    for narrow in ({"only": [vm_id("naked")]}, {"select": ["vm-protected"]}):
        plan = plan_of(built, **narrow)  # type: ignore[arg-type]
        assert kinds(plan) == ["DefinePolicy", "EnableProtection"]
        assert {answer.rule for answer in plan.projected.after_first_backup.newly_failing} == {"vault-failure-alerts"}


def test_a_plan_that_was_half_done_goes_on() -> None:
    first = plan_of(short(), select=["policy-daily-retention"])
    define, assign = first.automatic
    built = short().policy("new", id=define.target, **(define.after or {}))
    again = plan_of(built, select=["policy-daily-retention"])
    assert [step.id for step in again.automatic] == [assign.id]
    assert again.projected.after_apply.failing == 0
    other = short().policy("new", id=define.target, **{**(define.after or {}), "retentionPolicy": SHORT})
    left = plan_of(other, select=["policy-daily-retention"])
    assert kinds(left) == []
    assert "is there already, and is another one" in by_hand(left, "policy-daily-retention")


def checked(vetoed: str) -> Callable[[Sequence[Step]], Checked]:
    """Return what stands in for Azure: it has something against the steps whose title has a word."""
    return lambda steps: Checked(vetoes={step.id: "no" for step in steps if vetoed in step.title})


def test_what_rests_on_nothing_and_nothing_rests_on_is_not_planned() -> None:
    built = backed_up().vm("far", location="northeurope")
    plan = plan_of(built, check=checked("Protect far"))
    assert kinds(plan) == []
    assert plan.projected.after_first_backup.turned == 0


def test_items_of_a_policy_go_over_together_or_not_at_all() -> None:
    built = short().vm("other").item("other", policyId=policy_id("short"))
    plan = plan_of(built, select=["policy-daily-retention"], check=checked("back up other"))
    assert kinds(plan) == []
    assert len(plan_of(built, select=["policy-daily-retention"], check=checked("nothing")).automatic) == 3


def test_steps_that_others_make_necessary_are_checked_as_well() -> None:
    built = backed_up().vm("far", location="northeurope")
    assert "SetVaultProtection" in kinds(plan_of(built))
    plan = plan_of(built, check=checked("immutable"))
    assert "SetVaultProtection" not in kinds(plan)
    assert any(step.kind == "Manual" and "immutable" in step.title for step in plan.steps)


def test_what_cannot_be_taken_back_waits_for_the_redundancy() -> None:
    built = backed_up().vault("spare", "LocallyRedundant")
    plan = plan_of(
        built,
        config=TEMPLATES + "profile: hardened\n",
        allow_one_way=["cross-region-restore"],
        ignore=["vault-security-level"],
        only=[vault_id("spare")],
    )
    change = only(plan, "SetRedundancy")
    later = [step for step in plan.automatic if "cross-region" in step.title]
    assert all(change.id in step.depends_on for step in later)


def test_a_scope_in_which_nothing_fails_is_named() -> None:
    plan = plan_of(backed_up().vm("naked"), only=[vm_id("nakd")])
    assert plan.steps == []
    said = f"--only {vm_id('nakd')}: nothing in it fails"
    assert any(notice.startswith(said) for notice in plan.notices)


@pytest.mark.parametrize("name", ["a", "x{bad}", "rsv-{location}\n"])
def test_a_name_that_azure_would_not_take_is_refused(name: str) -> None:
    text = json.dumps({"remediation": {"vault": {"resource_group": "backup", "name": name}}})
    with pytest.raises(UsageError, match="name"):
        plan_of(backed_up(), config=text)


def test_new_vaults_of_one_name_are_numbered() -> None:
    built = backed_up()
    for place in ("northeurope", "uksouth", "francecentral"):
        built.vm(place, location=place)
    plan = plan_of(built, config="remediation: {vault: {resource_group: backup, name: " + "v" * 60 + "}}")
    names = [step.target.rpartition("/")[2] for step in plan.automatic if step.kind == "CreateVault"]
    assert sorted(names) == sorted({"v" * 50, "v" * 48 + "-2", "v" * 48 + "-3"})


def test_a_vault_whose_cross_region_restore_is_on_keeps_its_redundancy() -> None:
    built = backed_up().vault("spare", "GeoRedundant", tags={"backup-primary-endpoint": "other"})
    built.resources[-1]["properties"]["redundancySettings"]["crossRegionRestore"] = "Enabled"
    plan = plan_of(built, select=["vault-redundancy-matches-intent"], allow_reduce=True)
    assert kinds(plan) == []
    assert "cross-region restore is on" in by_hand(plan, "vault-redundancy-matches-intent")


def test_a_template_that_azure_would_not_take_is_refused() -> None:
    with pytest.raises(UsageError, match=r"remediation\.policy\.interval_hours: a standard policy runs once a day"):
        plan_of(backed_up(), config="remediation: {policy: {interval_hours: 6}}")


def test_a_policy_in_use_is_edited_only_when_asked_and_only_with_all_its_items_in_scope() -> None:
    built = backed_up().policy("weekly", WEEKLY).vm("rare").item("rare", policyId=policy_id("weekly"))
    built.vm("other", id=vm_id("other", "elsewhere"))
    built.item("other", sourceResourceId=vm_id("other", "elsewhere"), policyId=policy_id("weekly"))
    plan = plan_of(built, select=["policy-runs-per-day"], edit_policies=True)
    (step,) = plan.automatic
    assert step.target == policy_id("weekly")
    assert len(step.affects) == 2
    assert any("retention of recovery points that exist" in risk for risk in step.risks)
    assert step.preconditions[0].equals is not None
    assert plan.projected.after_apply.failing == 0
    narrow = [policy_id("weekly"), vm_id("rare")]
    left = plan_of(built, select=["policy-runs-per-day"], edit_policies=True, only=narrow)
    assert kinds(left) == []
    assert "out of what --only names" in by_hand(left, "policy-runs-per-day")


def test_the_redundancy_of_an_empty_vault_is_set_and_of_another_never() -> None:
    empty = backed_up().vault("spare", "LocallyRedundant")
    plan = plan_of(empty, select=["vault-redundancy-matches-intent"])
    step = only(plan, "SetRedundancy")
    assert step.request is not None
    assert step.request.method == "PATCH"
    assert step.preconditions[0].path.endswith("/backupstorageconfig/vaultstorageconfig")
    assert step.preconditions[0].equals == {"/properties/storageTypeState": "Unlocked"}
    held = backed_up()
    held.resources[0]["properties"]["redundancySettings"]["standardTierStorageRedundancy"] = "LocallyRedundant"
    locked = plan_of(held, select=["vault-redundancy-matches-intent"], allow_reduce=True)
    assert kinds(locked) == []
    assert "locked" in by_hand(locked, "vault-redundancy-matches-intent")


def test_a_weaker_redundancy_is_set_only_when_that_is_allowed() -> None:
    built = backed_up().vault("spare", "GeoRedundant", tags={"backup-primary-endpoint": "other"})
    refused = plan_of(built, select=["vault-redundancy-matches-intent"])
    assert kinds(refused) == []
    assert "--allow-reduce" in by_hand(refused, "vault-redundancy-matches-intent")
    allowed = plan_of(built, select=["vault-redundancy-matches-intent"], allow_reduce=True)
    assert only(allowed, "SetRedundancy").risks == ["weaker: LocallyRedundant instead of GeoRedundant"]


def test_a_vault_that_is_put_right_takes_vms_after_that() -> None:
    built = backed_up().vm("naked", location="northeurope")
    built.vault("north", "LocallyRedundant", location="northeurope")
    plan = plan_of(built)
    change = only(plan, "SetRedundancy")
    item = only(plan, "EnableProtection")
    assert item.target.startswith(vault_id("north"))
    assert change.id in item.depends_on
    assert "CreateVault" not in kinds(plan)


def test_a_vault_is_guarded_and_what_was_longer_stays() -> None:
    built = backed_up()
    properties = built.resources[0]["properties"]
    properties["securitySettings"] = {
        "softDeleteSettings": {"softDeleteState": "Disabled", "softDeleteRetentionPeriodInDays": 90},
        "immutabilitySettings": {"state": "Disabled"},
    }
    properties["monitoringSettings"] = {"azureMonitorAlertSettings": {"alertsForAllJobFailures": "Disabled"}}
    plan = plan_of(built)
    guard, immutable = plan.automatic
    assert guard.request is not None
    assert guard.request.method == immutable.request.method == "PATCH"  # type: ignore[union-attr]  # it has one
    settings_ = (guard.request.body or {})["properties"]["securitySettings"]["softDeleteSettings"]
    assert settings_ == {"softDeleteState": "Enabled", "softDeleteRetentionPeriodInDays": 90}
    assert guard.id in immutable.depends_on
    assert plan.projected.after_apply.failing == 0


@pytest.mark.parametrize(
    ("rule", "parameter", "word"),
    [
        ("vault-soft-delete", "require_always_on", "always-on-soft-delete"),
        ("vault-immutability", "require_locked", "locked-immutability"),
    ],
)
def test_what_can_never_be_taken_back_needs_its_own_word(rule: str, parameter: str, word: str) -> None:
    built = backed_up()
    security = built.resources[0]["properties"]["securitySettings"]
    security["softDeleteSettings"]["softDeleteState"] = "Enabled"
    config = f"parameters: {{{rule}: {{{parameter}: true}}}}"
    refused = plan_of(built, config=config, select=[rule], allow_reduce=True)
    assert kinds(refused) == []
    assert "can never be taken back" in by_hand(refused, rule)
    allowed = plan_of(built, config=config, select=[rule], allow_one_way=[word])
    assert only(allowed, "SetVaultProtection").reversibility.startswith("never")
    assert allowed.projected.after_apply.failing == 0


def test_a_backup_is_triggered_only_when_asked_for() -> None:
    built = backed_up()
    built.resources[3]["properties"] |= {"lastRecoveryPoint": "2026-06-01T01:00:00Z", "lastBackupStatus": "Failed"}
    assert kinds(plan_of(built)) == []
    plan = plan_of(built, trigger_backup=True)
    step = only(plan, "TriggerBackup")
    assert {answer.rule for answer in step.answers} == {"backup-on-schedule", "last-backup-succeeded"}
    assert step.request is not None
    assert step.request.path.endswith("/backup")
    assert plan.projected.after_apply.failing == 2
    assert plan.projected.after_first_backup.failing == 0


def test_a_new_item_is_backed_up_after_it_is_protected() -> None:
    plan = plan_of(backed_up().vm("naked"), trigger_backup=True)
    enable, trigger = plan.automatic
    assert (enable.kind, trigger.kind) == ("EnableProtection", "TriggerBackup")
    assert trigger.depends_on == [enable.id]


def test_an_agent_that_is_missing_is_installed_by_hand_with_a_recipe_for_both_systems() -> None:
    built = backed_up().vm("migrated", osProfile={"linuxConfiguration": {"provisionVMAgent": False}})
    plan = plan_of(built, select=["vm-agent-installed"])
    (step,) = plan.steps
    assert any(line.startswith("Windows: ") for line in step.recipe)
    assert any(line.startswith("Linux: ") for line in step.recipe)


def test_exempt_and_unknown_verdicts_are_not_planned_for() -> None:
    plan = plan_of(backed_up().vm("hidden").item("hidden", backupManagementType=None, protectedItemType=None, id=None))
    assert "EnableProtection" not in kinds(plan)


def test_only_narrows_a_plan_to_what_lies_below_an_id() -> None:
    built = backed_up().vm("one").vm("two", id=vm_id("two", "other"))
    plan = plan_of(built, select=["vm-protected"], only=[group_id("OTHER")])
    assert [step.title for step in plan.automatic] == ["Protect two in vault by daily"]
    assert [step.kind for step in plan_of(built, only=[vm_id("on")]).steps] == []


def test_a_plan_needs_to_know_the_time() -> None:
    with pytest.raises(UsageError, match="when it was taken"):
        plan_of(backed_up().vm("naked"), as_of=None)


def test_a_plan_that_was_changed_is_refused() -> None:
    plan = plan_of(backed_up().vm("naked"))
    data = b"".join(encode_plan(plan))
    assert data == msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n", "as if it were written at once"
    content = {name: value for name, value in json.loads(data).items() if name != "digest"}
    compact = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert plan.digest == hashlib.sha256(compact.encode()).hexdigest()
    assert decode_plan(data, "plan.json") == plan
    for old, new in ((b"naked", b"other"), (b'"PUT"', b'"PATCH"'), (plan.digest.encode(), b"0" * 64)):
        with pytest.raises(UsageError, match="changed after it was made"):
            decode_plan(data.replace(old, new), "plan.json")
    for damaged in (data[:-40], b"", b"[]", data.replace(b'"steps"', b'"stepz"'), b"\xff" + data):
        with pytest.raises(UsageError, match="no plan"):
            decode_plan(damaged, "plan.json")
    with pytest.raises(UsageError, match="version"):
        decode_plan(data.replace(b'"schema_version": "1.0"', b'"schema_version": "9"'), "plan.json")


# What holds of every plan

_REDUNDANCY = st.sampled_from(["GeoRedundant", "LocallyRedundant", "ZoneRedundant", None])
_STATES = st.sampled_from([None, None, "Protected", "IRPending", "ProtectionStopped", "ProtectionError"])
_SCHEDULES = st.sampled_from([None, WEEKLY, hourly(4, 24), hourly(4, 12), hourly(6, 24)])


@st.composite
def estates(draw: st.DrawFn) -> EstateBuilder:
    built = EstateBuilder()
    for group in ("rg", "backup"):
        built.add({"id": group_id(group), "type": "Microsoft.Resources/subscriptions/resourceGroups", "name": group})
    chain: dict[str, Any] = {"managementGroupAncestorsChain": []}
    built.add(
        {"id": f"/subscriptions/{SUBSCRIPTION}", "type": "Microsoft.Resources/subscriptions", "properties": chain}
    )
    policies: list[str] = []
    for number in range(draw(st.integers(0, 3))):
        built.vault(f"v{number}", draw(_REDUNDANCY), location=draw(st.sampled_from(["westeurope", "northeurope"])))
        if draw(st.booleans()):
            built.resources[-1]["properties"]["securitySettings"] = {
                "softDeleteSettings": {
                    "softDeleteState": draw(st.sampled_from(["Enabled", "Disabled"])),
                    "softDeleteRetentionPeriodInDays": draw(st.sampled_from([14, 60])),
                },
                "immutabilitySettings": {"state": draw(st.sampled_from(["Disabled", "Unlocked", "Locked"]))},
            }
        for policy in range(draw(st.integers(0, 2))):
            schedule = draw(_SCHEDULES)
            enhanced = schedule is not None and "hourlySchedule" in schedule
            policies.append(policy_id(f"p{policy}", vault_id(f"v{number}")))
            built.policy(
                f"p{policy}",
                schedule,
                id=policies[-1],
                policyType="V2" if enhanced else "V1",
                instantRpRetentionRangeInDays=draw(st.sampled_from([1, 2, 5])),
                retentionPolicy={
                    "retentionPolicyType": "LongTermRetentionPolicy",
                    "dailySchedule": {
                        "retentionDuration": {"count": draw(st.sampled_from([7, 30, 90])), "durationType": "Days"}
                    },
                },
            )
    for number in range(draw(st.integers(1, 5))):
        built.vm(f"vm{number}", location=draw(st.sampled_from(["westeurope", "northeurope"])))
        state = draw(_STATES)
        if state is not None and policies:
            chosen = draw(st.sampled_from(policies))
            vault = chosen.rpartition("/backupPolicies/")[0]
            stopped = state == "ProtectionStopped"
            built.item(f"vm{number}", state, policyId="" if stopped else chosen, id=_item(vault, number))
    return built


def _item(vault: str, number: int) -> str:
    name = f"iaasvmcontainerv2;rg;vm{number}"
    return f"{vault}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{name}/protectedItems/VM;{name}"


OPTIONS = st.fixed_dictionaries(
    {
        "trigger_backup": st.booleans(),
        "edit_policies": st.booleans(),
        "allow_reduce": st.booleans(),
        "allow_one_way": st.sampled_from([[], ["enhanced-policy"]]),
        "config": st.sampled_from([TEMPLATES, f"{ENHANCED[:-1]}, vault: {{resource_group: backup}}}}", ""]),
        "primary_endpoint": st.sampled_from(["azure", "other", "zone"]),
    }
)


@settings(max_examples=examples(4))
@given(built=estates(), options=OPTIONS)
def test_every_plan_is_restrained_ordered_and_keeps_its_promises(built: EstateBuilder, options: dict[str, Any]) -> None:
    plan = plan_of(built, **options)
    there = {str(resource["id"]).lower() for resource in built.resources}
    protected = {
        str(resource["properties"].get("sourceResourceId", "")).lower()
        for resource in built.resources
        if resource["type"].endswith("protectedItems")
    }
    done: set[str] = set()
    for step in plan.automatic:
        assert set(step.depends_on) <= done, "what a step depends on comes before it"
        done.add(step.id)
        assert step.request is not None
        assert step.request.method in ("PUT", "PATCH", "POST")
        target = step.target.lower()
        if step.kind in ("CreateVault", "EnableProtection"):
            assert target not in there, "nothing that is there is made anew"
        if step.kind == "EnableProtection":
            assert (step.after or {})["sourceResourceId"].lower() not in protected
        if step.kind == "DefinePolicy" and not options["edit_policies"]:
            assert target not in there
        if step.kind in ("SetRedundancy", "SetVaultProtection"):
            assert step.request.method == "PATCH"
        if not options["allow_reduce"]:
            assert not [risk for risk in step.risks if risk.startswith("weaker")]
        assert options["allow_one_way"] or not step.reversibility.startswith("never")
    ids = [step.id for step in plan.steps]
    assert len(ids) == len(set(ids))
    places = [ORDER[step.kind] for step in plan.automatic if step.kind != "SetVaultProtection"]
    assert places == sorted(places)
    # Every verdict that a program answers passes in the end, and nothing that passed fails.
    assert plan.projected.after_first_backup.still_failing == []
    assert plan.projected.after_first_backup.newly_failing == []
    assert plan.digest == digest_of(plan)
    answered = {(answer.rule, answer.resource) for step in plan.steps for answer in step.answers}
    assert len(answered) == plan.created_from.failing, "each failing verdict has a step or a recipe"


@settings(max_examples=examples(1))
@given(built=estates(), options=OPTIONS)
def test_equal_input_gives_equal_bytes(built: EstateBuilder, options: dict[str, Any]) -> None:
    backwards = EstateBuilder(built.resources[::-1])
    one, other = plan_of(built, **options), plan_of(backwards, **options)
    assert one.steps == other.steps
    assert list(encode_plan(one)) == list(encode_plan(plan_of(built, **options)))
