"""What became of operations at items, fabrics and vaults of the Backup API."""

from arm.ids import key_of
from arm.operations import Operation
from arm.routing import ITEM, RSV, Route, V
from arm.web import Answer, Call, Refused, error, provider_error
from arm.world import World, arm_shape

_FABRIC = f"{V}/backupFabrics/{{fabric}}"
_ITEMS = f"{RSV}/backupFabrics/protectionContainers/protectedItems"


class Progress:
    """Answers polls."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        fabrics = f"{RSV}/backupFabrics"
        return [
            Route("GET", f"{ITEM}/operationsStatus/{{op}}", self.status, f"{_ITEMS}/operationsStatus/read", 2),
            Route("GET", f"{ITEM}/operationResults/{{op}}", self.item_result, f"{_ITEMS}/operationResults/read", 2),
            Route("GET", f"{_FABRIC}/operationsStatus/{{op}}", self.status, f"{fabrics}/operationsStatus/read", 2),
            Route("GET", f"{_FABRIC}/operationResults/{{op}}", self.result, f"{fabrics}/operationResults/read", 2),
            Route("GET", f"{V}/backupOperations/{{op}}", self.status, f"{RSV}/backupOperations/read", 2),
            Route("GET", f"{V}/backupOperationResults/{{op}}", self.result, f"{RSV}/backupOperationResults/read", 2),
        ]

    def status(self, call: Call) -> Answer:
        return Answer(body=self._operation(call).as_status())

    def result(self, call: Call) -> Answer:
        """Answer 202 with the place to ask again, then 204."""
        operation = self._operation(call)
        return self._pending(call, operation) or Answer(204)

    def item_result(self, call: Call) -> Answer:
        """Answer 202, then the item."""
        operation = self._operation(call)
        pending = self._pending(call, operation)
        if pending is not None:
            status = pending.headers["Location"].replace("/operationResults/", "/operationsStatus/")
            pending.headers["Azure-AsyncOperation"] = status
            return pending
        item = self._world.estate.get(call.path.partition("/operationResults/")[0])
        return Answer(204) if item is None else Answer(body=arm_shape(item))

    def _pending(self, call: Call, operation: Operation) -> Answer | None:
        if operation.status == "InProgress":
            answer = Answer(202, headers={"Location": f"{self._world.url}{call.path}?api-version={call.version}"})
            if self._world.settings.retry_after is not None:
                answer.headers["Retry-After"] = str(self._world.settings.retry_after)
            return answer
        if operation.failure is not None:
            raise Refused(error(400, *operation.failure))
        return None

    def _operation(self, call: Call) -> Operation:
        operation = self._world.operations.get(call.names["op"])
        if operation is None or operation.vault != key_of(str(self._world.vault(call)["id"])):
            raise provider_error(404, "ResourceNotFound", f"The operation {call.names['op']} could not be found.")
        return operation
