"""Keyed functions under subkeys of the master key (security.md 14 to 16).

Each use has a key of its own, derived by HKDF-SHA256 (RFC 5869) with the use as ``info``, so that
a value of one use says nothing in another. Deliberately no encryption: that is
`moica_gateway.stores.vault`.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.errors import error

__all__ = ["DerivedSeals", "derive", "master_key_id", "signed_by", "unambiguous"]

_MASTER_KEY_BYTES: Final = 32
_DOMAIN: Final = b"moica-gateway/1/"


def derive(master_key: Secret, use: str, length: int = 32) -> bytes:
    """The subkey for one use.

    Args:
        master_key: 32 random bytes from outside the database.
        use: ASCII, one of a kind in this program.
        length: In bytes.

    Raises:
        ConfigurationError: ``configuration_invalid`` when the master key is not 32 bytes.
    """
    material = master_key.reveal()
    if len(material) != _MASTER_KEY_BYTES:
        raise error(
            "configuration_invalid",
            f"expected a master key of {_MASTER_KEY_BYTES} bytes, came {len(material)}; "
            "the operator corrects the setting and starts again",
        )
    hkdf = HKDF(algorithm=SHA256(), length=length, salt=None, info=_DOMAIN + use.encode())
    return hkdf.derive(material)


def master_key_id(master_key: Secret) -> str:
    """A name of the master key that tells nothing about it: 16 hexadecimal digits."""
    return derive(master_key, "master-key-id", 8).hex()


def unambiguous(*parts: bytes) -> bytes:
    """The parts, each behind its length in four bytes, so that no two lists give equal bytes."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def signed_by(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether that Ed25519 key has signed these bytes. Whatever is malformed has not been."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


class DerivedSeals:
    """`moica_gateway.ports.Seals` over the master key. Holds no state but its subkeys."""

    def __init__(self, master_key: Secret) -> None:
        """Raises ``ConfigurationError`` when the master key is not 32 bytes."""
        self._lookup_key = derive(master_key, "lookup-hash")
        self._mac_key = derive(master_key, "mac")
        self._signer = Ed25519PrivateKey.from_private_bytes(derive(master_key, "audit-head"))
        self._public_key = self._signer.public_key().public_bytes_raw()

    def lookup_hash(self, tenant: TenantId, purpose: str, value: str) -> bytes:
        """HMAC-SHA256, 32 bytes; equal for equal arguments."""
        data = unambiguous(tenant.encode(), purpose.encode(), value.encode())
        return hmac.digest(self._lookup_key, data, "sha256")

    def mac(self, purpose: str, data: bytes) -> bytes:
        """HMAC-SHA256, 32 bytes. Compare with `hmac.compare_digest`."""
        return hmac.digest(self._mac_key, unambiguous(purpose.encode(), data), "sha256")

    @property
    def public_key(self) -> bytes:
        """Ed25519, 32 bytes."""
        return self._public_key

    def sign(self, data: bytes) -> bytes:
        """Ed25519, 64 bytes."""
        return self._signer.sign(data)

    def signed_by(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        """Whether that Ed25519 key has signed these bytes."""
        return signed_by(public_key, signature, data)
