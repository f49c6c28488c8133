"""Seals the audit record a second after it has grown, and tells tenants that want to hear of it.

What a second brings shares one signature and, up to a limit, one commit; where nothing is written,
nothing runs. A tenant whose policy says ``audit_heads`` gets the newest head as the event
``security.audit_head``, at most hourly, so that it lies where the gateway's administrators cannot
reach it: whoever has it finds out about everything that is changed or cut off before it.

Deliberately not here: what sealing is (`moica_gateway.services.sealing`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
from attrs import define

from moica_gateway.domain.audit import AuditHead, head_members
from moica_gateway.domain.models import OutboxMessage
from moica_gateway.domain.values import TenantId, make_id
from moica_gateway.errors import GatewayError
from moica_gateway.ports import Clock, Random, Store, UnitOfWork
from moica_gateway.services.sealing import Sealing

__all__ = ["Sealer"]

_GATHER: Final = 1.0
_TELL_EVERY: Final = 3600.0
_STORE_RETRY: Final = 5.0
_EVENT: Final = "security.audit_head"


@define
class _Told:
    """What a tenant was told, and when (monotonic)."""

    position: int
    at: float


class Sealer:
    """``outbox_written`` is called after a commit that wrote an event."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        random: Random,
        sealing: Sealing,
        outbox_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._sealing = sealing
        self._outbox_written = outbox_written
        self._log = structlog.get_logger("moica_gateway.sealer")
        self._wake = asyncio.Event()
        self._grown: set[TenantId] = set()
        self._untold: dict[TenantId, AuditHead] = {}
        self._told: dict[TenantId, _Told] = {}

    def grown(self, tenant: TenantId) -> None:
        """Something was written to that tenant's audit record."""
        self._grown.add(tenant)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                # What a process before this one has left.
                for tenant in await self._store.read(lambda uow: [t.id for t in uow.tenants()]):
                    self.grown(tenant)
                break
            except GatewayError as e:
                self._log.error("sealer.failed", code=e.code)
                await self._clock.sleep(_STORE_RETRY)
        while True:
            await self._wait()
            await self._clock.sleep(_GATHER)
            if not await self.once():
                await self._clock.sleep(_STORE_RETRY)
            await self._choose()
            await self._tell()

    async def once(self) -> bool:
        """Seal what has grown. False where it has to be tried again; raises nothing."""
        self._wake.clear()
        tenants, self._grown = self._grown, set()
        again: set[TenantId] = set()
        for tenant in tenants:
            try:
                head = await self._sealing.seal(tenant)
            except GatewayError as e:
                # What was tampered with is looked at again when more is written.
                if e.code == "storage_unavailable":
                    again.add(tenant)
                self._log.error("sealer.failed", tenant=tenant, code=e.code)
            except Exception as e:  # noqa: BLE001 - one defect must not end all sealing
                self._log.error("sealer.failed", tenant=tenant, exc_info=e)
            else:
                if head is not None:
                    self._untold[tenant] = head
        for tenant in again:
            self.grown(tenant)
        return not again

    async def _wait(self) -> None:
        """Until something has grown, or a tenant's hour is over."""
        due = min((self._due(tenant) for tenant in self._untold), default=None)
        if due is None:
            await self._wake.wait()
            return
        woken = asyncio.ensure_future(self._wake.wait())
        late = asyncio.ensure_future(self._clock.sleep(max(due - self._clock.monotonic(), 0.0)))
        try:
            await asyncio.wait({woken, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            late.cancel()

    def _due(self, tenant: TenantId) -> float:
        told = self._told.get(tenant)
        return 0.0 if told is None else told.at + _TELL_EVERY

    async def _choose(self) -> None:
        """Keep of the untold ones those that are wanted and new."""

        def wanted(uow: UnitOfWork) -> set[TenantId]:
            known = [uow.tenant(tenant) for tenant in self._untold]
            return {tenant.id for tenant in known if tenant and tenant.policy.audit_heads}

        if self._untold:
            try:
                keep = await self._store.read(wanted)
            except GatewayError as e:
                self._log.error("sealer.failed", code=e.code)
                return
            self._untold = {
                tenant: head
                for tenant, head in self._untold.items()
                if tenant in keep and self._position_told(tenant) < head.position
            }

    def _position_told(self, tenant: TenantId) -> int:
        told = self._told.get(tenant)
        return 0 if told is None else told.position

    async def _tell(self) -> None:
        now = self._clock.monotonic()
        due = [head for tenant, head in self._untold.items() if self._due(tenant) <= now]
        for head in due:
            try:
                await self._store.write(partial(self._event, head))
            except GatewayError as e:
                # The next look is when the hour is over.
                self._log.error("sealer.failed", tenant=head.tenant, code=e.code)
            else:
                self._outbox_written()
            del self._untold[head.tenant]
            self._told[head.tenant] = _Told(head.position, now)

    def _event(self, head: AuditHead, uow: UnitOfWork) -> None:
        now = self._clock.now()
        timestamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {"type": _EVENT, "timestamp": timestamp, "data": head_members(head)}
        uow.add_outbox(
            OutboxMessage(
                id=make_id("evt", now, self._random.token_bytes(10)),
                tenant=head.tenant,
                type=_EVENT,
                transaction_id=None,
                body=json.dumps(body).encode(),
                created_at=now,
                next_attempt_at=now,
            )
        )
