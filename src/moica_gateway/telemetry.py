"""Logs and metrics. A log line keeps only fields of an allow-list, and of those only safe values.

An ID number, certificate, key, token, ticket or checksum must never reach a log: names that are not
listed are dropped (and named in ``dropped``), values that look like one of these are replaced. The
same holds for what libraries log, and for the text of exceptions, which are shown without locals.
Deliberately not here: traces, and any look at a value's meaning; a person's name in the message of
a foreign library has no form by which it could be told. Security rules 14 and 16, `style.md` 22.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)

__all__ = ["ALLOWED_FIELDS", "Telemetry", "configure_logging", "redact"]

ALLOWED_FIELDS: Final = frozenset(
    {
        "attempts",
        "channel",
        "code",
        "count",
        "credential_id",
        "duration",
        "endpoint",
        "environment",
        "event",
        "event_id",
        "exception",
        "interface",
        "kind",
        "level",
        "logger",
        "method",
        "ms",
        "name",
        "port",
        "reason",
        "request_id",
        "result",
        "route",
        "signal",
        "sp_key_id",
        "sp_service_id",
        "status",
        "tenant",
        "timestamp",
        "transaction_id",
        "upstream_code",
        "version",
    }
)
"""Field names that a log line may have. No addresses and paths: tokens stand in them."""

_REDACTED: Final = "[redacted]"
_LONGEST: Final = 2000
_LONGEST_EXCEPTION: Final = 8000
_LARGEST_NUMBER: Final = 2**63
_HTTP_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

_SECRET: Final = re.compile(
    # The whole block: its later lines look like nothing in particular.
    r"-----BEGIN[^-\n]*-----.*?(?:-----END[^-\n]*-----|\Z)"
    # ID numbers; an escape before one (\n, \x00, %22, \u4e2d) ends in a letter or digit as well.
    r"|(?:(?<![0-9A-Za-z])|(?<=\\[a-z])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})"
    r"|(?<=\\u[0-9A-Fa-f]{4}))[A-Za-z][A-Da-d1289][0-9]{8}(?![0-9])"
    r"|mgk_[\w-]+|btk_[\w.-]+|whsec_[\w+/=-]+"
    r"|(?i:\b(?:bearer|basic)\s+\S+)"
    r"|eyJ[\w-]{8,}[\w.+/=-]*"  # tickets and other tokens that begin as JSON in base64
    r"|MI[IHG][A-Za-z0-9+/_-]{16,}={0,2}"  # DER in base64
    r"|[0-9a-fA-F]{64,}",  # digests, checksums, DER in hexadecimal
    re.DOTALL | re.ASCII,
)
# 43 characters are 32 bytes. Standard base64 has no `-` and `_`, the other alphabet no `/`: with
# both in one class every path in a traceback would be one long run.
_LONG_RUN: Final = re.compile(r"[A-Za-z0-9+/]{42,}={0,2}|[A-Za-z0-9_-]{42,}={0,2}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def redact(text: str) -> str:
    """The text with everything that looks like a secret or a person replaced."""
    return _LONG_RUN.sub(_keep_plain_words, _SECRET.sub(_REDACTED, text))


def _keep_plain_words(found: re.Match[str]) -> str:
    """Encoded bytes have large and small letters mixed throughout; identifiers have few large."""
    run = found[0]
    large = sum(c.isupper() for c in run)
    small = sum(c.islower() for c in run)
    return _REDACTED if large >= 4 and small >= 4 else run


def _safe(name: str, value: object) -> Any:
    """The value as it may be logged; raises ``TypeError`` for a type that may not."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < _LARGEST_NUMBER else _REDACTED
    if isinstance(value, str):
        if name == "exception":
            # What went wrong stands at the end.
            return redact(value)[-_LONGEST_EXCEPTION:]
        # A line break in a value would begin a line of the caller's making.
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", redact(value)[:_LONGEST])
    raise TypeError


def _allow_list(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in event.items():
        try:
            if name not in ALLOWED_FIELDS:
                raise TypeError
            kept[name] = (
                [_safe(name, item) for item in value]
                if isinstance(value, tuple | list)
                else _safe(name, value)
            )
        except TypeError:
            dropped.append(_CONTROL.sub("", redact(str(name)))[:40])
    if dropped:
        kept["dropped"] = sorted(dropped)
    # The console renderer cannot do without one.
    kept.setdefault("event", "log.unnamed")
    return kept


def _exceptions(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Types and places, without locals; messages are redacted by the allow-list behind this."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        event["exception"] = "".join(traceback.format_exception(*info, limit=-12))
    return event


class _Handler(logging.StreamHandler[TextIO]):
    """The standard one prints a record that it cannot format, arguments included, to stderr."""

    def handleError(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(f'{{"event": "log.failed", "logger": "{record.name}"}}\n')
        except (OSError, ValueError):
            return  # nobody reads any more


def configure_logging(level: str, form: str, stream: TextIO | None = None) -> None:
    """Everything in the process logs through one chain, to stderr.

    Args:
        level: ``DEBUG`` … ``ERROR``.
        form: ``json`` or ``console``.
        stream: For tests.
    """
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exceptions,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _allow_list,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These write statements with their parameters, or every frame, at DEBUG.
    for noisy in ("sqlalchemy", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class Telemetry:
    """Metrics in a registry of their own, and alarms. No label comes from outside unchecked."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._log = structlog.get_logger("moica_gateway.alarm")
        self._http = Histogram(
            "moica_http_seconds",
            "HTTP requests",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._events = Counter(
            "moica_events",
            "Events by type, each counted once: outcomes of transactions and notices",
            ("type",),
            registry=self._registry,
        )
        self._polls = Counter(
            "moica_polls", "Polls by result", ("result",), registry=self._registry
        )
        self._lag = Histogram(
            "moica_poll_lag_seconds",
            "How late a poll was",
            registry=self._registry,
        )
        self._deliveries = Counter(
            "moica_deliveries", "Webhook attempts", ("result",), registry=self._registry
        )
        self._braked = Counter(
            "moica_braked",
            "Requests for tickets that a brake refused, by brake",
            ("brake",),
            registry=self._registry,
        )
        self._callbacks = Counter(
            "moica_callbacks",
            "Forms from the Ministry's site by what became of them",
            ("result",),
            registry=self._registry,
        )
        self._alarms = Counter("moica_alarms", "Alarms", ("alarm",), registry=self._registry)

    def observe_http(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request; ``route`` is the pattern, never the path."""
        known = method if method in _HTTP_METHODS else "other"
        self._http.labels(known, route, str(status)).observe(seconds)

    def observe_poll(self, result: str, lag: float) -> None:
        """One poll; ``lag`` in seconds."""
        self._polls.labels(result).inc()
        self._lag.observe(lag)

    def observe_delivery(self, result: str, event_type: str | None = None) -> None:
        """One webhook attempt; ``event_type`` at an event's first, so that it counts once."""
        self._deliveries.labels(result).inc()
        if event_type is not None:
            self._events.labels(event_type).inc()

    def observe_brake(self, brake: str) -> None:
        """One refusal; ``push`` or whose count: ``person``, ``tenant``, ``gateway``."""
        self._braked.labels(brake).inc()

    def observe_callback(self, result: str) -> None:
        """One: ``taken``, ``repeated``, ``late``, ``forged`` or ``unknown``."""
        self._callbacks.labels(result).inc()

    def alarm(self, event: str, fields: Mapping[str, str]) -> None:
        """Something that an operator must hear of; raises nothing."""
        self._alarms.labels(event).inc()
        self._log.error(event, **{k: v for k, v in fields.items() if k != "event"})

    def render(self) -> tuple[bytes, str]:
        """The exposition format and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
