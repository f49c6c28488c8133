"""What callers ask of the services, already parsed; and what a call by a key or a browser is."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from moica_gateway.domain.models import Channel, OnBehalfOf, Scope, Seal, Transaction
from moica_gateway.domain.values import IdNumber, TenantId, TransactionId
from moica_gateway.errors import error
from moica_gateway.ports import Page, TransactionFilter

__all__ = [
    "Caller",
    "Created",
    "DeviceQuery",
    "Download",
    "IdempotencyUse",
    "NewAuthentication",
    "NewDocument",
    "NewRegistration",
    "NewSignature",
    "Page",
    "TransactionFilter",
]


@frozen(kw_only=True)
class Caller:
    """Who calls: an API key, or a browser token for one transaction."""

    tenant: TenantId
    actor: str
    """``key:<id>`` or ``browser``; stands in the audit record."""
    scopes: frozenset[Scope] = frozenset()
    transaction_id: TransactionId | None = None
    """Set for a browser token: the only transaction that it may see."""

    @property
    def browser(self) -> bool:
        """True for a browser token."""
        return self.transaction_id is not None

    def need(self, scope: Scope) -> None:
        """Raises ``RequestError`` ``forbidden`` without that scope."""
        if scope not in self.scopes:
            raise error(
                "forbidden",
                f"expected a key with scope `{scope}`; this one lacks it; the operator grants it",
                scope=str(scope),
            )


@frozen(kw_only=True)
class IdempotencyUse:
    """An ``Idempotency-Key`` with a keyed MAC of the body that came with it."""

    method: str
    path: str
    key: str
    body_mac: bytes


@frozen(kw_only=True)
class NewRegistration:
    """``POST /v1/registrations``."""

    user_id: str
    id_number: IdNumber
    user_name: str | None = field(default=None, repr=False)
    channel: Channel = Channel.PUSH
    device_name: str | None = None
    time_limit: int | None = None
    enable: bool = True
    supersede: bool = False
    metadata: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class NewDocument:
    """A document as handed in: ``sha256`` (hexadecimal), ``content``, or both."""

    number: str
    sha256: str | None = None
    content: bytes | None = field(default=None, repr=False)
    id: str | None = None
    version: str | None = None
    title: str | None = field(default=None, repr=False)
    media_type: str | None = None
    seal: Seal | None = None


@frozen(kw_only=True)
class NewSignature:
    """``POST /v1/signatures`` and ``/v1/signature-batches``; ``documents`` is a list, always."""

    user_id: str
    documents: tuple[NewDocument, ...]
    format: str | None = None
    level: str | None = None
    channel: Channel = Channel.PUSH
    device_name: str | None = None
    time_limit: int | None = None
    on_behalf_of: OnBehalfOf | None = None
    previous: TransactionId | None = None
    """Append to what that transaction signed."""
    supersede: bool = False
    metadata: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class NewAuthentication:
    """``POST /v1/authentications``; exactly one of ``user_id`` and ``id_number`` is set."""

    user_id: str | None = None
    id_number: IdNumber | None = None
    channel: Channel = Channel.PUSH
    device_name: str | None = None
    time_limit: int | None = None
    supersede: bool = False
    metadata: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class DeviceQuery:
    """``POST /v1/device-status``; exactly one of both is set."""

    user_id: str | None = None
    id_number: IdNumber | None = None


@frozen(kw_only=True)
class Created:
    """A transaction that exists; ``replayed`` when its ``Idempotency-Key`` had been used."""

    transaction: Transaction
    replayed: bool = False


@frozen(kw_only=True)
class Download:
    """An artifact to be fetched; ``filename`` is ASCII and safe."""

    data: bytes = field(repr=False)
    media_type: str
    filename: str
