"""What is PostgreSQL's alone: several processes on one database, lost connections, its schema."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine.url import make_url

from moica_gateway.domain.brakes import RequestCount, RequestCounts
from moica_gateway.errors import ConfigurationError
from moica_gateway.stores import SqlStore, migrate, only_process, open_store, schema_version
from moica_gateway.stores.database import database_of
from moica_gateway.stores.tables import metadata
from moica_gateway.testing.random import SeededRandom
from tests.postgres import PostgresServer, postgres_or_skip
from tests.stores.conftest import MASTER_KEY, fill_everything, load_everything, seed
from tests.stores.test_leaks import secrets_of, spellings


def nobody() -> None:
    """Is told when the hold is lost."""


def store_of(url: str, clock: Any, number: int = 1) -> SqlStore:
    """One more process's."""
    return open_store(url, master_key=MASTER_KEY, clock=clock, random=SeededRandom(number))


@pytest.fixture
def database(server: PostgresServer) -> str:
    """A migrated database of one's own."""
    return server.fresh()


@pytest.fixture
def brittle() -> Iterator[PostgresServer]:
    """A server of one's own, to be harmed."""
    yield from postgres_or_skip()


def test_a_migrated_database_equals_the_tables(database: str) -> None:
    """Alembic finds no difference; a second migration changes nothing."""
    migrate(database)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    assert database_of(database).set_up(differences) == []


async def test_a_database_of_another_version_is_refused(
    server: PostgresServer, database: str, clock: Any
) -> None:
    """Empty, or a newer program's: neither is opened, and the message says what to do."""
    with pytest.raises(ConfigurationError) as raised:
        await store_of(server.empty(), clock).open()
    assert "`moica-gateway init`" in raised.value.problem.detail
    name = database.partition("@/")[2].partition("?")[0]
    server.execute("UPDATE alembic_version SET version_num = '9999'", name)
    with pytest.raises(ConfigurationError) as raised:
        await store_of(database, clock).open()
    assert f"version {schema_version} or older, came 9999" in raised.value.problem.detail
    with pytest.raises(ConfigurationError):
        migrate(database)


async def test_a_server_that_is_not_there_is_said(clock: Any, tmp_path: Any) -> None:
    """Opening, migrating, serving; the password is not repeated."""
    url = f"postgresql://gateway:hunter2@/gateway?host={tmp_path}"
    attempts = (
        lambda: migrate(url),
        lambda: only_process(url, nobody).__enter__(),
    )
    for attempt in attempts:
        with pytest.raises(ConfigurationError) as raised:
            attempt()
        assert raised.value.code == "storage_unavailable"
        assert "hunter2" not in str(raised.value)
    with pytest.raises(ConfigurationError):
        await store_of(url, clock).open()


async def test_tls_is_verified_where_it_is_asked_for(
    brittle: PostgresServer, clock: Any, make: Any, monkeypatch: Any, tmp_path: Any
) -> None:
    """By the server's name and by an authority of the operator's; nothing is said in clear."""
    url = brittle.fresh()
    await asyncio.to_thread(brittle.stop)
    certificate = brittle.certificate()
    with socket.create_server(("127.0.0.1", 0)) as free:
        brittle.port = free.getsockname()[1]
    tls = ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={certificate}")
    await asyncio.to_thread(brittle.start, "listen_addresses=127.0.0.1", *tls)
    name = make_url(url).database
    by_name = f"postgresql://gateway@localhost:{brittle.port}/{name}?sslmode=verify-full"
    monkeypatch.setenv("PGSSLROOTCERT", str(certificate))
    async with store_of(by_name, clock) as store:
        await seed(store, make)
        with only_process(by_name, nobody):
            assert await store.ready()
    with pytest.raises(ConfigurationError):
        await store_of(by_name.replace("localhost", "127.0.0.1"), clock).open()
    monkeypatch.setenv("PGSSLROOTCERT", str(tmp_path / "none.pem"))
    with pytest.raises(ConfigurationError):
        await store_of(by_name, clock).open()


async def test_two_processes_lose_no_update(database: str, clock: Any, make: Any) -> None:
    """What one reads stays so until its commit: 200 increments of one count are 200."""
    async with store_of(database, clock, 1) as one, store_of(database, clock, 2) as two:
        await seed(one, make)

        def count(unit: Any) -> None:
            before = unit.request_counts(make.ours)
            plus = lambda c: RequestCount(  # noqa: E731 - used twice, here
                started_at=make.now, requests=1 if c is None else c.requests + 1
            )
            counts = RequestCounts(tenant=plus(before.tenant), gateway=plus(before.gateway))
            unit.save_request_counts(make.ours, counts)

        await asyncio.gather(*(store.write(count) for _ in range(100) for store in (one, two)))
        found = await one.read(lambda u: u.request_counts(make.ours))
    assert found.gateway is not None
    assert found.gateway.requests == 200


async def test_rows_are_numbered_in_the_order_of_their_commits(
    database: str, clock: Any, make: Any
) -> None:
    """Who reads the feed while two processes write misses nothing."""
    seen: list[str] = []
    async with store_of(database, clock, 1) as one, store_of(database, clock, 2) as two:
        await seed(one, make)
        done = False

        async def read() -> None:
            after = ""
            while True:
                last = done
                page = await one.read(lambda u, a=after: u.outbox_after(make.ours, a, 7))
                seen.extend(m.id for m in page.items)
                after = page.next_cursor
                if last and not page.items:
                    return

        reading = asyncio.create_task(read())
        writes = [
            store.write(lambda u, n=n, w=w: u.add_outbox(make.message(n * 2 + w, None)))
            for n in range(60)
            for w, store in enumerate((one, two))
        ]
        await asyncio.gather(*writes)
        done = True
        await reading
    assert sorted(seen) == sorted(f"evt_{n}" for n in range(120))


async def test_a_lost_connection_is_made_anew(
    brittle: PostgresServer, clock: Any, make: Any
) -> None:
    """While the server is away nothing is stored and that is said; afterwards all goes on."""
    async with store_of(brittle.fresh(), clock) as store:
        await seed(store, make)
        assert await store.ready()
        await asyncio.to_thread(brittle.stop)
        for call in (store.write, store.read):
            with pytest.raises(ConfigurationError) as raised:
                await call(lambda u: u.tenants())
            assert raised.value.code == "storage_unavailable"
        assert not await store.ready()
        await asyncio.to_thread(brittle.start)
        assert await store.ready()
        assert len(await store.read(lambda u: u.tenants())) == 2


async def test_cut_connections_are_nobodys_trouble(
    server: PostgresServer, database: str, clock: Any, make: Any
) -> None:
    """An idle connection that the server closed is made anew before the next work."""
    async with store_of(database, clock) as store:
        await seed(store, make)
        await store.read(lambda u: u.tenants())
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'moica-gateway'"
        )
        await store.write(lambda u: u.audit(make.ours, make.audit()))
        assert len(await store.read(lambda u: u.audit_records(make.ours))) == 1


def test_one_process_serves_a_database(server: PostgresServer, database: str) -> None:
    """A second is refused while the first holds it; another database is another matter."""
    with only_process(database, nobody):
        with pytest.raises(ConfigurationError) as raised, only_process(database, nobody):
            pass
        assert "another process" in raised.value.problem.detail
        with only_process(server.fresh(), nobody):
            pass
    with only_process(database, nobody):
        pass


def test_a_process_is_told_that_its_hold_is_lost(server: PostgresServer, database: str) -> None:
    """It stops then: another may serve from now on."""
    lost = threading.Event()
    with only_process(database, lost.set):
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'moica-gateway serving'"
        )
        assert lost.wait(20)


async def test_a_dump_of_the_database_holds_nobodys_data(
    server: PostgresServer, database: str, clock: Any, make: Any
) -> None:
    """Every column of every table, as the server gives it out, is searched (security.md 14, 15)."""
    async with store_of(database, clock) as store:
        await seed(store, make)
        await store.write(lambda u: fill_everything(u, make))
        await store.read(lambda u: load_everything(u, make))
    dump = await server.dump(database)
    assert b"1153000161" in dump
    found = [
        name for name, secret in secrets_of(make).items() for s in spellings(secret) if s in dump
    ]
    assert found == []
