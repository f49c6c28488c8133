"""ATH-01 and ATH-03: every rule of moi-sp-api.md about a request for a ticket."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from moica_simulator import Clock, Device, Simulator

SIGN = {
    "sign_type": "PKCS#1",
    "sign_data": "RE9D",
    "tbs_encoding": "base64",
    "hash_algorithm": "SHA256",
}

# (what is changed in a good request, the code that answers it)
RULES: list[tuple[dict[str, Any], str]] = [
    ({}, "0"),
    ({"transaction_id": ...}, "PM_INV_NF"),
    ({"transaction_id": ""}, "PM_INV_NF"),
    ({"transaction_id": None}, "PM_INV_NF"),
    ({"transaction_id": "t" * 100}, "0"),
    ({"transaction_id": "t" * 101}, "PM_INV_NF"),
    ({"sp_service_id": "20260000000000000000"}, "SPSVCID_NF"),
    ({"sp_service_id": ""}, "PM_INV_NF"),
    ({"sp_service_id": ...}, "PM_INV_NF"),
    ({"id_num": ...}, "PM_INV_NF"),
    ({"id_num": "A12345678"}, "PM_IDN_FT_ERR"),
    ({"id_num": "a123456789"}, "PM_IDN_FT_ERR"),
    ({"id_num": "A123456788"}, "SPTKT_INS_ERR"),
    ({"id_num": "A223456781"}, "IDNUM_USERPROF_NF"),
    ({"op_code": "ATH"}, "0"),
    ({"op_code": "ATH", "sign_info": ...}, "0"),
    ({"op_code": "ATH", "sign_info": None}, "0"),
    ({"op_code": "NFCSIGN"}, "0"),
    ({"op_code": "BATSIGN"}, "TGT_INV"),
    ({"op_code": "sign"}, "TGT_INV"),
    ({"op_code": ...}, "PM_INV_NF"),
    ({"hint": ...}, "0"),
    ({"hint": ""}, "0"),
    ({"hint": "字" * 500}, "0"),
    ({"time_limit": ...}, "0"),
    ({"time_limit": None}, "0"),
    ({"time_limit": 30}, "0"),
    ({"time_limit": 600}, "0"),
    ({"time_limit": "30"}, "0"),
    ({"time_limit": "600"}, "0"),
    ({"time_limit": 29}, "SPTKT_TIME_ORV"),
    ({"time_limit": 601}, "SPTKT_TIME_ORV"),
    ({"time_limit": "29"}, "SPTKT_TIME_ORV"),
    ({"time_limit": "601"}, "SPTKT_TIME_ORV"),
    ({"time_limit": -60}, "SPTKT_TIME_ORV"),
    ({"time_limit": 10**40}, "SPTKT_TIME_ORV"),
    ({"time_limit": "soon"}, "SPTKT_TIME_FT_ERR"),
    ({"time_limit": ""}, "SPTKT_TIME_FT_ERR"),
    ({"time_limit": " 60"}, "SPTKT_TIME_FT_ERR"),
    ({"time_limit": "６０"}, "SPTKT_TIME_FT_ERR"),
    ({"time_limit": "6_0"}, "SPTKT_TIME_FT_ERR"),
    ({"time_limit": 60.5}, "SPTKT_TIME_FT_ERR"),
    ({"time_limit": True}, "SPTKT_TIME_FT_ERR"),
    ({"time_limit": [60]}, "SPTKT_TIME_FT_ERR"),
    ({"sign_info": ...}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "sign_data": ""}}, "PM_SIGNDATA_NULL"),
    ({"sign_info": {**SIGN, "sign_data": None}}, "PM_SIGNDATA_NULL"),
    ({"sign_info": {**SIGN, "sign_data": "A" * 1024}}, "0"),
    ({"sign_info": {**SIGN, "sign_data": "A" * 1028}}, "SIGNDATA_LEN_LIMIT"),
    ({"sign_info": {**SIGN, "sign_data": "字" * 1024, "tbs_encoding": "NONE"}}, "0"),
    (
        {"sign_info": {**SIGN, "sign_data": "字" * 1025, "tbs_encoding": "NONE"}},
        "SIGNDATA_LEN_LIMIT",
    ),
    ({"sign_info": {**SIGN, "sign_data": "RE9"}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "sign_data": "RE9D\n"}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "sign_data": "__--"}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "sign_data": "文件", "tbs_encoding": "NONE"}}, "0"),
    ({"sign_info": {**SIGN, "sign_type": "PKCS#7"}}, "0"),
    ({"sign_info": {**SIGN, "sign_type": "RAW"}}, "0"),
    ({"sign_info": {**SIGN, "sign_type": "RAW", "hash_algorithm": None}}, "0"),
    ({"sign_info": {**SIGN, "sign_type": "RAW", "tbs_encoding": "NONE"}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "sign_type": "PKCS#2"}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "sign_type": None}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "tbs_encoding": "none"}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "tbs_encoding": None}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "hash_algorithm": "SHA1"}}, "0"),
    ({"sign_info": {**SIGN, "hash_algorithm": "SHA384"}}, "0"),
    ({"sign_info": {**SIGN, "hash_algorithm": "SHA512"}}, "0"),
    ({"sign_info": {**SIGN, "hash_algorithm": "MD5"}}, "PM_INV_NF"),
    ({"sign_info": {**SIGN, "hash_algorithm": None}}, "PM_INV_NF"),
    ({"surprise": "field"}, "0"),
]

# Bodies whose types are wrong: nothing can be joined for a checksum, so none is needed.
WRONG_TYPES: list[dict[str, Any]] = [
    {"transaction_id": 7},
    {"sp_service_id": 20261123090000000001},
    {"id_num": ["A123456789"]},
    {"op_code": {}},
    {"hint": 1153000165},
    {"hint": "\ud800"},
    {"sign_info": "DOC"},
    {"sign_info": []},
    {"sign_info": {**SIGN, "sign_data": 5}},
]


def shown(value: object) -> str:
    return repr(value)[:60]


@pytest.mark.parametrize(("changes", "code"), RULES, ids=shown)
@pytest.mark.parametrize("method", ["requestAthOrSignPush", "getSpTicket"])
async def test_each_rule_answers_its_code(
    method: str,
    changes: dict[str, Any],
    code: str,
    system: Any,
    phone: Device,
    code_of: Callable[[dict[str, Any]], str],
) -> None:
    """A push and a QR ticket obey the same rules about what they share."""
    make = system.push_body if method == "requestAthOrSignPush" else system.ticket_body
    answer = await system.call(method, make(**changes))
    assert code_of(answer) == code
    assert ("result" in answer) == (code == "0"), "an error answer carries no result"


@pytest.mark.parametrize("changes", WRONG_TYPES, ids=shown)
async def test_a_field_of_another_type_is_malformed(
    changes: dict[str, Any], system: Any, phone: Device, code_of: Callable[[Any], str]
) -> None:
    """JSON of the wrong types is PM_INV_NF, whatever the checksum."""
    status, answer = await system.post(
        "requestAthOrSignPush", {**system.push_body(), "sp_checksum": "0" * 184, **changes}
    )
    assert (status, code_of(answer)) == (200, "PM_INV_NF")


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("I-SCAN", "0"),
        ("APP2APP", "0"),
        ("MWEB2APP", "0"),
        ("PUSH", "TGT_INV"),
        ("i-scan", "TGT_INV"),
        ("", "PM_INV_NF"),
        (..., "PM_INV_NF"),
    ],
)
async def test_the_mode_of_a_ticket_is_one_of_three(
    mode: Any, code: str, system: Any, phone: Device, code_of: Callable[[Any], str]
) -> None:
    """PUSH belongs to batches only."""
    answer = await system.call("getSpTicket", system.ticket_body(op_mode=mode))
    assert code_of(answer) == code


async def test_a_push_has_no_mode(system: Any, phone: Device) -> None:
    """An op_mode in a push is neither covered by the checksum nor looked at."""
    answer = await system.call("requestAthOrSignPush", system.push_body(op_mode="nonsense"))
    assert answer["error_code"] == "0"


@pytest.mark.parametrize(
    "changes",
    [
        {"sp_checksum": "0" * 184},
        {"sp_checksum": ""},
        {"sp_checksum": None},
        {"sp_checksum": "not hexadecimal"},
        {"hint": "altered on the way"},
        {"id_num": "B123456780"},
        {"device_user_def_desc": "another"},
    ],
    ids=shown,
)
async def test_a_wrong_checksum_is_refused(
    changes: dict[str, Any], system: Any, phone: Device, code_of: Callable[[Any], str]
) -> None:
    """Whatever is altered after sealing, the request is refused."""
    body = system.signed("requestAthOrSignPush", system.push_body())
    _, answer = await system.post("requestAthOrSignPush", {**body, **changes})
    assert code_of(answer) == "INV_SP_CHECKSUM"


async def test_the_checksum_comes_before_the_fields(
    system: Any, code_of: Callable[[Any], str]
) -> None:
    """A request that breaks every rule and has no right checksum hears of the checksum."""
    broken = system.push_body(id_num="x", op_code="y", time_limit="z", transaction_id="")
    _, answer = await system.post("requestAthOrSignPush", {**broken, "sp_checksum": "00"})
    assert code_of(answer) == "INV_SP_CHECKSUM"


async def test_the_service_id_comes_before_the_checksum(
    system: Any, code_of: Callable[[Any], str]
) -> None:
    """Without a known system there is no key to verify with."""
    body = {**system.push_body(sp_service_id="1"), "sp_checksum": "00"}
    _, answer = await system.post("requestAthOrSignPush", body)
    assert code_of(answer) == "SPSVCID_NF"


@pytest.mark.parametrize("iv", [bytes(12), b"twelve bytes"])
async def test_both_styles_of_iv_are_taken(iv: bytes, system: Any, phone: Device) -> None:
    """The specification's sample has an all-zero IV, its worked example a random one."""
    body = system.signed("requestAthOrSignPush", system.push_body(), iv)
    _, answer = await system.post("requestAthOrSignPush", body)
    assert answer["error_code"] == "0"


async def test_a_used_transaction_id_is_refused(
    system: Any, phone: Device, code_of: Callable[[Any], str]
) -> None:
    """A transaction_id makes one ticket, over both interfaces; a refused request uses none up."""
    body = system.push_body()
    refused = await system.call("requestAthOrSignPush", {**body, "time_limit": 1})
    assert code_of(refused) == "SPTKT_TIME_ORV"
    assert (await system.call("requestAthOrSignPush", body))["error_code"] == "0"
    again = await system.call("requestAthOrSignPush", body)
    assert again["error_code"] == "SP-API-ATH-03-TXNLOG_INS_ERR"
    by_qr = await system.call("getSpTicket", {**body, "op_mode": "I-SCAN"})
    assert by_qr["error_code"] == "SP-API-ATH-01-TXNLOG_INS_ERR"


async def test_a_person_without_a_bound_device_has_its_own_code(
    sim: Simulator, system: Any, phone: Device, code_of: Callable[[Any], str]
) -> None:
    """Never bound, and bound no more, are two things."""
    await sim.add_person("B123456780", "李大同")
    never = await system.call("requestAthOrSignPush", system.push_body(id_num="B123456780"))
    assert code_of(never) == "IDNUM_USERPROF_NF"
    await sim.unbind(phone.id)
    no_more = await system.call("requestAthOrSignPush", system.push_body())
    assert code_of(no_more) == "IDNUM_DEVPROF_NF"


async def test_a_push_rings_the_devices_it_names(
    sim: Simulator, system: Any, phone: Device, code_of: Callable[[Any], str]
) -> None:
    """Without a name every bound device rings, with a name that one, with a strange name none."""
    tablet = await sim.bind_device("A123456789", "平板", "iOS")
    await system.push()
    await system.push(device_user_def_desc="平板")
    await system.push(device_user_def_desc="")
    strange = await system.call(
        "requestAthOrSignPush", system.push_body(device_user_def_desc="別人的手機")
    )
    assert code_of(strange) == "DEV_DESC_MISMATCH"
    assert len(await sim.inbox(phone.id)) == 2
    assert len(await sim.inbox(tablet.id)) == 3


async def test_the_ticket_says_what_was_asked(system: Any, phone: Device, clock: Clock) -> None:
    """Fields, Taipei time of lapsing, and a checksum that covers the ticket."""
    import base64

    body, ticket_id, ticket = await system.qr(time_limit="90")
    first = ticket.split(".")[0]
    payload = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    hashed = payload.pop("hashed_id_num")
    assert payload == {
        "transaction_id": body["transaction_id"],
        "op_code": "SIGN",
        "op_mode": "I-SCAN",
        "sp_service_id": system.service_id,
        "sp_ticket_id": ticket_id,
        "sp_name": "公文線上簽核系統",
        "hint": body["hint"],
        "expiration_time": "2026-04-24 12:01:30",
        "version": "1",
    }
    assert "123456789" not in hashed


async def test_the_answers_checksum_verifies_with_a_fresh_iv(system: Any, phone: Device) -> None:
    """idp_checksum covers transaction_id, code and ticket; no two have the same IV."""
    import hashlib

    seen = set()
    for _ in range(3):
        body = system.push_body()
        answer = await system.call("requestAthOrSignPush", body)
        result = answer["result"]
        payload = body["transaction_id"] + "0" + result["sp_ticket"]
        found = system.unseal(result["idp_checksum"])
        assert found == hashlib.sha256(payload.encode()).hexdigest()
        seen.add(result["idp_checksum"][:24])
    assert len(seen) == 3
    assert "0" * 24 not in seen


@pytest.mark.parametrize(
    ("raw", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"no json", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"text"', "application/json", 400),
        (b'{"time_limit": NaN}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"time_limit": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{" + b" " * 300_000 + b"}", "application/json", 413),
    ],
)
async def test_what_is_no_request_is_answered_as_spring_boot_does(
    raw: bytes, content_type: str, status: int, system: Any, http: Any
) -> None:
    """Not an envelope: timestamp, status, error, path."""
    url = f"{system.url}/moise/sp/getSpTicket"
    async with http.post(url, data=raw, headers={"Content-Type": content_type}) as response:
        answer = await response.json()
        assert response.status == status
    assert set(answer) == {"timestamp", "status", "error", "path"}
    assert answer["status"] == status
    assert answer["path"] == "/moise/sp/getSpTicket"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/moise/sp/getSpTicket", 405), ("POST", "/moise/sp/unknown", 404)],
)
async def test_a_wrong_address_is_answered_as_spring_boot_does(
    method: str, path: str, status: int, system: Any, http: Any
) -> None:
    """Unknown paths and methods too."""
    async with http.request(method, system.url + path) as response:
        answer = await response.json()
        assert (response.status, answer["status"], answer["path"]) == (status, status, path)
