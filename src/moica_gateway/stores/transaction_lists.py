"""Lists of transactions for callers: filtered, newest first, paged by key and not by offset."""

from __future__ import annotations

from sqlalchemy import literal, select, tuple_

from moica_gateway.domain.models import Status, Transaction
from moica_gateway.domain.values import TenantId
from moica_gateway.ports import Page, TransactionFilter
from moica_gateway.stores.tables import documents, transactions
from moica_gateway.stores.transactions import PENDING, WITH_KEY, TransactionRows

__all__ = ["TransactionLists"]


class TransactionLists(TransactionRows):
    """The part of a unit of work that lists transactions."""

    def transactions(
        self, tenant: TenantId, where: TransactionFilter, *, limit: int, cursor: str | None
    ) -> Page[Transaction]:
        """See `moica_gateway.ports.UnitOfWork`. ``created_from`` counts in, ``created_until``
        does not."""
        table = transactions.c
        statement = WITH_KEY.where(table.tenant == tenant)
        if where.user_id is not None:
            statement = statement.where(table.user_id == where.user_id)
        if where.document_number is not None:
            numbered = select(documents.c.transaction_id).where(
                documents.c.tenant == tenant, documents.c.number == where.document_number
            )
            statement = statement.where(table.id.in_(numbered))
        if where.status is Status.PENDING:
            statement = statement.where(PENDING)
        elif where.status is not None:
            statement = statement.where(table.status == where.status.value)
        if where.kind is not None:
            statement = statement.where(table.kind == where.kind.value)
        if where.created_from is not None:
            statement = statement.where(table.created_at >= where.created_from)
        if where.created_until is not None:
            statement = statement.where(table.created_at < where.created_until)
        if cursor is not None:
            created_at, row_id = self.cursors.row(tenant, cursor)
            statement = statement.where(
                tuple_(table.created_at, table.id)
                < tuple_(literal(created_at, table.created_at.type), literal(row_id, table.id.type))
            )
        rows = self.runner.composed(
            statement.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
        )
        items = self.load_transactions(rows[:limit])
        more = len(rows) > limit and items
        return Page(
            items=items,
            next_cursor=self.cursors.of_row(tenant, items[-1].created_at, items[-1].id)
            if more
            else None,
        )
