"""A double of `ports.Judge`."""

from __future__ import annotations

from datetime import UTC, datetime

from moica_gateway.domain.models import (
    CertificateSignature,
    Check,
    Expected,
    SubjectInfo,
    Verdict,
)
from moica_gateway.errors import Problem

__all__ = ["ScriptedJudge"]

_SUBJECT = SubjectInfo(
    subject_name="王小明",
    issuer_name="內政部憑證管理中心",
    serial_number="0123456789abcdef",
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    not_after=datetime(2027, 1, 1, tzinfo=UTC),
    fingerprint_sha256="aa" * 32,
    public_key_sha256="bb" * 32,
    last_four="6789",
)


class ScriptedJudge:
    """Accepts, or refuses with the problems given, one a call; keeps what it was asked."""

    def __init__(self, *problems: Problem | None, subject: SubjectInfo = _SUBJECT) -> None:
        self._problems = list(problems)
        self._subject = subject
        self.asked: list[tuple[CertificateSignature, Expected]] = []

    async def judge(self, proof: CertificateSignature, expected: Expected) -> Verdict:
        """See the port."""
        self.asked.append((proof, expected))
        refused = self._problems.pop(0) if self._problems else None
        check = Check(name="scripted", passed=refused is None, detail="as the test says")
        return Verdict(problem=refused, report=(check,), subject=self._subject)

    def describe(self, certificate: bytes) -> SubjectInfo:
        """See the port."""
        return self._subject
