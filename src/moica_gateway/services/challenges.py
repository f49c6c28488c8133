"""Ways to reach the phone: the first, further ones while a transaction is pending, and the first
one of a batch's next ticket.

A challenge is in the database as ``starting`` before the platform is asked, and the platform is
asked once. The asking goes on when the caller leaves; what it brings is settlement's.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from moica_gateway.domain.lifecycle import SETTLE_GRACE
from moica_gateway.domain.models import (
    Begin,
    Challenge,
    ChallengeStatus,
    Channel,
    Presentation,
    Tenant,
    Transaction,
)
from moica_gateway.domain.values import ChallengeId, IdNumber, Tbs, TransactionId
from moica_gateway.errors import GatewayError, Problem, error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.commands import Caller, IdempotencyUse
from moica_gateway.services.context import Context, load
from moica_gateway.services.prepared import prepared_from_blob
from moica_gateway.services.settlement import Settlement

__all__ = ["Challenges"]

_ANSWER_WITHIN: Final = 5.0
_STORE_RETRY: Final = 2.0
_BROWSER_PUSH_EVERY: Final = timedelta(seconds=20)


class Challenges:
    """``watch`` hands a transaction to the poller once its ticket is known."""

    def __init__(
        self, context: Context, settlement: Settlement, watch: Callable[[Transaction], None]
    ) -> None:
        self._context = context
        self._settlement = settlement
        self._watch = watch
        self._log = structlog.get_logger("moica_gateway.challenges")
        self._running: set[asyncio.Task[None]] = set()

    def new(
        self, channel: Channel, time_limit: int, tenant: Tenant, *, return_url: str | None
    ) -> Challenge:
        """In state ``starting``, not written yet.

        Raises:
            RequestError: ``channel_unsupported``.
        """
        upstream = self._context.upstream
        if channel not in upstream.channels:
            raise error(
                "channel_unsupported",
                f"`channel`: expected one of {', '.join(sorted(upstream.channels))}, "
                f"came {channel.value}",
                member="channel",
            )
        if tenant.service_provider is None:
            raise error("configuration_invalid", "expected a tenant with a service provider")
        now = self._context.clock.now()
        return Challenge(
            id=ChallengeId(self._context.new_id("chl")),
            channel=channel,
            status=ChallengeStatus.STARTING,
            upstream_transaction_id=str(self._context.random.uuid4()),
            time_limit=time_limit,
            created_at=now,
            expires_at=now + timedelta(seconds=time_limit),
            sp_key_id=tenant.service_provider.current_key.id,
            return_url=return_url,
        )

    async def add(
        self,
        caller: Caller,
        transaction_id: TransactionId,
        channel: Channel,
        return_url: str | None,
        use: IdempotencyUse | None = None,
    ) -> Transaction:
        """A further challenge (「QR Code 模式登入」), at most 5 s; once for an ``Idempotency-Key``.

        Raises:
            RequestError: ``not_found``, ``transaction_closed``, ``challenge_limit``,
                ``challenge_too_soon``, ``push_paused``, ``rate_limited``, ``channel_unsupported``,
                ``idempotency_mismatch``, or a foreign ``return_url``.
        """

        def material(uow: UnitOfWork) -> tuple[Transaction, Tenant]:
            transaction = load(uow, caller.tenant, transaction_id)
            tenant = uow.tenant(caller.tenant)
            if tenant is None:
                raise error("transaction_closed", "the tenant is gone")
            return transaction, tenant

        transaction, tenant = await self._context.store.read(material)
        self.check_return_url(return_url, tenant)
        challenge = self.new(channel, transaction.time_limit, tenant, return_url=return_url)
        added = await self._settlement.add_challenge(
            caller,
            transaction_id,
            challenge,
            lambda current: self._check_pace(caller, current, channel),
            use,
        )
        if challenge.id not in {c.id for c in added.challenges}:
            return added
        # Only now is it sure which ticket it asks for: an approval may have come in between.
        written = added.challenge(challenge.id)
        id_number, messages = await self._context.store.read(
            lambda uow: _asked_for(uow, added, written.ticket)
        )
        await self.start(
            added,
            written,
            messages=messages,
            id_number=id_number,
            wait=_ANSWER_WITHIN,
        )
        return await self._context.store.read(lambda uow: load(uow, caller.tenant, transaction_id))

    async def prepare(self, transaction: Transaction, channel: Channel) -> Challenge | Problem:
        """The next ticket's first, not written yet; or why there can be none."""
        tenant = await self._context.store.read(lambda uow: uow.tenant(transaction.tenant))
        try:
            if tenant is None:
                raise error("transaction_closed", "the tenant is gone")
            return self.new(channel, transaction.time_limit, tenant, return_url=None)
        except GatewayError as e:
            return e.problem

    def begin(self, transaction: Transaction, challenge: Challenge) -> None:
        """Ask for the next ticket of a batch, in a task of its own."""
        # Its deadline is kept whatever becomes of the asking.
        self._watch(transaction)
        self._spawn(self._begin(transaction, challenge)).add_done_callback(self._begun)

    def _begun(self, task: asyncio.Task[None]) -> None:
        # Nobody waits for it; only the kind is said, a text may hold what must not be logged.
        if not task.cancelled() and (raised := task.exception()) is not None:
            self._log.error("challenges.next_ticket_failed", kind=type(raised).__name__)

    async def _begin(self, transaction: Transaction, challenge: Challenge) -> None:
        try:
            id_number, messages = await self._read_asked_for(transaction, challenge.ticket)
            await self.start(
                transaction,
                challenge,
                messages=messages,
                id_number=id_number,
                wait=_ANSWER_WITHIN,
            )
        except GatewayError as e:
            # Not asked again here: the platform may have been. It ends by its deadline.
            self._log.error("challenges.next_ticket_failed", code=e.code)

    async def _read_asked_for(
        self, transaction: Transaction, ticket: int
    ) -> tuple[IdNumber, tuple[Tbs, ...]]:
        while True:
            try:
                return await self._context.store.read(
                    lambda uow: _asked_for(uow, transaction, ticket)
                )
            except GatewayError as e:
                late = self._context.clock.now() >= transaction.expires_at
                if e.code != "storage_unavailable" or late:
                    raise
                await self._context.clock.sleep(_STORE_RETRY)

    def presentation(self, challenge: Challenge) -> Presentation:
        """QR payload, link or form of an open challenge; empty otherwise, and once it has lapsed,
        even while the platform's last word on it is still awaited."""
        if challenge.handle is None or not challenge.status.open:
            return Presentation()
        if challenge.expires_at <= self._context.clock.now():
            return Presentation()
        return self._context.upstream.presentation(
            challenge.handle, challenge.channel, challenge.return_url
        )

    async def start(
        self,
        transaction: Transaction,
        challenge: Challenge,
        *,
        messages: tuple[Tbs, ...],
        id_number: IdNumber,
        wait: float,
    ) -> None:
        """Ask the platform; returns when it has answered, or after ``wait`` seconds."""
        # From here on its deadline is kept, whatever becomes of the asking: it is written already.
        self._watch(transaction)
        tenant = await self._context.store.read(lambda uow: uow.tenant(transaction.tenant))
        if tenant is None or tenant.service_provider is None:
            raise error("configuration_invalid", "expected a tenant with a service provider")
        asking = self._spawn(
            self._ask(
                transaction,
                challenge.id,
                Begin(
                    service_provider=tenant.service_provider,
                    upstream_transaction_id=challenge.upstream_transaction_id,
                    channel=challenge.channel,
                    id_number=id_number,
                    hint=transaction.hint,
                    time_limit=challenge.time_limit,
                    messages=messages,
                    device_name=transaction.device_name
                    if challenge.channel is Channel.PUSH
                    else None,
                    presence=transaction.assurance == "platform",
                ),
            )
        )
        late = asyncio.ensure_future(self._context.clock.sleep(wait))
        try:
            await asyncio.wait({asking, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            late.cancel()
        if asking.done():
            asking.result()

    async def close(self) -> None:
        """Wait for what is still being asked (each has the upstream's own time limit)."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def _ask(self, transaction: Transaction, challenge_id: ChallengeId, begin: Begin) -> None:
        result = await self._context.upstream.begin(begin)
        give_up_at = transaction.expires_at + SETTLE_GRACE
        while True:
            try:
                begun = await self._settlement.begun(
                    transaction.tenant, transaction.id, challenge_id, result
                )
            except GatewayError as e:
                # The phone rings: a ticket that could not be written must not be lost.
                if e.code != "storage_unavailable" or self._context.clock.now() >= give_up_at:
                    raise
                await self._context.clock.sleep(_STORE_RETRY)
            else:
                self._watch(begun)
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _check_pace(self, caller: Caller, transaction: Transaction, channel: Channel) -> None:
        if not caller.browser or channel is not Channel.PUSH:
            return
        pushed = [c.created_at for c in transaction.challenges if c.channel is Channel.PUSH]
        if pushed:
            left = max(pushed) + _BROWSER_PUSH_EVERY - self._context.clock.now()
            if left > timedelta(0):
                raise error(
                    "challenge_too_soon",
                    "expected at least 20 s between two pushes from a browser; wait, or use QR",
                    retry_after=math.ceil(left.total_seconds()),
                )

    def check_return_url(self, return_url: str | None, tenant: Tenant) -> None:
        """Raises ``RequestError`` for an address whose origin is not registered."""
        if return_url is None:
            return
        try:
            parts = urlsplit(return_url)
            origin = f"{parts.scheme}://{parts.netloc}"
            known = parts.scheme in ("http", "https") and origin in tenant.policy.return_origins
        except ValueError:
            known = False
        # A browser or the app may read a backslash as a slash, and stop at a space.
        if not known or any(c in return_url for c in " \\"):
            raise error(
                "request_invalid",
                "`return_url`: expected an address of an origin that the administrator registered "
                "for this tenant",
                member="return_url",
            )


def _asked_for(
    uow: UnitOfWork, transaction: Transaction, ticket: int
) -> tuple[IdNumber, tuple[Tbs, ...]]:
    """Whom the platform is asked about, and what that ticket's confirmation signs."""
    person = uow.person(transaction.tenant, transaction.person_id)
    if person is None:
        raise error("transaction_closed", "the person is gone")
    return person.id_number, tuple(
        prepared_from_blob(uow.blobs.get(transaction.tenant, d.prepared)).message
        for d in transaction.documents_of(ticket)
        if d.prepared is not None
    )
