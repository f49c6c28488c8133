"""The part of `/sim/v1` about what phones and certificates are like."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from moica_simulator.ca.profile import CertificateShape, Usage
from moica_simulator.errors import SimulatorError
from moica_simulator.testpersons import TEST_PERSONS
from moica_simulator.web import shapes
from moica_simulator.web.body import Fields, read_fields
from moica_simulator.web.keys import CORE

__all__ = ["read_shape", "routes"]

_PREFIX = "/sim/v1"
_SHAPE = ("valid_from", "valid_for_s", "last_four", "policy", "usage")


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    device, certificate = f"{_PREFIX}/devices/{{device_id}}", f"{_PREFIX}/certificates/{{serial}}"
    return [
        web.put(f"{device}/state", _set_state),
        web.post(f"{device}/renew", _renew),
        web.post(f"{certificate}/suspend", _suspend),
        web.post(f"{certificate}/resume", _resume),
        web.post(f"{_PREFIX}/people/{{id_number}}/deregister", _deregister),
        web.post(f"{_PREFIX}/test-persons", _add_test_persons),
        web.get(f"{_PREFIX}/test-persons", _list_test_persons),
    ]


def read_shape(fields: Fields) -> CertificateShape:
    """Reads how a certificate is to differ: `certificate`, an object, absent for not at all.

    Raises:
        SimulatorError: `request_invalid`.
    """
    given = fields.get("certificate")
    if given is None:
        return CertificateShape()
    if not isinstance(given, dict) or not set(given) <= set(_SHAPE):
        raise _invalid(f"certificate to be an object of {', '.join(_SHAPE)}")
    inner = Fields(given)
    valid_for = inner.number("valid_for_s", None)
    if valid_for is not None and not 1 <= valid_for <= 20 * 365 * 86_400:
        raise _invalid("certificate.valid_for_s from 1 second to 20 years")
    last_four = inner.text("last_four", None)
    if last_four is not None and (len(last_four) != 4 or not last_four.isalnum()):
        raise _invalid("certificate.last_four to be four letters or digits")
    try:
        usage = Usage(inner.text("usage", Usage.DIGITAL_SIGNATURE.value))
    except ValueError as error:
        raise _invalid(f"certificate.usage one of {', '.join(Usage)}") from error
    return CertificateShape(
        valid_from=_moment(inner.text("valid_from", None)),
        valid_for=None if valid_for is None else timedelta(seconds=valid_for),
        last_four=last_four,
        policy=inner.flag("policy", True),
        usage=usage,
    )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid("certificate.valid_from in RFC 3339") from error
    if moment.tzinfo is None:
        raise _invalid("certificate.valid_from in RFC 3339, with a zone")
    return moment


def _invalid(expected: str) -> SimulatorError:
    return SimulatorError("request_invalid", f"expected {expected}")


async def _set_state(request: web.Request) -> web.Response:
    fields = await read_fields(request, "push", "network", "fingerprint_failures")
    device = await request.app[CORE].set_state(
        request.match_info["device_id"],
        push=fields.text("push", None),
        network=fields.text("network", None),
        fingerprint_failures=fields.whole_number("fingerprint_failures", None),
    )
    return web.json_response(shapes.device(device))


async def _renew(request: web.Request) -> web.Response:
    fields = await read_fields(request, "certificate")
    device = await request.app[CORE].renew(
        request.match_info["device_id"], shape=read_shape(fields)
    )
    return web.json_response(shapes.device(device))


async def _suspend(request: web.Request) -> web.Response:
    await read_fields(request)
    found = request.app[CORE].ca.suspend(request.match_info["serial"])
    return web.json_response(shapes.certificate(found))


async def _resume(request: web.Request) -> web.Response:
    await read_fields(request)
    found = request.app[CORE].ca.resume(request.match_info["serial"])
    return web.json_response(shapes.certificate(found))


async def _deregister(request: web.Request) -> web.Response:
    await read_fields(request)
    await request.app[CORE].deregister(request.match_info["id_number"])
    return web.json_response(
        shapes.person(request.app[CORE].person(request.match_info["id_number"]))
    )


async def _add_test_persons(request: web.Request) -> web.Response:
    await read_fields(request)
    await request.app[CORE].add_test_persons()
    return await _list_test_persons(request)


async def _list_test_persons(_request: web.Request) -> web.Response:
    items: list[dict[str, Any]] = [
        {"id_number": each.id_number, "name": each.name, "outcome": each.outcome}
        for each in TEST_PERSONS
    ]
    return web.json_response(shapes.listing(items, None))
