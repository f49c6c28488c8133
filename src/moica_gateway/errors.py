"""The error tree, the problem document, and the one catalogue of our own error codes.

Split by who can act. Every room may import this module; it imports nothing of the project.
The platform's codes are mapped to these in ``protocols/twfido/codes.py``; nothing else maps them.

``GatewayError``
├── ``ConfigurationError``      the operator: the set-up is wrong
├── ``RequestError``            the integrator: the call is wrong
├── ``HolderActionError``       the holder: refused, let it lapse, wrong device; try again
├── ``HolderCertificateError``  the holder's certificate: not enrolled, revoked, run out
├── ``UpstreamError``           the platform: unreachable, timed out, malformed, unknown
└── ``VerificationError``       never retried, always an alert
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from attrs import evolve, field, frozen

__all__ = [
    "CATALOGUE",
    "CatalogueEntry",
    "ConfigurationError",
    "GatewayError",
    "HolderActionError",
    "HolderCertificateError",
    "Problem",
    "RequestError",
    "UpstreamError",
    "VerificationError",
    "WhatHelps",
    "WhoCanAct",
    "error",
    "error_of",
    "problem",
]

WhoCanAct = Literal["holder", "integrator", "operator", "app", "platform"]
"""``holder`` the citizen; ``integrator`` whoever calls us; ``operator`` whoever runs the gateway
(the platform's ``sp``); ``app`` the phone app; ``platform`` the Ministry (the platform's ``idp``)."""

WhatHelps = Literal["poll", "retry", "restart", "qr", "bind", "fix", "fail"]
"""As in the platform's table: keep polling, the same call later, a new transaction, the same by QR
code, bind a device first, correct the request or set-up, or treat as an attack or a defect."""


@frozen(kw_only=True)
class Problem:
    """One error as everybody sees it: RFC 9457 members and ours.

    Attributes:
        code: Stable, lower-case, ours (``transaction_open``).
        status: The HTTP status where it is an answer; kept where it is a transaction's ``error``.
        title: English, the same for every occurrence of ``code``.
        detail: English: what was expected, what came, who can act, what to do next. No secret,
            ID number or certificate.
        who_can_act: See ``WhoCanAct``.
        what_helps: See ``WhatHelps``.
        user_message: ``{"zh-TW": …, "en": …}``, may be shown to the holder as it is.
        upstream_code: The platform's own code, normalised, where there is one.
        extra: Further members (``transaction_id`` of the open one, ``retry_after`` in seconds).
    """

    code: str
    status: int
    title: str
    detail: str
    who_can_act: WhoCanAct
    what_helps: WhatHelps
    user_message: Mapping[str, str]
    upstream_code: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The members of ``application/problem+json``."""
        body: dict[str, Any] = {
            "type": f"https://moica-gateway.invalid/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "who_can_act": self.who_can_act,
            "what_helps": self.what_helps,
            "user_message": dict(self.user_message),
        }
        if self.upstream_code is not None:
            body["upstream_code"] = self.upstream_code
        for name, value in self.extra.items():
            body.setdefault(name, value)
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Problem:
        """The reverse of `to_json`, tolerant: an unknown code or missing member is kept apart."""
        known = {
            "type",
            "title",
            "status",
            "detail",
            "code",
            "who_can_act",
            "what_helps",
            "user_message",
            "upstream_code",
        }
        code = str(body.get("code", "unknown"))
        entry = CATALOGUE.get(code, CATALOGUE["internal_error"])
        message = body.get("user_message")
        upstream = body.get("upstream_code")
        status = body.get("status")
        return cls(
            code=code,
            status=status if isinstance(status, int) else entry.status,
            title=str(body.get("title", entry.title)),
            detail=str(body.get("detail", "")),
            who_can_act=body.get("who_can_act", entry.who_can_act),
            what_helps=body.get("what_helps", entry.what_helps),
            user_message=dict(message)
            if isinstance(message, Mapping)
            else {"zh-TW": entry.zh, "en": entry.en},
            upstream_code=str(upstream) if upstream is not None else None,
            extra={k: v for k, v in body.items() if k not in known},
        )

    def with_detail(self, detail: str, **extra: Any) -> Problem:
        """The same problem with another ``detail`` and further members."""
        return evolve(self, detail=detail, extra={**self.extra, **extra})


class GatewayError(Exception):
    """Root of every error that this project raises on purpose; carries a `Problem`.

    Action: catch a subclass; read ``.problem`` for code, status and the message to show.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable code, for example ``transaction_open``."""
        return self.problem.code


class ConfigurationError(GatewayError):
    """The set-up is wrong or incomplete, so nothing was started.

    Action: the operator corrects the setting that ``detail`` names, and starts again.
    """


class RequestError(GatewayError):
    """The call is wrong, not permitted, or comes at the wrong time; nothing was made or changed.

    Action: the integrator corrects the request as ``detail`` says. 409 and 429 may be repeated
    later where ``what_helps`` is ``retry``.
    """


class HolderActionError(GatewayError):
    """The holder refused, did not answer, or used another device.

    Action: show ``user_message`` and let the user start again.
    """


class HolderCertificateError(GatewayError):
    """The holder's certificate or device cannot be used: not bound, revoked, run out, changed.

    Action: show ``user_message``; the holder binds a device or registers again.
    """


class UpstreamError(GatewayError):
    """The platform did not answer, or answered something that cannot be understood.

    Action: the caller may start again later; the operator looks at the line to the platform.
    """


class VerificationError(GatewayError):
    """Something that arrived is not authentic or not what was asked for. Never retried.

    Action: alert whoever runs the gateway; show ``user_message``; do not accept the signature.
    """


@frozen(kw_only=True)
class CatalogueEntry:
    """One row of the catalogue of our own codes."""

    cls: type[GatewayError]
    status: int
    who_can_act: WhoCanAct
    what_helps: WhatHelps
    title: str
    zh: str
    en: str


def _row(
    cls: type[GatewayError],
    status: int,
    who: WhoCanAct,
    helps: WhatHelps,
    title: str,
    zh: str,
    en: str,
) -> CatalogueEntry:
    return CatalogueEntry(
        cls=cls, status=status, who_can_act=who, what_helps=helps, title=title, zh=zh, en=en
    )


_ASK_ADMIN_ZH = "系統設定有誤，請通知系統管理者。"
_ASK_ADMIN_EN = "The system is not set up correctly. Please tell your administrator."
_REQUEST_ZH = "系統送出的資料有誤，請通知公文系統的維護人員。"
_REQUEST_EN = (
    "The system sent something invalid. Please tell whoever maintains your document system."
)
_VERIFY_ZH = "收到的簽章未通過驗證，為了您的安全已停止作業，請通知系統管理者。"
_VERIFY_EN = (
    "The answer did not pass verification and was not accepted. Please tell your administrator."
)
_PLATFORM_ZH = "行動自然人憑證平臺暫時無法服務，請稍後再試。"
_PLATFORM_EN = "The mobile certificate platform is not available right now. Please try again later."

CATALOGUE: Final[Mapping[str, CatalogueEntry]] = {
    # -- operator
    "configuration_invalid": _row(
        ConfigurationError,
        500,
        "operator",
        "fix",
        "Configuration is invalid",
        _ASK_ADMIN_ZH,
        _ASK_ADMIN_EN,
    ),
    "storage_unavailable": _row(
        ConfigurationError,
        503,
        "operator",
        "retry",
        "Storage is not available",
        "系統暫時無法儲存資料，請稍後再試。",
        "The system cannot store data right now. Please try again later.",
    ),
    "internal_error": _row(
        GatewayError,
        500,
        "operator",
        "retry",
        "Internal error",
        "系統發生未預期的錯誤，請稍後再試或通知系統管理者。",
        "Something unexpected went wrong. Please try again later or tell your administrator.",
    ),
    # -- integrator
    "request_invalid": _row(
        RequestError, 422, "integrator", "fix", "Request is invalid", _REQUEST_ZH, _REQUEST_EN
    ),
    "request_malformed": _row(
        RequestError, 400, "integrator", "fix", "Request cannot be read", _REQUEST_ZH, _REQUEST_EN
    ),
    "request_too_large": _row(
        RequestError, 413, "integrator", "fix", "Request is too large", _REQUEST_ZH, _REQUEST_EN
    ),
    "unsupported_media_type": _row(
        RequestError,
        415,
        "integrator",
        "fix",
        "Media type is not supported",
        _REQUEST_ZH,
        _REQUEST_EN,
    ),
    "unauthenticated": _row(
        RequestError,
        401,
        "integrator",
        "fix",
        "No valid credentials",
        "連線憑據無效或已過期，請重新登入公文系統。",
        "The credentials are not valid or have run out. Please sign in again.",
    ),
    "forbidden": _row(
        RequestError,
        403,
        "integrator",
        "fix",
        "Not permitted",
        "沒有執行此作業的權限。",
        "This is not permitted.",
    ),
    "not_found": _row(
        RequestError, 404, "integrator", "fix", "Not found", "找不到指定的資料。", "Not found."
    ),
    "method_not_allowed": _row(
        RequestError, 405, "integrator", "fix", "Method is not allowed", _REQUEST_ZH, _REQUEST_EN
    ),
    "not_acceptable_yet": _row(
        RequestError,
        409,
        "integrator",
        "retry",
        "Not available yet",
        "簽章尚未完成。",
        "The signature is not finished yet.",
    ),
    "idempotency_mismatch": _row(
        RequestError,
        422,
        "integrator",
        "fix",
        "Idempotency-Key was used with another body",
        _REQUEST_ZH,
        _REQUEST_EN,
    ),
    "idempotency_running": _row(
        RequestError,
        409,
        "integrator",
        "retry",
        "The first request with this Idempotency-Key is still running",
        "作業進行中，請稍候。",
        "Still in progress. Please wait.",
    ),
    "transaction_open": _row(
        RequestError,
        409,
        "integrator",
        "retry",
        "This person has an open transaction",
        "您還有一筆作業等待手機確認，請先完成或取消。",
        "Another request is waiting on your phone. Confirm or cancel it first.",
    ),
    "transaction_closed": _row(
        RequestError,
        409,
        "integrator",
        "restart",
        "The transaction has ended",
        "這筆作業已經結束。",
        "This request has already ended.",
    ),
    "challenge_limit": _row(
        RequestError,
        409,
        "integrator",
        "restart",
        "No further challenge is possible",
        "重試次數或時間已達上限，請重新送出。",
        "No more attempts are possible. Please start again.",
    ),
    "challenge_too_soon": _row(
        RequestError,
        429,
        "integrator",
        "retry",
        "The phone was asked moments ago",
        "剛才已通知手機，請稍候再試。",
        "The phone was notified moments ago. Please wait.",
    ),
    "push_paused": _row(
        RequestError,
        429,
        "holder",
        "qr",
        "Push to this person is paused",
        "先前的推播連續未確認或遭拒絕，為避免打擾，暫停對您的手機推播。請改用「QR Code 模式登入」，或稍後再試。",
        "Recent requests to your phone were refused or not answered, so notifications to it are paused for a while. Please use the QR code instead, or try again later.",
    ),
    "rate_limited": _row(
        RequestError,
        429,
        "integrator",
        "retry",
        "Too many requests",
        "短時間內的要求次數過多，請稍候再試。",
        "Too many requests in a short time. Please wait a little and try again.",
    ),
    "too_many_requests": _row(
        RequestError,
        429,
        "integrator",
        "retry",
        "Too many calls of the API",
        "系統忙碌中，請稍候再試。",
        "The system is busy. Please wait a little and try again.",
    ),
    "too_many_streams": _row(
        RequestError,
        429,
        "integrator",
        "retry",
        "Too many open lines",
        "系統忙碌中，請稍候再試。",
        "The system is busy. Please wait a little and try again.",
    ),
    "page_code_invalid": _row(
        RequestError,
        410,
        "integrator",
        "restart",
        "The page's address was used or has lapsed",
        "這個頁面的連結已使用過或已逾時，請回到公文系統重新開啟。",
        "This page's address was used before or has lapsed. Please open it again from the document system.",
    ),
    "identity_quota": _row(
        RequestError,
        429,
        "operator",
        "fix",
        "Daily quota of ID numbers is used up",
        "今日可查詢的身分證字號數量已達上限，請洽系統管理者。",
        "The number of ID numbers that may be asked about today is used up. Please ask your "
        "administrator.",
    ),
    "artifact_none": _row(
        RequestError,
        404,
        "integrator",
        "fix",
        "Nothing was signed",
        "此筆身分確認沒有簽章檔案。",
        "This confirmation has no signature to be fetched.",
    ),
    "channel_unsupported": _row(
        RequestError, 422, "integrator", "fix", "Channel is not supported", _REQUEST_ZH, _REQUEST_EN
    ),
    "format_unsupported": _row(
        RequestError, 422, "integrator", "fix", "Format is not supported", _REQUEST_ZH, _REQUEST_EN
    ),
    "level_unsupported": _row(
        RequestError, 422, "integrator", "fix", "Level is not supported", _REQUEST_ZH, _REQUEST_EN
    ),
    "document_too_large": _row(
        RequestError,
        422,
        "integrator",
        "fix",
        "Document is too large for this format",
        _REQUEST_ZH,
        _REQUEST_EN,
    ),
    "document_digest_mismatch": _row(
        RequestError,
        422,
        "integrator",
        "fix",
        "Content and sha256 disagree",
        _REQUEST_ZH,
        _REQUEST_EN,
    ),
    "document_unreadable": _row(
        RequestError,
        422,
        "integrator",
        "fix",
        "The document cannot be read",
        "無法讀取此文件，檔案可能損毀或過於複雜，請重新產生檔案後再送簽。",
        "This document cannot be read: it may be damaged or too complex. Please make it anew.",
    ),
    "document_refused": _row(
        RequestError,
        422,
        "integrator",
        "fix",
        "The document has content that is not signed",
        "此文件含有不得簽署的內容（例如加密、程式碼或可隱藏的圖層），請另存為一般文件後再送簽。",
        "This document has content that may not be signed (encryption, scripts, hidden layers). "
        "Please save it as a plain document.",
    ),
    "artifact_unreadable": _row(
        RequestError,
        422,
        "integrator",
        "fix",
        "The signed file cannot be read",
        "無法讀取此簽章檔，檔案可能損毀或格式不符。",
        "This signed file cannot be read: it may be damaged or of another format.",
    ),
    "blind_signing_refused": _row(
        RequestError,
        422,
        "integrator",
        "fix",
        "Content is itself something to be signed",
        _REQUEST_ZH,
        _REQUEST_EN,
    ),
    "id_number_invalid": _row(
        RequestError,
        422,
        "holder",
        "fix",
        "ID number is invalid",
        "身分證字號（或統一證號）格式不正確，請重新輸入。",
        "The ID number is not valid. Please check it.",
    ),
    "user_bound_to_other_id": _row(
        RequestError,
        409,
        "operator",
        "fix",
        "User and ID number are bound otherwise",
        "此帳號或身分證字號已與其他資料登記，請洽系統管理者。",
        "This account or ID number is registered otherwise. Please ask your administrator.",
    ),
    "credential_missing": _row(
        HolderCertificateError,
        409,
        "holder",
        "fix",
        "User has no enabled credential",
        "尚未登記行動自然人憑證，請先至「使用者憑證登記」登記。",
        "No mobile certificate is registered yet. Please register one first.",
    ),
    # -- holder
    "holder_refused": _row(
        HolderActionError,
        200,
        "holder",
        "restart",
        "The holder refused",
        "您已在手機上取消，如需簽章請重新送出。",
        "You refused on your phone. Start again if you want to sign.",
    ),
    "expired": _row(
        HolderActionError,
        200,
        "holder",
        "restart",
        "Nobody answered in time",
        "逾時未確認，請重新送出。",
        "There was no confirmation in time. Please start again.",
    ),
    "wrong_device": _row(
        HolderActionError,
        200,
        "holder",
        "fix",
        "Another person's device answered",
        "掃描的裝置不是本人的裝置，請使用本人已綁定的手機。",
        "The device belongs to somebody else. Use your own bound phone.",
    ),
    "app_failed": _row(
        HolderActionError,
        200,
        "app",
        "restart",
        "The app reports a failure",
        "「行動自然人憑證」App 回報簽章失敗，請重新送出。",
        "The app reports that signing failed. Please start again.",
    ),
    "ticket_invalid": _row(
        HolderActionError,
        200,
        "operator",
        "restart",
        "The platform does not accept the ticket",
        "這次作業已失效，請重新送出。",
        "This request is no longer valid. Please start again.",
    ),
    "cancelled": _row(
        HolderActionError,
        200,
        "integrator",
        "restart",
        "Cancelled by the document system",
        "作業已取消。",
        "The request was cancelled.",
    ),
    # -- holder's certificate or device
    "device_not_bound": _row(
        HolderCertificateError,
        200,
        "holder",
        "bind",
        "No usable bound device",
        "手機尚未綁定行動自然人憑證（或已失效），請先完成裝置綁定。",
        "No phone is bound to your mobile certificate. Please bind one first.",
    ),
    "push_unavailable": _row(
        HolderCertificateError,
        200,
        "holder",
        "qr",
        "Push does not reach the phone",
        "推播無法送達手機，請先開啟 App 一次，或改用 QR Code。",
        "The notification cannot reach the phone. Open the app once, or use the QR code.",
    ),
    "certificate_expired": _row(
        HolderCertificateError,
        200,
        "holder",
        "bind",
        "Certificate has run out",
        "憑證已逾有效期間，請更新行動自然人憑證後重新登記。",
        "The certificate has run out. Renew it and register again.",
    ),
    "certificate_not_yet_valid": _row(
        HolderCertificateError,
        200,
        "operator",
        "restart",
        "Certificate is not valid yet",
        "憑證尚未生效，請於啟用日期後重新送出；若已過啟用日期，請通知系統管理者檢查主機時間。",
        "The certificate is not valid yet. Start again after its first day; if that has passed, please tell your administrator to check the clock.",
    ),
    "certificate_revoked": _row(
        HolderCertificateError,
        200,
        "holder",
        "bind",
        "Certificate is revoked",
        "憑證已廢止，請重新申請行動自然人憑證。",
        "The certificate is revoked. Please apply for a new one.",
    ),
    "certificate_changed": _row(
        HolderCertificateError,
        200,
        "holder",
        "restart",
        "Signed with another certificate than registered",
        "手機上的憑證與登記的不同（可能已更新），請重新登記憑證。",
        "The phone uses another certificate than registered. Please register again.",
    ),
    "credential_disabled": _row(
        HolderCertificateError,
        200,
        "integrator",
        "restart",
        "The credential was disabled meanwhile",
        "憑證登記已停用，請啟用後重新送出。",
        "The registered certificate was disabled. Enable it and start again.",
    ),
    "name_mismatch": _row(
        HolderCertificateError,
        200,
        "holder",
        "fix",
        "The name differs from the certificate's",
        "姓名與憑證上的姓名不符，請洽系統管理者。",
        "The name differs from the certificate's. Please ask your administrator.",
    ),
    # -- platform
    "start_unknown": _row(
        UpstreamError,
        200,
        "platform",
        "restart",
        "It is not known whether the phone was asked",
        "無法確認是否已通知手機，請重新送出；若手機出現先前的通知請略過。",
        "It is not known whether the phone was notified. Start again and ignore an older notification.",
    ),
    "upstream_unreachable": _row(
        UpstreamError,
        200,
        "platform",
        "retry",
        "Platform cannot be reached",
        _PLATFORM_ZH,
        _PLATFORM_EN,
    ),
    "upstream_unavailable": _row(
        UpstreamError,
        200,
        "platform",
        "retry",
        "Platform reports a failure of its own",
        _PLATFORM_ZH,
        _PLATFORM_EN,
    ),
    "upstream_malformed": _row(
        UpstreamError,
        200,
        "platform",
        "retry",
        "Platform's answer cannot be read",
        _PLATFORM_ZH,
        _PLATFORM_EN,
    ),
    "upstream_rejected_request": _row(
        UpstreamError,
        200,
        "operator",
        "fix",
        "Platform rejects the request or the set-up",
        _ASK_ADMIN_ZH,
        _ASK_ADMIN_EN,
    ),
    "upstream_unknown_code": _row(
        UpstreamError,
        200,
        "platform",
        "restart",
        "Platform answered with an unknown code",
        _PLATFORM_ZH,
        _PLATFORM_EN,
    ),
    # -- verification
    "checksum_missing": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Success without idp_checksum",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "checksum_invalid": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "idp_checksum is under none of our keys",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "checksum_mismatch": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "idp_checksum speaks for another answer",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "checksum_reflected": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Our own checksum came back",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "answer_invalid": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Answer breaks its field rules",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "answer_ambiguous": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Answer gives a name twice",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "answer_incomplete": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Success without what it has to bring",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "ticket_mismatch": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Ticket is not the one asked for",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "ticket_malformed": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Ticket cannot be read",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "hashed_id_num_mismatch": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Person of ticket, result and registration differ",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "id_number_mismatch": _row(
        VerificationError,
        200,
        "holder",
        "fail",
        "Platform confirmed another ID number",
        "在內政部網站輸入的身分證字號與申請人不同，已停止作業，請重新送出並輸入本人的身分證字號。",
        "Another ID number was entered on the Ministry's site, so the request was stopped. Start again and enter your own.",
    ),
    "certificate_malformed": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Certificate cannot be read",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "certificate_profile": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Certificate is not a signing certificate of this PKI",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "certificate_usage": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Certificate is not for signatures",
        "手機回傳的不是簽章用的憑證，為了您的安全已停止作業，請通知系統管理者。",
        "The phone sent a certificate that is not for signing, so the request was stopped. Please tell your administrator.",
    ),
    "certificate_policy": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Certificate is of another assurance",
        "憑證的保證等級不符公文簽章的要求，已停止作業，請通知系統管理者。",
        "The certificate is not of the assurance level that signing needs. Please tell your administrator.",
    ),
    "certificate_untrusted": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "No path to a configured anchor",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "certificate_person_mismatch": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Certificate belongs to another ID number",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "certificate_person_missing": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Certificate does not say whose it is",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "timestamp_unavailable": _row(
        UpstreamError,
        200,
        "operator",
        "retry",
        "The timestamp authority did not answer",
        "時戳服務暫時沒有回應，請稍後再試。",
        "The timestamp service does not answer right now. Please try again later.",
    ),
    "timestamp_invalid": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "The timestamp is not valid",
        "時戳查驗不符，請洽系統管理員。",
        "The timestamp could not be verified. Please contact your administrator.",
    ),
    "level_unreachable": _row(
        VerificationError,
        200,
        "operator",
        "retry",
        "The signature's level cannot be reached",
        "目前無法達到要求的簽章等級，請洽系統管理員。",
        "The requested signature level cannot be reached right now. Please contact your administrator.",
    ),
    "revocation_unknown": _row(
        VerificationError,
        200,
        "operator",
        "retry",
        "Revocation could not be checked",
        "目前無法查驗憑證是否廢止，請稍後再試。",
        "Revocation cannot be checked right now. Please try again later.",
    ),
    "signature_malformed": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Signature cannot be read",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "signature_invalid": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Signature does not verify over what was asked",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "upstream_tampered": _row(
        VerificationError,
        200,
        "operator",
        "fail",
        "Signature covers other bytes than ours",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "app_signature_rejected": _row(
        VerificationError,
        200,
        "app",
        "fail",
        "Platform rejects what the app signed",
        _VERIFY_ZH,
        _VERIFY_EN,
    ),
    "vault_tampered": _row(
        VerificationError,
        500,
        "operator",
        "fail",
        "Stored data does not authenticate",
        _ASK_ADMIN_ZH,
        _ASK_ADMIN_EN,
    ),
}


def problem(code: str, detail: str, *, upstream_code: str | None = None, **extra: Any) -> Problem:
    """A problem of the catalogue.

    Args:
        code: A key of `CATALOGUE`; another is a defect of ours and raises ``KeyError``.
        detail: English; see `Problem`.
        upstream_code: The platform's own code, where there is one.
        extra: Further members of the problem document.
    """
    entry = CATALOGUE[code]
    return Problem(
        code=code,
        status=entry.status,
        title=entry.title,
        detail=detail,
        who_can_act=entry.who_can_act,
        what_helps=entry.what_helps,
        user_message={"zh-TW": entry.zh, "en": entry.en},
        upstream_code=upstream_code,
        extra=extra,
    )


def error_of(problem: Problem) -> GatewayError:
    """The exception of the class that the catalogue names for this problem's code."""
    entry = CATALOGUE.get(problem.code)
    return (entry.cls if entry else GatewayError)(problem)


def error(
    code: str, detail: str, *, upstream_code: str | None = None, **extra: Any
) -> GatewayError:
    """`problem`, as the exception to raise."""
    return error_of(problem(code, detail, upstream_code=upstream_code, **extra))
