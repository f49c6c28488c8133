"""`moica_gateway.ports.UnitOfWork` on SQLAlchemy Core: the parts, put together. No ORM.

Statements are made once, at import, so that an execution costs a look-up in SQLAlchemy's cache of
compiled statements and little more.
"""

from __future__ import annotations

from typing import Any

from moica_gateway.stores.audit_rows import AuditRows
from moica_gateway.stores.blob_rows import BlobRows
from moica_gateway.stores.brake_rows import BrakeRows
from moica_gateway.stores.identity_rows import IdentityRows
from moica_gateway.stores.list_rows import ListRows
from moica_gateway.stores.people import PeopleRows
from moica_gateway.stores.records import RecordRows
from moica_gateway.stores.tenants import TenantRows
from moica_gateway.stores.transaction_lists import TransactionLists

__all__ = ["SqlUnitOfWork"]


class SqlUnitOfWork(
    TransactionLists,
    TenantRows,
    PeopleRows,
    BrakeRows,
    IdentityRows,
    ListRows,
    AuditRows,
    RecordRows,
):
    """Everything that one function may read and write inside one commit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._blobs = BlobRows(self)

    @property
    def blobs(self) -> BlobRows:
        """Blobs of the same commit."""
        return self._blobs
