"""What a log line holds, whoever wrote it; and what of a secret is left in it."""

from __future__ import annotations

import ast
import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import moica_gateway
from moica_gateway.telemetry import ALLOWED_FIELDS, configure_logging, redact

SOURCE = Path(moica_gateway.__file__).parent
PEM = (
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\n"
    "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/AbCdEfGhIjKlMnOpQrStUvWxYz\n"
    "shortlastline\n-----END PRIVATE KEY-----"
)


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


def line(log: io.StringIO) -> dict[str, Any]:
    """The only line so far."""
    (only,) = log.getvalue().splitlines()
    read: dict[str, Any] = json.loads(only)
    return read


WHOLLY_GONE: list[tuple[str, str]] = [
    ("mgk_live_abcdefgh-SECRETTAIL_xyz-123", "SECRETTAIL"),
    ("xmgk_test_abc-TAIL", "TAIL"),
    ("btk_dDEK-dHhu.MAC-TAIL_x", "TAIL"),
    ("whsec_c2Vj/cmV0+TAIL==", "TAIL"),
    ("Authorization: Bearer opaque-TAIL", "opaque"),
    ("authorization: basic dXNlcjpw", "dXNlcjpw"),
    ("ticket=eyJ0cmFuc2FjdGlvbl9pZCI6.XNaN+/TAIL==", "TAIL"),
    (PEM, "AbCdEf"),
    (PEM, "shortlastline"),
    (PEM[:150], "AbCdEf"),
    ("AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw", "AwoR"),
    ("AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw=", "AwoR"),
    ("Ab_cD-eFgHiJkLmNoPqRsTuVwXyZ0123456789-_aBcD", "FgHiJ"),
    ("key_" + "ab" * 32, "abab"),
    ("0x" + "AB" * 92, "ABAB"),
    (f"checksum {'0' * 184}", "0000"),
    ("A123456789", "3456"),
    ("a123456789", "3456"),
    ("AC01234567", "0123"),
    ("F812345678", "1234"),
    ("身分證字號A123456789，", "3456"),
    ("user_A123456789_x", "3456"),
    (r"'x\nA123456789'", "3456"),
    (r"b'\x00A123456789'", "3456"),
    (r"\u738bA123456789", "3456"),
    ("?id=%22A123456789%22", "3456"),
    ('{"id_num":"A123456789"}', "3456"),
]


@pytest.mark.parametrize(("text", "rest"), WHOLLY_GONE)
def test_nothing_of_a_secret_is_left(text: str, rest: str) -> None:
    """Not its end behind a dash, not the later lines of a PEM, not unpadded base64."""
    assert rest in text
    assert rest not in redact(f"before {text} after")


@pytest.mark.parametrize(
    "text",
    [
        "txn_06n1kq2v8w3c5x7y9z0abcdefg",
        "evt_06n1kq2v8w3c5x7y9z0abcdefg",
        "/usr/lib/python3/dist-packages/aiohttp/web_protocol.py",
        "moica_gateway.services.settlement",
        "test_a_very_long_name_of_a_function_that_is_no_secret_at_all",
        "SP-API-ATH-02",
        "41570c02-5226-4d2e-8391-839ed31123cf",
        "公文文號：1153000165 驗證碼：42",
        "port 8700 on 127.0.0.1 is busy",
    ],
)
def test_what_an_operator_needs_is_left(text: str) -> None:
    """Ids, paths, names, codes, document numbers."""
    assert redact(text) == text


@given(st.text(max_size=40), st.sampled_from([t for t, _ in WHOLLY_GONE[:8]]))
def test_a_token_is_found_in_any_surroundings(around: str, token: str) -> None:
    """Whatever stands before and behind it."""
    assert token not in redact(f"{around} {token} {around}")


@pytest.mark.parametrize("unit", ["a", "A", "aA0", "eyJ", "MII", "-----BEGIN", "0", "\\u", "%2"])
def test_redaction_takes_time_in_proportion(unit: str) -> None:
    """A hostile megabyte does not stop the program."""
    start = time.process_time()
    redact(unit * (1_000_000 // len(unit)))
    assert time.process_time() - start < 5


def test_only_safe_types_are_kept(log: io.StringIO) -> None:
    """An object's text is never asked for; a number as large as a key is none."""

    class Telling:
        def __repr__(self) -> str:
            return "A123456789"

        __str__ = __repr__

    structlog.get_logger("x").info(
        "event.name",
        code=Telling(),
        reason={"a": "b"},
        result=b"bytes",
        status=2**200,
        count=3,
        ms=1.5,
        name=["a", Telling()],
        version=("ok", "Bearer abc"),
    )
    found = line(log)
    assert found["count"] == 3
    assert found["ms"] == 1.5
    assert found["status"] == "[redacted]"
    assert found["version"] == ["ok", "[redacted]"]
    assert found["dropped"] == ["code", "name", "reason", "result"]
    assert "A123456789" not in log.getvalue()


def test_the_name_of_a_dropped_field_is_redacted_too(log: io.StringIO) -> None:
    """A dictionary that was unpacked may have anything as names."""
    structlog.get_logger("x").info("event.name", A123456789=1)
    assert "A123456789" not in log.getvalue()


def test_what_libraries_log_goes_the_same_way(log: io.StringIO) -> None:
    """Message, arguments, extra fields and exception."""
    try:
        raise ValueError("person A123456789")
    except ValueError:
        logging.getLogger("aiohttp.server").exception(
            "failed for %s", "mgk_live_abc-def", extra={"subject": "王小明"}
        )
    found = line(log)
    assert found["event"] == "failed for [redacted]"
    assert found["logger"] == "aiohttp.server"
    assert "ValueError: person [redacted]" in found["exception"]
    assert "王小明" not in log.getvalue()


def test_an_exception_is_shown_without_locals_and_with_its_end(log: io.StringIO) -> None:
    """Types, places, causes; however long its message is."""

    def fails(secret: str) -> None:
        raise RuntimeError("x" * 20_000 + " the end") from ValueError(f"cause {secret}")

    try:
        fails("A123456789")
    except RuntimeError as e:
        structlog.get_logger("x").error("event.failed", exc_info=e)
    found = line(log)["exception"]
    assert found.rstrip().endswith("the end")
    assert len(found) <= 8000
    assert "A123456789" not in log.getvalue()


def test_a_message_that_cannot_be_formatted_shows_no_arguments(
    log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    """The standard handler prints them to stderr."""
    record = logging.LogRecord("library", logging.WARNING, "f", 1, "%d", ("A123456789",), None)
    # Straight to ours: pytest's own handler would raise.
    logging.getLogger().handlers[0].handle(record)
    assert line(log) == {"event": "log.failed", "logger": "library"}
    assert "A123456789" not in capsys.readouterr().err


def test_a_value_cannot_begin_a_line_of_its_own() -> None:
    """Also where lines are for people."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    try:
        configure_logging("INFO", "console", stream)
        structlog.get_logger("x").info("event.name", reason="a\r\n2026 [error] forged \u202e")
        assert len(stream.getvalue().splitlines()) == 1
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


def test_the_request_id_stands_in_every_line_of_a_request(log: io.StringIO) -> None:
    """Also in those of libraries."""
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("x").info("event.name")
        logging.getLogger("library").info("word")
    structlog.get_logger("x").info("event.name")
    read = [json.loads(one) for one in log.getvalue().splitlines()]
    assert [one.get("request_id") for one in read] == ["r-1", "r-1", None]


def test_statements_and_frames_are_not_logged_at_debug(log: io.StringIO) -> None:
    """Their parameters are personal data."""
    for name in ("sqlalchemy.engine", "asyncio", "aiohttp.access"):
        logging.getLogger(name).info("SELECT …")
    assert log.getvalue() == ""


def _logged_names() -> Iterator[tuple[str, str]]:
    methods = {"debug", "info", "warning", "error", "exception", "critical"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in methods and node.args:
                for keyword in node.keywords:
                    if keyword.arg not in (None, "exc_info"):
                        yield path.name, str(keyword.arg)


def test_every_field_that_the_program_logs_is_allowed() -> None:
    """Else an operator would find its name under ``dropped``, and not the value."""
    logged = list(_logged_names())
    assert ("delivery.py", "event_id") in logged
    assert [(file, name) for file, name in logged if name not in ALLOWED_FIELDS] == []
