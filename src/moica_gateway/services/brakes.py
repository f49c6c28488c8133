"""The brakes, inside the unit of work that makes a challenge or commits what came of one.

They are looked at in the commit itself, so that of two requests at once only one passes the last
slot, whichever gateway they reach; a refusal undoes that commit and so is not counted. What counts
is `domain.brakes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from moica_gateway.domain.brakes import Brake, Braked, admit, outcome_of, remember
from moica_gateway.domain.models import Channel, Transaction
from moica_gateway.domain.values import TenantId
from moica_gateway.errors import GatewayError, error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.context import Context

__all__ = ["count_lookup", "count_request", "observed", "remember_outcome"]

_WHOSE: Final[dict[Brake, str]] = {
    "person": "this person since the last approval",
    "tenant": "this tenant",
    "gateway": "all tenants",
}
_CODES: Final = frozenset({"push_paused", "rate_limited"})


def count_request(
    context: Context, uow: UnitOfWork, transaction: Transaction, channel: Channel
) -> None:
    """Count the request for one more ticket of this transaction; it is stored already.

    Raises:
        RequestError: ``push_paused`` or ``rate_limited``, with ``retry_after`` in seconds and
            ``brake``, the one that holds.
    """
    tenant, person_id = transaction.tenant, transaction.person_id
    limits = context.brake_limits
    decided = admit(
        limits,
        channel,
        uow.person_brake(tenant, person_id),
        uow.request_counts(tenant),
        context.clock.now(),
    )
    if isinstance(decided, Braked):
        raise _refusal(decided)
    uow.save_person_brake(tenant, person_id, decided.person)
    uow.save_request_counts(tenant, decided.counts)


def count_lookup(context: Context, uow: UnitOfWork, tenant: TenantId) -> None:
    """Count a request to the platform that rings nobody: tenant and house, no person.

    Raises:
        RequestError: ``rate_limited``, as `count_request`.
    """
    counts = uow.request_counts(tenant)
    decided = admit(context.brake_limits, Channel.QR, None, counts, context.clock.now())
    if isinstance(decided, Braked):
        raise _refusal(decided)
    uow.save_request_counts(tenant, decided.counts)


def remember_outcome(
    context: Context, uow: UnitOfWork, before: Transaction, after: Transaction
) -> None:
    """A refusal, a lapse or an approval, in the commit that settles it."""
    outcome = outcome_of(before, after)
    if outcome is None:
        return
    tenant, person_id = after.tenant, after.person_id
    known = None if outcome.approved else uow.person_brake(tenant, person_id)
    uow.save_person_brake(tenant, person_id, remember(known, outcome, context.clock.now()))


@contextmanager
def observed(context: Context) -> Iterator[None]:
    """Tells the metrics of a refusal; around the commit, which may be run more than once."""
    try:
        yield
    except GatewayError as e:
        if e.code in _CODES:
            context.braked(str(e.problem.extra["brake"]))
        raise


def _refusal(braked: Braked) -> GatewayError:
    if braked.brake == "push":
        return error(
            "push_paused",
            f"expected fewer than {braked.limit} refused or unanswered requests in a row of this "
            "person, so push waits; the integrator offers `channel: qr` now, or push again later",
            brake=braked.brake,
            retry_after=braked.retry_after,
        )
    return error(
        "rate_limited",
        f"expected at most {braked.limit} requests to the platform of {_WHOSE[braked.brake]} in "
        "one window, this would be one more; the integrator tries again later, the operator may "
        "change `[brakes]`",
        brake=braked.brake,
        retry_after=braked.retry_after,
    )
