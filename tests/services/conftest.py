"""`house`: what most tests of the services play with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.seals import FixedSeals
from moica_gateway.testing.store import MemoryStore
from moica_gateway.testing.upstream import ScriptedUpstream
from tests.services.house import House, build


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Two tenants, the poller running."""
    clock = FrozenClock()
    made = build(clock, MemoryStore(clock, FixedSeals()), ScriptedUpstream())
    for tenant in ("t1", "t2"):
        await made.services.tenants.create_tenant(TenantId(tenant), tenant, TenantPolicy())
        await made.services.tenants.set_service_provider(
            TenantId(tenant), "20261123090000000001", Secret(bytes(32)), "k1"
        )
    task = asyncio.ensure_future(made.poller.run())
    await clock.settle()
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
