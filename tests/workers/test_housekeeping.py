"""What the clock alone brings about: forgotten keys, announced and expired certificates."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.brakes import PersonBrake, RequestCount
from moica_gateway.domain.models import (
    Credential,
    CredentialStatus,
    CredentialType,
    IdempotencyRecord,
    Kind,
    OutboxMessage,
    Person,
    Status,
    Tenant,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import (
    CredentialId,
    IdNumber,
    PersonId,
    TenantId,
    TransactionId,
)
from moica_gateway.errors import error
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.store import MemoryStore
from moica_gateway.workers.housekeeping import Housekeeping

OURS = TenantId("ours")
ID_NUMBER = "A123456789"
NAME = "王小明"
DAY = 86_400.0


class World:
    """A store with one person whose certificates are registered."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.store = MemoryStore(self.clock)
        self.keeping = Housekeeping(store=self.store, clock=self.clock)
        self.count = 0

    async def set_up(self) -> None:
        now = self.clock.now()
        person = Person(
            id=PersonId("per_1"),
            tenant=OURS,
            id_number=IdNumber.parse(ID_NUMBER),
            created_at=now,
        )
        tenant = Tenant(id=OURS, name="x", created_at=now)
        await self.store.write(lambda uow: uow.save_tenant(tenant))
        await self.store.write(lambda uow: uow.save_person(person))

    async def register(
        self,
        days: float,
        status: CredentialStatus = CredentialStatus.ENABLED,
        credential_id: str | None = None,
    ) -> Credential:
        """A certificate with so many days left, and the registration that made it."""
        self.count += 1
        at = self.clock.now()
        made = Credential(
            id=CredentialId(credential_id or f"crd_{self.count}"),
            tenant=OURS,
            user_id=f"user{self.count}",
            user_name=NAME,
            person_id=PersonId("per_1"),
            type=CredentialType.MOBILE_CITIZEN_CERTIFICATE,
            status=status,
            certificate=b"CERTIFICATE",
            chain=(),
            issuer_name="內政部憑證管理中心",
            serial_number="01",
            not_before=at - timedelta(days=300),
            not_after=at + timedelta(days=days),
            subject_name=NAME,
            id_number_masked="******6789",
            fingerprint_sha256=f"{self.count:064x}",
            public_key_sha256="00" * 32,
            created_at=at,
            updated_at=at,
        )
        await self.store.write(lambda uow: uow.save_credential(made))
        registration = self._registration(made, at + timedelta(microseconds=self.count))
        await self.store.write(lambda uow: uow.add_transaction(registration))
        return made

    def _registration(self, made: Credential, at: datetime) -> Transaction:
        return Transaction(
            id=TransactionId(f"txn_{self.count:04d}"),
            tenant=OURS,
            version=2,
            kind=Kind.REGISTRATION,
            status=Status.COMPLETED,
            created_at=at,
            expires_at=at,
            user_id=made.user_id,
            person_id=made.person_id,
            match_code="42",
            hint="",
            documents=(),
            challenges=(),
            policy=TenantPolicy(),
            time_limit=60,
            format="pkcs1",
            credential_id=made.id,
        )

    async def events(self) -> list[OutboxMessage]:
        page = await self.store.read(lambda uow: uow.outbox_after(OURS, "", 1000))
        return list(page.items)

    async def status(self, credential: Credential) -> CredentialStatus:
        found = await self.store.read(lambda uow: uow.credential(OURS, credential.id))
        assert found is not None
        return found.status


@pytest.fixture
async def world() -> World:
    made = World()
    await made.set_up()
    return made


@pytest.mark.parametrize(
    ("days", "status", "announced"),
    [
        (31, CredentialStatus.ENABLED, False),
        (30, CredentialStatus.ENABLED, True),
        (1, CredentialStatus.ENABLED, True),
        (10, CredentialStatus.DISABLED, False),
        (10, CredentialStatus.REVOKED, False),
        (-1, CredentialStatus.ENABLED, False),
    ],
)
async def test_an_enabled_certificate_is_announced_from_thirty_days_before_its_end(
    world: World, days: float, status: CredentialStatus, announced: bool
) -> None:
    """Not one that signs nothing any more."""
    await world.register(days, status)
    await world.keeping.once()
    assert [m.type for m in await world.events()] == ["credential.expiring"] * announced


async def test_the_event_says_whose_and_until_when_and_nothing_personal(world: World) -> None:
    """The document system knows its user; ``transaction_id`` is not there."""
    credential = await world.register(10)
    await world.keeping.once()
    (event,) = await world.events()
    body = json.loads(event.body)
    assert body["type"] == event.type
    assert datetime.fromisoformat(body["timestamp"]) == world.clock.now()
    assert set(body["data"]) == {"credential_id", "user_id", "status", "not_after"}
    assert body["data"]["user_id"] == credential.user_id
    for personal in (ID_NUMBER, NAME, "6789", "CERTIFICATE"):
        assert personal not in event.body.decode()
    assert event.transaction_id is None
    assert event.next_attempt_at == world.clock.now()


async def test_it_is_announced_once_also_over_restarts(world: World) -> None:
    """Not daily for a month."""
    await world.register(10)
    for _ in range(9):
        await world.keeping.once()
        await Housekeeping(store=world.store, clock=world.clock).once()
        await world.clock.advance(DAY)
    assert len(await world.events()) == 1


async def test_a_certificate_registered_twice_is_announced_once_a_walk(world: World) -> None:
    """By its newest registration."""
    first = await world.register(10)
    await world.register(10, credential_id=first.id)
    assert await world.keeping.look_at_credentials() == 1
    (event,) = await world.events()
    assert json.loads(event.body)["data"]["credential_id"] == first.id


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        (CredentialStatus.ENABLED, CredentialStatus.EXPIRED),
        (CredentialStatus.DISABLED, CredentialStatus.EXPIRED),
        (CredentialStatus.REVOKED, CredentialStatus.REVOKED),
    ],
)
async def test_what_ran_out_becomes_expired_and_is_audited(
    world: World, status: CredentialStatus, becomes: CredentialStatus
) -> None:
    """What was revoked stays revoked, which says more."""
    credential = await world.register(1, status)
    await world.clock.advance(DAY + 1)
    await world.keeping.once()
    assert await world.status(credential) is becomes
    audit = await world.store.read(lambda uow: uow.audit_records(OURS))
    expected = ["credential.expired"] if becomes is CredentialStatus.EXPIRED else []
    assert [r.action for r in audit] == expected
    assert ID_NUMBER not in repr(audit)


async def test_a_certificate_is_valid_to_its_last_second(world: World) -> None:
    """``not_after`` itself counts in."""
    credential = await world.register(1)
    await world.clock.advance(DAY)
    await world.keeping.look_at_credentials()
    assert await world.status(credential) is CredentialStatus.ENABLED


async def test_more_than_a_page_of_registrations_is_looked_at(world: World) -> None:
    """All of them."""
    for _ in range(230):
        await world.register(10)
    assert await world.keeping.look_at_credentials() == 230
    assert await world.keeping.look_at_credentials() == 0


async def test_a_credential_that_was_deleted_is_no_trouble(world: World) -> None:
    """Its registration is still there."""
    credential = await world.register(10)
    await world.store.write(lambda uow: uow.delete_credential(OURS, credential.id))
    await world.keeping.once()
    assert await world.events() == []


async def test_a_row_that_does_not_authenticate_keeps_nobody_else_from_being_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is passed over; the newest, met first, is the broken one here."""
    await world.register(10)
    await world.register(10, credential_id="crd_tampered")
    read = world.store.read

    async def tampered(work: Any) -> Any:
        def guarded(uow: Any) -> Any:
            inner = uow.credential

            def credential(tenant: TenantId, credential_id: CredentialId) -> Any:
                if credential_id == "crd_tampered":
                    raise error("vault_tampered", "expected a row that authenticates")
                return inner(tenant, credential_id)

            uow.credential = credential
            return work(uow)

        return await read(guarded)

    monkeypatch.setattr(world.store, "read", tampered)
    assert await world.keeping.look_at_credentials() == 1


async def test_idempotency_keys_are_forgotten_after_a_day_and_not_before(world: World) -> None:
    """Each by its own age."""
    record = IdempotencyRecord(
        tenant=OURS,
        method="POST",
        path="/v1/signatures",
        key="k",
        body_mac=b"m",
        transaction_id=TransactionId("txn_1"),
        created_at=world.clock.now(),
    )
    await world.store.write(lambda uow: uow.add_idempotency(record))
    newer = evolve(record, key="newer", created_at=world.clock.now() + timedelta(hours=20))
    await world.store.write(lambda uow: uow.add_idempotency(newer))
    assert await world.keeping.once() == 0
    await world.clock.advance(DAY + 1)
    assert await world.keeping.once() == 1
    assert await world.keeping.once() == 0


async def test_what_the_brakes_remember_is_forgotten_after_a_day_and_not_before(
    world: World,
) -> None:
    """A refusal in between keeps the row for another day."""
    person = PersonId("per_1")

    async def remembered() -> bool:
        return await world.store.read(lambda uow: uow.person_brake(OURS, person)) is not None

    begun = RequestCount(started_at=world.clock.now(), requests=1)
    brake = PersonBrake(count=begun, misses=1, missed_at=world.clock.now() + timedelta(hours=20))
    await world.store.write(lambda uow: uow.save_person_brake(OURS, person, brake))
    await world.clock.advance(DAY + 1)
    await world.keeping.once()
    assert await remembered()
    await world.clock.advance(20 * 3600)
    await world.keeping.once()
    assert not await remembered()


async def test_it_runs_hourly_and_survives_a_store_that_fails(world: World) -> None:
    """Until it is cancelled."""
    await world.register(10)
    world.store.available = False
    task = asyncio.ensure_future(world.keeping.run())
    await world.clock.settle()
    world.store.available = True
    assert await world.events() == []
    await world.clock.advance(3600)
    for _ in range(10):
        await world.clock.settle()
    assert len(await world.events()) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
