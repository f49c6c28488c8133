"""``POST /v1/device-status``, ``POST /v1/verifications``, and ``POST /callbacks/moi/{tenant}`` for
the Ministry's site.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.web import RequestPayloadError

from moica_gateway.domain.models import Scope
from moica_gateway.domain.readings import GivenContent
from moica_gateway.domain.values import IdNumber, TenantId
from moica_gateway.errors import error
from moica_gateway.services.commands import DeviceQuery
from moica_gateway.web.api.reading import caller, json_body, query
from moica_gateway.web.api.views import verification_view
from moica_gateway.web.keys import CALLBACKS, OPTIONS, SERVICES, CallbackCounts
from moica_gateway.web.running import carry_on
from moica_gateway.wire import DeviceStatusRequest, DeviceStatusView, VerificationRequest

__all__ = ["CALLBACKS_A_MINUTE", "callback", "device_status", "verify"]

CALLBACKS_A_MINUTE: Final = 300
"""A tenant; a form costs a look-up and a checksum, and anyone may send one."""

_MAX_FORM: Final = 65_536
_MAX_TENANTS: Final = 1_000
_WINDOW: Final = 60.0
_OTHERS: Final = ""
_PAGE: Final = """\
<!doctype html>
<html lang="zh-TW">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>行動自然人憑證</title>
<p>請回到原來的視窗查看結果，此頁可以關閉。</p>
<p lang="en">Please go back to the window where you began; this page can be closed.</p>
</html>
""".encode()


async def device_status(request: web.Request) -> web.Response:
    """What the platform knows of a person's phones."""
    who = await caller(request, None)
    query(request)
    value, _ = await json_body(request)
    asked = DeviceStatusRequest.parse(value)
    wanted = DeviceQuery(
        user_id=asked.user_id,
        id_number=IdNumber.parse(asked.id_number) if asked.id_number is not None else None,
    )
    found = await carry_on(request.app, request.app[SERVICES].device_status.ask(who, wanted))
    view = DeviceStatusView(bound=found.bound, certificate_usable=found.certificate_usable)
    return web.json_response(view.to_json())


async def verify(request: web.Request) -> web.Response:
    """What holds of any signature of this PKI."""
    await caller(request, Scope.READ)
    query(request)
    value, _ = await json_body(request)
    asked = VerificationRequest.parse(value)
    given = GivenContent(
        content=asked.content,
        sha256=bytes.fromhex(asked.sha256) if asked.sha256 else None,
        certificate=asked.certificate,
    )
    verification = request.app[SERVICES].verification
    found = await verification.verify(asked.signature, given, asked.format)
    return web.json_response(verification_view(found).to_json())


async def callback(request: web.Request) -> web.Response:
    """A form of the Ministry's site, or of a stranger: the same page for every one of them."""
    query(request)
    if request.content_type != "application/x-www-form-urlencoded":
        raise error(
            "unsupported_media_type", "expected Content-Type: application/x-www-form-urlencoded"
        )
    tenant = TenantId(request.match_info["tenant"])
    _count(request.app[CALLBACKS], tenant, request.app[OPTIONS].monotonic())
    body = await _body(request)
    await carry_on(request.app, request.app[SERVICES].callbacks.receive(tenant, body))
    return web.Response(body=_PAGE, content_type="text/html", charset="utf-8")


def _count(counts: CallbackCounts, tenant: str, now: float) -> None:
    """Before anything is looked up, so that a stranger's names cost nothing either."""
    if now - counts.started_at >= _WINDOW:
        counts.started_at = now
        counts.requests.clear()
    whose = tenant
    if whose not in counts.requests and len(counts.requests) >= _MAX_TENANTS:
        whose = _OTHERS
    counts.requests[whose] = counts.requests.get(whose, 0) + 1
    if counts.requests[whose] > CALLBACKS_A_MINUTE:
        raise error(
            "rate_limited",
            f"expected at most {CALLBACKS_A_MINUTE} forms a minute, this is one more; the browser "
            "may send it again then",
            retry_after=max(1, int(counts.started_at + _WINDOW - now) + 1),
        )


async def _body(request: web.Request) -> bytes:
    read = bytearray()
    try:
        async for chunk in request.content.iter_chunked(8192):
            read += chunk
            if len(read) > _MAX_FORM:
                raise error(
                    "request_too_large", f"expected a form of at most {_MAX_FORM} bytes, came more"
                )
    except (RequestPayloadError, ContentEncodingError) as e:
        raise error(
            "request_malformed", "expected a whole body in the encoding that the header says"
        ) from e
    return bytes(read)
