"""The whole gateway with SQLite and real HTTP, its upstream the hostile platform, for all rows."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp.test_utils import TestServer
from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from moica_gateway.app import Gateway, open_gateway
from moica_gateway.client import GatewayClient
from moica_gateway.domain.models import AuditRecord, Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret, TenantId, TransactionId
from moica_gateway.settings import Settings, TrustSettings, UpstreamSettings
from moica_gateway.stores import migrate
from moica_gateway.wire import CredentialView, DocumentRequest, TransactionView

from .hostile import NAME, Desk, HostilePlatform
from .row import Place

__all__ = ["House", "Visit", "open_house"]

USER = "clerk"
CONTENT = "檢送本校資訊安全教育訓練實施計畫".encode()
_ALARM = re.compile(r'^moica_alarms_total\{alarm="([^"]+)"\} ([0-9.]+)$', re.MULTILINE)
_PATIENCE = 30.0
_TURNS = 30
"""After so many rows somebody new comes: nobody's phone is asked without end."""


@define
class Visit:
    """One tenant with one clerk, and the gateway as both sides see it."""

    tenant: TenantId
    desk: Desk
    client: GatewayClient
    api_key: str = field(repr=False)
    credentials: list[CredentialView] = field(factory=list)
    """After the honest registration, where there was one."""
    turns: int = 0
    _seen: set[str | None] = field(factory=set)

    async def register(self, user_name: str | None = None) -> TransactionView:
        """Begin."""
        return await self.client.begin_registration(
            user_id=USER, id_number=self.desk.id_number, user_name=user_name
        )

    async def sign(self, place: Place) -> TransactionView:
        """Begin."""
        return await self.client.begin_signature(
            user_id=USER,
            document=DocumentRequest(number="1153000165", version="1", content=CONTENT),
            format=place.format,
            channel=place.channel,
        )

    async def begin(self, place: Place, user_name: str | None = None) -> TransactionView:
        """What the place says."""
        if place.registration:
            return await self.register(user_name)
        return await self.sign(place)

    async def end(self, begun: TransactionView) -> TransactionView:
        """Wait for it."""
        return await self.client.wait(begun.id, seconds=_PATIENCE)

    def refuse_personal(self, shown: object) -> None:
        """Whatever the platform said, nobody is named where it is kept in clear."""
        text = str(shown).lower()
        for personal in (self.desk.id_number, self.desk.hashed_id_num):
            assert personal.lower() not in text

    async def events(self) -> list[str]:
        """The types in the feed since this was asked last."""
        found, _ = await self.client.events(limit=200)
        self.refuse_personal(found)
        new = [event for event in found if event.id not in self._seen]
        self._seen.update(event.id for event in new)
        return [event.type for event in new]


@define
class House:
    """Shared by all rows; each has a tenant, a person and a desk of its own."""

    gateway: Gateway
    platform: HostilePlatform
    url: str
    session: aiohttp.ClientSession
    visits: int = 0
    kept: dict[bool, Visit] = field(factory=dict)
    """By `Place.registration`: somebody whom a row left as they were."""
    ended: list[tuple[str, Desk, str, list[str]]] = field(factory=list)
    """Name, desk, upstream transaction and questions of what must not be asked again."""

    async def guest(self, place: Place) -> Visit:
        """Somebody whose desk is honest: registered where the place needs it, else unknown."""
        visit = self.kept.pop(place.registration, None)
        if visit is None or visit.turns >= _TURNS:
            visit = await self.visit()
            if not place.registration:
                registered = await visit.end(await visit.register(NAME))
                assert registered.status == "completed", registered.error
                assert await visit.events() == ["registration.completed"]
                visit.credentials = await visit.client.credentials(USER)
        visit.turns += 1
        visit.desk.reset()
        return visit

    async def visit(self) -> Visit:
        """Somebody new."""
        self.visits += 1
        tenant = TenantId(f"tenant-{self.visits}")
        desk = Desk(
            self.platform,
            # Begins like error_code 0, so that payloads can be made to coincide.
            f"0026112309{self.visits:010d}",
            id_number(self.visits),
        )
        self.platform.desks[desk.sp_service_id] = desk
        tenants = self.gateway.services.tenants
        await tenants.create_tenant(tenant, str(tenant), TenantPolicy())
        await tenants.set_service_provider(
            tenant, desk.sp_service_id, Secret(desk.aes_key), "key-1"
        )
        key = await tenants.create_key(tenant, "all", frozenset(Scope), test=True)
        return Visit(tenant, desk, GatewayClient(self.url, key, session=self.session), key)

    async def audit(self, visit: Visit, transaction_id: str) -> list[AuditRecord]:
        """Of a transaction, in order."""
        return list(
            await self.gateway.store.read(
                lambda uow: uow.audit_records(
                    visit.tenant, transaction_id=TransactionId(transaction_id)
                )
            )
        )

    async def bound(self, visit: Visit) -> bool:
        """Whether the clerk is bound to a person."""
        found = await self.gateway.store.read(lambda uow: uow.user_binding(visit.tenant, USER))
        return found is not None

    async def artifact_status(self, visit: Visit, transaction_id: str) -> int:
        """The HTTP status."""
        async with self.session.get(
            f"{self.url}/v1/transactions/{transaction_id}/artifact",
            headers={"Authorization": f"Bearer {visit.api_key}"},
        ) as reply:
            return reply.status

    def alarms(self) -> dict[str, int]:
        """How often each was raised so far, as the metrics say."""
        text = self.gateway.telemetry.render()[0].decode()
        return {name: int(float(count)) for name, count in _ALARM.findall(text)}


def id_number(number: int) -> str:
    """A valid one."""
    digits = f"1{number:07d}"
    total = 1 + sum(int(d) * w for d, w in zip(digits, range(8, 0, -1), strict=True))
    return f"A{digits}{-total % 10}"


def _write(folder: Path, name: str, der: bytes) -> str:
    path = folder / name
    path.write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    return str(path)


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    """Gateway and platform, running."""
    platform = HostilePlatform()
    key = folder / "master.key"
    key.write_text(base64.b64encode(b"m" * 32).decode())
    key.chmod(0o600)
    with socket.socket() as unheard:
        # Bound and never listening: a connection is refused, and nobody else gets the port.
        unheard.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{unheard.getsockname()[1]}"
        async with TestServer(platform.app) as upstream, aiohttp.ClientSession() as session:
            platform.url, platform.dead = str(upstream.make_url("")).rstrip("/"), dead
            pki = platform.pki
            platform.publish("good", pki.crl(url=platform.good_crl))
            platform.publish("root", pki.root_crl())
            settings = Settings(
                environment="simulator",
                data_dir=str(folder),
                upstream=UpstreamSettings(
                    base_url=platform.url, poll_interval=0.05, timeout=_PATIENCE
                ),
                trust=TrustSettings(
                    anchors=(_write(folder, "root.pem", pki.root),),
                    intermediates=(_write(folder, "issuer.pem", pki.issuer),),
                    crl_hosts=(platform.url.removeprefix("http://"), dead),
                ),
            )
            migrate(settings.database_url)
            async with open_gateway(settings) as gateway, TestServer(gateway.app) as server:
                url = str(server.make_url("")).rstrip("/")
                yield House(gateway, platform, url, session)
