"""The CRLs of this process: fetched, kept, asked for again before they run out (security rule 6).

A CRL is fetched through the egress client from the certificate's own distribution points, and only
from hosts that the operator allows. While a valid one is held, nobody waits for the network:
`CrlStore.refresh` asks for the next one ahead of time, for lists that were needed lately. What was
believed is handed to `KeptLists`, and looked for there before the network is asked, so that numbers
do not go back over a restart and an imported list counts without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import structlog
from attrs import define, field, frozen
from cryptography import x509

from moica_gateway.domain.revocation_lists import ListHead, StatusSource
from moica_gateway.ports import Clock, Egress, EgressError, Random
from moica_gateway.trust.crl import (
    COMPLETE_SCOPES,
    Crl,
    CrlRefusedError,
    distribution_points,
    read_crl,
)
from moica_gateway.trust.hosts import host_of
from moica_gateway.trust.kept_lists import HeldLists, authorities_by_id, head_of, issuer_id
from moica_gateway.trust.status import RevocationStatus

__all__ = ["CrlStore"]

_MAX_CRL: Final = 64 * 1_048_576
_TIMEOUT: Final = 8.0
"""Seconds for one download: a transaction has to be settled within 15 (`design.md`)."""
_PAUSE: Final = 5.0
"""Seconds in which what just failed is not tried again: without it, signatures that wait for one
dead host would wait one after another, each a whole time limit."""
_LATELY: Final = timedelta(days=7)
"""How long a list that nobody needs any more is still refreshed."""
_AGAIN_LEAST: Final = timedelta(minutes=1)
_AGAIN_MOST: Final = timedelta(hours=1)


@frozen(kw_only=True)
class _Source:
    """Whose CRL, and from where."""

    issuer: str
    url: str


@frozen(kw_only=True)
class _Wanted:
    """What is needed for one certificate."""

    issuer_id: str
    issuer: x509.Certificate = field(repr=False)
    points: tuple[tuple[str, ...], ...]
    of_authority: bool


@define(kw_only=True)
class _Seen:
    """A list that somebody needed, and when it is to be asked for again."""

    wanted: _Wanted
    point: tuple[str, ...]
    used: datetime
    due: datetime


class CrlStore:
    """CRLs by issuer and scope.

    Args:
        egress: The way out.
        clock: For freshness.
        hosts: Hosts (``host`` or ``host:port``) that a distribution point may name; others are
            not asked.
        grace: How long after ``nextUpdate`` a CRL is still used when no newer one can be had.
        authorities: DER of whose lists are taken from ``kept`` before anybody asks.
        kept: Where lists outlive the process; without it they do not.
        random: For the jitter of refreshing; without it there is none.
    """

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        *,
        hosts: Iterable[str],
        grace: timedelta = timedelta(0),
        authorities: Iterable[bytes] = (),
        kept: HeldLists | None = None,
        random: Random | None = None,
    ) -> None:
        self._egress = egress
        self._clock = clock
        self._hosts = frozenset(host.lower() for host in hosts)
        self._grace = grace
        self._authorities = dict(authorities_by_id(authorities))
        self._kept = kept
        self._random = random
        self._held: dict[tuple[str, str], Crl] = {}
        self._seen: dict[_Source, _Seen] = {}
        self._locks: dict[_Source, asyncio.Lock] = {}
        self._paused: dict[str | _Source, tuple[float, str]] = {}
        self._log = structlog.get_logger("moica_gateway.trust")

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
        wanted = self._wanted(certificate, issuer, reasons, of_authority=of_authority)
        crl = self._usable(wanted)
        if crl is None:
            await self._obtain(wanted, reasons)
            crl = self._usable(wanted) or self._usable(wanted, grace=self._grace)
        self._remember(wanted, crl)
        if crl is None:
            reason = "; ".join(dict.fromkeys(reasons)) or "none named"
            return RevocationStatus(revoked=None, detail=f"no CRL could be had: {reason}")
        return self._said(certificate, issuer, crl)

    def known(
        self, certificate: x509.Certificate, issuer: x509.Certificate, *, of_authority: bool = False
    ) -> RevocationStatus | None:
        """As `status`, of what is held already; None where nothing valid is."""
        crl = self._usable(self._wanted(certificate, issuer, [], of_authority=of_authority))
        return None if crl is None else self._said(certificate, issuer, crl)

    async def refresh(self) -> None:
        """Take in what others have kept, and ask for lists that will run out. Raises nothing of
        its own: who needs a list that could not be had asks again."""
        await self._load_kept(None)
        for source, seen in list(self._seen.items()):
            if self._clock.now() - seen.used > _LATELY:
                del self._seen[source]
            elif self._clock.now() >= seen.due:
                await self._refresh_one(source, seen)

    # -- what is held --------------------------------------------------------------------------

    def _wanted(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        reasons: list[str],
        *,
        of_authority: bool,
    ) -> _Wanted:
        try:
            points = distribution_points(certificate)
        except CrlRefusedError as e:
            points = ()  # a complete list that was imported may still hold it
            reasons.append(str(e))
        id_ = issuer_id(issuer)
        self._authorities.setdefault(id_, issuer)
        return _Wanted(issuer_id=id_, issuer=issuer, points=points, of_authority=of_authority)

    def _newest(self, wanted: _Wanted) -> Crl | None:
        """Of the lists that speak of it, whether they have run out or not."""
        scopes = (*COMPLETE_SCOPES, *(url for point in wanted.points for url in point))
        found = [
            crl
            for crl in (self._held.get((wanted.issuer_id, scope)) for scope in scopes)
            if crl is not None and _speaks_of(crl, wanted)
        ]
        return max(found, key=lambda crl: crl.this_update, default=None)

    def _usable(self, wanted: _Wanted, *, grace: timedelta = timedelta(0)) -> Crl | None:
        crl = self._newest(wanted)
        try:
            if crl is not None:
                crl.check_times(self._clock.now(), grace=grace)
        except CrlRefusedError:
            return None
        return crl

    def _said(
        self, certificate: x509.Certificate, issuer: x509.Certificate, crl: Crl
    ) -> RevocationStatus:
        source = StatusSource(
            certificate=issuer_id(certificate),
            sha256=crl.sha256,
            crl=head_of(issuer_id(issuer), crl),
        )
        stale = ", past its nextUpdate" if crl.next_update < self._clock.now() else ""
        return RevocationStatus(
            revoked=certificate.serial_number in crl.serials,
            detail=f"CRL number {crl.number} of {crl.this_update.isoformat()}{stale}",
            sources=(source,),
        )

    def _hold(self, issuer: str, crl: Crl) -> None:
        for scope in crl.scopes:
            known = self._held.get((issuer, scope))
            if known is not None and crl.older_than(known):
                raise CrlRefusedError("a CRL number that goes back")
        self._held.update({(issuer, scope): crl for scope in crl.scopes})

    # -- asking for it -------------------------------------------------------------------------

    async def _obtain(self, wanted: _Wanted, reasons: list[str]) -> None:
        """Until a usable list is held; why not, into ``reasons``."""
        await self._load_kept(wanted.issuer_id)
        for point in wanted.points:
            for url in point:
                if self._usable(wanted) is not None:
                    return
                source = _Source(issuer=wanted.issuer_id, url=url)
                try:
                    async with self._locks.setdefault(source, asyncio.Lock()):
                        if self._usable(wanted) is None:
                            await self._download(source, point, wanted)
                except CrlRefusedError as e:
                    reasons.append(str(e))

    async def _download(self, source: _Source, point: tuple[str, ...], wanted: _Wanted) -> None:
        host = host_of(source.url)
        if host not in self._hosts:
            raise CrlRefusedError("a CRL host outside the configured ones")
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
            crl = await asyncio.to_thread(read_crl, reply.body, wanted.issuer)
            crl.check_times(self._clock.now())
            crl.check_scope(point, of_authority=wanted.of_authority)
            newest = self._newest(wanted)
            if newest is not None and crl.older_than(newest):
                raise CrlRefusedError("a CRL number that goes back")
            self._hold(wanted.issuer_id, crl)
        except CrlRefusedError as e:
            raise self._pause(source, str(e)) from e
        now = self._clock.now()
        self._seen[source] = _Seen(wanted=wanted, point=point, used=now, due=self._due(crl, now))
        if self._kept is not None:
            try:
                await self._kept.keep(head_of(wanted.issuer_id, crl), reply.body)
            except Exception as e:  # noqa: BLE001 - the list is good; only a restart would lose it
                self._log.warning("crl.not_kept", kind=type(e).__name__)

    def _pause(self, key: str | _Source, why: str) -> CrlRefusedError:
        self._paused[key] = (self._clock.monotonic() + _PAUSE, why)
        return CrlRefusedError(why)

    # -- ahead of time -------------------------------------------------------------------------

    def _remember(self, wanted: _Wanted, crl: Crl | None) -> None:
        """That somebody needed it; a list that came by import or from the store is asked for at
        its first address."""
        now, first = self._clock.now(), True
        for point in wanted.points:
            for url in point:
                source = _Source(issuer=wanted.issuer_id, url=url)
                seen = self._seen.get(source)
                if seen is not None:
                    seen.used = now
                elif first and crl is not None and host_of(url) in self._hosts:
                    due = self._due(crl, now)
                    self._seen[source] = _Seen(wanted=wanted, point=point, used=now, due=due)
                first = False

    async def _refresh_one(self, source: _Source, seen: _Seen) -> None:
        try:
            async with self._locks.setdefault(source, asyncio.Lock()):
                await self._download(source, seen.point, seen.wanted)
        except CrlRefusedError as e:
            now, crl = self._clock.now(), self._newest(seen.wanted)
            seen.due = now + (_AGAIN_LEAST if crl is None else self._again(crl, now))
            self._log.warning("crl.not_refreshed", name=host_of(source.url), reason=str(e))
        else:
            self._seen[source].used = seen.used

    def _due(self, crl: Crl, now: datetime) -> datetime:
        """In the third quarter of its life; a list that is older already, a little later."""
        ahead = crl.this_update + (crl.next_update - crl.this_update) * (0.5 + self._jitter() / 4)
        return ahead if ahead > now else now + self._again(crl, now)

    def _again(self, crl: Crl, now: datetime) -> timedelta:
        left = (crl.next_update - now) / 8
        return max(_AGAIN_LEAST, min(_AGAIN_MOST, left)) * (1 + self._jitter() / 4)

    def _jitter(self) -> float:
        """So that replicas and lists do not all ask in the same second."""
        return self._random.below(1000) / 1000 if self._random is not None else 0.0

    async def _load_kept(self, issuer: str | None) -> None:
        if self._kept is None:
            return
        try:
            for head in await self._kept.heads():
                if issuer in (None, head.issuer):
                    await self._load_one(self._kept, head)
        except Exception as e:  # noqa: BLE001 - a store that does not answer is no reason to stop
            self._log.warning("crl.kept_not_read", kind=type(e).__name__)

    async def _load_one(self, kept: HeldLists, head: ListHead) -> None:
        authority = self._authorities.get(head.issuer)
        known = self._held.get((head.issuer, head.scope))
        if authority is None or (known is not None and not _newer(head, known)):
            return
        body = await kept.body(head)
        if body is None:
            return
        try:
            crl = await asyncio.to_thread(read_crl, body, authority)
        except CrlRefusedError as e:
            self._log.warning("crl.kept_refused", name=host_of(head.scope), reason=str(e))
            await kept.forget(head)
            return
        try:
            self._hold(head.issuer, crl)
        except CrlRefusedError as e:
            self._log.warning("crl.kept_refused", name=host_of(head.scope), reason=str(e))


def _newer(head: ListHead, known: Crl) -> bool:
    return (head.number, head.this_update) > (known.number, known.this_update)


def _speaks_of(crl: Crl, wanted: _Wanted) -> bool:
    for point in wanted.points or ((),):
        try:
            crl.check_scope(point, of_authority=wanted.of_authority)
        except CrlRefusedError:
            continue
        return True
    return False
