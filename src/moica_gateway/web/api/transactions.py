"""``/v1/transactions``: reading, waiting, further challenges, cancelling, artifacts."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Final, TypeVar

from aiohttp import web

from moica_gateway.domain.models import Channel, Kind, Scope, Status
from moica_gateway.domain.values import TransactionId
from moica_gateway.errors import error
from moica_gateway.services.commands import Caller, Download, TransactionFilter
from moica_gateway.web.api.qr import qr_png, qr_svg
from moica_gateway.web.api.reading import (
    caller,
    idempotency_use,
    json_body,
    query,
    query_time,
    query_whole,
)
from moica_gateway.web.api.views import transaction_view
from moica_gateway.web.keys import METER, OPTIONS, SERVICES, STREAM
from moica_gateway.web.running import carry_on, unless_stopped
from moica_gateway.wire import ChallengeRequest, PageView

__all__ = [
    "add_challenge",
    "artifact",
    "browser_token",
    "cancel",
    "cancel_document",
    "events",
    "evidence",
    "get",
    "list_",
    "qr_png_image",
    "qr_svg_image",
]

_MAX_WAIT: Final = 55
_Choice = TypeVar("_Choice", Status, Kind)


def _id(request: web.Request) -> TransactionId:
    return TransactionId(request.match_info["id"])


async def get(request: web.Request) -> web.Response:
    """One, at once or after a change (``wait``, ``since``)."""
    who = await caller(request, Scope.READ, browser=True)
    values = query(request, "wait", "since")
    seconds = query_whole(values, "wait", 0, _MAX_WAIT, 0)
    since = query_whole(values, "since", 0, 2**53, -1)
    transactions = request.app[SERVICES].transactions
    found = None
    if seconds:
        with request.app[METER].held_open(who):
            found = await unless_stopped(
                request.app,
                transactions.wait(
                    _bound(who, request),
                    _id(request),
                    since=None if since < 0 else since,
                    seconds=seconds,
                ),
            )
    if found is None:
        found = await transactions.get(_bound(who, request), _id(request))
    view = await transaction_view(request.app[SERVICES], who, found)
    return web.json_response(view.to_json())


async def list_(request: web.Request) -> web.Response:
    """Newest first."""
    who = await caller(request, Scope.READ)
    values = query(
        request,
        "user_id",
        "document_number",
        "status",
        "kind",
        "created_from",
        "created_until",
        "limit",
        "cursor",
    )
    where = TransactionFilter(
        user_id=values.get("user_id"),
        document_number=values.get("document_number"),
        status=_choice(values.get("status"), Status, "status"),
        kind=_choice(values.get("kind"), Kind, "kind"),
        created_from=query_time(values, "created_from"),
        created_until=query_time(values, "created_until"),
    )
    page = await request.app[SERVICES].transactions.list(
        who,
        where,
        limit=query_whole(values, "limit", 1, 200, 50),
        cursor=values.get("cursor") or None,
    )
    items = [(await transaction_view(request.app[SERVICES], who, t)).to_json() for t in page.items]
    return web.json_response(PageView(items=tuple(items), next_cursor=page.next_cursor).to_json())


def _choice(text: str | None, kind: type[_Choice], name: str) -> _Choice | None:
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError as e:
        raise error(
            "request_invalid",
            f"query `{name}`: expected one of {', '.join(sorted(kind))}; came another",
            member=name,
        ) from e


async def events(request: web.Request) -> web.StreamResponse:
    """Server-sent events; 204 once the terminal state was heard."""
    who = await caller(request, Scope.READ, browser=True)
    query(request)
    services, transaction_id = request.app[SERVICES], _id(request)
    last = request.headers.get("Last-Event-ID", "")
    since = int(last) if last.isascii() and last.isdigit() and len(last) < 16 else None
    found = await services.transactions.get(_bound(who, request), transaction_id)
    if found.status.terminal and since is not None and since >= found.version:
        return web.Response(status=204)
    # A version that is not there yet would hide every change up to it, the last one too.
    since = None if since is None else min(since, found.version)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    with request.app[METER].held_open(who):
        await response.prepare(request)
        request[STREAM] = response
        await unless_stopped(request.app, _write_events(request, response, who, since))
    return response


async def _write_events(
    request: web.Request, response: web.StreamResponse, who: Caller, since: int | None
) -> None:
    services = request.app[SERVICES]
    watched = services.transactions.watch(
        who, _id(request), since=since, heartbeat=request.app[OPTIONS].heartbeat
    )
    # Closed here and now, not when the collector comes: the subscription hangs on it.
    async with aclosing(watched) as changes:
        async for changed in changes:
            if changed is None:
                await response.write(b": still here\n\n")
                continue
            view = await transaction_view(services, who, changed)
            data = json.dumps(view.to_json(), ensure_ascii=False)
            await response.write(
                f"event: transaction\nid: {changed.version}\ndata: {data}\n\n".encode()
            )


async def add_challenge(request: web.Request) -> web.Response:
    """「QR Code 模式登入」 and the like."""
    who = await caller(request, None, browser=True)
    if not who.browser:
        _need_any(who, Scope.SIGN, Scope.REGISTER)
    query(request)
    value, raw = await json_body(request)
    asked = ChallengeRequest.parse(value)
    use = idempotency_use(request, raw)
    found = await carry_on(
        request.app,
        request.app[SERVICES].challenges.add(
            _bound(who, request), _id(request), Channel(asked.channel), asked.return_url, use
        ),
    )
    view = await transaction_view(request.app[SERVICES], who, found)
    return web.json_response(view.to_json(), status=201)


async def qr_svg_image(request: web.Request) -> web.Response:
    """The code of the open QR challenge, as SVG."""
    body = await asyncio.to_thread(qr_svg, await _qr_payload(request))
    return web.Response(body=body, content_type="image/svg+xml")


async def qr_png_image(request: web.Request) -> web.Response:
    """The same as PNG."""
    body = await asyncio.to_thread(qr_png, await _qr_payload(request))
    return web.Response(body=body, content_type="image/png")


async def _qr_payload(request: web.Request) -> str:
    """Of the newest one that is open; what has lapsed or ended is never shown."""
    who = await caller(request, Scope.READ, browser=True)
    query(request)
    services = request.app[SERVICES]
    found = await services.transactions.get(_bound(who, request), _id(request))
    payloads = [services.challenges.presentation(c).qr_payload for c in found.challenges]
    payload = next((p for p in reversed(payloads) if p is not None), None)
    if payload is None:
        raise error(
            "not_found", "expected a transaction with an open QR challenge; ask for one first"
        )
    return payload


async def cancel(request: web.Request) -> web.Response:
    """Immediate; a terminal one is returned unchanged."""
    who = await caller(request, None)
    _need_any(who, Scope.SIGN, Scope.REGISTER)
    query(request)
    found = await carry_on(request.app, request.app[SERVICES].settlement.cancel(who, _id(request)))
    view = await transaction_view(request.app[SERVICES], who, found)
    return web.json_response(view.to_json())


async def cancel_document(request: web.Request) -> web.Response:
    """Recall: every pending transaction over that document."""
    who = await caller(request, None)
    _need_any(who, Scope.SIGN, Scope.REGISTER)
    query(request)
    value, _ = await json_body(request)
    number = value.get("document_number") if isinstance(value, dict) else None
    if not isinstance(number, str) or not number or set(value) != {"document_number"}:
        raise error(
            "request_invalid",
            "expected `{document_number}` alone, a text; the integrator corrects the body",
            member="document_number",
        )
    ended = await carry_on(
        request.app, request.app[SERVICES].settlement.cancel_document(who, number)
    )
    items = [(await transaction_view(request.app[SERVICES], who, t)).to_json() for t in ended]
    return web.json_response(PageView(items=tuple(items)).to_json())


async def browser_token(request: web.Request) -> web.Response:
    """For the widget. Its bearer may ring the phone again, so scope ``read`` is too little."""
    who = await caller(request, None)
    _need_any(who, Scope.SIGN, Scope.REGISTER)
    query(request)
    found = await request.app[SERVICES].transactions.get(who, _id(request))
    token = request.app[SERVICES].tenants.browser_token(found)
    return web.json_response({"browser_token": token}, status=201)


async def artifact(request: web.Request) -> web.Response:
    """The signed thing."""
    who = await caller(request, Scope.READ)
    values = query(request, "document")
    found = await request.app[SERVICES].transactions.artifact(
        who, _id(request), values.get("document")
    )
    return _attached(found)


async def evidence(request: web.Request) -> web.Response:
    """Everything that is needed to check it years later."""
    who = await caller(request, Scope.READ)
    query(request)
    return _attached(await request.app[SERVICES].evidence.of(who, _id(request)))


def _attached(found: Download) -> web.Response:
    return web.Response(
        body=found.data,
        content_type=found.media_type,
        headers={"Content-Disposition": f'attachment; filename="{found.filename}"'},
    )


def _bound(who: Caller, request: web.Request) -> Caller:
    """A browser token opens its own transaction only; another id answers as an unknown one."""
    if who.browser and who.transaction_id != request.match_info["id"]:
        raise error("not_found", "expected the id of a transaction of this tenant, came another")
    return who


def _need_any(who: Caller, *scopes: Scope) -> None:
    if not any(scope in who.scopes for scope in scopes):
        who.need(scopes[0])
