"""``POST /v1/signature-batches`` over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from moica_gateway.domain.models import Approved, CertificateSignature, Refused
from moica_gateway.errors import problem

DOCUMENTS = [{"id": f"d{n}", "number": f"115300{n}", "sha256": f"{n}" * 64} for n in range(3)]
BATCH = {"user_id": "u1", "documents": DOCUMENTS}


def confirmed(count: int) -> Approved:
    """An approval with so many signatures."""
    proof = CertificateSignature(
        unverified_certificate=b"c",
        unverified_signatures=(b"s",) * count,
        hashed_id_num="h",
        raw=b"{}",
    )
    return Approved(proof=proof)


async def answered(api: Any, answer: Any) -> None:
    """The latest ticket is answered."""
    api.upstream.answer(f"ticket-{len(api.upstream.begun)}", answer)
    await api.clock.advance(4)
    await api.clock.settle()


@pytest.fixture
def small(api: Any) -> Any:
    """Two documents a ticket."""
    api.upstream.max_messages = 2
    return api


async def test_a_batch_shows_which_ticket_is_asked_and_what_is_signed(small: Any) -> None:
    """From the 201 on, for key and browser; what is signed is fetched while the rest is asked."""
    await small.registered()
    status, made, headers = await small.call("POST", "/v1/signature-batches", BATCH)
    assert (status, made["ticket"], made["tickets"]) == (201, 0, 2)
    assert headers["Location"] == f"/v1/transactions/{made['id']}"
    assert [d.get("ticket", 0) for d in made["documents"]] == [0, 0, 1]
    await answered(small, confirmed(2))
    one = f"/v1/transactions/{made['id']}"
    _, now, _ = await small.call("GET", one)
    assert (now["status"], now["ticket"]) == ("pending", 1)
    assert [d.get("status") for d in now["documents"]] == ["completed", "completed", None]
    assert [c.get("ticket", 0) for c in now["challenges"]] == [0, 1]
    assert "signature" not in now
    _, seen, _ = await small.call("GET", one, token=made["browser_token"])
    assert (seen["ticket"], seen["tickets"]) == (1, 2)
    status, artifact, _ = await small.call("GET", f"{one}/artifact?document=d1")
    assert (status, artifact) == (200, b"1" * 64 + b"|s")
    status, not_yet, _ = await small.call("GET", f"{one}/artifact?document=d2")
    assert (status, not_yet["code"]) == (409, "not_acceptable_yet")
    await answered(small, confirmed(1))
    _, ended, _ = await small.call("GET", one)
    assert (ended["status"], "partial" in ended) == ("completed", False)
    assert ended["signature"]["report"]


async def test_a_stopped_batch_is_partial(small: Any) -> None:
    """Key and browser are told so, with each document's status; what is signed is fetched."""
    await small.registered()
    _, made, _ = await small.call("POST", "/v1/signature-batches", BATCH)
    await answered(small, confirmed(2))
    await answered(small, Refused(problem=problem("holder_refused", "x")))
    one = f"/v1/transactions/{made['id']}"
    for token in (None, made["browser_token"]):
        _, ended, _ = await small.call("GET", one, token=token)
        assert (ended["status"], ended["partial"]) == ("rejected", True)
        states = [d["status"] for d in ended["documents"]]
        assert states == ["completed", "completed", "rejected"]
    status, _, _ = await small.call("GET", f"{one}/artifact?document=d0")
    assert status == 200
    status, gone, _ = await small.call("GET", f"{one}/artifact?document=d2")
    assert (status, gone["code"]) == (404, "not_found")


async def test_one_document_is_a_batch_of_one_ticket(api: Any) -> None:
    """It looks like a single signature, without ticket members."""
    await api.registered()
    body = {**BATCH, "documents": DOCUMENTS[:1]}
    status, made, _ = await api.call("POST", "/v1/signature-batches", body)
    assert status == 201
    assert not {"ticket", "tickets"} & set(made)


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"documents": []}, "documents"),
        ({"documents": {}}, "documents"),
        ({"documents": None}, "documents"),
        ({"documents": DOCUMENTS, "document": DOCUMENTS[0]}, "document"),
        ({"documents": [DOCUMENTS[0], 7]}, "documents[1]"),
        ({"documents": [DOCUMENTS[0], {**DOCUMENTS[1], "sha256": "x"}]}, "documents[1].sha256"),
        ({"documents": [DOCUMENTS[0], {**DOCUMENTS[1], "x": 1}]}, "documents[1].x"),
        ({"documents": [DOCUMENTS[0], DOCUMENTS[0]]}, "documents[1].id"),
        ({"documents": [{**DOCUMENTS[0], "number": "a b"}, *DOCUMENTS[1:]]}, "documents[0].number"),
        ({"documents": [{"number": "1", "sha256": "0" * 64}] * 101}, "documents"),
        ({"documents": DOCUMENTS, "previous": "txn_1"}, "previous"),
        ({"documents": DOCUMENTS[:2], "device_name": "x"}, "device_name"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_exists(
    api: Any, changes: dict[str, Any], member: str
) -> None:
    """422 with the member, of a document with its place; no phone rings."""
    api.upstream.max_messages = 20
    await api.registered()
    object.__setattr__(api.client.app, "_client_max_size", 2**20)
    begun = len(api.upstream.begun)
    body = {"user_id": "u1", **changes}
    status, said, _ = await api.call("POST", "/v1/signature-batches", body)
    assert (status, said["code"], said["member"]) == (422, "request_invalid", member)
    if member.startswith("documents["):
        assert said["document_index"] == int(member[10])
    assert len(api.upstream.begun) == begun
    _, listed, _ = await api.call("GET", "/v1/transactions?kind=signature")
    assert listed["items"] == []


@pytest.mark.parametrize(
    "attachments",
    [[{"name": "a.pdf", "media_type": "application/pdf", "sha256": "0" * 64}], {}, "", 0, False],
    ids=repr,
)
async def test_attachments_are_refused_and_never_left_out(api: Any, attachments: Any) -> None:
    """422 that names the member and says what to do: no format covers them yet."""
    await api.registered()
    begun = len(api.upstream.begun)
    document = {**DOCUMENTS[0], "attachments": attachments}
    for path, body, member in (
        ("/v1/signatures", {"document": document}, "document.attachments"),
        (
            "/v1/signature-batches",
            {"documents": [DOCUMENTS[1], document]},
            "documents[1].attachments",
        ),
    ):
        status, said, _ = await api.call("POST", path, {"user_id": "u1", **body})
        assert (status, said["code"], said["member"]) == (422, "request_invalid", member)
        assert "sends the document alone" in said["detail"]
    assert said["document_index"] == 1
    assert len(api.upstream.begun) == begun


async def test_for_whom_it_is_signed_is_told_to_keys_and_not_to_browsers(api: Any) -> None:
    """As it was asked for, in every later answer; for one document and for several."""
    await api.registered()
    behalf = {"user_id": "chief01", "reason": "公假"}
    for path, body in (
        ("/v1/signatures", {"document": DOCUMENTS[0]}),
        ("/v1/signature-batches", {"documents": DOCUMENTS}),
    ):
        asked = {"user_id": "u1", "on_behalf_of": behalf, "supersede": True, **body}
        status, made, _ = await api.call("POST", path, asked)
        assert (status, made["on_behalf_of"]) == (201, behalf)
        where = f"/v1/transactions/{made['id']}"
        assert (await api.call("GET", where))[1]["on_behalf_of"] == behalf
        _, seen, _ = await api.call("GET", where, token=made["browser_token"])
        assert "on_behalf_of" not in seen


async def test_no_attachments_may_be_said(api: Any) -> None:
    """An empty list, or null, leaves nothing out."""
    await api.registered()
    for attachments in ([], None):
        body = {
            "user_id": "u1",
            "document": {**DOCUMENTS[0], "attachments": attachments},
            "supersede": True,
        }
        status, _, _ = await api.call("POST", "/v1/signatures", body)
        assert status == 201


async def test_a_batch_needs_its_scope_and_is_made_once_under_a_key(small: Any) -> None:
    """A reading key is refused; the second call with the key makes nothing."""
    await small.registered()
    path = "/v1/signature-batches"
    status, said, _ = await small.call("POST", path, BATCH, token=small.reader)
    assert (status, said["code"]) == (403, "forbidden")
    key = {"Idempotency-Key": "k1"}
    _, first, _ = await small.call("POST", path, BATCH, headers=key)
    begun = len(small.upstream.begun)
    status, again, headers = await small.call("POST", path, BATCH, headers=key)
    assert (status, again["id"]) == (201, first["id"])
    assert headers["Idempotency-Replayed"] == "true"
    assert len(small.upstream.begun) == begun
    status, said, _ = await small.call(
        "GET", f"/v1/transactions/{first['id']}", token=small.foreign
    )
    assert (status, said["code"]) == (404, "not_found")
