"""`supersede`: the open transaction of a person is cancelled by the next, for good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from moica_gateway.domain.models import Kind, Status
from moica_gateway.errors import GatewayError
from moica_gateway.services.commands import IdempotencyUse

KINDS = [("register", "register"), ("register", "sign"), ("sign", "register"), ("sign", "sign")]


async def started(house: Any, kind: str, **changes: Any) -> Any:
    """A registration or a signature of one person, who has a credential."""
    return await (house.register(**changes) if kind == "register" else house.sign(**changes))


async def events(house: Any, transaction: Any) -> list[str]:
    """The webhooks of one transaction, as they stand in the feed."""
    page = await house.services.feed.events(house.ours, "", 99)
    return [m.type for m in page.items if m.transaction_id == transaction.id]


async def actions(house: Any, transaction: Any) -> list[str]:
    """Of the audit record."""
    records = await house.store.read(
        lambda uow: uow.audit_records(house.ours.tenant, transaction_id=transaction.id)
    )
    return [record.action for record in records]


@pytest.mark.parametrize(("first", "second"), KINDS)
async def test_the_superseded_one_is_cancelled_and_its_window_and_webhook_hear_of_it(
    house: Any, first: str, second: str
) -> None:
    """Registrations and signatures alike; once each, before the phone rings anew."""
    await house.approve(await house.register())
    old = await started(house, first)
    window = house.services.transactions.watch(house.ours, old.id, since=old.version, heartbeat=99)
    hearing = asyncio.ensure_future(anext(window))
    await house.clock.settle()
    house.woken.clear()
    new = await started(house, second, supersede=True)
    heard = await asyncio.wait_for(hearing, 5)
    assert (heard.id, heard.status) == (old.id, Status.CANCELLED)
    assert heard.error.code == "cancelled"
    assert await events(house, old) == ["transaction.cancelled"]
    assert house.woken
    assert (await house.current(new)).status is Status.PENDING
    assert len(house.upstream.begun) == 3
    await window.aclose()


@pytest.mark.parametrize("kind", ["register", "sign"])
async def test_without_supersede_the_open_one_stays(house: Any, kind: str) -> None:
    """409 with its id, nothing rings, nothing is told."""
    await house.approve(await house.register())
    old = await started(house, kind)
    with pytest.raises(GatewayError) as raised:
        await started(house, kind)
    assert raised.value.code == "transaction_open"
    assert raised.value.problem.extra["transaction_id"] == old.id
    assert await house.current(old) == old
    assert await events(house, old) == []
    assert len(house.upstream.begun) == 2


@pytest.mark.parametrize("kind", ["register", "sign"])
async def test_a_late_approval_of_the_superseded_one_changes_nothing(house: Any, kind: str) -> None:
    """No version, event, artifact or credential; it is recorded, and the new one goes on."""
    if kind == "sign":
        await house.approve(await house.register())
    before = await house.services.credentials.list(house.ours, "u1")
    old = await started(house, kind)
    ticket = f"ticket-{len(house.upstream.begun)}"
    new = await started(house, kind, supersede=True)
    cancelled = await house.current(old)
    house.upstream.answer(ticket, house.approval)
    await house.pass_time(8)
    assert await house.current(old) == cancelled
    assert await events(house, old) == ["transaction.cancelled"]
    assert (await actions(house, old)).count("transaction.late_answer") == 1
    assert await house.services.credentials.list(house.ours, "u1") == before
    if kind == "sign":
        with pytest.raises(GatewayError):
            await house.services.transactions.artifact(house.ours, old.id, None)
    assert (await house.current(new)).status is Status.PENDING
    await house.approve(new)
    assert len(await house.services.credentials.list(house.ours, "u1")) == 1


async def test_a_registration_of_another_user_is_superseded_with_its_late_approval(
    house: Any,
) -> None:
    """Who begins with a foreign ID number binds nothing once its owner has begun anew."""
    old = await house.register(user_id="thief")
    new = await house.register(user_id="owner", supersede=True)
    house.upstream.answer("ticket-1", house.approval)
    await house.pass_time(8)
    assert (await house.current(old)).status is Status.CANCELLED
    assert await house.services.credentials.list(house.ours, "thief") == ()
    await house.approve(new)
    (credential,) = await house.services.credentials.list(house.ours, "owner")
    assert credential.person_id == new.person_id


async def test_one_whose_ticket_is_still_asked_for_is_superseded_too(house: Any) -> None:
    """The ticket that comes afterwards is watched: an approval of it is late, and no more."""
    house.upstream.gate = asyncio.Event()
    starting = asyncio.ensure_future(house.register())
    await house.pass_time(5)
    old = await starting
    superseding = asyncio.ensure_future(house.register(supersede=True))
    await house.clock.settle()
    house.upstream.gate.set()
    new = await superseding
    cancelled = await house.current(old)
    assert cancelled.status is Status.CANCELLED
    house.upstream.answer("ticket-1", house.approval)
    await house.pass_time(8)
    assert (await house.current(old)).version == cancelled.version
    assert (await actions(house, old)).count("transaction.late_answer") == 1
    assert (await house.current(new)).status is Status.PENDING


async def test_the_audit_record_says_what_superseded_it(house: Any) -> None:
    """By the key that asked for it, in the record of the new one."""
    old = await house.register()
    new = await house.register(supersede=True)
    records = await house.store.read(
        lambda uow: uow.audit_records(house.ours.tenant, transaction_id=new.id)
    )
    assert (records[0].action, records[0].data["supersedes"]) == ("transaction.created", old.id)
    assert "transaction.cancelled" in await actions(house, old)


async def test_with_nothing_open_supersede_is_a_creation_like_any_other(house: Any) -> None:
    """And what has ended is not touched."""
    first = await house.register(supersede=True)
    await house.approve(first)
    ended = await house.current(first)
    second = await house.sign(supersede=True)
    assert second.kind is Kind.SIGNATURE
    assert await house.current(first) == ended


async def test_a_replayed_key_supersedes_nothing_again(house: Any) -> None:
    """What was begun after it stays open."""
    use = IdempotencyUse(method="POST", path="/v1/registrations", key="k", body_mac=b"m")
    first = await house.register(use=use, supersede=True)
    await house.services.settlement.cancel(house.ours, first.id)
    later = await house.register()
    assert (await house.register(use=use, supersede=True)).id == first.id
    assert (await house.current(later)).status is Status.PENDING


async def test_another_tenants_open_transaction_is_not_superseded(house: Any) -> None:
    """The same ID number is another person there."""
    theirs = await house.register(caller=house.theirs)
    await house.register(supersede=True)
    assert (await house.current(theirs)).status is Status.PENDING


async def test_of_several_that_supersede_at_once_the_last_stays_open(house: Any) -> None:
    """Each cancels the one before, also where the ID number is new to all; never are two open."""
    made = await asyncio.gather(*(house.register(supersede=True) for _ in range(4)))
    states = [(await house.current(t)).status for t in made]
    assert sorted(states) == [Status.CANCELLED] * 3 + [Status.PENDING]


async def test_of_several_at_once_with_a_new_id_number_one_is_made(house: Any) -> None:
    """The others are told its id, and all of them are one person to the brakes."""
    ended = await asyncio.gather(
        *(house.register(user_id=f"u{n}") for n in range(4)), return_exceptions=True
    )
    made = [e for e in ended if not isinstance(e, BaseException)]
    refused = [e for e in ended if isinstance(e, GatewayError)]
    assert len(made) == 1
    assert [e.code for e in refused] == ["transaction_open"] * 3
    assert {e.problem.extra["transaction_id"] for e in refused} == {made[0].id}
