"""The transactional outbox: at least once, a transaction's events in order.

A row is marked only after the receiver took it; a crash between repeats it, and its ``webhook-id``
lets the receiver drop the repeat. Each tenant is served by a task of its own, so that a slow
receiver delays nobody else. A tenant without an endpoint reads the feed: its rows count as
delivered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from attrs import evolve

from moica_gateway.domain.models import AuditRecord, OutboxMessage, WebhookEndpoint
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import GatewayError
from moica_gateway.ports import (
    ALL_TENANTS,
    Clock,
    DeliveryFailed,
    Outlet,
    Random,
    Store,
    UnitOfWork,
)

__all__ = ["Delivery"]

_BATCH: Final = 500
_BATCH_OF_ONE: Final = 50
_FIRST_RETRY: Final = 5.0
_LONGEST_RETRY: Final = 6 * 3600.0
_GIVE_UP_AFTER: Final = timedelta(days=3)
_IDLE: Final = 60.0
_STORE_RETRY: Final = 5.0
_WHILE_SERVING: Final = 2.0
"""Seconds: what is being delivered stays due, and would hide when the others' next one is."""


class Delivery:
    """``observe(result)`` feeds the metrics."""

    def __init__(
        self,
        *,
        store: Store,
        outlet: Outlet,
        clock: Clock,
        random: Random,
        observe: Callable[[str], None] = lambda _result: None,
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._clock = clock
        self._random = random
        self._observe = observe
        self._log = structlog.get_logger("moica_gateway.delivery")
        self._wake = asyncio.Event()
        self._serving: dict[TenantId, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """An outbox row was committed."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._wake.clear()
                delay = _STORE_RETRY
                try:
                    delay = await self._serve_due()
                except GatewayError as e:
                    self._log.error("delivery.failed", code=e.code)
                await self._sleep(delay)
        finally:
            for task in self._serving.values():
                task.cancel()
            await asyncio.gather(*self._serving.values(), return_exceptions=True)

    async def _serve_due(self) -> float:
        """Start a task for each tenant with something due; seconds until there is more to do."""
        now = self._clock.now()
        due = await self._store.read(partial(_due, now=now))
        by_tenant: dict[TenantId, list[OutboxMessage]] = {}
        for message in due:
            by_tenant.setdefault(message.tenant, []).append(message)
        for tenant, messages in by_tenant.items():
            if tenant not in self._serving:
                task = asyncio.ensure_future(self._serve(tenant, messages))
                self._serving[tenant] = task
                task.add_done_callback(partial(self._served, tenant))
        if due:
            return _WHILE_SERVING
        following = await self._store.read(lambda uow: uow.next_outbox_due(ALL_TENANTS))
        if following is None:
            return _IDLE
        return min(max((following - now).total_seconds(), 0.05), _IDLE)

    def _served(self, tenant: TenantId, _done: asyncio.Task[None]) -> None:
        del self._serving[tenant]
        self._wake.set()

    async def _serve(self, tenant: TenantId, messages: Sequence[OutboxMessage]) -> None:
        try:
            endpoints = await self._store.read(lambda uow: uow.webhook_endpoints(tenant))
            for message in messages:
                await self._deliver(message, [e for e in endpoints if e.enabled])
        except GatewayError as e:
            self._log.error("delivery.failed", code=e.code)
            await self._clock.sleep(_STORE_RETRY)

    async def _deliver(self, message: OutboxMessage, endpoints: Sequence[WebhookEndpoint]) -> None:
        failed: DeliveryFailed | None = None
        for endpoint in endpoints:
            result = await self._outlet.deliver(message, endpoint)
            if isinstance(result, DeliveryFailed):
                if result.disable:
                    await self._disable(endpoint)
                    continue
                failed = result
        self._observe("failed" if failed else "delivered")
        changed = self._after(message, failed)
        await self._store.write(lambda uow: uow.save_outbox(changed))

    def _after(self, message: OutboxMessage, failed: DeliveryFailed | None) -> OutboxMessage:
        now = self._clock.now()
        attempts = message.attempts + 1
        if failed is None:
            return evolve(message, attempts=attempts, delivered_at=now, last_error=None)
        if now - message.created_at >= _GIVE_UP_AFTER:
            self._log.error("delivery.parked", event_id=message.id, reason=failed.reason)
            return evolve(message, attempts=attempts, parked_at=now, last_error=failed.reason)
        longest = min(_FIRST_RETRY * 2.0 ** min(message.attempts, 20), _LONGEST_RETRY)
        jittered = longest * (0.5 + self._random.below(1000) / 2000)
        delay = timedelta(seconds=max(jittered, failed.retry_after or 0.0))
        return evolve(
            message, attempts=attempts, next_attempt_at=now + delay, last_error=failed.reason
        )

    async def _disable(self, endpoint: WebhookEndpoint) -> None:
        """410: the receiver wants nothing more."""

        def work(uow: UnitOfWork) -> None:
            uow.save_webhook_endpoint(evolve(endpoint, enabled=False))
            uow.audit(
                endpoint.tenant,
                AuditRecord(
                    at=self._clock.now(),
                    action="webhook.disabled",
                    actor="worker",
                    data={"endpoint": endpoint.id},
                ),
            )

        await self._store.write(work)

    async def _sleep(self, seconds: float) -> None:
        woken = asyncio.ensure_future(self._wake.wait())
        late = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({woken, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            late.cancel()


def _due(uow: UnitOfWork, now: datetime) -> Sequence[OutboxMessage]:
    """What is due; where that fills a batch, each tenant's own, so that the backlog of one does not
    hide the others."""
    due = uow.due_outbox(ALL_TENANTS, now, _BATCH)
    if len(due) < _BATCH:
        return due
    return [m for t in uow.tenants() for m in uow.due_outbox(t.id, now, _BATCH_OF_ONE)]
