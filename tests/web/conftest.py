"""A client of the HTTP API over the real services, with doubles behind them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from attrs import define

from moica_gateway.domain.models import Approved, CertificateSignature, Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.events.local import LocalEventBus
from moica_gateway.services.bundle import Services, make_services
from moica_gateway.services.context import Context
from moica_gateway.services.settlement import Settlement
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.formats import PlainFormat
from moica_gateway.testing.judge import ScriptedJudge
from moica_gateway.testing.random import SeededRandom
from moica_gateway.testing.seals import FixedSeals
from moica_gateway.testing.store import MemoryStore
from moica_gateway.testing.upstream import ScriptedUpstream
from moica_gateway.testing.workshop import HereWorkshop
from moica_gateway.web.application import WebOptions, create_web_app
from moica_gateway.workers.poller import Poller

ALL = frozenset(Scope)
REGISTRATION = {"user_id": "u1", "id_number": "A123456789", "metadata": {"a": "b"}}
FORMATS = {"cades": PlainFormat(), "pkcs1": PlainFormat("pkcs1", ())}
APPROVED = Approved(
    proof=CertificateSignature(
        unverified_certificate=b"c", unverified_signatures=(b"s",), hashed_id_num="h", raw=b"{}"
    )
)


@define
class Api:
    """A client with keys of two tenants."""

    client: TestClient[Any, Any]
    services: Services
    upstream: ScriptedUpstream
    clock: FrozenClock
    store: MemoryStore
    poller: Poller
    key: str
    foreign: str
    reader: str

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON, headers."""
        sent = {"Authorization": f"Bearer {token or self.key}", **(headers or {})}
        async with self.client.request(method, path, json=body, headers=sent) as reply:
            raw = await reply.read()
            return reply.status, json.loads(raw) if raw[:1] == b"{" else raw, reply.headers

    async def registered(self) -> dict[str, Any]:
        """A completed registration."""
        _, made, _ = await self.call("POST", "/v1/registrations", REGISTRATION)
        self.upstream.answer(f"ticket-{len(self.upstream.begun)}", APPROVED)
        await self.clock.advance(4)
        await self.clock.settle()
        return dict(made)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """Everything in memory."""
    clock = FrozenClock()
    store, upstream = MemoryStore(clock, FixedSeals()), ScriptedUpstream()
    context = Context(
        store=store,
        clock=clock,
        random=SeededRandom(),
        seals=FixedSeals(),
        upstream=upstream,
        judge=ScriptedJudge(),
        formats=FORMATS,
        workshop=HereWorkshop(FORMATS),
        bus=LocalEventBus(clock),
        environment="simulator",
        outbox_written=lambda: None,
        alarm=lambda _name, _fields: None,
    )
    settlement = Settlement(context)
    poller = Poller(context, settlement)
    services = make_services(context, settlement, poller.watch)
    keys = []
    for tenant, scopes in (("t1", ALL), ("t2", ALL), ("t1", frozenset({Scope.READ}))):
        await services.tenants.create_tenant(TenantId(tenant), tenant, TenantPolicy())
        await services.tenants.set_service_provider(TenantId(tenant), "1", Secret(bytes(32)), "k")
        keys.append(await services.tenants.create_key(TenantId(tenant), "k", scopes, test=False))
    numbers = itertools.count()
    app = create_web_app(
        services,
        options=WebOptions(
            version="1",
            readiness=store.ready,
            request_id=lambda: f"r{next(numbers)}",
            monotonic=clock.monotonic,
            now=clock.now,
            secure_cookies=False,
            max_body=2000,
        ),
    )
    running = asyncio.ensure_future(poller.run())
    async with TestClient(TestServer(app)) as client:
        yield Api(client, services, upstream, clock, store, poller, *keys)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
