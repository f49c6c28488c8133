"""Asking the gateway, and asking it again: what registrations and signatures have in common.

Every call is made under an ``Idempotency-Key`` that stands in the database before the call, so a
double click, a second tab or a crash in between rings one phone once. What the gateway answers
goes through `apply_outcome`; nothing here decides an outcome by itself, and no clock of ours ends
a request that the gateway has made.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from weakref import WeakValueDictionary

from attrs import frozen

from document_system.database import Database
from document_system.errors import Refused
from document_system.models import Confirmation, CredentialFacts, Item, Signature, User
from document_system.outcomes import Applied, apply_outcome, message_of
from document_system.store import certificates, confirmations, documents, users
from moica_gateway import GatewayClient
from moica_gateway.errors import GatewayError, error
from moica_gateway.outcomes import Outcome
from moica_gateway.wire import TransactionView

__all__ = ["Asking", "Desk"]

_log = logging.getLogger("document_system.asking")

_LOOK_SECONDS: Final = 10.0
_GAVE_UP: Final = "已取消簽章，公文內容均已保留。"


@frozen(kw_only=True)
class Desk:
    """What the services work with; made once, by the composition root."""

    database: Database
    client: GatewayClient
    clock: Callable[[], datetime]
    time_limit: int

    def new_id(self, prefix: str) -> str:
        """An id that nobody can guess."""
        return f"{prefix}_{secrets.token_urlsafe(12)}"


class Asking:
    """Starts, looks at, cancels."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _lock(self, id_: str) -> asyncio.Lock:
        lock = self._locks.get(id_)
        if lock is None:
            lock = self._locks[id_] = asyncio.Lock()
        return lock

    async def find(self, id_: str, user: User) -> Confirmation | None:
        """One of this user's; another's answers as an unknown one."""
        found = await self._desk.database.run(confirmations.find_confirmation, id_)
        return found if found is not None and found.user_id == user.user_id else None

    async def reload(self, confirmation: Confirmation) -> Confirmation:
        """As it stands in the database now."""
        found = await self._desk.database.run(confirmations.find_confirmation, confirmation.id)
        if found is None:
            raise RuntimeError("a confirmation vanished")
        return found

    async def start(
        self,
        confirmation: Confirmation,
        call: Callable[[Confirmation], Awaitable[TransactionView]],
    ) -> Confirmation:
        """Calls the gateway for what is still ``starting``; a second caller finds it done.

        Raises:
            GatewayError: When it is unknown whether the gateway made it: the row stays
                ``starting``, and the same key finds out later.
        """
        async with self._lock(confirmation.id):
            current = await self.reload(confirmation)
            if current.status != "starting":
                return current
            try:
                made = await call(current)
            except GatewayError as e:
                # 4xx means that nothing exists (api.md, Creation). Only "the first is still
                # running" is a 4xx behind which a transaction may stand.
                nothing_exists = 400 <= e.problem.status < 500 and e.code != "idempotency_running"
                if not nothing_exists:
                    _log.warning(
                        "gateway.start_unknown code=%s confirmation=%s", e.code, current.id
                    )
                    raise
                _log.info("gateway.not_made code=%s confirmation=%s", e.code, current.id)
                opened = e.problem.extra.get("transaction_id")
                await self._desk.database.run(
                    confirmations.end_without_transaction,
                    current.id,
                    status="failed",
                    code=e.code,
                    message=message_of(e.problem, self._desk.clock()),
                    open_transaction=str(opened) if e.code == "transaction_open" else None,
                    refused=_refused(current, e),
                    now=self._desk.clock(),
                )
                return await self.reload(current)
            await self._desk.database.run(
                confirmations.attach_transaction,
                current.id,
                transaction_id=made.id,
                browser_token=made.browser_token,
                match_code=made.match_code,
                expires_at=made.expires_at,
            )
            await self.record(made)
            current = await self.reload(current)
        if current.transaction_id is None:
            # Taken back while the gateway was making it: nobody waits for that phone any more.
            with contextlib.suppress(GatewayError):
                await self._desk.client.cancel(made.id)
        return current

    async def record(self, view: TransactionView) -> Applied:
        """What an answer of the gateway says."""
        applied = await self._desk.database.run(
            apply_outcome, Outcome.of_transaction(view), webhook_id=None, now=self._desk.clock()
        )
        if applied is Applied.MISMATCH:
            _log.error("gateway.outcome_mismatch transaction=%s", view.id)
        return applied

    async def look(self, confirmation: Confirmation) -> Confirmation:
        """Asks the gateway about an open one, and fetches what a completed one has brought.

        Raises:
            GatewayError: When the gateway cannot be asked; what is recorded stays.
            Refused: When the gateway's answer does not fit what we asked for.
        """
        if confirmation.transaction_id is None:
            return confirmation
        if not confirmation.open and not await self._unfetched(confirmation):
            return confirmation
        try:
            # Somebody waits for the page: rather say that nothing is known than try for a minute.
            async with asyncio.timeout(_LOOK_SECONDS):
                view = await self._desk.client.transaction(confirmation.transaction_id)
        except TimeoutError as e:
            raise error("upstream_unreachable", "expected an answer of the gateway in time") from e
        if confirmation.open:
            if await self.record(view) is Applied.MISMATCH:
                raise Refused("簽章閘道的回覆與送出的公文不符，已停止作業，請通知系統管理者。")
            confirmation = await self.reload(confirmation)
        if not confirmation.open and await self._unfetched(confirmation):
            await self._fetch(confirmation, view)
            confirmation = await self.reload(confirmation)
        return confirmation

    async def _unfetched(self, confirmation: Confirmation) -> bool:
        if confirmation.kind == "registration":
            return confirmation.status == "completed" and confirmation.credential is None
        return bool(await self._desk.database.run(_without_artifact, confirmation))

    async def _fetch(self, confirmation: Confirmation, view: TransactionView) -> None:
        if confirmation.kind == "registration":
            credential = view.credential
            if credential is None or credential.user_id != confirmation.user_id:
                _log.error("gateway.credential_missing confirmation=%s", confirmation.id)
                return
            await self._desk.database.run(
                confirmations.set_credential,
                confirmation.id,
                CredentialFacts(
                    credential_id=credential.id,
                    issuer_name=credential.issuer_name,
                    serial_number=credential.serial_number,
                    fingerprint=credential.fingerprint_sha256,
                    not_before=credential.not_before,
                    not_after=credential.not_after,
                ),
            )
            return
        await self._fetch_signatures(confirmation, view)

    async def _fetch_signatures(self, confirmation: Confirmation, view: TransactionView) -> None:
        if view.signature is None:
            _log.error("gateway.signature_missing confirmation=%s", confirmation.id)
            return
        database = self._desk.database
        signer = await database.run(users.find_user, confirmation.user_id)
        behalf = await database.run(users.find_user, confirmation.behalf_of or "")
        facts = await self._signer_facts(
            confirmation.user_id, hashlib.sha256(view.signature.certificate.der).hexdigest()
        )
        if signer is None or facts is None:
            # Signed, says the gateway, but with a certificate that nobody registered here.
            _log.error("gateway.certificate_unknown confirmation=%s", confirmation.id)
            return
        for item in await database.run(_without_artifact, confirmation):
            artifact = await self._desk.client.artifact(
                view.id, item.document_id if len(confirmation.items) > 1 else None
            )
            await database.run(
                documents.add_signature,
                Signature(
                    number=item.number,
                    version=item.version,
                    confirmation_id=confirmation.id,
                    user_id=confirmation.user_id,
                    signer_name=signer.name,
                    issuer_name=facts[0],
                    serial_number=facts[1],
                    signed_at=view.signature.signed_at,
                    artifact=artifact.data,
                    behalf_of=confirmation.behalf_of,
                    behalf_name=f"{behalf.title} {behalf.name}" if behalf else None,
                    behalf_reason=confirmation.behalf_reason,
                ),
            )

    async def _signer_facts(self, user_id: str, fingerprint: str) -> tuple[str, str] | None:
        saved = await self._desk.database.run(certificates.list_certificates, user_id)
        for one in saved:
            if one.fingerprint == fingerprint:
                return one.issuer_name, one.serial_number
        for credential in await self._desk.client.credentials(user_id):
            if credential.fingerprint_sha256 == fingerprint:
                return credential.issuer_name, credential.serial_number
        return None

    async def cancel(self, confirmation: Confirmation) -> Confirmation:
        """「取消簽章」. What has ended meanwhile stays as it ended.

        Raises:
            GatewayError: When the gateway cannot be told; it stays open.
        """
        async with self._lock(confirmation.id):
            current = await self.reload(confirmation)
            if not current.open:
                return current
            if current.transaction_id is None:
                await self._desk.database.run(
                    confirmations.end_without_transaction,
                    current.id,
                    status="cancelled",
                    code="cancelled",
                    message=_GAVE_UP,
                    open_transaction=None,
                    now=self._desk.clock(),
                )
                return await self.reload(current)
            view = await self._desk.client.cancel(current.transaction_id)
            await self.record(view)
            return await self.reload(current)

    async def other(self, confirmation: Confirmation) -> Confirmation | None:
        """This user's own request that stood in the way; None where it is not one of ours."""
        if confirmation.open_transaction is None:
            return None
        found = await self._desk.database.run(
            confirmations.find_by_transaction, confirmation.open_transaction
        )
        return found if found is not None and found.user_id == confirmation.user_id else None

    async def look_at_other(self, confirmation: Confirmation) -> None:
        """Records what became of what stood in the way; its webhook or the follow-up would, too."""
        other = await self.other(confirmation)
        if other is not None and other.open:
            with contextlib.suppress(GatewayError, Refused):
                await self.look(other)


def _without_artifact(db: sqlite3.Connection, confirmation: Confirmation) -> list[Item]:
    return [
        one
        for one in confirmation.signed
        if documents.signature_of(db, one.number, one.version) is None
    ]


def _refused(confirmation: Confirmation, e: GatewayError) -> Item | None:
    """The document of several that the gateway objects to."""
    index = e.problem.extra.get("document_index")
    if not isinstance(index, int) or not 0 <= index < len(confirmation.items):
        return None
    item = confirmation.items[index]
    named = e.problem.extra.get("document_id", item.document_id)
    return item if named == item.document_id else None
