"""The embedded engine: SQLite in WAL mode. All that is SQLite's alone is here.

SQLAlchemy's synchronous engine with the standard library's driver, in threads: aiosqlite would put
its own thread and queue around each connection and so between us and the group commit. One
connection writes (``BEGIN IMMEDIATE``, ``synchronous=FULL``: a commit survives a power failure), a
few read, each read in a snapshot of its own and unable to write.

``secure_delete`` overwrites deleted content with zeros, and after an erasure the write-ahead log is
emptied, so that a destroyed key is not found in the file either. A backup is another matter.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from moica_gateway.errors import GatewayError, error
from moica_gateway.stores.codec import json_text
from moica_gateway.stores.database import READERS
from moica_gateway.stores.runner import Prepared, Runner, name_of, served_already, unavailable

__all__ = ["SqliteDatabase"]

T = TypeVar("T")

_BUSY_MILLISECONDS: Final = 5_000
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-16000",
)


class SqliteDatabase:
    """`moica_gateway.stores.database.Database` on one file."""

    def __init__(self, path: str) -> None:
        self._file = Path(path)

    def require(self) -> None:
        """See `moica_gateway.stores.database.Database`."""
        if not self._file.exists():
            raise error(
                "configuration_invalid",
                "expected a database file, came a path where there is none; "
                "the operator migrates first, which makes it, and starts again",
            )

    def set_up(self, work: Callable[[Connection], T]) -> T:
        """See `moica_gateway.stores.database.Database`."""
        engine = self._writing_engine()
        try:
            with engine.begin() as connection:
                return work(connection)
        except SQLAlchemyError as caught:
            raise _lost(caught) from None
        finally:
            engine.dispose()

    def writer(self) -> SqliteWriter:
        """See `moica_gateway.stores.database.Database`."""
        return SqliteWriter(self._writing_engine())

    def readers(self) -> SqliteReaders:
        """See `moica_gateway.stores.database.Database`."""
        return SqliteReaders(
            _engine(
                self._file,
                "BEGIN",
                ("PRAGMA query_only=ON",),
                poolclass=QueuePool,
                pool_size=READERS,
                max_overflow=0,
            )
        )

    @contextmanager
    def only_process(
        self,
        lost: Callable[[], None],  # noqa: ARG002 - the operating system's lock is never lost
    ) -> Iterator[None]:
        """The lock is the operating system's, on a file beside the database: it ends with the
        process, however that ends, so that a restart after a crash finds it free."""
        if not self._file.exists():
            # Nobody serves what is not there; opening it says what to do.
            yield
            return
        lock = self._file.with_name(self._file.name + ".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise unavailable(f"the file beside it could not be made ({e.strerror})") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise served_already() from None
            yield
        finally:
            os.close(descriptor)

    def _writing_engine(self) -> Engine:
        """For one connection at a time. Makes the file, readable by its owner only."""
        try:
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as caught:
            raise unavailable(f"its file could not be opened ({caught.strerror})") from None
        return _engine(self._file, "BEGIN IMMEDIATE", (), poolclass=NullPool)


class SqliteReaders:
    """`moica_gateway.stores.database.Readers` on a small pool."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._prepared = Prepared(engine.dialect)

    def run(self, work: Callable[[Runner], T]) -> T:
        """The snapshot is taken by the first statement."""
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as caught:
            raise _lost(caught) from None
        with connection:
            try:
                connection.begin()
                driver = connection.connection.dbapi_connection
            except SQLAlchemyError as caught:
                raise _lost(caught) from None
            if driver is None:
                raise unavailable("its connection was closed")
            return work(Runner(connection, driver, self._prepared))

    def close(self) -> None:
        """See `moica_gateway.stores.database.Readers`."""
        self._engine.dispose()


class SqliteWriter:
    """`moica_gateway.stores.group_commit.Writer` on one SQLite connection."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._prepared = Prepared(engine.dialect)
        self._connection: Connection | None = None
        self._driver: DBAPIConnection | None = None

    def run(self, thread: Callable[[], None]) -> None:
        """As it is."""
        thread()

    def begin(self) -> Runner:
        """Takes the write lock; waits up to five seconds for another program."""
        try:
            connection = self._connection
            if connection is None:
                connection = self._connection = self._engine.connect()
            connection.begin()
            driver = self._driver = connection.connection.dbapi_connection
        except SQLAlchemyError as caught:
            raise _lost(caught) from None
        if driver is None:
            raise unavailable("its connection was closed")
        return Runner(connection, driver, self._prepared)

    def savepoint(self) -> None:
        """By the bare driver: SQLAlchemy's bookkeeping costs more than the savepoint."""
        self._execute("SAVEPOINT work")

    def release(self) -> None:
        """Keep it."""
        self._execute("RELEASE work")

    def undo(self) -> None:
        """A full disk or an I/O error has rolled back the whole group already: then it is lost."""
        self._execute("ROLLBACK TO work")
        self._execute("RELEASE work")

    def commit(self) -> None:
        """Durable when this returns."""
        if self._connection is None:
            raise unavailable("nothing was begun")
        try:
            self._connection.commit()
        except SQLAlchemyError as caught:
            raise _lost(caught) from None

    def abandon(self) -> None:
        """Throws the connection away too: what is wrong with it is not known."""
        connection, self._connection, self._driver = self._connection, None, None
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except (SQLAlchemyError, sqlite3.Error):
                return

    def scrub(self) -> None:
        """Best effort: a long read elsewhere puts it off to a later checkpoint."""
        try:
            self._execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except GatewayError:
            return

    def close(self) -> None:
        """Closing the last connection empties the write-ahead log."""
        connection, self._connection, self._driver = self._connection, None, None
        try:
            if connection is not None:
                connection.close()
            self._engine.dispose()
        except (SQLAlchemyError, sqlite3.Error):
            return

    def _execute(self, statement: str) -> None:
        if self._driver is None:
            raise unavailable("the connection is lost")
        try:
            self._driver.cursor().execute(statement)
        except sqlite3.Error as caught:
            raise unavailable(f"it answered {name_of(caught)}") from None


def _engine(file: Path, begin: str, pragmas: tuple[str, ...], **pool: Any) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(file)),
        # None: the driver begins nothing by itself, so that BEGIN says what we mean.
        connect_args={"isolation_level": None, "check_same_thread": False},
        json_serializer=json_text,
        hide_parameters=True,  # an exception's text must not quote personal data
        **pool,
    )

    @event.listens_for(engine, "connect")
    def _prepare(driver: sqlite3.Connection, _record: object) -> None:
        for pragma in (*_PRAGMAS, *pragmas):
            driver.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _lost(caught: SQLAlchemyError) -> GatewayError:
    return unavailable(f"it answered {name_of(getattr(caught, 'orig', None) or caught)}")
