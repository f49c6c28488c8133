"""The connector: one HTTP exchange with the SP API, and nothing of time or trust.

An answer of the platform arrives with HTTP 200 in an envelope. Whatever comes with another status
was said by a server in front of it, or by its framework: it is never an answer, whatever its body
says, and it is transient. Specification: ``protocol/moi-sp-api.md`` "Transport".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import structlog

from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import Clock, Egress, EgressError
from moica_gateway.protocols.twfido.codes import CODES
from moica_gateway.protocols.twfido.envelope import (
    MAX_ANSWER_BYTES,
    Envelope,
    parse_envelope,
    unreadable,
)
from moica_gateway.protocols.twfido.wire import Request

__all__ = ["SpApiClient", "retry_after"]

_PATH: Final = "/moise/sp/"
_HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "application/json; charset=utf-8",
    "Accept": "application/json",
}
_PATIENCE_LIMIT: Final = 600.0
_UNAVAILABLE: Final = frozenset({408, 429})


class SpApiClient:
    """Posts a request and reads the envelope.

    Args:
        base_url: Of the API host, ``https://fidoapi.moi.gov.tw``.
        egress: The way out.
        clock: For durations and dates.
        timeout: Seconds for one exchange.
        logger: A structlog logger; without it the module's own, fetched at each call.
    """

    def __init__(
        self,
        base_url: str,
        egress: Egress,
        clock: Clock,
        *,
        timeout: float = 10.0,
        logger: Any = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._egress = egress
        self._clock = clock
        self._timeout = timeout
        self._logger = logger

    async def ask(self, request: Request) -> Envelope:
        """One exchange.

        Raises:
            EgressError: No answer; ``maybe_sent`` tells whether the request may have arrived.
            UpstreamError: ``upstream_unavailable`` or ``upstream_malformed``: an answer that says
                nothing. Its problem may have ``retry_after``, in seconds.
            VerificationError: ``answer_invalid``.
        """
        started = self._clock.monotonic()
        url = f"{self._base_url}{_PATH}{request.interface.method}"
        status: int | None = None
        code = "none"
        try:
            reply = await self._egress.request(
                "POST",
                url,
                headers=_HEADERS,
                body=request.body,
                timeout=self._timeout,
                max_bytes=MAX_ANSWER_BYTES,
            )
            status = reply.status
            if status != 200:
                code = "http"
                raise self._not_ok(status, reply.headers)
            envelope = parse_envelope(reply.body)
            # A code that is not in the table may be anything: it is not written to a log.
            code = envelope.code if envelope.success or envelope.code in CODES else "unknown"
            return envelope
        except EgressError as exc:
            code = exc.kind
            if exc.kind in ("too_large", "malformed"):
                raise unreadable(
                    "one that is too large" if exc.kind == "too_large" else "no HTTP"
                ) from exc
            raise
        except GatewayError as exc:
            code = code if code == "http" else exc.code
            raise
        finally:
            self._log(request.interface.id, code, status, self._clock.monotonic() - started)

    def _not_ok(self, status: int, headers: Mapping[str, str]) -> GatewayError:
        patience = (
            retry_after(headers.get("retry-after"), self._clock.now())
            if status in (429, 503)
            else None
        )
        unavailable = status >= 500 or status in _UNAVAILABLE
        extra: dict[str, Any] = {} if patience is None else {"retry_after": patience}
        return error(
            "upstream_unavailable" if unavailable else "upstream_malformed",
            f"expected HTTP 200 of the platform, came {status}; it is asked for again while there "
            "is time, and the operator looks at the line and the base URL",
            **extra,
        )

    def _log(self, interface: str, code: str, status: int | None, duration: float) -> None:
        logger = self._logger if self._logger is not None else structlog.get_logger()
        logger.debug(
            "upstream.exchange",
            interface=interface,
            code=code,
            status=status,
            duration=round(duration, 4),
        )


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds of a ``Retry-After`` header: a number or an HTTP date, 0 to 600; None otherwise."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        # Longer than any sensible number, and int() of thousands of digits raises.
        return min(float(text[:9]), _PATIENCE_LIMIT) if len(text) < 10 else _PATIENCE_LIMIT
    try:
        when = parsedate_to_datetime(text)
        # "-0000" gives a naive time, which RFC 9110 does not allow but is meant as UTC.
        aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
        seconds = (aware - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _PATIENCE_LIMIT)
