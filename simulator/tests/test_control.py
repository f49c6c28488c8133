"""The control API: shapes, statuses, and errors that say what to do."""

import json
import re
from typing import Any

import pytest

from moica_simulator import Clock, Device, Simulator

UTC_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Control:
    """Calls the control API."""

    def __init__(self, url: str, http: Any) -> None:
        self._url, self._http = url, http

    async def __call__(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        url = f"{self._url}/sim/v1{path}"
        async with self._http.request(method, url, json=body, headers=headers) as response:
            return response.status, None if response.status == 204 else await response.json()


@pytest.fixture
def control(sim: Simulator, http: Any) -> Control:
    return Control(sim.url, http)


async def test_a_person_is_made_once(control: Control) -> None:
    """201, then 200 for the same, 409 for another name."""
    wang = {"id_number": "A123456789", "name": "王小明"}
    status, made = await control("POST", "/people", wang)
    assert status == 201
    assert set(made) == {"id_number", "name", "card_number", "card"}
    assert await control("POST", "/people", wang) == (200, made)
    status, refused = await control("POST", "/people", {**wang, "name": "王大明"})
    assert (status, refused["error"]) == (409, "person_exists")
    assert await control("GET", "/people/A123456789") == (200, made)
    assert await control("GET", "/people") == (200, {"items": [made], "next_cursor": None})


async def test_a_service_provider_is_made_once(control: Control) -> None:
    """201, 200 for the same key in another spelling, 409 for other data; the key is never shown."""
    key = "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw="
    given = {"sp_service_id": "20261123090000000001", "aes_key": key, "name": "公文系統"}
    status, made = await control("POST", "/service-providers", given)
    assert status == 201
    assert made == {
        "sp_service_id": "20261123090000000001",
        "name": "公文系統",
        "callback_url": None,
    }
    again = {**given, "aes_key": key.rstrip("=")}
    assert await control("POST", "/service-providers", again) == (200, made)
    status, refused = await control("POST", SP, {**given, "name": "別的"})
    assert (status, refused["error"]) == (409, "service_provider_exists")
    _, listed = await control("GET", "/service-providers")
    assert listed["items"] == [made]
    assert key not in json.dumps(listed)


async def test_a_device_is_bound_by_shortcut_and_by_steps(control: Control) -> None:
    """Both end with the same shape."""
    await control("POST", "/people", {"id_number": "A123456789", "name": "王小明"})
    status, short = await control(
        "POST", "/people/A123456789/devices", {"name": "我的手機", "platform": "iOS"}
    )
    assert status == 201
    status, code = await control("POST", "/people/A123456789/activation-codes")
    assert status == 201
    assert set(code) == {"code", "id_number", "expires_at", "picture"}
    status, fresh = await control("POST", "/devices", {"name": "平板"})
    assert (status, fresh["bound"], fresh["certificate"]) == (201, False, None)
    status, bound = await control(
        "POST", f"/devices/{fresh['id']}/bind", {"activation_code": code["code"]}
    )
    assert status == 200
    assert set(bound) == set(short)
    assert set(bound["certificate"]) == {"serial", "not_before", "not_after", "der_base64"}
    assert UTC_TEXT.fullmatch(bound["certificate"]["not_after"])
    assert (short["name"], short["platform"], short["bound"]) == ("我的手機", "iOS", True)
    assert (bound["platform"], bound["id_number"]) == ("Android", "A123456789")
    assert bound["page"] == f"/phone/{fresh['id']}"
    assert bound["behaviour"] == {"on_request": "manual", "delay_s": 0.0}
    _, mine = await control("GET", "/people/A123456789/devices")
    assert {each["id"] for each in mine["items"]} == {short["id"], bound["id"]}
    _, everybodys = await control("GET", "/devices")
    assert len(everybodys["items"]) == 2
    assert await control("GET", f"/devices/{bound['id']}") == (200, bound)
    status, loose = await control("POST", f"/devices/{bound['id']}/unbind")
    assert (status, loose["bound"], loose["id_number"]) == (200, False, None)


async def test_a_request_is_decided_over_the_control_api(
    control: Control, system: Any, phone: Device
) -> None:
    """Inbox, confirm, refuse, and what happens the second time."""
    body, ticket_id = await system.push()
    status, inbox = await control("GET", f"/devices/{phone.id}/inbox")
    assert status == 200
    (item,) = inbox["items"]
    assert item == {
        "sp_ticket_id": ticket_id,
        "sp_name": "公文線上簽核系統",
        "hint": "公文文號：1153000165",
        "op_code": "SIGN",
        "status": "pending",
        "expires_at": "2026-04-24T04:01:00.000Z",
    }
    ask = f"/devices/{phone.id}/requests/{ticket_id}"
    assert await control("POST", f"{ask}/confirm") == (200, {**item, "status": "confirmed"})
    status, refused = await control("POST", f"{ask}/confirm", {})
    assert (status, refused["error"]) == (409, "SPTKTID_SPTKT_RDM")
    assert "1103" in refused["detail"]
    assert await system.result_code(body, ticket_id) == "0"
    _, other_id = await system.push()
    status, shown = await control("POST", f"/devices/{phone.id}/requests/{other_id}/refuse")
    assert (status, shown["status"]) == (200, "refused")
    _, pending = await control("GET", f"/devices/{phone.id}/inbox?status=pending")
    assert pending["items"] == []


async def test_a_qr_code_is_scanned_over_the_control_api(
    control: Control, system: Any, phone: Device, other_phone: Device
) -> None:
    """The request comes back; a stranger's scan is 409 with the platform's code."""
    _, ticket_id, ticket = await system.qr()
    status, item = await control("POST", f"/devices/{phone.id}/scan", {"payload": ticket})
    assert (status, item["sp_ticket_id"], item["status"]) == (200, ticket_id, "pending")
    status, refused = await control("POST", f"/devices/{other_phone.id}/scan", {"payload": ticket})
    assert (status, refused["error"]) == (409, "DEVID_SPTKT_MISMATCH")
    status, refused = await control("POST", f"/devices/{phone.id}/scan", {"payload": "x"})
    assert (status, refused["error"]) == (409, "SPTKT_PLD_FT_ERR")


async def test_a_behaviour_is_set(control: Control, system: Any, phone: Device) -> None:
    """And acts; advancing the clock answers when what fell due is done."""
    wanted = {"on_request": "refuse", "delay_s": 5}
    assert await control("PUT", f"/devices/{phone.id}/behaviour", wanted) == (200, wanted)
    body, ticket_id = await system.push()
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    status, clock = await control("POST", "/clock", {"advance_s": 5})
    assert (status, clock) == (
        200,
        {"now": "2026-04-24T04:00:05.000Z", "advanced_s": 5.0, "frozen": True},
    )
    assert await system.result_code(body, ticket_id) == "APP_USER_CANCEL"


async def test_the_clock_is_shown_and_reset(control: Control, clock: Clock) -> None:
    """GET shows it, reset goes back."""
    await control("POST", "/clock", {"advance_s": 86_400})
    assert (await control("GET", "/clock"))[1]["now"] == "2026-04-25T04:00:00.000Z"
    assert (await control("POST", "/clock", {"reset": True}))[1]["advanced_s"] == 0
    assert clock.advanced.total_seconds() == 0


async def test_faults_are_listed_and_removed(control: Control) -> None:
    """201 with the whole shape; DELETE of one, of all, of an unknown one."""
    given = {"interface": "SP-API-ATH-02", "code": "DB_CONN_ERR", "times": None}
    status, fault = await control("POST", "/faults", given)
    assert status == 201
    assert fault == {
        "id": fault["id"],
        "interface": "SP-API-ATH-02",
        "code": "DB_CONN_ERR",
        "http_status": None,
        "latency_s": None,
        "drop": None,
        "tamper": None,
        "reseal": True,
        "alter": None,
        "line": None,
        "clock_skew_s": None,
        "ticket_skew_s": None,
        "sp_service_id": None,
        "device_id": None,
        "rate": None,
        "id_number": None,
        "times": None,
        "applied": 0,
    }
    _, other = await control("POST", "/faults", {"interface": "SP-API-ATH-01", "drop": True})
    assert (other["drop"], other["times"]) == ("answer", 1)
    assert (await control("GET", "/faults"))[1]["items"] == [fault, other]
    assert await control("DELETE", f"/faults/{fault['id']}") == (204, None)
    status, refused = await control("DELETE", f"/faults/{fault['id']}")
    assert (status, refused["error"]) == (404, "fault_unknown")
    assert await control("DELETE", "/faults") == (204, None)
    assert (await control("GET", "/faults"))[1]["items"] == []


async def test_the_history_shows_why_a_checksum_failed(
    control: Control, system: Any, phone: Device
) -> None:
    """Payload, its hash, the verdict, and the answer; filtered and paged."""
    body = {**system.push_body(), "sp_checksum": "00"}
    await system.post("requestAthOrSignPush", body)
    good, ticket_id = await system.push()
    await system.result(good, ticket_id)
    _, page = await control("GET", "/requests?limit=2")
    first, second = page["items"]
    assert first["number"] == 1
    assert first["interface"] == "SP-API-ATH-03"
    assert first["body"] == body
    assert first["payload"].startswith(body["transaction_id"] + system.service_id + "A123456789")
    assert re.fullmatch("[0-9a-f]{64}", first["payload_sha256"])
    assert first["checksum_verified"] is False
    assert first["answer"]["error_code"] == "SP-API-ATH-03-INV_SP_CHECKSUM"
    assert first["http_status"] == 200
    assert UTC_TEXT.fullmatch(first["at"])
    assert second["checksum_verified"] is True
    _, rest = await control("GET", f"/requests?after={page['next_cursor']}")
    assert [each["interface"] for each in rest["items"]] == ["SP-API-ATH-02"]
    assert rest["next_cursor"] is None
    _, pushes = await control("GET", "/requests?interface=SP-API-ATH-03")
    assert [each["number"] for each in pushes["items"]] == [1, 2]


async def test_a_certificate_is_revoked(control: Control, phone: Device) -> None:
    """By its serial in hex, in either case; the list shows it."""
    _, listed = await control("GET", "/certificates")
    (certificate,) = listed["items"]
    assert certificate["status"] == "good"
    assert certificate["serial"] == phone.certificate_serial
    path = f"/certificates/{certificate['serial'].upper()}/revoke"
    status, revoked = await control("POST", path, {"reason": "keyCompromise"})
    assert status == 200
    assert (revoked["status"], revoked["reason"]) == ("revoked", "keyCompromise")
    assert await control("POST", path, {"reason": "superseded"}) == (200, revoked)


async def test_lists_are_paged(control: Control) -> None:
    """Each page says where the next begins; the last says none; an empty cursor is the start."""
    for number in range(5):
        await control("POST", "/devices", {"name": f"手機 {number}"})
    names: list[str] = []
    cursor = ""
    for _ in range(3):
        _, page = await control("GET", f"/devices?limit=2&cursor={cursor}")
        names += [each["name"] for each in page["items"]]
        cursor = page["next_cursor"]
    assert names == [f"手機 {number}" for number in range(5)]
    assert cursor is None


SP = "/service-providers"
PUT_BEHAVIOUR = "/devices/none/behaviour"
PROVIDER = {"sp_service_id": "1", "aes_key": "A" * 43, "name": "公文系統"}

ERRORS: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/people", {"id_number": "A123456788", "name": "王"}, 400, "id_number_invalid"),
    ("POST", "/people", {"id_number": "A123456789", "name": ""}, 400, "name_invalid"),
    ("POST", "/people", {"id_number": "A123456789", "name": "a\nb"}, 400, "name_invalid"),
    ("POST", "/people", {"id_number": "A123456789", "name": "長" * 65}, 400, "name_invalid"),
    ("POST", "/people", {"id_number": "A123456789"}, 400, "body_invalid"),
    ("POST", "/people", {"id_number": 1, "name": "王"}, 400, "body_invalid"),
    ("POST", "/people", {"id_number": "A123456789", "nmae": "王"}, 400, "body_invalid"),
    ("POST", "/people", ["A123456789"], 400, "body_invalid"),
    ("GET", "/people/A123456789", None, 404, "person_unknown"),
    ("GET", "/people/A123456789/devices", None, 404, "person_unknown"),
    ("POST", "/people/A123456789/devices", {"name": "手機"}, 404, "person_unknown"),
    ("POST", "/people/A123456789/activation-codes", None, 404, "person_unknown"),
    ("POST", "/devices", {"name": "手機", "platform": "Windows"}, 400, "platform_unknown"),
    ("POST", "/devices", {"name": " "}, 400, "name_invalid"),
    ("GET", "/devices/none", None, 404, "device_unknown"),
    ("GET", "/devices/none/inbox", None, 404, "device_unknown"),
    ("POST", "/devices/none/bind", {"activation_code": "1"}, 404, "device_unknown"),
    ("POST", "/devices/none/bind", {"activation_code": "\ud800"}, 400, "body_invalid"),
    ("GET", "/devices/%FF/inbox", None, 404, "device_unknown"),
    ("GET", "/people/%ED%A0%80", None, 404, "person_unknown"),
    ("POST", "/devices/none/scan", {"payload": "x"}, 404, "device_unknown"),
    ("POST", "/devices/none/requests/x/confirm", None, 404, "device_unknown"),
    ("PUT", PUT_BEHAVIOUR, {"on_request": "confirm"}, 404, "device_unknown"),
    ("PUT", PUT_BEHAVIOUR, {"on_request": "shrug"}, 400, "behaviour_invalid"),
    ("PUT", PUT_BEHAVIOUR, {"on_request": "confirm", "delay_s": "5"}, 400, "body_invalid"),
    ("POST", SP, {**PROVIDER, "aes_key": "AA"}, 400, "service_provider_invalid"),
    ("POST", SP, {**PROVIDER, "sp_service_id": "a b"}, 400, "service_provider_invalid"),
    ("POST", "/faults", {"interface": "SP-API-ATH-02"}, 400, "fault_invalid"),
    ("POST", "/faults", {"interface": "nothing", "code": "X"}, 400, "fault_invalid"),
    ("POST", "/faults", {"interface": "SP-API-ATH-02", "code": True}, 400, "fault_invalid"),
    ("POST", "/faults", {"interface": "SP-API-ATH-02", "drop": 1}, 400, "fault_invalid"),
    (
        "POST",
        "/faults",
        {"interface": "SP-API-ATH-02", "times": 1.5, "code": "X"},
        400,
        "body_invalid",
    ),
    ("POST", "/clock", {}, 400, "clock_invalid"),
    ("POST", "/clock", {"advance_s": 1, "freeze": True}, 400, "clock_invalid"),
    ("POST", "/clock", {"reset": False}, 400, "clock_invalid"),
    ("POST", "/clock", {"set_to": "2026-04-24T12:00:00"}, 400, "clock_invalid"),
    ("POST", "/clock", {"set_to": "noon"}, 400, "clock_invalid"),
    ("POST", "/clock", {"set_to": "9999-01-01T00:00:00Z"}, 400, "clock_invalid"),
    ("POST", "/clock", {"advance_s": -1}, 400, "clock_invalid"),
    ("POST", "/clock", {"advance_s": 1e300}, 400, "clock_invalid"),
    ("POST", "/certificates/abc/revoke", {}, 404, "certificate_unknown"),
    ("GET", "/devices?limit=0", None, 400, "parameter_invalid"),
    ("GET", "/devices?limit=9999", None, 400, "parameter_invalid"),
    ("GET", "/devices?cursor=abc", None, 400, "parameter_invalid"),
    ("GET", "/requests?after=-1", None, 400, "parameter_invalid"),
    ("GET", "/requests?cursor=1&after=x", None, 400, "parameter_invalid"),
    ("GET", "/nothing", None, 404, "http_404"),
    ("DELETE", "/people", None, 405, "http_405"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "error"), ERRORS, ids=str)
async def test_a_wrong_call_says_what_to_do(
    method: str, path: str, body: Any, status: int, error: str, control: Control
) -> None:
    """`error` and `detail`, never the ID number that was sent."""
    found, answer = await control(method, path, body)
    assert (found, answer["error"]) == (status, error)
    assert set(answer) == {"error", "detail"}
    assert answer["detail"]
    assert "A123456788" not in answer["detail"]


@pytest.mark.parametrize(
    ("raw", "content_type", "status"),
    [(b"no json", "application/json", 400), (b"{}", "text/plain", 415)],
)
async def test_a_body_that_is_no_json_is_refused(
    raw: bytes, content_type: str, status: int, sim: Simulator, http: Any
) -> None:
    """Also a form's, which a page of another site could send."""
    headers = {"Content-Type": content_type}
    async with http.post(f"{sim.url}/sim/v1/people", data=raw, headers=headers) as response:
        assert response.status == status
        assert (await response.json())["error"] == "body_invalid"


async def test_pages_of_other_sites_are_refused(
    control: Control, sim: Simulator, phone: Device
) -> None:
    """A browser says where a request comes from; programs say nothing and are let in."""
    path = f"/devices/{phone.id}/unbind"
    status, refused = await control("POST", path, None, Origin="https://evil.example")
    assert (status, refused["error"]) == (403, "origin_refused")
    status, refused = await control("POST", path, None, Origin="null")
    assert status == 403
    assert sim.device(phone.id).bound
    status, _ = await control("POST", path, None, Origin=sim.url)
    assert status == 200


async def test_health_is_told(sim: Simulator, http: Any) -> None:
    """And says what this is."""
    async with http.get(f"{sim.url}/healthz") as response:
        assert await response.json() == {"status": "ok"}
    async with http.get(f"{sim.url}/readyz") as response:
        answer = await response.json()
        assert answer["status"] == "ready"
        assert answer["warning"] == "NOT FOR PRODUCTION"
        assert response.headers["X-Simulator"].startswith("NOT FOR PRODUCTION")
