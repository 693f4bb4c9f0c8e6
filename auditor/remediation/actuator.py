"""What applying a plan needs of Azure, and no more: to look, to send one request once, to follow what it started."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from auditor.remediation.model import Request

Json = dict[str, Any]


class Stopped(Exception):
    """Somebody asked to stop: nothing was sent that is not noted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none of those hoped for, or none at all.

    Attributes:
        status: of HTTP; 0 where no answer came.
        code: Azure's own, such as ``AuthorizationFailed``, or a word of ours.
        message: what Azure says, on one line.
        wait: seconds that it asks to wait, where it says so.
    """

    status: int
    code: str
    message: str
    wait: float | None = None

    @property
    def unclear(self) -> bool:
        """Whether what was sent may have been done: no answer came, or not from whoever does it."""
        return self.status in (0, 408) or self.status >= 500 or 200 <= self.status < 300

    @property
    def busy(self) -> bool:
        """Whether nothing was done and the same may work later: throttled, or something else is under way."""
        return self.status == 429 or any(word in self.code for word in _UNDER_WAY)

    def __str__(self) -> str:
        """Say it on one line."""
        said = f": {self.message}" if self.message else ""
        return f"{self.code}{f' ({self.status})' if self.status else ''}{said}"


# Parts of Azure's codes for "one thing at a time", of the backup service and of Resource Manager. No list of them is
# known to us: a code that is missing here fails its step, which the next run looks at again.
_UNDER_WAY = (
    "ObjectLocked",
    "OperationInProgress",
    "ConcurrentOperation",
    "ConflictingOperation",
    "ConflictingUserInput",
    "RetryableError",
)


class Operation(NamedTuple):
    """Where to ask what became of a request; both addresses are empty where it was done at once.

    Attributes:
        status: ``Azure-AsyncOperation``, whose body says how far it is.
        result: ``Location``, whose status says whether it is done.
    """

    status: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that Azure took.

    Attributes:
        code: of HTTP.
        operation: what it started.
    """

    code: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an operation.

    Attributes:
        failure: why it failed, ``None`` where it succeeded.
        job: the name of the backup job that it is, or started; may be empty.
    """

    failure: Refusal | None = None
    job: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a vault.

    Attributes:
        name: its id within the vault.
        status: ``InProgress``, ``Completed``, ``Failed``, ...
        started: seconds since 1970 UTC, by Azure's clock.
        error: its code and message, where it failed.
    """

    name: str
    status: str
    started: float
    error: Refusal | None = None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self.status.lower() in ("inprogress", "cancelling")

    @property
    def succeeded(self) -> bool:
        """Whether it left a recovery point."""
        return self.status.lower() in ("completed", "completedwithwarnings")


class Actuator(Protocol):
    """Azure, as far as applying a plan goes. Every method raises ``Stopped`` where somebody asked to stop."""

    def look(self, path: str, api_version: str) -> Json | Refusal | None:
        """Get a resource; ``None`` where there is none."""

    def send(self, request: Request) -> Accepted | Refusal:
        """Send a request once, whatever comes of it."""

    def follow(self, operation: Operation) -> Ended | Refusal | None:
        """Wait for the end of an operation.

        Returns:
            Its end; a refusal where nobody could be asked about it; ``None`` where it did not end in the longest time.
        """

    def protection_of(self, vm_id: str, location: str) -> str | Refusal:
        """Return the id of the vault that protects a VM, whosever it is; empty where none does."""

    def backups_of(self, item_id: str, since: float) -> list[Job] | Refusal:
        """Return the backups of an item that began at some time or later, the latest first."""

    def job(self, vault_id: str, name: str) -> Job | Refusal:
        """Return one job of a vault."""

    def pause(self, seconds: float) -> None:
        """Wait."""

    def now(self) -> float:
        """Return Azure's time, in seconds since 1970 UTC."""

    def elapsed(self) -> float:
        """Return seconds that never go backwards, to wait by."""
