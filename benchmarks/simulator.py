"""How many round trips the simulator makes in a second of one core.

One round trip is what a relying system sees of one signature: a push (ATH-03, SIGN, PKCS#1 with
SHA-256), the phone's own confirmation with its signature, and the poll (ATH-02) that brings
certificate and signature. The simulator runs in a process of its own on one core; the load comes
from this process on another, over connections kept alive. Beside it, in the same run and under
the same load, runs a bare aiohttp handler with the inevitable cryptography only: a checksum opened
and one sealed a request, one RSA-2048 signature a round trip. Every hundredth answer is verified,
signature and checksum; a wrong one ends the run.

What counts is CPU seconds of the simulator's process, which other work on the machine disturbs
least, and the ratio to the bare handler. Nothing is asserted about speed. Linux only.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from benchmarks.simulator_bare import serving
from benchmarks.simulator_load import AES_KEY, PERSONS, SERVICE_ID, Load
from moica_simulator import KeyPool, Simulator

MODES = ("bare", "normal", "state", "plain", "fast")
_WHAT = {
    "bare": "bare handler",
    "normal": "normal",
    "state": "normal, --state folder",
    "plain": "fast, keys of two primes",
    "fast": "fast",
}


@attrs.frozen
class Served:
    """A simulator, or the bare handler, in a process of its own."""

    host: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds of the process so far, user and system, all threads."""
        # The kernel's clock of another process's CPU time (clock_getcpuclockid).
        return time.clock_gettime(((~self.pid) << 3) | 2)

    def resident_kib(self) -> int:
        """Its resident memory, in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0])


@attrs.frozen
class Measured:
    """One turn of one mode: figures a round trip, and a second."""

    cpu_ms: float
    per_second: float
    polls: float


@asynccontextmanager
async def served(mode: str, core: int, profile: Path | None = None) -> AsyncIterator[Served]:
    """Starts a process that serves on a core, and ends it."""
    arguments = [sys.executable, "-m", "benchmarks.simulator", "--serve", mode, "--core", str(core)]
    if profile is not None:
        arguments += ["--profile", str(profile)]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdout is None:
            raise ValueError("the process was started without its pipe")
        line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"{mode}: the serving process did not start; its error is above")
        told = json.loads(line)
        yield Served(told["host"], told["port"], process.pid)
    finally:
        # It serves until its standard input ends.
        if process.stdin is not None:
            process.stdin.close()
        async with asyncio.timeout(60):
            await process.wait()


async def measure(server: Served, load: Load, count: int) -> Measured:
    """Makes `count` round trips."""
    prepared = load.prepare(count)
    cpu, began = server.cpu_s(), time.perf_counter()
    result = await load.run(prepared)
    took, cpu = time.perf_counter() - began, server.cpu_s() - cpu
    return Measured(cpu / count * 1000, count / took, result.polls / count)


def serve(mode: str, core: int, profile: Path | None) -> None:
    """Serves until standard input ends; prints address as one line of JSON."""
    os.sched_setaffinity(0, {core})
    if profile is None:
        asyncio.run(_serve(mode))
        return
    import cProfile

    profiler = cProfile.Profile()
    profiler.runcall(asyncio.run, _serve(mode))
    profiler.dump_stats(profile)


async def _serve(mode: str) -> None:
    if mode == "bare":
        async with serving() as port:
            await _announce("127.0.0.1", port)
        return
    with tempfile.TemporaryDirectory() as folder:
        state = folder if mode == "state" else None
        async with Simulator.start(
            fast=mode in ("fast", "plain"),
            # Whoever hands in keys gets none that are prepared.
            keys=KeyPool() if mode == "plain" else None,
            state=state,
        ) as simulator:
            if mode == "fast" and not simulator.mode.prepared_keys:
                print("fast: no prepared keys, since gmpy2 is not installed", file=sys.stderr)
            await simulator.add_service_provider(SERVICE_ID, AES_KEY, "效能測試")
            for id_number in PERSONS:
                await simulator.add_person(id_number, "王小明")
                phone = await simulator.bind_device(id_number)
                await simulator.set_behaviour(phone.id, "confirm")
            await _announce("127.0.0.1", int(simulator.url.rpartition(":")[2]))


async def _announce(host: str, port: int) -> None:
    print(json.dumps({"host": host, "port": port}), flush=True)
    await asyncio.to_thread(sys.stdin.read)


def speed_of_core(core: int) -> tuple[float, float]:
    """Returns milliseconds of one RSA-2048 signature and one verification on a core, by OpenSSL."""
    os.sched_setaffinity(0, {core})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public, signature = key.public_key(), key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())

    def best(work: Callable[[], object]) -> float:
        found = []
        for _ in range(3):
            began = time.thread_time()
            for _ in range(50):
                work()
            found.append((time.thread_time() - began) / 50 * 1000)
        return min(found)

    return (
        best(lambda: key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())),
        best(lambda: public.verify(signature, b"x", padding.PKCS1v15(), hashes.SHA256())),
    )


def table(runs: dict[str, list[Measured]]) -> str:
    """The medians as a table in Markdown."""
    lines = [
        "| mode | CPU ms a trip | trips a CPU second | trips a second | polls a trip | of bare |",
        "|---|---|---|---|---|---|",
    ]

    for mode, found in runs.items():
        cpu = statistics.median(each.cpu_ms for each in found)
        second = statistics.median(each.per_second for each in found)
        polls = statistics.median(each.polls for each in found)
        # Of each round with its own bare handler: the machine's speed of that moment falls out.
        ratio = (
            statistics.median(
                bare.cpu_ms / each.cpu_ms for bare, each in zip(runs["bare"], found, strict=True)
            )
            if "bare" in runs
            else 1.0
        )
        lines.append(
            f"| {_WHAT[mode]} | {cpu:.3f} | {1000 / cpu:.0f} | {second:.0f} "
            f"| {polls:.2f} | {ratio:.2f} |"
        )
    return "\n".join(lines)


async def compare(modes: list[str], *, rounds: int, count: int, core: int) -> None:
    """Measures the modes by turns, all of them started at once, and prints the medians."""
    found: dict[str, list[Measured]] = {mode: [] for mode in modes}
    signatures: list[tuple[float, float]] = []
    empty: list[float] = []
    async with AsyncExitStack() as stack:
        servers = {mode: await stack.enter_async_context(served(mode, core)) for mode in modes}
        loads = {mode: Load(each.host, each.port) for mode, each in servers.items()}
        for mode, load in loads.items():
            await measure(servers[mode], load, count)
        for _ in range(rounds):
            signatures.append(await asyncio.to_thread(speed_of_core, core))
            for mode, load in loads.items():
                found[mode].append(await measure(servers[mode], load, count))
            if "bare" in modes:
                cpu = servers["bare"].cpu_s()
                await loads["bare"].ask_nothing(count)
                empty.append((servers["bare"].cpu_s() - cpu) / count * 1000)
    sign, verify = (statistics.median(each) for each in zip(*signatures, strict=True))
    print(f"{rounds} rounds of {count} round trips a mode, Python {platform.python_version()};")
    print(f"RSA-2048 by OpenSSL on this core: sign {sign:.3f} ms, verify {verify:.3f} ms;")
    print(f"an aiohttp request that does nothing: {statistics.median(empty or [0]):.3f} ms\n")
    print(table(found))


async def profiled(mode: str, *, count: int, core: int, file: Path) -> None:
    """Makes round trips with the serving process under cProfile."""
    async with served(mode, core, file) as server:
        await measure(server, Load(server.host, server.port), count)


async def soak(mode: str, *, count: int, core: int) -> None:
    """Prints how memory grows over many round trips."""
    print("| round trips | resident MiB |\n|---|---|")
    async with served(mode, core) as server:
        load = Load(server.host, server.port)
        done, step = 0, max(1, count // 10)
        while done < count:
            await load.run(load.prepare(step))
            done += step
            print(f"| {done} | {server.resident_kib() / 1024:.0f} |", flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--modes", default=",".join(MODES), help="of " + ", ".join(MODES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=300, help="round trips a mode and round")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--soak", type=int, metavar="COUNT", help="memory over so many instead")
    parser.add_argument("--profile", type=Path, help="the last mode under cProfile, into this file")
    parser.add_argument("--serve", choices=MODES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.core, given.profile)
        return
    modes = given.modes.split(",")
    others = os.sched_getaffinity(0) - {given.core}
    os.sched_setaffinity(0, others or {given.core})
    if given.profile:
        asyncio.run(profiled(modes[-1], count=given.count, core=given.core, file=given.profile))
    elif given.soak:
        asyncio.run(soak(modes[-1], count=given.soak, core=given.core))
    else:
        asyncio.run(compare(modes, rounds=given.rounds, count=given.count, core=given.core))


if __name__ == "__main__":
    main()
