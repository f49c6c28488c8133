"""The verdict over an approval: a list of steps, each a line of the report (rules 3, 6, 7).

The first step that fails decides the problem. The others are made all the same as far as they do
not rest on it, so that the report keeps apart what is wrong from what is not. The order is a rule,
too: what a certificate says of a person decides only where the certificate is trusted, so that a
forged one is an alarm and never a mere "register again". Nothing is kept here: paths are
(`trust.path`), and what is revoked is looked up in the lists of the moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from typing import Final

from attrs import define, evolve
from cryptography import x509

from moica_gateway.domain.models import CertificateSignature, Expected, SubjectInfo, Verdict
from moica_gateway.domain.revocation_lists import StatusSource
from moica_gateway.domain.values import SignatureForm, Tbs
from moica_gateway.errors import GatewayError, problem
from moica_gateway.trust.anchors import TrustAnchors
from moica_gateway.trust.cms import unwrap
from moica_gateway.trust.path import PathFinder
from moica_gateway.trust.person import (
    check_last_four,
    check_name,
    check_same_person,
    find_renewal,
)
from moica_gateway.trust.profile import (
    HolderCertificate,
    check_profile,
    parse_holder_certificate,
)
from moica_gateway.trust.report import CheckName, Refusal, Report, Unchecked
from moica_gateway.trust.revocation import Revocation, RevocationStatus
from moica_gateway.trust.signature import Cover, covers

__all__ = ["CertificateJudge"]

_READABLE: Final = (CheckName.CERTIFICATE_READABLE,)
_NEEDS: Final[Mapping[CheckName, tuple[CheckName, ...]]] = {
    CheckName.INTACT: _READABLE,
    CheckName.COVERS_OUR_BYTES: (CheckName.INTACT,),
    CheckName.PROFILE: _READABLE,
    CheckName.TRUSTED_PATH: _READABLE,
    CheckName.VALID_AT_SIGNING: _READABLE,
    CheckName.RIGHT_PERSON: _READABLE,
    CheckName.RIGHT_NAME: _READABLE,
    CheckName.RIGHT_CREDENTIAL: _READABLE,
    # Nobody is asked about, or at an address named by, a certificate that nobody vouches for; and
    # authorities drop expired ones from their lists.
    CheckName.NOT_REVOKED: (CheckName.TRUSTED_PATH, CheckName.VALID_AT_SIGNING),
    CheckName.ISSUER_NOT_REVOKED: (CheckName.TRUSTED_PATH,),
}
"""Which checks have to hold, or a check cannot be made."""


@define
class _Case:
    """What the steps found so far. A step that is reached may rely on those before it."""

    proof: CertificateSignature
    expected: Expected
    found: HolderCertificate | None = None
    covers: tuple[Cover, ...] = ()
    chain: tuple[bytes, ...] = ()
    root: bytes | None = None
    issuers: RevocationStatus | None = None
    renewed: bool = False
    statuses: tuple[StatusSource, ...] = ()

    @property
    def holder(self) -> HolderCertificate:
        if self.found is None:
            raise Refusal("certificate_malformed", "expected a parsed certificate")
        return self.found


_Step = Callable[[_Case], Awaitable[str]]
"""Returns what was found good; raises `Refusal` or `Unchecked`."""


class CertificateJudge:
    """Implements `ports.Judge`.

    Args:
        anchors: Roots and intermediates.
        revocation: CRL and OCSP, with the policy: unless that is relaxed, an unknown status of
            the certificate or of an intermediate fails.
    """

    def __init__(self, *, anchors: TrustAnchors, revocation: Revocation) -> None:
        self._paths = PathFinder(anchors)
        self._revocation = revocation
        self._steps: Final[tuple[tuple[CheckName, _Step], ...]] = (
            (CheckName.CERTIFICATE_READABLE, self._certificate_readable),
            (CheckName.INTACT, self._intact),
            (CheckName.COVERS_OUR_BYTES, self._covers_our_bytes),
            (CheckName.PROFILE, self._profile),
            (CheckName.TRUSTED_PATH, self._trusted_path),
            (CheckName.VALID_AT_SIGNING, self._valid_at_signing),
            (CheckName.RIGHT_PERSON, self._right_person),
            (CheckName.SAME_PERSON_AS_REGISTERED, self._same_person_as_registered),
            (CheckName.RIGHT_NAME, self._right_name),
            (CheckName.RIGHT_CREDENTIAL, self._right_credential),
            (CheckName.NOT_REVOKED, self._not_revoked),
            (CheckName.ISSUER_NOT_REVOKED, self._issuer_not_revoked),
        )

    def describe(self, certificate: bytes) -> SubjectInfo:
        """See the port."""
        return parse_holder_certificate(certificate).info

    async def judge(self, proof: CertificateSignature, expected: Expected) -> Verdict:
        """See the port."""
        case, report = _Case(proof, expected), Report()
        for name, step in self._steps:
            missing = [need.value for need in _NEEDS.get(name, ()) if not report.holds(need)]
            if missing:
                report.unchecked(name, f"not reached: it needs {', '.join(missing)}")
                continue
            try:
                report.passed(name, await step(case))
            except Unchecked as e:
                report.unchecked(name, str(e))
            except (Refusal, GatewayError) as e:
                report.failed(name, e.problem)
            except Exception as e:  # noqa: BLE001 - libraries over hostile ASN.1; trouble is no trust
                # Nothing of its text: it may hold what came.
                why = problem(
                    "certificate_malformed",
                    "expected a certificate that can be checked, came trouble in the check "
                    f"{name.value} ({type(e).__name__}); the operator tells the maintainers",
                )
                report.failed(name, why)
        return Verdict(
            problem=report.refused,
            report=report.checks,
            subject=case.found.info if case.found else None,
            chain=case.chain,
            renewed=case.renewed and report.refused is None,
            statuses=case.statuses,
        )

    # -- the steps -----------------------------------------------------------------------------

    async def _certificate_readable(self, case: _Case) -> str:
        case.found = parse_holder_certificate(case.proof.unverified_certificate)
        return "a DER X.509 certificate with an RSA key"

    async def _intact(self, case: _Case) -> str:
        messages, signatures = case.expected.messages, case.proof.unverified_signatures
        if len(messages) != len(signatures) or not messages:
            raise Refusal(
                "signature_malformed",
                f"expected {len(messages)} signature(s), came {len(signatures)}",
            )
        case.covers = tuple(
            self._cover(case, signature, message)
            for message, signature in zip(messages, signatures, strict=True)
        )
        if Cover.MALFORMED in case.covers:
            raise Refusal(
                "signature_malformed",
                "expected one block of the key's length for each message, bare or in a CMS of this "
                "certificate over it, came another",
            )
        if Cover.INVALID in case.covers:
            raise Refusal(
                "signature_invalid",
                "expected a signature by the certificate's key, came what that key did not make",
            )
        return "every signature is a PKCS#1 v1.5 block made by the certificate's key"

    def _cover(self, case: _Case, signature: bytes, asked: Tbs) -> Cover:
        key = case.holder.public_key
        if asked.form is not SignatureForm.CMS:
            return covers(key, signature, asked)
        inside = unwrap(signature, case.proof.unverified_certificate, asked)
        return Cover.MALFORMED if inside is None else covers(key, inside[1], inside[0])

    async def _covers_our_bytes(self, case: _Case) -> str:
        if not case.covers or any(cover is not Cover.OURS for cover in case.covers):
            raise Refusal(
                "upstream_tampered",
                "expected a signature over the bytes that were asked for, came a good signature "
                "over other bytes; somebody on the way changed them; the operator looks at the "
                "line to the platform",
            )
        names = sorted({m.hash_algorithm.name for m in case.expected.messages})
        return f"RSASSA-PKCS1-v1_5 with {', '.join(names)} over every message, byte for byte"

    async def _profile(self, case: _Case) -> str:
        broken = check_profile(case.holder)
        if broken is not None:
            raise Refusal(broken.code, f"expected a holder's signing certificate: {broken.words}")
        return "a holder's signing certificate of assurance class 3"

    async def _trusted_path(self, case: _Case) -> str:
        # The path is asked for at a moment within the leaf's own validity, so that an expired
        # certificate of ours is told apart from a stranger's.
        info = case.holder.info
        moment = min(max(case.expected.at, info.not_before), info.not_after)
        found = await self._paths.find(case.proof.unverified_certificate, moment)
        if found.failure is not None or found.root is None:
            raise Refusal(
                "certificate_untrusted",
                f"expected a path to a configured anchor, found none ({found.failure}); the "
                "operator checks trust.anchors and trust.intermediates",
            )
        case.chain, case.root = found.chain, found.root
        return f"{len(found.chain)} intermediate(s) up to a configured anchor"

    async def _valid_at_signing(self, case: _Case) -> str:
        info, at = case.holder.info, case.expected.at
        if at < info.not_before:
            raise Refusal(
                "certificate_not_yet_valid",
                f"expected a certificate that is valid at {at.isoformat()}, this one begins at "
                f"{info.not_before.isoformat()}; the operator compares the gateway's clock",
            )
        if at > info.not_after:
            raise Refusal(
                "certificate_expired",
                f"expected a certificate that is valid at {at.isoformat()}, this one ran out at "
                f"{info.not_after.isoformat()}; the holder renews it and registers again",
            )
        return f"valid until {info.not_after.isoformat()}"

    async def _right_person(self, case: _Case) -> str:
        return check_last_four(case.holder, case.expected)

    async def _same_person_as_registered(self, case: _Case) -> str:
        return check_same_person(case.proof, case.expected)

    async def _right_name(self, case: _Case) -> str:
        return check_name(case.holder, case.expected)

    async def _right_credential(self, case: _Case) -> str:
        case.renewed = find_renewal(case.holder, case.proof, case.expected)
        return (
            "a newer certificate of the registered person; the tenant's policy takes it"
            if case.renewed
            else "the registered certificate"
        )

    async def _not_revoked(self, case: _Case) -> str:
        # Side by side with the issuers: two dead hosts cost one time limit.
        status, case.issuers = await asyncio.gather(
            self._revocation.status(case.holder.certificate, self._issuers(case)[0]),
            self._status_of_issuers(case),
        )
        if status.revoked:
            raise Refusal("certificate_revoked", f"revoked according to {status.detail}")
        case.statuses += status.sources
        return self._good(status)

    async def _issuer_not_revoked(self, case: _Case) -> str:
        status = case.issuers or await self._status_of_issuers(case)
        if status is None:
            raise Unchecked("not checked: the issuer is the anchor itself")
        if status.revoked:
            raise Refusal(
                "certificate_untrusted",
                f"expected an issuer that is not revoked, it is according to {status.detail}; the "
                "operator takes it out of trust.intermediates",
            )
        case.statuses += status.sources
        return self._good(status)

    async def _status_of_issuers(self, case: _Case) -> RevocationStatus | None:
        """Of all intermediates: revoked before unknown before good; None where there are none."""
        statuses = await asyncio.gather(
            *(
                self._revocation.status(authority, issuer, of_authority=True)
                for authority, issuer in pairwise(self._issuers(case))
            )
        )
        rank = {True: 0, None: 1, False: 2}
        worst = min(statuses, key=lambda status: rank[status.revoked], default=None)
        sources = tuple(source for status in statuses for source in status.sources)
        return None if worst is None else evolve(worst, sources=sources)

    def _good(self, status: RevocationStatus) -> str:
        """What is said of a status that is not revoked: an unknown one fails unless relaxed."""
        if status.revoked is False:
            return status.detail
        policy = self._revocation.policy
        if policy.relaxed:
            raise Unchecked(f"not checked (policy {policy.value}): {status.detail}")
        raise Refusal(
            "revocation_unknown",
            f"expected to know whether it is revoked (policy {policy.value}): {status.detail}",
        )

    @staticmethod
    def _issuers(case: _Case) -> list[x509.Certificate]:
        if case.root is None:
            raise Refusal("certificate_untrusted", "expected an issuer")
        return [x509.load_der_x509_certificate(der) for der in (*case.chain, case.root)]
