"""The audit record as rows: writing, sealing, heads, and reading what may have been meddled with.

What is read for a check is never refused as a whole: a row that cannot be read is an entry without
a record, so that the check can say which one it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, update

from moica_gateway.domain.audit import AuditEntry, AuditHead
from moica_gateway.domain.models import AuditRecord
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.errors import VerificationError
from moica_gateway.stores.audit_macs import record_of
from moica_gateway.stores.runner import Stored
from moica_gateway.stores.session import Session
from moica_gateway.stores.tables import audit_heads, audit_records, tenants
from moica_gateway.stores.vault import tampered

__all__ = ["AuditRows"]

_row = audit_records.c
_head = audit_heads.c

_NEW: Final = insert(audit_records)
_LAST_SEQUENCE: Final = select(func.max(_row.sequence).label("sequence"))
_RECORDS: Final = (
    select(audit_records)
    .where(_row.tenant == bindparam("tenant_"))
    .order_by(_row.sequence)
    .limit(bindparam("limit_"))
)
_RECORDS_OF_TRANSACTION: Final = _RECORDS.where(_row.transaction_id == bindparam("transaction_"))
_ENTRIES: Final = _RECORDS.where(_row.sequence > bindparam("after_"))
_SEQUENCES: Final = (
    select(_row.sequence)
    .where(_row.tenant == bindparam("tenant_"), _row.sequence > bindparam("after_"))
    .order_by(_row.sequence)
    .limit(bindparam("limit_"))
)
_ENTRY: Final = select(audit_records).where(
    _row.tenant == bindparam("tenant_"), _row.sequence == bindparam("sequence_")
)
_PLACE: Final = select(_row.chain_position, _row.chain_hash).where(
    _row.tenant == bindparam("tenant_"), _row.sequence == bindparam("sequence_")
)
_ENTRY_AT: Final = select(audit_records).where(
    _row.tenant == bindparam("tenant_"), _row.chain_position == bindparam("position_")
)
_ENTRIES_OF_TRANSACTION: Final = (
    select(audit_records)
    .where(_row.tenant == bindparam("tenant_"), _row.transaction_id == bindparam("transaction_"))
    .order_by(_row.sequence)
)
_SEAL: Final = update(audit_records).where(
    _row.tenant == bindparam("tenant_"),
    _row.sequence == bindparam("sequence_"),
    _row.chain_position.is_(None),
)
_HEADS: Final = (
    select(audit_heads)
    .where(_head.tenant == bindparam("tenant_"), _head.position > bindparam("after_"))
    .order_by(_head.position)
    .limit(bindparam("limit_"))
)
_LAST_HEAD: Final = (
    select(audit_heads)
    .where(_head.tenant == bindparam("tenant_"))
    .order_by(_head.position.desc())
    .limit(1)
)
_LAST_HEAD_BEFORE: Final = _LAST_HEAD.where(_head.position < bindparam("before_"))
_NEW_HEAD: Final = insert(audit_heads)
_TENANTS: Final = (
    select(tenants.c.id.label("tenant")).union(select(_row.tenant), select(_head.tenant)).subquery()
)
_ALL_TENANTS: Final = select(_TENANTS.c.tenant)


class AuditRows(Session):
    """The part of a unit of work that holds the audit record."""

    def audit(self, tenant: TenantId, record: AuditRecord) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        # The MAC covers the sequence, so it is given here. One connection writes.
        numbers = self.runner.numbers
        if "audit_records" not in numbers:
            row = self.first(_LAST_SEQUENCE, {})
            numbers["audit_records"] = (row["sequence"] if row else None) or 0
        numbers["audit_records"] += 1
        sequence = numbers["audit_records"]
        self.change(
            _NEW,
            {
                "sequence": sequence,
                "tenant": tenant,
                "at": record.at,
                "action": record.action,
                "actor": record.actor,
                "transaction_id": record.transaction_id,
                "data": dict(record.data),
                "mac": self.audit_macs.of(tenant, sequence, record),
            },
        )
        self.audited.add(tenant)

    def audit_records(
        self, tenant: TenantId, *, transaction_id: TransactionId | None = None, limit: int = 1000
    ) -> Sequence[AuditRecord]:
        """See `moica_gateway.ports.UnitOfWork`."""
        values: dict[str, Any] = {"tenant_": tenant, "limit_": limit}
        if transaction_id is None:
            rows = self.all(_RECORDS, values)
        else:
            rows = self.all(_RECORDS_OF_TRANSACTION, {**values, "transaction_": transaction_id})
        records = [record_of(row) for row in rows]
        if None in records:
            raise tampered("audit_records", (), "it cannot be read")
        return tuple(record for record in records if record is not None)

    # -- the chain -----------------------------------------------------------------------------

    def audit_tenants(self) -> Sequence[TenantId]:
        """See `moica_gateway.ports.UnitOfWork`."""
        found = {row["tenant"] for row in self.all(_ALL_TENANTS, {})}
        return tuple(TenantId(tenant) for tenant in sorted(t for t in found if isinstance(t, str)))

    def audit_entries(self, tenant: TenantId, after: int, limit: int) -> Sequence[AuditEntry]:
        """See `moica_gateway.ports.UnitOfWork`."""
        values = {"tenant_": tenant, "after_": after, "limit_": limit}
        try:
            rows = self.all(_ENTRIES, values)
        except VerificationError:
            sequences = [row["sequence"] for row in self.all(_SEQUENCES, values)]
            return tuple(self._one_entry(tenant, sequence) for sequence in sequences)
        return tuple(self._entry(row) for row in rows)

    def audit_entries_of(
        self, tenant: TenantId, transaction_id: TransactionId
    ) -> Sequence[AuditEntry]:
        """See `moica_gateway.ports.UnitOfWork`."""
        values = {"tenant_": tenant, "transaction_": transaction_id}
        return tuple(self._entry(row) for row in self.all(_ENTRIES_OF_TRANSACTION, values))

    def audit_entry_at(self, tenant: TenantId, position: int) -> AuditEntry | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_ENTRY_AT, {"tenant_": tenant, "position_": position})
        return None if row is None else self._entry(row)

    def seal_audit(self, tenant: TenantId, sealed: Mapping[int, tuple[int, bytes]]) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        changed = self.change_all(
            _SEAL,
            [
                {
                    "tenant_": tenant,
                    "sequence_": sequence,
                    "chain_position": position,
                    "chain_hash": hash_,
                }
                for sequence, (position, hash_) in sealed.items()
            ],
        )
        if changed != len(sealed):
            raise RuntimeError("expected audit records that are not sealed yet")

    def last_audit_head(self, tenant: TenantId, *, before: int | None = None) -> AuditHead | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        if before is None:
            row = self.first(_LAST_HEAD, {"tenant_": tenant})
        else:
            row = self.first(_LAST_HEAD_BEFORE, {"tenant_": tenant, "before_": before})
        return None if row is None else _head_of(row)

    def audit_heads(self, tenant: TenantId, after: int, limit: int) -> Sequence[AuditHead]:
        """See `moica_gateway.ports.UnitOfWork`."""
        rows = self.all(_HEADS, {"tenant_": tenant, "after_": after, "limit_": limit})
        return tuple(_head_of(row) for row in rows)

    def add_audit_head(self, head: AuditHead) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        self.change(
            _NEW_HEAD,
            {
                "tenant": head.tenant,
                "position": head.position,
                "hash": head.hash,
                "at": head.at,
                "public_key": head.public_key,
                "signature": head.signature,
            },
        )

    # -- inside --------------------------------------------------------------------------------

    def _one_entry(self, tenant: TenantId, sequence: int) -> AuditEntry:
        try:
            row = self.first(_ENTRY, {"tenant_": tenant, "sequence_": sequence})
        except VerificationError:
            row = None
        if row is not None:
            return self._entry(row)
        try:
            place = self.first(_PLACE, {"tenant_": tenant, "sequence_": sequence}) or {}
        except VerificationError:
            place = {}
        position, hash_ = place.get("chain_position"), place.get("chain_hash")
        return AuditEntry(
            tenant=tenant,
            sequence=sequence,
            record=None,
            digest=None,
            position=position if isinstance(position, int) else None,
            hash=hash_ if isinstance(hash_, bytes) else None,
            authentic=False,
        )

    def _entry(self, row: Stored) -> AuditEntry:
        record = record_of(row)
        position, hash_ = row["chain_position"], row["chain_hash"]
        sealed = isinstance(position, int) and isinstance(hash_, bytes)
        whole = sealed or (position is None and hash_ is None)
        digest, fits = (None, False) if record is None else self.audit_macs.check(row, record)
        return AuditEntry(
            tenant=TenantId(row["tenant"]),
            sequence=row["sequence"],
            record=record,
            digest=digest,
            position=position if isinstance(position, int) else None,
            hash=hash_ if isinstance(hash_, bytes) else None,
            authentic=whole and fits,
        )


def _head_of(row: Stored) -> AuditHead:
    types: tuple[tuple[str, type], ...] = (
        ("hash", bytes),
        ("at", datetime),
        ("public_key", bytes),
        ("signature", bytes),
        ("position", int),
    )
    if not all(isinstance(row[name], form) for name, form in types):
        raise tampered("audit_heads", (str(row["tenant"]),), "it cannot be read")
    return AuditHead(tenant=TenantId(row["tenant"]), **{name: row[name] for name, _ in types})
