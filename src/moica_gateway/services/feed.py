"""The webhooks' bodies as a feed, for receivers that cannot be called."""

from __future__ import annotations

from moica_gateway.domain.models import OutboxMessage
from moica_gateway.services.commands import Caller, Page
from moica_gateway.services.context import Context

__all__ = ["Feed"]


class Feed:
    """``GET /v1/events``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def events(self, caller: Caller, after: str, limit: int) -> Page[OutboxMessage]:
        """Oldest first; an empty ``after`` is the beginning; ``next_cursor`` goes on from here.

        Raises:
            RequestError: for a cursor that is not ours.
        """
        return await self._context.store.read(
            lambda uow: uow.outbox_after(caller.tenant, after, limit)
        )
