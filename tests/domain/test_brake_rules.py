"""When a phone and the platform are left alone: tables of the pure decision."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.brakes import (
    MEMORY,
    Admitted,
    Braked,
    BrakeLimits,
    Outcome,
    PersonBrake,
    RequestCount,
    RequestCounts,
    admit,
    outcome_of,
    remember,
)
from moica_gateway.domain.models import (
    Challenge,
    ChallengeStatus,
    Channel,
    Handle,
    Kind,
    Status,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import ChallengeId, PersonId, TenantId, TransactionId

NOW = datetime(2026, 4, 24, 6, 0, tzinfo=UTC)
LIMITS = BrakeLimits(person_requests=3, tenant_requests=5, gateway_requests=7)
PUSH, QR, APP_LINK = Channel.PUSH, Channel.QR, Channel.APP_LINK


def ago(**span: float) -> datetime:
    """So long before now."""
    return NOW - timedelta(**span)


def missed(misses: int, at: datetime) -> PersonBrake:
    """A person with so many refusals and lapses, the last one then."""
    return PersonBrake(
        count=RequestCount(started_at=at, requests=misses), misses=misses, missed_at=at
    )


# -- the pause of push -----------------------------------------------------------------------------

PAUSES: list[tuple[str, PersonBrake | None, Channel, int | None]] = [
    ("nothing is known of the person", None, PUSH, None),
    ("one refusal or lapse", missed(1, ago(seconds=1)), PUSH, None),
    ("two in a row, this moment", missed(2, NOW), PUSH, 600),
    ("two in a row, a while ago", missed(2, ago(seconds=1.5)), PUSH, 599),
    ("the last moment of the pause", missed(2, ago(seconds=599.999)), PUSH, 1),
    ("the pause is over", missed(2, ago(seconds=600)), PUSH, None),
    ("three in a row", missed(3, ago(seconds=60)), PUSH, 540),
    ("QR remains possible", missed(2, NOW), QR, None),
    ("the app link remains possible", missed(2, NOW), APP_LINK, None),
    ("another gateway's clock is ahead", missed(2, NOW + timedelta(seconds=2)), PUSH, 598),
    ("the clock was set back by an hour", missed(2, NOW + timedelta(hours=1)), PUSH, None),
]


@pytest.mark.parametrize(
    ("person", "channel", "wait"), [p[1:] for p in PAUSES], ids=[p[0] for p in PAUSES]
)
def test_push_pauses_for_ten_minutes_after_two_refusals_or_lapses_in_a_row(
    person: PersonBrake | None, channel: Channel, wait: int | None
) -> None:
    """And only push; the seconds are told, rounded up."""
    decided = admit(BrakeLimits(), channel, person, RequestCounts(), NOW)
    if wait is None:
        assert isinstance(decided, Admitted)
    else:
        assert decided == Braked(brake="push", limit=2, retry_after=wait)


ROWS: list[tuple[str, PersonBrake | None, Outcome, int]] = [
    ("the first", None, Outcome(misses=1), 1),
    ("the second in a row", missed(1, ago(hours=23)), Outcome(misses=1), 2),
    ("a row that is a day old is forgotten", missed(2, NOW - MEMORY), Outcome(misses=1), 1),
    ("two pushes of one transaction", missed(1, ago(minutes=1)), Outcome(misses=2), 3),
    ("after a pause the row goes on", missed(2, ago(minutes=11)), Outcome(misses=1), 3),
]


@pytest.mark.parametrize(
    ("person", "outcome", "misses"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_refusals_and_lapses_are_counted_in_a_row(
    person: PersonBrake | None, outcome: Outcome, misses: int
) -> None:
    """The last one's moment is kept, and the count of requests is not touched."""
    kept = remember(person, outcome, NOW)
    assert kept is not None
    assert (kept.misses, kept.missed_at) == (misses, NOW)
    assert kept.count == (person.count if person else RequestCount(started_at=NOW, requests=0))


def test_an_approval_forgets_refusals_lapses_and_requests() -> None:
    """The holder is there and wants this."""
    assert remember(missed(2, NOW), Outcome(approved=True), NOW) is None


# -- what an ending says ---------------------------------------------------------------------------

S = ChallengeStatus


def challenge(n: int, channel: Channel, status: ChallengeStatus, *, rang: bool = True) -> Challenge:
    """``rang``: the platform made its ticket."""
    handle = Handle(transaction_id="t", ticket="t", ticket_id="t", sp_key_id="k", sent_checksums=())
    return Challenge(
        id=ChallengeId(f"chl_{n}"),
        channel=channel,
        status=status,
        upstream_transaction_id="u",
        time_limit=60,
        created_at=NOW,
        expires_at=NOW,
        sp_key_id="k",
        handle=handle if rang else None,
    )


def transaction(status: Status, *challenges: Challenge) -> Transaction:
    """With these challenges."""
    return Transaction(
        id=TransactionId("txn_1"),
        tenant=TenantId("t1"),
        version=1,
        kind=Kind.SIGNATURE,
        status=status,
        created_at=NOW,
        expires_at=NOW,
        user_id="u1",
        person_id=PersonId("psn_1"),
        match_code="42",
        hint="h",
        documents=(),
        challenges=challenges,
        policy=TenantPolicy(),
        time_limit=60,
        format="cades",
    )


Change = tuple[Channel, ChallengeStatus, ChallengeStatus]
OUTCOMES: list[tuple[str, Status, list[Change], Outcome | None]] = [
    ("a push is approved", Status.COMPLETED, [(PUSH, S.SENT, S.APPROVED)], Outcome(approved=True)),
    ("a code is approved", Status.COMPLETED, [(QR, S.SENT, S.APPROVED)], Outcome(approved=True)),
    (
        "the push lapsed and the code is approved: an approval",
        Status.COMPLETED,
        [(PUSH, S.LAPSED, S.LAPSED), (QR, S.SENT, S.APPROVED)],
        Outcome(approved=True),
    ),
    ("a push is refused", Status.REJECTED, [(PUSH, S.SENT, S.REFUSED)], Outcome(misses=1)),
    ("a code is refused", Status.REJECTED, [(QR, S.SENT, S.REFUSED)], Outcome(misses=1)),
    (
        "one refusal, whatever else was open",
        Status.REJECTED,
        [(QR, S.SENT, S.REFUSED), (PUSH, S.SENT, S.CLOSED)],
        Outcome(misses=1),
    ),
    ("nobody answers a push", Status.EXPIRED, [(PUSH, S.SENT, S.LAPSED)], Outcome(misses=1)),
    (
        "a push closed by the deadline",
        Status.EXPIRED,
        [(PUSH, S.SENT, S.CLOSED)],
        Outcome(misses=1),
    ),
    ("nobody uses a code", Status.EXPIRED, [(QR, S.SENT, S.LAPSED)], None),
    ("nobody uses a link", Status.EXPIRED, [(APP_LINK, S.SENT, S.LAPSED)], None),
    (
        "two pushes ring in vain",
        Status.EXPIRED,
        [(PUSH, S.SENT, S.LAPSED), (PUSH, S.SENT, S.CLOSED)],
        Outcome(misses=2),
    ),
    (
        "a push lapses while a code is open",
        Status.PENDING,
        [(PUSH, S.SENT, S.LAPSED), (QR, S.SENT, S.SENT)],
        Outcome(misses=1),
    ),
    (
        "a lapse counts once: not again at the end",
        Status.EXPIRED,
        [(PUSH, S.LAPSED, S.LAPSED), (QR, S.SENT, S.LAPSED)],
        None,
    ),
    ("a push begins to ring", Status.PENDING, [(PUSH, S.STARTING, S.SENT)], None),
    ("it is cancelled", Status.CANCELLED, [(PUSH, S.SENT, S.CLOSED)], None),
    ("it fails", Status.FAILED, [(PUSH, S.SENT, S.FAILED)], None),
    ("the platform fell silent", Status.FAILED, [(PUSH, S.SENT, S.CLOSED)], None),
]


@pytest.mark.parametrize(
    ("status", "changes", "expected"), [o[1:] for o in OUTCOMES], ids=[o[0] for o in OUTCOMES]
)
def test_what_counts_as_a_refusal_a_lapse_or_an_approval(
    status: Status, changes: list[Change], expected: Outcome | None
) -> None:
    """A row for each ending; None neither adds to a row nor breaks it."""
    before = transaction(
        Status.PENDING, *(challenge(n, c, was) for n, (c, was, _) in enumerate(changes))
    )
    after = transaction(status, *(challenge(n, c, now) for n, (c, _, now) in enumerate(changes)))
    assert outcome_of(before, after) == expected


def test_a_push_that_never_rang_is_no_lapse() -> None:
    """The platform made no ticket for it."""
    before = transaction(Status.PENDING, challenge(1, PUSH, S.STARTING, rang=False))
    after = transaction(Status.EXPIRED, challenge(1, PUSH, S.CLOSED, rang=False))
    assert outcome_of(before, after) is None


@pytest.mark.parametrize("status", [s for s in Status if s.terminal])
def test_what_comes_after_the_end_counts_nothing(status: Status) -> None:
    """Not even where a terminal transaction is written again."""
    ended = transaction(status, challenge(1, PUSH, S.SENT))
    again = evolve(ended, challenges=(challenge(1, PUSH, S.LAPSED),))
    assert outcome_of(ended, again) is None


# -- counts ----------------------------------------------------------------------------------------


def counted(requests: int, seconds: float = 0.0) -> RequestCount:
    """In a window that began so many seconds ago."""
    return RequestCount(started_at=ago(seconds=seconds), requests=requests)


def state(**counts: RequestCount) -> tuple[PersonBrake | None, RequestCounts]:
    """Of person, tenant and gateway."""
    person = counts.pop("person", None)
    return PersonBrake(count=person) if person else None, RequestCounts(**counts)


FULL: list[tuple[str, dict[str, Any], Braked | None]] = [
    ("the first ever", {}, None),
    ("a person's last slot", {"person": counted(2)}, None),
    (
        "a person's is full",
        {"person": counted(3)},
        Braked(brake="person", limit=3, retry_after=600),
    ),
    ("a person's next window", {"person": counted(3, 600)}, None),
    ("a tenant's last slot", {"tenant": counted(4)}, None),
    (
        "a tenant's is full",
        {"tenant": counted(5, 20)},
        Braked(brake="tenant", limit=5, retry_after=40),
    ),
    ("a tenant's next window", {"tenant": counted(5, 60)}, None),
    ("the last slot of all", {"gateway": counted(6)}, None),
    (
        "full for all",
        {"gateway": counted(7, 59.5)},
        Braked(brake="gateway", limit=7, retry_after=1),
    ),
    (
        "what holds longest is told",
        {"tenant": counted(5, 50), "gateway": counted(7, 20)},
        Braked(brake="gateway", limit=7, retry_after=40),
    ),
    (
        "a limit that was lowered",
        {"tenant": counted(99)},
        Braked(brake="tenant", limit=5, retry_after=60),
    ),
]


@pytest.mark.parametrize(("counts", "expected"), [f[1:] for f in FULL], ids=[f[0] for f in FULL])
@pytest.mark.parametrize("channel", [PUSH, QR, APP_LINK])
def test_requests_are_counted_a_person_a_tenant_and_over_all(
    channel: Channel, counts: dict[str, Any], expected: Braked | None
) -> None:
    """On every channel; who is refused is not counted."""
    person, others = state(**counts)
    decided = admit(LIMITS, channel, person, others, NOW)
    if expected is not None:
        assert decided == expected
    else:
        assert isinstance(decided, Admitted)


def test_a_request_adds_one_to_each_count_and_keeps_the_window() -> None:
    """A window that is over begins anew with this request."""
    person, others = state(person=counted(1, 599), tenant=counted(4, 30), gateway=counted(6, 60))
    decided = admit(LIMITS, PUSH, person, others, NOW)
    assert isinstance(decided, Admitted)
    assert decided.person.count == counted(2, 599)
    assert decided.counts.tenant == counted(5, 30)
    assert decided.counts.gateway == counted(1)


def test_a_request_keeps_the_row_of_refusals() -> None:
    """Only an approval breaks it."""
    decided = admit(LIMITS, QR, missed(2, NOW), RequestCounts(), NOW)
    assert isinstance(decided, Admitted)
    assert (decided.person.misses, decided.person.missed_at) == (2, NOW)


def test_a_count_is_told_before_the_pause() -> None:
    """It holds QR too, so that "use QR" would be wrong advice."""
    full = evolve(missed(2, NOW), count=counted(3))
    decided = admit(LIMITS, PUSH, full, RequestCounts(), NOW)
    assert isinstance(decided, Braked)
    assert decided.brake == "person"


def test_by_default_all_tenants_may_ask_more_often_than_one() -> None:
    """And one tenant more often than one person."""
    limits = BrakeLimits()
    assert limits.gateway_requests > limits.tenant_requests > limits.person_requests
