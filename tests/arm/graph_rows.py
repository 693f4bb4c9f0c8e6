"""Resources as Resource Graph has them: which table, which columns, and what it leaves out."""

from collections.abc import Iterable

from arm.estate import Estate
from arm.ids import (
    GROUP,
    MANAGEMENT_GROUP,
    STORAGE_CONFIG,
    SUBSCRIPTION,
    VAULT,
    VAULT_CONFIG,
    VM,
    Json,
    key_of,
    kind_of,
    plain_location,
    where,
)

TABLES = ("resources", "recoveryservicesresources", "resourcecontainers")
TEXTS = ("id", "name", "type", "tenantId", "kind", "location", "resourceGroup", "subscriptionId", "managedBy")
BAGS = ("sku", "plan", "properties", "tags", "identity", "zones", "extendedLocation")
COLUMNS = (*TEXTS, *BAGS)
_NOWHERE = {STORAGE_CONFIG, VAULT_CONFIG}


def table_of(kind: str) -> str | None:
    """Return the table that a type is in; settings of vaults are in none."""
    if kind in _NOWHERE:
        return None
    if kind in (SUBSCRIPTION, GROUP, MANAGEMENT_GROUP):
        return "resourcecontainers"
    if kind != VAULT and kind.startswith(("microsoft.recoveryservices/", "microsoft.dataprotection/backupvaults/")):
        return "recoveryservicesresources"
    return "resources"


def row_of(estate: Estate, resource: Json) -> Json:
    """Return the row of a resource, with a ``key`` beside Resource Graph's columns."""
    identifier, kind = str(resource["id"]), kind_of(resource)
    place = where(identifier)
    properties = _without_nulls(resource.get("properties") or {})
    if kind == VM:
        properties = _with_power_state(properties)
    return {
        "key": key_of(identifier),
        "id": identifier,
        "name": resource.get("name") or place.name,
        "type": kind,
        "tenantId": estate.tenant_of(place.subscription),
        "kind": resource.get("kind") or "",
        "location": plain_location(resource.get("location")),
        "resourceGroup": place.group.lower(),
        "subscriptionId": place.subscription,
        "managedBy": resource.get("managedBy") or "",
        "sku": resource.get("sku"),
        "plan": resource.get("plan"),
        "properties": properties,
        "tags": resource.get("tags"),
        "identity": resource.get("identity"),
        "zones": resource.get("zones"),
        "extendedLocation": resource.get("extendedLocation"),
    }


def container_rows(estate: Estate) -> Iterable[Json]:
    """Return the rows of subscriptions, resource groups and management groups."""
    for subscription, entry in estate.subscriptions.items():
        properties = {
            "state": entry.get("state") or "Enabled",
            **(entry.get("properties") or {}),
            "managementGroupAncestorsChain": estate.chain_of(subscription),
        }
        named = {**entry, "name": estate.title_of(subscription), "type": SUBSCRIPTION, "properties": properties}
        yield row_of(estate, {**named, "id": f"/subscriptions/{subscription}"})
    for entry in estate.resource_groups.values():
        yield row_of(estate, {**entry, "type": GROUP})
    for name in estate.groups:
        chain = estate.chain_of(name)
        details = {"managementGroupAncestorsChain": chain, "parent": chain[0]}
        yield row_of(
            estate,
            {
                "id": f"/providers/Microsoft.Management/managementGroups/{name}",
                "name": name,
                "type": MANAGEMENT_GROUP,
                "properties": {
                    "displayName": estate.names.get(name.lower(), name),
                    "tenantId": estate.tenant,
                    "details": details,
                },
            },
        )


def power_state_of(properties: Json) -> Json | None:
    """Return what an instance view, or Resource Graph's own extension, says about power: ``{code, displayStatus}``."""
    statuses = (properties.get("instanceView") or {}).get("statuses") or []
    for status in statuses:
        if str(status.get("code", "")).startswith("PowerState/"):
            return {"code": status["code"], "displayStatus": status.get("displayStatus", ""), "level": "Info"}
    known = ((properties.get("extended") or {}).get("instanceView") or {}).get("powerState")
    return known if isinstance(known, dict) else None


def _with_power_state(properties: Json) -> Json:
    power = power_state_of(properties)
    shown = {name: value for name, value in properties.items() if name not in ("instanceView", "extended")}
    if power is not None:
        given = (properties.get("extended") or {}).get("instanceView") or {}
        shown["extended"] = {"instanceView": {**given, "powerState": power}}
    return shown


def _without_nulls(value: object) -> Json:
    """Drop members that are null, which is what Resource Graph does inside ``properties``."""
    cleaned = _clean(value)
    return cleaned if isinstance(cleaned, dict) else {}


def _clean(value: object) -> object:
    if isinstance(value, dict):
        return {name: _clean(entry) for name, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_clean(entry) for entry in value]
    return value
