"""`RecordingEgress`: a public double of ``ports.Egress`` with canned replies, for tests.

No network. An address that nothing was scripted for is "cannot connect", so that a test which
forgets to script fails in the open.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import field, frozen

from moica_gateway.ports import EgressError, EgressReply

__all__ = ["RecordedRequest", "RecordingEgress", "Script"]


@frozen(kw_only=True)
class RecordedRequest:
    """One call of ``request``."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)
    timeout: float
    max_bytes: int
    ca_file: str | None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body or b"null")


Script = EgressReply | EgressError | Callable[[RecordedRequest], EgressReply]
"""What one request gets: a reply, an error to raise, or a function of the request."""


class RecordingEgress:
    """Replies by URL, in the order given; the last one of a URL stays.

    Attributes:
        requests: Everything that was asked, in order.
    """

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self._scripts: dict[str, deque[Script]] = {}

    def script(self, url: str, *scripts: Script) -> None:
        """Append to what ``url`` answers."""
        self._scripts.setdefault(url, deque()).extend(scripts)

    def reply(
        self,
        url: str,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Append one reply of bytes; header names are to be lower-case."""
        self.script(url, EgressReply(status=status, headers=dict(headers or {}), body=body))

    def reply_json(self, url: str, body: Any, *, status: int = 200) -> None:
        """Append one reply of JSON."""
        self.reply(
            url,
            json.dumps(body, ensure_ascii=False).encode(),
            status=status,
            headers={"content-type": "application/json"},
        )

    def clear(self) -> None:
        """Forget scripts and records."""
        self.requests.clear()
        self._scripts.clear()

    async def request(
        self,
        method: Literal["GET", "POST"],
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - the port's signature
        max_bytes: int = 1_048_576,
        ca_file: str | None = None,
    ) -> EgressReply:
        """As scripted. Raises the scripted `EgressError`, and ``too_large`` beyond the limit."""
        request = RecordedRequest(
            method=method,
            url=url,
            headers=dict(headers or {}),
            body=body,
            timeout=timeout,
            max_bytes=max_bytes,
            ca_file=ca_file,
        )
        self.requests.append(request)
        waiting = self._scripts.get(url)
        if not waiting:
            raise EgressError("connect", "nothing is scripted for this address", maybe_sent=False)
        script = waiting.popleft() if len(waiting) > 1 else waiting[0]
        if isinstance(script, EgressError):
            raise script
        reply = script if isinstance(script, EgressReply) else script(request)
        if len(reply.body) > max_bytes:
            raise EgressError(
                "too_large", f"answer is larger than {max_bytes} bytes", maybe_sent=True
            )
        return reply
