"""One signature or registration from its request to its last consequence, and what must hold then.

A play ends when everything that it caused is over: the plan of kills is used up, the document
system has heard, and the gateway has written down that it has. Deliberately not here: when a
gateway is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Container
from functools import partial

import pytest
from attrs import frozen

from moica_gateway.app import SystemClock, SystemRandom
from moica_gateway.domain.models import AuditRecord, Status, Transaction
from moica_gateway.domain.values import Secret, TransactionId
from moica_gateway.errors import GatewayError
from moica_gateway.ports import TransactionFilter
from moica_gateway.services.audit import AuditTrail
from moica_gateway.stores import DerivedSeals, open_store
from moica_gateway.wire import TransactionView
from moica_simulator import TicketView
from tests.resilience.lives import Life, Lives
from tests.resilience.stage import CONTENT, MASTER_KEY, TENANT, Citizen, DocumentSystem, Stage

__all__ = [
    "BEGUN",
    "CREATED",
    "Ended",
    "answer_was_lost",
    "cancel",
    "check",
    "holder",
    "register",
    "sign",
]

CREATED = "write Creation.create: committed"
BEGUN = "write Settlement._apply: committed"
_PENDING = "poll: answered Pending"
Ending = tuple[str, str | None]
UNKNOWN_OR_DONE: frozenset[Ending] = frozenset({("completed", None), ("failed", "start_unknown")})
_TERMINAL = {f"transaction.{status.value}" for status in Status if status.terminal}


@frozen
class Ended:
    """What the document system was told, and of whom."""

    citizen: Citizen
    number: str | None
    """None for a registration."""
    view: TransactionView


async def sign(stage: Stage, lives: Lives, citizen: Citizen) -> Ended:
    """Until the document system knows the outcome, by asking and by being told."""
    number = stage.number()
    system = DocumentSystem(lives, stage.api_key)
    return await _heard(stage, system, citizen, number, system.sign(citizen, number))


async def cancel(stage: Stage, lives: Lives, citizen: Citizen) -> Ended:
    """Asked to sign, and taken back at once."""
    number = stage.number()
    system = DocumentSystem(lives, stage.api_key)
    begun = await system.sign(citizen, number)
    view = await system.call(lambda client: client.cancel(begun.id))
    await stage.news.until(lambda: bool(stage.delivered(begun.id)))
    return Ended(citizen, number, view)


async def register(stage: Stage, lives: Lives, citizen: Citizen) -> Ended:
    """The same for a registration."""
    system = DocumentSystem(lives, stage.api_key)
    return await _heard(stage, system, citizen, None, system.register(citizen))


async def _heard(
    stage: Stage,
    system: DocumentSystem,
    citizen: Citizen,
    number: str | None,
    asking: Awaitable[TransactionView],
) -> Ended:
    begun = await asking
    view = await system.outcome(begun.id)
    await stage.news.until(lambda: bool(stage.delivered(begun.id)))
    return Ended(citizen, number, view)


@contextlib.asynccontextmanager
async def holder(stage: Stage, lives: Lives, citizen: Citizen) -> AsyncIterator[None]:
    """Confirms whatever rings, once the gateway has asked for it in vain, or is dead."""

    async def confirm() -> None:
        while True:
            request = await stage.simulator.wait_for_request(citizen.device)
            await lives.until(lambda: bool(lives.all))
            await lives.until(partial(_asked_in_vain, lives.all[-1]))
            await stage.simulator.confirm(citizen.device, request.sp_ticket_id)

    confirming = asyncio.ensure_future(confirm())
    try:
        yield
    finally:
        confirming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await confirming


def _asked_in_vain(life: Life) -> bool:
    return life.dead or life.passed(_PENDING)


def answer_was_lost(lives: Lives) -> bool:
    """The life in which the transaction was made did not live to write down the ticket."""
    for name in (CREATED, BEGUN):
        # Every play that has ended passed both: the restart writes, too, that a start is unknown.
        assert any(life.passed(name) for life in lives.all), f"{name!r}: is it called otherwise?"
    return any(life.passed(CREATED) and not life.passed(BEGUN) for life in lives.all)


async def check(
    stage: Stage, lives: Lives, *all_ended: Ended, endings: Container[Ending] = UNKNOWN_OR_DONE
) -> None:
    """What must hold of each, whenever and how often the gateway was killed; ends the lives.

    Args:
        stage: Where.
        lives: Whose; killed before its files are looked into.
        all_ended: What to check.
        endings: Status and code that may have come out.
    """
    system = DocumentSystem(lives, stage.api_key)
    for ended in all_ended:
        view = ended.view
        assert (view.status, view.error.code if view.error else None) in endings
        await _check_api(stage, lives, system, ended)
    await lives.end()
    assert "worker.died" not in lives.log()
    for ended in all_ended:
        await _check_store(lives, ended)
        _check_phone(stage, ended, await stage.simulator.inbox(ended.citizen.device))


async def _check_api(stage: Stage, lives: Lives, system: DocumentSystem, ended: Ended) -> None:
    view = ended.view
    for _ in range(2):
        again = await system.call(lambda client: client.transaction(view.id))
        assert again.to_json() == view.to_json()
    completed = view.status == "completed"
    event_type = f"{view.kind}.completed" if completed else f"transaction.{view.status}"
    feed, _ = await system.call(lambda client: client.events(limit=200))
    told = [e for e in feed if e.data["transaction_id"] == view.id]
    assert [e.type for e in told] == [event_type]
    deliveries = stage.delivered(view.id)
    assert {(d.event.id, d.event.type) for d in deliveries} == {(told[0].id, event_type)}
    assert len({d.body for d in deliveries}) == 1
    if view.kind == "registration":
        credentials = await system.call(lambda client: client.credentials(ended.citizen.user))
        assert [c.status for c in credentials] == (["enabled"] if completed else [])
    elif completed:
        artifact = await system.call(lambda client: client.artifact(view.id))
        await asyncio.to_thread(_openssl_accepts, lives, artifact.data)
    else:
        with pytest.raises(GatewayError) as raised:
            await system.call(lambda client: client.artifact(view.id))
        assert raised.value.code == "not_found"


def _openssl_accepts(lives: Lives, signature: bytes) -> None:
    folder = lives.order.folder
    (folder / "s.p7s").write_bytes(signature)
    (folder / "content").write_bytes(CONTENT)
    verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades"]
    verify += ["-in", "s.p7s", "-content", "content", "-CAfile", "anchors.pem"]
    done = subprocess.run(verify, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


async def _check_store(lives: Lives, ended: Ended) -> None:
    file = lives.order.folder / "gateway.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    transactions, records = await _stored(lives, ended)
    assert [t.id for t in transactions] == [ended.view.id]
    stored = transactions[0]
    assert (stored.status.value, stored.version) == (ended.view.status, ended.view.version)
    actions = Counter(record.action for record in records)
    assert actions["transaction.created"] == 1
    assert {a: n for a, n in actions.items() if a in _TERMINAL} == {
        f"transaction.{ended.view.status}": 1
    }
    assert "transaction.late_answer" not in actions
    await _check_chain(lives)


async def _check_chain(lives: Lives) -> None:
    master_key = Secret(MASTER_KEY)
    async with open_store(
        f"sqlite:///{lives.order.folder / 'gateway.db'}",
        master_key=master_key,
        clock=SystemClock(),
        random=SystemRandom(),
    ) as store:
        trail = AuditTrail(store=store, seals=DerivedSeals(master_key))
        report = await trail.verify(TENANT)
    assert report.findings == ()
    assert report.sealed + report.unsealed > 0


async def _stored(
    lives: Lives, ended: Ended
) -> tuple[tuple[Transaction, ...], tuple[AuditRecord, ...]]:
    """All that the store knows of it, whoever was told."""
    where = (
        TransactionFilter(document_number=ended.number)
        if ended.number is not None
        else TransactionFilter(user_id=ended.citizen.user)
    )
    url = f"sqlite:///{lives.order.folder / 'gateway.db'}"
    async with open_store(
        url, master_key=Secret(MASTER_KEY), clock=SystemClock(), random=SystemRandom()
    ) as store:
        page = await store.read(lambda u: u.transactions(TENANT, where, limit=10, cursor=None))
        records = await store.read(
            lambda u: u.audit_records(TENANT, transaction_id=TransactionId(ended.view.id))
        )
    return page.items, tuple(records)


def _check_phone(stage: Stage, ended: Ended, inbox: list[TicketView]) -> None:
    """It rang once at most, and what it said is what became of it."""
    number = ended.number or ""
    rung = [request for request in inbox if number in request.hint]
    asked = [
        request
        for request in stage.simulator.requests
        if request.interface == "SP-API-ATH-03"
        and request.body["id_num"] == ended.citizen.id_number
        and number in request.body["hint"]
    ]
    assert len(asked) <= 1
    assert len(rung) <= 1
    if ended.view.status == "completed":
        assert [request.status for request in rung] == ["confirmed"]
