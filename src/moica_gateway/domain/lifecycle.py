"""What follows from an event: ``decide(transaction, event, now) -> Decision``. Pure.

The one place for the rules of states and deadlines (design, "States and deadlines"). It asks
nobody, writes nothing, and never changes a terminal state. Where a batch takes several tickets, an
approval ends only its own ticket, and the next one's first challenge is part of the decision. The
poller brings answers, the services
begin and cancel; `services.settlement` is the only one who commits what is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import evolve, field, frozen

from moica_gateway.domain.models import (
    Begun,
    Challenge,
    ChallengeStatus,
    Channel,
    Credential,
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
from moica_gateway.domain.values import BlobId, ChallengeId
from moica_gateway.errors import Problem, error, problem

__all__ = [
    "MAX_CHALLENGES",
    "MAX_LIFETIME",
    "MIN_REMAINING",
    "SETTLE_GRACE",
    "AddChallenge",
    "Answered",
    "BeginEnded",
    "Cancel",
    "CredentialGone",
    "Decision",
    "Note",
    "SettleBy",
    "Verified",
    "decide",
    "settle_by",
]

MAX_LIFETIME: Final = timedelta(seconds=600)
MIN_REMAINING: Final = timedelta(seconds=30)
SETTLE_GRACE: Final = timedelta(seconds=15)
MAX_CHALLENGES: Final = 5


# -- events ------------------------------------------------------------------------------------


@frozen(kw_only=True)
class BeginEnded:
    """The platform's answer to a request for a ticket, or that none came."""

    challenge_id: ChallengeId
    result: Begun | Fault | StartUnknown


@frozen(kw_only=True)
class Verified:
    """An approval whose proof the judge accepted; what it is made into."""

    signature: SignatureResult
    artifacts: Mapping[str, tuple[BlobId, str]] = field(factory=dict)
    """By document id: the blob and its media type."""
    credential: Credential | None = None
    """A registration's."""


@frozen(kw_only=True)
class Answered:
    """A poll's (or callback's) answer; an approval comes judged: `Verified`, or a `Fault`."""

    challenge_id: ChallengeId
    answer: Pending | Refused | Lapsed | Fault | Verified
    next_challenge: Challenge | Problem | None = None
    """Where documents remain after a `Verified`: how the phone is asked for them (ticket, channel,
    and times are set here), or why it cannot be."""


@frozen(kw_only=True)
class SettleBy:
    """``settle_by`` has come. ``last_words``: what the platform said of each open challenge since
    ``expires_at``: the answer, or None where it has said nothing."""

    last_words: Mapping[ChallengeId, Pending | Lapsed | Fault | None]


@frozen
class Cancel:
    """The document system takes its request back."""


@frozen
class CredentialGone:
    """The pinned credential was disabled or deleted."""


@frozen(kw_only=True)
class AddChallenge:
    """A further way to reach the phone; its ``expires_at`` is set here."""

    challenge: Challenge


Event = BeginEnded | Answered | SettleBy | Cancel | CredentialGone | AddChallenge


# -- decision ----------------------------------------------------------------------------------


@frozen(kw_only=True)
class Note:
    """A line for the audit record; no personal data."""

    action: str
    data: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Decision:
    """``transaction`` is the given one where nothing ``changed``; notes may stand without change.

    ``announce`` is the event type for the document system where the transaction has just ended.
    ``begin`` is the next ticket's first challenge, to be started after the commit.
    """

    transaction: Transaction
    changed: bool
    notes: tuple[Note, ...] = ()
    announce: str | None = None
    begin: Challenge | None = None


def settle_by(transaction: Transaction, process_start: datetime) -> datetime:
    """The later of ``expires_at`` and the process's start, and 15 s."""
    return max(transaction.expires_at, process_start) + SETTLE_GRACE


def decide(transaction: Transaction, event: Event, now: datetime) -> Decision:
    """The rules, one function an event.

    Raises:
        RequestError: ``transaction_closed`` or ``challenge_limit``, for `AddChallenge` only.
    """
    match event:
        case BeginEnded():
            return _begin_ended(transaction, event, now)
        case Answered():
            return _answered(transaction, event, now)
        case SettleBy():
            return _settle(transaction, event, now)
        case Cancel():
            return _end_unless_ended(transaction, Status.CANCELLED, _CANCELLED, now)
        case CredentialGone():
            return _end_unless_ended(transaction, Status.FAILED, _DISABLED, now)
        case AddChallenge():
            return _add_challenge(transaction, event.challenge, now)


_CANCELLED: Final = problem(
    "cancelled", "the document system took the request back; start again to sign"
)
_DISABLED: Final = problem(
    "credential_disabled",
    "the credential that this transaction was created with was disabled or deleted meanwhile; "
    "the integrator enables one and starts again",
)
_EXPIRED: Final = problem(
    "expired", "expected a confirmation on the phone before `expires_at`, none came; start again"
)
_UNREACHABLE: Final = problem(
    "upstream_unreachable",
    "the platform has said nothing since the ticket's last moment, so it is not known whether the "
    "holder confirmed; start again once it answers",
)


# -- building blocks ---------------------------------------------------------------------------


def _unchanged(transaction: Transaction, *notes: Note) -> Decision:
    return Decision(transaction=transaction, changed=False, notes=notes)


def _changed(transaction: Transaction, *notes: Note) -> Decision:
    return Decision(
        transaction=evolve(transaction, version=transaction.version + 1), changed=True, notes=notes
    )


def _with_challenge(
    transaction: Transaction, challenge_id: ChallengeId, **changes: Any
) -> Transaction:
    return evolve(
        transaction,
        challenges=tuple(
            evolve(c, **changes) if c.id == challenge_id else c for c in transaction.challenges
        ),
    )


def _end(
    transaction: Transaction,
    status: Status,
    now: datetime,
    *,
    why: Problem | None = None,
    notes: tuple[Note, ...] = (),
    **changes: Any,
) -> Decision:
    """Into a terminal state: everything that is still open becomes ``closed``, and what an earlier
    ticket signed stays signed."""
    documents = tuple(
        d if d.status is Status.COMPLETED else evolve(d, status=status)
        for d in transaction.documents
    )
    signed = any(d.status is Status.COMPLETED for d in documents)
    ended = evolve(
        transaction,
        version=transaction.version + 1,
        status=status,
        error=why,
        ended_at=now,
        documents=documents,
        partial=signed and status is not Status.COMPLETED,
        challenges=_closed(transaction.challenges),
        **changes,
    )
    announce = (
        f"{transaction.kind.value}.completed"
        if status is Status.COMPLETED
        else f"transaction.{status.value}"
    )
    data: dict[str, Any] = {"status": status.value, **({"code": why.code} if why else {})}
    if why and why.upstream_code:
        data["upstream_code"] = why.upstream_code
    if why and why.extra.get("unsigned"):
        data["unsigned"] = True
    return Decision(
        transaction=ended,
        changed=True,
        notes=(*notes, Note(action=f"transaction.{status.value}", data=data)),
        announce=announce,
    )


def _closed(challenges: tuple[Challenge, ...]) -> tuple[Challenge, ...]:
    return tuple(
        evolve(c, status=ChallengeStatus.CLOSED) if c.status.open else c for c in challenges
    )


def _end_of(transaction: Transaction, ticket: int) -> datetime:
    """When the last of a ticket's challenges must have ended."""
    if ticket == 0:
        return transaction.created_at + MAX_LIFETIME
    return min(c.created_at for c in transaction.challenges_of(ticket)) + MAX_LIFETIME


def _end_unless_ended(
    transaction: Transaction, status: Status, why: Problem, now: datetime
) -> Decision:
    if transaction.status.terminal:
        return _unchanged(transaction)
    return _end(transaction, status, now, why=why)


def _fault_note(action: str, challenge: Challenge, why: Problem) -> Note:
    data: dict[str, Any] = {"challenge": challenge.id, "code": why.code}
    if why.upstream_code:
        data["upstream_code"] = why.upstream_code
    if why.extra.get("unsigned"):
        data["unsigned"] = True
    return Note(action=action, data=data)


# -- one function an event ---------------------------------------------------------------------


def _begin_ended(transaction: Transaction, event: BeginEnded, now: datetime) -> Decision:
    challenge = transaction.challenge(event.challenge_id)
    if challenge.handle is not None or challenge.status in (
        ChallengeStatus.FAILED,
        ChallengeStatus.LAPSED,
    ):
        return _unchanged(transaction)
    if isinstance(event.result, Begun):
        return _sent(transaction, challenge, event.result.handle, now)
    if isinstance(event.result, StartUnknown):
        why = problem("start_unknown", event.result.detail)
    else:
        why = event.result.problem
    note = _fault_note("challenge.failed", challenge, why)
    overtaken = challenge.status is ChallengeStatus.CLOSED
    if transaction.status.terminal or (overtaken and why.what_helps != "fail"):
        return _unchanged(transaction, note)
    if overtaken:
        return _end(transaction, Status.FAILED, now, why=why, notes=(note,))
    failed = _with_challenge(transaction, challenge.id, status=ChallengeStatus.FAILED, problem=why)
    goes_on = failed.open_challenges or (why.what_helps == "qr" and now < failed.expires_at)
    # What fails verification ends everything: who forges one ticket is on the way of the others.
    if goes_on and why.what_helps != "fail":
        return _changed(failed, note)
    return _end(failed, Status.FAILED, now, why=why, notes=(note,))


def _sent(
    transaction: Transaction, challenge: Challenge, handle: Handle, now: datetime
) -> Decision:
    # The platform's limit runs from its receipt, before this moment: at our deadline its ticket
    # has surely lapsed, so that what the deciding poll finds is final.
    expires_at = min(
        now + timedelta(seconds=challenge.time_limit), _end_of(transaction, challenge.ticket)
    )
    note = Note(action="challenge.sent", data={"challenge": challenge.id})
    if transaction.status.terminal or challenge.status is ChallengeStatus.CLOSED:
        # Kept to be watched: an approval that still comes is recorded as late. Nobody outside
        # sees a difference, so the version stays.
        watched = _with_challenge(transaction, challenge.id, handle=handle, expires_at=expires_at)
        return Decision(transaction=watched, changed=True, notes=(note,))
    sent = _with_challenge(
        transaction,
        challenge.id,
        handle=handle,
        status=ChallengeStatus.SENT,
        expires_at=expires_at,
    )
    return _changed(evolve(sent, expires_at=_latest(sent)), note)


def _latest(transaction: Transaction) -> datetime:
    """Of the open ticket's challenges; those of a signed one hold up nothing."""
    return max(c.expires_at for c in transaction.challenges_of(transaction.ticket))


def _answered(transaction: Transaction, event: Answered, now: datetime) -> Decision:
    challenge = transaction.challenge(event.challenge_id)
    answer = event.answer
    if transaction.status.terminal or not challenge.status.open:
        return _late(transaction, challenge, answer, now)
    match answer:
        case Verified():
            return _approve(transaction, challenge, answer, event.next_challenge, now)
        case Refused(problem=why):
            refused = _with_challenge(
                transaction, challenge.id, status=ChallengeStatus.REFUSED, problem=why
            )
            return _end(refused, Status.REJECTED, now, why=why)
        case Lapsed(unsigned=unsigned):
            return _lapse(transaction, challenge, now, unsigned=unsigned)
        case Pending():
            if now < challenge.expires_at:
                return _unchanged(transaction)
            return _lapse(transaction, challenge, now)
        case Fault(problem=why):
            if why.what_helps in ("retry", "poll"):
                return _unchanged(transaction, _fault_note("challenge.fault", challenge, why))
            failed = _with_challenge(
                transaction, challenge.id, status=ChallengeStatus.FAILED, problem=why
            )
            return _end(
                failed,
                Status.FAILED,
                now,
                why=why,
                notes=(_fault_note("challenge.failed", challenge, why),),
            )


def _late(
    transaction: Transaction,
    challenge: Challenge,
    answer: Pending | Refused | Lapsed | Fault | Verified,
    now: datetime,
) -> Decision:
    """What is still said of a ticket that something else has overtaken."""
    if challenge.status is not ChallengeStatus.CLOSED:
        return _unchanged(transaction)
    if isinstance(answer, Verified):
        return _unchanged(
            transaction, Note(action="transaction.late_answer", data={"challenge": challenge.id})
        )
    if isinstance(answer, Fault) and answer.problem.what_helps == "fail":
        note = _fault_note("challenge.fault", challenge, answer.problem)
        if transaction.status.terminal:
            return _unchanged(transaction, note)
        # Who forges an answer to a batch's earlier ticket is on the way of the later ones.
        return _end(transaction, Status.FAILED, now, why=answer.problem, notes=(note,))
    return _unchanged(transaction)


def _approve(
    transaction: Transaction,
    challenge: Challenge,
    answer: Verified,
    next_challenge: Challenge | Problem | None,
    now: datetime,
) -> Decision:
    def with_artifact(document: Document) -> Document:
        if document.ticket != challenge.ticket:
            return document
        blob, media_type = answer.artifacts.get(document.id, (None, None))
        return evolve(
            document, status=Status.COMPLETED, artifact=blob, artifact_media_type=media_type
        )

    approved = _with_challenge(transaction, challenge.id, status=ChallengeStatus.APPROVED)
    approved = evolve(
        approved,
        documents=tuple(with_artifact(d) for d in transaction.documents),
        signature=answer.signature,
    )
    if any(d.status is not Status.COMPLETED for d in approved.documents):
        return _go_on(approved, challenge, next_challenge, now)
    credential_id = (
        answer.credential.id
        if transaction.kind is Kind.REGISTRATION and answer.credential
        else transaction.credential_id
    )
    return _end(
        approved,
        Status.COMPLETED,
        now,
        credential_id=credential_id,
    )


def _go_on(
    approved: Transaction,
    challenge: Challenge,
    next_challenge: Challenge | Problem | None,
    now: datetime,
) -> Decision:
    """One ticket of several is signed: the next one gets the time limit anew."""
    signed = Note(
        action="ticket.signed",
        data={
            "challenge": challenge.id,
            "ticket": challenge.ticket,
            "documents": len(approved.documents_of(challenge.ticket)),
        },
    )
    if not isinstance(next_challenge, Challenge):
        why = next_challenge or problem(
            "internal_error", "expected a challenge for the next ticket of the batch, came none"
        )
        return _end(approved, Status.FAILED, now, why=why, notes=(signed,))
    following = evolve(
        next_challenge,
        ticket=challenge.ticket + 1,
        channel=challenge.channel,
        return_url=challenge.return_url,
        time_limit=approved.time_limit,
        created_at=now,
        expires_at=now + timedelta(seconds=approved.time_limit),
    )
    added = Note(
        action="challenge.added",
        data={
            "challenge": following.id,
            "channel": following.channel.value,
            "ticket": following.ticket,
        },
    )
    decision = _changed(
        evolve(
            approved,
            challenges=(*_closed(approved.challenges), following),
            expires_at=following.expires_at,
        ),
        signed,
        added,
    )
    return evolve(decision, begin=following)


def _lapse(
    transaction: Transaction, challenge: Challenge, now: datetime, *, unsigned: bool = False
) -> Decision:
    lapsed = _with_challenge(transaction, challenge.id, status=ChallengeStatus.LAPSED)
    data = {"challenge": challenge.id, **({"unsigned": True} if unsigned else {})}
    note = Note(action="challenge.lapsed", data=data)
    if lapsed.open_challenges:
        return _changed(lapsed, note)
    return _end(lapsed, Status.EXPIRED, now, why=_EXPIRED, notes=(note,))


def _settle(transaction: Transaction, event: SettleBy, now: datetime) -> Decision:
    if transaction.status.terminal or now < transaction.expires_at:
        return _unchanged(transaction)
    # A redirect is not asked about: that nothing came of it is no silence of the platform.
    asked = [c for c in transaction.open_challenges if c.channel is not Channel.REDIRECT]
    words = [event.last_words.get(c.id) for c in asked]
    if not asked or any(isinstance(w, Pending | Lapsed) for w in words):
        return _end(transaction, Status.EXPIRED, now, why=_EXPIRED)
    for word in words:
        if isinstance(word, Fault) and word.spoke:
            return _end(transaction, Status.FAILED, now, why=word.problem)
    return _end(transaction, Status.FAILED, now, why=_UNREACHABLE)


def _add_challenge(transaction: Transaction, challenge: Challenge, now: datetime) -> Decision:
    if transaction.status.terminal:
        raise error(
            "transaction_closed",
            f"expected a pending transaction, this one is {transaction.status.value}; "
            "the integrator starts a new one",
        )
    ticket = transaction.ticket
    end = _end_of(transaction, ticket)
    if len(transaction.challenges_of(ticket)) >= MAX_CHALLENGES:
        raise error(
            "challenge_limit",
            f"expected at most {MAX_CHALLENGES} challenges a ticket; start a new transaction",
        )
    if end - now < MIN_REMAINING:
        raise error(
            "challenge_limit",
            "expected at least 30 s before the ticket's 600 s are over; start a new transaction",
        )
    limit = min(challenge.time_limit, int((end - now).total_seconds()))
    added = evolve(
        challenge,
        ticket=ticket,
        time_limit=limit,
        created_at=now,
        expires_at=now + timedelta(seconds=limit),
    )
    extended = evolve(transaction, challenges=(*transaction.challenges, added))
    return _changed(
        evolve(extended, expires_at=_latest(extended)),
        Note(
            action="challenge.added",
            data={"challenge": challenge.id, "channel": challenge.channel.value},
        ),
    )
