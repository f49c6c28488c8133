"""Checksums: vectors both ways, keys, and what the guard refuses."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.domain.models import ServiceProvider, SpKey
from moica_gateway.domain.values import Secret
from moica_gateway.errors import ConfigurationError, GatewayError, RequestError, VerificationError
from moica_gateway.protocols.twfido.checksum import (
    join_payload,
    make_checksum,
    parse_aes_key,
    reveal,
)
from moica_gateway.protocols.twfido.guard import IV_REPEATED, IV_ZERO, Guard

KEY = SpKey(id="k", key=Secret(bytes(range(32))), current=True)
PROVIDER = ServiceProvider(sp_service_id="sp", keys=(KEY,))


class Scripted:
    """Randomness that is known."""

    def __init__(self, *ivs: bytes) -> None:
        self.ivs = list(ivs)

    def token_bytes(self, count: int) -> bytes:
        iv = self.ivs.pop(0)
        assert len(iv) == count
        return iv

    def uuid4(self) -> UUID:
        raise AssertionError

    def below(self, limit: int) -> int:
        raise AssertionError


def seal(payload: str, iv: bytes, key: SpKey = KEY) -> str:
    return make_checksum(key.key, payload, Scripted(iv))


def verify(guard: Guard, checksum: str, payload: str = "p", **changes: Any) -> None:
    values: dict[str, Any] = {
        "payloads": (payload,),
        "service_provider": PROVIDER,
        "sent_checksums": (),
        "interface": "SP-API-ATH-02",
        "transaction_id": "t",
        "only_evidence": False,
    }
    guard.verify(checksum, **(values | changes))


def test_every_vector_is_made_byte_for_byte(vectors: Any) -> None:
    """With the vector's IV, our checksum is the vector's."""
    key = parse_aes_key(vectors["aes_key_base64"])
    assert len(vectors["checksums"]) >= 11
    for vector in vectors["checksums"]:
        payload = join_payload(*(vector["fields"][name] for name in vector["order"]))
        assert payload == vector["payload"], vector["name"]
        made = make_checksum(key, payload, Scripted(bytes.fromhex(vector["iv_hex"])))
        assert made == vector["checksum"], vector["name"]


def test_every_vector_is_verified_and_covers_nothing_else(vectors: Any) -> None:
    """A vector opens, covers its own payload and not that payload with one character more."""
    key = SpKey(id="v", key=parse_aes_key(vectors["aes_key_base64"]), current=True)
    for vector in vectors["checksums"]:
        revealed = reveal((key,), vector["checksum"])
        assert revealed.covers(vector["payload"]), vector["name"]
        assert not revealed.covers(vector["payload"] + "0"), vector["name"]
        assert revealed.digest.decode() == vector["sha256_hex"]


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.binary(min_size=12, max_size=12)
)
def test_round_trip(payload: str, iv: bytes) -> None:
    """What is made for a payload verifies for it, with any IV, and is 184 characters."""
    made = seal(payload, iv)
    assert len(made) == 184
    assert made == made.lower()
    assert reveal((KEY,), made).covers(payload)


@given(st.integers(min_value=0, max_value=183), st.integers(min_value=1, max_value=15))
def test_any_changed_character_is_found(place: int, change: int) -> None:
    """No character of a checksum can be changed."""
    made = seal("payload", b"iv-of-this-t")
    other = f"{int(made[place], 16) ^ change:x}"
    with pytest.raises(VerificationError) as caught:
        reveal((KEY,), made[:place] + other + made[place + 1 :])
    assert caught.value.code == "checksum_invalid"


@pytest.mark.parametrize(
    "checksum",
    ["", "0" * 183, "0" * 185, "g" * 184, "A" * 184, " " + "0" * 183, "０" * 184, "0" * 183 + "\n"],
)
def test_only_184_lower_case_hexadecimal_characters_are_a_checksum(checksum: str) -> None:
    """Another form is refused before it meets the cipher."""
    with pytest.raises(VerificationError) as caught:
        reveal((KEY,), checksum)
    assert caught.value.code == "checksum_invalid"


def test_upper_case_of_a_right_checksum_is_refused() -> None:
    """One checksum has one spelling."""
    with pytest.raises(VerificationError):
        reveal((KEY,), seal("p", b"\xab" * 12).upper())


def test_previous_key_still_verifies_and_a_retired_one_does_not() -> None:
    """An answer counts under current and previous key only."""
    previous = SpKey(id="old", key=Secret(b"o" * 32), current=False)
    made = seal("p", b"1" * 12, previous)
    assert reveal((KEY, previous), made).key.id == "old"
    with pytest.raises(VerificationError):
        reveal((KEY,), made)


RAW = bytes([0xFB, 0xEF, 0xFF] * 10 + [1, 2])


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(RAW).decode(),
        base64.b64encode(RAW).decode().rstrip("="),
        base64.urlsafe_b64encode(RAW).decode(),
        base64.urlsafe_b64encode(RAW).decode().rstrip("="),
        f"  {base64.b64encode(RAW).decode()}\n",
    ],
)
def test_aes_key_is_read_in_every_spelling_of_base64(text: str) -> None:
    """Standard or URL-safe, padded or not."""
    assert parse_aes_key(text).reveal() == RAW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAA",
        base64.b64encode(b"k" * 31).decode(),
        base64.b64encode(b"k" * 33).decode(),
        "k" * 64,
        "Z" * 43,
        base64.b64encode(RAW).decode() + "=",
        "鑰" * 43,
    ],
)
def test_aes_key_of_another_size_or_form_is_refused_without_being_shown(text: str) -> None:
    """Exactly 32 bytes; the error repeats nothing of what came."""
    with pytest.raises(ConfigurationError) as caught:
        parse_aes_key(text)
    assert caught.value.code == "configuration_invalid"
    assert not text or text not in str(caught.value)


def test_key_of_wrong_size_is_a_configuration_error_and_not_a_foreign_one() -> None:
    """A 16-byte key would silently make AES-128."""
    with pytest.raises(ConfigurationError):
        make_checksum(Secret(b"k" * 16), "p", Scripted(b"1" * 12))


def test_a_lone_surrogate_is_a_request_error_and_not_a_unicode_error() -> None:
    """A str may hold what UTF-8 cannot carry."""
    with pytest.raises(RequestError):
        make_checksum(KEY.key, "\ud800", Scripted(b"1" * 12))


def test_own_checksum_is_refused_by_text_and_by_what_it_covers() -> None:
    """One that we sent is reflected, also when it is an earlier poll's with another IV."""
    sent, earlier = seal("asked", b"1" * 12), seal("asked", b"2" * 12)
    for came in (sent, earlier):
        with pytest.raises(VerificationError) as caught:
            verify(Guard(lambda *_: None), came, "asked", sent_checksums=(sent,))
        assert caught.value.code == "checksum_reflected"


def test_own_checksum_is_recognised_by_its_text_after_its_key_was_retired() -> None:
    """Nothing opens it any more, and still it is called what it is."""
    old = seal("asked", b"1" * 12, SpKey(id="x", key=Secret(b"x" * 32), current=False))
    with pytest.raises(VerificationError) as caught:
        verify(Guard(lambda *_: None), old, "asked", sent_checksums=(old,))
    assert caught.value.code == "checksum_reflected"


def test_sent_checksums_under_a_retired_key_do_not_stop_verification() -> None:
    """What no key opens any more cannot come back as an answer either."""
    old = seal("asked", b"1" * 12, SpKey(id="x", key=Secret(b"x" * 32), current=False))
    verify(Guard(lambda *_: None), seal("p", b"3" * 12), sent_checksums=(old, "not a checksum"))


def test_zero_iv_is_an_alarm_and_a_refusal_only_where_it_is_the_only_evidence() -> None:
    """A signature speaks for itself; bare ATH has nothing else."""
    alarms: list[str] = []
    guard = Guard(lambda event, fields: alarms.append(f"{event} {fields['sp_key_id']}"))
    verify(guard, seal("p", bytes(12)))
    assert alarms == [f"{IV_ZERO} k"]
    with pytest.raises(GatewayError) as caught:
        verify(guard, seal("p", bytes(12)), only_evidence=True)
    assert caught.value.code == "checksum_invalid"


def test_repeated_iv_with_another_checksum_is_an_alarm() -> None:
    """Two checksums under one IV give the key's authentication away."""
    alarms: list[str] = []
    guard = Guard(lambda event, _: alarms.append(event))
    verify(guard, seal("p", b"r" * 12), "p")
    verify(guard, seal("q", b"r" * 12), "q")
    assert alarms == [IV_REPEATED]
    for payload in ("p", "q", "q", "p"):
        with pytest.raises(GatewayError):
            verify(guard, seal(payload, b"r" * 12), payload, only_evidence=True)


def test_the_same_answer_again_is_no_alarm() -> None:
    """A confirmed ticket may give the very same checksum at every poll."""
    alarms: list[str] = []
    guard = Guard(lambda event, _: alarms.append(event))
    for _ in range(3):
        verify(guard, seal("p", b"r" * 12), only_evidence=True)
    assert alarms == []


def test_an_iv_that_we_used_ourselves_is_an_alarm() -> None:
    """Our own IV under the shared key counts as seen."""
    alarms: list[str] = []
    guard = Guard(lambda event, _: alarms.append(event))
    verify(guard, seal("p", b"u" * 12), sent_checksums=(seal("asked", b"u" * 12),))
    assert alarms == [IV_REPEATED]


def test_memory_of_ivs_is_bounded() -> None:
    """The oldest is forgotten: after two newer ones a repetition goes unseen."""
    alarms: list[str] = []
    guard = Guard(lambda event, _: alarms.append(event), memory=2)
    for iv in (b"a", b"b", b"c"):
        verify(guard, seal("p", iv * 12))
    verify(guard, seal("q", b"a" * 12), "q")
    assert alarms == []


def test_an_unauthentic_checksum_leaves_no_trace_in_the_memory() -> None:
    """A forger cannot fill the memory or use an IV up."""
    alarms: list[str] = []
    guard = Guard(lambda event, _: alarms.append(event))
    stranger = SpKey(id="s", key=Secret(b"s" * 32), current=True)
    with pytest.raises(VerificationError):
        verify(guard, seal("x", b"i" * 12, stranger))
    verify(guard, seal("p", b"i" * 12))
    assert alarms == []
