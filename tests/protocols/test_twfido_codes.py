"""The table of the platform's codes against the specification's own list."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from moica_gateway.errors import CATALOGUE
from moica_gateway.protocols.twfido.codes import CODES, normalise, problem_of

WHO = {"holder": "holder", "sp": "operator", "app": "app", "idp": "platform"}

with Path(__file__).with_name("error-codes.csv").open(encoding="utf-8", newline="") as _file:
    SPECIFIED = list(csv.DictReader(_file))


def test_the_table_has_exactly_the_specified_codes() -> None:
    """No code is missing, none is invented."""
    assert sorted(CODES) == sorted(row["code"] for row in SPECIFIED)
    assert len(SPECIFIED) == 89


@pytest.mark.parametrize("row", SPECIFIED, ids=lambda row: row["code"])
def test_number_who_and_what_helps_are_the_specification_s(row: dict[str, str]) -> None:
    """What the specification says about a code is kept, in the row and in the problem."""
    ours = CODES[row["code"]]
    assert ours.number == (int(row["number"]) if row["number"] else None)
    assert (ours.who, ours.helps) == (row["who_can_act"], row["what_helps"])
    found = problem_of(ours.code, interface="SP-API-ATH-02", unsigned=True)
    assert found.code in CATALOGUE
    assert found.who_can_act == WHO[row["who_can_act"]]
    assert found.what_helps == row["what_helps"]
    assert found.upstream_code == row["code"]
    assert found.extra == {"unsigned": True}
    assert any("\u4e00" <= c <= "\u9fff" for c in found.user_message["zh-TW"])
    assert found.user_message["en"].isascii()
    assert row["code"] in found.detail


def test_a_holder_is_never_told_what_only_an_operator_can_do() -> None:
    """Rows that an operator or the platform has to act on send the holder to someone or later."""
    for row in CODES.values():
        if row.who == "sp" and row.helps == "fix":
            assert "管理者" in row.zh or "公文" in row.zh, row.code
        if row.who == "idp":
            assert "稍後再試" in row.zh, row.code


@pytest.mark.parametrize(
    ("came", "bare"),
    [
        ("0", "0"),
        ("SPTKT_OVD", "SPTKT_OVD"),
        ("SP-API-ATH-02-SPTKT_OVD", "SPTKT_OVD"),
        ("SP-API-LF-01-IDNUM_USERPROF_NF", "IDNUM_USERPROF_NF"),
        ("SPTKT_OVD: ticket expired", "SPTKT_OVD"),
        ("SPTKT_OVD：票證逾時", "SPTKT_OVD"),
        ("  SP-API-ATH-03-PS_FCM_NOT_FOUND : gone: really ", "PS_FCM_NOT_FOUND"),
        ("20002", "20002"),
        ("SP-API-ATH-02-20003", "20003"),
        ("NEW_CODE_2027", "NEW_CODE_2027"),
        ("sptkt_ovd", "sptkt_ovd"),
        ("<script>\x00é", "<script>??"),
        ("x" * 500, "x" * 64),
        ("SP-API-ATH-02-", "?"),
        (": nothing", "?"),
    ],
)
def test_normalised(came: str, bare: str) -> None:
    """Interface in front, explanation behind and spaces go; the rest is printable and bounded."""
    assert normalise(came) == bare


def test_an_unknown_code_is_explicit_and_keeps_its_raw_value() -> None:
    """It becomes no other code."""
    found = problem_of("NEW_CODE_2027", interface="SP-API-ATH-01", unsigned=False)
    assert found.code == "upstream_unknown_code"
    assert found.upstream_code == "NEW_CODE_2027"
    assert found.extra == {}


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ("A123456789", "?"),
        ("a123456789_NF", "?_NF"),
        ("no user AC12345678 here", "no?user???here"),
        ("b1946ac92492d2347c6235b4d2611184", "?"),
        ("X" * 64, "?"),
        ("NEW_CODE_2027", "NEW_CODE_2027"),
    ],
)
def test_an_unknown_code_is_shown_without_what_may_be_personal(came: str, shown: str) -> None:
    """ID numbers, hashes and tickets do not come into errors, events and the audit record so."""
    found = problem_of(normalise(came), interface="SP-API-ATH-02", unsigned=True)
    assert found.code == "upstream_unknown_code"
    assert found.upstream_code == shown
    assert came not in found.detail or came == shown
