"""What an ``Idempotency-Key`` made: looked up and remembered in the commit of the thing itself."""

from __future__ import annotations

import hmac
from datetime import datetime

from moica_gateway.domain.models import IdempotencyRecord, Transaction
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.errors import error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.commands import IdempotencyUse
from moica_gateway.services.context import load

__all__ = ["remember", "used"]


def used(uow: UnitOfWork, tenant: TenantId, use: IdempotencyUse | None) -> Transaction | None:
    """The transaction of that key, as it is now; None when the key is new.

    Raises:
        RequestError: ``idempotency_mismatch`` for another body.
    """
    if use is None:
        return None
    record = uow.idempotency(tenant, use.method, use.path, use.key)
    if record is None:
        return None
    if not hmac.compare_digest(record.body_mac, use.body_mac):
        raise error(
            "idempotency_mismatch",
            "expected the body that this Idempotency-Key was first used with, came another; the "
            "integrator takes a new key for a new request",
        )
    return load(uow, tenant, record.transaction_id)


def remember(
    uow: UnitOfWork,
    tenant: TenantId,
    use: IdempotencyUse | None,
    transaction_id: TransactionId,
    now: datetime,
) -> None:
    """For 24 h; nothing without a key."""
    if use is not None:
        uow.add_idempotency(
            IdempotencyRecord(
                tenant=tenant,
                method=use.method,
                path=use.path,
                key=use.key,
                body_mac=use.body_mac,
                transaction_id=transaction_id,
                created_at=now,
            )
        )
