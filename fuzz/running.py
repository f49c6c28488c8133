"""One target in a process of its own, with bounded memory and a bound on the time of each input."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import queue
import random
import resource
import signal
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from fuzz.mutation import mutated
from fuzz.targets import TARGETS, Target

_MEMORY: Final = 2 * 1024**3
_FOUND: Final = Path(__file__).parent / "found"
_MOST_FOUND: Final = 20


class _TooSlowError(BaseException):
    """No library may take it for one of its own."""


__all__ = ["Summary", "in_child", "once", "run", "target_of"]


@frozen(kw_only=True)
class Summary:
    """Of one target. ``slowest``: seconds of one input; ``memory``: MiB more than at the start;
    ``foreign``: how often what came instead of a clear error."""

    name: str
    inputs: int
    accepted: int
    slowest: float
    memory: int
    foreign: dict[str, int]


def run(target: Target, inputs: int, seed: int, seconds: float) -> Summary:
    """All inputs of one target, in this process."""
    chance = random.Random(f"{seed} {target.name}")  # noqa: S311 - repeatable is what it is for
    seeds = target.seeds()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    accepted, slowest, foreign = 0, 0.0, Counter[str]()
    for _ in range(inputs):
        data = mutated(chance, seeds)
        began = time.perf_counter()
        problem = once(target, data, seconds)
        slowest = max(slowest, time.perf_counter() - began)
        accepted += problem is None
        if problem:
            foreign[problem] += 1
            if sum(foreign.values()) <= _MOST_FOUND:
                _FOUND.mkdir(exist_ok=True)
                (_FOUND / hashlib.sha256(data).hexdigest()).write_bytes(data)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    return Summary(
        name=target.name,
        inputs=inputs,
        accepted=accepted,
        slowest=slowest,
        memory=memory,
        foreign=dict(foreign),
    )


def once(target: Target, data: bytes, seconds: float) -> str | None:
    """None where it is let in, empty where it is refused as it may be, else what came instead."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        target.run(data)
    except target.allowed:
        return ""
    except _TooSlowError:
        return f"longer than {seconds} s"
    except Exception as e:  # noqa: BLE001 - that is what is looked for
        return type(e).__name__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return None


def _child(name: str, inputs: int, seed: int, seconds: float, answers: Any) -> None:
    warnings.simplefilter("ignore")
    logging.disable()  # a library's remarks on what is broken
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, _too_slow)
    answers.put(run(target_of(name), inputs, seed, seconds))


def _too_slow(*_: object) -> None:
    raise _TooSlowError


def target_of(name: str) -> Target:
    """By name."""
    return next(target for target in TARGETS if target.name == name)


def in_child(name: str, inputs: int, seed: int, seconds: float) -> Summary | int:
    """The summary, or the status with which the process ended before it had one."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=_child, args=(name, inputs, seed, seconds, answers))
    child.start()
    found = _answer(answers, child)
    child.join()
    return found if found is not None else child.exitcode or -1


def _answer(answers: Any, child: Any) -> Summary | None:
    """What the child says; None where it ends without a word."""
    while True:
        try:
            found: Summary = answers.get(timeout=1.0)
        except queue.Empty:
            if not child.is_alive():
                return None
        else:
            return found
