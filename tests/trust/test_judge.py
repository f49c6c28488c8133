"""Good and broken certificates and signatures, each with its own code."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from moica_gateway.domain.models import CertificateSignature, Expected, Verdict
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import GatewayError
from moica_gateway.ports import EgressReply
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordingEgress
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.trust import (
    CertificateJudge,
    CrlStore,
    RevocationPolicy,
    TrustAnchors,
    load_certificates,
    refuse_simulator_ca,
    require_pinned,
)
from moica_gateway.trust.profile import check_profile, parse_holder_certificate

MESSAGE = b"what the key has to cover"
PKI = MemoryPki()
GOOD = PKI.holder()


def judge_with(
    crl: bytes | None, policy: RevocationPolicy = RevocationPolicy.REQUIRE
) -> CertificateJudge:
    """Anchored at the good root, with that CRL served."""
    egress = RecordingEgress()
    if crl is not None:
        egress.script(PKI.crl_url, EgressReply(status=200, headers={}, body=crl))
    store = CrlStore(egress, FrozenClock(PKI.at), hosts=["crl.test"])
    anchors = TrustAnchors((PKI.root,), (PKI.issuer,))
    return CertificateJudge(anchors=anchors, revocation=store, policy=policy)


def proof(certificate: bytes = GOOD, signature: bytes | None = None) -> CertificateSignature:
    """As an upstream gives it."""
    return CertificateSignature(
        unverified_certificate=certificate,
        unverified_signatures=(signature if signature is not None else PKI.sign(MESSAGE),),
        hashed_id_num="h1",
        raw=b"",
    )


EXPECTED = Expected(messages=(Tbs(message=MESSAGE),), last_four="6789", at=PKI.at)


async def verdict(
    given_proof: CertificateSignature, expected: Expected = EXPECTED, crl: bytes | None = None
) -> Verdict:
    """With a good CRL where none is given."""
    return await judge_with(crl or PKI.crl()).judge(given_proof, expected)


async def test_a_good_signature_is_accepted_and_every_check_is_said() -> None:
    """The report keeps the checks apart, and says what was not checked."""
    found = await verdict(proof(), evolve(EXPECTED, user_name="王小明", hashed_id_num="h1"))
    assert found.problem is None
    assert found.subject is not None
    assert found.subject.issuer_name == "內政部憑證管理中心"
    assert found.chain == (PKI.issuer,)
    checks = {c.name: c.passed for c in found.report}
    assert checks["covers_our_bytes"] is True
    assert checks["not_revoked"] is True
    assert checks["issuer_not_revoked"] is None


_AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)
_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("expired", {"valid": (-400, -1)}, "certificate_expired"),
    ("not yet valid", {"valid": (1, 300)}, "certificate_expired"),
    ("for encipherment", {"signing": False}, "certificate_profile"),
    ("without policy", {"policy": None}, "certificate_profile"),
    ("another policy", {"policy": "2.16.886.101.0.3.1"}, "certificate_profile"),
    ("another last four", {"last_four": "0000"}, "certificate_person_mismatch"),
    ("last four of another length", {"last_four": "56789"}, "certificate_person_mismatch"),
    ("no directory attributes", {"last_four": None}, "certificate_profile"),
    ("another kind of holder", {"holder_type": "2.16.886.1.100.3.2.1"}, "certificate_profile"),
    ("key usage not critical", {"usage_critical": False}, "certificate_profile"),
    ("a short key", {"bits": 1024, "key": "short"}, "certificate_profile"),
    ("another country", {"country": "JP"}, "certificate_profile"),
    ("a short number", {"number": "106172047200480"}, "certificate_profile"),
    ("a number that is none", {"number": "106172047200480X"}, "certificate_profile"),
    ("an authority", {"also": [(_AUTHORITY, True)]}, "certificate_profile"),
    ("an unknown critical extension", {"also": [(_UNKNOWN, True)]}, "certificate_untrusted"),
    ("no CRL address", {"urls": ()}, "revocation_unknown"),
    ("a CRL of another host", {"urls": ["http://evil.test/1.crl"]}, "revocation_unknown"),
    ("a CRL address that is none", {"urls": ["http://[/1.crl"]}, "revocation_unknown"),
]


@pytest.mark.parametrize(("broken", "code"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
async def test_a_broken_certificate_is_refused(broken: Mapping[str, Any], code: str) -> None:
    """Each with its own code."""
    keys = {name: broken[name] for name in ("key", "bits") if name in broken}
    found = await verdict(proof(PKI.holder(**broken), PKI.sign(MESSAGE, **keys)))
    assert found.problem is not None
    assert found.problem.code == code


async def test_an_unknown_authority_is_refused() -> None:
    """The same names under another root are not trusted."""
    found = await verdict(proof(MemoryPki(name="stranger").holder()))
    assert found.problem is not None
    assert found.problem.code == "certificate_untrusted"


async def test_the_report_says_where_it_stopped() -> None:
    """One check failed, what stands behind it was not reached, nothing is called passed."""
    found = await verdict(proof(PKI.holder(last_four="0000")))
    checks = [(c.name, c.passed) for c in found.report]
    failed = [name for name, passed in checks if passed is False]
    assert failed == ["right_person"]
    place = checks.index(("right_person", False))
    assert all(passed for _, passed in checks[:place])
    assert all(passed is None for _, passed in checks[place + 1 :])


async def test_without_the_intermediate_there_is_no_path() -> None:
    """Nothing is fetched, nothing is taken from the system's list."""
    store = CrlStore(RecordingEgress(), FrozenClock(PKI.at), hosts=["crl.test"])
    judge = CertificateJudge(anchors=TrustAnchors((PKI.root,)), revocation=store)
    found = (await judge.judge(proof(), EXPECTED)).problem
    assert found is not None
    assert found.code == "certificate_untrusted"


async def test_an_anchor_is_no_holder() -> None:
    """Neither root nor intermediate passes for a person's certificate."""
    for certificate in (PKI.root, PKI.issuer):
        found = await verdict(proof(certificate))
        assert found.problem is not None
        assert found.problem.what_helps == "fail"


def _pss() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return key.sign(MESSAGE, scheme, hashes.SHA256())


SIGNATURES = [
    (PKI.sign(b"other bytes"), "upstream_tampered"),
    (PKI.sign(MESSAGE, key="somebody else"), "signature_invalid"),
    (PKI.sign(MESSAGE)[:-1], "signature_malformed"),
    (PKI.sign(MESSAGE) + b"\x00", "signature_malformed"),
    (bytes(256), "signature_invalid"),
    (b"\xff" * 256, "signature_invalid"),
    (_pss(), "signature_invalid"),
    (PKI.sign(MESSAGE + b"\n"), "upstream_tampered"),
    (b"", "signature_malformed"),
]


@pytest.mark.parametrize(("signature", "code"), SIGNATURES)
async def test_a_signature_that_does_not_cover_our_bytes_is_refused(
    signature: bytes, code: str
) -> None:
    """Over other bytes, by another key, cut short: told apart."""
    found = await verdict(proof(signature=signature))
    assert found.problem is not None
    assert found.problem.code == code


EXPECTATIONS = [
    (evolve(EXPECTED, user_name="王大明"), "name_mismatch"),
    (evolve(EXPECTED, user_name="王小明\u200b"), "name_mismatch"),
    (evolve(EXPECTED, user_name=""), "name_mismatch"),
    (evolve(EXPECTED, last_four="678９"), "certificate_person_mismatch"),
    (evolve(EXPECTED, hashed_id_num="h2"), "hashed_id_num_mismatch"),
    (evolve(EXPECTED, messages=()), "signature_malformed"),
    (evolve(EXPECTED, pinned_certificate=PKI.holder(serial=77)), "certificate_changed"),
    (evolve(EXPECTED, messages=EXPECTED.messages * 2), "signature_malformed"),
]


@pytest.mark.parametrize(("expected", "code"), EXPECTATIONS)
async def test_another_person_or_credential_is_refused(expected: Expected, code: str) -> None:
    """Name, platform's identifier, pinned certificate, number of signatures."""
    found = await verdict(proof(), expected)
    assert found.problem is not None
    assert found.problem.code == code


async def test_a_decomposed_name_is_the_same_name() -> None:
    """Names are compared in NFC."""
    holder = PKI.holder(common_name="José")
    found = await verdict(proof(holder), evolve(EXPECTED, user_name="Jose\u0301"))
    assert found.problem is None


@given(st.binary(max_size=400))
def test_random_bytes_are_malformed_and_nothing_foreign_escapes(data: bytes) -> None:
    """Whatever arrives as a certificate."""
    with pytest.raises(GatewayError) as raised:
        parse_holder_certificate(data)
    assert raised.value.code == "certificate_malformed"


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_mutated_certificate_raises_nothing_foreign(place: int, change: int) -> None:
    """One changed byte anywhere."""
    mutated = bytearray(GOOD)
    mutated[place] ^= change
    try:
        parse_holder_certificate(bytes(mutated))
    except GatewayError as e:
        assert e.problem.what_helps == "fail"  # noqa: PT017 - both outcomes are allowed


async def test_half_of_a_surrogate_pair_is_another_person() -> None:
    """JSON can bring one; nothing foreign escapes."""
    broken = evolve(proof(), hashed_id_num="\ud800")
    found = await verdict(broken, evolve(EXPECTED, hashed_id_num="h1"))
    assert found.problem is not None
    assert found.problem.code == "hashed_id_num_mismatch"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_mutated_certificate_is_accepted(place: int, change: int) -> None:
    """One changed byte anywhere: always a problem, never an exception."""
    mutated = bytearray(GOOD)
    mutated[place] ^= change
    found = asyncio.run(verdict(proof(bytes(mutated))))
    assert found.problem is not None


async def test_an_unknown_signature_algorithm_is_a_verdict() -> None:
    """Another OID where SHA-256 with RSA stands, inside and outside."""
    oid = bytes.fromhex("2a864886f70d01010b")
    assert GOOD.count(oid) == 2
    found = await verdict(proof(GOOD.replace(oid, oid[:-1] + b"\x2b")))
    assert found.problem is not None
    assert found.problem.code == "certificate_profile"


def test_one_certificate_has_one_encoding() -> None:
    """A signature with unused bits would be the same certificate with another fingerprint."""
    changed = bytearray(GOOD)
    assert changed[-257] == 0
    changed[-257] = 1
    changed[-1] &= 0xFE
    with pytest.raises(GatewayError) as raised:
        parse_holder_certificate(bytes(changed))
    assert raised.value.code == "certificate_malformed"


async def test_trouble_in_a_library_is_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never accepted, never raised, and its text is not repeated."""

    def broken(*_arguments: object) -> None:
        raise LookupError("王小明")

    monkeypatch.setattr("moica_gateway.trust.judge.covers", broken)
    found = await verdict(proof())
    assert found.problem is not None
    assert found.problem.code == "certificate_malformed"
    assert "王小明" not in found.problem.detail


def test_the_real_directory_attributes_are_read() -> None:
    """Their DER, as the Ministry's certificates have it: three attributes, UTF8String last."""
    real = bytes.fromhex(
        "303f3015060760867601640201310a060860867601640301013013060760867601640202310813066d6f62"
        "696c65301106076086760164023331060c0432313136"
    )
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.9"), real)
    certificate = PKI.holder(last_four=None, also=[(extension, False)])
    holder = parse_holder_certificate(certificate)
    assert holder.info.last_four == "2116"
    assert check_profile(holder) is None


DOUBLED = [
    bytes.fromhex("3022" + "300f06076086760164023331040c023131" * 2),
    bytes.fromhex("3013" + "301106076086760164023331080c0231310c023232"),
    b"\x30\x80\x00\x00\x00",
    b"",
]


@pytest.mark.parametrize("value", DOUBLED, ids=["doubled", "two values", "trailing", "empty"])
def test_ambiguous_directory_attributes_are_malformed(value: bytes) -> None:
    """Nobody chooses which of two last fours counts."""
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.9"), value)
    with pytest.raises(GatewayError) as raised:
        parse_holder_certificate(PKI.holder(last_four=None, also=[(extension, False)]))
    assert raised.value.code == "certificate_malformed"


def test_without_anchors_nothing_starts() -> None:
    """No anchors is an error, not trust in the system's list."""
    with pytest.raises(GatewayError):
        TrustAnchors(())
    with pytest.raises(GatewayError):
        TrustAnchors((PKI.issuer,))


def test_production_refuses_unpinned_roots() -> None:
    """An anchor outside the pinned fingerprints, however those are written."""
    with pytest.raises(GatewayError) as raised:
        require_pinned((PKI.root,), ["00" * 32])
    assert raised.value.code == "configuration_invalid"
    digest = hashlib.sha256(PKI.root).hexdigest()
    colons = ":".join(digest[n : n + 2] for n in range(0, 64, 2)).upper()
    for pinned in (digest, colons):
        require_pinned((PKI.root,), [pinned])


def test_a_simulators_certificates_are_refused() -> None:
    """By subject or issuer: root and intermediate alike."""
    simulator = MemoryPki(name="simulator", unit="NOT FOR PRODUCTION")
    for certificate in (simulator.root, simulator.issuer):
        with pytest.raises(GatewayError) as raised:
            refuse_simulator_ca((PKI.root, certificate))
        assert raised.value.code == "configuration_invalid"
    refuse_simulator_ca((PKI.root, PKI.issuer))


def test_certificates_are_loaded_from_files_and_folders(tmp_path: Path) -> None:
    """PEM or DER, each once; what cannot be read is named."""
    (tmp_path / "root.pem").write_bytes(PKI.root_pem + PKI.root_pem)
    (tmp_path / "issuer.cer").write_bytes(PKI.issuer)
    (tmp_path / "notes.txt").write_text("not a certificate")
    assert load_certificates([tmp_path]) == (PKI.issuer, PKI.root)
    (tmp_path / "broken.der").write_bytes(b"x")
    for path in (tmp_path, tmp_path / "missing.pem"):
        with pytest.raises(GatewayError) as raised:
            load_certificates([path])
        assert raised.value.code == "configuration_invalid"
