"""Authentications against the simulated platform and phone: certificate, bare ATH, QR, refusal."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from moica_gateway.client import GatewayClient
from moica_gateway.domain.values import TransactionId
from moica_gateway.services.prepared import prepared_from_blob
from tests.stage import TENANT, on_stage

ID_NUMBER = "A123456789"
STRANGER = "B223456782"


async def test_who_is_there(tmp_path: Path) -> None:
    """A registered user signs a challenge whose signature verifies; an ID number, registered or
    not, is taken at the platform's word; each result says which it was."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        for number, name in ((ID_NUMBER, "王小明"), (STRANGER, "陳小華")):
            await stage.simulator.add_person(number, name)
            device = await stage.simulator.bind_device(number, "我的手機")
            await stage.simulator.set_behaviour(device.id, "confirm")
        registered = await client.begin_registration(user_id="u1", id_number=ID_NUMBER)
        assert (await client.wait(registered.id, seconds=20)).status == "completed"

        begun = await client.begin_authentication(user_id="u1")
        done = await client.wait(begun.id, seconds=20)
        assert (done.status, done.assurance, done.kind) == (
            "completed",
            "certificate",
            "authentication",
        ), done.error
        assert done.signature is not None
        artifact = await client.artifact(done.id)
        key = x509.load_der_x509_certificate(done.signature.certificate.der).public_key()
        assert isinstance(key, RSAPublicKey)
        stored = await stage.gateway.store.read(
            lambda uow: uow.transaction(TENANT, TransactionId(done.id))
        )
        assert stored is not None
        blob_id = stored.documents[0].prepared
        assert blob_id is not None
        blob = await stage.gateway.store.read(lambda uow: uow.blobs.get(TENANT, blob_id))
        message = prepared_from_blob(blob).message.message
        assert message.startswith(b"moica-gateway statement v1: authentication\n")
        key.verify(artifact.data, message, PKCS1v15(), SHA256())

        for number in (ID_NUMBER, STRANGER):
            bare = await client.begin_authentication(id_number=number)
            done = await client.wait(bare.id, seconds=20)
            assert (done.status, done.assurance) == ("completed", "platform"), done.error
            assert done.signature is None
            assert number not in str(done.to_json())
        events, _ = await client.events()
        assert [e.type for e in events] == [
            "registration.completed",
            *["authentication.completed"] * 3,
        ]


async def test_a_bare_authentication_is_refused_and_asked_again_by_qr(tmp_path: Path) -> None:
    """The holder's no is an outcome; a code that is scanned is as good as a push."""
    async with on_stage(tmp_path) as stage, GatewayClient(stage.url, stage.api_key) as client:
        await stage.simulator.add_person(ID_NUMBER, "王小明")
        device = await stage.simulator.bind_device(ID_NUMBER, "我的手機")
        await stage.simulator.set_behaviour(device.id, "refuse")
        begun = await client.begin_authentication(id_number=ID_NUMBER)
        done = await client.wait(begun.id, seconds=20)
        assert (done.status, done.assurance) == ("rejected", None)
        await stage.simulator.set_behaviour(device.id, "confirm")
        begun = await client.begin_authentication(id_number=ID_NUMBER, channel="qr")
        payload = begun.challenges[0].qr_payload
        assert payload is not None
        await stage.simulator.scan(device.id, payload)
        done = await client.wait(begun.id, seconds=20)
        assert (done.status, done.assurance) == ("completed", "platform")
