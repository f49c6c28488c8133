"""A holder renews the certificate, before the running gateway and the simulated phone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moica_gateway.client import GatewayClient
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.wire import DocumentRequest, TransactionView
from tests.stage import TENANT, Stage, on_stage

ID_NUMBER = "A123456789"
CONTENT = "同意".encode()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Running; renewals are followed."""
    async with on_stage(tmp_path) as stage:
        await policy(stage, "follow")
        yield stage


async def policy(stage: Stage, certificate_changed: str) -> None:
    """From now on."""
    made = TenantPolicy(certificate_changed=certificate_changed)  # type: ignore[arg-type]
    await stage.gateway.services.tenants.create_tenant(TENANT, "t1", made)


async def registered(stage: Stage, client: GatewayClient, id_number: str, name: str) -> str:
    """The phone of a registered user, which confirms."""
    await stage.simulator.add_person(id_number, name)
    device = await stage.simulator.bind_device(id_number)
    await stage.simulator.set_behaviour(device.id, "confirm")
    begun = await client.begin_registration(user_id="u1", id_number=id_number)
    ended = await client.wait(begun.id, seconds=20)
    assert ended.status == "completed", ended.error
    return device.id


async def signed(client: GatewayClient, form: str = "pkcs1") -> TransactionView:
    """One document."""
    document = DocumentRequest(
        number="1153000165", sha256=hashlib.sha256(CONTENT).hexdigest(), content=CONTENT
    )
    begun = await client.begin_signature(user_id="u1", document=document, format=form)
    return await client.wait(begun.id, seconds=20)


async def renewals(client: GatewayClient) -> list[dict[str, object]]:
    """The events of that type in the feed."""
    found, _ = await client.events(limit=200)
    return [dict(event.data) for event in found if event.type == "credential.renewed"]


def _openssl(folder: Path, certificate: bytes, signature: bytes) -> bool:
    key = x509.load_der_x509_certificate(certificate).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, data in (("key.pem", pem), ("signature", signature), ("content", CONTENT)):
        (folder / name).write_bytes(data)
    verify = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature"]
    done = subprocess.run([*verify, "content"], cwd=folder, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize(
    ("id_number", "name"), [(ID_NUMBER, "王小明"), ("A810000008", "TEST RESIDENT")]
)
async def test_a_renewed_certificate_takes_the_registered_ones_place_once(
    stage: Stage, tmp_path: Path, id_number: str, name: str
) -> None:
    """A citizen's and a foreign resident's: the bare signature completes under the new key, the
    credential follows, and the document system hears of it once, whatever is signed afterwards."""
    async with GatewayClient(stage.url, stage.api_key) as client:
        device = await registered(stage, client, id_number, name)
        (before,) = await client.credentials("u1")
        await stage.simulator.renew(device)
        ended = await signed(client)
        assert ended.status == "completed", ended.error
        (after,) = await client.credentials("u1")
        assert (after.id, after.status) == (before.id, "enabled")
        assert after.fingerprint_sha256 != before.fingerprint_sha256
        renewed = stage.simulator.device(device).certificate
        assert renewed is not None
        assert hashlib.sha256(renewed).hexdigest() == after.fingerprint_sha256
        artifact = await client.artifact(ended.id)
        assert await asyncio.to_thread(_openssl, tmp_path, renewed, artifact.data)
        assert (await signed(client)).status == "completed"
        # From here on every format is signed with the new certificate.
        assert (await signed(client, "cades")).status == "completed"
        (event,) = await renewals(client)
        assert event["credential_id"] == before.id
        assert event["user_id"] == "u1"
        text = str(event)
        assert base64.b64encode(renewed).decode() not in text
        assert name not in text


async def test_with_the_certificate_inside_it_is_always_a_failure(stage: Stage) -> None:
    """Whatever the policy: the old certificate stands in what was signed. The holder registers
    again, and that offers itself by the code."""
    async with GatewayClient(stage.url, stage.api_key) as client:
        device = await registered(stage, client, ID_NUMBER, "王小明")
        (before,) = await client.credentials("u1")
        await stage.simulator.renew(device)
        ended = await signed(client, "cades")
        assert ended.error is not None
        assert (ended.error.code, ended.error.who_can_act) == ("certificate_changed", "holder")
        assert await client.credentials("u1") == [before]
        assert await renewals(client) == []
        begun = await client.begin_registration(user_id="u1", id_number=ID_NUMBER)
        assert (await client.wait(begun.id, seconds=20)).status == "completed"
        assert (await signed(client, "cades")).status == "completed"
        enabled = [c for c in await client.credentials("u1") if c.status == "enabled"]
        assert len(enabled) == 1
        assert enabled[0].id != before.id


async def test_without_the_policy_a_bare_signature_fails_too(stage: Stage) -> None:
    """It is off by default."""
    assert TenantPolicy().certificate_changed == "fail"
    await policy(stage, "fail")
    async with GatewayClient(stage.url, stage.api_key) as client:
        device = await registered(stage, client, ID_NUMBER, "王小明")
        before = await client.credentials("u1")
        await stage.simulator.renew(device)
        ended = await signed(client)
        assert ended.error is not None
        assert ended.error.code == "certificate_changed"
        assert await client.credentials("u1") == before
        assert await renewals(client) == []
