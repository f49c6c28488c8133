"""Work that outlives its request, and requests that must not outlive the server.

What rings a phone or writes goes on when the caller leaves: half of it would be worse than all.
What only waits (long poll, events) ends as soon as the server begins to stop: it would hold the
stop up for as long as a phone may ring. Deliberately not here: what runs, and for how long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from moica_gateway.web.keys import RUNNING, STOPPING, WAITING

__all__ = ["carry_on", "mind_the_stop", "unless_stopped"]

T = TypeVar("T")


def mind_the_stop(app: web.Application) -> None:
    """Hang the three keys and both signals into the application."""
    app[RUNNING] = set()
    app[WAITING] = set()
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_stop_waiting)
    app.on_cleanup.append(_finish_running)


async def carry_on(app: web.Application, work: Coroutine[Any, Any, T]) -> T:
    """Its result; the work goes on to its end when the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    # The loop itself holds tasks weakly: one that nobody awaits any more could be collected.
    app[RUNNING].add(task)
    task.add_done_callback(app[RUNNING].discard)
    return await asyncio.shield(task)


async def unless_stopped(app: web.Application, work: Coroutine[Any, Any, T]) -> T | None:
    """Its result; None as soon as the server stops, the work is cancelled then."""
    task: asyncio.Task[T] = asyncio.ensure_future(work)
    app[WAITING].add(task)
    if app[STOPPING].is_set():
        task.cancel()
    try:
        await asyncio.wait({task})
    finally:
        app[WAITING].discard(task)
        task.cancel()
    return None if task.cancelled() else task.result()


async def _stop_waiting(app: web.Application) -> None:
    app[STOPPING].set()
    waiting = app[WAITING]
    for task in tuple(waiting):
        task.cancel()


async def _finish_running(app: web.Application) -> None:
    running = app[RUNNING]
    while running:
        await asyncio.wait(tuple(running))
