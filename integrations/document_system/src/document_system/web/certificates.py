"""【基本資料】→【使用者憑證登記】 and its dialog 「登記憑證」."""

from __future__ import annotations

import secrets
from typing import Final
from urllib.parse import quote

from aiohttp import web

from document_system.errors import Refused
from document_system.models import Confirmation
from document_system.outcomes import message_of
from document_system.store import certificates
from document_system.web.advice import advice_for_registering, code_helps
from document_system.web.keys import ASKING, DESK, REGISTERING
from document_system.web.paging import page_of
from document_system.web.render import field, page, redirect, user_of
from moica_gateway.errors import GatewayError

__all__ = ["routes"]

routes = web.RouteTableDef()

_ROWS: Final = 10
_MOBILE: Final = "mobile"
_TYPES: Final = (
    ("temporary", "臨時憑證"),
    ("card", "自然人憑證"),
    (_MOBILE, "行動自然人憑證"),
)
_NAMES: Final = dict(_TYPES)


async def _show(
    request: web.Request,
    *,
    dialog: bool = False,
    confirmation: Confirmation | None = None,
    chosen: str = _MOBILE,
    nonce: str | None = None,
    warning: str | None = None,
) -> web.Response:
    user, desk = user_of(request), request.app[DESK]
    rows = await desk.database.run(certificates.list_certificates, user.user_id)
    shown = page_of(request.query.get("page", "1"), len(rows), _ROWS)
    return await page(
        request,
        "certificates.html",
        certificates=rows[shown.offset : shown.last_row],
        shown=shown,
        now=desk.clock(),
        dialog=dialog,
        types=_TYPES,
        chosen=chosen,
        nonce=nonce or secrets.token_urlsafe(18),
        confirmation=confirmation,
        other=await request.app[ASKING].other(confirmation) if confirmation else None,
        advice=advice_for_registering(confirmation, user) if confirmation else "",
        offer_code=confirmation is not None and code_helps(confirmation),
        warning=warning,
    )


@routes.get("/certificates")
async def certificate_list(request: web.Request) -> web.Response:
    """The list."""
    return await _show(request)


@routes.get("/certificates/new")
async def new_certificate(request: web.Request) -> web.Response:
    """「新增」: the dialog, empty. ``nonce`` comes back where the gateway's answer was lost."""
    chosen = request.query.get("type", _MOBILE)
    return await _show(
        request,
        dialog=True,
        chosen=chosen if chosen in _NAMES else _MOBILE,
        nonce=request.query.get("nonce"),
    )


@routes.post("/certificates/apply")
async def apply(request: web.Request) -> web.Response:
    """「申請」."""
    user = user_of(request)
    chosen, nonce = await field(request, "type"), await field(request, "nonce")
    if chosen != _MOBILE:
        return await _not_offered(request, chosen)
    if await field(request, "user_id") != user.user_id:
        return await redirect(request, "/certificates/new", "請選擇「使用者姓名」。")
    try:
        confirmation = await request.app[REGISTERING].begin(
            user,
            nonce,
            await field(request, "id_number"),
            channel="qr" if await field(request, "channel") == "qr" else "push",
            supersede=await field(request, "supersede") == "yes",
        )
    except Refused as e:
        return await redirect(request, "/certificates/new", str(e))
    except GatewayError as e:
        # The same nonce again: if the gateway has it after all, the phone rings no second time.
        return await redirect(
            request,
            f"/certificates/new?nonce={quote(nonce)}",
            f"{message_of(e.problem)}（請重新輸入後再按一次「申請」）",
        )
    return await redirect(request, f"/certificates/registrations/{confirmation.id}")


@routes.post("/certificates/save")
async def save_nothing(request: web.Request) -> web.Response:
    """「儲存」 before anything was registered."""
    chosen = await field(request, "type")
    if chosen != _MOBILE:
        return await _not_offered(request, chosen)
    return await redirect(
        request, "/certificates/new", "請先輸入「身分證字號」並按「申請」，註冊完成後再儲存。"
    )


async def _not_offered(request: web.Request, chosen: str) -> web.Response:
    if chosen not in _NAMES:
        return await redirect(request, "/certificates/new", "請選擇「憑證類別」。")
    return await redirect(
        request,
        f"/certificates/new?type={chosen}",
        f"本示範系統尚未提供「{_NAMES[chosen]}」登記，請改用「行動自然人憑證」。",
        "info",
    )


async def _own(request: web.Request) -> Confirmation:
    found = await request.app[ASKING].find(request.match_info["id"], user_of(request))
    if found is None or found.kind != "registration":
        raise web.HTTPNotFound
    return found


@routes.get("/certificates/registrations/{id:[A-Za-z0-9_-]{1,40}}")
async def registration(request: web.Request) -> web.Response:
    """The dialog while the phone is asked, and after; survives a reload."""
    confirmation = await _own(request)
    warning = None
    try:
        confirmation = await request.app[ASKING].look(confirmation)
    except GatewayError as e:
        warning = f"暫時無法確認狀態：{message_of(e.problem)}"
    except Refused as e:
        warning = str(e)
    return await _show(request, dialog=True, confirmation=confirmation, warning=warning)


@routes.post("/certificates/registrations/{id:[A-Za-z0-9_-]{1,40}}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """「取消申請」."""
    confirmation = await _own(request)
    here = f"/certificates/registrations/{confirmation.id}"
    try:
        await request.app[ASKING].cancel(confirmation)
    except GatewayError as e:
        return await redirect(request, here, f"目前無法取消：{message_of(e.problem)}")
    return await redirect(request, here)


@routes.post("/certificates/registrations/{id:[A-Za-z0-9_-]{1,40}}/save")
async def save(request: web.Request) -> web.Response:
    """「儲存」."""
    confirmation = await _own(request)
    here = f"/certificates/registrations/{confirmation.id}"
    try:
        await request.app[REGISTERING].save(user_of(request), confirmation)
    except Refused as e:
        return await redirect(request, here, str(e))
    except GatewayError as e:
        return await redirect(request, here, f"憑證尚未儲存：{message_of(e.problem)}")
    return await redirect(request, "/certificates", "憑證已儲存並啟用。", "success")


@routes.post("/certificates/{id:crt_[A-Za-z0-9_-]{1,40}}/enable")
async def enable(request: web.Request) -> web.Response:
    """「按下後啟用」."""
    try:
        await request.app[REGISTERING].enable(user_of(request), request.match_info["id"])
    except Refused as e:
        return await redirect(request, "/certificates", str(e))
    except GatewayError as e:
        return await redirect(request, "/certificates", f"無法啟用：{message_of(e.problem)}")
    return await redirect(request, "/certificates", "憑證已啟用。", "success")
