"""Chaining the audit record: what was written takes its place in the chain, and a head is signed.

A batch is one commit: positions, hashes and the head over them. So a crash leaves a chain that
simply goes on. It is signed only what stands as it was left: the newest head must be ours and agree
with the record at its position, nothing may be sealed behind it, and each record must bear its MAC.
Else the tenant's chain stays where it is, an alarm is raised, and ``moica-gateway audit verify``
says what was meddled with; whoever sealed on would sign it.

Deliberately not here: when it is done (`moica_gateway.workers.sealer`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from moica_gateway.domain.audit import (
    GENESIS,
    AuditEntry,
    AuditHead,
    link,
)
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import VerificationError, error
from moica_gateway.ports import Clock, Seals, Store, UnitOfWork

__all__ = ["Sealing"]

_BATCH: Final = 256
_ALARM: Final = "security.audit_tampered"


class Sealing:
    """``alarm``: name and fields of something that an operator must hear of."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        seals: Seals,
        alarm: Callable[[str, Mapping[str, str]], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._seals = seals
        self._alarm = alarm
        self._made: dict[TenantId, AuditHead] = {}
        self._stopped: set[TenantId] = set()

    async def seal(self, tenant: TenantId) -> AuditHead | None:
        """Everything that is written by now. The newest head; None where there is no record yet.

        Raises:
            VerificationError: ``vault_tampered``: nothing more is signed. Raises the alarm, once
                until it is well again.
            ConfigurationError: ``storage_unavailable``.
        """
        try:
            # Read first: a write waits for the disk.
            head, waiting = await self._store.read(lambda uow: self._look(uow, tenant, 1))
            more = bool(waiting)
            while more:
                head, more = await self._store.write(lambda uow: self._batch(uow, tenant))
            if head is not None:
                self._made[tenant] = head
            self._stopped.discard(tenant)
            return head
        except VerificationError as e:
            if tenant not in self._stopped:
                self._stopped.add(tenant)
                self._alarm(_ALARM, {"tenant": tenant, "code": e.code, "reason": e.problem.detail})
            raise

    def _look(
        self, uow: UnitOfWork, tenant: TenantId, limit: int
    ) -> tuple[AuditHead | None, Sequence[AuditEntry]]:
        """Where the chain ends, and what is written behind it."""
        head = uow.last_audit_head(tenant)
        return head, uow.audit_entries(tenant, self._end_of(uow, tenant, head), limit)

    def _batch(self, uow: UnitOfWork, tenant: TenantId) -> tuple[AuditHead | None, bool]:
        head, entries = self._look(uow, tenant, _BATCH)
        if not entries:
            return head, False
        position, hash_ = (head.position, head.hash) if head else (0, GENESIS)
        sealed: dict[int, tuple[int, bytes]] = {}
        for entry in entries:
            if entry.position is not None or entry.digest is None or not entry.authentic:
                raise _tampered(f"record {entry.sequence} is not as the gateway wrote it")
            position, hash_ = position + 1, link(hash_, entry.digest)
            sealed[entry.sequence] = (position, hash_)
        made = AuditHead(
            tenant=tenant,
            position=position,
            hash=hash_,
            at=self._clock.now(),
            public_key=self._seals.public_key,
        )
        made = made.signed(self._seals.sign(made.signed_bytes))
        uow.seal_audit(tenant, sealed)
        uow.add_audit_head(made)
        return made, len(entries) == _BATCH

    def _end_of(self, uow: UnitOfWork, tenant: TenantId, head: AuditHead | None) -> int:
        """The sequence of the newest sealed record."""
        made = self._made.get(tenant)
        if head is None:
            if made is not None:
                raise _tampered("the heads that were there are gone")
            return 0
        ours = head.public_key == self._seals.public_key
        if not ours or not self._seals.signed_by(
            self._seals.public_key, head.signature, head.signed_bytes
        ):
            raise _tampered(f"the head at position {head.position} is not signed by this gateway")
        # Another process of this gateway may have sealed on, but never back.
        if made is not None and not self._goes_on(uow, tenant, made):
            raise _tampered(f"position {made.position} is not what this process has sealed")
        entry = uow.audit_entry_at(tenant, head.position)
        if entry is None or entry.hash != head.hash:
            raise _tampered(f"the record at position {head.position} is not the head's")
        return entry.sequence

    def _goes_on(self, uow: UnitOfWork, tenant: TenantId, made: AuditHead) -> bool:
        entry = uow.audit_entry_at(tenant, made.position)
        return entry is not None and entry.hash == made.hash


def _tampered(what: str) -> VerificationError:
    raised = error(
        "vault_tampered",
        f"expected the audit record as it was left, but {what}; the operator finds the place with "
        "`moica-gateway audit verify` and looks who wrote to the database",
    )
    if not isinstance(raised, VerificationError):
        raise raised
    return raised
