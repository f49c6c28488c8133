"""Asking OCSP responders (security rule 6): one question a certificate, the answer kept a while.

A responder is asked only at the addresses that the certificate names, through the egress client,
and only on hosts that the operator allows. An answer is never used past its own end, however long
the grace for CRLs is: asking again is cheap, and who wants OCSP wants to know of now. Answers are
not refreshed ahead of time: they are a person's, and a person seldom signs twice an hour.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen
from cryptography import x509

from moica_gateway.domain.revocation_lists import StatusSource
from moica_gateway.ports import Clock, Egress, EgressError, Random
from moica_gateway.trust.crl_store import CrlStore
from moica_gateway.trust.hosts import host_of
from moica_gateway.trust.kept_lists import issuer_id
from moica_gateway.trust.ocsp import (
    OcspAnswer,
    OcspRefusedError,
    make_request,
    read_response,
    responders,
)
from moica_gateway.trust.status import RevocationStatus

__all__ = ["OcspClient"]

_MAX_ANSWER: Final = 65_536
_TIMEOUT: Final = 5.0
"""Seconds: behind a CRL that took its whole limit it still fits into the 15 for settling."""
_PAUSE: Final = 5.0
"""Seconds in which a host that failed is not asked again."""
_KEPT_FOR: Final = timedelta(hours=1)
_KEPT: Final = 10_000
_NONCE: Final = 32
"""Bytes, RFC 9654."""
_HEADERS: Final = {"Content-Type": "application/ocsp-request"}

_Key = tuple[str, int]


@frozen
class _Kept:
    answer: OcspAnswer
    asked_at: datetime


class OcspClient:
    """Answers by issuer and serial number.

    Args:
        egress: The way out.
        clock: For age.
        random: For nonces.
        hosts: Hosts (``host`` or ``host:port``) that may be asked.
        crls: Asked about a responder whose own certificate may be revoked.
        nonce_required: Whether an answer without our nonce is refused.
    """

    def __init__(
        self,
        egress: Egress,
        clock: Clock,
        random: Random,
        *,
        hosts: Iterable[str],
        crls: CrlStore,
        nonce_required: bool = True,
    ) -> None:
        self._egress = egress
        self._clock = clock
        self._random = random
        self._hosts = frozenset(host.lower() for host in hosts)
        self._crls = crls
        self._nonce_required = nonce_required
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._asking: dict[_Key, asyncio.Lock] = {}
        self._paused: dict[str, tuple[float, str]] = {}

    async def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> RevocationStatus:
        """Whether ``certificate`` is revoked now. Raises nothing: trouble is an unknown status."""
        key = (issuer_id(issuer), certificate.serial_number)
        lock = self._asking.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                known = self.known(certificate, issuer)
                return known or await self._ask(key, certificate, issuer)
        finally:
            if not lock.locked():
                self._asking.pop(key, None)

    def known(
        self, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> RevocationStatus | None:
        """As `status`, of what was asked within the last hour; None where nothing was."""
        kept = self._kept.get((issuer_id(issuer), certificate.serial_number))
        now = self._clock.now()
        if kept is None or now >= kept.asked_at + _KEPT_FOR or now > kept.answer.next_update:
            return None
        return _said(certificate, kept.answer)

    async def _ask(
        self, key: _Key, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> RevocationStatus:
        reasons: list[str] = []
        for url in responders(certificate):
            try:
                answer = await self._exchange(url, certificate, issuer)
            except OcspRefusedError as e:
                reasons.append(str(e))
                continue
            self._kept[key] = _Kept(answer, self._clock.now())
            self._kept.move_to_end(key)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return _said(certificate, answer)
        kept = self._kept.get(key)
        if reasons and kept is not None and self._clock.now() <= kept.answer.next_update:
            return _said(certificate, kept.answer)
        reason = "; ".join(dict.fromkeys(reasons)) or "no OCSP address"
        return RevocationStatus(revoked=None, detail=f"no OCSP answer could be had: {reason}")

    async def _exchange(
        self, url: str, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> OcspAnswer:
        host = host_of(url)
        if host not in self._hosts:
            raise OcspRefusedError("an OCSP host outside the configured ones")
        until, why = self._paused.get(host, (0.0, ""))
        if self._clock.monotonic() < until:
            raise OcspRefusedError(why)
        request = make_request(certificate, issuer, self._random.token_bytes(_NONCE))
        try:
            reply = await self._egress.request(
                "POST",
                url,
                headers=_HEADERS,
                body=request,
                timeout=_TIMEOUT,
                max_bytes=_MAX_ANSWER,
            )
        except EgressError as e:
            why = f"OCSP cannot be asked ({e.kind})"
            self._paused[host] = (self._clock.monotonic() + _PAUSE, why)
            raise OcspRefusedError(why) from e
        if reply.status != 200:
            raise OcspRefusedError(f"OCSP: HTTP status {reply.status}")
        answer = await asyncio.to_thread(
            read_response,
            reply.body,
            request=request,
            issuer=issuer,
            now=self._clock.now(),
            nonce_required=self._nonce_required,
        )
        if answer.delegate is not None:
            responder = await self._crls.status(answer.delegate, issuer)
            if responder.revoked is not False:
                raise OcspRefusedError(
                    "an OCSP responder that is revoked"
                    if responder.revoked
                    else f"an OCSP responder of unknown standing: {responder.detail}"
                )
        return answer


def _said(certificate: x509.Certificate, answer: OcspAnswer) -> RevocationStatus:
    if answer.revoked is None:
        return RevocationStatus(revoked=None, detail="OCSP: the responder does not know it")
    source = StatusSource(
        certificate=issuer_id(certificate),
        sha256=hashlib.sha256(answer.der).hexdigest(),
        answer=answer.der,
    )
    return RevocationStatus(
        revoked=answer.revoked,
        detail=f"OCSP answer of {answer.this_update.isoformat()}",
        sources=(source,),
    )
