"""A gateway that answers as scripted and keeps what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Scripted:
    """The last answer stays."""

    KEY = "mgk_test_" + "k" * 43

    def __init__(self) -> None:
        self.answers: list[Handler] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.server: TestServer

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self.server.make_url("")).rstrip("/")

    def transaction(self, **changes: Any) -> dict[str, Any]:
        """As the API says it."""
        return {
            "id": "txn_1",
            "version": 2,
            "kind": "signature",
            "status": "pending",
            "created_at": "2026-04-29T06:58:11.000Z",
            "expires_at": "2026-04-29T06:59:11.000Z",
            "user_id": "u1",
            "documents": [{"id": "d", "number": "1", "version": "1", "sha256": "00"}],
            "match_code": "42",
            "challenges": [],
            **changes,
        }

    def then(self, answer: Handler) -> None:
        """A further answer."""
        self.answers.append(answer)

    def then_json(self, body: Any, status: int = 200, **headers: str) -> None:
        """A further answer, JSON."""

        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status, headers=headers)

        self.then(answer)

    def then_raw(self, body: bytes, status: int = 200, **headers: str) -> None:
        """A further answer, anything."""

        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(body=body, status=status, headers=headers)

        self.then(answer)

    def then_reset(self) -> None:
        """The connection breaks."""

        async def answer(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        self.then(answer)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        body = await request.read()
        self.requests.append((request.method, request.path_qs, dict(request.headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    """Listening on a free port."""
    made = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    async with TestServer(app) as server:
        made.server = server
        yield made
