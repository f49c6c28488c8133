"""Reads what a transaction left behind, and has it packed.

Nothing is judged anew: evidence says what was asked, what came, and what was found then; checking
it is for others, and for `moica-gateway verify`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable

from attrs import evolve

from moica_gateway.domain.models import ChallengeStatus, Status, Transaction
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.errors import error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.audit import AuditTrail
from moica_gateway.services.commands import Caller, Download
from moica_gateway.services.context import Context, load
from moica_gateway.services.evidence.archive import pack
from moica_gateway.services.evidence.page import page
from moica_gateway.services.evidence.parts import Found, about, files_of
from moica_gateway.services.prepared import prepared_from_blob
from moica_gateway.services.proofs import KeptProof, proof_id

__all__ = ["Evidence"]


class Evidence:
    """``GET /v1/transactions/{id}/evidence``."""

    def __init__(self, context: Context, audit: AuditTrail) -> None:
        self._context = context
        self._audit = audit

    async def of(self, caller: Caller, transaction_id: TransactionId) -> Download:
        """The ZIP of an ended transaction, however it ended.

        Raises:
            RequestError: ``not_found``; ``not_acceptable_yet`` while it is pending.
            VerificationError: ``vault_tampered``.
        """
        found = await self._context.store.read(
            lambda uow: self._read(uow, caller.tenant, transaction_id)
        )
        audit = await self._audit.proof(caller.tenant, transaction_id)
        data = await asyncio.to_thread(self._packed, evolve(found, audit=audit))
        return Download(data=data, media_type="application/zip", filename=f"{transaction_id}.zip")

    def _packed(self, found: Found) -> bytes:
        context, files = self._context, files_of(found)
        signers = {
            ticket: context.judge.describe(proof.certificate)
            for ticket, proof in found.proofs.items()
            if proof.certificate is not None
        }
        files["index.html"] = page(found, signers, sorted(files)).encode()
        return pack(files, about(found), context.seals, context.clock.now())

    def _read(self, uow: UnitOfWork, tenant: TenantId, transaction_id: TransactionId) -> Found:
        transaction = load(uow, tenant, transaction_id)
        if transaction.status is Status.PENDING:
            raise error(
                "not_acceptable_yet",
                "expected a transaction that has ended, it is pending; ask again once it has",
            )
        proofs = _proofs(uow, transaction)
        documents = list(enumerate(transaction.documents))
        return Found(
            transaction=transaction,
            environment=self._context.environment,
            prepared={
                place: prepared_from_blob(uow.blobs.get(tenant, d.prepared))
                for place, d in documents
                if d.prepared is not None
            },
            artifacts={
                place: uow.blobs.get(tenant, d.artifact)
                for place, d in documents
                if d.artifact is not None
            },
            proofs=proofs,
            shown={ticket: self._context.upstream.shown(p.raw) for ticket, p in proofs.items()},
            lists=_lists(uow, proofs.values()),
            audit=(),
        )


def _proofs(uow: UnitOfWork, transaction: Transaction) -> dict[int, KeptProof]:
    found = {}
    for challenge in transaction.challenges:
        if challenge.status is ChallengeStatus.APPROVED:
            try:
                blob = uow.blobs.get(transaction.tenant, proof_id(challenge.id))
            except KeyError:
                continue  # decided by an older version, which did not name it
            found[challenge.ticket] = KeptProof.from_blob(blob)
    return found


def _lists(uow: UnitOfWork, proofs: Iterable[KeptProof]) -> dict[str, bytes]:
    """Only the very lists that were looked into then."""
    found: dict[str, bytes] = {}
    for proof in proofs:
        for source in proof.sources:
            if source.crl is not None and source.sha256 not in found:
                body = uow.revocation_list(source.crl.issuer, source.crl.scope)
                if body is not None and hashlib.sha256(body).hexdigest() == source.sha256:
                    found[source.sha256] = body
    return found
