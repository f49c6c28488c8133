"""A brake on guessing passwords: a few failures a user name, then a pause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

__all__ = ["Throttle"]

_MOST: Final = 5
_WINDOW: Final = timedelta(minutes=5)
_NAMES: Final = 10_000


class Throttle:
    """Counts failures in memory: a restart forgives, which a reference system may."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._failures: dict[str, list[datetime]] = {}

    def _recent(self, name: str) -> list[datetime]:
        since = self._clock() - _WINDOW
        return [at for at in self._failures.get(name, []) if at > since]

    def closed(self, name: str) -> bool:
        """Whether this name has to wait."""
        return len(self._recent(name)) >= _MOST

    def failed(self, name: str) -> None:
        """One more failure."""
        if len(self._failures) >= _NAMES:
            # Whoever invents names must not fill the memory.
            self._failures.clear()
        self._failures[name] = [*self._recent(name), self._clock()]

    def succeeded(self, name: str) -> None:
        """Forgets what went before."""
        self._failures.pop(name, None)
