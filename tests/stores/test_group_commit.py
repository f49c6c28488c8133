"""Many writes, one commit; what fails alone fails alone; what fails together is not half there."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from moica_gateway.domain.values import BlobId, PersonId
from moica_gateway.errors import ConfigurationError, GatewayError
from moica_gateway.stores import sqlite as sqlite_room


def actions(records: Any) -> list[str]:
    return [record.action for record in records]


@asynccontextmanager
async def held(store: Any) -> AsyncIterator[None]:
    """Holds the writing thread, so that everything written meanwhile waits together."""
    entered, release = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        entered.set()
        release.wait(20)

    holding = asyncio.create_task(store.write(hold))
    await asyncio.to_thread(entered.wait, 20)
    try:
        yield
    finally:
        release.set()
        await holding


async def start(works: list[Any]) -> list[asyncio.Task[Any]]:
    """Tasks that have queued their work."""
    tasks = [asyncio.create_task(work) for work in works]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def test_many_writes_share_few_commits(sqlite: Any, make: Any) -> None:
    """200 waiting writes take four commits (64 each), and all of them are there."""
    async with held(sqlite):
        before, works = sqlite.commits, sqlite.works
        tasks = await start(
            [
                sqlite.write(lambda u, n=n: u.audit(make.ours, make.audit(f"a{n}")))
                for n in range(200)
            ]
        )
    await asyncio.gather(*tasks)
    assert sqlite.commits - before == 1 + 4
    assert sqlite.works - works == 1 + 200
    records = await sqlite.read(lambda u: u.audit_records(make.ours))
    assert actions(records) == [f"a{n}" for n in range(200)]


async def test_one_failing_work_leaves_the_others(sqlite: Any, make: Any) -> None:
    """Inside one commit a raising work and a refused row undo only themselves."""

    def fail(unit: Any) -> None:
        unit.audit(make.ours, make.audit("lost"))
        raise LookupError("mine")

    def refused(unit: Any) -> None:
        unit.audit(make.ours, make.audit("lost too"))
        unit.save_credential(make.credential(person=9))

    async with held(sqlite):
        before = sqlite.commits
        tasks = await start(
            [
                sqlite.write(lambda u: u.audit(make.ours, make.audit("first"))),
                sqlite.write(fail),
                sqlite.write(refused),
                sqlite.write(lambda u: u.audit(make.ours, make.audit("last"))),
            ]
        )
    first, failed, conflict, last = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, last) == (None, None)
    assert isinstance(failed, LookupError)
    assert isinstance(conflict, RuntimeError)
    assert sqlite.commits - before == 2
    assert actions(await sqlite.read(lambda u: u.audit_records(make.ours))) == ["first", "last"]


async def test_a_later_work_sees_an_earlier_one(sqlite: Any, make: Any) -> None:
    """Works of one group run one after another, each on what the one before has left."""
    count = lambda u: (u.audit(make.ours, make.audit()), len(u.audit_records(make.ours)))[1]  # noqa: E731
    async with held(sqlite):
        tasks = await start([sqlite.write(count) for _ in range(5)])
    assert await asyncio.gather(*tasks) == [1, 2, 3, 4, 5]


async def test_a_work_that_raises_stop_iteration_is_answered(sqlite: Any) -> None:
    """A future cannot carry StopIteration; the caller still gets an error, not silence."""

    def stop(_: Any) -> None:
        raise StopIteration

    with pytest.raises(RuntimeError):
        await sqlite.write(stop)
    assert await sqlite.ready()


async def lose(sqlite: Any, make: Any) -> list[Any]:
    """Three works of one group, one of which raises by itself."""

    def fail(_: Any) -> None:
        raise LookupError("mine")

    async with held(sqlite):
        tasks = await start(
            [
                sqlite.write(lambda u: u.audit(make.ours, make.audit("a"))),
                sqlite.write(fail),
                sqlite.write(lambda u: u.blobs.put(make.ours, BlobId("b"), b"x")),
            ]
        )
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_a_failed_commit_fails_everybody(
    sqlite: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails at COMMIT: every caller hears it, nothing is stored, the next write works."""
    commit = sqlite_room.SqliteWriter.commit
    commits = iter([commit])

    def broken(self: Any) -> None:
        following = next(commits, None)
        if following is not None:
            return following(self)  # the group that held the thread
        monkeypatch.setattr(sqlite_room.SqliteWriter, "commit", commit)
        # A deferred violation that only COMMIT finds: SQLite itself refuses.
        driver = self._driver
        driver.execute("PRAGMA defer_foreign_keys=ON")
        driver.execute("INSERT INTO user_bindings VALUES ('no', 'no', 'no', '2026-01-01', x'00')")
        return commit(self)

    monkeypatch.setattr(sqlite_room.SqliteWriter, "commit", broken)
    for outcome in await lose(sqlite, make):
        assert isinstance(outcome, ConfigurationError)
        assert outcome.code == "storage_unavailable"
    assert await sqlite.read(lambda u: u.audit_records(make.ours)) == ()
    with pytest.raises(KeyError):
        await sqlite.read(lambda u: u.blobs.get(make.ours, BlobId("b")))
    await sqlite.write(lambda u: u.audit(make.ours, make.audit("after")))
    assert actions(await sqlite.read(lambda u: u.audit_records(make.ours))) == ["after"]


async def test_a_locked_database_fails_everybody_and_readiness(
    sqlite: Any, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program holds the write lock: BEGIN fails, and so does `ready`; reading goes on."""

    def impatient(unit: Any) -> None:
        unit.runner._driver.execute("PRAGMA busy_timeout=0")

    await sqlite.write(impatient)
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(sqlite_room, "_PRAGMAS", (*sqlite_room._PRAGMAS, "PRAGMA busy_timeout=0"))
    try:
        with pytest.raises(GatewayError) as raised:
            await sqlite.write(lambda u: u.audit(make.ours, make.audit()))
        assert raised.value.code == "storage_unavailable"
        assert not await sqlite.ready()
        assert await sqlite.read(lambda u: u.person(make.ours, PersonId("per_0"))) is not None
    finally:
        other.close()
    assert await sqlite.ready()


async def test_a_full_disk_loses_nothing_before_and_nothing_after(sqlite: Any, make: Any) -> None:
    """No page can be added: the write that needs one fails as storage, smaller ones go on."""

    def fill(unit: Any) -> None:
        pages = unit.runner._driver.execute("PRAGMA page_count").fetchone()[0]
        unit.runner._driver.execute(f"PRAGMA max_page_count={pages + 2}")

    await sqlite.write(lambda u: u.audit(make.ours, make.audit("before")))
    await sqlite.write(fill)
    with pytest.raises(GatewayError) as raised:
        await sqlite.write(lambda u: u.blobs.put(make.ours, BlobId("b"), b"x" * 1_000_000))
    assert raised.value.code == "storage_unavailable"
    assert "FULL" in raised.value.problem.detail
    await sqlite.write(lambda u: u.audit(make.ours, make.audit("after")))
    stored = await sqlite.read(lambda u: u.audit_records(make.ours))
    assert actions(stored) == ["before", "after"]


async def test_a_transaction_that_the_engine_ended_fails_its_group(sqlite: Any, make: Any) -> None:
    """SQLite may roll back everything by itself; then no work of the group claims success."""

    def end_it(unit: Any) -> None:
        unit.runner._driver.execute("ROLLBACK")
        raise LookupError("mine")

    async with held(sqlite):
        tasks = await start(
            [
                sqlite.write(lambda u: u.audit(make.ours, make.audit("a"))),
                sqlite.write(end_it),
                sqlite.write(lambda u: u.audit(make.ours, make.audit("b"))),
            ]
        )
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, ConfigurationError)
    assert await sqlite.read(lambda u: u.audit_records(make.ours)) == ()
    assert await sqlite.ready()


async def test_a_tenant_of_a_failed_group_leaves_no_key_behind(
    sqlite: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data key made in a commit that failed is not used afterwards."""
    commit = sqlite_room.SqliteWriter.commit

    def broken(self: Any) -> None:
        monkeypatch.setattr(sqlite_room.SqliteWriter, "commit", commit)
        self._driver.execute("ROLLBACK")
        self.savepoint()
        self.undo()
        self._driver.execute("no SQL at all")

    monkeypatch.setattr(sqlite_room.SqliteWriter, "commit", lambda self: _as_storage(broken, self))
    with pytest.raises(GatewayError):
        await sqlite.write(lambda u: u.save_tenant(make.tenant("third")))
    await sqlite.write(lambda u: u.save_tenant(make.tenant("third")))
    await sqlite.write(lambda u: u.blobs.put("third", BlobId("b"), b"x"))
    sqlite._key_ring._keys.clear()
    assert await sqlite.read(lambda u: u.blobs.get("third", BlobId("b"))) == b"x"


def _as_storage(broken: Any, writer: Any) -> None:
    try:
        broken(writer)
    except sqlite3.Error:
        raise sqlite_room.unavailable("the test broke it") from None


async def test_a_cancelled_caller_does_not_stop_the_group(sqlite: Any, make: Any) -> None:
    """A caller that gave up leaves the others their answers; its own work is all or nothing."""
    async with held(sqlite):
        tasks = await start(
            [sqlite.write(lambda u, n=n: u.audit(make.ours, make.audit(f"a{n}"))) for n in range(3)]
        )
        tasks[1].cancel()
        await asyncio.sleep(0)
    await tasks[0]
    await tasks[2]
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    assert set(actions(await sqlite.read(lambda u: u.audit_records(make.ours)))) >= {"a0", "a2"}


async def test_close_finishes_what_is_queued_and_refuses_the_rest(opened: Any, make: Any) -> None:
    """Work queued before the closing is committed; later work is refused."""
    async with opened() as store:
        await store.write(lambda u: u.save_tenant(make.tenant()))
        tasks = await start(
            [
                store.write(lambda u, n=n: u.audit(make.ours, make.audit(f"a{n}")))
                for n in range(100)
            ]
        )
        await store.close()
        await asyncio.gather(*tasks)
        for call in (store.write, store.read):
            with pytest.raises(GatewayError) as raised:
                await call(lambda u: u.tenants())
            assert raised.value.code == "storage_unavailable"
        assert not await store.ready()
        await store.close()
    async with opened() as again:
        assert len(await again.read(lambda u: u.audit_records(make.ours))) == 100


async def test_a_read_is_one_snapshot(sqlite: Any, make: Any) -> None:
    """What is committed while a read runs is not seen by it, however often it looks."""
    looked, written = threading.Event(), threading.Event()

    def look(unit: Any) -> tuple[int, int]:
        before = len(unit.audit_records(make.ours))
        looked.set()
        written.wait(20)
        return before, len(unit.audit_records(make.ours))

    reading = asyncio.create_task(sqlite.read(look))
    await asyncio.to_thread(looked.wait, 20)
    await sqlite.write(lambda u: u.audit(make.ours, make.audit()))
    written.set()
    assert await reading == (0, 0)
    assert len(await sqlite.read(lambda u: u.audit_records(make.ours))) == 1


async def test_reading_connections_cannot_write_even_behind_our_back(sqlite: Any) -> None:
    """The engine itself refuses a write on a reading connection."""
    with pytest.raises(sqlite3.OperationalError):
        await sqlite.read(lambda u: u.runner._driver.execute("DELETE FROM tenants"))


async def test_a_swallowed_storage_error_still_loses_the_group(sqlite: Any, make: Any) -> None:
    """Work that hides a failure of the engine cannot have its later statements committed alone."""

    def swallow(unit: Any) -> None:
        pages = unit.runner._driver.execute("PRAGMA page_count").fetchone()[0]
        unit.runner._driver.execute(f"PRAGMA max_page_count={pages}")
        for action in ("x", "y"):
            with contextlib.suppress(GatewayError):
                unit.blobs.put(make.ours, BlobId(action), b"x" * 1_000_000)
            with contextlib.suppress(GatewayError):
                unit.audit(make.ours, make.audit(action))

    with pytest.raises(GatewayError) as raised:
        await sqlite.write(swallow)
    assert raised.value.code == "storage_unavailable"
    assert await sqlite.read(lambda u: u.audit_records(make.ours)) == ()


@pytest.mark.parametrize("value", [2**70, object(), {"a": {1, 2}}, "\ud800"])
async def test_unfit_values_are_refused_alone(sqlite: Any, make: Any, value: Any) -> None:
    """A value that no column takes fails its own work as ValueError, and quotes nothing."""
    bad = (
        make.message(2, attempts=value) if value != "\ud800" else make.message(2, last_error=value)
    )
    async with held(sqlite):
        tasks = await start(
            [
                sqlite.write(lambda u: u.add_outbox(make.message(1))),
                sqlite.write(lambda u: u.add_outbox(bad)),
            ]
        )
    good, failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert good is None
    assert isinstance(failed, ValueError)
    assert str(value) not in str(failed)
