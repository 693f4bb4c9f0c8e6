"""Signing in at the stand-in, and what Resource Manager reads and refuses to read."""

import http.client
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit

import pytest
from arm import TENANT, Arm, Asker, Estate, Principal, Reply
from building import (
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    EstateBuilder,
    estate,
    group_id,
    item_id,
    policy_id,
    vault_id,
    vm_id,
)

FOREIGN = "33333333-3333-3333-3333-333333333333"
OTHER_TENANT = "88888888-8888-8888-8888-888888888888"
VIEW = {
    "vmAgent": {
        "vmAgentVersion": "2.7",
        "statuses": [{"code": "ProvisioningState/succeeded", "displayStatus": "Ready"}],
    },
    "statuses": [{"code": "PowerState/running"}],
}


def small() -> EstateBuilder:
    built = estate().vm("web", instanceView=VIEW).vm("db").vault(redundancy="LocallyRedundant").policy().item("web")
    built.vault("empty").job("web").vm("far", id=vm_id("far", "rg2", OTHER_SUBSCRIPTION))
    return built.add(
        {"id": f"/subscriptions/{FOREIGN}", "type": "Microsoft.Resources/subscriptions", "tenantId": OTHER_TENANT}
    )


@pytest.fixture(scope="module")
def arm() -> Iterator[Arm]:
    names = {SUBSCRIPTION: "Main", OTHER_SUBSCRIPTION: "Other"}
    with Arm(Estate(small().resources, names=names), access="owner", page_size=2) as made:
        yield made


@pytest.fixture
def asker(arm: Arm) -> Iterator[Asker]:
    with Asker(arm) as made:
        yield made


def sign_in(arm: Arm, tenant: str = TENANT, **changed: str) -> Reply:
    form = {
        "grant_type": "client_credentials",
        "client_id": arm.environment["AZURE_CLIENT_ID"],
        "client_secret": arm.environment["AZURE_CLIENT_SECRET"],
        "scope": "https://management.azure.com/.default",
        **changed,
    }
    context = ssl.create_default_context(cafile=arm.ca)
    connection = http.client.HTTPSConnection(urlsplit(arm.url).netloc, context=context)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", f"/{tenant}/oauth2/v2.0/token", urlencode(form), headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return Reply(answer.status, dict(answer.getheaders()), body)


def test_a_secret_gets_a_token_that_counts(arm: Arm) -> None:
    answer = sign_in(arm)
    assert (answer.status, answer.body["token_type"]) == (200, "Bearer")
    with Asker(arm, token=answer.body["access_token"]) as asker:
        assert asker.get(vault_id()).status == 200
    assert arm.requests[-2].body == {
        "grant_type": "client_credentials",
        "client_id": arm.environment["AZURE_CLIENT_ID"],
        "scope": "https://management.azure.com/.default",
    }


@pytest.mark.parametrize(
    ("tenant", "changed", "status", "code"),
    [
        ("nowhere", {}, 400, "AADSTS90002"),
        (TENANT, {"client_secret": "wrong"}, 401, "AADSTS7000215"),
        (TENANT, {"client_id": "nobody"}, 400, "AADSTS700016"),
        (TENANT, {"scope": "https://management.azure.com"}, 400, "AADSTS70011"),
        (TENANT, {"grant_type": "password"}, 400, "AADSTS70003"),
    ],
)
def test_signing_in_is_refused_as_entra_refuses(
    arm: Arm, tenant: str, changed: dict[str, str], status: int, code: str
) -> None:
    answer = sign_in(arm, tenant, **changed)
    assert answer.status == status
    assert answer.body["error_description"].startswith(f"{code}: ")
    assert answer.body["error_codes"] == [int(code.removeprefix("AADSTS"))]


def test_a_federated_assertion_needs_no_secret(arm: Arm) -> None:
    assert sign_in(arm, client_secret="", client_assertion="signed elsewhere").status == 200


@pytest.mark.parametrize(
    ("token", "code"), [("", "AuthenticationFailed"), ("x.y.z", "InvalidAuthenticationToken"), ("e30", "Invalid")]
)
def test_without_a_token_nothing_is_answered(arm: Arm, token: str, code: str) -> None:
    with Asker(arm, token=token) as asker:
        answer = asker.get(vault_id())
    assert (answer.status, answer.code.startswith(code)) == (401, True)
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_tokens_expire_by_the_servers_clock() -> None:
    with Arm(Estate(small().resources)) as arm, Asker(arm) as asker:
        assert asker.get(vault_id()).status == 200
        arm.clock.advance(3600)
        assert asker.get(vault_id()).code == "ExpiredAuthenticationToken"


def test_a_token_of_another_tenant_does_not_reach_a_subscription(arm: Arm, asker: Asker) -> None:
    answer = asker.get(f"/subscriptions/{FOREIGN}")
    assert (answer.status, answer.code) == (401, "InvalidAuthenticationTokenTenant")
    assert OTHER_TENANT in answer.body["error"]["message"]
    with Asker(arm, token=arm.token(tenant=OTHER_TENANT)) as other:
        assert other.get(f"/subscriptions/{FOREIGN}").body["tenantId"] == OTHER_TENANT
        assert [entry["subscriptionId"] for entry in other.get("/subscriptions").body["value"]] == [FOREIGN]


def test_a_shifted_clock_shows_in_the_date() -> None:
    with Arm(Estate()) as arm:
        arm.clock.shift(-7200)
        with Asker(arm) as asker:
            skew = parsedate_to_datetime(asker.get("/tenants").headers["date"]) - datetime.now(UTC)
    assert -7202 < skew.total_seconds() < -7198


def test_subscriptions_and_tenants_are_listed(asker: Asker) -> None:
    body = asker.get("/subscriptions").body
    assert [(entry["displayName"], entry["state"]) for entry in body["value"]] == [
        ("Main", "Enabled"),
        ("Other", "Enabled"),
    ]
    assert "nextLink" not in body
    assert asker.get("/tenants").body["value"][0]["tenantId"] == TENANT
    assert asker.get(f"/subscriptions/{SUBSCRIPTION}").body["displayName"] == "Main"


def test_lists_have_next_links(asker: Asker) -> None:
    first = asker.get(f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines").body
    assert len(first["value"]) == 2
    assert "nextLink" not in first
    built = [vm_id(name) for name in "abc"]
    for entry in built:
        asker._arm.estate.put({"id": entry, "name": entry[-1], "type": "Microsoft.Compute/virtualMachines"})
    seen: list[str] = []
    link = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    while link:
        body = asker.get(link).body
        seen += [entry["name"] for entry in body["value"]]
        link = body.get("nextLink", "")
    assert seen == ["web", "db", "a", "b", "c"]
    for entry in built:
        asker._arm.estate.remove(entry)


def test_a_machine_has_its_view_only_where_it_is_asked_for(asker: Asker) -> None:
    assert "instanceView" not in asker.get(vm_id("web")).body["properties"]
    assert asker.get(vm_id("web"), **{"$expand": "instanceView"}).body["properties"]["instanceView"] == VIEW
    view = asker.get(f"{vm_id('web')}/instanceView")
    assert view.body == VIEW
    assert view.headers["x-ms-ratelimit-remaining-resource"].startswith("Microsoft.Compute/GetVMInstanceView3Min;")
    assert "vmAgent" not in asker.get(f"{vm_id('db')}/instanceView").body
    listed = asker.get(f"{group_id()}/providers/Microsoft.Compute/virtualMachines", statusOnly="true").body["value"]
    assert all("instanceView" in entry["properties"] for entry in listed)


def test_instance_views_can_be_throttled() -> None:
    with Arm(Estate(small().resources), instance_views_a_second=1) as arm, Asker(arm) as asker:
        answers = [asker.get(f"{vm_id('web')}/instanceView") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert answers[1].headers["retry-after"] == "1"


def test_vaults_and_what_is_in_them_are_read(asker: Asker) -> None:
    assert asker.get(vault_id()).body["name"] == "vault"
    listed = asker.get(f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/vaults").body["value"]
    assert [entry["name"] for entry in listed] == ["vault", "empty"]
    assert asker.get(policy_id()).body["properties"]["protectedItemsCount"] == 1
    assert len(asker.get(f"{vault_id()}/backupPolicies").body["value"]) == 1
    assert asker.get(item_id("web")).body["properties"]["friendlyName"] == "web"
    jobs = asker.get(f"{vault_id()}/backupJobs").body["value"]
    assert asker.get(f"{vault_id()}/backupJobs/{jobs[0]['name']}").body["id"] == jobs[0]["id"]
    containers = asker.get(f"{vault_id()}/backupProtectionContainers").body["value"]
    assert containers[0]["name"] == "IaasVMContainer;iaasvmcontainerv2;rg;web"
    assert asker.get(group_id()).body["type"] == "Microsoft.Resources/resourceGroups"
    assert len(asker.get(f"/subscriptions/{SUBSCRIPTION}/resourceGroups").body["value"]) == 1


def test_old_versions_do_not_show_a_vaults_redundancy(asker: Asker) -> None:
    assert "redundancySettings" not in asker.get(vault_id(), version="2023-01-01").body["properties"]
    assert "redundancySettings" in asker.get(vault_id(), version="2023-02-01").body["properties"]


def test_settings_of_a_vault_follow_from_it_unless_they_are_given(asker: Asker) -> None:
    storage = "{}/backupstorageconfig/vaultstorageconfig"
    locked = asker.get(storage.format(vault_id())).body["properties"]
    assert (locked["storageModelType"], locked["storageTypeState"]) == ("LocallyRedundant", "Locked")
    assert asker.get(storage.format(vault_id("empty"))).body["properties"]["storageTypeState"] == "Unlocked"
    config = asker.get(f"{vault_id()}/backupconfig/vaultconfig").body["properties"]
    assert (config["softDeleteFeatureState"], config["isSoftDeleteFeatureStateEditable"]) == ("AlwaysON", False)


@pytest.mark.parametrize(
    ("what", "terms", "count"),
    [
        ("backupProtectedItems", "backupManagementType eq 'AzureIaasVM' and itemType eq 'VM'", 1),
        ("backupProtectedItems", "backupManagementType eq 'AzureWorkload'", 0),
        ("backupProtectedItems", "policyName eq 'DAILY'", 1),
        ("backupJobs", "operation eq 'ConfigureBackup' and status eq 'Completed'", 1),
        ("backupJobs", "startTime eq '2026-06-15 00:00:00 AM' and endTime eq '2026-06-15 01:00:00 PM'", 1),
        ("backupJobs", "startTime eq '2026-06-16 00:00:00 AM'", 0),
        ("backupJobs", "endTime eq '2026-06-14 00:00:00 AM'", 0),
        ("backupPolicies", "backupManagementType eq 'AzureSql'", 0),
    ],
)
def test_lists_are_filtered(asker: Asker, what: str, terms: str, count: int) -> None:
    assert len(asker.get(f"{vault_id()}/{what}", **{"$filter": terms}).body["value"]) == count


def test_a_filter_that_is_none_is_refused(asker: Asker) -> None:
    answer = asker.get(f"{vault_id()}/backupJobs", **{"$filter": "status gt 3"})
    assert (answer.status, answer.code) == (400, "BMSUserErrorInvalidInput")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (vault_id("gone"), 404, "ResourceNotFound"),
        (vm_id("gone"), 404, "ResourceNotFound"),
        (f"{vm_id('gone')}/instanceView", 404, "ResourceNotFound"),
        (f"{vault_id('gone')}/backupPolicies", 404, "ResourceNotFound"),
        (policy_id("gone"), 404, "ResourceNotFound"),
        (item_id("gone"), 404, "ResourceNotFound"),
        (f"{vault_id()}/backupJobs/gone", 404, "ResourceNotFound"),
        (f"{vault_id()}/backupOperations/gone", 404, "ResourceNotFound"),
        (vm_id("web", "gone"), 404, "ResourceGroupNotFound"),
        (group_id("gone"), 404, "ResourceGroupNotFound"),
        ("/subscriptions/44444444-4444-4444-4444-444444444444", 404, "SubscriptionNotFound"),
        (f"{group_id()}/providers/Microsoft.Nothing/things/x", 404, "InvalidResourceType"),
        (f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Nothing", 404, "InvalidResourceNamespace"),
    ],
)
def test_what_is_not_there_is_not_found(asker: Asker, path: str, status: int, code: str) -> None:
    answer = asker.get(path)
    assert (answer.status, answer.code) == (status, code)


def test_versions_are_checked(asker: Asker) -> None:
    assert asker.get(vault_id(), version="").code == "MissingApiVersionParameter"
    assert asker.get(vault_id(), version="2001-01-01").code == "NoRegisteredProviderFound"
    assert asker.get("/subscriptions", version="latest").code == "InvalidApiVersionParameter"
    assert asker.ask("POST", "/providers/Microsoft.ResourceGraph/resources", {}, version="2020-01-01").status == 400


def test_answers_have_resource_managers_headers(asker: Asker) -> None:
    one, two = (asker.get(vault_id()).headers for _ in range(2))
    assert int(one["x-ms-ratelimit-remaining-subscription-reads"]) - 1 == int(
        two["x-ms-ratelimit-remaining-subscription-reads"]
    )
    assert one["x-ms-request-id"] != two["x-ms-request-id"]
    assert "x-ms-ratelimit-remaining-tenant-reads" in asker.get("/tenants").headers


def test_rights_are_weighed_at_the_scope() -> None:
    reader = Principal("reader", access="reader")
    narrow = Principal("narrow", access={group_id(): "reader", OTHER_SUBSCRIPTION: "none"})
    custom = {"actions": ["Microsoft.RecoveryServices/*"], "notActions": ["*/backupJobs/read"]}
    special = Principal("special", access={SUBSCRIPTION: [custom, "vm-contributor"]})
    with Arm(Estate(small().resources), access="none", principals=(reader, narrow, special)) as arm:
        with Asker(arm) as nobody:
            answer = nobody.get(vault_id())
            assert (answer.status, answer.code) == (403, "AuthorizationFailed")
            assert "'Microsoft.RecoveryServices/vaults/read' over scope '" in answer.body["error"]["message"]
            assert nobody.get("/subscriptions").body["value"] == []
            permissions = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/permissions"
            assert nobody.get(permissions).status == 403
        with Asker(arm, principal=reader) as asker:
            assert asker.get(permissions).body["value"] == [
                {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}
            ]
            status = (
                f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices/locations/westeurope/backupStatus"
            )
            body = {"resourceType": "VM", "resourceId": vm_id("web")}
            assert asker.ask("POST", status, body).code == "AuthorizationFailed"
        with Asker(arm, principal=narrow) as asker:
            assert [entry["subscriptionId"] for entry in asker.get("/subscriptions").body["value"]] == [SUBSCRIPTION]
            assert (asker.get(permissions).status, asker.get(vault_id()).status) == (403, 200)
            assert asker.get(f"{group_id()}/providers/Microsoft.Authorization/permissions").status == 200
            assert asker.get(f"/subscriptions/{SUBSCRIPTION}").status == 403
        with Asker(arm, principal=special) as asker:
            assert (asker.get(vault_id()).status, asker.get(vm_id("web")).status) == (200, 200)
            assert asker.get(f"{vault_id()}/backupJobs").status == 403
            assert asker.ask("POST", status, body).status == 200


def test_a_provider_can_be_unregistered_until_it_is_registered() -> None:
    unregistered = {SUBSCRIPTION: ["Microsoft.RecoveryServices"]}
    provider = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.RecoveryServices"
    with (
        Arm(Estate(small().resources, unregistered=unregistered), access="owner", operation_seconds=10) as arm,
        Asker(arm) as asker,
    ):
        refused = asker.get(vault_id())
        assert (refused.status, refused.code) == (409, "MissingSubscriptionRegistration")
        assert asker.get(provider).body["registrationState"] == "NotRegistered"
        for _ in range(2):
            assert asker.ask("POST", f"{provider}/register").body["registrationState"] == "Registering"
        assert asker.get(provider).body["registrationState"] == "Registering"
        arm.clock.advance(10)
        assert asker.get(provider).body["registrationState"] == "Registered"
        assert asker.get(vault_id()).status == 200
        assert asker.ask("POST", f"{provider}/register").body["registrationState"] == "Registered"


def test_requests_are_kept_in_order_and_without_secrets(arm: Arm, asker: Asker) -> None:
    asker.get(f"{vault_id()}/backupJobs", **{"$filter": "status eq 'Failed'"})
    seen = arm.requests[-1]
    assert (seen.method, seen.path, seen.status) == ("GET", f"{vault_id()}/backupJobs", 200)
    assert seen.query == {"api-version": "2024-10-01", "$filter": "status eq 'Failed'"}
    assert "Authorization" not in seen.headers
    assert [seen.at for seen in arm.requests] == sorted(seen.at for seen in arm.requests)
