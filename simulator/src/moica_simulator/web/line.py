"""What the line does to an answer that the platform has made: cut, emptied, replaced, dripping.

The platform has acted by then; only what the asking system hears is another thing.
"""

import asyncio
import json
import zlib
from typing import Any

from aiohttp import web

from moica_simulator.faults import Line

__all__ = ["send"]

_DRIP = 0.1
_BOMB = 64 * 1024 * 1024
_PAGE = "<!doctype html><title>登入</title><h1>系統維護中 Maintenance</h1>"


async def send(
    request: web.Request, line: Line, status: int, answer: dict[str, Any]
) -> web.StreamResponse:
    """Sends an answer as the line lets it through.

    Args:
        request: Whose answer it is.
        line: What happens to it.
        status: As the platform meant it.
        answer: The same.
    """
    body = json.dumps(answer).encode()
    match line:
        case Line.EMPTY:
            return web.Response(body=b"", content_type="application/json", status=status)
        case Line.HTML:
            return web.Response(text=_PAGE, content_type="text/html")
        case Line.NOT_AN_OBJECT:
            return web.Response(body=b"[0]", content_type="application/json", status=status)
        case Line.NOT_TEXT:
            broken = body.replace(b'"error_code"', b'"error_\xff"', 1)
            return web.Response(body=broken, content_type="application/json", status=status)
        case Line.TRUNCATED:
            half = body[: len(body) // 2]
            return web.Response(body=half, content_type="application/json", status=status)
        case Line.REDIRECT:
            return web.Response(status=302, headers={"Location": "/moise/sp/elsewhere"})
        case Line.GZIP_BOMB:
            return web.Response(
                body=_bomb(),
                headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
            )
        case Line.RESET | Line.DRIP:
            return await _by_piece(request, line, status, body)
        case Line.DUPLICATE:
            return await _twice(request, status, body)
        case Line.LATE:
            raise ValueError("a late answer is not sent to the request that it is for")


async def _by_piece(
    request: web.Request, line: Line, status: int, body: bytes
) -> web.StreamResponse:
    response = web.StreamResponse(
        status=status,
        headers={"Content-Type": "application/json", "Content-Length": str(len(body))},
    )
    await response.prepare(request)
    if line is Line.RESET:
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response
    for at in range(len(body)):
        await response.write(body[at : at + 1])
        await asyncio.sleep(_DRIP)
    return response


async def _twice(request: web.Request, status: int, body: bytes) -> web.StreamResponse:
    """The second one comes on the same connection, behind the first, and was not asked for."""
    response = web.Response(body=body, status=status, content_type="application/json")
    await response.prepare(request)
    await response.write_eof()
    if request.transport is not None:
        head = (
            f"HTTP/1.1 {status} Again\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        request.transport.write(head.encode() + body)
    return response


def _bomb() -> bytes:
    """64 MiB of spaces behind a brace: 64 KiB on the wire."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b"{")]
    parts += [packer.compress(b" " * 1024 * 1024) for _ in range(_BOMB // (1024 * 1024))]
    return b"".join([*parts, packer.flush()])
