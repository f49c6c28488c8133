"""「儲存並送出」 and the window 「行動自然人憑證簽章中」 with each of its endings."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from document_system.models import Channel, Confirmation
from document_system.outcomes import message_of
from document_system.store import documents
from document_system.web.advice import advice_for_signing, code_helps
from document_system.web.documents import DOCUMENT, acting, own_document
from document_system.web.keys import ASKING, DESK, SIGNING
from document_system.web.paths import path_of
from document_system.web.render import field, page, redirect, user_of
from document_system.web.windows import begun, followed
from moica_gateway.errors import GatewayError

__all__ = ["routes"]

routes = web.RouteTableDef()

_WINDOW: Final = DOCUMENT + "/signing/{id:[A-Za-z0-9_-]{1,40}}"
_BATCH: Final = "/batches/{id:cnf_[A-Za-z0-9_-]{1,40}}"


@routes.post(DOCUMENT + "/sign")
async def sign(request: web.Request) -> web.Response:
    """「儲存並送出」: freezes, asks the phone once, and shows the window."""
    number = (await own_document(request)).number
    asked = request.app[SIGNING].begin(
        user_of(request), [number], reason=await field(request, "reason")
    )
    return await begun(request, asked, [number], f"/documents/{number}")


async def _own(request: web.Request) -> Confirmation:
    """The user's own; also where the document has been taken back meanwhile."""
    found = await request.app[ASKING].find(request.match_info["id"], user_of(request))
    if found is None or found.single is None:
        raise web.HTTPNotFound
    if found.single.number != request.match_info["number"]:
        raise web.HTTPNotFound
    return found


@routes.get(_WINDOW)
async def window(request: web.Request) -> web.Response:
    """The window as it stands now; a reload changes nothing but what is shown."""
    confirmation, warning = await followed(request, await _own(request))
    number = request.match_info["number"]
    if confirmation.status == "completed":
        return await redirect(request, f"/documents/{number}/send")
    document = await request.app[DESK].database.run(documents.find_document, number)
    if document is None:
        raise web.HTTPNotFound
    here = await acting(request, document)
    return await page(
        request,
        "signing.html",
        document=document,
        here=here,
        confirmation=confirmation,
        other=await request.app[ASKING].other(confirmation),
        advice=advice_for_signing(confirmation),
        offer_code=code_helps(confirmation),
        warning=warning,
    )


@routes.post(_WINDOW + "/cancel")
async def cancel(request: web.Request) -> web.Response:
    """「取消簽章」."""
    confirmation = await _own(request)
    try:
        await request.app[ASKING].cancel(confirmation)
    except GatewayError as e:
        return await redirect(
            request, path_of(confirmation), f"目前無法取消：{message_of(e.problem)}"
        )
    return await redirect(request, path_of(confirmation))


async def _anew(
    request: web.Request, *, channel: Channel | None = None, supersede: bool = False
) -> web.Response:
    confirmation = await _of_either(request)
    numbers = [one.number for one in confirmation.items if one.status != "completed"]
    if confirmation.open or not numbers:
        return await redirect(request, path_of(confirmation))
    asked = request.app[SIGNING].begin_anew(
        user_of(request), confirmation, channel=channel, supersede=supersede
    )
    return await begun(request, asked, numbers, path_of(confirmation))


async def _of_either(request: web.Request) -> Confirmation:
    """Of the window over one document or over several."""
    if "number" in request.match_info:
        return await _own(request)
    found = await request.app[ASKING].find(request.match_info["id"], user_of(request))
    if found is None or len(found.items) < 2:
        raise web.HTTPNotFound
    return found


@routes.post(_WINDOW + "/qr")
@routes.post(_BATCH + "/qr")
async def by_code(request: web.Request) -> web.Response:
    """「QR Code 模式登入」 where push is paused or reaches nobody: the same by QR code."""
    return await _anew(request, channel="qr")


@routes.get(_WINDOW + "/restart")
@routes.get(_BATCH + "/restart")
async def restart_page(request: web.Request) -> web.Response:
    """Asks before another request of this user is cancelled."""
    confirmation = await _of_either(request)
    if confirmation.open_transaction is None:
        return await redirect(request, path_of(confirmation))
    other = await request.app[ASKING].other(confirmation)
    return await page(request, "restart.html", confirmation=confirmation, other=other)


@routes.post(_WINDOW + "/restart")
@routes.post(_BATCH + "/restart")
async def restart(request: web.Request) -> web.Response:
    """「取消先前的簽章並重新開始」."""
    confirmation = await _of_either(request)
    if confirmation.open_transaction is None:
        return await redirect(request, path_of(confirmation))
    return await _anew(request, supersede=True)
