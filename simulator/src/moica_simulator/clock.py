"""The one clock of platform, CA and phones.

It runs with the machine's clock plus what it has been advanced, or stands still until advanced.
It does not change the machine's time: a program under test keeps its own clock, and the two
differ by `advanced` from then on.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]


class Clock:
    """Tells the simulated time (aware, UTC), and wakes those who wait for a moment of it.

    Args:
        advanced: How far ahead of the machine's time to begin.
        frozen_at: If given, time stands at this moment and moves only by `advance`.
    """

    def __init__(
        self, *, advanced: timedelta = timedelta(0), frozen_at: datetime | None = None
    ) -> None:
        self._advanced = advanced
        self._frozen_at = frozen_at
        self._moved = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def advanced(self) -> timedelta:
        """How far the clock has been advanced in all."""
        return self._advanced

    @property
    def frozen(self) -> bool:
        """Whether time moves by `advance` only."""
        return self._frozen_at is not None

    def now(self) -> datetime:
        """Returns the simulated time, aware, in UTC."""
        return (self._frozen_at or datetime.now(UTC)) + self._advanced

    def advance(self, seconds: float) -> datetime:
        """Moves time forward at once and wakes whoever waits for a moment now past.

        Args:
            seconds: Zero or more.

        Returns:
            The new time.

        Raises:
            ValueError: For a negative or impossible number of seconds; time runs one way.
        """
        if not seconds >= 0:
            raise ValueError(f"advance takes seconds >= 0; {seconds!r} came")
        try:
            later = self._advanced + timedelta(seconds=seconds)
            _ = self.now() + later + timedelta(days=366 * 30)  # certificates must still fit
        except OverflowError as error:
            raise ValueError(f"advance by {seconds!r} s leaves the calendar") from error
        self._advanced = later
        self._wake()
        return self.now()

    def reset(self) -> datetime:
        """Goes back to the machine's time (or the frozen moment), and returns it."""
        self._advanced = timedelta(0)
        self._wake()
        return self.now()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after each advance or reset, before it returns."""
        self._listeners.append(listener)

    async def wait_until(self, moment: datetime) -> None:
        """Returns as soon as `now()` has reached `moment`, by waiting or by an advance."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            moved = self._moved
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self.frozen else left):
                    await moved.wait()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        for listener in self._listeners:
            listener()
