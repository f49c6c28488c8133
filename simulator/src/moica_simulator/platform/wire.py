"""What goes over the wire between a relying system and the platform, and the rules of each field.

Follows moi-sp-api.md: "Payload orders", "Fields". Parsing turns a JSON object into a frozen
request or raises the code that the platform would answer. The order in which rules are tried is
our assumption, except that the caller checks service id and checksum first.
"""

import base64
import binascii
import enum
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
from cryptography.hazmat.primitives import hashes

from moica_simulator import assumptions
from moica_simulator.errors import PlatformError
from moica_simulator.id_number import IdNumberFault, fault_in
from moica_simulator.records import SignRequest

__all__ = [
    "IDP_ORDER",
    "SP_ORDER",
    "Interface",
    "ResultRequest",
    "StatusRequest",
    "TicketRequest",
    "hash_algorithm",
    "optional_text",
    "parse_result_request",
    "parse_status_request",
    "parse_ticket_request",
    "payload_field",
    "required_text",
    "sp_payload",
    "to_be_signed",
]


class Interface(enum.StrEnum):
    """The interfaces served, by their id in the specification."""

    GET_SP_TICKET = "SP-API-ATH-01"
    GET_RESULT = "SP-API-ATH-02"
    REQUEST_PUSH = "SP-API-ATH-03"
    BATCH_SIGN = "SP-API-ATH-04"
    DEVICE_STATUS = "SP-API-LF-01"
    REDIRECT = "SP-API-WEB-01"

    @property
    def method(self) -> str:
        """The last part of the interface's path."""
        return _METHODS[self]


_METHODS = {
    Interface.GET_SP_TICKET: "getSpTicket",
    Interface.GET_RESULT: "getAthOrSignResult",
    Interface.REQUEST_PUSH: "requestAthOrSignPush",
    Interface.BATCH_SIGN: "doBatchSigning",
    Interface.DEVICE_STATUS: "checkDeviceStatus",
    Interface.REDIRECT: "web",
}

SP_ORDER: Mapping[Interface, tuple[str, ...]] = {
    Interface.GET_SP_TICKET: (
        "transaction_id",
        "sp_service_id",
        "id_num",
        "op_code",
        "op_mode",
        "hint",
        "sign_data",
    ),
    Interface.GET_RESULT: ("transaction_id", "sp_service_id", "sp_ticket_id"),
    Interface.REQUEST_PUSH: (
        "transaction_id",
        "sp_service_id",
        "id_num",
        "device_user_def_desc",
        "op_code",
        "hint",
        "sign_data",
    ),
    Interface.BATCH_SIGN: (
        "transaction_id",
        "sp_service_id",
        "id_num",
        "op_code",
        "op_mode",
        "hint",
    ),
    Interface.DEVICE_STATUS: ("transaction_id", "sp_service_id", "id_num"),
    Interface.REDIRECT: ("transaction_id", "sp_service_id", "op_code", "hint", "sign_data"),
}
"""Which fields `sp_checksum` covers, in this order; an absent one counts as empty text."""

IDP_ORDER: Mapping[Interface, tuple[str, ...]] = {
    Interface.GET_SP_TICKET: ("transaction_id", "error_code", "sp_ticket"),
    Interface.GET_RESULT: ("transaction_id", "error_code", "hashed_id_num", "signed_response"),
    Interface.REQUEST_PUSH: ("transaction_id", "error_code", "sp_ticket"),
    Interface.BATCH_SIGN: ("transaction_id", "error_code", "sp_ticket"),
    Interface.DEVICE_STATUS: ("transaction_id", "error_code", "is_fido", "is_mcert_sign"),
    Interface.REDIRECT: ("transaction_id", "error_code", "id_num", "signed_response"),
}
"""Which fields `idp_checksum` covers, in this order."""

_LONGEST_TRANSACTION_ID = 100
_LONGEST_SIGN_DATA = 1024  # characters as sent, not the bytes behind them
_SHORTEST, _LONGEST, _DEFAULT = timedelta(seconds=30), timedelta(seconds=600), timedelta(seconds=60)
_OP_CODES = ("ATH", "SIGN", "NFCSIGN")
_BATCH_OP_CODES = ("BATSIGN",)
_LARGEST_BATCH = 20
_OP_MODES = ("I-SCAN", "APP2APP", "MWEB2APP")
_BATCH_OP_MODES = (*_OP_MODES, "PUSH")
_SIGN_TYPES = ("PKCS#1", "PKCS#7", "RAW")
_ENCODINGS = ("NONE", "base64")
_HASH_ALGORITHMS = ("SHA1", "SHA256", "SHA384", "SHA512")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")


@attrs.frozen
class TicketRequest:
    """A checked request of ATH-01, 03 or 04, or the form of WEB-01 with the typed `id_num`.

    `op_mode` of a push and of a redirect is the platform's own word.
    """

    transaction_id: str
    id_number: str = attrs.field(repr=False)
    op_code: str
    op_mode: str
    hint: str = attrs.field(repr=False)
    lifetime: timedelta
    device_name: str
    """`device_user_def_desc`; empty means every bound device."""
    sign: SignRequest | None


@attrs.frozen
class StatusRequest:
    """A checked request of LF-01."""

    transaction_id: str
    id_number: str = attrs.field(repr=False)


@attrs.frozen
class ResultRequest:
    """A checked request of ATH-02."""

    transaction_id: str
    sp_ticket_id: str


def sp_payload(interface: Interface, body: Mapping[str, Any]) -> str:
    """Joins the fields that `sp_checksum` covers.

    Raises:
        PlatformError: `PM_INV_NF` if one of them is no text.
    """
    return "".join(payload_field(interface, body, name) for name in SP_ORDER[interface])


def parse_ticket_request(interface: Interface, body: Mapping[str, Any]) -> TicketRequest:
    """Checks every field of ATH-01, ATH-03, ATH-04 or WEB-01.

    Args:
        interface: Which of them.
        body: The JSON object; for WEB-01 the form, `sign_info` nested, and `id_num` once typed.

    Raises:
        PlatformError: With the code of the first rule that the request breaks.
    """
    transaction_id = _transaction_id(body)
    # A redirect's form is checked once before anybody has typed an ID number.
    untyped = interface is Interface.REDIRECT and "id_num" not in body
    id_number = "" if untyped else _id_number(body)
    batch = interface is Interface.BATCH_SIGN
    op_codes = _BATCH_OP_CODES if batch else _OP_CODES
    op_code = _one_of("op_code", required_text(body, "op_code"), op_codes, "TGT_INV")
    op_mode = assumptions.PUSH_TICKET_OP_MODE
    if batch or interface is Interface.GET_SP_TICKET:
        op_modes = _BATCH_OP_MODES if batch else _OP_MODES
        op_mode = _one_of("op_mode", required_text(body, "op_mode"), op_modes, "TGT_INV")
    return TicketRequest(
        transaction_id=transaction_id,
        id_number=id_number,
        op_code=op_code,
        op_mode=op_mode,
        hint=optional_text(body, "hint"),
        lifetime=_lifetime(body.get("time_limit")),
        device_name=(
            optional_text(body, "device_user_def_desc")
            if interface is Interface.REQUEST_PUSH
            else ""
        ),
        sign=None if op_code == "ATH" else _sign_request(body, batch=batch),
    )


def parse_status_request(body: Mapping[str, Any]) -> StatusRequest:
    """Checks every field of LF-01.

    Raises:
        PlatformError: With the code of the first rule that the request breaks.
    """
    return StatusRequest(_transaction_id(body), _id_number(body))


def parse_result_request(body: Mapping[str, Any]) -> ResultRequest:
    """Checks every field of ATH-02.

    Raises:
        PlatformError: `PM_INV_NF` if one is missing or no text.
    """
    return ResultRequest(_transaction_id(body), required_text(body, "sp_ticket_id"))


def to_be_signed(sign: SignRequest) -> tuple[bytes, ...]:
    """Returns the bytes that the key covers, one by one: decoded base64, or the UTF-8 text."""
    if sign.tbs_encoding == "base64":
        return tuple(base64.b64decode(each, validate=True) for each in sign.data)
    return tuple(each.encode() for each in sign.data)


def hash_algorithm(sign: SignRequest) -> hashes.HashAlgorithm:
    """Returns the algorithm for `PKCS#1` and `PKCS#7`; SHA1 because the protocol offers it."""
    known: Mapping[str, type[hashes.HashAlgorithm]] = {
        "SHA1": hashes.SHA1,
        "SHA256": hashes.SHA256,
        "SHA384": hashes.SHA384,
        "SHA512": hashes.SHA512,
    }
    return known[sign.hash_algorithm]()


def required_text(body: Mapping[str, Any], name: str) -> str:
    """Returns a field that must be there, as text that is not empty."""
    value = optional_text(body, name)
    if not value:
        raise PlatformError("PM_INV_NF", f"{name} is missing")
    return value


def optional_text(body: Mapping[str, Any], name: str) -> str:
    """Returns a text field, empty if it is absent or null."""
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PlatformError("PM_INV_NF", f"{name} must be text, not {type(value).__name__}")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:  # a lone surrogate: JSON allows it, UTF-8 does not
        raise PlatformError("PM_INV_NF", f"{name} is no valid Unicode text") from error
    return value


def payload_field(interface: Interface, body: Mapping[str, Any], name: str) -> str:
    """Returns a field that `sp_checksum` covers, empty if absent.

    `sign_data` is nested in `sign_info`, except in the flat form of WEB-01.
    """
    if name != "sign_data" or interface is Interface.REDIRECT:
        return optional_text(body, name)
    return optional_text(_sign_info(body) or {}, name)


def _sign_info(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    value = body.get("sign_info")
    if value is not None and not isinstance(value, Mapping):
        raise PlatformError("PM_INV_NF", "sign_info must be an object")
    return value


def _transaction_id(body: Mapping[str, Any]) -> str:
    value = required_text(body, "transaction_id")
    if len(value) > _LONGEST_TRANSACTION_ID:
        raise PlatformError(
            "PM_INV_NF", f"transaction_id has {len(value)} characters, at most 100 are taken"
        )
    return value


def _id_number(body: Mapping[str, Any]) -> str:
    value = required_text(body, "id_num")
    match fault_in(value):
        case None:
            return value
        case IdNumberFault.CHECK_DIGIT as fault:
            raise PlatformError(assumptions.CHECK_DIGIT_CODE, f"id_num: {fault.value}")
        case fault:
            raise PlatformError("PM_IDN_FT_ERR", f"id_num: {fault.value}")


def _one_of(name: str, value: str, known: tuple[str, ...], code: str) -> str:
    if value not in known:
        raise PlatformError(code, f"{name} must be one of {', '.join(known)}")
    return value


def _lifetime(value: object) -> timedelta:
    """Reads `time_limit`: a JSON number, or a number as text, of whole seconds."""
    if value is None:
        return _DEFAULT
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        seconds = int(value)
    else:
        raise PlatformError("SPTKT_TIME_FT_ERR", "time_limit must be whole seconds")
    if not _SHORTEST.seconds <= seconds <= _LONGEST.seconds:
        raise PlatformError("SPTKT_TIME_ORV", "time_limit must be 30 to 600")
    return timedelta(seconds=seconds)


def _sign_request(body: Mapping[str, Any], *, batch: bool) -> SignRequest:
    info = _sign_info(body)
    if info is None:
        raise PlatformError("PM_INV_NF", "sign_info is missing; only ATH goes without it")
    data = _sign_data_set(info) if batch else (optional_text(info, "sign_data"),)
    for each in data:
        if not each:
            raise PlatformError("PM_SIGNDATA_NULL", "data to be signed is empty")
        if len(each) > _LONGEST_SIGN_DATA:
            raise PlatformError(
                "SIGNDATA_LEN_LIMIT",
                f"data to be signed has {len(each)} characters, at most 1024 are taken",
            )
    sign_type = _one_of("sign_type", required_text(info, "sign_type"), _SIGN_TYPES, "PM_INV_NF")
    encodings = ("base64",) if batch else _ENCODINGS
    encoding = _one_of("tbs_encoding", required_text(info, "tbs_encoding"), encodings, "PM_INV_NF")
    if sign_type == "RAW" and encoding != "base64":
        raise PlatformError("PM_INV_NF", "RAW takes tbs_encoding base64 only")
    # RAW ignores the algorithm, so a client may leave it out there.
    algorithm = (
        optional_text(info, "hash_algorithm")
        if sign_type == "RAW"
        else _one_of(
            "hash_algorithm", required_text(info, "hash_algorithm"), _HASH_ALGORITHMS, "PM_INV_NF"
        )
    )
    sign = SignRequest(sign_type, data, encoding, algorithm)
    try:
        to_be_signed(sign)
    except (binascii.Error, ValueError) as error:
        raise PlatformError("PM_INV_NF", "sign_data is no base64") from error
    return sign


def _sign_data_set(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Reads the documents of a batch; their number is checked before any of them."""
    value = info.get("sign_data_set")
    if value is None or value == []:
        raise PlatformError("PM_SIGNDATA_NULL", "sign_info.sign_data_set is empty")
    if not isinstance(value, list):
        raise PlatformError("PM_INV_NF", "sign_data_set must be an array of texts")
    if len(value) > _LARGEST_BATCH:
        raise PlatformError(
            "BATSIGN_CNT_LIMIT", f"sign_data_set has {len(value)} texts, at most 20 are taken"
        )
    return tuple(optional_text({"sign_data_set": each}, "sign_data_set") for each in value)
