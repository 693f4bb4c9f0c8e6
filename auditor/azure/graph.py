"""Tables out of Resource Graph: in parts that share nothing, each proved to be whole."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from auditor.azure.calls import Caller, Failure, Unusable
from auditor.azure.pace import GraphQuota
from auditor.inventory.decode import JsonError, parse_json
from auditor.inventory.projection import projection_of
from auditor.inventory.tables import Table

TOP = 1_000  # rows on a page, the most there can be
# Rows that a part should have: parts are as even as a hash makes them, and next to none then needs a second page.
_PART = 900
_MISSED_ROWS, _MISSED = 2, 0.001  # rows, or their share, that may come and go while the parts are read


class QueryScope(NamedTuple):
    """Where a query looks: in subscriptions, in management groups, or (neither) in the whole tenant."""

    subscriptions: tuple[str, ...] = ()
    management_groups: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """A name of a file that tells it from others."""
        return hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:16]


class Part(NamedTuple):
    """A part of a table in a scope; ``part`` of ``parts``."""

    table: Table
    scope: QueryScope
    part: int
    parts: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its rows by the table's projection, and the answer as it came."""

    rows: Sequence[Any]
    body: bytes


@dataclass(slots=True)
class Read:
    """What was read of a part.

    Attributes:
        part: which.
        pages: in order.
        total: how many rows Azure says there are.
        failure: why it is not whole; ``None`` when it is.
        limited: Azure looked only into the first of the subscriptions (10,000 of them).
        more: it has to be read in so many parts; 0 when these are all rows.
        first: the first of those parts, when it was read already.
    """

    part: Part
    pages: list[Page] = field(default_factory=list)
    total: int = 0
    failure: Failure | None = None
    limited: bool = False
    more: int = 0
    first: "Read | None" = None

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return sum(len(page.rows) for page in self.pages)

    @property
    def others(self) -> list[Part]:
        """The parts that have still to be read."""
        held = 1 if self.first is not None else 0
        return [self.part._replace(part=part, parts=self.more) for part in range(held, self.more)]


class _Envelope(msgspec.Struct, frozen=True):
    """An answer of Resource Graph. ``resultTruncated`` is text."""

    data: msgspec.Raw
    total: int = msgspec.field(name="totalRecords")
    truncated: bool | str = msgspec.field(name="resultTruncated", default="false")
    skip_token: str | None = msgspec.field(name="$skipToken", default=None)


_envelope = msgspec.json.Decoder(_Envelope).decode


class GraphReader:
    """Reads parts of tables."""

    def __init__(self, caller: Caller, quota: GraphQuota) -> None:
        """Share the quota: it is one for everything that is asked with an identity."""
        self._caller = caller
        self._quota = quota

    def begin(self, table: Table, scope: QueryScope) -> Read:
        """Read a table that fits on a page, or say in how many parts it has to be read.

        Paging counts rows, and loses one whenever another before it goes away. So more than a page is read in parts;
        only where Azure does not take such a query, page by page.
        """
        whole = Part(table, scope, 0, 1)
        read = Read(whole)
        token = self._page(read, None)
        if token is None:
            return self._again(_proved(read))
        parts = math.ceil(read.total / _PART)
        probe = self.read(Part(table, scope, 0, parts))
        if probe.failure is None or probe.failure.status != 400:
            return Read(whole, total=read.total, more=parts, first=probe, limited=read.limited)
        while token is not None:
            token = self._page(read, token)
        return _proved(read)

    def whole(self, table: Table, scope: QueryScope) -> list[Any] | Failure:
        """Read all rows of a table of which there are not many."""
        begun = self.begin(table, scope)
        parts = [begun.first, *(self.read(part) for part in begun.others)] if begun.first is not None else [begun]
        failures = [read.failure for read in parts if read.failure is not None]
        if begun.limited:
            failures.append(Failure(200, "limited", "Azure looked into the first of its subscriptions only"))
        return failures[0] if failures else [row for read in parts for page in read.pages for row in page.rows]

    def count(self, table: Table, scope: QueryScope) -> int | None:
        """Return how many rows a table has; ``None`` when that could not be read."""
        read = Read(Part(table, scope, 0, 1))
        self._page(read, None, top=1)
        return read.total if read.failure is None else None

    def read(self, part: Part) -> Read:
        """Read a part, twice where rows were missing the first time."""
        return self._again(self._read(part))

    def _again(self, read: Read) -> Read:
        return self._read(read.part) if read.failure is not None and read.failure.code == _SHORT else read

    def _read(self, part: Part) -> Read:
        read = Read(part)
        token = self._page(read, None)
        while token is not None:
            token = self._page(read, token)
        return _proved(read)

    def _page(self, read: Read, token: str | None, top: int = TOP) -> str | None:
        """Read a page, smaller ones where it is too large; return the token of the next one."""
        projection = projection_of(read.part.table)
        while True:
            body = query_body(projection.kql(read.part.part, read.part.parts), read.part.scope, top, token)
            got = self._caller.query(body, self._quota, _reads_page(projection.page))
            if isinstance(got, Failure) and "ResponsePayloadTooLarge" in got.code and top > 1:
                top //= 2
                continue
            break
        if isinstance(got, Failure):
            read.failure = got
            return None
        envelope, rows = got.content
        if read.pages and envelope.total != read.total:
            # Pages are counted off: where a row went away between two of them, another was never shown.
            read.failure = Failure(200, _SHORT, f"there were {read.total:,} rows, and {envelope.total:,} a page later")
            return None
        read.pages.append(Page(rows, got.body))
        read.total = envelope.total
        read.limited = read.limited or got.headers.get("x-ms-tenant-subscription-limit-hit", "").lower() == "true"
        if envelope.skip_token:
            if rows:
                return str(envelope.skip_token)
            read.failure = Failure(200, _SHORT, "a page without rows that says there are more")
        elif str(envelope.truncated).lower() == "true":
            read.failure = Failure(200, "truncated", "resultTruncated is true, and there is no next page")
        return None


_SHORT = "rows are missing"


def _proved(read: Read) -> Read:
    """Compare the rows with how many there are said to be."""
    if read.failure is None and read.rows < read.total:
        read.failure = Failure(200, _SHORT, f"{read.rows:,} of {read.total:,} rows")
    return read


def parts_short_of(before: int, after: int | None, rows: int) -> Failure | None:
    """Compare the rows of all parts with how many the table had before and after: whatever was lost is found out.

    Where as many came as went meanwhile, a few are missing that were never there at once.
    """
    counted = before if after is None else min(before, after)
    if rows >= counted - max(_MISSED_ROWS, counted * _MISSED):
        return None
    return Failure(200, _SHORT, f"the parts have {rows:,} rows together, and {counted:,} were counted")


def query_body(kql: str, scope: QueryScope, top: int, token: str | None) -> dict[str, Any]:
    """Write the body of a query as the SDK does."""
    from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions  # noqa: PLC0415 -- slow to import

    options = QueryRequestOptions(
        top=top,
        skip_token=token,
        result_format="objectArray",
        # Elsewhere than in a list of subscriptions too many of them would be an error instead of a header.
        allow_partial_scopes=not scope.subscriptions,
    )
    request = QueryRequest(
        query=kql,
        subscriptions=list(scope.subscriptions) or None,
        management_groups=list(scope.management_groups) or None,
        options=options,
    )
    return dict(request.serialize())


def _reads_page(decode: Callable[[Any], list[Any]]) -> Callable[[bytes], tuple[_Envelope, list[Any]]]:
    def read(body: bytes) -> tuple[_Envelope, list[Any]]:
        envelope = _envelope(body)
        if bytes(memoryview(envelope.data)[:1]) != b"[":
            raise Unusable("its data is no list of rows")
        return envelope, decode(envelope.data)

    def read_anyhow(body: bytes) -> tuple[_Envelope, list[Any]]:
        try:
            return read(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Half a surrogate pair in one tag is no reason to lose a page: exports are read with it, too.
            return read(_mended(body))

    return read_anyhow


def _mended(data: bytes) -> bytes:
    try:
        return msgspec.json.encode(parse_json(data))
    except JsonError as error:
        raise Unusable(str(error)) from error


def kept_read(part: Part, pages: Sequence[bytes]) -> Read:
    """Read a part from pages that were kept.

    Raises:
        msgspec.DecodeError: one of them is damaged.
        Unusable: one of them is no answer.
    """
    read = Read(part)
    for body in pages:
        envelope, rows = _reads_page(projection_of(part.table).page)(body)
        read.pages.append(Page(rows, body))
        read.total = envelope.total
    return _proved(read)
