"""The SDK as a vendor uses it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

import moica_gateway
from moica_gateway.blocking import BlockingGatewayClient
from moica_gateway.client import GatewayClient
from moica_gateway.errors import GatewayError, problem
from moica_gateway.outcomes import Expectation, Outcome
from moica_gateway.relay import relay_app
from moica_gateway.webhooks import WebhookReceiver
from moica_gateway.wire import DocumentRequest

KEY = "mgk_test_" + "k" * 43
TRANSACTION = {
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
}
DOCUMENT = DocumentRequest(number="1", sha256="0" * 64)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gateway:
    """Answers as scripted, the last one stays; keeps what it was asked."""

    def __init__(self, *answers: Handler) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        body = await request.read()
        self.requests.append((request.method, request.path_qs, dict(request.headers), body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)

    def server(self) -> TestServer:
        """On a free port."""
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self.handle)
        return TestServer(app)


def json_answer(body: Any, status: int = 200, **headers: str) -> Handler:
    """A JSON answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def raw_answer(body: bytes, status: int = 200, **headers: str) -> Handler:
    """Any answer."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers)

    return answer


async def reset(request: web.Request) -> web.StreamResponse:
    """The connection breaks."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def no_sleep(_seconds: float) -> None:
    """Retries without waiting."""


def client_of(server: TestServer, **options: Any) -> GatewayClient:
    """Without waiting between retries."""
    return GatewayClient(str(server.make_url("/")), KEY, sleep=no_sleep, **options)


def test_importing_the_package_needs_nothing_of_the_server() -> None:
    """Neither aiohttp nor SQLAlchemy nor cryptography."""
    code = "import sys, moica_gateway; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"aiohttp", "sqlalchemy", "cryptography", "moica_gateway.domain"}


def test_every_exported_name_is_there() -> None:
    """And the list is sorted."""
    assert list(moica_gateway.__all__) == sorted(moica_gateway.__all__)
    for name in moica_gateway.__all__:
        assert getattr(moica_gateway, name) is not None


@pytest.mark.parametrize(
    "trouble",
    [
        json_answer(problem("storage_unavailable", "x").to_json(), 503),
        json_answer(problem("idempotency_running", "x").to_json(), 409, **{"Retry-After": "1"}),
        raw_answer(b"<html>", 502),
        reset,
    ],
)
async def test_a_creation_is_tried_again_with_the_same_key(trouble: Handler) -> None:
    """So no phone rings twice."""
    gateway = Gateway(trouble, json_answer(TRANSACTION, 201))
    async with gateway.server() as server, client_of(server) as client:
        made = await client.begin_signature(user_id="u1", document=DOCUMENT)
    assert made.id == "txn_1"
    keys = {headers["Idempotency-Key"] for _, _, headers, _ in gateway.requests}
    assert (len(gateway.requests), len(keys)) == (2, 1)


async def test_a_4xx_is_not_tried_again() -> None:
    """It is raised as the class that the catalogue names."""
    gateway = Gateway(json_answer(problem("credential_missing", "x").to_json(), 409))
    async with gateway.server() as server, client_of(server) as client:
        with pytest.raises(GatewayError) as raised:
            await client.begin_signature(user_id="u1", document=DOCUMENT)
    assert type(raised.value).__name__ == "HolderCertificateError"
    assert len(gateway.requests) == 1


FOREIGN = [
    (raw_answer(b"<html>hello</html>"), "upstream_malformed"),
    (raw_answer(b"[]"), "upstream_malformed"),
    (raw_answer(b"\xff"), "upstream_malformed"),
    (json_answer({"id": "x"}), "upstream_malformed"),
    (
        json_answer({**TRANSACTION, "created_at": "0001-01-01T00:00:00+23:59"}),
        "upstream_malformed",
    ),
    (raw_answer(b"", 302, Location="http://evil.test/"), "upstream_malformed"),
    (raw_answer(b"gone", 404), "upstream_malformed"),
    (raw_answer(b"broken", 500), "upstream_unavailable"),
    (reset, "upstream_unreachable"),
]


@pytest.mark.parametrize(("answer", "code"), FOREIGN)
async def test_nothing_foreign_escapes(answer: Handler, code: str) -> None:
    """A stable code for HTML, wrong JSON, redirects, other errors, broken lines."""
    async with Gateway(answer).server() as server, client_of(server) as client:
        with pytest.raises(GatewayError) as raised:
            await client.transaction("txn_1")
    assert raised.value.code == code


async def test_waiting_is_a_long_poll_until_it_has_ended() -> None:
    """Asked again while it is pending."""
    ended = {**TRANSACTION, "status": "completed", "version": 3}
    gateway = Gateway(json_answer(TRANSACTION), json_answer(ended))
    async with gateway.server() as server, client_of(server) as client:
        assert (await client.wait("txn_1", seconds=100)).status == "completed"
    assert all("wait=30" in path for _, path, _, _ in gateway.requests)


async def test_a_session_handed_in_is_not_closed() -> None:
    """Ours always is."""
    async with Gateway(json_answer(TRANSACTION)).server() as server, ClientSession() as session:
        async with client_of(server, session=session) as client:
            await client.transaction("txn_1")
        assert not session.closed


async def test_the_blocking_client_runs_the_same_code_from_any_thread() -> None:
    """Without a loop of the caller's."""
    gateway = Gateway(json_answer(TRANSACTION))
    seen: list[str] = []

    def ask(url: str) -> None:
        with BlockingGatewayClient(url, KEY) as client:
            seen.append(client.transaction("txn_1").match_code)

    async with gateway.server() as server:
        await asyncio.to_thread(ask, str(server.make_url("/")))
    assert seen == ["42"]
    assert not [t for t in threading.enumerate() if t.name == "moica-gateway-client"]


SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
EVENT = {
    "type": "signature.completed",
    "timestamp": "2026-04-29T06:58:11.000Z",
    "data": {
        **TRANSACTION,
        "transaction_id": "txn_1",
        "status": "completed",
        "documents": [{**one, "status": "completed"} for one in TRANSACTION["documents"]],
    },
}


def signed(body: bytes, at: datetime, secret: str = SECRET) -> dict[str, str]:
    """As the gateway signs."""
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", at, body.decode()),
    }


def test_an_authentic_webhook_is_received_and_matches_what_was_asked() -> None:
    """Also under the older of two secrets."""
    body = json.dumps(EVENT).encode()
    newer = "whsec_" + base64.b64encode(b"n" * 32).decode()
    event = WebhookReceiver(newer, SECRET).receive(signed(body, datetime.now(UTC)), body)
    assert (event.id, event.type) == ("evt_1", "signature.completed")
    expected = Expectation(
        transaction_id="txn_1", kind="signature", user_id="u1", number="1", version="1", sha256="00"
    )
    outcome = Outcome.of_event(event)
    outcome.assert_matches(expected)
    for name in ("transaction_id", "kind", "user_id", "number", "version", "sha256"):
        changed = {**{f: getattr(expected, f) for f in expected.__slots__ if f[0] != "_"}}
        changed[name] = "another"
        with pytest.raises(GatewayError):
            outcome.assert_matches(Expectation(**changed))


FORGED: list[dict[str, str]] = [
    {},
    {"Webhook-Signature": "v1,AAAA"},
    {"Webhook-Signature": "nonsense"},
    {"Webhook-Timestamp": "yesterday"},
    {"Webhook-Timestamp": "9" * 400},
    {"Webhook-Id": "evt_2"},
]


@pytest.mark.parametrize("change", FORGED[1:])
def test_a_forged_webhook_is_refused(change: dict[str, str]) -> None:
    """With one error of ours, whatever the library says."""
    body = json.dumps(EVENT).encode()
    headers = {**signed(body, datetime.now(UTC)), **change}
    with pytest.raises(GatewayError) as raised:
        WebhookReceiver(SECRET).receive(headers, body)
    assert raised.value.code == "answer_invalid"


def test_an_old_webhook_is_refused() -> None:
    """More than five minutes."""
    body = json.dumps(EVENT).encode()
    headers = signed(body, datetime.now(UTC) - timedelta(minutes=6))
    with pytest.raises(GatewayError):
        WebhookReceiver(SECRET).receive(headers, body)


@pytest.fixture
async def relay() -> AsyncIterator[tuple[TestServer, Gateway]]:
    """A document system with the relay under /moica."""
    gateway = Gateway(json_answer(TRANSACTION, **{"Set-Cookie": "a=b"}))
    async with gateway.server() as behind:
        app = web.Application()
        app.add_subapp("/moica", relay_app(str(behind.make_url("")).rstrip("/")))
        async with TestServer(app) as server:
            yield server, gateway


async def test_the_relay_passes_the_widgets_calls_and_nothing_else(
    relay: tuple[TestServer, Gateway],
) -> None:
    """Only a browser token; no cookie in either direction, no other path."""
    server, gateway = relay
    url = server.make_url("/moica/v1/transactions/txn_1")
    async with ClientSession(cookies={"session": "secret"}) as session:
        for token in ("", KEY, "Bearer " + KEY):
            async with session.get(url, headers={"Authorization": token}) as reply:
                assert reply.status == 401
        assert gateway.requests == []
        token = {"Authorization": "Bearer btk_abc.def"}
        async with session.get(url, headers=token) as reply:
            assert reply.status == 200
            assert "Set-Cookie" not in reply.headers
        sent = {name.lower() for name in gateway.requests[0][2]}
        assert "cookie" not in sent
        for path in ("/moica/v1/credentials", "/moica/v1/transactions/txn_1/cancel"):
            async with session.get(server.make_url(path), headers=token) as reply:
                assert reply.status == 404


async def test_the_relay_says_when_the_gateway_is_away() -> None:
    """502, as a problem document."""
    app = web.Application()
    app.add_subapp("/moica", relay_app("http://127.0.0.1:1"))
    async with TestServer(app) as server, ClientSession() as session:
        url = server.make_url("/moica/v1/transactions/txn_1")
        headers = {"Authorization": "Bearer btk_abc.def"}
        async with session.get(url, headers=headers) as reply:
            assert reply.status == 502
            assert (await reply.json(content_type=None))["code"] == "upstream_unreachable"


async def test_the_readmes_ten_lines_run_as_they_stand() -> None:
    """Against a gateway that answers; ten lines of code."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    ended = {**TRANSACTION, "status": "completed", "version": 3}
    gateway = Gateway(json_answer(TRANSACTION, 201), json_answer(ended))
    async with gateway.server() as server:
        environment = {
            "GATEWAY_URL": str(server.make_url("")),
            "API_KEY": KEY,
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout.strip()) == (0, "completed"), done.stderr
    body = json.loads(gateway.requests[0][3])
    assert body["document"]["sha256"] == hashlib.sha256(b"the frozen version").hexdigest()
