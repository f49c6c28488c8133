"""``sp_ticket``: taken apart, and compared with what was asked.

``base64url(JSON) "." base64url(SHA-256(first segment))``, without padding. The second part is an
integrity digest that anyone can make: it says nothing about the sender. The ``idp_checksum`` over
the whole ticket is verified before the ticket is looked at here.

Every field that is there must equal what was asked (``security.md`` 4). Not so the ticket's times:
they are Taipei's without a zone, and our deadlines are ours. ``transaction_id`` is compared and
never taken over. Specification: ``protocol/moi-sp-api.md`` "sp_ticket".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from moica_gateway.errors import GatewayError, error
from moica_gateway.protocols.twfido.envelope import (
    HASHED_ID_NUM,
    parse_object,
    read_text,
)

__all__ = [
    "ExpectedTicket",
    "Ticket",
    "check_ticket",
    "decode_text",
    "parse_ticket",
    "read_ticket",
]

_TICKET: Final = re.compile(r"[A-Za-z0-9_-]{2,40960}\.[A-Za-z0-9_-]{43}", re.ASCII)
_ANY: Final = re.compile(r".*", re.DOTALL)
_TICKET_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@frozen(kw_only=True)
class Ticket:
    """A ticket whose form and digest are right.

    Attributes:
        text: The whole, as it came; what an I-SCAN QR code holds.
        ticket_id: ``sp_ticket_id``, by which it is polled.
        hashed_id_num: Where the ticket has it.
        payload: All members.
    """

    text: str = field(repr=False)
    ticket_id: str
    hashed_id_num: str | None = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)


@frozen(kw_only=True)
class ExpectedTicket:
    """What was asked for; nothing of it arrived. ``op_mode`` is None for push."""

    transaction_id: str
    sp_service_id: str
    id_num: str = field(repr=False)
    op_code: str
    op_mode: str | None
    hint: str
    device_user_def_desc: str | None
    sign_info: Mapping[str, Any]


def read_ticket(members: Mapping[str, Any]) -> str | None:
    """``sp_ticket`` of a result, in its form; None where it is absent, null or empty.

    Raises:
        VerificationError: ``answer_invalid`` where it is no text, ``ticket_malformed`` where its
            form is another.
    """
    text = read_text(members, "sp_ticket", _ANY, "text")
    if text is not None:
        _check_form(text)
    return text


def parse_ticket(unverified_text: str) -> Ticket:
    """Take a ticket apart.

    Raises:
        VerificationError: ``ticket_malformed`` for a ticket that breaks the grammar, its digest
            included.
    """
    _check_form(unverified_text)
    first, second = unverified_text.split(".")
    digest = base64.urlsafe_b64encode(hashlib.sha256(first.encode()).digest()).rstrip(b"=")
    if not hmac.compare_digest(digest, second.encode()):
        raise _malformed("sp_ticket with the digest of its first segment", "another digest")
    data = _decode(first)
    if data is None:
        raise _malformed("sp_ticket with canonical base64url", "another spelling")
    try:
        payload = parse_object(data)
        ticket_id = read_text(payload, "sp_ticket_id", _TICKET_ID, "a token")
        hashed_id_num = read_text(payload, "hashed_id_num", HASHED_ID_NUM, "an opaque token")
    except GatewayError as exc:
        # Its digest is right: no line broke it, so it is not asked for again.
        raise _malformed(
            "sp_ticket with a JSON object inside, its fields in their grammar", "something else"
        ) from exc
    if ticket_id is None:
        raise _malformed("sp_ticket with sp_ticket_id", "one without")
    return Ticket(
        text=unverified_text, ticket_id=ticket_id, hashed_id_num=hashed_id_num, payload=payload
    )


def check_ticket(ticket: Ticket, expected: ExpectedTicket) -> None:
    """Return only if every field that the ticket has is the one asked for.

    Raises:
        VerificationError: ``ticket_mismatch``, naming the field and not its value.
    """
    payload = ticket.payload
    exact = {
        "transaction_id": expected.transaction_id,
        "sp_service_id": expected.sp_service_id,
        "id_num": expected.id_num,
        "op_code": expected.op_code,
        "op_mode": expected.op_mode or "PUSH",
    }
    for name, value in exact.items():
        if name in payload and payload[name] != value:
            # A push ticket may leave its mode out, or empty.
            if name == "op_mode" and expected.op_mode is None and payload[name] in (None, ""):
                continue
            raise _mismatch(name)
    readable = {
        "hint": expected.hint,
        "device_user_def_desc": expected.device_user_def_desc or "",
    }
    for name, value in readable.items():
        if name in payload and not _reads_as(payload[name], value):
            raise _mismatch(name)
    _check_sign_info(payload.get("sign_info"), expected.sign_info)


def decode_text(value: str) -> str:
    """``sp_name`` and ``hint`` may be base64url of UTF-8: decoded if it decodes, else as is."""
    data = _decode(value.rstrip("="))
    if data is None:
        return value
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _reads_as(value: Any, expected: str) -> bool:
    if value is None:
        return expected == ""
    if not isinstance(value, str):
        return False
    # A hint that happens to be base64url itself ("1153000165") is right as it is, too.
    return value == expected or decode_text(value) == expected


def _check_sign_info(value: Any, expected: Mapping[str, Any]) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise _mismatch("sign_info")
    for name, asked in expected.items():
        if value.get(name) is not None and value[name] != asked:
            raise _mismatch("sign_info")
    for name in ("sign_data", "sign_data_set"):
        if name not in expected and value.get(name):
            raise _mismatch("sign_info")  # documents beside those that were asked for


def _decode(segment: str) -> bytes | None:
    """Canonical base64url without padding, else None."""
    try:
        data = base64.b64decode(
            segment.encode("ascii") + b"=" * (-len(segment) % 4), altchars=b"-_", validate=True
        )
    except (binascii.Error, ValueError):
        return None
    again = base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
    return data if again == segment else None


def _check_form(text: str) -> None:
    if not _TICKET.fullmatch(text):
        raise _malformed(
            "sp_ticket as two base64url segments", f"{len(text)} characters of another form"
        )


def _malformed(expected: str, came: str) -> GatewayError:
    return error(
        "ticket_malformed",
        f"expected {expected}, came {came}; the ticket is not used and not asked for again",
    )


def _mismatch(name: str) -> GatewayError:
    return error(
        "ticket_mismatch",
        f"expected {name} of the ticket as it was asked for, came another; "
        "the ticket is not used and not asked for again",
    )
