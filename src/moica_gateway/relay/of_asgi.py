"""The relay as an ASGI application (ASGI 3.0, HTTP)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from moica_gateway.relay.gateway import AWAY_ERRORS, GatewayLine
from moica_gateway.relay.rules import AWAY, MAX_UP, TOO_LARGE, Forward, Refusal, down, route

__all__ = ["RelayASGI"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class RelayASGI:
    """``app.mount("/moica", RelayASGI("http://gateway:8700"))``.

    Args:
        base_url: Of the gateway.
        ca_file: PEM, of a CA that is not the system's.
    """

    def __init__(self, base_url: str, *, ca_file: str | None = None) -> None:
        self._line = GatewayLine(base_url, ca_file)

    async def close(self) -> None:
        """Its connections: at shutdown, where the mount does not pass ``lifespan`` on."""
        await self._line.close()

    async def __call__(self, scope: Mapping[str, Any], receive: _Receive, send: _Send) -> None:
        """One request, or the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"the relay speaks HTTP, came {scope['type']}")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        # A server may leave the mount's path in front, as the specification has it, or take it off.
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        query = scope.get("query_string", b"").decode("latin-1")
        forward = route(scope["method"], path, query, lambda name: headers.get(name.lower()))
        if isinstance(forward, Refusal):
            await _refuse(send, forward)
            return
        body = None
        if forward.method == "POST":
            body = await _body(receive)
            if body is None:
                await _refuse(send, TOO_LARGE)
                return
        passing = asyncio.ensure_future(self._pass(forward, body, send))
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            # A browser that has left ends the stream that nobody reads.
            await asyncio.wait({passing, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not passing.done():
                passing.cancel()
            await asyncio.gather(gone, passing, return_exceptions=True)
        if not passing.cancelled():
            passing.result()

    async def _pass(self, forward: Forward, body: bytes | None, send: _Send) -> None:
        begun = False
        try:
            async with self._line.ask(forward, body) as reply:
                await _start(send, reply.status, down(forward, reply.headers))
                begun = True
                async for chunk in reply.content.iter_any():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except AWAY_ERRORS:
            if begun:
                # The head is out: a cut stream tells the widget to come back.
                raise ConnectionResetError(
                    "the gateway went away in the middle of an answer"
                ) from None
            await _refuse(send, AWAY)

    async def _live(self, receive: _Receive, send: _Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._line.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            await send({"type": "lifespan.startup.complete"})


async def _start(send: _Send, status: int, headers: Mapping[str, str]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in headers.items()
            ],
        }
    )


async def _refuse(send: _Send, refusal: Refusal) -> None:
    await _start(send, refusal.status, refusal.all_headers())
    await send({"type": "http.response.body", "body": refusal.body()})


async def _body(receive: _Receive) -> bytes | None:
    """None where it is too large."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MAX_UP:
            return None
        if not message.get("more_body", False):
            return body


async def _until_gone(receive: _Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
