"""Registering a certificate: the holder signs a statement of ours with a fresh nonce.

ATH yields no certificate, so registration signs. The first completed registration binds the user to
the ID number and pins person, key and name (security rule 7).
"""

from __future__ import annotations

import hashlib

from moica_gateway.domain.hints import registration_hint
from moica_gateway.domain.models import (
    Document,
    Kind,
    Person,
    Scope,
    SignContext,
    Status,
    Transaction,
)
from moica_gateway.domain.statements import registration_statement
from moica_gateway.domain.values import PersonId, TransactionId
from moica_gateway.errors import error
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.commands import Caller, Created, IdempotencyUse, NewRegistration
from moica_gateway.services.context import Context
from moica_gateway.services.creation import Creation, Draft

__all__ = ["Registration"]

_STATEMENT_FORMAT = "pkcs1"


class Registration:
    """``POST /v1/registrations``."""

    def __init__(self, context: Context, creation: Creation) -> None:
        self._context = context
        self._creation = creation

    async def create(
        self, caller: Caller, new: NewRegistration, use: IdempotencyUse | None
    ) -> Created:
        """Ring the phone of that ID number.

        Raises:
            RequestError: ``forbidden``, ``user_bound_to_other_id``, ``transaction_open``,
                ``push_paused``, ``rate_limited``, ``channel_unsupported``,
                ``idempotency_mismatch``, or a time limit too long.
        """
        caller.need(Scope.REGISTER)
        replayed = await self._creation.replay(caller, use)
        if replayed is not None:
            return replayed
        tenant = await self._creation.tenant(caller.tenant)
        limit = self._creation.time_limit(new.time_limit, tenant.policy)
        challenge = self._creation.first_challenge(new.channel, limit, tenant)
        known = await self._context.store.read(
            lambda uow: uow.person_by_id_number(caller.tenant, new.id_number)
        )
        now = self._context.clock.now()
        person = known or Person(
            id=PersonId(self._context.new_id("psn")),
            tenant=caller.tenant,
            id_number=new.id_number,
            created_at=now,
        )
        match_code = self._creation.match_code()
        hint = registration_hint(match_code, tenant.policy.brand)
        statement = registration_statement(
            caller.tenant,
            new.user_id,
            self._context.random.token_bytes(16).hex(),
            hint,
            now,
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
        transaction = Transaction(
            id=TransactionId(self._context.new_id("txn")),
            tenant=caller.tenant,
            version=1,
            kind=Kind.REGISTRATION,
            status=Status.PENDING,
            created_at=now,
            expires_at=challenge.expires_at,
            user_id=new.user_id,
            person_id=person.id,
            match_code=match_code,
            hint=hint,
            documents=self._creation.documents([document], [prepared]),
            challenges=(challenge,),
            policy=tenant.policy,
            time_limit=limit,
            format=_STATEMENT_FORMAT,
            user_name=new.user_name,
            device_name=new.device_name,
            enable=new.enable,
            metadata=new.metadata,
        )

        def check(uow: UnitOfWork) -> None:
            binding = uow.user_binding(caller.tenant, new.user_id)
            # Another registration may have brought this ID number up at the same moment.
            stored = uow.person_by_id_number(caller.tenant, new.id_number) or person
            taken = any(
                b.user_id != new.user_id for b in uow.bindings_of_person(caller.tenant, stored.id)
            )
            if taken or (binding is not None and binding.person_id != stored.id):
                raise error(
                    "user_bound_to_other_id",
                    "expected the ID number that this user registered with before, and an ID "
                    "number that no other user has; an administrator resolves it",
                )

        return await self._creation.create(
            caller,
            Draft(
                transaction=transaction,
                prepared=(prepared,),
                person=person,
                supersede=new.supersede,
                check=check,
            ),
            use,
        )
