"""NFCSIGN: the citizen card's own key signs, and its own certificate comes back."""

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from moica_simulator import Device, PlatformError, Simulator


async def test_the_card_signs_and_not_the_phone(
    sim: Simulator, system: Any, phone: Device, openssl: Any
) -> None:
    """Its certificate says card, chains to the root, verifies the signature, and stays."""
    seen = []
    for _ in range(2):
        body, ticket_id = await system.push(op_code="NFCSIGN")
        await sim.confirm(phone.id, ticket_id)
        result = (await system.result(body, ticket_id))["result"]
        der = base64.b64decode(result["cert"])
        seen.append(der)
        key = x509.load_der_x509_certificate(der).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        data = base64.b64decode(body["sign_info"]["sign_data"])
        raw = base64.b64decode(result["signed_response"])
        key.verify(raw, data, padding.PKCS1v15(), SHA256())
    der = seen[0]
    assert der == seen[1] != phone.certificate
    assert b"\x13\x04card" in der
    assert b"mobile" not in der
    assert phone.certificate is not None
    assert b"\x13\x06mobile" in phone.certificate
    status, said = await openssl(
        f"verify -CAfile anchors -attime {int(sim.clock.now().timestamp())} cert",
        anchors=sim.anchors_pem.encode(),
        cert=der,
    )
    assert status == 0, said


async def test_somebody_elses_card_ends_the_ticket(
    sim: Simulator, system: Any, phone: Device, other_phone: Device, monkeypatch: Any
) -> None:
    """A card of another person, however well it signs, is CERT_SIGNDATA_MISMATCH."""
    _, other = await system.push(op_code="NFCSIGN", id_num="B123456780")
    await sim.confirm(other_phone.id, other)
    card = sim.state.phone.cards.get("B123456780")

    async def stolen(_: str) -> Any:
        return card

    monkeypatch.setattr(sim.phones, "_card_of", stolen)
    body, ticket_id = await system.push(op_code="NFCSIGN")
    with pytest.raises(PlatformError, match="CERT_SIGNDATA_MISMATCH"):
        await sim.confirm(phone.id, ticket_id)
    assert await system.result_code(body, ticket_id) == "CERT_SIGNDATA_MISMATCH"
