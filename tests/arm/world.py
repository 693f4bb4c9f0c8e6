"""What all handlers share: the estate, the clock, settings, and how answers and lists are made of resources."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from arm.clock import Clock
from arm.estate import Estate
from arm.graph_rows import BAGS
from arm.ids import CANONICAL, VM, Json, key_of, kind_of, vault_key_of
from arm.operations import Operation, Operations
from arm.quota import Budget, PerSecond
from arm.web import Answer, Call, Refused, refused

_VAULT = "Microsoft.RecoveryServices/vaults"
_OF_GRAPH_ONLY = ("tenantId", "subscriptionId", "resourceGroup", "key")


@dataclass(kw_only=True)
class Settings:
    """How the server behaves.

    Attributes:
        latency: real seconds before each answer.
        lag: seconds of the server's clock until a change shows in Resource Graph.
        operation_seconds: seconds of the server's clock that an operation takes.
        backup_seconds: seconds that the job of a backup takes; ``None`` is twice as long as an operation.
        page_size: the entries of one page of a list.
        retry_after: what Retry-After says beside an operation; ``None`` leaves it out, as recorded answers do.
        default_redundancy: what a vault gets that is created without saying, for all regions or by region.
        instance_views_a_second: beyond it Compute answers 429; ``None`` is no limit.
        policy_writes_answer: 200 with the policy, or 202 with an operation to follow; a policy that protects something
            is always changed by an operation.
        relative_operations: the URLs of a vault's operations have no host, as Microsoft's example of them.
    """

    latency: float = 0.0
    lag: float = 0.0
    operation_seconds: float = 0.0
    backup_seconds: float | None = None
    page_size: int = 500
    retry_after: int | None = None
    default_redundancy: str | Mapping[str, str] = "GeoRedundant"
    instance_views_a_second: int | None = None
    policy_writes_answer: int = 200
    relative_operations: bool = False


@dataclass
class World:
    """The state of the server."""

    estate: Estate
    clock: Clock
    settings: Settings
    operations: Operations
    url: str = ""
    reads: Budget = field(default_factory=lambda: Budget(12000))
    writes: Budget = field(default_factory=lambda: Budget(1200))
    instance_views: PerSecond = field(default_factory=PerSecond)
    discovered: set[str] = field(default_factory=set)
    redundancy_by_vault: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.discover()

    def discover(self) -> None:
        """Take note of the machines that there are: only these are protectable."""
        self.discovered = {key_of(str(entry["id"])) for entry in self.estate.everywhere(VM)}

    def put(self, resource: Json, at: float | None = None) -> None:
        """Write a resource because of a request, or at the time ``at`` at which an operation was done."""
        moment = self.clock.time() if at is None else at
        self.estate.put(resource, visible=moment + self.settings.lag)

    def remove(self, identifier: str, at: float | None = None) -> None:
        moment = self.clock.time() if at is None else at
        self.estate.remove(identifier, visible=moment + self.settings.lag)

    def vault(self, call: Call) -> Json:
        """Return the vault that a request is about.

        Raises:
            Refused: there is none.
        """
        names = call.names
        path = f"/subscriptions/{names['s']}/resourceGroups/{names['g']}/providers/{_VAULT}/{names['v']}"
        return self.found(path, _VAULT, names["v"], names["g"])

    def start(self, call: Call, target: str, finish: Callable[[Operation], None], *, job: str = "") -> Operation:
        """Start an operation of a vault, or of the request's own path without one."""
        now = self.clock.time()
        vault = vault_key_of(key_of(call.path) + "/")
        due = now + self.settings.operation_seconds
        return self.operations.start(Operation(vault, key_of(target), now, due, finish, job, call.failure))

    def accepted(self, call: Call, operation: Operation, status: str, result: str, *, code: int = 202) -> Answer:
        """Return the answer to a request that started an operation: where to ask for its status and its result."""
        base = "" if self.settings.relative_operations and "/operationStatus" in status else self.url
        version = f"?api-version={call.version}"
        headers = {
            "Azure-AsyncOperation": f"{base}{status}/{operation.id}{version}",
            "Location": f"{base}{result}/{operation.id}{version}",
        }
        if self.settings.retry_after is not None:
            headers["Retry-After"] = str(self.settings.retry_after)
        return Answer(code, headers=headers)

    def found(self, identifier: str, what: str, name: str, group: str) -> Json:
        """Return a resource.

        Raises:
            Refused: there is none with this id.
        """
        resource = self.estate.get(identifier)
        if resource is None:
            raise missing(what, name, group)
        return resource

    def listed(self, call: Call, resources: Iterable[Json]) -> Answer:
        """Return one page of a list."""
        entries = list(resources)
        token = next((value for name, value in call.query.items() if name.lower() == "$skiptoken"), "0")
        start = int(token) if token.isdigit() else 0
        end = start + self.settings.page_size
        body: Json = {"value": entries[start:end]}
        if end < len(entries):
            kept = {name: value for name, value in call.query.items() if name.lower() != "$skiptoken"}
            body["nextLink"] = f"{self.url}{quote(call.path)}?{urlencode({**kept, '$skiptoken': str(end)})}"
        return Answer(body=body)


def missing(what: str, name: str, group: str) -> Refused:
    return refused(
        404,
        "ResourceNotFound",
        f"The Resource '{what}/{name}' under resource group '{group}' was not found. For more details please go to "
        "https://aka.ms/ARMResourceNotFoundFix",
    )


def arm_shape(resource: Mapping[str, object]) -> Json:
    """Return a resource as Resource Manager shows it, whatever it was exported from."""
    shown = {name: value for name, value in resource.items() if name not in _OF_GRAPH_ONLY}
    shown["type"] = CANONICAL.get(kind_of(shown), shown.get("type"))
    for name in ("kind", "managedBy", *BAGS):
        if name != "properties" and not shown.get(name) and name in shown and shown[name] in ("", None):
            del shown[name]
    properties = shown.get("properties")
    if isinstance(properties, dict) and "extended" in properties:
        shown["properties"] = {name: value for name, value in properties.items() if name != "extended"}
    return shown


def same(one: object, other: object) -> bool:
    """Whether two ids are of one thing."""
    return key_of(str(one or "")) == key_of(str(other or ""))
