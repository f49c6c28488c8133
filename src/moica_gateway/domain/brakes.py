"""When the phone of a person is left alone, and when the platform is. Pure (security rule 10).

Four brakes, looked at in the commit that makes a ticket's challenge, so before the platform is
asked: a count of requests for tickets a tenant's person, one a tenant, one over all tenants, and
the pause of push.

What counts for the pause:

- A **refusal**: a transaction that ends ``rejected``, on whatever channel the holder said no.
- A **lapse**: a push that rang (the platform made its ticket) and ran out unanswered. Each such
  push counts, a further one of the same transaction too; a code or link that nobody used does not,
  since it rang nowhere.
- An **approval**: a ticket that the holder confirmed and the judge accepted, on whatever channel: a
  transaction's last, or one of a batch that goes on. It ends a pause and
  forgets the person's refusals, lapses and requests: the holder is there and wants this.
- Neither, and so not breaking a row: ``cancelled`` and ``failed``, a push that never rang or that
  another channel overtook, and whatever comes after the end (a late approval is discarded, and so
  opens nothing).

"In a row" means without an approval in between, within `MEMORY`. Where the row is long enough,
push waits for the pause, counted from the last refusal or lapse; after it one push may ring, and
its refusal or lapse pauses anew. An open transaction is not touched by a pause.

A window of a count begins with its first request and is over after its length, so that across a
window's end up to twice the limit may come close together. Deliberately not here: the clock, the
store, and the 20 s between two pushes from a browser (`services.challenges`).
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final, Literal

from attrs import evolve, frozen

from moica_gateway.domain.models import ChallengeStatus, Channel, Status, Transaction

__all__ = [
    "MEMORY",
    "Admitted",
    "Brake",
    "BrakeLimits",
    "Braked",
    "Outcome",
    "PersonBrake",
    "RequestCount",
    "RequestCounts",
    "admit",
    "outcome_of",
    "remember",
]

MEMORY: Final = timedelta(hours=24)
"""A row of refusals and lapses is forgotten when its last one is so old."""

Brake = Literal["push", "person", "tenant", "gateway"]
"""Which one held: the pause of push, or the count of which requests."""


@frozen(kw_only=True)
class BrakeLimits:
    """What the operator allows.

    Attributes:
        push_misses: Refusals and lapses in a row after which push pauses.
        push_pause: For how long.
        person_requests: Requests for tickets in one window a person, since the last approval.
        person_window: Its length.
        tenant_requests: The same a tenant, whoever approved what.
        gateway_requests: The same of all tenants; higher than one tenant's.
        window: The length of both.
    """

    push_misses: int = 2
    push_pause: timedelta = timedelta(minutes=10)
    person_requests: int = 60
    person_window: timedelta = timedelta(minutes=10)
    tenant_requests: int = 1200
    gateway_requests: int = 6000
    window: timedelta = timedelta(minutes=1)


@frozen(kw_only=True)
class RequestCount:
    """The requests of one window."""

    started_at: datetime
    requests: int


@frozen(kw_only=True)
class PersonBrake:
    """What is remembered of a tenant's person; nothing once something was approved."""

    count: RequestCount
    misses: int = 0
    missed_at: datetime | None = None
    """The last refusal or lapse."""


@frozen(kw_only=True)
class RequestCounts:
    """Of a tenant, and of all."""

    tenant: RequestCount | None = None
    gateway: RequestCount | None = None


@frozen(kw_only=True)
class Admitted:
    """One request more; to be stored in the commit that makes the challenge."""

    person: PersonBrake
    counts: RequestCounts


@frozen(kw_only=True)
class Outcome:
    """What the holder did: approved, or refused and let lapse so many."""

    approved: bool = False
    misses: int = 0


@frozen(kw_only=True)
class Braked:
    """``limit`` is the count, or the number of refusals and lapses; ``retry_after`` in seconds."""

    brake: Brake
    limit: int
    retry_after: int


def admit(
    limits: BrakeLimits,
    channel: Channel,
    person: PersonBrake | None,
    counts: RequestCounts,
    now: datetime,
) -> Admitted | Braked:
    """May one more ticket be asked for on that channel?

    Of several counts that hold, the one that holds longest is named; a count before the pause,
    since it holds QR too.
    """
    of_person = person.count if person else None
    metered: tuple[tuple[Brake, RequestCount | None, int, timedelta], ...] = (
        ("person", of_person, limits.person_requests, limits.person_window),
        ("tenant", counts.tenant, limits.tenant_requests, limits.window),
        ("gateway", counts.gateway, limits.gateway_requests, limits.window),
    )
    full = [
        Braked(brake=brake, limit=limit, retry_after=_seconds(left))
        for brake, count, limit, window in metered
        if count is not None
        and (left := _left(count.started_at, window, now)) > timedelta(0)
        and count.requests >= limit
    ]
    if full:
        return max(full, key=lambda braked: braked.retry_after)
    if channel is Channel.PUSH and person is not None and person.missed_at is not None:
        left = _left(person.missed_at, limits.push_pause, now)
        if person.misses >= limits.push_misses and left > timedelta(0):
            return Braked(brake="push", limit=limits.push_misses, retry_after=_seconds(left))
    one_more = _one_more(of_person, limits.person_window, now)
    return Admitted(
        person=evolve(person, count=one_more) if person else PersonBrake(count=one_more),
        counts=RequestCounts(
            tenant=_one_more(counts.tenant, limits.window, now),
            gateway=_one_more(counts.gateway, limits.window, now),
        ),
    )


def outcome_of(before: Transaction, after: Transaction) -> Outcome | None:
    """What a change says of the holder; None where it says nothing."""
    if before.status.terminal:
        return None
    approved_before = {c.id for c in before.challenges if c.status is ChallengeStatus.APPROVED}
    if after.status is Status.COMPLETED or any(
        c.status is ChallengeStatus.APPROVED and c.id not in approved_before
        for c in after.challenges
    ):
        return Outcome(approved=True)
    if after.status is Status.REJECTED:
        return Outcome(misses=1)
    was_open = {c.id for c in before.open_challenges}
    # An ending that nobody answered closes what was still open: by then it has run out, too.
    unanswered = {ChallengeStatus.LAPSED} | (
        {ChallengeStatus.CLOSED} if after.status is Status.EXPIRED else set()
    )
    misses = sum(
        c.channel is Channel.PUSH
        and c.id in was_open
        and c.handle is not None
        and c.status in unanswered
        for c in after.challenges
    )
    return Outcome(misses=misses) if misses else None


def remember(person: PersonBrake | None, outcome: Outcome, now: datetime) -> PersonBrake | None:
    """What is remembered of the person then; None is nothing."""
    if outcome.approved:
        return None
    known = person or PersonBrake(count=RequestCount(started_at=now, requests=0))
    in_a_row = known.missed_at is not None and _left(known.missed_at, MEMORY, now) > timedelta(0)
    return evolve(known, misses=outcome.misses + (known.misses if in_a_row else 0), missed_at=now)


def _one_more(count: RequestCount | None, window: timedelta, now: datetime) -> RequestCount:
    if count is None or _left(count.started_at, window, now) <= timedelta(0):
        return RequestCount(started_at=now, requests=1)
    return evolve(count, requests=count.requests + 1)


def _left(since: datetime, length: timedelta, now: datetime) -> timedelta:
    # By distance: a moment that lies ahead by less is another gateway's clock, by more it is from
    # before this one was set back, and must not hold for as long as it was wrong.
    return length - abs(now - since)


def _seconds(left: timedelta) -> int:
    return max(1, math.ceil(left.total_seconds()))
