"""A double of `ports.EventBus`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.ports import Subscription

__all__ = ["RecordingEventBus"]


class _Told:
    def __init__(self, bus: RecordingEventBus, key: tuple[TenantId, TransactionId]) -> None:
        self._bus = bus
        self._key = key
        self._seen = bus.published.count(key)

    async def changed(self, timeout: float) -> bool:  # noqa: ASYNC109 - as the port has it
        now = self._bus.published.count(self._key)
        told, self._seen = now > self._seen, now
        return told


class RecordingEventBus:
    """Keeps what was published; a subscription never waits, it says whether there was news."""

    def __init__(self) -> None:
        self.published: list[tuple[TenantId, TransactionId]] = []

    async def publish(self, tenant: TenantId, transaction_id: TransactionId) -> None:
        """See the port."""
        self.published.append((tenant, transaction_id))

    @asynccontextmanager
    async def subscribe(
        self, tenant: TenantId, transaction_id: TransactionId
    ) -> AsyncIterator[Subscription]:
        """See the port."""
        yield _Told(self, (tenant, transaction_id))
