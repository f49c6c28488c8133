"""Batches through the services, settlement and poller, with doubles and in simulated time."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from moica_gateway.domain.brakes import BrakeLimits
from moica_gateway.domain.models import (
    Approved,
    CertificateSignature,
    ChallengeStatus,
    Channel,
    Fault,
    Lapsed,
    Pending,
    Status,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import Secret
from moica_gateway.errors import GatewayError, error, problem
from moica_gateway.services.commands import IdempotencyUse, NewDocument, NewSignature
from moica_gateway.testing.clock import FrozenClock
from moica_gateway.testing.seals import FixedSeals
from moica_gateway.testing.store import MemoryStore
from moica_gateway.testing.upstream import ScriptedUpstream
from tests.services.house import CALLER, REFUSED, SCOPES, TENANT, House, build

_FORGED = problem("upstream_tampered", "x")


def documents(count: int, **changes: Any) -> tuple[NewDocument, ...]:
    """Each of its own content."""
    return tuple(
        NewDocument(
            id=f"d{n}", number=f"11530001{n:02d}", sha256=hashlib.sha256(bytes([n])).hexdigest()
        )
        if n or not changes
        else NewDocument(number="1153000100", **changes)
        for n in range(count)
    )


def confirmed(*signatures: bytes) -> Approved:
    """An approval with these signatures."""
    return Approved(
        proof=CertificateSignature(
            unverified_certificate=b"certificate",
            unverified_signatures=signatures,
            hashed_id_num="h1",
            raw=b'{"raw": 1}',
        )
    )


async def batch(house: House, count: int, use: IdempotencyUse | None = None, **more: Any) -> Any:
    """Begun, two documents a ticket."""
    house.upstream.max_messages = 2
    new = NewSignature(user_id="u1", documents=more.pop("documents", documents(count)), **more)
    return (await house.services.signing.create(CALLER, new, use)).transaction


def asked(house: House) -> list[bytes]:
    """The messages of the latest ticket."""
    return [m.message for m in house.upstream.begun[-1].messages]


async def refused(house: House, code: str, **more: Any) -> Any:
    """That a batch is refused with this code, and that nothing exists then."""
    begun = len(house.upstream.begun)
    with pytest.raises(GatewayError) as raised:
        await batch(house, more.pop("count", 3), **more)
    assert raised.value.code == code
    assert len(house.upstream.begun) == begun
    found = await house.store.read(lambda uow: uow.pending_transactions(TENANT))
    assert found == ()
    return raised.value.problem


async def test_a_batch_is_signed_ticket_after_ticket(house: House) -> None:
    """Five documents on three tickets in order, each with its artifact, one event at the end."""
    await house.register()
    made = await batch(house, 5)
    before = len(house.upstream.begun)
    assert made.tickets == 3
    for n, size in enumerate((2, 2, 1)):
        current = await house.current(made)
        assert (current.status, current.ticket) == (Status.PENDING, n)
        expected = [d.sha256.encode() for d in current.documents_of(n)]
        assert asked(house) == expected
        assert len(expected) == size
        assert house.upstream.begun[-1].time_limit == 60
        house.answer(Pending(), confirmed(*[f"s{n}{k}".encode() for k in range(size)]))
        await house.pass_time(8)
    ended = await house.current(made)
    assert ended.status is Status.COMPLETED
    assert len(house.upstream.begun) == before + 2
    assert len({b.upstream_transaction_id for b in house.upstream.begun}) == before + 2
    for n, document in enumerate(ended.documents):
        found = await house.services.transactions.artifact(CALLER, made.id, document.id)
        assert found.data == document.sha256.encode() + f"|s{n // 2}{n % 2}".encode()
    events = await house.services.feed.events(CALLER, after="", limit=50)
    bodies = [json.loads(m.body) for m in events.items]
    [body] = [b for b in bodies if b["data"]["transaction_id"] == made.id]
    assert body["type"] == "signature.completed"
    assert [d["status"] for d in body["data"]["documents"]] == ["completed"] * 5


async def test_the_hint_names_the_first_document_and_how_many(house: House) -> None:
    """The same words on every ticket; one document alone is shown as ever."""
    await house.register()
    made = await batch(house, 3)
    assert made.hint == f"公文文號：1153000100 等 3 件 驗證碼：{made.match_code}"
    house.answer(confirmed(b"a", b"b"))
    await house.pass_time(4)
    assert house.upstream.begun[-1].hint == house.upstream.begun[-2].hint == made.hint
    house.answer(confirmed(b"c"))
    await house.pass_time(4)
    alone = await batch(house, 1)
    assert alone.hint == f"公文文號：1153000100 驗證碼：{alone.match_code}"


async def test_a_refusal_of_the_second_ticket_keeps_what_the_first_signed(house: House) -> None:
    """Partial: its artifacts are fetched one by one, and there are no others."""
    await house.register()
    made = await batch(house, 4)
    house.answer(confirmed(b"a", b"b"))
    await house.pass_time(4)
    pending = await house.services.transactions.artifact(CALLER, made.id, "d1")
    assert pending.data.endswith(b"|b")
    house.answer(REFUSED)
    await house.pass_time(4)
    ended = await house.current(made)
    assert (ended.status, ended.partial) == (Status.REJECTED, True)
    assert [d.status for d in ended.documents] == [Status.COMPLETED] * 2 + [Status.REJECTED] * 2
    found = await house.services.transactions.artifact(CALLER, made.id, "d1")
    assert found.data == pending.data
    with pytest.raises(GatewayError) as raised:
        await house.services.transactions.artifact(CALLER, made.id, "d2")
    assert raised.value.code == "not_found"
    with pytest.raises(GatewayError) as raised:
        await house.services.transactions.artifact(CALLER, made.id, None)
    assert raised.value.code == "request_invalid"


@pytest.mark.parametrize("first", [True, False])
async def test_a_signature_that_does_not_verify_keeps_nothing_of_its_ticket(
    house: House, first: bool
) -> None:
    """The batch fails with an alarm; of that ticket no artifact and no raw answer is stored."""
    await house.register()
    made = await batch(house, 4)
    if not first:
        house.answer(confirmed(b"a", b"b"))
        await house.pass_time(4)
    blobs = set(house.store._state.blobs)
    house.judge._problems.append(_FORGED)
    house.answer(confirmed(b"a", b"forged"))
    await house.pass_time(4)
    ended = await house.current(made)
    assert (ended.status, ended.partial) == (Status.FAILED, not first)
    assert house.alarms == ["security.upstream_tampered"]
    assert set(house.store._state.blobs) == blobs
    assert sum(d.artifact is not None for d in ended.documents) == (0 if first else 2)


async def test_the_next_ticket_goes_out_on_the_channel_that_was_approved(house: House) -> None:
    """Begun by push, confirmed by QR: the next one is a QR code, with all its time."""
    await house.register()
    made = await batch(house, 4)
    await house.services.challenges.add(CALLER, made.id, Channel.QR, None)
    assert len(asked(house)) == 2
    house.answer(confirmed(b"a", b"b"))
    await house.pass_time(4)
    current = await house.current(made)
    assert [c.channel for c in current.challenges] == [Channel.PUSH, Channel.QR, Channel.QR]
    assert [c.ticket for c in current.challenges] == [0, 0, 1]
    assert current.challenges[0].status is ChallengeStatus.CLOSED
    further = await house.services.challenges.add(CALLER, made.id, Channel.PUSH, None)
    assert further.challenges[-1].ticket == 1
    assert asked(house) == [d.sha256.encode() for d in current.documents_of(1)]


async def test_a_late_approval_of_a_signed_ticket_is_recorded_once(house: House) -> None:
    """The other challenge of the first ticket is approved, too: nothing is changed or judged."""
    await house.register()
    made = await batch(house, 4)
    await house.services.challenges.add(CALLER, made.id, Channel.QR, None)
    number = len(house.upstream.begun)
    house.upstream.answer(f"ticket-{number}", confirmed(b"a", b"b"))
    house.upstream.answer(f"ticket-{number - 1}", Pending(), confirmed(b"x", b"y"))
    await house.pass_time(4)
    judged = len(house.judge.asked)
    version = (await house.current(made)).version
    await house.pass_time(12)
    assert (await house.actions(made)).count("transaction.late_answer") == 1
    assert len(house.judge.asked) == judged
    current = await house.current(made)
    assert (current.version, current.ticket) == (version, 1)
    artifact = await house.services.transactions.artifact(CALLER, made.id, "d0")
    assert artifact.data.endswith(b"|a")


async def test_each_ticket_has_the_whole_time(house: House) -> None:
    """The second lapses 60 s after the first was signed, not before."""
    await house.register()
    made = await batch(house, 3)
    await house.pass_time(40)
    house.answer(confirmed(b"a", b"b"))
    await house.pass_time(4)
    await house.pass_time(56)
    assert (await house.current(made)).status is Status.PENDING
    await house.pass_time(20)
    ended = await house.current(made)
    assert (ended.status, ended.partial) == (Status.EXPIRED, True)


async def test_a_crash_before_the_next_ticket_was_asked_is_start_unknown(house: House) -> None:
    """A new process finds the challenge starting and never asks for it again."""
    await house.register()
    made = await batch(house, 3)
    house.upstream.gate = asyncio.Event()
    house.answer(confirmed(b"a", b"b"))
    await house.pass_time(4)
    current = await house.current(made)
    assert current.challenges[-1].status is ChallengeStatus.STARTING
    begun = len(house.upstream.begun)
    again = build(house.clock, house.store, house.upstream)
    await again.poller.recover()
    ended = await again.current(made)
    assert (ended.status, ended.partial) == (Status.FAILED, True)
    assert ended.error is not None
    assert ended.error.code == "start_unknown"
    assert len(house.upstream.begun) == begun
    house.upstream.gate.set()
    await house.clock.settle()


async def test_a_failing_store_delays_the_next_ticket_only(house: House) -> None:
    """The first reading of what is to be asked fails: it is read again, and asked once."""
    await house.register()
    made = await batch(house, 3)
    real, broken = house.store.read, 1

    async def read(work: Any) -> Any:
        nonlocal broken
        current = house.store._state.transactions[TENANT, made.id]
        if broken and current.ticket == 1 and "_read_asked_for" in work.__qualname__:
            broken = 0
            raise error("storage_unavailable", "x")
        return await real(work)

    object.__setattr__(house.store, "read", read)
    begun = len(house.upstream.begun)
    house.answer(confirmed(b"a", b"b"))
    await house.pass_time(4)
    assert broken == 0
    assert len(house.upstream.begun) == begun
    await house.pass_time(3)
    assert len(house.upstream.begun) == begun + 1
    assert (await house.current(made)).challenges[-1].status is ChallengeStatus.SENT


async def test_a_brake_stops_the_next_ticket_and_keeps_what_was_signed(house: House) -> None:
    """Each ticket is counted before the platform is called."""
    await house.register()
    made = await batch(house, 3)
    counts = await house.store.read(lambda uow: uow.request_counts(TENANT))
    assert counts.tenant is not None
    limits = BrakeLimits(tenant_requests=counts.tenant.requests)
    object.__setattr__(house.context, "brake_limits", limits)
    begun = len(house.upstream.begun)
    house.answer(confirmed(b"a", b"b"))
    await house.pass_time(4)
    ended = await house.current(made)
    assert (ended.status, ended.partial) == (Status.FAILED, True)
    assert ended.error is not None
    assert ended.error.code == "rate_limited"
    assert len(house.upstream.begun) == begun
    assert [d.status for d in ended.documents] == [Status.COMPLETED] * 2 + [Status.FAILED]


async def test_each_ticket_counts_for_the_brakes(house: House) -> None:
    """A batch of three tickets is three requests to the platform."""
    await house.register()
    before = await house.store.read(lambda uow: uow.request_counts(TENANT))
    await batch(house, 5)
    for _ in range(2):
        house.answer(confirmed(b"a", b"b"))
        await house.pass_time(4)
    after = await house.store.read(lambda uow: uow.request_counts(TENANT))
    assert before.tenant is not None
    assert after.tenant is not None
    assert after.tenant.requests == before.tenant.requests + 3


async def test_a_refused_document_is_named_and_nothing_exists(house: House) -> None:
    """By its place, and by its id where it has one."""
    await house.register()
    good = documents(3)
    bad = (good[0], evolve(good[1], sha256="00" * 32, content=b"x"), good[2])
    why = await refused(house, "document_digest_mismatch", documents=bad)
    assert (why.extra["document_index"], why.extra["document_id"]) == (1, "d1")
    number = (good[0], evolve(good[1], id=None, number="1153\u202e"), good[2])
    why = await refused(house, "request_invalid", documents=number)
    assert (why.extra["document_index"], why.extra["member"]) == (1, "documents[1].number")
    assert "document_id" not in why.extra
    house.upstream._max_message = 63
    why = await refused(house, "document_too_large", documents=good)
    assert (why.extra["document_index"], why.extra["document_id"]) == (0, "d0")


async def test_ids_are_unique_inside_a_batch(house: House) -> None:
    """The second one of the same id is refused by its place."""
    await house.register()
    same = (*documents(2), evolve(documents(1)[0]))
    why = await refused(house, "request_invalid", documents=same)
    assert (why.extra["document_index"], why.extra["member"]) == (2, "documents[2].id")


async def test_the_tenants_policy_caps_a_batch(house: House) -> None:
    """One more than allowed is refused; as many as allowed are taken."""
    await house.register()
    await house.services.tenants.create_tenant(TENANT, "t1", TenantPolicy(batch_max=3))
    why = await refused(house, "request_invalid", count=4)
    assert why.extra["member"] == "documents"
    assert (await batch(house, 3)).status is Status.PENDING


async def test_a_named_device_is_refused_for_several_documents(house: House) -> None:
    """The platform rings all phones for a batch; one document may name its phone."""
    await house.register()
    why = await refused(house, "request_invalid", count=2, device_name="我的手機")
    assert why.extra["member"] == "device_name"
    await batch(house, 1, device_name="我的手機")
    assert house.upstream.begun[-1].device_name == "我的手機"


async def test_a_batch_needs_the_scope_and_obeys_key_and_open_transaction(house: House) -> None:
    """As a single signature: scope ``sign``, one open a person, a key makes it once."""
    await house.register()
    narrow = evolve(CALLER, scopes=SCOPES - {s for s in SCOPES if s == "sign"})
    with pytest.raises(GatewayError) as raised:
        await house.services.signing.create(
            narrow, NewSignature(user_id="u1", documents=documents(2)), None
        )
    assert raised.value.code == "forbidden"
    use = IdempotencyUse(method="POST", path="/v1/signature-batches", key="k", body_mac=b"m")
    made = await batch(house, 3, use)
    begun = len(house.upstream.begun)
    assert (await batch(house, 3, use)).id == made.id
    with pytest.raises(GatewayError) as raised:
        await batch(house, 3)
    assert raised.value.code == "transaction_open"
    assert len(house.upstream.begun) == begun
    other = await batch(house, 3, supersede=True)
    assert (await house.current(made)).status is Status.CANCELLED
    assert (await house.current(other)).status is Status.PENDING


async def test_a_disabled_credential_ends_a_batch_between_tickets(house: House) -> None:
    """What was signed before is kept; the answer that still comes is late."""
    await house.register()
    made = await batch(house, 4)
    house.answer(confirmed(b"a", b"b"))
    await house.pass_time(4)
    assert made.credential_id is not None
    await house.services.credentials.disable(CALLER, made.credential_id)
    house.answer(confirmed(b"c", b"d"))
    await house.pass_time(8)
    ended = await house.current(made)
    assert (ended.status, ended.partial) == (Status.FAILED, True)
    assert [bool(d.artifact) for d in ended.documents] == [True, True, False, False]
    assert (await house.actions(made))[-1] == "transaction.late_answer"


async def test_a_kill_after_any_commit_leaves_one_outcome(house: House) -> None:
    """From every state that the store went through a new process goes on: nothing is asked twice,
    what was signed stays, and one event is told."""
    await house.register()
    states: list[Any] = []
    write = house.store.write

    async def noted(work: Any) -> Any:
        made = await write(work)
        states.append((house.store._state, house.upstream._count))
        return made

    object.__setattr__(house.store, "write", noted)
    made = await batch(house, 5)
    for size in (2, 2, 1):
        house.answer(Pending(), confirmed(*[b"s"] * size))
        await house.pass_time(8)
    assert (await house.current(made)).status is Status.COMPLETED
    endings = []
    for state, count in states:
        store = MemoryStore(house.clock, FixedSeals())
        store._state = state
        upstream = ScriptedUpstream(max_messages=2)
        upstream._count = count
        upstream._answers = {k: deque([v[-1]]) for k, v in house.upstream._answers.items()}
        again = build(house.clock, store, upstream)
        before = (await again.current(made)).challenges
        await again.poller.recover()
        running = asyncio.ensure_future(again.poller.run())
        for _ in range(4):
            await again.pass_time(4)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        ended = await again.current(made)
        known = {c.upstream_transaction_id for c in before}
        assert not known & {b.upstream_transaction_id for b in upstream.begun}
        assert [c.ticket for c in ended.challenges] == list(range(len(ended.challenges)))
        code = ended.error.code if ended.error else None
        endings.append((ended.status.value, code))
        signed = [d.artifact is not None for d in ended.documents]
        assert signed == [d.status is Status.COMPLETED for d in ended.documents]
        assert ended.partial == (any(signed) and not all(signed))
        events = await again.services.feed.events(CALLER, after="", limit=50)
        told = [json.loads(m.body)["data"]["transaction_id"] for m in events.items]
        assert told.count(made.id) == 1
    assert set(endings) == {("completed", None), ("failed", "start_unknown")}
    assert len(endings) >= 6


_ANSWERS = {
    "approve": None,
    "refuse": REFUSED,
    "lapse": Lapsed(),
    "fail": Fault(problem=problem("device_not_bound", "x", upstream_code="X"), spoke=True),
    "forge": None,
}


@settings(max_examples=25, deadline=None)
@given(words=st.lists(st.sampled_from(sorted(_ANSWERS)), min_size=4, max_size=4))
def test_random_answers_give_one_outcome_and_consistent_documents(words: list[str]) -> None:
    """Whatever each ticket is answered: one event, and each document signed or ended, with an
    artifact exactly where it is signed."""
    asyncio.run(_play(words))


async def _play(words: list[str]) -> None:
    clock = FrozenClock()
    house = build(clock, MemoryStore(clock, FixedSeals()), ScriptedUpstream())
    await house.services.tenants.create_tenant(TENANT, "t1", TenantPolicy())
    await house.services.tenants.set_service_provider(TENANT, "sp", Secret(bytes(32)), "k1")
    running = asyncio.ensure_future(house.poller.run())
    await clock.settle()
    await house.register()
    made = await batch(house, 7)
    for word in words:
        current = await house.current(made)
        if current.status.terminal:
            break
        if word == "forge":
            house.judge._problems.append(_FORGED)
        count = len(current.documents_of(current.ticket))
        house.answer(_ANSWERS[word] or confirmed(*[b"s"] * count))
        await house.pass_time(4)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await _check(house, await house.current(made), words)


async def _check(house: House, ended: Transaction, words: list[str]) -> None:
    approved = next((n for n, word in enumerate(words) if word != "approve"), len(words))
    assert ended.status.terminal
    assert (ended.status is Status.COMPLETED) == (approved == 4)
    assert ended.partial == (0 < approved < 4)
    for document in ended.documents:
        signed = document.ticket < approved
        assert document.status is (Status.COMPLETED if signed else ended.status)
        assert (document.artifact is not None) == signed
    events = await house.services.feed.events(CALLER, after="", limit=50)
    told = [json.loads(m.body)["data"]["transaction_id"] for m in events.items]
    assert told.count(ended.id) == 1
