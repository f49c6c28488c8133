"""Signing a document (加簽): seal, freeze, ask, pass on. No page, no HTTP of its own."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from document_system import paper
from document_system.asking import Asking, Desk
from document_system.errors import Refused
from document_system.models import Channel, Confirmation, Document, Step, User
from document_system.store import certificates, confirmations, documents
from moica_gateway.wire import DocumentRequest, TransactionView

__all__ = ["NO_CERTIFICATE", "Signing", "held_draft"]

NO_CERTIFICATE = "尚未登記或啟用「行動自然人憑證」，請先至【使用者憑證登記】完成登記。"


def held_draft(db: sqlite3.Connection, number: str, user: User) -> Document:
    """The document, where this user holds it and nothing of it is being signed or signed.

    Raises:
        Refused: Why it may not be changed or signed now.
    """
    document = documents.find_document(db, number)
    if document is None or not document.held_by(user.user_id):
        raise Refused("公文目前不在您手上，無法辦理。")
    if document.signed_version is not None:
        raise Refused("公文已完成加簽，請至「公文送出」送出。")
    latest = confirmations.latest_signature(db, number)
    if latest is not None and latest.open:
        raise Refused("公文簽章中，請先完成或取消簽章。")
    return document


class Signing:
    """「送出」, 「儲存並送出」 and 「公文送出」."""

    def __init__(self, desk: Desk, asking: Asking) -> None:
        self._desk = desk
        self._asking = asking

    def ready_to_sign(
        self, db: sqlite3.Connection, number: str, user: User, now: datetime
    ) -> Document:
        """「送出」: whether the seal is placed and there is a certificate to sign with.

        Raises:
            Refused: What is missing, and where to get it.
        """
        document = held_draft(db, number, user)
        if not document.sealed:
            raise Refused("請先於右側「蓋章」，再按「送出」。")
        certificate = certificates.enabled_certificate(db, user.user_id)
        if certificate is None:
            raise Refused(NO_CERTIFICATE)
        if certificate.not_after <= now:
            raise Refused("登記的行動自然人憑證已逾有效期間，請更新憑證後重新登記。")
        return document

    async def begin(
        self, user: User, number: str, *, channel: Channel = "push", supersede: bool = False
    ) -> Confirmation:
        """「儲存並送出」: freezes the draft and asks the phone, once.

        Args:
            user: Who presses it.
            number: 公文文號.
            channel: ``qr`` rings no phone: the window shows a code at once.
            supersede: Cancels this person's open request elsewhere, where there is one.

        Raises:
            Refused: Nothing was frozen or asked.
            GatewayError: It is unknown whether the gateway has it; `resume` finds out.
        """
        id_ = self._desk.new_id("cnf")
        confirmation = await self._desk.database.run(
            self._freeze, user, number, id_, channel, supersede
        )
        return await self.resume(confirmation)

    async def begin_anew(self, user: User, stopped: Confirmation) -> Confirmation:
        """「取消先前的簽章並重新開始」: the same once more; what stood in the way is cancelled.

        Raises:
            Refused: Nothing was frozen or asked.
            GatewayError: It is unknown whether the gateway has it; `resume` finds out.
        """
        begun = await self.begin(
            user, stopped.number or "", channel=stopped.channel, supersede=True
        )
        await self._asking.look_at_other(stopped)
        return begun

    def _freeze(
        self,
        db: sqlite3.Connection,
        user: User,
        number: str,
        id_: str,
        channel: Channel,
        supersede: bool,
    ) -> Confirmation:
        now = self._desk.clock()
        latest = confirmations.latest_signature(db, number)
        if latest is not None and latest.open and latest.user_id == user.user_id:
            return latest
        document = self.ready_to_sign(db, number, user, now)
        content = paper.content_of(document, user, documents.list_signatures(db, number))
        frozen = documents.freeze(db, number, content, paper.MEDIA_TYPE, user.user_id, now)
        return confirmations.begin_signature(
            db,
            id_,
            frozen,
            user.user_id,
            time_limit=self._desk.time_limit,
            channel=channel,
            supersede=supersede,
            now=now,
        )

    async def resume(self, confirmation: Confirmation) -> Confirmation:
        """Calls the gateway where that has not succeeded yet, with the same key and body."""
        return await self._asking.start(confirmation, self._create)

    async def _create(self, confirmation: Confirmation) -> TransactionView:
        # Made from the stored row alone: a repeat after a crash or with other settings must carry
        # the same body, or its key no longer fits.
        return await self._desk.client.begin_signature(
            user_id=confirmation.user_id,
            document=DocumentRequest(
                number=confirmation.number or "",
                version=str(confirmation.version),
                media_type=paper.MEDIA_TYPE,
                sha256=confirmation.sha256,
            ),
            format="cades",
            channel=confirmation.channel,
            supersede=confirmation.supersede,
            time_limit=confirmation.time_limit,
            metadata={"confirmation": confirmation.id},
            idempotency_key=confirmation.idempotency_key,
        )

    async def pass_on(self, user: User, number: str, position: int) -> Step | None:
        """「公文送出」 → 「送出」: to the next person, who is returned; nobody after the last.

        Args:
            user: Who presses it.
            number: 公文文號.
            position: Of the step in the route that the page showed; pressing twice passes it on
                once.

        Raises:
            Refused: It is not signed, or not fetched yet, or not on this desk any more.
        """
        return await self._desk.database.run(self._pass_on, user, number, position)

    def _pass_on(
        self, db: sqlite3.Connection, user: User, number: str, position: int
    ) -> Step | None:
        document = documents.find_document(db, number)
        if document is None:
            raise Refused("公文目前不在您手上，無法送出。")
        if 0 <= position < document.position:
            step = document.route[position]
            if step.user.user_id == user.user_id:
                following = position + 1
                return document.route[following] if following < len(document.route) else None
        if not document.held_by(user.user_id) or position != document.position:
            raise Refused("公文目前不在您手上，無法送出。")
        if document.signed_version is None:
            raise Refused("公文尚未完成加簽，無法送出。")
        if documents.signature_of(db, number, document.signed_version) is None:
            raise Refused("正在取回簽章檔，請稍候再送出。")
        return documents.pass_on(db, document, self._desk.clock())
