"""Document systems: they ask, hear by webhook, read the outcome, and ask again.

Signatures of webhooks are verified, and an outcome that is not ``completed`` ends the run: a
figure that counts failures is none.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from attrs import define, field

from benchmarks.gateway_setup import WEBHOOK_SECRET, House
from moica_gateway.webhooks import WebhookReceiver

__all__ = ["DocumentSystems", "Latencies"]

_CONTENT = hashlib.sha256("檢送本校資訊安全教育訓練實施計畫".encode()).hexdigest()
_LONGEST = 30.0
"""Seconds that a signature may take before the run is given up."""


@define
class Latencies:
    """Milliseconds, one a signature: of the create call, and from its answer to the webhook."""

    created_ms: list[float] = field(factory=list)
    told_ms: list[float] = field(factory=list)


@define(eq=False)
class DocumentSystems:
    """Everybody who signs, and the one receiver."""

    hook: str
    session: aiohttp.ClientSession
    _url: str = ""
    _users: asyncio.Queue[str] = field(factory=asyncio.Queue)
    _told: dict[str, asyncio.Future[Any]] = field(factory=dict)
    _early: dict[str, Any] = field(factory=dict)
    _numbers: Any = field(factory=itertools.count)

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[DocumentSystems]:
        """With the receiver listening."""
        app = web.Application()
        runner = web.AppRunner(app, access_log=None)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            systems = cls("", session)
            app.router.add_post("/hook", systems._receive)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                systems.hook = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
                yield systems
            finally:
                await runner.cleanup()

    async def meet(self, url: str, house: House) -> None:
        """Everybody registers."""
        self._url = url
        self.session.headers["Authorization"] = f"Bearer {house.api_key}"
        for number, id_number in enumerate(house.people):
            self._users.put_nowait(f"u{number}")
            body = {"user_id": f"u{number}", "id_number": id_number}
            await self._settled("/v1/registrations", body, Latencies())

    async def sign(self, count: int) -> Latencies:
        """So many signatures, as many at once as there are people."""
        found = Latencies()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(self._one(found))
        return found

    async def _one(self, found: Latencies) -> None:
        user = await self._users.get()
        number = f"1153{next(self._numbers):06d}"
        document = {"number": number, "version": "1", "sha256": _CONTENT}
        await self._settled("/v1/signatures", {"user_id": user, "document": document}, found)
        self._users.put_nowait(user)

    async def _settled(self, path: str, body: dict[str, Any], found: Latencies) -> None:
        began = time.perf_counter()
        made = await self._ask("POST", path, 201, json=body)
        answered = time.perf_counter()
        event = self._early.pop(made["id"], None)
        if event is None:
            waiting = self._told[made["id"]] = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(_LONGEST):
                await waiting
        told = time.perf_counter()
        outcome = await self._ask("GET", f"/v1/transactions/{made['id']}", 200)
        if outcome["status"] != "completed":
            raise SystemExit(f"expected a completed transaction, came {outcome.get('error')}")
        found.created_ms.append((answered - began) * 1000)
        found.told_ms.append((told - answered) * 1000)

    async def _ask(self, method: str, path: str, status: int, **more: Any) -> Any:
        async with self.session.request(method, self._url + path, **more) as response:
            answer = await response.json()
            if response.status != status:
                raise SystemExit(f"{method} {path}: expected {status}, came {answer}")
            return answer

    async def _receive(self, request: web.Request) -> web.Response:
        event = WebhookReceiver(WEBHOOK_SECRET).receive(request.headers, await request.read())
        transaction_id = event.data["transaction_id"]
        waiting = self._told.pop(transaction_id, None)
        if waiting is None:
            self._early[transaction_id] = event
        else:
            waiting.set_result(event)
        return web.Response(status=204)
