"""The unit of work of `moica_gateway.testing.store.MemoryStore`: dictionaries of frozen models.

It keeps the constraints of the real one (the tenant and the person exist, one pending transaction
a person, one enabled credential a user, versions) and raises the same errors, so that what passes
here does not fail there. No encryption: erasing takes the personal data out of the models.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from attrs import define, evolve, field, fields

from moica_gateway.domain.models import (
    ApiKey,
    AuditRecord,
    Credential,
    CredentialStatus,
    IdempotencyRecord,
    OutboxMessage,
    Person,
    Status,
    Tenant,
    Transaction,
    UserBinding,
    WebhookEndpoint,
)
from moica_gateway.domain.values import (
    BlobId,
    CredentialId,
    IdNumber,
    PersonId,
    TenantId,
    TransactionId,
)
from moica_gateway.errors import error
from moica_gateway.ports import AllTenants, Clock, Page, Seals, TransactionFilter

__all__ = ["MemoryBlobs", "MemoryState", "MemoryUnitOfWork"]

T = TypeVar("T")

_RETENTION: Final = timedelta(hours=24)
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
    audit: dict[int, tuple[TenantId, AuditRecord]] = field(factory=dict)
    outbox: dict[int, OutboxMessage] = field(factory=dict)

    def copy(self) -> MemoryState:
        """A snapshot."""
        return MemoryState(*(dict(getattr(self, part.name)) for part in fields(MemoryState)))


class MemoryBlobs:
    """Double of `moica_gateway.ports.Blobs`."""

    def __init__(self, unit: MemoryUnitOfWork) -> None:
        self._unit = unit

    def put(self, tenant: TenantId, blob_id: BlobId, data: bytes) -> None:
        """See the port."""
        state = self._unit.writable(tenant)
        _new(state.blobs, (tenant, blob_id), data)

    def get(self, tenant: TenantId, blob_id: BlobId) -> bytes:
        """See the port."""
        return self._unit.state.blobs[(tenant, blob_id)]

    def delete(self, tenant: TenantId, blob_id: BlobId) -> None:
        """See the port."""
        self._unit.writable().blobs.pop((tenant, blob_id), None)


class MemoryUnitOfWork:
    """Double of `moica_gateway.ports.UnitOfWork`."""

    def __init__(self, state: MemoryState, clock: Clock, seals: Seals, *, writing: bool) -> None:
        self.state = state
        self._clock = clock
        self._seals = seals
        self._writing = writing
        self._blobs = MemoryBlobs(self)

    @property
    def blobs(self) -> MemoryBlobs:
        """Blobs of the same commit."""
        return self._blobs

    def writable(self, tenant: str | None = None) -> MemoryState:
        """The state, if writing is allowed and the tenant exists."""
        if not self._writing:
            raise RuntimeError("a unit of work of Store.read must not write")
        if tenant is not None and tenant not in self.state.tenants:
            raise RuntimeError("the tenant does not exist; save_tenant comes first")
        return self.state

    # -- transactions --------------------------------------------------------------------------

    def add_transaction(self, transaction: Transaction) -> None:
        """See the port."""
        state = self.writable(transaction.tenant)
        if state.persons.get((transaction.tenant, transaction.person_id)) is None:
            raise RuntimeError("a new transaction needs a person that exists and is not erased")
        _aware(transaction.created_at, transaction.expires_at, transaction.ended_at)
        _new(state.transactions, (transaction.tenant, transaction.id), transaction)
        self._one_pending(transaction)

    def save_transaction(self, transaction: Transaction) -> None:
        """See the port."""
        state = self.writable(transaction.tenant)
        index = (transaction.tenant, transaction.id)
        stored = state.transactions.get(index)
        if stored is None or stored.version not in (transaction.version - 1, transaction.version):
            raise RuntimeError(
                f"{transaction.id} is not stored in version {transaction.version - 1}; "
                "read and save in one unit of work"
            )
        _aware(transaction.expires_at, transaction.ended_at)
        if state.persons.get((transaction.tenant, transaction.person_id)) is None:
            transaction = _without_person(transaction)
        state.transactions[index] = transaction
        self._one_pending(transaction)

    def transaction(self, tenant: TenantId, transaction_id: TransactionId) -> Transaction | None:
        """See the port."""
        return self.state.transactions.get((tenant, transaction_id))

    def transactions(
        self, tenant: TenantId, where: TransactionFilter, *, limit: int, cursor: str | None
    ) -> Page[Transaction]:
        """See the port."""
        found = sorted(
            (t for t in self.state.transactions.values() if t.tenant == tenant and _fits(t, where)),
            key=_place,
            reverse=True,
        )
        if cursor is not None:
            after = self._read_cursor("list", tenant, cursor)
            found = [t for t in found if "\n".join(_place(t)) < after]
        items = tuple(found[:limit])
        more = len(found) > limit and items
        return Page(
            items=items,
            next_cursor=self._cursor("list", tenant, "\n".join(_place(items[-1])))
            if more
            else None,
        )

    def open_transaction_of(self, tenant: TenantId, person_id: PersonId) -> Transaction | None:
        """See the port."""
        pending = self.pending_transactions(tenant)
        return next((t for t in pending if t.person_id == person_id), None)

    def pending_transactions(
        self,
        tenant: TenantId | AllTenants,
        *,
        document_number: str | None = None,
        credential_id: CredentialId | None = None,
    ) -> Sequence[Transaction]:
        """See the port."""
        where = TransactionFilter(status=Status.PENDING, document_number=document_number)
        found = (
            t
            for t in self.state.transactions.values()
            if _of(tenant, t.tenant)
            and _fits(t, where)
            and credential_id in (None, t.credential_id)
        )
        return tuple(sorted(found, key=_place))

    def watched_transactions(self, tenant: AllTenants, now: datetime) -> Sequence[Transaction]:
        """See the port."""
        return tuple(
            t
            for t in self.state.transactions.values()
            if t.status.terminal
            and any(c.handle is not None and c.expires_at > now for c in t.challenges)
        )

    def _one_pending(self, transaction: Transaction) -> None:
        whose = (transaction.tenant, transaction.person_id)
        pending = (
            t
            for t in self.state.transactions.values()
            if (t.tenant, t.person_id) == whose and t.status is Status.PENDING
        )
        if sum(1 for _ in pending) > 1:
            raise _conflict()

    # -- tenants, keys, endpoints --------------------------------------------------------------

    def tenant(self, tenant: TenantId) -> Tenant | None:
        """See the port."""
        return self.state.tenants.get(tenant)

    def tenants(self) -> Sequence[Tenant]:
        """See the port."""
        return tuple(sorted(self.state.tenants.values(), key=lambda t: (t.created_at, t.id)))

    def save_tenant(self, tenant: Tenant) -> None:
        """See the port."""
        _aware(tenant.created_at)
        self.writable().tenants[tenant.id] = tenant

    def api_key_by_hash(self, key_hash: bytes) -> ApiKey | None:
        """See the port."""
        keys = self.state.api_keys.values()
        return next((k for k in keys if hmac.compare_digest(k.key_hash, key_hash)), None)

    def api_keys(self, tenant: TenantId) -> Sequence[ApiKey]:
        """See the port."""
        return _ordered(k for k in self.state.api_keys.values() if k.tenant == tenant)

    def save_api_key(self, key: ApiKey) -> None:
        """See the port."""
        state = self.writable(key.tenant)
        other = self.api_key_by_hash(key.key_hash)
        if other is not None and (other.tenant, other.id) != (key.tenant, key.id):
            raise _conflict()
        state.api_keys[(key.tenant, key.id)] = key

    def webhook_endpoints(self, tenant: TenantId) -> Sequence[WebhookEndpoint]:
        """See the port."""
        return _ordered(e for e in self.state.endpoints.values() if e.tenant == tenant)

    def save_webhook_endpoint(self, endpoint: WebhookEndpoint) -> None:
        """See the port."""
        state = self.writable(endpoint.tenant)
        state.endpoints[(endpoint.tenant, endpoint.id)] = endpoint

    # -- people, credentials -------------------------------------------------------------------

    def person(self, tenant: TenantId, person_id: PersonId) -> Person | None:
        """See the port."""
        return self.state.persons.get((tenant, person_id))

    def person_by_id_number(self, tenant: TenantId, id_number: IdNumber) -> Person | None:
        """See the port."""
        people = (p for p in self.state.persons.values() if p is not None)
        return next((p for p in people if p.tenant == tenant and p.id_number == id_number), None)

    def save_person(self, person: Person) -> None:
        """See the port."""
        state = self.writable(person.tenant)
        index = (person.tenant, person.id)
        if index in state.persons and state.persons[index] is None:
            raise RuntimeError("an erased person cannot come back; it takes a new id")
        other = self.person_by_id_number(person.tenant, person.id_number)
        if other is not None and other.id != person.id:
            raise _conflict()
        state.persons[index] = person

    def erase_person(self, tenant: TenantId, person_id: PersonId) -> None:
        """See the port."""
        state = self.writable()
        if (tenant, person_id) not in state.persons:
            return
        state.persons[(tenant, person_id)] = None
        for index, transaction in list(state.transactions.items()):
            if (transaction.tenant, transaction.person_id) == (tenant, person_id):
                state.transactions[index] = _without_person(transaction)
        for index, credential in list(state.credentials.items()):
            if (credential.tenant, credential.person_id) == (tenant, person_id):
                state.credentials[index] = _credential_without_person(credential)

    def user_binding(self, tenant: TenantId, user_id: str) -> UserBinding | None:
        """See the port."""
        return self.state.bindings.get((tenant, user_id))

    def bindings_of_person(self, tenant: TenantId, person_id: PersonId) -> Sequence[UserBinding]:
        """See the port."""
        found = (
            b
            for b in self.state.bindings.values()
            if (b.tenant, b.person_id) == (tenant, person_id)
        )
        return tuple(sorted(found, key=lambda b: b.user_id))

    def save_user_binding(self, binding: UserBinding) -> None:
        """See the port."""
        state = self.writable(binding.tenant)
        if (binding.tenant, binding.person_id) not in state.persons:
            raise _conflict()
        stored = state.bindings.setdefault((binding.tenant, binding.user_id), binding)
        if stored.person_id != binding.person_id:
            raise RuntimeError("that user is bound to another person; unbind first")

    def delete_user_binding(self, tenant: TenantId, user_id: str) -> None:
        """See the port."""
        self.writable().bindings.pop((tenant, user_id), None)

    def credential(self, tenant: TenantId, credential_id: CredentialId) -> Credential | None:
        """See the port."""
        return self.state.credentials.get((tenant, credential_id))

    def credentials(self, tenant: TenantId, user_id: str) -> Sequence[Credential]:
        """See the port."""
        return _ordered(
            c for c in self.state.credentials.values() if (c.tenant, c.user_id) == (tenant, user_id)
        )

    def enabled_credential(self, tenant: TenantId, user_id: str) -> Credential | None:
        """See the port."""
        found = (c for c in self.credentials(tenant, user_id) if _enabled(c))
        return next(found, None)

    def credential_by_fingerprint(
        self, tenant: TenantId, user_id: str, fingerprint_sha256: str
    ) -> Credential | None:
        """See the port."""
        found = (
            c
            for c in self.credentials(tenant, user_id)
            if c.fingerprint_sha256 == fingerprint_sha256
        )
        return next(found, None)

    def save_credential(self, credential: Credential) -> None:
        """See the port."""
        state = self.writable(credential.tenant)
        index = (credential.tenant, credential.id)
        _aware(credential.created_at, credential.not_before, credential.not_after)
        if state.persons.get((credential.tenant, credential.person_id)) is None:
            if index not in state.credentials:
                raise RuntimeError("a new credential needs a person that exists and is not erased")
            credential = _credential_without_person(credential)
        for other in self.credentials(credential.tenant, credential.user_id):
            same = other.fingerprint_sha256 == credential.fingerprint_sha256
            if other.id != credential.id and (same or (_enabled(other) and _enabled(credential))):
                raise _conflict()
        state.credentials[index] = credential

    def delete_credential(self, tenant: TenantId, credential_id: CredentialId) -> None:
        """See the port."""
        self.writable().credentials.pop((tenant, credential_id), None)

    # -- idempotency ---------------------------------------------------------------------------

    def idempotency(
        self, tenant: TenantId, method: str, path: str, key: str
    ) -> IdempotencyRecord | None:
        """See the port."""
        record = self.state.idempotency.get((tenant, method, path, key))
        if record is None or record.created_at <= self._clock.now() - _RETENTION:
            return None
        return record

    def add_idempotency(self, record: IdempotencyRecord) -> None:
        """See the port."""
        state = self.writable(record.tenant)
        if self.idempotency(record.tenant, record.method, record.path, record.key) is not None:
            raise _conflict()
        state.idempotency[(record.tenant, record.method, record.path, record.key)] = record

    def delete_idempotency_before(self, tenant: AllTenants, before: datetime) -> int:
        """See the port."""
        state = self.writable()
        old = [index for index, r in state.idempotency.items() if r.created_at < before]
        for index in old:
            del state.idempotency[index]
        return len(old)

    # -- audit, outbox -------------------------------------------------------------------------

    def audit(self, tenant: TenantId, record: AuditRecord) -> None:
        """See the port."""
        state = self.writable(tenant)
        _aware(record.at)
        state.audit[len(state.audit) + 1] = (tenant, record)

    def audit_records(
        self, tenant: TenantId, *, transaction_id: TransactionId | None = None, limit: int = 1000
    ) -> Sequence[AuditRecord]:
        """See the port."""
        found = [
            record
            for whose, record in self.state.audit.values()
            if whose == tenant and transaction_id in (None, record.transaction_id)
        ]
        return tuple(found[:limit])

    def add_outbox(self, message: OutboxMessage) -> None:
        """See the port."""
        state = self.writable(message.tenant)
        if self._sequence_of(message) is not None:
            raise _conflict()
        sequence = len(state.outbox) + 1
        state.outbox[sequence] = evolve(message, sequence=sequence)

    def due_outbox(
        self, tenant: TenantId | AllTenants, now: datetime, limit: int
    ) -> Sequence[OutboxMessage]:
        """See the port."""
        due = [m for m in self._waiting() if _of(tenant, m.tenant) and _due_at(m) <= now]
        return tuple(sorted(due, key=lambda m: (_due_at(m), m.sequence))[:limit])

    def next_outbox_due(self, tenant: AllTenants) -> datetime | None:
        """See the port."""
        return min((_due_at(m) for m in self._waiting()), default=None)

    def save_outbox(self, message: OutboxMessage) -> None:
        """See the port."""
        state = self.writable(message.tenant)
        sequence = self._sequence_of(message)
        if sequence is None:
            raise RuntimeError(f"{message.id} is not in the outbox")
        state.outbox[sequence] = evolve(
            state.outbox[sequence],
            attempts=message.attempts,
            next_attempt_at=message.next_attempt_at,
            delivered_at=message.delivered_at,
            parked_at=message.parked_at,
            last_error=message.last_error,
        )

    def outbox_after(self, tenant: TenantId, after: str, limit: int) -> Page[OutboxMessage]:
        """See the port."""
        start = int(self._read_cursor("feed", tenant, after)) if after else 0
        feed = [m for m in self.state.outbox.values() if m.tenant == tenant and m.sequence > start]
        items = tuple(feed[:limit])
        cursor = self._cursor("feed", tenant, str(items[-1].sequence)) if items else after
        return Page(items=items, next_cursor=cursor)

    def _sequence_of(self, message: OutboxMessage) -> int | None:
        found = (
            sequence
            for sequence, m in self.state.outbox.items()
            if (m.tenant, m.id) == (message.tenant, message.id)
        )
        return next(found, None)

    def _waiting(self) -> list[OutboxMessage]:
        waiting, seen = [], set()
        for message in self.state.outbox.values():
            if message.delivered_at is not None or message.parked_at is not None:
                continue
            whose = (message.tenant, message.transaction_id)
            if message.transaction_id is None or whose not in seen:
                waiting.append(message)
            seen.add(whose)
        return waiting

    # -- cursors -------------------------------------------------------------------------------

    def _cursor(self, kind: str, tenant: str, position: str) -> str:
        mac = self._seals.mac(f"cursor {kind} {tenant}", position.encode())[:_MAC_BYTES]
        return base64.urlsafe_b64encode(mac + position.encode()).decode()

    def _read_cursor(self, kind: str, tenant: str, cursor: str) -> str:
        try:
            position = base64.urlsafe_b64decode(cursor)[_MAC_BYTES:].decode()
        except (binascii.Error, ValueError):
            position = ""
        if not hmac.compare_digest(
            self._cursor(kind, tenant, position).encode(), cursor.encode(errors="replace")
        ):
            raise error(
                "request_invalid",
                "expected a cursor as an earlier page gave it, came something else; "
                "the integrator starts again without a cursor",
            )
        return position


def _new(rows: dict[Any, T], index: tuple[str, ...], row: T) -> None:
    if index in rows:
        raise _conflict()
    rows[index] = row


def _conflict() -> RuntimeError:
    return RuntimeError("a row conflicts with a stored one, or refers to one that is not there")


def _aware(*instants: datetime | None) -> None:
    if any(at is not None and at.tzinfo is None for at in instants):
        raise ValueError("a value cannot be stored; expected aware datetimes and plain JSON types")


def _of(tenant: TenantId | AllTenants, whose: TenantId) -> bool:
    return isinstance(tenant, AllTenants) or tenant == whose


def _ordered(rows: Iterable[T]) -> tuple[T, ...]:
    def key(row: Any) -> tuple[datetime, str]:
        return row.created_at, row.id

    return tuple(sorted(rows, key=key))


def _enabled(credential: Credential) -> bool:
    return credential.status is CredentialStatus.ENABLED


def _due_at(message: OutboxMessage) -> datetime:
    return message.next_attempt_at or message.created_at


def _place(transaction: Transaction) -> tuple[str, str]:
    """Sorts by time and id, as text of fixed width."""
    return f"{transaction.created_at.timestamp():020.6f}", transaction.id


def _fits(transaction: Transaction, where: TransactionFilter) -> bool:
    numbers = {document.number for document in transaction.documents}
    return (
        where.user_id in (None, transaction.user_id)
        and (where.document_number is None or where.document_number in numbers)
        and where.status in (None, transaction.status)
        and where.kind in (None, transaction.kind)
        and (where.created_from is None or transaction.created_at >= where.created_from)
        and (where.created_until is None or transaction.created_at < where.created_until)
    )


def _without_person(transaction: Transaction) -> Transaction:
    signature = transaction.signature
    return evolve(
        transaction,
        hint="",
        user_name=None,
        device_name=None,
        challenges=tuple(evolve(c, handle=None, return_url=None) for c in transaction.challenges),
        signature=evolve(signature, certificate=b"") if signature else None,
    )


def _credential_without_person(credential: Credential) -> Credential:
    return evolve(
        credential,
        certificate=b"",
        chain=(),
        subject_name="",
        id_number_masked="",
        user_name=None,
    )
