"""The page of an evidence ZIP, for people: zh-TW first, English second, no script, nothing fetched.

It says nothing that the files beside it do not say, and never a bare "valid": what was checked,
what was not, and of which bytes. Everything that comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from html import escape
from typing import Final

from moica_gateway.domain.models import (
    ChallengeStatus,
    Check,
    Document,
    Kind,
    Status,
    SubjectInfo,
    Transaction,
)
from moica_gateway.services.evidence.parts import Found

__all__ = ["page"]

_TAIPEI: Final = timezone(timedelta(hours=8))
_FIRST_YEAR: Final = 1911
"""民國元年 is the year after."""

_KINDS: Final = {
    Kind.REGISTRATION: ("憑證登記", "Registration"),
    Kind.SIGNATURE: ("公文簽章", "Signature"),
    Kind.AUTHENTICATION: ("身分驗證", "Authentication"),
}
_STATUSES: Final = {
    Status.PENDING: ("進行中", "Pending"),
    Status.COMPLETED: ("完成", "Completed"),
    Status.REJECTED: ("使用者取消", "Refused by the holder"),
    Status.EXPIRED: ("逾時未確認", "Nobody answered in time"),
    Status.CANCELLED: ("已取消", "Cancelled"),
    Status.FAILED: ("失敗", "Failed"),
}
_CHANNELS: Final = {
    "push": "推播",
    "qr": "QR Code",
    "app_link": "App 連結",
    "redirect": "網頁導向",
}
_CHALLENGES: Final = {
    ChallengeStatus.STARTING: "發送中",
    ChallengeStatus.SENT: "已發送",
    ChallengeStatus.APPROVED: "已確認",
    ChallengeStatus.REFUSED: "已拒絕",
    ChallengeStatus.LAPSED: "逾時",
    ChallengeStatus.FAILED: "失敗",
    ChallengeStatus.CLOSED: "已關閉",
}
_CHECKS: Final = {
    "certificate_readable": ("憑證可讀取", "Certificate readable"),
    "intact": ("簽章值完整", "Signature intact"),
    "covers_our_bytes": ("簽章涵蓋所要求的內容", "Covers exactly what was asked"),
    "profile": ("憑證種類與用途", "Certificate profile and usage"),
    "trusted_path": ("憑證路徑可信", "Path to a trusted root"),
    "valid_at_signing": ("簽章時憑證有效", "Certificate valid at that time"),
    "right_person": ("身分證統一編號末四碼相符", "Last four of the ID number"),
    "same_person_as_registered": ("與登記者為同一人", "Same person as registered"),
    "right_name": ("姓名相符", "Name agrees"),
    "right_credential": ("為已登記之憑證", "The registered certificate"),
    "not_revoked": ("憑證未廢止", "Certificate not revoked"),
    "issuer_not_revoked": ("簽發者憑證未廢止", "Issuer not revoked"),
    "platform_answer": ("平臺回應查驗", "The platform's answer"),
    "person": ("身分", "Person"),
    "certificate": ("憑證", "Certificate"),
}
_RESULTS: Final = {
    True: ("通過", "passed", "good"),
    False: ("不符", "failed", "bad"),
    None: ("未查驗", "not checked", "none"),
}
_STYLE: Final = """
body{margin:0;padding:1.5em;font:16px/1.6 "Noto Sans TC","Noto Sans CJK TC","Microsoft JhengHei",sans-serif;color:#1b2733;background:#fff}
main{max-width:50em;margin:0 auto}h1{font-size:1.5em;margin:.2em 0}h2{font-size:1.15em;margin:1.6em 0 .4em;border-bottom:2px solid #0b5cad}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35em .6em;border-bottom:1px solid #d4dce4;overflow-wrap:anywhere}
.facts th{width:13em;font-weight:normal;color:#44525f}.en{color:#55636f;font-size:.85em}code{font-size:.85em}
.test{border:3px solid #a3160f;color:#a3160f;font-weight:bold;padding:.6em 1em;margin:1em 0}
.good{color:#17663a;font-weight:bold}.bad{color:#a3160f;font-weight:bold}.none{color:#6b4a00;font-weight:bold}
@media(max-width:30em){body{padding:.6em}.facts th{width:7em}}
@media print{body{padding:0;font-size:11pt}h2{break-after:avoid}tr{break-inside:avoid}}
"""  # noqa: E501 - a style sheet


def page(found: Found, subjects: Mapping[int, SubjectInfo], names: Sequence[str]) -> str:
    """HTML. ``subjects`` are the signers by ticket, ``names`` the other files of the archive."""
    transaction = found.transaction
    kind, kind_en = _KINDS[transaction.kind]
    status, status_en = _STATUSES[transaction.status]
    parts = [
        f"<h1>{kind}紀錄</h1><p class=en>Evidence of: {kind_en}. {status_en}.</p>",
        _test_mark(found.environment),
        _facts(
            ("結果", "Outcome", _outcome(transaction, status)),
            ("交易編號", "Transaction", transaction.id),
            ("使用者", "User", transaction.user_id or "—"),
            ("代理", "On behalf of", _behalf(transaction)),
            ("手機上顯示", "Shown on the phone", transaction.hint),
            ("驗證碼", "Match code", transaction.match_code),
            ("開始", "Began", _time(transaction.created_at)),
            ("結束", "Ended", _time(transaction.ended_at)),
            ("格式", "Format", " ".join(filter(None, (transaction.format, transaction.level)))),
        ),
        *_documents(transaction),
        *_signers(subjects),
        *_report(transaction),
        *_challenges(transaction),
        *_files(names),
    ]
    title = f"{kind} {transaction.id}"
    return (
        '<!DOCTYPE html>\n<html lang="zh-Hant-TW"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _test_mark(environment: str) -> str:
    if environment == "production":
        return ""
    return f"<p class=test>測試，無法律效力 NOT FOR PRODUCTION（{escape(environment)}）</p>"


def _facts(*rows: tuple[str, str, str | None]) -> str:
    cells = "".join(
        f"<tr><th>{name}<br><span class=en>{name_en}</span></th><td>{escape(value)}</td></tr>"
        for name, name_en, value in rows
        if value is not None
    )
    return f"<table class=facts>{cells}</table>"


def _heading(zh: str, en: str) -> str:
    return f"<h2>{zh} <span class=en>{en}</span></h2>"


def _outcome(transaction: Transaction, status: str) -> str:
    told = f"{status}（部分公文已簽章）" if transaction.partial else status
    if transaction.error is None:
        return told
    return f"{told}：{transaction.error.user_message['zh-TW']}（{transaction.error.code}）"


def _behalf(transaction: Transaction) -> str | None:
    behalf = transaction.on_behalf_of
    return None if behalf is None else f"{behalf.user_id}（{behalf.reason}）"


def _documents(transaction: Transaction) -> Iterable[str]:
    own = transaction.kind is Kind.SIGNATURE
    yield _heading("公文" if own else "簽署之聲明", "Documents" if own else "Statement")
    for place, document in enumerate(transaction.documents, 1):
        yield _facts(
            ("文號", "Number", document.number if own else None),
            ("版本", "Version", document.version),
            ("主旨", "Title", document.title),
            ("SHA-256", "of the content", document.sha256),
            ("狀態", "State", _state(document)),
            ("檔案", "Files", f"documents/{place}/"),
        )
        yield "<br>"


def _state(document: Document) -> str | None:
    return _STATUSES[document.status][0] if document.status else None


def _signers(subjects: Mapping[int, SubjectInfo]) -> Iterable[str]:
    if not subjects:
        return
    yield _heading("簽章者", "Signer")
    for ticket, subject in sorted(subjects.items()):
        masked = f"******{subject.last_four}" if subject.last_four else None
        yield _facts(
            ("姓名", "Name", subject.subject_name),
            ("身分證統一編號", "ID number", masked),
            ("憑證簽發者", "Issuer", subject.issuer_name),
            ("憑證序號", "Serial number", subject.serial_number),
            ("憑證效期", "Valid", f"{_time(subject.not_before)} – {_time(subject.not_after)}"),
            ("憑證 SHA-256", "Fingerprint", subject.fingerprint_sha256),
            ("檔案", "Files", f"answers/{ticket + 1}/"),
        )


def _report(transaction: Transaction) -> Iterable[str]:
    if transaction.signature is None:
        return
    signed_at = _time(transaction.signature.signed_at)
    yield _heading("當時的查驗", "What was checked then")
    yield (
        f"<p>以下為 {signed_at} 收到回應時的查驗結果；檔案均可另行以其他工具查驗。<br>"
        "<span class=en>As found when the answer arrived. Every file can be checked anew with "
        "other tools.</span></p>"
    )
    rows = "".join(_check_row(check) for check in transaction.signature.report)
    yield f"<table>{rows}</table>"


def _check_row(check: Check) -> str:
    zh, en = _CHECKS.get(check.name, (check.name, check.name))
    result, result_en, kind = _RESULTS[check.passed]
    return (
        f"<tr><td>{escape(zh)}<br><span class=en>{escape(en)}</span></td>"
        f"<td class={kind}>{result}<br><span class=en>{result_en}</span></td>"
        f"<td>{escape(check.detail)}</td></tr>"
    )


def _challenges(transaction: Transaction) -> Iterable[str]:
    yield _heading("手機通知", "How the phone was asked")
    rows = "".join(
        f"<tr><td>{escape(_CHANNELS.get(c.channel.value, c.channel.value))}</td>"
        f"<td>{_time(c.created_at)} – {_time(c.expires_at)}</td>"
        f"<td>{_CHALLENGES[c.status]}{f'（{escape(c.problem.code)}）' if c.problem else ''}</td>"
        "</tr>"
        for c in transaction.challenges
    )
    yield f"<table>{rows}</table>"


def _files(names: Sequence[str]) -> Iterable[str]:
    yield _heading("檔案", "Files")
    yield (
        "<p>manifest.json 列出各檔案之 SHA-256，並由系統簽章（manifest.sig）。<br><span class=en>"
        "manifest.json lists every file with its SHA-256 and is signed by the gateway.</span></p>"
    )
    yield "<ul>" + "".join(f"<li><code>{escape(name)}</code></li>" for name in names) + "</ul>"


def _time(at: datetime | None) -> str:
    """民國, Taipei time."""
    if at is None:
        return "—"
    local = at.astimezone(_TAIPEI)
    return f"民國 {local.year - _FIRST_YEAR} 年 {local.month} 月 {local.day} 日 {local:%H:%M:%S}"
