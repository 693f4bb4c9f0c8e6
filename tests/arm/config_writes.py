"""Changing the two settings objects of a vault."""

from arm.ids import Json, key_of, merged
from arm.routing import RSV, Route, V
from arm.vault_settings import storage_config, vault_config
from arm.vault_writes import check_storage
from arm.web import Answer, Call, provider_error
from arm.world import World

_STORAGE = ("GeoRedundant", "LocallyRedundant", "ZoneRedundant", "ReadAccessGeoZoneRedundant")
_OF_VAULT = {"Enabled": "Enabled", "Disabled": "Disabled", "AlwaysON": "AlwaysON"}


class ConfigWrites:
    """Answers writes of storage and security settings; the vault itself shows the same afterwards."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        storage, config = f"{V}/backupstorageconfig/vaultstorageconfig", f"{V}/backupconfig/vaultconfig"
        return [
            Route("PUT", storage, self.put_storage, f"{RSV}/backupstorageconfig/write"),
            Route("PATCH", storage, self.patch_storage, f"{RSV}/backupstorageconfig/write"),
            Route("PUT", config, self.write_config, f"{RSV}/backupconfig/write"),
            Route("PATCH", config, self.write_config, f"{RSV}/backupconfig/write"),
        ]

    def put_storage(self, call: Call) -> Answer:
        return Answer(body=self._stored(call))

    def patch_storage(self, call: Call) -> Answer:
        self._stored(call)
        return Answer(204)

    def write_config(self, call: Call) -> Answer:
        vault, asked = self._world.vault(call), call.json().get("properties") or {}
        known = vault_config(self._world.estate, vault)
        now = known["properties"]
        if "enhancedSecurityState" not in asked:
            raise provider_error(400, "BMSUserErrorInvalidInput", "Input provided for the call is invalid")
        wanted = asked.get("softDeleteFeatureState", now["softDeleteFeatureState"])
        if wanted != now["softDeleteFeatureState"] and not now["isSoftDeleteFeatureStateEditable"]:
            raise provider_error(
                400, "BMSUserErrorInvalidInput", "Soft delete of this vault is always on and cannot be changed."
            )
        properties = {**now, **asked, "isSoftDeleteFeatureStateEditable": wanted != "AlwaysON"}
        changed = {**known, "properties": properties}
        self._world.put(changed)
        settings = (vault.get("properties") or {}).get("securitySettings", {}).get("softDeleteSettings")
        if settings is not None:
            state: Json = {"softDeleteState": _OF_VAULT.get(str(wanted), wanted)}
            if "softDeleteRetentionPeriodInDays" in asked:
                state["softDeleteRetentionPeriodInDays"] = asked["softDeleteRetentionPeriodInDays"]
            self._change_vault(vault, {"securitySettings": {"softDeleteSettings": state}})
        return Answer(body=changed)

    def _stored(self, call: Call) -> Json:
        vault, asked = self._world.vault(call), call.json().get("properties") or {}
        known = storage_config(self._world.estate, vault)
        now = known["properties"]
        wanted = asked.get("storageModelType") or asked.get("storageType") or now["storageModelType"]
        if wanted not in _STORAGE:
            raise provider_error(400, "BMSUserErrorInvalidInput", "Input provided for the call is invalid")
        flag = asked.get("crossRegionRestoreFlag", now["crossRegionRestoreFlag"])
        changes = wanted != now["storageModelType"] or flag != now["crossRegionRestoreFlag"]
        check_storage(now, wanted, cross_region=asked.get("crossRegionRestoreFlag"))
        if changes and key_of(str(vault["id"])) in self._world.redundancy_by_vault:
            raise provider_error(
                400,
                "BMSUserErrorInvalidInput",
                "Redundancy settings for this vault cannot be modified using this API. Since the Vault API was "
                "previously used to update the redundancy settings for this vault, you must again use the Vault API "
                "to make any further changes to this property.",
            )
        properties = {**now, "storageModelType": wanted, "storageType": wanted, "crossRegionRestoreFlag": flag}
        changed = {**known, "properties": properties}
        if changes:
            self._world.put(changed)
            settings = {
                "standardTierStorageRedundancy": wanted,
                "crossRegionRestore": "Enabled" if flag else "Disabled",
            }
            self._change_vault(vault, {"redundancySettings": settings})
        return changed

    def _change_vault(self, vault: Json, properties: Json) -> None:
        changed = merged(vault, {"properties": properties})
        assert isinstance(changed, dict)
        self._world.put(changed)
