"""Strangers' clients, Node.js and Java, work by base URL, key and service id alone.

They share no code with each other, with this simulator or with anything that calls it: what they
verify is what the real service's clients would.
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from moica_simulator import Device, KeyPool, Simulator

HERE = Path(__file__).parent
AES_KEY = base64.b64encode(bytes(range(32))).decode()
SERVICE = "20261123090000000001"
PERSON = "A123456789"
DATA = [base64.b64encode(f"document {number}".encode()).decode() for number in range(20)]
RUN = {
    "node": ("node", str(HERE / "strangers" / "client.mjs")),
    "java": ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1"),
}


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Java client, compiled once."""
    folder = tmp_path_factory.mktemp("java")
    subprocess.run(
        ["javac", "-d", str(folder), str(HERE / "strangers" / "Client.java")], check=True
    )
    return folder


@pytest.fixture(params=RUN)
def command(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """How the stranger is started; skipped, or failed where it must be there, without it."""
    name: str = request.param
    needed = ("node",) if name == "node" else ("java", "javac")
    if any(shutil.which(each) is None for each in needed):
        message = f"{name} is not installed (Debian: nodejs, default-jdk-headless)"
        if os.environ.get("REQUIRE_STRANGERS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    if name == "node":
        return RUN["node"]
    return (*RUN["java"], "-cp", str(request.getfixturevalue("compiled")), "Client")


class Stranger:
    """One of them, before a simulator with one person and one phone."""

    def __init__(
        self, simulator: Simulator, phone: Device, command: tuple[str, ...], anchors: Path
    ) -> None:
        self.simulator, self.phone = simulator, phone
        self._command = command
        self._environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "BASE_URL": simulator.url,
            "SP_SERVICE_ID": SERVICE,
            "SP_AES_KEY": AES_KEY,
            "ANCHORS": str(anchors),
            "POLL_MS": "50",
        }

    async def says(
        self, *words: str, seen: Callable[[dict[str, Any]], Any] | None = None, **env: str
    ) -> dict[str, Any]:
        """Its last word; `seen` hears the ones before."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            *words,
            env={**self._environment, **env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        said: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            async for line in process.stdout:
                said.append(json.loads(line))
                if seen is not None:
                    await seen(said[-1])
            errors = (await process.stderr.read()).decode()
            assert await process.wait() == 0, errors
        return said[-1]


@pytest.fixture
async def stranger(command: tuple[str, ...], keys: KeyPool, tmp_path: Path) -> AsyncIterator[Any]:
    """Its phone confirms by itself."""
    async with Simulator.start(fast=True, keys=keys) as simulator:
        await simulator.add_service_provider(SERVICE, AES_KEY, "陌生系統")
        await simulator.add_person(PERSON, "王小明")
        phone = await simulator.bind_device(PERSON)
        await simulator.set_behaviour(phone.id, "confirm")
        anchors = tmp_path / "anchors.pem"
        anchors.write_text(simulator.anchors_pem)
        yield Stranger(simulator, phone, command, anchors)


async def test_a_stranger_is_held_to_the_same_vectors(stranger: Stranger) -> None:
    """Each makes and opens every checksum of the file: none of us reads it in its own way."""
    count = len(json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))["checksums"])
    assert await stranger.says("vectors", str(HERE / "vectors.json")) == {"vectors": count}


async def test_a_stranger_signs_by_push_by_code_and_in_a_batch(stranger: Stranger) -> None:
    """Ticket, push, result; checksum, path and signature verified by the stranger's own crypto."""
    said = await stranger.says("push", PERSON, "公文文號：1153000165", DATA[0])
    assert said["verified"] == 1
    assert "王小明" in said["subject"]

    async def scan(word: dict[str, Any]) -> None:
        if "qr" in word:
            await stranger.simulator.scan(stranger.phone.id, word["qr"])

    said = await stranger.says("qr", PERSON, "公文文號：1153000165", DATA[0], seen=scan)
    assert said["verified"] == 1
    assert (await stranger.says("push", PERSON, "二十件", *DATA))["verified"] == 20
    assert (await stranger.says("qr", PERSON, "兩件", *DATA[:2], seen=scan))["verified"] == 2


async def test_a_stranger_asks_whether_a_phone_is_bound(stranger: Stranger) -> None:
    """Yes, and no once it is unbound; verified by checksum."""
    yes = {"is_fido": "Y", "is_mcert_sign": "Y"}
    assert await stranger.says("status", PERSON) == yes
    await stranger.simulator.unbind(stranger.phone.id)
    assert await stranger.says("status", PERSON) == {"is_fido": "N", "is_mcert_sign": "N"}


async def test_a_stranger_is_told_what_is_wrong_in_codes_it_can_read(stranger: Stranger) -> None:
    """A refusal, a wrong key, an unknown service, a batch too large, nobody of that number."""
    await stranger.simulator.set_behaviour(stranger.phone.id, "refuse")
    assert await stranger.says("push", PERSON, "h", DATA[0]) == {"refused": "APP_USER_CANCEL"}
    other = base64.urlsafe_b64encode(b"\xff" * 32).decode().rstrip("=") + "="
    for code, words, env in (
        ("INV_SP_CHECKSUM", ("push", PERSON, "h", DATA[0]), {"SP_AES_KEY": other}),
        ("SPSVCID_NF", ("push", PERSON, "h", DATA[0]), {"SP_SERVICE_ID": "1"}),
        ("BATSIGN_CNT_LIMIT", ("push", PERSON, "h", *DATA, DATA[0]), {}),
        ("IDNUM_USERPROF_NF", ("push", "B123456780", "h", DATA[0]), {}),
        ("SIGNDATA_LEN_LIMIT", ("push", PERSON, "h", "A" * 1028), {}),
    ):
        assert await stranger.says(*words, **env) == {"refused": code}, code


@pytest.mark.parametrize(
    ("fault", "untrue"),
    [
        ({"tamper": "idp_checksum"}, "checksum: not under this key"),
        ({"tamper": "signed_response"}, "signature 0: not over what was asked"),
        ({"tamper": "signed_response", "reseal": False}, "checksum: another answer"),
        ({"tamper": "cert"}, "certificate: no path"),
    ],
)
async def test_a_stranger_believes_nothing_that_was_tampered_with(
    stranger: Stranger, fault: dict[str, Any], untrue: str
) -> None:
    """Its own verification finds it; the simulator's faults are what they say they are."""
    await stranger.simulator.add_fault("SP-API-ATH-02", **fault)
    assert await stranger.says("push", PERSON, "h", DATA[0]) == {"untrue": untrue}
