"""What the services need from outside, on one page. Every port has a public double in ``testing``.

``Store.write`` runs a plain function against a unit of work. The store may run it in a thread
and puts many such functions into one commit, each inside its own savepoint: the function must be
quick, must not wait for anything, may be run again after a lost race, and what it raises undoes
only itself.
When ``write`` returns, what it wrote is durable.

Every method takes the tenant; ``ALL_TENANTS`` is for workers only. A row of another tenant is not
found. Methods return frozen models with personal data already decrypted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from typing import Final, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from attrs import field, frozen

from moica_gateway.domain.audit import AuditEntry, AuditHead
from moica_gateway.domain.brakes import PersonBrake, RequestCounts
from moica_gateway.domain.models import (
    Answer,
    ApiKey,
    Artifact,
    AuditRecord,
    Begin,
    Begun,
    CertificateSignature,
    Challenge,
    Channel,
    Credential,
    DeviceStatus,
    Document,
    Expected,
    Fault,
    Handle,
    IdempotencyRecord,
    Kind,
    OutboxMessage,
    Person,
    Prepared,
    Presentation,
    ServiceProvider,
    SignContext,
    StartUnknown,
    Status,
    SubjectInfo,
    Tenant,
    Transaction,
    UserBinding,
    Verdict,
    WebhookEndpoint,
)
from moica_gateway.domain.readings import FoundSignature, GivenContent, ValidationMaterial
from moica_gateway.domain.revocation_lists import ListHead
from moica_gateway.domain.values import (
    BlobId,
    CredentialId,
    IdNumber,
    PersonId,
    Tbs,
    TenantId,
    TransactionId,
)

__all__ = [
    "ALL_TENANTS",
    "AllTenants",
    "Blobs",
    "Clock",
    "Delivered",
    "DeliveryFailed",
    "Egress",
    "EgressError",
    "EgressReply",
    "EventBus",
    "Format",
    "Judge",
    "LevelFormat",
    "Outlet",
    "Page",
    "Random",
    "Seals",
    "SignatureReader",
    "Store",
    "Subscription",
    "Timestamper",
    "TransactionFilter",
    "UnitOfWork",
    "Upstream",
    "Workshop",
]

T = TypeVar("T")


class AllTenants:
    """The type of `ALL_TENANTS`."""


ALL_TENANTS: Final = AllTenants()


class Clock(Protocol):
    """Time, handed in."""

    def now(self) -> datetime:
        """Aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; all waiting is counted in them."""

    async def sleep(self, seconds: float) -> None:
        """Wait; may be cancelled."""


class Random(Protocol):
    """Randomness, handed in; cryptographically secure in the running gateway."""

    def token_bytes(self, count: int) -> bytes:
        """``count`` random bytes."""

    def uuid4(self) -> UUID:
        """A random UUID."""

    def below(self, limit: int) -> int:
        """Uniform in ``0 <= n < limit``."""


class Seals(Protocol):
    """Keyed functions under keys that are derived from the master key and never in the database."""

    def lookup_hash(self, tenant: TenantId, purpose: str, value: str) -> bytes:
        """32 bytes; equal for equal arguments; for finding a person by ID number and the like."""

    def mac(self, purpose: str, data: bytes) -> bytes:
        """32 bytes; for browser tokens, idempotency bodies, API keys, cursors."""

    @property
    def public_key(self) -> bytes:
        """Ed25519, 32 bytes: of `sign`."""

    def sign(self, data: bytes) -> bytes:
        """Ed25519, 64 bytes: for heads of the audit record."""

    def signed_by(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        """Whether that Ed25519 key has signed these bytes."""


# -- storage -----------------------------------------------------------------------------------


@frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a list; ``next_cursor`` is None on the last."""

    items: tuple[T, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
class TransactionFilter:
    """All that are set must hold."""

    user_id: str | None = None
    document_number: str | None = None
    status: Status | None = None
    kind: Kind | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None


class Blobs(Protocol):
    """Content, prepared bytes and artifacts: encrypted at rest, never held while a phone rings."""

    def put(self, tenant: TenantId, blob_id: BlobId, data: bytes) -> None:
        """Store under a new id."""

    def get(self, tenant: TenantId, blob_id: BlobId) -> bytes:
        """The bytes. Raises ``KeyError`` when unknown, ``VerificationError`` when tampered with."""

    def delete(self, tenant: TenantId, blob_id: BlobId) -> None:
        """Forget; unknown ids are no error."""


class UnitOfWork(Protocol):
    """Everything that one function may read and write inside one commit."""

    @property
    def blobs(self) -> Blobs:
        """Blobs of the same commit."""

    # transactions
    def add_transaction(self, transaction: Transaction) -> None:
        """A new row, with its documents and challenges."""

    def save_transaction(self, transaction: Transaction) -> None:
        """Replace the row of ``version - 1`` (or the same version). Raises ``RuntimeError`` when
        the stored version is another: somebody wrote without reading in the same unit of work."""

    def transaction(self, tenant: TenantId, transaction_id: TransactionId) -> Transaction | None:
        """By id."""

    def transactions(
        self, tenant: TenantId, where: TransactionFilter, *, limit: int, cursor: str | None
    ) -> Page[Transaction]:
        """Newest first. Raises ``RequestError`` ``request_invalid`` for a cursor not ours."""

    def challenge_by_upstream_id(
        self, tenant: TenantId, upstream_transaction_id: str
    ) -> tuple[Transaction, Challenge] | None:
        """The challenge that was given that id towards the platform, and its transaction."""

    def open_transaction_of(self, tenant: TenantId, person_id: PersonId) -> Transaction | None:
        """The pending transaction of that person."""

    def pending_transactions(
        self,
        tenant: TenantId | AllTenants,
        *,
        document_number: str | None = None,
        credential_id: CredentialId | None = None,
    ) -> Sequence[Transaction]:
        """All that are pending: for the poller after a restart, recall, a disabled credential."""

    def watched_transactions(self, tenant: AllTenants, now: datetime) -> Sequence[Transaction]:
        """Ended ones with a ticket that has not lapsed yet (``expires_at`` of a challenge with a
        handle later than ``now``): an approval that still comes is recorded."""

    # tenants, keys, endpoints
    def tenant(self, tenant: TenantId) -> Tenant | None:
        """With its service provider and keys."""

    def tenants(self) -> Sequence[Tenant]:
        """All of them."""

    def save_tenant(self, tenant: Tenant) -> None:
        """Insert or replace, keys included."""

    def api_key_by_hash(self, key_hash: bytes) -> ApiKey | None:
        """The one look-up without a tenant: it finds the tenant."""

    def api_keys(self, tenant: TenantId) -> Sequence[ApiKey]:
        """All of a tenant, revoked ones too."""

    def save_api_key(self, key: ApiKey) -> None:
        """Insert or replace."""

    def webhook_endpoints(self, tenant: TenantId) -> Sequence[WebhookEndpoint]:
        """All of a tenant, disabled ones too."""

    def save_webhook_endpoint(self, endpoint: WebhookEndpoint) -> None:
        """Insert or replace."""

    # people, credentials
    def person(self, tenant: TenantId, person_id: PersonId) -> Person | None:
        """By id; None also when erased."""

    def person_by_id_number(self, tenant: TenantId, id_number: IdNumber) -> Person | None:
        """By keyed hash."""

    def save_person(self, person: Person) -> None:
        """Insert (with a fresh key of its own) or replace."""

    def unbound_persons(
        self, tenant: AllTenants, before: datetime, *, limit: int
    ) -> Sequence[tuple[TenantId, PersonId]]:
        """Not erased, older than that moment, without user and credential, and without a
        transaction that is pending or ended at or after it."""

    def erase_person(self, tenant: TenantId, person_id: PersonId) -> None:
        """Destroy the person's key: ID number and everything sealed under it is gone for good."""

    def user_binding(self, tenant: TenantId, user_id: str) -> UserBinding | None:
        """Whose ID number a user is bound to."""

    def bindings_of_person(self, tenant: TenantId, person_id: PersonId) -> Sequence[UserBinding]:
        """Which users are bound to that person (at most one, else somebody meddled)."""

    def save_user_binding(self, binding: UserBinding) -> None:
        """Insert; an equal one is no error."""

    def delete_user_binding(self, tenant: TenantId, user_id: str) -> None:
        """Forget; unknown is no error."""

    def credential(self, tenant: TenantId, credential_id: CredentialId) -> Credential | None:
        """By id."""

    def credentials(self, tenant: TenantId, user_id: str) -> Sequence[Credential]:
        """Of a user, oldest first."""

    def enabled_credential(self, tenant: TenantId, user_id: str) -> Credential | None:
        """The one that signs."""

    def credential_by_fingerprint(
        self, tenant: TenantId, user_id: str, fingerprint_sha256: str
    ) -> Credential | None:
        """The same certificate registered before."""

    def save_credential(self, credential: Credential) -> None:
        """Insert or replace."""

    def delete_credential(self, tenant: TenantId, credential_id: CredentialId) -> None:
        """Forget; unknown is no error."""

    # idempotency
    def idempotency(
        self, tenant: TenantId, method: str, path: str, key: str
    ) -> IdempotencyRecord | None:
        """The record of that key, if it is not older than the store's retention."""

    def add_idempotency(self, record: IdempotencyRecord) -> None:
        """A new row."""

    def delete_idempotency_before(self, tenant: AllTenants, before: datetime) -> int:
        """Housekeeping; returns how many went."""

    # brakes: what is read here is the present state, and nobody else changes it before the commit
    def person_brake(self, tenant: TenantId, person_id: PersonId) -> PersonBrake | None:
        """What is remembered of the person, if anything is."""

    def save_person_brake(
        self, tenant: TenantId, person_id: PersonId, brake: PersonBrake | None
    ) -> None:
        """Insert or replace; None forgets."""

    def delete_person_brakes_before(self, tenant: AllTenants, before: datetime) -> int:
        """Housekeeping: those with nothing at or after that moment; returns how many went."""

    def request_counts(self, tenant: TenantId) -> RequestCounts:
        """The tenant's own, and the one over all tenants."""

    def save_request_counts(self, tenant: TenantId, counts: RequestCounts) -> None:
        """Insert or replace those that are given."""

    # identity queries: which ID numbers a tenant asked about on one day, by keyed hash
    def identity_queries(self, tenant: TenantId, day: date) -> int:
        """How many distinct ones that day."""

    def add_identity_query(self, tenant: TenantId, day: date, id_number: IdNumber) -> bool:
        """Remember one; False when it is counted for that day already."""

    def delete_identity_queries_before(self, tenant: AllTenants, day: date) -> int:
        """Housekeeping: those of earlier days; returns how many went."""

    # revocation lists: of no tenant, public, checked again by whoever reads them
    def revocation_lists(self) -> Sequence[ListHead]:
        """Of all that are kept, without their bytes."""

    def revocation_list(self, issuer: str, scope: str) -> bytes | None:
        """The bytes of one."""

    def save_revocation_list(self, head: ListHead, body: bytes) -> bool:
        """Insert or replace; False, and nothing is changed, when that is newer than this one."""

    def delete_revocation_list(self, issuer: str, scope: str) -> None:
        """Forget; unknown is no error."""

    # audit, outbox
    def audit(self, tenant: TenantId, record: AuditRecord) -> None:
        """Append, unchained but authenticated; a sealer chains later. Raises ``ValueError`` for
        data that has no canonical form (`moica_gateway.domain.audit`)."""

    def audit_records(
        self, tenant: TenantId, *, transaction_id: TransactionId | None = None, limit: int = 1000
    ) -> Sequence[AuditRecord]:
        """In the order of writing."""

    def audit_tenants(self) -> Sequence[TenantId]:
        """Whose chains there are; also of whom there is no tenant."""

    def audit_entries(self, tenant: TenantId, after: int, limit: int) -> Sequence[AuditEntry]:
        """In the order of their sequence, with a higher one than ``after``. Raises nothing for a
        row that cannot be read."""

    def audit_entries_of(
        self, tenant: TenantId, transaction_id: TransactionId
    ) -> Sequence[AuditEntry]:
        """All of a transaction, in the order of their sequence. Raises ``VerificationError`` where
        one cannot be read."""

    def audit_entry_at(self, tenant: TenantId, position: int) -> AuditEntry | None:
        """By its position in the chain. Raises ``VerificationError`` where it cannot be read."""

    def seal_audit(self, tenant: TenantId, sealed: Mapping[int, tuple[int, bytes]]) -> None:
        """Give positions and hashes, by sequence; once and for all."""

    def last_audit_head(self, tenant: TenantId, *, before: int | None = None) -> AuditHead | None:
        """The newest one, or the newest before that position; unverified. Raises
        ``VerificationError`` where it cannot be read."""

    def audit_heads(self, tenant: TenantId, after: int, limit: int) -> Sequence[AuditHead]:
        """Unverified, in the order of their positions, behind the position ``after``. Raises
        ``VerificationError`` where one cannot be read."""

    def add_audit_head(self, head: AuditHead) -> None:
        """A new one."""

    def add_outbox(self, message: OutboxMessage) -> None:
        """Append; the store gives the sequence."""

    def due_outbox(
        self, tenant: TenantId | AllTenants, now: datetime, limit: int
    ) -> Sequence[OutboxMessage]:
        """Undelivered, not parked, due; of each transaction only the earliest undelivered one, so
        that a transaction's events stay in order. Earliest due first."""

    def waiting_outbox(self, tenant: TenantId, limit: int) -> Sequence[OutboxMessage]:
        """Undelivered, not parked, due or not, in the order of their sequence."""

    def next_outbox_due(self, tenant: AllTenants) -> datetime | None:
        """When the next one is due; None when nothing waits."""

    def save_outbox(self, message: OutboxMessage) -> None:
        """Replace delivery state."""

    def outbox_after(self, tenant: TenantId, after: str, limit: int) -> Page[OutboxMessage]:
        """The feed, oldest first; ``after`` empty is the beginning. ``next_cursor`` is always the
        cursor after the last item (or ``after`` itself where there is none), so that a reader goes
        on from it. Raises ``RequestError`` for a cursor that is not ours."""


class Store(Protocol):
    """Durable state."""

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run inside a grouped commit; returns once durable.

        Raises:
            ConfigurationError: ``storage_unavailable`` when nothing was committed.
            Exception: whatever ``work`` raised; nothing of it was written.
        """

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run against one consistent snapshot of committed state; writing raises."""

    async def ready(self) -> bool:
        """Whether a write would work now."""


# -- phones ------------------------------------------------------------------------------------


class Upstream(Protocol):
    """A protocol by which a phone is asked and answers. Returns only what is authentic."""

    name: str
    channels: frozenset[Channel]
    poll_interval: float
    """Seconds between two polls of one ticket, counted from the last answer."""
    max_messages: int
    """How many messages one ticket takes; more are several tickets."""

    def accepts(self, messages: Sequence[Tbs]) -> None:
        """Whether these messages can be asked for with one ticket; raises ``RequestError``
        ``document_too_large``, ``format_unsupported`` or ``request_invalid`` otherwise, before
        anything is written."""

    async def begin(self, request: Begin) -> Begun | Fault | StartUnknown:
        """Ask once; never repeats by itself. Raises nothing but ``CancelledError``."""

    async def poll(self, handle: Handle, service_provider: ServiceProvider) -> Answer:
        """Ask for the result; `Pending`, without asking, where it is received and not polled.
        Raises nothing but ``CancelledError``."""

    def claimed_transaction_id(self, unverified: bytes) -> str:
        """Which ``upstream_transaction_id`` the body of a callback says that it is about, to find
        the challenge by; anyone may have written it. Raises ``RequestError``
        ``request_malformed`` for a body that `receive` would not read."""

    def receive(
        self, handle: Handle, service_provider: ServiceProvider, unverified: bytes
    ) -> Answer:
        """The body that a callback or a browser brought, as the same kind of answer. It may be
        brought again: the caller lets it count once. Raises nothing."""

    def shown(self, raw: bytes) -> bytes:
        """An answer as it came, as evidence may show it: without what finds the person. Raises
        nothing."""

    def presentation(
        self, handle: Handle, channel: Channel, return_url: str | None
    ) -> Presentation:
        """What the browser shows: QR payload, link or form."""

    async def device_status(
        self,
        service_provider: ServiceProvider,
        id_number: IdNumber,
        upstream_transaction_id: str,
    ) -> DeviceStatus | Fault:
        """What the platform knows of a person's phones, under a fresh UUIDv4 of its own. A person
        without a phone may be a `Fault` ``device_not_bound``. Raises nothing but
        ``CancelledError``."""


# -- trust and formats -------------------------------------------------------------------------


class Judge(Protocol):
    """May we believe this? One verdict with every check kept apart."""

    async def judge(self, proof: CertificateSignature, expected: Expected) -> Verdict:
        """Raises nothing but ``CancelledError``: trouble is a verdict with a problem."""

    def describe(self, certificate: bytes) -> SubjectInfo:
        """What a DER certificate says. Raises ``VerificationError`` ``certificate_malformed``."""


class Format(Protocol):
    """One kind of signed thing."""

    name: str
    levels: tuple[str, ...]
    """Empty where the format has none."""
    needs_content: bool
    binds_certificate: bool
    """Whether the signer's certificate stands inside what is signed."""
    parses: bool
    """Whether it takes apart what a stranger wrote: then it is called through a `Workshop` that
    can kill it, in a process of its own. Without, it hashes and assembles only."""

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        """The message that the key must cover.

        Raises:
            RequestError: content missing, too large, or itself something to be signed.
        """

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        """Assemble; ``signature`` was verified over ``prepared.message`` before."""


class Timestamper(Protocol):
    """A timestamp authority (RFC 3161), asked through the egress client, its answer verified."""

    async def timestamp(self, digest: bytes) -> bytes:
        """A DER ``TimeStampToken`` over a SHA-256 digest of 32 bytes.

        Raises:
            GatewayError: ``timestamp_unavailable`` for no answer, ``timestamp_invalid`` for a
                wrong one.
        """


class LevelFormat(Format, Protocol):
    """A format that has levels above B-B."""

    async def raise_level(
        self, artifact: bytes, level: str, timestamper: Timestamper, material: ValidationMaterial
    ) -> bytes:
        """The same signature at ``level``, each step in between included; a B-LTA that is given
        gets a further archive timestamp. What was signed stays byte for byte.

        Raises:
            GatewayError: of the timestamper; ``level_unreachable`` when the artifact or the
                material does not allow it.
        """


class SignatureReader(Protocol):
    """Takes artifacts of one format apart, ours and foreign ones; believes nothing."""

    name: str

    def recognises(self, data: bytes) -> bool:
        """By how it begins; cheap."""

    def read(self, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """Every signature, in the order in which they were made; at least one.

        Raises:
            RequestError: ``artifact_unreadable``: not this format, broken, or hostile.
        """


class Workshop(Protocol):
    """Where formats and readers work, by their names; whatever parses is kept away from the event
    loop and within limits of time and memory. All of them are called through it.

    Besides what the format raises, each method raises ``document_unreadable`` (`prepare`,
    `finish`) or ``artifact_unreadable`` (`raise_level`, `read`) for what broke the parser or ran
    over its limits, and ``internal_error`` where no process can be had.
    """

    async def prepare(
        self, name: str, document: Document, content: bytes | None, context: SignContext
    ) -> Prepared:
        """As `Format.prepare`."""

    async def finish(
        self, name: str, prepared: Prepared, signature: bytes, context: SignContext
    ) -> Artifact:
        """As `Format.finish`."""

    async def raise_level(
        self,
        name: str,
        artifact: bytes,
        level: str,
        timestamper: Timestamper,
        material: ValidationMaterial,
    ) -> bytes:
        """As `LevelFormat.raise_level`; ``name`` is a format that has levels."""

    async def read(self, name: str, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """As `SignatureReader.read`; ``name`` is the reader's."""


# -- who hears of it ---------------------------------------------------------------------------


class Subscription(Protocol):
    """Changes of one transaction."""

    async def changed(self, timeout: float) -> bool:  # noqa: ASYNC109 - counted on the handed-in clock
        """Wait until something was published since the last call, or the seconds are over."""


class EventBus(Protocol):
    """Tells waiting windows; carries no state, may tell once too often."""

    async def publish(self, tenant: TenantId, transaction_id: TransactionId) -> None:
        """After the commit, and only then."""

    def subscribe(
        self, tenant: TenantId, transaction_id: TransactionId
    ) -> AbstractAsyncContextManager[Subscription]:
        """Everything published from the entering on is heard."""


@frozen(kw_only=True)
class Delivered:
    """The receiver took it."""


@frozen(kw_only=True)
class DeliveryFailed:
    """It did not. ``disable``: the receiver said 410, the endpoint is to be switched off."""

    reason: str
    retry_after: float | None = None
    disable: bool = False


class Outlet(Protocol):
    """How results leave to a document system."""

    async def deliver(
        self, message: OutboxMessage, endpoint: WebhookEndpoint
    ) -> Delivered | DeliveryFailed:
        """One attempt. Raises nothing but ``CancelledError``."""


@frozen(kw_only=True)
class EgressReply:
    """A whole answer, read within the limits. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class EgressError(Exception):
    """No usable answer. ``maybe_sent`` is False only when the request surely never left."""

    def __init__(
        self,
        kind: Literal["address", "connect", "tls", "timeout", "reset", "too_large", "malformed"],
        detail: str,
        *,
        maybe_sent: bool,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.maybe_sent = maybe_sent


class Egress(Protocol):
    """The one way out: registered addresses, verified TLS, no redirects, no ambient proxy."""

    async def request(
        self,
        method: Literal["GET", "POST"],
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - a deadline for the whole exchange
        max_bytes: int = 1_048_576,
        ca_file: str | None = None,
    ) -> EgressReply:
        """One exchange. Raises `EgressError`, nothing else (but ``CancelledError``)."""
