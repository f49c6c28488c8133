"""The holder who acts by itself: confirms or refuses what arrives, at once or after a while.

The delay runs on the simulated clock, so advancing it brings a late holder's decision at once.
What the holder does is fixed when the request arrives; changing the behaviour later changes
requests that arrive later.
"""

import asyncio
from datetime import datetime, timedelta

from moica_simulator.clock import Clock
from moica_simulator.errors import PlatformError, SimulatorError
from moica_simulator.log import Logger
from moica_simulator.phone.app import PhoneApp
from moica_simulator.records import Notification, OnRequest

__all__ = ["Holder"]

_TOO_LATE = timedelta(seconds=1)


class Holder:
    """Runs the automatic decisions.

    Args:
        app: The phones.
        clock: For delays.
        log: Told of each decision and of each that came to nothing.
    """

    def __init__(self, app: PhoneApp, clock: Clock, log: Logger) -> None:
        self._app = app
        self._clock = clock
        self._log = log
        self._running: dict[asyncio.Task[None], datetime] = {}
        app.on_arrival(self.schedule)

    def schedule(self, notification: Notification) -> None:
        """Has a request decided after its behaviour's delay; needs a running event loop."""
        behaviour = notification.behaviour
        if behaviour.on_request in (OnRequest.MANUAL, OnRequest.IGNORE):
            return
        due = notification.arrived_at + behaviour.delay
        if behaviour.on_request is OnRequest.LATE:
            # The holder finds the phone when it is too late: the app asks, the platform refuses.
            due = max(due, self._app.lapses_at(notification) + _TOO_LATE)
        task = asyncio.get_running_loop().create_task(self._decide(notification, due))
        self._running[task] = due
        task.add_done_callback(self._forget)

    async def settle(self) -> None:
        """Returns when every decision that is due by now has been made."""
        while due := [task for task, at in self._running.items() if at <= self._clock.now()]:
            await asyncio.wait(due)

    async def close(self) -> None:
        """Stops; decisions not made are made after the next start if there is a state folder."""
        waiting = list(self._running)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Taken here, or asyncio would log the exception with whatever its text holds.
            self._log.error("holder.failed", error_type=type(error).__name__)

    async def _decide(self, notification: Notification, due: datetime) -> None:
        await self._clock.wait_until(due)
        device_id, sp_ticket_id = notification.device_id, notification.sp_ticket_id
        fields = {"device_id": device_id, "sp_ticket_id": sp_ticket_id}
        try:
            if notification.behaviour.on_request is OnRequest.REFUSE:
                self._app.refuse(device_id, sp_ticket_id)
            else:
                await self._app.confirm(device_id, sp_ticket_id)
            if notification.behaviour.on_request is OnRequest.TWICE:
                await self._app.confirm(device_id, sp_ticket_id)
        except (PlatformError, SimulatorError) as error:
            self._log.info("holder.too_late", code=error.code, **fields)
        else:
            self._log.info(
                "holder.decided", behaviour=notification.behaviour.on_request.value, **fields
            )
