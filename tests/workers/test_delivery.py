"""The outbox worker in simulated time: nothing lost, in order, nobody delayed by another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import OutboxMessage, Tenant, WebhookEndpoint
from moica_gateway.domain.values import Secret, TenantId, TransactionId
from moica_gateway.ports import Delivered, DeliveryFailed
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.outlet import RecordingOutlet
from moica_gateway.testing.random import SeededRandom
from moica_gateway.testing.store import MemoryStore
from moica_gateway.workers.delivery import Delivery

ONE, OTHER = TenantId("one"), TenantId("other")
DAY = 86_400.0
DOWN = DeliveryFailed(reason="connect")


class LongestJitter(SeededRandom):
    """Always the whole of the delay, so that it can be foretold."""

    def below(self, limit: int) -> int:
        return limit - 1


class NoJitter(SeededRandom):
    """Always none of it."""

    def below(self, limit: int) -> int:
        return 0


class ByUrl:
    """An outlet that answers by the endpoint's address; ``hold`` it, and it hangs."""

    def __init__(self, answers: dict[str, Callable[[], Delivered | DeliveryFailed]]) -> None:
        self.answers = answers
        self.held: dict[str, asyncio.Event] = {}
        self.got: list[tuple[str, str]] = []
        self.under_way = 0
        self.most_under_way = 0

    async def deliver(
        self, message: OutboxMessage, endpoint: WebhookEndpoint
    ) -> Delivered | DeliveryFailed:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if endpoint.url in self.held:
                await self.held[endpoint.url].wait()
            self.got.append((message.id, endpoint.url))
            return self.answers.get(endpoint.url, Delivered)()
        finally:
            self.under_way -= 1


class CountingStore(MemoryStore):
    """Counts how often it was read, also in vain."""

    reads = 0

    async def read(self, work: Any) -> Any:
        self.reads += 1
        return await super().read(work)


class World:
    """A store with two tenants, a clock, and what was observed."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.store = CountingStore(self.clock)
        self.observed: list[tuple[str, str | None]] = []
        self.count = 0

    async def set_up(self) -> None:
        for tenant in (ONE, OTHER):
            made = Tenant(id=tenant, name="x", created_at=self.clock.now())
            await self.store.write(lambda uow, made=made: uow.save_tenant(made))

    async def endpoint(self, tenant: TenantId, url: str, n: int = 1) -> WebhookEndpoint:
        made = WebhookEndpoint(
            id=f"whk_{tenant}_{n}",
            tenant=tenant,
            url=url,
            secrets=(Secret(b"whsec_x"),),
            created_at=self.clock.now() + timedelta(microseconds=n),
        )
        await self.store.write(lambda uow: uow.save_webhook_endpoint(made))
        return made

    async def event(self, tenant: TenantId = ONE, transaction: str | None = None) -> str:
        self.count += 1
        now = self.clock.now()
        made = OutboxMessage(
            id=f"evt_{self.count:04d}",
            tenant=tenant,
            type="signature.completed",
            transaction_id=TransactionId(transaction) if transaction else None,
            body=b"{}",
            created_at=now,
            next_attempt_at=now,
        )
        await self.store.write(lambda uow: uow.add_outbox(made))
        return made.id

    async def stored(self, event_id: str, tenant: TenantId = ONE) -> OutboxMessage:
        page = await self.store.read(lambda uow: uow.outbox_after(tenant, "", 1000))
        return next(m for m in page.items if m.id == event_id)

    def delivery(self, outlet: Any, random: SeededRandom | None = None) -> Delivery:
        return Delivery(
            store=self.store,
            outlet=outlet,
            clock=self.clock,
            random=random or LongestJitter(),
            observe=lambda result, type_: self.observed.append((result, type_)),
        )

    @asynccontextmanager
    async def running(self, delivery: Delivery) -> AsyncIterator[None]:
        task = asyncio.ensure_future(delivery.run())
        try:
            await self.rest()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    async def rest(self) -> None:
        for _ in range(20):
            await self.clock.settle()


@pytest.fixture
async def world() -> World:
    made = World()
    await made.set_up()
    return made


async def test_what_was_committed_is_delivered_at_once_when_woken(world: World) -> None:
    """Not at the next look."""
    await world.endpoint(ONE, "a")
    outlet = RecordingOutlet()
    delivery = world.delivery(outlet)
    async with world.running(delivery):
        event = await world.event()
        delivery.wake()
        await world.rest()
        assert [m.id for m in outlet.messages] == [event]
    stored = await world.stored(event)
    assert stored.delivered_at == world.clock.now()
    assert stored.attempts == 1


async def test_what_nobody_woke_it_for_is_found_within_a_minute(world: World) -> None:
    """Another process may have written it."""
    await world.endpoint(ONE, "a")
    outlet = RecordingOutlet()
    async with world.running(world.delivery(outlet)):
        event = await world.event()
        await world.clock.advance(60)
        await world.rest()
        assert [m.id for m in outlet.messages] == [event]


async def test_without_an_endpoint_an_event_is_for_the_feed_only(world: World) -> None:
    """It counts as delivered, so that it does not pile up."""
    event = await world.event()
    outlet = RecordingOutlet()
    async with world.running(world.delivery(outlet)):
        pass
    assert outlet.messages == []
    assert (await world.stored(event)).delivered_at is not None
    assert world.observed == [("feed", "signature.completed")]


async def test_a_disabled_endpoint_is_none(world: World) -> None:
    """Nothing is sent there."""
    endpoint = await world.endpoint(ONE, "a")
    disabled = evolve(endpoint, enabled=False)
    await world.store.write(lambda uow: uow.save_webhook_endpoint(disabled))
    await world.event()
    outlet = RecordingOutlet()
    async with world.running(world.delivery(outlet)):
        pass
    assert outlet.messages == []


async def test_delays_double_to_six_hours_and_end_after_three_days(world: World) -> None:
    """Then it is parked, audited, and no longer tried."""
    await world.endpoint(ONE, "a")
    outlet = RecordingOutlet(*[DOWN] * 100)
    start = world.clock.monotonic()
    event = await world.event(transaction="txn_1")
    moments: list[float] = []
    async with world.running(world.delivery(outlet)):
        while (stored := await world.stored(event)).parked_at is None:
            assert stored.next_attempt_at is not None
            moments.append((stored.next_attempt_at - stored.created_at).total_seconds())
            await world.clock.advance(moments[-1] - (world.clock.monotonic() - start))
            await world.rest()
        attempts = len(outlet.messages)
        await world.clock.advance(DAY)
        assert len(outlet.messages) == attempts
    gaps = [b - a for a, b in zip([0.0, *moments], moments, strict=False)]
    assert gaps[:13] == [5.0 * 2**n for n in range(13)]
    assert set(gaps[13:-1]) == {21_600.0}
    assert moments[-1] == 3 * DAY
    audit = await world.store.read(lambda uow: uow.audit_records(ONE))
    assert [(r.action, r.transaction_id) for r in audit] == [("webhook.parked", "txn_1")]
    assert (await world.stored(event)).last_error == "connect"
    assert world.observed[0] == ("failed", "signature.completed")
    assert world.observed[-1] == ("parked", None)


async def test_jitter_is_full_but_never_under_a_second(world: World) -> None:
    """A receiver that is down is not hammered by chance."""
    await world.endpoint(ONE, "a")
    event = await world.event()
    async with world.running(world.delivery(RecordingOutlet(DOWN), NoJitter())):
        stored = await world.stored(event)
    assert stored.next_attempt_at == stored.created_at + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("asked", "seconds"), [(120.0, 120.0), (1.0, 5.0), (1e9, 21_600.0), (float("inf"), 21_600.0)]
)
async def test_retry_after_is_honoured_up_to_six_hours(
    world: World, asked: float, seconds: float
) -> None:
    """And never shortens the delay."""
    await world.endpoint(ONE, "a")
    event = await world.event()
    patient = DeliveryFailed(reason="HTTP status 503", retry_after=asked)
    async with world.running(world.delivery(RecordingOutlet(patient))):
        stored = await world.stored(event)
    assert stored.next_attempt_at == stored.created_at + timedelta(seconds=seconds)


async def test_the_events_of_a_transaction_stay_in_order(world: World) -> None:
    """The later one waits until the earlier one was taken; other transactions do not."""
    await world.endpoint(ONE, "a")
    first = await world.event(transaction="txn_1")
    second = await world.event(transaction="txn_1")
    third = await world.event(transaction="txn_2")
    answers = iter([DOWN])
    outlet = ByUrl({"a": lambda: next(answers, Delivered())})
    async with world.running(world.delivery(outlet)):
        assert [event for event, _ in outlet.got] == [first, third]
        await world.clock.advance(6)
        await world.rest()
    assert [event for event, _ in outlet.got] == [first, third, first, second]


async def test_after_a_parked_event_the_transactions_next_one_goes_on(world: World) -> None:
    """What was given up holds nothing back."""
    await world.endpoint(ONE, "a")
    first = await world.event(transaction="txn_1")
    second = await world.event(transaction="txn_1")
    world.clock.advance_now(3 * DAY)
    outlet = RecordingOutlet(DOWN)
    async with world.running(world.delivery(outlet)):
        pass
    assert [m.id for m in outlet.messages] == [first, second]
    assert (await world.stored(first)).parked_at is not None
    assert (await world.stored(second)).delivered_at is not None


async def test_a_slow_receiver_of_one_tenant_does_not_delay_another(world: World) -> None:
    """Neither with a hanging call nor with a backlog larger than any batch."""
    await world.endpoint(ONE, "slow")
    await world.endpoint(OTHER, "quick")
    outlet = ByUrl({})
    outlet.held["slow"] = asyncio.Event()
    for _ in range(250):
        await world.event(ONE)
    world.clock.advance_now(1)
    other = await world.event(OTHER)
    delivery = world.delivery(outlet)
    async with world.running(delivery):
        assert outlet.got == [(other, "quick")]
        later = await world.event(OTHER)
        delivery.wake()
        await world.rest()
        assert outlet.got == [(other, "quick"), (later, "quick")]
        outlet.held["slow"].set()
        for _ in range(20):
            await world.rest()
    assert len(outlet.got) == 252
    assert len(set(outlet.got)) == 252


async def test_a_retry_is_not_late_because_another_tenants_receiver_hangs(world: World) -> None:
    """The next look comes in time even though the hanging one's messages are always due."""
    await world.endpoint(ONE, "slow")
    await world.endpoint(OTHER, "quick")
    answers = iter([DOWN, Delivered()])
    outlet = ByUrl({"quick": lambda: next(answers)})
    outlet.held["slow"] = asyncio.Event()
    await world.event(ONE)
    event = await world.event(OTHER)
    async with world.running(world.delivery(outlet)):
        await world.clock.advance(6.1)
        await world.rest()
        assert outlet.got == [(event, "quick")] * 2


async def test_a_receiver_that_hangs_does_not_make_the_worker_run_in_circles(
    world: World,
) -> None:
    """One look a second while somebody is served, and one a minute while nothing is to do."""
    await world.endpoint(ONE, "slow")
    outlet = ByUrl({})
    outlet.held["slow"] = asyncio.Event()
    await world.event(ONE)
    async with world.running(world.delivery(outlet)):
        before = world.store.reads
        await world.clock.advance(10)
        assert world.store.reads - before == 10
        outlet.held["slow"].set()
        await world.rest()
        before = world.store.reads
        await world.clock.advance(300)
        assert world.store.reads - before == 5


async def test_a_tenants_transactions_are_told_side_by_side_but_not_all_at_once(
    world: World,
) -> None:
    """One slow answer is not waited for by hundreds, and a receiver is not flooded."""
    await world.endpoint(ONE, "slow")
    outlet = ByUrl({})
    outlet.held["slow"] = asyncio.Event()
    for n in range(40):
        await world.event(transaction=f"txn_{n}")
    async with world.running(world.delivery(outlet)):
        assert outlet.most_under_way == 8
        outlet.held["slow"].set()
        await world.rest()
    assert len(outlet.got) == 40
    assert outlet.most_under_way == 8


async def test_410_switches_the_endpoint_off_and_is_audited(world: World) -> None:
    """What was under way may reach it; the rest of the batch is not sent there any more."""
    await world.endpoint(ONE, "a")
    events = [await world.event() for _ in range(20)]
    gone = DeliveryFailed(reason="HTTP status 410", disable=True)
    outlet = RecordingOutlet(*[gone] * 20)
    async with world.running(world.delivery(outlet)):
        pass
    assert len(outlet.messages) <= 8
    (endpoint,) = await world.store.read(lambda uow: uow.webhook_endpoints(ONE))
    assert not endpoint.enabled
    audit = await world.store.read(lambda uow: uow.audit_records(ONE))
    assert [r.action for r in audit] == ["webhook.disabled"]
    for event in events:
        assert (await world.stored(event)).delivered_at is not None


async def test_an_endpoint_that_was_moved_meanwhile_is_not_switched_off(world: World) -> None:
    """The 410 came from its old address."""
    endpoint = await world.endpoint(ONE, "old")
    gone = DeliveryFailed(reason="HTTP status 410", disable=True)
    outlet = ByUrl({"old": lambda: gone})
    outlet.held["old"] = asyncio.Event()
    await world.event()
    async with world.running(world.delivery(outlet)):
        moved = evolve(endpoint, url="new")
        await world.store.write(lambda uow: uow.save_webhook_endpoint(moved))
        outlet.held["old"].set()
        await world.rest()
    (after,) = await world.store.read(lambda uow: uow.webhook_endpoints(ONE))
    assert (after.url, after.enabled) == ("new", True)


async def test_all_endpoints_must_take_it_and_none_gets_it_twice(world: World) -> None:
    """Which did is remembered until all did."""
    await world.endpoint(ONE, "a", 1)
    await world.endpoint(ONE, "b", 2)
    answers = iter([DOWN, DOWN, Delivered()])
    outlet = ByUrl({"b": lambda: next(answers)})
    event = await world.event()
    async with world.running(world.delivery(outlet)):
        assert (await world.stored(event)).delivered_at is None
        for _ in range(4):
            await world.clock.advance(10)
            await world.rest()
    assert [url for _, url in outlet.got] == ["a", "b", "b", "b"]
    assert (await world.stored(event)).delivered_at is not None


async def test_a_crash_between_delivery_and_mark_repeats_it(world: World) -> None:
    """At least once, with the same id."""
    await world.endpoint(ONE, "a")
    event = await world.event()
    outlet = ByUrl({})

    def breaks() -> Delivered:
        world.store.available = False
        return Delivered()

    outlet.answers["a"] = breaks
    async with world.running(world.delivery(outlet)):
        pass
    world.store.available = True
    outlet.answers.clear()
    async with world.running(world.delivery(outlet)):
        pass
    assert outlet.got == [(event, "a")] * 2
    assert (await world.stored(event)).delivered_at is not None


async def test_a_store_that_fails_is_waited_for_without_hammering(world: World) -> None:
    """However often a commit elsewhere wakes the worker."""
    await world.endpoint(ONE, "a")
    event = await world.event()
    outlet = RecordingOutlet()
    delivery = world.delivery(outlet)
    world.store.available = False
    async with world.running(delivery):
        before = world.store.reads
        for _ in range(5):
            delivery.wake()
            await world.rest()
        assert world.store.reads == before
        world.store.available = True
        await world.clock.advance(5)
        await world.rest()
        assert [m.id for m in outlet.messages] == [event]


async def test_a_defect_in_an_outlet_is_logged_and_retried_later(world: World) -> None:
    """It neither ends the worker nor makes it run in circles."""
    await world.endpoint(ONE, "a")
    await world.endpoint(OTHER, "b")
    calls = 0

    def breaks() -> Delivered:
        nonlocal calls
        calls += 1
        raise RuntimeError("a defect")

    outlet = ByUrl({"a": breaks})
    await world.event(ONE)
    other = await world.event(OTHER)
    async with world.running(world.delivery(outlet)):
        assert calls == 1
        assert (other, "b") in outlet.got
        await world.clock.advance(6)
        await world.rest()
        assert calls == 2


async def test_cancelling_ends_what_is_under_way(world: World) -> None:
    """No task is left behind, and nothing is marked."""
    await world.endpoint(ONE, "slow")
    outlet = ByUrl({})
    outlet.held["slow"] = asyncio.Event()
    event = await world.event()
    before = asyncio.all_tasks()
    async with world.running(world.delivery(outlet)):
        assert outlet.under_way == 1
    await world.rest()
    assert outlet.under_way == 0
    assert asyncio.all_tasks() == before
    assert (await world.stored(event)).attempts == 0


async def test_an_event_is_counted_once_however_often_it_is_tried(world: World) -> None:
    """Its type at the first attempt only."""
    await world.endpoint(ONE, "a")
    await world.event()
    async with world.running(world.delivery(RecordingOutlet(DOWN, DOWN))):
        for _ in range(4):
            await world.clock.advance(10)
            await world.rest()
    assert world.observed == [
        ("failed", "signature.completed"),
        ("failed", None),
        ("delivered", None),
    ]
