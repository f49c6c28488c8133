"""The part of `/sim/v1` that looks behind the platform: its tickets, every request with its answer,
and why a checksum is wrong.

For tests to assert on and for the page `/platform`. It shows payloads in full, since that is what
an integrator has to compare; only in the list of tickets is the person masked. No key is shown.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from moica_simulator.checksum import sha256_hex
from moica_simulator.errors import SimulatorError
from moica_simulator.explain import Explanation, Mistake, explain_answer, explain_request
from moica_simulator.history import RecordedRequest
from moica_simulator.platform import wire
from moica_simulator.platform.wire import Interface
from moica_simulator.records import ServiceProvider, Ticket, TicketStatus
from moica_simulator.web import shapes
from moica_simulator.web.body import list_parameters
from moica_simulator.web.keys import CORE
from moica_simulator.web.openapi.watching import ORDERS

__all__ = ["routes"]

_PREFIX = "/sim/v1"
_CHECKSUMS: Mapping[str, bool | None] = {"right": True, "wrong": False, "unchecked": None}


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    return [
        web.get(f"{_PREFIX}/requests", _list_requests),
        web.get(f"{_PREFIX}/requests/{{number}}/explanation", _explain),
        web.get(f"{_PREFIX}/tickets", _list_tickets),
    ]


async def _list_requests(request: web.Request) -> web.Response:
    after, limit = list_parameters(request)
    newest = _choice(request, "order", ORDERS) == "newest"
    interface = _choice(request, "interface", tuple(Interface))
    checked = _choice(request, "checksum", tuple(_CHECKSUMS))
    kept = request.app[CORE].requests.where(
        interface=interface,
        sp_service_id=request.query.get("sp_service_id"),
        id_number=request.query.get("id_number"),
        sp_ticket_id=request.query.get("sp_ticket_id"),
        since=_moment(request, "since"),
    )
    shown = [
        each
        for each in sorted(kept, key=lambda each: each.number, reverse=newest)
        if (each.number > after if not newest else not after or each.number < after)
        and (checked is None or each.checksum_verified is _CHECKSUMS[checked])
    ]
    more = str(shown[limit - 1].number) if len(shown) > limit else None
    return web.json_response(
        shapes.listing([shapes.recorded_request(each) for each in shown[:limit]], more)
    )


async def _explain(request: web.Request) -> web.Response:
    core, number = request.app[CORE], request.match_info["number"]
    found = next((each for each in core.requests if str(each.number) == number), None)
    if found is None:
        raise SimulatorError(
            "request_unknown",
            "no request of this number is kept; GET /sim/v1/requests lists them",
            status=404,
        )
    providers = {each.sp_service_id: each for each in core.state.platform.service_providers.all()}
    # Thousands of payloads may be tried: off the loop, which has phones and pollers to serve.
    explained = await asyncio.to_thread(_explained, found, providers, core.requests)
    return web.json_response(explained)


def _explained(
    entry: RecordedRequest,
    providers: dict[str, ServiceProvider],
    history: tuple[RecordedRequest, ...],
) -> dict[str, Any]:
    interface = Interface(entry.interface)
    provider = providers.pop(entry.sp_service_id or "", None)
    return {
        "number": entry.number,
        "interface": entry.interface,
        "sp_service_id": entry.sp_service_id,
        "request": _of_request(interface, entry, provider, providers, history),
        "answer": _of_answer(interface, entry, provider, history),
    }


def _of_request(
    interface: Interface,
    entry: RecordedRequest,
    provider: ServiceProvider | None,
    others: Mapping[str, ServiceProvider],
    history: tuple[RecordedRequest, ...],
) -> dict[str, Any] | None:
    if provider is None or not isinstance(entry.body, Mapping):
        return None
    hashes = {
        each.payload_sha256: Mistake(
            "checksum_of_another_request",
            f"這是另一筆要求（第 {each.number} 筆，{each.interface}）的檢查碼；每筆要求要各自計算",
            f"this is the checksum of another request (number {each.number}, {each.interface}); "
            "each request has its own",
        )
        for each in history
        if each.payload_sha256 is not None and each.number != entry.number
    }
    keys = {f"{each.name}（{each.sp_service_id}）": each.aes_key for each in others.values()}
    return _shape(
        explain_request(interface, entry.body, provider.aes_key, other_keys=keys, others=hashes)
    )


def _of_answer(
    interface: Interface,
    entry: RecordedRequest,
    provider: ServiceProvider | None,
    history: tuple[RecordedRequest, ...],
) -> dict[str, Any] | None:
    if provider is None or not _idp_checksum(entry.answer):
        return None
    hashes = {
        sha256_hex(payload): Mistake(
            "checksum_of_another_answer",
            f"這是另一筆回覆（第 {each.number} 筆）的檢查碼",
            f"this is the checksum of another answer (number {each.number})",
        )
        for each in history
        if each.number != entry.number and (payload := _idp_payload(each))
    }
    if entry.payload_sha256 is not None:
        hashes[entry.payload_sha256] = Mistake(
            "checksum_echoed",
            "這是要求自己的檢查碼原樣送回，不是回覆的檢查碼",
            "this is the request's own checksum sent back, not the answer's",
        )
    sent = _transaction_id(entry)
    return _shape(explain_answer(interface, sent, entry.answer, provider.aes_key, others=hashes))


def _idp_payload(entry: RecordedRequest) -> str:
    """What the checksum of an answer has to cover; empty if it has none."""
    if not _idp_checksum(entry.answer):
        return ""
    flat = {**entry.answer, **(entry.answer.get("result") or {})}
    flat |= {"transaction_id": _transaction_id(entry), "error_code": str(flat["error_code"])}
    order = wire.IDP_ORDER[Interface(entry.interface)]
    return "".join(value for name in order if isinstance(value := flat.get(name), str))


def _idp_checksum(answer: Any) -> bool:
    if not isinstance(answer, Mapping) or "error_code" not in answer:
        return False
    result = answer.get("result")
    return "idp_checksum" in (result if isinstance(result, Mapping) else answer)


def _transaction_id(entry: RecordedRequest) -> str:
    # A callback of WEB-01 is recorded without a body: its form says which transaction it ends.
    found = (entry.body if isinstance(entry.body, Mapping) else entry.answer).get("transaction_id")
    return found if isinstance(found, str) else ""


def _shape(found: Explanation) -> dict[str, Any]:
    return {
        "right": found.right,
        "fields": [{"name": name, "value": value} for name, value in found.fields],
        "payload": found.payload,
        "payload_sha256": found.sha256,
        "sent": found.sent or None,
        "inside": found.inside,
        "diagnoses": [
            [
                {"name": each.name, "zh": each.zh, "en": each.en, "sure": each.sure}
                for each in diagnosis
            ]
            for diagnosis in found.diagnoses
        ],
    }


async def _list_tickets(request: web.Request) -> web.Response:
    core = request.app[CORE]
    after, limit = list_parameters(request)
    newest = _choice(request, "order", ORDERS) == "newest"
    status = _choice(request, "status", tuple(TicketStatus))
    service_id = request.query.get("sp_service_id")
    now = core.clock.now()
    names = {each.sp_service_id: each.name for each in core.state.platform.service_providers.all()}

    def wanted(ticket: Ticket) -> bool:
        return service_id in (None, ticket.sp_service_id) and (
            status is None or ticket.status_at(now) == status
        )

    items: list[dict[str, Any]] = []
    last = after
    for position, ticket in core.state.platform.tickets.walk(after=after, newest_first=newest):
        if not wanted(ticket):
            continue
        if len(items) == limit:
            return web.json_response(shapes.listing(items, str(last)))
        person = core.state.platform.people.get(ticket.id_number)
        items.append(
            shapes.platform_ticket(
                ticket, now, names.get(ticket.sp_service_id, ""), person.name if person else ""
            )
        )
        last = position
    return web.json_response(shapes.listing(items, None))


def _moment(request: web.Request, name: str) -> datetime | None:
    value = request.query.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise SimulatorError(
            "parameter_invalid",
            f"{name}: expected RFC 3339 with an offset, e.g. 2026-04-24T04:00:00Z (a + in an "
            f"address is written %2B); {value!r} came",
        )
    return moment


def _choice(request: web.Request, name: str, known: tuple[str, ...]) -> str | None:
    value = request.query.get(name)
    if value is not None and value not in known:
        raise SimulatorError(
            "parameter_invalid", f"{name}: expected one of {', '.join(known)}; {value!r} came"
        )
    return value
