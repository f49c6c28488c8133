"""Every `error` that the control API answers: its statuses, and what it means to a caller."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from moica_simulator.codes import catalogue

__all__ = ["BY_PLATFORM", "ERRORS", "error_answers"]

BY_PLATFORM: Final = "(platform)"
"""Stands for every code of the platform among an operation's errors."""

ERRORS: Final[Mapping[str, tuple[tuple[int, ...], str]]] = {
    "behaviour_invalid": ((400,), "on_request is unknown, or delay_s not 0 to 86400"),
    "body_invalid": ((400, 415), "the body is no JSON, lacks a field or has an unknown one"),
    "card_expired": ((409,), "the citizen card has expired by the simulated clock"),
    "card_locked": ((409,), "the citizen card is locked; POST .../unlock-card"),
    "card_pin_wrong": ((409,), "not the card's PIN; it was counted"),
    "card_revoked": ((409,), "the citizen card is revoked or suspended"),
    "card_unknown": ((404,), "no citizen card has that number"),
    "certificate_revoked": ((409,), "revoked for good, and cannot be resumed"),
    "certificate_unknown": ((404,), "no certificate has that serial number"),
    "clock_invalid": ((400,), "time runs one way, and stays within the calendar"),
    "device_bound": ((409,), "the phone is bound already"),
    "device_not_bound": ((409,), "the phone is not bound"),
    "device_offline": ((409,), "the phone is in airplane mode"),
    "device_unknown": ((404,), "no phone has that id"),
    "fault_invalid": ((400,), "no such fault is possible; detail says what is expected"),
    "fault_unknown": ((404,), "no fault has that id"),
    "fingerprint_failed": ((409,), "the finger was not recognised; confirm again"),
    "http_404": ((404,), "no such route, or a path that cannot be read"),
    "http_413": ((413,), "a body larger than 256 KiB"),
    "id_number_invalid": ((400,), "no 國民身分證統一編號 or 外來人口統一證號"),
    "link_invalid": ((400,), "no app link of this app"),
    "name_invalid": ((400,), "the name is empty, too long or not printable"),
    "origin_refused": ((403,), "a page of another site asked"),
    "parameter_invalid": ((400,), "limit, cursor, or a filter"),
    "person_exists": ((409,), "that ID number has another name"),
    "person_unknown": ((404,), "nobody is registered under that ID number"),
    "picture_too_large": ((413,), "more than 4 MiB or 25 million pixels"),
    "picture_unreadable": ((400,), "neither PNG nor JPEG, or damaged"),
    "picture_with_several_codes": ((422,), "different QR codes in one picture"),
    "picture_without_code": ((422,), "no QR code was found in the picture"),
    "pin_invalid": ((400,), "a PIN has 6 to 8 digits"),
    "platform_unknown": ((400,), "platform is Android or iOS"),
    "profile_invalid": ((400,), "no profile of that name, or a seed for another than chaos"),
    "reason_unknown": ((400,), "no reason of RFC 5280"),
    "request_unknown": ((404,), "no request of that number is kept"),
    "request_invalid": ((400,), "fields that do not fit together, or out of their limits"),
    "request_not_in_inbox": ((404,), "that request has not arrived in this phone"),
    "sensor_locked": ((409,), "the sensor is locked; POST .../unlock"),
    "service_provider_exists": ((409,), "that sp_service_id has other data"),
    "service_provider_invalid": ((400,), "id, key, name or callback_url is none"),
    "service_provider_unknown": ((404,), "that sp_service_id is not registered"),
    "state_invalid": ((400,), "push, network or fingerprint_failures is none of the known"),
}

_REASONS = {
    400: "The request cannot be understood",
    403: "Refused to pages of other sites",
    404: "There is no such thing",
    409: "It does not fit what is there now",
    413: "Too large",
    415: "Another media type",
    422: "The picture shows no single code",
}


def error_answers(codes: Iterable[str]) -> dict[str, Any]:
    """Writes the error answers of an operation, by status, with the codes of each."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(codes) - {BY_PLATFORM}):
        for status in ERRORS[code][0]:
            by_status.setdefault(status, []).append(code)
    if BY_PLATFORM in codes:
        by_status.setdefault(409, []).extend(sorted(catalogue()))
    return {str(status): _answer(status, by_status[status]) for status in sorted(by_status)}


def _answer(status: int, codes: list[str]) -> dict[str, Any]:
    own = [code for code in codes if code in ERRORS]
    shown = own or ["DEV_LIM_REACHED"]
    lines = [f"- `{code}`: {ERRORS[code][1]}" for code in own]
    if len(own) < len(codes):
        lines.append("- a code of the platform, e.g. `DEV_LIM_REACHED`")
    return {
        "description": "\n".join([f"{_REASONS[status]}:", "", *lines]),
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "error": {"type": "string", "enum": codes},
                        "detail": {"type": "string", "minLength": 1},
                    },
                    "required": ["error", "detail"],
                },
                "examples": {
                    code: {"value": {"error": code, "detail": _detail(code)}} for code in shown
                },
            }
        },
    }


def _detail(code: str) -> str:
    return ERRORS[code][1] if code in ERRORS else catalogue()[code].meaning
