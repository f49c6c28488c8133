"""The composition of the web application."""

from aiohttp import web

from moica_simulator._version import __version__
from moica_simulator.core import SimulatorCore
from moica_simulator.web import (
    control,
    control_platform,
    control_watch,
    pages,
    pki,
    platform_api,
    redirect,
)
from moica_simulator.web.banner import announcing
from moica_simulator.web.keys import CORE, PUBLIC_URL
from moica_simulator.web.middleware import guard_origin, shape_errors, write_log

__all__ = ["create_app"]

_LARGEST_BODY = 256 * 1024


def create_app(core: SimulatorCore, public_url: str) -> web.Application:
    """Makes the application that serves everything.

    Args:
        core: The rooms.
        public_url: Under which it is reached.
    """
    app = web.Application(
        middlewares=[write_log, shape_errors, guard_origin], client_max_size=_LARGEST_BODY
    )
    app[CORE] = core
    app[PUBLIC_URL] = public_url
    app.add_routes(
        [
            *platform_api.routes(),
            *announcing(redirect.routes(), core.mode),
            *control.routes(),
            *control_platform.routes(),
            *control_watch.routes(),
            *pki.routes(),
            *announcing(pages.routes(), core.mode),
            web.get("/healthz", _healthy),
            web.get("/readyz", _ready),
        ]
    )
    return app


async def _healthy(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _ready(request: web.Request) -> web.Response:
    mode = request.app[CORE].mode
    # The port is opened when everything is loaded, so whoever gets an answer gets this one.
    return web.json_response(
        {
            "status": "ready",
            "version": __version__,
            "warning": "NOT FOR PRODUCTION",
            "mode": mode.name,
            "fido2": mode.fido2,
            "prepared_keys": mode.prepared_keys,
        }
    )
