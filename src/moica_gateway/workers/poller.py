"""One scheduler for every ticket: which is due, never closer than its interval, one deciding poll.

No task or thread a transaction: a heap of due times, and at most ``max_in_flight`` polls running.
An answer that says "not yet" writes nothing. Faults that are "not yet" are written once for each
code of a ticket. After a restart everything that is pending is asked again one interval after the
start; a challenge that was being started then is ``start_unknown``. Tickets of ended transactions
are watched until they lapse, so that a late approval is recorded.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final

import structlog
from attrs import define, field

from moica_gateway.domain.lifecycle import settle_by
from moica_gateway.domain.models import (
    Answer,
    Approved,
    Challenge,
    ChallengeStatus,
    Channel,
    Fault,
    Handle,
    Lapsed,
    Pending,
    StartUnknown,
    Transaction,
)
from moica_gateway.domain.values import ChallengeId, TenantId, TransactionId
from moica_gateway.errors import GatewayError
from moica_gateway.ports import ALL_TENANTS
from moica_gateway.services.context import Context
from moica_gateway.services.settlement import Settlement

__all__ = ["Poller"]

_MAX_IN_FLIGHT: Final = 256
_RETRY_AFTER_FAILURE: Final = 5.0
_WHILE_JUDGING: Final = 1.0


@define(eq=False)
class _Ticket:
    tenant: TenantId
    transaction_id: TransactionId
    challenge_id: ChallengeId
    handle: Handle = field(repr=False)
    expires_at: datetime
    ended: bool = False
    faults: set[str] = field(factory=set)


@define(eq=False)
class _Watch:
    """One pending transaction: when it must be settled, and what its tickets said at the end."""

    transaction: Transaction = field(repr=False)
    settle_at: datetime
    words: dict[ChallengeId, Pending | Lapsed | Fault | None] = field(factory=dict)
    judging: int = 0
    """Approvals that the judge has not decided yet: what the deciding poll found counts."""


class Poller:
    """``observe(result, lag_seconds)`` feeds the metrics."""

    def __init__(
        self,
        context: Context,
        settlement: Settlement,
        *,
        observe: Callable[[str, float], None] = lambda _result, _lag: None,
        max_in_flight: int = _MAX_IN_FLIGHT,
    ) -> None:
        self._context = context
        self._settlement = settlement
        self._observe = observe
        self._log = structlog.get_logger("moica_gateway.poller")
        self._started_at = context.clock.now()
        self._due: list[tuple[float, int, _Ticket | TransactionId]] = []
        self._order = itertools.count()
        self._tickets: dict[ChallengeId, _Ticket] = {}
        self._watches: dict[TransactionId, _Watch] = {}
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(max_in_flight)
        self._running: set[asyncio.Task[None]] = set()

    # -- what is watched -------------------------------------------------------------------------

    def watch(self, transaction: Transaction) -> None:
        """Take up a transaction as it is now: new tickets, a later deadline, or its end."""
        if transaction.status.terminal:
            self._watches.pop(transaction.id, None)
        else:
            self._watch_deadline(transaction)
        for challenge in transaction.challenges:
            self._watch_challenge(transaction, challenge)
        self._wake.set()

    def _watch_deadline(self, transaction: Transaction) -> None:
        # With no ticket left that could still be approved there is nothing to wait for after
        # `expires_at`.
        settle_at = (
            settle_by(transaction, self._started_at)
            if transaction.open_challenges
            else transaction.expires_at
        )
        known = self._watches.get(transaction.id)
        if known is None:
            self._watches[transaction.id] = _Watch(transaction=transaction, settle_at=settle_at)
        else:
            known.transaction, known.settle_at = transaction, settle_at
        self._push(self._seconds_until(settle_at), transaction.id)

    def _watch_challenge(self, transaction: Transaction, challenge: Challenge) -> None:
        if challenge.channel is Channel.REDIRECT:
            return  # its answer is received; it expires with the transaction
        worth_asking = challenge.status is ChallengeStatus.SENT or (
            challenge.status is ChallengeStatus.CLOSED
            and self._context.clock.now() < challenge.expires_at
        )
        known = self._tickets.get(challenge.id)
        if challenge.handle is None or not worth_asking:
            if known is not None:
                known.ended = True
                del self._tickets[challenge.id]
            return
        if known is not None:
            return
        ticket = _Ticket(
            tenant=transaction.tenant,
            transaction_id=transaction.id,
            challenge_id=challenge.id,
            handle=challenge.handle,
            expires_at=challenge.expires_at,
        )
        self._tickets[challenge.id] = ticket
        self._schedule(ticket, self._context.upstream.poll_interval)

    def _schedule(self, ticket: _Ticket, interval: float) -> None:
        """One interval after the last answer, never closer; the first poll at or after
        ``expires_at`` is the deciding one."""
        self._push(interval, ticket)

    def _push(self, delay: float, what: _Ticket | TransactionId) -> None:
        due = self._context.clock.monotonic() + max(delay, 0.0)
        heapq.heappush(self._due, (due, next(self._order), what))
        self._wake.set()

    def _seconds_until(self, moment: datetime) -> float:
        return (moment - self._context.clock.now()).total_seconds()

    # -- running -------------------------------------------------------------------------------

    async def recover(self) -> None:
        """Take up what was open when the last process ended."""
        now = self._context.clock.now()
        pending, watched = await self._context.store.read(
            lambda uow: (
                uow.pending_transactions(ALL_TENANTS),
                uow.watched_transactions(ALL_TENANTS, now),
            )
        )
        for transaction in pending:
            current = transaction
            for challenge in transaction.challenges:
                if challenge.status is ChallengeStatus.STARTING:
                    current = await self._settlement.begun(
                        transaction.tenant,
                        transaction.id,
                        challenge.id,
                        StartUnknown(
                            detail="the gateway was restarted while the platform was being asked; "
                            "the phone may have rung; start again"
                        ),
                    )
            self.watch(current)
        for transaction in watched:
            self.watch(transaction)

    async def run(self) -> None:
        """Until cancelled. Call `recover` first."""
        try:
            while True:
                self._wake.clear()
                self._start_due()
                await self._until_due()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _start_due(self) -> None:
        now = self._context.clock.monotonic()
        while self._due and self._due[0][0] <= now:
            due, _, what = heapq.heappop(self._due)
            if isinstance(what, _Ticket):
                if not what.ended:
                    self._spawn(self._poll(what, now - due))
            elif what in self._watches:
                self._spawn(self._settle(what))

    async def _until_due(self) -> None:
        if not self._due:
            await self._wake.wait()
            return
        delay = self._due[0][0] - self._context.clock.monotonic()
        woken = asyncio.ensure_future(self._wake.wait())
        late = asyncio.ensure_future(self._context.clock.sleep(max(delay, 0.0)))
        try:
            await asyncio.wait({woken, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            late.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _poll(self, ticket: _Ticket, lag: float) -> None:
        async with self._slots:
            if ticket.ended:
                return
            retry_after = self._context.upstream.poll_interval
            # By when it was asked, not by when it was answered: "not finished" said before the
            # deadline decides nothing.
            final = self._context.clock.now() >= ticket.expires_at
            try:
                tenant = await self._context.store.read(lambda uow: uow.tenant(ticket.tenant))
                if tenant is None or tenant.service_provider is None:
                    return
                answer = await self._context.upstream.poll(ticket.handle, tenant.service_provider)
                self._observe(type(answer).__name__.lower(), lag)
                await self._take(ticket, answer, final=final)
                if isinstance(answer, Fault) and answer.retry_after is not None:
                    # Not past the deciding poll: what it finds counts, and nobody else asks.
                    left = self._seconds_until(ticket.expires_at)
                    retry_after = max(retry_after, min(answer.retry_after, left))
            except GatewayError as e:
                # Storage that fails loses nothing: the ticket is asked again.
                self._log.error("poller.failed", code=e.code)
                retry_after = max(retry_after, _RETRY_AFTER_FAILURE)
            if self._tickets.get(ticket.challenge_id) is ticket:
                self._schedule(ticket, retry_after)

    async def _take(self, ticket: _Ticket, answer: Answer, *, final: bool) -> None:
        watch = self._watches.get(ticket.transaction_id)
        if watch is not None and final and isinstance(answer, Pending | Lapsed | Fault):
            spoke = not isinstance(answer, Fault) or answer.spoke
            if spoke:
                watch.words[ticket.challenge_id] = answer
        if watch is None and final:
            # An ended transaction's ticket has lapsed: whatever it says is the last word.
            ticket.ended = True
            self._tickets.pop(ticket.challenge_id, None)
        if isinstance(answer, Pending) and not final:
            return
        if isinstance(answer, Fault) and answer.problem.what_helps in ("retry", "poll"):
            if answer.problem.code in ticket.faults:
                return
            ticket.faults.add(answer.problem.code)
        judging = watch is not None and isinstance(answer, Approved)
        if watch is not None:
            watch.judging += judging
        try:
            transaction = await self._settlement.answered(
                ticket.tenant, ticket.transaction_id, ticket.challenge_id, answer
            )
        finally:
            if watch is not None:
                watch.judging -= judging
        self.watch(transaction)
        if transaction.status.terminal and _is_last_word(answer):
            # A late word was heard; it is recorded once.
            ticket.ended = True
            self._tickets.pop(ticket.challenge_id, None)

    async def _settle(self, transaction_id: TransactionId) -> None:
        watch = self._watches.get(transaction_id)
        if watch is None:
            return
        left = self._seconds_until(watch.settle_at)
        if left > 0 or watch.judging:
            self._push(max(left, _WHILE_JUDGING if watch.judging else 0.0), transaction_id)
            return
        try:
            self.watch(
                await self._settlement.overdue(
                    watch.transaction.tenant, transaction_id, dict(watch.words)
                )
            )
        except GatewayError as e:
            self._log.error("poller.failed", code=e.code)
            self._push(_RETRY_AFTER_FAILURE, transaction_id)


def _is_last_word(answer: Answer) -> bool:
    """Nothing more is to be heard of the ticket; what is not authentic is never asked for again."""
    if isinstance(answer, Fault):
        return answer.problem.what_helps == "fail"
    return not isinstance(answer, Pending)
