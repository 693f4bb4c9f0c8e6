"""From answers to bytes, and what faults do to the bytes and the connection."""

import asyncio
import contextlib
import socket
import struct
from datetime import datetime
from email.utils import format_datetime

from aiohttp import web

from arm.web import Answer

_PAGE = b"<html><head><title>Service unavailable</title></head><body>Try again later</body></html>"


def written(answer: Answer, now: datetime) -> web.Response:
    headers = {**answer.headers, **(answer.late() if answer.late is not None else {})}
    headers["Date"] = format_datetime(now, usegmt=True)
    body = answer.encoded()
    if body:
        headers.setdefault("Content-Type", "application/json; charset=utf-8")
    return web.Response(status=answer.status, body=body, headers=headers)


async def broken(
    request: web.BaseRequest, kind: str, answer: Answer, now: datetime, stop: asyncio.Event
) -> web.StreamResponse:
    """Do to the connection, or to the answer's bytes, what a fault says; a request hangs until the server stops."""
    if kind == "not-json":
        return web.Response(body=_PAGE, headers={"Content-Type": "text/html"})
    transport = request.transport
    if kind == "hang":
        await stop.wait()
    elif kind == "cut":
        whole = answer.encoded()
        cut = web.StreamResponse(status=answer.status, headers=written(answer, now).headers)
        cut.content_length = len(whole) + 1
        with contextlib.suppress(ConnectionError):
            await cut.prepare(request)
            await cut.write(whole[: len(whole) // 2])
    elif transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    if transport is not None:
        transport.close()
    return web.Response()
