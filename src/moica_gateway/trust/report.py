"""The report: which checks there are, and what each of them found.

The names are a promise to whoever reads evidence; a check is renamed never, added at will. A check
that was not made stands there too, with the reason: a report never says a bare "valid".
"""

from __future__ import annotations

from enum import StrEnum

from attrs import define, field

from moica_gateway.domain.models import Check
from moica_gateway.errors import Problem, problem

__all__ = ["CheckName", "Refusal", "Report", "Unchecked"]


class CheckName(StrEnum):
    """Every check, in the order in which they are made."""

    CERTIFICATE_READABLE = "certificate_readable"
    INTACT = "intact"
    COVERS_OUR_BYTES = "covers_our_bytes"
    PROFILE = "profile"
    TRUSTED_PATH = "trusted_path"
    VALID_AT_SIGNING = "valid_at_signing"
    RIGHT_PERSON = "right_person"
    SAME_PERSON_AS_REGISTERED = "same_person_as_registered"
    RIGHT_NAME = "right_name"
    RIGHT_CREDENTIAL = "right_credential"
    NOT_REVOKED = "not_revoked"
    ISSUER_NOT_REVOKED = "issuer_not_revoked"


class Refusal(Exception):
    """A check that failed, and the problem that follows."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.problem: Problem = problem(code, detail)


class Unchecked(Exception):
    """A check that was not made, with the reason; it refuses nothing."""


@define
class Report:
    """Filled check by check; the first failure decides."""

    refused: Problem | None = None
    _checks: list[Check] = field(factory=list)

    def passed(self, name: CheckName, detail: str) -> None:
        """The check was made and holds."""
        self._checks.append(Check(name=name.value, passed=True, detail=detail))

    def unchecked(self, name: CheckName, reason: str) -> None:
        """The check was not made."""
        self._checks.append(Check(name=name.value, passed=None, detail=reason))

    def failed(self, name: CheckName, why: Problem) -> None:
        """The check was made and does not hold; the first one decides."""
        self.refused = self.refused or why
        self._checks.append(Check(name=name.value, passed=False, detail=why.detail))

    def holds(self, name: CheckName) -> bool:
        """Whether that check was made, and passed."""
        return any(check.name == name.value and check.passed for check in self._checks)

    @property
    def checks(self) -> tuple[Check, ...]:
        """In the order of `CheckName`."""
        return tuple(self._checks)
