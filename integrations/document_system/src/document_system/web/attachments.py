"""附件 on the page 「設定」: add, take off. 來文附件 came with the document and stay."""

from __future__ import annotations

import mimetypes
import re
import sqlite3
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from aiohttp import web

from document_system.errors import Refused
from document_system.signing import held_draft
from document_system.store import attachments, documents
from document_system.web.documents import DOCUMENT, own_document
from document_system.web.keys import DESK
from document_system.web.render import redirect, user_of

__all__ = ["routes"]

routes = web.RouteTableDef()

_FILE_MOST: Final = 2 * 1024 * 1024
_FILES_MOST: Final = 20
_NAME_MOST: Final = 100
_TYPE: Final = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")


def _name_of(sent: str) -> str:
    # Old browsers send a path; what cannot be printed would break the line that is signed.
    name = PurePosixPath(PureWindowsPath(sent).name).name
    name = "".join(c if c.isprintable() else "_" for c in unicodedata.normalize("NFC", name))
    return " ".join(name.split())


@routes.post(DOCUMENT + "/attachments")
async def add(request: web.Request) -> web.Response:
    """「加入附件」: the seal belongs to what was sealed, so it comes off."""
    document, user = await own_document(request), user_of(request)
    here = f"/documents/{document.number}/edit"
    sent = (await request.post()).get("file")
    if not isinstance(sent, web.FileField) or not sent.filename:
        return await redirect(request, here, "請選擇要加入的檔案。")
    content, name = sent.file.read(), _name_of(sent.filename)
    if not 0 < len(name) <= _NAME_MOST:
        return await redirect(request, here, f"檔名為必填，至多 {_NAME_MOST} 字。")
    if not 0 < len(content) <= _FILE_MOST:
        return await redirect(request, here, "檔案須有內容，至多 2 MB。")
    guessed = mimetypes.guess_type(name)[0] or ""
    media_type = guessed if _TYPE.fullmatch(guessed) else "application/octet-stream"
    desk = request.app[DESK]

    def work(db: sqlite3.Connection) -> None:
        now = desk.clock()
        held_draft(db, document.number, user, now)
        there = attachments.list_attachments(db, document.number)
        if len(there) >= _FILES_MOST or any((o.kind, o.name) == ("own", name) for o in there):
            raise Refused(f"已有同名的附件，或已達 {_FILES_MOST} 件；請先移除再加入。")
        attachments.add_attachment(
            db,
            desk.new_id("att"),
            document.number,
            kind="own",
            name=name,
            media_type=media_type,
            content=content,
            now=now,
        )
        documents.remove_seal(db, document.number)

    try:
        await desk.database.run(work)
    except Refused as e:
        return await redirect(request, here, str(e))
    return await redirect(request, here, f"已加入附件「{name}」，請重新「蓋章」。", "success")


@routes.post(DOCUMENT + "/attachments/{id:att_[A-Za-z0-9_-]{1,40}}/remove")
async def remove(request: web.Request) -> web.Response:
    """「移除」: from the draft; whoever has signed over it can still fetch it."""
    document, user = await own_document(request), user_of(request)
    here, desk = f"/documents/{document.number}/edit", request.app[DESK]

    def work(db: sqlite3.Connection) -> bool:
        now = desk.clock()
        held_draft(db, document.number, user, now)
        documents.remove_seal(db, document.number)
        return attachments.remove_attachment(db, document.number, request.match_info["id"], now)

    try:
        removed = await desk.database.run(work)
    except Refused as e:
        return await redirect(request, here, str(e))
    if not removed:
        return await redirect(request, here, "找不到這個附件，或已移除。")
    return await redirect(request, here, "已移除附件，請重新「蓋章」。", "success")
