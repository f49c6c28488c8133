"""Verification of any signature of this PKI, ours or not: ``POST /v1/verifications``.

The reader takes it apart in a worker process, the judge says what holds, and here the two become
one report. Judged is as of the clock's now: what a signature says of its own time proves nothing,
and timestamps are not evaluated in this version. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from attrs import evolve, field, frozen

from moica_gateway.domain.models import CertificateSignature, Check, Expected, SubjectInfo
from moica_gateway.domain.readings import FoundSignature, GivenContent
from moica_gateway.errors import error
from moica_gateway.ports import Clock, Judge, SignatureReader, Workshop

__all__ = ["Verification", "VerifiedFile", "VerifiedSignature"]

_OF_NOBODY: Final = frozenset(
    ("right_person", "same_person_as_registered", "right_name", "right_credential")
)
"""Checks against an expected person: here nobody is."""
_NEEDED: Final = frozenset(
    (
        *("structure", "content", "certificate_readable", "intact", "covers_our_bytes"),
        *("profile", "trusted_path", "valid_at_signing"),
        *("not_revoked", "issuer_not_revoked"),
    )
)
"""Without any of these it is not verified."""
_WORST_FIRST: Final = ("failed", "incomplete", "verified")


@frozen(kw_only=True)
class VerifiedSignature:
    """One signature and its report.

    Attributes:
        result: ``verified``; ``failed``, where a check did not hold; ``incomplete``, where one that
            is needed could not be made.
        subject: As the certificate says; None where that cannot be read.
    """

    found: FoundSignature
    result: str
    report: tuple[Check, ...]
    subject: SubjectInfo | None = field(default=None, repr=False)


@frozen(kw_only=True)
class VerifiedFile:
    """All signatures of a file, at least one."""

    format: str
    signatures: tuple[VerifiedSignature, ...]

    @property
    def result(self) -> str:
        """The worst of them."""
        return min((each.result for each in self.signatures), key=_WORST_FIRST.index)


class Verification:
    """See the module."""

    def __init__(
        self,
        workshop: Workshop,
        readers: Mapping[str, SignatureReader],
        judge: Judge,
        clock: Clock,
    ) -> None:
        self._workshop = workshop
        self._readers = readers
        self._judge = judge
        self._clock = clock

    async def verify(
        self, data: bytes, given: GivenContent, format_: str | None = None
    ) -> VerifiedFile:
        """Every signature in it, in the order in which they were made.

        Args:
            data: The signed thing.
            given: What it is to be held against.
            format_: Where it is known; a bare signature is recognised by nobody.

        Raises:
            RequestError: ``request_invalid`` for a format that there is not,
                ``artifact_unreadable``.
        """
        reader = self._reader(data, format_)
        found = await self._workshop.read(reader, data, given)
        if not found:
            raise error(
                "artifact_unreadable",
                "expected a signed file, came one without any signature; the integrator sends the "
                "file as it was fetched",
            )
        return VerifiedFile(
            format=reader,
            signatures=tuple([await self._judged(_held(one, given)) for one in found]),
        )

    def _reader(self, data: bytes, format_: str | None) -> str:
        readers = self._readers
        names = ", ".join(sorted(readers))
        if format_ is not None and format_ not in readers:
            raise error(
                "request_invalid",
                f"`format`: expected one of {names}, came another; the integrator corrects it, or "
                "leaves it out to have it recognised",
                member="format",
            )
        if format_ is not None:
            return format_
        for reader in readers.values():
            if reader.recognises(data):
                return reader.name
        raise error(
            "artifact_unreadable",
            f"expected a signed file of the formats {names}, came something that begins like none; "
            "the integrator names the `format`, or sends the file as it was fetched",
        )

    async def _judged(self, found: FoundSignature) -> VerifiedSignature:
        now = self._clock.now()
        verdict = await self._judge.judge(
            CertificateSignature(
                unverified_certificate=found.certificate,
                unverified_signatures=(found.signature,),
                hashed_id_num=None,
                raw=b"",
            ),
            Expected(messages=(found.message,), last_four=None, at=now),
        )
        report = (
            _structure(found),
            _content(found),
            *(check for check in verdict.report if check.name not in _OF_NOBODY),
            _time(found, now),
        )
        return VerifiedSignature(
            found=found, result=_result(report), report=report, subject=verdict.subject
        )


def _held(found: FoundSignature, given: GivenContent) -> FoundSignature:
    if given.certificate in (None, found.certificate):
        return found
    wrong = "it is of another certificate than the one that was given"
    return evolve(found, problems=(*found.problems, wrong))


def _result(report: tuple[Check, ...]) -> str:
    if any(check.passed is False for check in report):
        return "failed"
    held = {check.name for check in report if check.passed}
    return "verified" if held >= _NEEDED else "incomplete"


def _structure(found: FoundSignature) -> Check:
    wrong = "; ".join(found.problems)
    detail = wrong or f"signature and document hang together; it covers {found.covers}"
    return Check(name="structure", passed=not wrong, detail=detail)


def _content(found: FoundSignature) -> Check:
    words = {
        True: "the digest that was signed is that of the content",
        False: "expected the digest of the content among what is signed, came another",
        None: "not checked: there was no content to hold it against",
    }
    return Check(name="content", passed=found.content_matches, detail=words[found.content_matches])


def _time(found: FoundSignature, now: datetime) -> Check:
    detail = f"not checked: judged as of {now.isoformat(timespec='seconds')}"
    if found.timestamps:
        detail += f"; its {len(found.timestamps)} timestamp(s) are not evaluated by this version"
    elif found.claimed_at is not None:
        detail += f"; it says of itself {found.claimed_at.isoformat()}, which proves nothing"
    return Check(name="time", passed=None, detail=detail)
