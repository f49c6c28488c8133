"""What a browser brings back from the Ministry's site: who is believed, and that it is once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import (
    Approved,
    ChallengeStatus,
    Channel,
    Fault,
    HolderPresent,
    Kind,
    Lapsed,
    Refused,
    Status,
    Transaction,
)
from moica_gateway.errors import GatewayError, problem
from moica_gateway.services.callbacks import Callbacks
from moica_gateway.services.commands import NewAuthentication, NewRegistration
from tests.services.house import APPROVED, CALLER, ID_NUMBER, REFUSED, STRANGER, TENANT, House

UNNAMED = Approved(proof=evolve(APPROVED.proof, hashed_id_num=None))
PRESENT = Approved(proof=HolderPresent(hashed_id_num=None, raw=b"{}"))
FORGED = Fault(problem=problem("checksum_mismatch", "x"), spoke=False)
OTHER_PERSON = Fault(problem=problem("id_number_mismatch", "x"), spoke=False)


async def begin(house: House, channel: Channel = Channel.REDIRECT) -> Transaction:
    new = NewRegistration(user_id="u1", id_number=ID_NUMBER, channel=channel)
    made = await house.services.registration.create(CALLER, new, None)
    return await house.current(made.transaction)


def body(transaction: Transaction, number: int = 0) -> bytes:
    return f"transaction_id={transaction.challenges[number].upstream_transaction_id}".encode()


async def bring(house: House, transaction: Transaction, **changes: Any) -> None:
    tenant = changes.get("tenant", TENANT)
    await house.services.callbacks.receive(tenant, body(transaction))


@pytest.fixture
def results(house: House) -> list[str]:
    """What became of each callback, as the metrics are told; the service is replaced."""
    heard: list[str] = []
    context = evolve(house.context, called_back=heard.append)
    made = Callbacks(context, house.services.settlement, house.poller.watch)
    house.services = evolve(house.services, callbacks=made)
    return heard


async def test_the_confirmation_is_brought_and_counts_once(
    house: House, results: list[str]
) -> None:
    """Registered at once, without a poll; the same form again changes nothing."""
    begun = await begin(house)
    house.answer(UNNAMED)
    await bring(house, begun)
    done = await house.current(begun)
    assert (done.status, done.kind) == (Status.COMPLETED, Kind.REGISTRATION)
    assert house.upstream.polled == []
    for _ in range(2):
        await bring(house, begun)
    assert await house.current(begun) == done
    assert len(house.upstream.received) == 1
    assert results == ["taken", "repeated", "repeated"]


async def test_it_is_not_polled_and_expires_as_usual(house: House) -> None:
    """Left alone until settle_by: what the browser brings after the time limit still counts."""
    begun = await begin(house)
    await house.pass_time(74.9)
    assert (await house.current(begun)).status is Status.PENDING
    await house.pass_time(0.2)
    done = await house.current(begun)
    assert (done.status, done.error and done.error.code) == (Status.EXPIRED, "expired")
    assert house.upstream.polled == []


async def test_just_before_settle_by_it_counts(house: House) -> None:
    """The Ministry's own clock began later than ours."""
    begun = await begin(house)
    await house.pass_time(70)
    house.answer(UNNAMED)
    await bring(house, begun)
    assert (await house.current(begun)).status is Status.COMPLETED


async def test_a_silent_push_beside_a_redirect_is_still_unreachable(house: House) -> None:
    """That the redirect was not used says nothing of the push that nobody could be asked about."""
    begun = await begin(house)
    added = await house.services.challenges.add(CALLER, begun.id, Channel.PUSH, None)
    house.answer(Fault(problem=problem("upstream_unreachable", "x"), spoke=False))
    await house.pass_time(80)
    done = await house.current(added)
    assert (done.status, done.error and done.error.code) == (Status.FAILED, "upstream_unreachable")


async def test_a_late_form_is_recorded_once_and_changes_nothing(
    house: House, results: list[str]
) -> None:
    """As any late answer: the signature is discarded."""
    begun = await begin(house)
    await house.services.settlement.cancel(CALLER, begun.id)
    ended = await house.current(begun)
    house.answer(UNNAMED)
    for _ in range(3):
        await bring(house, begun)
    assert await house.current(begun) == ended
    assert (await house.actions(begun)).count("transaction.late_answer") == 1
    assert results == ["late"] * 3
    assert await house.store.read(lambda u: u.user_binding(TENANT, "u1")) is None


@pytest.mark.parametrize("answer", [REFUSED, Lapsed()])
async def test_a_refusal_and_a_lapse_end_it(house: House, answer: Refused | Lapsed) -> None:
    """As at a poll."""
    begun = await begin(house)
    house.answer(answer)
    await bring(house, begun)
    expected = Status.REJECTED if isinstance(answer, Refused) else Status.PENDING
    found = await house.current(begun)
    assert found.status in (expected, Status.EXPIRED)
    assert found.challenges[0].status in (ChallengeStatus.REFUSED, ChallengeStatus.LAPSED)


async def test_a_forged_form_ends_nothing(house: House, results: list[str]) -> None:
    """Alarm and record, a few at most; the holder's own confirmation still counts."""
    begun = await begin(house)
    house.answer(*[FORGED] * 9, UNNAMED)
    for _ in range(9):
        await bring(house, begun)
    assert await house.current(begun) == begun
    assert (await house.actions(begun)).count("callback.forged") == 5
    assert house.alarms == ["security.callback_forged"] * 9
    await bring(house, begun)
    assert (await house.current(begun)).status is Status.COMPLETED
    assert results == [*["forged"] * 9, "taken"]


async def test_another_persons_confirmation_ends_it(house: House) -> None:
    """It is authentic: somebody else has confirmed at the Ministry's page."""
    begun = await begin(house)
    house.answer(OTHER_PERSON)
    await bring(house, begun)
    done = await house.current(begun)
    assert (done.status, done.error and done.error.code) == (Status.FAILED, "id_number_mismatch")
    assert house.alarms == ["security.id_number_mismatch"]


async def test_what_is_unknown_or_foreign_is_not_even_read(
    house: House, results: list[str]
) -> None:
    """Another tenant's path, no tenant, a made-up id, and a ticket that is polled."""
    begun = await begin(house)
    house.answer(UNNAMED)
    await bring(house, begun, tenant=STRANGER.tenant)
    await bring(house, begun, tenant="nobody")
    await house.services.callbacks.receive(TENANT, b"transaction_id=no-such")
    await house.services.settlement.cancel(CALLER, begun.id)
    pushed = await begin(house, Channel.PUSH)
    await bring(house, pushed)
    assert house.upstream.received == []
    assert results == ["unknown"] * 4
    assert (await house.current(pushed)).status is Status.PENDING


async def test_the_same_form_twice_at_once_is_read_once(
    house: House, results: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first is being judged the second is a repetition."""
    begun = await begin(house)
    house.answer(UNNAMED)
    judging = asyncio.Event()
    honest = house.judge.judge

    async def slow(*asked: Any) -> Any:
        await judging.wait()
        return await honest(*asked)

    monkeypatch.setattr(house.judge, "judge", slow)
    first = asyncio.ensure_future(bring(house, begun))
    await house.clock.settle()
    await bring(house, begun)
    judging.set()
    await first
    assert results == ["repeated", "taken"]
    assert len(house.upstream.received) == 1


async def test_what_could_not_be_stored_may_be_brought_again(house: House) -> None:
    """The browser is told to try again, and then it counts."""
    begun = await begin(house)
    house.answer(UNNAMED)
    house.store.available = False
    with pytest.raises(GatewayError) as raised:
        await bring(house, begun)
    assert raised.value.code == "storage_unavailable"
    house.store.available = True
    await bring(house, begun)
    assert (await house.current(begun)).status is Status.COMPLETED


async def test_a_body_that_is_no_form_is_refused(house: House) -> None:
    """It names no transaction, so that nothing is told by refusing it."""
    with pytest.raises(GatewayError) as raised:
        await house.services.callbacks.receive(TENANT, b"\xff")
    assert raised.value.code == "request_malformed"


async def test_a_bare_authentication_by_redirect(house: House) -> None:
    """The form for presence, and the platform's word from the browser."""
    new = NewAuthentication(id_number=ID_NUMBER, channel=Channel.REDIRECT)
    begun = (await house.services.authentication.create(CALLER, new, None)).transaction
    assert house.upstream.begun[-1].presence
    assert house.services.challenges.presentation((await house.current(begun)).challenges[0]).form
    house.answer(PRESENT)
    await bring(house, begun)
    done = await house.current(begun)
    assert (done.status, done.assurance) == (Status.COMPLETED, "platform")


async def test_after_a_restart_a_redirect_is_still_not_polled(house: House) -> None:
    """And still expires."""
    begun = await begin(house)
    await house.poller.recover()
    await house.pass_time(90)
    assert house.upstream.polled == []
    assert (await house.current(begun)).status is Status.EXPIRED
