"""`moica_gateway.ports.Store` on either engine: opening, writing, reading, closing.

Writes go through the group commit, reads through a few threads; nothing above this room sees a
thread, and nothing here an engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self, TypeVar

from sqlalchemy import Connection, insert, select, update

from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import Clock, Random, UnitOfWork
from moica_gateway.stores.audit_macs import AuditMacs
from moica_gateway.stores.database import READERS, Readers, database_of
from moica_gateway.stores.group_commit import GroupCommit
from moica_gateway.stores.runner import Runner, unavailable
from moica_gateway.stores.schema import check_schema
from moica_gateway.stores.seals import DerivedSeals
from moica_gateway.stores.session import KeyRing
from moica_gateway.stores.tables import store_probe, tenant_keys
from moica_gateway.stores.unit_of_work import SqlUnitOfWork
from moica_gateway.stores.vault import Vault

__all__ = ["SqlStore", "open_store"]

T = TypeVar("T")

_PROBE: Final = update(store_probe)
_FIRST_PROBE: Final = insert(store_probe)


def open_store(url: str, *, master_key: Secret, clock: Clock, random: Random) -> SqlStore:
    """The store of a database URL, to be entered with ``async with`` (or `SqlStore.open`).

    Args:
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path``, or
            ``postgresql://user@host/database``; migrated before.
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
        self._database = database_of(url)
        self._vault = Vault(master_key, random)
        self._seals = DerivedSeals(master_key)
        self._audit_macs = AuditMacs(master_key)
        self._audited: Callable[[TenantId], None] = lambda _tenant: None
        self._clock = clock
        self._key_ring = KeyRing()
        self._readers: Readers | None = None
        self._threads: ThreadPoolExecutor | None = None
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
        await asyncio.to_thread(self._check)
        self._readers = self._database.readers()
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._group = GroupCommit(
            self._database.writer(),
            lambda runner: self._unit_of_work(runner, writing=True),
            lambda tenant: self._audited(tenant),
        )
        self._group.start()

    async def close(self) -> None:
        """Finish what is queued, refuse what comes later. A second time is no error."""
        group, threads, readers = self._group, self._threads, self._readers
        self._group = self._threads = self._readers = None
        if threads is not None and readers is not None:
            await asyncio.to_thread(threads.shutdown)
            await asyncio.to_thread(readers.close)
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
        if self._threads is None:
            raise unavailable("the store is not open")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, work)

    async def ready(self) -> bool:
        """See `moica_gateway.ports.Store`: writes a row and commits it."""
        try:
            await self.write(self._probe)
        except GatewayError:
            return False
        return True

    # -- in threads ----------------------------------------------------------------------------

    def _check(self) -> None:
        self._database.require()
        self._database.set_up(self._check_in)

    def _check_in(self, connection: Connection) -> None:
        check_schema(connection)
        others = connection.execute(
            select(tenant_keys.c.tenant)
            .where(tenant_keys.c.master_key_id != self._vault.master_key_id)
            .limit(1)
        ).first()
        if others is not None:
            raise error(
                "configuration_invalid",
                "expected the master key with which this database was made, came another; "
                "the operator restores the right key and starts again",
            )

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
        readers = self._readers
        if readers is None:
            raise unavailable("the store is closing")

        def reading(runner: Runner) -> T:
            unit = self._unit_of_work(runner, writing=False)
            result = work(unit)
            unit.committed()
            return result

        return readers.run(reading)

    def _probe(self, unit: UnitOfWork) -> None:
        if not isinstance(unit, SqlUnitOfWork):
            raise unavailable("the unit of work is another store's")
        values = {"id": 1, "at": self._clock.now()}
        if not unit.change(_PROBE, values):
            unit.change(_FIRST_PROBE, values)
