"""Signing documents: the key covers what the format says, never what a caller says (rule 8)."""

from __future__ import annotations

import hashlib

from moica_gateway.domain.hints import batch_hint, document_number
from moica_gateway.domain.models import (
    Document,
    Kind,
    Prepared,
    Scope,
    SignContext,
    Status,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import DocumentId, TransactionId
from moica_gateway.errors import error
from moica_gateway.ports import Format, UnitOfWork
from moica_gateway.services.commands import (
    Caller,
    Created,
    IdempotencyUse,
    NewDocument,
    NewSignature,
)
from moica_gateway.services.context import Context
from moica_gateway.services.creation import Creation, Draft, of_document
from moica_gateway.services.enabled import enabled_credential, no_credential

__all__ = ["Signing"]

_DEFAULT_FORMAT = "cades"


class Signing:
    """``POST /v1/signatures`` and ``/v1/signature-batches``."""

    def __init__(self, context: Context, creation: Creation) -> None:
        self._context = context
        self._creation = creation

    async def create(
        self, caller: Caller, new: NewSignature, use: IdempotencyUse | None
    ) -> Created:
        """Ring the phone of the user's enabled credential.

        Raises:
            RequestError: ``forbidden``, ``transaction_open``, ``format_unsupported``,
                ``level_unsupported``, ``document_too_large``, ``document_digest_mismatch``,
                ``blind_signing_refused``, ``channel_unsupported``, ``idempotency_mismatch``,
                ``push_paused``, ``rate_limited``.
            HolderCertificateError: ``credential_missing``, ``certificate_expired``.
        """
        caller.need(Scope.SIGN)
        replayed = await self._creation.replay(caller, use)
        if replayed is not None:
            return replayed
        tenant = await self._creation.tenant(caller.tenant)
        limit = self._creation.time_limit(new.time_limit, tenant.policy)
        format_, level = self._format(new.format, new.level)
        challenge = self._creation.first_challenge(new.channel, limit, tenant)
        credential = await enabled_credential(self._context, caller.tenant, new.user_id)
        person = await self._context.store.read(
            lambda uow: uow.person(caller.tenant, credential.person_id)
        )
        if person is None:
            raise no_credential()
        now = self._context.clock.now()
        match_code = self._creation.match_code()
        documents = self._documents(new, tenant.policy)
        hint = batch_hint(match_code, documents[0].number, len(documents), tenant.policy.brand)
        context = SignContext(
            hint=hint,
            at=now,
            certificate=credential.certificate,
            chain=credential.chain,
            environment=self._context.environment,
            level=level,
        )
        several = len(documents) > 1
        prepared: list[Prepared] = []
        for index, (document, given) in enumerate(zip(documents, new.documents, strict=True)):
            with of_document(index if several else None, given.id):
                prepared.append(
                    await self._context.workshop.prepare(
                        format_.name, document, given.content, context
                    )
                )
        transaction = Transaction(
            id=TransactionId(self._context.new_id("txn")),
            tenant=caller.tenant,
            version=1,
            kind=Kind.SIGNATURE,
            status=Status.PENDING,
            created_at=now,
            expires_at=challenge.expires_at,
            user_id=new.user_id,
            person_id=person.id,
            match_code=match_code,
            hint=hint,
            documents=self._creation.documents(documents, prepared, [d.id for d in new.documents]),
            challenges=(challenge,),
            policy=tenant.policy,
            time_limit=limit,
            format=format_.name,
            level=level,
            credential_id=credential.id,
            device_name=new.device_name,
            on_behalf_of=new.on_behalf_of,
            metadata=new.metadata,
        )

        def check(uow: UnitOfWork) -> None:
            now_enabled = uow.enabled_credential(caller.tenant, new.user_id)
            if now_enabled is None or now_enabled.id != credential.id:
                raise no_credential()

        return await self._creation.create(
            caller,
            Draft(
                transaction=transaction,
                prepared=tuple(prepared),
                person=person,
                supersede=new.supersede,
                check=check,
            ),
            use,
        )

    def _format(self, name: str | None, level: str | None) -> tuple[Format, str | None]:
        formats = self._context.formats
        format_ = formats.get(name or _DEFAULT_FORMAT)
        if format_ is None:
            raise error(
                "format_unsupported",
                f"`format`: expected one of {', '.join(sorted(formats))}, came another",
                member="format",
            )
        if level is not None and level not in format_.levels:
            known = ", ".join(format_.levels) or "none (the format has no levels)"
            raise error(
                "level_unsupported", f"`level`: expected {known}, came another", member="level"
            )
        return format_, level or (format_.levels[0] if format_.levels else None)

    def _documents(self, new: NewSignature, policy: TenantPolicy) -> list[Document]:
        count = len(new.documents)
        if not 1 <= count <= policy.batch_max:
            raise error(
                "request_invalid",
                f"`documents`: expected 1 to {policy.batch_max} (the tenant's policy), came "
                f"{count}; the integrator sends the others as a further batch",
                member="documents",
            )
        if count > 1 and new.device_name is not None:
            raise error(
                "request_invalid",
                "`device_name`: expected none with several documents, the platform rings all of "
                "the holder's phones for a batch; the integrator leaves it out",
                member="device_name",
            )
        documents: list[Document] = []
        seen: set[DocumentId] = set()
        for index, given in enumerate(new.documents):
            with of_document(index if count > 1 else None, given.id):
                document = self._document(given)
                if document.id in seen:
                    raise error(
                        "request_invalid",
                        "`id`: expected another one for each document of a batch, came one twice; "
                        "the integrator corrects it, or leaves all out",
                        member="id",
                    )
            seen.add(document.id)
            documents.append(document)
        return documents

    def _document(self, given: NewDocument) -> Document:
        sha256 = given.sha256
        if given.content is not None:
            computed = hashlib.sha256(given.content).hexdigest()
            if sha256 is not None and sha256 != computed:
                raise error(
                    "document_digest_mismatch",
                    "expected `sha256` to be the digest of `content_base64`, it is another's; the "
                    "integrator sends both of the same frozen version",
                )
            sha256 = computed
        if sha256 is None:
            raise error("request_invalid", "expected `sha256` or `content_base64`, came neither")
        return Document(
            id=self._creation.document_id(given.id),
            number=document_number(given.number),
            sha256=sha256,
            version=given.version,
            title=given.title,
            media_type=given.media_type,
        )
