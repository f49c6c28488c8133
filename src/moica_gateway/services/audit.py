"""Reading the audit record: checking a tenant's chain, exporting it, and proving a part of it.

Each reads one snapshot, so that nothing moves while a gateway goes on sealing. What it finds it
says; it repairs nothing. ``docs/reference/audit.md``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from moica_gateway.domain.audit import (
    GENESIS,
    AuditEntry,
    AuditHead,
)
from moica_gateway.domain.audit_check import ChainCheck, Report
from moica_gateway.domain.audit_lines import entry_line, head_line, link_line, start_line
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.errors import VerificationError, error
from moica_gateway.ports import Seals, Store, UnitOfWork
from moica_gateway.services.sealing import Sealing

__all__ = ["AuditTrail"]

_PAGE: Final = 500


class AuditTrail:
    """``sealing`` is wanted for proofs only."""

    def __init__(self, *, store: Store, seals: Seals, sealing: Sealing | None = None) -> None:
        self._store = store
        self._seals = seals
        self._sealing = sealing

    async def tenants(self) -> Sequence[TenantId]:
        """Whose chains there are."""
        return await self._store.read(lambda uow: uow.audit_tenants())

    def is_ours(self, head: AuditHead) -> bool:
        """Whether this gateway's key has signed it."""
        return head.public_key == self._seals.public_key and self._seals.signed_by(
            head.public_key, head.signature, head.signed_bytes
        )

    async def head(self, tenant: TenantId) -> AuditHead | None:
        """The newest one. Raises ``VerificationError`` where it is not ours."""
        head = await self._store.read(lambda uow: uow.last_audit_head(tenant))
        if head is not None and not self.is_ours(head):
            raise error(
                "vault_tampered",
                f"expected the newest head of {tenant} to be signed by this gateway, it is not; "
                "the operator looks with `moica-gateway audit verify`",
            )
        return head

    async def verify(self, tenant: TenantId, outside: Sequence[AuditHead] = ()) -> Report:
        """Walk the whole chain, with heads that were kept elsewhere (their signatures checked)."""
        return await self._store.read(lambda uow: self._verify(uow, tenant, outside))

    async def export(self, tenant: TenantId, write: Callable[[str], object]) -> int:
        """Hand every line to ``write``, which is called in another thread. How many lines."""

        def work(uow: UnitOfWork) -> int:
            count = 0
            heads = _Heads(uow, tenant)
            for entry in _entries(uow, tenant):
                write(entry_line(entry))
                count += 1
                if entry.position is not None:
                    for head in heads.until(entry.position):
                        write(head_line(head))
                        count += 1
            # Of records that are gone: a reader must find out.
            for head in heads.until(None):
                write(head_line(head))
                count += 1
            return count

        return await self._store.read(work)

    async def proof(self, tenant: TenantId, transaction_id: TransactionId) -> tuple[str, ...]:
        """The records of a transaction, and what leads from each to a signed head: for evidence.

        Of other records only digests are shown. Seals first what is not sealed yet.

        Raises:
            VerificationError: ``vault_tampered``.
        """
        if self._sealing is not None:
            await self._sealing.seal(tenant)
        return await self._store.read(lambda uow: tuple(_proof(uow, tenant, transaction_id)))

    # -- inside --------------------------------------------------------------------------------

    def _verify(self, uow: UnitOfWork, tenant: TenantId, outside: Sequence[AuditHead]) -> Report:
        check = ChainCheck()
        heads = _Heads(uow, tenant)
        kept = sorted(outside, key=lambda head: head.position)

        def compare(until: int | None) -> None:
            due = [h for h in kept if until is None or h.position <= until]
            del kept[: len(due)]
            for head in heapq.merge(heads.until(until), due, key=lambda head: head.position):
                if self.is_ours(head):
                    check.head(head)
                else:
                    check.unsigned_head(head.position, "a head in the database")

        for entry in _entries(uow, tenant):
            check.record(
                f"record {entry.sequence}",
                entry.position,
                entry.hash,
                entry.digest,
                authentic=entry.authentic,
            )
            compare(check.position)
        compare(None)
        if heads.unreadable:
            check.unsigned_head(None, "a head in the database that cannot be read")
        return check.finish()


class _Heads:
    """A tenant's heads in order, read as they are wanted."""

    def __init__(self, uow: UnitOfWork, tenant: TenantId) -> None:
        self.unreadable = False
        self._all = self._read(uow, tenant)
        self._next = next(self._all, None)

    def until(self, position: int | None) -> Iterator[AuditHead]:
        """Those up to that position, or all; each once."""
        while self._next is not None and (position is None or self._next.position <= position):
            yield self._next
            self._next = next(self._all, None)

    def _read(self, uow: UnitOfWork, tenant: TenantId) -> Iterator[AuditHead]:
        after = 0
        while True:
            try:
                page = uow.audit_heads(tenant, after, _PAGE)
            except VerificationError:
                self.unreadable = True
                return
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].position


def _entries(uow: UnitOfWork, tenant: TenantId) -> Iterator[AuditEntry]:
    after = -(2**62)  # the gateway begins with 1; whoever meddles may begin anywhere
    while True:
        page = uow.audit_entries(tenant, after, _PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].sequence


def _proof(uow: UnitOfWork, tenant: TenantId, transaction_id: TransactionId) -> Iterator[str]:
    found = uow.audit_entries_of(tenant, transaction_id)
    own = sorted(entry.position for entry in found if entry.position is not None)
    written = 0
    for position in own:
        if position <= written:
            continue
        before = uow.last_audit_head(tenant, before=position)
        after, previous = (before.position, before.hash) if before else (0, GENESIS)
        head = next(iter(uow.audit_heads(tenant, after, 1)), None)
        if head is None:
            return
        if after != written:
            yield start_line(tenant, after, previous)
        for at in range(after + 1, head.position + 1):
            entry = uow.audit_entry_at(tenant, at)
            if entry is not None:
                yield entry_line(entry) if at in own else link_line(entry)
        yield head_line(head)
        written = head.position
