"""What a DEBUG run leaves behind: every log line, and every file of the gateway's data folder.

The data folder holds nothing but what the gateway wrote; anchors and master key lie beside it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import structlog
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from moica_gateway.app import open_gateway
from moica_gateway.client import GatewayClient
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.services.bundle import Services
from moica_gateway.settings import Settings, TrustSettings, UpstreamSettings
from moica_gateway.stores import migrate
from moica_gateway.telemetry import configure_logging
from moica_gateway.wire import DocumentRequest
from moica_simulator import Simulator

ID_NUMBER = "A123456789"
AES_KEY = bytes(range(100, 132))
MASTER_KEY = bytes(range(7, 39))
SP = "20261123090000000001"
_PIECE = 24


@contextlib.contextmanager
def captured_log() -> Iterator[io.StringIO]:
    """At DEBUG; the former set-up is put back."""
    root = logging.getLogger()
    levels = {n: logging.getLogger(n).level for n in ("sqlalchemy", "aiohttp.access", "asyncio")}
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("DEBUG", "json", stream)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        structlog.reset_defaults()


def settings_in(folder: Path, simulator: Simulator) -> Settings:
    """Of the simulator environment; the data folder is ``folder/data``."""
    (folder / "data").mkdir()
    paths: dict[bool, list[str]] = {True: [], False: []}
    certificates = x509.load_pem_x509_certificates(simulator.anchors_pem.encode())
    for number, certificate in enumerate(certificates):
        path = folder / f"ca{number}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[certificate.subject == certificate.issuer].append(str(path))
    key = folder / "master.key"
    key.write_text(base64.b64encode(MASTER_KEY).decode())
    key.chmod(0o600)
    return Settings(
        environment="simulator",
        data_dir=str(folder / "data"),
        master_key_file=str(key),
        upstream=UpstreamSettings(base_url=simulator.url, poll_interval=0.05),
        trust=TrustSettings(
            anchors=tuple(paths[True]),
            intermediates=tuple(paths[False]),
            crl_hosts=(simulator.url.removeprefix("http://"),),
        ),
    )


def pieces(der: bytes) -> set[bytes]:
    """Pieces of modulus and signature, which are this certificate's alone.

    Raw, hexadecimal, and base64 in each of the three alignments, as inside of a larger text.
    """
    certificate = x509.load_der_x509_certificate(der)
    numbers = certificate.public_key().public_numbers()  # type: ignore[union-attr]
    modulus = numbers.n.to_bytes(256, "big")  # type: ignore[union-attr]
    raw = {
        part[start : start + _PIECE]
        for part in (modulus, certificate.signature)
        for start in range(0, len(part) - _PIECE, _PIECE)
    }
    found = set(raw)
    for part in raw:
        found |= {part.hex().encode(), part.hex().upper().encode()}
        found |= {base64.b64encode(part[skip : skip + 18]) for skip in range(3)}
    return found


def forms(name: str, secret: bytes) -> dict[str, bytes]:
    """As it is, in hexadecimal, and in base64."""
    return {
        name: secret,
        f"{name}, hexadecimal": secret.hex().encode(),
        f"{name}, base64": base64.b64encode(secret).rstrip(b"="),
        f"{name}, base64url": base64.urlsafe_b64encode(secret).rstrip(b"="),
    }


def searched_for(der: bytes, api_key: str) -> dict[str, bytes]:
    """By name, what must be found nowhere."""
    found = forms("ID number", ID_NUMBER.encode()) | forms("AES key", AES_KEY)
    found |= forms("master key", MASTER_KEY) | forms("API key", api_key.encode())
    found["API key without its prefix"] = api_key.removeprefix("mgk_test_").encode()
    for name in ("sha256", "sha1", "md5"):
        for text in (ID_NUMBER, ID_NUMBER.lower()):
            digest = hashlib.new(name, text.encode(), usedforsecurity=False).digest()
            found |= forms(f"{name} of {'the' if text == ID_NUMBER else 'a small'} ID", digest)
    found["API key, plain sha256"] = hashlib.sha256(api_key.encode()).digest()
    return found | {f"certificate, piece {n}": p for n, p in enumerate(sorted(pieces(der)))}


def leaks(secrets: dict[str, bytes], places: dict[str, bytes]) -> list[str]:
    """Which secret was found where."""
    return [
        f"{what} in {where}"
        for where, data in places.items()
        for what, secret in secrets.items()
        if secret in data
    ]


async def test_the_log_and_the_data_folder_name_nobody(tmp_path: Path) -> None:
    """While it runs and after it has stopped, no secret is in any form in any file or log line."""
    with captured_log() as log:
        async with Simulator.start(fast=True) as simulator:
            settings = settings_in(tmp_path, simulator)
            migrate(settings.database_url)
            async with open_gateway(settings) as gateway:
                tenants, tenant = gateway.services.tenants, TenantId("t1")
                await tenants.create_tenant(tenant, "t1", TenantPolicy())
                await tenants.set_service_provider(tenant, SP, Secret(AES_KEY), "k1")
                api_key = await tenants.create_key(tenant, "all", frozenset(Scope), test=True)
                await simulator.add_service_provider(SP, base64.b64encode(AES_KEY).decode(), "示範")
                await simulator.add_person(ID_NUMBER, "王小明")
                device = await simulator.bind_device(ID_NUMBER, "我的手機")
                await simulator.set_behaviour(device.id, "confirm")
                async with TestServer(gateway.app) as server:
                    url = str(server.make_url("")).rstrip("/")
                    async with GatewayClient(url, api_key) as client:
                        begun = await client.begin_registration(
                            user_id="u1", id_number=ID_NUMBER, user_name="王小明"
                        )
                        ended = await client.wait(begun.id, seconds=20)
                        assert ended.status == "completed", ended.error
                        begun = await client.begin_signature(
                            user_id="u1",
                            document=DocumentRequest(number="1153000165", sha256="0" * 64),
                        )
                        ended = await client.wait(begun.id, seconds=20)
                        assert ended.status == "completed", ended.error
                        assert ended.signature is not None
                        der = ended.signature.certificate.der
                        begun = await client.begin_authentication(id_number=ID_NUMBER)
                        ended = await client.wait(begun.id, seconds=20)
                        assert ended.assurance == "platform", ended.error
                        # Left open: its form lies in the database, with whom it expects.
                        begun = await client.begin_authentication(
                            id_number=ID_NUMBER, channel="redirect"
                        )
                        assert begun.challenges[0].form
                        await callback(url, begun.challenges[0].form["fields"]["transaction_id"])
                running = places_of(settings, log)
                running["audit export"] = await exported(gateway.services, tenant)
    secrets = searched_for(der, api_key)
    assert len(secrets) > 100
    # A shorter one is found by chance.
    assert min(len(secret) for secret in secrets.values()) >= 10
    # The search finds what is there: otherwise it would prove nothing.
    assert b"http.request" in running["log"]
    assert any(b"1153000165" in data for name, data in running.items() if name != "log")
    assert leaks(secrets, {"itself": der})
    assert leaks(secrets, {"itself": base64.b64encode(b"x" + der)})
    assert leaks(secrets, running) == []
    # Kept for good, so it says of nobody who they are either.
    people = {"name": "王小明".encode(), "name, escaped": b"\\u738b", "device": "手機".encode()}
    people |= {"user": b'"u1"', "masked": b"******"}
    assert running["audit export"].count(b'"type":"record"') > 10
    assert leaks(people, {"audit": running["audit export"]}) == []
    assert leaks(secrets, places_of(settings, log)) == []


async def exported(services: Services, tenant: TenantId) -> bytes:
    """The audit record, sealed."""
    lines: list[str] = []
    await services.sealing.seal(tenant)
    await services.audit.export(tenant, lines.append)
    assert (await services.audit.verify(tenant)).findings == ()
    return "\n".join(lines).encode()


async def callback(url: str, transaction_id: str) -> None:
    """A stranger's, that names the person."""
    form = {"transaction_id": transaction_id, "error_code": "0", "id_num": ID_NUMBER}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/callbacks/moi/t1", data=form) as reply,
    ):
        assert reply.status == 200


def places_of(settings: Settings, log: io.StringIO) -> dict[str, bytes]:
    """The log and every file below the data folder."""
    folder = Path(settings.data_dir)
    files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    return {"log": log.getvalue().encode(), **{n: p.read_bytes() for n, p in files.items()}}
