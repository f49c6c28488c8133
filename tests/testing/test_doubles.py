"""Every port has a public double that fits it, as the type checker sees it."""

from __future__ import annotations

from moica_gateway import ports
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.events.local import LocalEventBus
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordingEgress
from moica_gateway.testing.events import RecordingEventBus
from moica_gateway.testing.formats import PlainFormat
from moica_gateway.testing.judge import ScriptedJudge
from moica_gateway.testing.outlet import RecordingOutlet
from moica_gateway.testing.random import SeededRandom
from moica_gateway.testing.seals import FixedSeals
from moica_gateway.testing.store import MemoryStore
from moica_gateway.testing.upstream import ScriptedUpstream


async def test_every_port_has_a_double() -> None:
    """Each has the members that its port names."""
    clock = FrozenClock()
    store = MemoryStore(clock)
    unit_of_work = await store.read(lambda uow: uow)
    doubles = {
        ports.Clock: clock,
        ports.Random: SeededRandom(),
        ports.Seals: FixedSeals(),
        ports.Store: store,
        ports.UnitOfWork: unit_of_work,
        ports.Blobs: unit_of_work.blobs,
        ports.Upstream: ScriptedUpstream(),
        ports.Judge: ScriptedJudge(),
        ports.Format: PlainFormat(),
        ports.EventBus: RecordingEventBus(),
        ports.Outlet: RecordingOutlet(),
        ports.Egress: RecordingEgress(),
    }
    for port, double in doubles.items():
        members = {n for n in vars(port) if not n.startswith("_")}
        members |= {n for n in getattr(port, "__annotations__", {}) if not n.startswith("_")}
        assert members <= set(dir(double)), port.__name__


async def test_a_subscriber_hears_what_is_published_after_it_came() -> None:
    """The double and the real bus alike; nothing of another tenant."""
    key = TenantId("t1"), TransactionId("txn_1")
    for bus in (RecordingEventBus(), LocalEventBus(FrozenClock())):
        await bus.publish(*key)
        async with bus.subscribe(*key) as subscription:
            assert not await subscription.changed(0)
            await bus.publish(TenantId("t2"), key[1])
            assert not await subscription.changed(0)
            await bus.publish(*key)
            assert await subscription.changed(0)
