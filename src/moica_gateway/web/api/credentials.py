"""``/v1/credentials``, ``/v1/users`` and the feed ``/v1/events``."""

from __future__ import annotations

import json

from aiohttp import web

from moica_gateway.domain.models import Credential, Scope
from moica_gateway.domain.values import CredentialId
from moica_gateway.errors import error
from moica_gateway.web.api.reading import caller, query, query_whole
from moica_gateway.web.api.views import credential_view
from moica_gateway.web.keys import SERVICES
from moica_gateway.web.running import carry_on
from moica_gateway.wire import PageView

__all__ = ["delete", "delete_user", "disable", "enable", "feed", "list_"]


def _id(request: web.Request) -> CredentialId:
    return CredentialId(request.match_info["id"])


def _answer(credential: Credential) -> web.Response:
    return web.json_response(credential_view(credential).to_json())


async def list_(request: web.Request) -> web.Response:
    """Of one user, oldest first."""
    who = await caller(request, Scope.READ)
    user_id = query(request, "user_id").get("user_id")
    if not user_id:
        raise error("request_invalid", "query `user_id`: expected one", member="user_id")
    found = await request.app[SERVICES].credentials.list(who, user_id)
    items = tuple(credential_view(c).to_json() for c in found)
    return web.json_response(PageView(items=items).to_json())


async def enable(request: web.Request) -> web.Response:
    """Enable one, disable the user's others."""
    who = await caller(request, Scope.REGISTER)
    query(request)
    credentials = request.app[SERVICES].credentials
    return _answer(await carry_on(request.app, credentials.enable(who, _id(request))))


async def disable(request: web.Request) -> web.Response:
    """It signs no more."""
    who = await caller(request, Scope.REGISTER)
    query(request)
    credentials = request.app[SERVICES].credentials
    return _answer(await carry_on(request.app, credentials.disable(who, _id(request))))


async def delete(request: web.Request) -> web.Response:
    """Forget it."""
    who = await caller(request, Scope.REGISTER)
    query(request)
    credentials = request.app[SERVICES].credentials
    await carry_on(request.app, credentials.delete(who, _id(request)))
    return web.Response(status=204)


async def delete_user(request: web.Request) -> web.Response:
    """Leaving (離職) and erasure."""
    who = await caller(request, Scope.ADMIN)
    query(request)
    credentials = request.app[SERVICES].credentials
    await carry_on(request.app, credentials.delete_user(who, request.match_info["id"]))
    return web.Response(status=204)


async def feed(request: web.Request) -> web.Response:
    """The webhooks' bodies, oldest first; ``next_cursor`` goes on from here."""
    who = await caller(request, Scope.READ)
    values = query(request, "after", "limit")
    page = await request.app[SERVICES].feed.events(
        who, values.get("after", ""), query_whole(values, "limit", 1, 200, 50)
    )
    items = tuple({"id": m.id, **json.loads(m.body)} for m in page.items)
    return web.json_response(PageView(items=items, next_cursor=page.next_cursor).to_json())
