"""The audit record in memory. Nobody meddles with it, so every entry is authentic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve

from moica_gateway.domain.audit import (
    AuditEntry,
    AuditHead,
    digest_of,
    record_bytes,
    record_members,
    require_plain,
)
from moica_gateway.domain.models import AuditRecord
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.testing.memory_state import MemoryPart, conflict, need_aware

__all__ = ["MemoryAudit"]


class MemoryAudit(MemoryPart):
    """The part of the unit of work that holds the audit record."""

    def audit(self, tenant: TenantId, record: AuditRecord) -> None:
        """See the port."""
        state = self.writable(tenant)
        need_aware(record.at)
        sequence = len(state.audit) + 1
        require_plain(record.data)
        state.audit[sequence] = AuditEntry(
            tenant=tenant,
            sequence=sequence,
            record=record,
            digest=digest_of(record_bytes(record_members(tenant, sequence, record))),
            position=None,
            hash=None,
            authentic=True,
        )

    def audit_records(
        self, tenant: TenantId, *, transaction_id: TransactionId | None = None, limit: int = 1000
    ) -> Sequence[AuditRecord]:
        """See the port."""
        found = [
            entry.record
            for entry in self.state.audit.values()
            if entry.record is not None
            and entry.tenant == tenant
            and transaction_id in (None, entry.record.transaction_id)
        ]
        return tuple(found[:limit])

    def audit_tenants(self) -> Sequence[TenantId]:
        """See the port."""
        return tuple(TenantId(tenant) for tenant in sorted(self.state.tenants))

    def audit_entries(self, tenant: TenantId, after: int, limit: int) -> Sequence[AuditEntry]:
        """See the port."""
        found = [e for s, e in self.state.audit.items() if e.tenant == tenant and s > after]
        return tuple(found[:limit])

    def audit_entries_of(
        self, tenant: TenantId, transaction_id: TransactionId
    ) -> Sequence[AuditEntry]:
        """See the port."""
        return tuple(
            entry
            for entry in self.state.audit.values()
            if entry.tenant == tenant
            and entry.record is not None
            and entry.record.transaction_id == transaction_id
        )

    def audit_entry_at(self, tenant: TenantId, position: int) -> AuditEntry | None:
        """See the port."""
        return next(
            (
                entry
                for entry in self.state.audit.values()
                if entry.tenant == tenant and entry.position == position
            ),
            None,
        )

    def seal_audit(self, tenant: TenantId, sealed: Mapping[int, tuple[int, bytes]]) -> None:
        """See the port."""
        state = self.writable(tenant)
        for sequence, (position, hash_) in sealed.items():
            entry = state.audit.get(sequence)
            if entry is None or entry.tenant != tenant or entry.position is not None:
                raise RuntimeError("expected audit records that are not sealed yet")
            state.audit[sequence] = evolve(entry, position=position, hash=hash_)

    def last_audit_head(self, tenant: TenantId, *, before: int | None = None) -> AuditHead | None:
        """See the port."""
        found = self.audit_heads(tenant, 0, len(self.state.audit_heads))
        heads = [head for head in found if before is None or head.position < before]
        return heads[-1] if heads else None

    def audit_heads(self, tenant: TenantId, after: int, limit: int) -> Sequence[AuditHead]:
        """See the port."""
        found = [
            head
            for (whose, position), head in self.state.audit_heads.items()
            if whose == tenant and position > after
        ]
        return tuple(sorted(found, key=lambda head: head.position)[:limit])

    def add_audit_head(self, head: AuditHead) -> None:
        """See the port."""
        state = self.writable(head.tenant)
        if (head.tenant, head.position) in state.audit_heads:
            raise conflict()
        state.audit_heads[(head.tenant, head.position)] = head
