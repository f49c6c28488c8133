"""``document.seal`` and ``previous`` over HTTP."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from moica_gateway.wire import DocumentRequest, SealRequest, SignatureRequest
from tests.web.conftest import APPROVED

CONTENT = base64.b64encode(b"%PDF-").decode()
DOCUMENT = {"number": "1", "content_base64": CONTENT}
BODY = {"user_id": "u1", "format": "pades", "document": DOCUMENT}


@pytest.mark.parametrize(
    ("seal", "member"),
    [
        ({}, "seal"),
        (7, "seal"),
        ({"page": 1}, "seal"),
        ({"box": [1, 2, 3, 4]}, "seal"),
        ({"field": "A", "page": 1, "box": [1, 2, 3, 4]}, "seal"),
        ({"field": ""}, "seal.field"),
        ({"field": "a\u0000"}, "seal.field"),
        ({"page": 0, "box": [1, 2, 3, 4]}, "seal.page"),
        ({"page": 1, "box": [1, 2, 3]}, "seal.box"),
        ({"page": 1, "box": [1, 2, 3, "4"]}, "seal.box"),
        ({"page": 1, "box": [1, 2, 3, True]}, "seal.box"),
        ({"page": 1, "box": [1, 2, 3, 1e9]}, "seal.box"),
        ({"page": 1, "box": [1, 2, 3, 4], "colour": "red"}, "seal.colour"),
    ],
)
async def test_a_seal_that_is_none_is_refused(api: Any, seal: Any, member: str) -> None:
    """422 with the member."""
    await api.registered()
    body = {**BODY, "document": {**DOCUMENT, "seal": seal}}
    status, said, _ = await api.call("POST", "/v1/signatures", body)
    assert (status, said["code"]) == (422, "request_invalid")
    assert said["member"] == f"document.{member}"


async def test_a_seal_is_taken_by_the_format_that_has_one(api: Any) -> None:
    """With a field, or a page and a box; another format refuses it."""
    await api.registered()
    for seal in ({"field": "Approval"}, {"page": 1, "box": [1, 2.5, 300, 400]}):
        body = {**BODY, "document": {**DOCUMENT, "seal": seal}, "supersede": True}
        status, _, _ = await api.call("POST", "/v1/signatures", body)
        assert status == 201
        status, said, _ = await api.call("POST", "/v1/signatures", {**body, "format": "cades"})
        assert (status, said["member"]) == (422, "seal")


async def test_previous_is_taken_and_told_to_keys_only(api: Any) -> None:
    """The document needs its number alone; a browser does not see it; a foreign key finds none."""
    await api.registered()
    _, first, _ = await api.call("POST", "/v1/signatures", BODY)
    status, said, _ = await api.call(
        "POST", "/v1/signatures", {**BODY, "document": {"number": "1"}, "previous": first["id"]}
    )
    assert (status, said["code"], said["member"]) == (409, "not_acceptable_yet", "previous")
    api.upstream.answer(f"ticket-{len(api.upstream.begun)}", APPROVED)
    await api.clock.advance(4)
    await api.clock.settle()
    body = {**BODY, "document": {"number": "1"}, "previous": first["id"]}
    status, second, _ = await api.call("POST", "/v1/signatures", body)
    assert (status, second["previous"]) == (201, first["id"])
    token = second["browser_token"]
    path = f"/v1/transactions/{second['id']}"
    _, seen, _ = await api.call("GET", path, token=token)
    assert "previous" not in seen
    status, said, _ = await api.call("POST", "/v1/signatures", {**body, "previous": "txn_0"})
    assert (status, said["code"], said["member"]) == (404, "not_found", "previous")
    status, said, _ = await api.call("POST", "/v1/signatures", {**body, "previous": "../x"})
    assert (status, said["code"], said["member"]) == (422, "request_invalid", "previous")


async def test_without_previous_the_document_is_needed(api: Any) -> None:
    """A digest or the content."""
    await api.registered()
    status, said, _ = await api.call(
        "POST", "/v1/signatures", {**BODY, "document": {"number": "1"}}
    )
    assert (status, said["member"]) == (422, "document.sha256")


def test_the_sdks_request_is_read_as_it_was_written() -> None:
    """Seal and previous go over the wire and back."""
    for seal in (SealRequest(field="A"), SealRequest(page=2, box=(1.0, 2.5, 3.0, 4.0))):
        document = DocumentRequest(number="1", content=b"x", seal=seal)
        request = SignatureRequest(user_id="u", document=document, previous="txn_1")
        assert SignatureRequest.parse(request.to_json()) == request
