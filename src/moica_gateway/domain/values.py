"""Small values that must not be mistaken for ``str`` or ``bytes``: ID number, secret, what is to
be signed, ids. Pure.

ID numbers: 國民身分證統一編號, and 外來人口統一證號 in the old form (letter, A to D, eight digits)
and the new form of 2021 (letter, 8 or 9, eight digits), each with the Ministry's check digit.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType, Self

from attrs import field, frozen

from moica_gateway.errors import error

__all__ = [
    "BlobId",
    "ChallengeId",
    "CredentialId",
    "DocumentId",
    "HashAlgorithm",
    "IdNumber",
    "PersonId",
    "Secret",
    "SignatureForm",
    "Tbs",
    "TenantId",
    "TransactionId",
    "make_id",
]

TenantId = NewType("TenantId", str)
TransactionId = NewType("TransactionId", str)
ChallengeId = NewType("ChallengeId", str)
CredentialId = NewType("CredentialId", str)
DocumentId = NewType("DocumentId", str)
PersonId = NewType("PersonId", str)
BlobId = NewType("BlobId", str)

_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_NUMBER: Final = re.compile(r"[A-Z](?:[1289A-D])[0-9]{8}", re.ASCII)
# The Ministry's order of letters: I and O (and W, X, Y, Z) were numbered later than the others.
_LETTER_VALUE: Final = {c: n for n, c in enumerate("ABCDEFGHJKLMNPQRSTUVXYWZIO", start=10)}


def make_id(prefix: str, now: datetime, randomness: bytes) -> str:
    """A time-ordered id such as ``txn_01kavd…``: 48 bits of milliseconds, 80 random bits.

    Args:
        prefix: Without the underscore.
        now: Aware.
        randomness: Exactly 10 bytes.
    """
    if len(randomness) != 10:
        raise ValueError("an id takes exactly 10 random bytes")
    number = (int(now.timestamp() * 1000) << 80) | int.from_bytes(randomness, "big")
    text = "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{text}"


@frozen(repr=False)
class IdNumber:
    """An ID number whose check digit is right. ``repr`` and ``str`` are masked.

    Source: the Ministry's rule for 統一編號: letter as two digits, weights 1 9 8 … 1 1, sum
    divisible by 10; in the old 統一證號 the second letter counts with its units digit.
    """

    _value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From what a person typed: spaces around and lower case are forgiven.

        Raises:
            RequestError: ``id_number_invalid``; the detail does not repeat what came.
        """
        value = text.strip().upper()
        if not _ID_NUMBER.fullmatch(value):
            raise error(
                "id_number_invalid",
                "expected one letter, then 1, 2, 8, 9 or A to D, then eight digits; "
                f"came {len(value)} characters of another form; the holder enters it again",
            )
        first = _LETTER_VALUE[value[0]]
        second = _LETTER_VALUE[value[1]] % 10 if value[1].isalpha() else int(value[1])
        digits = [first // 10, first % 10, second, *(int(c) for c in value[2:])]
        weights = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
        if sum(d * w for d, w in zip(digits, weights, strict=True)) % 10:
            raise error(
                "id_number_invalid",
                "expected an ID number whose check digit is right; the last digit does not fit "
                "the others; the holder enters it again",
            )
        return cls(value)

    def reveal(self) -> str:
        """The ten characters. Only for the wire to the platform, the vault and keyed hashes."""
        return self._value

    @property
    def last_four(self) -> str:
        """The last four characters: they stand in the certificate anyway."""
        return self._value[-4:]

    @property
    def masked(self) -> str:
        """``******6789``."""
        return "******" + self.last_four

    def __repr__(self) -> str:
        return f"IdNumber({self.masked})"

    __str__ = __repr__


@frozen(repr=False)
class Secret:
    """Key material. ``repr`` shows nothing of it."""

    _value: bytes

    def reveal(self) -> bytes:
        """The bytes. Only where a key is used or sealed."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__


class HashAlgorithm(StrEnum):
    """Under which a message is signed; SHA-1 because some callers' formats still ask for it."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"

    @property
    def digest_size(self) -> int:
        """Bytes."""
        return {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}[self.value]


class SignatureForm(StrEnum):
    """What comes back for a message: RSASSA-PKCS1-v1_5 always, bare or inside a CMS."""

    SIGNATURE = "signature"
    """The bare signature over ``message``."""
    DIGEST = "digest"
    """The bare signature whose digest is ``message`` itself: a hash that was made before, of what
    we need not know. Signing blind is a tenant's policy, see ``services``."""
    CMS = "cms"
    """A CMS ``SignedData`` over ``message``, made on the phone."""


@frozen
class Tbs:
    """A message that the holder's key must cover, byte for byte (to be signed).

    Attributes:
        message: The bytes; with `SignatureForm.DIGEST` the digest of them.
        form: What has to come back.
        hash_algorithm: Of the signature.
    """

    message: bytes = field(repr=lambda value: f"<{len(value)} bytes>")
    form: SignatureForm = field(default=SignatureForm.SIGNATURE, repr=str)
    hash_algorithm: HashAlgorithm = field(default=HashAlgorithm.SHA256, repr=str)

    @property
    def sha256(self) -> bytes:
        """32 bytes."""
        return hashlib.sha256(self.message).digest()
