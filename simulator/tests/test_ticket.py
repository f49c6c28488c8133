"""sp_ticket: its form, against the vector, and what is no ticket."""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moica_simulator import PlatformError
from moica_simulator.ticket import decode, encode

VECTOR = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))["sp_ticket"]


def sealed(first: str) -> str:
    """Gives any first part its right digest."""
    digest = hashlib.sha256(first.encode()).digest()
    return f"{first}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def test_the_vector_is_written() -> None:
    """The vector's payload gives its ticket, character by character."""
    assert encode(VECTOR["payload"]) == VECTOR["ticket"]


def test_the_vector_is_read() -> None:
    """The vector's ticket gives its payload."""
    assert decode(VECTOR["ticket"]) == VECTOR["payload"]


@pytest.mark.parametrize(
    ("ticket", "code"),
    [
        ("", "SPTKT_PLD_FT_ERR"),
        ("abc", "SPTKT_PLD_FT_ERR"),
        (".", "SPTKT_PLD_FT_ERR"),
        ("ä.ö", "SPTKT_PLD_FT_ERR"),
        ("https://example.invalid/", "SPTKT_DIG_FT_ERR"),
        (VECTOR["ticket"][:-1], "SPTKT_DIG_FT_ERR"),
        ("x" + VECTOR["ticket"], "SPTKT_DIG_FT_ERR"),
        (sealed("!!!!"), "SPTKT_PLD_FT_ERR"),
        (sealed("bm8ganNvbg"), "SPTKT_PLD_FT_ERR"),
        (sealed("W10"), "SPTKT_PLD_FT_ERR"),
        (sealed("e30"), "SPTKT_PLD_FT_ERR"),
        (sealed(base64.b64encode(b"[" * 9000).decode()), "SPTKT_PLD_FT_ERR"),
    ],
)
def test_what_is_no_ticket_says_why(ticket: str, code: str) -> None:
    """A wrong digest and a wrong payload have different codes."""
    with pytest.raises(PlatformError) as caught:
        decode(ticket)
    assert caught.value.code == code


@given(st.text())
def test_anything_scanned_is_refused_in_its_own_words(text: str) -> None:
    """No text makes the reader raise anything but the platform's error."""
    with pytest.raises(PlatformError):
        decode(text)
    with pytest.raises(PlatformError):
        decode(sealed(text.encode("ascii", "ignore").decode() or "x"))
