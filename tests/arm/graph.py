"""The Resource Graph endpoint: scope, options, pages, quota and limits."""

import asyncio
import base64
import binascii
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from arm.access import Principal
from arm.clock import Clock, stamp
from arm.estate import Estate
from arm.faults import rate_limiting, too_large
from arm.graph_store import GraphStore, Rows
from arm.ids import Json
from arm.kql import BadQuery
from arm.quota import Quota
from arm.web import Answer, Call, Refused, graph_error

VERSIONS = ("2018-09-01-preview", "2019-04-01", "2020-04-01-preview", "2021-03-01", "2022-10-01", "2024-04-01")
_DEFAULT_TOP, _MOST = 100, 1000


@dataclass
class Limits:
    """What Resource Graph does not answer beyond: bytes of an answer, subscriptions of a tenant or group."""

    payload: int = 16777216
    subscriptions: int = 10000


class Graph:
    """Answers queries; they are executed one at a time, beside the server's loop."""

    def __init__(self, estate: Estate, clock: Clock, quota: Quota, limits: Limits) -> None:
        self._estate = estate
        self._clock = clock
        self._quota = quota
        self._limits = limits
        self._made: GraphStore | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="resource-graph")

    def open(self) -> None:
        """Take in what there is; without it, that is done by the first query, for which no change is ever late."""
        self._made = self._made or GraphStore(self._estate)

    @property
    def _store(self) -> GraphStore:
        self.open()
        assert self._made is not None
        return self._made

    def close(self) -> None:
        self._worker.shutdown(wait=True)
        if self._made is not None:
            self._made.close()

    async def query(self, call: Call) -> Answer:
        caller = call.principal.client_id
        allowed = self._quota.take(caller)
        if allowed:
            answer = await asyncio.get_running_loop().run_in_executor(self._worker, self._answer, call)
        else:
            answer = rate_limiting(stamp(self._clock.now()))
            if self._quota.retry_after:
                answer.headers["Retry-After"] = str(self._quota.wait(caller))
        answer.headers |= {"Server": "Kestrel", "x-content-type-options": "nosniff", "Vary": "Accept-Encoding"}
        answer.late = lambda: self._quota.headers(caller)
        return answer

    def _answer(self, call: Call) -> Answer:
        try:
            body = call.json()
            text = body.get("query")
            if not isinstance(text, str) or not text.strip():
                raise self._bad("InvalidRequest", "The request must have a query.")
            page = self._page(body.get("options"))
            scope, hit = self._scope(body, call.principal, call.tenant)
            rows = self._store.answer(call.principal, scope, text, self._clock.time())
        except BadQuery as bad:
            return graph_error(400, "BadRequest", bad.details, stamp(self._clock.now()))
        except Refused as refused:
            return refused.answer
        answer = self._written(rows, page)
        if hit:
            answer.headers["x-ms-tenant-subscription-limit-hit"] = "true"
        return answer

    def _page(self, options: object) -> "_Page":
        given = options if isinstance(options, dict) else {}
        token = _read_token(given["$skipToken"]) if given.get("$skipToken") else {}
        if token is None:
            raise self._bad("InvalidSkipToken", "The skip token is invalid.")
        top, skip = (
            given.get("$top", token.get("MaxRows", _DEFAULT_TOP)),
            given.get("$skip", token.get("RowsToSkip", 0)),
        )
        if not isinstance(top, int) or not 1 <= top <= _MOST:
            raise self._bad("InvalidTop", f"The value of $top must be between 1 and {_MOST}.")
        if not isinstance(skip, int) or skip < 0:
            raise self._bad("InvalidSkip", "The value of $skip must not be negative.")
        shape = given.get("resultFormat", "objectArray")
        if shape not in ("objectArray", "table"):
            raise self._bad("InvalidResultFormat", f"There is no result format '{shape}'.")
        return _Page(top, skip, shape == "table")

    def _scope(self, body: Json, principal: Principal, tenant: str) -> tuple[frozenset[str] | None, bool]:
        """Return the subscriptions to look into, ``None`` for all of the tenant, and whether there were too many."""
        asked, groups = body.get("subscriptions"), body.get("managementGroups")
        readable = {
            entry
            for entry in self._estate.subscriptions
            if self._estate.tenant_of(entry) == tenant and principal.assignments(entry)
        }
        if asked:
            wanted = [str(entry).lower() for entry in asked]
        elif groups:
            found = [self._estate.below(str(group)) for group in groups]
            if None in found:
                raise self._denied()
            wanted = [entry for members in found for entry in members or ()]
        else:
            wanted = list(self._estate.subscriptions)
        scope = [entry for entry in dict.fromkeys(wanted) if entry in readable]
        if (asked or groups) and not scope:
            raise self._denied()
        if len(scope) > self._limits.subscriptions and not asked:
            partial = isinstance(body.get("options"), dict) and body["options"].get("allowPartialScopes")
            if not partial:
                limit = self._limits.subscriptions
                raise self._bad("TooManySubscriptions", f"The scope has more than {limit} subscriptions.")
            return frozenset([*scope[: self._limits.subscriptions], ""]), True
        whole = not asked and not groups and len(scope) == len(self._estate.subscriptions)
        beside = () if asked else ("",)  # where management groups are
        return None if whole else frozenset([*scope, *beside]), False

    def _written(self, rows: Rows, page: "_Page") -> Answer:
        shown = rows.rows[page.skip : page.skip + page.top]
        total, end = len(rows.rows), page.skip + len(shown)
        rest: Json = {"facets": [], "resultTruncated": "true" if end < total and not rows.pages else "false"}
        if end < total and rows.pages:
            rest["$skipToken"] = _write_token(page.top, end)
        if page.table:
            columns = [{"name": name, "type": kind} for name, kind in rows.columns]
            data = json.dumps({"columns": columns, "rows": [list(json.loads(row).values()) for row in shown]})
        else:
            data = f"[{','.join(shown)}]"
        text = f'{{"totalRecords":{total},"count":{len(shown)},"data":{data},{json.dumps(rest)[1:]}'.encode()
        if len(text) > self._limits.payload:
            return too_large(len(text), self._limits.payload, stamp(self._clock.now()))
        return Answer(body=text)

    def _bad(self, code: str, message: str) -> Refused:
        return Refused(graph_error(400, "BadRequest", [{"code": code, "message": message}], stamp(self._clock.now())))

    def _denied(self) -> Refused:
        message = "Access is denied to the requested resource. The user might not have enough permission."
        details = [{"code": "AccessDenied", "message": message}]
        return Refused(graph_error(403, "AccessDenied", details, stamp(self._clock.now())))


@dataclass(frozen=True)
class _Page:
    top: int
    skip: int
    table: bool


def _write_token(rows: int, skip: int) -> str:
    """Return a token as Resource Graph makes it: opaque, and in truth a small JSON object."""
    fields = {"$id": "1", "MaxRows": rows, "RowsToSkip": skip, "KustoClusterUrl": "https://arg-weu-one-sf.test"}
    return base64.b64encode(json.dumps(fields, indent=2).replace("\n", "\r\n").encode()).decode()


def _read_token(token: object) -> Json | None:
    try:
        fields = json.loads(base64.b64decode(str(token), validate=True))
    except (ValueError, binascii.Error):
        return None
    return fields if isinstance(fields, dict) and "RowsToSkip" in fields else None
