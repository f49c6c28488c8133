"""Each parser under mutated input, a short run; `make fuzz` is the long one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator

import pytest
from attrs import evolve

from fuzz.running import in_child, once
from fuzz.targets import TARGETS, Target

INPUTS = 1_000
ANSWERED = ("request", "CMS of a phone")
"""These say no without an error."""


@pytest.fixture
def handler() -> Iterator[None]:
    """Of the alarm that ends an input, as the process of a target has it."""

    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_seed_is_let_in(target: Target) -> None:
    """The fuzzer starts from what is good, so that it reaches what lies behind the first check."""
    seeds = target.seeds()
    assert seeds
    assert [once(target, seed, 60.0) for seed in seeds] == [None] * len(seeds)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
async def test_hostile_input_has_a_clear_error_in_bounded_time_and_memory(target: Target) -> None:
    """A thousand inputs: no foreign exception, none over twenty seconds, none out of memory."""
    found = await asyncio.to_thread(in_child, target.name, INPUTS, 7, 20.0)
    assert not isinstance(found, int), found
    assert found.foreign == {}
    assert found.inputs == INPUTS
    assert found.accepted < INPUTS or target.name in ANSWERED


@pytest.mark.parametrize(
    ("run", "said"),
    [(lambda _: int("x"), "ValueError"), (lambda _: {}["x"], "KeyError"), (lambda _: None, None)],
)
def test_what_is_foreign_is_found(run: Callable[[bytes], object], said: str | None) -> None:
    """A parser that lets an exception of its own out does not pass."""
    assert once(evolve(TARGETS[0], run=run), b"", 60.0) == said


@pytest.mark.usefixtures("handler")
def test_what_takes_too_long_is_found() -> None:
    """An input that never comes back is ended and told."""

    def forever(_: bytes) -> None:
        while True:
            pass

    assert once(evolve(TARGETS[0], run=forever), b"", 0.05) == "TimeoutError"
