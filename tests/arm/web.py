"""Requests as handlers see them, answers, and Azure's error bodies."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from arm.access import Principal
from arm.ids import Json

# Headers of a request that are kept for assertions: never one that could hold a secret.
_SECRET_HEADERS = {"authorization", "x-identity-header", "cookie"}
_SECRET_FIELDS = {"client_secret", "client_assertion"}


@dataclass(frozen=True)
class Seen:
    """A request that came, with the status of its answer: 0 when the connection was cut or still hangs.

    ``at`` is in seconds since the server started; ``body`` is JSON, a form's fields without secrets, or ``None``.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    status: int
    at: float
    headers: Mapping[str, str]

    @property
    def mutating(self) -> bool:
        """Whether Azure could have changed something: not a read, a query, a sign-in or a question put by POST."""
        questions = ("/providers/microsoft.resourcegraph/", "/oauth2/", "/backupstatus", "/backupprevalidateprotection")
        path = self.path.lower()
        asks = any(entry in path for entry in (*questions, "/backupvalidatefeatures", "/checknameavailability"))
        return self.method in ("PUT", "PATCH", "DELETE") or (self.method == "POST" and not asks)


@dataclass
class Call:
    """A request on its way through the server; ``names`` are the parts of its path that the route names.

    ``failure`` is what shall become of the operation that the request starts.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    names: Mapping[str, str] = field(default_factory=dict)
    principal: Principal = field(default_factory=Principal)
    tenant: str = ""
    failure: tuple[str, str] | None = None

    @property
    def version(self) -> str:
        """The api-version, empty when the request has none."""
        return next((value for name, value in self.query.items() if name.lower() == "api-version"), "")

    def json(self) -> Json:
        """Return the body.

        Raises:
            Refused: it is not a JSON object.
        """
        try:
            body = json.loads(self.raw or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise refused(
                400, "InvalidRequestContent", "The request content was invalid and could not be deserialized."
            )
        return body

    def loggable(self) -> object:
        """Return the body as it is kept for assertions."""
        if self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            return {name: value for name, value in self.form().items() if name not in _SECRET_FIELDS}
        try:
            return json.loads(self.raw) if self.raw else None
        except ValueError:
            return self.raw.decode("utf-8", "replace")

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw.decode("utf-8", "replace")))

    def seen_headers(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.lower() not in _SECRET_HEADERS}


@dataclass
class Answer:
    """What goes back; ``body`` is JSON, or bytes that are sent as they are. ``late`` adds headers just before."""

    status: int = 200
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    late: Callable[[], Mapping[str, str]] | None = None

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def refused(status: int, code: str, message: str, **more: object) -> Refused:
    return Refused(error(status, code, message, **more))


def error(status: int, code: str, message: str, **more: object) -> Answer:
    """Return Resource Manager's error; ``more`` stands beside code and message."""
    return Answer(status, {"error": {"code": code, "message": message, **more}})


def provider_error(status: int, code: str, message: str) -> Refused:
    """Return an error as Recovery Services writes it."""
    return refused(status, code, message, target=None, details=None, innerError=None)


def graph_error(status: int, code: str, details: Sequence[Mapping[str, object]], when: str) -> Answer:
    """Return an error as Resource Graph writes it."""
    message = f"Please provide below info when asking for support: timestamp = {when}, correlationId = {uuid.uuid4()}."
    return error(status, code, message, details=details)
