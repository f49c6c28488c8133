"""Around every request: an id, headers, a log line, and errors as problem documents (RFC 9457).

A log line bears the route's pattern, never a path, query, header or body: tokens and persons stand
there. No CORS: the widget is relayed on the document system's own origin (api.md, "Browser").
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from moica_gateway.errors import GatewayError, Problem, error, problem
from moica_gateway.web.keys import ALLOWANCE, CALLER, OPTIONS, REQUEST_ID, STREAM

__all__ = ["add_headers", "answer_problems", "observe_requests"]

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


def _problem_response(found: Problem) -> web.Response:
    # A problem that is a transaction's ending has no HTTP status of its own; where such a thing
    # keeps a request from being carried out, it is a conflict.
    status = found.status if found.status >= 400 else 409
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="moica-gateway"'
    retry_after = found.extra.get("retry_after")
    if isinstance(retry_after, int | float):
        headers["Retry-After"] = str(int(retry_after))
    return web.Response(
        status=status,
        body=json.dumps({**found.to_json(), "status": status}, ensure_ascii=False).encode(),
        content_type="application/problem+json",
        headers=headers,
    )


def _of_http(e: web.HTTPException) -> web.Response:
    code = _OF_STATUS.get(e.status, "request_malformed" if e.status < 500 else "internal_error")
    detail = {
        404: "expected a path of the API, came another; see /openapi.json",
        405: "expected a method that this path takes; see /openapi.json",
        413: "expected a smaller body; the integrator sends `sha256` instead of the content",
    }.get(e.status, "the request cannot be handled")
    response = _problem_response(problem(code, detail))
    if isinstance(e, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(e.allowed_methods))
    return response


@web.middleware
async def answer_problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Whatever goes wrong becomes a problem document; nothing foreign is shown."""
    try:
        return await handler(request)
    except GatewayError as e:
        return _answer(request, e.problem)
    except web.HTTPException as e:
        if e.status < 400:
            raise
        return _of_http(e)
    except Exception as e:
        # The last place where a defect can still be answered.
        if isinstance(e, ConnectionError) and (
            request.transport is None or request.transport.is_closing()
        ):
            raise  # the caller's line broke: nobody is there to be answered
        structlog.get_logger("moica_gateway.http").exception(
            "http.failed", method=request.method, route=_route(request)
        )
        return _answer(
            request,
            error(
                "internal_error",
                "something unexpected went wrong; the operator finds it in "
                "the log under this request's id",
            ).problem,
        )


def _answer(request: web.Request, found: Problem) -> web.StreamResponse:
    # Behind the head of a stream there is no room for a problem document: the stream ends, and
    # whoever reads it comes back and is told then.
    stream = request.get(STREAM)
    return _problem_response(found) if stream is None else stream


@web.middleware
async def observe_requests(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Request id, log line, metrics."""
    options = request.app[OPTIONS]
    came = request.headers.get("X-Request-ID", "")
    request_id = came if _REQUEST_ID.fullmatch(came) else options.request_id()
    request[REQUEST_ID] = request_id
    start = options.monotonic()
    status = 499
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            seconds = options.monotonic() - start
            options.observe(request.method, _route(request), status, seconds)
            caller = request.get(CALLER)
            structlog.get_logger("moica_gateway.http").info(
                "http.request",
                method=request.method,
                route=_route(request),
                status=status,
                ms=round(seconds * 1000, 1),
                tenant=caller.tenant if caller else None,
            )


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """On every answer, streams and errors too, just before its head goes out."""
    headers = response.headers
    headers["Server"] = "moica-gateway"
    if REQUEST_ID in request:
        headers["X-Request-ID"] = request[REQUEST_ID]
    if ALLOWANCE in request:
        headers.update(request[ALLOWANCE].headers())
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if not request.path.startswith("/widget/"):
        headers.setdefault("Cache-Control", "no-store")


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
