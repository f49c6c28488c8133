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


def test_a_running_clock_is_frozen_and_runs_on_from_there() -> None:
    """Frozen it stands, also when it was ahead; what it is advanced then is not lost."""
    clock = Clock()
    clock.advance(3600)
    stood = clock.freeze()
    assert clock.frozen
    assert clock.freeze() == clock.now() == stood
    assert timedelta(minutes=59) < stood - datetime.now(UTC) < timedelta(minutes=61)
    clock.advance(3600)
    clock.run()
    assert not clock.frozen
    assert timedelta(minutes=119) < clock.now() - datetime.now(UTC) < timedelta(minutes=121)
    clock.freeze()
    clock.reset()
    assert not clock.frozen
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_clock_is_set_forward_and_back() -> None:
    """Running it goes on from there, frozen it stands there."""
    clock = Clock()
    clock.set(NOON)
    assert NOON <= clock.now() < NOON + timedelta(minutes=1)
    clock.freeze()
    assert clock.set(NOON - timedelta(days=400)) == NOON - timedelta(days=400) == clock.now()
    assert Clock(frozen_at=NOON).set(NOON + timedelta(days=1)) == NOON + timedelta(days=1)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 4, 24),
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime(9980, 1, 1, tzinfo=UTC),
    ],
)
def test_an_impossible_moment_is_refused(moment: datetime) -> None:
    """Without a zone, or where no certificate fits any more."""
    clock = Clock(frozen_at=NOON)
    with pytest.raises(ValueError):
        clock.set(moment)
    assert clock.now() == NOON


@pytest.mark.parametrize("frozen", [True, False])
def test_a_clock_is_kept_as_it_is(frozen: bool) -> None:
    """Ahead, behind, standing or running; a reset of a kept one goes to the machine's time."""
    clock = Clock(advanced=timedelta(days=-2))
    if frozen:
        clock.freeze()
        clock.advance(7)
    again = Clock.kept(clock.keep())
    assert again.frozen is frozen
    assert abs(again.now() - clock.now()) <= timedelta(seconds=0 if frozen else 60)
    again.reset()
    assert not again.frozen
    assert abs(again.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert Clock.kept("").advanced == timedelta(0)


async def test_whoever_waits_is_woken_when_a_frozen_clock_runs_again() -> None:
    """And waits on when a running one is frozen."""
    clock = Clock()
    due = clock.freeze() + timedelta(milliseconds=20)
    waiting = asyncio.ensure_future(clock.wait_until(due))
    await asyncio.sleep(0)
    clock.run()
    clock.freeze()
    clock.set(due - timedelta(milliseconds=1))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.05)
    clock.run()
    await asyncio.wait_for(waiting, 5)
