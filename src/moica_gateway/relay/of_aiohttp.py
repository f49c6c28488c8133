"""The relay as a sub-application of aiohttp."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from moica_gateway.relay.gateway import AWAY_ERRORS, GatewayLine
from moica_gateway.relay.rules import AWAY, MAX_UP, TOO_LARGE, Refusal, down, route

__all__ = ["relay_app"]

_LINE: web.AppKey[GatewayLine] = web.AppKey("line", GatewayLine)


def relay_app(base_url: str, *, ca_file: str | None = None) -> web.Application:
    """A sub-application: ``app.add_subapp("/moica", relay_app("http://gateway:8700"))``.

    Args:
        base_url: Of the gateway.
        ca_file: PEM, of a CA that is not the system's.
    """
    app = web.Application(client_max_size=MAX_UP)
    app[_LINE] = GatewayLine(base_url, ca_file)
    app.cleanup_ctx.append(_closing)
    app.router.add_route("*", "/{tail:.*}", _relay)
    return app


async def _closing(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[_LINE].close()


def _refuse(refusal: Refusal) -> web.Response:
    return web.Response(body=refusal.body(), status=refusal.status, headers=refusal.all_headers())


async def _relay(request: web.Request) -> web.StreamResponse:
    path = f"/{request.match_info['tail']}"
    forward = route(request.method, path, request.rel_url.raw_query_string, request.headers.get)
    if isinstance(forward, Refusal):
        return _refuse(forward)
    body = None
    if request.method == "POST":
        # `client_max_size` of a sub-application is not heeded by aiohttp, so it is counted here.
        body = b""
        while len(body) <= MAX_UP and (chunk := await request.content.readany()):
            body += chunk
        if len(body) > MAX_UP:
            return _refuse(TOO_LARGE)
    answer: web.StreamResponse | None = None
    try:
        async with request.app[_LINE].ask(forward, body) as reply:
            answer = web.StreamResponse(status=reply.status, headers=down(forward, reply.headers))
            await answer.prepare(request)
            async for chunk in reply.content.iter_any():
                await answer.write(chunk)
            await answer.write_eof()
            return answer
    except AWAY_ERRORS:
        if answer is not None and answer.prepared:
            # The head is out: a cut stream tells the widget to come back.
            raise ConnectionResetError("the gateway went away in the middle of an answer") from None
        return _refuse(AWAY)
