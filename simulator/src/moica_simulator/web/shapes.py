"""The JSON shapes of the control API: how each record is shown. README.md documents them."""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from cryptography import x509

from moica_simulator.device import Device
from moica_simulator.faults import Fault
from moica_simulator.history import RecordedRequest
from moica_simulator.phone.app import OpenedLink
from moica_simulator.platform.confirmation import TicketView
from moica_simulator.profiles import ActiveProfile
from moica_simulator.records import (
    ActivationCode,
    Behaviour,
    Confirmed,
    Failed,
    IssuedCertificate,
    Person,
    Refused,
    ServiceProvider,
    Ticket,
    Undecided,
)
from moica_simulator.testpersons import TestPerson

__all__ = [
    "activation_code",
    "behaviour",
    "certificate",
    "device",
    "fault",
    "listing",
    "opened_link",
    "person",
    "platform_ticket",
    "profile",
    "recorded_request",
    "rfc3339",
    "service_provider",
    "slice_of",
    "test_person",
    "ticket",
]

T = TypeVar("T")


def rfc3339(moment: datetime) -> str:
    """Writes a moment in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def listing(items: list[dict[str, Any]], next_cursor: str | None) -> dict[str, Any]:
    """Writes a list."""
    return {"items": items, "next_cursor": next_cursor}


def slice_of(
    items: Sequence[T], show: Callable[[T], dict[str, Any]], after: int, limit: int
) -> dict[str, Any]:
    """Writes a part of a list that is in memory; its cursors are positions."""
    part = items[after : after + limit]
    more = after + limit < len(items)
    return listing([show(each) for each in part], str(after + limit) if more else None)


def person(value: Person, *, card_locked: bool) -> dict[str, Any]:
    """Writes a person, with the state of the citizen card."""
    return {
        "id_number": value.id_number,
        "name": value.name,
        "card_number": value.card_number,
        "card": "locked" if card_locked else "ok",
    }


def test_person(value: TestPerson) -> dict[str, Any]:
    """Writes what a ready-made person does."""
    return {"id_number": value.id_number, "name": value.name, "outcome": value.outcome}


def activation_code(value: ActivationCode) -> dict[str, Any]:
    """Writes an activation code."""
    return {
        "code": value.code,
        "id_number": value.id_number,
        "expires_at": rfc3339(value.expires_at),
        "picture": f"/activation-codes/{value.code}.png",
    }


def behaviour(value: Behaviour) -> dict[str, Any]:
    """Writes what a holder does."""
    return {"on_request": value.on_request.value, "delay_s": value.delay_s}


def device(value: Device) -> dict[str, Any]:
    """Writes a phone, with its certificate if it is bound, and the path of its page."""
    shown: dict[str, Any] | None = None
    if value.certificate is not None:
        parsed = x509.load_der_x509_certificate(value.certificate)
        shown = {
            "serial": f"{parsed.serial_number:x}",
            "not_before": rfc3339(parsed.not_valid_before_utc),
            "not_after": rfc3339(parsed.not_valid_after_utc),
            "der_base64": base64.b64encode(value.certificate).decode(),
        }
    return {
        "id": value.id,
        "name": value.name,
        "platform": value.platform,
        "bound": value.bound,
        "id_number": value.id_number,
        "behaviour": behaviour(value.behaviour),
        "state": {
            "push": "works" if value.push_registered else "unregistered",
            "network": "on" if value.online else "airplane",
            "fingerprint_failures": value.fingerprint_failures,
            "sensor": "locked" if value.sensor_locked else "ok",
        },
        "certificate": shown,
        "page": f"/phone/{value.id}",
    }


def ticket(value: TicketView) -> dict[str, Any]:
    """Writes a request as it stands in a phone's inbox."""
    return {
        "sp_ticket_id": value.sp_ticket_id,
        "sp_name": value.sp_name,
        "hint": value.hint,
        "op_code": value.op_code,
        "status": value.status.value,
        "expires_at": rfc3339(value.expires_at),
    }


def platform_ticket(value: Ticket, now: datetime, sp_name: str, name: str) -> dict[str, Any]:
    """Writes a ticket as the platform keeps it, with its person masked."""
    outcome = value.outcome
    return {
        "sp_ticket_id": value.sp_ticket_id,
        "transaction_id": value.transaction_id,
        "sp_service_id": value.sp_service_id,
        "sp_name": sp_name,
        "op_code": value.op_code,
        "op_mode": value.op_mode,
        "hint": value.hint,
        "person": {
            "name": name and f"{name[0]}○{name[2:]}",
            "id_number": f"{value.id_number[:4]}****{value.id_number[8:]}",
        },
        "status": value.status_at(now).value,
        "error_code": outcome.code if isinstance(outcome, Failed) else None,
        "created_at": rfc3339(value.created_at),
        "expires_at": rfc3339(value.expires_at),
        "ended_at": None if isinstance(outcome, Undecided) else rfc3339(outcome.at),
        "device_id": outcome.device_id if isinstance(outcome, Confirmed | Refused) else None,
    }


def opened_link(value: OpenedLink) -> dict[str, Any]:
    """Writes what an app link brought: the request, and where to go back to."""
    return {**ticket(value.request), "return_url": value.return_url}


def service_provider(value: ServiceProvider) -> dict[str, Any]:
    """Writes a relying system; its key is not shown."""
    return {
        "sp_service_id": value.sp_service_id,
        "name": value.name,
        "callback_url": value.callback_url,
    }


def fault(value: Fault) -> dict[str, Any]:
    """Writes a fault, with how often it was applied."""
    return {
        "id": value.fault_id,
        "interface": value.interface.value,
        "code": value.code,
        "http_status": value.http_status,
        "latency_s": value.latency_s,
        "drop": value.drop.value if value.drop else None,
        "tamper": value.tamper.value if value.tamper else None,
        "reseal": value.reseal,
        "alter": value.alter.value if value.alter else None,
        "line": value.line.value if value.line else None,
        "clock_skew_s": value.clock_skew_s,
        "ticket_skew_s": value.ticket_skew_s,
        "id_number": value.id_number,
        "sp_service_id": value.sp_service_id,
        "device_id": value.device_id,
        "rate": value.rate,
        "times": value.times,
        "applied": value.applied,
    }


def profile(value: ActiveProfile) -> dict[str, Any]:
    """Writes which profile is on."""
    return {"name": value.name.value, "seed": value.seed}


def recorded_request(value: RecordedRequest) -> dict[str, Any]:
    """Writes an entry of the history."""
    return {
        "number": value.number,
        "at": rfc3339(value.at),
        "interface": value.interface,
        "body": value.body,
        "payload": value.payload,
        "payload_sha256": value.payload_sha256,
        "checksum_verified": value.checksum_verified,
        "early": value.early,
        "http_status": value.http_status,
        "answer": value.answer,
        "faults": list(value.faults),
        "harms": list(value.harms),
        "sp_service_id": value.sp_service_id,
        "id_number": value.id_number,
        "sp_ticket_id": value.sp_ticket_id,
    }


def certificate(value: IssuedCertificate) -> dict[str, Any]:
    """Writes a certificate of the CA's books."""
    parsed = x509.load_der_x509_certificate(value.der)
    return {
        "serial": value.serial,
        "device_id": value.device_id,
        "id_number": value.id_number,
        "not_before": rfc3339(parsed.not_valid_before_utc),
        "not_after": rfc3339(parsed.not_valid_after_utc),
        "status": "revoked" if value.revoked_at else "good",
        "revoked_at": rfc3339(value.revoked_at) if value.revoked_at else None,
        "reason": value.reason,
    }
