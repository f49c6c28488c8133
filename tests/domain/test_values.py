"""Values that must not be mistaken for text, and the words that the holder sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.domain.hints import brand, document_number, registration_hint, signature_hint
from moica_gateway.domain.statements import STATEMENT_PREFIX, registration_statement
from moica_gateway.domain.values import IdNumber, Secret, Tbs, make_id
from moica_gateway.errors import GatewayError

NOW = datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)

VALID = [
    ("A123456789", "national, the Ministry's own example"),
    ("B223456782", "national, a woman's"),
    ("I100000003", "a letter that was numbered late"),
    ("A800000014", "統一證號 of 2021, a man's"),
    ("A923456785", "統一證號 of 2021, a woman's"),
    ("AC12345679", "統一證號 of the old form"),
    ("AA12345675", "統一證號 of the old form"),
]


@pytest.mark.parametrize("number", [v[0] for v in VALID], ids=[v[1] for v in VALID])
def test_a_right_check_digit_is_taken_and_every_wrong_one_refused(number: str) -> None:
    """Exactly one of the ten last digits fits."""
    fitting = []
    for digit in "0123456789":
        try:
            fitting.append(IdNumber.parse(number[:-1] + digit).reveal())
        except GatewayError as e:
            assert e.code == "id_number_invalid"  # noqa: PT017 - nine of ten are refused
    assert fitting == [number]


def test_spaces_around_and_lower_case_are_forgiven() -> None:
    """As a person types it."""
    assert IdNumber.parse(" a123456789\n") == IdNumber.parse("A123456789")


MALFORMED = [
    "",
    "A12345678",
    "A1234567890",
    "1123456789",
    "A323456789",
    "AE12345678",
    "A12345678９",
    "Ａ123456789",
    "A1234 6789",
    "A123456789\u200b",
    "甲123456789",
]


@pytest.mark.parametrize("text", MALFORMED)
def test_another_form_is_refused_and_not_repeated(text: str) -> None:
    """The detail never has what came."""
    with pytest.raises(GatewayError) as raised:
        IdNumber.parse(text)
    assert raised.value.code == "id_number_invalid"
    assert not text or text not in str(raised.value)


@given(st.text(max_size=14))
def test_whatever_is_typed_raises_nothing_foreign(text: str) -> None:
    """An ID number or ``id_number_invalid``."""
    try:
        assert len(IdNumber.parse(text).reveal()) == 10
    except GatewayError as e:
        assert e.code == "id_number_invalid"  # noqa: PT017 - both outcomes are allowed


def test_only_the_last_four_are_shown() -> None:
    """In ``repr``, ``str``, a format and a container."""
    number = IdNumber.parse("A123456789")
    assert (number.masked, number.last_four) == ("******6789", "6789")
    for shown in (repr(number), str(number), f"{number}", repr([number])):
        assert "A12345" not in shown
        assert "6789" in shown


def test_a_secret_and_a_message_are_not_shown() -> None:
    """In ``repr`` and ``str``."""
    secret = Secret(b"key material")
    assert "material" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == b"key material"
    assert repr(Tbs(message=b"0123")) == (
        "Tbs(message=<4 bytes>, form=signature, hash_algorithm=sha256)"
    )
    assert Tbs(message=b"abc").sha256.hex().startswith("ba7816bf")


@given(st.integers(1, 10**9), st.binary(min_size=10, max_size=10))
def test_ids_sort_by_time(milliseconds: int, randomness: bytes) -> None:
    """A later one is greater, whatever its randomness; text order is time order."""
    earlier = make_id("txn", NOW, b"\xff" * 10)
    later = make_id("txn", NOW + timedelta(milliseconds=milliseconds), randomness)
    assert earlier < later
    assert len(earlier) == len(later) == 30


def test_an_id_takes_exactly_ten_random_bytes() -> None:
    """Fewer would collide."""
    with pytest.raises(ValueError):
        make_id("txn", NOW, bytes(9))


def test_the_hints() -> None:
    """Fixed templates: brand, what is done, match code."""
    assert signature_hint("42", "1153000165", "") == "公文文號：1153000165 驗證碼：42"
    assert signature_hint("07", "府教學字第1號", "國立示範大學") == (
        "【國立示範大學】公文文號：府教學字第1號 驗證碼：07"
    )
    assert registration_hint("42", "") == "登記行動自然人憑證 驗證碼：42"


NUMBERS: list[tuple[str, bool]] = [
    ("1153000165", True),
    ("府教學字第1150001234號", True),
    ("A-1_2/3.4(5)（6）", True),
    ("1" * 50, True),
    ("1" * 51, False),
    ("", False),
    ("-1", False),
    ("1 2", False),
    ("1\n", False),
    ("1\u202e2", False),
    ("1\u200b2", False),
    ("1\x002", False),
    ("1：2", False),
    ("<1>", False),
    ("1\ud800", False),
]


@pytest.mark.parametrize(("number", "good"), NUMBERS, ids=[ascii(n[0])[:20] for n in NUMBERS])
def test_a_document_number_has_allow_listed_characters(number: str, good: bool) -> None:
    """No control, direction or invisible character, no separator of the hint."""
    if good:
        assert document_number(number) == number
        return
    with pytest.raises(GatewayError) as raised:
        document_number(number)
    assert (raised.value.code, raised.value.problem.status) == ("request_invalid", 422)


def test_a_document_number_is_taken_in_nfc() -> None:
    """Compatibility ideographs become the ordinary ones."""
    assert document_number("\uf9dd") == "\u5229"


@pytest.mark.parametrize("text", ["x" * 21, "校】公文", "a\n", "校\u202e"])
def test_a_brand_has_at_most_20_plain_characters(text: str) -> None:
    """Set by administrators, and still checked."""
    with pytest.raises(GatewayError):
        brand(text)


TOO_LONG: list[tuple[str, Callable[[], bytes]]] = [
    ("signature", lambda: signature_hint("42", "文" * 50, "校" * 20).encode()),
    (
        "registration",
        lambda: registration_statement(
            "t" * 100, "u" * 100, "0" * 32, registration_hint("42", "校" * 20), NOW
        ),
    ),
]


@pytest.mark.parametrize("made", [t[1] for t in TOO_LONG], ids=[t[0] for t in TOO_LONG])
def test_the_longest_names_still_fit(made: Callable[[], bytes]) -> None:
    """768 bytes is what the platform takes."""
    assert len(made()) <= 768


def test_a_statement_begins_with_our_prefix_and_names_everything() -> None:
    """So that it can be told from every document."""
    statement = registration_statement("t", "u", "00ff", "提示", NOW)
    assert statement.startswith(STATEMENT_PREFIX)
    for part in ("tenant: t\n", "user: u\n", "nonce: 00ff\n", "hint: 提示\n", "2026-04-29T06:58"):
        assert part.encode() in statement
