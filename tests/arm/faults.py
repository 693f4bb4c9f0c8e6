"""Faults on demand: which request meets one, and what becomes of its answer."""

import json
import re
from dataclasses import dataclass, field
from typing import Literal

from arm.web import Answer, Call, error, graph_error

Kind = Literal[
    "429",
    "429-no-retry-after",
    "500",
    "502",
    "503",
    "504",
    "reset",
    "cut",
    "not-json",
    "hang",
    "401",
    "403",
    "404",
    "404-of-a-proxy",
    "409-busy",
    "409-not-registered",
    "truncated",
    "short",
    "payload-too-large",
    "operation-failed",
]
# What is done to the connection or to an answer that was right, rather than said by an answer.
WIRE = ("reset", "cut", "hang", "not-json")
OF_ANSWERS = ("truncated", "short")
_GRAPH = "/providers/microsoft.resourcegraph/"


@dataclass
class Fault:
    """Something that goes wrong.

    Attributes:
        match: method and the beginning of the path, ``GET /subscriptions/``, in any case; after ``~`` a regular
            expression that is searched for in ``METHOD path``.
        kind: what goes wrong; a name that begins with a number is the status.
        after: so many requests that match are answered well first.
        times: so many are not, ``None`` for all from then on.
        body: a text that the request's body must contain.
        retry_after: the seconds that Retry-After says where the kind has it.
        done: the request takes effect before its answer is lost.
        failure: code and message of ``operation-failed``: the request is accepted, and what it started fails.
    """

    match: str
    kind: Kind
    after: int = 0
    times: int | None = 1
    body: str = ""
    retry_after: int = 1
    done: bool = False
    failure: tuple[str, str] = (
        "UserErrorGuestAgentStatusUnavailable",
        "VM Agent is unable to communicate with the Azure Backup Service.",
    )
    met: int = field(default=0, init=False)

    def takes(self, call: Call) -> bool:
        """Count a request if it matches, and say whether it meets the fault."""
        line = f"{call.method} {call.path}"
        if self.match.startswith("~"):
            matches = re.search(self.match[1:], line, re.IGNORECASE) is not None
        else:
            matches = line.lower().startswith(self.match.lower())
        if not matches or self.body not in call.raw.decode("utf-8", "replace"):
            return False
        self.met += 1
        return self.met > self.after and (self.times is None or self.met <= self.after + self.times)

    def answer(self, call: Call, when: str) -> Answer:
        """Return the answer that says what is wrong."""
        graph = call.path.lower().startswith(_GRAPH)
        match self.kind:
            case "429" | "429-no-retry-after":
                made = _throttled(graph=graph, when=when, seconds=self.retry_after)
                if self.kind == "429":
                    made.headers["Retry-After"] = str(self.retry_after)
                return made
            case "500":
                return error(500, "InternalServerError", "Encountered internal server error.")
            case "502":
                return error(502, "InvalidGatewayHost", "The gateway could not reach the resource provider.")
            case "503":
                made = error(503, "ServiceUnavailable", "The service is unavailable.")
                made.headers["Retry-After"] = str(self.retry_after)
                return made
            case "504":
                return error(
                    504, "GatewayTimeout", "The gateway did not receive a response within the specified time period."
                )
            case "401":
                made = error(401, "InvalidAuthenticationToken", "The access token is invalid.")
                made.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
                return made
            case "403" if graph:
                message = "Access is denied to the requested resource. The user might not have enough permission."
                return graph_error(403, "AccessDenied", [{"code": "AccessDenied", "message": message}], when)
            case "403":
                kind, verb = _type_of(call.path), "read" if call.method == "GET" else "write"
                return forbidden(call.principal.client_id, call.principal.object_id, f"{kind}/{verb}", call.path)
            case "404-of-a-proxy":
                return Answer(404, b"<html>Not Found</html>", {"Content-Type": "text/html"})
            case "409-busy":
                return error(409, "BMSUserErrorObjectLocked", "Another operation is in progress on the selected item.")
            case "409-not-registered":
                return not_registered(_type_of(call.path).partition("/")[0])
            case "payload-too-large":
                return too_large(17254398, 16777216, when)
            case _:
                return error(404, "ResourceNotFound", f"The Resource '{call.path}' was not found.")


def spoiled(kind: str, answer: Answer) -> Answer:
    """Return a page of Resource Graph that keeps rows back and gives no token to get them with."""
    body = json.loads(answer.encoded())
    if not isinstance(body, dict) or "data" not in body:
        return answer
    more = body.pop("$skipToken", None) is not None
    rows = body["data"]["rows"] if isinstance(body["data"], dict) else body["data"]
    if not more and rows:
        rows.pop()
        body["count"] -= 1
    body["resultTruncated"] = "true" if kind == "truncated" else "false"
    return Answer(answer.status, body, answer.headers, answer.late)


def _type_of(path: str) -> str:
    """``.../providers/Microsoft.X/a/1/b/2`` -> ``Microsoft.X/a/b``."""
    parts = path.rpartition("/providers/")[2].strip("/").split("/")
    return "/".join([parts[0], *parts[1::2]])


def _throttled(*, graph: bool, when: str, seconds: int) -> Answer:
    if graph:
        return rate_limiting(when)
    return error(
        429,
        "ResourceRequestsThrottled",
        f"Number of requests exceeded the limit for time interval '01:00:00'. Please try again after '{seconds}' "
        "seconds.",
    )


def rate_limiting(when: str) -> Answer:
    message = (
        "Client application has been throttled and should not attempt to repeat the request until an amount of time "
        "has elapsed. Please see https://aka.ms/resourcegraph-throttling for help."
    )
    return graph_error(429, "RateLimiting", [{"code": "RateLimiting", "message": message}], when)


def too_large(size: int, limit: int, when: str) -> Answer:
    message = (
        f"Response payload size is {size}, and has exceeded the limit of {limit}. Please consider querying less data "
        "at a time and make paginated call if needed."
    )
    return graph_error(400, "BadRequest", [{"code": "ResponsePayloadTooLarge", "message": message}], when)


def forbidden(client: str, oid: str, action: str, scope: str) -> Answer:
    return error(
        403,
        "AuthorizationFailed",
        f"The client '{client}' with object id '{oid}' does not have authorization to perform action '{action}' over "
        f"scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
    )


def not_registered(namespace: str) -> Answer:
    message = (
        f"The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how "
        "to register subscriptions."
    )
    details = [{"code": "MissingSubscriptionRegistration", "target": namespace, "message": message}]
    return error(409, "MissingSubscriptionRegistration", message, details=details)


def linked_forbidden(client: str, oid: str, may: tuple[str, str], may_not: tuple[str, str]) -> Answer:
    """Return the refusal of a write that also needs a right on the resource that it links to."""
    return error(
        403,
        "LinkedAuthorizationFailed",
        f"The client '{client}' with object id '{oid}' has permission to perform action '{may[0]}' on scope "
        f"'{may[1]}'; however, it does not have permission to perform action(s) '{may_not[0]}' on the linked scope(s) "
        f"'{may_not[1]}' (respectively) or the linked scope(s) are invalid.",
    )
