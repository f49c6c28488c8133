"""`/sim/v1/...`: the control API, by which tests and pages set the scene and look behind it.

Errors are `{"error", "detail"}`; a refusal of the platform towards a phone is 409 with the
platform's code as `error`. It asks nobody who they are: it is for a test machine.
"""

from datetime import datetime
from typing import Any

from aiohttp import web

from moica_simulator._version import __version__
from moica_simulator.clock import Clock
from moica_simulator.device import Device
from moica_simulator.errors import SimulatorError
from moica_simulator.platform.confirmation import TicketView
from moica_simulator.records import TicketStatus
from moica_simulator.web import control_people, control_phones, shapes
from moica_simulator.web.body import Fields, list_parameters, read_fields, read_picture
from moica_simulator.web.keys import CORE
from moica_simulator.web.openapi import control_document

__all__ = ["routes"]

_PREFIX = "/sim/v1"


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    person, device = f"{_PREFIX}/people/{{id_number}}", f"{_PREFIX}/devices/{{device_id}}"
    ask = f"{device}/requests/{{sp_ticket_id}}"
    return [
        web.post(f"{person}/devices", _bind_new_device),
        web.get(f"{person}/devices", _list_devices),
        web.post(f"{_PREFIX}/devices", _add_device),
        web.get(f"{_PREFIX}/devices", _list_devices),
        web.get(device, _get_device),
        web.put(f"{device}/behaviour", _set_behaviour),
        web.get(f"{device}/inbox", _inbox),
        web.post(f"{device}/scan", _scan),
        web.post(f"{device}/links", _open_link),
        web.post(f"{ask}/confirm", _confirm),
        web.post(f"{ask}/refuse", _refuse),
        web.post(f"{_PREFIX}/service-providers", _add_service_provider),
        web.get(f"{_PREFIX}/service-providers", _list_service_providers),
        web.post(f"{_PREFIX}/faults", _add_fault),
        web.get(f"{_PREFIX}/faults", _list_faults),
        web.delete(f"{_PREFIX}/faults", _clear_faults),
        web.delete(f"{_PREFIX}/faults/{{fault_id}}", _remove_fault),
        web.get(f"{_PREFIX}/clock", _get_clock),
        web.post(f"{_PREFIX}/clock", _move_clock),
        web.get(f"{_PREFIX}/certificates", _list_certificates),
        web.post(f"{_PREFIX}/certificates/{{serial}}/revoke", _revoke),
        web.get(f"{_PREFIX}/openapi.json", _show_document),
        *control_people.routes(),
        *control_phones.routes(),
    ]


async def _show_document(_: web.Request) -> web.Response:
    return web.json_response(control_document(__version__))


async def _bind_new_device(request: web.Request) -> web.Response:
    fields = await read_fields(request, "name", "platform", "certificate")
    device = await request.app[CORE].bind_device(
        request.match_info["id_number"],
        fields.text("name"),
        fields.text("platform", "Android"),
        shape=control_phones.read_shape(fields),
    )
    return web.json_response(shapes.device(device), status=201)


async def _list_devices(request: web.Request) -> web.Response:
    core = request.app[CORE]
    after, limit = list_parameters(request)
    id_number = request.match_info.get("id_number")
    owner = None if id_number is None else core.person(id_number).id_number
    page = core.state.phone.handsets.page(after=after, limit=limit, owner=owner)
    items = [shapes.device(Device.of(each)) for each in page.items]
    return web.json_response(shapes.listing(items, page.next_cursor))


async def _add_device(request: web.Request) -> web.Response:
    fields = await read_fields(request, "name", "platform")
    device = await request.app[CORE].add_device(
        fields.text("name"), fields.text("platform", "Android")
    )
    return web.json_response(shapes.device(device), status=201)


async def _get_device(request: web.Request) -> web.Response:
    device = request.app[CORE].device(request.match_info["device_id"])
    return web.json_response(shapes.device(device))


async def _set_behaviour(request: web.Request) -> web.Response:
    fields = await read_fields(request, "on_request", "delay_s")
    device = await request.app[CORE].set_behaviour(
        request.match_info["device_id"],
        fields.text("on_request"),
        delay_s=fields.number("delay_s", 0.0),
    )
    return web.json_response(shapes.behaviour(device.behaviour))


async def _inbox(request: web.Request) -> web.Response:
    after, limit = list_parameters(request)
    wanted = request.query.get("status")
    if wanted is not None and wanted not in list(TicketStatus):
        raise SimulatorError(
            "parameter_invalid",
            f"status: expected one of {', '.join(TicketStatus)}; {wanted!r} came",
        )
    views = await request.app[CORE].inbox(request.match_info["device_id"])
    shown = [view for view in views if wanted in (None, view.status)]
    return web.json_response(shapes.slice_of(shown, shapes.ticket, after, limit))


async def _scan(request: web.Request) -> web.Response:
    payload: str | bytes | None = await read_picture(request)
    if payload is None:
        payload = str((await read_fields(request, "payload")).text("payload"))
    view = await request.app[CORE].scan(request.match_info["device_id"], payload)
    return web.json_response(shapes.ticket(view))


async def _open_link(request: web.Request) -> web.Response:
    fields = await read_fields(request, "url")
    opened = await request.app[CORE].open_link(request.match_info["device_id"], fields.text("url"))
    return web.json_response(shapes.opened_link(opened))


async def _confirm(request: web.Request) -> web.Response:
    return await _decide(request, confirm=True)


async def _refuse(request: web.Request) -> web.Response:
    return await _decide(request, confirm=False)


async def _decide(request: web.Request, *, confirm: bool) -> web.Response:
    await read_fields(request)
    core = request.app[CORE]
    decide = core.confirm if confirm else core.refuse
    view: TicketView = await decide(
        request.match_info["device_id"], request.match_info["sp_ticket_id"]
    )
    return web.json_response(shapes.ticket(view))


async def _add_service_provider(request: web.Request) -> web.Response:
    core = request.app[CORE]
    fields = await read_fields(request, "sp_service_id", "aes_key", "name", "callback_url")
    sp_service_id = fields.text("sp_service_id")
    known = core.state.platform.service_providers.get(sp_service_id) is not None
    added = await core.add_service_provider(
        sp_service_id,
        fields.text("aes_key"),
        fields.text("name"),
        callback_url=fields.text("callback_url", None),
    )
    return web.json_response(shapes.service_provider(added), status=200 if known else 201)


async def _list_service_providers(request: web.Request) -> web.Response:
    after, limit = list_parameters(request)
    page = request.app[CORE].state.platform.service_providers.page(after=after, limit=limit)
    items = [shapes.service_provider(each) for each in page.items]
    return web.json_response(shapes.listing(items, page.next_cursor))


async def _add_fault(request: web.Request) -> web.Response:
    fields = await read_fields(
        request,
        "interface",
        "code",
        "http_status",
        "latency_s",
        "drop",
        "tamper",
        "reseal",
        "alter",
        "line",
        "clock_skew_s",
        "ticket_skew_s",
        "id_number",
        "sp_service_id",
        "device_id",
        "rate",
        "times",
    )
    code: Any = fields.get("code")
    drop: Any = fields.get("drop")
    if isinstance(code, bool) or not isinstance(code, str | int | None):
        raise SimulatorError("fault_invalid", "code: expected text or a whole number")
    if not isinstance(drop, str | bool | None):
        raise SimulatorError("fault_invalid", "drop: expected true, 'answer' or 'request'")
    fault = await request.app[CORE].add_fault(
        fields.text("interface"),
        code=code,
        http_status=fields.whole_number("http_status", None),
        latency_s=fields.number("latency_s", None),
        drop=drop,
        tamper=fields.text("tamper", None),
        reseal=fields.flag("reseal", True),
        alter=fields.text("alter", None),
        line=fields.text("line", None),
        clock_skew_s=fields.number("clock_skew_s", None),
        ticket_skew_s=fields.number("ticket_skew_s", None),
        id_number=fields.text("id_number", None),
        sp_service_id=fields.text("sp_service_id", None),
        device_id=fields.text("device_id", None),
        rate=fields.number("rate", None),
        times=fields.whole_number("times", None) if fields.has("times") else 1,
    )
    return web.json_response(shapes.fault(fault), status=201)


async def _list_faults(request: web.Request) -> web.Response:
    after, limit = list_parameters(request)
    faults = request.app[CORE].faults.all()
    return web.json_response(shapes.slice_of(faults, shapes.fault, after, limit))


async def _clear_faults(request: web.Request) -> web.Response:
    request.app[CORE].faults.clear()
    return web.Response(status=204)


async def _remove_fault(request: web.Request) -> web.Response:
    request.app[CORE].faults.remove(request.match_info["fault_id"])
    return web.Response(status=204)


async def _get_clock(request: web.Request) -> web.Response:
    return _clock_answer(request)


async def _move_clock(request: web.Request) -> web.Response:
    core = request.app[CORE]
    fields = await read_fields(request, "advance_s", "set_to", "freeze", "reset")
    try:
        _move(core.clock, fields)
    except ValueError as error:
        raise SimulatorError("clock_invalid", str(error)) from error
    await core.settle()
    core.log.info("clock.moved", advanced_s=core.clock.advanced.total_seconds())
    return _clock_answer(request)


def _move(clock: Clock, fields: Fields) -> None:
    given = [name for name in fields.names() if fields.get(name) is not None]
    if len(given) != 1:
        raise ValueError(
            f"expected exactly one of advance_s, set_to, freeze, reset; {len(given)} came"
        )
    if "advance_s" in given:
        clock.advance(fields.number("advance_s"))
    elif "set_to" in given:
        clock.set(datetime.fromisoformat(fields.text("set_to")))
    elif "reset" in given:
        if not fields.flag("reset"):
            raise ValueError("reset: expected true")
        clock.reset()
    elif fields.flag("freeze"):
        clock.freeze()
    else:
        clock.run()


def _clock_answer(request: web.Request) -> web.Response:
    clock = request.app[CORE].clock
    return web.json_response(
        {
            "now": shapes.rfc3339(clock.now()),
            "advanced_s": clock.advanced.total_seconds(),
            "frozen": clock.frozen,
        }
    )


async def _list_certificates(request: web.Request) -> web.Response:
    after, limit = list_parameters(request)
    page = request.app[CORE].state.ca.certificates.page(after=after, limit=limit)
    items = [shapes.certificate(each) for each in page.items]
    return web.json_response(shapes.listing(items, page.next_cursor))


async def _revoke(request: web.Request) -> web.Response:
    core = request.app[CORE]
    fields = await read_fields(request, "reason", "forget_device")
    revoked = await core.revoke(
        request.match_info["serial"],
        reason=fields.text("reason", "unspecified"),
        forget_device=fields.flag("forget_device", False),
    )
    core.log.info("certificate.revoked", serial=revoked.serial)
    return web.json_response(shapes.certificate(revoked))
