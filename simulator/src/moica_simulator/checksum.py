"""`sp_checksum` and `idp_checksum`: making, opening and comparing them.

A checksum is `hex(IV || AES-256-GCM(key, IV, text) || tag)` where `text` is the lower-case hex of
SHA-256 over the UTF-8 payload (moi-sp-api.md, "sp_checksum and idp_checksum"). Verification
decrypts and compares the text in constant time. Comparing two whole checksums would work with the
specification's all-zero IV only and fails as soon as a sender uses a random one.

This module does not know which fields make a payload: `platform.wire` does.
"""

import base64
import binascii
import functools
import hashlib
import hmac

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["AesKey", "open_checksum", "seal", "sha256_hex", "verifies"]

_IV_SIZE = 12
_CHECKSUM_LENGTH = 2 * (_IV_SIZE + 64 + 16)


@attrs.frozen
class AesKey:
    """The 32 bytes that a relying system shares with the platform; never shown by `repr`."""

    raw: bytes = attrs.field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "AesKey":
        """Reads base64, standard or URL-safe, padded or not.

        Raises:
            ValueError: If the text is no base64, or not of exactly 32 bytes.
        """
        plain = text.strip().rstrip("=").replace("-", "+").replace("_", "/")
        try:
            raw = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("the AES key must be base64 of 32 bytes; it is no base64") from error
        if len(raw) != 32:
            raise ValueError(f"the AES key must be base64 of 32 bytes; it has {len(raw)}")
        return cls(raw)


def sha256_hex(payload: str) -> str:
    """Returns the text that a checksum encrypts: lower-case hex of SHA-256 over UTF-8."""
    return hashlib.sha256(payload.encode()).hexdigest()


def seal(payload: str, key: AesKey, iv: bytes) -> str:
    """Returns the checksum of `payload` under `key` with this 12-byte IV, lower-case hex."""
    return (iv + _cipher(key).encrypt(iv, sha256_hex(payload).encode(), None)).hex()


def open_checksum(checksum: str, key: AesKey) -> str:
    """Decrypts a checksum and returns the hash text inside.

    Raises:
        ValueError: If it has not 184 hex characters, or was made with another key.
    """
    if len(checksum) != _CHECKSUM_LENGTH:
        raise ValueError(f"a checksum has {_CHECKSUM_LENGTH} hex characters, not {len(checksum)}")
    try:
        raw = bytes.fromhex(checksum)
    except ValueError as error:
        raise ValueError("a checksum is hexadecimal, lower-case; other characters came") from error
    if len(raw) * 2 != _CHECKSUM_LENGTH:  # fromhex skips blanks
        raise ValueError("a checksum is hexadecimal without blanks")
    try:
        return _cipher(key).decrypt(raw[:_IV_SIZE], raw[_IV_SIZE:], None).decode("latin-1")
    except InvalidTag as error:
        raise ValueError("it does not decrypt: another AES key, or altered on the way") from error


@functools.lru_cache(maxsize=256)
def _cipher(key: AesKey) -> AESGCM:
    return AESGCM(key.raw)


def verifies(checksum: str, payload: str, key: AesKey) -> bool:
    """Says whether `checksum` was made with `key` over exactly `payload`."""
    try:
        found = open_checksum(checksum, key)
    except ValueError:
        return False
    return hmac.compare_digest(found.encode("latin-1"), sha256_hex(payload).encode())
