"""Structured log lines, one JSON object each.

Only fields on the allow-list leave the process; anything else is replaced by its name in
`withheld`. ID numbers, names, hints, keys, certificates and tickets are on no list: a payload can
be seen in the history of requests (`/sim/v1/requests`), never in the log.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

__all__ = ["ALLOWED_FIELDS", "Logger", "bare_http_logger", "make_logger", "withhold"]

Logger = structlog.typing.FilteringBoundLogger

ALLOWED_FIELDS = frozenset(
    {
        "advanced_s",
        "behaviour",
        "code",
        "device_id",
        "duration_ms",
        "environment",
        "error_type",
        "event",
        "fast",
        "fault_id",
        "fido2",
        "http_status",
        "interface",
        "level",
        "method",
        "op_code",
        "prepared",
        "profile",
        "route",
        "seed",
        "serial",
        "signal",
        "sp_service_id",
        "sp_ticket_id",
        "state",
        "timestamp",
        "url",
    }
)
"""The only fields that a log line may have."""


def withhold(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Drops what is not on the allow-list; the last processor before rendering."""
    kept = {name: value for name, value in event.items() if name in ALLOWED_FIELDS}
    if dropped := sorted(set(event) - ALLOWED_FIELDS):
        kept["withheld"] = dropped
    return kept


def make_logger(file: TextIO | None, level: str = "info") -> Logger:
    """Returns a logger with our own processors, whatever the process set up for structlog.

    Args:
        file: Where the lines go; None makes a logger that writes nothing.
        level: The lowest level that is written, e.g. `debug`.
    """
    lazy: Logger = structlog.wrap_logger(
        structlog.PrintLogger(file or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            withhold,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level if file else "critical"),
    )
    # Bound once: what `wrap_logger` gives is put together anew at each line.
    logger: Logger = lazy.bind()
    return logger


def bare_http_logger() -> logging.Logger:
    """Returns a logger for aiohttp that writes nothing.

    aiohttp quotes malformed requests in its errors, and with them whatever ID number they hold;
    our own middleware reports what matters.
    """
    logger = logging.getLogger("moica_simulator.http")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
