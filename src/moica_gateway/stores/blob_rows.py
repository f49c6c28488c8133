"""Content, prepared bytes and artifacts as sealed rows, in the same commit as what names them.

A blob is encrypted as one value and is read whole; folders on disk may follow behind the same port.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, delete, insert, select

from moica_gateway.domain.values import BlobId, TenantId
from moica_gateway.stores.session import Session
from moica_gateway.stores.tables import blobs

__all__ = ["BlobRows"]

_BLOB: Final = select(blobs.c.sealed).where(
    blobs.c.tenant == bindparam("tenant_"), blobs.c.id == bindparam("id_")
)
_NEW_BLOB: Final = insert(blobs)
_DROP_BLOB: Final = delete(blobs).where(
    blobs.c.tenant == bindparam("tenant_"), blobs.c.id == bindparam("id_")
)


class BlobRows:
    """`moica_gateway.ports.Blobs` over one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, tenant: TenantId, blob_id: BlobId, data: bytes) -> None:
        """See `moica_gateway.ports.Blobs`."""
        self._session.change(
            _NEW_BLOB,
            {
                "tenant": tenant,
                "id": blob_id,
                "size": len(data),
                "created_at": self._session.clock.now(),
                "sealed": self._session.seal_for_tenant(tenant, "blobs", (blob_id,), data),
            },
        )

    def get(self, tenant: TenantId, blob_id: BlobId) -> bytes:
        """See `moica_gateway.ports.Blobs`."""
        row = self._session.first(_BLOB, {"tenant_": tenant, "id_": blob_id})
        if row is None:
            raise KeyError(blob_id)
        return self._session.open_for_tenant(tenant, "blobs", (blob_id,), row["sealed"])

    def delete(self, tenant: TenantId, blob_id: BlobId) -> None:
        """See `moica_gateway.ports.Blobs`."""
        self._session.change(_DROP_BLOB, {"tenant_": tenant, "id_": blob_id})
