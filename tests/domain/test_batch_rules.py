"""Batches: several tickets, one after another, behind one transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from moica_gateway.domain.brakes import outcome_of
from moica_gateway.domain.lifecycle import (
    AddChallenge,
    Answered,
    BeginEnded,
    Cancel,
    CredentialGone,
    Decision,
    SettleBy,
    Verified,
    decide,
)
from moica_gateway.domain.models import (
    Begun,
    Challenge,
    ChallengeStatus,
    Channel,
    Document,
    Fault,
    Handle,
    Kind,
    Lapsed,
    Pending,
    Refused,
    SignatureResult,
    StartUnknown,
    Status,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import (
    BlobId,
    ChallengeId,
    DocumentId,
    PersonId,
    TenantId,
    TransactionId,
)
from moica_gateway.errors import GatewayError, problem

START = datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)
REFUSED = Refused(problem=problem("holder_refused", "x"))
FORGED = Fault(problem=problem("upstream_tampered", "x"), spoke=True)
BROKEN = Fault(problem=problem("device_not_bound", "x", upstream_code="X"), spoke=True)


def at(seconds: float) -> datetime:
    """So many seconds after the creation."""
    return START + timedelta(seconds=seconds)


def challenge(name: str, status: ChallengeStatus = ChallengeStatus.SENT, **more: Any) -> Challenge:
    """With a limit of 60 s."""
    started = status is ChallengeStatus.STARTING
    made = Challenge(
        id=ChallengeId(name),
        channel=Channel.QR,
        status=status,
        upstream_transaction_id=name,
        time_limit=60,
        created_at=START,
        expires_at=at(60),
        sp_key_id="k",
        handle=None if started else handle(name),
    )
    return evolve(made, **more)


def handle(name: str) -> Handle:
    """A ticket."""
    return Handle(transaction_id=name, ticket="t", ticket_id=name, sp_key_id="k", sent_checksums=())


def batch(tickets: int = 3, *challenges: Challenge) -> Transaction:
    """Two documents a ticket; the first ticket is asked for."""
    return Transaction(
        id=TransactionId("txn_1"),
        tenant=TenantId("t"),
        version=1,
        kind=Kind.SIGNATURE,
        status=Status.PENDING,
        created_at=START,
        expires_at=at(60),
        user_id="u",
        person_id=PersonId("p"),
        match_code="42",
        hint="h",
        documents=tuple(
            Document(id=DocumentId(f"d{n}"), number=str(n), sha256="00", ticket=n // 2)
            for n in range(tickets * 2)
        ),
        challenges=challenges or (challenge("c0"),),
        policy=TenantPolicy(),
        time_limit=60,
        format="cades",
    )


def approval(
    transaction: Transaction, challenge_id: str, next_name: str | None = "next"
) -> Answered:
    """Verified, with an artifact for each of its documents."""
    ticket = transaction.challenge(ChallengeId(challenge_id)).ticket
    return Answered(
        challenge_id=ChallengeId(challenge_id),
        answer=Verified(
            signature=SignatureResult(certificate=b"c", signed_at=START, report=()),
            artifacts={
                d.id: (BlobId(f"art_{d.id}"), "x/y") for d in transaction.documents_of(ticket)
            },
        ),
        next_challenge=challenge(next_name, ChallengeStatus.STARTING, channel=Channel.PUSH)
        if next_name
        else None,
    )


def second_ticket(*others: Challenge) -> Transaction:
    """The first ticket signed at 10 s, the second one's challenge is sent."""
    before = batch(3, challenge("c0"), *others)
    signed = decide(before, approval(before, "c0", "c1"), at(10)).transaction
    begun = BeginEnded(challenge_id=ChallengeId("c1"), result=Begun(handle=handle("c1")))
    return decide(signed, begun, at(11)).transaction


def test_an_approved_ticket_signs_its_documents_and_begins_the_next() -> None:
    """One version up, still pending; the next challenge is on the same channel, with all its time,
    and nothing is announced."""
    before = batch(3)
    decision = decide(before, approval(before, "c0"), at(50))
    after = decision.transaction
    assert (after.status, after.version, after.ticket) == (Status.PENDING, 2, 1)
    assert [d.status for d in after.documents] == [Status.COMPLETED] * 2 + [None] * 4
    assert [d.artifact for d in after.documents][:3] == ["art_d0", "art_d1", None]
    assert decision.begin == after.challenge(ChallengeId("next"))
    assert decision.begin is not None
    assert decision.begin.channel is Channel.QR
    assert decision.begin.created_at == at(50)
    assert after.expires_at == decision.begin.expires_at == at(110)
    assert decision.announce is None
    assert [n.action for n in decision.notes] == ["ticket.signed", "challenge.added"]


def test_only_the_last_ticket_completes() -> None:
    """With all documents signed it is completed, announced once, and not partial."""
    current = batch(3)
    announced = []
    for n, name in enumerate(("c0", "c1", "c2")):
        decision = decide(current, approval(current, name, f"c{n + 1}"), at(10 * n))
        current = decision.transaction
        announced.append(decision.announce)
    assert announced == [None, None, "signature.completed"]
    assert current.status is Status.COMPLETED
    assert decision.begin is None
    assert not current.partial
    assert len(current.challenges) == 3
    assert all(d.status is Status.COMPLETED and d.artifact for d in current.documents)


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (Answered(challenge_id=ChallengeId("c1"), answer=REFUSED), Status.REJECTED),
        (Answered(challenge_id=ChallengeId("c1"), answer=Lapsed()), Status.EXPIRED),
        (Answered(challenge_id=ChallengeId("c1"), answer=FORGED), Status.FAILED),
        (Answered(challenge_id=ChallengeId("c1"), answer=BROKEN), Status.FAILED),
        (Cancel(), Status.CANCELLED),
        (CredentialGone(), Status.FAILED),
        (SettleBy(last_words={}), Status.FAILED),
        (SettleBy(last_words={ChallengeId("c1"): Pending()}), Status.EXPIRED),
    ],
)
def test_what_stops_a_ticket_stops_the_batch_and_keeps_what_was_signed(
    event: Answered | Cancel | CredentialGone | SettleBy, status: Status
) -> None:
    """The documents signed stay signed with their artifacts, the others end as the transaction."""
    decision = decide(second_ticket(), event, at(200))
    after = decision.transaction
    assert (after.status, after.partial) == (status, True)
    assert [d.status for d in after.documents] == [Status.COMPLETED] * 2 + [status] * 4
    assert [bool(d.artifact) for d in after.documents] == [True] * 2 + [False] * 4
    assert decision.announce == f"transaction.{status.value}"
    assert after.signature is not None
    assert not after.open_challenges


def test_what_stops_the_first_ticket_leaves_nothing_signed() -> None:
    """Then it is not partial, and no document has an artifact."""
    after = decide(
        batch(2), Answered(challenge_id=ChallengeId("c0"), answer=REFUSED), at(5)
    ).transaction
    assert not after.partial
    assert all(d.status is Status.REJECTED and d.artifact is None for d in after.documents)
    assert after.signature is None


def test_a_next_ticket_that_cannot_be_had_fails_with_its_reason() -> None:
    """A brake, or a missing configuration: what was signed is kept."""
    before = batch(2)
    why = problem("rate_limited", "x")
    after = decide(before, evolve(approval(before, "c0"), next_challenge=why), at(5)).transaction
    assert (after.status, after.error, after.partial) == (Status.FAILED, why, True)
    missing = decide(before, approval(before, "c0", None), at(5)).transaction
    assert missing.error is not None
    assert missing.error.code == "internal_error"


def test_further_challenges_belong_to_the_ticket_that_is_asked() -> None:
    """Five a ticket, counted apart, and 600 s from that ticket's first."""
    current = second_ticket()
    for n in range(4):
        added = AddChallenge(challenge=challenge(f"x{n}", ChallengeStatus.STARTING))
        current = decide(current, added, at(20)).transaction
        assert current.challenges[-1].ticket == 1
    with pytest.raises(GatewayError, match="5 challenges"):
        decide(current, added, at(20))
    one = second_ticket()
    kept = evolve(one, expires_at=at(700))
    last = decide(kept, added, at(10 + 570)).transaction.challenges[-1]
    assert last.expires_at == at(610)
    with pytest.raises(GatewayError, match="30 s"):
        decide(kept, added, at(10 + 571))


def test_the_deadline_is_that_of_the_ticket_that_is_asked() -> None:
    """A signed ticket's other challenge, open for longer, does not hold up the end."""
    long_one = challenge("long", expires_at=at(600))
    after = second_ticket(long_one)
    assert after.challenge(ChallengeId("long")).status is ChallengeStatus.CLOSED
    assert after.expires_at == at(71)


def test_late_words_of_a_signed_tickets_other_challenge_change_nothing() -> None:
    """An approval is recorded as late, everything else is not even that."""
    current = second_ticket(challenge("other"))
    late = decide(current, approval(current, "other", "again"), at(20))
    assert (late.changed, late.begin) == (False, None)
    assert [n.action for n in late.notes] == ["transaction.late_answer"]
    for answer in (REFUSED, Lapsed(), Pending(), BROKEN):
        event = Answered(challenge_id=ChallengeId("other"), answer=answer)
        assert not decide(current, event, at(20)).changed
    again = decide(current, approval(current, "c0", "again"), at(20))
    assert (again.changed, again.notes) == (False, ())


def test_a_late_ticket_of_a_signed_one_is_only_watched() -> None:
    """Its handle is kept, it stays closed, and a fault of its start does not end the batch."""
    current = second_ticket(challenge("other", ChallengeStatus.STARTING))
    name = ChallengeId("other")
    begun = decide(current, BeginEnded(challenge_id=name, result=Begun(handle=handle("o"))), at(20))
    assert begun.transaction.version == current.version
    assert begun.transaction.challenge(name).status is ChallengeStatus.CLOSED
    assert begun.transaction.expires_at == current.expires_at
    failed = decide(current, BeginEnded(challenge_id=name, result=BROKEN), at(20))
    assert not failed.changed


def test_a_forged_word_about_a_signed_ticket_ends_the_batch() -> None:
    """Who is on the way of one ticket is on the way of the next."""
    current = second_ticket(challenge("other"), challenge("third", ChallengeStatus.STARTING))
    answered = Answered(challenge_id=ChallengeId("other"), answer=FORGED)
    assert decide(current, answered, at(20)).transaction.status is Status.FAILED
    begun = BeginEnded(challenge_id=ChallengeId("third"), result=FORGED)
    assert decide(current, begun, at(20)).transaction.status is Status.FAILED


def test_a_next_ticket_whose_start_is_unknown_ends_the_batch() -> None:
    """A crash between the commit and the start: never sent again, what was signed is kept."""
    before = batch(2)
    current = decide(before, approval(before, "c0", "c1"), at(10)).transaction
    event = BeginEnded(challenge_id=ChallengeId("c1"), result=StartUnknown(detail="restart"))
    after = decide(current, event, at(15)).transaction
    assert (after.status, after.partial) == (Status.FAILED, True)
    assert after.error is not None
    assert after.error.code == "start_unknown"


def test_an_approved_ticket_takes_the_brakes_off_its_person() -> None:
    """The holder is there and wants this, although the batch goes on."""
    before = batch(2)
    after = decide(before, approval(before, "c0"), at(10)).transaction
    outcome = outcome_of(before, after)
    assert outcome is not None
    assert outcome.approved
    added = AddChallenge(challenge=challenge("x", ChallengeStatus.STARTING))
    assert outcome_of(after, decide(after, added, at(11)).transaction) is None


ANSWERS = st.sampled_from(["approve", "refuse", "lapse", "forge", "break", "cancel", "late", "add"])


@settings(max_examples=300, deadline=None)
@given(tickets=st.integers(1, 4), script=st.lists(ANSWERS, max_size=12))
def test_whatever_is_answered_there_is_one_outcome(tickets: int, script: list[str]) -> None:
    """For random answers: at most one announcement; what is signed is exactly what was approved,
    a row of whole tickets from the first; completed exactly when that is all; never undone."""
    current, announced, approved = batch(tickets), list[str](), 0
    answers = {"refuse": REFUSED, "lapse": Lapsed(), "forge": FORGED, "break": BROKEN}
    for n, what in enumerate(script):
        now = at(5 * n)
        last = current.challenges[-1]
        event: Answered | Cancel | AddChallenge
        if what == "approve":
            event = approval(current, last.id, f"n{n}")
            approved += not current.status.terminal and last.status.open
        elif what == "late":
            event = approval(current, current.challenges[0].id, f"n{n}")
            approved += not current.status.terminal and current.challenges[0].status.open
        elif what == "cancel":
            event = Cancel()
        elif what == "add":
            event = AddChallenge(challenge=challenge(f"n{n}", ChallengeStatus.STARTING))
        else:
            event = Answered(challenge_id=last.id, answer=answers[what])
        before = current
        try:
            decision: Decision = decide(current, event, now)
        except GatewayError:
            continue
        current = decision.transaction
        announced += [decision.announce] if decision.announce else []
        assert (decision.begin is not None) == (
            current.ticket == before.ticket + 1 and not current.status.terminal
        )
        assert all(
            after == was
            for was, after in zip(before.documents, current.documents, strict=True)
            if was.status is not None
        )
        assert len(announced) == current.status.terminal
        assert [d.artifact is not None for d in current.documents] == [
            d.ticket < approved for d in current.documents
        ]
        for document in current.documents:
            expected = current.status if current.status.terminal else None
            signed = document.ticket < approved
            assert document.status is (Status.COMPLETED if signed else expected)
        assert (current.status is Status.COMPLETED) == (approved == tickets)
        assert current.partial == (current.status.terminal and 0 < approved < tickets)
