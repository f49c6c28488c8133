"""From the domain's nouns to the wire's. A browser sees less (security rule 16)."""

from __future__ import annotations

from moica_gateway.domain.models import Challenge, Check, Credential, Kind, Status, Transaction
from moica_gateway.services.bundle import Services
from moica_gateway.services.commands import Caller
from moica_gateway.services.verification import VerifiedFile, VerifiedSignature
from moica_gateway.wire import (
    Certificate,
    ChallengeView,
    CheckView,
    CredentialView,
    DocumentView,
    OnBehalfOf,
    SignatureView,
    TransactionView,
    VerificationView,
    VerifiedSignatureView,
)

__all__ = ["credential_view", "transaction_view", "verification_view"]


async def transaction_view(
    services: Services, caller: Caller, transaction: Transaction, *, token: bool = False
) -> TransactionView:
    """As this caller may see it; ``token`` adds a browser token (the 201 answer only)."""
    # What is signed to register or to authenticate is a statement of ours and no document.
    documents = transaction.documents if transaction.kind is Kind.SIGNATURE else ()
    seen_by_browser = TransactionView(
        id=transaction.id,
        version=transaction.version,
        kind=transaction.kind.value,
        status=transaction.status.value,
        created_at=transaction.created_at,
        expires_at=transaction.expires_at,
        match_code=transaction.match_code,
        documents=tuple(
            DocumentView(
                id=d.id,
                number=d.number,
                sha256=d.sha256,
                version=d.version,
                title=None if caller.browser else d.title,
                media_type=d.media_type,
                status=d.status.value if d.status else None,
                ticket=d.ticket,
            )
            for d in documents
        ),
        challenges=tuple(_challenge_view(services, c) for c in transaction.challenges),
        error=transaction.error,
        partial=transaction.partial,
        ticket=transaction.ticket,
        tickets=transaction.tickets,
        assurance=_assurance(transaction),
    )
    if caller.browser:
        return seen_by_browser
    credential = await services.transactions.credential_of(transaction)
    signature = transaction.signature
    return TransactionView(
        id=seen_by_browser.id,
        version=seen_by_browser.version,
        kind=seen_by_browser.kind,
        status=seen_by_browser.status,
        created_at=seen_by_browser.created_at,
        expires_at=seen_by_browser.expires_at,
        match_code=seen_by_browser.match_code,
        documents=seen_by_browser.documents,
        challenges=seen_by_browser.challenges,
        error=seen_by_browser.error,
        assurance=seen_by_browser.assurance,
        user_id=transaction.user_id or None,
        on_behalf_of=OnBehalfOf(
            user_id=transaction.on_behalf_of.user_id, reason=transaction.on_behalf_of.reason
        )
        if transaction.on_behalf_of
        else None,
        previous=transaction.previous,
        partial=seen_by_browser.partial,
        ticket=seen_by_browser.ticket,
        tickets=seen_by_browser.tickets,
        credential=credential_view(credential) if credential else None,
        signature=SignatureView(
            format=transaction.format,
            level=transaction.level,
            certificate=Certificate(der=signature.certificate),
            signed_at=signature.signed_at,
            report=_report(signature.report),
        )
        if signature
        and signature.certificate
        and transaction.kind is not Kind.REGISTRATION
        and transaction.status.terminal
        else None,
        metadata=transaction.metadata,
        browser_token=services.tenants.browser_token(transaction) if token else None,
    )


def _assurance(transaction: Transaction) -> str | None:
    """Only once it is true: nobody must read it off a transaction that was never confirmed."""
    return transaction.assurance if transaction.status is Status.COMPLETED else None


def _challenge_view(services: Services, challenge: Challenge) -> ChallengeView:
    shown = services.challenges.presentation(challenge)
    return ChallengeView(
        id=challenge.id,
        channel=challenge.channel.value,
        status=challenge.status.value,
        expires_at=challenge.expires_at,
        qr_payload=shown.qr_payload,
        url=shown.url,
        form=shown.form,
        error=challenge.problem,
        ticket=challenge.ticket,
    )


def _report(checks: tuple[Check, ...]) -> tuple[CheckView, ...]:
    return tuple(CheckView(name=c.name, passed=c.passed, detail=c.detail) for c in checks)


def verification_view(file: VerifiedFile) -> VerificationView:
    """Whoever may read hears all of it: it came in the question."""
    return VerificationView(
        result=file.result,
        format=file.format,
        signatures=tuple(_verified_view(each) for each in file.signatures),
    )


def _verified_view(signature: VerifiedSignature) -> VerifiedSignatureView:
    found, subject = signature.found, signature.subject
    return VerifiedSignatureView(
        name=found.name,
        result=signature.result,
        covers=found.covers,
        level=found.level,
        subject_name=subject.subject_name if subject else None,
        certificate=Certificate(der=found.certificate) if subject else None,
        claimed_at=found.claimed_at,
        hint=found.hint,
        report=_report(signature.report),
    )


def credential_view(credential: Credential) -> CredentialView:
    """As a key may see it."""
    return CredentialView(
        id=credential.id,
        user_id=credential.user_id,
        user_name=credential.user_name,
        type=credential.type.value,
        status=credential.status.value,
        issuer_name=credential.issuer_name,
        serial_number=credential.serial_number,
        not_before=credential.not_before,
        not_after=credential.not_after,
        subject_name=credential.subject_name,
        id_number_masked=credential.id_number_masked,
        fingerprint_sha256=credential.fingerprint_sha256,
    )
