"""SIGKILL before, between and after every step that lasts or leaves the house.

The points are found by one play without a kill; each is then met by a play of its own.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.resilience.lives import Lives, NotReachedError
from tests.resilience.plays import (
    BEGUN,
    CREATED,
    answer_was_lost,
    cancel,
    check,
    holder,
    register,
    sign,
)
from tests.resilience.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

Points = list[list[str]]
"""Those of each life."""

_SEALING = "write Sealing.seal"
"""Comes by the clock, once a second: a play may be over before. It has a test of its own."""
_AT_ONCE = 3
"""Gateways at a time: they wait more than they work."""
_TRIES = 3
"""A point that another order of events has passed by is tried again."""


async def play_signature(stage: Stage, *plan: str) -> Points:
    """The gateway dies by plan; everything that must hold is checked."""
    async with stage.borrowed() as citizen, stage.gateway(*plan) as lives:
        async with holder(stage, lives, citizen):
            ended = await sign(stage, lives, citizen)
            await lives.until_over()
        await check(stage, lives, ended)
        lost = answer_was_lost(lives)
        assert ended.view.status == ("failed" if lost else "completed")
        return _points(lives)


async def play_registration(stage: Stage, *plan: str) -> Points:
    """The same for a registration, by somebody new."""
    citizen = await stage.new_citizen()
    async with stage.gateway(*plan) as lives:
        async with holder(stage, lives, citizen):
            ended = await register(stage, lives, citizen)
            await lives.until_over()
        await check(stage, lives, ended)
        assert ended.view.status == "completed"
        return _points(lives)


async def play_cancel(stage: Stage, *plan: str) -> Points:
    """The same for a signature that is taken back before anybody has answered."""
    async with stage.borrowed("ignore") as citizen, stage.gateway(*plan) as lives:
        ended = await cancel(stage, lives, citizen)
        await lives.until_over()
        await check(stage, lives, ended, endings={("cancelled", "cancelled")})
        return _points(lives)


async def play_sealing(stage: Stage, point: str) -> Points:
    """Two signatures, and a second life that goes on with the chain of audit records."""
    async with stage.borrowed() as citizen, stage.gateway(point) as lives:
        async with holder(stage, lives, citizen):
            ended = [await sign(stage, lives, citizen)]
            await lives.until(lambda: lives.all[0].dead)
            ended.append(await sign(stage, lives, citizen))
            await lives.until(
                lambda: any(life.passed(f"{_SEALING}: committed") for life in lives.all[1:])
            )
        await check(stage, lives, *ended)
        return _points(lives)


def _points(lives: Lives) -> Points:
    return [[p for p in life.points if not p.startswith(_SEALING)] for life in lives.all]


async def play_all(
    play: Callable[..., Awaitable[Points]], stage: Stage, plans: Sequence[tuple[str, ...]]
) -> None:
    """Fails with every plan under which something did not hold."""
    assert plans
    slots = asyncio.Semaphore(_AT_ONCE)
    failures: list[str] = []

    async def one(plan: tuple[str, ...]) -> None:
        for _ in range(_TRIES):
            try:
                async with slots:
                    await play(stage, *plan)
            except NotReachedError:
                continue
            except Exception as e:  # noqa: BLE001 - all of them are to be seen
                where = traceback.extract_tb(e.__traceback__)[-1]
                failures.append(f"killed at {', then '.join(plan)}: {e!r} ({where.line})")
            return
        failures.append(f"never came to {', then '.join(plan)}")

    await asyncio.gather(*(one(plan) for plan in plans))
    assert not failures, "\n\n".join(failures)


async def test_killed_at_each_step_a_signature_has_one_outcome(stage: Stage) -> None:
    """One outcome, told at least once, one ring; unknown only where the ticket was not kept."""
    (points,) = await play_signature(stage)
    steps = {point.partition(":")[0] for point in points}
    assert steps >= {"prepare", "begin", "poll", "judge", "finish", "publish", "deliver"}
    # Written: what is to be signed, the ticket, the outcome, that it was told.
    assert sum(": committed#" in point for point in points) >= 4
    assert points.index(f"{CREATED}#1") < points.index(f"{BEGUN}#1")
    await play_all(play_signature, stage, [(point,) for point in points])


@pytest.mark.parametrize("first", ["begin: answered Begun#1", f"{BEGUN}#1", "deliver: Delivered#1"])
async def test_killed_again_at_each_step_of_the_restart_it_has_one_outcome(
    stage: Stage, first: str
) -> None:
    """The same for two deaths: the second at every step of what the restart takes up."""
    _, points = await play_signature(stage, first)
    # Its own clearing up touches no signature; once in the first test is enough.
    rest = [point for point in points if not point.startswith("write Housekeeping")]
    await play_all(play_signature, stage, [(first, second) for second in rest])


async def test_killed_at_each_step_of_the_outcome_a_registration_binds_once(stage: Stage) -> None:
    """One credential, enabled, however the gateway died once the holder had confirmed."""
    (points,) = await play_registration(stage)
    rest = points[points.index("poll: answered Approved#1") :]
    await play_all(play_registration, stage, [(point,) for point in rest])


async def test_killed_at_each_step_of_a_cancel_it_is_cancelled_once(stage: Stage) -> None:
    """Whoever takes a request back, and asks again after the line broke, finds it taken back."""
    (points,) = await play_cancel(stage)
    # How often its ticket is asked for meanwhile differs, and writes nothing.
    rest = [p for p in points[points.index(f"{BEGUN}#1") :] if not p.startswith("poll")]
    await play_all(play_cancel, stage, [(point,) for point in rest])


async def test_killed_at_each_step_of_sealing_the_chain_goes_on(stage: Stage) -> None:
    """Positions, hashes and head are one commit: the next life seals on, and all follows."""
    steps = ("not begun", "not committed", "committed")
    await play_all(play_sealing, stage, [(f"{_SEALING}: {step}#1",) for step in steps])
