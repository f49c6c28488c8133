"""The platform's FIDO2 side within the simulator: counters, clones, other keys, no private key."""

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives import serialization

from moica_simulator import Clock, Device, PlatformError, Simulator
from moica_simulator.assumptions import FIDO_ORIGIN
from moica_simulator.phone.authenticator import Credential, make_credential
from moica_simulator.platform.relying_party import RegisteredCredential, RelyingParty
from moica_simulator.randomness import Randomness

Response = dict[str, Any]


@pytest.fixture
def still() -> Clock:
    return Clock(frozen_at=datetime(2026, 4, 24, tzinfo=UTC))


@pytest.fixture
def party(still: Clock) -> RelyingParty:
    return RelyingParty(still, Randomness(seed=1))


def register(party: RelyingParty) -> tuple[Credential, RegisteredCredential]:
    """Registers a credential properly."""
    ceremony = party.begin_registration("device", "王小明")
    credential, response = make_credential(
        ceremony.options, origin=FIDO_ORIGIN, randomness=Randomness()
    )
    return credential, party.complete_registration(ceremony.ceremony_id, "device", response)


async def test_every_confirmation_asserts_with_a_higher_counter(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """The platform's counter grows by one with each ticket."""
    for expected in (1, 2, 3):
        _, ticket_id = await system.push()
        await sim.confirm(phone.id, ticket_id)
        profile = sim.state.platform.devices.get(phone.id)
        assert profile is not None
        assert profile.sign_count == expected


async def test_a_cloned_phone_is_refused_and_the_ticket_stays_open(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """A phone restored from a backup gives old counters: PM_INV_SG, and nothing is signed."""
    backup = sim.state.phone.handsets.get(phone.id)
    assert backup is not None
    _, ticket_id = await system.push()
    await sim.confirm(phone.id, ticket_id)
    body, ticket_id = await system.push()
    sim.state.phone.handsets.put(backup)
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "PM_INV_SG"
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"


async def test_a_signature_by_another_key_ends_the_ticket(
    sim: Simulator, system: Any, phone: Device, other_phone: Device
) -> None:
    """The platform checks what the phone signed against its certificate."""
    mine = sim.state.phone.handsets.get(phone.id)
    others = sim.state.phone.handsets.get(other_phone.id)
    assert mine is not None
    assert others is not None
    sim.state.phone.handsets.put(attrs.evolve(mine, signing_key=others.signing_key))
    body, ticket_id = await system.push()
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "CERT_SIGNDATA_MISMATCH"
    assert await system.result_code(body, ticket_id) == "CERT_SIGNDATA_MISMATCH"


async def test_a_signature_that_is_none_ends_the_ticket(
    sim: Simulator, system: Any, phone: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app that sends something that is no base64: CERT_SIGNDATA_ERR, at the app and the poll."""
    monkeypatch.setattr("moica_simulator.phone.signer.sign", lambda *_: ("no base64!",))
    body, ticket_id = await system.push()
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "CERT_SIGNDATA_ERR"
    assert await system.result_code(body, ticket_id) == "CERT_SIGNDATA_ERR"


async def test_the_platform_holds_no_private_key(sim: Simulator, phone: Device) -> None:
    """Of what the platform keeps of a phone, nothing is one of its private keys."""
    handset = sim.state.phone.handsets.get(phone.id)
    profile = sim.state.platform.devices.get(phone.id)
    assert handset is not None
    assert handset.signing_key is not None
    assert handset.credential_key is not None
    assert profile is not None
    kept = b"".join(value for value in attrs.astuple(profile) if isinstance(value, bytes))
    for secret in (handset.signing_key, handset.credential_key):
        assert secret not in kept
        key = serialization.load_der_private_key(secret, None)
        assert not isinstance(key, bytes)
