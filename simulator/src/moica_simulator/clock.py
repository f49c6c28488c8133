"""The one clock of platform, CA and phones.

It runs with the machine's clock plus what it has been advanced, or stands still until it is moved.
It does not change the machine's time: a program under test keeps its own clock, and the two
differ by what this one was moved.
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_ROOM = timedelta(days=366 * 30)  # certificates must still fit


class Clock:
    """Tells the simulated time (aware, UTC), and wakes those who wait for a moment of it.

    Args:
        advanced: How far ahead of the machine's time to begin; behind it if negative.
        frozen_at: If given, time stands at this moment until it is moved, and `reset` goes back
            to it.
    """

    def __init__(
        self, *, advanced: timedelta = timedelta(0), frozen_at: datetime | None = None
    ) -> None:
        self._advanced = advanced
        self._frozen_at = self._begun_at = frozen_at
        self._moved = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    def kept(cls, text: str) -> "Clock":
        """Makes a clock as `keep` has written it; empty text makes one of the machine's time."""
        advanced, _, frozen_at = text.partition(" ")
        clock = cls(advanced=timedelta(seconds=float(advanced or 0)))
        # Not as in `__init__`: who resets a clock that was frozen later wants the machine's time.
        clock._frozen_at = datetime.fromisoformat(frozen_at) if frozen_at else None
        return clock

    def keep(self) -> str:
        """Writes what `kept` reads."""
        frozen_at = "" if self._frozen_at is None else self._frozen_at.isoformat()
        return f"{self._advanced.total_seconds()} {frozen_at}".rstrip()

    @property
    def advanced(self) -> timedelta:
        """How far the clock has been moved in all; of a frozen one, since it stands."""
        return self._advanced

    @property
    def frozen(self) -> bool:
        """Whether time moves by `advance` and `set` only."""
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
            ValueError: For a negative or impossible number of seconds; `set` goes back.
        """
        if not seconds >= 0:
            raise ValueError(f"advance takes seconds >= 0; {seconds!r} came")
        try:
            later = self._advanced + timedelta(seconds=seconds)
            _ = self.now() + timedelta(seconds=seconds) + _ROOM
        except OverflowError as error:
            raise ValueError(f"advance by {seconds!r} s leaves the calendar") from error
        self._advanced = later
        self._wake()
        return self.now()

    def set(self, moment: datetime) -> datetime:
        """Goes to a moment, also an earlier one, and wakes whoever waits for one now past.

        A frozen clock stands there; a running one runs on from there.

        Args:
            moment: Aware, from 1970.

        Returns:
            The new time.

        Raises:
            ValueError: For a moment without a zone, or outside the calendar.
        """
        if moment.tzinfo is None:
            raise ValueError("a moment takes its offset from UTC, e.g. 2026-04-24T12:00:00+08:00")
        if not _EARLIEST <= moment <= datetime.max.replace(tzinfo=UTC) - _ROOM:
            raise ValueError(f"{moment.isoformat()} leaves the calendar")
        self._advanced = moment.astimezone(UTC) - (self._frozen_at or datetime.now(UTC))
        self._wake()
        return self.now()

    def freeze(self) -> datetime:
        """Stops time where it is; a frozen clock stays as it is. Returns the moment."""
        if self._frozen_at is None:
            self._frozen_at, self._advanced = self.now(), timedelta(0)
        self._wake()
        return self.now()

    def run(self) -> datetime:
        """Lets a frozen clock run on from where it stands, and returns the time."""
        if self._frozen_at is not None:
            self._advanced, self._frozen_at = self.now() - datetime.now(UTC), None
        self._wake()
        return self.now()

    def reset(self) -> datetime:
        """Goes back to how the clock began, and returns the time: the machine's, running, or the
        moment at which it was made frozen."""
        self._advanced, self._frozen_at = timedelta(0), self._begun_at
        self._wake()
        return self.now()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after each change, before it returns."""
        self._listeners.append(listener)

    async def wait_until(self, moment: datetime) -> None:
        """Returns as soon as `now()` has reached `moment`, by waiting or by a move."""
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
