"""The unit of work of `moica_gateway.testing.store.MemoryStore`: dictionaries of frozen models.

It keeps the constraints of the real one (the tenant and the person exist, one pending transaction
a person, one enabled credential a user, versions) and raises the same errors, so that what passes
here does not fail there. No encryption: erasing takes the personal data out of the models.
"""

from __future__ import annotations

from typing import Any

from moica_gateway.domain.values import BlobId, TenantId
from moica_gateway.testing.memory_audit import MemoryAudit
from moica_gateway.testing.memory_brakes import MemoryBrakes
from moica_gateway.testing.memory_identity import MemoryIdentity
from moica_gateway.testing.memory_lists import MemoryLists
from moica_gateway.testing.memory_people import MemoryPeople
from moica_gateway.testing.memory_records import MemoryRecords
from moica_gateway.testing.memory_state import add_new
from moica_gateway.testing.memory_transactions import MemoryTransactions

__all__ = ["MemoryBlobs", "MemoryUnitOfWork"]


class MemoryBlobs:
    """Double of `moica_gateway.ports.Blobs`."""

    def __init__(self, unit: MemoryUnitOfWork) -> None:
        self._unit = unit

    def put(self, tenant: TenantId, blob_id: BlobId, data: bytes) -> None:
        """See the port."""
        state = self._unit.writable(tenant)
        add_new(state.blobs, (tenant, blob_id), data)

    def get(self, tenant: TenantId, blob_id: BlobId) -> bytes:
        """See the port."""
        return self._unit.state.blobs[(tenant, blob_id)]

    def delete(self, tenant: TenantId, blob_id: BlobId) -> None:
        """See the port."""
        self._unit.writable().blobs.pop((tenant, blob_id), None)


class MemoryUnitOfWork(
    MemoryTransactions,
    MemoryPeople,
    MemoryBrakes,
    MemoryIdentity,
    MemoryLists,
    MemoryAudit,
    MemoryRecords,
):
    """Double of `moica_gateway.ports.UnitOfWork`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._blobs = MemoryBlobs(self)

    @property
    def blobs(self) -> MemoryBlobs:
        """Blobs of the same commit."""
        return self._blobs
