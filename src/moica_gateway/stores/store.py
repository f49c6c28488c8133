"""`moica_gateway.ports.Store` on the embedded engine: opening, writing, reading, closing.

Writes go through the group commit, reads through a few threads. The port is the same for an engine
that is awaited; nothing above this room sees a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self, TypeVar

from sqlalchemy import Engine, insert, select, update

from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import Clock, Random, UnitOfWork
from moica_gateway.stores.audit_macs import AuditMacs
from moica_gateway.stores.group_commit import GroupCommit
from moica_gateway.stores.runner import Prepared, Runner, unavailable
from moica_gateway.stores.schema import check_schema
from moica_gateway.stores.seals import DerivedSeals
from moica_gateway.stores.session import KeyRing
from moica_gateway.stores.sqlite import (
    SqliteWriter,
    begin_immediate,
    database_file,
    reading_engine,
    snapshot,
    writing_engine,
)
from moica_gateway.stores.tables import store_probe, tenant_keys
from moica_gateway.stores.unit_of_work import SqlUnitOfWork
from moica_gateway.stores.vault import Vault

__all__ = ["SqlStore", "open_store"]

T = TypeVar("T")

_READERS: Final = 4
_PROBE: Final = update(store_probe)
_FIRST_PROBE: Final = insert(store_probe)


def open_store(url: str, *, master_key: Secret, clock: Clock, random: Random) -> SqlStore:
    """The store of a database URL, to be entered with ``async with`` (or `SqlStore.open`).

    Args:
        url: ``sqlite:///relative/path`` or ``sqlite:////absolute/path``; migrated before.
        master_key: 32 bytes from outside the database.
        clock: Ages idempotency keys, dates keys and erasures.
        random: Cryptographically secure: it makes data keys and nonces.

    Raises:
        ConfigurationError: ``configuration_invalid`` for another scheme or a wrong key.
    """
    return SqlStore(url, master_key=master_key, clock=clock, random=random)


class SqlStore:
    """Durable state. Open it once, in the running event loop; close it once."""

    def __init__(self, url: str, *, master_key: Secret, clock: Clock, random: Random) -> None:
        self._file = database_file(url)
        self._vault = Vault(master_key, random)
        self._seals = DerivedSeals(master_key)
        self._audit_macs = AuditMacs(master_key)
        self._audited: Callable[[TenantId], None] = lambda _tenant: None
        self._clock = clock
        self._key_ring = KeyRing()
        self._reading: Engine | None = None
        self._prepared: Prepared | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._group: GroupCommit | None = None

    def on_audit(self, audited: Callable[[TenantId], None]) -> None:
        """Whom to call, in the loop of whoever wrote, once a tenant's audit record has grown."""
        self._audited = audited

    @property
    def commits(self) -> int:
        """How many commits there were."""
        return self._group.commits if self._group else 0

    @property
    def works(self) -> int:
        """How many pieces of work these commits carried."""
        return self._group.works if self._group else 0

    async def open(self) -> None:
        """Check the database and start.

        Raises:
            ConfigurationError: ``configuration_invalid`` when the database has another version or
                was made with another master key, ``storage_unavailable`` when it does not work.
        """
        if self._group is not None:
            raise RuntimeError("the store is open already")
        writing = await asyncio.to_thread(self._checked_engine)
        self._reading = reading_engine(self._file)
        self._prepared = Prepared(self._reading.dialect)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._group = GroupCommit(
            SqliteWriter(writing),
            lambda runner: self._unit_of_work(runner, writing=True),
            lambda tenant: self._audited(tenant),
        )
        self._group.start()

    async def close(self) -> None:
        """Finish what is queued, refuse what comes later. A second time is no error."""
        group, readers, reading = self._group, self._readers, self._reading
        self._group = self._readers = self._reading = None
        if readers is not None and reading is not None:
            await asyncio.to_thread(readers.shutdown)
            reading.dispose()
        if group is not None:
            await group.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # -- the port ------------------------------------------------------------------------------

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        """See `moica_gateway.ports.Store`. Cancelling gives up the answer, not the work."""
        if self._group is None:
            raise unavailable("the store is not open")
        return await self._group.submit(work)

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        """See `moica_gateway.ports.Store`."""
        if self._readers is None:
            raise unavailable("the store is not open")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read, work)

    async def ready(self) -> bool:
        """See `moica_gateway.ports.Store`: writes a row and commits it."""
        try:
            await self.write(self._probe)
        except GatewayError:
            return False
        return True

    # -- in threads ----------------------------------------------------------------------------

    def _checked_engine(self) -> Engine:
        if not self._file.exists():
            raise error(
                "configuration_invalid",
                "expected a database file, came a path where there is none; "
                "the operator migrates first, which makes it, and starts again",
            )
        engine = writing_engine(self._file)
        try:
            check_schema(engine)
            with begin_immediate(engine) as connection:
                others = connection.execute(
                    select(tenant_keys.c.tenant)
                    .where(tenant_keys.c.master_key_id != self._vault.master_key_id)
                    .limit(1)
                ).first()
        except BaseException:
            engine.dispose()
            raise
        if others is not None:
            engine.dispose()
            raise error(
                "configuration_invalid",
                "expected the master key with which this database was made, came another; "
                "the operator restores the right key and starts again",
            )
        return engine

    def _unit_of_work(self, runner: Runner, *, writing: bool) -> SqlUnitOfWork:
        return SqlUnitOfWork(
            runner,
            vault=self._vault,
            seals=self._seals,
            audit_macs=self._audit_macs,
            clock=self._clock,
            key_ring=self._key_ring,
            writing=writing,
        )

    def _read(self, work: Callable[[UnitOfWork], T]) -> T:
        reading, prepared = self._reading, self._prepared
        if reading is None or prepared is None:
            raise unavailable("the store is closing")
        with snapshot(reading, prepared) as runner:
            unit = self._unit_of_work(runner, writing=False)
            result = work(unit)
            unit.committed()
            return result

    def _probe(self, unit: UnitOfWork) -> None:
        if not isinstance(unit, SqlUnitOfWork):
            raise unavailable("the unit of work is another store's")
        values = {"id": 1, "at": self._clock.now()}
        if not unit.change(_PROBE, values):
            unit.change(_FIRST_PROBE, values)
