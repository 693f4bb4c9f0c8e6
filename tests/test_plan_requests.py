"""What plans send, against what was not written here: Microsoft's schemas and examples, and what the SDK sends."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from arm.recorded import FOLDER, MISSING, load, names
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import HttpTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.recoveryservices import RecoveryServicesClient
from azure.mgmt.recoveryservices import models as vault_models
from azure.mgmt.recoveryservicesbackup import RecoveryServicesBackupClient
from azure.mgmt.recoveryservicesbackup import models as backup_models
from building import SUBSCRIPTION, EstateBuilder, estate, group_id, hourly, item_id, policy_id, vault_id, vm_id
from jsonschema import Draft4Validator
from planned import EVERYTHING, plan_of_example, plan_of_resources
from referencing import Registry
from referencing.jsonschema import DRAFT4

from auditor.arm_id import parse_arm_id
from auditor.declared.config import PolicyTemplate, VaultTemplate
from auditor.remediation import requests
from auditor.remediation.model import Plan, Request, step_id
from auditor.remediation.policies import of_template
from auditor.text import fold

Json = dict[str, Any]
recorded = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)
CONFIG = """
remediation:
  vault: {resource_group: backup, tags: {owner: backup team}, soft_delete_days: 30}
  policy: {type: V2, interval_hours: 6, window_hours: 18, time: "02:00", daily_days: 45, weekly_weeks: 12,
           monthly_months: 12, yearly_years: 3, instant_restore_days: 7}
"""
PARAMETERS = ["policy-long-term-retention.months=12", "vault-soft-delete.require_always_on=true"]
WEEKLY: Json = {
    "schedulePolicyType": "SimpleSchedulePolicy",
    "scheduleRunFrequency": "Weekly",
    "scheduleRunDays": ["Sunday"],
    "scheduleRunTimes": ["2026-01-01T02:00:00Z"],
    "scheduleWeeklyFrequency": 0,
}
LONG: Json = {
    "retentionPolicyType": "LongTermRetentionPolicy",
    "dailySchedule": {
        "retentionTimes": ["2026-01-01T08:00:00Z"],
        "retentionDuration": {"count": 10, "durationType": "Days"},
    },
    "monthlySchedule": {
        "retentionScheduleFormatType": "Daily",
        "retentionScheduleDaily": {"daysOfTheMonth": [{"date": 1, "isLast": False}]},
        "retentionScheduleWeekly": None,
        "retentionTimes": ["2026-01-01T08:00:00Z"],
        "retentionDuration": {"count": 6, "durationType": "Months"},
    },
}
WEEKS: Json = {
    "retentionPolicyType": "LongTermRetentionPolicy",
    "weeklySchedule": {
        "daysOfTheWeek": ["Sunday"],
        "retentionTimes": ["2026-01-01T02:00:00Z"],
        "retentionDuration": {"count": 12, "durationType": "Weeks"},
    },
}
TIERING = {"ArchivedRP": {"tieringMode": "TierAfter", "duration": 3, "durationType": "Months"}}
GROUPS = {"azureBackupRGNamePrefix": "a", "azureBackupRGNameSuffix": "b"}


def troubled() -> EstateBuilder:
    """Return an estate with something of all that a program can put right."""
    built = estate().vault().vault("empty", "LocallyRedundant").vault("bare", properties={**BARE})
    built.vm("new").vm("far", location="northeurope").vm("web").vm("db").vm("old")
    built.policy("often", hourly(4, 24), policyType="V2", instantRpRetentionRangeInDays=7, retentionPolicy=LONG)
    built.policy("weekly", WEEKLY, instantRpRetentionRangeInDays=5, retentionPolicy=WEEKS, instantRPDetails=GROUPS)
    built.policy("brief", instantRpRetentionRangeInDays=1, tieringPolicy=TIERING, instantRPDetails={})
    for name, policy in (("web", "often"), ("db", "weekly"), ("old", "brief")):
        built.item(name, policyId=policy_id(policy), lastRecoveryPoint="2026-05-01T01:00:00Z")
    for group in ("rg", "backup"):
        built.add({"id": group_id(group), "type": "Microsoft.Resources/subscriptions/resourceGroups", "name": group})
    chain = {"managementGroupAncestorsChain": [{"name": "root"}]}
    return built.add(
        {"id": f"/subscriptions/{SUBSCRIPTION}", "type": "Microsoft.Resources/subscriptions", "properties": chain}
    )


BARE: Json = {
    "provisioningState": "Succeeded",
    "redundancySettings": {"standardTierStorageRedundancy": "GeoRedundant", "crossRegionRestore": "Disabled"},
    "securitySettings": {"softDeleteSettings": {"softDeleteState": "Disabled", "softDeleteRetentionPeriodInDays": 14}},
    "monitoringSettings": {"azureMonitorAlertSettings": {"alertsForAllJobFailures": "Disabled"}},
}


@cache
def plans() -> list[Plan]:
    """Return plans that hold all kinds of steps, with all that can be allowed."""
    own: dict[str, Any] = {"parameters": PARAMETERS, "ignore": ["vault-security-level"]}
    return [
        plan_of_example(**EVERYTHING, edit_policies=True),
        plan_of_resources(troubled().resources, CONFIG, **EVERYTHING, **own),
    ]


@cache
def sent() -> list[tuple[str, Request]]:
    """Return what the steps of the plans send, each once."""
    found = {}
    for plan in plans():
        for step in plan.automatic:
            assert step.request is not None
            found[step.id] = (step.kind, step.request)
    return list(found.values())


def of_kind(*kinds: str) -> list[Request]:
    found = [request for kind, request in sent() if kind in kinds]
    assert found, kinds
    return found


def test_the_plans_hold_every_kind_of_step() -> None:
    kinds = {kind for kind, _ in sent()}
    wanted = {"CreateVault", "SetRedundancy", "SetVaultProtection", "DefinePolicy", "AssignPolicy", "EnableProtection"}
    assert kinds >= {*wanted, "TriggerBackup"}


def test_a_step_sends_what_its_id_was_made_of() -> None:
    steps = [step for plan in plans() for step in plan.automatic]
    assert [step.title for step in steps if step.id != step_id(step.kind, step.target, step.request)] == []


# The schemas of requests


@cache
def registry() -> Registry[Any]:
    contents = [load("schemas", name) for name in names("schemas")]
    return Registry[Any]().with_resources((content["id"], DRAFT4.create_resource(content)) for content in contents)


def closed(schema: Any, beside: Json | None = None) -> Any:
    """Return a schema in which a member that it does not declare is an error: those beside ``oneOf`` count in each."""
    if isinstance(schema, list):
        return [closed(entry, beside) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    known = {**(beside or {}), **schema.get("properties", {})}
    if "oneOf" in schema and "properties" in schema:
        return {"oneOf": [closed(entry, known) for entry in schema["oneOf"]]}
    made = {
        name: {key: closed(value) for key, value in entry.items()}
        if name in ("properties", "definitions", "resourceDefinitions")
        else closed(entry)
        for name, entry in schema.items()
    }
    if schema.get("properties") and "additionalProperties" not in schema:
        made["properties"] |= {key: closed(value) for key, value in known.items()}
        made["additionalProperties"] = False
    return made


@cache
def tight() -> Registry[Any]:
    contents = [closed(load("schemas", name)) for name in names("schemas")]
    return Registry[Any]().with_resources((content["id"], DRAFT4.create_resource(content)) for content in contents)


SCHEMA = "https://schema.management.azure.com/schemas/2026-05-01/Microsoft.RecoveryServices"


def faults(body: Any, place: str) -> list[str]:
    """Tell what of a body a schema refuses, or does not know."""
    found = []
    for known in (registry(), tight()):
        validator = Draft4Validator({"$ref": f"{SCHEMA}{place}"}, registry=known)
        found += [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(body)]
    return found


def template_of(kind: str, request: Request) -> tuple[Json, str]:
    """Return a request as a template of resources has it, and its schema's place."""
    body = request.body or {}
    if request.method == "PATCH":
        return body["properties"], ".json#/definitions/VaultProperties"
    provider, _, types = {
        "CreateVault": ("", "", "vaults"),
        "DefinePolicy": (".Backup", "", "vaults_backupPolicies"),
    }.get(kind, (".Backup", "", "vaults_backupFabrics_protectionContainers_protectedItems"))
    whole = {
        "name": "x",
        "apiVersion": "2026-05-01",
        "type": f"Microsoft.RecoveryServices/{types.replace('_', '/')}",
        **body,
    }
    return whole, f"{provider}.json#/resourceDefinitions/{types}"


@recorded
def test_every_body_is_one_of_microsofts_schema() -> None:
    checked = [(kind, request) for kind, request in sent() if kind != "TriggerBackup"]
    found = [(request.path, faults(*template_of(kind, request))) for kind, request in checked]
    assert [entry for entry in found if entry[1]] == []


@recorded
@pytest.mark.parametrize("template", ["", "V2", "hourly", "long"])
def test_every_template_is_one_of_microsofts_schema(template: str) -> None:
    more: dict[str, Json] = {
        "V2": {"type": "V2"},
        "hourly": {"type": "V2", "interval_hours": 4},
        "long": {"weekly_weeks": 4, "monthly_months": 12, "yearly_years": 7},
    }
    request = requests.put_policy("/x", of_template(PolicyTemplate(**more.get(template, {}))))
    assert faults(*template_of("DefinePolicy", request)) == []


def change(body: Json, path: str, value: Any) -> Json:
    made: Json = json.loads(json.dumps(body))
    at: Any = made
    *steps, last = path.split("/")
    for step in steps:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return made


BREAKS: list[tuple[str, Request, str, Any]] = [
    ("DefinePolicy", requests.put_policy("/x", of_template(PolicyTemplate(type="V2", interval_hours=6))), path, value)
    for path, value in (
        ("properties/backupManagementType", "AzureVM"),
        ("properties/policyType", "V3"),
        ("properties/instantRpRetentionRangeInDays", "2"),
        ("properties/instantRPRetentionRangeInDays", 2),
        ("properties/schedulePolicy/schedulePolicyType", "SimpleSchedulePolicyV3"),
        ("properties/schedulePolicy/scheduleRunFrequency", "hourly"),
        ("properties/schedulePolicy/hourlySchedule/interval", "PT6H"),
        ("properties/schedulePolicy/hourlySchedule/window", 12),
        ("properties/retentionPolicy/dailySchedule/retentionDuration/durationType", "days"),
        ("properties/retentionPolicy/dailySchedule/retentionDuration/unit", "Days"),
        ("properties/retentionPolicy/retentionPolicyType", None),
        ("properties", None),
    )
]
BREAKS += [
    ("EnableProtection", requests.put_item("/i", "/v", "/p"), "properties/protectedItemType", "VM"),
    ("EnableProtection", requests.put_item("/i", "/v", "/p"), "properties/policyID", "/p"),
    ("EnableProtection", requests.put_item("/i", "/v", "/p"), "properties/policyId", 5),
]
VAULT = requests.create_vault("/v", requests.vault_body("x", "GeoRedundant", VaultTemplate(), {}))
BREAKS += [
    ("CreateVault", VAULT, path, value)
    for path, value in (
        ("sku/name", "RS1"),
        ("properties/redundancySettings/standardTierStorageRedundancy", "ReadAccessGeoZoneRedundant"),
        ("properties/securitySettings/softDeleteSettings/softDeleteState", "AlwaysOn"),
        ("properties/securitySettings/softDeleteSettings/days", 14),
        ("tags", {"owner": 5}),
    )
]


@recorded
@pytest.mark.parametrize(("kind", "request_", "path", "value"), BREAKS)
def test_a_body_that_is_broken_is_refused_by_the_same_check(
    kind: str, request_: Request, path: str, value: Any
) -> None:
    assert faults(*template_of(kind, request_)) == []
    body = change(request_.body or {}, path, value)
    broken = Request(method=request_.method, path=request_.path, api_version=request_.api_version, body=body)
    assert faults(*template_of(kind, broken)) != []


# The official examples


def example(name: str) -> Json:
    parameters = load("rest-examples", f"{name}.json")["parameters"]
    found: Json = parameters.get("parameters") or parameters.get("vault")
    return found


def keys(value: Any, path: str = "") -> Iterator[str]:
    """Yield the places of all members that hold something."""
    if isinstance(value, dict):
        for name, entry in value.items():
            if entry is not None:
                yield f"{path}/{name}"
                yield from keys(entry, f"{path}/{name}")


# Members that the examples lack and the schema has.
BESIDE = {"/properties/policyType", "/properties/instantRpRetentionRangeInDays"}


@recorded
@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("ProtectionPolicies_CreateOrUpdate_Simple", {}),
        ("IaaS_v2_daily", {"type": "V2", "weekly_weeks": 12, "monthly_months": 60, "yearly_years": 10}),
        (
            "IaaS_v2_hourly",
            {
                "type": "V2",
                "weekly_weeks": 12,
                "monthly_months": 60,
                "yearly_years": 10,
                "interval_hours": 4,
                "window_hours": 16,
            },
        ),
    ],
)
def test_a_policy_has_the_members_of_the_official_example(name: str, template: Json) -> None:
    ours = set(keys(requests.put_policy("/p", of_template(PolicyTemplate(**template))).body))
    theirs = set(keys(example(name))) - {"/properties/snapshotConsistencyType"}
    assert ours - theirs <= BESIDE
    assert theirs <= ours


@recorded
def test_protection_and_backups_are_asked_for_as_in_the_official_examples() -> None:
    for request in of_kind("EnableProtection", "AssignPolicy"):
        assert set(keys(request.body)) == set(keys(example("ConfigureProtection")))
        properties = (request.body or {})["properties"]
        assert properties["protectedItemType"] == example("ConfigureProtection")["properties"]["protectedItemType"]
    for request in of_kind("TriggerBackup"):
        assert request.body == example("TriggerBackup_Post")
        assert (request.method, request.path.rpartition("/")[2]) == ("POST", "backup")
    shown = load("rest-examples", "ConfigureProtection.json")["parameters"]
    machine = parse_arm_id(shown["parameters"]["properties"]["sourceResourceId"])
    assert machine is not None
    made = requests.item_id_of("", machine)
    parts = f"protectionContainers/{shown['containerName']}/protectedItems/{shown['protectedItemName']}"
    assert fold(made) == fold(f"/backupFabrics/{shown['fabricName']}/{parts}")


@recorded
def test_vaults_are_made_and_changed_as_in_the_official_examples() -> None:
    for request in of_kind("CreateVault"):
        assert request.method == "PUT"
        body = request.body or {}
        assert {f"/{name}" for name in body} >= set(keys({**example("PUTVault"), "identity": None}, "")) - {
            "/properties/publicNetworkAccess",
            "/sku/name",
        }
        assert body["properties"]["redundancySettings"].keys() == REDUNDANCY().keys()
    for request in of_kind("SetRedundancy"):
        assert request.method == "PATCH"
        assert set(keys(request.body)) <= set(keys(example("PATCHVault_WithRedundancySettings")))
        settings = (request.body or {})["properties"]["redundancySettings"]
        assert settings["standardTierStorageRedundancy"] in ("LocallyRedundant", "GeoRedundant", "ZoneRedundant")


def REDUNDANCY() -> Json:  # noqa: N802 -- reads as the constant that it would be were the examples always there
    found: Json = example("PATCHVault_WithRedundancySettings")["properties"]["redundancySettings"]
    return found


# What the SDK sends


class Kept(Exception):
    """The request that the SDK was about to send."""

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.url)
        self.method = request.method
        self.path = unquote(urlsplit(request.url).path)
        self.body = json.loads(request.content) if request.content else None


class Keeping(HttpTransport[Any, Any]):
    """Sends nothing."""

    def send(self, request: HttpRequest, **_: Any) -> HttpResponse:
        raise Kept(request)

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class Anyone:
    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("x", 2**31)


def kept(kind: str, request: Request) -> Kept:
    """Return what the SDK sends for the same step: models made of the body, names taken off the path."""
    parts = request.path.strip("/").split("/")
    subscription, group, vault = parts[1], parts[3], parts[7]
    backup = RecoveryServicesBackupClient(Anyone(), subscription, transport=Keeping())
    vaults = RecoveryServicesClient(Anyone(), subscription, transport=Keeping())
    body: Any = request.body
    try:
        match kind:
            case "CreateVault":
                vaults.vaults.begin_create_or_update(group, vault, vault_models.Vault(body))
            case "SetRedundancy" | "SetVaultProtection":
                vaults.vaults.begin_update(group, vault, vault_models.PatchVault(body))
            case "DefinePolicy":
                resource = backup_models.ProtectionPolicyResource(body)
                backup.protection_policies.create_or_update(vault, group, parts[9], resource)
            case "TriggerBackup":
                asked = backup_models.BackupRequestResource(body)
                backup.backups.trigger(vault, group, parts[9], parts[11], parts[13], asked)
            case _:
                item = backup_models.ProtectedItemResource(body)
                backup.protected_items.begin_create_or_update(vault, group, parts[9], parts[11], parts[13], item)
    except Kept as caught:
        return caught
    raise AssertionError("nothing was sent")


def test_the_sdk_sends_the_same_to_the_same_place() -> None:
    for kind, request in sent():
        theirs = kept(kind, request)
        assert (theirs.method, fold(theirs.path), theirs.body) == (request.method, fold(request.path), request.body)
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", request.api_version)


def strangers(model: Any, path: str = "") -> Iterator[str]:
    """Yield members of an SDK's model that its class does not declare, as deep as it goes."""
    if isinstance(model, list):
        for entry in model:
            yield from strangers(entry, path)
    elif hasattr(model, "_attr_to_rest_field"):
        fields = {entry._rest_name: name for name, entry in model._attr_to_rest_field.items()}
        for name in model:
            if name not in fields:
                yield f"{path}/{name}"
            else:
                yield from strangers(getattr(model, fields[name]), f"{path}/{name}")


# The SDK knows the classes of machines by a second look only, so that their items are made by their class here.
MODELS: dict[str, Any] = {
    "CreateVault": vault_models.Vault,
    "SetRedundancy": vault_models.PatchVault,
    "SetVaultProtection": vault_models.PatchVault,
    "DefinePolicy": backup_models.ProtectionPolicyResource,
    "TriggerBackup": backup_models.BackupRequestResource,
}


def unknown_to_the_sdk(kind: str, body: Json) -> list[str]:
    if kind in MODELS:
        return list(strangers(MODELS[kind](body)))
    return list(strangers(backup_models.AzureIaaSComputeVMProtectedItem(body["properties"])))


def test_the_sdk_knows_every_member_of_every_body() -> None:
    assert [found for kind, request in sent() if (found := unknown_to_the_sdk(kind, request.body or {}))] == []


@pytest.mark.parametrize(("kind", "request_", "path", "value"), BREAKS)
def test_the_sdk_does_not_know_members_that_are_misspelt(kind: str, request_: Request, path: str, value: Any) -> None:
    known = {".", path.rpartition("/")[2]} & {"instantRPRetentionRangeInDays", "window", "unit", "policyID", "days"}
    broken = change(request_.body or {}, path, value)
    if known:
        assert [entry.rpartition("/")[2] for entry in unknown_to_the_sdk(kind, broken)] == list(known)


def test_models_made_by_hand_serialise_to_the_same_bodies() -> None:
    daily = backup_models.DailyRetentionSchedule(
        retention_times=["2020-01-01T22:00:00Z"],  # type: ignore[list-item]  # a time as text is sent as it is
        retention_duration=backup_models.RetentionDuration(count=30, duration_type="Days"),
    )
    policy = backup_models.ProtectionPolicyResource(
        properties=backup_models.AzureIaaSVMProtectionPolicy(
            policy_type="V1",
            schedule_policy=backup_models.SimpleSchedulePolicy(
                schedule_run_frequency="Daily",
                schedule_run_times=["2020-01-01T22:00:00Z"],  # type: ignore[list-item]  # as above
            ),
            retention_policy=backup_models.LongTermRetentionPolicy(daily_schedule=daily),
            instant_rp_retention_range_in_days=2,
            time_zone="UTC",
        )
    )
    assert policy.as_dict() == requests.put_policy("/p", of_template(PolicyTemplate())).body
    item = backup_models.ProtectedItemResource(
        properties=backup_models.AzureIaaSComputeVMProtectedItem(source_resource_id="/v", policy_id="/p")
    )
    assert item.as_dict() == requests.put_item("/i", "/v", "/p").body
    asked = backup_models.BackupRequestResource(properties=backup_models.IaasVMBackupRequest())
    assert asked.as_dict() == requests.trigger("/i").body
    redundancy = vault_models.VaultPropertiesRedundancySettings(
        standard_tier_storage_redundancy="GeoRedundant", cross_region_restore="Disabled"
    )
    soft_delete = vault_models.SoftDeleteSettings(soft_delete_state="Enabled", soft_delete_retention_period_in_days=14)
    alerts = vault_models.AzureMonitorAlertSettings(alerts_for_all_job_failures="Enabled")
    vault = vault_models.Vault(
        location="westeurope",
        tags={"a": "b"},
        sku=vault_models.Sku(name="RS0", tier="Standard"),
        properties=vault_models.VaultProperties(
            public_network_access="Enabled",
            redundancy_settings=redundancy,
            security_settings=vault_models.SecuritySettings(soft_delete_settings=soft_delete),
            monitoring_settings=vault_models.MonitoringSettings(azure_monitor_alert_settings=alerts),
        ),
    )
    assert vault.as_dict() == requests.vault_body("westeurope", "GeoRedundant", VaultTemplate(), {"a": "b"})


# Names


def recorded_items() -> list[tuple[str, str]]:
    """Return the ids of recorded items, and those of the machines that they protect."""
    found = {}
    for folder, pattern in (("transcripts", "*.json"), ("estates", "*.json")):
        for name in names(folder, pattern):
            for entry in objects(load(folder, name)):
                properties = entry.get("properties")
                source = properties.get("sourceResourceId") if isinstance(properties, dict) else None
                if source and "/protectedItems/" in str(entry.get("id")):
                    found[entry["id"]] = source
    return list(found.items())


def objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    for entry in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(entry)


@recorded
def test_items_have_the_ids_that_azure_gave_them() -> None:
    items = recorded_items()
    assert len(items) >= 5
    for arm_id, source in items:
        machine = parse_arm_id(source)
        assert machine is not None
        vault = arm_id.partition("/backupFabrics/")[0]
        made = requests.item_id_of(vault, machine)
        assert fold(made) == fold(arm_id)
        other = parse_arm_id(source.replace("virtualMachines/", "virtualMachines/x"))
        assert other is not None
        assert fold(requests.item_id_of(vault, other)) != fold(arm_id)


def test_a_machine_is_named_in_its_own_group_whatever_the_case() -> None:
    machine = parse_arm_id(vm_id("Web-01", "RG-Apps"))
    assert machine is not None
    made = requests.item_id_of(vault_id(), machine)
    assert fold(made) == fold(item_id("web-01", "rg-apps"))
    assert made.startswith(f"{vault_id()}/backupFabrics/Azure/protectionContainers/IaasVMContainer;iaasvmcontainerv2;")


def test_what_has_to_be_there_or_not_is_asked_for_by_the_same_version() -> None:
    absent = requests.absent("/v", requests.VAULT_VERSION)
    assert (absent.path, absent.api_version, absent.equals) == ("/v", requests.VAULT_VERSION, None)
    still = requests.still("/v", requests.BACKUP_VERSION, policyId="/p", x=None)
    assert still.equals == {"/properties/policyId": "/p", "/properties/x": None}


def test_a_provider_is_registered_in_a_subscription() -> None:
    request = requests.register(SUBSCRIPTION)
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/register"
    assert (request.method, request.path, request.body) == ("POST", path, None)
