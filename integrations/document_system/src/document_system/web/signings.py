"""「儲存並送出」 and the window 「行動自然人憑證簽章中」 with each of its endings."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from document_system.errors import Refused
from document_system.models import Confirmation, Document
from document_system.outcomes import message_of
from document_system.store import confirmations
from document_system.web.documents import DOCUMENT, own_document
from document_system.web.keys import ASKING, DESK, SIGNING
from document_system.web.render import page, redirect, user_of
from moica_gateway.errors import GatewayError

__all__ = ["routes"]

routes = web.RouteTableDef()

_WINDOW: Final = DOCUMENT + "/signing/{id:[A-Za-z0-9_-]{1,40}}"


@routes.post(DOCUMENT + "/sign")
async def sign(request: web.Request) -> web.Response:
    """「儲存並送出」: freezes, asks the phone once, and shows the window."""
    document, user = await own_document(request), user_of(request)
    try:
        confirmation = await request.app[SIGNING].begin(user, document.number)
    except Refused as e:
        return await redirect(request, f"/documents/{document.number}", str(e))
    except GatewayError as e:
        # The window asks again under the same key.
        latest = await request.app[DESK].database.run(
            confirmations.latest_signature, document.number
        )
        if latest is None:
            raise
        return await redirect(request, _path(latest), message_of(e.problem))
    return await redirect(request, _path(confirmation))


def _path(confirmation: Confirmation) -> str:
    return f"/documents/{confirmation.number}/signing/{confirmation.id}"


async def _own(request: web.Request) -> tuple[Document, Confirmation]:
    document = await own_document(request)
    found = await request.app[ASKING].find(request.match_info["id"], user_of(request))
    if found is None or found.number != document.number:
        raise web.HTTPNotFound
    return document, found


@routes.get(_WINDOW)
async def window(request: web.Request) -> web.Response:
    """The window as it stands now; a reload changes nothing but what is shown."""
    document, confirmation = await _own(request)
    warning = None
    try:
        if confirmation.status == "starting":
            confirmation = await request.app[SIGNING].resume(confirmation)
        confirmation = await request.app[ASKING].look(confirmation)
    except GatewayError as e:
        warning = f"暫時無法確認狀態：{message_of(e.problem)}"
        confirmation = await request.app[ASKING].reload(confirmation)
    except Refused as e:
        warning = str(e)
    if confirmation.status == "completed":
        return await redirect(request, f"/documents/{document.number}/send")
    other = None
    if confirmation.open_transaction is not None:
        other = await request.app[DESK].database.run(
            confirmations.find_by_transaction, confirmation.open_transaction
        )
        if other is not None and other.user_id != confirmation.user_id:
            other = None
    return await page(
        request,
        "signing.html",
        document=document,
        confirmation=confirmation,
        other=other,
        warning=warning,
    )


@routes.post(_WINDOW + "/cancel")
async def cancel(request: web.Request) -> web.Response:
    """「取消簽章」."""
    _, confirmation = await _own(request)
    try:
        await request.app[ASKING].cancel(confirmation)
    except GatewayError as e:
        return await redirect(
            request, _path(confirmation), f"目前無法取消：{message_of(e.problem)}"
        )
    return await redirect(request, _path(confirmation))


@routes.post(_WINDOW + "/cancel-other")
async def cancel_other(request: web.Request) -> web.Response:
    """Cancels the open transaction that stood in the way, then back to the document."""
    document, confirmation = await _own(request)
    here = f"/documents/{document.number}"
    try:
        done = await request.app[ASKING].cancel_other(confirmation)
    except GatewayError as e:
        return await redirect(
            request, _path(confirmation), f"目前無法取消：{message_of(e.problem)}"
        )
    if not done:
        return await redirect(request, _path(confirmation), "無法取消這筆作業。")
    return await redirect(request, here, "已取消前一筆作業，請重新按「送出」。", "success")
