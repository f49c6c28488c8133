"""The engine for a server: PostgreSQL by asyncpg. All that is PostgreSQL's alone is here.

A unit of work is a plain function in a thread, asyncpg is awaited: each thread of the store has an
event loop of its own, and SQLAlchemy's greenlets (`greenlet_spawn`) let the function call the
driver as if it did not wait.

Whoever writes takes one advisory lock first, whatever process it is in: what a unit of work reads
stays as it is until its commit, no transaction is ever refused as not serializable, and rows are
numbered in the order of their commits, which the feed and the audit record count on. What is
shared out between processes is everything else that a signature costs.

Deleted rows stay in the server's files until it cleans up: after an erasure the tables that held
the key are vacuumed at once. The server's write-ahead log and its backups are the operator's.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import greenlet_spawn

from moica_gateway.errors import GatewayError
from moica_gateway.stores.codec import json_text
from moica_gateway.stores.runner import Prepared, Runner, name_of, served_already, unavailable

__all__ = ["PostgresDatabase", "unusable"]

T = TypeVar("T")

_WRITING: Final = 0x6D6F69636100
"""The advisory lock of whoever writes, until the end of the transaction."""
_SERVING: Final = 0x6D6F69636101
"""The one of the process that serves, as long as its connection lives."""
_CONNECT_SECONDS: Final = 5.0
_OPTIONS: Final = frozenset({"host", "port", "ssl", "sslmode"})
_SESSION: Final[Mapping[str, str]] = {
    "application_name": "moica-gateway",
    "timezone": "UTC",
    "synchronous_commit": "on",  # a commit survives a power failure, whatever the server's default
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "15s",  # a frozen writer must not stop the others
    "jit": "off",
}
_FOREIGN: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


def unusable(url: URL) -> str | None:
    """What is missing in a URL, or is not known in it; in words for "came ..."."""
    if not url.database:
        return "a URL without the name of a database"
    if unknown := set(url.query) - _OPTIONS:
        return f"a URL with the option {min(unknown)!r}"
    return None


class PostgresDatabase:
    """`moica_gateway.stores.database.Database` on one server.

    Args:
        url: What `unusable` finds nothing wrong with; ``?host=/folder`` is a unix socket,
            ``?sslmode=verify-full`` requires TLS.
    """

    def __init__(self, url: URL) -> None:
        options = {"ssl" if name == "sslmode" else name: v for name, v in url.query.items()}
        self._url = url.set(drivername="postgresql+asyncpg", query=options)

    def require(self) -> None:
        """An operator makes the database; `set_up` says so if it is not there."""

    def set_up(self, work: Callable[[Connection], T]) -> T:
        """See `moica_gateway.stores.database.Database`."""
        engine = self._engine()

        def in_one() -> T:
            try:
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITING})")
                    return work(connection)
            except (*_FOREIGN, TimeoutError) as caught:
                raise _lost(caught) from None

        return _elsewhere(in_one)

    def writer(self) -> PostgresWriter:
        """See `moica_gateway.stores.database.Database`."""
        return PostgresWriter(self._engine())

    def readers(self) -> PostgresReaders:
        """See `moica_gateway.stores.database.Database`."""
        return PostgresReaders(self._engine())

    @contextmanager
    def only_process(self, lost: Callable[[], None]) -> Iterator[None]:
        """By an advisory lock of the session: it ends with the process, however that ends."""
        holder = _Holder(self._url, lost)
        holder.start()
        try:
            yield
        finally:
            holder.stop()

    def _engine(self) -> Engine:
        return create_async_engine(
            self._url,
            # A connection belongs to the thread that made it, and to its event loop.
            poolclass=NullPool,
            connect_args={"timeout": _CONNECT_SECONDS, "server_settings": dict(_SESSION)},
            isolation_level="READ COMMITTED",
            json_serializer=json_text,
            hide_parameters=True,  # an exception's text must not quote personal data
        ).sync_engine


class PostgresWriter:
    """`moica_gateway.stores.group_commit.Writer` on one connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._prepared = Prepared(engine.dialect)
        self._connection: Connection | None = None
        self._driver: DBAPIConnection | None = None

    def run(self, thread: Callable[[], None]) -> None:
        """In an event loop of its own, which stands still while there is nothing to write."""
        asyncio.run(greenlet_spawn(thread))

    def begin(self) -> Runner:
        """Takes the lock of whoever writes. A connection that was lost meanwhile is made anew."""
        if self._connection is not None:
            try:
                return self._begun(self._connection)
            except GatewayError:
                self.abandon()
        try:
            connection = self._connection = self._engine.connect()
        except (*_FOREIGN, TimeoutError) as caught:
            raise _lost(caught) from None
        return self._begun(connection)

    def savepoint(self) -> None:
        """See `moica_gateway.stores.group_commit.Writer`."""
        self._execute("SAVEPOINT work")

    def release(self) -> None:
        """See `moica_gateway.stores.group_commit.Writer`."""
        self._execute("RELEASE SAVEPOINT work")

    def undo(self) -> None:
        """See `moica_gateway.stores.group_commit.Writer`."""
        self._execute("ROLLBACK TO SAVEPOINT work")
        self._execute("RELEASE SAVEPOINT work")

    def commit(self) -> None:
        """Durable when this returns."""
        if self._connection is None:
            raise unavailable("nothing was begun")
        try:
            self._connection.commit()
        except _FOREIGN as caught:
            raise _lost(caught) from None

    def abandon(self) -> None:
        """Throws the connection away too: what is wrong with it is not known."""
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(*_FOREIGN):
                connection.invalidate()
                connection.close()

    def scrub(self) -> None:
        """Best effort: a long read elsewhere keeps old rows."""
        with contextlib.suppress(*_FOREIGN, TimeoutError), self._engine.connect() as connection:
            clean = connection.execution_options(isolation_level="AUTOCOMMIT")
            clean.exec_driver_sql("VACUUM persons, person_keys")

    def close(self) -> None:
        """See `moica_gateway.stores.group_commit.Writer`."""
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(*_FOREIGN):
                connection.close()

    def _begun(self, connection: Connection) -> Runner:
        try:
            connection.begin()
            driver = self._driver = connection.connection.dbapi_connection
        except _FOREIGN as caught:
            raise _lost(caught) from None
        if driver is None:
            raise unavailable("its connection was closed")
        self._execute(f"SELECT pg_advisory_xact_lock({_WRITING})")
        return Runner(connection, driver, self._prepared)

    def _execute(self, statement: str) -> None:
        if self._driver is None:
            raise unavailable("the connection is lost")
        try:
            with contextlib.closing(self._driver.cursor()) as cursor:
                cursor.execute(statement)
        except Exception as caught:  # noqa: BLE001 - the driver's own classes, made at run time
            raise _lost(caught) from None


class PostgresReaders:
    """`moica_gateway.stores.database.Readers`: a loop and a connection for each thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self._prepared = Prepared(engine.dialect)
        self._own = threading.local()
        self._all: list[_Reader] = []

    def run(self, work: Callable[[Runner], T]) -> T:
        """See `moica_gateway.stores.database.Readers`."""
        reader: _Reader | None = getattr(self._own, "reader", None)
        if reader is None:
            reader = self._own.reader = _Reader(self._engine, self._prepared)
            self._all.append(reader)
        return reader.run(work)

    def close(self) -> None:
        """See `moica_gateway.stores.database.Readers`."""
        for reader in self._all:
            reader.close()
        self._all.clear()


class _Reader:
    """Used by one thread at a time."""

    def __init__(self, engine: Engine, prepared: Prepared) -> None:
        self._engine = engine
        self._prepared = prepared
        self._loop = asyncio.Runner()
        self._connection: Connection | None = None

    def run(self, work: Callable[[Runner], T]) -> T:
        result: T = self._loop.run(greenlet_spawn(self._run, work))
        return result

    def close(self) -> None:
        self._loop.run(greenlet_spawn(self._drop))
        self._loop.close()

    def _run(self, work: Callable[[Runner], T]) -> T:
        runner = self._begun()
        try:
            return work(runner)
        finally:
            if runner.lost is None:
                self._end()
            else:
                self._drop()

    def _begun(self) -> Runner:
        """A connection that was lost meanwhile is made anew, once."""
        if self._connection is not None:
            try:
                return self._snapshot(self._connection)
            except GatewayError:
                self._drop()
        try:
            connection = self._connection = self._engine.connect()
        except (*_FOREIGN, TimeoutError) as caught:
            raise _lost(caught) from None
        return self._snapshot(connection)

    def _snapshot(self, connection: Connection) -> Runner:
        try:
            connection.begin()
            connection.exec_driver_sql("SELECT 1")
            driver = connection.connection.dbapi_connection
        except _FOREIGN as caught:
            raise _lost(caught) from None
        if driver is None:
            raise unavailable("its connection was closed")
        return Runner(connection, driver, self._prepared)

    def _end(self) -> None:
        if self._connection is not None:
            try:
                self._connection.rollback()
            except _FOREIGN:
                self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_FOREIGN):
                connection.invalidate()
                connection.close()


class _Holder:
    """Keeps a connection with the lock of the process that serves, in a thread of its own."""

    def __init__(self, url: URL, lost: Callable[[], None]) -> None:
        self._url = url
        self._lost = lost
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._began: threading.Event = threading.Event()
        self._refused: GatewayError | None = None
        self._thread = threading.Thread(target=self._run, name="store-holder", daemon=True)

    def start(self) -> None:
        """Raises ``ConfigurationError`` where another process holds it."""
        self._thread.start()
        self._began.wait()
        if self._refused is not None:
            self._thread.join()
            raise self._refused

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._hold())
        finally:
            self._loop.close()
            self._began.set()

    async def _hold(self) -> None:
        try:
            options = self._url.translate_connect_args(username="user")
            connection = await asyncpg.connect(
                **{**options, **self._url.query},
                timeout=_CONNECT_SECONDS,
                server_settings={"application_name": "moica-gateway serving"},
            )
        except (*_FOREIGN, TimeoutError) as caught:
            self._refused = _lost(caught)
            return
        try:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _SERVING):
                self._refused = served_already()
                return
            connection.add_termination_listener(self._terminated)
            self._began.set()
            await self._stopping.wait()
        except _FOREIGN as caught:
            self._refused = _lost(caught)
        finally:
            connection.remove_termination_listener(self._terminated)
            with contextlib.suppress(*_FOREIGN, TimeoutError):
                await connection.close(timeout=_CONNECT_SECONDS)

    def _terminated(self, _connection: object) -> None:
        if not self._stopping.is_set():
            self._lost()


def _elsewhere(work: Callable[[], T]) -> T:
    """In a thread with an event loop of its own: the caller may be inside one."""
    results: list[T] = []
    raised: list[BaseException] = []

    def thread() -> None:
        try:
            results.append(asyncio.run(greenlet_spawn(work)))
        except BaseException as caught:  # noqa: BLE001 - raised again below, whatever it is
            raised.append(caught)

    runs = threading.Thread(target=thread, name="store-set-up")
    runs.start()
    runs.join()
    if raised:
        raise raised[0]
    return results[0]


def _lost(caught: BaseException) -> GatewayError:
    found: Any = getattr(caught, "orig", None) or caught
    return unavailable(f"it answered {name_of(found)}")
