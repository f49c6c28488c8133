"""Every route: what it takes, answers and refuses, each refusal by its code with an example."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from moica_gateway.web.api.openapi.schemas import (
    BINARY,
    EXAMPLE_TRANSACTION,
    page_of,
    problem_example,
    problem_status,
    ref,
)
from moica_gateway.web.api.openapi.windows import window_paths

__all__ = ["paths"]

_Json = dict[str, Any]

_ANY: Final = ("internal_error", "storage_unavailable")
_KEYED: Final = (*_ANY, "unauthenticated", "forbidden", "request_invalid", "too_many_requests")
_ONE: Final = (*_KEYED, "not_found")
_BODY: Final = ("request_malformed", "request_too_large", "unsupported_media_type")
_BRAKED: Final = ("push_paused", "rate_limited")
_IDEMPOTENT: Final = ("idempotency_mismatch", "idempotency_running")
_CREATING: Final = (
    *_KEYED,
    *_BODY,
    *_IDEMPOTENT,
    *_BRAKED,
    "transaction_open",
    "channel_unsupported",
    "configuration_invalid",
)
_OF_PLATFORM: Final = (
    "answer_invalid",
    "certificate_expired",
    "certificate_revoked",
    "checksum_invalid",
    "checksum_mismatch",
    "checksum_missing",
    "checksum_reflected",
    "device_not_bound",
    "upstream_malformed",
    "upstream_rejected_request",
    "upstream_unknown_code",
)
_BROWSER: Final[list[_Json]] = [{"apiKey": []}, {"browserToken": []}]


# -- parameters --------------------------------------------------------------------------------


def _path_id(pattern: str | None = None) -> _Json:
    schema: _Json = {"type": "string"}
    if pattern:
        schema["pattern"] = pattern
    return {"name": "id", "in": "path", "required": True, "schema": schema}


def _query(name: str, *, required: bool = False, **schema: Any) -> _Json:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "schema": {"type": "string", **schema},
    }


def _header(name: str, description: str, **schema: Any) -> _Json:
    return {"name": name, "in": "header", "description": description, "schema": schema}


_TRANSACTION_ID: Final = _path_id()
_KEY: Final = _header(
    "Idempotency-Key",
    "The same key and body within 24 hours is the same request: nothing rings twice",
    type="string",
    pattern=r"^[\x21-\x7e]{1,255}$",
)
_LIMIT: Final = _query("limit", type="integer", minimum=1, maximum=200, default=50)
_PAGING: Final = (_LIMIT, _query("cursor"))


_LEFT: Final[_Json] = {
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": '`"tenant";q=4000;w=2`: so many at once, seconds until they are back',
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": '`"tenant";r=3999;t=1`: what is left, seconds until all is there again',
    },
}


# -- answers -----------------------------------------------------------------------------------


def _json(schema: _Json, description: str, **more: Any) -> _Json:
    return {
        "description": description,
        "headers": {"X-Request-ID": {"schema": {"type": "string"}}, **_LEFT},
        "content": {"application/json": {"schema": schema, **more}},
    }


def _file(media_type: str, description: str, *, text: bool = False) -> _Json:
    schema: _Json = {"type": "string"} if text else BINARY
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _refusals(codes: Iterable[str], unavailable: Iterable[str] = ()) -> dict[str, _Json]:
    """``unavailable``: the platform's trouble where it is the answer itself, with 503."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(codes)):
        by_status.setdefault(problem_status(code), []).append(code)
    for code in sorted(unavailable):
        by_status.setdefault(503, []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`" for code in codes_),
            "content": {
                "application/problem+json": {
                    "schema": ref("Problem"),
                    "examples": {code: {"value": problem_example(code, status)} for code in codes_},
                }
            },
            **({"headers": _headers_of(status)} if _headers_of(status) else {}),
        }
        for status, codes_ in sorted(by_status.items())
    }


def _headers_of(status: int) -> _Json:
    if status == 401:
        return {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status == 429:
        return {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}, **_LEFT}
    return {}


def _operation(
    name: str,
    tag: str,
    summary: str,
    ok: dict[str, _Json],
    codes: Iterable[str],
    *,
    parameters: tuple[_Json, ...] = (),
    body: str | None = None,
    security: list[_Json] | None = None,
    description: str | None = None,
    unavailable: Iterable[str] = (),
) -> _Json:
    made: _Json = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "parameters": list(parameters),
        "responses": {**ok, **_refusals(codes, unavailable)},
    }
    if description is not None:
        made["description"] = description
    if body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": ref(body)}},
        }
    if security is not None:
        made["security"] = security
    return made


_FOLLOW: Final[_Json] = {
    operation: {"operationId": operation, "parameters": {"id": "$response.body#/id"}}
    for operation in ("getTransaction", "addChallenge", "cancelTransaction", "newBrowserToken")
}


def _transaction(description: str, *, created: bool = False) -> _Json:
    made = _json(
        ref("Transaction"), description, examples={"pending": {"value": EXAMPLE_TRANSACTION}}
    )
    if created:
        made["links"] = _FOLLOW
        made["headers"] = {
            **made["headers"],
            "Location": {"schema": {"type": "string"}},
            "Idempotency-Replayed": {
                "schema": {"type": "string", "const": "true"},
                "description": "Where that `Idempotency-Key` was used before",
            },
        }
    return made


# -- routes ------------------------------------------------------------------------------------


def _making() -> _Json:
    return {
        "/v1/registrations": {
            "post": _operation(
                "register",
                "transactions",
                "Register a certificate: ring the phone of an ID number",
                {"201": _transaction("The transaction exists", created=True)},
                (*_CREATING, "id_number_invalid", "user_bound_to_other_id"),
                parameters=(_KEY,),
                body="RegistrationRequest",
                description="Scope `register`. Answers at the latest after 5 s; the challenge is "
                "`starting` where the platform has not answered by then.",
            )
        },
        "/v1/signatures": {
            "post": _operation(
                "sign",
                "transactions",
                "Sign a document: ring the phone of the user's enabled credential",
                {"201": _transaction("The transaction exists", created=True)},
                (
                    *_CREATING,
                    "credential_missing",
                    "certificate_expired",
                    "format_unsupported",
                    "level_unsupported",
                    "document_too_large",
                    "document_digest_mismatch",
                    "document_unreadable",
                    "document_refused",
                    "blind_signing_refused",
                    "not_found",
                    "not_acceptable_yet",
                ),
                parameters=(_KEY,),
                body="SignatureRequest",
                description="Scope `sign`. Answers at the latest after 5 s.",
            )
        },
        "/v1/signature-batches": {
            "post": _operation(
                "signBatch",
                "transactions",
                "Sign several documents: ring the phone once for every 20",
                {"201": _transaction("The transaction exists", created=True)},
                (
                    *_CREATING,
                    "credential_missing",
                    "certificate_expired",
                    "format_unsupported",
                    "level_unsupported",
                    "document_too_large",
                    "document_digest_mismatch",
                    "document_unreadable",
                    "document_refused",
                    "blind_signing_refused",
                ),
                parameters=(_KEY,),
                body="BatchRequest",
                description="Scope `sign`. One transaction over all documents. More than 20 run as "
                "tickets one after another, each with the full `time_limit`; the next begins, on "
                "the same channel, once the one before is approved and verified. It is `completed` "
                "only if every document is signed; otherwise it ends as the stopping ticket did, "
                "with `partial: true` where some are. What is signed can be fetched by "
                "`artifact?document=` at once. A document that is refused is named "
                "(`document_index`, `document_id`), and nothing exists then.",
            )
        },
    }


def _asking() -> _Json:
    person = ("id_number_invalid", "identity_quota", "credential_missing")
    return {
        "/v1/authentications": {
            "post": _operation(
                "authenticate",
                "transactions",
                "Confirm who is there: a registered user, or an ID number",
                {"201": _transaction("The transaction exists", created=True)},
                (*_CREATING, *person, "certificate_expired"),
                parameters=(_KEY,),
                body="AuthenticationRequest",
                description="By `user_id` the holder's key signs a challenge (scope `sign`, "
                "`assurance: certificate`); by `id_number` only the platform's word says who it "
                "was (scope `identity:query`, a daily quota, `assurance: platform`). Answers at "
                "the latest after 5 s.",
            )
        },
        "/v1/device-status": {
            "post": _operation(
                "deviceStatus",
                "transactions",
                "Whether a phone is bound and its certificate usable; nothing rings",
                {"200": _json(ref("DeviceStatus"), "As the platform says")},
                (
                    *_KEYED,
                    *_BODY,
                    *person,
                    *_OF_PLATFORM,
                    "rate_limited",
                    "configuration_invalid",
                ),
                body="DeviceStatusRequest",
                description="By `user_id`: scope `read`; by `id_number`: scope `identity:query`, "
                "with a daily quota. Answers within 5 s.",
                unavailable=("upstream_unavailable", "upstream_unreachable"),
            )
        },
        "/v1/verifications": {
            "post": _operation(
                "verify",
                "transactions",
                "What holds of a signature of this PKI, ours or not",
                {"200": _json(ref("Verification"), "Each signature in it, each check")},
                (*_KEYED, *_BODY, "artifact_unreadable"),
                body="VerificationRequest",
                description="Scope `read`. Judged as of now against the operator's anchors and "
                "today's revocation; a bad signature is an answer and no error. Nothing is kept.",
            )
        },
        "/callbacks/moi/{tenant}": {
            "post": {
                **_operation(
                    "receiveRedirect",
                    "pages",
                    "The form that the Ministry's site has the user's browser bring back",
                    {
                        "200": _file(
                            "text/html", "The same page, whatever became of the form", text=True
                        )
                    },
                    (*_ANY, *_BODY, "request_invalid", "rate_limited"),
                    parameters=(
                        {
                            "name": "tenant",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string"},
                        },
                    ),
                    security=[],
                    description="Registered with the Ministry as the tenant's callback address. "
                    "Anyone may send one: it is believed by its checksum only, counts once, and "
                    "its answer says nothing.",
                ),
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/x-www-form-urlencoded": {"schema": ref("RedirectForm")}
                    },
                },
            }
        },
    }


def _following() -> _Json:
    one = "/v1/transactions/{id}"
    seen = (_TRANSACTION_ID,)
    return {
        "/v1/transactions": {
            "get": _operation(
                "listTransactions",
                "transactions",
                "List transactions, newest first",
                {"200": _json(page_of("Transaction"), "A page")},
                _KEYED,
                parameters=(
                    _query("user_id"),
                    _query("document_number"),
                    _query(
                        "status",
                        enum=[
                            "pending",
                            "completed",
                            "rejected",
                            "expired",
                            "cancelled",
                            "failed",
                        ],
                    ),
                    _query("kind", enum=["registration", "signature", "authentication"]),
                    _query("created_from", type="string", format="date-time"),
                    _query("created_until", type="string", format="date-time"),
                    *_PAGING,
                ),
            )
        },
        "/v1/transactions/cancel": {
            "post": _operation(
                "recallDocument",
                "transactions",
                "Recall a document: cancel every pending transaction over it",
                {"200": _json(page_of("Transaction"), "What was cancelled")},
                (*_KEYED, *_BODY),
                body="DocumentNumber",
            )
        },
        one: {
            "get": _operation(
                "getTransaction",
                "browser",
                "One transaction, at once or after a change",
                {"200": _transaction("As the caller may see it")},
                (*_ONE, "too_many_streams"),
                parameters=(
                    *seen,
                    _query(
                        "wait",
                        type="integer",
                        minimum=0,
                        maximum=55,
                        default=0,
                        description="Seconds to wait for a change",
                    ),
                    _query(
                        "since",
                        type="integer",
                        minimum=0,
                        description="A change is a version above this one; left out: the present",
                    ),
                ),
                security=_BROWSER,
            )
        },
        f"{one}/events": {
            "get": _operation(
                "followTransaction",
                "browser",
                "Server-sent events: `transaction`, its id the version, its data the transaction",
                {
                    "200": _file("text/event-stream", "Until a terminal state", text=True),
                    "204": {"description": "The terminal state was heard already"},
                },
                (*_ONE, "too_many_streams"),
                parameters=(
                    *seen,
                    _header("Last-Event-ID", "Go on behind this version", type="string"),
                ),
                security=_BROWSER,
            )
        },
        f"{one}/challenges": {
            "post": _operation(
                "addChallenge",
                "browser",
                "A further way to reach the phone (「QR Code 模式登入」)",
                {"201": _transaction("With the challenge", created=True)},
                (
                    *_ONE,
                    *_BODY,
                    *_IDEMPOTENT,
                    *_BRAKED,
                    "transaction_closed",
                    "challenge_limit",
                    "challenge_too_soon",
                    "channel_unsupported",
                    "configuration_invalid",
                ),
                parameters=(*seen, _KEY),
                body="ChallengeRequest",
                security=_BROWSER,
            )
        },
        f"{one}/qr.svg": {
            "get": _operation(
                "getQrSvg",
                "browser",
                "The QR code of the open QR challenge",
                {"200": _file("image/svg+xml", "For 【掃碼驗證】 inside the app", text=True)},
                _ONE,
                parameters=seen,
                security=_BROWSER,
            )
        },
        f"{one}/qr.png": {
            "get": _operation(
                "getQrPng",
                "browser",
                "The same as PNG, at least 280 pixels, for pages without scripts",
                {"200": _file("image/png", "For 【掃碼驗證】 inside the app")},
                _ONE,
                parameters=seen,
                security=_BROWSER,
            )
        },
        f"{one}/cancel": {
            "post": _operation(
                "cancelTransaction",
                "transactions",
                "Take it back; a terminal one is returned unchanged",
                {"200": _transaction("As it is now")},
                _ONE,
                parameters=seen,
            )
        },
        f"{one}/browser-tokens": {
            "post": _operation(
                "newBrowserToken",
                "transactions",
                "A token for the widget",
                {"201": _json(ref("BrowserToken"), "For this transaction only")},
                _ONE,
                parameters=seen,
            )
        },
        f"{one}/pages": {
            "post": _operation(
                "newPage",
                "browser",
                "The window without scripts (IE mode): an address that opens once",
                {"201": _json(ref("PageCode"), "For this transaction only")},
                (*_ONE, *_BODY),
                parameters=seen,
                body="PageRequest",
            )
        },
        f"{one}/artifact": {
            "get": _operation(
                "getArtifact",
                "transactions",
                "The signed thing",
                {
                    "200": {
                        "description": "As the format says: `.p7s` (detached DER) or the bare "
                        "signature",
                        "content": {
                            "application/pkcs7-signature": {"schema": BINARY},
                            "application/pkcs7-mime": {"schema": BINARY},
                            "application/octet-stream": {"schema": BINARY},
                        },
                    }
                },
                (*_ONE, "not_acceptable_yet", "artifact_none"),
                parameters=(*seen, _query("document")),
            )
        },
        f"{one}/evidence": {
            "get": _operation(
                "getEvidence",
                "transactions",
                "All that is needed to check it years later",
                {
                    "200": {
                        "description": "A ZIP with a signed manifest, and a page for people; of "
                        "any transaction that has ended",
                        "content": {"application/zip": {"schema": BINARY}},
                    }
                },
                (*_ONE, "not_acceptable_yet"),
                parameters=seen,
            )
        },
    }


def _people() -> _Json:
    credential = {"200": _json(ref("Credential"), "As it is now")}
    one = (_path_id(),)
    return {
        "/v1/credentials": {
            "get": _operation(
                "listCredentials",
                "credentials",
                "A user's credentials, oldest first",
                {"200": _json(page_of("Credential"), "All of them")},
                _KEYED,
                parameters=(_query("user_id", required=True, type="string", minLength=1),),
            )
        },
        "/v1/credentials/{id}/enable": {
            "post": _operation(
                "enableCredential",
                "credentials",
                "Enable one, and disable the user's others",
                credential,
                (*_ONE, "certificate_expired", "certificate_revoked", "credential_disabled"),
                parameters=one,
            )
        },
        "/v1/credentials/{id}/disable": {
            "post": _operation(
                "disableCredential",
                "credentials",
                "It signs no more; what it was signing ends",
                credential,
                _ONE,
                parameters=one,
            )
        },
        "/v1/credentials/{id}": {
            "delete": _operation(
                "deleteCredential",
                "credentials",
                "Forget one",
                {"204": {"description": "Gone"}},
                _ONE,
                parameters=one,
            )
        },
        "/v1/users/{id}": {
            "delete": _operation(
                "eraseUser",
                "credentials",
                "Leaving (離職): erase a user",
                {"204": {"description": "Gone"}},
                _ONE,
                parameters=one,
                description="Scope `admin`.",
            )
        },
        "/v1/events": {
            "get": _operation(
                "listEvents",
                "events",
                "The webhooks' bodies, oldest first",
                {"200": _json(page_of("Event"), "A page; go on from `next_cursor`")},
                _KEYED,
                parameters=(_query("after"), _LIMIT),
            )
        },
    }


def _service() -> _Json:
    def open_(
        name: str, summary: str, ok: dict[str, _Json], *codes: str, tag: str = "service"
    ) -> _Json:
        return {"get": _operation(name, tag, summary, ok, ("internal_error", *codes), security=[])}

    return {
        "/healthz": open_("health", "Alive", {"200": _json(ref("Health"), "It is")}),
        "/readyz": open_(
            "ready", "Takes requests", {"200": _json(ref("Health"), "It does")}, *_ANY
        ),
        "/version": open_("version", "Versions", {"200": _json(ref("Versions"), "They are")}),
        "/metrics": open_(
            "metrics",
            "Prometheus metrics, unless they listen elsewhere",
            {"200": _file("text/plain", "Text exposition", text=True)},
            "not_found",
        ),
        "/openapi.json": open_(
            "openapi", "This document", {"200": _json({"type": "object"}, "OpenAPI 3.1")}
        ),
        "/docs": open_(
            "docs",
            "This document for people",
            {"200": _file("text/html", "A page", text=True)},
            tag="pages",
        ),
        "/widget/v1.js": open_(
            "widget",
            "The browser widget",
            {
                "200": _file("text/javascript", "A module", text=True),
                "304": {"description": "Not changed"},
            },
            tag="pages",
        ),
    }


def paths() -> _Json:
    """By path and method."""
    return {**_making(), **_asking(), **_following(), **_people(), **window_paths(), **_service()}
