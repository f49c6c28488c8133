"""Answers as evidence shows them: without what finds the person."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlencode

import pytest

from moica_gateway.protocols.twfido.shown import shown_answer


def test_json_is_shown_without_the_person_at_any_depth() -> None:
    """Everything else stays."""
    raw = {
        "error_code": "0",
        "id_num": "A123456789",
        "result": {"hashed_id_num": "b194", "cert": "MII", "set": [{"id_num": 1}, "x"]},
    }
    shown = json.loads(shown_answer(json.dumps(raw).encode()))
    assert shown == {
        "error_code": "0",
        "id_num": "(not shown)",
        "result": {
            "hashed_id_num": "(not shown)",
            "cert": "MII",
            "set": [{"id_num": "(not shown)"}, "x"],
        },
    }


def test_a_form_is_shown_without_the_person() -> None:
    """As WEB-01 brings one."""
    raw = urlencode({"transaction_id": "t", "id_num": "A123456789", "cert": "a+/b="}).encode()
    shown = parse_qs(shown_answer(raw).decode())
    assert shown == {"transaction_id": ["t"], "id_num": ["(not shown)"], "cert": ["a+/b="]}


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"A123456789", b'{"id_num": "A123456789"', b"[" * 100_000, b"{" * 100_000]
)
def test_what_cannot_be_read_is_not_shown(raw: bytes) -> None:
    """Nothing of it, and nothing is raised."""
    assert b"A123456789" not in shown_answer(raw)
