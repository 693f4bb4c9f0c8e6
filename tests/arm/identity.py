"""The identity authority: discovery, tokens for secrets and assertions, managed identity, and checking of tokens."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from arm.access import Principal
from arm.clock import Clock
from arm.estate import Estate
from arm.tokens import claims_of, unsigned
from arm.web import Answer, Call, Refused, refused

LIFETIME = 3599
IDENTITY_SECRET = "the-header-of-the-stand-in"  # noqa: S105 - of a server that only tests talk to
_AUDIENCES = {
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://management.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",
}
_INVALID = {
    "AADSTS90002": ("invalid_request", 400),
    "AADSTS7000215": ("invalid_client", 401),
    "AADSTS700016": ("unauthorized_client", 400),
    "AADSTS70011": ("invalid_scope", 400),
    "AADSTS70003": ("unsupported_grant_type", 400),
}


class Identity:
    """Signs applications in, and says who a token is of."""

    def __init__(self, estate: Estate, clock: Clock, principals: Mapping[str, Principal]) -> None:
        self._estate = estate
        self._clock = clock
        self._principals = principals
        self.lifetime = LIFETIME

    def configuration(self, call: Call, url: str) -> Answer:
        tenant = self._tenant(call)
        base = f"{url}/{tenant}"
        return Answer(
            body={
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_modes_supported": ["query", "fragment", "form_post"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["code", "id_token", "token"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                "tenant_region_scope": "EU",
                "cloud_instance_name": "127.0.0.1",
            }
        )

    def instances(self, call: Call, url: str) -> Answer:
        """Answer instance discovery: the only authority is this one."""
        host = url.removeprefix("https://")
        tenant = call.query.get("authorization_endpoint", "").removeprefix(url).strip("/").split("/")[0] or "common"
        return Answer(
            body={
                "tenant_discovery_endpoint": f"{url}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    def token(self, call: Call) -> Answer:
        """Answer ``client_credentials``, with a secret or with the assertion of a federated identity."""
        tenant = self._tenant(call)
        form = call.form()
        if form.get("grant_type") != "client_credentials":
            raise self._error("AADSTS70003", "The app requested an unsupported grant type.")
        principal = self._principals.get(form.get("client_id", "").lower())
        if principal is None:
            raise self._error(
                "AADSTS700016",
                f"Application with identifier '{form.get('client_id', '')}' was not found in the directory '{tenant}'.",
            )
        if not form.get("client_assertion") and form.get("client_secret") != principal.client_secret:
            raise self._error(
                "AADSTS7000215",
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{principal.client_id}'.",
            )
        scope = form.get("scope", "").split(" ")[0]
        if not scope.endswith("/.default"):
            raise self._error("AADSTS70011", f"The provided value for scope {scope} is not valid.")
        access = self.issue(principal, tenant, scope.removesuffix("/.default"))
        return Answer(
            body={
                "token_type": "Bearer",
                "expires_in": self.lifetime,
                "ext_expires_in": self.lifetime,
                "access_token": access,
            },
            headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"},
        )

    def managed(self, call: Call) -> Answer:
        """Answer as App Service's endpoint of managed identities does, for the first application."""
        if call.headers.get("X-IDENTITY-HEADER") != IDENTITY_SECRET:
            return Answer(401, {"statusCode": 401, "message": "Invalid identity header"})
        principal = next(iter(self._principals.values()))
        resource = call.query.get("resource", "")
        return Answer(
            body={
                "access_token": self.issue(principal, self._estate.tenant, resource.rstrip("/")),
                "expires_on": str(int(self._clock.time()) + self.lifetime),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": principal.client_id,
            }
        )

    def issue(self, principal: Principal, tenant: str, audience: str) -> str:
        """Return an access token, unsigned."""
        now = int(self._clock.time())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant}/",
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
            "appid": principal.client_id,
            "appidacr": "1",
            "idtyp": "app",
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": tenant,
            "ver": "1.0",
        }
        return unsigned(claims)

    def caller(self, call: Call) -> tuple[Principal, str]:
        """Return whose token a request carries, and of which tenant it is.

        Raises:
            Refused: there is no token, or none that counts.
        """
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise self._challenge(
                "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
            )
        claims = claims_of(token)
        principal = self._principals.get(str(claims.get("appid", "")).lower())
        if principal is None:
            raise self._challenge("InvalidAuthenticationToken", "The access token is invalid.")
        expiry = int(claims.get("exp", 0))
        if expiry <= self._clock.time():
            until = datetime.fromtimestamp(expiry, UTC)
            raise self._challenge(
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{until:%m/%d/%Y %I:%M:%S %p}' is earlier than current UTC time "
                f"'{self._clock.now():%m/%d/%Y %I:%M:%S %p}'.",
            )
        if str(claims.get("aud", "")).rstrip("/") not in _AUDIENCES:
            raise self._challenge(
                "InvalidAuthenticationTokenAudience",
                "The access token has been obtained for wrong audience or resource "
                f"'{claims.get('aud')}'. It should exactly match with one of the allowed audiences "
                "'https://management.core.windows.net/','https://management.azure.com/'.",
            )
        return principal, str(claims.get("tid", ""))

    def check_tenant(self, tenant: str, subscription: str) -> None:
        """Refuse a token of another tenant than a subscription's."""
        right = self._estate.tenant_of(subscription)
        if tenant != right:
            raise self._challenge(
                "InvalidAuthenticationTokenTenant",
                f"The access token is from the wrong issuer 'https://sts.windows.net/{tenant}/'. It must match the "
                f"tenant 'https://sts.windows.net/{right}/' associated with this subscription. Please use the "
                f"authority (URL) 'https://login.windows.net/{right}' to get the token.",
            )

    def _challenge(self, code: str, message: str) -> Refused:
        made = refused(401, code, message)
        made.answer.headers["WWW-Authenticate"] = (
            f'Bearer authorization_uri="https://login.windows.net/{self._estate.tenant}", error="invalid_token", '
            f'error_description="{message}"'
        )
        return made

    def _tenant(self, call: Call) -> str:
        tenant = call.names["tenant"].lower()
        if tenant not in self._estate.tenants():
            raise self._error(
                "AADSTS90002",
                f"Tenant '{call.names['tenant']}' not found. Check to make sure you have the correct tenant ID and are "
                "signing into the correct cloud. Check with your subscription administrator, this may happen if there "
                "are no active subscriptions for the tenant.",
            )
        return tenant

    def _error(self, code: str, message: str) -> Refused:
        kind, status = _INVALID[code]
        trace, correlation, now = str(uuid.uuid4()), str(uuid.uuid4()), f"{self._clock.now():%Y-%m-%d %H:%M:%SZ}"
        number = int(code.removeprefix("AADSTS"))
        body = {
            "error": kind,
            "error_description": f"{code}: {message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}",
            "error_codes": [number],
            "timestamp": now,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={number}",
        }
        return Refused(Answer(status, body))
