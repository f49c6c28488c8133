"""``sp_checksum`` and ``idp_checksum``: made, and verified by decrypting.

``hex(IV ‖ AES-256-GCM(key, IV, hex(SHA-256(payload))) ‖ tag)``, 184 lower-case characters. What is
encrypted is the hexadecimal *text* of the digest; encrypting its 32 raw bytes gives 120 characters
that the platform refuses. The specification's sample uses an all-zero IV: one IV used twice under
one key gives that key's authentication away, so ours are always random.

A checksum that verifies proves that somebody with the key made it for this payload, not who: the
platform and we share one key. `reveal` is therefore only half of belief, ``guard`` is the rest.
These are plain functions that raise: a coroutine could be forgotten without ``await``.
Specification: ``protocol/moi-sp-api.md`` "sp_checksum and idp_checksum".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moica_gateway.domain.models import SpKey
from moica_gateway.domain.values import Secret
from moica_gateway.errors import error
from moica_gateway.ports import Random

__all__ = ["Revealed", "join_payload", "make_checksum", "parse_aes_key", "reveal"]

_KEY_BYTES: Final = 32
_IV_BYTES: Final = 12
_CHECKSUM: Final = re.compile(r"[0-9a-f]{184}", re.ASCII)
_AES_KEY: Final = re.compile(r"[A-Za-z0-9+/_-]{43}=?", re.ASCII)


def parse_aes_key(text: str) -> Secret:
    """An AES key as it was issued: base64, standard or URL-safe, padded or not.

    Raises:
        ConfigurationError: ``configuration_invalid`` unless it is exactly 32 bytes; the detail
            shows nothing of it.
    """
    value = text.strip()
    if _AES_KEY.fullmatch(value):
        unpadded = value.rstrip("=").replace("-", "+").replace("_", "/")
        key = base64.b64decode(unpadded + "=")
        # Two bits of the last character must be zero: others mean a mistyped character.
        if base64.b64encode(key).decode() == unpadded + "=":
            return Secret(key)
    raise error(
        "configuration_invalid",
        f"expected an AES key of 32 bytes in base64 (43 characters and perhaps '='), came "
        f"{len(value)} characters that are none; the operator sets the key that was issued",
    )


def join_payload(*fields: str | None) -> str:
    """Fields joined with nothing between; an absent one is the empty string."""
    return "".join(value or "" for value in fields)


def make_checksum(key: Secret, payload: str, random: Random) -> str:
    """The ``sp_checksum`` of a payload, under a fresh IV.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
        RequestError: ``request_invalid`` for a payload that is no Unicode text.
    """
    iv = random.token_bytes(_IV_BYTES)
    return (iv + _cipher(key).encrypt(iv, _digest(payload), None)).hex()


@frozen(kw_only=True)
class Revealed:
    """A checksum that was decrypted: made by somebody who has ``key``.

    Attributes:
        key: Under which it opened.
        iv: 12 bytes, as it came.
        digest: What it covers: the hexadecimal text of a SHA-256, or whatever its maker put in.
    """

    key: SpKey
    iv: bytes
    digest: bytes = field(repr=False)

    def covers(self, payload: str) -> bool:
        """Whether it was made for this payload; in constant time."""
        return hmac.compare_digest(self.digest, _digest(payload))

    def covers_same_as(self, other: Revealed) -> bool:
        """Whether both were made for one payload; in constant time."""
        return hmac.compare_digest(self.digest, other.digest)


def reveal(keys: Iterable[SpKey], unverified_checksum: str) -> Revealed:
    """Open a checksum under the current or the previous key.

    Raises:
        VerificationError: ``checksum_invalid`` unless it is 184 lower-case hexadecimal characters
            and opens under one of the keys.
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
    """
    if not _CHECKSUM.fullmatch(unverified_checksum):
        raise error(
            "checksum_invalid",
            "expected a checksum of 184 lower-case hexadecimal characters, came "
            f"{len(unverified_checksum)} characters of another form; the answer is not accepted",
        )
    data = bytes.fromhex(unverified_checksum)
    iv, sealed = data[:_IV_BYTES], data[_IV_BYTES:]
    for key in keys:
        try:
            digest = _cipher(key.key).decrypt(iv, sealed, None)
        except InvalidTag:
            continue
        return Revealed(key=key, iv=iv, digest=digest)
    raise error(
        "checksum_invalid",
        "expected a checksum under the current or the previous AES key, came one under neither; "
        "the answer is not accepted, and the operator compares the key with the platform's",
    )


def _cipher(key: Secret) -> AESGCM:
    value = key.reveal()
    if len(value) != _KEY_BYTES:
        raise error(
            "configuration_invalid",
            f"expected an AES key of {_KEY_BYTES} bytes, came one of {len(value)}; "
            "the operator sets the key that was issued",
        )
    return AESGCM(value)


def _digest(payload: str) -> bytes:
    try:
        data = payload.encode()
    except UnicodeEncodeError as exc:  # a lone surrogate: possible in a str, not in UTF-8
        raise error(
            "request_invalid",
            "expected text that UTF-8 can carry, came a lone surrogate; whoever sent the text "
            "corrects it",
        ) from exc
    return hashlib.sha256(data).hexdigest().encode()
