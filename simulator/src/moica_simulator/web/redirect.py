"""`/fidoRedirect/web`: the pages that a redirected browser sees on the Ministry's site (WEB-01).

Pages without scripts: the form arrives, the holder types the ID number, and a page that loads
itself anew shows the end. Every value in a page is escaped. What the callback says is not decided
here. A fault with `http_status` on `SP-API-WEB-01` alters the first page.
"""

import html
import string
from http import HTTPStatus
from importlib import resources

from aiohttp import web

from moica_simulator._version import __version__
from moica_simulator.checksum import sha256_hex
from moica_simulator.codes import catalogue
from moica_simulator.core import SimulatorCore
from moica_simulator.errors import PlatformError
from moica_simulator.faults import Fault
from moica_simulator.history import RecordedRequest
from moica_simulator.platform.idp import Finding
from moica_simulator.platform.reply import refusal
from moica_simulator.platform.wire import Interface
from moica_simulator.records import Redirect, TicketStatus
from moica_simulator.web.keys import CORE
from moica_simulator.web.platform_api import spring_error

__all__ = ["routes"]

_PATH = "/fidoRedirect/web"
_WORDS = {
    TicketStatus.CONFIRMED: ("已完成確認，請回到原來的網站。", "Confirmed. Go back to the site."),
    TicketStatus.REFUSED: ("您已取消，請回到原來的網站。", "You refused. Go back to the site."),
    TicketStatus.LAPSED: ("已逾時，請回到原來的網站重新開始。", "Timed out. Start again there."),
    TicketStatus.FAILED: ("未能完成，請回到原來的網站。", "It failed. Go back to the site."),
}


def routes() -> list[web.RouteDef]:
    """Returns the routes."""
    page = f"{_PATH}/{{redirect_id}}"
    return [
        web.post(_PATH, _open),
        web.get(page, _show),
        web.post(page, _type_id_number),
    ]


async def _open(request: web.Request) -> web.StreamResponse:
    core = request.app[CORE]
    number, at = core.history.next_number(), core.clock.now()
    if request.content_type != "application/x-www-form-urlencoded":
        raise web.HTTPUnsupportedMediaType
    try:
        posted = await request.post()
    except ValueError as error:
        raise web.HTTPBadRequest from error
    form = {name: value for name, value in posted.items() if isinstance(value, str)}
    finding, envelope, status = Finding(), None, int(HTTPStatus.OK)
    applied: list[Fault] = []
    matching = core.faults.matching(Interface.REDIRECT, None, form.get("sp_service_id"))
    for fault in (*matching, *core.faults.draw(Interface.REDIRECT)):
        if fault.http_status is not None and core.faults.count(fault):
            status = fault.http_status
            applied.append(fault)
            break
    if applied:
        page: web.StreamResponse = spring_error(status, _PATH, at)
    else:
        try:
            if len(form) != len(posted):
                raise PlatformError("PM_INV_NF", "a field of the form came twice")
            page = _asking(core, core.redirects.open(form, finding))
        except PlatformError as error:
            status = int(HTTPStatus.BAD_REQUEST)
            refused = refusal(Interface.REDIRECT, error.code, error.explanation)
            envelope = {"error_code": refused.code, "error_message": refused.message}
            page = _failed(error)
    core.history.add(
        RecordedRequest(
            number=number,
            at=at,
            interface=Interface.REDIRECT.value,
            body=form,
            payload=finding.payload,
            payload_sha256=None if finding.payload is None else sha256_hex(finding.payload),
            checksum_verified=finding.checksum_verified,
            early=False,
            http_status=status,
            answer=envelope,
            faults=tuple(each.fault_id for each in applied),
            harms=tuple(each.harm for each in applied),
            sp_service_id=form.get("sp_service_id"),
        )
    )
    return page


async def _type_id_number(request: web.Request) -> web.StreamResponse:
    core, redirect_id = request.app[CORE], request.match_info["redirect_id"]
    found = core.redirects.find(redirect_id)
    typed = (await request.post()).get("id_num")
    id_number = typed.strip().upper() if isinstance(typed, str) else ""
    waiting = not found.id_number
    try:
        found = core.redirects.type_id_number(redirect_id, id_number)
    except PlatformError:
        return _asking(core, found, mistyped=True)
    if waiting:
        core.callbacks.watch(found)
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": f"{_PATH}/{redirect_id}"})


async def _show(request: web.Request) -> web.StreamResponse:
    core = request.app[CORE]
    found = core.redirects.find(request.match_info["redirect_id"])
    if not found.id_number:
        return _asking(core, found)
    ticket = core.redirects.ticket(found)
    status = ticket.status_at(core.clock.now()) if ticket else TicketStatus.FAILED
    if status is TicketStatus.PENDING:
        words = ("請在手機的「行動自然人憑證」APP 確認。", "Confirm in the app on your phone.")
        return _page(core, found, _said(*words), refresh=True)
    said = _said(*_WORDS[status])
    if found.failed_code:
        said += f'<p class="problem"><code>{html.escape(found.failed_code)}</code></p>'
    return _page(core, found, said)


def _asking(core: SimulatorCore, found: Redirect, *, mistyped: bool = False) -> web.Response:
    problem = (
        '<p class="problem" role="alert">身分證字號不正確，請重新輸入。 '
        '<span lang="en">This is no valid ID number. Type it again.</span></p>'
        if mistyped
        else ""
    )
    form = (
        f'{problem}<form method="post" action="{_PATH}/{html.escape(found.redirect_id)}">'
        '<label>身分證字號 <span lang="en">ID number</span> '
        '<input name="id_num" required maxlength="10" autocomplete="off" autofocus></label>'
        '<button type="submit">下一步 <span lang="en">Next</span></button></form>'
    )
    return _page(core, found, form, status=HTTPStatus.BAD_REQUEST if mistyped else HTTPStatus.OK)


def _failed(error: PlatformError) -> web.Response:
    known = catalogue().get(error.code)
    meaning = "; ".join(
        word for word in (known.meaning if known else "", error.explanation) if word
    )
    said = _said("無法受理這個要求，請回到原來的網站。", "This request was not taken.")
    detail = f"<code>{html.escape(error.code)}</code> {html.escape(meaning)}"
    return _render(f'{said}<p class="problem">{detail}</p>', HTTPStatus.BAD_REQUEST)


def _said(chinese: str, english: str) -> str:
    return f'<p role="status">{chinese} <span lang="en">{english}</span></p>'


def _page(
    core: SimulatorCore,
    found: Redirect,
    content: str,
    *,
    status: int = HTTPStatus.OK,
    refresh: bool = False,
) -> web.Response:
    name, hint = core.redirects.hint(found)
    asked = f"<p><strong>{html.escape(name)}</strong></p><p>{html.escape(hint)}</p>"
    return _render(asked + content, status, refresh=refresh)


def _render(content: str, status: int, *, refresh: bool = False) -> web.Response:
    text = resources.files("moica_simulator.web").joinpath("static", "redirect.html")
    page = string.Template(text.read_text("utf-8")).substitute(
        content=content,
        refresh='<meta http-equiv="refresh" content="2">' if refresh else "",
        version=__version__,
    )
    return web.Response(text=page, status=status, content_type="text/html", charset="utf-8")
