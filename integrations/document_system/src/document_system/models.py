"""The rows as frozen classes. Parsed once, on the way out of the database; no behaviour beyond
what a row can say about itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

from attrs import field, frozen

__all__ = [
    "ENDED",
    "OPEN",
    "Certificate",
    "Channel",
    "Confirmation",
    "CredentialFacts",
    "Document",
    "FrozenVersion",
    "Kind",
    "Notice",
    "Signature",
    "Status",
    "Step",
    "User",
    "time_or_none",
]

Channel = Literal["push", "qr"]
Kind = Literal["registration", "signature"]
Status = Literal["starting", "pending", "completed", "rejected", "expired", "failed", "cancelled"]

OPEN: Final = ("starting", "pending")
ENDED: Final = ("completed", "rejected", "expired", "failed", "cancelled")


def time_or_none(text: str | None) -> datetime | None:
    """From the ISO form of the database."""
    return datetime.fromisoformat(text) if text else None


@frozen(kw_only=True)
class User:
    """Somebody who can sign in. The document system knows no ID number."""

    user_id: str
    name: str
    title: str
    unit: str


@frozen(kw_only=True)
class Notice:
    """A word for the next page (after a redirect)."""

    kind: Literal["success", "error", "info"]
    text: str


@frozen(kw_only=True)
class Step:
    """One person in a document's route."""

    position: int
    user: User
    role: str
    passed_at: datetime | None


@frozen(kw_only=True)
class Document:
    """A 公文 and where it stands."""

    number: str
    subject: str
    body: str
    from_agency: str
    state: str
    received_at: datetime
    due_at: datetime
    position: int
    sealed: bool
    signed_version: int | None
    """The frozen version that the present holder has signed and not passed on yet."""
    route: tuple[Step, ...]

    @property
    def holder(self) -> Step | None:
        """Who has it on the desk; nobody once it is through."""
        return self.route[self.position] if self.position < len(self.route) else None

    @property
    def next_step(self) -> Step | None:
        """Who gets it next; nobody where the holder is the last."""
        following = self.position + 1
        return self.route[following] if following < len(self.route) else None

    def held_by(self, user_id: str) -> bool:
        """Whether this user has it on the desk."""
        return self.holder is not None and self.holder.user.user_id == user_id

    def visible_to(self, user_id: str) -> bool:
        """Whether it has reached this user: those further down the route do not see it yet."""
        return any(
            step.user.user_id == user_id for step in self.route if step.position <= self.position
        )


@frozen(kw_only=True)
class FrozenVersion:
    """The bytes that a signature covers."""

    number: str
    version: int
    content: bytes = field(repr=False)
    sha256: str
    media_type: str
    frozen_at: datetime
    frozen_by: str


@frozen(kw_only=True)
class Certificate:
    """A saved row of 使用者憑證登記."""

    id: str
    user_id: str
    credential_id: str
    issuer_name: str
    serial_number: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    enabled: bool


@frozen(kw_only=True)
class CredentialFacts:
    """What a completed registration brought, kept with it until 「儲存」."""

    credential_id: str
    issuer_name: str
    serial_number: str
    fingerprint: str
    not_before: datetime
    not_after: datetime

    def to_json(self) -> str:
        """For the database."""
        return json.dumps(
            {
                "credential_id": self.credential_id,
                "issuer_name": self.issuer_name,
                "serial_number": self.serial_number,
                "fingerprint": self.fingerprint,
                "not_before": self.not_before.isoformat(),
                "not_after": self.not_after.isoformat(),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> CredentialFacts:
        """From the database."""
        value: Mapping[str, str] = json.loads(text)
        return cls(
            credential_id=value["credential_id"],
            issuer_name=value["issuer_name"],
            serial_number=value["serial_number"],
            fingerprint=value["fingerprint"],
            not_before=datetime.fromisoformat(value["not_before"]),
            not_after=datetime.fromisoformat(value["not_after"]),
        )


@frozen(kw_only=True)
class Confirmation:
    """One request to the gateway that a person confirms on the phone.

    Written before the gateway is called, so that a crash in between loses nothing: the same
    ``idempotency_key`` with the same body finds the same transaction again.
    """

    id: str
    kind: Kind
    user_id: str
    idempotency_key: str
    time_limit: int
    channel: Channel
    supersede: bool = field(converter=bool)
    status: Status
    created_at: datetime
    ended_at: datetime | None
    transaction_id: str | None
    gateway_version: int
    browser_token: str | None = field(repr=False)
    match_code: str | None
    expires_at: datetime | None
    number: str | None
    version: int | None
    sha256: str | None
    error_code: str | None
    error_message: str | None
    open_transaction: str | None
    credential: CredentialFacts | None
    saved_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether it still waits for the phone."""
        return self.status in OPEN

    @property
    def shown_status(self) -> str:
        """The status as the pages tell it: ``starting`` is ours and means pending."""
        return "pending" if self.open else self.status

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Confirmation:
        """From ``SELECT *``."""
        value = dict(row)
        credential = value.pop("credential")
        return cls(
            **{
                **value,
                "created_at": datetime.fromisoformat(value["created_at"]),
                "ended_at": time_or_none(value["ended_at"]),
                "expires_at": time_or_none(value["expires_at"]),
                "saved_at": time_or_none(value["saved_at"]),
            },
            credential=CredentialFacts.from_json(credential) if credential else None,
        )


@frozen(kw_only=True)
class Signature:
    """A fetched signature over a frozen version."""

    number: str
    version: int
    confirmation_id: str
    user_id: str
    signer_name: str
    issuer_name: str
    serial_number: str
    signed_at: datetime
    artifact: bytes = field(repr=False)
