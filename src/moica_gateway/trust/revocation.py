"""Revocation by CRL: our own store on ``cryptography`` (security rule 6, `trust.crl`).

A CRL is fetched through the egress client from the certificate's own distribution points, and only
from hosts that the operator allows; it is kept in memory until ``nextUpdate``, its number for as
long as the process lives. OCSP is not asked yet; the report says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from moica_gateway.ports import Clock, Egress, EgressError
from moica_gateway.trust.crl import Crl, CrlRefusedError, distribution_points, read_crl

__all__ = ["CrlStore", "RevocationPolicy", "RevocationStatus"]

_MAX_CRL: Final = 64 * 1_048_576
_TIMEOUT: Final = 8.0
"""Seconds for one download: a transaction has to be settled within 15 (`design.md`)."""
_PAUSE: Final = 5.0
"""Seconds in which what just failed is not tried again: without it, signatures that wait for one
dead host would wait one after another, each a whole time limit."""


class RevocationPolicy(StrEnum):
    """What follows when no valid CRL can be had."""

    REQUIRE = "require"
    CRL_IF_AVAILABLE = "crl_if_available"


@frozen(kw_only=True)
class RevocationStatus:
    """``revoked`` is None when it is unknown; ``detail`` says why, or by what it is known."""

    revoked: bool | None
    detail: str


@frozen(kw_only=True)
class _Source:
    """Whose CRL, and from where: a number goes up within one of these, and only there."""

    issuer: bytes
    url: str


class CrlStore:
    """CRLs by issuer and address.

    Args:
        egress: The way out.
        clock: For freshness.
        hosts: Hosts (``host`` or ``host:port``) that a distribution point may name; others are
            not asked.
        grace: How long after ``nextUpdate`` a CRL is still used when no newer one can be had.
    """

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        *,
        hosts: Iterable[str],
        grace: timedelta = timedelta(0),
    ) -> None:
        self._egress = egress
        self._clock = clock
        self._hosts = frozenset(host.lower() for host in hosts)
        self._grace = grace
        self._crls: dict[_Source, Crl] = {}
        self._locks: dict[_Source, asyncio.Lock] = {}
        self._paused: dict[str | _Source, tuple[float, str]] = {}

    async def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, *, of_authority: bool = False
    ) -> RevocationStatus:
        """Whether ``certificate`` is revoked now. Raises nothing: trouble is an unknown status.

        Args:
            certificate: Within its validity: authorities drop expired ones from their lists.
            issuer: Its issuer, already trusted.
            of_authority: Whether ``certificate`` is an authority's itself.
        """
        reasons: list[str] = []
        try:
            points = distribution_points(certificate)
        except CrlRefusedError as e:
            return RevocationStatus(revoked=None, detail=str(e))
        for point in points:
            for url in point:
                try:
                    crl = await self._get(url, point, issuer, of_authority=of_authority)
                except CrlRefusedError as e:
                    reasons.append(str(e))
                    continue
                stale = ", past its nextUpdate" if crl.next_update < self._clock.now() else ""
                return RevocationStatus(
                    revoked=certificate.serial_number in crl.serials,
                    detail=f"CRL number {crl.number} of {crl.this_update.isoformat()}{stale}",
                )
        reason = "; ".join(dict.fromkeys(reasons)) or "none named"
        return RevocationStatus(revoked=None, detail=f"no CRL could be had: {reason}")

    async def _get(
        self, url: str, point: tuple[str, ...], issuer: x509.Certificate, *, of_authority: bool
    ) -> Crl:
        host = _host(url)
        if host not in self._hosts:
            raise CrlRefusedError("a CRL host outside the configured ones")
        source = _Source(issuer=issuer.fingerprint(hashes.SHA256()), url=url)
        async with self._locks.setdefault(source, asyncio.Lock()):
            known = self._crls.get(source)
            if known is not None and self._clock.now() <= known.next_update:
                return known
            try:
                fresh = await self._fetch(source, host, point, issuer, of_authority=of_authority)
                if known is not None and fresh.older_than(known):
                    raise self._pause(source, "a CRL number that goes back")
            except CrlRefusedError:
                if known is not None and self._clock.now() <= known.next_update + self._grace:
                    return known
                raise
            self._crls[source] = fresh
            return fresh

    async def _fetch(
        self,
        source: _Source,
        host: str,
        point: tuple[str, ...],
        issuer: x509.Certificate,
        *,
        of_authority: bool,
    ) -> Crl:
        for key in (host, source):
            until, why = self._paused.get(key, (0.0, ""))
            if self._clock.monotonic() < until:
                raise CrlRefusedError(why)
        try:
            reply = await self._egress.request(
                "GET", source.url, timeout=_TIMEOUT, max_bytes=_MAX_CRL
            )
        except EgressError as e:
            # The host is paused, not the one list: the complete list is behind the same dead line.
            raise self._pause(host, f"the CRL cannot be fetched ({e.kind})") from e
        if reply.status != 200:
            raise self._pause(source, f"HTTP status {reply.status}")
        try:
            return await asyncio.to_thread(
                read_crl,
                reply.body,
                point=point,
                issuer=issuer,
                of_authority=of_authority,
                now=self._clock.now(),
            )
        except CrlRefusedError as e:
            raise self._pause(source, str(e)) from e

    def _pause(self, key: str | _Source, why: str) -> CrlRefusedError:
        self._paused[key] = (self._clock.monotonic() + _PAUSE, why)
        return CrlRefusedError(why)


def _host(url: str) -> str:
    """``host`` or ``host:port``; empty, which no list allows, for what is not plain HTTP(S)."""
    try:
        parts = urlsplit(url)
        return parts.netloc.lower() if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""
