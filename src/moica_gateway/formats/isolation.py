"""`ports.Workshop` with processes that can be killed: where documents of strangers are parsed.

A format or reader that says ``parses`` works in one of a few worker processes (`formats.worker`),
each within a limit of memory and of time; the others are called in place, they only hash. A worker
that overruns, dies or answers nonsense is killed and replaced, and the caller gets an error of
ours. Workers start with the first job that needs one and end with `close`.

Nothing is repeated: a document that broke one worker would break the next one too.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO, Final, TypeVar, cast

from attrs import asdict, frozen

from moica_gateway.domain.models import Artifact, Document, Prepared, SignContext
from moica_gateway.domain.readings import FoundSignature, GivenContent, ValidationMaterial
from moica_gateway.errors import GatewayError, Problem, error, error_of
from moica_gateway.formats.frames import OPERATIONS, Frame, FrameError, read_frame, write_frame
from moica_gateway.formats.options import FormatOptions
from moica_gateway.ports import Clock, Format, LevelFormat, SignatureReader, Timestamper

__all__ = ["IsolatedWorkshop", "WorkerLimits"]

T = TypeVar("T")

_COMMAND: Final = (sys.executable, "-P", "-m", "moica_gateway.formats.worker")
_ENVIRONMENT: Final = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TZ", "VIRTUAL_ENV")
"""All that a worker is told of ours: it has no business with keys and passwords."""


@frozen(kw_only=True)
class WorkerLimits:
    """Of one job.

    Attributes:
        seconds: Until the worker is killed.
        slack: So many seconds later it stops itself: for when nobody is there to kill it.
        memory: Bytes of address space.
        answer: Bytes of the largest answer.
        workers: How many jobs at a time; the others wait.
    """

    seconds: float = 20.0
    slack: float = 5.0
    memory: int = 1_536 * 1_048_576
    answer: int = 256 * 1_048_576
    workers: int = 2


class IsolatedWorkshop:
    """See the module. Belongs to one event loop."""

    def __init__(
        self,
        formats: Mapping[str, Format],
        readers: Mapping[str, SignatureReader],
        clock: Clock,
        *,
        options: FormatOptions | None = None,
        limits: WorkerLimits | None = None,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        """``command``: of the worker; it has the same formats and readers by name."""
        self._formats = formats
        self._readers = readers
        self._clock = clock
        self._options = options or FormatOptions()
        self._limits = limits or WorkerLimits()
        self._command = tuple(command)
        self._free = asyncio.Semaphore(self._limits.workers)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False

    async def prepare(
        self, name: str, document: Document, content: bytes | None, context: SignContext
    ) -> Prepared:
        """See the port."""
        format_ = self._formats[name]
        if not format_.parses:
            return format_.prepare(document, content, context)
        return cast(Prepared, await self._job("prepare", name, document, content, context))

    async def finish(
        self, name: str, prepared: Prepared, signature: bytes, context: SignContext
    ) -> Artifact:
        """See the port."""
        format_ = self._formats[name]
        if not format_.parses:
            return format_.finish(prepared, signature, context)
        return cast(Artifact, await self._job("finish", name, prepared, signature, context))

    async def raise_level(
        self,
        name: str,
        artifact: bytes,
        level: str,
        timestamper: Timestamper,
        material: ValidationMaterial,
    ) -> bytes:
        """See the port."""
        format_ = self._formats[name]
        if not format_.parses:
            levels = cast(LevelFormat, format_)
            return await levels.raise_level(artifact, level, timestamper, material)
        given = (artifact, level, material)
        return cast(bytes, await self._job("raise_level", name, *given, timestamper=timestamper))

    async def read(self, name: str, data: bytes, given: GivenContent) -> tuple[FoundSignature, ...]:
        """See the port. Every reader parses."""
        return cast(tuple[FoundSignature, ...], await self._job("read", name, data, given))

    async def close(self) -> None:
        """Kill what runs; may be called twice. Jobs under way end with an error."""
        self._closed = True
        for worker in tuple(self._all):
            worker.kill()
        threads, self._threads = self._threads, None
        if threads is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, threads.shutdown)
        for worker in tuple(self._all):
            worker.end()
        self._all.clear()
        self._idle.clear()

    # -- inside --------------------------------------------------------------------------------

    async def _job(
        self, operation: str, name: str, *given: Any, timestamper: Timestamper | None = None
    ) -> Any:
        parts = tuple(zip(given, OPERATIONS[operation][0], strict=True))
        head = {
            "operation": operation,
            "name": name,
            "seconds": self._limits.seconds + self._limits.slack,
        }
        async with self._free:
            worker = await self._worker()
            keep = False
            try:
                frame = await self._exchange(operation, worker, head, *parts)
                while frame.head.get("say") == "timestamp" and timestamper is not None:
                    frame = await self._timestamp(operation, worker, frame, timestamper)
                result = _result(operation, frame)
                keep = not frame.head.get("heavy")
                return result
            except _Refused as e:
                keep = not e.heavy
                raise error_of(e.problem) from None
            except FrameError:
                if self._closed:
                    raise _closing() from None
                raise _overrun(operation, "the process that read it came to its end") from None
            finally:
                if keep and not self._closed:
                    self._idle.append(worker)
                else:
                    self._drop(worker)

    async def _timestamp(
        self, operation: str, worker: _Worker, frame: Frame, timestamper: Timestamper
    ) -> Frame:
        digest = frame.part(0, bytes)
        try:
            token = await timestamper.timestamp(digest)
        except GatewayError as e:
            said = {"say": "refused", "problem": e.problem.to_json()}
            return await self._exchange(operation, worker, said)
        return await self._exchange(operation, worker, {"say": "token"}, (token, bytes))

    async def _exchange(
        self, operation: str, worker: _Worker, head: Mapping[str, Any], *parts: tuple[Any, Any]
    ) -> Frame:
        """One question, one answer, within the time."""
        answer = asyncio.ensure_future(self._in_thread(lambda: worker.exchange(head, parts)))
        over = asyncio.ensure_future(self._clock.sleep(self._limits.seconds))
        try:
            await asyncio.wait({answer, over}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise _overrun(operation, f"it took more than {self._limits.seconds:g} s")
            return answer.result()
        finally:
            over.cancel()
            # Whoever gives up drops the worker; the thread then gets the end of the line.
            answer.cancel()

    async def _worker(self) -> _Worker:
        if self._closed:
            raise _closing()
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
            self._drop(worker)
        worker = _Worker(self._command, self._limits.answer)
        self._all.add(worker)
        try:
            await self._in_thread(
                lambda: worker.start(
                    {"options": asdict(self._options), "memory": self._limits.memory}
                )
            )
        except (OSError, FrameError) as e:
            self._drop(worker)
            raise error(
                "internal_error",
                "expected a process that reads documents to start, came "
                f"{type(e).__name__}; the operator looks at the gateway's standard error",
            ) from e
        except BaseException:
            self._drop(worker)
            raise
        return worker

    def _drop(self, worker: _Worker) -> None:
        worker.kill()
        self._all.discard(worker)
        if self._threads is not None:
            self._threads.submit(worker.end)
        else:
            worker.end()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            # A thread that waits for a killed worker's last word must not hold up the next one.
            self._threads = ThreadPoolExecutor(
                max_workers=2 * self._limits.workers + 1, thread_name_prefix="workshop"
            )
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class _Refused(Exception):
    def __init__(self, problem: Problem, *, heavy: bool) -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.heavy = heavy


class _Worker:
    """One process. `kill` may be called from any thread at any time; the rest one at a time."""

    def __init__(self, command: Sequence[str], most: int) -> None:
        self._command = command
        self._most = most
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._killed = False

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, head: Mapping[str, Any]) -> None:
        with self._lock:
            if self._killed:
                raise FrameError("ended before it began")
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={k: v for k, v in os.environ.items() if k in _ENVIRONMENT},
            )
        if self.exchange(head, ()).head.get("say") != "ready":
            raise FrameError("expected a worker to be ready")

    def exchange(self, head: Mapping[str, Any], parts: Sequence[tuple[Any, Any]]) -> Frame:
        """Raises `FrameError` when the process is gone."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise FrameError("expected a process that runs")
        try:
            write_frame(cast(BinaryIO, process.stdin), head, *parts)
            return read_frame(cast(BinaryIO, process.stdout), self._most)
        except (OSError, ValueError):
            raise FrameError("the process is gone") from None

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def end(self) -> None:
        """Reap it; it was killed before."""
        process = self._process
        if process is None:
            return
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                # Closing flushes what the process did not live to read.
                with suppress(OSError):
                    pipe.close()


def _result(operation: str, frame: Frame) -> Any:
    said = frame.head.get("say")
    heavy = bool(frame.head.get("heavy"))
    if said == "done":
        return frame.part(0, OPERATIONS[operation][1])
    if said == "refused" and isinstance(frame.head.get("problem"), dict):
        raise _Refused(Problem.from_json(frame.head["problem"]), heavy=heavy)
    if said == "broken":
        what = str(frame.head.get("what"))[:60]
        why = "more memory than it may have" if what == "MemoryError" else what
        raise _stopped(operation, f"reading it ended in {why}")
    raise FrameError("expected an answer, came something else")


def _closing() -> GatewayError:
    return error("internal_error", "expected a running gateway, it is shutting down")


def _overrun(operation: str, why: str) -> GatewayError:
    if operation == "finish":
        # The holder has signed by now, and the document was read before: rather a machine that is
        # overloaded than a fault of the file. The caller tries again.
        return error("internal_error", f"expected a signature to be put into its file, {why}")
    return _stopped(operation, why)


def _stopped(operation: str, why: str) -> GatewayError:
    """The document's fault, as far as anybody can tell."""
    if operation in ("prepare", "finish"):
        return error(
            "document_unreadable",
            f"expected a document that can be read within the limits, {why}; the integrator makes "
            "the file anew, or sends a simpler one",
        )
    return error(
        "artifact_unreadable",
        f"expected a signed file that can be read within the limits, {why}; the integrator sends "
        "it as it was fetched",
    )
