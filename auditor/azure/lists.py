"""Lists of Resource Manager, read to their ends."""

from typing import Any, TypeVar

import msgspec

from auditor.azure.calls import Caller, Failure, Pace
from auditor.azure.session import origin_of

T = TypeVar("T")


class _Page(msgspec.Struct, frozen=True):
    value: msgspec.Raw
    next_link: str | None = msgspec.field(name="nextLink", default=None)


_page = msgspec.json.Decoder(_Page).decode


def read_list(caller: Caller, path: str, version: str, pace: Pace, kind: type[T], **query: str) -> list[T] | Failure:
    """Read a list whole, or not at all.

    Args:
        caller: who asks.
        path: of the list.
        version: of the API.
        pace: when to ask.
        kind: what its entries are decoded as.
        query: more parameters, such as ``$filter`` (written without its sign).
    """
    decode = msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]  # a type given at run time

    def read(body: bytes) -> tuple[list[T], str | None]:
        page = _page(body)
        return decode(page.value), page.next_link

    found: list[T] = []
    parameters: dict[str, Any] = {f"${name}": value for name, value in query.items()}
    at = path
    seen = {path}
    while True:
        got = caller.get(at, version, pace, read, **parameters)
        if isinstance(got, Failure):
            return got
        rows, link = got.content
        found += rows
        if not link:
            return found
        endpoint = caller.session.cloud.endpoint
        at, parameters = endpoint + link if link.startswith("/") else link, {}
        if origin_of(at) != origin_of(endpoint):  # whoever answers there would get the token
            return Failure(200, "a next page somewhere else", f"it is not at {endpoint}")
        if at in seen:
            return Failure(200, "a list that turns in circles", "its next page is one that was read")
        seen.add(at)
