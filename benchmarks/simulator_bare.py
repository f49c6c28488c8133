"""What nobody can do without: aiohttp, two checksums a request, one RSA-2048 signature a trip.

It answers as the platform would and checks nothing but the checksum: the measure that the
simulator is held against.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.simulator_load import AES_KEY, seal

__all__ = ["serving"]

_PUSHED = (
    *("transaction_id", "sp_service_id", "id_num", "device_user_def_desc", "op_code", "hint"),
    "sign_data",
)
_POLLED = ("transaction_id", "sp_service_id", "sp_ticket_id")


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serves on a free port of 127.0.0.1, which it yields."""
    app = web.Application()
    bare = _Bare()
    app.add_routes(
        [
            web.post("/moise/sp/requestAthOrSignPush", bare.push),
            web.post("/moise/sp/getAthOrSignResult", bare.result),
            web.post("/moise/sp/nothing", _nothing),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _nothing(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response({})


class _Bare:
    def __init__(self) -> None:
        self._aes = AESGCM(base64.b64decode(AES_KEY))
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = base64.b64encode(_certificate(self._key)).decode()
        self._documents: dict[str, bytes] = {}

    async def push(self, request: web.Request) -> web.Response:
        """Notes what is to be signed."""
        body = await self._opened(request, _PUSHED)
        transaction_id = body["transaction_id"]
        self._documents[transaction_id] = base64.b64decode(body["sign_info"]["sign_data"])
        first = base64.urlsafe_b64encode(
            json.dumps({**body, "sp_ticket_id": transaction_id}).encode()
        )
        digest = base64.urlsafe_b64encode(hashlib.sha256(first).digest())
        ticket = f"{first.decode()}.{digest.decode()}"
        return self._sealed({"sp_ticket": ticket}, f"{transaction_id}0{ticket}")

    async def result(self, request: web.Request) -> web.Response:
        """Signs it."""
        body = await self._opened(request, _POLLED)
        document = self._documents.pop(body["transaction_id"])
        signature = base64.b64encode(
            self._key.sign(document, padding.PKCS1v15(), hashes.SHA256())
        ).decode()
        result = {
            "hashed_id_num": "0" * 64,
            "signed_response": signature,
            "cert": self._certificate,
        }
        payload = f"{body['transaction_id']}0{result['hashed_id_num']}{signature}"
        return self._sealed(result, payload)

    async def _opened(self, request: web.Request, fields: tuple[str, ...]) -> Any:
        body = json.loads(await request.read())
        flat = {**body, **body.get("sign_info", {})}
        payload = "".join(flat.get(name, "") for name in fields)
        sealed = bytes.fromhex(body["sp_checksum"])
        opened = self._aes.decrypt(sealed[:12], sealed[12:], None)
        if not hmac.compare_digest(opened.decode(), hashlib.sha256(payload.encode()).hexdigest()):
            raise web.HTTPBadRequest
        return body

    def _sealed(self, result: dict[str, str], payload: str) -> web.Response:
        return web.json_response(
            {
                "error_code": "0",
                "error_message": "SUCCESS",
                "result": {**result, "idp_checksum": seal(self._aes, payload)},
            }
        )


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
