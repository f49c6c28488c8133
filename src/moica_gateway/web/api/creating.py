"""``POST /v1/registrations``, ``/v1/signatures``, ``/v1/signature-batches`` and
``/v1/authentications``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from aiohttp import web

from moica_gateway.domain.models import Channel, OnBehalfOf, Seal
from moica_gateway.domain.values import IdNumber, TransactionId
from moica_gateway.errors import error
from moica_gateway.services.commands import (
    Caller,
    Created,
    IdempotencyUse,
    NewAuthentication,
    NewDocument,
    NewRegistration,
    NewSignature,
)
from moica_gateway.web.api.reading import caller, idempotency_use, json_body, query
from moica_gateway.web.api.views import transaction_view
from moica_gateway.web.keys import IN_FLIGHT, OPTIONS, SERVICES
from moica_gateway.web.running import carry_on
from moica_gateway.wire import (
    AuthenticationRequest,
    BatchRequest,
    DocumentRequest,
    RegistrationRequest,
    SealRequest,
    SignatureRequest,
)

__all__ = ["authenticate", "register", "sign", "sign_batch"]

_RETRY_AFTER: Final = 2


async def register(request: web.Request) -> web.Response:
    """Ring the phone of an ID number."""
    who = await caller(request, None)
    query(request)
    value, raw = await json_body(request)
    asked = RegistrationRequest.parse(value)
    new = NewRegistration(
        user_id=asked.user_id,
        id_number=IdNumber.parse(asked.id_number),
        user_name=asked.user_name,
        channel=Channel(asked.channel),
        device_name=asked.device_name,
        time_limit=asked.time_limit,
        enable=asked.enable,
        supersede=asked.supersede,
        metadata=asked.metadata,
    )
    registration = request.app[SERVICES].registration
    return await _create(request, who, raw, lambda use: registration.create(who, new, use))


async def sign(request: web.Request) -> web.Response:
    """Ring the phone of a user's enabled credential."""
    who = await caller(request, None)
    query(request)
    value, raw = await json_body(request)
    asked = SignatureRequest.parse(value)
    return await _sign(request, who, raw, asked, (asked.document,))


async def sign_batch(request: web.Request) -> web.Response:
    """Ring it for several documents; further tickets follow by themselves."""
    who = await caller(request, None)
    query(request)
    value, raw = await json_body(request)
    asked = BatchRequest.parse(value)
    return await _sign(request, who, raw, asked, asked.documents)


async def _sign(
    request: web.Request,
    who: Caller,
    raw: bytes,
    asked: SignatureRequest | BatchRequest,
    documents: tuple[DocumentRequest, ...],
) -> web.Response:
    new = NewSignature(
        user_id=asked.user_id,
        documents=tuple(
            NewDocument(
                number=document.number,
                sha256=document.sha256,
                content=document.content,
                id=document.id,
                version=document.version,
                title=document.title,
                media_type=document.media_type,
                seal=_seal(document.seal),
            )
            for document in documents
        ),
        format=asked.format,
        level=asked.level,
        channel=Channel(asked.channel),
        device_name=asked.device_name,
        time_limit=asked.time_limit,
        on_behalf_of=OnBehalfOf(
            user_id=asked.on_behalf_of.user_id, reason=asked.on_behalf_of.reason
        )
        if asked.on_behalf_of
        else None,
        previous=TransactionId(asked.previous)
        if isinstance(asked, SignatureRequest) and asked.previous is not None
        else None,
        supersede=asked.supersede,
        metadata=asked.metadata,
    )
    signing = request.app[SERVICES].signing
    return await _create(request, who, raw, lambda use: signing.create(who, new, use))


def _seal(asked: SealRequest | None) -> Seal | None:
    if asked is None:
        return None
    return Seal(field=asked.field, page=asked.page, box=asked.box)


async def authenticate(request: web.Request) -> web.Response:
    """Confirm who is there: a registered user, or an ID number."""
    who = await caller(request, None)
    query(request)
    value, raw = await json_body(request)
    asked = AuthenticationRequest.parse(value)
    new = NewAuthentication(
        user_id=asked.user_id,
        id_number=IdNumber.parse(asked.id_number) if asked.id_number is not None else None,
        channel=Channel(asked.channel),
        device_name=asked.device_name,
        time_limit=asked.time_limit,
        supersede=asked.supersede,
        metadata=asked.metadata,
    )
    authentication = request.app[SERVICES].authentication
    return await _create(request, who, raw, lambda use: authentication.create(who, new, use))


async def _create(
    request: web.Request,
    who: Caller,
    raw: bytes,
    make: Callable[[IdempotencyUse | None], Coroutine[Any, Any, Created]],
) -> web.Response:
    use = idempotency_use(request, raw)
    made = await _once(request, who, use, make)
    view = await transaction_view(request.app[SERVICES], who, made.transaction, token=True)
    headers = {"Location": f"/v1/transactions/{made.transaction.id}"}
    if made.replayed:
        headers["Idempotency-Replayed"] = "true"
    return web.json_response(view.to_json(), status=201, headers=headers)


async def _once(
    request: web.Request,
    who: Caller,
    use: IdempotencyUse | None,
    make: Callable[[IdempotencyUse | None], Coroutine[Any, Any, Created]],
) -> Created:
    """While the first with that key runs, the second waits; a caller that leaves stops nothing."""
    if use is None:
        return await carry_on(request.app, make(None))
    running = request.app[IN_FLIGHT]
    slot = (who.tenant, use.method, use.path, use.key)
    first = running.get(slot)
    if first is not None:
        done, _ = await asyncio.wait({first}, timeout=request.app[OPTIONS].wait_for_first)
        if not done:
            raise error(
                "idempotency_running",
                "the first request with this Idempotency-Key is still running; ask again",
                retry_after=_RETRY_AFTER,
            )
        # From here on the record in the database decides, whoever of several comes first.
        return await carry_on(request.app, make(use))
    mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    running[slot] = mine

    async def and_free() -> Created:
        try:
            return await make(use)
        finally:
            running.pop(slot, None)
            mine.set_result(None)

    return await carry_on(request.app, and_free())
