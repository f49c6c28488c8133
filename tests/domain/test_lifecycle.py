"""The rules of states and deadlines, one test a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from moica_gateway.domain.lifecycle import (
    AddChallenge,
    Answered,
    BeginEnded,
    Cancel,
    CredentialGone,
    SettleBy,
    Verified,
    decide,
    settle_by,
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
    ChallengeId,
    DocumentId,
    PersonId,
    TenantId,
    TransactionId,
)
from moica_gateway.errors import GatewayError, problem

START = datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)
FIRST = ChallengeId("c1")
SECOND = ChallengeId("c2")


def at(seconds: float) -> datetime:
    """So many seconds after the creation."""
    return START + timedelta(seconds=seconds)


def challenge(name: ChallengeId, status: ChallengeStatus, now: datetime = START) -> Challenge:
    """With a limit of 60 s."""
    return Challenge(
        id=name,
        channel=Channel.PUSH,
        status=status,
        upstream_transaction_id=name,
        time_limit=60,
        created_at=now,
        expires_at=now + timedelta(seconds=60),
        sp_key_id="k",
        handle=None
        if status is ChallengeStatus.STARTING
        else Handle(
            transaction_id=name, ticket="t", ticket_id=name, sp_key_id="k", sent_checksums=()
        ),
    )


def transaction(*challenges: Challenge) -> Transaction:
    """Pending."""
    open_ones = challenges or (challenge(FIRST, ChallengeStatus.SENT),)
    return Transaction(
        id=TransactionId("txn_1"),
        tenant=TenantId("t"),
        version=3,
        kind=Kind.SIGNATURE,
        status=Status.PENDING,
        created_at=START,
        expires_at=max(c.expires_at for c in open_ones),
        user_id="u",
        person_id=PersonId("p"),
        match_code="42",
        hint="h",
        documents=(Document(id=DocumentId("d"), number="1", sha256="00"),),
        challenges=open_ones,
        policy=TenantPolicy(),
        time_limit=60,
        format="cades",
    )


def fault(code: str, *, spoke: bool = True) -> Fault:
    """As an upstream gives it."""
    return Fault(problem=problem(code, "x", upstream_code="X" if spoke else None), spoke=spoke)


VERIFIED = Verified(signature=SignatureResult(certificate=b"c", signed_at=START, report=()))


def test_a_verified_approval_completes_and_closes_the_other_challenges() -> None:
    """The first approval decides for all challenges; what it overtakes becomes closed."""
    before = transaction(
        challenge(FIRST, ChallengeStatus.SENT), challenge(SECOND, ChallengeStatus.SENT)
    )
    decision = decide(before, Answered(challenge_id=SECOND, answer=VERIFIED), at(5))
    after = decision.transaction
    assert (after.status, after.version) == (Status.COMPLETED, 4)
    assert [c.status for c in after.challenges] == [
        ChallengeStatus.CLOSED,
        ChallengeStatus.APPROVED,
    ]
    assert decision.announce == "signature.completed"


def test_a_refusal_decides_for_all_challenges() -> None:
    """A refusal on one phone ends the transaction at once."""
    before = transaction(
        challenge(FIRST, ChallengeStatus.SENT), challenge(SECOND, ChallengeStatus.SENT)
    )
    refused = Refused(problem=problem("holder_refused", "x"))
    decision = decide(before, Answered(challenge_id=FIRST, answer=refused), at(5))
    assert decision.transaction.status is Status.REJECTED
    assert decision.announce == "transaction.rejected"


def test_not_finished_yet_changes_nothing_before_the_deadline() -> None:
    """No write for an answer that says "not yet"."""
    decision = decide(transaction(), Answered(challenge_id=FIRST, answer=Pending()), at(59))
    assert not decision.changed
    assert decision.notes == ()


def test_not_finished_at_the_deciding_poll_is_expired() -> None:
    """What the deciding poll finds counts."""
    decision = decide(transaction(), Answered(challenge_id=FIRST, answer=Pending()), at(60))
    assert decision.transaction.status is Status.EXPIRED


def test_an_approval_at_the_deciding_poll_counts() -> None:
    """Confirmed in time and found after the deadline is still completed."""
    decision = decide(transaction(), Answered(challenge_id=FIRST, answer=VERIFIED), at(64))
    assert decision.transaction.status is Status.COMPLETED


def test_a_lapsed_challenge_leaves_the_other_one_open() -> None:
    """The transaction goes on while another challenge is open."""
    before = transaction(
        challenge(FIRST, ChallengeStatus.SENT), challenge(SECOND, ChallengeStatus.SENT, at(30))
    )
    after = decide(before, Answered(challenge_id=FIRST, answer=Lapsed()), at(61)).transaction
    assert after.status is Status.PENDING
    assert after.challenge(FIRST).status is ChallengeStatus.LAPSED


@pytest.mark.parametrize("code", ["upstream_unavailable", "upstream_unreachable"])
def test_while_polling_what_a_retry_helps_is_not_yet(code: str) -> None:
    """Recorded, and asked again."""
    decision = decide(transaction(), Answered(challenge_id=FIRST, answer=fault(code)), at(5))
    assert not decision.changed
    assert [n.action for n in decision.notes] == ["challenge.fault"]


@pytest.mark.parametrize("code", ["wrong_device", "checksum_invalid", "ticket_invalid"])
def test_any_other_code_at_a_poll_ends_the_transaction(code: str) -> None:
    """With that code."""
    after = decide(
        transaction(), Answered(challenge_id=FIRST, answer=fault(code)), at(5)
    ).transaction
    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.code == code


def test_while_beginning_a_code_ends_the_last_challenge_and_the_transaction() -> None:
    """With no open challenge left the transaction ends with that code."""
    before = transaction(challenge(FIRST, ChallengeStatus.STARTING))
    event = BeginEnded(challenge_id=FIRST, result=fault("device_not_bound"))
    after = decide(before, event, at(1)).transaction
    assert after.status is Status.FAILED
    assert after.challenge(FIRST).status is ChallengeStatus.FAILED


def test_where_a_qr_code_helps_it_stays_pending_until_expires_at() -> None:
    """The push failed, the QR code may still be asked for; then it is expired."""
    before = transaction(challenge(FIRST, ChallengeStatus.STARTING))
    event = BeginEnded(challenge_id=FIRST, result=fault("push_unavailable"))
    after = decide(before, event, at(1)).transaction
    assert after.status is Status.PENDING
    assert decide(after, SettleBy(last_words={}), at(59)).transaction.status is Status.PENDING
    assert decide(after, SettleBy(last_words={}), at(60)).transaction.status is Status.EXPIRED


def test_a_start_without_an_answer_is_start_unknown() -> None:
    """It is never sent again by itself."""
    before = transaction(challenge(FIRST, ChallengeStatus.STARTING))
    event = BeginEnded(challenge_id=FIRST, result=StartUnknown(detail="x"))
    after = decide(before, event, at(10)).transaction
    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.code == "start_unknown"


def test_the_limit_runs_from_the_platforms_answer_but_never_past_600_seconds() -> None:
    """So the platform's ticket has lapsed at our deciding poll."""
    before = transaction(challenge(FIRST, ChallengeStatus.STARTING))
    handle = Handle(transaction_id="u", ticket="t", ticket_id="i", sp_key_id="k", sent_checksums=())
    event = BeginEnded(challenge_id=FIRST, result=Begun(handle=handle))
    assert decide(before, event, at(3)).transaction.expires_at == at(63)
    assert decide(before, event, at(590)).transaction.expires_at == at(600)


WORDS = [
    (Pending(), Status.EXPIRED, "expired"),
    (Lapsed(), Status.EXPIRED, "expired"),
    (fault("upstream_unavailable"), Status.FAILED, "upstream_unavailable"),
    (fault("upstream_unreachable", spoke=False), Status.FAILED, "upstream_unreachable"),
    (None, Status.FAILED, "upstream_unreachable"),
]


@pytest.mark.parametrize(("word", "status", "code"), WORDS)
def test_settle_by_decides_by_the_last_word(
    word: Pending | Lapsed | Fault | None, status: Status, code: str
) -> None:
    """Unfinished or lapsed: expired; a code: failed with it; silence: unreachable."""
    after = decide(transaction(), SettleBy(last_words={FIRST: word}), at(75)).transaction
    assert after.status is status
    assert after.error is not None
    assert after.error.code == code


def test_settle_by_is_15_s_after_the_later_of_deadline_and_start() -> None:
    """So that a restarted process asks once more before it decides."""
    assert settle_by(transaction(), at(0)) == at(75)
    assert settle_by(transaction(), at(100)) == at(115)


def test_cancel_is_immediate_and_of_a_terminal_one_changes_nothing() -> None:
    """Cancelling twice is the same."""
    cancelled = decide(transaction(), Cancel(), at(1)).transaction
    assert cancelled.status is Status.CANCELLED
    again = decide(cancelled, Cancel(), at(2))
    assert not again.changed
    assert again.transaction == cancelled


def test_a_disabled_credential_ends_it() -> None:
    """As failed with credential_disabled."""
    after = decide(transaction(), CredentialGone(), at(1)).transaction
    assert after.error is not None
    assert (after.status, after.error.code) == (Status.FAILED, "credential_disabled")


def test_an_approval_that_still_comes_is_recorded_without_a_new_version() -> None:
    """late_answer; its signature is discarded."""
    cancelled = decide(transaction(), Cancel(), at(1)).transaction
    late = decide(cancelled, Answered(challenge_id=FIRST, answer=VERIFIED), at(2))
    assert not late.changed
    assert [n.action for n in late.notes] == ["transaction.late_answer"]


def test_a_new_challenge_gets_the_limit_anew_never_past_600_seconds() -> None:
    """And raises the transaction's deadline."""
    after = decide(
        transaction(), AddChallenge(challenge=challenge(SECOND, ChallengeStatus.STARTING)), at(40)
    ).transaction
    assert after.expires_at == at(100)
    long = evolve(challenge(SECOND, ChallengeStatus.STARTING), time_limit=600)
    assert decide(transaction(), AddChallenge(challenge=long), at(40)).transaction.expires_at == at(
        600
    )


@pytest.mark.parametrize(
    ("before", "now", "code"),
    [
        (transaction(), at(571), "challenge_limit"),
        (
            transaction(*(challenge(ChallengeId(f"c{n}"), ChallengeStatus.SENT) for n in range(5))),
            at(10),
            "challenge_limit",
        ),
        (evolve(transaction(), status=Status.EXPIRED), at(10), "transaction_closed"),
    ],
    ids=["fewer than 30 s left", "five already", "ended"],
)
def test_no_further_challenge(before: Transaction, now: datetime, code: str) -> None:
    """Fewer than 30 s left, five already, or ended: 409."""
    event = AddChallenge(challenge=challenge(SECOND, ChallengeStatus.STARTING))
    with pytest.raises(GatewayError) as raised:
        decide(before, event, now)
    assert raised.value.code == code
    assert raised.value.problem.status == 409


def test_a_beginning_that_fails_leaves_the_other_challenge_open() -> None:
    """It ends its own challenge only; the version rises, nobody is told of an end."""
    before = transaction(
        challenge(FIRST, ChallengeStatus.SENT), challenge(SECOND, ChallengeStatus.STARTING)
    )
    decision = decide(before, BeginEnded(challenge_id=SECOND, result=fault("wrong_device")), at(1))
    assert (decision.transaction.status, decision.transaction.version) == (Status.PENDING, 4)
    assert decision.transaction.challenge(SECOND).status is ChallengeStatus.FAILED
    assert decision.announce is None


def test_a_ticket_that_arrives_after_the_end_is_kept_to_be_watched() -> None:
    """Nobody outside sees a difference, so the version stays."""
    before = transaction(challenge(FIRST, ChallengeStatus.STARTING))
    cancelled = decide(before, Cancel(), at(1)).transaction
    handle = Handle(transaction_id="u", ticket="t", ticket_id="i", sp_key_id="k", sent_checksums=())
    event = BeginEnded(challenge_id=FIRST, result=Begun(handle=handle))
    decision = decide(cancelled, event, at(3))
    after = decision.transaction
    assert (decision.changed, decision.announce) == (True, None)
    assert (after.status, after.version) == (Status.CANCELLED, cancelled.version)
    assert after.challenge(FIRST).handle == handle
    assert after.challenge(FIRST).status is ChallengeStatus.CLOSED


@pytest.mark.parametrize(
    "answer",
    [Pending(), Lapsed(), fault("upstream_malformed"), Refused(problem=problem("cancelled", "x"))],
)
def test_a_terminal_state_never_changes(answer: Pending | Lapsed | Fault | Refused) -> None:
    """Whatever still comes: nothing changes, nothing is noted but an approval."""
    cancelled = decide(transaction(), Cancel(), at(1)).transaction
    decision = decide(cancelled, Answered(challenge_id=FIRST, answer=answer), at(70))
    assert (decision.changed, decision.notes, decision.announce) == (False, (), None)


def test_one_open_challenge_that_said_unfinished_makes_it_expired() -> None:
    """The other's silence does not matter then; a code wins over silence."""
    before = transaction(
        challenge(FIRST, ChallengeStatus.SENT), challenge(SECOND, ChallengeStatus.SENT)
    )
    for words, status in (
        ({FIRST: None, SECOND: Pending()}, Status.EXPIRED),
        ({FIRST: fault("upstream_unavailable"), SECOND: Pending()}, Status.EXPIRED),
        ({FIRST: None, SECOND: fault("upstream_unavailable")}, Status.FAILED),
    ):
        after = decide(before, SettleBy(last_words=words), at(75)).transaction
        assert after.status is status


@pytest.mark.parametrize("unsigned", [True, False])
def test_a_refusal_or_lapse_that_nobody_signed_is_recorded_as_unsigned(unsigned: bool) -> None:
    """It is believed as an ending all the same (security rule 2)."""
    extra = {"unsigned": True} if unsigned else {}
    why = problem("holder_refused", "refused", **extra)
    for answer in (Refused(problem=why), Lapsed(unsigned=unsigned)):
        decision = decide(
            transaction(challenge(FIRST, ChallengeStatus.SENT)),
            Answered(challenge_id=FIRST, answer=answer),
            at(5),
        )
        assert decision.transaction.status.terminal
        assert any(note.data.get("unsigned") for note in decision.notes) is unsigned


def test_a_forged_ticket_ends_the_transaction_whatever_else_is_open() -> None:
    """A parsed answer that fails verification ends it, also at a beginning; a failure does not."""
    open_one = challenge(FIRST, ChallengeStatus.SENT)
    before = transaction(open_one, challenge(SECOND, ChallengeStatus.STARTING))
    for code, status in (
        ("ticket_mismatch", Status.FAILED),
        ("checksum_invalid", Status.FAILED),
        ("upstream_malformed", Status.PENDING),
        ("device_not_bound", Status.PENDING),
    ):
        after = decide(before, BeginEnded(challenge_id=SECOND, result=fault(code)), at(1))
        assert after.transaction.status is status
        first = after.transaction.challenge(FIRST).status
        assert first.open is (status is Status.PENDING)


def test_what_is_forged_after_the_end_is_recorded_and_changes_nothing() -> None:
    """A broken line after the end is not even recorded."""
    before = decide(transaction(), Cancel(), at(1)).transaction
    for code, actions in (("checksum_invalid", ["challenge.fault"]), ("upstream_malformed", [])):
        late = decide(before, Answered(challenge_id=FIRST, answer=fault(code)), at(2))
        assert not late.changed
        assert late.transaction == before
        assert [note.action for note in late.notes] == actions
