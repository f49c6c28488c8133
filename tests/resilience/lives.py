"""The lives of one gateway: each a process, started, watched, killed, and started again.

The other side of `zygote`. A life is dead once its process is, so that its locks are free.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

__all__ = ["Life", "Lives", "News", "NotReachedError", "Order", "Zygote"]

_MARKED = "write Delivery._deliver: committed"
_PATIENCE = 60.0
"""Seconds to wait for anything: far longer than all of it takes, so that only a defect meets it."""


class NotReachedError(Exception):
    """The life was not at the point where it was to die: nothing was shown."""


class News:
    """Wakes whoever waits for something to come true."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something has changed."""
        told, self._next = self._next, asyncio.Event()
        told.set()

    async def until(self, held: Callable[[], bool]) -> None:
        """``TimeoutError`` after ``_PATIENCE``."""
        async with asyncio.timeout(_PATIENCE):
            while not held():
                await self._next.wait()


@frozen(kw_only=True)
class Order:
    """What every life of one gateway is started with; settings as JSON."""

    folder: Path
    upstream: dict[str, Any]
    trust: dict[str, Any]


@define(eq=False)
class Life:
    """One process."""

    die_at: str | None
    news: News
    _process: int
    """Its pidfd: a number that no later process can have."""
    url: str = ""
    points: list[str] = field(factory=list)
    killed: bool = False
    death: asyncio.Event = field(factory=asyncio.Event)

    @property
    def dead(self) -> bool:
        """Its process is no more."""
        return self.death.is_set()

    @property
    def reached(self) -> bool:
        """It was at the point where it was to die."""
        return self.die_at is not None and self.points[-1:] == [self.die_at]

    def kill(self) -> None:
        """With SIGKILL; a dead one is no error."""
        if not self.dead:
            self.killed = True
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)

    def passed(self, name: str) -> bool:
        """Whether any point of that name was told."""
        return any(point.rpartition("#")[0] == name for point in self.points)

    async def watch(self, reader: asyncio.StreamReader) -> None:
        """Take in what it tells, until its process has ended."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._process, ended.set)
        try:
            with contextlib.suppress(ConnectionError):
                async for line in reader:
                    kind, _, text = line.decode().rstrip("\n").partition(" ")
                    if kind == "point":
                        self.points.append(text)
                    else:
                        self.url = text
                    self.news.tell()
            await ended.wait()
        finally:
            loop.remove_reader(self._process)
            os.close(self._process)
            self.death.set()
            self.news.tell()


@frozen
class Zygote:
    """The program that forks lives."""

    path: Path

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, path: Path) -> AsyncIterator[Zygote]:
        """It listens on ``path`` (short: a Unix socket) until the end of the block."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.resilience.zygote",
            str(path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_PATIENCE):
                assert await process.stdout.readline() == b"ready\n"
            yield cls(path)
        finally:
            process.stdin.close()
            await process.wait()

    @contextlib.asynccontextmanager
    async def life(
        self, order: Order, news: News, *, die_at: str | None, later: float
    ) -> AsyncIterator[Life]:
        """A process; killed at the end of the block if it still lives."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        kind, _, pid = (await reader.readline()).decode().partition(" ")
        assert kind == "pid"
        life = Life(die_at, news, os.pidfd_open(int(pid)))
        content = {
            "folder": str(order.folder),
            "upstream": order.upstream,
            "trust": order.trust,
            "die_at": die_at,
            "later": later,
        }
        watching = asyncio.ensure_future(life.watch(reader))
        try:
            writer.write(json.dumps(content).encode() + b"\n")
            yield life
        finally:
            life.kill()
            await watching
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@define(eq=False)
class Lives:
    """What an operator's supervisor does: starts the next life as soon as one has ended.

    ``plan``: for each life the point at which it kills itself, None where a test kills it; those
    after the plan are started to live.
    ``later``: seconds that the clock is ahead in every life but the first.
    """

    zygote: Zygote
    order: Order
    plan: Sequence[str | None] = ()
    later: float = 0.0
    all: list[Life] = field(factory=list)
    news: News = field(factory=News)
    _keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Lives:
        self._keeping = asyncio.ensure_future(self._keep())
        self._keeping.add_done_callback(lambda _: self.news.tell())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Kill the one that lives; no other follows."""
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    async def now(self) -> Life:
        """The living one, once it listens.

        Raises:
            AssertionError: One has ended though nobody killed it.
        """

        def found() -> bool:
            return self._ended() or bool(
                self.all and self.all[-1].url != "" and not self.all[-1].dead
            )

        await self.news.until(found)
        self._raise()
        return self.all[-1]

    async def until(self, held: Callable[[], bool]) -> None:
        """Wait for something that the lives tell. Raises as `now`."""
        await self.news.until(lambda: self._ended() or held())
        self._raise()

    async def until_over(self) -> None:
        """Every planned death has come, and nothing waits to be delivered any more.

        Raises:
            NotReachedError: A planned one cannot come any more.
            AssertionError: As `now`.
        """

        for number, point in enumerate(self.plan):
            await self.until(partial(self._over, number))
            if not self.all[number].dead:
                raise NotReachedError(str(point))
        await self.now()
        while True:
            # Counted before it is looked: what is marked in between counts as news.
            marked = self._marked()
            if not self._undelivered():
                return
            await self.until(partial(self._more_than, marked))

    def log(self) -> str:
        """What all of them wrote."""
        path = self.order.folder / "log"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    # -- inside --------------------------------------------------------------------------------

    def _over(self, number: int) -> bool:
        if len(self.all) <= number:
            return False
        life = self.all[number]
        return life.dead or (life.passed(_MARKED) and life.die_at not in life.points)

    def _marked(self) -> int:
        return sum(point.startswith(_MARKED) for life in self.all for point in life.points)

    def _more_than(self, marked: int) -> bool:
        return self._marked() > marked

    def _undelivered(self) -> bool:
        file = self.order.folder / "gateway.db"
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            found = database.execute(
                "SELECT EXISTS (SELECT 1 FROM outbox_messages WHERE delivered_at IS NULL)"
            )
            return bool(found.fetchone()[0])

    def _ended(self) -> bool:
        return self._keeping is None or self._keeping.done()

    def _raise(self) -> None:
        if self._keeping is not None and self._keeping.done():
            self._keeping.result()

    async def _keep(self) -> None:
        while True:
            number = len(self.all)
            die_at = self.plan[number] if number < len(self.plan) else None
            later = self.later if number else 0.0
            async with self.zygote.life(self.order, self.news, die_at=die_at, later=later) as life:
                self.all.append(life)
                self.news.tell()
                await life.death.wait()
            if not life.killed and not life.reached:
                raise AssertionError(f"life {number} ended by itself: {self.log()[-3000:]}")
