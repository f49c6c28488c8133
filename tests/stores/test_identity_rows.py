"""Identity queries are counted a tenant and day; whom nobody registered can be found and erased."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import Status
from moica_gateway.domain.values import PersonId
from moica_gateway.ports import ALL_TENANTS


async def test_an_id_number_counts_once_a_tenant_and_day(store: Any, make: Any) -> None:
    """The same again is told apart; another number, day or tenant counts by itself."""
    day = make.now.date()
    asked = [
        (make.ours, day, 5, True),
        (make.ours, day, 5, False),
        (make.ours, day, 6, True),
        (make.ours, day + timedelta(days=1), 5, True),
        (make.theirs, day, 5, True),
    ]
    for tenant, when, number, new in asked:
        id_number = make.id_number(number)
        added = await store.write(
            lambda u, t=tenant, d=when, i=id_number: u.add_identity_query(t, d, i)
        )
        assert added is new
    counted = await store.read(
        lambda u: [
            u.identity_queries(make.ours, day),
            u.identity_queries(make.ours, day + timedelta(days=1)),
            u.identity_queries(make.theirs, day),
        ]
    )
    assert counted == [2, 1, 1]


async def test_queries_of_earlier_days_are_forgotten(store: Any, make: Any) -> None:
    """Of every tenant; today's stay."""
    today, id_number = make.now.date(), make.id_number(5)

    def fill(unit: Any) -> None:
        for tenant in (make.ours, make.theirs):
            for back in (0, 1, 40):
                unit.add_identity_query(tenant, today - timedelta(days=back), id_number)

    await store.write(fill)
    assert await store.write(lambda u: u.delete_identity_queries_before(ALL_TENANTS, today)) == 4
    assert await store.read(lambda u: u.identity_queries(make.ours, today)) == 1


async def test_an_undone_query_was_not_counted(store: Any, make: Any) -> None:
    """A unit of work that raises leaves the day as it was."""

    def refused(unit: Any) -> None:
        unit.add_identity_query(make.ours, make.now.date(), make.id_number(5))
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(refused)
    assert await store.read(lambda u: u.identity_queries(make.ours, make.now.date())) == 0


async def test_a_challenge_is_found_by_what_the_platform_calls_it(store: Any, make: Any) -> None:
    """With its transaction as it is; an unknown id finds nothing."""
    transaction = make.transaction(1)
    await store.write(lambda u: u.add_transaction(transaction))
    for challenge in transaction.challenges:
        upstream_id = challenge.upstream_transaction_id
        found = await store.read(lambda u, i=upstream_id: u.challenge_by_upstream_id(make.ours, i))
        assert found == (transaction, challenge)
    assert await store.read(lambda u: u.challenge_by_upstream_id(make.ours, "no such")) is None


async def test_only_whom_nothing_binds_is_unbound(store: Any, make: Any) -> None:
    """A user, a credential, a pending or a recent transaction each keep a person; an erased or a
    younger one is not named."""
    people = {
        name: evolve(make.person(number), id=PersonId(name))
        for number, name in enumerate(
            ("idle", "bound", "holder", "pending", "recent", "past", "gone"), start=20
        )
    }
    long_ago, since = make.now - timedelta(days=3), make.now - timedelta(days=1)
    young = evolve(make.person(30), id=PersonId("young"), created_at=make.now)

    def fill(unit: Any) -> None:
        for person in people.values():
            unit.save_person(evolve(person, created_at=long_ago))
        unit.save_person(young)
        unit.save_user_binding(evolve(make.binding(), user_id="ub", person_id=people["bound"].id))
        unit.save_credential(make.credential(7, person_id=people["holder"].id, user_id="uc"))
        for number, name, status, ended in (
            (50, "pending", Status.PENDING, None),
            (51, "recent", Status.EXPIRED, make.now),
            (52, "past", Status.EXPIRED, since - timedelta(hours=1)),
        ):
            unit.add_transaction(
                make.transaction(number, person_id=people[name].id, status=status, ended_at=ended)
            )
        unit.erase_person(make.ours, people["gone"].id)

    await store.write(fill)
    found = await store.read(lambda u: u.unbound_persons(ALL_TENANTS, since, limit=9999))
    mine = {person_id for _, person_id in found} & {*people, "young"}
    assert mine == {"idle", "past"}
    few = await store.read(lambda u: u.unbound_persons(ALL_TENANTS, since, limit=1))
    assert len(few) == 1
