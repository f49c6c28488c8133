"""Relay routes for the widget, mounted by a document system on its own origin (aiohttp).

So ``default-src 'self'`` holds, and the user's network need not reach the gateway. Only the
widget's own calls pass, and only with a browser token: no API key and no cookie goes through here.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from aiohttp import web

from moica_gateway.errors import problem

__all__ = ["relay_app"]

_ID: Final = re.compile(r"txn_[0-9a-z]{1,40}")
_TOKEN: Final = re.compile(r"Bearer btk_[A-Za-z0-9._-]{1,400}")
_DOWN: Final = ("Content-Type", "ETag", "Retry-After", "X-Request-ID")
_UP: Final = ("Idempotency-Key", "Last-Event-ID", "If-None-Match", "X-Request-ID")
_MAX_UP: Final = 4096
_BASE: web.AppKey[str] = web.AppKey("base", str)
_SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


def relay_app(base_url: str) -> web.Application:
    """A sub-application: ``app.add_subapp("/moica", relay_app("http://gateway:8700"))``."""
    app = web.Application(client_max_size=_MAX_UP)
    app[_BASE] = base_url.rstrip("/")
    app.cleanup_ctx.append(_session)
    app.router.add_get("/widget/v1.js", _widget)
    app.router.add_get("/v1/transactions/{id}", _pass)
    app.router.add_get("/v1/transactions/{id}/events", _pass)
    app.router.add_get("/v1/transactions/{id}/qr.svg", _pass)
    app.router.add_get("/v1/transactions/{id}/qr.png", _pass)
    app.router.add_post("/v1/transactions/{id}/challenges", _pass)
    return app


async def _session(app: web.Application) -> AsyncIterator[None]:
    # A stream of events has no end of its own: only silence is limited.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=90)
    async with aiohttp.ClientSession(
        timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        app[_SESSION] = session
        yield


def _refuse(code: str, detail: str, status: int) -> web.Response:
    return web.json_response(
        {**problem(code, detail).to_json(), "status": status},
        status=status,
        content_type="application/problem+json",
    )


async def _widget(request: web.Request) -> web.StreamResponse:
    return await _forward(request, "/widget/v1.js", {})


async def _pass(request: web.Request) -> web.StreamResponse:
    transaction_id = request.match_info["id"]
    authorization = request.headers.get("Authorization", "")
    if not _ID.fullmatch(transaction_id):
        return _refuse("not_found", "expected the id of a transaction", 404)
    if not _TOKEN.fullmatch(authorization):
        return _refuse("unauthenticated", "expected a browser token `btk_…`", 401)
    tail = request.path.rpartition(f"/{transaction_id}")[2]
    return await _forward(
        request,
        f"/v1/transactions/{transaction_id}{tail}",
        {"Authorization": authorization},
    )


async def _forward(request: web.Request, path: str, headers: dict[str, str]) -> web.StreamResponse:
    sent = dict(headers)
    for name in _UP:
        if name in request.headers:
            sent[name] = request.headers[name]
    body = None
    if request.method == "POST":
        # `client_max_size` of a sub-application is not heeded by aiohttp, so it is counted here.
        body = b""
        while len(body) <= _MAX_UP and (chunk := await request.content.readany()):
            body += chunk
        if len(body) > _MAX_UP:
            return _refuse("request_too_large", f"expected at most {_MAX_UP} bytes", 413)
        sent["Content-Type"] = request.headers.get("Content-Type", "")
    query = f"?{request.rel_url.raw_query_string}" if request.query_string else ""
    answer: web.StreamResponse | None = None
    try:
        async with request.app[_SESSION].request(
            request.method,
            request.app[_BASE] + path + query,
            data=body,
            headers=sent,
            allow_redirects=False,
        ) as reply:
            answer = web.StreamResponse(status=reply.status)
            for name in _DOWN:
                if name in reply.headers:
                    answer.headers[name] = reply.headers[name]
            answer.headers["Cache-Control"] = (
                "public, max-age=300" if path.startswith("/widget/") else "no-store"
            )
            answer.headers["X-Content-Type-Options"] = "nosniff"
            await answer.prepare(request)
            async for chunk in reply.content.iter_any():
                await answer.write(chunk)
            await answer.write_eof()
            return answer
    except (aiohttp.ClientError, TimeoutError):
        if answer is not None and answer.prepared:
            # The head is out: a cut stream tells the widget to come back.
            raise ConnectionResetError("the gateway went away in the middle of an answer") from None
        return _refuse("upstream_unreachable", "the gateway cannot be reached right now", 502)
