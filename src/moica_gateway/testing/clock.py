"""A clock that stands still until a test moves it.

Wall clock and monotonic clock move together. `FrozenClock.advance` wakes sleepers in the order of
their deadlines and lets the event loop run in between, so that a task that sleeps again within the
span is woken again. It cannot wait for threads or sockets: await those in the test.
"""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["FrozenClock"]

_ROUNDS: Final = 25
"""Turns of the loop after each waking: enough for a chain of awaits to come to rest."""


class FrozenClock:
    """Double of `moica_gateway.ports.Clock` for one event loop."""

    def __init__(self, start: datetime = datetime(2026, 4, 24, 6, 0, tzinfo=UTC)) -> None:
        """``start``: aware. ``ValueError`` for a naive one."""
        if start.tzinfo is None:
            raise ValueError("the clock needs an aware datetime")
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._count = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    @property
    def sleepers(self) -> int:
        """How many are asleep now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def now(self) -> datetime:
        """Aware, UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Until a test has moved the clock so far; zero or less lets others run once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on; returns once everybody who was woken has come to rest."""
        target = self._elapsed + _not_negative(seconds)
        await self.settle()
        while self._wake_next(target):
            await self.settle()
        self._elapsed = target
        await self.settle()

    def advance_now(self, seconds: float) -> None:
        """Move on without letting the loop run: who was due wakes at its next turn, all at the
        end of the span."""
        target = self._elapsed + _not_negative(seconds)
        while self._wake_next(target):
            pass
        self._elapsed = target

    async def settle(self) -> None:
        """Let the loop run for a while without moving the clock."""
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)

    def _wake_next(self, target: float) -> bool:
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._elapsed = max(self._elapsed, deadline)
                future.set_result(None)
                return True
        return False


def _not_negative(seconds: float) -> float:
    if seconds < 0:
        raise ValueError("a clock does not go back")
    return seconds
