"""Transactions, documents and challenges as rows and back. No SQL, no keys.

What is sealed travels as one private part a key: ``PersonalPart``s under the person's key,
``SealedPart``s under the tenant's. Of an erased person the personal part is gone, and the model
reads: ``hint`` and ``certificate`` empty, ``user_name``, ``device_name``, ``handle`` and
``return_url`` None. Times, states, documents and the report stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen

from moica_gateway.domain.models import (
    Challenge,
    ChallengeStatus,
    Channel,
    Check,
    Document,
    Handle,
    Kind,
    OnBehalfOf,
    SignatureResult,
    Status,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import (
    BlobId,
    ChallengeId,
    CredentialId,
    DocumentId,
    PersonId,
    TenantId,
    TransactionId,
)
from moica_gateway.errors import Problem
from moica_gateway.stores.codec import as_json, from_json

__all__ = [
    "TRANSACTION_MAC",
    "ChallengePersonal",
    "TransactionPersonal",
    "TransactionSealed",
    "challenge_model",
    "challenge_row",
    "document_model",
    "document_row",
    "transaction_model",
    "transaction_row",
    "watch_until",
]

TRANSACTION_MAC = (
    "tenant",
    "id",
    "version",
    "kind",
    "status",
    "created_at",
    "expires_at",
    "ended_at",
    "user_id",
    "person_id",
    "credential_id",
    "format",
    "level",
    "time_limit",
    "enable",
    "partial",
    "policy",
)
"""The clear columns of a transaction that its MAC covers."""


@frozen(kw_only=True)
class TransactionPersonal:
    """What of a transaction is sealed under the person's key."""

    hint: str = ""
    user_name: str | None = None
    device_name: str | None = None
    certificate: bytes = b""

    @classmethod
    def of(cls, transaction: Transaction) -> TransactionPersonal:
        """The part of that transaction."""
        signature = transaction.signature
        return cls(
            hint=transaction.hint,
            user_name=transaction.user_name,
            device_name=transaction.device_name,
            certificate=signature.certificate if signature else b"",
        )


@frozen(kw_only=True)
class TransactionSealed:
    """What of a transaction is sealed under the tenant's key."""

    metadata: Mapping[str, Any] = field(factory=dict)
    on_behalf_of: OnBehalfOf | None = None
    previous: str | None = None
    signed_at: datetime | None = None
    report: tuple[Check, ...] = ()
    error: Problem | None = None

    @classmethod
    def of(cls, transaction: Transaction) -> TransactionSealed:
        """The part of that transaction."""
        signature = transaction.signature
        return cls(
            metadata=transaction.metadata,
            on_behalf_of=transaction.on_behalf_of,
            previous=transaction.previous,
            signed_at=signature.signed_at if signature else None,
            report=signature.report if signature else (),
            error=transaction.error,
        )


@frozen(kw_only=True)
class ChallengePersonal:
    """What of a challenge is sealed under the person's key."""

    handle: Handle | None = None
    return_url: str | None = None


def watch_until(transaction: Transaction) -> datetime | None:
    """When the last ticket lapses; None without one."""
    return max((c.expires_at for c in transaction.challenges if c.handle), default=None)


def transaction_row(transaction: Transaction) -> dict[str, Any]:
    """The clear columns, without ``mac``."""
    return {
        "tenant": transaction.tenant,
        "id": transaction.id,
        "version": transaction.version,
        "kind": transaction.kind.value,
        "status": transaction.status.value,
        "created_at": transaction.created_at,
        "expires_at": transaction.expires_at,
        "ended_at": transaction.ended_at,
        "watch_until": watch_until(transaction),
        "user_id": transaction.user_id,
        "person_id": transaction.person_id,
        "credential_id": transaction.credential_id,
        "match_code": transaction.match_code,
        "format": transaction.format,
        "level": transaction.level,
        "time_limit": transaction.time_limit,
        "enable": transaction.enable,
        "partial": transaction.partial,
        "policy": as_json(transaction.policy),
    }


def transaction_model(
    row: Mapping[str, Any],
    sealed: TransactionSealed,
    personal: TransactionPersonal,
    documents: Sequence[Document],
    challenges: Sequence[Challenge],
) -> Transaction:
    """A transaction from its row, its opened parts and its children in their order."""
    signature = None
    if sealed.signed_at is not None:
        signature = SignatureResult(
            certificate=personal.certificate, signed_at=sealed.signed_at, report=sealed.report
        )
    credential_id = row["credential_id"]
    return Transaction(
        id=TransactionId(row["id"]),
        tenant=TenantId(row["tenant"]),
        version=row["version"],
        kind=Kind(row["kind"]),
        status=Status(row["status"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        user_id=row["user_id"],
        person_id=PersonId(row["person_id"]),
        match_code=row["match_code"],
        hint=personal.hint,
        documents=tuple(documents),
        challenges=tuple(challenges),
        policy=from_json(TenantPolicy, row["policy"]),
        time_limit=row["time_limit"],
        format=row["format"],
        level=row["level"],
        credential_id=None if credential_id is None else CredentialId(credential_id),
        user_name=personal.user_name,
        device_name=personal.device_name,
        enable=row["enable"],
        on_behalf_of=sealed.on_behalf_of,
        previous=TransactionId(sealed.previous) if sealed.previous is not None else None,
        metadata=sealed.metadata,
        signature=signature,
        error=sealed.error,
        partial=row["partial"],
        ended_at=row["ended_at"],
    )


def document_row(transaction: Transaction, position: int) -> dict[str, Any]:
    """The clear columns of one document."""
    document = transaction.documents[position]
    return {
        "tenant": transaction.tenant,
        "transaction_id": transaction.id,
        "id": document.id,
        "position": position,
        "number": document.number,
        "sha256": document.sha256,
        "version": document.version,
        "media_type": document.media_type,
        "content": document.content,
        "prepared": document.prepared,
        "artifact": document.artifact,
        "artifact_media_type": document.artifact_media_type,
        "status": None if document.status is None else document.status.value,
        "ticket": document.ticket,
    }


def document_model(row: Mapping[str, Any], title: str | None) -> Document:
    """A document from its row and its opened title."""
    return Document(
        id=DocumentId(row["id"]),
        number=row["number"],
        sha256=row["sha256"],
        version=row["version"],
        title=title,
        media_type=row["media_type"],
        content=_blob(row["content"]),
        prepared=_blob(row["prepared"]),
        artifact=_blob(row["artifact"]),
        artifact_media_type=row["artifact_media_type"],
        status=None if row["status"] is None else Status(row["status"]),
        ticket=row["ticket"],
    )


def challenge_row(transaction: Transaction, position: int) -> dict[str, Any]:
    """The clear columns of one challenge."""
    challenge = transaction.challenges[position]
    return {
        "tenant": transaction.tenant,
        "transaction_id": transaction.id,
        "id": challenge.id,
        "position": position,
        "channel": challenge.channel.value,
        "status": challenge.status.value,
        "upstream_transaction_id": challenge.upstream_transaction_id,
        "time_limit": challenge.time_limit,
        "created_at": challenge.created_at,
        "expires_at": challenge.expires_at,
        "sp_key_id": challenge.sp_key_id,
        "ticket": challenge.ticket,
    }


def challenge_model(
    row: Mapping[str, Any], problem: Problem | None, personal: ChallengePersonal
) -> Challenge:
    """A challenge from its row and its opened parts."""
    return Challenge(
        id=ChallengeId(row["id"]),
        channel=Channel(row["channel"]),
        status=ChallengeStatus(row["status"]),
        upstream_transaction_id=row["upstream_transaction_id"],
        time_limit=row["time_limit"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        sp_key_id=row["sp_key_id"],
        handle=personal.handle,
        problem=problem,
        return_url=personal.return_url,
        ticket=row["ticket"],
    )


def _blob(value: str | None) -> BlobId | None:
    return None if value is None else BlobId(value)
