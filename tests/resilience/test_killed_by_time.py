"""SIGKILL at instants that no fault point knows: inside a commit, an exchange, a start.

The instants are drawn from a seed, so that a run can be repeated; what the machine is doing then
cannot be. ``RESILIENCE_KILLS`` sets how many gateways are killed at random (`make resilience`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random

import pytest

from tests.resilience.lives import Life
from tests.resilience.plays import BEGUN, Ended, check, holder, sign
from tests.resilience.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

_KILLS = int(os.environ.get("RESILIENCE_KILLS", "12"))
_SEED = 1153000165
_TOGETHER = 3
"""Signatures under way at a time in one gateway."""
_AT_ONCE = 2
_SECOND_OF_THREE = f"{BEGUN}#2"


async def kill_after(life: Life, seconds: float) -> None:
    """Returns once it is dead."""
    handle = asyncio.get_running_loop().call_later(seconds, life.kill)
    try:
        await life.death.wait()
    finally:
        handle.cancel()


async def play(stage: Stage, chance: random.Random, span: float) -> list[Ended]:
    """Several signatures at once; the gateway killed while they run, and again at the restart."""
    first, second = chance.uniform(0, span), chance.uniform(0, span)
    delays = [chance.uniform(0, span / 2) for _ in range(_TOGETHER)]
    async with contextlib.AsyncExitStack() as stack:
        citizens = [
            await stack.enter_async_context(stage.borrowed("confirm", delay)) for delay in delays
        ]
        lives = await stack.enter_async_context(stage.gateway())

        async def kill_twice() -> None:
            await kill_after(await lives.now(), first)
            await lives.until(lambda: len(lives.all) > 1)
            # Not once it listens: it may die while it takes up what was left.
            await kill_after(lives.all[1], second)

        killing = asyncio.ensure_future(kill_twice())
        ended = await asyncio.gather(*(sign(stage, lives, citizen) for citizen in citizens))
        await killing
        await lives.until_over()
        assert len(lives.all) == 3
        await check(stage, lives, *ended)
        return ended


async def quiet_span(stage: Stage) -> float:
    """Seconds from the first request to the last mark, on this machine, with nobody killed."""
    loop = asyncio.get_running_loop()
    async with stage.borrowed("confirm") as citizen, stage.gateway() as lives:
        await lives.now()
        began = loop.time()
        ended = await sign(stage, lives, citizen)
        await lives.until_over()
        took = loop.time() - began
        await check(stage, lives, ended)
        return took


async def test_killed_twice_at_any_instant_each_of_several_signatures_has_one_outcome(
    stage: Stage,
) -> None:
    """Nothing lost, nothing doubled, nobody rung twice, whatever each was in the middle of."""
    span = await quiet_span(stage)
    slots = asyncio.Semaphore(_AT_ONCE)
    failures: list[str] = []
    ended: list[Ended] = []

    async def one(number: int) -> None:
        async with slots:
            try:
                ended.extend(await play(stage, random.Random(f"{_SEED} {number}"), span))  # noqa: S311
            except Exception as e:  # noqa: BLE001 - all of them are to be seen
                failures.append(f"play {number} of seed {_SEED}: {type(e).__name__} {e}")

    await asyncio.gather(*(one(number) for number in range(_KILLS)))
    assert not failures, "\n\n".join(failures)
    assert len(ended) == _KILLS * _TOGETHER
    assert any(each.view.status == "completed" for each in ended)


async def test_killed_while_the_platform_is_being_asked_the_start_is_unknown(stage: Stage) -> None:
    """The phone rings, the answer never comes: failed, and not asked again by itself."""
    async with stage.borrowed() as citizen, stage.gateway() as lives:
        fault = await stage.simulator.add_fault(
            "SP-API-ATH-03", latency_s=60, id_number=citizen.id_number
        )
        signing = asyncio.ensure_future(sign(stage, lives, citizen))
        request = await stage.simulator.wait_for_request(citizen.device)
        lives.all[0].kill()
        await stage.simulator.confirm(citizen.device, request.sp_ticket_id)
        ended = await signing
        await lives.until_over()
        await check(stage, lives, ended, endings={("failed", "start_unknown")})
        rung = await stage.simulator.inbox(citizen.device)
        assert [r.sp_ticket_id for r in rung if (ended.number or "-") in r.hint] == [
            request.sp_ticket_id
        ]
        stage.simulator.faults.remove(fault.fault_id)


async def test_killed_halfway_through_taking_up_several_each_is_unknown_once(stage: Stage) -> None:
    """Three starts without an answer; the restart dies when it has written down two of them."""
    async with contextlib.AsyncExitStack() as stack:
        citizens = [await stack.enter_async_context(stage.borrowed("ignore")) for _ in range(3)]
        lives = await stack.enter_async_context(stage.gateway(None, _SECOND_OF_THREE))
        fault = await stage.simulator.add_fault("SP-API-ATH-03", latency_s=60, times=None)
        signing = [asyncio.ensure_future(sign(stage, lives, citizen)) for citizen in citizens]
        for citizen in citizens:
            await stage.simulator.wait_for_request(citizen.device)
        lives.all[0].kill()
        stage.simulator.faults.remove(fault.fault_id)
        ended = await asyncio.gather(*signing)
        await lives.until_over()
        await check(stage, lives, *ended, endings={("failed", "start_unknown")})
        written = [sum(p.startswith(BEGUN) for p in life.points) for life in lives.all]
        assert written == [0, 2, 1]


async def test_killed_while_a_slow_receiver_reads_it_is_told_again(stage: Stage) -> None:
    """The same id and body once more, since nobody knows whether it took the first."""
    async with stage.borrowed() as citizen, stage.gateway() as lives:
        answer = stage.slow[citizen.user] = asyncio.Event()
        async with holder(stage, lives, citizen):
            ended = await sign(stage, lives, citizen)
        assert len(stage.delivered(ended.view.id)) == 1
        lives.all[0].kill()
        await stage.news.until(lambda: len(stage.delivered(ended.view.id)) == 2)
        del stage.slow[citizen.user]
        answer.set()
        await lives.until_over()
        await check(stage, lives, ended, endings={("completed", None)})


async def test_a_confirmation_counts_though_the_gateway_was_dead_beyond_the_deadline(
    stage: Stage,
) -> None:
    """Restarted two minutes after a limit of one: the deciding poll finds it."""
    async with stage.borrowed() as citizen, stage.gateway(f"{BEGUN}#1", later=120) as lives:
        async with holder(stage, lives, citizen):
            ended = await sign(stage, lives, citizen)
            await lives.until_over()
        await check(stage, lives, ended, endings={("completed", None)})


async def test_nobody_confirms_a_request_over_a_restart_it_expires_once(stage: Stage) -> None:
    """Restarted two minutes after a limit of one, killed again when it has written the end."""
    plan = (f"{BEGUN}#1", f"{BEGUN}#1")
    async with (
        stage.borrowed("ignore") as citizen,
        stage.gateway(*plan, later=120) as lives,
    ):
        ended = await sign(stage, lives, citizen)
        await lives.until_over()
        await check(stage, lives, ended, endings={("expired", "expired")})
