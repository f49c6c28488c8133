"""What the reader says of a CMS ``SignedData``: ours, OpenSSL's, and what somebody meddled with."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from attrs import evolve
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from moica_gateway.domain.models import Document, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent
from moica_gateway.domain.values import DocumentId, HashAlgorithm
from moica_gateway.errors import GatewayError
from moica_gateway.formats import CadesFormat, Pkcs1Reader, readers_by_name
from moica_gateway.formats.cms_reading import CadesReader
from moica_gateway.testing.pki import MemoryPki

PKI = MemoryPki(name="reading")
KEY = "holder-reading"
HOLDER = PKI.holder(key=KEY)
CONTENT = "檢送本校資訊安全教育訓練實施計畫\r\n".encode()
HINT = "公文文號：1153000165 驗證碼：42"
CONTEXT = SignContext(hint=HINT, at=PKI.at, certificate=HOLDER, chain=(PKI.issuer,))


def ours() -> bytes:
    """As the gateway makes it."""
    document = Document(
        id=DocumentId("d"), number="1153000165", sha256=hashlib.sha256(CONTENT).hexdigest()
    )
    prepared = CadesFormat().prepare(document, None, CONTEXT)
    value = PKI.sign(prepared.message.message, KEY)
    return CadesFormat().finish(prepared, value, CONTEXT).data


OURS = ours()


def read(data: bytes = OURS, **given_: Any) -> FoundSignature:
    """The only one."""
    (found,) = CadesReader().read(data, GivenContent(**given_))
    return found


GOOD = read(content=CONTENT)


def refused(data: bytes) -> str:
    """Why it cannot be read."""
    with pytest.raises(GatewayError) as caught:
        CadesReader().read(data, GivenContent())
    assert caught.value.code == "artifact_unreadable"
    return str(caught.value)


def holds(found: FoundSignature) -> bool:
    """Whether the value verifies over what the reader says was signed, by a library."""
    key = x509.load_der_x509_certificate(found.certificate).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    sha384 = found.message.hash_algorithm is HashAlgorithm.SHA384
    algorithm = hashes.SHA384() if sha384 else hashes.SHA256()
    try:
        key.verify(found.signature, found.message.message, padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    return True


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    """With something else inside, encoded as cleanly as before."""
    outer = cms.ContentInfo.load(data, strict=True)
    change(outer["content"])
    return bytes(outer.dump(force=True))


def place_of_holder(signed: Any) -> int:
    """Among the certificates."""
    return next(at for at, one in enumerate(signed["certificates"]) if one.chosen.dump() == HOLDER)


def without_holder(signed: Any) -> None:
    """Takes the certificate away."""
    del signed["certificates"][place_of_holder(signed)]


def secret_of(key: str) -> bytes:
    """PEM of a private key."""
    return PKI.key(key).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def openssl(folder: Path, *options: str) -> bytes:
    """Signed by OpenSSL over `CONTENT`."""
    (folder / "key.pem").write_bytes(secret_of("holder"))
    certificate = x509.load_der_x509_certificate(HOLDER)
    (folder / "holder.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "content").write_bytes(CONTENT)
    asked = ["openssl", "cms", "-sign", "-binary", "-in", "content", "-signer", "holder.pem"]
    asked += ["-inkey", "key.pem", "-outform", "DER", *options]
    return subprocess.run(asked, cwd=folder, capture_output=True, check=True).stdout


def test_our_own_is_read_whole() -> None:
    """Certificate, chain, value, hint, level and claimed time are those that went in."""
    found = read(content=CONTENT)
    assert found.certificate == CONTEXT.certificate
    assert found.chain == (PKI.issuer,)
    assert found.hint is not None
    assert found.hint.startswith(HINT)
    assert (found.level, found.claimed_at) == ("B-B", PKI.at)
    assert (found.content_matches, found.problems, found.blind) == (True, (), False)
    assert holds(found)


@pytest.mark.parametrize(
    ("given_", "matches"),
    [
        ({}, None),
        ({"content": CONTENT + b" "}, False),
        ({"sha256": hashlib.sha256(CONTENT).digest()}, True),
        ({"sha256": bytes(32)}, False),
        ({"content": CONTENT, "sha256": bytes(32)}, False),
    ],
)
def test_content_is_held_against_the_signed_digest(given_: Any, matches: bool | None) -> None:
    """Without content nobody says that it fits; with one that differs nobody says so either."""
    assert read(**given_).content_matches is matches


@pytest.mark.parametrize(
    "options", [("-cades",), (), ("-cades", "-md", "sha384"), ("-cades", "-nodetach")]
)
def test_openssls_is_read(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A stranger's, detached or not, with the attributes of CAdES or without."""
    given_ = {} if "-nodetach" in options else {"content": CONTENT}
    found = read(openssl(tmp_path, *options), **given_)
    assert holds(found)
    assert found.content_matches is True
    assert found.problems == ()
    assert found.level == ("B-B" if "-cades" in options else None)


def test_several_signers_are_told_apart(tmp_path: Path) -> None:
    """Each has its own name and its own value."""
    other = x509.load_der_x509_certificate(PKI.holder(key="other-reading", serial=77))
    (tmp_path / "other.pem").write_bytes(other.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "other.key").write_bytes(secret_of("other"))
    both = openssl(tmp_path, "-cades", "-signer", "other.pem", "-inkey", "other.key")
    found = CadesReader().read(both, GivenContent(content=CONTENT))
    assert [one.name for one in found] == ["signer 1", "signer 2"]
    assert len({one.certificate for one in found}) == 2
    assert all(one.content_matches and holds(one) for one in found)


def test_a_content_inside_that_is_another_than_the_given_is_a_problem(tmp_path: Path) -> None:
    """Two contents leave open which of them was signed."""
    found = read(openssl(tmp_path, "-cades", "-nodetach"), content=CONTENT + b"!")
    assert any("another content" in problem for problem in found.problems)


def test_sha1_is_a_problem(tmp_path: Path) -> None:
    """What is made with SHA-1 is never taken for good."""
    found = read(openssl(tmp_path, "-md", "sha1"), content=CONTENT)
    assert any("SHA-1" in problem for problem in found.problems)


def test_pss_is_a_problem(tmp_path: Path) -> None:
    """A value of another kind is said to be one, and not checked as if it were ours."""
    found = read(openssl(tmp_path, "-keyopt", "rsa_padding_mode:pss"), content=CONTENT)
    assert any("PKCS#1 v1.5" in problem for problem in found.problems)


def test_a_swapped_certificate_is_a_problem() -> None:
    """The signed attributes name the certificate; another of the same issuer and serial fails."""
    other = PKI.holder(
        last_four="1111", serial=x509.load_der_x509_certificate(CONTEXT.certificate).serial_number
    )

    def swap(signed: Any) -> None:
        signed["certificates"][place_of_holder(signed)] = cms.CertificateChoices.load(other)

    assert any("another certificate" in p for p in read(changed(OURS, swap)).problems)


def test_a_doubled_digest_is_a_problem() -> None:
    """Two message digests among what is signed let a reader choose."""

    def double(signed: Any) -> None:
        attributes = signed["signer_infos"][0]["signed_attrs"]
        digest = next(a for a in attributes if a["type"].native == "message_digest")
        attributes.append(digest.copy())

    found = read(changed(OURS, double), content=CONTENT)
    assert any("exactly one message_digest" in problem for problem in found.problems)
    assert found.content_matches is False


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "another encoding"),
        (b"%PDF-1.7", "another encoding"),
        (OURS[:-1], "another encoding"),
        (OURS + b"\0", "another encoding"),
        (b"0\x80" + OURS[4:] + b"\0\0", "another encoding"),
        (changed(OURS, without_holder), "without its signer's certificate"),
        (changed(OURS, lambda signed: signed.__setitem__("signer_infos", [])), "0 signers"),
    ],
)
def test_what_cannot_be_read_in_one_way_is_refused(data: bytes, words: str) -> None:
    """With one code, and words that say what came."""
    assert words in refused(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_byte_never_becomes_a_good_signature(data: st.DataObject) -> None:
    """Either it is refused, or something of it no longer holds, or it was outside what is signed
    and certified."""
    place = data.draw(st.integers(0, len(OURS) - 1))
    meddled = bytearray(OURS)
    meddled[place] ^= data.draw(st.integers(1, 255))
    found: FoundSignature | None = None
    with contextlib.suppress(GatewayError):
        found = read(bytes(meddled), content=CONTENT)
    if found is None or found.problems or not found.content_matches:
        return
    if found.certificate == GOOD.certificate and holds(found):
        assert (found.message, found.signature) == (GOOD.message, GOOD.signature)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_noise_has_the_one_error(noise: bytes) -> None:
    """No foreign exception."""
    refused(noise)


def test_readers_recognise_their_own() -> None:
    """A CMS by its type, a PDF by its header, a bare value by nobody."""
    readers = readers_by_name()
    seen = {
        name: [reader.name for reader in readers.values() if reader.recognises(data)]
        for name, data in {"cms": OURS, "pdf": b"%PDF-1.7\n", "bare": bytes(256)}.items()
    }
    assert seen == {"cms": ["cades"], "pdf": ["pades"], "bare": []}


def test_a_bare_value_needs_content_and_certificate() -> None:
    """Which of them is missing is said; with both it is held against the content."""
    value = PKI.sign(CONTENT, KEY)
    whole = GivenContent(content=CONTENT, certificate=HOLDER)
    for lacking, words in (
        (evolve(whole, content=None), "the content is missing"),
        (evolve(whole, certificate=None), "its certificate is missing"),
    ):
        with pytest.raises(GatewayError, match=words) as caught:
            Pkcs1Reader().read(value, lacking)
        assert caught.value.code == "artifact_unreadable"
    (found,) = Pkcs1Reader().read(value, whole)
    assert holds(found)
    assert found.content_matches is True
    (other,) = Pkcs1Reader().read(value, evolve(whole, sha256=bytes(32)))
    assert other.content_matches is False
