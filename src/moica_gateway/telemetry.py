"""Logs and metrics. A log line keeps only fields of an allow-list, and of those only safe values.

An ID number, certificate, key, token, ticket or checksum must never reach a log: names that are not
listed are dropped, values that look like one of these are replaced. The same holds for what
libraries log, and for the text of exceptions.
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

__all__ = ["Telemetry", "configure_logging", "redact"]

_ALLOWED: Final = frozenset(
    {
        "action",
        "alarm",
        "attempts",
        "challenge",
        "channel",
        "code",
        "component",
        "count",
        "duration_ms",
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
        "path",
        "port",
        "reason",
        "relaxations",
        "request_id",
        "result",
        "route",
        "status",
        "tenant",
        "timestamp",
        "transaction_id",
        "upstream_code",
        "url",
        "version",
    }
)
_SECRET: Final = re.compile(
    r"(?<![0-9A-Za-z])[A-Za-z][A-Da-d1289][0-9]{8}(?![0-9A-Za-z])"  # ID numbers
    r"|\bmgk_\w+|\bbtk_[\w.-]+|\bwhsec_[\w+/=-]+|(?i:bearer\s+\S+)"  # keys and tokens
    r"|\beyJ[\w-]{8,}[\w.-]*"  # tickets
    r"|\bMI[IHG][\w+/]{16,}={0,2}"  # DER in base64
    r"|-----BEGIN[^-]*-----"
    r"|\b[0-9a-fA-F]{64,}\b"  # digests, checksums
    r"|\b[A-Za-z0-9+/_-]{42,44}={1,2}"  # keys in base64
)
_REDACTED: Final = "[redacted]"
_LONGEST: Final = 2000


def redact(text: str) -> str:
    """The text with everything that looks like a secret or a person replaced."""
    return _SECRET.sub(_REDACTED, text)[:_LONGEST]


def _allow_list(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name, value in event.items():
        if name not in _ALLOWED:
            dropped.append(redact(name)[:40])
        elif isinstance(value, bool | int | float) or value is None:
            kept[name] = value
        elif isinstance(value, str):
            kept[name] = redact(value)
        elif isinstance(value, tuple | list):
            kept[name] = [redact(str(item)) for item in value]
        else:
            dropped.append(name)
    if dropped:
        kept["dropped"] = dropped
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
    handler = logging.StreamHandler(stream or sys.stderr)
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
    """Metrics in a registry of their own, and alarms."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._log = structlog.get_logger("moica_gateway.alarm")
        self._http = Histogram(
            "moica_http_seconds",
            "HTTP requests",
            ("method", "route", "status"),
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
        self._alarms = Counter("moica_alarms", "Alarms", ("alarm",), registry=self._registry)

    def observe_http(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request."""
        self._http.labels(method, route, str(status)).observe(seconds)

    def observe_poll(self, result: str, lag: float) -> None:
        """One poll."""
        self._polls.labels(result).inc()
        self._lag.observe(lag)

    def observe_delivery(self, result: str) -> None:
        """One webhook attempt."""
        self._deliveries.labels(result).inc()

    def alarm(self, event: str, fields: Mapping[str, str]) -> None:
        """Something that an operator must hear of; raises nothing."""
        self._alarms.labels(event).inc()
        self._log.error(event, **dict(fields))

    def render(self) -> tuple[bytes, str]:
        """The exposition format and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
