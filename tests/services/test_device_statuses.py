"""What the platform knows of a person's phones: who may ask, how often, and what is believed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.brakes import BrakeLimits
from moica_gateway.domain.models import DeviceStatus, Fault, Scope
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.errors import GatewayError, problem
from moica_gateway.services.commands import Caller, DeviceQuery
from moica_gateway.services.device_status import DeviceStatuses
from tests.services.house import CALLER, ID_NUMBER, OTHER_ID, STRANGER, TENANT, House


def fault(code: str, **extra: Any) -> Fault:
    return Fault(problem=problem(code, "x", **extra), spoke=True)


async def ask(house: House, caller: Caller = CALLER, **query: Any) -> DeviceStatus:
    return await house.services.device_status.ask(caller, DeviceQuery(**query))


async def refused(house: House, caller: Caller = CALLER, **query: Any) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        await ask(house, caller, **query)
    return raised.value


async def test_a_registered_user_is_looked_up_by_the_bound_person(house: House) -> None:
    """Under a fresh id each time; nothing rings."""
    await house.register()
    rung = len(house.upstream.begun)
    for _ in range(2):
        assert await ask(house, user_id="u1") == DeviceStatus(bound=True, certificate_usable=True)
    assert [number for number, _ in house.upstream.looked_up] == [ID_NUMBER, ID_NUMBER]
    assert len({upstream_id for _, upstream_id in house.upstream.looked_up}) == 2
    assert len(house.upstream.begun) == rung


async def test_an_id_number_leaves_no_person_behind(house: House) -> None:
    """It is asked about, counted and recorded; nobody is stored."""
    house.upstream.status_with(DeviceStatus(bound=True, certificate_usable=False))
    assert not (await ask(house, id_number=OTHER_ID)).certificate_usable
    assert await house.store.read(lambda u: u.person_by_id_number(TENANT, OTHER_ID)) is None
    records = await house.store.read(lambda u: u.audit_records(TENANT))
    found = [r for r in records if r.action == "identity.queried"]
    assert [r.data["purpose"] for r in found] == ["device_status"]
    assert OTHER_ID.reveal() not in repr(found)


@pytest.mark.parametrize(
    ("scopes", "query"),
    [
        ({Scope.SIGN, Scope.REGISTER, Scope.READ, Scope.ADMIN}, {"id_number": ID_NUMBER}),
        ({Scope.IDENTITY_QUERY, Scope.SIGN}, {"user_id": "u1"}),
    ],
)
async def test_each_way_needs_its_own_scope(
    house: House, scopes: set[Scope], query: dict[str, Any]
) -> None:
    """``read`` for users, ``identity:query`` for ID numbers."""
    await house.register()
    caller = evolve(CALLER, scopes=frozenset(scopes))
    assert (await refused(house, caller, **query)).code == "forbidden"
    assert house.upstream.looked_up == []


@pytest.mark.parametrize("query", [{}, {"user_id": "u1", "id_number": ID_NUMBER}])
async def test_exactly_one_of_both(house: House, query: dict[str, Any]) -> None:
    """Neither and both are refused."""
    assert (await refused(house, **query)).code == "request_invalid"


async def test_an_unknown_or_foreign_user_is_refused_unasked(house: House) -> None:
    """Another tenant's users are unknown."""
    await house.register()
    assert (await refused(house, STRANGER, user_id="u1")).code == "credential_missing"
    assert (await refused(house, user_id="u2")).code == "credential_missing"
    assert house.upstream.looked_up == []


async def test_the_quota_is_one_with_the_authentications(house: House) -> None:
    """Over it the platform is not asked."""
    policy = TenantPolicy(identity_queries_per_day=1)
    await house.services.tenants.create_tenant(TENANT, "t1", policy)
    await ask(house, id_number=ID_NUMBER)
    await ask(house, id_number=ID_NUMBER)
    assert (await refused(house, id_number=OTHER_ID)).code == "identity_quota"
    assert len(house.upstream.looked_up) == 2


async def test_the_brakes_of_tenant_and_house_count_it(house: House) -> None:
    """One more than allowed is 429, and the person's own brake is untouched."""
    await house.register()
    person = await house.store.read(lambda u: u.person_by_id_number(TENANT, ID_NUMBER))
    assert person is not None
    counts = await house.store.read(lambda u: u.request_counts(TENANT))
    assert counts.tenant is not None
    context = evolve(house.context, brake_limits=BrakeLimits(tenant_requests=2))
    service = DeviceStatuses(context)
    await service.ask(CALLER, DeviceQuery(user_id="u1"))
    with pytest.raises(GatewayError) as raised:
        await service.ask(CALLER, DeviceQuery(user_id="u1"))
    assert raised.value.code == "rate_limited"
    assert raised.value.problem.extra["brake"] == "tenant"
    assert await house.store.read(lambda u: u.person_brake(TENANT, person.id)) is None


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("upstream_unreachable", 503),
        ("upstream_unavailable", 503),
        ("upstream_rejected_request", 200),
    ],
)
async def test_the_platforms_trouble_is_a_problem(house: House, code: str, status: int) -> None:
    """503 where asking again later helps."""
    house.upstream.status_with(fault(code))
    error = await refused(house, id_number=ID_NUMBER)
    assert (error.code, error.problem.status) == (code, status)
    assert house.alarms == []


async def test_an_answer_that_is_not_authentic_is_an_alarm(house: House) -> None:
    """And no answer."""
    house.upstream.status_with(fault("checksum_mismatch"))
    assert (await refused(house, id_number=ID_NUMBER)).code == "checksum_mismatch"
    assert house.alarms == ["security.checksum_mismatch"]


async def test_no_device_is_an_answer_where_a_checksum_speaks_for_it(house: House) -> None:
    """Unsigned it is not believed: it is a problem."""
    house.upstream.status_with(fault("device_not_bound"), fault("device_not_bound", unsigned=True))
    found = await ask(house, id_number=ID_NUMBER)
    assert found == DeviceStatus(bound=False, certificate_usable=False)
    assert (await refused(house, id_number=ID_NUMBER)).code == "device_not_bound"


async def test_a_platform_that_says_nothing_is_waited_for_5_s(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is unreachable, and the question is given up."""
    left = asyncio.Event()

    async def silent(*_: Any) -> DeviceStatus:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    monkeypatch.setattr(house.upstream, "device_status", silent)
    asking = asyncio.ensure_future(refused(house, id_number=ID_NUMBER))
    await house.clock.settle()
    await house.pass_time(4.9)
    assert not asking.done()
    await house.pass_time(0.1)
    error = await asking
    assert (error.code, error.problem.status) == ("upstream_unreachable", 503)
    await asyncio.wait_for(left.wait(), 1)
