"""The only writer of terminal states.

Whatever ends a transaction (an answer, a deadline, a cancel, a start that failed, a disabled
credential) passes through `Settlement`: the judge is asked and the artifact assembled before, then
`lifecycle.decide` says what follows, and outcome, artifact, credential, audit rows and outbox row
go into one unit of work. Only after the commit are windows and the delivery told, and the next
ticket of a batch is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import evolve

from moica_gateway.domain.lifecycle import (
    AddChallenge,
    Answered,
    BeginEnded,
    Cancel,
    CredentialGone,
    Decision,
    SettleBy,
    Verified,
    decide,
)
from moica_gateway.domain.models import (
    Approved,
    Begun,
    Challenge,
    ChallengeStatus,
    Channel,
    Fault,
    Lapsed,
    Pending,
    Refused,
    SignatureResult,
    StartUnknown,
    Transaction,
)
from moica_gateway.domain.values import ChallengeId, TenantId, TransactionId
from moica_gateway.errors import GatewayError, Problem
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.brakes import count_request, observed, remember_outcome
from moica_gateway.services.commands import Caller, IdempotencyUse
from moica_gateway.services.context import Context, load, record_decision
from moica_gateway.services.idempotency import remember, used
from moica_gateway.services.outcome import OutcomeMaker, register, resolve
from moica_gateway.services.proofs import proof_id
from moica_gateway.services.renewals import renew

__all__ = ["Onward", "Settlement"]

_WORKER = "worker"
_Event = BeginEnded | Answered | SettleBy | Cancel | CredentialGone | AddChallenge


class Onward(Protocol):
    """Who asks the phone for the next ticket of a batch."""

    async def prepare(self, transaction: Transaction, channel: Channel) -> Challenge | Problem:
        """A challenge that is not written yet, or why there can be none."""

    def begin(self, transaction: Transaction, challenge: Challenge) -> None:
        """Ask the platform; it is written by now. Returns at once and raises nothing."""


class Settlement:
    """See the module. ``ended`` of the poller is not called: it looks at what is returned."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._maker = OutcomeMaker(context)
        self._onward: Onward | None = None

    def goes_on_with(self, onward: Onward) -> None:
        """Set once, when the services are put together."""
        self._onward = onward

    # -- what workers and challenges bring -------------------------------------------------

    async def begun(
        self,
        tenant: TenantId,
        transaction_id: TransactionId,
        challenge_id: ChallengeId,
        result: Begun | Fault | StartUnknown,
    ) -> Transaction:
        """The platform's answer to a request for a ticket."""
        if isinstance(result, Fault):
            self._alarm_of(transaction_id, result.problem)
        return await self._apply(
            tenant, transaction_id, BeginEnded(challenge_id=challenge_id, result=result), _WORKER
        )

    async def answered(
        self,
        tenant: TenantId,
        transaction_id: TransactionId,
        challenge_id: ChallengeId,
        answer: Refused | Lapsed | Pending | Fault | Approved,
    ) -> Transaction:
        """A poll's or callback's answer; an approval is judged first."""
        if isinstance(answer, Approved):
            return await self._approved(tenant, transaction_id, challenge_id, answer)
        if isinstance(answer, Fault):
            self._alarm_of(transaction_id, answer.problem)
        return await self._apply(
            tenant, transaction_id, Answered(challenge_id=challenge_id, answer=answer), _WORKER
        )

    async def overdue(
        self,
        tenant: TenantId,
        transaction_id: TransactionId,
        last_words: Mapping[ChallengeId, Pending | Lapsed | Fault | None],
    ) -> Transaction:
        """``settle_by`` has come."""
        return await self._apply(tenant, transaction_id, SettleBy(last_words=last_words), _WORKER)

    # -- what callers bring ----------------------------------------------------------------

    async def cancel(self, caller: Caller, transaction_id: TransactionId) -> Transaction:
        """Immediate; a terminal transaction is returned unchanged.

        Raises:
            RequestError: ``not_found``.
        """
        return await self._apply(caller.tenant, transaction_id, Cancel(), caller.actor)

    async def cancel_document(
        self, caller: Caller, document_number: str
    ) -> tuple[Transaction, ...]:
        """Every pending transaction over that document (recall)."""
        pending = await self._context.store.read(
            lambda uow: uow.pending_transactions(caller.tenant, document_number=document_number)
        )
        return tuple([await self.cancel(caller, t.id) for t in pending])

    async def add_challenge(
        self,
        caller: Caller,
        transaction_id: TransactionId,
        challenge: Challenge,
        check: Callable[[Transaction], None],
        use: IdempotencyUse | None,
    ) -> Transaction:
        """With it; without it where that ``Idempotency-Key`` has made one before.

        Raises:
            RequestError: ``transaction_closed``, ``challenge_limit``, ``idempotency_mismatch``,
                ``push_paused``, ``rate_limited``, or what ``check`` says of the transaction inside
                the commit.
        """

        def work(uow: UnitOfWork) -> Decision:
            made = used(uow, caller.tenant, use)
            if made is not None:
                return Decision(transaction=made, changed=False)
            transaction = load(uow, caller.tenant, transaction_id)
            check(transaction)
            remember(uow, caller.tenant, use, transaction_id, self._context.clock.now())
            event = AddChallenge(challenge=challenge)
            decision = self._decide(uow, transaction, event, caller.actor)
            count_request(self._context, uow, transaction, challenge.channel)
            return decision

        with observed(self._context):
            return await self._commit(work)

    def end_inside(
        self,
        uow: UnitOfWork,
        transaction: Transaction,
        event: Cancel | CredentialGone,
        caller: Caller,
    ) -> Decision:
        """End inside the caller's own unit of work (``supersede``, a disabled credential); the
        caller calls `told` after the commit."""
        return self._decide(uow, transaction, event, caller.actor)

    async def told(self, transaction: Transaction, *, announce: bool) -> None:
        """After the commit, and only then: windows, and the delivery."""
        if announce:
            self._context.outbox_written()
        await self._context.bus.publish(transaction.tenant, transaction.id)

    # -- inside ------------------------------------------------------------------------------

    def _alarm_of(self, transaction_id: TransactionId, why: Problem) -> None:
        if why.what_helps == "fail":
            self._context.alarm(
                f"security.{why.code}", {"transaction_id": transaction_id, "code": why.code}
            )

    def _decide(
        self,
        uow: UnitOfWork,
        transaction: Transaction,
        event: _Event,
        actor: str,
    ) -> Decision:
        now = self._context.clock.now()
        decision = decide(transaction, event, now)
        if decision.changed:
            remember_outcome(self._context, uow, transaction, decision.transaction)
        if decision.begin is not None and isinstance(event, Answered):
            # Behind the approval, which has just taken the brakes off this person.
            refused = self._braked(uow, decision.transaction, decision.begin)
            if refused is not None:
                decision = decide(transaction, evolve(event, next_challenge=refused), now)
        record_decision(uow, decision, message_id=self._context.new_id("evt"), at=now, actor=actor)
        return decision

    def _braked(
        self, uow: UnitOfWork, transaction: Transaction, challenge: Challenge
    ) -> Problem | None:
        try:
            with observed(self._context):
                count_request(self._context, uow, transaction, challenge.channel)
        except GatewayError as e:
            return e.problem
        return None

    async def _apply(
        self, tenant: TenantId, transaction_id: TransactionId, event: _Event, actor: str
    ) -> Transaction:
        return await self._commit(
            lambda uow: self._decide(uow, load(uow, tenant, transaction_id), event, actor)
        )

    async def _commit(self, work: Callable[[UnitOfWork], Decision]) -> Transaction:
        decision = await self._context.store.write(work)
        if decision.changed:
            if decision.begin is not None and self._onward is not None:
                self._onward.begin(decision.transaction, decision.begin)
            await self.told(decision.transaction, announce=decision.announce is not None)
        return decision.transaction

    async def _approved(
        self,
        tenant: TenantId,
        transaction_id: TransactionId,
        challenge_id: ChallengeId,
        answer: Approved,
    ) -> Transaction:
        current = await self._context.store.read(lambda uow: load(uow, tenant, transaction_id))
        challenge = current.challenge(challenge_id)
        if current.status.terminal or not challenge.status.open:
            # Its signature is discarded unjudged; that it came is recorded. The person may have
            # been erased meanwhile, so nothing more is read.
            late = Verified(
                signature=SignatureResult(
                    certificate=b"", signed_at=self._context.clock.now(), report=()
                )
            )
            if await self._context.store.read(
                lambda uow: _late_answer_known(uow, current, challenge_id)
            ):
                return current
            event = Answered(challenge_id=challenge_id, answer=late)
            return await self._apply(tenant, transaction_id, event, _WORKER)
        material = await self._context.store.read(
            lambda uow: self._maker.material(uow, tenant, transaction_id, challenge.ticket)
        )
        made = await self._maker.make(material, answer)
        if isinstance(made, Fault):
            self._alarm_of(transaction_id, made.problem)
            return await self._apply(
                tenant, transaction_id, Answered(challenge_id=challenge_id, answer=made), _WORKER
            )
        accepted = made
        next_challenge = (
            await self._onward.prepare(current, challenge.channel)
            if self._onward is not None and challenge.ticket + 1 < current.tickets
            else None
        )

        def work(uow: UnitOfWork) -> Decision:
            transaction = load(uow, tenant, transaction_id)
            outcome = resolve(uow, transaction, accepted)
            event = Answered(
                challenge_id=challenge_id, answer=outcome, next_challenge=next_challenge
            )
            decision = self._decide(uow, transaction, event, _WORKER)
            decided = decision.transaction.challenge(challenge_id)
            if decision.changed and decided.status is ChallengeStatus.APPROVED:
                for blob_id, data in accepted.artifacts.items():
                    uow.blobs.put(tenant, blob_id, data)
                uow.blobs.put(tenant, proof_id(challenge_id), accepted.proof.to_blob())
                if accepted.renewal is not None:
                    renew(self._context, uow, decision.transaction, accepted.renewal)
                if isinstance(outcome, Verified) and outcome.credential is not None:
                    register(uow, decision.transaction, outcome.credential, accepted.hashed_id_num)
            return decision

        ended = await self._commit(work)
        if accepted.renewal is not None:
            self._context.outbox_written()
        return ended


def _late_answer_known(
    uow: UnitOfWork, transaction: Transaction, challenge_id: ChallengeId
) -> bool:
    """A confirmed ticket gives the same result at every poll, also after a restart."""
    return any(
        record.action == "transaction.late_answer" and record.data.get("challenge") == challenge_id
        for record in uow.audit_records(transaction.tenant, transaction_id=transaction.id)
    )
