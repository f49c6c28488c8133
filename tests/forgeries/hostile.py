"""A platform that answers honestly unless it is told to lie; over real HTTP on loopback.

It reads the specification anew: checksum, ticket and signature are its own, and it shares no code
with the gateway. A service provider has a desk of its own, so that the forgeries of one never meet
another. It has no phone: whoever is asked confirms at the first poll. Bodies that no HTTP library
would send are written to the socket as they are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from aiohttp import web
from attrs import define, field, frozen
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moica_gateway.testing.pki import MemoryPki

__all__ = ["NAME", "Desk", "HostilePlatform", "Raw", "Status", "Turn", "segment", "ticket_of"]

NAME: Final = "王小明"
_NOT_FINISHED: Final = {"error_code": "SP-API-ATH-02-SPTKTID_TXNLOG_NF", "error_message": "..."}
_STAGES: Final = {
    "getSpTicket": "ticket",
    "requestAthOrSignPush": "ticket",
    "getAthOrSignResult": "result",
}


@frozen
class Raw:
    """Bytes for the socket, from the status line on; then the connection is cut."""

    data: bytes = field(repr=False)


@frozen
class Status:
    """Another HTTP status, with headers, and with a body that may be a perfect answer."""

    status: int
    body: Any = b""
    headers: Mapping[str, str] = field(factory=dict)


Reply = dict[str, Any] | bytes | Raw | Status
Forge = Callable[["Turn"], Reply]


@define
class Order:
    """What a ticket was made for."""

    body: dict[str, Any]
    mode: str
    ticket: str = ""
    ticket_id: str = ""


@define
class Desk:
    """One service provider with one holder, and what the platform is told to do to them.

    Attributes:
        forge: By stage, what is sent in place of the honest answer; while ``lies`` are left.
        ticket_changes: What the honest ticket says otherwise.
        waits: How many polls are answered "not finished" first.
        asked: Every request, by stage, as it came.
        said: Every honest answer to a poll.
    """

    platform: HostilePlatform = field(repr=False)
    sp_service_id: str
    id_number: str
    aes_key: bytes = field(repr=False, factory=lambda: secrets.token_bytes(32))
    forge: dict[str, Forge] = field(factory=dict)
    lies: int = 1_000_000
    lied: int = 0
    ticket_changes: dict[str, Any] = field(factory=dict)
    waits: int = 0
    asked: list[tuple[str, dict[str, Any]]] = field(factory=list)
    said: list[dict[str, Any]] = field(factory=list)
    orders: dict[str, Order] = field(factory=dict)
    _certificate: bytes | None = None

    @property
    def hashed_id_num(self) -> str:
        """Stable, opaque."""
        return hashlib.sha256(b"platform" + self.id_number.encode()).hexdigest()[:32]

    @property
    def certificate(self) -> bytes:
        """The holder's, good."""
        if self._certificate is None:
            self._certificate = self.holder()
        return self._certificate

    def holder(self, pki: MemoryPki | None = None, **changes: Any) -> bytes:
        """A certificate of this holder but for what is given."""
        base: dict[str, Any] = {
            "last_four": self.id_number[-4:],
            "serial": int.from_bytes(hashlib.sha256(self.id_number.encode()).digest()[:8], "big"),
            "points": ((self.platform.good_crl,),),
        }
        return (pki or self.platform.pki).holder(**{**base, **changes})

    def seal(self, *parts: str, key: bytes | None = None, iv: bytes | None = None) -> str:
        """A checksum, as the specification says."""
        text = hashlib.sha256("".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
        nonce = secrets.token_bytes(12) if iv is None else iv
        return (nonce + AESGCM(key or self.aes_key).encrypt(nonce, text.encode(), None)).hex()

    def reset(self) -> None:
        """Honest again."""
        self.forge, self.ticket_changes = {}, {}
        self.lies, self.lied, self.waits = 1_000_000, 0, 0

    def questions(self, transaction_id: str) -> list[str]:
        """The stages that were asked for in that transaction of ours."""
        return [stage for stage, body in self.asked if body["transaction_id"] == transaction_id]


@frozen
class Turn:
    """One question, with what an answer to it is made of."""

    desk: Desk
    stage: str
    order: Order
    asked: dict[str, Any]

    @property
    def txn(self) -> str:
        """The gateway's transaction_id."""
        return str(self.asked["transaction_id"])

    @property
    def message(self) -> bytes:
        """What the key has to cover."""
        return base64.b64decode(self.order.body["sign_info"]["sign_data"])

    @property
    def own_checksums(self) -> list[str]:
        """Every one that the gateway sent to this desk, oldest first."""
        return [body["sp_checksum"] for _, body in self.desk.asked]

    def honest(self) -> dict[str, Any]:
        """What a good platform says."""
        return self.ticket_answer() if self.stage == "ticket" else self.result()

    # -- results -------------------------------------------------------------------------------

    def signature(
        self,
        message: bytes | None = None,
        key: str = "holder",
        algorithm: hashes.HashAlgorithm | None = None,
    ) -> str:
        """In base64."""
        made = self.desk.platform.pki.sign(
            self.message if message is None else message, key, algorithm
        )
        return base64.b64encode(made).decode()

    def result(self, code: Any = "0", **changes: Any) -> dict[str, Any]:
        """A success with those members; ``...`` leaves one out. The checksum fits what is said."""
        members: dict[str, Any] = {
            "hashed_id_num": self.desk.hashed_id_num,
            "signed_response": self.signature(),
            "cert": base64.b64encode(self.desk.certificate).decode(),
        } | changes
        members = {name: value for name, value in members.items() if value is not ...}
        covered = [_text(members.get(name)) for name in ("hashed_id_num", "signed_response")]
        members.setdefault("idp_checksum", self.desk.seal(self.txn, _text(code), *covered))
        return {"error_code": code, "error_message": "SUCCESS", "result": members}

    def stale(self, **changes: Any) -> dict[str, Any]:
        """A result that was changed on the way: its checksum is the honest one's."""
        honest = self.result()
        return {**honest, "result": {**honest["result"], **changes}}

    def proof(self, certificate: bytes, signature: str | None = None) -> dict[str, Any]:
        """A result with another certificate."""
        return self.result(
            cert=base64.b64encode(certificate).decode(),
            signed_response=signature or self.signature(),
        )

    def code(self, code: Any, checksum: Any = ..., **members: Any) -> dict[str, Any]:
        """Another code than success."""
        if checksum is not ...:
            members["idp_checksum"] = checksum
        return {"error_code": code, "error_message": "...", "result": members}

    # -- tickets -------------------------------------------------------------------------------

    def payload(self, **changes: Any) -> dict[str, Any]:
        """Of the honest ticket but for what is given; ``...`` leaves one out."""
        body = self.order.body
        members = {
            "transaction_id": body["transaction_id"],
            "op_code": body["op_code"],
            "op_mode": self.order.mode,
            "sp_service_id": body["sp_service_id"],
            "sp_ticket_id": self.order.ticket_id,
            "sp_name": segment("公文線上簽核系統".encode()),
            "hint": segment(body["hint"].encode()),
            "expiration_time": "2026-04-29 14:59:11",
            "hashed_id_num": self.desk.hashed_id_num,
            "id_num": body["id_num"],
            "device_user_def_desc": body.get("device_user_def_desc", ""),
            "sign_info": body["sign_info"],
            "version": "1",
        }
        members |= self.desk.ticket_changes | changes
        return {name: value for name, value in members.items() if value is not ...}

    def ticket(self, **changes: Any) -> str:
        """With a digest that fits."""
        return ticket_of(json.dumps(self.payload(**changes), ensure_ascii=False).encode())

    def ticket_answer(self, text: Any = None, code: Any = "0", **changes: Any) -> dict[str, Any]:
        """A success with that ticket; its checksum fits what is said."""
        members: dict[str, Any] = {"sp_ticket": self.order.ticket if text is None else text}
        members = {n: v for n, v in (members | changes).items() if v is not ...}
        covered = _text(members.get("sp_ticket"))
        members.setdefault("idp_checksum", self.desk.seal(self.txn, _text(code), covered))
        return {"error_code": code, "error_message": "SUCCESS", "result": members}

    def stale_ticket(self, **changes: Any) -> dict[str, Any]:
        """A ticket that was changed on the way, with a digest that fits."""
        honest = self.ticket_answer()
        return {**honest, "result": {**honest["result"], "sp_ticket": self.ticket(**changes)}}

    def without_checksum(self) -> dict[str, Any]:
        """The honest answer without it."""
        honest = self.honest()
        members = {k: v for k, v in honest["result"].items() if k != "idp_checksum"}
        return {**honest, "result": members}

    def with_checksum(self, checksum: Any) -> dict[str, Any]:
        """The honest answer with another."""
        honest = self.honest()
        return {**honest, "result": {**honest["result"], "idp_checksum": checksum}}

    def bytes(self) -> bytes:
        """The honest answer, as it is sent."""
        return json.dumps(self.honest(), ensure_ascii=False).encode()


class HostilePlatform:
    """The HTTP side; ``url`` is set once it listens, ``dead`` names a host that does not."""

    def __init__(self) -> None:
        self.url = ""
        self.dead = ""
        self.desks: dict[str, Desk] = {}
        self.crls: dict[str, bytes] = {}
        self.responders: dict[str, Callable[[bytes], bytes]] = {}
        self.strayed = 0
        self.app = web.Application(client_max_size=2**20)
        self.app.router.add_post("/moise/sp/{method}", self._answer)
        self.app.router.add_get("/crl/{name}", self._crl)
        self.app.router.add_post("/ocsp/{name}", self._ocsp)
        self.app.router.add_route("*", "/elsewhere", self._elsewhere)

    @cached_property
    def pki(self) -> MemoryPki:
        """Whose root's list is here, too; asked for once it listens."""
        return MemoryPki(at=datetime.now(UTC), root_crl_url=f"{self.url}/crl/root")

    @property
    def good_crl(self) -> str:
        """Where the honest list is."""
        return f"{self.url}/crl/good"

    def publish(self, name: str, crl: bytes) -> str:
        """Serve a list; its address."""
        self.crls[name] = crl
        return f"{self.url}/crl/{name}"

    def respond(self, name: str, answer: Callable[[bytes], bytes]) -> str:
        """Answer OCSP requests; the address."""
        self.responders[name] = answer
        return f"{self.url}/ocsp/{name}"

    async def _ocsp(self, request: web.Request) -> web.Response:
        answer = self.responders[request.match_info["name"]]
        return web.Response(body=answer(await request.read()))

    async def _crl(self, request: web.Request) -> web.Response:
        body = self.crls.get(request.match_info["name"])
        return web.Response(status=404) if body is None else web.Response(body=body)

    async def _elsewhere(self, request: web.Request) -> web.Response:
        """Where a redirect leads: nobody may ever come."""
        self.strayed += 1
        return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        desk = self.desks[asked["sp_service_id"]]
        stage = _STAGES[request.match_info["method"]]
        if stage == "ticket":
            push = request.match_info["method"] == "requestAthOrSignPush"
            order = Order(asked, "PUSH" if push else asked["op_mode"])
            # Of hexadecimal digits, so that it is base64 as well: a forgery uses that.
            order.ticket_id = secrets.token_hex(16)
            desk.orders[asked["transaction_id"]] = order
        else:
            order = desk.orders[asked["transaction_id"]]
        desk.asked.append((stage, asked))
        turn = Turn(desk, stage, order, asked)
        if stage == "ticket":
            order.ticket = turn.ticket()
        elif desk.waits > 0:
            desk.waits -= 1
            return await _send(request, _NOT_FINISHED)
        forge = desk.forge.get(stage)
        if forge is not None and desk.lied < desk.lies:
            desk.lied += 1
            return await _send(request, forge(turn))
        honest = turn.honest()
        if stage == "result":
            desk.said.append(honest)
        return await _send(request, honest)


async def _send(request: web.Request, reply: Reply) -> web.StreamResponse:
    if isinstance(reply, Raw):
        assert request.transport is not None
        request.transport.write(reply.data)
        request.transport.close()
        return web.Response()
    status = reply if isinstance(reply, Status) else Status(200, reply)
    body = status.body
    if isinstance(body, dict):
        # A lone surrogate goes out as the escape that names it.
        body = json.dumps(body, ensure_ascii=True).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", **status.headers}
    return web.Response(status=status.status, body=body, headers=headers)


def segment(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def ticket_of(payload: bytes) -> str:
    """A ticket with that inside."""
    first = segment(payload)
    return f"{first}.{segment(hashlib.sha256(first.encode()).digest())}"


def _text(value: Any) -> str:
    """How a lenient signer would join it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
