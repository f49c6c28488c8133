"""Confirming who is there: a user by the key of their credential, or anybody by ID number (ATH).

A user signs a challenge: a statement of ours that is told apart from a registration's and from any
document, so that the proof stands on the certificate (``assurance: certificate``). By ID number
nothing is signed; the platform's word is all there is (``assurance: platform``), and the key needs
scope ``identity:query`` (security rules 5 and 17).

An ID number that nobody registered gets a person like that of a registration begun: the ticket, the
brakes and further challenges hang on it, and the ID number lies under the person's own key from the
first moment. It is not erased with the outcome, or a refused push would take its own brake along;
housekeeping erases it a day later, if nothing binds it by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from moica_gateway.domain.hints import authentication_hint
from moica_gateway.domain.models import (
    Credential,
    Document,
    Kind,
    Person,
    Prepared,
    Scope,
    SignContext,
    Status,
    Tenant,
    Transaction,
)
from moica_gateway.domain.statements import authentication_statement
from moica_gateway.domain.values import IdNumber, PersonId, TransactionId
from moica_gateway.errors import error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.commands import Caller, Created, IdempotencyUse, NewAuthentication
from moica_gateway.services.context import Context
from moica_gateway.services.creation import Creation, Draft
from moica_gateway.services.enabled import enabled_credential, no_credential
from moica_gateway.services.identity import count_identity

__all__ = ["Authentication"]

_STATEMENT_FORMAT = "pkcs1"
_NO_FORMAT = "none"


class Authentication:
    """``POST /v1/authentications``."""

    def __init__(self, context: Context, creation: Creation) -> None:
        self._context = context
        self._creation = creation

    async def create(
        self, caller: Caller, new: NewAuthentication, use: IdempotencyUse | None
    ) -> Created:
        """Ring the phone of that user or ID number.

        Raises:
            RequestError: ``forbidden``, ``request_invalid`` for both or neither, or a time limit
                too long, ``transaction_open``, ``identity_quota``, ``push_paused``,
                ``rate_limited``, ``channel_unsupported``, ``idempotency_mismatch``.
            HolderCertificateError: ``credential_missing``, ``certificate_expired``.
        """
        if (new.user_id is None) == (new.id_number is None):
            raise error(
                "request_invalid",
                "expected exactly one of `user_id` and `id_number`; the integrator sends the user, "
                "or the ID number where there is no registered user",
                member="user_id",
            )
        caller.need(Scope.SIGN if new.id_number is None else Scope.IDENTITY_QUERY)
        replayed = await self._creation.replay(caller, use)
        if replayed is not None:
            return replayed
        tenant = await self._creation.tenant(caller.tenant)
        if new.id_number is not None:
            draft = await self._of_id_number(caller, tenant, new, new.id_number)
        else:
            draft = await self._of_user(caller, tenant, new, new.user_id or "")
        return await self._creation.create(caller, draft, use)

    async def _of_user(
        self, caller: Caller, tenant: Tenant, new: NewAuthentication, user_id: str
    ) -> Draft:
        credential = await enabled_credential(self._context, caller.tenant, user_id)
        person = await self._context.store.read(
            lambda uow: uow.person(caller.tenant, credential.person_id)
        )
        if person is None:
            raise no_credential()
        match_code = self._creation.match_code()
        hint = authentication_hint(match_code, tenant.policy.brand)
        now = self._context.clock.now()
        statement = authentication_statement(
            caller.tenant, user_id, self._context.random.token_bytes(16).hex(), hint, now
        )
        document = Document(
            id=self._creation.document_id(None),
            number="",
            sha256=hashlib.sha256(statement).hexdigest(),
            media_type="text/plain; charset=utf-8",
        )
        prepared = await self._context.workshop.prepare(
            _STATEMENT_FORMAT,
            document,
            statement,
            SignContext(hint=hint, at=now, environment=self._context.environment, statement=True),
        )

        def check(uow: UnitOfWork) -> None:
            now_enabled = uow.enabled_credential(caller.tenant, user_id)
            if now_enabled is None or now_enabled.id != credential.id:
                raise no_credential()

        return self._draft(
            caller,
            tenant,
            new,
            person,
            match_code,
            hint,
            documents=self._creation.documents([document], [prepared]),
            prepared=(prepared,),
            credential=credential,
            check=lambda _id: check,
        )

    async def _of_id_number(
        self, caller: Caller, tenant: Tenant, new: NewAuthentication, id_number: IdNumber
    ) -> Draft:
        known = await self._context.store.read(
            lambda uow: uow.person_by_id_number(caller.tenant, id_number)
        )
        person = known or Person(
            id=PersonId(self._context.new_id("psn")),
            tenant=caller.tenant,
            id_number=id_number,
            created_at=self._context.clock.now(),
        )
        match_code = self._creation.match_code()

        def check(transaction_id: TransactionId) -> Callable[[UnitOfWork], None]:
            return lambda uow: count_identity(
                self._context,
                uow,
                caller,
                tenant,
                id_number,
                purpose="authentication",
                transaction_id=transaction_id,
            )

        return self._draft(
            caller,
            tenant,
            new,
            person,
            match_code,
            authentication_hint(match_code, tenant.policy.brand),
            documents=(),
            prepared=(),
            credential=None,
            check=check,
        )

    def _draft(
        self,
        caller: Caller,
        tenant: Tenant,
        new: NewAuthentication,
        person: Person,
        match_code: str,
        hint: str,
        *,
        documents: tuple[Document, ...],
        prepared: tuple[Prepared, ...],
        credential: Credential | None,
        check: Callable[[TransactionId], Callable[[UnitOfWork], None]],
    ) -> Draft:
        limit = self._creation.time_limit(new.time_limit, tenant.policy)
        challenge = self._creation.first_challenge(new.channel, limit, tenant)
        transaction = Transaction(
            id=TransactionId(self._context.new_id("txn")),
            tenant=caller.tenant,
            version=1,
            kind=Kind.AUTHENTICATION,
            status=Status.PENDING,
            created_at=challenge.created_at,
            expires_at=challenge.expires_at,
            user_id=new.user_id or "",
            person_id=person.id,
            match_code=match_code,
            hint=hint,
            documents=documents,
            challenges=(challenge,),
            policy=tenant.policy,
            time_limit=limit,
            format=_STATEMENT_FORMAT if credential else _NO_FORMAT,
            credential_id=credential.id if credential else None,
            device_name=new.device_name,
            metadata=new.metadata,
        )
        return Draft(
            transaction=transaction,
            prepared=prepared,
            person=person,
            supersede=new.supersede,
            check=check(transaction.id),
        )
