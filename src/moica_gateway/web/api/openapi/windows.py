"""The routes of the window without scripts: for browsers, so what is refused is a page, too."""

from __future__ import annotations

from typing import Any, Final

from moica_gateway.web.api.openapi.schemas import BINARY

__all__ = ["window_paths"]

_Json = dict[str, Any]

_ID: Final[_Json] = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_REFUSED: Final = {
    "403": "Not a form of this page",
    "404": "No open QR challenge",
    "409": "Not possible (now): the window with the reason in it",
    "410": "Used before, or lapsed",
    "422": "Not one of the page's buttons",
    "429": "Too often",
    "500": "A defect",
    "503": "Not now",
}


def _html(description: str) -> _Json:
    return {
        "description": description,
        "content": {"text/html": {"schema": {"type": "string"}}},
    }


def _operation(name: str, summary: str, ok: _Json, *refused: str, **more: Any) -> _Json:
    answers = {status: _html(_REFUSED[status]) for status in (*refused, "410", "429", "503")}
    answers["500"] = {
        "description": _REFUSED["500"],
        "content": {"application/problem+json": {"schema": {"type": "object"}}},
    }
    return {
        "operationId": name,
        "tags": ["pages"],
        "summary": summary,
        "responses": {**ok, **answers},
        "security": [],
        **more,
    }


def window_paths() -> _Json:
    """By path and method."""
    one = "/pages/t/{id}"
    code = {"name": "code", "in": "path", "required": True, "schema": {"type": "string"}}
    to_the_window = {"303": {"description": "To the window, with a cookie for it alone"}}
    png = {"description": "At least 280 pixels", "content": {"image/png": {"schema": BINARY}}}
    css = {"description": "CSS", "content": {"text/css": {"schema": {"type": "string"}}}}
    button = {
        "type": "object",
        "properties": {
            name: {"type": "string"} for name in ("channel", "token", "key", "lang", "still")
        },
    }
    return {
        "/pages/{code}": {
            "get": _operation(
                "openPage", "Opens the window, once", to_the_window, parameters=[code]
            )
        },
        f"{one}/": {
            "get": _operation(
                "showPage",
                "The window as it is now; renews itself while it waits",
                {"200": _html("Waiting, or how it ended")},
                parameters=[_ID],
            )
        },
        f"{one}/qr.png": {
            "get": _operation(
                "getPageQr", "The QR code of the window", {"200": png}, "404", parameters=[_ID]
            )
        },
        f"{one}/challenges": {
            "post": _operation(
                "pressPageButton",
                "A button of the window: QR code, or the app on this phone",
                {"303": {"description": "To the window"}},
                "403",
                "409",
                "422",
                parameters=[_ID],
                requestBody={"content": {"application/x-www-form-urlencoded": {"schema": button}}},
            )
        },
        "/pages/page.css": {
            "get": {
                "operationId": "getPageStyle",
                "tags": ["pages"],
                "summary": "The window's style sheet",
                "parameters": [],
                "responses": {"200": css},
                "security": [],
            }
        },
    }
