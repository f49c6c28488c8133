"""The load on the simulator: as little work as possible on this side of the wire.

Everything that does not depend on an answer is made before the clock runs, checksums included.
Each connection pushes a window of tickets and then polls them in the same order, as a client with
many open tickets does; a ticket that is not confirmed by then is polled again, and counted.
"""

import asyncio
import base64
import hashlib
import json
import random
import secrets
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["AES_KEY", "PERSONS", "SERVICE_ID", "Load", "Prepared", "Result", "seal"]

AES_KEY = base64.b64encode(bytes(range(32))).decode()
"""An invented key."""
SERVICE_ID = "20261123090000000001"
PERSONS = (
    *("A123456789", "A100000001", "A200000003", "B100000002"),
    *("B200000004", "C100000003", "C200000005", "D100000004"),
)
"""Invented ID numbers, a phone each."""

_CONNECTIONS = 8
_WINDOW = 16
_VERIFY_EACH = 100
_PENDING = "SP-API-ATH-02-SPTKTID_TXNLOG_NF"


@attrs.frozen
class Prepared:
    """One round trip before it is made."""

    transaction_id: str
    document: bytes
    push: bytes
    """The HTTP request, whole."""


@attrs.frozen
class Result:
    """What a load came to: `polls` a round trip would be 1 if no phone were ever late."""

    polls: int


def seal(aes: AESGCM, payload: str) -> str:
    """Makes an `sp_checksum` or `idp_checksum`."""
    iv = random.randbytes(12)  # noqa: S311 - nobody's secret is at stake here
    text = hashlib.sha256(payload.encode()).hexdigest().encode()
    return (iv + aes.encrypt(iv, text, None)).hex()


class Load:
    """A relying system that makes round trips.

    Args:
        host: Of the server.
        port: Of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._aes = AESGCM(base64.b64decode(AES_KEY))
        self._number = 0

    def prepare(self, count: int) -> list[Prepared]:
        """Makes the requests of `count` round trips, each with a document of its own."""
        return [self._prepared() for _ in range(count)]

    async def run(self, prepared: list[Prepared]) -> Result:
        """Makes the round trips.

        Raises:
            RuntimeError: If an answer is not what it should be.
        """
        parts = [prepared[at::_CONNECTIONS] for at in range(_CONNECTIONS)]
        return Result(sum(await asyncio.gather(*(self._connection(each) for each in parts))))

    async def ask_nothing(self, count: int) -> None:
        """Makes as many requests that the bare handler answers with nothing."""
        request = self._request("nothing", {"hint": "." * 400})

        async def connection() -> None:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            for _ in range(count // _CONNECTIONS):
                await _asked(reader, writer, request)
            writer.close()

        await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))

    def _prepared(self) -> Prepared:
        self._number += 1
        person = PERSONS[self._number % len(PERSONS)]
        transaction_id = secrets.token_hex(16)
        document = hashlib.sha256(transaction_id.encode()).digest()
        text, hint = base64.b64encode(document).decode(), f"效能測試第 {self._number} 號公文"
        body = {
            "transaction_id": transaction_id,
            "sp_service_id": SERVICE_ID,
            "id_num": person,
            "op_code": "SIGN",
            "hint": hint,
            "time_limit": "600",
            "sign_info": {
                "sign_type": "PKCS#1",
                "sign_data": text,
                "tbs_encoding": "base64",
                "hash_algorithm": "SHA256",
            },
            "sp_checksum": seal(self._aes, f"{transaction_id}{SERVICE_ID}{person}SIGN{hint}{text}"),
        }
        return Prepared(transaction_id, document, self._request("requestAthOrSignPush", body))

    def _request(self, method: str, body: dict[str, Any]) -> bytes:
        raw = json.dumps(body).encode()
        head = (
            f"POST /moise/sp/{method} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        return head.encode() + raw

    async def _connection(self, prepared: list[Prepared]) -> int:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        polls = 0
        try:
            for at in range(0, len(prepared), _WINDOW):
                window = prepared[at : at + _WINDOW]
                tickets = [
                    _ticket_id(_accepted(await _asked(reader, writer, each.push)))
                    for each in window
                ]
                for each, ticket_id in zip(window, tickets, strict=True):
                    polls += await self._poll(reader, writer, each, ticket_id)
        finally:
            writer.close()
        return polls

    async def _poll(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        asked: Prepared,
        ticket_id: str,
    ) -> int:
        payload = f"{asked.transaction_id}{SERVICE_ID}{ticket_id}"
        request = self._request(
            "getAthOrSignResult",
            {
                "transaction_id": asked.transaction_id,
                "sp_service_id": SERVICE_ID,
                "sp_ticket_id": ticket_id,
                "sp_checksum": seal(self._aes, payload),
            },
        )
        for number in range(1, 1000):
            answer = await _asked(reader, writer, request)
            if answer["error_code"] != _PENDING:
                result = _accepted(answer)
                if asked.document[0] % _VERIFY_EACH == 0:
                    self._verify(asked, result)
                return number
        raise RuntimeError("expected the phone to confirm; a thousand polls found nothing")

    def _verify(self, asked: Prepared, result: dict[str, Any]) -> None:
        """Raises if signature or checksum are wrong, by what a relying system knows."""
        key = x509.load_der_x509_certificate(base64.b64decode(result["cert"])).public_key()
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size != 2048:
            raise RuntimeError("expected the certificate of an RSA-2048 key")
        signature = result["signed_response"]
        key.verify(base64.b64decode(signature), asked.document, padding.PKCS1v15(), hashes.SHA256())
        sealed = bytes.fromhex(result["idp_checksum"])
        payload = f"{asked.transaction_id}0{result['hashed_id_num']}{signature}"
        opened = self._aes.decrypt(sealed[:12], sealed[12:], None).decode()
        if opened != hashlib.sha256(payload.encode()).hexdigest():
            raise RuntimeError("expected an idp_checksum over this answer")


async def _asked(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> dict[str, Any]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    answer: dict[str, Any] = json.loads(await reader.readexactly(length))
    return answer


def _accepted(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("error_code") != "0":
        raise RuntimeError(f"expected success; {answer.get('error_code')!r} came")
    result: dict[str, Any] = answer["result"]
    return result


def _ticket_id(result: dict[str, Any]) -> str:
    first = result["sp_ticket"].partition(".")[0]
    ticket = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return str(ticket["sp_ticket_id"])
