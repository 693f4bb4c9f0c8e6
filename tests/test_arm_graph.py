"""Resource Graph of the stand-in: tables, pages, scopes, rights, quota, limits and lag."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from arm import Arm, Asker, Estate, Limits, Principal, Quota
from building import OTHER_SUBSCRIPTION, SUBSCRIPTION, EstateBuilder, Json, estate, group_id, vault_id, vm_id

MACHINES = "resources | where type in~ ('microsoft.compute/virtualmachines')"
SORTED = f"{MACHINES} | project id, name | order by id asc"
PLENTY = Quota(1000, 5.0)
RUNNING = {"statuses": [{"code": "ProvisioningState/succeeded"}, {"code": "PowerState/running"}]}


def small() -> EstateBuilder:
    built = estate().vm("web", instanceView=RUNNING, tags={"env": "prod"}).vm("db").vault().policy().item("web")
    built.add(
        {
            "id": f"{vault_id()}/backupstorageconfig/vaultstorageconfig",
            "type": "Microsoft.RecoveryServices/vaults/backupstorageconfig",
        }
    )
    return built.job("web").vm("far", id=vm_id("far", "RG2", OTHER_SUBSCRIPTION), location="North Europe")


@pytest.fixture(scope="module")
def arm() -> Iterator[Arm]:
    with Arm(Estate(small().resources, names={SUBSCRIPTION: "Main"}, groups={"top": [SUBSCRIPTION]}), PLENTY) as made:
        yield made


@pytest.fixture
def asker(arm: Arm) -> Iterator[Asker]:
    with Asker(arm) as made:
        yield made


def names(body: Json) -> list[str]:
    return [row["name"] for row in body["data"]]


def test_resources_are_in_the_table_of_their_type(asker: Asker) -> None:
    assert sorted(names(asker.graph("resources").body)) == ["db", "far", "vault", "web"]
    kinds = {row["type"].rpartition("/")[2] for row in asker.graph("recoveryservicesresources").body["data"]}
    assert kinds == {"backuppolicies", "protecteditems", "backupjobs"}
    containers = asker.graph("resourcecontainers").body["data"]
    assert sorted(row["name"] for row in containers) == ["222" + OTHER_SUBSCRIPTION[3:], "Main", "RG2", "rg", "top"]


def test_a_row_has_resource_graphs_columns_and_spelling(asker: Asker) -> None:
    (row,) = asker.graph("resources | where name == 'far'").body["data"]
    assert list(row) == [
        *("id", "name", "type", "tenantId", "kind", "location", "resourceGroup", "subscriptionId", "managedBy"),
        *("sku", "plan", "properties", "tags", "identity", "zones", "extendedLocation"),
    ]
    assert (row["type"], row["location"], row["resourceGroup"], row["sku"]) == (
        *("microsoft.compute/virtualmachines", "northeurope", "rg2"),
        None,
    )
    assert row["id"] == vm_id("far", "RG2", OTHER_SUBSCRIPTION)


def test_a_machine_tells_its_power_state_but_no_instance_view(asker: Asker) -> None:
    query = f"{MACHINES} | project name, properties | order by name asc"
    rows = {row["name"]: row["properties"] for row in asker.graph(query).body["data"]}
    assert rows["web"]["extended"]["instanceView"]["powerState"]["code"] == "PowerState/running"
    assert not any("instanceView" in properties for properties in rows.values())
    assert "extended" not in rows["db"]


def test_a_subscription_tells_the_groups_above_it(asker: Asker) -> None:
    query = "resourcecontainers | where type == 'microsoft.resources/subscriptions' | where name == 'Main'"
    (row,) = asker.graph(query).body["data"]
    chain = row["properties"]["managementGroupAncestorsChain"]
    assert [entry["name"] for entry in chain] == ["top", "99999999-9999-9999-9999-999999999999"]


def test_cells_that_are_null_stay_null_and_nulls_inside_are_dropped() -> None:
    built = estate().vm("web", zones=None, hardwareProfile={"vmSize": None, "other": 1})
    with Arm(Estate(built.resources), PLENTY) as arm, Asker(arm) as asker:
        query = f"{MACHINES} | project id, size = properties.hardwareProfile.vmSize, all = properties.hardwareProfile"
        assert asker.graph(query).body["data"] == [{"id": vm_id("web"), "size": None, "all": {"other": 1}}]


def test_hashes_part_the_rows_so_that_each_is_in_one_part(asker: Asker) -> None:
    for condition in ("hash(tolower(id), 3) == {}", "hash(tolower(id)) % 3 == {}"):
        parts = [names(asker.graph(f"resources | where {condition.format(part)}").body) for part in range(3)]
        assert sorted(name for part in parts for name in part) == ["db", "far", "vault", "web"]


def test_joins_unions_and_counts_are_executed(asker: Asker) -> None:
    join = (
        "resources | where type =~ 'Microsoft.Compute/virtualMachines' "
        "| extend key = tolower(id) | join kind=leftouter "
        "(RecoveryServicesResources | where type endswith '/protecteditems' | project key = "
        "tolower(tostring(properties.sourceResourceId)), item = id) on key | project id, name, item | order by name asc"
    )
    assert [row["item"] is None for row in asker.graph(join).body["data"]] == [True, True, False]
    assert asker.graph("resources | union recoveryservicesresources | count").body["data"] == [{"Count": 7}]
    assert asker.graph("project id | limit 2").body["totalRecords"] == 2


@pytest.mark.parametrize(
    "query",
    [
        "where where",
        "resources | let x = 1",
        "resources | project ID",
        "resources | where Type == 'x'",
        "nosuchtable | project id",
        "resources | project id, nosuchcolumn",
        "resources | project nosuchfunction(id)",
        "resources | project hash(tolower(id), 2",
        "resources | where hash(name, 2) == 1",
        "resources | project 'unclosed",
        "resources" + " | join (resources) on id" * 4,
        "resources" + " | mv-expand x = tags" * 3,
    ],
)
def test_what_resource_graph_refuses_is_refused(asker: Asker, query: str) -> None:
    answer = asker.graph(query)
    assert (answer.status, answer.code) == (400, "BadRequest")
    assert answer.body["error"]["details"][0]["code"] == "InvalidQuery"


def test_pages_follow_each_other_by_tokens(asker: Asker) -> None:
    first = asker.graph(SORTED, options={"$top": 2}).body
    assert (names(first), first["totalRecords"], first["count"]) == (["db", "web"], 3, 2)
    assert (first["resultTruncated"], first["facets"]) == ("false", [])
    second = asker.graph(SORTED, options={"$skipToken": first["$skipToken"]}).body
    assert names(second) == ["far"]
    assert "$skipToken" not in second
    assert names(asker.graph(SORTED, options={"$top": 2, "$skip": 1}).body) == ["web", "far"]


@pytest.mark.parametrize(
    "query", ["resources | project name | order by name asc", "resources | project id, name | limit 3"]
)
def test_rows_that_cannot_be_paged_are_cut_silently(asker: Asker, query: str) -> None:
    body = asker.graph(query, options={"$top": 2}).body
    assert ("$skipToken" in body, body["resultTruncated"], body["count"]) == (False, "true", 2)
    assert body["totalRecords"] in (3, 4)


@pytest.mark.parametrize(
    "options", [{"$top": 0}, {"$top": 1001}, {"$top": "x"}, {"$skip": -1}, {"$skipToken": "?"}, {"resultFormat": "csv"}]
)
def test_options_that_are_out_of_range_are_refused(asker: Asker, options: dict[str, Any]) -> None:
    assert asker.graph("resources | project id", options=options).status == 400


def test_a_table_has_columns_and_rows(asker: Asker) -> None:
    query = "resources | project id, n = 1, tags, t = true | order by id asc"
    data = asker.graph(query, options={"resultFormat": "table", "$top": 1}).body["data"]
    kinds = {column["name"]: column["type"] for column in data["columns"]}
    assert kinds == {"id": "string", "n": "integer", "tags": "object", "t": "boolean"}
    assert data["rows"] == [[vm_id("db"), 1, None, True]]


def test_a_scope_narrows_the_answer(asker: Asker) -> None:
    assert names(asker.graph(SORTED, subscriptions=[SUBSCRIPTION]).body) == ["db", "web"]
    assert names(asker.graph(SORTED, managementGroups=["TOP"]).body) == ["db", "web"]
    assert names(asker.graph(SORTED, subscriptions=[OTHER_SUBSCRIPTION.upper(), SUBSCRIPTION]).body)[2:] == ["far"]
    assert asker.graph(SORTED, managementGroups=["nowhere"]).code == "AccessDenied"


def test_what_a_caller_cannot_read_is_left_out_without_a_word() -> None:
    principals = (
        Principal("nobody", access={"*": "none"}),
        Principal("half", access={OTHER_SUBSCRIPTION: "none"}),
        Principal("group", access={group_id("RG2", OTHER_SUBSCRIPTION): "reader", SUBSCRIPTION: "none"}),
        Principal("kind", access={"*": {"actions": ["*/read"], "notActions": ["Microsoft.Compute/*"]}}),
        Principal("one", access={"*": "none", vm_id("web"): "reader"}),
    )
    expected: dict[str, list[str]] = {"half": ["db", "web"], "group": ["far"], "kind": [], "one": ["web"]}
    with Arm(Estate(small().resources), PLENTY, principals=principals) as arm:
        for principal in principals:
            with Asker(arm, principal=principal) as asker:
                found = names(asker.graph(SORTED).body)
                assert found == expected.get(principal.client_id, [])
                denied = asker.graph(SORTED, subscriptions=[OTHER_SUBSCRIPTION])
                assert (denied.status == 403) == (principal.client_id in ("nobody", "half", "one"))


def test_the_quota_is_counted_by_windows_and_told_in_headers() -> None:
    now = 100.0
    quota = Quota(2, 4.5, now=lambda: now)
    with Arm(Estate(small().resources), quota) as arm, Asker(arm) as asker:
        answers = [asker.graph(SORTED) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers["x-ms-user-quota-remaining"] for answer in answers] == ["1", "0", "0"]
        assert answers[2].headers["x-ms-user-quota-resets-after"] == "00:00:05"
        assert (answers[2].code, "retry-after" in answers[2].headers) == ("RateLimiting", False)
        now += 4.6
        assert asker.graph(SORTED).headers["x-ms-user-quota-remaining"] == "1"
        assert [asker.graph(SORTED).status for _ in range(2)] == [200, 429]


def test_a_quota_can_round_down_and_say_retry_after() -> None:
    quota = Quota(1, 2.5, rounding="floor", retry_after=True, now=lambda: 100.0)
    with Arm(Estate(), quota) as arm, Asker(arm) as asker:
        asker.graph("resources")
        refused = asker.graph("resources")
        assert refused.headers["x-ms-user-quota-resets-after"] == "00:00:02"
        assert refused.headers["retry-after"] == "3"


def test_answers_have_limits_of_bytes_and_subscriptions() -> None:
    limits = Limits(payload=1500, subscriptions=1)
    with Arm(Estate(small().resources), PLENTY, limits) as arm, Asker(arm) as asker:
        refused = asker.graph("resources", subscriptions=[SUBSCRIPTION])
        assert refused.body["error"]["details"][0]["code"] == "ResponsePayloadTooLarge"
        assert asker.graph(SORTED).status == 400
        partial = asker.graph(SORTED, options={"allowPartialScopes": True})
        assert partial.headers["x-ms-tenant-subscription-limit-hit"] == "true"
        assert names(partial.body) == ["db", "web"]


def test_changes_show_after_the_lag() -> None:
    with Arm(Estate(small().resources), PLENTY, lag=60.0, access="owner") as arm, Asker(arm) as asker:
        arm.clock.speed(0)
        query = "resources | where type =~ 'microsoft.recoveryservices/vaults' | project id, tags"
        assert asker.ask("PATCH", vault_id(), {"tags": {"a": "b"}}).status == 200
        assert asker.get(vault_id()).body["tags"] == {"a": "b"}
        assert asker.graph(query).body["data"][0]["tags"] is None
        arm.clock.advance(60)
        assert asker.graph(query).body["data"][0]["tags"] == {"a": "b"}


def test_a_test_can_change_the_estate_under_way(arm: Arm, asker: Asker) -> None:
    before = names(asker.graph(SORTED).body)
    arm.estate.put({"id": vm_id("new", "rg9"), "name": "new", "type": "Microsoft.Compute/virtualMachines"})
    assert sorted(names(asker.graph(SORTED).body)) == sorted([*before, "new"])
    assert "rg9" in names(asker.graph("resourcecontainers | project name").body)
    arm.estate.remove(vm_id("new", "rg9"))
    assert names(asker.graph(SORTED).body) == before


def test_latency_delays_each_answer() -> None:
    with Arm(Estate(), Quota(1, 30.0), latency=0.2) as arm, Asker(arm) as asker:
        begun = time.monotonic()
        asker.graph("resources")
        assert time.monotonic() - begun >= 0.2
        assert asker.graph("resources").status == 429
