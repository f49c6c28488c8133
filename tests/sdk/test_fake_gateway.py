"""The double for a vendor's own tests, and that it answers as the gateway does."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from moica_gateway import (
    Cancelled,
    Completed,
    DocumentRequest,
    Expired,
    Failed,
    GatewayClient,
    GatewayError,
    Outcome,
    Pending,
    Rejected,
    WebhookReceiver,
)
from moica_gateway.testing.gateway import FakeGateway
from tests.stage import on_stage

DOCUMENT = DocumentRequest(number="1153000165", version="3", content=b"the frozen version")
DIGEST = hashlib.sha256(b"the frozen version").hexdigest()


@pytest.fixture
def gateway() -> FakeGateway:
    """With a user who may sign."""
    made = FakeGateway()
    made.registered("clerk01", "王小明")
    return made


@pytest.mark.parametrize(
    ("status", "class_", "code"),
    [
        ("completed", Completed, None),
        ("rejected", Rejected, "holder_refused"),
        ("expired", Expired, "expired"),
        ("cancelled", Cancelled, "cancelled"),
        ("failed", Failed, "upstream_unreachable"),
    ],
)
async def test_a_transaction_ends_as_the_test_says(
    gateway: FakeGateway, status: str, class_: type[Outcome], code: str | None
) -> None:
    """With the problem that the gateway would give; after it, things go well again."""
    gateway.will(status)
    async with gateway.client() as client:
        outcome = await client.sign(user_id="clerk01", document=DOCUMENT)
        assert type(outcome) is class_
        assert (outcome.error and outcome.error.code) == code
        assert type(await client.sign(user_id="clerk01", document=DOCUMENT)) is Completed


async def test_a_transaction_may_be_kept_open_and_ended_by_hand(gateway: FakeGateway) -> None:
    """So that a waiting window can be tested."""
    gateway.will("pending")
    async with gateway.client() as client:
        begun = await client.begin_signature(user_id="clerk01", document=DOCUMENT)
        assert type(await client.outcome(begun, seconds=0)) is Pending
        gateway.end(begun.id, "failed", "certificate_revoked")
        outcome = await client.outcome(begun)
        assert outcome.error is not None
        assert outcome.error.code == "certificate_revoked"
        assert "憑證" in outcome.error.user_message["zh-TW"]


async def test_the_next_request_is_refused_as_the_test_says(gateway: FakeGateway) -> None:
    """A problem document, raised by the client as the error of its class."""
    gateway.will_refuse("push_paused")
    async with gateway.client() as client:
        with pytest.raises(GatewayError) as raised:
            await client.sign(user_id="clerk01", document=DOCUMENT)
        assert (raised.value.code, raised.value.problem.what_helps) == ("push_paused", "qr")
        await client.sign(user_id="clerk01", document=DOCUMENT)


def test_the_blocking_client_is_answered_too(gateway: FakeGateway) -> None:
    """And what was asked can be looked at."""
    with gateway.blocking_client() as client:
        outcome = client.sign(user_id="clerk01", document=DOCUMENT)
        artifact = client.artifact(outcome.transaction_id)
    assert artifact.data.startswith(b"a placeholder, no signature")
    assert gateway.asked[0].path == "/v1/signatures"
    assert gateway.asked[0].body["document"]["number"] == "1153000165"


async def test_its_webhooks_are_signed_and_match_what_was_asked(gateway: FakeGateway) -> None:
    """The receiver of the SDK takes them, and nothing under another secret."""
    async with gateway.client() as client:
        ended = await client.sign(user_id="clerk01", document=DOCUMENT)
    headers, body = gateway.webhook(ended.transaction_id)
    event = WebhookReceiver(gateway.webhook_secret).receive(headers, body)
    assert event.type == "signature.completed"
    assert Outcome.of_event(event).documents == ended.documents
    with pytest.raises(GatewayError):
        WebhookReceiver("whsec_b3RoZXI=").receive(headers, body)


def test_a_word_that_the_gateway_does_not_know_is_a_mistake_of_the_test(
    gateway: FakeGateway,
) -> None:
    """It is said at once, with the words that are known."""
    with pytest.raises(ValueError, match="completed"):
        gateway.will("signed")
    with pytest.raises(ValueError, match="catalogue"):
        gateway.will_refuse("tired")


async def _vendor(client: GatewayClient) -> list[Any]:
    """What a vendor's program does, and what it sees of it."""
    seen: list[Any] = []

    async def see(call: Any) -> Any:
        try:
            value = await call
        except GatewayError as e:
            seen.append((e.code, e.problem.status))
            return None
        view = value
        if hasattr(view, "to_json"):
            members = view.to_json()
            seen.append((type(view).__name__, view.status, sorted(members)))
        else:
            seen.append((type(view).__name__, getattr(view, "status", None)))
        return value

    await see(client.sign(user_id="u1", document=DOCUMENT))
    await see(client.transaction("txn_nobodys"))
    await see(client.register(user_id="u1", id_number="A123456789", metadata={"a": "b"}))
    (credential,) = await client.credentials("u1")
    seen.append(sorted(credential.to_json()))
    begun = await see(client.begin_signature(user_id="u1", document=DOCUMENT, idempotency_key="k"))
    again = await client.begin_signature(user_id="u1", document=DOCUMENT, idempotency_key="k")
    seen.append(again.id == begun.id)
    other = DocumentRequest(number="2", sha256="0" * 64)
    await see(client.begin_signature(user_id="u1", document=other, idempotency_key="k"))
    ended = await client.outcome(begun)
    seen.append((type(ended).__name__, ended.documents))
    await see(client.artifact(begun.id))
    await see(client.artifact(begun.id, "another"))
    await see(client.cancel(begun.id))
    await see(client.add_challenge(begun.id, "qr"))
    seen.append([view.kind for view in [v async for v in client.transactions(user_id="u1")]])
    seen.append([view async for view in client.transactions(document_number="nobodys")])
    events, cursor = await client.events()
    seen.append([(event.type, sorted(event.data)) for event in events])
    seen.append((await client.events(cursor))[0])
    batch = [DocumentRequest(number=str(n), sha256="0" * 64, id=f"d{n}") for n in range(1, 4)]
    whole = await see(client.sign_batch(user_id="u1", documents=batch))
    seen.append([(d.number, d.status) for d in whole.documents])
    await see(client.artifact(whole.transaction_id, "d2"))
    await see(client.artifact(whole.transaction_id))
    there = await see(client.begin_authentication(user_id="u1"))
    await see(client.outcome(there))
    seen.append((await client.transaction(there.id)).assurance)
    bare = await client.authenticate(id_number="A123456789")
    seen.append((await client.transaction(bare.transaction_id)).assurance)
    await see(client.artifact(bare.transaction_id))
    seen.append(await client.device_status(user_id="u1"))
    await see(client.disable_credential(credential.id))
    await see(client.sign(user_id="u1", document=DOCUMENT))
    await see(client.enable_credential(credential.id))
    await client.delete_user("u1")
    seen.append(await client.credentials("u1"))
    return seen


async def test_the_double_answers_as_the_gateway_does(tmp_path: Path) -> None:
    """One program, once on the double and once on gateway and simulator: it sees the same."""
    fake = FakeGateway()
    async with fake.client() as client:
        played = await _vendor(client)
    async with on_stage(tmp_path) as stage:
        await stage.simulator.add_person("A123456789", "王小明")
        phone = await stage.simulator.bind_device("A123456789")
        await stage.simulator.set_behaviour(phone.id, "confirm")
        async with GatewayClient(stage.url, stage.api_key) as client:
            real = await asyncio.wait_for(_vendor(client), 60)
    for number, (of_double, of_gateway) in enumerate(zip(played, real, strict=True)):
        assert of_double == of_gateway, number
