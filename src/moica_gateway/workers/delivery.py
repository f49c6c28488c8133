"""The transactional outbox: at least once, a transaction's events in order.

A row is marked only after the receiver took it; a crash between repeats it, and its ``webhook-id``
lets the receiver drop the repeat. Each tenant is served by a task of its own, so that a slow
receiver delays nobody else; within a tenant a few messages of different transactions are under way
at once (the store hands out only the earliest undelivered one of each). A tenant without an
endpoint reads the feed: its rows count as delivered at once, so that they do not pile up.

A receiver that was away is met with the earliest of all that waits for it, whichever is due; once
it takes that one it gets the rest at once, one after another in the order of their making, instead
of when each one's backoff is over. One that it keeps refusing holds up none of the others.

Where a tenant has several endpoints, all must take a message. Which did is kept in memory only: a
restart may repeat it to one that had it. Deliberately not here: how a message travels (an
`Outlet`), and sending parked ones again. ``api.md`` "Webhooks".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
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

_BATCH: Final = 100
_AT_ONCE: Final = 8
_FIRST_RETRY: Final = 5.0
_LONGEST_RETRY: Final = 6 * 3600.0
_SHORTEST_RETRY: Final = 1.0
_GIVE_UP_AFTER: Final = timedelta(days=3)
_IDLE: Final = 60.0
_BUSY: Final = 1.0
"""Seconds until the next look while somebody is served: `next_outbox_due` counts that tenant's
messages in, so that it cannot tell when another's is due."""
_STORE_RETRY: Final = 5.0
_JITTER_STEPS: Final = 10_000
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Delivery:
    """``observe(result, event type)`` feeds the metrics; the type at a message's first attempt."""

    def __init__(
        self,
        *,
        store: Store,
        outlet: Outlet,
        clock: Clock,
        random: Random,
        observe: Callable[[str, str | None], None] = lambda _result, _type: None,
    ) -> None:
        self._store = store
        self._outlet = outlet
        self._clock = clock
        self._random = random
        self._observe = observe
        self._log = structlog.get_logger("moica_gateway.delivery")
        self._wake = asyncio.Event()
        self._serving: dict[TenantId, asyncio.Task[None]] = {}
        self._taken: dict[str, set[tuple[str, str]]] = {}
        self._away: dict[TenantId, datetime] = {}

    def wake(self) -> None:
        """An outbox row was committed."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._wake.clear()
                try:
                    delay = await self._serve_due()
                except Exception as e:  # noqa: BLE001 - one defect must not end all delivery
                    self._failed(e)
                    # Not to be woken: commits go on while the store cannot be read.
                    await self._clock.sleep(_STORE_RETRY)
                else:
                    await self._sleep(delay)
        finally:
            serving = list(self._serving.values())
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    async def _serve_due(self) -> float:
        """Start a task for each tenant with something due; seconds until there is more to do."""
        now = self._clock.now()
        busy = frozenset(self._serving)
        due, following = await self._store.read(lambda uow: _look(uow, now, busy))
        for tenant, messages in due.items():
            task = asyncio.ensure_future(self._serve(tenant, messages))
            self._serving[tenant] = task
            task.add_done_callback(partial(self._served, tenant))
        if self._serving:
            return _BUSY
        if following is None:
            return _IDLE
        return min(max((following - now).total_seconds(), 0.05), _IDLE)

    def _served(self, tenant: TenantId, _done: asyncio.Task[None]) -> None:
        del self._serving[tenant]
        self._wake.set()

    async def _serve(self, tenant: TenantId, messages: Sequence[OutboxMessage]) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)
        gone: set[str] = set()

        async def one(message: OutboxMessage, endpoints: Sequence[WebhookEndpoint]) -> None:
            async with slots:
                await self._deliver(message, endpoints, gone)

        try:
            endpoints = await self._store.read(lambda uow: uow.webhook_endpoints(tenant))
            enabled = [e for e in endpoints if e.enabled]
            tried = await self._catch_up(tenant, messages, enabled, gone)
            results = await asyncio.gather(
                *(one(message, enabled) for message in messages if message.id not in tried),
                return_exceptions=True,
            )
            trouble = next((r for r in results if isinstance(r, BaseException)), None)
            if trouble is not None:
                raise trouble
        except Exception as e:  # noqa: BLE001 - else the tenant would be served again at once
            self._failed(e)
            await self._clock.sleep(_STORE_RETRY)

    async def _catch_up(
        self,
        tenant: TenantId,
        due: Sequence[OutboxMessage],
        endpoints: Sequence[WebhookEndpoint],
        gone: set[str],
    ) -> frozenset[str]:
        """Where the last attempt failed: all that waits, in order, until one fails again. What was
        tried."""
        # After a restart nothing is remembered, but what is due tells how often it was tried.
        if tenant not in self._away and not any(message.attempts for message in due):
            return frozenset()
        tried: set[str] = set()
        while self._away.get(tenant, _LONG_AGO) <= self._clock.now():
            waiting = await self._store.read(lambda uow: uow.waiting_outbox(tenant, _BATCH))
            for message in waiting:
                tried.add(message.id)
                if not await self._deliver(message, endpoints, gone):
                    return frozenset(tried)
            if not waiting:
                break
        return frozenset(tried)

    async def _deliver(
        self, message: OutboxMessage, endpoints: Sequence[WebhookEndpoint], gone: set[str]
    ) -> bool:
        """Whether everybody took it."""
        failed: DeliveryFailed | None = None
        taken = self._taken.setdefault(message.id, set())
        for endpoint in endpoints:
            # By address too: one that was moved has not had it.
            which = (endpoint.id, endpoint.url)
            if which in taken or endpoint.id in gone:
                continue
            answer = await self._outlet.deliver(message, endpoint)
            if not isinstance(answer, DeliveryFailed):
                taken.add(which)
            elif answer.disable:
                gone.add(endpoint.id)
                await self._disable(endpoint)
            else:
                self._log.warning(
                    "delivery.attempt_failed",
                    event_id=message.id,
                    endpoint=endpoint.id,
                    attempts=message.attempts + 1,
                    reason=answer.reason,
                )
                if failed is None or (answer.retry_after or 0.0) > (failed.retry_after or 0.0):
                    failed = answer
        if failed is None:
            self._away.pop(message.tenant, None)
        else:
            wait = min(failed.retry_after or 0.0, _LONGEST_RETRY)
            self._away[message.tenant] = self._clock.now() + timedelta(seconds=wait)
        changed = self._after(message, failed)
        await self._store.write(lambda uow: _mark(uow, changed))
        if changed.parked_at is not None:
            self._log.error("delivery.parked", event_id=changed.id, reason=changed.last_error)
        result = _result_name(changed, to_nobody=not taken)
        self._observe(result, message.type if message.attempts == 0 else None)
        if changed.delivered_at is not None or changed.parked_at is not None:
            del self._taken[message.id]
        return failed is None

    def _after(self, message: OutboxMessage, failed: DeliveryFailed | None) -> OutboxMessage:
        now = self._clock.now()
        attempts = message.attempts + 1
        if failed is None:
            return evolve(message, attempts=attempts, delivered_at=now, last_error=None)
        last_chance = message.created_at + _GIVE_UP_AFTER
        if now >= last_chance:
            return evolve(message, attempts=attempts, parked_at=now, last_error=failed.reason)
        longest = min(_FIRST_RETRY * 2.0 ** min(message.attempts, 20), _LONGEST_RETRY)
        # Full jitter: receivers that came back are not met by all that waited in one instant.
        jittered = longest * self._random.below(_JITTER_STEPS + 1) / _JITTER_STEPS
        asked = min(failed.retry_after or 0.0, _LONGEST_RETRY)
        delay = timedelta(seconds=max(jittered, asked, _SHORTEST_RETRY))
        return evolve(
            message,
            attempts=attempts,
            next_attempt_at=min(now + delay, last_chance),
            last_error=failed.reason,
        )

    async def _disable(self, endpoint: WebhookEndpoint) -> None:
        """410: the receiver wants nothing more. Not if an administrator moved it meanwhile."""

        def work(uow: UnitOfWork) -> None:
            for known in uow.webhook_endpoints(endpoint.tenant):
                if (known.id, known.url, known.enabled) != (endpoint.id, endpoint.url, True):
                    continue
                uow.save_webhook_endpoint(evolve(known, enabled=False))
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
        self._log.error("delivery.endpoint_disabled", endpoint=endpoint.id)

    def _failed(self, e: BaseException) -> None:
        if isinstance(e, GatewayError):
            self._log.error("delivery.failed", code=e.code)
        else:
            self._log.error("delivery.failed", exc_info=e)

    async def _sleep(self, seconds: float) -> None:
        woken = asyncio.ensure_future(self._wake.wait())
        late = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({woken, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            late.cancel()


def _look(
    uow: UnitOfWork, now: datetime, busy: frozenset[TenantId]
) -> tuple[Mapping[TenantId, Sequence[OutboxMessage]], datetime | None]:
    """What is due of the tenants that are not being served; and when anything is due at all."""
    due: dict[TenantId, Sequence[OutboxMessage]] = {}
    following = uow.next_outbox_due(ALL_TENANTS)
    if following is None or following > now:
        return due, following
    messages = [] if busy else uow.due_outbox(ALL_TENANTS, now, _BATCH)
    if busy or len(messages) == _BATCH:
        # Tenant by tenant: the backlog of one would fill the whole batch and hide the others.
        for tenant in uow.tenants():
            own = [] if tenant.id in busy else uow.due_outbox(tenant.id, now, _BATCH)
            if own:
                due[tenant.id] = own
        return due, following
    for message in messages:
        due[message.tenant] = [*due.get(message.tenant, ()), message]
    return due, following


def _mark(uow: UnitOfWork, changed: OutboxMessage) -> None:
    uow.save_outbox(changed)
    if changed.parked_at is not None:
        uow.audit(
            changed.tenant,
            AuditRecord(
                at=changed.parked_at,
                action="webhook.parked",
                actor="worker",
                transaction_id=changed.transaction_id,
                data={"event": changed.id, "type": changed.type},
            ),
        )


def _result_name(message: OutboxMessage, *, to_nobody: bool) -> str:
    if message.parked_at is not None:
        return "parked"
    if message.delivered_at is None:
        return "failed"
    return "feed" if to_nobody else "delivered"
