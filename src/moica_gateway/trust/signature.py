"""Does this key's signature cover exactly these bytes? RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017).

Whether the key is anybody's whom we trust is not asked here.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from cryptography.exceptions import InternalError, InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["Cover", "covers"]

# The library's word for "no"; the others are what odd keys provoke.
_NO: Final = (InvalidSignature, ValueError, TypeError, InternalError)


class Cover(Enum):
    """What a signature turned out to be."""

    OURS = "it covers our bytes"
    OTHER_BYTES = "it is this key's, over other bytes"
    MALFORMED = "it has another length than the key"
    INVALID = "it is not this key's"


def covers(key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> Cover:
    """One verdict; raises nothing.

    `Cover.OTHER_BYTES` is a well-formed PKCS#1 v1.5 block that this key really made over something
    else: somebody changed what was asked for on its way (security rule 3).
    """
    if len(signature) != (key.key_size + 7) // 8:
        return Cover.MALFORMED
    try:
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except _NO:
        pass
    else:
        return Cover.OURS
    try:
        # Only tells two refusals apart; what is accepted was accepted above.
        key.recover_data_from_signature(signature, padding.PKCS1v15(), None)
    except _NO:
        return Cover.INVALID
    return Cover.OTHER_BYTES
