"""CAdES as OpenSSL sees it, and the bare signature."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from attrs import evolve

from moica_gateway.domain.hints import signature_hint
from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.statements import registration_statement
from moica_gateway.domain.values import DocumentId
from moica_gateway.errors import GatewayError
from moica_gateway.formats import CadesFormat, Pkcs1Format, formats_by_name
from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki()
CONTENT = "檢送本校資訊安全教育訓練實施計畫\r\n".encode()
HINT = "公文文號：1153000165 驗證碼：42"
CONTEXT = SignContext(hint=HINT, at=PKI.at, certificate=PKI.holder(), chain=(PKI.issuer,))


def document(content: bytes = CONTENT) -> Document:
    """With that content's digest."""
    return Document(
        id=DocumentId("d"), number="1153000165", sha256=hashlib.sha256(content).hexdigest()
    )


def openssl(tmp_path: Path, artifact: bytes, content: bytes) -> int:
    """The judge that is not us; 0 is good."""
    (tmp_path / "a.p7s").write_bytes(artifact)
    (tmp_path / "c").write_bytes(content)
    (tmp_path / "root.pem").write_bytes(PKI.root_pem)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-cades"]
    command += ["-in", "a.p7s", "-content", "c", "-CAfile", "root.pem", "-purpose", "any"]
    command += ["-attime", str(int(PKI.at.timestamp()))]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode


def test_openssl_accepts_it_and_refuses_a_tampered_one(tmp_path: Path) -> None:
    """Detached, with the intermediate inside; a changed content, attribute or signature, and a
    signature by another certificate, are refused."""
    format_ = CadesFormat()
    prepared = format_.prepare(document(), None, CONTEXT)
    signature = PKI.sign(prepared.message.message)
    artifact = format_.finish(prepared, signature, CONTEXT).data
    assert openssl(tmp_path, artifact, CONTENT) == 0
    assert openssl(tmp_path, artifact, CONTENT + b" ") != 0
    for inside in (b"1153000165", hashlib.sha256(CONTENT).digest(), signature):
        assert artifact.count(inside) == 1
        changed = artifact.replace(inside, inside[:-1] + bytes([inside[-1] ^ 1]))
        assert openssl(tmp_path, changed, CONTENT) != 0
    another = evolve(CONTEXT, certificate=PKI.holder(serial=77))
    assert openssl(tmp_path, format_.finish(prepared, signature, another).data, CONTENT) != 0
    alone = evolve(CONTEXT, chain=())
    assert openssl(tmp_path, format_.finish(prepared, signature, alone).data, CONTENT) != 0


def test_the_hint_stands_inside_what_is_signed_and_says_test() -> None:
    """Nobody can deny having seen it; outside production it says 測試."""
    message = CadesFormat().prepare(document(), None, CONTEXT).message.message
    assert HINT.encode() in message
    assert "測試".encode() in message
    production = evolve(CONTEXT, environment="production")
    assert (
        "測試".encode() not in CadesFormat().prepare(document(), None, production).message.message
    )


def test_the_attributes_inside_are_the_bytes_that_were_signed() -> None:
    """Only the tag differs: 0x31 signed, 0xA0 inside SignerInfo."""
    format_ = CadesFormat()
    prepared = format_.prepare(document(), None, CONTEXT)
    message = prepared.message.message
    assert message[0] == 0x31
    artifact = format_.finish(prepared, PKI.sign(message), CONTEXT).data
    assert b"\xa0" + message[1:] in artifact


def test_a_content_that_is_not_the_digests_is_refused() -> None:
    """Both were sent and disagree."""
    with pytest.raises(GatewayError) as raised:
        CadesFormat().prepare(document(), b"another", CONTEXT)
    assert raised.value.code == "document_digest_mismatch"


@pytest.mark.parametrize(("size", "code"), [(768, None), (769, "document_too_large")])
def test_pkcs1_covers_at_most_768_bytes(size: int, code: str | None) -> None:
    """1024 characters of base64."""
    content = b"x" * size
    if code is None:
        prepared = Pkcs1Format().prepare(document(content), content, CONTEXT)
        assert prepared.message.message == content
        return
    with pytest.raises(GatewayError) as raised:
        Pkcs1Format().prepare(document(content), content, CONTEXT)
    assert raised.value.code == code


def test_cades_signs_a_document_of_any_size_within_768_bytes() -> None:
    """The longest number, brand and serial fit; a hint beyond them is refused, not cut."""
    longest = evolve(
        CONTEXT,
        hint=signature_hint("42", "文" * 50, "校" * 20),
        certificate=PKI.holder(serial=2**159 - 1),
    )
    assert len(CadesFormat().prepare(document(), None, longest).message.message) <= 768
    with pytest.raises(GatewayError) as raised:
        CadesFormat().prepare(document(), None, evolve(CONTEXT, hint="文" * 200))
    assert raised.value.code == "document_too_large"


def test_cades_of_2050_still_has_a_time() -> None:
    """RFC 5652, 11.3: GeneralizedTime from then on."""
    late = evolve(CONTEXT, at=PKI.at.replace(year=2050))
    message = CadesFormat().prepare(document(), None, late).message.message
    assert b"\x18\x0f20500429065811Z" in message


def test_without_a_certificate_there_is_no_cades() -> None:
    """It stands inside what is signed."""
    with pytest.raises(GatewayError) as raised:
        CadesFormat().prepare(document(), None, evolve(CONTEXT, certificate=None))
    assert raised.value.code == "credential_missing"


@pytest.mark.parametrize("content", [None, b""])
def test_pkcs1_needs_the_content(content: bytes | None) -> None:
    """A digest alone is not what it covers."""
    with pytest.raises(GatewayError) as raised:
        Pkcs1Format().prepare(document(b""), content, CONTEXT)
    assert raised.value.code == "request_invalid"


def test_the_bare_signature_is_the_artifact() -> None:
    """As it came."""
    prepared = Pkcs1Format().prepare(document(), CONTENT, CONTEXT)
    assert Pkcs1Format().finish(prepared, b"signature", CONTEXT).data == b"signature"


def test_our_own_statement_is_signed_where_we_say_so() -> None:
    """A registration's."""
    content = registration_statement("t", "u" * 100, "00" * 16, HINT, PKI.at)
    context = evolve(CONTEXT, statement=True)
    assert Pkcs1Format().prepare(document(content), content, context).message.message == content


def test_the_registry_names_every_format_and_its_levels() -> None:
    """Under its own name; no level that is not made."""
    assert {name: (f.name, f.levels) for name, f in formats_by_name().items()} == {
        "cades": ("cades", ("B-B",)),
        "pkcs1": ("pkcs1", ()),
    }
