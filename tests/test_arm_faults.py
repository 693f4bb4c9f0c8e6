"""Faults of the stand-in: each reaches the client as it would from Azure, and only as often as was asked."""

import http.client
import time

import pytest
from arm import Arm, Asker, Estate, Fault
from arm.faults import Kind
from building import SUBSCRIPTION, estate, vault_id, vm_id

GRAPH = "POST /providers/Microsoft.ResourceGraph"
QUERY = "resources | project id, name | order by id asc"
RESOURCES = estate().vm("a").vm("b").vm("c").vault().resources


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("429", 429, "RateLimiting"),
        ("429-no-retry-after", 429, "RateLimiting"),
        ("500", 500, "InternalServerError"),
        ("502", 502, "InvalidGatewayHost"),
        ("503", 503, "ServiceUnavailable"),
        ("504", 504, "GatewayTimeout"),
        ("401", 401, "InvalidAuthenticationToken"),
        ("403", 403, "AccessDenied"),
        ("404", 404, "ResourceNotFound"),
        ("409-not-registered", 409, "MissingSubscriptionRegistration"),
        ("payload-too-large", 400, "BadRequest"),
    ],
)
def test_a_fault_can_be_an_error(kind: Kind, status: int, code: str) -> None:
    with Arm(Estate(RESOURCES)) as arm, Asker(arm) as asker:
        arm.fault(Fault(GRAPH, kind))
        answer = asker.graph(QUERY)
        assert (answer.status, answer.code) == (status, code)
        assert ("retry-after" in answer.headers) == (kind in ("429", "503"))
        assert asker.graph(QUERY).status == 200


def test_a_fault_of_resource_manager_reads_as_its_own() -> None:
    with Arm(Estate(RESOURCES)) as arm, Asker(arm) as asker:
        arm.fault(Fault("GET /subscriptions", "429", retry_after=7))
        arm.fault(Fault("GET /subscriptions", "403"))
        throttled = asker.get(vault_id())
        assert (throttled.code, throttled.headers["retry-after"]) == ("ResourceRequestsThrottled", "7")
        denied = asker.get(vault_id())
        assert "perform action 'Microsoft.RecoveryServices/vaults/read'" in denied.body["error"]["message"]
        arm.fault(Fault("GET /subscriptions", "409-not-registered"))
        assert "'Microsoft.Compute'" in asker.get(vm_id("a")).body["error"]["message"]


def test_a_fault_begins_and_ends_where_it_was_told() -> None:
    with Arm(Estate(RESOURCES)) as arm, Asker(arm) as asker:
        arm.fault(Fault("~^GET .*/vaults/VAULT$", "500", after=1, times=2))
        arm.fault(Fault(GRAPH, "503", times=None, body="order by id"))
        assert [asker.get(vault_id()).status for _ in range(4)] == [200, 500, 500, 200]
        assert [asker.graph(QUERY).status for _ in range(3)] == [503, 503, 503]
        assert asker.graph("resources").status == 200


@pytest.mark.parametrize("kind", ["reset", "cut"])
def test_a_connection_can_break(kind: Kind) -> None:
    with Arm(Estate(RESOURCES)) as arm:
        arm.fault(Fault(GRAPH, kind))
        with Asker(arm) as asker, pytest.raises((ConnectionError, http.client.IncompleteRead)):
            asker.graph(QUERY)
        assert arm.requests[-1].status == 0
        with Asker(arm) as asker:
            assert asker.graph(QUERY).status == 200


def test_an_answer_can_be_no_json() -> None:
    with Arm(Estate(RESOURCES)) as arm, Asker(arm) as asker:
        arm.fault(Fault(GRAPH, "not-json"))
        answer = asker.graph(QUERY)
        assert (answer.status, answer.headers["content-type"], answer.body[:6]) == (200, "text/html", b"<html>")


def test_a_request_can_hang() -> None:
    with Arm(Estate(RESOURCES)) as arm:
        arm.fault(Fault(GRAPH, "hang"))
        with Asker(arm) as asker:
            asker._connection.timeout = 0.2
            with pytest.raises(TimeoutError):
                asker.graph(QUERY)
        begun = time.monotonic()
    assert time.monotonic() - begun < 2.0


@pytest.mark.parametrize("top", [2, 100])
def test_rows_can_get_lost(top: int) -> None:
    with Arm(Estate(RESOURCES)) as arm, Asker(arm) as asker:
        arm.fault(Fault(GRAPH, "truncated"))
        arm.fault(Fault(GRAPH, "short"))
        truncated, short = (asker.graph(QUERY, options={"$top": top}).body for _ in range(2))
        for body, said in ((truncated, "true"), (short, "false")):
            assert (body["resultTruncated"], body["totalRecords"]) == (said, 4)
            assert body["count"] == len(body["data"]) == min(top, 3)
            assert "$skipToken" not in body


def test_what_was_asked_can_be_done_before_the_answer_is_lost() -> None:
    with Arm(Estate(RESOURCES), access="owner") as arm:
        arm.fault(Fault("PATCH", "reset", done=True))
        arm.fault(Fault("PATCH", "503", done=True))
        with Asker(arm) as asker, pytest.raises(ConnectionError):
            asker.ask("PATCH", vault_id(), {"tags": {"a": "1"}})
        with Asker(arm) as asker:
            assert asker.get(vault_id()).body["tags"] == {"a": "1"}
            assert asker.ask("PATCH", vault_id(), {"tags": {"a": "2"}}).status == 503
            assert asker.get(vault_id()).body["tags"] == {"a": "2"}


def test_signing_in_can_meet_a_fault_too() -> None:
    with Arm(Estate(RESOURCES)) as arm, Asker(arm, token="") as asker:
        tenant = arm.estate.tenant
        arm.fault(Fault(f"GET /{tenant}/v2.0", "503"))
        assert asker.get(f"/{tenant}/v2.0/.well-known/openid-configuration").status == 503
        assert asker.get(f"/{tenant}/v2.0/.well-known/openid-configuration").body["issuer"].startswith(arm.url)
        assert SUBSCRIPTION in arm.estate.subscriptions
