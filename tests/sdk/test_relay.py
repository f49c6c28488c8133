"""The relay between the widget and the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from moica_gateway.relay import relay_app

BTK = {"Authorization": "Bearer btk_abc.def-g"}
ONE = "/moica/v1/transactions/txn_1"
Client = TestClient[Any, Any]


@pytest.fixture
async def relay(scripted: Any) -> AsyncIterator[Client]:
    """A document system with the relay under /moica; the browser has a session cookie."""
    app = web.Application()
    app.add_subapp("/moica", relay_app(scripted.url + "/"))
    session = {"cookies": {"session": "secret"}}
    async with TestClient(TestServer(app), **session) as client:
        yield client


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "btk_a",
        "Basic btk_a",
        "Bearer btk_",
        "Bearer mgk_live_x",
        "Bearer btk_a b",
        "bearer btk_a",
        "Bearer btk_" + "a" * 401,
        "Bearer mgk_live_x btk_a",
    ],
)
async def test_only_a_browser_token_passes(
    scripted: Any, relay: Client, authorization: str | None
) -> None:
    """Anything else is refused here, and the gateway hears nothing of it."""
    headers = {} if authorization is None else {"Authorization": authorization}
    for path in ("", "/events", "/qr.svg", "/qr.png"):
        async with relay.get(ONE + path, headers=headers) as reply:
            assert reply.status == 401
            assert reply.content_type == "application/problem+json"
            assert (await reply.json(content_type=None))["code"] == "unauthenticated"
    assert scripted.requests == []


async def test_no_cookie_and_no_key_goes_through(scripted: Any, relay: Client) -> None:
    """Neither up nor down; only the headers that the widget needs."""
    scripted.then_json({"a": 1}, 200, **{"Set-Cookie": "a=b", "X-Inner": "1", "ETag": '"7"'})
    sent = {**BTK, "X-Api-Key": "mgk_live_x", "If-None-Match": '"6"', "X-Forwarded-For": "::1"}
    for _ in range(2):
        async with relay.get(ONE, headers=sent) as reply:
            assert await reply.json() == {"a": 1}
            assert not {"Set-Cookie", "X-Inner"} & set(reply.headers)
            assert (reply.headers["ETag"], reply.headers["Cache-Control"]) == ('"7"', "no-store")
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
    for _, path, headers, _ in scripted.requests:
        lowered = {name.lower() for name in headers}
        assert path == "/v1/transactions/txn_1"
        assert not lowered & {"cookie", "x-api-key", "x-forwarded-for"}
        assert (headers["Authorization"], headers["If-None-Match"]) == (
            BTK["Authorization"],
            '"6"',
        )


async def test_the_widget_itself_needs_no_token_and_gets_none(scripted: Any, relay: Client) -> None:
    """The script comes through, may be cached, and no header of the caller goes up."""
    scripted.then_raw(b"export {};", 200, **{"Content-Type": "text/javascript"})
    async with relay.get("/moica/widget/v1.js", headers=BTK) as reply:
        assert (reply.status, await reply.read()) == (200, b"export {};")
        assert "max-age" in reply.headers["Cache-Control"]
    assert "Authorization" not in scripted.requests[0][2]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/moica/v1/credentials", 404),
        ("GET", "/moica/v1/events", 404),
        ("GET", "/moica/", 404),
        ("POST", ONE + "/cancel", 404),
        ("GET", ONE + "/artifact", 404),
        ("GET", ONE + "/challenges", 405),
        ("DELETE", ONE, 405),
        ("POST", ONE, 405),
        ("GET", "/moica/v1/transactions/x", 404),
        ("GET", "/moica/v1/transactions/txn_1%2Fartifact", 404),
        ("GET", "/moica/v1/transactions/..%2Fusers", 404),
        ("GET", "/moica/v1/transactions/txn_1%3Fx", 404),
        ("GET", "/moica/widget/v2.js", 404),
    ],
)
async def test_no_other_path_passes(
    scripted: Any, relay: Client, method: str, path: str, status: int
) -> None:
    """The gateway hears nothing of it."""
    async with ClientSession() as session:
        url = str(relay.make_url("/")).rstrip("/") + path
        async with session.request(method, URL(url, encoded=True), headers=BTK) as reply:
            assert reply.status == status
    assert scripted.requests == []


async def test_a_challenge_and_its_body_pass(scripted: Any, relay: Client) -> None:
    """The query is passed on as it was written; a body that is too large is not passed on."""
    scripted.then_json({"code": "x"}, 409, **{"Retry-After": "3"})
    body, sent = {"channel": "qr"}, {**BTK, "Idempotency-Key": "one-click"}
    async with relay.post(ONE + "/challenges?a=1%262%23", headers=sent, json=body) as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (409, "3")
    _, path, headers, raw = scripted.requests[0]
    assert headers["Idempotency-Key"] == "one-click"
    assert path == "/v1/transactions/txn_1/challenges?a=1%262%23"
    assert (headers["Content-Type"], raw) == ("application/json", b'{"channel": "qr"}')
    async with relay.post(ONE + "/challenges", headers=BTK, data=b"x" * 5000) as reply:
        assert reply.status == 413
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("name", ["qr.svg", "qr.png"])
async def test_a_picture_passes_and_is_kept_by_nobody(
    scripted: Any, relay: Client, name: str
) -> None:
    """With its type and `no-store`, whatever the gateway said of keeping it."""
    kind = "image/png" if name == "qr.png" else "image/svg+xml"
    scripted.then_raw(b"\x89 a code", 200, **{"Content-Type": kind, "Cache-Control": "public"})
    async with relay.get(f"{ONE}/{name}", headers=BTK) as reply:
        assert (reply.status, await reply.read()) == (200, b"\x89 a code")
        assert (reply.headers["Content-Type"], reply.headers["Cache-Control"]) == (kind, "no-store")
    assert scripted.requests[0][1] == f"/v1/transactions/txn_1/{name}"


async def test_events_stream_through_at_once(scripted: Any, relay: Client) -> None:
    """Each event arrives before the next one is made; a cut is seen as a cut."""
    heard = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        await heard.wait()
        await answer.write(b"data: 2\n\n")
        if request.headers.get("Last-Event-ID") == "cut":
            assert request.transport is not None
            request.transport.abort()
        return answer

    scripted.then(stream)
    for last in ("7", "cut"):
        heard.clear()
        headers = {**BTK, "Last-Event-ID": last}
        async with relay.get(ONE + "/events", headers=headers) as reply:
            assert reply.content_type == "text/event-stream"
            assert await reply.content.readuntil(b"\n\n") == b"data: 1\n\n"
            heard.set()
            if last == "cut":
                with pytest.raises(ClientPayloadError):
                    await reply.read()
            else:
                assert await reply.read() == b"data: 2\n\n"
        assert scripted.requests[-1][2]["Last-Event-ID"] == last


async def test_a_gateway_that_is_away_is_a_502_problem(scripted: Any, relay: Client) -> None:
    """Refused or broken off before the answer."""
    scripted.then_reset()
    for path in (ONE, "/moica/widget/v1.js", ONE):
        async with relay.get(path, headers=BTK) as reply:
            assert (reply.status, reply.content_type) == (502, "application/problem+json")
            body = await reply.json(content_type=None)
            assert (body["code"], body["status"]) == ("upstream_unreachable", 502)
        if path != ONE:
            await scripted.server.close()


async def test_a_redirect_of_the_gateway_is_not_followed(scripted: Any, relay: Client) -> None:
    """And the browser is not told where it led."""
    scripted.then_raw(b"", 302, Location="http://evil.test/")
    async with relay.get(ONE, headers=BTK, allow_redirects=False) as reply:
        assert reply.status == 302
        assert "Location" not in reply.headers
