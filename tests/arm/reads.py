"""Subscriptions, tenants, resource groups, rights and providers."""

from arm.faults import forbidden
from arm.ids import Json
from arm.operations import Operation
from arm.routing import Route
from arm.web import Answer, Call, Refused, error, refused
from arm.world import World, arm_shape

_S = "/subscriptions/{s}"
_TYPES = {
    "microsoft.recoveryservices": "vaults",
    "microsoft.compute": "virtualMachines",
    "microsoft.authorization": "permissions",
}

_LOCKS = "Microsoft.Authorization/locks/read"
_ASSIGNMENTS = "Microsoft.Authorization/policyAssignments/read"


class Reads:
    """What stands above resources."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        resources = "Microsoft.Resources/subscriptions"
        return [
            Route("GET", "/subscriptions", self.subscriptions),
            Route("GET", "/tenants", self.tenants),
            Route("GET", "/providers/Microsoft.Management/managementGroups/{m}/descendants", self.descendants),
            Route("GET", _S, self.subscription, f"{resources}/read"),
            Route("GET", f"{_S}/resourceGroups", self.groups, f"{resources}/resourceGroups/read", 1),
            Route("GET", f"{_S}/resourceGroups/{{g}}", self.group, f"{resources}/resourceGroups/read"),
            Route("GET", f"{_S}/providers/Microsoft.Authorization/permissions", self.permissions),
            Route("GET", f"{_S}/resourceGroups/{{g}}/providers/Microsoft.Authorization/permissions", self.permissions),
            Route("GET", f"{_S}/providers/Microsoft.Authorization/locks", self.locks, _LOCKS),
            Route("GET", f"{_S}/providers/Microsoft.Authorization/policyAssignments", self.assignments, _ASSIGNMENTS),
            Route("GET", f"{_S}/providers/{{namespace}}", self.provider, f"{resources}/providers/read", 2),
            Route("POST", f"{_S}/providers/{{namespace}}/register", self.register, "{namespace}/register/action", 3),
        ]

    def subscriptions(self, call: Call) -> Answer:
        estate = self._world.estate
        shown = [
            self._subscription(entry)
            for entry in estate.subscriptions
            if estate.tenant_of(entry) == call.tenant and call.principal.assignments(entry)
        ]
        answer = self._world.listed(call, shown)
        assert isinstance(answer.body, dict)
        answer.body["count"] = {"type": "Total", "value": len(answer.body["value"])}
        return answer

    def subscription(self, call: Call) -> Answer:
        return Answer(body=self._subscription(call.names["s"].lower()))

    def locks(self, call: Call) -> Answer:
        """List the locks of a subscription and of all that is in it."""
        found = self._world.estate.of_kind("microsoft.authorization/locks", call.names["s"])
        return self._world.listed(call, found)

    def assignments(self, call: Call) -> Answer:
        """List what Azure Policy enforces in a subscription."""
        found = self._world.estate.of_kind("microsoft.authorization/policyassignments", call.names["s"])
        return self._world.listed(call, found)

    def descendants(self, call: Call) -> Answer:
        """List what is below a management group: also what the caller cannot see into."""
        group, estate = call.names["m"], self._world.estate
        below = estate.below(group)
        if below is None or not call.principal.at("/providers/Microsoft.Management"):
            message = f"The client does not have permission to view the management group '{group}'."
            return error(403, "AuthorizationFailed", message)
        shown = [
            {
                "id": f"/subscriptions/{entry}",
                "type": "/subscriptions",
                "name": entry,
                "properties": {"displayName": estate.names.get(entry, entry), "parent": {"id": group}},
            }
            for entry in below
        ]
        return self._world.listed(call, shown)

    def tenants(self, call: Call) -> Answer:
        shown = [
            {
                "id": f"/tenants/{tenant}",
                "tenantId": tenant,
                "countryCode": "NL",
                "displayName": self._world.estate.names.get(tenant, "Stand-in"),
                "domains": ["stand-in.test"],
                "tenantCategory": "Home",
                "defaultDomain": "stand-in.test",
                "tenantType": "AAD",
            }
            for tenant in [call.tenant]
        ]
        return self._world.listed(call, shown)

    def groups(self, call: Call) -> Answer:
        prefix = f"/subscriptions/{call.names['s']}/".lower()
        found = [entry for key, entry in self._world.estate.resource_groups.items() if key.startswith(prefix)]
        return self._world.listed(call, map(_group, found))

    def group(self, call: Call) -> Answer:
        key = f"/subscriptions/{call.names['s']}/resourcegroups/{call.names['g']}".lower()
        entry = self._world.estate.resource_groups.get(key)
        if entry is None:
            raise no_group(call.names["g"])
        return Answer(body=_group(entry))

    def permissions(self, call: Call) -> Answer:
        scope = call.path.lower().partition("/providers/microsoft.authorization")[0]
        found = call.principal.at(scope)
        if not found:
            action = "Microsoft.Authorization/permissions/read"
            raise Refused(forbidden(call.principal.client_id, call.principal.object_id, action, scope))
        return self._world.listed(call, [entry.as_permission() for entry in found])

    def provider(self, call: Call) -> Answer:
        namespace = call.names["namespace"]
        if namespace.lower() not in _TYPES:
            raise refused(404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid.")
        key = (call.names["s"].lower(), namespace.lower())
        state = "NotRegistered" if key in self._world.estate.unregistered else "Registered"
        if state == "NotRegistered" and self._world.operations.busy("/".join(key)):
            state = "Registering"
        return Answer(body=_provider(call.names["s"], namespace, state))

    def register(self, call: Call) -> Answer:
        namespace, now = call.names["namespace"], self._world.clock.time()
        key = (call.names["s"].lower(), namespace.lower())
        if key not in self._world.estate.unregistered:
            return Answer(body=_provider(call.names["s"], namespace, "Registered"))
        if not self._world.operations.busy("/".join(key)):
            self._world.operations.start(
                Operation(
                    vault="",
                    target="/".join(key),
                    started=now,
                    due=now + self._world.settings.operation_seconds,
                    finish=lambda _: self._world.estate.unregistered.discard(key),
                )
            )
        return Answer(body=_provider(call.names["s"], namespace, "Registering"))

    def _subscription(self, subscription: str) -> Json:
        estate = self._world.estate
        entry = estate.subscriptions[subscription]
        properties = entry.get("properties") or {}
        return {
            "id": f"/subscriptions/{subscription}",
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "subscriptionId": subscription,
            "tenantId": estate.tenant_of(subscription),
            "displayName": estate.title_of(subscription),
            "state": entry.get("state") or properties.get("state") or "Enabled",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "EnterpriseAgreement_2014-09-01",
                "spendingLimit": "Off",
            },
        }


def no_group(name: str) -> Refused:
    return refused(404, "ResourceGroupNotFound", f"Resource group '{name}' could not be found.")


def _group(entry: Json) -> Json:
    return {**arm_shape(entry), "type": "Microsoft.Resources/resourceGroups"}


def _provider(subscription: str, namespace: str, state: str) -> Json:
    return {
        "id": f"/subscriptions/{subscription}/providers/{namespace}",
        "namespace": namespace,
        "registrationState": state,
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [
            {
                "resourceType": _TYPES.get(namespace.lower(), "resources"),
                "locations": ["West Europe", "North Europe"],
                "apiVersions": ["2026-10-01", "2021-03-01"],
            }
        ],
    }
