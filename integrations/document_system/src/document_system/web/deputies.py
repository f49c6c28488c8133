"""【基本資料】→【代理人設定】: who may sign for me, and until when."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Final

from aiohttp import web

from document_system.roc import TAIPEI
from document_system.store import deputies, users
from document_system.web.keys import DESK
from document_system.web.render import field, page, redirect, user_of

__all__ = ["routes"]

routes = web.RouteTableDef()

_LONGEST: Final = timedelta(days=366)


@routes.get("/deputies")
async def deputy_list(request: web.Request) -> web.Response:
    """Whom I have appointed, and for whom I stand in."""
    user, desk = user_of(request), request.app[DESK]
    now = desk.clock()
    everybody = await desk.database.run(users.list_users)
    return await page(
        request,
        "deputies.html",
        deputies=await desk.database.run(deputies.list_deputies, user.user_id),
        principals=await desk.database.run(deputies.principals_of, user.user_id, now),
        others=[one for one in everybody if one.user_id != user.user_id],
        now=now,
        today=now.astimezone(TAIPEI).date().isoformat(),
    )


@routes.post("/deputies")
async def appoint(request: web.Request) -> web.Response:
    """「新增」: to the end of that day."""
    user, desk = user_of(request), request.app[DESK]
    chosen, until = await field(request, "deputy"), await field(request, "until")
    deputy = await desk.database.run(users.find_user, chosen)
    if deputy is None or deputy.user_id == user.user_id:
        return await redirect(request, "/deputies", "請選擇「代理人」。")
    try:
        end = datetime.combine(date.fromisoformat(until), time.max, TAIPEI)
    except ValueError:
        return await redirect(request, "/deputies", "請填寫「代理至」的日期。")
    now = desk.clock()
    if not now < end <= now + _LONGEST:
        return await redirect(request, "/deputies", "「代理至」須為今日以後，至多一年。")
    await desk.database.run(deputies.add_deputy, user.user_id, deputy.user_id, end)
    return await redirect(
        request, "/deputies", f"已設定 {deputy.title} {deputy.name} 為代理人。", "success"
    )


@routes.post("/deputies/{deputy:[!-.0-~]{1,100}}/end")
async def end(request: web.Request) -> web.Response:
    """「停用」: from now on no more; a signature that is open is not touched."""
    await request.app[DESK].database.run(
        deputies.end_deputy, user_of(request).user_id, request.match_info["deputy"]
    )
    return await redirect(request, "/deputies", "已停用代理人。", "success")
