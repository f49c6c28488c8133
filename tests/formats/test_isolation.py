"""Hostile parsing is kept in processes that are killed when they overrun."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from moica_gateway.app import SystemClock
from moica_gateway.domain.models import Document, Prepared, SignContext
from moica_gateway.domain.readings import GivenContent, ValidationMaterial
from moica_gateway.domain.values import DocumentId, HashAlgorithm, SignatureForm, Tbs
from moica_gateway.errors import GatewayError, error
from moica_gateway.formats.isolation import IsolatedWorkshop, WorkerLimits
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.formats import PlainFormat
from tests.formats.hostile_worker import Hostile

WORKER = (sys.executable, "-P", str(Path(__file__).parent / "hostile_worker.py"))
CONTEXT = SignContext(hint="公文文號：1 驗證碼：42", at=datetime(2026, 4, 29, tzinfo=UTC))
DOCUMENT = Document(id=DocumentId("d"), number="1153000165", sha256="0" * 64)
FORMATS = {"hostile": Hostile(), "plain": PlainFormat("plain")}


def workshop(clock: Any = None, **limits: Any) -> IsolatedWorkshop:
    """With the hostile worker."""
    return IsolatedWorkshop(
        FORMATS,
        {"hostile": Hostile()},
        clock or SystemClock(),
        limits=WorkerLimits(**limits),
        command=WORKER,
    )


@pytest.fixture
async def house() -> AsyncIterator[IsolatedWorkshop]:
    """Closed at the end; one worker, so that each job shows what the one before left."""
    made = workshop(workers=1, memory=2**30)
    yield made
    await made.close()
    gc.collect()


async def ask(house: IsolatedWorkshop, content: bytes) -> Prepared:
    """What the hostile format says to that order."""
    return await house.prepare("hostile", DOCUMENT, content, CONTEXT)


async def pid(house: IsolatedWorkshop) -> int:
    """Of the process that works now."""
    prepared = await ask(house, b"")
    number, *rest = prepared.message.message.decode().split()
    assert rest == ["公文文號：1", "驗證碼：42", "1153000165"]
    return int(number)


async def test_a_worker_is_another_process_and_is_used_again(house: IsolatedWorkshop) -> None:
    """Started with the first job, not with the gateway."""
    assert not house._all
    first = await pid(house)
    assert first != os.getpid()
    assert await pid(house) == first


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (b"memory", "more memory than it may have"),
        (b"raise", "ZeroDivisionError"),
        (b"exit", "SystemExit"),
        (b"crash", "came to its end"),
        (b"write", "OSError"),
    ],
)
async def test_whatever_a_parser_does_becomes_one_error(
    house: IsolatedWorkshop,
    order: bytes,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With the class of what happened and nothing that it said; the next job finds a new worker."""
    monkeypatch.chdir(tmp_path)
    before = await pid(house)
    with pytest.raises(GatewayError) as caught:
        await ask(house, order)
    assert caught.value.code == "document_unreadable"
    assert why in caught.value.problem.detail
    assert "secret" not in str(caught.value)
    assert await pid(house) != before


async def test_a_worker_that_has_swollen_is_replaced(house: IsolatedWorkshop) -> None:
    """Or the next document would find too little memory through no fault of its own."""
    before = await pid(house)
    await ask(house, b"swell")
    assert await pid(house) != before


async def test_a_gateway_that_has_swollen_keeps_its_worker(house: IsolatedWorkshop) -> None:
    """What the process that starts it needed once is not the worker's."""
    swollen = bytearray(700 * 1_048_576)
    del swollen
    before = await pid(house)
    assert await pid(house) == before


async def test_a_refusal_comes_through_whole(house: IsolatedWorkshop) -> None:
    """Code, detail and members; the worker stays."""
    before = await pid(house)
    with pytest.raises(GatewayError) as caught:
        await ask(house, b"refuse")
    assert caught.value.code == "document_refused"
    assert caught.value.problem.extra == {"reason": "javascript"}
    assert await pid(house) == before


async def test_what_a_library_prints_disturbs_nothing(house: IsolatedWorkshop) -> None:
    """Standard output of a worker is nobody's."""
    await ask(house, b"print")
    assert await pid(house)


async def test_a_worker_is_told_no_secret(
    house: IsolatedWorkshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway's settings may stand in its environment."""
    monkeypatch.setenv("MOICA_GATEWAY_DATABASE", "postgresql://user:password@host/x")
    monkeypatch.setenv("SECRET_OF_THE_TEST", "x")
    assert (await ask(house, b"environment")).message.message == b"found:"


async def test_an_endless_job_is_killed_in_time() -> None:
    """By the clock that was handed in; the loop turns all the while, and the worker is gone."""
    clock = FrozenClock()
    house = workshop(clock, seconds=7, workers=1)
    try:
        number = await pid(house)
        job = asyncio.ensure_future(ask(house, b"spin"))
        await clock.advance(6.9)
        assert not job.done()
        await clock.advance(0.2)
        with pytest.raises(GatewayError) as caught:
            await asyncio.wait_for(job, 5)
        assert caught.value.code == "document_unreadable"
        assert "more than 7 s" in caught.value.problem.detail
        assert await pid(house) != number
    finally:
        await house.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


async def test_a_worker_stops_itself_where_nobody_can_kill_it() -> None:
    """The operating system's alarm: for a gateway that has died."""
    never = FrozenClock()
    house = workshop(never, seconds=0.2, slack=0, workers=1)
    try:
        with pytest.raises(GatewayError, match="came to its end"):
            await asyncio.wait_for(ask(house, b"spin"), 20)
    finally:
        await house.close()


async def test_a_caller_that_goes_away_takes_the_worker_along(house: IsolatedWorkshop) -> None:
    """Or the next answer on that line would be somebody else's."""
    before = await pid(house)
    job = asyncio.ensure_future(ask(house, b"spin"))
    await FrozenClock().settle()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await pid(house) != before


async def test_finishing_that_overruns_is_no_fault_of_the_document() -> None:
    """The holder has signed: the caller tries again."""
    clock = FrozenClock()
    house = workshop(clock, seconds=7, workers=1)
    try:
        await pid(house)
        prepared = Prepared(message=Tbs(b"spin"), state=b"")
        job = asyncio.ensure_future(house.finish("hostile", prepared, b"s", CONTEXT))
        await clock.advance(7.1)
        with pytest.raises(GatewayError) as caught:
            await asyncio.wait_for(job, 5)
        assert caught.value.code == "internal_error"
    finally:
        await house.close()


async def test_jobs_wait_for_a_free_worker(house: IsolatedWorkshop) -> None:
    """One at a time here, none lost."""
    found = await asyncio.gather(*(pid(house) for _ in range(5)))
    assert len(set(found)) == 1


async def test_all_operations_carry_what_they_take_and_give(house: IsolatedWorkshop) -> None:
    """Bytes, texts, enums, tuples: as they were."""
    tbs = Tbs(b"m", SignatureForm.DIGEST, HashAlgorithm.SHA512)
    prepared = Prepared(message=tbs, state=b"state")
    artifact = await house.finish("hostile", prepared, b"\x00\xff", CONTEXT)
    assert (artifact.data, artifact.media_type) == (b"state\x00\xff", "text/plain")

    class Tsa:
        async def timestamp(self, digest: bytes) -> bytes:
            return b"<" + digest + b">"

    material = ValidationMaterial(certificates=(b"c1", b"c2"))
    assert await house.raise_level("hostile", b"d", "B-T", Tsa(), material) == b"<d><<d>>c1c2B-T"
    (found,) = await house.read("hostile", b"x" * 10**6, GivenContent(files={"f": b"file"}))
    assert found.certificate == b"x" * 10**6
    assert (found.name, found.chain, found.message) == ("一", (b"a", b"b"), Tbs(b"file"))
    assert found.content_matches is True


async def test_a_timestamper_without_answer_is_told_as_such(house: IsolatedWorkshop) -> None:
    """Its own error, through the worker and back."""

    class Silent:
        async def timestamp(self, digest: bytes) -> bytes:
            raise error("timestamp_unavailable", "no answer")

    with pytest.raises(GatewayError) as caught:
        await house.raise_level("hostile", b"d", "B-T", Silent(), ValidationMaterial())
    assert caught.value.code == "timestamp_unavailable"


async def test_what_only_hashes_is_called_in_place(house: IsolatedWorkshop) -> None:
    """No process for it."""
    prepared = await house.prepare("plain", DOCUMENT, None, CONTEXT)
    await house.finish("plain", prepared, b"s", CONTEXT)
    assert not house._all


async def test_a_worker_that_cannot_start_is_the_operators_matter() -> None:
    """And no fault of the document."""
    house = IsolatedWorkshop(FORMATS, {}, SystemClock(), command=(sys.executable, "-c", "pass"))
    try:
        with pytest.raises(GatewayError) as caught:
            await ask(house, b"")
        assert caught.value.code == "internal_error"
    finally:
        await house.close()


async def test_closing_leaves_nothing() -> None:
    """No process, no thread; a job under way ends, a later one is refused."""
    house = workshop(workers=2)
    number = await pid(house)
    job = asyncio.ensure_future(ask(house, b"spin"))
    await FrozenClock().settle()
    await house.close()
    for late in (job, ask(house, b"")):
        with pytest.raises(GatewayError) as caught:
            await late
        assert caught.value.code == "internal_error"
    await house.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert not [t for t in threading.enumerate() if t.name.startswith("workshop")]
