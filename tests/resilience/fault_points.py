"""Named points between the steps of the gateway, found by wrapping its ports.

Each step that lasts or leaves the house passes a point before it, a point after it, and a write
one more: after its function has run and before its commit begins. Whoever counts them is told the
name of each, and the process kills itself at the chosen one, with SIGKILL, so that nothing of it
can clean up.

What lies between "not committed" and "committed" is the commit itself. Several writes may share
one: it then holds other functions too, run after this one, and all of them last or none does. A
kill inside of it is SQLite's matter (`tests/stores/test_durability.py`), and met here only by time.
Deliberately not here: reads, which leave nothing, and which points there are, which nobody writes
down by hand.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from attrs import evolve, frozen

from moica_gateway.app import Ports
from moica_gateway.domain.models import (
    Answer,
    Artifact,
    Begin,
    Begun,
    CertificateSignature,
    Document,
    Expected,
    Fault,
    Handle,
    OutboxMessage,
    Prepared,
    ServiceProvider,
    SignContext,
    StartUnknown,
    SubjectInfo,
    Verdict,
    WebhookEndpoint,
)
from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.ports import (
    Delivered,
    DeliveryFailed,
    EventBus,
    Format,
    Judge,
    Outlet,
    Store,
    Subscription,
    UnitOfWork,
    Upstream,
)

__all__ = ["FaultPoints", "wrap"]

T = TypeVar("T")


class FaultPoints:
    """Tells of each point as ``name#n``, the n-th of that name, and dies at the chosen one.

    Called from the event loop and from the store's thread.
    """

    def __init__(self, tell: Callable[[str], None], die_at: str | None) -> None:
        self._tell = tell
        self._die_at = die_at
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        """The process is at this point."""
        with self._lock:
            self._counts[name] += 1
            point = f"{name}#{self._counts[name]}"
            self._tell(point)
            if point == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)


def wrap(ports: Ports, at: FaultPoints) -> Ports:
    """Every port with points around its steps."""
    return evolve(
        ports,
        store=_Store(ports.store, at),
        upstream=_Upstream(ports.upstream, at),
        judge=_Judge(ports.judge, at),
        formats={name: _Format(inner, at) for name, inner in ports.formats.items()},
        bus=_Bus(ports.bus, at),
        outlet=_Outlet(ports.outlet, at),
    )


def _name_of(work: Callable[..., Any]) -> str:
    while isinstance(work, functools.partial):
        work = work.func
    return work.__qualname__.replace(".<locals>", "").replace(".<lambda>", "")


@frozen
class _Store:
    inner: Store
    at: FaultPoints

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        name = f"write {_name_of(work)}"

        def and_stop(unit: UnitOfWork) -> T:
            result = work(unit)
            self.at(f"{name}: not committed")
            return result

        self.at(f"{name}: not begun")
        result = await self.inner.write(and_stop)
        self.at(f"{name}: committed")
        return result

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self.inner.read(work)

    async def ready(self) -> bool:
        return await self.inner.ready()


class _Upstream:
    def __init__(self, inner: Upstream, at: FaultPoints) -> None:
        self.inner, self.at = inner, at
        self.name, self.channels = inner.name, inner.channels
        self.poll_interval = inner.poll_interval
        self.accepts, self.receive = inner.accepts, inner.receive
        self.presentation = inner.presentation
        self.max_messages = inner.max_messages
        self.claimed_transaction_id = inner.claimed_transaction_id
        self.device_status = inner.device_status

    async def begin(self, request: Begin) -> Begun | Fault | StartUnknown:
        self.at("begin: not asked")
        result = await self.inner.begin(request)
        self.at(f"begin: answered {type(result).__name__}")
        return result

    async def poll(self, handle: Handle, service_provider: ServiceProvider) -> Answer:
        self.at("poll: not asked")
        answer = await self.inner.poll(handle, service_provider)
        self.at(f"poll: answered {type(answer).__name__}")
        return answer


@frozen
class _Judge:
    inner: Judge
    at: FaultPoints

    async def judge(self, proof: CertificateSignature, expected: Expected) -> Verdict:
        self.at("judge: not asked")
        verdict = await self.inner.judge(proof, expected)
        self.at("judge: answered")
        return verdict

    def describe(self, certificate: bytes) -> SubjectInfo:
        return self.inner.describe(certificate)


class _Format:
    def __init__(self, inner: Format, at: FaultPoints) -> None:
        self.inner, self.at = inner, at
        self.name, self.levels = inner.name, inner.levels
        self.needs_content = inner.needs_content
        self.binds_certificate, self.parses = inner.binds_certificate, inner.parses

    def prepare(self, document: Document, content: bytes | None, context: SignContext) -> Prepared:
        self.at("prepare: not begun")
        prepared = self.inner.prepare(document, content, context)
        self.at("prepare: done")
        return prepared

    def finish(self, prepared: Prepared, signature: bytes, context: SignContext) -> Artifact:
        self.at("finish: not begun")
        artifact = self.inner.finish(prepared, signature, context)
        self.at("finish: done")
        return artifact


@frozen
class _Bus:
    inner: EventBus
    at: FaultPoints

    async def publish(self, tenant: TenantId, transaction_id: TransactionId) -> None:
        self.at("publish: not told")
        await self.inner.publish(tenant, transaction_id)
        self.at("publish: told")

    def subscribe(
        self, tenant: TenantId, transaction_id: TransactionId
    ) -> AbstractAsyncContextManager[Subscription]:
        return self.inner.subscribe(tenant, transaction_id)


@frozen
class _Outlet:
    inner: Outlet
    at: FaultPoints

    async def deliver(
        self, message: OutboxMessage, endpoint: WebhookEndpoint
    ) -> Delivered | DeliveryFailed:
        self.at("deliver: not sent")
        result = await self.inner.deliver(message, endpoint)
        self.at(f"deliver: {type(result).__name__}")
        return result
