"""From a request to its answer: who asks, for what, with which right, and which handler knows."""

import uuid
from collections.abc import Sequence

from arm.faults import forbidden, not_registered
from arm.graph import VERSIONS, Graph
from arm.identity import Identity
from arm.reads import no_group
from arm.routing import Route, known_version, versions_of
from arm.web import Answer, Call, Refused, error, refused
from arm.world import World

_GRAPH = "/providers/microsoft.resourcegraph/resources"


class Manager:
    """Answers one request at a time, from the loop of the server."""

    def __init__(self, world: World, identity: Identity, graph: Graph, routes: Sequence[Route]) -> None:
        self._world = world
        self._identity = identity
        self._graph = graph
        self._routes = routes

    async def answer(self, call: Call) -> Answer:
        """Return the answer to a request, errors included."""
        try:
            signing_in = self._sign_in(call)
            if signing_in is not None:
                return signing_in
            call.principal, call.tenant = self._identity.caller(call)
            if call.path.lower().rstrip("/") == _GRAPH and call.method == "POST":
                _check_version(call, "Microsoft.ResourceGraph", "resources", VERSIONS)
                answer = await self._graph.query(call)
            else:
                answer = self._resource(call)
        except Refused as refusal:
            answer = refusal.answer
        self._stamp(call, answer)
        return answer

    def _sign_in(self, call: Call) -> Answer | None:
        parts = call.path.strip("/").split("/")
        call.names = {"tenant": parts[0]}
        match (call.method, *parts[1:]):
            case ("GET", "v2.0", ".well-known", "openid-configuration"):
                return self._identity.configuration(call, self._world.url)
            case ("POST", "oauth2", "v2.0", "token"):
                return self._identity.token(call)
            case ("GET", "discovery", "instance"):
                return self._identity.instances(call, self._world.url)
            case ("GET", "token") if parts[0] == "msi":
                return self._identity.managed(call)
            case _:
                return None

    def _resource(self, call: Call) -> Answer:
        route, call.names = self._route(call)
        subscription = call.names.get("s", "").lower()
        if subscription:
            if subscription not in self._world.estate.subscriptions:
                raise refused(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")
            self._identity.check_tenant(call.tenant, subscription)
        _check_version(call, route.provider, route.type_name, ())
        self._check_right(call, route)
        if call.method not in ("GET", "HEAD") and subscription:
            self._check_state(subscription)
        if (subscription, route.provider.lower()) in self._world.estate.unregistered:
            raise Refused(not_registered(route.provider))
        if "g" in call.names and not self._world.estate.has_group(subscription, call.names["g"]):
            raise no_group(call.names["g"])
        return route.handler(call)

    def _route(self, call: Call) -> tuple[Route, dict[str, str]]:
        allowed = False
        for route in self._routes:
            match = route.pattern.fullmatch(call.path)
            if match is None:
                continue
            allowed = True
            if route.method == call.method:
                return route, match.groupdict()
        if allowed:
            raise refused(405, "MethodNotAllowed", f"The HTTP method '{call.method}' is not supported at scope.")
        raise refused(404, "InvalidResourceType", f"The resource type could not be found: '{call.path}'.")

    def _check_right(self, call: Call, route: Route) -> None:
        action, scope = route.action.format(**call.names), route.scope(call.path)
        if action and not call.principal.may(action, scope):
            raise Refused(forbidden(call.principal.client_id, call.principal.object_id, action, scope))

    def _check_state(self, subscription: str) -> None:
        entry = self._world.estate.subscriptions[subscription]
        state = str(entry.get("state") or (entry.get("properties") or {}).get("state") or "Enabled")
        if state not in ("Enabled", "PastDue"):
            raise refused(
                409,
                "ReadOnlyDisabledSubscription",
                f"The subscription '{subscription}' is disabled and therefore marked as read only. You cannot perform "
                "any write actions on this subscription until it is re-enabled.",
            )

    def _stamp(self, call: Call, answer: Answer) -> None:
        """Add the headers of Resource Manager."""
        identifier = str(uuid.uuid4())
        for name in ("x-ms-request-id", "x-ms-correlation-request-id"):
            answer.headers.setdefault(name, identifier)
        answer.headers.setdefault("x-ms-routing-request-id", f"WESTEUROPE:20260101T000000Z:{identifier}")
        answer.headers.setdefault("Cache-Control", "no-cache")
        answer.headers.setdefault("Pragma", "no-cache")
        answer.headers.setdefault("Expires", "-1")
        answer.headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
        if call.path.lower().startswith(_GRAPH):
            return
        reads = call.method in ("GET", "HEAD")
        kind = "reads" if reads else "deletes" if call.method == "DELETE" else "writes"
        level = "subscription" if call.names.get("s") else "tenant"
        budget = self._world.reads if reads else self._world.writes
        left = budget.take(f"{call.principal.client_id} {call.names.get('s', '').lower()}")
        answer.headers[f"x-ms-ratelimit-remaining-{level}-{kind}"] = left


def _check_version(call: Call, provider: str, kind: str, versions: Sequence[str]) -> None:
    version = call.version
    if not version:
        raise refused(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if version in versions if versions else known_version(provider, version):
        return
    supported = ", ".join(versions) or versions_of(provider)
    if not kind:
        raise refused(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. The supported versions are '{supported}'.",
        )
    raise Refused(
        error(
            400,
            "NoRegisteredProviderFound",
            f"No registered resource provider found for location '' and API version '{version}' for type '{kind}'. "
            f"The supported api-versions are '{supported}'. The supported locations are ''.",
        )
    )
