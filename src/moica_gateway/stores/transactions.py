"""Transactions with their documents and challenges: writing, reading by id, the schedulers' lists.

A person's index of open transactions is a partial unique index, so that two cannot be open even
if a service forgot to look. Lists for callers are in `moica_gateway.stores.transaction_lists`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.sql.dml import Delete, Insert, Update

from moica_gateway.domain.models import Challenge, Document, Status, Transaction
from moica_gateway.domain.values import CredentialId, PersonId, TenantId, TransactionId
from moica_gateway.errors import Problem
from moica_gateway.ports import AllTenants
from moica_gateway.stores.codec import from_bytes, to_bytes
from moica_gateway.stores.rows import (
    TRANSACTION_MAC,
    ChallengePersonal,
    TransactionPersonal,
    TransactionSealed,
    challenge_model,
    challenge_row,
    document_model,
    document_row,
    transaction_model,
    transaction_row,
)
from moica_gateway.stores.runner import Stored
from moica_gateway.stores.session import Session, readable
from moica_gateway.stores.tables import challenges, documents, person_keys, transactions
from moica_gateway.stores.vault import DataKey, Place

__all__ = ["PENDING", "WITH_KEY", "TransactionRows"]

_CHUNK: Final = 500
"""Ids in one IN list: below every engine's limit of parameters."""

PENDING: Final = transactions.c.status == literal_column(f"'{Status.PENDING.value}'", String)
"""Written into the statement: an engine uses a partial index only for a condition that it sees."""

WITH_KEY: Final = select(
    transactions,
    person_keys.c.key_id.label("person_key_id"),
    person_keys.c.wrapped.label("person_key_wrapped"),
).select_from(
    transactions.outerjoin(
        person_keys,
        and_(
            person_keys.c.tenant == transactions.c.tenant,
            person_keys.c.person_id == transactions.c.person_id,
        ),
    )
)

_BY_ID: Final = WITH_KEY.where(
    transactions.c.tenant == bindparam("tenant_"), transactions.c.id == bindparam("id_")
)
_OPEN_OF_PERSON: Final = WITH_KEY.where(
    transactions.c.tenant == bindparam("tenant_"),
    transactions.c.person_id == bindparam("person_"),
    PENDING,
)
_WATCHED: Final = WITH_KEY.where(transactions.c.watch_until > bindparam("now_"), ~PENDING).order_by(
    transactions.c.watch_until
)
_BY_UPSTREAM_ID: Final = select(challenges.c.transaction_id, challenges.c.id).where(
    challenges.c.tenant == bindparam("tenant_"),
    challenges.c.upstream_transaction_id == bindparam("upstream_"),
)
_INSERT: Final = insert(transactions)
_UPDATE: Final = update(transactions).where(
    transactions.c.tenant == bindparam("tenant_"),
    transactions.c.id == bindparam("id_"),
    transactions.c.version >= bindparam("oldest_"),
    transactions.c.version <= bindparam("newest_"),
)


def _is_child(table: Table) -> tuple[ColumnElement[bool], ...]:
    return (
        table.c.tenant == bindparam("tenant_"),
        table.c.transaction_id == bindparam("transaction_"),
    )


class _Children:
    """The statements of one table that belongs to transactions."""

    def __init__(self, table: Table) -> None:
        of_one = _is_child(table)
        this = (*of_one, table.c.id == bindparam("id_"))
        self.table: Final = table
        self.of_one: Final = select(table).where(*of_one).order_by(table.c.position)
        self.new: Final[Insert] = insert(table)
        self.change: Final[Update] = update(table).where(*this)
        self.drop: Final[Delete] = delete(table).where(*this)

    def of_many(self, tenant: TenantId, ids: Sequence[str]) -> Select[Any]:
        """Those of many transactions."""
        table = self.table
        return (
            select(table)
            .where(table.c.tenant == tenant, table.c.transaction_id.in_(ids))
            .order_by(table.c.transaction_id, table.c.position)
        )


_DOCUMENTS: Final = _Children(documents)
_CHALLENGES: Final = _Children(challenges)


class TransactionRows(Session):
    """The part of a unit of work that holds transactions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seen: dict[tuple[TenantId, TransactionId], Transaction] = {}

    def add_transaction(self, transaction: Transaction) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        key = self.person_key(transaction.tenant, transaction.person_id)
        if key is None:
            raise RuntimeError("a new transaction needs a person that exists and is not erased")
        self.change(_INSERT, self._transaction_values(transaction, key))
        self._add_children(
            transaction,
            key,
            range(len(transaction.documents)),
            range(len(transaction.challenges)),
        )
        self._seen[(transaction.tenant, transaction.id)] = transaction

    def save_transaction(self, transaction: Transaction) -> None:
        """See `moica_gateway.ports.UnitOfWork`."""
        tenant, transaction_id = transaction.tenant, transaction.id
        before = self._seen.get((tenant, transaction_id)) or self.transaction(
            tenant, transaction_id
        )
        key = self.person_key(tenant, transaction.person_id)
        values = self._transaction_values(transaction, key)
        met = self.change(
            _UPDATE,
            {
                **_without_key(values),
                "tenant_": tenant,
                "id_": transaction_id,
                "oldest_": transaction.version - 1,
                "newest_": transaction.version,
            },
        )
        if met != 1 or before is None:
            raise RuntimeError(
                f"{transaction_id} is not stored in version {transaction.version - 1}; "
                "read and save in one unit of work"
            )
        self._save_children(before, transaction, key)
        self._seen[(tenant, transaction_id)] = transaction

    def transaction(self, tenant: TenantId, transaction_id: TransactionId) -> Transaction | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        return self._one(_BY_ID, {"tenant_": tenant, "id_": transaction_id})

    def challenge_by_upstream_id(
        self, tenant: TenantId, upstream_transaction_id: str
    ) -> tuple[Transaction, Challenge] | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        row = self.first(_BY_UPSTREAM_ID, {"tenant_": tenant, "upstream_": upstream_transaction_id})
        if row is None:
            return None
        found = self.transaction(tenant, row["transaction_id"])
        return None if found is None else (found, found.challenge(row["id"]))

    def open_transaction_of(self, tenant: TenantId, person_id: PersonId) -> Transaction | None:
        """See `moica_gateway.ports.UnitOfWork`."""
        return self._one(_OPEN_OF_PERSON, {"tenant_": tenant, "person_": person_id})

    def pending_transactions(
        self,
        tenant: TenantId | AllTenants,
        *,
        document_number: str | None = None,
        credential_id: CredentialId | None = None,
    ) -> Sequence[Transaction]:
        """See `moica_gateway.ports.UnitOfWork`."""
        statement = WITH_KEY.where(PENDING)
        if not isinstance(tenant, AllTenants):
            statement = statement.where(transactions.c.tenant == tenant)
        if document_number is not None:
            statement = statement.where(
                select(documents.c.id)
                .where(
                    documents.c.tenant == transactions.c.tenant,
                    documents.c.transaction_id == transactions.c.id,
                    documents.c.number == document_number,
                )
                .exists()
            )
        if credential_id is not None:
            statement = statement.where(transactions.c.credential_id == credential_id)
        rows = self.runner.composed(
            statement.order_by(transactions.c.created_at, transactions.c.id)
        )
        return self.load_transactions(rows)

    def watched_transactions(
        self,
        tenant: AllTenants,  # noqa: ARG002 - says whose
        now: datetime,
    ) -> Sequence[Transaction]:
        """See `moica_gateway.ports.UnitOfWork`."""
        return self.load_transactions(self.all(_WATCHED, {"now_": now}))

    # -- reading -------------------------------------------------------------------------------

    def _one(self, statement: Select[Any], values: dict[str, Any]) -> Transaction | None:
        loaded = self.load_transactions(self.all(statement, values))
        return loaded[0] if loaded else None

    def load_transactions(self, rows: Sequence[Stored]) -> tuple[Transaction, ...]:
        """Models for rows of `WITH_KEY`, in their order."""
        by_tenant: dict[TenantId, list[str]] = {}
        keys: dict[tuple[str, str], DataKey | None] = {}
        for row in rows:
            self.vault.check_row("transactions", TRANSACTION_MAC, row, (row["id"],))
            by_tenant.setdefault(row["tenant"], []).append(row["id"])
            keys[row["tenant"], row["id"]] = self.meet_person_key(
                row["tenant"], row["person_id"], row["person_key_id"], row["person_key_wrapped"]
            )
        their_documents: dict[tuple[str, str], list[Document]] = {}
        their_challenges: dict[tuple[str, str], list[Challenge]] = {}
        for tenant, ids in by_tenant.items():
            for child in self._children(_DOCUMENTS, tenant, ids):
                index = (child["tenant"], child["transaction_id"])
                their_documents.setdefault(index, []).append(self._document(child))
            for child in self._children(_CHALLENGES, tenant, ids):
                index = (child["tenant"], child["transaction_id"])
                their_challenges.setdefault(index, []).append(self._challenge(child, keys[index]))
        loaded = []
        for row in rows:
            index = (row["tenant"], row["id"])
            transaction = self._transaction(
                row, keys[index], their_documents.get(index, ()), their_challenges.get(index, ())
            )
            self._seen[(transaction.tenant, transaction.id)] = transaction
            loaded.append(transaction)
        return tuple(loaded)

    def _children(
        self, children: _Children, tenant: TenantId, ids: Sequence[str]
    ) -> Iterable[Stored]:
        if len(ids) == 1:
            yield from self.all(children.of_one, {"tenant_": tenant, "transaction_": ids[0]})
            return
        for start in range(0, len(ids), _CHUNK):
            yield from self.runner.composed(children.of_many(tenant, ids[start : start + _CHUNK]))

    def _transaction(
        self,
        row: Stored,
        key: DataKey | None,
        its_documents: Sequence[Document],
        its_challenges: Sequence[Challenge],
    ) -> Transaction:
        id = (row["id"],)
        with readable("transactions", *id):
            sealed = from_bytes(
                TransactionSealed,
                self.open_for_tenant(row["tenant"], "transactions", id, row["sealed"]),
            )
            personal = TransactionPersonal()
            if key is not None:
                place = Place(row["tenant"], "transactions", id, "personal")
                personal = from_bytes(
                    TransactionPersonal, self.vault.open(key, place, row["personal"])
                )
            return transaction_model(row, sealed, personal, its_documents, its_challenges)

    def _document(self, row: Stored) -> Document:
        id = (row["transaction_id"], row["id"])
        with readable("documents", *id):
            title = None
            if row["sealed"] is not None:
                title = self.open_for_tenant(row["tenant"], "documents", id, row["sealed"]).decode()
            return document_model(row, title)

    def _challenge(self, row: Stored, key: DataKey | None) -> Challenge:
        id = (row["transaction_id"], row["id"])
        with readable("challenges", *id):
            problem = None
            if row["sealed"] is not None:
                problem = from_bytes(
                    Problem, self.open_for_tenant(row["tenant"], "challenges", id, row["sealed"])
                )
            personal = ChallengePersonal()
            if key is not None and row["personal"] is not None:
                place = Place(row["tenant"], "challenges", id, "personal")
                personal = from_bytes(
                    ChallengePersonal, self.vault.open(key, place, row["personal"])
                )
            return challenge_model(row, problem, personal)

    # -- writing -------------------------------------------------------------------------------

    def _transaction_values(self, transaction: Transaction, key: DataKey | None) -> dict[str, Any]:
        values = transaction_row(transaction)
        tenant, id = transaction.tenant, (transaction.id,)
        sealed = to_bytes(TransactionSealed.of(transaction))
        values["sealed"] = self.seal_for_tenant(tenant, "transactions", id, sealed)
        values["personal"] = self._personal(
            key, Place(tenant, "transactions", id, "personal"), TransactionPersonal.of(transaction)
        )
        values["mac"] = self.vault.row_mac("transactions", TRANSACTION_MAC, values)
        return values

    def _document_values(self, transaction: Transaction, position: int) -> dict[str, Any]:
        values = document_row(transaction, position)
        title = transaction.documents[position].title
        values["sealed"] = None
        if title is not None:
            id = (transaction.id, values["id"])
            values["sealed"] = self.seal_for_tenant(
                transaction.tenant, "documents", id, title.encode()
            )
        return values

    def _challenge_values(
        self, transaction: Transaction, position: int, key: DataKey | None
    ) -> dict[str, Any]:
        values = challenge_row(transaction, position)
        challenge = transaction.challenges[position]
        tenant, id = transaction.tenant, (transaction.id, challenge.id)
        values["sealed"] = None
        if challenge.problem is not None:
            problem = to_bytes(challenge.problem)
            values["sealed"] = self.seal_for_tenant(tenant, "challenges", id, problem)
        values["personal"] = None
        if challenge.handle is not None or challenge.return_url is not None:
            values["personal"] = self._personal(
                key,
                Place(tenant, "challenges", id, "personal"),
                ChallengePersonal(handle=challenge.handle, return_url=challenge.return_url),
            )
        return values

    def _personal(self, key: DataKey | None, place: Place, part: object) -> bytes | None:
        # Without the key the person was erased meanwhile: what is left is written without it.
        return None if key is None else self.vault.seal(key, place, to_bytes(part))

    def _add_children(
        self,
        transaction: Transaction,
        key: DataKey | None,
        new_documents: Sequence[int],
        new_challenges: Sequence[int],
    ) -> None:
        for n in new_documents:
            self.change(_DOCUMENTS.new, self._document_values(transaction, n))
        for n in new_challenges:
            self.change(_CHALLENGES.new, self._challenge_values(transaction, n, key))

    def _save_children(self, before: Transaction, after: Transaction, key: DataKey | None) -> None:
        """Only what differs from what this unit of work has read."""
        old_documents = {d.id: (n, d) for n, d in enumerate(before.documents)}
        old_challenges = {c.id: (n, c) for n, c in enumerate(before.challenges)}
        kept = {"tenant_": after.tenant, "transaction_": after.id}
        new_documents, new_challenges = [], []
        for n, document in enumerate(after.documents):
            stored_document = old_documents.pop(document.id, None)
            if stored_document is None:
                new_documents.append(n)
            elif stored_document != (n, document):
                values = self._document_values(after, n)
                self.change(_DOCUMENTS.change, {**_without_key(values), **kept, "id_": document.id})
        for n, challenge in enumerate(after.challenges):
            stored_challenge = old_challenges.pop(challenge.id, None)
            if stored_challenge is None:
                new_challenges.append(n)
            elif stored_challenge != (n, challenge):
                values = self._challenge_values(after, n, key)
                self.change(
                    _CHALLENGES.change, {**_without_key(values), **kept, "id_": challenge.id}
                )
        for gone in old_documents:
            self.change(_DOCUMENTS.drop, {**kept, "id_": gone})
        for lost in old_challenges:
            self.change(_CHALLENGES.drop, {**kept, "id_": lost})
        self._add_children(after, key, new_documents, new_challenges)


def _without_key(values: dict[str, Any]) -> dict[str, Any]:
    """What an UPDATE may set: setting a key anew makes the engine check every reference to it."""
    return {k: v for k, v in values.items() if k not in ("tenant", "transaction_id", "id")}
