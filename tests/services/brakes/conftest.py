"""Services with doubles of every port, in simulated time: for brakes, and what supersedes what."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Any

import pytest
from attrs import define

from moica_gateway.domain.brakes import BrakeLimits
from moica_gateway.domain.models import (
    Approved,
    CertificateSignature,
    Channel,
    Fault,
    Refused,
    Scope,
    Status,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import IdNumber, Secret, TenantId
from moica_gateway.errors import GatewayError, Problem, problem
from moica_gateway.events.local import LocalEventBus
from moica_gateway.ports import Store
from moica_gateway.services.bundle import Services, make_services
from moica_gateway.services.commands import (
    Caller,
    IdempotencyUse,
    NewDocument,
    NewRegistration,
    NewSignature,
    TransactionFilter,
)
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
from moica_gateway.workers.poller import Poller

T1, T2 = TenantId("t1"), TenantId("t2")
OURS = Caller(tenant=T1, actor="key:1", scopes=frozenset(Scope))
THEIRS = Caller(tenant=T2, actor="key:2", scopes=frozenset(Scope))
VICTIM, OTHER = IdNumber.parse("A123456789"), IdNumber.parse("B223456782")
FORMATS = {"cades": PlainFormat(), "pkcs1": PlainFormat("pkcs1", ())}
APPROVED = Approved(
    proof=CertificateSignature(
        unverified_certificate=b"certificate",
        unverified_signatures=(b"signature",),
        hashed_id_num="h1",
        raw=b"{}",
    )
)
REFUSED = Refused(problem=problem("holder_refused", "x", upstream_code="APP_USER_CANCEL"))
TAMPERED = Fault(problem=problem("checksum_invalid", "x"), spoke=True)
PAUSE = 600.0


@define
class House:
    """A gateway with doubles around a store that others may share.

    Attributes:
        braked: The metrics' calls.
        woken: A 1 for each time the delivery was told of an outbox row.
        ours, theirs: Keys of two tenants, with every scope.
    """

    clock: FrozenClock
    store: Store
    upstream: ScriptedUpstream
    services: Services
    braked: list[str]
    woken: list[int]
    ours: Caller = OURS
    theirs: Caller = THEIRS
    approval: Approved = APPROVED

    async def register(
        self,
        id_number: IdNumber = VICTIM,
        user_id: str = "u1",
        *,
        caller: Caller = OURS,
        use: IdempotencyUse | None = None,
        **changes: Any,
    ) -> Transaction:
        """Begun."""
        new = NewRegistration(user_id=user_id, id_number=id_number, **changes)
        return (await self.services.registration.create(caller, new, use)).transaction

    async def sign(self, user_id: str = "u1", **changes: Any) -> Transaction:
        """Begun."""
        document = NewDocument(number="1153000165", sha256=hashlib.sha256(b"x").hexdigest())
        new = NewSignature(user_id=user_id, documents=(document,), **changes)
        return (await self.services.signing.create(OURS, new, None)).transaction

    async def push_again(self, transaction: Transaction, channel: Channel) -> Transaction:
        """A further challenge."""
        return await self.services.challenges.add(OURS, transaction.id, channel, None)

    async def approve(self, transaction: Transaction) -> None:
        """By the latest ticket."""
        await self.answered(transaction, APPROVED, Status.COMPLETED)

    async def refuse(self, transaction: Transaction) -> None:
        """By the latest ticket."""
        await self.answered(transaction, REFUSED, Status.REJECTED)

    async def forge(self, transaction: Transaction) -> None:
        """An answer that is not authentic, for the latest ticket."""
        await self.answered(transaction, TAMPERED, Status.FAILED)

    async def answered(self, transaction: Transaction, answer: Any, status: Status) -> None:
        """The latest ticket's answer at its next poll; checks what it led to."""
        self.upstream.answer(f"ticket-{len(self.upstream.begun)}", answer)
        await self.pass_time(4)
        assert (await self.current(transaction)).status is status

    async def missed(self, count: int = 1) -> None:
        """So many registrations of the victim that nobody answers."""
        for _ in range(count):
            begun = await self.register()
            await self.pass_time(60)
            assert (await self.current(begun)).status is Status.EXPIRED

    async def set_up(self) -> None:
        """Two tenants."""
        for tenant in (T1, T2):
            await self.services.tenants.create_tenant(tenant, tenant, TenantPolicy())
            await self.services.tenants.set_service_provider(
                tenant, "20261123090000000001", Secret(bytes(32)), "k1"
            )

    async def pass_time(self, seconds: float) -> None:
        """While the poller runs."""
        await self.clock.advance(seconds)
        await self.clock.settle()

    async def current(self, transaction: Transaction) -> Transaction:
        """As it is now."""
        caller = OURS if transaction.tenant == T1 else THEIRS
        return await self.services.transactions.get(caller, transaction.id)

    @staticmethod
    async def refusal(call: Any) -> Problem:
        """Of a call that a brake refuses."""
        with pytest.raises(GatewayError) as raised:
            await call
        assert raised.value.problem.status == 429
        return raised.value.problem

    @staticmethod
    async def at_once(*calls: Any) -> tuple[int, list[str]]:
        """How many of the calls were taken, and why the others were not."""
        ended = await asyncio.gather(*calls, return_exceptions=True)
        refused = [e.code for e in ended if isinstance(e, GatewayError)]
        taken = [e for e in ended if isinstance(e, Transaction)]
        assert len(taken) + len(refused) == len(calls), ended
        return len(taken), refused

    async def transactions(self) -> int:
        """How many transactions there are."""
        where = TransactionFilter()
        page = await self.services.transactions.list(OURS, where, limit=99, cursor=None)
        return len(page.items)


def build_house(
    clock: FrozenClock, store: Store, limits: BrakeLimits, seed: int = 1
) -> tuple[House, Poller]:
    """Around a store."""
    upstream, braked, woken = ScriptedUpstream(), list[str](), list[int]()
    context = Context(
        store=store,
        clock=clock,
        random=SeededRandom(seed),
        seals=FixedSeals(),
        upstream=upstream,
        judge=ScriptedJudge(),
        formats=FORMATS,
        workshop=HereWorkshop(FORMATS),
        bus=LocalEventBus(clock),
        environment="simulator",
        outbox_written=lambda: woken.append(1),
        alarm=lambda _name, _fields: None,
        brake_limits=limits,
        braked=braked.append,
    )
    settlement = Settlement(context)
    poller = Poller(context, settlement)
    services = make_services(context, settlement, poller.watch)
    return House(clock, store, upstream, services, braked, woken), poller


@asynccontextmanager
async def run_house(limits: BrakeLimits) -> AsyncIterator[House]:
    """A house in memory, its poller running."""
    clock = FrozenClock()
    house, poller = build_house(clock, MemoryStore(clock, FixedSeals()), limits)
    await house.set_up()
    task = asyncio.ensure_future(poller.run())
    await clock.settle()
    yield house
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """With the limits that are there by default."""
    async with run_house(BrakeLimits()) as made:
        yield made


@pytest.fixture
def running() -> Callable[..., AbstractAsyncContextManager[House]]:
    """A house with other limits, by name."""
    return lambda **limits: run_house(BrakeLimits(**limits))


@pytest.fixture
def build() -> Callable[..., House]:
    """One more gateway on a store; nobody polls."""
    seeds = count(100)

    def another(clock: FrozenClock, store: Store, **limits: Any) -> House:
        return build_house(clock, store, BrakeLimits(**limits), seed=next(seeds))[0]

    return another
