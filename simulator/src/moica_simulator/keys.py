"""Where RSA keys come from: made fresh, or taken from a pool that tests share.

Making an RSA-2048 key takes 0.05 to 0.3 s, so a test-suite that starts hundreds of simulators
hands all of them one `KeyPool`. Keys from a pool are used again by the next simulator: that is
fine for tests and nothing else.
"""

import threading
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import rsa

__all__ = ["GeneratedKeys", "KeyPool", "KeySource"]


class KeySource(Protocol):
    """Gives RSA private keys; called off the event loop, from several threads."""

    def rsa_key(self, bits: int) -> rsa.RSAPrivateKey:
        """Returns a key of this size that this source has not given before."""


class GeneratedKeys:
    """Makes every key when it is asked for."""

    def rsa_key(self, bits: int) -> rsa.RSAPrivateKey:
        """Returns a new key."""
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)


class KeyPool:
    """Keeps the keys it has made, and gives the same ones to each simulator in turn.

    Make one for a whole test run: `keys = KeyPool()`, then `Simulator.start(fast=True,
    keys=keys.source())` in each test. Within one simulator all keys differ.
    """

    def __init__(self) -> None:
        self._kept: dict[int, list[rsa.RSAPrivateKey]] = {}
        self._lock = threading.Lock()

    def source(self) -> KeySource:
        """Returns a source that begins with the pool's first key again."""
        return _PooledKeys(self)

    def take(self, bits: int, index: int) -> rsa.RSAPrivateKey:
        """Returns the pool's key number `index` of this size, making what is missing."""
        with self._lock:
            kept = self._kept.setdefault(bits, [])
            while len(kept) <= index:
                kept.append(GeneratedKeys().rsa_key(bits))
            return kept[index]


class _PooledKeys:
    def __init__(self, pool: KeyPool) -> None:
        self._pool = pool
        self._taken: dict[int, int] = {}
        self._lock = threading.Lock()

    def rsa_key(self, bits: int) -> rsa.RSAPrivateKey:
        with self._lock:
            index = self._taken.get(bits, 0)
            self._taken[bits] = index + 1
        return self._pool.take(bits, index)
