"""Does this key's signature cover exactly these bytes? RSASSA-PKCS1-v1_5 (RFC 8017), under the hash
that was asked for and no other.

Whether the key is anybody's whom we trust is not asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from cryptography.exceptions import InternalError, InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils

from moica_gateway.domain.values import HashAlgorithm, SignatureForm, Tbs

__all__ = ["Cover", "covers"]

# The library's word for "no"; the others are what odd keys provoke.
_NO: Final = (InvalidSignature, ValueError, TypeError, InternalError)


_HASHES: Final[Mapping[HashAlgorithm, hashes.HashAlgorithm]] = {
    HashAlgorithm.SHA1: hashes.SHA1(),  # noqa: S303 - whether it may be asked for is a policy
    HashAlgorithm.SHA256: hashes.SHA256(),
    HashAlgorithm.SHA384: hashes.SHA384(),
    HashAlgorithm.SHA512: hashes.SHA512(),
}


class Cover(Enum):
    """What a signature turned out to be."""

    OURS = "it covers our bytes"
    OTHER_BYTES = "it is this key's, over other bytes"
    MALFORMED = "it has another length than the key"
    INVALID = "it is not this key's"


def covers(key: rsa.RSAPublicKey, signature: bytes, asked: Tbs) -> Cover:
    """One verdict; raises nothing. A CMS is no bare signature, and so never covers anything here.

    `Cover.OTHER_BYTES` is a well-formed PKCS#1 v1.5 block that this key really made over something
    else: somebody changed what was asked for on its way (security rule 3).
    """
    if len(signature) != (key.key_size + 7) // 8 or asked.form is SignatureForm.CMS:
        return Cover.MALFORMED
    algorithm: hashes.HashAlgorithm | utils.Prehashed = _HASHES[asked.hash_algorithm]
    if asked.form is SignatureForm.DIGEST:
        algorithm = utils.Prehashed(_HASHES[asked.hash_algorithm])
    try:
        key.verify(signature, asked.message, padding.PKCS1v15(), algorithm)
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
