"""The OpenAPI document against the JSON types and the error catalogue."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
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
    # The last one is told to people only, as a page.
    unasked = {"method_not_allowed", "vault_tampered", "page_code_invalid"}
    assert refusals - seen == unasked


def test_operations_are_named_once() -> None:
    """Clients are generated from the names."""
    names = [operation["operationId"] for operation in _operations()]
    assert len(set(names)) == len(names)


def _schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Everything below that is written as a schema; examples are not."""
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in {"example", "examples", "default"}:
                yield from _schemas(value)
    elif isinstance(node, list):
        for value in node:
            yield from _schemas(value)


def test_a_list_of_values_says_its_type() -> None:
    """Generated code has plain objects otherwise."""
    listed = [each for each in _schemas(DOCUMENT) if "enum" in each or "const" in each]
    assert listed
    assert all(each.get("type") in ("string", ["string", "null"]) for each in listed)


def test_answers_are_named_types_or_text_or_files() -> None:
    """Generated code names an object after its route otherwise, and takes a file for JSON."""
    for operation in _operations():
        if operation["operationId"] == "openapi":
            continue
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items():
                schema = content["schema"]
                if not status.startswith("2"):
                    continue
                if media_type == "application/json":
                    assert set(schema) == {"$ref"}, operation["operationId"]
                else:
                    assert schema["type"] == "string", operation["operationId"]


async def test_the_page_for_people_names_everything_and_needs_nothing(api: Any) -> None:
    """Every route, type and code; no script, no address of another host; its style is permitted."""
    status, page, headers = await api.call("GET", "/docs")
    text = page.decode()
    assert status == 200
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            assert f'id="{operation["operationId"]}"' in text
            assert f"<code>{path}</code>" in text
    assert all(f'id="type-{name}"' in text for name in DOCUMENT["components"]["schemas"])
    assert all(f"<code>{code}</code>" in text for code in CATALOGUE)
    assert not re.search(r"<script|src=|https?://", text)
    style = re.search("<style>(.*?)</style>", text, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in headers["Content-Security-Policy"]
