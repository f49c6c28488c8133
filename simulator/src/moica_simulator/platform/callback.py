"""WEB-01's callback: a form, posted to the relying system when a redirect ends or lapses.

It is due at a moment of the simulated clock, like the automatic decisions of holders, and posted
again after a failure (`assumptions.CALLBACK_RETRIES`). What is still due is kept in the store and
taken up after a restart. Faults on `SP-API-WEB-01` act here: `code` replaces what the form says,
`tamper` makes a part of it wrong, `drop: request` loses it on the way, `drop: answer` loses the
relying system's answer, so that the same form comes again; `latency_s` delays it.
"""

import asyncio
from datetime import datetime

import aiohttp
import attrs

from moica_simulator import assumptions
from moica_simulator.clock import Clock
from moica_simulator.faults import Drop, Fault, FaultBox, Tamper, apply_code, flip_hex, tampered
from moica_simulator.history import History, RecordedRequest
from moica_simulator.log import Logger
from moica_simulator.platform.redirect import RedirectDesk
from moica_simulator.platform.reply import SUCCESS, Reply
from moica_simulator.platform.wire import Interface
from moica_simulator.randomness import Randomness
from moica_simulator.records import Confirmed, Redirect, Refused

__all__ = ["Callbacks"]

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_FAILED = 400


class Callbacks:
    """Posts the callbacks.

    Args:
        desk: Knows the redirects.
        faults: What is to go wrong.
        history: Told of each form posted.
        clock: When.
        randomness: For checksums.
        log: Told of each attempt; never of what is in the form.
    """

    def __init__(
        self,
        desk: RedirectDesk,
        *,
        faults: FaultBox,
        history: History,
        clock: Clock,
        randomness: Randomness,
        log: Logger,
    ) -> None:
        self._desk = desk
        self._faults = faults
        self._history = history
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._running: dict[str, tuple[asyncio.Task[None], datetime]] = {}
        self._session: aiohttp.ClientSession | None = None

    def watch(self, redirect: Redirect) -> None:
        """Has a redirect called back when it ends or lapses; needs a running event loop."""
        if redirect.id_number and not redirect.delivered:
            self._schedule(redirect.redirect_id, self._desk.due_at(redirect))

    def ticket_ended(self, sp_ticket_id: str) -> None:
        """Calls back at once, if the ticket is a redirect's."""
        found = self._desk.of_ticket(sp_ticket_id)
        if found is not None:
            self._schedule(found.redirect_id, self._clock.now())

    def resume(self) -> None:
        """Takes up what a stop has interrupted; once, after the start."""
        for redirect in self._desk.open_callbacks():
            self.watch(redirect)

    async def settle(self) -> None:
        """Returns when every callback that is due by now has been posted."""
        while due := [task for task, at in self._running.values() if at <= self._clock.now()]:
            await asyncio.wait(due)

    async def close(self) -> None:
        """Stops; what was not delivered is posted after the next start from the same folder."""
        waiting = [task for task, _ in self._running.values()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _schedule(self, redirect_id: str, due: datetime) -> None:
        if redirect_id in self._running:
            self._running.pop(redirect_id)[0].cancel()
        task = asyncio.get_running_loop().create_task(self._call(redirect_id, due))
        self._running[redirect_id] = (task, due)
        task.add_done_callback(lambda ended: self._forget(redirect_id, ended))

    def _forget(self, redirect_id: str, task: asyncio.Task[None]) -> None:
        if redirect_id in self._running and self._running[redirect_id][0] is task:
            self._running.pop(redirect_id)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("callback.failed", error_type=type(error).__name__)

    async def _call(self, redirect_id: str, due: datetime) -> None:
        await self._clock.wait_until(due)
        redirect = self._desk.find(redirect_id)
        status, lost = await self._attempt(redirect)
        delivered = not lost and status is not None and status < _FAILED
        redirect = self._desk.put(
            attrs.evolve(redirect, attempts=redirect.attempts + 1, delivered=delivered)
        )
        self._log.info(
            "callback.posted",
            delivered=delivered,
            http_status=status,
            attempt=redirect.attempts,
            sp_ticket_id=redirect.sp_ticket_id,
        )
        if not delivered and redirect.attempts <= len(assumptions.CALLBACK_RETRIES):
            wait = assumptions.CALLBACK_RETRIES[redirect.attempts - 1]
            self._schedule_next(redirect_id, self._clock.now() + wait)

    def _schedule_next(self, redirect_id: str, due: datetime) -> None:
        # Not `_schedule`: that would cancel the task in which this runs.
        self._running.pop(redirect_id, None)
        self._schedule(redirect_id, due)

    async def _attempt(self, redirect: Redirect) -> tuple[int | None, bool]:
        """Posts once; returns the status that came, and whether it is to count as lost."""
        number, at = self._history.next_number(), self._clock.now()
        applied: list[Fault] = []
        faults = [*self._matching(redirect), *self._faults.draw(Interface.REDIRECT)]
        form, drop = self._form(redirect, faults, applied)
        for fault in faults:
            if fault.latency_s is not None and self._count(fault, applied):
                await asyncio.sleep(fault.latency_s)
        status = None if drop is Drop.REQUEST else await self._post(redirect, form)
        self._history.add(
            RecordedRequest(
                number=number,
                at=at,
                interface=Interface.REDIRECT.value,
                body=None,
                payload=None,
                payload_sha256=None,
                checksum_verified=None,
                early=False,
                http_status=status,
                answer=form,
                faults=tuple(each.fault_id for each in applied),
                harms=tuple(each.harm for each in applied),
                sp_service_id=redirect.sp_service_id,
                id_number=redirect.id_number or None,
                sp_ticket_id=redirect.sp_ticket_id or None,
            )
        )
        return status, drop is not None

    async def _post(self, redirect: Redirect, form: dict[str, str]) -> int | None:
        url = self._desk.callback_url(redirect)
        if url is None:
            return None
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.post(url, data=form, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    def _form(
        self, redirect: Redirect, faults: list[Fault], applied: list[Fault]
    ) -> tuple[dict[str, str], Drop | None]:
        reply, checksum, drop = self._desk.reply(redirect), None, None
        for fault in faults:
            if fault.code is not None and self._count(fault, applied):
                code = apply_code(Interface.REDIRECT, fault.code).code
                reply = attrs.evolve(reply, code=code, result={"id_num": redirect.id_number})
            elif fault.drop is not None and drop is None and self._count(fault, applied):
                drop = fault.drop
            elif fault.tamper is not None:
                altered = tampered(reply, fault.tamper)
                if altered is None or not self._count(fault, applied):
                    continue
                if fault.tamper is Tamper.IDP_CHECKSUM:
                    checksum = flip_hex(reply.sealed(self._randomness))
                elif not fault.reseal:
                    checksum = reply.sealed(self._randomness)
                reply = altered
        return self._written(reply, checksum), drop

    def _written(self, reply: Reply, checksum: str | None) -> dict[str, str]:
        form = {"transaction_id": reply.transaction_id, "error_code": str(reply.code)}
        form |= {name: str(value) for name, value in (reply.result or {}).items()}
        if reply.code == SUCCESS or assumptions.REDIRECT_ERRORS_CARRY_CHECKSUM:
            form["idp_checksum"] = checksum or reply.sealed(self._randomness)
        return form

    def _matching(self, redirect: Redirect) -> list[Fault]:
        ticket = self._desk.ticket(redirect)
        decided = ticket.outcome if ticket else None
        return self._faults.matching(
            Interface.REDIRECT,
            redirect.id_number,
            redirect.sp_service_id,
            frozenset({decided.device_id} if isinstance(decided, Confirmed | Refused) else ()),
        )

    def _count(self, fault: Fault, applied: list[Fault]) -> bool:
        counted = self._faults.count(fault)
        if counted:
            applied.append(fault)
            self._log.info("fault.applied", fault_id=fault.fault_id, interface=fault.interface)
        return counted
