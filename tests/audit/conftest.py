"""A database with two sealed chains, made once; each test meddles with a copy of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from moica_gateway.domain.audit import AuditHead
from moica_gateway.domain.audit_check import Report
from moica_gateway.domain.audit_lines import check_lines
from moica_gateway.domain.models import AuditRecord, Tenant
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId, TransactionId
from moica_gateway.services.audit import AuditTrail
from moica_gateway.services.sealing import Sealing
from moica_gateway.stores import DerivedSeals, migrate, open_store, signed_by
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.random import SeededRandom

OURS, THEIRS = TenantId("ours"), TenantId("theirs")
MASTER_KEY = Secret(bytes(range(32)))
BATCHES = (1, 5, 7, 4)
"""Records of ours that were sealed together."""
SEALED = sum(BATCHES)
UNSEALED = 3


def record(clock: FrozenClock, n: int) -> AuditRecord:
    """The n-th, with every JSON type that there may be."""
    return AuditRecord(
        at=clock.now(),
        action=f"transaction.a{n}",
        actor="key:key_1" if n % 2 else "worker",
        transaction_id=TransactionId(f"txn_{n % 4}") if n % 5 else None,
        data={"n": n, "words": f'配對\u2028「{n}」\t\\"', "flag": n % 2 == 0, "list": [None, {}]},
    )


@frozen
class World:
    """One database file, and what can be asked of it."""

    file: Path
    clock: FrozenClock
    alarms: list[str]

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """As somebody with the file would."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as database:
            return database.execute(statement, values).fetchall()

    async def open(self, work: Callable[[Any, Sealing, AuditTrail], Awaitable[Any]]) -> Any:
        """With the store open; sealing and reading as the gateway would."""
        store = open_store(
            f"sqlite:///{self.file}",
            master_key=MASTER_KEY,
            clock=self.clock,
            random=SeededRandom(7),
        )
        seals = DerivedSeals(MASTER_KEY)

        def alarm(name: str, _fields: Any) -> None:
            self.alarms.append(name)

        async with store:
            sealing = Sealing(store=store, clock=self.clock, seals=seals, alarm=alarm)
            trail = AuditTrail(store=store, seals=seals, sealing=sealing)
            return await work(store, sealing, trail)

    async def verify(self, heads: Sequence[AuditHead] = (), tenant: TenantId = OURS) -> Report:
        """The walk."""

        async def work(_store: Any, _sealing: Sealing, trail: AuditTrail) -> Report:
            return await trail.verify(tenant, heads)

        report = await self.open(work)
        assert isinstance(report, Report)
        return report

    async def export(self, tenant: TenantId = OURS) -> list[str]:
        """The lines."""
        lines: list[str] = []

        async def work(_store: Any, _sealing: Sealing, trail: AuditTrail) -> None:
            await trail.export(tenant, lines.append)

        await self.open(work)
        return lines

    async def head(self) -> AuditHead:
        """The newest one, ours."""

        async def work(_store: Any, _sealing: Sealing, trail: AuditTrail) -> AuditHead | None:
            return await trail.head(OURS)

        head = await self.open(work)
        assert isinstance(head, AuditHead)
        return head

    async def grow(self, count: int, *, seal: bool = True) -> None:
        """More records."""

        async def work(store: Any, sealing: Sealing, _trail: AuditTrail) -> None:
            await write(store, self.clock, 100, count)
            if seal:
                await sealing.seal(OURS)

        await self.open(work)


async def write(store: Any, clock: FrozenClock, first: int, count: int) -> None:
    """Records of both tenants, in turn."""
    for n in range(first, first + count):
        await store.write(lambda u, n=n: u.audit(OURS, record(clock, n)))
        if n % 3 == 0:
            await store.write(lambda u, n=n: u.audit(THEIRS, record(clock, n)))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The database as it was left."""
    file = tmp_path_factory.mktemp("audit") / "gateway.db"
    migrate(f"sqlite:///{file}")
    world = World(file, FrozenClock(), [])

    async def fill(store: Any, sealing: Sealing, _trail: AuditTrail) -> None:
        for tenant in (OURS, THEIRS):
            made = Tenant(id=tenant, name="x", created_at=world.clock.now(), policy=TenantPolicy())
            await store.write(lambda u, made=made: u.save_tenant(made))
        written = 0
        for count in BATCHES:
            await write(store, world.clock, written, count)
            written += count
            world.clock.advance_now(1.25)
            for tenant in (OURS, THEIRS):
                await sealing.seal(tenant)
        await write(store, world.clock, written, UNSEALED)

    asyncio.run(world.open(fill))
    return file.read_bytes()


@pytest.fixture
def world(template: bytes, tmp_path: Path) -> World:
    """A copy."""
    file = tmp_path / "gateway.db"
    file.touch(mode=0o600)
    file.write_bytes(template)
    clock = FrozenClock()
    clock.advance_now(60)
    return World(file, clock, [])


def check_file(
    lines: Sequence[str], heads: Sequence[AuditHead], keys: Sequence[bytes] = ()
) -> list[tuple[str, Report]]:
    """As `audit verify --file` does."""
    return check_lines(
        [line.encode() for line in lines],
        public_keys=keys or [head.public_key for head in heads],
        heads=heads,
        signed=signed_by,
    )
