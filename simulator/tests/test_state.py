"""What survives: a restart, a SIGKILL, and what does not open."""

import asyncio
import os
import signal
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from moica_simulator import ConfigurationError, KeyPool, Simulator, TicketStatus
from moica_simulator.state import State


async def test_everything_is_found_again(
    tmp_path: Path, keys: KeyPool, http: Any, relying_system: Any
) -> None:
    """CA, people, phones, systems, open tickets, results, used ids, lists' numbers, the clock."""
    start: dict[str, Any] = {"state": tmp_path / "state", "fast": True, "keys": keys}
    async with Simulator.start(**start) as sim:
        system = relying_system(sim.url, http, bytes(range(32)))
        await sim.add_service_provider(system.service_id, system.key_base64, "公文系統")
        person = await sim.add_person("A123456789", "王小明")
        phone = await sim.bind_device("A123456789")
        done, done_id = await system.push()
        await sim.confirm(phone.id, done_id)
        result = (await system.result(done, done_id))["result"]
        refused, refused_id = await system.push()
        await sim.refuse(phone.id, refused_id)
        opened, opened_id = await system.push(time_limit=600)
        qr, qr_id, ticket = await system.qr(time_limit=600)
        number = sim.state.count("crl_number")
        anchors = sim.anchors_pem
        sim.clock.advance(100)
    async with Simulator.start(**start) as sim:
        system.url = sim.url
        assert sim.anchors_pem == anchors
        assert sim.person("A123456789") == person
        assert sim.device(phone.id) == phone
        assert sim.clock.advanced.total_seconds() == 100
        assert sim.state.count("crl_number") == number + 1
        again = (await system.result(done, done_id))["result"]
        assert {**again, "idp_checksum": ""} == {**result, "idp_checksum": ""}
        assert await system.result_code(refused, refused_id) == "APP_USER_CANCEL"
        assert await system.result_code(opened, opened_id) == "SPTKTID_TXNLOG_NF"
        twice = await system.call("requestAthOrSignPush", done)
        assert twice["error_code"] == "SP-API-ATH-03-TXNLOG_INS_ERR"
        await sim.confirm(phone.id, opened_id)
        assert await system.result_code(opened, opened_id) == "0"
        await sim.scan(phone.id, ticket)
        await sim.confirm(phone.id, qr_id)
        assert await system.result_code(qr, qr_id) == "0"


async def test_a_frozen_clock_stands_after_a_restart(tmp_path: Path, keys: KeyPool) -> None:
    """At the same moment; certificates of before and after are of one time."""
    start: dict[str, Any] = {"state": tmp_path, "fast": True, "keys": keys}
    async with Simulator.start(**start) as sim:
        sim.clock.freeze()
        sim.clock.advance(86_400)
        stood = sim.clock.now()
    async with Simulator.start(**start) as sim:
        assert (sim.clock.frozen, sim.clock.now()) == (True, stood)
        sim.clock.reset()
    async with Simulator.start(**start) as sim:
        assert (sim.clock.frozen, sim.clock.advanced.total_seconds()) == (False, 0)


async def test_a_late_holder_still_acts_after_a_restart(
    tmp_path: Path, keys: KeyPool, http: Any, relying_system: Any
) -> None:
    """The decision that was due after the stop is made after the next start."""
    start: dict[str, Any] = {"state": tmp_path, "fast": True, "keys": keys}
    async with Simulator.start(**start) as sim:
        system = relying_system(sim.url, http, bytes(range(32)))
        await sim.add_service_provider(system.service_id, system.key_base64, "公文系統")
        await sim.add_person("A123456789", "王小明")
        phone = await sim.bind_device("A123456789")
        await sim.set_behaviour(phone.id, "confirm", delay_s=50)
        body, ticket_id = await system.push()
    async with Simulator.start(**start) as sim:
        system.url = sim.url
        assert (await sim.inbox(phone.id))[0].status is TicketStatus.PENDING
        sim.clock.advance(50)
        await sim.settle()
        assert await system.result_code(body, ticket_id) == "0"


async def read_ready(process: asyncio.subprocess.Process) -> str:
    """Reads the ready line and returns the address in it."""
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("moica-simulator ready on http://127.0.0.1:"), line
    return line.split()[3]


async def serve(state: Path) -> asyncio.subprocess.Process:
    """Starts the program on any free port."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moica_simulator", "serve", "--fast", "--port", "0"),
        *("--state", str(state)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def test_sigkill_loses_nothing_that_was_answered(
    tmp_path: Path, http: Any, relying_system: Any
) -> None:
    """Killed right after an answer, started again: the answer still holds."""
    system = relying_system("", http, bytes(range(32)))

    async def control(method: str, path: str, body: Any = None) -> Any:
        async with http.request(method, f"{system.url}/sim/v1{path}", json=body) as response:
            assert response.status < 400, await response.text()
            return await response.json()

    process = await serve(tmp_path)
    try:
        system.url = await read_ready(process)
        await control(
            "POST",
            "/service-providers",
            {
                "sp_service_id": system.service_id,
                "aes_key": system.key_base64,
                "name": "公文系統",
            },
        )
        await control("POST", "/people", {"id_number": "A123456789", "name": "王小明"})
        device = await control("POST", "/people/A123456789/devices", {"name": "我的手機"})
        body, ticket_id = await system.push(time_limit=600)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process = await serve(tmp_path)
        system.url = await read_ready(process)
        ask = f"/devices/{device['id']}/requests/{ticket_id}/confirm"
        assert (await control("POST", ask))["status"] == "confirmed"
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process = await serve(tmp_path)
        system.url = await read_ready(process)
        assert await system.result_code(body, ticket_id) == "0"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_folder_belongs_to_one_simulator(tmp_path: Path, keys: KeyPool) -> None:
    """A second one is refused, naming the setting."""
    async with Simulator.start(state=tmp_path, fast=True, keys=keys):
        with pytest.raises(ConfigurationError) as caught:
            async with Simulator.start(state=tmp_path, fast=True, keys=keys):
                pass
    assert caught.value.code == "state_unusable"
    assert "--state" in caught.value.detail


async def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path, keys: KeyPool) -> None:
    """A file in its place, or a file of another format."""
    (tmp_path / "file").write_text("")
    other = tmp_path / "other"
    other.mkdir()
    (other / "simulator.sqlite3").write_text("this is no database, whatever its name says")
    newer = tmp_path / "newer"
    newer.mkdir()
    with sqlite3.connect(newer / "simulator.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    for folder in (tmp_path / "file", other, newer):
        with pytest.raises(ConfigurationError) as caught:
            async with Simulator.start(state=folder, fast=True, keys=keys):
                pass
        assert caught.value.code == "state_unusable"


def test_the_folder_is_private(tmp_path: Path) -> None:
    """It holds private keys: 700 and 600."""
    state = State(tmp_path / "new")
    state.close()
    folder, file = tmp_path / "new", tmp_path / "new" / "simulator.sqlite3"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_failed_change_leaves_nothing() -> None:
    """Inside a transaction all is kept or nothing, also when nested."""
    state = State()
    state.set("before", "1")

    def change_and_fail() -> None:
        with state.transaction():
            state.set("before", "2")
            with state.transaction():
                state.set("inner", "3")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    assert state.setting("before", lambda: "none") == "1"
    assert state.setting("inner", lambda: "none") == "none"
    state.close()
