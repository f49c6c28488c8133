"""Every field rule of the relying system's interfaces, as one table: what is sent, what comes."""

import base64
import hashlib
import os
import uuid
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm

from moica_simulator import Clock, Device, Simulator

WANG = "A123456789"
SIGN = {
    "sign_type": "PKCS#1",
    "sign_data": "QQ==",
    "tbs_encoding": "base64",
    "hash_algorithm": "SHA256",
}
SET = {name: value for name, value in SIGN.items() if name != "sign_data"} | {
    "sign_data_set": ["QQ=="]
}
METHODS = ("getSpTicket", "requestAthOrSignPush", "doBatchSigning", "checkDeviceStatus")
TICKETS = METHODS[:3]
OK = "0"

COMMON: list[tuple[str, dict[str, Any]]] = [
    (OK, {}),
    (OK, {"transaction_id": "t" * 100}),
    ("PM_INV_NF", {"transaction_id": "t" * 101}),
    ("PM_INV_NF", {"transaction_id": ""}),
    ("PM_INV_NF", {"transaction_id": ...}),
    ("SPSVCID_NF", {"sp_service_id": "1"}),
    ("PM_INV_NF", {"sp_service_id": ...}),
    ("PM_INV_NF", {"id_num": ...}),
    ("PM_IDN_FT_ERR", {"id_num": "A12345678"}),
    ("PM_IDN_FT_ERR", {"id_num": "a123456789"}),
    ("SPTKT_INS_ERR", {"id_num": "A123456788"}),
]
TICKET: list[tuple[str, dict[str, Any]]] = [
    ("TGT_INV", {"op_code": "VOTE"}),
    ("PM_INV_NF", {"op_code": ...}),
    (OK, {"hint": ...}),
    (OK, {"time_limit": ...}),
    (OK, {"time_limit": 30}),
    (OK, {"time_limit": "600"}),
    ("SPTKT_TIME_ORV", {"time_limit": 29}),
    ("SPTKT_TIME_ORV", {"time_limit": "601"}),
    ("SPTKT_TIME_ORV", {"time_limit": 0}),
    ("SPTKT_TIME_FT_ERR", {"time_limit": "soon"}),
    ("SPTKT_TIME_FT_ERR", {"time_limit": ""}),
    ("SPTKT_TIME_FT_ERR", {"time_limit": 60.5}),
    ("SPTKT_TIME_FT_ERR", {"time_limit": True}),
    ("SPTKT_TIME_FT_ERR", {"time_limit": "٦٠"}),
    ("IDNUM_USERPROF_NF", {"id_num": "B123456780"}),
    ("PM_INV_NF", {"sign_info": ...}),
    ("PM_INV_NF", {"info": {"sign_type": "PKCS#11"}}),
    ("PM_INV_NF", {"info": {"sign_type": ...}}),
    ("PM_INV_NF", {"info": {"hash_algorithm": "MD5"}}),
    ("PM_INV_NF", {"info": {"tbs_encoding": "hex"}}),
    (OK, {"info": {"sign_type": "RAW", "hash_algorithm": ...}}),
]
SINGLE: list[tuple[str, dict[str, Any]]] = [
    (OK, {"op_code": "ATH", "sign_info": ...}),
    (OK, {"op_code": "NFCSIGN"}),
    ("TGT_INV", {"op_code": "BATSIGN"}),
    (OK, {"info": {"sign_data": "QUFB" * 256}}),
    ("SIGNDATA_LEN_LIMIT", {"info": {"sign_data": "QUFB" * 256 + "QQ=="}}),
    # Characters as sent: 1024 of three bytes each are taken.
    (OK, {"info": {"sign_data": "文" * 1024, "tbs_encoding": "NONE"}}),
    ("SIGNDATA_LEN_LIMIT", {"info": {"sign_data": "文" * 1025, "tbs_encoding": "NONE"}}),
    ("PM_SIGNDATA_NULL", {"info": {"sign_data": ""}}),
    ("PM_SIGNDATA_NULL", {"info": {"sign_data": ...}}),
    ("PM_INV_NF", {"info": {"sign_data": "Q!=="}}),
    ("PM_INV_NF", {"info": {"sign_type": "RAW", "tbs_encoding": "NONE"}}),
]
BATCH: list[tuple[str, dict[str, Any]]] = [
    ("TGT_INV", {"op_code": "SIGN"}),
    *((OK, {"op_mode": mode}) for mode in ("PUSH", "I-SCAN", "APP2APP", "MWEB2APP")),
    ("TGT_INV", {"op_mode": "FAX"}),
    (OK, {"info": {"sign_data_set": ["QUFB" * 256] * 20}}),
    ("BATSIGN_CNT_LIMIT", {"info": {"sign_data_set": ["QQ=="] * 21}}),
    ("SIGNDATA_LEN_LIMIT", {"info": {"sign_data_set": ["QQ==", "QUFB" * 257]}}),
    ("PM_SIGNDATA_NULL", {"info": {"sign_data_set": []}}),
    ("PM_INV_NF", {"info": {"tbs_encoding": "NONE"}}),
]
QR: list[tuple[str, dict[str, Any]]] = [
    *((OK, {"op_mode": mode}) for mode in ("I-SCAN", "APP2APP", "MWEB2APP")),
    ("TGT_INV", {"op_mode": "PUSH"}),
    ("PM_INV_NF", {"op_mode": ...}),
]
PUSH: list[tuple[str, dict[str, Any]]] = [
    (OK, {"device_user_def_desc": "我的手機"}),
    (OK, {"device_user_def_desc": ""}),
    ("DEV_DESC_MISMATCH", {"device_user_def_desc": "別的手機"}),
    (OK, {"op_mode": "FAX"}),
]
RULES = {
    "getSpTicket": COMMON + TICKET + SINGLE + QR,
    "requestAthOrSignPush": COMMON + TICKET + SINGLE + PUSH,
    "doBatchSigning": COMMON + TICKET + BATCH,
    "checkDeviceStatus": COMMON,
}


def body_of(system: Any, method: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Makes a right body and changes it; `info` changes `sign_info`, `...` leaves out."""
    changes = dict(changes)
    batch = method == "doBatchSigning"
    info = {**(SET if batch else SIGN), **changes.pop("info", {})}
    body: dict[str, Any] = {
        "transaction_id": str(uuid.uuid4()),
        "sp_service_id": system.service_id,
        "id_num": WANG,
    }
    if method in TICKETS:
        body |= {"op_code": "BATSIGN" if batch else "SIGN", "hint": "公文", "time_limit": 60}
        body["sign_info"] = {name: value for name, value in info.items() if value is not ...}
    if method in ("getSpTicket", "doBatchSigning"):
        body["op_mode"] = "I-SCAN"
    return {name: value for name, value in {**body, **changes}.items() if value is not ...}


@pytest.mark.parametrize("method", METHODS)
async def test_each_field_rule_has_its_code(
    method: str, system: Any, phone: Device, code_of: Any
) -> None:
    """All rules of a method are tried in one simulator; every wrong answer is listed."""
    wrong = []
    for code, changes in RULES[method]:
        answer = code_of(await system.call(method, body_of(system, method, changes)))
        if answer != code:
            wrong.append((changes, code, answer))
    assert wrong == []


@pytest.mark.parametrize("method", METHODS)
async def test_numbers_where_text_belongs_are_refused(
    method: str, system: Any, phone: Device, code_of: Any
) -> None:
    """A JSON number, list or object in a text field is PM_INV_NF, before any checksum."""
    right = system.signed(method, body_of(system, method, {}))
    for name in right:
        for value in (1, ["x"], {"x": 1}):
            if (name, value) in (("sign_info", {"x": 1}), ("time_limit", 1)):
                continue
            _, answer = await system.post(method, {**right, name: value})
            late = "SPTKT_TIME_FT_ERR" if name == "time_limit" else "PM_INV_NF"
            assert code_of(answer) == late, (name, value)


@pytest.mark.parametrize("method", METHODS)
async def test_both_ways_of_an_iv_are_taken_and_a_wrong_checksum_never(
    method: str, system: Any, phone: Device, code_of: Any
) -> None:
    """All-zero and random IVs; altered, cut, missing, upper-case-hashed, of another key: no."""
    for iv in (bytes(12), os.urandom(12)):
        body = system.signed(method, body_of(system, method, {}), iv)
        assert code_of((await system.post(method, body))[1]) == "0"
    body = system.signed(method, body_of(system, method, {}))
    seal = body["sp_checksum"]
    other = type(system)(system.url, None, os.urandom(32)).seal("x")
    for bad in (seal[:-1] + ("0" if seal[-1] != "0" else "1"), seal[:-2], "", None, other):
        _, answer = await system.post(method, {**body, "sp_checksum": bad})
        assert code_of(answer) == "INV_SP_CHECKSUM"
    assert code_of((await system.post(method, body))[1]) == "0"


@pytest.mark.parametrize("method", TICKETS)
async def test_a_transaction_id_counts_once_for_each_system(
    method: str, sim: Simulator, system: Any, phone: Device, code_of: Any
) -> None:
    """Used twice is TXNLOG_INS_ERR, also by another method; a refused request uses up nothing."""
    body = body_of(system, method, {})
    refused = {**body, "id_num": "B123456780"}
    assert code_of(await system.call(method, refused)) == "IDNUM_USERPROF_NF"
    assert code_of(await system.call(method, body)) == "0"
    for each in TICKETS:
        again = body_of(system, each, {"transaction_id": body["transaction_id"]})
        assert code_of(await system.call(each, again)) == "TXNLOG_INS_ERR"
    second = type(system)(system.url, system._session, bytes(range(1, 33)))
    second.service_id = "2"
    await sim.add_service_provider("2", second.key_base64, "另一個系統")
    assert code_of(await second.call(method, {**body, "sp_service_id": "2"})) == "0"


@pytest.mark.parametrize("style", ["padded", "bare", "url-safe", "url-safe bare"])
async def test_an_aes_key_is_read_in_every_spelling(
    style: str, sim: Simulator, system: Any, phone: Device, code_of: Any
) -> None:
    """Standard or URL-safe, padded or not: one key, whose system sees none but its tickets."""
    key = bytes([0xFB, 0xFF, 0xFE]) * 10 + b"ab"
    encode = base64.urlsafe_b64encode if "url" in style else base64.b64encode
    text = encode(key).decode()
    await sim.add_service_provider("9", text.rstrip("=") if "bare" in style else text, "第二")
    second = type(system)(system.url, system._session, key)
    second.service_id = "9"
    body, ticket_id = await second.push()
    assert await second.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    assert await system.result_code(body, ticket_id) == "SPTKTID_SPTKT_NF"
    _, answer = await system.post(
        "requestAthOrSignPush",
        second.signed(
            "requestAthOrSignPush", {**second.push_body(), "sp_service_id": system.service_id}
        ),
    )
    assert code_of(answer) == "INV_SP_CHECKSUM"


async def test_a_confirmed_ticket_answers_alike_for_good_and_a_lapsed_one_never(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """After its time the result stays; what nobody confirmed is SPTKT_OVD at its last second."""
    body, ticket_id = await system.push(time_limit="30")
    await sim.confirm(phone.id, ticket_id)
    first = (await system.result(body, ticket_id))["result"]
    left, left_id = await system.push(time_limit=30)
    clock.advance(29)
    assert await system.result_code(left, left_id) == "SPTKTID_TXNLOG_NF"
    clock.advance(1)
    assert await system.result_code(left, left_id) == "SPTKT_OVD"
    clock.advance(86_400)
    again = (await system.result(body, ticket_id))["result"]
    assert first.pop("idp_checksum") != again.pop("idp_checksum")  # a random IV each time
    assert first == again


HASHES: dict[str, HashAlgorithm] = {
    "SHA1": SHA1(),  # noqa: S303 - the protocol offers it
    "SHA256": SHA256(),
    "SHA384": SHA384(),
    "SHA512": SHA512(),
}
PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


@pytest.mark.parametrize("encoding", ["NONE", "base64"])
@pytest.mark.parametrize("kind", ["PKCS#1", "PKCS#7", "RAW"])
async def test_what_is_signed_by_type_hash_and_encoding(
    kind: str, encoding: str, sim: Simulator, system: Any, phone: Device, openssl: Any, code_of: Any
) -> None:
    """Decoded bytes or UTF-8 text, under every hash; RAW covers the DigestInfo that was given."""
    message = PREFIX + hashlib.sha256(b"x").digest() if kind == "RAW" else "公文".encode()
    data = base64.b64encode(message).decode() if encoding == "base64" else "公文"
    for name, algorithm in HASHES.items():
        info = {"sign_type": kind, "sign_data": data, "tbs_encoding": encoding}
        body = system.push_body(sign_info={**info, "hash_algorithm": name})
        answer = await system.call("requestAthOrSignPush", body)
        if (kind, encoding) == ("RAW", "NONE"):
            assert code_of(answer) == "PM_INV_NF"
            continue
        request = await sim.wait_for_request(phone.id)
        await sim.confirm(phone.id, request.sp_ticket_id)
        result = (await system.result(body, request.sp_ticket_id))["result"]
        raw = base64.b64decode(result["signed_response"])
        key = x509.load_der_x509_certificate(base64.b64decode(result["cert"])).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        if kind == "PKCS#1":
            key.verify(raw, message, padding.PKCS1v15(), algorithm)
        elif kind == "RAW":
            digest = hashlib.sha256(b"x").digest()
            key.verify(raw, digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))
        else:
            status, said = await openssl(
                "cms -verify -binary -inform DER -in cms -CAfile anchors -purpose any -out out "
                f"-attime {int(sim.clock.now().timestamp())}",
                cms=raw,
                anchors=sim.anchors_pem.encode(),
            )
            assert status == 0, said
            assert message in raw
