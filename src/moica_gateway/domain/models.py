"""The frozen nouns of the house. Pure: no I/O, no clock, no protocol words.

A transaction holds its documents as a tuple always; one document is a tuple of one. Content,
prepared bytes and artifacts are never here: they are blobs, named by ``BlobId``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.revocation_lists import StatusSource
from moica_gateway.domain.values import (
    BlobId,
    ChallengeId,
    CredentialId,
    DocumentId,
    IdNumber,
    PersonId,
    Secret,
    Tbs,
    TenantId,
    TransactionId,
)
from moica_gateway.errors import Problem

__all__ = [
    "Answer",
    "ApiKey",
    "Approved",
    "Artifact",
    "Assertion",
    "AuditRecord",
    "Begin",
    "Begun",
    "CertificateSignature",
    "Challenge",
    "ChallengeStatus",
    "Channel",
    "Check",
    "Credential",
    "CredentialStatus",
    "CredentialType",
    "DeviceStatus",
    "Document",
    "Expected",
    "Fault",
    "Handle",
    "HolderPresent",
    "IdempotencyRecord",
    "Kind",
    "Lapsed",
    "OnBehalfOf",
    "OutboxMessage",
    "Pending",
    "Person",
    "Prepared",
    "Presentation",
    "Proof",
    "Refused",
    "Scope",
    "Seal",
    "ServiceProvider",
    "SignContext",
    "SignatureResult",
    "SpKey",
    "StartUnknown",
    "Status",
    "SubjectInfo",
    "Tenant",
    "Transaction",
    "UserBinding",
    "Verdict",
    "WebhookEndpoint",
]


# -- states ------------------------------------------------------------------------------------


class Kind(StrEnum):
    """What a transaction is for."""

    REGISTRATION = "registration"
    SIGNATURE = "signature"
    AUTHENTICATION = "authentication"


class Status(StrEnum):
    """Where a transaction stands; all but ``PENDING`` are terminal and never change."""

    PENDING = "pending"
    COMPLETED = "completed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """True for all but ``PENDING``."""
        return self is not Status.PENDING


class Channel(StrEnum):
    """How the phone is reached."""

    PUSH = "push"
    QR = "qr"
    APP_LINK = "app_link"
    REDIRECT = "redirect"


class ChallengeStatus(StrEnum):
    """Where one ticket stands. ``STARTING`` and ``SENT`` are open."""

    STARTING = "starting"
    SENT = "sent"
    APPROVED = "approved"
    REFUSED = "refused"
    LAPSED = "lapsed"
    FAILED = "failed"
    CLOSED = "closed"

    @property
    def open(self) -> bool:
        """True while an answer may still decide."""
        return self in (ChallengeStatus.STARTING, ChallengeStatus.SENT)


class CredentialType(StrEnum):
    """What a credential is."""

    MOBILE_CITIZEN_CERTIFICATE = "mobile_citizen_certificate"
    PASSKEY = "passkey"


class CredentialStatus(StrEnum):
    """Whether a credential may sign. At most one a user is ``ENABLED``."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Scope(StrEnum):
    """What an API key may do."""

    SIGN = "sign"
    REGISTER = "register"
    READ = "read"
    IDENTITY_QUERY = "identity:query"
    ADMIN = "admin"


# -- tenants, keys -----------------------------------------------------------------------------


@frozen(kw_only=True)
class SpKey:
    """One AES key that a service provider shares with the platform; 32 bytes."""

    id: str
    key: Secret
    current: bool
    """False for the previous key, under which answers still verify until it is retired."""


@frozen(kw_only=True)
class ServiceProvider:
    """A tenant as the platform knows it (需用機關): service id and keys, the current one first."""

    sp_service_id: str
    keys: tuple[SpKey, ...]

    @property
    def current_key(self) -> SpKey:
        """The key under which we send. Raises ``LookupError`` when there is none."""
        for key in self.keys:
            if key.current:
                return key
        raise LookupError("service provider has no current key")


@frozen(kw_only=True)
class Tenant:
    """One document system."""

    id: TenantId
    name: str
    created_at: datetime
    policy: TenantPolicy = field(factory=TenantPolicy)
    service_provider: ServiceProvider | None = None


@frozen(kw_only=True)
class ApiKey:
    """A caller's key, stored as a keyed hash. ``test`` keys reach only the simulator."""

    id: str
    tenant: TenantId
    name: str
    key_hash: bytes
    scopes: frozenset[Scope]
    test: bool
    created_at: datetime
    revoked_at: datetime | None = None


@frozen(kw_only=True)
class WebhookEndpoint:
    """Where a tenant's events go. ``secrets``: Standard Webhooks secrets, the newest first."""

    id: str
    tenant: TenantId
    url: str
    secrets: tuple[Secret, ...]
    created_at: datetime
    enabled: bool = True
    ca_file: str | None = None


# -- people, credentials -----------------------------------------------------------------------


@frozen(kw_only=True)
class Person:
    """One (tenant, ID number). ``hashed_id_num`` is the platform's opaque value, once known."""

    id: PersonId
    tenant: TenantId
    id_number: IdNumber
    created_at: datetime
    hashed_id_num: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class UserBinding:
    """A ``user_id`` of the document system bound to a person by its first registration."""

    tenant: TenantId
    user_id: str
    person_id: PersonId
    bound_at: datetime


@frozen(kw_only=True)
class Credential:
    """A registered certificate. ``chain``: DER from the issuer of the leaf up, without the root."""

    id: CredentialId
    tenant: TenantId
    user_id: str
    user_name: str | None
    person_id: PersonId
    type: CredentialType
    status: CredentialStatus
    certificate: bytes = field(repr=False)
    chain: tuple[bytes, ...] = field(repr=False)
    issuer_name: str
    serial_number: str
    """Lower-case hexadecimal, without leading zero bytes."""
    not_before: datetime
    not_after: datetime
    subject_name: str = field(repr=False)
    id_number_masked: str
    fingerprint_sha256: str
    public_key_sha256: str
    created_at: datetime
    updated_at: datetime


# -- documents, transactions -------------------------------------------------------------------


@frozen(kw_only=True)
class Document:
    """One thing to be signed. A registration holds its statement here."""

    id: DocumentId
    number: str
    sha256: str
    """Hexadecimal, of the content."""
    version: str | None = None
    title: str | None = field(default=None, repr=False)
    media_type: str | None = None
    content: BlobId | None = None
    prepared: BlobId | None = None
    artifact: BlobId | None = None
    artifact_media_type: str | None = None
    status: Status | None = None
    """``completed`` once signed; otherwise set when the transaction has ended."""
    ticket: int = 0
    """Which ticket covers it, from 0: a batch of many documents asks the phone several times."""


@frozen(kw_only=True)
class Handle:
    """What an upstream needs to find a ticket again. Personal data: encrypted at rest.

    Attributes:
        transaction_id: Ours to the platform: a fresh UUIDv4 a challenge, never ``txn_…``.
        ticket: The whole ticket as it came.
        ticket_id: Its id, by which it is polled.
        sp_key_id: The key under which it was asked for.
        sent_checksums: Every checksum that we sent for it so far; one that comes back is a forgery.
        hashed_id_num: As the ticket said, where it did.
        extra: What else this upstream wants to remember; JSON types only.
    """

    transaction_id: str
    ticket: str = field(repr=False)
    ticket_id: str
    sp_key_id: str
    sent_checksums: tuple[str, ...] = field(repr=False)
    hashed_id_num: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(factory=dict, repr=False)


@frozen(kw_only=True)
class Challenge:
    """One ticket: one way in which the phone is asked."""

    id: ChallengeId
    channel: Channel
    status: ChallengeStatus
    upstream_transaction_id: str
    time_limit: int
    """Seconds asked of the platform."""
    created_at: datetime
    expires_at: datetime
    sp_key_id: str
    handle: Handle | None = None
    problem: Problem | None = None
    return_url: str | None = None
    ticket: int = 0
    """For the documents of which `Document.ticket` it asks."""


@frozen(kw_only=True)
class OnBehalfOf:
    """代理: for whom, and why."""

    user_id: str
    reason: str


@frozen(kw_only=True)
class Check:
    """One line of a report. ``passed`` is None for what was not checked; ``detail`` says why."""

    name: str
    passed: bool | None
    detail: str


@frozen(kw_only=True)
class SignatureResult:
    """What a completed signature was made with; of a batch, the latest ticket's."""

    certificate: bytes = field(repr=False)
    signed_at: datetime
    report: tuple[Check, ...]


@frozen(kw_only=True)
class Transaction:
    """One request of a document system, from its creation to its one outcome."""

    id: TransactionId
    tenant: TenantId
    version: int
    kind: Kind
    status: Status
    created_at: datetime
    expires_at: datetime
    user_id: str
    """Empty for an authentication by ID number, which names no user."""
    person_id: PersonId
    match_code: str
    hint: str
    documents: tuple[Document, ...]
    challenges: tuple[Challenge, ...]
    policy: TenantPolicy
    time_limit: int
    format: str
    level: str | None = None
    credential_id: CredentialId | None = None
    """A signature: the pinned one, as of an authentication of a user. A registration: the one made,
    once completed."""
    user_name: str | None = field(default=None, repr=False)
    device_name: str | None = field(default=None, repr=False)
    enable: bool = True
    on_behalf_of: OnBehalfOf | None = None
    previous: TransactionId | None = None
    """Whose artifact it appends a signature to."""
    metadata: Mapping[str, Any] = field(factory=dict)
    signature: SignatureResult | None = None
    error: Problem | None = None
    partial: bool = False
    ended_at: datetime | None = None

    @property
    def assurance(self) -> str | None:
        """How an authentication proves who is there: ``certificate`` where the pinned credential's
        key signs a challenge, ``platform`` where only the platform's word stands for it; None for
        what is no authentication."""
        if self.kind is not Kind.AUTHENTICATION:
            return None
        return "certificate" if self.credential_id is not None else "platform"

    @property
    def open_challenges(self) -> tuple[Challenge, ...]:
        """Those whose answer may still decide."""
        return tuple(c for c in self.challenges if c.status.open)

    @property
    def tickets(self) -> int:
        """How many tickets it takes, one after another, until every document is signed."""
        return max((d.ticket for d in self.documents), default=0) + 1

    @property
    def ticket(self) -> int:
        """The one that is asked now, from 0; once ended, the last one that was asked."""
        return max((c.ticket for c in self.challenges), default=0)

    def documents_of(self, ticket: int) -> tuple[Document, ...]:
        """What one confirmation on that ticket signs, in order."""
        return tuple(d for d in self.documents if d.ticket == ticket)

    def challenges_of(self, ticket: int) -> tuple[Challenge, ...]:
        """The ways in which the phone was asked for that ticket's documents."""
        return tuple(c for c in self.challenges if c.ticket == ticket)

    def challenge(self, challenge_id: ChallengeId) -> Challenge:
        """By id. Raises ``KeyError``."""
        for challenge in self.challenges:
            if challenge.id == challenge_id:
                return challenge
        raise KeyError(challenge_id)


# -- what upstreams are asked and answer -------------------------------------------------------


@frozen(kw_only=True)
class Begin:
    """One request to ring a phone (or show a code, or send the browser away).

    Attributes:
        messages: What one confirmation covers, in order; at most `Upstream.max_messages`.
        presence: Ask only whether the holder is there, with no ``messages``: the proof is
            `HolderPresent`. Without it, no messages are a mistake and not a weaker question.
        device_name: None means every bound device; only a push of at most one message knows it.
    """

    service_provider: ServiceProvider
    upstream_transaction_id: str
    channel: Channel
    id_number: IdNumber
    hint: str
    time_limit: int
    messages: tuple[Tbs, ...]
    device_name: str | None = None
    presence: bool = False


@frozen(kw_only=True)
class Begun:
    """The platform made a ticket, and everything about it was verified."""

    handle: Handle


@frozen(kw_only=True)
class StartUnknown:
    """The request may have arrived and no answer came: the phone may have rung."""

    detail: str


@frozen
class Pending:
    """The platform says: not finished yet."""


@frozen
class Refused:
    """The holder refused."""

    problem: Problem


@frozen
class Lapsed:
    """The platform says that the ticket has expired; ``unsigned``: nothing spoke for that."""

    unsigned: bool = False


@frozen(kw_only=True)
class Fault:
    """A code, a broken line, or an answer that is not authentic.

    ``problem.what_helps`` says what follows: ``retry`` is "not yet" while polling, ``fail`` a
    verification failure. ``spoke`` is True where the platform itself named a code.
    ``retry_after``: seconds, where the platform asked for patience.
    """

    problem: Problem
    spoke: bool
    retry_after: float | None = None


@frozen(kw_only=True)
class CertificateSignature:
    """The holder's key covered our messages, or so the (authentic) answer claims: to be judged.

    ``signatures`` are in the order of the messages. ``raw`` is the reply as it came, kept as
    evidence. Nothing here is verified against the messages or a chain yet. ``hashed_id_num`` is
    None only where the answer named the ID number itself, and the upstream found it to be the
    expected one (`Channel.REDIRECT`).
    """

    unverified_certificate: bytes = field(repr=False)
    unverified_signatures: tuple[bytes, ...] = field(repr=False)
    hashed_id_num: str | None = field(repr=False)
    raw: bytes = field(repr=False)


@frozen(kw_only=True)
class Assertion:
    """A passkey's assertion (a later protocol)."""

    credential_id: bytes
    raw: bytes = field(repr=False)


@frozen(kw_only=True)
class HolderPresent:
    """The platform's bare word that the holder confirmed (ATH): ``assurance: platform``.

    ``hashed_id_num`` is None as in `CertificateSignature`.
    """

    hashed_id_num: str | None = field(repr=False)
    raw: bytes = field(repr=False)


Proof = CertificateSignature | Assertion | HolderPresent


@frozen(kw_only=True)
class Approved:
    """The holder confirmed; the proof is still to be judged."""

    proof: Proof


Answer = Pending | Refused | Lapsed | Fault | Approved


@frozen(kw_only=True)
class DeviceStatus:
    """What the platform knows of a person's phones.

    Attributes:
        bound: Whether a device is bound.
        certificate_usable: Whether the mobile certificate can sign.
    """

    bound: bool
    certificate_usable: bool


@frozen(kw_only=True)
class Presentation:
    """What a browser needs to reach the phone: at most one member is set; push has none."""

    qr_payload: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    form: Mapping[str, Any] | None = field(default=None, repr=False)


# -- what judges are asked and answer ----------------------------------------------------------


@frozen(kw_only=True)
class Expected:
    """What a proof must show. All of it is ours, nothing of it arrived with the answer.

    ``pinned_public_key_sha256`` and ``pinned_certificate`` are None at registration only.
    """

    messages: tuple[Tbs, ...]
    last_four: str | None
    """None where nobody in particular is expected."""
    at: datetime
    hashed_id_num: str | None = field(default=None, repr=False)
    pinned_certificate: bytes | None = field(default=None, repr=False)
    user_name: str | None = field(default=None, repr=False)
    name_mismatch: str = "fail"
    renewal_accepted: bool = False
    """Whether a newer certificate of the registered person may stand in the pinned one's place."""


@frozen(kw_only=True)
class SubjectInfo:
    """What is read from a certificate."""

    subject_name: str = field(repr=False)
    issuer_name: str
    serial_number: str
    not_before: datetime
    not_after: datetime
    fingerprint_sha256: str
    public_key_sha256: str
    last_four: str | None


@frozen(kw_only=True)
class Verdict:
    """The judge's word: accepted exactly when ``problem`` is None. The report has every check."""

    problem: Problem | None
    report: tuple[Check, ...]
    subject: SubjectInfo | None = None
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    """DER, from the issuer of the leaf up, without the root."""
    renewed: bool = False
    """It is not the pinned certificate, but a newer one of the same person."""
    statuses: tuple[StatusSource, ...] = field(default=(), repr=False)
    """By what was known that nothing is revoked."""


# -- what formats are asked and make -----------------------------------------------------------


@frozen(kw_only=True)
class Seal:
    """Where a signature is to be seen: in the empty signature field of that name, or in a new one
    on that page.

    Attributes:
        field: Its full name; then nothing else is set.
        page: From 1.
        box: Left, bottom, right, top, in points from the page's lower left corner.
    """

    field: str | None = None
    page: int | None = None
    box: tuple[float, float, float, float] | None = None


@frozen(kw_only=True)
class SignContext:
    """What goes into a signature besides the document."""

    hint: str
    at: datetime
    certificate: bytes | None = field(default=None, repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    environment: str = "simulator"
    level: str | None = None
    statement: bool = False
    """True only for our own statements, which ``pkcs1`` refuses from a caller."""
    seal: Seal | None = None
    """Only for formats that can be seen; None draws nothing."""


@frozen(kw_only=True)
class Prepared:
    """The message that the key must cover, and what `Format.finish` will need; goes into a blob."""

    message: Tbs
    state: bytes = field(repr=False)


@frozen(kw_only=True)
class Artifact:
    """The signed thing as others check it."""

    data: bytes = field(repr=False)
    media_type: str
    filename_extension: str


# -- records -----------------------------------------------------------------------------------


@frozen(kw_only=True)
class IdempotencyRecord:
    """That a key was used; ``body_mac`` is a keyed MAC, no body is kept."""

    tenant: TenantId
    method: str
    path: str
    key: str
    body_mac: bytes
    transaction_id: TransactionId
    created_at: datetime


@frozen(kw_only=True)
class AuditRecord:
    """One line of the audit record. ``data``: JSON types, no personal data in clear."""

    at: datetime
    action: str
    """Dotted: ``transaction.created``, ``challenge.fault``, ``transaction.late_answer`` …"""
    actor: str
    """``key:<id>``, ``browser``, ``worker``, ``cli``."""
    transaction_id: TransactionId | None = None
    data: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class OutboxMessage:
    """One event for the tenant, in the feed and (where an endpoint is set) to be delivered.

    ``id`` is the ``webhook-id`` (``evt_…``, time-ordered); ``sequence`` orders the feed and is
    set by the store. ``body`` is the JSON that is sent, byte for byte, at every attempt.
    """

    id: str
    tenant: TenantId
    type: str
    transaction_id: TransactionId | None
    body: bytes
    created_at: datetime
    sequence: int = 0
    attempts: int = 0
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None
    parked_at: datetime | None = None
    last_error: str | None = None
