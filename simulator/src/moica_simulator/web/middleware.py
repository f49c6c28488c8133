"""Around every request: errors in the shape of the part that was called, headers, one log line."""

import time
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from moica_simulator.codes import catalogue
from moica_simulator.errors import PlatformError, SimulatorError
from moica_simulator.web.keys import CORE, PUBLIC_URL
from moica_simulator.web.platform_api import spring_error

__all__ = ["guard_origin", "shape_errors", "write_log"]

_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
# The phone's page has a camera, and nothing else of the device.
_DEVICE_POLICY = "camera=(self), geolocation=(), microphone=()"


@web.middleware
async def write_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Logs the route, never the path: paths and queries hold ID numbers."""
    started = time.perf_counter()
    response = await handler(request)
    resource = request.match_info.route.resource
    core = request.app[CORE]
    # Pages ask for their inbox every second: that is no news.
    write = core.log.debug if request.method == "GET" else core.log.info
    write(
        "http.answered",
        method=request.method,
        route=resource.canonical if resource else "unknown",
        http_status=response.status,
        duration_ms=round((time.perf_counter() - started) * 1000, 1),
    )
    return response


@web.middleware
async def shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns exceptions into answers, and adds the security headers."""
    try:
        response = await handler(request)
    except SimulatorError as error:
        response = _control_error(error.code, error.detail, error.status)
    except PlatformError as error:
        response = _control_error(error.code, _explained(error), 409)
    except web.HTTPException as error:
        response = _plain_error(request, error.status, error.text or error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    except Exception as error:  # noqa: BLE001 - the last line: aiohttp would log the request itself
        request.app[CORE].log.error("http.failed", error_type=type(error).__name__)
        response = _plain_error(request, 500, "a defect of the simulator; see its log")
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("Permissions-Policy", _DEVICE_POLICY)
    fast = request.app[CORE].mode.fast
    response.headers["X-Simulator"] = "NOT FOR PRODUCTION" + ("; fast mode" if fast else "")
    return response


@web.middleware
async def guard_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses the control API to pages of other sites, which a browser would let post here."""
    origin = request.headers.get("Origin")
    if origin is not None and request.path.startswith("/sim/"):
        own = (request.host, urlsplit(request.app[PUBLIC_URL]).netloc)
        if urlsplit(origin).netloc not in own:
            raise SimulatorError(
                "origin_refused",
                "the control API takes requests from its own pages and from programs only",
                status=403,
            )
    return await handler(request)


def _plain_error(request: web.Request, status: int, detail: str) -> web.Response:
    if request.path.startswith("/moise/"):
        return spring_error(status, request.path, request.app[CORE].clock.now())
    return _control_error(f"http_{status}", detail, status)


def _explained(error: PlatformError) -> str:
    known = catalogue().get(error.code)
    words = [known.meaning, f"app number {known.number}"] if known else []
    return "; ".join([*words, error.explanation] if error.explanation else words)


def _control_error(code: str, detail: str, status: int) -> web.Response:
    return web.json_response({"error": code, "detail": detail}, status=status)
