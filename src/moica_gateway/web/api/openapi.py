"""OpenAPI 3.1 of exactly the routes of this version; a test holds it against the router."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["openapi_document"]

_ID: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def _query(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema or {"type": "string"}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _operation(
    summary: str,
    ok: dict[str, dict[str, Any]],
    *,
    parameters: tuple[dict[str, Any], ...] = (),
    body: str | None = None,
    open_: bool = False,
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {
            **ok,
            "default": {
                "description": "A problem document",
                "content": {"application/problem+json": {"schema": _ref("Problem")}},
            },
        },
    }
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(body)}},
        }
    if open_:
        operation["security"] = []
    return operation


def _page(item: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": _ref(item)},
            "next_cursor": {"type": ["string", "null"]},
        },
    }


_TRANSACTION: Final = {"200": _json(_ref("Transaction"), "The transaction")}
_CREATED: Final = {"201": _json(_ref("Transaction"), "The transaction exists")}
_PAGING: Final = (
    _query("limit", type="integer", minimum=1, maximum=200, default=50),
    _query("cursor"),
)


def _paths() -> dict[str, Any]:
    credential = {"200": _json(_ref("Credential"), "The credential")}
    nothing = {"204": {"description": "Done"}}
    image = {"200": {"description": "An image"}}
    return {
        "/v1/registrations": {
            "post": _operation(
                "Register a certificate",
                _CREATED,
                parameters=(_KEY,),
                body="RegistrationRequest",
            )
        },
        "/v1/signatures": {
            "post": _operation(
                "Sign a document", _CREATED, parameters=(_KEY,), body="SignatureRequest"
            )
        },
        "/v1/transactions": {
            "get": _operation(
                "List transactions, newest first",
                {"200": _json(_page("Transaction"), "A page")},
                parameters=(
                    _query("user_id"),
                    _query("document_number"),
                    _query("status"),
                    _query("kind"),
                    _query("created_from", type="string", format="date-time"),
                    _query("created_until", type="string", format="date-time"),
                    *_PAGING,
                ),
            )
        },
        "/v1/transactions/cancel": {
            "post": _operation(
                "Recall a document",
                {"200": _json(_page("Transaction"), "What was cancelled")},
                body="DocumentNumber",
            )
        },
        "/v1/transactions/{id}": {
            "get": _operation(
                "One transaction, at once or after a change",
                _TRANSACTION,
                parameters=(
                    _ID,
                    _query("wait", type="integer", minimum=0, maximum=55),
                    _query("since", type="integer", minimum=0),
                ),
            )
        },
        "/v1/transactions/{id}/events": {
            "get": _operation(
                "Server-sent events",
                {
                    "200": {"description": "Events", "content": {"text/event-stream": {}}},
                    "204": {"description": "The terminal state was heard"},
                },
                parameters=(_ID,),
            )
        },
        "/v1/transactions/{id}/challenges": {
            "post": _operation(
                "A further way to reach the phone",
                _CREATED,
                parameters=(_ID, _KEY),
                body="ChallengeRequest",
            )
        },
        "/v1/transactions/{id}/qr.svg": {"get": _operation("QR code", image, parameters=(_ID,))},
        "/v1/transactions/{id}/cancel": {
            "post": _operation("Take it back", _TRANSACTION, parameters=(_ID,))
        },
        "/v1/transactions/{id}/browser-tokens": {
            "post": _operation(
                "A token for the widget",
                {"201": _json(_ref("BrowserToken"), "The token")},
                parameters=(_ID,),
            )
        },
        "/v1/transactions/{id}/artifact": {
            "get": _operation(
                "The signed thing",
                {"200": {"description": "As the format says"}},
                parameters=(_ID, _query("document")),
            )
        },
        "/v1/credentials": {
            "get": _operation(
                "A user's credentials",
                {"200": _json(_page("Credential"), "All of them")},
                parameters=({**_query("user_id"), "required": True},),
            )
        },
        "/v1/credentials/{id}/enable": {
            "post": _operation("Enable one", credential, parameters=(_ID,))
        },
        "/v1/credentials/{id}/disable": {
            "post": _operation("Disable one", credential, parameters=(_ID,))
        },
        "/v1/credentials/{id}": {"delete": _operation("Forget one", nothing, parameters=(_ID,))},
        "/v1/users/{id}": {"delete": _operation("Erase a user", nothing, parameters=(_ID,))},
        "/v1/events": {
            "get": _operation(
                "The events as a feed",
                {"200": _json(_page("Event"), "A page; go on from next_cursor")},
                parameters=(_query("after"), _PAGING[0]),
            )
        },
        **{
            path: {"get": _operation(summary, {"200": {"description": "ok"}}, open_=True)}
            for path, summary in (
                ("/healthz", "Alive"),
                ("/readyz", "Takes requests"),
                ("/version", "Versions"),
                ("/metrics", "Prometheus metrics"),
                ("/openapi.json", "This document"),
                ("/widget/v1.js", "The browser widget"),
            )
        },
    }


def _object(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


_S: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}
_ASKING: Final = {
    "user_id": {"type": "string", "maxLength": 100},
    "channel": {"enum": ["push", "qr", "app_link", "redirect"], "default": "push"},
    "device_name": {"type": "string", "maxLength": 50},
    "time_limit": {"type": "integer", "minimum": 30, "maximum": 600},
    "supersede": {"type": "boolean", "default": False},
    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
}


def _schemas() -> dict[str, Any]:
    return {
        "RegistrationRequest": {
            **_object(
                ("user_id", "id_number"),
                **_ASKING,
                id_number=_S,
                user_name=_S,
                enable={"type": "boolean", "default": True},
            ),
            "additionalProperties": False,
            "examples": [{"user_id": "clerk01", "id_number": "A123456789", "user_name": "王小明"}],
        },
        "SignatureRequest": {
            **_object(
                ("user_id", "document"),
                **_ASKING,
                document=_ref("DocumentRequest"),
                format={"enum": ["cades", "pkcs1"], "default": "cades"},
                level={"enum": ["B-B"]},
                on_behalf_of=_object(("user_id", "reason"), user_id=_S, reason=_S),
            ),
            "additionalProperties": False,
            "examples": [
                {"user_id": "clerk01", "document": {"number": "1153000165", "sha256": "0" * 64}}
            ],
        },
        "DocumentRequest": _object(
            ("number",),
            id=_S,
            number={"type": "string", "maxLength": 50},
            version=_S,
            title=_S,
            media_type=_S,
            sha256={"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
            content_base64={"type": "string", "contentEncoding": "base64"},
        ),
        "DocumentNumber": _object(("document_number",), document_number=_S),
        "ChallengeRequest": _object(
            ("channel",), channel={"enum": ["qr", "push", "app_link"]}, return_url=_S
        ),
        "BrowserToken": _object(("browser_token",), browser_token=_S),
        "Transaction": _object(
            (
                "id",
                "version",
                "kind",
                "status",
                "created_at",
                "expires_at",
                "documents",
                "match_code",
                "challenges",
            ),
            id=_S,
            version={"type": "integer"},
            kind={"enum": ["registration", "signature", "authentication"]},
            status={"enum": ["pending", "completed", "rejected", "expired", "cancelled", "failed"]},
            created_at=_TIME,
            expires_at=_TIME,
            user_id=_S,
            documents={"type": "array", "items": {"type": "object"}},
            match_code=_S,
            challenges={"type": "array", "items": {"type": "object"}},
            credential=_ref("Credential"),
            signature={"type": "object"},
            error=_ref("Problem"),
            metadata={"type": "object"},
            browser_token=_S,
        ),
        "Credential": _object(
            ("id", "user_id", "type", "status", "issuer_name", "serial_number"),
            id=_S,
            user_id=_S,
            user_name=_S,
            type=_S,
            status={"enum": ["enabled", "disabled", "expired", "revoked"]},
            issuer_name=_S,
            serial_number=_S,
            not_before=_TIME,
            not_after=_TIME,
            subject_name=_S,
            id_number_masked=_S,
            fingerprint_sha256=_S,
        ),
        "Event": _object(
            ("id", "type", "timestamp", "data"),
            id=_S,
            type=_S,
            timestamp=_TIME,
            data={"type": "object"},
        ),
        "Problem": _object(
            ("type", "title", "status", "detail", "code", "user_message"),
            type=_S,
            title=_S,
            status={"type": "integer"},
            detail=_S,
            code=_S,
            upstream_code=_S,
            who_can_act=_S,
            what_helps=_S,
            user_message=_object(("zh-TW", "en"), **{"zh-TW": _S, "en": _S}),
        ),
    }


def openapi_document(version: str) -> dict[str, Any]:
    """The whole document as JSON types."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "moica-gateway", "version": version},
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }
