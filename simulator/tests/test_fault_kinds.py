"""What the line does to answers, what is done to sealed envelopes, and whom a fault is for."""

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest

from moica_simulator import Device, KeyPool, Simulator, SimulatorError
from moica_simulator.alterations import Alteration

PUSH = "SP-API-ATH-03"
RESULT = "SP-API-ATH-02"


async def ask(system: Any, **options: Any) -> aiohttp.ClientResponse:
    """A push, as bytes come."""
    body = system.signed("requestAthOrSignPush", system.push_body())
    return await system._session.post(
        f"{system.url}/moise/sp/requestAthOrSignPush", json=body, **options
    )


def is_envelope(raw: bytes) -> bool:
    """Whether a client can read it."""
    try:
        return isinstance(json.loads(raw), dict)
    except ValueError:
        return False


async def confirmed(sim: Simulator, phone: Device, system: Any) -> tuple[Any, str]:
    """A ticket whose result can be fetched."""
    body, ticket_id = await system.push()
    await sim.confirm(phone.id, ticket_id)
    return body, ticket_id


@pytest.mark.parametrize(
    ("line", "content_type", "begins"),
    [
        ("empty", "application/json", b""),
        ("html", "text/html", b"<!doctype html>"),
        ("not_an_object", "application/json", b"[0]"),
        ("not_text", "application/json", b'{"error_\xff"'),
        ("truncated", "application/json", b'{"error_code": "0"'),
    ],
)
async def test_an_answer_is_replaced_on_the_line_once_the_platform_has_acted(
    sim: Simulator, phone: Device, system: Any, line: str, content_type: str, begins: bytes
) -> None:
    """The phone has rung; what is heard of it is no answer. The next one is."""
    await sim.add_fault(PUSH, line=line)
    async with await ask(system) as reply:
        raw = await reply.read()
    assert (reply.content_type, raw[: len(begins)]) == (content_type, begins)
    assert not is_envelope(raw)
    assert len(await sim.inbox(phone.id)) == 1
    async with await ask(system) as reply:
        assert (await reply.json())["error_code"] == "0"


async def test_a_line_is_cut_in_the_middle_of_a_body(
    sim: Simulator, phone: Device, system: Any
) -> None:
    """Promised whole, half of it sent, then reset."""
    await sim.add_fault(PUSH, line="reset")
    with pytest.raises(aiohttp.ClientError):
        async with await ask(system) as reply:
            await reply.read()
    assert len(await sim.inbox(phone.id)) == 1


async def test_a_line_drips(sim: Simulator, phone: Device, system: Any) -> None:
    """A head and some bytes, and no end for whoever waits a second."""
    await sim.add_fault(PUSH, line="drip")
    async with await ask(system) as reply:
        assert await reply.content.readexactly(1) == b"{"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reply.read()


async def test_a_small_answer_unpacks_to_64_mib(sim: Simulator, phone: Device, system: Any) -> None:
    """Less than 128 KiB on the wire."""
    await sim.add_fault(PUSH, line="gzip_bomb")
    async with await ask(system) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        assert int(reply.headers["Content-Length"]) < 128 * 1024
        assert len(await reply.read()) == 64 * 1024 * 1024 + 1


async def test_an_answer_leads_elsewhere(sim: Simulator, phone: Device, system: Any) -> None:
    """302; whoever follows finds nothing."""
    await sim.add_fault(PUSH, line="redirect")
    async with await ask(system, allow_redirects=False) as reply:
        assert (reply.status, reply.headers["Location"]) == (302, "/moise/sp/elsewhere")


async def test_codes_are_written_in_every_form_that_was_seen(
    sim: Simulator, phone: Device, system: Any
) -> None:
    """As a number, without its interface, with words behind."""
    await sim.add_fault(PUSH, alter="code_as_number")
    _, answer = await system.post(
        "requestAthOrSignPush", system.signed("requestAthOrSignPush", system.push_body())
    )
    assert answer["error_code"] == 0
    assert isinstance(answer["error_code"], int)
    body, ticket_id = await system.push()
    for alter, code in (
        ("code_bare", "SPTKTID_TXNLOG_NF"),
        ("code_with_tail", "SP-API-ATH-02-SPTKTID_TXNLOG_NF: as the log says"),
    ):
        await sim.add_fault(RESULT, alter=alter)
        assert (await system.result(body, ticket_id))["error_code"] == code
    await sim.add_fault(RESULT, alter="code_bare")
    await sim.confirm(phone.id, ticket_id)
    assert (await system.result(body, ticket_id))["error_code"] == "0"
    assert sim.faults.all()[-1].applied == 0


async def test_fields_go_missing_and_appear(sim: Simulator, phone: Device, system: Any) -> None:
    """The ticket, the signature, the checksum; a member nobody knows."""
    await sim.add_fault(PUSH, alter="missing_field")
    answer = await system.call("requestAthOrSignPush", system.push_body())
    assert set(answer["result"]) == {"idp_checksum"}
    body, ticket_id = await confirmed(sim, phone, system)
    await sim.add_fault(RESULT, alter="missing_checksum")
    assert "idp_checksum" not in (await system.result(body, ticket_id))["result"]
    await sim.add_fault(RESULT, alter="extra_field")
    answer = await system.result(body, ticket_id)
    assert (answer["api_version"], "remark" in answer["result"]) == ("9.9", True)


async def test_checksums_are_echoed_and_taken_from_elsewhere(
    sim: Simulator, phone: Device, system: Any
) -> None:
    """The request's own, and that of an earlier answer; whole earlier answers, too."""
    first, first_id = await confirmed(sim, phone, system)
    earlier = await system.result(first, first_id)
    body, ticket_id = await confirmed(sim, phone, system)
    await sim.add_fault(RESULT, alter="checksum_echoed")
    answer = await system.result(body, ticket_id)
    assert answer["result"]["idp_checksum"] == sim.requests[-1].body["sp_checksum"]
    await sim.add_fault(RESULT, alter="checksum_of_another")
    again = await system.result(body, ticket_id)
    known = {
        each.answer["result"]["idp_checksum"]
        for each in sim.requests[:-1]
        if each.answer.get("result")
    }
    assert again["result"]["idp_checksum"] in known
    await sim.add_fault(RESULT, alter="earlier_answer")
    stale = await system.result(body, ticket_id)
    assert stale["result"]["signed_response"] in {
        earlier["result"]["signed_response"],
        answer["result"]["signed_response"],
    }


async def test_a_certificate_is_swapped_and_a_signature_cut(
    sim: Simulator, phone: Device, other_phone: Device, system: Any
) -> None:
    """Lee's certificate beside Wang's signature; half of a signature."""
    body, ticket_id = await confirmed(sim, phone, system)
    await sim.add_fault(RESULT, alter="swapped_certificate")
    answer = await system.result(body, ticket_id)
    assert base64.b64decode(answer["result"]["cert"]) == other_phone.certificate
    await sim.add_fault(RESULT, alter="truncated_signature")
    answer = await system.result(body, ticket_id)
    assert len(base64.b64decode(answer["result"]["signed_response"])) == 128


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        ("signatures_reordered", [1, 2, 0]),
        ("signature_missing", [0, 1]),
        ("signature_doubled", [0, 1, 2, 2]),
    ],
)
async def test_a_batchs_signatures_come_in_another_order_or_number(
    sim: Simulator, phone: Device, system: Any, alter: str, expected: list[int]
) -> None:
    """Under the same checksum, which does not cover them."""
    data = [base64.b64encode(f"document {n}".encode()).decode() for n in range(3)]
    sign = {"sign_type": "PKCS#1", "tbs_encoding": "base64", "hash_algorithm": "SHA256"}
    body = system.push_body(
        op_code="BATSIGN", op_mode="PUSH", sign_info={**sign, "sign_data_set": data}
    )
    answer = await system.call("doBatchSigning", body)
    payload = answer["result"]["sp_ticket"].partition(".")[0]
    ticket = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    await sim.confirm(phone.id, ticket["sp_ticket_id"])
    right = (await system.result(body, ticket["sp_ticket_id"]))["result"]["signed_response_set"]
    await sim.add_fault(RESULT, alter=alter)
    wrong = (await system.result(body, ticket["sp_ticket_id"]))["result"]["signed_response_set"]
    assert wrong == [right[index] for index in expected]


async def test_a_fault_may_be_for_one_system_or_one_phone(
    sim: Simulator, phone: Device, other_phone: Device, system: Any, relying_system: Any
) -> None:
    """Everybody else is answered as ever, and `times` counts what was altered only."""
    other = relying_system(sim.url, system._session, b"k" * 32)
    other.service_id = "2"
    await sim.add_service_provider("2", other.key_base64, "另一個系統")
    fault = await sim.add_fault(PUSH, code="DB_CONN_ERR", sp_service_id="2", times=2)
    assert (await system.call("requestAthOrSignPush", system.push_body()))["error_code"] == "0"
    answer = await other.call("requestAthOrSignPush", other.push_body())
    assert answer["error_code"] == "SP-API-ATH-03-DB_CONN_ERR"
    assert next(each for each in sim.faults.all() if each.fault_id == fault.fault_id).applied == 1
    sim.faults.clear()
    await sim.add_fault(PUSH, code="UNDEFINED", device_id=other_phone.id, times=None)
    assert (await system.call("requestAthOrSignPush", system.push_body()))["error_code"] == "0"
    lee = system.push_body(id_num=other_phone.id_number)
    answer = await system.call("requestAthOrSignPush", lee)
    assert answer["error_code"].endswith("UNDEFINED")


async def test_a_fault_may_be_for_the_phone_that_has_decided(
    sim: Simulator, phone: Device, system: Any
) -> None:
    """Of two phones of one person that both rang: a result that the other one confirmed is not
    altered."""
    second = await sim.bind_device(phone.id_number or "", "另一支")
    await sim.add_fault(RESULT, code="DB_CONN_ERR", device_id=second.id, times=None)
    for decides, expected in ((phone, "0"), (second, "SP-API-ATH-02-DB_CONN_ERR")):
        body, ticket_id = await system.push()
        await sim.confirm(decides.id, ticket_id)
        assert (await system.result(body, ticket_id))["error_code"] == expected
    assert [each.applied for each in sim.faults.all()] == [1]


async def test_a_rate_is_drawn_from_the_seed(keys: KeyPool, relying_system: Any) -> None:
    """Some answers and not others, the same ones with the same seed."""

    async def played(seed: int) -> list[bool]:
        async with (
            Simulator.start(fast=True, keys=keys, seed=seed) as sim,
            aiohttp.ClientSession() as session,
        ):
            system = relying_system(sim.url, session, bytes(range(32)))
            await sim.add_service_provider(system.service_id, system.key_base64, "系統")
            await sim.add_fault(PUSH, code="UNDEFINED", rate=0.5, times=None)
            bodies = [{**system.push_body(), "transaction_id": str(n)} for n in range(20)]
            answers = [await system.call("requestAthOrSignPush", body) for body in bodies]
        return [answer["error_code"].endswith("UNDEFINED") for answer in answers]

    first = await played(7)
    assert first == await played(7)
    assert 0 < sum(first) < 20


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"line": "reset", "alter": "extra_field"},
        {"line": "loud"},
        {"alter": "kind"},
        {"line": "reset", "rate": 0},
        {"line": "reset", "rate": 1.5},
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(sim: Simulator, wrong: Any) -> None:
    """With the words that are known."""
    with pytest.raises(SimulatorError) as raised:
        await sim.add_fault(RESULT, **wrong)
    assert raised.value.code == "fault_invalid"


def test_every_alteration_is_tried_here() -> None:
    """A new one comes with a test."""
    with open(__file__, encoding="utf-8") as file:
        text = file.read()
    assert [each for each in Alteration if f'"{each.value}"' not in text] == []
