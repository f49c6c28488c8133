"""The bare signature over a document's own bytes."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.values import DocumentId
from moica_gateway.errors import RequestError
from moica_gateway.formats import Pkcs1Format
from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki()
CONTEXT = SignContext(hint="公文文號：1 驗證碼：42", at=PKI.at, certificate=PKI.holder())


def document(content: bytes) -> Document:
    """With that content's digest."""
    return Document(id=DocumentId("d"), number="1", sha256=hashlib.sha256(content).hexdigest())


def test_the_key_covers_the_document_itself_and_the_artifact_is_the_signature() -> None:
    """Anybody with the certificate can check it over the document's bytes."""
    content = "檢送計畫".encode()
    prepared = Pkcs1Format().prepare(document(content), content, CONTEXT)
    assert prepared.message.message == content
    artifact = Pkcs1Format().finish(prepared, PKI.sign(content), CONTEXT)
    key = x509.load_der_x509_certificate(PKI.holder()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(artifact.data, content, padding.PKCS1v15(), hashes.SHA256())
    assert artifact.media_type == "application/octet-stream"
    assert artifact.filename_extension == ".sig"


CONTENTS: list[tuple[str, bytes | None, str | None]] = [
    ("768 bytes", b"x" * 768, None),
    ("one byte", b"x", None),
    ("769 bytes", b"x" * 769, "document_too_large"),
    ("far too large", b"x" * 1_000_000, "document_too_large"),
    ("none", None, "request_invalid"),
    ("empty", b"", "request_invalid"),
]


@pytest.mark.parametrize(
    ("content", "code"), [c[1:] for c in CONTENTS], ids=[c[0] for c in CONTENTS]
)
def test_content_is_needed_and_has_at_most_768_bytes(
    content: bytes | None, code: str | None
) -> None:
    """1024 characters of base64."""
    if code is None:
        assert content is not None
        Pkcs1Format().prepare(document(content), content, CONTEXT)
        return
    with pytest.raises(RequestError) as raised:
        Pkcs1Format().prepare(document(content or b""), content, CONTEXT)
    assert raised.value.code == code


def test_content_of_another_digest_is_refused() -> None:
    """What is signed is what the document system said it was."""
    with pytest.raises(RequestError) as raised:
        Pkcs1Format().prepare(document(b"one"), b"two", CONTEXT)
    assert raised.value.code == "document_digest_mismatch"
