"""Registering a certificate (使用者憑證登記): 「申請」, 「儲存」, and enabling another.

The ID number passes through to the gateway and is kept nowhere here: not in the database, not in
a log, not in a redirect.
"""

from __future__ import annotations

import re
import sqlite3
from datetime import timedelta
from typing import Final

from document_system.asking import Asking, Desk
from document_system.errors import Refused
from document_system.models import Channel, Confirmation, User
from document_system.store import certificates, confirmations
from moica_gateway.wire import TransactionView

__all__ = ["Registering"]

_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Registering:
    """Makes, saves and enables registrations."""

    def __init__(self, desk: Desk, asking: Asking) -> None:
        self._desk = desk
        self._asking = asking

    async def begin(
        self,
        user: User,
        nonce: str,
        id_number: str,
        *,
        channel: Channel = "push",
        supersede: bool = False,
    ) -> Confirmation:
        """「申請」: asks the phone, once a form (its nonce makes the key).

        Args:
            user: Who presses it.
            nonce: Of the form.
            id_number: As it was typed.
            channel: ``qr`` rings no phone: the dialog shows a code at once.
            supersede: Cancels this person's open request elsewhere, where there is one.

        Raises:
            Refused: The form is not one of ours.
            GatewayError: It is unknown whether the gateway has it; the same form finds out.
        """
        if not _NONCE.fullmatch(nonce):
            raise Refused("表單已失效，請重新開啟「登記憑證」。")
        if not id_number.strip():
            raise Refused("請輸入「身分證字號」。")
        confirmation = await self._desk.database.run(
            confirmations.add_registration,
            self._desk.new_id("cnf"),
            f"register-{user.user_id}-{nonce}",
            user.user_id,
            time_limit=self._desk.time_limit,
            channel=channel,
            supersede=supersede,
            now=self._desk.clock(),
        )

        async def create(current: Confirmation) -> TransactionView:
            return await self._desk.client.begin_registration(
                user_id=current.user_id,
                user_name=user.name,
                id_number=id_number.strip(),
                channel=current.channel,
                supersede=current.supersede,
                time_limit=current.time_limit,
                enable=False,
                metadata={"confirmation": current.id},
                idempotency_key=current.idempotency_key,
            )

        return await self._asking.start(confirmation, create)

    async def save(self, user: User, confirmation: Confirmation) -> None:
        """「儲存」: the gateway enables it, then it is stored here as the enabled one.

        Raises:
            Refused: There is nothing to save yet.
            GatewayError: The gateway did not enable it; nothing is stored.
        """
        facts = confirmation.credential
        if confirmation.status != "completed" or facts is None:
            raise Refused("註冊尚未完成，無法儲存。")
        await self._desk.client.enable_credential(facts.credential_id)

        def store(db: sqlite3.Connection) -> None:
            now = self._desk.clock()
            certificates.save_certificate(db, self._desk.new_id("crt"), user.user_id, facts, now)
            confirmations.mark_saved(db, confirmation.id, now)

        await self._desk.database.run(store)

    async def enable(self, user: User, certificate_id: str) -> None:
        """「按下後啟用」: this one, and no other.

        Raises:
            Refused: No such certificate of this user, or it has run out.
            GatewayError: The gateway did not enable it; nothing changes here.
        """
        found = await self._desk.database.run(
            certificates.find_certificate, user.user_id, certificate_id
        )
        if found is None:
            raise Refused("找不到這張憑證。")
        if found.not_after <= self._desk.clock():
            raise Refused("憑證已逾有效期間，無法啟用，請更新憑證後重新登記。")
        await self._desk.client.enable_credential(found.credential_id)
        await self._desk.database.run(certificates.enable_certificate, user.user_id, certificate_id)

    async def give_up_lost(self, confirmation: Confirmation) -> None:
        """Ends a registration of which the gateway's answer never came.

        It cannot be asked for again: the ID number that its body needs is not kept.
        """
        now = self._desk.clock()
        if now < confirmation.created_at + timedelta(seconds=confirmation.time_limit + 30):
            return
        await self._desk.database.run(
            confirmations.end_without_transaction,
            confirmation.id,
            status="failed",
            code="start_unknown",
            message="無法確認是否已通知手機，請重新申請；若手機出現先前的通知請略過。",
            open_transaction=None,
            now=now,
        )
