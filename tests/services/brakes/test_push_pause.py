"""Push to a person pauses after two refusals or lapses in a row, and what a refusal leaves."""

from __future__ import annotations

from typing import Any

import pytest

from moica_gateway.domain.models import Channel, Lapsed, Status
from moica_gateway.domain.values import IdNumber
from moica_gateway.services.commands import IdempotencyUse

OTHER = IdNumber.parse("B223456782")
PAUSE = 600.0

# -- push ------------------------------------------------------------------------------------------


async def test_push_pauses_after_two_lapses_in_a_row_and_qr_remains(house: Any) -> None:
    """429 with the seconds left and the way out; a code, also with a link added, goes on."""
    await house.missed(2)
    found = await house.refusal(house.register())
    assert (found.code, found.what_helps) == ("push_paused", "qr")
    assert found.extra["retry_after"] == PAUSE
    assert house.braked == ["push"]
    by_code = await house.register(channel=Channel.QR)
    await house.push_again(by_code, Channel.APP_LINK)
    await house.approve(by_code)


async def test_push_pauses_after_two_refusals_in_a_row(house: Any) -> None:
    """Registrations and signatures are one row, and a lapse and a refusal are, too."""
    begun = await house.register()
    await house.approve(begun)
    await house.refuse(await house.sign())
    await house.refuse(await house.register())
    assert (await house.refusal(house.sign())).code == "push_paused"
    assert (await house.refusal(house.register())).code == "push_paused"


async def test_the_pause_is_over_after_ten_minutes_and_the_row_goes_on(house: Any) -> None:
    """Then one push may ring; missed again, it pauses again."""
    await house.missed(2)
    await house.pass_time(PAUSE - 1)
    assert (await house.refusal(house.register())).extra["retry_after"] == 1
    await house.pass_time(1)
    await house.missed()
    assert (await house.refusal(house.register())).code == "push_paused"


@pytest.mark.parametrize("channel", [Channel.QR, Channel.APP_LINK])
async def test_an_approval_by_another_channel_ends_the_pause(house: Any, channel: Channel) -> None:
    """And the row begins anew: one refusal later push still rings."""
    await house.missed(2)
    await house.approve(await house.register(channel=channel))
    await house.refuse(await house.sign())
    await house.sign()


async def test_a_push_that_lapsed_while_the_code_was_approved_is_an_approval(house: Any) -> None:
    """The transaction was approved; what else rang is forgotten."""
    await house.missed()
    begun = await house.register()
    await house.pass_time(20)
    await house.push_again(begun, Channel.QR)
    await house.pass_time(50)
    assert [c.status.value for c in (await house.current(begun)).challenges] == ["lapsed", "sent"]
    await house.approve(begun)
    await house.missed()
    await house.register()


async def test_a_further_push_of_a_pending_transaction_is_braked_as_its_creation_is(
    house: Any,
) -> None:
    """A person whose push lapsed before, and now again while the code is open."""
    await house.missed()
    begun = await house.register()
    await house.push_again(begun, Channel.QR)
    await house.pass_time(30)
    begun = await house.push_again(begun, Channel.QR)
    await house.pass_time(35)
    before = await house.current(begun)
    assert before.status is Status.PENDING
    rung = len(house.upstream.begun)
    found = await house.refusal(house.push_again(begun, Channel.PUSH))
    assert found.code == "push_paused"
    assert len(house.upstream.begun) == rung
    assert await house.current(begun) == before
    await house.push_again(begun, Channel.APP_LINK)


async def test_a_code_that_nobody_used_is_no_lapse(house: Any) -> None:
    """It rang nowhere."""
    for _ in range(3):
        begun = await house.register(channel=Channel.QR)
        await house.pass_time(60)
        assert (await house.current(begun)).status is Status.EXPIRED
    await house.register()


async def test_what_was_cancelled_or_failed_neither_adds_to_a_row_nor_breaks_it(
    house: Any,
) -> None:
    """One lapse, then a cancel and a forged answer, then a lapse: that is the second."""
    await house.missed()
    await house.services.settlement.cancel(house.ours, (await house.register()).id)
    await house.forge(await house.register())
    await house.missed()
    assert (await house.refusal(house.register())).code == "push_paused"


async def test_a_late_approval_opens_nothing(house: Any) -> None:
    """What comes after the end is recorded and discarded."""
    begun = await house.register()
    await house.services.settlement.cancel(house.ours, begun.id)
    ticket = f"ticket-{len(house.upstream.begun)}"
    await house.missed(2)
    house.upstream.answer(ticket, house.approval)
    await house.pass_time(8)
    assert (await house.refusal(house.register())).code == "push_paused"


async def test_somebody_elses_registrations_of_an_id_number_are_braked_as_its_owners_are(
    house: Any,
) -> None:
    """No credential, no binding, another user each time: the person is the ID number."""
    for user_id in ("thief1", "thief2"):
        begun = await house.register(user_id=user_id)
        await house.refuse(begun)
    found = await house.refusal(house.register(user_id="thief3"))
    assert found.code == "push_paused"
    await house.register(OTHER, "thief3")


async def test_another_tenants_person_is_another(house: Any) -> None:
    """One tenant neither sees nor sets the pause of another."""
    await house.missed(2)
    begun = await house.register(caller=house.theirs)
    assert begun.tenant == "t2"


async def test_a_pause_survives_a_restart_and_holds_at_every_gateway(
    house: Any, build: Any
) -> None:
    """It is in the database."""
    await house.missed(2)
    restarted = build(house.clock, house.store)
    assert (await house.refusal(restarted.register())).code == "push_paused"


async def test_an_open_push_is_not_touched_by_a_pause(house: Any) -> None:
    """Two pushes of one transaction ring in vain, the third of its tickets is still answered."""
    begun = await house.register(time_limit=120)
    await house.pass_time(20)
    await house.push_again(begun, Channel.PUSH)
    house.upstream.answer("ticket-1", Lapsed())
    await house.pass_time(20)
    await house.push_again(begun, Channel.PUSH)
    house.upstream.answer("ticket-2", Lapsed())
    await house.pass_time(20)
    assert (await house.refusal(house.push_again(begun, Channel.PUSH))).code == "push_paused"
    house.upstream.answer("ticket-3", house.approval)
    await house.pass_time(4)
    assert (await house.current(begun)).status is Status.COMPLETED


# -- what a refusal leaves behind ------------------------------------------------------------------


async def test_a_refused_creation_writes_nothing(house: Any) -> None:
    """No transaction, no call of the platform, no count, and what it would supersede stays."""
    await house.missed(2)
    open_one = await house.register(channel=Channel.QR)
    state = house.store._state
    rung = len(house.upstream.begun)
    assert (await house.refusal(house.register(supersede=True))).code == "push_paused"
    assert house.store._state == state
    assert len(house.upstream.begun) == rung
    assert (await house.current(open_one)).status is Status.PENDING


async def test_a_replayed_key_is_neither_counted_nor_refused(running: Any) -> None:
    """It gives the transaction as it is now, also when the last slot is gone or push pauses."""
    async with running(person_requests=2) as house:
        uses = [
            IdempotencyUse(method="POST", path="/v1/registrations", key=k, body_mac=b"m")
            for k in "ab"
        ]
        made = []
        for use in uses:
            made.append(await house.register(use=use))
            for _ in range(3):
                assert (await house.register(use=use)).id == made[-1].id
            await house.pass_time(60)
        assert (await house.refusal(house.register())).extra["brake"] == "person"
        assert [(await house.register(use=use)).id for use in uses] == [t.id for t in made]
        assert len(house.upstream.begun) == 2


async def test_a_replayed_challenge_is_neither_counted_nor_refused(running: Any) -> None:
    """The same for 「QR Code 模式登入」."""
    async with running(person_requests=2) as house:
        begun = await house.register()
        use = IdempotencyUse(method="POST", path="/c", key="k", body_mac=b"m")
        for _ in range(3):
            added = await house.services.challenges.add(house.ours, begun.id, Channel.QR, None, use)
            assert len(added.challenges) == 2
        found = await house.refusal(house.push_again(begun, Channel.QR))
        assert (found.code, found.extra["brake"]) == ("rate_limited", "person")
