"""What happens without anybody looking: lost webhooks, lost answers, artifacts not fetched yet,
and withdrawals that the gateway has not heard of.

It only asks the gateway; deciding is `apply_outcome`'s.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from document_system.asking import Asking, Desk
from document_system.errors import Refused
from document_system.models import Confirmation
from document_system.registering import Registering
from document_system.signing import Signing
from document_system.store import confirmations
from document_system.withdrawing import Withdrawing
from moica_gateway.errors import GatewayError

__all__ = ["FollowUp"]

_log = logging.getLogger("document_system.follow_up")

_FETCH_FOR: Final = timedelta(days=1)
"""How long what cannot be fetched is tried without anybody looking; a page still tries after."""

_GRACE: Final = timedelta(seconds=10)
"""How long whoever pressed the button is left to finish it."""


class FollowUp:
    """One loop; `wake` lets it run at once (after a webhook)."""

    def __init__(
        self,
        desk: Desk,
        asking: Asking,
        signing: Signing,
        registering: Registering,
        withdrawing: Withdrawing,
        interval: float,
    ) -> None:
        self._desk = desk
        self._asking = asking
        self._signing = signing
        self._registering = registering
        self._withdrawing = withdrawing
        self._interval = interval
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Something has come in."""
        self._awake.set()

    async def run(self) -> None:
        """For ever, until cancelled."""
        while True:
            try:
                await self.once()
            except Exception:  # noqa: BLE001 - one bad round must not end the loop; it is logged
                _log.exception("follow_up.round_failed")
            try:
                async with asyncio.timeout(self._interval):
                    await self._awake.wait()
            except TimeoutError:
                pass
            self._awake.clear()

    async def once(self) -> None:
        """One round over everything that is open, not fetched, or not told."""
        await self._withdrawing.tell_soon()
        waiting = await self._desk.database.run(confirmations.list_open)
        unfetched = await self._desk.database.run(
            confirmations.list_unfetched, self._desk.clock() - _FETCH_FOR
        )
        for confirmation in (*waiting, *unfetched):
            try:
                await self._one(confirmation)
            except GatewayError as e:
                _log.warning("follow_up.deferred code=%s confirmation=%s", e.code, confirmation.id)
            except Refused:
                _log.error("follow_up.mismatch confirmation=%s", confirmation.id)

    async def _one(self, confirmation: Confirmation) -> None:
        now = self._desk.clock()
        if confirmation.status == "starting":
            if confirmation.kind == "registration":
                await self._registering.give_up_lost(confirmation)
            elif now >= confirmation.created_at + _GRACE:
                await self._signing.resume(confirmation)
        elif confirmation.status == "pending":
            if confirmation.expires_at is not None and now >= confirmation.expires_at:
                await self._asking.look(confirmation)
        else:
            await self._asking.look(confirmation)
