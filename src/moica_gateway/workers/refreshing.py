"""Asks, twice a minute, for what will run out: the revocation lists that were needed lately.

A part of housekeeping that runs in every process, because each holds its lists in memory. What is
due, and with how much jitter, is decided by whoever holds them; here is only the rhythm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from moica_gateway.ports import Clock

__all__ = ["Refreshing"]

_EVERY: Final = 30.0
"""Seconds: also the longest until a running gateway takes note of an imported list."""


class Refreshing:
    """Calls ``refresh`` at its start and ever after."""

    def __init__(self, refresh: Callable[[], Awaitable[None]], *, clock: Clock) -> None:
        self._refresh = refresh
        self._clock = clock
        self._log = structlog.get_logger("moica_gateway.refreshing")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._refresh()
            except Exception as e:  # noqa: BLE001 - one defect must not end all refreshing
                self._log.error("refreshing.failed", exc_info=e)
            await self._clock.sleep(_EVERY)
