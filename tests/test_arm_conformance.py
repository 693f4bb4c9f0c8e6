"""The stand-in against what was not written here: Microsoft's examples, and recorded answers of Resource Graph."""

import base64
import json
import re
from typing import Any

import pytest
import yaml
from arm import Arm, Asker, Estate, Quota, Reply
from arm.ids import Json
from arm.recorded import FOLDER, MISSING, load, missing, names
from building import vault_id

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)
GROUP = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.RecoveryServices"
V = f"{GROUP}/vaults/{{vaultName}}"
ITEM = f"{V}/backupFabrics/{{fabricName}}/protectionContainers/{{containerName}}/protectedItems/{{protectedItemName}}"
LOCATION = "/subscriptions/{subscriptionId}/providers/Microsoft.RecoveryServices/locations/{azureRegion}"
COMPUTE = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Compute"
VAULTS = "Microsoft.RecoveryServices/vaults"
ITEMS = f"{VAULTS}/backupFabrics/protectionContainers/protectedItems"
# The request of each example by its operation; what only an operation under way can answer is asked for after it.
REQUESTS = {
    "BackupJobs_List": ("GET", f"{V}/backupJobs"),
    "BackupProtectableItems_List": ("GET", f"{V}/backupProtectableItems"),
    "BackupProtectedItems_List": ("GET", f"{V}/backupProtectedItems"),
    "BackupResourceStorageConfigsNonCRR_Get": ("GET", f"{V}/backupstorageconfig/vaultstorageconfig"),
    "BackupResourceStorageConfigsNonCRR_Patch": ("PATCH", f"{V}/backupstorageconfig/vaultstorageconfig"),
    "BackupResourceStorageConfigsNonCRR_Update": ("PUT", f"{V}/backupstorageconfig/vaultstorageconfig"),
    "BackupResourceVaultConfigs_Get": ("GET", f"{V}/backupconfig/vaultconfig"),
    "BackupStatus_Get": ("POST", f"{LOCATION}/backupStatus"),
    "Backups_Trigger": ("POST", f"{ITEM}/backup"),
    "FeatureSupport_Validate": ("POST", f"{LOCATION}/backupValidateFeatures"),
    "JobDetails_Get": ("GET", f"{V}/backupJobs/{{jobName}}"),
    "ProtectedItems_CreateOrUpdate": ("PUT", ITEM),
    "ProtectedItems_Get": ("GET", ITEM),
    "ProtectionContainers_Refresh": ("POST", f"{V}/backupFabrics/{{fabricName}}/refreshContainers"),
    "ProtectionIntent_Validate": ("POST", f"{LOCATION}/backupPreValidateProtection"),
    "ProtectionPolicies_CreateOrUpdate": ("PUT", f"{V}/backupPolicies/{{policyName}}"),
    "ProtectionPolicies_Get": ("GET", f"{V}/backupPolicies/{{policyName}}"),
    "Vaults_CreateOrUpdate": ("PUT", V),
    "Vaults_Update": ("PATCH", V),
    "VirtualMachines_InstanceView": ("GET", f"{COMPUTE}/virtualMachines/{{vmName}}/instanceView"),
}
# What starts the operation of which an example shows the status or result, and where that is found.
FOLLOWING = {
    "GetOperationResult": ("Vaults_Update", "location"),
    "GetOperationStatus": ("Vaults_Update", "azure-asyncoperation"),
    "ProtectedItemOperationResults_Get": ("ProtectedItems_CreateOrUpdate", "location"),
    "ProtectedItemOperationStatuses_Get": ("ProtectedItems_CreateOrUpdate", "azure-asyncoperation"),
    "ProtectionContainerRefreshOperationResults_Get": ("ProtectionContainers_Refresh", "location"),
}
# What an example shows although the request does not say it, and what only older machines or other workloads have.
NOT_ASKED = re.compile(
    r"^\.tags$|^\.sku\.tier$|\.workloadType$|\.identity\.(principalId|tenantId|userAssignedIdentities)$|^\.identity$"
    r"|\.lastRecoveryPoint$"
)


def examples() -> list[str]:
    return [name for name in names("rest-examples") if not name.startswith("Resources")]


def body_of(example: Json, parameters: Json) -> Json | None:
    """Return what an example sends; to enable protection is what an example of its end does not say."""
    if example["operationId"] in ("ProtectedItemOperationResults_Get", "ProtectedItemOperationStatuses_Get"):
        _, _, group, machine = parameters["protectedItemName"].split(";")
        source = f"/subscriptions/{parameters['subscriptionId']}/resourceGroups/{group}/providers/Microsoft.Compute"
        policy = f"{V.format(**parameters)}/backupPolicies/DefaultPolicy"
        made = {"sourceResourceId": f"{source}/virtualMachines/{machine}", "policyId": policy}
        return {"properties": {"protectedItemType": "Microsoft.Compute/virtualMachines", **made}}
    if example["operationId"].startswith("GetOperation"):
        return {"properties": {"publicNetworkAccess": "Enabled"}}
    body: Json | None = parameters.get("vault") or parameters.get("parameters")
    return body


def machine_of(parameters: Json, body: Json | None) -> str:
    """Return the machine that an example is about, or some machine."""
    said = (body or {}).get("resourceId") or ((body or {}).get("properties") or {}).get("sourceResourceId")
    if said:
        return str(said)
    names_of = ["", "", parameters.get("resourceGroupName", "rg"), "m"]
    if parameters.get("protectedItemName", "").count(";") == 3:
        names_of = parameters["protectedItemName"].split(";")
    return f"{COMPUTE.format(**{**parameters, 'resourceGroupName': names_of[2]})}/virtualMachines/{names_of[3]}"


def there(example: Json, parameters: Json, body: Json | None) -> Estate:
    """Return an estate in which the example's request can be answered as it is."""
    operation, region = example["operationId"], parameters.get("azureRegion", "westus")
    machine = machine_of(parameters, body)
    vault = (body or {}).get("vaultId") or (V.format(**parameters) if "vaultName" in parameters else vault_id("x"))
    found = Estate([{"id": machine, "type": "Microsoft.Compute/virtualMachines", "location": region, "properties": {}}])
    found.put({"id": f"/subscriptions/{parameters['subscriptionId']}", "type": "Microsoft.Resources/subscriptions"})
    found.put({"id": f"{vault}-other", "type": "other"})
    if operation != "Vaults_CreateOrUpdate":
        properties = {"provisioningState": "Succeeded", "publicNetworkAccess": "Enabled"}
        made = {"name": vault.rpartition("/")[2], "location": region, "etag": "W", "sku": {"name": "Standard"}}
        found.put({"id": vault, "type": VAULTS, **made, "properties": properties})
    policy = {"name": "DefaultPolicy", "properties": {"backupManagementType": "AzureIaasVM"}}
    found.put({"id": f"{vault}/backupPolicies/DefaultPolicy", "type": f"{VAULTS}/backupPolicies", **policy})
    if operation in ("BackupStatus_Get", "ProtectionIntent_Validate", "Backups_Trigger"):
        name = f"iaasvmcontainerv2;{machine.split('/')[4]};{machine.split('/')[8]}"
        item = f"{vault}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{name}/protectedItems/VM;{name}"
        properties = {"sourceResourceId": machine, "protectionState": "Protected", "policyId": f"{vault}/x/P"}
        found.put({"id": item, "type": ITEMS, "properties": properties})
    for resource in shown(example, parameters, vault):
        found.put(resource)
    return found


def shown(example: Json, parameters: Json, vault: str) -> list[Json]:
    """Return what an example of reading reads; machines to protect are found, not kept."""
    answered = next(iter(example["responses"].values())).get("body", {})
    method, path = REQUESTS.get(example["operationId"], ("", ""))
    if method != "GET" or example["operationId"] == "BackupProtectableItems_List":
        return []
    if path.endswith("/instanceView"):
        identifier = path.removesuffix("/instanceView").format(**parameters)
        machine = {"id": identifier, "type": "Microsoft.Compute/virtualMachines"}
        return [{**machine, "properties": {"instanceView": answered}}]
    if "value" in answered:
        return [{**entry, "id": f"{vault}/{entry['type']}/{entry['name']}"} for entry in answered["value"]]
    return [{**answered, "id": path.format(**parameters)}]


def differences(answer: Reply, example: Json) -> list[str]:
    """Tell what an example's answer has and this one has not."""
    expected = example["responses"].get(str(answer.status))
    if expected is None:
        return [f"{answer.status}: {answer.body}"]
    told = [f"no header {name}" for name in expected.get("headers", ()) if name.lower() not in answer.headers]
    told += missing(expected.get("body"), answer.body) if "body" in expected else ()
    return [difference for difference in told if not NOT_ASKED.search(difference)]


@pytest.mark.parametrize("name", examples())
def test_an_official_example_is_answered_in_its_shape(name: str) -> None:
    example = load("rest-examples", name)
    said = {
        key: re.sub(r"^\{.*\}$", "0" * 8, it) if isinstance(it, str) else it
        for key, it in example["parameters"].items()
    }
    parameters = {"fabricName": "Azure", **said}
    body = body_of(example, parameters)
    operation, header = FOLLOWING.get(example["operationId"], (example["operationId"], ""))
    method, path = REQUESTS[operation]
    terms = {"$filter": parameters["$filter"]} if "$filter" in parameters else {}
    version = parameters["api-version"]
    settings = Arm(there(example, parameters, body), access="owner", operation_seconds=60.0, retry_after=60)
    told: list[str] = []
    with settings as arm, Asker(arm) as asker:
        arm.clock.speed(0)
        statuses = [200, 202] if operation.startswith("ProtectionPolicies") else [200]
        for status in statuses:
            arm.policy_writes_answer = status
            answer = asker.ask(method, path.format(**parameters), body, version=version, **terms)
            if header:
                link = answer.headers[header]
                told += differences(asker.get(link), example) if header == "location" else ()
                arm.clock.advance(60)
                answer = asker.get(link)
            told += differences(answer, example)
    assert told == []


def recorded_queries() -> list[tuple[str, Json, Json]]:
    """Return the recorded questions to Resource Graph with their answers."""
    found = [
        (name, json.loads(entry["request"]["body"]), entry["response"])
        for name in names("resource-graph", "*.yaml")
        for entry in yaml.safe_load((FOLDER / "resource-graph" / name).read_text(encoding="utf-8"))["interactions"]
        if entry["request"]["method"] == "POST"
    ]
    for name in [name for name in names("rest-examples") if name.startswith("Resources")]:
        example = load("rest-examples", name)
        text = json.dumps(example["responses"]["200"]["body"])
        response = {"status": {"code": 200}, "body": {"string": text}, "headers": {}}
        found.append((name, example["parameters"]["query"], response))
    return found


def estate_of(body: Json, answered: Json) -> Estate:
    """Return an estate that holds the rows of an answer, and others before and after them."""
    subscriptions = [*body.get("subscriptions", []), "00000000-0000-0000-0000-000000000000"]
    groups = body.get("managementGroups", [])
    rows = answered.get("data", [])
    found = Estate(
        [{**row, "type": row.get("type", "Microsoft.Compute/disks")} for row in rows if "/subscriptions/" in row["id"]],
        tenant=groups[0] if groups else "tenant",
        groups=dict.fromkeys([*groups[1:], "test-other"], subscriptions),
        names=dict.fromkeys(subscriptions, "subscription"),
    )
    for number in range(10):
        name = f"test{number}"
        path = f"/subscriptions/{subscriptions[0]}/resourceGroups/a/providers/Microsoft.Compute/disks/{name}"
        found.put({"id": path, "name": name, "type": "Microsoft.Compute/disks", "tags": {}, "properties": {}})
    return found


@pytest.mark.parametrize(
    ("body", "response"), [entry[1:] for entry in recorded_queries()], ids=[entry[0] for entry in recorded_queries()]
)
def test_a_recorded_query_is_answered_in_the_same_envelope(body: Json, response: Json) -> None:
    recorded = json.loads(response["body"]["string"])
    options = {**body.get("options", {})}
    if not options.get("$skipToken", "ew0K").startswith("ew0K"):  # an example's token is a made-up one
        options = {"$top": 3, "$skip": 3}
    with Arm(estate_of(body, recorded), Quota(15, 5.0)) as arm, Asker(arm) as asker:
        answer = asker.ask(
            "POST", "/providers/Microsoft.ResourceGraph/resources", {**body, "options": options}, version="2021-03-01"
        )
    assert answer.status == response["status"]["code"]
    expected = {name for name in response["headers"] if name not in ("content-length", "transfer-encoding")}
    assert expected <= set(answer.headers)
    assert re.fullmatch(r"00:00:0\d", answer.headers["x-ms-user-quota-resets-after"])
    assert answer.headers["x-ms-user-quota-remaining"] == "14"
    lacking = [told for told in missing(recorded, answer.body) if not told.startswith(".data[].properties.")]
    assert (lacking, set(answer.body)) == ([], set(recorded))
    if "error" in recorded:
        assert _codes(answer.body) == _codes(recorded)
        return
    assert (answer.body["count"], answer.body["resultTruncated"]) == (recorded["count"], recorded["resultTruncated"])
    if "$skipToken" in recorded and recorded["$skipToken"].startswith("ew0K"):
        told, now = (_token(entry["$skipToken"]) for entry in (recorded, answer.body))
        assert {**told, "KustoClusterUrl": ""} == {**now, "KustoClusterUrl": ""}


def _codes(body: Json) -> list[str]:
    return [body["error"]["code"], *(detail["code"] for detail in body["error"]["details"])]


def _token(text: str) -> dict[str, Any]:
    token: dict[str, Any] = json.loads(base64.b64decode(text))
    return token
