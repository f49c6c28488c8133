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

from moica_gateway.domain.audit import record_bytes, record_members
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
        mac = self._hmac.copy()
        mac.update(record_bytes(record_members(tenant, sequence, record)))
        return mac.digest()

    def of_row(self, row: Mapping[str, Any]) -> bytes:
        """The same, of a row. Raises ``ValueError`` where it cannot be read."""
        record = record_of(row)
        if record is None:
            raise ValueError("an audit row cannot be read")
        return self.of(row["tenant"], row["sequence"], record)

    def fits(self, row: Mapping[str, Any], record: AuditRecord) -> bool:
        """Whether the row's ``mac`` is the one of this record."""
        stored = row["mac"]
        if not isinstance(stored, bytes):
            return False
        try:
            made = self.of(row["tenant"], row["sequence"], record)
        except _UNREADABLE:
            return False
        return hmac.compare_digest(made, stored)


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
