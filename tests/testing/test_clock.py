"""The clock that stands still: wakes in order, lets the loop run, never sleeps for real."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.random import SeededRandom


async def test_time_moves_only_when_told() -> None:
    """Wall clock and monotonic clock move together, by what a test says."""
    clock = FrozenClock()
    start = clock.now()
    assert clock.now() == start
    assert start.tzinfo is UTC
    await clock.advance(2.5)
    assert clock.now() - start == timedelta(seconds=2.5)
    assert clock.monotonic() == 2.5
    clock.advance_now(1)
    assert clock.monotonic() == 3.5


async def test_sleepers_wake_in_order_and_see_their_own_time() -> None:
    """Each sleeper wakes at its deadline, in the order of deadlines, then of going to sleep."""
    clock, woken = FrozenClock(), []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    tasks = [
        asyncio.create_task(sleeper(name, seconds))
        for name, seconds in (("c", 3), ("a", 1), ("b", 2), ("b2", 2), ("late", 9))
    ]
    await clock.advance(5)
    assert woken == [("a", 1), ("b", 2), ("b2", 2), ("c", 3)]
    assert clock.sleepers == 1
    tasks[-1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert clock.sleepers == 0


async def test_a_loop_of_sleeps_runs_as_often_as_it_would() -> None:
    """A task that sleeps again within the span is woken again, without a drift."""
    clock, ticks = FrozenClock(), []

    async def poll() -> None:
        while True:
            await clock.sleep(4)
            ticks.append(clock.monotonic())

    task = asyncio.create_task(poll())
    began = time.monotonic()
    await clock.advance(3600)
    assert ticks == [4.0 * n for n in range(1, 901)]
    assert time.monotonic() - began < 60
    task.cancel()


async def test_advance_now_wakes_at_the_next_turn() -> None:
    """The synchronous form moves time at once; who was due runs when the loop does."""
    clock, woken = FrozenClock(), []

    async def sleeper() -> None:
        await clock.sleep(1)
        woken.append(clock.monotonic())

    task = asyncio.create_task(sleeper())
    await clock.settle()
    clock.advance_now(10)
    assert woken == []
    await task
    assert woken == [10]


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_sleep_returns_at_once(seconds: float) -> None:
    """Zero or less lets others run, and does not wait for the clock."""
    await asyncio.wait_for(FrozenClock().sleep(seconds), 10)


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    """Cancelling a sleep raises there and troubles nobody later."""
    clock = FrozenClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await clock.advance(2)


async def test_the_clock_does_not_go_back() -> None:
    """A negative span and a naive start are mistakes of the test."""
    clock = FrozenClock()
    with pytest.raises(ValueError, match="back"):
        await clock.advance(-1)
    with pytest.raises(ValueError, match="back"):
        clock.advance_now(-1)
    with pytest.raises(ValueError, match="aware"):
        FrozenClock(datetime(2026, 4, 24))


def test_seeded_randomness_repeats_itself() -> None:
    """Two doubles of one seed agree; another seed differs; values are of the right shape."""
    one, same, other = SeededRandom(1), SeededRandom(1), SeededRandom(2)
    assert one.token_bytes(16) == same.token_bytes(16) != other.token_bytes(16)
    assert one.uuid4() == same.uuid4()
    assert one.uuid4().version == 4
    assert {one.below(3) for _ in range(99)} == {0, 1, 2}
