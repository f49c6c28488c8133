"""Faults of time: clocks that differ within the platform, answers that come late, or twice."""

import asyncio
import base64
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from moica_simulator import Clock, Device, Simulator, SimulatorError

TICKET, RESULT, PUSH, BATCH = (f"SP-API-ATH-0{number}" for number in (1, 2, 3, 4))
STATUS, REDIRECT = "SP-API-LF-01", "SP-API-WEB-01"
TAIPEI = timedelta(hours=8)


def payload_of(sp_ticket: str) -> dict[str, Any]:
    """The JSON in a ticket's first part."""
    first = sp_ticket.split(".")[0]
    payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return payload


def said_expiry(sp_ticket: str) -> datetime:
    """What stands in a ticket, as UTC without a zone."""
    return datetime.fromisoformat(payload_of(sp_ticket)["expiration_time"]) - TAIPEI


def naive(clock: Clock) -> datetime:
    """The clock's time as UTC without a zone."""
    return clock.now().replace(tzinfo=None)


@pytest.mark.parametrize("skew", [-3600, 90])
async def test_a_ticket_says_another_time_than_the_platform_keeps(
    skew: int, sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """Only what is written is wrong: the ticket scans, and lapses when it should."""
    fault = await sim.add_fault(TICKET, ticket_skew_s=skew)
    body, ticket_id, ticket = await system.qr(time_limit=60)
    assert said_expiry(ticket) == naive(clock) + timedelta(seconds=60 + skew)
    view = await sim.scan(phone.id, ticket)
    assert view.expires_at == clock.now() + timedelta(seconds=60)
    assert sim.faults.all()[0].applied == 1
    assert sim.requests[-1].faults == (fault.fault_id,)
    _, _, right = await system.qr(time_limit=60)
    assert said_expiry(right) == naive(clock) + timedelta(seconds=60)
    clock.advance(59)
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    clock.advance(1)
    assert await system.result_code(body, ticket_id) == "SPTKT_OVD"


async def test_a_machine_whose_clock_is_behind_makes_a_ticket_that_lapses_early(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """What it writes and what the platform keeps agree; refused requests do not use it up."""
    await sim.add_fault(PUSH, clock_skew_s=-30)
    refused = await system.call("requestAthOrSignPush", system.push_body(op_code="NONE"))
    assert refused["error_code"].endswith("TGT_INV")
    answer = await system.call("requestAthOrSignPush", body := system.push_body(time_limit=60))
    assert said_expiry(answer["result"]["sp_ticket"]) == naive(clock) + timedelta(seconds=30)
    (view,) = await sim.inbox(phone.id)
    assert view.expires_at == clock.now() + timedelta(seconds=30)
    clock.advance(30)
    assert await system.result_code(body, view.sp_ticket_id) == "SPTKT_OVD"


async def test_a_machine_whose_clock_is_ahead_says_too_early_that_a_ticket_has_lapsed(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """And one behind too late; a decided ticket is the same by any clock, and uses nothing up."""
    body, ticket_id = await system.push(time_limit=60)
    await sim.add_fault(RESULT, clock_skew_s=60)
    assert await system.result_code(body, ticket_id) == "SPTKT_OVD"
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    fault = await sim.add_fault(RESULT, clock_skew_s=-61)
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    assert sim.faults.all()[-1].applied == 0
    clock.advance(60)
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    assert sim.requests[-1].faults == (fault.fault_id,)
    assert await system.result_code(body, ticket_id) == "SPTKT_OVD"
    done, done_id = await system.push()
    await sim.confirm(phone.id, done_id)
    await sim.add_fault(RESULT, clock_skew_s=3600)
    assert await system.result_code(done, done_id) == "0"
    assert sim.faults.all()[-1].applied == 0


async def test_a_machine_whose_clock_is_wrong_takes_certificates_for_expired(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """A year ahead no certificate of today signs any more; 300 days ahead uses nothing up."""
    body = system.push_body()
    body = {name: body[name] for name in ("transaction_id", "sp_service_id", "id_num")}
    await sim.add_fault(STATUS, clock_skew_s=300 * 86_400, times=1)
    answer = await system.call("checkDeviceStatus", body)
    assert (answer["result"]["is_fido"], answer["result"]["is_mcert_sign"]) == ("Y", "Y")
    assert sim.faults.all()[0].applied == 0
    sim.faults.clear()
    await sim.add_fault(STATUS, clock_skew_s=366 * 86_400)
    answer = await system.call("checkDeviceStatus", body)
    assert (answer["result"]["is_fido"], answer["result"]["is_mcert_sign"]) == ("Y", "N")


async def test_a_late_answer_comes_to_the_next_request_of_that_system(
    sim: Simulator, system: Any, phone: Device, relying_system: Any
) -> None:
    """Its own request hears nothing, and that of another system is answered as ever."""
    other = relying_system(sim.url, system._session, b"k" * 32)
    other.service_id = "2"
    await sim.add_service_provider("2", other.key_base64, "另一個系統")
    await sim.add_fault(PUSH, line="late", sp_service_id=system.service_id)
    first = system.push_body()
    with pytest.raises(aiohttp.ClientError):
        await system.call("requestAthOrSignPush", first)
    assert len(await sim.inbox(phone.id)) == 1
    theirs = other.push_body()
    answer = await other.call("requestAthOrSignPush", theirs)
    assert ticket_transaction(answer) == theirs["transaction_id"]
    second = system.push_body()
    assert (
        ticket_transaction(await system.call("requestAthOrSignPush", second))
        == (first["transaction_id"])
    )
    third = system.push_body()
    assert (
        ticket_transaction(await system.call("requestAthOrSignPush", third))
        == (third["transaction_id"])
    )
    assert len(await sim.inbox(phone.id)) == 4
    assert [each.harms for each in sim.requests] == [("line=late",), (), ("line=late",), ()]
    assert [each.applied for each in sim.faults.all()] == [1]


async def test_late_answers_queue_and_are_forgotten_with_the_faults(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """Two in a row: the third request hears the first's; `clear` drops what still waits."""
    await sim.add_fault(PUSH, line="late", times=2)
    sent = [system.push_body() for _ in range(4)]
    for body in sent[:2]:
        with pytest.raises(aiohttp.ClientError):
            await system.call("requestAthOrSignPush", body)
    heard = await system.call("requestAthOrSignPush", sent[2])
    assert ticket_transaction(heard) == sent[0]["transaction_id"]
    sim.faults.clear()
    heard = await system.call("requestAthOrSignPush", sent[3])
    assert ticket_transaction(heard) == sent[3]["transaction_id"]


async def test_an_answer_is_sent_twice_on_one_connection(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """The same bytes of body again, which nobody asked for; the phone rings once."""
    await sim.add_fault(PUSH, line="duplicate")
    body = json.dumps(system.signed("requestAthOrSignPush", system.push_body())).encode()
    address = urlsplit(sim.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(
        b"POST /moise/sp/requestAthOrSignPush HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    bodies = []
    async with asyncio.timeout(5):
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            (length,) = [
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            ]
            bodies.append(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    assert bodies[0] == bodies[1]
    assert json.loads(bodies[0])["error_code"] == "0"
    assert len(await sim.inbox(phone.id)) == 1


@pytest.mark.parametrize(
    ("interface", "wrong"),
    [
        (PUSH, {"clock_skew_s": 0}),
        (PUSH, {"clock_skew_s": float("nan")}),
        (PUSH, {"ticket_skew_s": float("inf")}),
        (PUSH, {"ticket_skew_s": 367 * 86_400}),
        (PUSH, {"ticket_skew_s": 1, "clock_skew_s": 1}),
        (RESULT, {"ticket_skew_s": 1}),
        (STATUS, {"ticket_skew_s": 1}),
        (REDIRECT, {"clock_skew_s": 1}),
        (REDIRECT, {"ticket_skew_s": 1}),
        (REDIRECT, {"line": "late"}),
    ],
)
async def test_a_skew_that_makes_no_sense_is_refused(
    interface: str, wrong: Any, sim: Simulator
) -> None:
    """None, endless, two at once, or where there is no ticket."""
    with pytest.raises(SimulatorError) as raised:
        await sim.add_fault(interface, **wrong)
    assert raised.value.code == "fault_invalid"


def ticket_transaction(answer: dict[str, Any]) -> str:
    """For which transaction an answer's ticket was made."""
    found = payload_of(answer["result"]["sp_ticket"])["transaction_id"]
    assert isinstance(found, str)
    return found
