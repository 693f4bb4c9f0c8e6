"""Steps of a plan -> Azure: the only requests that change anything, each sent once, and what became of them."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from auditor.azure.calls import Answer, Caller, Failure
from auditor.azure.lists import read_list
from auditor.azure.pace import Headers, Rate, StoppedError, retry_after
from auditor.azure.questions import backup_status, subscription_of
from auditor.azure.session import origin_of
from auditor.remediation import requests
from auditor.remediation.actuator import Accepted, Ended, Job, Operation, Refusal, Stopped
from auditor.remediation.model import Request
from auditor.text import fold, visible
from auditor.timestamps import parse_time

Json = dict[str, Any]
# Azure says "250 at once and 25 a second" for reads and "200 and 10 a second" for writes of a subscription:
# https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
READS_PER_SECOND, WRITES_PER_SECOND = 20.0, 8.0
_FIRST_POLL, _LONGEST_POLL = 4.0, 60.0  # seconds until an operation is asked about, where Azure does not say
_LONGEST_OPERATION = 7200.0
_LOOKS = 3  # until an answer that is none of Resource Manager's counts
_DAY = 86_400


class _Detail(msgspec.Struct, frozen=True):
    code: Any = msgspec.field(name="errorCode", default="")
    title: Any = msgspec.field(name="errorTitle", default="")
    text: Any = msgspec.field(name="errorString", default="")


class _JobProperties(msgspec.Struct, frozen=True):
    status: Any = ""
    started: Any = msgspec.field(name="startTime", default="")
    container: Any = msgspec.field(name="containerName", default="")
    errors: Any = msgspec.field(name="errorDetails", default=None)


class _Job(msgspec.Struct, frozen=True):
    name: str
    properties: _JobProperties = _JobProperties()


class _Status(msgspec.Struct, frozen=True):
    status: Any = ""
    error: Any = None
    properties: Any = None


class ArmActuator:
    """Resource Manager, as far as applying a plan goes."""

    def __init__(
        self,
        caller: Caller,
        reads_per_second: float = READS_PER_SECOND,
        writes_per_second: float = WRITES_PER_SECOND,
        first_poll: float = _FIRST_POLL,
        longest_operation: float = _LONGEST_OPERATION,
    ) -> None:
        """Begin with nothing sent.

        Args:
            caller: who asks; its session lets through the requests of the plan.
            reads_per_second: of one subscription.
            writes_per_second: of one subscription.
            first_poll: seconds between questions about an operation, at first.
            longest_operation: seconds after which the end of an operation is not waited for any more.
        """
        self._caller = caller
        self._reads: defaultdict[str, Rate] = defaultdict(lambda: Rate(reads_per_second, caller.timing))
        self._writes: defaultdict[str, Rate] = defaultdict(lambda: Rate(writes_per_second, caller.timing))
        self._first_poll = first_poll
        self._longest = longest_operation

    def look(self, path: str, api_version: str) -> Json | Refusal | None:
        """Get a resource; ``None`` where there is none."""
        refused = Refusal(404, "NoAnswer", "")
        for _ in range(_LOOKS):
            got = self._get(path, api_version, msgspec.json.Decoder(dict[str, Any]).decode)
            if isinstance(got, Answer):
                content: Json = got.content
                return content
            if got.status != 404:
                return got
            if "notfound" in got.code.lower():
                return None
            refused = got  # a proxy says 404, too: only Resource Manager's own word is one
            self.pause(self._first_poll)
        return refused

    def send(self, request: Request) -> Accepted | Refusal:
        """Send a request once, whatever comes of it."""
        pace = self._writes[subscription_of(request.path)]
        try:
            got = self._caller.send(request.method, request.path, request.api_version, request.body, pace)
        except StoppedError as error:
            raise Stopped from error
        if isinstance(got, Failure):
            return _refusal(got)
        return Accepted(got.status, _operation(got.headers))

    def follow(self, operation: Operation) -> Ended | Refusal | None:
        """Wait for the end of an operation, as its own addresses tell it.

        https://learn.microsoft.com/azure/azure-resource-manager/management/async-operations
        """
        url = operation.status or operation.result
        if not url:
            return Ended()
        endpoint = self._caller.session.cloud.endpoint
        url = f"{endpoint}{url}" if url.startswith("/") else url
        if origin_of(url) != origin_of(endpoint):  # who has this token must be Azure
            return Refusal(0, "AnotherHost", f"Azure says to ask {visible(url)[:100]}")
        began = self._caller.timing.now()
        while True:
            got = self._get(url, "", _status_of, accept=(200, 201, 202, 204))
            if isinstance(got, Refusal):
                return _end_of_refusal(got, by_status=bool(operation.status))
            if got.status == 200 and operation.status and got.content is None:
                return Refusal(404, "NoStatus", "the operation says nothing")  # its target has to
            ended = _end(got, by_status=bool(operation.status))
            if ended is not None:
                return ended
            waited = self._caller.timing.now() - began
            if waited >= self._longest:
                return None
            told = retry_after(got.headers)
            self.pause(told or max(self._first_poll, min(waited / 20, _LONGEST_POLL)))

    def protection_of(self, vm_id: str, location: str) -> str | Refusal:
        """Return the id of the vault that protects a VM, whosever it is; empty where none does."""
        pace = self._reads[subscription_of(vm_id)]
        try:
            got = backup_status(self._caller, vm_id, location, pace)
        except StoppedError as error:
            raise Stopped from error
        if isinstance(got, Failure):
            return _refusal(got)
        return (visible(str(got.vault)) or "a vault that Azure does not name") if got.protected else ""

    def backups_of(self, item_id: str, since: float) -> list[Job] | Refusal:
        """Return the backups of an item that began at some time or later, the latest first."""
        vault = "/".join(item_id.split("/")[:9])
        container = fold(item_id.rpartition("/")[2].partition(";")[2])
        wanted = (
            f"operation eq 'Backup' and backupManagementType eq 'AzureIaasVM' and startTime eq '{_moment(since)}' "
            f"and endTime eq '{_moment(self.now() + _DAY)}'"
        )
        pace = self._reads[subscription_of(vault)]
        path = f"{vault}/backupJobs"
        try:
            found = read_list(self._caller, path, requests.BACKUP_VERSION, pace, _Job, filter=wanted)
        except StoppedError as error:
            raise Stopped from error
        if isinstance(found, Failure):
            return _refusal(found)
        jobs = [_job(entry) for entry in found if fold(str(entry.properties.container)).endswith(container)]
        return sorted((job for job in jobs if job.started >= since), key=lambda job: -job.started)

    def job(self, vault_id: str, name: str) -> Job | Refusal:
        """Return one job of a vault."""
        path = f"{vault_id}/backupJobs/{name}"
        got = self._get(path, requests.BACKUP_VERSION, msgspec.json.Decoder(_Job).decode)
        return got if isinstance(got, Refusal) else _job(got.content)

    def pause(self, seconds: float) -> None:
        """Wait."""
        if self._caller.timing.wait(seconds):
            raise Stopped

    def now(self) -> float:
        """Return Azure's time, in seconds since 1970 UTC."""
        return self._caller.azure_time

    def elapsed(self) -> float:
        """Return seconds that never go backwards, to wait by."""
        return self._caller.timing.now()

    def _get(
        self, path: str, version: str, read: Callable[[bytes], Any], accept: tuple[int, ...] = (200,)
    ) -> Answer | Refusal:
        endpoint = self._caller.session.cloud.endpoint
        pace = self._reads[subscription_of(path.removeprefix(endpoint).partition("?")[0])]
        try:
            got = self._caller.get(path, version, pace, read, accept)
        except StoppedError as error:
            raise Stopped from error
        return _refusal(got) if isinstance(got, Failure) else got


def _refusal(failure: Failure) -> Refusal:
    return Refusal(failure.status, failure.code, failure.message, failure.wait)


def _operation(headers: Headers) -> Operation:
    return Operation(headers.get("Azure-AsyncOperation", ""), headers.get("Location", ""))


def _status_of(body: bytes) -> _Status | None:
    return msgspec.json.decode(body, type=_Status) if body.strip() else None


def _end(answer: Answer, *, by_status: bool) -> Ended | None:
    """Read how far an operation is; ``None`` where it goes on.

    A status says it in its body, a result by being 202 until it is done; 204 is the end of either.
    """
    said: _Status | None = answer.content
    if answer.status == 204:
        return Ended()
    if not by_status or said is None:
        return None if answer.status == 202 or (by_status and said is None) else Ended()
    word = str(said.status).lower()
    job = str(said.properties.get("jobId") or "") if isinstance(said.properties, dict) else ""
    if word == "succeeded":
        return Ended(job=job)
    if word in ("failed", "canceled", "cancelled"):
        error = said.error if isinstance(said.error, dict) else {"message": said.error}
        code = visible(str(error.get("code") or f"Operation{word.title()}"))[:100]
        return Ended(Refusal(answer.status, code, visible(str(error.get("message") or ""))[:300]), job)
    return None


def _end_of_refusal(refusal: Refusal, *, by_status: bool) -> Ended | Refusal:
    """Read a refusal of whoever was asked: of a result, it says why the operation failed."""
    if not by_status and refusal.status in (400, 409):
        return Ended(refusal)
    return refusal


def _job(job: _Job) -> Job:
    properties = job.properties
    started = (parse_time(str(properties.started)) or 0) / 1_000_000
    details = properties.errors if isinstance(properties.errors, list) and properties.errors else []
    error = None
    if details and isinstance(details[0], dict):
        detail = msgspec.convert(details[0], _Detail)
        error = Refusal(0, visible(str(detail.title or detail.code))[:100], visible(str(detail.text))[:300])
    return Job(visible(job.name), str(properties.status), started, error)


def _moment(seconds: float) -> str:
    """Write a time as filters of jobs take it: https://learn.microsoft.com/rest/api/backup/backup-jobs/list."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %I:%M:%S %p}"
