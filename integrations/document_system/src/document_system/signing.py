"""Signing documents (加簽): seal, freeze, ask, pass on. No page, no HTTP of its own.

One document or several (連續簽章) go the same way: what is signed is frozen in one database
transaction before the gateway is asked, and behind it stands one confirmation.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from document_system import paper
from document_system.asking import Asking, Desk
from document_system.errors import Refused
from document_system.models import (
    Behalf,
    Channel,
    Confirmation,
    Document,
    FrozenVersion,
    Item,
    Step,
    User,
)
from document_system.store import attachments, certificates, confirmations, deputies, documents
from document_system.withdrawing import Withdrawing
from moica_gateway.errors import GatewayError
from moica_gateway.wire import DocumentRequest, OnBehalfOf, TransactionView

__all__ = ["NO_CERTIFICATE", "REASON_MOST", "Signing", "acts_on", "held_draft"]

NO_CERTIFICATE = "尚未登記或啟用「行動自然人憑證」，請先至【使用者憑證登記】完成登記。"
REASON_MOST = 100
"""Characters of 代理事由."""


def acts_on(db: sqlite3.Connection, document: Document, user: User, now: datetime) -> bool:
    """Whether it lies on this user's desk, or on that of somebody for whom the user stands in."""
    holder = document.holder
    if holder is None:
        return False
    return document.held_by(user.user_id) or deputies.is_deputy(
        db, holder.user.user_id, user.user_id, now
    )


def held_draft(db: sqlite3.Connection, number: str, user: User, now: datetime) -> Document:
    """The document, where this user acts on it and nothing of it is being signed or signed.

    Raises:
        Refused: Why it may not be changed or signed now.
    """
    document = documents.find_document(db, number)
    if document is None or not acts_on(db, document, user, now):
        raise Refused("公文目前不在您手上，您也不是承辦人員的代理人，無法辦理。")
    if document.signed_version is not None:
        raise Refused("公文已完成加簽，請至「公文送出」送出。")
    if confirmations.open_signature(db, number) is not None:
        raise Refused("公文簽章中，請先完成或取消簽章。")
    return document


class Signing:
    """「送出」, 「儲存並送出」, 「連續簽章」 and 「公文送出」."""

    def __init__(self, desk: Desk, asking: Asking, withdrawing: Withdrawing) -> None:
        self._desk = desk
        self._asking = asking
        self._withdrawing = withdrawing

    def can_sign(self, db: sqlite3.Connection, number: str, user: User, now: datetime) -> Document:
        """Whether there is a certificate to sign it with, and its attachments are as they were.

        Raises:
            Refused: What is missing, and where to get it.
        """
        document = held_draft(db, number, user, now)
        certificate = certificates.enabled_certificate(db, user.user_id)
        if certificate is None:
            raise Refused(NO_CERTIFICATE)
        if certificate.not_after <= now:
            raise Refused("登記的行動自然人憑證已逾有效期間，請更新憑證後重新登記。")
        for one in attachments.list_attachments(db, number):
            if hashlib.sha256(one.content).hexdigest() != one.sha256:
                raise Refused(f"附件已變更：「{one.name}」與加入時不符，請移除後重新加入。")
        return document

    def ready_to_sign(
        self, db: sqlite3.Connection, number: str, user: User, now: datetime
    ) -> Document:
        """「送出」: the same, and the seal is placed.

        Raises:
            Refused: What is missing, and where to get it.
        """
        document = held_draft(db, number, user, now)
        if not document.sealed:
            raise Refused("請先於右側「蓋章」，再按「送出」。")
        return self.can_sign(db, number, user, now)

    async def begin(
        self,
        user: User,
        numbers: Sequence[str],
        *,
        seal: bool = False,
        reason: str = "",
        channel: Channel = "push",
        supersede: bool = False,
    ) -> Confirmation:
        """「儲存並送出」: freezes the drafts and asks the phone, once for all of them.

        Args:
            user: Who presses it.
            numbers: 公文文號, in the order in which they are signed.
            seal: Places the seal where it is not placed yet (連續簽章).
            reason: 代理事由, where the user stands in for the holder.
            channel: ``qr`` rings no phone: the window shows a code at once.
            supersede: Cancels this person's open request elsewhere, where there is one.

        Raises:
            Refused: Nothing was frozen or asked.
            GatewayError: It is unknown whether the gateway has it; `resume` finds out.
        """
        try:
            await self._withdrawing.tell()
        except GatewayError as e:
            raise Refused(
                "先前抽回或修改的公文尚未能通知簽章閘道取消，請稍後再試；公文內容均已保留。"
            ) from e
        confirmation = await self._desk.database.run(
            self._freeze,
            user,
            numbers,
            self._desk.new_id("cnf"),
            seal=seal,
            reason=" ".join(reason.split()),
            channel=channel,
            supersede=supersede,
        )
        return await self.resume(confirmation)

    async def begin_anew(
        self,
        user: User,
        stopped: Confirmation,
        *,
        channel: Channel | None = None,
        supersede: bool = False,
    ) -> Confirmation:
        """The same documents once more: by QR code, or 「取消先前的簽章並重新開始」.

        Raises:
            Refused: Nothing was frozen or asked.
            GatewayError: It is unknown whether the gateway has it; `resume` finds out.
        """
        begun = await self.begin(
            user,
            [one.number for one in stopped.items if one.status != "completed"],
            reason=stopped.behalf_reason or "",
            channel=channel or stopped.channel,
            supersede=supersede,
        )
        if supersede:
            await self._asking.look_at_other(stopped)
        return begun

    def _freeze(
        self,
        db: sqlite3.Connection,
        user: User,
        numbers: Sequence[str],
        id_: str,
        *,
        seal: bool,
        reason: str,
        channel: Channel,
        supersede: bool,
    ) -> Confirmation:
        now = self._desk.clock()
        if not numbers or len(set(numbers)) != len(numbers):
            raise Refused("請先勾選公文。")
        current = confirmations.open_signature(db, numbers[0])
        pressed_again = current is not None and (
            (current.user_id, {one.number for one in current.items}) == (user.user_id, set(numbers))
        )
        if current is not None and pressed_again:
            return current
        drafts: list[Document] = []
        for number in numbers:
            try:
                if seal and not held_draft(db, number, user, now).sealed:
                    documents.place_seal(db, number)
                drafts.append(self.ready_to_sign(db, number, user, now))
            except Refused as e:
                if len(numbers) == 1:
                    raise
                raise Refused(f"公文 {number}：{e}") from e
        behalf = self._behalf(drafts, user, reason)
        return confirmations.begin_signature(
            db,
            id_,
            [self._frozen(db, one, user, behalf, now) for one in drafts],
            user.user_id,
            behalf=behalf,
            time_limit=self._desk.time_limit,
            channel=channel,
            supersede=supersede,
            now=now,
        )

    def _behalf(self, drafts: Sequence[Document], user: User, reason: str) -> Behalf | None:
        """For whom; everything under one confirmation is for the same person."""
        held_by = {one.holder.user.user_id: one.holder.user for one in drafts if one.holder}
        if len(held_by) != 1:
            raise Refused("連續簽章一次只能辦理同一位人員的公文，代理的公文請另外選取。")
        [holder] = held_by.values()
        if holder.user_id == user.user_id:
            return None
        if not 0 < len(reason) <= REASON_MOST or not reason.isprintable():
            raise Refused(
                f"代 {holder.title} {holder.name} 簽章，請填寫「代理事由」"
                f"（必填，至多 {REASON_MOST} 字）。"
            )
        return Behalf(user=holder, reason=reason)

    def _frozen(
        self,
        db: sqlite3.Connection,
        document: Document,
        user: User,
        behalf: Behalf | None,
        now: datetime,
    ) -> FrozenVersion:
        number = document.number
        content = paper.content_of(
            document,
            user,
            documents.list_signatures(db, number),
            attachments.list_attachments(db, number),
            behalf,
        )
        return documents.freeze(db, number, content, paper.MEDIA_TYPE, user.user_id, now)

    async def resume(self, confirmation: Confirmation) -> Confirmation:
        """Calls the gateway where that has not succeeded yet, with the same key and body."""
        return await self._asking.start(confirmation, self._create)

    async def _create(self, confirmation: Confirmation) -> TransactionView:
        # Made from the stored row alone: a repeat after a crash or with other settings must carry
        # the same body, or its key no longer fits.
        behalf = (
            OnBehalfOf(user_id=confirmation.behalf_of, reason=confirmation.behalf_reason or "")
            if confirmation.behalf_of
            else None
        )
        client, single = self._desk.client, confirmation.single
        if single is not None:
            return await client.begin_signature(
                user_id=confirmation.user_id,
                document=_asked(single),
                format="cades",
                channel=confirmation.channel,
                supersede=confirmation.supersede,
                time_limit=confirmation.time_limit,
                on_behalf_of=behalf,
                metadata={"confirmation": confirmation.id},
                idempotency_key=confirmation.idempotency_key,
            )
        return await client.begin_batch(
            user_id=confirmation.user_id,
            documents=[_asked(one, one.document_id) for one in confirmation.items],
            format="cades",
            channel=confirmation.channel,
            supersede=confirmation.supersede,
            time_limit=confirmation.time_limit,
            on_behalf_of=behalf,
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

    async def pass_on_all(self, user: User, confirmation: Confirmation) -> list[str]:
        """The same for all that one confirmation has signed; what has left before stays as it is.

        Raises:
            Refused: One is not fetched yet; none is passed on.

        Returns:
            The numbers of those that are passed on now.
        """

        def all_of_them(db: sqlite3.Connection) -> list[str]:
            now, sent = self._desk.clock(), []
            for one in confirmation.signed:
                document = documents.find_document(db, one.number)
                if document is None or document.signed_version != one.version:
                    continue
                if acts_on(db, document, user, now):
                    self._pass_on(db, user, one.number, document.position)
                    sent.append(one.number)
            return sent

        return await self._desk.database.run(all_of_them)

    def _pass_on(
        self, db: sqlite3.Connection, user: User, number: str, position: int
    ) -> Step | None:
        now = self._desk.clock()
        document = documents.find_document(db, number)
        if document is None:
            raise Refused("公文目前不在您手上，無法送出。")
        if 0 <= position < document.position:
            step = document.route[position]
            if step.user.user_id == user.user_id:
                following = position + 1
                return document.route[following] if following < len(document.route) else None
        if not acts_on(db, document, user, now) or position != document.position:
            raise Refused("公文目前不在您手上，無法送出。")
        if document.signed_version is None:
            raise Refused("公文尚未完成加簽，無法送出。")
        if documents.signature_of(db, number, document.signed_version) is None:
            raise Refused("正在取回簽章檔，請稍候再送出。")
        return documents.pass_on(db, document, now)


def _asked(item: Item, id_: str | None = None) -> DocumentRequest:
    return DocumentRequest(
        id=id_,
        number=item.number,
        version=str(item.version),
        media_type=paper.MEDIA_TYPE,
        sha256=item.sha256,
    )
