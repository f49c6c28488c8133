"""What stands around the gateway and is not killed: platform, phones, receiver, document systems.

A folder with tenant, keys and registered citizens is made once and copied for each gateway. The
phones and document systems of different gateways are different citizens, so that several gateways
may be on the stage at once. Deliberately not here: what must hold (`checks`).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, field, frozen

from moica_gateway.app import open_gateway
from moica_gateway.client import GatewayClient
from moica_gateway.domain.models import Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId
from moica_gateway.errors import GatewayError
from moica_gateway.settings import Settings, TrustSettings, UpstreamSettings
from moica_gateway.stores import migrate
from moica_gateway.webhooks import WebhookEvent, WebhookReceiver
from moica_gateway.wire import DocumentRequest, TransactionView
from moica_simulator import KeyPool, Simulator
from moica_simulator.id_number import fault_in
from tests.resilience.lives import Lives, News, Order, Zygote

__all__ = ["CONTENT", "MASTER_KEY", "TENANT", "Citizen", "Delivery", "DocumentSystem", "Stage"]

T = TypeVar("T")

TENANT = TenantId("t1")
CONTENT = "檢送本校資訊安全教育訓練實施計畫".encode()
MASTER_KEY = b"m" * 32
_AES_KEY = bytes(range(32))
_SP = "20261123090000000001"
_SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
_POLL_INTERVAL = 0.1


@frozen
class Citizen:
    """Somebody with a phone; ``user`` is who they are in the document system."""

    user: str
    id_number: str
    device: str


@frozen
class Delivery:
    """One attempt that reached the receiver with a right signature."""

    event: WebhookEvent
    body: bytes


@define(eq=False)
class Stage:
    """See the module."""

    simulator: Simulator
    zygote: Zygote
    folder: Path
    settings: Settings
    api_key: str = ""
    deliveries: list[Delivery] = field(factory=list)
    news: News = field(factory=News)
    citizens: asyncio.Queue[Citizen] = field(factory=asyncio.Queue)
    """Registered ones that nobody uses at the moment."""
    slow: dict[str, asyncio.Event] = field(factory=dict)
    """By user: the receiver keeps what it answers back until then."""
    _numbers: Iterator[int] = field(factory=lambda: itertools.count(1))

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path, citizens: int) -> AsyncIterator[Stage]:
        """With so many registered citizens."""
        async with (
            Simulator.start(fast=True, keys=KeyPool()) as simulator,
            Zygote.start(folder / "zygote") as zygote,
        ):
            template = folder / "template"
            template.mkdir()
            stage = cls(simulator, zygote, folder, write_settings(template, simulator))
            receiver = web.Application()
            receiver.router.add_post("/hook", stage._receive)
            async with TestServer(receiver) as hooks:
                await stage._set_up(str(hooks.make_url("/hook")), citizens)
                yield stage

    @contextlib.asynccontextmanager
    async def gateway(self, *plan: str | None, later: float = 0.0) -> AsyncIterator[Lives]:
        """A gateway on a fresh copy of the folder, living and dying by plan."""
        folder = self.folder / f"gateway{next(self._numbers)}"
        shutil.copytree(self.folder / "template", folder)
        async with Lives(self.zygote, self._order(folder), plan, later) as lives:
            yield lives

    @contextlib.asynccontextmanager
    async def borrowed(
        self, on_request: str = "manual", after: float = 0.0
    ) -> AsyncIterator[Citizen]:
        """A registered citizen for one play, whose phone answers by itself if it is told to."""
        citizen = await self.citizens.get()
        await self.simulator.set_behaviour(citizen.device, on_request, delay_s=after)
        try:
            yield citizen
        finally:
            for request in await self.simulator.inbox(citizen.device):
                if request.status == "pending":
                    await self.simulator.refuse(citizen.device, request.sp_ticket_id)
            self.citizens.put_nowait(citizen)

    def number(self) -> str:
        """A document number that no other play has."""
        return f"1153{next(self._numbers):06d}"

    async def new_citizen(self) -> Citizen:
        """With a bound phone, not registered anywhere."""
        number = next(self._numbers)
        stem = f"A1{number:07d}"
        id_number = next(f"{stem}{d}" for d in range(10) if fault_in(f"{stem}{d}") is None)
        await self.simulator.add_person(id_number, "王小明")
        device = await self.simulator.bind_device(id_number, "我的手機")
        return Citizen(f"u{number}", id_number, device.id)

    def delivered(self, transaction_id: str) -> list[Delivery]:
        """What came for one transaction."""
        return [d for d in self.deliveries if d.event.data["transaction_id"] == transaction_id]

    # -- inside --------------------------------------------------------------------------------

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = WebhookReceiver(_SECRET).receive(request.headers, body)
        self.deliveries.append(Delivery(event, body))
        self.news.tell()
        answer = self.slow.get(event.data["user_id"])
        if answer is not None:
            await answer.wait()
        return web.Response(status=204)

    def _order(self, folder: Path) -> Order:
        upstream, trust = self.settings.upstream, self.settings.trust
        return Order(
            folder=folder,
            upstream={"base_url": upstream.base_url, "poll_interval": upstream.poll_interval},
            trust={
                "anchors": trust.anchors,
                "intermediates": trust.intermediates,
                "crl_hosts": trust.crl_hosts,
            },
        )

    async def _set_up(self, hook: str, citizens: int) -> None:
        await self.simulator.add_service_provider(_SP, base64.b64encode(_AES_KEY).decode(), "示範")
        migrate(self.settings.database_url)
        async with open_gateway(self.settings, workers=False) as gateway:
            tenants = gateway.services.tenants
            await tenants.create_tenant(TENANT, "t1", TenantPolicy())
            await tenants.set_service_provider(TENANT, _SP, Secret(_AES_KEY), "k1")
            self.api_key = await tenants.create_key(TENANT, "all", frozenset(Scope), test=True)
            await tenants.add_webhook(TENANT, hook, _SECRET, None)
        people = [await self.new_citizen() for _ in range(citizens)]
        async with Lives(self.zygote, self._order(Path(self.settings.data_dir))) as lives:
            await asyncio.gather(*(self._register(lives, each) for each in people))
            await lives.until_over()

    async def _register(self, lives: Lives, citizen: Citizen) -> None:
        system = DocumentSystem(lives, self.api_key)
        begun = await system.register(citizen)
        request = await self.simulator.wait_for_request(citizen.device)
        await self.simulator.confirm(citizen.device, request.sp_ticket_id)
        assert (await system.outcome(begun.id)).status == "completed"
        self.citizens.put_nowait(citizen)


@define(eq=False)
class DocumentSystem:
    """Asks the gateway; when the line breaks, asks the next life the very same."""

    lives: Lives
    api_key: str

    async def sign(self, citizen: Citizen, number: str) -> TransactionView:
        """The answer, in the end."""

        async def ask(client: GatewayClient) -> TransactionView:
            return await client.begin_signature(
                user_id=citizen.user,
                document=DocumentRequest(
                    number=number, version="1", sha256=hashlib.sha256(CONTENT).hexdigest()
                ),
                idempotency_key=f"sign-{number}",
            )

        return await self.call(ask)

    async def register(self, citizen: Citizen) -> TransactionView:
        """The answer, in the end."""

        async def ask(client: GatewayClient) -> TransactionView:
            return await client.begin_registration(
                user_id=citizen.user,
                id_number=citizen.id_number,
                user_name="王小明",
                idempotency_key=f"register-{citizen.user}",
            )

        return await self.call(ask)

    async def outcome(self, transaction_id: str) -> TransactionView:
        """Once it has ended."""
        return await self.call(lambda client: client.wait(transaction_id, seconds=50))

    async def call(self, ask: Callable[[GatewayClient], Awaitable[T]]) -> T:
        """The answer of the first life that gives one."""
        while True:
            life = await self.lives.now()
            try:
                # Its own attempts would only meet the same dead process.
                async with GatewayClient(life.url, self.api_key, sleep=_at_once) as client:
                    return await ask(client)
            except GatewayError as e:
                if e.code != "upstream_unreachable":
                    raise
            await self.lives.until(life.death.is_set)


async def _at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


def write_settings(folder: Path, simulator: Simulator) -> Settings:
    """Of the simulator environment; roots and intermediates told apart by OpenSSL."""
    (folder / "anchors.pem").write_text(simulator.anchors_pem)
    roots: list[str] = []
    intermediates: list[str] = []
    end = "-----END CERTIFICATE-----\n"
    for number, pem in enumerate(simulator.anchors_pem.split(end)):
        if "BEGIN" not in pem:
            continue
        path = folder / f"ca{number}.pem"
        path.write_text(pem + end)
        done = subprocess.run(
            ["openssl", "x509", "-noout", "-subject_hash", "-issuer_hash", "-in", str(path)],
            capture_output=True,
            check=True,
        )
        subject, issuer = done.stdout.split()
        (roots if subject == issuer else intermediates).append(str(path))
    key = folder / "master.key"
    key.write_text(base64.b64encode(MASTER_KEY).decode())
    key.chmod(0o600)
    return Settings(
        environment="simulator",
        data_dir=str(folder),
        upstream=UpstreamSettings(base_url=simulator.url, poll_interval=_POLL_INTERVAL),
        trust=TrustSettings(
            anchors=tuple(roots),
            intermediates=tuple(intermediates),
            crl_hosts=(simulator.url.removeprefix("http://"),),
        ),
    )
