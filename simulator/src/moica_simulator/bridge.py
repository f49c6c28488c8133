"""A simulator for tests of either kind: it runs in a thread of its own, with a loop of its own.

Blocking test-suites call it and get the result; asynchronous ones await the same calls. The loop
of the test is never used, so that it makes no difference which plugin made it, or whether it is
blocked by a client that is not asynchronous. Only asyncio's loops are served, not trio's.
"""

import asyncio
import concurrent.futures
import contextlib
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from moica_simulator.clock import Clock
from moica_simulator.faults import FaultBox
from moica_simulator.simulator import Simulator

__all__ = ["LONGEST_CALL_S", "BackgroundLoop", "Bridge", "running_simulator"]

T = TypeVar("T")

LONGEST_CALL_S = 30.0
"""After so many seconds a call gives up, e.g. one that waits for a request that never comes."""

# What is reached through a simulator and has to be called in its thread as well.
_REACHED = (Clock, FaultBox)


class BackgroundLoop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="moica-simulator-loop", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T], *, what: str = "the simulator") -> T:
        """Runs a coroutine there and returns its result.

        Raises:
            TimeoutError: If it takes longer than `LONGEST_CALL_S`.
        """
        future = self.begin(coroutine)
        try:
            return future.result(LONGEST_CALL_S)
        except concurrent.futures.TimeoutError as error:
            if future.done():
                raise  # its own
            future.cancel()
            raise _late(what) from error

    async def wait(self, coroutine: Coroutine[Any, Any, T], *, what: str) -> T:
        """Awaits, in the caller's loop, a coroutine that runs there; raises as `run`."""
        future = asyncio.wrap_future(self.begin(coroutine))
        done, _ = await asyncio.wait({future}, timeout=LONGEST_CALL_S)
        if not done:
            future.cancel()
            raise _late(what)
        return future.result()

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        """Begins to run a coroutine there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self) -> None:
        """Stops the loop and ends the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Bridge:
    """Stands for an object that lives in a background loop; used like the object itself.

    Args:
        target: The object.
        loop: Where it lives.
        awaits: Whether its coroutine functions are awaited; otherwise they are called, and block.
    """

    def __init__(self, target: object, loop: BackgroundLoop, *, awaits: bool) -> None:
        self._target = target
        self._loop = loop
        self._awaits = awaits

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = self._there(lambda: getattr(self._target, name))
        if isinstance(value, _REACHED):
            return Bridge(value, self._loop, awaits=self._awaits)
        if not callable(value):
            return value
        if inspect.iscoroutinefunction(value):
            return self._waiting(name, value)
        return lambda *given, **named: self._there(lambda: value(*given, **named))

    def __repr__(self) -> str:
        return f"<{self._target!r} in a thread of its own>"

    def _waiting(self, name: str, function: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
        def call(*given: Any, **named: Any) -> Any | Awaitable[Any]:
            coroutine = function(*given, **named)
            if self._awaits:
                return self._loop.wait(coroutine, what=name)
            return self._loop.run(coroutine, what=name)

        return call

    def _there(self, function: Callable[[], T]) -> T:
        async def ask() -> T:
            return function()

        return self._loop.run(ask())


@contextlib.contextmanager
def running_simulator(loop: BackgroundLoop, options: Mapping[str, Any]) -> Iterator[Simulator]:
    """Starts a simulator in a background loop, and stops it in the end.

    Args:
        loop: Where.
        options: As for `Simulator.start`.
    """
    context = Simulator.start(**options)
    simulator = loop.run(_enter(context), what="Simulator.start")
    try:
        yield simulator
    finally:
        loop.run(_leave(context), what="the simulator's stop")


async def _enter(context: contextlib.AbstractAsyncContextManager[T]) -> T:
    return await context.__aenter__()


async def _leave(context: contextlib.AbstractAsyncContextManager[Any]) -> None:
    await context.__aexit__(None, None, None)


def _late(what: str) -> TimeoutError:
    return TimeoutError(
        f"{what} was not done within {LONGEST_CALL_S:g} s. If it waits for a request: none has "
        "come to this phone; moica_platform.requests shows what was asked of the platform"
    )
