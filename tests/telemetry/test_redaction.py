"""What may stand in a log line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from moica_gateway.telemetry import Telemetry, configure_logging, redact


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Captured; the former set-up is put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("DEBUG", "json", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


SECRETS = [
    "A123456789",
    "AC01234567",
    "mgk_live_abcdefghijklmnopqrstuvwxyz",
    "btk_abc.def",
    "whsec_c2VjcmV0",
    "Bearer abc",
    "eyJ0cmFuc2FjdGlvbl9pZCI6IjQx.XNaN2qnTpA",
    "MIIF1TCCA72gAwIBAgIQWiAtFLOXh9CIbDcYSsm3ajANBgkqhkiG9w0B",
    "00" * 92,
    "ab" * 32,
    "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw=",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_replaced(log: io.StringIO, secret: str) -> None:
    """In fields, in libraries' messages and in exceptions."""
    assert secret not in redact(f"before {secret} after")
    structlog.get_logger("x").info("event.name", reason=f"came {secret}", unknown=secret)
    logging.getLogger("library").warning("it said %s", secret)
    try:
        raise ValueError(f"bad {secret}")
    except ValueError:
        structlog.get_logger("x").exception("event.failed")
    text = log.getvalue()
    assert secret not in text
    assert "[redacted]" in text
    assert "ValueError" in text


def test_unknown_fields_are_dropped_by_name(log: io.StringIO) -> None:
    """And listed, so that somebody can allow them."""
    structlog.get_logger("x").info("event.name", code="ok", subject_name="王小明")
    line = json.loads(log.getvalue())
    assert line["code"] == "ok"
    assert line["dropped"] == ["subject_name"]
    assert "王小明" not in log.getvalue()


def test_an_alarm_is_logged_and_counted(log: io.StringIO) -> None:
    """Under its name."""
    telemetry = Telemetry()
    telemetry.alarm("security.upstream_tampered", {"transaction_id": "txn_1"})
    assert "security.upstream_tampered" in log.getvalue()
    assert b'moica_alarms_total{alarm="security.upstream_tampered"} 1.0' in telemetry.render()[0]
