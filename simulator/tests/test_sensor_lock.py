"""A phone's fingerprint sensor locks after several failures, until the phone is unlocked."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from moica_simulator import Device, Simulator, SimulatorError
from moica_simulator.assumptions import FINGERPRINT_ATTEMPTS
from moica_simulator.cli import main


async def fails(sim: Simulator, device_id: str, ticket_id: str) -> str:
    """Confirms in vain, and returns why."""
    with pytest.raises(SimulatorError) as caught:
        await sim.confirm(device_id, ticket_id)
    assert caught.value.status == 409
    return caught.value.code


async def test_the_sensor_locks_at_the_last_failure_and_takes_no_finger_until_unlocked(
    sim: Simulator, phone: Device, system: Any, code_of: Any
) -> None:
    """Nothing reaches the platform; refusing needs no finger; unlocked, the ticket is confirmed."""
    await sim.set_state(phone.id, fingerprint_failures=FINGERPRINT_ATTEMPTS)
    body, ticket_id = await system.push()
    _, unwanted = await system.push()
    codes = [await fails(sim, phone.id, ticket_id) for _ in range(FINGERPRINT_ATTEMPTS + 1)]
    assert codes == ["fingerprint_failed"] * (FINGERPRINT_ATTEMPTS - 1) + ["sensor_locked"] * 2
    assert sim.device(phone.id).sensor_locked
    assert sim.device(phone.id).fingerprint_failures == 0
    await sim.refuse(phone.id, unwanted)
    assert code_of(await system.result(body, ticket_id)) == "SPTKTID_TXNLOG_NF"
    assert not sim.unlock(phone.id).sensor_locked
    await sim.confirm(phone.id, ticket_id)
    assert code_of(await system.result(body, ticket_id)) == "0"


async def test_a_recognised_finger_begins_the_count_anew(
    sim: Simulator, phone: Device, system: Any
) -> None:
    """Failures are counted in a row, not in all; unlocking begins anew as well."""
    for _ in range(2):
        await sim.set_state(phone.id, fingerprint_failures=FINGERPRINT_ATTEMPTS - 1)
        _, ticket_id = await system.push()
        for _ in range(FINGERPRINT_ATTEMPTS - 1):
            assert await fails(sim, phone.id, ticket_id) == "fingerprint_failed"
        await sim.confirm(phone.id, ticket_id)
    await sim.set_state(phone.id, fingerprint_failures=FINGERPRINT_ATTEMPTS)
    _, ticket_id = await system.push()
    for _ in range(FINGERPRINT_ATTEMPTS - 1):
        await fails(sim, phone.id, ticket_id)
    sim.unlock(phone.id)
    assert await fails(sim, phone.id, ticket_id) == "fingerprint_failed"
    assert not sim.device(phone.id).sensor_locked


async def test_the_lock_is_in_the_state_and_kept_over_a_restart(
    system: Any, relying_system: Any, keys: Any, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """`sensor` is `locked` then `ok`, over HTTP and from a shell."""
    async with Simulator.start(fast=True, keys=keys, state=tmp_path) as first:
        asking = relying_system(first.url, http, bytes(range(32)))
        await first.add_service_provider(asking.service_id, asking.key_base64, "系統")
        await first.add_person("A123456789", "王小明")
        phone = await first.bind_device("A123456789")
        await first.set_state(phone.id, fingerprint_failures=FINGERPRINT_ATTEMPTS)
        _, ticket_id = await asking.push()
        for _ in range(FINGERPRINT_ATTEMPTS):
            await fails(first, phone.id, ticket_id)
    async with Simulator.start(fast=True, keys=keys, state=tmp_path) as second:
        device = f"{second.url}/sim/v1/devices/{phone.id}"
        async with http.get(device) as reply:
            assert (await reply.json())["state"]["sensor"] == "locked"
        async with http.post(f"{device}/requests/{ticket_id}/confirm", json={}) as reply:
            said = await reply.json()
        assert (reply.status, said["error"]) == (409, "sensor_locked")
        assert "/unlock" in said["detail"]
        async with http.post(f"{device}/unlock", json={}) as reply:
            assert (await reply.json())["state"]["sensor"] == "ok"
        run = CliRunner().invoke
        arguments = ["phone", "unlock", phone.id, "--url", second.url]
        done = await asyncio.to_thread(run, main, arguments)
        assert json.loads(done.output)["state"]["sensor"] == "ok"
        async with http.post(f"{second.url}/sim/v1/devices/nobody/unlock", json={}) as reply:
            assert reply.status == 404
