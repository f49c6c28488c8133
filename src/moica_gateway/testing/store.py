"""A store in memory with the behaviour of the real one: rollback, snapshots, constraints, errors.

It does not encrypt, does not group, and keeps nothing on disk. ``MemoryStore`` and the SQLite store
pass the same tests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import Clock, Seals, UnitOfWork
from moica_gateway.testing.memory_state import MemoryState
from moica_gateway.testing.seals import FixedSeals
from moica_gateway.testing.unit_of_work import MemoryUnitOfWork

__all__ = ["MemoryStore"]

T = TypeVar("T")


class MemoryStore:
    """Double of `moica_gateway.ports.Store`.

    Attributes:
        available: Set it to False, and everything raises ``storage_unavailable``.
        commits: How many writes succeeded.
    """

    def __init__(self, clock: Clock, seals: Seals | None = None) -> None:
        self.available = True
        self.commits = 0
        self._clock = clock
        self._seals = seals or FixedSeals()
        self._state = MemoryState()

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        """See `moica_gateway.ports.Store`. Lets others run first, as the real one does."""
        await asyncio.sleep(0)
        if not self.available:
            raise _unavailable()
        changed = self._state.copy()
        result = work(MemoryUnitOfWork(changed, self._clock, self._seals, writing=True))
        self._state = changed
        self.commits += 1
        return result

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        """See `moica_gateway.ports.Store`."""
        await asyncio.sleep(0)
        if not self.available:
            raise _unavailable()
        return work(MemoryUnitOfWork(self._state, self._clock, self._seals, writing=False))

    async def ready(self) -> bool:
        """See `moica_gateway.ports.Store`."""
        return self.available


def _unavailable() -> GatewayError:
    return error("storage_unavailable", "expected a store that works, but the test switched it off")
