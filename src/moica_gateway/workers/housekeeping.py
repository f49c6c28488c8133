"""What has to be done once an hour: forgetting idempotency keys after 24 h."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from moica_gateway.errors import GatewayError
from moica_gateway.ports import ALL_TENANTS, Clock, Store

__all__ = ["Housekeeping"]

_EVERY: Final = 3600.0
_IDEMPOTENCY: Final = timedelta(hours=24)


class Housekeeping:
    """See the module."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._log = structlog.get_logger("moica_gateway.housekeeping")

    async def once(self) -> int:
        """Returns how many idempotency keys were forgotten."""
        before = self._clock.now() - _IDEMPOTENCY
        return await self._store.write(
            lambda uow: uow.delete_idempotency_before(ALL_TENANTS, before)
        )

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.once()
            except GatewayError as e:
                self._log.error("housekeeping.failed", code=e.code)
            await self._clock.sleep(_EVERY)
