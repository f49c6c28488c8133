"""The relay between the widget and the gateway."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import uvicorn
from aiohttp import ClientPayloadError, ClientSession, web
from aiohttp.test_utils import TestServer
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from yarl import URL

from moica_gateway.relay import RelayASGI, RelayWSGI, relay_app

BTK = {"Authorization": "Bearer btk_abc.def-g"}
ONE = "/moica/v1/transactions/txn_1"


class Page:
    """A browser's side of a mounted relay, with a session cookie of the document system."""

    def __init__(self, session: ClientSession, root: str) -> None:
        self.session, self.root = session, root

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """The path as it is written."""
        return self.session.request(method, URL(self.root + path, encoded=True), **more)

    def get(self, path: str, **more: Any) -> Any:
        """A request."""
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> Any:
        """A request."""
        return self.ask("POST", path, **more)


@asynccontextmanager
async def on_aiohttp(gateway: str) -> AsyncIterator[str]:
    """A sub-application."""
    app = web.Application()
    app.add_subapp("/moica", relay_app(gateway))
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def on_asgi(gateway: str) -> AsyncIterator[str]:
    """Uvicorn, with a mount that keeps its path in front, as the specification has it."""
    relay = RelayASGI(gateway)

    async def site(scope: Any, receive: Any, send: Any) -> None:
        await relay({**scope, "root_path": "/moica"}, receive, send)

    # What a client that was cut off sees is tested; that the server says so, too, is its affair.
    config = uvicorn.Config(site, port=0, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.ensure_future(server.serve([listening]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn tells in no other way
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def on_wsgi(gateway: str, hold: int = 20) -> AsyncIterator[str]:
    """Flask with the relay beside it, threads of Werkzeug."""
    relay = RelayWSGI(gateway, hold=hold)
    app = DispatcherMiddleware(Flask(__name__), {"/moica": relay})
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await asyncio.to_thread(server.shutdown)
        await asyncio.to_thread(thread.join)
        server.server_close()
        await asyncio.to_thread(relay.close)


MOUNTS: dict[str, Callable[[str], AbstractAsyncContextManager[str]]] = {
    "aiohttp": on_aiohttp,
    "asgi": on_asgi,
    "wsgi": on_wsgi,
}


@asynccontextmanager
async def page_on(mount: AbstractAsyncContextManager[str]) -> AsyncIterator[Page]:
    """A browser with a session cookie."""
    async with mount as root, ClientSession(cookies={"session": "secret"}) as session:
        yield Page(session, root)


@pytest.fixture(params=MOUNTS)
async def relay(scripted: Any, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """A document system with the relay under /moica, on each kind of server."""
    async with page_on(MOUNTS[request.param](scripted.url + "/")) as page:
        yield page


@pytest.fixture(params=["aiohttp", "asgi"])
async def streaming(scripted: Any, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    """The two that can stream."""
    async with page_on(MOUNTS[request.param](scripted.url)) as page:
        yield page


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
    scripted: Any, relay: Page, authorization: str | None
) -> None:
    """Anything else is refused here, and the gateway hears nothing of it."""
    headers = {} if authorization is None else {"Authorization": authorization}
    for path in ("", "/events", "/qr.svg", "/qr.png"):
        async with relay.get(ONE + path, headers=headers) as reply:
            assert reply.status == 401
            assert reply.content_type == "application/problem+json"
            assert (await reply.json(content_type=None))["code"] == "unauthenticated"
    assert scripted.requests == []


async def test_no_cookie_and_no_key_goes_through(scripted: Any, relay: Page) -> None:
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


async def test_the_widget_itself_needs_no_token_and_gets_none(scripted: Any, relay: Page) -> None:
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
    scripted: Any, relay: Page, method: str, path: str, status: int
) -> None:
    """The gateway hears nothing of it."""
    async with relay.ask(method, path, headers=BTK) as reply:
        assert reply.status == status
    assert scripted.requests == []


async def test_a_challenge_and_its_body_pass(scripted: Any, relay: Page) -> None:
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
    scripted: Any, relay: Page, name: str
) -> None:
    """With its type and `no-store`, whatever the gateway said of keeping it."""
    kind = "image/png" if name == "qr.png" else "image/svg+xml"
    scripted.then_raw(b"\x89 a code", 200, **{"Content-Type": kind, "Cache-Control": "public"})
    async with relay.get(f"{ONE}/{name}", headers=BTK) as reply:
        assert (reply.status, await reply.read()) == (200, b"\x89 a code")
        assert (reply.headers["Content-Type"], reply.headers["Cache-Control"]) == (kind, "no-store")
    assert scripted.requests[0][1] == f"/v1/transactions/txn_1/{name}"


async def test_events_stream_through_at_once(scripted: Any, streaming: Page) -> None:
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
        async with streaming.get(ONE + "/events", headers=headers) as reply:
            assert reply.content_type == "text/event-stream"
            assert await reply.content.readuntil(b"\n\n") == b"data: 1\n\n"
            heard.set()
            if last == "cut":
                with pytest.raises(ClientPayloadError):
                    await reply.read()
            else:
                assert await reply.read() == b"data: 2\n\n"
        assert scripted.requests[-1][2]["Last-Event-ID"] == last


async def test_a_gateway_that_is_away_is_a_502_problem(scripted: Any, relay: Page) -> None:
    """Refused or broken off before the answer."""
    scripted.then_reset()
    for path in (ONE, "/moica/widget/v1.js", ONE):
        async with relay.get(path, headers=BTK) as reply:
            assert (reply.status, reply.content_type) == (502, "application/problem+json")
            body = await reply.json(content_type=None)
            assert (body["code"], body["status"]) == ("upstream_unreachable", 502)
        if path != ONE:
            await scripted.server.close()


async def test_a_redirect_of_the_gateway_is_not_followed(scripted: Any, relay: Page) -> None:
    """And the browser is not told where it led."""
    scripted.then_raw(b"", 302, Location="http://evil.test/")
    async with relay.get(ONE, headers=BTK, allow_redirects=False) as reply:
        assert reply.status == 302
        assert "Location" not in reply.headers


async def test_without_streams_a_look_at_the_events_is_one_that_waits(scripted: Any) -> None:
    """A thread is held for seconds, not minutes: what changed is one event, then it ends."""
    scripted.then_json(scripted.transaction(version=3))
    async with page_on(on_wsgi(scripted.url, hold=7)) as page:
        headers = {**BTK, "Last-Event-ID": "2"}
        async with page.get(ONE + "/events", headers=headers) as reply:
            assert reply.content_type == "text/event-stream"
            name, version, data = (await reply.text()).splitlines()[:3]
    assert (name, version) == ("event: transaction", "id: 3")
    assert json.loads(data.removeprefix("data: ")) == scripted.transaction(version=3)
    _, path, sent, _ = scripted.requests[0]
    assert path == "/v1/transactions/txn_1?wait=7&since=2"
    assert "Last-Event-ID" not in sent


@pytest.mark.parametrize(
    ("last", "status", "came", "body"),
    [
        (None, "pending", 200, b"event: transaction\nid: 2\n"),
        ("x", "pending", 200, b"event: transaction\nid: 2\n"),
        ("1", "completed", 200, b"event: transaction\nid: 2\n"),
        ("2", "pending", 200, b": still here\n\n"),
        ("2", "rejected", 204, b""),
    ],
)
async def test_without_streams_the_end_is_told_as_with_them(
    scripted: Any, last: str | None, status: str, came: int, body: bytes
) -> None:
    """News as an event, none as a comment, and 204 once the end was heard."""
    scripted.then_json(scripted.transaction(status=status))
    headers = BTK if last is None else {**BTK, "Last-Event-ID": last}
    async with (
        page_on(on_wsgi(scripted.url)) as page,
        page.get(ONE + "/events", headers=headers) as reply,
    ):
        assert (reply.status, (await reply.read())[: len(body)]) == (came, body)
        assert reply.headers["Cache-Control"] == "no-store"
    waits = "" if last in (None, "x") else f"?wait=20&since={last}"
    assert scripted.requests[0][1] == f"/v1/transactions/txn_1{waits}"


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"version": "x"}'])
async def test_without_streams_an_answer_that_is_none_is_a_502(
    scripted: Any, answer: bytes
) -> None:
    """Some box in between may answer 200 with anything; a refusal of the gateway passes."""
    scripted.then_raw(answer)
    scripted.then_json({"code": "not_found"}, 404)
    async with page_on(on_wsgi(scripted.url)) as page:
        for status in (502, 404):
            async with page.get(ONE + "/events", headers=BTK) as reply:
                assert reply.status == status


def test_a_hold_that_the_gateway_would_refuse_is_refused_at_once() -> None:
    """0 to 55 seconds, as `wait` takes."""
    for hold in (-1, 56):
        with pytest.raises(ValueError, match="expected 0 to 55"):
            RelayWSGI("http://gateway", hold=hold)


async def test_a_browser_that_leaves_ends_the_stream_to_the_gateway(
    scripted: Any, streaming: Page
) -> None:
    """Nobody reads it any more; the gateway sees it closed."""
    closed = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: 1\n\n")
        try:
            while True:
                await asyncio.sleep(0.01)
                await answer.write(b": x\n\n")
        except (ConnectionError, asyncio.CancelledError):
            closed.set()
            raise

    scripted.then(stream)
    async with streaming.get(ONE + "/events", headers=BTK) as reply:
        await reply.content.readuntil(b"\n\n")
    async with asyncio.timeout(5):
        await closed.wait()
