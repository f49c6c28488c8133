"""The sp_ticket: form, digest, and every field against what was asked."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.errors import VerificationError
from moica_gateway.protocols.twfido.ticket import (
    ExpectedTicket,
    check_ticket,
    decode_text,
    parse_ticket,
)

INFO = {
    "sign_type": "PKCS#1",
    "sign_data": "RE9D",
    "tbs_encoding": "base64",
    "hash_algorithm": "SHA256",
}


def expected(platform: Any, **changes: Any) -> ExpectedTicket:
    asked = ExpectedTicket(
        transaction_id=platform.TXN,
        sp_service_id=platform.SERVICE,
        id_num="A123456789",
        op_code="SIGN",
        op_mode=None,
        hint=platform.HINT,
        device_user_def_desc=None,
        sign_info=INFO,
    )
    return evolve(asked, **changes)


def test_the_vector_s_ticket_is_read_and_is_the_one_asked_for(vectors: Any, platform: Any) -> None:
    """Payload, id and person come out as the vector says."""
    vector = vectors["sp_ticket"]
    ticket = parse_ticket(vector["ticket"])
    assert ticket.payload == vector["payload"]
    assert ticket.ticket_id == vector["payload"]["sp_ticket_id"]
    assert ticket.hashed_id_num == vector["payload"]["hashed_id_num"]
    check_ticket(ticket, expected(platform, op_mode="I-SCAN"))


def test_a_built_ticket_is_the_vector_s_byte_for_byte(vectors: Any, platform: Any) -> None:
    """The other way round."""
    vector = vectors["sp_ticket"]
    compact = json.dumps(vector["payload"], ensure_ascii=False, separators=(",", ":"))
    assert platform.ticket_of(compact.encode()) == vector["ticket"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"op_mode": ...},
        {"op_mode": None},
        {"op_mode": ""},
        {"hint": "5YWs5paH5paH6Jmf77yaMTE1MzAwMDE2NQ"},
        {"hint": ...},
        {"device_user_def_desc": ""},
        {"device_user_def_desc": None},
        {"sign_info": INFO},
        {"sign_info": None},
        {"sign_info": {"sign_data": "RE9D", "hash_algorithm": None}},
        {"sign_info": INFO | {"sign_data_set": [], "new_field_of_2027": 1}},
        {"expiration_time": "1999-01-01 00:00:00"},
        {"hashed_id_num": ...},
        {"transaction_id": ..., "sp_service_id": ..., "op_code": ...},
        {"new_field_of_2027": {"a": [1]}},
    ],
)
def test_a_ticket_that_says_what_was_asked_is_taken(platform: Any, changes: Any) -> None:
    """Absent fields, encoded hints, foreign times and unknown fields are no contradiction."""
    check_ticket(parse_ticket(platform.ticket(**changes)), expected(platform))


@pytest.mark.parametrize(
    "changes",
    [
        {"transaction_id": "41570c02-5226-4d2e-8391-839ed31123ce"},
        {"transaction_id": None},
        {"sp_service_id": "20261123090000000002"},
        {"id_num": "A123456788"},
        {"op_code": "ATH"},
        {"op_code": ["SIGN"]},
        {"op_mode": "I-SCAN"},
        {"op_mode": False},
        {"op_mode": []},
        {"hint": "公文文號：1153000166"},
        {"hint": "5YWs5paH5paH6Jmf77yaMTE1MzAwMDE2Ng"},
        {"hint": 1153000165},
        {"device_user_def_desc": "別人的手機"},
        {"sign_info": INFO | {"sign_data": "RE9E"}},
        {"sign_info": INFO | {"sign_type": "RAW"}},
        {"sign_info": INFO | {"hash_algorithm": "SHA1"}},
        {"sign_info": INFO | {"tbs_encoding": "NONE"}},
        {"sign_info": INFO | {"sign_data_set": ["RE9D"]}},
        {"sign_info": "PKCS#1"},
    ],
)
def test_a_field_other_than_asked_is_a_mismatch(platform: Any, changes: Any) -> None:
    """Each field that is there counts, and the error does not show its value."""
    ticket = parse_ticket(platform.ticket(**changes))
    with pytest.raises(VerificationError) as caught:
        check_ticket(ticket, expected(platform))
    assert caught.value.code == "ticket_mismatch"
    assert "A12345678" not in str(caught.value)


BATCH = {
    "sign_type": "PKCS#1",
    "sign_data_set": ["AQ==", "Ag=="],
    "tbs_encoding": "base64",
    "hash_algorithm": "SHA256",
}


@pytest.mark.parametrize(
    ("asked", "came"),
    [
        (BATCH, BATCH | {"sign_data_set": ["Ag==", "AQ=="]}),
        (BATCH, BATCH | {"sign_data_set": ["AQ=="]}),
        (BATCH, BATCH | {"sign_data_set": "AQ=="}),
        (BATCH, BATCH | {"sign_data": "Aw=="}),
        ({}, INFO),
        ({}, BATCH),
        ({}, []),
    ],
)
def test_documents_of_a_ticket_are_those_that_were_asked_for(
    platform: Any, asked: Any, came: Any
) -> None:
    """In number and order, none beside them, and none where only presence was asked for."""
    ticket = parse_ticket(platform.ticket(sign_info=came))
    with pytest.raises(VerificationError) as caught:
        check_ticket(ticket, expected(platform, sign_info=asked))
    assert caught.value.code == "ticket_mismatch"
    for same in (asked, None, {}):
        check_ticket(
            parse_ticket(platform.ticket(sign_info=same)), expected(platform, sign_info=asked)
        )


def test_mode_is_compared_where_one_was_asked(platform: Any) -> None:
    """A code ticket says I-SCAN, and nothing else, not even nothing at all in the field."""
    for mode in ("PUSH", "MWEB2APP", "", None):
        with pytest.raises(VerificationError):
            check_ticket(
                parse_ticket(platform.ticket(op_mode=mode)), expected(platform, op_mode="I-SCAN")
            )
    check_ticket(parse_ticket(platform.ticket(op_mode=...)), expected(platform, op_mode="I-SCAN"))


def test_device_name_in_either_form(platform: Any) -> None:
    """A named device is compared as it is and decoded."""
    name = "我的手機"
    for form in (name, platform.segment(name.encode())):
        check_ticket(
            parse_ticket(platform.ticket(device_user_def_desc=form)),
            expected(platform, device_user_def_desc=name),
        )
    with pytest.raises(VerificationError):
        check_ticket(
            parse_ticket(platform.ticket(device_user_def_desc="")),
            expected(platform, device_user_def_desc=name),
        )


def bad_digest(platform: Any) -> str:
    first, _, second = platform.ticket().partition(".")
    return f"{first}.{'A' if second[0] != 'A' else 'B'}{second[1:]}"


def spare_bits(platform: Any) -> str:
    """Another spelling of the same bytes, with a digest of its own."""
    body = json.dumps(platform.ticket_payload()).encode()
    body += b" " if len(body) % 3 == 0 else b""
    first = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    first = first[:-1] + alphabet[alphabet.index(first[-1]) + 1]
    return f"{first}.{platform.segment(hashlib.sha256(first.encode()).digest())}"


@pytest.mark.parametrize(
    "make",
    [
        "",
        "abc",
        lambda p: p.ticket().replace(".", ""),
        lambda p: p.ticket() + ".x",
        lambda p: p.ticket() + "=",
        lambda p: " " + p.ticket(),
        lambda p: p.ticket() + "\n",
        lambda p: "A" * 4097 + p.ticket(),
        bad_digest,
        spare_bits,
        lambda p: p.ticket_of(b"no json"),
        lambda p: p.ticket_of(b"[]"),
        lambda p: p.ticket_of(b"{}"),
        lambda p: p.ticket_of(b"\xff\xfe"),
        lambda p: p.ticket_of(b'{"sp_ticket_id":"a","sp_ticket_id":"b"}'),
        lambda p: p.ticket_of(b'{"sp_ticket_id":"a","x":NaN}'),
        lambda p: p.ticket_of(b'{"sp_ticket_id":"a","x":' + b"[" * 900 + b"]" * 900 + b"}"),
        lambda p: p.ticket(sp_ticket_id=...),
        lambda p: p.ticket(sp_ticket_id=""),
        lambda p: p.ticket(sp_ticket_id=7),
        lambda p: p.ticket(sp_ticket_id="a b"),
        lambda p: p.ticket(sp_ticket_id="a/../b"),
        lambda p: p.ticket(sp_ticket_id="x" * 129),
        lambda p: p.ticket(hashed_id_num="a.b"),
        lambda p: p.ticket(hashed_id_num=17),
        lambda p: p.ticket(hint="\ud800"),
    ],
)
def test_a_ticket_that_breaks_the_grammar_is_refused(platform: Any, make: Any) -> None:
    """Whatever is inside, the one error is ours and ends the transaction."""
    with pytest.raises(VerificationError) as caught:
        parse_ticket(make(platform) if callable(make) else make)
    assert caught.value.code == "ticket_malformed"
    assert caught.value.problem.what_helps == "fail"


@pytest.mark.parametrize(
    ("came", "read"),
    [
        ("5YWs5paH", "公文"),
        ("公文", "公文"),
        ("__79", "__79"),
        ("a", "a"),
        ("", ""),
    ],
)
def test_text_is_decoded_if_it_decodes_else_as_is(came: str, read: str) -> None:
    """sp_name and hint come in two forms."""
    assert decode_text(came) == read
