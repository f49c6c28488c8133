"""Webhooks by Standard Webhooks: signed, body byte for byte as it was committed, one attempt."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC
from typing import Final

from standardwebhooks import Webhook

from moica_gateway.domain.models import OutboxMessage, WebhookEndpoint
from moica_gateway.ports import Clock, Delivered, DeliveryFailed, Egress, EgressError

__all__ = ["WebhookOutlet"]

_TIMEOUT: Final = 15.0
_MAX_REPLY: Final = 65_536
_GONE: Final = 410


class WebhookOutlet:
    """Implements `ports.Outlet`."""

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._egress = egress
        self._clock = clock

    async def deliver(
        self, message: OutboxMessage, endpoint: WebhookEndpoint
    ) -> Delivered | DeliveryFailed:
        """2xx is delivered; 410 switches the endpoint off; anything else is tried again."""
        try:
            headers = self._headers(message, endpoint)
        except (ValueError, binascii.Error):
            return DeliveryFailed(reason="the endpoint's secret is malformed")
        try:
            reply = await self._egress.request(
                "POST",
                endpoint.url,
                headers=headers,
                body=message.body,
                timeout=_TIMEOUT,
                max_bytes=_MAX_REPLY,
                ca_file=endpoint.ca_file,
            )
        except EgressError as e:
            return DeliveryFailed(reason=e.kind)
        if 200 <= reply.status < 300:
            return Delivered()
        return DeliveryFailed(
            reason=f"HTTP status {reply.status}",
            retry_after=_seconds(reply.headers.get("retry-after")),
            disable=reply.status == _GONE,
        )

    def _headers(self, message: OutboxMessage, endpoint: WebhookEndpoint) -> dict[str, str]:
        # The library signs a whole second in UTC; the time of this attempt, so that a receiver's
        # tolerance holds for a repeat hours later.
        now = self._clock.now().astimezone(UTC).replace(microsecond=0)
        body = message.body.decode()
        signatures = " ".join(
            Webhook(base64.b64encode(_raw(secret.reveal())).decode("ascii")).sign(
                message.id, now, body
            )
            for secret in endpoint.secrets
        )
        return {
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signatures,
        }


def _raw(secret: bytes) -> bytes:
    return base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
