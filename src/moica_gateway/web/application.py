"""The application: routes and middleware."""

from __future__ import annotations

import hashlib
from importlib import resources

from aiohttp import web

from moica_gateway.errors import error
from moica_gateway.services.bundle import Services
from moica_gateway.web.api import asking, creating, credentials, transactions
from moica_gateway.web.api.openapi import PAGE_POLICY, docs_page, openapi_document
from moica_gateway.web.keys import (
    CALLBACKS,
    IN_FLIGHT,
    METER,
    OPTIONS,
    SERVICES,
    CallbackCounts,
    WebOptions,
)
from moica_gateway.web.limits import RequestMeter
from moica_gateway.web.middleware import add_headers, answer_problems, observe_requests
from moica_gateway.web.pages import add_pages, page_code
from moica_gateway.web.running import mind_the_stop

__all__ = ["WebOptions", "create_web_app"]


def create_web_app(services: Services, *, options: WebOptions) -> web.Application:
    """Everything that listens.

    Raises:
        ConfigurationError: when the widget's file is missing from the installation.
    """
    app = web.Application(
        client_max_size=options.max_body, middlewares=[observe_requests, answer_problems]
    )
    app[SERVICES] = services
    app[OPTIONS] = options
    app[IN_FLIGHT] = {}
    app[METER] = RequestMeter(options.limits, options.monotonic)
    app[CALLBACKS] = CallbackCounts(started_at=options.monotonic())
    mind_the_stop(app)
    app.on_response_prepare.append(add_headers)
    app.router.add_routes(
        [
            web.post("/v1/registrations", creating.register),
            web.post("/v1/signatures", creating.sign),
            web.post("/v1/signature-batches", creating.sign_batch),
            web.post("/v1/authentications", creating.authenticate),
            web.post("/v1/device-status", asking.device_status),
            web.post("/v1/verifications", asking.verify),
            web.post("/callbacks/moi/{tenant:[^/]+}", asking.callback),
            web.get("/v1/transactions", transactions.list_),
            web.post("/v1/transactions/cancel", transactions.cancel_document),
            # Not the recall's path, so that the methods of each are told apart.
            web.get("/v1/transactions/{id:(?!cancel$)[^/]+}", transactions.get),
            # Without HEAD: it would hold a line open that nothing is ever written to.
            web.get("/v1/transactions/{id}/events", transactions.events, allow_head=False),
            web.post("/v1/transactions/{id}/challenges", transactions.add_challenge),
            web.get("/v1/transactions/{id}/qr.svg", transactions.qr_svg_image),
            web.get("/v1/transactions/{id}/qr.png", transactions.qr_png_image),
            web.post("/v1/transactions/{id}/cancel", transactions.cancel),
            web.post("/v1/transactions/{id}/browser-tokens", transactions.browser_token),
            web.post("/v1/transactions/{id}/pages", page_code),
            web.get("/v1/transactions/{id}/artifact", transactions.artifact),
            web.get("/v1/transactions/{id}/evidence", transactions.evidence),
            web.get("/v1/credentials", credentials.list_),
            web.post("/v1/credentials/{id}/enable", credentials.enable),
            web.post("/v1/credentials/{id}/disable", credentials.disable),
            web.delete("/v1/credentials/{id}", credentials.delete),
            # The default pattern leaves out braces, which a user's name may hold.
            web.delete("/v1/users/{id:[^/]+}", credentials.delete_user),
            web.get("/v1/events", credentials.feed),
            web.get("/healthz", _health),
            web.get("/readyz", _ready),
            web.get("/version", _version),
            web.get("/metrics", _metrics),
            web.get("/openapi.json", _openapi),
            web.get("/docs", _docs),
        ]
    )
    _add_widget(app)
    add_pages(app)
    return app


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _ready(request: web.Request) -> web.Response:
    if not await request.app[OPTIONS].readiness():
        raise error("storage_unavailable", "the database does not take a write right now")
    return web.json_response({"status": "ready"})


async def _version(request: web.Request) -> web.Response:
    return web.json_response({"version": request.app[OPTIONS].version, "api": "v1"})


async def _metrics(request: web.Request) -> web.Response:
    metrics = request.app[OPTIONS].metrics
    if metrics is None:
        raise error("not_found", "metrics are not served here")
    body, content_type = metrics()
    return web.Response(body=body, headers={"Content-Type": content_type})


async def _openapi(request: web.Request) -> web.Response:
    return web.json_response(openapi_document(request.app[OPTIONS].version))


async def _docs(request: web.Request) -> web.Response:
    return web.Response(
        body=docs_page(openapi_document(request.app[OPTIONS].version)),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": PAGE_POLICY},
    )


def _add_widget(app: web.Application) -> None:
    try:
        body = resources.files("moica_gateway.web.widget").joinpath("v1.js").read_bytes()
    except OSError as e:
        raise error(
            "configuration_invalid", "the installation lacks the widget (v1.js); install again"
        ) from e
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    async def widget(request: web.Request) -> web.Response:
        headers = {"ETag": tag, "Cache-Control": "public, max-age=300"}
        known = request.if_none_match or ()
        if any(each.value in (tag.strip('"'), "*") for each in known):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=body, content_type="text/javascript", charset="utf-8", headers=headers
        )

    app.router.add_get("/widget/v1.js", widget)
