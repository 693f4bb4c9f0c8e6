"""Reading vaults and what is in them."""

from collections.abc import Iterator

from arm.estate import Estate
from arm.filters import item_matches, job_matches, terms_of
from arm.ids import CONTAINER, ITEM, JOB, POLICY, VAULT, Json, key_of
from arm.routing import ITEM as ITEM_PATH
from arm.routing import RSV, VAULTS, Route, V
from arm.vault_settings import storage_config, vault_config, vault_shape
from arm.web import Answer, Call, provider_error
from arm.world import World, arm_shape

_ALL = "/subscriptions/{s}/providers/Microsoft.RecoveryServices/vaults"


class VaultReads:
    """Answers reads of Microsoft.RecoveryServices."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        items = f"{RSV}/backupFabrics/protectionContainers/protectedItems/read"
        return [
            Route("GET", _ALL, self.vaults, f"{RSV}/read", 3),
            Route("GET", VAULTS, self.vaults, f"{RSV}/read", 3),
            Route("GET", V, self.vault, f"{RSV}/read"),
            Route(
                "GET", f"{V}/backupstorageconfig/vaultstorageconfig", self.storage, f"{RSV}/backupstorageconfig/read"
            ),
            Route("GET", f"{V}/backupconfig/vaultconfig", self.config, f"{RSV}/backupconfig/read"),
            Route("GET", f"{V}/backupPolicies", self.policies, f"{RSV}/backupPolicies/read", 1),
            Route("GET", f"{V}/backupPolicies/{{policy}}", self.policy, f"{RSV}/backupPolicies/read"),
            Route("GET", f"{V}/backupProtectedItems", self.items, f"{RSV}/backupProtectedItems/read", 1),
            Route("GET", ITEM_PATH, self.item, items),
            Route("GET", f"{V}/backupJobs", self.jobs, f"{RSV}/backupJobs/read", 1),
            Route("GET", f"{V}/backupJobs/{{job}}", self.job, f"{RSV}/backupJobs/read"),
            Route(
                "GET", f"{V}/backupProtectionContainers", self.containers, f"{RSV}/backupProtectionContainers/read", 1
            ),
        ]

    def vaults(self, call: Call) -> Answer:
        found = self._world.estate.of_kind(VAULT, call.names["s"], call.names.get("g", ""))
        return self._world.listed(call, [vault_shape(entry, call.version) for entry in found])

    def vault(self, call: Call) -> Answer:
        return Answer(body=vault_shape(self._world.vault(call), call.version))

    def storage(self, call: Call) -> Answer:
        return Answer(body=storage_config(self._world.estate, self._world.vault(call)))

    def config(self, call: Call) -> Answer:
        return Answer(body=vault_config(self._world.estate, self._world.vault(call)))

    def policies(self, call: Call) -> Answer:
        vault, terms = self._world.vault(call), terms_of(call.query.get("$filter", ""))
        found = [entry for entry in self._world.estate.inside(vault["id"], POLICY) if item_matches(entry, terms)]
        return self._world.listed(call, [policy_shape(self._world.estate, entry) for entry in found])

    def policy(self, call: Call) -> Answer:
        self._world.vault(call)
        return Answer(body=policy_shape(self._world.estate, self._inside(call, f"policy {call.names['policy']}")))

    def items(self, call: Call) -> Answer:
        vault, terms = self._world.vault(call), terms_of(call.query.get("$filter", ""))
        found = [entry for entry in self._world.estate.inside(vault["id"], ITEM) if item_matches(entry, terms)]
        return self._world.listed(call, map(arm_shape, found))

    def item(self, call: Call) -> Answer:
        self._world.vault(call)
        return Answer(body=arm_shape(self._inside(call, f"backup item {call.names['item']}")))

    def jobs(self, call: Call) -> Answer:
        vault, terms = self._world.vault(call), terms_of(call.query.get("$filter", ""))
        found = [entry for entry in self._world.estate.inside(vault["id"], JOB) if job_matches(entry, terms)]
        found.sort(key=lambda entry: str((entry.get("properties") or {}).get("startTime")), reverse=True)
        return self._world.listed(call, map(_without_details, found))

    def job(self, call: Call) -> Answer:
        self._world.vault(call)
        return Answer(body=arm_shape(self._inside(call, f"job {call.names['job']}")))

    def containers(self, call: Call) -> Answer:
        vault, terms = self._world.vault(call), terms_of(call.query.get("$filter", ""))
        terms.pop("status", None)
        found = [entry for entry in self._containers(vault) if item_matches(entry, terms)]
        return self._world.listed(call, found)

    def _inside(self, call: Call, what: str) -> Json:
        found = self._world.estate.get(call.path)
        if found is None:
            raise provider_error(404, "ResourceNotFound", f"The {what} could not be found in the vault.")
        return found

    def _containers(self, vault: Json) -> Iterator[Json]:
        """Return the containers of a vault: one for each VM that it has an item of and has not soft-deleted."""
        yield from map(arm_shape, self._world.estate.inside(vault["id"], CONTAINER))
        for item in self._world.estate.inside(vault["id"], ITEM):
            properties = item.get("properties") or {}
            if properties.get("backupManagementType") != "AzureIaasVM" or properties.get(
                "isScheduledForDeferredDelete"
            ):
                continue
            identifier = str(item["id"]).rpartition("/protectedItems/")[0] or str(item["id"]).rpartition("/")[0]
            source = str(properties.get("sourceResourceId") or "")
            parts = source.split("/")
            yield {
                "id": identifier,
                "name": identifier.rpartition("/")[2],
                "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers",
                "properties": {
                    "virtualMachineId": source,
                    "virtualMachineVersion": "Compute",
                    "resourceGroup": parts[4] if len(parts) > 4 else "",
                    "friendlyName": properties.get("friendlyName"),
                    "backupManagementType": "AzureIaasVM",
                    "registrationStatus": "Registered",
                    "healthStatus": "Healthy",
                    "containerType": "Microsoft.Compute/virtualMachines",
                    "protectableObjectType": "Microsoft.Compute/virtualMachines",
                },
            }


def _without_details(job: Json) -> Json:
    """Return a job as lists show it: without its tasks."""
    shown = arm_shape(job)
    properties = {name: value for name, value in (shown.get("properties") or {}).items() if name != "extendedInfo"}
    return {**shown, "properties": properties}


def policy_shape(estate: Estate, policy: Json) -> Json:
    """Return a policy with the number of items that it protects."""
    identifier = key_of(str(policy["id"]))
    used = sum(
        key_of(str((item.get("properties") or {}).get("policyId") or "")) == identifier
        for item in estate.inside(identifier.rpartition("/backuppolicies/")[0], ITEM)
    )
    shown = arm_shape(policy)
    return {**shown, "properties": {**(shown.get("properties") or {}), "protectedItemsCount": used}}
