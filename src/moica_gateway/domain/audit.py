"""The form of the audit record: canonical bytes, the chain over them, its signed heads. Pure.

``docs/reference/audit.md`` is the same for strangers, who check a chain with code of their own:
whoever changes a byte here makes a new version of the form, with tags of its own. Deliberately not
here: the check itself (`moica_gateway.domain.audit_check`), keys, and where records are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import evolve, field, frozen

from moica_gateway.domain.models import AuditRecord
from moica_gateway.domain.values import TenantId

__all__ = [
    "GENESIS",
    "AuditEntry",
    "AuditHead",
    "canonical",
    "canonical_time",
    "digest_of",
    "head_members",
    "key_id_of",
    "link",
    "record_bytes",
    "record_members",
    "require_plain",
]

GENESIS: Final = bytes(32)
"""What the first record of a tenant follows."""

_RECORD_TAG: Final = b"moica-audit-record/1\n"
_LINK_TAG: Final = b"moica-audit-link/1\n"
_HEAD_TAG: Final = b"moica-audit-head/1\n"
_LARGEST: Final = 2**53 - 1
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


@frozen(kw_only=True)
class AuditEntry:
    """A record as it is kept.

    Attributes:
        sequence: Its number in the store, ascending over all tenants in the order of commits.
        record: None where it cannot be read.
        digest: Of the record, 32 bytes; None where it cannot be read.
        position: In its tenant's chain, from 1; None until it is sealed.
        hash: 32 bytes; None until it is sealed.
        authentic: Whether its MAC says that the gateway has written it, exactly so.
    """

    tenant: TenantId
    sequence: int
    record: AuditRecord | None
    digest: bytes | None
    position: int | None
    hash: bytes | None
    authentic: bool


@frozen(kw_only=True)
class AuditHead:
    """Where a chain stands. Whoever keeps one finds out about everything that is changed before it.

    Attributes:
        position: Of the newest sealed record, and so how many there are.
        hash: Of that record in the chain, 32 bytes.
        at: When it was sealed; aware.
        public_key: Ed25519, 32 bytes.
        signature: Ed25519 over `signed_bytes`, 64 bytes.
    """

    tenant: TenantId
    position: int
    hash: bytes
    at: datetime
    public_key: bytes
    signature: bytes = field(default=b"", repr=False)

    @property
    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        members = head_members(self)
        del members["public_key"], members["signature"]
        return _HEAD_TAG + canonical(members)

    def signed(self, signature: bytes) -> AuditHead:
        """The same with its signature."""
        return evolve(self, signature=signature)


def canonical(value: Any) -> bytes:
    """JSON as RFC 8785 writes it, of that part which every language writes alike.

    Raises:
        ValueError: for anything but objects with ASCII names, lists, text, integers up to
            2**53 - 1, booleans and null.
    """
    require_plain(value)
    return _ENCODER.encode(value).encode()


def canonical_time(at: datetime) -> str:
    """UTC with six digits of a second and ``Z``. Raises ``ValueError`` for a naive one."""
    if at.tzinfo is not UTC:
        if at.utcoffset() is None:
            raise ValueError("expected an aware datetime")
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def record_members(tenant: str, sequence: int, record: AuditRecord) -> dict[str, Any]:
    """A record as a JSON object: all that the chain covers."""
    return {
        "v": 1,
        "tenant": tenant,
        "sequence": sequence,
        "at": canonical_time(record.at),
        "action": record.action,
        "actor": record.actor,
        "transaction_id": record.transaction_id,
        "data": dict(record.data),
    }


def record_bytes(members: Mapping[str, Any]) -> bytes:
    """What the digest (and a store's MAC) is over.

    Not looked at here, since it is asked for often: whether the data is `require_plain`.

    Raises:
        TypeError: for what is no JSON.
        ValueError: the same.
    """
    return _RECORD_TAG + _ENCODER.encode(members).encode()


def digest_of(record: bytes) -> bytes:
    """SHA-256 of `record_bytes`."""
    return hashlib.sha256(record).digest()


def link(previous: bytes, digest: bytes) -> bytes:
    """The hash of the next record in the chain; `GENESIS` is before the first one.

    Over the record's digest, not the record: so a proof about some records of a tenant need not
    show what stands between them.
    """
    return hashlib.sha256(_LINK_TAG + previous + digest).digest()


def key_id_of(public_key: bytes) -> str:
    """A name of a public key: 16 hexadecimal digits."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def head_members(head: AuditHead) -> dict[str, Any]:
    """A head as a JSON object."""
    return {
        "v": 1,
        "tenant": head.tenant,
        "position": head.position,
        "count": head.position,
        "hash": head.hash.hex(),
        "at": canonical_time(head.at),
        "key_id": key_id_of(head.public_key),
        "public_key": head.public_key.hex(),
        "signature": head.signature.hex(),
    }


def require_plain(value: Any) -> None:
    """Raises ``ValueError`` for anything but what `canonical` takes."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is dict:
        for name, member in value.items():
            if type(name) is not str or not name.isascii():
                raise ValueError("expected names in ASCII")
            require_plain(member)
    elif kind is list or kind is tuple:
        for item in value:
            require_plain(item)
    elif isinstance(value, str):
        return
    elif not isinstance(value, int) or not -_LARGEST <= value <= _LARGEST:
        raise ValueError("expected JSON without fractions and without large numbers")
