"""What the window over one document and the window over several have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from aiohttp import web

from document_system.errors import Refused
from document_system.models import Confirmation
from document_system.outcomes import message_of
from document_system.store import confirmations
from document_system.web.keys import ASKING, DESK, SIGNING
from document_system.web.paths import path_of
from document_system.web.render import redirect, user_of
from moica_gateway.errors import GatewayError

__all__ = ["begun", "followed"]


async def begun(
    request: web.Request, asked: Awaitable[Confirmation], numbers: Sequence[str], back: str
) -> web.Response:
    """To the window of what is begun; back with the reason where nothing is."""
    try:
        confirmation = await asked
    except Refused as e:
        return await redirect(request, back, str(e))
    except GatewayError as e:
        # Frozen and written, but the gateway's answer is lost: the window asks again under the
        # same key.
        waiting = await request.app[DESK].database.run(confirmations.open_signature, numbers[0])
        if waiting is None or waiting.user_id != user_of(request).user_id:
            raise
        return await redirect(request, path_of(waiting), message_of(e.problem))
    return await redirect(request, path_of(confirmation))


async def followed(
    request: web.Request, confirmation: Confirmation
) -> tuple[Confirmation, str | None]:
    """As the gateway says that it stands now, and what is to be said where it cannot be asked."""
    asking = request.app[ASKING]
    try:
        if confirmation.status == "starting":
            confirmation = await request.app[SIGNING].resume(confirmation)
        return await asking.look(confirmation), None
    except GatewayError as e:
        return await asking.reload(confirmation), f"暫時無法確認狀態：{message_of(e.problem)}"
    except Refused as e:
        return confirmation, str(e)
