"""Every wrong FIDO2 registration and assertion is refused by the platform, each for one reason."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fido2 import cbor
from fido2.cose import ES256, ES384, RS256, CoseKey, EdDSA
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from moica_simulator import Clock, KeyPool, PlatformError, Simulator
from moica_simulator.assumptions import FIDO_ORIGIN, FIDO_RP_ID
from moica_simulator.ca.profile import CertificateShape
from moica_simulator.phone.authenticator import Credential, get_assertion, make_credential
from moica_simulator.phone.signing_key import TwoPrimeKey, certificate_request
from moica_simulator.platform.relying_party import Ceremony, RegisteredCredential, RelyingParty
from moica_simulator.randomness import Randomness

Response = dict[str, Any]
START = datetime(2026, 4, 24, tzinfo=UTC)
UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40
ID = bytes(range(32))


@pytest.fixture
def still() -> Clock:
    return Clock(frozen_at=START)


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


def refusal(asked: Callable[[], object]) -> str:
    """Asks for what must be refused, and returns the platform's code."""
    with pytest.raises(PlatformError) as caught:
        asked()
    return caught.value.code


def es256_key() -> CoseKey:
    return ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())


def registration_with(
    ceremony: Ceremony,
    *,
    origin: str = FIDO_ORIGIN,
    rp_id: str = FIDO_RP_ID,
    kind: str = "webauthn.create",
    challenge: str | None = None,
    flags: int = UP | UV | AT,
    key: Callable[[], CoseKey] = es256_key,
    credential_id: bytes = ID,
    named_id: bytes | None = None,
    fmt: str = "none",
    statement: Response | None = None,
    cross_origin: bool = False,
) -> Response:
    """Makes a registration of which one thing can be wrong."""
    public = ceremony.options["publicKey"]
    client_data = CollectedClientData.create(
        kind, public["challenge"] if challenge is None else challenge, origin, cross_origin
    )
    attested = AttestedCredentialData.create(Aaguid.NONE, credential_id, key())
    auth_data = AuthenticatorData.create(
        hashlib.sha256(rp_id.encode()).digest(),
        AuthenticatorData.FLAG(flags),
        0,
        attested if flags & AT else b"",
    )
    name = websafe_encode(credential_id if named_id is None else named_id)
    return {
        "id": name,
        "rawId": name,
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(client_data),
            "attestationObject": websafe_encode(
                AttestationObject.create(fmt, auth_data, statement or {})
            ),
        },
    }


def assertion_with(
    credential: Credential,
    ceremony: Ceremony,
    *,
    origin: str = FIDO_ORIGIN,
    rp_id: str = FIDO_RP_ID,
    kind: str = "webauthn.get",
    challenge: str | None = None,
    flags: int = UP | UV,
    counter: int = 6,
    named_id: bytes | None = None,
    user_handle: bytes | None = None,
    cross_origin: bool = False,
) -> Response:
    """Makes a well-signed assertion of which one thing can be wrong."""
    public = ceremony.options["publicKey"]
    client_data = CollectedClientData.create(
        kind, public["challenge"] if challenge is None else challenge, origin, cross_origin
    )
    auth_data = AuthenticatorData.create(
        hashlib.sha256(rp_id.encode()).digest(), AuthenticatorData.FLAG(flags), counter
    )
    key = serialization.load_der_private_key(credential.private_key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(auth_data + client_data.hash, ec.ECDSA(hashes.SHA256()))
    name = websafe_encode(credential.credential_id if named_id is None else named_id)
    handle = {} if user_handle is None else {"userHandle": websafe_encode(user_handle)}
    return {
        "id": name,
        "rawId": name,
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(client_data),
            "authenticatorData": websafe_encode(auth_data),
            "signature": websafe_encode(signature),
            **handle,
        },
    }


def es384_key() -> CoseKey:
    return ES384.from_cryptography_key(ec.generate_private_key(ec.SECP384R1()).public_key())


def rs256_key() -> CoseKey:
    return RS256.from_cryptography_key(rsa.generate_private_key(65537, 2048).public_key())


def eddsa_key() -> CoseKey:
    return EdDSA.from_cryptography_key(ed25519.Ed25519PrivateKey.generate().public_key())


def off_the_curve() -> CoseKey:
    return ES256({1: 2, 3: ES256.ALGORITHM, -1: 1, -2: bytes(31) + b"\x01", -3: bytes(32)})


def of_another_curve() -> CoseKey:
    return ES256({**es256_key(), -1: 2})


def of_another_key_type() -> CoseKey:
    return ES256({**es256_key(), 1: 1})


OF_BOTH: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://evil.example"},
    "another port": {"origin": FIDO_ORIGIN + ":8443"},
    "a subdomain": {"origin": FIDO_ORIGIN.replace("fido.", "x.fido.")},
    "in clear": {"origin": FIDO_ORIGIN.replace("https", "http")},
    "another site's frame": {"cross_origin": True},
    "another RP id": {"rp_id": "evil.example"},
    "the RP id's parent": {"rp_id": FIDO_RP_ID.split(".", 1)[1]},
    "no type": {"kind": ""},
    "another challenge": {"challenge": websafe_encode(b"another challenge of thirty-two b")},
    "a challenge too long by a byte": {"challenge": ...},
    "no challenge": {"challenge": websafe_encode(b"")},
}
IN_REGISTRATION: dict[str, dict[str, Any]] = {
    **OF_BOTH,
    "the type of an assertion": {"kind": "webauthn.get"},
    "user not verified": {"flags": UP | AT},
    "user not present": {"flags": UV | AT},
    "neither": {"flags": AT},
    "backed up but not to be": {"flags": UP | UV | AT | BS},
    "no credential in it": {"flags": UP | UV},
    "ES384": {"key": es384_key},
    "RS256": {"key": rs256_key},
    "EdDSA": {"key": eddsa_key},
    "a point off the curve": {"key": off_the_curve},
    "a curve that does not fit": {"key": of_another_curve},
    "a key type that does not fit": {"key": of_another_key_type},
    "another id than attested": {"named_id": bytes(32)},
    "an id of 1024 bytes": {"credential_id": bytes(1024)},
    "a packed attestation": {"fmt": "packed"},
    "a statement": {"statement": {"alg": -7}},
}
IN_ASSERTION: dict[str, dict[str, Any]] = {
    **OF_BOTH,
    "the type of a registration": {"kind": "webauthn.create"},
    "user not verified": {"flags": UP},
    "user not present": {"flags": UV},
    "neither": {"flags": 0},
    "backed up but not to be": {"flags": UP | UV | BS},
    "the same counter": {"counter": 5},
    "a lower counter": {"counter": 4},
    "no counter": {"counter": 0},
    "another credential's id": {"named_id": bytes(32)},
    "another user's handle": {"user_handle": bytes(16)},
    "an empty user handle": {"user_handle": b""},
}


def resolved(wrong: dict[str, Any], ceremony: Ceremony) -> dict[str, Any]:
    """Fills in what depends on the ceremony."""
    if wrong.get("challenge") is ...:
        right = websafe_decode(ceremony.options["publicKey"]["challenge"])
        return {"challenge": websafe_encode(right + b"x")}
    return wrong


@pytest.mark.parametrize("wrong", IN_REGISTRATION.values(), ids=IN_REGISTRATION)
def test_a_registration_with_one_thing_wrong_is_refused(
    party: RelyingParty, wrong: dict[str, Any]
) -> None:
    """Each alone; with nothing wrong the same registration is taken."""
    ceremony = party.begin_registration("device", "王小明")
    response = registration_with(ceremony, **resolved(wrong, ceremony))
    code = refusal(lambda: party.complete_registration(ceremony.ceremony_id, "device", response))
    assert code in ("PM_INV_SG", "PM_SIGDATA_ERR")
    again = party.begin_registration("device", "王小明")
    taken = party.complete_registration(again.ceremony_id, "device", registration_with(again))
    assert taken.credential_id == ID


@pytest.mark.parametrize("wrong", IN_ASSERTION.values(), ids=IN_ASSERTION)
def test_an_assertion_with_one_thing_wrong_is_refused(
    party: RelyingParty, wrong: dict[str, Any]
) -> None:
    """Each alone, with PM_INV_SG; with nothing wrong the same assertion is taken."""
    credential, registered = register(party)
    kept = attrs.evolve(registered, sign_count=5)
    ceremony = party.begin_assertion("ticket", kept.data)
    response = assertion_with(credential, ceremony, **resolved(wrong, ceremony))
    code = refusal(lambda: party.complete_assertion(ceremony.ceremony_id, "ticket", kept, response))
    assert code == "PM_INV_SG"
    again = party.begin_assertion("ticket", kept.data)
    right = assertion_with(credential, again)
    assert party.complete_assertion(again.ceremony_id, "ticket", kept, right) == 6


def test_the_users_own_handle_and_possible_backup_flags_are_taken(party: RelyingParty) -> None:
    """What a passkey sends besides is no fault: its own handle, and that it is backed up."""
    credential, registered = register(party)
    assert len(registered.user_handle) == 16
    ceremony = party.begin_assertion("ticket", registered.data)
    response = assertion_with(
        credential, ceremony, user_handle=registered.user_handle, flags=UP | UV | BE | BS
    )
    assert party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response) == 6


def test_the_counter_that_is_kept_grows_with_each_assertion(party: RelyingParty) -> None:
    """Registered with 0; each assertion is taken with the next number only."""
    credential, registered = register(party)
    assert registered.sign_count == 0
    for expected in (1, 2):
        ceremony = party.begin_assertion("ticket", registered.data)
        credential, response = get_assertion(credential, ceremony.options, origin=FIDO_ORIGIN)
        count = party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)
        assert count == expected
        registered = attrs.evolve(registered, sign_count=count)


def test_another_persons_credential_is_refused(party: RelyingParty) -> None:
    """A valid assertion by somebody else's authenticator, under its own name and under ours."""
    mine, registered = register(party)
    stranger, _ = register(party)
    for named_id in (None, mine.credential_id):
        ceremony = party.begin_assertion("ticket", registered.data)
        response = assertion_with(stranger, ceremony, named_id=named_id)
        code = refusal(
            lambda c=ceremony, r=response: party.complete_assertion(  # type: ignore[misc]
                c.ceremony_id, "ticket", registered, r
            )
        )
        assert code == "PM_INV_SG"


@pytest.mark.parametrize("what", ["signature", "authenticatorData", "clientDataJSON"])
def test_one_altered_bit_is_refused(party: RelyingParty, what: str) -> None:
    """In the signature, or in what it covers."""
    credential, registered = register(party)
    ceremony = party.begin_assertion("ticket", registered.data)
    response = assertion_with(credential, ceremony)
    raw = bytearray(websafe_decode(response["response"][what]))
    raw[-1] ^= 1
    response["response"][what] = websafe_encode(bytes(raw))
    code = refusal(
        lambda: party.complete_assertion(ceremony.ceremony_id, "ticket", registered, response)
    )
    assert code in ("PM_INV_SG", "PM_SIGDATA_ERR")


@pytest.mark.parametrize("how", ["replayed", "after a wrong answer", "another subject", "unknown"])
@pytest.mark.parametrize("of", ["registration", "assertion"])
def test_a_challenge_is_used_once_and_for_what_it_was_given(
    party: RelyingParty, of: str, how: str
) -> None:
    """The first answer consumes it, right or wrong; another subject or id has none."""
    credential, registered = register(party)

    def begin() -> tuple[Ceremony, Callable[[str, str, Response], object], Response]:
        if of == "registration":
            ceremony = party.begin_registration("subject", "王小明")
            return ceremony, party.complete_registration, registration_with(ceremony)
        ceremony = party.begin_assertion("subject", registered.data)
        return (
            ceremony,
            lambda number, subject, response: party.complete_assertion(
                number, subject, registered, response
            ),
            assertion_with(credential, ceremony),
        )

    ceremony, complete, response = begin()
    number, subject = ceremony.ceremony_id, "subject"
    match how:
        case "replayed":
            complete(number, subject, response)
        case "after a wrong answer":
            refusal(lambda: complete(number, subject, {**response, "rawId": "AAAA", "id": "AAAA"}))
        case "another subject":
            subject = "another"
        case "unknown":
            number = "none"
    assert refusal(lambda: complete(number, subject, response)) == "PM_INV_SG"


@pytest.mark.parametrize(("seconds", "taken"), [(59, True), (60, False)])
@pytest.mark.parametrize("of", ["registration", "assertion"])
def test_a_challenge_grows_old(
    party: RelyingParty, still: Clock, of: str, seconds: int, taken: bool
) -> None:
    """After a minute it is gone, and until then it is not."""
    credential, registered = register(party)
    if of == "registration":
        ceremony = party.begin_registration("subject", "王小明")
        response = registration_with(ceremony)
    else:
        ceremony = party.begin_assertion("subject", registered.data)
        response = assertion_with(credential, ceremony)
    still.advance(seconds)

    def complete() -> object:
        if of == "registration":
            return party.complete_registration(ceremony.ceremony_id, "subject", response)
        return party.complete_assertion(ceremony.ceremony_id, "subject", registered, response)

    if taken:
        complete()
    else:
        assert refusal(complete) == "PM_INV_SG"


DEEP = websafe_encode(b"[" * 100_000)
DEEP_CBOR = websafe_encode(b"\x81" * 100_000)
UNREADABLE: list[tuple[Response, Response]] = [
    ({"response": {}}, {}),
    ({"response": None}, {}),
    ({"response": []}, {}),
    ({"rawId": "!!"}, {}),
    ({"rawId": None}, {}),
    ({"rawId": 5}, {}),
    ({"id": "AAAA"}, {}),
    ({"type": "password"}, {}),
    ({}, {"clientDataJSON": "e30"}),
    ({}, {"clientDataJSON": "W10"}),
    ({}, {"clientDataJSON": "AAAA"}),
    ({}, {"clientDataJSON": None}),
    ({}, {"clientDataJSON": DEEP}),
]
UNREADABLE_ATTESTATION = [
    "",
    "AAAA",
    None,
    5,
    websafe_encode(b"\xff"),
    DEEP_CBOR,
    websafe_encode(cbor.encode({})),
    websafe_encode(cbor.encode([1, 2])),
    websafe_encode(cbor.encode({"fmt": "none", "attStmt": {}, "authData": b""})),
    websafe_encode(cbor.encode({"fmt": "none", "attStmt": {}, "authData": bytes(37)})),
    websafe_encode(cbor.encode({"fmt": 5, "attStmt": 5, "authData": bytes(37)})),
    websafe_encode(
        cbor.encode({"fmt": "none", "attStmt": {}, "authData": bytes(32) + b"\x45" + bytes(4)})
    ),
]


@pytest.mark.parametrize(("outer", "inner"), UNREADABLE, ids=lambda each: str(each)[:40])
@pytest.mark.parametrize("of", ["registration", "assertion"])
def test_what_cannot_be_read_is_refused(
    party: RelyingParty, of: str, outer: Response, inner: Response
) -> None:
    """Nothing but the platform's own error comes out."""
    credential, registered = register(party)
    if of == "registration":
        ceremony = party.begin_registration("subject", "王小明")
        right = registration_with(ceremony)
    else:
        ceremony = party.begin_assertion("subject", registered.data)
        right = assertion_with(credential, ceremony)
    response = {**right, "response": {**right["response"], **inner}, **outer}

    def complete() -> object:
        if of == "registration":
            return party.complete_registration(ceremony.ceremony_id, "subject", response)
        return party.complete_assertion(ceremony.ceremony_id, "subject", registered, response)

    assert refusal(complete) in ("PM_INV_SG", "PM_SIGDATA_ERR")


@pytest.mark.parametrize("attestation", UNREADABLE_ATTESTATION, ids=lambda each: str(each)[:20])
def test_an_unreadable_attestation_is_refused(party: RelyingParty, attestation: Any) -> None:
    """CBOR that is none, too deep, of other types, or whose authenticator data is cut short."""
    ceremony = party.begin_registration("subject", "王小明")
    response = registration_with(ceremony)
    response["response"]["attestationObject"] = attestation
    code = refusal(lambda: party.complete_registration(ceremony.ceremony_id, "subject", response))
    assert code in ("PM_INV_SG", "PM_SIGDATA_ERR")


@pytest.mark.parametrize("what", ["signature", "authenticatorData"])
@pytest.mark.parametrize("value", ["", "AAAA", None, 5, websafe_encode(bytes(37))], ids=str)
def test_an_unreadable_part_of_an_assertion_is_refused(
    party: RelyingParty, what: str, value: Any
) -> None:
    """Whatever stands where signature or authenticator data should."""
    credential, registered = register(party)
    ceremony = party.begin_assertion("subject", registered.data)
    response = assertion_with(credential, ceremony)
    response["response"][what] = value
    code = refusal(
        lambda: party.complete_assertion(ceremony.ceremony_id, "subject", registered, response)
    )
    assert code in ("PM_INV_SG", "PM_SIGDATA_ERR")


@settings(max_examples=80)
@given(raw=st.binary(max_size=200), at=st.integers(0, 150), cut=st.integers(0, 60))
def test_nothing_foreign_escapes_whatever_bytes_come(raw: bytes, at: int, cut: int) -> None:
    """Bytes put into an attestation or into authenticator data, at any place."""
    party = RelyingParty(Clock(frozen_at=START), Randomness(seed=1))
    for of, what in (("registration", "attestationObject"), ("assertion", "authenticatorData")):
        credential, registered = register(party)
        if of == "registration":
            ceremony = party.begin_registration("subject", "王小明")
            response = registration_with(ceremony)
        else:
            ceremony = party.begin_assertion("subject", registered.data)
            response = assertion_with(credential, ceremony)
        old = websafe_decode(response["response"][what])
        response["response"][what] = websafe_encode(old[:at] + raw + old[at + cut :])
        try:
            if of == "registration":
                party.complete_registration(ceremony.ceremony_id, "subject", response)
            else:
                party.complete_assertion(ceremony.ceremony_id, "subject", registered, response)
        except PlatformError:
            continue  # any other exception fails the test


async def test_a_credential_that_is_known_already_binds_no_second_phone(sim: Simulator) -> None:
    """DEVPROF_INS_ERR, and the activation code can still be used."""
    await sim.add_person("A123456789", "王小明")
    phone = await sim.bind_device("A123456789")
    handset = sim.handsets.get(phone.id)
    assert handset.credential_id is not None
    code = (await sim.new_activation_code("A123456789")).code
    ceremony = sim.binding.begin("second", code)
    request = certificate_request(TwoPrimeKey(KeyPool().source().rsa_key(2048)))
    with pytest.raises(PlatformError) as caught:
        await sim.binding.complete(
            "second",
            "第二支",
            code,
            ceremony_id=ceremony.ceremony_id,
            response=registration_with(ceremony, credential_id=handset.credential_id),
            certificate_request=request,
            shape=CertificateShape(),
        )
    assert caught.value.code == "DEVPROF_INS_ERR"
    assert sim.state.platform.devices.get("second") is None
    found = sim.state.platform.activation_codes.get(code)
    assert found is not None
    assert not found.used


async def test_a_phone_with_another_persons_credential_confirms_nothing(
    sim: Simulator, system: Any, phone: Any, other_phone: Any, code_of: Any
) -> None:
    """Keys carried over from another phone: PM_INV_SG, and the ticket waits for its holder."""
    mine, theirs = sim.handsets.get(phone.id), sim.handsets.get(other_phone.id)
    sim.handsets.put(
        attrs.evolve(mine, credential_id=theirs.credential_id, credential_key=theirs.credential_key)
    )
    body, ticket_id = await system.push()
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "PM_INV_SG"
    assert code_of(await system.result(body, ticket_id)) == "SPTKTID_TXNLOG_NF"
