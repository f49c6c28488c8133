"""Simulator, gateway and reference document system in one process, all on one clock.

The clock runs with the machine's and can be advanced, which wakes whoever waits: sixty seconds
without an answer take none. Browsers keep their own time, as they do in life.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from unittest import mock

from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, evolve, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from document_system.app import create_app
from document_system.models import Document, Step, User
from document_system.passwords import Passwords
from document_system.settings import Settings as DeskSettings
from document_system.store.confirmations import latest_signature
from document_system.store.documents import add_document, find_document
from document_system.store.users import add_user
from document_system.web import keys
from moica_gateway.app import Gateway, open_gateway
from moica_gateway.client import GatewayClient
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId, TransactionId
from moica_gateway.settings import Settings, TrustSettings, UpstreamSettings
from moica_gateway.stores import migrate
from moica_gateway.webhooks import WebhookEvent, WebhookReceiver
from moica_gateway.wire import TransactionView
from moica_simulator import KeyPool, RecordedRequest, Simulator
from moica_simulator.clock import Clock

AES_KEY = bytes(range(32))
SP = "20261123090000000001"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"w" * 32).decode()
PASSWORD = "demo-115"
TENANT = TenantId("t1")
NAMES = ("王小明", "李怡君", "張家豪", "黃淑芬", "吳俊傑", "陳美玲", "林志成", "許雅婷")
SUBJECTS = (
    "檢送本校115學年度資訊安全教育訓練實施計畫1份，請查照。",
    "有關本校115年度財產盤點作業期程一案，請查照。",
    "本校校園網路骨幹設備汰換案，擬辦理公開招標，請核示。",
)


class StageClock:
    """The gateway's port, over the simulator's clock: the two never differ."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        """UTC."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds, with all that was advanced."""
        return time.monotonic() + self._clock.advanced.total_seconds()

    async def sleep(self, seconds: float) -> None:
        """By waiting or by an advance."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._clock.wait_until(self._clock.now() + timedelta(seconds=seconds))


@frozen(kw_only=True)
class Person:
    """Who signs in, the invented ID number, the phone and the document on the desk."""

    user: User
    id_number: str
    device: str
    number: str


@define(kw_only=True)
class Stage:
    """What the tests play on."""

    simulator: Simulator
    gateway: Gateway
    client: GatewayClient
    desk: web.Application
    desk_url: str
    anchors: Path
    passwords: Passwords
    _count: Callable[[], int] = field(factory=lambda: itertools.count().__next__)

    def advance(self, seconds: float) -> None:
        """So much time passes, at once, for all three."""
        self.simulator.clock.advance(seconds)

    async def person(
        self, *, name: str = "", certificate_name: str = "", bound: bool = True
    ) -> Person:
        """Somebody new with a document of their own, ready for the seal.

        Args:
            name: In the document system.
            certificate_name: In the register, so in the certificate; by default the same.
            bound: Whether the phone is bound.
        """
        count = self._count()
        name = name or NAMES[count % len(NAMES)]
        id_number = an_id_number(count)
        await self.simulator.add_person(id_number, certificate_name or name)
        device = (
            await self.simulator.bind_device(id_number, f"{name}的手機")
            if bound
            else await self.simulator.add_device(f"{name}的手機")
        )
        user = User(user_id=f"clerk{count:02}", name=name, title="承辦人", unit="教務處註冊組")
        chief = User(user_id=f"chief{count:02}", name="陳美玲", title="科長", unit="教務處")
        document = a_document(count, user, chief, self.simulator.clock.now())
        password = self.passwords.hash(PASSWORD)
        database = self.desk[keys.DESK].database
        for one in (user, chief):
            await database.run(add_user, one, password)
        await database.run(add_document, document)
        return Person(user=user, id_number=id_number, device=device.id, number=document.number)

    async def further_document(self, person: Person) -> str:
        """One more on the same desk; its number."""
        count = self._count()
        document = a_document(count, person.user, person.user, self.simulator.clock.now())
        await self.desk[keys.DESK].database.run(add_document, document)
        return document.number

    async def lay(
        self, *route: Person, count: int = 1, position: int = 0, suffix: str = ""
    ) -> list[str]:
        """Documents on a route of one's own, ready for the seal; their numbers.

        Args:
            route: Who signs, one after another.
            count: How many.
            position: On whose desk they lie.
            suffix: Behind the number.
        """
        roles = ("承辦", *("審核" for _ in route[2:]), "決行")
        now, numbers = self.simulator.clock.now(), []
        for _ in range(count):
            made = a_document(self._count(), route[0].user, route[-1].user, now)
            document = evolve(
                made,
                number=f"{made.number}{suffix}",
                position=position,
                state="待核" if position else made.state,
                route=tuple(
                    Step(position=at, user=one.user, role=roles[at], passed_at=None)
                    for at, one in enumerate(route)
                ),
            )
            await self.desk[keys.DESK].database.run(add_document, document)
            numbers.append(document.number)
        return numbers

    async def register(self, person: Person) -> None:
        """The certificate, without the pages: for tests of what comes after."""
        registering, asking = self.desk[keys.REGISTERING], self.desk[keys.ASKING]
        begun = await registering.begin(
            person.user, f"nonce-{person.user.user_id}-0123456789", person.id_number
        )
        assert begun.transaction_id is not None, begun.error_code
        request = await self.simulator.wait_for_request(person.device)
        await self.simulator.confirm(person.device, request.sp_ticket_id)
        ended = await self.client.wait(begun.transaction_id, seconds=20)
        assert ended.status == "completed", ended.error
        await registering.save(person.user, await asking.look(await asking.reload(begun)))

    async def transaction_of(self, number: str) -> TransactionView:
        """The newest of this document, as the API tells it."""
        confirmation = await self.desk[keys.DESK].database.run(latest_signature, number)
        assert confirmation is not None
        assert confirmation.transaction_id is not None
        return await self.client.transaction(confirmation.transaction_id)

    async def late_answer(self, number: str) -> None:
        """Waits until the gateway has heard, and recorded, what came too late."""
        transaction = await self.transaction_of(number)

        def heard(uow: Any) -> bool:
            records = uow.audit_records(TENANT, transaction_id=TransactionId(transaction.id))
            return any(one.action == "transaction.late_answer" for one in records)

        await self.until(lambda: self.gateway.store.read(heard))

    async def asked_in_vain(self, count: int) -> None:
        """Waits until so many polls more have met a fault."""
        before = sum(bool(one.faults) for one in self.simulator.requests)

        async def met() -> bool:
            return sum(bool(one.faults) for one in self.simulator.requests) >= before + count

        await self.until(met)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Looks again and again; each look is a round trip of the store, not a sleep."""
        async with asyncio.timeout(15):
            while not await holds():
                await self.gateway.store.read(lambda uow: uow.tenant(TENANT))

    async def document(self, number: str) -> Document:
        """As the document system has it."""
        found = await self.desk[keys.DESK].database.run(find_document, number)
        assert found is not None
        return found

    @property
    def begun(self) -> int:
        """How often the platform was asked to begin anything, for anybody."""
        return sum(one.interface != "SP-API-ATH-02" for one in self.simulator.requests)

    def rings(self, person: Person) -> int:
        """How often the platform was asked to let this person's phone ring, for anything."""
        return len(self._asked("SP-API-ATH-03", person))

    def bulk_rings(self, person: Person) -> int:
        """The same for several documents at once."""
        return len(self._asked("SP-API-ATH-04", person))

    def codes(self, person: Person) -> int:
        """How many tickets for a QR code or an app link were asked for."""
        return len(self._asked("SP-API-ATH-01", person))

    def _asked(self, interface: str, person: Person) -> list[RecordedRequest]:
        return [
            one
            for one in self.simulator.requests
            if one.interface == interface
            and isinstance(one.body, dict)
            and one.body.get("id_num") == person.id_number
        ]


class ClockedReceiver:
    """The document system's receiver of webhooks on the stage's clock: the library beneath asks the
    machine for the time, and takes no other."""

    def __init__(self, inner: WebhookReceiver, clock: Clock) -> None:
        self._inner = inner

        class Clocked(datetime):
            """Now is the stage's now."""

            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return clock.now().astimezone(tz)

        self._clocked = Clocked

    def receive(self, headers: Mapping[str, str], body: bytes) -> WebhookEvent:
        """As the real one; only this call sees the other clock."""
        with mock.patch("standardwebhooks.webhooks.datetime", self._clocked):
            return self._inner.receive(headers, body)


def an_id_number(count: int) -> str:
    """Invented, with its check digit."""
    digits = f"1{count:07}"
    total = 1 + sum(int(d) * w for d, w in zip(digits, range(8, 0, -1), strict=True))
    return f"A{digits}{-total % 10}"


def a_document(count: int, holder: User, chief: User, now: datetime) -> Document:
    """On the holder's desk, with the chief as the next."""
    return Document(
        number=str(1153000165 + count),
        subject=SUBJECTS[count % len(SUBJECTS)],
        body="一、依據本校相關規定辦理。\n二、奉核後函知各單位。",
        from_agency="無",
        state="創稿登記",
        received_at=now,
        due_at=now + timedelta(days=8),
        position=0,
        sealed=False,
        signed_version=None,
        route=(
            Step(position=0, user=holder, role="承辦", passed_at=None),
            Step(position=1, user=chief, role="決行", passed_at=None),
        ),
    )


@contextlib.asynccontextmanager
async def open_stage(folder: Path, *, look_interval: float = 1.0) -> AsyncIterator[Stage]:
    """All three, listening on ports of the system's choice.

    Args:
        folder: For the data of gateway and document system.
        look_interval: Seconds between two looks of the document system by itself.
    """
    clock = Clock()
    passwords = Passwords(n=2**4)
    listening = socket.create_server(("127.0.0.1", 0))
    desk_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(listening.close)
        simulator = await stack.enter_async_context(
            Simulator.start(fast=True, clock=clock, keys=KeyPool())
        )
        settings = gateway_settings(folder, simulator)
        migrate(settings.database_url)
        gateway = await stack.enter_async_context(open_gateway(settings, clock=StageClock(clock)))
        tenants = gateway.services.tenants
        await tenants.create_tenant(
            TENANT, "示範公文系統", TenantPolicy(return_origins=(desk_url,))
        )
        await tenants.set_service_provider(TENANT, SP, Secret(AES_KEY), "k1")
        key = await tenants.create_key(TENANT, "all", frozenset(Scope), test=True)
        await tenants.add_webhook(TENANT, f"{desk_url}/webhooks/moica", WEBHOOK_SECRET, None)
        await simulator.add_service_provider(
            SP, base64.b64encode(AES_KEY).decode(), "公文線上簽核系統（示範）"
        )
        server = await stack.enter_async_context(TestServer(gateway.app, shutdown_timeout=0.5))
        gateway_url = str(server.make_url("")).rstrip("/")
        desk_settings = DeskSettings(
            data=folder / "desk",
            gateway_url=gateway_url,
            api_key=key,
            webhook_secret=WEBHOOK_SECRET,
            public_url=desk_url,
            look_interval=look_interval,
        )
        desk_settings.check()
        desk_settings.data.mkdir()
        desk = create_app(desk_settings, clock=clock.now, passwords=passwords)
        desk[keys.RECEIVER] = ClockedReceiver(desk[keys.RECEIVER], clock)  # type: ignore[misc]
        runner = web.AppRunner(desk, access_log=None, shutdown_timeout=0.5, handle_signals=False)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening).start()
        client = await stack.enter_async_context(GatewayClient(gateway_url, key))
        anchors = folder / "anchors.pem"
        anchors.write_text(simulator.anchors_pem)
        yield Stage(
            simulator=simulator,
            gateway=gateway,
            client=client,
            desk=desk,
            desk_url=desk_url,
            anchors=anchors,
            passwords=passwords,
        )


def gateway_settings(folder: Path, simulator: Simulator) -> Settings:
    """Of the simulator environment, with SQLite."""
    paths: dict[bool, list[str]] = {True: [], False: []}
    found = x509.load_pem_x509_certificates(simulator.anchors_pem.encode())
    for number, certificate in enumerate(found):
        path = folder / f"ca{number}.pem"
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[certificate.subject == certificate.issuer].append(str(path))
    key = folder / "master.key"
    key.write_text(base64.b64encode(b"m" * 32).decode())
    key.chmod(0o600)
    return Settings(
        environment="simulator",
        data_dir=str(folder),
        master_key_file=str(key),
        upstream=UpstreamSettings(base_url=simulator.url, poll_interval=0.3),
        trust=TrustSettings(
            anchors=tuple(paths[True]),
            intermediates=tuple(paths[False]),
            crl_hosts=(simulator.url.removeprefix("http://"),),
        ),
    )
