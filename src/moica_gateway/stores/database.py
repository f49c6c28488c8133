"""What a store needs of its engine, and which engine a URL means. SQL is not here.

Two engines: `moica_gateway.stores.sqlite` embedded, `moica_gateway.stores.postgres` for a server.
Both let one piece of work write at a time, so that what a unit of work reads stays as it is until
its commit, and rows are numbered in the order of their commits.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import ArgumentError

from moica_gateway.errors import GatewayError, error
from moica_gateway.stores.group_commit import Writer
from moica_gateway.stores.runner import Runner

__all__ = ["READERS", "Database", "Readers", "database_of", "only_process"]

READERS: Final = 4
"""Connections, and threads, that read."""

T = TypeVar("T")


class Readers(Protocol):
    """Connections that only read. `run` is called in threads of the store's."""

    def run(self, work: Callable[[Runner], T]) -> T:
        """Against one consistent snapshot of committed state.

        Raises:
            ConfigurationError: ``storage_unavailable``.
            Exception: what ``work`` raised.
        """

    def close(self) -> None:
        """Once no thread of the store's runs any more; raises nothing."""


class Database(Protocol):
    """One database, of one engine. Nothing is opened before it is used."""

    def require(self) -> None:
        """Raises ``ConfigurationError`` ``configuration_invalid`` where `set_up` would first have
        to make it."""

    def set_up(self, work: Callable[[Connection], T]) -> T:
        """Run in one transaction that nobody else writes beside. Blocks.

        Raises:
            ConfigurationError: ``storage_unavailable`` when the database does not work.
            Exception: what ``work`` raised; nothing is kept then.
        """

    def writer(self) -> Writer:
        """The one connection that writes."""

    def readers(self) -> Readers:
        """Those that read."""

    def only_process(self, lost: Callable[[], None]) -> AbstractContextManager[None]:
        """Held until the end of the block: one process does the work of one database.

        Args:
            lost: Called, in whatever thread, should the hold be lost before.

        Raises:
            ConfigurationError: ``configuration_invalid`` while another process holds it, or
                ``storage_unavailable``.
        """


def database_of(url: str) -> Database:
    """The database that ``sqlite:///…`` or ``postgresql://…`` names.

    Raises:
        ConfigurationError: ``configuration_invalid`` for another scheme, or an incomplete URL. The
            URL is not repeated, it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise _wrong_url("something that is no URL") from None
    # Each engine is imported where it is used: a start on the one has no need of the other.
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        from moica_gateway.stores.sqlite import SqliteDatabase

        path = parsed.database
        if not path or path == ":memory:" or "\0" in path or parsed.query:
            raise _wrong_url("a URL without a plain path")
        return SqliteDatabase(path)
    if parsed.drivername in ("postgresql", "postgresql+asyncpg"):
        from moica_gateway.stores.postgres import PostgresDatabase, unusable

        if wrong := unusable(parsed):
            raise _wrong_url(wrong)
        return PostgresDatabase(parsed)
    raise _wrong_url(f"the scheme {parsed.drivername!r}")


def only_process(url: str, lost: Callable[[], None]) -> AbstractContextManager[None]:
    """See `Database.only_process`."""
    return database_of(url).only_process(lost)


def _wrong_url(came: str) -> GatewayError:
    return error(
        "configuration_invalid",
        "expected a database URL like sqlite:///path/to/gateway.db or "
        f"postgresql://user@host/database, came {came}; "
        "the operator corrects the setting and starts again",
    )
