"""CAdES as OpenSSL sees it, and what stands in the signed attributes."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, core, tsp
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.domain.hints import signature_hint
from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.values import DocumentId
from moica_gateway.errors import GatewayError
from moica_gateway.formats import CadesFormat, formats_by_name
from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki()
CONTENT = "檢送本校資訊安全教育訓練實施計畫\r\n".encode()
HINT = "公文文號：1153000165 驗證碼：42"
CONTEXT = SignContext(hint=HINT, at=PKI.at, certificate=PKI.holder(), chain=(PKI.issuer,))
ESS_V2 = "signing_certificate_v2"
CONTENT_HINT = "1.2.840.113549.1.9.16.2.4"


def document(content: bytes = CONTENT) -> Document:
    """With that content's digest."""
    return Document(
        id=DocumentId("d"), number="1153000165", sha256=hashlib.sha256(content).hexdigest()
    )


def message(context: SignContext = CONTEXT) -> bytes:
    """What the key has to cover."""
    return CadesFormat().prepare(document(), None, context).message.message


def signed(context: SignContext = CONTEXT, key: str = "holder") -> bytes:
    """The whole artifact."""
    prepared = CadesFormat().prepare(document(), None, context)
    return CadesFormat().finish(prepared, PKI.sign(prepared.message.message, key), context).data


def attributes(data: bytes) -> dict[str, Any]:
    """Values by type; every attribute has exactly one."""
    found = {}
    for attribute in cms.CMSAttributes.load(data, strict=True):
        assert len(attribute["values"]) == 1
        found[attribute["type"].native] = attribute["values"][0]
    return found


def described(data: bytes) -> str:
    """The text of ContentHints."""
    value = attributes(data)[CONTENT_HINT].parse(spec=core.Sequence)
    assert value[1].dotted == "1.2.840.113549.1.7.1"
    assert isinstance(value[0], core.UTF8String)
    return str(value[0].native)


def openssl(tmp_path: Path, artifact: bytes, content: bytes) -> subprocess.CompletedProcess[bytes]:
    """The judge that is not us."""
    (tmp_path / "a.p7s").write_bytes(artifact)
    (tmp_path / "c").write_bytes(content)
    (tmp_path / "root.pem").write_bytes(PKI.root_pem)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades"]
    command += ["-in", "a.p7s", "-content", "c", "-CAfile", "root.pem", "-purpose", "any"]
    command += ["-attime", str(int(PKI.at.timestamp()))]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)


def test_openssl_accepts_it(tmp_path: Path) -> None:
    """Detached, with the intermediate inside, checked against the root alone."""
    found = openssl(tmp_path, signed(), CONTENT)
    assert found.returncode == 0, found.stderr.decode()
    assert found.stdout == CONTENT


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_document_of_any_size_is_signed(tmp_path: Path, size: int) -> None:
    """By its digest."""
    content = b"\x00" * size
    prepared = CadesFormat().prepare(document(content), None, CONTEXT)
    artifact = CadesFormat().finish(prepared, PKI.sign(prepared.message.message), CONTEXT)
    assert openssl(tmp_path, artifact.data, content).returncode == 0


TAMPERED: list[tuple[str, bytes, bytes]] = [
    ("the content", signed(), CONTENT + b" "),
    ("the hint", signed().replace(b"1153000165", b"1153000166"), CONTENT),
    ("the time", signed().replace(b"260429065811Z", b"260429065812Z"), CONTENT),
    ("the signature", signed(key="somebody else"), CONTENT),
    (
        "the certificate named",
        signed().replace(hashlib.sha256(PKI.holder()).digest(), bytes(32)),
        CONTENT,
    ),
]


@pytest.mark.parametrize(
    ("artifact", "content"), [t[1:] for t in TAMPERED], ids=[t[0] for t in TAMPERED]
)
def test_openssl_refuses_a_tampered_one(tmp_path: Path, artifact: bytes, content: bytes) -> None:
    """Whatever was changed in it."""
    assert artifact != signed() or content != CONTENT
    assert openssl(tmp_path, artifact, content).returncode != 0


def test_the_intermediate_is_needed_inside(tmp_path: Path) -> None:
    """Whoever checks it has the root alone."""
    alone = signed(evolve(CONTEXT, chain=()))
    assert openssl(tmp_path, alone, CONTENT).returncode != 0


def test_openssl_wants_the_ess_attribute_and_finds_ours(tmp_path: Path) -> None:
    """Another certificate of the same key and serial number is refused by -cades."""
    other = PKI.holder(common_name="王大明")
    assert other != PKI.holder()
    data = signed()
    info = cms.ContentInfo.load(data)
    certificates = info["content"]["certificates"]
    certificates[0] = cms.CertificateChoices.load(other)
    found = openssl(tmp_path, info.dump(force=True), CONTENT)
    assert found.returncode != 0


def test_the_attributes_are_exactly_those_of_b_b_and_the_hint() -> None:
    """Each once; no signature policy."""
    assert set(attributes(message())) == {
        "content_type",
        "message_digest",
        "signing_time",
        ESS_V2,
        CONTENT_HINT,
    }


def test_type_digest_and_time_are_the_documents() -> None:
    """The time in UTC and whole seconds."""
    found = attributes(message())
    assert found["content_type"].native == "data"
    assert found["message_digest"].native == hashlib.sha256(CONTENT).digest()
    assert found["signing_time"].native == PKI.at


def test_the_ess_hash_is_the_certificates() -> None:
    """SHA-256 of the whole DER, by default and so not written; issuer and serial number, too."""
    value = attributes(message())[ESS_V2]
    assert isinstance(value, tsp.SigningCertificateV2)
    (only,) = value["certs"]
    assert only["cert_hash"].native == hashlib.sha256(PKI.holder()).digest()
    assert only["issuer_serial"]["serial_number"].native == 0x1234
    # DER leaves a default out: ESSCertIDv2 begins with the hash.
    assert only.contents.startswith(b"\x04\x20")


def test_the_hint_stands_inside_what_is_signed_and_says_test() -> None:
    """Nobody can deny having seen it; outside production it says 測試."""
    for environment in ("simulator", "uat", "anything else"):
        text = described(message(evolve(CONTEXT, environment=environment)))
        assert text == f"{HINT}（測試，無法律效力 NOT FOR PRODUCTION）"
    assert described(message(evolve(CONTEXT, environment="production"))) == HINT


def test_the_attributes_are_in_the_order_of_der() -> None:
    """A verifier encodes them anew: another order would be other bytes."""
    parts = [bytes(a.dump()) for a in cms.CMSAttributes.load(message())]
    assert parts == sorted(parts)
    assert message()[0] == 0x31


def test_the_attributes_inside_are_the_bytes_that_were_signed() -> None:
    """Only the tag differs: 0x31 signed, 0xA0 inside SignerInfo."""
    info = cms.ContentInfo.load(signed())
    (signer,) = info["content"]["signer_infos"]
    assert signer["signed_attrs"].dump() == b"\xa0" + message()[1:]
    assert signer["signed_attrs"].untag().dump() == message()


def test_certificates_are_the_leaf_and_its_chain_and_no_root() -> None:
    """The content is detached."""
    content = cms.ContentInfo.load(signed())["content"]
    inside = {c.chosen.dump() for c in content["certificates"]}
    assert inside == {PKI.holder(), PKI.issuer}
    assert content["encap_content_info"]["content"].native is None


def test_equal_requests_have_equal_bytes() -> None:
    """Nothing random, nothing of the moment of making but ``at``."""
    assert message() == message()
    assert message() != message(evolve(CONTEXT, at=PKI.at + timedelta(seconds=1)))
    assert message() == message(evolve(CONTEXT, at=PKI.at + timedelta(microseconds=1)))


TIMES: list[tuple[datetime, bytes]] = [
    (datetime(2026, 4, 29, 14, 58, 11, tzinfo=timezone(timedelta(hours=8))), b"260429065811Z"),
    (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), b"491231235959Z"),
    (datetime(2050, 1, 1, tzinfo=UTC), b"20500101000000Z"),
]


@pytest.mark.parametrize(("at", "text"), TIMES)
def test_the_time_is_written_in_utc(at: datetime, text: bytes) -> None:
    """UTCTime through 2049, GeneralizedTime from then on."""
    tag = b"\x17" if len(text) == 13 else b"\x18"
    assert tag + bytes([len(text)]) + text in message(evolve(CONTEXT, at=at))


def test_the_longest_permitted_hint_fits() -> None:
    """Brand and number at their limits, all ideographs, outside production."""
    hint = signature_hint("42", "字" * 50, "國" * 20)
    longest = evolve(CONTEXT, hint=hint, certificate=PKI.holder(serial=2**159 - 1))
    size = len(message(longest))
    assert 500 < size <= 768


def test_more_than_768_bytes_is_refused_at_the_very_byte() -> None:
    """No allowed hint gets there; what does is an error before anything is sent."""
    room = 768 - len(message(evolve(CONTEXT, hint="x" * 300)))
    fits = "x" * (300 + room)
    assert len(message(evolve(CONTEXT, hint=fits))) == 768
    with pytest.raises(GatewayError) as raised:
        message(evolve(CONTEXT, hint=fits + "x"))
    assert raised.value.code == "document_too_large"


DOCUMENTS: list[tuple[str, Document, bytes | None, str]] = [
    ("another content", document(), b"another", "document_digest_mismatch"),
    ("digest too short", evolve(document(), sha256="00" * 31), None, "request_invalid"),
    ("no digest", evolve(document(), sha256="zz" * 32), None, "request_invalid"),
    ("an empty digest", evolve(document(), sha256=""), None, "request_invalid"),
    ("a digest with spaces", evolve(document(), sha256=" 00" * 32), None, "request_invalid"),
]


@pytest.mark.parametrize(
    ("given_document", "content", "code"), [d[1:] for d in DOCUMENTS], ids=[d[0] for d in DOCUMENTS]
)
def test_a_document_that_does_not_fit_is_refused(
    given_document: Document, content: bytes | None, code: str
) -> None:
    """Before anything is signed."""
    with pytest.raises(GatewayError) as raised:
        CadesFormat().prepare(given_document, content, CONTEXT)
    assert raised.value.code == code


def test_content_that_fits_its_digest_is_not_needed_and_not_refused() -> None:
    """The same bytes to sign with and without it."""
    assert CadesFormat().prepare(document(), CONTENT, CONTEXT).message.message == message()


def test_without_a_certificate_nothing_can_be_prepared() -> None:
    """That is why registration comes first."""
    with pytest.raises(GatewayError) as raised:
        message(evolve(CONTEXT, certificate=None))
    assert raised.value.code == "credential_missing"


def test_it_is_not_finished_with_another_certificate() -> None:
    """The one that is named inside what was signed, or none."""
    prepared = CadesFormat().prepare(document(), None, CONTEXT)
    other = evolve(CONTEXT, certificate=PKI.holder(serial=77))
    with pytest.raises(GatewayError) as raised:
        CadesFormat().finish(prepared, PKI.sign(prepared.message.message), other)
    assert raised.value.code == "certificate_changed"


@given(st.binary(max_size=300))
def test_certificates_that_cannot_be_read_raise_nothing_foreign(data: bytes) -> None:
    """As the signer's and in the chain."""
    with pytest.raises(GatewayError):
        message(evolve(CONTEXT, certificate=data))
    prepared = CadesFormat().prepare(document(), None, CONTEXT)
    with contextlib.suppress(GatewayError):
        CadesFormat().finish(prepared, b"s" * 256, evolve(CONTEXT, chain=(data,)))


def test_the_registry_names_every_format() -> None:
    """Under its own name, with what a service needs to know of it."""
    assert {name: (f.name, f.levels, f.needs_content) for name, f in formats_by_name().items()} == {
        "cades": ("cades", ("B-B",), False),
        "pades": ("pades", ("B-B",), True),
        "pkcs1": ("pkcs1", (), True),
        "pkcs7": ("pkcs7", (), True),
    }
