"""What has to be done by the clock alone: forgetting idempotency keys and what the brakes remember
after 24 h, erasing whom nobody registered in that time (hourly), and looking at registered
certificates (daily).

A certificate whose time is over becomes ``expired``. An enabled one that has 30 days or less left
is announced once as ``credential.expiring``; that it was is kept in the audit record of its
registration, in the same commit as the event. A certificate registered again counts anew.

Certificates are found through the registrations that made them, newest first, page by page: one
walk over a tenant's registrations a day, never a large read. Deliberately not here: revocation (it
is checked at every signature), and retention of anything else. ``api.md`` "Webhooks".
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Final

import structlog
from attrs import evolve, frozen

from moica_gateway.domain.brakes import MEMORY
from moica_gateway.domain.models import (
    AuditRecord,
    Credential,
    CredentialStatus,
    Kind,
    OutboxMessage,
    Status,
    Transaction,
)
from moica_gateway.domain.values import CredentialId, TenantId, TransactionId, make_id
from moica_gateway.errors import GatewayError, VerificationError
from moica_gateway.ports import ALL_TENANTS, Clock, Page, Store, TransactionFilter, UnitOfWork
from moica_gateway.services.credential_events import credential_event

__all__ = ["Housekeeping"]

_EVERY: Final = 3600.0
_CREDENTIALS_EVERY: Final = timedelta(days=1)
_IDEMPOTENCY: Final = timedelta(hours=24)
_NOTICE: Final = timedelta(days=30)
_PAGE: Final = 100
_EXPIRING: Final = "credential.expiring"
_EXPIRED: Final = "credential.expired"
_COMPLETED: Final = TransactionFilter(kind=Kind.REGISTRATION, status=Status.COMPLETED)


class _Due(Enum):
    """What a certificate needs."""

    NOTICE = "notice"
    EXPIRY = "expiry"


@frozen
class _Found:
    """A credential that needs something, with the registration that made it."""

    tenant: TenantId
    credential_id: CredentialId
    registration: TransactionId


class Housekeeping:
    """See the module."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._log = structlog.get_logger("moica_gateway.housekeeping")
        self._next_credentials: datetime | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.once()
            except GatewayError as e:
                self._log.error("housekeeping.failed", code=e.code)
            except Exception as e:  # noqa: BLE001 - one defect must not end all housekeeping
                self._log.error("housekeeping.failed", exc_info=e)
            await self._clock.sleep(_EVERY)

    async def once(self) -> int:
        """What is due now. Returns how many idempotency keys were forgotten."""
        now = self._clock.now()
        forgotten = await self._store.write(
            lambda uow: uow.delete_idempotency_before(ALL_TENANTS, now - _IDEMPOTENCY)
        )
        await self._store.write(
            lambda uow: uow.delete_person_brakes_before(ALL_TENANTS, now - MEMORY)
        )
        await self._store.write(
            lambda uow: uow.delete_identity_queries_before(ALL_TENANTS, now.date())
        )
        await self._forget_strangers(now - MEMORY)
        if self._next_credentials is None or now >= self._next_credentials:
            await self.look_at_credentials()
            self._next_credentials = now + _CREDENTIALS_EVERY
        return forgotten

    async def _forget_strangers(self, before: datetime) -> None:
        """Erase whom somebody asked about and nobody registered; not sooner than the brakes forget
        them, or asking anew under a fresh row would loosen a pause."""

        def erase(uow: UnitOfWork) -> int:
            found = uow.unbound_persons(ALL_TENANTS, before, limit=_PAGE)
            for tenant, person_id in found:
                uow.erase_person(tenant, person_id)
                uow.audit(tenant, AuditRecord(at=now, action="person.erased", actor="worker"))
            return len(found)

        now = self._clock.now()
        while await self._store.write(erase) == _PAGE:
            continue

    async def look_at_credentials(self) -> int:
        """Announce and expire. Returns how many certificates were changed or announced."""
        count = 0
        for tenant in await self._store.read(lambda uow: [t.id for t in uow.tenants()]):
            async for found in self._registered(tenant):
                try:
                    count += await self._look_at(found)
                except VerificationError as e:
                    # One row that does not authenticate must not keep the others from being told.
                    self._log.error(
                        "housekeeping.failed", code=e.code, credential_id=found.credential_id
                    )
        return count

    async def _registered(self, tenant: TenantId) -> AsyncIterator[_Found]:
        """Each credential once, with the newest registration that made it."""
        seen: set[CredentialId] = set()
        cursor: str | None = None
        while True:
            page = await self._store.read(partial(_page, tenant=tenant, cursor=cursor))
            for registration in page.items:
                credential_id = registration.credential_id
                if credential_id is not None and credential_id not in seen:
                    seen.add(credential_id)
                    yield _Found(tenant, credential_id, registration.id)
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _look_at(self, found: _Found) -> int:
        now = self._clock.now()
        # Read first: nearly all need nothing, and a write waits for the disk.
        if await self._store.read(lambda uow: _needs(uow, found, now)) is None:
            return 0
        return await self._store.write(lambda uow: _do(uow, found, now))


def _page(uow: UnitOfWork, *, tenant: TenantId, cursor: str | None) -> Page[Transaction]:
    return uow.transactions(tenant, _COMPLETED, limit=_PAGE, cursor=cursor)


def _do(uow: UnitOfWork, found: _Found, now: datetime) -> int:
    need = _needs(uow, found, now)
    credential = uow.credential(found.tenant, found.credential_id)
    if need is None or credential is None:
        return 0
    if need is _Due.EXPIRY:
        uow.save_credential(evolve(credential, status=CredentialStatus.EXPIRED, updated_at=now))
    else:
        uow.add_outbox(_notice(credential, now))
    uow.audit(
        found.tenant,
        AuditRecord(
            at=now,
            action=_EXPIRED if need is _Due.EXPIRY else _EXPIRING,
            actor="worker",
            transaction_id=found.registration,
            data={"credential": credential.id, "not_after": credential.not_after.isoformat()},
        ),
    )
    return 1


def _needs(uow: UnitOfWork, found: _Found, now: datetime) -> _Due | None:
    credential = uow.credential(found.tenant, found.credential_id)
    if credential is None or credential.status not in (
        CredentialStatus.ENABLED,
        CredentialStatus.DISABLED,
    ):
        return None
    if now > credential.not_after:
        return _Due.EXPIRY
    if credential.status is not CredentialStatus.ENABLED or now < credential.not_after - _NOTICE:
        return None
    said = any(
        record.action == _EXPIRING
        # A renewed certificate counts anew.
        and record.data.get("not_after") == credential.not_after.isoformat()
        for record in uow.audit_records(found.tenant, transaction_id=found.registration)
    )
    return None if said else _Due.NOTICE


def _notice(credential: Credential, now: datetime) -> OutboxMessage:
    # Derived: unique a credential and instant, without a need for randomness here.
    unique = hashlib.sha256(f"{_EXPIRING}\n{credential.id}\n{now.isoformat()}".encode()).digest()
    return credential_event(credential, _EXPIRING, now, make_id("evt", now, unique[:10]))
