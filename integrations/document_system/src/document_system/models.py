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
    "Attachment",
    "Behalf",
    "Certificate",
    "Channel",
    "Confirmation",
    "CredentialFacts",
    "Deputy",
    "Document",
    "FrozenVersion",
    "Item",
    "ItemStatus",
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
ItemStatus = Literal[
    "pending", "completed", "rejected", "expired", "failed", "cancelled", "refused"
]

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
class Attachment:
    """A file of a document: its own (附件), or one that came with it (來文附件)."""

    id: str
    number: str
    kind: Literal["own", "incoming"]
    name: str
    media_type: str
    sha256: str
    content: bytes = field(repr=False)
    removed_at: datetime | None


@frozen(kw_only=True)
class Deputy:
    """Who may sign for somebody, and until when."""

    user: User
    deputy: User
    until: datetime


@frozen(kw_only=True)
class Behalf:
    """代理: for whom it is signed, and why."""

    user: User
    reason: str


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
class Item:
    """One frozen version that a confirmation covers, and what became of it."""

    position: int
    number: str
    version: int
    sha256: str
    status: ItemStatus
    error_code: str | None
    error_message: str | None

    @property
    def document_id(self) -> str:
        """What the gateway calls it within its transaction."""
        return f"doc-{self.position + 1}"


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
    error_code: str | None
    error_message: str | None
    open_transaction: str | None
    credential: CredentialFacts | None
    saved_at: datetime | None
    behalf_of: str | None
    """The user id of whom it is signed for, where a deputy signs."""
    behalf_reason: str | None
    items: tuple[Item, ...]
    """What is signed, in order; none for a registration."""

    @property
    def open(self) -> bool:
        """Whether it still waits for the phone."""
        return self.status in OPEN

    @property
    def shown_status(self) -> str:
        """The status as the pages tell it: ``starting`` is ours and means pending."""
        return "pending" if self.open else self.status

    @property
    def single(self) -> Item | None:
        """The only document; None for a registration and for a batch."""
        return self.items[0] if len(self.items) == 1 else None

    def item(self, number: str) -> Item | None:
        """The one over that document."""
        return next((one for one in self.items if one.number == number), None)

    @property
    def signed(self) -> tuple[Item, ...]:
        """What is signed, whatever became of the others."""
        return tuple(one for one in self.items if one.status == "completed")

    @property
    def holder(self) -> str:
        """The user id of whose desk it is signed from."""
        return self.behalf_of or self.user_id

    @classmethod
    def from_row(cls, row: sqlite3.Row, items: tuple[Item, ...]) -> Confirmation:
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
            items=items,
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
    behalf_of: str | None
    behalf_name: str | None
    behalf_reason: str | None
