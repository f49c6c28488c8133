"""Good and broken certificates, signatures and CRLs, each with its own code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
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
    refuse_simulator_ca,
    require_pinned,
)
from moica_gateway.trust.profile import parse_holder_certificate

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


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("expired", {"valid": (-400, -1)}, "certificate_expired"),
    ("not yet valid", {"valid": (1, 300)}, "certificate_expired"),
    ("for encipherment", {"signing": False}, "certificate_profile"),
    ("without policy", {"policy": None}, "certificate_profile"),
    ("another policy", {"policy": "2.16.886.101.0.3.1"}, "certificate_profile"),
    ("another last four", {"last_four": "0000"}, "certificate_person_mismatch"),
    ("no directory attributes", {"last_four": None}, "certificate_profile"),
]


@pytest.mark.parametrize(("broken", "code"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
async def test_a_broken_certificate_is_refused(broken: Mapping[str, Any], code: str) -> None:
    """Each with its own code."""
    found = await verdict(proof(PKI.holder(**broken)))
    assert found.problem is not None
    assert found.problem.code == code


async def test_an_unknown_authority_is_refused() -> None:
    """The same names under another root are not trusted."""
    found = await verdict(proof(MemoryPki(name="stranger").holder()))
    assert found.problem is not None
    assert found.problem.code == "certificate_untrusted"


SIGNATURES = [
    (PKI.sign(b"other bytes"), "upstream_tampered"),
    (PKI.sign(MESSAGE, key="somebody else"), "signature_invalid"),
    (PKI.sign(MESSAGE)[:-1], "signature_malformed"),
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
    (evolve(EXPECTED, hashed_id_num="h2"), "hashed_id_num_mismatch"),
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


CRLS = [
    ("revoked", PKI.crl(0x1234), "certificate_revoked"),
    ("run out", PKI.crl(days=(-9, -2)), "revocation_unknown"),
    ("from the future", PKI.crl(days=(1, 9)), "revocation_unknown"),
    ("another distribution point", PKI.crl(url="http://crl.test/2.crl"), "revocation_unknown"),
    ("another signer", PKI.crl(signer="stranger"), "revocation_unknown"),
    ("no CRL", b"<html>", "revocation_unknown"),
]


@pytest.mark.parametrize(("crl", "code"), [c[1:] for c in CRLS], ids=[c[0] for c in CRLS])
async def test_a_crl_is_believed_by_its_rules_only(crl: bytes, code: str) -> None:
    """Revoked is refused; a CRL that cannot be believed leaves the status unknown: refused too."""
    found = await verdict(proof(), crl=crl)
    assert found.problem is not None
    assert found.problem.code == code


async def test_the_named_relaxation_says_what_was_not_checked() -> None:
    """With crl_if_available an unknown status passes, and the report says so."""
    judge = judge_with(b"<html>", RevocationPolicy.CRL_IF_AVAILABLE)
    found = await judge.judge(proof(), EXPECTED)
    assert found.problem is None
    assert {c.name: c.passed for c in found.report}["not_revoked"] is None


async def test_a_crl_number_never_goes_back() -> None:
    """An older CRL is refused once a newer one was seen."""
    egress = RecordingEgress()
    clock = FrozenClock(PKI.at)
    store = CrlStore(egress, clock, hosts=["crl.test"])
    judge = CertificateJudge(anchors=TrustAnchors((PKI.root,), (PKI.issuer,)), revocation=store)
    newer, older = PKI.crl(number=5), PKI.crl(number=4, days=(-1, 30))
    egress.script(PKI.crl_url, EgressReply(status=200, headers={}, body=newer))
    assert (await judge.judge(proof(), EXPECTED)).problem is None
    egress.script(PKI.crl_url, EgressReply(status=200, headers={}, body=older))
    later = evolve(EXPECTED, at=PKI.at + timedelta(days=8))
    found = (await judge.judge(proof(), later)).problem
    assert found is not None
    assert found.code == "revocation_unknown"


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


def test_without_anchors_nothing_starts() -> None:
    """No anchors is an error, not trust in the system's list."""
    with pytest.raises(GatewayError):
        TrustAnchors(())
    with pytest.raises(GatewayError):
        TrustAnchors((PKI.issuer,))


def test_production_refuses_unpinned_roots() -> None:
    """An anchor outside the pinned fingerprints."""
    with pytest.raises(GatewayError):
        require_pinned((PKI.root,), ["00" * 32])
    refuse_simulator_ca((PKI.root,))
