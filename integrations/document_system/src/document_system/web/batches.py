"""「連續簽章」: see what will be signed, confirm once, and see a result for each document."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Final

from aiohttp import web
from attrs import frozen

from document_system.errors import Refused
from document_system.models import Confirmation, Document, Item, User
from document_system.outcomes import message_of
from document_system.signing import REASON_MOST, acts_on
from document_system.store import attachments, confirmations, documents
from document_system.web.advice import advice_for_item, advice_for_signing, code_helps
from document_system.web.keys import ASKING, DESK, SIGNING
from document_system.web.paths import path_of
from document_system.web.render import field, page, redirect, user_of
from document_system.web.windows import begun, followed
from moica_gateway.errors import GatewayError

__all__ = ["routes"]

routes = web.RouteTableDef()

_WINDOW: Final = "/batches/{id:cnf_[A-Za-z0-9_-]{1,40}}"
_MOST: Final = 1000


@frozen(kw_only=True)
class _Candidate:
    """A chosen document, and why it cannot be signed along with the others."""

    document: Document
    files: int
    why_not: str
    warning: str


@frozen(kw_only=True)
class _Result:
    """A document of a confirmation, as it stands now."""

    item: Item
    subject: str
    fetched: bool
    to_send: bool
    """Signed, and still on the desk."""
    again: bool
    """Not signed, and may be asked for again."""
    advice: str


def _chosen(values: list[object]) -> list[str]:
    # In the order of the list, each once; what is no text, or too long, is no document's.
    texts = [one for one in values if isinstance(one, str) and 0 < len(one) <= 50]
    return list(dict.fromkeys(texts))[:_MOST]


@routes.get("/batches/new")
async def list_page(request: web.Request) -> web.Response:
    """What will be signed; what cannot be is said with its reason."""
    user, desk = user_of(request), request.app[DESK]
    numbers = _chosen(list(request.query.getall("number", [])))
    if not numbers:
        return await redirect(request, "/", "請先勾選公文。")

    def look(db: sqlite3.Connection) -> list[_Candidate]:
        return [one for n in numbers if (one := _candidate(request, db, n, user)) is not None]

    found = await desk.database.run(look)
    fit = [one for one in found if not one.why_not]
    holder = fit[0].document.holder if fit else None
    mine, others = [], [one for one in found if one.why_not]
    for one in fit:
        if holder and one.document.held_by(holder.user.user_id):
            mine.append(one)
        else:
            others.append(_elsewhere(one))
    return await page(
        request,
        "batch_new.html",
        candidates=mine,
        others=others,
        holder=holder.user if holder else user,
        stands_in=holder is not None and holder.user.user_id != user.user_id,
        reason_most=REASON_MOST,
    )


def _elsewhere(one: _Candidate) -> _Candidate:
    holder = one.document.holder
    name = f"{holder.user.title} {holder.user.name}" if holder else ""
    return _Candidate(
        document=one.document,
        files=one.files,
        why_not=f"屬於 {name} 的公文，連續簽章一次只能辦理同一位人員的公文，請另外選取。",
        warning="",
    )


def _candidate(
    request: web.Request, db: sqlite3.Connection, number: str, user: User
) -> _Candidate | None:
    now = request.app[DESK].clock()
    document = documents.find_document(db, number)
    if document is None:
        return None
    if not document.visible_to(user.user_id) and not acts_on(db, document, user, now):
        return None
    why_not, warning = "", ""
    try:
        request.app[SIGNING].can_sign(db, number, user, now)
    except Refused as e:
        why_not = str(e)
    latest = confirmations.latest_signature(db, number)
    before = latest.item(number) if latest else None
    if before is not None and before.status == "refused":
        warning = f"前次送出時未被接受：{before.error_message}"
    return _Candidate(
        document=document,
        files=sum(attachments.count_attachments(db, number)),
        why_not=why_not,
        warning=warning,
    )


@routes.post("/batches")
async def begin(request: web.Request) -> web.Response:
    """「儲存並送出」: seals, freezes all at once, asks the phone once, and shows the window."""
    user = user_of(request)
    numbers = _chosen(list((await request.post()).getall("number", [])))
    asked = request.app[SIGNING].begin(
        user, numbers, seal=True, reason=await field(request, "reason")
    )
    return await begun(request, asked, numbers, "/dashboard/review")


async def _own(request: web.Request) -> Confirmation:
    found = await request.app[ASKING].find(request.match_info["id"], user_of(request))
    if found is None or len(found.items) < 2:
        raise web.HTTPNotFound
    return found


@routes.get(_WINDOW)
async def window(request: web.Request) -> web.Response:
    """The window while the phone is asked, and then a result for each document."""
    confirmation, warning = await followed(request, await _own(request))
    user, desk = user_of(request), request.app[DESK]

    def look(db: sqlite3.Connection) -> list[_Result]:
        now = desk.clock()
        found = [_result(db, confirmation, one, user, now) for one in confirmation.items]
        # What needs somebody stands first; twenty that are well would hide it.
        return found if confirmation.open else sorted(found, key=_least_well_first)

    results = await desk.database.run(look)
    return await page(
        request,
        "batch.html",
        confirmation=confirmation,
        results=results,
        unfetched=any(not one.fetched for one in results if one.item.status == "completed"),
        again=[one.item.number for one in results if one.again],
        to_send=[one.item.number for one in results if one.to_send],
        other=await request.app[ASKING].other(confirmation),
        advice=advice_for_signing(confirmation),
        offer_code=code_helps(confirmation),
        warning=warning,
    )


def _least_well_first(result: _Result) -> int:
    return {"refused": 0, "completed": 2}.get(result.item.status, 1)


def _result(
    db: sqlite3.Connection, confirmation: Confirmation, item: Item, user: User, now: datetime
) -> _Result:
    document = documents.find_document(db, item.number)
    held = document is not None and acts_on(db, document, user, now)
    signed = document is not None and document.signed_version == item.version
    return _Result(
        item=item,
        subject=document.subject if document else "",
        fetched=documents.signature_of(db, item.number, item.version) is not None,
        to_send=item.status == "completed" and held and signed,
        again=not confirmation.open
        and item.status not in ("completed", "refused")
        and held
        and document is not None
        and document.signed_version is None
        and confirmations.open_signature(db, item.number) is None,
        advice=advice_for_item(confirmation, item),
    )


@routes.post(_WINDOW + "/cancel")
async def cancel(request: web.Request) -> web.Response:
    """「取消簽章」: what an earlier ticket has signed stays signed."""
    confirmation = await _own(request)
    try:
        await request.app[ASKING].cancel(confirmation)
    except GatewayError as e:
        return await redirect(
            request, path_of(confirmation), f"目前無法取消：{message_of(e.problem)}"
        )
    return await redirect(request, path_of(confirmation))


@routes.post(_WINDOW + "/send")
async def send(request: web.Request) -> web.Response:
    """「送出」: all that is signed goes to the next person, each once."""
    confirmation = await _own(request)
    try:
        sent = await request.app[SIGNING].pass_on_all(user_of(request), confirmation)
    except Refused as e:
        return await redirect(request, path_of(confirmation), str(e))
    if not sent:
        return await redirect(request, path_of(confirmation), "沒有待送出的公文。", "info")
    return await redirect(
        request, path_of(confirmation), f"已送出 {len(sent)} 件：{'、'.join(sent)}。", "success"
    )
