"""The OpenAPI document against the JSON types and the error catalogue."""

from __future__ import annotations

from typing import Any

import pytest

from moica_gateway.errors import CATALOGUE
from moica_gateway.web.api.openapi import openapi_document
from moica_gateway.wire import (
    ChallengeRequest,
    ChallengeView,
    CheckView,
    CredentialView,
    DocumentRequest,
    DocumentView,
    EventView,
    OnBehalfOf,
    RegistrationRequest,
    SignatureRequest,
    SignatureView,
    TransactionView,
)

DOCUMENT = openapi_document("1")
TYPES = {
    "ChallengeRequest": ChallengeRequest,
    "Challenge": ChallengeView,
    "Check": CheckView,
    "Credential": CredentialView,
    "DocumentRequest": DocumentRequest,
    "Document": DocumentView,
    "Event": EventView,
    "OnBehalfOf": OnBehalfOf,
    "RegistrationRequest": RegistrationRequest,
    "SignatureRequest": SignatureRequest,
    "Signature": SignatureView,
    "Transaction": TransactionView,
}
RENAMED = {"content": "content_base64"}


@pytest.mark.parametrize("name", TYPES)
def test_every_member_of_a_json_type_is_documented(name: str) -> None:
    """And none that is not there."""
    fields = {RENAMED.get(f.name, f.name) for f in TYPES[name].__attrs_attrs__}  # type: ignore[attr-defined]
    assert set(DOCUMENT["components"]["schemas"][name]["properties"]) == fields


def _operations() -> list[dict[str, Any]]:
    return [op for item in DOCUMENT["paths"].values() for op in item.values()]


def test_every_refusal_has_an_example_as_it_is_answered() -> None:
    """With the status that it stands under, and both languages."""
    seen = set()
    for operation in _operations():
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/problem+json", {})
            for code, example in content.get("examples", {}).items():
                assert example["value"]["code"] == code
                assert example["value"]["status"] == int(status)
                assert set(example["value"]["user_message"]) == {"zh-TW", "en"}
                seen.add(code)
    refusals = {code for code, row in CATALOGUE.items() if row.status >= 400}
    assert refusals - seen == {"method_not_allowed", "vault_tampered"}


def test_operations_are_named_once() -> None:
    """Clients are generated from the names."""
    names = [operation["operationId"] for operation in _operations()]
    assert len(set(names)) == len(names)
