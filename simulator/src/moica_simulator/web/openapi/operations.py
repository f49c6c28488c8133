"""Every route of the control API: what it takes, answers and refuses. One row a route."""

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

from moica_simulator.web.openapi.errors import BY_PLATFORM, error_answers
from moica_simulator.web.openapi.schemas import TICKET_STATUS, ref
from moica_simulator.web.openapi.watching import CHECKSUMS, INTERFACES, ORDERS

__all__ = ["OPERATIONS", "Operation", "paths"]

_Json = dict[str, Any]

_PREFIX = "/sim/v1"
_DEVICE = "/devices/{device_id}"
_PERSON = "/people/{id_number}"
_ASK = f"{_DEVICE}/requests/{{sp_ticket_id}}"
_BODY_ERRORS = ("body_invalid", "http_413")
_NEW_PHONE = ("name_invalid", "platform_unknown")
_REACHED = ("device_unknown", "device_not_bound", "device_offline", BY_PLATFORM)
_PICTURE = ("too_large", "unreadable", "with_several_codes", "without_code")

_PAGING: Final[tuple[_Json, ...]] = (
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    },
    *(
        {
            "name": name,
            "in": "query",
            "description": "An earlier `next_cursor`",
            "schema": {"type": "string", "pattern": "^[0-9]{0,15}$"},
        }
        for name in ("cursor", "after")
    ),
)


def _chosen(name: str, known: Sequence[str]) -> _Json:
    return _named(name, {"type": "string", "enum": [*known]})


def _named(name: str, schema: _Json | None = None) -> _Json:
    return {"name": name, "in": "query", "schema": schema or {"type": "string"}}


_ORDER: Final = _chosen("order", ORDERS)
_SP_SERVICE_ID: Final = _named("sp_service_id")


@attrs.frozen
class Operation:
    """One route.

    Attributes:
        method: In lower case.
        path: Below `/sim/v1`.
        name: The operationId.
        summary: What it does.
        tag: Where it stands.
        body: The types of its JSON body; none if it takes none.
        answer: The type of its answer, or None for 204.
        errors: The codes that it answers besides those that every route has.
        status: Of its answer.
        again: Whether the same once more is answered with 200.
        query: Its parameters besides those of a list.
        pictures: Whether it takes PNG and JPEG as well.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    body: tuple[str, ...] = ()
    answer: str | None = None
    errors: tuple[str, ...] = ()
    status: int = 200
    again: bool = False
    query: tuple[_Json, ...] = ()
    pictures: bool = False

    def written(self) -> _Json:
        """Writes it as the document has it."""
        answers = {str(self.status): _answered(self.name, self.answer)}
        if self.again:
            answers["200"] = _answered(self.name, self.answer)
        errors = [*self.errors, "origin_refused", "http_404"]
        errors += _BODY_ERRORS if self.body else ()
        is_list = (self.answer or "").endswith("List") and self.method == "get"
        errors += ["parameter_invalid"] if is_list or self.query else []
        parameters = [*_path_parameters(self.path), *(_PAGING if is_list else ()), *self.query]
        return {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            **({"parameters": parameters} if parameters else {}),
            **({"requestBody": self._asked()} if self.body else {}),
            "responses": {**answers, **error_answers(errors)},
        }

    def _asked(self) -> _Json:
        one_of = [ref(name) for name in self.body]
        schema = one_of[0] if len(one_of) == 1 else {"oneOf": one_of}
        content: _Json = {"application/json": {"schema": schema}}
        if self.pictures:
            for media_type in ("image/png", "image/jpeg"):
                content[media_type] = {"schema": {"type": "string", "format": "binary"}}
        return {"required": self.body != ("Nothing",), "content": content}


OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        *("post", "/people", "addPerson", "Enters a person", "people"),
        body=("NewPerson",),
        answer="Person",
        errors=("id_number_invalid", "name_invalid", "pin_invalid", "person_exists"),
        status=201,
        again=True,
    ),
    Operation(*("get", "/people", "listPeople", "Lists people", "people"), answer="PersonList"),
    Operation(
        *("get", _PERSON, "getPerson", "Shows a person", "people"),
        answer="Person",
        errors=("person_unknown",),
    ),
    Operation(
        *("post", f"{_PERSON}/activation-codes", "newActivationCode"),
        *("Issues an activation code (註冊啟用碼): one phone, 30 minutes", "people"),
        body=("Nothing",),
        answer="ActivationCode",
        errors=("person_unknown",),
        status=201,
    ),
    Operation(
        *("post", f"{_PERSON}/unlock-card", "unlockCard"),
        *("Unlocks the citizen card (鎖卡解碼)", "people"),
        body=("Nothing",),
        answer="Person",
        errors=("person_unknown",),
    ),
    Operation(
        *("post", f"{_PERSON}/deregister", "deregister"),
        *("Takes the person out of the platform's users (註銷), with every phone", "people"),
        body=("Nothing",),
        answer="Person",
        errors=("person_unknown",),
    ),
    Operation(
        *("post", "/test-persons", "addTestPersons"),
        *("Makes the ready-made persons; those that are there stay", "people"),
        body=("Nothing",),
        answer="TestPersonList",
    ),
    Operation(
        *("get", "/test-persons", "listTestPersons", "What each ready-made person does", "people"),
        answer="TestPersonList",
    ),
    Operation(
        *("post", f"{_PERSON}/devices", "bindNewDevice"),
        *("Makes a phone and binds it by a code of its own", "phones"),
        body=("NewBoundDevice",),
        answer="Device",
        errors=("person_unknown", "request_invalid", *_NEW_PHONE, BY_PLATFORM),
        status=201,
    ),
    Operation(
        *("get", f"{_PERSON}/devices", "listDevicesOfPerson", "A person's phones", "phones"),
        answer="DeviceList",
        errors=("person_unknown",),
    ),
    Operation(
        *("post", "/devices", "addDevice", "Makes a phone that is not bound yet", "phones"),
        body=("NewDevice",),
        answer="Device",
        errors=_NEW_PHONE,
        status=201,
    ),
    Operation(*("get", "/devices", "listDevices", "Lists phones", "phones"), answer="DeviceList"),
    Operation(
        *("get", _DEVICE, "getDevice", "Shows a phone", "phones"),
        answer="Device",
        errors=("device_unknown",),
    ),
    Operation(
        *("post", f"{_DEVICE}/bind", "bindDevice"),
        *(
            "Binds a phone by an activation code, its picture, or a citizen card and its PIN",
            "phones",
        ),
        body=("BindByCode", "BindByNfc"),
        answer="Device",
        errors=(
            *("device_unknown", "device_bound", "request_invalid", BY_PLATFORM),
            *("card_unknown", "card_pin_wrong", "card_locked", "card_expired", "card_revoked"),
            *(f"picture_{each}" for each in _PICTURE),
        ),
        pictures=True,
    ),
    Operation(
        *("post", f"{_DEVICE}/unbind", "unbindDevice", "Unbinds a phone (取消綁定)", "phones"),
        body=("Nothing",),
        answer="Device",
        errors=("device_unknown", "device_not_bound", BY_PLATFORM),
    ),
    Operation(
        *("post", f"{_DEVICE}/unlock", "unlockDevice"),
        *("Unlocks a phone: its sensor takes fingers again", "phones"),
        body=("Nothing",),
        answer="Device",
        errors=("device_unknown",),
    ),
    Operation(
        *("post", f"{_DEVICE}/renew", "renewDevice"),
        *("Renews the certificate: a new key, the same person", "phones"),
        body=("Renewal",),
        answer="Device",
        errors=("device_unknown", "device_not_bound", "request_invalid", BY_PLATFORM),
    ),
    Operation(
        *("put", f"{_DEVICE}/state", "setState", "Sets what a phone can do now", "phones"),
        body=("NewState",),
        answer="Device",
        errors=("device_unknown", "state_invalid"),
    ),
    Operation(
        *("put", f"{_DEVICE}/behaviour", "setBehaviour"),
        *("Sets what the holder does with requests from now on", "phones"),
        body=("NewBehaviour",),
        answer="Behaviour",
        errors=("device_unknown", "behaviour_invalid"),
    ),
    Operation(
        *("get", f"{_DEVICE}/inbox", "getInbox", "What has arrived in a phone", "phones"),
        answer="TicketList",
        errors=("device_unknown",),
        query=({"name": "status", "in": "query", "schema": TICKET_STATUS},),
    ),
    Operation(
        *("post", f"{_DEVICE}/scan", "scan", "Scans a QR code (掃碼驗證)", "phones"),
        body=("Scan",),
        answer="Ticket",
        errors=(*_REACHED, *(f"picture_{each}" for each in _PICTURE)),
        pictures=True,
    ),
    Operation(
        *("post", f"{_DEVICE}/links", "openLink", "Opens an app link (APP-API-01)", "phones"),
        body=("Link",),
        answer="OpenedLink",
        errors=(*_REACHED, "link_invalid"),
    ),
    Operation(
        *("post", f"{_ASK}/confirm", "confirm", "Presses 「確認」", "phones"),
        body=("Nothing",),
        answer="Ticket",
        errors=(
            *_REACHED,
            *("request_not_in_inbox", "fingerprint_failed", "sensor_locked", "card_locked"),
        ),
    ),
    Operation(
        *("post", f"{_ASK}/refuse", "refuse", "Presses 「取消」", "phones"),
        body=("Nothing",),
        answer="Ticket",
        errors=(*_REACHED, "request_not_in_inbox"),
    ),
    Operation(
        *("post", "/service-providers", "addServiceProvider"),
        *("Registers a relying system (需用機關)", "platform"),
        body=("NewServiceProvider",),
        answer="ServiceProvider",
        errors=("service_provider_invalid", "service_provider_exists"),
        status=201,
        again=True,
    ),
    Operation(
        *("get", "/service-providers", "listServiceProviders"),
        *("Lists relying systems, without their keys", "platform"),
        answer="ServiceProviderList",
    ),
    Operation(
        *("put", "/service-providers/{sp_service_id}/callback-url", "setCallbackUrl"),
        *("Sets where the callback of WEB-01 is posted", "platform"),
        body=("CallbackUrl",),
        answer="ServiceProvider",
        errors=("service_provider_unknown", "service_provider_invalid"),
    ),
    Operation(
        *("get", "/error-checksums", "getErrorChecksums"),
        *("Whether error answers carry an idp_checksum", "platform"),
        answer="ErrorChecksums",
    ),
    Operation(
        *("put", "/error-checksums", "setErrorChecksums"),
        *("Sets whether error answers carry an idp_checksum", "platform"),
        body=("ErrorChecksums",),
        answer="ErrorChecksums",
    ),
    Operation(
        *("get", "/profile", "getProfile", "Which profile is on", "platform"),
        answer="Profile",
    ),
    Operation(
        *("put", "/profile", "setProfile"),
        *("Sets how the platform as a whole behaves", "platform"),
        body=("NewProfile",),
        answer="Profile",
        errors=("profile_invalid",),
    ),
    Operation(
        *("post", "/faults", "addFault", "Sets a fault, of exactly one kind", "platform"),
        body=("NewFault",),
        answer="Fault",
        errors=("fault_invalid",),
        status=201,
    ),
    Operation(
        *("get", "/faults", "listFaults", "Faults, and how often each was applied", "platform"),
        answer="FaultList",
    ),
    Operation(*("delete", "/faults", "clearFaults", "Removes all faults", "platform"), status=204),
    Operation(
        *("delete", "/faults/{fault_id}", "removeFault", "Removes a fault", "platform"),
        errors=("fault_unknown",),
        status=204,
    ),
    Operation(
        *("get", "/requests", "listRequests"),
        *("What relying systems asked, and were answered", "platform"),
        answer="RecordedRequestList",
        query=(
            *(_chosen("interface", INTERFACES), _ORDER, _chosen("checksum", CHECKSUMS)),
            *(_SP_SERVICE_ID, _named("id_number"), _named("sp_ticket_id")),
            {
                **_named("since", {"type": "string", "format": "date-time"}),
                "description": "Arrived at this moment of the simulated clock, or later",
            },
        ),
    ),
    Operation(
        *("get", "/requests/{number}/explanation", "explainRequest"),
        *("What both checksums have to cover, and why one is wrong", "platform"),
        answer="Explanation",
        errors=("request_unknown",),
    ),
    Operation(
        *("get", "/tickets", "listTickets", "The platform's tickets", "platform"),
        answer="PlatformTicketList",
        query=(_chosen("status", TICKET_STATUS["enum"]), _ORDER, _SP_SERVICE_ID),
    ),
    Operation(*("get", "/clock", "getClock", "The simulated time", "platform"), answer="Clock"),
    Operation(
        *("post", "/clock", "moveClock", "Moves the simulated time", "platform"),
        body=("ClockChange",),
        answer="Clock",
        errors=("clock_invalid",),
    ),
    Operation(
        *("get", "/certificates", "listCertificates", "Every certificate issued", "certificates"),
        answer="CertificateList",
    ),
    Operation(
        *("post", "/certificates/{serial}/revoke", "revoke"),
        *("Revokes a certificate; serial in hexadecimal", "certificates"),
        body=("Revocation",),
        answer="Certificate",
        errors=("certificate_unknown", "reason_unknown"),
    ),
    Operation(
        *("post", "/certificates/{serial}/suspend", "suspend"),
        *("Suspends a certificate (停用)", "certificates"),
        body=("Nothing",),
        answer="Certificate",
        errors=("certificate_unknown",),
    ),
    Operation(
        *("post", "/certificates/{serial}/resume", "resume"),
        *("Ends a suspension (復用)", "certificates"),
        body=("Nothing",),
        answer="Certificate",
        errors=("certificate_unknown", "certificate_revoked"),
    ),
    Operation(*("get", "/openapi.json", "openapi", "This document", "platform"), answer="Document"),
)


def paths() -> _Json:
    """Writes every route."""
    written: _Json = {}
    for each in OPERATIONS:
        written.setdefault(f"{_PREFIX}{each.path}", {})[each.method] = each.written()
    return written


_ID = "$response.body#/id"
_LINKS: Final[dict[str, _Json]] = {
    name: {
        operation: {"operationId": operation, "parameters": {parameter: value}}
        for operation in operations
    }
    for name, parameter, value, operations in (
        (
            *("addPerson", "id_number", "$response.body#/id_number"),
            ("getPerson", "newActivationCode", "bindNewDevice", "listDevicesOfPerson"),
        ),
        ("addDevice", "device_id", _ID, ("getDevice", "bindDevice", "setState", "unlockDevice")),
        (
            *("bindNewDevice", "device_id", _ID),
            ("getInbox", "setBehaviour", "renewDevice", "openLink", "unbindDevice"),
        ),
        ("addFault", "fault_id", _ID, ("removeFault",)),
    )
}


def _answered(operation: str, answer: str | None) -> _Json:
    if answer is None:
        return {"description": "Done"}
    links = _LINKS.get(operation)
    return {
        "description": "Done",
        "content": {"application/json": {"schema": ref(answer)}},
        **({"links": links} if links else {}),
    }


def _path_parameters(path: str) -> list[_Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]
