"""The one composition root: everything is made here and handed in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final

from aiohttp import web

from document_system.asking import Asking, Desk
from document_system.database import Database
from document_system.follow_up import FollowUp
from document_system.passwords import Passwords
from document_system.registering import Registering
from document_system.seed import DEMO_PASSWORD, seed
from document_system.settings import Settings
from document_system.signing import Signing
from document_system.web import (
    attachments,
    auth,
    batches,
    certificates,
    dashboard,
    deputies,
    documents,
    health,
    keys,
    signings,
    webhooks,
)
from document_system.web.faults import faults
from document_system.web.render import make_templates
from document_system.web.security import RELAY_PATH, headers, sessions
from document_system.web.throttle import Throttle
from document_system.withdrawing import Withdrawing
from moica_gateway import GatewayClient
from moica_gateway.relay import relay_app
from moica_gateway.webhooks import WebhookReceiver

__all__ = ["create_app"]

_GATEWAY_SECONDS: Final = 12.0
_BODY_MOST: Final = 256 * 1024


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = _utc_now,
    passwords: Passwords | None = None,
    client: GatewayClient | None = None,
) -> web.Application:
    """The application, not started yet.

    Args:
        settings: Already checked.
        clock: Aware UTC time.
        passwords: Tests hand in a cheaper one.
        client: Tests hand in one that does not sleep between attempts.
    """
    database = Database(settings.data / "document-system.sqlite3")
    client = client or GatewayClient(
        settings.gateway_url, settings.api_key, timeout=_GATEWAY_SECONDS
    )
    receiver = WebhookReceiver(settings.webhook_secret)
    desk = Desk(database=database, client=client, clock=clock, time_limit=settings.sign_time_limit)
    asking = Asking(desk)
    withdrawing = Withdrawing(desk, asking)
    signing = Signing(desk, asking, withdrawing)
    registering = Registering(desk, asking)

    app = web.Application(middlewares=[headers, faults, sessions], client_max_size=_BODY_MOST)
    app[keys.SETTINGS] = settings
    app[keys.DESK] = desk
    app[keys.ASKING] = asking
    app[keys.SIGNING] = signing
    app[keys.REGISTERING] = registering
    app[keys.WITHDRAWING] = withdrawing
    app[keys.FOLLOW_UP] = FollowUp(
        desk, asking, signing, registering, withdrawing, settings.look_interval
    )
    app[keys.RECEIVER] = receiver
    app[keys.PASSWORDS] = passwords or Passwords()
    app[keys.TEMPLATES] = make_templates()
    app[keys.THROTTLE] = Throttle(clock)
    for module in (
        auth,
        dashboard,
        certificates,
        deputies,
        documents,
        attachments,
        signings,
        batches,
        webhooks,
        health,
    ):
        app.add_routes(module.routes)
    app.router.add_static("/static/", Path(str(resources.files("document_system") / "static")))
    app.add_subapp(RELAY_PATH, relay_app(settings.gateway_url))
    app.cleanup_ctx.extend((_database, _client, _follow_up))
    return app


async def _database(app: web.Application) -> AsyncIterator[None]:
    database = app[keys.DESK].database
    await database.open()
    try:
        if app[keys.SETTINGS].demo:
            hashed = await asyncio.to_thread(app[keys.PASSWORDS].hash, DEMO_PASSWORD)
            await database.run(seed, hashed)
        yield
    finally:
        await database.close()


async def _client(app: web.Application) -> AsyncIterator[None]:
    async with app[keys.DESK].client:
        yield


async def _follow_up(app: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(app[keys.FOLLOW_UP].run(), name="follow-up")
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
