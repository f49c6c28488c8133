"""Pages say that fast mode is on, beside the warning that each of them has anyway."""

import html

import attrs
from aiohttp import web
from aiohttp.typedefs import Handler

from moica_simulator.mode import Mode

__all__ = ["announcing"]

_WARNING = '<span lang="en">NOT FOR PRODUCTION</span>'


def announcing(routes: list[web.RouteDef], mode: Mode) -> list[web.RouteDef]:
    """Returns the routes of pages, whose HTML says what the mode leaves out; as they are where it
    leaves nothing out."""
    if not mode.fast:
        return routes
    words = f' · {html.escape(mode.words_zh)} <span lang="en">{html.escape(mode.words_en)}</span>'

    def said(handler: Handler) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            response = await handler(request)
            if isinstance(response, web.Response) and response.content_type == "text/html":
                response.text = (response.text or "").replace(_WARNING, _WARNING + words, 1)
            return response

        return handle

    return [attrs.evolve(each, handler=said(each.handler)) for each in routes]
