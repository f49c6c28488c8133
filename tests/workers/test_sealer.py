"""When the audit record is sealed, and when a tenant hears of its head; in simulated time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from attrs import frozen

from moica_gateway.domain.audit_lines import head_of
from moica_gateway.domain.models import AuditRecord, OutboxMessage, Tenant
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import TenantId
from moica_gateway.services.audit import AuditTrail
from moica_gateway.services.sealing import Sealing
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.random import SeededRandom
from moica_gateway.testing.seals import FixedSeals
from moica_gateway.testing.store import MemoryStore
from moica_gateway.workers.sealer import Sealer

ONE, OTHER = TenantId("one"), TenantId("other")


@frozen
class World:
    clock: FrozenClock
    store: MemoryStore
    sealer: Sealer
    trail: AuditTrail
    woken: list[int]

    async def write(self, tenant: TenantId = ONE, count: int = 1) -> None:
        """Records, as a service would."""
        for _ in range(count):
            record = AuditRecord(at=self.clock.now(), action="a", actor="cli")
            await self.store.write(lambda u, record=record: u.audit(tenant, record))
            self.sealer.grown(tenant)

    async def sealed(self, tenant: TenantId = ONE) -> int:
        """How many."""
        head = await self.trail.head(tenant)
        return head.position if head else 0

    async def told(self, tenant: TenantId = ONE) -> tuple[OutboxMessage, ...]:
        """Which events."""
        return (await self.store.read(lambda u: u.outbox_after(tenant, "", 99))).items


@pytest.fixture
async def world(clock: FrozenClock) -> AsyncIterator[World]:
    """The sealer runs; one tenant wants to hear of heads."""
    store, woken = MemoryStore(clock), []
    for tenant in (ONE, OTHER):
        made = Tenant(
            id=tenant,
            name="x",
            created_at=clock.now(),
            policy=TenantPolicy(audit_heads=tenant == ONE),
        )
        await store.write(lambda u, made=made: u.save_tenant(made))
    seals = FixedSeals()
    sealing = Sealing(store=store, clock=clock, seals=seals, alarm=lambda _n, _f: None)
    sealer = Sealer(
        store=store,
        clock=clock,
        random=SeededRandom(),
        sealing=sealing,
        outbox_written=lambda: woken.append(1),
    )
    task = asyncio.ensure_future(sealer.run())
    yield World(clock, store, sealer, AuditTrail(store=store, seals=seals), woken)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


async def test_records_of_a_second_are_sealed_together(world: World) -> None:
    """Not before the second is over, and with one head."""
    await world.clock.advance(2)
    await world.write(count=5)
    await world.clock.advance(0.9)
    assert await world.sealed() == 0
    await world.clock.advance(0.2)
    assert await world.sealed() == 5
    assert len(await world.store.read(lambda u: u.audit_heads(ONE, 0, 9))) == 1
    await world.write(OTHER, 2)
    await world.clock.advance(1)
    assert await world.sealed(OTHER) == 2


async def test_many_records_are_sealed_in_batches(world: World) -> None:
    """Each with a head of its own; nothing waits for another second."""
    await world.clock.advance(2)
    await world.write(count=600)
    await world.clock.advance(1)
    heads = await world.store.read(lambda u: u.audit_heads(ONE, 0, 9))
    assert [head.position for head in heads] == [256, 512, 600]
    assert (await world.trail.verify(ONE)).findings == ()


async def test_what_a_process_before_has_left_is_sealed_at_the_start(world: World) -> None:
    """Nobody writes, and it is sealed all the same."""
    record = AuditRecord(at=world.clock.now(), action="a", actor="cli")
    await world.store.write(lambda u: u.audit(ONE, record))
    await world.clock.advance(1.5)
    assert await world.sealed() == 1


async def test_where_nothing_is_written_nothing_runs(world: World) -> None:
    """No commit, and nobody waits for a time to come."""
    await world.clock.advance(2)
    commits = world.store.commits
    await world.clock.advance(86_400)
    assert world.store.commits == commits
    assert world.clock.sleepers == 0


async def test_a_store_that_is_away_is_asked_again(world: World) -> None:
    """And what was written meanwhile is sealed then."""
    await world.clock.advance(2)
    await world.write()
    world.store.available = False
    await world.clock.advance(3)
    world.store.available = True
    await world.clock.advance(8)
    assert await world.sealed() == 1


async def test_a_tenant_that_wants_heads_gets_the_newest_one_an_hour(world: World) -> None:
    """The first at once, later ones when the hour is over, none where nothing is new."""
    await world.clock.advance(2)
    for _ in range(5):
        await world.write()
        await world.clock.advance(10)
    assert len(await world.told()) == 1
    await world.clock.advance(3600)
    first, second = await world.told()
    await world.clock.advance(86_400)
    assert len(await world.told()) == 2
    assert first.type == second.type == "security.audit_head"
    assert second.transaction_id is None
    newest = await world.trail.head(ONE)
    body: Any = json.loads(second.body)
    assert head_of(body["data"]) == newest
    assert body["type"] == "security.audit_head"
    assert world.woken == [1, 1]


async def test_a_tenant_that_did_not_ask_hears_nothing(world: World) -> None:
    """Unless its policy says so, it is off."""
    await world.write(OTHER)
    await world.clock.advance(7200)
    assert await world.sealed(OTHER) == 1
    assert await world.told(OTHER) == ()
