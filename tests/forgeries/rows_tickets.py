"""The ticket and the person (security rule 4): every field that is there is the one asked for."""

from __future__ import annotations

import json
from typing import Any

from .hostile import Desk, Turn, segment, ticket_of
from .row import Place, Row

__all__ = ["ROWS"]

RT, ST, QT = Place.REGISTRATION_TICKET, Place.SIGNATURE_TICKET, Place.QR_TICKET
RR, SR = Place.REGISTRATION_RESULT, Place.SIGNATURE_RESULT
TICKETS = (RT, ST, QT)
BOTH = (RR, SR)
STRANGER = "f" * 32


def other_info(turn: Turn, **changes: Any) -> dict[str, Any]:
    """A ticket whose sign_info is another."""
    info = {**turn.order.body["sign_info"], **changes}
    return turn.ticket_answer(turn.ticket(sign_info=info))


def other_digest(turn: Turn) -> str:
    first, _, second = turn.order.ticket.partition(".")
    return f"{first}.{'A' if second[0] != 'A' else 'B'}{second[1:]}"


def id_twice(turn: Turn) -> str:
    """A doubled name inside the ticket."""
    payload = json.dumps(turn.payload(), ensure_ascii=False)
    return ticket_of(payload.replace("{", '{"sp_ticket_id": "x", ', 1).encode())


def earlier_ticket(turn: Turn) -> str:
    """The one of the registration."""
    return next(iter(turn.desk.orders.values())).ticket


def person_in_ticket(desk: Desk) -> None:
    """Everything after the registration speaks of somebody else."""
    desk.ticket_changes = {"hashed_id_num": STRANGER}


def no_person_in_ticket(desk: Desk) -> None:
    desk.ticket_changes = {"hashed_id_num": ...}


def another(turn: Turn, **changes: Any) -> dict[str, Any]:
    """A ticket sealed anew."""
    return turn.ticket_answer(turn.ticket(**changes))


# fmt: off
MISMATCH: list[Row] = [
    Row(name=f"ticket: another {name}", rule="4", code="ticket_mismatch", places=places,
        forge=lambda t, n=name, v=value: another(t, **{n: v}))
    for name, value, places in (
        ("transaction_id", "41570c02-5226-4d2e-8391-839ed31123cf", TICKETS),
        ("sp_service_id", "00261123090000000000", TICKETS),
        ("id_num", "A123456789", TICKETS),
        ("op_code", "ATH", TICKETS),
        ("op_mode", "APP2APP", TICKETS),
        ("hint", segment("公文文號：1153000166 驗證碼：00".encode()), TICKETS),
        ("device_user_def_desc", "別人的手機", (RT, ST)),
    )
] + [
    Row(name=f"ticket: another sign_info.{name}", rule="4", code="ticket_mismatch", places=(ST,),
        forge=lambda t, n=name, v=value: other_info(t, **{n: v}))
    for name, value in (
        ("sign_data", "RE9D"),
        ("sign_type", "RAW"),
        ("tbs_encoding", "NONE"),
        ("hash_algorithm", "SHA1"),
    )
]

ROWS: list[Row] = [
    *MISMATCH,
    Row(name="ticket: further documents in sign_info", rule="4", code="ticket_mismatch",
        places=(ST,), forge=lambda t: other_info(t, sign_data_set=["RE9D"])),
    Row(name="ticket: sign_info as text", rule="4", code="ticket_mismatch", places=(ST,),
        forge=lambda t: another(t, sign_info="PKCS#1")),
    Row(name="ticket: transaction_id as a list", rule="4", code="ticket_mismatch", places=(ST,),
        forge=lambda t: another(t, transaction_id=[t.txn])),
    Row(name="ticket: op_mode false", rule="4", code="ticket_mismatch", places=(ST,),
        forge=lambda t: another(t, op_mode=False)),
    Row(name="ticket changed, its digest made anew, checksum stale", rule="4",
        code="checksum_mismatch", places=TICKETS,
        forge=lambda t: t.stale_ticket(sp_ticket_id="another")),
    Row(name="ticket digest wrong", rule="4", code="ticket_malformed", places=TICKETS,
        forge=lambda t: t.ticket_answer(other_digest(t))),
    Row(name="ticket without a digest", rule="4", code="ticket_malformed", places=(ST,),
        forge=lambda t: t.ticket_answer(t.order.ticket.partition(".")[0])),
    Row(name="ticket with three parts", rule="4", code="ticket_malformed", places=(ST,),
        forge=lambda t: t.ticket_answer(t.order.ticket + ".x")),
    Row(name="ticket padded", rule="4", code="ticket_malformed", places=(ST,),
        forge=lambda t: t.ticket_answer(t.order.ticket + "=")),
    Row(name="ticket without JSON inside", rule="4", code="ticket_malformed", places=(ST,),
        forge=lambda t: t.ticket_answer(ticket_of(b"PUSH"))),
    Row(name="ticket with a name twice inside", rule="4", code="ticket_malformed", places=(ST,),
        forge=lambda t: t.ticket_answer(id_twice(t))),
    Row(name="ticket without sp_ticket_id", rule="4", code="ticket_malformed", places=(ST,),
        forge=lambda t: another(t, sp_ticket_id=...)),
    Row(name="ticket: sp_ticket_id as a number", rule="4", code="ticket_malformed", places=(ST,),
        forge=lambda t: another(t, sp_ticket_id=7)),
    Row(name="ticket: sp_ticket_id that is a path", rule="4", code="ticket_malformed",
        places=(ST,), forge=lambda t: another(t, sp_ticket_id="a/../b")),
    Row(name="sp_ticket as a number", rule="1", code="answer_invalid", places=(ST,),
        forge=lambda t: t.ticket_answer(7)),
    Row(name="success without a ticket", rule="1", code="answer_incomplete", places=(ST,),
        forge=lambda t: t.ticket_answer("")),
    Row(name="the ticket answer of an earlier transaction", rule="4", code="checksum_mismatch",
        places=(ST, QT),
        forge=lambda t: t.ticket_answer(
            earlier_ticket(t),
            idp_checksum=t.desk.seal(next(iter(t.desk.orders)), "0", earlier_ticket(t)))),
    Row(name="an earlier transaction's ticket, sealed anew", rule="4", code="ticket_mismatch",
        places=(ST, QT), forge=lambda t: t.ticket_answer(earlier_ticket(t))),
    Row(name="result for another person than the ticket's", rule="4", code="hashed_id_num_mismatch",
        places=BOTH, forge=lambda t: t.result(hashed_id_num=STRANGER)),
    Row(name="ticket for another person than the result's", rule="4", code="hashed_id_num_mismatch",
        places=BOTH, prepare=person_in_ticket, forge=lambda t: t.honest()),
    Row(name="ticket and result agree on another person than registered", rule="4",
        code="hashed_id_num_mismatch", places=(SR,), prepare=person_in_ticket,
        forge=lambda t: t.result(hashed_id_num=STRANGER)),
    Row(name="result for another person than registered, ticket without one", rule="4",
        code="hashed_id_num_mismatch", places=(SR,), prepare=no_person_in_ticket,
        forge=lambda t: t.result(hashed_id_num=STRANGER)),
]
# fmt: on
