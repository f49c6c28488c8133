"""Faults: each kind, for whom, and counted by answers really altered."""

import base64
import hashlib
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moica_simulator import Device, Simulator, SimulatorError

ATH_02 = "SP-API-ATH-02"


async def confirmed(sim: Simulator, system: Any, phone: Device) -> tuple[dict[str, Any], str]:
    """Makes a confirmed ticket."""
    body, ticket_id = await system.push()
    await sim.confirm(phone.id, ticket_id)
    return body, ticket_id


@pytest.mark.parametrize(
    ("code", "wire"),
    [
        ("DB_CONN_ERR", "SP-API-ATH-02-DB_CONN_ERR"),
        ("20002", "20002"),
        (20003, 20003),
        ("SPTKT_OVD: explained", "SPTKT_OVD: explained"),
        ("SP-API-ATH-02-SPTKT_OVD", "SP-API-ATH-02-SPTKT_OVD"),
        ("NEVER_SEEN", "NEVER_SEEN"),
    ],
)
async def test_a_code_is_answered_instead(
    code: Any, wire: Any, sim: Simulator, system: Any, phone: Device
) -> None:
    """A known code is prefixed, anything else goes out as it is; the next answer is right."""
    body, ticket_id = await confirmed(sim, system, phone)
    await sim.add_fault(ATH_02, code=code)
    answer = await system.result(body, ticket_id)
    assert answer["error_code"] == wire
    assert "result" not in answer
    assert await system.result_code(body, ticket_id) == "0"


async def test_a_fault_of_another_interface_alters_nothing(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """Neither the push nor the status; it waits for its own."""
    await sim.add_fault(ATH_02, code="DB_CONN_ERR")
    body, ticket_id = await confirmed(sim, system, phone)
    assert await system.result_code(body, ticket_id) == "DB_CONN_ERR"


async def test_a_code_at_the_start_makes_no_ticket(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """The request is not acted on, and its transaction_id is not used up."""
    await sim.add_fault("SP-API-ATH-03", code="PS_FCM_NOT_FOUND")
    body = system.push_body()
    answer = await system.call("requestAthOrSignPush", body)
    assert answer["error_code"] == "SP-API-ATH-03-PS_FCM_NOT_FOUND"
    assert await sim.inbox(phone.id) == []
    assert (await system.call("requestAthOrSignPush", body))["error_code"] == "0"


@pytest.mark.parametrize("status", [400, 429, 500, 502, 503, 504, 599])
async def test_a_status_is_answered_instead(
    status: int, sim: Simulator, system: Any, phone: Device
) -> None:
    """In Spring Boot's shape, and not acted on."""
    await sim.add_fault("SP-API-ATH-03", http_status=status)
    body = system.signed("requestAthOrSignPush", system.push_body())
    found, answer = await system.post("requestAthOrSignPush", body)
    assert (found, answer["status"]) == (status, status)
    assert await sim.inbox(phone.id) == []


@pytest.mark.parametrize(("drop", "rings"), [(True, 1), ("answer", 1), ("request", 0)])
async def test_an_answer_is_dropped(
    drop: Any, rings: int, sim: Simulator, system: Any, phone: Device
) -> None:
    """The connection closes; by default the request was acted on and the phone has rung."""
    await sim.add_fault("SP-API-ATH-03", drop=drop)
    body = system.signed("requestAthOrSignPush", system.push_body())
    with pytest.raises(aiohttp.ClientError):
        await system.post("requestAthOrSignPush", body)
    assert len(await sim.inbox(phone.id)) == rings
    (entry,) = sim.requests
    assert (entry.http_status, entry.answer, len(entry.faults)) == (None, None, 1)


async def test_an_answer_comes_late(sim: Simulator, system: Any, phone: Device) -> None:
    """A client that waits less gives up; the request was acted on at once."""
    await sim.add_fault("SP-API-ATH-03", latency_s=3600)
    body = system.signed("requestAthOrSignPush", system.push_body())
    timeout = aiohttp.ClientTimeout(total=0.2)
    async with aiohttp.ClientSession(timeout=timeout) as impatient:
        url = f"{sim.url}/moise/sp/requestAthOrSignPush"
        with pytest.raises(TimeoutError):
            await impatient.post(url, json=body)
    assert len(await sim.inbox(phone.id)) == 1


async def test_a_short_latency_still_answers(sim: Simulator, system: Any, phone: Device) -> None:
    """Late, and right."""
    await sim.add_fault("SP-API-ATH-03", latency_s=0.01)
    await system.push()
    assert [fault.applied for fault in sim.faults.all()] == [1]


@pytest.mark.parametrize("reseal", [True, False])
@pytest.mark.parametrize("part", ["hashed_id_num", "signed_response", "cert", "idp_checksum"])
async def test_a_part_of_a_result_is_wrong(
    part: str, reseal: bool, sim: Simulator, system: Any, phone: Device
) -> None:
    """Exactly that part; its checksum is made anew, or left as it was."""
    body, ticket_id = await confirmed(sim, system, phone)
    right = (await system.result(body, ticket_id))["result"]
    await sim.add_fault(ATH_02, tamper=part, reseal=reseal)
    wrong = (await system.result(body, ticket_id))["result"]
    changed = {name for name in right if right[name] != wrong[name]}
    assert changed == {part, "idp_checksum"}  # the checksum has another IV each time

    def checksum_is_right(result: dict[str, str]) -> bool:
        payload = f"{body['transaction_id']}0{result['hashed_id_num']}{result['signed_response']}"
        expected = hashlib.sha256(payload.encode()).hexdigest()
        try:
            return bool(system.unseal(result["idp_checksum"]) == expected)
        except Exception:  # noqa: BLE001 - an altered tag: whatever the library raises
            return False

    covered = part in ("hashed_id_num", "signed_response")
    assert checksum_is_right(wrong) == (part != "idp_checksum" and (reseal or not covered))
    assert (await system.result(body, ticket_id))["result"]["cert"] == right["cert"]


async def test_a_wrong_signature_parses_and_does_not_verify(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """It is base64 of the right length."""
    body, ticket_id = await confirmed(sim, system, phone)
    await sim.add_fault(ATH_02, tamper="signed_response")
    result = (await system.result(body, ticket_id))["result"]
    certificate = x509.load_der_x509_certificate(base64.b64decode(result["cert"]))
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    signature = base64.b64decode(result["signed_response"])
    assert len(signature) == 256
    with pytest.raises(InvalidSignature):
        key.verify(signature, b"DOC_DIGEST_1234567890", padding.PKCS1v15(), hashes.SHA256())


async def test_a_wrong_certificate_parses_and_was_not_issued(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """Same subject and key, and a signature that is not the CA's."""
    body, ticket_id = await confirmed(sim, system, phone)
    await sim.add_fault(ATH_02, tamper="cert")
    result = (await system.result(body, ticket_id))["result"]
    certificate = x509.load_der_x509_certificate(base64.b64decode(result["cert"]))
    with pytest.raises(InvalidSignature):
        certificate.verify_directly_issued_by(sim.ca.authority.intermediate)


async def test_a_ticket_is_wrong(sim: Simulator, system: Any, phone: Device) -> None:
    """Its digest does not match, for push and QR."""
    for interface, method, body in (
        ("SP-API-ATH-03", "requestAthOrSignPush", system.push_body()),
        ("SP-API-ATH-01", "getSpTicket", system.ticket_body()),
    ):
        await sim.add_fault(interface, tamper="sp_ticket")
        answer = await system.call(method, body)
        first, digest = answer["result"]["sp_ticket"].split(".")
        right = hashlib.sha256(first.encode()).digest()
        assert base64.urlsafe_b64encode(right).decode().rstrip("=") != digest


async def test_only_altered_answers_are_counted(sim: Simulator, system: Any, phone: Device) -> None:
    """A fault on the signature waits until there is one; then it is used up by two."""
    fault = await sim.add_fault(ATH_02, tamper="signed_response", times=2)
    body, ticket_id = await system.push()
    for _ in range(3):
        assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    assert sim.faults.all()[0].applied == 0
    await sim.confirm(phone.id, ticket_id)
    seen = [(await system.result(body, ticket_id))["result"]["signed_response"] for _ in range(3)]
    assert seen[0] == seen[1] != seen[2]
    assert sim.faults.all()[0].applied == 2
    altered = [each.faults for each in sim.requests if each.faults]
    assert altered == [(fault.fault_id,)] * 2


async def test_a_fault_can_be_for_ever_and_is_removed(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """`times=None` until it is taken away."""
    body, ticket_id = await confirmed(sim, system, phone)
    fault = await sim.add_fault(ATH_02, code="DB_CONN_ERR", times=None)
    for _ in range(5):
        assert await system.result_code(body, ticket_id) == "DB_CONN_ERR"
    sim.faults.remove(fault.fault_id)
    assert await system.result_code(body, ticket_id) == "0"


async def test_a_fault_is_for_one_person(
    sim: Simulator, system: Any, phone: Device, other_phone: Device
) -> None:
    """At the start by id_num, at a poll by whose ticket it is."""
    await sim.add_fault("SP-API-ATH-03", code="DB_CONN_ERR", id_number="B123456780")
    await sim.add_fault(ATH_02, code="DB_SQL_EXP", id_number="A123456789", times=None)
    mine, mine_id = await system.push()
    refused = await system.call("requestAthOrSignPush", system.push_body(id_num="B123456780"))
    assert refused["error_code"] == "SP-API-ATH-03-DB_CONN_ERR"
    others, others_id = await system.push(id_num="B123456780")
    assert await system.result_code(mine, mine_id) == "DB_SQL_EXP"
    assert await system.result_code(others, others_id) == "SPTKTID_TXNLOG_NF"


async def test_faults_are_applied_in_their_order(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """The oldest first, one an answer; a latency comes on top."""
    body, ticket_id = await confirmed(sim, system, phone)
    await sim.add_fault(ATH_02, code="DB_CONN_ERR")
    await sim.add_fault(ATH_02, latency_s=0.01)
    await sim.add_fault(ATH_02, code="DB_SQL_EXP")
    codes = [await system.result_code(body, ticket_id) for _ in range(3)]
    assert codes == ["DB_CONN_ERR", "DB_SQL_EXP", "0"]
    assert [len(each.faults) for each in sim.requests[-3:]] == [2, 1, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"code": "DB_CONN_ERR", "http_status": 500},
        {"code": "0"},
        {"code": 0},
        {"code": ""},
        {"http_status": 200},
        {"http_status": 600},
        {"latency_s": 0},
        {"latency_s": float("inf")},
        {"latency_s": 3601},
        {"drop": "sometimes"},
        {"tamper": "everything"},
        {"tamper": "sp_ticket"},
        {"code": "DB_CONN_ERR", "times": 0},
        {"code": "DB_CONN_ERR", "interface": "SP-API-ATH-05"},
    ],
    ids=str,
)
async def test_an_impossible_fault_is_refused(wrong: dict[str, Any], sim: Simulator) -> None:
    """None or several harms, values out of range, parts that the interface has not."""
    given = {"interface": ATH_02, **wrong}
    with pytest.raises(SimulatorError) as caught:
        await sim.add_fault(given.pop("interface"), **given)
    assert caught.value.code == "fault_invalid"
    assert sim.faults.all() == []
