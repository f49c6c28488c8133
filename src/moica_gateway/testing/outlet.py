"""A double of `ports.Outlet`."""

from __future__ import annotations

from moica_gateway.domain.models import OutboxMessage, WebhookEndpoint
from moica_gateway.ports import Delivered, DeliveryFailed

__all__ = ["RecordingOutlet"]


class RecordingOutlet:
    """Answers as scripted, then takes everything; keeps what it was given."""

    def __init__(self, *results: Delivered | DeliveryFailed) -> None:
        self._results = list(results)
        self.messages: list[OutboxMessage] = []

    async def deliver(
        self, message: OutboxMessage, endpoint: WebhookEndpoint
    ) -> Delivered | DeliveryFailed:
        """See the port."""
        self.messages.append(message)
        return self._results.pop(0) if self._results else Delivered()
