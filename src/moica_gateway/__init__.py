"""moica-gateway: sign official documents with Taiwan's mobile citizen certificate.

The names here are the SDK. They are loaded at first use, so that importing the package costs
nothing and needs nothing of the server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moica_gateway.blocking import BlockingGatewayClient
    from moica_gateway.client import Artifact, GatewayClient
    from moica_gateway.errors import GatewayError, Problem
    from moica_gateway.outcomes import (
        Cancelled,
        Completed,
        Expectation,
        ExpectedDocument,
        Expired,
        Failed,
        Outcome,
        Pending,
        Rejected,
    )
    from moica_gateway.webhooks import WebhookEvent, WebhookReceiver
    from moica_gateway.wire import (
        CredentialView,
        DeviceStatusView,
        DocumentRequest,
        OnBehalfOf,
        SealRequest,
        TransactionView,
        VerificationView,
    )

__all__ = [
    "Artifact",
    "BlockingGatewayClient",
    "Cancelled",
    "Completed",
    "CredentialView",
    "DeviceStatusView",
    "DocumentRequest",
    "Expectation",
    "ExpectedDocument",
    "Expired",
    "Failed",
    "GatewayClient",
    "GatewayError",
    "OnBehalfOf",
    "Outcome",
    "Pending",
    "Problem",
    "Rejected",
    "SealRequest",
    "TransactionView",
    "VerificationView",
    "WebhookEvent",
    "WebhookReceiver",
]

_HOMES = {
    "Artifact": "client",
    "BlockingGatewayClient": "blocking",
    "Cancelled": "outcomes",
    "Completed": "outcomes",
    "CredentialView": "wire",
    "DeviceStatusView": "wire",
    "DocumentRequest": "wire",
    "Expectation": "outcomes",
    "ExpectedDocument": "outcomes",
    "Expired": "outcomes",
    "Failed": "outcomes",
    "GatewayClient": "client",
    "GatewayError": "errors",
    "OnBehalfOf": "wire",
    "Outcome": "outcomes",
    "Pending": "outcomes",
    "Problem": "errors",
    "Rejected": "outcomes",
    "SealRequest": "wire",
    "TransactionView": "wire",
    "VerificationView": "wire",
    "WebhookEvent": "webhooks",
    "WebhookReceiver": "webhooks",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
