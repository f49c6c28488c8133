"""Transactions in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from moica_gateway.domain.models import (
    Challenge,
    Status,
    Transaction,
)
from moica_gateway.domain.values import (
    CredentialId,
    PersonId,
    TenantId,
    TransactionId,
)
from moica_gateway.ports import AllTenants, Page, TransactionFilter
from moica_gateway.testing.memory_state import (
    MemoryPart,
    add_new,
    conflict,
    is_of,
    need_aware,
    without_person,
)

__all__ = ["MemoryTransactions"]


class MemoryTransactions(MemoryPart):
    """The part of the unit of work that holds transactions."""

    def add_transaction(self, transaction: Transaction) -> None:
        """See the port."""
        state = self.writable(transaction.tenant)
        if state.persons.get((transaction.tenant, transaction.person_id)) is None:
            raise RuntimeError("a new transaction needs a person that exists and is not erased")
        need_aware(transaction.created_at, transaction.expires_at, transaction.ended_at)
        add_new(state.transactions, (transaction.tenant, transaction.id), transaction)
        self._one_pending(transaction)

    def save_transaction(self, transaction: Transaction) -> None:
        """See the port."""
        state = self.writable(transaction.tenant)
        index = (transaction.tenant, transaction.id)
        stored = state.transactions.get(index)
        if stored is None or stored.version not in (transaction.version - 1, transaction.version):
            raise RuntimeError(
                f"{transaction.id} is not stored in version {transaction.version - 1}; "
                "read and save in one unit of work"
            )
        need_aware(transaction.expires_at, transaction.ended_at)
        if state.persons.get((transaction.tenant, transaction.person_id)) is None:
            transaction = without_person(transaction)
        state.transactions[index] = transaction
        self._one_pending(transaction)

    def transaction(self, tenant: TenantId, transaction_id: TransactionId) -> Transaction | None:
        """See the port."""
        return self.state.transactions.get((tenant, transaction_id))

    def transactions(
        self, tenant: TenantId, where: TransactionFilter, *, limit: int, cursor: str | None
    ) -> Page[Transaction]:
        """See the port."""
        found = sorted(
            (t for t in self.state.transactions.values() if t.tenant == tenant and _fits(t, where)),
            key=_place,
            reverse=True,
        )
        if cursor is not None:
            after = self.read_cursor("list", tenant, cursor)
            found = [t for t in found if "\n".join(_place(t)) < after]
        items = tuple(found[:limit])
        more = len(found) > limit and items
        return Page(
            items=items,
            next_cursor=self.cursor("list", tenant, "\n".join(_place(items[-1]))) if more else None,
        )

    def challenge_by_upstream_id(
        self, tenant: TenantId, upstream_transaction_id: str
    ) -> tuple[Transaction, Challenge] | None:
        """See the port."""
        for transaction in self.state.transactions.values():
            for challenge in transaction.challenges:
                if (transaction.tenant, challenge.upstream_transaction_id) == (
                    tenant,
                    upstream_transaction_id,
                ):
                    return transaction, challenge
        return None

    def open_transaction_of(self, tenant: TenantId, person_id: PersonId) -> Transaction | None:
        """See the port."""
        pending = self.pending_transactions(tenant)
        return next((t for t in pending if t.person_id == person_id), None)

    def pending_transactions(
        self,
        tenant: TenantId | AllTenants,
        *,
        document_number: str | None = None,
        credential_id: CredentialId | None = None,
    ) -> Sequence[Transaction]:
        """See the port."""
        where = TransactionFilter(status=Status.PENDING, document_number=document_number)
        found = (
            t
            for t in self.state.transactions.values()
            if is_of(tenant, t.tenant)
            and _fits(t, where)
            and credential_id in (None, t.credential_id)
        )
        return tuple(sorted(found, key=_place))

    def watched_transactions(self, tenant: AllTenants, now: datetime) -> Sequence[Transaction]:
        """See the port."""
        return tuple(
            t
            for t in self.state.transactions.values()
            if t.status.terminal
            and any(c.handle is not None and c.expires_at > now for c in t.challenges)
        )

    def _one_pending(self, transaction: Transaction) -> None:
        whose = (transaction.tenant, transaction.person_id)
        pending = (
            t
            for t in self.state.transactions.values()
            if (t.tenant, t.person_id) == whose and t.status is Status.PENDING
        )
        if sum(1 for _ in pending) > 1:
            raise conflict()


def _place(transaction: Transaction) -> tuple[str, str]:
    """Sorts by time and id, as text of fixed width."""
    return f"{transaction.created_at.timestamp():020.6f}", transaction.id


def _fits(transaction: Transaction, where: TransactionFilter) -> bool:
    numbers = {document.number for document in transaction.documents}
    return (
        where.user_id in (None, transaction.user_id)
        and (where.document_number is None or where.document_number in numbers)
        and where.status in (None, transaction.status)
        and where.kind in (None, transaction.kind)
        and (where.created_from is None or transaction.created_at >= where.created_from)
        and (where.created_until is None or transaction.created_at < where.created_until)
    )
