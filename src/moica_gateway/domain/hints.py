"""The words that the holder sees in the app: fixed templates of ours (security rule 9). Pure.

Only the match code, the document number and a brand set by an administrator vary. None of them may
carry control, direction or invisible characters: what is not on the list is refused.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from moica_gateway.errors import error

__all__ = [
    "authentication_hint",
    "batch_hint",
    "brand",
    "document_number",
    "registration_hint",
    "signature_hint",
]

_CJK: Final = "\u3400-\u4dbf\u4e00-\u9fff"
_NUMBER: Final = re.compile(rf"[0-9A-Za-z{_CJK}][0-9A-Za-z{_CJK}\-_/.()（）]{{0,49}}")
_BRAND: Final = re.compile(rf"(?:[0-9A-Za-z{_CJK}](?:[0-9A-Za-z{_CJK}\-_ ]{{0,19}}))?")
_MATCH_CODE: Final = re.compile(r"[0-9]{2}", re.ASCII)


def document_number(text: str) -> str:
    """公文文號, in NFC.

    Raises:
        RequestError: ``request_invalid`` for another character set or length.
    """
    number = unicodedata.normalize("NFC", text)
    # A number with these words in it could show the holder a match code of the caller's making.
    if not _NUMBER.fullmatch(number) or "驗證碼" in number:
        raise error(
            "request_invalid",
            "`number`: expected 1 to 50 letters, digits, ideographs and - _ / . ( ), beginning "
            "with a letter, digit or ideograph; came other characters or another length; the "
            "integrator sends the document's number alone",
            member="number",
        )
    return number


def brand(text: str) -> str:
    """A tenant's brand in the hint, in NFC; empty is none.

    Raises:
        ConfigurationError: ``configuration_invalid`` for other characters, or more than 20.
    """
    found = unicodedata.normalize("NFC", text)
    if not _BRAND.fullmatch(found):
        raise error(
            "configuration_invalid",
            "`brand`: expected at most 20 letters, digits, ideographs, spaces and - _, beginning "
            "with one of the first three; came something else",
        )
    return found


def signature_hint(match_code: str, number: str, tenant_brand: str) -> str:
    """What is signed: ``公文文號：1153000165 驗證碼：42``.

    Raises:
        RequestError: for a number that `document_number` refuses.
        ConfigurationError: for a brand that `brand` refuses.
    """
    return _hint(f"公文文號：{document_number(number)}", match_code, tenant_brand)


def batch_hint(match_code: str, number: str, count: int, tenant_brand: str) -> str:
    """What is signed, by its first document: ``公文文號：1153000165 等 45 件 驗證碼：42``. Every
    ticket of a batch shows the same words; one document is shown as `signature_hint` says.

    Args:
        match_code: Two digits.
        number: The first document's.
        count: Of all documents, at least 1.
        tenant_brand: Of the administrator's, or empty.

    Raises:
        RequestError: for a number that `document_number` refuses.
        ConfigurationError: for a brand that `brand` refuses.
    """
    if count == 1:
        return signature_hint(match_code, number, tenant_brand)
    if count < 1:
        raise error("internal_error", f"expected at least one document, came {count}")
    return _hint(f"公文文號：{document_number(number)} 等 {count} 件", match_code, tenant_brand)


def registration_hint(match_code: str, tenant_brand: str) -> str:
    """What is registered: ``登記行動自然人憑證 驗證碼：42``.

    Raises:
        ConfigurationError: for a brand that `brand` refuses.
    """
    return _hint("登記行動自然人憑證", match_code, tenant_brand)


def authentication_hint(match_code: str, tenant_brand: str) -> str:
    """Who it is: ``確認身分 驗證碼：42``.

    Raises:
        ConfigurationError: for a brand that `brand` refuses.
    """
    return _hint("確認身分", match_code, tenant_brand)


def _hint(what: str, match_code: str, tenant_brand: str) -> str:
    if not _MATCH_CODE.fullmatch(match_code):
        raise error("internal_error", "expected a match code of two digits, came something else")
    shown = brand(tenant_brand)
    start = f"【{shown}】" if shown else ""
    return f"{start}{what} 驗證碼：{match_code}"
