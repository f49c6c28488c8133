"""Webhooks by Standard Webhooks: signed, body byte for byte as it was committed, one attempt.

Deliberately not here: retries, order, and which endpoints there are (`workers.delivery`), and which
addresses may be called (`egress`). Nothing of a receiver's answer is kept but its status.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from standardwebhooks import Webhook

from moica_gateway.domain.models import OutboxMessage, WebhookEndpoint
from moica_gateway.ports import Clock, Delivered, DeliveryFailed, Egress, EgressError

__all__ = ["WebhookOutlet"]

_TIMEOUT: Final = 15.0
_MAX_REPLY: Final = 65_536
_GONE: Final = 410
_LONGEST_PATIENCE: Final = 6 * 3600.0
"""Seconds; a receiver that asks for more (or for 400 digits of them) gets this."""


class WebhookOutlet:
    """Implements `ports.Outlet`."""

    def __init__(self, egress: Egress, clock: Clock) -> None:
        self._egress = egress
        self._clock = clock

    async def deliver(
        self, message: OutboxMessage, endpoint: WebhookEndpoint
    ) -> Delivered | DeliveryFailed:
        """2xx is delivered; 410 switches the endpoint off; anything else is tried again."""
        if not endpoint.secrets:
            return DeliveryFailed(reason="the endpoint has no secret")
        try:
            headers = self._headers(message, endpoint)
        except ValueError:  # binascii.Error and UnicodeDecodeError are such
            return DeliveryFailed(reason="the endpoint's secret or the body is malformed")
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
            retry_after=_patience(reply.headers.get("retry-after"), self._clock.now()),
            disable=reply.status == _GONE,
        )

    def _headers(self, message: OutboxMessage, endpoint: WebhookEndpoint) -> dict[str, str]:
        # The library signs a whole second in UTC; the time of this attempt, so that a receiver's
        # tolerance holds for a repeat hours later.
        now = self._clock.now().astimezone(UTC).replace(microsecond=0)
        body = message.body.decode()
        signatures = " ".join(
            Webhook(_key(secret.reveal())).sign(message.id, now, body)
            for secret in endpoint.secrets
        )
        return {
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signatures,
        }


def _key(secret: bytes) -> bytes:
    """The library would skip what is no base64, and sign with what is left."""
    key = base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
    if not key:
        raise ValueError("no key")
    return key


def _patience(unverified_text: str | None, now: datetime) -> float | None:
    """Seconds of a ``Retry-After``: a number of them, or an HTTP date. None for anything else."""
    if unverified_text is None:
        return None
    text = unverified_text.strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) <= 6 else _LONGEST_PATIENCE
    try:
        at = parsedate_to_datetime(text)
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds.total_seconds(), 0.0), _LONGEST_PATIENCE)
