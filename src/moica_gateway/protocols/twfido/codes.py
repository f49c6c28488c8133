"""The platform's error codes and what each means for us: the one table.

``number``, ``who`` and ``helps`` are the specification's, unchanged; which of our own codes a row
becomes and what the holder reads is ours. ``20002`` and ``20003`` are older forms of "not finished
yet". The codes 10002 and 32001 to 32006 never reach a service provider and are not here.
Specification: ``protocol/moi-sp-api.md`` "Error codes", "Transport".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from attrs import evolve, frozen

from moica_gateway.errors import Problem, WhatHelps, WhoCanAct, problem

__all__ = [
    "CANCELLED_BY_HOLDER",
    "CODES",
    "TICKET_LAPSED",
    "CodeRow",
    "PlatformParty",
    "normalise",
    "problem_of",
]

PlatformParty = Literal["holder", "sp", "app", "idp"]

_WHO: Final[Mapping[PlatformParty, WhoCanAct]] = {
    "holder": "holder",
    "sp": "operator",
    "app": "app",
    "idp": "platform",
}
_NEXT: Final[Mapping[WhatHelps, str]] = {
    "poll": "asking again later is all there is to do",
    "retry": "the same may succeed later",
    "restart": "a new transaction is needed",
    "qr": "the same transaction goes on by QR code",
    "bind": "the holder binds a device on the Ministry's site first",
    "fix": "nothing helps until the request or the set-up is corrected",
    "fail": "to be treated as an attack or a defect",
}

# "SP-API-ATH-02-" in front; a code never begins with the name of an interface otherwise.
_INTERFACE_PREFIX: Final = re.compile(r"SP-API-[A-Z]{1,8}-[0-9]{1,3}-")
_BARE: Final = re.compile(r"[A-Z0-9][A-Z0-9_]{0,63}", re.ASCII)
_RAW_LIMIT: Final = 64
# An ID number, and whatever is as long as a hash, ticket or key: a code that is not in the table
# may be anything, and goes into errors, events and the audit record in clear.
_PERSONAL: Final = re.compile(r"[A-Za-z][1289A-Da-d][0-9]{8}|[A-Za-z0-9+/=_.-]{32,}", re.ASCII)

CANCELLED_BY_HOLDER: Final = "APP_USER_CANCEL"
TICKET_LAPSED: Final = "SPTKT_OVD"


@frozen(kw_only=True)
class CodeRow:
    """One code of the platform.

    Attributes:
        code: Bare, as after `normalise`.
        number: What the app shows, where it shows one.
        who: Who can act, in the platform's words.
        helps: What helps.
        ours: Key of `moica_gateway.errors.CATALOGUE`.
        meaning: English, for whoever runs the gateway.
        zh: For the holder, zh-TW.
        en: For the holder, English.
    """

    code: str
    number: int | None
    who: PlatformParty
    helps: WhatHelps
    ours: str
    meaning: str
    zh: str
    en: str

    @property
    def who_can_act(self) -> WhoCanAct:
        """In our words."""
        return _WHO[self.who]


def _text(zh: str, en: str) -> tuple[str, str]:
    return zh, en


_BUSY = _text(
    "行動自然人憑證平臺暫時無法服務，請稍後再試。",
    "The mobile certificate platform is not available right now. Please try again later.",
)
_DATABASE = _text(
    "行動自然人憑證平臺的資料庫暫時無法使用，請稍後再試。",
    "The platform's database is not available right now. Please try again later.",
)
_LOOK_UP = _text(
    "行動自然人憑證平臺暫時無法查詢資料，請稍後再試。",
    "The platform cannot look up its records right now. Please try again later.",
)
_STORE = _text(
    "行動自然人憑證平臺暫時無法儲存資料，請稍後再試。",
    "The platform cannot store its records right now. Please try again later.",
)
_PUSH = _text(
    "推播暫時無法送出，請稍後再試，或改用 QR Code。",
    "The notification cannot be sent right now. Try again later, or use the QR code.",
)
_SET_UP = _text(
    "系統與行動自然人憑證平臺的連線設定有誤，請通知系統管理者。",
    "The connection to the platform is not set up correctly. Please tell your administrator.",
)
_REQUEST = _text(
    "系統送出的簽章請求不正確，請通知系統管理者。",
    "The system sent an incorrect signing request. Please tell your administrator.",
)
_LOST = _text(
    "這次簽章請求已失效，請重新送出。",
    "This signing request is no longer valid. Please start again.",
)
_BIND = _text(
    "您尚未綁定行動自然人憑證的手機，請先至內政部網站完成裝置綁定。",
    "No phone is bound to your mobile certificate. Please bind one on the Ministry's site first.",
)
_OTHERS = _text(
    "這支手機不屬於這次簽章的當事人，請改用本人已綁定的手機。",
    "This phone does not belong to the person who has to sign. Use your own bound phone.",
)
_APP_DATA = _text(
    "手機傳回的簽章內容不正確，為了您的安全已停止作業，請通知系統管理者。",
    "What the phone sent back is not correct, so the request was stopped. Please tell your administrator.",
)
_ACTIVATION = _text(
    "註冊啟用碼無效，請至內政部網站重新取得啟用碼並完成裝置綁定。",
    "The activation code is not valid. Get a new one on the Ministry's site and bind your phone.",
)
_NFC = _text(
    "卡片感應未完成或已逾時，請重新送出後再靠卡一次。",
    "The card was not read in time. Start again and hold the card to the phone once more.",
)
_WAIT = _text("等待您在手機上確認。", "Waiting for you to confirm on your phone.")


def _row(
    code: str,
    number: int | None,
    who: PlatformParty,
    helps: WhatHelps,
    ours: str,
    meaning: str,
    text: tuple[str, str],
) -> CodeRow:
    return CodeRow(
        code=code,
        number=number,
        who=who,
        helps=helps,
        ours=ours,
        meaning=meaning,
        zh=text[0],
        en=text[1],
    )


# fmt: off
_ROWS: Final = (
    # -- the platform's database
    _row("DB_CONN_ERR", 1021, "idp", "retry", "upstream_unavailable", "the platform cannot reach its database", _DATABASE),
    _row("DB_SQL_EXP", 1022, "idp", "retry", "upstream_unavailable", "an operation of the platform's database failed", _DATABASE),
    _row("DB_ROOLBACK", 1023, "idp", "retry", "upstream_unavailable", "the platform rolled a group of operations back", _DATABASE),
    _row("DB_CLOSE_ERR", 1024, "idp", "retry", "upstream_unavailable", "the platform could not close a database connection", _DATABASE),
    _row("DB_JNDI_ERR", 1025, "idp", "retry", "upstream_unavailable", "the platform's database is not set up correctly", _DATABASE),
    _row("UNDEFINED", 1026, "idp", "retry", "upstream_unavailable", "the platform gives no reason", _BUSY),
    _row("NFCNONCE_INS_ERR", 1027, "idp", "retry", "upstream_unavailable", "the platform could not store an NFC nonce", _STORE),
    _row("OTP_INS_ERR", 1028, "idp", "retry", "upstream_unavailable", "the platform could not store an activation code", _STORE),
    _row("NFCNONCE_DBSQL", 1029, "idp", "retry", "upstream_unavailable", "the platform could not look an NFC nonce up", _LOOK_UP),
    _row("NFCNONCE_DEL_ERR", 1030, "idp", "retry", "upstream_unavailable", "the platform could not delete an NFC nonce", _STORE),
    # -- activation codes and cards
    _row("OTP_EXPIRED", 1031, "holder", "restart", "device_not_bound", "the activation code has expired", _text("註冊啟用碼已過期，請至內政部網站重新取得啟用碼。", "The activation code has expired. Get a new one on the Ministry's site.")),
    _row("OTP_IDNUM_MISMATCH", 1032, "holder", "restart", "device_not_bound", "the activation code was issued for another ID number", _text("註冊啟用碼與身分證字號不符，請使用本人的啟用碼。", "The activation code belongs to another ID number. Use your own.")),
    _row("OTP_NF", 1033, "holder", "restart", "device_not_bound", "the activation code is unknown; often the app and the site are not of the same environment", _ACTIVATION),
    _row("OTP_DBSQL", 1034, "idp", "retry", "upstream_unavailable", "the platform could not look an activation code up", _LOOK_UP),
    _row("NFCNONCE_NF", 1035, "holder", "restart", "app_failed", "the NFC nonce is unknown", _NFC),
    _row("NFCNONCE_IDNUM_MISMATCH", 1036, "holder", "restart", "app_failed", "the NFC nonce was made for another ID number", _text("感應的卡片不是本人的自然人憑證，請使用本人的卡片重新送出。", "The card belongs to somebody else. Start again with your own card.")),
    # -- users and devices
    _row("IDNUM_USERPROF_NF", 1051, "holder", "bind", "device_not_bound", "the ID number has no user: it never bound a device, or has deregistered", _BIND),
    _row("IDNUM_USERPROF_DBSQL", 1052, "idp", "retry", "upstream_unavailable", "the platform could not look the user up", _LOOK_UP),
    _row("IDNUM_DEVPROF_NF", 1053, "holder", "bind", "device_not_bound", "the ID number has no bound device", _BIND),
    _row("IDNUM_DEVPROF_DBSQL", 1054, "idp", "retry", "upstream_unavailable", "the platform could not look the device up", _LOOK_UP),
    _row("DEV_LIM_REACHED", 1055, "holder", "bind", "device_not_bound", "too many devices are bound; one has to be unbound first", _text("綁定的裝置數已達上限，請先解除其中一支手機的綁定。", "Too many phones are bound. Unbind one of them first.")),
    _row("DEVID_DEVPROF_NF", 1061, "holder", "bind", "device_not_bound", "the device is unknown, which is also so after its certificate was revoked", _text("平臺查無這支手機的綁定（憑證可能已廢止），請重新完成裝置綁定。", "The platform does not know this phone; its certificate may be revoked. Please bind it again.")),
    _row("DEVID_DEVPROF_DBSQL", 1062, "idp", "retry", "upstream_unavailable", "the platform could not look the device up by its id", _LOOK_UP),
    _row("DEV_DESC_MISMATCH", 1063, "sp", "fix", "upstream_rejected_request", "no bound device bears the device name that was sent", _text("找不到指定名稱的已綁定手機，請確認裝置名稱或通知系統管理者。", "No bound phone has the given name. Check the device name or tell your administrator.")),
    _row("DEVID_SPTKT_MISMATCH", 1064, "holder", "fix", "wrong_device", "the device belongs to another person than the ticket", _OTHERS),
    _row("USERPROF_INS_ERR", 1071, "idp", "retry", "upstream_unavailable", "the platform could not store the user", _STORE),
    _row("DEVPROF_INS_ERR", 1072, "idp", "retry", "upstream_unavailable", "the platform could not store the device", _STORE),
    _row("SPTKT_INS_ERR", 1073, "idp", "retry", "upstream_unavailable", "the platform could not store the ticket; seen where the ID number does not check out", _STORE),
    _row("TXNLOG_INS_ERR", 1074, "sp", "fix", "upstream_rejected_request", "the platform could not store the transaction; in practice its id was used before", _REQUEST),
    _row("USERPROF_DEL_ERR", 1075, "idp", "retry", "upstream_unavailable", "the platform could not delete the user", _STORE),
    _row("DEVPROF_DEL_ERR", 1076, "idp", "retry", "upstream_unavailable", "the platform could not delete the device", _STORE),
    _row("SPTKT_DEL_ERR", 1077, "idp", "retry", "upstream_unavailable", "the platform could not delete the ticket", _STORE),
    _row("USERPROF_UPD_ERR", 1078, "idp", "retry", "upstream_unavailable", "the platform could not update the user", _STORE),
    _row("DEVPROF_UPD_ERR", 1079, "idp", "retry", "upstream_unavailable", "the platform could not update the device", _STORE),
    _row("IDNUM_DEVID_MISMATCH", 1080, "holder", "fix", "wrong_device", "the device does not belong to this ID number", _OTHERS),
    _row("CERT_SIGNDATA_MISMATCH", 1081, "app", "fail", "app_signature_rejected", "the platform finds that the signature covers other data than was asked for", _APP_DATA),
    _row("CERT_SIGNDATA_ERR", 1082, "app", "fail", "app_signature_rejected", "the platform cannot parse the app's signature", _APP_DATA),
    # -- tickets
    _row("SPTKT_OVD", 1101, "holder", "restart", "expired", "the ticket has expired", _text("逾時未在手機上確認，請重新送出。", "There was no confirmation on the phone in time. Please start again.")),
    _row("SPTKTID_SPTKT_NF", 1102, "sp", "restart", "ticket_invalid", "the platform does not know the ticket", _LOST),
    _row("SPTKTID_SPTKT_RDM", 1103, "sp", "restart", "ticket_invalid", "the ticket was used already", _text("這次簽章請求已經使用過，請重新送出。", "This signing request was used already. Please start again.")),
    _row("SPTKTID_SPTKT_DBSQL", 1104, "idp", "retry", "upstream_unavailable", "the platform could not look the ticket up", _LOOK_UP),
    _row("NFCNONCE_EXPIRED", 1105, "holder", "restart", "app_failed", "the NFC nonce has expired", _NFC),
    _row("SIGRESP_CNT_MISMATCH", 1106, "app", "fail", "app_signature_rejected", "a batch came back with another number of signatures than documents", _text("手機傳回的簽章數與公文數不符，為了您的安全已停止作業，請通知系統管理者。", "The phone returned another number of signatures than documents. Please tell your administrator.")),
    # -- push
    _row("PS_CONNECT_404", 3002, "idp", "retry", "upstream_unavailable", "the platform's push module answered 404", _PUSH),
    _row("PS_CONNECT_500", 3003, "idp", "retry", "upstream_unavailable", "the platform's push module answered 500", _PUSH),
    _row("PS_JSON_FMT_ERR", 3004, "idp", "retry", "upstream_unavailable", "the platform's push module did not answer JSON", _PUSH),
    _row("PS_JSON_TYPE_ERR", 3005, "idp", "retry", "upstream_unavailable", "the platform's push module answered JSON of wrong types", _PUSH),
    _row("PS_JSON_MISS_KEY", 3006, "idp", "retry", "upstream_unavailable", "the platform's push module left a field out", _PUSH),
    _row("PS_CONNECT_IOEXC", 3007, "idp", "retry", "upstream_unavailable", "the platform cannot reach its push module", _PUSH),
    _row("PS_1001", 3008, "idp", "retry", "upstream_unavailable", "the platform called its push module wrongly", _PUSH),
    _row("PS_5000", 3009, "idp", "retry", "upstream_unavailable", "the platform's push module could not parse the push", _PUSH),
    _row("PS_FCM_UNKNOWN", 3101, "idp", "retry", "upstream_unavailable", "push service: unknown error", _PUSH),
    _row("PS_FCM_ABORTED", 3102, "idp", "retry", "upstream_unavailable", "push service: aborted because of a conflict", _PUSH),
    _row("PS_FCM_ALREADY_EXISTS", 3103, "idp", "retry", "upstream_unavailable", "push service: the resource exists already", _PUSH),
    _row("PS_FCM_CANCELLED", 3104, "idp", "retry", "upstream_unavailable", "push service: the call was cancelled", _PUSH),
    _row("PS_FCM_CONFLICT", 3105, "idp", "retry", "upstream_unavailable", "push service: reading and writing collided", _PUSH),
    _row("PS_FCM_DATA_LOSS", 3106, "idp", "retry", "upstream_unavailable", "push service: data lost or damaged", _PUSH),
    _row("PS_FCM_DEADLINE_EXCEEDED", 3107, "idp", "retry", "upstream_unavailable", "push service: no answer in time", _PUSH),
    _row("PS_FCM_FAILED_PRECONDITION", 3108, "idp", "retry", "upstream_unavailable", "push service: a precondition does not hold", _PUSH),
    _row("PS_FCM_INTERNAL", 3109, "idp", "retry", "upstream_unavailable", "push service: internal error", _PUSH),
    _row("PS_FCM_INVALID_ARGUMENT", 3110, "idp", "retry", "upstream_unavailable", "push service: an argument is invalid", _PUSH),
    _row("PS_FCM_NOT_FOUND", 3111, "holder", "qr", "push_unavailable", "the app's push registration has lapsed; opening the app once renews it", _text("推播無法送達您的手機，請先開啟「行動自然人憑證」App 一次，或改用 QR Code。", "The notification cannot reach your phone. Open the app once, or use the QR code.")),
    _row("PS_FCM_OUT_OF_RANGE", 3112, "idp", "retry", "upstream_unavailable", "push service: a value is out of range", _PUSH),
    _row("PS_FCM_PERMISSION_DENIED", 3113, "idp", "retry", "upstream_unavailable", "push service: permission denied, or not switched on", _PUSH),
    _row("PS_FCM_RESOURCE_EXHAUSTED", 3114, "idp", "retry", "upstream_unavailable", "push service: overloaded", _PUSH),
    _row("PS_FCM_UNAUTHENTICATED", 3115, "idp", "retry", "upstream_unavailable", "push service: not authenticated", _PUSH),
    _row("PS_FCM_UNAVAILABLE", 3116, "idp", "retry", "upstream_unavailable", "push service: not available", _PUSH),
    # -- requests and settings
    _row("PM_INV_NF", 5002, "sp", "fix", "upstream_rejected_request", "a parameter is missing or malformed", _REQUEST),
    _row("PM_SIGDATA_ERR", 5003, "app", "fail", "app_signature_rejected", "the app's signature content is malformed", _APP_DATA),
    _row("PM_INV_SG", 5004, "app", "fail", "app_signature_rejected", "the app's signature does not verify at the platform", _APP_DATA),
    _row("PM_SIGNDATA_NULL", 5005, "sp", "fix", "upstream_rejected_request", "the data to sign is empty", _text("待簽章的資料是空的，請通知系統管理者。", "There is nothing to sign in the request. Please tell your administrator.")),
    _row("SPTKT_PLD_FT_ERR", 9002, "sp", "fix", "upstream_rejected_request", "the payload of the ticket is malformed", _REQUEST),
    _row("SPTKT_DIG_FT_ERR", 9003, "sp", "fix", "upstream_rejected_request", "the digest of the ticket does not match", _REQUEST),
    _row("INV_SP_CHECKSUM", 9004, "sp", "fix", "upstream_rejected_request", "our sp_checksum does not verify: the AES key is another than the platform's", _SET_UP),
    _row("TGT_INV", 9005, "sp", "fix", "upstream_rejected_request", "the operation code or mode is unknown", _REQUEST),
    _row("PM_IDN_FT_ERR", 9006, "holder", "fix", "id_number_invalid", "the platform finds the ID number malformed", _text("身分證字號（或統一證號）格式不正確，請重新輸入。", "The ID number is not valid. Please enter it again.")),
    _row("SPTKTID_TXNLOG_NF", 9007, "holder", "poll", "not_acceptable_yet", "not finished: there is no result for this ticket so far", _WAIT),
    _row("SIGNDATA_LEN_LIMIT", 9008, "sp", "fix", "upstream_rejected_request", "sign_data is longer than 1024 characters", _text("待簽章的資料超過平臺的長度限制，請通知系統管理者。", "What has to be signed is longer than the platform allows. Please tell your administrator.")),
    _row("SPTKT_TIME_FT_ERR", 9009, "sp", "fix", "upstream_rejected_request", "time_limit is no number", _REQUEST),
    _row("SPTKT_TIME_ORV", 9010, "sp", "fix", "upstream_rejected_request", "time_limit is outside 30 to 600 seconds", _text("簽章等候時間的設定超出平臺允許的範圍，請通知系統管理者。", "The waiting time is outside what the platform allows. Please tell your administrator.")),
    _row("SPSVCID_NF", 9011, "sp", "fix", "upstream_rejected_request", "the sp_service_id is unknown to the platform", _SET_UP),
    _row("SPSVCID_DBSQL", 9012, "idp", "retry", "upstream_unavailable", "the platform could not look the service provider up", _LOOK_UP),
    _row("BATSIGN_CNT_LIMIT", 9013, "sp", "fix", "upstream_rejected_request", "a batch has more than 20 documents", _text("一次送出的公文超過平臺的件數上限，請減少件數後重新送出。", "Too many documents at once. Please send fewer of them.")),
    # -- what the app reports
    _row("APP_SIGN_FAILURE", 9014, "app", "restart", "app_failed", "the app reports that signing failed", _text("「行動自然人憑證」App 簽章失敗，請重新送出。", "The app could not sign. Please start again.")),
    _row("APP_USER_CANCEL", 9015, "holder", "restart", "holder_refused", "the holder refused in the app", _text("您已在手機上取消，如需簽章請重新送出。", "You refused on your phone. Start again if you want to sign.")),
    _row("APP_DECODE_FAIL", 9016, "app", "fail", "app_signature_rejected", "the app could not decode the data to sign", _text("手機無法解讀待簽章的資料，已停止作業，請通知系統管理者。", "The phone could not read what has to be signed. Please tell your administrator.")),
    _row("APP_DATA_NULL", 9017, "app", "fail", "app_signature_rejected", "the app found no data to sign", _text("手機沒有收到待簽章的資料，已停止作業，請通知系統管理者。", "The phone received nothing to sign. Please tell your administrator.")),
    # -- older forms of "not finished yet"
    _row("20002", None, "holder", "poll", "not_acceptable_yet", "not finished yet, in an older form", _WAIT),
    _row("20003", None, "holder", "poll", "not_acceptable_yet", "not finished yet, in an older form", _WAIT),
)
# fmt: on

CODES: Final[Mapping[str, CodeRow]] = {row.code: row for row in _ROWS}


def normalise(error_code: str) -> str:
    """The bare code: without the interface in front, an explanation behind, and spaces around.

    ``SP-API-ATH-02-SPTKT_OVD: ticket expired`` becomes ``SPTKT_OVD``. What is no code afterwards
    comes out as it is, of printable ASCII and at most 64 characters.
    """
    text = error_code.strip()
    text = text[prefix.end() :] if (prefix := _INTERFACE_PREFIX.match(text)) else text
    text = re.split("[:：]", text, maxsplit=1)[0].strip()
    if _BARE.fullmatch(text):
        return text
    printable = "".join(c if " " < c <= "~" else "?" for c in text[:_RAW_LIMIT])
    return printable or "?"


def problem_of(code: str, *, interface: str, unsigned: bool) -> Problem:
    """What an error code means.

    Args:
        code: Normalised. One that is not in the table is shown without what may be personal.
        interface: Who said it, for the detail: ``SP-API-ATH-02``.
        unsigned: No ``idp_checksum`` spoke for it; recorded as the extra member ``unsigned``.
    """
    extra = {"unsigned": True} if unsigned else {}
    row = CODES.get(code)
    if row is None:
        return problem(
            "upstream_unknown_code",
            f"expected a code of the specification, {interface} answered another; "
            "a new transaction may succeed, and the platform can say what it means",
            upstream_code=_PERSONAL.sub("?", code),
            **extra,
        )
    found = problem(
        row.ours,
        f"expected success, {interface} answered {row.code}: {row.meaning}; {_NEXT[row.helps]}",
        upstream_code=row.code,
        **extra,
    )
    return evolve(
        found,
        who_can_act=row.who_can_act,
        what_helps=row.helps,
        user_message={"zh-TW": row.zh, "en": row.en},
    )
