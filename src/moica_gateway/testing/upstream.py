"""`ScriptedUpstream`: a public double of ``ports.Upstream``, for tests of services and workers.

It makes tickets without a platform, answers as scripted by ticket, and keeps what it was asked.
It checks nothing: which answers are authentic is the real upstream's business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from urllib.parse import parse_qs

from moica_gateway.domain.models import (
    Answer,
    Begin,
    Begun,
    Channel,
    DeviceStatus,
    Fault,
    Handle,
    Pending,
    Presentation,
    ServiceProvider,
    StartUnknown,
)
from moica_gateway.domain.values import IdNumber, Tbs
from moica_gateway.errors import error, problem

__all__ = ["ScriptedUpstream"]


class ScriptedUpstream:
    """Begin results in the order given, then new tickets; answers by ticket, the last one stays.

    Unscripted, every ``begin`` makes the ticket ``ticket-<n>`` (counted from 1) and every ``poll``
    is `Pending`. Unscripted, every device is bound and its certificate usable.

    Attributes:
        begun: Every request of ``begin``, in order.
        polled: Every handle of ``poll``, in order.
        received: Every call of ``receive``: handle and what came.
        looked_up: Every call of ``device_status``: ID number and transaction id.
        gate: Where set, ``begin`` waits for it before it answers, so that a test can look at a
            challenge that is still starting.
    """

    def __init__(
        self,
        *,
        name: str = "scripted",
        channels: frozenset[Channel] = frozenset(
            {Channel.PUSH, Channel.QR, Channel.APP_LINK, Channel.REDIRECT}
        ),
        poll_interval: float = 4.0,
        max_message: int = 768,
        max_messages: int = 1,
    ) -> None:
        self.name = name
        self.channels = channels
        self.poll_interval = poll_interval
        self.max_messages = max_messages
        self.begun: list[Begin] = []
        self.polled: list[Handle] = []
        self.received: list[tuple[Handle, bytes]] = []
        self.looked_up: list[tuple[IdNumber, str]] = []
        self.gate: asyncio.Event | None = None
        self._max_message = max_message
        self._begins: deque[Begun | Fault | StartUnknown] = deque()
        self._answers: dict[str, deque[Answer]] = {}
        self._statuses: deque[DeviceStatus | Fault] = deque()
        self._count = 0

    def begin_with(self, *results: Begun | Fault | StartUnknown) -> None:
        """The results of the next calls of ``begin``; afterwards tickets are made again."""
        self._begins.extend(results)

    def answer(self, ticket_id: str, *answers: Answer) -> None:
        """Append to what polls (and callbacks) of this ticket answer; the last one stays."""
        self._answers.setdefault(ticket_id, deque()).extend(answers)

    def status_with(self, *results: DeviceStatus | Fault) -> None:
        """The results of the next calls of ``device_status``; the last one stays."""
        self._statuses.extend(results)

    def accepts(self, messages: Sequence[Tbs]) -> None:
        """As the port says, with the sizes given at the start."""
        if not 1 <= len(messages) <= self.max_messages:
            raise error(
                "request_invalid",
                f"expected 1 to {self.max_messages} messages, came {len(messages)}",
            )
        for message in messages:
            if len(message.message) > self._max_message:
                raise error(
                    "document_too_large",
                    f"expected at most {self._max_message} bytes, came {len(message.message)}",
                )

    async def begin(self, request: Begin) -> Begun | Fault | StartUnknown:
        """The next scripted result, else a new ticket."""
        self.begun.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self._begins:
            return self._begins.popleft()
        self._count += 1
        ticket_id = f"ticket-{self._count}"
        key = next(iter(request.service_provider.keys), None)
        return Begun(
            handle=Handle(
                transaction_id=request.upstream_transaction_id,
                ticket=f"scripted.{ticket_id}",
                ticket_id=ticket_id,
                sp_key_id=key.id if key is not None else "",
                sent_checksums=(),
                extra={"channel": request.channel.value},
            )
        )

    async def poll(self, handle: Handle, service_provider: ServiceProvider) -> Answer:
        """The next scripted answer of this ticket, else `Pending`."""
        self.polled.append(handle)
        return self._next(handle)

    def claimed_transaction_id(self, unverified: bytes) -> str:
        """``transaction_id`` of a form."""
        found = parse_qs(unverified.decode("ascii", "replace")).get("transaction_id", [])
        if len(found) != 1:
            raise error("request_malformed", "expected a form with one transaction_id, came none")
        return found[0]

    def receive(
        self, handle: Handle, service_provider: ServiceProvider, unverified: bytes
    ) -> Answer:
        """The next scripted answer of this ticket, else a fault: nothing was expected."""
        self.received.append((handle, unverified))
        if handle.ticket_id not in self._answers:
            return Fault(
                problem=problem("channel_unsupported", "nothing is scripted for this ticket"),
                spoke=False,
            )
        return self._next(handle)

    def shown(self, raw: bytes) -> bytes:
        """As it is."""
        return raw

    def presentation(
        self, handle: Handle, channel: Channel, return_url: str | None
    ) -> Presentation:
        """The ticket as QR payload, a ``scripted:`` link, or a form, as the channel wants."""
        if channel is Channel.QR:
            return Presentation(qr_payload=handle.ticket)
        if channel is Channel.APP_LINK:
            return Presentation(url=f"scripted://{handle.ticket_id}?return={return_url or ''}")
        if channel is Channel.REDIRECT:
            return Presentation(form={"action": "scripted:", "fields": {"t": handle.ticket_id}})
        return Presentation()

    async def device_status(
        self,
        service_provider: ServiceProvider,
        id_number: IdNumber,
        upstream_transaction_id: str,
    ) -> DeviceStatus | Fault:
        """The next scripted result."""
        self.looked_up.append((id_number, upstream_transaction_id))
        if not self._statuses:
            return DeviceStatus(bound=True, certificate_usable=True)
        return self._statuses.popleft() if len(self._statuses) > 1 else self._statuses[0]

    def _next(self, handle: Handle) -> Answer:
        waiting = self._answers.get(handle.ticket_id)
        if not waiting:
            return Pending()
        return waiting.popleft() if len(waiting) > 1 else waiting[0]
