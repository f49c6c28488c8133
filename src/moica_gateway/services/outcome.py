"""What an approval is made into: judged, assembled, registered. Writes only inside the unit of
work that `services.settlement` hands in, and decides nothing about states.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import evolve, frozen

from moica_gateway.domain.lifecycle import Verified
from moica_gateway.domain.models import (
    Approved,
    AuditRecord,
    CertificateSignature,
    Check,
    Credential,
    CredentialStatus,
    CredentialType,
    Document,
    Expected,
    Fault,
    HolderPresent,
    Kind,
    Person,
    Prepared,
    Proof,
    SignatureResult,
    SignContext,
    SubjectInfo,
    Transaction,
    UserBinding,
    Verdict,
)
from moica_gateway.domain.values import BlobId, CredentialId, TenantId, TransactionId
from moica_gateway.errors import GatewayError, Problem, WhatHelps, error, problem
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.context import Context, load
from moica_gateway.services.prepared import prepared_from_blob
from moica_gateway.services.proofs import KeptProof
from moica_gateway.services.renewals import Renewal, renewal_of, renewal_problem

__all__ = ["Made", "Material", "OutcomeMaker", "enable", "register", "resolve"]


@frozen(kw_only=True)
class Material:
    """What is read before the judge is asked: of one ticket."""

    transaction: Transaction
    documents: tuple[Document, ...]
    person: Person
    prepared: tuple[Prepared, ...]
    pinned: Credential | None


@frozen(kw_only=True)
class Made:
    """An accepted approval with what was made of it, before it is committed."""

    verified: Verified
    artifacts: Mapping[BlobId, bytes]
    proof: KeptProof
    hashed_id_num: str | None
    renewal: Renewal | None = None


class OutcomeMaker:
    """Asks the judge and the format."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def material(
        self, uow: UnitOfWork, tenant: TenantId, transaction_id: TransactionId, ticket: int
    ) -> Material:
        transaction = load(uow, tenant, transaction_id)
        documents = transaction.documents_of(ticket)
        person = uow.person(tenant, transaction.person_id)
        if person is None:
            raise error("credential_disabled", "the person was erased meanwhile")
        pinned = (
            uow.credential(tenant, transaction.credential_id)
            if transaction.kind is not Kind.REGISTRATION and transaction.credential_id
            else None
        )
        return Material(
            transaction=transaction,
            person=person,
            documents=documents,
            prepared=tuple(
                prepared_from_blob(uow.blobs.get(tenant, d.prepared))
                for d in documents
                if d.prepared is not None
            ),
            pinned=pinned,
        )

    async def make(self, material: Material, answer: Approved) -> Made | Fault:
        transaction = material.transaction
        proof = answer.proof
        if transaction.assurance == "platform":
            return _present(material, proof, self._context.clock.now())
        if not isinstance(proof, CertificateSignature):
            return _fault("answer_invalid", "expected a certificate and a signature")
        if transaction.kind is not Kind.REGISTRATION and (
            material.pinned is None or material.pinned.status is not CredentialStatus.ENABLED
        ):
            return _fault("credential_disabled", "the pinned credential is no longer enabled")
        now = self._context.clock.now()
        verdict = await self._context.judge.judge(
            proof,
            Expected(
                messages=tuple(p.message for p in material.prepared),
                last_four=material.person.id_number.last_four,
                at=now,
                hashed_id_num=material.person.hashed_id_num,
                pinned_certificate=material.pinned.certificate if material.pinned else None,
                user_name=transaction.user_name,
                name_mismatch=transaction.policy.name_mismatch,
                renewal_accepted=transaction.policy.certificate_changed == "follow"
                and not self._context.formats[transaction.format].binds_certificate,
            ),
        )
        if verdict.problem is not None:
            why = verdict.problem
            # What the judge refuses is never "not yet": it ends the transaction, also where
            # trying again later with a new transaction may help.
            return Fault(problem=evolve(why, what_helps=_ending(why)), spoke=True)
        try:
            return await self._assemble(material, proof, verdict)
        except GatewayError as e:
            return Fault(problem=evolve(e.problem, what_helps=_ending(e.problem)), spoke=True)

    async def _assemble(
        self, material: Material, proof: CertificateSignature, verdict: Verdict
    ) -> Made:
        context, transaction = self._context, material.transaction
        now = context.clock.now()
        sign_context = SignContext(
            hint=transaction.hint,
            at=now,
            certificate=proof.unverified_certificate,
            chain=verdict.chain,
            environment=context.environment,
            level=transaction.level,
            statement=transaction.kind is not Kind.SIGNATURE,
        )
        artifacts: dict[BlobId, bytes] = {}
        by_document: dict[str, tuple[BlobId, str]] = {}
        for document, prepared, signature in zip(
            material.documents, material.prepared, proof.unverified_signatures, strict=True
        ):
            artifact = await context.workshop.finish(
                transaction.format, prepared, signature, sign_context
            )
            blob_id = BlobId(context.new_id("art"))
            artifacts[blob_id] = artifact.data
            by_document[document.id] = (blob_id, artifact.media_type)
        return Made(
            verified=Verified(
                signature=SignatureResult(
                    certificate=proof.unverified_certificate, signed_at=now, report=verdict.report
                ),
                artifacts=by_document,
                credential=self._credential(material, proof, verdict)
                if transaction.kind is Kind.REGISTRATION
                else None,
            ),
            artifacts=artifacts,
            proof=KeptProof.of(proof, now, verdict),
            hashed_id_num=proof.hashed_id_num,
            renewal=renewal_of(
                material.pinned, proof.unverified_certificate, verdict.chain, _subject(verdict)
            )
            if verdict.renewed and material.pinned is not None
            else None,
        )

    def _credential(
        self, material: Material, proof: CertificateSignature, verdict: Verdict
    ) -> Credential:
        transaction, subject = material.transaction, _subject(verdict)
        now = self._context.clock.now()
        return Credential(
            id=CredentialId(self._context.new_id("crd")),
            tenant=transaction.tenant,
            user_id=transaction.user_id,
            user_name=transaction.user_name,
            person_id=transaction.person_id,
            type=CredentialType.MOBILE_CITIZEN_CERTIFICATE,
            status=CredentialStatus.ENABLED if transaction.enable else CredentialStatus.DISABLED,
            certificate=proof.unverified_certificate,
            chain=verdict.chain,
            id_number_masked=material.person.id_number.masked,
            created_at=now,
            updated_at=now,
            issuer_name=subject.issuer_name,
            serial_number=subject.serial_number,
            not_before=subject.not_before,
            not_after=subject.not_after,
            subject_name=subject.subject_name,
            fingerprint_sha256=subject.fingerprint_sha256,
            public_key_sha256=subject.public_key_sha256,
        )


def resolve(uow: UnitOfWork, transaction: Transaction, made: Made) -> Verified | Fault:
    """What the store says to it, inside the commit: whose user this is by now, and whether the same
    certificate was registered before (then the same credential is updated)."""
    if made.renewal is not None:
        why = renewal_problem(uow, made.renewal)
        return made.verified if why is None else Fault(problem=why, spoke=True)
    credential = made.verified.credential
    if credential is None:
        return made.verified
    tenant, user_id = transaction.tenant, transaction.user_id
    binding = uow.user_binding(tenant, user_id)
    others = uow.bindings_of_person(tenant, transaction.person_id)
    if (binding and binding.person_id != transaction.person_id) or any(
        other.user_id != user_id for other in others
    ):
        return _fault(
            "user_bound_to_other_id",
            "the user or the ID number was registered otherwise meanwhile; an administrator "
            "resolves it",
        )
    known = uow.credential_by_fingerprint(tenant, user_id, credential.fingerprint_sha256)
    if known is None:
        return made.verified
    status = credential.status if transaction.enable else known.status
    same = evolve(credential, id=known.id, created_at=known.created_at, status=status)
    return evolve(made.verified, credential=same)


def register(
    uow: UnitOfWork, transaction: Transaction, credential: Credential, hashed_id_num: str | None
) -> None:
    """Bind the user, pin person and key, enable: in the commit of the outcome itself. Without a
    ``hashed_id_num`` the one that is known stays."""
    tenant, user_id = transaction.tenant, transaction.user_id
    person = uow.person(tenant, transaction.person_id)
    if person is None:
        raise error("credential_disabled", "the person was erased meanwhile")
    uow.save_person(evolve(person, hashed_id_num=hashed_id_num or person.hashed_id_num))
    uow.save_user_binding(
        UserBinding(
            tenant=tenant, user_id=user_id, person_id=person.id, bound_at=credential.updated_at
        )
    )
    disabled: tuple[CredentialId, ...] = ()
    if transaction.enable:
        disabled = enable(uow, credential)
    else:
        uow.save_credential(credential)
    uow.audit(
        tenant,
        AuditRecord(
            at=credential.updated_at,
            action="credential.registered",
            actor="worker",
            transaction_id=transaction.id,
            data={
                "credential": credential.id,
                "enabled": transaction.enable,
                "disabled": list(disabled),
            },
        ),
    )


def enable(uow: UnitOfWork, credential: Credential) -> tuple[CredentialId, ...]:
    """Enable one and disable the user's others, in one commit; which ones."""
    disabled = []
    for other in uow.credentials(credential.tenant, credential.user_id):
        if other.id != credential.id and other.status is CredentialStatus.ENABLED:
            uow.save_credential(
                evolve(other, status=CredentialStatus.DISABLED, updated_at=credential.updated_at)
            )
            disabled.append(other.id)
    uow.save_credential(evolve(credential, status=CredentialStatus.ENABLED))
    return tuple(disabled)


def _present(material: Material, proof: Proof, at: datetime) -> Made | Fault:
    """Bare ATH: no key spoke, the platform did. What it says of the person has to be what is known
    of them; nothing is learnt from it, since no certificate stands behind it."""
    if not isinstance(proof, HolderPresent):
        return _fault("answer_invalid", "expected the platform's word alone, came a signature")
    known = material.person.hashed_id_num
    compared = known is not None and proof.hashed_id_num is not None
    if compared and known != proof.hashed_id_num:
        return _fault(
            "hashed_id_num_mismatch",
            "expected the person that is known by this ID number, the platform names another; the "
            "answer is not accepted",
        )
    report = (
        Check(name="platform_answer", passed=True, detail="its checksum speaks for our request"),
        Check(
            name="person",
            passed=True if compared or proof.hashed_id_num is None else None,
            detail="the person that was registered before"
            if compared
            else "the ID number that was asked for, as the platform says",
        ),
        Check(
            name="certificate",
            passed=None,
            detail="not checked: authentication by the platform's word brings none",
        ),
    )
    return Made(
        verified=Verified(signature=SignatureResult(certificate=b"", signed_at=at, report=report)),
        artifacts={},
        proof=KeptProof.of(proof, at, None),
        hashed_id_num=None,
    )


def _subject(verdict: Verdict) -> SubjectInfo:
    if verdict.subject is None:
        raise error("internal_error", "expected a subject with an accepting verdict, came none")
    return verdict.subject


def _ending(why: Problem) -> WhatHelps:
    return "restart" if why.what_helps in ("retry", "poll") else why.what_helps


def _fault(code: str, detail: str) -> Fault:
    return Fault(problem=problem(code, detail), spoke=True)
