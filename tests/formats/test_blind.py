"""What must not be signed as a document's own bytes (security rule 8)."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from asn1crypto import cms
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.statements import registration_statement
from moica_gateway.domain.values import DocumentId
from moica_gateway.errors import GatewayError, RequestError
from moica_gateway.formats import CadesFormat, Pkcs1Format
from moica_gateway.formats.blind import refuse_blind
from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki()
HINT = "公文文號：1153000165 驗證碼：42"
CONTEXT = SignContext(hint=HINT, at=PKI.at, certificate=PKI.holder(), chain=(PKI.issuer,))
DOCUMENT = Document(id=DocumentId("d"), number="1", sha256="00" * 32)
ATTRIBUTES = CadesFormat().prepare(DOCUMENT, None, CONTEXT).message.message
STATEMENT = registration_statement("t", "u", "00", HINT, PKI.at)
DSIG = "http://www.w3.org/2000/09/xmldsig#"


def with_attribute(attribute: str) -> bytes:
    """Our attributes and one more that a library cannot read and a verifier skips."""
    parts = [bytes(a.dump()) for a in cms.CMSAttributes.load(ATTRIBUTES)]
    body = b"".join(sorted([*parts, bytes.fromhex(attribute)]))
    return b"\x31\x82" + len(body).to_bytes(2, "big") + body


def digest_info(algorithm: str, digest: bytes) -> bytes:
    """SEQUENCE { AlgorithmIdentifier, OCTET STRING }."""
    body = bytes.fromhex(algorithm) + b"\x04" + bytes([len(digest)]) + digest
    return b"\x30" + bytes([len(body)]) + body


BLIND: list[tuple[str, bytes, str]] = [
    ("CMS attributes", ATTRIBUTES, "CMS"),
    ("as they stand in SignerInfo", b"\xa0" + ATTRIBUTES[1:], "CMS"),
    ("with an unreadable one", with_attribute("301106092b0601040182375801310480020101"), "CMS"),
    ("with more behind them", ATTRIBUTES + b"\x00", "CMS"),
    ("of indefinite length", b"\x31\x80" + ATTRIBUTES[4:] + b"\x00\x00", "CMS"),
    ("with a long length", b"\x31\x84\x00\x00" + ATTRIBUTES[2:], "CMS"),
    ("as a SEQUENCE OF", b"\x30" + ATTRIBUTES[1:], "DigestInfo"),
    (
        "DigestInfo SHA-256",
        digest_info("300d06096086480165030402010500", bytes(32)),
        "DigestInfo",
    ),
    ("without parameters", digest_info("300b0609608648016503040201", bytes(32)), "DigestInfo"),
    ("SHA-1", digest_info("300906052b0e03021a0500", bytes(20)), "DigestInfo"),
    ("SHA3-256", digest_info("300b0609608648016503040208", bytes(32)), "DigestInfo"),
    ("an unknown hash", digest_info("300b06092a864886f70d010199", bytes(8)), "DigestInfo"),
    ("SignedInfo", f'<SignedInfo xmlns="{DSIG}"></SignedInfo>'.encode(), "SignedInfo"),
    ("with a prefix", f'<ds:SignedInfo xmlns:ds="{DSIG}"/>'.encode(), "SignedInfo"),
    ("a prefix of ideographs", f'<簽:SignedInfo xmlns:簽="{DSIG}"/>'.encode(), "SignedInfo"),
    ("with a declaration", b'<?xml version="1.0"?>\n<SignedInfo>', "SignedInfo"),
    ("after a comment", b"<!-- -->\n<ds:SignedInfo\n>", "SignedInfo"),
    ("in UTF-16", "<ds:SignedInfo>".encode("utf-16"), "SignedInfo"),
    ("in UTF-32", "<ds:SignedInfo>".encode("utf-32-be"), "SignedInfo"),
    ("a statement", STATEMENT, "statement"),
    ("after space", b"\r\n\t " + STATEMENT, "statement"),
    ("after a byte order mark", b"\xef\xbb\xbf" + STATEMENT, "statement"),
    ("in capitals", STATEMENT.upper(), "statement"),
    ("a statement in UTF-16", STATEMENT.decode().encode("utf-16"), "statement"),
    ("one of a later kind", b"moica-gateway statement v9: authentication", "statement"),
]


@pytest.mark.parametrize(("content", "what"), [b[1:] for b in BLIND], ids=[b[0] for b in BLIND])
def test_what_is_itself_to_be_signed_is_refused(content: bytes, what: str) -> None:
    """However it is dressed up, and the problem names what it was taken for."""
    document = Document(id=DocumentId("d"), number="1", sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(RequestError) as raised:
        Pkcs1Format().prepare(document, content, CONTEXT)
    assert raised.value.code == "blind_signing_refused"
    assert what in raised.value.problem.detail


PLAIN = [
    "檢送本校資訊安全教育訓練實施計畫".encode(),
    b"0",
    b"1",
    b"1153000165",
    b"1" * 51,
    b"0.0" * 100,
    b"<?xml version='1.0'?><doc><SignedInformation/></doc>",
    b"about SignedInfo and DigestInfo",
    b"This is no moica-gateway statement",
    b"%PDF-1.7",
    b"\x31",
    b"\x30\x03\x02\x01\x05",
    b"\xa0",
    bytes(32),
]


@pytest.mark.parametrize("content", PLAIN)
def test_plain_content_is_let_through(content: bytes) -> None:
    """Text that only looks a little like it."""
    refuse_blind(content)


def test_our_own_statement_is_signed_where_we_say_so() -> None:
    """A registration's, by the service and never by a caller."""
    document = Document(id=DocumentId("d"), number="", sha256=hashlib.sha256(STATEMENT).hexdigest())
    context = SignContext(hint=HINT, at=PKI.at, statement=True)
    assert Pkcs1Format().prepare(document, STATEMENT, context).message.message == STATEMENT


@given(st.binary(max_size=768))
def test_random_content_raises_nothing_foreign(content: bytes) -> None:
    """Refused or let through."""
    with contextlib.suppress(GatewayError):
        refuse_blind(content)


@given(
    st.binary(min_size=0, max_size=300),
    st.sampled_from([b"\x31", b"\xa0", b"\x30"]),
    st.booleans(),
)
def test_whatever_begins_like_attributes_is_refused(rest: bytes, tag: bytes, long: bool) -> None:
    """Whatever follows the first type."""
    first = b"\x30\x0b\x06\x09" + rest
    length = b"\x82" + len(first).to_bytes(2, "big") if long else bytes([len(first) & 0x7F])
    with pytest.raises(GatewayError):
        refuse_blind(tag + length + first)
