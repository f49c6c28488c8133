"""Idempotency keys and outbox in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from moica_gateway.domain.models import (
    IdempotencyRecord,
    OutboxMessage,
)
from moica_gateway.domain.values import (
    TenantId,
)
from moica_gateway.ports import AllTenants, Page
from moica_gateway.testing.memory_state import (
    MemoryPart,
    conflict,
    is_of,
)

__all__ = ["MemoryRecords"]

_RETENTION: Final = timedelta(hours=24)


class MemoryRecords(MemoryPart):
    """The part of the unit of work that holds records."""

    def idempotency(
        self, tenant: TenantId, method: str, path: str, key: str
    ) -> IdempotencyRecord | None:
        """See the port."""
        record = self.state.idempotency.get((tenant, method, path, key))
        if record is None or record.created_at <= self.clock.now() - _RETENTION:
            return None
        return record

    def add_idempotency(self, record: IdempotencyRecord) -> None:
        """See the port."""
        state = self.writable(record.tenant)
        if self.idempotency(record.tenant, record.method, record.path, record.key) is not None:
            raise conflict()
        state.idempotency[(record.tenant, record.method, record.path, record.key)] = record

    def delete_idempotency_before(self, tenant: AllTenants, before: datetime) -> int:
        """See the port."""
        state = self.writable()
        old = [index for index, r in state.idempotency.items() if r.created_at < before]
        for index in old:
            del state.idempotency[index]
        return len(old)

    # -- outbox --------------------------------------------------------------------------------

    def add_outbox(self, message: OutboxMessage) -> None:
        """See the port."""
        state = self.writable(message.tenant)
        if self._sequence_of(message) is not None:
            raise conflict()
        sequence = len(state.outbox) + 1
        state.outbox[sequence] = evolve(message, sequence=sequence)

    def due_outbox(
        self, tenant: TenantId | AllTenants, now: datetime, limit: int
    ) -> Sequence[OutboxMessage]:
        """See the port."""
        due = [m for m in self._waiting() if is_of(tenant, m.tenant) and _due_at(m) <= now]
        return tuple(sorted(due, key=lambda m: (_due_at(m), m.sequence))[:limit])

    def waiting_outbox(self, tenant: TenantId, limit: int) -> Sequence[OutboxMessage]:
        """See the port."""
        waiting = [
            m
            for m in self.state.outbox.values()
            if m.tenant == tenant and m.delivered_at is None and m.parked_at is None
        ]
        return tuple(waiting[:limit])

    def next_outbox_due(self, tenant: AllTenants) -> datetime | None:
        """See the port."""
        return min((_due_at(m) for m in self._waiting()), default=None)

    def save_outbox(self, message: OutboxMessage) -> None:
        """See the port."""
        state = self.writable(message.tenant)
        sequence = self._sequence_of(message)
        if sequence is None:
            raise RuntimeError(f"{message.id} is not in the outbox")
        state.outbox[sequence] = evolve(
            state.outbox[sequence],
            attempts=message.attempts,
            next_attempt_at=message.next_attempt_at,
            delivered_at=message.delivered_at,
            parked_at=message.parked_at,
            last_error=message.last_error,
        )

    def outbox_after(self, tenant: TenantId, after: str, limit: int) -> Page[OutboxMessage]:
        """See the port."""
        start = int(self.read_cursor("feed", tenant, after)) if after else 0
        feed = [m for m in self.state.outbox.values() if m.tenant == tenant and m.sequence > start]
        items = tuple(feed[:limit])
        cursor = self.cursor("feed", tenant, str(items[-1].sequence)) if items else after
        return Page(items=items, next_cursor=cursor)

    def _sequence_of(self, message: OutboxMessage) -> int | None:
        found = (
            sequence
            for sequence, m in self.state.outbox.items()
            if (m.tenant, m.id) == (message.tenant, message.id)
        )
        return next(found, None)

    def _waiting(self) -> list[OutboxMessage]:
        waiting, seen = [], set()
        for message in self.state.outbox.values():
            if message.delivered_at is not None or message.parked_at is not None:
                continue
            whose = (message.tenant, message.transaction_id)
            if message.transaction_id is None or whose not in seen:
                waiting.append(message)
            seen.add(whose)
        return waiting


def _due_at(message: OutboxMessage) -> datetime:
    return message.next_attempt_at or message.created_at
