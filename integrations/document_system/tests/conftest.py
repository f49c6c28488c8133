"""A gateway of a few routes, written from ``api.md`` alone, and a browser without scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import CookieJar, FormData, web
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from document_system.app import create_app
from document_system.models import Document, Step
from document_system.passwords import Passwords
from document_system.seed import DEMO_PASSWORD
from document_system.settings import Settings
from document_system.store.documents import add_document
from document_system.store.users import list_users
from document_system.web.keys import DESK
from moica_gateway import GatewayClient

API_KEY = "mgk_test_document-system"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"document system webhook secret!!").decode()
CERTIFICATE = b"a certificate of the fake gateway"
FINGERPRINT = hashlib.sha256(CERTIFICATE).hexdigest()
START = datetime(2026, 4, 30, 1, 0, 0, tzinfo=UTC)


def rfc3339(value: datetime) -> str:
    """As the API writes times."""
    return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def problem(status: int, code: str, zh: str, **extra: Any) -> web.Response:
    """A problem document."""
    body = {
        "type": f"https://moica-gateway.invalid/problems/{code}",
        "title": code,
        "status": status,
        "detail": code,
        "code": code,
        "who_can_act": "holder",
        "what_helps": "restart",
        "user_message": {"zh-TW": zh, "en": code},
        **extra,
    }
    return web.json_response(body, status=status, content_type="application/problem+json")


async def at_once(_: float) -> None:
    """Instead of waiting between two attempts."""


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        """Moves it."""
        self.now += timedelta(seconds=seconds)


class Gateway:
    """What the document system sees of a gateway; its tests say how each transaction ends."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: list[tuple[str, str, str | None, Any]] = []
        self.transactions: dict[str, dict[str, Any]] = {}
        self.credentials: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, tuple[Any, str]] = {}
        self.refuse_creation: Callable[[], web.Response] | None = None
        self.down = False
        self.lose_answers = 0
        app = web.Application(middlewares=[self._guard])
        app.router.add_post("/v1/registrations", self._registration)
        app.router.add_post("/v1/signatures", self._signature)
        app.router.add_post("/v1/signature-batches", self._signature)
        app.router.add_post("/v1/transactions/cancel", self._recall)
        app.router.add_get("/v1/transactions/{id}", self._transaction)
        app.router.add_post("/v1/transactions/{id}/cancel", self._cancel)
        app.router.add_get("/v1/transactions/{id}/artifact", self._artifact)
        app.router.add_get("/v1/credentials", self._credentials)
        app.router.add_post("/v1/credentials/{id}/enable", self._enable)
        self.server = TestServer(app)

    # -- what a test does

    def created(self, kind: str) -> list[tuple[str | None, Any]]:
        """Keys and bodies of the creations of that kind."""
        paths = {"signature": ("/v1/signatures", "/v1/signature-batches")}.get(
            kind, (f"/v1/{kind}s",)
        )
        return [
            (key, body) for method, at, key, body in self.calls if method == "POST" and at in paths
        ]

    def last(self) -> dict[str, Any]:
        """The newest transaction."""
        return list(self.transactions.values())[-1]

    def sign(self, count: int, transaction: dict[str, Any] | None = None) -> None:
        """A ticket is confirmed: the first so many documents are signed, the others are still
        asked for."""
        txn = transaction or self.last()
        txn["version"] += 1
        for document in txn["documents"][:count]:
            document["status"] = "completed"

    def end(self, status: str, transaction: dict[str, Any] | None = None, **error: Any) -> None:
        """Ends a transaction, by default the newest; what is signed stays signed."""
        txn = transaction or self.last()
        txn["version"] += 1
        txn["status"] = status
        for document in txn["documents"]:
            if document.get("status") != "completed":
                document["status"] = status
        signed = [d for d in txn["documents"] if d["status"] == "completed"]
        if signed and status != "completed":
            txn["partial"] = True
        if error:
            txn["error"] = json.loads(problem(200, **error).text or "")
        if status == "completed" and txn["kind"] == "registration":
            credential = {
                "id": f"crd_{secrets.token_hex(6)}",
                "user_id": txn["user_id"],
                "type": "mobile_citizen_certificate",
                "status": "disabled",
                "issuer_name": "內政部憑證管理中心",
                "serial_number": secrets.token_hex(8).upper(),
                "not_before": "2026-04-23T16:00:00.000Z",
                "not_after": "2027-04-23T16:00:00.000Z",
                "subject_name": "王小明",
                "id_number_masked": "******6789",
                "fingerprint_sha256": FINGERPRINT,
            }
            self.credentials[credential["id"]] = credential
            txn["credential"] = credential
        if signed:
            txn["signature"] = {
                "format": "cades",
                "level": "B-B",
                "certificate": base64.b64encode(CERTIFICATE).decode(),
                "signed_at": rfc3339(self.clock.now),
                "report": [],
            }

    def refuse(self, status: int, code: str, zh: str, **extra: Any) -> None:
        """Every creation from now on, until ``refuse_creation`` is None."""
        self.refuse_creation = lambda: problem(status, code, zh, **extra)

    def event(self, transaction: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
        """The webhook body that this transaction's state makes."""
        txn = transaction or self.last()
        kinds = {"completed": f"{txn['kind']}.completed"}
        data = {
            "transaction_id": txn["id"],
            "version": txn["version"],
            "kind": txn["kind"],
            "status": txn["status"],
            "user_id": txn["user_id"],
            "documents": [dict(one) for one in txn["documents"]],
            "metadata": txn["metadata"],
            **({"error": txn["error"]} if "error" in txn else {}),
            **changed,
        }
        return {
            "type": kinds.get(txn["status"], f"transaction.{txn['status']}"),
            "timestamp": rfc3339(self.clock.now),
            "data": data,
        }

    # -- the routes

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.down:
            return web.Response(status=503, text="<html>maintenance</html>")
        if request.headers.get("Authorization") != f"Bearer {API_KEY}":
            return problem(401, "unauthenticated", "連線憑據無效")
        body = await request.json() if request.body_exists else None
        self.calls.append(
            (request.method, request.path, request.headers.get("Idempotency-Key"), body)
        )
        return await handler(request)

    async def _create(self, request: web.Request, kind: str, body: Any) -> web.Response:
        key = request.headers.get("Idempotency-Key", "")
        if key in self.keys:
            known, id_ = self.keys[key]
            if self.lose_answers and request.transport is not None:
                self.lose_answers -= 1
                request.transport.abort()
            if known != body:
                return problem(422, "idempotency_mismatch", "送出的資料有誤")
            return web.json_response(
                self._view(self.transactions[id_], token=True),
                status=201,
                headers={"Idempotency-Replayed": "true"},
            )
        if self.refuse_creation is not None:
            return self.refuse_creation()
        refused = self._refused(body)
        if refused is not None:
            return refused
        for one in self.transactions.values():
            if one["user_id"] == body["user_id"] and one["status"] == "pending":
                if body.get("supersede"):
                    self.end("cancelled", one)
                    continue
                return problem(
                    409,
                    "transaction_open",
                    "您還有一筆作業等待手機確認，請先完成或取消。",
                    transaction_id=one["id"],
                )
        id_ = f"txn_{secrets.token_hex(8)}"
        expires = rfc3339(self.clock.now + timedelta(seconds=body["time_limit"]))
        documents = body.get("documents") or ([body["document"]] if "document" in body else [])
        self.transactions[id_] = {
            "id": id_,
            "version": 1,
            "kind": kind,
            "status": "pending",
            "created_at": rfc3339(self.clock.now),
            "expires_at": expires,
            "user_id": body["user_id"],
            "documents": [{"id": f"made-{n}", **one} for n, one in enumerate(documents)],
            "match_code": "42",
            "challenges": [
                {"channel": body.get("channel", "push"), "status": "sent", "expires_at": expires}
            ],
            "metadata": body["metadata"],
        }
        self.keys[key] = (body, id_)
        if self.lose_answers:
            self.lose_answers -= 1
            if request.transport is not None:
                request.transport.abort()
        return web.json_response(self._view(self.transactions[id_], token=True), status=201)

    def _refused(self, body: Any) -> web.Response | None:
        """As the gateway does with a number that the phone could not show."""
        for index, one in enumerate(body.get("documents", [])):
            if "~" in one["number"]:
                return problem(
                    422,
                    "request_invalid",
                    "系統送出的資料有誤，請通知公文系統的維護人員。",
                    member=f"documents[{index}].number",
                    document_index=index,
                    document_id=one["id"],
                )
        return None

    async def _recall(self, request: web.Request) -> web.Response:
        number = (await request.json())["document_number"]
        found = [
            txn
            for txn in self.transactions.values()
            if txn["status"] == "pending" and any(d["number"] == number for d in txn["documents"])
        ]
        for txn in found:
            self.end("cancelled", txn, code="cancelled", zh="作業已取消。")
        return web.json_response({"items": [self._view(t) for t in found], "next_cursor": None})

    def _view(self, txn: dict[str, Any], *, token: bool = False) -> dict[str, Any]:
        return {**txn, **({"browser_token": f"btk_{txn['id']}"} if token else {})}

    async def _registration(self, request: web.Request) -> web.Response:
        return await self._create(request, "registration", await request.json())

    async def _signature(self, request: web.Request) -> web.Response:
        return await self._create(request, "signature", await request.json())

    async def _transaction(self, request: web.Request) -> web.Response:
        txn = self.transactions.get(request.match_info["id"])
        return web.json_response(self._view(txn)) if txn else problem(404, "not_found", "找不到")

    async def _cancel(self, request: web.Request) -> web.Response:
        txn = self.transactions.get(request.match_info["id"])
        if txn is None:
            return problem(404, "not_found", "找不到")
        if txn["status"] == "pending":
            self.end("cancelled", txn)
        return web.json_response(self._view(txn))

    async def _artifact(self, request: web.Request) -> web.Response:
        txn = self.transactions[request.match_info["id"]]
        wanted = request.query.get("document")
        documents = [d for d in txn["documents"] if wanted in (None, d["id"])]
        if len(documents) != 1 or documents[0].get("status") != "completed":
            return problem(404, "not_found", "找不到")
        of = f"{documents[0]['id']} of " if wanted else ""
        return web.Response(
            body=f"0\x82signature of {of}{txn['id']}".encode("latin-1"),
            headers={
                "Content-Type": "application/pkcs7-signature",
                "Content-Disposition": 'attachment; filename="signature.p7s"',
            },
        )

    async def _credentials(self, request: web.Request) -> web.Response:
        items = [c for c in self.credentials.values() if c["user_id"] == request.query["user_id"]]
        return web.json_response({"items": items, "next_cursor": None})

    async def _enable(self, request: web.Request) -> web.Response:
        credential = self.credentials.get(request.match_info["id"])
        if credential is None:
            return problem(404, "not_found", "找不到")
        for one in self.credentials.values():
            if one["user_id"] == credential["user_id"]:
                one["status"] = "disabled"
        credential["status"] = "enabled"
        return web.json_response(credential)


class Page:
    """One answer: its text, and what a browser without scripts would make of it."""

    def __init__(self, status: int, path: str, text: str, headers: Any) -> None:
        self.status, self.path, self.text, self.headers = status, path, text, headers

    @property
    def words(self) -> str:
        """The text that is seen."""
        return unescape(" ".join(re.sub(r"<[^>]+>", " ", self.text).split()))

    def value(self, name: str) -> str:
        """Of the first input with that name."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.text)
        assert found, f"no input {name} on {self.path}"
        return unescape(found[1])

    def data(self, name: str) -> str | None:
        """A ``data-`` attribute of the state element."""
        found = re.search(rf'id="transaction-state"[^>]*data-{name}="([^"]*)"', self.text)
        return found[1] if found else None


class Browser:
    """Signed in as one user; follows redirects, keeps cookies, runs no script."""

    def __init__(self, client: TestClient[web.Request, web.Application]) -> None:
        self.client = client
        self.page: Page = Page(0, "", "", {})

    async def get(self, path: str) -> Page:
        """GET, redirects followed."""
        async with self.client.get(path) as answer:
            body = await answer.read()
            self.page = Page(
                answer.status, answer.url.path_qs, body.decode("utf-8", "replace"), answer.headers
            )
        return self.page

    async def post(self, path: str, **fields: str | list[str]) -> Page:
        """POST with the token of the page that is shown, redirects followed."""
        form: list[tuple[str, str]] = [("csrf_token", self.page.value("csrf_token"))]
        for name, values in fields.items():
            form += [(name, one) for one in ([values] if isinstance(values, str) else values)]
        async with self.client.post(path, data=form) as answer:
            self.page = Page(answer.status, answer.url.path_qs, await answer.text(), answer.headers)
        return self.page

    async def upload(self, path: str, name: str, content: bytes) -> Page:
        """A file, as a browser sends it; redirects followed."""
        form = FormData(quote_fields=False)
        form.add_field("csrf_token", self.page.value("csrf_token"))
        form.add_field("file", BytesIO(content), filename=name)
        async with self.client.post(path, data=form) as answer:
            self.page = Page(answer.status, answer.url.path_qs, await answer.text(), answer.headers)
        return self.page

    async def sign_in(self, user_id: str) -> Browser:
        """With the demo's password."""
        await self.get("/sign-in")
        page = await self.post("/sign-in", user_id=user_id, password=DEMO_PASSWORD, next="/")
        assert page.path == "/dashboard/main"
        return self

    async def apply(self, user_id: str) -> Page:
        """「申請」 with a sample ID number."""
        page = await self.get("/certificates/new")
        return await self.post(
            "/certificates/apply",
            nonce=page.value("nonce"),
            user_id=user_id,
            type="mobile",
            id_number="A123456789",
        )

    async def register(self, gateway: Gateway, user_id: str) -> Page:
        """To the stored certificate."""
        page = await self.apply(user_id)
        gateway.end("completed")
        page = await self.get(page.path)
        return await self.post(f"{page.path}/save")

    async def batch(self, *numbers: str, tab: str = "review", **fields: str) -> Page:
        """Chosen on the dashboard, listed, 「儲存並送出」: to the window."""
        await self.get(f"/dashboard/{tab}")
        await self.post(f"/dashboard/{tab}/batch", number=list(numbers))
        return await self.post("/batches", number=list(numbers), **fields)

    async def send_for_signing(self, number: str) -> Page:
        """From the document to the window."""
        await self.get(f"/documents/{number}")
        await self.post(f"/documents/{number}/seal", action="place")
        await self.post(f"/documents/{number}/submit")
        return await self.post(f"/documents/{number}/sign")


class World:
    """Document system, gateway and clock of one test."""

    def __init__(
        self, app: web.Application, server: TestServer, gateway: Gateway, clock: Clock, data: Path
    ) -> None:
        self.app, self.server, self.gateway, self.clock, self.data = (
            app,
            server,
            gateway,
            clock,
            data,
        )
        self.clients: list[TestClient[web.Request, web.Application]] = []

    async def browser(self, user_id: str | None = None) -> Browser:
        """A browser of its own, signed in where a user is named."""
        client = TestClient(self.server, cookie_jar=CookieJar(unsafe=True))
        self.clients.append(client)
        browser = Browser(client)
        return await browser.sign_in(user_id) if user_id else browser

    async def lay(
        self, holder: str, count: int, *, then: str = "secretary01", start: int = 1153000200
    ) -> list[str]:
        """So many documents more on a desk for review; their numbers."""
        route = (("clerk03", "承辦"), (holder, "審核"), (then, "決行"))

        def add(db: sqlite3.Connection) -> list[str]:
            numbers = [str(start + n) for n in range(count)]
            by_id = {one.user_id: one for one in list_users(db)}
            for number in numbers:
                steps = tuple(
                    Step(position=at, user=by_id[who], role=role, passed_at=None)
                    for at, (who, role) in enumerate(route)
                )
                add_document(
                    db,
                    Document(
                        number=number,
                        subject=f"第 {number} 號公文，請核示。",
                        body="一、內容。",
                        from_agency="無",
                        state="待核",
                        received_at=START,
                        due_at=START + timedelta(days=8),
                        position=1,
                        sealed=False,
                        signed_version=None,
                        route=steps,
                    ),
                )
            return numbers

        return await self.app[DESK].database.run(add)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Straight from the file."""
        with sqlite3.connect(self.data / "document-system.sqlite3") as db:
            found = db.execute(statement, values).fetchall()
        db.close()
        return found

    async def webhook(
        self,
        event: dict[str, Any],
        *,
        id_: str | None = None,
        secret: str = WEBHOOK_SECRET,
        tamper: Callable[[str], str] = lambda body: body,
    ) -> int:
        """Posts it as the gateway would; the status of the answer."""
        body = json.dumps(event, ensure_ascii=False)
        id_ = id_ or f"evt_{secrets.token_hex(8)}"
        at = datetime.now(UTC)
        signature = Webhook(secret).sign(id_, at, body)
        client = TestClient(self.server)
        self.clients.append(client)
        async with client.post(
            "/webhooks/moica",
            data=tamper(body).encode(),
            headers={
                "Content-Type": "application/json",
                "webhook-id": id_,
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": signature,
            },
        ) as answer:
            return answer.status


@pytest.fixture
def clock() -> Clock:
    """Of document system and gateway."""
    return Clock()


@pytest.fixture
async def gateway(clock: Clock) -> AsyncIterator[Gateway]:
    """Served on a port of the operating system's choice."""
    gateway = Gateway(clock)
    await gateway.server.start_server()
    yield gateway
    await gateway.server.close()


@pytest.fixture
async def world(tmp_path: Path, gateway: Gateway, clock: Clock) -> AsyncIterator[World]:
    """A started document system with the demo's seed and cheap password hashes."""
    settings = Settings(
        data=tmp_path,
        gateway_url=str(gateway.server.make_url("")).rstrip("/"),
        api_key=API_KEY,
        webhook_secret=WEBHOOK_SECRET,
        demo=True,
        look_interval=3600,
    )
    app = create_app(
        settings,
        clock=clock,
        passwords=Passwords(n=16),
        client=GatewayClient(settings.gateway_url, API_KEY, sleep=at_once),
    )
    server = TestServer(app)
    await server.start_server()
    world = World(app, server, gateway, clock, tmp_path)
    yield world
    for client in world.clients:
        await client.close()
    await server.close()
