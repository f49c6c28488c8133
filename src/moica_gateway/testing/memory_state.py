"""What is stored in `moica_gateway.testing.store.MemoryStore`, and what its parts share."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

from attrs import define, evolve, field, fields

from moica_gateway.domain.audit import AuditEntry, AuditHead
from moica_gateway.domain.brakes import PersonBrake, RequestCount
from moica_gateway.domain.models import (
    ApiKey,
    Credential,
    IdempotencyRecord,
    OutboxMessage,
    Person,
    Tenant,
    Transaction,
    UserBinding,
    WebhookEndpoint,
)
from moica_gateway.domain.revocation_lists import ListHead
from moica_gateway.domain.values import (
    TenantId,
)
from moica_gateway.errors import error
from moica_gateway.ports import AllTenants, Clock, Seals

__all__ = [
    "MemoryPart",
    "MemoryState",
    "add_new",
    "conflict",
    "in_order",
    "is_of",
    "need_aware",
    "without_person",
]

T = TypeVar("T")

_MAC_BYTES: Final = 16


@define
class MemoryState:
    """Everything stored. The values are frozen, so that copying the dictionaries is a snapshot."""

    tenants: dict[str, Tenant] = field(factory=dict)
    api_keys: dict[tuple[str, str], ApiKey] = field(factory=dict)
    endpoints: dict[tuple[str, str], WebhookEndpoint] = field(factory=dict)
    persons: dict[tuple[str, str], Person | None] = field(factory=dict)
    bindings: dict[tuple[str, str], UserBinding] = field(factory=dict)
    credentials: dict[tuple[str, str], Credential] = field(factory=dict)
    transactions: dict[tuple[str, str], Transaction] = field(factory=dict)
    blobs: dict[tuple[str, str], bytes] = field(factory=dict)
    idempotency: dict[tuple[str, str, str, str], IdempotencyRecord] = field(factory=dict)
    person_brakes: dict[tuple[str, str], PersonBrake] = field(factory=dict)
    request_counts: dict[str, RequestCount] = field(factory=dict)
    identity_queries: dict[tuple[str, str, str], bool] = field(factory=dict)
    audit: dict[int, AuditEntry] = field(factory=dict)
    audit_heads: dict[tuple[str, int], AuditHead] = field(factory=dict)
    revocation_lists: dict[tuple[str, str], tuple[ListHead, bytes]] = field(factory=dict)
    outbox: dict[int, OutboxMessage] = field(factory=dict)

    def copy(self) -> MemoryState:
        """A snapshot."""
        return MemoryState(*(dict(getattr(self, part.name)) for part in fields(MemoryState)))


class MemoryPart:
    """The state with the right to write, and the cursors."""

    def __init__(self, state: MemoryState, clock: Clock, seals: Seals, *, writing: bool) -> None:
        self.state = state
        self.clock = clock
        self._seals = seals
        self._writing = writing

    def writable(self, tenant: str | None = None) -> MemoryState:
        """The state, if writing is allowed and the tenant exists."""
        if not self._writing:
            raise RuntimeError("a unit of work of Store.read must not write")
        if tenant is not None and tenant not in self.state.tenants:
            raise RuntimeError("the tenant does not exist; save_tenant comes first")
        return self.state

    # -- cursors -------------------------------------------------------------------------------

    def cursor(self, kind: str, tenant: str, position: str) -> str:
        """An opaque cursor after that position."""
        mac = self._seals.mac(f"cursor {kind} {tenant}", position.encode())[:_MAC_BYTES]
        return base64.urlsafe_b64encode(mac + position.encode()).decode()

    def read_cursor(self, kind: str, tenant: str, cursor: str) -> str:
        """The position. Raises ``RequestError`` ``request_invalid`` for one that is not ours."""
        try:
            position = base64.urlsafe_b64decode(cursor)[_MAC_BYTES:].decode()
        except (binascii.Error, ValueError):
            position = ""
        if not hmac.compare_digest(
            self.cursor(kind, tenant, position).encode(), cursor.encode(errors="replace")
        ):
            raise error(
                "request_invalid",
                "expected a cursor as an earlier page gave it, came something else; "
                "the integrator starts again without a cursor",
            )
        return position


def add_new(rows: dict[Any, T], index: tuple[str, ...], row: T) -> None:
    """Insert; an id that is there already is a conflict."""
    if index in rows:
        raise conflict()
    rows[index] = row


def conflict() -> RuntimeError:
    """The error of a broken constraint."""
    return RuntimeError("a row conflicts with a stored one, or refers to one that is not there")


def need_aware(*instants: datetime | None) -> None:
    """Refuses naive datetimes."""
    if any(at is not None and at.tzinfo is None for at in instants):
        raise ValueError("a value cannot be stored; expected aware datetimes and plain JSON types")


def is_of(tenant: TenantId | AllTenants, whose: TenantId) -> bool:
    """Whether that row is meant."""
    return isinstance(tenant, AllTenants) or tenant == whose


def in_order(rows: Iterable[T]) -> tuple[T, ...]:
    """Oldest first."""

    def key(row: Any) -> tuple[datetime, str]:
        return row.created_at, row.id

    return tuple(sorted(rows, key=key))


def without_person(transaction: Transaction) -> Transaction:
    """What is left of it once the person was erased."""
    signature = transaction.signature
    return evolve(
        transaction,
        hint="",
        user_name=None,
        device_name=None,
        challenges=tuple(evolve(c, handle=None, return_url=None) for c in transaction.challenges),
        signature=evolve(signature, certificate=b"") if signature else None,
    )
