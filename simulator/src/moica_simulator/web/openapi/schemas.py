"""The JSON types of the control API, with their limits.

Bodies that are asked for refuse unknown fields; answers always have every field. A field that may
be left out may also be null.
"""

from typing import Any, Final

from cryptography import x509

from moica_simulator.alterations import Alteration
from moica_simulator.ca.profile import Usage
from moica_simulator.faults import Drop, Line, Tamper
from moica_simulator.platform.wire import Interface
from moica_simulator.profiles import Profile
from moica_simulator.records import OnRequest, TicketStatus
from moica_simulator.web.openapi.watching import watched

__all__ = ["TICKET_STATUS", "ref", "schemas"]

_Json = dict[str, Any]

_TEXT: Final[_Json] = {"type": "string"}
_TEXT_OR_NULL: Final[_Json] = {"type": ["string", "null"]}
_NUMBER: Final[_Json] = {"type": "number"}
_FLAG: Final[_Json] = {"type": "boolean"}
_TIME: Final[_Json] = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Final[_Json] = {"type": ["string", "null"], "format": "date-time"}

TICKET_STATUS: Final[_Json] = {"type": "string", "enum": [each.value for each in TicketStatus]}
_INTERFACE: Final[_Json] = {"type": "string", "enum": [each.value for each in Interface]}
_ID_NUMBER: Final[_Json] = {"type": "string", "examples": ["A123456789"]}
_DEVICE_NAME: Final[_Json] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 50,
    "pattern": r"\S",
    "examples": ["我的手機"],
    "description": "Printable characters",
}
_OS: Final[_Json] = {"type": ["string", "null"], "enum": ["Android", "iOS", None]}


def ref(name: str) -> _Json:
    """Refers to a type."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Any]:
    """Writes every type by its name."""
    asked = {
        "Nothing": _asked({}),
        "NewPerson": _asked(
            {
                "id_number": _ID_NUMBER,
                "name": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"\S"},
                "pin": {
                    "type": ["string", "null"],
                    "pattern": "^[0-9]{6,8}$",
                    "description": "Of the citizen card from now on; 123456 if never given",
                },
            },
            "id_number",
            "name",
            example={"id_number": "A123456789", "name": "王小明"},
        ),
        "NewDevice": _asked(
            {"name": _DEVICE_NAME, "platform": _OS}, "name", example={"name": "我的手機"}
        ),
        "NewBoundDevice": _asked(
            {"name": _DEVICE_NAME, "platform": _OS, "certificate": _or_null("CertificateShape")},
            "name",
            example={"name": "我的手機", "platform": "iOS"},
        ),
        "CertificateShape": _certificate_shape(),
        "BindByCode": _asked(
            {
                "by": {"type": ["string", "null"], "enum": ["activation_code", None]},
                "activation_code": _TEXT,
            },
            "activation_code",
            example={"activation_code": "12345678"},
        ),
        "BindByNfc": _asked(
            {
                "by": {"type": "string", "const": "nfc"},
                "card_number": {**_TEXT, "description": "`card_number` of the person"},
                "pin": {**_TEXT, "description": "The card's; 123456 unless set"},
            },
            "by",
            "card_number",
            "pin",
            example={"by": "nfc", "card_number": "1234567890123456", "pin": "123456"},
        ),
        "NewState": _asked(
            {
                "push": {"type": ["string", "null"], "enum": ["works", "unregistered", None]},
                "network": {"type": ["string", "null"], "enum": ["on", "airplane", None]},
                "fingerprint_failures": {
                    "type": ["integer", "null"],
                    "minimum": 0,
                    "maximum": 100,
                },
            },
            example={"push": "unregistered", "fingerprint_failures": 2},
        ),
        "Renewal": _asked({"certificate": _or_null("CertificateShape")}, example={}),
        "NewBehaviour": _asked(
            {
                "on_request": {"type": "string", "enum": [each.value for each in OnRequest]},
                "delay_s": {"type": ["number", "null"], "minimum": 0, "maximum": 86_400},
            },
            "on_request",
            example={"on_request": "confirm", "delay_s": 2},
        ),
        "Scan": _asked(
            {"payload": {**_TEXT, "description": "The text in the QR code: the `sp_ticket`"}},
            "payload",
        ),
        "Link": _asked(
            {"url": _TEXT},
            "url",
            example={"url": "mobilemoica://moica.moi.gov.tw/a2a/verifySign?sp_ticket=..."},
        ),
        "NewServiceProvider": _asked(
            {
                "sp_service_id": {
                    "type": "string",
                    "pattern": "^[!-~]{1,64}$",
                    "examples": ["20261123090000000001"],
                },
                "aes_key": {**_TEXT, "description": "Base64 of 32 bytes; never shown again"},
                "name": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"\S"},
                "callback_url": _CALLBACK_URL,
            },
            "sp_service_id",
            "aes_key",
            "name",
            example={
                "sp_service_id": "20261123090000000001",
                "aes_key": "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw=",
                "name": "公文線上簽核系統",
            },
        ),
        "CallbackUrl": _asked(
            {"callback_url": _CALLBACK_URL},
            example={"callback_url": "http://127.0.0.1:8080/callback"},
        ),
        "ErrorChecksums": _asked({"carried": _FLAG}, "carried", example={"carried": True}),
        "NewProfile": _asked(
            {
                "name": _PROFILE,
                "seed": {
                    "type": ["integer", "null"],
                    "description": "Of `chaos`, and of no other; without it one is drawn",
                },
            },
            "name",
            example={"name": "chaos", "seed": 7},
        ),
        "NewFault": _asked(
            _fault_fields(), "interface", example={"interface": "SP-API-ATH-02", "http_status": 503}
        ),
        "ClockChange": {
            **_asked(
                {
                    "advance_s": {"type": ["number", "null"], "minimum": 0},
                    "set_to": {**_TIME_OR_NULL, "description": "Also an earlier moment, from 1970"},
                    "freeze": {
                        "type": ["boolean", "null"],
                        "description": "true: time stands; false: it runs on from where it stands",
                    },
                    "reset": {"type": ["boolean", "null"], "enum": [True, None]},
                },
                example={"advance_s": 60},
            ),
            "description": "Exactly one of the members",
        },
        "Revocation": _asked(
            {
                "reason": {
                    "type": ["string", "null"],
                    "enum": [*(each.value for each in x509.ReasonFlags), None],
                },
                "forget_device": {"type": ["boolean", "null"]},
            },
            example={"reason": "keyCompromise"},
        ),
    }
    return {**asked, **_answers()}


_CALLBACK_URL: Final[_Json] = {
    "type": ["string", "null"],
    "description": "http:// or https://, where the callback of WEB-01 is posted; null for none",
}


def _certificate_shape() -> _Json:
    return {
        **_asked(
            {
                "valid_from": {**_TIME_OR_NULL, "description": "Instead of now"},
                "valid_for_s": {
                    "type": ["number", "null"],
                    "minimum": 1,
                    "maximum": 20 * 365 * 86_400,
                },
                "last_four": {"type": ["string", "null"], "minLength": 4, "maxLength": 4},
                "policy": {"type": ["boolean", "null"]},
                "usage": {
                    "type": ["string", "null"],
                    "enum": [*(each.value for each in Usage), None],
                },
            }
        ),
        "description": "How the certificate differs from the rule",
    }


_PROFILE: Final[_Json] = {"type": "string", "enum": [each.value for each in Profile]}
_SKEW: Final[_Json] = {
    "type": ["number", "null"],
    "minimum": -366 * 86_400,
    "maximum": 366 * 86_400,
    "not": {"const": 0},
}


def _fault_fields() -> _Json:
    def one_of(values: Any) -> _Json:
        return {"type": ["string", "null"], "enum": [*(each.value for each in values), None]}

    return {
        "interface": _INTERFACE,
        "code": {
            "type": ["string", "integer", "null"],
            "description": "Answered instead, prefixed if it is a known one",
        },
        "http_status": {"type": ["integer", "null"], "minimum": 400, "maximum": 599},
        "latency_s": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 3600},
        "drop": {
            "type": ["boolean", "string", "null"],
            "enum": [True, False, *(each.value for each in Drop), None],
        },
        "tamper": one_of(Tamper),
        "reseal": {"type": ["boolean", "null"], "default": True},
        "alter": one_of(Alteration),
        "line": one_of(Line),
        "clock_skew_s": {**_SKEW, "description": "Answered by a clock so far ahead"},
        "ticket_skew_s": {**_SKEW, "description": "`expiration_time` later than it is kept"},
        "id_number": {**_TEXT_OR_NULL, "description": "About this person only"},
        "sp_service_id": {**_TEXT_OR_NULL, "description": "Of this system only"},
        "device_id": {**_TEXT_OR_NULL, "description": "Asked or decided by this phone only"},
        "rate": {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "maximum": 1,
            "description": "How likely each fitting answer is altered, drawn from the seed",
        },
        "times": {
            "type": ["integer", "null"],
            "minimum": 1,
            "default": 1,
            "description": "How many answers are altered; null is always",
        },
    }


def _answers() -> dict[str, Any]:
    ticket = {
        "sp_ticket_id": _TEXT,
        "sp_name": _TEXT,
        "hint": _TEXT,
        "op_code": _TEXT,
        "status": TICKET_STATUS,
        "expires_at": _TIME,
    }
    answers = {
        "Person": _shown(
            {
                "id_number": _TEXT,
                "name": _TEXT,
                "card_number": {"type": "string", "pattern": "^[0-9]{16}$"},
                "card": {"type": "string", "enum": ["ok", "locked"]},
            }
        ),
        "ActivationCode": _shown(
            {
                "code": _TEXT,
                "id_number": _TEXT,
                "expires_at": _TIME,
                "picture": {**_TEXT, "description": "The path of its QR code, a PNG picture"},
            }
        ),
        "TestPerson": _shown({"id_number": _TEXT, "name": _TEXT, "outcome": _TEXT}),
        "Behaviour": _shown(
            {
                "on_request": {"type": "string", "enum": [each.value for each in OnRequest]},
                "delay_s": _NUMBER,
            }
        ),
        "State": _shown(
            {
                "push": {"type": "string", "enum": ["works", "unregistered"]},
                "network": {"type": "string", "enum": ["on", "airplane"]},
                "fingerprint_failures": {"type": "integer", "minimum": 0},
                "sensor": {"type": "string", "enum": ["ok", "locked"]},
            }
        ),
        "DeviceCertificate": _shown(
            {"serial": _TEXT, "not_before": _TIME, "not_after": _TIME, "der_base64": _TEXT}
        ),
        "Device": _shown(
            {
                "id": _TEXT,
                "name": _TEXT,
                "platform": {"type": "string", "enum": ["Android", "iOS"]},
                "bound": _FLAG,
                "id_number": _TEXT_OR_NULL,
                "behaviour": ref("Behaviour"),
                "state": ref("State"),
                "certificate": _or_null("DeviceCertificate"),
                "page": {**_TEXT, "description": "The path of the phone's page"},
            }
        ),
        "Ticket": _shown(ticket),
        "OpenedLink": _shown({**ticket, "return_url": _TEXT_OR_NULL}),
        "ServiceProvider": _shown(
            {"sp_service_id": _TEXT, "name": _TEXT, "callback_url": _TEXT_OR_NULL}
        ),
        "Fault": _shown(
            {"id": _TEXT, **_fault_fields(), "applied": {"type": "integer", "minimum": 0}}
        ),
        "Profile": _shown({"name": _PROFILE, "seed": {"type": ["integer", "null"]}}),
        "RecordedRequest": _shown(
            {
                "number": {"type": "integer", "minimum": 1},
                "at": _TIME,
                "interface": _TEXT,
                "body": {"description": "As it came"},
                "payload": {**_TEXT_OR_NULL, "description": "What `sp_checksum` has to cover"},
                "payload_sha256": _TEXT_OR_NULL,
                "checksum_verified": {"type": ["boolean", "null"]},
                "early": {**_FLAG, "description": "Polled again within 4 s"},
                "http_status": {"type": ["integer", "null"]},
                "answer": {"description": "As it was answered"},
                "faults": {"type": "array", "items": _TEXT},
                "harms": {
                    "type": "array",
                    "description": "What those faults did, e.g. `line=reset`",
                    "items": _TEXT,
                },
                "sp_service_id": _TEXT_OR_NULL,
                "id_number": {**_TEXT_OR_NULL, "description": "About whom"},
                "sp_ticket_id": _TEXT_OR_NULL,
            }
        ),
        "Clock": _shown({"now": _TIME, "advanced_s": _NUMBER, "frozen": _FLAG}),
        "Certificate": _shown(
            {
                "serial": _TEXT,
                "device_id": _TEXT,
                "id_number": _TEXT,
                "not_before": _TIME,
                "not_after": _TIME,
                "status": {"type": "string", "enum": ["good", "revoked"]},
                "revoked_at": _TIME_OR_NULL,
                "reason": _TEXT_OR_NULL,
            }
        ),
    }
    answers |= watched(TICKET_STATUS)
    answers["Document"] = {"type": "object", "required": ["openapi", "paths"]}
    listed = ("Person", "TestPerson", "Device", "Ticket", "ServiceProvider", "Fault")
    lists = {
        f"{name}List": _shown(
            {"items": {"type": "array", "items": ref(name)}, "next_cursor": _TEXT_OR_NULL}
        )
        for name in (*listed, "RecordedRequest", "PlatformTicket", "Certificate")
    }
    return {**answers, **lists}


def _asked(properties: _Json, *required: str, example: _Json | None = None) -> _Json:
    schema: _Json = {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
    return schema if example is None else {**schema, "examples": [example]}


def _shown(properties: _Json) -> _Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _or_null(name: str) -> _Json:
    return {"anyOf": [ref(name), {"type": "null"}]}
