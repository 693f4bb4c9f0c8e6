"""The real SDK and azure-identity against the stand-in: what they do with its answers, to the end."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from arm import Arm, Estate, Fault, Quota
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.policies import HttpLoggingPolicy
from azure.core.rest import HttpRequest
from azure.identity import (
    ClientSecretCredential,
    CredentialUnavailableError,
    EnvironmentCredential,
    ManagedIdentityCredential,
)
from azure.mgmt.recoveryservices import RecoveryServicesClient
from azure.mgmt.recoveryservices.models import PatchVault, Sku, Vault, VaultProperties
from azure.mgmt.recoveryservicesbackup import RecoveryServicesBackupClient
from azure.mgmt.recoveryservicesbackup.models import (
    AzureIaaSComputeVMProtectedItem,
    AzureIaaSVMProtectionPolicy,
    BackupRequestResource,
    DailyRetentionSchedule,
    IaasVMBackupRequest,
    LongTermRetentionPolicy,
    ProtectedItemResource,
    ProtectionPolicyResource,
    RetentionDuration,
    SimpleSchedulePolicy,
)
from azure.mgmt.resourcegraph import ResourceGraphClient
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions
from building import NOW, SUBSCRIPTION, estate, item_id, policy_id, vault_id, vm_id

SCOPE = "https://management.azure.com/.default"
CONTAINER, ITEM = "IaasVMContainer;iaasvmcontainerv2;rg;{}", "VM;iaasvmcontainerv2;rg;{}"


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Arm]:
    built = estate().vm("web").vm("db").vault().policy().item("db").job("db")
    with Arm(Estate(built.resources), Quota(1000, 5.0), access="owner") as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def credential(arm: Arm) -> Iterator[ClientSecretCredential]:
    said = arm.environment
    with ClientSecretCredential(
        said["AZURE_TENANT_ID"],
        said["AZURE_CLIENT_ID"],
        said["AZURE_CLIENT_SECRET"],
        authority=arm.url,
        disable_instance_discovery=True,
    ) as made:
        yield made


@pytest.fixture
def graph(arm: Arm, credential: ClientSecretCredential) -> Iterator[ResourceGraphClient]:
    with ResourceGraphClient(credential, base_url=arm.url, retry_backoff_factor=0.01) as made:
        yield made


@pytest.fixture
def backup(arm: Arm, credential: ClientSecretCredential) -> Iterator[RecoveryServicesBackupClient]:
    with RecoveryServicesBackupClient(
        credential, SUBSCRIPTION, base_url=arm.url, polling_interval=0, retry_backoff_factor=0.01
    ) as made:
        yield made


def query(graph: ResourceGraphClient, text: str, **options: Any) -> Any:
    return graph.resources(QueryRequest(query=text, options=QueryRequestOptions(**options)))


def test_identity_signs_in_with_a_secret(arm: Arm, credential: ClientSecretCredential) -> None:
    first, again = credential.get_token(SCOPE), credential.get_token(SCOPE)
    assert first.token == again.token
    assert [seen.path.rpartition("/")[2] for seen in arm.requests] == ["openid-configuration", "token"]


def test_identity_signs_in_by_the_environment(arm: Arm) -> None:
    with EnvironmentCredential(authority=arm.url, disable_instance_discovery=True) as credential:
        assert credential.get_token(SCOPE).token.endswith(".")


def test_identity_signs_in_as_a_managed_identity(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in arm.managed_identity.items():
        monkeypatch.setenv(name, value)
    with ManagedIdentityCredential() as credential:
        assert credential.get_token(SCOPE).token.endswith(".")
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with (
        ManagedIdentityCredential() as credential,
        pytest.raises((ClientAuthenticationError, CredentialUnavailableError)),
    ):
        credential.get_token(SCOPE)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AZURE_CLIENT_SECRET": "wrong"}, "AADSTS7000215"),
        ({"AZURE_CLIENT_ID": "nobody"}, "AADSTS700016"),
        ({"AZURE_TENANT_ID": "12345678-1234-1234-1234-123456789012"}, "Unable to get authority configuration"),
    ],
)
def test_identity_says_why_it_could_not_sign_in(arm: Arm, changed: dict[str, str], said: str) -> None:
    used = arm.environment | changed
    with (
        ClientSecretCredential(
            used["AZURE_TENANT_ID"],
            used["AZURE_CLIENT_ID"],
            used["AZURE_CLIENT_SECRET"],
            authority=arm.url,
            disable_instance_discovery=True,
        ) as credential,
        pytest.raises(ClientAuthenticationError, match=said),
    ):
        credential.get_token(SCOPE)


def test_a_process_of_its_own_needs_only_the_environment(arm: Arm) -> None:
    program = (
        "import os; from azure.identity import EnvironmentCredential as E; "
        "c = E(authority=os.environ['AUDITOR_ARM_ENDPOINT'], disable_instance_discovery=True); "
        f"print(len(c.get_token('{SCOPE}').token) > 100); c.close()"
    )
    environment = {"PATH": os.environ["PATH"], **arm.environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_resource_graph_is_paged(graph: ResourceGraphClient) -> None:
    found: list[str] = []
    token = None
    while True:
        page = query(graph, "resources | project id, name | order by id asc", top=2, skip_token=token)
        found += [row["name"] for row in page.data]
        token = page.skip_token
        if token is None:
            break
    assert (found, page.total_records, page.result_truncated) == (["db", "web", "vault"], 3, "false")


def test_a_bad_query_and_a_quota_reach_the_caller(arm: Arm, graph: ResourceGraphClient) -> None:
    with pytest.raises(HttpResponseError, match="InvalidQuery"):
        query(graph, "where where")
    arm.quota.queries = 0
    with pytest.raises(HttpResponseError) as refused:
        query(graph, "resources")
    assert refused.value.status_code == 429
    response: Any = refused.value.response
    assert response.headers["x-ms-user-quota-remaining"] == "0"


def test_the_sdk_repeats_what_it_repeats(arm: Arm, graph: ResourceGraphClient) -> None:
    arm.fault(Fault("POST /providers/Microsoft.ResourceGraph", "500", times=2))
    assert query(graph, "resources").count == 3
    assert [seen.status for seen in arm.requests if seen.method == "POST"][-3:] == [500, 500, 200]


def test_backup_is_read(backup: RecoveryServicesBackupClient) -> None:
    terms = "backupManagementType eq 'AzureIaasVM' and itemType eq 'VM'"
    (item,) = backup.backup_protected_items.list("vault", "rg", filter=terms)
    assert item.properties is not None
    assert item.properties["protectionState"] == "Protected"
    assert [entry.name for entry in backup.backup_policies.list("vault", "rg")] == ["daily"]
    assert [entry.name for entry in backup.backup_jobs.list("vault", "rg")] == ["5"]
    config = backup.backup_resource_storage_configs_non_crr.get("vault", "rg").properties
    assert config is not None
    assert config.storage_type_state == "Locked"
    security = backup.backup_resource_vault_configs.get("vault", "rg").properties
    assert security is not None
    assert security.soft_delete_feature_state == "AlwaysON"
    one = backup.protected_items.get("vault", "rg", "Azure", CONTAINER.format("db"), ITEM.format("db"))
    assert one.id == item_id("db")
    with pytest.raises(ResourceNotFoundError, match="ResourceNotFound"):
        backup.protection_policies.get("vault", "rg", "gone")


def test_a_vault_is_created_and_changed(arm: Arm, credential: ClientSecretCredential) -> None:
    arm.operation_seconds = 0.05
    with RecoveryServicesClient(credential, SUBSCRIPTION, base_url=arm.url, polling_interval=0) as client:
        body = Vault(location="westeurope", sku=Sku(name="RS0", tier="Standard"), properties=VaultProperties())
        vault = client.vaults.begin_create_or_update("rg", "new", body).result()
        assert vault.properties is not None
        assert (vault.name, vault.properties.provisioning_state) == ("new", "Succeeded")
        for relative in (False, True):
            arm.relative_operations = relative
            access = "Disabled" if relative else "Enabled"
            patch = PatchVault(properties=VaultProperties(public_network_access=access))
            changed = client.vaults.begin_update("rg", "new", patch).result()
            assert changed.properties is not None
            assert changed.properties.public_network_access == access
        assert [entry.name for entry in client.vaults.list_by_subscription_id()] == ["vault", "new"]
        check = client.recovery_services.check_name_availability(
            "rg", "westeurope", {"type": "Microsoft.RecoveryServices/Vaults", "name": "new"}
        )
        assert check.name_available is False


def test_protection_is_enabled_to_its_end(arm: Arm, backup: RecoveryServicesBackupClient) -> None:
    arm.operation_seconds = 0.05
    protected = AzureIaaSComputeVMProtectedItem(policy_id=policy_id(), source_resource_id=vm_id("web"))
    names = ("vault", "rg", "Azure", CONTAINER.format("web"), ITEM.format("web"))
    poller = backup.protected_items.begin_create_or_update(*names, ProtectedItemResource(properties=protected))
    item = poller.result()
    assert item.properties is not None
    assert (item.id, item.properties["protectionState"]) == (item_id("web"), "IRPending")
    arm.fault(Fault("PUT", "operation-failed", failure=("SomeError", "It did not work.")))
    with pytest.raises(HttpResponseError, match=r"\(SomeError\) It did not work"):
        backup.protected_items.begin_create_or_update(*names, ProtectedItemResource(properties=protected)).result()


def test_a_backup_is_triggered_and_its_job_followed(arm: Arm, backup: RecoveryServicesBackupClient) -> None:
    arm.backup_seconds = 60
    kept: Callable[..., dict[str, str]] = lambda pipeline, _body, _headers: dict(pipeline.http_response.headers)  # noqa: E731
    headers: Any = backup.backups.trigger(
        *("vault", "rg", "Azure", CONTAINER.format("db"), ITEM.format("db")),
        BackupRequestResource(properties=IaasVMBackupRequest()),
        cls=kept,
    )
    operation = headers["Azure-AsyncOperation"].partition("?")[0].rpartition("/")[2]
    status = backup.backup_operation_statuses.get("vault", "rg", operation)
    assert status.properties is not None
    job = status.properties["jobId"]
    states = []
    for _ in range(2):
        details = backup.job_details.get("vault", "rg", job).properties
        assert details is not None
        states.append(details.status)
        arm.clock.advance(60)
    assert states == ["InProgress", "Completed"]
    point = backup.protected_items.get("vault", "rg", "Azure", CONTAINER.format("db"), ITEM.format("db"))
    assert point.properties is not None
    assert point.properties["lastRecoveryPoint"] > NOW


def test_a_policy_is_written_or_none_comes_back(arm: Arm, backup: RecoveryServicesBackupClient) -> None:
    times: Any = ["2026-01-01T22:00:00Z"]
    daily = DailyRetentionSchedule(
        retention_times=times, retention_duration=RetentionDuration(count=30, duration_type="Days")
    )
    policy = ProtectionPolicyResource(
        properties=AzureIaaSVMProtectionPolicy(
            schedule_policy=SimpleSchedulePolicy(schedule_run_frequency="Daily", schedule_run_times=times),
            retention_policy=LongTermRetentionPolicy(daily_schedule=daily),
            time_zone="UTC",
        )
    )
    written = backup.protection_policies.create_or_update("vault", "rg", "new", policy)
    assert written is not None
    assert written.name == "new"
    arm.policy_writes_answer = 202
    assert backup.protection_policies.create_or_update("vault", "rg", "new", policy) is None


def test_the_sdk_registers_a_provider_unless_it_is_kept_from_it(
    credential: ClientSecretCredential, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # it waits ten seconds before it looks
    arm.estate.unregistered.add((SUBSCRIPTION, "microsoft.recoveryservices"))
    with RecoveryServicesBackupClient(
        credential, SUBSCRIPTION, base_url=arm.url, policies=[HttpLoggingPolicy()]
    ) as bare:
        request = HttpRequest(
            "GET", f"{vault_id()}?api-version=2024-10-01", headers={"Authorization": f"Bearer {arm.token()}"}
        )
        with closing(bare.send_request(request)) as answer:
            assert answer.status_code == 409
    assert arm.mutations == []
    with RecoveryServicesBackupClient(credential, SUBSCRIPTION, base_url=arm.url, polling_interval=0) as client:
        assert [entry.name for entry in client.backup_policies.list("vault", "rg")] == ["daily"]
    assert [seen.path.rpartition("/")[2] for seen in arm.mutations] == ["register"]
