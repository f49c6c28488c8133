"""What the tests share: a simulator with prepared keys, and a relying system of their own."""

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import moica_simulator.simulator
from moica_simulator import Clock, Device, KeyPool, Simulator
from moica_simulator.web.openapi import control_document

WANG = "A123456789"
LEE = "B123456780"
SERVICE_ID = "20261123090000000001"
NOON = datetime(2026, 4, 24, 4, 0, tzinfo=UTC)

ORDERS = {
    "getSpTicket": (
        *("transaction_id", "sp_service_id", "id_num", "op_code", "op_mode", "hint"),
        "sign_data",
    ),
    "getAthOrSignResult": ("transaction_id", "sp_service_id", "sp_ticket_id"),
    "requestAthOrSignPush": (
        *("transaction_id", "sp_service_id", "id_num", "device_user_def_desc", "op_code", "hint"),
        "sign_data",
    ),
    "doBatchSigning": ("transaction_id", "sp_service_id", "id_num", "op_code", "op_mode", "hint"),
    "checkDeviceStatus": ("transaction_id", "sp_service_id", "id_num"),
}


class RelyingSystem:
    """A small TW FidO client, written from the protocol file and nothing of the simulator's."""

    def __init__(self, url: str, session: aiohttp.ClientSession, key: bytes) -> None:
        self.url = url
        self.key = key
        self.service_id = SERVICE_ID
        self._session = session

    @property
    def key_base64(self) -> str:
        """The AES key as it is registered."""
        return base64.b64encode(self.key).decode()

    def seal(self, payload: str, iv: bytes | None = None) -> str:
        """Makes a checksum."""
        nonce = os.urandom(12) if iv is None else iv
        text = hashlib.sha256(payload.encode()).hexdigest().encode()
        return (nonce + AESGCM(self.key).encrypt(nonce, text, None)).hex()

    def unseal(self, checksum: str) -> str:
        """Opens a checksum and returns the hash inside."""
        raw = bytes.fromhex(checksum)
        return AESGCM(self.key).decrypt(raw[:12], raw[12:], None).decode()

    def signed(self, method: str, body: dict[str, Any], iv: bytes | None = None) -> dict[str, Any]:
        """Adds the right checksum to a body."""
        flat = {**(body.get("sign_info") or {}), **body}
        payload = "".join(flat.get(name) or "" for name in ORDERS[method])
        return {**body, "sp_checksum": self.seal(payload, iv)}

    def push_body(self, **changes: Any) -> dict[str, Any]:
        """Makes the body of a push; a field changed to `...` is left out."""
        body = {
            "transaction_id": str(uuid.uuid4()),
            "sp_service_id": self.service_id,
            "id_num": WANG,
            "op_code": "SIGN",
            "hint": "公文文號：1153000165",
            "time_limit": 60,
            "sign_info": {
                "sign_type": "PKCS#1",
                "sign_data": "RE9DX0RJR0VTVF8xMjM0NTY3ODkw",
                "tbs_encoding": "base64",
                "hash_algorithm": "SHA256",
            },
        }
        return {key: value for key, value in {**body, **changes}.items() if value is not ...}

    def ticket_body(self, **changes: Any) -> dict[str, Any]:
        """Makes the body of a ticket request for a QR code."""
        return self.push_body(**{"op_mode": "I-SCAN", **changes})

    async def post(self, method: str, body: Any) -> tuple[int, Any]:
        """Posts a body as it is and returns status and JSON."""
        url = f"{self.url}/moise/sp/{method}"
        async with self._session.post(url, json=body) as response:
            return response.status, await response.json()

    async def call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Seals and posts a body; the answer must be an envelope."""
        status, answer = await self.post(method, self.signed(method, body))
        assert status == 200
        assert isinstance(answer, dict)
        return answer

    async def push(self, **changes: Any) -> tuple[dict[str, Any], str]:
        """Pushes; returns the body sent and the ticket's id."""
        body = self.push_body(**changes)
        return body, ticket_id_in(await self.call("requestAthOrSignPush", body))

    async def qr(self, **changes: Any) -> tuple[dict[str, Any], str, str]:
        """Asks for a QR ticket; returns the body sent, the ticket's id, and the ticket."""
        body = self.ticket_body(**changes)
        answer = await self.call("getSpTicket", body)
        return body, ticket_id_in(answer), answer["result"]["sp_ticket"]

    async def result(self, body: dict[str, Any], ticket_id: str) -> dict[str, Any]:
        """Asks for the result of a ticket."""
        return await self.call(
            "getAthOrSignResult",
            {
                "transaction_id": body["transaction_id"],
                "sp_service_id": self.service_id,
                "sp_ticket_id": ticket_id,
            },
        )

    async def result_code(self, body: dict[str, Any], ticket_id: str) -> str:
        """Asks for the result and returns its code without prefix."""
        return bare(await self.result(body, ticket_id))


def bare(answer: dict[str, Any]) -> str:
    """Returns an answer's code without its interface."""
    code = str(answer["error_code"])
    return code.split("-", 4)[-1] if code.startswith("SP-API-") else code


def ticket_payload(ticket: str) -> bytes:
    """Returns the JSON inside a ticket."""
    first = ticket.split(".")[0]
    return base64.urlsafe_b64decode(first + "=" * (-len(first) % 4))


def ticket_id_in(answer: dict[str, Any]) -> str:
    """Returns the id inside a ticket that was answered."""
    assert answer["error_code"] == "0", answer
    ticket_id = json.loads(ticket_payload(answer["result"]["sp_ticket"]))["sp_ticket_id"]
    assert isinstance(ticket_id, str)
    return ticket_id


class ControlContract:
    """Holds every answer of the control API against its OpenAPI document."""

    def __init__(self) -> None:
        self.document = _closed(control_document("test"))
        self._validators: dict[tuple[str, str, int], Any] = {}

    def check(self, request: web.BaseRequest, response: web.StreamResponse) -> str | None:
        """Returns what the document lacks or says wrongly about an answer, or None."""
        assert isinstance(request, web.Request)
        assert isinstance(response, web.Response)
        resource = request.match_info.route.resource
        if resource is None:
            return None if response.status in (403, 404, 405) else f"{response.status} unrouted"
        path, method = resource.canonical, request.method.lower()
        said = f"{method} {path} answered {response.status}"
        operation = self.document["paths"].get(path, {}).get(method)
        if operation is None or str(response.status) not in operation["responses"]:
            return f"{said}, which is not documented"
        content = operation["responses"][str(response.status)].get("content")
        if content is None:
            return f"{said} with a body" if response.body else None
        if response.content_type not in content:
            return f"{said} as {response.content_type}"
        key = (method, path, response.status)
        if key not in self._validators:
            schema = content[response.content_type]["schema"]
            self._validators[key] = jsonschema_rs.Draft202012Validator(
                {**schema, "components": self.document["components"]}, validate_formats=True
            )
        found = next(self._validators[key].iter_errors(json.loads(response.text or "")), None)
        return f"{said}: {found.message} at {found.instance_path}" if found else None


def _closed(node: Any) -> Any:
    """Takes every object with named fields to have no others, so that none goes undocumented."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items() if key != "examples"}
    if closed.get("type") == "object" and "properties" in closed:
        closed["additionalProperties"] = False
    return closed


@pytest.fixture(scope="session")
def contract() -> ControlContract:
    """The control API's document, to hold answers against."""
    return ControlContract()


@pytest.fixture(autouse=True)
def every_control_answer_is_documented(
    contract: ControlContract, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """Whatever a test is about: an answer that the OpenAPI document lacks fails it.

    What it lacks is given to tests that want to see it, and take it off the list.
    """
    wrong: list[str] = []
    make = moica_simulator.simulator.create_app

    async def look(request: web.BaseRequest, response: web.StreamResponse) -> None:
        if request.path.startswith("/sim/v1/") and request.method != "HEAD":
            lacking = contract.check(request, response)
            wrong.extend([lacking] if lacking else [])

    def create_app(*arguments: Any) -> web.Application:
        app = make(*arguments)
        app.on_response_prepare.append(look)
        return app

    monkeypatch.setattr(moica_simulator.simulator, "create_app", create_app)
    yield wrong
    assert wrong == []


@pytest.fixture(scope="session")
def keys() -> KeyPool:
    """RSA keys for the whole run."""
    return KeyPool()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still at noon of 115/04/24 in Taipei."""
    return Clock(frozen_at=NOON)


@pytest.fixture
async def sim(keys: KeyPool, clock: Clock) -> AsyncIterator[Simulator]:
    """A running simulator."""
    async with Simulator.start(fast=True, fido2=True, keys=keys, clock=clock) as simulator:
        yield simulator


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def system(sim: Simulator, http: aiohttp.ClientSession) -> RelyingSystem:
    """A relying system that is registered."""
    made = RelyingSystem(sim.url, http, bytes(range(32)))
    await sim.add_service_provider(made.service_id, made.key_base64, "公文線上簽核系統")
    return made


@pytest.fixture
async def phone(sim: Simulator) -> Device:
    """Wang's bound phone."""
    await sim.add_person(WANG, "王小明")
    return await sim.bind_device(WANG, "我的手機")


@pytest.fixture
async def other_phone(sim: Simulator) -> Device:
    """Lee's bound phone."""
    await sim.add_person(LEE, "李大同")
    return await sim.bind_device(LEE, "李的手機", "iOS")


@pytest.fixture
def openssl(tmp_path: Path) -> Callable[..., Awaitable[tuple[int, str]]]:
    """Runs openssl in a folder of its own, off the loop; returns its status and all it said."""

    def run(arguments: str, files: dict[str, bytes]) -> tuple[int, str]:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        done = subprocess.run(
            ["openssl", *arguments.split()], cwd=tmp_path, capture_output=True, check=False
        )
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")

    async def call(arguments: str, **files: bytes) -> tuple[int, str]:
        return await asyncio.to_thread(run, arguments, files)

    return call


@pytest.fixture
def code_of() -> Callable[[dict[str, Any]], str]:
    """Takes an answer's code without its interface."""
    return bare


@pytest.fixture
def relying_system() -> type[RelyingSystem]:
    """The class, for tests that start simulators of their own."""
    return RelyingSystem
