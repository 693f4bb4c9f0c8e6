"""One request and its answer: repeated while that can help, and otherwise a failure that says why."""

import contextlib
import email.utils
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from auditor.azure.pace import Headers, StoppedError, Ticket, Timing, reads_left, retry_after
from auditor.azure.session import GRAPH_PATH, Session, sign_in_error, unreachable_hint
from auditor.errors import AzureError
from auditor.text import visible

if TYPE_CHECKING:
    from azure.core.rest import HttpRequest

T = TypeVar("T")

GRAPH_VERSION = "2021-03-01"
# How often a request is sent again. Azure throttles for longer than it is broken.
_TRIES = 6
_THROTTLED_TRIES = 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 16.0  # seconds
_LONGEST_WAIT, _LONGEST_THROTTLED = 300.0, 900.0
# Some providers say how long to wait in words only: "Please try again after '17' seconds."
_SECONDS = re.compile(r"after '?(\d{1,4})'? seconds")
# Some answers repeat what they were sent: a token is nobody's to see.
_SECRET = re.compile(r"(?i:bearer)\s+\S+|eyJ[\w-]{6,}(\.[\w-]*){0,2}")
_OK = (200,)
_WHOLE_SECONDS = 2.0  # Azure tells whole seconds, a while ago
_SHOWN = 300  # characters of what Azure says


class Pace(Protocol):
    """Who may ask when."""

    def enter(self) -> Ticket:
        """Wait for leave to ask."""

    def leave(self, ticket: Ticket, headers: Headers, *, throttled: bool) -> None:
        """Take in what an answer told."""

    def lost(self, ticket: Ticket) -> None:
        """Note that no answer came."""


class Answer(NamedTuple):
    """An answer that could be used: its headers, its body as it came, what was read off it, and its status."""

    headers: Headers
    body: bytes
    content: Any
    status: int = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that got no usable answer, although it was repeated where that could help.

    Attributes:
        status: of HTTP; 0 when there was no answer at all.
        code: Azure's own, such as ``AuthorizationFailed``, or a word of ours.
        message: what Azure says, on one line.
        wait: seconds that it asks to wait, where it says so.
    """

    status: int
    code: str
    message: str
    wait: float | None = None

    @property
    def refused(self) -> bool:
        """Whether Azure would answer somebody else, or later."""
        return self.status in (401, 403)

    def __str__(self) -> str:
        """Say it in words."""
        said = f": {self.message}" if self.message else ""
        return f"{self.code}{f' ({self.status})' if self.status else ''}{said}"


class Unusable(ValueError):
    """An answer with status 200 that is none: it was cut off, or is not what was asked for. Asking again may help."""


class Caller:
    """Sends requests of one session.

    Attributes:
        session: who asks.
        timing: the clock.
        skew: seconds by which the last answer's ``Date`` was ahead of the local clock; ``None`` before there was one.
        sent: how many requests were sent, repeated ones counted.
        reads_left: how many reads Resource Manager said last are left.
    """

    def __init__(self, session: Session, timing: Timing, wall_clock: Callable[[], float]) -> None:
        """Begin with nothing asked.

        Args:
            session: who asks.
            timing: the clock.
            wall_clock: seconds since 1970 UTC, to compare with Azure's.
        """
        self.session = session
        self.timing = timing
        self.skew: float | None = None
        self.sent = 0
        self.reads_left: int | None = None
        self._wall_clock = wall_clock
        self._reached = False

    @property
    def azure_time(self) -> float:
        """Azure's time, in seconds since 1970 UTC: this machine's, where the two differ by no more than can be told."""
        skew = self.skew or 0.0
        return self._wall_clock() + (skew if abs(skew) > _WHOLE_SECONDS else 0.0)

    def get(
        self,
        path: str,
        version: str,
        pace: Pace,
        read: Callable[[bytes], Any] = msgspec.json.decode,
        accept: Collection[int] = _OK,
        **query: str,
    ) -> Answer | Failure:
        """Get a resource or a list, by its path or by the ``nextLink`` of an answer; what is read has to be ``accept``.

        Raises:
            AzureError: nothing at all could be reached, or nobody is signed in any more.
            StoppedError: somebody asked to stop.
        """
        from azure.core.rest import HttpRequest  # noqa: PLC0415 -- slow to import

        endpoint = self.session.cloud.endpoint
        if path.startswith("https://"):
            return self._ask(lambda: HttpRequest("GET", path), pace, read, accept)
        parameters = {"api-version": version, **query}
        url = endpoint + quote(path, safe="/")
        return self._ask(lambda: HttpRequest("GET", url, params=parameters), pace, read, accept)

    def send(self, method: str, path: str, version: str, body: dict[str, Any] | None, pace: Pace) -> Answer | Failure:
        """Send a request that changes something, once, whatever comes of it.

        Returns:
            An answer with a status of 200 to 202, without content: its headers tell where to ask on, also where its
            body was lost. Else why there is none.

        Raises:
            StoppedError: somebody asked to stop, and nothing was sent.
        """
        from azure.core import exceptions  # noqa: PLC0415 -- slow to import
        from azure.core.rest import HttpRequest  # noqa: PLC0415

        url = self.session.cloud.endpoint + quote(path, safe="/")
        request = HttpRequest(method, url, params={"api-version": version}, json=body)
        ticket = pace.enter()
        self.sent += 1
        try:
            response = self.session.client.send_request(request, stream=True)
        except exceptions.ClientAuthenticationError as error:
            pace.lost(ticket)
            raise sign_in_error(error, self.session.cloud) from error
        except exceptions.AzureError as error:
            pace.lost(ticket)
            return _no_answer(error)
        pace.leave(ticket, response.headers, throttled=response.status_code == 429)
        with contextlib.closing(response):
            try:
                content = response.read()
            except exceptions.AzureError:
                content = b""
        if response.status_code in (200, 201, 202):
            return Answer(response.headers, content, None, response.status_code)
        return _failure(response.status_code, content, response.headers)

    def ask(
        self, path: str, version: str, body: dict[str, Any], pace: Pace, read: Callable[[bytes], Any]
    ) -> Answer | Failure:
        """Ask a question that Azure takes by POST and that changes nothing; raises as ``get`` does."""
        from azure.core.rest import HttpRequest  # noqa: PLC0415 -- slow to import

        url = self.session.cloud.endpoint + quote(path, safe="/")
        return self._ask(lambda: HttpRequest("POST", url, params={"api-version": version}, json=body), pace, read)

    def query(self, body: dict[str, Any], pace: Pace, read: Callable[[bytes], Any]) -> Answer | Failure:
        """Ask Resource Graph; raises as ``get`` does."""
        from azure.core.rest import HttpRequest  # noqa: PLC0415 -- slow to import

        url = self.session.cloud.endpoint + GRAPH_PATH
        return self._ask(lambda: HttpRequest("POST", url, params={"api-version": GRAPH_VERSION}, json=body), pace, read)

    def _ask(
        self,
        request: "Callable[[], HttpRequest]",
        pace: Pace,
        read: Callable[[bytes], T],
        accept: Collection[int] = _OK,
    ) -> Answer | Failure:
        """Send a request until it has an answer that can be used, or it makes no sense to go on."""
        tries = throttled = signed_out = 0
        waited = 0.0
        while True:
            got = self._once(request(), pace, read, accept)
            if isinstance(got, Answer):
                return got
            failure = got
            if failure.status == 401:
                signed_out += 1
                if signed_out > 1:
                    raise AzureError(f"Azure does not accept the identity: {failure}", _hint(failure))
            elif failure.status == 429:
                throttled += 1
                if throttled >= _THROTTLED_TRIES or waited > _LONGEST_THROTTLED:
                    return failure
            elif failure.status in (0, 408, 500, 502, 503, 504) or failure.code == _UNUSABLE:
                tries += 1
                # The first host that cannot be reached is the network's fault; nobody wants to wait for it.
                if tries >= (_TRIES if self._reached else 2):
                    if not self._reached:
                        raise AzureError(f"cannot reach {self.session.cloud.endpoint}: {failure}", unreachable_hint())
                    return failure
            else:
                return failure
            pause = failure.wait
            if pause is None:
                pause = min(_FIRST_PAUSE * 2 ** (tries + throttled - 1), _LONGEST_PAUSE) if tries + throttled else 0.0
            waited += pause
            if self.timing.wait(pause):
                raise StoppedError

    def _once(
        self, request: "HttpRequest", pace: Pace, read: Callable[[bytes], T], accept: Collection[int]
    ) -> Answer | Failure:
        from azure.core import exceptions  # noqa: PLC0415 -- slow to import

        ticket = pace.enter()
        self.sent += 1
        try:
            response = self.session.client.send_request(request)
            body = response.read()
        except exceptions.ClientAuthenticationError as error:
            pace.lost(ticket)
            raise sign_in_error(error, self.session.cloud) from error
        except exceptions.AzureError as error:
            pace.lost(ticket)
            return _no_answer(error)
        headers, status, body = response.headers, response.status_code, body.removeprefix(b"\xef\xbb\xbf")
        pace.leave(ticket, headers, throttled=status == 429)
        self._reached = True
        self._look_at_clock(headers)
        left = reads_left(headers)
        self.reads_left = left if left is not None else self.reads_left
        if status not in accept:
            return _failure(status, body, headers)
        try:
            return Answer(headers, body, read(body), status)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Unusable) as error:
            return Failure(status, _UNUSABLE, _shown(str(error)), retry_after(headers))

    def _look_at_clock(self, headers: Headers) -> None:
        told = email.utils.parsedate_tz(headers.get("Date", ""))
        if told is not None:
            with contextlib.suppress(ValueError, OverflowError):
                self.skew = email.utils.mktime_tz(told) - self._wall_clock()


_UNUSABLE = "an answer that could not be used"


class _Error(msgspec.Struct, frozen=True):
    code: Any = ""
    message: Any = ""
    details: Any = None


class _Body(msgspec.Struct, frozen=True):
    error: _Error | None = None
    code: Any = ""
    message: Any = ""


def _no_answer(error: Exception) -> Failure:
    what = next(iter(str(error).splitlines()), "")
    return Failure(0, "no answer", _shown(what or type(error).__name__))


def _failure(status: int, body: bytes, headers: Headers) -> Failure:
    """Read ARM's error: ``{"error": {"code", "message", "details"}}``, by some providers without its wrapper."""
    try:
        said = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Failure(status, "an answer that is no error of Azure's", "", retry_after(headers))
    error = said.error if said.error is not None else _Error(said.code, said.message)
    code, message = str(error.code or "an error without a code"), str(error.message or "")
    # Resource Graph says what is wrong only in the details.
    details = error.details if isinstance(error.details, list) and status == 400 else []
    for entry in details:
        if isinstance(entry, dict) and isinstance(entry.get("code"), str) and entry["code"] not in code:
            code += f" / {entry['code']}"
    wait = retry_after(headers)
    if wait is None and (told := _SECONDS.search(message)) is not None:
        wait = min(float(told[1]), _LONGEST_WAIT)
    return Failure(status, _shown(code), _shown(message), wait)


def _shown(text: str) -> str:
    line = visible(_SECRET.sub("(a token)", " ".join(text[:100_000].split())))
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def _hint(failure: Failure) -> str:
    if "Tenant" in failure.code:
        return "The subscription is in another tenant: sign in to it with --tenant."
    return "Sign in again; what auditor collect has read so far is kept."
