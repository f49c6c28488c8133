"""The whole gateway against the real simulator, in one process: real cryptography, real HTTP."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import logging
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import structlog
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from attrs import define, evolve

from moica_gateway.app import open_gateway
from moica_gateway.client import GatewayClient
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.errors import GatewayError, RequestError
from moica_gateway.outcomes import Expectation, Outcome
from moica_gateway.settings import Settings, TrustSettings, UpstreamSettings
from moica_gateway.stores import migrate
from moica_gateway.telemetry import configure_logging
from moica_gateway.trust import load_certificates, refuse_simulator_ca
from moica_gateway.webhooks import WebhookEvent, WebhookReceiver
from moica_gateway.wire import DocumentRequest
from moica_simulator import Simulator
from tests.postgres import PostgresServer, postgres_or_skip

ID_NUMBER = "A123456789"
AES_KEY = bytes(range(32))
SP = "20261123090000000001"
CONTENT = "檢送本校資訊安全教育訓練實施計畫".encode()
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@define
class Stage:
    """What a test plays with."""

    simulator: Simulator
    client: GatewayClient
    device: str
    folder: Path
    log: io.StringIO
    api_key: str
    events: list[WebhookEvent]
    url: str
    stored: Callable[[], Awaitable[bytes]]

    async def press(self, verb: str) -> str:
        """確認 or 取消; returns the hint."""
        request = await self.simulator.wait_for_request(self.device)
        act = self.simulator.confirm if verb == "confirm" else self.simulator.refuse
        await act(self.device, request.sp_ticket_id)
        return request.hint


@contextlib.contextmanager
def captured_log() -> AsyncIterator[io.StringIO]:  # type: ignore[misc]
    """At DEBUG; the former set-up is put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("DEBUG", "json", stream)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; skips where there is none."""
    yield from postgres_or_skip()


@pytest.fixture(params=["sqlite", "postgresql"])
async def stage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Simulator, gateway on either engine, a webhook receiver."""
    events: list[WebhookEvent] = []
    secret = "whsec_" + base64.b64encode(b"s" * 32).decode()

    async def hook(request: web.Request) -> web.Response:
        events.append(WebhookReceiver(secret).receive(request.headers, await request.read()))
        return web.Response(status=204)

    receiver = web.Application()
    receiver.router.add_post("/hook", hook)
    with captured_log() as log:
        async with (
            Simulator.start(fast=True, fido2=True) as simulator,
            TestServer(receiver) as hooks,
        ):
            settings = write_settings(tmp_path, simulator)
            stored = partial(_files, tmp_path)
            if request.param == "postgresql":
                server = request.getfixturevalue("server")
                settings = evolve(settings, database=server.empty())
                stored = partial(server.dump, settings.database)
            migrate(settings.database_url)
            async with open_gateway(settings) as gateway:
                tenants, tenant = gateway.services.tenants, TenantId("t1")
                await tenants.create_tenant(tenant, "t1", TenantPolicy())
                await tenants.set_service_provider(tenant, SP, Secret(AES_KEY), "k1")
                api_key = await tenants.create_key(tenant, "all", frozenset(Scope), test=True)
                await tenants.add_webhook(tenant, str(hooks.make_url("/hook")), secret, None)
                await simulator.add_person(ID_NUMBER, "王小明")
                await simulator.add_service_provider(SP, base64.b64encode(AES_KEY).decode(), "示範")
                device = await simulator.bind_device(ID_NUMBER, "我的手機")
                async with TestServer(gateway.app) as serving:
                    url = str(serving.make_url("")).rstrip("/")
                    async with GatewayClient(url, api_key) as client:
                        yield Stage(
                            simulator,
                            client,
                            device.id,
                            tmp_path,
                            log,
                            api_key,
                            events,
                            url,
                            stored,
                        )


async def _files(folder: Path) -> bytes:
    """The embedded database as it is on the disk."""
    return await asyncio.to_thread(
        lambda: b"".join(p.read_bytes() for p in sorted(folder.glob("gateway.db*")))
    )


def write_settings(folder: Path, simulator: Simulator) -> Settings:
    """Of the simulator environment."""
    (folder / "anchors.pem").write_text(simulator.anchors_pem)
    pems = simulator.anchors_pem.split("-----END CERTIFICATE-----\n")
    blocks = [pem + "-----END CERTIFICATE-----\n" for pem in pems if "BEGIN" in pem]
    root, intermediates = [], []
    for number, block in enumerate(blocks):
        path = folder / f"ca{number}.pem"
        path.write_text(block)
        done = subprocess.run(
            ["openssl", "x509", "-noout", "-subject_hash", "-issuer_hash", "-in", str(path)],
            capture_output=True,
            check=True,
        )
        subject, issuer = done.stdout.split()
        (root if subject == issuer else intermediates).append(str(path))
    key = folder / "master.key"
    key.write_text(base64.b64encode(b"m" * 32).decode())
    key.chmod(0o600)
    host = simulator.url.removeprefix("http://")
    return Settings(
        environment="simulator",
        data_dir=str(folder),
        upstream=UpstreamSettings(base_url=simulator.url, poll_interval=0.05),
        trust=TrustSettings(
            anchors=tuple(root), intermediates=tuple(intermediates), crl_hosts=(host,)
        ),
    )


async def register(stage: Stage) -> str:
    """A credential's id."""
    begun = await stage.client.begin_registration(
        user_id="u1", id_number=ID_NUMBER, user_name="王小明"
    )
    await stage.press("confirm")
    ended = await stage.client.wait(begun.id, seconds=20)
    assert ended.status == "completed", ended.error
    assert ended.credential is not None
    return ended.credential.id


async def sign(stage: Stage, verb: str = "confirm") -> tuple[str, str, str]:
    """Transaction id, status, hint."""
    begun = await stage.client.begin_signature(
        user_id="u1", document=DocumentRequest(number="1153000165", version="1", sha256=DIGEST)
    )
    hint = await stage.press(verb)
    ended = await stage.client.wait(begun.id, seconds=20)
    return begun.id, ended.status, hint


async def until(stage: Stage, count: int) -> None:
    """So many webhooks have come; each poll of the event loop is a round trip, not a sleep."""
    for _ in range(2000):
        if len(stage.events) >= count:
            return
        await stage.client.credentials("u1")
    raise AssertionError(f"expected {count} webhooks, came {len(stage.events)}")


async def test_register_and_sign_by_push_and_openssl_agrees(stage: Stage) -> None:
    """Registration, signature, artifact, report, webhook: all of it real."""
    await register(stage)
    transaction_id, status, hint = await sign(stage)
    assert status == "completed"
    assert "1153000165" in hint
    artifact = await stage.client.artifact(transaction_id)
    (stage.folder / "s.p7s").write_bytes(artifact.data)
    (stage.folder / "c").write_bytes(CONTENT)
    verify = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades"]
    verify += ["-in", "s.p7s", "-content", "c", "-CAfile", "anchors.pem"]
    done = await asyncio.to_thread(
        subprocess.run,
        verify,
        cwd=stage.folder,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    await until(stage, 2)
    outcome = Outcome.of_event(stage.events[-1])
    expected = Expectation(
        transaction_id=transaction_id,
        kind="signature",
        user_id="u1",
        number="1153000165",
        version="1",
        sha256=DIGEST,
    )
    outcome.assert_matches(expected)
    assert [e.type for e in stage.events] == ["registration.completed", "signature.completed"]


async def test_a_refusal_and_a_cancel_are_endings_of_their_own(stage: Stage) -> None:
    """Each is its own ending."""
    await register(stage)
    assert (await sign(stage, "refuse"))[1] == "rejected"
    begun = await stage.client.begin_signature(
        user_id="u1", document=DocumentRequest(number="1153000166", sha256=DIGEST)
    )
    assert (await stage.client.cancel(begun.id)).status == "cancelled"


async def test_after_two_refusals_push_pauses_and_a_code_signs_and_ends_the_pause(
    stage: Stage,
) -> None:
    """As the SDK sees it; the metrics say which brake held."""
    await register(stage)
    for _ in range(2):
        assert (await sign(stage, "refuse"))[1] == "rejected"
    with pytest.raises(RequestError) as raised:
        await sign(stage)
    problem = raised.value.problem
    assert (problem.code, problem.status, problem.what_helps) == ("push_paused", 429, "qr")
    assert 590 < problem.extra["retry_after"] <= 600
    begun = await stage.client.begin_signature(
        user_id="u1", document=DocumentRequest(number="1153000165", sha256=DIGEST), channel="qr"
    )
    payload = begun.challenges[0].qr_payload
    assert payload is not None
    scanned = await stage.simulator.scan(stage.device, payload)
    await stage.simulator.confirm(stage.device, scanned.sp_ticket_id)
    assert (await stage.client.wait(begun.id, seconds=20)).status == "completed"
    assert (await sign(stage))[1] == "completed"
    async with ClientSession() as session, session.get(f"{stage.url}/metrics") as reply:
        assert 'moica_braked_total{brake="push"} 1.0' in await reply.text()


async def test_an_id_number_that_never_bound_a_phone_gets_its_advice(stage: Stage) -> None:
    """The platform's code, who can act, what helps, and a word for the user."""
    ended = await stage.client.begin_registration(user_id="u9", id_number="B223456782")
    assert ended.status == "failed"
    assert ended.error is not None
    assert (ended.error.code, ended.error.what_helps) == ("device_not_bound", "bind")
    assert ended.error.upstream_code == "IDNUM_USERPROF_NF"
    assert "綁定" in ended.error.user_message["zh-TW"]


async def test_the_simulators_authority_is_refused_outside_the_simulator(stage: Stage) -> None:
    """Each of its certificates says NOT FOR PRODUCTION (security rule 13)."""
    for certificate in load_certificates([stage.folder / "anchors.pem"]):
        with pytest.raises(GatewayError) as raised:
            refuse_simulator_ca([certificate])
        assert raised.value.code == "configuration_invalid"


async def test_another_name_fails_the_registration(stage: Stage) -> None:
    """name_mismatch, and no credential is made."""
    begun = await stage.client.begin_registration(
        user_id="u1", id_number=ID_NUMBER, user_name="王大明"
    )
    await stage.press("confirm")
    ended = await stage.client.wait(begun.id, seconds=20)
    assert ended.error is not None
    assert ended.error.code == "name_mismatch"
    assert await stage.client.credentials("u1") == []


async def test_a_wrong_checksum_of_the_platform_ends_it_and_stores_nothing(stage: Stage) -> None:
    """Never retried."""
    await register(stage)
    await stage.simulator.add_fault("SP-API-ATH-02", tamper="idp_checksum", times=1)
    transaction_id, status, _ = await sign(stage)
    assert status == "failed"
    ended = await stage.client.transaction(transaction_id)
    assert ended.error is not None
    assert ended.error.code == "checksum_invalid"
    with pytest.raises(GatewayError):
        await stage.client.artifact(transaction_id)


async def test_a_debug_run_leaves_no_person_key_or_certificate_behind(stage: Stage) -> None:
    """Searched: every log line and the database; `test_leaks.py` searches the whole folder."""
    await register(stage)
    transaction_id, status, _ = await sign(stage)
    assert status == "completed"
    view = await stage.client.transaction(transaction_id)
    assert view.signature is not None
    certificate = view.signature.certificate.der
    secrets = {
        "ID number": ID_NUMBER.encode(),
        "certificate": certificate[:64],
        "certificate in base64": base64.b64encode(certificate)[:64],
        "AES key": AES_KEY,
        "AES key in base64": base64.b64encode(AES_KEY),
        "API key": stage.api_key.encode(),
    }
    for name in ("sha256", "sha1", "md5"):
        digest = hashlib.new(name, ID_NUMBER.encode(), usedforsecurity=False)
        secrets[f"{name} of the ID number"] = digest.digest()
        secrets[f"{name} of the ID number, hexadecimal"] = digest.hexdigest().encode()
    log = stage.log.getvalue().encode()
    assert b"http.request" in log
    stored = await stage.stored()
    assert b"1153000165" in stored
    found = [name for name, secret in secrets.items() if secret in log or secret in stored]
    assert found == []
