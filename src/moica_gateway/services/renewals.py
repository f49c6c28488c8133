"""A holder's renewed certificate takes the registered one's place, where the tenant's policy says
so (design, "Decisions": with bare formats a policy). Inside the unit of work of the outcome itself,
so that it is told exactly once.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen

from moica_gateway.domain.models import (
    AuditRecord,
    Credential,
    CredentialStatus,
    SubjectInfo,
    Transaction,
)
from moica_gateway.errors import Problem, problem
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.context import Context
from moica_gateway.services.credential_events import credential_event

__all__ = ["Renewal", "renew", "renewal_of", "renewal_problem"]

_RENEWED: Final = "credential.renewed"


@frozen(kw_only=True)
class Renewal:
    """The credential as it will be, and the certificate that it had when the judge compared."""

    credential: Credential
    before: str
    """SHA-256 of that certificate, hexadecimal."""


def renewal_of(
    pinned: Credential, certificate: bytes, chain: tuple[bytes, ...], subject: SubjectInfo
) -> Renewal:
    """The same credential with another certificate; ``updated_at`` is set when it is written."""
    return Renewal(
        credential=evolve(
            pinned,
            certificate=certificate,
            chain=chain,
            issuer_name=subject.issuer_name,
            serial_number=subject.serial_number,
            not_before=subject.not_before,
            not_after=subject.not_after,
            subject_name=subject.subject_name,
            fingerprint_sha256=subject.fingerprint_sha256,
            public_key_sha256=subject.public_key_sha256,
        ),
        before=pinned.fingerprint_sha256,
    )


def renewal_problem(uow: UnitOfWork, renewal: Renewal) -> Problem | None:
    """What the store says to it by now; None where it may be written, or is already."""
    wanted = renewal.credential
    current = uow.credential(wanted.tenant, wanted.id)
    if current is None or current.status is not CredentialStatus.ENABLED:
        return problem("credential_disabled", "the pinned credential is no longer enabled")
    other = uow.credential_by_fingerprint(wanted.tenant, wanted.user_id, wanted.fingerprint_sha256)
    if current.fingerprint_sha256 not in (renewal.before, wanted.fingerprint_sha256) or (
        other is not None and other.id != wanted.id
    ):
        return problem(
            "certificate_changed",
            "expected to put the renewed certificate in the registered one's place, the "
            "registration was changed meanwhile; the holder begins again",
        )
    return None


def renew(context: Context, uow: UnitOfWork, transaction: Transaction, renewal: Renewal) -> None:
    """Write it, once: credential, audit record, event; nothing where it was written before."""
    wanted = renewal.credential
    current = uow.credential(wanted.tenant, wanted.id)
    if current is None or current.fingerprint_sha256 == wanted.fingerprint_sha256:
        return
    now = context.clock.now()
    renewed = evolve(wanted, status=current.status, updated_at=now)
    uow.save_credential(renewed)
    uow.audit(
        renewed.tenant,
        AuditRecord(
            at=now,
            action=_RENEWED,
            actor="worker",
            transaction_id=transaction.id,
            data={
                "credential": renewed.id,
                "before": current.fingerprint_sha256,
                "after": renewed.fingerprint_sha256,
                "same_key": current.public_key_sha256 == renewed.public_key_sha256,
                "not_after": renewed.not_after.isoformat(),
            },
        ),
    )
    uow.add_outbox(credential_event(renewed, _RENEWED, now, context.new_id("evt")))
