"""What a user can do about a failure, besides what the gateway says of it. Words only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from document_system.models import Confirmation, Item, User
from document_system.withdrawing import CHANGED, RECALLED
from moica_gateway.errors import CATALOGUE

__all__ = ["advice_for_item", "advice_for_registering", "advice_for_signing", "code_helps"]

_BIND: Final = (
    "請在手機的「行動自然人憑證」App 點選「註冊個人裝置」，"
    "以「掃描註冊啟用碼 QR Code」或「NFC 靠卡註冊綁定」完成綁定後，再"
)
_SIGNING: Final[Mapping[str, str]] = {
    "device_not_bound": _BIND + "按「送出」。",
    "wrong_device": "請以本人已綁定的手機確認；要再試一次，請按「確定」回到公文，再按「送出」。",
    "push_paused": "按「QR Code 模式登入」即可繼續簽章，不會再發送推播。",
    "push_unavailable": "按「QR Code 模式登入」即可改用 QR Code 簽章。",
}
_REGISTERING: Final[Mapping[str, str]] = {
    "device_not_bound": _BIND + "按「申請」。",
    "wrong_device": "請以本人已綁定的手機確認，再按「申請」。",
    "push_paused": "請再輸入「身分證字號」，並按「QR Code 模式登入」。",
    "push_unavailable": "請再輸入「身分證字號」，並按「QR Code 模式登入」。",
    "user_bound_to_other_id": "請先確認輸入的是本人的「身分證字號」；"
    "若無誤，須由系統管理者查明後才能申請。",
    "name_mismatch": "本系統登記的姓名是「{name}」，須與憑證上的姓名相同；更正後再按「申請」。",
    "transaction_open": "要放棄先前的作業，請再輸入「身分證字號」，"
    "勾選「取消先前的作業並重新開始」，再按「申請」。",
}


def code_helps(confirmation: Confirmation) -> bool:
    """Whether the same by QR code gets round what went wrong."""
    return confirmation.error_code in ("push_paused", "push_unavailable")


def advice_for_signing(confirmation: Confirmation) -> str:
    """Empty where the gateway's own words say it all."""
    code = confirmation.error_code or ""
    return _SIGNING.get(code) or _ask_administrator(code)


def advice_for_registering(confirmation: Confirmation, user: User) -> str:
    """What to do before 「申請」 is pressed again."""
    code = confirmation.error_code or ""
    if code in _REGISTERING:
        return _REGISTERING[code].format(name=user.name)
    return _ask_administrator(code) or "請確認後重新按「申請」。"


_ITEM: Final[Mapping[str, str]] = {
    "completed": "已簽章，可送出。",
    "refused": "請依說明更正後再簽章；其餘公文不受影響。",
    "rejected": "如需簽章，請重新開始。",
    "expired": "手機上若還有先前的通知，請略過；如需簽章，請重新開始。",
    "cancelled": "即使稍後才於手機上確認，也不會生效；如需簽章，請重新開始。",
    "failed": "公文內容均已保留；請依說明處理後重新開始。",
}


def advice_for_item(confirmation: Confirmation, item: Item) -> str:
    """What to do about one document of several."""
    if item.error_code == RECALLED:
        return "公文已不在您手上，無須處理。"
    if item.error_code == CHANGED:
        return "請回到公文，重新「蓋章」後送出新的版本。"
    taken_back = any(one.error_code in (RECALLED, CHANGED) for one in confirmation.items)
    if item.status == "cancelled" and taken_back:
        return "同一批有公文抽回或修改，整批簽章因而取消；請重新開始。"
    return _ITEM.get(item.status, "")


def _ask_administrator(code: str) -> str:
    entry = CATALOGUE.get(code)
    if entry is None or entry.who_can_act != "operator":
        return ""
    return f"請將錯誤代碼 {code} 告知系統管理者。"
