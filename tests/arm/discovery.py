"""Finding machines that can be protected, and the questions that are put before: status, checks, features."""

from collections.abc import Iterator

from arm.filters import item_matches, terms_of
from arm.ids import ITEM, VM, Json, key_of, plain_location, where
from arm.operations import Operation
from arm.routing import LOCATION, RSV, Route, V
from arm.web import Answer, Call, provider_error
from arm.world import World, same

_LOCATIONS = "Microsoft.RecoveryServices/locations"
_UNSUPPORTED_SIZES = ("Basic_",)


class Discovery:
    """Answers what a client asks before it enables protection."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        refresh = f"{V}/backupFabrics/{{fabric}}/refreshContainers"
        listing, read = f"{V}/backupProtectableItems", f"{RSV}/backupProtectableItems/read"
        checks = f"{_LOCATIONS}/backupPreValidateProtection/action"
        features = f"{_LOCATIONS}/backupValidateFeatures/action"
        return [
            Route("POST", refresh, self.refresh, f"{RSV}/backupFabrics/refreshContainers/action", 1),
            Route("GET", listing, self.protectable, read, 1),
            Route("POST", f"{LOCATION}/backupStatus", self.status, f"{_LOCATIONS}/backupStatus/action", 1),
            Route("POST", f"{LOCATION}/backupPreValidateProtection", self.check, checks, 1),
            Route("POST", f"{LOCATION}/backupValidateFeatures", self.features, features, 1),
        ]

    def refresh(self, call: Call) -> Answer:
        self._world.vault(call)
        base = call.path.rstrip("/").rpartition("/")[0]
        operation = self._world.start(call, f"{base}/refresh", self._discovered)
        return self._world.accepted(call, operation, f"{base}/operationsStatus", f"{base}/operationResults")

    def protectable(self, call: Call) -> Answer:
        vault, terms = self._world.vault(call), terms_of(call.query.get("$filter", ""))
        found = [entry for entry in self._protectable(vault) if item_matches(entry, terms)]
        return self._world.listed(call, found)

    def status(self, call: Call) -> Answer:
        """Say whether a machine is protected in any vault, which reading vaults one by one cannot."""
        identifier = str(call.json().get("resourceId", ""))
        self._check_machine(call, identifier)
        item = self._item_of(identifier)
        if item is None:
            return Answer(body={"protectionStatus": "NotProtected"})
        parts = str(item["id"]).split("/")
        properties = item["properties"]
        stopped = properties.get("protectionState") == "ProtectionStopped"
        return Answer(
            body={
                "protectionStatus": "NotProtected" if stopped else "Protected",
                "vaultId": "/".join(parts[:9]),
                "fabricName": "Azure",
                "containerName": f"iaasvmcontainer;{_container(identifier)}",
                "protectedItemName": f"vm;{_container(identifier)}",
                "errorCode": "Success",
                "errorMessage": "",
                "policyName": str(properties.get("policyId") or "").rpartition("/")[2],
            }
        )

    def check(self, call: Call) -> Answer:
        body = call.json()
        identifier, vault = str(body.get("resourceId", "")), str(body.get("vaultId", ""))
        names = {
            "containerName": f"iaasvmcontainer;{_container(identifier)}",
            "protectedItemName": f"vm;{_container(identifier)}",
        }
        machine, target = self._world.estate.get(identifier), self._world.estate.get(vault)
        if machine is None or target is None:
            return Answer(
                body={**_failed("UserErrorVmNotFound", "The virtual machine or the vault does not exist."), **names}
            )
        if self._item_of(identifier) is not None:
            message = "Virtual machine with same name and same resource group is already protected."
            return Answer(body={**_failed("VirtualMachineAlreadyProtected", message), **names})
        if plain_location(machine.get("location")) != plain_location(target.get("location")):
            message = "The virtual machine and the vault are in different regions."
            return Answer(body={**_failed("UserErrorRegionMismatch", message), **names})
        success = {"status": "Succeeded", "errorCode": "", "errorMessage": "", "recommendation": ""}
        return Answer(body={**success, **names})

    def features(self, call: Call) -> Answer:
        body = call.json()
        if body.get("featureType") != "AzureVMResourceBackup":
            return Answer(body={"supportStatus": "Invalid"})
        old = str(body.get("vmSize", "")).startswith(_UNSUPPORTED_SIZES)
        return Answer(body={"supportStatus": "DefaultOFF" if old else "Supported"})

    def _discovered(self, done: Operation) -> None:
        if done.failure is None:
            self._world.discover()

    def _protectable(self, vault: Json) -> Iterator[Json]:
        """Return the machines that a vault could take: of its subscription and region, discovered, without an item."""
        taken = {
            key_of(str(item["properties"].get("sourceResourceId") or ""))
            for item in self._world.estate.everywhere(ITEM)
        }
        for machine in self._world.estate.of_kind(VM, where(str(vault["id"])).subscription):
            key = key_of(str(machine["id"]))
            if key in taken or key not in self._world.discovered:
                continue
            if plain_location(machine.get("location")) != plain_location(vault.get("location")):
                continue
            yield _protectable_item(vault, machine)

    def _item_of(self, identifier: str) -> Json | None:
        """Return the item that a machine has in any vault; one that counts goes before those that are deleted."""
        found = [
            item
            for item in self._world.estate.everywhere(ITEM)
            if same(item["properties"].get("sourceResourceId"), identifier)
            and item["properties"].get("backupManagementType", "AzureIaasVM") == "AzureIaasVM"
        ]
        return min(
            found, key=lambda item: item["properties"].get("protectionState") == "ProtectionStopped", default=None
        )

    def _check_machine(self, call: Call, identifier: str) -> None:
        machine = self._world.estate.get(identifier)
        if machine is None:
            raise provider_error(400, "BMSUserErrorInvalidInput", "Input provided for the call is invalid")
        if plain_location(machine.get("location")) != plain_location(call.names["location"]):
            raise provider_error(400, "BMSUserErrorInvalidInput", "The resource is not in this region.")


def _container(identifier: str) -> str:
    place = where(identifier)
    return f"iaasvmcontainerv2;{place.group};{place.name}"


def _failed(code: str, message: str) -> Json:
    return {"status": "Failed", "errorCode": code, "errorMessage": message, "recommendation": "Choose another machine."}


def _protectable_item(vault: Json, machine: Json) -> Json:
    place = where(str(machine["id"]))
    name = f"iaasvmcontainerv2;{place.group.lower()};{place.name}"
    fabric = f"{vault['id']}/backupFabrics/Azure"
    return {
        "id": f"{fabric}/protectionContainers/IaasVMContainer;{name}/protectableItems/vm;{name}",
        "name": name,
        "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectableItems",
        "properties": {
            "virtualMachineId": machine["id"],
            "virtualMachineVersion": "Compute",
            "resourceGroup": place.group,
            "backupManagementType": "AzureIaasVM",
            "protectableItemType": "Microsoft.Compute/virtualMachines",
            "friendlyName": place.name,
            "protectionState": "NotProtected",
        },
    }
