"""Reading: one transaction, lists, waiting for a change, artifacts."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Final

from moica_gateway.domain.models import Credential, Kind, Status, Transaction
from moica_gateway.domain.values import TransactionId
from moica_gateway.errors import error
from moica_gateway.services.commands import Caller, Download, Page, TransactionFilter
from moica_gateway.services.context import Context, load

__all__ = ["Transactions"]

_EXTENSIONS: Final = {
    "application/pdf": ".pdf",
    "application/pkcs7-mime": ".p7m",
    "application/pkcs7-signature": ".p7s",
}
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")


class Transactions:
    """A foreign id answers as an unknown one; a browser token sees its own transaction only."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def get(self, caller: Caller, transaction_id: TransactionId) -> Transaction:
        """Raises ``RequestError`` ``not_found``."""
        if caller.browser and caller.transaction_id != transaction_id:
            raise error("not_found", "expected the transaction that this token was made for")
        return await self._context.store.read(lambda uow: load(uow, caller.tenant, transaction_id))

    async def wait(
        self,
        caller: Caller,
        transaction_id: TransactionId,
        *,
        since: int | None,
        seconds: float,
    ) -> Transaction:
        """As soon as its version is higher than ``since`` (None: than now), or it is terminal, or
        the seconds are over."""
        end = self._context.clock.monotonic() + seconds
        async with self._context.bus.subscribe(caller.tenant, transaction_id) as subscription:
            transaction = await self.get(caller, transaction_id)
            base = transaction.version if since is None else since
            while not transaction.status.terminal and transaction.version <= base:
                left = end - self._context.clock.monotonic()
                if left <= 0 or not await subscription.changed(left):
                    break
                transaction = await self.get(caller, transaction_id)
        return transaction

    async def watch(
        self,
        caller: Caller,
        transaction_id: TransactionId,
        *,
        since: int | None,
        heartbeat: float,
    ) -> AsyncGenerator[Transaction | None, None]:
        """Each newer version; None every ``heartbeat`` seconds; ends after a terminal state."""
        async with self._context.bus.subscribe(caller.tenant, transaction_id) as subscription:
            seen = -1 if since is None else since
            while True:
                transaction = await self.get(caller, transaction_id)
                if transaction.version > seen:
                    seen = transaction.version
                    yield transaction
                if transaction.status.terminal:
                    return
                if not await subscription.changed(heartbeat):
                    yield None

    async def list(
        self, caller: Caller, where: TransactionFilter, *, limit: int, cursor: str | None
    ) -> Page[Transaction]:
        """Newest first. Raises ``RequestError`` for a cursor that is not ours."""
        return await self._context.store.read(
            lambda uow: uow.transactions(caller.tenant, where, limit=limit, cursor=cursor)
        )

    async def credential_of(self, transaction: Transaction) -> Credential | None:
        """The credential that a completed registration made."""
        credential_id = transaction.credential_id
        if transaction.kind is not Kind.REGISTRATION or credential_id is None:
            return None
        return await self._context.store.read(
            lambda uow: uow.credential(transaction.tenant, credential_id)
        )

    async def artifact(
        self, caller: Caller, transaction_id: TransactionId, document_id: str | None
    ) -> Download:
        """The signed thing.

        Raises:
            RequestError: ``not_acceptable_yet`` while nothing is signed yet, ``not_found`` where
                nothing is or ever will be, ``artifact_none`` for an authentication by ID number.
        """
        transaction = await self.get(caller, transaction_id)
        if transaction.assurance == "platform":
            raise error(
                "artifact_none",
                "expected something that was signed; this authentication stands on the platform's "
                "word alone (`assurance: platform`): there is no artifact and there will be none",
            )
        documents = [d for d in transaction.documents if document_id in (None, d.id)]
        if transaction.kind is Kind.REGISTRATION or not documents:
            raise error("not_found", "expected a document of this transaction, came another")
        if len(documents) > 1:
            raise error("request_invalid", "`document`: expected an id, there are several")
        document = documents[0]
        blob_id = document.artifact
        if blob_id is None or document.status is not Status.COMPLETED:
            if transaction.status.terminal:
                raise error(
                    "not_found",
                    f"expected a signed document, its transaction ended as "
                    f"{transaction.status.value}: there is no artifact and there will be none; "
                    "the integrator starts again",
                )
            raise error(
                "not_acceptable_yet",
                f"expected a signed document, its transaction is {transaction.status.value}",
            )
        data = await self._context.store.read(lambda uow: uow.blobs.get(caller.tenant, blob_id))
        media_type = document.artifact_media_type or "application/octet-stream"
        stem = _UNSAFE.sub("_", document.number) or transaction.kind.value
        return Download(
            data=data,
            media_type=media_type,
            filename=stem + _EXTENSIONS.get(media_type, ".sig"),
        )
