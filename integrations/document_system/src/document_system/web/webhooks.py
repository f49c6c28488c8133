"""``POST /webhooks/moica``: what the gateway tells us by itself."""

from __future__ import annotations

import logging
from typing import Final

from aiohttp import web

from document_system.outcomes import Applied, NotYet, apply_outcome
from document_system.web.keys import DESK, FOLLOW_UP, RECEIVER
from moica_gateway.errors import GatewayError
from moica_gateway.outcomes import Outcome

__all__ = ["routes"]

routes = web.RouteTableDef()

_log = logging.getLogger("document_system.webhooks")
_OURS: Final = ("registration", "signature", "transaction")


@routes.post("/webhooks/moica")
async def moica(request: web.Request) -> web.Response:
    """2xx once it is recorded or is none of our business; 4xx for what is not the gateway's."""
    body = await request.read()
    try:
        event = request.app[RECEIVER].receive(request.headers, body)
    except GatewayError as e:
        _log.warning("webhook.refused code=%s", e.code)
        return web.Response(status=400, text="not accepted\n")
    if event.type.partition(".")[0] not in _OURS:
        # A kind that came later than this program, or a test: received, and nothing to do.
        return web.Response(status=204)
    try:
        outcome = Outcome.of_event(event)
    except GatewayError as e:
        _log.warning("webhook.refused code=%s", e.code)
        return web.Response(status=400, text="not accepted\n")
    desk = request.app[DESK]
    try:
        applied = await desk.database.run(
            apply_outcome, outcome, webhook_id=event.id, now=desk.clock()
        )
    except NotYet:
        return web.Response(status=503, headers={"Retry-After": "2"})
    level = logging.ERROR if applied is Applied.MISMATCH else logging.INFO
    _log.log(level, "webhook.%s transaction=%s", applied.value, outcome.transaction_id)
    if applied is Applied.RECORDED:
        request.app[FOLLOW_UP].wake()
    return web.Response(status=204)
