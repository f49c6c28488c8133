"""The platform's FIDO2 side: a right registration and assertion, and every wrong one refused."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AuthenticatorData, CollectedClientData

from moica_simulator import Clock, Device, PlatformError, Simulator
from moica_simulator.assumptions import FIDO_ORIGIN, FIDO_RP_ID
from moica_simulator.phone.authenticator import Credential, get_assertion, make_credential
from moica_simulator.platform.relying_party import Ceremony, RegisteredCredential, RelyingParty
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


def assertion_with(
    credential: Credential,
    ceremony: Ceremony,
    *,
    origin: str = FIDO_ORIGIN,
    rp_id: str = FIDO_RP_ID,
    kind: str = "webauthn.get",
    challenge: str | None = None,
    flags: int = 0x05,
    counter: int = 1,
) -> Response:
    """Makes a well-signed assertion of which one thing can be wrong."""
    public = ceremony.options["publicKey"]
    client_data = CollectedClientData.create(kind, challenge or public["challenge"], origin)
    auth_data = AuthenticatorData.create(
        hashlib.sha256(rp_id.encode()).digest(), AuthenticatorData.FLAG(flags), counter
    )
    key = serialization.load_der_private_key(credential.private_key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(auth_data + client_data.hash, ec.ECDSA(hashes.SHA256()))
    name = websafe_encode(credential.credential_id)
    return {
        "id": name,
        "rawId": name,
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(client_data),
            "authenticatorData": websafe_encode(auth_data),
            "signature": websafe_encode(signature),
        },
    }


def test_a_right_assertion_raises_the_counter(party: RelyingParty) -> None:
    """Registered with 0; each assertion is taken with the next number."""
    credential, registered = register(party)
    assert registered.sign_count == 0
    for expected in (1, 2):
        ceremony = party.begin_assertion("ticket", registered.data)
        credential, response = get_assertion(credential, ceremony.options, origin=FIDO_ORIGIN)
        count = party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)
        assert count == expected
        registered = attrs.evolve(registered, sign_count=count)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "https://evil.example"},
        {"origin": FIDO_ORIGIN + ":8443"},
        {"rp_id": "evil.example"},
        {"kind": "webauthn.create"},
        {"challenge": websafe_encode(b"another challenge of thirty-two b")},
        {"flags": 0x01},
        {"flags": 0x04},
        {"flags": 0x00},
        {"counter": 0},
    ],
    ids=str,
)
def test_a_wrong_assertion_is_refused(party: RelyingParty, wrong: dict[str, Any]) -> None:
    """Origin, RP id, type, challenge, user verified, user present, counter: each alone."""
    credential, registered = register(party)
    ceremony = party.begin_assertion("ticket", registered.data)
    response = assertion_with(credential, ceremony, **wrong)
    with pytest.raises(PlatformError) as caught:
        party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)
    assert caught.value.code == "PM_INV_SG"


def test_a_counter_that_stands_still_is_refused(party: RelyingParty) -> None:
    """The same counter again is a cloned authenticator's."""
    credential, registered = register(party)
    kept = attrs.evolve(registered, sign_count=5)
    for counter, taken in ((5, False), (4, False), (6, True)):
        ceremony = party.begin_assertion("ticket", kept.data)
        response = assertion_with(credential, ceremony, counter=counter)
        if taken:
            party.complete_assertion(ceremony.ceremony_id, "ticket", kept, response)
            continue
        with pytest.raises(PlatformError):
            party.complete_assertion(ceremony.ceremony_id, "ticket", kept, response)


def test_another_credential_is_refused(party: RelyingParty) -> None:
    """A valid assertion by somebody else's authenticator."""
    _, registered = register(party)
    stranger, _ = register(party)
    ceremony = party.begin_assertion("ticket", registered.data)
    response = assertion_with(stranger, ceremony)
    with pytest.raises(PlatformError):
        party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)


def test_a_signature_over_something_else_is_refused(party: RelyingParty) -> None:
    """One altered bit of the signature."""
    credential, registered = register(party)
    ceremony = party.begin_assertion("ticket", registered.data)
    response = assertion_with(credential, ceremony)
    signature = bytearray(websafe_decode(response["response"]["signature"]))
    signature[-1] ^= 1
    response["response"]["signature"] = websafe_encode(bytes(signature))
    with pytest.raises(PlatformError):
        party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)


def test_a_challenge_is_used_once(party: RelyingParty) -> None:
    """The first answer consumes it, right or wrong; another subject or id has none."""
    credential, registered = register(party)
    ceremony = party.begin_assertion("ticket", registered.data)
    response = assertion_with(credential, ceremony)
    party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)
    with pytest.raises(PlatformError):
        party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)
    again = party.begin_assertion("ticket", registered.data)
    fresh = assertion_with(credential, again, counter=9)
    with pytest.raises(PlatformError):
        party.complete_assertion(again.ceremony_id, "another ticket", registered, fresh)


def test_a_challenge_grows_old(party: RelyingParty, still: Clock) -> None:
    """After a minute it is gone."""
    credential, registered = register(party)
    ceremony = party.begin_assertion("ticket", registered.data)
    response = assertion_with(credential, ceremony)
    still.advance(60)
    with pytest.raises(PlatformError):
        party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"response": {}}, {}),
        ({"response": None}, {}),
        ({"rawId": "!!"}, {}),
        ({"rawId": None}, {}),
        ({"id": "AAAA"}, {}),
        ({}, {"signature": 5}),
        ({}, {"signature": ""}),
        ({}, {"authenticatorData": "AAAA"}),
        ({}, {"clientDataJSON": "e30"}),
        ({}, {"clientDataJSON": "W10"}),
        ({}, {"clientDataJSON": "AAAA"}),
    ],
    ids=str,
)
def test_an_unreadable_assertion_is_refused(
    party: RelyingParty, outer: Response, inner: Response
) -> None:
    """Nothing but the platform's own error comes out."""
    credential, registered = register(party)
    ceremony = party.begin_assertion("ticket", registered.data)
    right = assertion_with(credential, ceremony)
    response = {**right, "response": {**right["response"], **inner}, **outer}
    with pytest.raises(PlatformError) as caught:
        party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)
    assert caught.value.code in ("PM_INV_SG", "PM_SIGDATA_ERR")


@pytest.mark.parametrize("part", ["origin", "challenge", "format", "statement", "subject", "again"])
def test_a_wrong_registration_is_refused(party: RelyingParty, part: str) -> None:
    """Origin, challenge, an attestation that is not the empty none, another subject, twice."""
    ceremony = party.begin_registration("device", "王小明")
    options: Any = ceremony.options
    if part == "challenge":
        options = {"publicKey": {**options["publicKey"], "challenge": websafe_encode(bytes(32))}}
    origin = "https://evil.example" if part == "origin" else FIDO_ORIGIN
    _, response = make_credential(options, origin=origin, randomness=Randomness())
    if part in ("format", "statement"):
        attestation = AttestationObject(websafe_decode(response["response"]["attestationObject"]))
        changed = AttestationObject.create(
            "packed" if part == "format" else "none",
            attestation.auth_data,
            {"alg": -7} if part == "statement" else {},
        )
        response["response"]["attestationObject"] = websafe_encode(changed)
    if part == "again":
        party.complete_registration(ceremony.ceremony_id, "device", response)
    with pytest.raises(PlatformError) as caught:
        party.complete_registration(
            ceremony.ceremony_id, "other" if part == "subject" else "device", response
        )
    assert caught.value.code == "PM_INV_SG"


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
