"""What the application carries, typed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from aiohttp import web
from attrs import define, field, frozen

from moica_gateway.services.bundle import Services
from moica_gateway.services.commands import Caller
from moica_gateway.web.limits import Allowance, RequestLimits, RequestMeter

__all__ = [
    "ALLOWANCE",
    "CALLBACKS",
    "CALLER",
    "IN_FLIGHT",
    "METER",
    "OPTIONS",
    "REQUEST_ID",
    "RUNNING",
    "SERVICES",
    "STOPPING",
    "STREAM",
    "WAITING",
    "CallbackCounts",
    "WebOptions",
]


@frozen(kw_only=True)
class WebOptions:
    """What the composition root hands in.

    ``max_body``: bytes. ``request_id``: a fresh one. ``monotonic``: seconds.
    ``now``: aware, UTC. ``secure_cookies``: whether browsers come over TLS.
    ``observe(method, route, status, seconds)`` feeds the metrics. ``heartbeat``: seconds between
    two comments of an event stream. ``wait_for_first``: seconds for which a repeat waits for the
    first request with its ``Idempotency-Key``.
    """

    version: str
    readiness: Callable[[], Awaitable[bool]]
    request_id: Callable[[], str]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    secure_cookies: bool = True
    metrics: Callable[[], tuple[bytes, str]] | None = None
    max_body: int = 16 * 1_048_576
    observe: Callable[[str, str, int, float], None] = lambda _m, _r, _s, _t: None
    heartbeat: float = 15.0
    wait_for_first: float = 10.0
    limits: RequestLimits = field(factory=RequestLimits)


@define
class CallbackCounts:
    """How many forms came in this window, by the tenant that they name."""

    started_at: float
    requests: dict[str, int] = field(factory=dict)


CALLBACKS: web.AppKey[CallbackCounts] = web.AppKey("callbacks", CallbackCounts)
SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
OPTIONS: web.AppKey[WebOptions] = web.AppKey("options", WebOptions)
IN_FLIGHT: web.AppKey[dict[tuple[str, str, str, str], asyncio.Future[None]]] = web.AppKey(
    "in_flight", dict
)
RUNNING: web.AppKey[set[asyncio.Future[Any]]] = web.AppKey("running", set)
WAITING: web.AppKey[set[asyncio.Future[Any]]] = web.AppKey("waiting", set)
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
METER: web.AppKey[RequestMeter] = web.AppKey("meter", RequestMeter)
ALLOWANCE: web.RequestKey[Allowance] = web.RequestKey("allowance", Allowance)
CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
REQUEST_ID: web.RequestKey[str] = web.RequestKey("request_id", str)
STREAM: web.RequestKey[web.StreamResponse] = web.RequestKey("stream", web.StreamResponse)
