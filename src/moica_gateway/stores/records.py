"""Idempotency keys and the outbox.

An idempotency key counts for 24 hours (api.md). An outbox message without ``next_attempt_at`` is
due from its creation on. One that is parked was given up: it no longer holds back what follows of
its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update

from moica_gateway.domain.models import IdempotencyRecord, OutboxMessage
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.ports import AllTenants, Page
from moica_gateway.stores.runner import Stored
from moica_gateway.stores.session import Session, readable
from moica_gateway.stores.tables import idempotency_records, outbox_messages

__all__ = ["IDEMPOTENCY_RETENTION", "RecordRows"]

IDEMPOTENCY_RETENTION: Final = timedelta(hours=24)

_keys = idempotency_records.c
_IS_KEY: Final = and_(
    _keys.tenant == bindparam("tenant_"),
    _keys.method == bindparam("method_"),
    _keys.path == bindparam("path_"),
    _keys.key == bindparam("key_"),
)
_KEY: Final = select(idempotency_records).where(_IS_KEY, _keys.created_at > bindparam("after_"))
_DROP_OLD_KEY: Final = delete(idempotency_records).where(
    _IS_KEY, _keys.created_at <= bindparam("after_")
)
_NEW_KEY: Final = insert(idempotency_records)
_DROP_KEYS: Final = delete(idempotency_records).where(_keys.created_at < bindparam("before_"))

_message = outbox_messages.c
_earlier = outbox_messages.alias("earlier")
_WAITS: Final = and_(
    _message.delivered_at.is_(None),
    _message.parked_at.is_(None),
    or_(
        _message.transaction_id.is_(None),
        ~select(_earlier.c.sequence)
        .where(
            _earlier.c.tenant == _message.tenant,
            _earlier.c.transaction_id == _message.transaction_id,
            _earlier.c.sequence < _message.sequence,
            _earlier.c.delivered_at.is_(None),
            _earlier.c.parked_at.is_(None),
        )
        .exists(),
    ),
)
_DUE: Final = (
    select(outbox_messages)
    .where(_WAITS, _message.due_at <= bindparam("now_"))
    .order_by(_message.due_at, _message.sequence)
    .limit(bindparam("limit_"))
)
_DUE_OF_TENANT: Final = _DUE.where(_message.tenant == bindparam("tenant_"))
_WAITING_OF_TENANT: Final = (
    select(outbox_messages)
    .where(
        _message.tenant == bindparam("tenant_"),
        _message.delivered_at.is_(None),
        _message.parked_at.is_(None),
    )
    .order_by(_message.sequence)
    .limit(bindparam("limit_"))
)
_NEXT_DUE: Final = select(func.min(_message.due_at).label("due_at")).where(_WAITS)
_FEED: Final = (
    select(outbox_messages)
    .where(_message.tenant == bindparam("tenant_"), _message.sequence > bindparam("after_"))
    .order_by(_message.sequence)
    .limit(bindparam("limit_"))
)
_NEW_MESSAGE: Final = insert(outbox_messages)
_CHANGE_MESSAGE: Final = update(outbox_messages).where(
    _message.tenant == bindparam("tenant_"), _message.id == bindparam("id_")
)


class RecordRows(Session):
    """The part of a unit of work that holds idempotency keys and outbox."""

    def idempotency(
        self, tenant: TenantId, method: str, path: str, key: str
    ) -> IdempotencyRecord | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(
            _KEY,
            {
                "tenant_": tenant,
                "method_": method,
                "path_": path,
                "key_": key,
                "after_": self.clock.now() - IDEMPOTENCY_RETENTION,
            },
        )
        if row is None:
            return None
        return IdempotencyRecord(
            tenant=TenantId(row["tenant"]),
            method=row["method"],
            path=row["path"],
            key=row["key"],
            body_mac=row["body_mac"],
            transaction_id=TransactionId(row["transaction_id"]),
            created_at=row["created_at"],
        )

    def add_idempotency(self, record: IdempotencyRecord) -> None:
        """See `moica_gateway.ports.UnitOfWork`. Takes the place of one that has run out."""
        self.change(
            _DROP_OLD_KEY,
            {
                "tenant_": record.tenant,
                "method_": record.method,
                "path_": record.path,
                "key_": record.key,
                "after_": self.clock.now() - IDEMPOTENCY_RETENTION,
            },
        )
        self.change(
            _NEW_KEY,
            {
                "tenant": record.tenant,
                "method": record.method,
                "path": record.path,
                "key": record.key,
                "body_mac": record.body_mac,
                "transaction_id": record.transaction_id,
                "created_at": record.created_at,
            },
        )

    def delete_idempotency_before(
        self,
        tenant: AllTenants,  # noqa: ARG002 - says whose
        before: datetime,
    ) -> int:
        """See `moica_gateway.ports.UnitOfWork`."""
        return self.change(_DROP_KEYS, {"before_": before})

    # -- outbox --------------------------------------------------------------------------------

    def add_outbox(self, message: OutboxMessage) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        self.change(
            _NEW_MESSAGE,
            {
                "tenant": message.tenant,
                "id": message.id,
                "type": message.type,
                "transaction_id": message.transaction_id,
                "created_at": message.created_at,
                **_delivery(message),
                "sealed": self.seal_for_tenant(
                    message.tenant, "outbox_messages", (message.id,), message.body
                ),
            },
        )

    def due_outbox(
        self, tenant: TenantId | AllTenants, now: datetime, limit: int
    ) -> Sequence[OutboxMessage]:
        """See `moica_gateway.ports.UnitOfWork`."""
        values: dict[str, Any] = {"now_": now, "limit_": limit}
        if isinstance(tenant, AllTenants):
            rows = self.all(_DUE, values)
        else:
            rows = self.all(_DUE_OF_TENANT, {**values, "tenant_": tenant})
        return tuple(self._outbox_message(row) for row in rows)

    def waiting_outbox(self, tenant: TenantId, limit: int) -> Sequence[OutboxMessage]:
        """See `moica_gateway.ports.UnitOfWork`."""
        rows = self.all(_WAITING_OF_TENANT, {"tenant_": tenant, "limit_": limit})
        return tuple(self._outbox_message(row) for row in rows)

    def next_outbox_due(
        self,
        tenant: AllTenants,  # noqa: ARG002 - says whose
    ) -> datetime | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_NEXT_DUE, {})
        due_at: datetime | None = None if row is None else row["due_at"]
        return due_at

    def save_outbox(self, message: OutboxMessage) -> None:
        """See `moica_gateway.ports.UnitOfWork`. Body, type and order never change."""
        where = {"tenant_": message.tenant, "id_": message.id}
        if self.change(_CHANGE_MESSAGE, {**where, **_delivery(message)}) != 1:
            raise RuntimeError(f"{message.id} is not in the outbox")

    def outbox_after(self, tenant: TenantId, after: str, limit: int) -> Page[OutboxMessage]:
        """See `moica_gateway.ports.UnitOfWork`."""
        start = self.cursors.sequence(tenant, after) if after else 0
        rows = self.all(_FEED, {"tenant_": tenant, "after_": start, "limit_": limit})
        items = tuple(self._outbox_message(row) for row in rows)
        cursor = self.cursors.of_sequence(tenant, items[-1].sequence) if items else after
        return Page(items=items, next_cursor=cursor)

    def _outbox_message(self, row: Stored) -> OutboxMessage:
        with readable("outbox_messages", row["id"]):
            return OutboxMessage(
                id=row["id"],
                tenant=TenantId(row["tenant"]),
                type=row["type"],
                transaction_id=row["transaction_id"],
                body=self.open_for_tenant(
                    row["tenant"], "outbox_messages", (row["id"],), row["sealed"]
                ),
                created_at=row["created_at"],
                sequence=row["sequence"],
                attempts=row["attempts"],
                next_attempt_at=row["next_attempt_at"],
                delivered_at=row["delivered_at"],
                parked_at=row["parked_at"],
                last_error=row["last_error"],
            )


def _delivery(message: OutboxMessage) -> dict[str, Any]:
    return {
        "attempts": message.attempts,
        "due_at": message.next_attempt_at or message.created_at,
        "next_attempt_at": message.next_attempt_at,
        "delivered_at": message.delivered_at,
        "parked_at": message.parked_at,
        "last_error": message.last_error,
    }
