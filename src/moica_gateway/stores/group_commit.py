"""Group commit: one thread writes, and many pieces of work share one commit (bar.md).

A commit costs a write to the disk whatever is in it. So the thread takes all work that waits (up
to a limit), runs each piece inside a savepoint of its own, commits once, and only then answers,
also to work that failed by itself: what it saw of the others may not exist after a failed commit.

A caller that is cancelled gives up its answer, not its work: that may be committed all the same.
The thread knows nothing of event loops but ``call_soon_threadsafe``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, TypeVar

from attrs import define, field

from moica_gateway.domain.values import TenantId
from moica_gateway.errors import GatewayError
from moica_gateway.stores.runner import Runner, unavailable
from moica_gateway.stores.unit_of_work import SqlUnitOfWork

__all__ = ["GroupCommit", "Writer"]

T = TypeVar("T")

_LARGEST_GROUP: Final = 64


class Writer(Protocol):
    """The one connection that writes. All methods are called in the writing thread.

    Each raises ``ConfigurationError`` ``storage_unavailable`` when the group is lost.
    """

    def run(self, thread: Callable[[], None]) -> None:
        """Run the writing thread's whole life, with whatever the driver needs around it."""

    def begin(self) -> Runner:
        """Begin a transaction that may write, connecting anew where needed."""

    def savepoint(self) -> None:
        """Before one piece of work."""

    def release(self) -> None:
        """It succeeded."""

    def undo(self) -> None:
        """It failed: back to the savepoint."""

    def commit(self) -> None:
        """Durable when this returns."""

    def abandon(self) -> None:
        """Roll back whatever is open; raises nothing."""

    def scrub(self) -> None:
        """After an erasure was committed: no older copy of a page stays; raises nothing."""

    def close(self) -> None:
        """Raises nothing."""


@define(eq=False)
class _Item:
    work: Callable[[SqlUnitOfWork], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    raised: BaseException | None = field(default=None)
    audited: frozenset[TenantId] = frozenset()


class GroupCommit:
    """The queue, its thread, and the counts ``commits`` and ``works`` for telemetry."""

    def __init__(
        self,
        writer: Writer,
        unit_of_work: Callable[[Runner], SqlUnitOfWork],
        audited: Callable[[TenantId], None] = lambda _tenant: None,
    ) -> None:
        self.commits = 0
        self.works = 0
        self._writer = writer
        self._unit_of_work = unit_of_work
        self._audited = audited
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. It is a daemon: a program that dies must not hang on it."""
        self._thread = threading.Thread(
            target=self._writer.run, args=(self._run,), name="store-writer", daemon=True
        )
        self._thread.start()

    async def submit(self, work: Callable[[SqlUnitOfWork], T]) -> T:
        """Queue the work; returns what it returned, once that is durable.

        Raises:
            ConfigurationError: ``storage_unavailable``: nothing was stored.
            Exception: what ``work`` raised; nothing of it was stored.
        """
        if self._thread is None:
            raise unavailable("the store is not open")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Item(work, future, loop))
        return await future

    async def close(self) -> None:
        """Refuse new work, finish what is queued, end the thread."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        closing = False
        while not closing:
            group, closing = self._next_group()
            if group:
                self._commit(group)
                self._answer(group)
        self._writer.close()

    def _next_group(self) -> tuple[list[_Item], bool]:
        item = self._queue.get()
        group: list[_Item] = []
        while item is not None:
            group.append(item)
            if len(group) == _LARGEST_GROUP:
                return group, False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _commit(self, group: list[_Item]) -> None:
        units = []
        try:
            runner = self._writer.begin()
            for item in group:
                unit = self._unit_of_work(runner)
                self._writer.savepoint()
                if self._run_one(item, unit, runner):
                    units.append(unit)
            self._writer.commit()
        except GatewayError as lost:
            self._writer.abandon()
            for item in group:
                item.raised = type(lost)(lost.problem)
            return
        self.commits += 1
        self.works += len(group)
        for unit in units:
            unit.committed()
        if any(unit.erased for unit in units):
            self._writer.scrub()

    def _run_one(self, item: _Item, unit: SqlUnitOfWork, runner: Runner) -> bool:
        try:
            item.result = item.work(unit)
        except BaseException as raised:  # noqa: BLE001 - handed to the caller, whatever it is
            item.raised = raised
        if runner.lost is not None:
            raise runner.lost
        if item.raised is not None:
            self._writer.undo()
            return False
        self._writer.release()
        item.audited = frozenset(unit.audited)
        return True

    def _answer(self, group: list[_Item]) -> None:
        """One call into each loop, however many answers it gets."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
        for item in group:
            by_loop.setdefault(item.loop, []).append(item)
        for loop, items in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._settle, items)
            except RuntimeError:
                continue  # that loop is closed: nobody waits any more

    def _settle(self, items: list[_Item]) -> None:
        _settle(items)
        # Also for callers who have given up: their work is committed.
        for tenant in {t for item in items if item.raised is None for t in item.audited}:
            self._audited(tenant)


def _settle(items: list[_Item]) -> None:
    for item in items:
        if item.future.done():
            continue
        if item.raised is None:
            item.future.set_result(item.result)
        elif isinstance(item.raised, StopIteration | StopAsyncIteration):
            item.future.set_exception(RuntimeError("work raised StopIteration"))
        else:
            item.future.set_exception(item.raised)
