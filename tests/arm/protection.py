"""Enabling, changing, stopping and deleting protection of VMs, and backups on demand."""

from arm.clock import whole_stamp
from arm.faults import linked_forbidden
from arm.ids import ITEM as ITEM_TYPE
from arm.ids import POLICY, Json, key_of, plain_location, where
from arm.items import backed_up, container_of, fresh, item_not_found
from arm.jobs import ended, new_job
from arm.operations import Operation
from arm.routing import ITEM, RSV, Route
from arm.vault_reads import policy_shape
from arm.vault_settings import storage_config, vault_config
from arm.web import Answer, Call, Refused, provider_error
from arm.world import World, same

_ITEMS = f"{RSV}/backupFabrics/protectionContainers/protectedItems"
_KEPT_AFTER_DELETION = 14 * 24 * 3600


class Protection:
    """Answers writes of protected items; one thing at a time goes on at each."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("PUT", ITEM, self.put, f"{_ITEMS}/write"),
            Route("DELETE", ITEM, self.delete, f"{_ITEMS}/delete"),
            Route("POST", f"{ITEM}/backup", self.backup, f"{_ITEMS}/backup/action", 1),
        ]

    def put(self, call: Call) -> Answer:
        """Enable or change protection, stop it and keep the data, or undo a soft deletion."""
        vault, asked = self._world.vault(call), call.json().get("properties") or {}
        known = self._world.estate.get(call.path)
        old = (known or {}).get("properties") or {}
        if asked.get("protectedItemType") != "Microsoft.Compute/virtualMachines" or not asked.get("sourceResourceId"):
            raise provider_error(400, "BMSUserErrorInvalidInput", "Input provided for the call is invalid")
        self._check_idle(call.path)
        if old.get("isScheduledForDeferredDelete") and not asked.get("isRehydrate"):
            raise provider_error(
                400,
                "BMSUserErrorProtectedItemInSoftDeletedState",
                "The backup item is in soft deleted state. Undelete it before this operation.",
            )
        if asked.get("isRehydrate"):
            changed = {name: value for name, value in old.items() if not name.startswith(("isScheduled", "deferred"))}
            return self._started(call, vault, known, {**changed, "policyId": "", "policyName": ""}, "Undelete")
        if asked.get("protectionState") in ("ProtectionStopped", "BackupsSuspended"):
            if known is None:
                raise item_not_found()
            stopped = {**old, "protectionState": asked["protectionState"], "policyId": "", "policyName": ""}
            return self._started(call, vault, known, stopped, "DisableBackup")
        policy = self._policy(vault, asked)
        machine = self._machine(call, vault, asked["sourceResourceId"], new=known is None)
        state = "Protected" if old.get("lastRecoveryPoint") else "IRPending"
        properties = {
            **(old or fresh(machine)),
            "protectionState": state,
            "policyId": policy["id"],
            "policyName": policy["name"],
        }
        if "extendedProperties" in asked:
            properties["extendedProperties"] = asked["extendedProperties"]
        return self._started(call, vault, known, properties, "ConfigureBackup")

    def delete(self, call: Call) -> Answer:
        """Stop protection and delete the data, which soft delete keeps for another fortnight where it is on."""
        vault, known = self._world.vault(call), self._world.estate.get(call.path)
        if known is None:
            return Answer(204)
        self._check_idle(call.path)
        due = self._world.clock.time() + _KEPT_AFTER_DELETION
        deleted = {
            **known["properties"],
            "protectionState": "ProtectionStopped",
            "isScheduledForDeferredDelete": True,
            "deferredDeleteTimeInUTC": whole_stamp(due),
            "deferredDeleteTimeRemaining": "13.23:59:59",
            "policyId": "",
            "policyName": "",
        }
        soft = vault_config(self._world.estate, vault)["properties"]["softDeleteFeatureState"] != "Disabled"
        answer = self._started(call, vault, known, deleted, "DeleteBackupData", stays=soft)
        operation = answer.headers["Azure-AsyncOperation"].rpartition("/")[2]
        base = f"{self._world.url}{vault['id']}"
        answer.headers["Azure-AsyncOperation"] = f"{base}/backupOperations/{operation}"
        answer.headers["Location"] = f"{base}/backupOperationResults/{operation}"
        return answer

    def backup(self, call: Call) -> Answer:
        """Start a backup: the operation is done soon and names the job, which goes on."""
        vault, path = self._world.vault(call), call.path.rstrip("/").rpartition("/")[0]
        known = self._world.estate.get(path)
        if known is None:
            raise item_not_found()
        properties = known["properties"]
        if properties.get("protectionState") not in ("Protected", "IRPending", "ProtectionError"):
            raise provider_error(
                400, "BMSUserErrorInvalidStateForOperation", "Backups of this item are stopped. Resume them first."
            )
        self._check_idle(path)
        now, settings = self._world.clock.time(), self._world.settings
        expiry = (call.json().get("properties") or {}).get("recoveryPointExpiryTimeInUTC")
        bag = {"Recovery Point Expiry Time in UTC": expiry} if expiry else {}
        item = {"containerName": container_of(path), "friendlyName": where(path).name.rpartition(";")[2], **properties}
        job = new_job(str(vault["id"]), item, "Backup", now, bag)
        self._world.put(job)
        seconds = settings.operation_seconds * 2 if settings.backup_seconds is None else settings.backup_seconds
        failure, call.failure = call.failure, None
        if self._world.estate.get(str(properties.get("sourceResourceId") or "")) is None:
            failure = failure or ("UserErrorVmNotFoundV2", "Virtual machine doesn't exist.")
        operation = self._world.start(call, f"{path}/backup", lambda _: None, job=job["name"])

        def finish(done: Operation) -> None:
            self._world.put(ended(job, now, done.due, failure), done.due)
            latest = self._world.estate.get(path) or known
            self._world.put({**latest, "properties": backed_up(latest["properties"], now, failure)}, done.due)

        self._world.operations.start(Operation(key_of(str(vault["id"])), key_of(path), now, now + seconds, finish))
        return self._world.accepted(call, operation, f"{path}/operationsStatus", f"{path}/operationResults")

    def _started(
        self, call: Call, vault: Json, known: Json | None, properties: Json, verb: str, *, stays: bool = True
    ) -> Answer:
        """Start an operation with a job, after which the item has these properties or is gone."""
        path, now = call.path.rstrip("/"), self._world.clock.time()
        bag = (
            {"Policy Name": properties["policyName"]}
            if verb != "DeleteBackupData"
            else {"Number of Recovery Points": "1"}
        )
        described = {"containerName": container_of(path), **properties}
        job = new_job(str(vault["id"]), described, verb, now, bag)
        self._world.put(job)
        item = {
            **(known or {"id": path, "name": f"VM;{container_of(path)}", "type": _ITEMS}),
            "properties": properties,
        }

        def finish(done: Operation) -> None:
            self._world.put(ended(job, now, done.due, done.failure), done.due)
            if done.failure is None and stays:
                self._world.put(item, done.due)
                self._lock(vault, done.due)
                self._recount(vault, done.due)
            elif done.failure is None:
                self._world.remove(path, done.due)

        operation = self._world.start(call, path, finish, job=job["name"])
        return self._world.accepted(call, operation, f"{path}/operationsStatus", f"{path}/operationResults")

    def _lock(self, vault: Json, at: float) -> None:
        """Lock the vault's redundancy: from the first machine on it cannot be changed."""
        config = storage_config(self._world.estate, vault)
        self._world.put({**config, "properties": {**config["properties"], "storageTypeState": "Locked"}}, at)

    def _recount(self, vault: Json, at: float) -> None:
        """Let the policies that tell how many items are on them tell it anew."""
        for entry in self._world.estate.inside(str(vault["id"]), POLICY):
            shown = policy_shape(self._world.estate, entry)
            before, now = (held["properties"].get("protectedItemsCount") for held in (entry, shown))
            if before is not None and before != now:
                self._world.put(shown, at)

    def _check_idle(self, path: str) -> None:
        if self._world.operations.busy(key_of(path)):
            raise provider_error(
                409,
                "BMSUserErrorObjectLocked",
                "Another operation is in progress on the selected item. Please wait until it is finished and retry.",
            )

    def _policy(self, vault: Json, asked: Json) -> Json:
        identifier = str(asked.get("policyId") or "")
        policy = self._world.estate.get(identifier)
        if policy is None or not key_of(identifier).startswith(key_of(str(vault["id"])) + "/"):
            raise provider_error(
                400, "BMSUserErrorPolicyNotFound", "The backup policy could not be found in the vault."
            )
        if policy["properties"].get("backupManagementType") != "AzureIaasVM":
            raise provider_error(
                400, "BMSUserErrorInvalidPolicyInput", "The backup policy is not one of virtual machines."
            )
        return policy

    def _machine(self, call: Call, vault: Json, identifier: str, *, new: bool) -> Json:
        """Return the machine to protect, if it is there, fits the names in the path, and can go into this vault.

        One that has an item here already only gets another policy.
        """
        machine, place = self._world.estate.get(identifier), where(identifier)
        container = f"iaasvmcontainerv2;{place.group};{place.name}".lower()
        if machine is None:
            raise item_not_found()
        if (call.names["container"].lower(), call.names["item"].lower()) != (
            f"iaasvmcontainer;{container}",
            f"vm;{container}",
        ):
            raise provider_error(
                400, "BMSUserErrorInvalidInput", "The names of container and item are not the machine's."
            )
        action = "Microsoft.Compute/virtualMachines/write"
        if not call.principal.may(action, identifier):
            principal = call.principal
            raise Refused(
                linked_forbidden(
                    principal.client_id, principal.object_id, (f"{_ITEMS}/write", call.path), (action, identifier)
                )
            )
        if plain_location(machine.get("location")) != plain_location(vault.get("location")):
            raise provider_error(
                400, "BMSUserErrorRegionMismatch", "The virtual machine and the vault must be in the same region."
            )
        for item in self._world.estate.everywhere(ITEM_TYPE) if new else ():
            if same(item["id"], call.path) or not same(item["properties"].get("sourceResourceId"), identifier):
                continue
            if item["properties"].get("backupManagementType", "AzureIaasVM") == "AzureIaasVM":
                raise provider_error(
                    400,
                    "VirtualMachineAlreadyProtected",
                    "Virtual machine is already protected in another vault, or its soft deleted item is still there.",
                )
        return machine
