"""Virtual machines and their instance views."""

from arm.ids import VM, Json
from arm.routing import Route
from arm.web import Answer, Call, error
from arm.world import World, arm_shape

_TYPE = "Microsoft.Compute/virtualMachines"
_ALL = f"/subscriptions/{{s}}/providers/{_TYPE}"
_IN_GROUP = f"/subscriptions/{{s}}/resourceGroups/{{g}}/providers/{_TYPE}"
_ONE = f"{_IN_GROUP}/{{vm}}"


class Compute:
    """Answers for Microsoft.Compute."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("GET", _ALL, self.machines, f"{_TYPE}/read", 3),
            Route("GET", _IN_GROUP, self.machines, f"{_TYPE}/read", 3),
            Route("GET", _ONE, self.machine, f"{_TYPE}/read"),
            Route("GET", f"{_ONE}/instanceView", self.instance_view, f"{_TYPE}/instanceView/read", 1),
        ]

    def machines(self, call: Call) -> Answer:
        found = self._world.estate.of_kind(VM, call.names["s"], call.names.get("g", ""))
        status = call.query.get("statusOnly", "").lower() == "true"
        return self._counted(call, self._world.listed(call, [_machine(entry, status) for entry in found]))

    def machine(self, call: Call) -> Answer:
        with_view = call.query.get("$expand", "").lower() == "instanceview"
        return self._counted(call, Answer(body=_machine(self._found(call), with_view)))

    def instance_view(self, call: Call) -> Answer:
        machine = self._found(call)
        return self._counted(call, Answer(body=view_of(machine)), limited=True)

    def _found(self, call: Call) -> Json:
        path = call.path.removesuffix("/instanceView").removesuffix("/instanceview")
        return self._world.found(path, _TYPE, call.names["vm"], call.names["g"])

    def _counted(self, call: Call, answer: Answer, *, limited: bool = False) -> Answer:
        """Count a request against Compute's own limits, of which only that of instance views can be set."""
        allowed, left = self._world.instance_views.take(call.names["s"].lower()) if limited else (True, 237)
        if not allowed:
            message = "The server rejected the request because too many requests have been received for this "
            answer = error(429, "OperationNotAllowed", f"{message}subscription.", details=[_too_many()])
            answer.headers["Retry-After"] = "1"
        operation = "GetVMInstanceView3Min" if limited else "LowCostGet3Min"
        answer.headers["x-ms-ratelimit-remaining-resource"] = f"Microsoft.Compute/{operation};{left}"
        return answer


def view_of(machine: Json) -> Json:
    """Return an instance view: the recorded one, or that of a machine about which only its provisioning is known."""
    properties = machine.get("properties") or {}
    known = properties.get("instanceView")
    if isinstance(known, dict):
        return known
    statuses: list[Json] = [
        {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}
    ]
    power = ((properties.get("extended") or {}).get("instanceView") or {}).get("powerState")
    if isinstance(power, dict):
        statuses.append({"level": "Info", **power})
    return {"statuses": statuses}


def _machine(resource: Json, with_view: bool) -> Json:  # noqa: FBT001 - what a query option says
    shown = arm_shape(resource)
    properties = {name: value for name, value in (shown.get("properties") or {}).items() if name != "instanceView"}
    if with_view:
        properties["instanceView"] = view_of(resource)
    return {**shown, "properties": properties}


def _too_many() -> Json:
    return {
        "code": "TooManyRequests",
        "target": "GetVMInstanceView3Min",
        "message": '{"operationGroup":"GetVMInstanceView3Min","allowedRequestCount":1}',
    }
