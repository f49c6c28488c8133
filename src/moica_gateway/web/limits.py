"""How much one caller may ask for: requests a second, and lines held open (security rule 19).

A token bucket a caller: a tenant with all its keys is one, a browser is one by its transaction, so
that neither many browsers nor one that asks without end takes another's share. Counted in this
process and in memory: it keeps the service up and is no accounting. How often phones and the
platform are asked is another matter (`domain.brakes`), and is stored.

What is told: ``RateLimit-Policy`` and ``RateLimit`` as in draft-ietf-httpapi-ratelimit-headers-10
(``q`` the requests of a full bucket, ``w`` the seconds in which an empty one fills, ``r`` what is
left, ``t`` seconds until it is full), and with 429 ``Retry-After``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from attrs import define, frozen

from moica_gateway.errors import error
from moica_gateway.services.commands import Caller

__all__ = ["Allowance", "RequestLimits", "RequestMeter"]

_SWEEP_ABOVE: Final = 4096


@frozen(kw_only=True)
class RequestLimits:
    """What the operator allows.

    Attributes:
        tenant_rate: Requests a second of one tenant, over time.
        tenant_burst: Requests that it may make at once.
        tenant_streams: Event streams and waiting requests of a tenant at a time, its browsers'
            included.
        browser_rate: Requests a second of one browser token's transaction.
        browser_burst: The same at once.
        browser_streams: The same of lines held open.
    """

    tenant_rate: float = 2000.0
    tenant_burst: int = 4000
    tenant_streams: int = 5000
    browser_rate: float = 10.0
    browser_burst: int = 60
    browser_streams: int = 8


@frozen(kw_only=True)
class Allowance:
    """What is left to a caller after this request.

    Attributes:
        policy: ``tenant`` or ``browser``.
        quota: Requests of a full bucket.
        window: Seconds in which an empty one fills.
        left: Requests that would be admitted now.
        full_in: Seconds until the bucket is full.
        retry_after: Seconds until this one would have been admitted; 0 where it was.
    """

    policy: str
    quota: int
    window: int
    left: int
    full_in: int
    retry_after: int = 0

    def check(self) -> None:
        """Whether the request may go on.

        Raises:
            RequestError: ``too_many_requests`` with ``retry_after`` in seconds.
        """
        if self.retry_after:
            raise error(
                "too_many_requests",
                f"expected at most {self.quota} requests at once, which come back within "
                f"{self.window} s, more came; the integrator waits as `Retry-After` says, and "
                "watches a transaction by `wait` or events instead of asking again and again",
                retry_after=self.retry_after,
            )

    def headers(self) -> dict[str, str]:
        """``RateLimit-Policy`` and ``RateLimit``."""
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={self.window}',
            "RateLimit": f'"{self.policy}";r={self.left};t={self.full_in}',
        }


@define
class _Bucket:
    tokens: float
    at: float


class RequestMeter:
    """Counts. One for each process.

    Args:
        limits: What is allowed.
        monotonic: Seconds that never go back.
    """

    def __init__(self, limits: RequestLimits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._buckets: dict[str, _Bucket] = {}
        self._open: dict[str, int] = {}

    def take(self, caller: Caller) -> Allowance:
        """One request; nothing is taken where there is not enough."""
        policy, subject, rate, burst = self._policy(caller)
        now = self._monotonic()
        bucket = self._buckets.get(subject)
        if bucket is None:
            if len(self._buckets) >= _SWEEP_ABOVE:
                self._forget_full(now)
            bucket = self._buckets[subject] = _Bucket(float(burst), now)
        bucket.tokens = min(float(burst), bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        admitted = bucket.tokens >= 1.0
        wait = 0 if admitted else math.ceil((1.0 - bucket.tokens) / rate)
        bucket.tokens -= 1.0 if admitted else 0.0
        return Allowance(
            policy=policy,
            quota=burst,
            window=math.ceil(burst / rate),
            left=int(bucket.tokens),
            full_in=math.ceil((burst - bucket.tokens) / rate),
            retry_after=wait,
        )

    @contextmanager
    def held_open(self, caller: Caller) -> Iterator[None]:
        """One line that is held open: a stream, or a request that waits.

        Raises:
            RequestError: ``too_many_streams``.
        """
        places = [(f"tenant:{caller.tenant}", self._limits.tenant_streams)]
        if caller.browser:
            places.append((self._policy(caller)[1], self._limits.browser_streams))
        for place, most in places:
            if self._open.get(place, 0) >= most:
                raise error(
                    "too_many_streams",
                    f"expected at most {most} event streams and waiting requests at a time, there "
                    "are as many; the integrator ends those that nobody looks at",
                    retry_after=5,
                )
        for place, _ in places:
            self._open[place] = self._open.get(place, 0) + 1
        try:
            yield
        finally:
            for place, _ in places:
                self._open[place] -= 1
                if not self._open[place]:
                    del self._open[place]

    def _policy(self, caller: Caller) -> tuple[str, str, float, int]:
        limits = self._limits
        if caller.browser:
            subject = f"browser:{caller.transaction_id}"
            return "browser", subject, limits.browser_rate, limits.browser_burst
        return "tenant", f"tenant:{caller.tenant}", limits.tenant_rate, limits.tenant_burst

    def _forget_full(self, now: float) -> None:
        for subject, bucket in list(self._buckets.items()):
            browser = subject.startswith("browser:")
            rate = self._limits.browser_rate if browser else self._limits.tenant_rate
            burst = self._limits.browser_burst if browser else self._limits.tenant_burst
            if bucket.tokens + (now - bucket.at) * rate >= burst:
                del self._buckets[subject]
