"""The processes of `benchmarks.gateway`: simulator, gateway, and the two clients in its place.

A child that is asked takes one line of JSON and gives one, and ends with its standard input; the
gateway is told to stop.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks.gateway_clients import BareClient, LoopClient
from benchmarks.gateway_setup import AES_KEY, SERVICE_ID, House
from moica_simulator import KeyPool, Simulator
from moica_simulator.id_number import fault_in

__all__ = ["Child", "bare_child", "gateway_child", "simulator_child"]

_KEYS = 8
"""Of RSA: making one takes a tenth of a second, and nobody's is at stake here."""


@frozen
class Child:
    """A process; ``told`` is what it said when it was ready."""

    process: asyncio.subprocess.Process
    told: dict[str, Any]

    def cpu_s(self) -> float:
        """CPU seconds of the process so far, user and system, all threads."""
        # The kernel's clock of another process's CPU time (clock_getcpuclockid).
        return time.clock_gettime(((~self.process.pid) << 3) | 2)

    def resident_kib(self) -> int:
        """Its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0])

    async def ask(self, what: dict[str, Any]) -> dict[str, Any]:
        """One line to it, one line from it."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise ValueError("the process was started without its pipes")
        stdin.write(json.dumps(what).encode() + b"\n")
        await stdin.drain()
        line = await stdout.readline()
        if not line:
            raise SystemExit("a child ended; its error is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def simulator_child(people: int) -> AsyncIterator[Child]:
    """The platform with so many phones that confirm by themselves; ``people`` in what it tells."""
    async with _started("simulator", [str(people)], None) as child:
        yield child


@asynccontextmanager
async def bare_child(kind: str, house: House, core: int) -> AsyncIterator[Child]:
    """``bare`` or ``loop``; asked with ``{"count": n}``."""
    given = [house.simulator_url, str(house.interval), ",".join(house.people)]
    async with _started(kind, given, core) as child:
        yield child


@asynccontextmanager
async def gateway_child(
    house: House, core: int, profile: Path | None = None
) -> AsyncIterator[Child]:
    """The program itself; ``url`` in what it tells. With ``profile`` its loop under cProfile."""
    log = house.settings_file.with_suffix(".log")
    code = "from moica_gateway.cli import main; main()"
    if profile is not None:
        code = f"import cProfile; cProfile.run({code!r}, {str(profile)!r})"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, "serve", "--config", str(house.settings_file)),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=stderr,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    try:
        yield Child(process, {"url": await _address(process, log)})
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(60):
            await process.wait()


async def _address(process: asyncio.subprocess.Process, log: Path) -> str:
    while process.returncode is None:
        for line in await asyncio.to_thread(_lines_of, log):
            if '"gateway.ready"' in line:
                return f"http://127.0.0.1:{json.loads(line)['port']}"
        await asyncio.sleep(0.05)
    raise SystemExit("\n".join(("the gateway did not start:", *_lines_of(log))))


def _lines_of(log: Path) -> list[str]:
    return log.read_text("utf-8").splitlines()


@asynccontextmanager
async def _started(kind: str, given: Sequence[str], core: int | None) -> AsyncIterator[Child]:
    def pinned() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.gateway_children", kind, *given),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
        preexec_fn=pinned,
    )
    try:
        if process.stdout is None:
            raise ValueError("the process was started without its pipes")
        line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"{kind}: the process did not start; its error is above")
        yield Child(process, json.loads(line))
    finally:
        if process.stdin is not None:
            process.stdin.close()
        async with asyncio.timeout(60):
            await process.wait()


# -- inside a child --------------------------------------------------------------------------------


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


async def _lines() -> AsyncIterator[dict[str, Any]]:
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield json.loads(line)


async def _simulator(people: int) -> None:
    async with Simulator.start(fast=True, keys=_FewKeys()) as simulator:
        await simulator.add_service_provider(
            SERVICE_ID, base64.b64encode(AES_KEY).decode(), "效能測試"
        )
        made = []
        for number in range(people):
            id_number = _id_number(number)
            await simulator.add_person(id_number, "王小明")
            phone = await simulator.bind_device(id_number)
            await simulator.set_behaviour(phone.id, "confirm")
            made.append(id_number)
        _tell({"url": simulator.url, "anchors_pem": simulator.anchors_pem, "people": made})
        async for _ in _lines():
            pass


async def _client(client: BareClient | LoopClient) -> None:
    async with client:
        _tell({})
        async for asked in _lines():
            await client.sign(asked["count"])
            _tell({})


class _FewKeys:
    """Gives the same few again and again."""

    def __init__(self) -> None:
        self._pool, self._given = KeyPool(), 0

    def rsa_key(self, bits: int) -> rsa.RSAPrivateKey:
        """See `KeySource`."""
        self._given += 1
        return self._pool.take(bits, self._given % _KEYS)


def _id_number(number: int) -> str:
    """Invented, with its check digit."""
    stem = f"A1{number:07d}"
    return next(f"{stem}{digit}" for digit in range(10) if fault_in(f"{stem}{digit}") is None)


def main() -> None:
    """A child: its kind, and what it is given."""
    kind, *given = sys.argv[1:]
    if kind == "simulator":
        asyncio.run(_simulator(int(given[0])))
        return
    url, interval, people = given
    client = BareClient if kind == "bare" else LoopClient
    asyncio.run(_client(client(url, float(interval), people.split(","))))


if __name__ == "__main__":
    main()
