"""Two clients of the platform that the gateway is held against; both verify as little as they may.

`BareClient` makes the protocol's calls and nothing else: one push, one poll once the phone has
confirmed (it knows when: nothing else does), over connections kept alive. `LoopClient` is written
as many are: a connection a call, a loop with a sleep a transaction.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import uuid
from types import TracebackType
from typing import Any, Self

import aiohttp
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.gateway_setup import AES_KEY, SERVICE_ID

__all__ = ["BareClient", "LoopClient"]

_CONFIRMED = 0.05
"""Seconds after which a simulated phone that confirms by itself has done so."""
_NOT_YET = "SP-API-ATH-02-SPTKTID_TXNLOG_NF"


class _Client:
    """What both do: checksums, bodies, a document of its own a signature."""

    def __init__(self, url: str, interval: float, people: list[str]) -> None:
        self._url, self._interval = url, interval
        self._people: asyncio.Queue[str] = asyncio.Queue()
        for person in people:
            self._people.put_nowait(person)
        self._aes = AESGCM(AES_KEY)

    async def sign(self, count: int) -> None:
        """So many signatures, as many at once as there are people."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(count):
                tasks.create_task(self._one())

    async def _one(self) -> None:
        person = await self._people.get()
        try:
            await self._transaction(person)
        finally:
            self._people.put_nowait(person)

    async def _transaction(self, person: str) -> None:
        raise NotImplementedError

    def _push(self, person: str, transaction_id: str) -> dict[str, Any]:
        data = base64.b64encode(secrets.token_bytes(300)).decode()
        hint = "公文文號：1153000001 驗證碼：42"
        return {
            "transaction_id": transaction_id,
            "sp_service_id": SERVICE_ID,
            "id_num": person,
            "op_code": "SIGN",
            "hint": hint,
            "time_limit": "60",
            "sign_info": {
                "sign_type": "PKCS#1",
                "sign_data": data,
                "tbs_encoding": "base64",
                "hash_algorithm": "SHA256",
            },
            "sp_checksum": self._sealed(f"{transaction_id}{SERVICE_ID}{person}SIGN{hint}{data}"),
        }

    def _poll(self, transaction_id: str, ticket: str) -> dict[str, Any]:
        ticket_id = _ticket_id(ticket)
        return {
            "transaction_id": transaction_id,
            "sp_service_id": SERVICE_ID,
            "sp_ticket_id": ticket_id,
            "sp_checksum": self._sealed(f"{transaction_id}{SERVICE_ID}{ticket_id}"),
        }

    def _sealed(self, payload: str) -> str:
        iv = secrets.token_bytes(12)
        text = hashlib.sha256(payload.encode()).hexdigest().encode()
        return (iv + self._aes.encrypt(iv, text, None)).hex()

    def _opened(self, answer: dict[str, Any], transaction_id: str) -> None:
        """Raises unless its ``idp_checksum`` is over this answer."""
        result = answer["result"]
        sealed = bytes.fromhex(result["idp_checksum"])
        covered = f"{transaction_id}0{result['hashed_id_num']}{result['signed_response']}"
        opened = self._aes.decrypt(sealed[:12], sealed[12:], None).decode()
        if opened != hashlib.sha256(covered.encode()).hexdigest():
            raise RuntimeError("expected an idp_checksum over this answer")


def _ticket_id(ticket: str) -> str:
    first = ticket.partition(".")[0]
    payload = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return str(payload["sp_ticket_id"])


class BareClient(_Client):
    """See the module."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def _transaction(self, person: str) -> None:
        transaction_id = str(uuid.uuid4())
        pushed = await self._ask("requestAthOrSignPush", self._push(person, transaction_id))
        await asyncio.sleep(_CONFIRMED)
        poll = self._poll(transaction_id, pushed["result"]["sp_ticket"])
        answer = await self._ask("getAthOrSignResult", poll)
        while answer["error_code"] == _NOT_YET:
            answer = await self._ask("getAthOrSignResult", poll)
        self._opened(answer, transaction_id)

    async def _ask(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(f"{self._url}/moise/sp/{method}", json=body) as response:
            answer: dict[str, Any] = await response.json()
            return answer


class LoopClient(_Client):
    """See the module."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    async def _transaction(self, person: str) -> None:
        transaction_id = str(uuid.uuid4())
        pushed = await self._ask("requestAthOrSignPush", self._push(person, transaction_id))
        while True:
            await asyncio.sleep(self._interval)
            poll = self._poll(transaction_id, pushed["result"]["sp_ticket"])
            answer = await self._ask("getAthOrSignResult", poll)
            if answer["error_code"] != _NOT_YET:
                break
        self._opened(answer, transaction_id)

    async def _ask(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self._url}/moise/sp/{method}", json=body) as response,
        ):
            answer: dict[str, Any] = await response.json()
            return answer
