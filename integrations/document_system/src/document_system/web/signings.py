"""「儲存並送出」 and the window 「行動自然人憑證簽章中」 with each of its endings."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from document_system.errors import Refused
from document_system.models import Confirmation, Document
from document_system.outcomes import message_of
from document_system.store import confirmations
from document_system.web.advice import advice_for_signing, code_helps
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
    document = await own_document(request)
    begun = request.app[SIGNING].begin(user_of(request), document.number)
    return await _to_window(request, document, begun)


async def _to_window(
    request: web.Request, document: Document, begun: Awaitable[Confirmation]
) -> web.Response:
    try:
        confirmation = await begun
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
    return await page(
        request,
        "signing.html",
        document=document,
        confirmation=confirmation,
        other=await request.app[ASKING].other(confirmation),
        advice=advice_for_signing(confirmation),
        offer_code=code_helps(confirmation),
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


@routes.post(_WINDOW + "/qr")
async def by_code(request: web.Request) -> web.Response:
    """「QR Code 模式登入」 where push is paused or reaches nobody: the same by QR code."""
    document, _ = await _own(request)
    begun = request.app[SIGNING].begin(user_of(request), document.number, channel="qr")
    return await _to_window(request, document, begun)


@routes.get(_WINDOW + "/restart")
async def restart_page(request: web.Request) -> web.Response:
    """Asks before another request of this user is cancelled."""
    document, confirmation = await _own(request)
    if confirmation.open_transaction is None:
        return await redirect(request, _path(confirmation))
    other = await request.app[ASKING].other(confirmation)
    return await page(
        request, "restart.html", document=document, confirmation=confirmation, other=other
    )


@routes.post(_WINDOW + "/restart")
async def restart(request: web.Request) -> web.Response:
    """「取消先前的簽章並重新開始」."""
    document, confirmation = await _own(request)
    if confirmation.open_transaction is None:
        return await redirect(request, _path(confirmation))
    begun = request.app[SIGNING].begin_anew(user_of(request), confirmation)
    return await _to_window(request, document, begun)
