"""Creating and changing vaults."""

import re
from collections.abc import Mapping

from arm.clock import whole_stamp
from arm.defaults import default_policies
from arm.ids import ITEM, Json, key_of, merged, plain_location
from arm.operations import Operation
from arm.routing import RSV, Route, V
from arm.vault_settings import storage_config, vault_shape
from arm.web import Answer, Call, Refused, error, provider_error, refused
from arm.world import World

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,49}")
_REDUNDANCY = ("LocallyRedundant", "GeoRedundant", "ZoneRedundant")
_CHECK = (
    "/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.RecoveryServices/locations/{l}/checkNameAvailability"
)


class VaultWrites:
    """Answers writes of vaults, and what became of them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        check = "Microsoft.RecoveryServices/locations/checkNameAvailability/action"
        return [
            Route("PUT", V, self.put, f"{RSV}/write"),
            Route("PATCH", V, self.patch, f"{RSV}/write"),
            Route("DELETE", V, self.delete, f"{RSV}/delete"),
            Route("GET", f"{V}/operationStatus/{{op}}", self.status, f"{RSV}/operationStatus/read", 2),
            Route("GET", f"{V}/operationResults/{{op}}", self.result, f"{RSV}/operationResults/read", 2),
            Route("POST", _CHECK, self.check_name, check, 1),
        ]

    def put(self, call: Call) -> Answer:
        """Create a vault, or write an existing one anew: what the body does not say goes back to its default."""
        body, name = call.json(), call.names["v"]
        identifier = call.path.rstrip("/")
        if not _NAME.fullmatch(name):
            raise refused(400, "InvalidResourceName", f"Resource name {name} is invalid.")
        if not body.get("location"):
            raise refused(400, "LocationRequired", "The location property is required for this definition.")
        known = self._world.estate.get(identifier)
        if known is not None and plain_location(known.get("location")) != plain_location(body["location"]):
            raise refused(
                409,
                "InvalidResourceLocation",
                f"The resource '{name}' already exists in location '{known.get('location')}' in resource group "
                f"'{call.names['g']}'. A resource with the same name cannot be created in location "
                f"'{body['location']}'. Please select a new resource name.",
            )
        if known is not None:
            self._check_redundancy(known, body)
        vault = self._made(identifier, name, body)
        self._world.put(vault)
        if known is None:
            for policy in default_policies(identifier, self._world.clock.now()):
                self._world.put(policy)
        shown = vault_shape(vault, call.version)
        if call.version < "2021":
            return Answer(200 if known else 201, shown)
        operation = self._world.start(call, identifier, lambda done: self._settled(done, identifier))
        answer = self._world.accepted(
            call,
            operation,
            f"{identifier}/operationStatus",
            f"{identifier}/operationResults",
            code=200 if known else 201,
        )
        del answer.headers["Location"]
        answer.body = shown
        return answer

    def patch(self, call: Call) -> Answer:
        """Change a vault; tags at once, anything else by an operation."""
        vault, body = self._world.vault(call), call.json()
        self._check_redundancy(vault, body)
        changed = merged(
            vault, {name: body[name] for name in ("tags", "identity", "sku", "properties") if name in body}
        )
        assert isinstance(changed, dict)
        if set(body) <= {"tags"}:
            self._world.put(changed)
            return Answer(body=vault_shape(changed, call.version))
        identifier = str(vault["id"])
        if ((body.get("properties") or {}).get("redundancySettings")) is not None:
            self._world.redundancy_by_vault.add(key_of(identifier))

        def finish(done: Operation) -> None:
            if done.failure is None:
                self._world.put(changed, done.due)

        operation = self._world.start(call, identifier, finish)
        return self._world.accepted(call, operation, f"{identifier}/operationStatus", f"{identifier}/operationResults")

    def delete(self, call: Call) -> Answer:
        vault = self._world.vault(call)
        inside = self._world.estate.inside(str(vault["id"]), ITEM)
        if inside:
            names = ",".join(str((entry.get("properties") or {}).get("friendlyName")) for entry in inside)
            raise provider_error(
                400,
                "ServiceResourceNotEmptyWithBackendMessage",
                "Recovery Services vault cannot be deleted as there are backup items in the vault. The registered "
                f"items are : {names}",
            )
        self._world.remove(str(vault["id"]))
        return Answer(200)

    def status(self, call: Call) -> Answer:
        operation = self._operation(call)
        return Answer(body={**operation.as_status(), "id": call.path})

    def result(self, call: Call) -> Answer:
        operation = self._operation(call)
        if operation.status == "InProgress":
            base = call.path.removesuffix(f"/operationResults/{operation.id}")
            return self._world.accepted(call, operation, f"{base}/operationStatus", f"{base}/operationResults")
        if operation.failure is not None:
            raise Refused(error(400, *operation.failure))
        return Answer(body=vault_shape(self._world.vault(call), call.version))

    def check_name(self, call: Call) -> Answer:
        name = str(call.json().get("name", ""))
        path = call.path.lower().partition("/providers/")[0]
        there = self._world.estate.get(f"{path}/providers/{RSV}/{name}") is not None
        if there:
            message = f"The resource {name} already exists in the resource group."
            return Answer(body={"nameAvailable": False, "reason": "AlreadyExists", "message": message})
        if not _NAME.fullmatch(name):
            return Answer(body={"nameAvailable": False, "reason": "Invalid", "message": f"The name {name} is invalid."})
        return Answer(body={"nameAvailable": True})

    def _made(self, identifier: str, name: str, body: Json) -> Json:
        given = body.get("properties") or {}
        region = plain_location(body["location"])
        default = self._world.settings.default_redundancy
        redundancy = default.get(region, "GeoRedundant") if isinstance(default, Mapping) else default
        asked = given.get("redundancySettings") or {}
        if asked.get("standardTierStorageRedundancy", redundancy) not in _REDUNDANCY:
            raise refused(400, "InvalidRestApiParameter", "redundancySettings parameter is invalid.")
        if asked:
            self._world.redundancy_by_vault.add(key_of(identifier))
        vault: Json = {
            "location": region,
            "name": name,
            "etag": f"W/\"datetime'{whole_stamp(self._world.clock.now()).replace(':', '%3A')}'\"",
            "properties": {
                "publicNetworkAccess": "Enabled",
                "restoreSettings": {"crossSubscriptionRestoreSettings": {"crossSubscriptionRestoreState": "Enabled"}},
                **given,
                "provisioningState": "Succeeded",
                "privateEndpointStateForBackup": "None",
                "privateEndpointStateForSiteRecovery": "None",
                "redundancySettings": {
                    "standardTierStorageRedundancy": redundancy,
                    "crossRegionRestore": "Disabled",
                    **asked,
                },
            },
            "id": identifier,
            "type": RSV,
            "sku": body.get("sku") or {"name": "RS0", "tier": "Standard"},
        }
        if body.get("identity"):
            vault["identity"] = {
                **body["identity"],
                "principalId": "cccccccc-cccc-cccc-cccc-cccccccccccc",
                "tenantId": self._world.estate.tenant,
            }
        return vault if body.get("tags") is None else {**vault, "tags": body["tags"]}

    def _settled(self, done: Operation, identifier: str) -> None:
        if done.failure is not None:
            self._world.remove(identifier, done.due)

    def _check_redundancy(self, vault: Json, body: Json) -> None:
        """Refuse another redundancy once the vault is locked, and switching cross-region restore off."""
        asked = (body.get("properties") or {}).get("redundancySettings") or {}
        now = storage_config(self._world.estate, vault)["properties"]
        wanted = asked.get("standardTierStorageRedundancy", now["storageModelType"])
        check_storage(now, wanted, cross_region=asked.get("crossRegionRestore"))

    def _operation(self, call: Call) -> Operation:
        operation = self._world.operations.get(call.names["op"])
        if operation is None or operation.vault != key_of(str(self._world.vault(call)["id"])):
            raise provider_error(404, "ResourceNotFound", f"The operation {call.names['op']} could not be found.")
        return operation


def check_storage(now: Json, wanted: object, *, cross_region: object) -> None:
    """Refuse what a vault's storage cannot become any more.

    Raises:
        Refused: the vault is locked and would change, or cross-region restore would be switched off or is impossible.
    """
    if wanted != now["storageModelType"] and now["storageTypeState"] == "Locked":
        raise provider_error(
            400,
            "StorageModelModifyError",
            "Storage Redundancy option is locked when the first machine is registered with the vault, and cannot be "
            "modified thereafter.",
        )
    if cross_region in ("Disabled", False) and now["crossRegionRestoreFlag"]:
        raise provider_error(
            400, "BMSUserErrorInvalidInput", "Cross Region Restore cannot be disabled once it has been enabled."
        )
    if cross_region in ("Enabled", True) and wanted not in ("GeoRedundant", "ReadAccessGeoZoneRedundant"):
        raise provider_error(
            400, "BMSUserErrorInvalidInput", "Cross Region Restore needs a vault with geo-redundant storage."
        )
