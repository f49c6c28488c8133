"""`/`, `/phone/{device}`, `/phones` and `/platform`: pages for people, in Traditional Chinese.
Beside them the QR code of an activation code, as the household office would print it.

The HTML holds no data but the phone's name, escaped; everything else is fetched by a small script
and written with `textContent`. Everything is served from here: `default-src 'self'` is enough.
"""

import functools
import html
import string
from importlib import resources

from aiohttp import web

from moica_simulator._version import __version__
from moica_simulator.web.keys import CORE

__all__ = ["routes"]

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = frozenset(
    (
        *("bind.js", "camera.js", "decision.js", "explanation.js", "icon.svg", "index.js"),
        *("page.js", "phone.css", "phone.js", "phones.css", "phones.js", "platform.css"),
        *("platform.js", "scan.js", "style.css"),
    )
)


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    return [
        web.get("/", _index),
        web.get("/phone/{device_id}", _phone),
        web.get("/phones", _phones),
        web.get("/platform", _platform),
        web.get("/activation-codes/{code}.png", _activation_code),
        web.get("/static/{name}", _static),
    ]


async def _index(_: web.Request) -> web.Response:
    return _page("index.html")


async def _phone(request: web.Request) -> web.Response:
    device = request.app[CORE].device(request.match_info["device_id"])
    return _page("phone.html", device_id=device.id, device_name=device.name)


async def _activation_code(request: web.Request) -> web.Response:
    picture = request.app[CORE].activation_code_picture(request.match_info["code"])
    return web.Response(
        body=picture, content_type="image/png", headers={"Cache-Control": "no-store"}
    )


async def _phones(_: web.Request) -> web.Response:
    return _page("phones.html")


async def _platform(_: web.Request) -> web.Response:
    return _page("platform.html")


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in _FILES:
        raise web.HTTPNotFound
    return web.Response(
        text=_read(name), content_type=_MEDIA_TYPES[name[name.rindex(".") :]], charset="utf-8"
    )


def _page(name: str, **values: str) -> web.Response:
    escaped = {key: html.escape(value, quote=True) for key, value in values.items()}
    text = string.Template(_read(name)).substitute(escaped, version=__version__)
    return web.Response(text=text, content_type="text/html", charset="utf-8")


@functools.cache
def _read(name: str) -> str:
    return resources.files("moica_simulator.web").joinpath("static", name).read_text("utf-8")
