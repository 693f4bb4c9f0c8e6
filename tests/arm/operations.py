"""Long-running operations: what is under way, what is done when, and what it changed."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from arm.clock import stamp
from arm.ids import Json

Status = Literal["InProgress", "Succeeded", "Failed"]
# What the service writes where there is no end yet: no zone, and the year 1.
_NO_END = "0001-01-01T00:00:00"


@dataclass
class Operation:
    """Something that goes on at a vault or an item; ``finish`` is called with the time at which it is done."""

    vault: str
    target: str
    started: float
    due: float
    finish: Callable[["Operation"], None]
    job: str = ""
    failure: tuple[str, str] | None = None
    status: Status = "InProgress"
    result: Json | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def as_status(self) -> Json:
        """Return the answer that pollers read."""
        done = self.status != "InProgress"
        body: Json = {
            "id": self.id,
            "name": self.id,
            "status": self.status,
            "startTime": stamp(self.started),
            "endTime": stamp(self.due) if done else _NO_END,
        }
        if self.status == "Failed" and self.failure:
            body["error"] = {"code": self.failure[0], "message": self.failure[1]}
        if done and self.job:
            body["properties"] = {"objectType": "OperationStatusJobExtendedInfo", "jobId": self.job}
        return body


class Operations:
    """All operations there ever were; those that are due are finished before the next request is looked at."""

    def __init__(self) -> None:
        self._all: dict[str, Operation] = {}
        self._under_way: list[Operation] = []

    def start(self, operation: Operation) -> Operation:
        self._all[operation.id] = operation
        self._under_way.append(operation)
        return operation

    def settle(self, now: float) -> None:
        """Finish what is due, in the order in which it falls due; an operation may start others."""
        while True:
            due = [entry for entry in self._under_way if entry.due <= now]
            if not due:
                return
            first = min(due, key=lambda entry: entry.due)
            self._under_way.remove(first)
            first.status = "Failed" if first.failure else "Succeeded"
            first.finish(first)

    def get(self, identifier: str) -> Operation | None:
        return self._all.get(identifier.lower())

    def busy(self, target: str) -> bool:
        return any(entry.target == target for entry in self._under_way)
