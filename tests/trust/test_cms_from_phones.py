"""A CMS that a phone made: believed only by its certificate, over what was asked for."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from asn1crypto import cms
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moica_gateway.domain.models import CertificateSignature, Expected
from moica_gateway.domain.values import HashAlgorithm, SignatureForm, Tbs
from moica_gateway.testing.pki import MemoryPki
from moica_gateway.trust.cms import unwrap

PKI = MemoryPki(name="phones")
KEY = "holder-phones"
HOLDER = PKI.holder(key=KEY)
CONTENT = "公文內容".encode()
ASKED = Tbs(message=CONTENT, form=SignatureForm.CMS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """``made(*options, content=…)``: by OpenSSL, with the holder's key."""
    folder = tmp_path_factory.mktemp("phone")
    secret = PKI.key("holder").private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(secret)
    parsed = x509.load_der_x509_certificate(HOLDER)
    (folder / "holder.pem").write_bytes(parsed.public_bytes(serialization.Encoding.PEM))

    def make(*options: str, content: bytes = CONTENT) -> bytes:
        (folder / "content").write_bytes(content)
        asked = ["openssl", "cms", "-sign", "-binary", "-in", "content", "-signer", "holder.pem"]
        asked += ["-inkey", "key.pem", "-outform", "DER", *options]
        return subprocess.run(asked, cwd=folder, capture_output=True, check=True).stdout

    return make


async def code(court: Any, signed: bytes, asked: Tbs = ASKED, certificate: bytes = HOLDER) -> Any:
    """The problem's, None where it is accepted."""
    proof = CertificateSignature(
        unverified_certificate=certificate,
        unverified_signatures=(signed,),
        hashed_id_num="h1",
        raw=b"",
    )
    expected = Expected(messages=(asked,), last_four="6789", at=court.clock.now())
    return await court.code(proof, expected)


@pytest.fixture
def court(court_of: Callable[..., Any]) -> Any:
    """Anchored at the phones' authority."""
    return court_of(of=PKI)


@pytest.mark.parametrize("options", [(), ("-nodetach",), ("-noattr",), ("-noattr", "-nodetach")])
async def test_attached_or_detached_with_attributes_or_without(
    court: Any, made: Callable[..., bytes], options: tuple[str, ...]
) -> None:
    """All four ways in which it may come are believed."""
    assert await code(court, made(*options)) is None


@pytest.mark.parametrize("options", [(), ("-nodetach",), ("-nodetach", "-noattr")])
async def test_another_content_is_refused(
    court: Any, made: Callable[..., bytes], options: tuple[str, ...]
) -> None:
    """Well signed, and not what was asked for."""
    other = made(*options, content=CONTENT + b"!")
    assert await code(court, other) == "signature_malformed"


async def test_a_detached_value_over_another_content_is_told_as_tampered(
    court: Any, made: Callable[..., bytes]
) -> None:
    """Without attributes and content only the value tells."""
    assert await code(court, made("-noattr", content=b"other")) == "upstream_tampered"


async def test_another_hash_than_the_one_that_was_asked_for_is_refused(
    court: Any, made: Callable[..., bytes]
) -> None:
    """Also a stronger one: it is not the answer to what was asked."""
    assert await code(court, made("-md", "sha384")) == "signature_malformed"
    stronger = evolve(ASKED, hash_algorithm=HashAlgorithm.SHA384)
    assert await code(court, made("-md", "sha384"), stronger) is None


@pytest.mark.parametrize(
    "options",
    [
        ("-noattr", "-md", "sha384"),
        ("-keyopt", "rsa_padding_mode:pss"),
        ("-nodetach", "-stream"),
    ],
)
async def test_another_kind_of_value_or_encoding_is_refused(
    court: Any, made: Callable[..., bytes], options: tuple[str, ...]
) -> None:
    """Another hash without attributes, PSS, and indefinite lengths: by its form, not by luck."""
    assert await code(court, made(*options)) == "signature_malformed"


async def test_another_certificate_beside_it_is_refused(
    court: Any, made: Callable[..., bytes]
) -> None:
    """The signer that the CMS names is the certificate that came, or nobody's."""
    other = PKI.holder(key=KEY, serial=77)
    assert await code(court, made(), certificate=other) == "signature_malformed"


async def test_a_bare_value_is_no_cms_and_a_cms_no_bare_value(
    court: Any, made: Callable[..., bytes]
) -> None:
    """What was asked for decides how it is read."""
    assert await code(court, PKI.sign(CONTENT, KEY)) == "signature_malformed"
    assert await code(court, made(), Tbs(message=CONTENT)) == "signature_malformed"


def test_two_signers_doubled_missing_or_other_attributes_are_refused(
    made: Callable[..., bytes],
) -> None:
    """Where a reader would have to choose there is nothing to believe."""

    def changed(change: Callable[[Any], object]) -> bytes:
        outer = cms.ContentInfo.load(made(), strict=True)
        change(outer["content"])
        return bytes(outer.dump(force=True))

    def double_signer(signed: Any) -> None:
        signed["signer_infos"].append(signed["signer_infos"][0].copy())

    def double_digest(signed: Any) -> None:
        attributes = signed["signer_infos"][0]["signed_attrs"]
        digest = next(a for a in attributes if a["type"].native == "message_digest")
        attributes.append(digest.copy())

    def without_digest(signed: Any) -> None:
        attributes = signed["signer_infos"][0]["signed_attrs"]
        place = next(i for i, a in enumerate(attributes) if a["type"].native == "message_digest")
        del attributes[place]

    def other_type(signed: Any) -> None:
        attributes = signed["signer_infos"][0]["signed_attrs"]
        kind = next(a for a in attributes if a["type"].native == "content_type")
        kind["values"] = ["signed_data"]

    assert unwrap(changed(lambda signed: None), HOLDER, ASKED) is not None
    for change in (double_signer, double_digest, without_digest, other_type):
        assert unwrap(changed(change), HOLDER, ASKED) is None


def test_what_comes_out_is_what_the_attributes_say(made: Callable[..., bytes]) -> None:
    """The bytes are the signed attributes as a SET, with the content's digest inside."""
    inside = unwrap(made(), HOLDER, ASKED)
    assert inside is not None
    assert inside[0].message[:1] == b"1"
    assert hashlib.sha256(CONTENT).digest() in inside[0].message
    assert inside[0].form is SignatureForm.SIGNATURE


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300))
def test_noise_is_nothing(noise: bytes) -> None:
    """No exception, whatever it is."""
    assert unwrap(noise, HOLDER, ASKED) is None
