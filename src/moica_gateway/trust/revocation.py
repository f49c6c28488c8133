"""Revocation by CRL: our own store on ``cryptography`` (security rule 6).

A CRL travels over plain HTTP and is believed only by its signature, its issuing distribution
point, its times and a number that never goes back. It is kept as a set of serial numbers. OCSP is
not asked yet, nor is the intermediate's own status; the report says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from moica_gateway.ports import Clock, Egress, EgressError

__all__ = ["CrlStore", "RevocationPolicy", "RevocationStatus"]

_MAX_CRL: Final = 64 * 1_048_576
_KNOWN_CRITICAL: Final = frozenset({ExtensionOID.ISSUING_DISTRIBUTION_POINT})
_CLOCK_SKEW: Final = timedelta(minutes=5)


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
class _Crl:
    number: int
    this_update: datetime
    next_update: datetime
    serials: frozenset[int] = field(repr=False)


class _RefusedError(Exception):
    """This CRL is not believed; the message says why."""


class CrlStore:
    """CRLs by address, fetched through the egress client, kept until ``nextUpdate``.

    Args:
        egress: The way out.
        clock: For freshness.
        hosts: Hosts that a distribution point may name; others are not asked.
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
        self._hosts = frozenset(hosts)
        self._grace = grace
        self._crls: dict[str, _Crl] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
    ) -> RevocationStatus:
        """Whether ``certificate`` was revoked. Raises nothing: trouble is an unknown status."""
        try:
            urls = _distribution_points(certificate)
        except Exception as e:  # noqa: BLE001 - a library over hostile ASN.1; the status stays unknown
            return RevocationStatus(revoked=None, detail=f"no CRL address ({type(e).__name__})")
        reasons: list[str] = []
        for url in urls:
            if _host(url) not in self._hosts:
                reasons.append("a CRL host outside the configured ones")
                continue
            try:
                crl = await self._get(url, issuer, at)
            except (_RefusedError, EgressError) as e:
                reasons.append(e.kind if isinstance(e, EgressError) else str(e))
                continue
            revoked = certificate.serial_number in crl.serials
            return RevocationStatus(
                revoked=revoked,
                detail=f"CRL number {crl.number} of {crl.this_update.isoformat()}",
            )
        return RevocationStatus(
            revoked=None, detail="no CRL could be had: " + "; ".join(reasons or ["none named"])
        )

    async def _get(self, url: str, issuer: x509.Certificate, at: datetime) -> _Crl:
        async with self._locks.setdefault(url, asyncio.Lock()):
            known = self._crls.get(url)
            if known is not None and at <= known.next_update:
                return known
            try:
                reply = await self._egress.request("GET", url, max_bytes=_MAX_CRL)
                if reply.status != 200:
                    raise _RefusedError(f"HTTP status {reply.status}")
                fresh = await asyncio.to_thread(_read, reply.body, url, issuer, at)
                if known is not None and fresh.number < known.number:
                    raise _RefusedError("a CRL number that goes back")
            except (_RefusedError, EgressError):
                if known is not None and at <= known.next_update + self._grace:
                    return known
                raise
            self._crls[url] = fresh
            return fresh


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def _distribution_points(certificate: x509.Certificate) -> list[str]:
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return [
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]


def _read(body: bytes, url: str, issuer: x509.Certificate, at: datetime) -> _Crl:
    try:
        crl = (
            x509.load_pem_x509_crl(body)
            if body.startswith(b"-----BEGIN")
            else x509.load_der_x509_crl(body)
        )
        if crl.issuer != issuer.subject:
            raise _RefusedError("a CRL of another issuer")
        key = issuer.public_key()
        if not crl.is_signature_valid(key):  # type: ignore[arg-type]  # any key type may come
            raise _RefusedError("a CRL whose signature does not verify")
        if crl.next_update_utc is None:
            raise _RefusedError("a CRL without nextUpdate")
        if crl.last_update_utc > at + _CLOCK_SKEW:
            raise _RefusedError("a CRL from the future")
        if crl.next_update_utc < at:
            raise _RefusedError("a CRL that has run out")
        _check_extensions(crl, url)
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        return _Crl(
            number=number,
            this_update=crl.last_update_utc,
            next_update=crl.next_update_utc,
            serials=frozenset(revoked.serial_number for revoked in crl),
        )
    except _RefusedError:
        raise
    except x509.ExtensionNotFound as e:
        raise _RefusedError("a CRL without number") from e
    except Exception as e:
        # Doubled extensions, unknown algorithms and names have error classes without a common one.
        raise _RefusedError(f"a CRL that cannot be read ({type(e).__name__})") from e


def _check_extensions(crl: x509.CertificateRevocationList, url: str) -> None:
    for extension in crl.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise _RefusedError("a CRL with an unknown critical extension")
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise _RefusedError("a delta CRL")
        if not isinstance(value, x509.IssuingDistributionPoint):
            continue
        if value.relative_name is not None:
            raise _RefusedError("a CRL of a distribution point that is named relatively")
        names = {n.value for n in value.full_name or () if hasattr(n, "value")}
        if names and url not in names:
            raise _RefusedError("a CRL of another distribution point")
        if value.indirect_crl or value.only_contains_ca_certs or value.only_some_reasons:
            raise _RefusedError("a CRL of another scope")
        if value.only_contains_attribute_certs:
            raise _RefusedError("a CRL of another scope")
