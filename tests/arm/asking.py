"""A client without any cleverness: no retries, no polling, and the whole answer to look at."""

import http.client
import json
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from arm.access import Principal
from arm.server import Arm


@dataclass(frozen=True)
class Reply:
    """An answer; header names are in small letters, ``body`` is ``None`` where there is none."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.body["error"]["code"])


class Asker:
    """One connection, on which an application asks; ``token`` replaces its own."""

    def __init__(self, arm: Arm, *, principal: Principal | None = None, token: str | None = None) -> None:
        self._arm = arm
        self._token = arm.token(principal=principal) if token is None else token
        self._connection = http.client.HTTPSConnection(
            urlsplit(arm.url).netloc, context=ssl.create_default_context(cafile=arm.ca), timeout=20
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: Any = None, *, version: str = "2024-10-01", **query: str) -> Reply:
        """Send a request; ``path`` may be a whole URL with its own query, as answers give them."""
        asked = urlsplit(path)
        text = asked.query or urlencode({**({"api-version": version} if version else {}), **query})
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        sent = None if body is None else json.dumps(body).encode()
        if sent is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, f"{quote(asked.path)}?{text}", sent, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        kept = {name.lower(): value for name, value in answer.getheaders()}
        is_json = kept.get("content-type", "").startswith("application/json")
        return Reply(answer.status, kept, json.loads(content) if content and is_json else content or None)

    def get(self, path: str, **query: str) -> Reply:
        return self.ask("GET", path, **query)

    def graph(self, query: str, *, options: dict[str, Any] | None = None, **scope: list[str]) -> Reply:
        """Ask Resource Graph."""
        body = {"query": query, **scope, **({} if options is None else {"options": options})}
        return self.ask("POST", "/providers/Microsoft.ResourceGraph/resources", body, version="2021-03-01")
