"""The document system's own SQLite file: one connection, one thread, one transaction a call.

A caller hands over a plain function; it runs inside ``BEGIN IMMEDIATE`` … ``COMMIT`` on the
database's own thread, and anything that it raises rolls everything back. There is no other way in,
so that "in one database transaction" (``security.md`` 11) is what the code looks like.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from document_system.errors import SetupError

__all__ = ["Database"]

P = ParamSpec("P")
T = TypeVar("T")

_SCHEMA_VERSION = 3
_UPGRADES = {
    1: (
        "ALTER TABLE confirmations ADD COLUMN channel TEXT NOT NULL DEFAULT 'push' "
        "CHECK (channel IN ('push', 'qr'));\n"
        "ALTER TABLE confirmations ADD COLUMN supersede INTEGER NOT NULL DEFAULT 0 "
        "CHECK (supersede IN (0, 1));"
    ),
    2: resources.files("document_system").joinpath("upgrade_3.sql").read_text("utf-8"),
}
"""By the version that is found: what makes it the next one."""


class Database:
    """Open with `open`, close with `close`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="document-system-db")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Opens the file, making it and its tables where they are missing.

        Raises:
            SetupError: When the folder cannot be written or the file is of another version.
        """
        try:
            self._connection = await asyncio.get_running_loop().run_in_executor(
                self._thread, _connect, self._path
            )
        except BaseException:
            self._thread.shutdown()
            raise

    async def close(self) -> None:
        """Closes the file after whatever is still running; further calls raise."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, connection.close)
        self._thread.shutdown()

    async def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Runs ``work(connection, …)`` in one transaction.

        A caller that goes away does not tear it: it commits or rolls back as a whole.
        """
        connection = self._connection
        if connection is None:
            raise RuntimeError("the database is not open")

        def transaction() -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection, *args, **kwargs)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            return result

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as e:
        raise SetupError(f"--data: cannot write {path}: {e}") from e
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection, path)
        # After an upgrade, which may write anew what others refer to.
        connection.execute("PRAGMA foreign_keys = ON")
        path.chmod(0o600)
    except (OSError, sqlite3.Error) as e:
        connection.close()
        raise SetupError(f"--data: {path} is no database of this program: {e}") from e
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == _SCHEMA_VERSION:
        return
    while found in _UPGRADES:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{_UPGRADES[found]}\nPRAGMA user_version = {found + 1};\nCOMMIT;"
        )
        found += 1
        if found == _SCHEMA_VERSION:
            return
    if found:
        raise SetupError(
            f"--data: {path} has schema {found}, this program knows {_SCHEMA_VERSION}; "
            "use the program that wrote it or another folder"
        )
    schema = resources.files("document_system").joinpath("schema.sql").read_text("utf-8")
    connection.executescript(
        f"BEGIN IMMEDIATE;\n{schema}\nPRAGMA user_version = {_SCHEMA_VERSION};\nCOMMIT;"
    )
