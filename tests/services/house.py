"""The services, settlement and poller around doubles of every port, in simulated time."""

from __future__ import annotations

import hashlib
from typing import Any

from attrs import define

from moica_gateway.domain.models import (
    Approved,
    CertificateSignature,
    Fault,
    Refused,
    Scope,
    Transaction,
)
from moica_gateway.domain.values import IdNumber, TenantId
from moica_gateway.errors import problem
from moica_gateway.events.local import LocalEventBus
from moica_gateway.services.bundle import Services, make_services
from moica_gateway.services.commands import (
    Caller,
    IdempotencyUse,
    NewDocument,
    NewRegistration,
    NewSignature,
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

TENANT = TenantId("t1")
SCOPES = frozenset(Scope)
CALLER = Caller(tenant=TENANT, actor="key:1", scopes=SCOPES)
STRANGER = Caller(tenant=TenantId("t2"), actor="key:2", scopes=SCOPES)
ID_NUMBER = IdNumber.parse("A123456789")
OTHER_ID = IdNumber.parse("B223456782")
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
UNAVAILABLE = Fault(
    problem=problem("upstream_unavailable", "x", upstream_code="DB_CONN_ERR"), spoke=True
)
UNREACHABLE = Fault(problem=problem("upstream_unreachable", "x"), spoke=False)


@define
class House:
    """Everything put together; `poller` may be replaced by a restart."""

    clock: FrozenClock
    store: MemoryStore
    upstream: ScriptedUpstream
    judge: ScriptedJudge
    context: Context
    services: Services
    poller: Poller
    alarms: list[str]
    woken: list[int]

    async def pass_time(self, seconds: float) -> None:
        """While the poller runs."""
        await self.clock.advance(seconds)
        await self.clock.settle()

    async def current(self, transaction: Transaction) -> Transaction:
        """As it is now."""
        return await self.services.transactions.get(CALLER, transaction.id)

    async def register(self, **changes: Any) -> Transaction:
        """Completed."""
        new = NewRegistration(user_id="u1", id_number=ID_NUMBER, **changes)
        made = await self.services.registration.create(CALLER, new, None)
        self.upstream.answer(f"ticket-{len(self.upstream.begun)}", APPROVED)
        await self.pass_time(4)
        return await self.current(made.transaction)

    async def sign(self, use: IdempotencyUse | None = None, **changes: Any) -> Transaction:
        """Begun."""
        document = NewDocument(number="1153000165", sha256=hashlib.sha256(b"x").hexdigest())
        new = NewSignature(user_id="u1", documents=(document,), **changes)
        return (await self.services.signing.create(CALLER, new, use)).transaction

    def answer(self, *answers: Any) -> None:
        """Of the latest ticket."""
        self.upstream.answer(f"ticket-{len(self.upstream.begun)}", *answers)

    async def actions(self, transaction: Transaction) -> list[str]:
        """Of the audit record."""
        records = await self.store.read(
            lambda uow: uow.audit_records(TENANT, transaction_id=transaction.id)
        )
        return [r.action for r in records]


def build(clock: FrozenClock, store: MemoryStore, upstream: ScriptedUpstream) -> House:
    """Around a store that may have been there before."""
    alarms: list[str] = []
    woken: list[int] = []
    judge = ScriptedJudge()
    context = Context(
        store=store,
        clock=clock,
        random=SeededRandom(len(upstream.begun) + 1),
        seals=FixedSeals(),
        upstream=upstream,
        judge=judge,
        formats=FORMATS,
        workshop=HereWorkshop(FORMATS),
        bus=LocalEventBus(clock),
        environment="simulator",
        outbox_written=lambda: woken.append(1),
        alarm=lambda name, _fields: alarms.append(name),
    )
    settlement = Settlement(context)
    poller = Poller(context, settlement)
    services = make_services(context, settlement, poller.watch)
    return House(clock, store, upstream, judge, context, services, poller, alarms, woken)
