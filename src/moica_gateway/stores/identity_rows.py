"""Which ID numbers a tenant asked about on one day, so that distinct ones are counted.

A row holds a keyed hash whose purpose names the day: rows of two days cannot be matched with one
another, nor with a person's row, and no hash is reversible without the key, which the database
lacks. On PostgreSQL two gateways may count the last free place at the same moment; by then the
tenant's row of `request_counts` is not locked yet. SQLite has one writer.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy.sql.dml import Insert

from moica_gateway.domain.values import IdNumber, TenantId
from moica_gateway.ports import AllTenants
from moica_gateway.stores.session import Session
from moica_gateway.stores.tables import identity_queries

__all__ = ["IdentityRows"]

_COUNT: Final = select(func.count().label("queries")).where(
    identity_queries.c.tenant == bindparam("tenant_"), identity_queries.c.day == bindparam("day_")
)
_KNOWN: Final = select(identity_queries.c.day).where(
    identity_queries.c.tenant == bindparam("tenant_"),
    identity_queries.c.day == bindparam("day_"),
    identity_queries.c.subject_hash == bindparam("hash_"),
)
_NEW: Final[Insert] = insert(identity_queries)
_FORGET: Final = delete(identity_queries).where(identity_queries.c.day < bindparam("day_"))


class IdentityRows(Session):
    """The part of a unit of work that counts identity queries."""

    def identity_queries(self, tenant: TenantId, day: date) -> int:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_COUNT, {"tenant_": tenant, "day_": day.isoformat()})
        return 0 if row is None else int(row["queries"])

    def add_identity_query(self, tenant: TenantId, day: date, id_number: IdNumber) -> bool:
        """See `moica_gateway.ports.UnitOfWork`."""
        text = day.isoformat()
        values: dict[str, Any] = {
            "tenant": tenant,
            "day": text,
            "subject_hash": self.seals.lookup_hash(
                tenant, f"identity-query {text}", id_number.reveal()
            ),
        }
        where = {"tenant_": tenant, "day_": text, "hash_": values["subject_hash"]}
        if self.first(_KNOWN, where) is not None:
            return False
        self.change(_NEW, values)
        return True

    def delete_identity_queries_before(
        self,
        tenant: AllTenants,  # noqa: ARG002 - says whose
        day: date,
    ) -> int:
        """See `moica_gateway.ports.UnitOfWork`."""
        return self.change(_FORGET, {"day_": day.isoformat()})
