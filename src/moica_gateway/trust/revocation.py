"""Whether a certificate is revoked, by CRL and OCSP as the policy says (security rule 6).

Where both are known and one says revoked, it is revoked: also when only the other was asked for
and the first still lies here from before. What cannot be known stays unknown; what follows from
that is the judge's business, and hard to relax by accident: `RevocationPolicy.relaxed`.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final

from cryptography import x509

from moica_gateway.trust.crl_store import CrlStore
from moica_gateway.trust.ocsp_client import OcspClient
from moica_gateway.trust.status import RevocationStatus

__all__ = ["Revocation", "RevocationPolicy", "RevocationStatus"]


class RevocationPolicy(StrEnum):
    """Who is asked, in which order."""

    CRL = "crl"
    OCSP = "ocsp"
    CRL_THEN_OCSP = "crl_then_ocsp"
    """OCSP where no valid CRL can be had."""
    OCSP_THEN_CRL = "ocsp_then_crl"
    CRL_AND_OCSP = "crl_and_ocsp"
    """Both have to say that it is good."""
    CRL_IF_AVAILABLE = "crl_if_available"

    @property
    def relaxed(self) -> bool:
        """Whether a certificate of unknown status is let through."""
        return self is RevocationPolicy.CRL_IF_AVAILABLE


class Revocation:
    """CRL and OCSP together.

    Args:
        crls: The CRL store.
        ocsp: The OCSP client; without it only policies by CRL work.
        policy: Who is asked.

    Raises:
        ValueError: for a policy that needs what is not there.
    """

    def __init__(
        self,
        crls: CrlStore,
        ocsp: OcspClient | None = None,
        policy: RevocationPolicy = RevocationPolicy.CRL,
    ) -> None:
        by_crl = policy in (RevocationPolicy.CRL, RevocationPolicy.CRL_IF_AVAILABLE)
        if ocsp is None and not by_crl:
            raise ValueError("a policy that asks OCSP needs an OCSP client")
        self._crls = crls
        self._ocsp = ocsp
        self.policy = policy

    async def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, *, of_authority: bool = False
    ) -> RevocationStatus:
        """Whether ``certificate`` is revoked now. Raises nothing: trouble is an unknown status."""

        found: list[RevocationStatus] = []
        if self.policy is RevocationPolicy.CRL_AND_OCSP:
            found += await asyncio.gather(
                self._crls.status(certificate, issuer, of_authority=of_authority),
                self._by_ocsp(certificate, issuer),
            )
            return _all_of(found)
        for source in _ORDER[self.policy]:
            if source == "ocsp":
                found.append(await self._by_ocsp(certificate, issuer))
            else:
                crls = self._crls
                found.append(await crls.status(certificate, issuer, of_authority=of_authority))
            if found[-1].revoked is not None:
                break
        return self._unless_known_as_revoked(
            _first_told(found), certificate, issuer, of_authority=of_authority
        )

    async def _by_ocsp(
        self, certificate: x509.Certificate, issuer: x509.Certificate
    ) -> RevocationStatus:
        if self._ocsp is None:
            return RevocationStatus(revoked=None, detail="OCSP is not asked")
        return await self._ocsp.status(certificate, issuer)

    def _unless_known_as_revoked(
        self,
        found: RevocationStatus,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        *,
        of_authority: bool,
    ) -> RevocationStatus:
        """Where the two disagree, it is revoked."""
        known = [self._crls.known(certificate, issuer, of_authority=of_authority)]
        if self._ocsp is not None:
            known.append(self._ocsp.known(certificate, issuer))
        return next((status for status in known if status and status.revoked), found)


_ORDER: Final = {
    RevocationPolicy.CRL: ("crl",),
    RevocationPolicy.CRL_IF_AVAILABLE: ("crl",),
    RevocationPolicy.OCSP: ("ocsp",),
    RevocationPolicy.CRL_THEN_OCSP: ("crl", "ocsp"),
    RevocationPolicy.OCSP_THEN_CRL: ("ocsp", "crl"),
}


def _first_told(found: list[RevocationStatus]) -> RevocationStatus:
    for status in found:
        if status.revoked is not None:
            return status
    return RevocationStatus(revoked=None, detail=_details(found))


def _all_of(found: list[RevocationStatus]) -> RevocationStatus:
    """Revoked before unknown before good."""
    for status in found:
        if status.revoked:
            return status
    unknown = [status for status in found if status.revoked is None]
    if unknown:
        return RevocationStatus(revoked=None, detail=_details(unknown))
    return RevocationStatus(
        revoked=False,
        detail=_details(found),
        sources=tuple(source for status in found for source in status.sources),
    )


def _details(found: list[RevocationStatus]) -> str:
    return "; ".join(dict.fromkeys(status.detail for status in found))
