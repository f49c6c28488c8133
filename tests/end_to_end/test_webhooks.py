"""Webhooks from the gateway to the reference document system: a line that was cut, and a liar."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, evolve, field

from document_system.store import confirmations
from document_system.web import keys
from tests.browser.stage import TENANT, Stage, open_stage

Delivery = tuple[dict[str, str], bytes]


@define
class Line:
    """Between gateway and document system; may be cut."""

    target: str
    up: bool = False
    refused: int = 0
    delivered: list[Delivery] = field(factory=list)
    statuses: list[int] = field(factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        """Passed on with its headers, or not at all."""
        if not self.up:
            self.refused += 1
            return web.Response(status=503)
        headers = {n: v for n, v in request.headers.items() if n.lower().startswith("webhook-")}
        delivery = (headers, await request.read())
        self.delivered.append(delivery)
        self.statuses.append(await self.send(delivery))
        return web.Response(status=self.statuses[-1])

    async def send(self, delivery: Delivery) -> int:
        """The document system's answer."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.target, headers=delivery[0], data=delivery[1]) as reply,
        ):
            return reply.status

    @property
    def ids(self) -> list[str]:
        """In the order of arrival."""
        return [headers["webhook-id"] for headers, _ in self.delivered]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """The document system does not look by itself, so that it hears by webhook only."""
    async with open_stage(tmp_path, look_interval=36_000.0) as opened:
        yield opened


@pytest.fixture
async def line(stage: Stage) -> AsyncIterator[Line]:
    """Cut at first."""
    cut = Line(target=f"{stage.desk_url}/webhooks/moica")
    app = web.Application()
    app.router.add_post("/hook", cut.handle)
    async with TestServer(app) as server:
        url = str(server.make_url("/hook"))

        def moved(uow: Any) -> None:
            (endpoint,) = uow.webhook_endpoints(TENANT)
            uow.save_webhook_endpoint(evolve(endpoint, url=url))

        await stage.gateway.store.write(moved)
        yield cut


async def _registered(stage: Stage) -> str:
    """Somebody new has confirmed on the phone; the id of the document system's own record."""
    person = await stage.person()
    begun = await stage.desk[keys.REGISTERING].begin(
        person.user, f"nonce-{person.user.user_id}-0123456789", person.id_number
    )
    assert begun.transaction_id is not None
    request = await stage.simulator.wait_for_request(person.device)
    await stage.simulator.confirm(person.device, request.sp_ticket_id)
    ended = await stage.client.wait(begun.transaction_id, seconds=20)
    assert ended.status == "completed", ended.error
    return begun.id


async def _statuses(stage: Stage, ids: list[str]) -> list[str]:
    """As the document system has them."""
    database = stage.desk[keys.DESK].database
    found = [await database.run(confirmations.find_confirmation, one) for one in ids]
    return [one.status for one in found if one is not None]


async def _everything(stage: Stage) -> Mapping[str, list[tuple[Any, ...]]]:
    """Every row of the document system but its list of webhook-ids."""

    def read(db: sqlite3.Connection) -> Mapping[str, list[tuple[Any, ...]]]:
        found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: [tuple(row) for row in db.execute(f'SELECT * FROM "{name}" ORDER BY 1')]  # noqa: S608 - ours
            for (name,) in found
            if name != "seen_webhooks"
        }

    return await stage.desk[keys.DESK].database.run(read)


async def _wait_for(stage: Stage, line: Line, count: int) -> None:
    async def there() -> bool:
        return len(line.statuses) >= count

    await stage.until(there)


async def test_a_receiver_that_was_down_for_an_hour_gets_everything_in_order(
    stage: Stage, line: Line
) -> None:
    """What ended meanwhile is known then, each once, in the order of its making."""
    ids = []
    for _ in range(4):
        ids.append(await _registered(stage))
        stage.advance(900)
    assert await _statuses(stage, ids) == ["pending"] * 4
    await stage.until(lambda: _all_wait(stage))
    assert line.refused >= 4
    line.up = True
    ids.append(await _registered(stage))
    await _wait_for(stage, line, 5)
    feed = [event.id async for event in _feed(stage)]
    assert line.ids == feed
    assert line.statuses == [204] * 5
    assert await _statuses(stage, ids) == ["completed"] * 5


async def _all_wait(stage: Stage) -> bool:
    """Nothing is due or under way: every event has been tried, and its next attempt is ahead."""
    waiting = await stage.gateway.store.read(lambda uow: uow.waiting_outbox(TENANT, 100))
    now = stage.simulator.clock.now()
    return all(m.next_attempt_at is not None and m.next_attempt_at > now for m in waiting)


async def _feed(stage: Stage) -> AsyncIterator[Any]:
    page = await stage.gateway.store.read(lambda uow: uow.outbox_after(TENANT, "", 100))
    for message in page.items:
        yield message


async def test_forged_replayed_reordered_older_and_doubled_events_change_nothing(
    stage: Stage, line: Line
) -> None:
    """The document system's rows are the same afterwards, byte for byte."""
    line.up = True
    ids = [await _registered(stage) for _ in range(2)]
    await _wait_for(stage, line, 2)
    assert await _statuses(stage, ids) == ["completed"] * 2
    await stage.desk[keys.FOLLOW_UP].once()
    first, second = line.delivered
    before = await _everything(stage)
    # Reordered, doubled, replayed: authentic, and known.
    for one in (second, first, first, second):
        assert await line.send(one) == 204
    # Forged: the body changed, the time changed, another's signature, none.
    (headers, body) = first
    swapped = body.replace(b'"completed"', b'"cancelled"')
    assert swapped != body
    later = str(int(headers["webhook-timestamp"]) + 1)
    signature = second[0]["webhook-signature"]
    for forged in (
        (headers, swapped),
        ({**headers, "webhook-timestamp": later}, body),
        ({**headers, "webhook-id": "evt_other"}, body),
        ({**headers, "webhook-signature": signature}, body),
        ({**headers, "webhook-signature": "v1,"}, body),
        ({n: v for n, v in headers.items() if n != "webhook-signature"}, body),
    ):
        assert await line.send(forged) == 400
    assert await _everything(stage) == before
