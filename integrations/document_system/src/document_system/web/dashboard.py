"""儀錶板: 【主辦公文】, 【會辦公文】, 【待核公文】."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from attrs import frozen

from document_system.store import confirmations, documents
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
_ROWS: Final = 10


@routes.get("/dashboard/{tab:main|joint|review}")
async def dashboard(request: web.Request) -> web.Response:
    """One tab, one page of it."""
    user, desk = user_of(request), request.app[DESK]
    tab = _TABS[request.match_info["tab"]]

    wanted = request.query.get("page", "1")
    _, count = await desk.database.run(
        documents.list_desk, user.user_id, tab.roles, limit=0, offset=0
    )
    shown = page_of(wanted, count, _ROWS)
    rows, _ = await desk.database.run(
        documents.list_desk, user.user_id, tab.roles, limit=_ROWS, offset=shown.offset
    )
    counts = {}
    for one in _TABS.values():
        _, counts[one.path] = await desk.database.run(
            documents.list_desk, user.user_id, one.roles, limit=0, offset=0
        )
    being_signed = {
        one.number for one in await desk.database.run(confirmations.list_open) if one.number
    }
    return await page(
        request,
        "dashboard.html",
        tabs=_TABS.values(),
        tab=tab,
        counts=counts,
        documents=rows,
        being_signed=being_signed,
        shown=shown,
    )


@routes.post("/dashboard/{tab:main|joint|review}/batch")
async def batch(request: web.Request) -> web.Response:
    """連續簽章 is not built yet, and says so."""
    chosen = (await request.post()).getall("number", [])
    text = (
        f"已選擇 {len(chosen)} 項。本示範尚未提供「連續簽章」，請點選主旨逐件辦理。"
        if chosen
        else "請先勾選公文。"
    )
    return await redirect(request, f"/dashboard/{request.match_info['tab']}", text, "info")
