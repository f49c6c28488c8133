"""Envelope and checksum (security rules 1 and 2): what is said, and who can have said it.

Where a row only changes a form, its checksum is made anew, so that nothing but that form can stop
it. Where it says "stale", the checksum is the honest answer's.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from .hostile import Desk, Turn
from .row import End, Place, Row

__all__ = ["ROWS"]

RT, ST, QT = Place.REGISTRATION_TICKET, Place.SIGNATURE_TICKET, Place.QR_TICKET
RR, SR = Place.REGISTRATION_RESULT, Place.SIGNATURE_RESULT
ALL = (RT, ST, QT, RR, SR)
BOTH = (RR, SR)


def answer(turn: Turn, code: Any) -> dict[str, Any]:
    """The honest answer under another code, sealed anew."""
    return turn.ticket_answer(code=code) if turn.stage == "ticket" else turn.result(code)


def dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def twice(turn: Turn, name: str, first: str = '"x"') -> bytes:
    """The same name two times; a lenient reader takes the last."""
    return turn.bytes().replace(f'"{name}":'.encode(), f'"{name}": {first}, "{name}":'.encode(), 1)


def wait_once(desk: Desk) -> None:
    desk.waits = 1


def coinciding_result(turn: Turn) -> dict[str, Any]:
    """Our poll covers service id and ticket id; cut otherwise, that is a success."""
    service, ticket = turn.desk.sp_service_id, turn.order.ticket_id
    return turn.result(
        service[0],
        hashed_id_num=service[1:],
        signed_response=ticket,
        idp_checksum=turn.own_checksums[-1],
    )


def coinciding_success_again(turn: Turn) -> dict[str, Any]:
    """The same, sealed by somebody who has the key: another IV, the same payload."""
    made = coinciding_result(turn)
    members = made["result"]
    members["idp_checksum"] = turn.desk.seal(
        turn.txn, "0", members["hashed_id_num"], members["signed_response"]
    )
    return made


def coinciding_code(turn: Turn) -> dict[str, Any]:
    """The same as a code without any field."""
    service, ticket = turn.desk.sp_service_id, turn.order.ticket_id
    return turn.code(service + ticket, turn.own_checksums[-1])


def ticket_cut_as_result(turn: Turn) -> dict[str, Any]:
    """What the platform sealed for the ticket, with the ticket's text cut into two fields."""
    text = turn.order.ticket
    return turn.result(
        hashed_id_num=text[:40],
        signed_response=text[40:],
        idp_checksum=turn.desk.seal(turn.txn, "0", text),
    )


def border_moved(turn: Turn) -> dict[str, Any]:
    """The same characters, cut elsewhere: fields are joined without separators."""
    hashed, signature = turn.desk.hashed_id_num, turn.signature()
    return turn.result(hashed_id_num=hashed + signature[:4], signed_response=signature[4:])


def no_person_in_ticket(desk: Desk) -> None:
    desk.ticket_changes = {"hashed_id_num": ...}


def refused(turn: Turn, checksum: Any) -> dict[str, Any]:
    return turn.code("SP-API-ATH-02-APP_USER_CANCEL", checksum)


# fmt: off
CODES: list[Row] = [
    Row(name=name, rule="1", forge=lambda t, c=code: answer(t, c), code="answer_invalid",
        places=(SR,))
    for name, code in (
        ("error_code as a list", ["0"]),
        ("error_code as an object", {"0": 0}),
        ("error_code true", True),
        ("error_code false", False),
        ("error_code 0.0", 0.0),
        ("error_code null", None),
        ("error_code empty", ""),
        ("error_code with a space in front", " 0"),
        ("error_code with a space behind", "0 "),
        ("error_code 0 with an explanation", "0: SUCCESS"),
        ("error_code 0 with an interface", "SP-API-ATH-02-0"),
    )
] + [
    Row(name=name, rule="1", forge=lambda t, c=code: answer(t, c), code="upstream_unknown_code",
        places=(SR,), who="platform")
    for name, code in (
        ("error_code 00", "00"),
        ("error_code with a full-width zero", "０"),
        ("error_code -0 as text", "-0"),
        ("error_code 1 as a number", 1),
    )
]

ROWS: list[Row] = [
    *CODES,
    Row(name="error_code -0 as a number", rule="1", code="answer_invalid", places=(ST, SR),
        forge=lambda t: t.bytes().replace(b'"error_code": "0"', b'"error_code": -0')),
    Row(name="error_code twice", rule="1", code="answer_ambiguous", places=(ST, SR),
        forge=lambda t: twice(t, "error_code", '"SPTKT_OVD"')),
    Row(name="result twice", rule="1", code="answer_ambiguous", places=(SR,),
        forge=lambda t: twice(t, "result", "{}")),
    Row(name="idp_checksum twice", rule="1", code="answer_ambiguous", places=(SR,),
        forge=lambda t: twice(t, "idp_checksum")),
    Row(name="cert twice", rule="1", code="answer_ambiguous", places=(SR,),
        forge=lambda t: twice(t, "cert")),
    Row(name="result as a list", rule="1", code="answer_invalid", places=(ST, SR),
        forge=lambda t: {**t.honest(), "result": [t.honest()["result"]]}),
    Row(name="result as text", rule="1", code="answer_invalid", places=(SR,),
        forge=lambda t: {**t.honest(), "result": json.dumps(t.honest()["result"])}),
    Row(name="half a surrogate in the code", rule="1", code="answer_invalid", places=(ST, SR),
        forge=lambda t: answer(t, "0\ud800")),
    Row(name="half a surrogate in a name", rule="1", code="answer_invalid", places=(SR,),
        forge=lambda t: {**t.honest(), "\udfff": 1}),
    Row(name="signed_response as a number", rule="1", code="answer_invalid", places=(SR,),
        forge=lambda t: t.result(signed_response=17)),
    Row(name="signed_response as a list", rule="1", code="answer_invalid", places=(SR,),
        forge=lambda t: t.result(signed_response=[t.signature()])),
    Row(name="hashed_id_num as a number", rule="1", code="answer_invalid", places=(SR,),
        forge=lambda t: t.result(hashed_id_num=17)),
    Row(name="hashed_id_num with a dot", rule="1", code="answer_invalid", places=(SR,),
        forge=lambda t: t.result(hashed_id_num="a.b")),
    Row(name="success without hashed_id_num", rule="1", code="answer_incomplete", places=(SR,),
        forge=lambda t: t.result(hashed_id_num=...)),
    Row(name="a batch's result for one document", rule="1", code="answer_incomplete", places=(SR,),
        forge=lambda t: t.result(signed_response=..., signed_response_set=[t.signature()])),
    Row(name="a code that carries the ID number", rule="14", code="upstream_unknown_code",
        places=(ST, SR), who="platform", forge=lambda t: t.code(f"NF_{t.desk.id_number}")),
    Row(name="a code that carries the hashed_id_num", rule="14", code="upstream_unknown_code",
        places=(ST, SR), who="platform", forge=lambda t: t.code(t.desk.hashed_id_num.upper())),
    # -- whose checksum
    Row(name="our own checksum of this very call", rule="1", code="checksum_reflected", places=ALL,
        forge=lambda t: t.with_checksum(t.own_checksums[-1])),
    Row(name="our own checksum of the ticket's call", rule="1", code="checksum_reflected",
        places=(SR,), forge=lambda t: t.with_checksum(t.own_checksums[-2])),
    Row(name="our own checksum of an earlier poll", rule="1", code="checksum_reflected",
        places=(SR,), prepare=wait_once, forge=lambda t: t.with_checksum(t.own_checksums[-2])),
    Row(name="our own checksum, fields cut so that payloads coincide", rule="1",
        code="checksum_reflected", places=BOTH, forge=coinciding_result),
    Row(name="the same payload sealed anew", rule="1", code="checksum_reflected", places=(SR,),
        forge=coinciding_success_again),
    Row(name="our own checksum as a code's, so that payloads coincide", rule="1",
        code="checksum_reflected", places=(SR,), forge=coinciding_code),
    Row(name="our own checksum of another transaction", rule="1", code="checksum_mismatch",
        places=(SR,), forge=lambda t: t.with_checksum(t.own_checksums[0])),
    Row(name="the answer of an earlier transaction, as it was", rule="1", code="checksum_mismatch",
        places=(SR,), forge=lambda t: t.desk.said[0]),
    Row(name="the checksum of an earlier answer on this one", rule="1", code="checksum_mismatch",
        places=(SR,),
        forge=lambda t: t.with_checksum(t.desk.said[0]["result"]["idp_checksum"])),
    Row(name="a checksum for the transaction_id that the answer names", rule="1",
        code="checksum_mismatch", places=(ST, SR),
        forge=lambda t: {
            **t.with_checksum(t.desk.seal("of-the-attacker", "0", *(
                (t.order.ticket,) if t.stage == "ticket"
                else (t.desk.hashed_id_num, t.signature())
            ))),
            "transaction_id": "of-the-attacker",
        }),
    Row(name="this transaction's ticket answer as its result", rule="1", code="answer_incomplete",
        places=(SR,), forge=lambda t: t.ticket_answer()),
    Row(name="the ticket's checksum, its text cut into a result", rule="1", code="answer_invalid",
        places=(SR,), forge=ticket_cut_as_result),
    Row(name="border between person and signature moved", rule="1", code="hashed_id_num_mismatch",
        places=BOTH, forge=border_moved),
    Row(name="the same border moved, ticket without a person", rule="1", code="signature_malformed",
        places=(RR,), prepare=no_person_in_ticket, forge=border_moved),
    Row(name="border between code and person moved", rule="1", code="upstream_unknown_code",
        places=(SR,), who="platform",
        forge=lambda t: t.result("0" + t.desk.hashed_id_num[:4],
                                 hashed_id_num=t.desk.hashed_id_num[4:])),
    Row(name="hashed_id_num changed, checksum stale", rule="1", code="checksum_mismatch",
        places=(SR,), forge=lambda t: t.stale(hashed_id_num="c" * 32)),
    Row(name="signature changed, checksum stale", rule="1", code="checksum_mismatch",
        places=(SR,), forge=lambda t: t.stale(signed_response=t.signature(b"other bytes"))),
    Row(name="zero IV", rule="1", code="security.upstream_iv_zero", places=ALL, end=End.ALARM,
        forge=lambda t: t.with_checksum(
            t.desk.seal(t.txn, "0", *covered(t), iv=bytes(12)))),
    Row(name="an IV of ours", rule="1", code="security.upstream_iv_repeated", places=(ST, SR),
        end=End.ALARM,
        forge=lambda t: t.with_checksum(
            t.desk.seal(t.txn, "0", *covered(t), iv=bytes.fromhex(t.own_checksums[-1][:24])))),
    Row(name="the IV of an earlier answer", rule="1", code="security.upstream_iv_repeated",
        places=(SR,), end=End.ALARM,
        forge=lambda t: t.with_checksum(
            t.desk.seal(t.txn, "0", *covered(t),
                        iv=bytes.fromhex(t.desk.said[0]["result"]["idp_checksum"][:24])))),
    # -- with and without
    Row(name="success without a checksum", rule="2", code="checksum_missing", places=ALL,
        forge=lambda t: t.without_checksum()),
    Row(name="checksum null", rule="2", code="checksum_missing", places=(SR,),
        forge=lambda t: t.with_checksum(None)),
    Row(name="checksum empty", rule="2", code="checksum_missing", places=(SR,),
        forge=lambda t: t.with_checksum("")),
    Row(name="checksum beside result", rule="2", code="checksum_missing", places=(ST, SR),
        forge=lambda t: {**t.without_checksum(),
                         "idp_checksum": t.honest()["result"]["idp_checksum"]}),
    Row(name="success without a result", rule="2", code="checksum_missing", places=(SR,),
        forge=lambda t: {"error_code": "0", "error_message": "SUCCESS"}),
    Row(name="checksum as a number", rule="2", code="answer_invalid", places=(SR,),
        forge=lambda t: t.with_checksum(0)),
    Row(name="checksum of zeros", rule="2", code="checksum_invalid", places=(ST, SR),
        forge=lambda t: t.with_checksum("0" * 184)),
    Row(name="checksum cut short", rule="2", code="checksum_invalid", places=(SR,),
        forge=lambda t: t.with_checksum(t.honest()["result"]["idp_checksum"][:-2])),
    Row(name="checksum in capitals", rule="2", code="checksum_invalid", places=(ST, SR),
        forge=lambda t: t.with_checksum(t.honest()["result"]["idp_checksum"].upper())),
    Row(name="checksum under a stranger's key", rule="2", code="checksum_invalid",
        places=(ST, SR),
        forge=lambda t: t.with_checksum(
            t.desk.seal(t.txn, "0", *covered(t), key=secrets.token_bytes(32)))),
    *[
        Row(name=f"{what} with a wrong checksum", rule="2", code="checksum_invalid", places=(SR,),
            forge=lambda t, c=code: t.code(c, "ab" * 92))
        for what, code in (
            ("not finished", "SPTKTID_TXNLOG_NF"), ("a refusal", "APP_USER_CANCEL"),
            ("a lapse", "SPTKT_OVD"), ("a failure that may pass", "DB_CONN_ERR"),
        )
    ],
    Row(name="a ticket refused with a wrong checksum", rule="2", code="checksum_invalid",
        places=(RT, ST, QT), forge=lambda t: t.code("SP-API-ATH-03-DB_CONN_ERR", "ab" * 92)),
    Row(name="success's checksum on a refusal", rule="2", code="checksum_mismatch", places=(SR,),
        forge=lambda t: refused(t, t.desk.seal(t.txn, "0", *covered(t)))),
    Row(name="a refusal's checksum on success", rule="2", code="checksum_mismatch", places=(SR,),
        forge=lambda t: t.with_checksum(t.desk.seal(t.txn, "APP_USER_CANCEL"))),
    Row(name="a refusal without a checksum that brings a good signature", rule="2",
        code="holder_refused", places=BOTH, end=End.REJECTED, who="holder",
        forge=lambda t: {**t.without_checksum(), "error_code": "APP_USER_CANCEL"}),
    Row(name="a lapse without a checksum that brings a good signature", rule="2",
        code="expired", places=BOTH, end=End.EXPIRED, who="holder",
        forge=lambda t: {**t.without_checksum(), "error_code": "SPTKT_OVD"}),
    Row(name="not finished, with a good signature and without a checksum", rule="2", code="",
        places=(SR,), end=End.WAITED,
        forge=lambda t: {**t.without_checksum(), "error_code": 20002}),
]
# fmt: on


def covered(turn: Turn) -> tuple[str, ...]:
    """What the honest checksum covers behind the code."""
    if turn.stage == "ticket":
        return (turn.order.ticket,)
    return (turn.desk.hashed_id_num, turn.signature())
