"""The verdict over an approval: a list of steps, each a line of the report (rules 3, 6, 7).

The first step that fails decides the problem; those after it stand in the report as not reached.
What a certificate says of a person is looked at only once the certificate is trusted, so that a
forged one is an alarm and never a mere "register again". Nothing is cached here; a kept verdict
belongs into `trust.path`.
"""

from __future__ import annotations

import asyncio
import hmac
import unicodedata
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Final

from attrs import define
from cryptography import x509

from moica_gateway.domain.models import CertificateSignature, Expected, SubjectInfo, Verdict
from moica_gateway.errors import GatewayError, problem
from moica_gateway.trust.anchors import TrustAnchors
from moica_gateway.trust.path import PathFinder
from moica_gateway.trust.profile import (
    HolderCertificate,
    check_profile,
    parse_holder_certificate,
)
from moica_gateway.trust.report import CheckName, Refusal, Report, Unchecked
from moica_gateway.trust.revocation import CrlStore, RevocationPolicy, RevocationStatus
from moica_gateway.trust.signature import Cover, covers

__all__ = ["CertificateJudge"]

_OCSP: Final = "OCSP is not asked"


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
        revocation: The CRL store.
        policy: ``REQUIRE`` fails where the status is unknown; the other is a relaxation that the
            report names.
    """

    def __init__(
        self,
        *,
        anchors: TrustAnchors,
        revocation: CrlStore,
        policy: RevocationPolicy = RevocationPolicy.REQUIRE,
    ) -> None:
        self._paths = PathFinder(anchors)
        self._revocation = revocation
        self._policy = policy
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
            if report.refused is not None:
                report.unchecked(name, "not reached: a check before it failed")
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
        key = case.holder.public_key
        case.covers = tuple(
            covers(key, signature, message)
            for message, signature in zip(messages, signatures, strict=True)
        )
        if Cover.MALFORMED in case.covers:
            raise Refusal(
                "signature_malformed",
                "expected one block of the key's length for each message, came another length",
            )
        if Cover.INVALID in case.covers:
            raise Refusal(
                "signature_invalid",
                "expected a signature by the certificate's key, came what that key did not make",
            )
        return "every signature is a PKCS#1 v1.5 block made by the certificate's key"

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
        found = case.holder.info.last_four
        if found is None:
            raise Refusal(
                "certificate_person_missing",
                "expected a certificate with the last four characters of its holder's ID number, "
                "it has none, so nothing links it to a person; the operator tells the platform's "
                "support",
            )
        if not _same(_ascii_upper(found), _ascii_upper(case.expected.last_four)):
            raise Refusal(
                "certificate_person_mismatch",
                "expected the certificate of the ID number that was asked for, its last four "
                "characters are others; the operator looks at the line to the platform",
            )
        return "the last four characters of the ID number agree"

    async def _same_person_as_registered(self, case: _Case) -> str:
        registered = case.expected.hashed_id_num
        if registered is None:
            raise Unchecked("not checked: the platform's identifier is not known before this")
        if case.proof.hashed_id_num is None:
            raise Unchecked(
                "not checked: the answer named the ID number itself, which was the expected one"
            )
        if not _same(registered, case.proof.hashed_id_num):
            raise Refusal(
                "hashed_id_num_mismatch",
                "expected the platform's identifier of the registered person, came another",
            )
        return "the platform's identifier of the person is the registered one"

    async def _right_name(self, case: _Case) -> str:
        name = case.expected.user_name
        if name is None:
            raise Unchecked("not checked: the document system gave no name")
        if _nfc(name) != _nfc(case.holder.info.subject_name):
            raise Refusal(
                "name_mismatch",
                "expected the certificate of the user's name, it bears another; an administrator "
                "compares both",
            )
        return "the name is the certificate's"

    async def _right_credential(self, case: _Case) -> str:
        pinned = case.expected.pinned_certificate
        if pinned is None:
            raise Unchecked("not checked: no certificate was registered before this")
        if not hmac.compare_digest(pinned, case.proof.unverified_certificate):
            raise Refusal(
                "certificate_changed",
                "expected the registered certificate, came another of the same person; the holder "
                "registers again",
            )
        return "the registered certificate"

    async def _not_revoked(self, case: _Case) -> str:
        if case.root is None:
            raise Refusal("certificate_untrusted", "expected an issuer")
        authorities = [x509.load_der_x509_certificate(c) for c in (*case.chain, case.root)]
        # Side by side: two dead hosts cost one time limit.
        own, *issuers = await asyncio.gather(
            self._revocation.status(case.holder.certificate, authorities[0]),
            *(
                self._revocation.status(authority, issuer, of_authority=True)
                for authority, issuer in pairwise(authorities)
            ),
        )
        case.issuers = _worst(issuers)
        if own.revoked:
            raise Refusal("certificate_revoked", f"revoked according to {own.detail}")
        if own.revoked is None:
            if self._policy is RevocationPolicy.CRL_IF_AVAILABLE:
                raise Unchecked(f"not checked (policy {self._policy.value}): {own.detail}; {_OCSP}")
            raise Refusal("revocation_unknown", f"expected a valid CRL: {own.detail}; {_OCSP}")
        return f"{own.detail}; {_OCSP}"

    async def _issuer_not_revoked(self, case: _Case) -> str:
        status = case.issuers
        if status is None or status.revoked is None:
            reason = status.detail if status else "the issuer is the anchor itself"
            raise Unchecked(f"not checked: {reason}; {_OCSP}")
        if status.revoked:
            raise Refusal(
                "certificate_untrusted",
                f"expected an issuer that is not revoked, it is according to {status.detail}; the "
                "operator takes it out of trust.intermediates",
            )
        return f"{status.detail}; {_OCSP}"


def _worst(statuses: list[RevocationStatus]) -> RevocationStatus | None:
    """Of all intermediates: revoked before unknown before good; None where there are none."""
    rank = {True: 0, None: 1, False: 2}
    return min(statuses, key=lambda status: rank[status.revoked], default=None)


def _same(expected: str, came: str) -> bool:
    """In constant time, for whatever text came (a lone surrogate has no UTF-8)."""
    return hmac.compare_digest(
        expected.encode("utf-8", "surrogatepass"), came.encode("utf-8", "surrogatepass")
    )


def _ascii_upper(text: str) -> str:
    """Letters of an ID number are ASCII; `str.upper` alone would make one of others."""
    return text.upper() if text.isascii() else text


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()
