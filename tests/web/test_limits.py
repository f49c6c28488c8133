"""What one caller may ask of the gateway: requests a second, and lines held open (rule 19)."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from attrs import asdict

from moica_gateway.domain.values import TenantId, TransactionId
from moica_gateway.errors import RequestError
from moica_gateway.services.commands import Caller
from moica_gateway.settings import LimitSettings
from moica_gateway.web.keys import METER
from moica_gateway.web.limits import Allowance, RequestLimits, RequestMeter
from tests.web.conftest import REGISTRATION, Api

LIMITS = RequestLimits(
    tenant_rate=2.0,
    tenant_burst=3,
    tenant_streams=3,
    browser_rate=1.0,
    browser_burst=2,
    browser_streams=1,
)
TENANT = Caller(tenant=TenantId("t1"), actor="key:1")
OTHER_KEY = Caller(tenant=TenantId("t1"), actor="key:2")
STRANGER = Caller(tenant=TenantId("t2"), actor="key:3")
BROWSER = Caller(tenant=TenantId("t1"), actor="browser", transaction_id=TransactionId("txn_1"))
OTHER_BROWSER = Caller(
    tenant=TenantId("t1"), actor="browser", transaction_id=TransactionId("txn_2")
)


class Hands:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """As a monotonic clock."""
        return self.seconds


@pytest.fixture
def now() -> Hands:
    """Zero."""
    return Hands()


@pytest.fixture
def meter(now: Hands) -> RequestMeter:
    """Three requests at once, two a second."""
    return RequestMeter(LIMITS, now)


def refused(allowance: Allowance) -> RequestError:
    """The refusal of one request more."""
    with pytest.raises(RequestError) as raised:
        allowance.check()
    assert raised.value.code == "too_many_requests"
    return raised.value


def test_a_tenants_keys_share_one_bucket_and_another_tenant_has_its_own(
    meter: RequestMeter,
) -> None:
    """A second key is no way around the limit, and nobody pays for a neighbour."""
    assert [meter.take(key).left for key in (TENANT, OTHER_KEY, TENANT)] == [2, 1, 0]
    assert refused(meter.take(OTHER_KEY)).problem.extra["retry_after"] == 1
    assert meter.take(STRANGER).left == 2


def test_what_was_used_comes_back_with_time_and_never_beyond_the_burst(
    meter: RequestMeter, now: Hands
) -> None:
    """Two a second; an hour of silence saves up no more than three."""
    for _ in range(3):
        meter.take(TENANT)
    now.seconds += 0.5
    assert meter.take(TENANT).left == 0
    refused(meter.take(TENANT))
    now.seconds += 3600
    assert meter.take(TENANT).left == 2


def test_a_browser_is_counted_by_its_transaction_and_takes_nothing_from_the_tenant(
    meter: RequestMeter,
) -> None:
    """One window that asks without end stops itself alone."""
    for _ in range(2):
        meter.take(BROWSER)
    refused(meter.take(BROWSER))
    assert meter.take(OTHER_BROWSER).left == 1
    assert meter.take(TENANT).left == 2


def test_the_headers_say_quota_rest_and_when_all_is_there_again(meter: RequestMeter) -> None:
    """In the form of the IETF's draft, as structured fields."""
    assert meter.take(TENANT).headers() == {
        "RateLimit-Policy": '"tenant";q=3;w=2',
        "RateLimit": '"tenant";r=2;t=1',
    }
    assert meter.take(BROWSER).headers()["RateLimit-Policy"] == '"browser";q=2;w=2'


def test_buckets_that_are_full_again_are_forgotten(now: Hands) -> None:
    """A year of browsers does not fill the memory, and a bucket in use is kept."""
    meter = RequestMeter(LIMITS, now)
    for number in range(4096):
        meter.take(Caller(tenant=TenantId(f"t{number}"), actor="key:1"))
    now.seconds += 2
    busy = Caller(tenant=TenantId("t0"), actor="key:1")
    for _ in range(3):
        meter.take(busy)
    meter.take(Caller(tenant=TenantId("new"), actor="key:1"))
    assert len(meter._buckets) == 2
    refused(meter.take(busy))


def test_lines_are_counted_while_they_are_open(meter: RequestMeter) -> None:
    """A browser's count for its transaction and for its tenant; what is closed is free again."""

    def opened(who: Caller) -> str:
        try:
            with meter.held_open(who):
                return "open"
        except RequestError as e:
            return e.code

    with meter.held_open(BROWSER):
        assert opened(BROWSER) == "too_many_streams"
        with meter.held_open(OTHER_BROWSER), meter.held_open(TENANT):
            assert opened(TENANT) == "too_many_streams"
            assert opened(STRANGER) == "open"
    assert opened(BROWSER) == "open"


def test_the_settings_begin_as_the_meters_limits_do() -> None:
    """Two places, one set of defaults."""
    assert asdict(LimitSettings()) == asdict(RequestLimits())


async def test_every_answer_to_a_known_caller_says_what_is_left(api: Api) -> None:
    """Refusals too; whoever is not known is told nothing."""
    _, _, headers = await api.call("GET", "/v1/transactions")
    assert re.fullmatch(r'"tenant";r=\d+;t=\d+', headers["RateLimit"])
    status, _, headers = await api.call("GET", "/v1/transactions/txn_0")
    assert status == 404
    assert headers["RateLimit-Policy"] == '"tenant";q=4000;w=2'
    status, _, headers = await api.call("GET", "/v1/transactions", token="mgk_live_x")
    assert status == 401
    assert "RateLimit" not in headers


async def test_too_many_requests_are_429_with_a_time_and_nothing_is_made(api: Api) -> None:
    """The refusal comes before anything is written or rung, and ends by itself."""
    app = api.client.server.app  # type: ignore[attr-defined]
    app[METER]._limits = LIMITS
    for _ in range(3):
        assert (await api.call("GET", "/v1/transactions"))[0] == 200
    status, problem, headers = await api.call("POST", "/v1/registrations", REGISTRATION)
    assert (status, problem["code"], headers["Retry-After"]) == (429, "too_many_requests", "1")
    assert headers["RateLimit"] == '"tenant";r=0;t=2'
    assert api.upstream.begun == []
    await api.clock.advance(timedelta(seconds=1).total_seconds())
    assert (await api.call("POST", "/v1/registrations", REGISTRATION))[0] == 201


async def test_a_window_too_many_is_told_so_and_the_others_go_on(api: Api) -> None:
    """A ninth line of a browser token is 429; looking is not, and a closed line is free."""
    _, made, _ = await api.call("POST", "/v1/registrations", REGISTRATION)
    path, token = f"/v1/transactions/{made['id']}", made["browser_token"]
    waiting = [
        asyncio.ensure_future(api.call("GET", f"{path}?wait=30", token=token)) for _ in range(9)
    ]
    (first,), others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    status, problem, headers = first.result()
    assert (status, problem["code"], headers["Retry-After"]) == (429, "too_many_streams", "5")
    assert (await api.call("GET", path, token=token))[0] == 200
    await api.call("POST", f"{path}/cancel")
    assert [status for status, _, _ in await asyncio.gather(*others)] == [200] * 8
    status, _, _ = await api.call("GET", f"{path}?wait=30", token=token)
    assert status == 200
