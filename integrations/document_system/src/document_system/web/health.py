"""For whoever runs it: alive, and ready to serve."""

from __future__ import annotations

from aiohttp import web

from document_system.store import users
from document_system.web.keys import DESK

__all__ = ["routes"]

routes = web.RouteTableDef()


@routes.get("/healthz")
async def healthz(_: web.Request) -> web.Response:
    """The process answers."""
    return web.json_response({"status": "ok"})


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """The database answers. The gateway is not asked: pages work without it."""
    await request.app[DESK].database.run(users.has_users)
    return web.json_response({"status": "ok"})
