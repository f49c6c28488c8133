"""The unit of work: what goes in comes out, constraints hold, in both stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import CredentialStatus, Kind, Status
from moica_gateway.domain.values import BlobId, PersonId, TransactionId
from moica_gateway.errors import GatewayError
from moica_gateway.ports import ALL_TENANTS, TransactionFilter


async def put(store: Any, *works: Any) -> None:
    """Each in a unit of work of its own."""
    for work in works:
        await store.write(work)


async def test_transaction_comes_back_as_it_was_written(store: Any, make: Any) -> None:
    """A transaction with documents, a ticket, people and metadata survives, new and ended."""
    new = make.transaction()
    await put(store, lambda u: u.add_transaction(new))
    assert await store.read(lambda u: u.transaction(make.ours, new.id)) == new
    ended = make.ended(new)
    await put(store, lambda u: u.save_transaction(ended))
    assert await store.read(lambda u: u.transaction(make.ours, new.id)) == ended


async def test_a_batch_comes_back_with_its_tickets(store: Any, make: Any) -> None:
    """Which ticket covers a document, and which a challenge asks for, at every version."""
    before = make.transaction()
    first, second = before.documents
    made = evolve(before, documents=(first, evolve(second, ticket=1)))
    await store.write(lambda u: u.add_transaction(made))
    assert await store.read(lambda u: u.transaction(make.ours, made.id)) == made
    later = evolve(
        made,
        version=2,
        partial=True,
        documents=(
            evolve(first, status=Status.COMPLETED, artifact=BlobId("art_1")),
            made.documents[1],
        ),
        challenges=(*made.challenges, evolve(make.challenge(77), ticket=1)),
    )
    await store.write(lambda u: u.save_transaction(later))
    found = await store.read(lambda u: u.transaction(make.ours, made.id))
    assert found == later
    assert (found.tickets, found.ticket) == (2, 1)


async def test_instants_of_another_zone_come_back_equal_and_in_utc(store: Any, make: Any) -> None:
    """A deadline given in Taipei's time is the same instant when read."""
    taipei = timezone(timedelta(hours=8))
    at = datetime(2026, 4, 24, 14, 0, 0, 123456, tzinfo=taipei)
    await put(store, lambda u: u.add_transaction(make.transaction(expires_at=at)))
    read = await store.read(lambda u: u.transaction(make.ours, TransactionId("txn_0001")))
    assert read.expires_at == at == datetime(2026, 4, 24, 6, 0, 0, 123456, tzinfo=UTC)


async def test_naive_instants_are_refused(store: Any, make: Any) -> None:
    """A datetime without zone never reaches a table."""
    naive = datetime(2026, 4, 24, 14, 0)
    for work in (
        lambda u: u.add_transaction(make.transaction(expires_at=naive)),
        lambda u: u.save_tenant(evolve(make.tenant(), created_at=naive)),
        lambda u: u.audit(make.ours, evolve(make.audit(), at=naive)),
    ):
        with pytest.raises(ValueError, match="aware"):
            await store.write(work)
    assert await store.read(lambda u: u.audit_records(make.ours)) == ()


@pytest.mark.parametrize(
    ("stored", "saved", "works"), [(1, 2, True), (1, 1, True), (1, 3, False), (2, 1, False)]
)
async def test_save_needs_the_version_before(
    store: Any, make: Any, stored: int, saved: int, works: bool
) -> None:
    """A save over a version that the writer did not see raises and changes nothing."""
    new = make.transaction(version=stored)
    await put(store, lambda u: u.add_transaction(new))
    changed = evolve(new, version=saved, match_code="77")
    if works:
        await put(store, lambda u: u.save_transaction(changed))
    else:
        with pytest.raises(RuntimeError):
            await store.write(lambda u: u.save_transaction(changed))
    read = await store.read(lambda u: u.transaction(make.ours, new.id))
    assert read.match_code == ("77" if works else "42")


async def test_save_of_an_unknown_transaction_raises(store: Any, make: Any) -> None:
    """A transaction that was never added cannot be saved."""
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.save_transaction(make.transaction(version=2)))


async def test_challenges_are_added_changed_and_kept_in_order(store: Any, make: Any) -> None:
    """A second challenge appears behind the first, whose state changes, over several saves."""
    first, second = make.challenge(1, handle=False), make.challenge(2)
    new = make.transaction(challenges=(first,))
    await put(store, lambda u: u.add_transaction(new))

    def add(unit: Any) -> None:
        seen = unit.transaction(make.ours, new.id)
        sent = evolve(seen.challenges[0], handle=make.challenge(1).handle)
        unit.save_transaction(evolve(seen, version=2, challenges=(sent, second)))
        once_more = evolve(
            unit.transaction(make.ours, new.id), version=3, documents=(make.document(2),)
        )
        unit.save_transaction(once_more)

    await put(store, add)
    read = await store.read(lambda u: u.transaction(make.ours, new.id))
    assert read.challenges == (evolve(first, handle=make.challenge(1).handle), second)
    assert read.documents == (make.document(2),)


async def test_one_pending_transaction_a_person(store: Any, make: Any) -> None:
    """A second open transaction of a person is refused by the store itself."""
    await put(store, lambda u: u.add_transaction(make.transaction(1)))
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.add_transaction(make.transaction(2)))
    await put(store, lambda u: u.add_transaction(make.transaction(3, person=1)))
    first = make.transaction(1)
    assert await store.read(lambda u: u.open_transaction_of(make.ours, PersonId("per_0"))) == first
    await put(
        store,
        lambda u: u.save_transaction(make.ended(first)),
        lambda u: u.add_transaction(make.transaction(2)),
    )


@pytest.mark.parametrize("missing", ["person", "tenant"])
async def test_what_a_row_refers_to_must_exist(store: Any, make: Any, missing: str) -> None:
    """A transaction of an unknown person or tenant is refused."""
    changes: dict[str, Any] = {"person": 7} if missing == "person" else {"tenant": "nobody"}
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.add_transaction(make.transaction(1, **changes)))


async def test_lists_are_newest_first_and_paged(store: Any, make: Any) -> None:
    """All pages together are the whole list, without gap or repetition, at equal times too."""

    def fill(unit: Any) -> None:
        for n in range(1, 8):
            made = make.transaction(n, created_at=make.now + timedelta(seconds=n // 2))
            unit.add_transaction(evolve(made, status=Status.EXPIRED))

    await put(store, fill)
    seen, cursor = [], None
    while True:
        page = await store.read(
            lambda u, c=cursor: u.transactions(make.ours, TransactionFilter(), limit=3, cursor=c)
        )
        seen += [t.id for t in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"txn_{n:04d}" for n in range(7, 0, -1)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"user_id": "user1"}, [3]),
        ({"status": Status.PENDING}, [3, 1]),
        ({"status": Status.COMPLETED}, [2]),
        ({"kind": Kind.REGISTRATION}, [2]),
        ({"document_number": "1153000169"}, [3]),
        ({"created_from": 2}, [3, 2]),
        ({"created_until": 2}, [1]),
        ({"user_id": "user0", "status": Status.PENDING}, [1]),
        ({"user_id": "nobody"}, []),
    ],
)
async def test_lists_are_filtered(store: Any, make: Any, where: Any, expected: list[int]) -> None:
    """Every member of the filter counts; the start of a span counts in, its end does not."""
    spans = {
        k: make.now + timedelta(seconds=v) if k.startswith("created") else v
        for k, v in where.items()
    }

    def fill(unit: Any) -> None:
        unit.add_transaction(make.transaction(1))
        unit.add_transaction(make.transaction(2, status=Status.COMPLETED, kind=Kind.REGISTRATION))
        unit.add_transaction(make.transaction(3, person=1, documents=(make.document(9),)))

    await put(store, fill)
    page = await store.read(
        lambda u: u.transactions(make.ours, TransactionFilter(**spans), limit=10, cursor=None)
    )
    assert [t.id for t in page.items] == [f"txn_{n:04d}" for n in expected]
    assert page.next_cursor is None


@pytest.mark.parametrize("bad", ["", "x", "AAAA", "é", "A" * 600, "====", "\x00", "a b"])
async def test_foreign_cursors_are_refused(store: Any, make: Any, bad: str) -> None:
    """A cursor that we did not make is 422, in lists and, unless empty, in the feed."""
    with pytest.raises(GatewayError) as raised:
        await store.read(
            lambda u: u.transactions(make.ours, TransactionFilter(), limit=3, cursor=bad)
        )
    assert raised.value.code == "request_invalid"
    if bad:
        with pytest.raises(GatewayError) as raised:
            await store.read(lambda u: u.outbox_after(make.ours, bad, 3))
        assert raised.value.code == "request_invalid"


async def test_cursors_are_of_one_tenant_and_one_list(store: Any, make: Any) -> None:
    """A cursor of another tenant, or of the feed in a list, is refused."""

    def fill(unit: Any) -> None:
        for n in (1, 2):
            unit.add_transaction(make.transaction(n, status=Status.EXPIRED))
            unit.add_outbox(make.message(n))

    await put(store, fill)
    where = TransactionFilter()
    of_list = await store.read(lambda u: u.transactions(make.ours, where, limit=1, cursor=None))
    of_feed = await store.read(lambda u: u.outbox_after(make.ours, "", 1))
    for work in (
        lambda u: u.transactions(make.theirs, where, limit=1, cursor=of_list.next_cursor),
        lambda u: u.transactions(make.ours, where, limit=1, cursor=of_feed.next_cursor),
        lambda u: u.outbox_after(make.theirs, of_feed.next_cursor, 1),
        lambda u: u.outbox_after(make.ours, of_list.next_cursor, 1),
    ):
        with pytest.raises(GatewayError) as raised:
            await store.read(work)
        assert raised.value.code == "request_invalid"


async def test_schedulers_find_pending_and_watched(store: Any, make: Any) -> None:
    """Pending ones by tenant, document and credential; ended ones while a ticket still lives."""
    silent = make.transaction(3, person=1, challenges=(make.challenge(3, handle=False),))

    def fill(unit: Any) -> None:
        unit.add_transaction(make.transaction(1))
        unit.add_transaction(make.transaction(2, tenant=make.theirs))
        unit.add_transaction(silent)

    await put(store, fill)

    async def pending(tenant: Any, **where: Any) -> set[str]:
        found = await store.read(lambda u: u.pending_transactions(tenant, **where))
        return {t.id for t in found}

    assert await pending(ALL_TENANTS) == {"txn_0001", "txn_0002", "txn_0003"}
    assert await pending(make.ours) == {"txn_0001", "txn_0003"}
    assert await pending(make.ours, document_number="1153000161") == {"txn_0001", "txn_0003"}
    assert await pending(make.ours, document_number="1153000163") == set()
    assert await pending(make.ours, credential_id="crd_1") == {"txn_0001", "txn_0003"}
    assert await pending(make.ours, credential_id="crd_2") == set()

    async def watched(seconds: float) -> set[str]:
        at = make.now + timedelta(seconds=seconds)
        found = await store.read(lambda u: u.watched_transactions(ALL_TENANTS, at))
        return {t.id for t in found}

    assert await watched(0) == set()
    for transaction in (make.transaction(1), silent):
        await put(
            store,
            lambda u, t=transaction: u.save_transaction(
                evolve(t, version=2, status=Status.CANCELLED)
            ),
        )
    assert await watched(0) == {"txn_0001"}
    assert await watched(60) == set()


async def test_tenants_keys_and_endpoints_come_back(store: Any, make: Any) -> None:
    """Set-up survives, is replaced by a second save, and keeps the order of keys and secrets."""
    revoked = evolve(make.api_key(), revoked_at=make.now)
    off = evolve(make.endpoint(), enabled=False, ca_file="ca.pem")
    bare = evolve(make.tenant(), service_provider=None, name="改名")
    await put(
        store,
        lambda u: u.save_api_key(make.api_key()),
        lambda u: u.save_api_key(revoked),
        lambda u: u.save_webhook_endpoint(make.endpoint()),
        lambda u: u.save_webhook_endpoint(off),
    )
    assert await store.read(lambda u: u.tenant(make.ours)) == make.tenant()
    assert [t.id for t in await store.read(lambda u: u.tenants())] == [make.ours, make.theirs]
    assert await store.read(lambda u: u.api_key_by_hash(revoked.key_hash)) == revoked
    assert await store.read(lambda u: u.api_key_by_hash(b"?" * 32)) is None
    assert await store.read(lambda u: u.api_keys(make.ours)) == (revoked,)
    assert await store.read(lambda u: u.webhook_endpoints(make.ours)) == (off,)
    await put(store, lambda u: u.save_tenant(bare))
    assert await store.read(lambda u: u.tenant(make.ours)) == bare


async def test_one_key_hash_is_one_key(store: Any, make: Any) -> None:
    """Two API keys cannot share a hash, not even in two tenants."""
    await put(store, lambda u: u.save_api_key(make.api_key()))
    twin = evolve(make.api_key(), id="key_2", tenant=make.theirs)
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.save_api_key(twin))


async def test_people_are_found_by_id_number(store: Any, make: Any) -> None:
    """A person is found by ID number in its own tenant; one number is one person there."""
    person = make.person()
    assert await store.read(lambda u: u.person(make.ours, person.id)) == person
    found = await store.read(lambda u: u.person_by_id_number(make.ours, person.id_number))
    assert found == person
    assert await store.read(lambda u: u.person_by_id_number(make.ours, make.id_number(9))) is None
    known = evolve(person, hashed_id_num=None)
    await put(store, lambda u: u.save_person(known))
    assert await store.read(lambda u: u.person(make.ours, person.id)) == known
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.save_person(evolve(person, id=PersonId("per_x"))))


async def test_bindings(store: Any, make: Any) -> None:
    """A binding is written once, an equal one is no error, another person is."""
    binding = make.binding()
    await put(store, *[lambda u: u.save_user_binding(binding)] * 2)
    assert await store.read(lambda u: u.user_binding(make.ours, "user0")) == binding
    assert await store.read(lambda u: u.bindings_of_person(make.ours, PersonId("per_0"))) == (
        binding,
    )
    with pytest.raises(RuntimeError):
        await store.write(
            lambda u: u.save_user_binding(evolve(binding, person_id=PersonId("per_1")))
        )
    await put(store, *[lambda u: u.delete_user_binding(make.ours, "user0")] * 2)
    assert await store.read(lambda u: u.user_binding(make.ours, "user0")) is None


async def test_credentials(store: Any, make: Any) -> None:
    """Credentials are listed oldest first; at most one of a user is enabled; a fingerprint once."""
    old, new = make.credential(1), make.credential(2, status=CredentialStatus.ENABLED)
    await put(store, lambda u: u.save_credential(new), lambda u: u.save_credential(old))
    assert await store.read(lambda u: u.credentials(make.ours, "user0")) == (old, new)
    assert await store.read(lambda u: u.credential(make.ours, old.id)) == old
    assert await store.read(lambda u: u.enabled_credential(make.ours, "user0")) == new
    by_print = await store.read(
        lambda u: u.credential_by_fingerprint(make.ours, "user0", old.fingerprint_sha256)
    )
    assert by_print == old
    for bad in (
        evolve(old, status=CredentialStatus.ENABLED),
        make.credential(3, fingerprint_sha256=old.fingerprint_sha256),
        make.credential(4, person=9),
    ):
        with pytest.raises(RuntimeError):
            await store.write(lambda u, c=bad: u.save_credential(c))

    def switch(unit: Any) -> None:
        unit.save_credential(evolve(new, status=CredentialStatus.DISABLED))
        unit.save_credential(evolve(old, status=CredentialStatus.ENABLED))

    await put(store, switch)
    assert (await store.read(lambda u: u.enabled_credential(make.ours, "user0"))).id == old.id
    await put(store, *[lambda u: u.delete_credential(make.ours, old.id)] * 2)
    assert await store.read(lambda u: u.enabled_credential(make.ours, "user0")) is None


async def test_erasing_a_person(store: Any, make: Any) -> None:
    """Nothing personal is left, transactions and audit record stay readable and savable."""
    transaction = make.ended(make.transaction())

    def fill(unit: Any) -> None:
        unit.add_transaction(transaction)
        unit.add_transaction(make.transaction(2))
        unit.save_credential(make.credential())
        unit.audit(make.ours, make.audit())

    await put(store, fill)
    await put(store, *[lambda u: u.erase_person(make.ours, PersonId("per_0"))] * 2)
    await put(store, lambda u: u.erase_person(make.ours, PersonId("nobody")))
    assert await store.read(lambda u: u.person(make.ours, PersonId("per_0"))) is None
    number = make.id_number()
    assert await store.read(lambda u: u.person_by_id_number(make.ours, number)) is None

    left = await store.read(lambda u: u.transaction(make.ours, transaction.id))
    assert (left.hint, left.user_name, left.device_name) == ("", None, None)
    assert [(c.handle, c.return_url) for c in left.challenges] == [(None, None)]
    assert left.signature.certificate == b""
    assert left.signature.report == transaction.signature.report
    assert left.documents == transaction.documents
    assert left.metadata == transaction.metadata
    assert left.error == transaction.error

    credential = await store.read(lambda u: u.credential(make.ours, make.credential().id))
    assert (credential.certificate, credential.chain, credential.user_name) == (b"", (), None)
    assert (credential.subject_name, credential.id_number_masked) == ("", "")
    assert len(await store.read(lambda u: u.audit_records(make.ours))) == 1
    assert await store.read(lambda u: u.person(make.theirs, PersonId("per_0"))) is not None

    late = make.ended(make.transaction(2), Status.FAILED)
    await put(
        store, lambda u: u.save_transaction(late), lambda u: u.save_credential(make.credential())
    )
    read = await store.read(lambda u: u.transaction(make.ours, late.id))
    assert (read.status, read.hint, read.signature.certificate) == (Status.FAILED, "", b"")
    for work in (
        lambda u: u.save_person(make.person()),
        lambda u: u.add_transaction(make.transaction(3)),
        lambda u: u.save_credential(make.credential(2)),
    ):
        with pytest.raises(RuntimeError):
            await store.write(work)
    again = evolve(make.person(), id=PersonId("per_new"))
    await put(store, lambda u: u.save_person(again))
    assert await store.read(lambda u: u.person_by_id_number(make.ours, number)) == again


async def test_blobs(store: Any, make: Any) -> None:
    """Bytes come back, an id is used once, an unknown one is a KeyError, deleting is forgiving."""
    blob = BlobId("blb_1")
    await put(store, lambda u: u.blobs.put(make.ours, blob, b"\x00content"))
    assert await store.read(lambda u: u.blobs.get(make.ours, blob)) == b"\x00content"
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.blobs.put(make.ours, blob, b"other"))
    await put(store, *[lambda u: u.blobs.delete(make.ours, blob)] * 2)
    with pytest.raises(KeyError):
        await store.read(lambda u: u.blobs.get(make.ours, blob))


async def test_idempotency_keys_count_for_a_day(store: Any, make: Any, clock: Any) -> None:
    """A key is found for 24 hours, cannot be used twice in that time, and can be used after it."""
    record = make.idempotency()
    find = lambda u: u.idempotency(make.ours, "POST", "/v1/signatures", "abc")  # noqa: E731
    await put(store, lambda u: u.add_idempotency(record))
    assert await store.read(find) == record
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.add_idempotency(record))
    clock.advance_now(24 * 3600 - 1)
    assert await store.read(find) == record
    clock.advance_now(1)
    assert await store.read(find) is None
    later = evolve(record, created_at=clock.now())
    await put(store, lambda u: u.add_idempotency(later))
    assert await store.read(find) == later
    gone = await store.write(lambda u: u.delete_idempotency_before(ALL_TENANTS, clock.now()))
    assert gone == 0
    soon = clock.now() + timedelta(seconds=1)
    assert await store.write(lambda u: u.delete_idempotency_before(ALL_TENANTS, soon)) == 1


async def test_audit_records_keep_their_order(store: Any, make: Any) -> None:
    """Records come in the order of writing, of all or of one transaction, up to the limit."""
    records = [make.audit(f"a.{n}", "txn_0001" if n % 2 else None) for n in range(4)]
    await put(store, *[lambda u, r=r: u.audit(make.ours, r) for r in records])
    assert list(await store.read(lambda u: u.audit_records(make.ours))) == records
    assert list(await store.read(lambda u: u.audit_records(make.ours, limit=2))) == records[:2]
    of_one = await store.read(
        lambda u: u.audit_records(make.ours, transaction_id=TransactionId("txn_0001"))
    )
    assert list(of_one) == records[1::2]


async def test_outbox_keeps_a_transactions_order(store: Any, make: Any) -> None:
    """Of each transaction only the earliest undelivered message is due; a parked one gives way."""
    later = make.now + timedelta(seconds=5)
    messages = [
        make.message(1, "txn_a", next_attempt_at=later),
        make.message(2, "txn_a"),
        make.message(3, "txn_b", next_attempt_at=None),
        make.message(4, None),
        make.message(5, None),
        make.message(6, "txn_a", tenant=make.theirs),
    ]
    await put(store, *[lambda u, m=m: u.add_outbox(m) for m in messages])

    async def due(seconds: float, tenant: Any = ALL_TENANTS, limit: int = 10) -> list[str]:
        at = make.now + timedelta(seconds=seconds)
        return [m.id for m in await store.read(lambda u: u.due_outbox(tenant, at, limit))]

    assert await due(-1) == []
    assert await due(0) == ["evt_3", "evt_4", "evt_5", "evt_6"]
    assert await due(0, limit=2) == ["evt_3", "evt_4"]
    assert await due(0, make.theirs) == ["evt_6"]
    assert await due(5) == ["evt_3", "evt_4", "evt_5", "evt_6", "evt_1"]
    assert await store.read(lambda u: u.next_outbox_due(ALL_TENANTS)) == make.now

    await put(store, lambda u: u.save_outbox(evolve(messages[0], attempts=1, delivered_at=later)))
    assert await due(0) == ["evt_2", "evt_3", "evt_4", "evt_5", "evt_6"]
    await put(store, lambda u: u.add_outbox(make.message(7, "txn_a")))
    assert "evt_7" not in await due(9)
    await put(store, lambda u: u.save_outbox(evolve(messages[1], parked_at=later, last_error="x")))
    assert "evt_7" in await due(0)
    for n in (3, 4, 5, 6, 7):
        tenant = make.theirs if n == 6 else make.ours
        done = make.message(n, "x", tenant=tenant, delivered_at=later)
        await put(store, lambda u, m=done: u.save_outbox(m))
    assert await store.read(lambda u: u.next_outbox_due(ALL_TENANTS)) is None
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.save_outbox(make.message(99)))


async def test_feed(store: Any, make: Any) -> None:
    """The feed is every message, oldest first; its cursor goes on where the page ended."""
    assert (await store.read(lambda u: u.outbox_after(make.ours, "", 2))).next_cursor == ""
    for n in (1, 2, 3):
        await put(store, lambda u, n=n: u.add_outbox(make.message(n, None)))
    first = await store.read(lambda u: u.outbox_after(make.ours, "", 2))
    rest = await store.read(lambda u: u.outbox_after(make.ours, first.next_cursor, 2))
    end = await store.read(lambda u: u.outbox_after(make.ours, rest.next_cursor, 2))
    assert [m.id for m in first.items + rest.items] == ["evt_1", "evt_2", "evt_3"]
    assert first.items[0] == make.message(1, None, sequence=first.items[0].sequence)
    sequences = [m.sequence for m in first.items + rest.items]
    assert sequences == sorted(set(sequences))
    assert sequences[0] > 0
    assert (end.items, end.next_cursor) == ((), rest.next_cursor)


async def test_a_message_is_added_once(store: Any, make: Any) -> None:
    """The same event id twice is refused."""
    await put(store, lambda u: u.add_outbox(make.message()))
    with pytest.raises(RuntimeError):
        await store.write(lambda u: u.add_outbox(make.message()))


async def test_a_raising_work_undoes_only_itself(store: Any, make: Any) -> None:
    """What a failed work wrote is gone, with all that hangs on it; its error is the caller's."""

    class OwnError(Exception):
        pass

    def work(unit: Any) -> None:
        unit.add_transaction(make.transaction())
        unit.blobs.put(make.ours, BlobId("b"), b"x")
        unit.audit(make.ours, make.audit())
        raise OwnError

    with pytest.raises(OwnError):
        await store.write(work)
    assert await store.read(lambda u: u.transaction(make.ours, TransactionId("txn_0001"))) is None
    assert await store.read(lambda u: u.audit_records(make.ours)) == ()


async def test_read_cannot_write(store: Any, make: Any) -> None:
    """Every kind of writing raises inside a read."""
    for work in (
        lambda u: u.add_transaction(make.transaction()),
        lambda u: u.save_tenant(make.tenant()),
        lambda u: u.blobs.put(make.ours, BlobId("b"), b""),
        lambda u: u.erase_person(make.ours, PersonId("per_0")),
        lambda u: u.delete_idempotency_before(ALL_TENANTS, make.now),
    ):
        with pytest.raises(RuntimeError):
            await store.read(work)
    assert await store.read(lambda u: u.person(make.ours, PersonId("per_0"))) is not None
    assert await store.ready()
