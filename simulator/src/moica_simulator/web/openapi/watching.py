"""The types of what one sees behind the platform: its tickets, and a checksum explained."""

from typing import Any, Final

from moica_simulator.platform.wire import Interface

__all__ = ["CHECKSUMS", "INTERFACES", "ORDERS", "watched"]

_Json = dict[str, Any]

INTERFACES: Final = tuple(each.value for each in Interface)
ORDERS: Final = ("oldest", "newest")
CHECKSUMS: Final = ("right", "wrong", "unchecked")

_TEXT: Final[_Json] = {"type": "string"}
_TEXT_OR_NULL: Final[_Json] = {"type": ["string", "null"]}
_TIME: Final[_Json] = {"type": "string", "format": "date-time"}


def watched(ticket_status: _Json) -> dict[str, Any]:
    """Returns the types by name.

    Args:
        ticket_status: The type of a ticket's status.
    """
    return {
        "Mistake": _shown(
            {
                "name": {**_TEXT, "description": "Stable, e.g. `json_order`"},
                "zh": _TEXT,
                "en": _TEXT,
                "sure": {"type": "boolean", "description": "Proved, and not only suspected"},
            }
        ),
        "ExplainedChecksum": _shown(
            {
                "right": {"type": "boolean"},
                "fields": {
                    "type": "array",
                    "description": "What it has to cover, in order",
                    "items": _shown({"name": _TEXT, "value": _TEXT_OR_NULL}),
                },
                "payload": _TEXT_OR_NULL,
                "payload_sha256": _TEXT_OR_NULL,
                "sent": _TEXT_OR_NULL,
                "inside": {**_TEXT_OR_NULL, "description": "What the one that was sent holds"},
                "diagnoses": {
                    "type": "array",
                    "description": "Each a set of mistakes that together explain it",
                    "items": {"type": "array", "items": _ref("Mistake")},
                },
            }
        ),
        "Explanation": _shown(
            {
                "number": {"type": "integer", "minimum": 1},
                "interface": _TEXT,
                "sp_service_id": _TEXT_OR_NULL,
                "request": {"anyOf": [_ref("ExplainedChecksum"), {"type": "null"}]},
                "answer": {"anyOf": [_ref("ExplainedChecksum"), {"type": "null"}]},
            }
        ),
        "PlatformTicket": _shown(
            {
                **dict.fromkeys(("sp_ticket_id", "transaction_id", "sp_service_id"), _TEXT),
                **dict.fromkeys(("sp_name", "op_code", "op_mode", "hint"), _TEXT),
                "person": {
                    **_shown({"name": _TEXT, "id_number": _TEXT}),
                    "description": "Masked",
                },
                "status": ticket_status,
                "error_code": _TEXT_OR_NULL,
                "created_at": _TIME,
                "expires_at": _TIME,
                "ended_at": {**_TIME, "type": ["string", "null"]},
                "device_id": _TEXT_OR_NULL,
            }
        ),
    }


def _ref(name: str) -> _Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _shown(properties: _Json) -> _Json:
    return {"type": "object", "properties": properties, "required": list(properties)}
