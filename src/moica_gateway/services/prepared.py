"""A `Prepared` as one blob: one byte for form and hash, three of length, the message, the state."""

from __future__ import annotations

from typing import Final

from moica_gateway.domain.models import Prepared
from moica_gateway.domain.values import HashAlgorithm, SignatureForm, Tbs
from moica_gateway.errors import error

__all__ = ["prepared_from_blob", "prepared_to_blob"]

_HEAD: Final = 4
_MAX_MESSAGE: Final = 2**24 - 1
# Their places are stored: new ones go to the end. The first two are 0, as in every older blob.
_FORMS: Final = (SignatureForm.SIGNATURE, SignatureForm.DIGEST, SignatureForm.CMS)
_HASHES: Final = (
    HashAlgorithm.SHA256,
    HashAlgorithm.SHA1,
    HashAlgorithm.SHA384,
    HashAlgorithm.SHA512,
)


def prepared_to_blob(prepared: Prepared) -> bytes:
    """For the store. Raises ``RequestError`` ``document_too_large`` from 16 MiB on."""
    tbs = prepared.message
    if len(tbs.message) > _MAX_MESSAGE:
        raise error(
            "document_too_large",
            f"expected at most {_MAX_MESSAGE} bytes to be signed, came {len(tbs.message)}; the "
            "integrator chooses a format that signs a digest",
        )
    kind = _FORMS.index(tbs.form) << 4 | _HASHES.index(tbs.hash_algorithm)
    return (
        bytes((kind,)) + len(tbs.message).to_bytes(_HEAD - 1, "big") + tbs.message + prepared.state
    )


def prepared_from_blob(blob: bytes) -> Prepared:
    """The reverse. Raises ``VerificationError`` ``vault_tampered`` when it is none of ours."""
    end = _HEAD + int.from_bytes(blob[1:_HEAD], "big")
    if len(blob) < end or end == _HEAD:
        raise error("vault_tampered", "expected a prepared message, the blob is cut short")
    form, hash_algorithm = divmod(blob[0], 16)
    if form >= len(_FORMS) or hash_algorithm >= len(_HASHES):
        raise error("vault_tampered", "expected a prepared message, the blob is of another kind")
    return Prepared(
        message=Tbs(
            message=blob[_HEAD:end], form=_FORMS[form], hash_algorithm=_HASHES[hash_algorithm]
        ),
        state=blob[end:],
    )
