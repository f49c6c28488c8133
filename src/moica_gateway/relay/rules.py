"""What passes from a browser to the gateway and back. Pure.

The path that goes up is made here from what was recognised, never passed on as it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from attrs import field, frozen

from moica_gateway.errors import problem

__all__ = ["AWAY", "MAX_UP", "TOO_LARGE", "Forward", "Refusal", "down", "route"]

MAX_UP: Final = 4096
"""Bytes of a body."""

_AUTHORIZATION: Final = re.compile(r"Bearer btk_[A-Za-z0-9._-]{1,400}")
_WIDGET: Final = "/widget/v1.js"
_ONE: Final = re.compile(
    r"/v1/transactions/(?P<id>txn_[0-9a-z]{1,40})(?P<tail>|/events|/qr\.svg|/qr\.png|/challenges)"
)
_UP: Final = ("Idempotency-Key", "Last-Event-ID", "If-None-Match", "X-Request-ID")
_DOWN: Final = ("Content-Type", "ETag", "Retry-After", "X-Request-ID")


@frozen(kw_only=True)
class Forward:
    """What the gateway is asked."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)

    @property
    def events(self) -> bool:
        """Whether a stream is asked for."""
        return self.path.partition("?")[0].endswith("/events")


@frozen(kw_only=True)
class Refusal:
    """What a browser is told without asking the gateway."""

    code: str
    detail: str
    status: int
    headers: Mapping[str, str] = field(factory=dict)

    def body(self) -> bytes:
        """A problem document."""
        found = {**problem(self.code, self.detail).to_json(), "status": self.status}
        return json.dumps(found, ensure_ascii=False).encode()

    def all_headers(self) -> dict[str, str]:
        """With those of every refusal."""
        return {
            "Content-Type": "application/problem+json",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **self.headers,
        }


AWAY: Final = Refusal(
    code="upstream_unreachable", detail="the gateway cannot be reached right now", status=502
)
TOO_LARGE: Final = Refusal(
    code="request_too_large", detail=f"expected at most {MAX_UP} bytes", status=413
)


def route(
    method: str, path: str, query: str, header: Callable[[str], str | None]
) -> Forward | Refusal:
    """What becomes of a request.

    Args:
        method: As it came.
        path: Below the mount, decoded, with a slash in front.
        query: As it was written, without the question mark.
        header: A header of the request by its name, or None.
    """
    one = _ONE.fullmatch(path)
    if one is None and path != _WIDGET:
        return Refusal(code="not_found", detail="expected a path of the widget", status=404)
    allowed = "POST" if one is not None and one["tail"] == "/challenges" else "GET"
    if method != allowed:
        return Refusal(
            code="method_not_allowed",
            detail=f"expected {allowed}",
            status=405,
            headers={"Allow": allowed},
        )
    sent = {name: value for name in _UP if (value := header(name)) is not None}
    if one is not None:
        authorization = header("Authorization") or ""
        if not _AUTHORIZATION.fullmatch(authorization):
            return Refusal(
                code="unauthenticated", detail="expected a browser token `btk_…`", status=401
            )
        sent["Authorization"] = authorization
    if allowed == "POST":
        sent["Content-Type"] = header("Content-Type") or ""
    whole = path + (f"?{query}" if query else "")
    return Forward(method=method, path=whole, headers=sent)


def down(forward: Forward, came: Mapping[str, str]) -> dict[str, str]:
    """The headers that a browser gets, of those of the gateway."""
    kept = {name: came[name] for name in _DOWN if name in came}
    script = forward.path.partition("?")[0] == _WIDGET
    kept["Cache-Control"] = "public, max-age=300" if script else "no-store"
    kept["X-Content-Type-Options"] = "nosniff"
    return kept
