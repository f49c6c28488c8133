"""Phones: binding, what arrives, scanning, holders who act by themselves."""

import asyncio
import base64
import json
from typing import Any

import pytest

from moica_simulator import (
    Clock,
    Device,
    OnRequest,
    PlatformError,
    Simulator,
    SimulatorError,
    TicketStatus,
)
from moica_simulator.ticket import encode


async def test_a_phone_is_bound_by_an_activation_code(sim: Simulator) -> None:
    """The steps that the phone's page takes."""
    await sim.add_person("A123456789", "王小明")
    code = await sim.new_activation_code("A123456789")
    fresh = await sim.add_device("新手機", "iOS")
    assert not fresh.bound
    assert fresh.certificate is None
    bound = await sim.bind(fresh.id, code.code)
    assert (bound.id, bound.id_number, bound.name) == (fresh.id, "A123456789", "新手機")
    assert bound.certificate_serial is not None
    assert sim.device(fresh.id) == bound


async def test_an_activation_code_is_good_once(sim: Simulator) -> None:
    """A second phone with the same code is refused, and so is an invented one."""
    await sim.add_person("A123456789", "王小明")
    code = await sim.new_activation_code("A123456789")
    first, second = await sim.add_device("一"), await sim.add_device("二")
    await sim.bind(first.id, code.code)
    for wrong in (code.code, "00000000", ""):
        with pytest.raises(PlatformError) as caught:
            await sim.bind(second.id, wrong)
        assert caught.value.code == "OTP_NF"
    assert not sim.device(second.id).bound


async def test_two_phones_race_for_one_code(sim: Simulator) -> None:
    """Of two that bind at the same time, one is bound."""
    await sim.add_person("A123456789", "王小明")
    code = await sim.new_activation_code("A123456789")
    phones = [await sim.add_device("一"), await sim.add_device("二")]
    results = await asyncio.gather(
        *(sim.bind(each.id, code.code) for each in phones), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in results) == ["Device", "PlatformError"]
    assert sum(sim.device(each.id).bound for each in phones) == 1


async def test_an_activation_code_expires(sim: Simulator, clock: Clock) -> None:
    """After half an hour it is OTP_EXPIRED."""
    await sim.add_person("A123456789", "王小明")
    code = await sim.new_activation_code("A123456789")
    phone = await sim.add_device("手機")
    clock.advance(30 * 60)
    with pytest.raises(PlatformError) as caught:
        await sim.bind(phone.id, code.code)
    assert caught.value.code == "OTP_EXPIRED"


async def test_devices_have_a_limit(sim: Simulator) -> None:
    """Five; unbinding one makes room."""
    await sim.add_person("A123456789", "王小明")
    phones = [await sim.bind_device("A123456789", f"手機 {number}") for number in range(5)]
    with pytest.raises(PlatformError) as caught:
        await sim.bind_device("A123456789", "第六支")
    assert caught.value.code == "DEV_LIM_REACHED"
    await sim.unbind(phones[0].id)
    assert (await sim.bind_device("A123456789", "第六支")).bound


async def test_a_bound_phone_is_not_bound_again(sim: Simulator, phone: Device) -> None:
    """It has to be unbound first; then it takes a new code."""
    code = await sim.new_activation_code("A123456789")
    with pytest.raises(SimulatorError) as caught:
        await sim.bind(phone.id, code.code)
    assert caught.value.code == "device_bound"
    await sim.unbind(phone.id)
    again = await sim.bind(phone.id, code.code)
    assert again.certificate_serial != phone.certificate_serial


async def test_a_phone_changes_hands(
    sim: Simulator, system: Any, phone: Device, other_phone: Device
) -> None:
    """The new holder's requests ring it; the old one stays a user without a phone."""
    await sim.unbind(phone.id)
    code = await sim.new_activation_code("B123456780")
    assert (await sim.bind(phone.id, code.code)).id_number == "B123456780"
    await system.push(id_num="B123456780")
    assert len(await sim.inbox(phone.id)) == len(await sim.inbox(other_phone.id)) == 1
    answer = await system.call("requestAthOrSignPush", system.push_body())
    assert answer["error_code"] == "SP-API-ATH-03-IDNUM_DEVPROF_NF"


async def test_a_push_arrives_with_what_the_holder_must_see(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """Who asks, and the document number."""
    _, ticket_id = await system.push()
    (view,) = await sim.inbox(phone.id)
    assert view.sp_ticket_id == ticket_id
    assert (view.sp_name, view.hint) == ("公文線上簽核系統", "公文文號：1153000165")
    assert (view.op_code, view.status) == ("SIGN", TicketStatus.PENDING)


async def test_a_test_can_wait_for_a_request(sim: Simulator, system: Any, phone: Device) -> None:
    """The waiting ends as soon as the push arrives."""
    waiting = asyncio.ensure_future(sim.wait_for_request(phone.id))
    _, ticket_id = await system.push()
    assert (await waiting).sp_ticket_id == ticket_id


async def test_only_what_has_arrived_can_be_decided(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """A QR ticket is in no inbox before it is scanned, nor is an invented one."""
    _, ticket_id, _ = await system.qr()
    for unknown in (ticket_id, "invented"):
        with pytest.raises(SimulatorError) as caught:
            await sim.confirm(phone.id, unknown)
        assert caught.value.code == "request_not_in_inbox"


async def test_a_scanned_ticket_is_confirmed(sim: Simulator, system: Any, phone: Device) -> None:
    """The QR code holds the whole ticket; scanning it twice changes nothing."""
    body, ticket_id, ticket = await system.qr()
    assert await sim.inbox(phone.id) == []
    assert (await sim.scan(phone.id, ticket)).sp_ticket_id == ticket_id
    await sim.scan(phone.id, ticket)
    assert len(await sim.inbox(phone.id)) == 1
    await sim.confirm(phone.id, ticket_id)
    assert await system.result_code(body, ticket_id) == "0"


async def test_a_strangers_scan_ends_the_ticket(
    sim: Simulator, system: Any, phone: Device, other_phone: Device
) -> None:
    """The stranger is told, the right phone comes too late, the system hears of it."""
    body, ticket_id, ticket = await system.qr()
    await sim.scan(phone.id, ticket)
    with pytest.raises(PlatformError) as caught:
        await sim.scan(other_phone.id, ticket)
    assert caught.value.code == "DEVID_SPTKT_MISMATCH"
    assert await system.result_code(body, ticket_id) == "DEVID_SPTKT_MISMATCH"
    with pytest.raises(PlatformError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "SPTKTID_SPTKT_RDM"


async def test_a_strangers_scan_does_not_undo_a_result(
    sim: Simulator, system: Any, phone: Device, other_phone: Device
) -> None:
    """What was confirmed stays confirmed."""
    body, ticket_id, ticket = await system.qr()
    await sim.scan(phone.id, ticket)
    await sim.confirm(phone.id, ticket_id)
    with pytest.raises(PlatformError) as caught:
        await sim.scan(other_phone.id, ticket)
    assert caught.value.code == "DEVID_SPTKT_MISMATCH"
    assert await system.result_code(body, ticket_id) == "0"


async def test_a_ticket_that_the_platform_did_not_issue_is_refused(
    sim: Simulator, system: Any, phone: Device
) -> None:
    """A right digest proves nothing: an altered hint, or an invented ticket, is unknown."""
    _, ticket_id, ticket = await system.qr()
    first = ticket.split(".")[0]
    payload = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    for forged in ({**payload, "hint": "別的公文"}, {**payload, "sp_ticket_id": "invented"}):
        with pytest.raises(PlatformError) as caught:
            await sim.scan(phone.id, encode(forged))
        assert caught.value.code == "SPTKTID_SPTKT_NF"
    assert ticket_id


@pytest.mark.parametrize("mode", ["APP2APP", "MWEB2APP"])
async def test_a_ticket_for_a_link_is_not_for_scanning(
    mode: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """Only I-SCAN tickets belong into a QR code."""
    _, _, ticket = await system.qr(op_mode=mode)
    with pytest.raises(PlatformError) as caught:
        await sim.scan(phone.id, ticket)
    assert caught.value.code == "TGT_INV"


async def test_a_lapsed_ticket_is_not_scanned(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """After its time it is SPTKT_OVD at the scan already."""
    _, _, ticket = await system.qr()
    clock.advance(60)
    with pytest.raises(PlatformError) as caught:
        await sim.scan(phone.id, ticket)
    assert caught.value.code == "SPTKT_OVD"


@pytest.mark.parametrize(("on_request", "code"), [("confirm", "0"), ("refuse", "APP_USER_CANCEL")])
async def test_a_holder_acts_at_once(
    on_request: str, code: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """A push is decided without anybody pressing anything, and so is a scan."""
    device = await sim.set_behaviour(phone.id, on_request)
    assert device.behaviour.on_request is OnRequest(on_request)
    body, ticket_id = await system.push()
    await sim.settle()
    assert await system.result_code(body, ticket_id) == code
    body, ticket_id, ticket = await system.qr()
    await sim.scan(phone.id, ticket)
    await sim.settle()
    assert await system.result_code(body, ticket_id) == code


@pytest.mark.parametrize("on_request", ["manual", "ignore"])
async def test_a_holder_does_nothing(
    on_request: str, sim: Simulator, system: Any, phone: Device
) -> None:
    """The request waits in the inbox."""
    await sim.set_behaviour(phone.id, on_request)
    body, ticket_id = await system.push()
    await sim.settle()
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"


async def test_a_holder_acts_after_a_while(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """The delay runs on the simulated clock, from the arrival."""
    await sim.set_behaviour(phone.id, "confirm", delay_s=20)
    body, ticket_id = await system.push()
    clock.advance(19)
    await sim.settle()
    assert await system.result_code(body, ticket_id) == "SPTKTID_TXNLOG_NF"
    clock.advance(1)
    await sim.settle()
    assert await system.result_code(body, ticket_id) == "0"


async def test_a_holder_who_is_too_late_changes_nothing(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """A confirmation after the ticket has lapsed is refused by the platform."""
    await sim.set_behaviour(phone.id, "confirm", delay_s=61)
    body, ticket_id = await system.push()
    clock.advance(61)
    await sim.settle()
    assert await system.result_code(body, ticket_id) == "SPTKT_OVD"


async def test_behaviour_is_fixed_at_the_arrival(
    sim: Simulator, system: Any, phone: Device, clock: Clock
) -> None:
    """Changing it later changes what arrives later."""
    await sim.set_behaviour(phone.id, "confirm", delay_s=10)
    body, ticket_id = await system.push()
    await sim.set_behaviour(phone.id, "refuse")
    clock.advance(10)
    await sim.settle()
    assert await system.result_code(body, ticket_id) == "0"


@pytest.mark.parametrize(
    ("on_request", "delay_s"),
    [("shrug", 0), ("", 0), ("confirm", -1), ("confirm", 86_401), ("confirm", float("nan"))],
)
async def test_an_impossible_behaviour_is_refused(
    on_request: str, delay_s: float, sim: Simulator, phone: Device
) -> None:
    """Another word, or a delay out of range."""
    with pytest.raises(SimulatorError) as caught:
        await sim.set_behaviour(phone.id, on_request, delay_s=delay_s)
    assert caught.value.code == "behaviour_invalid"


async def test_an_unbound_phone_can_do_nothing(sim: Simulator, system: Any, phone: Device) -> None:
    """What waits in it cannot be decided any more."""
    _, ticket_id = await system.push()
    await sim.unbind(phone.id)
    with pytest.raises(SimulatorError) as caught:
        await sim.confirm(phone.id, ticket_id)
    assert caught.value.code == "device_not_bound"


async def test_a_seed_repeats_ids_and_never_keys(keys: Any, clock: Clock) -> None:
    """Two simulators with one seed give the same codes and ids, and other credential keys."""
    seen = []
    for _ in range(2):
        async with Simulator.start(fast=True, keys=keys, clock=clock, seed=7) as sim:
            person = await sim.add_person("A123456789", "王小明")
            device = await sim.bind_device(person.id_number)
            handset = sim.state.phone.handsets.get(device.id)
            assert handset is not None
            seen.append((person.card_number, device.id, handset.credential_key))
    assert seen[0][:2] == seen[1][:2]
    assert seen[0][2] != seen[1][2]
