"""Verdicts: whatever can be wrong has its own code, and the report keeps the checks apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyhanko_certvalidator.registry
import pytest
from attrs import evolve
from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from moica_gateway.domain.models import CertificateSignature, Expected
from moica_gateway.domain.values import Tbs
from moica_gateway.errors import CATALOGUE, VerificationError
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordingEgress
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.trust import (
    CertificateJudge,
    CrlStore,
    Revocation,
    RevocationPolicy,
    TrustAnchors,
)
from moica_gateway.trust.report import CheckName

MESSAGE = b"what the key has to cover"
PKI = MemoryPki()

Courts = Callable[..., Any]


async def test_a_good_signature_is_accepted_and_every_check_is_said(court: Any) -> None:
    """The report has every check once, in order, and all of them hold."""
    proof = court.proof()
    expected = evolve(
        court.expected(),
        user_name="王小明",
        hashed_id_num="h1",
        pinned_certificate=proof.unverified_certificate,
    )
    found = await court.verdict(proof, expected)
    assert found.problem is None
    assert [c.name for c in found.report] == [name.value for name in CheckName]
    assert {c.passed for c in found.report} == {True}
    assert found.chain == (court.pki.issuer,)
    assert found.subject is not None
    assert found.subject.issuer_name == "內政部憑證管理中心"


async def test_what_was_not_asked_for_is_said_as_not_checked(court: Any) -> None:
    """A registration knows neither certificate nor identifier: None with the reason, never True."""
    found = await court.verdict()
    assert found.problem is None
    unchecked = {c.name: c.detail for c in found.report if c.passed is None}
    assert set(unchecked) == {"same_person_as_registered", "right_name", "right_credential"}
    assert all(detail.startswith("not checked") for detail in unchecked.values())


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("expired", {"valid": (-400, -1)}, "certificate_expired"),
    ("expired this second", {"valid": (-400, -1 / 86_400)}, "certificate_expired"),
    ("not yet valid", {"valid": (1, 300)}, "certificate_not_yet_valid"),
    ("for encipherment", {"signing": False}, "certificate_usage"),
    ("usage not critical", {"usage_critical": False}, "certificate_usage"),
    ("an authority's", {"authority": True}, "certificate_usage"),
    ("for certificates, too", {"signs_certificates": True}, "certificate_usage"),
    ("without policy", {"policy": None}, "certificate_policy"),
    ("another policy", {"policy": "2.16.886.101.0.3.1"}, "certificate_policy"),
    ("another country", {"country": "JP"}, "certificate_profile"),
    ("card number too short", {"card_number": "106172047200480"}, "certificate_profile"),
    ("card number with a letter", {"card_number": "106172047200480A"}, "certificate_profile"),
    ("no holder type", {"holder_type": None}, "certificate_profile"),
    ("an organisation's", {"holder_type": "2.16.886.1.100.3.2.1"}, "certificate_profile"),
    ("another last four", {"last_four": "0000"}, "certificate_person_mismatch"),
    ("no last four", {"last_four": None}, "certificate_person_missing"),
    ("last four of wide digits", {"last_four": "６７８９"}, "certificate_person_mismatch"),
    ("last four of another length", {"last_four": "56789"}, "certificate_person_mismatch"),
    ("last four and more", {"last_four": "6789\x00"}, "certificate_person_mismatch"),
    ("unknown critical extension", {"unknown_critical": True}, "certificate_untrusted"),
    ("no CRL address", {"points": ()}, "revocation_unknown"),
    ("CRL of another host", {"points": (("http://evil.test/1",),)}, "revocation_unknown"),
    ("CRL address that is none", {"points": (("http://[/1",),)}, "revocation_unknown"),
]


@pytest.mark.parametrize(("broken", "code"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
async def test_a_broken_certificate_is_refused(
    court: Any, broken: dict[str, Any], code: str
) -> None:
    """Each with its own code, also with a signature that is good under it."""
    assert await court.code(court.proof(court.pki.holder(**broken))) == code


async def test_a_small_key_is_refused(court: Any) -> None:
    """RSA-1024 signs and verifies, and is no holder's key."""
    weak = court.pki.holder(key="weak", key_bits=1024)
    proof = court.proof(weak, court.pki.sign(MESSAGE, key="weak", key_bits=1024))
    assert await court.code(proof) == "certificate_profile"


# sha256WithRSAEncryption, and the last byte of other algorithms under the same arc.
_SHA256_RSA = bytes.fromhex("06092a864886f70d01010b")


@pytest.mark.parametrize(("last", "what"), [(0x05, "SHA-1"), (0x04, "MD5"), (0x63, "unknown")])
async def test_another_signature_algorithm_is_refused_by_the_profile(
    court: Any, last: int, what: str
) -> None:
    """Weak and unknown ones alike; an unknown one raises nothing foreign."""
    changed = court.pki.holder().replace(_SHA256_RSA, _SHA256_RSA[:-1] + bytes([last]))
    assert await court.code(court.proof(changed)) == "certificate_profile"


async def test_a_foreign_resident_is_accepted(court: Any) -> None:
    """The second holder type."""
    resident = court.pki.holder(holder_type="2.16.886.1.100.3.1.2")
    assert await court.code(court.proof(resident)) is None


async def test_an_unknown_authority_is_refused(court: Any) -> None:
    """The same names under another root are not trusted."""
    stranger = MemoryPki(name="stranger").holder()
    assert await court.code(court.proof(stranger)) == "certificate_untrusted"


async def test_without_the_intermediate_there_is_no_path(court: Any) -> None:
    """Nothing is fetched to complete a chain."""
    judge = CertificateJudge(
        anchors=TrustAnchors((court.pki.root,)),
        revocation=Revocation(CrlStore(court.egress, court.clock, hosts=["crl.test"])),
    )
    found = (await judge.judge(court.proof(), court.expected())).problem
    assert found is not None
    assert found.code == "certificate_untrusted"
    assert court.egress.requests == []


async def test_a_certificate_nobody_trusts_is_an_alarm_whatever_it_says(court: Any) -> None:
    """A forged certificate with another name and person is untrusted, not "register again"."""
    forged = MemoryPki(name="stranger").holder(common_name="王大明", last_four="0000")
    expected = evolve(court.expected(), user_name="王小明", pinned_certificate=court.pki.holder())
    code = await court.code(court.proof(forged), expected)
    assert code == "certificate_untrusted"
    assert CATALOGUE[code].cls is VerificationError


async def test_the_list_of_the_operating_system_is_never_asked(
    court: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for a good certificate nor for a stranger's."""

    calls: list[object] = []

    def asked(*arguments: object) -> list[object]:
        calls.append(arguments)
        return []

    names = [n for n in vars(pyhanko_certvalidator.registry) if "system" in n or "trust_list" in n]
    assert names, "the library has changed: look where it reads the system's list now"
    for name in names:
        monkeypatch.setattr(pyhanko_certvalidator.registry, name, asked)
    assert await court.code() is None
    stranger = court.proof(MemoryPki(name="stranger").holder())
    assert await court.code(stranger) == "certificate_untrusted"
    assert calls == []


SIGNATURES: list[tuple[str, bytes, str]] = [
    ("over other bytes", PKI.sign(b"other bytes"), "upstream_tampered"),
    ("over our bytes and a line end", PKI.sign(MESSAGE + b"\n"), "upstream_tampered"),
    ("of another hash", PKI.sign(MESSAGE, algorithm=hashes.SHA512()), "upstream_tampered"),
    ("by another key", PKI.sign(MESSAGE, key="somebody else"), "signature_invalid"),
    ("zeros", bytes(256), "signature_invalid"),
    ("larger than the modulus", b"\xff" * 256, "signature_invalid"),
    (
        "a bit changed",
        bytes([PKI.sign(MESSAGE)[0] ^ 1]) + PKI.sign(MESSAGE)[1:],
        "signature_invalid",
    ),
    ("cut short", PKI.sign(MESSAGE)[:-1], "signature_malformed"),
    ("longer", PKI.sign(MESSAGE) + b"\x00", "signature_malformed"),
    ("with a zero in front", b"\x00" + PKI.sign(MESSAGE), "signature_malformed"),
    ("empty", b"", "signature_malformed"),
]


@pytest.mark.parametrize(
    ("signature", "code"), [s[1:] for s in SIGNATURES], ids=[s[0] for s in SIGNATURES]
)
async def test_a_signature_that_does_not_cover_our_bytes_is_refused(
    court: Any, signature: bytes, code: str
) -> None:
    """Over other bytes, by another key, cut short: told apart."""
    assert await court.code(court.proof(None, signature)) == code


async def test_a_tampered_message_is_intact_and_covers_other_bytes(court: Any) -> None:
    """The two checks are kept apart in the report."""
    found = await court.verdict(court.proof(None, court.pki.sign(b"other bytes")))
    marks = {c.name: c.passed for c in found.report}
    assert (marks["intact"], marks["covers_our_bytes"]) == (True, False)


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_the_number_of_signatures_equals_that_of_messages(court: Any, count: int) -> None:
    """Two messages, and not two signatures."""
    expected = evolve(court.expected(), messages=(Tbs(message=MESSAGE),) * 2)
    proof = evolve(court.proof(), unverified_signatures=(court.pki.sign(MESSAGE),) * count)
    assert await court.code(proof, expected) == "signature_malformed"


async def test_every_signature_belongs_to_its_own_message(court: Any) -> None:
    """In the same order; exchanged they cover other bytes."""
    messages = (b"one", b"two")
    expected = evolve(court.expected(), messages=tuple(Tbs(message=m) for m in messages))
    signatures = [court.pki.sign(m) for m in messages]
    assert await court.code(court.proof(None, *signatures), expected) is None
    swapped = court.proof(None, *reversed(signatures))
    assert await court.code(swapped, expected) == "upstream_tampered"


async def test_nothing_to_cover_is_no_proof(court: Any) -> None:
    """No message and no signature agree in number, and prove nothing."""
    expected = evolve(court.expected(), messages=())
    proof = evolve(court.proof(), unverified_signatures=())
    assert await court.code(proof, expected) == "signature_malformed"


EXPECTATIONS: list[tuple[dict[str, Any], str | None]] = [
    ({"user_name": "王大明"}, "name_mismatch"),
    ({"user_name": ""}, "name_mismatch"),
    ({"user_name": "王小明\u200b"}, "name_mismatch"),
    ({"user_name": " 王小明 "}, None),
    ({"hashed_id_num": "h2"}, "hashed_id_num_mismatch"),
    ({"hashed_id_num": ""}, "hashed_id_num_mismatch"),
    ({"hashed_id_num": "\ud800"}, "hashed_id_num_mismatch"),
    ({"pinned_certificate": PKI.holder(serial=77)}, "certificate_changed"),
    ({"pinned_certificate": b""}, "certificate_changed"),
    ({"last_four": "678"}, "certificate_person_mismatch"),
    ({"last_four": "678９"}, "certificate_person_mismatch"),
    ({"last_four": ""}, "certificate_person_mismatch"),
]


@pytest.mark.parametrize(("changed", "code"), EXPECTATIONS)
async def test_another_person_or_credential_is_refused(
    court: Any, changed: dict[str, Any], code: str | None
) -> None:
    """Name, platform's identifier, pinned certificate, last four."""
    assert await court.code(None, evolve(court.expected(), **changed)) == code


async def test_letters_of_the_last_four_are_compared_without_case(court: Any) -> None:
    """ASCII letters only: what upper-casing turns into them is another person."""
    expected = evolve(court.expected(), last_four="67A9")
    assert await court.code(court.proof(court.pki.holder(last_four="67a9")), expected) is None
    expected = evolve(court.expected(), last_four="67SS")
    code = await court.code(court.proof(court.pki.holder(last_four="67ß")), expected)
    assert code == "certificate_person_mismatch"


async def test_a_decomposed_name_is_the_same_name(court: Any) -> None:
    """Names are compared in NFC."""
    holder = court.pki.holder(common_name="José")
    expected = evolve(court.expected(), user_name="Jose\u0301")
    assert await court.code(court.proof(holder), expected) is None


async def test_a_certificate_that_is_no_certificate_is_refused(court: Any) -> None:
    """Empty, text, too large; the report has no subject then."""
    for junk in (b"", b"-----BEGIN", court.pki.holder() + b"\x00", bytes(20_000)):
        found = await court.verdict(court.proof(junk))
        assert found.problem is not None
        assert found.problem.code == "certificate_malformed"
        assert found.subject is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(PKI.holder()) - 1), st.integers(1, 255))
def test_no_mutated_certificate_is_accepted(place: int, change: int) -> None:
    """One changed byte anywhere: always a problem, never an exception."""
    mutated = bytearray(PKI.holder())
    mutated[place] ^= change
    egress = RecordingEgress()
    egress.reply(PKI.crl_url, PKI.crl())
    judge = CertificateJudge(
        anchors=TrustAnchors((PKI.root,), (PKI.issuer,)),
        revocation=Revocation(CrlStore(egress, FrozenClock(PKI.at), hosts=["crl.test"])),
    )
    proof = CertificateSignature(
        unverified_certificate=bytes(mutated),
        unverified_signatures=(PKI.sign(MESSAGE),),
        hashed_id_num="h1",
        raw=b"",
    )
    expected = Expected(messages=(Tbs(message=MESSAGE),), last_four="6789", at=PKI.at)
    assert asyncio.run(judge.judge(proof, expected)).problem is not None


async def test_an_anchor_itself_is_no_holder(court: Any) -> None:
    """Root and intermediate, signed with nothing of theirs, are refused before the path."""
    for authority in (court.pki.root, court.pki.issuer):
        assert await court.code(court.proof(authority)) == "signature_invalid"


async def test_a_revoked_issuer_is_not_trusted(court_of: Courts) -> None:
    """The root's CRL names the intermediate."""
    pki = MemoryPki()
    court = court_of(of=pki, root_crl=pki.root_crl(pki.issuer_serial))
    found = await court.verdict()
    assert found.problem is not None
    assert found.problem.code == "certificate_untrusted"
    assert found.report[-1].name == "issuer_not_revoked"
    assert found.report[-1].passed is False


async def test_an_issuer_of_unknown_status_fails_like_the_certificate_itself(
    court_of: Courts,
) -> None:
    """Unless the named relaxation is on, and then the report says so."""
    found = await court_of(root_crl=b"<html>").verdict()
    assert found.problem is not None
    assert found.problem.code == "revocation_unknown"
    assert [c.name for c in found.report if c.passed is False] == ["issuer_not_revoked"]
    relaxed = RevocationPolicy.CRL_IF_AVAILABLE
    found = await court_of(root_crl=b"<html>", policy=relaxed).verdict()
    assert found.problem is None
    assert found.report[-1].passed is None
    assert "not checked" in found.report[-1].detail


async def test_a_holder_issued_by_the_root_itself_has_no_issuer_to_check(
    court_of: Courts, pki: MemoryPki
) -> None:
    """The anchor is trusted by configuration, not by a CRL."""
    court = court_of(crl=pki.crl(by_root=True))
    found = await court.verdict(court.proof(pki.holder(by_root=True)))
    assert found.problem is None
    assert found.chain == ()
    assert "anchor itself" in found.report[-1].detail


async def test_the_named_relaxation_says_what_was_not_checked(court_of: Courts) -> None:
    """With crl_if_available an unknown status passes, and the report says so."""
    court = court_of(crl=b"<html>", policy=RevocationPolicy.CRL_IF_AVAILABLE)
    found = await court.verdict()
    assert found.problem is None
    check = next(c for c in found.report if c.name == "not_revoked")
    assert check.passed is None
    assert "crl_if_available" in check.detail


async def test_the_relaxation_still_refuses_what_is_known_to_be_revoked(
    court_of: Courts, pki: MemoryPki
) -> None:
    """It is about missing answers only."""
    court = court_of(crl=pki.crl(0x1234), policy=RevocationPolicy.CRL_IF_AVAILABLE)
    assert await court.code() == "certificate_revoked"


async def test_a_defect_of_ours_refuses_and_raises_nothing(
    court: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks inside a check is no trust; the message is not passed on."""

    def broken(*_: object) -> None:
        raise RuntimeError("A123456789")

    monkeypatch.setattr("moica_gateway.trust.judge.check_profile", broken)
    found = await court.verdict()
    assert found.problem is not None
    assert found.problem.code == "certificate_malformed"
    assert "A123456789" not in repr(found)


async def test_no_report_names_the_person(court: Any) -> None:
    """Neither ID digits, name nor certificate stand in a detail, good or bad."""
    pki = court.pki
    proofs = [court.proof(), court.proof(pki.holder(last_four="0000", common_name="王大明"))]
    for proof in proofs:
        expected = evolve(court.expected(), user_name="王小明", hashed_id_num="h1")
        text = "".join(c.detail for c in (await court.verdict(proof, expected)).report)
        for secret in ("6789", "0000 ", "王小明", "王大明", "1061720472004809", "h1"):
            assert secret not in text


async def test_valid_at_signing_is_about_the_moment_expected(court: Any) -> None:
    """A moment outside is refused, to the second; the ends belong to the validity."""
    begin = court.clock.now() - timedelta(days=30)
    for at, code in (
        (begin, None),
        (begin - timedelta(seconds=1), "certificate_not_yet_valid"),
    ):
        assert await court.code(None, evolve(court.expected(), at=at)) == code
