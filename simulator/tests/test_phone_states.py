"""What a phone can do at a moment, certificates of other shapes, and the ready-made persons."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509

from moica_simulator import Clock, Device, PlatformError, Simulator, SimulatorError
from moica_simulator.testpersons import TEST_PERSONS


async def test_push_fails_where_the_app_was_not_opened_for_long_and_a_code_works(
    sim: Simulator, phone: Device, system: Any, code_of: Any
) -> None:
    """`PS_FCM_NOT_FOUND`, no ticket; the same phone scans and confirms."""
    await sim.set_state(phone.id, push="unregistered")
    answer = await system.call("requestAthOrSignPush", system.push_body())
    assert code_of(answer) == "PS_FCM_NOT_FOUND"
    body, ticket_id, ticket = await system.qr()
    await sim.scan(phone.id, ticket)
    await sim.confirm(phone.id, ticket_id)
    assert code_of(await system.result(body, ticket_id)) == "0"


async def test_one_phone_that_push_reaches_is_enough(
    sim: Simulator, phone: Device, system: Any, code_of: Any
) -> None:
    """A person's second phone rings, the unregistered one does not."""
    second = await sim.bind_device(phone.id_number or "", name="公務手機")
    await sim.set_state(phone.id, push="unregistered")
    _, ticket_id = await system.push()
    assert await sim.inbox(phone.id) == []
    assert [each.sp_ticket_id for each in await sim.inbox(second.id)] == [ticket_id]


async def test_what_is_pushed_in_airplane_mode_arrives_when_the_network_is_back(
    sim: Simulator, phone: Device, system: Any
) -> None:
    """Nothing arrives, nothing can be scanned or decided; then the request is there."""
    await sim.set_state(phone.id, network="airplane")
    _, ticket_id = await system.push()
    _, _, ticket = await system.qr()
    assert await sim.inbox(phone.id) == []
    for ask in (
        sim.scan(phone.id, ticket),
        sim.confirm(phone.id, ticket_id),
        sim.refuse(phone.id, ticket_id),
        sim.open_link(phone.id, "mobilemoica://moica.moi.gov.tw/a2a/verifySign?sp_ticket=x"),
    ):
        with pytest.raises(SimulatorError) as raised:
            await ask
        assert raised.value.code == "device_offline"
    await sim.set_state(phone.id, network="on")
    assert [each.sp_ticket_id for each in await sim.inbox(phone.id)] == [ticket_id]
    await sim.confirm(phone.id, ticket_id)


async def test_a_finger_that_is_not_recognised_sends_nothing_and_the_next_may_be(
    sim: Simulator, phone: Device, system: Any, code_of: Any
) -> None:
    """Twice not, then confirmed; the ticket has waited."""
    await sim.set_state(phone.id, fingerprint_failures=2)
    body, ticket_id = await system.push()
    for _ in range(2):
        with pytest.raises(SimulatorError) as raised:
            await sim.confirm(phone.id, ticket_id)
        assert raised.value.code == "fingerprint_failed"
    assert code_of(await system.result(body, ticket_id)) == "SPTKTID_TXNLOG_NF"
    await sim.confirm(phone.id, ticket_id)
    assert code_of(await system.result(body, ticket_id)) == "0"


async def test_a_late_holder_is_refused_by_the_platform(
    sim: Simulator, phone: Device, system: Any, clock: Clock, code_of: Any
) -> None:
    """The decision comes when the ticket has lapsed, and counts for nothing."""
    await sim.set_behaviour(phone.id, "late")
    body, ticket_id = await system.push()
    await sim.settle()
    assert code_of(await system.result(body, ticket_id)) == "SPTKTID_TXNLOG_NF"
    clock.advance(62)
    await sim.settle()
    assert code_of(await system.result(body, ticket_id)) == "SPTKT_OVD"


async def test_confirming_twice_is_redeemed_once(
    sim: Simulator, phone: Device, system: Any, code_of: Any
) -> None:
    """The second press is refused with `SPTKTID_SPTKT_RDM`; the result stays."""
    await sim.set_behaviour(phone.id, "twice")
    body, ticket_id = await system.push()
    await sim.settle()
    assert code_of(await system.result(body, ticket_id)) == "0"
    with pytest.raises(PlatformError) as raised:
        await sim.confirm(phone.id, ticket_id)
    assert raised.value.code == "SPTKTID_SPTKT_RDM"


async def test_a_renewed_certificate_is_a_new_key_of_the_same_person(
    sim: Simulator, phone: Device, system: Any, code_of: Any
) -> None:
    """The phone signs with it from then on; the certificate before is not revoked by that."""
    before = phone.certificate
    after = (await sim.renew(phone.id)).certificate
    assert before is not None
    assert after is not None
    old, new = (x509.load_der_x509_certificate(each) for each in (before, after))
    assert old.subject == new.subject
    assert old.public_key() != new.public_key()
    assert sim.ca.can_sign(before, sim.clock.now())
    body, ticket_id = await system.push()
    await sim.confirm(phone.id, ticket_id)
    assert code_of(await system.result(body, ticket_id)) == "0"


async def test_a_person_who_deregisters_is_nobody_to_the_platform(
    sim: Simulator, phone: Device, system: Any, code_of: Any
) -> None:
    """Every phone is let go; binding one again makes the person a user again."""
    await sim.deregister(phone.id_number or "")
    assert not sim.device(phone.id).bound
    answer = await system.call("requestAthOrSignPush", system.push_body())
    assert code_of(answer) == "IDNUM_USERPROF_NF"
    await sim.bind_device(phone.id_number or "", name="新手機")
    await system.push()


async def test_the_state_of_a_phone_is_kept_over_a_restart(
    sim: Simulator, phone: Device, keys: Any, tmp_path: Any
) -> None:
    """Push registration, network, sensor, and what the push service holds."""
    folder = tmp_path / "state"
    async with Simulator.start(fast=True, keys=keys, state=folder) as first:
        await first.add_person("A123456789", "王小明")
        device = await first.bind_device("A123456789")
        await first.set_state(
            device.id, push="unregistered", network="airplane", fingerprint_failures=3
        )
    async with Simulator.start(fast=True, keys=keys, state=folder) as second:
        found = second.device(device.id)
        assert (found.push_registered, found.online, found.fingerprint_failures) == (
            False,
            False,
            3,
        )


async def test_the_control_api_sets_states_shapes_and_suspensions(
    sim: Simulator, http: aiohttp.ClientSession
) -> None:
    """As the methods do; what is wrong is told with what was expected."""
    url = f"{sim.url}/sim/v1"
    await sim.add_person("A123456789", "王小明")

    async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with http.request(method, f"{url}{path}", json={} if body is None else body) as reply:
            return reply.status, await reply.json()

    shape = {"valid_from": "2026-04-01T00:00:00+08:00", "valid_for_s": 86400, "last_four": "0000"}
    status, device = await ask(
        "POST", "/people/A123456789/devices", {"name": "手機", "certificate": shape}
    )
    assert (status, device["certificate"]["not_after"]) == (201, "2026-04-01T16:00:00.000Z")
    one = f"/devices/{device['id']}"
    state = {"push": "unregistered", "network": "airplane", "fingerprint_failures": 1}
    status, changed = await ask("PUT", f"{one}/state", state)
    assert (status, changed["state"]) == (200, {**state, "sensor": "ok"})
    status, changed = await ask("PUT", f"{one}/state", {"push": "works"})
    assert changed["state"] == {**state, "push": "works", "sensor": "ok"}
    status, renewed = await ask("POST", f"{one}/renew")
    assert renewed["certificate"]["serial"] != device["certificate"]["serial"]
    serial = renewed["certificate"]["serial"]
    status, held = await ask("POST", f"/certificates/{serial}/suspend")
    assert (status, held["reason"]) == (200, "certificateHold")
    status, resumed = await ask("POST", f"/certificates/{serial}/resume")
    assert (status, resumed["reason"]) == (200, None)
    for path, body in (
        (f"{one}/state", {"push": "loud"}),
        (f"{one}/state", {"network": "slow"}),
        (f"{one}/state", {"fingerprint_failures": 101}),
    ):
        status, error = await ask("PUT", path, body)
        assert (status, error["error"]) == (400, "state_invalid")
    for wrong in (
        5,
        {"more": 1},
        {"valid_from": "yesterday"},
        {"valid_from": "2026-04-01T00:00:00"},
        {"valid_for_s": 0},
        {"last_four": "12345"},
        {"usage": "party"},
    ):
        status, error = await ask("POST", f"{one}/renew", {"certificate": wrong})
        assert (status, error["error"]) == (400, "request_invalid"), wrong
    status, _ = await ask("POST", "/people/A123456789/deregister")
    assert status == 200
    assert not sim.device(device["id"]).bound


async def test_the_ready_made_persons_are_made_once_and_listed(
    keys: Any, http: aiohttp.ClientSession
) -> None:
    """Twice changes nothing; the README's table is this list."""
    async with Simulator.start(fast=True, keys=keys) as sim:
        url = f"{sim.url}/sim/v1"
        for _ in range(2):
            async with http.post(f"{url}/test-persons", json={}) as reply:
                listed = (await reply.json())["items"]
        async with http.get(f"{url}/people?limit=1000") as reply:
            people = (await reply.json())["items"]
    assert [each["id_number"] for each in listed] == [each.id_number for each in TEST_PERSONS]
    assert len(people) == len(TEST_PERSONS)
    assert len({each.outcome for each in TEST_PERSONS}) == len(TEST_PERSONS)
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    for each in TEST_PERSONS:
        assert f"| `{each.id_number}` | {each.name} | {each.outcome} |\n" in readme
