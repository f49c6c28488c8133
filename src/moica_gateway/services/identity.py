"""Asking about a bare ID number (security rule 17): a quota of distinct ones a day, and a record.

Both stand in the commit before the platform is asked; a refusal undoes that commit. Whom a tenant
has registered counts as well: the quota is about what a stolen key can try. The record names the
ID number by a keyed hash only, so that an auditor sees who was asked about again and again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from moica_gateway.domain.models import AuditRecord, Tenant
from moica_gateway.domain.values import IdNumber, TransactionId
from moica_gateway.errors import error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.commands import Caller
from moica_gateway.services.context import Context

__all__ = ["count_identity"]

_SUBJECT_BYTES: Final = 8


def count_identity(
    context: Context,
    uow: UnitOfWork,
    caller: Caller,
    tenant: Tenant,
    id_number: IdNumber,
    *,
    purpose: str,
    transaction_id: TransactionId | None = None,
) -> None:
    """Count it for today (UTC) and record it.

    Raises:
        RequestError: ``identity_quota``, with ``retry_after`` in seconds until the next day.
    """
    now = context.clock.now()
    limit = tenant.policy.identity_queries_per_day
    new = uow.add_identity_query(caller.tenant, now.date(), id_number)
    if new and uow.identity_queries(caller.tenant, now.date()) > limit:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        raise error(
            "identity_quota",
            f"expected at most {limit} distinct ID numbers in one day (UTC) of this tenant, this "
            "would be one more; the operator may change the tenant's policy, the integrator asks "
            "by `user_id` or tomorrow",
            retry_after=int((midnight - now).total_seconds()) + 1,
        )
    subject = context.seals.lookup_hash(caller.tenant, "identity-audit", id_number.reveal())
    uow.audit(
        caller.tenant,
        AuditRecord(
            at=now,
            action="identity.queried",
            actor=caller.actor,
            transaction_id=transaction_id,
            data={"purpose": purpose, "subject": subject[:_SUBJECT_BYTES].hex()},
        ),
    )
