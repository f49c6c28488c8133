"""Signing in and out."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import Final
from urllib.parse import quote

from aiohttp import web

from document_system.seed import DEMO_PASSWORD
from document_system.store import users
from document_system.web.keys import DESK, PASSWORDS, SESSION, SETTINGS, THROTTLE
from document_system.web.render import field, page, redirect
from document_system.web.security import COOKIE, safe_next, set_session

__all__ = ["routes"]

routes = web.RouteTableDef()

_LASTS: Final = timedelta(hours=10)
_WRONG: Final = "帳號或密碼不正確，請重新輸入。"
_PAUSED: Final = "登入失敗次數過多，請於 5 分鐘後再試。"
_ERRORS: Final = {"wrong": _WRONG, "paused": _PAUSED}


@routes.get("/")
async def home(request: web.Request) -> web.Response:
    """To the desk."""
    return await redirect(request, "/dashboard/main")


@routes.get("/sign-in")
async def sign_in_page(request: web.Request) -> web.Response:
    """The form; with the sample users where the demo was started."""
    if request[SESSION].user is not None:
        await redirect(request, "/dashboard/main")
    demo = request.app[SETTINGS].demo
    desk = request.app[DESK]
    return await page(
        request,
        "sign_in.html",
        next=safe_next(request.query.get("next", "/")),
        error=_ERRORS.get(request.query.get("error", "")),
        sample_users=await desk.database.run(users.list_users) if demo else [],
        sample_password=DEMO_PASSWORD if demo else None,
    )


@routes.post("/sign-in")
async def sign_in(request: web.Request) -> web.Response:
    """Checks the password off the loop; a new session replaces the anonymous cookie."""
    desk, throttle = request.app[DESK], request.app[THROTTLE]
    user_id = (await field(request, "user_id")).strip()[:100]
    password = (await field(request, "password"))[:200]
    wanted = safe_next(await field(request, "next"))
    back = f"/sign-in?next={quote(wanted, safe='/')}"
    if throttle.closed(user_id):
        return await redirect(request, f"{back}&error=paused")
    expected = await desk.database.run(users.password_hash_of, user_id)
    if not await asyncio.to_thread(request.app[PASSWORDS].verify, password, expected):
        throttle.failed(user_id)
        return await redirect(request, f"{back}&error=wrong")
    throttle.succeeded(user_id)
    token = secrets.token_urlsafe(32)
    now = desk.clock()
    await desk.database.run(users.add_session, token, user_id, now, now + _LASTS)
    response = web.HTTPSeeOther(wanted)
    set_session(request, response, token)
    raise response


@routes.post("/sign-out")
async def sign_out(request: web.Request) -> web.Response:
    """Ends the session on the server; the cookie alone would open nothing."""
    await request.app[DESK].database.run(users.end_session, request[SESSION].token)
    response = web.HTTPSeeOther("/sign-in")
    response.del_cookie(COOKIE, path="/")
    raise response
