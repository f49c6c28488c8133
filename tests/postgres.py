"""A PostgreSQL server of the tests' own: Debian's programs, a unix socket, an unprivileged user."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from attrs import define
from sqlalchemy.engine.url import make_url

from moica_gateway.stores import migrate
from moica_gateway.stores.tables import metadata

__all__ = ["PostgresServer", "postgres_or_skip", "postgres_server"]

_USER: Final = "postgres"
"""Whom Debian's package makes; the server refuses to run as root."""
_OPEN: Final = "/tmp"  # noqa: S108 - a folder of a fresh name is made in it
_SECONDS: Final = 30.0
_FAST: Final = ("fsync=off", "full_page_writes=off", "max_connections=200", "listen_addresses=")
"""The machine is not switched off under these tests; what is killed are programs."""


@define
class PostgresServer:
    """Runs in ``folder``, which holds its data and its socket."""

    folder: Path
    programs: Path
    process: subprocess.Popen[bytes] | None = None
    made: int = 0
    emptied: str = ""
    port: int = 5432
    """Of TCP, where that is listened on, and in the name of the socket."""

    def url(self, database: str) -> str:
        """As the gateway's setting `database` has it."""
        return f"postgresql://gateway@/{database}?host={self.folder}"

    def start(self, *more: str) -> None:
        """Returns once it answers; ``more`` are further settings, ``name=value``."""
        own = (f"port={self.port}", f"unix_socket_directories={self.folder}")
        options = [part for each in (*_FAST, *own, *more) for part in ("-c", each)]
        self.process = subprocess.Popen(
            [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.folder,  # where we are may be closed to that user
            **_unprivileged(),
        )
        _run(self._answers)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT cuts every connection, SIGQUIT leaves the data as after a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(_SECONDS)
            self.process = None

    def execute(self, statement: str, database: str = "postgres") -> None:
        """As the superuser; for a fresh database and for harm."""

        async def run() -> None:
            connection = await self.connect(database)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        _run(run)

    async def connect(self, database: str) -> asyncpg.Connection:
        """Beside the gateway."""
        return await asyncpg.connect(
            host=str(self.folder), port=self.port, user="gateway", database=database
        )

    def certificate(self) -> Path:
        """A self-signed one for ``localhost``, with its key, in one file."""
        path = self.folder / "server.pem"
        key, made = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", str(key), "-out", str(made)),
            ],
            check=True,
            capture_output=True,
        )
        path.write_bytes(key.read_bytes() + made.read_bytes())
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, _USER, _USER)
        return path

    async def dump(self, url: str) -> bytes:
        """Every column of every table, as the server gives it out."""
        connection = await self.connect(make_url(url).database or "")
        try:
            values = []
            for table in metadata.tables:
                rows = await connection.fetch(f"SELECT * FROM {table}")  # noqa: S608 - our names
                values += [value for row in rows for value in row.values()]
        finally:
            await connection.close()
        return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for v in values)

    def fresh(self) -> str:
        """A migrated database's URL."""
        if not self.made:
            self.execute("CREATE DATABASE migrated")
            migrate(self.url("migrated"))
        self.made += 1
        self.execute(f"CREATE DATABASE fresh{self.made} TEMPLATE migrated")
        return self.url(f"fresh{self.made}")

    def shared(self) -> str:
        """A migrated database's URL, the same each time, with nothing in its tables."""
        if not self.emptied:
            self.emptied = self.fresh()
            return self.emptied
        names = ", ".join(name for name in metadata.tables)
        name = make_url(self.emptied).database
        self.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE", name or "")
        return self.emptied

    def empty(self) -> str:
        """A database's URL, without tables."""
        name = f"empty{os.urandom(4).hex()}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    async def _answers(self) -> None:
        async with asyncio.timeout(_SECONDS):
            while True:
                try:
                    await (await self.connect("postgres")).close()
                except (OSError, asyncpg.CannotConnectNowError):
                    assert self.process is not None
                    assert self.process.poll() is None, "the server ended at its start"
                    await asyncio.sleep(0.02)  # the server tells nobody that it is ready
                else:
                    return


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Started, and stopped with its folder. Raises ``FileNotFoundError`` without the programs."""
    programs = _programs()
    # A socket's path is short, and the folders above it are open to the unprivileged user.
    folder = Path(tempfile.mkdtemp(prefix="moica-pg-", dir=_OPEN))
    server = PostgresServer(folder, programs)
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o755)
        made = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "gateway"]
        subprocess.run(
            [*made, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,  # where we are may be closed to that user
            **_unprivileged(),
        )
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def postgres_or_skip() -> Iterator[PostgresServer]:
    """The body of a fixture: skips with the reason, or fails with ``REQUIRE_POSTGRESQL=1``."""
    try:
        _programs()
    except FileNotFoundError as e:
        if os.environ.get("REQUIRE_POSTGRESQL") == "1":
            raise
        pytest.skip(f"{e}; install Debian's postgresql")
    with postgres_server() as server:
        yield server


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In a thread: the caller may be inside an event loop."""
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(lambda: asyncio.run(work())).result()


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: p.parts[4])
    if found:
        return found[-1].parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).parent
    raise FileNotFoundError("PostgreSQL is missing (no initdb)")


def _unprivileged() -> dict[str, str]:
    return {"user": _USER, "group": _USER} if os.geteuid() == 0 else {}
