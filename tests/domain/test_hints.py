"""What the holder reads in the app, and what stands in a statement of ours (security rule 9)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moica_gateway.domain.hints import (
    authentication_hint,
    batch_hint,
    brand,
    document_number,
    registration_hint,
    signature_hint,
)
from moica_gateway.domain.statements import (
    STATEMENT_PREFIX,
    authentication_statement,
    registration_statement,
)
from moica_gateway.errors import ConfigurationError, GatewayError, RequestError

AT = datetime(2026, 4, 29, 14, 58, 11, 5, tzinfo=timezone(timedelta(hours=8)))

NUMBERS = [
    "1153000165",
    "府授教字第1153000165號",
    "A-1_2/3.(4)（5）",
    "字" * 50,
    "a",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_document_number_of_permitted_characters_is_kept(number: str) -> None:
    """Letters, digits, ideographs and a few marks."""
    assert document_number(number) == number


REFUSED = [
    "",
    " ",
    "字" * 51,
    " 1153000165",
    "1153000165 ",
    "115 300",
    "-115",
    "115\n300",
    "115\r\n驗證碼：99",
    "115\x00",
    "115\u200b300",
    "115\u202e300",
    "115\u2066300",
    "115\ufeff",
    "115\u3000300",
    "１１５",
    "115：42",
    "115:42",
    "115<b>",
    "115&amp;",
    "café\u0301\u0301",
    "١٢٣",
    "А115",
    "115\ud800",
    "115\U0001f600",
]


@pytest.mark.parametrize("number", REFUSED)
def test_a_document_number_of_other_characters_is_refused(number: str) -> None:
    """Nothing that could pass for the match code, hide, or turn the line around."""
    with pytest.raises(RequestError) as raised:
        document_number(number)
    assert raised.value.code == "request_invalid"


def test_a_document_number_is_kept_in_nfc() -> None:
    """A compatibility ideograph becomes the one that everybody writes."""
    assert document_number("\uf96f") == "說"


@given(st.text(max_size=60))
def test_whatever_is_let_through_is_one_printable_line(text: str) -> None:
    """And at most 50 characters."""
    try:
        number = document_number(text)
    except GatewayError:
        return
    assert number.isprintable()
    assert 1 <= len(number) <= 50
    assert " " not in number
    assert document_number(number) == number


BRANDS = [("", True), ("國立示範大學", True), ("NCKU e-Doc 2", True), ("國" * 20, True)] + [
    (text, False) for text in ("國" * 21, " x", "-x", "x\n", "x】", "x\u202e", "x：", "x\x00")
]


@pytest.mark.parametrize(("text", "good"), BRANDS)
def test_a_brand_is_short_and_plain(text: str, good: bool) -> None:
    """Set by administrators, so it is their error."""
    if good:
        assert brand(text) == text
        return
    with pytest.raises(ConfigurationError) as raised:
        brand(text)
    assert raised.value.code == "configuration_invalid"


HINTS = [
    (signature_hint("42", "1153000165", ""), "公文文號：1153000165 驗證碼：42"),
    (signature_hint("07", "1153000165", "示範"), "【示範】公文文號：1153000165 驗證碼：07"),
    (registration_hint("42", ""), "登記行動自然人憑證 驗證碼：42"),
    (registration_hint("00", "示範"), "【示範】登記行動自然人憑證 驗證碼：00"),
]


@pytest.mark.parametrize(("hint", "expected"), HINTS)
def test_a_hint_is_the_fixed_template(hint: str, expected: str) -> None:
    """Brand, what is done, document number, match code."""
    assert hint == expected


@pytest.mark.parametrize("code", ["", "4", "421", "4 ", "四二", "４２", "4\n"])
def test_a_match_code_is_two_digits(code: str) -> None:
    """Anything else is a defect of ours and shown to nobody."""
    for make in (lambda: signature_hint(code, "1", ""), lambda: registration_hint(code, "")):
        with pytest.raises(GatewayError):
            make()


def test_the_template_checks_what_varies_itself() -> None:
    """A caller that forgot to check the number is no way around the rule."""
    with pytest.raises(RequestError):
        signature_hint("42", "1\n驗證碼：99", "")
    with pytest.raises(ConfigurationError):
        signature_hint("42", "1", "x】")


def test_a_statement_says_what_it_is_for() -> None:
    """Domain-separated, with tenant, user, nonce, time in UTC, and the hint, one a line."""
    hint = registration_hint("42", "")
    lines = registration_statement("school", "clerk01", "00ff" * 8, hint, AT).decode().split("\n")
    assert lines[0].encode() == STATEMENT_PREFIX + b" v1: registration"
    assert lines[3:] == [
        "tenant: school",
        "user: clerk01",
        "nonce: " + "00ff" * 8,
        "time: 2026-04-29T06:58:11+00:00",
        f"hint: {hint}",
        "",
    ]


def test_the_longest_statement_fits() -> None:
    """Ids of 100 characters and the longest brand: at most 768 bytes."""
    hint = registration_hint("42", "國" * 20)
    assert len(registration_statement("t" * 100, "u" * 100, "00" * 16, hint, AT)) <= 768


@pytest.mark.parametrize("user", ["", "u\nhint: x", "u\x00", "u\u2028x", "u\u202ex"])
def test_a_statement_has_no_line_that_we_did_not_write(user: str) -> None:
    """A user id cannot begin another line."""
    with pytest.raises(RequestError) as raised:
        registration_statement("t", user, "00" * 16, registration_hint("42", ""), AT)
    assert raised.value.code == "request_invalid"


def test_a_document_number_cannot_bring_a_match_code_of_its_own() -> None:
    """The holder would not know which one is the window's."""
    with pytest.raises(RequestError):
        document_number("1153000165驗證碼42")


def test_a_batch_is_shown_by_its_first_document_and_how_many() -> None:
    """One alone reads as a single signature; a number that is refused is refused here, too."""
    assert batch_hint("42", "1153000165", 45, "") == "公文文號：1153000165 等 45 件 驗證碼：42"
    assert batch_hint("42", "1153000165", 1, "示範") == signature_hint("42", "1153000165", "示範")
    with pytest.raises(RequestError):
        batch_hint("42", "115\u202e300", 2, "")
    with pytest.raises(GatewayError):
        batch_hint("42", "1153000165", 0, "")


def test_an_authentication_is_never_taken_for_a_registration() -> None:
    """With every value alike, the first line and the words differ; both begin like ours."""
    values = ("school", "clerk01", "00ff" * 8, "確認身分 驗證碼：42")
    lines = [
        make(*values, AT).decode().split("\n")
        for make in (authentication_statement, registration_statement)
    ]
    for statement in lines:
        assert statement[0].encode().startswith(STATEMENT_PREFIX)
    assert [a == r for a, r in zip(*lines, strict=True)][:3] == [False, False, False]
    assert lines[0][0].endswith("v1: authentication")
    assert lines[0][3:] == lines[1][3:]


def test_an_authentications_statement_fits_and_keeps_its_lines() -> None:
    """At most 768 bytes with the longest ids; what is no single line is refused."""
    longest = "【" + "學" * 20 + "】確認身分 驗證碼：42"
    assert len(authentication_statement("t" * 100, "u" * 100, "00" * 16, longest, AT)) <= 768
    with pytest.raises(RequestError):
        authentication_statement("t", "u\npurpose: registration", "00" * 16, longest, AT)


def test_the_hint_of_an_authentication() -> None:
    """Brand, what is done, match code."""
    assert authentication_hint("42", "") == "確認身分 驗證碼：42"
    assert authentication_hint("07", "示範") == "【示範】確認身分 驗證碼：07"
