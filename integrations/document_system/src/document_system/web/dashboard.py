"""儀錶板: 【主辦公文】, 【會辦公文】, 【待核公文】."""

from __future__ import annotations

import sqlite3
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from attrs import frozen

from document_system.store import attachments, confirmations, deputies, documents
from document_system.web.keys import DESK
from document_system.web.paging import page_of
from document_system.web.render import page, redirect, user_of

__all__ = ["routes"]

routes = web.RouteTableDef()


@frozen
class _Tab:
    path: str
    label: str
    roles: tuple[str, ...]


_TABS: Final = {
    "main": _Tab("main", "主辦公文", ("承辦",)),
    "joint": _Tab("joint", "會辦公文", ("會辦",)),
    "review": _Tab("review", "待核公文", ("審核", "決行")),
}
_ROWS: Final = (10, 50, 100)
"""How many a page may show: who signs many at once wants them on one page."""


@routes.get("/dashboard/{tab:main|joint|review}")
async def dashboard(request: web.Request) -> web.Response:
    """One tab, one page of it; with what lies on the desks of those for whom the user stands in."""
    user, desk = user_of(request), request.app[DESK]
    tab = _TABS[request.match_info["tab"]]
    asked = request.query.get("rows", "")
    rows = int(asked) if asked in {str(one) for one in _ROWS} else _ROWS[0]

    def look(db: sqlite3.Connection) -> dict[str, Any]:
        principals = deputies.principals_of(db, user.user_id, desk.clock())
        desks = [user.user_id, *(one.user_id for one in principals)]
        counts = {
            one.path: documents.list_desk(db, desks, one.roles, limit=0, offset=0)[1]
            for one in _TABS.values()
        }
        shown = page_of(request.query.get("page", "1"), counts[tab.path], rows)
        listed, _ = documents.list_desk(db, desks, tab.roles, limit=rows, offset=shown.offset)
        return {
            "counts": {
                **counts,
                "sent": documents.list_sent(db, user.user_id, limit=0, offset=0)[1],
            },
            "documents": listed,
            "files": {one.number: attachments.count_attachments(db, one.number) for one in listed},
            "shown": shown,
            "being_signed": {i.number for c in confirmations.list_open(db) for i in c.items},
        }

    return await page(
        request,
        "dashboard.html",
        tabs=_TABS.values(),
        tab=tab,
        rows=rows,
        lengths=_ROWS,
        **await desk.database.run(look),
    )


@routes.get("/dashboard/sent")
async def sent(request: web.Request) -> web.Response:
    """What this user has begun and passed on: where it is now, and the way to take it back."""
    user, desk = user_of(request), request.app[DESK]

    def look(db: sqlite3.Connection) -> dict[str, Any]:
        principals = deputies.principals_of(db, user.user_id, desk.clock())
        desks = [user.user_id, *(one.user_id for one in principals)]
        _, count = documents.list_sent(db, user.user_id, limit=0, offset=0)
        shown = page_of(request.query.get("page", "1"), count, _ROWS[0])
        listed, _ = documents.list_sent(db, user.user_id, limit=_ROWS[0], offset=shown.offset)
        counts = {
            one.path: documents.list_desk(db, desks, one.roles, limit=0, offset=0)[1]
            for one in _TABS.values()
        }
        return {"counts": {**counts, "sent": count}, "documents": listed, "shown": shown}

    return await page(request, "sent.html", tabs=_TABS.values(), **await desk.database.run(look))


@routes.post("/dashboard/{tab:main|joint|review}/batch")
async def batch(request: web.Request) -> web.Response:
    """「連續簽章」: on to what will be signed."""
    chosen = [one for one in (await request.post()).getall("number", []) if isinstance(one, str)]
    if not chosen:
        path = f"/dashboard/{request.match_info['tab']}"
        return await redirect(request, path, "請先勾選公文。", "info")
    return await redirect(request, f"/batches/new?{urlencode([('number', n) for n in chosen])}")
