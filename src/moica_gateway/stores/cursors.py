"""Opaque cursors: a position and a MAC, so that nobody makes one up or takes it to another tenant.

Base64url of the position and the first 16 bytes of a keyed MAC over kind, tenant and position.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

from moica_gateway.domain.values import TenantId
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import Seals
from moica_gateway.stores.seals import unambiguous

__all__ = ["Cursors"]

_MAC_BYTES: Final = 16
_MAX_LENGTH: Final = 512
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Cursors:
    """Makes and reads the cursors of lists and of the feed."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals

    def of_row(self, tenant: TenantId, created_at: datetime, row_id: str) -> str:
        """After that row of a list that is ordered by time and id."""
        micros = (created_at - _EPOCH) // _MICROSECOND
        return self._make("list", tenant, micros.to_bytes(8, "big", signed=True) + row_id.encode())

    def row(self, tenant: TenantId, cursor: str) -> tuple[datetime, str]:
        """The reverse. Raises ``RequestError`` ``request_invalid`` for one that is not ours."""
        position = self._read("list", tenant, cursor)
        micros = int.from_bytes(position[:8], "big", signed=True)
        return _EPOCH + micros * _MICROSECOND, position[8:].decode()

    def of_sequence(self, tenant: TenantId, sequence: int) -> str:
        """After that sequence of the feed."""
        return self._make("feed", tenant, sequence.to_bytes(8, "big"))

    def sequence(self, tenant: TenantId, cursor: str) -> int:
        """The reverse. Raises ``RequestError`` ``request_invalid`` for one that is not ours."""
        return int.from_bytes(self._read("feed", tenant, cursor), "big")

    def _mac(self, kind: str, tenant: TenantId, position: bytes) -> bytes:
        data = unambiguous(kind.encode(), tenant.encode(), position)
        return self._seals.mac("cursor", data)[:_MAC_BYTES]

    def _make(self, kind: str, tenant: TenantId, position: bytes) -> str:
        token = self._mac(kind, tenant, position) + position
        return base64.urlsafe_b64encode(token).decode().rstrip("=")

    def _read(self, kind: str, tenant: TenantId, cursor: str) -> bytes:
        if len(cursor) > _MAX_LENGTH or not cursor.isascii():
            raise _not_ours()
        try:
            token = base64.b64decode(
                cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
            )
        except (binascii.Error, ValueError):
            raise _not_ours() from None
        mac, position = token[:_MAC_BYTES], token[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(kind, tenant, position)):
            raise _not_ours()
        return position


def _not_ours() -> GatewayError:
    return error(
        "request_invalid",
        "expected a cursor as an earlier page gave it, came something else; "
        "the integrator starts again without a cursor",
    )
