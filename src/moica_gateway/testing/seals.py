"""Keyed functions under a key that stands in the source. Never for anything but tests."""

from __future__ import annotations

import hmac
import json

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

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self._key, json.dumps(parts).encode(), "sha256")
