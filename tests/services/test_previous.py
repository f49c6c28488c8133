"""Several signers of one file: ``previous``, and seals, as the services see them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from attrs import evolve

from moica_gateway.domain.models import Scope, Seal, Status, Transaction
from moica_gateway.domain.values import TransactionId
from moica_gateway.errors import GatewayError, error
from moica_gateway.services.commands import Caller, NewDocument, NewSignature
from moica_gateway.services.previous import previous_content
from tests.services.house import APPROVED, CALLER, REFUSED, STRANGER, House

CONTENT = b"%PDF-1.7 the document"
FIRST = NewSignature(
    user_id="u1", documents=(NewDocument(number="1", content=CONTENT),), format="pades"
)


async def begun(house: House, new: NewSignature, caller: Caller = CALLER) -> Transaction:
    """A transaction that the phone has heard of."""
    return (await house.services.signing.create(caller, new, None)).transaction


async def signed(house: House, new: NewSignature = FIRST) -> tuple[Transaction, bytes]:
    """Completed, with its artifact."""
    made = await begun(house, new)
    house.answer(APPROVED)
    await house.pass_time(4)
    done = await house.current(made)
    assert done.status is Status.COMPLETED
    artifact = await house.services.transactions.artifact(CALLER, made.id, None)
    return done, artifact.data


def again(previous: str, **changes: Any) -> NewSignature:
    """A further signature."""
    document = NewDocument(number="1", **changes)
    return evolve(FIRST, documents=(document,), previous=TransactionId(previous))


async def code_of(house: House, new: NewSignature, caller: Caller = CALLER) -> tuple[str, Any]:
    """Of the refusal, and the member that it names; nothing was made."""
    before = len(house.upstream.begun)
    with pytest.raises(GatewayError) as caught:
        await begun(house, new, caller)
    assert len(house.upstream.begun) == before
    assert "expected" in caught.value.problem.detail
    return caught.value.code, caught.value.problem.extra.get("member")


async def test_a_further_signature_is_over_what_was_signed(house: House) -> None:
    """The content is the artifact, byte for byte; which one stands in row and audit record."""
    await house.register()
    first, artifact = await signed(house)
    second, _ = await signed(house, again(first.id))
    assert second.previous == first.id
    assert second.documents[0].sha256 == hashlib.sha256(artifact).hexdigest()
    records = await house.store.read(
        lambda uow: uow.audit_records(CALLER.tenant, transaction_id=second.id)
    )
    assert records[0].data["previous"] == first.id
    third, _ = await signed(house, again(second.id))
    assert third.previous == second.id


async def test_the_digest_must_be_the_artifacts_where_it_is_given(house: House) -> None:
    """The document system may say which file it means."""
    await house.register()
    first, artifact = await signed(house)
    other = again(first.id, sha256="0" * 64)
    assert await code_of(house, other) == ("document_digest_mismatch", "document.sha256")
    right = again(first.id, sha256=hashlib.sha256(artifact).hexdigest())
    assert (await signed(house, right))[0].previous == first.id


async def test_what_cannot_be_appended_to_is_refused(house: House) -> None:
    """Unknown, foreign, of another kind or format, over several documents."""
    registration = await house.register()
    first, _ = await signed(house)
    plain, _ = await signed(house, evolve(FIRST, format="cades"))
    batch = evolve(FIRST, documents=tuple(NewDocument(number=n, content=n.encode()) for n in "12"))
    made = await begun(house, batch)
    for _ in batch.documents:
        house.answer(APPROVED)
        await house.pass_time(4)
    assert (await house.current(made)).status is Status.COMPLETED
    here = "previous"
    assert await code_of(house, again("txn_unknown")) == ("not_found", here)
    assert await code_of(house, again(registration.id)) == ("request_invalid", here)
    assert await code_of(house, again(plain.id)) == ("request_invalid", here)
    assert await code_of(house, again(made.id)) == ("request_invalid", here)
    wrong = evolve(again(first.id), format="cades")
    assert await code_of(house, wrong) == ("request_invalid", here)
    with_content = again(first.id, content=CONTENT)
    assert await code_of(house, with_content) == ("request_invalid", here)
    several = evolve(again(first.id), documents=batch.documents)
    assert await code_of(house, several) == ("request_invalid", here)


async def test_another_tenants_transaction_is_an_unknown_one(house: House) -> None:
    """The same answer, word for word."""
    await house.register()
    first, _ = await signed(house)
    stranger = evolve(STRANGER, scopes=frozenset(Scope))
    details = []
    for name in (first.id, "txn_unknown"):
        with pytest.raises(GatewayError) as caught:
            await previous_content(house.context, stranger, again(name), "pades")
        details.append((caught.value.code, caught.value.problem.detail))
    assert details[0] == details[1]
    assert details[0][0] == "not_found"


async def test_an_unfinished_or_failed_transaction_is_not_appended_to(house: House) -> None:
    """Wait for the one; the other has nothing."""
    await house.register()
    pending = await begun(house, FIRST)
    code = await code_of(house, again(pending.id))
    assert code == ("not_acceptable_yet", "previous")
    house.answer(REFUSED)
    await house.pass_time(4)
    assert await code_of(house, again(pending.id)) == ("request_invalid", "previous")


async def test_a_deleted_artifact_is_said(house: House) -> None:
    """Housekeeping has been there."""
    await house.register()
    first, _ = await signed(house)
    blob = first.documents[0].artifact
    assert blob is not None
    await house.store.write(lambda uow: uow.blobs.delete(CALLER.tenant, blob))
    assert await code_of(house, again(first.id)) == ("not_found", "previous")


async def test_a_seal_needs_a_format_that_can_be_seen(house: House) -> None:
    """Left out silently, it would be missed too late."""
    await house.register()
    seal = Seal(page=1, box=(1, 2, 3, 4))
    sealed = NewDocument(number="1", content=CONTENT, seal=seal)
    refused = evolve(FIRST, documents=(sealed,), format="cades")
    assert await code_of(house, refused) == ("request_invalid", "seal")
    both = evolve(FIRST, documents=(FIRST.documents[0], evolve(sealed, id="x")), format="cades")
    assert await code_of(house, both) == ("request_invalid", "documents[1].seal")


async def test_the_format_hears_of_the_seal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each document its own."""
    await house.register()
    heard: list[Any] = []
    prepare = house.context.workshop.prepare

    async def listen(name: str, document: Any, content: Any, context: Any) -> Any:
        heard.append(context.seal)
        return await prepare(name, document, content, context)

    monkeypatch.setattr(house.context.workshop, "prepare", listen)
    seal = Seal(field="Approval")
    one = NewDocument(number="1", content=CONTENT, seal=seal)
    await begun(house, evolve(FIRST, documents=(one, NewDocument(number="2", content=b"x"))))
    assert heard == [seal, None]


async def test_a_signature_is_not_lost_where_no_process_can_be_had(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phone has confirmed; the next poll brings the same answer, and it is made then."""
    await house.register()
    made = await begun(house, FIRST)
    finish = house.context.workshop.finish
    refusals = [error("internal_error", "expected a process, there is none")]

    async def once_not(*given: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await finish(*given)

    monkeypatch.setattr(house.context.workshop, "finish", once_not)
    house.answer(APPROVED, APPROVED)
    await house.pass_time(4)
    assert (await house.current(made)).status is Status.PENDING
    await house.pass_time(20)
    assert (await house.current(made)).status is Status.COMPLETED
