"""What is sent: interfaces, field names, request bodies, and the order of checksum payloads.

Nothing is decided here about what comes back; that is ``envelope`` and ``guard``. What a ticket
is for is ``operation``'s. Field order and nesting follow ``protocol/moi-sp-api.md`` "Payload
orders", "Fields": ``device_user_def_desc`` stands before ``op_code`` in the payload although it
stands behind ``time_limit`` in the body; ``sign_data`` is covered, a batch's ``sign_data_set`` is
not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from moica_gateway.domain.models import Begin, Channel, Handle, SpKey
from moica_gateway.domain.values import IdNumber
from moica_gateway.ports import Random
from moica_gateway.protocols.twfido.checksum import join_payload, make_checksum
from moica_gateway.protocols.twfido.envelope import Envelope, answer_invalid
from moica_gateway.protocols.twfido.operation import BATCH_SIGN, Operation

__all__ = [
    "BATCH",
    "OP_MODES",
    "PUSH",
    "RESULT",
    "STATUS",
    "TICKET",
    "WEB",
    "Interface",
    "Request",
    "answer_payloads",
    "batch_stands_for",
    "interface_of",
    "poll_request",
    "sp_checksum",
    "start_request",
    "status_request",
]

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

OP_MODES: Final[Mapping[Channel, str | None]] = {
    Channel.PUSH: None,
    Channel.QR: "I-SCAN",
    # The link is opened by a phone's browser, so it is "mobile web to app" and not "app to app".
    Channel.APP_LINK: "MWEB2APP",
}
"""``op_mode`` by channel; a push sends none, in body and payload, but a batch's does."""

_BATCH_PUSH: Final = "PUSH"


@frozen(kw_only=True)
class Interface:
    """One method of the SP API.

    Attributes:
        id: As in the specification, ``SP-API-ATH-02``.
        method: Last segment of the path; empty for the form that a browser posts.
        sent_fields: What ``sp_checksum`` covers, in order.
        answer_fields: What ``idp_checksum`` covers behind transaction_id and error_code, in order.
    """

    id: str
    method: str
    sent_fields: tuple[str, ...]
    answer_fields: tuple[str, ...]


_WHO: Final = ("transaction_id", "sp_service_id", "id_num")

TICKET: Final = Interface(
    id="SP-API-ATH-01",
    method="getSpTicket",
    sent_fields=(*_WHO, "op_code", "op_mode", "hint", "sign_data"),
    answer_fields=("sp_ticket",),
)
RESULT: Final = Interface(
    id="SP-API-ATH-02",
    method="getAthOrSignResult",
    sent_fields=("transaction_id", "sp_service_id", "sp_ticket_id"),
    answer_fields=("hashed_id_num", "signed_response"),
)
PUSH: Final = Interface(
    id="SP-API-ATH-03",
    method="requestAthOrSignPush",
    sent_fields=(*_WHO, "device_user_def_desc", "op_code", "hint", "sign_data"),
    answer_fields=("sp_ticket",),
)
BATCH: Final = Interface(
    id="SP-API-ATH-04",
    method="doBatchSigning",
    sent_fields=(*_WHO, "op_code", "op_mode", "hint"),
    answer_fields=("sp_ticket",),
)
STATUS: Final = Interface(
    id="SP-API-LF-01",
    method="checkDeviceStatus",
    sent_fields=_WHO,
    answer_fields=("is_fido", "is_mcert_sign"),
)
WEB: Final = Interface(
    id="SP-API-WEB-01",
    method="",
    sent_fields=("transaction_id", "sp_service_id", "op_code", "hint", "sign_data"),
    answer_fields=("id_num", "signed_response"),
)


def batch_stands_for(signed_response_set: Sequence[str]) -> str:
    """What ``idp_checksum`` covers of a batch's result in the place of ``signed_response``.

    Assumed (C): nothing. The table of payloads has no ``signed_response_set``, and a field that is
    absent is the empty string. So the checksum speaks for the person, and each signature has to
    speak for itself. Should the platform cover the set, this function is the one to correct.
    """
    del signed_response_set
    return ""


@frozen(kw_only=True)
class Request:
    """One request as it is sent.

    Attributes:
        interface: Where it goes.
        body: UTF-8 JSON; holds the ID number.
        checksum: Its ``sp_checksum``, to be recognised should it come back.
    """

    interface: Interface
    body: bytes = field(repr=False)
    checksum: str = field(repr=False)


def interface_of(channel: Channel, operation: Operation) -> Interface:
    """Where a beginning goes: ATH-04 for a batch, ATH-03 for a push, else ATH-01; or WEB-01."""
    if channel is Channel.REDIRECT:
        return WEB
    if operation.op_code == BATCH_SIGN:
        return BATCH
    return PUSH if channel is Channel.PUSH else TICKET


def start_request(asked: Begin, operation: Operation, key: SpKey, random: Random) -> Request:
    """ATH-01, ATH-03 or ATH-04, as `interface_of` says.

    A device's name goes with ATH-03 only: the payloads of the others have no place for it.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
        RequestError: ``request_invalid`` for text that UTF-8 cannot carry.
    """
    interface = interface_of(asked.channel, operation)
    members: dict[str, Any] = {
        "id_num": asked.id_number.reveal(),
        "op_code": operation.op_code,
    }
    if interface is not PUSH:
        members["op_mode"] = OP_MODES[asked.channel] or _BATCH_PUSH
    members |= {"hint": asked.hint, "time_limit": asked.time_limit}
    if interface is PUSH and asked.device_name:
        members["device_user_def_desc"] = asked.device_name
    if operation.sign_info:
        members["sign_info"] = operation.sign_info
    return _request(
        interface,
        asked.upstream_transaction_id,
        asked.service_provider.sp_service_id,
        members,
        key,
        random,
    )


def poll_request(handle: Handle, sp_service_id: str, key: SpKey, random: Random) -> Request:
    """ATH-02 for one ticket, with the ``transaction_id`` of the request that made it.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
        RequestError: ``request_invalid`` for text that UTF-8 cannot carry.
    """
    members = {"sp_ticket_id": handle.ticket_id}
    return _request(RESULT, handle.transaction_id, sp_service_id, members, key, random)


def status_request(
    transaction_id: str, sp_service_id: str, id_number: IdNumber, key: SpKey, random: Random
) -> Request:
    """LF-01, under a ``transaction_id`` of its own.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
        RequestError: ``request_invalid`` for text that UTF-8 cannot carry.
    """
    members = {"id_num": id_number.reveal()}
    return _request(STATUS, transaction_id, sp_service_id, members, key, random)


def sp_checksum(
    interface: Interface, members: Mapping[str, Any], key: SpKey, random: Random
) -> str:
    """Over the fields that the interface names, also those inside ``sign_info``.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
        RequestError: ``request_invalid`` for text that UTF-8 cannot carry.
    """
    flat = {**members.get("sign_info", {}), **members}
    payload = join_payload(*(flat.get(name) for name in interface.sent_fields))
    return make_checksum(key.key, payload, random)


def answer_payloads(
    interface: Interface, transaction_id: str, envelope: Envelope
) -> tuple[str, ...]:
    """What an ``idp_checksum`` may cover: our ``transaction_id``, then the fields as they came.

    How the platform signs error answers, if at all, is not known. Taken here: absent fields are
    the empty string, and the code stands as it arrived or bare, which say the same. Success has
    exactly one reading.

    Raises:
        VerificationError: ``answer_invalid`` for a covered field that is no text.
    """
    fields = []
    for name in interface.answer_fields:
        value = envelope.result.get(name)
        if value is not None and not isinstance(value, str):
            raise answer_invalid(f"{name} as text", "another type")
        fields.append(value)
    codes = [envelope.error_code]
    if envelope.code != envelope.error_code:  # never so for success
        codes.append(envelope.code)
    return tuple(join_payload(transaction_id, code, *fields) for code in codes)


def _request(
    interface: Interface,
    transaction_id: str,
    sp_service_id: str,
    rest: Mapping[str, Any],
    key: SpKey,
    random: Random,
) -> Request:
    members = {"transaction_id": transaction_id, "sp_service_id": sp_service_id, "sp_checksum": ""}
    members |= rest
    checksum = sp_checksum(interface, members, key, random)
    body = _ENCODER.encode(members | {"sp_checksum": checksum}).encode()
    return Request(interface=interface, body=body, checksum=checksum)
