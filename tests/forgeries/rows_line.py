"""What the line, a proxy or a maintenance page may bring (design, "States and deadlines").

Nothing was said: at a poll it is recorded and asked again, and the honest answer then counts. At a
beginning it ends its challenge: the phone may have rung, and is not rung again by itself.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from .hostile import Raw, Status, Turn
from .row import End, Place, Row

__all__ = ["ROWS"]

RT, ST, QT = Place.REGISTRATION_TICKET, Place.SIGNATURE_TICKET, Place.QR_TICKET
SR = Place.SIGNATURE_RESULT
BOTH = (Place.REGISTRATION_RESULT, SR)
MALFORMED, UNAVAILABLE, UNREACHABLE = (
    "upstream_malformed",
    "upstream_unavailable",
    "upstream_unreachable",
)


def zipped(data: bytes, encoding: str = "gzip") -> Status:
    return Status(200, data, {"Content-Encoding": encoding})


def http(head: str, body: bytes) -> Raw:
    """A reply as it goes over the line."""
    return Raw(f"HTTP/1.1 {head}\r\nContent-Type: application/json\r\n".encode() + body)


def longer(turn: Turn) -> Raw:
    """Fewer bytes than Content-Length says, then the end."""
    body = turn.bytes()
    return http("200 OK", b"Content-Length: %d\r\n\r\n" % (len(body) + 9) + body)


def shorter(turn: Turn) -> Raw:
    """More bytes than Content-Length says: what is read is cut off."""
    body = turn.bytes()
    return http("200 OK", b"Content-Length: %d\r\n\r\n" % (len(body) - 9) + body)


def half(turn: Turn) -> Raw:
    """A chunk that never ends."""
    return http("200 OK", b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + turn.bytes())


def deep(turn: Turn, levels: int) -> bytes:
    """The honest answer with one more member."""
    return turn.bytes()[:-1] + b', "x": ' + b"[" * levels + b"]" * levels + b"}"


def redirect(turn: Turn) -> Status:
    """To where the attacker listens, with a perfect answer along the way."""
    return Status(307, turn.honest(), {"Location": f"{turn.desk.platform.url}/elsewhere"})


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: member for key, member in value.items() if key != name}


# fmt: off
UNREADABLE: list[tuple[str, str, Any]] = [
    ("empty body", MALFORMED, lambda t: b""),
    ("spaces", MALFORMED, lambda t: b" \r\n"),
    ("a web page", MALFORMED, lambda t: b"<!doctype html><title>maintenance</title>"),
    ("JSON cut off", MALFORMED, lambda t: t.bytes()[:-1]),
    ("JSON with something behind", MALFORMED, lambda t: t.bytes() * 2),
    ("bytes that are not UTF-8", MALFORMED,
     lambda t: t.bytes().replace(b"SUCCESS", b"\xff\xfe")),
    ("UTF-8 with a byte order mark", MALFORMED, lambda t: b"\xef\xbb\xbf" + t.bytes()),
    ("UTF-16", MALFORMED, lambda t: t.bytes().decode().encode("utf-16")),
    ("NaN", MALFORMED, lambda t: t.bytes()[:-1] + b', "x": NaN}'),
    ("a number with a zero in front", MALFORMED,
     lambda t: t.bytes().replace(b'"error_code": "0"', b'"error_code": 00')),
    ("a number of 5000 digits", MALFORMED,
     lambda t: t.bytes()[:-1] + b', "x": ' + b"9" * 5000 + b"}"),
    ("nested too deep", MALFORMED, lambda t: deep(t, 9)),
    ("nested without end", MALFORMED, lambda t: deep(t, 50_000)),
    ("a huge body", MALFORMED, lambda t: t.bytes()[:-1] + b" " * 300_000 + b"}"),
    ("a gzip bomb", MALFORMED, lambda t: zipped(gzip.compress(t.bytes() + b" " * 5_000_000, 6))),
    ("gzip cut off", MALFORMED, lambda t: zipped(gzip.compress(t.bytes())[:-8])),
    ("gzip that is none", MALFORMED, lambda t: zipped(t.bytes())),
    ("an encoding that nobody asked for", MALFORMED, lambda t: zipped(t.bytes(), "br")),
    ("a list", MALFORMED, lambda t: json.dumps([t.honest()]).encode()),
    ("text", MALFORMED, lambda t: b'"0"'),
    ("null", MALFORMED, lambda t: b"null"),
    ("no error_code", MALFORMED, lambda t: without(t.honest(), "error_code")),
    ("the framework's own error page with 200", MALFORMED,
     lambda t: {"timestamp": "2026-04-29", "status": 500, "error": "Internal", "path": "/"}),
    ("a Content-Length that is too short", MALFORMED, shorter),
    ("no HTTP", MALFORMED, lambda t: Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")),
    ("a header without end", MALFORMED,
     lambda t: http("200 OK", b"X: " + b"x" * 20_000 + b"\r\n\r\n" + t.bytes())),
    ("a redirect", MALFORMED, redirect),
    ("a perfect answer with 201", MALFORMED, lambda t: Status(201, t.honest())),
    ("a perfect answer with 404", MALFORMED, lambda t: Status(404, t.honest())),
    ("a perfect answer with 500", UNAVAILABLE, lambda t: Status(500, t.honest())),
    ("a perfect answer with 503 and Retry-After", UNAVAILABLE,
     lambda t: Status(503, t.honest(), {"Retry-After": "0"})),
]

AT_THE_BEGINNING = (
    "empty body", "a web page", "JSON cut off", "a gzip bomb", "a redirect",
    "a perfect answer with 500",
)

# Here the exchange broke: with a body half read, or before any answer.
BROKEN: list[tuple[str, Any]] = [
    ("a Content-Length that is too long", longer),
    ("a chunk cut off", half),
    ("the connection closed without a word", lambda t: Raw(b"")),
]

ROWS: list[Row] = [
    *(Row(name=name, rule="D", forge=forge, code=code, end=End.ASKED_AGAIN, who="platform",
          places=BOTH if name == "a web page" else (SR,)) for name, code, forge in UNREADABLE),
    *(Row(name=name, rule="D", forge=forge, code=UNREACHABLE, end=End.ASKED_AGAIN, who="platform",
          places=(SR,)) for name, forge in BROKEN),
    *(Row(name=f"{name}, at the beginning", rule="D", forge=forge, code=code, who="platform",
          places=(RT, ST, QT) if name == "a web page" else (ST,))
      for name, code, forge in UNREADABLE if name in AT_THE_BEGINNING),
    *(Row(name=f"{name}, at the beginning", rule="D", forge=forge, code="start_unknown",
          places=(RT,) if name == BROKEN[0][0] else (ST,), who="platform")
      for name, forge in BROKEN),
]
# fmt: on
