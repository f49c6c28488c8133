"""The process in which hostile documents are parsed: ``python -P -m moica_gateway.formats.worker``.

It gets one job at a time on standard input and answers on standard output (`formats.frames`). It
holds no key, no database, no secret of the environment; memory, files and time are limited by the
operating system, so that a parser that runs away is stopped even when the gateway has died. What a
library raises becomes the name of its class: its text may quote the document.

It is no sandbox against code that a document might smuggle in through a defect of a C library: it
still runs under the gateway's user.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from moica_gateway.errors import GatewayError, Problem, error_of
from moica_gateway.formats.frames import OPERATIONS, Frame, FrameError, read_frame, write_frame
from moica_gateway.formats.options import FormatOptions
from moica_gateway.ports import Format, LevelFormat, SignatureReader

__all__ = ["limit", "private_line", "quiet", "serve"]

_MOST: Final = 2**30
_HEAVY: Final = 3
"""Of so many parts of the memory, one: who once needed more is replaced after the job."""


class _AskingTimestamper:
    """`ports.Timestamper` by way of the gateway, which has the network."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    async def timestamp(self, digest: bytes) -> bytes:
        """See the port."""
        answer = self._line.ask({"say": "timestamp"}, (digest, bytes))
        if answer.head.get("say") != "token":
            raise error_of(Problem.from_json(answer.head["problem"]))
        return cast(bytes, answer.part(0, bytes))


class _Line:
    """Both directions, with the alarm set only while we work."""

    def __init__(self, source: BinaryIO, to: BinaryIO) -> None:
        self._source = source
        self._to = to
        self._seconds = 0.0

    def next(self) -> Frame:
        signal.setitimer(signal.ITIMER_REAL, 0)
        frame = read_frame(self._source, _MOST)
        self._seconds = float(frame.head.get("seconds", self._seconds))
        # Nobody catches SIGALRM: it ends the process, also in the middle of a C library.
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return frame

    def say(self, head: Mapping[str, Any], *parts: tuple[Any, Any]) -> None:
        write_frame(self._to, head, *parts)

    def ask(self, head: Mapping[str, Any], *parts: tuple[Any, Any]) -> Frame:
        self.say(head, *parts)
        return self.next()


def serve(
    formats: Mapping[str, Format],
    readers: Mapping[str, SignatureReader],
    source: BinaryIO,
    to: BinaryIO,
    memory: int,
) -> None:
    """Until the line is closed. ``memory``: bytes that were allowed."""
    line = _Line(source, to)
    line.say({"say": "ready"})
    while True:
        try:
            frame = line.next()
        except FrameError:
            return
        _answer(line, frame, formats, readers, memory)


def _answer(
    line: _Line,
    frame: Frame,
    formats: Mapping[str, Format],
    readers: Mapping[str, SignatureReader],
    memory: int,
) -> None:
    operation = frame.head["operation"]
    try:
        result = _run(line, frame, formats, readers)
    except GatewayError as e:
        line.say({"say": "refused", "problem": e.problem.to_json(), "heavy": _heavy(memory)})
    except (Exception, SystemExit) as e:  # noqa: BLE001 - so does every parser
        line.say({"say": "broken", "what": type(e).__name__, "heavy": True})
    else:
        line.say({"say": "done", "heavy": _heavy(memory)}, (result, OPERATIONS[operation][1]))


def _run(
    line: _Line,
    frame: Frame,
    formats: Mapping[str, Format],
    readers: Mapping[str, SignatureReader],
) -> Any:
    operation, name = frame.head["operation"], frame.head["name"]
    given = [frame.part(n, form) for n, form in enumerate(OPERATIONS[operation][0])]
    match operation:
        case "prepare":
            return formats[name].prepare(*given)
        case "finish":
            return formats[name].finish(*given)
        case "read":
            return tuple(readers[name].read(*given))
        case "raise_level":
            levels = cast(LevelFormat, formats[name])
            artifact, level, material = given
            return asyncio.run(
                levels.raise_level(artifact, level, _AskingTimestamper(line), material)
            )
    raise LookupError(operation)


def _heavy(memory: int) -> bool:
    """Whether so much was needed once that the next job might find too little."""
    with suppress(OSError, ValueError, IndexError):
        # Of this program alone; `getrusage` counts whoever started it, too.
        status = Path("/proc/self/status").read_text("ascii", "replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 > memory // _HEAVY
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > memory // _HEAVY


def limit(memory: int) -> None:
    """For this process, for ever: ``memory`` in bytes, no file, no core."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Nothing is written but the answer, and that is a pipe.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # The gateway ends its workers; a Ctrl-C at the terminal is for the gateway alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def private_line() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for us alone: what a library prints goes nowhere."""
    source = os.fdopen(os.dup(0), "rb")
    to = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return source, to


def quiet() -> None:
    """From now on a warning of a library, which may quote a document, reaches no log."""
    os.dup2(1, 2)


def main() -> None:
    """The first frame is the set-up."""
    source, to = private_line()
    head = read_frame(source, _MOST).head
    limit(head["memory"])
    # Only now: importing what parses is part of what is limited.
    from moica_gateway.formats import formats_by_name, readers_by_name

    options = FormatOptions(**head["options"])
    formats, readers = formats_by_name(options), readers_by_name()
    quiet()
    serve(formats, readers, source, to, head["memory"])


if __name__ == "__main__":
    main()
