"""Randomness that repeats itself. Never for anything but tests: whoever knows the seed knows all.

Two doubles of one seed give the same nonces; use another seed for a second store over one key.
"""

from __future__ import annotations

import random
from uuid import UUID

__all__ = ["SeededRandom"]


class SeededRandom:
    """Double of `moica_gateway.ports.Random`."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable is what it is for

    def token_bytes(self, count: int) -> bytes:
        """``count`` bytes, the same in every run."""
        return self._random.randbytes(count)

    def uuid4(self) -> UUID:
        """A UUID of version 4."""
        return UUID(bytes=self._random.randbytes(16), version=4)

    def below(self, limit: int) -> int:
        """Uniform in ``0 <= n < limit``."""
        return self._random.randrange(limit)
