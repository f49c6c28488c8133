"""``POST /callbacks/moi/{tenant}``: what a browser brings back from the Ministry's site (WEB-01).

Anyone may send one, so the caller is told nothing: every form is answered alike, whether its
transaction is unknown, foreign, ended, forged or just approved (security rule 5). What is decided
here is only what may reach settlement:

- nothing without an open redirect challenge of this tenant under the id that the form claims;
- nothing that fails verification: a stranger's form must not end what the holder is about to
  confirm. It is counted, raises an alarm, and stands in the audit record, a few times at most;
- another person's confirmation, which is authentic, ends the transaction;
- each challenge counts once: a repetition changes nothing, at the same moment too;
- what comes after the end goes to settlement as any late answer does, which records it once.

A code without a checksum ends the challenge like one at a poll (security rule 2): it takes the
UUIDv4 that the browser which began, and the platform, know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from moica_gateway.domain.models import (
    Approved,
    AuditRecord,
    Challenge,
    ChallengeStatus,
    Channel,
    Fault,
    Tenant,
    Transaction,
)
from moica_gateway.domain.values import ChallengeId, TenantId
from moica_gateway.ports import UnitOfWork
from moica_gateway.services.context import Context
from moica_gateway.services.settlement import Settlement

__all__ = ["Callbacks"]

_FORGED: Final = "callback.forged"
_MOST_RECORDS: Final = 5
_AUTHENTIC: Final = frozenset({"id_number_mismatch"})
"""Refusals of an answer whose checksum was right: the platform said so, and it counts."""


class Callbacks:
    """``watch`` is the poller's: it must hear of what ended."""

    def __init__(
        self, context: Context, settlement: Settlement, watch: Callable[[Transaction], None]
    ) -> None:
        self._context = context
        self._settlement = settlement
        self._watch = watch
        self._running: set[ChallengeId] = set()

    async def receive(self, tenant_id: TenantId, unverified: bytes) -> None:
        """Take a form, or do nothing; the caller cannot tell which.

        Raises:
            RequestError: ``request_malformed`` for a body that is no such form at all.
            ConfigurationError: ``storage_unavailable``; the same form may come again.
        """
        claimed = self._context.upstream.claimed_transaction_id(unverified)
        found = await self._context.store.read(
            lambda uow: (
                uow.tenant(tenant_id),
                uow.challenge_by_upstream_id(tenant_id, claimed),
            )
        )
        self._context.called_back(await self._received(*found, unverified))

    async def _received(
        self,
        tenant: Tenant | None,
        found: tuple[Transaction, Challenge] | None,
        unverified: bytes,
    ) -> str:
        """What became of it, for the metrics."""
        if tenant is None or tenant.service_provider is None or found is None:
            return "unknown"
        transaction, challenge = found
        handle = challenge.handle
        if challenge.channel is not Channel.REDIRECT or handle is None:
            return "unknown"
        if challenge.id in self._running:
            return "repeated"
        late = transaction.status.terminal and challenge.status is ChallengeStatus.CLOSED
        if not (challenge.status.open or late):
            return "repeated"
        self._running.add(challenge.id)
        try:
            answer = self._context.upstream.receive(handle, tenant.service_provider, unverified)
            if isinstance(answer, Fault) and answer.problem.what_helps == "fail":
                if answer.problem.code not in _AUTHENTIC:
                    await self._forged(transaction, challenge, answer.problem.code)
                    return "forged"
            elif late and not isinstance(answer, Approved):
                return "late"
            self._watch(
                await self._settlement.answered(
                    transaction.tenant, transaction.id, challenge.id, answer
                )
            )
        finally:
            self._running.discard(challenge.id)
        return "late" if late else "taken"

    async def _forged(self, transaction: Transaction, challenge: Challenge, code: str) -> None:
        self._context.alarm(
            "security.callback_forged", {"transaction_id": transaction.id, "code": code}
        )
        record = AuditRecord(
            at=self._context.clock.now(),
            action=_FORGED,
            actor="callback",
            transaction_id=transaction.id,
            data={"challenge": challenge.id, "code": code},
        )

        def work(uow: UnitOfWork) -> None:
            known = uow.audit_records(transaction.tenant, transaction_id=transaction.id)
            if sum(r.action == _FORGED for r in known) < _MOST_RECORDS:
                uow.audit(transaction.tenant, record)

        await self._context.store.write(work)
