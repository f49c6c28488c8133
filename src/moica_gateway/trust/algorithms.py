"""Which signatures of authorities are strong enough, and whether one is a given authority's.

One list for certificates, revocation lists and OCSP answers. RSA only: the government's hierarchy
has nothing else, and what nobody issues nobody has to accept.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import InternalError, InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

__all__ = ["STRONG_SIGNATURES", "is_signed_by"]

STRONG_SIGNATURES: Final = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
    }
)
_NO: Final = (InvalidSignature, ValueError, TypeError, InternalError)


def is_signed_by(
    signer: x509.Certificate, signature: bytes, data: bytes, algorithm: hashes.HashAlgorithm | None
) -> bool:
    """Whether that certificate's key made an RSASSA-PKCS1-v1_5 signature over ``data``."""
    key = signer.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or algorithm is None:
        return False
    try:
        key.verify(signature, data, padding.PKCS1v15(), algorithm)
    except _NO:
        return False
    return True
