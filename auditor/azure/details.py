"""What Resource Graph lacks: instance views, redundancy and soft delete of older vaults, items as vaults list them.

One GET each, many at a time; every refusal is a failure of that one resource and says which permission is missing.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from auditor.arm_id import parse_arm_id
from auditor.azure.calls import Caller, Failure, Pace, Unusable
from auditor.azure.lists import read_list
from auditor.azure.pace import Rate
from auditor.azure.workers import each
from auditor.inventory.decode import Row, decode_row
from auditor.inventory.tables import PROTECTED_ITEMS, STORAGE_CONFIGS, VAULT_CONFIGS, VIRTUAL_MACHINES, Table
from auditor.text import fold

COMPUTE_VERSION = "2024-07-01"
BACKUP_VERSION = "2025-02-01"
SOURCE = "Resource Manager"
ITEM = "item"  # one that Resource Graph shows and the list of its vault does not
_WORKERS = 10  # as many connections as the transport keeps open
_VM_ITEMS = "backupManagementType eq 'AzureIaasVM'"


class Wanted(NamedTuple):
    """A detail of one resource: ``id`` is that of the VM or the vault."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was read: the content that Azure gave, or why there is none."""

    wanted: Wanted
    content: Any
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a detail is read, and what becomes of it."""

    table: Table
    version: str
    read: Callable[[Caller, str, str, Pace], Any]
    resources: Callable[[str, Any], list[dict[str, Any]]]


def _instance_view(body: bytes) -> dict[str, Any]:
    view: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    # A view without any status says nothing, and must not be taken for that of a VM without an agent.
    if not isinstance(view.get("statuses"), list):
        raise Unusable("an instance view without statuses")
    return view


def _config(body: bytes) -> dict[str, Any]:
    config: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    if not isinstance(config.get("properties"), dict):
        raise Unusable("a configuration without properties")
    return config


def _get(suffix: str, read: Callable[[bytes], Any]) -> Callable[[Caller, str, str, Pace], Any]:
    def get(caller: Caller, arm_id: str, version: str, pace: Pace) -> Any:  # noqa: ANN401 -- whatever Azure gives
        got = caller.get(arm_id + suffix, version, pace, read)
        return got if isinstance(got, Failure) else got.content

    return get


def _items(caller: Caller, vault_id: str, version: str, pace: Pace) -> Any:  # noqa: ANN401 -- whatever Azure gives
    return read_list(caller, f"{vault_id}/backupProtectedItems", version, pace, dict[str, Any], filter=_VM_ITEMS)


def _view_of(vm_id: str, view: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- whatever Azure gives
    return [{"id": vm_id, "type": VIRTUAL_MACHINES.arm_types[0], "properties": {"instanceView": view}}]


def _config_of(table: Table, name: str) -> Callable[[str, Any], list[dict[str, Any]]]:
    kind = table.arm_types[0].rpartition("/")[2]

    def resources(vault_id: str, config: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- whatever Azure gives
        return [{**config, "id": f"{vault_id}/{kind}/{name}", "name": name, "type": table.arm_types[0]}]

    return resources


_KINDS = {
    "instance_views": _Kind(VIRTUAL_MACHINES, COMPUTE_VERSION, _get("/instanceView", _instance_view), _view_of),
    STORAGE_CONFIGS.name: _Kind(
        STORAGE_CONFIGS,
        BACKUP_VERSION,
        _get("/backupstorageconfig/vaultstorageconfig", _config),
        _config_of(STORAGE_CONFIGS, "vaultstorageconfig"),
    ),
    VAULT_CONFIGS.name: _Kind(
        VAULT_CONFIGS,
        BACKUP_VERSION,
        _get("/backupconfig/vaultconfig", _config),
        _config_of(VAULT_CONFIGS, "vaultconfig"),
    ),
    "vault_items": _Kind(PROTECTED_ITEMS, BACKUP_VERSION, _items, lambda _, items: list(items)),
    ITEM: _Kind(PROTECTED_ITEMS, BACKUP_VERSION, _get("", _config), lambda _, item: [item]),
}


class DetailReader:
    """Reads details, each subscription at its own rate: Azure counts reads by subscription."""

    def __init__(self, caller: Caller, per_second: float) -> None:
        """Begin with nothing read."""
        self._caller = caller
        self._rates: defaultdict[str, Rate] = defaultdict(lambda: Rate(per_second, caller.timing))

    def read(self, wanted: Iterable[Wanted]) -> Generator[Found, None, None]:
        """Read details in any order; raises as ``Caller.get`` does."""
        by_subscription: defaultdict[str, list[Wanted]] = defaultdict(list)
        for one in wanted:
            by_subscription[subscription_of(one.id)].append(one)
        for subscription in by_subscription:
            self._rates[subscription]  # made here: workers must not make two of them
        # In turn, so that no subscription makes all workers wait for its rate while others could be asked.
        turns = (one for turn in zip_longest(*by_subscription.values()) for one in turn if one is not None)
        return each(self._one, turns, _WORKERS, self._caller.timing)

    def _one(self, wanted: Wanted) -> Found:
        kind = _KINDS[wanted.kind]
        if {".", ".."} & set(wanted.id.split("/")) or parse_arm_id(wanted.id) is None:
            return Found(wanted, None, Failure(0, "an id that names no resource", ""))
        got = kind.read(self._caller, wanted.id, kind.version, self._rates[subscription_of(wanted.id)])
        return Found(wanted, None, got) if isinstance(got, Failure) else Found(wanted, got)


def subscription_of(arm_id: str) -> str:
    """Return the folded subscription of an id, empty when it names none."""
    parsed = parse_arm_id(arm_id)
    return fold(parsed.subscription) if parsed is not None and parsed.subscription is not None else ""


def rows_of_detail(wanted: Wanted, content: Any) -> list[Row] | Failure:  # noqa: ANN401 -- whatever Azure gives
    """Make rows of what was read; where an entry has no usable id, nothing of it all is taken."""
    kind = _KINDS[wanted.kind]
    rows = []
    for resource in kind.resources(wanted.id, content):
        arm_id = resource.get("id")
        parsed = parse_arm_id(arm_id) if isinstance(arm_id, str) else None
        if parsed is None or (kind.table.in_vault and parsed.vault is None):
            return Failure(200, "an entry without a usable id", "")
        rows.append(decode_row(resource, parsed, kind.table, SOURCE))
    return rows


def table_of_detail(kind: str) -> Table:
    """Return the table that a detail adds to."""
    return _KINDS[kind].table
