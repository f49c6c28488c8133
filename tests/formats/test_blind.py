"""No blind signing: what is itself something to be signed is refused."""

from __future__ import annotations

import hashlib

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.statements import registration_statement
from moica_gateway.domain.values import DocumentId
from moica_gateway.errors import GatewayError
from moica_gateway.formats import CadesFormat, Pkcs1Format
from moica_gateway.formats.blind import refuse_blind
from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki()
CONTEXT = SignContext(hint="h", at=PKI.at, certificate=PKI.holder(), chain=(PKI.issuer,))
XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"


def tlv(tag: int, *parts: bytes) -> bytes:
    """DER."""
    inner = b"".join(parts)
    length = bytes([len(inner)]) if len(inner) < 128 else b"\x81" + bytes([len(inner)])
    return bytes([tag]) + length + inner


def oid(dotted: str) -> bytes:
    """DER."""
    return bytes(core.ObjectIdentifier(dotted).dump())


def attribute(type_: str, *values: bytes) -> bytes:
    """One CMS attribute, well-formed outside."""
    return tlv(0x30, oid(type_), tlv(0x31, *values))


DIGEST = tlv(0x04, bytes(32))
SHA256 = oid("2.16.840.1.101.3.4.2.1")
CONTENT_TYPE = attribute("1.2.840.113549.1.9.3", oid("1.2.840.113549.1.7.1"))
MESSAGE_DIGEST = attribute("1.2.840.113549.1.9.4", DIGEST)
ATTRIBUTES = CONTENT_TYPE + MESSAGE_DIGEST
INTEGER = tlv(0x02, b"\x05")
STATEMENT = registration_statement("t", "u", "00", "h", PKI.at)
OURS = (
    CadesFormat()
    .prepare(
        Document(id=DocumentId("d"), number="1", sha256=hashlib.sha256(b"x").hexdigest()),
        None,
        CONTEXT,
    )
    .message.message
)

BLIND = {
    "the attributes of cades": OURS,
    "the same with the tag inside SignerInfo": b"\xa0" + OURS[1:],
    "attributes": tlv(0x31, ATTRIBUTES),
    "attributes of indefinite length": b"\x31\x80" + ATTRIBUTES + b"\x00\x00",
    "with a malformed signing time": tlv(
        0x31, ATTRIBUTES, attribute("1.2.840.113549.1.9.5", INTEGER)
    ),
    "with a malformed signing certificate": tlv(
        0x31, ATTRIBUTES, attribute("1.2.840.113549.1.9.16.2.47", INTEGER)
    ),
    "with an attribute of no values": tlv(0x31, ATTRIBUTES, attribute("1.2.3.4")),
    "with an attribute that nobody knows": tlv(0x31, ATTRIBUTES, attribute("1.2.3.4", INTEGER)),
    "DigestInfo": tlv(0x30, tlv(0x30, SHA256, b"\x05\x00"), DIGEST),
    "DigestInfo without parameters": tlv(0x30, tlv(0x30, SHA256), DIGEST),
    "DigestInfo with odd parameters": tlv(0x30, tlv(0x30, SHA256, INTEGER), DIGEST),
    "DigestInfo of SHA-1": tlv(
        0x30, tlv(0x30, oid("1.3.14.3.2.26"), b"\x05\x00"), tlv(0x04, bytes(20))
    ),
    "DigestInfo of an unknown algorithm": tlv(0x30, tlv(0x30, oid("1.2.3")), DIGEST),
    "SignedInfo": f'<SignedInfo xmlns="{XMLDSIG}"></SignedInfo>'.encode(),
    "SignedInfo with a prefix": f'<ds:SignedInfo xmlns:ds="{XMLDSIG}"/>'.encode(),
    "SignedInfo with a prefix in Chinese": f'<簽:SignedInfo xmlns:簽="{XMLDSIG}"/>'.encode(),
    "SignedInfo in UTF-16": f'<ds:SignedInfo xmlns:ds="{XMLDSIG}"/>'.encode("utf-16"),
    "SignedInfo in UTF-32": f'<ds:SignedInfo xmlns:ds="{XMLDSIG}"/>'.encode("utf-32-be"),
    "SignedInfo further inside": f"<a>\n<SignedInfo\txmlns='{XMLDSIG}'/></a>".encode(),
    "a statement of ours": STATEMENT,
    "a statement behind spaces": b"\n " + STATEMENT,
    "a statement behind a byte order mark": b"\xef\xbb\xbf" + STATEMENT,
}


@pytest.mark.parametrize("content", list(BLIND.values()), ids=list(BLIND))
def test_what_is_itself_to_be_signed_is_refused(content: bytes) -> None:
    """Security rule 8."""
    document = Document(id=DocumentId("d"), number="1", sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(GatewayError) as raised:
        Pkcs1Format().prepare(document, content, CONTEXT)
    assert (raised.value.code, raised.value.problem.status) == ("blind_signing_refused", 422)


DOCUMENTS = {
    "text": "主旨：檢送實施計畫一份，請查照。".encode(),
    "text that begins as DER would": b"1. first point\n2. second point",
    "text that begins with a zero": b"0123456789",
    "XML": "<公文><文號>1153000165</文號></公文>".encode(),
    "the word alone": b"about SignedInfo and its use",
    "a SET of something else": tlv(0x31, INTEGER),
    "an empty SET": b"\x31\x00",
    "attributes that are cut off": tlv(0x31, ATTRIBUTES)[:-1],
    "our name inside": b"see: moica-gateway statement",
}


@pytest.mark.parametrize("content", list(DOCUMENTS.values()), ids=list(DOCUMENTS))
def test_a_document_is_signed(content: bytes) -> None:
    """The rule does not stand in the way of what it is for."""
    document = Document(id=DocumentId("d"), number="1", sha256=hashlib.sha256(content).hexdigest())
    assert Pkcs1Format().prepare(document, content, CONTEXT).message.message == content


@given(st.sampled_from([b"", b"\x30", b"\x31", b"\xa0", OURS[:40]]), st.binary(max_size=80))
def test_whatever_comes_raises_nothing_foreign(start: bytes, rest: bytes) -> None:
    """It is refused, or it is a document."""
    try:
        refuse_blind(start + rest)
    except GatewayError as e:
        assert e.code == "blind_signing_refused"  # noqa: PT017 - both outcomes are allowed


def test_deep_nesting_is_no_way_out() -> None:
    """A tower of sequences is read without falling over."""
    for tag in (0x30, 0x31):
        content = b""
        for _ in range(60):
            content = tlv(tag, content)
        refuse_blind(content)
