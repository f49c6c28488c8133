"""Every store behind one fixture, and makers of everything that is stored."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from moica_gateway.domain.audit import AuditHead
from moica_gateway.domain.brakes import PersonBrake, RequestCount, RequestCounts
from moica_gateway.domain.models import (
    ApiKey,
    AuditRecord,
    Challenge,
    ChallengeStatus,
    Channel,
    Check,
    Credential,
    CredentialStatus,
    CredentialType,
    Document,
    Handle,
    IdempotencyRecord,
    Kind,
    OnBehalfOf,
    OutboxMessage,
    Person,
    Scope,
    ServiceProvider,
    SignatureResult,
    SpKey,
    Status,
    Tenant,
    Transaction,
    UserBinding,
    WebhookEndpoint,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import (
    BlobId,
    ChallengeId,
    CredentialId,
    DocumentId,
    IdNumber,
    PersonId,
    Secret,
    TenantId,
    TransactionId,
)
from moica_gateway.errors import problem
from moica_gateway.ports import Store, TransactionFilter
from moica_gateway.stores import SqlStore, migrate, open_store
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.random import SeededRandom
from moica_gateway.testing.store import MemoryStore
from tests.postgres import PostgresServer, postgres_or_skip

OURS = TenantId("ours")
THEIRS = TenantId("theirs")
MASTER_KEY = Secret(bytes(range(32)))


@frozen
class Make:
    """Makes models; everything personal in them is text that a search of the file would find."""

    now: datetime
    ours: TenantId = OURS
    theirs: TenantId = THEIRS
    certificate: bytes = b"\x30\x82CERTIFICATE-DER-" + bytes(range(64))
    issuer: bytes = b"\x30\x82ISSUER-DER-" + bytes(range(64))
    aes_key: bytes = b"AES-KEY-OF-THE-SERVICE-PROVIDER!"
    webhook_secret: bytes = b"WEBHOOK-SECRET-OF-32-BYTES------"
    ticket: str = "TICKET.eyJzcF90aWNrZXRfaWQ.signed"
    hashed_id_num: str = "HASHED-ID-NUM-OF-THE-PLATFORM"

    def id_number(self, n: int = 0) -> IdNumber:
        """The well-known sample number, and others with a right check digit."""
        if n == 0:
            return IdNumber.parse("A123456789")
        for digit in range(10):
            try:
                return IdNumber.parse(f"B1{n:07d}{digit}")
            except Exception:  # noqa: BLE001, S112 - ten tries, one fits
                continue
        raise AssertionError("no check digit fits")

    def tenant(self, tenant: TenantId | None = None) -> Tenant:
        return Tenant(
            id=tenant or self.ours,
            name="國立示範大學",
            created_at=self.now,
            policy=TenantPolicy(
                time_limit_max=300, brand="示範", return_origins=("https://a.test",)
            ),
            service_provider=ServiceProvider(
                sp_service_id="00000000-0000-4000-8000-000000000001",
                keys=(
                    SpKey(id="k2", key=Secret(self.aes_key), current=True),
                    SpKey(id="k1", key=Secret(self.aes_key[::-1]), current=False),
                ),
            ),
        )

    def api_key(self, n: int = 1, tenant: TenantId | None = None) -> ApiKey:
        return ApiKey(
            id=f"key_{n}",
            tenant=tenant or self.ours,
            name="公文系統",
            key_hash=hashlib.sha256(f"{tenant}{n}".encode()).digest(),
            scopes=frozenset({Scope.SIGN, Scope.READ}),
            test=False,
            created_at=self.now,
        )

    def endpoint(self, n: int = 1, tenant: TenantId | None = None) -> WebhookEndpoint:
        return WebhookEndpoint(
            id=f"whe_{n}",
            tenant=tenant or self.ours,
            url="https://docs.example.test/hooks",
            secrets=(Secret(self.webhook_secret), Secret(b"older")),
            created_at=self.now,
        )

    def person(self, n: int = 0, tenant: TenantId | None = None) -> Person:
        return Person(
            id=PersonId(f"per_{n}"),
            tenant=tenant or self.ours,
            id_number=self.id_number(n),
            created_at=self.now,
            hashed_id_num=self.hashed_id_num,
        )

    def binding(self, n: int = 0, tenant: TenantId | None = None) -> UserBinding:
        return UserBinding(
            tenant=tenant or self.ours,
            user_id=f"user{n}",
            person_id=PersonId(f"per_{n}"),
            bound_at=self.now,
        )

    def credential(
        self, n: int = 1, person: int = 0, tenant: TenantId | None = None, **changes: Any
    ) -> Credential:
        made = Credential(
            id=CredentialId(f"crd_{n}"),
            tenant=tenant or self.ours,
            user_id=f"user{person}",
            user_name="王大同",
            person_id=PersonId(f"per_{person}"),
            type=CredentialType.MOBILE_CITIZEN_CERTIFICATE,
            status=CredentialStatus.DISABLED,
            certificate=self.certificate,
            chain=(self.issuer,),
            issuer_name="內政部憑證管理中心",
            serial_number="1f2e",
            not_before=self.now,
            not_after=self.now + timedelta(days=365),
            subject_name="C=TW,CN=王大同,serialNumber=0000000012346789",
            id_number_masked="******6789",
            fingerprint_sha256=hashlib.sha256(f"cert{n}".encode()).hexdigest(),
            public_key_sha256=hashlib.sha256(f"key{n}".encode()).hexdigest(),
            created_at=self.now + timedelta(seconds=n),
            updated_at=self.now,
        )
        return evolve(made, **changes)

    def document(self, n: int = 1) -> Document:
        return Document(
            id=DocumentId(f"doc_{n}"),
            number=f"115300016{n}",
            sha256="ab" * 32,
            title="關於人事異動之秘密主旨",
            media_type="application/pdf",
            content=BlobId(f"blb_{n}"),
        )

    def challenge(self, n: int = 1, *, handle: bool = True) -> Challenge:
        return Challenge(
            id=ChallengeId(f"chl_{n}"),
            channel=Channel.PUSH,
            status=ChallengeStatus.SENT if handle else ChallengeStatus.STARTING,
            upstream_transaction_id=f"00000000-0000-4000-8000-{n:012d}",
            time_limit=60,
            created_at=self.now,
            expires_at=self.now + timedelta(seconds=60),
            sp_key_id="k2",
            handle=Handle(
                transaction_id=f"00000000-0000-4000-8000-{n:012d}",
                ticket=self.ticket,
                ticket_id="TICKET-ID",
                sp_key_id="k2",
                sent_checksums=("CHECKSUM-1", "CHECKSUM-2"),
                hashed_id_num=self.hashed_id_num,
                extra={"poll": {"seen": [1, 2]}},
            )
            if handle
            else None,
        )

    def transaction(
        self, n: int = 1, person: int = 0, tenant: TenantId | None = None, **changes: Any
    ) -> Transaction:
        made = Transaction(
            id=TransactionId(f"txn_{n:04d}"),
            tenant=tenant or self.ours,
            version=1,
            kind=Kind.SIGNATURE,
            status=Status.PENDING,
            created_at=self.now + timedelta(seconds=n),
            expires_at=self.now + timedelta(seconds=60),
            user_id=f"user{person}",
            person_id=PersonId(f"per_{person}"),
            match_code="42",
            hint="配對碼 42 簽署公文 1153000161",
            documents=(self.document(1), self.document(2)),
            challenges=(self.challenge(n),),
            policy=TenantPolicy(brand="示範"),
            time_limit=60,
            format="cades",
            level="B-B",
            credential_id=CredentialId("crd_1"),
            user_name="王大同",
            device_name="我的手機",
            on_behalf_of=OnBehalfOf(user_id="chief", reason="主管出差"),
            metadata={"draft": "草稿", "n": [1, {"a": None}]},
        )
        return evolve(made, **changes)

    def ended(self, transaction: Transaction, status: Status = Status.COMPLETED) -> Transaction:
        return evolve(
            transaction,
            version=transaction.version + 1,
            status=status,
            ended_at=self.now + timedelta(seconds=30),
            challenges=tuple(
                evolve(
                    c,
                    status=ChallengeStatus.APPROVED,
                    problem=problem("expired", "expected an answer, came none"),
                    return_url="https://a.test/back?session=SESSION-OF-THE-BROWSER",
                )
                for c in transaction.challenges
            ),
            documents=tuple(evolve(d, status=status) for d in transaction.documents),
            signature=SignatureResult(
                certificate=self.certificate,
                signed_at=self.now,
                report=(Check(name="signature", passed=True, detail="covers our bytes"),),
            ),
            error=problem("cancelled", "expected nothing", upstream_code="20002", open="txn"),
        )

    def idempotency(self, key: str = "abc", tenant: TenantId | None = None) -> IdempotencyRecord:
        return IdempotencyRecord(
            tenant=tenant or self.ours,
            method="POST",
            path="/v1/signatures",
            key=key,
            body_mac=b"m" * 32,
            transaction_id=TransactionId("txn_0001"),
            created_at=self.now,
        )

    def brake(self, requests: int = 1, **changes: Any) -> PersonBrake:
        count = RequestCount(started_at=self.now, requests=requests)
        return evolve(PersonBrake(count=count, misses=2, missed_at=self.now), **changes)

    def counts(self, requests: int = 1) -> RequestCounts:
        count = RequestCount(started_at=self.now, requests=requests)
        return RequestCounts(tenant=count, gateway=evolve(count, requests=requests + 1))

    def audit(self, action: str = "transaction.created", transaction: str | None = None) -> Any:
        return AuditRecord(
            at=self.now,
            action=action,
            actor="key:key_1",
            transaction_id=None if transaction is None else TransactionId(transaction),
            data={"status": "pending", "numbers": ["1153000161"]},
        )

    def audit_head(self, tenant: TenantId | None = None, position: int = 1) -> AuditHead:
        return AuditHead(
            tenant=tenant or self.ours,
            position=position,
            hash=b"1" * 32,
            at=self.now,
            public_key=b"k" * 32,
            signature=b"s" * 64,
        )

    def message(
        self,
        n: int = 1,
        transaction: str | None = "txn_0001",
        tenant: TenantId | None = None,
        **changes: Any,
    ) -> OutboxMessage:
        made = OutboxMessage(
            id=f"evt_{n}",
            tenant=tenant or self.ours,
            type="signature.completed",
            transaction_id=None if transaction is None else TransactionId(transaction),
            body=b'{"type":"BODY-OF-AN-EVENT"}',
            created_at=self.now,
            next_attempt_at=self.now,
        )
        return evolve(made, **changes)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def make(clock: FrozenClock) -> Make:
    return Make(clock.now())


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Contents of databases that many tests begin with; made once."""
    file = tmp_path_factory.mktemp("templates") / "gateway.db"
    migrate(f"sqlite:///{file}")
    return {"migrated": file.read_bytes()}


@pytest.fixture
def url(tmp_path: Path, templates: dict[str, bytes]) -> str:
    """A migrated database."""
    file = tmp_path / "gateway.db"
    file.touch(mode=0o600)
    file.write_bytes(templates["migrated"])
    return f"sqlite:///{file}"


OpenStore = Callable[..., AbstractAsyncContextManager[SqlStore]]


@pytest.fixture
def opened(url: str, clock: FrozenClock) -> OpenStore:
    """Opens the database, as often as wanted; two tenants and two people are there."""
    seeds = iter(range(1, 1000))

    @asynccontextmanager
    async def open_it(master_key: Secret = MASTER_KEY) -> AsyncIterator[SqlStore]:
        random = SeededRandom(next(seeds))
        async with open_store(url, master_key=master_key, clock=clock, random=random) as store:
            yield store

    return open_it


async def seed(store: Store, make: Make) -> None:
    """Two tenants, with the same two people in each."""

    def work(unit: Any) -> None:
        for tenant in (make.ours, make.theirs):
            unit.save_tenant(make.tenant(tenant))
            for n in (0, 1):
                unit.save_person(make.person(n, tenant))

    await store.write(work)


@pytest.fixture
async def sqlite(opened: OpenStore, make: Make) -> AsyncIterator[SqlStore]:
    async with opened() as store:
        await seed(store, make)
        yield store


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; skips where there is none."""
    yield from postgres_or_skip()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(
    request: pytest.FixtureRequest, clock: FrozenClock, make: Make
) -> AsyncIterator[Store]:
    """Each test that takes it runs over the double and over both engines."""
    if request.param == "memory":
        memory = MemoryStore(clock)
        await seed(memory, make)
        yield memory
    else:
        if request.param == "sqlite":
            url = request.getfixturevalue("url")
        else:
            server = request.getfixturevalue("server")
            url = server.shared()
        random = SeededRandom(7)
        async with open_store(url, master_key=MASTER_KEY, clock=clock, random=random) as real:
            await seed(real, make)
            yield real


def fill_everything(unit: Any, make: Make) -> None:
    """At least two rows in every table that holds something sealed, for one person and for two."""
    for n in (1, 2):
        unit.save_api_key(make.api_key(n))
        unit.save_webhook_endpoint(make.endpoint(n))
        unit.save_credential(make.credential(n))
        unit.add_transaction(make.transaction(n, status=Status.CANCELLED))
        unit.save_transaction(make.ended(make.transaction(n)))
        unit.add_outbox(make.message(n))
        unit.blobs.put(make.ours, BlobId(f"blb_{n}"), f"CONTENT-OF-BLOB-{n}".encode())
        unit.save_user_binding(make.binding(n - 1))
        unit.audit(make.ours, make.audit())
    unit.add_idempotency(make.idempotency())
    unit.add_transaction(make.transaction(3, person=1))
    unit.save_webhook_endpoint(make.endpoint(1, make.theirs))
    unit.save_credential(make.credential(1, tenant=make.theirs))
    unit.add_transaction(make.transaction(1, tenant=make.theirs))
    unit.add_outbox(make.message(1, tenant=make.theirs))
    unit.blobs.put(make.theirs, BlobId("blb_1"), b"CONTENT-OF-THEIR-BLOB")


def load_everything(unit: Any, make: Make) -> None:
    """Reads every row that `fill_everything` made."""
    unit.tenants()
    for tenant in (make.ours, make.theirs):
        unit.api_keys(tenant)
        unit.webhook_endpoints(tenant)
        for n in (0, 1):
            unit.person(tenant, PersonId(f"per_{n}"))
            unit.bindings_of_person(tenant, PersonId(f"per_{n}"))
            unit.user_binding(tenant, f"user{n}")
            unit.credentials(tenant, f"user{n}")
        unit.transactions(tenant, TransactionFilter(), limit=99, cursor=None)
        unit.outbox_after(tenant, "", 99)
        for n in (1, 2):
            unit.credential(tenant, CredentialId(f"crd_{n}"))
            with contextlib.suppress(KeyError):
                unit.blobs.get(tenant, BlobId(f"blb_{n}"))


@pytest.fixture
async def filled(url: str, opened: OpenStore, make: Make, templates: dict[str, bytes]) -> Path:
    """The file of a database in which everything is stored; the store is closed."""
    file = Path(url.removeprefix("sqlite:///"))
    if "filled" not in templates:
        async with opened() as store:
            await seed(store, make)
            await store.write(lambda u: fill_everything(u, make))
            await store.read(lambda u: load_everything(u, make))
    _keep_or_restore(file, templates)
    return file


def _keep_or_restore(file: Path, templates: dict[str, bytes]) -> None:
    if "filled" in templates:
        file.write_bytes(templates["filled"])
    else:
        assert not list(file.parent.glob("*-wal")), "closing the store empties its log"
        templates["filled"] = file.read_bytes()


@pytest.fixture
def load_all(opened: OpenStore, make: Make) -> Callable[[], Awaitable[None]]:
    """Opens the store anew and reads every row."""

    async def load() -> None:
        async with opened() as store:
            await store.read(lambda u: load_everything(u, make))

    return load
