"""The relay as a WSGI application (PEP 3333).

A WSGI server gives a request a thread, and a stream of events would hold one for minutes. So an
event stream here is one waiting look of a few seconds: what changed comes as one event, then the
stream ends and the widget comes back. A server of n threads can show n windows at once; where that
is too few, `hold` is made shorter, or 0.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from attrs import evolve

from moica_gateway.background import LoopThread
from moica_gateway.relay.gateway import AWAY_ERRORS, GatewayLine
from moica_gateway.relay.rules import AWAY, MAX_UP, TOO_LARGE, Forward, Refusal, down, route

__all__ = ["RelayWSGI"]

_MAX_DOWN: Final = 2 * 1_048_576
_ENDED: Final = frozenset({"completed", "rejected", "expired", "cancelled", "failed"})
_Answer = tuple[int, dict[str, str], bytes]


class RelayWSGI:
    """``DispatcherMiddleware(app, {"/moica": RelayWSGI("http://gateway:8700")})``.

    May be shared by threads; after a fork the child gets a connection of its own.

    Args:
        base_url: Of the gateway.
        ca_file: PEM, of a CA that is not the system's.
        hold: Seconds for which a look at the events waits, 0 to 55.
    """

    def __init__(self, base_url: str, *, ca_file: str | None = None, hold: int = 20) -> None:
        if not 0 <= hold <= 55:
            raise ValueError(f"hold: expected 0 to 55 seconds, came {hold}")
        self._arguments = (base_url, ca_file)
        self._hold = hold
        self._lock = threading.Lock()
        self._line = GatewayLine(*self._arguments)
        self._thread: LoopThread | None = None

    def close(self) -> None:
        """Connections and thread; a later request opens them again."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None and thread.pid == os.getpid():
                thread.begin(self._line.close()).result()
                thread.stop()

    def __call__(
        self, environ: Mapping[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """One request."""
        status, headers, body = self._answer(environ)
        headers["Content-Length"] = str(len(body))
        start_response(f"{status} {_phrase(status)}", list(headers.items()))
        return [body]

    def _answer(self, environ: Mapping[str, Any]) -> _Answer:
        forward = route(
            environ["REQUEST_METHOD"],
            environ.get("PATH_INFO", ""),
            environ.get("QUERY_STRING", ""),
            lambda name: _header(environ, name),
        )
        if isinstance(forward, Refusal):
            return _refused(forward)
        body = None
        if forward.method == "POST":
            body = _body(environ)
            if body is None:
                return _refused(TOO_LARGE)
        since = None
        if forward.events:
            since = _since(forward)
            forward = self._as_look(forward, since)
        try:
            status, headers, came = self._ask(forward, body)
        except AWAY_ERRORS:
            return _refused(AWAY)
        if since is None or status != HTTPStatus.OK:
            return status, headers, came
        return _as_events(since, headers, came)

    def _as_look(self, forward: Forward, since: int) -> Forward:
        path = forward.path.partition("?")[0].removesuffix("/events")
        query = f"?wait={self._hold}&since={since}" if since >= 0 and self._hold else ""
        headers = {k: v for k, v in forward.headers.items() if k != "Last-Event-ID"}
        return evolve(forward, path=path + query, headers=headers)

    def _ask(self, forward: Forward, body: bytes | None) -> _Answer:
        with self._lock:
            if self._thread is None or self._thread.pid != os.getpid():
                self._line = GatewayLine(*self._arguments)
                self._thread = LoopThread(self._line)
            asked = self._thread.begin(_whole(self._line, forward, body))
        return asked.result()


async def _whole(line: GatewayLine, forward: Forward, body: bytes | None) -> _Answer:
    async with line.ask(forward, body) as reply:
        raw = b""
        async for chunk in reply.content.iter_any():
            raw += chunk
            if len(raw) > _MAX_DOWN:
                raise TimeoutError("the gateway's answer has no end")
        return reply.status, down(forward, reply.headers), raw


def _as_events(since: int, headers: dict[str, str], came: bytes) -> _Answer:
    """The transaction as one event; a comment where nothing changed; 204 where nothing will."""
    try:
        view = json.loads(came)
        version, ended = int(view["version"]), view["status"] in _ENDED
    except (ValueError, KeyError, TypeError):
        return _refused(AWAY)
    headers = {**headers, "Content-Type": "text/event-stream; charset=utf-8"}
    if version > since:
        data = json.dumps(view, ensure_ascii=False)
        return 200, headers, f"event: transaction\nid: {version}\ndata: {data}\n\n".encode()
    if ended:
        return 204, headers, b""
    return 200, headers, b": still here\n\n"


def _since(forward: Forward) -> int:
    """The version that the browser has; -1 where it has none."""
    last = forward.headers.get("Last-Event-ID", "")
    return int(last) if last.isascii() and last.isdigit() and len(last) < 16 else -1


def _header(environ: Mapping[str, Any], name: str) -> str | None:
    key = name.upper().replace("-", "_")
    value = environ.get(key if key == "CONTENT_TYPE" else f"HTTP_{key}")
    return value if isinstance(value, str) else None


def _body(environ: Mapping[str, Any]) -> bytes | None:
    """None where it is too large. Without a length there is no body: PEP 3333 knows no other."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > MAX_UP:
        return None
    raw: bytes = environ["wsgi.input"].read(int(length))
    return raw


def _refused(refusal: Refusal) -> _Answer:
    return refusal.status, refusal.all_headers(), refusal.body()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Other"
