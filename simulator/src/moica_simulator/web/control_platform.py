"""`/sim/v1/...`: switches of the platform itself, beside `control`."""

from aiohttp import web

from moica_simulator.web import shapes
from moica_simulator.web.body import read_fields
from moica_simulator.web.keys import CORE

__all__ = ["routes"]


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    return [
        web.put("/sim/v1/service-providers/{sp_service_id}/callback-url", _set_callback_url),
        web.get("/sim/v1/error-checksums", _get_error_checksums),
        web.put("/sim/v1/error-checksums", _set_error_checksums),
        web.get("/sim/v1/profile", _get_profile),
        web.put("/sim/v1/profile", _set_profile),
    ]


async def _set_callback_url(request: web.Request) -> web.Response:
    fields = await read_fields(request, "callback_url")
    changed = await request.app[CORE].set_callback_url(
        request.match_info["sp_service_id"], fields.text("callback_url", None)
    )
    return web.json_response(shapes.service_provider(changed))


async def _get_error_checksums(request: web.Request) -> web.Response:
    return web.json_response({"carried": request.app[CORE].idp.error_checksums})


async def _set_error_checksums(request: web.Request) -> web.Response:
    fields = await read_fields(request, "carried")
    request.app[CORE].set_error_checksums(fields.flag("carried"))
    return await _get_error_checksums(request)


async def _get_profile(request: web.Request) -> web.Response:
    return web.json_response(shapes.profile(request.app[CORE].profile))


async def _set_profile(request: web.Request) -> web.Response:
    fields = await read_fields(request, "name", "seed")
    active = request.app[CORE].set_profile(
        fields.text("name"), seed=fields.whole_number("seed", None)
    )
    return web.json_response(shapes.profile(active))
