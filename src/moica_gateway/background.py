"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """A loop in a daemon thread; of the process that made it, so look at ``pid`` after a fork.

    Args:
        keep: What holds connections of that loop.
    """

    def __init__(self, keep: object) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._serve, args=(keep,), name="moica-gateway-client", daemon=True
        )
        self._thread.start()

    def _serve(self, keep: object) -> None:
        # After a fork this frame lives on in the child and keeps the parent's connection from
        # being finalised there: that would unregister it from the poll that the two share.
        self._loop.run_forever()
        del keep

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run on the loop; the caller waits, or not."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """Whatever still runs is cancelled, then the thread ends."""
        self.begin(self._cancel_all()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_all(self) -> None:
        # Whoever still waits for an answer in another thread must not wait for ever.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
