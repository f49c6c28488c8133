"""What is sent: interfaces, field names, request bodies, and the order of checksum payloads.

Nothing is decided here about what comes back; that is ``envelope`` and ``guard``.

Only ``SIGN`` with ``PKCS#1``, SHA-256 and base64 is asked for: whatever has to be signed fits, or
is a digest structure that fits (``design.md`` "Sign any size"). Field order and nesting follow
``protocol/moi-sp-api.md`` "Payload orders", "Fields": ``device_user_def_desc`` stands before
``op_code`` in the payload although it stands behind ``time_limit`` in the body.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from moica_gateway.domain.models import Begin, Channel, Handle, SpKey
from moica_gateway.domain.values import Tbs
from moica_gateway.ports import Random
from moica_gateway.protocols.twfido.checksum import join_payload, make_checksum
from moica_gateway.protocols.twfido.envelope import Envelope, answer_invalid

__all__ = [
    "MAX_SIGN_DATA",
    "OP_CODE",
    "OP_MODES",
    "PUSH",
    "RESULT",
    "TICKET",
    "Interface",
    "Request",
    "answer_payloads",
    "encode_tbs",
    "poll_request",
    "sign_info",
    "start_request",
]

MAX_SIGN_DATA: Final = 1024
"""Characters of ``sign_data`` as sent; in base64, 768 bytes."""

OP_CODE: Final = "SIGN"

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

OP_MODES: Final[Mapping[Channel, str | None]] = {
    Channel.PUSH: None,
    Channel.QR: "I-SCAN",
    # The link is opened by a phone's browser, so it is "mobile web to app" and not "app to app".
    Channel.APP_LINK: "MWEB2APP",
}
"""``op_mode`` by channel; push sends none, in body and payload."""


@frozen(kw_only=True)
class Interface:
    """One method of the SP API.

    Attributes:
        id: As in the specification, ``SP-API-ATH-02``.
        method: Last segment of the path.
        answer_fields: What ``idp_checksum`` covers behind transaction_id and error_code, in order.
    """

    id: str
    method: str
    answer_fields: tuple[str, ...]


TICKET: Final = Interface(id="SP-API-ATH-01", method="getSpTicket", answer_fields=("sp_ticket",))
RESULT: Final = Interface(
    id="SP-API-ATH-02",
    method="getAthOrSignResult",
    answer_fields=("hashed_id_num", "signed_response"),
)
PUSH: Final = Interface(
    id="SP-API-ATH-03", method="requestAthOrSignPush", answer_fields=("sp_ticket",)
)


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


def encode_tbs(message: Tbs) -> str:
    """``sign_data`` for ``tbs_encoding: base64``: the key covers the decoded bytes."""
    return base64.b64encode(message.message).decode("ascii")


def sign_info(message: Tbs) -> dict[str, str]:
    """The object of that name: RSASSA-PKCS1-v1_5 with SHA-256 over the message."""
    return {
        "sign_type": "PKCS#1",
        "sign_data": encode_tbs(message),
        "tbs_encoding": "base64",
        "hash_algorithm": "SHA256",
    }


def start_request(asked: Begin, message: Tbs, key: SpKey, random: Random) -> Request:
    """ATH-03 for push, ATH-01 for the other channels.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
        RequestError: ``request_invalid`` for text that UTF-8 cannot carry.
    """
    provider = asked.service_provider.sp_service_id
    id_num = asked.id_number.reveal()
    info = sign_info(message)
    body: dict[str, Any] = {
        "transaction_id": asked.upstream_transaction_id,
        "sp_service_id": provider,
        "sp_checksum": "",
        "id_num": id_num,
        "op_code": OP_CODE,
    }
    if asked.channel is Channel.PUSH:
        interface = PUSH
        device = asked.device_name
        payload = join_payload(
            asked.upstream_transaction_id,
            provider,
            id_num,
            device,
            OP_CODE,
            asked.hint,
            info["sign_data"],
        )
        body |= {"hint": asked.hint, "time_limit": asked.time_limit}
        if device:
            body["device_user_def_desc"] = device
    else:
        interface = TICKET
        op_mode = OP_MODES[asked.channel]
        payload = join_payload(
            asked.upstream_transaction_id,
            provider,
            id_num,
            OP_CODE,
            op_mode,
            asked.hint,
            info["sign_data"],
        )
        body |= {"op_mode": op_mode, "hint": asked.hint, "time_limit": asked.time_limit}
    body["sign_info"] = info
    checksum = make_checksum(key.key, payload, random)
    body["sp_checksum"] = checksum
    return Request(interface=interface, body=_encode(body), checksum=checksum)


def poll_request(handle: Handle, sp_service_id: str, key: SpKey, random: Random) -> Request:
    """ATH-02 for one ticket, with the ``transaction_id`` of the request that made it.

    Raises:
        ConfigurationError: ``configuration_invalid`` for a key that is not 32 bytes.
        RequestError: ``request_invalid`` for text that UTF-8 cannot carry.
    """
    payload = join_payload(handle.transaction_id, sp_service_id, handle.ticket_id)
    checksum = make_checksum(key.key, payload, random)
    body = {
        "transaction_id": handle.transaction_id,
        "sp_service_id": sp_service_id,
        "sp_checksum": checksum,
        "sp_ticket_id": handle.ticket_id,
    }
    return Request(interface=RESULT, body=_encode(body), checksum=checksum)


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


def _encode(body: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(body).encode()
