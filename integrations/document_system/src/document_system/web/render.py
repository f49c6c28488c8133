"""Pages from templates: autoescaped, always; and the redirect that carries a word for the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NoReturn

import jinja2
from aiohttp import web

from document_system.models import Notice, User
from document_system.roc import roc_date, roc_time
from document_system.store import users
from document_system.web.keys import DESK, SESSION, SETTINGS, TEMPLATES
from document_system.web.paths import path_of

__all__ = ["field", "make_templates", "page", "redirect", "user_of"]


def make_templates() -> jinja2.Environment:
    """The environment of all pages; an undefined name is an error, not a blank."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("document_system"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["path_of"] = path_of
    environment.filters["roc_date"] = roc_date
    environment.filters["roc_time"] = roc_time
    return environment


def user_of(request: web.Request) -> User:
    """Who is signed in; `sessions` has let nobody else through."""
    user = request[SESSION].user
    if user is None:
        raise web.HTTPSeeOther("/sign-in")
    return user


async def page(
    request: web.Request, template: str, *, status: int = 200, **context: Any
) -> web.Response:
    """Renders one page, with the notices that wait for this session."""
    session = request.get(SESSION)
    notices: list[Notice] = []
    if session is not None and session.user is not None:
        notices = await request.app[DESK].database.run(users.take_notices, session.token)
    common: Mapping[str, Any] = {
        "user": session.user if session else None,
        "csrf_token": session.csrf if session else "",
        "notices": [*notices, *context.pop("more_notices", [])],
        "demo": request.app[SETTINGS].demo,
        "path": request.path,
    }
    text = request.app[TEMPLATES].get_template(template).render({**common, **context})
    return web.Response(text=text, content_type="text/html", status=status)


async def redirect(
    request: web.Request,
    location: str,
    text: str | None = None,
    kind: Literal["success", "error", "info"] = "error",
) -> NoReturn:
    """303 to a page of ours, after every form; ``text`` is shown there once."""
    if text is not None:
        await request.app[DESK].database.run(
            users.add_notice, request[SESSION].token, Notice(kind=kind, text=text)
        )
    raise web.HTTPSeeOther(location)


async def field(request: web.Request, name: str) -> str:
    """A text field of the posted form; empty where it is missing or a file."""
    value = (await request.post()).get(name, "")
    return value if isinstance(value, str) else ""
