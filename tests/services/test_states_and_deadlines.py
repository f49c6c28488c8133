"""The design's "States and deadlines", a test a sentence, in simulated time.

The rules themselves are pure (`domain.lifecycle`, tested there); here they are seen through
services, settlement and poller, with a platform and a judge that answer as scripted. Not here:
batches, which no route makes yet.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta
from typing import Any

import pytest

from moica_gateway.domain.models import (
    Channel,
    Fault,
    Lapsed,
    Pending,
    StartUnknown,
    Status,
    Transaction,
)
from moica_gateway.domain.values import Secret
from moica_gateway.errors import GatewayError, problem
from tests.services.house import (
    APPROVED,
    CALLER,
    REFUSED,
    TENANT,
    UNAVAILABLE,
    UNREACHABLE,
    House,
    build,
)

UNREADABLE = Fault(problem=problem("upstream_malformed", "x"), spoke=False)
MISMATCH = Fault(
    problem=problem("wrong_device", "x", upstream_code="DEVID_SPTKT_MISMATCH"), spoke=True
)
PUSH_FAILED = Fault(
    problem=problem("push_unavailable", "x", upstream_code="PS_FCM_NOT_FOUND"), spoke=True
)


async def add(house: House, transaction: Transaction, channel: Channel) -> Transaction:
    """As the document system would; the ticket is the latest."""
    return await house.services.challenges.add(CALLER, transaction.id, channel, None)


async def begun_sign(house: House, **changes: Any) -> Transaction:
    """A registered user's signature, its push sent as ``ticket-2``."""
    await house.register()
    return await house.sign(**changes)


async def polled_at(house: House, ticket: str, seconds: int) -> list[float]:
    """At which seconds from now that ticket was asked about."""
    times: list[float] = []
    seen = sum(h.ticket_id == ticket for h in house.upstream.polled)
    for half in range(1, 2 * seconds + 1):
        await house.pass_time(0.5)
        count = sum(h.ticket_id == ticket for h in house.upstream.polled)
        times += [half / 2] * (count - seen)
        seen = count
    return times


@asynccontextmanager
async def restarted(house: House) -> AsyncIterator[House]:
    """Another process on the same database; the first one is dead."""
    running = [t for t in asyncio.all_tasks() if "Poller.run" in repr(t)]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    again = build(house.clock, house.store, house.upstream)
    await again.poller.recover()
    task = asyncio.ensure_future(again.poller.run())
    await house.clock.settle()
    try:
        yield again
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended_as(house: House, transaction: Transaction) -> tuple[str, str | None]:
    """Status and code."""
    now = await house.current(transaction)
    return now.status.value, now.error.code if now.error else None


# -- terminal states, versions -----------------------------------------------------------------

ENDINGS = [
    (APPROVED, "completed"),
    (REFUSED, "rejected"),
    (Lapsed(), "expired"),
    (MISMATCH, "failed"),
]


@pytest.mark.parametrize(("answer", "status"), ENDINGS)
async def test_terminal_states_never_change(house: House, answer: Any, status: str) -> None:
    """Not by another ticket's answer, a cancel, a further challenge, time, or a restart."""
    transaction = await begun_sign(house)
    await add(house, transaction, Channel.QR)
    house.upstream.answer("ticket-2", *([Lapsed()] if isinstance(answer, Lapsed) else [answer]))
    house.upstream.answer("ticket-3", Lapsed() if isinstance(answer, Lapsed) else Pending())
    await house.pass_time(8)
    ended = await house.current(transaction)
    assert ended.status.value == status
    house.upstream.answer("ticket-3", APPROVED)
    house.upstream.answer("ticket-2", REFUSED)
    assert await house.services.settlement.cancel(CALLER, transaction.id) == ended
    with pytest.raises(GatewayError) as refused:
        await add(house, transaction, Channel.QR)
    assert refused.value.code == "transaction_closed"
    await house.pass_time(120)
    async with restarted(house) as again:
        await again.pass_time(120)
        assert await again.current(transaction) == ended


async def test_every_change_raises_the_transactions_version(house: House) -> None:
    """Each version that a window can see is higher than the one before; nothing changes unseen."""
    transaction = await begun_sign(house)
    seen = [transaction]
    seen.append(await add(house, transaction, Channel.QR))
    house.upstream.answer("ticket-2", Lapsed())
    await house.pass_time(4)
    seen.append(await house.current(transaction))
    house.upstream.answer("ticket-3", APPROVED)
    await house.pass_time(4)
    seen.append(await house.current(transaction))
    versions = [t.version for t in seen]
    assert versions == sorted(set(versions)), versions
    assert seen[-1].status is Status.COMPLETED


# -- deadlines, challenges ---------------------------------------------------------------------


async def test_expires_at_of_a_transaction_is_the_latest_of_its_challenges(house: House) -> None:
    """Also while a later one has lapsed or an earlier one is still open."""
    transaction = await begun_sign(house)
    await house.pass_time(30)
    house.upstream.gate = asyncio.Event()
    adding = asyncio.ensure_future(add(house, transaction, Channel.QR))
    await house.clock.settle()
    for still_starting in (True, False):
        if not still_starting:
            house.upstream.gate.set()
            await adding
        with_qr = await house.current(transaction)
        assert with_qr.expires_at == max(c.expires_at for c in with_qr.challenges)
        assert with_qr.expires_at - transaction.expires_at == timedelta(seconds=30)


async def test_a_new_challenge_gets_the_time_limit_anew(house: House) -> None:
    """60 s from when it was asked for, and so told to the platform."""
    transaction = await begun_sign(house, time_limit=60)
    await house.pass_time(40)
    with_qr = await add(house, transaction, Channel.QR)
    assert house.upstream.begun[-1].time_limit == 60
    assert with_qr.challenges[1].expires_at == house.clock.now() + timedelta(seconds=60)


async def test_a_new_challenge_never_lasts_past_created_at_and_600_s(house: House) -> None:
    """The last one is asked for with what is left."""
    transaction = await begun_sign(house, time_limit=600)
    await house.pass_time(560)
    with_qr = await add(house, transaction, Channel.QR)
    assert house.upstream.begun[-1].time_limit == 40
    assert with_qr.expires_at == transaction.created_at + timedelta(seconds=600)


async def test_no_new_challenge_when_fewer_than_30_s_are_left_of_the_600(house: House) -> None:
    """With 30 s left there is one; with 29 it is 409, and the platform is not asked."""
    transaction = await begun_sign(house, time_limit=600)
    await house.pass_time(570)
    await add(house, transaction, Channel.QR)
    await house.pass_time(1)
    asked = len(house.upstream.begun)
    with pytest.raises(GatewayError) as refused:
        await add(house, transaction, Channel.QR)
    assert (refused.value.code, refused.value.problem.status) == ("challenge_limit", 409)
    assert len(house.upstream.begun) == asked


async def test_at_most_5_challenges(house: House) -> None:
    """The sixth is 409, and rings nothing."""
    transaction = await begun_sign(house)
    for _ in range(4):
        await add(house, transaction, Channel.QR)
    with pytest.raises(GatewayError) as refused:
        await add(house, transaction, Channel.QR)
    assert (refused.value.code, refused.value.problem.status) == ("challenge_limit", 409)
    assert len((await house.current(transaction)).challenges) == 5


@pytest.mark.parametrize("answer", [APPROVED, REFUSED, Lapsed(), MISMATCH])
async def test_challenges_only_while_pending_else_409_transaction_closed(
    house: House, answer: Any
) -> None:
    """Whatever the end was."""
    transaction = await begun_sign(house)
    house.answer(answer)
    await house.pass_time(4)
    with pytest.raises(GatewayError) as refused:
        await add(house, transaction, Channel.QR)
    assert (refused.value.code, refused.value.problem.status) == ("transaction_closed", 409)


# -- polling -----------------------------------------------------------------------------------


async def test_each_ticket_is_polled_at_its_own_interval_counted_from_the_last_answer(
    house: House,
) -> None:
    """A ticket that is 2 s younger keeps its 2 s distance; neither is asked sooner than 4 s."""
    transaction = await begun_sign(house)
    await house.pass_time(2)
    await add(house, transaction, Channel.QR)
    push = asyncio.ensure_future(polled_at(house, "ticket-2", 20))
    first = await push
    await house.pass_time(0.5)
    assert first == [2.0, 6.0, 10.0, 14.0, 18.0]
    second = await polled_at(house, "ticket-3", 12)
    assert [b - a for a, b in itertools.pairwise(second)] == [4.0, 4.0]


async def test_a_slow_answer_puts_the_next_poll_off(house: House) -> None:
    """The interval counts from the answer: never closer."""
    await begun_sign(house)
    house.answer(
        Fault(problem=problem("upstream_unavailable", "x"), spoke=True, retry_after=11), Pending()
    )
    assert await polled_at(house, "ticket-2", 24) == [4.0, 15.0, 19.0, 23.0]


async def test_the_first_poll_comes_one_interval_after_the_ticket(house: House) -> None:
    """Not at once."""
    await begun_sign(house)
    await house.clock.settle()
    assert not any(h.ticket_id == "ticket-2" for h in house.upstream.polled)
    assert await polled_at(house, "ticket-2", 5) == [4.0]


async def test_after_a_restart_the_first_poll_comes_one_interval_after_the_start(
    house: House,
) -> None:
    """Whenever the last process asked last."""
    await begun_sign(house)
    await house.pass_time(7)
    async with restarted(house) as again:
        assert await polled_at(again, "ticket-2", 5) == [4.0]


async def test_the_deciding_poll_comes_at_the_later_of_expires_at_and_the_interval(
    house: House,
) -> None:
    """Asked at 59 s last, the next comes at 63 s, and it is the last."""
    await begun_sign(house)
    house.answer(
        Fault(problem=problem("upstream_unavailable", "x"), spoke=True, retry_after=7), Pending()
    )
    times = await polled_at(house, "ticket-2", 90)
    assert times[:2] == [4.0, 11.0]
    assert times[-2:] == [59.0, 63.0]


async def test_the_deciding_poll_comes_however_long_the_platform_wants_to_be_left_alone(
    house: House,
) -> None:
    """A `Retry-After` past `expires_at` ends there: the confirmation is found."""
    transaction = await begun_sign(house)
    house.answer(
        Fault(problem=problem("upstream_unavailable", "x"), spoke=True, retry_after=3600), APPROVED
    )
    assert await polled_at(house, "ticket-2", 70) == [4.0, 60.0]
    assert await ended_as(house, transaction) == ("completed", None)


async def test_what_the_deciding_poll_finds_counts(house: House) -> None:
    """Confirmed in the last second, found after `expires_at`: completed."""
    transaction = await begun_sign(house)
    house.answer(*[Pending()] * 14, APPROVED)
    await house.pass_time(59.9)
    assert (await house.current(transaction)).status is Status.PENDING
    await house.pass_time(0.1)
    assert await ended_as(house, transaction) == ("completed", None)


# -- settle_by ---------------------------------------------------------------------------------


async def test_settle_by_is_15_s_after_the_later_of_expires_at_and_the_process_start(
    house: House,
) -> None:
    """Silence since the deadline is waited out for 15 s; after a restart, from the restart."""
    transaction = await begun_sign(house)
    house.answer(UNREACHABLE)
    await house.pass_time(74.9)
    assert (await house.current(transaction)).status is Status.PENDING
    async with restarted(house) as again:
        await again.pass_time(14.9)
        assert (await again.current(transaction)).status is Status.PENDING
        await again.pass_time(0.1)
        assert await ended_as(again, transaction) == ("failed", "upstream_unreachable")


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ((Pending(),), "expired", "expired"),
        ((Lapsed(),), "expired", "expired"),
        ((UNAVAILABLE,), "failed", "upstream_unavailable"),
        ((UNREACHABLE,), "failed", "upstream_unreachable"),
        ((UNREADABLE,), "failed", "upstream_unreachable"),
        ((*[UNAVAILABLE] * 14, UNREACHABLE), "failed", "upstream_unreachable"),
        ((*[UNREACHABLE] * 15, UNAVAILABLE), "failed", "upstream_unavailable"),
        ((*[UNREACHABLE] * 15, Pending()), "expired", "expired"),
    ],
    ids=[
        "unfinished",
        "lapsed",
        "a code",
        "silence",
        "unreadable",
        "a code, then silence since expires_at",
        "silence, then a code",
        "silence, then unfinished",
    ],
)
async def test_by_settle_by_the_platforms_last_word_decides(
    house: House, words: tuple[Any, ...], status: str, code: str
) -> None:
    """Unfinished or lapsed: expired; a code: failed with it; nothing said since `expires_at`:
    upstream_unreachable."""
    transaction = await begun_sign(house)
    house.answer(*words)
    await house.pass_time(76)
    assert await ended_as(house, transaction) == (status, code)


# -- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [UNAVAILABLE, UNREACHABLE, UNREADABLE])
async def test_while_polling_a_retry_code_a_failed_connection_or_an_unreadable_body_is_not_yet(
    house: House, fault: Fault
) -> None:
    """Recorded once, asked again, and the approval after it counts."""
    transaction = await begun_sign(house)
    house.answer(fault, fault, APPROVED)
    await house.pass_time(8)
    assert (await house.current(transaction)).status is Status.PENDING
    assert (await house.actions(transaction)).count("challenge.fault") == 1
    await house.pass_time(4)
    assert await ended_as(house, transaction) == ("completed", None)


@pytest.mark.parametrize("fault", [UNAVAILABLE, UNREACHABLE, UNREADABLE, MISMATCH])
async def test_while_beginning_it_ends_its_challenge_and_with_no_open_one_left_the_transaction(
    house: House, fault: Fault
) -> None:
    """With that code; a further challenge's failure leaves the first one open."""
    await house.register()
    first = await house.sign()
    house.upstream.begin_with(fault)
    with_failed = await add(house, first, Channel.QR)
    assert [c.status.value for c in with_failed.challenges] == ["sent", "failed"]
    assert with_failed.status is Status.PENDING
    await house.services.settlement.cancel(CALLER, first.id)
    house.upstream.begin_with(fault)
    assert await ended_as(house, await house.sign()) == ("failed", fault.problem.code)


async def test_where_a_qr_code_helps_it_stays_pending_until_expires_at(house: House) -> None:
    """The push could not be sent; a QR code can still be asked for, and nobody polls meanwhile."""
    await house.register()
    house.upstream.begin_with(PUSH_FAILED)
    transaction = await house.sign()
    assert [c.status.value for c in transaction.challenges] == ["failed"]
    await house.pass_time(59)
    assert (await house.current(transaction)).status is Status.PENDING
    await add(house, transaction, Channel.QR)
    house.upstream.answer("ticket-2", APPROVED)
    await house.pass_time(4)
    assert await ended_as(house, transaction) == ("completed", None)


async def test_where_a_qr_code_helps_and_none_is_asked_for_it_is_expired(house: House) -> None:
    """At `expires_at`."""
    await house.register()
    house.upstream.begin_with(PUSH_FAILED)
    transaction = await house.sign()
    await house.pass_time(60)
    assert await ended_as(house, transaction) == ("expired", "expired")


async def test_any_other_code_at_a_poll_ends_the_transaction(house: House) -> None:
    """At once, with that code, and its other challenge is closed."""
    transaction = await begun_sign(house)
    await add(house, transaction, Channel.QR)
    house.answer(MISMATCH)
    await house.pass_time(4)
    assert await ended_as(house, transaction) == ("failed", "wrong_device")
    after = await house.current(transaction)
    assert [c.status.value for c in after.challenges] == ["closed", "failed"]


# -- what decides ------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["ticket-2", "ticket-3"])
async def test_a_verified_approval_decides_for_all_challenges_and_what_it_overtakes_is_closed(
    house: House, first: str
) -> None:
    """Push and QR code both confirmed is one outcome, one artifact, one event."""
    transaction = await begun_sign(house)
    await add(house, transaction, Channel.QR)
    other = "ticket-3" if first == "ticket-2" else "ticket-2"
    house.upstream.answer(other, Pending(), APPROVED)
    house.upstream.answer(first, APPROVED)
    await house.pass_time(20)
    after = await house.current(transaction)
    by_ticket = dict(zip(("ticket-2", "ticket-3"), after.challenges, strict=True))
    assert after.status is Status.COMPLETED
    assert by_ticket[first].status.value == "approved"
    assert by_ticket[other].status.value == "closed"
    events = await house.store.read(lambda uow: uow.outbox_after(TENANT, "", 100))
    ends = [e.type for e in events.items if e.transaction_id == transaction.id]
    assert ends == ["signature.completed"]


async def test_both_confirmed_in_one_moment_is_one_outcome(house: House) -> None:
    """Both polls find an approval before either is settled: one wins, the other is late."""
    transaction = await begun_sign(house)
    await add(house, transaction, Channel.QR)
    for ticket in ("ticket-2", "ticket-3"):
        house.upstream.answer(ticket, APPROVED)
    await house.pass_time(4)
    after = await house.current(transaction)
    assert sorted(c.status.value for c in after.challenges) == ["approved", "closed"]
    assert (await house.actions(transaction)).count("transaction.completed") == 1


async def test_a_refusal_decides_for_all_challenges(house: House) -> None:
    """The other is closed; its confirmation is late."""
    transaction = await begun_sign(house)
    await add(house, transaction, Channel.QR)
    house.upstream.answer("ticket-3", REFUSED)
    house.upstream.answer("ticket-2", Pending(), APPROVED)
    await house.pass_time(20)
    after = await house.current(transaction)
    assert after.status is Status.REJECTED
    assert [c.status.value for c in after.challenges] == ["closed", "refused"]


async def test_a_parsed_answer_that_fails_verification_ends_the_transaction(house: House) -> None:
    """With the judge's code; the honest answer that comes next changes nothing."""
    transaction = await begun_sign(house)
    house.judge._problems = [problem("signature_invalid", "x")]
    house.answer(APPROVED)
    await house.pass_time(30)
    assert await ended_as(house, transaction) == ("failed", "signature_invalid")


# -- cancel, late answers ----------------------------------------------------------------------


async def test_cancel_is_immediate_and_of_a_terminal_transaction_returns_it_unchanged(
    house: House,
) -> None:
    """No poll in between; twice is the same as once."""
    transaction = await begun_sign(house)
    cancelled = await house.services.settlement.cancel(CALLER, transaction.id)
    assert cancelled.status is Status.CANCELLED
    assert await house.services.settlement.cancel(CALLER, transaction.id) == cancelled


async def test_tickets_of_ended_transactions_are_watched_until_they_lapse(house: House) -> None:
    """Every interval until the deadline, and not after it."""
    transaction = await begun_sign(house)
    await house.services.settlement.cancel(CALLER, transaction.id)
    times = await polled_at(house, "ticket-2", 120)
    assert times == [4.0 * n for n in range(1, 16)]


async def test_tickets_of_ended_transactions_are_watched_after_a_restart_too(
    house: House,
) -> None:
    """The approval that comes then is recorded as late."""
    transaction = await begun_sign(house)
    await house.services.settlement.cancel(CALLER, transaction.id)
    house.answer(APPROVED)
    async with restarted(house) as again:
        await again.pass_time(4)
        assert (await again.actions(transaction)).count("transaction.late_answer") == 1


async def test_an_approval_that_still_comes_is_recorded_as_late_answer_without_a_new_version(
    house: House,
) -> None:
    """Its signature is discarded: no artifact, no event, and the judge is not asked."""
    transaction = await begun_sign(house)
    cancelled = await house.services.settlement.cancel(CALLER, transaction.id)
    judged = len(house.judge.asked)
    house.answer(APPROVED)
    await house.pass_time(70)
    assert await house.current(transaction) == cancelled
    assert (await house.actions(transaction)).count("transaction.late_answer") == 1
    assert len(house.judge.asked) == judged
    with pytest.raises(GatewayError):
        await house.services.transactions.artifact(CALLER, transaction.id, None)


# -- beginning ---------------------------------------------------------------------------------


async def test_a_start_without_an_answer_is_start_unknown_and_never_sent_again_by_itself(
    house: House,
) -> None:
    """The phone may have rung: the platform is asked once, whatever comes after."""
    await house.register()
    house.upstream.begin_with(StartUnknown(detail="timeout"))
    transaction = await house.sign()
    assert await ended_as(house, transaction) == ("failed", "start_unknown")
    asked = len(house.upstream.begun)
    await house.pass_time(700)
    async with restarted(house) as again:
        await again.pass_time(100)
    assert len(house.upstream.begun) == asked


async def test_every_challenge_has_its_own_fresh_uuid4_as_upstream_transaction_id(
    house: House,
) -> None:
    """Never our own id, never one twice."""
    transaction = await begun_sign(house)
    for _ in range(3):
        await add(house, transaction, Channel.QR)
    ids = [b.upstream_transaction_id for b in house.upstream.begun]
    assert len(set(ids)) == len(ids) == 5
    assert {uuid.UUID(one).version for one in ids} == {4}
    assert not any("txn_" in one for one in ids)


# -- what is pinned ----------------------------------------------------------------------------


async def test_a_transaction_pins_credential_sp_key_id_and_policy_at_its_creation(
    house: House,
) -> None:
    """A rotation and another policy meanwhile change nothing of it."""
    transaction = await begun_sign(house)
    tenants = house.services.tenants
    await tenants.set_service_provider(TENANT, "20261123090000000001", Secret(b"2" * 32), "k2")
    with_qr = await add(house, transaction, Channel.QR)
    assert [c.sp_key_id for c in with_qr.challenges] == ["k1", "k2"]
    assert with_qr.policy == transaction.policy
    assert with_qr.credential_id == transaction.credential_id
    house.upstream.answer("ticket-2", APPROVED)
    await house.pass_time(4)
    assert await ended_as(house, transaction) == ("completed", None)
    (_, expected) = house.judge.asked[-1]
    assert expected.pinned_certificate is not None


@pytest.mark.parametrize("verb", ["disable", "delete"])
async def test_disabling_or_deleting_the_credential_ends_it_as_credential_disabled(
    house: House, verb: str
) -> None:
    """At once; a confirmation that comes after is late."""
    transaction = await begun_sign(house)
    credential_id = transaction.credential_id
    assert credential_id is not None
    await getattr(house.services.credentials, verb)(CALLER, credential_id)
    assert await ended_as(house, transaction) == ("failed", "credential_disabled")
    house.answer(APPROVED)
    await house.pass_time(8)
    assert await ended_as(house, transaction) == ("failed", "credential_disabled")


# -- time --------------------------------------------------------------------------------------


async def test_stored_deadlines_are_utc_and_waiting_is_counted_on_a_monotonic_clock(
    house: House,
) -> None:
    """A wall clock that is set an hour back meanwhile does not put a poll off."""
    transaction = await begun_sign(house)
    assert transaction.expires_at.tzinfo is UTC
    assert all(c.expires_at.tzinfo is UTC for c in transaction.challenges)
    house.clock._start -= timedelta(hours=1)
    assert await polled_at(house, "ticket-2", 9) == [4.0, 8.0]
    house.answer(REFUSED)
    await house.pass_time(4)
    assert (await house.current(transaction)).status is Status.REJECTED
