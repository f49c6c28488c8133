"""Every method, asked by another tenant, answers as if the row did not exist (security.md 17)."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import CredentialStatus, Status
from moica_gateway.domain.values import BlobId, PersonId
from moica_gateway.ports import Blobs, TransactionFilter, UnitOfWork

FOUND: dict[str, Callable[[Any, Any, Any], Any]] = {
    "transaction": lambda u, t, _: u.transaction(t, "txn_0001"),
    "transactions": lambda u, t, _: (
        u.transactions(t, TransactionFilter(), limit=9, cursor=None).items
    ),
    "open_transaction_of": lambda u, t, _: u.open_transaction_of(t, "per_only"),
    "pending_transactions": lambda u, t, _: u.pending_transactions(t),
    "tenant": lambda u, t, m: u.tenant("nobody" if t == m.theirs else t),
    "api_keys": lambda u, t, _: u.api_keys(t),
    "webhook_endpoints": lambda u, t, _: u.webhook_endpoints(t),
    "person": lambda u, t, _: u.person(t, "per_only"),
    "person_by_id_number": lambda u, t, m: u.person_by_id_number(t, m.id_number(5)),
    "user_binding": lambda u, t, _: u.user_binding(t, "only"),
    "bindings_of_person": lambda u, t, _: u.bindings_of_person(t, "per_only"),
    "credential": lambda u, t, _: u.credential(t, "crd_1"),
    "credentials": lambda u, t, _: u.credentials(t, "only"),
    "enabled_credential": lambda u, t, _: u.enabled_credential(t, "only"),
    "credential_by_fingerprint": lambda u, t, m: u.credential_by_fingerprint(
        t, "only", m.credential(1).fingerprint_sha256
    ),
    "idempotency": lambda u, t, _: u.idempotency(t, "POST", "/v1/signatures", "abc"),
    "person_brake": lambda u, t, _: u.person_brake(t, "per_only"),
    "challenge_by_upstream_id": lambda u, t, m: u.challenge_by_upstream_id(
        t, m.transaction(1).challenges[0].upstream_transaction_id
    ),
    "identity_queries": lambda u, t, m: u.identity_queries(t, m.now.date()),
    "request_counts": lambda u, t, _: u.request_counts(t).tenant,
    "audit_records": lambda u, t, _: u.audit_records(t),
    "audit_entries": lambda u, t, _: u.audit_entries(t, 0, 9),
    "audit_entries_of": lambda u, t, _: u.audit_entries_of(t, "txn_0001"),
    "audit_entry_at": lambda u, t, _: u.audit_entry_at(t, 1),
    "audit_heads": lambda u, t, _: u.audit_heads(t, 0, 9),
    "last_audit_head": lambda u, t, _: u.last_audit_head(t),
    "due_outbox": lambda u, t, m: u.due_outbox(t, m.now, 9),
    "waiting_outbox": lambda u, t, _: u.waiting_outbox(t, 9),
    "outbox_after": lambda u, t, _: u.outbox_after(t, "", 9).items,
}
"""What each reading method finds of the rows that `fill` made."""

WITHOUT_TENANT = {
    "tenants",
    "audit_tenants",
    "api_key_by_hash",
    "revocation_lists",
    "revocation_list",
    "save_revocation_list",
    "delete_revocation_list",
}
"""The administrator's lists, the look-up that finds the tenant, and what is public and nobody's."""

FOR_WORKERS = {
    "watched_transactions",
    "delete_idempotency_before",
    "delete_identity_queries_before",
    "delete_person_brakes_before",
    "unbound_persons",
    "next_outbox_due",
}
"""They take ``ALL_TENANTS`` only."""

CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "save_transaction": lambda u, m: u.save_transaction(
        m.transaction(1, tenant=m.theirs, version=2, status=Status.CANCELLED)
    ),
    "save_outbox": lambda u, m: u.save_outbox(m.message(1, tenant=m.theirs, delivered_at=m.now)),
    "erase_person": lambda u, m: u.erase_person(m.theirs, "per_only"),
    "delete_user_binding": lambda u, m: u.delete_user_binding(m.theirs, "only"),
    "delete_credential": lambda u, m: u.delete_credential(m.theirs, "crd_1"),
    "blobs.delete": lambda u, m: u.blobs.delete(m.theirs, BlobId("blb_1")),
    "save_api_key": lambda u, m: u.save_api_key(
        evolve(m.api_key(), tenant=m.theirs, key_hash=b"2" * 32, name="x")
    ),
    "save_webhook_endpoint": lambda u, m: u.save_webhook_endpoint(
        evolve(m.endpoint(), tenant=m.theirs, url="https://evil.test")
    ),
    "save_person": lambda u, m: u.save_person(m.person(5, m.theirs)),
    "save_tenant": lambda u, m: u.save_tenant(evolve(m.tenant(m.theirs), name="x")),
    "save_user_binding": lambda u, m: u.save_user_binding(
        evolve(m.binding(), tenant=m.theirs, user_id="only")
    ),
    "save_credential": lambda u, m: u.save_credential(
        m.credential(1, tenant=m.theirs, status=CredentialStatus.REVOKED)
    ),
    "add_transaction": lambda u, m: u.add_transaction(m.transaction(1, tenant=m.theirs)),
    "add_idempotency": lambda u, m: u.add_idempotency(m.idempotency(tenant=m.theirs)),
    "save_person_brake": lambda u, m: u.save_person_brake(m.theirs, "per_only", m.brake(9)),
    "save_request_counts": lambda u, m: u.save_request_counts(m.theirs, m.counts(9)),
    "add_identity_query": lambda u, m: u.add_identity_query(m.theirs, m.now.date(), m.id_number(5)),
    "add_outbox": lambda u, m: u.add_outbox(m.message(1, tenant=m.theirs)),
    "audit": lambda u, m: u.audit(m.theirs, m.audit("other")),
    "seal_audit": lambda u, m: u.seal_audit(m.theirs, {1: (7, b"7" * 32)}),
    "add_audit_head": lambda u, m: u.add_audit_head(m.audit_head(m.theirs)),
    "blobs.put": lambda u, m: u.blobs.put(m.theirs, BlobId("blb_1"), b"theirs"),
}
"""What the other tenant may try with our ids: its own rows come of it, or an error, or nothing."""


def fill(unit: Any, make: Any) -> None:
    """One row of everything, of our tenant only."""
    person = evolve(make.person(5), id=PersonId("per_only"))
    unit.save_person(person)
    unit.save_user_binding(evolve(make.binding(), user_id="only", person_id=person.id))
    unit.save_credential(
        make.credential(1, person_id=person.id, user_id="only", status=CredentialStatus.ENABLED)
    )
    unit.save_api_key(make.api_key())
    unit.save_webhook_endpoint(make.endpoint())
    unit.add_transaction(make.transaction(1, person_id=person.id, user_id="only"))
    unit.add_idempotency(make.idempotency())
    unit.audit(make.ours, make.audit(transaction="txn_0001"))
    unit.seal_audit(make.ours, {1: (1, b"1" * 32)})
    unit.add_audit_head(make.audit_head())
    unit.save_person_brake(make.ours, person.id, make.brake())
    unit.save_request_counts(make.ours, make.counts())
    unit.add_identity_query(make.ours, make.now.date(), make.id_number(5))
    unit.add_outbox(make.message())
    unit.blobs.put(make.ours, BlobId("blb_1"), b"ours")


def test_no_method_is_left_out() -> None:
    """Each method of the port stands in one of the tables of this module."""
    methods = {n for n, f in inspect.getmembers(UnitOfWork, inspect.isfunction) if n[0] != "_"}
    listed = FOUND.keys() | CHANGES.keys() | WITHOUT_TENANT | FOR_WORKERS
    assert methods - listed == set()
    blobs = {n for n, f in inspect.getmembers(Blobs, inspect.isfunction) if n[0] != "_"}
    assert blobs == {"put", "get", "delete"}


@pytest.mark.parametrize("method", sorted(FOUND))
async def test_another_tenant_finds_nothing(store: Any, make: Any, method: str) -> None:
    """The same question finds the row for its own tenant and nothing for another."""
    await store.write(lambda u: fill(u, make))
    assert await store.read(lambda u: FOUND[method](u, make.ours, make))
    assert not await store.read(lambda u: FOUND[method](u, make.theirs, make))


async def test_another_tenants_blob_is_unknown(store: Any, make: Any) -> None:
    """A blob id of another tenant is a KeyError."""
    await store.write(lambda u: fill(u, make))
    with pytest.raises(KeyError):
        await store.read(lambda u: u.blobs.get(make.theirs, BlobId("blb_1")))


@pytest.mark.parametrize("method", sorted(CHANGES))
async def test_another_tenant_changes_nothing(store: Any, make: Any, method: str) -> None:
    """Whatever another tenant writes under our ids, our rows stay as they were."""
    await store.write(lambda u: fill(u, make))

    def ours(unit: Any) -> list[Any]:
        rows = [find(unit, make.ours, make) for find in FOUND.values()]
        return [*rows, unit.blobs.get(make.ours, BlobId("blb_1"))]

    before = await store.read(ours)
    with contextlib.suppress(RuntimeError):
        await store.write(lambda u: CHANGES[method](u, make))
    assert await store.read(ours) == before
