"""The routes of the page without scripts. No rules of its own: what may be done, the services say.

The session stands in a cookie of one transaction's path, which no script can read. Where the
gateway is reached over TLS (always but with the simulator) the cookie may be sent inside a frame
of another site, which `frame-ancestors` limits to the tenant's registered origins.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Final

from aiohttp import web

from moica_gateway.domain.models import Channel, Scope
from moica_gateway.domain.values import TransactionId
from moica_gateway.errors import GatewayError, error
from moica_gateway.services.commands import IdempotencyUse
from moica_gateway.services.pages import PageSession
from moica_gateway.web.api.qr import qr_png
from moica_gateway.web.api.reading import caller, json_body, query
from moica_gateway.web.api.views import transaction_view
from moica_gateway.web.keys import ALLOWANCE, CALLER, METER, OPTIONS, SERVICES
from moica_gateway.web.pages.view import PageView, trouble_page, window_page
from moica_gateway.web.running import carry_on
from moica_gateway.wire import PageRequest, format_time

__all__ = ["add_pages", "page_code"]

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors {ancestors}"
)
_LANGUAGES: Final = ("zh-TW", "en")
# Of aiohttp: names with the text, or a file, that a form brought.
_FORM: web.RequestKey[Mapping[str, object]] = web.RequestKey("form", Mapping)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_pages(app: web.Application) -> None:
    """``/pages/…``.

    Raises:
        ConfigurationError: when the style sheet is missing from the installation.
    """
    try:
        style = resources.files("moica_gateway.web.pages").joinpath("page.css").read_bytes()
    except OSError as e:
        raise error(
            "configuration_invalid", "the installation lacks page.css; install again"
        ) from e
    tag = f'"{hashlib.sha256(style).hexdigest()[:32]}"'

    async def css(_request: web.Request) -> web.Response:
        headers = {"ETag": tag, "Cache-Control": "public, max-age=300"}
        return web.Response(body=style, content_type="text/css", charset="utf-8", headers=headers)

    one = "/pages/t/{id}"
    app.router.add_get("/pages/page.css", css)
    app.router.add_get("/pages/{code}", _for_people(_enter))
    app.router.add_get(f"{one}/", _for_people(_show))
    app.router.add_get(f"{one}/qr.png", _for_people(_picture))
    app.router.add_post(f"{one}/challenges", _for_people(_ask))


async def page_code(request: web.Request) -> web.Response:
    """``POST /v1/transactions/{id}/pages``. Its bearer may ring the phone again, so ``read`` is
    too little."""
    who = await caller(request, None)
    if not {Scope.SIGN, Scope.REGISTER} & who.scopes:
        who.need(Scope.SIGN)
    query(request)
    value, _ = await json_body(request)
    asked = PageRequest.parse(value)
    made = await request.app[SERVICES].pages.code(
        who, TransactionId(request.match_info["id"]), asked.return_url
    )
    body = {"path": f"/pages/{made.code}", "expires_at": format_time(made.expires_at)}
    return web.json_response(body, status=201)


def _for_people(handler: _Handler) -> _Handler:
    """Whatever is refused becomes a page in the user's words."""

    async def shown(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except GatewayError as e:
            found = e.problem
            language = _language(request)
            text = trouble_page(language, found.user_message[language], found.code)
            return _html(text, (), found.status if found.status >= 400 else 409)

    return shown


async def _enter(request: web.Request) -> web.StreamResponse:
    session = await request.app[SERVICES].pages.open(request.match_info["code"])
    where = f"/pages/t/{session.transaction_id}/"
    answer = web.Response(status=303, headers={"Location": where})
    options = request.app[OPTIONS]
    answer.set_cookie(
        _cookie(session.transaction_id),
        session.token,
        path=where,
        httponly=True,
        secure=options.secure_cookies,
        samesite="None" if options.secure_cookies else "Lax",
    )
    return answer


async def _show(request: web.Request) -> web.StreamResponse:
    return await _window(request, await _session(request))


async def _window(
    request: web.Request, session: PageSession, refusal: str = "", status: int = 200
) -> web.Response:
    services = request.app[SERVICES]
    found = await services.transactions.get(session.caller, session.transaction_id)
    view = await transaction_view(services, session.caller, found)
    page = PageView(
        transaction=view,
        now=request.app[OPTIONS].now(),
        language=_language(request),
        renews=_still(request) != "1",
        form_token=services.pages.form_token(session),
        key=request.app[OPTIONS].request_id(),
        return_url=session.return_url,
        refusal=refusal,
    )
    return _html(window_page(page), session.frame_ancestors, status)


async def _picture(request: web.Request) -> web.StreamResponse:
    session = await _session(request)
    services = request.app[SERVICES]
    found = await services.transactions.get(session.caller, session.transaction_id)
    payloads = [services.challenges.presentation(c).qr_payload for c in found.challenges]
    payload = next((p for p in reversed(payloads) if p is not None), None)
    if payload is None:
        raise error("not_found", "expected a transaction with an open QR challenge")
    body = await asyncio.to_thread(qr_png, payload)
    return web.Response(body=body, content_type="image/png")


async def _ask(request: web.Request) -> web.StreamResponse:
    session = await _session(request)
    services = request.app[SERVICES]
    form = await request.post()
    request[_FORM] = form
    token, key, channel = (_text(form.get(name)) for name in ("token", "key", "channel"))
    if not services.pages.is_form_token(session, token):
        raise error("forbidden", "expected a form of this page")
    if channel not in (Channel.QR, Channel.APP_LINK) or not (key.isascii() and 0 < len(key) < 100):
        raise error("request_invalid", "expected one of the page's buttons", member="channel")
    path = f"/pages/t/{session.transaction_id}/challenges"
    use = IdempotencyUse(
        method="POST", path=path, key=key, body_mac=services.tenants.body_mac(channel.encode())
    )
    try:
        await carry_on(
            request.app,
            services.challenges.add(
                session.caller, session.transaction_id, Channel(channel), None, use
            ),
        )
    except GatewayError as e:
        # The window stays, with the reason in it: the phone may be ringing still.
        message = e.problem.user_message[_language(request)]
        return await _window(request, session, message, 409)
    still = "&still=1" if _still(request) == "1" else ""
    return web.Response(status=303, headers={"Location": f"./?lang={_language(request)}{still}"})


async def _session(request: web.Request) -> PageSession:
    transaction_id = TransactionId(request.match_info["id"])
    token = request.cookies.get(_cookie(transaction_id), "")
    session = await request.app[SERVICES].pages.session(transaction_id, token)
    request[CALLER] = session.caller
    request[ALLOWANCE] = request.app[METER].take(session.caller)
    request[ALLOWANCE].check()
    return session


def _cookie(transaction_id: TransactionId) -> str:
    return f"moica-page-{transaction_id}"


def _html(text: str, ancestors: tuple[str, ...], status: int = 200) -> web.Response:
    policy = _POLICY.format(ancestors=" ".join(("'self'", *ancestors)))
    return web.Response(
        text=text,
        content_type="text/html",
        charset="utf-8",
        status=status,
        headers={"Content-Security-Policy": policy},
    )


def _asked(request: web.Request, name: str) -> str:
    form = request.get(_FORM)
    return _text(form.get(name)) if form is not None else request.query.get(name, "")


def _language(request: web.Request) -> str:
    asked = _asked(request, "lang")
    return asked if asked in _LANGUAGES else _LANGUAGES[0]


def _still(request: web.Request) -> str:
    return _asked(request, "still")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
