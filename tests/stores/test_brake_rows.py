"""What the brakes remember survives, in both stores, and is forgotten when it is told to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.brakes import RequestCount, RequestCounts
from moica_gateway.domain.values import PersonId
from moica_gateway.ports import ALL_TENANTS

PERSON = PersonId("per_0")
OTHER = PersonId("per_1")


async def test_a_persons_brake_comes_back_as_it_was_written_and_is_replaced(
    store: Any, make: Any
) -> None:
    """With and without a refusal or lapse; nothing before, nothing of another person."""
    assert await store.read(lambda u: u.person_brake(make.ours, PERSON)) is None
    for brake in (make.brake(), make.brake(7, misses=0, missed_at=None)):
        await store.write(lambda u, b=brake: u.save_person_brake(make.ours, PERSON, b))
        assert await store.read(lambda u: u.person_brake(make.ours, PERSON)) == brake
    assert await store.read(lambda u: u.person_brake(make.ours, OTHER)) is None


async def test_a_persons_brake_is_forgotten(store: Any, make: Any) -> None:
    """Also where there is none."""
    await store.write(lambda u: u.save_person_brake(make.ours, PERSON, make.brake()))
    for _ in range(2):
        await store.write(lambda u: u.save_person_brake(make.ours, PERSON, None))
        assert await store.read(lambda u: u.person_brake(make.ours, PERSON)) is None


async def test_the_count_of_all_tenants_is_one(store: Any, make: Any) -> None:
    """Whoever writes it; each tenant's own is its own, and what is not given stays."""
    assert await store.read(lambda u: u.request_counts(make.ours)) == RequestCounts()
    await store.write(lambda u: u.save_request_counts(make.ours, make.counts(1)))
    await store.write(lambda u: u.save_request_counts(make.theirs, make.counts(5)))
    ours = await store.read(lambda u: u.request_counts(make.ours))
    assert (ours.tenant.requests, ours.gateway.requests) == (1, 6)
    await store.write(lambda u: u.save_request_counts(make.ours, RequestCounts()))
    assert await store.read(lambda u: u.request_counts(make.ours)) == ours


async def test_what_was_undone_was_not_counted(store: Any, make: Any) -> None:
    """A unit of work that raises leaves the counts as they were."""

    def refused(unit: Any) -> None:
        unit.save_request_counts(make.ours, make.counts(9))
        unit.save_person_brake(make.ours, PERSON, make.brake())
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(refused)
    assert await store.read(lambda u: u.request_counts(make.ours)) == RequestCounts()
    assert await store.read(lambda u: u.person_brake(make.ours, PERSON)) is None


async def test_a_brake_needs_its_person(store: Any, make: Any) -> None:
    """A row of an unknown person is refused."""
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.save_person_brake(make.ours, PersonId("x"), make.brake()))


async def test_a_naive_instant_is_refused(store: Any, make: Any) -> None:
    """As everywhere."""
    naive = RequestCount(started_at=datetime(2026, 4, 24), requests=1)
    for work in (
        lambda u: u.save_person_brake(make.ours, PERSON, evolve(make.brake(), count=naive)),
        lambda u: u.save_request_counts(make.ours, RequestCounts(gateway=naive)),
    ):
        with pytest.raises(ValueError, match="aware"):
            await store.write(work)


async def test_only_what_is_old_in_every_part_is_forgotten(store: Any, make: Any) -> None:
    """A late refusal keeps the row, and so does a late request."""
    hour = timedelta(hours=1)
    old, late = make.now - 2 * hour, make.now
    count = RequestCount(started_at=old, requests=1)
    kept = {
        make.ours: make.brake(count=count, missed_at=late),
        make.theirs: make.brake(missed_at=old),
    }
    for tenant, brake in kept.items():
        await store.write(lambda u, t=tenant, b=brake: u.save_person_brake(t, PERSON, b))
    gone = {
        make.ours: make.brake(count=count, missed_at=old),
        make.theirs: make.brake(count=count, misses=0, missed_at=None),
    }
    for tenant, brake in gone.items():
        await store.write(lambda u, t=tenant, b=brake: u.save_person_brake(t, OTHER, b))
    forget = make.now - hour
    assert await store.write(lambda u: u.delete_person_brakes_before(ALL_TENANTS, forget)) == 2
    for tenant in kept:
        assert await store.read(lambda u, t=tenant: u.person_brake(t, PERSON)) == kept[tenant]
        assert await store.read(lambda u, t=tenant: u.person_brake(t, OTHER)) is None


async def test_a_brake_outlives_the_erasure_of_the_person_until_it_is_forgotten(
    store: Any, make: Any
) -> None:
    """It is numbers only; erasing is neither hindered by it nor does it trip over it."""
    await store.write(lambda u: u.save_person_brake(make.ours, PERSON, make.brake()))
    await store.write(lambda u: u.erase_person(make.ours, PERSON))
    assert await store.read(lambda u: u.person_brake(make.ours, PERSON)) == make.brake()
    await store.write(lambda u: u.save_person_brake(make.ours, PERSON, None))
