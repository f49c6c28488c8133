"""How a transaction comes to be: in the database first, then the phone rings.

Registration and signing differ in what is signed and by whom; what they share stands here: the
``Idempotency-Key``, one open transaction a person, the brakes, the first challenge, and the answer
within 5 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from attrs import evolve, frozen

from moica_gateway.domain.lifecycle import Cancel, Decision
from moica_gateway.domain.models import (
    AuditRecord,
    Challenge,
    Channel,
    Document,
    Person,
    Prepared,
    Tenant,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import BlobId, DocumentId, TenantId
from moica_gateway.errors import GatewayError, error, error_of
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.brakes import count_request, observed
from moica_gateway.services.challenges import Challenges
from moica_gateway.services.commands import Caller, Created, IdempotencyUse
from moica_gateway.services.context import Context, load
from moica_gateway.services.idempotency import remember, used
from moica_gateway.services.prepared import prepared_to_blob
from moica_gateway.services.settlement import Settlement

__all__ = ["Creation", "Draft", "of_document"]

_ANSWER_WITHIN: Final = 5.0


@contextmanager
def of_document(index: int | None, id: str | None = None) -> Iterator[None]:
    """A refusal inside says which document of several it means: ``document_index`` (from 0), and
    ``document_id`` where the caller gave one. Without an index it stays as it is."""
    try:
        yield
    except GatewayError as e:
        if index is None or "document_index" in e.problem.extra:
            raise
        which: dict[str, Any] = {"document_index": index}
        if id is not None:
            which["document_id"] = id
        member = e.problem.extra.get("member")
        which["member"] = f"documents[{index}]" + (f".{member}" if member else "")
        raise error_of(
            e.problem.with_detail(f"`documents[{index}]`: {e.problem.detail}", **which)
        ) from e


@frozen(kw_only=True)
class Draft:
    """A transaction that is ready to be written, with what goes into its commit."""

    transaction: Transaction
    prepared: tuple[Prepared, ...]
    person: Person
    supersede: bool
    check: Callable[[UnitOfWork], None]
    """Looked at again inside the commit; raises ``GatewayError``."""


@frozen(kw_only=True)
class _Written:
    transaction: Transaction
    replayed: bool
    superseded: tuple[Decision, ...] = ()


class Creation:
    """See the module."""

    def __init__(self, context: Context, settlement: Settlement, challenges: Challenges) -> None:
        self._context = context
        self._settlement = settlement
        self._challenges = challenges

    async def replay(self, caller: Caller, use: IdempotencyUse | None) -> Created | None:
        """What was made under that key, as it is now; None when it was not used yet.

        Raises:
            RequestError: ``idempotency_mismatch``.
        """
        if use is None:
            return None
        found = await self._context.store.read(lambda uow: used(uow, caller.tenant, use))
        return Created(transaction=found, replayed=True) if found else None

    async def create(self, caller: Caller, draft: Draft, use: IdempotencyUse | None) -> Created:
        """Write, then ring; answers at the latest after 5 s.

        Raises:
            RequestError: ``transaction_open``, ``idempotency_mismatch``, ``push_paused``,
                ``rate_limited``, what `Draft.check` says.
        """
        with observed(self._context):
            written = await self._context.store.write(
                lambda uow: self._write(uow, caller, draft, use)
            )
        for decision in written.superseded:
            await self._settlement.told(decision.transaction, announce=True)
        transaction = written.transaction
        if written.replayed:
            return Created(transaction=transaction, replayed=True)
        await self._challenges.start(
            transaction,
            transaction.challenges[0],
            messages=tuple(
                prepared.message
                for document, prepared in zip(transaction.documents, draft.prepared, strict=True)
                if document.ticket == 0
            ),
            id_number=draft.person.id_number,
            wait=_ANSWER_WITHIN,
        )
        return Created(
            transaction=await self._context.store.read(
                lambda uow: load(uow, transaction.tenant, transaction.id)
            )
        )

    # -- building blocks for registration and signing -------------------------------------------

    async def tenant(self, tenant: TenantId) -> Tenant:
        """With a service provider.

        Raises:
            ConfigurationError: when the administrator has not set one yet.
        """
        found = await self._context.store.read(lambda uow: uow.tenant(tenant))
        if found is None or found.service_provider is None:
            raise error(
                "configuration_invalid",
                "expected a tenant with a service provider; the operator sets it with "
                "`moica-gateway tenant service-provider`",
            )
        return found

    def time_limit(self, asked: int | None, policy: TenantPolicy) -> int:
        """Raises ``RequestError`` above the tenant's maximum."""
        limit = policy.time_limit_default if asked is None else asked
        if limit > policy.time_limit_max:
            raise error(
                "request_invalid",
                f"`time_limit`: expected at most {policy.time_limit_max} s, came {limit}",
                member="time_limit",
            )
        return limit

    def match_code(self) -> str:
        """Two digits."""
        return f"{self._context.random.below(100):02d}"

    def first_challenge(self, channel: Channel, time_limit: int, tenant: Tenant) -> Challenge:
        """Raises ``RequestError`` ``channel_unsupported``."""
        return self._challenges.new(channel, time_limit, tenant, return_url=None)

    def documents(
        self,
        documents: Sequence[Document],
        prepared: Sequence[Prepared],
        asked_ids: Sequence[str | None] = (),
    ) -> tuple[Document, ...]:
        """Each with the id of the blob that its prepared bytes will be, and its ticket: as many
        in a row as the platform takes at once.

        Raises:
            RequestError: what the upstream says of the messages; of one among several documents
                with its place, as `of_document` says.
        """
        upstream = self._context.upstream
        messages = [p.message for p in prepared]
        if len(messages) > 1:
            for index, (message, id) in enumerate(zip(messages, asked_ids, strict=True)):
                with of_document(index, id):
                    upstream.accepts([message])
        for start in range(0, len(messages), upstream.max_messages):
            upstream.accepts(messages[start : start + upstream.max_messages])
        return tuple(
            evolve(
                d, prepared=BlobId(self._context.new_id("pre")), ticket=n // upstream.max_messages
            )
            for n, d in enumerate(documents)
        )

    def document_id(self, asked: str | None) -> DocumentId:
        """The caller's, or a new one."""
        return DocumentId(asked or self._context.new_id("doc"))

    # -- inside --------------------------------------------------------------------------------

    def _write(
        self, uow: UnitOfWork, caller: Caller, draft: Draft, use: IdempotencyUse | None
    ) -> _Written:
        found = used(uow, caller.tenant, use)
        if found is not None:
            return _Written(transaction=found, replayed=True)
        draft.check(uow)
        transaction = self._of_stored_person(uow, draft)
        superseded: tuple[Decision, ...] = ()
        open_one = uow.open_transaction_of(caller.tenant, transaction.person_id)
        if open_one is not None:
            if not draft.supersede:
                raise error(
                    "transaction_open",
                    "expected no open transaction of this person, there is one; cancel it, wait "
                    "for it, or send `supersede: true`",
                    transaction_id=open_one.id,
                )
            superseded = (self._settlement.end_inside(uow, open_one, Cancel(), caller),)
        for document, prepared in zip(transaction.documents, draft.prepared, strict=True):
            if document.prepared is not None:
                uow.blobs.put(caller.tenant, document.prepared, prepared_to_blob(prepared))
        uow.add_transaction(transaction)
        channel = transaction.challenges[0].channel
        # The person is stored by now, also one whose ID number somebody has just brought up.
        count_request(self._context, uow, transaction, channel)
        uow.audit(
            caller.tenant,
            AuditRecord(
                at=transaction.created_at,
                action="transaction.created",
                actor=caller.actor,
                transaction_id=transaction.id,
                data={
                    "kind": transaction.kind.value,
                    "channel": channel.value,
                    "version": transaction.version,
                    **({"supersedes": open_one.id} if open_one else {}),
                    **({"previous": transaction.previous} if transaction.previous else {}),
                },
            ),
        )
        remember(uow, caller.tenant, use, transaction.id, self._context.clock.now())
        return _Written(transaction=transaction, replayed=False, superseded=superseded)

    def _of_stored_person(self, uow: UnitOfWork, draft: Draft) -> Transaction:
        """One person an ID number, also where two registrations bring it up at the same moment."""
        tenant, person = draft.transaction.tenant, draft.person
        if uow.person(tenant, person.id) is not None:
            return draft.transaction
        stored = uow.person_by_id_number(tenant, person.id_number)
        if stored is not None:
            return evolve(draft.transaction, person_id=stored.id)
        uow.save_person(person)
        return draft.transaction
