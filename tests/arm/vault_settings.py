"""A vault as an api-version shows it, and its two settings objects: the estate's, or what follows from the vault."""

from arm.estate import Estate
from arm.ids import ITEM, Json
from arm.world import arm_shape

_CONFIG_OF_SOFT_DELETE = {"enabled": "Enabled", "disabled": "Disabled", "alwayson": "AlwaysON"}
# What older api-versions do not show yet: the first version that does.
_SINCE = {
    "securitySettings": "2021-11",
    "publicNetworkAccess": "2022-03",
    "monitoringSettings": "2022-04",
    "restoreSettings": "2022-09",
    "redundancySettings": "2023-02",
    "secureScore": "2023-06",
    "bcdrSecurityLevel": "2023-08",
}


def vault_shape(vault: Json, version: str) -> Json:
    """Return a vault as Resource Manager shows it with an api-version."""
    shown = arm_shape(vault)
    properties = shown.get("properties") or {}
    return {**shown, "properties": {name: it for name, it in properties.items() if _SINCE.get(name, "") <= version}}


def storage_config(estate: Estate, vault: Json) -> Json:
    """Return a vault's storage settings; once a VM was registered with it they are locked."""
    identifier = f"{vault['id']}/backupstorageconfig/vaultstorageconfig"
    known = estate.get(identifier)
    properties = dict((known or {}).get("properties") or {})
    settings = (vault.get("properties") or {}).get("redundancySettings") or {}
    redundancy = settings.get("standardTierStorageRedundancy") or "GeoRedundant"
    properties.setdefault("storageModelType", redundancy)
    properties.setdefault("storageType", properties["storageModelType"])
    properties.setdefault("storageTypeState", "Locked" if estate.inside(str(vault["id"]), ITEM) else "Unlocked")
    properties.setdefault("crossRegionRestoreFlag", settings.get("crossRegionRestore") == "Enabled")
    return {
        "id": (known or {}).get("id", identifier),
        "name": "vaultstorageconfig",
        "type": "Microsoft.RecoveryServices/vaults/backupstorageconfig",
        "properties": properties,
    }


def vault_config(estate: Estate, vault: Json) -> Json:
    """Return a vault's security settings as the older of its two surfaces has them."""
    identifier = f"{vault['id']}/backupconfig/vaultconfig"
    known = estate.get(identifier)
    properties = dict((known or {}).get("properties") or {})
    security = (vault.get("properties") or {}).get("securitySettings") or {}
    settings = security.get("softDeleteSettings") or {}
    state = _CONFIG_OF_SOFT_DELETE.get(str(settings.get("softDeleteState", "")).lower(), "Enabled")
    properties.setdefault("enhancedSecurityState", "Enabled")
    properties.setdefault("softDeleteFeatureState", state)
    if "softDeleteRetentionPeriodInDays" in settings:
        properties.setdefault("softDeleteRetentionPeriodInDays", settings["softDeleteRetentionPeriodInDays"])
    properties.setdefault("isSoftDeleteFeatureStateEditable", properties["softDeleteFeatureState"] != "AlwaysON")
    return {
        "id": (known or {}).get("id", identifier),
        "name": "vaultconfig",
        "type": "Microsoft.RecoveryServices/vaults/backupconfig",
        "properties": properties,
    }
