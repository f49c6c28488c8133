"""The verdict over an approval: a list of steps, each a line of the report.

The first step that fails decides the problem; those after it stand in the report as not reached.
Nothing is cached here yet; `find_path` is the one place where a kept verdict belongs.
"""

from __future__ import annotations

import hmac
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Final

from attrs import define, field
from cryptography import x509

from moica_gateway.domain.models import (
    CertificateSignature,
    Check,
    Expected,
    SubjectInfo,
    Verdict,
)
from moica_gateway.errors import GatewayError, Problem, problem
from moica_gateway.trust.anchors import TrustAnchors
from moica_gateway.trust.path import find_path
from moica_gateway.trust.profile import (
    HolderCertificate,
    check_profile,
    parse_holder_certificate,
)
from moica_gateway.trust.revocation import CrlStore, RevocationPolicy
from moica_gateway.trust.signature import Cover, covers

__all__ = ["CertificateJudge"]


class _Refuse(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.problem: Problem = problem(code, detail)


@define
class _Case:
    proof: CertificateSignature
    expected: Expected
    holder: HolderCertificate | None = None
    chain: tuple[bytes, ...] = ()
    issuer: x509.Certificate | None = None
    report: list[Check] = field(factory=list)

    def parsed(self) -> HolderCertificate:
        if self.holder is None:
            raise _Refuse("certificate_malformed", "expected a parsed certificate")
        return self.holder


_Step = Callable[[_Case], Awaitable[str | None]]


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
        self._anchors = anchors
        self._revocation = revocation
        self._policy = policy
        self._steps: Final[tuple[tuple[str, _Step], ...]] = (
            ("certificate_readable", self._certificate_readable),
            ("covers_our_bytes", self._covers_our_bytes),
            ("profile", self._profile),
            ("trusted_path", self._trusted_path),
            ("valid_at_signing", self._valid_at_signing),
            ("right_person", self._right_person),
            ("same_person_as_registered", self._same_person_as_registered),
            ("right_name", self._right_name),
            ("right_credential", self._right_credential),
            ("not_revoked", self._not_revoked),
        )

    def describe(self, certificate: bytes) -> SubjectInfo:
        """See the port."""
        return parse_holder_certificate(certificate).info

    async def judge(self, proof: CertificateSignature, expected: Expected) -> Verdict:
        """See the port."""
        case = _Case(proof, expected)
        refused: Problem | None = None
        for name, step in self._steps:
            if refused is not None:
                case.report.append(Check(name=name, passed=None, detail="not reached"))
                continue
            try:
                detail = await step(case)
            except _Refuse as e:
                refused = e.problem
            except GatewayError as e:
                refused = e.problem
            except Exception as e:  # noqa: BLE001 - libraries over hostile ASN.1; trouble is a verdict
                # Nothing of its text: it may hold what came.
                refused = problem(
                    "certificate_malformed",
                    f"expected a certificate that can be checked, came trouble in `{name}` "
                    f"({type(e).__name__}); the operator tells the platform's support",
                )
            else:
                if detail is not None:
                    case.report.append(Check(name=name, passed=True, detail=detail))
                continue
            case.report.append(Check(name=name, passed=False, detail=refused.detail))
        case.report.append(
            Check(
                name="issuer_not_revoked",
                passed=None,
                detail="not checked: the issuer's own revocation is not asked for by this version",
            )
        )
        return Verdict(
            problem=refused,
            report=tuple(case.report),
            subject=case.holder.info if case.holder else None,
            chain=case.chain,
        )

    # -- the steps -----------------------------------------------------------------------------

    async def _certificate_readable(self, case: _Case) -> str:
        case.holder = parse_holder_certificate(case.proof.unverified_certificate)
        return "a DER X.509 certificate with an RSA key"

    async def _covers_our_bytes(self, case: _Case) -> str:
        messages, signatures = case.expected.messages, case.proof.unverified_signatures
        if len(messages) != len(signatures) or not messages:
            raise _Refuse(
                "signature_malformed",
                f"expected {len(messages)} signatures, came {len(signatures)}",
            )
        for message, signature in zip(messages, signatures, strict=True):
            match covers(case.parsed().public_key, signature, message.message):
                case Cover.OURS:
                    continue
                case Cover.OTHER_BYTES:
                    raise _Refuse(
                        "upstream_tampered",
                        "expected a signature over the bytes that were asked for, came the "
                        "holder's signature over other bytes; somebody on the way changed them; "
                        "the operator looks at the line to the platform",
                    )
                case Cover.MALFORMED:
                    raise _Refuse("signature_malformed", "expected one block of the key's length")
                case Cover.INVALID:
                    raise _Refuse(
                        "signature_invalid", "expected a signature by the certificate's key"
                    )
        return "RSASSA-PKCS1-v1_5 with SHA-256 over every message, byte for byte"

    async def _profile(self, case: _Case) -> str:
        broken = check_profile(case.parsed())
        if broken is not None:
            raise _Refuse(
                "certificate_profile", f"expected a holder's signing certificate: {broken}"
            )
        return "a holder's signing certificate of assurance class 3"

    async def _trusted_path(self, case: _Case) -> str:
        holder = case.parsed()
        # The path is asked for at a moment within the leaf's own validity, so that an expired
        # certificate of ours is told apart from a stranger's.
        info = holder.info
        moment = min(max(case.expected.at, info.not_before), info.not_after)
        found = await find_path(case.proof.unverified_certificate, self._anchors, moment)
        if found.failure is not None or found.root is None:
            raise _Refuse(
                "certificate_untrusted",
                f"expected a path to a configured anchor, found none ({found.failure}); the "
                "operator checks trust.anchors and trust.intermediates",
            )
        case.chain = found.chain
        case.issuer = x509.load_der_x509_certificate((*found.chain, found.root)[0])
        return f"{len(found.chain)} intermediate(s) up to a configured anchor"

    async def _valid_at_signing(self, case: _Case) -> str:
        info, at = case.parsed().info, case.expected.at
        if not info.not_before <= at <= info.not_after:
            raise _Refuse(
                "certificate_expired",
                f"expected a certificate that is valid at {at.isoformat()}, this one is from "
                f"{info.not_before.isoformat()} to {info.not_after.isoformat()}",
            )
        return f"valid until {info.not_after.isoformat()}"

    async def _right_person(self, case: _Case) -> str:
        found = case.parsed().info.last_four
        expected = case.expected.last_four.encode()
        if found is None or not hmac.compare_digest(_bytes(found), expected):
            raise _Refuse(
                "certificate_person_mismatch",
                "expected the certificate of the ID number that was asked for, its last four "
                "characters are missing or others",
            )
        return "the last four characters of the ID number agree"

    async def _same_person_as_registered(self, case: _Case) -> str | None:
        pinned = case.expected.hashed_id_num
        if pinned is None:
            return None
        if not hmac.compare_digest(_bytes(pinned), _bytes(case.proof.hashed_id_num)):
            raise _Refuse(
                "hashed_id_num_mismatch",
                "expected the platform's identifier of the registered person, came another",
            )
        return "the platform's identifier of the person is the registered one"

    async def _right_name(self, case: _Case) -> str | None:
        name = case.expected.user_name
        if name is None:
            return None
        if _nfc(name) != _nfc(case.parsed().info.subject_name):
            raise _Refuse(
                "name_mismatch",
                "expected the certificate of the user's name, it bears another; an administrator "
                "compares both",
            )
        return "the name is the certificate's"

    async def _right_credential(self, case: _Case) -> str | None:
        pinned = case.expected.pinned_certificate
        if pinned is None:
            return None
        if not hmac.compare_digest(pinned, case.proof.unverified_certificate):
            raise _Refuse(
                "certificate_changed",
                "expected the registered certificate, came another of the same person; the holder "
                "registers again",
            )
        return "the registered certificate"

    async def _not_revoked(self, case: _Case) -> str | None:
        if case.issuer is None:
            raise _Refuse("certificate_untrusted", "expected an issuer")
        status = await self._revocation.status(
            case.parsed().certificate, case.issuer, case.expected.at
        )
        if status.revoked:
            raise _Refuse("certificate_revoked", f"revoked according to {status.detail}")
        if status.revoked is None:
            if self._policy is RevocationPolicy.REQUIRE:
                raise _Refuse("revocation_unknown", f"expected a valid CRL: {status.detail}")
            detail = f"not checked (policy {self._policy}): {status.detail}; OCSP is not asked"
            case.report.append(Check(name="not_revoked", passed=None, detail=detail))
            return None
        return f"{status.detail}; OCSP is not asked"


def _bytes(text: str) -> bytes:
    # JSON can bring half of a surrogate pair, which has no UTF-8.
    return text.encode(errors="surrogatepass")


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()
