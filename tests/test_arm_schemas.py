"""Answers of the stand-in against the schemas in Microsoft's OpenAPI files."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from arm import Arm, Asker, Estate, Quota, Reply
from arm.ids import Json
from arm.recorded import FOLDER, MISSING
from building import DAILY, SUBSCRIPTION, estate, item_id, policy_id, vault_id, vm_id
from jsonschema import Draft4Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)
BACKUP, VAULTS, COMPUTE, GRAPH = "bms.json", "vaults.json", "compute.json", "resourcegraph.json"
AGENT = {
    "vmAgentVersion": "2.7",
    "statuses": [{"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Ready"}],
}
VIEW = {"vmAgent": AGENT, "statuses": [{"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"}]}
LOCATION = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/locations/westeurope"
MACHINES = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"


@cache
def files() -> Registry[Any]:
    """Return the OpenAPI files by their addresses, in which they refer to each other."""
    found = [path for path in (FOLDER / "swagger").rglob("*.json") if "examples" not in path.parts]
    contents = [(path.as_uri(), json.loads(path.read_text(encoding="utf-8"), object_hook=_meant)) for path in found]
    return Registry[Any]().with_resources((uri, DRAFT4.create_resource(content)) for uri, content in contents)


def _meant(content: Json) -> Json:
    """Let an object that has no members be anything, which is what is meant by it beside declared members."""
    return {
        name: entry for name, entry in content.items() if (name, entry) != ("additionalProperties", {"type": "object"})
    }


def plain(value: Any) -> Any:
    """Leave out what is null: recorded answers have nulls where the definitions know of none."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items() if entry is not None}
    return [plain(entry) for entry in value] if isinstance(value, list) else value


def faults_of(answer: Reply, file: str, definition: str) -> list[str]:
    """Tell where an answer is not what a definition says."""
    (uri,) = [uri for uri in files() if uri.endswith(f"/{file}")]
    validator = Draft4Validator({"$ref": f"{uri}#/definitions/{definition}"}, registry=files())
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(plain(answer.body))]


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    built = (
        estate().vm("web", instanceView=VIEW).vm("db").vault().policy().item("db").job("db", jobType="AzureIaaSVMJob")
    )
    with Arm(Estate(built.resources), Quota(1000, 5.0), access="owner") as arm, Asker(arm) as made:
        body = {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {}}
        made.ask("PUT", vault_id("new"), body)
        protected = {"protectedItemType": "Microsoft.Compute/virtualMachines", "sourceResourceId": vm_id("web")}
        made.ask("PUT", item_id("web"), {"properties": {**protected, "policyId": policy_id()}})
        made.ask("POST", f"{item_id('web')}/backup", {"properties": {"objectType": "IaasVMBackupRequest"}})
        yield made


@pytest.mark.parametrize(
    ("path", "file", "definition"),
    [
        (vault_id(), VAULTS, "Vault"),
        (vault_id("new"), VAULTS, "Vault"),
        (f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/vaults", VAULTS, "VaultList"),
        (f"{vault_id('new')}/backupPolicies/DefaultPolicy", BACKUP, "ProtectionPolicyResource"),
        (f"{vault_id('new')}/backupPolicies", BACKUP, "ProtectionPolicyResourceList"),
        (item_id("web"), BACKUP, "ProtectedItemResource"),
        (f"{vault_id()}/backupProtectedItems", BACKUP, "ProtectedItemResourceList"),
        (f"{vault_id('new')}/backupProtectableItems", BACKUP, "WorkloadProtectableItemResourceList"),
        (f"{vault_id()}/backupJobs", BACKUP, "JobResourceList"),
        (f"{vault_id('new')}/backupconfig/vaultconfig", BACKUP, "BackupResourceVaultConfigResource"),
        (vm_id("web"), COMPUTE, "VirtualMachine"),
        (f"{vm_id('web')}/instanceView", COMPUTE, "VirtualMachineInstanceView"),
        (f"{vm_id('db')}/instanceView", COMPUTE, "VirtualMachineInstanceView"),
        (MACHINES, COMPUTE, "VirtualMachineListResult"),
        (vault_id("gone"), BACKUP, "NewErrorResponse"),
        (policy_id("gone"), BACKUP, "NewErrorResponse"),
    ],
)
def test_what_is_read_is_of_its_definition(asker: Asker, path: str, file: str, definition: str) -> None:
    assert faults_of(asker.get(path), file, definition) == []


@pytest.mark.parametrize(
    ("verb", "body", "definition"),
    [
        ("backupStatus", {"resourceType": "VM", "resourceId": vm_id("web")}, "BackupStatusResponse"),
        ("backupStatus", {"resourceType": "VM", "resourceId": vm_id("db")}, "BackupStatusResponse"),
        (
            "backupPreValidateProtection",
            {"resourceType": "VM", "resourceId": vm_id("web"), "vaultId": vault_id()},
            "PreValidateEnableBackupResponse",
        ),
        ("backupValidateFeatures", {"featureType": "AzureVMResourceBackup"}, "AzureVMResourceFeatureSupportResponse"),
    ],
)
def test_questions_are_answered_by_their_definitions(asker: Asker, verb: str, body: Any, definition: str) -> None:
    assert faults_of(asker.ask("POST", f"{LOCATION}/{verb}", body), BACKUP, definition) == []


def test_jobs_and_operations_are_of_their_definitions(asker: Asker) -> None:
    answer = asker.ask("POST", f"{item_id('web')}/backup", {"properties": {"objectType": "IaasVMBackupRequest"}})
    status = asker.get(answer.headers["azure-asyncoperation"])
    assert faults_of(status, BACKUP, "OperationStatus") == []
    job = asker.get(f"{vault_id()}/backupJobs/{status.body['properties']['jobId']}")
    assert (job.body["properties"]["operation"], faults_of(job, BACKUP, "JobResource")) == ("Backup", [])


@pytest.mark.parametrize("shape", ["objectArray", "table"])
def test_resource_graph_answers_by_its_definitions(asker: Asker, shape: str) -> None:
    options = {"$top": 1, "resultFormat": shape}
    page = asker.graph("resources | project id, tags | order by id asc", options=options)
    envelope = Reply(200, {}, {**page.body, "data": {}})  # its definition says object, and means anything
    assert (page.body["count"], faults_of(envelope, GRAPH, "QueryResponse")) == (1, [])
    if shape == "table":
        assert all(faults_of(Reply(200, {}, entry), GRAPH, "Column") == [] for entry in page.body["data"]["columns"])
    refused = asker.graph("where where")
    assert (refused.status, faults_of(refused, GRAPH, "ErrorResponse")) == (400, [])


def test_the_definitions_find_what_is_wrong() -> None:
    properties = {"protectedItemType": "Microsoft.Compute/virtualMachines", "lastRecoveryPoint": 3}
    wrong = Reply(200, {}, {"properties": properties, "name": 1})
    assert faults_of(wrong, BACKUP, "ProtectedItemResource") != []
    assert faults_of(Reply(200, {}, {"schedulePolicy": DAILY, "count": "1"}), GRAPH, "QueryResponse") != []
