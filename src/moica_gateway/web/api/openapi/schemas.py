"""The JSON types of `moica_gateway.wire` as JSON Schema, with the limits that the server enforces.

Requests are closed (an unknown member is refused), and null in one is as good as left out: many
languages write it for what is not set. Answers are open, so that members may be added.
Patterns are ECMA 262; what a pattern cannot say (the check digit of an ID number) stands in the
description and is answered with 422.
"""

from __future__ import annotations

from typing import Any, Final

from moica_gateway.errors import CATALOGUE, problem

__all__ = [
    "BINARY",
    "EXAMPLE_TRANSACTION",
    "page_of",
    "problem_example",
    "problem_status",
    "ref",
    "schemas",
]

# `format` is for generators of code: without it a file is taken for JSON.
BINARY: Final = {"type": "string", "format": "binary"}
_CJK: Final = r"㐀-䶿一-鿿"
_S: Final[dict[str, Any]] = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}
_SHA256: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_STATUSES: Final = ["pending", "completed", "rejected", "expired", "cancelled", "failed"]
_RESULTS: Final = ["verified", "incomplete", "failed"]
_WHO: Final = sorted({row.who_can_act for row in CATALOGUE.values()})
_HELPS: Final = sorted({row.what_helps for row in CATALOGUE.values()})


def ref(name: str) -> dict[str, Any]:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def page_of(item: str) -> dict[str, Any]:
    """A reference to the page of a list; named, since clients are generated from the names."""
    return ref(f"{item}Page")


def _page(item: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": ref(item)},
            "next_cursor": {
                "type": ["string", "null"],
                "description": "Pass it as `cursor` (the feed: `after`); null on the last page",
            },
        },
    }


def _text(most: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": most,
        "pattern": r"^[^\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*$",
        **more,
    }


def _object(
    required: tuple[str, ...], *, closed: bool = False, nulls: bool = True, **properties: Any
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "required": list(required),
        "properties": properties,
    }
    if closed:
        made["additionalProperties"] = False
    if closed and nulls:
        made["properties"] = {
            name: schema if name in required else _or_null(schema)
            for name, schema in properties.items()
        }
    return made


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    made = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        made["enum"] = [*schema["enum"], None]
    return made


_USER_ID: Final = {"type": "string", "pattern": r"^[\x21-\x7e]{1,100}$"}
_METADATA: Final = {
    "type": "object",
    "maxProperties": 50,
    "propertyNames": {"maxLength": 40},
    "additionalProperties": {"type": "string", "maxLength": 500},
    "description": "The document system's own, given back with transaction and events",
}
_ID_NUMBER: Final = {
    "type": "string",
    "pattern": "^[A-Z][12389A-D][0-9]{8}$",
    "description": "國民身分證統一編號 or 外來人口統一證號, check digit included",
}
_ASKING: Final[dict[str, Any]] = {
    "user_id": {**_USER_ID, "description": "The document system's name of the user"},
    "channel": {**_S, "enum": ["push", "qr", "app_link", "redirect"], "default": "push"},
    "device_name": _text(50, description="One of the holder's phones; left out: all of them"),
    "time_limit": {
        "type": "integer",
        "minimum": 30,
        "maximum": 600,
        "description": "Seconds; the tenant sets default and maximum",
    },
    "supersede": {
        "type": "boolean",
        "default": False,
        "description": "Cancel the person's open transaction instead of answering 409",
    },
    "metadata": _METADATA,
}

_FORMAT: Final[dict[str, Any]] = {
    "type": "string",
    "enum": ["cades", "pades", "pkcs1", "pkcs7"],
    "default": "cades",
}


def _requests() -> dict[str, Any]:
    return {
        "RegistrationRequest": {
            **_object(
                ("user_id", "id_number"),
                closed=True,
                **_ASKING,
                id_number=_ID_NUMBER,
                user_name=_text(100, description="Must be the certificate's where given"),
                enable={"type": "boolean", "default": True},
            ),
            "examples": [{"user_id": "clerk01", "id_number": "A123456789", "user_name": "王小明"}],
        },
        "SignatureRequest": {
            **_object(
                ("user_id", "document"),
                closed=True,
                **_ASKING,
                document=ref("DocumentRequest"),
                format=_FORMAT,
                level={**_S, "enum": ["B-B"], "description": "Only where the format has levels"},
                on_behalf_of=ref("OnBehalfOf"),
                previous={
                    **_S,
                    "pattern": "^[A-Za-z0-9_]{1,100}$",
                    "description": "The id of a completed transaction of the same format "
                    "(`pades`): the file that it signed gets a further signature. The document "
                    "then has no `content_base64`; its `sha256`, where given, is that file's",
                },
            ),
            "examples": [
                {"user_id": "clerk01", "document": {"number": "1153000165", "sha256": "0" * 64}}
            ],
        },
        "BatchRequest": {
            **_object(
                ("user_id", "documents"),
                closed=True,
                **{
                    **_ASKING,
                    "device_name": _text(50, description="With one document only"),
                    "time_limit": {
                        **_ASKING["time_limit"],
                        "description": "Seconds for each ticket; the tenant sets default and "
                        "maximum",
                    },
                },
                documents={
                    "type": "array",
                    "items": ref("DocumentRequest"),
                    "minItems": 1,
                    "maxItems": 1000,
                    "description": "In the order in which they are asked for; their `id`s differ. "
                    "The tenant sets how many (100 unless set)",
                },
                format=_FORMAT,
                level={**_S, "enum": ["B-B"], "description": "Only where the format has levels"},
                on_behalf_of=ref("OnBehalfOf"),
            ),
            "examples": [
                {
                    "user_id": "clerk01",
                    "documents": [
                        {"number": "1153000165", "sha256": "0" * 64},
                        {"number": "1153000166", "sha256": "1" * 64},
                    ],
                }
            ],
        },
        "AuthenticationRequest": {
            **_object(
                (),
                closed=True,
                **_ASKING,
                id_number=_ID_NUMBER,
            ),
            "description": "Either `user_id` or `id_number`, not both",
            "anyOf": [{"required": ["user_id"]}, {"required": ["id_number"]}],
            "examples": [{"user_id": "clerk01"}],
        },
        "DeviceStatusRequest": {
            **_object(
                (),
                closed=True,
                user_id=_ASKING["user_id"],
                id_number=_ID_NUMBER,
            ),
            "description": "Either `user_id` or `id_number`, not both",
            "anyOf": [{"required": ["user_id"]}, {"required": ["id_number"]}],
            "examples": [{"user_id": "clerk01"}],
        },
        "VerificationRequest": {
            **_object(
                ("signature_base64",),
                closed=True,
                signature_base64={
                    "type": "string",
                    "contentEncoding": "base64",
                    "minLength": 4,
                    "description": "The file as it was fetched (`.p7s`, PDF), or a bare value",
                },
                format={
                    "type": "string",
                    "enum": ["cades", "pades", "pkcs1"],
                    "description": "Left out, it is recognised; a bare value (`pkcs1`) is not",
                },
                content_base64={
                    "type": "string",
                    "contentEncoding": "base64",
                    "description": "What a detached signature stands for",
                },
                sha256={
                    "type": "string",
                    "pattern": "^[0-9a-fA-F]{64}$",
                    "description": "Its digest, where only that is known",
                },
                certificate_base64={
                    "type": "string",
                    "contentEncoding": "base64",
                    "description": "DER of the signer's, for a bare value",
                },
            ),
            "examples": [
                {"signature_base64": "MIIGxAYJKoZIhvcNAQcCoIIGtTCCBrE=", "sha256": "0" * 64}
            ],
        },
        "OnBehalfOf": {
            **_object(("user_id", "reason"), closed=True, user_id=_USER_ID, reason=_text(200)),
            "description": "代理: the user for whom it is signed, and why",
        },
        "DocumentRequest": {
            **_object(
                ("number",),
                closed=True,
                id={**_USER_ID, "description": "Left out: one is made"},
                number={
                    "type": "string",
                    "pattern": rf"^[0-9A-Za-z{_CJK}][0-9A-Za-z{_CJK}\-_/.()（）]{{0,49}}$",
                    "description": "公文文號, as the phone shows it",
                },
                version=_text(50),
                title=_text(500),
                media_type={
                    "type": "string",
                    "pattern": "^[A-Za-z0-9!#$&^_.+-]{1,60}/[A-Za-z0-9!#$&^_.+-]{1,100}$",
                },
                sha256={"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
                content_base64={
                    "type": "string",
                    "contentEncoding": "base64",
                    "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
                    "description": "`pkcs1` and `pades` need it; elsewhere the digest is enough",
                },
                seal=ref("SealRequest"),
            ),
            "description": "With `sha256`, `content_base64` or both, which must agree; with "
            "neither only where `previous` names the content",
        },
        "SealRequest": {
            **_object(
                (),
                closed=True,
                field=_text(100, description="An empty signature field of the PDF, by its name"),
                page={"type": "integer", "minimum": 1, "maximum": 100000},
                box={
                    "type": "array",
                    "items": {"type": "number", "minimum": -20000, "maximum": 20000},
                    "minItems": 4,
                    "maxItems": 4,
                    "description": "Left, bottom, right, top, in points from the page's lower "
                    "left corner",
                },
            ),
            "description": "Where a signature in a PDF (`pades`) is to be seen; without it, it is "
            "not visible. A field, or a page with a box",
            "examples": [{"field": "Approval"}, {"page": 1, "box": [360, 60, 540, 120]}],
        },
        "ChallengeRequest": {
            **_object(
                ("channel",),
                closed=True,
                channel={**_S, "enum": ["qr", "push", "app_link"]},
                return_url={
                    **_text(500),
                    "format": "uri",
                    "description": "Of an origin that the administrator registered",
                },
            ),
            "examples": [{"channel": "qr"}],
        },
        "RedirectForm": _object(
            ("transaction_id", "error_code"),
            closed=True,
            nulls=False,
            transaction_id={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}$"},
            error_code=_S,
            id_num=_S,
            signed_response=_S,
            cert=_S,
            idp_checksum=_S,
        ),
        "DocumentNumber": {
            **_object(("document_number",), closed=True, document_number={**_S, "minLength": 1}),
            "examples": [{"document_number": "1153000165"}],
        },
    }


def _answers() -> dict[str, Any]:
    return {
        "Transaction": {
            **_object(
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
                id={**_S, "pattern": "^txn_"},
                version={"type": "integer", "minimum": 1, "description": "Rises at every change"},
                kind={**_S, "enum": ["registration", "signature", "authentication"]},
                status={**_S, "enum": _STATUSES, "description": "All but `pending` are final"},
                created_at=_TIME,
                expires_at=_TIME,
                user_id={**_S, "description": "Left out for an authentication by ID number"},
                on_behalf_of={
                    **_object(("user_id", "reason"), user_id=_S, reason=_S),
                    "description": "As it was asked for (代理); not told to a browser",
                },
                previous={**_S, "description": "To whose signed file this one appends"},
                assurance={
                    **_S,
                    "enum": ["certificate", "platform"],
                    "description": "A completed authentication: the holder's key signed a "
                    "challenge, or only the platform says so",
                },
                documents={"type": "array", "items": ref("Document")},
                partial={
                    "type": "boolean",
                    "description": "It did not complete, but some documents are signed: those "
                    "whose `status` is `completed`",
                },
                ticket={
                    "type": "integer",
                    "minimum": 0,
                    "description": "A batch's: which request to the phone is asked, from 0",
                },
                tickets={
                    "type": "integer",
                    "minimum": 2,
                    "description": "A batch's: how many there are, each for up to 20 documents; "
                    "left out where there is one",
                },
                match_code={
                    "type": "string",
                    "pattern": "^[0-9]{2}$",
                    "description": "驗證碼: the phone shows the same",
                },
                challenges={
                    "type": "array",
                    "items": ref("Challenge"),
                    "description": "At most 5 for each ticket",
                },
                credential=ref("Credential"),
                signature=ref("Signature"),
                error=ref("Problem"),
                metadata={"type": "object", "additionalProperties": {"type": "string"}},
                browser_token={
                    **_S,
                    "pattern": "^btk_",
                    "description": "In the answer to a creation only",
                },
            ),
            "examples": [EXAMPLE_TRANSACTION],
        },
        "Document": _object(
            ("id", "number", "sha256"),
            id=_S,
            number=_S,
            version=_S,
            title=_S,
            media_type=_S,
            sha256=_SHA256,
            status={
                **_S,
                "enum": _STATUSES,
                "description": "Once it is signed, or the transaction has ended",
            },
            ticket={"type": "integer", "minimum": 1, "description": "Left out for the first"},
        ),
        "Challenge": _object(
            ("channel", "status", "expires_at"),
            id=_S,
            channel={**_S, "enum": ["push", "qr", "app_link", "redirect"]},
            status={
                **_S,
                "enum": ["starting", "sent", "approved", "refused", "lapsed", "failed", "closed"],
            },
            expires_at=_TIME,
            qr_payload={**_S, "description": "The whole ticket, for the app's 【掃碼驗證】"},
            url={**_S, "description": "The app link"},
            form=ref("Form"),
            error=ref("Problem"),
            ticket={"type": "integer", "minimum": 1, "description": "Left out for the first"},
        ),
        "Form": {
            **_object(
                ("action", "fields"),
                action={**_S, "format": "uri", "description": "Of the Ministry's site"},
                fields={"type": "object", "additionalProperties": _S},
            ),
            "description": "To be posted by the user's browser; the answer comes back on its own",
        },
        "DeviceStatus": _object(
            ("bound", "certificate_usable"),
            bound={"type": "boolean", "description": "Whether a phone is bound"},
            certificate_usable={
                "type": "boolean",
                "description": "Whether the mobile certificate can sign",
            },
        ),
        "Verification": _object(
            ("result", "format", "signatures"),
            result={**_S, "enum": _RESULTS, "description": "The worst of its signatures'"},
            format={**_S, "description": "As which it was read"},
            signatures={"type": "array", "minItems": 1, "items": ref("VerifiedSignature")},
        ),
        "VerifiedSignature": _object(
            ("name", "result", "covers", "report"),
            name={**_S, "description": "Where it stands: a PDF field, a number"},
            result={
                **_S,
                "enum": _RESULTS,
                "description": "`failed`: a check did not hold; `incomplete`: one that is needed "
                "could not be made",
            },
            covers={**_S, "description": "In words: what of the file it stands for"},
            level={**_S, "examples": ["B-B"]},
            subject_name=_S,
            certificate={**_S, "contentEncoding": "base64", "description": "DER"},
            claimed_at={**_TIME, "description": "By the signer's word only"},
            hint={**_S, "description": "What the holder saw, where that is signed too"},
            report={"type": "array", "items": ref("Check")},
        ),
        "Signature": _object(
            ("format", "certificate", "signed_at", "report"),
            format=_S,
            level=_S,
            certificate={**_S, "contentEncoding": "base64", "description": "DER"},
            signed_at=_TIME,
            report={"type": "array", "items": ref("Check")},
        ),
        "Check": _object(
            ("name", "passed", "detail"),
            name=_S,
            passed={"type": ["boolean", "null"], "description": "null: not checked"},
            detail=_S,
        ),
        "Credential": _object(
            (
                "id",
                "user_id",
                "type",
                "status",
                "issuer_name",
                "serial_number",
                "not_before",
                "not_after",
                "subject_name",
                "id_number_masked",
                "fingerprint_sha256",
            ),
            id={**_S, "pattern": "^crd_"},
            user_id=_S,
            user_name=_S,
            type={**_S, "enum": ["mobile_citizen_certificate", "passkey"]},
            status={**_S, "enum": ["enabled", "disabled", "expired", "revoked"]},
            issuer_name=_S,
            serial_number=_S,
            not_before=_TIME,
            not_after=_TIME,
            subject_name=_S,
            id_number_masked={**_S, "examples": ["******6789"]},
            fingerprint_sha256=_SHA256,
        ),
        "PageRequest": _object(
            (),
            closed=True,
            return_url={
                **_text(1000),
                "format": "uri",
                "description": "Where 「確定」 leads to at the end; of a registered origin",
            },
        ),
        "PageCode": _object(
            ("path", "expires_at"),
            path={**_S, "pattern": "^/pages/", "description": "Opens once, until `expires_at`"},
            expires_at=_TIME,
        ),
        "BrowserToken": _object(("browser_token",), browser_token={**_S, "pattern": "^btk_"}),
        "Event": _object(
            ("id", "type", "timestamp", "data"),
            id={**_S, "description": "The webhook-id"},
            type={**_S, "examples": ["signature.completed", "transaction.expired"]},
            timestamp=_TIME,
            data={"type": "object"},
        ),
        "Health": _object(("status",), status=_S),
        "Versions": _object(("version", "api"), version=_S, api={**_S, "const": "v1"}),
        "Problem": {
            **_object(
                ("type", "title", "status", "detail", "code", "user_message"),
                type=_S,
                title=_S,
                status={"type": "integer"},
                detail={**_S, "description": "English: what was expected, what came, what to do"},
                code={**_S, "enum": sorted(CATALOGUE)},
                upstream_code={**_S, "description": "The platform's own"},
                who_can_act={**_S, "enum": _WHO},
                what_helps={**_S, "enum": _HELPS},
                user_message=ref("UserMessage"),
                member={**_S, "description": "Which member or header of the request"},
                transaction_id={**_S, "description": "The open one (`transaction_open`)"},
                document_index={
                    "type": "integer",
                    "description": "Which document of a batch was refused, from 0",
                },
                document_id={**_S, "description": "Its `id`, where the request named one"},
                retry_after={"type": "number", "description": "Seconds"},
                brake={
                    **_S,
                    "enum": ["push", "person", "tenant", "gateway"],
                    "description": "Which one held (`push_paused`, `rate_limited`)",
                },
            ),
            "description": "RFC 9457",
        },
        "UserMessage": {
            "type": "object",
            "required": ["zh-TW", "en"],
            "properties": {"zh-TW": _S, "en": _S},
        },
        **{f"{item}Page": _page(item) for item in ("Credential", "Event", "Transaction")},
    }


EXAMPLE_TRANSACTION: Final[dict[str, Any]] = {
    "id": "txn_01kw3v9f6w8m2c4r7d9e",
    "version": 2,
    "kind": "signature",
    "status": "pending",
    "created_at": "2026-04-29T06:58:11.000Z",
    "expires_at": "2026-04-29T06:59:11.400Z",
    "user_id": "clerk01",
    "documents": [{"id": "doc_01kw3v9f6w", "number": "1153000165", "sha256": "0" * 64}],
    "match_code": "42",
    "challenges": [
        {
            "id": "chl_01kw3v9f6x",
            "channel": "push",
            "status": "sent",
            "expires_at": "2026-04-29T06:59:11.400Z",
        }
    ],
}


def problem_example(code: str, status: int | None = None) -> dict[str, Any]:
    """A problem document as it is answered; the detail is the title."""
    made = problem(code, f"{CATALOGUE[code].title}.").to_json()
    return {**made, "status": status or problem_status(code)}


def problem_status(code: str) -> int:
    """The HTTP status where this problem keeps a request from being carried out."""
    status = CATALOGUE[code].status
    return status if status >= 400 else 409


def schemas() -> dict[str, Any]:
    """Every component."""
    return {**_requests(), **_answers()}
