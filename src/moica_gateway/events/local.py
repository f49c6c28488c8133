"""The event bus of one process. Carries no state: a subscriber reads the store when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.ports import Clock, Subscription

__all__ = ["LocalEventBus"]


class _LocalSubscription:
    def __init__(self, clock: Clock) -> None:
        self.event = asyncio.Event()
        self._clock = clock

    async def changed(self, timeout: float) -> bool:  # noqa: ASYNC109 - counted on the handed-in clock
        if not self.event.is_set() and timeout > 0:
            heard = asyncio.ensure_future(self.event.wait())
            late = asyncio.ensure_future(self._clock.sleep(timeout))
            try:
                await asyncio.wait({heard, late}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                heard.cancel()
                late.cancel()
        told = self.event.is_set()
        self.event.clear()
        return told


class LocalEventBus:
    """Implements `ports.EventBus` with asyncio events; lives on one loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscriptions: dict[tuple[TenantId, TransactionId], set[_LocalSubscription]] = {}

    async def publish(self, tenant: TenantId, transaction_id: TransactionId) -> None:
        """See the port."""
        for subscription in self._subscriptions.get((tenant, transaction_id), ()):
            subscription.event.set()

    @asynccontextmanager
    async def subscribe(
        self, tenant: TenantId, transaction_id: TransactionId
    ) -> AsyncIterator[Subscription]:
        """See the port."""
        subscription = _LocalSubscription(self._clock)
        key = (tenant, transaction_id)
        self._subscriptions.setdefault(key, set()).add(subscription)
        try:
            yield subscription
        finally:
            left = self._subscriptions[key]
            left.discard(subscription)
            if not left:
                del self._subscriptions[key]
