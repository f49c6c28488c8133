"""Old tickets go when nobody needs them any more, so that a load test does not fill the memory."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from moica_simulator import Clock, Device, KeyPool, Simulator

LIMIT = 10


@pytest.fixture
async def small(keys: KeyPool, clock: Clock, tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator that keeps ten tickets."""
    async with Simulator.start(
        fast=True, keys=keys, clock=clock, ticket_limit=LIMIT, state=tmp_path
    ) as simulator:
        yield simulator


@pytest.fixture
async def asking(
    small: Simulator, http: aiohttp.ClientSession, relying_system: Any
) -> tuple[Any, Device]:
    """A relying system of it, and a phone."""
    made = relying_system(small.url, http, bytes(range(32)))
    await small.add_service_provider(made.service_id, made.key_base64, "公文線上簽核系統")
    await small.add_person("A123456789", "王小明")
    return made, await small.bind_device("A123456789")


async def test_what_was_told_goes_and_the_rest_stays(
    small: Simulator, asking: tuple[Any, Device]
) -> None:
    """Of many tickets told, ten or so are kept; an older one stays if open, or untold."""
    system, phone = asking
    opened, opened_id = await system.push(time_limit=600)
    untold, untold_id = await system.push(time_limit=600)
    await small.confirm(phone.id, untold_id)
    first, first_id = await system.push(time_limit=600)
    await small.confirm(phone.id, first_id)
    assert await system.result_code(first, first_id) == "0"
    for _ in range(3 * LIMIT):
        body, ticket_id = await system.push(time_limit=600)
        await small.confirm(phone.id, ticket_id)
        assert await system.result_code(body, ticket_id) == "0"
    platform, phones = small.state.platform, small.state.phone
    assert len(platform.tickets) <= LIMIT + 4
    assert len(platform.transactions) == len(platform.tickets)
    assert len(phones.notifications) == len(platform.tickets)
    assert len(await small.inbox(phone.id)) == len(platform.tickets)
    assert await system.result_code(body, ticket_id) == "0"
    assert await system.result_code(first, first_id) == "SPTKTID_SPTKT_NF"
    assert await system.result_code(untold, untold_id) == "0"
    await small.confirm(phone.id, opened_id)
    assert await system.result_code(opened, opened_id) == "0"


async def test_lapsed_tickets_go_untold(small: Simulator, asking: tuple[Any, Device]) -> None:
    """Nobody polled them, but their time is over; before that every one is kept."""
    system, _ = asking
    for _ in range(3 * LIMIT):
        await system.push(time_limit=60)
    assert len(small.state.platform.tickets) == 3 * LIMIT
    small.clock.advance(60)
    for _ in range(2):
        await system.push(time_limit=60)
    assert len(small.state.platform.tickets) <= LIMIT + 2


async def test_what_is_gone_does_not_come_back(
    small: Simulator, asking: tuple[Any, Device], keys: KeyPool, tmp_path: Path
) -> None:
    """After a restart from the same folder the same tickets are there, and no others."""
    system, phone = asking
    for _ in range(2 * LIMIT):
        body, ticket_id = await system.push(time_limit=600)
        await small.confirm(phone.id, ticket_id)
        await system.result(body, ticket_id)
    kept = [each.sp_ticket_id for each in small.state.platform.tickets.all()]
    await small.close()
    async with Simulator.start(fast=True, keys=keys, state=tmp_path) as again:
        assert [each.sp_ticket_id for each in again.state.platform.tickets.all()] == kept
        inbox = await again.inbox(phone.id)
    assert [each.sp_ticket_id for each in inbox] == kept
