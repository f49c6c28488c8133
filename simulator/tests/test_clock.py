"""The clock: advancing, waiting, going back."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from moica_simulator import Clock

NOON = datetime(2026, 4, 24, 4, 0, tzinfo=UTC)


def test_a_frozen_clock_moves_by_advance_only() -> None:
    """It stands, jumps, and goes back."""
    clock = Clock(frozen_at=NOON)
    assert clock.now() == clock.now() == NOON
    assert clock.advance(90.5) == NOON + timedelta(seconds=90.5) == clock.now()
    assert clock.advanced == timedelta(seconds=90.5)
    assert clock.reset() == NOON


def test_a_running_clock_is_ahead_by_what_it_was_advanced() -> None:
    """The machine's time plus the advance, aware."""
    clock = Clock()
    clock.advance(3600)
    ahead = clock.now() - datetime.now(UTC)
    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e15])
def test_an_impossible_advance_is_refused(seconds: float) -> None:
    """Backwards, or out of the calendar; the clock stays where it was."""
    clock = Clock(frozen_at=NOON)
    with pytest.raises(ValueError):
        clock.advance(seconds)
    assert clock.now() == NOON


async def test_whoever_waits_is_woken() -> None:
    """At the moment, not before; a past moment is not waited for."""
    clock = Clock(frozen_at=NOON)
    waiting = asyncio.ensure_future(clock.wait_until(NOON + timedelta(seconds=10)))
    for _ in range(3):
        await asyncio.sleep(0)
        clock.advance(3)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(1)
    await waiting
    await clock.wait_until(NOON)


async def test_a_running_clock_wakes_by_itself() -> None:
    """After a moment of real time."""
    clock = Clock()
    await clock.wait_until(clock.now() + timedelta(milliseconds=5))


def test_a_listener_hears_of_each_change() -> None:
    """Advance and reset, after they happened."""
    clock, heard = Clock(frozen_at=NOON), []
    clock.on_change(lambda: heard.append(clock.advanced.total_seconds()))
    clock.advance(5)
    clock.reset()
    assert heard == [5, 0]
