"""A double of `ports.Outlet`."""

from __future__ import annotations

from moica_gateway.domain.models import OutboxMessage, WebhookEndpoint
from moica_gateway.ports import Delivered, DeliveryFailed

__all__ = ["RecordingOutlet"]


class RecordingOutlet:
    """Answers as scripted, then takes everything; keeps what it was given.

    Attributes:
        attempts: Every attempt in order: the message and the endpoint that it was for.
    """

    def __init__(self, *results: Delivered | DeliveryFailed) -> None:
        self._results = list(results)
        self.attempts: list[tuple[OutboxMessage, WebhookEndpoint]] = []

    @property
    def messages(self) -> list[OutboxMessage]:
        """The messages of all attempts, in order."""
        return [message for message, _ in self.attempts]

    def script(self, *results: Delivered | DeliveryFailed) -> None:
        """Append to what the next attempts get."""
        self._results.extend(results)

    async def deliver(
        self, message: OutboxMessage, endpoint: WebhookEndpoint
    ) -> Delivered | DeliveryFailed:
        """See the port."""
        self.attempts.append((message, endpoint))
        return self._results.pop(0) if self._results else Delivered()
