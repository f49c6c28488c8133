"""The part of `/sim/v1` about what phones and certificates are like."""

from datetime import datetime, timedelta

from aiohttp import web

from moica_simulator.ca.profile import CertificateShape, Usage
from moica_simulator.errors import SimulatorError
from moica_simulator.web import shapes
from moica_simulator.web.body import Fields, read_fields, read_picture
from moica_simulator.web.keys import CORE

__all__ = ["read_shape", "routes"]

_PREFIX = "/sim/v1"
_WAYS = {"activation_code": ("activation_code",), "nfc": ("card_number", "pin")}
_SHAPE = ("valid_from", "valid_for_s", "last_four", "policy", "usage")


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    device, certificate = f"{_PREFIX}/devices/{{device_id}}", f"{_PREFIX}/certificates/{{serial}}"
    return [
        web.put(f"{device}/state", _set_state),
        web.post(f"{device}/renew", _renew),
        web.post(f"{device}/bind", _bind),
        web.post(f"{device}/unbind", _unbind),
        web.post(f"{device}/unlock", _unlock),
        web.post(f"{certificate}/suspend", _suspend),
        web.post(f"{certificate}/resume", _resume),
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


async def _bind(request: web.Request) -> web.Response:
    core, device_id = request.app[CORE], request.match_info["device_id"]
    if (picture := await read_picture(request)) is not None:
        return web.json_response(shapes.device(await core.bind(device_id, picture)))
    fields = await read_fields(request, "by", "activation_code", "card_number", "pin")
    by = fields.text("by", "activation_code")
    if by not in _WAYS:
        raise _invalid(f"by to be one of {', '.join(_WAYS)}")
    if strange := sorted(set(fields.names()) - {"by", *_WAYS[by]}):
        raise _invalid(f"for by {by} only {', '.join(_WAYS[by])}; {', '.join(strange)} came")
    if by == "nfc":
        device = await core.bind_by_nfc(device_id, fields.text("card_number"), fields.text("pin"))
    else:
        device = await core.bind(device_id, fields.text("activation_code"))
    return web.json_response(shapes.device(device))


async def _unbind(request: web.Request) -> web.Response:
    await read_fields(request)
    device = await request.app[CORE].unbind(request.match_info["device_id"])
    return web.json_response(shapes.device(device))


async def _unlock(request: web.Request) -> web.Response:
    await read_fields(request)
    device = request.app[CORE].unlock(request.match_info["device_id"])
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
