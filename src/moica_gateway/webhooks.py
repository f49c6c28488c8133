"""Receiving webhooks, in any framework: signature and age first, then the event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

from moica_gateway.errors import GatewayError, error
from moica_gateway.wire import EventView

__all__ = ["WebhookEvent", "WebhookReceiver"]


@frozen(kw_only=True)
class WebhookEvent:
    """An authentic event. ``id`` is the ``webhook-id``: a repeat bears the same."""

    id: str
    type: str
    data: Mapping[str, Any] = field(repr=False)


class WebhookReceiver:
    """Verifies by Standard Webhooks.

    Args:
        secrets: ``whsec_…``; during a rotation the new and the old one.

    Raises:
        ConfigurationError: for a secret that is none.
    """

    def __init__(self, *secrets: str) -> None:
        try:
            self._hooks = tuple(Webhook(secret) for secret in secrets if secret)
        except (ValueError, RuntimeError, EmptyWebhookSecretError) as e:
            raise error("configuration_invalid", "expected a webhook secret `whsec_…`") from e
        if not self._hooks:
            raise error("configuration_invalid", "expected at least one webhook secret")

    def receive(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent:
        """The event, if it is authentic and at most five minutes old.

        Raises:
            VerificationError: ``answer_invalid``. Action: answer 400 and change nothing.
        """
        lowered = {name.lower(): value for name, value in headers.items()}
        for hook in self._hooks:
            try:
                hook.verify(body, lowered, json_parse=False)
            # The library raises ValueError and others on malformed headers instead of its own.
            except (WebhookVerificationError, ArithmeticError, AttributeError, LookupError):
                continue
            except (OSError, TypeError, ValueError):
                continue
            return self._event(lowered, body)
        raise _refused("a signature by a known secret, and a time within five minutes")

    def _event(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent:
        try:
            view = EventView.from_json(json.loads(body))
        except (ValueError, OverflowError, RecursionError, GatewayError) as e:
            raise _refused("an event as JSON") from e
        return WebhookEvent(id=headers["webhook-id"], type=view.type, data=view.data)


def _refused(expected: str) -> GatewayError:
    return error(
        "answer_invalid", f"webhook: expected {expected}; came another; nothing is changed"
    )
