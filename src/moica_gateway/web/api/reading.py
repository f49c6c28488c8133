"""Reading a request: who calls, the body, the query. Strict."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.web import RequestPayloadError

from moica_gateway.domain.models import Scope
from moica_gateway.errors import GatewayError, error
from moica_gateway.services.commands import Caller, IdempotencyUse
from moica_gateway.web.keys import ALLOWANCE, CALLER, METER, SERVICES
from moica_gateway.wire import parse_time

__all__ = ["caller", "idempotency_use", "json_body", "query", "query_time", "query_whole"]

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_MAX_DEPTH: Final = 20


async def caller(request: web.Request, scope: Scope | None, *, browser: bool = False) -> Caller:
    """Who calls.

    Args:
        request: With ``Authorization: Bearer``.
        scope: What a key needs; None where the service says so itself.
        browser: Whether a browser token will do.

    Raises:
        RequestError: ``unauthenticated``, ``too_many_requests`` or ``forbidden``.
    """
    kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
    # Bytes beyond ASCII arrive as lone surrogates, which nothing behind this can encode.
    usable = kind.lower() == "bearer" and bearer.isascii()
    found = await request.app[SERVICES].tenants.authenticate(bearer.strip() if usable else "")
    request[CALLER] = found
    request[ALLOWANCE] = request.app[METER].take(found)
    request[ALLOWANCE].check()
    if found.browser:
        if not browser:
            raise error(
                "forbidden", "expected an API key, a browser token may only look and ask by QR"
            )
    elif scope is not None:
        found.need(scope)
    return found


async def json_body(request: web.Request) -> tuple[Any, bytes]:
    """The parsed body and its bytes.

    Raises:
        RequestError: ``unsupported_media_type``, ``request_too_large``, ``request_malformed``.
    """
    if request.content_type != "application/json":
        raise error("unsupported_media_type", "expected Content-Type: application/json")
    try:
        raw = await request.read()
    except (RequestPayloadError, ContentEncodingError) as e:
        raise error(
            "request_malformed",
            "expected a whole body in the encoding that the header says; the integrator sends it "
            "again",
        ) from e
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_no_doubles, parse_constant=_no_constant
        )
        _check_value(value, 0)
    except (ValueError, RecursionError) as e:
        raise error(
            "request_malformed",
            "expected JSON in UTF-8 without doubled names, NaN, lone surrogates, or deep nesting; "
            "the integrator corrects the body",
        ) from e
    return value, raw


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("doubled name")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _check_value(value: Any, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name)
            _check_value(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(item, depth + 1)


def _check_text(text: str) -> None:
    # JSON may escape half a surrogate pair; no database or log takes that.
    if not text.isascii():
        text.encode("utf-8")


def idempotency_use(request: web.Request, raw: bytes) -> IdempotencyUse | None:
    """From ``Idempotency-Key``. Raises ``RequestError`` for a malformed one."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise error(
            "request_invalid",
            "`Idempotency-Key`: expected 1 to 255 visible ASCII characters",
            member="Idempotency-Key",
        )
    return IdempotencyUse(
        method=request.method,
        path=request.path,
        key=key,
        body_mac=request.app[SERVICES].tenants.body_mac(raw),
    )


def _bad(name: str, expected: str) -> GatewayError:
    return error(
        "request_invalid", f"query `{name}`: expected {expected}; came another", member=name
    )


def query(request: web.Request, *allowed: str) -> Mapping[str, str]:
    """The query's members. Raises ``RequestError`` for an unknown or doubled one."""
    for name in request.query:
        if name not in allowed:
            raise _bad(name[:60], f"one of {', '.join(allowed)}" if allowed else "no query")
        if len(request.query.getall(name)) > 1:
            raise _bad(name, "to be given once")
        if not request.query[name].isprintable():
            raise _bad(name, "text without control characters")
    return request.query


def query_whole(values: Mapping[str, str], name: str, low: int, high: int, default: int) -> int:
    """A whole number within limits."""
    text = values.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
        raise _bad(name, f"a whole number from {low} to {high}")
    return int(text)


def query_time(values: Mapping[str, str], name: str) -> datetime | None:
    """RFC 3339 with a zone."""
    text = values.get(name)
    if text is None:
        return None
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as e:
        raise _bad(name, "a time by RFC 3339 with a zone") from e
