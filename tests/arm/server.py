"""The server: TLS on 127.0.0.1, a loop in a thread of its own, faults on the wire, and what was asked."""

import asyncio
import socket
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from aiohttp import web

from arm import tls
from arm.access import Access, Principal
from arm.clock import Clock, stamp
from arm.compute import Compute
from arm.config_writes import ConfigWrites
from arm.discovery import Discovery
from arm.estate import Estate
from arm.faults import OF_ANSWERS, WIRE, Fault, spoiled
from arm.graph import Graph, Limits
from arm.identity import IDENTITY_SECRET, Identity
from arm.manager import Manager
from arm.operations import Operations
from arm.policy_writes import PolicyWrites
from arm.progress import Progress
from arm.protection import Protection
from arm.quota import PerSecond, Quota
from arm.reads import Reads
from arm.vault_reads import VaultReads
from arm.vault_writes import VaultWrites
from arm.web import Answer, Call, Seen
from arm.wire import broken, written
from arm.world import Settings, World


@dataclass
class Arm(Settings):
    """A stand-in for Azure Resource Manager, Resource Graph and the identity authority, while the ``with`` lasts.

    Attributes:
        estate: what is there; ``put`` and ``remove`` change it under way.
        quota: of Resource Graph's queries.
        limits: of Resource Graph's answers.
        access: what the first application may do, see ``Principal``.
        principals: further applications that can sign in.
        url: where it listens: as Resource Manager and as the authority.
        graph_at_once: Resource Graph takes in the estate when the server starts, and not with the first query.
        ca: the file with the certificate to trust.
        requests: what came, in the order in which it came.
        clock: the server's time.
    """

    estate: Estate
    quota: Quota = field(default_factory=Quota)
    limits: Limits = field(default_factory=Limits)
    access: str | Access = "reader"
    principals: tuple[Principal, ...] = ()
    graph_at_once: bool = True
    url: str = field(init=False, default="")
    ca: str = field(init=False, default="")
    requests: list[Seen] = field(init=False, default_factory=list)
    clock: Clock = field(init=False, default_factory=Clock)
    _faults: list[Fault] = field(init=False, default_factory=list)
    _errors: list[Exception] = field(init=False, default_factory=list)
    _started: float = field(init=False, default=0.0)

    def __enter__(self) -> Self:
        self.ca = str(tls.authority()[0])
        self._principal = Principal(access=self.access)
        known = {entry.client_id.lower(): entry for entry in (self._principal, *self.principals)}
        self._world = World(self.estate, self.clock, self, Operations())
        self._world.instance_views = PerSecond(self.instance_views_a_second)
        self._identity = Identity(self.estate, self.clock, known)
        self._graph = Graph(self.estate, self.clock, self.quota, self.limits)
        if self.graph_at_once:
            self._graph.open()
        kinds = (Reads, Compute, VaultReads, VaultWrites, ConfigWrites, PolicyWrites, Protection, Progress, Discovery)
        handlers = [kind(self._world) for kind in kinds]
        routes = [route for handler in handlers for route in handler.routes()]
        self._manager = Manager(self._world, self._identity, self._graph, routes)
        self._started = time.monotonic()
        ready: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="arm", daemon=True)
        self._thread.start()
        self.url = ready.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._graph.close()
        if self._errors and error is None:
            raise self._errors[0]

    def fault(self, fault: Fault) -> Fault:
        """Let something go wrong from now on; of two faults that a request would meet, the earlier takes it."""
        self._faults.append(fault)
        return fault

    def environment_of(self, principal: Principal) -> dict[str, str]:
        """Return the environment in which azure-identity signs an application in here."""
        return {
            "AZURE_AUTHORITY_HOST": self.url,
            "AZURE_TENANT_ID": self.estate.tenant,
            "AZURE_CLIENT_ID": principal.client_id,
            "AZURE_CLIENT_SECRET": principal.client_secret,
            "REQUESTS_CA_BUNDLE": self.ca,
            "AUDITOR_ARM_ENDPOINT": self.url,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    @property
    def environment(self) -> dict[str, str]:
        return self.environment_of(self._principal)

    @property
    def managed_identity(self) -> dict[str, str]:
        """The environment in which the first application is a managed identity, as on App Service."""
        return {
            "IDENTITY_ENDPOINT": f"{self.url}/msi/token",
            "IDENTITY_HEADER": IDENTITY_SECRET,
            "REQUESTS_CA_BUNDLE": self.ca,
            "AUDITOR_ARM_ENDPOINT": self.url,
            "NO_PROXY": "127.0.0.1",
        }

    def token(self, *, tenant: str = "", principal: Principal | None = None) -> str:
        """Return an access token without asking for it over the wire."""
        audience = "https://management.azure.com"
        return self._identity.issue(principal or self._principal, tenant or self.estate.tenant, audience)

    def token_lifetime(self, seconds: int) -> None:
        """Set how long tokens issued from now on count."""
        self._identity.lifetime = seconds

    def settle(self) -> None:
        """Finish the operations that are due, which the next request would do too."""
        with self.estate.lock:
            self._world.operations.settle(self.clock.time())

    @property
    def mutations(self) -> list[Seen]:
        """The requests with which something could have been changed."""
        return [seen for seen in self.requests if seen.mutating]

    @property
    def deletions(self) -> list[Seen]:
        """The requests to delete something: nothing that only remediates sends any."""
        return [seen for seen in self.requests if seen.method == "DELETE"]

    def _run(self, ready: Future[str]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[str]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._transports: set[asyncio.Transport] = set()
        runner = web.ServerRunner(web.Server(self._respond, access_log=None), shutdown_timeout=0.2)
        await runner.setup()
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(128)
            self._world.url = f"https://127.0.0.1:{listening.getsockname()[1]}"
            await web.SockSite(runner, listening, ssl_context=tls.context()).start()
            ready.set_result(self._world.url)
            await self._stop.wait()
            await runner.cleanup()
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0.001)

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; what goes wrong in the stand-in itself is raised where the ``with`` ends."""
        try:
            return await self._answered(request)
        except ConnectionError:  # the client went away
            raise
        except Exception as error:  # of any kind: a fault of the stand-in itself has to fail the test
            self._errors.append(error)
            raise

    async def _answered(self, request: web.BaseRequest) -> web.StreamResponse:
        arrived = time.monotonic()
        if request.transport is not None:
            self._transports.add(request.transport)
        raw = await request.read()
        call = Call(request.method, request.path, dict(request.query), request.headers, raw)
        place = len(self.requests)
        seen = Seen(
            call.method, call.path, call.query, call.loggable(), 0, arrived - self._started, call.seen_headers()
        )
        self.requests.append(seen)
        self.settle()
        fault = next((entry for entry in self._faults if entry.takes(call)), None)
        if fault is not None and fault.kind == "operation-failed":
            call.failure = fault.failure
        if fault is not None and fault.kind not in (*WIRE, *OF_ANSWERS, "operation-failed"):
            if fault.done:
                await self._manager.answer(call)
            answer = fault.answer(call, stamp(self.clock.now()))
        elif fault is not None and fault.kind in ("reset", "hang") and not fault.done:
            answer = Answer(0)
        else:
            answer = await self._manager.answer(call)
        if fault is not None and fault.kind in OF_ANSWERS:
            answer = spoiled(fault.kind, answer)
        await asyncio.sleep(max(self.latency - (time.monotonic() - arrived), 0.0))
        if fault is not None and fault.kind in WIRE:
            return await broken(request, fault.kind, answer, self.clock.now(), self._stop)
        self.requests[place] = replace(seen, status=answer.status)
        return written(answer, self.clock.now())
