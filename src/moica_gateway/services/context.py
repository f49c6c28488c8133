"""What every service works with, and the one way in which a decision is committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from moica_gateway.domain.brakes import BrakeLimits
from moica_gateway.domain.lifecycle import Decision
from moica_gateway.domain.models import AuditRecord, OutboxMessage, Status, Transaction
from moica_gateway.domain.values import TenantId, TransactionId, make_id
from moica_gateway.errors import error
from moica_gateway.ports import (
    Clock,
    EventBus,
    Format,
    Judge,
    Random,
    Seals,
    SignatureReader,
    Store,
    UnitOfWork,
    Upstream,
    Workshop,
)

__all__ = ["Context", "event_body", "load", "record_decision"]


@frozen(kw_only=True)
class Context:
    """The ports, handed in once by the composition root.

    ``environment``: ``production``, ``uat`` or ``simulator``; marks what is signed.
    ``outbox_written``: called after a commit that wrote an outbox row, to wake the delivery.
    ``alarm``: name and fields of something that an operator must hear of.
    ``brake_limits``: what the operator allows.
    ``braked``: called with the brake for each request that it refused, for the metrics.
    ``called_back``: called with what became of each callback, for the metrics.
    """

    store: Store
    clock: Clock
    random: Random
    seals: Seals
    upstream: Upstream
    judge: Judge
    formats: Mapping[str, Format]
    workshop: Workshop
    bus: EventBus
    environment: str
    outbox_written: Callable[[], None]
    alarm: Callable[[str, Mapping[str, str]], None]
    readers: Mapping[str, SignatureReader] = field(factory=dict)
    brake_limits: BrakeLimits = field(factory=BrakeLimits)
    braked: Callable[[str], None] = lambda _brake: None
    called_back: Callable[[str], None] = lambda _result: None

    def new_id(self, prefix: str) -> str:
        """A time-ordered id."""
        return make_id(prefix, self.clock.now(), self.random.token_bytes(10))


def load(uow: UnitOfWork, tenant: TenantId, transaction_id: TransactionId) -> Transaction:
    """Raises ``RequestError`` ``not_found``; a foreign id answers as an unknown one."""
    transaction = uow.transaction(tenant, transaction_id)
    if transaction is None:
        raise error("not_found", "expected the id of a transaction of this tenant, came another")
    return transaction


def event_body(transaction: Transaction, type_: str, at: datetime) -> bytes:
    """A webhook's body (api.md): no certificate, ID number or token."""
    data: dict[str, Any] = {
        "transaction_id": transaction.id,
        "version": transaction.version,
        "kind": transaction.kind.value,
        "status": transaction.status.value,
        "user_id": transaction.user_id,
        "documents": [
            {
                "id": d.id,
                "number": d.number,
                "version": d.version,
                "sha256": d.sha256,
                "status": d.status.value if d.status else None,
            }
            for d in transaction.documents
            if transaction.kind.value == "signature"
        ],
        "metadata": dict(transaction.metadata),
    }
    if transaction.assurance is not None and transaction.status is Status.COMPLETED:
        data["assurance"] = transaction.assurance
    if transaction.error is not None:
        data["error"] = transaction.error.to_json()
    timestamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps(
        {"type": type_, "timestamp": timestamp, "data": data}, ensure_ascii=False
    ).encode()


def record_decision(
    uow: UnitOfWork, decision: Decision, *, message_id: str, at: datetime, actor: str
) -> None:
    """Write what was decided: transaction, audit rows, outbox row. Inside one unit of work."""
    transaction = decision.transaction
    if decision.changed:
        uow.save_transaction(transaction)
    for note in decision.notes:
        uow.audit(
            transaction.tenant,
            AuditRecord(
                at=at,
                action=note.action,
                actor=actor,
                transaction_id=transaction.id,
                data={**note.data, "version": transaction.version},
            ),
        )
    if decision.announce is not None:
        uow.add_outbox(
            OutboxMessage(
                id=message_id,
                tenant=transaction.tenant,
                type=decision.announce,
                transaction_id=transaction.id,
                body=event_body(transaction, decision.announce, at),
                created_at=at,
                next_attempt_at=at,
            )
        )
