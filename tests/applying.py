"""Applies plans to a stand-in, by a clock that goes on only when somebody waits, so that hours take no time."""

import asyncio
import json
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from arm import Arm
from arm.clock import stamp
from arm.faults import WIRE
from arm.web import Answer, Call, Seen
from azure.core.exceptions import IncompleteReadError, ServiceResponseError, ServiceResponseTimeoutError
from planned import NOW, plan_and_failing
from reading import read, standing, with_views
from wanting import Wanting

from auditor.azure.actuator import ArmActuator
from auditor.azure.calls import Caller
from auditor.azure.clouds import cloud_named
from auditor.azure.pace import Timing
from auditor.azure.session import Identity, Session
from auditor.remediation.apply import Applied, Applier, Bounds, policy_steps
from auditor.remediation.doing import Doer, Limits, Result
from auditor.remediation.journal import Event, Journal
from auditor.remediation.model import Plan
from auditor.timestamps import parse_time

Json = dict[str, Any]
TOOL = "a test"


class Response:
    """An answer as the SDK gives it; of one that is cut off the headers came."""

    def __init__(self, answer: Answer, *, cut: bool = False) -> None:
        late = answer.late() if answer.late is not None else {}
        self.status_code = answer.status
        self.headers = {**answer.headers, **late}
        self._body = answer.encoded()
        self._cut = cut

    def read(self) -> bytes:
        if self._cut:
            raise IncompleteReadError("the connection was closed in the middle of the answer")
        return self._body

    def close(self) -> None:
        pass


class Client:
    """Hands requests to a stand-in without a connection: the same answers, and faults, in a tenth of the time."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self.lock = threading.Lock()

    def send_request(self, request: Any, **_options: Any) -> Response:
        url = urlsplit(request.url)
        content = request.content or b""
        raw = content if isinstance(content, bytes) else str(content).encode()
        headers = {"Authorization": f"Bearer {self._arm.token()}"}  # a new one each time: hours go by
        call = Call(request.method, unquote(url.path), dict(parse_qsl(url.query)), headers, raw)
        with self.lock:
            return self._answered(call)

    def _answered(self, call: Call) -> Response:
        arm = self._arm
        arm.settle()
        fault = next((entry for entry in arm._faults if entry.takes(call)), None)
        kind = fault.kind if fault is not None else ""
        if fault is not None and kind == "operation-failed":
            call.failure = fault.failure
        told = fault is None or kind in ("cut", "not-json", "operation-failed") or fault.done
        answer = self._manager(call) if told else Answer(0)
        status = answer.status
        if fault is not None and kind not in (*WIRE, "operation-failed"):
            answer = fault.answer(call, stamp(arm.clock.now()))
            status = status if fault.done else answer.status
        seen = Seen(call.method, call.path, call.query, call.loggable(), status, arm.clock.time(), {})
        arm.requests.append(seen)
        if kind == "reset":
            raise ServiceResponseError("Connection aborted.")
        if kind == "hang":
            arm.clock.advance(120)
            raise ServiceResponseTimeoutError("Read timed out.")
        if kind == "not-json":
            answer = Answer(answer.status, b"<html>", answer.headers, answer.late)
        return Response(answer, cut=kind == "cut")

    def _manager(self, call: Call) -> Answer:
        coroutine = self._arm._manager.answer(call)
        return asyncio.run_coroutine_threadsafe(coroutine, self._arm._loop).result()

    def close(self) -> None:
        pass


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


@dataclass
class Kill:
    """When to die: before, in the middle of, or after writing the so-manieth line of the journal."""

    at: int
    how: str
    lines: int = 0


class MortalJournal(Journal):
    """A journal whose process may die of any line."""

    def __init__(self, path: Path, plan: Plan, now: Callable[[], float], kill: Kill | None) -> None:
        self.kill = kill
        super().__init__(path, plan.digest, TOOL, now)

    def _write(self, event: Event) -> None:
        kill = self.kill
        if kill is not None:
            kill.lines += 1
            if kill.lines > kill.at:
                raise Killed
            if kill.lines == kill.at and kill.how == "before":
                raise Killed
        super()._write(event)
        if kill is not None and kill.lines == kill.at:
            if kill.how == "torn":
                size = self.path.stat().st_size
                line = self.path.read_bytes().rstrip(b"\n").rpartition(b"\n")[2]
                with self.path.open("r+b") as file:
                    file.truncate(size - 1 - len(line) // 2)
            raise Killed


@dataclass
class Standing:
    """A stand-in, a plan for it, and a journal."""

    arm: Arm
    plan: Plan
    journal: Path
    stop: threading.Event = field(default_factory=threading.Event)
    told: list[Result] = field(default_factory=list)

    def actuator(self, **options: Any) -> ArmActuator:
        arm = self.arm

        def wait(seconds: float) -> bool:
            arm.clock.advance(seconds)
            return self.stop.is_set()

        session = Session(cloud_named("public", arm.url, arm.url), Identity(arm.estate.tenant, "me"), Client(arm))  # type: ignore[arg-type]
        return ArmActuator(Caller(session, Timing(arm.clock.time, wait), arm.clock.time), **options)

    def apply(
        self, *, kill: Kill | None = None, bounds: Bounds | None = None, wait_backup: bool = False, **options: Any
    ) -> Applied:
        """Apply the plan, or what is left of it."""
        self.stop.clear()  # another process
        limits = options.pop("limits", Limits())
        actuator = options.pop("actuator", None) or self.actuator(**options)
        steps = self.plan.automatic
        since = (parse_time(self.plan.created_from.as_of) or 0) / 1_000_000
        with closing(MortalJournal(self.journal, self.plan, self.arm.clock.time, kill)) as journal:
            doer = Doer(actuator, journal, since, policy_steps(steps), wait_backup=wait_backup, limits=limits)
            applier = Applier(doer, journal, bounds or Bounds(parallel=1), self.stop, self.told.append)
            applied = applier.apply(steps)
            if applied.error is not None:
                raise applied.error
            journal.finished()
        return applied

    def outcomes(self, applied: Applied) -> dict[str, str]:
        """Return what became of each step by its title."""
        return {result.step.title: result.outcome for result in applied.results}

    def state(self) -> Json:
        """Return what there is a day later, without what differs from run to run: times, and names that are made up."""
        self.arm.clock.advance(86_400)
        self.arm.settle()
        found = {}
        for key, resource in sorted(self.arm.estate.resources.items()):
            if "/backupjobs/" in key:
                continue
            found[key] = _lasting(resource)
        jobs = [
            (entry["properties"]["operation"], entry["properties"]["containerName"].lower())
            for key, entry in self.arm.estate.resources.items()
            if "/backupjobs/" in key and entry["properties"]["status"] != "Failed"
        ]
        return {"resources": found, "jobs": sorted(jobs)}

    def accepted(self) -> list[tuple[str, str, str]]:
        """Return method, path and body of each write that was not refused."""
        return [
            (seen.method, seen.path.lower(), json.dumps(seen.body, sort_keys=True))
            for seen in self.arm.mutations
            if 0 < seen.status < 300
        ]


_VOLATILE = {"etag", "lastbackuptime", "lastrecoverypoint", "creationtime", "lastupdatedtime", "extendedinfo"}


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(held) for name, held in value.items() if name.lower() not in _VOLATILE}
    return [_lasting(entry) for entry in value] if isinstance(value, list) else value


@cache
def planned(make: Callable[[], Wanting]) -> Plan:
    """Return the plan of an estate."""
    wanted = make()
    with (
        tempfile.TemporaryDirectory() as name,
        standing(with_views(wanted.built.resources), access="owner") as arm,
    ):
        arm.clock.set(datetime.fromisoformat(NOW))
        arm.clock.speed(0)
        return plan_and_failing(read(arm, Path(name)).inventory, wanted.settings(), **wanted.options)[0]


@contextmanager
def stood(make: Callable[[], Wanting], *, more: Iterable[Json] = (), **options: Any) -> Iterator[Standing]:
    """Yield a stand-in with an estate, an hour after a plan was made for it."""
    wanted, plan = make(), planned(make)
    options.setdefault("operation_seconds", 60)
    options.setdefault("access", "owner")
    options.setdefault("graph_at_once", False)
    resources = [*with_views(wanted.built.resources), *more]
    with tempfile.TemporaryDirectory() as name, standing(resources, **options) as arm:
        arm.clock.set(datetime.fromisoformat(NOW))
        arm.clock.speed(0)
        arm.clock.advance(3600)
        yield Standing(arm, plan, Path(name) / "plan.json.journal")
