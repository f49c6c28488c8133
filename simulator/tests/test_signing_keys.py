"""Signing keys of two primes and of eight: the same to whoever verifies."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from asn1crypto import algos
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moica_simulator import KeyPool, Simulator, multiprime
from moica_simulator.multiprime import MultiPrimeKey
from moica_simulator.phone.signing_key import (
    SigningKey,
    TwoPrimeKey,
    certificate_request,
    load_key,
)

HASHES = tuple(each() for each in (hashes.SHA1, hashes.SHA256, hashes.SHA384, hashes.SHA512))
PRIMES = [  # invented; so that nothing has to be installed to make them
    0xF7AEC0640CE621F9A11BAAF9A1B62EDE2065EEC524FDB0544A2E21066C67B699,
    0xFDDE3D69769EF277D6EF83971A3EC6F48F2A696C5D88780F5887D2EEDE18A4C5,
    0xF4C948BDCDDB3D5144A3CC9F46B3E254481F058601577E3D405E4C7BAC1E61E1,
    0xFBE07D7E46D1A6274B3F33C14F9102B1D050E79EC09EFF1915D3C3FB4A760789,
    0xF1FBC612BE92CBFC789C53907DD08F1B9C35E4FF54B367BEC285F092B0C27957,
    0xF3E501977345CC31A163E658B6205A91860B9670BAA42811C18719471EB8E707,
    0xF9E724AF46EB2836A2842DC04E67CE27D0C07294B4F9D2E9131AC1AAFF98F583,
    0xF21844525369C7A0C781AD9966792CF8CEBE766173F010DA752E34B5F53E9B53,
]
needs_gmpy2 = pytest.mark.skipif(not multiprime.available(), reason="gmpy2 is not installed")


@pytest.fixture(params=["two primes", "eight primes"])
def key(request: pytest.FixtureRequest, keys: KeyPool) -> SigningKey:
    """A key of each kind."""
    if request.param == "eight primes":
        return MultiPrimeKey.of(PRIMES)
    return TwoPrimeKey(keys.source().rsa_key(2048))


@pytest.mark.parametrize("algorithm", HASHES, ids=lambda each: each.name)
def test_a_signature_verifies(key: SigningKey, algorithm: hashes.HashAlgorithm) -> None:
    """With each hash of the protocol, by somebody who knows the public key; one bit more fails."""
    signature = key.sign("公文".encode(), algorithm.name)
    public = key.public_key()
    assert (public.key_size, len(signature)) == (2048, 256)
    public.verify(signature, "公文".encode(), padding.PKCS1v15(), algorithm)
    with pytest.raises(InvalidSignature):
        public.verify(signature, "公文 ".encode(), padding.PKCS1v15(), algorithm)


def test_a_digest_info_is_signed_as_it_is(key: SigningKey) -> None:
    """RAW: the same signature as over the message, and a text too long is refused."""
    digest = hashlib.sha256(b"document").digest()
    info = algos.DigestInfo({"digest_algorithm": {"algorithm": "sha256"}, "digest": digest})
    assert key.sign_digest_info(info.dump()) == key.sign(b"document", "sha256")
    assert key.sign_digest_info(bytes(245))
    with pytest.raises(ValueError):
        key.sign_digest_info(bytes(246))


def test_a_stored_key_is_the_same_one(key: SigningKey) -> None:
    """PKCS#8 and back: it signs the same."""
    again = load_key(key.store())
    assert type(again) is type(key)
    assert again.sign(b"document", "sha256") == key.sign(b"document", "sha256")


def test_a_request_proves_possession(key: SigningKey) -> None:
    """python-cryptography and OpenSSL accept it; it names nobody."""
    der = certificate_request(key)
    request = x509.load_der_x509_csr(der)
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()
    assert list(request.subject) == []
    openssl = shutil.which("openssl")
    assert openssl is not None
    judged = subprocess.run(
        [openssl, "req", "-inform", "DER", "-verify", "-noout"], input=der, capture_output=True
    )
    assert judged.returncode == 0, judged.stderr
    assert b"OK" in judged.stdout + judged.stderr


def test_openssl_verifies_a_signature_by_eight_primes(tmp_path: Path) -> None:
    """Somebody else's reading of public key and signature."""
    key = MultiPrimeKey.of(PRIMES)
    (tmp_path / "document").write_bytes(b"document")
    (tmp_path / "signature").write_bytes(key.sign(b"document", "sha256"))
    (tmp_path / "public.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    judged = subprocess.run(
        [
            *("openssl", "dgst", "-sha256", "-verify", "public.pem"),
            *("-signature", "signature", "document"),
        ],
        cwd=tmp_path,
        capture_output=True,
    )
    assert judged.stdout.strip() == b"Verified OK", judged.stderr


def test_a_key_shows_no_secret(key: SigningKey) -> None:
    """Not in its text: no prime, no exponent."""
    shown = repr(key)
    assert not [prime for prime in PRIMES if str(prime) in shown or f"{prime:x}" in shown]


@needs_gmpy2
def test_keys_are_made_of_eight_primes() -> None:
    """2048 bits, all primes different, no two keys the same."""
    made = [MultiPrimeKey.generate() for _ in range(3)]
    assert {key.modulus.bit_length() for key in made} == {2048}
    assert len({key.modulus for key in made}) == 3
    assert all(len({part.prime for part in key.parts}) == 8 for key in made)


@needs_gmpy2
async def test_prepared_keys_are_used_where_nobody_hands_in_others(keys: KeyPool) -> None:
    """Fast mode without `keys`; with them, or in normal mode, keys have two primes."""

    async def kind(**start: object) -> type:
        async with Simulator.start(**start) as sim:  # type: ignore[arg-type]
            await sim.add_person("A123456789", "王小明")
            phone = await sim.bind_device("A123456789")
            handset = sim.state.phone.handsets.get(phone.id)
            assert handset is not None
            assert handset.signing_key is not None
            certificate = x509.load_der_x509_certificate(phone.certificate or b"")
            public = certificate.public_key()
            assert isinstance(public, rsa.RSAPublicKey)
            assert public.key_size == 2048
            return type(load_key(handset.signing_key))

    assert await kind(fast=True) is MultiPrimeKey
    assert await kind(fast=True, keys=keys) is TwoPrimeKey
    assert await kind(keys=keys) is TwoPrimeKey
