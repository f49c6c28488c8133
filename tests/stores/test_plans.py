"""The statements of the hot path find their rows by an index, however many rows there are."""

from __future__ import annotations

from typing import Any

import pytest

from moica_gateway.domain.models import Status
from moica_gateway.domain.values import PersonId, TransactionId
from moica_gateway.ports import ALL_TENANTS, TransactionFilter

HOT = {
    "by id": lambda u, m: u.transaction(m.ours, TransactionId("txn_0001")),
    "open of a person": lambda u, m: u.open_transaction_of(m.ours, PersonId("per_0")),
    "pending of all": lambda u, _: u.pending_transactions(ALL_TENANTS),
    "pending of a document": lambda u, m: u.pending_transactions(m.ours, document_number="1"),
    "watched": lambda u, m: u.watched_transactions(ALL_TENANTS, m.now),
    "list": lambda u, m: u.transactions(m.ours, TransactionFilter(), limit=9, cursor=None),
    "list of a user": lambda u, m: u.transactions(
        m.ours, TransactionFilter(user_id="u"), limit=9, cursor=None
    ),
    "list of a document": lambda u, m: u.transactions(
        m.ours, TransactionFilter(document_number="1"), limit=9, cursor=None
    ),
    "list of the pending": lambda u, m: u.transactions(
        m.ours, TransactionFilter(status=Status.PENDING), limit=9, cursor=None
    ),
    "person by number": lambda u, m: u.person_by_id_number(m.ours, m.id_number()),
    "enabled credential": lambda u, m: u.enabled_credential(m.ours, "u"),
    "by fingerprint": lambda u, m: u.credential_by_fingerprint(m.ours, "u", "00"),
    "bindings": lambda u, m: u.bindings_of_person(m.ours, PersonId("per_0")),
    "API key": lambda u, _: u.api_key_by_hash(b"?"),
    "idempotency": lambda u, m: u.idempotency(m.ours, "POST", "/", "k"),
    "brake of a person": lambda u, m: u.person_brake(m.ours, PersonId("per_0")),
    "counts of requests": lambda u, m: u.request_counts(m.ours),
    "audit of one": lambda u, m: u.audit_records(m.ours, transaction_id=TransactionId("t")),
    "audit, next to be sealed": lambda u, m: u.audit_entries(m.ours, 3, 9),
    "audit of one, sealed": lambda u, m: u.audit_entries_of(m.ours, TransactionId("t")),
    "audit, head before": lambda u, m: u.last_audit_head(m.ours, before=3),
    "audit, heads behind": lambda u, m: u.audit_heads(m.ours, 3, 9),
    "audit at a position": lambda u, m: u.audit_entry_at(m.ours, 3),
    "audit, newest head": lambda u, m: u.last_audit_head(m.ours),
    "due": lambda u, m: u.due_outbox(ALL_TENANTS, m.now, 9),
    "waiting": lambda u, m: u.waiting_outbox(m.ours, 9),
    "next due": lambda u, _: u.next_outbox_due(ALL_TENANTS),
    "feed": lambda u, m: u.outbox_after(m.ours, "", 9),
}


@pytest.mark.parametrize("name", HOT)
async def test_hot_statements_use_an_index(sqlite: Any, make: Any, name: str) -> None:
    """No statement of these methods walks through a whole table."""
    statements: list[str] = []

    def plans(unit: Any) -> list[str]:
        driver = unit.runner._driver
        driver.set_trace_callback(statements.append)
        HOT[name](unit, make)
        driver.set_trace_callback(None)
        return [
            row[3]
            for statement in statements
            for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]

    found = await sqlite.read(plans)
    assert statements
    scans = [step for step in found if step.startswith("SCAN") and "INDEX" not in step]
    assert [step for step in scans if step != "SCAN CONSTANT ROW"] == []
