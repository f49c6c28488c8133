"""Checksums against vectors that were made with another implementation (vectors.json)."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moica_simulator.checksum import AesKey, open_checksum, seal, sha256_hex, verifies
from moica_simulator.platform.reply import Reply
from moica_simulator.platform.wire import Interface, sp_payload

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
KEY = AesKey.parse(VECTORS["aes_key_base64"])
CHECKSUMS = VECTORS["checksums"]
BY_NAME = {each["name"]: each for each in CHECKSUMS}


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", CHECKSUMS, ids=named)
def test_a_vector_is_made_exactly(vector: dict[str, Any]) -> None:
    """Payload, key and IV of a vector give its hash and its checksum."""
    payload = "".join(vector["fields"][name] or "" for name in vector["order"])
    assert payload == vector["payload"]
    assert sha256_hex(payload) == vector["sha256_hex"]
    assert seal(payload, KEY, bytes.fromhex(vector["iv_hex"])) == vector["checksum"]


@pytest.mark.parametrize("vector", CHECKSUMS, ids=named)
def test_a_vector_is_opened_and_verified(vector: dict[str, Any]) -> None:
    """A vector's checksum opens to its hash, and verifies over its payload only."""
    assert open_checksum(vector["checksum"], KEY) == vector["sha256_hex"]
    assert verifies(vector["checksum"], vector["payload"], KEY)
    assert not verifies(vector["checksum"], vector["payload"] + "x", KEY)


@pytest.mark.parametrize(
    ("name", "interface"),
    [
        ("ATH-01 sp_checksum, SIGN by I-SCAN", Interface.GET_SP_TICKET),
        ("ATH-01 sp_checksum, ATH without sign_data", Interface.GET_SP_TICKET),
        ("ATH-02 sp_checksum", Interface.GET_RESULT),
        ("ATH-03 sp_checksum, every device", Interface.REQUEST_PUSH),
        ("ATH-03 sp_checksum, one device", Interface.REQUEST_PUSH),
    ],
)
def test_a_body_gives_the_vectors_payload(name: str, interface: Interface) -> None:
    """The fields of a request body are joined in the vector's order, sign_data from sign_info."""
    fields = {key: value for key, value in BY_NAME[name]["fields"].items() if value is not None}
    if "sign_data" in fields:
        fields["sign_info"] = {"sign_data": fields.pop("sign_data")}
    shuffled = dict(reversed(fields.items()))
    assert sp_payload(interface, shuffled) == BY_NAME[name]["payload"]


@pytest.mark.parametrize(
    ("name", "interface"),
    [
        ("ATH-01 idp_checksum over a ticket", Interface.GET_SP_TICKET),
        ("ATH-02 idp_checksum", Interface.GET_RESULT),
    ],
)
def test_an_answer_gives_the_vectors_payload(name: str, interface: Interface) -> None:
    """The fields of an answer are joined in the vector's order."""
    fields = dict(BY_NAME[name]["fields"])
    transaction_id, code = fields.pop("transaction_id"), fields.pop("error_code")
    reply = Reply(interface, code, "", transaction_id=transaction_id, result=fields)
    assert reply.idp_payload() == BY_NAME[name]["payload"]


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(bytes(range(220, 252))).decode(),
        base64.urlsafe_b64encode(bytes(range(220, 252))).decode(),
        base64.urlsafe_b64encode(bytes(range(220, 252))).decode().rstrip("="),
        base64.b64encode(bytes(range(220, 252))).decode().rstrip("="),
    ],
)
def test_a_key_is_read_in_every_form(text: str) -> None:
    """Standard or URL-safe, padded or not, it is the same key."""
    assert AesKey.parse(text).raw == bytes(range(220, 252))


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", base64.b64encode(bytes(33)).decode()])
def test_a_key_of_another_size_is_refused(text: str) -> None:
    """Only 32 bytes are a key."""
    with pytest.raises(ValueError):
        AesKey.parse(text)


def test_a_key_is_not_shown() -> None:
    """The repr of a key holds nothing of it."""
    assert repr(AesKey(b"k" * 32)) == "AesKey()"


@given(st.text(alphabet="0123456789abcdefABCDEF \n", min_size=180, max_size=188) | st.text())
def test_anything_else_is_no_checksum(text: str) -> None:
    """Whatever is no checksum is refused, never with another exception."""
    assert not verifies(text, "payload", KEY)
