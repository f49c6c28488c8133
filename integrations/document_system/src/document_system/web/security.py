"""What every request passes: response headers, the session, and the CSRF token of every form.

The CSRF token is an HMAC under the session cookie's value, so it needs no storage, and the sign-in
form has one too (under the cookie that its page sets). ``/webhooks/`` and the relay take no cookie
and are let through: the one is signed, the other bears its own ``Authorization``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from document_system.store import users
from document_system.web.keys import DESK, SESSION, SETTINGS, Session

__all__ = [
    "COOKIE",
    "RELAY_PATH",
    "UPLOAD_MOST",
    "CsrfRefused",
    "headers",
    "safe_next",
    "sessions",
    "set_session",
]

COOKIE: Final = "document_system_session"
RELAY_PATH: Final = "/moica"

UPLOAD_MOST: Final = 3 * 1024 * 1024
"""Bytes of a form with a file in it; every other form is small."""

_NO_COOKIE: Final = (f"{RELAY_PATH}/", "/webhooks/", "/static/", "/healthz", "/readyz")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class CsrfRefused(Exception):
    """A form without the token of its session. Action: show the page again."""


@web.middleware
async def headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Security headers on every answer, errors too; what the relay sets itself is kept."""
    try:
        response = await handler(request)
    except web.HTTPException as e:
        _add_headers(request, e)
        raise
    if not response.prepared:
        _add_headers(request, response)
    return response


def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if not request.path.startswith("/static/"):
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    if request.app[SETTINGS].secure:
        response.headers.setdefault(hdrs.STRICT_TRANSPORT_SECURITY, "max-age=31536000")


def csrf_of(token: str) -> str:
    """The token that this session's forms bear."""
    return hmac.new(token.encode(), b"document-system csrf", hashlib.sha256).hexdigest()


def set_session(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Gives the browser its session."""
    response.set_cookie(
        COOKIE,
        token,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=request.app[SETTINGS].secure,
    )


@web.middleware
async def sessions(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Finds the session, sends strangers to the sign-in page, and checks every form."""
    if request.path.startswith(_NO_COOKIE):
        return await handler(request)
    came = request.cookies.get(COOKIE, "")
    known = _TOKEN.fullmatch(came) is not None
    token = came if known else secrets.token_urlsafe(32)
    desk = request.app[DESK]
    user = await desk.database.run(users.session_user, token, desk.clock()) if known else None
    request[SESSION] = Session(token=token, csrf=csrf_of(token), user=user)
    if user is None and request.path != "/sign-in":
        wanted = request.path_qs if request.method in ("GET", "HEAD") else "/"
        raise web.HTTPSeeOther(f"/sign-in?next={quote(wanted, safe='/')}")
    if request.method not in ("GET", "HEAD"):
        if user is not None and request.path.endswith("/attachments"):
            return await _with_files(request.clone(client_max_size=UPLOAD_MOST), handler)
        await _check_form(request)
    response = await handler(request)
    if not known and not response.prepared and COOKIE not in response.cookies:
        set_session(request, response, token)
    return response


async def _with_files(request: web.Request, handler: Handler) -> web.StreamResponse:
    size = request.content_length or 0
    if size > UPLOAD_MOST:
        raise web.HTTPRequestEntityTooLarge(max_size=UPLOAD_MOST, actual_size=size)
    form = await _form(request)
    try:
        await _check_form(request)
        return await handler(request)
    finally:
        # aiohttp closes those of the request that it has made itself, and this is a clone.
        for value in form.values():
            if isinstance(value, web.FileField):
                value.file.close()


async def _form(request: web.Request) -> Mapping[str, object]:
    try:
        return await request.post()
    except ValueError as e:
        # A body that is no form at all.
        raise web.HTTPBadRequest(text="bad form") from e


async def _check_form(request: web.Request) -> None:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise CsrfRefused
    came = (await _form(request)).get("csrf_token", "")
    expected = request[SESSION].csrf
    if not isinstance(came, str) or not hmac.compare_digest(
        came.encode("utf-8", "replace"), expected.encode()
    ):
        raise CsrfRefused


def safe_next(wanted: str) -> str:
    """Where to go after signing in: a path of our own, never another host."""
    if re.fullmatch(r"/(?![/\\])[\x21-\x7e]*", wanted) and "\\" not in wanted:
        return wanted
    return "/"
