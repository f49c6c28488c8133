"""The MAC of an audit row: the gateway has written this record under this sequence.

It holds from the commit on, also where a row is not sealed in the chain yet, and tells an edited
row from a genuine one whose chain was meddled with. It covers the canonical bytes of the record
(`moica_gateway.domain.audit`), and so neither position nor hash, which come later.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from moica_gateway.domain.audit import digest_of, record_bytes, record_members, require_plain
from moica_gateway.domain.models import AuditRecord
from moica_gateway.domain.values import Secret
from moica_gateway.stores.seals import derive

__all__ = ["AuditMacs", "record_of"]

_UNREADABLE: Final = (KeyError, TypeError, ValueError, RecursionError)


class AuditMacs:
    """Under a subkey of its own."""

    def __init__(self, master_key: Secret) -> None:
        """Raises ``ConfigurationError`` when the master key is not 32 bytes."""
        self._hmac = hmac.new(derive(master_key, "audit-row"), digestmod="sha256")

    def of(self, tenant: str, sequence: int, record: AuditRecord) -> bytes:
        """32 bytes. Raises ``ValueError`` for data that has no canonical form."""
        require_plain(record.data)
        return self._of_bytes(record_bytes(record_members(tenant, sequence, record)))

    def of_row(self, row: Mapping[str, Any]) -> bytes:
        """The same, of a row. Raises ``ValueError`` where it cannot be read."""
        record = record_of(row)
        if record is None:
            raise ValueError("an audit row cannot be read")
        return self.of(row["tenant"], row["sequence"], record)

    def check(self, row: Mapping[str, Any], record: AuditRecord) -> tuple[bytes | None, bool]:
        """The record's digest, and whether the row's ``mac`` is the one of this record."""
        stored = row["mac"]
        try:
            data = record_bytes(record_members(row["tenant"], row["sequence"], record))
        except _UNREADABLE:
            return None, False
        fits = isinstance(stored, bytes) and hmac.compare_digest(self._of_bytes(data), stored)
        if not fits:
            # What the gateway wrote is plain; of anything else no two programs need agree.
            try:
                require_plain(record.data)
            except _UNREADABLE:
                return None, False
        return digest_of(data), fits

    def _of_bytes(self, data: bytes) -> bytes:
        mac = self._hmac.copy()
        mac.update(data)
        return mac.digest()


def record_of(row: Mapping[str, Any]) -> AuditRecord | None:
    """The record, if each column has the type that the gateway writes: an engine may keep others,
    and whoever meddles puts in anything."""
    typed = (
        isinstance(row["at"], datetime)
        and isinstance(row["action"], str)
        and isinstance(row["actor"], str)
        and isinstance(row["transaction_id"], str | None)
        and isinstance(row["data"], dict)
    )
    if not typed:
        return None
    return AuditRecord(
        at=row["at"],
        action=row["action"],
        actor=row["actor"],
        transaction_id=row["transaction_id"],
        data=row["data"],
    )
