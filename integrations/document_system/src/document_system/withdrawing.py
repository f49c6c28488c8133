"""A document is taken back while a signature over it is open: recalled (抽回), or changed.

What is recorded here counts at once, whatever the phone says later: the open signature ends in the
same database transaction in which the document moves or changes. The gateway is told afterwards,
until it has heard, so that it stops asking the phone.
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import datetime
from typing import Final

from document_system.asking import Asking, Desk
from document_system.errors import Refused
from document_system.models import Document, User
from document_system.store import documents, withdrawals
from moica_gateway.errors import GatewayError

__all__ = ["CHANGED", "RECALLED", "Withdrawing", "may_recall"]

_log = logging.getLogger("document_system.withdrawing")

RECALLED: Final = "recalled"
CHANGED: Final = "new_version"
"""Error codes of ours: why an open signature was ended from here."""

_WORDS: Final = {
    RECALLED: "公文已由承辦人抽回，本次簽章已取消；即使稍後才於手機上確認，也不會生效。",
    CHANGED: "公文內容已修改，先前送出簽章的版本已取消；即使稍後才於手機上確認，也不會生效。"
    "請重新「蓋章」後送出新的版本。",
}


def may_recall(document: Document, user: User) -> bool:
    """Whether this user began it, and it is on somebody else's desk now."""
    return (
        0 < document.position < len(document.route)
        and document.route[0].user.user_id == user.user_id
    )


class Withdrawing:
    """「抽回」, and a new version while a signature is open."""

    def __init__(self, desk: Desk, asking: Asking) -> None:
        self._desk = desk
        self._asking = asking

    async def recall(self, user: User, number: str) -> None:
        """「抽回」: back to its author; who was about to sign is told by the window.

        Raises:
            Refused: Not the author, or it is not on somebody else's desk.
        """

        def work(db: sqlite3.Connection) -> None:
            document = documents.find_document(db, number)
            if document is None or not may_recall(document, user):
                raise Refused("只有承辦人能抽回，且公文須在簽核流程中。")
            self.withdraw(db, number, RECALLED, self._desk.clock())
            documents.recall(db, document)

        await self._desk.database.run(work)
        await self.tell_soon()

    def withdraw(self, db: sqlite3.Connection, number: str, code: str, now: datetime) -> bool:
        """Ends the open signature inside the caller's transaction; `tell_soon` goes after it.

        Returns:
            Whether there was one.
        """
        return withdrawals.withdraw(db, number, code=code, message=_WORDS[code], now=now)

    async def tell_soon(self) -> None:
        """Tells the gateway now, or leaves it to the follow-up."""
        try:
            await self.tell()
        except GatewayError as e:
            _log.warning("withdrawal.deferred code=%s", e.code)

    async def tell(self) -> None:
        """Has the gateway cancel what it still asks phones for.

        Raises:
            GatewayError: It cannot be told; what is recorded here counts all the same.
        """
        waiting = await self._desk.database.run(withdrawals.list_withdrawals)
        for number, requested_at in waiting:
            for view in await self._desk.client.cancel_document(number):
                await self._asking.record(view)
            await self._desk.database.run(withdrawals.withdrawal_told, number, requested_at)
