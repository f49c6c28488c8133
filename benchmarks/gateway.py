"""What a signature costs the gateway, beside the protocol's own calls and a client as many write.

A full transaction: ``POST /v1/signatures``, the push, the polls, verdict, CAdES, audit record,
outbox, the signed webhook, and the document system's read of the outcome. The gateway is the real
program (``moica-gateway serve``) on one core with SQLite; simulator, document systems and receiver
run on the other. In turn with it, against the same simulator and with the same number of people at
once, run on the gateway's core:

- **bare**: a script that makes only the protocol's calls (push, one poll after the phone's answer)
  with their checksums, over connections kept alive;
- **loop**: a loop a transaction as common clients do: a connection a call, a poll a second.

What counts is CPU seconds of the process, which other work on the machine disturbs least, and the
ratio to bare in the same round. Nothing is asserted about speed. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from attrs import frozen

from benchmarks.gateway_children import Child, bare_child, gateway_child, simulator_child
from benchmarks.gateway_load import DocumentSystems, Latencies
from benchmarks.gateway_setup import House, prepare_house

_WHAT = {
    "bare": "bare: the protocol's calls only",
    "loop": "a loop a transaction",
    "gateway": "gateway: everything on",
}


@frozen
class Turn:
    """One turn of one way."""

    cpu_ms: float
    """A signature."""
    per_second: float
    latencies: Latencies | None = None


@frozen
class Bench:
    """Everything that runs while figures are taken."""

    house: House
    systems: DocumentSystems
    gateway: Child
    bare: Child
    loop: Child

    async def turn(self, way: str, count: int) -> Turn:
        """So many signatures one way."""
        if way == "gateway":
            return await _measured(self.gateway, lambda: self.systems.sign(count), count)
        child = self.bare if way == "bare" else self.loop

        async def asked() -> None:
            await child.ask({"count": count})

        return await _measured(child, asked, count)


async def _measured(
    child: Child, work: Callable[[], Awaitable[Latencies | None]], count: int
) -> Turn:
    cpu, began = child.cpu_s(), time.perf_counter()
    latencies = await work()
    took, cpu = time.perf_counter() - began, child.cpu_s() - cpu
    return Turn(cpu / count * 1000, count / took, latencies)


@asynccontextmanager
async def on_bench(
    folder: Path,
    *,
    people: int,
    core: int,
    interval: float,
    database: str = "",
    profile: Path | None = None,
) -> AsyncIterator[Bench]:
    """Simulator, gateway and clients, everybody registered."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(simulator_child(people))
        systems = await stack.enter_async_context(DocumentSystems.open())
        house = await prepare_house(
            folder, simulator.told, systems.hook, interval=interval, database=database
        )
        gateway = await stack.enter_async_context(gateway_child(house, core, profile))
        bare = await stack.enter_async_context(bare_child("bare", house, core))
        loop = await stack.enter_async_context(bare_child("loop", house, core))
        await systems.meet(gateway.told["url"], house)
        yield Bench(house, systems, gateway, bare, loop)


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def table(turns: dict[str, list[Turn]]) -> str:
    """The medians as a table in Markdown."""
    lines = [
        "| way | CPU ms a signature | signatures a CPU second | a second | share of bare |",
        "|---|---|---|---|---|",
    ]
    for way, found in turns.items():
        cpu = _median([each.cpu_ms for each in found])
        # Of each round with its own bare turn: the machine's speed of that moment falls out.
        share = _median(
            [
                bare.cpu_ms / each.cpu_ms
                for bare, each in zip(turns["bare"], found, strict=True)
                if each.cpu_ms
            ]
        )
        second = _median([each.per_second for each in found])
        lines.append(
            f"| {_WHAT[way]} | {cpu:.2f} | {1000 / cpu:.0f} | {second:.0f} | {share:.3f} |"
        )
    return "\n".join(lines)


def latency_lines(turns: list[Turn], interval: float) -> str:
    """What document systems saw, over all rounds."""
    created = sorted(ms for t in turns if t.latencies for ms in t.latencies.created_ms)
    told = sorted(ms for t in turns if t.latencies for ms in t.latencies.told_ms)
    lines = [f"poll interval {interval:g} s", "", "| ms | median | p99 |", "|---|---|---|"]
    for name, values in (("create call", created), ("created to webhook", told)):
        if values:
            p99 = values[min(len(values) - 1, int(len(values) * 0.99))]
            lines.append(f"| {name} | {_median(values):.1f} | {p99:.1f} |")
    return "\n".join(lines)


async def compare(given: argparse.Namespace) -> None:
    """Measures the ways by turns and prints the medians."""
    turns: dict[str, list[Turn]] = {way: [] for way in _WHAT}
    with tempfile.TemporaryDirectory() as folder:
        async with on_bench(
            Path(folder),
            people=given.people,
            core=given.core,
            interval=given.interval,
            database=given.database,
        ) as bench:
            for way in _WHAT:
                await bench.turn(way, given.count)
            for _ in range(given.rounds):
                for way, found in turns.items():
                    found.append(await bench.turn(way, given.count))
    print(f"{given.rounds} rounds of {given.count} signatures, {given.people} people at once,")
    print(f"Python {platform.python_version()}, {given.database.partition(':')[0] or 'sqlite'}\n")
    print(table(turns), "\n")
    print(latency_lines(turns["gateway"], given.interval))


async def profiled(given: argparse.Namespace) -> None:
    """The gateway under cProfile, into a file."""
    with tempfile.TemporaryDirectory() as folder:
        async with on_bench(
            Path(folder),
            people=given.people,
            core=given.core,
            interval=given.interval,
            profile=given.profile.absolute(),
        ) as bench:
            await bench.turn("gateway", given.count)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=600, help="signatures a way and round")
    parser.add_argument("--people", type=int, default=150, help="who sign at once")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two polls")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--database", default="", help="postgresql://… instead of SQLite")
    parser.add_argument("--profile", type=Path, help="the gateway under cProfile, into this file")
    given = parser.parse_args()
    os.sched_setaffinity(0, (os.sched_getaffinity(0) - {given.core}) or {given.core})
    if given.profile:
        asyncio.run(profiled(given))
    else:
        asyncio.run(compare(given))


if __name__ == "__main__":
    main()
