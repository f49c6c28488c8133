"""A phone's or a card's RSA-2048 private key, whichever way it was made; kept as PKCS#8.

Two kinds: of two primes, by OpenSSL, as real ones are; and prepared ones of eight
(`multiprime`). Everything here blocks for the time of an RSA operation.
"""

import functools
from typing import Protocol

import attrs
from asn1crypto import algos, csr, x509
from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding

from moica_simulator.multiprime import MultiPrimeKey

__all__ = ["SigningKey", "TwoPrimeKey", "certificate_request", "load_key"]

_HASHES = {each.name: each() for each in (hashes.SHA1, hashes.SHA256, hashes.SHA384, hashes.SHA512)}


class SigningKey(Protocol):
    """Makes RSASSA-PKCS1-v1_5 signatures."""

    def sign(self, message: bytes, hash_name: str) -> bytes:
        """Signs a message; `hash_name` is `sha1`, `sha256`, `sha384` or `sha512`."""

    def sign_digest_info(self, digest_info: bytes) -> bytes:
        """Pads (block type 1) and signs what is given, hashing nothing.

        Raises:
            ValueError: If it is too long for the key.
        """

    def public_key(self) -> rsa.RSAPublicKey:
        """Returns the public key."""

    def store(self) -> bytes:
        """Writes the key for the phone's own store: PKCS#8, DER."""


@attrs.frozen
class TwoPrimeKey:
    """A key as real ones are, in the hands of OpenSSL."""

    _key: rsa.RSAPrivateKey = attrs.field(repr=False)

    def sign(self, message: bytes, hash_name: str) -> bytes:
        """See `SigningKey`."""
        return self._key.sign(message, padding.PKCS1v15(), _HASHES[hash_name])

    def sign_digest_info(self, digest_info: bytes) -> bytes:
        """See `SigningKey`."""
        return self._key.sign(digest_info, padding.PKCS1v15(), utils.NoDigestInfo())

    def public_key(self) -> rsa.RSAPublicKey:
        """See `SigningKey`."""
        return self._key.public_key()

    def store(self) -> bytes:
        """See `SigningKey`."""
        return self._key.private_bytes(
            Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@functools.lru_cache(maxsize=1024)
def load_key(der: bytes) -> SigningKey:
    """Reads a key from the phone's own store.

    Kept once read: the first signature with a key also works out its Montgomery and blinding
    values, which takes half as long again as the signature.

    Raises:
        ValueError: If it is no RSA key: the state folder is damaged.
    """
    prepared = MultiPrimeKey.load(der)
    if prepared is not None:
        return prepared
    # Our own key, checked when it was made: checking it again costs more than the signature.
    key = serialization.load_der_private_key(
        der, password=None, unsafe_skip_rsa_key_validation=True
    )
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("expected an RSA key")
    return TwoPrimeKey(key)


def certificate_request(key: SigningKey) -> bytes:
    """Returns a PKCS#10 request, DER, that proves possession of the key; the CA sets the name."""
    public = key.public_key().public_bytes(
        Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    info = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": x509.Name.build({}),
            "subject_pk_info": asn1_keys.PublicKeyInfo.load(public),
            "attributes": csr.CRIAttributes([]),
        }
    )
    request = csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa"}),
            "signature": key.sign(info.dump(), "sha256"),
        }
    )
    return bytes(request.dump())
