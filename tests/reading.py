"""Reads a stand-in for Azure as the command does, so that a test reads as a sentence."""

import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arm import Arm, Estate, Principal, Quota
from building import Audited, _assess, microseconds

from auditor.azure.calls import Caller
from auditor.azure.checkpoint import Checkpoint
from auditor.azure.clouds import cloud_named
from auditor.azure.live import LiveReader
from auditor.azure.pace import Timing
from auditor.azure.scope import Asked
from auditor.azure.session import Session, open_session
from auditor.cli.question import Flags, settle
from auditor.inventory.facts import load_facts, quiet_connection
from auditor.inventory.model import Inventory
from auditor.inventory.spool import Spool
from auditor.inventory.tables import TABLES

Json = dict[str, Any]

# Of the keys of a resource, those that az leaves where they are; it lifts all others out of ``properties``.
_ROOT = {"id", "name", "type", "location", "tags", "kind", "sku", "identity", "zones", "managedBy", "resourceGroup"}
_ROOT |= {"tenantId", "subscriptionId", "plan", "extendedLocation", "properties"}


def whole_resources(resources: Iterable[Json]) -> list[Json]:
    """Return resources as Resource Manager has them, of exports that spread and flatten them."""
    found: dict[str, Json] = {}
    for resource in resources:
        nested = {key: value for key, value in resource.items() if key in _ROOT}
        nested.setdefault("properties", {key: value for key, value in resource.items() if key not in _ROOT})
        _merge(found.setdefault(str(resource["id"]).lower(), {}), nested)
    return list(found.values())


def _merge(into: Json, more: Json) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif value is not None:
            into[key] = value


def with_views(resources: Iterable[Json], power: str = "running") -> list[Json]:
    """Give every VM an instance view with an agent that is ready, where it has none."""
    found = []
    for resource in resources:
        if str(resource["type"]).lower() == "microsoft.compute/virtualmachines":
            ready = {"code": "ProvisioningState/succeeded", "displayStatus": "Ready", "message": "Agent is running."}
            view = {
                "vmAgent": {"vmAgentVersion": "2.9.1.1", "statuses": [ready]},
                "statuses": [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{power}"}],
            }
            properties = {"instanceView": view, **resource["properties"]}
            resource = {**resource, "properties": properties}  # noqa: PLW2901 -- the caller's stays as it is
        found.append(resource)
    return found


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment while a block lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@dataclass
class Seen:
    """Progress, remembered."""

    tables: dict[str, tuple[int, int]] = field(default_factory=dict)
    asked: dict[str, tuple[int, int]] = field(default_factory=dict)

    def table(self, name: str, rows: int, total: int) -> None:
        self.tables[name] = (rows, total)

    def details(self, kind: str, done: int, total: int) -> None:
        self.asked[kind] = (done, total)


class Clock:
    """Waits a tenth of a percent of what it is asked to, as far as nothing else is wanted: retries are quick."""

    def __init__(self, scale: float = 0.001) -> None:
        self.stop = threading.Event()
        self.scale = scale

    @property
    def timing(self) -> Timing:
        return Timing(time.monotonic, lambda seconds: self.stop.wait(seconds * self.scale))


@contextmanager
def session_of(arm: Arm, principal: Principal | None = None, tenant: str | None = None) -> Iterator[Session]:
    cloud = cloud_named("public", arm.url, arm.url)
    with (
        environment(arm.environment_of(principal) if principal is not None else arm.environment),
        closing(open_session(cloud, "service-principal", tenant)) as session,
    ):
        yield session


@dataclass
class Reading:
    """What was read, and how."""

    inventory: Inventory
    folder: Path
    seen: Seen
    caller: Caller

    def facts(self) -> dict[str, list[Json]]:
        """Return all facts by table, but for where they were read."""
        return facts_of(self.inventory)

    def audit(self, **flags: Any) -> Audited:
        """Judge it at the time at which estates of tests are judged, with Azure as primary endpoint."""
        as_of = flags.pop("as_of", "2026-06-15T12:00:00Z")
        asked = frozenset(flags.pop("subscriptions", ()))
        settings = settle(Flags(primary_endpoint="azure", as_of=as_of, **flags))
        with tempfile.TemporaryDirectory() as name:
            assessment = _assess(self.inventory, Path(name), settings, None, asked)
            assessment.estate.connection.close()
        return Audited(assessment.report)


# What differs by where a fact was read and not by what it is: spelling, and what only Resource Graph knows.
_ELSEWHERE = {"source", "id", "vault_id", "management_groups"}


def facts_of(inventory: Inventory) -> dict[str, list[Json]]:
    """Return all facts by table, those that are known, but for where they were read."""
    found: dict[str, list[Json]] = {}
    with quiet_connection() as connection:
        load_facts(connection, inventory)
        for table in (*(table.name for table in TABLES), "tags"):
            cursor = connection.execute(f"SELECT * FROM facts_{table} ORDER BY ALL")
            names = [column[0] for column in cursor.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            for row in rows:
                row["bad"] = [name for name in row.get("bad") or () if name is not None] or None
            kept = [{k: v for k, v in row.items() if v is not None and k not in _ELSEWHERE} for row in rows]
            found[table] = sorted(kept, key=repr)
    return found


def read(
    arm: Arm,
    folder: Path,
    asked: Asked | None = None,
    *,
    kept: Checkpoint | None = None,
    clock: Clock | None = None,
    principal: Principal | None = None,
) -> Reading:
    """Read what there is."""
    spool_folder = Path(tempfile.mkdtemp(dir=folder))
    seen = Seen()
    with session_of(arm, principal) as session, Spool(spool_folder) as spool:
        caller = Caller(session, (clock or Clock()).timing, time.time)
        reader = LiveReader(caller, asked or Asked(per_second=1_000.0), spool, kept, seen)
        inventory = reader.read(microseconds("2026-06-15T12:00:00Z"), lambda: microseconds("2026-06-15T12:01:00Z"))
    return Reading(inventory, spool_folder, seen, caller)


def standing(resources: Iterable[Json], **options: Any) -> Arm:
    """Return a stand-in with these resources, and a quota that is in nobody's way."""
    options.setdefault("quota", Quota(1_000, 5.0))
    return Arm(Estate(resources), **options)
