"""The one composition root: every port gets its implementation here, and nowhere else."""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from attrs import frozen

from moica_gateway.adapters.outlets.webhook import WebhookOutlet
from moica_gateway.domain.brakes import BrakeLimits
from moica_gateway.domain.values import Secret
from moica_gateway.egress import EgressClient, allow_all_but_loopback, allow_loopback_too
from moica_gateway.errors import error
from moica_gateway.events.local import LocalEventBus
from moica_gateway.formats import FormatOptions, formats_by_name, readers_by_name
from moica_gateway.formats.fontfiles import font_file
from moica_gateway.formats.isolation import IsolatedWorkshop
from moica_gateway.ports import (
    Clock,
    EventBus,
    Format,
    Judge,
    Outlet,
    Random,
    Store,
    Upstream,
)
from moica_gateway.protocols.twfido import TwFidoUpstream
from moica_gateway.services.bundle import Services, make_services
from moica_gateway.services.context import Context
from moica_gateway.services.settlement import Settlement
from moica_gateway.settings import (
    BrakeSettings,
    LimitSettings,
    Settings,
    read_master_key,
    refuse_weak_key,
)
from moica_gateway.stores import DerivedSeals, SqlStore, open_store
from moica_gateway.telemetry import Telemetry
from moica_gateway.trust import (
    CertificateJudge,
    CrlStore,
    KeptLists,
    OcspClient,
    Revocation,
    RevocationPolicy,
    TrustAnchors,
    load_certificates,
    refuse_simulator_ca,
    require_pinned,
    sort_authorities,
)
from moica_gateway.web.application import WebOptions, create_web_app
from moica_gateway.web.limits import RequestLimits
from moica_gateway.workers.delivery import Delivery
from moica_gateway.workers.housekeeping import Housekeeping
from moica_gateway.workers.poller import Poller
from moica_gateway.workers.refreshing import Refreshing
from moica_gateway.workers.sealer import Sealer

__all__ = [
    "Gateway",
    "Ports",
    "SystemClock",
    "SystemRandom",
    "open_gateway",
    "program_version",
    "trust_of",
]


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """On the running loop."""
        await asyncio.sleep(seconds)


class SystemRandom:
    """Implements `ports.Random` with the operating system's generator."""

    def token_bytes(self, count: int) -> bytes:
        """Random bytes."""
        return secrets.token_bytes(count)

    def uuid4(self) -> uuid.UUID:
        """A random UUID."""
        return uuid.uuid4()

    def below(self, limit: int) -> int:
        """Uniform in ``0 <= n < limit``."""
        return secrets.randbelow(limit)


@frozen(kw_only=True)
class Gateway:
    """A gateway that is put together; its workers run only where `open_gateway` was told so."""

    settings: Settings
    services: Services
    store: Store
    app: web.Application
    telemetry: Telemetry


@frozen(kw_only=True)
class Ports:
    """The ports through which a gateway does anything that lasts or leaves the house."""

    store: Store
    upstream: Upstream
    judge: Judge
    formats: Mapping[str, Format]
    bus: EventBus
    outlet: Outlet


def program_version() -> str:
    """Of the installed distribution."""
    try:
        return version("moica-gateway")
    except PackageNotFoundError:
        return "0"


def trust_of(settings: Settings) -> TrustAnchors:
    """Anchors and intermediates, with what the environment does not permit refused.

    Raises:
        ConfigurationError: security rule 13.
    """
    roots = load_certificates(Path(p) for p in settings.trust.anchors)
    intermediates = load_certificates(Path(p) for p in settings.trust.intermediates)
    anchors = sort_authorities(roots, intermediates)
    if not settings.simulator:
        refuse_simulator_ca((*anchors.roots, *anchors.intermediates))
    if settings.environment == "production":
        require_pinned(anchors.roots, settings.trust.pinned_anchor_fingerprints)
    return anchors


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    workers: bool = True,
    clock: Clock | None = None,
    random: Random | None = None,
    wrap: Callable[[Ports], Ports] = lambda ports: ports,
) -> AsyncIterator[Gateway]:
    """Everything put together and, with ``workers``, running.

    Args:
        settings: Checked already.
        workers: Whether anything runs by itself; commands of the shell do without.
        clock: The system's where none is given.
        random: The operating system's where none is given.
        wrap: Called once, with the ports as they were chosen here, before anything uses them; the
            gateway works with what it returns. It is how a program around this one sees or stops
            every step that lasts or leaves (measuring, tracing, a crash at a chosen step) without
            a second composition root or a hook in each service. No setting reaches it. The store
            is open by then, and what closes it at the end is not what ``wrap`` returned.

    Raises:
        ConfigurationError: when the set-up is wrong; nothing runs then.
    """
    clock = clock or SystemClock()
    random = random or SystemRandom()
    telemetry = Telemetry()
    master_key = read_master_key(settings.master_key_path)
    anchors = trust_of(settings)
    allow = allow_loopback_too if settings.simulator else allow_all_but_loopback
    proxy = settings.upstream.proxy or None
    # Apart, so that a slow receiver or authority cannot use up the platform's connections.
    to_platform = EgressClient(allow=allow, proxy=proxy)
    to_others = EgressClient(allow=allow, proxy=proxy)
    to_authorities = EgressClient(allow=allow, proxy=settings.trust_proxy)
    store = open_store(settings.database_url, master_key=master_key, clock=clock, random=random)
    try:
        async with store:
            gateway, running = _compose(
                _Parts(
                    settings=settings,
                    store=store,
                    master_key=master_key,
                    anchors=anchors,
                    crls=CrlStore(
                        to_authorities,
                        clock,
                        hosts=settings.crl_hosts,
                        grace=timedelta(seconds=settings.trust.crl_grace),
                        authorities=(*anchors.roots, *anchors.intermediates),
                        kept=KeptLists(store),
                        random=random,
                    ),
                    to_platform=to_platform,
                    to_others=to_others,
                    to_authorities=to_authorities,
                    clock=clock,
                    random=random,
                    telemetry=telemetry,
                ),
                wrap,
            )
            await _check_keys(gateway)
            for name in settings.relaxations():
                structlog.get_logger("moica_gateway").warning("startup.relaxed", name=name)
            tasks: list[asyncio.Task[None]] = []
            if workers:
                await running.poller.recover()
                tasks = [
                    _worker("poller", running.poller.run()),
                    _worker("delivery", running.delivery.run()),
                    _worker("housekeeping", running.housekeeping.run()),
                    _worker("sealer", running.sealer.run()),
                    _worker("refreshing", running.refreshing.run()),
                ]
            try:
                yield gateway
            finally:
                await gateway.services.challenges.close()
                for task in tasks:
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(*tasks, return_exceptions=True)
                await running.workshop.close()
                # Nothing is left open to be cut off while nobody runs.
                await running.sealer.once()
    finally:
        await to_platform.close()
        await to_others.close()
        await to_authorities.close()


@frozen(kw_only=True)
class _Workers:
    poller: Poller
    delivery: Delivery
    housekeeping: Housekeeping
    sealer: Sealer
    refreshing: Refreshing
    workshop: IsolatedWorkshop


@frozen(kw_only=True)
class _Parts:
    settings: Settings
    store: SqlStore
    master_key: Secret
    anchors: TrustAnchors
    crls: CrlStore
    to_platform: EgressClient
    to_others: EgressClient
    to_authorities: EgressClient
    clock: Clock
    random: Random
    telemetry: Telemetry


def _ports(parts: _Parts) -> Ports:
    settings, clock = parts.settings, parts.clock
    return Ports(
        store=parts.store,
        upstream=TwFidoUpstream(
            settings.base_url,
            parts.to_platform,
            clock,
            parts.random,
            settings.upstream.poll_interval,
            parts.telemetry.alarm,
            web_base_url=settings.web_base_url,
            timeout=settings.upstream.timeout,
        ),
        judge=CertificateJudge(
            anchors=parts.anchors,
            revocation=Revocation(
                parts.crls,
                OcspClient(
                    parts.to_authorities,
                    clock,
                    parts.random,
                    hosts=settings.crl_hosts,
                    crls=parts.crls,
                    nonce_required=settings.trust.ocsp_nonce == "required",
                ),
                RevocationPolicy(settings.trust.revocation),
            ),
        ),
        formats=formats_by_name(_format_options(settings)),
        bus=LocalEventBus(clock),
        outlet=WebhookOutlet(parts.to_others, clock),
    )


def _compose(parts: _Parts, wrap: Callable[[Ports], Ports]) -> tuple[Gateway, _Workers]:
    settings, telemetry = parts.settings, parts.telemetry
    clock, random = parts.clock, parts.random
    ports = wrap(_ports(parts))
    store = ports.store
    workshop = IsolatedWorkshop(
        ports.formats, readers_by_name(), clock, options=_format_options(settings)
    )
    delivery = Delivery(
        store=store,
        outlet=ports.outlet,
        clock=clock,
        random=random,
        observe=telemetry.observe_delivery,
    )
    context = Context(
        store=store,
        clock=clock,
        random=random,
        seals=DerivedSeals(parts.master_key),
        upstream=ports.upstream,
        judge=ports.judge,
        formats=ports.formats,
        workshop=workshop,
        readers=readers_by_name(),
        bus=ports.bus,
        environment=settings.environment,
        outbox_written=delivery.wake,
        alarm=telemetry.alarm,
        brake_limits=_brake_limits(settings.brakes),
        braked=telemetry.observe_brake,
        called_back=telemetry.observe_callback,
    )
    settlement = Settlement(context)
    poller = Poller(context, settlement, observe=telemetry.observe_poll)
    services = make_services(context, settlement, poller.watch)
    app = create_web_app(
        services,
        options=WebOptions(
            version=program_version(),
            readiness=store.ready,
            metrics=telemetry.render,
            max_body=settings.max_body,
            request_id=lambda: random.token_bytes(16).hex()[:24],
            monotonic=clock.monotonic,
            now=clock.now,
            secure_cookies=not settings.simulator,
            observe=telemetry.observe_http,
            limits=_request_limits(settings.limits),
        ),
    )
    gateway = Gateway(
        settings=settings, services=services, store=store, app=app, telemetry=telemetry
    )
    sealer = Sealer(
        store=store,
        clock=clock,
        random=random,
        sealing=services.sealing,
        outbox_written=delivery.wake,
    )
    parts.store.on_audit(sealer.grown)
    workers = _Workers(
        poller=poller,
        delivery=delivery,
        housekeeping=Housekeeping(store=store, clock=clock),
        sealer=sealer,
        refreshing=Refreshing(parts.crls.refresh, clock=clock),
        workshop=workshop,
    )
    return gateway, workers


def _format_options(settings: Settings) -> FormatOptions:
    seal_font = settings.formats.seal_font
    if seal_font and font_file(seal_font) is None:
        raise error(
            "configuration_invalid",
            f"setting `formats.seal_font`: expected the path of a font, {seal_font!r} is no file",
        )
    return FormatOptions(seal_font=seal_font)


def _brake_limits(brakes: BrakeSettings) -> BrakeLimits:
    return BrakeLimits(
        push_misses=brakes.push_misses,
        push_pause=timedelta(seconds=brakes.push_pause),
        person_requests=brakes.person_requests,
        person_window=timedelta(seconds=brakes.person_window),
        tenant_requests=brakes.tenant_requests,
        gateway_requests=brakes.gateway_requests,
        window=timedelta(seconds=brakes.window),
    )


def _request_limits(limits: LimitSettings) -> RequestLimits:
    return RequestLimits(
        tenant_rate=limits.tenant_rate,
        tenant_burst=limits.tenant_burst,
        tenant_streams=limits.tenant_streams,
        browser_rate=limits.browser_rate,
        browser_burst=limits.browser_burst,
        browser_streams=limits.browser_streams,
    )


async def _check_keys(gateway: Gateway) -> None:
    for tenant in await gateway.services.tenants.list_tenants():
        provider = tenant.service_provider
        for key in provider.keys if provider else ():
            refuse_weak_key(key.key, gateway.settings.environment)


def _worker(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A worker that dies of a defect is a defect that must be seen at once."""
    log = structlog.get_logger("moica_gateway.worker")

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("worker.died", name=name, exc_info=task.exception())

    task = asyncio.ensure_future(work)
    task.add_done_callback(ended)
    return task
