"""A platform of the tests' own: it reads the specification anew and shares no code with ours."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moica_gateway.domain.models import Begin, Begun, Channel, Handle, ServiceProvider, SpKey
from moica_gateway.domain.values import IdNumber, Secret, Tbs
from moica_gateway.protocols.twfido import TwFidoUpstream
from moica_gateway.testing.egress import RecordingEgress

BASE = "https://platform.test"
WEB = "https://web.platform.test"
TXN = "41570c02-5226-4d2e-8391-839ed31123cf"
SERVICE = "20261123090000000001"
TICKET_ID = "3f0e2a9c-7a51-4cf8-9a53-0d1b6f7f2f10"
HINT = "公文文號：1153000165"
HASHED = "b1946ac92492d2347c6235b4d2611184"
KEY = bytes(range(3, 3 + 32))
PREVIOUS_KEY = bytes(range(100, 132))
STRANGE_KEY = bytes(range(200, 232))
CERT = base64.b64encode(b"0\x82\x01\x00" + b"c" * 256).decode()
SIGNATURE = base64.b64encode(b"s" * 256).decode()


class FixedClock:
    """Stands still."""

    def __init__(self) -> None:
        self.at = datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing in this room waits")


class CountingRandom:
    """Never the same bytes twice."""

    def __init__(self) -> None:
        self.count = 0

    def token_bytes(self, count: int) -> bytes:
        self.count += 1
        return hashlib.sha256(str(self.count).encode()).digest()[:count]

    def uuid4(self) -> UUID:
        return UUID(bytes=self.token_bytes(16), version=4)

    def below(self, limit: int) -> int:
        return self.token_bytes(1)[0] % limit


def checksum(payload: str, *, key: bytes = KEY, iv: bytes | None = None) -> str:
    """As the specification says, in one line."""
    nonce = hashlib.sha256(b"iv" + payload.encode()).digest()[:12] if iv is None else iv
    text = hashlib.sha256(payload.encode()).hexdigest().encode()
    return (nonce + AESGCM(key).encrypt(nonce, text, None)).hex()


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Platform:
    """Makes answers; everything may be bent."""

    def __init__(self) -> None:
        self.egress = RecordingEgress()
        self.clock = FixedClock()
        self.random = CountingRandom()
        self.alarms: list[tuple[str, dict[str, str]]] = []
        self.upstream = TwFidoUpstream(
            BASE,
            self.egress,
            self.clock,
            self.random,
            4.0,
            self.alarm,
        )
        self.wide = self.made()

    def alarm(self, event: str, fields: Mapping[str, str]) -> None:
        self.alarms.append((event, dict(fields)))

    def made(self, **changes: Any) -> TwFidoUpstream:
        """An upstream of its own; without changes one that speaks all of the protocol."""
        values: dict[str, Any] = {"random": self.random, "web_base_url": f"{WEB}/", "raw": True}
        values |= changes
        random = values.pop("random")
        return TwFidoUpstream(BASE, self.egress, self.clock, random, 4.0, self.alarm, **values)

    BASE, WEB = BASE, WEB
    TXN, SERVICE, TICKET_ID, HINT, HASHED = TXN, SERVICE, TICKET_ID, HINT, HASHED
    KEY, PREVIOUS_KEY, STRANGE_KEY = KEY, PREVIOUS_KEY, STRANGE_KEY
    CERT, SIGNATURE = CERT, SIGNATURE
    checksum = staticmethod(checksum)
    segment = staticmethod(segment)

    def url(self, method: str) -> str:
        return f"{BASE}/moise/sp/{method}"

    @property
    def provider(self) -> ServiceProvider:
        return ServiceProvider(
            sp_service_id=SERVICE,
            keys=(
                SpKey(id="key-2", key=Secret(KEY), current=True),
                SpKey(id="key-1", key=Secret(PREVIOUS_KEY), current=False),
            ),
        )

    def asked(self, channel: Channel = Channel.PUSH, **changes: Any) -> Begin:
        values: dict[str, Any] = {
            "service_provider": self.provider,
            "upstream_transaction_id": TXN,
            "channel": channel,
            "id_number": IdNumber.parse("A123456789"),
            "hint": HINT,
            "time_limit": 60,
            "messages": (Tbs(b"DOC_DIGEST_1234567890"),),
            "device_name": None,
        }
        return Begin(**(values | changes))

    def ticket_payload(self, **changes: Any) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "transaction_id": TXN,
            "op_code": "SIGN",
            "op_mode": "PUSH",
            "sp_service_id": SERVICE,
            "sp_ticket_id": TICKET_ID,
            "sp_name": segment("公文線上簽核系統".encode()),
            "hint": HINT,
            "expiration_time": "2026-04-29 14:59:11",
            "hashed_id_num": HASHED,
            "version": "1",
        }
        payload |= changes
        return {name: value for name, value in payload.items() if value is not ...}

    def ticket(self, **changes: Any) -> str:
        return self.ticket_of(json.dumps(self.ticket_payload(**changes)).encode())

    def ticket_of(self, payload: bytes) -> str:
        first = segment(payload)
        return f"{first}.{segment(hashlib.sha256(first.encode()).digest())}"

    def ticket_answer(self, ticket: str | None = None, **result: Any) -> dict[str, Any]:
        text = self.ticket() if ticket is None else ticket
        members = {"sp_ticket": text, "idp_checksum": checksum(f"{TXN}0{text}")} | result
        return {"error_code": "0", "error_message": "SUCCESS", "result": members}

    def result_answer(self, *, error_code: Any = "0", **result: Any) -> dict[str, Any]:
        members = {
            "hashed_id_num": HASHED,
            "signed_response": SIGNATURE,
            "cert": CERT,
            "idp_checksum": checksum(f"{TXN}0{HASHED}{SIGNATURE}"),
        }
        members = {n: v for n, v in (members | result).items() if v is not ...}
        return {"error_code": error_code, "error_message": "SUCCESS", "result": members}

    def handle(self, **changes: Any) -> Handle:
        values: dict[str, Any] = {
            "transaction_id": TXN,
            "ticket": self.ticket(),
            "ticket_id": TICKET_ID,
            "sp_key_id": "key-2",
            "sent_checksums": (checksum("what begin sent", iv=b"begin-iv-012"),),
            "hashed_id_num": HASHED,
            "extra": {"wake_up": "wake-1"},
        }
        return Handle(**(values | changes))

    def form(self, *, covered: str | None = None, **fields: Any) -> bytes:
        """WEB-01's callback of a signature; the checksum fits the fields unless it is given."""
        members: dict[str, Any] = {
            "transaction_id": TXN,
            "error_code": "0",
            "id_num": "A123456789",
            "signed_response": SIGNATURE,
            "cert": CERT,
        }
        members |= {n: v for n, v in fields.items() if n != "idp_checksum"}
        members = {n: v for n, v in members.items() if v is not ...}
        if covered is None:
            names = ("error_code", "id_num", "signed_response")
            covered = TXN + "".join(members.get(name, "") for name in names)
        own = fields.get("idp_checksum", checksum(covered))
        if own is not ...:
            members["idp_checksum"] = own
        return urlencode(members).encode()

    async def begun(self, channel: Channel = Channel.PUSH) -> Begun:
        """A real beginning, for what stands in the handle afterwards."""
        mode = {Channel.PUSH: "PUSH", Channel.QR: "I-SCAN", Channel.APP_LINK: "MWEB2APP"}[channel]
        method = "requestAthOrSignPush" if channel is Channel.PUSH else "getSpTicket"
        self.egress.reply_json(self.url(method), self.ticket_answer(self.ticket(op_mode=mode)))
        result = await self.upstream.begin(self.asked(channel))
        assert isinstance(result, Begun), result
        return result


@pytest.fixture
def platform() -> Platform:
    """A platform and an upstream that talks to it."""
    return Platform()


@pytest.fixture(scope="session")
def vectors() -> Mapping[str, Any]:
    """Made with Node.js crypto, independently of any Python implementation."""
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
    return loaded
