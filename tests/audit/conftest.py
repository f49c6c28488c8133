"""A database with two sealed chains, made once; each test meddles with a copy of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
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
from moica_gateway.stores import DerivedSeals, SqlStore, migrate, open_store, signed_by
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
    """One database that is meddled with and put back, and what can be asked of it."""

    file: Path
    store: SqlStore
    clock: FrozenClock
    alarms: list[str]

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """As somebody with the file would."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF").close()
            return database.execute(statement, values).fetchall()

    def restore(self) -> None:
        """As it was left."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as database:
            database.executescript(
                f"""
                PRAGMA synchronous = OFF;
                ATTACH '{self.file}.template' AS template;
                BEGIN;
                DELETE FROM audit_records;
                DELETE FROM audit_heads;
                INSERT INTO audit_records SELECT * FROM template.audit_records;
                INSERT INTO audit_heads SELECT * FROM template.audit_heads;
                COMMIT;
                """  # noqa: S608 - a test's own file
            )

    async def open(self, work: Callable[[Any, Sealing, AuditTrail], Awaitable[Any]]) -> Any:
        """As a process that has just started: it remembers nothing."""
        seals = DerivedSeals(MASTER_KEY)

        def alarm(name: str, _fields: Any) -> None:
            self.alarms.append(name)

        sealing = Sealing(store=self.store, clock=self.clock, seals=seals, alarm=alarm)
        trail = AuditTrail(store=self.store, seals=seals, sealing=sealing)
        return await work(self.store, sealing, trail)

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
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The one database, and beside it how it was left."""
    file = tmp_path_factory.mktemp("audit") / "gateway.db"
    url = f"sqlite:///{file}"
    migrate(url)
    clock = FrozenClock()
    store = open_store(url, master_key=MASTER_KEY, clock=clock, random=SeededRandom(7))
    world = World(file, store, clock, [])

    async def fill(store: Any, sealing: Sealing, _trail: AuditTrail) -> None:
        await store.open()
        for tenant in (OURS, THEIRS):
            made = Tenant(id=tenant, name="x", created_at=clock.now(), policy=TenantPolicy())
            await store.write(lambda u, made=made: u.save_tenant(made))
        written = 0
        for count in BATCHES:
            await write(store, clock, written, count)
            written += count
            clock.advance_now(1.25)
            for tenant in (OURS, THEIRS):
                await sealing.seal(tenant)
        await write(store, clock, written, UNSEALED)

    asyncio.run(world.open(fill))
    with (
        closing(sqlite3.connect(file)) as database,
        closing(sqlite3.connect(f"{file}.template")) as template,
    ):
        database.backup(template)
    clock.advance_now(60)
    yield world
    asyncio.run(store.close())


@pytest.fixture
def world(kept: World) -> World:
    """As it was left."""
    kept.restore()
    kept.alarms.clear()
    return kept


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
