"""Who asks, in which cloud: credentials, tokens, and the pipeline that every request goes through.

Reading cannot write. The pipeline lets GETs and queries of Resource Graph through and nothing else, but for the very
requests of a plan that somebody agreed to; and the policy of the SDK that registers resource providers by itself is not
in it.
"""

import base64
import binascii
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import msgspec

from auditor import __version__
from auditor.arm_id import is_subscription_id
from auditor.azure.clouds import Cloud
from auditor.declared.config import Login
from auditor.errors import AuditorError, AzureError, UsageError
from auditor.text import fold

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential
    from azure.mgmt.core import ARMPipelineClient

GRAPH_PATH = "/providers/Microsoft.ResourceGraph/resources"

_SOON = 25.0  # seconds within which somebody must be signed in
_CONNECT, _READ = 8, 120  # seconds to be connected, and to get the next bytes of an answer
_ORIGIN = re.compile(
    r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?(?=[/?]|\Z)", re.IGNORECASE | re.ASCII
)
_TENANT = re.compile(r"[A-Za-z0-9.-]{1,200}")
_SIGN_IN = "Sign in (az login), or choose how with --login; auditor doctor tells more."


class _Credential(Protocol):
    def get_token(self, *scopes: str, **options: Any) -> "AccessToken": ...  # noqa: ANN401 -- the SDK's own


class _Claims(msgspec.Struct, frozen=True):
    """What a token says of its bearer. It is only told, never relied on: Azure checks it."""

    tid: str = ""
    oid: str = ""
    appid: str = ""
    upn: str = ""
    unique_name: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Attributes:
        tenant: id of the tenant that the token is for; empty when the token does not say.
        name: a user's name or an application's id, and the object id.
    """

    tenant: str
    name: str


class Session:
    """A cloud and somebody signed in to it.

    Attributes:
        cloud: the cloud.
        identity: who asks.
        client: sends requests; ``azure.mgmt.core.ARMPipelineClient``.
    """

    def __init__(self, cloud: Cloud, identity: Identity, client: "ARMPipelineClient[Any, Any]") -> None:
        """Keep what ``open_session`` made."""
        self.cloud = cloud
        self.identity = identity
        self.client = client

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def open_session(
    cloud: Cloud,
    login: Login = "default",
    tenant: str | None = None,
    client_id: str = "",
    questions: re.Pattern[str] | None = None,
    writes: Collection[tuple[str, str]] = frozenset(),
) -> Session:
    """Sign in.

    Args:
        cloud: where.
        login: how; ``default`` tries what azure-identity's DefaultAzureCredential does, in its order.
        tenant: id or domain of the tenant to sign in to; the identity's own when ``None``.
        client_id: of a user-assigned managed identity.
        questions: paths that may be sent POSTs, because they change nothing; none by default.
        writes: methods and folded paths that may be sent, because somebody agreed to exactly these; none by default.

    Raises:
        AzureError: nobody could be signed in.
    """
    credential = _InTenant(_credential(cloud, login, client_id, tenant), tenant)
    token = _first_token(credential, cloud)
    return Session(cloud, _identity(token), _client(cloud, credential, questions, writes))


def _credential(cloud: Cloud, login: Login, client_id: str, tenant: str | None) -> "TokenCredential":
    from azure import identity  # noqa: PLC0415 -- slow to import

    if tenant is not None and not _TENANT.fullmatch(tenant):
        raise UsageError(f"--tenant {tenant} is no tenant", "Give its id or its domain.")
    options: dict[str, Any] = {
        "authority": cloud.authority.removeprefix("https://"),
        "additionally_allowed_tenants": ["*"],
        "disable_instance_discovery": cloud.own,
        "connection_timeout": _CONNECT,
        "read_timeout": _CONNECT,
        "retry_total": 1,
    }
    try:
        match login:
            case "workload-identity":
                return identity.WorkloadIdentityCredential(**options)
            case "service-principal":
                return identity.EnvironmentCredential(**options)
            case "managed-identity":
                return identity.ManagedIdentityCredential(client_id=client_id or None)
            case "cli":
                return identity.AzureCliCredential(additionally_allowed_tenants=["*"])
            case _:
                return identity.DefaultAzureCredential(**options, process_timeout=8)
    except ValueError as error:  # an environment variable is missing, or is no id
        raise AzureError(f"cannot sign in with {login}: {_first_line(error)}", _SIGN_IN) from error


class _InTenant:
    """A credential that asks for tokens of one tenant."""

    def __init__(self, credential: _Credential, tenant: str | None) -> None:
        self._credential = credential
        self._tenant = tenant

    def get_token(self, *scopes: str, **options: Any) -> "AccessToken":  # noqa: ANN401 -- the SDK's own
        """Get a token; errors are those of azure-identity."""
        if self._tenant is not None:
            options["tenant_id"] = self._tenant
        return self._credential.get_token(*scopes, **options)


def _first_token(credential: _Credential, cloud: Cloud) -> str:
    """Sign in now, so that what is wrong with it is told before anything else, and within half a minute."""
    found: list[str] = []
    failed: list[BaseException] = []

    def sign_in() -> None:
        try:
            found.append(credential.get_token(cloud.scope).token)
        except BaseException as error:  # noqa: BLE001 -- it is looked at by the thread that waits for it
            failed.append(error)

    # azure-identity tries one way after the other, some of them programs; it has no deadline for all of them.
    worker = threading.Thread(target=sign_in, daemon=True)
    worker.start()
    worker.join(_SOON)
    if found:
        return found[0]
    if not failed:
        raise AzureError(f"{cloud.authority} did not answer within {_SOON:.0f} seconds", unreachable_hint())
    raise sign_in_error(failed[0], cloud)


def sign_in_error(error: BaseException, cloud: Cloud) -> Exception:
    """Say what is wrong with signing in; azure-identity writes pages about it."""
    from azure.core.exceptions import AzureError as SdkError  # noqa: PLC0415 -- slow to import
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError  # noqa: PLC0415

    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return AzureError(f"cannot reach {cloud.authority}: {_first_line(error)}", unreachable_hint())
    if not isinstance(error, SdkError | ValueError):
        return error if isinstance(error, Exception) else AuditorError(str(error))
    text = str(error)
    code = next((word.strip(":.,") for word in text.split() if word.startswith("AADSTS")), "")
    hints = {
        "AADSTS90002": "There is no such tenant: check --tenant, or AZURE_TENANT_ID.",
        "AADSTS900023": "That is no tenant: check --tenant, or AZURE_TENANT_ID.",
        "AADSTS700016": "The tenant does not know the application: check AZURE_CLIENT_ID and the tenant.",
        "AADSTS7000215": "The secret is wrong or has ended: make a new one, or use workload identity.",
        "AADSTS7000222": "The secret has ended: make a new one, or use workload identity.",
        "AADSTS700024": "The federated token has ended: ask for a new one just before.",
        "AADSTS50079": "The account must use a second factor: sign in interactively (az login).",
    }
    if "authority configuration" in text:
        return AzureError("cannot sign in: the identity platform does not know the tenant", hints["AADSTS90002"])
    line = next((line.strip() for line in text.splitlines() if code and code in line), _first_line(error))
    if not code and "\n" in text.strip():
        line = "no credential was found"
    return AzureError(f"cannot sign in: {line[:300]}", hints.get(code, _SIGN_IN))


def unreachable_hint() -> str:
    """Say what to look at when a host cannot be reached."""
    return "Check the network, and HTTPS_PROXY and NO_PROXY where there is a proxy."


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def _identity(token: str) -> Identity:
    """Read who a token is for."""
    parts = token.split(".")
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(payload, type=_Claims)
    except (IndexError, binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return Identity("", "an identity whose token does not say who it is")
    name = claims.upn or claims.unique_name or (f"application {claims.appid}" if claims.appid else "")
    known = f"object {claims.oid}" if claims.oid else ""
    return Identity(
        fold(claims.tid) if is_subscription_id(claims.tid) else "",
        f"{name} ({known})" if name and known else name or known or "an identity without a name",
    )


def _client(
    cloud: Cloud,
    credential: _Credential,
    questions: re.Pattern[str] | None = None,
    writes: Collection[tuple[str, str]] = frozenset(),
) -> "ARMPipelineClient[Any, Any]":
    from azure.core.pipeline.policies import (  # noqa: PLC0415 -- slow to import
        ProxyPolicy,
        RequestIdPolicy,
        UserAgentPolicy,
    )
    from azure.core.pipeline.transport import RequestsTransport  # noqa: PLC0415
    from azure.mgmt.core import ARMPipelineClient  # noqa: PLC0415
    from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy  # noqa: PLC0415

    return ARMPipelineClient(
        cloud.endpoint,
        policies=[
            _only_allowed(cloud, questions, writes),
            RequestIdPolicy(),
            UserAgentPolicy(base_user_agent=f"azure-backup-auditor/{__version__}"),
            ProxyPolicy(),
            ARMChallengeAuthenticationPolicy(credential, cloud.scope),
        ],
        transport=_transport(RequestsTransport(connection_timeout=_CONNECT, read_timeout=_READ)),
    )


def _transport(transport: Any) -> Any:  # noqa: ANN401 -- the SDK's own
    """Keep requests from putting a password of ~/.netrc in the place of the token."""
    transport.open()
    transport.session.auth = lambda request: request
    return transport


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address, as they are compared; of one that could be read otherwise, nothing.

    Libraries differ in where they see the host of an address with a backslash or a user in it: whatever is not plainly
    scheme, host and port has no origin at all.
    """
    match = _ORIGIN.match(url)
    if match is None:
        return "", "", -1
    return match[1].lower(), match[2].lower(), int(match[3] or 443)


def _only_allowed(cloud: Cloud, questions: re.Pattern[str] | None, writes: Collection[tuple[str, str]]) -> Any:  # noqa: ANN401 -- made from a class of the SDK, which is imported late
    from azure.core.pipeline.policies import SansIOHTTPPolicy  # noqa: PLC0415 -- slow to import

    class OnlyAllowed(SansIOHTTPPolicy[Any, Any]):
        """Refuses whatever could change something that nobody agreed to, whoever asks for it."""

        def on_request(self, request: Any) -> None:  # noqa: ANN401 -- the SDK's own
            method, url = request.http_request.method, request.http_request.url
            address = url.partition("?")[0]
            path = address.removeprefix(cloud.endpoint)
            query = method == "POST" and (
                path == GRAPH_PATH or (questions is not None and questions.fullmatch(path) is not None)
            )
            agreed = address != path and (method, fold(unquote(path))) in writes
            reads = method == "GET" and origin_of(url) == origin_of(cloud.endpoint)
            if not (query or agreed or reads):
                raise AuditorError(f"this only reads, but for what a plan says: {method} {address} was not sent")

    return OnlyAllowed()
