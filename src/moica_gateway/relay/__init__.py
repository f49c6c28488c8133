"""Relay routes for the widget, mounted by a document system on its own origin.

So ``default-src 'self'`` holds, and the user's network need not reach the gateway. Only the
widget's own calls pass, and only with a browser token: no API key and no cookie goes through here.
One set of rules (`rules`), one way out (`gateway`), and a mount for each kind of server:
`relay_app` for aiohttp, `RelayASGI` for Starlette, FastAPI, Django's ASGI and the like,
`RelayWSGI` for Flask, Django and whatever else speaks WSGI.
"""

from __future__ import annotations

from moica_gateway.relay.of_aiohttp import relay_app
from moica_gateway.relay.of_asgi import RelayASGI
from moica_gateway.relay.of_wsgi import RelayWSGI

__all__ = ["RelayASGI", "RelayWSGI", "relay_app"]
