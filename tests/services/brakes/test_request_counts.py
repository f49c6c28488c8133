"""Requests to the platform are counted before it is called, also when they come at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from moica_gateway.domain.brakes import RequestCounts
from moica_gateway.domain.models import Channel, Fault, Status
from moica_gateway.domain.values import IdNumber, Secret, TenantId
from moica_gateway.errors import GatewayError, problem
from moica_gateway.services.commands import IdempotencyUse
from moica_gateway.stores import migrate, open_store
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.random import SeededRandom

MASTER_KEY = Secret(bytes(range(32)))
VICTIM, OTHER = IdNumber.parse("A123456789"), IdNumber.parse("B223456782")

# -- counts ----------------------------------------------------------------------------------------


async def test_a_persons_requests_are_counted_on_every_channel_until_an_approval(
    running: Any,
) -> None:
    """The next is 429; an approval of what is open begins anew."""
    async with running(person_requests=3) as house:
        begun = await house.register()
        await house.push_again(begun, Channel.QR)
        await house.push_again(begun, Channel.APP_LINK)
        assert (await house.refusal(house.push_again(begun, Channel.QR))).code == "rate_limited"
        await house.approve(begun)
        for _ in range(3):
            await house.approve(await house.sign())
        await house.register(OTHER, "u2")


async def test_starting_and_taking_back_again_and_again_is_held_by_the_count(running: Any) -> None:
    """Neither a refusal nor a lapse, but the phone rings each time."""
    async with running(person_requests=4) as house:
        for _ in range(4):
            await house.register(supersede=True)
        found = await house.refusal(house.register(supersede=True))
        assert (found.code, found.extra["retry_after"]) == ("rate_limited", 600)
        await house.pass_time(600)
        await house.register(supersede=True)


async def test_a_tenants_requests_are_counted_over_its_people_and_the_others_go_on(
    running: Any,
) -> None:
    """Its own window, whoever approves."""
    async with running(tenant_requests=2, gateway_requests=9) as house:
        await house.approve(await house.register())
        await house.register(OTHER, "u2")
        found = await house.refusal(house.sign())
        assert (found.code, found.extra["brake"]) == ("rate_limited", "tenant")
        assert found.extra["retry_after"] == 56
        await house.register(caller=house.theirs)
        await house.pass_time(56)
        await house.sign()
        assert house.braked == ["tenant"]


async def test_the_count_over_all_tenants_holds_a_tenant_that_has_not_used_its_own(
    running: Any,
) -> None:
    """Higher than a tenant's, and shared."""
    async with running(tenant_requests=2, gateway_requests=3) as house:
        await house.register()
        await house.register(OTHER, "u2")
        await house.register(caller=house.theirs)
        found = await house.refusal(house.register(OTHER, "u2", caller=house.theirs))
        assert (found.code, found.extra["brake"]) == ("rate_limited", "gateway")


async def test_a_request_is_counted_before_the_platform_is_called(house: Any) -> None:
    """While the platform has not answered yet, it counts already; and where it fails, it counts."""
    house.upstream.gate = asyncio.Event()
    beginning = asyncio.ensure_future(house.register())
    await house.clock.settle()
    assert len(house.upstream.begun) == 1

    def counted(uow: Any) -> RequestCounts:
        return uow.request_counts(TenantId("t1"))  # type: ignore[no-any-return]

    counts = await house.store.read(counted)
    assert counts.tenant is not None
    assert counts.gateway is not None
    assert (counts.tenant.requests, counts.gateway.requests) == (1, 1)
    house.upstream.begin_with(Fault(problem=problem("upstream_unreachable", "x"), spoke=False))
    house.upstream.gate.set()
    assert (await house.current(await beginning)).status is Status.FAILED
    assert await house.store.read(counted) == counts


async def test_a_refused_request_is_not_counted(running: Any) -> None:
    """Asking again and again does not put the next slot off."""
    async with running(tenant_requests=1, gateway_requests=2) as house:
        await house.register()
        for _ in range(5):
            await house.refusal(house.register(OTHER, "u2"))
        await house.pass_time(60)
        await house.register(OTHER, "u2")
        assert await house.transactions() == 2


# -- at the same moment ----------------------------------------------------------------------------


def id_numbers(count: int) -> list[IdNumber]:
    """So many, with right check digits."""
    found: list[IdNumber] = []
    for n in range(10_000):
        try:
            found.append(IdNumber.parse(f"B2{n:08d}"))
        except GatewayError:
            continue
        if len(found) == count:
            return found
    raise AssertionError("there are more than enough")


@pytest.mark.parametrize("gateways", [1, 2])
async def test_of_requests_at_once_only_as_many_pass_as_there_are_slots(
    tmp_path: Path, build: Any, gateways: int
) -> None:
    """Twenty people at once, five slots, on one database: five, also with two gateways."""
    url, clock = f"sqlite:///{tmp_path / 'gateway.db'}", FrozenClock()
    migrate(url)
    async with AsyncExitStack() as stack:
        houses = []
        for n in range(gateways):
            random = SeededRandom(n + 1)
            store = open_store(url, master_key=MASTER_KEY, clock=clock, random=random)
            await stack.enter_async_context(store)
            houses.append(build(clock, store, tenant_requests=5, gateway_requests=6))
        await houses[0].set_up()
        taken, refused = await houses[0].at_once(
            *(
                houses[n % gateways].register(id_number, f"u{n}")
                for n, id_number in enumerate(id_numbers(20))
            )
        )
        assert (taken, refused) == (5, ["rate_limited"] * 15)
        assert sum(len(house.upstream.begun) for house in houses) == 5
        assert await houses[0].transactions() == 5


async def test_two_tenants_at_once_cannot_both_pass_the_last_slot_of_all(
    tmp_path: Path, build: Any
) -> None:
    """Each has a slot of its own left."""
    url, clock = f"sqlite:///{tmp_path / 'gateway.db'}", FrozenClock()
    migrate(url)
    random = SeededRandom()
    async with open_store(url, master_key=MASTER_KEY, clock=clock, random=random) as store:
        house = build(clock, store, tenant_requests=2, gateway_requests=3)
        await house.set_up()
        for id_number, caller in zip(id_numbers(2), (house.ours, house.theirs), strict=True):
            await house.register(id_number, "u", caller=caller)
        taken, refused = await house.at_once(
            house.register(VICTIM, "v"), house.register(VICTIM, "v", caller=house.theirs)
        )
        assert (taken, refused) == (1, ["rate_limited"])


async def test_two_further_challenges_at_once_cannot_both_pass_a_persons_last_slot(
    house: Any, build: Any
) -> None:
    """Each in a commit of its own."""
    limited = build(house.clock, house.store, person_requests=2)
    begun = await limited.register()
    taken, refused = await limited.at_once(
        limited.push_again(begun, Channel.QR), limited.push_again(begun, Channel.APP_LINK)
    )
    assert (taken, refused) == (1, ["rate_limited"])


async def test_two_equal_requests_at_once_with_one_key_are_counted_once(running: Any) -> None:
    """The last slot is enough for both: one makes it, the other is given it."""
    async with running(person_requests=1) as house:
        use = IdempotencyUse(method="POST", path="/v1/registrations", key="k", body_mac=b"m")
        first, second = await asyncio.gather(house.register(use=use), house.register(use=use))
        assert first.id == second.id
        assert len(house.upstream.begun) == 1
        assert (await house.refusal(house.register(supersede=True))).code == "rate_limited"
