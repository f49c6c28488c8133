"""What is said of a signature that comes from anywhere, by a real judge over scripted lists."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent
from moica_gateway.domain.values import DocumentId
from moica_gateway.errors import GatewayError
from moica_gateway.formats import CadesFormat, formats_by_name, readers_by_name
from moica_gateway.services.verification import Verification, VerifiedFile
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.egress import RecordingEgress
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.testing.workshop import HereWorkshop
from moica_gateway.trust import (
    CertificateJudge,
    CrlStore,
    Revocation,
    RevocationPolicy,
    TrustAnchors,
)

PKI = MemoryPki()
CONTENT = "檢送本校資訊安全教育訓練實施計畫\r\n".encode()
GIVEN = GivenContent(content=CONTENT)


def signed(pki: MemoryPki = PKI, key: str = "holder", **holder: Any) -> bytes:
    """A ``.p7s`` by a holder of that kind."""
    context = SignContext(
        hint="h", at=pki.at, certificate=pki.holder(**holder), chain=(pki.issuer,)
    )
    document = Document(
        id=DocumentId("d"), number="1153000165", sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    prepared = CadesFormat().prepare(document, None, context)
    value = pki.sign(prepared.message.message, key)
    return CadesFormat().finish(prepared, value, context).data


def verification(*, crl: bytes | None = b"", readers: Any = None) -> Verification:
    """Anchored at `PKI`; None for a list that cannot be had."""
    egress, clock = RecordingEgress(), FrozenClock(PKI.at)
    if crl is not None:
        egress.reply(PKI.crl_url, crl or PKI.crl())
        egress.reply(PKI.root_crl_url, PKI.root_crl())
    judge = CertificateJudge(
        anchors=TrustAnchors((PKI.root,), (PKI.issuer,)),
        revocation=Revocation(
            CrlStore(egress, clock, hosts=["crl.test"]), policy=RevocationPolicy.CRL
        ),
    )
    readers = readers or readers_by_name()
    return Verification(HereWorkshop(formats_by_name(), readers), readers, judge, clock)


def checks(file: VerifiedFile) -> dict[str, bool | None]:
    """Of its only signature."""
    (only,) = file.signatures
    return {check.name: check.passed for check in only.report}


async def test_a_good_one_is_verified_and_every_check_is_said() -> None:
    """Nobody in particular is expected, so no check of a person stands in the report."""
    found = await verification().verify(signed(), GIVEN)
    assert (found.result, found.format) == ("verified", "cades")
    assert checks(found) == {
        "structure": True,
        "content": True,
        "certificate_readable": True,
        "intact": True,
        "covers_our_bytes": True,
        "profile": True,
        "trusted_path": True,
        "valid_at_signing": True,
        "not_revoked": True,
        "issuer_not_revoked": True,
        "time": None,
    }


async def test_without_content_it_is_incomplete() -> None:
    """A signature that nobody held against anything is not called good."""
    found = await verification().verify(signed(), GivenContent())
    assert found.result == "incomplete"
    assert checks(found)["content"] is None


async def test_another_content_fails_by_that_check_alone() -> None:
    """The signature itself is still said to be intact."""
    found = await verification().verify(signed(), GivenContent(content=b"other"))
    assert found.result == "failed"
    assert [name for name, passed in checks(found).items() if passed is False] == ["content"]


async def test_a_value_of_another_key_is_not_intact() -> None:
    """Whoever lacks the key cannot sign."""
    found = await verification().verify(signed(key="other"), GIVEN)
    assert found.result == "failed"
    assert checks(found)["intact"] is False


async def test_a_foreign_authority_is_not_trusted() -> None:
    """However well it is made, and whatever roots come along."""
    found = await verification().verify(signed(MemoryPki(name="foreign")), GIVEN)
    assert found.result == "failed"
    assert checks(found)["intact"] is True
    assert checks(found)["trusted_path"] is False


async def test_a_revoked_one_fails_and_an_unknown_status_is_no_yes() -> None:
    """Both are told apart."""
    serial = 4711
    revoked = await verification(crl=PKI.crl(serial)).verify(signed(serial=serial), GIVEN)
    assert checks(revoked)["not_revoked"] is False
    away = await verification(crl=None).verify(signed(), GIVEN)
    assert away.result != "verified"
    assert checks(away)["not_revoked"] is not True


async def test_another_certificate_than_the_given_one_fails() -> None:
    """Who names a certificate wants that one."""
    given = evolve(GIVEN, certificate=PKI.issuer)
    found = await verification().verify(signed(), given)
    assert checks(found)["structure"] is False


async def test_a_bare_value_is_verified_with_content_and_certificate() -> None:
    """By its format's name, since nobody recognises it."""
    given = evolve(GIVEN, certificate=PKI.holder())
    found = await verification().verify(PKI.sign(CONTENT), given, "pkcs1")
    assert found.result == "verified"


@pytest.mark.parametrize(
    ("data", "format_", "code"),
    [
        (b"noise", None, "artifact_unreadable"),
        (b"noise", "cades", "artifact_unreadable"),
        (b"noise", "jades", "request_invalid"),
    ],
)
async def test_what_is_no_signed_file_is_refused(
    data: bytes, format_: str | None, code: str
) -> None:
    """An error, since there is no signature that a report could be of."""
    with pytest.raises(GatewayError) as caught:
        await verification().verify(data, GIVEN, format_)
    assert caught.value.code == code


class EmptyReader:
    """Finds nothing in anything."""

    name = "empty"

    def recognises(self, data: bytes) -> bool:
        """Everything."""
        return bool(data)

    def read(self, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """Nothing."""
        del data, given
        return ()


async def test_a_file_without_any_signature_is_no_good_file() -> None:
    """Where nothing failed because nothing is there, nobody says verified."""
    with pytest.raises(GatewayError, match="without any signature"):
        await verification(readers={"empty": EmptyReader()}).verify(b"x", GIVEN)
