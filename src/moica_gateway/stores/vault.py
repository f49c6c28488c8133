"""Personal data encrypted at rest (security.md 15): envelope encryption and row MACs.

The master key wraps one data key a tenant and one a person; a data key seals values with
AES-256-GCM. A sealed value is ``version | key id | nonce | ciphertext and tag``; its additional
data names tenant, table, row, column and key, each behind its length, so that a value moved to
another place does not open. A row MAC covers the clear columns that decide something.

Not found here: an old row put back whole, MAC and all. The audit chain is for that.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attrs import frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import Random
from moica_gateway.stores.column_types import in_utc
from moica_gateway.stores.seals import derive, master_key_id, unambiguous

__all__ = ["DataKey", "Place", "Vault", "tampered"]

_VERSION: Final = b"\x01"
_KEY_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_NONCE_AT: Final = 1 + _KEY_ID_BYTES
_HEADER_BYTES: Final = _NONCE_AT + _NONCE_BYTES
_TAG_BYTES: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Place:
    """Where a sealed value stands. ``row`` is the row's key without the tenant."""

    tenant: str
    table: str
    row: tuple[str, ...]
    column: str


@frozen(eq=False, repr=False)
class DataKey:
    """An unwrapped data key of a tenant or a person."""

    id: bytes
    cipher: AESGCM


def tampered(table: str, row: Sequence[str], what: str) -> GatewayError:
    """The error for stored data that does not authenticate; names the row, never its content."""
    return error(
        "vault_tampered",
        f"expected {table} {'/'.join(row)} as it was written, but {what}; "
        "the operator compares the database with a backup and looks who wrote to it",
    )


class Vault:
    """Seals and opens; makes, wraps and unwraps data keys. Holds no data key itself."""

    def __init__(self, master_key: Secret, random: Random) -> None:
        """Raises ``ConfigurationError`` when the master key is not 32 bytes."""
        self._random = random
        self._wrapping = DataKey(bytes(_KEY_ID_BYTES), AESGCM(derive(master_key, "vault-wrap")))
        self._row_mac = hmac.new(derive(master_key, "row-mac"), digestmod="sha256")
        self.master_key_id = master_key_id(master_key)

    def new_key(self, tenant: TenantId, table: str, row: tuple[str, ...]) -> tuple[DataKey, bytes]:
        """A fresh data key, and the same wrapped for that row of ``table``."""
        material = self._random.token_bytes(32)
        key = DataKey(self._random.token_bytes(_KEY_ID_BYTES), AESGCM(material))
        place = Place(tenant, table, (*row, key.id.hex()), "wrapped")
        return key, self.seal(self._wrapping, place, material)

    def unwrap(
        self, tenant: TenantId, table: str, row: tuple[str, ...], key_id: bytes, wrapped: bytes
    ) -> DataKey:
        """The data key of that row. Raises ``VerificationError`` ``vault_tampered``."""
        place = Place(tenant, table, (*row, key_id.hex()), "wrapped")
        return DataKey(key_id, AESGCM(self.open(self._wrapping, place, wrapped)))

    def seal(self, key: DataKey, place: Place, data: bytes) -> bytes:
        """Encrypt for that place, under a random 96-bit nonce."""
        nonce = self._random.token_bytes(_NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, data, _additional_data(key, place))
        return b"".join((_VERSION, key.id, nonce, sealed))

    def open(self, key: DataKey, place: Place, sealed: object) -> bytes:
        """Decrypt what was sealed for that place. Raises ``VerificationError``."""
        header = _VERSION + key.id
        if (
            not isinstance(sealed, bytes)
            or len(sealed) < _HEADER_BYTES + _TAG_BYTES
            or sealed[:_NONCE_AT] != header
        ):
            raise tampered(place.table, place.row, f"{place.column} is not a value of its key")
        try:
            return key.cipher.decrypt(
                sealed[_NONCE_AT:_HEADER_BYTES],
                sealed[_HEADER_BYTES:],
                _additional_data(key, place),
            )
        except InvalidTag:
            raise tampered(
                place.table, place.row, f"{place.column} does not authenticate"
            ) from None

    def row_mac(self, table: str, columns: Sequence[str], row: Mapping[str, Any]) -> bytes:
        """HMAC-SHA256 over the named columns. NULLs are left out: a column may be added later."""
        covered = {name: row[name] for name in columns if row[name] is not None}
        mac = self._row_mac.copy()
        mac.update(_CANONICAL.encode([table, covered]).encode())
        return mac.digest()

    def check_row(
        self, table: str, columns: Sequence[str], row: Mapping[str, Any], id: tuple[str, ...]
    ) -> None:
        """Compare with the stored ``mac``. Raises ``VerificationError`` ``vault_tampered``."""
        stored = row["mac"]
        if not isinstance(stored, bytes) or not hmac.compare_digest(
            self.row_mac(table, columns, row), stored
        ):
            raise tampered(table, id, "its MAC is another")


def _additional_data(key: DataKey, place: Place) -> bytes:
    # The row's parts come last, since only their number varies.
    parts = (place.tenant, place.table, place.column, *place.row)
    return unambiguous(_VERSION, key.id, *[part.encode() for part in parts])


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return (in_utc(value) - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError("a column of another type has no MAC")


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_plain)
