"""The outbox's delivery, in simulated time: again after a failure, parked, switched off, fair."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from moica_gateway.domain.models import OutboxMessage, Tenant, WebhookEndpoint
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId, TransactionId
from moica_gateway.ports import ALL_TENANTS, Delivered, DeliveryFailed
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.random import SeededRandom
from moica_gateway.testing.store import MemoryStore
from moica_gateway.workers.delivery import Delivery

SLOW, QUICK = TenantId("slow"), TenantId("quick")
Behaviour = Callable[[OutboxMessage], "Delivered | DeliveryFailed | None"]


class Receivers:
    """An outlet whose receivers answer by a function of the message; None hangs for good."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.heard: list[tuple[float, str]] = []
        self.clock = FrozenClock()

    async def deliver(
        self, message: OutboxMessage, endpoint: WebhookEndpoint
    ) -> Delivered | DeliveryFailed:
        """See the port."""
        self.heard.append((self.clock.monotonic(), message.id))
        answer = self.behaviour(message)
        if answer is None:
            await asyncio.Event().wait()
        return answer or Delivered()

    @property
    def ids(self) -> list[str]:
        """Of what was tried, in order."""
        return [id_ for _, id_ in self.heard]


def taken(message: OutboxMessage) -> Delivered:
    """A receiver that takes everything."""
    return Delivered()


async def make_store(clock: FrozenClock, *, endpoints: bool = True) -> MemoryStore:
    """Two tenants, each with a webhook."""
    store = MemoryStore(clock)

    def work(uow: object) -> None:
        for tenant in (SLOW, QUICK):
            uow.save_tenant(  # type: ignore[attr-defined]
                Tenant(id=tenant, name=tenant, policy=TenantPolicy(), created_at=clock.now())
            )
            if endpoints:
                uow.save_webhook_endpoint(  # type: ignore[attr-defined]
                    WebhookEndpoint(
                        id=f"whk_{tenant}",
                        tenant=tenant,
                        url=f"https://{tenant}.test/hook",
                        secrets=(Secret(b"s"),),
                        created_at=clock.now(),
                    )
                )

    await store.write(work)
    return store


async def emit(
    store: MemoryStore, clock: FrozenClock, tenant: TenantId, *ids: str, transaction: str = "txn_1"
) -> None:
    """Events of one transaction, due at once."""

    def work(uow: object) -> None:
        for id_ in ids:
            uow.add_outbox(  # type: ignore[attr-defined]
                OutboxMessage(
                    id=id_,
                    tenant=tenant,
                    type="signature.completed",
                    transaction_id=TransactionId(transaction),
                    body=b"{}",
                    created_at=clock.now(),
                    next_attempt_at=clock.now(),
                )
            )

    await store.write(work)


@asynccontextmanager
async def running(store: MemoryStore, receivers: Receivers) -> AsyncIterator[Delivery]:
    """The delivery at work."""
    delivery = Delivery(
        store=store, outlet=receivers, clock=receivers.clock, random=SeededRandom(9)
    )
    task = asyncio.ensure_future(delivery.run())
    await receivers.clock.settle()
    try:
        yield delivery
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def state(store: MemoryStore, tenant: TenantId) -> tuple[OutboxMessage, ...]:
    """The feed, with the state of delivery."""
    return (await store.read(lambda uow: uow.outbox_after(tenant, "", 1000))).items


async def test_events_of_a_transaction_wait_for_the_one_before() -> None:
    """The second is not tried before the first was taken."""
    failures = [DeliveryFailed(reason="reset"), DeliveryFailed(reason="reset")]
    receivers = Receivers(lambda _message: failures.pop(0) if failures else Delivered())
    store = await make_store(receivers.clock)
    await emit(store, receivers.clock, SLOW, "evt_1", "evt_2")
    async with running(store, receivers):
        await receivers.clock.advance(60)
    assert receivers.ids == ["evt_1", "evt_1", "evt_1", "evt_2"]
    assert all(m.delivered_at for m in await state(store, SLOW))


async def test_a_retry_waits_within_its_bounds_and_as_long_as_the_receiver_asks() -> None:
    """At most 5 s doubled each time (full jitter), at least 1 s; ``Retry-After`` is honoured."""
    answers = [DeliveryFailed(reason="503")] * 4 + [DeliveryFailed(reason="429", retry_after=900)]
    receivers = Receivers(lambda _message: answers.pop(0) if answers else Delivered())
    store = await make_store(receivers.clock)
    await emit(store, receivers.clock, SLOW, "evt_1")
    async with running(store, receivers):
        await receivers.clock.advance(1200)
    times = [at for at, _ in receivers.heard]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    for gap, most in zip(gaps[:4], (5, 10, 20, 40), strict=True):
        assert 1 <= gap <= most + 0.1
    assert gaps[4] >= 900


async def test_after_three_days_it_is_parked_and_the_next_one_goes() -> None:
    """Never given up before; the reason stays."""
    receivers = Receivers(
        lambda message: DeliveryFailed(reason="reset") if message.id == "evt_1" else Delivered()
    )
    store = await make_store(receivers.clock)
    await emit(store, receivers.clock, SLOW, "evt_1", "evt_2")
    async with running(store, receivers):
        await receivers.clock.advance(timedelta(days=3).total_seconds() - 1)
        first, second = await state(store, SLOW)
        assert (first.parked_at, second.attempts) == (None, 0)
        await receivers.clock.advance(7 * 3600)
    first, second = await state(store, SLOW)
    assert first.parked_at is not None
    assert (first.delivered_at, first.last_error) == (None, "reset")
    assert second.delivered_at is not None
    assert receivers.ids[-1] == "evt_2"


async def test_410_switches_the_endpoint_off() -> None:
    """It is recorded, and never called again; the feed still has everything."""
    receivers = Receivers(lambda _message: DeliveryFailed(reason="410", disable=True))
    store = await make_store(receivers.clock)
    await emit(store, receivers.clock, SLOW, "evt_1", "evt_2")
    async with running(store, receivers):
        await receivers.clock.advance(60)
    assert receivers.ids == ["evt_1"]
    endpoints = await store.read(lambda uow: uow.webhook_endpoints(SLOW))
    assert [e.enabled for e in endpoints] == [False]
    records = await store.read(lambda uow: uow.audit_records(SLOW))
    assert [r.action for r in records] == ["webhook.disabled"]
    assert [m.id for m in await state(store, SLOW)] == ["evt_1", "evt_2"]


async def test_without_an_endpoint_nothing_waits() -> None:
    """Such a tenant reads the feed."""
    receivers = Receivers(taken)
    store = await make_store(receivers.clock, endpoints=False)
    await emit(store, receivers.clock, SLOW, "evt_1")
    async with running(store, receivers):
        await receivers.clock.advance(1)
    assert receivers.heard == []
    assert await store.read(lambda uow: uow.next_outbox_due(ALL_TENANTS)) is None


@pytest.mark.parametrize("backlog", [1, 600])
async def test_a_receiver_that_hangs_delays_nobody_else(backlog: int) -> None:
    """Neither with one event nor with more than one batch of them waiting."""
    receivers = Receivers(lambda message: None if message.tenant == SLOW else Delivered())
    store = await make_store(receivers.clock)
    for n in range(backlog):
        await emit(store, receivers.clock, SLOW, f"slow_{n}", transaction=f"txn_{n}")
    async with running(store, receivers) as delivery:
        await receivers.clock.advance(1)
        await emit(store, receivers.clock, QUICK, "quick_1")
        delivery.wake()
        await receivers.clock.advance(0)
        assert receivers.ids[-1] == "quick_1"
        assert len(receivers.ids) == min(backlog, 8) + 1


async def test_a_receiver_that_hangs_does_not_delay_the_retry_of_another() -> None:
    """The retry comes when it is due, not when the slow one is done."""
    failures = [DeliveryFailed(reason="reset")]

    def behaviour(message: OutboxMessage) -> Delivered | DeliveryFailed | None:
        if message.tenant == SLOW:
            return None
        return failures.pop(0) if failures else Delivered()

    receivers = Receivers(behaviour)
    store = await make_store(receivers.clock)
    await emit(store, receivers.clock, SLOW, "slow_1")
    await emit(store, receivers.clock, QUICK, "quick_1")
    async with running(store, receivers):
        await receivers.clock.advance(8)
    assert receivers.ids == ["slow_1", "quick_1", "quick_1"]


async def test_a_store_that_fails_loses_nothing() -> None:
    """What was not marked is delivered again, with the same id."""
    receivers = Receivers(taken)
    store = await make_store(receivers.clock)
    await emit(store, receivers.clock, SLOW, "evt_1")
    store.available = False
    async with running(store, receivers):
        await receivers.clock.advance(20)
        assert receivers.heard == []
        store.available = True
        await receivers.clock.advance(10)
    assert receivers.ids == ["evt_1"]
    assert [m.delivered_at is not None for m in await state(store, SLOW)] == [True]


async def test_a_receiver_that_was_down_for_an_hour_gets_everything_in_order_afterwards() -> None:
    """The next attempt, whichever it is, brings all that waited, in the order of its making; each
    once, and not one by one as the backoffs end."""
    receivers = Receivers(lambda _message: DeliveryFailed(reason="connect"))
    store = await make_store(receivers.clock)
    made = []
    async with running(store, receivers) as delivery:
        for n in range(12):
            # Two events of each of six transactions, interleaved.
            made.append(f"evt_{n}")
            await emit(store, receivers.clock, SLOW, made[-1], transaction=f"txn_{n % 6}")
            delivery.wake()
            await receivers.clock.advance(300)
        attempts = len(receivers.heard)
        receivers.behaviour = taken
        made.append("evt_new")
        await emit(store, receivers.clock, SLOW, made[-1], transaction="txn_new")
        delivery.wake()
        await receivers.clock.advance(1)
    assert receivers.ids[attempts:] == made
    assert all(m.delivered_at for m in await state(store, SLOW))


async def test_also_after_a_restart_it_begins_with_the_earliest() -> None:
    """That the receiver was away is not remembered, but seen from what is due."""
    receivers = Receivers(lambda _message: DeliveryFailed(reason="connect"))
    store = await make_store(receivers.clock)
    async with running(store, receivers):
        for n in range(3):
            await emit(store, receivers.clock, SLOW, f"evt_{n}", transaction=f"txn_{n}")
        await receivers.clock.advance(600)
    attempts = len(receivers.heard)
    receivers.behaviour = taken
    async with running(store, receivers):
        await receivers.clock.advance(3600)
    assert receivers.ids[attempts:] == ["evt_0", "evt_1", "evt_2"]


async def test_an_event_that_is_refused_for_good_holds_up_no_other_transaction() -> None:
    """A defect of the receiver with one event costs the others no more than one attempt."""
    receivers = Receivers(
        lambda m: DeliveryFailed(reason="500") if m.id == "evt_bad" else Delivered()
    )
    store = await make_store(receivers.clock)
    async with running(store, receivers) as delivery:
        await emit(store, receivers.clock, SLOW, "evt_bad", transaction="txn_bad")
        for n in range(20):
            await emit(store, receivers.clock, SLOW, f"evt_{n}", transaction=f"txn_{n}")
            delivery.wake()
            await receivers.clock.advance(0)
            assert receivers.ids[-1] == f"evt_{n}"
            await receivers.clock.advance(60)
    assert receivers.ids.count("evt_bad") <= 40
    assert all(receivers.ids.count(f"evt_{n}") == 1 for n in range(20))
