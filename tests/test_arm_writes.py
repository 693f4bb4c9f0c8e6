"""Writes to the stand-in change what it is: vaults, settings, policies, protection and backups."""

from collections.abc import Iterator

import pytest
from arm import Arm, Asker, Estate, Fault, Principal, Reply
from building import (
    DAILY,
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    Json,
    estate,
    group_id,
    hourly,
    item_id,
    policy_id,
    vault_id,
    vm_id,
)

PROVIDER = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices"
STORAGE = "{}/backupstorageconfig/vaultstorageconfig"
CONFIG = "{}/backupconfig/vaultconfig"
VAULT = {"location": "westeurope", "sku": {"name": "RS0", "tier": "Standard"}, "properties": {}}
ENHANCED = {"schedulePolicyType": "SimpleSchedulePolicyV2", "scheduleRunFrequency": "Daily"}
POLICY: Json = {
    "properties": {
        "backupManagementType": "AzureIaasVM",
        "schedulePolicy": DAILY,
        "retentionPolicy": {
            "retentionPolicyType": "LongTermRetentionPolicy",
            "dailySchedule": {
                "retentionTimes": DAILY["scheduleRunTimes"],
                "retentionDuration": {"count": 30, "durationType": "Days"},
            },
        },
        "timeZone": "UTC",
    },
}


@pytest.fixture
def arm() -> Iterator[Arm]:
    built = estate().vm("web").vm("db").vm("north", location="northeurope").vault().vault("empty").policy()
    with Arm(Estate(built.resources), access="owner", operation_seconds=60) as made:
        made.clock.speed(0)
        yield made


@pytest.fixture
def asker(arm: Arm) -> Iterator[Asker]:
    with Asker(arm) as made:
        yield made


def enabling(name: str = "web", policy: str = "", **properties: object) -> Json:
    made = {"protectedItemType": "Microsoft.Compute/virtualMachines", "sourceResourceId": vm_id(name)}
    return {"properties": {**made, "policyId": policy or policy_id(), **properties}}


def followed(arm: Arm, asker: Asker, answer: Reply, header: str = "azure-asyncoperation") -> Json:
    """Follow an operation to its end."""
    assert answer.status in (201, 202)
    assert asker.get(answer.headers[header]).body["status"] == "InProgress"
    arm.clock.advance(60)
    status: Json = asker.get(answer.headers[header]).body
    return status


def enabled(arm: Arm, asker: Asker, name: str = "web") -> Json:
    followed(arm, asker, asker.ask("PUT", item_id(name), enabling(name)))
    properties: Json = asker.get(item_id(name)).body["properties"]
    return properties


def test_a_vault_is_created_with_its_default_policies(arm: Arm, asker: Asker) -> None:
    answer = asker.ask("PUT", vault_id("new"), {**VAULT, "tags": {"a": "b"}, "identity": {"type": "SystemAssigned"}})
    assert answer.status == 201
    assert followed(arm, asker, answer)["status"] == "Succeeded"
    vault = asker.get(vault_id("new")).body
    assert (vault["tags"], vault["properties"]["provisioningState"]) == ({"a": "b"}, "Succeeded")
    assert vault["properties"]["redundancySettings"]["standardTierStorageRedundancy"] == "GeoRedundant"
    policies = asker.get(f"{vault_id('new')}/backupPolicies").body["value"]
    assert [entry["name"] for entry in policies] == ["HourlyLogBackup", "DefaultPolicy"]


def test_regions_differ_in_what_a_vault_gets_that_does_not_say() -> None:
    redundancy = {"westeurope": "LocallyRedundant"}
    there = Estate(estate().vault().resources)
    with Arm(there, access="owner", default_redundancy=redundancy) as arm, Asker(arm) as asker:
        for region in ("westeurope", "northeurope"):
            asker.ask("PUT", vault_id(region), {**VAULT, "location": region})
        found = [asker.get(STORAGE.format(vault_id(name))).body for name in ("westeurope", "northeurope")]
    assert [entry["properties"]["storageModelType"] for entry in found] == ["LocallyRedundant", "GeoRedundant"]


def test_an_old_version_creates_a_vault_at_once(asker: Asker) -> None:
    answer = asker.ask("PUT", vault_id("new"), VAULT, version="2016-06-01")
    assert (answer.status, "azure-asyncoperation" in answer.headers) == (201, False)
    assert asker.ask("PUT", vault_id("new"), VAULT, version="2016-06-01").status == 200


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("1st", VAULT, "InvalidResourceName"),
        ("new", {"sku": {"name": "RS0"}}, "LocationRequired"),
        ("vault", {**VAULT, "location": "northeurope"}, "InvalidResourceLocation"),
        (
            "new",
            {**VAULT, "properties": {"redundancySettings": {"standardTierStorageRedundancy": "Some"}}},
            "InvalidRestApiParameter",
        ),
    ],
)
def test_a_vault_that_cannot_be_is_refused(asker: Asker, name: str, body: Json, code: str) -> None:
    assert asker.ask("PUT", vault_id(name), body).code == code


def test_names_are_checked(asker: Asker) -> None:
    path = f"{group_id()}/providers/Microsoft.RecoveryServices/locations/westeurope/checkNameAvailability"
    answers = [
        asker.ask("POST", path, {"name": name, "type": "Microsoft.RecoveryServices/Vaults"}).body
        for name in ("new", "vault", "!")
    ]
    assert [answer["nameAvailable"] for answer in answers] == [True, False, False]


def test_a_vault_is_changed_by_an_operation(arm: Arm, asker: Asker) -> None:
    body = {"properties": {"redundancySettings": {"standardTierStorageRedundancy": "ZoneRedundant"}}}
    answer = asker.ask("PATCH", vault_id("empty"), body)
    assert asker.get(answer.headers["location"]).status == 202
    assert followed(arm, asker, answer)["id"].endswith(answer.headers["azure-asyncoperation"].split("/")[-1][:36])
    result = asker.get(answer.headers["location"])
    assert result.body["properties"]["redundancySettings"]["standardTierStorageRedundancy"] == "ZoneRedundant"
    assert result.body["properties"]["securitySettings"]["softDeleteSettings"]["softDeleteState"] == "AlwaysON"
    refused = asker.ask("PUT", STORAGE.format(vault_id("empty")), {"properties": {"storageType": "GeoRedundant"}})
    assert "you must again use the Vault API" in refused.body["error"]["message"]


def test_an_operation_that_fails_changes_nothing(arm: Arm, asker: Asker) -> None:
    arm.fault(Fault("PATCH", "operation-failed", failure=("SomeError", "It did not work.")))
    body = {"properties": {"redundancySettings": {"standardTierStorageRedundancy": "ZoneRedundant"}}}
    answer = asker.ask("PATCH", vault_id("empty"), body)
    status = followed(arm, asker, answer)
    assert (status["status"], status["error"]["code"]) == ("Failed", "SomeError")
    assert asker.get(answer.headers["location"]).code == "SomeError"
    properties = asker.get(vault_id("empty")).body["properties"]
    assert properties["redundancySettings"]["standardTierStorageRedundancy"] == "GeoRedundant"


def test_storage_is_changed_until_the_first_machine_locks_it(arm: Arm, asker: Asker) -> None:
    path = STORAGE.format(vault_id())
    local, geo = ({"properties": {"storageType": kind}} for kind in ("LocallyRedundant", "GeoRedundant"))
    assert asker.ask("PUT", path, local).body["properties"]["storageModelType"] == "LocallyRedundant"
    assert asker.ask("PATCH", path, geo).status == 204
    vault = asker.get(vault_id()).body
    assert vault["properties"]["redundancySettings"]["standardTierStorageRedundancy"] == "GeoRedundant"
    enabled(arm, asker)
    assert asker.get(path).body["properties"]["storageTypeState"] == "Locked"
    assert asker.ask("PUT", path, local).code == "StorageModelModifyError"
    patch = {"properties": {"redundancySettings": {"standardTierStorageRedundancy": "LocallyRedundant"}}}
    assert asker.ask("PATCH", vault_id(), patch).code == "StorageModelModifyError"
    assert asker.ask("PUT", path, {"properties": {"crossRegionRestoreFlag": True}}).status == 200
    assert asker.ask("PUT", path, {"properties": {"crossRegionRestoreFlag": False}}).status == 400


def test_soft_delete_is_changed_unless_it_is_always_on(asker: Asker) -> None:
    path, wanted = CONFIG.format(vault_id()), {"enhancedSecurityState": "Enabled", "softDeleteFeatureState": "Disabled"}
    assert asker.ask("PATCH", path, {"properties": wanted}).status == 400
    new = CONFIG.format(vault_id("new"))
    asker.ask("PUT", vault_id("new"), VAULT)
    assert asker.ask("PUT", new, {"properties": {"softDeleteFeatureState": "Disabled"}}).status == 400
    assert asker.ask("PUT", new, {"properties": wanted}).body["properties"]["softDeleteFeatureState"] == "Disabled"
    assert asker.get(new).body["properties"]["softDeleteFeatureState"] == "Disabled"


def test_a_policy_is_written_at_once_or_by_an_operation(arm: Arm, asker: Asker) -> None:
    answer = asker.ask("PUT", policy_id("new"), POLICY)
    assert (answer.status, answer.body["properties"]["protectedItemsCount"]) == (200, 0)
    arm.policy_writes_answer = 202
    answer = asker.ask("PUT", policy_id("newer"), POLICY)
    assert (answer.status, answer.body) == (202, None)
    assert asker.get(answer.headers["location"]).status == 202
    assert asker.get(policy_id("newer")).status == 404
    assert followed(arm, asker, answer)["status"] == "Succeeded"
    assert asker.get(answer.headers["location"]).body["name"] == "newer"


def test_a_policy_that_is_in_use_changes_by_an_operation_and_stays(arm: Arm, asker: Asker) -> None:
    enabled(arm, asker)
    answer = asker.ask("PUT", policy_id(), POLICY)
    assert followed(arm, asker, answer)["status"] == "Succeeded"
    assert asker.get(policy_id()).body["properties"]["protectedItemsCount"] == 1
    assert asker.ask("DELETE", policy_id()).status == 400
    asker.ask("PUT", policy_id("new"), POLICY)
    assert [asker.ask("DELETE", policy_id("new")).status for _ in range(2)] == [200, 204]
    assert [seen.path for seen in arm.deletions] == [policy_id(), *[policy_id("new")] * 2]


@pytest.mark.parametrize(
    "changed",
    [
        {"backupManagementType": ""},
        {"schedulePolicy": None},
        {"schedulePolicy": {**DAILY, "schedulePolicyType": "LongTermSchedulePolicy"}},
        {
            "schedulePolicy": {"dailySchedule": {"scheduleRunTimes": ["2026-01-01T22:15:00Z"]}, **ENHANCED},
            "policyType": "V2",
        },
        {"schedulePolicy": {**DAILY, "scheduleRunTimes": ["2026-01-01T21:00:00Z"]}},
        {"schedulePolicy": hourly(5, 12), "policyType": "V2"},
        {"schedulePolicy": hourly(4, 12)} | {"policyType": "V1"},
        {"retentionPolicy": {"retentionPolicyType": "LongTermRetentionPolicy"}},
        {"instantRpRetentionRangeInDays": 6},
    ],
)
def test_a_policy_that_the_service_does_not_take_is_refused(asker: Asker, changed: Json) -> None:
    body = {"properties": {**POLICY["properties"], **changed}}
    assert asker.ask("PUT", policy_id("new"), body).code == "BMSUserErrorInvalidPolicyInput"


def test_an_enhanced_policy_does_not_become_a_standard_one(asker: Asker) -> None:
    enhanced = {"schedulePolicy": hourly(4, 12), "policyType": "V2", "instantRpRetentionRangeInDays": 7}
    body = {"properties": {**POLICY["properties"], **enhanced}}
    assert asker.ask("PUT", policy_id(), body).status == 200
    assert asker.ask("PUT", policy_id(), POLICY).status == 400


def test_protection_is_enabled_by_an_operation_with_a_job(arm: Arm, asker: Asker) -> None:
    answer = asker.ask("PUT", item_id("web"), enabling())
    assert (answer.status, answer.body) == (202, None)
    assert asker.get(item_id("web")).status == 404
    assert asker.get(answer.headers["location"]).status == 202
    status = followed(arm, asker, answer)
    job = asker.get(f"{vault_id()}/backupJobs/{status['properties']['jobId']}").body["properties"]
    assert (job["operation"], job["status"], job["duration"]) == ("ConfigureBackup", "Completed", "PT1M0S")
    item = asker.get(answer.headers["location"]).body["properties"]
    assert (item["protectionState"], item["policyName"], item["lastBackupStatus"]) == ("IRPending", "daily", "")
    assert asker.get(f"{vault_id()}/backupOperations/{status['id']}").body == status
    assert asker.get(policy_id()).body["properties"]["protectedItemsCount"] == 1


def test_one_thing_at_a_time_goes_on_at_an_item(arm: Arm, asker: Asker) -> None:
    asker.ask("PUT", item_id("web"), enabling())
    assert asker.ask("PUT", item_id("web"), enabling()).code == "BMSUserErrorObjectLocked"
    assert asker.ask("PUT", item_id("db"), enabling("db")).status == 202
    arm.clock.advance(60)
    assert asker.ask("PUT", item_id("web"), enabling()).status == 202


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (item_id("gone"), enabling("gone"), "BMSUserErrorDataSourceObjectNotFound"),
        (item_id("db"), enabling(), "BMSUserErrorInvalidInput"),
        (item_id("web"), {"properties": {}}, "BMSUserErrorInvalidInput"),
        (item_id("web"), enabling(policy=policy_id("none")), "BMSUserErrorPolicyNotFound"),
        (item_id("web"), enabling(policy=policy_id("x", vault_id("empty"))), "BMSUserErrorPolicyNotFound"),
        (item_id("north"), enabling("north"), "BMSUserErrorRegionMismatch"),
        (item_id("web"), enabling(protectionState="ProtectionStopped"), "BMSUserErrorDataSourceObjectNotFound"),
    ],
)
def test_protection_that_cannot_be_is_refused(asker: Asker, path: str, body: Json, code: str) -> None:
    assert asker.ask("PUT", path, body).code == code


def test_a_machine_is_protected_in_one_vault_only(arm: Arm, asker: Asker) -> None:
    enabled(arm, asker)
    asker.ask("PUT", policy_id("p", vault_id("empty")), POLICY)
    other = item_id("web", vault=vault_id("empty"))
    answer = asker.ask("PUT", other, enabling(policy=policy_id("p", vault_id("empty"))))
    assert answer.code == "VirtualMachineAlreadyProtected"


def test_a_soft_deleted_twin_keeps_a_machine_out_of_other_vaults(arm: Arm, asker: Asker) -> None:
    enabled(arm, asker)
    followed(arm, asker, asker.ask("DELETE", item_id("web")))
    empty = vault_id("empty")
    asker.ask("PUT", policy_id("p", empty), POLICY)
    other, body = item_id("web", vault=empty), enabling(policy=policy_id("p", empty))
    assert asker.ask("PUT", other, body).code == "VirtualMachineAlreadyProtected"
    arm.estate.remove(item_id("web"))
    answer = asker.ask("PUT", other, body)
    arm.clock.advance(60)
    arm.settle()
    assert answer.status == 202
    assert arm.estate.get(other) is not None


def test_enabling_needs_a_right_on_the_machine_too() -> None:
    helper = Principal("helper", access={"*": ["reader", "backup-contributor"]})
    built = estate().vm("web").vault().policy()
    with Arm(Estate(built.resources), principals=(helper,)) as arm, Asker(arm, principal=helper) as asker:
        answer = asker.ask("PUT", item_id("web"), enabling())
        assert (answer.status, answer.code) == (403, "LinkedAuthorizationFailed")
        assert asker.ask("PUT", policy_id("new"), POLICY).status == 200
    with Arm(Estate(built.resources)) as arm, Asker(arm) as asker:
        assert asker.ask("PUT", policy_id("new"), POLICY).code == "AuthorizationFailed"


def test_a_backup_goes_on_after_its_operation(arm: Arm, asker: Asker) -> None:
    enabled(arm, asker)
    expiry = {
        "properties": {"objectType": "IaasVMBackupRequest", "recoveryPointExpiryTimeInUTC": "2026-12-01T00:00:00Z"}
    }
    status = followed(arm, asker, asker.ask("POST", f"{item_id('web')}/backup", expiry))
    job = f"{vault_id()}/backupJobs/{status['properties']['jobId']}"
    running = asker.get(job).body["properties"]
    assert (running["operation"], running["status"], "endTime" in running) == ("Backup", "InProgress", False)
    assert asker.get(f"{vault_id()}/backupJobs", **{"$filter": "status eq 'InProgress'"}).body["value"][0]["id"] == job
    assert asker.ask("POST", f"{item_id('web')}/backup", expiry).code == "BMSUserErrorObjectLocked"
    arm.clock.advance(60)
    assert asker.get(job).body["properties"]["status"] == "Completed"
    item = asker.get(item_id("web")).body["properties"]
    assert (item["protectionState"], item["lastBackupStatus"]) == ("Protected", "Completed")
    assert item["lastRecoveryPoint"] > item["lastBackupTime"]


def test_a_backup_can_fail(arm: Arm, asker: Asker) -> None:
    enabled(arm, asker)
    arm.fault(Fault("~POST .*/backup$", "operation-failed"))
    status = followed(arm, asker, asker.ask("POST", f"{item_id('web')}/backup", {}))
    arm.clock.advance(60)
    job = asker.get(f"{vault_id()}/backupJobs/{status['properties']['jobId']}").body["properties"]
    assert (job["status"], job["errorDetails"][0]["errorTitle"]) == ("Failed", "UserErrorGuestAgentStatusUnavailable")
    item = asker.get(item_id("web")).body["properties"]
    assert (item["protectionState"], item["lastBackupStatus"]) == ("Protected", "Failed")
    assert (item["healthStatus"], "lastRecoveryPoint" in item) == ("ActionRequired", False)
    assert asker.ask("POST", f"{item_id('db')}/backup", {}).code == "BMSUserErrorDataSourceObjectNotFound"


def test_protection_is_stopped_and_resumed(arm: Arm, asker: Asker) -> None:
    enabled(arm, asker)
    stop = enabling(policy=" ", protectionState="ProtectionStopped")
    status = followed(arm, asker, asker.ask("PUT", item_id("web"), stop))
    job = asker.get(f"{vault_id()}/backupJobs/{status['properties']['jobId']}").body["properties"]
    assert job["operation"] == "DisableBackup"
    stopped = asker.get(item_id("web")).body["properties"]
    assert (stopped["protectionState"], stopped["policyId"]) == ("ProtectionStopped", "")
    assert asker.ask("POST", f"{item_id('web')}/backup", {}).status == 400
    assert enabled(arm, asker)["protectionState"] == "IRPending"


def test_a_deleted_item_stays_soft_deleted_until_it_is_undeleted(arm: Arm, asker: Asker) -> None:
    enabled(arm, asker)
    answer = asker.ask("DELETE", item_id("web"))
    assert "/backupOperations/" in answer.headers["azure-asyncoperation"]
    assert asker.get(answer.headers["location"]).status == 202
    followed(arm, asker, answer)
    assert asker.get(answer.headers["location"]).status == 204
    deleted = asker.get(item_id("web")).body["properties"]
    assert (deleted["protectionState"], deleted["isScheduledForDeferredDelete"]) == ("ProtectionStopped", True)
    assert (deleted["policyId"], deleted["protectionStatus"]) == ("", "Healthy")
    assert asker.ask("PUT", item_id("web"), enabling()).code == "BMSUserErrorProtectedItemInSoftDeletedState"
    assert asker.ask("DELETE", vault_id()).code == "ServiceResourceNotEmptyWithBackendMessage"
    followed(
        arm, asker, asker.ask("PUT", item_id("web"), enabling(isRehydrate=True, protectionState="ProtectionStopped"))
    )
    assert "isScheduledForDeferredDelete" not in asker.get(item_id("web")).body["properties"]
    assert enabled(arm, asker)["protectionState"] == "IRPending"
    assert len(arm.deletions) == 2


def test_without_soft_delete_an_item_is_gone(arm: Arm, asker: Asker) -> None:
    arm.estate.put(
        {
            "id": CONFIG.format(vault_id()),
            "type": "Microsoft.RecoveryServices/vaults/backupconfig",
            "properties": {"softDeleteFeatureState": "Disabled"},
        }
    )
    enabled(arm, asker)
    followed(arm, asker, asker.ask("DELETE", item_id("web")))
    assert asker.get(item_id("web")).status == 404
    assert asker.ask("DELETE", item_id("web")).status == 204
    assert asker.ask("DELETE", vault_id()).status == 200
    assert asker.get(vault_id()).status == 404


def test_machines_are_found_by_a_refresh(arm: Arm, asker: Asker) -> None:
    def found() -> list[str]:
        answer = asker.get(
            f"{vault_id()}/backupProtectableItems", **{"$filter": "backupManagementType eq 'AzureIaasVM'"}
        )
        return [entry["properties"]["friendlyName"] for entry in answer.body["value"]]

    arm.estate.put({"id": vm_id("new"), "location": "westeurope", "type": "Microsoft.Compute/virtualMachines"})
    assert found() == ["web", "db"]
    answer = asker.ask("POST", f"{vault_id()}/backupFabrics/Azure/refreshContainers")
    waiting = asker.get(answer.headers["location"])
    assert (waiting.status, waiting.headers["location"]) == (202, answer.headers["location"])
    followed(arm, asker, answer)
    assert asker.get(answer.headers["location"]).status == 204
    enabled(arm, asker)
    assert found() == ["db", "new"]


def test_questions_before_enabling_are_answered(arm: Arm, asker: Asker) -> None:
    def ask(verb: str, region: str = "westeurope", **body: str) -> Json:
        answer = asker.ask("POST", f"{PROVIDER}/locations/{region}/{verb}", body)
        return answer.body if answer.status == 200 else {"status": answer.status}

    def check(name: str) -> Json:
        return ask("backupPreValidateProtection", resourceId=vm_id(name), vaultId=vault_id(), resourceType="VM")

    machine = {"resourceType": "VM", "resourceId": vm_id("web")}
    assert ask("backupStatus", **machine) == {"protectionStatus": "NotProtected"}
    assert (check("web")["status"], check("web")["protectedItemName"]) == ("Succeeded", "vm;iaasvmcontainerv2;rg;web")
    enabled(arm, asker)
    status = ask("backupStatus", **machine)
    assert (status["protectionStatus"], status["vaultId"], status["policyName"]) == ("Protected", vault_id(), "daily")
    assert check("web")["errorCode"] == "VirtualMachineAlreadyProtected"
    assert check("north")["errorCode"] == "UserErrorRegionMismatch"
    assert check("gone")["errorCode"] == "UserErrorVmNotFound"
    assert ask("backupStatus", "northeurope", **machine) == {"status": 400}
    feature = {"featureType": "AzureVMResourceBackup", "vmSku": "Premium"}
    assert ask("backupValidateFeatures", vmSize="Standard_D2", **feature)["supportStatus"] == "Supported"
    assert ask("backupValidateFeatures", vmSize="Basic_A0", **feature)["supportStatus"] == "DefaultOFF"
    assert ask("backupValidateFeatures", featureType="Other")["supportStatus"] == "Invalid"
    assert [seen.method for seen in arm.mutations] == ["PUT"]


def test_a_disabled_subscription_is_read_only() -> None:
    built = (
        estate()
        .vault()
        .add({"id": f"/subscriptions/{SUBSCRIPTION}", "type": "Microsoft.Resources/subscriptions", "state": "Disabled"})
    )
    with Arm(Estate(built.resources), access="owner") as arm, Asker(arm) as asker:
        assert asker.ask("PATCH", vault_id(), {"tags": {}}).code == "ReadOnlyDisabledSubscription"
        assert asker.get(vault_id()).status == 200
        assert asker.ask("PUT", f"/subscriptions/{OTHER_SUBSCRIPTION}", {}).status in (404, 405)


def test_operations_can_say_when_to_ask_again_and_leave_out_the_host() -> None:
    there = Estate(estate().vault().vm("web").policy().resources)
    with Arm(there, access="owner", retry_after=10, relative_operations=True) as arm, Asker(arm) as asker:
        answer = asker.ask("PATCH", vault_id(), {"properties": {"publicNetworkAccess": "Disabled"}})
        assert answer.headers["azure-asyncoperation"].startswith("/subscriptions/")
        assert answer.headers["retry-after"] == "10"
        assert asker.ask("PUT", item_id("web"), enabling()).headers["location"].startswith(arm.url)


def test_a_body_that_is_no_object_is_refused(asker: Asker) -> None:
    assert asker.ask("PUT", vault_id("new"), [1]).code == "InvalidRequestContent"
