"""The document's own pages: look, edit, seal, route, 「公文送出」, and what was signed."""

from __future__ import annotations

import re
import sqlite3
from typing import Final
from urllib.parse import quote

from aiohttp import web

from document_system.errors import Refused
from document_system.models import Document, User
from document_system.outcomes import message_of
from document_system.paper import attachments_of, check
from document_system.signing import REASON_MOST, acts_on, held_draft
from document_system.store import attachments, certificates, confirmations, documents
from document_system.web.keys import ASKING, DESK, SIGNING, WITHDRAWING
from document_system.web.render import field, page, redirect, user_of
from document_system.withdrawing import CHANGED, may_recall
from moica_gateway.errors import GatewayError

__all__ = ["DOCUMENT", "acting", "own_document", "routes"]

routes = web.RouteTableDef()

DOCUMENT: Final = "/documents/{number:[0-9A-Za-z~-]{1,50}}"
_SUBJECT_MOST: Final = 200
_BODY_MOST: Final = 10_000


async def own_document(request: web.Request) -> Document:
    """The document, where it has reached this user or somebody for whom the user stands in; else
    404, as for one that is not there."""
    desk, user = request.app[DESK], user_of(request)

    def find(db: sqlite3.Connection) -> Document | None:
        found = documents.find_document(db, request.match_info["number"])
        if found is None or found.visible_to(user.user_id):
            return found
        return found if acts_on(db, found, user, desk.clock()) else None

    document = await desk.database.run(find)
    if document is None:
        raise web.HTTPNotFound
    return document


async def acting(request: web.Request, document: Document) -> bool:
    """Whether this user may work on it now, for themselves or for the holder."""
    desk = request.app[DESK]
    return await desk.database.run(acts_on, document, user_of(request), desk.clock())


@routes.get(DOCUMENT)
async def document_page(request: web.Request) -> web.Response:
    """The document: content on the left, seal, route and signatures on the right."""
    document, user = await own_document(request), user_of(request)
    database = request.app[DESK].database
    held = await acting(request, document)
    return await page(
        request,
        "document.html",
        document=document,
        held=held,
        stands_in=held and not document.held_by(user.user_id),
        open_signing=await database.run(confirmations.open_signature, document.number),
        may_recall=may_recall(document, user),
        certificate=await database.run(certificates.enabled_certificate, user.user_id),
        attachments=await database.run(attachments.list_attachments, document.number),
        signatures=await database.run(_signed_over, document.number),
    )


def _signed_over(db: sqlite3.Connection, number: str) -> list[dict[str, object]]:
    """Every signature with the attachments that it covers, each as it stands now."""
    kept = attachments.list_attachments(db, number, removed=True)
    shown = []
    for one in documents.list_signatures(db, number):
        version = documents.find_version(db, number, one.version)
        covered = attachments_of(version.content) if version else ()
        shown.append({"signature": one, "covered": [(c, *check(c, kept)) for c in covered]})
    return shown


@routes.get(DOCUMENT + "/edit")
async def edit_page(request: web.Request) -> web.Response:
    """「設定」: the draft's subject, text and attachments. While a signature is open, changing it
    cancels that, and says so beforehand."""
    document, user = await own_document(request), user_of(request)
    desk = request.app[DESK]
    open_signing = await desk.database.run(confirmations.open_signature, document.number)
    if open_signing is None or open_signing.user_id != user.user_id:
        try:
            await desk.database.run(held_draft, document.number, user, desk.clock())
        except Refused as e:
            return await redirect(request, f"/documents/{document.number}", str(e))
    return await page(
        request,
        "edit.html",
        document=document,
        open_signing=open_signing,
        attachments=await desk.database.run(attachments.list_attachments, document.number),
        subject_most=_SUBJECT_MOST,
        body_most=_BODY_MOST,
    )


@routes.post(DOCUMENT + "/edit")
async def edit(request: web.Request) -> web.Response:
    """Changes the draft; what was frozen stays, and the seal has to be placed anew."""
    document, user = await own_document(request), user_of(request)
    here = f"/documents/{document.number}"
    subject = " ".join((await field(request, "subject")).split())
    body = (await field(request, "body")).replace("\r\n", "\n").strip()
    if not subject or len(subject) > _SUBJECT_MOST or len(body) > _BODY_MOST:
        return await redirect(
            request,
            f"{here}/edit",
            f"「主旨」為必填，至多 {_SUBJECT_MOST} 字；說明至多 {_BODY_MOST} 字。",
        )

    withdraw = await field(request, "withdraw") == "yes"

    def change(db: sqlite3.Connection) -> bool:
        now = request.app[DESK].clock()
        current = confirmations.open_signature(db, document.number)
        withdrawn = False
        if withdraw and current is not None and current.user_id == user.user_id:
            withdrawn = request.app[WITHDRAWING].withdraw(db, document.number, CHANGED, now)
        held_draft(db, document.number, user, now)
        documents.edit_document(db, document.number, subject, body)
        return withdrawn

    try:
        withdrawn = await request.app[DESK].database.run(change)
    except Refused as e:
        return await redirect(request, here, str(e))
    if not withdrawn:
        return await redirect(request, here, "已儲存。", "success")
    await request.app[WITHDRAWING].tell_soon()
    return await redirect(
        request, here, "已儲存新的內容，先前送出的簽章已取消；請重新「蓋章」後送出。", "success"
    )


@routes.post(DOCUMENT + "/seal")
async def seal(request: web.Request) -> web.Response:
    """「蓋章」, or ``action=remove`` to take it off."""
    document, user = await own_document(request), user_of(request)
    remove = await field(request, "action") == "remove"

    def change(db: sqlite3.Connection) -> None:
        held_draft(db, document.number, user, request.app[DESK].clock())
        (documents.remove_seal if remove else documents.place_seal)(db, document.number)

    here = f"/documents/{document.number}"
    try:
        await request.app[DESK].database.run(change)
    except Refused as e:
        return await redirect(request, here, str(e))
    return await redirect(request, here)


async def _ready(request: web.Request, document: Document, user: User) -> None:
    desk = request.app[DESK]
    try:
        await desk.database.run(
            request.app[SIGNING].ready_to_sign, document.number, user, desk.clock()
        )
    except Refused as e:
        await redirect(request, f"/documents/{document.number}", str(e))


@routes.post(DOCUMENT + "/submit")
async def submit(request: web.Request) -> web.Response:
    """「送出」: on to the route check."""
    document, user = await own_document(request), user_of(request)
    await _ready(request, document, user)
    return await redirect(request, f"/documents/{document.number}/route")


@routes.get(DOCUMENT + "/route")
async def route_page(request: web.Request) -> web.Response:
    """The route to be checked, with 「儲存並送出」."""
    document, user = await own_document(request), user_of(request)
    await _ready(request, document, user)
    return await page(
        request,
        "route.html",
        document=document,
        stands_in=not document.held_by(user.user_id),
        reason_most=REASON_MOST,
    )


@routes.post(DOCUMENT + "/recall")
async def recall(request: web.Request) -> web.Response:
    """「抽回」."""
    document, user = await own_document(request), user_of(request)
    here = f"/documents/{document.number}"
    try:
        await request.app[WITHDRAWING].recall(user, document.number)
    except Refused as e:
        return await redirect(request, here, str(e))
    return await redirect(
        request, here, "公文已抽回；進行中的簽章已取消，稍後才於手機上確認也不會生效。", "success"
    )


@routes.get(DOCUMENT + "/send")
async def send_page(request: web.Request) -> web.Response:
    """「公文送出」: signed, and shown with what was signed."""
    document = await own_document(request)
    database = request.app[DESK].database
    latest = await database.run(confirmations.latest_signature, document.number)
    version = document.signed_version
    if version is None or latest is None or not await acting(request, document):
        return await redirect(request, f"/documents/{document.number}")
    warning = None
    try:
        latest = await request.app[ASKING].look(latest)
    except GatewayError as e:
        warning = f"暫時無法取回簽章檔：{message_of(e.problem)}"
    signed = latest.item(document.number)
    return await page(
        request,
        "send.html",
        document=document,
        confirmation=latest,
        outcome=signed.status if signed else latest.shown_status,
        version=version,
        signature=await database.run(documents.signature_of, document.number, version),
        warning=warning,
    )


@routes.post(DOCUMENT + "/send")
async def send(request: web.Request) -> web.Response:
    """「送出」 on 「公文送出」: to the next person, once, however often it is pressed."""
    document, user = await own_document(request), user_of(request)
    posted = await field(request, "position")
    position = int(posted) if posted.isascii() and posted.isdigit() and len(posted) < 5 else -1
    try:
        following = await request.app[SIGNING].pass_on(user, document.number, position)
    except Refused as e:
        return await redirect(request, f"/documents/{document.number}", str(e))
    text = (
        f"公文 {document.number} 已送出至 {following.user.title} {following.user.name}。"
        if following
        else f"公文 {document.number} 已完成簽核流程。"
    )
    return await redirect(request, "/dashboard/main", text, "success")


@routes.get(DOCUMENT + "/versions/{version:[0-9]{1,6}}/content")
async def content(request: web.Request) -> web.Response:
    """原文: exactly the bytes that were signed."""
    document = await own_document(request)
    found = await request.app[DESK].database.run(
        documents.find_version, document.number, int(request.match_info["version"])
    )
    if found is None:
        raise web.HTTPNotFound
    return _download(
        found.content,
        f"{found.media_type}; charset=utf-8",
        f"{document.number}-v{found.version}.txt",
    )


@routes.get(DOCUMENT + "/versions/{version:[0-9]{1,6}}/signature.p7s")
async def signature(request: web.Request) -> web.Response:
    """簽章檔: detached CMS over 原文."""
    document = await own_document(request)
    found = await request.app[DESK].database.run(
        documents.signature_of, document.number, int(request.match_info["version"])
    )
    if found is None:
        raise web.HTTPNotFound
    return _download(
        found.artifact,
        "application/pkcs7-signature",
        f"{document.number}-v{found.version}.p7s",
    )


@routes.get(DOCUMENT + "/attachments/{id:att_[A-Za-z0-9_-]{1,40}}")
async def attachment(request: web.Request) -> web.Response:
    """附件, also one that was taken off after somebody had signed over it."""
    document = await own_document(request)
    kept = await request.app[DESK].database.run(
        attachments.list_attachments, document.number, removed=True
    )
    for one in kept:
        if one.id == request.match_info["id"]:
            return _download(one.content, one.media_type, one.name)
    raise web.HTTPNotFound


def _download(data: bytes, media_type: str, name: str) -> web.Response:
    # Always to be saved, never shown: what it holds was written by users.
    plain = re.sub(r"[^0-9A-Za-z._-]", "_", name)
    return web.Response(
        body=data,
        headers={
            "Content-Type": media_type,
            "Content-Disposition": f'attachment; filename="{plain}"; '
            f"filename*=UTF-8''{quote(name, safe='')}",
        },
    )
