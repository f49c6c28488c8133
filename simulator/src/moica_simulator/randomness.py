"""Where every random byte of the simulator comes from, except its private keys.

With a seed, ids, challenges, nonces and activation codes repeat from run to run. Keys do not:
they come from a `KeySource`, so that a seed never makes a guessable key.
"""

import random
import secrets
import uuid

__all__ = ["Randomness"]


class Randomness:
    """Random bytes, digits and ids; repeatable if a seed is given.

    Args:
        seed: Makes the sequence repeatable. Without it the operating system's source is used.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seeded = None if seed is None else random.Random(seed)  # noqa: S311 - repeatable on purpose

    def token(self, size: int) -> bytes:
        """Returns `size` random bytes."""
        return self._seeded.randbytes(size) if self._seeded else secrets.token_bytes(size)

    def digits(self, count: int) -> str:
        """Returns `count` random decimal digits, the first of them not zero."""
        span = 9 * 10 ** (count - 1)
        drawn = self._seeded.randrange(span) if self._seeded else secrets.randbelow(span)
        return str(10 ** (count - 1) + drawn)

    def uuid(self) -> str:
        """Returns a version 4 UUID as text."""
        return str(uuid.UUID(bytes=self.token(16), version=4))
