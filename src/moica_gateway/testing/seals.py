"""Keyed functions under a key that stands in the source. Never for anything but tests."""

from __future__ import annotations

import hmac
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from moica_gateway.domain.values import TenantId

__all__ = ["FixedSeals"]


class FixedSeals:
    """Double of `moica_gateway.ports.Seals`: the same for equal arguments, in every run."""

    def __init__(self, key: bytes = b"not a secret: for tests only") -> None:
        self._key = key

    def lookup_hash(self, tenant: TenantId, purpose: str, value: str) -> bytes:
        """32 bytes."""
        return self._digest("lookup", tenant, purpose, value)

    def mac(self, purpose: str, data: bytes) -> bytes:
        """32 bytes."""
        return self._digest("mac", purpose, data.hex())

    @property
    def public_key(self) -> bytes:
        """Ed25519, 32 bytes."""
        return self._signer().public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """Ed25519, 64 bytes."""
        return self._signer().sign(data)

    def signed_by(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        """Whether that key has signed these bytes."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True

    def _signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._digest("signer"))

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self._key, json.dumps(parts).encode(), "sha256")
