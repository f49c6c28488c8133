"""The services with doubles of every port, in simulated time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import (
    CertificateSignature,
    Channel,
    CredentialStatus,
    Expected,
    Fault,
    Kind,
    Pending,
    Status,
    Verdict,
)
from moica_gateway.errors import GatewayError, problem
from moica_gateway.ports import DeliveryFailed
from moica_gateway.services.commands import (
    IdempotencyUse,
    NewRegistration,
    TransactionFilter,
)
from moica_gateway.testing.outlet import RecordingOutlet
from moica_gateway.testing.random import SeededRandom
from moica_gateway.workers.delivery import Delivery
from tests.services.house import (
    APPROVED,
    CALLER,
    ID_NUMBER,
    OTHER_ID,
    REFUSED,
    SCOPES,
    STRANGER,
    TENANT,
    UNAVAILABLE,
    UNREACHABLE,
    House,
    build,
)


async def test_register_and_sign_by_push(house: House) -> None:
    """The whole way: ticket, poll, judge, artifact, credential, event."""
    registered = await house.register()
    assert registered.status is Status.COMPLETED
    credential = await house.services.transactions.credential_of(registered)
    assert credential is not None
    signed = await house.sign()
    assert signed.open_challenges[0].channel is Channel.PUSH
    house.answer(Pending(), APPROVED)
    await house.pass_time(8)
    signed = await house.current(signed)
    assert signed.status is Status.COMPLETED
    artifact = await house.services.transactions.artifact(CALLER, signed.id, None)
    assert artifact.data.endswith(b"|signature")
    assert artifact.filename == "1153000165.p7s"
    page = await house.services.feed.events(CALLER, "", 10)
    assert [m.type for m in page.items] == ["registration.completed", "signature.completed"]
    assert house.judge.asked[-1][1].pinned_certificate == b"certificate"
    assert house.judge.asked[-1][1].hashed_id_num == "h1"


async def test_a_double_click_rings_one_phone_once(house: House) -> None:
    """The same Idempotency-Key and body give the transaction as it is now."""
    await house.register()
    use = IdempotencyUse(method="POST", path="/v1/signatures", key="k", body_mac=b"m")
    first = await house.sign(use)
    rung = len(house.upstream.begun)
    again = await house.sign(use)
    assert again.id == first.id
    assert len(house.upstream.begun) == rung
    other = IdempotencyUse(method="POST", path="/v1/signatures", key="k", body_mac=b"n")
    with pytest.raises(GatewayError) as raised:
        await house.sign(other)
    assert raised.value.code == "idempotency_mismatch"


async def test_a_second_open_transaction_of_one_person_is_refused_unless_it_supersedes(
    house: House,
) -> None:
    """409 with the open one's id; with supersede the first is cancelled in the same commit."""
    await house.register()
    first = await house.sign()
    with pytest.raises(GatewayError) as raised:
        await house.sign()
    assert raised.value.code == "transaction_open"
    assert raised.value.problem.extra["transaction_id"] == first.id
    await house.sign(supersede=True)
    assert (await house.current(first)).status is Status.CANCELLED


async def test_a_refusal_is_an_outcome_at_once(house: House) -> None:
    """At the next poll."""
    await house.register()
    signed = await house.sign()
    house.answer(REFUSED)
    await house.pass_time(4)
    assert (await house.current(signed)).status is Status.REJECTED


async def test_nobody_answers_and_nothing_is_written_meanwhile(house: House) -> None:
    """No write for "not yet"; expired at the deciding poll."""
    await house.register()
    signed = await house.sign()
    commits = house.store.commits
    await house.pass_time(56)
    assert house.store.commits == commits
    assert (await house.current(signed)).status is Status.PENDING
    await house.pass_time(4)
    assert (await house.current(signed)).status is Status.EXPIRED


async def test_a_ticket_is_never_polled_closer_than_its_interval(house: House) -> None:
    """Every four seconds, the first four seconds after the ticket."""
    await house.register()
    before = len(house.upstream.polled)
    await house.sign()
    await house.pass_time(3.9)
    assert len(house.upstream.polled) == before
    await house.pass_time(16.1)
    assert len(house.upstream.polled) == before + 5


@pytest.mark.parametrize(
    ("fault", "code"),
    [(UNAVAILABLE, "upstream_unavailable"), (UNREACHABLE, "upstream_unreachable")],
)
async def test_settle_by_fails_with_the_last_word(house: House, fault: Fault, code: str) -> None:
    """A code until the end: that code; silence since the deadline: unreachable."""
    await house.register()
    signed = await house.sign()
    house.answer(fault)
    await house.pass_time(74)
    assert (await house.current(signed)).status is Status.PENDING
    await house.pass_time(1)
    failed = await house.current(signed)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (Status.FAILED, code)
    assert (await house.actions(signed)).count("challenge.fault") == 1


async def test_a_late_approval_is_recorded_and_changes_nothing(house: House) -> None:
    """After a cancel the ticket is watched until it lapses."""
    await house.register()
    signed = await house.sign()
    cancelled = await house.services.settlement.cancel(CALLER, signed.id)
    house.answer(APPROVED)
    await house.pass_time(70)
    after = await house.current(signed)
    assert (after.status, after.version) == (Status.CANCELLED, cancelled.version)
    assert (await house.actions(signed)).count("transaction.late_answer") == 1


async def test_what_the_judge_refuses_ends_the_transaction_and_stores_nothing(
    house: House,
) -> None:
    """With the judge's code, and an alarm."""
    await house.register()
    signed = await house.sign()
    house.judge._problems.append(problem("upstream_tampered", "x"))
    house.answer(APPROVED)
    await house.pass_time(4)
    failed = await house.current(signed)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (Status.FAILED, "upstream_tampered")
    assert "security.upstream_tampered" in house.alarms
    with pytest.raises(GatewayError):
        await house.services.transactions.artifact(CALLER, signed.id, None)


async def test_a_user_is_bound_to_one_id_number(house: House) -> None:
    """Another ID for a known user, or a known ID for another user, is 409."""
    await house.register()
    for new in (
        NewRegistration(user_id="u1", id_number=OTHER_ID),
        NewRegistration(user_id="u2", id_number=ID_NUMBER),
    ):
        with pytest.raises(GatewayError) as raised:
            await house.services.registration.create(CALLER, new, None)
        assert raised.value.code == "user_bound_to_other_id"


async def test_disabling_the_credential_ends_what_it_was_signing(house: House) -> None:
    """failed/credential_disabled, in the same commit."""
    registered = await house.register()
    signed = await house.sign()
    assert registered.credential_id is not None
    await house.services.credentials.disable(CALLER, registered.credential_id)
    failed = await house.current(signed)
    assert failed.error is not None
    assert failed.error.code == "credential_disabled"
    with pytest.raises(GatewayError) as raised:
        await house.sign()
    assert raised.value.code == "credential_missing"


async def test_after_a_restart_what_was_pending_is_asked_again(house: House) -> None:
    """One interval after the start; a confirmation meanwhile is found."""
    await house.register()
    signed = await house.sign()
    restarted = build(house.clock, house.store, house.upstream)
    house.answer(APPROVED)
    await restarted.poller.recover()
    task = asyncio.ensure_future(restarted.poller.run())
    await restarted.pass_time(4)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await restarted.current(signed)).status is Status.COMPLETED


async def test_a_start_that_a_crash_cut_off_is_start_unknown(house: House) -> None:
    """It is never sent again by itself."""
    await house.register()
    house.upstream.gate = asyncio.Event()
    signing = asyncio.ensure_future(house.sign())
    await house.pass_time(5)
    signed = await signing
    assert signed.challenges[0].status.value == "starting"
    begun = len(house.upstream.begun)
    restarted = build(house.clock, house.store, house.upstream)
    await restarted.poller.recover()
    failed = await restarted.current(signed)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (Status.FAILED, "start_unknown")
    assert len(house.upstream.begun) == begun
    house.upstream.gate.set()
    await house.clock.settle()


async def test_a_foreign_id_answers_as_an_unknown_one(house: House) -> None:
    """In every service."""
    registered = await house.register()
    signed = await house.sign()
    assert registered.credential_id is not None
    services = house.services
    for call in (
        services.transactions.get(STRANGER, signed.id),
        services.transactions.artifact(STRANGER, signed.id, None),
        services.settlement.cancel(STRANGER, signed.id),
        services.challenges.add(STRANGER, signed.id, Channel.QR, None),
        services.credentials.get(STRANGER, registered.credential_id),
        services.credentials.enable(STRANGER, registered.credential_id),
        services.credentials.delete(STRANGER, registered.credential_id),
        services.credentials.delete_user(STRANGER, "u1"),
    ):
        with pytest.raises(GatewayError) as raised:
            await call
        assert raised.value.code == "not_found"


async def test_events_of_a_transaction_are_delivered_in_order_and_again_after_a_failure(
    house: House,
) -> None:
    """At least once, with the same id."""
    await house.services.tenants.add_webhook(TENANT, "http://ds.test/hook", None, None)
    await house.register()
    outlet = RecordingOutlet(DeliveryFailed(reason="reset"))
    delivery = Delivery(store=house.store, outlet=outlet, clock=house.clock, random=SeededRandom(9))
    task = asyncio.ensure_future(delivery.run())
    await house.pass_time(0)
    assert len(outlet.messages) == 1
    await house.pass_time(10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [m.id for m in outlet.messages] == [outlet.messages[0].id] * 2
    due = await house.store.read(lambda uow: uow.due_outbox(TENANT, house.clock.now(), 10))
    assert list(due) == []


async def test_two_equal_requests_at_the_same_moment_ring_one_phone_once(house: House) -> None:
    """The key is looked at again inside the commit."""
    await house.register()
    rung = len(house.upstream.begun)
    use = IdempotencyUse(method="POST", path="/v1/signatures", key="k", body_mac=b"m")
    first, second = await asyncio.gather(house.sign(use), house.sign(use))
    assert first.id == second.id
    assert len(house.upstream.begun) == rung + 1


async def test_a_registration_of_the_same_certificate_is_the_same_credential(house: House) -> None:
    """It is updated, not doubled."""
    first = await house.register()
    second = await house.register()
    assert first.credential_id == second.credential_id
    assert len(await house.services.credentials.list(CALLER, "u1")) == 1


async def test_a_ticket_is_not_lost_when_the_store_fails_meanwhile(house: House) -> None:
    """The phone rings, the store is away for 10 s: the approval is found all the same."""
    await house.register()
    house.upstream.gate = asyncio.Event()
    signing = asyncio.ensure_future(house.sign())
    await house.pass_time(5)
    signed = await signing
    house.store.available = False
    house.upstream.gate.set()
    await house.pass_time(10)
    house.store.available = True
    house.upstream.answer("ticket-2", APPROVED)
    await house.pass_time(20)
    assert (await house.current(signed)).status is Status.COMPLETED


async def test_a_store_that_fails_while_polling_loses_nothing(house: House) -> None:
    """The confirmed ticket is asked for again."""
    await house.register()
    signed = await house.sign()
    house.answer(APPROVED)
    house.store.available = False
    await house.pass_time(30)
    house.store.available = True
    await house.pass_time(10)
    assert (await house.current(signed)).status is Status.COMPLETED


async def test_what_the_platform_never_answers_ends_by_settle_by(house: House) -> None:
    """Even where the request for a ticket hangs for good."""
    await house.register()
    house.upstream.gate = asyncio.Event()
    signing = asyncio.ensure_future(house.sign())
    await house.pass_time(76)
    failed = await house.current(await signing)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (Status.FAILED, "upstream_unreachable")
    house.upstream.gate.set()
    await house.clock.settle()


async def test_a_late_approval_of_an_erased_person_is_recorded_once(house: House) -> None:
    """And alarms nobody: there is nothing left to verify it with."""
    await house.register()
    signed = await house.sign()
    await house.services.credentials.delete_user(CALLER, "u1")
    house.answer(APPROVED)
    await house.pass_time(70)
    after = await house.current(signed)
    assert after.status is Status.FAILED
    assert (await house.actions(signed)).count("transaction.late_answer") == 1


async def test_after_a_restart_past_the_deadline_the_platform_is_asked_before_it_is_settled(
    house: House,
) -> None:
    """`settle_by` counts from the start; a confirmation while the gateway was down counts."""
    await house.register()
    signed = await house.sign()
    running = [t for t in asyncio.all_tasks() if "Poller.run" in repr(t)]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await house.clock.advance(3600)
    house.answer(APPROVED)
    restarted = build(house.clock, house.store, house.upstream)
    await restarted.poller.recover()
    polled = len(house.upstream.polled)
    task = asyncio.ensure_future(restarted.poller.run())
    await restarted.pass_time(3.9)
    assert len(house.upstream.polled) == polled
    await restarted.pass_time(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await restarted.current(signed)).status is Status.COMPLETED


async def test_lists_and_the_feed_show_a_tenants_own_only(house: House) -> None:
    """A stranger sees nothing, and his key binds nobody of ours."""
    await house.register()
    signed = await house.sign()
    services = house.services
    everything = TransactionFilter()
    page = await services.transactions.list(STRANGER, everything, limit=10, cursor=None)
    assert page.items == ()
    assert (await services.feed.events(STRANGER, "", 10)).items == ()
    assert await services.credentials.list(STRANGER, "u1") == ()
    assert await services.settlement.cancel_document(STRANGER, "1153000165") == ()
    with pytest.raises(GatewayError) as raised:
        await services.transactions.wait(STRANGER, signed.id, since=None, seconds=1)
    assert raised.value.code == "not_found"
    new = NewRegistration(user_id="u9", id_number=ID_NUMBER)
    assert (await services.registration.create(STRANGER, new, None)).transaction.tenant == "t2"


async def test_an_approval_that_is_being_judged_at_settle_by_still_counts(house: House) -> None:
    """A slow CRL does not turn what the deciding poll found into "unreachable"."""
    await house.register()
    signed = await house.sign()
    at_once = house.judge.judge

    async def slow(proof: CertificateSignature, expected: Expected) -> Verdict:
        await house.clock.sleep(20)
        return await at_once(proof, expected)

    house.judge.judge = slow  # type: ignore[method-assign]
    await house.pass_time(57)
    house.answer(APPROVED)
    await house.pass_time(20)
    assert (await house.current(signed)).status is Status.PENDING
    await house.pass_time(10)
    assert (await house.current(signed)).status is Status.COMPLETED


async def test_a_late_approval_is_recorded_once_also_after_a_restart(house: House) -> None:
    """The ticket is watched again and says the same again."""
    await house.register()
    signed = await house.sign()
    await house.services.settlement.cancel(CALLER, signed.id)
    house.answer(APPROVED)
    await house.pass_time(8)
    assert (await house.actions(signed)).count("transaction.late_answer") == 1
    polled = len(house.upstream.polled)
    restarted = build(house.clock, house.store, house.upstream)
    await restarted.poller.recover()
    task = asyncio.ensure_future(restarted.poller.run())
    await restarted.pass_time(8)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(house.upstream.polled) > polled
    assert (await house.actions(signed)).count("transaction.late_answer") == 1


async def test_a_user_whose_certificate_ran_out_is_told_so(house: House) -> None:
    """certificate_expired, not that none was ever registered."""
    registered = await house.register()
    assert registered.credential_id is not None
    credential = await house.services.credentials.get(CALLER, registered.credential_id)
    expired = evolve(credential, status=CredentialStatus.EXPIRED)
    await house.store.write(lambda uow: uow.save_credential(expired))
    with pytest.raises(GatewayError) as raised:
        await house.sign()
    assert raised.value.code == "certificate_expired"


async def test_a_revoked_key_is_not_revived_by_importing_it(house: House) -> None:
    """The administrator makes a new one."""
    tenants = house.services.tenants
    clear = await tenants.create_key(TENANT, "k", SCOPES, test=False)
    (key,) = await tenants.list_keys(TENANT)
    await tenants.revoke_key(TENANT, key.id)
    with pytest.raises(GatewayError):
        await tenants.import_key(TENANT, "k", SCOPES, clear)
    with pytest.raises(GatewayError):
        await tenants.authenticate(clear)


async def test_a_transaction_that_was_written_but_not_asked_for_still_ends(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database fails right after the commit: no phone rings, and the person is free again."""
    await house.register()
    begun, write = len(house.upstream.begun), house.store.write

    async def write_and_fail(work: Any) -> Any:
        written = await write(work)
        house.store.available = False
        return written

    with monkeypatch.context() as failing:
        failing.setattr(house.store, "write", write_and_fail)
        with pytest.raises(GatewayError) as raised:
            await house.sign()
    assert raised.value.code == "storage_unavailable"
    house.store.available = True
    await house.pass_time(60 + 15 + 1)
    page = await house.services.transactions.list(
        CALLER, TransactionFilter(kind=Kind.SIGNATURE), limit=10, cursor=None
    )
    assert [t.status for t in page.items] == [Status.FAILED]
    assert len(house.upstream.begun) == begun
